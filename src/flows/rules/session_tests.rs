//! The stories of sessions and their windows, with literal times.

use super::rig::{ALICE, Rig, ended, message, report, session, state};
use crate::domain::class::Class;
use crate::domain::ids::Account;
use crate::domain::session::{EndReason, Report, Standing};
use crate::domain::stanza::Key;
use crate::flows::data::{Decided, Input};
use crate::flows::signals::{Relayed, Turn, What};

const HOUR: u64 = 3_600_000;

#[test]
fn without_a_message_the_client_is_woken_before_the_window_ends_and_it_really_ends() {
    let mut rig = Rig::new();
    rig.phone();
    rig.hibernates(&[]);
    let quiet = rig.pass(72 * HOUR - 120_001);
    assert!(quiet.relays().is_empty() && quiet.windows().is_empty());
    let woken = rig.pass(1);
    assert_eq!((woken.relays().len(), woken.important()), (1, 0));
    assert_eq!(woken.decided(&Decided::WokenBeforeEnd), 1);
    // Its host should end it now; if it does not, it is told to.
    assert!(rig.pass(120_000 + 29_000).windows().is_empty());
    assert_eq!(rig.pass(1000).windows(), [("p1".to_owned(), 0)]);
    assert!(rig.pass(HOUR).windows().is_empty(), "once");
}

#[test]
fn of_eleven_hibernated_sessions_the_one_that_does_so_longest_ends() {
    let mut rig = Rig::new();
    let letters = "abcdefghijk";
    let mut ordered = Vec::new();
    for letter in letters.chars() {
        rig.pass(1000);
        let resource = letter.to_string();
        rig.turn(report(&resource, Standing::Active), Turn::Bound, &[]);
        ordered.extend(rig.turn(report(&resource, Standing::Hibernated), Turn::Hibernated, &[]).windows());
    }
    assert_eq!(ordered, [("a1".to_owned(), 0)]);
}

#[test]
fn messages_that_came_while_nobody_listened_are_pushed_unless_all_of_them_were() {
    let key = |id: &str| Key::archived(&format!("archive-{id}"));
    let rows = [
        ("one that was pushed", 1, vec![key("m1")], 0),
        ("one of two was", 2, vec![key("m1"), key("m2")], 1),
        ("more than there are names for", 11, vec![key("m1")], 1),
    ];
    for (what, count, keys, pushes) in rows {
        let mut rig = Rig::new();
        rig.phone();
        rig.event(ended("phone", EndReason::Timeout));
        rig.archived(message("m1"));
        let pushed = rig.pass(1000);
        rig.relayed(&pushed.relays()[0].clone(), Relayed::Taken);
        let mut rig = rig.restart();
        rig.world.take(Input::Link(true));
        rig.link();
        let newest = Some(Box::new(message("m1")));
        let account = Some(Account::new(ALICE));
        rig.snapshot(What::Missed { account, count, keys, newest });
        assert!(rig.pass(2000).relays().is_empty(), "{what}: not before the snapshot is complete");
        rig.synced();
        assert_eq!(rig.pass(1000).important(), pushes, "{what}");
        // The same again is covered by then.
        assert!(rig.pass(5000).relays().is_empty());
    }
}

#[test]
fn after_a_restart_of_ours_what_waits_in_the_queues_is_not_pushed_again_and_windows_are_kept() {
    let mut rig = Rig::new();
    rig.phone();
    rig.hibernates(&[(1, message("m1"))]);
    let pushed = rig.pass(1000);
    rig.relayed(&pushed.relays()[0].clone(), Relayed::Taken);
    let mut rig = rig.restart();
    rig.world.take(Input::Link(true));
    rig.link();
    let described = Report { left: Some(500), ..report("phone", Standing::Hibernated) };
    let found = rig.snapshot(session(described.clone(), Turn::Described, &[(1, message("m1")), (2, message("m2"))]));
    assert!(found.windows().is_empty());
    rig.synced();
    let pushed = rig.pass(1000);
    assert_eq!(pushed.decided(&Decided::Pushed { class: Class::Important, stanzas: 1 }), 1);
    // One that waits for nothing yet gets the long window, less what has passed.
    let mut rig = rig.restart();
    rig.world.take(Input::Link(true));
    rig.link();
    let found = rig.snapshot(session(described, Turn::Described, &[(3, state("s"))]));
    assert_eq!(found.windows(), [("p1".to_owned(), 72 * 3600 - 100)]);
}

#[test]
fn sessions_that_a_snapshot_does_not_name_are_over_and_those_who_hibernated_are_woken_if_the_host_died() {
    for (wake_on_start, wakes) in [(true, 1), (false, 0)] {
        let mut rig = Rig::with(|policy| policy.sessions.wake_on_start = wake_on_start);
        rig.phone();
        rig.turn(report("laptop", Standing::Active), Turn::Bound, &[]);
        rig.hibernates(&[]);
        rig.world.take(Input::Link(false));
        rig.world.take(Input::Link(true));
        (rig.epoch, rig.seq) = ("e2".into(), 0);
        rig.link();
        rig.snapshot(session(report("laptop", Standing::Active), Turn::Described, &[]));
        rig.synced();
        assert_eq!(rig.pass(2000).relays().len(), wakes);
        rig.archived(message("m1"));
        assert_eq!(rig.pass(1000).important(), 1, "the phone has no session now");
    }
}

#[test]
fn a_window_that_an_event_names_is_older_than_the_one_we_set() {
    let mut rig = Rig::new();
    rig.phone();
    assert_eq!(rig.hibernates(&[]).windows(), [("p1".to_owned(), 72 * 3600)]);
    // Both were in a batch by then, and speak of the host's own window.
    assert!(rig.queued(1, message("m1")).windows().is_empty());
    assert!(rig.queued(2, message("m2")).windows().is_empty());
    let pushed = rig.pass(1000);
    assert_eq!(rig.relayed(&pushed.relays()[0].clone(), Relayed::Taken).windows(), [("p1".to_owned(), 600)]);
    let stretched = Report { timeout: Some(72 * 3600), left: Some(72 * 3600), ..report("phone", Standing::Hibernated) };
    assert!(rig.turn(stretched, Turn::Queued, &[(3, message("m3"))]).windows().is_empty());
}

#[test]
fn those_who_hibernated_when_their_host_died_are_woken_even_if_the_first_snapshot_never_ends() {
    let mut rig = Rig::with(|policy| policy.sessions.wake_on_start = true);
    rig.phone();
    rig.hibernates(&[]);
    (rig.epoch, rig.seq) = ("e2".into(), 0);
    for _ in 0..2 {
        rig.world.take(Input::Link(false));
        rig.world.take(Input::Link(true));
        rig.link();
    }
    rig.synced();
    assert_eq!(rig.pass(2000).relays().len(), 1);
}
