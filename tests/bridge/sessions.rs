//! What is told of sessions.

use std::time::Duration;

use tokio::time::timeout;

use crate::client::Client;
use crate::rig::{Event, Keeper, bound, chat, host, online};
use crate::server::{HOST, PASSWORD, Server, Tune};

/// Names and states of the events of one resource.
fn story(events: &[Event], resource: &str) -> Vec<(String, String)> {
    let of_it = events.iter().filter(|it| it.attr("resource") == resource);
    of_it.map(|it| (it.name().to_owned(), it.attr("state").to_owned())).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, state)| ((*name).to_owned(), (*state).to_owned())).collect()
}

async fn resumed(host: &Server, jid: &str, session: crate::client::Session) -> Client {
    Client::resume(host.c2s_port(), jid, PASSWORD, session).await
}

async fn a_session_that_loses_its_connection_hibernates_with_what_is_unacknowledged_and_resumes() {
    let host = host(&[]).await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let phone = online(&host, "alice", "phone").await;
    let bind = keeper.next("bind").await;
    assert_eq!(["user", "resource", "state"].map(|name| bind.attr(name)), ["alice", "phone", "plain"]);
    assert_eq!(["timeout", "h-in", "h-out", "unacked"].map(|name| bind.attr(name)), [""; 4], "no XEP-0198 yet");

    let mut bob = online(&host, "bob", "desk").await;
    let session = phone.lose_connection().expect("a session");
    let away = keeper.next("hibernate").await;
    assert_eq!(away.attr("sid"), bind.attr("sid"));
    assert_eq!(["state", "timeout", "left"].map(|name| away.attr(name)), ["hibernated", "600", "600"]);
    assert_eq!(["unacked", "queued", "resumable"].map(|name| away.attr(name)), ["0", "0", "true"]);
    assert!(away.number("h-out") > 0, "its presence was acknowledged: {}", away.text());

    bob.send(&chat(&format!("alice@{HOST}"), "m1", "Hello")).await;
    bob.send(&chat(&format!("alice@{HOST}/phone"), "m2", "Hello")).await;
    for (id, nth) in [("m1", 1), ("m2", 2)] {
        let archived = keeper.next("archived").await;
        let queued = keeper.next("queued").await;
        assert_eq!((archived.ids(), queued.ids()), (vec![id], vec![id]));
        assert_eq!(archived.seq + 1, queued.seq, "archived comes first");
        assert_eq!(["sid", "since"].map(|name| queued.attr(name)), ["sid", "since"].map(|name| away.attr(name)));
        assert_eq!(queued.stanzas()[0].0, Some(away.number("h-out") + nth), "the number in the session");
        assert_eq!(queued.number("unacked"), nth);
        let by_us = |it: &&minidom::Element| it.is("stanza-id", "urn:xmpp:sid:0");
        let stanza_id = queued.stanzas()[0].1.children().find(by_us).expect("a stanza-id").clone();
        assert_eq!(
            (stanza_id.attr("by"), stanza_id.attr("id")),
            (Some("alice@localhost"), Some(archived.attr("archive-id")))
        );
    }

    let phone = resumed(&host, "alice@localhost/phone", session).await;
    let back = keeper.next("resume").await;
    assert_eq!(["sid", "state"].map(|name| back.attr(name)), [bind.attr("sid"), "active"]);
    assert_ne!(back.attr("since"), away.attr("since"));
    let session = phone.lose_connection().expect("a session");
    let again = keeper.next("hibernate").await;
    assert_eq!((again.attr("queued"), again.ids()), ("2", vec!["m1", "m2"]), "it acknowledged nothing");
    assert_ne!(again.attr("since"), away.attr("since"));

    let mut phone = resumed(&host, "alice@localhost/phone", session).await;
    phone.wait_for("the second message", |it| it.attr("id") == Some("m2")).await;
    phone.acknowledge_all().await;
    phone.lose_connection();
    keeper.next("resume").await;
    assert_eq!(keeper.next("hibernate").await.attr("queued"), "0");
}

async fn an_overdue_acknowledgement_is_told_once_then_every_stanza_until_it_comes() {
    let host = host(&[Tune::AckDelay(1)]).await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let mut bob = online(&host, "bob", "desk").await;
    let mut phone = online(&host, "alice", "phone").await;
    phone.fall_silent();
    bob.send(&chat(&format!("alice@{HOST}"), "m1", "Hello")).await;
    let delayed = keeper.next("ack-delayed").await;
    assert_eq!((delayed.attr("state"), delayed.attr("queued"), delayed.ids()), ("unresponsive", "1", vec!["m1"]));
    let before = delayed.number("h-out");
    for id in ["m2", "m3"] {
        bob.send(&chat(&format!("alice@{HOST}"), id, "Hello")).await;
        let queued = keeper.next("queued").await;
        assert_eq!((queued.attr("state"), queued.ids()), ("unresponsive", vec![id]));
        assert_eq!(queued.attr("since"), delayed.attr("since"));
    }
    phone.wait_for("the last message", |it| it.attr("id") == Some("m3")).await;
    phone.speak_again().await;
    let ack = keeper.next("ack").await;
    assert_eq!((ack.attr("state"), ack.number("h-out"), ack.attr("unacked")), ("active", before + 3, "0"));

    bob.send(&chat(&format!("alice@{HOST}"), "m4", "Hello")).await;
    phone.wait_for("the message", |it| it.attr("id") == Some("m4")).await;
    let events = keeper.fence(&host).await;
    assert_eq!(story(&events, "phone"), [], "nobody waits for it any more");
}

async fn an_unresponsive_session_that_hibernates_or_is_resumed_is_not_told_of_twice() {
    let host = host(&[Tune::AckDelay(1)]).await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let mut bob = online(&host, "bob", "desk").await;
    let mut phone = online(&host, "alice", "phone").await;
    phone.fall_silent();
    bob.send(&chat(&format!("alice@{HOST}"), "m1", "Hello")).await;
    keeper.next("ack-delayed").await;
    let session = phone.lose_connection().expect("a session");
    let away = keeper.next("hibernate").await;
    assert_eq!(away.ids(), ["m1"]);
    bob.send(&chat(&format!("alice@{HOST}"), "m2", "Hello")).await;
    bob.acknowledge_all().await;
    assert_eq!(story(&keeper.fence(&host).await, "phone"), pairs(&[("queued", "hibernated")]));

    // Resumed over a connection that still stands: what listened to it is gone, the next time works again.
    let mut phone = resumed(&host, "alice@localhost/phone", session).await;
    keeper.next("resume").await;
    phone.acknowledge_all().await;
    phone.fall_silent();
    bob.send(&chat(&format!("alice@{HOST}"), "m3", "Hello")).await;
    assert_eq!(keeper.next("ack-delayed").await.ids(), ["m3"]);
    phone.wait_for("the message", |it| it.attr("id") == Some("m3")).await;
    let copy = phone.session().expect("a session");
    let mut second = resumed(&host, "alice@localhost/phone", copy).await;
    let back = keeper.next("resume").await;
    assert_eq!(back.attr("state"), "active");
    second.acknowledge_all().await;
    second.fall_silent();
    bob.send(&chat(&format!("alice@{HOST}"), "m4", "Hello")).await;
    let delayed = keeper.next("ack-delayed").await;
    assert_eq!(delayed.ids(), ["m4"]);
    bob.send(&chat(&format!("alice@{HOST}"), "m5", "Hello")).await;
    bob.acknowledge_all().await;
    assert_eq!(story(&keeper.fence(&host).await, "phone"), pairs(&[("queued", "unresponsive")]));
}

async fn an_acknowledgement_is_overdue_that_long_after_it_was_asked_for_and_not_after_an_earlier_one() {
    let host = host(&[Tune::AckDelay(1)]).await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let mut bob = online(&host, "bob", "desk").await;
    let mut phone = online(&host, "alice", "phone").await;
    let mut tablet = online(&host, "alice", "tablet").await;
    tablet.fall_silent();
    bob.send(&chat(&format!("alice@{HOST}"), "m1", "Hello")).await;
    phone.wait_for("the message", |it| it.attr("id") == Some("m1")).await;
    phone.acknowledge_all().await;
    let delayed = keeper.next("ack-delayed").await;
    assert_eq!((delayed.attr("resource"), delayed.ids().last()), ("tablet", Some(&"m1")));
    bob.send(&chat(&format!("alice@{HOST}/phone"), "m2", "Hello")).await;
    phone.wait_for("the message", |it| it.attr("id") == Some("m2")).await;
    phone.acknowledge_all().await;
    keeper.fence(&host).await;
    phone.fall_silent();
    bob.send(&chat(&format!("alice@{HOST}/phone"), "m3", "Hello")).await;
    let early = keeper.event("the phone's", |it| it.name() == "ack-delayed");
    assert!(
        timeout(Duration::from_millis(990), early).await.is_err(),
        "a second after the first request, not this one"
    );
    let delayed = keeper.event("the phone's", |it| it.name() == "ack-delayed").await;
    assert_eq!((delayed.attr("resource"), delayed.ids()), ("phone", vec!["m3"]));
}

async fn the_smaller_ack_delay_counts() {
    let host = host(&[Tune::AckDelay(600)]).await;
    let mut keeper = Keeper::connect(&host).await;
    keeper.watch(&["alice"]).await;
    keeper.order(&crate::rig::sync("t", "ack-delay='1'")).await;
    keeper.next("synced").await;
    let mut bob = online(&host, "bob", "desk").await;
    let mut phone = online(&host, "alice", "phone").await;
    phone.fall_silent();
    bob.send(&chat(&format!("alice@{HOST}"), "m1", "Hello")).await;
    assert_eq!(keeper.next("ack-delayed").await.ids(), ["m1"]);
    phone.wait_for("the message", |it| it.attr("id") == Some("m1")).await;
    phone.speak_again().await;
    keeper.next("ack").await;
}

async fn a_delay_that_a_new_link_makes_smaller_counts_for_what_is_waited_for_already() {
    let host = host(&[Tune::AckDelay(600)]).await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let mut bob = online(&host, "bob", "desk").await;
    let mut phone = online(&host, "alice", "phone").await;
    phone.fall_silent();
    bob.send(&chat(&format!("alice@{HOST}"), "m1", "Hello")).await;
    phone.wait_for("the message", |it| it.attr("id") == Some("m1")).await;
    keeper.order(&crate::rig::sync("t", "ack-delay='1'")).await;
    let delayed = keeper.next("ack-delayed").await;
    assert_eq!((delayed.attr("resource"), delayed.ids()), ("phone", vec!["m1"]));
}

async fn an_end_has_its_reason() {
    let host = host(&[Tune::Window(1)]).await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let phone = online(&host, "alice", "phone").await;
    phone.close().await;
    let tablet = online(&host, "alice", "tablet").await;
    tablet.lose_connection();
    assert_eq!(keeper.event("the end", |it| it.name() == "end").await.attr("reason"), "closed");
    let timeout = keeper.next("end").await;
    assert_eq!(["resource", "reason", "state"].map(|name| timeout.attr(name)), ["tablet", "timeout", "hibernated"]);

    let web = bound(&host, "alice", "web").await;
    web.lose_connection();
    let cut = keeper.next("end").await;
    assert_eq!(["resource", "reason", "state"].map(|name| cut.attr(name)), ["web", "closed", "plain"]);

    let mut desk = online(&host, "alice", "desk").await;
    host.kick("alice", "desk").await;
    desk.wait_for_the_end().await;
    let kicked = keeper.next("end").await;
    assert_eq!(["resource", "reason"].map(|name| kicked.attr(name)), ["desk", "kicked"]);
}

async fn a_bind_of_a_taken_resource_comes_after_one_end_of_the_former() {
    let host = host(&[]).await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let first = online(&host, "alice", "phone").await;
    let one = keeper.next("bind").await;
    first.lose_connection();
    keeper.next("hibernate").await;
    // A hibernated one is replaced, then one that is online.
    let _second = online(&host, "alice", "phone").await;
    let end = keeper.next("end").await;
    assert_eq!(["sid", "reason"].map(|name| end.attr(name)), [one.attr("sid"), "replaced"]);
    let two = keeper.next("bind").await;
    let _third = online(&host, "alice", "phone").await;
    let end = keeper.next("end").await;
    assert_eq!(["sid", "reason"].map(|name| end.attr(name)), [two.attr("sid"), "replaced"]);
    assert_eq!(keeper.next("bind").await.seq, end.seq + 1);
    assert_eq!(keeper.fence(&host).await.iter().filter(|it| it.name() == "end").count(), 0, "each ends once");
}

async fn of_accounts_that_are_not_watched_only_hibernate_resume_and_end_are_told_without_stanzas() {
    let mut host = host(&[Tune::AckDelay(1)]).await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let mut alice = online(&host, "alice", "desk").await;
    keeper.next("bind").await;
    let mut bob = online(&host, "bob", "phone").await;
    bob.fall_silent();
    alice.send(&chat(&format!("bob@{HOST}"), "m1", "Hello")).await;
    bob.wait_for("the message", |it| it.attr("id") == Some("m1")).await;
    // Longer than the ack delay: a session that is watched is told of by then.
    alice.fall_silent();
    bob.send(&chat(&format!("alice@{HOST}"), "m2", "Hello")).await;
    keeper.next("ack-delayed").await;
    let lost = host.disconnects();
    let session = bob.lose_connection().expect("a session");
    host.wait_for_disconnects(lost + 1).await;
    alice.speak_again().await;
    alice.send(&chat(&format!("bob@{HOST}"), "m3", "Hello")).await;
    alice.acknowledge_all().await;
    let bob = resumed(&host, "bob@localhost/phone", session).await;
    bob.close().await;
    let events: Vec<Event> = keeper.fence(&host).await.into_iter().filter(|it| it.attr("user") == "bob").collect();
    let names: Vec<&str> = events.iter().map(Event::name).collect();
    assert_eq!(names, ["hibernate", "resume", "end"]);
    assert!(events.iter().all(|it| it.ids().is_empty()), "{events:#?}");
    assert_eq!(events[0].attr("unacked"), "1");
}

async fn client_state_is_told() {
    let host = host(&[]).await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let mut phone = online(&host, "alice", "phone").await;
    phone.send("<inactive xmlns='urn:xmpp:csi:0'/>").await;
    phone.acknowledge_all().await;
    phone.lose_connection();
    assert_eq!(keeper.next("hibernate").await.attr("csi"), "inactive");
}

crate::on_hosts::on_hosts! {
    both: [
        a_session_that_loses_its_connection_hibernates_with_what_is_unacknowledged_and_resumes,
        an_overdue_acknowledgement_is_told_once_then_every_stanza_until_it_comes,
        an_unresponsive_session_that_hibernates_or_is_resumed_is_not_told_of_twice,
        an_acknowledgement_is_overdue_that_long_after_it_was_asked_for_and_not_after_an_earlier_one,
        the_smaller_ack_delay_counts,
        an_end_has_its_reason,
        a_bind_of_a_taken_resource_comes_after_one_end_of_the_former,
        of_accounts_that_are_not_watched_only_hibernate_resume_and_end_are_told_without_stanzas,
        client_state_is_told,
    ],
    prosody: [],
    ejabberd: [a_delay_that_a_new_link_makes_smaller_counts_for_what_is_waited_for_already],
}
