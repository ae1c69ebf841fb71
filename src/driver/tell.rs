//! What the log says of what the flows noticed: each thing once when it begins and once when it ends; decisions only for
//! those who ask for them.

use tracing::{debug, error, info, warn};

use crate::domain::push::Push;
use crate::domain::registration::RegistrationKey;
use crate::flows::circuit::Fault;
use crate::flows::data::{LaneKind, Line, Notice, Place, Registered, Trail, Waiter};
use crate::flows::saying::how_to_link;
use crate::flows::state::State;

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
            let mend = how_to_link(why);
            warn!("{host} is not linked any more: {why}; its users' messages are not pushed until it is{mend}");
        }
        Notice::Unlinked { host, why, was_linked: false } => {
            let mend = how_to_link(why);
            warn!("{host} is not linked: {why}; its users cannot enable push until it is{mend}");
        }
        Notice::Registration { key, what } => tell_of_registration(key, *what),
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
pub(super) fn tell_line(line: &Line) {
    debug!(target: DECISIONS, "{}: {line}", line.account);
}

/// Where a push goes, and who asked for it: from here on its life can be followed by its name.
pub(super) fn tell_delivery(state: &State, push: &Push) {
    if !tracing::enabled!(target: DECISIONS, tracing::Level::DEBUG) {
        return;
    }
    let lane = state.lane(&push.node, LaneKind::of(push.class));
    let asked: Vec<String> = lane.into_iter().flat_map(|lane| &lane.waiters).map(asked).collect();
    let (trail, place) = (Trail::Push(push.id), Place::Device(push.app.clone(), push.node.clone()));
    let asked = if asked.is_empty() { "what was owed".to_owned() } else { asked.join(", ") };
    debug!(target: DECISIONS, "{}: {place}: goes to its vendor ({}), for {asked} [{trail}]", push.owner, push.class.name());
}

/// Who asked for a push. The id of an iq is its sender's choice.
fn asked(waiter: &Waiter) -> String {
    match waiter {
        Waiter::Iq(ticket) => {
            let id: String = ticket.id.chars().take(32).collect();
            format!("iq {id:?} from {:?}", &*ticket.to)
        }
        Waiter::Rules { flight, .. } => Trail::Rules(*flight).to_string(),
        Waiter::Trial(number) => format!("test {number}"),
    }
}

/// The target of decisions in the log.
const DECISIONS: &str = "pushkeeper::decisions";
