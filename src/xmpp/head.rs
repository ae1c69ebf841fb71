//! A stanza's start tag, read without a parser: all that is left of a stanza that is too big to be parsed.

use std::borrow::Cow;

use super::xml;

/// What a stanza's start tag says about who must hear about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The local name: `iq`, `message`, `presence`, or anything.
    pub name: Box<str>,
    /// The attribute `type`.
    pub kind: Option<Box<str>>,
    /// The attribute `id`.
    pub id: Option<Box<str>>,
    /// The attribute `from`.
    pub from: Option<Box<str>>,
    /// The attribute `to`.
    pub to: Option<Box<str>>,
}

impl Head {
    /// Reads a start tag, or as much of one as there is; `None` if not even its name can be read. Attributes after
    /// the first one that cannot be read are taken as missing.
    #[must_use]
    pub fn read(tag: &[u8]) -> Option<Self> {
        let text = match std::str::from_utf8(tag) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(tag.get(..error.valid_up_to())?).ok()?,
        };
        let text = text.strip_prefix('<')?;
        let name_end = text.find(|c: char| is_space(c) || c == '/' || c == '>')?;
        let (name, mut rest) = text.split_at_checked(name_end)?;
        let local = name.rsplit_once(':').map_or(name, |(_, local)| local);
        if local.is_empty() {
            return None;
        }
        let mut head = Self { name: local.into(), ..Self::default() };
        while let Some((name, value, after)) = attribute(rest) {
            rest = after;
            let place = match name {
                "type" => &mut head.kind,
                "id" => &mut head.id,
                "from" => &mut head.from,
                "to" => &mut head.to,
                _ => continue,
            };
            *place = unescape(value).map(|value| value.into_owned().into_boxed_str());
        }
        Some(head)
    }
}

/// The next attribute: its name, its value as written, and what follows it.
fn attribute(text: &str) -> Option<(&str, &str, &str)> {
    let text = text.trim_start_matches(is_space);
    let (name, rest) = text.split_once('=')?;
    let rest = rest.trim_start_matches(is_space);
    let quote = rest.chars().next().filter(|&c| c == '"' || c == '\'')?;
    let (value, after) = rest.get(1..)?.split_once(quote)?;
    Some((name.trim_end_matches(is_space), value, after))
}

/// An attribute's value as it is meant: references resolved, white space normalised (XML 1.0 §3.3.3). No parser has
/// seen it: what XML does not have must not come back out in an answer.
fn unescape(value: &str) -> Option<Cow<'_, str>> {
    if !value.chars().all(xml::is_char) {
        return None;
    }
    if !value.contains(|c: char| c == '&' || is_space(c)) {
        return Some(Cow::Borrowed(value));
    }
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find(|c: char| c == '&' || is_space(c)) {
        let (plain, special) = rest.split_at_checked(at)?;
        out.push_str(plain);
        if let Some(reference) = special.strip_prefix('&') {
            let (name, after) = reference.split_once(';')?;
            out.push(xml::reference(name)?);
            rest = after;
        } else {
            out.push(' ');
            rest = special.get(1..)?;
        }
    }
    out.push_str(rest);
    Some(Cow::Owned(out))
}

/// White space as XML has it (XML 1.0 §2.3).
const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_tag_tells_who_must_hear_about_it() {
        let head =
            Head::read(b"<iq type='set'\n id = \"a&amp;&#x31;\tb\" xmlns:x='>' from='a@b/c&apos;' to='d' x='/'/>");
        let expected = Head {
            name: "iq".into(),
            kind: Some("set".into()),
            id: Some("a&1 b".into()),
            from: Some("a@b/c'".into()),
            to: Some("d".into()),
        };
        assert_eq!(head, Some(expected));
    }

    #[test]
    fn what_cannot_be_read_is_missing() {
        let rows: [(&[u8], Option<&str>, Option<&str>); 11] = [
            (b"<iq id='1' from='a", Some("iq"), Some("1")),
            (b"<iq id='1", Some("iq"), None),
            (b"<iq id='&nope;' ", Some("iq"), None),
            (b"<iq id='&#0;' ", Some("iq"), None),
            (b"<iq id='\x01' ", Some("iq"), None),
            (b"<iq id='\xef\xbf\xbe' ", Some("iq"), None),
            (b"<iq id=1 ", Some("iq"), None),
            (b"<iq id='1' x='\xff' from='a'>", Some("iq"), Some("1")),
            (b"<c:iq id='1'>", Some("iq"), Some("1")),
            (b"<iq", None, None),
            (b"\xff", None, None),
        ];
        for (tag, name, id) in rows {
            let head = Head::read(tag);
            let shown = String::from_utf8_lossy(tag);
            assert_eq!(head.as_ref().map(|head| &*head.name), name, "{shown}");
            assert_eq!(head.as_ref().and_then(|head| head.id.as_deref()), id, "{shown}");
        }
    }
}
