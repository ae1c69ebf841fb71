use super::*;
use crate::domain::ids::{DeviceHash, Domain, Node};
use crate::domain::outcome::Outcome;
use crate::domain::push;
use crate::domain::secret::{Private, Secret};
use crate::flows::policy::Policy;
use crate::flows::world::{World, body, call, policy, wake};

const FULL: Refusal = Refusal::TryLater(Later::Full);

#[test]
fn a_publish_goes_to_the_devices_token_and_waits_for_the_verdict() {
    let mut world = World::new(policy());
    let device = world.register("romeo@example.org", "phone", "token-1");
    let sent = world.publish(&device, body("hi"));
    assert!(sent.answers.is_empty());
    let [push] = &sent.pushes[..] else { panic!("{sent:?}") };
    assert_eq!((&*push.token.reveal(), push.class), ("token-1", Class::Important));
    assert_eq!(push.content.body, Some(Private::new("hi")));
    assert_eq!(push.account.hex(), DeviceHash::of("romeo@example.org", "phone").hex());
    assert_eq!(push.ttl, push::VENDOR_TTL);
    assert_eq!(world.verdict(push, Outcome::Accepted).done(), ["t2"]);
    assert_eq!((world.state.waiting(), world.state.under_way()), (0, 0));
}

#[test]
fn whoever_may_not_push_learns_nothing() {
    let mut world = World::new(policy());
    let (node, secret) = world.register("romeo@example.org", "phone", "token-1");
    let right = Publish {
        from: Domain::new("example.org"),
        from_full_jid: false,
        node,
        secret: Some(secret),
        module: None,
        notification: wake(),
    };
    let rows = [
        Publish { secret: Some(Secret::new("wrong")), ..right.clone() },
        Publish { secret: None, ..right.clone() },
        Publish { from: Domain::new("evil.example"), ..right.clone() },
        Publish { from_full_jid: true, ..right.clone() },
        Publish { node: Node::new("unknown"), ..right },
    ];
    for publish in rows {
        let refused = world.publish_as(publish);
        assert_eq!(refused.answers.len(), 1);
        assert_eq!(refused.refused()[0].1, Refusal::NoSuchDevice);
        assert!(refused.pushes.is_empty());
    }
}

#[test]
fn what_comes_meanwhile_joins_or_waits_and_shares_a_verdict() {
    let mut world = World::new(policy());
    let device = world.register("romeo@example.org", "phone", "token-1"); // t1
    let first = world.publish(&device, wake()); // t2: under way
    let joined = world.publish(&device, wake()); // t3: joins
    let queued = world.publish(&device, body("one")); // t4: a higher class waits
    let merged = world.publish(&device, body("two")); // t5: merged, the latest among equals
    let lower = world.publish(&device, wake()); // t6: the push under way says as much
    for happened in [&joined, &queued, &merged, &lower] {
        assert_eq!((happened.answers.len(), happened.pushes.len()), (0, 0));
    }
    let second = world.verdict(&first.pushes[0], Outcome::Accepted);
    assert_eq!(second.done(), ["t2", "t3", "t6"]);
    assert_eq!(second.pushes[0].class, Class::Important);
    assert_eq!(second.pushes[0].content.body, Some(Private::new("two")));
    assert_eq!(world.verdict(&second.pushes[0], Outcome::Accepted).done(), ["t4", "t5"]);
    assert_eq!((world.state.waiting(), world.state.under_way()), (0, 0));
}

#[test]
fn a_call_waits_for_nothing() {
    let mut world = World::new(policy());
    let device = world.register("romeo@example.org", "phone", "token-1");
    assert_eq!(world.publish(&device, body("hi")).pushes.len(), 1);
    let ringing = world.publish(&device, call());
    assert_eq!((ringing.pushes[0].class, ringing.pushes[0].ttl), (Class::Call, push::CALL_TTL));
}

#[test]
fn a_phone_rings_six_times_a_minute_at_most() {
    let mut world = World::new(policy());
    let phone = world.register("romeo@example.org", "phone", "token-1");
    let tablet = world.register("romeo@example.org", "tablet", "token-2");
    let ring = |world: &mut World, device| {
        let sent = world.publish(device, call());
        let push = &sent.pushes[0];
        world.verdict(push, Outcome::Accepted);
        push.class
    };
    for _ in 0..6 {
        assert_eq!(ring(&mut world, &phone), Class::Call);
    }
    // The account's limit holds for its other devices too.
    assert_eq!(ring(&mut world, &phone), Class::Important);
    assert_eq!(ring(&mut world, &tablet), Class::Important);
    world.later(10_000);
    assert_eq!(ring(&mut world, &tablet), Class::Call);
    assert_eq!(ring(&mut world, &tablet), Class::Important);
}

#[test]
fn what_finds_no_slot_waits_for_one_and_what_finds_no_place_is_promised_at_once() {
    let mut world = World::new(Policy { slots: 1, max_waiting: 3, ..policy() });
    let one = world.register("romeo@example.org", "phone", "token-1"); // t1
    let two = world.register("juliet@example.org", "phone", "token-2"); // t2
    let three = world.register("nurse@example.org", "phone", "token-3"); // t3
    let first = world.publish(&one, wake()); // t4
    let waits = world.publish(&two, wake()); // t5 finds no slot
    assert_eq!((first.pushes.len(), waits.pushes.len(), waits.answers.len()), (1, 0, 0));
    assert!(world.publish(&one, wake()).answers.is_empty()); // t6 joins
    for (device, ticket) in [(&three, "t7"), (&one, "t8"), (&two, "t9")] {
        let promised = world.publish(device, body("hi"));
        assert_eq!((promised.done(), promised.pushes.len()), (vec![ticket], 0));
        assert!(promised.stored.iter().any(|change| matches!(change, Change::Owe(_))), "{promised:?}");
    }
    // Each gets its turn; one after the other. What waited behind the push under way goes to the end.
    let mut sent = world.verdict(&first.pushes[0], Outcome::Accepted);
    assert_eq!(sent.done(), ["t4", "t6"]);
    let mut order = Vec::new();
    while let Some(push) = sent.pushes.pop() {
        assert!(sent.pushes.is_empty());
        order.push((push.token.reveal().into_owned(), push.class));
        sent = world.verdict(&push, Outcome::Accepted);
    }
    let important = |token: &str| (token.to_owned(), Class::Important);
    assert_eq!(order, [important("token-2"), important("token-3"), important("token-1")]);
    assert_eq!((world.state.queues().owed(), world.state.waiting()), ((0, 0), 0));
}

#[test]
fn a_full_outbox_is_the_one_reason_to_come_again() {
    let mut world = World::new(Policy { max_waiting: 0, max_owed: 1, slots: 1, ..policy() });
    let one = world.register("romeo@example.org", "phone", "token-1"); // t1
    let two = world.register("juliet@example.org", "phone", "token-2"); // t2
    world.publish(&one, wake()); // t3 is under way
    assert_eq!(world.publish(&one, body("hi")).done(), ["t4"]);
    assert_eq!(world.publish(&two, wake()).refused(), [("t5".to_owned(), FULL)]);
    // What is promised already can be said otherwise.
    assert_eq!(world.publish(&one, body("more")).done(), ["t6"]);
}

#[test]
fn a_domain_may_publish_so_fast() {
    let rate = Rate { count: 2, per: Duration::from_secs(1) };
    let mut world = World::new(Policy { max_per_domain: Some(rate), ..policy() });
    let device = world.register("romeo@example.org", "phone", "token-1"); // t1
    let too_fast = ("t4".to_owned(), Refusal::TryLater(Later::DomainRate));
    assert!(world.publish(&device, wake()).answers.is_empty());
    assert!(world.publish(&device, wake()).answers.is_empty());
    assert_eq!(world.publish(&device, wake()).refused(), [too_fast]);
    world.later(500);
    assert!(world.publish(&device, wake()).answers.is_empty());
}
