//! Writes a parsed element out again, so that it needs nothing around it and means what it meant.

use crate::xmpp::xml::Element;
use bytes::BytesMut;

use crate::xmpp::{answer, ns};

/// The element as XML with all its namespaces declared; `None` if that takes more than `longest` bytes. Prefixes are
/// not kept, they mean nothing: elements are in default namespaces (the parser knows none in the XML namespace, which
/// cannot be one), attributes get prefixes of our own.
#[must_use]
pub fn write(element: Element<'_>, longest: usize) -> Option<String> {
    let mut out = BytesMut::new();
    // No default namespace is in force: one that says so, too, so that the first one is always written.
    put_element(&mut out, element, None, longest)?;
    String::from_utf8(out.to_vec()).ok()
}

fn put_element(out: &mut BytesMut, element: Element<'_>, outer: Option<&str>, longest: usize) -> Option<()> {
    let tag = element.tag_name();
    let namespace = tag.namespace().unwrap_or_default();
    put(out, &["<", tag.name()]);
    if outer != Some(namespace) {
        put_value(out, "xmlns", namespace);
    }
    for (at, attribute) in element.attributes().enumerate() {
        // Looked at here as well: a namespace declared once is written for each attribute that is in it.
        if out.len() > longest {
            return None;
        }
        match attribute.namespace {
            None => put_value(out, attribute.name, attribute.value),
            Some(ns::XML) => put_value(out, &format!("xml:{}", attribute.name), attribute.value),
            Some(namespace) => {
                put_value(out, &format!("xmlns:a{at}"), namespace);
                put_value(out, &format!("a{at}:{}", attribute.name), attribute.value);
            }
        }
    }
    if !element.has_children() {
        put(out, &["/>"]);
        return (out.len() <= longest).then_some(());
    }
    put(out, &[">"]);
    if out.len() > longest {
        return None;
    }
    for child in element.children() {
        if child.is_element() {
            put_element(out, child, Some(namespace), longest)?;
        } else if child.is_text() {
            answer::escape(out, child.text().unwrap_or_default());
        }
        if out.len() > longest {
            return None;
        }
    }
    put(out, &["</", tag.name(), ">"]);
    (out.len() <= longest).then_some(())
}

fn put_value(out: &mut BytesMut, name: &str, value: &str) {
    put(out, &[" ", name, "='"]);
    answer::escape(out, value);
    put(out, &["'"]);
}

fn put(out: &mut BytesMut, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// An element as its meaning: names with namespaces, attributes in no order, text.
    #[derive(Debug, PartialEq, Eq)]
    enum Meaning {
        Element((String, String), BTreeSet<(String, String, String)>, Vec<Meaning>),
        Text(String),
    }

    fn meaning(node: Element<'_>) -> Meaning {
        if !node.is_element() {
            return Meaning::Text(node.text().unwrap_or_default().to_owned());
        }
        let owned = |namespace: Option<&str>| namespace.unwrap_or_default().to_owned();
        let tag = node.tag_name();
        let attributes = node
            .attributes()
            .map(|attribute| (owned(attribute.namespace), attribute.name.to_owned(), attribute.value.to_owned()));
        let name = (owned(tag.namespace()), tag.name().to_owned());
        Meaning::Element(name, attributes.collect(), node.children().map(meaning).collect())
    }

    fn written(text: &str) -> String {
        let document = crate::xmpp::xml::Document::parse(text).expect(text);
        write(document.root_element(), usize::MAX).expect("it fits")
    }

    #[test]
    fn a_form_is_written_as_it_was() {
        let form = "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>\
                    <value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
                    <field var='secret'><value>a&amp;b &lt;</value></field><field var='empty'/></x>";
        assert_eq!(written(form), form);
    }

    #[test]
    fn namespaces_are_right_wherever_they_were_declared() {
        let rows = [
            ("<p:x xmlns:p='u'><p:a/><a/></p:x>", "<x xmlns='u'><a/><a xmlns=''/></x>"),
            ("<x/>", "<x xmlns=''/>"),
            ("<x xmlns='u' xmlns:q='v' q:b='1' b='2'/>", "<x xmlns='u' xmlns:a0='v' a0:b='1' b='2'/>"),
            ("<x xml:lang='de'><a/></x>", "<x xmlns='' xml:lang='de'><a/></x>"),
            (
                "<x xmlns='u'>\n<y xmlns='v'><z xmlns='u'/></y></x>",
                "<x xmlns='u'>&#10;<y xmlns='v'><z xmlns='u'/></y></x>",
            ),
            ("<x a='&#10;&apos;\"'><![CDATA[<&>]]></x>", "<x xmlns='' a='&#10;&apos;\"'>&lt;&amp;&gt;</x>"),
        ];
        for (text, expected) in rows {
            assert_eq!(written(text), expected, "{text}");
            let (one, other) = (
                crate::xmpp::xml::Document::parse(text).unwrap(),
                crate::xmpp::xml::Document::parse(expected).unwrap(),
            );
            assert_eq!(meaning(one.root_element()), meaning(other.root_element()), "{text}");
        }
    }

    #[test]
    fn what_is_too_long_is_not_written() {
        let text = format!("<x xmlns='u'><a>{}</a></x>", "&lt;".repeat(100));
        let document = crate::xmpp::xml::Document::parse(&text).unwrap();
        assert_eq!(write(document.root_element(), text.len()).as_deref(), Some(&*text));
        for longest in [0, 1, 13, 100, text.len() - 1] {
            assert_eq!(write(document.root_element(), longest), None, "{longest}");
        }
    }

    #[test]
    fn what_would_be_too_long_is_given_up_early() {
        // A namespace that is declared once, and written for each attribute that is in it; and many start tags.
        let (long, many) = ("u".repeat(1000), |number: usize| " p:a='' b=''".repeat(number));
        let within = |inner: &str| format!("<x xmlns:p='{long}'><y{inner}</x>");
        let attributes: String = (0..100).map(|number| format!(" p:a{number}=''")).collect();
        let nested = format!(" {}/>", many(1)) + &format!("<y {}>", many(1)).repeat(50) + &"</y>".repeat(50);
        for text in [within(&format!("{attributes}/>")), within(&nested)] {
            let document = crate::xmpp::xml::Document::parse(&text).expect(&text);
            let mut out = BytesMut::new();
            assert_eq!(put_element(&mut out, document.root_element(), None, 2000), None);
            assert!(out.len() < 2000 + 3 * 1000, "{} bytes", out.len());
        }
    }

    /// Elements with and without prefixes, attributes and texts, inside what declares the prefixes.
    fn content() -> impl Strategy<Value = String> {
        let word = "[ -;=?-~&&[^&]]{0,12}".prop_map(|text| text.replace('\'', "&apos;").replace("]]>", ""));
        let name = prop::sample::select(vec!["a", "p:a", "q:b", "field"]);
        let attribute = (prop::sample::select(vec!["v", "p:v", "q:v", "xml:lang"]), word.clone());
        let attributes = prop::collection::btree_map(attribute.0, attribute.1, 0..3);
        let own = prop::sample::select(vec!["", " xmlns='u'", " xmlns=''", " xmlns:p='other'"]);
        let leaf = prop_oneof![word, Just("&#9;&#10;&#13;\n".to_owned()), Just("<![CDATA[<'&]]>".to_owned())];
        leaf.prop_recursive(4, 40, 4, move |inner| {
            (name.clone(), own.clone(), attributes.clone(), prop::collection::vec(inner, 0..4)).prop_map(
                |(name, own, attributes, children)| {
                    let attributes: String =
                        attributes.iter().map(|(name, value)| format!(" {name}='{value}'")).collect();
                    format!("<{name}{own}{attributes}>{}</{name}>", children.concat())
                },
            )
        })
    }

    proptest! {
        #[test]
        fn what_is_written_means_what_was_read(content in content()) {
            let text = format!("<x xmlns='jabber:x:data' xmlns:p='urn:p' xmlns:q='urn:q'>{content}</x>");
            let document = crate::xmpp::xml::Document::parse(&text).unwrap();
            let written = written(&text);
            let again = crate::xmpp::xml::Document::parse(&written).unwrap();
            prop_assert_eq!(meaning(document.root_element()), meaning(again.root_element()), "{}", &written);
            prop_assert_eq!(write(again.root_element(), usize::MAX), Some(written.clone()));
        }
    }
}
