//! What pushkeeper knows, in memory: devices, what is under way, who waits, and how fast everybody may be.

mod apply;
mod apps;
mod devices;
mod lanes;
mod load;
mod number;
mod queues;
mod sent;
mod settings;
#[cfg(test)]
mod sizes;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::BuildHasherDefault;
use std::time::Duration;

use super::commands::Waits;
use super::commands::sessions::Sessions;
use super::commands::trials::Trials;
use super::history::History;
use super::hosts::Hosts;
use super::lane::{Lane, LaneKind};
use super::lives::Lives;
use super::policy::Policy;
use super::registrations::Registrations;
use super::status::Vitals;
use crate::domain::device::{Device, DeviceKey};
use crate::domain::ids::{Account, AppName, Domain, Node, PushId, Seat};
use crate::domain::rate::Buckets;
use crate::domain::refusal::Later;
use crate::domain::registration::RegistrationKey;
use crate::domain::time::{Moment, Now, Timestamp};
pub use apps::AppState;
use devices::Devices;
pub use devices::{DeviceView, Stranger};
use lanes::Lanes;
use number::ByNumber;
pub use queues::{Queues, Turn};
use sent::Sent;

/// How many senders, accounts or devices a kind of limit remembers at a time.
const REMEMBERED: usize = 20_000;

/// How long a vendor must say nothing to count as silent, not as busy.
const SILENCE: Duration = Duration::from_secs(1);

/// Everything. Flows read it; only [`State::apply`] alters it.
#[derive(Debug)]
pub struct State {
    /// The operator's settings.
    pub policy: Policy,
    devices: Devices,
    /// What is on its way to devices: to few of them at a time.
    lanes: HashMap<Seat, Lanes, BuildHasherDefault<ByNumber>>,
    /// Devices that nobody registered, and that are not stored; the oldest first.
    guests: VecDeque<Node>,
    /// Few, and chosen by the operator.
    apps: BTreeMap<AppName, AppState>,
    /// Pushes that no vendor has spoken of yet, of all apps.
    under_way: usize,
    /// When the oldest tickets are late, and where they wait. Holds an entry per ticket, answered or not.
    lateness: VecDeque<(Moment, Seat, LaneKind)>,
    waiting: usize,
    queues: Queues,
    /// When a push last went to a device, where there must be time between them.
    sent: Sent,
    next_push: u64,
    /// Publishes per sending domain.
    pub publishing: Buckets<Domain>,
    /// Registrations per domain.
    pub registering_domains: Buckets<Domain>,
    /// Registrations per account.
    pub registering_accounts: Buckets<Account>,
    /// Calls per device.
    pub ringing_devices: Buckets<Node>,
    /// Calls per account.
    pub ringing_accounts: Buckets<Account>,
    /// Test pushes per account that asks.
    pub testing: Buckets<Account>,
    /// Enabling per account.
    pub enabling: Buckets<Account>,
    /// Calls per registration.
    pub ringing_registrations: Buckets<RegistrationKey>,
    /// All registrations.
    pub registrations: Registrations,
    /// What is going on with accounts.
    pub lives: Lives,
    /// The hosts whose bridge we trust.
    pub hosts: Hosts,
    /// Commands under way.
    pub commands: Sessions,
    /// Test pushes under way.
    pub trials: Trials,
    /// Those who wait for the configuration to be read again.
    pub reloading: Vec<Waits>,
    /// How many there were since the start.
    pub reload_wishes: u64,
    next_number: u64,
    /// Who is to be woken, each once, and when the next ones may be.
    to_wake: VecDeque<RegistrationKey>,
    in_turn: HashSet<RegistrationKey>,
    next_waking: Moment,
    read_only: bool,
    stream: bool,
    history: History,
    vitals: Vitals,
}

impl State {
    /// A state that knows nobody yet.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        let hosts = Hosts::new(&policy.hosts);
        let registrations = Registrations::new(policy.rules.registration_ttl);
        Self {
            registrations,
            lives: Lives::default(),
            hosts,
            commands: Sessions::default(),
            trials: Trials::default(),
            reloading: Vec::new(),
            reload_wishes: 0,
            next_number: 1,
            to_wake: VecDeque::new(),
            in_turn: HashSet::new(),
            next_waking: Moment::default(),
            read_only: false,
            stream: false,
            history: History::default(),
            vitals: Vitals::default(),
            policy,
            devices: Devices::default(),
            lanes: HashMap::default(),
            guests: VecDeque::new(),
            apps: BTreeMap::new(),
            under_way: 0,
            lateness: VecDeque::new(),
            waiting: 0,
            queues: Queues::default(),
            sent: Sent::default(),
            next_push: 1,
            publishing: Buckets::new(REMEMBERED),
            registering_domains: Buckets::new(REMEMBERED),
            registering_accounts: Buckets::new(REMEMBERED),
            ringing_devices: Buckets::new(REMEMBERED),
            ringing_accounts: Buckets::new(REMEMBERED),
            testing: Buckets::new(REMEMBERED),
            enabling: Buckets::new(REMEMBERED),
            ringing_registrations: Buckets::new(REMEMBERED),
        }
    }

    /// The device behind a node, dead ones included: nothing is read of it but what is asked for.
    #[must_use]
    pub fn seen(&self, node: &Node) -> Option<DeviceView<'_>> {
        self.devices.at(self.devices.find(node)?)
    }

    /// The device in this seat, if one is.
    #[must_use]
    pub fn seated(&self, seat: Seat) -> Option<DeviceView<'_>> {
        self.devices.at(seat)
    }

    /// The device behind a node, dead ones included. It is put together for this, without allocating.
    #[must_use]
    pub fn device(&self, node: &Node) -> Option<Device> {
        self.devices.get(node)
    }

    /// The device that this registration made, dead ones included.
    #[must_use]
    pub fn registered(&self, key: &DeviceKey) -> Option<Device> {
        self.devices.registered(key)
    }

    /// All devices, dead ones included, in no order.
    pub fn devices(&self) -> impl Iterator<Item = Device> {
        self.devices.iter()
    }

    /// All devices of an account, dead ones included.
    pub fn devices_of(&self, owner: &Account) -> impl Iterator<Item = Device> {
        self.devices.of(owner)
    }

    /// How many devices are known, and how many of them are dead.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        (self.devices.len(), self.devices.gone_len())
    }

    /// The device that has been dead longest, and since when.
    #[must_use]
    pub fn longest_gone(&self) -> Option<(Timestamp, Node)> {
        self.gone().next()
    }

    /// All dead devices, the longest dead first; those of one second in no order.
    pub fn gone(&self) -> impl Iterator<Item = (Timestamp, Node)> {
        self.devices.gone()
    }

    /// Devices that no push was ever taken for, the one that was registered longest ago first; those of one second in no
    /// order.
    pub fn unproven(&self) -> impl Iterator<Item = (Timestamp, Node)> {
        self.devices.unproven()
    }

    /// Devices that nobody registered, the oldest first.
    pub fn guests(&self) -> impl ExactSizeIterator<Item = &Node> {
        self.guests.iter()
    }

    /// Whether nobody registered this device, and it is not stored.
    #[must_use]
    pub fn is_guest(&self, node: &Node) -> bool {
        self.devices.is_guest(node)
    }

    /// What is under way to a device.
    #[must_use]
    pub fn lane(&self, node: &Node, kind: LaneKind) -> Option<&Lane> {
        self.lanes.get(&self.devices.find(node)?)?.get(kind)
    }

    /// The same for a device that was looked up.
    #[must_use]
    pub fn lane_of(&self, device: DeviceView<'_>, kind: LaneKind) -> Option<&Lane> {
        self.lanes.get(&device.seat())?.get(kind)
    }

    /// All that is on its way to devices.
    pub fn lanes(&self) -> impl Iterator<Item = (DeviceView<'_>, LaneKind, &Lane)> {
        let seated = self.lanes.iter().filter_map(|(seat, lanes)| Some((self.devices.at(*seat)?, lanes)));
        let both = [LaneKind::Messages, LaneKind::Calls];
        seated.flat_map(move |(device, lanes)| {
            both.into_iter().filter_map(move |kind| Some((device, kind, lanes.get(kind)?)))
        })
    }

    /// Whether a push to this device is on its way, in either lane.
    #[must_use]
    pub fn is_under_way(&self, node: &Node) -> bool {
        self.devices.find(node).is_some_and(|seat| self.lanes.contains_key(&seat))
    }

    /// What is known of an app's way to its vendor.
    #[must_use]
    pub fn app(&self, app: &AppName) -> Option<&AppState> {
        self.apps.get(app)
    }

    /// How many iqs wait for a verdict.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many pushes are with vendors.
    #[must_use]
    pub const fn under_way(&self) -> usize {
        self.under_way
    }

    /// Whether so many wait that there must not be more, and some vendor is busy rather than silent: what waits for its
    /// slots goes out by and by. Else what is read on would go through the disk for nothing.
    #[must_use]
    pub fn is_pressed(&self, now: Moment) -> bool {
        let busy = |(name, app): (&AppName, &AppState)| {
            app.last_verdict.is_some_and(|at| now - at < SILENCE) && self.queues.is_ready(name)
        };
        self.waiting >= self.policy.max_waiting / 2 && self.apps.iter().any(busy)
    }

    /// Whether one more push of this app may be under way.
    #[must_use]
    pub fn has_slot(&self, app: &AppName) -> bool {
        self.free_slots(app) > 0
    }

    /// How many more pushes of this app may be under way.
    #[must_use]
    pub fn free_slots(&self, app: &AppName) -> usize {
        let under_way = self.apps.get(app).map_or(0, |app| app.under_way);
        let own = self.policy.slots.saturating_sub(under_way);
        own.min(self.policy.max_under_way.saturating_sub(self.under_way()))
    }

    /// What waits, rests, and is owed.
    #[must_use]
    pub const fn queues(&self) -> &Queues {
        &self.queues
    }

    /// Whether one more push can be promised.
    ///
    /// # Errors
    /// Why it cannot: the outbox is full, or the store takes no writes.
    pub const fn room_to_owe(&self) -> Result<(), Later> {
        let (pushes, bytes) = self.queues.owed();
        if self.read_only {
            return Err(Later::Store);
        }
        if pushes >= self.policy.max_owed || bytes >= self.policy.max_owed_bytes {
            return Err(Later::Full);
        }
        Ok(())
    }

    /// Until when a device has to be left alone (`push.min_interval`).
    #[must_use]
    pub fn rests_until(&self, node: &Node, now: Moment) -> Option<Moment> {
        let interval = self.policy.min_interval?;
        let until = self.sent.last(node)? + interval;
        (until > now).then_some(until)
    }

    /// The name for the next push.
    #[must_use]
    pub const fn next_push(&self) -> PushId {
        PushId(self.next_push)
    }

    /// The next number for a push or an order of the rules engine.
    #[must_use]
    pub const fn next_number(&self) -> u64 {
        self.next_number
    }

    /// Who is to be woken next, and when.
    pub fn to_wake(&self) -> (Moment, impl Iterator<Item = &RegistrationKey>) {
        (self.next_waking, self.to_wake.iter())
    }

    /// The last decisions.
    #[must_use]
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// What is known of the process and its link.
    #[must_use]
    pub const fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    /// Whether the store takes no writes.
    #[must_use]
    pub const fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Whether there is a stream to the hosts' server.
    #[must_use]
    pub const fn has_stream(&self) -> bool {
        self.stream
    }

    /// When somebody will next have waited for too long.
    #[must_use]
    pub fn next_late(&self) -> Option<Moment> {
        self.lateness.front().map(|(at, ..)| *at)
    }

    /// When time will next bring something.
    #[must_use]
    pub fn next_deadline(&self, now: Now) -> Option<Moment> {
        // What goes by the calendar is looked at when the wall clock will be there, if nobody sets it.
        let calendar = self.registrations.next_due().filter(|_| !self.read_only);
        let calendar = calendar.map(|at| now.steady + (at - now.wall));
        let waking = (!self.to_wake.is_empty()).then_some(self.next_waking);
        let next =
            [self.next_turn(now), self.next_late(), self.lives.next_due(), self.hosts.next_due(), calendar, waking];
        let commands = [self.commands.next_due(), self.trials.next_due()];
        next.into_iter().chain(commands).flatten().min()
    }

    /// Where tickets wait that are late by now. A place may come more than once, no longer hold any, or be another
    /// device's by now.
    pub fn late(&self, now: Moment) -> impl Iterator<Item = (Seat, LaneKind)> {
        let late = self.lateness.iter().take_while(move |(at, ..)| *at <= now);
        late.map(|(_, seat, kind)| (*seat, *kind))
    }
}
