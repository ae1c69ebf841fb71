//! From text to tree, in one pass. The memory of the tree before is used again.

use super::scan;
use super::{
    Declared, Fault, IN_MADE, KEPT_BYTES, KEPT_NODES, MAX_ATTRIBUTES, MAX_DEPTH, MAX_NODES, MAX_PREFIXES, NONE, Named,
    Node, Open, Span, Tree,
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
        for declared in self.declared.iter().filter(|declared| declared.prefix.len > 0) {
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
        let before = scan::space(bytes);
        let length = self.parse_front(bytes.get(before..).unwrap_or_default(), before)?;
        let rest = bytes.get(before + length..).unwrap_or_default();
        if scan::space(rest) < rest.len() {
            self.nodes.clear();
            return Err(Fault::NotWellFormed);
        }
        Ok(())
    }

    /// Parses the element that these bytes begin with; says how long it is. That it is UTF-8 is for the caller to see to,
    /// before anybody looks at the tree: a part of it that is none would be read as empty. The text that it is then read
    /// from begins `before` bytes earlier.
    ///
    /// # Errors
    ///
    /// What is wrong with it, which may be that it does not end: there is no tree then.
    pub fn parse_front(&mut self, bytes: &[u8], before: usize) -> Result<usize, Fault> {
        self.begin();
        if bytes.len() + before >= IN_MADE as usize {
            return Err(Fault::Nodes);
        }
        let parsed =
            Parser { tree: self, bytes, before, at: 0, prefixes: 0, default: Span::default(), prefixed: false }
                .element();
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

/// Whoever comes here has fewer bytes, and so fewer of anything, than fit.
#[inline]
fn small(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(NONE)
}

pub(super) struct Parser<'t> {
    pub(super) tree: &'t mut Tree,
    pub(super) bytes: &'t [u8],
    /// How far into the text they begin.
    before: usize,
    pub(super) at: usize,
    /// How many were declared in all.
    prefixes: usize,
    /// The default namespace that is in force.
    default: Span,
    /// Whether a name in the tag under way has a prefix: most have none, and nothing to look up.
    prefixed: bool,
}

/// A name as it was written.
#[derive(Clone, Copy)]
struct Name {
    prefix: Span,
    local: Span,
    whole: Span,
}

impl Parser<'_> {
    fn element(mut self) -> Result<usize, Fault> {
        if self.byte() != Some(b'<') {
            return Err(Fault::NotWellFormed);
        }
        self.start_tag()?;
        while !self.tree.open.is_empty() {
            match self.rest() {
                [b'<', b'/', ..] => self.end_tag()?,
                [b'<', b'!', ..] => self.content()?,
                [b'<', ..] => self.start_tag()?,
                [_, ..] => self.content()?,
                [] => return Err(Fault::NotWellFormed),
            }
        }
        Ok(self.at)
    }

    #[inline]
    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    #[inline]
    pub(super) fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    pub(super) fn span(&self, from: usize, to: usize) -> Span {
        Span { at: small(self.before + from), len: small(to - from) }
    }

    #[inline]
    fn read(&self, span: Span) -> &[u8] {
        let (at, source) = if span.at & IN_MADE == 0 {
            ((span.at as usize).wrapping_sub(self.before), self.bytes)
        } else {
            ((span.at & !IN_MADE) as usize, self.tree.made.as_bytes())
        };
        source.get(at..at.wrapping_add(span.len as usize)).unwrap_or_default()
    }

    #[inline]
    fn is(&self, span: Span, wanted: &[u8]) -> bool {
        span.len as usize == wanted.len() && self.read(span) == wanted
    }

    #[inline]
    fn skip_space(&mut self) -> bool {
        let length = scan::space(self.rest());
        self.at += length;
        length > 0
    }

    #[inline]
    fn take(&mut self, byte: u8) -> Result<(), Fault> {
        if self.byte() != Some(byte) {
            return Err(Fault::NotWellFormed);
        }
        self.at += 1;
        Ok(())
    }

    /// A name with or without a prefix (Namespaces in XML 1.0 §4).
    #[inline]
    fn name(&mut self) -> Result<Name, Fault> {
        let begin = self.at;
        let first = self.part()?;
        if self.byte() != Some(b':') {
            return Ok(Name { prefix: Span::default(), local: first, whole: first });
        }
        self.at += 1;
        let local = self.part()?;
        self.prefixed = true;
        Ok(Name { prefix: first, local, whole: self.span(begin, self.at) })
    }

    #[inline]
    fn part(&mut self) -> Result<Span, Fault> {
        let length = scan::name(self.rest()).ok_or(Fault::NotWellFormed)?;
        let part = self.span(self.at, self.at + length);
        self.at += length;
        Ok(part)
    }

    fn start_tag(&mut self) -> Result<(), Fault> {
        self.at += 1;
        self.prefixed = false;
        let name = self.name()?;
        let (declared, attributes, outer) = (self.tree.declared.len(), self.tree.attributes.len(), self.default);
        let empty = loop {
            let space = self.skip_space();
            match self.byte() {
                Some(b'>') => break false,
                Some(b'/') => {
                    self.at += 1;
                    break true;
                }
                Some(_) if space => self.attribute(declared)?,
                _ => return Err(Fault::NotWellFormed),
            }
        };
        self.take(b'>')?;
        let count = self.tree.attributes.len() - attributes;
        if count + self.tree.declared.len() - declared > MAX_ATTRIBUTES {
            return Err(Fault::Attributes);
        }
        if self.tree.open.len() >= MAX_DEPTH {
            return Err(Fault::Depth);
        }
        self.resolve(attributes)?;
        let element = Node {
            text: name.local,
            namespace: if name.prefix.len == 0 { self.default } else { self.namespace(name.prefix)? },
            next: NONE,
            attributes: small(attributes),
            attribute_count: small(count),
            is_element: true,
            has_children: false,
        };
        let node = self.append(element)?;
        if !empty {
            self.tree.open.push(Open { name: name.whole, node, last: NONE, declared, default: outer });
        } else if !self.tree.open.is_empty() {
            self.close(declared, outer);
        }
        Ok(())
    }

    fn end_tag(&mut self) -> Result<(), Fault> {
        self.at += 2;
        let Some(open) = self.tree.open.pop() else { return Err(Fault::NotWellFormed) };
        if !self.rest().starts_with(self.read(open.name)) {
            return Err(Fault::NotWellFormed);
        }
        self.at += open.name.len as usize;
        self.skip_space();
        self.take(b'>')?;
        // The root's stay: whatever stands in it may use them.
        if !self.tree.open.is_empty() {
            self.close(open.declared, open.default);
        }
        Ok(())
    }

    /// What an element declared is over with it.
    fn close(&mut self, declared: usize, default: Span) {
        self.tree.declared.truncate(declared);
        self.default = default;
    }

    /// Adds a node to the element that is open.
    pub(super) fn append(&mut self, node: Node) -> Result<u32, Fault> {
        let Tree { nodes, open, .. } = &mut *self.tree;
        if nodes.len() >= MAX_NODES {
            return Err(Fault::Nodes);
        }
        let number = small(nodes.len());
        if let Some(parent) = open.last_mut() {
            let last = std::mem::replace(&mut parent.last, number);
            if let Some(last) = nodes.get_mut(last as usize) {
                last.next = number;
            } else if let Some(parent) = nodes.get_mut(parent.node as usize) {
                parent.has_children = true;
            }
        }
        nodes.push(node);
        Ok(number)
    }

    /// An attribute, or a declaration; `declared` is how much was declared before this tag.
    fn attribute(&mut self, declared: usize) -> Result<(), Fault> {
        let name = self.name()?;
        self.skip_space();
        self.take(b'=')?;
        self.skip_space();
        let value = self.value()?;
        if name.prefix.len == 0 && self.is(name.local, b"xmlns") {
            return self.declare(Span::default(), value, declared);
        }
        if self.is(name.prefix, b"xmlns") {
            self.prefixes += 1;
            if self.prefixes > MAX_PREFIXES {
                return Err(Fault::Prefixes);
            }
            return self.declare(name.local, value, declared);
        }
        // Its namespace is known when all of the tag is: until then its prefix stands there.
        self.tree.attributes.push(Named { namespace: name.prefix, name: name.local, value });
        Ok(())
    }

    /// Namespaces in XML 1.0 §3: what is reserved, and what is declared twice.
    fn declare(&mut self, prefix: Span, namespace: Span, before: usize) -> Result<(), Fault> {
        let (name, uri) = (self.read(prefix), self.read(namespace));
        let reserved = name == b"xmlns" || uri == XMLNS.as_bytes() || (name == b"xml") != (uri == ns::XML.as_bytes());
        let unbound = !name.is_empty() && uri.is_empty();
        let here = self.tree.declared.get(before..).unwrap_or_default();
        if reserved || unbound || here.iter().any(|other| self.read(other.prefix) == name) {
            return Err(Fault::Namespace);
        }
        if prefix.len == 0 {
            self.default = namespace;
        }
        // The default namespace, too: that it is declared once only.
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

    /// Finds the namespaces of the tag's attributes, and whether two are the same.
    fn resolve(&mut self, first: usize) -> Result<(), Fault> {
        for at in first..self.tree.attributes.len() {
            if self.prefixed {
                self.resolve_one(at)?;
            }
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
