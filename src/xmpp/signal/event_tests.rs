//! One row per event.

use crate::xmpp::xml::Document;

use super::*;
use crate::domain::secret::Private;
use crate::domain::session::Report;
use crate::domain::stanza::{Jingle, JingleStep};
use crate::domain::time::Timestamp;

fn host() -> Domain {
    Domain::new("example.org")
}

fn alice() -> Account {
    Account::new("alice@example.org")
}

/// An event of this name with these attributes and children.
fn told(name: &str, attributes: &str, content: &str) -> Result<Event, Malformed> {
    let text = format!("<{name} xmlns='urn:pushkeeper:host:0' {attributes}>{content}</{name}>");
    let document = Document::parse(&text).expect(&text);
    read(document.root_element(), &host(), Number { epoch: "9zGj", seq: 47 })
}

fn what(name: &str, attributes: &str, content: &str) -> What {
    told(name, attributes, content).unwrap_or_else(|error| panic!("{name} {attributes}: {error:?}")).what
}

const SESSION: &str = "user='alice' sid='avZ' resource='phone'";

const SHAPE: &str = "<stanza n='41'><message xmlns='jabber:client' from='bob@example.org/pc' type='chat' id='m1'>\
                     <body>*</body></message></stanza>";

fn stanza() -> Stanza {
    Stanza {
        from: Some("bob@example.org/pc".into()),
        id: Some("m1".into()),
        body: Some(Private::new("*")),
        ..Stanza::default()
    }
}

fn report(state: Standing) -> Report {
    Report {
        sid: Sid::new("avZ"),
        resource: "phone".into(),
        client_id: None,
        state,
        since: "".into(),
        timeout: None,
        left: None,
        h_in: None,
        h_out: None,
        unacked: None,
        queued: None,
        resumable: state == Standing::Hibernated,
        inactive: false,
    }
}

#[test]
fn what_happens_to_sessions() {
    let rows = [
        ("session", "", Turn::Described, Standing::Plain),
        ("bind", "", Turn::Bound, Standing::Plain),
        ("ack-delayed", "", Turn::AckDelayed, Standing::Unresponsive),
        ("ack", "", Turn::Acked, Standing::Active),
        ("hibernate", "", Turn::Hibernated, Standing::Hibernated),
        ("queued", "", Turn::Queued, Standing::Hibernated),
        ("queued", "state='unresponsive'", Turn::Queued, Standing::Unresponsive),
        ("resume", "", Turn::Resumed, Standing::Active),
        ("end", "reason='closed'", Turn::Ended(EndReason::Closed), Standing::Plain),
        ("end", "reason='timeout'", Turn::Ended(EndReason::Timeout), Standing::Plain),
        ("end", "reason='replaced'", Turn::Ended(EndReason::Replaced), Standing::Plain),
        ("end", "reason='kicked'", Turn::Ended(EndReason::Kicked), Standing::Plain),
        ("end", "reason='unknown'", Turn::Ended(EndReason::Unknown), Standing::Plain),
        ("end", "reason='boredom'", Turn::Ended(EndReason::Unknown), Standing::Plain),
        ("end", "state='hibernated'", Turn::Ended(EndReason::Unknown), Standing::Hibernated),
    ];
    for (name, attributes, turn, state) in rows {
        let stanzas = vec![
            Queued { n: Some(41), stanza: stanza() },
            Queued { n: None, stanza: Stanza { kind: crate::domain::stanza::Kind::Presence, ..Stanza::default() } },
        ];
        let expected = What::Session { account: alice(), report: report(state).into(), turn, stanzas };
        let content = format!("{SHAPE}<stanza><presence xmlns='jabber:client'/></stanza><later xmlns='x'/>");
        assert_eq!(what(name, &format!("{SESSION} {attributes}"), &content), expected, "{name} {attributes}");
    }
    let expected = What::Session {
        account: alice(),
        report: report(Standing::Plain).into(),
        turn: Turn::Bound,
        stanzas: Vec::new(),
    };
    assert_eq!(what("bind", SESSION, ""), expected);
}

#[test]
fn stamps_and_tokens_come_with_any_event() {
    let rows = [
        ("", None, None),
        ("stamp='2026-11-22T02:49:40.120Z'", Some(1_795_315_780_120), None),
        ("stamp='never' token='k3f'", None, Some("k3f")),
    ];
    for (attributes, millis, token) in rows {
        let expected =
            Event { stamp: millis.map(Timestamp::from_millis), token: token.map(Arc::from), what: What::Synced };
        assert_eq!(told("synced", attributes, ""), Ok(expected), "{attributes}");
    }
}

#[test]
fn messages_that_are_stored() {
    let archived = |archive_id: Option<&str>| Stanza { archive_id: archive_id.map(Box::from), ..stanza() };
    let of = |archive_id| What::Archived { account: alice(), stanza: archived(archive_id).into() };
    assert_eq!(what("archived", "user='alice' archive-id='a1'", SHAPE), of(Some("a1")));
    assert_eq!(what("archived", "user='alice'", SHAPE), of(None));
    let id = "<stanza-id xmlns='urn:xmpp:sid:0' by='alice@example.org' id='a2'/></message>";
    let with_id = SHAPE.replace("</message>", id);
    assert_eq!(what("archived", "user='alice' archive-id='a1'", &with_id), of(Some("a1")));
    assert_eq!(what("archived", "user='alice'", &with_id), of(Some("a2")));
    let expected = What::Offline { account: alice(), stanza: stanza().into() };
    assert_eq!(what("offline", "user='alice' archive-id='a1'", SHAPE), expected);
}

#[test]
fn calls_that_no_archive_holds() {
    let shape = "<stanza><message xmlns='jabber:client' from='bob@example.org/pc' id='m1'>\
                 <propose xmlns='urn:xmpp:jingle-message:0' id='c1'/></message></stanza>";
    let jingle = Some(Jingle { step: JingleStep::Propose, id: "c1".into() });
    for (attributes, sent) in [("", false), ("sent='true'", true), ("sent='false'", false)] {
        let stanza = Stanza { body: None, jingle: jingle.clone(), ..stanza() }.into();
        let expected = What::Urgent { account: alice(), stanza, sent };
        assert_eq!(what("urgent", &format!("user='alice' {attributes}"), shape), expected, "{attributes}");
    }
}

#[test]
fn wakes_and_ends_of_accounts() {
    let rows = [
        ("", None, None),
        ("service='push.third.example'", Some("push.third.example"), None),
        ("service='push.third.example' node='n1'", Some("push.third.example"), Some("n1")),
        ("service='' node=''", None, Some("")),
    ];
    for (attributes, service, node) in rows {
        let expected = What::Ping {
            account: alice(),
            service: service.map(Box::from),
            node: node.map(|node: &str| Node::new(node)),
        };
        assert_eq!(what("ping", &format!("user='alice' {attributes}"), ""), expected, "{attributes}");
    }
    assert_eq!(what("user-deleted", "user='alice'", ""), What::UserDeleted { account: alice() });
}

#[test]
fn what_was_missed_is_known_by_its_keys() {
    let keys = "<key id='iVj6'/><key from='bob@example.org/pc' id='m1'/>\
                <key call='true' from='bob@example.org' id='ca3'/>";
    let expected = What::Missed {
        account: Some(alice()),
        count: 3,
        keys: vec![Key::archived("iVj6"), Key::sent("bob@example.org/pc", "m1"), Key::call("bob@example.org", "ca3")],
        newest: Some(stanza().into()),
    };
    assert_eq!(what("missed", "token='k3f' user='alice' count='3'", &format!("{keys}{SHAPE}")), expected);
    let anybody = What::Missed { account: None, count: 0, keys: Vec::new(), newest: None };
    assert_eq!(what("missed", "token='k3f'", ""), anybody);
}

/// Were it left out, a message that nobody knows would count as one that was pushed already.
#[test]
fn a_missed_message_without_a_name_is_like_no_other() {
    let keys = |seq| {
        let text = "<missed xmlns='urn:pushkeeper:host:0' user='alice' count='4'><key/><key from='bob@example.org/pc'/>\
                    <key from='' id='m1'/><key call='true' from='' id='m1'/></missed>";
        let document = Document::parse(text).unwrap();
        match read(document.root_element(), &host(), Number { epoch: "9zGj", seq }).unwrap().what {
            What::Missed { keys, .. } => keys,
            other => panic!("{other:?}"),
        }
    };
    let all = [keys(47), keys(48)].concat();
    assert_eq!(all.len(), 8);
    for (at, key) in all.iter().enumerate() {
        assert_eq!(all.iter().position(|other| other == key), Some(at), "{all:?}");
    }
    for key in [Key::archived("m1"), Key::sent("", "m1"), Key::call("", "m1")] {
        assert!(!all.contains(&key), "{key:?}");
    }
    assert_eq!(keys(47), keys(47));
}

#[test]
fn what_we_do_not_know_is_taken_as_such() {
    assert_eq!(what("eclipse", "user='@' sid='' h-in='x'", "<key/>"), What::Unknown);
    assert_eq!(
        what("ping", "user='alice' loud='true' xmlns:y='z' y:a='b'", "<x xmlns='y'/>"),
        What::Ping { account: alice(), service: None, node: None }
    );
}

#[test]
fn what_we_know_must_be_whole() {
    let session = "sid='avZ' resource='phone'";
    let rows = [
        ("bind", session, "", "no readable user"),
        ("bind", "user='alice' resource='phone'", "", "a session without a readable sid"),
        ("hibernate", "user='alice' sid='avZ'", "", "a session without a readable resource"),
        ("hibernate", SESSION, "<stanza n='x'/>", "a count that is none"),
        ("queued", SESSION, "", "an event without its stanza"),
        ("archived", "user='alice' archive-id='a1'", "", "an event without its stanza"),
        ("archived", "", SHAPE, "no readable user"),
        ("offline", "user='alice'", "<stanza xmlns='other'/>", "an event without its stanza"),
        ("offline", "user='a/b'", SHAPE, "no readable user"),
        ("urgent", "user='alice'", "", "an event without its stanza"),
        ("ping", "", "", "no readable user"),
        ("missed", "user=''", "", "no readable user"),
        ("missed", "user='alice' count='-1'", "", "a count that is none"),
        ("user-deleted", "user='a@b'", "", "no readable user"),
        ("hello", "", "", "hello and registration travel alone"),
        ("registration", SESSION, "<enable xmlns='urn:xmpp:push:0'/>", "hello and registration travel alone"),
    ];
    for (name, attributes, content, why) in rows {
        assert_eq!(told(name, attributes, content), Err(Malformed(why)), "{name} {attributes} {content}");
    }
}
