use std::sync::Arc;

use super::*;
use crate::domain::ids::DeviceHash;
use crate::domain::look::Extra;
use crate::domain::push::{Content, Sealed};
use crate::domain::secret::{DeviceToken, Private};
use crate::gateway::tests::push;

const ACCOUNT: &str = "0c223e6b96c6112f5dd809bb1b6f7c5a78826ee3";
const CHANNEL: &str = "1111111111111111111111111111111111111111";

fn text(text: &str) -> Option<Private> {
    Some(Private::new(text))
}

fn of(push: &Push, style: Style, dummy: &str) -> (Kind, String, Option<String>) {
    let notification = Notification::of(push, style, &Look::PLAIN, dummy);
    (notification.kind, String::from_utf8(notification.body).unwrap(), notification.collapse_id)
}

#[test]
fn generic_payloads() {
    let with = |class, content| Push { content: Arc::new(content), ..push(class) };
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
        let expected = (kind, body.replace("ACCOUNT", ACCOUNT), collapse_id.map(|id| id.replace("ACCOUNT", ACCOUNT)));
        assert_eq!(of(&push, Style::Generic, "New Message!"), expected);
    }
}

#[test]
fn an_empty_dummy_text_leaves_the_body_out_and_an_alert_without_words_has_the_apps_name() {
    let said = |class, content| of(&Push { content: Arc::new(content), ..push(class) }, Style::Generic, "").1;
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
        let push = Push { content: Arc::new(content.clone()), voip_token: Some(DeviceToken::new("v")), ..push(class) };
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
        ("a long sender", Content { sender: text(&long), body: text("hi"), ..Content::default() }, "{\"body\":\"hi\"}"),
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
        let push =
            Push { channel: DeviceHash::from_hex(CHANNEL), content: Arc::new(content), ..push(Class::Important) };
        let (_, payload, _) = of(&push, Style::Generic, "New Message!");
        assert!(payload.len() <= MOST, "{what}: {}", payload.len());
        assert!(payload.contains(part), "{what}: {payload}");
        assert!(serde_json::from_str::<serde_json::Value>(&payload).is_ok(), "{what}");
    }
    let exact = Push { content: Arc::new(body()), ..push(Class::Important) };
    let (_, payload, _) = of(&exact, Style::Generic, "");
    assert!(payload.len() > MOST - 10, "as much as fits: {}", payload.len());
}

#[test]
fn a_call_may_be_larger() {
    let seal = Sealed { iv: "iv".into(), payload: Private::new("A".repeat(4900)), voip: true };
    let content = Content { sealed: Some(seal), ..Content::default() };
    let call = Push { voip_token: Some(DeviceToken::new("v")), content: Arc::new(content), ..push(Class::Call) };
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

#[test]
fn monal_gets_the_same_alert_for_every_class() {
    let content = Content { count: Some(2), sender: text("SECRET"), body: text("SECRET"), ..Content::default() };
    for class in [Class::Call, Class::Important, Class::Unimportant, Class::Clear, Class::Ended] {
        let push = Push { content: Arc::new(content.clone()), voip_token: Some(DeviceToken::new("v")), ..push(class) };
        let (kind, body, collapse_id) = of(&push, Style::Monal, "x");
        assert_eq!(kind, Kind::Alert);
        assert_eq!(
            body,
            r#"{"aps":{"alert":{"title":"New Message","body":"New Message?"},"sound":"default","mutable-content":1}}"#
        );
        assert_eq!(collapse_id, Some(format!("{}-{ACCOUNT}", class.name())));
    }
}

#[test]
fn tigase_apps_are_told_what_they_tell_pushes_apart_by() {
    let alert = r#"{"aps":{"alert":{"body":"New message!"},"sound":"default","mutable-content":1,"category":"MESSAGE"},"account":"romeo@example.org""#;
    let silent = r#"{"aps":{"content-available":1},"account":"romeo@example.org""#;
    let sealed = || Some(Sealed { iv: "aXY=".into(), payload: Private::new("c2VhbGVk"), voip: false });
    let all = |count| Content {
        count: Some(count),
        sender: text("a@b"),
        body: text("hi"),
        nickname: text("Ju"),
        sealed: None,
    };
    let with = |class, content| Push { content: Arc::new(content), ..push(class) };
    let rows = [
        (
            "a message",
            with(Class::Important, all(2)),
            alert,
            r#","unread-messages":2,"sender":"a@b","body":"hi","nickname":"Ju"}"#,
        ),
        (
            "none of a message is unread: that would be read as a clear",
            with(Class::Important, Content { body: None, sender: None, nickname: None, ..all(0) }),
            alert,
            "}",
        ),
        (
            "a seal stands for all the rest",
            with(Class::Important, Content { sealed: sealed(), ..all(2) }),
            alert,
            r#","unread-messages":2,"encrypted":"c2VhbGVk","iv":"aXY="}"#,
        ),
        (
            "a body would be shown, even of a silent push",
            with(Class::Unimportant, Content { sealed: sealed(), ..all(2) }),
            silent,
            r#","unread-messages":2,"encrypted":"c2VhbGVk","iv":"aXY="}"#,
        ),
        (
            "beside a seal, no unread messages would hide the end of the call",
            with(Class::Ended, Content { sealed: sealed(), ..all(0) }),
            silent,
            r#","encrypted":"c2VhbGVk","iv":"aXY="}"#,
        ),
        ("a clear says nothing else", with(Class::Clear, all(7)), silent, r#","unread-messages":0}"#),
    ];
    for (what, push, begin, end) in rows {
        assert_eq!(of(&push, Style::Tigase, "x").1, [begin, end].concat(), "{what}");
    }
}

#[test]
fn a_seal_that_is_too_large_leaves_an_alert() {
    let seal = |len| Some(Sealed { iv: "iv".into(), payload: Private::new("A".repeat(len)), voip: true });
    let with = |class, len| Push {
        voip_token: Some(DeviceToken::new("v")),
        content: Arc::new(Content { sealed: seal(len), ..Content::default() }),
        ..push(class)
    };
    let rows = [
        (Style::Tigase, Class::Call, 5050, Kind::Voip, true),
        (Style::Tigase, Class::Call, 5100, Kind::Alert, false),
        (Style::Tigase, Class::Important, 3900, Kind::Alert, true),
        (Style::Tigase, Class::Important, 4000, Kind::Alert, false),
        (Style::Tigase, Class::Ended, 4000, Kind::Background, true),
        (Style::Tigase, Class::Ended, 4050, Kind::Background, false),
        (Style::Generic, Class::Call, 5100, Kind::Voip, false),
    ];
    for (style, class, len, kind, sealed) in rows {
        let (found, payload, collapse_id) = of(&with(class, len), style, "x");
        assert_eq!((found, payload.contains("\"encrypted\"")), (kind, sealed), "{class:?} {len}");
        assert_eq!(collapse_id, None, "{class:?} {len}");
    }
    let (_, payload, _) = of(&with(Class::Call, 5100), Style::Tigase, "x");
    let expected = r#"{"aps":{"alert":{"body":"New message!"},"sound":"default","mutable-content":1,"category":"MESSAGE","interruption-level":"time-sensitive"},"account":"romeo@example.org"}"#;
    assert_eq!(payload, expected);
}

#[test]
fn an_operators_words_stand_where_a_style_has_words_of_its_own() {
    let look = Look {
        title: Some("Chat".into()),
        body: Some("Neue Nachricht".into()),
        sound: Some("".into()),
        category: Some("REPLY".into()),
        ..Look::PLAIN
    };
    let alert = |style, content, important_body: &str| {
        let push = Push { content: Arc::new(content), ..push(Class::Important) };
        let payload = Notification::of(&push, style, &look, important_body).body;
        let json: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!((&json["aps"]["category"], json["aps"].get("sound")), (&"REPLY".into(), None), "{style:?}");
        let word = |key: &str| json["aps"]["alert"][key].as_str().map(str::to_owned);
        (word("title").unwrap_or_default(), word("body").unwrap_or_default())
    };
    let content = |sender: &str, body: &str| {
        let some = |word: &str| text(word).filter(|text| !text.reveal().is_empty());
        Content { sender: some(sender), body: some(body), ..Content::default() }
    };
    let rows = [
        ("nothing came", Style::Generic, content("", ""), "New Message!", ("Chat", "Neue Nachricht")),
        ("no dummy text either", Style::Generic, content("", ""), "", ("Chat", "Neue Nachricht")),
        (
            "the dummy text came",
            Style::Generic,
            content("a@b", "New Message!"),
            "New Message!",
            ("a@b", "Neue Nachricht"),
        ),
        ("a message came", Style::Generic, content("a@b", "hi"), "New Message!", ("a@b", "hi")),
        ("p2", Style::Conversations, content("a@b", "hi"), "", ("Chat", "Neue Nachricht")),
        ("fpush", Style::Monal, content("a@b", "hi"), "", ("Chat", "Neue Nachricht")),
        ("Tigase", Style::Tigase, content("a@b", "hi"), "", ("Chat", "Neue Nachricht")),
    ];
    for (what, style, content, important_body, (title, body)) in rows {
        assert_eq!(alert(style, content, important_body), (title.to_owned(), body.to_owned()), "{what}");
    }
}

#[test]
fn an_operators_keys_keep_their_types_and_go_before_what_is_sealed() {
    let extra = |text: &str| {
        let number = ("firstGoodBuildNumber".into(), Extra::Number(1000));
        Look {
            extra: vec![number, ("theme".into(), Extra::Text(text.into())), ("beta".into(), Extra::Flag(true))],
            ..Look::PLAIN
        }
    };
    let keys = r#""firstGoodBuildNumber":1000,"theme":"dark","beta":true}"#;
    for style in [Style::Generic, Style::Conversations, Style::Monal, Style::Tigase] {
        for class in [Class::Call, Class::Important, Class::Unimportant] {
            let push = Push { voip_token: Some(DeviceToken::new("v")), ..push(class) };
            let payload = String::from_utf8(Notification::of(&push, style, &extra("dark"), "x").body).unwrap();
            assert!(payload.ends_with(keys), "{payload}");
        }
    }
    let sealed = Some(Sealed { iv: "iv".into(), payload: Private::new("A".repeat(5000)), voip: true });
    let call = Push {
        voip_token: Some(DeviceToken::new("v")),
        content: Arc::new(Content { sealed, ..Content::default() }),
        ..push(Class::Call)
    };
    for style in [Style::Generic, Style::Tigase] {
        let notification = Notification::of(&call, style, &extra(&"x".repeat(200)), "x");
        let payload = String::from_utf8(notification.body).unwrap();
        assert_eq!(notification.kind, Kind::Voip);
        assert!(payload.contains("AAAA") && !payload.contains("theme"), "{payload}");
    }
}
