//! Who is obeyed, the snapshot, numbers, batches, and when the link is given up.

use minidom::Element;

use crate::client::Client;
use crate::rig::{Keeper, Manner, NS, THIRD, bound, chat, host, online, present, refusal, sync};
use crate::server::{HOST, PASSWORD, SERVICE, Server, Tune};

const ORDERS: [&str; 6] = [
    "<sync xmlns='urn:pushkeeper:host:0' token='t'/>",
    "<check xmlns='urn:pushkeeper:host:0'/>",
    "<watch xmlns='urn:pushkeeper:host:0' list='l' complete='true'/>",
    "<unwatch xmlns='urn:pushkeeper:host:0'/>",
    "<timeout xmlns='urn:pushkeeper:host:0' sid='s' user='alice' resource='phone' since='x' seconds='0'/>",
    "<relay xmlns='urn:pushkeeper:host:0' to='push.third.localhost'/>",
];

const CHECK: &str = "<check xmlns='urn:pushkeeper:host:0'/>";

/// Whether accounts of this client's host have the feature of push.
async fn advertises(client: &mut Client) -> bool {
    let account = client.jid.split_once('/').expect("a full JID").0.to_owned();
    let info = client.iq("get", Some(&account), "<query xmlns='http://jabber.org/protocol/disco#info'/>").await;
    String::from(&info).contains("urn:xmpp:push:0")
}

/// The answer to `check`: its state if it is linked.
async fn check(keeper: &Keeper) -> Result<Element, String> {
    let answer = keeper.order(CHECK).await;
    match refusal(&answer) {
        Some(refusal) => Err(refusal),
        None => Ok(answer.get_child("state", NS).expect("a state").clone()),
    }
}

/// Waits until the bridge says that it is not linked.
async fn wait_until_not_linked(keeper: &Keeper) {
    let wait = async {
        while check(keeper).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::process::PATIENCE, wait).await.expect("it gives the link up");
    assert_eq!(check(keeper).await.expect_err("not linked"), "cancel/unexpected-request");
}

fn node(state: &Element) -> &Element {
    state.get_child("node", NS).expect("a node")
}

fn seq(state: &Element) -> u64 {
    node(state).attr("seq").expect("a number").parse().expect("a number")
}

async fn nobody_but_the_configured_component_is_obeyed() {
    let host = host(&[]).await;
    let keeper = Keeper::connect(&host).await;
    let third = Keeper::connect_as(&host, THIRD).await;
    let mut alice = online(&host, "alice", "phone").await;
    for order in ORDERS {
        assert_eq!(refusal(&alice.iq("set", Some(HOST), order).await).as_deref(), Some("auth/forbidden"), "{order}");
        let answer = third.order_as(THIRD, order).await;
        assert_eq!(refusal(&answer).as_deref(), Some("auth/forbidden"), "{order}");
        let answer = keeper.order_as(&format!("somebody@{SERVICE}"), order).await;
        assert_eq!(refusal(&answer).as_deref(), Some("auth/forbidden"), "{order}");
    }
    assert_eq!(check(&keeper).await.expect_err("nobody linked it"), "cancel/unexpected-request");
}

async fn before_a_sync_nothing_is_advertised_taken_or_relayed() {
    let host = host(&[]).await;
    let mut keeper = Keeper::connect(&host).await;
    let mut alice = online(&host, "alice", "phone").await;
    assert!(!advertises(&mut alice).await);
    let enable = alice.enable_push(SERVICE, "node", "").await;
    assert_eq!(refusal(&enable).as_deref(), Some("wait/service-unavailable"));
    for order in [ORDERS[1], ORDERS[4], ORDERS[5]] {
        let answer = keeper.order(order).await;
        assert_eq!(refusal(&answer).as_deref(), Some("cancel/unexpected-request"), "{order}");
        let last = answer.children().find(|child| child.name() == "error").and_then(|error| error.children().last());
        let version = last.filter(|last| last.is("unlinked", NS)).and_then(|last| last.attr("bridge"));
        assert_eq!(version, Some(env!("CARGO_PKG_VERSION")), "{}", String::from(&answer));
    }
    assert_eq!(refusal(&keeper.order(ORDERS[2]).await), None, "lists are taken");
    assert_eq!(refusal(&keeper.order(&format!("<sync xmlns='{NS}'/>")).await).as_deref(), Some("modify/bad-request"));

    let state = keeper.link(&[], "first").await;
    assert!(advertises(&mut alice).await);
    assert_eq!(refusal(&alice.enable_push(SERVICE, "node", "").await), None);
    assert_eq!(
        ["token", "software", "max-timeout"].map(|name| state.attr(name)),
        [Some("first"), Some(host.software()), Some("259200")]
    );
    assert_eq!(node(&state).attr("sessions"), Some("1"));
}

async fn the_snapshot_names_every_session_and_ends_with_synced() {
    let host = host(&[]).await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let mut bob = online(&host, "bob", "desk").await;
    let phone = online(&host, "alice", "phone").await;
    let tablet = online(&host, "alice", "tablet").await;
    let _plain = bound(&host, "alice", "web").await;
    let alice = phone.lose_connection();
    keeper.next("hibernate").await;
    bob.send(&chat(&format!("alice@{HOST}/phone"), "m1", "Hello")).await;
    keeper.next("queued").await;
    let state = keeper.sync("snap").await;

    let all = keeper.all();
    let events: Vec<_> = all.iter().skip_while(|it| it.attr("token") != "snap").collect();
    assert!(events.iter().all(|it| it.attr("token") == "snap"), "{events:#?}");
    let names: Vec<&str> = events.iter().map(|it| it.name()).collect();
    assert_eq!(names, ["session", "session", "session", "session", "missed", "synced"]);
    let of = |resource: &str| events.iter().find(|it| it.attr("resource") == resource).expect(resource);
    let facts = |resource: &str| ["user", "state", "queued", "resumable"].map(|name| of(resource).attr(name));
    assert_eq!(facts("phone")[..2], ["alice", "hibernated"]);
    assert!(of("phone").ids().contains(&"m1"), "{}", of("phone").text());
    assert_eq!(facts("tablet"), ["alice", "active", "", "true"]);
    assert_eq!(facts("web"), ["alice", "plain", "", ""]);
    assert_eq!(facts("desk"), ["bob", "active", "", "true"]);
    assert_eq!(events[0].seq, seq(&state) + 1, "numbers go on from the state");
    assert_eq!(seq(&check(&keeper).await.expect("linked")), events[5].seq);
    assert_eq!(keeper.gaps(), []);
    drop((alice, tablet));
}

async fn a_session_is_described_before_its_events_however_long_the_snapshot_waits() {
    let host = host(&[Tune::AnswerTimeout(600)]).await;
    let mut bob = online(&host, "bob", "desk").await;
    // A description of these takes a batch of its own: 16 of them fill the window.
    let filling: String = (0..13).map(|n| format!("<x xmlns='urn:x:{n}' id='{}'/>", "i".repeat(256))).collect();
    let mut sessions = Vec::new();
    for n in 0..20 {
        let phone = online(&host, "alice", &format!("phone{n}")).await;
        sessions.push(phone.lose_connection().expect("a session"));
        for m in 0..30 {
            let to = format!("alice@{HOST}/phone{n}");
            bob.send(&format!("<message type='headline' to='{to}' id='m{m}'>{filling}</message>")).await;
        }
    }
    bob.acknowledge_all().await;

    let mut keeper = Keeper::connect(&host).await;
    keeper.watch(&["alice"]).await;
    keeper.answers_batches(Manner::Hold);
    assert_eq!(refusal(&keeper.order(&sync("long", "")).await), None);
    keeper.wait_for_batches("a full window", |batches| batches.len() == 16).await;
    let described: Vec<String> = keeper.all().iter().map(|it| it.attr("resource").to_owned()).collect();
    let waiting = (0..20).find(|n| !described.contains(&format!("phone{n}"))).expect("one is not described yet");
    let known = (0..20).find(|n| described.contains(&format!("phone{n}"))).expect("one is described");

    let jid = |n: usize| format!("alice@{HOST}/phone{n}");
    let early = Client::resume(host.c2s_port(), &jid(waiting), PASSWORD, sessions[waiting].clone()).await;
    let late = Client::resume(host.c2s_port(), &jid(known), PASSWORD, sessions[known].clone()).await;
    keeper.release().await;
    keeper.event("synced", |it| it.name() == "synced").await;
    drop(early.lose_connection());
    keeper.event("hibernate", |it| it.name() == "hibernate" && it.attr("resource") == format!("phone{waiting}")).await;

    let events = keeper.all();
    let names = |n: usize| -> Vec<(&str, &str)> {
        let of_it = events.iter().filter(|it| it.attr("resource") == format!("phone{n}"));
        of_it.map(|it| (it.name(), it.attr("state"))).collect()
    };
    assert_eq!(
        names(waiting),
        [("session", "active"), ("hibernate", "hibernated")],
        "its resume is in its description"
    );
    assert_eq!(names(known), [("session", "hibernated"), ("resume", "active")]);
    assert_eq!(keeper.gaps(), []);
    assert!(
        keeper.batches().iter().all(|(events, bytes)| *events <= 64 && *bytes <= 131_072),
        "{:?}",
        keeper.batches()
    );
    drop(late);
}

async fn a_burst_travels_in_few_batches_and_without_a_gap() {
    let host = host(&[]).await;
    let mut bob = online(&host, "bob", "desk").await;
    let phone = online(&host, "alice", "phone").await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let session = phone.lose_connection();
    keeper.next("hibernate").await;
    let before = keeper.batches().len();

    let burst: String = (0..200).map(|n| chat(&format!("alice@{HOST}"), &format!("m{n}"), "Hello")).collect();
    bob.send(&burst).await;
    for n in 0..200 {
        let archived = keeper.next("archived").await;
        let queued = keeper.next("queued").await;
        assert_eq!((archived.ids(), queued.ids()), (vec![&*format!("m{n}")], vec![&*format!("m{n}")]));
    }
    let batches = keeper.batches().split_off(before);
    assert!(batches.len() <= 60, "400 events in {} batches", batches.len());
    assert!(batches.iter().all(|(events, _)| *events <= 64), "{batches:?}");
    assert_eq!(keeper.gaps(), []);
    drop(session);
}

async fn sixteen_batches_may_be_unanswered_and_the_rest_waits_in_order() {
    let host = host(&[Tune::AnswerTimeout(600)]).await;
    let mut bob = online(&host, "bob", "desk").await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    keeper.answers_batches(Manner::Hold);
    let before = keeper.batches().len();
    let count = 1500;
    for n in 0..count {
        bob.send(&chat(&format!("alice@{HOST}"), &format!("m{n}"), "Hello")).await;
    }
    bob.acknowledge_all().await;
    keeper.wait_for_batches("a full window", |batches| batches.len() == before + 16).await;
    // The host has handled all messages: what it would have sent, it has sent.
    check(&keeper).await.expect("linked");
    assert_eq!(keeper.batches().len(), before + 16);

    keeper.release().await;
    for n in 0..count {
        assert_eq!(keeper.next("archived").await.ids(), [format!("m{n}")]);
        assert_eq!(keeper.next("offline").await.ids(), [format!("m{n}")]);
    }
    assert_eq!(keeper.gaps(), []);
}

async fn no_answer_in_time_ends_the_link_and_what_was_not_answered_is_missed() {
    let host = host_with_answers_within_a_second().await;
    let mut bob = online(&host, "bob", "desk").await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let before = seq(&check(&keeper).await.expect("linked"));
    keeper.answers_batches(Manner::Ignore);
    bob.send(&chat(&format!("alice@{HOST}"), "m1", "Hello")).await;
    let archived = keeper.next("archived").await;
    wait_until_not_linked(&keeper).await;
    assert!(!advertises(&mut bob).await);
    bob.send(&chat(&format!("alice@{HOST}"), "m2", "Hello")).await;
    bob.acknowledge_all().await;

    keeper.answers_batches(Manner::Accept);
    let answer = keeper.order(&sync("again", "")).await;
    // m1 and m2 were archived and went offline: four events, each with a number.
    assert_eq!(seq(answer.get_child("state", NS).expect("a state")), before + 4);
    let missed = keeper.next("missed").await;
    assert_eq!((missed.attr("user"), missed.attr("count"), missed.attr("token")), ("alice", "2", "again"));
    let keys: Vec<&Element> = missed.element.children().filter(|child| child.is("key", NS)).collect();
    assert_eq!(keys[0].attr("id"), Some(archived.attr("archive-id")));
    assert_eq!((keys.len(), missed.ids()), (2, vec!["m2"]));
    assert_eq!(keeper.next("synced").await.attr("token"), "again");
    assert!(advertises(&mut bob).await);
}

async fn host_with_answers_within_a_second() -> Server {
    host(&[Tune::AnswerTimeout(1)]).await
}

async fn an_error_instead_of_an_answer_ends_the_link_at_once() {
    let host = host(&[]).await;
    let mut bob = online(&host, "bob", "desk").await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    keeper.answers_batches(Manner::Refuse(
        "<error type='wait'><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
    ));
    bob.send(&chat(&format!("alice@{HOST}"), "m1", "Hello")).await;
    wait_until_not_linked(&keeper).await;
    keeper.answers_batches(Manner::Accept);
    keeper.sync("again").await;
    let missed = keeper.all().into_iter().find(|it| it.name() == "missed").expect("the message was missed");
    assert_eq!((missed.attr("count"), missed.ids()), ("1", vec!["m1"]));
}

async fn the_end_of_the_components_stream_ends_the_link() {
    let host = host(&[]).await;
    let mut alice = online(&host, "alice", "phone").await;
    let keeper = Keeper::linked(&host, &["alice"]).await;
    assert!(advertises(&mut alice).await);
    drop(keeper);
    let wait = async { while advertises(&mut alice).await {} };
    tokio::time::timeout(crate::process::PATIENCE, wait).await.expect("not advertised any more");
    assert_eq!(refusal(&alice.enable_push(SERVICE, "n", "").await).as_deref(), Some("wait/service-unavailable"));
}

async fn what_was_answered_shortly_before_the_last_answer_is_missed_after_a_new_sync() {
    let host = host(&[]).await;
    let mut bob = online(&host, "bob", "desk").await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    bob.send(&chat(&format!("alice@{HOST}"), "m1", "Hello")).await;
    bob.send(&format!("<message to='alice@{HOST}' id='call' type='chat'><propose xmlns='urn:xmpp:jingle-message:0' id='c1'/><store xmlns='urn:xmpp:hints'/></message>")).await;
    keeper.event("the call", |it| it.name() == "archived" && it.ids() == ["call"]).await;
    keeper.fence(&host).await;
    drop(keeper);

    let mut keeper = Keeper::connect(&host).await;
    keeper.link(&["alice"], "second").await;
    let missed = keeper.all().into_iter().find(|it| it.name() == "missed").expect("it may have been forgotten");
    assert_eq!(missed.attr("count"), "2", "archived and offline are one message: {}", missed.text());
    let keys: Vec<&Element> = missed.element.children().filter(|child| child.is("key", NS)).collect();
    assert_eq!(
        ["call", "from", "id"].map(|name| keys[1].attr(name)),
        [Some("true"), Some("bob@localhost"), Some("c1")]
    );
    assert_eq!(["call", "from"].map(|name| keys[0].attr(name)), [None, None]);

    // What a snapshot told is told once. By the fence, its answer was heard.
    keeper.fence(&host).await;
    keeper.sync("third").await;
    assert!(keeper.all().iter().all(|it| it.name() != "missed" || it.attr("token") == "second"));
}

async fn a_new_sync_replaces_the_old_link_and_its_unanswered_batches_end_nothing() {
    let host = host_with_answers_within_a_second().await;
    let mut bob = online(&host, "bob", "desk").await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    keeper.answers_batches(Manner::Ignore);
    bob.send(&chat(&format!("alice@{HOST}"), "m1", "Hello")).await;
    keeper.next("archived").await;
    keeper.answers_batches(Manner::Accept);
    keeper.sync("new").await;
    let missed = keeper.all().into_iter().find(|it| it.name() == "missed").expect("nobody answered it");
    assert_eq!((missed.attr("count"), missed.attr("token")), ("1", "new"));
    // The time of the old batch passes while new ones are answered.
    let later = std::time::Duration::from_millis(2500);
    let _alive = tokio::time::timeout(later, async {
        loop {
            check(&keeper).await.expect("still linked");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    })
    .await;
}

async fn a_full_queue_ends_the_link_and_a_sync_has_to_wait() {
    // However long the filling takes, it is not the missing answers that end the link.
    let host = host(&[Tune::FullPause(3), Tune::AnswerTimeout(600)]).await;
    let mut bob = online(&host, "bob", "desk").await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    // Each message is told many times: it is archived, and queued for each of these.
    let mut phones = Vec::new();
    for n in 0..10 {
        phones.push(online(&host, "alice", &format!("phone{n}")).await.lose_connection());
        keeper.next("hibernate").await;
    }
    keeper.answers_batches(Manner::Ignore);
    let filling: String = (0..13).map(|n| format!("<x xmlns='urn:x:{n}' id='{}'/>", "i".repeat(256))).collect();
    let many: String = (0..20)
        .map(|_| format!("<message type='chat' to='alice@{HOST}' id='m'><body>b</body>{filling}</message>"))
        .collect();
    let full = "No longer linked to push.localhost: the queue is full";
    for _ in 0..100 {
        bob.send(&many).await;
        bob.acknowledge_all().await;
        if host.log().contains(full) {
            break;
        }
    }
    assert!(host.log().contains(full), "{}", host.log());
    keeper.answers_batches(Manner::Accept);
    assert_eq!(refusal(&keeper.order(&sync("early", "")).await).as_deref(), Some("wait/resource-constraint"));
    let again = async {
        while refusal(&keeper.order(&sync("late", "")).await).is_some() {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(crate::process::PATIENCE, again).await.expect("the pause ends");
    let missed = keeper.next("missed").await;
    assert!(missed.number("count") > 100, "{}", missed.attr("count"));
    assert_eq!(missed.element.children().filter(|child| child.is("key", NS)).count(), 10);
}

async fn a_reload_of_the_bridge_keeps_sessions_and_forgets_no_message() {
    let host = host(&[]).await;
    let mut bob = online(&host, "bob", "desk").await;
    let phone = online(&host, "alice", "phone").await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let session = phone.lose_connection().expect("a session");
    let away = keeper.next("hibernate").await;
    let before = check(&keeper).await.expect("linked");

    host.reload_bridge().await;
    let hello = keeper.next("hello").await;
    assert_ne!(hello.attr("epoch"), node(&before).attr("epoch").expect("an epoch"));
    assert_eq!(check(&keeper).await.expect_err("not linked"), "cancel/unexpected-request");
    bob.send(&chat(&format!("alice@{HOST}"), "m1", "Hello")).await;
    bob.acknowledge_all().await;
    host.settle("alice", "phone").await;
    keeper.link(&["alice"], "new").await;
    let events = keeper.all();
    let of = |name: &str| events.iter().rev().find(|it| it.name() == name && it.attr("token") == "new").expect(name);
    let described =
        events.iter().rev().find(|it| it.name() == "session" && it.attr("resource") == "phone").expect("it");
    assert_eq!(["sid", "since"].map(|name| described.attr(name)), ["sid", "since"].map(|name| away.attr(name)));
    assert_eq!((of("missed").attr("user"), of("missed").ids()), ("alice", vec!["m1"]));
    let mut phone = Client::resume(host.c2s_port(), "alice@localhost/phone", PASSWORD, session).await;
    phone.wait_for("the message", |it| it.attr("id") == Some("m1")).await;
    assert_eq!(keeper.next("resume").await.attr("sid"), away.attr("sid"));
    present(&mut phone).await;
}

async fn a_list_counts_when_it_is_complete_and_unwatch_takes_away() {
    let host = host(&[]).await;
    let mut bob = online(&host, "bob", "desk").await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let _phone = online(&host, "alice", "phone").await;
    keeper.fence(&host).await;
    let list =
        |name: &str, rest: &str, accounts: &str| format!("<watch xmlns='{NS}' list='{name}' {rest}>{accounts}</watch>");
    let (alice, bobs, fence) = ("<account user='alice'/>", "<account user='bob'/>", "<account user='fence'/>");

    // One that is begun and never completed counts for nothing.
    keeper.order(&list("a", "", bobs)).await;
    bob.send(&chat(&format!("alice@{HOST}"), "m1", "Hello")).await;
    assert_eq!(keeper.next("archived").await.attr("user"), "alice");
    // In two orders; an account without a list is added to both.
    keeper.order(&list("b", "", fence)).await;
    keeper.order(&format!("<watch xmlns='{NS}'>{bobs}</watch>")).await;
    let session = keeper.next("session").await;
    assert_eq!((session.attr("user"), session.attr("resource")), ("bob", "desk"), "it became watched");
    keeper.order(&list("b", "complete='true'", alice)).await;
    bob.send(&chat(&format!("bob@{HOST}"), "m2", "Note")).await;
    assert_eq!(keeper.next("archived").await.attr("user"), "bob");

    keeper.order(&format!("<unwatch xmlns='{NS}'>{bobs}</unwatch>")).await;
    bob.send(&chat(&format!("bob@{HOST}"), "m3", "Note")).await;
    bob.acknowledge_all().await;
    let events = keeper.fence(&host).await;
    assert!(events.iter().all(|it| !it.ids().contains(&"m3")), "{events:#?}");
}

crate::on_hosts::on_hosts! {
    both: [
        nobody_but_the_configured_component_is_obeyed,
        before_a_sync_nothing_is_advertised_taken_or_relayed,
        the_snapshot_names_every_session_and_ends_with_synced,
        a_session_is_described_before_its_events_however_long_the_snapshot_waits,
        a_burst_travels_in_few_batches_and_without_a_gap,
        sixteen_batches_may_be_unanswered_and_the_rest_waits_in_order,
        no_answer_in_time_ends_the_link_and_what_was_not_answered_is_missed,
        an_error_instead_of_an_answer_ends_the_link_at_once,
        the_end_of_the_components_stream_ends_the_link,
        what_was_answered_shortly_before_the_last_answer_is_missed_after_a_new_sync,
        a_new_sync_replaces_the_old_link_and_its_unanswered_batches_end_nothing,
        a_full_queue_ends_the_link_and_a_sync_has_to_wait,
        a_reload_of_the_bridge_keeps_sessions_and_forgets_no_message,
        a_list_counts_when_it_is_complete_and_unwatch_takes_away,
    ],
}
