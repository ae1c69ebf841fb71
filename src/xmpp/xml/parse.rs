//! From text to tree, in one pass. The memory of the tree before is used again.
//!
//! Where a byte is looked at, its place is handed on as a number: nearly all of a stanza is read without a look at anything
//! but its bytes, and what is rare is in functions of its own.

use super::scan;
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
        let end = self.parse_at(bytes, scan::space(bytes))?;
        let rest = bytes.get(end..).unwrap_or_default();
        if scan::space(rest) < rest.len() {
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
        let parsed = Parser { tree: self, bytes, prefixes: 0, default: Span::default() }.element(from);
        if parsed.is_err() {
            self.nodes.clear();
        }
        parsed
    }

    fn begin(&mut self) {
        if self.nodes.capacity() > KEPT_NODES || self.made.capacity() > KEPT_BYTES {
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

pub(super) struct Parser<'t> {
    pub(super) tree: &'t mut Tree,
    pub(super) bytes: &'t [u8],
    /// How many were declared in all.
    prefixes: usize,
    /// The default namespace that is in force.
    default: Span,
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

impl Parser<'_> {
    fn element(mut self, from: usize) -> Result<usize, Fault> {
        if self.byte(from) != b'<' {
            return Err(Fault::NotWellFormed);
        }
        let mut at = self.start_tag(from)?;
        while !self.tree.open.is_empty() {
            at = match (self.byte(at), self.byte(at + 1)) {
                (b'<', b'/') => self.end_tag(at)?,
                (b'<', b'!') => self.content(at)?,
                (b'<', _) => self.start_tag(at)?,
                _ => self.content(at)?,
            };
        }
        Ok(at)
    }

    /// The byte there; at the end one that XML does not have.
    #[inline(always)]
    pub(super) fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or_default()
    }

    #[inline(always)]
    pub(super) fn rest(&self, at: usize) -> &[u8] {
        self.bytes.get(at..).unwrap_or_default()
    }

    #[inline(always)]
    fn read(&self, span: Span) -> &[u8] {
        let source = if span.at & IN_MADE == 0 { self.bytes } else { self.tree.made.as_bytes() };
        let at = (span.at & !IN_MADE) as usize;
        source.get(at..at + span.len as usize).unwrap_or_default()
    }

    #[inline(always)]
    fn space(&self, mut at: usize) -> usize {
        while scan::is_space(self.byte(at)) {
            at += 1;
        }
        at
    }

    /// A name with or without a prefix (Namespaces in XML 1.0 §4).
    #[inline(always)]
    fn name(&self, from: usize) -> Result<Name, Fault> {
        let end = from + scan::name(self.rest(from)).ok_or(Fault::NotWellFormed)?;
        if self.byte(end) != b':' {
            return Ok(Name { from, local: from, end });
        }
        let local = end + 1;
        let length = scan::name(self.rest(local)).ok_or(Fault::NotWellFormed)?;
        Ok(Name { from, local, end: local + length })
    }

    fn start_tag(&mut self, from: usize) -> Result<usize, Fault> {
        let name = self.name(from + 1)?;
        let mut tag = Tag {
            attributes: self.tree.attributes.len(),
            declared: self.tree.declared.len(),
            outer: self.default,
            prefixed: name.local > name.from,
            default: false,
            seen: 0,
            twice: false,
        };
        let mut at = name.end;
        let empty = loop {
            let next = self.space(at);
            match self.byte(next) {
                b'>' => {
                    at = next + 1;
                    break false;
                }
                b'/' if self.byte(next + 1) == b'>' => {
                    at = next + 2;
                    break true;
                }
                _ if next > at => at = self.attribute(&mut tag, next)?,
                _ => return Err(Fault::NotWellFormed),
            }
        };
        let count = self.tree.attributes.len() - tag.attributes;
        if count + self.tree.declared.len() - tag.declared + usize::from(tag.default) > MAX_ATTRIBUTES {
            return Err(Fault::Attributes);
        }
        if self.tree.open.len() >= MAX_DEPTH {
            return Err(Fault::Depth);
        }
        if tag.prefixed {
            self.resolve(tag.attributes)?;
        } else if tag.twice {
            return Err(Fault::NotWellFormed);
        }
        let namespace = if name.local == name.from {
            self.default
        } else {
            self.namespace(Span::of(name.from, name.local - 1))?
        };
        let node = self.append(Kind::Element, Span::of(name.local, name.end), namespace, tag.attributes)?;
        if !empty {
            let declared = small(tag.declared);
            self.tree.open.push(Open { name: Span::of(name.from, name.end), node, declared, default: tag.outer });
        } else if !self.tree.open.is_empty() {
            self.close(tag.declared, tag.outer);
        }
        Ok(at)
    }

    fn end_tag(&mut self, from: usize) -> Result<usize, Fault> {
        let Some(open) = self.tree.open.pop() else { return Err(Fault::NotWellFormed) };
        let (name, at) = (open.name.at as usize, from + 2);
        if !scan::same(self.bytes, name, at, open.name.len as usize) {
            return Err(Fault::NotWellFormed);
        }
        let at = self.space(at + open.name.len as usize);
        if self.byte(at) != b'>' {
            return Err(Fault::NotWellFormed);
        }
        let end = small(self.tree.nodes.len());
        if let Some(node) = self.tree.nodes.get_mut(open.node as usize) {
            node.end = end;
        }
        // The root's stay: whatever stands in it may use them.
        if !self.tree.open.is_empty() {
            self.close(open.declared as usize, open.default);
        }
        Ok(at + 1)
    }

    /// What an element declared is over with it.
    #[inline(always)]
    fn close(&mut self, declared: usize, default: Span) {
        self.tree.declared.truncate(declared);
        self.default = default;
    }

    /// Adds a node to the element that is open, with the attributes from there on.
    #[inline(always)]
    pub(super) fn append(
        &mut self,
        kind: Kind,
        text: Span,
        namespace: Span,
        attributes: usize,
    ) -> Result<u32, Fault> {
        if self.tree.nodes.len() >= MAX_NODES {
            return Err(Fault::Nodes);
        }
        let number = small(self.tree.nodes.len());
        let attributes = small(attributes)..small(self.tree.attributes.len());
        let (first, end) = (number + 1, number + 1);
        self.tree.nodes.push(Node {
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
    fn attribute(&mut self, tag: &mut Tag, from: usize) -> Result<usize, Fault> {
        let name = self.name(from)?;
        let mut at = name.end;
        if self.byte(at) != b'=' {
            at = self.space(at);
            if self.byte(at) != b'=' {
                return Err(Fault::NotWellFormed);
            }
        }
        at = self.space(at + 1);
        let (value, at) = self.value(at)?;
        if name.local > name.from {
            tag.prefixed = true;
            self.prefixed_attribute(tag, name, value)?;
        } else if self.bytes.get(name.local..name.end) == Some(b"xmlns") {
            self.declare_default(tag, value)?;
        } else {
            let length = name.end - name.local;
            let bit = 1_u64 << ((usize::from(self.byte(name.local)) ^ (length << 3)) & 63);
            if tag.seen & bit != 0 {
                tag.twice |= self.is_there(tag.attributes, name.local, length);
            }
            tag.seen |= bit;
            let name = Span::of(name.local, name.end);
            self.tree.attributes.push(Named { namespace: Span::default(), name, value });
        }
        Ok(at)
    }

    /// Whether the tag has an attribute of the name that stands there.
    fn is_there(&self, first: usize, name: usize, length: usize) -> bool {
        let before = self.tree.attributes.get(first..).unwrap_or_default();
        before.iter().any(|other| {
            other.name.len as usize == length && scan::same(self.bytes, other.name.at as usize, name, length)
        })
    }

    #[cold]
    fn prefixed_attribute(&mut self, tag: &Tag, name: Name, value: Span) -> Result<(), Fault> {
        let (prefix, local) = (Span::of(name.from, name.local - 1), Span::of(name.local, name.end));
        if self.read(prefix) == b"xmlns" {
            self.prefixes += 1;
            if self.prefixes > MAX_PREFIXES {
                return Err(Fault::Prefixes);
            }
            return self.declare(local, value, tag.declared);
        }
        // Its namespace is known when all of the tag is: until then its prefix stands there.
        self.tree.attributes.push(Named { namespace: prefix, name: local, value });
        Ok(())
    }

    #[inline(always)]
    fn declare_default(&mut self, tag: &mut Tag, namespace: Span) -> Result<(), Fault> {
        let uri = self.read(namespace);
        if tag.default || uri == XMLNS.as_bytes() || uri == ns::XML.as_bytes() {
            return Err(Fault::Namespace);
        }
        tag.default = true;
        self.default = namespace;
        Ok(())
    }

    /// Namespaces in XML 1.0 §3: what is reserved, and what is declared twice.
    fn declare(&mut self, prefix: Span, namespace: Span, before: usize) -> Result<(), Fault> {
        let (name, uri) = (self.read(prefix), self.read(namespace));
        let reserved = name == b"xmlns" || uri == XMLNS.as_bytes() || (name == b"xml") != (uri == ns::XML.as_bytes());
        let here = self.tree.declared.get(before..).unwrap_or_default();
        if reserved || uri.is_empty() || here.iter().any(|other| self.read(other.prefix) == name) {
            return Err(Fault::Namespace);
        }
        self.tree.declared.push(Declared { prefix, namespace });
        Ok(())
    }

    fn namespace(&self, prefix: Span) -> Result<Span, Fault> {
        let name = self.read(prefix);
        let found = self
            .tree
            .declared
            .iter()
            .rev()
            .find(|declared| declared.prefix.len == prefix.len && self.read(declared.prefix) == name);
        // None of XMPP's elements is in the namespace of `xml:`, and one that is could not be written again as one with
        // a default namespace.
        found.map(|declared| declared.namespace).ok_or(Fault::Namespace)
    }

    /// Finds the namespaces of the attributes of a tag that has prefixes, and whether two are the same.
    #[cold]
    fn resolve(&mut self, first: usize) -> Result<(), Fault> {
        for at in first..self.tree.attributes.len() {
            self.resolve_one(at)?;
            let new = self.tree.attributes.get(first..=at).unwrap_or_default();
            let Some((last, others)) = new.split_last() else { break };
            let same = |other: &Named| {
                other.name.len == last.name.len
                    && self.read(other.name) == self.read(last.name)
                    && self.read(other.namespace) == self.read(last.namespace)
            };
            if others.iter().any(same) {
                return Err(Fault::NotWellFormed);
            }
        }
        Ok(())
    }

    /// Puts the namespace in the place of the prefix. An attribute without one is in no namespace (Namespaces in XML 1.0
    /// §6.2).
    fn resolve_one(&mut self, at: usize) -> Result<(), Fault> {
        let prefix = self.tree.attributes.get(at).map_or_else(Span::default, |attribute| attribute.namespace);
        let namespace = match self.read(prefix) {
            b"" => return Ok(()),
            b"xml" => self.tree.xml(),
            _ => self.namespace(prefix)?,
        };
        if let Some(attribute) = self.tree.attributes.get_mut(at) {
            attribute.namespace = namespace;
        }
        Ok(())
    }
}
