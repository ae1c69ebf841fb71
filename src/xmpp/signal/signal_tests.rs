//! The envelope, and whole batches.

use crate::xmpp::xml::Document;

use super::*;
use crate::domain::ids::{Account, Node};
use crate::domain::session::Standing;
use crate::flows::signals::{What, Wish};

fn told(text: &str) -> Result<Batch, Malformed> {
    let document = Document::parse(text).expect(text);
    read(document.root_element(), &Domain::new("example.org"))
}

fn events(attributes: &str, content: &str) -> Result<Batch, Malformed> {
    told(&format!("<events xmlns='urn:pushkeeper:host:0' {attributes}>{content}</events>"))
}

const PING: &str = "<ping user='alice'/>";

#[test]
fn a_batch_says_where_its_events_belong() {
    let read = events("epoch='9zGj' seq='47' name='ejabberd@h1' mood='good'", &format!("\n{PING}<synced token='k'/> "))
        .unwrap();
    assert_eq!((&*read.node, &*read.epoch, read.seq, read.events.len()), ("ejabberd@h1", "9zGj", 47, 2));
    assert_eq!(read.events[1].what, What::Synced);
    let read = events("epoch='9zGj' seq='9007199254740992'", &PING.repeat(2)).unwrap();
    assert_eq!((&*read.node, read.seq, read.events.len()), ("", 1 << 53, 2));
}

#[test]
fn an_event_that_is_not_known_keeps_its_place() {
    let content = format!("{PING}<eclipse/><ping xmlns='other' user=''/>{PING}");
    let read = events("epoch='9zGj' seq='47'", &content).unwrap();
    let known: Vec<_> = read.events.iter().map(|event| event.what != What::Unknown).collect();
    assert_eq!(known, [true, false, false, true]);
}

#[test]
fn a_batch_that_cannot_be_understood_is_refused_whole() {
    let whole = "epoch='9zGj' seq='47'";
    let rows = [
        ("seq='47'", PING.to_owned(), "no readable epoch"),
        ("epoch='' seq='47'", PING.to_owned(), "no readable epoch"),
        ("epoch='9zGj'", PING.to_owned(), "no readable seq"),
        ("epoch='9zGj' seq='-1'", PING.to_owned(), "no readable seq"),
        ("epoch='9zGj' seq='9007199254740993'", PING.to_owned(), "no readable seq"),
        ("epoch='9zGj' seq='4.7'", PING.to_owned(), "no readable seq"),
        ("epoch='9zGj' seq='47' name=''", PING.to_owned(), "an unreadable name"),
        (whole, String::new(), "neither 1 nor up to 64 events"),
        (whole, "text".to_owned(), "neither 1 nor up to 64 events"),
        (whole, PING.repeat(65), "neither 1 nor up to 64 events"),
        (whole, format!("{PING}<ping/>{PING}"), "no readable user"),
    ];
    for (attributes, content, why) in rows {
        assert_eq!(events(attributes, &content), Err(Malformed(why)), "{attributes} {content:.40}");
    }
    assert_eq!(events(whole, &PING.repeat(64)).unwrap().events.len(), 64);
    let other = told("<eventz xmlns='urn:pushkeeper:host:0' epoch='e' seq='1'/>");
    assert_eq!(other, Err(Malformed("neither events nor hello nor registration")));
}

#[test]
fn hello_and_registrations_travel_alone() {
    let read = told("<hello xmlns='urn:pushkeeper:host:0' epoch='e' seq='1' stamp='2026-11-22T02:49:40Z'/>").unwrap();
    assert_eq!((read.seq, read.events.len(), &read.events[0].what), (1, 1, &What::Hello));
    let text = "<registration xmlns='urn:pushkeeper:host:0' epoch='e' seq='2' user='alice' sid='avZ' resource='phone' \
                state='active' resumable='true'><enable xmlns='urn:xmpp:push:0' jid='push.example.net' node='n'/>\
                </registration>";
    let read = told(text).unwrap();
    let [Event { what: What::Registration { account, report, wish }, .. }] = &read.events[..] else {
        panic!("{read:?}")
    };
    assert_eq!((account, report.state), (&Account::new("alice@example.org"), Standing::Active));
    let expected = Wish::Enable {
        service: Some("push.example.net".into()),
        node: Node::new("n"),
        options: None,
        extensions: None,
    };
    assert_eq!(wish, &expected);
    assert_eq!(told(&text.replace(" sid='avZ'", "")), Err(Malformed("a session without a readable sid")));
}
