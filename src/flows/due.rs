//! Time passed.

use std::collections::HashSet;
use std::time::Duration;

use super::commands;
use super::data::{Answer, Change, Decided, Inner, Objection, Owing, Step};
use super::expiry;
use super::lane::{Lane, LaneKind, Phase};
use super::memory::Memory;
use super::owing;
use super::state::{DeviceView, State};
use crate::domain::device::{GONE_REMEMBERED, GoneReason, UNPROVEN_FOR};
use crate::domain::refusal::{Later, Refusal};
use crate::domain::time::{Moment, Now};

/// How many dead devices one step forgets at most; the next tick takes the next ones.
const FORGET_AT_ONCE: usize = 1000;

/// How many accounts, or registrations, that something is due with one step hands on.
const AT_ONCE: usize = 1000;

/// So many registrations are woken at once, and then none for so long: when a host comes back, everybody would be.
const WOKEN_AT_ONCE: usize = 10;
const WOKEN_EVERY: Duration = Duration::from_millis(100);

/// Answers those who have waited for too long, and forgets those who have been dead for long enough.
#[must_use]
pub fn due(state: &State, now: Now) -> Step {
    let mut step = Step::default();
    // Read this early or earlier: late by now.
    let taken = Moment::since_start(now.steady.uptime().saturating_sub(state.policy.answer_within));
    let mut seen = HashSet::new();
    // Whoever waits for what is of no use any more is told below.
    let expired = |lane: &Lane| lane.under_way().is_none() && lane.load.left(now).is_zero();
    let mut looked = false;
    for (seat, kind) in state.late(now.steady) {
        looked = true;
        // One look for all that waits there: a place has an entry for each of them.
        if !seen.insert((seat, kind)) {
            continue;
        }
        let Some((device, lane)) = state.seated(seat).and_then(|device| Some((device, state.lane_of(device, kind)?)))
        else {
            continue;
        };
        // Mostly they were answered long ago.
        if expired(lane) || !lane.is_any_late(taken) {
            continue;
        }
        late(state, device, kind, lane, taken, now, &mut step);
        step.remember(Memory::Late { node: device.node(), kind, taken });
    }
    if looked {
        step.remember(Memory::LookedFor(taken));
    }
    outbox(state, now, &mut step);
    let accounts = state.lives.due(now.steady).take(AT_ONCE).cloned();
    step.then.extend(accounts.map(Inner::Due));
    let hosts = state.hosts.iter().filter(|(_, host)| host.link.due.is_some_and(|due| due <= now.steady));
    step.then.extend(hosts.map(|(host, _)| Inner::HostDue(host.clone())));
    wake_some(state, now, &mut step);
    expiry::watch(state, now, &mut step);
    commands::due(state, now, &mut step);
    // What goes by the calendar is for the disk, and would be due again at once.
    if state.is_read_only() {
        return step;
    }
    let fates = state.registrations.due(now.wall).take(AT_ONCE);
    step.then.extend(fates.map(|(key, fate)| Inner::Fate(key.clone(), fate)));
    for (_, node) in state.unproven().take_while(|(at, _)| *at + UNPROVEN_FOR <= now.wall).take(FORGET_AT_ONCE) {
        if let Some(device) = state.device(&node).filter(|_| !state.is_under_way(&node)) {
            let gone = device.into_gone(GoneReason::Expired, now.wall);
            step.changes.push(Change::Device(Box::new(gone)));
        }
    }
    let long_dead = state.gone().take_while(|(at, _)| *at + GONE_REMEMBERED <= now.wall);
    // The clock can jump: whoever waits for one of them is answered first.
    let long_dead = long_dead.filter(|(_, node)| !state.is_under_way(node)).take(FORGET_AT_ONCE);
    step.changes.extend(long_dead.map(|(_, node)| Change::Forget(node)));
    step
}

/// Those who have waited for too long are promised what they asked for, if it can be.
fn late(state: &State, device: DeviceView<'_>, kind: LaneKind, lane: &Lane, taken: Moment, now: Now, step: &mut Step) {
    let (first, second): (Vec<_>, Vec<_>) = (lane.late(taken).collect(), lane.late_for_next(taken).collect());
    if lane.hung_up && lane.next.is_none() {
        owing::promised(step, first);
        return;
    }
    // Nothing is promised to the dead.
    if device.gone().is_some() {
        for waiter in first.into_iter().chain(second) {
            step.tell(waiter.clone(), Answer::Refused(Refusal::NoSuchDevice));
        }
        return;
    }
    let load = match &lane.next {
        // With what is under way: to another token, that may be of a higher class.
        Some(next) if next.owed || !second.is_empty() => lane.whole(),
        _ => lane.latest.as_ref().unwrap_or(&lane.load).clone(),
    };
    let room = if device.is_guest() { Err(Later::Vendor) } else { state.room_to_owe() };
    let room = if lane.promised().is_some() && !state.is_read_only() { Ok(()) } else { room };
    let push = lane.under_way().map(|(push, _)| push);
    match room {
        Ok(()) => {
            step.noted(device, push, now, Decided::Owed(load.class, Owing::Silence));
            let node = device.node();
            owing::owe(step, &node, kind, &load);
            let (lane, next) = (!first.is_empty(), !second.is_empty());
            step.remember(Memory::Promised { node, kind, lane, next });
            owing::promised(step, first.into_iter().chain(second));
        }
        Err(later) => {
            step.noted(device, push, now, Decided::Refused(Objection::Later(later)));
            for waiter in first.into_iter().chain(second) {
                step.tell(waiter.clone(), Answer::Refused(Refusal::TryLater(later)));
            }
        }
    }
}

/// What rested goes, what waited for too long does not any more, and what is ready finds its slots.
fn outbox(state: &State, now: Now, step: &mut Step) {
    let mut apps = Vec::new();
    for (node, kind) in state.queues().rested(now.steady).take(AT_ONCE) {
        let Some((lane, device)) = state.lane(node, kind).zip(state.seen(node)) else { continue };
        let lane = Box::new(Lane { phase: Phase::Ready, turn: None, ..lane.clone() });
        step.remember(Memory::Moved { node: node.clone(), kind, lane });
        apps.push(device.app().clone());
    }
    for (node, kind) in state.queues().expired(now).take(AT_ONCE) {
        if let Some((lane, device)) = state.lane(node, kind).zip(state.seen(node)) {
            step.noted(device, None, now, Decided::Expired(lane.load.class));
            owing::give_up(step, node, kind, lane, Refusal::TryLater(Later::Vendor));
        }
    }
    let ready = state.policy.apps.iter().map(|app| &app.name).filter(|app| state.queues().is_ready(app));
    apps.extend(ready.cloned());
    apps.sort_unstable();
    apps.dedup();
    step.then.extend(apps.into_iter().map(Inner::Drain));
}

/// Wakes the next ones of those who are to be woken.
fn wake_some(state: &State, now: Now, step: &mut Step) {
    let (next, waiting) = state.to_wake();
    let some: Vec<Inner> = waiting.take(WOKEN_AT_ONCE).cloned().map(Inner::Wake).collect();
    if next <= now.steady && !some.is_empty() {
        step.remember(Memory::Waking(some.len(), now.steady + WOKEN_EVERY));
        step.then.extend(some);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::class::Class;
    use crate::domain::outcome::Outcome;
    use crate::domain::push::Push;
    use crate::flows::data::Input;
    use crate::flows::world::{Happened, World, body, call, policy, wake};

    #[test]
    fn after_five_seconds_of_silence_a_publish_is_promised_and_answered() {
        let mut world = World::new(policy());
        let device = world.register("romeo@example.org", "phone", "token-1"); // t1
        let sent = world.publish(&device, wake()); // t2
        world.later(1000);
        world.publish(&device, body("hi")); // t3 waits behind it
        assert_eq!(world.state.next_late(), Some(Moment::since_start(Duration::from_secs(5))));
        world.later(3999);
        assert!(world.take(Input::Tick).answers.is_empty());
        world.later(1);
        let promised = world.take(Input::Tick);
        assert_eq!((promised.done(), owed(&promised)), (vec!["t2"], vec![Class::Unimportant]));
        assert_eq!(world.state.next_late(), Some(Moment::since_start(Duration::from_secs(6))));
        world.later(1000);
        let promised = world.take(Input::Tick);
        assert_eq!((promised.done(), owed(&promised)), (vec!["t3"], vec![Class::Important]));
        assert_eq!((world.state.waiting(), world.state.next_late()), (0, None));
        assert_eq!(world.state.queues().owed().0, 1);

        // The late verdict still counts for the device, and what waited still goes.
        let late = world.verdict(&sent.pushes[0], Outcome::Accepted);
        assert!(late.answers.is_empty());
        assert!(world.state.device(&device.0).unwrap().history.last_accepted.is_some());
        assert!(late.stored.iter().all(|change| !matches!(change, Change::Settle(..))), "the second is still owed");
        let settled = world.verdict(&late.pushes[0], Outcome::Accepted);
        assert!(settled.stored.contains(&Change::Settle(device.0, LaneKind::Messages)));
        assert_eq!(world.state.queues().owed(), (0, 0));
    }

    /// What was written to the outbox.
    fn owed(happened: &Happened) -> Vec<Class> {
        let class = |change: &'_ Change| if let Change::Owe(owed) = change { Some(owed.load.class) } else { None };
        happened.stored.iter().filter_map(class).collect()
    }

    #[test]
    fn the_dead_are_remembered_for_ninety_days() {
        const DAY: u64 = 24 * 3600 * 1000;
        let mut world = World::new(policy());
        world.register("romeo@example.org", "phone", "token-1");
        world.unregister("romeo@example.org", "phone");
        world.later(90 * DAY - 1);
        world.take(Input::Tick);
        assert_eq!(world.state.count(), (1, 1));
        world.later(1);
        world.take(Input::Tick);
        assert_eq!(world.state.count(), (0, 0));
    }

    #[test]
    fn what_is_owed_under_an_app_that_is_not_configured_any_more_waits_quietly() {
        let mut world = World::new(policy());
        let device = world.register("romeo@example.org", "phone", "token-1");
        let sent = world.publish(&device, wake());
        let outcome = Outcome::Unavailable { retry_after: None, reason: "503".into() };
        world.verdict(&sent.pushes[0], outcome);
        world.state.policy.apps.clear();
        let later = world.pass(2000);
        assert!(later.pushes.is_empty());
        let next = world.state.next_deadline(world.now()).unwrap();
        assert!(next > world.now().steady, "{next:?}");
        world.pass(24 * 3600 * 1000);
        assert_eq!(world.state.queues().owed(), (0, 0));
    }

    /// What a hostile world may do.
    #[derive(Clone, Debug)]
    enum Act {
        Publish(usize, u8),
        Verdict(usize, u8),
        Register(usize, u8),
        Unregister(usize),
        Wait(u64),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            4 => (0..3_usize, any::<u8>()).prop_map(|(device, what)| Act::Publish(device, what)),
            4 => (0..8_usize, any::<u8>()).prop_map(|(push, what)| Act::Verdict(push, what)),
            1 => (0..3_usize, 0..3_u8).prop_map(|(device, token)| Act::Register(device, token)),
            1 => (0..3_usize).prop_map(Act::Unregister),
            1 => (0..4000_u64).prop_map(Act::Wait),
        ]
    }

    fn outcome(what: u8) -> Outcome {
        match what % 5 {
            0 | 1 => Outcome::Accepted,
            2 => Outcome::Gone { since: None },
            3 => Outcome::Suspect("BadDeviceToken".into()),
            _ => Outcome::Unavailable { retry_after: None, reason: "503".into() },
        }
    }

    proptest! {
        /// Whatever happens: each iq is answered exactly once and never later than promised, at most one push per
        /// lane is under way, each is settled once, and in the end no slot is taken and nobody waits.
        #[test]
        fn everybody_is_answered_once(acts in prop::collection::vec(act(), 1..120)) {
            let mut world = World::new(policy());
            let accounts = ["a@example.org", "b@example.org", "c@example.org"];
            let devices = accounts.map(|owner| world.register(owner, "phone", "token"));
            let mut asked: HashMap<String, Duration> = HashMap::new();
            let mut answered: HashMap<String, Duration> = HashMap::new();
            let mut flying: Vec<Push> = Vec::new();
            let mut tickets = 3;
            for act in acts.into_iter().chain([Act::Wait(5000)]) {
                if matches!(act, Act::Publish(..) | Act::Register(..) | Act::Unregister(..)) {
                    tickets += 1;
                    asked.insert(format!("t{tickets}"), world.uptime);
                }
                let happened = match act {
                    Act::Publish(device, what) => {
                        world.publish(&devices[device], [wake(), body("x"), call()][usize::from(what % 3)].clone())
                    }
                    Act::Register(device, token) => {
                        world.try_register(World::registration(accounts[device], "phone", &token.to_string()))
                    }
                    Act::Unregister(device) => world.unregister(accounts[device], "phone"),
                    Act::Verdict(push, what) if push < flying.len() => {
                        let push = flying.remove(push);
                        world.verdict(&push, outcome(what))
                    }
                    Act::Verdict(..) => continue,
                    Act::Wait(millis) => {
                        // As the driver: no deadline is passed over.
                        let until = world.uptime + Duration::from_millis(millis);
                        let mut all = world.take(Input::Tick);
                        while let Some(at) = world.state.next_late().filter(|at| at.uptime() <= until) {
                            world.uptime = world.uptime.max(at.uptime());
                            all.append(world.take(Input::Tick));
                            for (ticket, _) in all.answers.drain(..) {
                                prop_assert!(answered.insert(ticket, world.uptime).is_none(), "answered twice");
                            }
                        }
                        world.uptime = until;
                        all
                    }
                };
                for (ticket, _) in happened.answers {
                    prop_assert!(answered.insert(ticket, world.uptime).is_none(), "answered twice");
                }
                flying.extend(happened.pushes);
                for (at, push) in flying.iter().enumerate() {
                    let lane = LaneKind::of(push.class);
                    let same = |other: &&Push| {
                        other.node == push.node && LaneKind::of(other.class) == lane
                    };
                    prop_assert_eq!(flying[at + 1..].iter().find(same), None, "two under way in one lane");
                }
                prop_assert_eq!(world.state.under_way(), flying.len());
            }
            for (ticket, at) in &asked {
                let Some(then) = answered.get(ticket) else { panic!("{ticket} was never answered") };
                prop_assert!(*then <= *at + Duration::from_secs(5), "{} was answered late", ticket);
            }
            prop_assert_eq!(world.state.waiting(), 0);
            while let Some(push) = flying.pop() {
                flying.extend(world.verdict(&push, Outcome::Accepted).pushes);
            }
            prop_assert_eq!(world.state.under_way(), 0);
        }
    }
}
