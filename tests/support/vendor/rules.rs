//! What APNs, FCM, the token endpoint and a push service check before they answer, as far as their documentation says.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::Value;

use super::behaviour::Answer;
use super::{Recorded, Service, Shared, webpush};

/// Whom a request is for, and the device it names.
pub(super) fn address(method: &Method, path: &str, body: &[u8]) -> (Service, String) {
    if *method != Method::POST {
        return (Service::Other, String::new());
    }
    if let Some(token) = path.strip_prefix("/3/device/") {
        return (Service::Apns, token.to_owned());
    }
    if path.ends_with("/messages:send") {
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        let token = json.pointer("/message/token").and_then(Value::as_str).unwrap_or_default();
        return (Service::Fcm, token.to_owned());
    }
    if let Some(name) = path.strip_prefix("/push/") {
        return (Service::WebPush, name.to_owned());
    }
    let service = if path == "/token" { Service::OAuth } else { Service::Other };
    (service, String::new())
}

/// What a request deserves.
pub(super) fn judge(shared: &Shared, entry: &Recorded) -> Answer {
    let judged = match entry.service {
        Service::Apns => apns(shared, entry),
        Service::Fcm => fcm(shared, entry),
        Service::OAuth => oauth(shared, entry),
        Service::WebPush => webpush::judge(shared, entry),
        Service::Other => Err(Answer::apns(404, "BadPath")),
    };
    judged.unwrap_or_else(|refused| refused)
}

fn apns(shared: &Shared, entry: &Recorded) -> Result<Answer, Answer> {
    let refuse = |status, reason| Err(Answer::apns(status, reason));
    if !shared.options.client_certificate {
        provider_token(shared, entry.header("authorization"))?;
    }
    let topic = entry.header("apns-topic");
    let push_type = entry.header("apns-push-type");
    let voip = push_type == "voip";
    let rules = [
        (entry.token.is_empty(), 400, "MissingDeviceToken"),
        (topic.is_empty(), 400, "MissingTopic"),
        (voip != topic.ends_with(".voip"), 400, "TopicDisallowed"),
        (!["alert", "background", "voip"].contains(&push_type), 400, "InvalidPushType"),
        (!["5", "10"].contains(&entry.header("apns-priority")), 400, "BadPriority"),
        (push_type == "background" && entry.header("apns-priority") == "10", 400, "BadPriority"),
        (entry.header("apns-expiration").parse::<u64>().is_err(), 400, "BadExpirationDate"),
        (entry.header("apns-collapse-id").len() > 64, 400, "BadCollapseId"),
        (!is_uuid(entry.header("apns-id")), 400, "BadMessageId"),
        (entry.body.is_empty(), 400, "PayloadEmpty"),
        (!entry.json().is_object(), 400, "PayloadEmpty"),
        (entry.body.len() > if voip { 5120 } else { 4096 }, 413, "PayloadTooLarge"),
    ];
    match rules.iter().find(|(broken, _, _)| *broken) {
        Some((_, status, reason)) => refuse(*status, reason),
        None => Ok(Answer::ok()),
    }
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<usize> = text.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

/// The provider token: strictly as RFC 7515 and Apple want it.
fn provider_token(shared: &Shared, header: &str) -> Result<(), Answer> {
    let invalid = || Answer::apns(403, "InvalidProviderToken");
    let Some(token) = header.strip_prefix("bearer ") else {
        return Err(Answer::apns(403, "MissingProviderToken"));
    };
    let known = shared.state().passed.clone().filter(|(passed, _)| passed == header);
    let iat = match known {
        Some((_, iat)) => iat,
        None => {
            let keys = &shared.keys;
            let (head, claims) = verified(token, &ECDSA_P256_SHA256_FIXED, &keys.p8_public).ok_or_else(invalid)?;
            let right = text(&head, "alg") == "ES256" && text(&head, "kid") == keys.key_id;
            if !right || text(&claims, "iss") != keys.team_id {
                return Err(invalid());
            }
            let iat = claims.get("iat").and_then(Value::as_i64).ok_or_else(invalid)?;
            shared.state().passed = Some((header.to_owned(), iat));
            iat
        }
    };
    let now = shared.options.clock.wall().millis() / 1000;
    match now - iat {
        age if age > 3600 => Err(Answer::apns(403, "ExpiredProviderToken")),
        age if age < -600 => Err(invalid()),
        _ => Ok(()),
    }
}

fn fcm(shared: &Shared, entry: &Recorded) -> Result<Answer, Answer> {
    let bearer = entry.header("authorization").strip_prefix("Bearer ").map(str::to_owned);
    if bearer.is_none() || bearer != shared.state().access_token {
        return Err(Answer::fcm(401, "UNAUTHENTICATED", None));
    }
    if entry.path != format!("/v1/projects/{}/messages:send", shared.keys.project_id) {
        return Err(Answer::fcm(404, "NOT_FOUND", None));
    }
    let json = entry.json();
    let empty = serde_json::Map::new();
    let data = json.pointer("/message/data").and_then(Value::as_object).unwrap_or(&empty);
    let size: usize = data.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    let priority = json.pointer("/message/android/priority").and_then(Value::as_str);
    let ttl = json.pointer("/message/android/ttl").and_then(Value::as_str).and_then(|ttl| ttl.strip_suffix('s'));
    let wrong = entry.token.is_empty()
        || data.values().any(|value| !value.is_string())
        || size > 4096
        || priority.is_some_and(|priority| !["HIGH", "NORMAL"].contains(&priority))
        || !ttl.is_some_and(|ttl| ttl.parse::<u64>().is_ok_and(|secs| secs <= 2_419_200));
    if wrong {
        return Err(Answer::fcm(400, "INVALID_ARGUMENT", None));
    }
    let name = format!(r#"{{"name":"projects/{}/messages/0:1"}}"#, shared.keys.project_id);
    Ok(Answer { body: name.into(), ..Answer::ok() })
}

/// The JWT bearer grant (RFC 7523 §2.1).
fn oauth(shared: &Shared, entry: &Recorded) -> Result<Answer, Answer> {
    if let Some(answer) = shared.state().oauth.pop_front() {
        return Err(answer);
    }
    let bad = |error| Answer::oauth(400, error);
    let form = std::str::from_utf8(&entry.body).map_err(|_| bad("invalid_request"))?;
    let field = |name: &str| form.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    if field("grant_type") != Some("urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer") {
        return Err(bad("unsupported_grant_type"));
    }
    let keys = &shared.keys;
    let assertion = field("assertion").unwrap_or_default();
    let verified = verified(assertion, &RSA_PKCS1_2048_8192_SHA256, &keys.rsa_public);
    let (head, claims) = verified.ok_or_else(|| bad("invalid_grant"))?;
    let number = |name| claims.get(name).and_then(Value::as_i64).unwrap_or_default();
    let now = shared.options.clock.wall().millis() / 1000;
    let right = text(&head, "alg") == "RS256"
        && text(&claims, "iss") == keys.client_email
        && text(&claims, "aud") == keys.token_uri
        && text(&claims, "scope") == "https://www.googleapis.com/auth/firebase.messaging"
        && (now - number("iat")).abs() < 600
        && (1..=3600).contains(&(number("exp") - number("iat")));
    if !right {
        return Err(bad("invalid_grant"));
    }
    let mut state = shared.state();
    state.issued += 1;
    let token = format!("access-token-{}", state.issued);
    state.access_token = Some(token.clone());
    let body = format!(r#"{{"access_token":"{token}","expires_in":{},"token_type":"Bearer"}}"#, state.lifetime);
    Ok(Answer { body: body.into(), ..Answer::ok() })
}

/// Header and claims of a compact JWS, if it is strictly base64url and its signature is right.
fn verified(token: &str, algorithm: &'static dyn VerificationAlgorithm, public: &[u8]) -> Option<(Value, Value)> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (head, claims) = signed.split_once('.')?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
    UnparsedPublicKey::new(algorithm, public).verify(signed.as_bytes(), &decode(signature)?).ok()?;
    let json = |part: &str| serde_json::from_slice(&decode(part)?).ok();
    Some((json(head)?, json(claims)?))
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
