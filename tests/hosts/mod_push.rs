//! ejabberd's own `mod_push` publishes to us as to any push service.

use serde_json::json;

use crate::process::PATIENCE;
use crate::server::HOST;
use crate::steps::{configuration, goes_away, host, message_from_bob, online, pushkeeper, reads_the_message};
use crate::vendor::{Answer, Behaviour};
use crate::vendors::Vendors;

const TOKEN: &str = "ac4089a5c1f0ac4089a5c1f0ac4089a5c1f0ac4089a5c1f0ac4089a5c1f00001";

async fn a_message_is_one_important_push() {
    let (host, vendors) = (host().await, Vendors::start().await);
    let _pushkeeper = pushkeeper(&host, &vendors.apps()).await;
    let session = goes_away(&host, "apns", TOKEN).await;
    message_from_bob(&host, "m1").await;
    let push = vendors.pushes(1).await.remove(0);
    assert_eq!((push.header("apns-push-type"), push.header("apns-priority")), ("alert", "10"));
    // mod_push's dummy text, and no count: the message itself stays on the server.
    assert_eq!(push.json().pointer("/aps/alert/body"), Some(&json!("New message")), "{}", push.json());
    assert_eq!(push.json().get("class"), Some(&json!("important")), "{}", push.json());
    message_from_bob(&host, "m2").await;
    assert_eq!(vendors.pushes(2).await.len(), 2, "exactly one each");
    reads_the_message(&host, session, "m1").await;
}

async fn a_stanza_without_a_body_is_a_publish_without_a_form_and_an_unimportant_push() {
    let (host, vendors) = (host().await, Vendors::start().await);
    let _pushkeeper = pushkeeper(&host, &vendors.apps()).await;
    let _session = goes_away(&host, "apns", TOKEN).await;
    let mut bob = online(&host, "bob", "desk").await;
    let composing = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
    bob.send(&format!("<message type='chat' id='c1' to='alice@{HOST}/phone'>{composing}</message>")).await;
    let push = vendors.pushes(1).await.remove(0);
    assert_eq!(push.header("apns-push-type"), "background", "{}", push.json());
    assert_eq!(push.json().pointer("/aps/alert"), None, "{}", push.json());
}

async fn a_registration_is_still_there_after_a_vendor_outage() {
    let (host, vendors) = (host().await, Vendors::start().await);
    let config = configuration(&host, &vendors.apps()).replace("answer_within = \"20s\"", "answer_within = \"1s\"");
    let _pushkeeper = crate::daemon::Daemon::linked(&config).await;
    let session = goes_away(&host, "apns", TOKEN).await;
    vendors.vendor.everything(Some(Behaviour::Answer(Answer::apns(503, "ServiceUnavailable"))));
    message_from_bob(&host, "m1").await;
    let told = async {
        while !host.log().contains("temporarily") {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let told = tokio::time::timeout(PATIENCE, told).await;
    assert!(told.is_ok(), "ejabberd is told to come again: {}", host.log());

    vendors.vendor.everything(None);
    let before = vendors.vendor.pushes().len();
    message_from_bob(&host, "m2").await;
    vendors.pushes(before + 1).await;
    assert!(!host.log().contains("disabling push"), "{}", host.log());
    reads_the_message(&host, session, "m2").await;
}

crate::on_hosts::on_hosts! {
    both: [],
    ejabberd: [
        a_message_is_one_important_push,
        a_stanza_without_a_body_is_a_publish_without_a_form_and_an_unimportant_push,
        a_registration_is_still_there_after_a_vendor_outage,
    ],
}
