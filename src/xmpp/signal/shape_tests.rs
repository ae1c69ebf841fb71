//! One row per thing that a stanza can say.

use crate::xmpp::xml::Document;

use super::*;
use crate::domain::class::Class;
use crate::domain::importance::class;
use crate::domain::stanza::Key;

const ALICE: &str = "alice@example.org";

fn shape(stanza: &str) -> Stanza {
    let text = format!("<stanza xmlns='urn:pushkeeper:host:0' n='41'>{stanza}</stanza>");
    let document = Document::parse(&text).expect(stanza);
    read(document.root_element(), &Account::new(ALICE))
}

/// A message from bob with this content.
fn message(content: &str) -> Stanza {
    shape(&format!("<message xmlns='jabber:client' from='bob@example.org/pc' type='chat' id='m1'>{content}</message>"))
}

/// What is read of a message from bob without content.
fn plain() -> Stanza {
    Stanza { from: Some("bob@example.org/pc".into()), id: Some("m1".into()), ..Stanza::default() }
}

fn body(text: &str) -> Option<Private> {
    Some(Private::new(text))
}

#[test]
fn what_a_stanza_is() {
    let of = |kind| Stanza { kind, ..Stanza::default() };
    let rows = [
        ("<message xmlns='jabber:client'/>", of(Kind::Chat)),
        ("<message xmlns='jabber:client' type='chat'/>", of(Kind::Chat)),
        ("<message xmlns='jabber:client' type='normal'/>", of(Kind::Chat)),
        ("<message xmlns='jabber:client' type='strange'/>", of(Kind::Chat)),
        ("<message xmlns='jabber:client' type='groupchat'/>", of(Kind::Groupchat)),
        ("<message xmlns='jabber:client' type='headline'/>", of(Kind::Headline)),
        ("<message xmlns='jabber:client' type='error'/>", of(Kind::Error)),
        ("<message type='headline'/>", of(Kind::Headline)),
        ("<presence xmlns='jabber:client' type='subscribe'/>", of(Kind::Subscribe)),
        ("<presence xmlns='jabber:client' type='subscribed'/>", of(Kind::Presence)),
        ("<presence xmlns='jabber:client'/>", of(Kind::Presence)),
        ("<iq xmlns='jabber:client' type='result'/>", of(Kind::Iq)),
        ("<what xmlns='x'/>", of(Kind::Iq)),
        ("", of(Kind::Iq)),
        (" \n<message xmlns='jabber:client' from='' id=''/>", of(Kind::Chat)),
    ];
    for (text, expected) in rows {
        assert_eq!(shape(text), expected, "{text}");
    }
}

#[test]
fn what_a_message_says() {
    let jingle = |step| Some(Jingle { step, id: "c1".into() });
    let rows = [
        ("", plain()),
        ("<body>*</body>", Stanza { body: body("*"), ..plain() }),
        ("<body>hi <![CDATA[<there>]]></body>", Stanza { body: body("hi <there>"), ..plain() }),
        ("<body/><body xml:lang='de'>hallo</body><body>x</body>", Stanza { body: body("hallo"), ..plain() }),
        ("<body xmlns='other'>*</body>", plain()),
        ("<subject>*</subject>", plain()),
        ("<composing xmlns='http://jabber.org/protocol/chatstates'/>", plain()),
        ("<received xmlns='urn:xmpp:receipts' id='m0'/>", plain()),
        ("<displayed xmlns='urn:xmpp:chat-markers:0' id='m0'/>", Stanza { displayed: true, ..plain() }),
        ("<received xmlns='urn:xmpp:chat-markers:0' id='m0'/>", plain()),
        ("<replace xmlns='urn:xmpp:message-correct:0' id='m0'/>", Stanza { correction: true, ..plain() }),
        ("<no-store xmlns='urn:xmpp:hints'/>", Stanza { no_store: true, ..plain() }),
        ("<no-copy xmlns='urn:xmpp:hints'/><store xmlns='urn:xmpp:hints'/>", plain()),
        ("<x xmlns='jabber:x:conference' jid='r@muc.example'/>", Stanza { invitation: true, ..plain() }),
        (
            "<x xmlns='http://jabber.org/protocol/muc#user'><invite from='c@example.org'/></x>",
            Stanza { invitation: true, ..plain() },
        ),
        ("<x xmlns='http://jabber.org/protocol/muc#user'><status code='104'/></x>", plain()),
        ("<nick xmlns='http://jabber.org/protocol/nick'>Bob</nick>", Stanza { nickname: body("Bob"), ..plain() }),
        ("<nick xmlns='urn:xmpp:nick'>Bob</nick>", Stanza { nickname: body("Bob"), ..plain() }),
        ("<nick xmlns='http://jabber.org/protocol/nick'>*</nick>", plain()),
        (
            "<propose xmlns='urn:xmpp:jingle-message:0' id='c1'/>",
            Stanza { jingle: jingle(JingleStep::Propose), ..plain() },
        ),
        (
            "<propose xmlns='urn:xmpp:jingle-message:1' id='c1'/>",
            Stanza { jingle: jingle(JingleStep::Propose), ..plain() },
        ),
        (
            "<ringing xmlns='urn:xmpp:jingle-message:0' id='c1'/>",
            Stanza { jingle: jingle(JingleStep::Ringing), ..plain() },
        ),
        (
            "<proceed xmlns='urn:xmpp:jingle-message:0' id='c1'/>",
            Stanza { jingle: jingle(JingleStep::Proceed), ..plain() },
        ),
        (
            "<accept xmlns='urn:xmpp:jingle-message:0' id='c1'/>",
            Stanza { jingle: jingle(JingleStep::Accept), ..plain() },
        ),
        (
            "<reject xmlns='urn:xmpp:jingle-message:0' id='c1'/>",
            Stanza { jingle: jingle(JingleStep::Reject), ..plain() },
        ),
        (
            "<retract xmlns='urn:xmpp:jingle-message:0' id='c1'/>",
            Stanza { jingle: jingle(JingleStep::Retract), ..plain() },
        ),
        (
            "<finish xmlns='urn:xmpp:jingle-message:0' id='c1'/>",
            Stanza { jingle: jingle(JingleStep::Finish), ..plain() },
        ),
        ("<wave xmlns='urn:xmpp:jingle-message:9' id='c1'/>", Stanza { jingle: jingle(JingleStep::Other), ..plain() }),
        ("<propose xmlns='urn:xmpp:jingle-message:0'/>", plain()),
        ("<propose xmlns='urn:xmpp:jingle:1' id='c1'/>", plain()),
    ];
    for (content, expected) in rows {
        let read = message(content);
        assert_eq!(read, expected, "{content}");
        let text = |stanza: &Stanza| stanza.body.as_ref().map(|body| body.reveal().to_owned());
        assert_eq!(text(&read), text(&expected), "{content}");
    }
}

#[test]
fn encrypted_is_what_has_something_in_it() {
    let payload = |ns: &str| format!("<encrypted xmlns='{ns}'><header sid='1'/><payload>*</payload></encrypted>");
    let keys = |ns: &str| format!("<encrypted xmlns='{ns}'><header sid='1'/></encrypted>");
    let eme = "<encryption xmlns='urn:xmpp:eme:0' namespace='eu.siacs.conversations.axolotl'/>";
    let mut rows = vec![
        ("<x xmlns='jabber:x:encrypted'>*</x>".to_owned(), true),
        ("<openpgp xmlns='urn:xmpp:openpgp:0'>*</openpgp>".to_owned(), true),
        (eme.to_owned(), true),
        ("<encrypted xmlns='urn:xmpp:omemo:9'><payload/></encrypted>".to_owned(), false),
        ("<encrypted xmlns='urn:xmpp:omemo:2'><payload xmlns='other'/></encrypted>".to_owned(), false),
        ("<x xmlns='jabber:x:oob'/>".to_owned(), false),
    ];
    for ns in ["eu.siacs.conversations.axolotl", "urn:xmpp:omemo:0", "urn:xmpp:omemo:1", "urn:xmpp:omemo:2"] {
        rows.push((payload(ns), true));
        rows.push((keys(ns), false));
        rows.push((format!("{}{eme}", keys(ns)), false));
        rows.push((format!("{eme}{}", keys(ns)), false));
        rows.push((format!("{eme}{}", payload(ns)), true));
    }
    for (content, encrypted) in rows {
        assert_eq!(message(&content), Stanza { encrypted, ..plain() }, "{content}");
    }
}

#[test]
fn only_the_accounts_own_archive_gives_archive_ids() {
    let id = |by: &str, id: &str| format!("<stanza-id xmlns='urn:xmpp:sid:0' by='{by}' id='{id}'/>");
    let rows = [
        (id(ALICE, "a1"), Some("a1")),
        (id("room@muc.example", "a1"), None),
        (id("alice@example.org/phone", "a1"), None),
        (id("ALICE@example.org", "a1"), None),
        ("<stanza-id xmlns='urn:xmpp:sid:0' id='a1'/>".into(), None),
        ("<origin-id xmlns='urn:xmpp:sid:0' id='a1'/>".into(), None),
        (id(ALICE, ""), None),
        (format!("{}{}{}", id("mallory.example", "m"), id(ALICE, "a1"), id(ALICE, "a2")), Some("a2")),
    ];
    for (content, expected) in rows {
        assert_eq!(message(&content).archive_id.as_deref(), expected, "{content}");
    }
}

/// A carbon as hosts make them: `outer` are attributes, `inner` what was forwarded.
fn carbon(outer: &str, step: &str, beside: &str, inner: &str) -> Stanza {
    shape(&format!(
        "<message xmlns='jabber:client' {outer} to='alice@example.org/phone' type='chat' id='outer'>\
         <{step} xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded></{step}>{beside}\
         </message>"
    ))
}

#[test]
fn a_carbon_is_what_it_forwards() {
    let id = |id: &str| format!("<stanza-id xmlns='urn:xmpp:sid:0' by='{ALICE}' id='{id}'/>");
    let inner = |content: &str| {
        format!(
            "<delay xmlns='urn:xmpp:delay'/><message xmlns='jabber:client' from='bob@example.org/pc' id='m1'>{content}</message>"
        )
    };
    let received = Stanza { carbon: Some(Carbon::Received), body: body("*"), ..plain() };
    let own = "from='alice@example.org'";
    let text = "<body>*</body>";
    assert_eq!(carbon(own, "received", "", &inner(text)), received);
    assert_eq!(carbon("", "received", "", &inner(text)), received);
    assert_eq!(carbon(own, "sent", "", &inner(text)), Stanza { carbon: Some(Carbon::Sent), ..received.clone() });
    let with = |archive_id: &str| Stanza { archive_id: Some(archive_id.into()), ..received.clone() };
    assert_eq!(carbon(own, "received", &id("o"), &inner(text)), with("o"));
    assert_eq!(carbon(own, "received", &id("o"), &inner(&format!("{text}{}", id("i")))), with("i"));
    let room = "<message xmlns='jabber:client' type='groupchat' from='bob@example.org/pc' id='m1'/>";
    let expected = Stanza { kind: Kind::Groupchat, body: None, ..received };
    assert_eq!(carbon(own, "received", "", room), expected);
}

#[test]
fn a_carbon_of_nothing_is_still_one() {
    let expected =
        Stanza { from: Some(ALICE.into()), id: Some("outer".into()), carbon: Some(Carbon::Sent), ..Stanza::default() };
    assert_eq!(carbon("from='alice@example.org'", "sent", "", ""), expected);
}

#[test]
fn nobody_else_can_make_a_carbon() {
    let call = "<message xmlns='jabber:client' from='carol@example.org/pc' id='m1'><body>*</body>\
                <propose xmlns='urn:xmpp:jingle-message:0' id='c1'/></message>";
    let strangers = ["bob@example.org/pc", "alice@example.org/phone", "alice@example.org.evil", "ALICE@example.org"];
    for from in strangers {
        let read = carbon(&format!("from='{from}'"), "received", "", call);
        let expected = Stanza { from: Some(from.into()), id: Some("outer".into()), ..Stanza::default() };
        assert_eq!(read, expected, "{from}");
        assert_eq!(class(&read, ALICE, false, false), Some(Class::Unimportant), "{from}");
    }
    // Nor does an error that comes back with what it answers.
    let bounce = format!(
        "<message xmlns='jabber:client' from='{ALICE}' type='error'><received xmlns='urn:xmpp:carbons:2'>\
         <forwarded xmlns='urn:xmpp:forward:0'>{call}</forwarded></received></message>"
    );
    assert_eq!(shape(&bounce), Stanza { kind: Kind::Error, from: Some(ALICE.into()), ..Stanza::default() });
}

#[test]
fn other_wrappers_are_left_alone() {
    let inner = "<message xmlns='jabber:client' from='carol@example.org/pc'><body>*</body></message>";
    let rows = [
        format!("<result xmlns='urn:xmpp:mam:2'><forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded></result>"),
        format!("<event xmlns='http://jabber.org/protocol/pubsub#event'><items><item>{inner}</item></items></event>"),
        format!("<private xmlns='urn:xmpp:carbons:2'>{inner}</private>"),
        format!("<forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded>"),
    ];
    for content in rows {
        assert_eq!(message(&content), plain(), "{content}");
    }
}

/// Stanzas that Prosody 0.12 queued and archived, in the form of shapes.
#[test]
fn shapes_of_real_stanzas() {
    let chat = "<message xmlns='jabber:client' to='alice@localhost' type='chat' id='h0' from='bob@localhost/pc'>\
                <body>*</body><stanza-id xmlns='urn:xmpp:sid:0' by='alice@example.org' id='RM4VVy7CfW40K0vLFovVVmw0'/>\
                <delay xmlns='urn:xmpp:delay' from='alice@localhost' stamp='2026-11-22T03:12:19Z'/></message>";
    let expected = Stanza {
        from: Some("bob@localhost/pc".into()),
        id: Some("h0".into()),
        archive_id: Some("RM4VVy7CfW40K0vLFovVVmw0".into()),
        body: body("*"),
        ..Stanza::default()
    };
    assert_eq!(shape(chat), expected);
    assert_eq!(shape(chat).key(None), Some(Key::archived("RM4VVy7CfW40K0vLFovVVmw0")));
    let presence = "<presence xmlns='jabber:client' from='alice@localhost/phone'/>";
    let expected = Stanza { kind: Kind::Presence, from: Some("alice@localhost/phone".into()), ..Stanza::default() };
    assert_eq!(shape(presence), expected);
    let iq = "<iq xmlns='jabber:client' type='result' id='q1' to='alice@localhost/phone'/>";
    assert_eq!(shape(iq), Stanza { kind: Kind::Iq, id: Some("q1".into()), ..Stanza::default() });
}

#[test]
fn what_the_host_knows_beside() {
    let told = |attributes: &str, stanza: &str| {
        let text = format!("<stanza xmlns='urn:pushkeeper:host:0' {attributes}>{stanza}</stanza>");
        let read = read(Document::parse(&text).expect(&text).root_element(), &Account::new(ALICE));
        (read.contact, read.reflected)
    };
    let chat = "<message xmlns='jabber:client' from='bob@example.org/pc'/>";
    let room = "<message xmlns='jabber:client' from='r@muc.example/Al' type='groupchat'/>";
    let carbon = "<message xmlns='jabber:client' from='alice@example.org'><received xmlns='urn:xmpp:carbons:2'>\
                  <forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='bob@example.org/pc'/>\
                  </forwarded></received></message>";
    let rows = [
        ("", chat, (None, false)),
        ("contact='true'", chat, (Some(true), false)),
        ("contact='false'", chat, (Some(false), false)),
        ("contact='perhaps'", chat, (None, false)),
        ("contact='false'", carbon, (Some(false), false)),
        ("own='true'", room, (None, true)),
        ("own='false'", room, (None, false)),
        ("own='true'", chat, (None, false)),
    ];
    for (attributes, stanza, expected) in rows {
        assert_eq!(told(attributes, stanza), expected, "{attributes} {stanza}");
    }
}

#[test]
fn what_a_call_is_about() {
    let rtp = |media: &str| format!("<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='{media}'/>");
    let rows = [
        (String::new(), vec![]),
        (rtp("audio"), vec!["audio"]),
        (rtp("video") + &rtp("audio") + &rtp("audio"), vec!["audio", "video"]),
        (rtp("smell"), vec![]),
        ("<description xmlns='urn:xmpp:jingle:apps:file-transfer:5' media='audio'/>".to_owned(), vec![]),
    ];
    for (content, expected) in rows {
        let propose = format!("<propose xmlns='urn:xmpp:jingle-message:0' id='c1'>{content}</propose>");
        assert_eq!(message(&propose).media, expected, "{content}");
    }
}

#[test]
fn whom_a_message_mentions() {
    let reference = |uri: &str| format!("<reference xmlns='urn:xmpp:reference:0' type='mention' uri='{uri}'/>");
    let rows = [
        (reference("xmpp:Alice@Example.org"), Some("alice@example.org")),
        (reference("xmpp:r@muc.example/Al%20%C3%A9%F0%9F%8E%AD"), Some("r@muc.example/Al é🎭")),
        (reference("xmpp:r@muc.example/Al?message#x"), Some("r@muc.example/Al")),
        (reference("https://example.org"), None),
        (reference("xmpp:@"), None),
        (reference("xmpp:r@muc.example/%F"), None),
        (reference("xmpp:r@muc.example/%FF"), None),
        ("<reference xmlns='urn:xmpp:reference:0' type='data' uri='xmpp:alice@example.org'/>".to_owned(), None),
        ("<reply xmlns='urn:xmpp:reply:0' to='r@muc.example/Al' id='m0'/>".to_owned(), Some("r@muc.example/Al")),
        ("<reply xmlns='urn:xmpp:reply:0' id='m0'/>".to_owned(), None),
    ];
    for (content, expected) in rows {
        let mentions: Vec<String> = message(&content).mentions.iter().map(ToString::to_string).collect();
        assert_eq!(mentions, expected.into_iter().collect::<Vec<_>>(), "{content}");
    }
    let two = reference("xmpp:alice@example.org") + &reference("xmpp:bob@example.org");
    assert_eq!(message(&two).mentions.len(), 2);
}
