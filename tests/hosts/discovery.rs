//! What a client of the host finds out about us.

use minidom::Element;

use crate::server::HOST;
use crate::steps::{SERVICE, STUB_APP, host, online, pushkeeper, refusal};

const INFO: &str = "http://jabber.org/protocol/disco#info";
const ITEMS: &str = "http://jabber.org/protocol/disco#items";

async fn a_client_finds_the_push_service_among_the_items_of_its_server() {
    let host = host().await;
    let _pushkeeper = pushkeeper(&host, STUB_APP).await;
    let mut client = online(&host, "alice", "phone").await;

    let items = client.iq("get", Some(HOST), &format!("<query xmlns='{ITEMS}'/>")).await;
    let jids: Vec<_> = query(&items, ITEMS).children().filter_map(|item| item.attr("jid")).collect();
    assert!(jids.contains(&SERVICE), "{jids:?}");

    let info = client.iq("get", Some(SERVICE), &format!("<query xmlns='{INFO}'/>")).await;
    let info = query(&info, INFO);
    let identity = info.get_child("identity", INFO).expect("an identity");
    assert_eq!((identity.attr("category"), identity.attr("type")), (Some("pubsub"), Some("push")));
    let features: Vec<_> = info.children().filter_map(|feature| feature.attr("var")).collect();
    for feature in [INFO, ITEMS, "http://jabber.org/protocol/commands", "urn:xmpp:push:0", "urn:xmpp:ping"] {
        assert!(features.contains(&feature), "{feature} is not among {features:?}");
    }
}

async fn pings_are_answered_and_what_is_not_known_is_refused() {
    let host = host().await;
    let _pushkeeper = pushkeeper(&host, STUB_APP).await;
    let mut client = online(&host, "alice", "phone").await;
    let rows = [
        ("get", "<ping xmlns='urn:xmpp:ping'/>", None),
        ("get", "<time xmlns='urn:example:unknown'/>", Some("cancel/service-unavailable")),
        ("set", "<query xmlns='jabber:iq:roster'/>", Some("cancel/service-unavailable")),
        (
            "set",
            "<command xmlns='http://jabber.org/protocol/commands' node='no-such-command'/>",
            Some("cancel/item-not-found"),
        ),
    ];
    for (kind, payload, expected) in rows {
        let answer = client.iq(kind, Some(SERVICE), payload).await;
        assert_eq!(refusal(&answer).as_deref(), expected, "{payload}");
    }
}

fn query<'a>(answer: &'a Element, namespace: &str) -> &'a Element {
    answer.get_child("query", namespace).unwrap_or_else(|| panic!("no query: {}", String::from(answer)))
}

crate::on_hosts::on_hosts! {
    both: [
        a_client_finds_the_push_service_among_the_items_of_its_server,
        pings_are_answered_and_what_is_not_known_is_refused,
    ],
}
