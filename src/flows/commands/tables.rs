//! How a registration, a device, a session look in a row.

use std::time::Duration;

use super::data::Table;
use crate::domain::device::Device;
use crate::domain::ids::{Account, Domain};
use crate::domain::keeper::Window;
use crate::domain::registration::{Registration, Status};
use crate::domain::time::{Now, Timestamp};
use crate::flows::live::{Live, Session};
use crate::flows::saying::Span;

/// The columns of registrations and devices alike.
pub(super) const COLUMNS: [(&str, &str); 13] = [
    ("account", "Account"),
    ("kind", "What"),
    ("service", "Push service"),
    ("node", "Node"),
    ("client", "Client or app"),
    ("state", "State"),
    ("reason", "Why"),
    ("since", "Since"),
    ("renewed", "Last enabled"),
    ("last-push", "Last push"),
    ("last-result", "Last taken"),
    ("errors", "Errors in a row"),
    ("last-error", "Last error"),
];

/// A table of registrations and devices.
pub(super) fn table(rows: Vec<Vec<String>>) -> Table {
    Table { columns: COLUMNS.to_vec(), rows }
}

/// A registration.
pub(super) fn registration(of: &Registration) -> Vec<String> {
    let record = &of.record;
    let (state, reason, since) = match of.status {
        Status::Enabled => ("enabled", String::new(), Some(of.made)),
        Status::Disabled { at, why } => ("disabled", why.name().to_owned(), Some(at)),
        Status::Gone(gone) => ("gone", gone.why.said().to_owned(), Some(gone.at)),
    };
    vec![
        of.key.account.as_str().to_owned(),
        "registration".to_owned(),
        of.key.service.to_string(),
        of.key.node.short(),
        of.client_id.as_deref().map_or_else(|| of.resource.to_string(), |id| format!("{} ({id})", of.resource)),
        state.to_owned(),
        reason,
        time(since),
        time(Some(of.renewed)),
        time(record.last_push),
        time(record.last_result),
        record.errors.saturating_add(record.unreached).to_string(),
        record.last_error.as_deref().unwrap_or_default().to_owned(),
    ]
}

/// A device of our own push service.
pub(super) fn device(device: &Device, own: &Domain) -> Vec<String> {
    let history = &device.history;
    let (state, reason, since) = match device.gone {
        None => ("enabled", String::new(), device.made),
        Some(gone) => ("gone", gone.why.said().to_owned(), gone.at),
    };
    vec![
        device.owner.as_str().to_owned(),
        if device.key.channel.is_some() { "device, for a room" } else { "device" }.to_owned(),
        own.as_str().to_owned(),
        device.node.short(),
        device.key.app.to_string(),
        state.to_owned(),
        reason,
        time(Some(since)),
        time(Some(device.renewed)),
        time(history.last_publish),
        time(history.last_accepted),
        history.errors.to_string(),
        history.last_error.as_deref().unwrap_or_default().to_owned(),
    ]
}

/// The columns of sessions.
pub(super) const SESSION_COLUMNS: [(&str, &str); 8] = [
    ("account", "Account"),
    ("resource", "Resource"),
    ("state", "State"),
    ("since", "Since"),
    ("window", "Resumption window"),
    ("left", "Left of it"),
    ("queued", "Unacknowledged"),
    ("push", "Woken by"),
];

/// A session.
pub(super) fn session(account: &Account, session: &Session, live: &Live, now: Now) -> Vec<String> {
    let report = &session.report;
    let bound = live.pushing.iter().filter(|pushing| pushing.bound.as_ref() == Some(&report.sid));
    let bound: Vec<String> = bound.map(|of| format!("{} (node {})", of.key.service, of.key.node.short())).collect();
    let hibernation = session.hibernation.as_ref();
    let window = hibernation.map_or("", |hibernation| match hibernation.window {
        Window::Hosts => "the host's",
        Window::Stretched => "stretched: nobody woke it yet",
        Window::Normal => "normal: it was woken",
    });
    let left = hibernation.and_then(|hibernation| hibernation.ends).map(|ends| Span(ends - now.steady).to_string());
    let unknown = || report.left.map(|secs| Span(Duration::from_secs(secs.into())).to_string());
    vec![
        account.as_str().to_owned(),
        report.resource.to_string(),
        report.state.name().to_owned(),
        report.since.to_string(),
        window.to_owned(),
        left.or_else(unknown).unwrap_or_default(),
        report.unacked.map(|count| count.to_string()).unwrap_or_default(),
        bound.join(", "),
    ]
}

/// A time, or nothing.
pub(super) fn time(at: Option<Timestamp>) -> String {
    at.map(|at| at.to_string()).unwrap_or_default()
}
