//! Each order as it is on the wire.

use crate::xmpp::xml::Document;
use xmpp_parsers::data_forms::{DataForm, DataFormType};
use xmpp_parsers::iq::Iq;
use xmpp_parsers::minidom::Element as Tree;
use xmpp_parsers::pubsub::PubSub;

use super::*;
use crate::domain::ids::{Domain, Node};
use crate::domain::secret::{Private, Secret};
use crate::domain::session::Sid;
use crate::flows::signals::OrderId;

/// An order, as the whole iq. Its id is left to `service`.
fn written(what: OrderKind) -> String {
    let service = Service::new(Domain::new("push.example.net"), []);
    let order = Order { id: OrderId(7), host: Domain::new("example.org"), what };
    let mut out = BytesMut::new();
    write(&mut out, &service, &order);
    let text = String::from_utf8(out.to_vec()).expect("UTF-8");
    let id = service.wire_id(OrderId(7));
    let payload = text.strip_prefix(&format!("<iq type='set' id='{id}' from='push.example.net' to='example.org'>"));
    let payload = payload.and_then(|rest| rest.strip_suffix("</iq>")).expect("an iq to the host").to_owned();
    // Whoever reads it must not need what is around it.
    Document::parse(&payload).expect("XML");
    payload
}

fn alice() -> Account {
    Account::new("alice@example.org")
}

#[test]
fn orders_are_those_of_the_norm() {
    let millis = Duration::from_millis;
    let timeout = |window| OrderKind::Timeout {
        account: alice(),
        resource: "phone's".into(),
        sid: Sid::new("avZ"),
        since: "2026-11-22T02:49:40.120Z".into(),
        window,
    };
    let watch =
        |list: Option<&str>, complete, accounts| OrderKind::Watch { list: list.map(Into::into), complete, accounts };
    let watched = |user: &str, texts, contacts| Watched {
        account: Account::new(format!("{user}@example.org")),
        facts: Facts { texts, contacts },
    };
    let (all, some, none) = (watched("alice", true, true), watched("bob", false, true), watched("o&o", false, false));
    let rows = [
        (OrderKind::Check, "<check xmlns='urn:pushkeeper:host:0'></check>"),
        (
            OrderKind::Sync { token: "k3f<".into(), ack_delay: millis(30_000) },
            "<sync xmlns='urn:pushkeeper:host:0' token='k3f&lt;' ack-delay='30'>@F@</sync>",
        ),
        (
            OrderKind::Sync { token: "t".into(), ack_delay: millis(500) },
            "<sync xmlns='urn:pushkeeper:host:0' token='t' ack-delay='0.5'>@F@</sync>",
        ),
        (
            watch(Some("l1"), true, vec![all, some, none]),
            "<watch xmlns='urn:pushkeeper:host:0' list='l1' complete='true'>\
             <account user='alice' content='full' contacts='true'/><account user='bob' contacts='true'/>\
             <account user='o&amp;o'/></watch>",
        ),
        (watch(Some("l1"), true, vec![]), "<watch xmlns='urn:pushkeeper:host:0' list='l1' complete='true'></watch>"),
        (
            watch(None, false, vec![Watched { account: alice(), facts: Facts::default() }]),
            "<watch xmlns='urn:pushkeeper:host:0'><account user='alice'/></watch>",
        ),
        (
            OrderKind::Unwatch { accounts: vec![alice()] },
            "<unwatch xmlns='urn:pushkeeper:host:0'><account user='alice'/></unwatch>",
        ),
        (
            timeout(millis(259_200_000)),
            "<timeout xmlns='urn:pushkeeper:host:0' user='alice' resource='phone&apos;s' sid='avZ' \
             since='2026-11-22T02:49:40.120Z' seconds='259200'></timeout>",
        ),
        (
            timeout(Duration::ZERO),
            "<timeout xmlns='urn:pushkeeper:host:0' user='alice' resource='phone&apos;s' sid='avZ' \
             since='2026-11-22T02:49:40.120Z' seconds='0'></timeout>",
        ),
    ];
    let features: String = [
        "urn:xmpp:push:0",
        "tigase:push:filter:ignore-unknown:0",
        "tigase:push:filter:groupchat:0",
        "tigase:push:filter:muted:0",
        "tigase:push:priority:0",
        "tigase:push:encrypt:0",
        "tigase:push:encrypt:aes-128-gcm",
        "tigase:push:jingle:0",
        "tigase:push:away:0",
    ]
    .map(|feature| format!("<feature var='{feature}'/>"))
    .concat();
    for (what, expected) in rows {
        assert_eq!(written(what), expected.replace("@F@", &features));
    }
}

#[test]
fn only_zero_seconds_are_written_as_zero() {
    let rows = [
        (Duration::ZERO, "0"),
        (Duration::from_nanos(1), "0.001"),
        (Duration::from_millis(20), "0.02"),
        (Duration::from_millis(1500), "1.5"),
        (Duration::from_micros(1_999_999), "2"),
        (Duration::from_secs(600), "600"),
        (Duration::MAX, "18446744073709551616"),
    ];
    for (time, expected) in rows {
        assert_eq!(seconds(time), expected, "{time:?}");
    }
}

fn relay(node: &str, options: Option<&str>, words: Words) -> OrderKind {
    let to = RegistrationKey { account: alice(), service: "push.third.example".into(), node: Node::new(node) };
    let options = options.map(|xml| Options { xml: xml.into(), secret: Some(Secret::new("s3")) });
    OrderKind::Relay { to, options, words }
}

fn said(sender: &str, body: &str) -> Words {
    Words { sender: Some(Private::new(sender)), body: Some(Private::new(body)), ..Words::default() }
}

const FORM: &str = "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>\
                    <value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
                    <field var='secret'><value>s3</value></field></x>";

#[test]
fn a_relay_is_a_publish_with_what_may_be_said() {
    let words = said("bob@example.org/<pc>", "it's\n5 > 4");
    let expected = format!(
        "<relay xmlns='urn:pushkeeper:host:0' to='push.third.example'>\
         <pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='n&amp;1'><item>\
         <notification xmlns='urn:xmpp:push:0'><x xmlns='jabber:x:data' type='submit'>\
         <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:push:summary</value></field>\
         <field var='message-count'><value>1</value></field>\
         <field var='last-message-sender'><value>bob@example.org/&lt;pc&gt;</value></field>\
         <field var='last-message-body'><value>it&apos;s&#10;5 &gt; 4</value></field></x></notification></item>\
         </publish><publish-options>{FORM}</publish-options></pubsub></relay>"
    );
    assert_eq!(written(relay("n&1", Some(FORM), words)), expected);
}

#[test]
fn what_is_empty_is_not_said() {
    let expected = "<relay xmlns='urn:pushkeeper:host:0' to='push.third.example'>\
                    <pubsub xmlns='http://jabber.org/protocol/pubsub'><publish><item>\
                    <notification xmlns='urn:xmpp:push:0'><x xmlns='jabber:x:data' type='submit'>\
                    <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:push:summary</value></field>\
                    <field var='message-count'><value>1</value></field></x></notification></item></publish></pubsub></relay>";
    let empty = || Some(Private::new(""));
    for words in [Words::default(), Words { sender: empty(), body: empty(), ..Words::default() }] {
        assert_eq!(written(relay("", None, words)), expected);
    }
}

#[test]
fn who_asked_for_more_is_told_more() {
    let sealed = |voip| Some(Sealed { iv: "aXY=".into(), payload: Private::new("c2VhbGVk+/=="), voip });
    let call = |action| Some(CallSaid { action, sid: "ca'3".into(), media: Vec::new() });
    let propose = Some(CallSaid { media: vec!["audio", "video"], ..call("propose").unwrap() });
    let (high, low) = (Some(Priority::High), Some(Priority::Low));
    let form = "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>\
                <value>urn:xmpp:push:summary</value></field><field var='message-count'><value>1</value></field></x>";
    let none = Words::default;
    let rows = [
        (Words { priority: low, ..none() }, format!("{form}<priority xmlns='tigase:push:priority:0'>low</priority>")),
        (
            Words { sealed: sealed(false), ..said("bob@example.org", "hi") },
            "<encrypted xmlns='tigase:push:encrypt:0' iv='aXY='>c2VhbGVk+/==</encrypted>".to_owned(),
        ),
        (
            Words { sealed: sealed(true), priority: high, call: propose, ..none() },
            "<encrypted xmlns='tigase:push:encrypt:0' iv='aXY=' type='voip'>c2VhbGVk+/==</encrypted>\
             <priority xmlns='tigase:push:priority:0'>high</priority>\
             <jingle xmlns='tigase:push:jingle:0' action='propose' sid='ca&apos;3'><media>audio</media>\
             <media>video</media></jingle>"
                .to_owned(),
        ),
        (
            Words { call: call("retract"), ..none() },
            format!("{form}<jingle xmlns='tigase:push:jingle:0' action='retract' sid='ca&apos;3'></jingle>"),
        ),
    ];
    for (words, expected) in rows {
        let text = written(relay("n1", None, words));
        let (_, notification) = text.split_once("<notification xmlns='urn:xmpp:push:0'>").expect(&text);
        assert_eq!(notification.split_once("</notification>").expect(&text).0, expected);
    }
}

#[test]
fn a_relay_is_understood_by_strict_eyes() {
    let words = said("bob@example.org/pc", "hi");
    let text = written(relay("n1", Some(FORM), words));
    let tree: Tree = text.parse().expect("XML");
    let payload = tree.get_child("pubsub", ns::PUBSUB).expect("a pubsub").clone();
    let Ok(PubSub::Publish { publish, publish_options }) = PubSub::try_from(payload) else { panic!("{text}") };
    assert_eq!((publish.node.0.as_str(), publish.items.len()), ("n1", 1));
    let notification = publish.items[0].payload.clone().expect("a payload");
    assert!(notification.is("notification", ns::PUSH), "{text}");
    let form = DataForm::try_from(notification.get_child("x", ns::DATA_FORM).expect("a form").clone()).expect("a form");
    assert_eq!((&form.type_, form.form_type()), (&DataFormType::Submit, Some(ns::PUSH_SUMMARY)));
    let values: Vec<_> =
        form.fields.iter().map(|field| (field.var.as_deref().unwrap_or_default(), field.values.concat())).collect();
    let value = |name: &str| values.iter().find(|(var, _)| *var == name).map(|(_, value)| value.as_str());
    assert_eq!(value("message-count"), Some("1"));
    assert_eq!(value("last-message-sender"), Some("bob@example.org/pc"));
    assert_eq!(value("last-message-body"), Some("hi"));
    let options = publish_options.expect("options").form.expect("a form");
    assert_eq!(options.form_type(), Some(ns::PUBLISH_OPTIONS));
    let secret = options.fields.iter().find(|field| field.var.as_deref() == Some("secret")).expect("a secret");
    assert_eq!(secret.values, ["s3"]);
}

#[test]
fn an_order_is_an_iq_set() {
    let service = Service::new(Domain::new("push.example.net"), []);
    let order = Order { id: OrderId(1), host: Domain::new("example.org"), what: OrderKind::Check };
    let mut out = BytesMut::new();
    write(&mut out, &service, &order);
    let text = String::from_utf8(out.to_vec()).unwrap();
    let tree: Tree = text.replacen("<iq ", "<iq xmlns='jabber:component:accept' ", 1).parse().unwrap();
    let Ok(Iq::Set { from, to, id, payload }) = Iq::try_from(tree) else { panic!("{text}") };
    let jid = |jid: Option<jid::Jid>| jid.map(|jid| jid.to_string());
    assert_eq!((jid(from).as_deref(), jid(to).as_deref()), (Some("push.example.net"), Some("example.org")));
    assert_eq!(service.order(&id), Some(OrderId(1)));
    assert!(payload.is("check", ns::HOST));
}
