//! What is decided about stanzas, registrations, sessions and pushes, and why: noted where it is decided.

use std::sync::Arc;
use std::time::Duration;

use super::circuit::Fault;
use super::data::Step;
use super::memory::Memory;
use super::notice::Registered;
use super::state::DeviceView;
use crate::domain::class::Class;
use crate::domain::device::GoneReason;
pub use crate::domain::device::Objection;
use crate::domain::filter::Filter;
use crate::domain::ids::{Account, AppName, Node, PushId};
use crate::domain::outcome::Reason;
use crate::domain::registration::{DisabledReason, RegistrationKey};
use crate::domain::stanza::{JingleStep, Kind, Stanza};
use crate::domain::time::{Now, Timestamp};

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
    pub(super) fn noted(&mut self, device: DeviceView<'_>, push: Option<PushId>, now: Now, what: Decided) {
        let place = Place::Device(device.app().clone(), device.node());
        let (account, trail) = (device.owner(), push.map(Trail::Push));
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
