//! Who goes next: what is ready for a free slot, what rests, and what will be of no use any more.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::domain::ids::{AppName, Domain, Node};
use crate::domain::time::{Moment, Now, Timestamp};
use crate::flows::lane::{Lane, LaneKind, Load, Phase};

/// How many domains' turns an app remembers before it forgets those that have had theirs.
const REMEMBERED: usize = 1000;

/// A lane of a device.
pub(super) type Place = (Node, LaneKind);

/// The lanes that are not under way, in every order that is asked for.
#[derive(Debug, Default)]
pub struct Queues {
    ready: BTreeMap<AppName, Ready>,
    resting: BTreeSet<(Moment, Node, LaneKind)>,
    /// When each is of no use any more.
    expiring: BTreeSet<(Moment, Node, LaneKind)>,
    /// The same for what an earlier process promised, which only the wall clock can tell.
    expiring_by_date: BTreeSet<(Timestamp, Node, LaneKind)>,
    owed: usize,
    owed_bytes: usize,
}

/// When a lane's turn is: calls first, then domain by domain, so that one that publishes much keeps nobody waiting
/// but itself (start-time fair queueing).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    kind: LaneKind,
    round: u64,
    number: u64,
}

/// What waits for an app's free slots.
#[derive(Debug, Default)]
struct Ready {
    lanes: BTreeMap<Turn, Place>,
    /// The round of each domain's latest lane.
    rounds: HashMap<Domain, u64>,
    /// How many of them there may be before it is looked which ones wait.
    remembered: usize,
    /// The round that is being served.
    round: u64,
    number: u64,
}

impl Ready {
    fn turn(&mut self, lane: &Lane, kind: LaneKind) -> Turn {
        if self.rounds.len() >= self.remembered.max(REMEMBERED) {
            let round = self.round;
            self.rounds.retain(|_, latest| *latest > round);
            // If all of them wait, looking at them for each that comes would take the square of their number.
            self.remembered = 2 * self.rounds.len();
        }
        let latest = self.rounds.entry(lane.load.from.clone()).or_default();
        *latest = (*latest).max(self.round) + 1;
        self.number += 1;
        Turn { kind, round: *latest, number: self.number }
    }
}

impl Queues {
    /// A lane is about to change, or to end.
    pub(super) fn leave(&mut self, app: &AppName, (node, kind): (&Node, LaneKind), lane: &Lane) {
        if let Some(load) = lane.promised() {
            self.owed = self.owed.saturating_sub(1);
            self.owed_bytes = self.owed_bytes.saturating_sub(size(load));
        }
        match lane.phase {
            Phase::UnderWay { .. } => return,
            Phase::Ready => {
                if let (Some(turn), Some(ready)) = (&lane.turn, self.ready.get_mut(app)) {
                    ready.lanes.remove(turn);
                }
            }
            Phase::Resting(until) => {
                self.resting.remove(&(until, node.clone(), kind));
            }
        }
        match lane.load.until {
            Some(until) => self.expiring.remove(&(until, node.clone(), kind)),
            None => self.expiring_by_date.remove(&(lane.load.expires, node.clone(), kind)),
        };
    }

    /// A lane has changed, or began. One that is ready still keeps its turn.
    pub(super) fn enter(&mut self, app: &AppName, (node, kind): (&Node, LaneKind), lane: &mut Lane) {
        if let Some(load) = lane.promised() {
            self.owed += 1;
            self.owed_bytes += size(load);
        }
        match lane.phase {
            Phase::UnderWay { .. } => return,
            Phase::Ready => {
                let ready = self.ready.entry(app.clone()).or_default();
                let turn = lane.turn.unwrap_or_else(|| ready.turn(lane, kind));
                lane.turn = Some(turn);
                ready.lanes.insert(turn, (node.clone(), kind));
            }
            Phase::Resting(until) => {
                self.resting.insert((until, node.clone(), kind));
            }
        }
        match lane.load.until {
            Some(until) => self.expiring.insert((until, node.clone(), kind)),
            None => self.expiring_by_date.insert((lane.load.expires, node.clone(), kind)),
        };
    }

    /// A lane's turn has come.
    pub(super) fn served(&mut self, app: &AppName, turn: Turn) {
        if let Some(ready) = self.ready.get_mut(app) {
            ready.round = ready.round.max(turn.round);
        }
    }

    /// How many wait for their turn with this app's vendor.
    #[must_use]
    pub fn waiting(&self, app: &AppName) -> usize {
        self.ready.get(app).map_or(0, |ready| ready.lanes.len())
    }

    /// How many rest.
    #[must_use]
    pub fn resting(&self) -> usize {
        self.resting.len()
    }

    /// What waits for a free slot of this app, by whose turn it is.
    pub fn ready(&self, app: &AppName) -> impl Iterator<Item = &Place> {
        self.ready.get(app).into_iter().flat_map(|ready| ready.lanes.values())
    }

    /// Whether something waits for a free slot of this app.
    #[must_use]
    pub fn is_ready(&self, app: &AppName) -> bool {
        self.ready.get(app).is_some_and(|ready| !ready.lanes.is_empty())
    }

    /// What has rested long enough.
    pub fn rested(&self, now: Moment) -> impl Iterator<Item = (&Node, LaneKind)> {
        self.resting.iter().take_while(move |(until, ..)| *until <= now).map(|(_, node, kind)| (node, *kind))
    }

    /// When the next one will have.
    #[must_use]
    pub fn next_rested(&self) -> Option<Moment> {
        self.resting.first().map(|(until, ..)| *until)
    }

    /// What is of no use any more.
    pub fn expired(&self, now: Now) -> impl Iterator<Item = (&Node, LaneKind)> {
        let steady = self.expiring.iter().take_while(move |(at, ..)| *at <= now.steady);
        let dated = self.expiring_by_date.iter().take_while(move |(at, ..)| *at <= now.wall);
        steady.map(|(_, node, kind)| (node, *kind)).chain(dated.map(|(_, node, kind)| (node, *kind)))
    }

    /// When the next one will be, if nobody sets the wall clock.
    #[must_use]
    pub fn next_expired(&self, now: Now) -> Option<Moment> {
        let steady = self.expiring.first().map(|(at, ..)| *at);
        let dated = self.expiring_by_date.first().map(|(at, ..)| now.steady + (*at - now.wall));
        steady.into_iter().chain(dated).min()
    }

    /// How many entries there are: ready, resting, and with an end.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> [usize; 3] {
        [
            self.ready.values().map(|ready| ready.lanes.len()).sum(),
            self.resting.len(),
            self.expiring.len() + self.expiring_by_date.len(),
        ]
    }

    /// How much is owed: pushes, and bytes of what they say.
    #[must_use]
    pub const fn owed(&self) -> (usize, usize) {
        (self.owed, self.owed_bytes)
    }
}

/// Roughly what a push takes, in memory and on disk.
fn size(load: &Load) -> usize {
    let content = &load.content;
    let texts =
        [&content.sender, &content.body, &content.nickname].into_iter().flatten().map(|text| text.reveal().len());
    let sealed = content.sealed.as_ref().map_or(0, |sealed| sealed.payload.reveal().len());
    EACH + texts.sum::<usize>() + sealed
}

/// What one takes that says nothing: its record, its lane, and its places in the queues.
const EACH: usize = 512;
