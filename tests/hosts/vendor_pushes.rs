//! What the vendors get: one push with the right headers and payload, and none for a device that they call gone.

use pushkeeper::clock::Clock;
use serde_json::json;

use crate::component::Component;
use crate::server::PASSWORD;
use crate::steps::{
    Device, FOREIGN, foreign_iq, foreign_publish, goes_away, host, message_from_bob, pushkeeper, reads_the_message,
    refusal, register_command,
};
use crate::vendors::Vendors;

const APNS_TOKEN: &str = "ac4089a5c1f0ac4089a5c1f0ac4089a5c1f0ac4089a5c1f0ac4089a5c1f00001";
const FCM_TOKEN: &str = "fcm-token-1";

/// SHA-1 of `alice@localhost`, NUL and the device id that `steps::register` sends.
const ALICE_ON_HER_PHONE: &str = "12f8203e15c0732329f525206c5d8c3b8d9410a3";

async fn a_message_to_a_lost_connection_is_exactly_one_push_to_apns() {
    let (host, vendors) = (host().await, Vendors::start().await);
    let _pushkeeper = pushkeeper(&host, &vendors.apps()).await;
    let session = goes_away(&host, "apns", APNS_TOKEN).await;

    message_from_bob(&host, "m1").await;
    let push = vendors.pushes(1).await.remove(0);
    assert_eq!(push.path, format!("/3/device/{APNS_TOKEN}"));
    for (header, expected) in [("apns-topic", "org.example.chat"), ("apns-push-type", "alert"), ("apns-priority", "10")]
    {
        assert_eq!(push.header(header), expected, "{header}");
    }
    assert!(push.header("authorization").starts_with("bearer "), "a provider token");
    let expires: u64 = push.header("apns-expiration").parse().expect("seconds");
    let in_days = expires.saturating_sub(Clock::system().wall().secs()) / (24 * 3600);
    assert!((27..=28).contains(&in_days), "four weeks from now, not {in_days} days");
    // Prosody's dummy text: the message itself stays on the server.
    let expected = json!({
        "aps": {"alert": {"body": "New Message!"}, "sound": "default", "mutable-content": 1},
        "class": "important",
        "account": ALICE_ON_HER_PHONE,
        "count": 1,
    });
    assert_eq!(push.json(), expected);

    // Prosody collects for a second: by the push of the next message, a second one of the first would have come.
    message_from_bob(&host, "m2").await;
    assert_eq!(vendors.pushes(2).await.len(), 2, "exactly one each");
    reads_the_message(&host, session, "m1").await;
}

async fn a_message_to_a_lost_connection_is_exactly_one_push_to_fcm() {
    let (host, vendors) = (host().await, Vendors::start().await);
    let _pushkeeper = pushkeeper(&host, &vendors.apps()).await;
    let session = goes_away(&host, "fcm", FCM_TOKEN).await;

    message_from_bob(&host, "m1").await;
    let push = vendors.pushes(1).await.remove(0);
    assert_eq!(push.path, "/v1/projects/project-1/messages:send");
    assert!(push.header("authorization").starts_with("Bearer "), "an access token");
    let expected = json!({"message": {
        "token": FCM_TOKEN,
        "data": {"account": ALICE_ON_HER_PHONE},
        "android": {"priority": "HIGH", "ttl": "2419200s", "collapse_key": "12f820"},
    }});
    assert_eq!(push.json(), expected);

    // Prosody collects for a second: by the push of the next message, a second one of the first would have come.
    message_from_bob(&host, "m2").await;
    assert_eq!(vendors.pushes(2).await.len(), 2, "exactly one each");
    reads_the_message(&host, session, "m1").await;
}

async fn once_the_vendor_says_gone_every_publish_is_answered_item_not_found() {
    let (host, vendors) = (host().await, Vendors::start().await);
    let _pushkeeper = pushkeeper(&host, &vendors.apps()).await;
    let mut server = Component::connect(host.component_port(), FOREIGN, PASSWORD).await;
    let register = foreign_iq("r1", "juliet", &register_command("apns", "", "device", APNS_TOKEN));
    server.send(&register).await;
    let device = Device::from_answer(&server.next_answer().await);

    server.send(&foreign_publish("p1", &device)).await;
    assert_eq!(refusal(&server.next_answer().await), None, "it lives");

    // Only what died after its registration is dead.
    vendors.is_gone(APNS_TOKEN, Clock::system().wall().millis() + 60_000);
    for id in ["p2", "p3", "p4"] {
        server.send(&foreign_publish(id, &device)).await;
        let answer = server.next_answer().await;
        assert_eq!(refusal(&answer).as_deref(), Some("cancel/item-not-found"), "{id}");
    }
    assert_eq!(vendors.vendor.pushes().len(), 2, "the vendor hears of a dead device no more");

    server.send(&register).await;
    assert_eq!(Device::from_answer(&server.next_answer().await), device, "a new registration revives it");
}

crate::on_hosts::on_hosts! {
    both: [
        once_the_vendor_says_gone_every_publish_is_answered_item_not_found,
    ],
    prosody: [
        a_message_to_a_lost_connection_is_exactly_one_push_to_apns,
        a_message_to_a_lost_connection_is_exactly_one_push_to_fcm,
    ],
}
