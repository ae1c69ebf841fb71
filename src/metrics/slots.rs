//! The closed sets that label values come from. Where each has its counter is known at once, by a number.

use crate::domain::class::Class;
use crate::domain::refusal::{Later, Refusal};
use crate::flows::circuit::Fault;
use crate::flows::data::{Answer, Decided, Objection, Owing, Registered, Then};

/// A decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    /// [`Decided::name`].
    pub(super) name: &'static str,
    /// Whether it is of a class.
    pub(super) classed: bool,
}

const fn plain(name: &'static str) -> Decision {
    Decision { name, classed: false }
}

const fn classed(name: &'static str) -> Decision {
    Decision { name, classed: true }
}

/// All decisions.
pub(super) const DECISIONS: [Decision; 46] = [
    classed("pushed"),
    plain("waits_unlinked"),
    plain("waits_busy"),
    plain("handed_over"),
    plain("silence"),
    plain("not_taken"),
    plain("duplicate"),
    plain("worthless"),
    plain("unimportant"),
    plain("filtered"),
    plain("has_session"),
    plain("disabled"),
    plain("cancelled"),
    plain("too_many_calls"),
    plain("stretched"),
    plain("shortened"),
    plain("woken_before_end"),
    plain("too_many_hibernated"),
    plain("overdue"),
    plain("resumed"),
    plain("registration_enabled"),
    plain("registration_disabled"),
    plain("registration_revived"),
    plain("registration_gone"),
    plain("wrong_secret"),
    plain("foreign_domain"),
    plain("from_client"),
    plain("device_gone"),
    plain("vendor"),
    plain("operator"),
    plain("domain-rate"),
    plain("full"),
    plain("store"),
    classed("merged"),
    classed("queued"),
    classed("owed_interval"),
    classed("owed_operator"),
    classed("owed_vendor"),
    classed("owed_crowd"),
    classed("owed_silence"),
    classed("accepted"),
    classed("withheld"),
    plain("retried"),
    plain("dropped"),
    plain("gone"),
    classed("expired"),
];

/// Where a decision is in [`DECISIONS`], and its class.
pub(super) const fn decision(what: &Decided) -> (usize, Option<Class>) {
    match what {
        Decided::Pushed { class, .. } => (0, Some(*class)),
        Decided::Waits { unlinked: true } => (1, None),
        Decided::Waits { unlinked: false } => (2, None),
        Decided::HandedOver { silent: false, .. } => (3, None),
        Decided::HandedOver { silent: true, .. } => (4, None),
        Decided::NotTaken(_) => (5, None),
        Decided::Known => (6, None),
        Decided::Worthless => (7, None),
        Decided::Unwanted => (8, None),
        Decided::Filtered(_) => (9, None),
        Decided::HasSession(_) => (10, None),
        Decided::Disabled(_) => (11, None),
        Decided::Cancelled => (12, None),
        Decided::TooManyCalls => (13, None),
        Decided::Stretched(_) => (14, None),
        Decided::Shortened(_) => (15, None),
        Decided::WokenBeforeEnd => (16, None),
        Decided::TooMany => (17, None),
        Decided::Overdue => (18, None),
        Decided::Resumed { .. } => (19, None),
        Decided::Registration(Registered::Enabled) => (20, None),
        Decided::Registration(Registered::Disabled(_)) => (21, None),
        Decided::Registration(Registered::Revived) => (22, None),
        Decided::Registration(Registered::Gone(_)) => (23, None),
        Decided::Refused(Objection::Secret) => (24, None),
        Decided::Refused(Objection::Domain(_)) => (25, None),
        Decided::Refused(Objection::Client) => (26, None),
        Decided::Refused(Objection::Gone(_)) => (27, None),
        Decided::Refused(Objection::Later(Later::Vendor)) => (28, None),
        Decided::Refused(Objection::Later(Later::Operator)) => (29, None),
        Decided::Refused(Objection::Later(Later::DomainRate)) => (30, None),
        Decided::Refused(Objection::Later(Later::Full)) => (31, None),
        Decided::Refused(Objection::Later(Later::Store)) => (32, None),
        Decided::Merged(class) => (33, Some(*class)),
        Decided::Queued(class) => (34, Some(*class)),
        Decided::Owed(class, Owing::Interval) => (35, Some(*class)),
        Decided::Owed(class, Owing::Circuit(Fault::Operator, _)) => (36, Some(*class)),
        Decided::Owed(class, Owing::Circuit(Fault::Vendor, _)) => (37, Some(*class)),
        Decided::Owed(class, Owing::Crowd) => (38, Some(*class)),
        Decided::Owed(class, Owing::Silence) => (39, Some(*class)),
        Decided::Accepted { class, .. } => (40, Some(*class)),
        Decided::Withheld(class) => (41, Some(*class)),
        Decided::NotAccepted { then: Then::Again, .. } => (42, None),
        Decided::NotAccepted { then: Then::Dropped, .. } => (43, None),
        Decided::NotAccepted { then: Then::Gone(_), .. } => (44, None),
        Decided::Expired(class) => (45, Some(*class)),
    }
}

/// The classes, and what stands where there is none.
pub(super) const CLASSES: [&str; 6] = ["none", "call", "important", "unimportant", "clear", "ended"];

/// Where a class is in [`CLASSES`].
pub(super) const fn class(class: Option<Class>) -> usize {
    match class {
        None => 0,
        Some(Class::Call) => 1,
        Some(Class::Important) => 2,
        Some(Class::Unimportant) => 3,
        Some(Class::Clear) => 4,
        Some(Class::Ended) => 5,
    }
}

/// What becomes of a push that an app's gateway was given.
pub(super) const OUTCOMES: [&str; 6] = ["accepted", "withheld", "retried", "dropped", "gone", "expired"];

/// Where what became of a push is in [`OUTCOMES`]; `None` if nothing has yet.
pub(super) const fn outcome(what: &Decided) -> Option<usize> {
    Some(match what {
        Decided::Accepted { .. } => 0,
        Decided::Withheld(_) => 1,
        Decided::NotAccepted { then: Then::Again, .. } => 2,
        Decided::NotAccepted { then: Then::Dropped, .. } => 3,
        Decided::NotAccepted { then: Then::Gone(_), .. } => 4,
        Decided::Expired(_) => 5,
        _ => return None,
    })
}

/// The names of inputs, and what stands for one that has none here.
pub(super) const INPUTS: [&str; 13] = [
    "other",
    "publish",
    "register",
    "unregister",
    "verdict",
    "link",
    "signals",
    "enable",
    "reply",
    "status",
    "reload",
    "tick",
    "stop",
];

/// Where a name is in [`INPUTS`].
pub(super) fn input(name: &str) -> usize {
    match name {
        "publish" => 1,
        "verdict" => 4,
        "signals" => 6,
        "reply" => 8,
        "tick" => 11,
        name => INPUTS.iter().position(|known| *known == name).unwrap_or(0),
    }
}

/// What those outside are told: what is no refusal first, then all refusals.
pub(super) const ANSWERS: [&str; 25] = [
    "done",
    "registered",
    "unregistered",
    "status",
    "command",
    "no-such-device",
    "not-registered",
    "no-such-app",
    "forbidden",
    "bad-token",
    "too-many-registrations",
    "bad-service",
    "no-such-encryption",
    "bad-key",
    "host-not-linked",
    "vendor",
    "operator",
    "domain-rate",
    "full",
    "store",
    "session-expired",
    "bad-session",
    "bad-action",
    "bad-payload",
    "too-many-sessions",
];

/// Where the refusals begin in [`ANSWERS`].
pub(super) const FIRST_REFUSAL: usize = 5;

/// Where an answer is in [`ANSWERS`].
pub(super) const fn answer(answer: &Answer) -> usize {
    match answer {
        Answer::Done => 0,
        Answer::Registered { .. } => 1,
        Answer::Unregistered { .. } => 2,
        Answer::Status(_) => 3,
        Answer::Command(_) => 4,
        Answer::Refused(refusal) => {
            FIRST_REFUSAL
                + match refusal {
                    Refusal::NoSuchDevice => 0,
                    Refusal::NotRegistered => 1,
                    Refusal::NoSuchApp => 2,
                    Refusal::Forbidden => 3,
                    Refusal::BadToken => 4,
                    Refusal::TooManyRegistrations => 5,
                    Refusal::BadService => 6,
                    Refusal::NoSuchEncryption => 7,
                    Refusal::BadKey => 8,
                    Refusal::HostNotLinked => 9,
                    Refusal::TryLater(Later::Vendor) => 10,
                    Refusal::TryLater(Later::Operator) => 11,
                    Refusal::TryLater(Later::DomainRate) => 12,
                    Refusal::TryLater(Later::Full) => 13,
                    Refusal::TryLater(Later::Store) => 14,
                    Refusal::SessionExpired => 15,
                    Refusal::BadSession => 16,
                    Refusal::BadAction => 17,
                    Refusal::BadPayload => 18,
                    Refusal::TooManySessions => 19,
                }
        }
    }
}

/// Why a push was not taken: first the words of vendors, sorted (Apple, "Handling notification responses from APNs"; FCM,
/// "ErrorCode" and "google.rpc.Code"; HTTP status codes where there is no word), then ours.
pub(super) const REASONS: [&str; 81] = [
    "ABORTED",
    "ALREADY_EXISTS",
    "BadCertificate",
    "BadCertificateEnvironment",
    "BadCollapseId",
    "BadDeviceToken",
    "BadEnvironmentKeyIdInToken",
    "BadEnvironmentKeyInToken",
    "BadExpirationDate",
    "BadMessageId",
    "BadPath",
    "BadPriority",
    "BadTopic",
    "CANCELLED",
    "DATA_LOSS",
    "DEADLINE_EXCEEDED",
    "DeviceTokenNotForTopic",
    "DuplicateHeaders",
    "ExpiredProviderToken",
    "ExpiredToken",
    "FAILED_PRECONDITION",
    "FeatureNotEnabled",
    "Forbidden",
    "HTTP 400",
    "HTTP 401",
    "HTTP 403",
    "HTTP 404",
    "HTTP 408",
    "HTTP 410",
    "HTTP 413",
    "HTTP 429",
    "HTTP 500",
    "HTTP 502",
    "HTTP 503",
    "HTTP 504",
    "INTERNAL",
    "INVALID_ARGUMENT",
    "IdleTimeout",
    "InternalServerError",
    "InvalidProviderToken",
    "InvalidPushType",
    "MethodNotAllowed",
    "MissingDeviceToken",
    "MissingProviderToken",
    "MissingPushType",
    "MissingTopic",
    "NOT_FOUND",
    "OUT_OF_RANGE",
    "PERMISSION_DENIED",
    "PayloadEmpty",
    "PayloadTooLarge",
    "QUOTA_EXCEEDED",
    "RESOURCE_EXHAUSTED",
    "SENDER_ID_MISMATCH",
    "ServiceUnavailable",
    "Shutdown",
    "THIRD_PARTY_AUTH_ERROR",
    "TooManyProviderTokenUpdates",
    "TooManyRequests",
    "TopicDisallowed",
    "TopicMismatch",
    "UNAUTHENTICATED",
    "UNAVAILABLE",
    "UNIMPLEMENTED",
    "UNKNOWN",
    "UNREGISTERED",
    "UNSPECIFIED_ERROR",
    "Unregistered",
    "UnrelatedKeyIdInToken",
    "UnsupportedMediaType",
    "gone",
    "HTTP 3xx",
    "HTTP 4xx",
    "HTTP 5xx",
    "timeout",
    "unreachable",
    "connection lost",
    "TLS",
    "token endpoint",
    "stub",
    "other",
];

/// How many of [`REASONS`] are vendors' own.
const WORDS: usize = 71;

/// Where a reason is in [`REASONS`]. A word that is not there, and whatever else a vendor writes, is `other`.
pub(super) fn reason(reason: &str) -> usize {
    let (words, ours) = REASONS.split_at(WORDS);
    // A status may be followed by an explanation.
    let status = reason.strip_prefix("HTTP ").and_then(|rest| rest.get(..3));
    let word = match status {
        Some(_) => reason.get(.."HTTP ".len() + 3).unwrap_or_default(),
        None => reason,
    };
    if let Ok(at) = words.binary_search(&word) {
        return at;
    }
    let ours_is = match status.map(str::as_bytes) {
        Some([b'3', b'0'..=b'9', b'0'..=b'9']) => "HTTP 3xx",
        Some([b'4', b'0'..=b'9', b'0'..=b'9']) => "HTTP 4xx",
        Some([b'5', b'0'..=b'9', b'0'..=b'9']) => "HTTP 5xx",
        _ if reason.starts_with("token endpoint") => "token endpoint",
        _ if reason.starts_with("timeout") || reason.contains(": timeout") => "timeout",
        _ if reason.starts_with("cannot reach ") => "unreachable",
        _ if reason.starts_with("the connection was lost") => "connection lost",
        _ if reason.starts_with("TLS: ") || reason.contains(": TLS: ") => "TLS",
        _ if reason.starts_with("stub: ") => "stub",
        _ => "other",
    };
    WORDS + ours.iter().position(|known| *known == ours_is).unwrap_or(ours.len() - 1)
}

#[cfg(test)]
#[path = "slots_tests.rs"]
mod tests;
