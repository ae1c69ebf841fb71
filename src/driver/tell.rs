//! What the log says of what the flows noticed: each thing once when it begins and once when it ends; decisions only for
//! those who ask for them.

use tracing::{debug, error, info, warn};

use crate::domain::registration::RegistrationKey;
use crate::flows::circuit::Fault;
use crate::flows::data::{Decided, Decision, Notice, Registered};

/// Tells the operator.
pub(super) fn tell(notice: &Notice) {
    match notice {
        Notice::CircuitOpened { app, fault: Fault::Operator, reason } => {
            error!(
                "the vendor refuses the credentials of [apps.{app}]: {reason}; its pushes are kept until that is mended"
            );
        }
        Notice::CircuitOpened { app, fault: Fault::Vendor, reason } => {
            warn!("the vendor of [apps.{app}] takes no pushes: {reason}; they are kept until it does");
        }
        Notice::CircuitClosed { app } => info!("the vendor takes pushes of [apps.{app}] again"),
        Notice::CredentialsEnd { app, left: Some(left) } => {
            let days = left.as_secs() / (24 * 3600);
            warn!("the certificate of [apps.{app}] ends in {days} days; then Apple refuses its pushes");
        }
        Notice::CredentialsEnd { app, left: None } => {
            error!(
                "the certificate of [apps.{app}] has ended: Apple refuses its pushes; they are kept (push.outbox_ttl)"
            );
        }
        Notice::Linked { host, software, bridge } => {
            info!("{host} is linked: {software}, bridge {bridge}; its users can enable push");
        }
        Notice::Unlinked { host, why, was_linked: true } => {
            let mend = mend(why);
            warn!("{host} is not linked any more: {why}; its users' messages are not pushed until it is{mend}");
        }
        Notice::Unlinked { host, why, was_linked: false } => {
            let mend = mend(why);
            warn!("{host} is not linked: {why}; its users cannot enable push until it is{mend}");
        }
        Notice::Registration { key, what } => tell_of_registration(key, *what),
        Notice::Decided(decision) => tell_decision(decision),
    }
}

/// What an operator can do about a host that is not linked, by the condition of its answer.
fn mend(why: &str) -> &'static str {
    match why {
        "forbidden" => ". Make its pushkeeper_component and our component.jid the same",
        "unexpected-request" => ". Another module there stands in the way: unload mod_cloud_notify",
        "service-unavailable" => {
            ". Load mod_pushkeeper on that VirtualHost; if it is, the host's log says what it lacks"
        }
        "remote-server-not-found" | "remote-server-timeout" | "not-allowed" => {
            ". The server that we are a component of does not have this domain: mend [[hosts]]"
        }
        _ => "",
    }
}

fn tell_of_registration(key: &RegistrationKey, what: Registered) {
    let RegistrationKey { account, service, node } = key;
    let node = node.short();
    match what {
        Registered::Enabled => debug!("{account} enabled push at {service} (node {node})"),
        Registered::Revived => info!("push of {account} at {service} works again (node {node})"),
        Registered::Disabled(why) => {
            let why = why.name();
            warn!("push of {account} at {service} is disabled: {why}; it is tried once a day (node {node})");
        }
        Registered::Gone(why) => info!("{account} is no longer registered at {service}: {} (node {node})", why.name()),
    }
}

/// Why a phone was, or was not, woken: for those who ask for it with `[log] level`.
fn tell_decision(decision: &Decision) {
    if !tracing::enabled!(target: DECISIONS, tracing::Level::DEBUG) {
        return;
    }
    let place = match (&decision.registration, &decision.resource) {
        (Some(key), _) => format!(" at {} (node {})", key.service, key.node.short()),
        (None, Some(resource)) => format!(", session {resource:?}"),
        (None, None) => String::new(),
    };
    let what = match &decision.what {
        Decided::Pushed { class, stanzas: 0 } => format!("a wake goes out ({})", class.name()),
        Decided::Pushed { class, stanzas: 1 } => format!("an {} push goes out", class.name()),
        Decided::Pushed { class, stanzas } => format!("an {} push goes out, for {stanzas} stanzas", class.name()),
        Decided::Waits => "a push waits: its host has no room for it, or no link".to_owned(),
        Decided::HandedOver => "handed over".to_owned(),
        Decided::NotTaken(why) => format!("not taken: {why}"),
        Decided::Known => "not pushed: the same stanza was".to_owned(),
        Decided::Worthless => "not pushed: worth no push".to_owned(),
        Decided::Filtered(filter) => format!("not pushed: its owner wants none for it ({})", filter.name()),
        Decided::Cancelled => "not pushed: the client has it, or is back".to_owned(),
        Decided::Stretched(window) => format!("may be resumed for {window:.0?}: nobody woke its client yet"),
        Decided::Shortened(window) => format!("may be resumed for {window:.0?} more: its client was woken"),
        Decided::WokenBeforeEnd => "its end is near: its client is woken".to_owned(),
        Decided::TooMany => "is ended: too many sessions of the account hibernate".to_owned(),
        Decided::Overdue => "is ended: its window is over".to_owned(),
    };
    debug!(target: DECISIONS, "{}{place}: {what}", decision.account);
}

/// The target of decisions in the log.
const DECISIONS: &str = "pushkeeper::decisions";
