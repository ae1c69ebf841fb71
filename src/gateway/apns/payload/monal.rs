//! Style `monal`: an alert for every push, as fpush sends it. The app's extension swallows it and connects all
//! accounts, so no account is named; a silent push would not start the extension, and calls come with the messages:
//! the app does not listen on PushKit.

use serde::Serialize;

use super::{Alert, Aps, Kind, MOST, Notification, collapse_id};
use crate::domain::look::Look;
use crate::domain::push::Push;
use crate::gateway::shown::{Shown, Typed};

pub(super) fn notification(push: &Push, look: &Look) -> Notification {
    let body = Shown::nothing(look).fitting(MOST, |shown| {
        let aps = Aps {
            alert: Some(Alert {
                title: Some(shown.look.title.as_deref().unwrap_or("New Message")),
                body: Some(shown.look.body.as_deref().unwrap_or("New Message?")),
            }),
            category: shown.look.category.as_deref(),
            ..Aps::alert(shown.look)
        };
        super::json(&Payload { aps, extra: Typed(shown.extra) })
    });
    Notification { kind: Kind::Alert, body, collapse_id: Some(collapse_id(push)) }
}

#[derive(Serialize)]
struct Payload<'a> {
    aps: Aps<'a>,
    #[serde(flatten)]
    extra: Typed<'a>,
}
