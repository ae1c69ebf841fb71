//! From text to tree, in one pass. The memory of the tree before is used again.

use super::scan;
use super::{
    Declared, Fault, IN_MADE, KEPT_BYTES, KEPT_NODES, MAX_NODES, MAX_PREFIXES, NONE, Named, Node, Open, Span, Tree,
};
use crate::xmpp::ns;

const CDATA: &str = "<![CDATA[";
const CDATA_END: &str = "]]>";
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
        self.begin();
        if text.len() >= IN_MADE as usize {
            return Err(Fault::Nodes);
        }
        let parsed = Parser { tree: self, text, at: 0, prefixes: 0 }.document();
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

    fn made_since(&self, from: usize) -> Span {
        Span { at: small(from) | IN_MADE, len: small(self.made.len() - from) }
    }
}

/// Whoever comes here has fewer bytes, and so fewer of anything, than fit.
fn small(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(NONE)
}

fn span(from: usize, to: usize) -> Span {
    Span { at: small(from), len: small(to - from) }
}

struct Parser<'t> {
    tree: &'t mut Tree,
    text: &'t str,
    at: usize,
    /// How many were declared in all.
    prefixes: usize,
}

/// A name as it was written.
#[derive(Clone, Copy)]
struct Name {
    prefix: Span,
    local: Span,
    whole: Span,
}

impl Parser<'_> {
    fn document(mut self) -> Result<(), Fault> {
        self.skip_space();
        if self.byte() != Some(b'<') {
            return Err(Fault::NotWellFormed);
        }
        self.start_tag()?;
        while !self.tree.open.is_empty() {
            match (self.byte(), self.rest().get(1)) {
                (Some(b'<'), Some(b'/')) => self.end_tag()?,
                (Some(b'<'), Some(b'!')) => self.content()?,
                (Some(b'<'), _) => self.start_tag()?,
                (Some(_), _) => self.content()?,
                (None, _) => return Err(Fault::NotWellFormed),
            }
        }
        self.skip_space();
        if self.at < self.text.len() { Err(Fault::NotWellFormed) } else { Ok(()) }
    }

    fn rest(&self) -> &[u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn read(&self, span: Span) -> &str {
        self.tree.read(self.text, span)
    }

    fn skip_space(&mut self) -> bool {
        let length = scan::space(self.rest());
        self.at += length;
        length > 0
    }

    fn take(&mut self, byte: u8) -> Result<(), Fault> {
        if self.byte() != Some(byte) {
            return Err(Fault::NotWellFormed);
        }
        self.at += 1;
        Ok(())
    }

    /// A name with or without a prefix (Namespaces in XML 1.0 §4).
    fn name(&mut self) -> Result<Name, Fault> {
        let begin = self.at;
        let first = self.part()?;
        let (prefix, local) = match self.byte() {
            Some(b':') => {
                self.at += 1;
                (first, self.part()?)
            }
            _ => (Span::default(), first),
        };
        Ok(Name { prefix, local, whole: span(begin, self.at) })
    }

    fn part(&mut self) -> Result<Span, Fault> {
        let length = self.text.get(self.at..).and_then(scan::name).ok_or(Fault::NotWellFormed)?;
        self.at += length;
        Ok(span(self.at - length, self.at))
    }

    fn start_tag(&mut self) -> Result<(), Fault> {
        self.at += 1;
        let name = self.name()?;
        let (declared, attributes) = (self.tree.declared.len(), self.tree.attributes.len());
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
        self.resolve(attributes)?;
        let element = Node {
            text: name.local,
            namespace: self.namespace(name.prefix)?,
            next: NONE,
            attributes: small(attributes),
            attribute_count: small(self.tree.attributes.len() - attributes),
            is_element: true,
            has_children: false,
        };
        let node = self.append(element)?;
        // The root's stay: whatever stands in it may use them.
        if !empty {
            self.tree.open.push(Open { name: name.whole, node, last: NONE, declared });
        } else if !self.tree.open.is_empty() {
            self.tree.declared.truncate(declared);
        }
        Ok(())
    }

    fn end_tag(&mut self) -> Result<(), Fault> {
        self.at += 2;
        let Some(open) = self.tree.open.pop() else { return Err(Fault::NotWellFormed) };
        let name = self.read(open.name);
        if !self.rest().starts_with(name.as_bytes()) {
            return Err(Fault::NotWellFormed);
        }
        self.at += name.len();
        self.skip_space();
        self.take(b'>')?;
        if !self.tree.open.is_empty() {
            self.tree.declared.truncate(open.declared);
        }
        Ok(())
    }

    /// Adds a node to the element that is open.
    fn append(&mut self, node: Node) -> Result<u32, Fault> {
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
        let (prefix, local) = (self.read(name.prefix), self.read(name.local));
        if prefix == "xmlns" {
            self.prefixes += 1;
            if self.prefixes > MAX_PREFIXES {
                return Err(Fault::Prefixes);
            }
            return self.declare(name.local, value, declared);
        }
        if prefix.is_empty() && local == "xmlns" {
            return self.declare(Span::default(), value, declared);
        }
        // Its namespace is known when all of the tag is: until then its prefix stands there.
        self.tree.attributes.push(Named { namespace: name.prefix, name: name.local, value });
        Ok(())
    }

    /// Namespaces in XML 1.0 §3: what is reserved, and what is declared twice.
    fn declare(&mut self, prefix: Span, namespace: Span, before: usize) -> Result<(), Fault> {
        let (name, uri) = (self.read(prefix), self.read(namespace));
        let reserved = name == "xmlns" || uri == XMLNS || (name == "xml") != (uri == ns::XML);
        let unbound = !name.is_empty() && uri.is_empty();
        let here = self.tree.declared.get(before..).unwrap_or_default();
        if reserved || unbound || here.iter().any(|other| self.read(other.prefix) == name) {
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
        match (found, name) {
            (Some(declared), _) => Ok(declared.namespace),
            (None, "") => Ok(Span::default()),
            // None of XMPP's elements is in the namespace of `xml:`, and one that is could not be written again as one
            // with a default namespace.
            (None, _) => Err(Fault::Namespace),
        }
    }

    /// Finds the namespaces of the tag's attributes, and whether two are the same.
    fn resolve(&mut self, first: usize) -> Result<(), Fault> {
        for at in first..self.tree.attributes.len() {
            let Some(&attribute) = self.tree.attributes.get(at) else { break };
            let namespace = match self.read(attribute.namespace) {
                // An attribute without a prefix is in no namespace (Namespaces in XML 1.0 §6.2).
                "" => Span::default(),
                "xml" => self.tree.xml(),
                _ => self.namespace(attribute.namespace)?,
            };
            let others = self.tree.attributes.get(first..at).unwrap_or_default();
            let same = |other: &&Named| {
                other.name.len == attribute.name.len
                    && self.read(other.name) == self.read(attribute.name)
                    && self.read(other.namespace) == self.read(namespace)
            };
            if others.iter().any(|other| same(&other)) {
                return Err(Fault::NotWellFormed);
            }
            if let Some(attribute) = self.tree.attributes.get_mut(at) {
                attribute.namespace = namespace;
            }
        }
        Ok(())
    }

    /// An attribute's value, normalised (XML 1.0 §3.3.3).
    fn value(&mut self) -> Result<Span, Fault> {
        let quote = self.byte().filter(|byte| matches!(byte, b'"' | b'\'')).ok_or(Fault::NotWellFormed)?;
        self.at += 1;
        let begin = self.at;
        loop {
            self.at += scan::value(self.rest());
            match self.byte() {
                Some(byte) if byte == quote => {
                    self.at += 1;
                    return Ok(span(begin, self.at - 1));
                }
                Some(b'"' | b'\'') => self.at += 1,
                Some(0xef) => self.character()?,
                Some(b'&' | b'\t' | b'\n' | b'\r') => break,
                _ => return Err(Fault::NotWellFormed),
            }
        }
        let made = self.tree.made.len();
        self.copy(begin);
        loop {
            let from = self.at;
            self.at += scan::value(self.rest());
            self.copy(from);
            match self.byte() {
                Some(byte) if byte == quote => {
                    self.at += 1;
                    return Ok(self.tree.made_since(made));
                }
                Some(b'"' | b'\'' | 0xef) => {
                    let from = self.at;
                    self.character()?;
                    self.copy(from);
                }
                Some(b'&') => self.reference()?,
                Some(b'\t' | b'\n') => self.replace(1, ' '),
                Some(b'\r') => self.replace(self.line_end(), ' '),
                _ => return Err(Fault::NotWellFormed),
            }
        }
    }

    /// All the text and CDATA up to the next tag: one text.
    fn content(&mut self) -> Result<(), Fault> {
        let begin = self.at;
        loop {
            self.at += scan::text(self.rest());
            match self.byte() {
                Some(b']') if !self.begins(CDATA_END) => self.at += 1,
                Some(0xef) => self.character()?,
                _ => break,
            }
        }
        let text = match self.byte() {
            Some(b'<') if !self.begins("<!") => span(begin, self.at),
            _ => self.made_content(begin)?,
        };
        if text.len == 0 {
            return Ok(());
        }
        let none = Span::default();
        self.append(Node {
            text,
            namespace: none,
            next: NONE,
            attributes: 0,
            attribute_count: 0,
            is_element: false,
            has_children: false,
        })?;
        Ok(())
    }

    /// The same where it is not meant as it is written from `begin` on.
    fn made_content(&mut self, begin: usize) -> Result<Span, Fault> {
        let made = self.tree.made.len();
        self.copy(begin);
        loop {
            let from = self.at;
            self.at += scan::text(self.rest());
            self.copy(from);
            match self.byte() {
                Some(b'<') if self.begins(CDATA) => self.cdata()?,
                Some(b'<') if !self.begins("<!") => return Ok(self.tree.made_since(made)),
                Some(b']') if self.begins(CDATA_END) => return Err(Fault::NotWellFormed),
                Some(b']' | 0xef) => {
                    let from = self.at;
                    self.character()?;
                    self.copy(from);
                }
                Some(b'&') => self.reference()?,
                Some(b'\r') => self.replace(self.line_end(), '\n'),
                _ => return Err(Fault::NotWellFormed),
            }
        }
    }

    fn cdata(&mut self) -> Result<(), Fault> {
        self.at += CDATA.len();
        let rest = self.text.get(self.at..).unwrap_or_default();
        let (content, _) = rest.split_once(CDATA_END).ok_or(Fault::NotWellFormed)?;
        if !content.chars().all(scan::is_char) {
            return Err(Fault::NotWellFormed);
        }
        let mut lines = content.split('\r');
        self.tree.made.push_str(lines.next().unwrap_or_default());
        for line in lines {
            self.tree.made.push('\n');
            self.tree.made.push_str(line.strip_prefix('\n').unwrap_or(line));
        }
        self.at += content.len() + CDATA_END.len();
        Ok(())
    }

    fn begins(&self, with: &str) -> bool {
        self.rest().starts_with(with.as_bytes())
    }

    /// Passes over one character, if it is one that XML has.
    fn character(&mut self) -> Result<(), Fault> {
        let next = self.text.get(self.at..).and_then(|rest| rest.chars().next());
        let length = next.filter(|&c| scan::is_char(c)).ok_or(Fault::NotWellFormed)?.len_utf8();
        self.at += length;
        Ok(())
    }

    fn reference(&mut self) -> Result<(), Fault> {
        let rest = self.text.get(self.at + 1..).unwrap_or_default();
        let (name, _) = rest.split_once(';').ok_or(Fault::NotWellFormed)?;
        let meant = scan::reference(name).ok_or(Fault::NotWellFormed)?;
        self.replace(name.len() + 2, meant);
        Ok(())
    }

    /// How long the line end is that begins with a carriage return (XML 1.0 §2.11).
    fn line_end(&self) -> usize {
        if self.begins("\r\n") { 2 } else { 1 }
    }

    fn replace(&mut self, length: usize, by: char) {
        self.at += length;
        self.tree.made.push(by);
    }

    fn copy(&mut self, from: usize) {
        self.tree.made.push_str(self.text.get(from..self.at).unwrap_or_default());
    }
}
