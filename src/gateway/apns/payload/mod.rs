//! What a push says to an iPhone (Apple: "Generating a remote notification"; docs/design.md, classes).
//!
//! A style is a file; here is what they share.

mod conversations;
mod generic;
mod monal;
mod tigase;

use serde::Serialize;

use crate::domain::app::Style;
use crate::domain::class::Class;
use crate::domain::look::Look;
use crate::domain::push::Push;

/// The largest payload of an alert or a background push, in bytes.
pub const MOST: usize = 4096;

/// The largest payload of a VoIP push, in bytes.
pub const MOST_VOIP: usize = 5120;

/// How Apple is to treat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Shown.
    Alert,
    /// Wakes the app for a moment, when the phone sees fit.
    Background,
    /// Rings.
    Voip,
}

impl Kind {
    /// The `apns-push-type`.
    #[must_use]
    pub const fn push_type(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Background => "background",
            Self::Voip => "voip",
        }
    }

    /// The `apns-priority`; Apple refuses 10 for a background push.
    #[must_use]
    pub const fn priority(self) -> &'static str {
        match self {
            Self::Alert | Self::Voip => "10",
            Self::Background => "5",
        }
    }

    /// The largest payload, in bytes.
    const fn most(self) -> usize {
        match self {
            Self::Alert | Self::Background => MOST,
            Self::Voip => MOST_VOIP,
        }
    }
}

/// One push as Apple gets it.
#[derive(PartialEq, Eq)]
pub struct Notification {
    /// How it is treated.
    pub kind: Kind,
    /// The JSON; holds people's words, so it never prints.
    pub body: Vec<u8>,
    /// Pushes with the same one replace each other while the phone is away. Only for those that say nothing.
    pub collapse_id: Option<String>,
}

impl Notification {
    /// Renders a push. In style `generic`, `important_body` stands for a body that is not there, unless it is empty, and
    /// an alert that would have neither title nor body has the name of the app for a title.
    #[must_use]
    pub fn of(push: &Push, style: Style, look: &Look, important_body: &str) -> Self {
        match style {
            Style::Conversations => conversations::notification(push, look),
            Style::Generic => generic::notification(push, look, important_body),
            Style::Monal => monal::notification(push, look),
            Style::Tigase => tigase::notification(push, look),
        }
    }

    /// Whether it goes to the token and the topic for calls.
    #[must_use]
    pub fn is_voip(&self) -> bool {
        self.kind == Kind::Voip
    }
}

#[derive(Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Aps<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<Alert<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sound: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mutable_content: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_available: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interruption_level: Option<&'static str>,
}

impl<'a> Aps<'a> {
    /// Of an alert that the app's extension may alter: to open what is sealed, or to put a name to the account.
    fn alert(look: &'a Look) -> Self {
        Self { sound: Self::sound(look), mutable_content: Some(1), ..Self::default() }
    }

    /// Of a push that only wakes the app.
    fn background() -> Self {
        Self { content_available: Some(1), ..Self::default() }
    }

    fn sound(look: &'a Look) -> Option<&'a str> {
        Some(look.sound.as_deref().unwrap_or("default")).filter(|sound| !sound.is_empty())
    }

    /// A call breaks through a focus.
    fn interruption_level(class: Class) -> Option<&'static str> {
        (class == Class::Call).then_some("time-sensitive")
    }
}

#[derive(Serialize)]
struct Alert<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
}

/// Writing texts and numbers to memory does not fail.
fn json(payload: &impl Serialize) -> Vec<u8> {
    // Longer than most, so that it does not have to grow.
    let mut out = Vec::with_capacity(512);
    let _infallible = serde_json::to_writer(&mut out, payload);
    out
}

/// The same for pushes that say the same, at most 64 bytes. Of two hashes, 96 bits each tell them apart as well.
fn collapse_id(push: &Push) -> String {
    let account = push.account.hex();
    let class = push.class.name();
    match &push.channel {
        None => format!("{class}-{account}"),
        Some(channel) => {
            let (account, channel) = (account.get(..24).unwrap_or_default(), channel.hex());
            format!("{class}-{account}-{}", channel.get(..24).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests;
