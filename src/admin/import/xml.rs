//! Elements as foreign stores keep them, written as XML. It is read again by those who read an `<enable/>`, so all that
//! matters here is that nothing becomes something else.

/// An element.
#[derive(Default)]
pub(super) struct Element {
    pub(super) name: String,
    /// Names as they stand in XML, or with the namespace and `\u{1}` or `|` before them, as Prosody keeps them.
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Child>,
}

/// What stands in an element.
pub(super) enum Child {
    Element(Element),
    Text(String),
}

impl Element {
    /// An empty one in this namespace.
    pub(super) fn new(namespace: &str, name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }.with("xmlns", namespace)
    }

    /// With one more attribute.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.attributes.push((name.to_owned(), value.to_owned()));
        self
    }

    /// As XML; `None` if something in it is no name.
    pub(super) fn written(&self) -> Option<String> {
        let mut out = String::new();
        self.write(&mut out)?;
        Some(out)
    }

    fn write(&self, out: &mut String) -> Option<()> {
        is_name(&self.name).then_some(())?;
        out.push('<');
        out.push_str(&self.name);
        for (at, (name, value)) in self.attributes.iter().enumerate() {
            match name.rsplit_once(['\u{1}', '|']) {
                Some((namespace, name)) => {
                    is_name(name).then_some(())?;
                    put_value(out, &format!("xmlns:a{at}"), namespace);
                    put_value(out, &format!("a{at}:{name}"), value);
                }
                None => {
                    is_name(name).then_some(())?;
                    put_value(out, name, value);
                }
            }
        }
        out.push('>');
        for child in &self.children {
            match child {
                Child::Element(element) => element.write(out)?,
                Child::Text(text) => escape(out, text),
            }
        }
        out.push_str("</");
        out.push_str(&self.name);
        out.push('>');
        Some(())
    }
}

/// Enough that it ends where it ends; whether it is a name of XML is seen when it is read.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':'))
}

fn put_value(out: &mut String, name: &str, value: &str) {
    out.push(' ');
    out.push_str(name);
    out.push_str("='");
    escape(out, value);
    out.push('\'');
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&apos;"),
            '"' => out.push_str("&quot;"),
            // A reader makes spaces of them in a value.
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\t' => out.push_str("&#9;"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_a_value_stays_in_it() {
        let element = Element {
            children: vec![Child::Text("</x>&".to_owned()), Child::Element(Element::default().named("y"))],
            ..Element::new("urn:x", "x").with("urn:é\u{1}a", "'\"\n>").with("b", "1")
        };
        let expected =
            "<x xmlns='urn:x' xmlns:a1='urn:é' a1:a='&apos;&quot;&#10;&gt;' b='1'>&lt;/x&gt;&amp;<y></y></x>";
        assert_eq!(element.written().as_deref(), Some(expected));
    }

    #[test]
    fn what_is_no_name_is_not_written() {
        for name in ["", "x y", "x>", "x='"] {
            assert_eq!(Element::default().named(name).written(), None, "{name:?}");
            assert_eq!(Element::new("urn:x", "x").with(name, "").written(), None, "{name:?}");
        }
    }

    impl Element {
        fn named(self, name: &str) -> Self {
            Self { name: name.to_owned(), ..self }
        }
    }
}
