//! Decisions in plain words, for logs and for people who ask; and by short names, for metrics.

use std::fmt;
use std::time::Duration;

use super::circuit::Fault;
use super::decision::{About, Decided, How, Line, Matter, Objection, Owing, Place, Then, Trail};
use super::history::Entry;
use super::notice::Registered;
use crate::domain::device::GoneReason;
use crate::domain::refusal::{Later, Refusal};

/// The whole line but for its time and its account: `message from a contact, archived: not pushed to
/// push.example.org (node 1a2b3c4d): session "phone" is there`.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(about) = self.about {
            write!(f, "{about}: ")?;
        }
        write!(f, "{}: {}", self.place, self.what)?;
        match self.trail {
            Some(trail) => write!(f, " [{trail}]"),
            None => Ok(()),
        }
    }
}

/// The same, with how often it was so.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.times {
            1 => self.line.fmt(f),
            times => write!(f, "{} ({times} times)", self.line),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registration(service, node) => write!(f, "{service} (node {})", node.short()),
            Self::Device(app, node) => write!(f, "device of {app} (node {})", node.short()),
            Self::Session(resource) => write!(f, "session {:?}", &**resource),
            Self::Account => f.write_str("account"),
        }
    }
}

impl fmt::Display for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rules(number) => write!(f, "r{number}"),
            Self::Push(push) => write!(f, "p{}", push.0),
        }
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            Matter::Message => "message",
            Matter::RoomMessage => "message in a room",
            Matter::Correction => "correction",
            Matter::Invitation => "invitation",
            Matter::Silent => "message without text",
            Matter::Headline => "headline",
            Matter::Error => "error",
            Matter::Call => "call",
            Matter::CallStep => "step of a call",
            Matter::Subscription => "subscription request",
            Matter::Presence => "presence",
            Matter::Iq => "iq",
            Matter::Several(count) => return write!(f, "{count} messages while we were away"),
            Matter::Nothing => "request",
        };
        f.write_str(what)?;
        match self.contact {
            Some(true) => f.write_str(" from a contact")?,
            Some(false) => f.write_str(" from a stranger")?,
            None => {}
        }
        f.write_str(match self.how {
            How::Archived => ", archived",
            How::Offline => ", stored offline",
            How::Queued => ", in the queue of a session",
            How::Urgent => ", at once",
            How::Missed => ", missed",
            How::Ping => " of another module",
            How::Test => " for a test",
        })
    }
}

impl fmt::Display for Decided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pushed { class, stanzas: 0 } => write!(f, "a push goes out ({})", class.name()),
            Self::Pushed { class, stanzas: 1 } => write!(f, "pushed ({})", class.name()),
            Self::Pushed { class, stanzas } => write!(f, "one push for {stanzas} stanzas ({})", class.name()),
            Self::Waits { unlinked: true } => f.write_str("waits: its host is not linked"),
            Self::Waits { unlinked: false } => f.write_str("waits: its host or its push service is busy"),
            Self::HandedOver { took, silent: false, .. } => write!(f, "handed over in {}", Span(*took)),
            Self::HandedOver { took, silent: true, .. } => {
                write!(f, "no answer within {}; taken as handed over", Span(*took))
            }
            Self::NotTaken(reason) => write!(f, "its push service did not take it: {reason}"),
            Self::Known => f.write_str("not pushed: the same was pushed already"),
            Self::Worthless => f.write_str("not pushed: nothing that anybody would be woken for"),
            Self::Unwanted => f.write_str("not pushed: unimportant, and rules.unimportant is \"never\""),
            Self::Filtered(filter) => write!(f, "not pushed: the account owner's filter ({})", filter.name()),
            Self::HasSession(resource) => write!(f, "not pushed: session {:?} is there and hears of it", &**resource),
            Self::Disabled(why) => write!(f, "not pushed: the registration is disabled ({})", why.name()),
            Self::Cancelled => f.write_str("not pushed after all: the client has it, or is back, or the call is over"),
            Self::TooManyCalls => f.write_str("does not ring: too many calls within a minute; pushed as a message"),
            Self::Stretched(window) => write!(f, "may be resumed for {}: nobody woke its client yet", Span(*window)),
            Self::Shortened(window) => write!(f, "may be resumed for {} more: its client was woken", Span(*window)),
            Self::WokenBeforeEnd => f.write_str("its end is near: its client is woken"),
            Self::TooMany => f.write_str("is ended: too many sessions of the account hibernate"),
            Self::Overdue => f.write_str("is ended: its window is over"),
            Self::Resumed { woken: None } => f.write_str("is back"),
            Self::Resumed { woken: Some(span) } => write!(f, "is back, {} after a push", Span(*span)),
            Self::Registration(what) => what.fmt(f),
            Self::Refused(why) => write!(f, "publish refused: {why}"),
            Self::Merged(class) => write!(f, "{}: shares the fate of the push under way", class.name()),
            Self::Queued(class) => write!(f, "{}: waits with, or behind, another push", class.name()),
            Self::Owed(class, why) => write!(f, "{}: kept and pushed later: {why}", class.name()),
            Self::Accepted { class, took, .. } => {
                write!(f, "pushed ({}), the vendor took it in {}", class.name(), Span(*took))
            }
            Self::Withheld(class) => write!(f, "not pushed: the app wants no {} pushes", class.name()),
            Self::NotAccepted { reason, took, then } => {
                write!(f, "the vendor did not take it, after {}: {reason}; {then}", Span(*took))
            }
            Self::Expired(class) => write!(f, "{}: given up, of no use any more", class.name()),
        }
    }
}

impl fmt::Display for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enabled => f.write_str("enabled"),
            Self::Disabled(why) => write!(f, "disabled: {}", why.name()),
            Self::Revived => f.write_str("works again"),
            Self::Gone(why) => write!(f, "gone: {}", why.said()),
        }
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret => f.write_str("its secret is missing or wrong"),
            Self::Domain(domain) => write!(f, "{domain} may not publish to this device"),
            Self::Client => f.write_str("it came from a client, not from a server"),
            Self::Gone(why) => write!(f, "the device is gone: {}", why.said()),
            Self::Later(Later::DomainRate) => f.write_str("its domain publishes too fast (push.max_per_domain)"),
            Self::Later(Later::Full) => f.write_str("too much waits already"),
            Self::Later(Later::Store) => f.write_str("the store takes no writes"),
            Self::Later(Later::Vendor) => f.write_str("its vendor takes nothing, and it cannot be kept"),
            Self::Later(Later::Operator) => f.write_str("the vendor refuses our credentials"),
        }
    }
}

impl fmt::Display for Owing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interval => f.write_str("the device is left alone for a while (push.min_interval)"),
            Self::Circuit(Fault::Operator, reason) => write!(f, "the vendor refuses our credentials: {reason}"),
            Self::Circuit(Fault::Vendor, reason) => write!(f, "the vendor is out of order: {reason}"),
            Self::Crowd => f.write_str("too many wait"),
            Self::Silence => f.write_str("the vendor has not answered yet"),
        }
    }
}

impl fmt::Display for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Again => f.write_str("kept and tried again"),
            Self::Dropped => f.write_str("not kept"),
            Self::Gone(why) => write!(f, "the device is gone: {}", why.said()),
        }
    }
}

/// What an operator can do about a host that is not linked, by the condition of its answer: another sentence, or nothing.
#[must_use]
pub fn how_to_link(why: &str) -> &'static str {
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

impl GoneReason {
    /// In words.
    #[must_use]
    pub const fn said(self) -> &'static str {
        match self {
            Self::Owner => "its owner took it back (owner)",
            Self::MaxDevices => "newer ones took its place (max-devices)",
            Self::VendorGone => "the vendor says that the token is dead (vendor-gone)",
            Self::Errors => "it kept failing (errors)",
            Self::Admin => "an admin removed it (admin)",
            Self::AccountDeleted => "the account is no more (account-deleted)",
            Self::Expired => "it was not renewed for too long (expired)",
        }
    }
}

/// A span as people say it: `84 ms`, `1.2 s`, `10 min`, `72 h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        match self.0.as_secs() {
            0 => write!(f, "{millis} ms"),
            1..=9 if !millis.is_multiple_of(1000) => write!(f, "{:.1} s", self.0.as_secs_f64()),
            secs @ 0..=119 => write!(f, "{secs} s"),
            // To the nearest: what is a second short of three days is no two days.
            secs @ 120..=7199 => write!(f, "{} min", (secs + 30) / 60),
            secs @ 7200..=172_799 => write!(f, "{} h", (secs + 1800) / 3600),
            secs => write!(f, "{} days", (secs + 43_200) / 86_400),
        }
    }
}

impl Decided {
    /// A short name for metrics: one of a few, whoever it is about.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Pushed { .. } => "pushed",
            Self::Waits { unlinked: true } => "waits_unlinked",
            Self::Waits { unlinked: false } => "waits_busy",
            Self::HandedOver { silent: false, .. } => "handed_over",
            Self::HandedOver { silent: true, .. } => "silence",
            Self::NotTaken(_) => "not_taken",
            Self::Known => "duplicate",
            Self::Worthless => "worthless",
            Self::Unwanted => "unimportant",
            Self::Filtered(_) => "filtered",
            Self::HasSession(_) => "has_session",
            Self::Disabled(_) => "disabled",
            Self::Cancelled => "cancelled",
            Self::TooManyCalls => "too_many_calls",
            Self::Stretched(_) => "stretched",
            Self::Shortened(_) => "shortened",
            Self::WokenBeforeEnd => "woken_before_end",
            Self::TooMany => "too_many_hibernated",
            Self::Overdue => "overdue",
            Self::Resumed { .. } => "resumed",
            Self::Registration(Registered::Enabled) => "registration_enabled",
            Self::Registration(Registered::Disabled(_)) => "registration_disabled",
            Self::Registration(Registered::Revived) => "registration_revived",
            Self::Registration(Registered::Gone(_)) => "registration_gone",
            Self::Refused(Objection::Secret) => "wrong_secret",
            Self::Refused(Objection::Domain(_)) => "foreign_domain",
            Self::Refused(Objection::Client) => "from_client",
            Self::Refused(Objection::Gone(_)) => "device_gone",
            Self::Refused(Objection::Later(later)) => Refusal::TryLater(*later).name(),
            Self::Merged(_) => "merged",
            Self::Queued(_) => "queued",
            Self::Owed(_, Owing::Interval) => "owed_interval",
            Self::Owed(_, Owing::Circuit(Fault::Operator, _)) => "owed_operator",
            Self::Owed(_, Owing::Circuit(Fault::Vendor, _)) => "owed_vendor",
            Self::Owed(_, Owing::Crowd) => "owed_crowd",
            Self::Owed(_, Owing::Silence) => "owed_silence",
            Self::Accepted { .. } => "accepted",
            Self::Withheld(_) => "withheld",
            Self::NotAccepted { then: Then::Again, .. } => "retried",
            Self::NotAccepted { then: Then::Dropped, .. } => "dropped",
            Self::NotAccepted { then: Then::Gone(_), .. } => "gone",
            Self::Expired(_) => "expired",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::class::Class;
    use crate::domain::device::tests::device;
    use crate::domain::ids::{Account, AppName, Node, PushId};
    use crate::domain::time::Timestamp;

    #[test]
    fn lines_in_plain_words() {
        let line = |place, about, trail, what| Line {
            at: Timestamp::from_secs(0),
            account: Account::new("alice@example.org"),
            place,
            about,
            trail,
            what,
        };
        let node = device().node;
        let short = node.short();
        let registration = || Place::Registration("push.example.net".into(), node.clone());
        let message = About { what: Matter::Message, how: How::Archived, contact: Some(true) };
        let rows = [
            (
                line(registration(), Some(message), None, Decided::HasSession("phone".into())),
                format!(
                    "message from a contact, archived: push.example.net (node {short}): not pushed: session \"phone\" is \
                     there and hears of it"
                ),
            ),
            (
                line(
                    Place::Device(AppName::new("chat-ios"), Node::new("node-1")),
                    None,
                    Some(Trail::Push(PushId(42))),
                    Decided::Accepted {
                        class: Class::Important,
                        took: Duration::from_millis(84),
                        waited: Duration::from_millis(90),
                    },
                ),
                format!("device of chat-ios (node {short}): pushed (important), the vendor took it in 84 ms [p42]"),
            ),
            (
                line(
                    Place::Session("ph\"one".into()),
                    None,
                    None,
                    Decided::Resumed { woken: Some(Duration::from_millis(1234)) },
                ),
                "session \"ph\\\"one\": is back, 1.2 s after a push".to_owned(),
            ),
        ];
        for (line, said) in rows {
            assert_eq!(line.to_string(), said);
            assert_eq!(Entry { line, times: 3, first: Timestamp::default() }.to_string(), format!("{said} (3 times)"));
        }
    }

    #[test]
    fn spans_as_people_say_them() {
        let rows = [
            (0, "0 ms"),
            (999, "999 ms"),
            (1000, "1 s"),
            (1240, "1.2 s"),
            (119_999, "119 s"),
            (600_000, "10 min"),
            (7_199_999, "120 min"),
            (599_999, "10 min"),
            (259_199_000, "3 days"),
            (259_200_000, "3 days"),
            (172_799_000, "48 h"),
        ];
        for (millis, said) in rows {
            assert_eq!(Span(Duration::from_millis(millis)).to_string(), said);
        }
    }
}
