//! A server asks for a push.

use std::sync::Arc;
use std::time::Duration;

use super::data::{Answer, Change, Decided, Effect, Inner, Objection, Owing, Step, Ticket, Waiter};
use super::guests;
use super::lane::{Lane, LaneKind, Load, Phase};
use super::memory::{Limit, Memory};
use super::owing;
use super::state::{DeviceView, State, Stranger};
use crate::domain::class::Class;
use crate::domain::device::{Access, GoneReason};
use crate::domain::publish::Publish;
use crate::domain::rate::Rate;
use crate::domain::refusal::{Later, Refusal};
use crate::domain::registration::Said;
use crate::domain::time::Now;

/// How often a device, an account, or a registration may ring: the class is the publisher's claim, and the publisher
/// may be anybody; and anybody may call.
pub(super) const RINGING: Rate = Rate { count: 6, per: Duration::from_secs(60) };

/// Decides about a publish: refused, sent, joined to the push under way, or queued behind it. Adds it to an empty step.
#[must_use]
pub fn publish(state: &State, waiter: Waiter, publish: Publish, now: Now, mut step: Step) -> Step {
    // Our own rules are no stranger to be held back.
    if let (Some(rate), Waiter::Iq(_)) = (state.policy.max_per_domain, &waiter) {
        match state.publishing.less_one(&publish.from, rate, now.steady) {
            None => {
                if let Some(device) = state.seen(&publish.node) {
                    step.noted(device, None, now, Decided::Refused(Objection::Later(Later::DomainRate)));
                }
                return step.turn_down(waiter, Refusal::TryLater(Later::DomainRate));
            }
            Some(bucket) => {
                step.remember(Memory::Drawn(Limit::Publishing(publish.from.clone()), bucket, now.steady));
            }
        }
    }
    let known = state.seen(&publish.node);
    let mistaken = known.is_some_and(|known| guests::is_of_another_app(state, known, &publish));
    if mistaken && state.is_under_way(&publish.node) {
        return step.turn_down(waiter, Refusal::TryLater(Later::Vendor));
    }
    let known = known.filter(|_| !mistaken);
    let guest = if known.is_none() { guests::guest(state, &publish, now.wall) } else { None };
    let stranger = guest.as_ref().map(Stranger::new);
    let Some(device) = known.filter(|device| device.admits(&publish)).or(stranger.as_ref().map(Stranger::view)) else {
        if let Some((device, objection)) = known.and_then(|known| Some((known, known.objection(&publish)?))) {
            step.noted(device, None, now, Decided::Refused(objection));
        }
        return step.turn_down(waiter, Refusal::NoSuchDevice);
    };
    if publish.notification.account_removed {
        // A node that is a token is that of all accounts on its phone, and nobody could register it again.
        if device.access() != Access::Anyone {
            let gone = device.device().into_gone(GoneReason::AccountDeleted, now.wall);
            step.changes.push(Change::Device(Box::new(gone)));
            owing::bury(state, &device.node(), &mut step);
        }
        step.tell(waiter, Answer::Done);
        return step;
    }
    let is_new = guest.is_some();
    if let Some(guest) = guest {
        let leaving = if mistaken { Some(guest.node.clone()) } else { guests::oldest(state) };
        if let Some(node) = leaving {
            step.remember(Memory::GuestLeft(node));
        }
        step.remember(Memory::Guest(Box::new(guest)));
    }
    let class = ring_or_fall(state, device, publish.notification.class(), now, &mut step);
    if class == Class::Ended {
        hang_up(state, device, now, &mut step);
    }
    let load = Load {
        class,
        content: Arc::new(publish.notification.into_content()),
        published: now.wall,
        from: publish.from,
        expires: now.wall + owing::ttl(state, class),
        until: Some(now.steady + owing::ttl(state, class)),
    };
    let wanted = Wanted { state, device, kind: LaneKind::of(class), load, waiter, guest: is_new, now };
    match state.lane_of(device, wanted.kind) {
        Some(lane) if lane.under_way().is_some() => wanted.join(lane, step),
        Some(lane) => wanted.merge(lane, step),
        None => wanted.start(step),
    }
}

/// What a publish wants delivered, and who waits for it.
struct Wanted<'a> {
    state: &'a State,
    device: DeviceView<'a>,
    kind: LaneKind,
    load: Load,
    waiter: Waiter,
    guest: bool,
    now: Now,
}

impl Wanted<'_> {
    /// A push is under way in its lane. If that one says as much already, this one shares its fate; it must have gone
    /// to the same token, though. If not, it waits, merged with what waits there already.
    fn join(self, lane: &Lane, mut step: Step) -> Step {
        let says_as_much = lane.load.class >= self.load.class
            && lane.under_way().is_some_and(|(_, generation)| generation == self.device.generation());
        let (node, kind) = (self.device.node(), self.kind);
        let mut latest = lane.latest.as_ref().unwrap_or(&lane.load).clone();
        latest.merge(&self.load);
        let crowded = self.is_crowded();
        let waiter = if crowded {
            if let Err(later) = self.room_beside(lane.promised()) {
                return self.turn_down(later, step);
            }
            let waits = lane.next.as_ref().is_some_and(|next| next.owed);
            if says_as_much && !waits {
                owing::owe(&mut step, &node, kind, &latest);
            } else {
                let mut whole = lane.whole();
                whole.merge(&self.load);
                owing::owe(&mut step, &node, kind, &whole);
            }
            owing::promised(&mut step, [&self.waiter]).pop()
        } else {
            Some(self.waiter.clone())
        };
        let push = lane.under_way().map(|(push, _)| push).filter(|_| says_as_much);
        let what = if says_as_much { Decided::Merged } else { Decided::Queued };
        step.noted(self.device, push, self.now, what(self.load.class));
        let waiter = waiter.map(Box::new);
        if says_as_much {
            step.remember(Memory::Joined { node: node.clone(), kind, waiter, latest: Box::new(latest) });
        } else {
            step.remember(Memory::Queued { node: node.clone(), kind, load: Box::new(self.load), waiter });
        }
        if crowded {
            step.remember(Memory::Promised { node, kind, lane: says_as_much, next: !says_as_much });
        }
        step
    }

    /// Something waits in its lane: it is merged into that, and promised if that is.
    fn merge(self, lane: &Lane, mut step: Step) -> Step {
        let (node, kind) = (self.device.node(), self.kind);
        let mut whole = lane.load.clone();
        whole.merge(&self.load);
        let crowded = self.is_crowded();
        let waiter = if lane.owed || crowded {
            if let Err(later) = self.room_beside(lane.promised()) {
                return self.turn_down(later, step);
            }
            // Even if it changes nothing: what was promised before may not be on the disk yet.
            owing::owe(&mut step, &node, kind, &whole);
            owing::promised(&mut step, [&self.waiter]).pop()
        } else {
            Some(self.waiter.clone())
        };
        step.noted(self.device, None, self.now, Decided::Queued(self.load.class));
        let (load, waiter) = (Box::new(self.load), waiter.map(Box::new));
        step.remember(Memory::Queued { node: node.clone(), kind, load, waiter });
        if crowded {
            step.remember(Memory::Promised { node, kind, lane: true, next: false });
        }
        step
    }

    /// Nothing is to be delivered in its lane yet: it goes at once if it can.
    fn start(self, mut step: Step) -> Step {
        let Self { state, device, kind, now, .. } = self;
        let app = device.app();
        let rests = state.rests_until(&device.node(), now.steady).filter(|_| kind == LaneKind::Messages);
        if let Some(until) = rests {
            return self.promise(Phase::Resting(until), Owing::Interval, step);
        }
        let circuit = state.app(app).and_then(|app| app.circuit.as_ref());
        if let Some(circuit) = circuit.filter(|circuit| !circuit.is_trial_due(now.steady)) {
            return self.promise(Phase::Ready, Owing::Circuit(circuit.fault, circuit.reason.clone()), step);
        }
        if state.has_slot(app) && !state.queues().is_ready(app) {
            let lane = Lane::new(self.load, Phase::Ready, vec![self.waiter]);
            owing::begin(state, device, kind, lane, state.next_push(), now, &mut step);
            return step;
        }
        if self.is_crowded() {
            return self.promise(Phase::Ready, Owing::Crowd, step);
        }
        let lane = Box::new(Lane::new(self.load, Phase::Ready, vec![self.waiter]));
        step.remember(Memory::Begun { node: device.node(), kind, lane });
        if state.has_slot(app) {
            step.then.push(Inner::Drain(app.clone()));
        }
        step
    }

    /// It is owed from the start.
    fn promise(self, phase: Phase, why: Owing, mut step: Step) -> Step {
        if let Err(later) = self.room() {
            return self.turn_down(later, step);
        }
        step.noted(self.device, None, self.now, Decided::Owed(self.load.class, why));
        let node = self.device.node();
        let waiters = owing::promised(&mut step, [&self.waiter]);
        let lane = Box::new(Lane { owed: true, ..Lane::new(self.load.clone(), phase, waiters) });
        // First the lane, which then has its turn; what is owed without one would take a turn of its own.
        step.remember(Memory::Begun { node: node.clone(), kind: self.kind, lane });
        owing::owe(&mut step, &node, self.kind, &self.load);
        step
    }

    /// It cannot be kept.
    fn turn_down(self, later: Later, mut step: Step) -> Step {
        step.noted(self.device, None, self.now, Decided::Refused(Objection::Later(later)));
        step.turn_down(self.waiter, Refusal::TryLater(later))
    }

    /// Whether too many wait for one more to.
    fn is_crowded(&self) -> bool {
        self.state.waiting() >= self.state.policy.max_waiting
    }

    /// Whether it can be promised in the place of what is there, if something is.
    fn room_beside(&self, promised: Option<&Load>) -> Result<(), Later> {
        if promised.is_some() && !self.state.is_read_only() { Ok(()) } else { self.room() }
    }

    fn room(&self) -> Result<(), Later> {
        // Of what nobody registered nothing is kept.
        if self.guest || self.device.is_guest() {
            return Err(Later::Vendor);
        }
        self.state.room_to_owe()
    }
}

/// A call is over, or was taken elsewhere: one that has not left does not ring any more.
fn hang_up(state: &State, device: DeviceView<'_>, now: Now, step: &mut Step) {
    let Some(lane) = state.lane_of(device, LaneKind::Calls) else { return };
    if lane.under_way().is_none() {
        step.noted(device, None, now, Decided::Cancelled);
        return owing::take_back(step, &device.node(), LaneKind::Calls, lane);
    }
    // It may ring by now, or not; it does not go again.
    owing::settle(step, &device.node(), LaneKind::Calls, lane);
    owing::taken_back(step, lane.next.iter().flat_map(|next| &next.waiters));
    step.remember(Memory::HungUp(device.node()));
}

/// A call rings if device and account have not rung too often; else it falls to important.
fn ring_or_fall(state: &State, device: DeviceView<'_>, class: Class, now: Now, step: &mut Step) -> Class {
    if class != Class::Call {
        return class;
    }
    let (node, owner) = (device.node(), device.owner());
    let device_bucket = state.ringing_devices.less_one(&node, RINGING, now.steady);
    // What nobody registered is nobody's: there is no account to share a limit.
    let account_bucket = match device.access() {
        Access::Anyone => device_bucket,
        Access::Secret | Access::Node => state.ringing_accounts.less_one(&owner, RINGING, now.steady),
    };
    let (Some(device_bucket), Some(account_bucket)) = (device_bucket, account_bucket) else {
        step.noted(device, None, now, Decided::TooManyCalls);
        return Class::Important;
    };
    step.remember(Memory::Drawn(Limit::RingingDevice(node), device_bucket, now.steady));
    if device.access() != Access::Anyone {
        step.remember(Memory::Drawn(Limit::RingingAccount(owner), account_bucket, now.steady));
    }
    Class::Call
}

impl Step {
    /// Adds all of another one.
    pub(super) fn append(&mut self, other: Self) {
        self.changes.extend(other.changes);
        self.effects.extend(other.effects);
        self.then.extend(other.then);
    }

    /// Adds a change that lives in memory only.
    pub(super) fn remember(&mut self, memory: Memory) {
        self.changes.push(Change::Memory(memory));
    }

    /// Answers a ticket.
    pub(super) fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.effects.push(Effect::Answer(ticket, answer));
    }

    /// Tells one who waits for a push what came of it.
    pub(super) fn tell(&mut self, waiter: Waiter, answer: Answer) {
        match waiter {
            Waiter::Iq(ticket) => self.answer(ticket, answer),
            Waiter::Rules { registration, flight } => {
                let said = said(&answer);
                self.then.push(Inner::Settled { registration, flight, said });
            }
            Waiter::Trial(number) => self.then.push(Inner::Tried { number, said: said(&answer) }),
        }
    }

    /// Ends with a refusal to one who waits for a push.
    fn turn_down(mut self, waiter: Waiter, refusal: Refusal) -> Self {
        self.tell(waiter, Answer::Refused(refusal));
        self
    }

    /// Ends with a refusal.
    pub(super) fn refuse(mut self, ticket: Ticket, refusal: Refusal) -> Self {
        self.answer(ticket, Answer::Refused(refusal));
        self
    }
}

/// What our own push service's answer is to our own rules.
fn said(answer: &Answer) -> Said {
    match answer {
        Answer::Refused(refusal @ Refusal::TryLater(_)) => Said::Later(refusal.name().into()),
        Answer::Refused(refusal) => Said::Refused(refusal.name().into()),
        Answer::Done | Answer::Registered { .. } | Answer::Unregistered { .. } => Said::Taken,
        // Nobody who pushes is shown these.
        Answer::Command(_) | Answer::Status(_) => Said::Taken,
    }
}

#[cfg(test)]
#[path = "publish_tests.rs"]
mod tests;
