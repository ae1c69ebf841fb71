//! Style `generic`: our own (docs/design.md, classes).

use std::borrow::Cow;

use serde::Serialize;

use super::{Alert, Aps, Kind, Notification, collapse_id};
use crate::domain::class::Class;
use crate::domain::ids::DeviceHash;
use crate::domain::look::Look;
use crate::domain::push::Push;
use crate::gateway::fit;
use crate::gateway::shown::{Shown, Typed};

/// The most of an app's name that serves as a title, in bytes of JSON.
const MOST_NAME: usize = 256;

/// `important_body` stands for a body that is not there, unless it is empty; so does the operator's text for this app,
/// also where `important_body` itself came as the body: then it stood for one already.
pub(super) fn notification(push: &Push, look: &Look, important_body: &str) -> Notification {
    let kind = match push.class {
        Class::Call if push.voip_token.is_some() => Kind::Voip,
        Class::Call | Class::Important => Kind::Alert,
        Class::Unimportant | Class::Clear | Class::Ended => Kind::Background,
    };
    let shown = Shown::all(&push.content, look);
    let speaks = match kind {
        Kind::Alert => shown.speaks(),
        Kind::Background | Kind::Voip => shown.sealed.is_some(),
    };
    let collapse_id = (kind != Kind::Voip && !speaks).then(|| collapse_id(push));
    let body = match kind {
        Kind::Alert => words(shown.body.clone(), look, important_body),
        // A call that rings by itself needs no words, and nobody sees those of a push that is silent.
        Kind::Background | Kind::Voip => None,
    };
    let names = Names {
        app: fit::shorten(push.app.as_str(), MOST_NAME).unwrap_or_default(),
        account: push.account.hex(),
        channel: push.channel.as_ref().map(DeviceHash::hex),
    };
    let shown = Shown { body, ..shown };
    let body = shown.fitting(kind.most(), |shown| json(kind, push.class, &names, shown));
    Notification { kind, body, collapse_id }
}

fn words<'a>(body: Option<Cow<'a, str>>, look: &'a Look, important_body: &'a str) -> Option<Cow<'a, str>> {
    let fixed = look.body.as_deref();
    let dummy = fixed.or(Some(important_body)).filter(|text| !text.is_empty()).map(Cow::from);
    body.filter(|body| fixed.is_none() || *body != important_body).or(dummy)
}

/// What stands for people and programs.
struct Names {
    app: String,
    account: String,
    channel: Option<String>,
}

fn json(kind: Kind, class: Class, names: &Names, shown: &Shown<'_>) -> Vec<u8> {
    let aps = match kind {
        Kind::Alert => {
            let body = shown.body.as_deref();
            let title = shown.sender.or(shown.look.title.as_deref());
            // A phone does not show an alert without any words, and does not give it to the app's extension either.
            let title = title.or(body.is_none().then_some(&*names.app));
            Some(Aps {
                alert: Some(Alert { title, body }),
                category: shown.look.category.as_deref(),
                interruption_level: Aps::interruption_level(class),
                ..Aps::alert(shown.look)
            })
        }
        Kind::Background => Some(Aps::background()),
        Kind::Voip => None,
    };
    super::json(&Payload {
        aps,
        class: class.name(),
        account: &names.account,
        channel: names.channel.as_deref(),
        count: shown.count,
        unread: (class == Class::Clear).then_some(0),
        ended: (class == Class::Ended).then_some(true),
        // An alert shows its sender as the title; a phone that rings must be told who calls.
        sender: if kind == Kind::Voip { shown.sender } else { None },
        nickname: shown.nickname,
        encrypted: shown.sealed.map(|sealed| sealed.payload.reveal()),
        iv: shown.sealed.map(|sealed| &*sealed.iv),
        extra: Typed(shown.extra),
    })
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
    #[serde(flatten)]
    extra: Typed<'a>,
}
