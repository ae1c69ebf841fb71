//! How all of it stands, and reading the configuration again.

use std::sync::Arc;

use super::data::{Field, Form, Name, Progress, Shown, Tone};
use super::turn::{Desk, Played};
use crate::domain::time::Now;
use crate::flows::circuit::Fault;
use crate::flows::data::{Effect, Reloaded, Ticket};
use crate::flows::memory::Memory;
use crate::flows::saying::{Span, how_to_link};
use crate::flows::status::{AppStatus, HostStatus, Status};

/// How many may wait for the configuration to be read again.
const MOST_WAITING: usize = 16;

/// One who waits for the configuration to be read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waits {
    /// Which wish it is, counted from the start.
    pub number: u64,
    /// Where the answer goes.
    pub ticket: Ticket,
    /// In which session.
    pub session: Arc<str>,
}

/// `reload`.
pub(super) fn reload(desk: &mut Desk<'_>) -> Played {
    if desk.state.reloading.len() >= MOST_WAITING {
        return Played::Done(vec![(Tone::Error, "It is being read already.".to_owned())], None);
    }
    desk.step.effects.push(Effect::Reload);
    let number = desk.state.reload_wishes + 1;
    let waits = Waits { number, ticket: desk.ticket.clone(), session: desk.session.id.clone() };
    desk.step.remember(Memory::Reloading(Box::new(waits)));
    Played::Later
}

/// What one who waits is told.
pub(super) fn reloaded(waits: &Waits, reloaded: &Reloaded) -> Shown {
    let note = match reloaded.policy {
        Some(_) => (Tone::Info, "The configuration was read again.".to_owned()),
        None => (Tone::Error, "Nothing changed: the configuration needs mending.".to_owned()),
    };
    let fields = vec![Field::lines("said", "What came of it", reloaded.said.clone())];
    let form = Form { result: true, title: Name::Reload.title().to_owned(), fields, ..Form::default() };
    Shown {
        name: Name::Reload,
        session: waits.session.clone(),
        progress: Progress::Completed,
        notes: vec![note],
        form: Some(form),
    }
}

/// `status`.
pub(super) fn status(desk: &mut Desk<'_>) -> Played {
    let status = desk.state.status(desk.now);
    let fields = vec![
        Field::lines("process", "pushkeeper", process(&status)),
        Field::lines("link", "Link to the server", link(&status)),
        Field::lines("hosts", "Hosts", or_none(status.hosts.iter().map(host).collect())),
        Field::lines("apps", "Apps", or_none(status.apps.iter().map(|of| app(of, status.now)).collect())),
        Field::lines("pushes", "Pushes", pushes(&status)),
        Field::lines("registered", "Registered", registered(&status)),
        Field::lines("rates", "Per second, over the last minute", rates(&status)),
    ];
    Played::Done(troubles(&status), Some(Form { fields, ..desk.result(format!("pushkeeper at {}", status.now.wall)) }))
}

/// What an operator should look at, in sentences.
pub(super) fn troubles(status: &Status) -> Vec<(Tone, String)> {
    let mut said = Vec::new();
    if status.read_only {
        said.push("The store takes no writes: look at the disk.".to_owned());
    }
    for of in status.hosts.iter().filter(|of| !of.linked) {
        let why = of.why.as_deref().map(|why| format!(" ({why})")).unwrap_or_default();
        let mend = of.why.as_deref().map_or("", how_to_link);
        said.push(format!("{} is not linked{why}: its users' messages are not pushed{mend}.", of.domain));
    }
    for of in &status.apps {
        if let Some(circuit) = &of.circuit {
            said.push(match circuit.fault {
                Fault::Operator => {
                    format!("[apps.{}]: the vendor refuses our credentials: {}.", of.name, circuit.reason)
                }
                Fault::Vendor => format!("[apps.{}]: the vendor takes nothing: {}.", of.name, circuit.reason),
            });
        }
    }
    said.into_iter().map(|said| (Tone::Warn, said)).collect()
}

fn process(status: &Status) -> Vec<String> {
    let vitals = &status.vitals;
    let mut lines =
        vec![format!("Version {}", env!("CARGO_PKG_VERSION")), format!("Up for {}", Span(status.now.steady.uptime()))];
    lines.extend(vitals.resident.map(|bytes| format!("Memory: {}", Bytes(bytes))));
    let writes = if status.read_only { ", takes no writes" } else { "" };
    lines.extend(vitals.store.map(|bytes| format!("Store: {}{writes}", Bytes(bytes))));
    lines.push(format!("Decisions remembered: {}", status.lines));
    lines
}

fn link(status: &Status) -> Vec<String> {
    let vitals = &status.vitals;
    let up = if vitals.stream { "Up" } else { "Down" };
    vec![
        format!("{up}; streams since the start: {}", vitals.streams),
        format!("Stanzas read: {}; too big: {}; for other domains: {}", vitals.stanzas, vitals.too_big, vitals.foreign),
        format!("Not answered: {}; answers dropped: {}", vitals.unanswerable, vitals.answers_dropped),
    ]
}

fn host(of: &HostStatus) -> String {
    let mut said = vec![format!("{}: {}", of.domain, of.link)];
    said.extend(of.software.clone().filter(|_| of.linked));
    said.extend(of.why.as_deref().filter(|_| !of.linked).map(|why| format!("because: {why}")));
    said.extend(of.lag.map(|lag| format!("answers in {}", Span(lag))));
    // A host that is one node gives it no name.
    said.extend(of.nodes.iter().map(|(name, epoch, taken)| match &**name {
        "" => format!("epoch {epoch}, event {taken}"),
        name => format!("node {name}, epoch {epoch}, event {taken}"),
    }));
    said.push(format!("{} relays under way, {} wait, {} orders unanswered", of.relays, of.relays_waiting, of.orders));
    said.join("; ")
}

fn app(of: &AppStatus, now: Now) -> String {
    let mut said = vec![format!("{} ({})", of.name, of.provider.name())];
    said.push(match &of.circuit {
        Some(circuit) => format!("kept back for {}: {}", Span(now.steady - circuit.opened), circuit.reason),
        None if of.works => "works".to_owned(),
        None => "no push was taken yet under these credentials".to_owned(),
    });
    if of.withdrawn {
        said.push("not offered to clients".to_owned());
    }
    said.extend(of.expires.map(|at| format!("credentials end {at}")));
    said.push(format!("{} under way, {} wait", of.under_way, of.waiting));
    said.extend(of.last_verdict.map(|at| format!("vendor spoke {} ago", Span(now.steady - at))));
    said.extend(of.last_error.as_ref().map(|(at, why)| format!("last error {at}: {why}")));
    said.join("; ")
}

fn pushes(status: &Status) -> Vec<String> {
    vec![
        format!(
            "Owed: {} ({}), {} of them left alone for a while",
            status.owed,
            Bytes(status.owed_bytes as u64),
            status.resting
        ),
        format!("Servers that wait for an answer: {}", status.waiting),
    ]
}

fn registered(status: &Status) -> Vec<String> {
    let of = status.registrations;
    vec![
        format!("Registrations: {} enabled, {} disabled, {} gone", of.enabled, of.disabled, of.gone),
        format!("Devices: {}, {} gone", status.devices, status.gone),
        format!("Sessions: {} connected, {} hibernated", status.connected, status.hibernated),
    ]
}

fn rates(status: &Status) -> Vec<String> {
    or_none(status.vitals.rates.iter().map(|(name, rate)| format!("{name}: {rate}")).collect())
}

fn or_none(lines: Vec<String>) -> Vec<String> {
    if lines.is_empty() { vec!["None.".to_owned()] } else { lines }
}

/// A size as people say it.
struct Bytes(u64);

impl std::fmt::Display for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            bytes @ 0..1024 => write!(f, "{bytes} bytes"),
            bytes @ 1024..1_048_576 => write!(f, "{} kB", bytes / 1024),
            bytes => write!(f, "{} MB", bytes / 1_048_576),
        }
    }
}
