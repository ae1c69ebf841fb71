use std::sync::Arc;

use super::*;
use crate::domain::look::Extra;
use crate::domain::push::{CALL_TTL, Content, Sealed};
use crate::domain::secret::Private;
use crate::gateway::tests::push;

const ACCOUNT: &str = "0c223e6b96c6112f5dd809bb1b6f7c5a78826ee3";
const CHANNEL: &str = "1111111111111111111111111111111111111111";

fn text(text: &str) -> Option<Private> {
    Some(Private::new(text))
}

fn of(push: &Push, style: Style) -> String {
    String::from_utf8(message(push, style, &Look::PLAIN))
        .unwrap()
        .replace(ACCOUNT, "ACCOUNT")
        .replace(CHANNEL, "CHANNEL")
}

#[test]
fn conversations_messages() {
    let content = Content { sender: text("SECRET"), body: text("SECRET"), ..Content::default() };
    let room = DeviceHash::from_hex(CHANNEL);
    let rows = [
        (
            Push { content: Arc::new(content.clone()), ..push(Class::Important) },
            r#"{"message":{"token":"token-1","data":{"account":"ACCOUNT"},"android":{"priority":"HIGH","ttl":"2419200s","collapse_key":"0c223e"}}}"#,
        ),
        (
            Push { channel: room, ..push(Class::Unimportant) },
            r#"{"message":{"token":"token-1","data":{"account":"ACCOUNT","channel":"CHANNEL"},"android":{"priority":"NORMAL","ttl":"2419200s","collapse_key":"111111"}}}"#,
        ),
        (
            Push { ttl: CALL_TTL, content: Arc::new(content), ..push(Class::Call) },
            r#"{"message":{"token":"token-1","data":{"account":"ACCOUNT"},"android":{"priority":"HIGH","ttl":"2419200s","collapse_key":"0c223e"}}}"#,
        ),
    ];
    for (push, expected) in rows {
        assert_eq!(of(&push, Style::Conversations), expected);
    }
}

#[test]
fn generic_messages() {
    let sealed = Sealed { iv: "aXY=".into(), payload: Private::new("c2VhbGVk"), voip: false };
    let spoken = Content { count: Some(2), sender: text("a@b"), body: text("hi"), nickname: text("Ju"), sealed: None };
    let rows = [
        (
            Push { content: Arc::new(spoken), ..push(Class::Important) },
            r#"{"message":{"token":"token-1","data":{"class":"important","account":"ACCOUNT","count":"2","sender":"a@b","body":"hi","nickname":"Ju"},"android":{"priority":"HIGH","ttl":"2419200s"}}}"#,
        ),
        (
            Push {
                content: Arc::new(Content { sealed: Some(sealed), ..Content::default() }),
                ..push(Class::Important)
            },
            r#"{"message":{"token":"token-1","data":{"class":"important","account":"ACCOUNT","encrypted":"c2VhbGVk","iv":"aXY="},"android":{"priority":"HIGH","ttl":"2419200s"}}}"#,
        ),
        (
            Push { channel: DeviceHash::from_hex(CHANNEL), ..push(Class::Important) },
            r#"{"message":{"token":"token-1","data":{"class":"important","account":"ACCOUNT","channel":"CHANNEL"},"android":{"priority":"HIGH","ttl":"2419200s","collapse_key":"0c223e-important"}}}"#,
        ),
        (
            Push { ttl: CALL_TTL, ..push(Class::Call) },
            r#"{"message":{"token":"token-1","data":{"class":"call","account":"ACCOUNT"},"android":{"priority":"HIGH","ttl":"45s","collapse_key":"0c223e-call"}}}"#,
        ),
        (
            Push { content: Arc::new(Content { count: Some(0), ..Content::default() }), ..push(Class::Clear) },
            r#"{"message":{"token":"token-1","data":{"class":"clear","account":"ACCOUNT","count":"0"},"android":{"priority":"NORMAL","ttl":"2419200s","collapse_key":"0c223e-quiet"}}}"#,
        ),
        (
            push(Class::Ended),
            r#"{"message":{"token":"token-1","data":{"class":"ended","account":"ACCOUNT"},"android":{"priority":"NORMAL","ttl":"2419200s","collapse_key":"0c223e-ended"}}}"#,
        ),
    ];
    for (push, expected) in rows {
        assert_eq!(of(&push, Style::Generic), expected);
    }
}

#[test]
fn no_data_is_larger_than_fcm_takes() {
    let long = "\u{1}é😀\"x".repeat(2000);
    let seal = |len| Some(Sealed { iv: "iv".into(), payload: Private::new("A".repeat(len)), voip: false });
    let body = || Content { body: text(&long), ..Content::default() };
    let rows = [
        ("a long body", body()),
        ("a long sender", Content { sender: text(&long), body: text("hi"), ..Content::default() }),
        ("a long nickname", Content { nickname: text(&long), ..Content::default() }),
        ("a long seal", Content { sealed: seal(5000), ..Content::default() }),
        ("all of it", Content { sender: text(&long), nickname: text(&long), sealed: seal(9000), ..body() }),
    ];
    for (what, content) in rows {
        let push =
            Push { content: Arc::new(content), channel: DeviceHash::from_hex(CHANNEL), ..push(Class::Important) };
        let json: serde_json::Value = serde_json::from_slice(&message(&push, Style::Generic, &Look::PLAIN)).unwrap();
        let data = json["message"]["data"].to_string();
        assert!(data.len() <= MOST, "{what}: {}", data.len());
        assert!(data.contains(ACCOUNT), "{what}");
    }
    let whole = message(&Push { content: Arc::new(body()), ..push(Class::Important) }, Style::Generic, &Look::PLAIN);
    assert!(whole.len() > MOST - 10, "as much as fits: {}", whole.len());
}

#[test]
fn monal_messages_say_nothing_and_replace_each_other_by_class() {
    let content = Content { count: Some(2), sender: text("SECRET"), body: text("SECRET"), ..Content::default() };
    let rows = [
        (Class::Call, r#""android":{"priority":"HIGH","ttl":"45s","collapse_key":"call"}"#),
        (Class::Important, r#""android":{"priority":"HIGH","ttl":"2419200s","collapse_key":"important"}"#),
        (Class::Unimportant, r#""android":{"priority":"NORMAL","ttl":"2419200s","collapse_key":"quiet"}"#),
        (Class::Clear, r#""android":{"priority":"NORMAL","ttl":"2419200s","collapse_key":"quiet"}"#),
        (Class::Ended, r#""android":{"priority":"NORMAL","ttl":"2419200s","collapse_key":"ended"}"#),
    ];
    for (class, android) in rows {
        let found = of(&Push { content: Arc::new(content.clone()), ..push(class) }, Style::Monal);
        assert_eq!(found, format!(r#"{{"message":{{"token":"token-1","data":{{}},{android}}}}}"#));
    }
}

#[test]
fn tigase_messages_have_the_keys_of_its_other_apps_as_texts() {
    let sealed = Sealed { iv: "aXY=".into(), payload: Private::new("c2VhbGVk"), voip: false };
    let spoken = Content { count: Some(2), sender: text("a@b"), body: text("hi"), nickname: text("Ju"), sealed: None };
    let rows = [
        (
            Push { content: Arc::new(spoken.clone()), ..push(Class::Important) },
            r#"{"account":"romeo@example.org","unread-messages":"2","sender":"a@b","body":"hi","nickname":"Ju"}"#,
        ),
        (
            Push { content: Arc::new(Content { sealed: Some(sealed), ..spoken.clone() }), ..push(Class::Important) },
            r#"{"account":"romeo@example.org","unread-messages":"2","encrypted":"c2VhbGVk","iv":"aXY="}"#,
        ),
        (
            Push { content: Arc::new(spoken.clone()), ..push(Class::Unimportant) },
            r#"{"account":"romeo@example.org","unread-messages":"2"}"#,
        ),
        (
            Push { content: Arc::new(spoken), ..push(Class::Clear) },
            r#"{"account":"romeo@example.org","unread-messages":"0"}"#,
        ),
        (push(Class::Ended), r#"{"account":"romeo@example.org"}"#),
    ];
    for (push, data) in rows {
        let found = of(&push, Style::Tigase);
        assert!(found.contains(&format!(r#""data":{data},"#)), "{found}");
    }
}

#[test]
fn of_a_look_only_the_keys_reach_an_android_phone() {
    let look = Look {
        title: Some("Chat".into()),
        body: Some("Neu".into()),
        sound: Some("bell".into()),
        category: Some("REPLY".into()),
        extra: vec![
            ("theme".into(), Extra::Text("da\"rk".into())),
            ("build".into(), Extra::Number(-7)),
            ("beta".into(), Extra::Flag(false)),
        ],
    };
    let message = String::from_utf8(message(&push(Class::Ended), Style::Monal, &look)).unwrap();
    assert!(message.contains(r#""data":{"theme":"da\"rk","build":"-7","beta":"false"},"#), "{message}");
}
