//! What is told of messages, and how little of them.

use crate::client::Client;
use crate::rig::{Event, Keeper, THIRD, chat, host, host_with, online, wanted};
use crate::server::{HOST, Server, Wanted};

const CALL: &str = "<propose xmlns='urn:xmpp:jingle-message:0' id='c1'><description xmlns='urn:xmpp:jingle:apps:rtp:1' \
                    media='audio'/></propose>";

/// Names of the events that carry the stanza with this id.
fn ways(events: &[Event], id: &str) -> Vec<String> {
    events.iter().filter(|it| it.ids().contains(&id)).map(|it| it.name().to_owned()).collect()
}

async fn host_without(modules: &[&str]) -> Server {
    host_with(&Wanted { without: modules, ..wanted() }).await
}

fn message(to: &str, id: &str, rest: &str) -> String {
    format!("<message type='chat' to='{to}' id='{id}'>{rest}</message>")
}

async fn sent(client: &mut Client, stanza: &str) {
    client.send(stanza).await;
    client.acknowledge_all().await;
}

async fn archived_is_what_the_account_itself_received() {
    let host = host(&[]).await;
    let mut keeper = Keeper::linked(&host, &["alice", "bob"]).await;
    let third = Keeper::connect_as(&host, THIRD).await;
    let mut alice = online(&host, "alice", "phone").await;
    let mut bob = online(&host, "bob", "desk").await;
    keeper.fence(&host).await;

    sent(&mut alice, &chat(&format!("alice@{THIRD}"), "to-another-alice", "Hello")).await;
    sent(&mut bob, &chat(&format!("alice@{HOST}"), "to-alice", "Hello")).await;
    third.send(&format!("<message from='alice@{THIRD}/x' to='alice@{HOST}' id='from-another-alice' type='chat'><body>b</body></message>")).await;
    alice.wait_for("the message", |it| it.attr("id") == Some("from-another-alice")).await;
    third.send(&format!("<message from='x@{THIRD}' to='alice@{HOST}/phone' id='bounce' type='error'><body>b</body><error type='cancel'/></message>")).await;
    alice.wait_for("the bounce", |it| it.attr("id") == Some("bounce")).await;

    let events = keeper.fence(&host).await;
    let told: Vec<(&str, &str, &str)> = events
        .iter()
        .filter(|it| it.name() == "archived")
        .map(|it| (it.attr("user"), it.stanzas()[0].1.attr("id").unwrap_or_default(), it.name()))
        .collect();
    assert_eq!(told, [("alice", "to-alice", "archived"), ("alice", "from-another-alice", "archived")]);
}

async fn a_message_for_nobody_online_is_archived_then_goes_offline() {
    let host = host(&[]).await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let mut bob = online(&host, "bob", "desk").await;
    sent(&mut bob, &chat(&format!("alice@{HOST}"), "m1", "Hello")).await;
    let events = keeper.fence(&host).await;
    assert_eq!(ways(&events, "m1"), ["archived", "offline"]);
    let inside = |event: &Event| String::from(event.stanzas()[0].1);
    let id = events[0].attr("archive-id");
    assert!(!id.is_empty() && inside(&events[1]).contains(id), "the same stanza-id: {}", inside(&events[1]));
}

async fn without_an_archive_there_is_offline_alone() {
    let host = host_without(&["mam"]).await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let third = Keeper::connect_as(&host, THIRD).await;
    let mut bob = online(&host, "bob", "desk").await;
    sent(&mut bob, &chat(&format!("alice@{HOST}"), "m1", "Hello")).await;
    third
        .send(&format!(
            "<message from='room@{THIRD}/x' to='alice@{HOST}' id='room' type='groupchat'><body>b</body></message>"
        ))
        .await;
    let room = keeper.event("the room's message", |it| it.ids() == ["room"]).await;
    assert_eq!((room.name(), room.attr("user")), ("offline", "alice"));
    let all = keeper.all();
    assert_eq!(ways(&all, "m1"), ["offline"]);
    assert!(all.iter().all(|it| it.attr("user") != "bob" || it.name() == "session"), "bob is not watched");
}

async fn a_call_is_urgent_when_it_is_not_archived_or_when_a_session_of_the_account_sent_it() {
    for (without, hint, expected) in [
        (&["mam"][..], "", ["urgent"]),
        // Not every archive keeps what has no body, unless it is told to.
        (&[][..], "<store xmlns='urn:xmpp:hints'/>", ["archived"]),
        (&[][..], "<no-store xmlns='urn:xmpp:hints'/>", ["urgent"]),
    ] {
        let host = host_without(without).await;
        let mut keeper = Keeper::linked(&host, &["alice"]).await;
        let mut bob = online(&host, "bob", "desk").await;
        let mut alice = online(&host, "alice", "laptop").await;
        let to = format!("alice@{HOST}");
        sent(&mut bob, &message(&to, "call", &format!("{CALL}{hint}"))).await;
        sent(&mut bob, &format!("<message type='error' to='{to}' id='error'>{CALL}<error type='cancel'/></message>"))
            .await;
        let proceed = "<proceed xmlns='urn:xmpp:jingle-message:0' id='c1'/>";
        sent(&mut alice, &message(&format!("bob@{HOST}/desk"), "mine", proceed)).await;
        let events = keeper.fence(&host).await;
        assert_eq!(ways(&events, "call"), expected, "{without:?} {hint}");
        assert_eq!(ways(&events, "error"), Vec::<String>::new());
        assert_eq!(ways(&events, "mine"), ["urgent"]);
        let mine = events.iter().find(|it| it.ids() == ["mine"]).expect("it");
        let call = events.iter().find(|it| it.ids() == ["call"]).expect("it");
        assert_eq!((mine.attr("sent"), call.attr("sent")), ("true", ""));
        assert!(call.text().contains("media=\"audio\"") || call.text().contains("media='audio'"), "{}", call.text());
    }
}

async fn no_text_leaves_the_host_unless_the_account_is_watched_with_its_content() {
    let host = host(&[]).await;
    let mut keeper = Keeper::linked(&host, &["alice", "bob full"]).await;
    let mut bob = online(&host, "bob", "desk").await;
    let rest = "<subject>Secret-1</subject><body>Secret-2 &amp; more</body>\
                <nick xmlns='http://jabber.org/protocol/nick'>Secret-3</nick>\
                <x xmlns='jabber:x:oob' password='Secret-4'><url>https://Secret-5</url></x>\
                <blank xmlns='urn:x'>  </blank>";
    sent(&mut bob, &message(&format!("alice@{HOST}"), "m1", rest)).await;
    let archived = keeper.event("the message", |it| it.ids() == ["m1"]).await;
    assert!(!archived.text().contains("Secret"), "{}", archived.text());
    let shape = archived.stanzas()[0].1.clone();
    let text = |name: &str, ns: &str| shape.get_child(name, ns).expect(name).text();
    assert_eq!((text("body", "jabber:client"), text("subject", "jabber:client")), ("*".to_owned(), "*".to_owned()));
    assert_eq!(text("blank", "urn:x"), "");

    sent(&mut bob, &message(&format!("bob@{HOST}"), "m2", rest)).await;
    let archived = keeper.event("the message", |it| it.attr("user") == "bob" && it.ids() == ["m2"]).await;
    let shape = archived.stanzas()[0].1.clone();
    let text = |name: &str, ns: &str| shape.get_child(name, ns).expect(name).text();
    assert_eq!(text("body", "jabber:client"), "Secret-2 & more");
    assert_eq!(text("nick", "http://jabber.org/protocol/nick"), "Secret-3");
    for never in ["Secret-1", "Secret-4", "Secret-5"] {
        assert!(!archived.text().contains(never), "{}", archived.text());
    }
}

async fn a_shape_keeps_its_limits_and_what_matters_first() {
    let host = host(&[]).await;
    let mut keeper = Keeper::linked(&host, &["alice", "bob full"]).await;
    let mut bob = online(&host, "bob", "desk").await;
    let to = format!("alice@{HOST}");
    let long = format!("{}ü{}", "i".repeat(255), "i".repeat(9000));
    let deep = format!("{}{}", "<a xmlns='urn:deep'>".repeat(40), "</a>".repeat(40));
    let wide: String = (0..200).map(|n| format!("<x xmlns='urn:x:{n}' id='{n}'/>")).collect();
    let important = "<body>b</body><store xmlns='urn:xmpp:hints'/>\
                     <encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'/><payload>abc</payload></encrypted>";
    let quotes = format!("<q xmlns='urn:q' id=\"{}\"/>", "'".repeat(256));
    for (id, rest) in [
        ("long", format!("<body>b</body><x xmlns='urn:x' id='{long}' jid='{long}'/>")),
        ("deep", format!("<body>b</body>{deep}")),
        ("wide", format!("{wide}{important}")),
        ("quotes", format!("{}{important}", quotes.repeat(20))),
        // XML keeps these for itself: a strict parser would refuse the whole batch.
        ("reserved", "<body>b</body><xml:y/><z xmlns='urn:z'><xml:y/></z>".to_owned()),
        ("reserved-wide", format!("{wide}{important}<body>b</body><xml:y/>")),
    ] {
        sent(&mut bob, &message(&to, id, &rest)).await;
    }
    for id in ["long", "deep", "wide", "quotes", "reserved", "reserved-wide"] {
        let event = keeper.event(id, |it| it.ids() == [id] && it.name() == "offline").await;
        let stanzas = event.stanzas();
        let shape = stanzas[0].1;
        let text = String::from(shape);
        assert!(text.len() <= 4096 + 64, "{id}: {} bytes", text.len());
        let (levels, elements) = measure(shape);
        assert!(levels <= 8 && elements <= 128 && shape.children().count() <= 32, "{id}: {levels} {elements} {text}");
        assert_eq!(shape.get_child("body", "jabber:client").expect("a body").text(), "*", "{id}");
        assert!(!text.contains("XML/1998"), "{id}: {text}");
        let ours =
            |it: &&minidom::Element| it.is("stanza-id", "urn:xmpp:sid:0") && it.attr("by") == Some("alice@localhost");
        assert!(shape.children().any(|it| ours(&it)), "{id}: {text}");
        if id == "long" {
            let x = shape.get_child("x", "urn:x").expect("it");
            assert_eq!(
                (x.attr("id"), x.attr("jid")),
                (Some(&*"i".repeat(255)), Some(&*"i".repeat(255))),
                "cut before ü"
            );
        }
        if matches!(id, "wide" | "quotes") {
            let encrypted = shape.get_child("encrypted", "eu.siacs.conversations.axolotl").expect("encrypted");
            assert_eq!(
                encrypted.children().map(|it| (it.name().to_owned(), it.text())).next(),
                Some(("payload".into(), "*".into()))
            );
            assert!(shape.get_child("store", "urn:xmpp:hints").is_some(), "{text}");
        }
    }
    // The text of a body is within the same limit.
    let big = format!("<body>{}</body>{wide}", "ü'".repeat(5000));
    sent(&mut bob, &message(&format!("bob@{HOST}"), "big", &big)).await;
    let event = keeper.event("big", |it| it.ids() == ["big"] && it.attr("user") == "bob").await;
    let text = String::from(event.stanzas()[0].1);
    assert!(text.len() <= 4096 + 64 && text.contains("ü"), "{} bytes", text.len());
    assert_eq!(keeper.gaps(), []);
}

/// Levels and elements of a tree.
fn measure(element: &minidom::Element) -> (usize, usize) {
    let below: Vec<(usize, usize)> = element.children().map(measure).collect();
    (1 + below.iter().map(|it| it.0).max().unwrap_or(0), 1 + below.iter().map(|it| it.1).sum::<usize>())
}

async fn of_five_hundred_queued_stanzas_the_newest_that_fit_are_told() {
    let host = host(&[]).await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let mut bob = online(&host, "bob", "desk").await;
    let mut phone = online(&host, "alice", "phone").await;
    phone.fall_silent();
    let filling = |n: usize| {
        if n < 470 { "" } else { "<x xmlns='urn:x' id='I'/><y xmlns='urn:y' id='I'/><z xmlns='urn:z' id='I'/>" }
    };
    for n in 0..500 {
        let rest = format!("<body>b</body>{}", filling(n).replace('I', &"i".repeat(256)));
        bob.send(&message(&format!("alice@{HOST}/phone"), &format!("m{n}"), &rest)).await;
    }
    bob.acknowledge_all().await;
    phone.wait_for("the last message", |it| it.attr("id") == Some("m499")).await;
    phone.lose_connection();
    let away = keeper.next("hibernate").await;
    assert_eq!(["unacked", "queued"].map(|name| away.attr(name)), ["500", "500"]);
    let expected: Vec<String> = (450..500).map(|n| format!("m{n}")).collect();
    assert_eq!(away.ids(), expected);
    let numbers: Vec<u64> = away.stanzas().into_iter().map(|it| it.0.expect("a number")).collect();
    let first = away.number("h-out") + 451;
    assert_eq!(numbers, (first..first + 50).collect::<Vec<u64>>());

    // More bytes than an event has: fewer of them.
    let big: String = (0..12).map(|n| format!("<x xmlns='urn:x:{n}' id='{}'/>", "i".repeat(256))).collect();
    for n in 0..60 {
        bob.send(&message(&format!("alice@{HOST}/phone"), &format!("b{n}"), &format!("<body>b</body>{big}"))).await;
    }
    bob.acknowledge_all().await;
    keeper.sync("again").await;
    let session =
        keeper.all().into_iter().rev().find(|it| it.name() == "session" && it.attr("resource") == "phone").expect("it");
    assert!(session.text().len() <= 98_304, "{}", session.text().len());
    let ids = session.ids();
    assert!(ids.len() > 20 && ids.len() < 50 && ids.last() == Some(&"b59"), "{ids:?}");
    assert_eq!(session.attr("queued"), "500", "mod_smacks keeps no more");
    assert_eq!((session.attr("unacked"), session.attr("resumable")), ("560", "false"));
}

async fn a_carbon_keeps_the_addresses_of_what_it_carries() {
    let host = host(&[]).await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let mut bob = online(&host, "bob", "desk").await;
    let mut phone = online(&host, "alice", "phone").await;
    let _laptop = online(&host, "alice", "laptop").await;
    phone.iq("set", None, "<enable xmlns='urn:xmpp:carbons:2'/>").await;
    phone.acknowledge_all().await;
    phone.lose_connection();
    keeper.next("hibernate").await;
    sent(&mut bob, &chat(&format!("alice@{HOST}/laptop"), "m1", "Secret")).await;
    let queued = keeper.next("queued").await;
    let stanzas = queued.stanzas();
    let forwarded = stanzas[0]
        .1
        .get_child("received", "urn:xmpp:carbons:2")
        .and_then(|it| it.get_child("forwarded", "urn:xmpp:forward:0"));
    let inner = forwarded
        .and_then(|it| it.get_child("message", "jabber:client"))
        .unwrap_or_else(|| panic!("{}", queued.text()));
    assert_eq!(
        ["from", "to", "type", "id"].map(|name| inner.attr(name)),
        [Some("bob@localhost/desk"), Some("alice@localhost/laptop"), Some("chat"), Some("m1")]
    );
    assert_eq!(inner.get_child("body", "jabber:client").expect("a body").text(), "*");
}

async fn another_module_may_ask_for_a_wake() {
    let host = host(&[]).await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let fire = |what: &str| format!("> prosody.hosts.localhost.events.fire_event(\"cloud-notify-ping\", {{ {what} }})");
    host.shell(&fire("user = \"alice\"")).await;
    let ping = keeper.next("ping").await;
    assert_eq!(["user", "service", "node"].map(|name| ping.attr(name)), ["alice", "", ""]);
    host.shell(&fire("user = \"alice\", push_services = { [\"s<n\"] = { jid = \"s.example\", node = \"n\" } }")).await;
    let ping = keeper.next("ping").await;
    assert_eq!(["user", "service", "node"].map(|name| ping.attr(name)), ["alice", "s.example", "n"]);
    host.shell(&fire("user = \"bob\"")).await;
    assert_eq!(keeper.fence(&host).await.iter().filter(|it| it.name() == "ping").count(), 0, "bob is not watched");
}

async fn the_end_of_an_account_is_told_after_the_end_of_its_sessions() {
    let host = host(&[]).await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let mut phone = online(&host, "alice", "phone").await;
    host.delete_user("alice").await;
    phone.wait_for_the_end().await;
    let gone = keeper.next("user-deleted").await;
    assert_eq!(gone.attr("user"), "alice");
    let all = keeper.all();
    let end = all.iter().find(|it| it.name() == "end" && it.attr("resource") == "phone").expect("an end");
    assert!(end.seq < gone.seq && end.attr("reason") == "kicked", "{}", end.text());
}

crate::on_hosts::on_hosts! {
    both: [
        archived_is_what_the_account_itself_received,
        a_message_for_nobody_online_is_archived_then_goes_offline,
        without_an_archive_there_is_offline_alone,
        a_call_is_urgent_when_it_is_not_archived_or_when_a_session_of_the_account_sent_it,
        no_text_leaves_the_host_unless_the_account_is_watched_with_its_content,
        a_shape_keeps_its_limits_and_what_matters_first,
        a_carbon_keeps_the_addresses_of_what_it_carries,
        the_end_of_an_account_is_told_after_the_end_of_its_sessions,
    ],
    prosody: [
        of_five_hundred_queued_stanzas_the_newest_that_fit_are_told,
        another_module_may_ask_for_a_wake,
    ],
}
