//! What an operator changes about an app's payloads: fixed words, sound, category, and keys of the app's own.

use super::app::Provider;

/// The most that a look may hold, in bytes of keys and values: a quarter of what vendors carry.
pub const MOST: usize = 1024;

/// Every key that a payload of ours has at its top, in any style.
pub const OURS: [&str; 13] = [
    "account",
    "aps",
    "body",
    "channel",
    "class",
    "count",
    "encrypted",
    "ended",
    "iv",
    "nickname",
    "sender",
    "unread",
    "unread-messages",
];

/// `title`, `body`, `sound`, `category` and `extra` of an `[apps.NAME]`. What is `None` is as the app's style has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The title of an alert; where the style shows a sender there, of those without one.
    pub title: Option<Box<str>>,
    /// The text of an alert; where the style shows the message there, of those without one.
    pub body: Option<Box<str>>,
    /// The sound of an alert; empty for none.
    pub sound: Option<Box<str>>,
    /// The category of an alert: which buttons the app puts below it.
    pub category: Option<Box<str>>,
    /// More keys, at the top of the payload.
    pub extra: Vec<(Box<str>, Extra)>,
}

/// A value of `extra`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extra {
    /// A text.
    Text(Box<str>),
    /// A whole number.
    Number(i64),
    /// True or false.
    Flag(bool),
}

impl Look {
    /// The look of an app whose operator says nothing of it.
    pub const PLAIN: Self = Self { title: None, body: None, sound: None, category: None, extra: Vec::new() };

    /// What it adds to a payload, in bytes of keys and values.
    #[must_use]
    pub fn size(&self) -> usize {
        let texts = [&self.title, &self.body, &self.sound, &self.category];
        let texts: usize = texts.into_iter().flatten().map(|text| text.len()).sum();
        texts + self.extra.iter().map(|(key, value)| key.len() + value.text().len()).sum::<usize>()
    }
}

impl Extra {
    /// The value as a text, for vendors that carry nothing else.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
        }
    }
}

/// Whether `extra` may not have this key: one of our own, or one that FCM keeps for itself (Firebase: REST reference,
/// `Message.data`).
#[must_use]
pub fn is_reserved(provider: Provider, key: &str) -> bool {
    let of_fcm = || ["from", "message_type"].contains(&key) || key.starts_with("google") || key.starts_with("gcm");
    OURS.contains(&key) || provider == Provider::Fcm && of_fcm()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_an_operator_may_not_use() {
        let rows = [
            (Provider::Apns, "aps", true),
            (Provider::Apns, "unread-messages", true),
            (Provider::Apns, "firstGoodBuildNumber", false),
            (Provider::Apns, "from", false),
            (Provider::Fcm, "from", true),
            (Provider::Fcm, "message_type", true),
            (Provider::Fcm, "google.sent_time", true),
            (Provider::Fcm, "gcm.notification.title", true),
            (Provider::Fcm, "account", true),
            (Provider::Fcm, "theme", false),
        ];
        for (provider, key, reserved) in rows {
            assert_eq!(is_reserved(provider, key), reserved, "{} {key}", provider.name());
        }
    }

    #[test]
    fn the_size_of_a_look_is_that_of_its_keys_and_values() {
        assert_eq!(Look::PLAIN.size(), 0);
        let look = Look {
            title: Some("ab".into()),
            body: Some("é".into()),
            sound: Some("".into()),
            category: Some("c".into()),
            extra: vec![
                ("k".into(), Extra::Number(-10)),
                ("l".into(), Extra::Flag(true)),
                ("m".into(), Extra::Text("xy".into())),
            ],
        };
        assert_eq!(look.size(), 2 + 2 + 1 + (1 + 3) + (1 + 4) + (1 + 2));
    }
}
