//! Row 14: what a push says, and what leaves the host.

use serde_json::{Value, json};

use crate::scene::{Scene, Setting, THIRD, TOKEN};

const TEXT: &str = "Hello, this is m1";
const BOB: &str = "bob@localhost/desk";

/// SHA-1 of `alice@localhost`, NUL and the device id that `steps::register` sends.
const ALICE_ON_HER_PHONE: &str = "12f8203e15c0732329f525206c5d8c3b8d9410a3";

/// What came of one message to a phone that is registered with both push services.
struct Seen {
    /// The third party's, form fields in order.
    third: Vec<(String, String)>,
    /// Apple's payload.
    apple: Value,
    /// Whether the text was on the component link.
    text_left_the_host: bool,
}

async fn seen(rules: &str, more: &str) -> Seen {
    let mut scene = Scene::set(&Setting { rules, more, ..Setting::default() }).await;
    let mut phone = scene.phone().await;
    scene.enable_ours(&mut phone, TOKEN).await;
    phone.close().await;
    scene.tap.wait_for_events("end", "alice", 1).await;
    scene.write("alice", "m1").await;
    let third = scene.third.wait_for(1).await.remove(0);
    let apple = scene.vendors.pushes(1).await.remove(0);
    assert_eq!(apple.header("apns-push-type"), "alert", "important, whatever it says");
    let log = scene.daemon.log();
    assert!(!log.contains(TEXT), "no text in a log:\n{log}");
    Seen {
        third: third.says().into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        apple: apple.json(),
        text_left_the_host: scene.tap.words_of_the_host().contains(TEXT),
    }
}

impl Seen {
    fn assert_third(&self, expected: &[(&str, &str)]) {
        let third: Vec<_> = self.third.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(third, expected);
    }

    /// Apple's payload says this, and nothing else about the message.
    fn assert_apple(&self, alert: &Value) {
        let expected = json!({
            "aps": {"alert": alert, "sound": "default", "mutable-content": 1},
            "class": "important",
            "account": ALICE_ON_HER_PHONE,
            "count": 1,
        });
        assert_eq!(self.apple, expected);
    }
}

async fn row_14_by_default_a_push_says_nothing_and_no_text_leaves_the_host() {
    let seen = seen("", "").await;
    seen.assert_third(&[("message-count", "1"), ("last-message-body", "New Message!")]);
    seen.assert_apple(&json!({"body": "New Message!"}));
    assert!(!seen.text_left_the_host);
}

async fn row_14_with_body_the_text_goes_out() {
    let seen = seen("with_body = true", "").await;
    seen.assert_third(&[("message-count", "1"), ("last-message-body", TEXT)]);
    seen.assert_apple(&json!({"body": TEXT}));
    assert!(seen.text_left_the_host);
}

async fn row_14_with_sender_the_sender_goes_out_and_no_text_leaves_the_host() {
    let seen = seen("with_sender = true", "").await;
    seen.assert_third(&[("message-count", "1"), ("last-message-sender", BOB), ("last-message-body", "New Message!")]);
    seen.assert_apple(&json!({"title": BOB, "body": "New Message!"}));
    assert!(!seen.text_left_the_host);
}

async fn row_14_an_empty_important_body_sends_none() {
    let seen = seen("important_body = \"\"", "").await;
    seen.assert_third(&[("message-count", "1")]);
    // An iPhone shows nothing of an alert without any words: it gets the app's name.
    seen.assert_apple(&json!({"title": "chat-ios"}));
    assert!(!seen.text_left_the_host);
}

async fn row_14_one_service_with_a_setting_of_its_own() {
    let service = format!("[[rules.service]]\njid = \"{THIRD}\"\nwith_body = true\nwith_sender = true");
    let seen = seen("important_body = \"Something new\"", &service).await;
    seen.assert_third(&[("message-count", "1"), ("last-message-sender", BOB), ("last-message-body", TEXT)]);
    seen.assert_apple(&json!({"body": "Something new"}));
    assert!(seen.text_left_the_host, "it had to, for one of them");
}

async fn row_14_where_only_one_service_gets_texts_those_of_others_stay_on_the_host() {
    let service = format!("[[rules.service]]\njid = \"{THIRD}\"\nwith_body = true");
    let mut scene = Scene::set(&Setting { more: &service, ..Setting::default() }).await;
    let mut phone = scene.plain("alice", "phone").await;
    scene.enable_ours(&mut phone, TOKEN).await;
    phone.close().await;
    let mut phone = scene.plain("dave", "phone").await;
    scene.enable(&mut phone, "of-dave").await;
    phone.close().await;
    for user in ["alice", "dave"] {
        scene.tap.wait_for_events("end", user, 1).await;
        scene.write(user, &format!("for-{user}")).await;
    }
    scene.vendors.pushes(1).await;
    assert_eq!(scene.third.wait_for(1).await[0].value("last-message-body"), Some("Hello, this is for-dave"));
    scene.quiet().await;
    let words = scene.tap.words_of_the_host();
    assert!(words.contains("Hello, this is for-dave") && !words.contains("Hello, this is for-alice"));
}

crate::on_hosts::on_hosts! {
    both: [
        row_14_by_default_a_push_says_nothing_and_no_text_leaves_the_host,
        row_14_with_body_the_text_goes_out,
        row_14_with_sender_the_sender_goes_out_and_no_text_leaves_the_host,
        row_14_an_empty_important_body_sends_none,
        row_14_one_service_with_a_setting_of_its_own,
        row_14_where_only_one_service_gets_texts_those_of_others_stay_on_the_host,
    ],
}
