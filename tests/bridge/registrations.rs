//! `<enable/>` and `<disable/>`.

use crate::rig::{Keeper, Manner, NS, bound, chat, host, online, refusal};
use crate::server::{HOST, SERVICE, Tune};

const FORM: &str = "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
                    <value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
                    <field var='secret'><value>s3cret</value></field></x>";

async fn a_registration_travels_alone_and_untouched_and_the_client_gets_the_answer() {
    let host = host(&[]).await;
    let mut keeper = Keeper::linked(&host, &[]).await;
    let mut phone = online(&host, "alice", "phone").await;
    assert_eq!(refusal(&phone.enable_push(SERVICE, "node-1", FORM).await), None);
    let enable = keeper.next("registration").await;
    assert_eq!(["user", "resource", "state"].map(|name| enable.attr(name)), ["alice", "phone", "active"]);
    let inside = enable.element.get_child("enable", "urn:xmpp:push:0").expect("enable");
    assert_eq!((inside.attr("jid"), inside.attr("node")), (Some(SERVICE), Some("node-1")));
    assert!(String::from(inside).contains("s3cret"), "{}", enable.text());
    assert_eq!(enable.together, 1);

    let disable = format!("<disable xmlns='urn:xmpp:push:0' jid='{SERVICE}'/>");
    assert_eq!(
        refusal(&phone.iq("set", Some(&format!("alice@{HOST}")), &disable).await),
        None,
        "the own address is fine"
    );
    let disabled = keeper.next("registration").await;
    assert!(disabled.element.get_child("disable", "urn:xmpp:push:0").is_some());
    assert_eq!(disabled.attr("sid"), enable.attr("sid"));
    assert_eq!(keeper.gaps(), []);
    // A get is no registration.
    let get = phone.iq("get", None, "<enable xmlns='urn:xmpp:push:0'/>").await;
    assert_eq!(refusal(&get).as_deref(), Some("cancel/service-unavailable"));
}

async fn an_account_is_watched_from_its_enable_on_unless_it_is_refused() {
    let host = host(&[]).await;
    let mut keeper = Keeper::linked(&host, &[]).await;
    let mut phone = online(&host, "alice", "phone").await;
    let mut bob = online(&host, "bob", "desk").await;
    keeper.answers_registrations(Manner::Refuse(
        "<error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
         <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>No jid</text><refused xmlns='urn:pushkeeper:host:0'/></error>",
    ));
    let answer = phone.enable_push(SERVICE, "n", "").await;
    assert_eq!(refusal(&answer).as_deref(), Some("modify/bad-request"));
    let text = String::from(&answer);
    assert!(text.contains("No jid") && !text.contains("refused") && !text.contains(NS), "{text}");
    bob.send(&chat(&format!("alice@{HOST}"), "m1", "Hello")).await;
    phone.wait_for("the message", |it| it.attr("id") == Some("m1")).await;
    let events = keeper.fence(&host).await;
    assert!(events.iter().all(|it| it.ids().is_empty()), "nobody watches alice: {events:#?}");

    keeper.answers_registrations(Manner::Accept);
    assert_eq!(refusal(&phone.enable_push(SERVICE, "n", "").await), None, "the link lives");
    bob.send(&chat(&format!("alice@{HOST}"), "m2", "Hello")).await;
    assert_eq!(keeper.next("archived").await.ids(), ["m2"]);
    // A refusal takes nothing from an account that is watched already.
    keeper.answers_registrations(Manner::Refuse(
        "<error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><refused xmlns='urn:pushkeeper:host:0'/></error>",
    ));
    assert!(refusal(&phone.enable_push(SERVICE, "n", "").await).is_some());
    bob.send(&chat(&format!("alice@{HOST}"), "m3", "Hello")).await;
    assert_eq!(keeper.next("archived").await.ids(), ["m3"]);
}

async fn an_error_that_is_not_for_the_client_ends_the_link() {
    let host = host(&[]).await;
    let keeper = Keeper::linked(&host, &[]).await;
    let mut phone = online(&host, "alice", "phone").await;
    keeper.answers_registrations(Manner::Refuse(
        "<error type='cancel'><feature-not-implemented xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
    ));
    assert_eq!(refusal(&phone.enable_push(SERVICE, "n", "").await).as_deref(), Some("wait/service-unavailable"));
    let check = keeper.order(&format!("<check xmlns='{NS}'/>")).await;
    assert_eq!(refusal(&check).as_deref(), Some("cancel/unexpected-request"));
}

async fn no_answer_in_time_is_a_wait_for_the_client() {
    let host = host(&[Tune::AnswerTimeout(1)]).await;
    let keeper = Keeper::linked(&host, &[]).await;
    let mut phone = online(&host, "alice", "phone").await;
    keeper.answers_registrations(Manner::Ignore);
    assert_eq!(refusal(&phone.enable_push(SERVICE, "n", "").await).as_deref(), Some("wait/service-unavailable"));
    let check = keeper.order(&format!("<check xmlns='{NS}'/>")).await;
    assert_eq!(refusal(&check).as_deref(), Some("cancel/unexpected-request"));
}

async fn nobody_registers_for_somebody_else() {
    let host = host(&[]).await;
    let mut keeper = Keeper::linked(&host, &[]).await;
    let mut bob = online(&host, "bob", "desk").await;
    for name in ["enable", "disable"] {
        let stanza = format!("<{name} xmlns='urn:xmpp:push:0' jid='{SERVICE}' node='n'/>");
        let answer = bob.iq("set", Some(&format!("alice@{HOST}")), &stanza).await;
        assert_eq!(refusal(&answer).as_deref(), Some("auth/forbidden"), "{name}");
    }
    assert_eq!(keeper.fence(&host).await.iter().filter(|it| it.name() == "registration").count(), 0);
}

async fn a_registration_that_is_too_large_does_not_leave_the_host() {
    let host = host(&[]).await;
    let mut keeper = Keeper::linked(&host, &[]).await;
    let mut phone = online(&host, "alice", "phone").await;
    let field = |text: &str| format!("<x xmlns='jabber:x:data'><field var='a'><value>{text}</value></field></x>");
    let nested = |levels: usize| format!("{}{}", "<x>".repeat(levels), "</x>".repeat(levels));
    let refused = Some("modify/policy-violation");
    for (what, options, expected) in [
        ("a value of 4096 bytes", field(&"v".repeat(4096)), None),
        ("a value of 4097 bytes", field(&"v".repeat(4097)), refused),
        ("8 levels", nested(7), None),
        ("9 levels", nested(8), refused),
        ("15 kB", field(&"v".repeat(3000)).repeat(5), None),
        ("17 kB", field(&"v".repeat(3400)).repeat(5), refused),
        ("what XML reserves", "<x xmlns='jabber:x:data'><xml:y/></x>".to_owned(), refused),
    ] {
        assert_eq!(refusal(&phone.enable_push(SERVICE, "n", &options).await).as_deref(), expected, "{what}");
    }
    let answer = phone.enable_push(&format!("{}.example", "j".repeat(5000)), "n", "").await;
    assert_eq!(refusal(&answer).as_deref(), refused, "an attribute is a value");
    let forwarded = keeper.fence(&host).await.iter().filter(|it| it.name() == "registration").count();
    assert_eq!(forwarded, 3);
}

async fn events_before_a_registration_come_before_it() {
    let host = host(&[]).await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let mut bob = online(&host, "bob", "desk").await;
    let mut phone = online(&host, "alice", "phone").await;
    keeper.fence(&host).await;
    // What comes within 100 ms of a batch waits, unless a registration comes.
    for n in 0..20 {
        bob.send(&chat(&format!("alice@{HOST}"), &format!("m{n}"), "Hello")).await;
        phone.wait_for("the message", |it| it.attr("id") == Some(&format!("m{n}"))).await;
        assert_eq!(refusal(&phone.enable_push(SERVICE, &format!("n{n}"), "").await), None);
        assert_eq!(keeper.next("archived").await.ids(), [format!("m{n}")]);
        keeper.next("registration").await;
    }
    let names: Vec<String> = keeper.fence(&host).await.iter().map(|it| it.name().to_owned()).collect();
    assert_eq!(names, Vec::<String>::new());
    assert_eq!(keeper.gaps(), []);
}

async fn many_registrations_at_once_are_all_answered_in_order() {
    let host = host(&[]).await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let mut clients = Vec::new();
    for n in 0..10 {
        clients.push(bound(&host, "alice", &format!("r{n}")).await);
    }
    for client in &mut clients {
        let all: String = (0..10)
            .map(|n| {
                format!("<iq type='set' id='e{n}'><enable xmlns='urn:xmpp:push:0' jid='{SERVICE}' node='{n}'/></iq>")
            })
            .collect();
        client.send(&all).await;
    }
    for client in &mut clients {
        for n in 0..10 {
            let answer = client.wait_for("an answer", |it| it.attr("id") == Some(&format!("e{n}"))).await;
            assert_eq!(answer.attr("type"), Some("result"));
        }
    }
    let events = keeper.fence(&host).await;
    let of = |n: usize| -> Vec<String> {
        let of_it = events.iter().filter(|it| it.name() == "registration" && it.attr("resource") == format!("r{n}"));
        of_it.filter_map(|it| it.element.children().next().and_then(|it| it.attr("node")).map(str::to_owned)).collect()
    };
    let expected: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    for n in 0..10 {
        assert_eq!(of(n), expected);
    }
    assert_eq!(keeper.gaps(), []);
}

crate::on_hosts::on_hosts! {
    both: [
        a_registration_travels_alone_and_untouched_and_the_client_gets_the_answer,
        an_account_is_watched_from_its_enable_on_unless_it_is_refused,
        an_error_that_is_not_for_the_client_ends_the_link,
        no_answer_in_time_is_a_wait_for_the_client,
        nobody_registers_for_somebody_else,
        a_registration_that_is_too_large_does_not_leave_the_host,
        events_before_a_registration_come_before_it,
        many_registrations_at_once_are_all_answered_in_order,
    ],
}
