//! What a push says to an Android phone (Firebase: REST reference, `projects.messages`; docs/design.md, classes).

use serde::Serialize;

use crate::domain::app::Style;
use crate::domain::class::Class;
use crate::domain::ids::DeviceHash;
use crate::domain::push::{Push, VENDOR_TTL};
use crate::domain::secret::Private;
use crate::gateway::fit;

/// The most that `data` may hold, in bytes. FCM counts keys and values; we count their JSON, which is more.
pub const MOST: usize = 4096;

/// The request's JSON; holds the token and people's words.
#[must_use]
pub fn message(push: &Push, style: Style) -> Vec<u8> {
    let account = push.account.hex();
    let channel = push.channel.as_ref().map(DeviceHash::hex);
    let (data, collapse_key) = match style {
        // The app compares the hashes with its own and asks its server for the rest.
        Style::Conversations => {
            let data = Data { account: &account, channel: channel.as_deref(), ..Data::default() };
            (data, Some(short(channel.as_deref().unwrap_or(&account)).to_owned()))
        }
        Style::Generic | Style::Monal | Style::Tigase => {
            let speaks = push.content.sender.is_some()
                || push.content.body.is_some()
                || push.content.nickname.is_some()
                || push.content.sealed.is_some();
            let data = Data { account: &account, channel: channel.as_deref(), ..Data::default() };
            (data, (!speaks).then(|| collapse_key(push.class, &account)))
        }
    };
    let count = push.content.count.map(|count| count.to_string());
    let android = Android {
        priority: if push.class.is_urgent() { "HIGH" } else { "NORMAL" },
        ttl: format!("{}s", push.ttl.min(VENDOR_TTL).as_secs()),
        collapse_key: collapse_key_ref(collapse_key.as_ref()),
    };
    match style {
        Style::Conversations => write(push, &data, &android),
        Style::Generic | Style::Monal | Style::Tigase => {
            generic(push, Data { count: count.as_deref(), class: Some(push.class.name()), ..data }, &android)
        }
    }
}

fn collapse_key_ref(key: Option<&String>) -> Option<&str> {
    key.map(String::as_str)
}

/// The data of style `generic`, with less and less until it fits.
fn generic(push: &Push, bare: Data<'_>, android: &Android<'_>) -> Vec<u8> {
    let content = &push.content;
    let text = |private: &'_ Option<Private>| private.as_ref().map(Private::reveal).map(str::to_owned);
    let (sender, nickname, body) = (text(&content.sender), text(&content.nickname), text(&content.body));
    let sealed = content.sealed.as_ref();
    let encrypted = sealed.map(|sealed| sealed.payload.reveal());
    let iv = sealed.map(|sealed| &*sealed.iv);

    let whole = Data { sender: sender.as_deref(), nickname: nickname.as_deref(), encrypted, iv, ..bare };
    let without_nickname = Data { nickname: None, ..whole };
    let without_sender = Data { sender: None, ..without_nickname };
    for mut data in [whole, without_nickname, without_sender, bare] {
        data.body = body.as_deref();
        let len = data.len();
        if len <= MOST {
            return write(push, &data, android);
        }
        let Some(body) = data.body.take() else { continue };
        let cut = fit::escaped_len(body).checked_sub(len - MOST).and_then(|room| fit::shorten(body, room));
        if let Some(cut) = cut {
            return write(push, &Data { body: Some(&cut), ..data }, android);
        }
    }
    write(push, &bare, android)
}

fn write(push: &Push, data: &Data<'_>, android: &Android<'_>) -> Vec<u8> {
    let request = Request { message: Message { token: push.token.reveal(), data, android } };
    // Writing strings to memory does not fail.
    serde_json::to_vec(&request).unwrap_or_default()
}

#[derive(Serialize)]
struct Request<'a> {
    message: Message<'a>,
}

#[derive(Serialize)]
struct Message<'a> {
    token: &'a str,
    data: &'a Data<'a>,
    android: &'a Android<'a>,
}

/// All values are strings, as FCM wants them.
#[derive(Clone, Copy, Default, Serialize)]
struct Data<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'static str>,
    account: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nickname: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypted: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iv: Option<&'a str>,
}

impl Data<'_> {
    fn len(&self) -> usize {
        serde_json::to_vec(self).map_or(0, |json| json.len())
    }
}

#[derive(Serialize)]
struct Android<'a> {
    priority: &'static str,
    ttl: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    collapse_key: Option<&'a str>,
}

/// FCM keeps at most four keys per device: what wants attention, what does not, calls, and their ends.
fn collapse_key(class: Class, account: &str) -> String {
    let kind = match class {
        Class::Call => "call",
        Class::Important => "important",
        Class::Unimportant | Class::Clear => "quiet",
        Class::Ended => "ended",
    };
    format!("{}-{kind}", short(account))
}

fn short(hash: &str) -> &str {
    hash.get(..6).unwrap_or(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::push::{CALL_TTL, Content, Sealed};
    use crate::gateway::tests::push;

    const ACCOUNT: &str = "0c223e6b96c6112f5dd809bb1b6f7c5a78826ee3";
    const CHANNEL: &str = "1111111111111111111111111111111111111111";

    fn text(text: &str) -> Option<Private> {
        Some(Private::new(text))
    }

    fn of(push: &Push, style: Style) -> String {
        String::from_utf8(message(push, style)).unwrap().replace(ACCOUNT, "ACCOUNT").replace(CHANNEL, "CHANNEL")
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
        let spoken =
            Content { count: Some(2), sender: text("a@b"), body: text("hi"), nickname: text("Ju"), sealed: None };
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
            let json: serde_json::Value = serde_json::from_slice(&message(&push, Style::Generic)).unwrap();
            let data = json["message"]["data"].to_string();
            assert!(data.len() <= MOST, "{what}: {}", data.len());
            assert!(data.contains(ACCOUNT), "{what}");
        }
        let whole = message(&Push { content: body(), ..push(Class::Important) }, Style::Generic);
        assert!(whole.len() > MOST - 10, "as much as fits: {}", whole.len());
    }
}
