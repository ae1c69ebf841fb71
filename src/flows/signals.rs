//! The plain data between us and the bridge on a host: what it tells, what we order, what it answers.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::extensions::Extensions;
use crate::domain::ids::{Account, Domain, Node};
use crate::domain::outcome::Reason;
use crate::domain::redact::Words;
use crate::domain::refusal::Refusal;
use crate::domain::registration::{Options, RegistrationKey};
use crate::domain::session::{EndReason, Report, Sid};
use crate::domain::stanza::{Key, Stanza};
use crate::domain::time::Timestamp;

/// Events of one node of a host, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The node; empty on hosts that are one node.
    pub node: Arc<str>,
    /// Which start of the bridge.
    pub epoch: Arc<str>,
    /// The number of the first event; the next one has the next number.
    pub seq: u64,
    /// At least one.
    pub events: Vec<Event>,
}

/// Something that happened on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, by the host's clock.
    pub stamp: Option<Timestamp>,
    /// The `sync` that it is an answer to, if it is part of a snapshot.
    pub token: Option<Arc<str>>,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The bridge started.
    Hello,
    /// The snapshot is complete.
    Synced,
    /// Something about a session.
    Session {
        /// Whose.
        account: Account,
        /// The session, as it is by now.
        report: Box<Report>,
        /// What happened to it.
        turn: Turn,
        /// The stanzas it is about, the oldest first.
        stanzas: Vec<Queued>,
    },
    /// A message that the account received was stored in its archive.
    Archived {
        /// Whose archive.
        account: Account,
        /// The message.
        stanza: Box<Stanza>,
    },
    /// A message went to offline storage, or a room's message to the bare account.
    Offline {
        /// Whose.
        account: Account,
        /// The message.
        stanza: Box<Stanza>,
    },
    /// A step of a call's set-up that no archive will hold.
    Urgent {
        /// Whose call.
        account: Account,
        /// The message.
        stanza: Box<Stanza>,
        /// Whether a session of the account sent it.
        sent: bool,
    },
    /// Another module of the host asks for a wake.
    Ping {
        /// Whom.
        account: Account,
        /// Only registrations with this push service.
        service: Option<Box<str>>,
        /// Only registrations with this node.
        node: Option<Node>,
    },
    /// Messages came while nobody listened.
    Missed {
        /// Whose; `None` is anybody's.
        account: Option<Account>,
        /// How many.
        count: u32,
        /// The newest ones' keys.
        keys: Vec<Key>,
        /// The newest one.
        newest: Option<Box<Stanza>>,
    },
    /// The account is no more.
    UserDeleted {
        /// Which.
        account: Account,
    },
    /// The account owner sent `<enable/>` or `<disable/>` (XEP-0357 §5, §6).
    Registration {
        /// Whose.
        account: Account,
        /// The session that sent it.
        report: Box<Report>,
        /// What was sent.
        wish: Wish,
    },
    /// Something that a newer bridge tells. It has its number like the others.
    Unknown,
}

/// A stanza, and its number in the session it was sent to (XEP-0198).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// The number.
    pub n: Option<u32>,
    /// The stanza.
    pub stanza: Stanza,
}

/// What happened to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing: it is described.
    Described,
    /// It was bound.
    Bound,
    /// An acknowledgement is overdue.
    AckDelayed,
    /// It answered, after all.
    Acked,
    /// Its connection is gone.
    Hibernated,
    /// A stanza was queued for it.
    Queued,
    /// It was resumed.
    Resumed,
    /// It is over.
    Ended(EndReason),
}

/// What an account owner wants (XEP-0357 §5, §6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Push to this node of this service.
    Enable {
        /// The `jid`, verbatim, if it is a JID.
        service: Option<Box<str>>,
        /// The node; empty if there is none.
        node: Node,
        /// The publish-options.
        options: Option<Options>,
        /// What else it asks for, if anything.
        extensions: Option<Arc<Extensions>>,
    },
    /// Something that cannot be had: nothing changes.
    Refused(Refusal),
    /// No longer.
    Disable {
        /// The `jid`, verbatim, if it is a JID.
        service: Option<Box<str>>,
        /// Only this node.
        node: Option<Node>,
    },
}

/// Names an order, within this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(pub u64);

/// What a bridge is asked to do. Dies with the stream it is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Names the answer.
    pub id: OrderId,
    /// Which host.
    pub host: Domain,
    /// What.
    pub what: OrderKind,
}

/// What a bridge can be asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderKind {
    /// Say whether you are linked.
    Check,
    /// Link, and describe everything.
    Sync {
        /// Repeated by all that answers it.
        token: Arc<str>,
        /// When an acknowledgement is overdue.
        ack_delay: Duration,
    },
    /// Tell everything about these accounts.
    Watch {
        /// The list that is being built; `None` adds to all lists.
        list: Option<Arc<str>>,
        /// Whether the list is complete with this.
        complete: bool,
        /// Whom.
        accounts: Vec<Watched>,
    },
    /// Tell no more than the rest about these.
    Unwatch {
        /// Whom.
        accounts: Vec<Account>,
    },
    /// Set the resumption window of a hibernated session.
    Timeout {
        /// Whose.
        account: Account,
        /// Its resource.
        resource: Arc<str>,
        /// Which.
        sid: Sid,
        /// Of which hibernation: the host's own words.
        since: Arc<str>,
        /// From now; zero ends it.
        window: Duration,
    },
    /// Publish in the host's name (XEP-0357 §7).
    Relay {
        /// The registration it is for.
        to: RegistrationKey,
        /// What the service must be shown.
        options: Option<Options>,
        /// What it says.
        words: Words,
    },
}

/// An account that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Whose it is.
    pub account: Account,
    /// What is told of its messages beside their shapes.
    pub facts: Facts,
}

/// What is told of an account's messages beside their shapes, and leaves the host for nobody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Their texts.
    pub texts: bool,
    /// Whether their senders are on its roster.
    pub contacts: bool,
}

/// What a bridge answers to an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is linked.
    State(HostState),
    /// The session as it is now.
    Session(Box<Report>),
    /// What came of a publish.
    Relayed(Relayed),
    /// Done.
    Done,
    /// No. The error's type and condition.
    Refused(Reason, Reason),
    /// Nothing that can be understood.
    Unreadable,
}

/// A host with a bridge that is linked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostState {
    /// The `sync` it answers, if it answers one.
    pub token: Option<Arc<str>>,
    /// The host's software and version.
    pub software: Box<str>,
    /// The bridge's version.
    pub bridge: Box<str>,
    /// Its nodes.
    pub nodes: Vec<NodeState>,
}

/// A node of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeState {
    /// Its name; empty on hosts that are one node.
    pub name: Arc<str>,
    /// Which start of its bridge.
    pub epoch: Arc<str>,
    /// The number of the last event.
    pub seq: u64,
}

/// What came of a publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relayed {
    /// The service took it.
    Taken,
    /// The service answered with an error: its type and condition.
    Refused(Reason, Reason),
    /// The host could not send it: the condition.
    NotSent(Reason),
    /// No answer came.
    Silence,
}
