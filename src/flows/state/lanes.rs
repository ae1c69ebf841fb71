//! What is on its way to devices, and who waits for it.

use std::collections::hash_map::Entry;

use super::State;
use crate::domain::app::App;
use crate::domain::ids::{AppName, Node};
use crate::domain::time::{Moment, Now};
use crate::flows::data::{Owed, Waiter};
use crate::flows::lane::{Lane, LaneKind, Load, Next, Phase};

/// What is on its way to one device. There is none of it without a lane.
#[derive(Debug)]
pub(super) struct Lanes {
    /// The device's app.
    app: AppName,
    messages: Option<Box<Lane>>,
    calls: Option<Box<Lane>>,
}

impl Lanes {
    const fn new(app: AppName) -> Self {
        Self { app, messages: None, calls: None }
    }

    pub(super) fn get(&self, kind: LaneKind) -> Option<&Lane> {
        match kind {
            LaneKind::Messages => self.messages.as_deref(),
            LaneKind::Calls => self.calls.as_deref(),
        }
    }

    const fn is_empty(&self) -> bool {
        self.messages.is_none() && self.calls.is_none()
    }
}

impl State {
    /// Changes a lane, and all that is known of lanes besides.
    fn alter(&mut self, node: &Node, kind: LaneKind, change: impl FnOnce(&mut Option<Box<Lane>>)) {
        let Some(seat) = self.devices.find(node) else { return };
        let mut entry = match self.lanes.entry(seat) {
            Entry::Occupied(entry) => entry,
            Entry::Vacant(free) => {
                let Some(device) = self.devices.at(seat) else { return };
                free.insert_entry(Lanes::new(device.app().clone()))
            }
        };
        let Lanes { app, messages, calls } = entry.get_mut();
        let lane = match kind {
            LaneKind::Messages => messages,
            LaneKind::Calls => calls,
        };
        let before = lane.as_ref().and_then(|lane| lane.under_way());
        if let Some(lane) = lane {
            self.waiting = self.waiting.saturating_sub(lane.waiting());
            self.queues.leave(app, (node, kind), lane);
        }
        let turn = lane.as_ref().and_then(|lane| lane.turn);
        change(lane);
        let after = lane.as_ref().and_then(|lane| lane.under_way());
        if let Some(lane) = lane {
            self.waiting += lane.waiting();
            self.queues.enter(app, (node, kind), lane);
        }
        if let Some((push, _)) = after.filter(|_| after != before) {
            self.next_push = self.next_push.max(push.0.saturating_add(1));
            self.apps.entry(app.clone()).or_default().under_way += 1;
            self.under_way += 1;
            if let Some(turn) = turn {
                self.queues.served(app, turn);
            }
        }
        if entry.get().is_empty() {
            entry.remove();
        }
        if self.waiting == 0 {
            self.lateness.clear();
        }
    }

    /// A lane begins, with those who wait for it.
    pub(super) fn open(&mut self, node: &Node, kind: LaneKind, lane: Box<Lane>) {
        for waiter in &lane.waiters {
            self.expect(node, kind, waiter);
        }
        self.alter(node, kind, |old| *old = Some(lane));
    }

    /// A lane goes on. Nobody waits in it who did not before.
    pub(super) fn move_on(&mut self, node: &Node, kind: LaneKind, lane: Box<Lane>) {
        self.alter(node, kind, |old| *old = Some(lane));
    }

    pub(super) fn join(&mut self, node: &Node, kind: LaneKind, waiter: Option<Waiter>, latest: Load) {
        if let Some(waiter) = &waiter {
            self.expect(node, kind, waiter);
        }
        self.alter(node, kind, |lane| {
            let Some(lane) = lane else { return };
            lane.waiters.extend(waiter);
            lane.latest = Some(latest);
            // Whoever hung up calls again.
            lane.hung_up = false;
        });
    }

    /// Merges a later publish into what waits: in a lane that is under way, into what goes next.
    pub(super) fn queue(&mut self, node: &Node, kind: LaneKind, load: Load, waiter: Option<Waiter>) {
        if let Some(waiter) = &waiter {
            self.expect(node, kind, waiter);
        }
        self.alter(node, kind, |lane| {
            let Some(lane) = lane else { return };
            if lane.under_way().is_none() {
                lane.load.merge(&load);
                lane.waiters.extend(waiter);
                return;
            }
            match &mut lane.next {
                Some(next) => {
                    next.load.merge(&load);
                    next.waiters.extend(waiter);
                }
                None => {
                    let waiters = waiter.into_iter().collect();
                    lane.next = Some(Box::new(Next { load, waiters, owed: false }));
                }
            }
        });
    }

    /// What is under way in a lane, and what goes next, is in the outbox.
    pub(super) fn promise(&mut self, node: &Node, kind: LaneKind, lane_too: bool, next_too: bool) {
        self.alter(node, kind, |lane| {
            let Some(lane) = lane else { return };
            lane.owed |= lane_too;
            if let Some(next) = &mut lane.next {
                next.owed |= next_too;
            }
        });
    }

    /// The call that is under way is over, with what waits behind it.
    pub(super) fn hang_up(&mut self, node: &Node) {
        self.alter(node, LaneKind::Calls, |lane| {
            if let Some(lane) = lane {
                (lane.hung_up, lane.owed, lane.latest, lane.next) = (true, false, None, None);
            }
        });
    }

    /// What is stored as owed. While running, its lane knows already.
    pub(super) fn owe(&mut self, owed: &Owed) {
        if self.lane(&owed.node, owed.kind).is_none() {
            let lane = Lane { owed: true, ..Lane::new(owed.load.clone(), Phase::Ready, Vec::new()) };
            self.move_on(&owed.node, owed.kind, Box::new(lane));
        }
    }

    pub(super) fn end(&mut self, node: &Node, kind: LaneKind) {
        self.alter(node, kind, |lane| *lane = None);
    }

    pub(super) fn expire(&mut self, node: &Node, kind: LaneKind, taken: Moment) {
        self.alter(node, kind, |lane| {
            if let Some(lane) = lane {
                lane.expire(taken);
            }
        });
    }

    /// Those who were heard at or before `taken` need not be looked for any more.
    pub(super) fn looked_for(&mut self, taken: Moment) {
        let over = taken + self.policy.answer_within;
        while self.lateness.front().is_some_and(|(at, ..)| *at <= over) {
            self.lateness.pop_front();
        }
    }

    /// Somebody will have waited for too long at some time.
    fn expect(&mut self, node: &Node, kind: LaneKind, waiter: &Waiter) {
        if let Waiter::Iq(ticket) = waiter
            && let Some(seat) = self.devices.find(node)
        {
            self.lateness.push_back((ticket.taken + self.policy.answer_within, seat, kind));
        }
    }

    /// Forgets what the store knows, keeps what lives in memory: before loading the store again.
    pub fn forget_stored(&mut self) -> Vec<(Node, LaneKind, Box<Lane>)> {
        let mut lanes = Vec::new();
        for (seat, Lanes { messages, calls, .. }) in self.lanes.drain() {
            let Some(device) = self.devices.at(seat) else { continue };
            lanes.extend(messages.map(|lane| (device.node(), LaneKind::Messages, lane)));
            lanes.extend(calls.map(|lane| (device.node(), LaneKind::Calls, lane)));
        }
        self.devices = super::Devices::default();
        // Their seats are others when they come back.
        self.lateness.clear();
        self.guests.clear();
        self.queues = super::Queues::default();
        self.registrations = super::Registrations::new(self.policy.rules.registration_ttl);
        lanes
    }

    /// Puts back what was on its way, after the store was loaded again. Returns who waits for devices that the store
    /// does not know, or for what is neither under way nor stored.
    pub fn restore(&mut self, lanes: Vec<(Node, LaneKind, Box<Lane>)>) -> Vec<Waiter> {
        let mut orphans = Vec::new();
        for (node, kind, mut lane) in lanes {
            self.waiting = self.waiting.saturating_sub(lane.waiting());
            let stored = self.lane(&node, kind).is_some();
            // What was promised is what the store says, whatever we thought.
            lane.owed = stored;
            lane.turn = None;
            if let Some(next) = &mut lane.next {
                next.owed = stored;
            }
            let goes_on = lane.under_way().is_some() || stored || lane.waiting() > 0;
            if self.devices.contains(&node) && goes_on {
                let under_way = lane.under_way().is_some();
                let next = lane.next.iter().flat_map(|next| &next.waiters);
                lane.waiters.iter().chain(next).for_each(|waiter| self.expect(&node, kind, waiter));
                self.alter(&node, kind, |slot| *slot = Some(lane));
                if under_way {
                    // It was counted when it began.
                    self.spoke_for(&node);
                }
            } else {
                orphans.append(&mut lane.waiters);
                orphans.extend(lane.next.into_iter().flat_map(|next| next.waiters));
            }
        }
        self.lateness.make_contiguous().sort_unstable();
        orphans
    }

    fn spoke_for(&mut self, node: &Node) {
        if let Some(lanes) = self.devices.find(node).and_then(|seat| self.lanes.get(&seat))
            && let Some(app) = self.apps.get_mut(&lanes.app)
        {
            self.under_way -= app.landed();
        }
    }

    /// When something of what waits will next be ready, or of no use any more.
    pub(super) fn next_turn(&self, now: Now) -> Option<Moment> {
        // What is owed under apps that are not configured any more waits until it is of no use.
        let app = |app: &App| {
            let name = &app.name;
            match self.app(name).and_then(|app| app.circuit.as_ref()) {
                _ if !self.queues.is_ready(name) => None,
                Some(circuit) => (circuit.trial.is_none() && self.has_slot(name)).then_some(circuit.next_trial),
                None => self.has_slot(name).then_some(now.steady),
            }
        };
        let turns = self.policy.apps.iter().filter_map(app);
        turns.chain(self.queues.next_expired(now)).chain(self.queues.next_rested()).min()
    }
}
