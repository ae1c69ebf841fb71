//! What a visitor makes of what comes.

use super::*;

const JID: &str = "push.example.org";

fn mean(text: &str, question: Question) -> Meaning {
    let document = crate::xmpp::xml::Document::parse(text).unwrap();
    let questions = [("other.example".to_owned(), Question::Ping), ("example.org".to_owned(), question)];
    meaning(document.root_element(), &Domain::new(JID), 3, &questions)
}

/// What a payload means as the answer to this question.
fn answered(kind: &str, payload: &str, question: Question) -> Heard {
    let text = format!("<iq type='{kind}' id='visit-4' from='example.org' to='{JID}'>{payload}</iq>");
    match mean(&text, question) {
        Meaning::Answer(1, heard) => heard,
        _ => panic!("no answer: {text}"),
    }
}

#[test]
fn answers_are_read_into_plain_words() {
    let software = |name: &str, version: &str| Heard::Software(name.to_owned(), version.to_owned());
    let info = Heard::Info { server: Some("Prosody".to_owned()), features: ["a".to_owned()].into() };
    let rows = [
        (
            Question::Version,
            "<query xmlns='jabber:iq:version'><name>Prosody</name><version>0.12.3</version><os>x</os></query>",
            software("Prosody", "0.12.3"),
        ),
        (Question::Version, "<query xmlns='jabber:iq:version'/>", software("", "")),
        (Question::Version, "", Heard::Done),
        (
            Question::Info,
            "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='server' type='im' \
             name='Prosody'/><feature var='a'/></query>",
            info,
        ),
        (
            Question::Items,
            "<query xmlns='http://jabber.org/protocol/disco#items'><item jid='a.example'/>\
             <item jid='b.example' node='n'/><item/></query>",
            Heard::Items(vec!["a.example".to_owned()]),
        ),
        (Question::Check, "<state xmlns='urn:pushkeeper:host:0' bridge='0.1.0'/>", Heard::Linked("0.1.0".to_owned())),
        (Question::Ping, "", Heard::Done),
    ];
    for (question, payload, expected) in rows {
        assert_eq!(answered("result", payload, question), expected, "{question:?} {payload}");
    }
}

#[test]
fn a_refusal_says_why_and_who_refuses() {
    let ns = "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'";
    let refused = |condition: &str, text: &str, bridge: Option<&str>| Heard::Refused {
        condition: condition.to_owned(),
        text: text.to_owned(),
        bridge: bridge.map(str::to_owned),
    };
    let rows = [
        (
            format!(
                "<check xmlns='urn:pushkeeper:host:0'/><error type='cancel'><unexpected-request {ns}/>\
                 <text {ns}>Not linked</text><unlinked xmlns='urn:pushkeeper:host:0' bridge='0.1.0'/></error>"
            ),
            refused("unexpected-request", "Not linked", Some("0.1.0")),
        ),
        (format!("<error type='auth'><forbidden {ns}/></error>"), refused("forbidden", "", None)),
        (format!("<error><text {ns}>a&#10;b</text><gone {ns}/></error>"), refused("gone", "ab", None)),
        ("<error/>".to_owned(), refused("undefined-condition", "", None)),
        (String::new(), refused("undefined-condition", "", None)),
    ];
    for (payload, expected) in rows {
        assert_eq!(answered("error", &payload, Question::Check), expected, "{payload}");
    }
}

#[test]
fn only_who_was_asked_answers() {
    for (id, from) in
        [("visit-4", "evil.example"), ("visit-2", "example.org"), ("visit-5", "example.org"), ("4", "example.org")]
    {
        let text = format!("<iq type='result' id='{id}' from='{from}' to='{JID}'/>");
        assert!(matches!(mean(&text, Question::Ping), Meaning::Nothing), "{text}");
    }
}

#[test]
fn whoever_wants_something_is_told_to_come_again() {
    let text = format!("<iq type='set' id='a&amp;b' from='x@example.org/r' to='{JID}'><any xmlns='n'/></iq>");
    let Meaning::Request(refusal) = mean(&text, Question::Ping) else { panic!("no request") };
    let refusal = String::from_utf8(refusal.to_vec()).unwrap();
    assert_eq!(
        refusal,
        format!(
            "<iq type='error' id='a&amp;b' from='{JID}' to='x@example.org/r'><error type='wait'><service-unavailable \
             xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
        )
    );
    for text in [format!("<message from='a@b' to='{JID}'/>"), format!("<iq type='error' id='z' to='{JID}'/>")] {
        assert!(matches!(mean(&text, Question::Ping), Meaning::Nothing), "{text}");
    }
}

#[test]
fn stanzas_for_others_are_noticed_and_not_answered() {
    let text = "<iq type='get' id='1' from='a@b' to='x@capulet.example/r'/>";
    assert!(matches!(mean(text, Question::Ping), Meaning::Foreign(domain) if domain == "capulet.example"));
}
