//! From text to tree, in one pass. The memory of the tree before is used again.
//!
//! Where a byte is looked at, its place is handed on as a number: nearly all of a stanza is read without a look at anything
//! but its bytes, and what is rare is in functions of its own.

use super::scan::{self, byte};
use super::{
    Declared, Fault, IN_MADE, KEPT_BYTES, KEPT_NODES, Kind, MAX_ATTRIBUTES, MAX_DEPTH, MAX_NODES, MAX_PREFIXES, Named,
    Node, Open, Span, Tree, small,
};
use crate::xmpp::ns;

/// Namespaces in XML 1.0 §3.
const XMLNS: &str = "http://www.w3.org/2000/xmlns/";

impl Tree {
    /// A tree for documents that stand in the element of this text, which was parsed last: they may use its prefixes. Its
    /// default namespace is not theirs: what has none is in none.
    #[must_use]
    pub fn inside(&self, text: &str) -> Self {
        let mut tree = Self::default();
        tree.begin();
        // Nobody cleared what the last element that was open declares.
        for declared in &self.declared {
            let prefix = tree.make(self.read(text, declared.prefix));
            let namespace = tree.make(self.read(text, declared.namespace));
            tree.declared.push(Declared { prefix, namespace });
        }
        (tree.outer, tree.outer_made) = (tree.declared.len(), tree.made.len());
        tree
    }

    /// Parses a text that is one element, in place of what was parsed before.
    ///
    /// # Errors
    ///
    /// What is wrong with it; there is no tree then.
    pub fn parse(&mut self, text: &str) -> Result<(), Fault> {
        let bytes = text.as_bytes();
        let end = self.parse_at(bytes, scan::space(bytes, 0))?;
        if scan::space(bytes, end) < bytes.len() {
            self.nodes.clear();
            return Err(Fault::NotWellFormed);
        }
        Ok(())
    }

    /// Parses the element that begins at this place of these bytes; says where it ends. That it is UTF-8 is for the caller
    /// to see to, before anybody looks at the tree: a part of it that is none would be read as empty.
    ///
    /// # Errors
    ///
    /// What is wrong with it, which may be that it does not end: there is no tree then.
    pub fn parse_at(&mut self, bytes: &[u8], from: usize) -> Result<usize, Fault> {
        self.begin();
        if bytes.len() >= IN_MADE as usize {
            return Err(Fault::Nodes);
        }
        let parsed = self.element(bytes, from);
        if parsed.is_err() {
            self.nodes.clear();
        }
        parsed
    }

    fn begin(&mut self) {
        if self.nodes.capacity().max(self.attributes.capacity()) > KEPT_NODES || self.made.capacity() > KEPT_BYTES {
            (self.nodes, self.attributes) = (Vec::new(), Vec::new());
            self.made.truncate(self.outer_made);
            self.made.shrink_to_fit();
        }
        if self.outer_made == 0 {
            self.made.clear();
            self.made.push_str(ns::XML);
            self.outer_made = self.made.len();
        }
        self.nodes.clear();
        self.attributes.clear();
        self.declared.truncate(self.outer);
        self.open.clear();
        self.made.truncate(self.outer_made);
        (self.prefixes, self.default) = (0, Span::default());
    }

    /// The namespace of `xml:`, which is always first of what is made.
    fn xml(&self) -> Span {
        Span { at: IN_MADE, len: small(ns::XML.len().min(self.made.len())) }
    }

    fn make(&mut self, text: &str) -> Span {
        let from = self.made.len();
        self.made.push_str(text);
        self.made_since(from)
    }

    pub(super) fn made_since(&self, from: usize) -> Span {
        Span { at: small(from) | IN_MADE, len: small(self.made.len() - from) }
    }
}

/// A name as it was written.
#[derive(Clone, Copy)]
struct Name {
    /// Where it begins, its local part begins, and it ends. Without a prefix the first two are the same.
    from: usize,
    local: usize,
    end: usize,
}

/// A start tag under way.
struct Tag {
    /// What there was of it all before.
    attributes: usize,
    declared: usize,
    outer: Span,
    /// Whether a name in it has a prefix: most have none, and nothing to look up.
    prefixed: bool,
    /// Whether it declares a default namespace.
    default: bool,
    /// Which lengths and first bytes names of attributes have: those of one that is there twice are among them.
    seen: u64,
    /// Whether one without prefix is there twice.
    twice: bool,
}

/// Of a text, as bytes.
impl Tree {
    fn element(&mut self, bytes: &[u8], from: usize) -> Result<usize, Fault> {
        if byte(bytes, from) != b'<' {
            return Err(Fault::NotWellFormed);
        }
        let mut at = self.start_tag(bytes, from)?;
        while !self.open.is_empty() {
            at = match (byte(bytes, at), byte(bytes, at + 1)) {
                (b'<', b'/') => self.end_tag(bytes, at)?,
                (b'<', b'!') => self.content(bytes, at)?,
                (b'<', _) => self.start_tag(bytes, at)?,
                _ => self.content(bytes, at)?,
            };
        }
        Ok(at)
    }

    #[inline(always)]
    fn bytes<'a>(&'a self, bytes: &'a [u8], span: Span) -> &'a [u8] {
        let source = if span.at & IN_MADE == 0 { bytes } else { self.made.as_bytes() };
        let at = (span.at & !IN_MADE) as usize;
        source.get(at..at + span.len as usize).unwrap_or_default()
    }

    #[inline(always)]
    fn start_tag(&mut self, bytes: &[u8], from: usize) -> Result<usize, Fault> {
        let Some(known) = self.known.find(bytes, from, self.nodes.len()) else {
            return self.new_start_tag(bytes, from);
        };
        if self.open.len() >= MAX_DEPTH {
            return Err(Fault::Depth);
        }
        let (attributes, outer, start) = (self.attributes.len(), self.default, small(from));
        for named in known.attributes(start) {
            self.attributes.push(named);
        }
        if let Some(default) = known.default {
            self.default = default.after(start);
        }
        let (name, empty, to) = (known.name.after(start), known.empty, from + known.length);
        let node = self.append(Kind::Element, name, self.default, attributes)?;
        self.opened(empty, Open { name, node, declared: small(self.declared.len()), default: outer });
        Ok(to)
    }

    /// The same for one that is taken apart.
    fn new_start_tag(&mut self, bytes: &[u8], from: usize) -> Result<usize, Fault> {
        let name = name(bytes, from + 1)?;
        let nodes = self.nodes.len();
        let mut tag = Tag {
            attributes: self.attributes.len(),
            declared: self.declared.len(),
            outer: self.default,
            prefixed: name.local > name.from,
            default: false,
            seen: 0,
            twice: false,
        };
        let mut at = name.end;
        let empty = loop {
            let next = scan::space(bytes, at);
            match byte(bytes, next) {
                b'>' => {
                    at = next + 1;
                    break false;
                }
                b'/' if byte(bytes, next + 1) == b'>' => {
                    at = next + 2;
                    break true;
                }
                // Counted here, too: each is compared with those before it.
                _ if self.said_in(&tag) > MAX_ATTRIBUTES => return Err(Fault::Attributes),
                _ if next > at => at = self.attribute(bytes, &mut tag, next)?,
                _ => return Err(Fault::NotWellFormed),
            }
        };
        if self.said_in(&tag) > MAX_ATTRIBUTES {
            return Err(Fault::Attributes);
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(Fault::Depth);
        }
        if tag.prefixed {
            self.resolve(bytes, tag.attributes)?;
        } else if tag.twice {
            return Err(Fault::NotWellFormed);
        }
        let namespace = if name.local == name.from {
            self.default
        } else {
            self.namespace(bytes, Span::of(name.from, name.local - 1))?
        };
        if !tag.prefixed {
            let attributes = self.attributes.get(tag.attributes..).unwrap_or_default();
            let default = tag.default.then_some(self.default);
            self.known.remember(bytes, (from, at), nodes, Span::of(name.from, name.end), attributes, default);
        }
        let node = self.append(Kind::Element, Span::of(name.local, name.end), namespace, tag.attributes)?;
        let declared = small(tag.declared);
        self.opened(empty, Open { name: Span::of(name.from, name.end), node, declared, default: tag.outer });
        Ok(at)
    }

    /// How many attributes and declarations a tag has so far.
    #[inline(always)]
    fn said_in(&self, tag: &Tag) -> usize {
        self.attributes.len() - tag.attributes + self.declared.len() - tag.declared + usize::from(tag.default)
    }

    #[inline(always)]
    fn opened(&mut self, empty: bool, element: Open) {
        if !empty {
            self.open.push(element);
        } else if !self.open.is_empty() {
            self.close(element.declared as usize, element.default);
        }
    }

    fn end_tag(&mut self, bytes: &[u8], from: usize) -> Result<usize, Fault> {
        let Some(open) = self.open.pop() else { return Err(Fault::NotWellFormed) };
        let (name, at) = (open.name.at as usize, from + 2);
        if !scan::same(bytes, name, at, open.name.len as usize) {
            return Err(Fault::NotWellFormed);
        }
        let at = scan::space(bytes, at + open.name.len as usize);
        if byte(bytes, at) != b'>' {
            return Err(Fault::NotWellFormed);
        }
        let end = small(self.nodes.len());
        if let Some(node) = self.nodes.get_mut(open.node as usize) {
            node.end = end;
        }
        // The root's stay: whatever stands in it may use them.
        if !self.open.is_empty() {
            self.close(open.declared as usize, open.default);
        }
        Ok(at + 1)
    }

    /// What an element declared is over with it.
    #[inline(always)]
    fn close(&mut self, declared: usize, default: Span) {
        self.declared.truncate(declared);
        self.default = default;
    }

    /// Adds a node to the element that is open, with the attributes from there on.
    #[inline(always)]
    pub(super) fn append(&mut self, kind: Kind, text: Span, namespace: Span, attributes: usize) -> Result<u32, Fault> {
        if self.nodes.len() >= MAX_NODES {
            return Err(Fault::Nodes);
        }
        let number = small(self.nodes.len());
        let attributes = small(attributes)..small(self.attributes.len());
        let (first, end) = (number + 1, number + 1);
        self.nodes.push(Node {
            text,
            namespace,
            first,
            end,
            attributes: attributes.start,
            attributes_end: attributes.end,
            kind,
        });
        Ok(number)
    }

    /// An attribute, or a declaration.
    #[inline(always)]
    fn attribute(&mut self, bytes: &[u8], tag: &mut Tag, from: usize) -> Result<usize, Fault> {
        let name = name(bytes, from)?;
        let mut at = name.end;
        if byte(bytes, at) != b'=' {
            at = scan::space(bytes, at);
            if byte(bytes, at) != b'=' {
                return Err(Fault::NotWellFormed);
            }
        }
        at += 1;
        if !matches!(byte(bytes, at), b'"' | b'\'') {
            at = scan::space(bytes, at);
        }
        let (value, at) = self.value(bytes, at)?;
        if name.local > name.from {
            tag.prefixed = true;
            self.prefixed_attribute(bytes, tag, name, value)?;
        } else if bytes.get(name.local..name.end) == Some(b"xmlns") {
            self.declare_default(bytes, tag, value)?;
        } else {
            let length = name.end - name.local;
            let bit = 1_u64 << ((usize::from(byte(bytes, name.local)) ^ (length << 3)) & 63);
            if tag.seen & bit != 0 {
                tag.twice |= self.is_there(bytes, tag.attributes, name.local, length);
            }
            tag.seen |= bit;
            let name = Span::of(name.local, name.end);
            self.attributes.push(Named { namespace: Span::default(), name, value });
        }
        Ok(at)
    }

    /// Whether the tag has an attribute of the name that stands there.
    fn is_there(&self, bytes: &[u8], first: usize, name: usize, length: usize) -> bool {
        let before = self.attributes.get(first..).unwrap_or_default();
        before
            .iter()
            .any(|other| other.name.len as usize == length && scan::same(bytes, other.name.at as usize, name, length))
    }

    #[cold]
    fn prefixed_attribute(&mut self, bytes: &[u8], tag: &Tag, name: Name, value: Span) -> Result<(), Fault> {
        let (prefix, local) = (Span::of(name.from, name.local - 1), Span::of(name.local, name.end));
        if self.bytes(bytes, prefix) == b"xmlns" {
            self.prefixes += 1;
            if self.prefixes > MAX_PREFIXES {
                return Err(Fault::Prefixes);
            }
            return self.declare(bytes, local, value, tag.declared);
        }
        // Its namespace is known when all of the tag is: until then its prefix stands there.
        self.attributes.push(Named { namespace: prefix, name: local, value });
        Ok(())
    }

    #[inline(always)]
    fn declare_default(&mut self, bytes: &[u8], tag: &mut Tag, namespace: Span) -> Result<(), Fault> {
        let uri = self.bytes(bytes, namespace);
        if tag.default || uri == XMLNS.as_bytes() || uri == ns::XML.as_bytes() {
            return Err(Fault::Namespace);
        }
        tag.default = true;
        self.default = namespace;
        Ok(())
    }

    /// Namespaces in XML 1.0 §3: what is reserved, and what is declared twice.
    fn declare(&mut self, bytes: &[u8], prefix: Span, namespace: Span, before: usize) -> Result<(), Fault> {
        let (name, uri) = (self.bytes(bytes, prefix), self.bytes(bytes, namespace));
        let reserved = name == b"xmlns" || uri == XMLNS.as_bytes() || (name == b"xml") != (uri == ns::XML.as_bytes());
        let here = self.declared.get(before..).unwrap_or_default();
        if reserved || uri.is_empty() || here.iter().any(|other| self.bytes(bytes, other.prefix) == name) {
            return Err(Fault::Namespace);
        }
        self.declared.push(Declared { prefix, namespace });
        Ok(())
    }

    fn namespace(&self, bytes: &[u8], prefix: Span) -> Result<Span, Fault> {
        let name = self.bytes(bytes, prefix);
        // None of XMPP's elements is in the namespace of `xml:`, and one that is could not be written again as one with
        // a default namespace.
        if name == b"xml" {
            return Err(Fault::Namespace);
        }
        let found = self
            .declared
            .iter()
            .rev()
            .find(|declared| declared.prefix.len == prefix.len && self.bytes(bytes, declared.prefix) == name);
        found.map(|declared| declared.namespace).ok_or(Fault::Namespace)
    }

    /// Finds the namespaces of the attributes of a tag that has prefixes, and whether two are the same.
    #[cold]
    fn resolve(&mut self, bytes: &[u8], first: usize) -> Result<(), Fault> {
        for at in first..self.attributes.len() {
            self.resolve_one(bytes, at)?;
            let new = self.attributes.get(first..=at).unwrap_or_default();
            let Some((last, others)) = new.split_last() else { break };
            let same = |other: &Named| {
                other.name.len == last.name.len
                    && self.bytes(bytes, other.name) == self.bytes(bytes, last.name)
                    && self.bytes(bytes, other.namespace) == self.bytes(bytes, last.namespace)
            };
            if others.iter().any(same) {
                return Err(Fault::NotWellFormed);
            }
        }
        Ok(())
    }

    /// Puts the namespace in the place of the prefix. An attribute without one is in no namespace (Namespaces in XML 1.0
    /// §6.2).
    fn resolve_one(&mut self, bytes: &[u8], at: usize) -> Result<(), Fault> {
        let prefix = self.attributes.get(at).map_or_else(Span::default, |attribute| attribute.namespace);
        let namespace = match self.bytes(bytes, prefix) {
            b"" => return Ok(()),
            b"xml" => self.xml(),
            _ => self.namespace(bytes, prefix)?,
        };
        if let Some(attribute) = self.attributes.get_mut(at) {
            attribute.namespace = namespace;
        }
        Ok(())
    }
}

/// A name with or without a prefix (Namespaces in XML 1.0 §4).
#[inline(always)]
fn name(bytes: &[u8], from: usize) -> Result<Name, Fault> {
    let end = scan::name(bytes, from).ok_or(Fault::NotWellFormed)?;
    if byte(bytes, end) != b':' {
        return Ok(Name { from, local: from, end });
    }
    let local = end + 1;
    Ok(Name { from, local, end: scan::name(bytes, local).ok_or(Fault::NotWellFormed)? })
}
