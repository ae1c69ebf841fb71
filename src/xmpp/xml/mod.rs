//! XML as XMPP has it (RFC 6120 §11), read strictly into a tree whose memory is used again for the next stanza.
//!
//! No comments, no processing instructions, no DTD, no entities but the five: so nothing here can grow beyond what it
//! was made from. Names, characters, references, duplicate attributes and namespaces are checked as XML 1.0 and
//! Namespaces in XML 1.0 ask; the tests hold it against a parser for all of XML (docs/design.md has why this is our own).
//!
//! [`parse`](Tree::parse) makes a tree (`content` its texts and values), [`Element`] looks at it, `scan` knows the characters.

mod content;
mod element;
mod known;
mod parse;
mod scan;
#[cfg(test)]
mod tests;

pub use element::{Attribute, Element, TagName};
pub(super) use scan::{is_char, reference};

/// How many elements and texts a stanza may have. 1 MiB of `<a/>` would otherwise be a tree of 12 MB. A bridge's batch
/// may have 128 kB, and strangers decide what is in it: no batch within its limit breaks this one, for it has at most
/// one of them per 4 bytes.
pub const MAX_NODES: usize = 40 * 1024;

/// How many namespace prefixes a stanza may declare: each is looked at for each name that has one.
pub const MAX_PREFIXES: usize = 32;

/// How deep a stanza's elements may be nested, the stanza itself included.
pub const MAX_DEPTH: usize = 64;

/// How many attributes one element may have: checking that they differ takes the square of it.
pub const MAX_ATTRIBUTES: usize = 256;

/// A tree that took more than this gives its memory back before the next one.
const KEPT_NODES: usize = 4 * 1024;
const KEPT_BYTES: usize = 256 * 1024;

/// Why a text is no tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is no XML, or not of the kind that XMPP allows.
    NotWellFormed,
    /// Its namespaces are wrong: a prefix that nobody declared, or a declaration that must not be.
    Namespace,
    /// It has more nodes than [`MAX_NODES`].
    Nodes,
    /// It declares more prefixes than [`MAX_PREFIXES`].
    Prefixes,
    /// It is nested more deeply than [`MAX_DEPTH`].
    Depth,
    /// One of its elements has more attributes than [`MAX_ATTRIBUTES`].
    Attributes,
}

/// A tree, or the memory for one.
#[derive(Debug, Default)]
pub struct Tree {
    /// In the order of the document.
    nodes: Vec<Node>,
    attributes: Vec<Named>,
    /// Prefixes and their namespaces, the innermost last.
    declared: Vec<Declared>,
    /// Elements that are open.
    open: Vec<Open>,
    /// Texts that are not in the document as they are meant.
    made: String,
    /// What is declared around every document, and how long [`Tree::made`] is with it.
    outer: usize,
    outer_made: usize,
    /// While it is parsed: how many prefixes were declared in all, and the default namespace that is in force.
    prefixes: usize,
    default: Span,
    /// Start tags that come again.
    known: known::Known,
}

/// A part of the document, or of [`Tree::made`].
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    /// Where it begins; the highest bit says in which of the two.
    at: u32,
    len: u32,
}

const IN_MADE: u32 = 1 << 31;

/// Whoever comes here has fewer bytes, and so fewer of anything, than fit.
#[inline(always)]
const fn small(size: usize) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "a text with more than fit is refused before it is looked at")]
    let small = size as u32;
    small
}

impl Span {
    /// A part of the document.
    #[inline(always)]
    const fn of(from: usize, to: usize) -> Self {
        Self { at: small(from), len: small(to - from) }
    }

    /// The same, so many bytes later.
    #[inline(always)]
    const fn after(self, bytes: u32) -> Self {
        Self { at: self.at + bytes, len: self.len }
    }
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Element,
    Text,
    /// What there is in place of one that is not there.
    Nothing,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    /// The local name of an element, or a text.
    text: Span,
    /// Of an element; empty if it is in none.
    namespace: Span,
    /// The node behind this one: the first within it, unless that is its end.
    first: u32,
    /// Behind all that is within it: the next one within the same element, unless that ends there, too.
    end: u32,
    /// Where its attributes begin and end.
    attributes: u32,
    attributes_end: u32,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
struct Named {
    namespace: Span,
    name: Span,
    value: Span,
}

#[derive(Clone, Copy, Debug)]
struct Declared {
    prefix: Span,
    namespace: Span,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    /// Prefix and local name, as the end tag must repeat them.
    name: Span,
    node: u32,
    /// What was declared outside of it.
    declared: u32,
    /// The default namespace outside of it.
    default: Span,
}

/// A text that was parsed, with its tree. For tests and for what comes once; streams use their [`Tree`] again.
#[derive(Debug)]
pub struct Document<'a> {
    text: &'a str,
    tree: Tree,
}

impl<'a> Document<'a> {
    /// Parses a text that is one element.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn parse(text: &'a str) -> Result<Self, Fault> {
        let mut tree = Tree::default();
        tree.parse(text)?;
        Ok(Self { text, tree })
    }

    /// Its element.
    #[must_use]
    pub fn root_element(&self) -> Element<'_> {
        self.tree.root(self.text)
    }
}

impl Tree {
    /// The element of the text that was parsed last, and without fault.
    #[must_use]
    pub fn root<'a>(&'a self, text: &'a str) -> Element<'a> {
        Element::new(self, text, 0)
    }

    #[inline(always)]
    fn read<'a>(&'a self, text: &'a str, span: Span) -> &'a str {
        let at = (span.at & !IN_MADE) as usize;
        let source = if span.at & IN_MADE == 0 { text } else { self.made.as_str() };
        source.get(at..at + span.len as usize).unwrap_or_default()
    }

    /// Whether that is what stands there.
    #[inline(always)]
    fn says(&self, text: &str, span: Span, wanted: &str) -> bool {
        let at = (span.at & !IN_MADE) as usize;
        let source = if span.at & IN_MADE == 0 { text } else { self.made.as_str() };
        span.len as usize == wanted.len() && source.as_bytes().get(at..at + wanted.len()) == Some(wanted.as_bytes())
    }
}
