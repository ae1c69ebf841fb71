//! What a push says to a page's service worker, before it is sealed: one JSON object; and the headers that tell the
//! browser's push service how to treat it (RFC 8030 §5; docs/design.md, classes).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha1::{Digest as _, Sha1};

use super::seal::MOST;
use crate::domain::class::Class;
use crate::domain::ids::DeviceHash;
use crate::domain::push::{Push, VENDOR_TTL};
use crate::gateway::shown::{PLAIN, Shown};

/// One push as a page gets it.
#[derive(PartialEq, Eq)]
pub(super) struct Notification {
    /// The JSON; holds people's words, so it never prints.
    pub(super) json: Vec<u8>,
    /// How long the push service keeps it, in seconds (RFC 8030 §5.2).
    pub(super) ttl: u64,
    /// How much of the phone's battery it is worth (RFC 8030 §5.3).
    pub(super) urgency: &'static str,
    /// Messages with the same one replace each other while the browser is away (RFC 8030 §5.4). Only for those that say
    /// nothing. The push service sees it, so it tells nothing of the account.
    pub(super) topic: Option<String>,
}

impl Notification {
    /// Renders a push; `None` if pages do not get it: browsers want every push to be shown, so what is silent goes to
    /// those apps only that ask for it.
    pub(super) fn of(push: &Push, silent: bool) -> Option<Self> {
        let urgency = match push.class {
            Class::Call | Class::Important => "high",
            Class::Ended if silent => "low",
            Class::Unimportant | Class::Clear if silent => "very-low",
            Class::Ended | Class::Unimportant | Class::Clear => return None,
        };
        let shown = Shown::all(&push.content, &PLAIN);
        let topic = (!shown.speaks()).then(|| topic(push));
        Some(Self { json: json(push, shown), ttl: push.ttl.min(VENDOR_TTL).as_secs(), urgency, topic })
    }
}

/// 27 base64url characters, of the 32 that are allowed. What says that there is nothing replaces what said that there
/// might be something.
fn topic(push: &Push) -> String {
    let about = match push.class {
        Class::Clear | Class::Unimportant => "quiet",
        class => class.name(),
    };
    let digest = Sha1::new().chain_update(push.node.as_str()).chain_update([0]).chain_update(about).finalize();
    URL_SAFE_NO_PAD.encode(digest)
}

/// All that redaction let through, with less and less until it fits.
fn json(push: &Push, shown: Shown<'_>) -> Vec<u8> {
    let account = push.account.hex();
    let channel = push.channel.as_ref().map(DeviceHash::hex);
    shown.fitting(MOST, |shown| {
        let data = Data {
            class: push.class.name(),
            account: &account,
            channel: channel.as_deref(),
            count: shown.count,
            sender: shown.sender,
            nickname: shown.nickname,
            body: shown.body.as_deref(),
            encrypted: shown.sealed.map(|sealed| sealed.payload.reveal()),
            iv: shown.sealed.map(|sealed| &*sealed.iv),
        };
        // Writing strings and numbers to memory does not fail.
        serde_json::to_vec(&data).unwrap_or_default()
    })
}

#[derive(Serialize)]
struct Data<'a> {
    class: &'static str,
    account: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nickname: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypted: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iv: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::push::{CALL_TTL, Content, Sealed};
    use crate::domain::secret::Private;
    use crate::gateway::tests::push;

    const ACCOUNT: &str = "0c223e6b96c6112f5dd809bb1b6f7c5a78826ee3";
    const CHANNEL: &str = "1234567890123456789012345678901234567890";

    fn text(text: &str) -> Option<Private> {
        Some(Private::new(text))
    }

    fn sealed(payload: &str) -> Option<Sealed> {
        Some(Sealed { iv: "aXY=".into(), payload: Private::new(payload), voip: false })
    }

    fn of(push: &Push) -> String {
        String::from_utf8(Notification::of(push, true).unwrap().json).unwrap()
    }

    #[test]
    fn each_class_has_its_urgency_and_silent_ones_go_only_where_they_are_wanted() {
        let rows = [
            (Class::Call, Some("high"), Some("high")),
            (Class::Important, Some("high"), Some("high")),
            (Class::Ended, None, Some("low")),
            (Class::Unimportant, None, Some("very-low")),
            (Class::Clear, None, Some("very-low")),
        ];
        for (class, loud, silent) in rows {
            let urgency = |silent| Notification::of(&push(class), silent).map(|notification| notification.urgency);
            assert_eq!((urgency(false), urgency(true)), (loud, silent), "{class:?}");
        }
    }

    #[test]
    fn a_call_lives_45_seconds_and_everything_else_four_weeks() {
        let ttl = |push: &Push| Notification::of(push, true).map(|notification| notification.ttl);
        assert_eq!(ttl(&Push { ttl: CALL_TTL, ..push(Class::Call) }), Some(45));
        assert_eq!(ttl(&push(Class::Important)), Some(2_419_200));
        assert_eq!(ttl(&Push { ttl: VENDOR_TTL * 2, ..push(Class::Clear) }), Some(2_419_200));
    }

    #[test]
    fn only_what_says_nothing_has_a_topic() {
        let topic = |push: &Push| Notification::of(push, true).unwrap().topic;
        let with = |content| Push { content: Arc::new(content), ..push(Class::Important) };
        let important = topic(&push(Class::Important)).unwrap();
        assert_eq!(important, "BbhNAEcIJ5tOqUFczxmSnErimys");
        assert!(important.len() <= 32 && URL_SAFE_NO_PAD.decode(&important).is_ok());
        assert_eq!(topic(&with(Content { count: Some(3), ..Content::default() })), Some(important.clone()));
        assert_eq!(topic(&push(Class::Clear)), topic(&push(Class::Unimportant)));
        let mut others: Vec<_> = [Class::Call, Class::Ended, Class::Clear].map(|class| topic(&push(class))).into();
        others.push(topic(&Push { node: crate::domain::ids::Node::new("node-2"), ..push(Class::Important) }));
        assert!(others.iter().all(|other| other.as_deref() != Some(&*important)), "{others:?}");
        for content in [
            Content { body: text("hi"), ..Content::default() },
            Content { sender: text("a@b"), ..Content::default() },
            Content { nickname: text("Ju"), ..Content::default() },
            Content { sealed: sealed("c2Vh"), ..Content::default() },
        ] {
            assert_eq!(topic(&with(content)), None);
        }
    }

    #[test]
    fn what_a_page_is_told() {
        let spoken =
            Content { count: Some(2), sender: text("a@b"), body: text("hi"), nickname: text("Ju"), sealed: None };
        let rows = [
            (push(Class::Important), r#"{"class":"important","account":"ACCOUNT"}"#),
            (
                Push { content: Arc::new(spoken), ..push(Class::Important) },
                r#"{"class":"important","account":"ACCOUNT","count":2,"sender":"a@b","nickname":"Ju","body":"hi"}"#,
            ),
            (
                Push {
                    content: Arc::new(Content { sealed: sealed("c2VhbGVk"), ..Content::default() }),
                    ..push(Class::Important)
                },
                r#"{"class":"important","account":"ACCOUNT","encrypted":"c2VhbGVk","iv":"aXY="}"#,
            ),
            (
                Push { channel: DeviceHash::from_hex(CHANNEL), ..push(Class::Important) },
                r#"{"class":"important","account":"ACCOUNT","channel":"CHANNEL"}"#,
            ),
            (push(Class::Call), r#"{"class":"call","account":"ACCOUNT"}"#),
            (push(Class::Ended), r#"{"class":"ended","account":"ACCOUNT"}"#),
            (push(Class::Unimportant), r#"{"class":"unimportant","account":"ACCOUNT"}"#),
            (
                Push { content: Arc::new(Content { count: Some(0), ..Content::default() }), ..push(Class::Clear) },
                r#"{"class":"clear","account":"ACCOUNT","count":0}"#,
            ),
        ];
        for (push, expected) in rows {
            let expected = expected.replace("ACCOUNT", ACCOUNT).replace("CHANNEL", CHANNEL);
            assert_eq!(of(&push), expected);
        }
    }

    #[test]
    fn what_does_not_fit_loses_its_least_important_parts() {
        let long = "\u{1}é😀\"x".repeat(2000);
        let big_seal = "A".repeat(9000);
        let all = || Content {
            count: Some(1),
            sender: text("a@b"),
            body: text("hi"),
            nickname: text("Ju"),
            sealed: sealed("c2Vh"),
        };
        let rows: [(&str, Content, &[&str], &[&str]); 6] = [
            ("all of it fits", all(), &["sender", "nickname", "body", "encrypted", "iv", "count"], &[]),
            ("a long body is cut", Content { body: text(&long), ..all() }, &["sender", "nickname", "body", "iv"], &[]),
            ("a long nickname goes", Content { nickname: text(&long), ..all() }, &["sender", "body"], &["nickname"]),
            ("a long sender goes", Content { sender: text(&long), ..all() }, &["body", "iv"], &["nickname", "sender"]),
            ("a long seal goes", Content { sealed: sealed(&big_seal), ..all() }, &["body"], &["encrypted", "iv"]),
            (
                "all are long",
                Content {
                    sender: text(&long),
                    nickname: text(&long),
                    body: text(&long),
                    sealed: sealed(&big_seal),
                    count: None,
                },
                &["body"],
                &["sender", "nickname", "encrypted", "iv"],
            ),
        ];
        for (what, content, there, gone) in rows {
            let json = of(&Push {
                content: Arc::new(content),
                channel: DeviceHash::from_hex(CHANNEL),
                ..push(Class::Important)
            });
            assert!(json.len() <= MOST, "{what}: {}", json.len());
            let value: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!((&value["account"], &value["channel"]), (&ACCOUNT.into(), &CHANNEL.into()), "{what}");
            assert!(there.iter().all(|key| value.get(key).is_some()), "{what}: {json}");
            assert!(gone.iter().all(|key| value.get(key).is_none()), "{what}: {json}");
        }
        let whole = of(&Push {
            content: Arc::new(Content { body: text(&long), ..Content::default() }),
            ..push(Class::Important)
        });
        assert!(whole.len() > MOST - 10, "as much as fits: {}", whole.len());
    }
}
