//! Parses one whole stanza, with the stream's namespaces in force.

use super::frame::{Excess, Fault};
use super::ns;
use super::sender::Last;
use super::xml::{self, Element, Tree};

/// The stream's start tag, which every stanza stands in.
pub struct Opening {
    /// The stream's id, which the handshake is made from (XEP-0114 §3).
    pub id: String,
    /// The stream's `from`, if it has one.
    pub from: Option<String>,
    /// Knows the stream's prefixes, and has the memory that stanzas are read into one after the other.
    tree: Tree,
    last: Last,
}

/// One parsed stanza.
#[derive(Debug)]
pub struct Stanza<'a> {
    tree: &'a Tree,
    text: &'a str,
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
        let text = format!("{tag}</{}>", name.unwrap_or_default());
        let mut tree = Tree::default();
        tree.parse(&text).map_err(|_| Fault::NotWellFormed)?;
        let root = tree.root(&text);
        if !root.has_tag_name((ns::STREAM, "stream")) {
            return Err(Fault::InvalidNamespace);
        }
        Ok(Self {
            id: root.attribute("id").unwrap_or_default().to_owned(),
            from: root.attribute("from").map(str::to_owned),
            tree: tree.inside(&text),
            last: Last::default(),
        })
    }

    /// Parses a stanza. Who sent the one before goes with it.
    ///
    /// # Errors
    ///
    /// Says whether the stanza or the stream is at fault.
    pub fn stanza<'a>(&'a mut self, text: &'a str) -> Result<(Stanza<'a>, &'a mut Last), Unreadable> {
        self.tree.parse(text).map_err(|fault| match fault {
            xml::Fault::NotWellFormed => Unreadable::NotWellFormed,
            xml::Fault::Namespace => Unreadable::BadNamespace,
            xml::Fault::Nodes => Unreadable::TooBig(Excess::Size),
            xml::Fault::Depth => Unreadable::TooBig(Excess::Depth),
            xml::Fault::Prefixes | xml::Fault::Attributes => Unreadable::TooBig(Excess::Attributes),
        })?;
        Ok(self.parsed(text))
    }

    /// The memory that stanzas are parsed into.
    pub const fn tree(&mut self) -> &mut Tree {
        &mut self.tree
    }

    /// The stanza of this text, which was parsed into [`tree`](Self::tree) last.
    #[must_use]
    pub const fn parsed<'a>(&'a mut self, text: &'a str) -> (Stanza<'a>, &'a mut Last) {
        (Stanza { tree: &self.tree, text }, &mut self.last)
    }
}

impl Stanza<'_> {
    /// The stanza's element.
    #[must_use]
    pub fn root(&self) -> Element<'_> {
        self.tree.root(self.text)
    }
}

/// Whether this is a stanza, or another element of the stream's default namespace, of that name.
#[must_use]
pub fn is_stanza(node: Element<'_>, name: &str) -> bool {
    let tag = node.tag_name();
    tag.name() == name && matches!(tag.namespace(), None | Some("" | ns::COMPONENT | ns::CLIENT))
}

/// Whether the element has that name in that namespace.
#[inline(always)]
#[must_use]
pub fn is(node: Element<'_>, namespace: &str, name: &str) -> bool {
    node.has_tag_name((namespace, name))
}

/// The first child element of that name in that namespace.
#[inline(always)]
#[must_use]
pub fn child<'a>(node: Element<'a>, namespace: &str, name: &str) -> Option<Element<'a>> {
    node.children().find(|&child| is(child, namespace, name))
}

/// The text directly inside an element; an empty one counts as none.
#[inline]
#[must_use]
pub fn text<'a>(node: Element<'a>) -> Option<&'a str> {
    node.text().filter(|text| !text.is_empty())
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
        assert_eq!((other.id.as_str(), other.from), ("", None));
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
            assert!(is_stanza(opening.stanza(text).unwrap().0.root(), "iq"), "{text}");
        }
        let error = opening.stanza("<stream:error><a xmlns='b'>c</a></stream:error>").unwrap().0;
        assert!(is(error.root(), ns::STREAM, "error"));
        assert_eq!(child(error.root(), "b", "a").and_then(text), Some("c"));
        assert!(!is_stanza(opening.stanza("<iq xmlns='x'/>").unwrap().0.root(), "iq"));
    }

    #[test]
    fn text_is_read_through_cdata_and_references() {
        let mut opening = Opening::read(TAG).unwrap();
        let stanza = opening.stanza("<a b='&lt;&#x41;'>x&amp;<![CDATA[<y>&amp;]]>z\r\n</a>").unwrap().0;
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
