//! FCM: what Google gets, and what is made of its answers.

use std::time::Duration;

use pushkeeper::clock::Clock;
use pushkeeper::domain::app::Style;
use pushkeeper::domain::class::Class;
use pushkeeper::domain::outcome::Outcome;
use pushkeeper::domain::push::{CALL_TTL, Push};
use pushkeeper::gateway::CredentialError;
use pushkeeper::gateway::fcm::{Fcm, Settings};

use crate::gateway_rig::{Rig, SOON, assert_all_accepted, fcm, fcm_settings, limits, push, reason};
use crate::support::vendor::{Answer, Behaviour, Options, Vendor};

async fn vendor() -> Vendor {
    Vendor::start(Options::default()).await
}

fn settings(vendor: &Vendor) -> Settings {
    Settings { style: Style::Conversations, ..fcm_settings(vendor, limits()) }
}

#[tokio::test]
async fn a_push_goes_out_as_p2_sends_it() {
    let vendor = vendor().await;
    let fcm = Fcm::new(settings(&vendor), Clock::system()).unwrap();
    assert_eq!(fcm.send(&push(1)).await, Outcome::Accepted);
    let got = vendor.pushes().pop().unwrap();
    assert_eq!((got.method.as_str(), got.path.as_str()), ("POST", "/v1/projects/project-1/messages:send"));
    assert_eq!(got.header("authorization"), "Bearer access-token-1");
    assert_eq!(got.header("content-type"), "application/json");
    let expected = serde_json::json!({"message": {
        "token": "t-1",
        "data": {"account": "0c223e6b96c6112f5dd809bb1b6f7c5a78826ee3"},
        "android": {"priority": "HIGH", "ttl": "2419200s", "collapse_key": "0c223e"},
    }});
    assert_eq!(got.json(), expected);
}

#[tokio::test]
async fn a_call_is_urgent_and_short_lived() {
    let vendor = vendor().await;
    let fcm = fcm(&vendor, limits());
    assert_eq!(fcm.send(&Push { class: Class::Call, ttl: CALL_TTL, ..push(1) }).await, Outcome::Accepted);
    assert_eq!(fcm.send(&Push { class: Class::Unimportant, ..push(2) }).await, Outcome::Accepted);
    let android = |at: usize| vendor.pushes()[at].json()["message"]["android"].clone();
    assert_eq!(android(0), serde_json::json!({"priority": "HIGH", "ttl": "45s", "collapse_key": "0c223e-call"}));
    let quiet = serde_json::json!({"priority": "NORMAL", "ttl": "2419200s", "collapse_key": "0c223e-quiet"});
    assert_eq!(android(1), quiet);
}

#[tokio::test]
async fn the_access_token_is_fetched_once_for_a_hundred_that_wait() {
    let vendor = vendor().await;
    let mut rig = Rig::fcm(&vendor, limits());
    rig.deliver((0..100).map(push));
    assert_all_accepted(&rig.verdicts(100).await);
    assert_eq!(vendor.oauth_fetches(), 1);
    rig.end().await;
}

#[tokio::test]
async fn a_401_fetches_a_new_access_token_once_for_all() {
    let vendor = vendor().await;
    let mut rig = Rig::fcm(&vendor, limits());
    rig.deliver([push(0)]);
    assert_all_accepted(&rig.verdicts(1).await);
    vendor.oauth_revoke();
    rig.deliver((1..50).map(push));
    assert_all_accepted(&rig.verdicts(49).await);
    assert_eq!(vendor.oauth_fetches(), 2);
    rig.end().await;
}

#[tokio::test]
async fn an_access_token_that_has_worked_is_replaced_however_often_it_is_revoked() {
    let vendor = vendor().await;
    let fcm = fcm(&vendor, limits());
    for id in 0..5 {
        assert_eq!(fcm.send(&push(id)).await, Outcome::Accepted);
        vendor.oauth_revoke();
    }
    assert_eq!(vendor.oauth_fetches(), 5);
}

#[tokio::test]
async fn a_401_that_a_new_token_does_not_mend_is_the_operators_fault() {
    let vendor = vendor().await;
    let fcm = fcm(&vendor, limits());
    vendor.everything(Some(Behaviour::Answer(Answer::fcm(401, "UNAUTHENTICATED", None))));
    for id in 0..5 {
        assert_eq!(fcm.send(&push(id)).await, Outcome::OperatorFault("UNAUTHENTICATED".into()));
    }
    assert_eq!(vendor.oauth_fetches(), 2, "Google is not asked again for every push");
    let apple = Behaviour::Answer(Answer::fcm(401, "UNAUTHENTICATED", Some("THIRD_PARTY_AUTH_ERROR")));
    vendor.everything(Some(apple));
    assert_eq!(fcm.send(&push(9)).await, Outcome::OperatorFault("THIRD_PARTY_AUTH_ERROR".into()));
    assert_eq!(vendor.oauth_fetches(), 2);
}

#[tokio::test]
async fn the_access_token_is_refreshed_in_the_background_before_it_ends() {
    let vendor = vendor().await;
    let fcm = fcm(&vendor, limits());
    assert_eq!(fcm.send(&push(1)).await, Outcome::Accepted);
    // It ends after 3599 s; five minutes earlier it is replaced. The stand-in takes only the newest, so the push
    // that goes out with the old one sees a 401 if it is late, and is sent again.
    skip(3599 - 299).await;
    assert_eq!(fcm.send(&push(2)).await, Outcome::Accepted);
    assert!(vendor.wait_until(|| vendor.oauth_fetches() == 2, SOON).await);
    let mut authorization = String::new();
    for id in 3..100 {
        assert_eq!(fcm.send(&push(id)).await, Outcome::Accepted);
        authorization = vendor.pushes().pop().unwrap().header("authorization").to_owned();
        if authorization == "Bearer access-token-2" {
            break;
        }
    }
    assert_eq!(authorization, "Bearer access-token-2");
    assert_eq!(vendor.oauth_fetches(), 2);
}

#[tokio::test]
async fn an_access_token_that_has_ended_is_not_used() {
    let vendor = vendor().await;
    let fcm = fcm(&vendor, limits());
    vendor.oauth_lifetime(60);
    assert_eq!(fcm.send(&push(1)).await, Outcome::Accepted);
    skip(61).await;
    assert_eq!(fcm.send(&push(2)).await, Outcome::Accepted);
    let used: Vec<String> = vendor.pushes().iter().map(|push| push.header("authorization").to_owned()).collect();
    assert_eq!(used, ["Bearer access-token-1", "Bearer access-token-2"]);
}

async fn skip(secs: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(secs)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn the_token_endpoints_troubles() {
    let rows = [
        (Answer::oauth(400, "invalid_grant"), "operator-fault", "invalid_grant: stand-in"),
        (Answer::oauth(401, "invalid_client"), "operator-fault", "invalid_client: stand-in"),
        (Answer::status(503), "unavailable", "token endpoint: HTTP 503"),
        (Answer::status(429).retry_after("5"), "unavailable", "token endpoint: HTTP 429"),
    ];
    for (answer, name, words) in rows {
        let vendor = vendor().await;
        let fcm = fcm(&vendor, limits());
        vendor.oauth_next(answer.clone());
        for id in 0..20 {
            assert_eq!(reason(&fcm.send(&push(id)).await, name), words, "{answer:?}");
        }
        assert_eq!(vendor.oauth_fetches(), 1, "a failed fetch is not repeated for every push");
        assert_eq!(vendor.pushes().len(), 0);
        skip(61).await;
        assert_eq!(fcm.send(&push(99)).await, Outcome::Accepted, "{answer:?}");
    }
}

#[tokio::test]
async fn a_token_endpoint_that_can_not_be_reached_or_trusted() {
    let (vendor, stranger) = (vendor().await, vendor().await);
    let token_endpoint = Some("https://127.0.0.1:1/token".to_owned());
    let away = Fcm::new(Settings { token_endpoint, ..settings(&vendor) }, Clock::system()).unwrap();
    let outcome = away.send(&push(1)).await;
    assert!(reason(&outcome, "unavailable").starts_with("token endpoint: "), "{outcome:?}");
    let token_endpoint = Some(format!("{}/token", stranger.url()));
    let strange = Fcm::new(Settings { token_endpoint, ..settings(&vendor) }, Clock::system()).unwrap();
    let outcome = strange.send(&push(1)).await;
    assert!(reason(&outcome, "operator-fault").contains("check ca_file"), "{outcome:?}");
}

#[tokio::test]
async fn answers_become_outcomes() {
    let vendor = vendor().await;
    let fcm = fcm(&vendor, limits());
    let wait = Some(Duration::from_secs(30));
    let rows = [
        (Answer::fcm(404, "NOT_FOUND", Some("UNREGISTERED")), Outcome::Gone { since: None }),
        (Answer::fcm(404, "NOT_FOUND", None), Outcome::OperatorFault("NOT_FOUND".into())),
        (
            Answer::fcm(403, "PERMISSION_DENIED", Some("SENDER_ID_MISMATCH")),
            Outcome::Suspect("SENDER_ID_MISMATCH".into()),
        ),
        (
            Answer::fcm(429, "RESOURCE_EXHAUSTED", Some("QUOTA_EXCEEDED")).retry_after("30"),
            Outcome::Throttled { retry_after: wait, reason: "QUOTA_EXCEEDED".into() },
        ),
        (
            Answer::fcm(503, "UNAVAILABLE", Some("UNAVAILABLE")).retry_after("30"),
            Outcome::Unavailable { retry_after: wait, reason: "UNAVAILABLE".into() },
        ),
    ];
    for (id, (answer, expected)) in (1..).zip(rows) {
        vendor.once(&format!("t-{id}"), Behaviour::Answer(answer.clone()));
        assert_eq!(fcm.send(&push(id)).await, expected, "{answer:?}");
    }
}

#[tokio::test]
async fn a_service_account_is_checked_without_a_network() {
    let vendor = vendor().await;
    let made = |json: &str| {
        let service_account = json.as_bytes().to_vec();
        Fcm::new(Settings { service_account, ..settings(&vendor) }, Clock::system()).err()
    };
    let good = &vendor.keys().service_account;
    assert_eq!(made(good), None);
    let no_email = good.replace("client_email", "x");
    assert_eq!(made(&no_email), Some(CredentialError::BadServiceAccount("client_email is missing")));
    let plain = good.replace("https://", "http://");
    let expected = CredentialError::BadServiceAccount("token_uri, or token_endpoint, is no https:// URL");
    assert_eq!(made(&plain), Some(expected));
    let ec = serde_json::json!({"project_id": "p", "client_email": "e", "private_key": vendor.keys().p8_pem});
    assert_eq!(made(&ec.to_string()), Some(CredentialError::NotRsa));
}
