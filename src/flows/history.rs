//! The last decisions, in memory: why a phone was, or was not, woken.
//!
//! Bounded twice: an account's newest lines, so that a busy one pushes nobody else out, and all lines together, of which
//! the accounts that nothing happened to for longest make room.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::circuit::Fault;
use super::data::Step;
use super::memory::Memory;
use super::notice::Registered;
use crate::domain::class::Class;
pub use crate::domain::device::Objection;
use crate::domain::device::{Device, GoneReason};
use crate::domain::filter::Filter;
use crate::domain::ids::{Account, AppName, Node, PushId};
use crate::domain::outcome::Reason;
use crate::domain::registration::{DisabledReason, RegistrationKey};
use crate::domain::stanza::{JingleStep, Kind, Stanza};
use crate::domain::time::{Now, Timestamp};

/// How many lines an account has.
pub const LINES_PER_ACCOUNT: usize = 50;

/// How many there are of all accounts together.
pub const LINES: usize = 50_000;

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: Timestamp,
    /// Whom it is about.
    pub account: Account,
    /// What of the account's it is about.
    pub place: Place,
    /// The stanza that gave reason to decide, if one did.
    pub about: Option<About>,
    /// The push, under the name that it has at the place.
    pub trail: Option<Trail>,
    /// What was decided.
    pub what: Decided,
}

/// What of an account's a decision is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A registration: its push service and its node there.
    Registration(Arc<str>, Node),
    /// A device of our own push service.
    Device(AppName, Node),
    /// A session, by its resource.
    Session(Arc<str>),
    /// Nothing in particular.
    Account,
}

impl Place {
    /// A registration.
    #[must_use]
    pub fn of(key: &RegistrationKey) -> Self {
        Self::Registration(key.service.clone(), key.node.clone())
    }
}

/// Names a push in the log, and from one place to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trail {
    /// One that the rules sent: `r17`.
    Rules(u64),
    /// One that went to a vendor: `p42`.
    Push(PushId),
}

/// What gave reason to decide: never who wrote, or what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// What it was.
    pub what: Matter,
    /// How we heard of it.
    pub how: How,
    /// Whether its sender is on the account's roster, if the host said so.
    pub contact: Option<bool>,
}

/// What a stanza was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matter {
    /// Somebody wrote.
    Message,
    /// Somebody wrote in a room.
    RoomMessage,
    /// Somebody corrected what they wrote.
    Correction,
    /// Somebody invites into a room.
    Invitation,
    /// A message without a text: a receipt, a chat state, a marker.
    Silent,
    /// A headline.
    Headline,
    /// An error.
    Error,
    /// Somebody calls.
    Call,
    /// Another step of a call.
    CallStep,
    /// Somebody asks to see the account's presence.
    Subscription,
    /// Any other presence.
    Presence,
    /// An iq.
    Iq,
    /// Several, of which only a count came.
    Several(u32),
    /// None: another part of the host asked.
    Nothing,
}

impl Matter {
    /// What a stanza was.
    #[must_use]
    pub fn of(stanza: &Stanza) -> Self {
        match (&stanza.jingle, stanza.kind) {
            (Some(jingle), _) if jingle.step == JingleStep::Propose => Self::Call,
            (Some(_), _) => Self::CallStep,
            (None, Kind::Error) => Self::Error,
            (None, Kind::Subscribe) => Self::Subscription,
            (None, Kind::Presence) => Self::Presence,
            (None, Kind::Iq) => Self::Iq,
            (None, Kind::Headline) => Self::Headline,
            (None, _) if stanza.invitation => Self::Invitation,
            (None, _) if stanza.correction => Self::Correction,
            (None, kind) if stanza.encrypted || stanza.body.is_some() => match kind {
                Kind::Groupchat => Self::RoomMessage,
                _ => Self::Message,
            },
            (None, _) => Self::Silent,
        }
    }
}

impl Step {
    /// Notes what became of a push for a device.
    pub(super) fn noted(&mut self, device: &Device, push: Option<PushId>, now: Now, what: Decided) {
        let place = Place::Device(device.key.app.clone(), device.node.clone());
        let (account, trail) = (device.owner.clone(), push.map(Trail::Push));
        self.remember(Memory::Noted(Box::new(Line { at: now.wall, account, place, about: None, trail, what })));
    }
}

/// How we heard of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It went into the archive.
    Archived,
    /// It went into offline storage.
    Offline,
    /// It waits in the queue of a session.
    Queued,
    /// It cannot wait.
    Urgent,
    /// It came while nobody listened.
    Missed,
    /// Another module of the host wants a wake.
    Ping,
    /// Somebody asked for a test.
    Test,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decided {
    /// A push goes out.
    Pushed {
        /// Its class.
        class: Class,
        /// For how many stanzas.
        stanzas: usize,
    },
    /// A push waits until one more may go.
    Waits {
        /// Whether that is because its host is not linked; else its host, or its push service, is busy.
        unlinked: bool,
    },
    /// Its service took it, or did not answer in time.
    HandedOver {
        /// How long that took.
        took: Duration,
        /// Whether it did not answer in time.
        silent: bool,
        /// Whether its host carried it to a third party's service.
        relayed: bool,
    },
    /// Its service did not take it.
    NotTaken(Reason),
    /// Not pushed: the same stanza was, or is about to be.
    Known,
    /// Not pushed: it is worth none.
    Worthless,
    /// Not pushed: the operator wants none for what is unimportant (`rules.unimportant`).
    Unwanted,
    /// Not pushed: the account owner wants none for it.
    Filtered(Filter),
    /// Not pushed: the client has a session, connected or hibernated, and hears of it there.
    HasSession(Arc<str>),
    /// Not pushed: the registration is disabled.
    Disabled(DisabledReason),
    /// What was collected is not pushed: the client has it, or is back.
    Cancelled,
    /// A call that does not ring, for there were too many; it is pushed as a message is.
    TooManyCalls,
    /// The session may be resumed for that long: nobody has woken its client yet.
    Stretched(Duration),
    /// The session may be resumed for that long: its client was woken.
    Shortened(Duration),
    /// The end of its window is near: its client is woken.
    WokenBeforeEnd,
    /// It is ended: the account has too many that hibernate.
    TooMany,
    /// It is ended: its window is over.
    Overdue,
    /// Its client is back on it.
    Resumed {
        /// How long after the last push for it, if there was one while it hibernated.
        woken: Option<Duration>,
    },
    /// Something became of a registration.
    Registration(Registered),
    /// A publish was not served.
    Refused(Objection),
    /// It shares the fate of the push under way.
    Merged(Class),
    /// It waits behind the push under way, or with what waits already.
    Queued(Class),
    /// It is kept, and goes later.
    Owed(Class, Owing),
    /// The vendor took it.
    Accepted {
        /// Its class.
        class: Class,
        /// How long the vendor took.
        took: Duration,
        /// How long it was since it was asked for.
        waited: Duration,
    },
    /// The app wants no pushes of this class.
    Withheld(Class),
    /// The vendor did not take it.
    NotAccepted {
        /// The vendor's word.
        reason: Reason,
        /// How long the vendor took.
        took: Duration,
        /// What that means for the device.
        then: Then,
    },
    /// It was of no use any more before its vendor took it.
    Expired(Class),
}

/// Why a push is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owing {
    /// `push.min_interval` is not over.
    Interval,
    /// Its app's circuit is open.
    Circuit(Fault, Reason),
    /// Too many wait.
    Crowd,
    /// Its vendor did not answer in time.
    Silence,
}

/// What becomes of a device that a vendor did not take a push for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The push is kept and tried again.
    Again,
    /// Nothing is kept.
    Dropped,
    /// The device is gone.
    Gone(GoneReason),
}

/// A line as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The newest of the same.
    pub line: Line,
    /// How many there were in a row.
    pub times: u32,
    /// When the first of them was.
    pub first: Timestamp,
}

/// All lines.
#[derive(Debug, Default)]
pub struct History {
    accounts: HashMap<Account, Lines>,
    /// Accounts in the order in which they make room, but that one which something happened to since gets another turn.
    order: VecDeque<Account>,
    total: usize,
}

#[derive(Debug, Default)]
struct Lines {
    entries: VecDeque<Entry>,
    touched: bool,
}

impl History {
    /// An account's lines, the oldest first.
    pub fn of(&self, account: &Account) -> impl DoubleEndedIterator<Item = &Entry> {
        self.accounts.get(account).into_iter().flat_map(|lines| &lines.entries)
    }

    /// How many lines there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.total
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.total == 0
    }

    pub(super) fn note(&mut self, line: &Line) {
        self.note_within(line, LINES);
    }

    fn note_within(&mut self, line: &Line, most: usize) {
        if let Some(lines) = self.accounts.get_mut(&line.account) {
            lines.touched = true;
            if lines.entries.back_mut().is_some_and(|last| last.takes(line)) {
                return;
            }
            if lines.entries.len() >= LINES_PER_ACCOUNT {
                lines.entries.pop_front();
                self.total -= 1;
            }
            lines.entries.push_back(Entry::new(line));
        } else {
            let lines = Lines { entries: VecDeque::from([Entry::new(line)]), touched: false };
            self.accounts.insert(line.account.clone(), lines);
            self.order.push_back(line.account.clone());
        }
        self.total += 1;
        while self.total > most {
            self.make_room();
        }
    }

    fn make_room(&mut self) {
        let Some(account) = self.order.pop_front() else { return };
        let Some(lines) = self.accounts.get_mut(&account) else { return };
        if std::mem::take(&mut lines.touched) {
            return self.order.push_back(account);
        }
        self.total -= lines.entries.len();
        self.accounts.remove(&account);
    }
}

impl Entry {
    fn new(line: &Line) -> Self {
        Self { line: line.clone(), times: 1, first: line.at }
    }

    /// Takes a line that says the same again.
    fn takes(&mut self, next: &Line) -> bool {
        let same = self.line.what == next.what && self.line.place == next.place && self.line.about == next.about;
        // A push that has a name is one of its own.
        if !same || self.line.trail != next.trail {
            return false;
        }
        self.times = self.times.saturating_add(1);
        self.line.at = next.at;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(account: &str, secs: i64, what: Decided) -> Line {
        Line {
            at: Timestamp::from_secs(secs),
            account: Account::new(account),
            place: Place::Account,
            about: None,
            trail: None,
            what,
        }
    }

    fn said(history: &History, account: &str) -> Vec<(Decided, u32, u64, u64)> {
        let account = Account::new(account);
        let all = history.of(&account);
        all.map(|entry| (entry.line.what.clone(), entry.times, entry.first.secs(), entry.line.at.secs())).collect()
    }

    #[test]
    fn the_same_in_a_row_is_one_line_with_a_count() {
        let mut history = History::default();
        for (secs, what) in
            [(1, Decided::Worthless), (2, Decided::Worthless), (3, Decided::Known), (4, Decided::Worthless)]
        {
            history.note(&line("a@x", secs, what));
        }
        let expected = [(Decided::Worthless, 2, 1, 2), (Decided::Known, 1, 3, 3), (Decided::Worthless, 1, 4, 4)];
        assert_eq!(said(&history, "a@x"), expected);
        assert_eq!(history.len(), 3);
    }

    #[test]
    fn pushes_with_names_of_their_own_are_lines_of_their_own() {
        let mut history = History::default();
        for push in [1, 2] {
            history.note(&Line { trail: Some(Trail::Rules(push)), ..line("a@x", 1, Decided::Known) });
        }
        assert_eq!(history.len(), 2);
    }

    #[test]
    fn an_account_keeps_its_newest_lines() {
        let mut history = History::default();
        for n in 0..60 {
            history.note(&line("a@x", n, Decided::Stretched(Duration::from_secs(n.unsigned_abs()))));
        }
        let all = said(&history, "a@x");
        assert_eq!((all.len(), all[0].2, all[49].2, history.len()), (50, 10, 59, 50));
    }

    #[test]
    fn of_all_accounts_those_that_nothing_happened_to_make_room() {
        let mut history = History::default();
        let mut note = |account: &str, secs| {
            let what = Decided::Stretched(Duration::from_secs(secs));
            history.note_within(&line(account, 0, what), 4);
            history.len()
        };
        assert_eq!(["a@x", "b@x", "a@x", "c@x"].map(|account| note(account, 0)), [1, 2, 2, 3]);
        assert_eq!([note("a@x", 1), note("d@x", 0)], [4, 4], "b makes room, for a was touched since");
        assert_eq!(history.of(&Account::new("b@x")).count(), 0);
        assert_eq!(["a@x", "c@x", "d@x"].map(|account| history.of(&Account::new(account)).count()), [2, 1, 1]);
        assert_eq!(history.order.len(), history.accounts.len());
    }
}
