//! A server asks for a push.

use std::time::Duration;

use super::data::{Answer, Change, Effect, Inner, Step, Ticket, Waiter};
use super::guests;
use super::lane::{Lane, LaneKind};
use super::memory::{Limit, Memory};
use super::state::State;
use crate::domain::class::Class;
use crate::domain::device::{Access, Device, GoneReason};
use crate::domain::ids::PushId;
use crate::domain::publish::Publish;
use crate::domain::push::{self, Content, Push};
use crate::domain::rate::Rate;
use crate::domain::refusal::{Later, Refusal};
use crate::domain::registration::Said;
use crate::domain::time::Now;

/// How often a device, an account, or a registration may ring: the class is the publisher's claim, and the publisher
/// may be anybody; and anybody may call.
pub(super) const RINGING: Rate = Rate { count: 6, per: Duration::from_secs(60) };

/// Decides about a publish: refused, sent, joined to the push under way, or queued behind it.
#[must_use]
pub fn publish(state: &State, waiter: Waiter, publish: Publish, now: Now) -> Step {
    let mut step = Step::default();
    // Our own rules are no stranger to be held back.
    if let (Some(rate), Waiter::Iq(_)) = (state.policy.max_per_domain, &waiter) {
        match state.publishing.less_one(&publish.from, rate, now.steady) {
            None => return step.turn_down(waiter, Refusal::TryLater(Later::DomainRate)),
            Some(bucket) => {
                step.remember(Memory::Drawn(Limit::Publishing(publish.from.clone()), bucket, now.steady));
            }
        }
    }
    let known = state.device(&publish.node);
    let guest = if known.is_none() { guests::guest(state, &publish, now.wall) } else { None };
    let Some(device) = known.filter(|device| device.admits(&publish)).or(guest.as_ref()) else {
        return step.turn_down(waiter, Refusal::NoSuchDevice);
    };
    if publish.notification.account_removed {
        if guest.is_none() {
            step.changes.push(Change::Device(Box::new(device.clone().into_gone(GoneReason::AccountDeleted, now.wall))));
        }
        step.tell(waiter, Answer::Done);
        return step;
    }
    if state.waiting() >= state.policy.max_waiting {
        return step.turn_down(waiter, Refusal::TryLater(Later::Full));
    }
    if let Some(guest) = &guest {
        if let Some(oldest) = guests::oldest(state) {
            step.remember(Memory::GuestLeft(oldest));
        }
        step.remember(Memory::Guest(Box::new(guest.clone())));
    }
    let class = ring_or_fall(state, device, publish.notification.class(), now, &mut step);
    let kind = LaneKind::of(class);
    let node = device.node.clone();
    match state.lane(&node, kind) {
        // What is under way says as much already. It must go to the same token, though.
        Some(lane) if lane.class >= class && lane.generation == device.generation => {
            step.remember(Memory::Joined { node, kind, waiter });
        }
        Some(_) => {
            let content = publish.notification.into_content();
            step.remember(Memory::Queued { node, class, content, published: now.wall, waiter });
        }
        None => {
            let under_way = state.app(&device.key.app).map_or(0, |app| app.under_way);
            if under_way >= state.policy.slots {
                return step.turn_down(waiter, Refusal::TryLater(Later::Full));
            }
            let content = publish.notification.into_content();
            let lane = Lane {
                push: state.next_push(),
                class,
                generation: device.generation,
                published: now.wall,
                waiters: vec![waiter],
                next: None,
            };
            step.begin(device, lane, content);
        }
    }
    step
}

/// A call rings if device and account have not rung too often; else it falls to important.
fn ring_or_fall(state: &State, device: &Device, class: Class, now: Now, step: &mut Step) -> Class {
    if class != Class::Call {
        return class;
    }
    let device_bucket = state.ringing_devices.less_one(&device.node, RINGING, now.steady);
    // What nobody registered is nobody's: there is no account to share a limit.
    let account_bucket = match device.access {
        Access::Anyone => device_bucket,
        Access::Secret | Access::Node => state.ringing_accounts.less_one(&device.owner, RINGING, now.steady),
    };
    let (Some(device_bucket), Some(account_bucket)) = (device_bucket, account_bucket) else {
        return Class::Important;
    };
    step.remember(Memory::Drawn(Limit::RingingDevice(device.node.clone()), device_bucket, now.steady));
    if device.access != Access::Anyone {
        step.remember(Memory::Drawn(Limit::RingingAccount(device.owner.clone()), account_bucket, now.steady));
    }
    Class::Call
}

impl Step {
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

    /// Sends a push to a device.
    pub(super) fn begin(&mut self, device: &Device, lane: Lane, content: Content) {
        let push = address(device, lane.push, lane.class, content);
        self.remember(Memory::Begun { node: device.node.clone(), lane: Box::new(lane) });
        self.effects.push(Effect::Deliver(Box::new(push)));
    }
}

/// What our own push service's answer is to our own rules.
fn said(answer: &Answer) -> Said {
    match answer {
        Answer::Refused(refusal @ Refusal::TryLater(_)) => Said::Later(refusal.name().into()),
        Answer::Refused(refusal) => Said::Refused(refusal.name().into()),
        Answer::Done | Answer::Registered { .. } | Answer::Unregistered { .. } => Said::Taken,
    }
}

/// A push as the gateway needs it.
fn address(device: &Device, id: PushId, class: Class, content: Content) -> Push {
    Push {
        id,
        app: device.key.app.clone(),
        node: device.node.clone(),
        generation: device.generation,
        token: device.token.clone(),
        voip_token: device.voip_token.clone(),
        owner: device.owner.clone(),
        account: device.key.account,
        channel: device.key.channel,
        class,
        content,
        ttl: push::ttl(class),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{DeviceHash, Domain, Node};
    use crate::domain::outcome::Outcome;
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
        assert_eq!((push.token.reveal(), push.class), ("token-1", Class::Important));
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
    fn what_finds_no_slot_or_place_is_told_to_try_later() {
        let mut world = World::new(Policy { slots: 1, max_waiting: 2, ..policy() });
        let one = world.register("romeo@example.org", "phone", "token-1"); // t1
        let two = world.register("juliet@example.org", "phone", "token-2"); // t2
        assert_eq!(world.publish(&one, wake()).pushes.len(), 1); // t3
        assert_eq!(world.publish(&two, wake()).refused(), [("t4".to_owned(), FULL)]);
        assert!(world.publish(&one, wake()).answers.is_empty()); // t5 joins
        assert_eq!(world.publish(&one, wake()).refused(), [("t6".to_owned(), FULL)]);
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
}
