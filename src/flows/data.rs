//! The plain data between the edges and the flows.

use std::sync::Arc;

use crate::domain::app::Credentials;
use crate::domain::device::{Access, Device, Fact};
use crate::domain::ids::{Account, AppName, DeviceHash, Domain, Node};
use crate::domain::outcome::Verdict;
use crate::domain::publish::Publish;
use crate::domain::push::Push;
use crate::domain::refusal::Refusal;
use crate::domain::registration::{Fate, Record, Registration, RegistrationKey, Said};
use crate::domain::secret::{DeviceToken, Secret};
use crate::domain::session::{Report, Sid};
use crate::domain::time::Moment;

pub use super::commands::data as commands;
use super::commands::data::{Asked, Shown};
pub use super::decision::{About, Decided, How, Line, Matter, Objection, Owing, Place, Then, Trail};
pub use super::lane::{LaneKind, Load};
use super::memory::Memory;
pub use super::notice::{Notice, Registered};
use super::policy::Policy;
use super::signals::{Batch, Event, Order, OrderId, Reply, Wish};
pub use super::status::{AppStatus, HostStatus, Status, Vitals};

/// What came in from the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A server wants a device notified.
    Publish {
        /// Where the answer goes.
        ticket: Ticket,
        /// What it wants.
        publish: Publish,
    },
    /// An app registers a device.
    Register {
        /// Where the answer goes.
        ticket: Ticket,
        /// What it registers.
        registration: DeviceRegistration,
    },
    /// An app takes a device back.
    Unregister {
        /// Where the answer goes.
        ticket: Ticket,
        /// Which one.
        unregistration: DeviceUnregistration,
    },
    /// A vendor spoke, or was silent for too long.
    Verdict(Verdict),
    /// The link to the host's server is up, or no longer.
    Link(bool),
    /// A bridge told something.
    Signals {
        /// Where the answer goes.
        ticket: Ticket,
        /// The bridge's host.
        host: Domain,
        /// What it told.
        batch: Batch,
    },
    /// A client of a host of ours sent `<enable/>` or `<disable/>` to us, not to its own account.
    Wish {
        /// Where the answer goes.
        ticket: Ticket,
        /// Whose client.
        account: Account,
        /// Its resource.
        resource: Arc<str>,
        /// What was sent.
        wish: Wish,
    },
    /// A bridge answered an order.
    Reply {
        /// The bridge's host.
        host: Domain,
        /// Which order.
        order: OrderId,
        /// What it said.
        reply: Reply,
    },
    /// Somebody uses a command.
    Command {
        /// Where the answer goes.
        ticket: Ticket,
        /// Who asks, by bare JID.
        asker: Account,
        /// What.
        asked: Box<Asked>,
    },
    /// Somebody asks how all of it stands.
    Status {
        /// Where the answer goes.
        ticket: Ticket,
    },
    /// The configuration was read again.
    Reloaded(Box<Reloaded>),
    /// One step leads to another.
    Inner(Inner),
    /// Time passed.
    Tick,
    /// The process ends: what is under way has had its time.
    Stop,
}

/// What one step hands to the next, so that each sees what the one before it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inner {
    /// Something happened on a host.
    Event {
        /// The host.
        host: Domain,
        /// Its node.
        node: Arc<str>,
        /// What.
        event: Box<Event>,
        /// Where the answer to a registration goes.
        ticket: Option<Box<Ticket>>,
    },
    /// A push for an account goes to a device of our own, as if its host had published it.
    Push {
        /// The registration.
        registration: RegistrationKey,
        /// Names the push there.
        flight: u64,
        /// What is published.
        publish: Box<Publish>,
    },
    /// A test push goes to a device of our own.
    Trial {
        /// Names it.
        number: u64,
        /// What is published.
        publish: Box<Publish>,
    },
    /// Something came of a test push.
    Tried {
        /// Which.
        number: u64,
        /// What.
        said: Said,
    },
    /// What came of a push for an account.
    Settled {
        /// The registration.
        registration: RegistrationKey,
        /// Names the push there.
        flight: u64,
        /// What came of it.
        said: Said,
    },
    /// An app may have a free slot for what waits.
    Drain(AppName),
    /// A host may have room for a relay that waits.
    Pump(Domain),
    /// The snapshot of a host's node is complete.
    Synced {
        /// The host.
        host: Domain,
        /// Its node.
        node: Arc<str>,
    },
    /// Nobody knows whose messages came to a host while nobody listened.
    MissedAll(Domain),
    /// The store was loaded again.
    Reloaded,
    /// Apps may have other credentials than before.
    Credentials,
    /// A host is linked from the start: it is new, or must be told anew what to tell.
    Relink(Domain),
    /// The relays that an account had on their way were lost with the stream.
    Lost(Account),
    /// Time brought something to an account.
    Due(Account),
    /// Time brought something to a host.
    HostDue(Domain),
    /// Time brought something to a registration.
    Fate(RegistrationKey, Fate),
    /// A registration is woken if its client is still away, whatever happened.
    Wake(RegistrationKey),
    /// A session's host answered an order about its window.
    Window {
        /// Whose session.
        account: Account,
        /// Which session.
        sid: Sid,
        /// As it is now; `None` if it is no more, or not as we thought.
        report: Option<Box<Report>>,
    },
    /// A session is not there any more.
    Vanished {
        /// Whose.
        account: Account,
        /// Which.
        sid: Sid,
        /// Whether its registrations are to be woken for it.
        wake: bool,
    },
}

impl Input {
    /// A short name for metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Publish { .. } => "publish",
            Self::Register { .. } => "register",
            Self::Unregister { .. } => "unregister",
            Self::Verdict(_) => "verdict",
            Self::Link(_) => "link",
            Self::Signals { .. } => "signals",
            Self::Wish { .. } => "enable",
            Self::Command { .. } => "command",
            Self::Reply { .. } => "reply",
            Self::Status { .. } => "status",
            Self::Reloaded(_) => "reload",
            Self::Inner(_) => "inner",
            Self::Tick => "tick",
            Self::Stop => "stop",
        }
    }

    /// The iq that waits for an answer to it, if one does.
    #[must_use]
    pub fn into_ticket(self) -> Option<Ticket> {
        match self {
            Self::Publish { ticket, .. } | Self::Register { ticket, .. } | Self::Unregister { ticket, .. } => {
                Some(ticket)
            }
            Self::Signals { ticket, .. } | Self::Wish { ticket, .. } => Some(ticket),
            Self::Command { ticket, .. } | Self::Status { ticket } => Some(ticket),
            Self::Reloaded(_)
            | Self::Verdict(_)
            | Self::Link(_)
            | Self::Reply { .. }
            | Self::Inner(_)
            | Self::Tick
            | Self::Stop => None,
        }
    }
}

/// An iq that waits for its answer, or a request over HTTP. Outlives the stream it came on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Where it came in, and its answer goes out.
    pub door: Door,
    /// The iq's `id`, verbatim; this and the addresses are empty for a request over HTTP.
    pub id: Arc<str>,
    /// The iq's `from`: where the answer goes.
    pub to: Arc<str>,
    /// The iq's `to`, verbatim: the answer's `from` must equal it.
    pub from: Arc<str>,
    /// When it was read.
    pub taken: Moment,
    /// Whether the answer is for a client, and only handed on by its host's bridge: an error says so.
    pub for_client: bool,
}

/// Where a request came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Door {
    /// An iq on the link: its host vouches for the sender.
    #[default]
    Link,
    /// A request over HTTP, named by a number of its edge's choice: nobody vouches for who asks.
    Http(u64),
}

impl Ticket {
    /// A request over HTTP that was read at `taken`.
    #[must_use]
    pub fn over_http(number: u64, taken: Moment) -> Self {
        let nobody: Arc<str> = Arc::default();
        let (to, from) = (nobody.clone(), nobody.clone());
        Self { door: Door::Http(number), id: nobody, to, from, taken, for_client: false }
    }
}

/// Who waits for the verdict on a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiter {
    /// A server that published.
    Iq(Ticket),
    /// Our own rules.
    Rules {
        /// For this registration.
        registration: RegistrationKey,
        /// Names the push there.
        flight: u64,
    },
    /// Somebody who asked for a test push.
    Trial(u64),
}

impl Waiter {
    /// Whether it is one who was heard at or before `taken`, and so has waited for too long. Our own rules wait for
    /// as long as it takes.
    #[must_use]
    pub fn is_late(&self, taken: Moment) -> bool {
        matches!(self, Self::Iq(ticket) if ticket.taken <= taken)
    }
}

/// An app's wish to register a device (`protocols.md` B.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRegistration {
    /// The whole name of the command, to be repeated in the answer.
    pub command: Box<str>,
    /// Service name, provider id or `pushModule`: chooses the app.
    pub service: Box<str>,
    /// The bare JID that asks.
    pub owner: Account,
    /// Account and device id.
    pub account: DeviceHash,
    /// The room it is for, if for one: its hash, and the domain that will publish.
    pub room: Option<Room>,
    /// The vendor's token.
    pub token: DeviceToken,
    /// The token for calls (PushKit), if the app gave one.
    pub voip_token: Option<DeviceToken>,
    /// The node that the client chose for itself, if its dialect lets it.
    pub node: Option<Node>,
    /// What publishes to it must show.
    pub access: Access,
}

/// A room that a device registered for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// The room's JID and the device id.
    pub channel: DeviceHash,
    /// The room's domain.
    pub domain: Domain,
}

/// An app's wish to take a device back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceUnregistration {
    /// The whole name of the command, to be repeated in the answer.
    pub command: Box<str>,
    /// Service name, provider id or `pushModule`: chooses the app.
    pub service: Box<str>,
    /// The bare JID that asks.
    pub owner: Account,
    /// Account and device id.
    pub account: DeviceHash,
    /// The room, if for one.
    pub channel: Option<DeviceHash>,
}

/// What an iq is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An empty result.
    Done,
    /// The device is registered.
    Registered {
        /// The name of the command.
        command: Box<str>,
        /// What the app gives its server to publish to.
        node: Node,
        /// What the server must show.
        secret: Secret,
    },
    /// The device is no longer registered.
    Unregistered {
        /// The name of the command.
        command: Box<str>,
    },
    /// What a command shows.
    Command(Box<Shown>),
    /// How all of it stands.
    Status(Box<Status>),
    /// No.
    Refused(Refusal),
}

/// A change of the state. Only [`State::apply`](super::state::State::apply) carries it out, now and when loading.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A device as it is from now on.
    Device(Box<Device>),
    /// What became of a push: a line of a device's history.
    Fact(Fact),
    /// An app has other credentials than before.
    Credentials(AppName, Credentials),
    /// A device is no longer remembered.
    Forget(Node),
    /// A push is in the outbox, in the place of what was there for its lane.
    Owe(Box<Owed>),
    /// Nothing is owed in this lane any more.
    Settle(Node, LaneKind),
    /// A registration as it is from now on; what became of its pushes stays as it was.
    Registration(Box<Registration>),
    /// What became of a registration's pushes.
    Record(RegistrationKey, Box<Record>),
    /// A registration is no longer remembered.
    ForgetRegistration(RegistrationKey),
    /// Something that lives in memory only.
    Memory(Memory),
}

/// A push that is owed: its lane, and what it says, redacted or sealed already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    /// The device.
    pub node: Node,
    /// The lane.
    pub kind: LaneKind,
    /// What is to be delivered.
    pub load: Load,
}

/// What a change means for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Memory only.
    Memory,
    /// Promises nothing: goes out with the next commit, at most a second later.
    Fact,
    /// On disk before any effect of its step happens.
    Promise,
}

impl Change {
    /// What it means for the disk.
    #[must_use]
    pub const fn weight(&self) -> Weight {
        match self {
            Self::Device(_) | Self::Forget(_) | Self::Credentials(..) | Self::Owe(_) => Weight::Promise,
            Self::Registration(_) | Self::ForgetRegistration(_) => Weight::Promise,
            // Whoever dies before it is written delivers once more.
            Self::Settle(..) => Weight::Fact,
            Self::Fact(_) | Self::Record(..) => Weight::Fact,
            Self::Memory(_) => Weight::Memory,
        }
    }
}

/// What happens in the world because of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Answer an iq.
    Answer(Ticket, Answer),
    /// Hand a push to its gateway. A verdict comes back for each, always.
    Deliver(Box<Push>),
    /// Have a bridge do something.
    Order(Box<Order>),
    /// Tell the operator.
    Notice(Notice),
    /// Have the configuration read again: an [`Input::Reloaded`] comes of it, always.
    Reload,
    /// Let clients find an app of ours, or no longer: its credentials work, or the vendor refuses them.
    Offer(AppName, bool),
}

/// What came of reading the configuration again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// The operator's settings from now on; `None` if nothing changes, because the configuration needs mending.
    pub policy: Option<Box<Policy>>,
    /// So many times somebody had wished for it when it began: who wished later hears of a later one.
    pub wishes: u64,
    /// What changed, what did not because it takes a restart, and what needs mending: lines for people.
    pub said: Vec<String>,
}

/// What goes to the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// The answer to an iq.
    Answer(Ticket, Answer),
    /// An order for a bridge.
    Order(Box<Order>),
    /// The driver has heard that a stream began: orders that follow are for that one.
    Began,
}

/// What a flow decided: first these changes are made durable, then these effects happen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// In order.
    pub changes: Vec<Change>,
    /// In order.
    pub effects: Vec<Effect>,
    /// What this leads to: the next steps, in order, before any other input.
    pub then: Vec<Inner>,
}

/// A step that did more than so many things keeps no memory for the next one.
const KEPT: usize = 64;

impl Step {
    /// An empty one, with the memory of this one.
    #[must_use]
    pub fn emptied(mut self) -> Self {
        self.changes.clear();
        self.effects.clear();
        self.then.clear();
        if self.changes.capacity().max(self.effects.capacity()).max(self.then.capacity()) > KEPT {
            return Self::default();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_moved_for_each_push_is_small() {
        let sizes = [size_of::<Change>(), size_of::<Effect>(), size_of::<Push>(), size_of::<Verdict>()];
        assert_eq!(sizes, [88, 152, 184, 104]);
    }

    #[test]
    fn a_step_keeps_its_memory_unless_it_did_much() {
        let of = |count: usize| Step { then: vec![Inner::Reloaded; count], ..Step::default() };
        for (count, kept) in [(0, 0), (10, 10), (64, 64), (65, 0)] {
            let step = of(count).emptied();
            assert_eq!((step.then.len(), step.then.capacity()), (0, kept), "{count}");
        }
    }
}
