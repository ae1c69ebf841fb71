//! Changes that live in memory only: what is under way, who waits, and what limits were drawn upon.

use std::sync::Arc;

use super::data::Waiter;
use super::hosts::HostMemory;
use super::lane::{Lane, LaneKind};
use super::live::Live;
use crate::domain::class::Class;
use crate::domain::device::Device;
use crate::domain::ids::{Account, AppName, Domain, Node};
use crate::domain::outcome::Reason;
use crate::domain::push::Content;
use crate::domain::rate::Bucket;
use crate::domain::registration::RegistrationKey;
use crate::domain::time::{Moment, Timestamp};

/// A change that lives in memory only.
#[derive(Clone, Debug, PartialEq)]
pub enum Memory {
    /// A limit was drawn upon.
    Drawn(Limit, Bucket, Moment),
    /// A push goes to its vendor.
    Begun {
        /// The device.
        node: Node,
        /// The push; what was under way before in this lane is over.
        lane: Box<Lane>,
    },
    /// Another publish shares the verdict of the push under way.
    Joined {
        /// The device.
        node: Node,
        /// The lane.
        kind: LaneKind,
        /// Who waits.
        waiter: Waiter,
    },
    /// A publish waits behind the push under way, merged with what waits there already.
    Queued {
        /// The device.
        node: Node,
        /// What it is about; also names the lane.
        class: Class,
        /// What it may say.
        content: Content,
        /// When a server asked for it.
        published: Timestamp,
        /// Who waits.
        waiter: Waiter,
    },
    /// A device that nobody registered, or what became of it.
    Guest(Box<Device>),
    /// A device that nobody registered makes room.
    GuestLeft(Node),
    /// The vendor of this app spoke of a push: a slot is free.
    Spoke(AppName, Moment),
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
    /// The vendor refuses an app's credentials, or no longer.
    Circuit(AppName, Option<Reason>),
    /// Whether clients must not find an app, because the vendor refuses its credentials.
    Withdrawn(AppName, bool),
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
    /// Calls for a registration.
    RingingRegistration(RegistrationKey),
}
