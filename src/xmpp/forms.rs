//! Forms (XEP-0004), read leniently: real senders omit `type`, FORM_TYPE, and field types.

use crate::xmpp::xml::Element;

use super::{ns, read};

/// A form that came with a request.
#[derive(Clone, Copy)]
pub struct Form<'a>(Element<'a>);

impl<'a> Form<'a> {
    /// The first form inside an element, of any `type`.
    #[inline(always)]
    #[must_use]
    pub fn inside(node: Element<'a>) -> Option<Self> {
        read::child(node, ns::DATA_FORM, "x").map(Self)
    }

    /// All forms inside an element.
    #[inline(always)]
    pub fn all_inside(node: Element<'a>) -> impl Iterator<Item = Self> {
        node.children().filter(|&child| read::is(child, ns::DATA_FORM, "x")).map(Self)
    }

    /// The form's element.
    #[must_use]
    pub const fn element(self) -> Element<'a> {
        self.0
    }

    /// The form's `type` attribute.
    #[inline]
    #[must_use]
    pub fn kind(self) -> Option<&'a str> {
        self.0.attribute("type")
    }

    /// The first value of a field that is not empty; an empty field counts as absent. Of fields with the same name
    /// the first one counts.
    #[inline]
    #[must_use]
    pub fn value(self, name: &str) -> Option<&'a str> {
        let [value] = self.values([name]);
        value
    }

    /// The same for several fields, in one look at the form.
    #[inline(always)]
    #[must_use]
    pub fn values<const N: usize>(self, names: [&str; N]) -> [Option<&'a str>; N] {
        let mut found = [const { None }; N];
        for field in self.0.children().filter(|&child| read::is(child, ns::DATA_FORM, "field")) {
            let Some(name) = field.attribute("var") else { continue };
            let wanted = names.iter().zip(&mut found).find(|(wanted, found)| **wanted == name && found.is_none());
            if let Some((_, found)) = wanted {
                let mut values = field.children().filter(|&child| read::is(child, ns::DATA_FORM, "value"));
                *found = Some(values.find_map(read::text));
            }
        }
        found.map(Option::flatten)
    }

    /// All its fields: names, and values that hold something.
    pub fn fields(self) -> impl Iterator<Item = (&'a str, impl Iterator<Item = &'a str>)> {
        let fields = self.0.children().filter(|&child| read::is(child, ns::DATA_FORM, "field"));
        fields.filter_map(|field| {
            let values = field.children().filter(|&child| read::is(child, ns::DATA_FORM, "value"));
            Some((field.attribute("var")?, values.filter_map(read::text)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_leniently() {
        let text = "<x xmlns='jabber:x:data'>
            <field var='FORM_TYPE'><value> urn:a\n</value></field>
            <field var='one' type='text-single'><value>1</value></field>
            <field var='several'><value/><value></value><value>a</value><value>b</value></field>
            <field var='empty'/><field var='hollow'><value/></field>
            <field var='twice'><value>first</value></field><field var='twice'><value>second</value></field>
            <field><value>nameless</value></field>
            <other xmlns='x' var='one'><value>no</value></other></x>";
        let document = crate::xmpp::xml::Document::parse(text).unwrap();
        let form = Form(document.root_element());
        let rows = [
            ("one", Some("1")),
            ("several", Some("a")),
            ("empty", None),
            ("hollow", None),
            ("twice", Some("first")),
            ("missing", None),
        ];
        for (name, value) in rows {
            assert_eq!(form.value(name), value, "{name}");
        }
        assert_eq!(form.kind(), None);
    }
}
