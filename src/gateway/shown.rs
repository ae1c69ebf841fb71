//! What a push shows, and how it becomes less until it fits.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

use super::fit;
use crate::domain::class::Class;
use crate::domain::look::{Extra, Look};
use crate::domain::push::{Content, Push, Sealed};
use crate::domain::secret::Private;

/// A look without words of the operator, also in the place of one that had to go.
pub(super) static PLAIN: Look = Look::PLAIN;

/// What a payload is made of, beside what never gets lost.
#[derive(Clone)]
pub(super) struct Shown<'a> {
    /// The account's address, for apps that want it; empty for others.
    pub(super) account: &'a str,
    /// How many messages wait.
    pub(super) count: Option<u32>,
    /// Who wrote.
    pub(super) sender: Option<&'a str>,
    /// What they wrote.
    pub(super) body: Option<Cow<'a, str>>,
    /// Their nickname in a room.
    pub(super) nickname: Option<&'a str>,
    /// What only the app can open.
    pub(super) sealed: Option<&'a Sealed>,
    /// The operator's words.
    pub(super) look: &'a Look,
    /// The operator's keys.
    pub(super) extra: &'a [(Box<str>, Extra)],
}

impl<'a> Shown<'a> {
    /// Nothing but what the operator says.
    pub(super) fn nothing(look: &'a Look) -> Self {
        Self {
            account: "",
            count: None,
            sender: None,
            body: None,
            nickname: None,
            sealed: None,
            look,
            extra: &look.extra,
        }
    }

    /// All that a push says.
    pub(super) fn all(content: &'a Content, look: &'a Look) -> Self {
        Self {
            count: content.count,
            sender: content.sender.as_ref().map(Private::reveal),
            body: content.body.as_ref().map(|body| body.reveal().into()),
            nickname: content.nickname.as_ref().map(Private::reveal),
            sealed: content.sealed.as_ref(),
            ..Self::nothing(look)
        }
    }

    /// What the Tigase family is told. These apps tell pushes apart by their keys: a body becomes a notification even
    /// in a silent push, and no unread messages with nothing else beside them means that all were read elsewhere.
    pub(super) fn tigase(push: &'a Push, look: &'a Look) -> Self {
        let nothing = Self { account: push.owner.as_str(), ..Self::nothing(look) };
        let all = Self { account: push.owner.as_str(), ..Self::all(&push.content, look) };
        let count = push.content.count.filter(|count| *count > 0);
        match push.class {
            Class::Clear => Self { count: Some(0), ..nothing },
            Class::Ended => Self { sealed: all.sealed, ..nothing },
            Class::Unimportant => Self { count, sealed: all.sealed, ..nothing },
            // What is sealed stands for all the rest.
            Class::Call | Class::Important if all.sealed.is_some() => Self { count, sealed: all.sealed, ..nothing },
            Class::Call | Class::Important => Self { count, ..all },
        }
    }

    /// Whether it says something that another push does not.
    pub(super) const fn speaks(&self) -> bool {
        self.sender.is_some() || self.body.is_some() || self.nickname.is_some() || self.sealed.is_some()
    }

    /// Renders with less and less until it is at most `most` bytes. In each step, the text is what gives way first: it
    /// can be cut, while half a name or half a seal is of no use.
    pub(super) fn fitting(self, most: usize, render: impl Fn(&Self) -> Vec<u8>) -> Vec<u8> {
        let steps: [fn(&mut Self); 7] = [
            |_whole| {},
            |shown| shown.nickname = None,
            |shown| shown.sender = None,
            |shown| shown.extra = &[],
            |shown| shown.look = &PLAIN,
            |shown| shown.sealed = None,
            // A name as long as RFC 7622 lets it be, and all of it escaped.
            |shown| (shown.account, shown.count) = ("", None),
        ];
        let text = self.body.clone();
        let mut shown = self;
        for lose in steps {
            lose(&mut shown);
            shown.body.clone_from(&text);
            let whole = render(&shown);
            if whole.len() <= most {
                return whole;
            }
            let Some(body) = shown.body.take() else { continue };
            let room = fit::escaped_len(&body).checked_sub(whole.len() - most);
            if let Some(cut) = room.and_then(|room| fit::shorten(&body, room)) {
                shown.body = Some(cut.into());
                return render(&shown);
            }
        }
        render(&shown)
    }
}

/// The operator's keys, as JSON has them.
pub(super) struct Typed<'a>(pub(super) &'a [(Box<str>, Extra)]);

impl Serialize for Typed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, TypedValue(value))))
    }
}

struct TypedValue<'a>(&'a Extra);

impl Serialize for TypedValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Extra::Text(text) => serializer.serialize_str(text),
            Extra::Number(number) => serializer.serialize_i64(*number),
            Extra::Flag(flag) => serializer.serialize_bool(*flag),
        }
    }
}

/// The operator's keys, all values as texts.
#[derive(Default)]
pub(super) struct Texts<'a>(pub(super) &'a [(Box<str>, Extra)]);

impl Serialize for Texts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value.text())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of everything when it must be at most this long, as the initials of the parts that are there.
    fn left(most: usize) -> String {
        let look =
            Look { title: Some("t".repeat(100).into()), extra: vec![("e".into(), Extra::Flag(true))], ..Look::PLAIN };
        let sealed = Sealed { iv: "i".into(), payload: Private::new("s"), voip: false };
        let content = Content {
            count: Some(1),
            sender: Some(Private::new("s")),
            body: Some(Private::new("b".repeat(100))),
            nickname: Some(Private::new("n")),
            sealed: Some(sealed),
        };
        let shown = Shown { account: "a", ..Shown::all(&content, &look) };
        let render = |shown: &Shown<'_>| {
            let parts = [
                (!shown.account.is_empty(), "account"),
                (shown.count.is_some(), "count"),
                (shown.nickname.is_some(), "nickname"),
                (shown.sender.is_some(), "sender"),
                (shown.sealed.is_some(), "sealed"),
                (!shown.extra.is_empty(), "extra"),
                (shown.look.title.is_some(), "look"),
            ];
            // A hundred bytes for each part, and the body as it is.
            let parts = parts.iter().filter(|(there, _)| *there).map(|(_, name)| format!("{name:100}"));
            (parts.collect::<String>() + shown.body.as_deref().unwrap_or_default()).into_bytes()
        };
        let rendered = String::from_utf8(shown.fitting(most, render)).unwrap();
        rendered.split_whitespace().collect::<Vec<_>>().join(" ").replace(&"b".repeat(100), "body")
    }

    #[test]
    fn what_matters_least_goes_first() {
        let rows = [
            (800, "account count nickname sender sealed extra look body"),
            (704, "account count nickname sender sealed extra look b…"),
            (703, "account count sender sealed extra look body"),
            (603, "account count sealed extra look body"),
            (503, "account count sealed look body"),
            (403, "account count sealed body"),
            (303, "account count body"),
            (204, "account count b…"),
            (203, "body"),
            (4, "b…"),
            (3, ""),
        ];
        for (most, expected) in rows {
            assert_eq!(left(most), expected, "{most}");
        }
    }
}
