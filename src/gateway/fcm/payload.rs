//! What a push says to an Android phone (Firebase: REST reference, `projects.messages`; docs/design.md, classes).
//!
//! | style | `data` |
//! |---|---|
//! | `generic` | class, account, channel, and what the push may say |
//! | `conversations` | account and channel, as p2 has it: the app compares the hashes with its own, and asks its server |
//! | `monal` | nothing, as fpush has it for yaxim: any push wakes the app |
//! | `tigase` | the keys that Siskin IM reads from APNs, as texts. That Stork reads the same is not confirmed |
//!
//! The operator's `extra` is beside it.

use serde::Serialize;

use crate::domain::app::Style;
use crate::domain::class::Class;
use crate::domain::ids::DeviceHash;
use crate::domain::look::Look;
use crate::domain::push::{Push, VENDOR_TTL};
use crate::gateway::shown::{Shown, Texts};

/// The most that `data` may hold, in bytes. FCM counts keys and values; we count their JSON, which is more.
pub const MOST: usize = 4096;

/// The request's JSON; holds the token and people's words.
#[must_use]
pub fn message(push: &Push, style: Style, look: &Look) -> Vec<u8> {
    let account = push.account.hex();
    let channel = push.channel.as_ref().map(DeviceHash::hex);
    let shown = match style {
        Style::Conversations | Style::Monal => Shown::nothing(look),
        Style::Generic => Shown::all(&push.content, look),
        Style::Tigase => Shown::tigase(push, look),
    };
    let collapse_key = match style {
        Style::Conversations => Some(short(channel.as_deref().unwrap_or(&account)).to_owned()),
        Style::Monal => Some(kind(push.class).to_owned()),
        Style::Generic | Style::Tigase => {
            (!shown.speaks()).then(|| format!("{}-{}", short(&account), kind(push.class)))
        }
    };
    // All pushes of this style replace each other: a call that lives for 45 s only would take a message with it.
    let ttl = if style == Style::Conversations { VENDOR_TTL } else { push.ttl };
    let android = Android {
        priority: if push.class.is_urgent() { "HIGH" } else { "NORMAL" },
        ttl: format!("{}s", ttl.min(VENDOR_TTL).as_secs()),
        collapse_key,
    };
    let names = Names { class: push.class.name(), account: &account, channel: channel.as_deref() };
    let data = shown.fitting(MOST, |shown| json(&data(style, &names, shown)));
    let parts: [&[u8]; 7] = [
        br#"{"message":{"token":"#,
        &json(&*push.token.reveal()),
        br#","data":"#,
        &data,
        br#","android":"#,
        &json(&android),
        b"}}",
    ];
    parts.concat()
}

/// What no push of ours is without.
struct Names<'a> {
    class: &'static str,
    account: &'a str,
    channel: Option<&'a str>,
}

fn data<'a>(style: Style, names: &Names<'a>, shown: &'a Shown<'_>) -> Data<'a> {
    let nothing = Data { extra: Texts(shown.extra), ..Data::default() };
    let said = || Data {
        sender: shown.sender,
        body: shown.body.as_deref(),
        nickname: shown.nickname,
        encrypted: shown.sealed.map(|sealed| sealed.payload.reveal()),
        iv: shown.sealed.map(|sealed| &*sealed.iv),
        extra: Texts(shown.extra),
        ..Data::default()
    };
    let count = shown.count.map(|count| count.to_string());
    match style {
        Style::Monal => nothing,
        Style::Conversations => Data { account: Some(names.account), channel: names.channel, ..nothing },
        Style::Generic => {
            Data { class: Some(names.class), account: Some(names.account), channel: names.channel, count, ..said() }
        }
        Style::Tigase => {
            let account = Some(shown.account).filter(|account| !account.is_empty());
            Data { account, unread_messages: count, ..said() }
        }
    }
}

/// All values are strings, as FCM wants them.
#[derive(Default, Serialize)]
struct Data<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<String>,
    #[serde(rename = "unread-messages", skip_serializing_if = "Option::is_none")]
    unread_messages: Option<String>,
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
    #[serde(flatten)]
    extra: Texts<'a>,
}

#[derive(Serialize)]
struct Android {
    priority: &'static str,
    ttl: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    collapse_key: Option<String>,
}

/// FCM keeps at most four keys per device: what wants attention, what does not, calls, and their ends.
const fn kind(class: Class) -> &'static str {
    match class {
        Class::Call => "call",
        Class::Important => "important",
        Class::Unimportant | Class::Clear => "quiet",
        Class::Ended => "ended",
    }
}

fn short(hash: &str) -> &str {
    hash.get(..6).unwrap_or(hash)
}

/// Writing texts to memory does not fail.
fn json(value: &(impl Serialize + ?Sized)) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

#[cfg(test)]
#[path = "payload_tests.rs"]
mod tests;
