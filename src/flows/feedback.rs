//! A vendor spoke of a push.

use super::circuit::{self, Health};
use std::time::Duration;

use super::data::{Answer, Change, Decided, Inner, Objection, Step, Then, Waiter};
use super::dice::Dice;
use super::lane::{Lane, LaneKind, Phase};
use super::memory::Memory;
use super::offer;
use super::owing::{self, Again, Failed};
use super::state::{AppState, DeviceView, State};
use crate::domain::device::{Fact, GoneReason, Said};
use crate::domain::ids::PushId;
use crate::domain::outcome::{Outcome, Verdict};
use crate::domain::refusal::{Later, Refusal};
use crate::domain::time::Now;
use crate::domain::verdict::{Reaction, react};

/// Settles a push: answers those who wait, notes what happened, and sends what waited behind it; or owes it. Adds that to
/// an empty step.
#[must_use]
pub fn feedback(state: &State, verdict: Verdict, now: Now, dice: &mut Dice, mut step: Step) -> Step {
    let app = state.app(&verdict.app);
    if !went_a_former_way(app, &verdict) {
        offer::mind(state, &verdict, &mut step);
    }
    // Not under way any more if the device was forgotten meanwhile.
    let device = state.seen(&verdict.node);
    let found = device.and_then(|device| Some((device, find(state, device, verdict.push)?)));
    let Some((device, (kind, lane))) = found else {
        circuit::mind(state, &verdict, Health::Unknown, now, &mut step);
        return step;
    };
    if device.gone().is_some() {
        circuit::mind(state, &verdict, Health::Unknown, now, &mut step);
        dead(device, kind, lane, &verdict, &mut step);
        return step;
    }
    if under_another_token(device, lane) || went_a_former_way(app, &verdict) {
        circuit::mind(state, &verdict, Health::Unknown, now, &mut step);
        match verdict.outcome {
            Outcome::Accepted | Outcome::Withheld => {
                say(device, lane, &verdict, Then::Again, now, &mut step);
                done(state, device, kind, lane, now, &mut step);
            }
            // What this one met says nothing of the new one.
            _ => owing::again(state, &Failed { device, kind, lane, when: Again::AtOnce }, now, dice, &mut step),
        }
        return step;
    }
    let reaction = judge(app, device, &verdict, now);
    note(state, device, lane, reaction, &verdict, now, &mut step);
    circuit::mind(state, &verdict, health(reaction), now, &mut step);
    let then = match reaction {
        Reaction::Forget(why) => Then::Gone(why),
        // Nobody calls any more.
        _ if lane.hung_up && lane.next.is_none() => Then::Dropped,
        _ if device.is_guest() => Then::Dropped,
        _ => Then::Again,
    };
    say(device, lane, &verdict, then, now, &mut step);
    match reaction {
        Reaction::Done | Reaction::Skip => done(state, device, kind, lane, now, &mut step),
        Reaction::Forget(_) => {
            owing::give_up(&mut step, &device.node(), kind, lane, Refusal::NoSuchDevice);
            owing::bury(state, &device.node(), &mut step);
        }
        Reaction::Doubt | Reaction::Suspect | Reaction::Later(_) => {
            let when = Again::Later(&verdict.outcome);
            owing::again(state, &Failed { device, kind, lane, when }, now, dice, &mut step);
        }
    }
    step
}

fn find<'a>(state: &'a State, device: DeviceView<'_>, push: PushId) -> Option<(LaneKind, &'a Lane)> {
    let lanes = [LaneKind::Messages, LaneKind::Calls].into_iter();
    let mut lanes = lanes.filter_map(|kind| Some((kind, state.lane_of(device, kind)?)));
    lanes.find(|(_, lane)| lane.under_way().is_some_and(|(under_way, _)| under_way == push))
}

fn under_another_token(device: DeviceView<'_>, lane: &Lane) -> bool {
    lane.under_way().is_some_and(|(_, generation)| generation != device.generation())
}

/// Its app's credentials, or whatever else its pushes go by, have changed since it left.
fn went_a_former_way(app: Option<&AppState>, verdict: &Verdict) -> bool {
    app.and_then(|app| app.since).is_some_and(|since| verdict.push < since)
}

fn judge(app: Option<&AppState>, device: DeviceView<'_>, verdict: &Verdict, now: Now) -> Reaction {
    let works = || {
        let credentials = app.and_then(|app| app.credentials);
        app.is_some_and(|app| app.works) || credentials.is_some_and(|credentials| device.has_worked(credentials))
    };
    match verdict.outcome {
        // Nearly all of them: as the rule has it, with nothing to look at.
        Outcome::Accepted => Reaction::Done,
        _ => react(&verdict.outcome, &device.device(), works(), now.wall),
    }
}

/// What a verdict says of its app, apart from the device.
const fn health(reaction: Reaction) -> Health {
    match reaction {
        // "Gone" is said to those whose credentials are in order.
        Reaction::Done | Reaction::Forget(GoneReason::VendorGone) | Reaction::Doubt => Health::Works,
        Reaction::Suspect | Reaction::Later(Later::Operator) => Health::Refuses,
        Reaction::Later(_) => Health::Fails,
        Reaction::Forget(_) | Reaction::Skip => Health::Unknown,
    }
}

/// The vendor took it, or was not to be asked. What waits behind it goes.
fn done(state: &State, device: DeviceView<'_>, kind: LaneKind, lane: &Lane, now: Now, step: &mut Step) {
    for waiter in &lane.waiters {
        step.tell(waiter.clone(), Answer::Done);
    }
    let node = &device.node();
    let Some(next) = &lane.next else {
        owing::settle(step, node, kind, lane);
        return step.remember(Memory::Ended { node: node.clone(), kind });
    };
    let follower = Lane { owed: next.owed, ..Lane::new(next.load.clone(), Phase::Ready, next.waiters.clone()) };
    let rests = state.policy.min_interval.filter(|_| kind == LaneKind::Messages);
    if rests.is_some() {
        return rest(state, device, kind, lane, follower, now, step);
    }
    if !next.owed {
        owing::settle(step, node, kind, lane);
    }
    // In its turn: others may wait for the slot, the circuit may still be open, or this may be of no use any more.
    step.remember(Memory::Moved { node: node.clone(), kind, lane: Box::new(follower) });
    step.then.push(Inner::Drain(device.app().clone()));
}

/// The device is left alone for a while: what waits for it is owed until then.
fn rest(state: &State, device: DeviceView<'_>, kind: LaneKind, lane: &Lane, next: Lane, now: Now, step: &mut Step) {
    let node = &device.node();
    let until = now.steady + state.policy.min_interval.unwrap_or_default();
    let heard = next.waiters.iter().any(|waiter| matches!(waiter, Waiter::Iq(_)));
    // Its lane has a place in the outbox already, or needs one.
    let room = match lane.promised() {
        Some(_) if !state.is_read_only() => Ok(()),
        _ if device.is_guest() => Err(Later::Vendor),
        _ => state.room_to_owe(),
    };
    let waiters = match room {
        // Those who asked since it was promised may have changed what it says.
        Ok(()) if heard || !next.owed => {
            owing::owe(step, node, kind, &next.load);
            owing::promised(step, &next.waiters)
        }
        Err(later) if !next.owed => {
            step.noted(device, None, now, Decided::Refused(Objection::Later(later)));
            owing::settle(step, node, kind, lane);
            step.remember(Memory::Ended { node: node.clone(), kind });
            return owing::tell_all(step, &next, &Answer::Refused(Refusal::TryLater(later)));
        }
        Err(later) if heard => {
            owing::tell_all(step, &next, &Answer::Refused(Refusal::TryLater(later)));
            Vec::new()
        }
        _ => next.waiters.clone(),
    };
    let next = Lane { owed: true, phase: Phase::Resting(until), waiters, ..next };
    step.remember(Memory::Moved { node: node.clone(), kind, lane: Box::new(next) });
}

/// The device died while the push was under way.
fn dead(device: DeviceView<'_>, kind: LaneKind, lane: &Lane, verdict: &Verdict, step: &mut Step) {
    let taken = matches!(verdict.outcome, Outcome::Accepted | Outcome::Withheld);
    let said = if taken { Answer::Done } else { Answer::Refused(Refusal::NoSuchDevice) };
    for waiter in &lane.waiters {
        step.tell(waiter.clone(), said.clone());
    }
    // Nothing more goes to it.
    for waiter in lane.next.iter().flat_map(|next| &next.waiters) {
        step.tell(waiter.clone(), Answer::Refused(Refusal::NoSuchDevice));
    }
    let node = device.node();
    owing::settle(step, &node, kind, lane);
    step.remember(Memory::Ended { node, kind });
}

/// Notes what the vendor said.
fn say(device: DeviceView<'_>, lane: &Lane, verdict: &Verdict, then: Then, now: Now, step: &mut Step) {
    let took = lane.sent().map_or_else(Duration::default, |sent| now.steady - sent);
    let (class, waited) = (lane.load.class, now.wall - lane.load.published);
    let what = match verdict.outcome {
        Outcome::Accepted => Decided::Accepted { class, took, waited },
        Outcome::Withheld => Decided::Withheld(class),
        _ => Decided::NotAccepted { reason: circuit::reason(verdict), took, then },
    };
    step.noted(device, Some(verdict.push), now, what);
}

/// Notes what happened to the device.
fn note(
    state: &State,
    device: DeviceView<'_>,
    lane: &Lane,
    reaction: Reaction,
    verdict: &Verdict,
    now: Now,
    step: &mut Step,
) {
    let guest = device.is_guest();
    let reason = || circuit::reason(verdict);
    let said = match reaction {
        Reaction::Done => Said::Accepted,
        // Nobody has seen whether the token is good.
        Reaction::Skip => return,
        Reaction::Forget(why) => {
            let gone = Box::new(device.device().into_gone(why, now.wall));
            step.changes.push(if guest { Change::Memory(Memory::Guest(gone)) } else { Change::Device(gone) });
            return forget_oldest_gone(state, device, step);
        }
        Reaction::Doubt => Said::Doubtful,
        Reaction::Suspect => Said::Suspect(reason()),
        Reaction::Later(_) => Said::Failed(reason()),
    };
    // The vendor takes it, so there is a phone: from now on it is a device like others.
    if guest && said == Said::Accepted {
        step.changes.push(Change::Device(Box::new(device.device())));
    } else if guest {
        return;
    }
    let fact = Fact { node: device.node(), published: lane.load.published, at: now.wall, said };
    step.changes.push(Change::Fact(fact));
}

/// An account keeps only so many dead devices in memory.
fn forget_oldest_gone(state: &State, dying: DeviceView<'_>, step: &mut Step) {
    step.changes.extend(super::register::surplus_gone(state, &dying.owner(), 1).map(Change::Forget));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::app::Credentials;
    use crate::domain::device::{Gone, GoneReason};
    use crate::domain::ids::AppName;
    use crate::domain::time::Timestamp;
    use crate::flows::circuit::Fault;
    use crate::flows::data::Notice;
    use crate::flows::world::{START, World, body, policy, wake};

    #[test]
    fn a_dead_token_is_said_at_once_and_ever_after() {
        let mut world = World::new(policy());
        let device = world.register("romeo@example.org", "phone", "token-1"); // t1
        let sent = world.publish(&device, wake()); // t2
        world.publish(&device, body("hi")); // t3 waits behind it
        let refused = world.verdict(&sent.pushes[0], Outcome::Gone { since: None });
        let both = ["t2", "t3"].map(|ticket| (ticket.to_owned(), Refusal::NoSuchDevice));
        assert_eq!(refused.refused(), both);
        assert!(refused.pushes.is_empty());
        assert_eq!(world.publish(&device, wake()).refused(), [("t4".to_owned(), Refusal::NoSuchDevice)]);
        let gone = world.state.device(&device.0).unwrap();
        assert_eq!(gone.gone, Some(Gone { at: START, why: GoneReason::VendorGone }));
        assert_eq!(gone.token.reveal(), "");
    }

    #[test]
    fn a_token_that_died_before_it_was_registered_is_doubted_once() {
        let mut world = World::new(policy());
        let device = world.register("romeo@example.org", "phone", "token-1"); // t1
        let gone = || Outcome::Gone { since: Some(Timestamp::from_millis(START.millis() - 1)) };
        let sent = world.publish(&device, wake()); // t2
        let doubted = world.verdict(&sent.pushes[0], gone());
        assert_eq!(doubted.done(), ["t2"]);
        let again = world.pass(2000);
        let believed = world.verdict(&again.pushes[0], gone());
        assert!(believed.answers.is_empty());
        assert_eq!(world.state.device(&device.0).unwrap().gone.map(|gone| gone.why), Some(GoneReason::VendorGone));
        assert_eq!(world.state.queues().owed(), (0, 0));
    }

    #[test]
    fn a_verdict_on_an_old_token_says_nothing_of_the_new_one() {
        let mut world = World::new(policy());
        let device = world.register("romeo@example.org", "phone", "token-1"); // t1
        let old = world.publish(&device, wake()); // t2
        assert_eq!(world.register("romeo@example.org", "phone", "token-2"), device); // t3
        // A publish for the new token does not share the old one's fate.
        assert!(world.publish(&device, wake()).pushes.is_empty()); // t4
        let settled = world.verdict(&old.pushes[0], Outcome::Gone { since: None });
        assert_eq!(settled.done(), ["t2", "t4"]);
        assert_eq!(settled.pushes[0].token.reveal(), "token-2");
        assert!(world.verdict(&settled.pushes[0], Outcome::Accepted).answers.is_empty());
        assert_eq!(world.state.device(&device.0).unwrap().gone, None);
    }

    #[test]
    fn a_token_that_does_not_fit_is_dead_only_if_the_credentials_work() {
        let suspect = || Outcome::Suspect("BadDeviceToken".into());
        let mut world = World::new(policy());
        let bad = world.register("romeo@example.org", "phone", "token-1"); // t1
        let good = world.register("juliet@example.org", "phone", "token-2"); // t2

        let sent = world.publish(&bad, wake()); // t3
        let refused = world.verdict(&sent.pushes[0], suspect());
        assert_eq!(refused.done(), ["t3"]);
        let app = || AppName::new("android");
        assert_eq!(
            refused.notices,
            [Notice::CircuitOpened { app: app(), fault: Fault::Operator, reason: "BadDeviceToken".into() }]
        );

        // Whoever comes meanwhile is promised a push, and one at a time is tried.
        assert_eq!(world.publish(&good, wake()).done(), ["t4"]);
        let trial = world.pass(2000);
        assert_eq!(trial.pushes.iter().map(|push| &push.node).collect::<Vec<_>>(), [&good.0]);
        let closed = world.verdict(&trial.pushes[0], Outcome::Accepted);
        assert_eq!(closed.notices, [Notice::CircuitClosed { app: app() }]);

        // The credentials work, so it is the token that does not.
        assert_eq!(closed.pushes.iter().map(|push| &push.node).collect::<Vec<_>>(), [&bad.0]);
        let dead = world.verdict(&closed.pushes[0], suspect());
        assert!(dead.answers.is_empty() && dead.notices.is_empty());
        assert_eq!(world.state.device(&bad.0).unwrap().gone.map(|gone| gone.why), Some(GoneReason::VendorGone));

        // New credentials: what worked under the old ones proves nothing.
        world.later(1000);
        let credentials = Credentials { fingerprint: 2, since: world.now().wall };
        world.state.apply(&Change::Credentials(app(), credentials));
        let sent = world.publish(&good, wake()); // t5
        assert_eq!(world.verdict(&sent.pushes[0], suspect()).done(), ["t5"]);
        assert_eq!(world.state.device(&good.0).unwrap().gone, None);
    }

    #[test]
    fn what_waits_for_a_device_that_is_taken_back_is_not_sent_to_it() {
        let mut world = World::new(policy());
        let device = world.register("romeo@example.org", "phone", "token-1"); // t1
        let sent = world.publish(&device, wake()); // t2
        world.publish(&device, body("hi")); // t3 waits behind it
        world.unregister("romeo@example.org", "phone"); // t4
        let settled = world.verdict(&sent.pushes[0], Outcome::Accepted);
        assert!(settled.pushes.is_empty());
        assert_eq!(settled.done(), ["t2"]);
        assert_eq!(settled.refused(), [("t3".to_owned(), Refusal::NoSuchDevice)]);
        assert_eq!((world.state.waiting(), world.state.under_way()), (0, 0));
    }

    #[test]
    fn trouble_of_vendor_or_operator_is_no_devices_fault() {
        let unavailable = || Outcome::Unavailable { retry_after: None, reason: "503".into() };
        let throttled = || Outcome::Throttled { retry_after: None, reason: "429".into() };
        let rows = [
            (unavailable(), None),
            (throttled(), None),
            (Outcome::OperatorFault("InvalidProviderToken".into()), Some(Fault::Operator)),
        ];
        for (outcome, fault) in rows {
            let mut world = World::new(policy());
            let device = world.register("romeo@example.org", "phone", "token-1"); // t1
            let sent = world.publish(&device, wake()); // t2
            let owed = world.verdict(&sent.pushes[0], outcome.clone());
            assert_eq!(owed.done(), ["t2"], "{outcome:?}");
            let opened: Vec<_> =
                owed.notices.iter().map(|notice| matches!(notice, Notice::CircuitOpened { .. })).collect();
            assert_eq!(opened.len(), usize::from(fault.is_some()), "{outcome:?}");
            let known = world.state.device(&device.0).unwrap();
            assert_eq!((known.gone, known.history.errors), (None, 1), "{outcome:?}");
            let circuit = world.state.app(&AppName::new("android")).unwrap().circuit.as_ref();
            assert_eq!(circuit.map(|circuit| circuit.fault), fault, "{outcome:?}");
            let again = world.pass(5000);
            assert_eq!(again.pushes.len(), 1, "{outcome:?}");
            assert!(world.verdict(&again.pushes[0], Outcome::Accepted).answers.is_empty());
            assert_eq!((world.state.queues().owed(), world.state.under_way()), ((0, 0), 0), "{outcome:?}");
        }
    }

    #[test]
    fn what_failed_and_what_waited_behind_it_go_again_as_one() {
        let mut world = World::new(policy());
        let device = world.register("romeo@example.org", "phone", "token-1"); // t1
        let sent = world.publish(&device, wake()); // t2
        world.publish(&device, body("hi")); // t3
        let outcome = Outcome::Unavailable { retry_after: None, reason: "timeout".into() };
        let failed = world.verdict(&sent.pushes[0], outcome);
        assert_eq!((failed.done(), failed.pushes.len()), (vec!["t2", "t3"], 0));
        let again = world.pass(2000);
        let [push] = &again.pushes[..] else { panic!("{again:?}") };
        assert_eq!(push.content.body, Some(crate::domain::secret::Private::new("hi")));
        world.verdict(push, Outcome::Accepted);
        assert_eq!(world.state.queues().owed(), (0, 0));
    }

    #[test]
    fn an_account_keeps_sixty_four_dead_devices() {
        let mut world = World::new(policy());
        let mut first = None;
        for number in 0..66 {
            let device = world.register("romeo@example.org", &format!("phone-{number}"), "token");
            first.get_or_insert_with(|| device.0.clone());
            let sent = world.publish(&device, wake());
            world.verdict(&sent.pushes[0], Outcome::Gone { since: None });
            world.uptime += Duration::from_secs(1);
        }
        assert_eq!(world.state.count(), (64, 64));
        assert_eq!(world.state.device(&first.unwrap()), None);
    }
}
