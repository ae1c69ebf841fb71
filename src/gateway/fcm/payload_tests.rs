use super::*;
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
            Push { content: content.clone(), ..push(Class::Important) },
            r#"{"message":{"token":"token-1","data":{"account":"ACCOUNT"},"android":{"priority":"HIGH","ttl":"2419200s","collapse_key":"0c223e"}}}"#,
        ),
        (
            Push { channel: room, ..push(Class::Unimportant) },
            r#"{"message":{"token":"token-1","data":{"account":"ACCOUNT","channel":"CHANNEL"},"android":{"priority":"NORMAL","ttl":"2419200s","collapse_key":"111111"}}}"#,
        ),
        (
            Push { ttl: CALL_TTL, content, ..push(Class::Call) },
            r#"{"message":{"token":"token-1","data":{"account":"ACCOUNT"},"android":{"priority":"HIGH","ttl":"45s","collapse_key":"0c223e"}}}"#,
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
            Push { content: spoken, ..push(Class::Important) },
            r#"{"message":{"token":"token-1","data":{"class":"important","account":"ACCOUNT","count":"2","sender":"a@b","body":"hi","nickname":"Ju"},"android":{"priority":"HIGH","ttl":"2419200s"}}}"#,
        ),
        (
            Push { content: Content { sealed: Some(sealed), ..Content::default() }, ..push(Class::Important) },
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
            Push { content: Content { count: Some(0), ..Content::default() }, ..push(Class::Clear) },
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
        let push = Push { content, channel: DeviceHash::from_hex(CHANNEL), ..push(Class::Important) };
        let json: serde_json::Value = serde_json::from_slice(&message(&push, Style::Generic, &Look::PLAIN)).unwrap();
        let data = json["message"]["data"].to_string();
        assert!(data.len() <= MOST, "{what}: {}", data.len());
        assert!(data.contains(ACCOUNT), "{what}");
    }
    let whole = message(&Push { content: body(), ..push(Class::Important) }, Style::Generic, &Look::PLAIN);
    assert!(whole.len() > MOST - 10, "as much as fits: {}", whole.len());
}
