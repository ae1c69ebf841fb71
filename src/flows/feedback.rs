//! A vendor spoke of a push.

use super::data::{Answer, Change, Effect, Notice, Step, Waiter};
use super::lane::{Lane, LaneKind};
use super::memory::Memory;
use super::offer;
use super::state::State;
use crate::domain::device::{Device, Fact, Said};
use crate::domain::ids::{AppName, Node, PushId};
use crate::domain::outcome::{Outcome, Reason, Verdict};
use crate::domain::refusal::{Later, Refusal};
use crate::domain::time::Now;
use crate::domain::verdict::{Reaction, react};

/// Settles a push: answers those who wait, notes what happened, and sends what waited behind it.
#[must_use]
pub fn feedback(state: &State, verdict: Verdict, now: Now) -> Step {
    let mut step = Step::default();
    step.remember(Memory::Spoke(verdict.app.clone(), now.steady));
    offer::mind(state, &verdict, &mut step);
    // Not under way any more if the device was forgotten meanwhile.
    let Some((kind, lane)) = find(state, &verdict.node, verdict.push) else { return step };
    let Some(device) = state.device(&verdict.node) else { return step };
    step.remember(Memory::Ended { node: device.node.clone(), kind });
    let settled = if device.gone.is_some() {
        Settled::Dead
    } else if verdict.generation != device.generation {
        Settled::OtherToken
    } else {
        Settled::Reaction(judge(state, device, &verdict, now))
    };
    let answer = settle(state, device, lane, settled, &verdict, now, &mut step);
    mind_the_circuit(state, &verdict, settled, &mut step);

    answer_all(&mut step, &lane.waiters, &answer);
    if let Some(next) = &lane.next {
        // Dead before this verdict, or by it: nothing goes to it any more.
        let dead = Answer::Refused(Refusal::NoSuchDevice);
        if settled == Settled::Dead || answer == dead {
            answer_all(&mut step, &next.waiters, &dead);
        } else {
            let follower = Lane {
                push: state.next_push(),
                class: next.class,
                generation: device.generation,
                published: next.published,
                waiters: next.waiters.clone(),
                next: None,
            };
            step.begin(device, follower, next.content.clone());
        }
    }
    step
}

/// Which of the ways a push can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settled {
    /// The device died while the push was under way.
    Dead,
    /// The device has another token by now: what this one met says nothing of it.
    OtherToken,
    /// By the rule.
    Reaction(Reaction),
}

fn find<'a>(state: &'a State, node: &Node, push: PushId) -> Option<(LaneKind, &'a Lane)> {
    let lanes = [LaneKind::Messages, LaneKind::Calls].into_iter();
    let mut lanes = lanes.filter_map(|kind| Some((kind, state.lane(node, kind)?)));
    lanes.find(|(_, lane)| lane.push == push)
}

fn judge(state: &State, device: &Device, verdict: &Verdict, now: Now) -> Reaction {
    let app = state.app(&verdict.app);
    let works = app.is_some_and(|app| app.works)
        || app.and_then(|app| app.credentials).is_some_and(|credentials| device.has_worked(credentials));
    react(&verdict.outcome, device, works, now.wall)
}

/// Notes what happened to the device; returns what those who wait are told.
fn settle(
    state: &State,
    device: &Device,
    lane: &Lane,
    settled: Settled,
    verdict: &Verdict,
    now: Now,
    step: &mut Step,
) -> Answer {
    let guest = state.is_guest(&device.node);
    let mut note = |said| {
        // The vendor takes it, so there is a phone: from now on it is a device like others.
        if guest && said == Said::Accepted {
            step.changes.push(Change::Device(Box::new(device.clone())));
        } else if guest {
            return;
        }
        let fact = Fact { node: device.node.clone(), published: lane.published, at: now.wall, said };
        step.changes.push(Change::Fact(fact));
    };
    match settled {
        Settled::Dead if verdict.outcome == Outcome::Accepted => Answer::Done,
        Settled::Dead => Answer::Refused(Refusal::NoSuchDevice),
        Settled::OtherToken if verdict.outcome == Outcome::Accepted => Answer::Done,
        Settled::OtherToken => Answer::Refused(Refusal::TryLater(Later::Vendor)),
        Settled::Reaction(Reaction::Done) => {
            note(Said::Accepted);
            Answer::Done
        }
        Settled::Reaction(Reaction::Forget(why)) => {
            let gone = Box::new(device.clone().into_gone(why, now.wall));
            step.changes.push(if guest { Change::Memory(Memory::Guest(gone)) } else { Change::Device(gone) });
            forget_oldest_gone(state, device, step);
            Answer::Refused(Refusal::NoSuchDevice)
        }
        Settled::Reaction(Reaction::Doubt) => {
            note(Said::Doubtful);
            Answer::Refused(Refusal::TryLater(Later::Vendor))
        }
        Settled::Reaction(Reaction::Suspect) => {
            note(Said::Suspect(reason(verdict)));
            Answer::Refused(Refusal::TryLater(Later::Operator))
        }
        Settled::Reaction(Reaction::Later(later)) => {
            note(Said::Failed(reason(verdict)));
            Answer::Refused(Refusal::TryLater(later))
        }
    }
}

/// A circuit opens when the vendor refuses the app's credentials, or may be refusing them, and closes when it takes a
/// push.
fn mind_the_circuit(state: &State, verdict: &Verdict, settled: Settled, step: &mut Step) {
    let open = state.app(&verdict.app).is_some_and(|app| app.circuit.is_some());
    let at_fault = matches!(settled, Settled::Reaction(Reaction::Suspect | Reaction::Later(Later::Operator)));
    let app: AppName = verdict.app.clone();
    if at_fault && !open {
        let reason = reason(verdict);
        step.remember(Memory::Circuit(app.clone(), Some(reason.clone())));
        step.effects.push(Effect::Notice(Notice::CircuitOpened { app, reason }));
    } else if open && verdict.outcome == Outcome::Accepted {
        step.remember(Memory::Circuit(app.clone(), None));
        step.effects.push(Effect::Notice(Notice::CircuitClosed { app }));
    }
}

/// An account keeps only so many dead devices in memory.
fn forget_oldest_gone(state: &State, dying: &Device, step: &mut Step) {
    step.changes.extend(super::register::surplus_gone(state, &dying.owner, 1).map(Change::Forget));
}

fn reason(verdict: &Verdict) -> Reason {
    verdict.outcome.reason().map_or_else(|| verdict.outcome.name().into(), |reason| reason.to_owned().into())
}

fn answer_all(step: &mut Step, waiters: &[Waiter], answer: &Answer) {
    for waiter in waiters {
        step.tell(waiter.clone(), answer.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::app::Credentials;
    use crate::domain::device::{Gone, GoneReason};
    use crate::domain::time::Timestamp;
    use crate::flows::world::{START, World, body, policy, wake};

    fn later(later: Later) -> Refusal {
        Refusal::TryLater(later)
    }

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
        assert_eq!(doubted.refused(), [("t2".to_owned(), later(Later::Vendor))]);
        let sent = world.publish(&device, wake()); // t3
        let believed = world.verdict(&sent.pushes[0], gone());
        assert_eq!(believed.refused(), [("t3".to_owned(), Refusal::NoSuchDevice)]);
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
        assert_eq!(settled.refused(), [("t2".to_owned(), later(Later::Vendor))]);
        assert_eq!(settled.pushes[0].token.reveal(), "token-2");
        assert_eq!(world.verdict(&settled.pushes[0], Outcome::Accepted).done(), ["t4"]);
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
        assert_eq!(refused.refused(), [("t3".to_owned(), later(Later::Operator))]);
        let app = || AppName::new("android");
        assert_eq!(refused.notices, [Notice::CircuitOpened { app: app(), reason: "BadDeviceToken".into() }]);

        let sent = world.publish(&good, wake()); // t4
        let accepted = world.verdict(&sent.pushes[0], Outcome::Accepted);
        assert_eq!(accepted.notices, [Notice::CircuitClosed { app: app() }]);

        let sent = world.publish(&bad, wake()); // t5
        let dead = world.verdict(&sent.pushes[0], suspect());
        assert_eq!(dead.refused(), [("t5".to_owned(), Refusal::NoSuchDevice)]);
        assert!(dead.notices.is_empty());

        // New credentials: what worked under the old ones proves nothing.
        world.later(1000);
        let credentials = Credentials { fingerprint: 2, since: world.now().wall };
        world.state.apply(&Change::Credentials(app(), credentials));
        let sent = world.publish(&good, wake()); // t6
        let spared = world.verdict(&sent.pushes[0], suspect());
        assert_eq!(spared.refused(), [("t6".to_owned(), later(Later::Operator))]);
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
        let mut world = World::new(policy());
        let device = world.register("romeo@example.org", "phone", "token-1");
        let fault = || Outcome::OperatorFault("InvalidProviderToken".into());
        let rows = [
            (Outcome::Unavailable { retry_after: None, reason: "503".into() }, Later::Vendor, 0),
            (Outcome::Throttled { retry_after: None, reason: "429".into() }, Later::Vendor, 0),
            (fault(), Later::Operator, 1),
            // Said once, not once a push.
            (fault(), Later::Operator, 0),
        ];
        for (errors, (outcome, why, notices)) in (1..).zip(rows) {
            let sent = world.publish(&device, wake());
            let refused = world.verdict(&sent.pushes[0], outcome.clone());
            assert_eq!(refused.refused()[0].1, later(why), "{outcome:?}");
            assert_eq!(refused.notices.len(), notices, "{outcome:?}");
            let known = world.state.device(&device.0).unwrap();
            assert_eq!((known.gone, known.history.errors), (None, errors), "{outcome:?}");
        }
    }

    #[test]
    fn what_waited_behind_a_failed_push_is_tried_all_the_same() {
        let mut world = World::new(policy());
        let device = world.register("romeo@example.org", "phone", "token-1"); // t1
        let sent = world.publish(&device, wake()); // t2
        world.publish(&device, body("hi")); // t3
        let outcome = Outcome::Unavailable { retry_after: None, reason: "timeout".into() };
        let failed = world.verdict(&sent.pushes[0], outcome);
        assert_eq!(failed.refused(), [("t2".to_owned(), later(Later::Vendor))]);
        assert_eq!(world.verdict(&failed.pushes[0], Outcome::Accepted).done(), ["t3"]);
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
