//! What users, strangers and hosts do to the rules that nobody in good faith would.

use super::rig::{ALICE, HOST, Rig, THIRD, ended, message, report};
use crate::domain::ids::{Account, Domain};
use crate::domain::refusal::Refusal;
use crate::domain::session::{EndReason, Report, Sid, Standing};
use crate::domain::stanza::{Jingle, JingleStep, Stanza};
use crate::flows::data::{Answer, Change};
use crate::flows::hosts::{Asked, HostMemory, Phase};
use crate::flows::memory::Memory;
use crate::flows::signals::{OrderId, OrderKind, Relayed, Turn, What, Wish};

/// bob calls, or says something about that call.
fn call(step: JingleStep, number: u32) -> Stanza {
    Stanza {
        body: None,
        jingle: Some(Jingle { step, id: format!("call-{number}").into() }),
        ..message(&format!("{step:?}{number}"))
    }
}

#[test]
fn no_address_of_a_host_of_ours_is_a_push_service_however_it_is_spelt() {
    let mut rig = Rig::with(|policy| policy.hosts.push(Domain::new("other.example")));
    rig.phone();
    let addresses = [
        "example.org",
        "example.org.",
        "EXAMPLE.org",
        "example.org/x",
        "ALICE@Example.Org/phone",
        "bob@example.org./pc",
        "bob@\u{ff45}xample.org/pc",
        "bob@exam\u{ad}ple.org",
        "other.example",
        "carol@Other.Example/x",
    ];
    for address in addresses {
        let answers = rig.enable(address, "n", "phone", None).answers;
        assert_eq!(answers[0].1, Answer::Refused(Refusal::BadService), "{address}");
    }
    for address in ["push.example.org", "example.org.third.example", "pubsub@third.example/example.org"] {
        assert_eq!(rig.enable(address, "n", "phone", None).answers[0].1, Answer::Done, "{address}");
    }
}

#[test]
fn six_calls_a_minute_ring_and_the_others_are_as_messages() {
    let mut rig = Rig::new();
    rig.phone();
    rig.hibernates(&[]);
    let mut pushed = Vec::new();
    for number in 0..1000 {
        let called = rig.archived(call(JingleStep::Propose, number));
        pushed.extend(called.relays().into_iter().cloned());
        for relay in called.relays() {
            rig.relayed(relay, Relayed::Taken);
        }
    }
    assert_eq!(pushed.len(), 6, "at once");
    assert_eq!(rig.pass(1000).relays().len(), 1, "one for all the others");
    // What did not ring need not be told to stop.
    let ended = (6..1000).map(|number| rig.archived(call(JingleStep::Retract, number)).relays().len());
    assert_eq!(ended.sum::<usize>(), 0);
    rig.pass(10_000);
    assert_eq!(rig.archived(call(JingleStep::Propose, 1000)).relays().len(), 1, "there is room for one again");
}

#[test]
fn many_calls_in_the_queue_of_a_phone_that_loses_its_network_ring_no_more_often() {
    let mut rig = Rig::new();
    rig.phone();
    let calls: Vec<_> = (1..=50).map(|number| (number, call(JingleStep::Propose, number))).collect();
    assert_eq!(rig.hibernates(&calls).relays().len(), 6);
}

#[test]
fn an_account_that_enables_push_without_end_has_to_wait() {
    let mut rig = Rig::new();
    let enable = |rig: &mut Rig, node: &str| rig.enable(THIRD, node, "phone", None).answers[0].1.clone();
    for number in 0..60 {
        assert_eq!(enable(&mut rig, &format!("node-{number}")), Answer::Done);
    }
    let refused = Answer::Refused(Refusal::TooManyRegistrations);
    assert_eq!(enable(&mut rig, "node-60"), refused);
    assert_eq!(enable(&mut rig, "node-59"), refused, "known or not");
    rig.pass(1000);
    assert_eq!(enable(&mut rig, "node-60"), Answer::Done);
}

#[test]
fn a_bridge_that_starts_without_end_is_linked_now_and_then() {
    let mut rig = Rig::new();
    let domain = Domain::new(HOST);
    let mut lists = 0;
    for _ in 0..1000 {
        let orders = rig.event(What::Hello).orders;
        lists += orders.iter().filter(|order| matches!(order.what, OrderKind::Watch { .. })).count();
    }
    assert_eq!(lists, 10, "at once");
    assert_eq!(rig.world.state.hosts.get(&domain).map(|host| &host.link.phase), Some(&Phase::Unlinked));
    rig.pass(500);
    assert!(rig.event(What::Hello).orders.is_empty());
    assert_eq!(rig.pass(500).orders.len(), 1, "not put off");
    rig.world.orders.drain(..rig.world.orders.len() - 1);
    rig.link();
    assert!(rig.world.state.hosts.get(&domain).is_some_and(|host| host.is_linked()));
}

#[test]
fn that_nobody_knows_who_missed_something_wakes_everybody_once_a_snapshot() {
    let mut rig = Rig::new();
    rig.phone();
    rig.event(ended("phone", EndReason::Closed));
    let missed = || What::Missed { account: None, count: 1, keys: Vec::new(), newest: None };
    rig.snapshot(missed());
    assert!(rig.pass(1000).relays().is_empty(), "it is no part of a snapshot");
    rig.event(What::Hello);
    rig.link();
    for _ in 0..100 {
        rig.snapshot(missed());
    }
    assert!(rig.pass(1000).relays().is_empty(), "it is not complete");
    rig.synced();
    rig.synced();
    assert_eq!(rig.pass(10_000).relays().len(), 1);
}

#[test]
fn only_so_many_sessions_of_an_account_are_known() {
    let mut rig = Rig::new();
    for number in 0..1100 {
        let sid = Sid::new(format!("s{number}"));
        let resource = format!("r{number}").into();
        rig.turn(Report { sid, resource, ..report("x", Standing::Active) }, Turn::Bound, &[]);
    }
    let sessions = &rig.world.state.lives.of(&Account::new(ALICE)).sessions;
    assert_eq!((sessions.len(), &*sessions[0].report.resource), (1000, "r100"));
}

#[test]
fn orders_that_are_never_answered_fill_no_memory() {
    let mut rig = Rig::new();
    let domain = Domain::new(HOST);
    for number in 0..100_500 {
        let asked = HostMemory::Asked(OrderId(number), Asked::Check);
        rig.world.state.apply(&Change::Memory(Memory::Host(domain.clone(), asked)));
    }
    let orders = &rig.world.state.hosts.get(&domain).expect("a host").orders;
    assert_eq!((orders.len(), orders.contains_key(&OrderId(100_499))), (100_000, true));
}

#[test]
fn who_waits_for_a_service_that_never_answers_waits_once() {
    let mut rig = Rig::new();
    rig.phone();
    for number in 0..50 {
        rig.offline(message(&format!("m{number}")));
        rig.pass(1100);
        if number >= 10 {
            let disable = Wish::Disable { service: Some(THIRD.into()), node: None };
            rig.wish("phone", disable);
            rig.phone();
        }
    }
    let domain = Domain::new(HOST);
    assert_eq!(rig.world.state.hosts.get(&domain).map(|host| host.relays.waiting()), Some(1));
}
