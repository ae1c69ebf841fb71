//! Changes that live in memory only: what is under way, who waits, and what limits were drawn upon.

use std::sync::Arc;

use super::circuit::Circuit;
use super::commands::sessions::Session;
use super::commands::{Trial, Waits};
use super::data::Waiter;
use super::decision::Line;
use super::hosts::HostMemory;
use super::lane::{Lane, LaneKind, Load};
use super::live::Live;
use super::policy::Policy;
use super::status::Vitals;
use crate::domain::device::Device;
use crate::domain::ids::{Account, AppName, Domain, Node};
use crate::domain::outcome::Reason;
use crate::domain::rate::Bucket;
use crate::domain::registration::RegistrationKey;
use crate::domain::time::{Moment, Timestamp};

/// A change that lives in memory only.
#[derive(Clone, Debug, PartialEq)]
pub enum Memory {
    /// A limit was drawn upon.
    Drawn(Limit, Bucket, Moment),
    /// Something is to be delivered in a lane where nothing was.
    Begun {
        /// The device.
        node: Node,
        /// The lane.
        kind: LaneKind,
        /// What, and who waits.
        lane: Box<Lane>,
    },
    /// A lane goes on, in the place of what it was.
    Moved {
        /// The device.
        node: Node,
        /// The lane.
        kind: LaneKind,
        /// What it is from now on. Nobody waits in it who did not before.
        lane: Box<Lane>,
    },
    /// Another publish shares the fate of the push under way.
    Joined {
        /// The device.
        node: Node,
        /// The lane.
        kind: LaneKind,
        /// Who waits, if somebody does.
        waiter: Option<Box<Waiter>>,
        /// What the push is to say, should it go again.
        latest: Box<Load>,
    },
    /// A publish is merged into what waits.
    Queued {
        /// The device.
        node: Node,
        /// The lane.
        kind: LaneKind,
        /// What.
        load: Box<Load>,
        /// Who waits, if somebody does.
        waiter: Option<Box<Waiter>>,
    },
    /// What is to be delivered is in the outbox.
    Promised {
        /// The device.
        node: Node,
        /// The lane.
        kind: LaneKind,
        /// What is under way.
        lane: bool,
        /// What goes next.
        next: bool,
    },
    /// The call that is under way to a device is over.
    HungUp(Node),
    /// A push went to a device.
    Sent(Node, Moment),
    /// A device that nobody registered, or what became of it.
    Guest(Box<Device>),
    /// A device that nobody registered makes room.
    GuestLeft(Node),
    /// The vendor of this app spoke of a push: a slot is free.
    Spoke {
        /// The app.
        app: AppName,
        /// When.
        at: Moment,
        /// How many pushes in a row it was in no state to take, and since when.
        failing: Option<(u32, Moment)>,
        /// What it said, if it did not take the push.
        error: Option<Box<(Timestamp, Reason)>>,
    },
    /// Nothing is under way in this lane any more, and nothing waits in it.
    Ended {
        /// The device.
        node: Node,
        /// The lane.
        kind: LaneKind,
    },
    /// Tickets read at or before this moment were answered for lateness.
    Late {
        /// The device.
        node: Node,
        /// The lane.
        kind: LaneKind,
        /// The moment.
        taken: Moment,
    },
    /// All tickets read at or before this moment were looked for.
    LookedFor(Moment),
    /// Whether clients must not find an app, because the vendor refuses its credentials.
    Withdrawn(AppName, bool),
    /// An app's pushes are kept back, or no longer.
    Circuit(AppName, Option<Box<Circuit>>),
    /// When an app's credentials end.
    Expires(AppName, Timestamp),
    /// How often that was said.
    ExpirySaid(AppName, usize),
    /// What is going on with an account.
    Live(Account, Arc<Live>),
    /// What is known of a host.
    Host(Domain, HostMemory),
    /// Numbers below this one are given out.
    Numbered(u64),
    /// These registrations are to be woken, one after the other.
    ToWake(Vec<RegistrationKey>),
    /// Whether the store takes no writes: then nothing is done that would only be undone when it does again.
    ReadOnly(bool),
    /// A command is under way, so far.
    Command(Box<Session>),
    /// One is over.
    CommandOver(u64),
    /// A test push is under way.
    Testing(Box<Trial>),
    /// One was reported.
    Tested(u64),
    /// Somebody waits for the configuration to be read again.
    Reloading(Box<Waits>),
    /// Those of the first so many wishes were told what came of it.
    ReloadTold(u64),
    /// What is known of the process and its link.
    Vitals(Box<Vitals>),
    /// The operator's settings from now on.
    Policy(Box<Policy>),
    /// An app's pushes go a new way, of which nothing is known but when its credentials end, if they do.
    Renewed(AppName, Option<Timestamp>),
    /// Whether there is a stream to the hosts' server.
    Stream(bool),
    /// Something was decided: for those who ask why a phone was, or was not, woken.
    Noted(Box<Line>),
    /// So many of them are being woken, and no more before that moment.
    Waking(usize, Moment),
}

/// Which limit was drawn upon, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Publishes of a domain.
    Publishing(Domain),
    /// Registrations from a domain.
    RegisteringDomain(Domain),
    /// Registrations of an account.
    RegisteringAccount(Account),
    /// Calls to a device.
    RingingDevice(Node),
    /// Calls to an account.
    RingingAccount(Account),
    /// Enabling by an account.
    Enabling(Account),
    /// Test pushes that an account asks for.
    Testing(Account),
    /// Calls for a registration.
    RingingRegistration(Box<RegistrationKey>),
}
