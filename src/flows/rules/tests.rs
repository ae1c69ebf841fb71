//! The stories of pushes, with literal times.

use super::rig::{ALICE, Rig, THIRD, call, ended, message, own, report, state};
use crate::domain::class::Class;
use crate::domain::ids::{Account, Node};
use crate::domain::registration::Options;
use crate::domain::secret::{Private, Secret};
use crate::domain::session::{EndReason, Report, Standing};
use crate::domain::stanza::{JingleStep, Kind, Stanza};
use crate::flows::data::{Decided, Notice, Registered};
use crate::flows::signals::{OrderKind, Relayed, Turn, What};

const HOUR: u64 = 3_600_000;

#[test]
fn a_message_to_a_phone_that_is_away_is_one_important_push_and_then_the_window_is_normal() {
    let mut rig = Rig::new();
    rig.phone();
    assert_eq!(rig.hibernates(&[]).windows(), [("p1".to_owned(), 72 * 3600)]);
    rig.pass(60_000);
    assert!(rig.queued(1, message("m1")).relays().is_empty(), "collected for a second");
    let pushed = rig.pass(1000);
    assert_eq!(
        pushed.words(),
        [crate::domain::redact::Words { body: Some(Private::new("New Message!")), ..Default::default() }]
    );
    assert!(pushed.windows().is_empty(), "not before it is handed over");
    rig.pass(500);
    let relay = pushed.relays()[0].clone();
    assert_eq!(rig.relayed(&relay, Relayed::Taken).windows(), [("p1".to_owned(), 600)]);
    // The same message, by other ways, does not push again; the next one does, and leaves the window alone.
    rig.archived(message("m1"));
    rig.queued(2, message("m2"));
    let pushed = rig.pass(5000);
    assert_eq!(pushed.important(), 1);
    let relay = pushed.relays()[0].clone();
    assert!(rig.relayed(&relay, Relayed::Taken).windows().is_empty());
}

#[test]
fn a_silent_client_is_pushed_to_for_each_message_and_keeps_its_session() {
    let mut rig = Rig::new();
    rig.phone();
    rig.turn(report("phone", Standing::Unresponsive), Turn::AckDelayed, &[(1, message("m1"))]);
    let first = rig.pass(1000);
    assert_eq!((first.important(), first.windows().len()), (1, 0));
    rig.turn(report("phone", Standing::Unresponsive), Turn::Queued, &[(2, message("m2"))]);
    let second = rig.pass(1000);
    assert_eq!((second.important(), second.windows().len()), (1, 0));
    for relay in [first, second] {
        rig.relayed(&relay.relays()[0].clone(), Relayed::Taken);
    }
    // It hibernates at last: both were pushed, so it has the normal time, which is its host's own.
    let late = rig.hibernates(&[(1, message("m1")), (2, message("m2"))]);
    assert!(late.windows().is_empty());
    assert_eq!(rig.pass(5000).relays().len(), 0);
}

#[test]
fn twenty_messages_at_once_are_one_push() {
    let mut rig = Rig::new();
    rig.phone();
    rig.hibernates(&[]);
    for n in 1..=20 {
        rig.queued(n, message(&format!("m{n}")));
        rig.pass(15);
    }
    assert_eq!(rig.pass(5000).relays().len(), 1);
}

#[test]
fn what_is_not_important_is_one_unimportant_push_at_most_and_leaves_the_window_alone() {
    let rows = [(true, 1), (false, 0)];
    for (unimportant, pushes) in rows {
        let mut rig = Rig::with(|policy| policy.rules.unimportant = unimportant);
        rig.phone();
        let presence = |id: &str| Stanza { kind: Kind::Presence, ..state(id) };
        let iq = |id: &str| Stanza { kind: Kind::Iq, ..state(id) };
        rig.hibernates(&[(1, presence("a")), (2, iq("b"))]);
        rig.queued(3, presence("c"));
        let pushed = rig.pass(1000);
        assert_eq!((pushed.relays().len(), pushed.important()), (pushes, 0));
        for relay in pushed.relays() {
            assert!(rig.relayed(&relay.clone(), Relayed::Taken).windows().is_empty());
        }
    }
}

#[test]
fn a_client_that_is_back_within_the_window_is_not_pushed_to() {
    let mut rig = Rig::new();
    rig.phone();
    rig.hibernates(&[]);
    rig.queued(1, message("m1"));
    rig.pass(900);
    rig.turn(report("phone", Standing::Active), Turn::Resumed, &[]);
    assert!(rig.pass(HOUR).relays().is_empty());
}

#[test]
fn an_acknowledgement_takes_out_what_it_covers() {
    for (h, pushes) in [(0, 1), (1, 1), (2, 0)] {
        let mut rig = Rig::new();
        rig.phone();
        let unresponsive = || report("phone", Standing::Unresponsive);
        rig.turn(unresponsive(), Turn::AckDelayed, &[(1, message("m1")), (2, message("m2"))]);
        rig.turn(Report { h_out: Some(h), ..report("phone", Standing::Active) }, Turn::Acked, &[]);
        assert_eq!(rig.pass(5000).relays().len(), pushes, "{h}");
    }
}

#[test]
fn a_message_pushed_for_a_late_acknowledgement_is_not_pushed_again_when_the_session_hibernates() {
    let mut rig = Rig::new();
    rig.phone();
    rig.turn(report("phone", Standing::Unresponsive), Turn::AckDelayed, &[(1, message("m1"))]);
    let pushed = rig.pass(1000);
    assert_eq!(pushed.important(), 1);
    // The service has not answered yet.
    assert_eq!(rig.hibernates(&[(1, message("m1"))]).windows(), [("p1".to_owned(), 72 * 3600)]);
    assert!(rig.pass(5000).relays().is_empty());
    let settled = rig.relayed(&pushed.relays()[0].clone(), Relayed::Taken);
    assert_eq!(settled.windows(), [("p1".to_owned(), 600)]);
}

#[test]
fn a_message_to_an_account_that_is_away_is_one_push_to_every_registration() {
    let mut rig = Rig::new();
    rig.phone();
    rig.enabled_at(THIRD, "node-2", "tablet");
    for resource in ["phone", "tablet"] {
        rig.event(ended(resource, EndReason::Timeout));
    }
    // With an archive, by both ways; without one, by offline storage alone.
    rig.archived(message("m1"));
    rig.offline(message("m1"));
    assert_eq!(rig.pass(5000).important(), 2);
    rig.offline(Stanza { archive_id: None, ..message("m2") });
    assert_eq!(rig.pass(999).relays().len(), 0, "it may be back by itself");
    assert_eq!(rig.pass(1).important(), 2);
}

#[test]
fn a_client_that_is_back_within_a_second_is_not_pushed_to_for_what_went_offline() {
    let mut rig = Rig::with(|policy| policy.rules.burst_window = std::time::Duration::ZERO);
    rig.phone();
    rig.enabled_at(THIRD, "node-2", "tablet");
    for resource in ["phone", "tablet"] {
        rig.event(ended(resource, EndReason::Replaced));
    }
    rig.offline(message("m1"));
    rig.turn(report("phone", Standing::Active), Turn::Bound, &[]);
    let pushed = rig.pass(5000);
    let nodes: Vec<&str> = pushed.relays().iter().map(|order| node(&order.what)).collect();
    assert_eq!(nodes, ["node-2"]);
}

fn node(what: &OrderKind) -> &str {
    match what {
        OrderKind::Relay { to, .. } => to.node.as_str(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_archived_message_is_pushed_to_those_without_a_session_only() {
    let mut rig = Rig::new();
    rig.phone();
    rig.enabled_at(THIRD, "node-2", "tablet");
    rig.turn(report("laptop", Standing::Active), Turn::Bound, &[]);
    rig.event(ended("phone", EndReason::Timeout));
    rig.turn(report("tablet", Standing::Hibernated), Turn::Hibernated, &[]);
    rig.archived(message("m1"));
    let pushed = rig.pass(5000);
    let nodes: Vec<&str> = pushed.relays().iter().map(|order| node(&order.what)).collect();
    assert_eq!(nodes, ["node-1"], "a hibernated session is one");
}

#[test]
fn a_call_rings_everywhere_at_once_and_its_end_tells_those_who_rang() {
    for archived in [true, false] {
        let mut rig = Rig::new();
        rig.phone();
        rig.turn(report("laptop", Standing::Active), Turn::Bound, &[]);
        let rings = match archived {
            true => rig.archived(call(JingleStep::Propose)),
            false => rig.urgent(call(JingleStep::Propose), false),
        };
        assert_eq!(rings.important(), 1, "though its session is there");
        // The same proposal in the phone's queue.
        rig.queued(1, call(JingleStep::Propose));
        assert!(rig.pass(2000).relays().is_empty());
        assert_eq!(rig.urgent(call(JingleStep::Ringing), false).relays().len(), 0);
        let over = rig.urgent(call(JingleStep::Retract), false);
        assert_eq!((over.relays().len(), over.important()), (1, 0));
        assert_eq!(rig.urgent(call(JingleStep::Retract), false).relays().len(), 0, "once");
    }
}

#[test]
fn a_call_taken_on_another_device_is_over_for_the_phone() {
    let mut rig = Rig::new();
    rig.phone();
    assert_eq!(rig.urgent(call(JingleStep::Propose), false).relays().len(), 1);
    let taken = Stanza { from: Some("alice@example.org/laptop".into()), ..call(JingleStep::Proceed) };
    assert_eq!(rig.urgent(taken, true).relays().len(), 1);
    // A call that nobody was told of is over for nobody.
    let other = Stanza {
        jingle: Some(crate::domain::stanza::Jingle { step: JingleStep::Retract, id: "x".into() }),
        ..call(JingleStep::Retract)
    };
    assert_eq!(rig.urgent(other, false).relays().len(), 0);
}

#[test]
fn a_call_that_has_not_left_is_taken_back() {
    let mut rig = Rig::new();
    rig.phone();
    // The service never answers: eight pushes are on their way, and the call waits.
    for n in 0..8 {
        rig.archived(message(&format!("m{n}")));
        rig.queued(n, message(&format!("q{n}")));
        rig.pass(1000);
    }
    assert!(rig.urgent(call(JingleStep::Propose), false).relays().is_empty());
    let over = rig.urgent(call(JingleStep::Retract), false);
    assert_eq!((over.relays().len(), over.decided(&Decided::Cancelled)), (0, 1));
    assert!(rig.pass(50_000).relays().is_empty());
}

#[test]
fn what_is_worth_an_important_push_and_what_is_not() {
    let rows = [
        (Stanza { encrypted: true, ..state("a") }, 1),
        (Stanza { kind: Kind::Headline, ..message("b") }, 0),
        (own(message("c")), 0),
        (Stanza { kind: Kind::Groupchat, ..state("d") }, 0),
        (Stanza { displayed: true, ..state("e") }, 0),
        (Stanza { kind: Kind::Error, ..message("f") }, 0),
    ];
    for (stanza, important) in rows {
        let mut rig = Rig::new();
        rig.phone();
        rig.hibernates(&[]);
        rig.queued(1, stanza.clone());
        assert_eq!(rig.pass(1000).important(), important, "{stanza:?}");
    }
}

#[test]
fn a_service_that_does_not_answer_has_the_push_all_the_same() {
    let mut rig = Rig::new();
    rig.phone();
    rig.hibernates(&[(1, message("m1"))]);
    let pushed = rig.pass(1000);
    let silent = rig.relayed(&pushed.relays()[0].clone(), Relayed::Silence);
    assert_eq!(silent.windows().len(), 1);
    rig.archived(message("m1"));
    rig.queued(1, message("m1"));
    assert!(rig.pass(5000).relays().is_empty());
    // And if not even the bridge answers.
    rig.queued(2, message("m2"));
    assert_eq!(rig.pass(1000).relays().len(), 1);
    let record = |rig: &Rig| rig.world.state.registrations.of(&Account::new(ALICE))[0].record.clone();
    assert_eq!((record(&rig).unreached, record(&rig).errors), (1, 0));
    rig.pass(80_000);
    assert_eq!(record(&rig).unreached, 2);
}

#[test]
fn services_that_do_not_answer_take_eight_relays_and_the_rest_waits_merged() {
    let mut rig = Rig::new();
    rig.phone();
    rig.hibernates(&[]);
    let mut sent = Vec::new();
    for n in 0..40 {
        rig.queued(n, message(&format!("m{n}")));
        sent.extend(rig.pass(1000).relays().into_iter().cloned());
    }
    assert_eq!(sent.len(), 8);
    let next = rig.relayed(&sent[0], Relayed::Taken);
    assert_eq!(next.relays().len(), 1, "one for all thirty-two");
    assert_eq!(next.decided(&Decided::Pushed { class: Class::Important, stanzas: 32 }), 1);
    for relay in &sent[1..] {
        assert_eq!(rig.relayed(relay, Relayed::Taken).relays().len(), 0);
    }
}

#[test]
fn texts_and_senders_go_only_where_the_operator_lets_them() {
    let mut rig = Rig::with(|policy| {
        let service =
            crate::domain::redact::Redaction { with_sender: true, important_body: "".into(), with_body: false };
        policy.rules.services.insert("push.other.example".into(), service);
        policy.rules.redaction.with_body = true;
    });
    rig.phone();
    rig.enabled_at("push.other.example", "node-2", "tablet");
    for resource in ["phone", "tablet"] {
        rig.event(ended(resource, EndReason::Timeout));
    }
    rig.archived(Stanza { body: Some(Private::new("hi")), ..message("m1") });
    let mut words = rig.pass(1000).words();
    words.sort_by_key(|words| words.sender.is_some());
    let expected = [(None, Some("hi")), (Some("bob@example.org/pc"), None)];
    let shown: Vec<_> = words
        .iter()
        .map(|words| (words.sender.as_ref().map(Private::reveal), words.body.as_ref().map(Private::reveal)))
        .collect();
    assert_eq!(shown, expected);
}

#[test]
fn a_device_of_our_own_is_pushed_to_directly_and_by_the_same_checks() {
    for (secret, pushes) in [(None, 0), (Some("wrong"), 0), (Some(""), 1)] {
        let mut rig = Rig::with(|policy| policy.rules.max_errors = 1);
        let (node, right) = rig.world.register(ALICE, "phone", "token-1");
        let secret = secret.map(|secret| if secret.is_empty() { right.clone() } else { Secret::new(secret) });
        let options = secret.map(|secret| Options { xml: "<x/>".into(), secret: Some(secret) });
        rig.turn(report("phone", Standing::Active), Turn::Bound, &[]);
        rig.enable("push.example.org", node.as_str(), "phone", options);
        rig.hibernates(&[(1, message("m1"))]);
        let pushed = rig.pass(1000);
        assert!(pushed.relays().is_empty());
        assert_eq!(pushed.pushes.len(), pushes);
        if let [push] = &pushed.pushes[..] {
            assert_eq!((&*push.token.reveal(), push.class), ("token-1", Class::Important));
            let handed = rig.world.verdict(push, crate::domain::outcome::Outcome::Accepted);
            assert_eq!(handed.windows(), [("p1".to_owned(), 600)]);
            assert_eq!(rig.world.state.waiting(), 0);
        } else {
            let disabled =
                |notice: &Notice| matches!(notice, Notice::Registration { what: Registered::Disabled(_), .. });
            assert!(pushed.notices.iter().any(disabled));
        }
    }
}

#[test]
fn a_ping_wakes_all_or_the_one_that_is_named() {
    for (service, node, pushes) in
        [(None, None, 2), (Some(THIRD), None, 2), (Some(THIRD), Some("node-2"), 1), (Some("x"), None, 0)]
    {
        let mut rig = Rig::new();
        rig.phone();
        rig.enabled_at(THIRD, "node-2", "tablet");
        let (service, node) = (service.map(Into::into), node.map(Node::new));
        rig.event(What::Ping { account: Account::new(ALICE), service, node });
        let pushed = rig.pass(1000);
        assert_eq!((pushed.relays().len(), pushed.important()), (pushes, 0));
    }
}

#[test]
fn no_more_relays_go_to_one_service_than_its_host_takes_even_at_once() {
    let mut rig = Rig::with(|policy| policy.rules.max_devices = 12);
    for number in 1..=12 {
        rig.enabled_at(THIRD, &format!("node-{number}"), "phone");
    }
    rig.event(ended("phone", EndReason::Closed));
    let rung = rig.archived(call(JingleStep::Propose));
    assert_eq!(rung.relays().len(), 8);
    // The rest goes as the first ones land.
    let relays: Vec<_> = rung.relays().into_iter().cloned().collect();
    let landed: usize = relays.iter().map(|relay| rig.relayed(relay, Relayed::Taken).relays().len()).sum();
    assert_eq!(landed, 4);
}
