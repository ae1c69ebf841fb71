//! Style `conversations`: what p2 sends, byte for byte. The app asks its server for the rest.

use serde::Serialize;

use super::{Alert, Aps, Kind, MOST, Notification, collapse_id};
use crate::domain::look::Look;
use crate::domain::push::Push;
use crate::gateway::shown::{Shown, Typed};

pub(super) fn notification(push: &Push, look: &Look) -> Notification {
    let kind = if push.class.is_urgent() { Kind::Alert } else { Kind::Background };
    let body = Shown::nothing(look).fitting(MOST, |shown| {
        let aps = match kind {
            Kind::Alert => Aps {
                alert: Some(Alert {
                    title: Some(shown.look.title.as_deref().unwrap_or("New message")),
                    body: shown.look.body.as_deref(),
                }),
                sound: Aps::sound(shown.look),
                category: shown.look.category.as_deref(),
                ..Aps::default()
            },
            Kind::Background | Kind::Voip => Aps::background(),
        };
        super::json(&Payload { aps, extra: Typed(shown.extra) })
    });
    Notification { kind, body, collapse_id: Some(collapse_id(push)) }
}

#[derive(Serialize)]
struct Payload<'a> {
    aps: Aps<'a>,
    #[serde(flatten)]
    extra: Typed<'a>,
}
