//! Web Push: what a browser gets, and what is made of its push service's answers.

use std::sync::Arc;
use std::time::Duration;

use pushkeeper::clock::Clock;
use pushkeeper::domain::class::Class;
use pushkeeper::domain::outcome::Outcome;
use pushkeeper::domain::pattern::DomainPattern;
use pushkeeper::domain::push::{CALL_TTL, Content, Push};
use pushkeeper::domain::secret::{DeviceToken, Private};
use pushkeeper::domain::time::Timestamp;
use pushkeeper::gateway::webpush::{Limits, Settings, WebPush};
use pushkeeper::gateway::{AppGateway, CredentialError};

use crate::gateway_rig::{Rig, SOON, assert_all_accepted, push, reason, webpush, webpush_settings};
use crate::support::vendor::webpush::{Browser, vapid};
use crate::support::vendor::{Answer, Behaviour, Options, Recorded, Vendor};

const ACCOUNT: &str = "0c223e6b96c6112f5dd809bb1b6f7c5a78826ee3";

/// 2026-11-22T12:00:00Z.
const NOON: Timestamp = Timestamp::from_secs(1_795_348_800);

pub(crate) async fn vendor() -> Vendor {
    Vendor::start(Options::default()).await
}

pub(crate) fn to(browser: &Browser, id: u64) -> Push {
    Push { token: DeviceToken::new(browser.token()), ..push(id) }
}

pub(crate) fn with_limits(vendor: &Vendor, limits: Limits) -> WebPush {
    WebPush::new(Settings { limits, ..webpush_settings(vendor) }, Clock::system()).unwrap()
}

/// All headers but the signature, sorted.
fn headers(got: &Recorded) -> Vec<(String, String)> {
    let mut found: Vec<_> = got
        .headers
        .iter()
        .filter(|(name, _)| *name != "authorization")
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    found.sort();
    found
}

fn opened(browser: &Browser, got: &Recorded) -> serde_json::Value {
    serde_json::from_slice(&browser.open(&got.body).expect("it is for this browser")).unwrap()
}

#[test]
fn the_browser_of_these_tests_opens_the_example_of_the_rfc() {
    // RFC 8291 §5 and Appendix A.
    let browser = Browser::with_keys("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94", "BTBZMqHH6r4Tts7J_aSIgg");
    let p256dh = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    assert_eq!(browser.p256dh(), p256dh);
    let body = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
    let mut body = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, body).unwrap();
    assert_eq!(browser.open(&body).as_deref(), Some(b"When I grow up, I want to be a watermelon".as_slice()));
    *body.last_mut().unwrap() ^= 1;
    assert_eq!(browser.open(&body), None);
}

#[tokio::test]
async fn an_important_push_goes_out_with_all_its_headers() {
    let vendor = vendor().await;
    let browser = Browser::at("push.test", "b-1");
    assert_eq!(webpush(&vendor).send(&to(&browser, 1)).await, Outcome::Accepted);
    let got = vendor.pushes().pop().unwrap();
    assert_eq!((got.method.as_str(), got.authority.as_str(), got.path.as_str()), ("POST", "push.test", "/push/b-1"));
    let expected = [
        ("accept", "*/*"),
        ("content-encoding", "aes128gcm"),
        ("content-length", "2902"),
        ("content-type", "application/octet-stream"),
        ("topic", "BbhNAEcIJ5tOqUFczxmSnErimys"),
        ("ttl", "2419200"),
        ("urgency", "high"),
    ];
    assert_eq!(headers(&got), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(opened(&browser, &got), serde_json::json!({"class": "important", "account": ACCOUNT}));
    assert_eq!(Browser::at("push.test", "b-1").open(&got.body), None, "only the browser it is for opens it");
}

#[tokio::test]
async fn what_a_browser_opens_is_what_was_said() {
    let vendor = vendor().await;
    let browser = Browser::at("push.test", "b-1");
    let content = Content {
        count: Some(2),
        sender: Some(Private::new("juliet@example.org")),
        body: Some(Private::new("Wherefore art thou?")),
        nickname: Some(Private::new("Ju")),
        sealed: None,
    };
    assert_eq!(webpush(&vendor).send(&Push { content: Arc::new(content), ..to(&browser, 1) }).await, Outcome::Accepted);
    let got = vendor.pushes().pop().unwrap();
    assert_eq!((got.header("topic"), got.body.len()), ("", 2902), "as long as one that says nothing");
    let expected = serde_json::json!({
        "class": "important", "account": ACCOUNT, "count": 2,
        "sender": "juliet@example.org", "nickname": "Ju", "body": "Wherefore art thou?",
    });
    assert_eq!(opened(&browser, &got), expected);
    let documented = include_str!("../../docs/webpush.md");
    for key in expected.as_object().unwrap().keys() {
        assert!(documented.contains(&format!("\n| `{key}` | ")), "{key}");
    }
}

#[test]
fn the_page_registers_as_it_is_documented() {
    let (page, documented) = (include_str!("../../docs/webpush/push.js"), include_str!("../../docs/webpush.md"));
    assert!(page.contains(r#"command("register-push-webpush", {"#));
    assert!(documented.contains("node='register-push-webpush'"));
    for field in ["endpoint", "p256dh", "auth", "device-id"] {
        let said = page.contains(&format!("      {field}: ")) || page.contains(&format!("      \"{field}\": "));
        assert!(said && documented.contains(&format!("<field var='{field}'>")), "{field}");
    }
}

#[tokio::test]
async fn each_class_has_its_urgency_and_ttl_and_silent_ones_are_for_apps_that_want_them() {
    let vendor = vendor().await;
    let browser = Browser::at("push.test", "b-1");
    let loud = webpush(&vendor);
    let silent = WebPush::new(Settings { silent: true, ..webpush_settings(&vendor) }, Clock::system()).unwrap();
    let rows = [
        (Class::Call, "high", "45", true),
        (Class::Important, "high", "2419200", true),
        (Class::Ended, "low", "2419200", false),
        (Class::Unimportant, "very-low", "2419200", false),
        (Class::Clear, "very-low", "2419200", false),
    ];
    for (class, urgency, ttl, always) in rows {
        let ttl_of = if class == Class::Call { CALL_TTL } else { pushkeeper::domain::push::VENDOR_TTL };
        let push = Push { class, ttl: ttl_of, ..to(&browser, 1) };
        let before = vendor.pushes().len();
        let expected = if always { Outcome::Accepted } else { Outcome::Withheld };
        assert_eq!(loud.send(&push).await, expected, "{class:?}");
        assert_eq!(vendor.pushes().len() - before, usize::from(always), "{class:?}");
        assert_eq!(silent.send(&push).await, Outcome::Accepted, "{class:?}");
        let got = vendor.pushes().pop().unwrap();
        assert_eq!((got.header("urgency"), got.header("ttl")), (urgency, ttl), "{class:?}");
        assert_eq!(opened(&browser, &got)["class"], class.name());
    }
}

#[tokio::test]
async fn we_sign_for_each_push_service_and_not_for_each_push() {
    let clock = Clock::starting_at(NOON);
    let vendor = Vendor::start(Options { clock: clock.clone(), ..Options::default() }).await;
    let webpush = WebPush::new(webpush_settings(&vendor), clock).unwrap();
    for host in ["push.test", "slow.test", "push.test"] {
        assert_eq!(webpush.send(&to(&Browser::at(host, "b-1"), 1)).await, Outcome::Accepted);
    }
    let signed: Vec<String> = vendor.pushes().iter().map(|got| got.header("authorization").to_owned()).collect();
    assert_eq!(signed[0], signed[2]);
    for (header, host) in [(&signed[0], "push.test"), (&signed[1], "slow.test")] {
        let (claims, key) = vapid(header).expect("signed by the key that it names");
        assert_eq!(key, webpush.public_key());
        assert_eq!(
            (&claims["aud"], &claims["sub"]),
            (&format!("https://{host}").into(), &"mailto:ops@example.org".into())
        );
        let exp = claims["exp"].as_u64().unwrap();
        let half_a_day_on = NOON.secs() + 12 * 3600;
        assert!((half_a_day_on..half_a_day_on + 20).contains(&exp), "{exp}");
        assert_eq!(claims.as_object().unwrap().len(), 3);
    }
}

#[tokio::test]
async fn answers_become_outcomes() {
    let clock = Clock::starting_at(NOON);
    let vendor = Vendor::start(Options { clock: clock.clone(), ..Options::default() }).await;
    let webpush = WebPush::new(webpush_settings(&vendor), clock).unwrap();
    let browser = Browser::at("push.test", "b-1");
    let wait = Some(Duration::from_secs(30));
    let operator = |text: &'static str| Outcome::OperatorFault(text.into());
    let down = |retry_after, text: &'static str| Outcome::Unavailable { retry_after, reason: text.into() };
    let throttled = |retry_after| Outcome::Throttled { retry_after, reason: "HTTP 429".into() };
    let long_body = Answer { body: vec![b'x'; 1_000_000].into(), ..Answer::status(403) };
    let rows = [
        (Answer::status(200), Outcome::Accepted),
        (Answer::status(201), Outcome::Accepted),
        (Answer::status(202), Outcome::Accepted),
        (Answer::status(400), operator("HTTP 400")),
        (Answer::apns(403, "BadJwtToken"), operator("HTTP 403: BadJwtToken")),
        (Answer::apns(403, "VapidPkHashMismatch"), Outcome::Suspect("HTTP 403: VapidPkHashMismatch".into())),
        (Answer::status(401), operator("HTTP 401")),
        (Answer::status(403), operator("HTTP 403")),
        (long_body, operator("HTTP 403")),
        (Answer::status(404), Outcome::Gone { since: None }),
        (Answer::status(410), Outcome::Gone { since: None }),
        (Answer::status(413), operator("HTTP 413")),
        (Answer::status(429), throttled(None)),
        (Answer::status(429).retry_after("30"), throttled(wait)),
        (Answer::status(500), down(None, "HTTP 500")),
        (Answer::status(503).retry_after("30"), down(wait, "HTTP 503")),
    ];
    for (answer, expected) in rows {
        vendor.once("b-1", Behaviour::Answer(answer.clone()));
        assert_eq!(webpush.send(&to(&browser, 1)).await, expected, "{}", answer.status);
    }
    // A minute after noon, as a date. The clock moves on while the test runs.
    vendor.once("b-1", Behaviour::Answer(Answer::status(429).retry_after("Sun, 22 Nov 2026 12:01:00 GMT")));
    let outcome = webpush.send(&to(&browser, 1)).await;
    let Outcome::Throttled { retry_after: Some(wait), .. } = outcome else { panic!("{outcome:?}") };
    assert!((30..=60).contains(&wait.as_secs()), "{wait:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let vendor = vendor().await;
    let (webpush, browser) = (webpush(&vendor), Browser::at("push.test", "b-1"));
    for status in [301, 302, 303, 307, 308] {
        let before = vendor.pushes().len();
        vendor.once("b-1", Behaviour::Answer(Answer::redirect(status, "https://push.test/push/elsewhere")));
        let outcome = webpush.send(&to(&browser, 1)).await;
        assert_eq!(reason(&outcome, "unavailable"), format!("HTTP {status}: redirects are not followed"));
        assert_eq!(vendor.pushes().len() - before, 1, "{status}");
    }
}

#[tokio::test]
async fn texts_of_ten_kilobytes_fit() {
    let vendor = vendor().await;
    let (webpush, browser) = (webpush(&vendor), Browser::at("push.test", "b-1"));
    let long = || Some(Private::new("Ω\"\u{1}".repeat(3000)));
    let content = Content { sender: long(), body: long(), nickname: long(), ..Content::default() };
    assert_eq!(webpush.send(&Push { content: Arc::new(content), ..to(&browser, 1) }).await, Outcome::Accepted);
    let got = vendor.pushes().pop().unwrap();
    let said = opened(&browser, &got);
    assert_eq!((got.body.len(), &said["account"], &said["sender"]), (2902, &ACCOUNT.into(), &serde_json::Value::Null));
    assert!(said["body"].as_str().unwrap().starts_with("Ω\"\u{1}Ω") && said["body"].as_str().unwrap().ends_with('…'));
}

#[tokio::test]
async fn a_push_whose_connection_is_lost_is_sent_once_more() {
    let vendor = vendor().await;
    let (webpush, browser) = (webpush(&vendor), Browser::at("push.test", "b-1"));
    for id in 0..3 {
        vendor.once("b-1", Behaviour::Cut);
        assert_eq!(webpush.send(&to(&browser, id)).await, Outcome::Accepted);
    }
    assert_eq!(vendor.pushes().len(), 6);
    vendor.always("b-1", Behaviour::Cut);
    let outcome = webpush.send(&to(&browser, 4)).await;
    let text = reason(&outcome, "unavailable");
    assert!(text.starts_with("https://push.test: the connection was lost before the answer"), "{text}");
    assert_eq!(vendor.pushes().len(), 8, "and no more than once");
}

#[tokio::test]
async fn hundreds_of_pushes_share_a_few_connections() {
    let vendor = vendor().await;
    let mut rig = Rig::start(AppGateway::WebPush(Box::new(webpush(&vendor))), 4096);
    let browser = Browser::at("push.test", "b-1");
    rig.deliver((0..400).map(|id| to(&browser, id)));
    assert_all_accepted(&rig.verdicts(400).await);
    assert!(vendor.connections() <= 4, "{} connections", vendor.connections());
    rig.end().await;
}

#[tokio::test]
async fn a_connection_that_ends_or_falls_silent_is_replaced() {
    let vendor = vendor().await;
    let limits = Limits { alive: Duration::from_millis(100), ..Limits::default() };
    let (webpush, browser) = (with_limits(&vendor, limits), Browser::at("push.test", "b-1"));
    for id in 0..2 {
        assert_eq!(webpush.send(&to(&browser, id)).await, Outcome::Accepted);
    }
    vendor.go_away();
    assert_eq!(webpush.send(&to(&browser, 2)).await, Outcome::Accepted);
    vendor.freeze();
    let sent = tokio::time::timeout(SOON / 2, webpush.send(&to(&browser, 3))).await;
    assert_eq!(sent, Ok(Outcome::Accepted));
}

#[tokio::test]
async fn a_push_service_that_is_gone_or_not_to_be_trusted() {
    let (vendor, stranger) = (vendor().await, vendor().await);
    let browser = Browser::at("push.test", "b-1");
    let ca = Some(stranger.keys().ca_pem.clone().into_bytes());
    let strange = WebPush::new(Settings { ca, ..webpush_settings(&vendor) }, Clock::system()).unwrap();
    let outcome = strange.send(&to(&browser, 1)).await;
    let text = reason(&outcome, "operator-fault");
    assert!(text.starts_with("https://push.test: TLS: ") && text.contains("ca_file"), "{text}");

    let away = webpush(&vendor);
    vendor.stop().await;
    let outcome = away.send(&to(&browser, 1)).await;
    let text = reason(&outcome, "unavailable");
    assert!(text.starts_with("https://push.test: no connection ("), "{text}");
    vendor.restart().await.unwrap();
    assert_eq!(away.send(&to(&browser, 1)).await, Outcome::Accepted);

    let mut rig = Rig::start(AppGateway::WebPush(Box::new(away)), 4096);
    vendor.stop().await;
    rig.deliver((0..50).map(|id| to(&browser, id)));
    for outcome in rig.verdicts(50).await.values() {
        assert!(reason(outcome, "unavailable").starts_with("https://push.test: "), "{outcome:?}");
    }
    vendor.restart().await.unwrap();
    rig.deliver((50..60).map(|id| to(&browser, id)));
    assert_all_accepted(&rig.verdicts(10).await);
    rig.end().await;
}

#[tokio::test]
async fn key_and_ca_are_checked_without_a_network() {
    let vendor = vendor().await;
    let made = |change: fn(&mut Settings)| {
        let mut settings = webpush_settings(&vendor);
        change(&mut settings);
        WebPush::new(settings, Clock::system()).err()
    };
    assert_eq!(made(|_| ()), None);
    assert_eq!(made(|settings| settings.vapid_key = b"none".to_vec()), Some(CredentialError::NotVapid));
    assert_eq!(made(|settings| settings.vapid_subject = "ops".into()), Some(CredentialError::BadSubject));
    assert_eq!(made(|settings| settings.ca = Some(b"none".to_vec())), Some(CredentialError::BadCa));
    let settings = format!("{:?}", webpush_settings(&vendor));
    assert!(settings.contains("push.test") && !settings.contains("PRIVATE"), "{settings}");
    assert!(!webpush_settings(&vendor).allow_hosts.contains(&DomainPattern::Any));
}
