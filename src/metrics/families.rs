//! Every metric there is. `docs/metrics.md` has the same table; a test compares the two.
//!
//! Names follow <https://prometheus.io/docs/practices/naming/>: base units, `_total` for what only grows.

/// Metrics of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its labels, but for a histogram's `le`.
    pub labels: &'static [&'static str],
    /// What it says, in a sentence.
    pub help: &'static str,
}

/// What a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, until a restart.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

impl Kind {
    /// The word on the page and in the documentation.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, labels, help }
}

const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind: Kind::Histogram, labels, help }
}

pub(super) const BUILD_INFO: Family =
    gauge("pushkeeper_build_info", &["version"], "Always 1; its label is the version of pushkeeper.");
pub(super) const UPTIME: Family = gauge("pushkeeper_uptime_seconds", &[], "How long the process runs.");
pub(super) const RESIDENT: Family =
    gauge("pushkeeper_resident_memory_bytes", &[], "Resident memory of the process; as of a few seconds ago.");
pub(super) const RESPONDING: Family = gauge(
    "pushkeeper_driver_responding",
    &[],
    "1 if the driver answered for this page within two seconds; if 0, whatever it would have told is missing.",
);
pub(super) const READ_ONLY: Family = gauge(
    "pushkeeper_store_read_only",
    &[],
    "1 while the store takes no writes: registrations are refused, and nothing is promised.",
);
pub(super) const STORE_BYTES: Family =
    gauge("pushkeeper_store_bytes", &[], "What the store and its snapshots take on disk; as of a minute ago.");
pub(super) const DECISIONS: Family = counter(
    "pushkeeper_decisions_total",
    &["decision", "class"],
    "Decisions about phones, pushes, sessions and registrations.",
);
pub(super) const INPUTS: Family = counter(
    "pushkeeper_inputs_total",
    &["input"],
    "What the driver took in: publishes, signals of bridges, verdicts of vendors and the like.",
);
pub(super) const DECISION_SECONDS: Family = histogram(
    "pushkeeper_decision_seconds",
    &["input"],
    "How long an input took to be decided, with all that it led to.",
);
pub(super) const ANSWERS: Family = counter(
    "pushkeeper_answers_total",
    &["answer"],
    "Answers to requests from outside: successes, and refusals by their name.",
);
pub(super) const WAITING: Family =
    gauge("pushkeeper_requests_waiting", &[], "Requests that wait for a verdict of a vendor.");
pub(super) const PUSHES: Family =
    counter("pushkeeper_pushes_total", &["app", "outcome"], "What became of pushes for devices of our own service.");
pub(super) const REFUSALS: Family = counter(
    "pushkeeper_vendor_refusals_total",
    &["app", "reason"],
    "Pushes that a vendor did not take, by its word; words that were never said are left out.",
);
pub(super) const VENDOR_SECONDS: Family =
    histogram("pushkeeper_vendor_seconds", &["app"], "How long a vendor took to answer.");
pub(super) const PUSH_SECONDS: Family = histogram(
    "pushkeeper_push_seconds",
    &["app"],
    "From the publish to the vendor's acceptance, with all waiting and all tries; by the wall clock, in milliseconds.",
);
pub(super) const UNDER_WAY: Family =
    gauge("pushkeeper_app_pushes_under_way", &["app"], "Pushes that a vendor has not answered yet.");
pub(super) const APP_WAITING: Family =
    gauge("pushkeeper_app_pushes_waiting", &["app"], "Pushes that wait for their turn.");
pub(super) const CIRCUIT: Family = gauge(
    "pushkeeper_app_circuit_open",
    &["app", "fault"],
    "1 while an app's pushes are kept back, by whose fault it is: the operator's credentials, or the vendor.",
);
pub(super) const WORKS: Family =
    gauge("pushkeeper_app_works", &["app"], "1 once a vendor took a push under the present credentials.");
pub(super) const WITHDRAWN: Family = gauge(
    "pushkeeper_app_withdrawn",
    &["app"],
    "1 while clients do not find the app, for its vendor refuses its credentials.",
);
pub(super) const CREDENTIALS: Family = gauge(
    "pushkeeper_app_credentials_remaining_seconds",
    &["app"],
    "How long an app's certificate is still good, less than 0 once it has ended; left out where nothing ends.",
);
pub(super) const VERDICT_AGE: Family = gauge(
    "pushkeeper_app_last_verdict_age_seconds",
    &["app"],
    "How long ago an app's vendor last answered; left out until it does.",
);
pub(super) const RELAY_SECONDS: Family = histogram(
    "pushkeeper_relay_seconds",
    &[],
    "How long a push service of a third party took to take a push that its host carried, or was waited for.",
);
pub(super) const RESUME_SECONDS: Family = histogram(
    "pushkeeper_wake_to_resume_seconds",
    &[],
    "From the last push for a hibernated session until its client was back.",
);
pub(super) const OUTBOX: Family = gauge("pushkeeper_outbox_pushes", &[], "Pushes that are owed.");
pub(super) const OUTBOX_BYTES: Family = gauge("pushkeeper_outbox_bytes", &[], "Roughly what they take.");
pub(super) const OUTBOX_RESTING: Family =
    gauge("pushkeeper_outbox_resting", &[], "Those of them that are left alone for a while.");
pub(super) const DEVICES: Family = gauge("pushkeeper_devices", &["state"], "Devices of our own push service.");
pub(super) const REGISTRATIONS: Family =
    gauge("pushkeeper_registrations", &["status"], "What accounts of our hosts enabled push for.");
pub(super) const SESSIONS: Family =
    gauge("pushkeeper_sessions", &["state"], "Sessions of our hosts' users that phones keep.");
pub(super) const HISTORY: Family =
    gauge("pushkeeper_history_lines", &[], "Decisions that are remembered, for those who ask.");
pub(super) const HOST_LINKED: Family =
    gauge("pushkeeper_host_linked", &["host"], "1 while a host's bridge is linked: its users are woken.");
pub(super) const HOST_LAG: Family = gauge(
    "pushkeeper_host_lag_seconds",
    &["host"],
    "How long a host's bridge took to answer, or has not answered by now; left out until it was asked.",
);
pub(super) const HOST_ORDERS: Family =
    gauge("pushkeeper_host_orders", &["host"], "Orders that a host has not answered yet.");
pub(super) const HOST_RELAYS: Family =
    gauge("pushkeeper_host_relays", &["host"], "Pushes for third parties' services that a host carries.");
pub(super) const HOST_RELAYS_WAITING: Family =
    gauge("pushkeeper_host_relays_waiting", &["host"], "Those that wait for it.");
pub(super) const STREAM_UP: Family =
    gauge("pushkeeper_stream_up", &[], "1 while there is a stream that the XMPP server has accepted.");
pub(super) const STREAMS: Family = counter("pushkeeper_streams_total", &[], "Streams that the XMPP server accepted.");
pub(super) const STANZAS: Family = counter("pushkeeper_stanzas_total", &[], "Stanzas read.");
pub(super) const TOO_BIG: Family =
    counter("pushkeeper_stanzas_too_big_total", &[], "Stanzas that broke a limit, and were skipped.");
pub(super) const FOREIGN: Family =
    counter("pushkeeper_requests_foreign_total", &[], "Requests for domains that are not ours; they are not answered.");
pub(super) const UNANSWERABLE: Family = counter(
    "pushkeeper_requests_unanswerable_total",
    &[],
    "Requests that cannot be answered: no sender, an id that is too long.",
);
pub(super) const DROPPED: Family =
    counter("pushkeeper_answers_dropped_total", &[], "Answers that came too late for any stream, or were too many.");
pub(super) const HTTP: Family = counter(
    "pushkeeper_http_requests_total",
    &["listener", "status"],
    "Requests over HTTP that were answered, by listener and kind of status.",
);

/// All of them, in the order of the page.
pub const ALL: [Family; 44] = [
    BUILD_INFO,
    UPTIME,
    RESIDENT,
    RESPONDING,
    READ_ONLY,
    STORE_BYTES,
    DECISIONS,
    INPUTS,
    DECISION_SECONDS,
    ANSWERS,
    WAITING,
    PUSHES,
    REFUSALS,
    VENDOR_SECONDS,
    PUSH_SECONDS,
    UNDER_WAY,
    APP_WAITING,
    CIRCUIT,
    WORKS,
    WITHDRAWN,
    CREDENTIALS,
    VERDICT_AGE,
    RELAY_SECONDS,
    RESUME_SECONDS,
    OUTBOX,
    OUTBOX_BYTES,
    OUTBOX_RESTING,
    DEVICES,
    REGISTRATIONS,
    SESSIONS,
    HISTORY,
    HOST_LINKED,
    HOST_LAG,
    HOST_ORDERS,
    HOST_RELAYS,
    HOST_RELAYS_WAITING,
    STREAM_UP,
    STREAMS,
    STANZAS,
    TOO_BIG,
    FOREIGN,
    UNANSWERABLE,
    DROPPED,
    HTTP,
];
