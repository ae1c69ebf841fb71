//! Style `tigase`: what Siskin IM and its forks read, in the app and in its extension. The extension writes title,
//! text, sound and category anew; those here show only if it runs out of time.

use serde::Serialize;

use super::{Alert, Aps, Kind, Notification, collapse_id};
use crate::domain::class::Class;
use crate::domain::look::Look;
use crate::domain::push::Push;
use crate::gateway::shown::{Shown, Typed};

pub(super) fn notification(push: &Push, look: &Look) -> Notification {
    let told = Shown::tigase(push, look);
    let ringing = Shown { count: None, nickname: None, body: None, ..told.clone() };
    let (kind, shown) = match push.class {
        Class::Call if push.voip_token.is_some() && can_ring(&ringing) => (Kind::Voip, ringing),
        Class::Call | Class::Important => (Kind::Alert, told),
        Class::Unimportant | Class::Clear | Class::Ended => (Kind::Background, told),
    };
    let collapse_id = (kind != Kind::Voip && !shown.speaks()).then(|| collapse_id(push));
    let body = shown.fitting(kind.most(), |shown| json(kind, push.class, shown));
    Notification { kind, body, collapse_id }
}

/// Whether the seal fits into a push that rings. The app takes one without its seal for a call of nobody, and hangs up;
/// an alert in its stead can at least be read. (Where there never was a seal it rings: some forks read the sender.)
fn can_ring(shown: &Shown<'_>) -> bool {
    let bare = Shown { sender: None, extra: &[], ..shown.clone() };
    bare.sealed.is_none() || json(Kind::Voip, Class::Call, &bare).len() <= Kind::Voip.most()
}

fn json(kind: Kind, class: Class, shown: &Shown<'_>) -> Vec<u8> {
    let aps = match kind {
        Kind::Alert => Some(Aps {
            alert: Some(Alert {
                title: shown.look.title.as_deref(),
                body: Some(shown.look.body.as_deref().unwrap_or("New message!")),
            }),
            category: Some(shown.look.category.as_deref().unwrap_or("MESSAGE")),
            interruption_level: Aps::interruption_level(class),
            ..Aps::alert(shown.look)
        }),
        Kind::Background => Some(Aps::background()),
        Kind::Voip => None,
    };
    super::json(&Payload {
        aps,
        account: shown.account,
        unread_messages: shown.count,
        sender: shown.sender,
        body: shown.body.as_deref(),
        nickname: shown.nickname,
        encrypted: shown.sealed.map(|sealed| sealed.payload.reveal()),
        iv: shown.sealed.map(|sealed| &*sealed.iv),
        extra: Typed(shown.extra),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Payload<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    aps: Option<Aps<'a>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    account: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unread_messages: Option<u32>,
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
    extra: Typed<'a>,
}
