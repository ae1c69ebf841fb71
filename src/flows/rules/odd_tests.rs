//! What goes wrong in between: registrations that leave while pushes are on their way, snapshots that are cut short,
//! answers that never come.

use super::rig::{ALICE, HOST, Rig, THIRD, ended, message, report, session};
use crate::domain::ids::{Account, Domain, Node};
use crate::domain::redact::Redaction;
use crate::domain::refusal::Refusal;
use crate::domain::session::{EndReason, Report, Sid, Standing};
use crate::flows::data::{Change, Decided, Input};
use crate::flows::hosts::Host;
use crate::flows::memory::Memory;
use crate::flows::signals::{Facts, Order, OrderKind, Relayed, Reply, Turn, Watched, What, Wish};
use crate::flows::world::Happened;

fn host(rig: &Rig) -> &Host {
    rig.world.state.hosts.get(&Domain::new(HOST)).unwrap()
}

#[test]
fn nothing_is_remembered_of_an_account_that_was_deleted_while_a_push_was_on_its_way() {
    let mut rig = Rig::new();
    rig.phone();
    rig.hibernates(&[(1, message("m1"))]);
    let sent = rig.pass(1000).relays()[0].clone();
    rig.event(What::UserDeleted { account: Account::new(ALICE) });
    rig.relayed(&sent, Relayed::Taken);
    assert!(rig.world.state.lives.of(&Account::new(ALICE)).pushing.is_empty());
    assert_eq!(host(&rig).relays.under_way(), 0);
}

#[test]
fn a_place_that_comes_free_goes_to_one_who_still_wants_it() {
    let mut rig = Rig::with(|policy| policy.rules.max_devices = 32);
    rig.phone();
    for n in 2..=18 {
        rig.enable(THIRD, &format!("node-{n}"), "phone", None);
    }
    rig.hibernates(&[(1, message("m1"))]);
    let sent: Vec<Order> = rig.pass(1000).relays().into_iter().cloned().collect();
    assert_eq!((sent.len(), host(&rig).relays.waiting()), (8, 10));
    // Of the ten who wait, nine change their minds.
    for n in 9..=17 {
        let node = Some(Node::new(format!("node-{n}")));
        rig.wish("tablet", Wish::Disable { service: Some(THIRD.into()), node });
    }
    let last: usize = sent.iter().map(|relay| rig.relayed(relay, Relayed::Taken).relays().len()).sum();
    assert_eq!((last, host(&rig).relays.waiting()), (1, 0));
}

#[test]
fn what_waits_for_the_end_of_a_snapshot_outlives_it_if_another_begins() {
    let mut rig = Rig::with(|policy| policy.sessions.wake_on_start = true);
    rig.phone();
    rig.enabled_at(THIRD, "node-2", "tablet");
    rig.event(ended("tablet", EndReason::Closed));
    rig.hibernates(&[]);
    (rig.epoch, rig.seq) = ("e2".into(), 0);
    rig.world.take(Input::Link(false));
    rig.world.take(Input::Link(true));
    rig.link();
    rig.archived(message("m1"));
    // Something is missing, so all is asked for once more.
    rig.seq += 1;
    rig.turn(report("laptop", Standing::Active), Turn::Bound, &[]);
    rig.link();
    rig.synced();
    // The message goes to both, and the host had died under the phone.
    let pushed = rig.pass(1000);
    assert_eq!((pushed.relays().len(), pushed.important()), (3, 2));
}

#[test]
fn a_missed_message_whose_push_is_on_its_way_is_not_pushed_again() {
    let mut rig = Rig::new();
    rig.phone();
    rig.event(ended("phone", EndReason::Timeout));
    rig.archived(message("m1"));
    assert_eq!(rig.pass(1000).relays().len(), 1);
    let keys = message("m1").key(None).into_iter().collect();
    let newest = Some(Box::new(message("m1")));
    rig.snapshot(What::Missed { account: Some(Account::new(ALICE)), count: 1, keys, newest });
    assert_eq!(rig.pass(5000).relays().len(), 0);
}

const NOBODY_KNOWS_WHOSE: What = What::Missed { account: None, count: 1, keys: Vec::new(), newest: None };

#[test]
fn whoever_may_have_missed_something_is_woken_only_if_the_snapshot_shows_that_they_are_away() {
    let mut rig = Rig::new();
    rig.phone();
    let mut rig = rig.restart();
    rig.world.take(Input::Link(true));
    rig.link();
    rig.snapshot(NOBODY_KNOWS_WHOSE);
    rig.snapshot(session(report("phone", Standing::Active), Turn::Described, &[]));
    rig.synced();
    assert_eq!(rig.pass(1000).relays().len(), 0);
}

#[test]
fn whoever_may_have_missed_something_is_woken_once_and_not_if_they_came_back_before_their_turn() {
    let mut rig = Rig::new();
    let account = |n: usize| Account::new(format!("user{n}@example.org"));
    for n in 0..30 {
        let mut registration = crate::domain::registration::tests::registration();
        registration.key.account = account(n);
        registration.key.service = format!("push{n}.example").into();
        rig.world.state.apply(&Change::Registration(Box::new(registration)));
    }
    rig.world.take(Input::Link(false));
    rig.world.take(Input::Link(true));
    rig.link();
    rig.snapshot(NOBODY_KNOWS_WHOSE);
    rig.snapshot(NOBODY_KNOWS_WHOSE);
    rig.synced();
    let report = Box::new(report("phone", Standing::Active));
    rig.event(What::Session { account: account(7), report, turn: Turn::Bound, stanzas: Vec::new() });
    let first = rig.pass(99).relays().len();
    assert!((9..=10).contains(&first), "{first} at a time");
    assert_eq!(first + rig.pass(5000).relays().len(), 29);
}

#[test]
fn a_session_that_was_told_to_end_and_is_still_there_is_told_again() {
    let mut rig = Rig::with(|policy| policy.sessions.max_hibernated = 1);
    rig.phone();
    rig.hibernates(&[]);
    rig.pass(1000);
    let tablet = || report("tablet", Standing::Hibernated);
    assert_eq!(rig.turn(tablet(), Turn::Hibernated, &[]).windows(), [("p1".to_owned(), 0)]);
    // The order went down with the stream.
    rig.world.take(Input::Link(false));
    rig.world.take(Input::Link(true));
    rig.link();
    let mut told = rig.snapshot(session(report("phone", Standing::Hibernated), Turn::Described, &[]));
    told.append(rig.snapshot(session(tablet(), Turn::Described, &[])));
    told.append(rig.synced());
    assert!(told.windows().contains(&("p1".to_owned(), 0)), "{:?}", told.windows());
}

#[test]
fn a_session_whose_end_was_refused_is_told_again_and_not_woken_for_it() {
    let mut rig = Rig::with(|policy| policy.sessions.max_hibernated = 1);
    rig.phone();
    rig.hibernates(&[]);
    rig.pass(1000);
    let ends = rig.turn(report("tablet", Standing::Hibernated), Turn::Hibernated, &[]);
    assert_eq!(ends.windows(), [("p1".to_owned(), 0)]);
    rig.reply(&ends.orders[0], Reply::Refused("cancel".into(), "unexpected-request".into()));
    let again = rig.pass(30_000);
    assert_eq!((again.windows(), again.relays().len()), (vec![("p1".to_owned(), 0)], 0));
}

#[test]
fn while_the_store_takes_no_writes_nothing_is_done_to_registrations_by_the_calendar() {
    let ttl = std::time::Duration::from_secs(60);
    let mut rig = Rig::with(|policy| policy.rules.registration_ttl = Some(ttl));
    rig.phone();
    rig.world.state.apply(&Change::Memory(Memory::ReadOnly(true)));
    rig.world.later(100_000);
    let tick = rig.world.take(Input::Tick);
    assert!(tick.notices.is_empty(), "{tick:?}");
    // It would be due again and again.
    let next = rig.world.state.next_deadline(rig.world.now());
    assert!(next.is_none_or(|next| next > rig.world.now().steady), "{next:?}");
    rig.world.state.apply(&Change::Memory(Memory::ReadOnly(false)));
    rig.world.take(Input::Tick);
    assert_eq!(rig.world.state.registrations.count(), (0, 1));
}

#[test]
fn an_account_leaves_the_list_also_while_its_host_is_asked_for_all() {
    let mut rig = Rig::new();
    rig.phone();
    rig.seq += 1;
    let gap = rig.turn(report("laptop", Standing::Active), Turn::Bound, &[]);
    assert!(matches!(gap.orders[0].what, OrderKind::Sync { .. }));
    let left = rig.wish("phone", Wish::Disable { service: Some(THIRD.into()), node: None });
    let accounts = vec![Account::new(ALICE)];
    assert_eq!(left.orders.iter().map(|order| &order.what).collect::<Vec<_>>(), [&OrderKind::Unwatch { accounts }]);
}

#[test]
fn texts_are_told_no_longer_than_somebody_needs_them() {
    let mut rig = Rig::with(|policy| {
        let redaction = Redaction { with_body: true, ..Redaction::default() };
        policy.rules.services.insert(THIRD.into(), redaction);
    });
    rig.phone();
    rig.enable("push.fourth.example", "node-2", "phone", None);
    let told = rig.wish("phone", Wish::Disable { service: Some(THIRD.into()), node: None });
    let accounts = vec![Watched { account: Account::new(ALICE), facts: Facts::default() }];
    let watch = OrderKind::Watch { list: None, complete: false, accounts };
    assert_eq!(told.orders.iter().map(|order| &order.what).collect::<Vec<_>>(), [&watch]);
}

#[test]
fn the_spelling_of_a_jid_does_not_make_it_a_push_service() {
    let mut rig = Rig::new();
    let never = ["Alice@Example.Org", "bob@EXAMPLE.ORG/x", "Example.org", "example.org/x", "EXAMPLE.org/x"];
    for service in never {
        let refused = rig.enable(service, "n", "phone", None).refused();
        assert!(matches!(refused[..], [(_, Refusal::BadService)]), "{service}");
    }
    assert_eq!(rig.enable("Push.Example.Org", "n", "phone", None).done().len(), 1);
}

#[test]
fn a_relay_that_is_given_up_is_no_longer_waited_for() {
    let mut rig = Rig::new();
    rig.phone();
    rig.hibernates(&[(1, message("m1"))]);
    let sent = rig.pass(1000).relays()[0].clone();
    rig.pass(75_000);
    assert!(!host(&rig).orders.contains_key(&sent.id));
    assert_eq!(rig.relayed(&sent, Relayed::Taken), Happened::default());
}

#[test]
fn a_push_that_lands_late_leaves_the_window_of_another_hibernation_alone() {
    let mut rig = Rig::new();
    rig.phone();
    rig.hibernates(&[(1, message("m1"))]);
    let sent = rig.pass(1000).relays()[0].clone();
    rig.turn(report("phone", Standing::Active), Turn::Resumed, &[]);
    let again = Report { since: "later".into(), ..report("phone", Standing::Hibernated) };
    assert_eq!(rig.turn(again.clone(), Turn::Hibernated, &[]).windows(), [("p1".to_owned(), 259_200)]);
    assert_eq!(rig.relayed(&sent, Relayed::Taken).windows(), []);
    // Unless what it is about still stands in the queue.
    let mut rig = Rig::new();
    rig.phone();
    rig.hibernates(&[(1, message("m1"))]);
    let sent = rig.pass(1000).relays()[0].clone();
    rig.turn(report("phone", Standing::Active), Turn::Resumed, &[]);
    rig.turn(again, Turn::Hibernated, &[(1, message("m1"))]);
    assert_eq!(rig.relayed(&sent, Relayed::Taken).windows(), [("p1".to_owned(), 600)]);
}

#[test]
fn what_waits_for_room_is_not_pushed_to_a_client_that_is_back() {
    for turn in [Turn::Resumed, Turn::Bound] {
        let mut rig = Rig::new();
        rig.phone();
        rig.hibernates(&[]);
        let mut sent = Vec::new();
        for n in 0..9 {
            rig.queued(n, message(&format!("m{n}")));
            sent.extend(rig.pass(1000).relays().into_iter().cloned());
        }
        assert_eq!(sent.len(), 8);
        let sid = if turn == Turn::Bound { "p2" } else { "p1" };
        let back = Report { sid: Sid::new(sid), ..report("phone", Standing::Active) };
        assert_eq!(rig.turn(back, turn, &[]).decided(&Decided::Cancelled), 1, "{turn:?}");
        for relay in &sent {
            assert_eq!(rig.relayed(relay, Relayed::Taken).relays().len(), 0, "{turn:?}");
        }
        assert_eq!(host(&rig).relays.waiting(), 0);
    }
}

#[test]
fn an_enable_shows_its_session_to_the_other_registrations_of_its_client() {
    let mut rig = Rig::new();
    rig.phone();
    let mut rig = rig.restart();
    rig.world.take(Input::Link(true));
    rig.link();
    rig.enable("push.fourth.example", "node-2", "phone", None);
    let live = rig.world.state.lives.of(&Account::new(ALICE));
    let all = rig.world.state.registrations.of(&Account::new(ALICE));
    assert_eq!((all.len(), all.iter().filter(|of| live.has_session(&of.key)).count()), (2, 2));
}
