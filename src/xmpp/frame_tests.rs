//! The framer, with every split of everything.

use proptest::prelude::*;

use super::*;

/// What a frame says, without borrowing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Open(String),
    Stanza(String),
    TooBig(Option<String>, Excess),
    Close,
    Fault(Fault),
}

/// The frames of these bytes; they are the same whether stanzas are parsed where they stand or not.
fn run<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Seen> {
    let chunks: Vec<_> = chunks.into_iter().collect();
    let [cut, parsed] = [None, Some(Tree::default())].map(|tree| frames(&chunks, tree));
    assert_eq!(cut, parsed);
    cut
}

fn frames(chunks: &[&[u8]], mut tree: Option<Tree>) -> Vec<Seen> {
    let mut framer = Framer::new();
    let mut seen = Vec::new();
    for chunk in chunks {
        framer.feed(chunk);
        loop {
            let next = match &mut tree {
                Some(tree) => framer.next_parsed(tree),
                None => framer.next_frame(),
            };
            seen.push(match next {
                Ok(None) => break,
                Ok(Some(Frame::StreamOpen(tag))) => Seen::Open(tag.to_owned()),
                Ok(Some(Frame::Stanza(text) | Frame::Parsed(text))) => Seen::Stanza(text.to_owned()),
                Ok(Some(Frame::TooBig(big))) => {
                    Seen::TooBig(big.head.and_then(|head| head.id).map(String::from), big.why)
                }
                Ok(Some(Frame::StreamClose)) => Seen::Close,
                Err(fault) => {
                    seen.push(Seen::Fault(fault));
                    return seen;
                }
            });
        }
    }
    seen
}

const OPEN: &str = "<stream:stream id='1'>";

fn in_stream(text: &str) -> Vec<u8> {
    format!("{OPEN}{text}").into_bytes()
}

#[test]
fn a_stanza_split_at_every_byte_is_the_same_stanza() {
    let stanzas = [
        "<iq id='>' b=\"'/>\"><a/><b c='d'>text &lt; ]]&gt; é</b></iq>",
        "<message><![CDATA[<not><a>]]tag]]></message>",
        "<presence/>",
    ];
    let text = format!(
        "\u{feff}<?xml version='1.0' encoding='utf-8'?>{OPEN} {} \n{}{}</stream:stream>junk",
        stanzas[0], stanzas[1], stanzas[2]
    );
    let mut expected = vec![Seen::Open(OPEN.into())];
    expected.extend(stanzas.map(|stanza| Seen::Stanza(stanza.into())));
    expected.push(Seen::Close);
    let bytes = text.as_bytes();
    assert_eq!(run([bytes]), expected);
    assert_eq!(run(bytes.chunks(1)), expected);
    for at in 0..bytes.len() {
        let (a, b) = bytes.split_at(at);
        assert_eq!(run([a, b]), expected, "split at {at}");
    }
}

#[test]
fn what_cannot_be_a_stream_has_the_right_condition() {
    let rows: [(&str, Vec<u8>, Fault, &str); 19] = [
        ("DOCTYPE", in_stream("<!DOCTYPE x>"), Fault::Restricted, "restricted-xml"),
        ("DOCTYPE first", b"<!DOCTYPE x [<!ENTITY a 'b'>]>".to_vec(), Fault::Restricted, "restricted-xml"),
        ("comment", in_stream("<a><!-- b --></a>"), Fault::Restricted, "restricted-xml"),
        ("instruction", in_stream("<?php ?>"), Fault::Restricted, "restricted-xml"),
        ("instruction first", b"<?xmlish ?>".to_vec(), Fault::Restricted, "restricted-xml"),
        ("late declaration", b" <?xml version='1.0'?>".to_vec(), Fault::Restricted, "restricted-xml"),
        (
            "second declaration",
            b"<?xml version='1.0'?><?xml version='1.0'?>".to_vec(),
            Fault::Restricted,
            "restricted-xml",
        ),
        ("not UTF-8", [&in_stream("<a>")[..], b"\xff</a>"].concat(), Fault::BadEncoding, "unsupported-encoding"),
        ("not UTF-8 outside", [&in_stream("")[..], b"\xff"].concat(), Fault::BadEncoding, "unsupported-encoding"),
        ("UTF-16", b"<?xml version='1.0' encoding='UTF-16'?>".to_vec(), Fault::BadEncoding, "unsupported-encoding"),
        ("text", in_stream("hello"), Fault::BadFormat, "bad-format"),
        ("CDATA outside", in_stream("<![CDATA[a]]>"), Fault::BadFormat, "bad-format"),
        ("a stream inside", in_stream("<stream:stream xmlns='a'>"), Fault::BadFormat, "bad-format"),
        ("empty stream", b"<stream:stream/>".to_vec(), Fault::BadFormat, "bad-format"),
        ("HTTP", b"HTTP/1.1 400 Bad Request\r\n".to_vec(), Fault::NotWellFormed, "not-well-formed"),
        ("end first", b"</stream:stream>".to_vec(), Fault::NotWellFormed, "not-well-formed"),
        ("< in a value", in_stream("<a b='<'/>"), Fault::NotWellFormed, "not-well-formed"),
        ("half a tag", in_stream("<a <b/>"), Fault::NotWellFormed, "not-well-formed"),
        ("stray slash", in_stream("<a/ >"), Fault::NotWellFormed, "not-well-formed"),
    ];
    for (what, bytes, fault, condition) in rows {
        assert_eq!(run([&bytes[..]]).last(), Some(&Seen::Fault(fault)), "{what}");
        assert_eq!(run(bytes.chunks(1)).last(), Some(&Seen::Fault(fault)), "{what}, byte by byte");
        assert_eq!(fault.condition(), condition, "{what}");
    }
}

#[test]
fn what_is_too_big_is_skipped_and_named() {
    let deep = |levels: usize| format!("<iq id='1'>{}{}</iq>", "<a>".repeat(levels), "</a>".repeat(levels));
    let attributes = |count: usize| {
        let list: String = (0..count).map(|n| format!(" a{n}='{n}'")).collect();
        format!("<iq id='1'><x{list}/></iq>")
    };
    let named = |why| Seen::TooBig(Some("1".into()), why);
    let rows: [(&str, String, Option<Seen>); 11] = [
        ("64 deep", deep(63), None),
        ("65 deep", deep(64), Some(named(Excess::Depth))),
        ("60,000 deep", deep(60_000), Some(named(Excess::Depth))),
        ("256 attributes", attributes(256), None),
        ("257 attributes", attributes(257), Some(named(Excess::Attributes))),
        ("a body of 1 MiB less the tags", format!("<iq id='1'>{}</iq>", "x".repeat(MAX_STANZA - 16)), None),
        ("one byte more", format!("<iq id='1'>{}</iq>", "x".repeat(MAX_STANZA - 15)), Some(named(Excess::Size))),
        (
            "CDATA of 3 MB",
            format!("<iq id='1'><![CDATA[{}]]></iq>", "<]]".repeat(1_000_000)),
            Some(named(Excess::Size)),
        ),
        (
            "an attribute of 2 MB after the id",
            format!("<iq id='1' a='{}'/>", "x".repeat(2_000_000)),
            Some(named(Excess::Size)),
        ),
        (
            "an attribute of 2 MB before the id",
            format!("<iq a='{}' id='1'/>", "x".repeat(2_000_000)),
            Some(Seen::TooBig(None, Excess::Size)),
        ),
        ("an end tag of 2 MB", format!("<iq id='1'></iq{}>", " ".repeat(2_000_000)), Some(named(Excess::Size))),
    ];
    for (what, stanza, too_big) in rows {
        let text = in_stream(&format!("{stanza}<next/>"));
        let expected =
            [Seen::Open(OPEN.into()), too_big.unwrap_or(Seen::Stanza(stanza)), Seen::Stanza("<next/>".into())];
        assert!(run([&text[..]]) == expected, "{what}");
        assert!(run(text.chunks(4093)) == expected, "{what}, in pieces");
    }
}

#[test]
fn memory_stays_bounded_whatever_is_skipped() {
    let mut framer = Framer::new();
    framer.feed(&in_stream("<iq id='1' a='"));
    let mut most = 0;
    for _ in 0..10_000 {
        framer.feed(&[b'x'; 4096]);
        while framer.next_frame().expect("this is a stream").is_some() {}
        most = most.max(framer.buf.len());
    }
    framer.feed(b"'/>");
    assert!(matches!(framer.next_frame(), Ok(Some(Frame::TooBig(_)))));
    framer.room();
    assert!(most <= 4 * MAX_STANZA, "{most}");
    assert!(framer.buf.len() <= 4 * READ, "{}", framer.buf.len());
}

#[test]
fn a_header_without_end_is_not_a_stream() {
    for start in ["<?xml version='1.0' ", "<stream:stream a='", "<stream:stream a"] {
        let text = [start.as_bytes(), &[b'x'; MAX_HEADER]].concat();
        assert_eq!(run([&text[..]]), [Seen::Fault(Fault::BadFormat)], "{start}");
    }
}

/// Bytes that are more often markup than random ones would be.
fn markup() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "<",
        ">",
        "/",
        "'",
        "\"",
        "=",
        " ",
        "<a>",
        "</a>",
        "<a/>",
        "<![CDATA[",
        "]]>",
        "]",
        "<!",
        "<?xml ",
        "?>",
        "&",
        "x",
        "<stream:stream>",
        "é",
        "\u{feff}",
        "<a b='",
        "<!--",
    ]);
    let text = prop::collection::vec(piece.prop_map(|text| text.as_bytes().to_vec()), 0..40);
    let random = prop::collection::vec(any::<u8>(), 0..4);
    (any::<bool>(), text, random).prop_map(|(open, text, random)| {
        let mut bytes = if open { OPEN.as_bytes().to_vec() } else { Vec::new() };
        bytes.extend(text.concat());
        bytes.extend(random);
        bytes
    })
}

proptest! {
    #[test]
    fn any_split_of_anything_gives_the_same_frames(bytes in markup(), sizes in prop::collection::vec(1usize..7, 1..20)) {
        let whole = run([&bytes[..]]);
        let mut rest = &bytes[..];
        let mut sizes = sizes.iter().cycle();
        let mut chunks = Vec::new();
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
            chunks.push(chunk);
            rest = after;
        }
        prop_assert_eq!(run(chunks), whole);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        run([&bytes[..]]);
    }
}
