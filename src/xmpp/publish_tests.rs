//! Publishes as the servers in the field write them.

use super::*;

fn read(from: &str, inner: &str) -> Result<Publish, StanzaError> {
    let text = format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{inner}</pubsub>");
    let document = crate::xmpp::xml::Document::parse(&text).expect("the test's XML");
    let pubsub = document.root_element();
    let element = read::child(pubsub, ns::PUBSUB, "publish").expect("a publish");
    publish(pubsub, element, &Sender::read(&from.into()).expect("the test's JID"))
}

fn notified(content: &str) -> Notification {
    let notification = format!("<notification xmlns='urn:xmpp:push:0'>{content}</notification>");
    let inner = format!("<publish node='n'><item>{notification}</item></publish>");
    read("example.org", &inner).expect("a publish").notification
}

fn summary(attributes: &str, form_type: &str, fields: &str) -> Notification {
    notified(&format!("<x xmlns='jabber:x:data' {attributes}>{form_type}{fields}</x>"))
}

const FORM_TYPE: &str = "<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:push:summary</value></field>";
const BARE_FORM_TYPE: &str = "<field var='FORM_TYPE'><value>urn:xmpp:push:summary</value></field>";
const BODY: &str = "<field var='last-message-body'><value>New Message!</value></field>";

fn text(text: &str) -> Option<Private> {
    Some(Private::new(text))
}

#[test]
fn a_form_is_understood_whatever_type_it_claims() {
    let expected = Notification { body: text("New Message!"), ..Notification::default() };
    for attributes in ["", "type='form'", "type='submit'", "type='result'", "type='nonsense'"] {
        for form_type in [FORM_TYPE, BARE_FORM_TYPE, ""] {
            assert_eq!(summary(attributes, form_type, BODY), expected, "{attributes} {form_type}");
        }
    }
    let other = "<field var='FORM_TYPE'><value>urn:other</value></field>";
    assert_eq!(summary("", other, BODY), Notification::default());
}

#[test]
fn each_servers_summary() {
    let none = Notification::default;
    let rows = [
        (
            "Prosody, unimportant",
            "<field var='message-count' type='text-single'><value>1</value></field>
             <field var='pending-subscription-count' type='text-single'/><field var='last-message-sender' type='jid-single'/>
             <field var='last-message-body' type='text-single'/>",
            Notification { count: Some(1), ..none() },
        ),
        (
            "ejabberd, important",
            "<field var='last-message-sender' type='jid-single'><value>juliet@example.org</value></field>
             <field label='a label' var='last-message-body' type='text-single'><value>New message</value></field>",
            Notification { sender: text("juliet@example.org"), body: text("New message"), ..none() },
        ),
        (
            "MongooseIM, a call",
            "<field var='message-sender'><value>j@x</value></field><field var='jingle-message'><value>propose</value></field>
             <field var='jingle-session-id'><value>1</value></field>",
            Notification { sender: text("j@x"), jingle_message: Some(CallStep::Propose), ..none() },
        ),
        (
            "MongooseIM, a call that ended",
            "<field var='jingle-message'><value>retract</value></field>",
            Notification { jingle_message: Some(CallStep::Other), ..none() },
        ),
        ("a count with white space", "<field var='message-count'><value> 3\n</value></field>", Notification { count: Some(3), ..none() }),
        ("not a number", "<field var='message-count'><value>many</value></field>", none()),
        ("a negative number", "<field var='message-count'><value>-1</value></field>", none()),
        ("too large a number", "<field var='message-count'><value>99999999999</value></field>", none()),
        (
            "several values",
            "<field var='last-message-body'><value/><value>one</value><value>two</value></field>",
            Notification { body: text("one"), ..none() },
        ),
        (
            "CDATA and references",
            "<field var='last-message-body'><value>a &lt; <![CDATA[b & c]]></value></field>",
            Notification { body: text("a < b & c"), ..none() },
        ),
    ];
    for (what, fields, expected) in rows {
        let read = summary("", FORM_TYPE, fields);
        assert_eq!(read, expected, "{what}");
        assert_eq!(read.body.as_ref().map(Private::reveal), expected.body.as_ref().map(Private::reveal), "{what}");
    }
}

#[test]
fn extensions_come_in_any_order() {
    let form = format!("<x xmlns='jabber:x:data'>{FORM_TYPE}{BODY}</x>");
    let parts = [
        form.as_str(),
        "<groupchat xmlns='http://tigase.org/protocol/muc#offline'><nickname>Juliet</nickname></groupchat>",
        "<priority xmlns='tigase:push:priority:0'> high </priority>",
        "<jingle xmlns='tigase:push:jingle:0' action='propose' sid='c'><media>audio</media></jingle>",
        "<meet xmlns='tigase:push:meet:0' id='i' jid='j'/>",
        "<encrypted xmlns='tigase:push:encrypt:0' iv=' aX\nY ' type='voip'>Y2lw\n aGVy\t</encrypted>",
        "<event xmlns='http://tigase.org/protocol/account#event' name='account-removed'/>",
        "<unknown xmlns='x'/>",
    ];
    let expected = Notification {
        count: None,
        sender: None,
        body: text("New Message!"),
        jingle_message: None,
        jingle: Some(CallStep::Propose),
        meet: true,
        priority: Some(Priority::High),
        sealed: Some(Sealed { iv: "aXY".into(), payload: Private::new("Y2lwaGVy"), voip: true }),
        account_removed: true,
        nickname: text("Juliet"),
    };
    for turn in 0..parts.len() {
        let mut parts = parts;
        parts.rotate_left(turn);
        assert_eq!(notified(&parts.concat()), expected, "{turn}");
    }
}

#[test]
fn half_an_extension_is_none() {
    let rows = [
        "<encrypted xmlns='tigase:push:encrypt:0'>YQ==</encrypted>",
        "<encrypted xmlns='tigase:push:encrypt:0' iv='YQ=='> </encrypted>",
        "<priority xmlns='tigase:push:priority:0'>middling</priority>",
        "<priority xmlns='tigase:push:priority:0'/>",
        "<groupchat xmlns='http://tigase.org/protocol/muc#offline'/>",
        "<jingle xmlns='urn:xmpp:jingle:1' action='propose'/>",
        "<event xmlns='http://tigase.org/protocol/account#event'/>",
        "<event xmlns='http://tigase.org/protocol/account#event' name='account-registered'/>",
        "<event xmlns='x' name='account-removed'/>",
        "some text",
        "",
    ];
    for content in rows {
        assert_eq!(notified(content), Notification::default(), "{content}");
    }
    let elsewhere = notified("<jingle xmlns='tigase:push:jingle:0'/>");
    assert_eq!(elsewhere.jingle, Some(CallStep::Other));
}

#[test]
fn the_secret_is_found_before_or_after_the_publish() {
    let publish = "<publish node='n'><item><notification xmlns='urn:xmpp:push:0'/></item></publish>";
    let options = |form: &str| format!("<publish-options>{form}</publish-options>");
    let field = "<field var='secret'><value>s3</value></field>";
    let form = options(&format!(
        "<x xmlns='jabber:x:data' type='submit'><field var='other'><value>o</value></field>{field}</x>"
    ));
    let secret = Some(Secret::new("s3"));
    let rows = [
        (format!("{publish}{form}"), secret.clone()),
        (format!("{form}{publish}"), secret),
        (publish.to_owned(), None),
        (format!("{publish}{}", options("")), None),
        (format!("{publish}{}", options("<x xmlns='jabber:x:data'><field var='secret'/></x>")), None),
    ];
    for (inner, secret) in rows {
        let read = read("example.org", &inner).expect("a publish");
        assert_eq!((read.node.as_str(), read.secret), ("n", secret), "{inner}");
    }
}

#[test]
fn the_sender_is_a_domain_or_an_account() {
    let inner = "<publish node='n'><item><notification xmlns='urn:xmpp:push:0'/></item></publish>";
    let rows = [
        ("example.org", "example.org", false),
        ("Example.ORG", "example.org", false),
        ("romeo@example.org", "example.org", false),
        ("romeo@example.org/phone", "example.org", true),
        ("example.org/x@y", "example.org", true),
    ];
    for (from, domain, full) in rows {
        let read = read(from, inner).expect("a publish");
        assert_eq!((read.from.as_str(), read.from_full_jid), (domain, full), "{from}");
    }
}

#[test]
fn a_publish_without_node_or_notification_is_asked_again_later() {
    let rows = [
        "<publish><item><notification xmlns='urn:xmpp:push:0'/></item></publish>",
        "<publish node=''><item><notification xmlns='urn:xmpp:push:0'/></item></publish>",
        "<publish node='n'/>",
        "<publish node='n'><item/></publish>",
        "<publish node='n'><item><notification/></item></publish>",
        "<publish node='n'><item><notification xmlns='urn:xmpp:push2:0'/></item></publish>",
        "<publish node='n'><notification xmlns='urn:xmpp:push:0'/></publish>",
    ];
    for inner in rows {
        assert_eq!(read("example.org", inner), Err(StanzaError::BAD_PUBLISH), "{inner}");
    }
    let second = "<publish node='n'><item/><item id='2'><notification xmlns='urn:xmpp:push:0'/></item></publish>";
    assert!(read("example.org", second).is_ok());
}
