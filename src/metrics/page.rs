//! The page: the counters, and beside them how all of it stands.

use super::families::{self as all, Family};
use super::slots::{ANSWERS, CLASSES, DECISIONS, INPUTS, OUTCOMES, REASONS};
use super::text::Text;
use super::{AppCounts, Metrics};
use crate::domain::time::Now;
use crate::flows::circuit::Fault;
use crate::flows::status::{AppStatus, HostStatus, Status, Vitals};

/// Requests over HTTP that were answered: the listener, the kind of status, how many.
pub type Requests = Vec<(&'static str, &'static str, u64)>;

/// What the page shows beside the counters.
#[derive(Clone, Debug)]
pub struct Around<'a> {
    /// When. The steady clock tells how long the process runs.
    pub now: Now,
    /// How all of it stands; `None` if the driver did not say so in time.
    pub status: Option<&'a Status>,
    /// What is known without the driver.
    pub vitals: Vitals,
    /// Requests over HTTP.
    pub requests: Requests,
}

impl Metrics {
    /// The page.
    #[must_use]
    pub fn page(&self, around: &Around<'_>) -> String {
        for app in around.status.iter().flat_map(|status| &status.apps) {
            self.know(&app.name);
        }
        let mut text = Text::default();
        process(&mut text, around);
        self.decisions(&mut text);
        if let Some(status) = around.status {
            one(&mut text, &all::WAITING, status.waiting);
        }
        self.pushes(&mut text);
        if let Some(status) = around.status {
            apps(&mut text, status);
        }
        for (family, histogram) in [(&all::RELAY_SECONDS, &self.relayed), (&all::RESUME_SECONDS, &self.resumed)] {
            text.family(family);
            text.histogram(family, &[], &histogram.seen());
        }
        if let Some(status) = around.status {
            kept(&mut text, status);
            hosts(&mut text, &status.hosts);
        }
        link(&mut text, &around.vitals);
        text.family(&all::HTTP);
        for (listener, code, count) in &around.requests {
            text.value(&all::HTTP, &[listener, code], count);
        }
        text.into_string()
    }

    fn decisions(&self, text: &mut Text) {
        text.family(&all::DECISIONS);
        for (decision, counts) in DECISIONS.iter().zip(&self.decisions) {
            // One that is of no class is never counted for any, and the other way round.
            for (class, count) in
                CLASSES.iter().zip(counts).filter(|(class, _)| (**class != "none") == decision.classed)
            {
                text.value(&all::DECISIONS, &[decision.name, class], count.value());
            }
        }
        text.family(&all::INPUTS);
        for (input, histogram) in INPUTS.iter().zip(&self.decided) {
            text.value(&all::INPUTS, &[input], histogram.count());
        }
        text.family(&all::DECISION_SECONDS);
        for (input, histogram) in INPUTS.iter().zip(&self.decided) {
            text.histogram(&all::DECISION_SECONDS, &[input], &histogram.seen());
        }
        text.family(&all::ANSWERS);
        for (answer, count) in ANSWERS.iter().zip(&self.answers) {
            text.value(&all::ANSWERS, &[answer], count.value());
        }
    }

    fn pushes(&self, text: &mut Text) {
        // What happened to apps that have no counters of their own is shown once it happens.
        let happened = |app: &AppCounts| app.outcomes.iter().any(|count| count.value() > 0);
        let apps = || self.all_apps().filter(|app| !std::ptr::eq(*app, &self.other) || happened(app));
        text.family(&all::PUSHES);
        for app in apps() {
            for (outcome, count) in OUTCOMES.iter().zip(&app.outcomes) {
                text.value(&all::PUSHES, &[app.name.as_str(), outcome], count.value());
            }
        }
        text.family(&all::REFUSALS);
        for app in apps() {
            for (reason, count) in REASONS.iter().zip(&app.reasons).filter(|(_, count)| count.value() > 0) {
                text.value(&all::REFUSALS, &[app.name.as_str(), reason], count.value());
            }
        }
        text.family(&all::VENDOR_SECONDS);
        for app in apps() {
            text.histogram(&all::VENDOR_SECONDS, &[app.name.as_str()], &app.vendor.seen());
        }
        text.family(&all::PUSH_SECONDS);
        for app in apps() {
            text.histogram(&all::PUSH_SECONDS, &[app.name.as_str()], &app.whole.seen());
        }
    }
}

/// A family of one value.
fn one(text: &mut Text, family: &Family, value: impl std::fmt::Display) {
    text.family(family);
    text.value(family, &[], value);
}

fn process(text: &mut Text, around: &Around<'_>) {
    text.family(&all::BUILD_INFO);
    text.value(&all::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1);
    one(text, &all::UPTIME, around.now.steady.uptime().as_secs_f64());
    if let Some(resident) = around.vitals.resident {
        one(text, &all::RESIDENT, resident);
    }
    one(text, &all::RESPONDING, u8::from(around.status.is_some()));
    if let Some(status) = around.status {
        one(text, &all::READ_ONLY, u8::from(status.read_only));
    }
    if let Some(bytes) = around.vitals.store {
        one(text, &all::STORE_BYTES, bytes);
    }
}

fn apps(text: &mut Text, status: &Status) {
    let mut gauge = |family: &Family, value: &dyn Fn(&AppStatus) -> Option<f64>| {
        text.family(family);
        for app in &status.apps {
            if let Some(value) = value(app) {
                text.value(family, &[app.name.as_str()], value);
            }
        }
    };
    gauge(&all::UNDER_WAY, &|app| Some(app.under_way as f64));
    gauge(&all::APP_WAITING, &|app| Some(app.waiting as f64));
    gauge(&all::WORKS, &|app| Some(flag(app.works)));
    gauge(&all::WITHDRAWN, &|app| Some(flag(app.withdrawn)));
    let left = |app: &AppStatus| Some((app.expires?.millis() - status.now.wall.millis()) as f64 / 1000.0);
    gauge(&all::CREDENTIALS, &left);
    let age = |app: &AppStatus| Some((status.now.steady - app.last_verdict?).as_secs_f64());
    gauge(&all::VERDICT_AGE, &age);
    text.family(&all::CIRCUIT);
    for app in &status.apps {
        for (fault, name) in [(Fault::Operator, "operator"), (Fault::Vendor, "vendor")] {
            let open = app.circuit.as_ref().is_some_and(|circuit| circuit.fault == fault);
            text.value(&all::CIRCUIT, &[app.name.as_str(), name], u8::from(open));
        }
    }
}

fn kept(text: &mut Text, status: &Status) {
    one(text, &all::OUTBOX, status.owed);
    one(text, &all::OUTBOX_BYTES, status.owed_bytes);
    one(text, &all::OUTBOX_RESTING, status.resting);
    let registered = status.registrations;
    let counts: [(&Family, &[(&str, usize)]); 3] = [
        (&all::DEVICES, &[("registered", status.devices), ("gone", status.gone)]),
        (
            &all::REGISTRATIONS,
            &[("enabled", registered.enabled), ("disabled", registered.disabled), ("gone", registered.gone)],
        ),
        (&all::SESSIONS, &[("connected", status.connected), ("hibernated", status.hibernated)]),
    ];
    for (family, values) in counts {
        text.family(family);
        for (label, value) in values {
            text.value(family, &[label], value);
        }
    }
    one(text, &all::HISTORY, status.lines);
}

fn hosts(text: &mut Text, hosts: &[HostStatus]) {
    let mut gauge = |family: &Family, value: &dyn Fn(&HostStatus) -> Option<f64>| {
        text.family(family);
        for host in hosts {
            if let Some(value) = value(host) {
                text.value(family, &[host.domain.as_str()], value);
            }
        }
    };
    gauge(&all::HOST_LINKED, &|host| Some(flag(host.linked)));
    gauge(&all::HOST_LAG, &|host| Some(host.lag?.as_secs_f64()));
    gauge(&all::HOST_ORDERS, &|host| Some(host.orders as f64));
    gauge(&all::HOST_RELAYS, &|host| Some(host.relays as f64));
    gauge(&all::HOST_RELAYS_WAITING, &|host| Some(host.relays_waiting as f64));
}

fn link(text: &mut Text, vitals: &Vitals) {
    one(text, &all::STREAM_UP, u8::from(vitals.stream));
    one(text, &all::STREAMS, vitals.streams);
    one(text, &all::STANZAS, vitals.stanzas);
    one(text, &all::TOO_BIG, vitals.too_big);
    one(text, &all::FOREIGN, vitals.foreign);
    one(text, &all::UNANSWERABLE, vitals.unanswerable);
    one(text, &all::DROPPED, vitals.answers_dropped);
}

const fn flag(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}
