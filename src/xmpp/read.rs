//! Parses one whole stanza, with the stream's namespaces in force.
//!
//! `roxmltree` is strict and needs two things from us: limits on what costs it more than linear time (attributes
//! of one element: `frame`; prefixes: here), and a document where we have a fragment. Nearly every stanza is a
//! document by itself; only one that uses a prefix of the stream's start tag is wrapped into that tag.

use memchr::memmem;
use roxmltree::{Document, Error, Node, ParsingOptions};

use super::frame::{Excess, Fault};
use super::ns;

/// How many elements and texts a stanza may have. 1 MiB of `<a/>` would otherwise be a tree of 20 MB. A bridge's batch
/// may have 128 kB, and strangers decide what is in it: no batch within its limit breaks this one, for it has at most
/// one of them per 4 bytes.
const MAX_NODES: u32 = 40 * 1024;
/// How many namespace prefixes a stanza may declare: each is looked at for each element that declares one.
const MAX_PREFIXES: usize = 32;

/// The stream's start tag, which every stanza stands in.
pub struct Opening {
    /// The stream's id, which the handshake is made from (XEP-0114 §3).
    pub id: String,
    /// The stream's `from`, if it has one.
    pub from: Option<String>,
    tag: String,
    end: String,
    wrapped: String,
}

/// One parsed stanza.
pub struct Stanza<'a> {
    document: Document<'a>,
    wrapped: bool,
}

/// Why a whole stanza cannot be read. Only the first ends the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is not XML.
    NotWellFormed,
    /// It breaks a limit.
    TooBig(Excess),
    /// It is XML, but its namespaces are wrong. A stranger can cause this, because some hosts pass on prefixes that
    /// a client's own stream declared, and Prosody writes `<xml:a/>` as `<a>` with a default namespace that must not
    /// be one: the stanza is refused, the stream lives.
    BadNamespace,
}

impl Opening {
    /// Reads the stream's start tag.
    ///
    /// # Errors
    ///
    /// It is not well-formed, or not that of an XMPP stream.
    pub fn read(tag: &str) -> Result<Self, Fault> {
        let name = tag.trim_start_matches('<').split(|c: char| c.is_ascii_whitespace() || c == '>').next();
        let end = format!("</{}>", name.unwrap_or_default());
        let text = format!("{tag}{end}");
        let document = parse(&text).map_err(|_| Fault::NotWellFormed)?;
        let root = document.root_element();
        if !root.has_tag_name((ns::STREAM, "stream")) {
            return Err(Fault::InvalidNamespace);
        }
        Ok(Self {
            id: root.attribute("id").unwrap_or_default().to_owned(),
            from: root.attribute("from").map(str::to_owned),
            tag: tag.to_owned(),
            end,
            wrapped: String::new(),
        })
    }

    /// Parses a stanza.
    ///
    /// # Errors
    ///
    /// Says whether the stanza or the stream is at fault.
    pub fn stanza<'a>(&'a mut self, text: &'a str) -> Result<Stanza<'a>, Unreadable> {
        if has_too_many_prefixes(text) {
            return Err(Unreadable::TooBig(Excess::Attributes));
        }
        match parse(text) {
            Ok(document) => Ok(Stanza { document, wrapped: false }),
            Err(Error::UnknownNamespace(..)) => {
                self.wrapped.clear();
                self.wrapped.push_str(&self.tag);
                self.wrapped.push_str(text);
                self.wrapped.push_str(&self.end);
                let document = parse(&self.wrapped).map_err(|error| why(&error))?;
                Ok(Stanza { document, wrapped: true })
            }
            Err(error) => Err(why(&error)),
        }
    }
}

impl Stanza<'_> {
    /// The stanza's element.
    #[must_use]
    pub fn root(&self) -> Node<'_, '_> {
        let root = self.document.root_element();
        if self.wrapped { root.first_element_child().unwrap_or(root) } else { root }
    }
}

/// Whether this is a stanza, or another element of the stream's default namespace, of that name.
#[must_use]
pub fn is_stanza(node: Node<'_, '_>, name: &str) -> bool {
    let tag = node.tag_name();
    tag.name() == name && matches!(tag.namespace(), None | Some("" | ns::COMPONENT | ns::CLIENT))
}

/// Whether the element has that name in that namespace.
#[must_use]
pub fn is(node: Node<'_, '_>, namespace: &str, name: &str) -> bool {
    node.has_tag_name((namespace, name))
}

/// The first child element of that name in that namespace.
#[must_use]
pub fn child<'a, 'i>(node: Node<'a, 'i>, namespace: &str, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|&child| is(child, namespace, name))
}

/// The text directly inside an element; an empty one counts as none.
#[must_use]
pub fn text<'a>(node: Node<'a, '_>) -> Option<&'a str> {
    node.text().filter(|text| !text.is_empty())
}

fn parse(text: &str) -> Result<Document<'_>, Error> {
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, entity_resolver: None };
    Document::parse_with_options(text, options)
}

fn why(error: &Error) -> Unreadable {
    match error {
        Error::UnknownNamespace(..)
        | Error::InvalidXmlPrefixUri(_)
        | Error::UnexpectedXmlUri(_)
        | Error::UnexpectedXmlnsUri(_)
        | Error::InvalidElementNamePrefix(_)
        | Error::DuplicatedNamespace(..) => Unreadable::BadNamespace,
        Error::NodesLimitReached => Unreadable::TooBig(Excess::Size),
        Error::AttributesLimitReached | Error::NamespacesLimitReached => Unreadable::TooBig(Excess::Attributes),
        _ => Unreadable::NotWellFormed,
    }
}

/// Counts precisely only where a glance over the bytes says that it might be too many: people write about XML, too.
fn has_too_many_prefixes(text: &str) -> bool {
    const DECLARATION: &[u8] = b"xmlns:";
    if memmem::find_iter(text.as_bytes(), DECLARATION).nth(MAX_PREFIXES).is_none() {
        return false;
    }
    let mut declared = 0;
    let mut rest = text;
    while let Some((_, markup)) = rest.split_once('<') {
        rest = markup;
        if let Some(cdata) = markup.strip_prefix("![CDATA[") {
            rest = cdata.split_once("]]>").map_or("", |(_, after)| after);
            continue;
        }
        while let Some(at) = rest.find(['>', '"', '\'']) {
            let (names, special) = rest.split_at(at);
            declared += usize::from(names.contains("xmlns:"));
            let mut special = special.chars();
            let character = special.next();
            rest = special.as_str();
            match character {
                Some(quote @ ('"' | '\'')) => rest = rest.split_once(quote).map_or("", |(_, after)| after),
                _ => break,
            }
        }
    }
    declared > MAX_PREFIXES
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' from='push.example.net' id='a&amp;b' \
                       xmlns='jabber:component:accept'>";

    #[test]
    fn the_start_tag_must_be_a_streams() {
        let opening = Opening::read(TAG).expect("a stream");
        assert_eq!((opening.id.as_str(), opening.from.as_deref()), ("a&b", Some("push.example.net")));
        let other = Opening::read("<s:stream xmlns:s='http://etherx.jabber.org/streams' >").expect("another prefix");
        assert_eq!((other.id.as_str(), other.end.as_str()), ("", "</s:stream>"));
        let rows = [
            ("<stream xmlns='jabber:component:accept'>", Fault::InvalidNamespace),
            ("<html>", Fault::InvalidNamespace),
            ("<stream:stream>", Fault::NotWellFormed),
            ("<a b='1' b='2'>", Fault::NotWellFormed),
        ];
        for (tag, fault) in rows {
            assert_eq!(Opening::read(tag).err(), Some(fault), "{tag}");
        }
    }

    #[test]
    fn a_stanza_is_known_by_its_name_whatever_its_default_namespace() {
        let mut opening = Opening::read(TAG).unwrap();
        for text in ["<iq/>", "<iq xmlns='jabber:component:accept'/>", "<iq xmlns='jabber:client'/>", "<iq xmlns=''/>"]
        {
            assert!(is_stanza(opening.stanza(text).unwrap().root(), "iq"), "{text}");
        }
        let error = opening.stanza("<stream:error><a xmlns='b'>c</a></stream:error>").unwrap();
        assert!(is(error.root(), ns::STREAM, "error"));
        assert_eq!(child(error.root(), "b", "a").and_then(text), Some("c"));
        drop(error);
        assert!(!is_stanza(opening.stanza("<iq xmlns='x'/>").unwrap().root(), "iq"));
    }

    #[test]
    fn text_is_read_through_cdata_and_references() {
        let mut opening = Opening::read(TAG).unwrap();
        let stanza = opening.stanza("<a b='&lt;&#x41;'>x&amp;<![CDATA[<y>&amp;]]>z\r\n</a>").unwrap();
        assert_eq!(stanza.root().attribute("b"), Some("<A"));
        assert_eq!(text(stanza.root()), Some("x&<y>&amp;z\n"));
    }

    #[test]
    fn what_cannot_be_read_says_who_is_at_fault() {
        let mut opening = Opening::read(TAG).unwrap();
        let rows = [
            ("<iq><a></b></iq>", Unreadable::NotWellFormed),
            ("<iq>&lol;</iq>", Unreadable::NotWellFormed),
            ("<iq>&#0;</iq>", Unreadable::NotWellFormed),
            ("<iq>\u{1}</iq>", Unreadable::NotWellFormed),
            ("<iq a='1' a='2'/>", Unreadable::NotWellFormed),
            ("<iq><x:a/></iq>", Unreadable::BadNamespace),
            ("<iq x:a='1'/>", Unreadable::BadNamespace),
            ("<iq><a xmlns='http://www.w3.org/XML/1998/namespace'/></iq>", Unreadable::BadNamespace),
            ("<iq><a xmlns:x='u' x:xmlns='http://www.w3.org/2000/xmlns/'/></iq>", Unreadable::BadNamespace),
            ("<iq><a xmlns:xml='u'/></iq>", Unreadable::BadNamespace),
            ("<iq><a xmlns:x='u' xmlns:x='v'/></iq>", Unreadable::BadNamespace),
            ("<iq><xmlns:a/></iq>", Unreadable::BadNamespace),
        ];
        for (text, why) in rows {
            assert_eq!(opening.stanza(text).err(), Some(why), "{text}");
        }
    }

    #[test]
    fn limits_keep_parsing_linear() {
        let mut opening = Opening::read(TAG).unwrap();
        let prefixes = |count: usize| {
            let list: String = (0..count).map(|n| format!("<a xmlns:p{n}='u{n}' b='x>'/>")).collect();
            format!("<iq>{list}</iq>")
        };
        let nodes = |count: usize| format!("<iq>{}</iq>", "<a/>".repeat(count));
        let talk = format!("<iq a='{0}'>{0}<![CDATA[<{0}>]]></iq>", "xmlns: ".repeat(100));
        let rows = [
            (prefixes(32), None),
            (prefixes(33), Some(Unreadable::TooBig(Excess::Attributes))),
            (prefixes(20_000), Some(Unreadable::TooBig(Excess::Attributes))),
            (talk, None),
            (nodes(128 * 1024 / 4), None),
            (nodes(42_000), Some(Unreadable::TooBig(Excess::Size))),
        ];
        for (text, why) in rows {
            assert_eq!(opening.stanza(&text).err(), why, "{:.60}", text);
        }
    }
}
