//! What goes wrong in between: registrations that leave while pushes are on their way, snapshots that are cut short,
//! answers that never come.

use super::rig::{ALICE, HOST, Rig, message};
use crate::domain::ids::{Account, Domain};
use crate::flows::hosts::Host;
use crate::flows::signals::{Relayed, What};

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
