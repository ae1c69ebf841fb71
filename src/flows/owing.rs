//! What is owed: pushes that were promised and are not with their vendor yet (docs/design.md, "The outbox").
//!
//! A push is owed when nobody can say in time what becomes of it: its vendor is slow, down, or refuses the operator's
//! credentials, or its device has to be left alone for a while. It is written to the disk, and only then answered with a
//! result. From then on it is tried again until its vendor takes it, its device is gone, or it is of no use any more.

use std::time::Duration;

use super::circuit::{self, Circuit};
use super::data::{Answer, Change, Decided, Effect, Inner, Objection, Owed, Step, Waiter};
use super::dice::Dice;
use super::lane::{Lane, LaneKind, Load, Phase};
use super::memory::Memory;
use super::state::{DeviceView, State};
use crate::domain::class::Class;
use crate::domain::ids::{AppName, Node, PushId};
use crate::domain::outcome::Outcome;
use crate::domain::push::{self, Push};
use crate::domain::refusal::{Later, Refusal};
use crate::domain::registration::Said;
use crate::domain::time::Now;

/// How many pushes one step begins at most.
const AT_ONCE: usize = 256;

/// How soon a push is tried again; each time in vain doubles it, up to the latter.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const RETRY_AT_LEAST_EVERY: Duration = Duration::from_secs(300);

/// For how long a push of this class is of use.
pub(super) fn ttl(state: &State, class: Class) -> Duration {
    let ttl = state.policy.outbox_ttl;
    if class == Class::Call { ttl.min(push::CALL_TTL) } else { ttl }
}

/// Promises what is to be delivered in a lane: those who asked hear so once it is on the disk.
pub(super) fn owe(step: &mut Step, node: &Node, kind: LaneKind, load: &Load) {
    let owed = Owed { node: node.clone(), kind, load: load.clone() };
    step.changes.push(Change::Owe(Box::new(owed)));
}

/// Tells those who asked that what they asked for will be done; returns those who want to hear how it ends.
pub(super) fn promised<'a>(step: &mut Step, waiters: impl IntoIterator<Item = &'a Waiter>) -> Vec<Waiter> {
    let mut stay = Vec::new();
    for waiter in waiters {
        match waiter {
            Waiter::Iq(ticket) => step.answer(ticket.clone(), Answer::Done),
            Waiter::Rules { .. } | Waiter::Trial(_) => stay.push(waiter.clone()),
        }
    }
    stay
}

/// Tells all who wait in a lane.
pub(super) fn tell_all(step: &mut Step, lane: &Lane, answer: &Answer) {
    let next = lane.next.iter().flat_map(|next| &next.waiters);
    for waiter in lane.waiters.iter().chain(next) {
        step.tell(waiter.clone(), answer.clone());
    }
}

/// A lane ends, with all that waits in it.
pub(super) fn give_up(step: &mut Step, node: &Node, kind: LaneKind, lane: &Lane, why: Refusal) {
    settle(step, node, kind, lane);
    step.remember(Memory::Ended { node: node.clone(), kind });
    tell_all(step, lane, &Answer::Refused(why));
}

/// A call is over before it left: its lane ends, and nobody need do anything more.
pub(super) fn take_back(step: &mut Step, node: &Node, kind: LaneKind, lane: &Lane) {
    settle(step, node, kind, lane);
    step.remember(Memory::Ended { node: node.clone(), kind });
    taken_back(step, &lane.waiters);
    taken_back(step, lane.next.iter().flat_map(|next| &next.waiters));
}

/// Tells those who wait for a call that it was taken back: what they asked for must not be done any more.
pub(super) fn taken_back<'a>(step: &mut Step, waiters: impl IntoIterator<Item = &'a Waiter>) {
    for waiter in promised(step, waiters) {
        let said = Said::TakenBack;
        step.then.extend(match waiter {
            Waiter::Rules { registration, flight } => Some(Inner::Settled { registration, flight, said }),
            Waiter::Trial(number) => Some(Inner::Tried { number, said }),
            Waiter::Iq(_) => None,
        });
    }
}

/// The outbox holds nothing for this lane any more.
pub(super) fn settle(step: &mut Step, node: &Node, kind: LaneKind, lane: &Lane) {
    if lane.promised().is_some() {
        step.changes.push(Change::Settle(node.clone(), kind));
    }
}

/// What waits for a device that is no more is not sent to it. What is under way still lands.
pub(super) fn bury(state: &State, node: &Node, step: &mut Step) {
    for kind in [LaneKind::Calls, LaneKind::Messages] {
        if let Some(lane) = state.lane(node, kind).filter(|lane| lane.under_way().is_none()) {
            give_up(step, node, kind, lane, Refusal::NoSuchDevice);
        }
    }
}

/// A push did not reach its device: all that is to be delivered in its lane is owed, as one, and goes again.
pub(super) fn again(state: &State, failed: &Failed<'_>, now: Now, dice: &mut Dice, step: &mut Step) {
    let &Failed { device, kind, lane, when } = failed;
    let load = lane.whole();
    let node = &device.node();
    if lane.hung_up && lane.next.is_none() {
        step.noted(device, None, now, Decided::Cancelled);
        return take_back(step, node, kind, lane);
    }
    if load.left(now).is_zero() {
        step.noted(device, None, now, Decided::Expired(load.class));
        return give_up(step, node, kind, lane, Refusal::TryLater(Later::Vendor));
    }
    // Of what nobody registered nothing is kept.
    if device.is_guest() {
        return give_up(step, node, kind, lane, Refusal::TryLater(Later::Vendor));
    }
    let next = lane.next.iter().flat_map(|next| &next.waiters);
    let waiters = || lane.waiters.iter().chain(next.clone());
    let heard = waiters().any(|waiter| matches!(waiter, Waiter::Iq(_)));
    let phase = match when {
        Again::AtOnce => Phase::Ready,
        Again::Later(outcome) => {
            let asked = circuit::retry_after(outcome);
            let is_open = state.app(device.app()).is_some_and(|app| app.circuit.is_some());
            // The circuit sees to it that not all are tried. What is asked for this one counts all the same.
            if is_open && asked.is_none() {
                Phase::Ready
            } else {
                Phase::Resting(now.steady + back_off(lane.attempts, asked, dice))
            }
        }
    };
    // Even if that is what was promised: it may not be on the disk yet, and somebody else is told so now.
    if heard || lane.promised() != Some(&load) {
        let room = if lane.promised().is_some() && !state.is_read_only() { Ok(()) } else { state.room_to_owe() };
        match room {
            Ok(()) => owe(step, node, kind, &load),
            // What was promised before is still there, and nobody waits to hear of this.
            Err(_) if lane.promised().is_some() && !heard => {}
            Err(later) => {
                step.noted(device, None, now, Decided::Refused(Objection::Later(later)));
                return keep(step, node, kind, lane, phase, later);
            }
        }
    }
    let attempts = lane.attempts.saturating_add(1);
    let waiters = promised(step, waiters());
    let lane = Lane { attempts, owed: true, ..Lane::new(load, phase, waiters) };
    step.remember(Memory::Moved { node: node.clone(), kind, lane: Box::new(lane) });
    if phase == Phase::Ready {
        step.then.push(Inner::Drain(device.app().clone()));
    }
}

/// What cannot be promised is refused; what was promised before is kept, and tried when the store is back.
fn keep(step: &mut Step, node: &Node, kind: LaneKind, lane: &Lane, phase: Phase, later: Later) {
    if lane.promised().is_none() {
        return give_up(step, node, kind, lane, Refusal::TryLater(later));
    }
    tell_all(step, lane, &Answer::Refused(Refusal::TryLater(later)));
    let attempts = lane.attempts.saturating_add(1);
    let kept = Lane { owed: true, attempts, ..Lane::new(lane.whole(), phase, Vec::new()) };
    step.remember(Memory::Moved { node: node.clone(), kind, lane: Box::new(kept) });
}

/// A push that did not reach its device.
#[derive(Debug)]
pub(super) struct Failed<'a> {
    /// The device.
    pub(super) device: DeviceView<'a>,
    /// The lane.
    pub(super) kind: LaneKind,
    /// The push, and what waits behind it.
    pub(super) lane: &'a Lane,
    /// When it goes again.
    pub(super) when: Again<'a>,
}

/// When a push goes again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Again<'a> {
    /// What it met says nothing of what it would meet now.
    AtOnce,
    /// Its vendor is given time.
    Later(&'a Outcome),
}

/// Doubles from a second to five minutes, a quarter more or less so that not all come at once; never sooner than the
/// vendor asked for.
fn back_off(attempts: u32, asked: Option<Duration>, dice: &mut Dice) -> Duration {
    let doubled = FIRST_RETRY.saturating_mul(1 << attempts.min(16)).min(RETRY_AT_LEAST_EVERY);
    let jittered = doubled.mul_f64(0.75 + dice.fraction() / 2.0);
    jittered.max(asked.unwrap_or_default())
}

/// The process ends: what nobody knows the fate of is owed, so that the next one can see to it.
pub(super) fn stop(state: &State) -> Step {
    let mut step = Step::default();
    let over = |lane: &Lane| lane.hung_up && lane.next.is_none();
    for (device, kind, lane) in state.lanes().filter(|(device, _, lane)| !device.is_guest() && !over(lane)) {
        let load = lane.whole();
        let promised = lane.promised();
        // What our own rules had merged into it may not be on the disk, and they will not be there to ask again.
        let merged = lane.waiters.len() + lane.next.as_ref().map_or(0, |next| next.waiters.len()) > 0;
        let room = if promised.is_some() { !state.is_read_only() } else { state.room_to_owe().is_ok() };
        if (promised != Some(&load) || merged) && room {
            let node = device.node();
            owe(&mut step, &node, kind, &load);
            step.remember(Memory::Promised { node, kind, lane: true, next: true });
        }
    }
    step
}

/// Sends what waits for free slots of an app; while its circuit is open, one push when it is time for a trial.
pub(super) fn drain(state: &State, app: &AppName, now: Now) -> Step {
    let mut step = Step::default();
    if state.policy.apps.iter().all(|known| known.name != *app) {
        return step;
    }
    let circuit = state.app(app).and_then(|app| app.circuit.as_ref());
    let free = match circuit {
        Some(circuit) => usize::from(circuit.is_trial_due(now.steady)),
        None => AT_ONCE,
    };
    let free = free.min(state.free_slots(app));
    let mut begun = 0;
    for (node, kind) in state.queues().ready(app).take(AT_ONCE) {
        if begun >= free {
            break;
        }
        let (Some(lane), Some(device)) = (state.lane(node, *kind), state.seen(node)) else { continue };
        if device.gone().is_some() {
            give_up(&mut step, node, *kind, lane, Refusal::NoSuchDevice);
        } else if lane.load.left(now).is_zero() {
            step.noted(device, None, now, Decided::Expired(lane.load.class));
            give_up(&mut step, node, *kind, lane, Refusal::TryLater(Later::Vendor));
        } else {
            let push = PushId(state.next_push().0 + begun as u64);
            begin(state, device, *kind, lane.clone(), push, now, &mut step);
            begun += 1;
        }
    }
    // There may be more, and room for it.
    if circuit.is_none() && begun > 0 && begun < state.free_slots(app) {
        step.then.push(Inner::Drain(app.clone()));
    }
    step
}

/// A lane's push goes to its vendor; if its app's circuit is open, as a trial.
pub(super) fn begin(
    state: &State,
    device: DeviceView<'_>,
    kind: LaneKind,
    lane: Lane,
    push: PushId,
    now: Now,
    step: &mut Step,
) {
    let new = state.lane_of(device, kind).is_none();
    let phase = Phase::UnderWay { push, generation: device.generation(), since: now.steady };
    let lane = Box::new(Lane { phase, turn: None, ..lane });
    let node = device.node();
    step.effects.push(Effect::Deliver(Box::new(address(device, push, &lane.load, now))));
    if state.policy.min_interval.is_some() {
        step.remember(Memory::Sent(node.clone(), now.steady));
    }
    step.remember(if new { Memory::Begun { node, kind, lane } } else { Memory::Moved { node, kind, lane } });
    let app = device.app();
    if let Some(circuit) = state.app(app).and_then(|app| app.circuit.as_ref()) {
        let circuit = Box::new(Circuit { trial: Some(push), ..circuit.clone() });
        step.remember(Memory::Circuit(app.clone(), Some(circuit)));
    }
}

/// A push as the gateway needs it.
fn address(device: DeviceView<'_>, id: PushId, load: &Load, now: Now) -> Push {
    let ttl = push::ttl(load.class);
    Push {
        id,
        app: device.app().clone(),
        node: device.node(),
        generation: device.generation(),
        token: device.token(),
        voip_token: device.voip_token(),
        owner: device.owner(),
        account: device.account(),
        channel: device.channel(),
        class: load.class,
        content: load.content.clone(),
        // A call that was owed rings no longer than one that was not.
        ttl: if load.class == Class::Call { ttl.min(load.left(now)) } else { ttl },
    }
}
