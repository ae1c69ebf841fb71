//! The hosts whose bridge we trust: how the link to each stands, what they were asked, and the relays they carry.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::data::Inner;
use super::signals::{OrderId, OrderKind};
use crate::domain::ids::{Account, Domain};
use crate::domain::outcome::Reason;
use crate::domain::rate::Bucket;
use crate::domain::registration::RegistrationKey;
use crate::domain::session::Sid;
use crate::domain::time::Moment;

/// How many relays a host carries at a time.
const MOST_RELAYS: usize = 128;

/// How many of them go to one push service.
const MOST_RELAYS_TO_ONE: usize = 8;

/// How many events are held back while a snapshot runs; what comes beyond them is decided at once.
const MOST_HELD: usize = 10_000;

/// How many orders without an answer are remembered; the answers to older ones mean nothing any more.
const MOST_ORDERS: usize = 100_000;

/// A host.
#[derive(Debug)]
pub struct Host {
    /// How the link to its bridge stands.
    pub link: Link,
    /// Its nodes, by name.
    pub nodes: BTreeMap<Arc<str>, Node>,
    /// What it was asked and has not answered, the newest 100,000.
    pub orders: BTreeMap<OrderId, Asked>,
    /// The relays it carries.
    pub relays: Relays,
    /// How often it may have us link anew.
    pub relinks: Bucket,
}

/// How the link to a host's bridge stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Which step.
    pub phase: Phase,
    /// When the next step is due.
    pub due: Option<Moment>,
    /// How many tries in a row have failed.
    pub fails: u32,
    /// Whether it ever was linked.
    pub was_linked: bool,
    /// The list, by name, that was told just before: then whoever answers next knows whom to watch.
    pub listed: Option<Arc<str>>,
    /// What its bridge said it is, when it last linked: the host's software and version, and the bridge's version.
    pub told: Option<(Arc<str>, Arc<str>)>,
    /// How long its bridge took to answer whether it is still linked, the last time.
    pub lag: Option<Duration>,
    /// Why it was not linked, the last time.
    pub why: Option<Reason>,
}

/// The steps of linking (docs/signals.md, "Linking").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// There is no stream.
    #[default]
    Down,
    /// It is being told whom to watch.
    Listing {
        /// The list's name.
        list: Arc<str>,
        /// Who is on it.
        accounts: Arc<[Account]>,
        /// How many of them were told.
        told: usize,
    },
    /// It was asked to describe everything.
    Syncing {
        /// What names the answers.
        token: Arc<str>,
    },
    /// It answered.
    Linked {
        /// What names its snapshot.
        token: Arc<str>,
        /// When it was asked whether it still is, and has not answered yet.
        checking: Option<Moment>,
    },
    /// It has no bridge, or the bridge does not want to.
    Unlinked,
}

/// A node of a host.
#[derive(Debug)]
pub struct Node {
    /// Which start of its bridge.
    pub epoch: Arc<str>,
    /// The number of the last event that was taken.
    pub taken: u64,
    /// Whether it is another start than the one we knew: then the sessions it does not describe died with the former.
    pub restarted: bool,
    /// In how many checks in a row it was ahead of us.
    pub ahead: u32,
    /// The snapshot, while it runs.
    pub snapshot: Option<Snapshot>,
}

/// A snapshot that runs.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The sessions that were named since it began.
    pub named: HashSet<Sid>,
    /// What is decided at its end.
    pub held: Vec<Inner>,
    /// Whether somebody's messages came while nobody listened, and nobody knows whose.
    pub missed_all: bool,
}

/// What a host was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To watch a part of a list.
    List,
    /// To describe everything.
    Sync,
    /// Whether it is linked.
    Check,
    /// To set a session's window.
    Window(Account, Sid),
    /// To publish.
    Relay(RegistrationKey),
    /// To watch, or no longer to watch, an account.
    Watch,
}

impl Asked {
    /// What an order asks for.
    #[must_use]
    pub fn of(order: &OrderKind) -> Self {
        match order {
            OrderKind::Check => Self::Check,
            OrderKind::Sync { .. } => Self::Sync,
            OrderKind::Watch { list: Some(_), .. } => Self::List,
            OrderKind::Watch { list: None, .. } | OrderKind::Unwatch { .. } => Self::Watch,
            OrderKind::Timeout { account, sid, .. } => Self::Window(account.clone(), sid.clone()),
            OrderKind::Relay { to, .. } => Self::Relay(to.clone()),
        }
    }
}

/// The relays that a host carries, and who waits for one.
#[derive(Debug, Default)]
pub struct Relays {
    under_way: usize,
    services: HashMap<Arc<str>, Lane>,
    /// Whose service has room, while the host has none.
    waiting: VecDeque<RegistrationKey>,
    /// All who wait, here or for their service.
    known: HashSet<RegistrationKey>,
}

#[derive(Debug, Default)]
struct Lane {
    under_way: usize,
    waiting: VecDeque<RegistrationKey>,
}

impl Relays {
    /// Whether one more may go to this service.
    #[must_use]
    pub fn has_room(&self, service: &str) -> bool {
        self.has_room_beside(service, &[])
    }

    /// The same, beside those that are about to go, to these services.
    #[must_use]
    pub fn has_room_beside(&self, service: &str, going: &[Arc<str>]) -> bool {
        let lane = self.services.get(service).map_or(0, |lane| lane.under_way);
        let to_it = going.iter().filter(|other| ***other == *service).count();
        self.under_way + going.len() < MOST_RELAYS && lane + to_it < MOST_RELAYS_TO_ONE
    }

    /// Who may go next, if there is room for one more.
    #[must_use]
    pub fn next(&self) -> Option<&RegistrationKey> {
        self.waiting.front().filter(|_| self.under_way < MOST_RELAYS)
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len() + self.services.values().map(|lane| lane.waiting.len()).sum::<usize>()
    }

    /// How many are under way.
    #[must_use]
    pub const fn under_way(&self) -> usize {
        self.under_way
    }

    /// Whether that registration waits.
    #[cfg(test)]
    pub(super) fn knows(&self, key: &RegistrationKey) -> bool {
        let mut waiting = self.services.values().flat_map(|lane| &lane.waiting).chain(&self.waiting);
        waiting.any(|waiting| waiting == key)
    }

    fn sent(&mut self, service: &Arc<str>) {
        self.under_way += 1;
        self.services.entry(service.clone()).or_default().under_way += 1;
    }

    fn done(&mut self, service: &Arc<str>) {
        self.under_way = self.under_way.saturating_sub(1);
        if let Some(lane) = self.services.get_mut(service) {
            lane.under_way = lane.under_way.saturating_sub(1);
        }
        self.call_next(service);
    }

    /// A place at this service is free: whoever waits for it longest may go when the host has room.
    fn call_next(&mut self, service: &str) {
        let Some(lane) = self.services.get_mut(service) else { return };
        self.waiting.extend(lane.waiting.pop_front());
        if lane.under_way == 0 && lane.waiting.is_empty() {
            self.services.remove(service);
        }
    }

    /// The one that waited longest for the host goes.
    fn go(&mut self) {
        if let Some(key) = self.waiting.pop_front() {
            self.known.remove(&key);
        }
    }

    /// Waits for its service if that has no room, else for the host. It waits once, however often it has reason to.
    fn wait(&mut self, key: &RegistrationKey) {
        if !self.known.insert(key.clone()) {
            return;
        }
        match self.services.get_mut(&key.service).filter(|lane| lane.under_way >= MOST_RELAYS_TO_ONE) {
            Some(lane) => lane.waiting.push_back(key.clone()),
            None => self.waiting.push_back(key.clone()),
        }
    }
}

/// A change of what is known of a host.
#[derive(Clone, Debug, PartialEq)]
pub enum HostMemory {
    /// How its link stands.
    Link(Box<Link>),
    /// It had us link anew.
    Relinked(Bucket),
    /// These are its nodes, by name: epoch, the last number, whether it is another start. A snapshot of each begins.
    Nodes(Vec<(Arc<str>, Arc<str>, u64, bool)>),
    /// Events up to this number were taken.
    Taken(Arc<str>, u64),
    /// In so many checks in a row the node was ahead of us.
    Ahead(Arc<str>, u32),
    /// A session was named while a snapshot runs.
    Named(Arc<str>, Sid),
    /// Something is decided at the end of the snapshot.
    Held(Arc<str>, Box<Inner>),
    /// Somebody's messages came while nobody listened.
    MissedAll(Arc<str>),
    /// A snapshot is complete.
    Synced(Arc<str>),
    /// It was asked something.
    Asked(OrderId, Asked),
    /// It answered.
    Answered(OrderId),
    /// Nothing that it was asked will be answered any more.
    Deaf,
    /// A relay to this service is under way.
    Sent(Arc<str>),
    /// It is no longer.
    Done(Arc<str>),
    /// A registration waits for room.
    Waits(RegistrationKey),
    /// The one that waited longest goes.
    Goes,
    /// It had nothing to send any more, and leaves its place at this service to the next.
    Passes(Arc<str>),
}

/// All hosts.
#[derive(Debug, Default)]
pub struct Hosts(BTreeMap<Domain, Host>);

impl Hosts {
    pub(super) fn new(domains: &[Domain]) -> Self {
        let host = || Host {
            link: Link::default(),
            nodes: BTreeMap::new(),
            orders: BTreeMap::new(),
            relays: Relays::default(),
            relinks: Bucket::default(),
        };
        Self(domains.iter().map(|domain| (domain.clone(), host())).collect())
    }

    /// From now on it is these: what is known of others is forgotten.
    pub(super) fn keep(&mut self, domains: &[Domain]) {
        self.0.retain(|domain, _| domains.contains(domain));
        for (domain, host) in Self::new(domains).0 {
            self.0.entry(domain).or_insert(host);
        }
    }

    /// A host.
    #[must_use]
    pub fn get(&self, domain: &Domain) -> Option<&Host> {
        self.0.get(domain)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&Domain, &Host)> {
        self.0.iter()
    }

    /// When the next step is due with any of them.
    #[must_use]
    pub fn next_due(&self) -> Option<Moment> {
        self.0.values().filter_map(|host| host.link.due).min()
    }

    pub(super) fn apply(&mut self, domain: &Domain, change: &HostMemory) {
        if let Some(host) = self.0.get_mut(domain) {
            host.apply(change);
        }
    }
}

impl Host {
    /// Whether it is linked.
    #[must_use]
    pub const fn is_linked(&self) -> bool {
        matches!(self.link.phase, Phase::Linked { .. })
    }

    /// Whether it takes whom to watch: that counts for the list that it is being told, too.
    #[must_use]
    pub const fn takes_lists(&self) -> bool {
        matches!(self.link.phase, Phase::Listing { .. } | Phase::Syncing { .. } | Phase::Linked { .. })
    }

    /// Whether the snapshot of that node runs, and has room for one more thing to be decided at its end.
    #[must_use]
    pub fn holds_back(&self, node: &str) -> bool {
        let snapshot = self.nodes.get(node).and_then(|node| node.snapshot.as_ref());
        snapshot.is_some_and(|snapshot| snapshot.held.len() < MOST_HELD)
    }

    fn apply(&mut self, change: &HostMemory) {
        match change {
            HostMemory::Link(link) => self.link.clone_from(link),
            HostMemory::Nodes(nodes) => {
                let mut before = std::mem::take(&mut self.nodes);
                let node = |(name, epoch, taken, restarted): &(Arc<str>, Arc<str>, u64, bool)| {
                    // What was to be decided at the end of a snapshot that was cut short is not told again.
                    let unfinished = before.remove(name).and_then(|node| Some((node.restarted, node.snapshot?)));
                    let (died, Snapshot { held, missed_all, .. }) = unfinished.unwrap_or_default();
                    let snapshot = Some(Snapshot { named: HashSet::new(), held, missed_all });
                    let restarted = *restarted || died;
                    (name.clone(), Node { epoch: epoch.clone(), taken: *taken, restarted, ahead: 0, snapshot })
                };
                self.nodes = nodes.iter().map(node).collect();
            }
            HostMemory::Relinked(bucket) => self.relinks = *bucket,
            HostMemory::Asked(order, asked) => {
                self.orders.insert(*order, asked.clone());
                if self.orders.len() > MOST_ORDERS {
                    self.orders.pop_first();
                }
            }
            HostMemory::Answered(order) => drop(self.orders.remove(order)),
            HostMemory::Deaf => self.orders.clear(),
            HostMemory::Sent(service) => self.relays.sent(service),
            HostMemory::Done(service) => self.relays.done(service),
            HostMemory::Waits(key) => self.relays.wait(key),
            HostMemory::Goes => self.relays.go(),
            HostMemory::Passes(service) => self.relays.call_next(service),
            HostMemory::Taken(name, ..)
            | HostMemory::Ahead(name, ..)
            | HostMemory::Named(name, ..)
            | HostMemory::Held(name, ..)
            | HostMemory::MissedAll(name)
            | HostMemory::Synced(name) => {
                if let Some(node) = self.nodes.get_mut(name) {
                    node.apply(change);
                }
            }
        }
    }
}

impl Node {
    fn apply(&mut self, change: &HostMemory) {
        match (change, &mut self.snapshot) {
            (HostMemory::Taken(_, taken), _) => self.taken = *taken,
            (HostMemory::Ahead(_, ahead), _) => self.ahead = *ahead,
            (HostMemory::Named(_, sid), Some(snapshot)) => drop(snapshot.named.insert(sid.clone())),
            (HostMemory::Held(_, held), Some(snapshot)) => snapshot.held.push((**held).clone()),
            (HostMemory::MissedAll(_), Some(snapshot)) => snapshot.missed_all = true,
            (HostMemory::Synced(_), snapshot) => *snapshot = None,
            _ => {}
        }
    }
}
