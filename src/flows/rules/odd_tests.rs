//! What goes wrong in between: registrations that leave while pushes are on their way, snapshots that are cut short,
//! answers that never come.

use super::rig::{ALICE, HOST, Rig, THIRD, message};
use crate::domain::ids::{Account, Domain, Node};
use crate::flows::hosts::Host;
use crate::flows::signals::{Order, Relayed, What, Wish};

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
