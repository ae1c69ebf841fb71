//! What is under way to devices, and who waits for it.

use super::State;
use crate::domain::class::Class;
use crate::domain::ids::Node;
use crate::domain::push::Content;
use crate::domain::time::{Moment, Timestamp};
use crate::flows::data::Waiter;
use crate::flows::lane::{Lane, LaneKind, Next};

impl State {
    pub(super) fn begin(&mut self, node: &Node, lane: &Lane) {
        let Some(slot) = self.devices.get_mut(node) else { return };
        let kind = LaneKind::of(lane.class);
        self.next_push = self.next_push.max(lane.push.0.saturating_add(1));
        self.apps.entry(slot.device.key.app.clone()).or_default().under_way += 1;
        self.waiting += lane.waiting();
        let late = self.policy.answer_within;
        let taken = lane.waiters.iter().filter_map(taken);
        self.lateness.extend(taken.map(|taken| (taken + late, node.clone(), kind)));
        *slot.lane(kind) = Some(Box::new(lane.clone()));
    }

    pub(super) fn join(&mut self, node: &Node, kind: LaneKind, waiter: &Waiter) {
        let Some(lane) = self.devices.get_mut(node).and_then(|slot| slot.lane(kind).as_mut()) else { return };
        lane.waiters.push(waiter.clone());
        self.wait(node, kind, waiter);
    }

    pub(super) fn queue(
        &mut self,
        node: &Node,
        class: Class,
        content: &Content,
        published: Timestamp,
        waiter: &Waiter,
    ) {
        let kind = LaneKind::of(class);
        let Some(lane) = self.devices.get_mut(node).and_then(|slot| slot.lane(kind).as_mut()) else { return };
        match &mut lane.next {
            Some(next) => next.merge(class, content, published, waiter.clone()),
            None => {
                lane.next = Some(Next { class, content: content.clone(), published, waiters: vec![waiter.clone()] });
            }
        }
        self.wait(node, kind, waiter);
    }

    pub(super) fn wait(&mut self, node: &Node, kind: LaneKind, waiter: &Waiter) {
        self.waiting += 1;
        if let Some(taken) = taken(waiter) {
            self.lateness.push_back((taken + self.policy.answer_within, node.clone(), kind));
        }
    }

    pub(super) fn end(&mut self, node: &Node, kind: LaneKind) {
        let lane = self.devices.get_mut(node).and_then(|slot| slot.lane(kind).take());
        self.waiting = self.waiting.saturating_sub(lane.map_or(0, |lane| lane.waiting()));
        if self.waiting == 0 {
            self.lateness.clear();
        }
    }

    pub(super) fn expire(&mut self, node: &Node, kind: LaneKind, taken: Moment) {
        if let Some(lane) = self.devices.get_mut(node).and_then(|slot| slot.lane(kind).as_mut()) {
            let before = lane.waiting();
            lane.expire(taken);
            self.waiting = self.waiting.saturating_sub(before - lane.waiting());
        }
        let over = taken + self.policy.answer_within;
        while self.lateness.front().is_some_and(|(at, ..)| *at <= over) {
            self.lateness.pop_front();
        }
    }
}

/// When the iq that waits was read, if it is an iq.
fn taken(waiter: &Waiter) -> Option<Moment> {
    match waiter {
        Waiter::Iq(ticket) => Some(ticket.taken),
        Waiter::Rules { .. } => None,
    }
}
