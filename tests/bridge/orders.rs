//! The resumption window of a hibernated session, and what is published for pushkeeper.

use minidom::Element;

use crate::client::{Client, Session};
use crate::rig::{Event, Keeper, Manner, NS, THIRD, host, online, refusal};
use crate::server::{HOST, PASSWORD, Server, Tune};

const NOTIFICATION: &str = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='n1'><item>\
                            <notification xmlns='urn:xmpp:push:0'><x xmlns='jabber:x:data' type='submit'/></notification>\
                            </item></publish><publish-options><x xmlns='jabber:x:data' type='submit'/></publish-options></pubsub>";

/// Alice's phone, away, and the event that told of it.
async fn away(host: &Server, keeper: &mut Keeper) -> (Session, Event) {
    let phone = online(host, "alice", "phone").await;
    let session = phone.lose_connection().expect("a session");
    (session, keeper.next("hibernate").await)
}

fn window(event: &Event, seconds: &str) -> String {
    let [sid, user, resource, since] = ["sid", "user", "resource", "since"].map(|name| event.attr(name));
    format!(
        "<timeout xmlns='{NS}' sid='{sid}' user='{user}' resource='{resource}' since='{since}' seconds='{seconds}'/>"
    )
}

async fn resumes(host: &Server, session: Session) -> bool {
    let (_, answer) = Client::try_to_resume(host.c2s_port(), "alice@localhost/phone", PASSWORD, session).await;
    answer.name() == "resumed"
}

fn session_of(answer: &Element) -> &Element {
    answer.get_child("session", NS).unwrap_or_else(|| panic!("{}", String::from(answer)))
}

async fn a_window_can_be_made_shorter() {
    let host = host(&[]).await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let (session, event) = away(&host, &mut keeper).await;
    let answer = keeper.order(&window(&event, "1")).await;
    let now = session_of(&answer);
    assert_eq!(["state", "timeout", "left"].map(|name| now.attr(name)), [Some("hibernated"), Some("1"), Some("1")]);
    assert_eq!((now.attr("sid"), now.attr("since")), (Some(event.attr("sid")), Some(event.attr("since"))));
    let end = keeper.next("end").await;
    assert_eq!(["sid", "reason"].map(|name| end.attr(name)), [event.attr("sid"), "timeout"]);
    assert!(!resumes(&host, session).await);
}

async fn a_window_can_be_made_longer_and_the_next_hibernation_has_the_hosts_own() {
    let host = host(&[Tune::Window(1)]).await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let (session, event) = away(&host, &mut keeper).await;
    let answer = keeper.order(&window(&event, "600")).await;
    assert_eq!(session_of(&answer).attr("timeout"), Some("600"));
    // Another one, which nobody makes longer, ends first.
    let laptop = online(&host, "alice", "laptop").await;
    laptop.lose_connection();
    assert_eq!(keeper.next("end").await.attr("resource"), "laptop");
    let phone = Client::resume(host.c2s_port(), "alice@localhost/phone", PASSWORD, session).await;
    assert_eq!(keeper.next("resume").await.attr("timeout"), "1");
    phone.lose_connection();
    assert_eq!(keeper.next("hibernate").await.attr("timeout"), "1");
    assert_eq!(keeper.next("end").await.attr("reason"), "timeout");
}

async fn no_seconds_end_a_session_at_once() {
    let host = host(&[]).await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let (session, event) = away(&host, &mut keeper).await;
    let answer = keeper.order(&window(&event, "0")).await;
    let last = session_of(&answer);
    assert_eq!(["sid", "timeout", "left"].map(|name| last.attr(name)), [Some(event.attr("sid")), Some("0"), Some("0")]);
    let end = keeper.next("end").await;
    assert_eq!(["sid", "reason"].map(|name| end.attr(name)), [event.attr("sid"), "timeout"]);
    assert!(!resumes(&host, session).await);
    assert_eq!(refusal(&keeper.order(&window(&event, "0")).await).as_deref(), Some("cancel/item-not-found"));
}

async fn a_window_is_set_for_the_hibernation_that_is_meant_and_within_the_maximum() {
    let host = host(&[Tune::MaxTimeout(100)]).await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let (session, event) = away(&host, &mut keeper).await;
    assert_eq!(session_of(&keeper.order(&window(&event, "5000")).await).attr("timeout"), Some("100"));
    let with = |name: &str, value: &str| {
        let order = window(&event, "10");
        order.replace(&format!("{name}='{}'", event.attr(name)), &format!("{name}='{value}'"))
    };
    for (order, expected) in [
        (with("sid", "another"), "cancel/item-not-found"),
        (with("resource", "another"), "cancel/item-not-found"),
        (with("user", "bob"), "cancel/item-not-found"),
        (with("since", "2026-11-22T02:49:40Z"), "cancel/unexpected-request"),
        (window(&event, "soon"), "modify/bad-request"),
        (window(&event, "-1"), "modify/bad-request"),
    ] {
        assert_eq!(refusal(&keeper.order(&order).await).as_deref(), Some(expected), "{order}");
    }
    let phone = Client::resume(host.c2s_port(), "alice@localhost/phone", PASSWORD, session).await;
    let back = keeper.next("resume").await;
    for event in [&event, &back] {
        let answer = keeper.order(&window(event, "10")).await;
        assert_eq!(refusal(&answer).as_deref(), Some("cancel/unexpected-request"), "it is online");
    }
    phone.close().await;
}

async fn without_a_link_a_longer_window_becomes_the_hosts_own_again() {
    let host = host(&[Tune::Window(1), Tune::StretchTimeout(1)]).await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let (session, event) = away(&host, &mut keeper).await;
    keeper.order(&window(&event, "600")).await;
    drop(keeper);
    let mut keeper = Keeper::connect(&host).await;
    // Nobody links. A session of bob's is there to see when it is over.
    let wait = async {
        loop {
            if !host.has_session("alice", "phone").await {
                return;
            }
        }
    };
    tokio::time::timeout(crate::process::PATIENCE, wait).await.expect("its window ends");
    assert!(!resumes(&host, session).await);
    keeper.link(&["alice"], "t").await;
    assert!(keeper.all().iter().all(|it| it.attr("sid") != event.attr("sid")));
}

/// What `relayed` says: its origin, and the condition of the error inside.
fn relayed(answer: &Element) -> (String, Option<String>) {
    assert_eq!(answer.attr("type"), Some("result"), "{}", String::from(answer));
    let relayed = answer.get_child("relayed", NS).unwrap_or_else(|| panic!("{}", String::from(answer)));
    let error = relayed.children().find(|child| child.name() == "error");
    let condition = error.and_then(|error| error.children().next()).map(|it| it.name().to_owned());
    (relayed.attr("origin").expect("an origin").to_owned(), condition)
}

fn relay(to: &str, payload: &str) -> String {
    format!("<relay xmlns='{NS}' to='{to}'>{payload}</relay>")
}

async fn a_notification_is_published_from_the_host_and_its_fate_is_told() {
    let host = host(&[Tune::RelayTimeout(1)]).await;
    let keeper = Keeper::linked(&host, &[]).await;
    let third = Keeper::connect_as(&host, THIRD).await;
    assert_eq!(relayed(&keeper.order(&relay(THIRD, NOTIFICATION)).await), ("service".into(), None));

    third.answers_batches(Manner::Refuse(
        "<error type='cancel' by='push.third.localhost'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
         <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>Gone</text><gone xmlns='urn:x'/></error>",
    ));
    let answer = keeper.order(&relay(THIRD, NOTIFICATION)).await;
    assert_eq!(relayed(&answer), ("service".into(), Some("item-not-found".into())));
    let text = String::from(&answer);
    assert!(text.contains("Gone") && text.contains("urn:x"), "the whole error: {text}");

    third.answers_batches(Manner::Ignore);
    assert_eq!(relayed(&keeper.order(&relay(THIRD, NOTIFICATION)).await), ("none".into(), None));
    let published = third.others();
    assert_eq!(published.len(), 3);
    for publish in published {
        assert_eq!((publish.attr("from"), publish.attr("to")), (Some(HOST), Some(THIRD)));
        let pubsub = publish.get_child("pubsub", "http://jabber.org/protocol/pubsub").expect("it");
        let names: Vec<&str> = pubsub.children().map(Element::name).collect();
        assert_eq!((publish.children().count(), names), (1, vec!["publish", "publish-options"]));
    }
    drop(third);
    let wait = async {
        loop {
            if relayed(&keeper.order(&relay(THIRD, NOTIFICATION)).await).0 == "host" {
                return;
            }
        }
    };
    tokio::time::timeout(crate::process::PATIENCE, wait).await.expect("the host says that it is not connected");
    // No streams to other servers here: the host says so itself, at once.
    assert_eq!(relayed(&keeper.order(&relay("push.example", NOTIFICATION)).await).0, "host");
    // None of it ended the link.
    assert_eq!(refusal(&keeper.order(&format!("<check xmlns='{NS}'/>")).await), None);
}

async fn nothing_but_a_notification_is_relayed() {
    let host = host(&[]).await;
    let keeper = Keeper::linked(&host, &[]).await;
    let third = Keeper::connect_as(&host, THIRD).await;
    third.answers_batches(Manner::Ignore);
    let pubsub = |inside: &str| format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{inside}</pubsub>");
    let notification = "<notification xmlns='urn:xmpp:push:0'/>";
    let big = "v".repeat(70_000);
    for (to, payload, condition) in [
        (THIRD, String::new(), "bad-request"),
        (THIRD, pubsub(""), "bad-request"),
        (THIRD, pubsub("<publish node='n'/>"), "bad-request"),
        (
            THIRD,
            pubsub("<publish node='n'><item><entry xmlns='http://www.w3.org/2005/Atom'/></item></publish>"),
            "bad-request",
        ),
        (THIRD, pubsub("<delete node='n'/>"), "bad-request"),
        (THIRD, pubsub(&format!("<publish node='n'><item>{notification}</item></publish><create/>")), "bad-request"),
        (
            THIRD,
            pubsub(&format!("<publish node='n'><item>{notification}</item><item>{notification}</item></publish>")),
            "bad-request",
        ),
        (THIRD, format!("{NOTIFICATION}{NOTIFICATION}"), "bad-request"),
        (THIRD, "<query xmlns='jabber:iq:roster'/>".to_owned(), "bad-request"),
        (THIRD, pubsub(&format!("<publish node='{big}'><item>{notification}</item></publish>")), "policy-violation"),
        ("", NOTIFICATION.to_owned(), "jid-malformed"),
        ("@@", NOTIFICATION.to_owned(), "jid-malformed"),
        (HOST, NOTIFICATION.to_owned(), "jid-malformed"),
        // A push to one of our own makes another one when its phone is away.
        ("Alice@LOCALHOST./phone", NOTIFICATION.to_owned(), "jid-malformed"),
    ] {
        let answer = keeper.order(&relay(to, &payload)).await;
        assert_eq!(
            relayed(&answer),
            ("host".into(), Some(condition.into())),
            "{to} {}",
            payload.get(..200).unwrap_or(&payload)
        );
    }
}

async fn eight_relays_may_be_under_way_to_a_service() {
    let host = host(&[Tune::RelayTimeout(1)]).await;
    let keeper = Keeper::linked(&host, &["alice"]).await;
    let third = Keeper::connect_as(&host, THIRD).await;
    third.answers_batches(Manner::Ignore);
    let mut ids = Vec::new();
    for _ in 0..40 {
        ids.push(keeper.send_order(crate::server::SERVICE, &relay(THIRD, NOTIFICATION)).await);
    }
    let mut fates = Vec::new();
    for id in &ids {
        fates.push(relayed(&keeper.answer(id).await));
    }
    let none = fates.iter().filter(|fate| **fate == ("none".to_owned(), None)).count();
    let refused =
        fates.iter().filter(|fate| **fate == ("host".to_owned(), Some("resource-constraint".to_owned()))).count();
    assert_eq!((none, refused), (8, 32));
    assert_eq!(fates[..8].iter().filter(|fate| fate.0 == "none").count(), 8, "the first ones");
    third.answers_batches(Manner::Accept);
    assert_eq!(relayed(&keeper.order(&relay(THIRD, NOTIFICATION)).await).0, "service", "there is room again");
}

crate::on_hosts::on_hosts! {
    both: [
        a_window_can_be_made_shorter,
        a_window_can_be_made_longer_and_the_next_hibernation_has_the_hosts_own,
        no_seconds_end_a_session_at_once,
        a_window_is_set_for_the_hibernation_that_is_meant_and_within_the_maximum,
        without_a_link_a_longer_window_becomes_the_hosts_own_again,
        a_notification_is_published_from_the_host_and_its_fate_is_told,
        nothing_but_a_notification_is_relayed,
        eight_relays_may_be_under_way_to_a_service,
    ],
}
