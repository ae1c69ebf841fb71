//! A look at a tree.

use super::{Kind, Named, Node, Span, Tree};

/// An element or a text of a tree.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    tree: &'a Tree,
    text: &'a str,
    node: &'a Node,
}

/// An element's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagName<'a> {
    namespace: &'a str,
    name: &'a str,
}

impl<'a> TagName<'a> {
    /// The namespace, if it is in one.
    #[must_use]
    pub fn namespace(self) -> Option<&'a str> {
        Some(self.namespace).filter(|namespace| !namespace.is_empty())
    }

    /// The name, without its prefix.
    #[must_use]
    pub const fn name(self) -> &'a str {
        self.name
    }
}

/// An attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// The namespace, if it is in one.
    pub namespace: Option<&'a str>,
    /// The name, without its prefix.
    pub name: &'a str,
    /// The value as it is meant: references resolved, white space normalised (XML 1.0 §3.3.3).
    pub value: &'a str,
}

/// In place of a node that is not there.
static NOTHING: Node = Node {
    text: Span { at: 0, len: 0 },
    namespace: Span { at: 0, len: 0 },
    first: 0,
    end: 0,
    attributes: 0,
    attributes_end: 0,
    kind: Kind::Nothing,
};

impl<'a> Element<'a> {
    #[inline]
    pub(super) fn new(tree: &'a Tree, text: &'a str, number: u32) -> Self {
        Self { tree, text, node: tree.nodes.get(number as usize).unwrap_or(&NOTHING) }
    }

    /// Whether it is an element.
    #[inline]
    #[must_use]
    pub fn is_element(&self) -> bool {
        self.node.kind == Kind::Element
    }

    /// Whether it is a text.
    #[inline]
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.node.kind == Kind::Text
    }

    /// Its name; empty for a text.
    #[inline]
    #[must_use]
    pub fn tag_name(&self) -> TagName<'a> {
        if !self.is_element() {
            return TagName { namespace: "", name: "" };
        }
        TagName {
            namespace: self.tree.read(self.text, self.node.namespace),
            name: self.tree.read(self.text, self.node.text),
        }
    }

    /// Whether it is the element of that name in that namespace.
    #[inline(always)]
    #[must_use]
    pub fn has_tag_name(&self, (namespace, name): (&str, &str)) -> bool {
        self.is_element()
            && self.tree.says(self.text, self.node.text, name)
            && self.tree.says(self.text, self.node.namespace, namespace)
    }

    #[inline]
    fn named(&self) -> &'a [Named] {
        let own = self.node.attributes as usize..self.node.attributes_end as usize;
        self.tree.attributes.get(own).unwrap_or_default()
    }

    /// The value of the attribute of that name that is in no namespace.
    #[inline(always)]
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&'a str> {
        for attribute in self.named() {
            if self.tree.says(self.text, attribute.name, name) && attribute.namespace.len == 0 {
                return Some(self.tree.read(self.text, attribute.value));
            }
        }
        None
    }

    /// All its attributes but namespace declarations, as they were written.
    #[inline]
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        let (tree, text) = (self.tree, self.text);
        self.named().iter().map(move |attribute| Attribute {
            namespace: Some(tree.read(text, attribute.namespace)).filter(|namespace| !namespace.is_empty()),
            name: tree.read(text, attribute.name),
            value: tree.read(text, attribute.value),
        })
    }

    /// Whether there is anything in it.
    #[inline]
    #[must_use]
    pub fn has_children(&self) -> bool {
        self.node.first < self.node.end
    }

    /// The elements and texts in it. No two texts follow each other.
    #[inline]
    #[must_use]
    pub fn children(&self) -> Children<'a> {
        Children { tree: self.tree, text: self.text, next: self.node.first, end: self.node.end }
    }

    /// The first element in it.
    #[inline]
    #[must_use]
    pub fn first_element_child(&self) -> Option<Self> {
        self.children().find(Self::is_element)
    }

    /// A text itself, or the one that an element begins with.
    #[inline]
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        let text = if self.is_element() { self.children().next()? } else { *self };
        text.is_text().then(|| self.tree.read(self.text, text.node.text))
    }
}

/// What is in an element.
#[derive(Clone, Debug)]
pub struct Children<'a> {
    tree: &'a Tree,
    text: &'a str,
    next: u32,
    end: u32,
}

impl<'a> Iterator for Children<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        if self.next >= self.end {
            return None;
        }
        let child = Element::new(self.tree, self.text, self.next);
        self.next = child.node.end;
        Some(child)
    }
}
