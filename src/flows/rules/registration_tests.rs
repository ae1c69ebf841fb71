//! The stories of registrations, with literal times.

use super::rig::{ALICE, Rig, THIRD, ended, message, report, session};
use crate::domain::device::GoneReason;
use crate::domain::ids::{Account, Node};
use crate::domain::registration::{DisabledReason, Status};
use crate::domain::session::{EndReason, Report, Standing};
use crate::flows::data::{Input, Notice, Registered};
use crate::flows::signals::{OrderKind, Relayed, Turn, What, Wish};

const HOUR: u64 = 3_600_000;

#[test]
fn the_registration_enabled_longest_ago_makes_room() {
    let mut rig = Rig::new();
    rig.turn(report("phone", Standing::Active), Turn::Bound, &[]);
    for node in ["a", "b", "c", "d", "e", "a"] {
        rig.pass(1000);
        rig.enable(THIRD, node, "phone", None);
    }
    rig.pass(1000);
    let sixth = rig.enable(THIRD, "f", "phone", None);
    let gone: Vec<_> = sixth
        .notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::Registration { key, what: Registered::Gone(why) } => Some((key.node.as_str(), *why)),
            _ => None,
        })
        .collect();
    // "a" was enabled again after "b".
    assert_eq!(gone, [("b", GoneReason::MaxDevices)]);
    assert_eq!(rig.world.state.registrations.count(), (5, 6));
}

#[test]
fn sixteen_refusals_disable_a_hundred_waits_do_not_and_a_result_begins_anew() {
    let refused = || Relayed::Refused("cancel".into(), "item-not-found".into());
    let wait = || Relayed::Refused("wait".into(), "internal-server-error".into());
    let mut rig = Rig::new();
    rig.phone();
    rig.event(ended("phone", EndReason::Timeout));
    let mut n = 0;
    let mut push = |rig: &mut Rig, relayed: Relayed| {
        n += 1;
        rig.archived(message(&format!("m{n}")));
        let pushed = rig.pass(1000);
        assert_eq!(pushed.relays().len(), 1, "push {n}");
        rig.relayed(&pushed.relays()[0].clone(), relayed)
    };
    for _ in 0..15 {
        push(&mut rig, refused());
    }
    push(&mut rig, Relayed::Taken);
    for _ in 0..15 {
        push(&mut rig, refused());
    }
    for _ in 0..100 {
        push(&mut rig, wait());
    }
    let last = push(&mut rig, refused());
    let disabled = Registered::Disabled(DisabledReason::Errors);
    assert!(last.notices.iter().any(|notice| matches!(notice, Notice::Registration { what, .. } if *what == disabled)));
    rig.archived(message("after"));
    assert!(rig.pass(5000).relays().is_empty());
    // Once a day it is tried.
    let tried = rig.pass(24 * HOUR);
    assert_eq!(tried.relays().len(), 1);
    rig.relayed(&tried.relays()[0].clone(), Relayed::Taken);
    rig.archived(message("revived"));
    assert_eq!(rig.pass(1000).important(), 1);
}

#[test]
fn a_disabled_registration_is_given_up_after_a_week_and_revived_by_a_new_enable() {
    for enabled_again in [true, false] {
        let mut rig = Rig::with(|policy| policy.rules.max_errors = 1);
        rig.phone();
        rig.hibernates(&[(1, message("m1"))]);
        let pushed = rig.pass(1000);
        let refused = || Relayed::Refused("cancel".into(), "item-not-found".into());
        let disabled = rig.relayed(&pushed.relays()[0].clone(), refused());
        assert_eq!(disabled.windows(), [("p1".to_owned(), 600)], "it gets no more time than others");
        rig.pass(3 * 24 * HOUR);
        if enabled_again {
            rig.enable(THIRD, "node-1", "phone", None);
        }
        rig.pass(5 * 24 * HOUR);
        let status = rig.world.state.registrations.of(&Account::new(ALICE))[0].status;
        match status {
            Status::Enabled => assert!(enabled_again),
            Status::Gone(gone) => assert_eq!((enabled_again, gone.why), (false, GoneReason::Errors)),
            Status::Disabled { .. } => panic!("{enabled_again}"),
        }
    }
}

#[test]
fn enabling_for_somebody_who_cannot_be_a_push_service_is_refused() {
    let mut rig = Rig::new();
    rig.turn(report("phone", Standing::Active), Turn::Bound, &[]);
    for service in [ALICE, "alice@example.org/phone", "example.org", "carol@example.org", "carol@example.org/x"] {
        let refused = rig.enable(service, "node", "phone", None);
        assert_eq!(refused.refused()[0].1, crate::domain::refusal::Refusal::BadService, "{service}");
    }
    let wish = Wish::Enable { service: None, node: Node::new(""), options: None, extensions: None };
    assert_eq!(rig.wish("phone", wish).refused().len(), 1);
    assert_eq!(rig.enable("carol@elsewhere.example", "node", "phone", None).refused().len(), 0);
}

#[test]
fn disabling_takes_one_node_or_all_of_a_service_back() {
    for (node, left) in [(Some("a"), 2), (None, 1), (Some("unknown"), 3)] {
        let mut rig = Rig::new();
        rig.turn(report("phone", Standing::Active), Turn::Bound, &[]);
        for (service, node) in [(THIRD, "a"), (THIRD, "b"), ("push.other.example", "a")] {
            rig.enable(service, node, "phone", None);
        }
        let wish = Wish::Disable { service: Some(THIRD.into()), node: node.map(Node::new) };
        assert_eq!(rig.wish("phone", wish).done().len(), 1);
        assert_eq!(rig.world.state.registrations.count(), (left, 3), "{node:?}");
    }
}

#[test]
fn an_account_that_is_deleted_takes_registrations_and_devices_along() {
    let mut rig = Rig::new();
    let device = rig.world.register(ALICE, "phone", "token-1");
    rig.phone();
    let gone = rig.event(What::UserDeleted { account: Account::new(ALICE) });
    assert!(gone.orders.iter().any(|order| matches!(order.what, OrderKind::Unwatch { .. })));
    assert_eq!(rig.world.state.registrations.count(), (0, 1));
    let why = rig.world.state.device(&device.0).unwrap().gone.unwrap().why;
    assert_eq!(why, GoneReason::AccountDeleted);
}

#[test]
fn a_registration_is_bound_again_by_its_client_or_its_resource() {
    let client = |resource: &str, sid: &str, client: Option<&str>| Report {
        sid: crate::domain::session::Sid::new(sid),
        client_id: client.map(Into::into),
        ..report(resource, Standing::Active)
    };
    let rows = [
        ("same client, other resource", client("phone.x", "n1", Some("c1")), true),
        ("same resource, no client", client("phone", "n1", None), true),
        ("neither", client("tablet", "n1", Some("c2")), false),
    ];
    for (what, new, bound) in rows {
        let mut rig = Rig::new();
        rig.turn(client("phone", "p1", Some("c1")), Turn::Bound, &[]);
        let wish = Wish::Enable { service: Some(THIRD.into()), node: Node::new("n"), options: None, extensions: None };
        let report = Box::new(client("phone", "p1", Some("c1")));
        rig.event(What::Registration { account: Account::new(ALICE), report, wish });
        rig.event(ended("phone", EndReason::Closed));
        rig.turn(new.clone(), Turn::Bound, &[]);
        let away = Report { state: Standing::Hibernated, since: "later".into(), ..new };
        rig.turn(away, Turn::Hibernated, &[(1, message("m1"))]);
        assert_eq!(rig.pass(1000).relays().len(), usize::from(bound), "{what}");
    }
}

#[test]
fn registrations_that_are_not_enabled_again_expire_if_the_operator_says_so() {
    let mut rig = Rig::with(|policy| policy.rules.registration_ttl = Some(std::time::Duration::from_secs(3600)));
    rig.phone();
    rig.pass(HOUR - 1000);
    rig.enable(THIRD, "node-1", "phone", None);
    rig.pass(HOUR - 1);
    assert_eq!(rig.world.state.registrations.count(), (1, 1));
    rig.pass(1);
    assert_eq!(rig.world.state.registrations.count(), (0, 1));
    // And are forgotten after ninety days.
    rig.pass(90 * 24 * HOUR);
    assert_eq!(rig.world.state.registrations.count(), (0, 0));
}

#[test]
fn what_is_enabled_with_us_is_bound_by_its_resource_when_the_session_becomes_known() {
    let enable = || Wish::Enable { service: Some(THIRD.into()), node: Node::new("n"), options: None, extensions: None };
    let mut rig = Rig::new();
    let enabled = rig.wish_to_us("phone", enable());
    assert_eq!(enabled.done().len(), 1);
    // Its bridge has not heard of it, and is told to watch the account.
    assert!(matches!(&enabled.orders[..], [order] if matches!(order.what, OrderKind::Watch { list: None, .. })));
    rig.snapshot(session(report("phone", Standing::Active), Turn::Described, &[]));
    rig.hibernates(&[(1, message("m1"))]);
    assert_eq!(rig.pass(1000).relays().len(), 1);
    let disable = Wish::Disable { service: Some(THIRD.into()), node: None };
    assert_eq!(rig.wish_to_us("tablet", disable).done().len(), 1);
    assert_eq!(rig.world.state.registrations.count(), (0, 1));
    // The same rules.
    let own = Wish::Enable { service: Some(ALICE.into()), node: Node::new("n"), options: None, extensions: None };
    assert_eq!(rig.wish_to_us("phone", own).refused()[0].1, crate::domain::refusal::Refusal::BadService);
    // And only while somebody would act on it.
    rig.world.take(Input::Link(false));
    let refused = rig.wish_to_us("phone", enable());
    assert_eq!(refused.refused()[0].1, crate::domain::refusal::Refusal::HostNotLinked);
}
