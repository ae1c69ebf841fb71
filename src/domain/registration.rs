//! A registration: what an account's `<enable/>` made (XEP-0357 §5), and what became of its pushes.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::device::Gone;
use super::extensions::Extensions;
use super::ids::{Account, Node};
use super::outcome::Reason;
use super::secret::Secret;
use super::stanza::Key;
use super::time::Timestamp;

/// How many stanza keys a registration remembers.
const KEYS: usize = 64;

/// What makes a registration the same one again.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistrationKey {
    /// Whose it is.
    pub account: Account,
    /// The push service: the `jid` of the `<enable/>`, verbatim.
    pub service: Arc<str>,
    /// The node there; empty if there was none.
    pub node: Node,
}

/// The node can be a secret: it is shown by its hash.
impl fmt::Debug for RegistrationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} ({:?})", self.account, self.service, self.node)
    }
}

/// Where pushes for an account go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// What names it.
    pub key: RegistrationKey,
    /// The publish-options that came with it, to be shown to the service with every publish.
    pub options: Option<Options>,
    /// What was asked for beside pushes; `None` if nothing was.
    pub extensions: Option<Arc<Extensions>>,
    /// Names the client that made it, across sessions, if there is such a name.
    pub client_id: Option<Arc<str>>,
    /// The resource that made it.
    pub resource: Arc<str>,
    /// First enable.
    pub made: Timestamp,
    /// Latest enable.
    pub renewed: Timestamp,
    /// Whether it is used.
    pub status: Status,
    /// What became of its pushes.
    pub record: Record,
}

/// A publish-options form, verbatim. It holds the secrets of its push service, so it does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Options {
    /// The `<x xmlns='jabber:x:data'>`, as XML that needs nothing around it.
    pub xml: Arc<str>,
    /// The value of its field `secret`.
    pub secret: Option<Secret>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Options(..)")
    }
}

/// Whether a registration is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is.
    Enabled,
    /// It failed too often: tried once a day, and removed after a week.
    Disabled {
        /// Since when.
        at: Timestamp,
        /// Why.
        why: DisabledReason,
    },
    /// It is not, and remembered only so that "why?" can be answered.
    Gone(Gone),
}

/// Why a registration was disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisabledReason {
    /// Its push service refused it too many times in a row.
    Errors,
    /// Its push service could not be reached, for days.
    Unreachable,
}

impl DisabledReason {
    /// The name shown to operators.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::Unreachable => "unreachable",
        }
    }
}

/// What is known of a registration's pushes. Facts, not promises: up to a second of them may be lost in a crash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// When a push last left for its service.
    pub last_push: Option<Timestamp>,
    /// When its service last took one.
    pub last_result: Option<Timestamp>,
    /// Why it did not take the latest one; `None` if it did.
    pub last_error: Option<Reason>,
    /// How many it refused in a row; "come again later" is no refusal.
    pub errors: u32,
    /// When that row began.
    pub errors_since: Option<Timestamp>,
    /// How many in a row did not reach it.
    pub unreached: u32,
    /// When that row began.
    pub unreached_since: Option<Timestamp>,
    /// Since it was disabled: when it was last tried.
    pub tried: Option<Timestamp>,
    /// What was pushed: the newest stanzas' keys, the newest last.
    pub keys: Keys,
}

/// The newest keys, so that the same stanza does not push again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(VecDeque<Key>);

impl Keys {
    /// Whether this key is among them.
    #[must_use]
    pub fn contains(&self, key: Key) -> bool {
        self.0.contains(&key)
    }

    /// Adds a key; the oldest makes room.
    pub fn add(&mut self, key: Key) {
        if self.contains(key) {
            return;
        }
        if self.0.len() >= KEYS {
            self.0.pop_front();
        }
        self.0.push_back(key);
    }

    /// All of them, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Key> {
        self.0.iter().copied()
    }
}

impl FromIterator<Key> for Keys {
    fn from_iter<I: IntoIterator<Item = Key>>(keys: I) -> Self {
        let mut all = Self::default();
        for key in keys {
            all.add(key);
        }
        all
    }
}

/// What came of a push, in the words of [`Record::judge`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The service took it.
    Taken,
    /// The service wants it later.
    Later(Reason),
    /// The service does not want it.
    Refused(Reason),
    /// It did not reach the service: the host could not send it.
    Unreached(Reason),
    /// No answer came: the service may have it.
    Silence,
    /// It never left, because the host is not linked: it goes again, and counts against nobody.
    Unsent,
    /// It was about a call that is over: it was taken back before it left, and counts neither for nor against anybody.
    TakenBack,
}

impl Said {
    /// Whether the push is with those who bring it to the client. One that got no answer may be.
    #[must_use]
    pub const fn is_handed_over(&self) -> bool {
        matches!(self, Self::Taken | Self::Silence)
    }
}

/// How long a service must be out of reach before its registrations are disabled.
const UNREACHED_FOR: Duration = Duration::from_secs(72 * 3600);

impl Record {
    /// Notes what came of a push; says whether, and why, the registration is to be disabled.
    ///
    /// "Later" never counts. A refusal counts, and so does, in a row of its own, not reaching the service; each word
    /// of the service ends the latter, and only its taking a push ends the former.
    pub fn judge(&mut self, said: &Said, max_errors: u32, now: Timestamp) -> Option<DisabledReason> {
        match said {
            Said::Unsent | Said::TakenBack => None,
            Said::Unreached(reason) => self.unreached(reason.clone(), max_errors, now),
            Said::Silence => self.unreached("no answer".into(), max_errors, now),
            Said::Taken => {
                self.spoke();
                (self.errors, self.errors_since, self.last_error) = (0, None, None);
                self.last_result = Some(now);
                None
            }
            Said::Later(reason) => {
                self.spoke();
                self.last_error = Some(reason.clone());
                None
            }
            Said::Refused(reason) => {
                self.spoke();
                self.last_error = Some(reason.clone());
                self.errors = self.errors.saturating_add(1);
                self.errors_since.get_or_insert(now);
                (self.errors >= max_errors).then_some(DisabledReason::Errors)
            }
        }
    }

    /// The same without what counts against it: it has been mended, or so somebody says.
    #[must_use]
    pub fn forgiven(&self) -> Self {
        Self { errors: 0, errors_since: None, unreached: 0, unreached_since: None, tried: None, ..self.clone() }
    }

    fn unreached(&mut self, reason: Reason, max_errors: u32, now: Timestamp) -> Option<DisabledReason> {
        self.last_error = Some(reason);
        self.unreached = self.unreached.saturating_add(1);
        let since = *self.unreached_since.get_or_insert(now);
        let long = self.unreached >= max_errors && now - since >= UNREACHED_FOR;
        long.then_some(DisabledReason::Unreachable)
    }

    fn spoke(&mut self) {
        (self.unreached, self.unreached_since) = (0, None);
    }
}

/// A disabled registration is tried this often.
pub const TRIED_EVERY: Duration = Duration::from_secs(24 * 3600);

/// A disabled registration is removed after this long.
pub const TRIED_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// What is to be done with a registration, and when, because of nothing but time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It has not been enabled again for too long.
    Expire,
    /// It is tried once more.
    Try,
    /// It was tried for long enough.
    GiveUp,
    /// It is no longer remembered.
    Forget,
}

impl Registration {
    /// Whether pushes go to it.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        matches!(self.status, Status::Enabled)
    }

    /// Whether it is more than a memory.
    #[must_use]
    pub const fn is_there(&self) -> bool {
        !matches!(self.status, Status::Gone(_))
    }

    /// What time will bring it next. `ttl`: how long it lives without being enabled again, if not for ever.
    #[must_use]
    pub fn fate(&self, ttl: Option<Duration>) -> Option<(Timestamp, Fate)> {
        let expires = ttl.map(|ttl| (self.renewed + ttl, Fate::Expire));
        match self.status {
            Status::Enabled => expires,
            Status::Disabled { at, .. } => {
                let given_up = (at + TRIED_FOR, Fate::GiveUp);
                let tried = (self.record.tried.unwrap_or(at).max(at) + TRIED_EVERY, Fate::Try);
                let next = if tried.0 < given_up.0 { tried } else { given_up };
                Some(expires.filter(|expires| expires.0 < next.0).unwrap_or(next))
            }
            Status::Gone(gone) => Some((gone.at + super::device::GONE_REMEMBERED, Fate::Forget)),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::device::GoneReason;

    const HOUR: i64 = 3600;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    pub(crate) fn registration() -> Registration {
        Registration {
            key: RegistrationKey {
                account: Account::new("alice@example.org"),
                service: "push.third.example".into(),
                node: Node::new("node-1"),
            },
            options: None,
            extensions: None,
            client_id: None,
            resource: "phone".into(),
            made: at(1000),
            renewed: at(1000),
            status: Status::Enabled,
            record: Record::default(),
        }
    }

    #[test]
    fn sixteen_refusals_in_a_row_disable_and_later_never_counts() {
        let mut record = Record::default();
        for n in 1..16 {
            assert_eq!(record.judge(&Said::Refused("item-not-found".into()), 16, at(n)), None);
        }
        for n in 20..120 {
            assert_eq!(record.judge(&Said::Later("resource-constraint".into()), 16, at(n)), None);
        }
        assert_eq!((record.errors, record.errors_since), (15, Some(at(1))));
        let mut other = record.clone();
        let last = record.judge(&Said::Refused("item-not-found".into()), 16, at(200));
        assert_eq!(last, Some(DisabledReason::Errors));

        let before = other.clone();
        for said in [Said::Unsent, Said::TakenBack] {
            assert_eq!(other.judge(&said, 16, at(150)), None);
            assert!(!said.is_handed_over() && other == before, "{said:?} counts neither for nor against anybody");
        }
        assert_eq!(other.judge(&Said::Taken, 16, at(200)), None);
        let taken = Record { last_result: Some(at(200)), ..Record::default() };
        assert_eq!(other, taken);
    }

    #[test]
    fn out_of_reach_takes_three_days_and_nothing_else_in_between() {
        let down = || Said::Unreached("remote-server-not-found".into());
        let mut record = Record::default();
        for hour in 0..72 {
            assert_eq!(record.judge(&down(), 16, at(hour * HOUR)), None);
        }
        let mut other = record.clone();
        assert_eq!(record.judge(&down(), 16, at(72 * HOUR)), Some(DisabledReason::Unreachable));
        // It spoke: that it refuses is another row.
        assert_eq!(other.judge(&Said::Refused("x".into()), 16, at(72 * HOUR)), None);
        assert_eq!((other.unreached, other.errors), (0, 1));
        assert_eq!(other.judge(&down(), 16, at(100 * HOUR)), None);
        // Long, but not often.
        let mut seldom = Record::default();
        assert_eq!(seldom.judge(&down(), 16, at(0)), None);
        assert_eq!(seldom.judge(&down(), 16, at(100 * HOUR)), None);
    }

    #[test]
    fn the_oldest_key_makes_room() {
        let mut keys: Keys = (0..64).map(Key).collect();
        keys.add(Key(0));
        assert!(keys.contains(Key(0)));
        keys.add(Key(64));
        assert!(!keys.contains(Key(0)) && keys.contains(Key(1)) && keys.contains(Key(64)));
        assert_eq!(keys.iter().count(), 64);
    }

    #[test]
    fn what_time_brings() {
        let day = 24 * HOUR;
        let with = |status, tried| {
            let record = Record { tried, ..Record::default() };
            Registration { status, record, ..registration() }
        };
        let disabled = |tried| with(Status::Disabled { at: at(5000), why: DisabledReason::Errors }, tried);
        let gone = with(Status::Gone(Gone { at: at(5000), why: GoneReason::Owner }), None);
        let ttl = Some(Duration::from_secs(3 * 24 * 3600));
        let rows = [
            (registration(), None, None),
            (registration(), ttl, Some((at(1000 + 3 * day), Fate::Expire))),
            (disabled(None), None, Some((at(5000 + day), Fate::Try))),
            (disabled(Some(at(6000 + day))), None, Some((at(6000 + 2 * day), Fate::Try))),
            (disabled(Some(at(5000 + 6 * day))), None, Some((at(5000 + 7 * day), Fate::GiveUp))),
            (disabled(Some(at(5000 + 6 * day))), ttl, Some((at(1000 + 3 * day), Fate::Expire))),
            (gone, ttl, Some((at(5000 + 90 * day), Fate::Forget))),
        ];
        for (registration, ttl, expected) in rows {
            assert_eq!(registration.fate(ttl), expected, "{registration:?}");
        }
    }

    #[test]
    fn neither_node_nor_options_nor_key_print() {
        let options = Options { xml: "<x>hunter2</x>".into(), secret: Some(Secret::new("hunter2")) };
        let extensions = crate::domain::extensions::tests::full().kept();
        let registration = Registration { options: Some(options), extensions, ..registration() };
        let shown = format!("{registration:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("node-1"), "{shown}");
        assert!(shown.contains("SealKey(..)"), "{shown}");
    }
}
