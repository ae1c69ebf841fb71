//! APNs: what Apple gets, and what is made of its answers.

use std::sync::Arc;
use std::time::Duration;

use pushkeeper::clock::Clock;
use pushkeeper::domain::app::Style;
use pushkeeper::domain::class::Class;
use pushkeeper::domain::outcome::Outcome;
use pushkeeper::domain::push::{CALL_TTL, Content, Push};
use pushkeeper::domain::secret::{DeviceToken, Private, Secret};
use pushkeeper::domain::time::Timestamp;
use pushkeeper::gateway::CredentialError;
use pushkeeper::gateway::apns::{Apns, Auth, Settings};

use crate::gateway_rig::{apns, apns_settings, limits, push, reason, token_auth};
use crate::support::vendor::{Answer, Behaviour, Options, Recorded, Vendor};

/// 2026-11-22T12:00:00Z.
const NOON: Timestamp = Timestamp::from_secs(1_795_348_800);

async fn at_noon() -> (Vendor, Apns) {
    let clock = Clock::starting_at(NOON);
    let vendor = Vendor::start(Options { clock: clock.clone(), ..Options::default() }).await;
    let apns = Apns::new(apns_settings(&vendor, limits()), clock).unwrap();
    (vendor, apns)
}

async fn sent(vendor: &Vendor, apns: &Apns, push: &Push) -> Recorded {
    assert_eq!(apns.send(push).await, Outcome::Accepted);
    vendor.pushes().pop().unwrap()
}

#[tokio::test]
async fn an_important_push_goes_out_with_all_its_headers() {
    let (vendor, apns) = at_noon().await;
    let got = sent(&vendor, &apns, &push(7)).await;
    assert_eq!(got.method, "POST");
    assert_eq!(got.path, "/3/device/t-7");
    assert_eq!(got.header("apns-topic"), "org.example.chat");
    assert_eq!(got.header("apns-push-type"), "alert");
    assert_eq!(got.header("apns-priority"), "10");
    let expiration: u64 = got.header("apns-expiration").parse().unwrap();
    let four_weeks_on = NOON.secs() + 28 * 24 * 3600;
    assert!((four_weeks_on..four_weeks_on + 20).contains(&expiration), "{expiration}");
    assert_eq!(got.header("apns-collapse-id"), "important-0c223e6b96c6112f5dd809bb1b6f7c5a78826ee3");
    assert!(got.header("apns-id").ends_with("-8000-000000000007"), "{}", got.header("apns-id"));
    assert!(got.header("authorization").starts_with("bearer "));
    assert_eq!(got.header("content-type"), "application/json");
    let expected = serde_json::json!({
        "aps": {"alert": {"body": "New Message!"}, "sound": "default", "mutable-content": 1},
        "class": "important",
        "account": "0c223e6b96c6112f5dd809bb1b6f7c5a78826ee3",
    });
    assert_eq!(got.json(), expected);
}

#[tokio::test]
async fn each_class_has_its_type_priority_and_expiration() {
    let (vendor, apns) = at_noon().await;
    let call = || Push { ttl: CALL_TTL, ..push(1) };
    let voip = || Push { voip_token: Some(DeviceToken::new("voip-1")), ..call() };
    let rows = [
        (Push { class: Class::Call, ..voip() }, "/3/device/voip-1", "org.example.chat.voip", "voip", "10", 0),
        (Push { class: Class::Call, ..call() }, "/3/device/t-1", "org.example.chat", "alert", "10", 45),
        (Push { class: Class::Important, ..voip() }, "/3/device/t-1", "org.example.chat", "alert", "10", 45),
        (Push { class: Class::Unimportant, ..call() }, "/3/device/t-1", "org.example.chat", "background", "5", 45),
        (Push { class: Class::Clear, ..call() }, "/3/device/t-1", "org.example.chat", "background", "5", 45),
        (Push { class: Class::Ended, ..voip() }, "/3/device/t-1", "org.example.chat", "background", "5", 45),
    ];
    for (push, path, topic, push_type, priority, ttl) in rows {
        let got = sent(&vendor, &apns, &push).await;
        let found = (&*got.path, got.header("apns-topic"), got.header("apns-push-type"), got.header("apns-priority"));
        assert_eq!(found, (path, topic, push_type, priority), "{:?}", push.class);
        let expiration: u64 = got.header("apns-expiration").parse().unwrap();
        if ttl == 0 {
            assert_eq!(expiration, 0, "{:?}", push.class);
        } else {
            let at = NOON.secs() + ttl;
            assert!((at..at + 20).contains(&expiration), "{:?}", push.class);
        }
    }
}

#[tokio::test]
async fn a_push_with_words_of_its_own_does_not_collapse() {
    let (vendor, apns) = at_noon().await;
    let content = Content {
        sender: Some(Private::new("juliet@example.org")),
        body: Some(Private::new("Wherefore art thou?")),
        ..Content::default()
    };
    let got = sent(&vendor, &apns, &Push { content: Arc::new(content), ..push(1) }).await;
    assert_eq!(got.header("apns-collapse-id"), "");
    let alert = serde_json::json!({"title": "juliet@example.org", "body": "Wherefore art thou?"});
    assert_eq!(got.json()["aps"]["alert"], alert);
}

#[tokio::test]
async fn style_conversations_is_what_p2_sends() {
    let vendor = Vendor::start(Options::default()).await;
    let settings = Settings { style: Style::Conversations, ..apns_settings(&vendor, limits()) };
    let apns = Apns::new(settings, Clock::system()).unwrap();
    let got = sent(&vendor, &apns, &push(1)).await;
    assert_eq!(got.body, r#"{"aps":{"alert":{"title":"New message"},"sound":"default"}}"#);
    let got = sent(&vendor, &apns, &Push { class: Class::Unimportant, ..push(1) }).await;
    assert_eq!(got.body, r#"{"aps":{"content-available":1}}"#);
}

#[tokio::test]
async fn a_long_body_is_cut_to_what_apple_takes() {
    let (vendor, apns) = at_noon().await;
    let body = Some(Private::new("Ω".repeat(10_000)));
    let got =
        sent(&vendor, &apns, &Push { content: Arc::new(Content { body, ..Content::default() }), ..push(1) }).await;
    assert!((4090..=4096).contains(&got.body.len()), "{}", got.body.len());
}

#[tokio::test]
async fn answers_become_outcomes() {
    let vendor = Vendor::start(Options::default()).await;
    let apns = apns(&vendor, limits());
    let throttled =
        |secs| Outcome::Throttled { retry_after: Some(Duration::from_secs(secs)), reason: "TooManyRequests".into() };
    let rows = [
        (Answer::gone(1_700_000_000_123), Outcome::Gone { since: Some(Timestamp::from_millis(1_700_000_000_123)) }),
        (Answer::apns(410, "ExpiredToken"), Outcome::Gone { since: None }),
        (Answer::apns(400, "BadDeviceToken"), Outcome::Suspect("BadDeviceToken".into())),
        (Answer::apns(403, "InvalidProviderToken"), Outcome::OperatorFault("InvalidProviderToken".into())),
        (Answer::apns(404, "BadPath"), Outcome::OperatorFault("BadPath".into())),
        (Answer::apns(429, "TooManyRequests").retry_after("17"), throttled(17)),
        (Answer::apns(503, "Shutdown"), Outcome::Unavailable { retry_after: None, reason: "Shutdown".into() }),
    ];
    for (id, (answer, expected)) in (1..).zip(rows) {
        vendor.once(&format!("t-{id}"), Behaviour::Answer(answer.clone()));
        assert_eq!(apns.send(&push(id)).await, expected, "{answer:?}");
    }
    let later = Answer::status(503).retry_after("Sun, 06 Nov 1994 08:49:37 GMT");
    vendor.next(Behaviour::Answer(later));
    let expected = Outcome::Unavailable { retry_after: Some(Duration::ZERO), reason: "HTTP 503".into() };
    assert_eq!(apns.send(&push(99)).await, expected);
}

#[tokio::test]
async fn a_token_that_can_not_be_one_does_not_leave_the_house() {
    let vendor = Vendor::start(Options::default()).await;
    let apns = apns(&vendor, limits());
    for token in ["", "a/b", "a b", "a?b", "é", "..%2f", &"a".repeat(513)] {
        let outcome = apns.send(&Push { token: DeviceToken::new(token), ..push(1) }).await;
        assert_eq!(reason(&outcome, "unfit"), "malformed device token", "{token}");
    }
    assert_eq!(vendor.pushes().len(), 0);
}

#[tokio::test]
async fn one_provider_token_serves_all_pushes_until_it_is_forty_minutes_old() {
    tokio::time::pause();
    let (vendor, apns) = at_noon().await;
    let first = sent_in_real_time(&vendor, &apns, 1).await;
    let again = sent_in_real_time(&vendor, &apns, 2).await;
    assert_eq!(first, again);
    skip(39 * 60).await;
    assert_eq!(sent_in_real_time(&vendor, &apns, 3).await, first);
    skip(61).await;
    assert_ne!(sent_in_real_time(&vendor, &apns, 4).await, first);
}

#[tokio::test]
async fn an_expired_provider_token_is_renewed_once_it_is_twenty_minutes_old() {
    tokio::time::pause();
    let (vendor, apns) = at_noon().await;
    let first = sent_in_real_time(&vendor, &apns, 1).await;
    tokio::time::resume();
    let expired = || Behaviour::Answer(Answer::apns(403, "ExpiredProviderToken"));

    // Too young: a new one would only earn TooManyProviderTokenUpdates.
    vendor.once("t-2", expired());
    assert_eq!(apns.send(&push(2)).await, Outcome::OperatorFault("ExpiredProviderToken".into()));

    tokio::time::pause();
    skip(21 * 60).await;
    tokio::time::resume();
    vendor.once("t-3", expired());
    assert_eq!(apns.send(&push(3)).await, Outcome::Accepted);
    let pushes = vendor.pushes();
    let [refused, accepted] = &pushes[pushes.len() - 2..] else { panic!("two attempts") };
    assert_eq!(refused.header("authorization"), first);
    assert_ne!(accepted.header("authorization"), first);
    assert_eq!(refused.header("apns-id"), accepted.header("apns-id"));

    // Once per push, and not again so soon.
    vendor.always("t-4", expired());
    assert_eq!(apns.send(&push(4)).await, Outcome::OperatorFault("ExpiredProviderToken".into()));
}

/// Sends while time runs, and returns the authorization it went out with. Paused time would run ahead of the
/// network.
async fn sent_in_real_time(vendor: &Vendor, apns: &Apns, id: u64) -> String {
    tokio::time::resume();
    let got = sent(vendor, apns, &push(id)).await;
    tokio::time::pause();
    got.header("authorization").to_owned()
}

async fn skip(secs: u64) {
    tokio::time::advance(Duration::from_secs(secs)).await;
}

#[tokio::test]
async fn a_client_certificate_serves_as_pem_and_as_pkcs12() {
    let vendor = Vendor::start(Options { client_certificate: true, ..Options::default() }).await;
    let keys = vendor.keys();
    let password = Some(Secret::new(keys.client_p12_password.as_str()));
    let files = [(keys.client_pem.clone().into_bytes(), None), (keys.client_p12.clone(), password)];
    for (file, password) in files {
        let auth = Auth::Certificate { file, password };
        let settings = Settings { auth, ..apns_settings(&vendor, limits()) };
        let apns = Apns::new(settings, Clock::system()).unwrap();
        let got = sent(&vendor, &apns, &push(1)).await;
        assert_eq!(got.header("authorization"), "");
    }
}

#[tokio::test]
async fn a_missing_client_certificate_is_the_operators_fault() {
    let vendor = Vendor::start(Options { client_certificate: true, ..Options::default() }).await;
    let apns = apns(&vendor, limits());
    let outcome = apns.send(&push(1)).await;
    assert!(reason(&outcome, "operator-fault").contains("refuses our client certificate"), "{outcome:?}");
}

#[tokio::test]
async fn credentials_are_checked_without_a_network() {
    let vendor = Vendor::start(Options::default()).await;
    let other = Vendor::start(Options::default()).await;
    let (keys, others) = (vendor.keys(), other.keys());
    let certificate = |file: &[u8], password: Option<&str>| Auth::Certificate {
        file: file.to_vec(),
        password: password.map(Secret::new),
    };
    let mixed = [others.client_pem.split("-----BEGIN PRIVATE").next().unwrap(), &key_of(&keys.client_pem)].concat();
    let rows = [
        (certificate(keys.ca_pem.as_bytes(), None), CredentialError::NoKeyOfCertificate),
        (certificate(keys.p8_pem.as_bytes(), None), CredentialError::NoCertificate),
        (certificate(mixed.as_bytes(), None), CredentialError::KeyMismatch),
        (certificate(&keys.client_p12, Some("wrong")), CredentialError::Pkcs12),
        (certificate(&keys.client_p12, None), CredentialError::Pkcs12),
        (certificate(b"nonsense", None), CredentialError::Pkcs12),
    ];
    let made = |auth| {
        let settings = Settings { auth, ..apns_settings(&vendor, limits()) };
        Apns::new(settings, Clock::system()).err()
    };
    for (auth, expected) in rows {
        assert_eq!(made(auth), Some(expected));
    }
    assert_eq!(made(token_auth(&vendor)), None);
    let bad_ca = Settings { ca: Some(b"x".to_vec()), ..apns_settings(&vendor, limits()) };
    assert_eq!(Apns::new(bad_ca, Clock::system()).err(), Some(CredentialError::BadCa));
}

#[tokio::test]
async fn the_files_an_operator_has_will_do() {
    let vendor = Vendor::start(Options::default()).await;
    let folder = tempfile::tempdir().unwrap();
    vendor.keys().write(folder.path()).unwrap();
    let file = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let certificate = |name, password| Auth::Certificate { file: file(name), password };
    let auths = [
        Auth::Token { key: file("AuthKey.p8"), key_id: "KEY1234567".into(), team_id: "TEAM123456".into() },
        certificate("client.pem", None),
        certificate("client.p12", Some(Secret::new("open sesame"))),
    ];
    for auth in auths {
        let ca = Some(file("ca.pem"));
        let settings = Settings { auth, ca, ..apns_settings(&vendor, limits()) };
        assert_eq!(Apns::new(settings, Clock::system()).err(), None);
    }
}

fn key_of(pem: &str) -> String {
    let from = pem.find("-----BEGIN PRIVATE").unwrap();
    pem[from..].to_owned()
}
