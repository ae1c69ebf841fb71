//! A look at a tree.

use super::{NONE, Named, Node, Tree};

/// An element or a text of a tree.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    tree: &'a Tree,
    text: &'a str,
    node: Option<&'a Node>,
    number: u32,
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

impl<'a> Element<'a> {
    pub(super) fn new(tree: &'a Tree, text: &'a str, number: u32) -> Self {
        Self { tree, text, node: tree.nodes.get(number as usize), number }
    }

    /// Whether it is an element.
    #[must_use]
    pub fn is_element(&self) -> bool {
        self.node.is_some_and(|node| node.is_element)
    }

    /// Whether it is a text.
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.node.is_some_and(|node| !node.is_element)
    }

    /// Its name; empty for a text.
    #[must_use]
    pub fn tag_name(&self) -> TagName<'a> {
        match self.node {
            Some(node) if node.is_element => TagName {
                namespace: self.tree.read(self.text, node.namespace),
                name: self.tree.read(self.text, node.text),
            },
            _ => TagName { namespace: "", name: "" },
        }
    }

    /// Whether it is the element of that name in that namespace.
    #[must_use]
    pub fn has_tag_name(&self, (namespace, name): (&str, &str)) -> bool {
        self.node.is_some_and(|node| {
            node.is_element
                && self.tree.says(self.text, node.text, name)
                && self.tree.says(self.text, node.namespace, namespace)
        })
    }

    fn named(&self) -> &'a [Named] {
        let Some(node) = self.node else { return &[] };
        let first = node.attributes as usize;
        self.tree.attributes.get(first..first + node.attribute_count as usize).unwrap_or_default()
    }

    /// The value of the attribute of that name that is in no namespace.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&'a str> {
        let mut named = self.named().iter();
        let found =
            named.find(|attribute| attribute.namespace.len == 0 && self.tree.says(self.text, attribute.name, name))?;
        Some(self.tree.read(self.text, found.value))
    }

    /// All its attributes but namespace declarations, as they were written.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        let (tree, text) = (self.tree, self.text);
        self.named().iter().map(move |attribute| Attribute {
            namespace: Some(tree.read(text, attribute.namespace)).filter(|namespace| !namespace.is_empty()),
            name: tree.read(text, attribute.name),
            value: tree.read(text, attribute.value),
        })
    }

    /// Whether there is anything in it.
    #[must_use]
    pub fn has_children(&self) -> bool {
        self.node.is_some_and(|node| node.has_children)
    }

    /// The elements and texts in it. No two texts follow each other.
    #[must_use]
    pub fn children(&self) -> Children<'a> {
        let first = if self.has_children() { self.number + 1 } else { NONE };
        Children { tree: self.tree, text: self.text, next: first }
    }

    /// The first element in it.
    #[must_use]
    pub fn first_element_child(&self) -> Option<Self> {
        self.children().find(Self::is_element)
    }

    /// A text itself, or the one that an element begins with.
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        let node = if self.is_element() { self.children().next().filter(Self::is_text)?.node } else { self.node };
        Some(self.tree.read(self.text, node?.text))
    }
}

/// What is in an element.
#[derive(Clone, Debug)]
pub struct Children<'a> {
    tree: &'a Tree,
    text: &'a str,
    next: u32,
}

impl<'a> Iterator for Children<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let child = Element::new(self.tree, self.text, self.next);
        self.next = child.node?.next;
        Some(child)
    }
}
