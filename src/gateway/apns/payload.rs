//! What a push says to an iPhone (Apple: "Generating a remote notification"; docs/design.md, classes).

use serde::Serialize;

use crate::domain::app::Style;
use crate::domain::class::Class;
use crate::domain::ids::DeviceHash;
use crate::domain::push::{Content, Push};
use crate::domain::secret::Private;
use crate::gateway::fit;

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
    /// Renders a push; `important_body` stands for a body that is not there, unless it is empty. An alert that would have
    /// neither sender nor body has the name of the app for a title.
    #[must_use]
    pub fn of(push: &Push, style: Style, important_body: &str) -> Self {
        match style {
            Style::Conversations => conversations(push),
            Style::Generic | Style::Monal | Style::Tigase => generic(push, important_body),
        }
    }

    /// Whether it goes to the token and the topic for calls.
    #[must_use]
    pub fn is_voip(&self) -> bool {
        self.kind == Kind::Voip
    }
}

/// As p2 sends it, byte for byte: the app asks its server for the rest.
fn conversations(push: &Push) -> Notification {
    let (kind, body) = if push.class.is_urgent() {
        (Kind::Alert, r#"{"aps":{"alert":{"title":"New message"},"sound":"default"}}"#)
    } else {
        (Kind::Background, r#"{"aps":{"content-available":1}}"#)
    };
    Notification { kind, body: body.into(), collapse_id: Some(collapse_id(push)) }
}

fn generic(push: &Push, important_body: &str) -> Notification {
    let kind = match push.class {
        Class::Call if push.voip_token.is_some() => Kind::Voip,
        Class::Call | Class::Important => Kind::Alert,
        Class::Unimportant | Class::Clear | Class::Ended => Kind::Background,
    };
    let most = if kind == Kind::Voip { MOST_VOIP } else { MOST };
    let content = Shown::of(&push.content);
    let speaks = kind != Kind::Background && content.speaks() || content.sealed.is_some();
    let collapse_id = (kind != Kind::Voip && !speaks).then(|| collapse_id(push));
    Notification { kind, body: fitting(push, kind, content, important_body, most), collapse_id }
}

/// What a push shows: first whole, then with less and less, until it fits.
#[derive(Clone)]
struct Shown<'a> {
    count: Option<u32>,
    sender: Option<&'a str>,
    body: Option<&'a str>,
    nickname: Option<&'a str>,
    sealed: Option<(&'a str, &'a str)>,
}

impl<'a> Shown<'a> {
    fn of(content: &'a Content) -> Self {
        Self {
            count: content.count,
            sender: content.sender.as_ref().map(Private::reveal),
            body: content.body.as_ref().map(Private::reveal),
            nickname: content.nickname.as_ref().map(Private::reveal),
            sealed: content.sealed.as_ref().map(|sealed| (&*sealed.iv, sealed.payload.reveal())),
        }
    }

    const fn speaks(&self) -> bool {
        self.sender.is_some() || self.body.is_some() || self.nickname.is_some() || self.sealed.is_some()
    }
}

fn fitting(push: &Push, kind: Kind, content: Shown<'_>, important_body: &str, most: usize) -> Vec<u8> {
    let account = push.account.hex();
    let channel = push.channel.as_ref().map(DeviceHash::hex);
    let render = |content: &Shown<'_>| {
        let payload = payload(push, kind, content, &account, channel.as_deref());
        // Writing strings and numbers to memory does not fail.
        serde_json::to_vec(&payload).unwrap_or_default()
    };
    let mut content = content;
    // A call that rings by itself needs no words; an alert needs some.
    let dummy = (kind == Kind::Alert && !important_body.is_empty()).then_some(important_body);
    content.body = if kind == Kind::Alert { content.body.or(dummy) } else { None };

    // Sealed content can not be shortened: all or nothing.
    let bare = Shown { body: None, ..content.clone() };
    let without_nickname = Shown { nickname: None, ..bare.clone() };
    let without_sender = Shown { sender: None, ..without_nickname.clone() };
    let without_seal = Shown { sealed: None, ..without_sender.clone() };
    for mut shown in [content.clone(), without_nickname, without_sender, without_seal] {
        shown.body = content.body;
        let whole = render(&shown);
        if whole.len() <= most {
            return whole;
        }
        let Some(body) = shown.body.take() else { continue };
        let cut = fit::escaped_len(body).checked_sub(whole.len() - most).and_then(|room| fit::shorten(body, room));
        if let Some(body) = cut {
            return render(&Shown { body: Some(&body), ..shown });
        }
    }
    render(&Shown { count: None, sender: None, body: None, nickname: None, sealed: None })
}

#[derive(Serialize)]
struct Payload<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    aps: Option<Aps<'a>>,
    class: &'static str,
    account: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unread: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nickname: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypted: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iv: Option<&'a str>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Aps<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<Alert<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sound: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mutable_content: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_available: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interruption_level: Option<&'static str>,
}

#[derive(Serialize)]
struct Alert<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
}

fn payload<'a>(
    push: &'a Push,
    kind: Kind,
    content: &Shown<'a>,
    account: &'a str,
    channel: Option<&'a str>,
) -> Payload<'a> {
    let class = push.class;
    // A phone does not show an alert without any words, and does not give it to the app's extension either.
    let nothing = content.sender.is_none() && content.body.is_none();
    let title = if nothing { Some(push.app.as_str()) } else { content.sender };
    let aps = match kind {
        Kind::Alert => Some(Aps {
            alert: Some(Alert { title, body: content.body }),
            sound: Some("default"),
            // Lets the app's extension open what is sealed, or put a name to the account.
            mutable_content: Some(1),
            interruption_level: (class == Class::Call).then_some("time-sensitive"),
            ..Aps::default()
        }),
        Kind::Background => Some(Aps { content_available: Some(1), ..Aps::default() }),
        Kind::Voip => None,
    };
    Payload {
        aps,
        class: class.name(),
        account,
        channel,
        count: content.count,
        unread: (class == Class::Clear).then_some(0),
        ended: (class == Class::Ended).then_some(true),
        // An alert shows its sender as the title; a phone that rings must be told who calls.
        sender: if kind == Kind::Voip { content.sender } else { None },
        nickname: content.nickname,
        encrypted: content.sealed.map(|(_, payload)| payload),
        iv: content.sealed.map(|(iv, _)| iv),
    }
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
mod tests {
    use super::*;
    use crate::domain::push::Sealed;
    use crate::domain::secret::DeviceToken;
    use crate::gateway::tests::push;

    const ACCOUNT: &str = "0c223e6b96c6112f5dd809bb1b6f7c5a78826ee3";
    const CHANNEL: &str = "1111111111111111111111111111111111111111";

    fn text(text: &str) -> Option<Private> {
        Some(Private::new(text))
    }

    fn of(push: &Push, style: Style, dummy: &str) -> (Kind, String, Option<String>) {
        let notification = Notification::of(push, style, dummy);
        (notification.kind, String::from_utf8(notification.body).unwrap(), notification.collapse_id)
    }

    #[test]
    fn generic_payloads() {
        let with = |class, content| Push { content, ..push(class) };
        let voip = |content| Push { voip_token: Some(DeviceToken::new("v")), ..with(Class::Call, content) };
        let spoken = || Content { count: Some(2), sender: text("a@b"), body: text("hi \"you\""), ..Content::default() };
        let sealed = Sealed { iv: "aXY=".into(), payload: Private::new("c2VhbGVk"), voip: false };
        let sealed = || Content { sealed: Some(sealed.clone()), ..Content::default() };
        let none = Content::default;
        let room = Push { channel: DeviceHash::from_hex(CHANNEL), ..push(Class::Important) };
        let rows = [
            (
                with(Class::Important, spoken()),
                Kind::Alert,
                r#"{"aps":{"alert":{"title":"a@b","body":"hi \"you\""},"sound":"default","mutable-content":1},"class":"important","account":"ACCOUNT","count":2}"#,
                None,
            ),
            (
                with(Class::Important, none()),
                Kind::Alert,
                r#"{"aps":{"alert":{"body":"New Message!"},"sound":"default","mutable-content":1},"class":"important","account":"ACCOUNT"}"#,
                Some("important-ACCOUNT"),
            ),
            (
                room,
                Kind::Alert,
                r#"{"aps":{"alert":{"body":"New Message!"},"sound":"default","mutable-content":1},"class":"important","account":"ACCOUNT","channel":"1111111111111111111111111111111111111111"}"#,
                Some("important-0c223e6b96c6112f5dd809bb-111111111111111111111111"),
            ),
            (
                with(Class::Important, sealed()),
                Kind::Alert,
                r#"{"aps":{"alert":{"body":"New Message!"},"sound":"default","mutable-content":1},"class":"important","account":"ACCOUNT","encrypted":"c2VhbGVk","iv":"aXY="}"#,
                None,
            ),
            (
                with(Class::Important, Content { nickname: text("Juliet"), ..none() }),
                Kind::Alert,
                r#"{"aps":{"alert":{"body":"New Message!"},"sound":"default","mutable-content":1},"class":"important","account":"ACCOUNT","nickname":"Juliet"}"#,
                None,
            ),
            (
                with(Class::Call, spoken()),
                Kind::Alert,
                r#"{"aps":{"alert":{"title":"a@b","body":"hi \"you\""},"sound":"default","mutable-content":1,"interruption-level":"time-sensitive"},"class":"call","account":"ACCOUNT","count":2}"#,
                None,
            ),
            (voip(spoken()), Kind::Voip, r#"{"class":"call","account":"ACCOUNT","count":2,"sender":"a@b"}"#, None),
            (
                voip(sealed()),
                Kind::Voip,
                r#"{"class":"call","account":"ACCOUNT","encrypted":"c2VhbGVk","iv":"aXY="}"#,
                None,
            ),
            (
                with(Class::Unimportant, none()),
                Kind::Background,
                r#"{"aps":{"content-available":1},"class":"unimportant","account":"ACCOUNT"}"#,
                Some("unimportant-ACCOUNT"),
            ),
            (
                with(Class::Clear, Content { count: Some(0), ..none() }),
                Kind::Background,
                r#"{"aps":{"content-available":1},"class":"clear","account":"ACCOUNT","count":0,"unread":0}"#,
                Some("clear-ACCOUNT"),
            ),
            (
                with(Class::Ended, sealed()),
                Kind::Background,
                r#"{"aps":{"content-available":1},"class":"ended","account":"ACCOUNT","ended":true,"encrypted":"c2VhbGVk","iv":"aXY="}"#,
                None,
            ),
        ];
        for (push, kind, body, collapse_id) in rows {
            let expected =
                (kind, body.replace("ACCOUNT", ACCOUNT), collapse_id.map(|id| id.replace("ACCOUNT", ACCOUNT)));
            assert_eq!(of(&push, Style::Generic, "New Message!"), expected);
        }
    }

    #[test]
    fn an_empty_dummy_text_leaves_the_body_out_and_an_alert_without_words_has_the_apps_name() {
        let said = |class, content| of(&Push { content, ..push(class) }, Style::Generic, "").1;
        let only = |sender, body| Content { sender, body, ..Content::default() };
        let rows = [
            (
                said(Class::Important, only(None, None)),
                r#"{"aps":{"alert":{"title":"chat"},"sound":"default","mutable-content":1}"#,
            ),
            (
                said(Class::Call, only(None, None)),
                r#"{"aps":{"alert":{"title":"chat"},"sound":"default","mutable-content":1,"#,
            ),
            (said(Class::Important, only(text("a@b"), None)), r#"{"aps":{"alert":{"title":"a@b"},"sound""#),
            (said(Class::Important, only(None, text("hi"))), r#"{"aps":{"alert":{"body":"hi"},"sound""#),
            (said(Class::Unimportant, only(None, None)), r#"{"aps":{"content-available":1}"#),
        ];
        for (payload, begin) in rows {
            assert!(payload.starts_with(begin), "{payload}");
        }
        // What does not fit is left out, and then there are no words either.
        let long = said(Class::Important, only(text(&"x".repeat(9000)), None));
        assert!(long.starts_with(r#"{"aps":{"alert":{"title":"chat"},"sound""#), "{long}");
    }

    #[test]
    fn conversations_never_says_who_or_what() {
        let content =
            Content { sender: text("SECRET"), body: text("SECRET"), nickname: text("SECRET"), ..Content::default() };
        for class in [Class::Call, Class::Important, Class::Unimportant, Class::Clear, Class::Ended] {
            let push = Push { content: content.clone(), voip_token: Some(DeviceToken::new("v")), ..push(class) };
            let (kind, body, collapse_id) = of(&push, Style::Conversations, "x");
            let expected = if class.is_urgent() {
                (Kind::Alert, r#"{"aps":{"alert":{"title":"New message"},"sound":"default"}}"#)
            } else {
                (Kind::Background, r#"{"aps":{"content-available":1}}"#)
            };
            assert_eq!((kind, body.as_str()), expected);
            assert_eq!(collapse_id, Some(format!("{}-{ACCOUNT}", class.name())));
        }
    }

    #[test]
    fn no_payload_is_larger_than_apple_takes() {
        let long = "\u{1}é😀\"x".repeat(2000);
        let seal = |len| Some(Sealed { iv: "iv".into(), payload: Private::new("A".repeat(len)), voip: false });
        let body = || Content { body: text(&long), ..Content::default() };
        let rows = [
            ("a long body", body(), "…\"}"),
            (
                "a long sender",
                Content { sender: text(&long), body: text("hi"), ..Content::default() },
                "{\"body\":\"hi\"}",
            ),
            (
                "a long nickname",
                Content { nickname: text(&long), body: text("hi"), ..Content::default() },
                "{\"body\":\"hi\"}",
            ),
            ("a long seal", Content { sealed: seal(5000), ..Content::default() }, "{\"body\":\"New Message!\"}"),
            ("a seal beside a body", Content { sealed: seal(3000), ..body() }, "AAAA"),
            ("all of it", Content { sender: text(&long), nickname: text(&long), sealed: seal(9000), ..body() }, "…\"}"),
        ];
        for (what, content, part) in rows {
            let push = Push { channel: DeviceHash::from_hex(CHANNEL), content, ..push(Class::Important) };
            let (_, payload, _) = of(&push, Style::Generic, "New Message!");
            assert!(payload.len() <= MOST, "{what}: {}", payload.len());
            assert!(payload.contains(part), "{what}: {payload}");
            assert!(serde_json::from_str::<serde_json::Value>(&payload).is_ok(), "{what}");
        }
        let exact = Push { content: body(), ..push(Class::Important) };
        let (_, payload, _) = of(&exact, Style::Generic, "");
        assert!(payload.len() > MOST - 10, "as much as fits: {}", payload.len());
    }

    #[test]
    fn a_call_may_be_larger() {
        let seal = Sealed { iv: "iv".into(), payload: Private::new("A".repeat(4900)), voip: true };
        let content = Content { sealed: Some(seal), ..Content::default() };
        let call = Push { voip_token: Some(DeviceToken::new("v")), content, ..push(Class::Call) };
        let (kind, payload, _) = of(&call, Style::Generic, "x");
        assert_eq!(kind, Kind::Voip);
        assert!((MOST + 1..=MOST_VOIP).contains(&payload.len()), "{}", payload.len());
    }

    #[test]
    fn a_collapse_id_is_at_most_64_bytes() {
        for class in [Class::Call, Class::Important, Class::Unimportant, Class::Clear, Class::Ended] {
            for channel in [None, DeviceHash::from_hex(CHANNEL)] {
                let id = collapse_id(&Push { channel, ..push(class) });
                assert!(id.len() <= 64, "{id}");
            }
        }
    }
}
