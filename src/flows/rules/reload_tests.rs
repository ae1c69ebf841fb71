//! What other settings change for hosts, their users, and sessions.

use std::time::Duration;

use super::rig::{ALICE, HOST, Rig, THIRD, ended, message, report};
use crate::domain::ids::{Account, Domain, Node};
use crate::domain::refusal::Refusal;
use crate::domain::registration::{DisabledReason, Registration, Status};
use crate::domain::session::{EndReason, Standing};
use crate::flows::data::{Answer, Change, Decided, Input, Reloaded};
use crate::flows::memory::Memory;
use crate::flows::policy::Policy;
use crate::flows::signals::{Facts, Order, OrderKind, Turn};
use crate::flows::world::Happened;

const HOUR: u64 = 3_600_000;

fn change(rig: &mut Rig, change: impl FnOnce(&mut Policy)) -> Happened {
    let mut policy = rig.world.state.policy.clone();
    change(&mut policy);
    let reloaded = Reloaded { policy: Some(Box::new(policy)), wishes: 0, said: Vec::new() };
    rig.world.take(Input::Reloaded(Box::new(reloaded)))
}

/// Whom it orders to do what.
fn orders(happened: &Happened) -> Vec<(&str, &'static str)> {
    let kind = |order: &OrderKind| match order {
        OrderKind::Watch { list: Some(_), .. } => "list",
        OrderKind::Watch { list: None, .. } => "watch",
        OrderKind::Sync { .. } => "sync",
        _ => "other",
    };
    happened.orders.iter().map(|order: &Order| (order.host.as_str(), kind(&order.what))).collect()
}

#[test]
fn a_host_that_is_new_is_linked_at_once_if_there_is_a_stream() {
    let mut rig = Rig::down(|policy| policy.hosts.clear());
    assert!(change(&mut rig, |policy| policy.hosts.push(Domain::new("early.example"))).orders.is_empty());
    assert_eq!(orders(&rig.world.take(Input::Link(true))), [("early.example", "list")]);
    let added = change(&mut rig, |policy| policy.hosts.push(Domain::new(HOST)));
    assert_eq!(orders(&added), [(HOST, "list")]);
    rig.world.orders.retain(|order| order.host == Domain::new(HOST));
    rig.link();
    assert!(rig.world.state.hosts.get(&Domain::new(HOST)).unwrap().is_linked());
    rig.synced();
    rig.phone();
    // The stream is gone, and comes back, as for any other.
    rig.world.take(Input::Link(false));
    assert!(change(&mut rig, |policy| policy.hosts.push(Domain::new("late.example"))).orders.is_empty());
    assert_eq!(rig.world.take(Input::Link(true)).orders.len(), 3);
}

#[test]
fn the_sessions_of_a_host_that_is_removed_are_not_counted_any_more() {
    let mut rig = Rig::new();
    rig.phone();
    rig.enabled_at(THIRD, "node-2", "tablet");
    rig.turn(report("phone", Standing::Hibernated), Turn::Hibernated, &[]);
    assert_eq!(rig.world.state.lives.sessions(), (1, 1));
    change(&mut rig, |policy| policy.hosts.clear());
    assert_eq!(rig.world.state.lives.sessions(), (0, 0));
}

#[test]
fn a_host_that_is_removed_is_forgotten_and_told_nothing_while_its_registrations_stay() {
    let mut rig = Rig::new();
    rig.phone();
    rig.event(ended("phone", EndReason::Timeout));
    rig.archived(message("m1"));
    let relays = rig.pass(1000);
    assert_eq!(relays.relays().len(), 1);
    rig.archived(message("m2"));

    let removed = change(&mut rig, |policy| policy.hosts.clear());
    assert!(removed.orders.is_empty() && removed.pushes.is_empty() && removed.stored.is_empty(), "{removed:?}");
    let settled = Decided::NotTaken("its host was removed from [[hosts]]".into());
    assert_eq!(removed.decided(&settled), 1);
    assert_eq!(rig.world.state.registrations.count(), (1, 1));
    assert!(rig.world.state.lives.of(&Account::new(ALICE)).is_empty());
    // Neither what was collected goes out, nor is anything asked or heard.
    assert!(rig.world.pass(HOUR).orders.is_empty());
    let answer = rig.archived(message("m3")).answers.remove(0).1;
    assert_eq!(answer, Answer::Refused(Refusal::Forbidden));
    assert_eq!(rig.relayed(&relays.relays()[0].clone(), crate::flows::signals::Relayed::Taken), Happened::default());

    let back = change(&mut rig, |policy| policy.hosts.push(Domain::new(HOST)));
    assert_eq!(orders(&back), [(HOST, "list")]);
    let OrderKind::Watch { accounts, .. } = &back.orders[0].what else { panic!("{back:?}") };
    assert_eq!(accounts.iter().map(|it| it.account.as_str()).collect::<Vec<_>>(), [ALICE]);
    rig.link();
    rig.synced();
    rig.archived(message("m4"));
    assert_eq!(rig.pass(1000).relays().len(), 1);
}

/// The calendar goes on for them, but nobody is woken.
#[test]
fn nobody_of_a_host_that_is_removed_is_woken_or_tried() {
    let mut rig = Rig::new();
    let own = rig.world.state.policy.own.clone();
    let device = rig.world.register(ALICE, "phone", "token-1");
    rig.enabled_at(own.as_str(), device.0.as_str(), "phone");
    let registration = rig.world.state.registrations.of(&Account::new(ALICE))[0].clone();
    rig.world.state.apply(&Change::Memory(Memory::ToWake(vec![registration.key.clone()])));
    let at = rig.world.now().wall;
    let status = Status::Disabled { at, why: DisabledReason::Errors };
    change(&mut rig, |policy| policy.hosts.clear());
    assert!(rig.world.pass(1000).pushes.is_empty(), "it was its turn");
    rig.world.state.apply(&Change::Registration(Box::new(Registration { status, ..registration })));
    let day = rig.world.pass(25 * HOUR);
    assert!(day.pushes.is_empty() && day.orders.is_empty());
    let tried = rig.world.state.registrations.of(&Account::new(ALICE))[0].record.tried;
    assert!(tried.is_some(), "or it would be due for ever");
}

type How = fn(&mut Policy);

#[test]
fn hosts_are_told_anew_what_to_tell_if_that_changes_and_only_then() {
    let texts = Facts { texts: true, ..Facts::default() };
    let rows: [(&str, How, Option<Facts>); 6] = [
        ("the text of messages", |policy| policy.rules.redaction.with_body = true, Some(texts)),
        (
            "to one service",
            |policy| {
                let redaction = crate::domain::redact::Redaction { with_body: true, ..Default::default() };
                policy.rules.services.insert(THIRD.into(), redaction);
            },
            Some(texts),
        ),
        ("when it is overdue", |policy| policy.sessions.max_ack_delay = Duration::from_secs(9), Some(Facts::default())),
        ("what stands for it", |policy| policy.rules.redaction.important_body = "Hi".into(), None),
        ("how many", |policy| policy.rules.max_devices = 1, None),
        ("nothing", |_| {}, None),
    ];
    for (what, how, facts) in rows {
        let mut rig = Rig::new();
        rig.phone();
        let told = change(&mut rig, how);
        let watched = told.orders.iter().map(|order| match &order.what {
            OrderKind::Watch { list: Some(_), accounts, .. } => accounts[0].facts,
            other => panic!("{what}: {other:?}"),
        });
        assert_eq!(watched.collect::<Vec<_>>(), facts.into_iter().collect::<Vec<_>>(), "{what}");
        rig.link();
        rig.snapshot(super::rig::session(report("phone", Standing::Active), Turn::Described, &[]));
        rig.synced();
        assert!(rig.world.state.hosts.get(&Domain::new(HOST)).unwrap().is_linked(), "{what}");
    }
}

#[test]
fn what_is_collected_goes_when_the_new_window_is_over() {
    for (window, at) in [(0, 0), (3000, 2000), (10_000, 9000), (20_000, 19_000)] {
        let mut rig = Rig::with(|policy| policy.rules.burst_window = Duration::from_secs(10));
        rig.phone();
        rig.event(ended("phone", EndReason::Timeout));
        rig.archived(message("m1"));
        rig.pass(1000);
        change(&mut rig, |policy| policy.rules.burst_window = Duration::from_millis(window));
        if at > 0 {
            assert!(rig.pass(at - 1).relays().is_empty(), "{window}");
        }
        assert_eq!(rig.pass(1).relays().len(), 1, "{window}");
    }
}

#[test]
fn registrations_end_when_they_should_by_the_new_settings() {
    // Enabled at 0, changed after an hour.
    let rows = [
        (None, Some(2), Some(2)),
        (Some(5), Some(2), Some(2)),
        (Some(2), Some(5), Some(5)),
        (Some(2), None, None),
        (None, Some(1), Some(1)),
    ];
    for (before, after, ends) in rows {
        let hours = |hours: Option<u64>| hours.map(|hours| Duration::from_secs(hours * 3600));
        let mut rig = Rig::with(|policy| policy.rules.registration_ttl = hours(before));
        rig.phone();
        rig.pass(HOUR);
        change(&mut rig, |policy| policy.rules.registration_ttl = hours(after));
        let mut ended = None;
        for hour in 1..8 {
            rig.pass(1000);
            if ended.is_none() && rig.world.state.registrations.count().0 == 0 {
                ended = Some(hour);
            }
            rig.pass(HOUR - 1000);
        }
        assert_eq!(ended, ends, "{before:?} to {after:?}");
    }
}

#[test]
fn a_phone_is_woken_before_its_session_ends_when_the_new_settings_say_so() {
    let rows = [(Some(120), Some(3600), 71), (Some(3600), Some(7200), 70), (None, Some(3600), 71)];
    for (before, after, hours) in rows {
        let span = |secs: Option<u64>| secs.map(Duration::from_secs);
        let mut rig = Rig::with(|policy| policy.sessions.windows.wake_before_end = span(before));
        rig.phone();
        rig.hibernates(&[]);
        rig.pass(HOUR);
        change(&mut rig, |policy| policy.sessions.windows.wake_before_end = span(after));
        let quiet = rig.pass((hours - 1) * HOUR - 1);
        assert!(quiet.relays().is_empty(), "{before:?} to {after:?}");
        assert_eq!(rig.pass(1).decided(&Decided::WokenBeforeEnd), 1, "{before:?} to {after:?}");
    }
}

#[test]
fn fewer_registrations_for_an_account_hold_from_its_next_enable_on() {
    let mut rig = Rig::new();
    rig.turn(report("phone", Standing::Active), Turn::Bound, &[]);
    for node in ["a", "b", "c", "d"] {
        rig.pass(1000);
        rig.enable(THIRD, node, "phone", None);
    }
    change(&mut rig, |policy| policy.rules.max_devices = 3);
    assert_eq!(rig.world.state.registrations.count().0, 4);
    rig.pass(1000);
    rig.enable(THIRD, "e", "phone", None);
    let there = |of: &&Registration| of.is_there();
    let mut nodes: Vec<Node> =
        rig.world.state.registrations.iter().filter(there).map(|of| of.key.node.clone()).collect();
    nodes.sort();
    assert_eq!(nodes, ["c", "d", "e"].map(Node::new));
}
