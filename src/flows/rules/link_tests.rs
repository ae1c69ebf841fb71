//! How a host is linked, followed, lost and found again.

use super::rig::{ALICE, HOST, Rig, message, report, session};
use crate::domain::ids::{Account, Domain};
use crate::domain::session::Standing;
use crate::flows::data::{Answer, Change, Input, Notice};
use crate::flows::signals::{Batch, Event, NodeState, Order, OrderKind, Reply, Turn, What};
use crate::flows::world::Happened;

fn kinds(happened: &Happened) -> Vec<&'static str> {
    let kind = |order: &Order| match &order.what {
        OrderKind::Check => "check",
        OrderKind::Sync { .. } => "sync",
        OrderKind::Watch { complete: true, .. } => "last part",
        OrderKind::Watch { list: Some(_), .. } => "part",
        OrderKind::Watch { list: None, .. } => "watch",
        OrderKind::Unwatch { .. } => "unwatch",
        OrderKind::Timeout { .. } => "timeout",
        OrderKind::Relay { .. } => "relay",
    };
    happened.orders.iter().map(kind).collect()
}

fn refused() -> Reply {
    Reply::Refused("cancel".into(), "service-unavailable".into())
}

#[test]
fn the_list_goes_first_part_by_part_and_then_all_is_asked_for() {
    let mut rig = Rig::down(|_| {});
    for n in 0..501 {
        let mut registration = crate::domain::registration::tests::registration();
        registration.key.account = Account::new(format!("user{n}@example.org"));
        rig.world.state.apply(&Change::Registration(Box::new(registration)));
    }
    let mut elsewhere = crate::domain::registration::tests::registration();
    elsewhere.key.account = Account::new("user@elsewhere.example");
    rig.world.state.apply(&Change::Registration(Box::new(elsewhere)));

    let first = rig.world.take(Input::Link(true));
    assert_eq!(kinds(&first), ["part"]);
    let second = rig.reply(&first.orders[0], Reply::Done);
    assert_eq!(kinds(&second), ["last part"]);
    let named = |order: &Order| match &order.what {
        OrderKind::Watch { accounts, .. } => accounts.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!((named(&first.orders[0]), named(&second.orders[0])), (500, 1));
    let sync = rig.reply(&second.orders[0], Reply::Done);
    assert_eq!(kinds(&sync), ["sync"]);
    let OrderKind::Sync { token, .. } = &sync.orders[0].what else { panic!() };
    let state = rig.state(Some(token.clone()));
    let linked = rig.reply(&sync.orders[0], state);
    assert!(matches!(&linked.notices[..], [Notice::Linked { .. }]), "{linked:?}");
}

#[test]
fn a_host_without_a_bridge_is_tried_less_and_less_often_and_said_once() {
    let mut rig = Rig::down(|_| {});
    let mut order = rig.world.take(Input::Link(true)).orders.remove(0);
    let mut said = 0;
    for wait in [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000] {
        let failed = rig.reply(&order, refused());
        said += failed.notices.len();
        assert!(rig.world.pass(wait - 1).orders.is_empty(), "{wait}");
        let again = rig.world.pass(1);
        assert_eq!(kinds(&again), ["last part"], "{wait}");
        order = again.orders[0].clone();
    }
    assert_eq!(said, 1);
}

#[test]
fn a_bridge_that_does_not_answer_is_asked_again_and_one_that_was_linked_every_five_seconds() {
    let mut rig = Rig::new();
    rig.world.take(Input::Link(false));
    rig.world.orders.clear();
    assert_eq!(kinds(&rig.world.take(Input::Link(true))), ["last part"]);
    assert!(kinds(&rig.world.pass(19_999)).is_empty());
    let failed = rig.world.pass(1);
    assert!(matches!(&failed.notices[..], [Notice::Unlinked { was_linked: true, .. }]), "{failed:?}");
    for _ in 0..3 {
        let again = rig.world.pass(5000);
        assert_eq!(kinds(&again), ["last part"]);
        rig.reply(&again.orders[0].clone(), refused());
    }
}

#[test]
fn a_linked_bridge_is_checked_every_five_seconds_and_asked_anew_when_it_is_not_linked() {
    let mut rig = Rig::new();
    for _ in 0..3 {
        let check = rig.world.pass(5000);
        assert_eq!(kinds(&check), ["check"]);
        let state = rig.state(None);
        assert_eq!(kinds(&rig.reply(&check.orders[0].clone(), state)), [""; 0]);
    }
    let check = rig.world.pass(5000).orders.remove(0);
    let refused = Reply::Refused("cancel".into(), "unexpected-request".into());
    assert_eq!(kinds(&rig.reply(&check, refused)), ["last part"]);
    rig.world.orders.clear();

    // One that does not answer checks is asked for all of it.
    let mut rig = Rig::new();
    let checks = rig.world.pass(24_999);
    assert!(kinds(&checks).iter().all(|kind| *kind == "check"));
    assert_eq!(kinds(&rig.world.pass(1)), ["last part"]);
}

#[test]
fn events_are_taken_once_and_what_is_missing_is_asked_for() {
    let bind = |resource: &str| Event {
        stamp: None,
        token: None,
        what: session(report(resource, Standing::Active), Turn::Bound, &[]),
    };
    let batch = |seq, events: Vec<Event>| Batch { node: "".into(), epoch: "e1".into(), seq, events };
    let sessions = |rig: &Rig| rig.world.state.lives.of(&Account::new(ALICE)).sessions.len();
    let mut rig = Rig::new(); // `synced` was number 1
    let taken = rig.batch(batch(2, vec![bind("a"), bind("b")]));
    assert_eq!((taken.done().len(), sessions(&rig)), (1, 2));
    // Again, with one that is new.
    let again = rig.batch(batch(3, vec![bind("x"), bind("c")]));
    assert_eq!((again.done().len(), kinds(&again).len(), sessions(&rig)), (1, 0, 3));
    // One is missing: what there is counts, and all is asked for.
    let gap = rig.batch(batch(6, vec![bind("d")]));
    assert_eq!((gap.done().len(), kinds(&gap), sessions(&rig)), (1, vec!["sync"], 4));
    // While that is under way, the next gap asks for nothing more.
    assert_eq!(kinds(&rig.batch(batch(9, vec![bind("e")]))), [""; 0]);
    // Another start of the bridge that we do not know yet.
    let mut rig = Rig::new();
    let other = rig.batch(Batch { epoch: "e9".into(), ..batch(7, vec![bind("f")]) });
    assert_eq!((other.done().len(), kinds(&other), sessions(&rig)), (1, vec!["last part"], 0));
}

#[test]
fn a_check_that_shows_events_which_never_came_asks_for_all() {
    let mut rig = Rig::new();
    let check = rig.world.pass(5000).orders.remove(0);
    rig.seq += 1;
    let state = rig.state(None);
    assert_eq!(kinds(&rig.reply(&check, state)), ["sync"]);

    // Of several nodes, one may not know yet how far another has come.
    let mut rig = Rig::down(|_| {});
    let node = |name: &str, seq| NodeState { name: name.into(), epoch: "e1".into(), seq };
    let two = |a, b| vec![node("a", a), node("b", b)];
    let state = |token, nodes| {
        Reply::State(crate::flows::signals::HostState { token, software: "x".into(), bridge: "x".into(), nodes })
    };
    let list = rig.world.take(Input::Link(true)).orders.remove(0);
    let sync = rig.reply(&list, Reply::Done).orders.remove(0);
    let OrderKind::Sync { token, .. } = sync.what.clone() else { panic!() };
    rig.reply(&sync, state(Some(token), two(0, 0)));
    let mut checks = Vec::new();
    for seq in [1, 1] {
        let check = rig.world.pass(5000).orders.remove(0);
        checks.push(kinds(&rig.reply(&check, state(None, two(0, seq)))).concat());
    }
    assert_eq!(checks, ["", "sync"]);
}

#[test]
fn a_bridge_that_starts_anew_is_told_whom_to_watch_again() {
    let mut rig = Rig::new();
    let hello = Event { stamp: None, token: None, what: What::Hello };
    let hello = rig.batch(Batch { node: "".into(), epoch: "e2".into(), seq: 1, events: vec![hello] });
    assert_eq!((hello.done().len(), kinds(&hello)), (1, vec!["last part"]));
    // Without its hello: the answer to a plain `sync` shows another start.
    let mut rig = Rig::new();
    let gap = rig.batch(Batch {
        node: "".into(),
        epoch: "e1".into(),
        seq: 9,
        events: vec![Event { stamp: None, token: None, what: What::Synced }],
    });
    let OrderKind::Sync { token, .. } = &gap.orders[0].what else { panic!() };
    rig.epoch = "e2".into();
    let state = rig.state(Some(token.clone()));
    assert_eq!(kinds(&rig.reply(&gap.orders[0].clone(), state)), ["last part"]);
}

#[test]
fn what_was_archived_while_the_snapshot_runs_is_decided_at_its_end_but_calls_ring_at_once() {
    use crate::domain::stanza::JingleStep;
    let mut rig = Rig::new();
    rig.phone();
    rig.event(super::rig::ended("phone", crate::domain::session::EndReason::Timeout));
    rig.world.take(Input::Link(false));
    rig.world.take(Input::Link(true));
    rig.link();
    rig.archived(message("m1"));
    assert!(rig.pass(3000).relays().is_empty());
    assert_eq!(rig.urgent(super::rig::call(JingleStep::Propose), false).relays().len(), 1);
    // Meanwhile the phone is found to be there.
    rig.snapshot(session(report("phone", Standing::Active), Turn::Described, &[]));
    rig.synced();
    assert!(rig.pass(3000).relays().is_empty());
}

#[test]
fn relays_that_were_just_sent_when_the_link_broke_go_again_and_older_ones_do_not() {
    for (age, again) in [(999, 1), (1000, 0)] {
        let mut rig = Rig::new();
        rig.phone();
        rig.event(super::rig::ended("phone", crate::domain::session::EndReason::Timeout));
        rig.archived(message("m1"));
        assert_eq!(rig.pass(1000).relays().len(), 1);
        rig.pass(age);
        assert!(rig.world.take(Input::Link(false)).relays().is_empty());
        let up = rig.world.take(Input::Link(true));
        assert!(up.relays().is_empty());
        let mut linked = rig.link();
        linked.append(rig.synced());
        assert_eq!(linked.relays().len(), again, "{age}");
    }
}

#[test]
fn pushes_that_are_due_while_there_is_no_link_go_with_the_next_one() {
    let mut rig = Rig::new();
    rig.phone();
    rig.hibernates(&[(1, message("m1"))]);
    rig.world.take(Input::Link(false));
    assert!(rig.pass(60_000).relays().is_empty());
    rig.world.take(Input::Link(true));
    assert_eq!(rig.link().relays().len(), 1);
}

#[test]
fn a_registration_from_a_bridge_that_is_not_linked_is_put_off() {
    let mut rig = Rig::new();
    let wish = crate::flows::signals::Wish::Enable {
        service: Some("push.third.example".into()),
        node: crate::domain::ids::Node::new("n"),
        options: None,
        extensions: None,
    };
    let report = Box::new(report("phone", Standing::Active));
    let what = What::Registration { account: Account::new(ALICE), report, wish };
    let event = Event { stamp: None, token: None, what };
    let put_off = rig.batch(Batch { node: "".into(), epoch: "e7".into(), seq: 3, events: vec![event] });
    assert!(matches!(put_off.answers[0].1, Answer::Refused(crate::domain::refusal::Refusal::TryLater(_))));
    assert_eq!(rig.world.state.registrations.count(), (0, 0));
    // And from a domain that is no host of ours.
    let ticket = rig.world.ticket();
    let batch = Batch { node: "".into(), epoch: "e1".into(), seq: 1, events: Vec::new() };
    let forbidden = rig.world.take(Input::Signals { ticket, host: Domain::new("evil.example"), batch });
    assert_eq!(forbidden.refused()[0].1, crate::domain::refusal::Refusal::Forbidden);
    assert_ne!(HOST, "evil.example");
}

#[test]
fn a_bridge_that_lost_count_has_everybody_without_a_session_woken_one_after_the_other() {
    let mut rig = Rig::new();
    rig.phone();
    for n in 0..25 {
        let mut registration = crate::domain::registration::tests::registration();
        registration.key.account = Account::new(format!("user{n}@example.org"));
        registration.key.service = format!("push{n}.example").into();
        rig.world.state.apply(&Change::Registration(Box::new(registration)));
    }
    rig.world.take(Input::Link(false));
    rig.world.take(Input::Link(true));
    rig.link();
    rig.snapshot(What::Missed { account: None, count: 0, keys: Vec::new(), newest: None });
    assert!(rig.pass(1000).relays().is_empty(), "not before all sessions are known");
    // The snapshot is asked for again before it is complete.
    let gap = Batch { node: "".into(), epoch: "e1".into(), seq: rig.seq + 2, events: Vec::new() };
    let what = session(report("laptop", Standing::Active), Turn::Bound, &[]);
    rig.seq += 2;
    let sync = rig.batch(Batch { events: vec![Event { stamp: None, token: None, what }], ..gap });
    assert_eq!(kinds(&sync), ["sync"]);
    rig.link();
    rig.snapshot(session(report("phone", Standing::Active), Turn::Described, &[]));
    let mut woken = vec![rig.synced().relays().len()];
    for _ in 0..4 {
        woken.push(rig.pass(60).relays().len());
    }
    assert_eq!(woken, [0, 10, 10, 0, 5], "alice's phone has a session");
}
