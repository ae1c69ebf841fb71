//! How all of it stands, for people and for metrics.

use std::time::Duration;

use super::circuit::Circuit;
use super::hosts::{Host, Phase};
use super::state::State;
use crate::domain::app::{App, Provider};
use crate::domain::ids::{AppName, Domain};
use crate::domain::outcome::Reason;
use crate::domain::registration::Status as Enabled;
use crate::domain::session::Standing;
use crate::domain::time::{Moment, Now, Timestamp};

/// How all of it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// When.
    pub now: Now,
    /// Whether the store takes no writes.
    pub read_only: bool,
    /// The hosts whose bridge we trust.
    pub hosts: Vec<HostStatus>,
    /// The apps.
    pub apps: Vec<AppStatus>,
    /// All registrations.
    pub registrations: Registered,
    /// Devices that are there.
    pub devices: usize,
    /// Devices that are gone, and remembered.
    pub gone: usize,
    /// Sessions of our hosts' users that are connected.
    pub connected: usize,
    /// Those that hibernate.
    pub hibernated: usize,
    /// Pushes that are owed.
    pub owed: usize,
    /// The bytes that they take.
    pub owed_bytes: usize,
    /// Those of them that are left alone for a while.
    pub resting: usize,
    /// Iqs that wait for a verdict.
    pub waiting: usize,
    /// Lines of history.
    pub lines: usize,
    /// What is known of the process and its link.
    pub vitals: Vitals,
}

/// How many registrations there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registered {
    /// Used.
    pub enabled: usize,
    /// Not used, for they failed too often.
    pub disabled: usize,
    /// Gone, and remembered.
    pub gone: usize,
}

impl Registered {
    /// The number that counts those of this status.
    pub(super) const fn of(&mut self, status: &Enabled) -> &mut usize {
        match status {
            Enabled::Enabled => &mut self.enabled,
            Enabled::Disabled { .. } => &mut self.disabled,
            Enabled::Gone(_) => &mut self.gone,
        }
    }
}

/// How a host stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostStatus {
    /// Which.
    pub domain: Domain,
    /// `linked`, `linking`, `not linked`, or `no stream`.
    pub link: &'static str,
    /// Whether it is linked.
    pub linked: bool,
    /// Why not, the last time that it was not.
    pub why: Option<Reason>,
    /// The host's software and version, and its bridge's version.
    pub software: Option<String>,
    /// Its nodes: name, epoch, and the number of the last event that was taken.
    pub nodes: Vec<(String, String, u64)>,
    /// How long its bridge took to answer, the last time, or has not answered by now.
    pub lag: Option<Duration>,
    /// Orders that it has not answered.
    pub orders: usize,
    /// Pushes to third parties' services that it carries.
    pub relays: usize,
    /// Those that wait for it.
    pub relays_waiting: usize,
}

/// How an app stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppStatus {
    /// Which.
    pub name: AppName,
    /// Its vendor.
    pub provider: Provider,
    /// Whether a push was taken under its credentials.
    pub works: bool,
    /// Whether clients do not find it, for the vendor refuses its credentials.
    pub withdrawn: bool,
    /// When its credentials end, if they do.
    pub expires: Option<Timestamp>,
    /// Set while its pushes are kept back.
    pub circuit: Option<Circuit>,
    /// Pushes that its vendor has.
    pub under_way: usize,
    /// Pushes that wait for their turn.
    pub waiting: usize,
    /// When its vendor last spoke.
    pub last_verdict: Option<Moment>,
    /// The vendor's latest word that was no acceptance, and when.
    pub last_error: Option<(Timestamp, Reason)>,
}

/// What is known of the process and its link; what is not known is `None`, or zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Whether there is a stream that the host has accepted.
    pub stream: bool,
    /// How many there were since the start.
    pub streams: u64,
    /// Stanzas read.
    pub stanzas: u64,
    /// Stanzas that broke a limit.
    pub too_big: u64,
    /// Requests for domains that are not ours.
    pub foreign: u64,
    /// Requests that could not be answered.
    pub unanswerable: u64,
    /// Answers that came too late for any stream.
    pub answers_dropped: u64,
    /// Resident memory of the process, in bytes.
    pub resident: Option<u64>,
    /// What the store takes on disk, in bytes.
    pub store: Option<u64>,
    /// What happened per second lately, by name.
    pub rates: Vec<(&'static str, u32)>,
}

impl State {
    /// How all of it stands.
    #[must_use]
    pub fn status(&self, now: Now) -> Status {
        let (devices, gone) = self.count();
        let (owed, owed_bytes) = self.queues().owed();
        let (connected, hibernated) = self.lives.sessions();
        Status {
            now,
            read_only: self.is_read_only(),
            hosts: self.hosts.iter().map(|(domain, host)| host_status(domain, host, now)).collect(),
            apps: self.policy.apps.iter().map(|app| self.app_status(app)).collect(),
            registrations: self.registrations.counts(),
            devices: devices.saturating_sub(gone),
            gone,
            connected,
            hibernated,
            owed,
            owed_bytes,
            resting: self.queues().resting(),
            waiting: self.waiting(),
            lines: self.history().len(),
            vitals: self.vitals().clone(),
        }
    }

    fn app_status(&self, app: &App) -> AppStatus {
        let state = self.app(&app.name).cloned().unwrap_or_default();
        AppStatus {
            name: app.name.clone(),
            provider: app.provider,
            works: state.works,
            withdrawn: state.withdrawn,
            expires: state.expires,
            circuit: state.circuit,
            under_way: state.under_way,
            waiting: self.queues().waiting(&app.name),
            last_verdict: state.last_verdict,
            last_error: state.last_error,
        }
    }
}

fn host_status(domain: &Domain, host: &Host, now: Now) -> HostStatus {
    let link = &host.link;
    let unanswered = match &link.phase {
        Phase::Linked { checking, .. } => checking.map(|asked| now.steady - asked),
        _ => None,
    };
    HostStatus {
        domain: domain.clone(),
        link: match link.phase {
            Phase::Down => "no stream",
            Phase::Listing { .. } | Phase::Syncing { .. } => "linking",
            Phase::Linked { .. } => "linked",
            Phase::Unlinked => "not linked",
        },
        linked: host.is_linked(),
        why: link.why.clone(),
        software: link.told.as_ref().map(|(software, bridge)| format!("{software}, bridge {bridge}")),
        nodes: host.nodes.iter().map(|(name, node)| (name.to_string(), node.epoch.to_string(), node.taken)).collect(),
        lag: unanswered.max(link.lag),
        orders: host.orders.len(),
        relays: host.relays.under_way(),
        relays_waiting: host.relays.waiting(),
    }
}

impl Standing {
    /// The name shown to operators.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "connected, without resumption",
            Self::Active => "connected",
            Self::Unresponsive => "unresponsive",
            Self::Hibernated => "hibernated",
        }
    }
}
