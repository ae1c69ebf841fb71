//! What holds for the payloads of every style, whatever strangers write and operators want.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;

use super::apns::payload::{Kind, MOST, MOST_VOIP, Notification};
use super::tests::push;
use super::{fcm, fit};
use crate::domain::app::Style;
use crate::domain::class::Class;
use crate::domain::ids::{Account, AppName, DeviceHash};
use crate::domain::look::{Extra, Look, OURS};
use crate::domain::push::{Content, Push, Sealed};
use crate::domain::secret::{DeviceToken, Private};

const STYLES: [Style; 4] = [Style::Generic, Style::Conversations, Style::Monal, Style::Tigase];
const CLASSES: [Class; 5] = [Class::Call, Class::Important, Class::Unimportant, Class::Clear, Class::Ended];

/// A short text, or one character again and again, up to 10 kB: of one byte or four, or such that JSON must escape.
fn text() -> impl Strategy<Value = String> {
    let long =
        (prop::sample::select(vec!["a", "\"", "\\", "\u{1}", "\n", "é", "😀", "\u{7f}", "\u{202e}"]), 0..10_240_usize)
            .prop_map(|(unit, bytes)| unit.repeat(1 + bytes / unit.len()));
    prop_oneof![".{1,40}", long]
}

fn private() -> impl Strategy<Value = Option<Private>> {
    prop::option::of(text().prop_map(Private::new))
}

fn content() -> impl Strategy<Value = Content> {
    let sealed = (0..8192_usize, any::<bool>()).prop_map(|(bytes, voip)| Sealed {
        iv: "MTIzNDU2Nzg5MDEy".into(),
        payload: Private::new("A".repeat(bytes)),
        voip,
    });
    (prop::option::of(any::<u32>()), private(), private(), private(), prop::option::of(sealed))
        .prop_map(|(count, sender, body, nickname, sealed)| Content { count, sender, body, nickname, sealed })
}

/// Also larger than the configuration lets it be.
fn look() -> impl Strategy<Value = Look> {
    let boxed = || prop::option::of(text().prop_map(String::into_boxed_str));
    let value = prop_oneof![
        text().prop_map(|text| Extra::Text(text.into())),
        any::<i64>().prop_map(Extra::Number),
        any::<bool>().prop_map(Extra::Flag),
    ];
    let extra = prop::collection::btree_map("x-[a-z]{1,8}", value, 0..4)
        .prop_map(|extra| extra.into_iter().map(|(key, value)| (key.into(), value)).collect());
    let look = (boxed(), boxed(), boxed(), boxed(), extra).prop_map(|(title, body, sound, category, extra)| Look {
        title,
        body,
        sound,
        category,
        extra,
    });
    prop_oneof![Just(Look::PLAIN), look]
}

fn any_push() -> impl Strategy<Value = Push> {
    let owner = prop_oneof![Just("romeo@example.org".to_owned()), text()];
    (prop::sample::select(CLASSES.to_vec()), content(), owner, any::<bool>(), any::<bool>(), text()).prop_map(
        |(class, content, owner, voip, room, app)| Push {
            app: AppName::new(app),
            owner: Account::new(owner),
            voip_token: voip.then(|| DeviceToken::new("voip-1")),
            channel: room.then(|| DeviceHash::of("room@example.org", "1")),
            content: Arc::new(content),
            ..push(class)
        },
    )
}

/// The address of an account as long as RFC 7622 allows always has its room.
fn keeps_account(push: &Push, found: &Value) -> bool {
    match found.get("account") {
        Some(account) => account == push.owner.as_str(),
        None => fit::escaped_len(push.owner.as_str()) > 3072,
    }
}

fn is_beginning(found: &Value, whole: &str) -> bool {
    let found = found.as_str().unwrap_or_default();
    found == whole || found.strip_suffix('…').is_some_and(|kept| whole.starts_with(kept))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn apple_gets_what_it_takes_of_the_right_kind_for_the_right_account(
        push in any_push(),
        look in look(),
        style in prop::sample::select(STYLES.to_vec()),
        important_body in prop_oneof![Just(String::new()), text()],
    ) {
        let notification = Notification::of(&push, style, &look, &important_body);
        let most = if notification.is_voip() { MOST_VOIP } else { MOST };
        prop_assert!(notification.body.len() <= most, "{} of {most}", notification.body.len());
        let json: Value = serde_json::from_slice(&notification.body).unwrap();

        let rings = push.class == Class::Call && push.voip_token.is_some();
        let seal_fits = push.content.sealed.as_ref().is_none_or(|sealed| sealed.payload.reveal().len() < 1900);
        match style {
            Style::Monal => prop_assert_eq!(notification.kind, Kind::Alert),
            Style::Generic if rings => prop_assert_eq!(notification.kind, Kind::Voip),
            Style::Tigase if rings && seal_fits && fit::escaped_len(push.owner.as_str()) <= 3072 => {
                prop_assert_eq!(notification.kind, Kind::Voip);
            }
            Style::Tigase if rings => prop_assert!(notification.kind != Kind::Background),
            _ if push.class.is_urgent() => prop_assert_eq!(notification.kind, Kind::Alert),
            _ => prop_assert_eq!(notification.kind, Kind::Background),
        }
        match notification.kind {
            Kind::Alert => {
                let alert = json["aps"]["alert"].as_object().unwrap();
                let said = ["title", "body"].iter().any(|key| alert.get(*key).is_some_and(|text| text != ""));
                prop_assert!(said, "an alert without words");
            }
            Kind::Background => prop_assert_eq!(&json["aps"], &serde_json::json!({"content-available": 1})),
            Kind::Voip => prop_assert!(json.get("aps").is_none()),
        }
        match style {
            Style::Generic => {
                prop_assert_eq!(&json["class"], push.class.name());
                prop_assert_eq!(&json["account"], &push.account.hex());
                if let (Kind::Alert, Some(body), None) = (notification.kind, &push.content.body, &look.body) {
                    prop_assert!(is_beginning(&json["aps"]["alert"]["body"], body.reveal()));
                }
            }
            Style::Tigase => {
                prop_assert!(keeps_account(&push, &json));
                let reads_as_clear = json.get("unread-messages") == Some(&Value::from(0));
                prop_assert_eq!(reads_as_clear, push.class == Class::Clear && json.get("account").is_some());
                prop_assert!(json.get("body").is_none() || notification.kind == Kind::Alert);
            }
            Style::Conversations | Style::Monal => {
                let ours = json.as_object().unwrap().keys().filter(|key| !key.starts_with("x-"));
                prop_assert_eq!(ours.collect::<Vec<_>>(), ["aps"]);
            }
        }
    }

    #[test]
    fn google_gets_what_it_takes_for_the_right_account(
        push in any_push(),
        look in look(),
        style in prop::sample::select(STYLES.to_vec()),
    ) {
        let json: Value = serde_json::from_slice(&fcm::payload::message(&push, style, &look)).unwrap();
        let data = json["message"]["data"].as_object().unwrap();
        let size: usize = data.iter().map(|(key, value)| key.len() + value.as_str().unwrap().len()).sum();
        prop_assert!(size <= fcm::payload::MOST, "{size}");
        prop_assert_eq!(&json["message"]["token"], &*push.token.reveal());
        let priority = if push.class.is_urgent() { "HIGH" } else { "NORMAL" };
        prop_assert_eq!(&json["message"]["android"]["priority"], priority);
        let data = &json["message"]["data"];
        match style {
            Style::Generic => {
                prop_assert_eq!(&data["class"], push.class.name());
                prop_assert_eq!(&data["account"], &push.account.hex());
            }
            Style::Conversations => prop_assert_eq!(&data["account"], &push.account.hex()),
            Style::Monal => prop_assert!(data.as_object().unwrap().keys().all(|key| key.starts_with("x-"))),
            Style::Tigase => prop_assert!(keeps_account(&push, data)),
        }
    }
}

#[test]
fn every_key_that_we_write_is_one_that_operators_may_not_use() {
    let text = || Some(Private::new("x"));
    let sealed = Some(Sealed { iv: "iv".into(), payload: Private::new("x"), voip: false });
    let mut found = std::collections::BTreeSet::new();
    for style in STYLES {
        for class in CLASSES {
            for (voip, sealed) in [(false, None), (true, None), (false, sealed.clone())] {
                let content = Content { count: Some(1), sender: text(), body: text(), nickname: text(), sealed };
                let push = Push {
                    content: Arc::new(content),
                    channel: Some(DeviceHash::of("room@example.org", "1")),
                    voip_token: voip.then(|| DeviceToken::new("v")),
                    ..push(class)
                };
                let apns = Notification::of(&push, style, &Look::PLAIN, "x").body;
                let apns: Value = serde_json::from_slice(&apns).unwrap();
                let fcm: Value = serde_json::from_slice(&fcm::payload::message(&push, style, &Look::PLAIN)).unwrap();
                for keys in [apns.as_object(), fcm["message"]["data"].as_object()] {
                    found.extend(keys.unwrap().keys().cloned());
                }
            }
        }
    }
    let found: Vec<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(found, OURS);
}
