//! What the naive model of the outbox found, and what it does not look at: one rule each.

use std::time::Duration;

use super::circuit::Fault;
use super::data::{Change, Decided, Inner, Input, Notice, Step, Then, Waiter};
use super::policy::Policy;
use super::world::{Happened, World, body, call, policy, wake};
use crate::domain::class::Class;
use crate::domain::ids::{Account, AppName, Domain, Node};
use crate::domain::outcome::Outcome;
use crate::domain::publish::{CallStep, Notification, Publish};
use crate::domain::push::Push;
use crate::domain::refusal::{Later, Refusal};
use crate::domain::registration::Said;
use crate::domain::secret::{Private, Secret};

fn down(retry_after: Option<u64>) -> Outcome {
    Outcome::Unavailable { retry_after: retry_after.map(Duration::from_secs), reason: "503".into() }
}

fn refused() -> Outcome {
    Outcome::OperatorFault("InvalidProviderToken".into())
}

fn hang_up() -> Notification {
    Notification { jingle: Some(CallStep::Other), ..Notification::default() }
}

fn phones(world: &mut World, count: usize) -> Vec<(Node, Secret)> {
    (0..count).map(|number| world.register(&format!("user{number}@example.org"), "phone", "token")).collect()
}

fn owed(happened: &Happened) -> Vec<Option<Private>> {
    let body = |change: &'_ Change| {
        if let Change::Owe(owed) = change { Some(owed.load.content.body.clone()) } else { None }
    };
    happened.stored.iter().filter_map(body).collect()
}

fn is_open(world: &World) -> bool {
    world.state.app(&AppName::new("android")).is_some_and(|app| app.circuit.is_some())
}

#[test]
fn a_call_is_owed_for_45_seconds_whatever_is_done_to_the_wall_clock() {
    for shift in [-3_600_000, 3_600_000] {
        let mut world = World::new(policy());
        let device = world.register("romeo@example.org", "phone", "token-1");
        let sent = world.publish(&device, call());
        world.verdict(&sent.pushes[0], down(Some(40)));
        world.shift = shift;
        let again = world.pass(44_000);
        assert_eq!(again.pushes.len(), 1, "{shift}");
        assert_eq!(again.pushes[0].ttl, Duration::from_secs(5), "{shift}");
        world.verdict(&again.pushes[0], down(None));
        assert!(world.pass(3_600_000).pushes.is_empty(), "{shift}");
        assert_eq!(world.state.queues().owed(), (0, 0), "{shift}");
    }
}

#[test]
fn what_is_owed_stays_owed_when_the_wall_clock_is_set_forward_by_years() {
    let mut world = World::new(policy());
    let device = world.register("romeo@example.org", "phone", "token-1");
    let sent = world.publish(&device, body("hi"));
    world.verdict(&sent.pushes[0], down(None));
    world.shift = 3 * 365 * 24 * 3_600_000;
    let again = world.pass(2000);
    assert_eq!(again.pushes[0].content.body, Some(Private::new("hi")));
}

#[test]
fn a_circuit_that_closed_stays_closed_when_something_waited_behind_the_trial() {
    let mut world = World::new(policy());
    let phones = phones(&mut world, 2);
    let sent = world.publish(&phones[0], wake());
    world.verdict(&sent.pushes[0], refused());
    let trial = world.pass(2000);
    assert_eq!(trial.pushes.len(), 1);
    world.publish(&phones[0], body("hi"));
    let closed = world.verdict(&trial.pushes[0], Outcome::Accepted);
    assert_eq!(closed.notices, [Notice::CircuitClosed { app: AppName::new("android") }]);
    assert_eq!(closed.pushes.len(), 1, "what waited goes");
    assert!(!is_open(&world));
    assert_eq!(world.publish(&phones[1], wake()).pushes.len(), 1, "and so does everybody else");
}

#[test]
fn what_waited_behind_a_push_to_an_old_token_is_no_second_trial() {
    let mut world = World::new(policy());
    let phones = phones(&mut world, 3);
    let old = world.publish(&phones[0], wake());
    let fault = world.publish(&phones[1], wake());
    world.register("user0@example.org", "phone", "token-2");
    world.publish(&phones[0], body("hi"));
    world.verdict(&fault.pushes[0], refused());
    let trial = world.pass(2000);
    assert_eq!(trial.pushes.len(), 1);
    // Taken under the old token: that says nothing, so the circuit stays open, and one is being tried already.
    assert_eq!(world.verdict(&old.pushes[0], Outcome::Accepted).pushes, []);
    assert!(is_open(&world));
}

#[test]
fn a_vendor_that_asks_to_wait_is_heard_while_the_circuit_is_open() {
    let mut world = World::new(policy());
    let phones = phones(&mut world, 2);
    let patient = world.publish(&phones[0], wake());
    let fault = world.publish(&phones[1], wake());
    let opened = world.verdict(&fault.pushes[0], refused());
    assert!(matches!(&opened.notices[..], [Notice::CircuitOpened { fault: Fault::Operator, .. }]));
    let outcome = Outcome::Throttled { retry_after: Some(Duration::from_secs(600)), reason: "429".into() };
    world.verdict(&patient.pushes[0], outcome);
    let mut trial = world.pass(599_000).pushes;
    assert_eq!(trial.iter().map(|push| &push.node).collect::<Vec<_>>(), [&phones[1].0]);
    world.verdict(&trial.remove(0), Outcome::Accepted);
    assert_eq!(world.pass(1000).pushes[0].node, phones[0].0);
}

#[test]
fn a_call_that_is_over_does_not_ring_again_but_a_new_one_does() {
    for (calls_again, rings) in [(false, 0), (true, 1)] {
        let mut world = World::new(policy());
        let device = world.register("romeo@example.org", "phone", "token-1"); // t1
        let ringing = world.publish(&device, call()); // t2
        let over = world.publish(&device, hang_up()); // t3
        world.verdict(&over.pushes[0], Outcome::Accepted);
        if calls_again {
            world.publish(&device, call()); // t4
        }
        let failed = world.verdict(&ringing.pushes[0], down(None));
        assert_eq!(failed.done().len(), 1 + rings, "{failed:?}");
        let romeo = Account::new("romeo@example.org");
        let history = world.state.history().of(&romeo);
        let then: Vec<Then> = history
            .filter_map(|entry| match entry.line.what {
                Decided::NotAccepted { then, .. } => Some(then),
                _ => None,
            })
            .collect();
        assert_eq!(then, [if calls_again { Then::Again } else { Then::Dropped }]);
        let later = world.pass(60_000);
        assert_eq!(later.pushes.iter().filter(|push| push.class == Class::Call).count(), rings);
    }
}

#[test]
fn whoever_waits_for_a_call_that_is_over_by_then_is_answered_once() {
    let mut world = World::new(Policy { slots: 1, ..policy() });
    let phones = phones(&mut world, 2);
    world.publish(&phones[0], wake());
    world.publish(&phones[1], call()); // t4 finds no slot
    // The machine slept.
    world.later(60_000);
    let woke = world.take(Input::Tick);
    let answers: Vec<_> = woke.answers.iter().filter(|(ticket, _)| ticket == "t4").collect();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(woke.refused(), [("t4".to_owned(), Refusal::TryLater(Later::Vendor))]);
}

#[test]
fn what_can_not_be_promised_anew_is_tried_again_after_a_while() {
    let mut world = World::new(policy());
    let device = world.register("romeo@example.org", "phone", "token-1"); // t1
    let sent = world.publish(&device, body("one")); // t2
    world.pass(5000);
    world.state.apply(&Change::Memory(super::memory::Memory::ReadOnly(true)));
    world.publish(&device, body("two")); // t3
    let failed = world.verdict(&sent.pushes[0], down(None));
    assert_eq!(failed.refused(), [("t3".to_owned(), Refusal::TryLater(Later::Store))]);
    assert_eq!(failed.pushes, [], "not at once");
    assert_eq!(world.pass(2000).pushes[0].content.body, Some(Private::new("two")));
}

#[test]
fn what_is_promised_when_too_many_wait_is_the_latest() {
    let mut world = World::new(Policy { max_waiting: 1, ..policy() });
    let device = world.register("romeo@example.org", "phone", "token-1");
    world.publish(&device, body("one"));
    let promised = world.publish(&device, body("two"));
    assert_eq!(owed(&promised), [Some(Private::new("two"))]);
}

#[test]
fn what_waits_for_its_interval_is_promised_as_it_is_by_then() {
    let interval = Some(Duration::from_secs(60));
    let mut world = World::new(Policy { min_interval: interval, max_waiting: 2, ..policy() });
    let phones = phones(&mut world, 2); // t1, t2
    let first = world.publish(&phones[0], wake()); // t3 is under way
    let other = world.publish(&phones[1], wake()); // t4 waits, too
    world.publish(&phones[0], body("one")); // t5: too many wait, so it is promised
    world.verdict(&other.pushes[0], Outcome::Accepted);
    world.publish(&phones[0], body("two")); // t6 waits again
    let rests = world.verdict(&first.pushes[0], Outcome::Accepted);
    assert_eq!((rests.done(), owed(&rests)), (vec!["t3", "t6"], vec![Some(Private::new("two"))]));
}

#[test]
fn nothing_is_promised_to_the_dead_and_nothing_old_goes_to_those_who_come_back() {
    let mut world = World::new(policy());
    let device = world.register("romeo@example.org", "phone", "token-1"); // t1
    world.publish(&device, wake()); // t2
    world.unregister("romeo@example.org", "phone"); // t3
    let late = world.pass(5000);
    assert_eq!((late.refused(), owed(&late)), (vec![("t2".to_owned(), Refusal::NoSuchDevice)], vec![]));

    // As an earlier process may have left it: owed, and dead, and no slot free to see to it.
    let mut world = World::new(Policy { slots: 0, ..policy() });
    let device = world.register("romeo@example.org", "phone", "token-1"); // t1
    world.publish(&device, body("old")); // t2
    world.pass(5000);
    let dead = world.state.device(&device.0).unwrap().clone();
    let dead = dead.into_gone(crate::domain::device::GoneReason::Owner, world.now().wall);
    world.state.apply(&Change::Device(Box::new(dead)));
    assert_eq!(world.state.queues().owed().0, 1);
    world.register("romeo@example.org", "phone", "token-2");
    assert_eq!(world.state.queues().owed(), (0, 0));
}

#[test]
fn stopping_keeps_what_our_own_rules_had_merged_into_what_was_promised() {
    let mut world = World::new(policy());
    let device = world.register("romeo@example.org", "phone", "token-1");
    let sent = world.publish(&device, wake());
    world.publish(&device, body("one"));
    world.pass(5000);
    let publish = publish(&device, "example.org", body("two"));
    let registration = crate::domain::registration::tests::registration().key;
    let push = Inner::Push { registration, flight: 1, publish: Box::new(publish) };
    world.take(Input::Inner(push));
    assert_eq!(owed(&world.take(Input::Stop)), [Some(Private::new("two"))]);
    assert_eq!(sent.pushes.len(), 1);
}

fn publish((node, secret): &(Node, Secret), from: &str, notification: Notification) -> Publish {
    let (node, secret) = (node.clone(), Some(secret.clone()));
    Publish { from: Domain::new(from), from_full_jid: false, node, secret, module: None, notification }
}

/// Phones of several domains, one slot, and one push under way.
fn crowd(domains: &[(&str, usize)]) -> (World, Push) {
    let waiting = domains.iter().map(|(_, count)| count).sum::<usize>() + 10;
    let mut world = World::new(Policy { slots: 1, max_waiting: waiting, ..policy() });
    let first = world.register("first@example.org", "phone", "token");
    let sent = world.publish(&first, wake()).pushes.remove(0);
    for (domain, count) in domains {
        for number in 0..*count {
            let device = world.register(&format!("{number}@{domain}"), "phone", "token");
            world.publish_as(publish(&device, domain, wake()));
        }
    }
    (world, sent)
}

/// Whose pushes go, in order.
fn served(state: &mut World, first: Push, count: usize) -> Vec<String> {
    let mut under_way = first;
    let mut served = Vec::new();
    while served.len() < count {
        under_way = state.verdict(&under_way, Outcome::Accepted).pushes.remove(0);
        served.push(under_way.owner.domain().as_str().to_owned());
    }
    served
}

#[test]
fn a_domain_with_one_push_waits_for_one_of_each_other_though_one_has_ten_thousand() {
    let (mut world, first) = crowd(&[("loud.example", 10_000), ("b.example", 3), ("c.example", 1)]);
    let order = served(&mut world, first, 8);
    let [loud, b, c] = ["loud.example", "b.example", "c.example"];
    assert_eq!(order, [loud, b, c, loud, b, loud, b, loud]);
}

#[test]
fn who_is_promised_a_push_from_the_start_has_one_turn_for_it() {
    let (mut world, first) = crowd(&[("a.example", 4)]);
    world.state.policy.max_waiting = 0;
    for number in 0..4 {
        let device = world.register(&format!("{number}@b.example"), "phone", "token");
        assert_eq!(world.publish_as(publish(&device, "b.example", wake())).done().len(), 1);
    }
    let order = served(&mut world, first, 8);
    let [a, b] = ["a.example", "b.example"];
    assert_eq!(order, [a, b, a, b, a, b, a, b]);
}

#[test]
fn what_waits_behind_a_push_takes_its_turn_among_others() {
    let mut world = World::new(Policy { slots: 1, ..policy() });
    let phones = phones(&mut world, 2);
    let first = world.publish(&phones[0], wake());
    world.publish(&phones[1], wake());
    world.publish(&phones[0], body("hi"));
    let next = world.verdict(&first.pushes[0], Outcome::Accepted);
    assert_eq!(next.pushes.iter().map(|push| &push.node).collect::<Vec<_>>(), [&phones[1].0]);
}

#[test]
fn so_many_waiting_domains_are_not_looked_at_for_each_that_comes() {
    let domains: Vec<String> = (0..3000).map(|number| format!("d{number}.example")).collect();
    let rows: Vec<(&str, usize)> = domains.iter().map(|domain| (domain.as_str(), 1)).collect();
    let (mut world, first) = crowd(&rows);
    let order = served(&mut world, first, 3000);
    assert_eq!(order, domains, "each once, first come, first served");
    let lanes = world.state.sizes().into_iter().find(|(name, _)| *name == "lanes");
    assert_eq!(lanes, Some(("lanes", 1)), "but for the last one, which is under way");
}

#[test]
fn who_was_pushed_to_is_remembered_for_the_interval_and_no_longer() {
    let mut world = World::new(Policy { min_interval: Some(Duration::from_secs(10)), ..policy() });
    let phones = phones(&mut world, 50);
    for phone in &phones {
        let sent = world.publish(phone, wake());
        world.verdict(&sent.pushes[0], Outcome::Accepted);
    }
    assert_eq!(world.state.sent(), (50, 50));
    world.later(10_000);
    world.publish(&phones[0], wake());
    assert_eq!(world.state.sent(), (1, 1));
}

#[test]
fn a_call_of_our_own_rules_that_is_taken_back_was_not_handed_over() {
    let mut world = World::new(policy());
    let refused = world.register("juliet@example.org", "phone", "token-1");
    let sent = world.publish(&refused, wake());
    world.verdict(&sent.pushes[0], Outcome::OperatorFault("InvalidProviderToken".into()));
    let (node, secret) = world.register("romeo@example.org", "phone", "token-2");
    let registration = crate::domain::registration::tests::registration().key;
    let told = |world: &mut World, notification: Notification| {
        let waiter = Waiter::Rules { registration: registration.clone(), flight: 7 };
        let publish = Publish {
            from: Domain::new("example.org"),
            from_full_jid: false,
            node: node.clone(),
            secret: Some(secret.clone()),
            module: None,
            notification,
        };
        let step = super::publish::publish(&world.state, waiter, publish, world.now(), Step::default());
        step.changes.iter().for_each(|change| world.state.apply(change));
        assert!(step.effects.is_empty(), "the circuit is open: {step:?}");
        step.then
    };
    assert!(told(&mut world, call()).is_empty());
    let over = Notification { jingle: Some(CallStep::Other), ..Notification::default() };
    let expected = Inner::Settled { registration: registration.clone(), flight: 7, said: Said::TakenBack };
    assert_eq!(told(&mut world, over), [expected]);
}
