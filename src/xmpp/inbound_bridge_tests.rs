//! What bridges say, and what others say in their place.

use proptest::prelude::*;

use super::*;
use crate::domain::ids::{Account, Node};
use crate::flows::signals::{OrderId, Relayed, Turn, What, Wish};
use crate::xmpp::frame::Framer;

const TAG: &str = "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:component:accept'>";
const NOW: Moment = Moment::since_start(std::time::Duration::from_secs(7));

fn service() -> Service {
    Service::new(Domain::new("push.example.net"), []).with_hosts(["example.org", "example.com"].map(Domain::new))
}

fn received(service: &Service, text: &str) -> Inbound {
    let frame = Frame::Stanza(text);
    receive(service, &mut Opening::read(TAG).expect("a stream"), frame, NOW).expect("XML").expect("no end")
}

fn iq(from: &str, kind: &str, payload: &str) -> String {
    format!("<iq type='{kind}' id='e6' from='{from}' to='push.example.net'>{payload}</iq>")
}

/// The error that is answered, without what is the same in all of them.
fn error(inbound: &Inbound) -> String {
    let Inbound::Answer(answer) = inbound else { panic!("{inbound:?}") };
    let text = String::from_utf8(answer.to_vec()).expect("UTF-8");
    let (_, error) = text.split_once("<error type=").expect("an error");
    error.replace(" xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'", "").replace("</error></iq>", "")
}

/// As the norm has it.
const HIBERNATE: &str = "<events xmlns='urn:pushkeeper:host:0' epoch='9zGj' seq='47'>
    <hibernate stamp='2026-11-22T02:49:40Z' sid='avZCB7iX' user='alice' resource='phone' state='hibernated'
               since='2026-11-22T02:49:40Z' timeout='600' h-in='12' h-out='40' unacked='1' queued='1' resumable='true'>
      <stanza n='41'>
        <message xmlns='jabber:client' from='bob@example.org/pc' to='alice@example.org' type='chat' id='m1'>
          <body>*</body>
          <stanza-id xmlns='urn:xmpp:sid:0' by='alice@example.org' id='iVj6'/>
        </message>
      </stanza>
    </hibernate>
  </events>";

const REGISTRATION: &str = "<registration xmlns='urn:pushkeeper:host:0' epoch='9zGj' seq='48' user='alice' sid='avZ' \
    resource='phone'><enable xmlns='urn:xmpp:push:0' jid='push.example.net' node='n'/></registration>";

#[test]
fn what_a_bridge_says_goes_to_the_driver() {
    let Inbound::Request(Input::Signals { ticket, host, batch }) =
        received(&service(), &iq("example.org", "set", HIBERNATE))
    else {
        panic!("a batch")
    };
    let expected = Ticket {
        door: Door::Link,
        id: "e6".into(),
        to: "example.org".into(),
        from: "push.example.net".into(),
        taken: NOW,
        for_client: false,
    };
    assert_eq!((ticket, host), (expected, Domain::new("example.org")));
    let [event] = &batch.events[..] else { panic!("{batch:?}") };
    let What::Session { account, report, turn: Turn::Hibernated, stanzas } = &event.what else { panic!("{event:?}") };
    assert_eq!((account, report.h_out), (&Account::new("alice@example.org"), Some(40)));
    let [queued] = &stanzas[..] else { panic!("{stanzas:?}") };
    assert_eq!((queued.n, queued.stanza.archive_id.as_deref()), (Some(41), Some("iVj6")));
}

#[test]
fn the_host_of_a_user_is_the_one_whose_bridge_speaks() {
    let Inbound::Request(Input::Signals { host, batch, .. }) =
        received(&service(), &iq("example.com", "set", HIBERNATE))
    else {
        panic!("a batch")
    };
    let What::Session { account, stanzas, .. } = &batch.events[0].what else { panic!("{batch:?}") };
    assert_eq!((host, account), (Domain::new("example.com"), &Account::new("alice@example.com")));
    // That archive id is not by this alice.
    assert_eq!(stanzas[0].stanza.archive_id, None);
}

#[test]
fn the_answer_to_a_registration_is_for_a_client() {
    let Inbound::Request(Input::Signals { ticket, batch, .. }) =
        received(&service(), &iq("example.org", "set", REGISTRATION))
    else {
        panic!("a registration")
    };
    assert!(ticket.for_client);
    assert!(matches!(&batch.events[0].what, What::Registration { wish: Wish::Enable { service: Some(_), .. }, .. }));
}

#[test]
fn nobody_but_the_bridge_of_a_configured_host_is_listened_to() {
    let strangers = [
        "mallory@example.org/x",
        "mallory@example.org",
        "example.org/bridge",
        "push.example.net",
        "sub.example.org",
        "example.net",
        "alice@example.net/phone",
    ];
    let payloads =
        [HIBERNATE, REGISTRATION, "<check xmlns='urn:pushkeeper:host:0'/>", "<x xmlns='urn:pushkeeper:host:0'/>"];
    for from in strangers {
        for kind in ["set", "get"] {
            for payload in payloads {
                let inbound = received(&service(), &iq(from, kind, payload));
                assert_eq!(error(&inbound), "'auth'><forbidden/>", "{from} {kind} {payload:.60}");
            }
        }
    }
    let nobodys = Service::new(Domain::new("push.example.net"), []);
    assert_eq!(error(&received(&nobodys, &iq("example.org", "set", HIBERNATE))), "'auth'><forbidden/>");
}

#[test]
fn what_of_a_bridge_cannot_be_understood_is_refused_with_the_reason() {
    let text = |text: &str| format!("'modify'><bad-request/><text xml:lang='en'>{text}</text>");
    let refused = "<refused xmlns='urn:pushkeeper:host:0'/>";
    let rows = [
        ("set", HIBERNATE.replace(" epoch='9zGj'", ""), text("no readable epoch")),
        ("set", HIBERNATE.replace(" sid='avZCB7iX'", ""), text("a session without a readable sid")),
        (
            "set",
            "<events xmlns='urn:pushkeeper:host:0' epoch='e' seq='1'/>".into(),
            text("neither 1 nor up to 64 events"),
        ),
        (
            "set",
            "<party xmlns='urn:pushkeeper:host:0' epoch='e' seq='1'/>".into(),
            text("neither events nor hello nor registration"),
        ),
        ("get", HIBERNATE.into(), "'modify'><bad-request/>".into()),
        (
            "set",
            REGISTRATION.replace("<enable", "<enabel"),
            format!("{}{refused}", text("neither one enable nor one disable")),
        ),
        ("set", REGISTRATION.replace(" seq='48'", ""), format!("{}{refused}", text("no readable seq"))),
    ];
    for (kind, payload, expected) in rows {
        assert_eq!(error(&received(&service(), &iq("example.org", kind, &payload))), expected, "{payload:.80}");
    }
}

/// Could it have been a registration, then the client that sent it must not cost its host the link.
#[test]
fn what_cannot_even_be_parsed_of_a_bridge_is_for_a_client() {
    let prefixes: String = (0..40).map(|n| format!(" xmlns:p{n}='u{n}'")).collect();
    let enable = REGISTRATION.replace(" node='n'", &prefixes);
    let rows = [
        ("example.org", &enable, "'modify'><policy-violation/><refused xmlns='urn:pushkeeper:host:0'/>"),
        ("example.net", &enable, "'modify'><policy-violation/>"),
        (
            "example.org",
            &REGISTRATION.replace("<enable", "<x:enable"),
            "'modify'><bad-request/><refused xmlns='urn:pushkeeper:host:0'/>",
        ),
    ];
    for (from, payload, expected) in rows {
        assert_eq!(error(&received(&service(), &iq(from, "set", payload))), expected, "{from}");
    }
}

#[test]
fn an_enable_sent_to_us_is_taken_from_clients_of_our_hosts_only() {
    let enable = "<enable xmlns='urn:xmpp:push:0' jid='push.third.example' node='n'/>";
    let rows = [
        ("alice@example.com", "set", "<disable xmlns='urn:xmpp:push:0'/>", "'auth'><forbidden/>"),
        ("example.org", "set", enable, "'auth'><forbidden/>"),
        ("example.org/phone", "set", enable, "'auth'><forbidden/>"),
        ("alice@example.net/phone", "set", enable, "'auth'><forbidden/>"),
        ("alice@example.org/phone", "get", enable, "'cancel'><not-allowed/>"),
        (
            "alice@example.org/phone",
            "set",
            "<notification xmlns='urn:xmpp:push:0'/>",
            "'cancel'><service-unavailable/>",
        ),
    ];
    for (from, kind, payload, expected) in rows {
        assert_eq!(error(&received(&service(), &iq(from, kind, payload))), expected, "{from} {payload}");
    }
    let taken = received(&service(), &iq("Alice@example.org/my phone", "set", enable));
    let Inbound::Request(Input::Wish { ticket, account, resource, wish }) = taken else { panic!("{taken:?}") };
    assert!(!ticket.for_client, "nobody hands the answer on");
    assert_eq!((account.as_str(), &*resource), ("alice@example.org", "my phone"));
    let expected = Wish::Enable {
        service: Some("push.third.example".into()),
        node: Node::new("n"),
        options: None,
        extensions: None,
    };
    assert_eq!(wish, expected);
}

fn answer(service: &Service, kind: &str, from: &str, id: &str, payload: &str) -> Inbound {
    received(service, &format!("<iq type='{kind}' id='{id}' from='{from}' to='push.example.net'>{payload}</iq>"))
}

#[test]
fn the_answer_to_an_order_goes_to_the_driver() {
    let service = service();
    let id = service.wire_id(OrderId(17));
    let relayed = "<relayed xmlns='urn:pushkeeper:host:0' origin='service'/>";
    let bounce = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    let rows = [
        ("result", relayed, Reply::Relayed(Relayed::Taken)),
        ("result", "", Reply::Done),
        ("error", bounce, Reply::Refused("cancel".into(), "service-unavailable".into())),
        ("result", "<query xmlns='jabber:iq:version'/>", Reply::Unreadable),
        ("result", "<x:a/>", Reply::Unreadable),
    ];
    for (kind, payload, reply) in rows {
        let expected = Input::Reply { host: Domain::new("example.org"), order: OrderId(17), reply };
        assert_eq!(answer(&service, kind, "example.org", &id, payload), Inbound::Request(expected), "{kind} {payload}");
    }
}

#[test]
fn answers_that_answer_no_order_are_ignored() {
    let ours = service();
    let id = ours.wire_id(OrderId(17));
    let another = loop {
        let another = service().wire_id(OrderId(17));
        if another != id {
            break another;
        }
    };
    let rows = [
        ("example.org", "pushkeeper-alive"),
        ("example.org", ""),
        ("example.org", &another),
        ("example.org", &id[..id.len() - 2]),
        ("example.net", &id),
        ("alice@example.org", &id),
        ("example.org/x", &id),
        ("push.example.net", &id),
    ];
    for (from, id) in rows {
        for kind in ["result", "error"] {
            let expected = Inbound::Ignored(Ignored::NoRequest);
            assert_eq!(answer(&ours, kind, from, id, ""), expected, "{from} {id} {kind}");
        }
    }
    let nameless = format!("<iq type='result' id='{id}' to='push.example.net'/>");
    assert_eq!(received(&ours, &nameless), Inbound::Ignored(Ignored::NoRequest));
}

/// Cuts and puts in at some places.
fn mangled(mut text: String, cuts: Vec<(usize, usize, &str)>) -> String {
    let boundary =
        |text: &str, at: usize| (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    for (at, length, piece) in cuts {
        let start = boundary(&text, at);
        let end = boundary(&text, start + length).max(start);
        text.replace_range(start..end, piece);
    }
    text
}

proptest! {
    #[test]
    fn no_mutation_of_an_event_makes_it_panic(
        which in 0usize..4,
        cuts in prop::collection::vec((0usize..1600, 0usize..24, prop::sample::select(PIECES.to_vec())), 0..6),
    ) {
        let missed = "<events xmlns='urn:pushkeeper:host:0' epoch='e' seq='1'><missed user='alice' count='3'>\
            <key id='a'/><key/><key call='true' from='b@c' id='d'/><stanza><message xmlns='jabber:client' \
            from='alice@example.org'><received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>\
            <message from='b@c/d'><encrypted xmlns='urn:xmpp:omemo:2'><payload>*</payload></encrypted>\
            <propose xmlns='urn:xmpp:jingle-message:0' id='x'/></message></forwarded></received></message></stanza>\
            </missed><synced token='k'/></events>";
        let form = REGISTRATION.replace("/></reg", "><x xmlns='jabber:x:data'><field var='secret'><value>s</value></field></x></enable></reg");
        let service = service();
        let (kind, payload) = [
            ("set", HIBERNATE),
            ("set", missed),
            ("set", &form),
            ("result", "<state xmlns='urn:pushkeeper:host:0' token='t'><node epoch='e' seq='1'/></state>"),
        ][which];
        let text = iq("example.org", kind, payload).replace("'e6'", &format!("'{}'", service.wire_id(OrderId(1))));
        let text = mangled(text, cuts);
        let mut framer = Framer::new();
        framer.feed(TAG.as_bytes());
        framer.feed(text.as_bytes());
        while let Ok(Some(frame)) = framer.next_frame() {
            match receive(&service, &mut Opening::read(TAG).expect("a stream"), frame, NOW) {
                Ok(Some(Inbound::Answer(answer))) => {
                    let text = String::from_utf8(answer.to_vec()).expect("UTF-8");
                    prop_assert!(crate::xmpp::xml::Document::parse(&text).is_ok(), "{}", text);
                }
                Ok(Some(Inbound::Request(Input::Signals { host, batch, .. }))) => {
                    prop_assert_eq!(host.as_str().get(..8), Some("example."));
                    prop_assert!((1..=64).contains(&batch.events.len()));
                }
                _ => {}
            }
        }
    }
}

const PIECES: [&str; 24] = [
    "",
    "",
    "<",
    ">",
    "'",
    "/>",
    "&lt;",
    "&#10;",
    "<![CDATA[]]>",
    "<stanza>",
    "</stanza>",
    "<stanza n='-1'/>",
    "<message/>",
    " n='4294967296'",
    " xmlns='x'",
    " xmlns=''",
    "é",
    "-",
    "99999999999999999999",
    " user='@'",
    " from='example.org'",
    "jabber:client",
    "urn:pushkeeper:host:0",
    "<x xmlns='jabber:x:data'/>",
];
