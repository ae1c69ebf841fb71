//! `<enable/>` and `<disable/>` as account owners send them (XEP-0357 §5, §6), handed on by their host untouched.

use crate::xmpp::xml::Element;

use super::extensions::{self, Unfit};
use super::verbatim;
use super::words::{Malformed, is_jid};
use crate::domain::ids::Node;
use crate::domain::registration::Options;
use crate::domain::secret::Secret;
use crate::flows::signals::Wish;
use crate::xmpp::forms::Form;
use crate::xmpp::ns;

/// The longest form that is kept, in bytes. Bridges refuse a longer one themselves (docs/signals.md §2).
const MAX_OPTIONS: usize = 16 * 1024;
/// The longest node, in bytes. Bridges refuse a longer value themselves.
const MAX_NODE: usize = 4 * 1024;

/// Reads what a `<registration>` holds. What a client got wrong is still a wish, one for no push service: it is the
/// client that must hear of it, and its event has its number.
///
/// # Errors
///
/// There is no `<enable/>` or `<disable/>` in it, or more than one: no client can cause that.
pub fn read(registration: Element<'_>) -> Result<Wish, Malformed> {
    let mut children = registration.children().filter(Element::is_element);
    let (Some(wish), None) = (children.next(), children.next()) else {
        return Err(Malformed("neither one enable nor one disable"));
    };
    one(wish)
}

/// Reads an `<enable/>` or a `<disable/>`.
///
/// # Errors
///
/// It is neither.
pub fn one(wish: Element<'_>) -> Result<Wish, Malformed> {
    let tag = wish.tag_name();
    let node = wish.attribute("node");
    let fits = node.is_none_or(|node| node.len() <= MAX_NODE);
    let service = wish.attribute("jid").filter(|jid| fits && is_jid(jid)).map(Box::from);
    match (tag.namespace(), tag.name()) {
        (Some(ns::PUSH), "enable") => {
            let node = Node::new(node.filter(|_| fits).unwrap_or_default());
            Ok(match (options(wish), extensions::read(wish)) {
                (_, Err(Unfit::Refused(refusal))) => Wish::Refused(refusal),
                (Ok(options), Ok(extensions)) => Wish::Enable { service, node, options, extensions },
                _ => Wish::Enable { service: None, node, options: None, extensions: None },
            })
        }
        (Some(ns::PUSH), "disable") => Ok(Wish::Disable { service, node: node.filter(|_| fits).map(Node::new) }),
        _ => Err(Malformed("neither one enable nor one disable")),
    }
}

/// A form that is not kept.
struct TooLong;

/// The publish-options: the form that says so, or, as nobody checks, the first there is.
fn options(enable: Element<'_>) -> Result<Option<Options>, TooLong> {
    let named = |form: &Form<'_>| form.value("FORM_TYPE").map(str::trim) == Some(ns::PUBLISH_OPTIONS);
    let Some(form) = Form::all_inside(enable).find(named).or_else(|| Form::inside(enable)) else { return Ok(None) };
    let xml = verbatim::write(form.element(), MAX_OPTIONS).ok_or(TooLong)?;
    Ok(Some(Options { xml: xml.into(), secret: form.value("secret").map(Secret::new) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::refusal::Refusal;

    fn wish(content: &str) -> Result<Wish, Malformed> {
        let text = format!("<registration xmlns='urn:pushkeeper:host:0'>{content}</registration>");
        let document = crate::xmpp::xml::Document::parse(&text).unwrap();
        read(document.root_element())
    }

    const FORM: &str = "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
                        <value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
                        <field var='secret'><value>s3</value></field></x>";

    fn enable(service: Option<&str>, node: &str, options: Option<(&str, Option<&str>)>) -> Wish {
        let options = options.map(|(xml, secret)| Options { xml: xml.into(), secret: secret.map(Secret::new) });
        Wish::Enable { service: service.map(Box::from), node: Node::new(node), options, extensions: None }
    }

    /// Compares what a failing assertion must not print.
    fn same(wish: &Wish, expected: &Wish) -> bool {
        let xml = |wish: &Wish| match wish {
            Wish::Enable { options: Some(options), .. } => options.xml.to_string(),
            _ => String::new(),
        };
        assert_eq!(xml(wish), xml(expected));
        wish == expected
    }

    #[test]
    fn what_an_account_owner_wants() {
        let service = Some("push.example.net");
        let other = "<x xmlns='jabber:x:data'><field var='secret'><value>other</value></field></x>";
        let third = "<x xmlns='jabber:x:data'><field var='token'><value/></field></x>";
        let rows = [
            ("<enable xmlns='urn:xmpp:push:0' jid='push.example.net' node='n1'/>".into(), enable(service, "n1", None)),
            ("<enable xmlns='urn:xmpp:push:0' jid='push.example.net'/>".into(), enable(service, "", None)),
            (
                format!("<enable xmlns='urn:xmpp:push:0' jid='Push.Example.NET/x y' node=' n '>{FORM}</enable>"),
                enable(Some("Push.Example.NET/x y"), " n ", Some((FORM, Some("s3")))),
            ),
            (
                format!("<enable xmlns='urn:xmpp:push:0' jid='push.example.net'>\n{other}{FORM}</enable>"),
                enable(service, "", Some((FORM, Some("s3")))),
            ),
            (
                format!("<enable xmlns='urn:xmpp:push:0' jid='push.example.net'><y xmlns='z'/>{third}</enable>"),
                enable(service, "", Some((third, None))),
            ),
            (
                "<p:enable xmlns:p='urn:xmpp:push:0' jid='push.example.net'><d:x xmlns:d='jabber:x:data'/></p:enable>"
                    .into(),
                enable(service, "", Some(("<x xmlns='jabber:x:data'/>", None))),
            ),
            (
                "<disable xmlns='urn:xmpp:push:0' jid='push.example.net'/>".into(),
                Wish::Disable { service: service.map(Box::from), node: None },
            ),
            (
                "<disable xmlns='urn:xmpp:push:0' jid='push.example.net' node=''/>".into(),
                Wish::Disable { service: service.map(Box::from), node: Some(Node::new("")) },
            ),
            (
                "<disable xmlns='urn:xmpp:push:0' node='n'/>".into(),
                Wish::Disable { service: None, node: Some(Node::new("n")) },
            ),
        ];
        for (content, expected) in rows {
            assert!(same(&wish(&content).expect(&content), &expected), "{content}");
        }
    }

    #[test]
    fn what_a_client_got_wrong_is_a_wish_for_no_service() {
        let none = enable(None, "", None);
        let long = format!("jid='a' node='{}'", "n".repeat(MAX_NODE + 1));
        for attributes in ["", "jid=''", "jid='@'", "jid='a@b@c'", "jid='a/'", &long] {
            let content = format!("<enable xmlns='urn:xmpp:push:0' {attributes}/>");
            assert!(same(&wish(&content).unwrap(), &none), "{attributes:.20}");
        }
        let huge = |length: usize| {
            let field = format!("<field var='a'><value>{}</value></field>", "x".repeat(length));
            format!("<enable xmlns='urn:xmpp:push:0' jid='a' node='n'><x xmlns='jabber:x:data'>{field}</x></enable>")
        };
        assert!(same(&wish(&huge(17_000)).unwrap(), &enable(None, "n", None)));
        let Ok(Wish::Enable { service: Some(_), options: Some(options), .. }) = wish(&huge(16_000)) else {
            panic!("16,000 bytes are kept")
        };
        assert!((16_000..=MAX_OPTIONS).contains(&options.xml.len()));
    }

    #[test]
    fn what_comes_with_an_enable_is_read_or_refused() {
        let with =
            |content: &str| wish(&format!("<enable xmlns='urn:xmpp:push:0' jid='a' node='n'>{content}</enable>"));
        let Ok(Wish::Enable { service: Some(_), extensions: Some(extensions), .. }) =
            with("<priority xmlns='tigase:push:priority:0'/>")
        else {
            panic!("it asks for something")
        };
        assert_eq!(*extensions, crate::domain::extensions::Extensions { priority: true, ..Default::default() });
        let encrypt = "<encrypt xmlns='tigase:push:encrypt:0' alg='aes-128-gcm'>c2hvcnQ=</encrypt>";
        assert_eq!(with(encrypt), Ok(Wish::Refused(Refusal::BadKey)));
        assert_eq!(with(&encrypt.replace("128", "256")), Ok(Wish::Refused(Refusal::NoSuchEncryption)));
        let long = format!("<muted xmlns='tigase:push:filter:muted:0'>{}</muted>", "<item jid='a@b.c'/>".repeat(4000));
        assert!(same(&with(&long).unwrap(), &enable(None, "n", None)));
    }

    #[test]
    fn a_registration_holds_one_wish() {
        let enable = "<enable xmlns='urn:xmpp:push:0' jid='a'/>";
        let rows = ["", "<enable jid='a'/>", "<x xmlns='urn:xmpp:push:0'/>", &enable.repeat(2)];
        for content in rows {
            assert_eq!(wish(content), Err(Malformed("neither one enable nor one disable")), "{content}");
        }
    }
}
