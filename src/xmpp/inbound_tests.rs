//! One row per kind of stanza.

use proptest::prelude::*;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::minidom::Element as Tree;

use super::*;
use crate::domain::ids::{Domain, Node};
use crate::xmpp::frame::{Excess, TooBig};

const TAG: &str = "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:component:accept'>";
const NOW: Moment = Moment::since_start(std::time::Duration::from_secs(7));

fn received(frame: Frame<'_>) -> Result<Option<Inbound>, Fault> {
    let service = Service::new(Domain::new("push.example.net"), []);
    receive(&service, &mut Opening::read(TAG).expect("a stream"), frame, NOW)
}

fn stanza(text: &str) -> Inbound {
    received(Frame::Stanza(text)).expect("XML").expect("no end")
}

/// `TYPE CONDITION` of an error, `result CHILD` of a result, or the reason why there is no answer. Whatever we
/// answer must be an iq to strict eyes, too.
fn summary(inbound: &Inbound) -> String {
    match inbound {
        Inbound::Request(input) => match input {
            Input::Publish { .. } => "publish".to_owned(),
            Input::Register { .. } => "register".to_owned(),
            Input::Unregister { .. } => "unregister".to_owned(),
            other => panic!("{other:?}"),
        },
        Inbound::Ignored(why) => format!("{why:?}"),
        Inbound::StreamError(error) => format!("{}: {}", error.condition, error.text),
        Inbound::HandshakeDone => "handshake".to_owned(),
        Inbound::Answer(bytes) => {
            let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
            let text = text.replacen("<iq ", "<iq xmlns='jabber:component:accept' ", 1);
            let tree: Tree = text.parse().expect("XML");
            match Iq::try_from(tree.clone()).expect("an iq") {
                Iq::Result { payload, .. } => {
                    format!("result {}", payload.map_or(String::new(), |payload| payload.name().to_owned()))
                }
                Iq::Error { .. } => {
                    let error = tree.get_child("error", ns::COMPONENT).expect("an error");
                    let conditions: Vec<_> = error.children().map(|child| child.name().to_owned()).collect();
                    format!("{} {}", error.attr("type").unwrap_or_default(), conditions.join(" "))
                }
                _ => panic!("{text}"),
            }
        }
    }
}

fn request(kind: &str, payload: &str) -> String {
    format!("<iq type='{kind}' id='1' from='romeo@example.org/x' to='push.example.net'>{payload}</iq>")
}

#[test]
fn every_request_gets_the_answer_it_deserves() {
    let pubsub = |content: &str| format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{content}</pubsub>");
    let owner = |content: &str| format!("<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>{content}</pubsub>");
    let query = |ns: &str| format!("<query xmlns='http://jabber.org/protocol/{ns}'/>");
    let command = |attributes: &str, content: &str| {
        format!("<command xmlns='http://jabber.org/protocol/commands' {attributes}>{content}</command>")
    };
    let form = "<x xmlns='jabber:x:data'><field var='token'><value>t</value></field><field var='device-id'><value>d</value></field></x>";
    let tigase = "<x xmlns='jabber:x:data'><field var='provider'><value>p</value></field><field var='device-token'><value>t</value></field></x>";
    let v1 = "<x xmlns='jabber:x:data'><field var='type'><value>apns</value></field><field var='node'><value>n</value></field><field var='token'><value>t</value></field></x>";
    let publish = pubsub("<publish node='n'><item><notification xmlns='urn:xmpp:push:0'/></item></publish>");
    let rows = [
        ("set", publish.clone(), "publish"),
        ("get", publish, "wait bad-request"),
        ("set", pubsub("<publish/>"), "wait bad-request"),
        ("set", pubsub("<create node='n' type='push'/><configure/>"), "result "),
        ("set", pubsub(CREATE), "result "),
        ("set", pubsub(&format!("{CREATE}{OPTIONS}")), "result "),
        ("set", pubsub("<create type='push'/>"), "modify not-acceptable nodeid-required"),
        ("set", pubsub("<create node=''/>"), "modify not-acceptable nodeid-required"),
        ("get", pubsub("<create node='n'/>"), "cancel feature-not-implemented"),
        ("get", pubsub("<items node='n'/>"), "cancel feature-not-implemented"),
        ("set", pubsub("<subscribe node='n' jid='j'/>"), "cancel feature-not-implemented"),
        ("set", pubsub(""), "wait bad-request"),
        ("set", owner("<affiliations node='n'/>"), "result "),
        (
            "set",
            owner("<affiliations node='n'><affiliation jid='example.org' affiliation='publish-only'/></affiliations>"),
            "result ",
        ),
        ("set", owner("<configure node='n'/>"), "result "),
        ("get", owner("<affiliations node='n'/>"), "cancel feature-not-implemented"),
        ("set", owner("<delete node='n'/>"), "cancel feature-not-implemented"),
        ("set", command("node='register-push-fcm'", form), "register"),
        ("set", command("node='unregister-push-fcm'", form), "unregister"),
        ("get", command("node='register-push-fcm'", form), "modify bad-request"),
        ("set", command("node='register-push-fcm'", ""), "result command"),
        ("set", command("node='register-push-fcm' action='cancel'", ""), "result command"),
        ("set", command("node='register-push-fcm' action='prev'", ""), "modify bad-request bad-action"),
        ("set", command("node='register-push-fcm'", "<x xmlns='jabber:x:data'/>"), "modify bad-request bad-payload"),
        ("set", command("node='x'", ""), "cancel item-not-found"),
        ("set", command("node='register-device'", ""), "result command"),
        ("set", command("node='register-device'", tigase), "register"),
        ("set", command("node='unregister-device' action='complete'", tigase), "unregister"),
        ("set", command("node='v1-register-push' action='execute'", v1), "register"),
        ("set", command("node='v1-unregister-push'", v1), "unregister"),
        ("set", command("node='v1-register-push'", form), "modify bad-request bad-payload"),
        ("set", command("node='register-push-webpush'", form), "modify bad-request bad-payload"),
        ("get", query("disco#info"), "result query"),
        ("get", query("disco#items"), "result query"),
        ("set", query("disco#info"), "cancel service-unavailable"),
        ("get", "<query xmlns='http://jabber.org/protocol/disco#info' node='x'/>".into(), "cancel item-not-found"),
        ("get", "<ping xmlns='urn:xmpp:ping'/>".into(), "result "),
        ("set", "<ping xmlns='urn:xmpp:ping'/>".into(), "cancel service-unavailable"),
        ("get", "<query xmlns='jabber:iq:version'/>".into(), "cancel service-unavailable"),
        ("set", "<enable xmlns='urn:xmpp:push:0'/>".into(), "auth forbidden"),
        ("get", "<x/>".into(), "cancel service-unavailable"),
        ("get", String::new(), "modify bad-request"),
        ("set", "text".into(), "modify bad-request"),
        ("get", "<ping xmlns='urn:xmpp:ping'/><ping xmlns='urn:xmpp:ping'/>".into(), "modify bad-request"),
        ("get", " <ping xmlns='urn:xmpp:ping'/>\n".into(), "result "),
        ("bogus", "<ping xmlns='urn:xmpp:ping'/>".into(), "modify bad-request"),
        ("result", String::new(), "NoRequest"),
        ("error", "<error type='cancel'/>".into(), "NoRequest"),
    ];
    for (kind, payload, expected) in rows {
        assert_eq!(summary(&stanza(&request(kind, &payload))), expected, "{kind} {payload}");
    }
}

/// As MongooseIM's documentation has apps make a node, and the options that it stores and sends back.
const CREATE: &str = "<create node='n' type='push'/><configure><x xmlns='jabber:x:data' type='submit'>\
    <field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#node_config</value></field>\
    <field var='pubsub#access_model'><value>whitelist</value></field>\
    <field var='pubsub#publish_model'><value>publishers</value></field></x></configure>";
const OPTIONS: &str = "<publish-options><x xmlns='jabber:x:data' type='submit'>\
    <field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
    <field var='service'><value>apns</value></field><field var='device_id'><value>ab12</value></field>\
    <field var='silent'><value>false</value></field></x></publish-options>";

#[test]
fn only_what_can_be_answered_is() {
    const PING: &str = "<ping xmlns='urn:xmpp:ping'/>";
    let long = format!("id='{}' from='a@b/c'", "i".repeat(MAX_ID + 1));
    let rows = [
        ("type='get' id='1' from='a@b/c'", "result "),
        ("type='get' id='' from='a@b/c'", "result "),
        ("type='get' from='a@b/c'", "modify bad-request"),
        ("id='1' from='a@b/c'", "modify bad-request"),
        ("type='get' id='1'", "NoSender"),
        ("type='get' id='1' from=''", "NoSender"),
        ("type='get' id='1' from='@'", "NoSender"),
        ("type='get' id='1' from='a@b@c'", "NoSender"),
        ("type='get' id='1' from='a@b/'", "NoSender"),
        ("type='get' id='1' from='a@b/c' to='PUSH.example.net'", "result "),
        ("type='get' id='1' from='a@b/c' to='x@push.example.net/y'", "result "),
        ("type='get' id='1' from='a@b/c' to='other.example.net'", "Foreign"),
        ("type='get' id='1' from='a@b/c' to='@@'", "Foreign"),
        (&*format!("type='get' {long}"), "LongId"),
    ];
    for (attributes, expected) in rows {
        assert_eq!(summary(&stanza(&format!("<iq {attributes}>{PING}</iq>"))), expected, "{attributes:.60}");
    }
}

#[test]
fn a_resource_is_the_hosts_affair() {
    let ping = "<iq type='get' id='1' from='a@b/😀' to='push.example.net/😀'><ping xmlns='urn:xmpp:ping'/></iq>";
    let Inbound::Answer(answer) = stanza(ping) else { panic!("{ping}") };
    let expected = "<iq type='result' id='1' from='push.example.net/😀' to='a@b/😀'/>";
    assert_eq!(String::from_utf8_lossy(&answer), expected);
}

#[test]
fn what_is_no_iq_is_never_answered() {
    let error = "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
                 <text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>Replaced</text></stream:error>";
    let rows = [
        ("<message from='a@b' to='push.example.net' id='1'><body>hi</body></message>", "NoRequest"),
        ("<presence from='a@b' to='push.example.net' type='subscribe'/>", "NoRequest"),
        ("<iq xmlns='other' type='get' id='1' from='a@b'/>", "Unknown"),
        ("<unknown/>", "Unknown"),
        ("<handshake/>", "handshake"),
        (error, "conflict: Replaced"),
        ("<stream:error/>", "undefined-condition: "),
    ];
    for (text, expected) in rows {
        assert_eq!(summary(&stanza(text)), expected, "{text}");
    }
}

#[test]
fn a_stanza_that_breaks_a_limit_is_refused_by_its_start_tag() {
    let head = |name: &str, kind: Option<&str>| Head {
        name: name.into(),
        kind: kind.map(Into::into),
        id: Some("1".into()),
        from: Some("a@b/c".into()),
        to: Some("push.example.net".into()),
    };
    let rows = [
        (Some(head("iq", Some("set"))), "modify policy-violation"),
        (Some(head("iq", Some("error"))), "NoRequest"),
        (Some(head("message", None)), "NoRequest"),
        (Some(Head { from: None, ..head("iq", Some("get")) }), "NoSender"),
        (Some(Head { id: None, ..head("iq", Some("get")) }), "modify policy-violation"),
        (None, "Unknown"),
    ];
    for (head, expected) in rows {
        let shown = format!("{head:?}");
        let frame = Frame::TooBig(TooBig { head, why: Excess::Depth });
        assert_eq!(summary(&received(frame).expect("a stream").expect("no end")), expected, "{shown}");
    }
    let nodes = request("set", &format!("<a>{}</a>", "<b/>".repeat(45_000)));
    assert_eq!(summary(&stanza(&nodes)), "modify policy-violation");
    assert_eq!(summary(&stanza(&request("set", "<x:a/>"))), "modify bad-request");
}

#[test]
fn what_a_host_says_of_an_error_is_one_short_line() {
    let condition = "c".repeat(1000);
    let text = format!("line\n&#xd;other\u{9b}{}", "y".repeat(1000));
    let error = format!(
        "<stream:error xmlns:stream='http://etherx.jabber.org/streams'><{condition} \
         xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text \
         xmlns='urn:ietf:params:xml:ns:xmpp-streams'>{text}</text></stream:error>"
    );
    let Inbound::StreamError(error) = stanza(&error) else { panic!("{error}") };
    assert_eq!((error.condition.len(), error.text.chars().count()), (MAX_WORDS, MAX_WORDS));
    assert!(error.text.starts_with("line  other y"), "{}", error.text);
}

#[test]
fn a_stanza_that_is_not_xml_ends_the_stream() {
    assert_eq!(received(Frame::Stanza("<iq><a></b></iq>")), Err(Fault::NotWellFormed));
    assert_eq!(received(Frame::StreamClose), Ok(None));
}

#[test]
fn a_ticket_repeats_what_the_request_said() {
    let text = "<iq type='set' id='a&amp;&#10;b' from='Example.ORG' to='Push.example.net'>\
                <pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='n'><item>\
                <notification xmlns='urn:xmpp:push:0'/></item></publish></pubsub></iq>";
    let Inbound::Request(input) = stanza(text) else { panic!("{text}") };
    let Input::Publish { ticket, publish } = input else { panic!("{text}") };
    let expected = Ticket {
        door: Door::Link,
        id: "a&\nb".into(),
        to: "Example.ORG".into(),
        from: "Push.example.net".into(),
        taken: NOW,
        for_client: false,
    };
    assert_eq!(ticket, expected);
    assert_eq!((publish.from, publish.node), (Domain::new("example.org"), Node::new("n")));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_and_no_answer_is_bad_xml(
        cuts in prop::collection::vec((0usize..600, prop::sample::select(PIECES.to_vec())), 0..6),
    ) {
        let mut text = request("set", "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='n'><item>\
            <notification xmlns='urn:xmpp:push:0'><x xmlns='jabber:x:data'><field var='message-count'><value>1</value>\
            </field></x></notification></item></publish></pubsub>");
        for (at, piece) in cuts {
            let at = (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            text.insert_str(at, piece);
        }
        let mut framer = crate::xmpp::frame::Framer::new();
        framer.feed(TAG.as_bytes());
        framer.feed(text.as_bytes());
        while let Ok(Some(frame)) = framer.next_frame() {
            if let Ok(Some(Inbound::Answer(answer))) = received(frame) {
                let text = String::from_utf8(answer.to_vec()).expect("UTF-8");
                let text = text.replacen("<iq ", "<iq xmlns='jabber:component:accept' ", 1);
                prop_assert!(text.parse::<Tree>().is_ok(), "{}", text);
            }
        }
    }
}

const PIECES: [&str; 16] = [
    "<",
    ">",
    "'",
    "\"",
    "/",
    "&lt;",
    "&#10;",
    "]]>",
    "<![CDATA[",
    "<a>",
    "</a>",
    "<iq/>",
    " x='y'",
    "é",
    "\u{7f}",
    " type='get'",
];
