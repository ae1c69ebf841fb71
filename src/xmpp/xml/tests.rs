use proptest::prelude::*;

use super::*;

/// What a text means, in one form for both parsers: `{namespace}name`, attributes in order, texts in quotes.
fn meaning(element: Element<'_>, out: &mut String) {
    let tag = element.tag_name();
    out.push_str(&format!("<{{{}}}{}", tag.namespace().unwrap_or_default(), tag.name()));
    for attribute in element.attributes() {
        out.push_str(&format!(
            " {{{}}}{}={:?}",
            attribute.namespace.unwrap_or_default(),
            attribute.name,
            attribute.value
        ));
    }
    out.push('>');
    for child in element.children() {
        match child.text().filter(|_| child.is_text()) {
            Some(text) => out.push_str(&format!("{text:?}")),
            None => meaning(child, out),
        }
    }
    out.push_str("</>");
}

fn others_meaning(element: roxmltree::Node<'_, '_>, out: &mut String) {
    let tag = element.tag_name();
    out.push_str(&format!("<{{{}}}{}", tag.namespace().unwrap_or_default(), tag.name()));
    for attribute in element.attributes() {
        let namespace = attribute.namespace().unwrap_or_default();
        out.push_str(&format!(" {{{namespace}}}{}={:?}", attribute.name(), attribute.value()));
    }
    out.push('>');
    for child in element.children() {
        match child.text().filter(|_| child.is_text()) {
            Some("") => {}
            Some(text) => out.push_str(&format!("{text:?}")),
            None => others_meaning(child, out),
        }
    }
    out.push_str("</>");
}

fn ours(text: &str) -> Result<String, Fault> {
    let document = Document::parse(text)?;
    let mut out = String::new();
    meaning(document.root_element(), &mut out);
    Ok(out)
}

fn others(text: &str) -> Option<String> {
    let document = roxmltree::Document::parse(text).ok()?;
    let mut out = String::new();
    others_meaning(document.root_element(), &mut out);
    Some(out)
}

#[test]
fn what_a_text_means() {
    let rows = [
        ("<a/>", "<{}a></>"),
        ("<a></a >", "<{}a></>"),
        ("<a b='1' c=\"2\"/>", "<{}a {}b=\"1\" {}c=\"2\"></>"),
        ("<a xmlns='u'><b/><c xmlns=''/></a>", "<{u}a><{u}b></><{}c></></>"),
        ("<p:a xmlns:p='u' p:b='1' b='2'><p:c/><d/></p:a>", "<{u}a {u}b=\"1\" {}b=\"2\"><{u}c></><{}d></></>"),
        ("<a xmlns='u'><b xmlns='v'><c/></b><d/></a>", "<{u}a><{v}b><{v}c></></><{u}d></></>"),
        ("<a xml:lang='de'/>", "<{}a {http://www.w3.org/XML/1998/namespace}lang=\"de\"></>"),
        ("<a>x&lt;y&#x41;&#66;</a>", "<{}a>\"x<yAB\"</>"),
        ("<a>x<![CDATA[<&]]]]>y</a>", "<{}a>\"x<&]]y\"</>"),
        ("<a>x<b/>y</a>", "<{}a>\"x\"<{}b></>\"y\"</>"),
        ("<a>1\r\n2\r3\n4&#13;</a>", "<{}a>\"1\\n2\\n3\\n4\\r\"</>"),
        ("<a b='1\r\n2\r3\n4\t5&#10;'/>", "<{}a {}b=\"1 2 3 4 5\\n\"></>"),
        ("<a b='\"' c=\"'\"/>", "<{}a {}b=\"\\\"\" {}c=\"'\"></>"),
        ("<é·ü/>", "<{}é·ü></>"),
        ("<a>\u{ff5e}\u{fdd0}]]]&gt;</a>", "<{}a>\"～\\u{fdd0}]]]>\"</>"),
        (" <a/>\n", "<{}a></>"),
    ];
    for (text, expected) in rows {
        assert_eq!(ours(text).as_deref(), Ok(expected), "{text}");
        assert_eq!(others(text).as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn what_is_no_xml_and_what_is_wrong_with_namespaces() {
    let not_well_formed = [
        "",
        "a",
        "<",
        "<a",
        "<a>",
        "<a/",
        "<a/>b",
        "<a/><b/>",
        "<a></b>",
        "<a></ab>",
        "<ab></a>",
        "< a/>",
        "<1/>",
        "<a b/>",
        "<a b=1/>",
        "<a b='1'c='2'/>",
        "<a b='<'/>",
        "<a b='1' b='2'/>",
        "<a b='&'/>",
        "<a b='&;'/>",
        "<a b='&x;'/>",
        "<a>&</a>",
        "<a>&amp</a>",
        "<a>&#0;</a>",
        "<a>&#xfffe;</a>",
        "<a>&#xd800;</a>",
        "<a>&#x;</a>",
        "<a>&#+1;</a>",
        "<a>]]></a>",
        "<a>\u{1}</a>",
        "<a>\u{ffff}</a>",
        "<a b='\u{fffe}'/>",
        "<a b='\u{0}'/>",
        "<a><![CDATA[</a>",
        "<a><![CDATA[\u{2}]]></a>",
        "<a><!-- --></a>",
        "<a><?x?></a>",
        "<?xml version='1.0'?><a/>",
        "<!DOCTYPE a><a/>",
        "<a:/>",
        "<:a/>",
        "<a:b:c/>",
        "</a>",
        "<a xmlns:p='u' xmlns:q='u' p:b='1' q:b='2'/>",
        "<a></a",
        "<a></a b>",
    ];
    for text in not_well_formed {
        assert_eq!(ours(text), Err(Fault::NotWellFormed), "{text}");
    }
    let xml = "http://www.w3.org/XML/1998/namespace";
    let xmlns = "http://www.w3.org/2000/xmlns/";
    let namespace = [
        "<p:a/>".to_owned(),
        "<a p:b='1'/>".to_owned(),
        "<xmlns:a/>".to_owned(),
        "<xml:a/>".to_owned(),
        "<a xmlns:p='u' xmlns:p='v'/>".to_owned(),
        "<a xmlns='u' xmlns='u'/>".to_owned(),
        "<a xmlns:p=''/>".to_owned(),
        "<a><b xmlns:p='u'/><p:c/></a>".to_owned(),
        format!("<a xmlns='{xml}'/>"),
        format!("<a xmlns:p='{xml}'/>"),
        "<a xmlns:xml='u'/>".to_owned(),
        format!("<xml:a xmlns:xml='{xml}'/>"),
        format!("<a xmlns='{xmlns}'/>"),
        format!("<a xmlns:p='{xmlns}'/>"),
        "<a xmlns:xmlns='u'/>".to_owned(),
    ];
    for text in namespace {
        assert_eq!(ours(&text), Err(Fault::Namespace), "{text}");
    }
    assert_eq!(ours(&format!("<a xmlns:xml='{xml}' xml:b=''/>")), Ok(format!("<{{}}a {{{xml}}}b=\"\"></>")));
}

#[test]
fn a_tree_is_used_again_whatever_was_in_it() {
    let mut tree = Tree::default();
    for text in ["<a>&lt;</a>", "<b", "<c xmlns:p='u'><p:d/></c>", "<p:e/>", "<f g='&amp;'>h</f>"] {
        let parsed = tree.parse(text);
        assert_eq!(parsed, Document::parse(text).map(|_| ()), "{text}");
        let mut found = String::new();
        meaning(tree.root(text), &mut found);
        let expected = ours(text).unwrap_or_else(|_| "<{}></>".to_owned());
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn the_memory_of_a_large_tree_is_given_back() {
    let mut tree = Tree::default();
    for large in [format!("<a>{}</a>", "<b c='&lt;'/>".repeat(20_000)), format!("<a>{}</a>", "&lt;".repeat(300_000))] {
        tree.parse(&large).expect("it is within the limits");
        tree.parse("<a/>").expect("an element");
        assert!(tree.nodes.capacity() + tree.attributes.capacity() < 64, "{}", tree.nodes.capacity());
        assert!(tree.made.capacity() < 64, "{}", tree.made.capacity());
    }
}

#[test]
fn what_stands_in_an_element_may_use_its_prefixes() {
    let outer = "<s:stream xmlns:s='urn:s' xmlns='urn:default' xmlns:q='a&amp;b'></s:stream>";
    let mut tree = Tree::default();
    tree.parse(outer).expect("an element");
    let mut inside = tree.inside(outer);
    for (text, expected) in [
        ("<s:a q:b='1'/>", "<{urn:s}a {a&b}b=\"1\"></>"),
        ("<a xmlns:s='other'><s:b/></a>", "<{}a><{other}b></></>"),
        ("<s:c/>", "<{urn:s}c></>"),
    ] {
        inside.parse(text).expect(text);
        let mut found = String::new();
        meaning(inside.root(text), &mut found);
        assert_eq!(found, expected, "{text}");
    }
    assert_eq!(inside.parse("<x:a/>"), Err(Fault::Namespace));
}

#[test]
fn a_tag_that_stands_where_it_stood_before_means_what_it_meant() {
    let mut tree = Tree::default();
    let rows = [
        (
            "<a xmlns='urn:one'><b c='1' d='2'/><e/></a>",
            "<{urn:one}a><{urn:one}b {}c=\"1\" {}d=\"2\"></><{urn:one}e></></>",
        ),
        // The same tag in another namespace, at another place of the bytes.
        (
            "<a  xmlns='urn:two'><b c='1' d='2'/><e/></a>",
            "<{urn:two}a><{urn:two}b {}c=\"1\" {}d=\"2\"></><{urn:two}e></></>",
        ),
        (
            "<a xmlns='urn:one'><b c='1' d='2'></b><e/></a>",
            "<{urn:one}a><{urn:one}b {}c=\"1\" {}d=\"2\"></><{urn:one}e></></>",
        ),
        (
            "<a xmlns='urn:one'><b c='1' d='3'/><e/></a>",
            "<{urn:one}a><{urn:one}b {}c=\"1\" {}d=\"3\"></><{urn:one}e></></>",
        ),
        (
            "<a xmlns='urn:one'><b c='&lt;' d=''/><e xmlns=''/></a>",
            "<{urn:one}a><{urn:one}b {}c=\"<\" {}d=\"\"></><{}e></></>",
        ),
        ("<a xmlns='urn:&lt;'><b c='1' d='2'/><e/></a>", "<{urn:<}a><{urn:<}b {}c=\"1\" {}d=\"2\"></><{urn:<}e></></>"),
    ];
    for _ in 0..2 {
        for (text, expected) in rows {
            assert_eq!(tree.parse(text), Ok(()), "{text}");
            let mut found = String::new();
            meaning(tree.root(text), &mut found);
            assert_eq!(found, expected, "{text}");
        }
    }
    let unfinished =
        [("<a xmlns='urn:one'", Fault::NotWellFormed), ("<a xmlns='urn:one'><b c='1' d='2'/>", Fault::NotWellFormed)];
    for (text, fault) in unfinished {
        assert_eq!(tree.parse(text), Err(fault), "{text}");
    }
}

#[test]
fn limits_hold_for_tags_that_were_read_before() {
    let deep = |levels: usize| format!("{}{}", "<a b='1'>".repeat(levels), "</a>".repeat(levels));
    let wide = |nodes: usize| format!("<c>{}</c>", "<a b='1'/>".repeat(nodes - 1));
    let mut tree = Tree::default();
    for _ in 0..2 {
        assert_eq!(tree.parse(&deep(MAX_DEPTH)), Ok(()));
        assert_eq!(tree.parse(&deep(MAX_DEPTH + 1)), Err(Fault::Depth));
        assert_eq!(tree.parse(&wide(MAX_NODES)), Ok(()));
        assert_eq!(tree.parse(&wide(MAX_NODES + 1)), Err(Fault::Nodes));
    }
}

/// Bytes that scanners stop at, and some that they pass, in any places.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        8 => prop::num::u8::ANY.prop_map(|byte| b'a' + byte % 26),
        1 => prop::sample::select(b"<&\"']> \t\n\r\x00\x1f\x7f\x80\xc3\xef\xff".to_vec()),
        1 => prop::num::u8::ANY,
    ];
    prop::collection::vec(byte, 0..60)
}

/// Texts that are nearly XML: what they are made of is what parsers trip over.
fn text() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "<a>",
        "</a>",
        "<a",
        "<p:b",
        "</p:b>",
        ">",
        "/>",
        " ",
        "\n",
        "\r",
        "\t",
        " xmlns='u'",
        " xmlns:p='v'",
        " xmlns=''",
        " c='1'",
        " p:c='2'",
        " d=\"x'y\"",
        "='",
        "'",
        "\"",
        "&lt;",
        "&#65;",
        "&#xe9;",
        "&",
        ";",
        "]]>",
        "]",
        "<![CDATA[",
        "x",
        "é",
        "\u{ff5e}",
        "\u{fffe}",
        "\u{3}",
        "xml:lang='de'",
        "<q:e/>",
        "<f/>",
        ":",
        "-",
        "1",
    ]);
    prop::collection::vec(parts, 0..14).prop_map(|parts| parts.concat())
}

/// Elements within elements, nearly always well-formed.
fn element() -> impl Strategy<Value = String> {
    let inside = prop_oneof![text(), "[ -;=?-~]{0,8}", Just("&amp;\r\n<![CDATA[<]]>".to_owned())];
    inside.prop_recursive(4, 24, 3, |inner| {
        let tag = prop::sample::select(vec![
            ("<a>", "</a>"),
            ("<a xmlns='u'>", "</a>"),
            ("<p:a xmlns:p='v' p:b='&lt;'>", "</p:a\n>"),
            ("<p:a q:b=''>", "</p:a>"),
            ("<b c='1' d='\t'>", "</b>"),
        ]);
        (tag, prop::collection::vec(inner, 0..3))
            .prop_map(|((open, close), inner)| format!("{open}{}{close}", inner.concat()))
    })
}

#[test]
fn no_more_attributes_are_looked_at_than_there_may_be() {
    let many = |what: &str| (0..20_000).map(|number| format!(" {what}{number:05}='u'")).collect::<String>();
    for (text, fault, kept) in [(many("a"), Fault::Attributes, 257), (many("xmlns:a"), Fault::Prefixes, 0)] {
        let mut tree = Tree::default();
        // The tag has no end yet: what may come of it is said before.
        assert_eq!(tree.parse_at(format!("<a{text}").as_bytes(), 0), Err(fault));
        assert!(tree.attributes.len() == kept && tree.declared.len() <= 256);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn it_reads_what_a_parser_for_all_of_xml_reads(text in element()) {
        let text = format!("<r xmlns:p='urn:p' xmlns:q='urn:q'>{text}</r>");
        // That parser leaves a carriage return as it is beside a reference, takes any attribute that is called xmlns for a
        // declaration, and overlooks a default namespace that is declared twice.
        prop_assume!(!(text.contains(":xmlns") || text.contains('\r') && text.contains('&')));
        match (ours(&text), others(&text)) {
            (Ok(ours), others) => prop_assert_eq!(Some(ours), others),
            (Err(_), None) => {}
            (Err(fault), Some(_)) => prop_assert!(fault == Fault::Namespace && text.matches(" xmlns=").count() > 1),
        }
    }

    #[test]
    fn many_bytes_at_once_stop_where_one_by_one_does(bytes in bytes(), from in 0_usize..70) {
        let first = |stops: &dyn Fn(u8) -> bool| {
            let rest = bytes.get(from..).unwrap_or_default();
            from + rest.iter().position(|&byte| stops(byte)).unwrap_or(rest.len())
        };
        let in_both = |byte: u8| matches!(byte, b'<' | b'&' | 0xef);
        prop_assert_eq!(scan::text(&bytes, from), first(&|byte| in_both(byte) || byte == b']' || (byte < b' ' && !b"\t\n".contains(&byte))));
        for quote in [b'"', b'\''] {
            prop_assert_eq!(scan::value(&bytes, from, quote), first(&|byte| in_both(byte) || byte == quote || byte < b' '));
        }
    }

    #[test]
    fn two_places_say_the_same_if_their_bytes_are_the_same(
        bytes in prop::collection::vec(prop::sample::select(b"ab".to_vec()), 0..40),
        first in 0_usize..40,
        second in 0_usize..40,
        length in 0_usize..20,
    ) {
        let part = |at: usize| bytes.get(at..at + length);
        prop_assert_eq!(scan::same(&bytes, first, second, length), part(first).is_some() && part(first) == part(second));
    }

    #[test]
    fn what_was_read_before_changes_nothing(texts in prop::collection::vec(element(), 1..4), order in prop::collection::vec(0_usize..4, 1..12)) {
        let mut tree = Tree::default();
        for at in order {
            let text = texts.get(at % texts.len()).map(|text| format!("<r xmlns:p='urn:p'>{text}</r>")).unwrap_or_default();
            let parsed = tree.parse(&text);
            let mut found = String::new();
            meaning(tree.root(&text), &mut found);
            prop_assert_eq!(parsed.map(|()| found), ours(&text));
        }
    }
}
