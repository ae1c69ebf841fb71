//! What may happen to the outbox in [`outbox_tests`](super::outbox_tests), and under which settings.

use std::time::Duration;

use proptest::prelude::*;

use super::policy::Policy;
use super::world::policy;
use crate::domain::class::Class;
use crate::domain::outcome::Outcome;
use crate::domain::time::Timestamp;

/// How many phones there are.
pub(super) const PHONES: usize = 4;

/// What happens.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Publish(usize, Class, bool),
    Verdict(usize, Outcome),
    Register(usize, bool),
    Unregister(usize),
    RemoveAccount(usize),
    Pass(u64),
    StandStill(u64),
    SetClock(i64),
    Crash,
    CommitFails,
    ReadOnly(bool),
}

/// Some class.
fn class() -> impl Strategy<Value = Class> {
    prop_oneof![
        1 => Just(Class::Clear),
        2 => Just(Class::Ended),
        4 => Just(Class::Unimportant),
        4 => Just(Class::Important),
        3 => Just(Class::Call),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let later = prop_oneof![3 => Just(None), 2 => (1..120_u64).prop_map(Some), 1 => Just(Some(7200))];
    let later = later.prop_map(|secs| secs.map(Duration::from_secs));
    prop_oneof![
        6 => Just(Outcome::Accepted),
        1 => Just(Outcome::Withheld),
        1 => Just(Outcome::Gone { since: None }),
        1 => Just(Outcome::Gone { since: Some(Timestamp::from_secs(1)) }),
        1 => Just(Outcome::Suspect("BadDeviceToken".into())),
        2 => later.clone().prop_map(|retry_after| Outcome::Throttled { retry_after, reason: "429".into() }),
        3 => later.prop_map(|retry_after| Outcome::Unavailable { retry_after, reason: "503".into() }),
        1 => Just(Outcome::OperatorFault("InvalidProviderToken".into())),
    ]
}

pub(super) fn act() -> impl Strategy<Value = Act> {
    let device = || 0..PHONES;
    prop_oneof![
        16 => (device(), class(), prop::bool::weighted(0.15)).prop_map(|(device, class, by_rules)| Act::Publish(device, class, by_rules)),
        12 => (0..3_usize, outcome()).prop_map(|(flight, outcome)| Act::Verdict(flight, outcome)),
        2 => (device(), any::<bool>()).prop_map(|(device, token)| Act::Register(device, token)),
        1 => device().prop_map(Act::Unregister),
        1 => device().prop_map(Act::RemoveAccount),
        6 => prop_oneof![3 => 0..3000_u64, 2 => 3000..20_000_u64, 1 => 20_000..400_000_u64].prop_map(Act::Pass),
        1 => (1000..100_000_u64).prop_map(Act::StandStill),
        1 => prop_oneof![-100_000..100_000_i64, -200_000_000..200_000_000_i64].prop_map(Act::SetClock),
        1 => Just(Act::Crash),
        1 => Just(Act::CommitFails),
        1 => any::<bool>().prop_map(Act::ReadOnly),
    ]
}

pub(super) fn policies() -> impl Strategy<Value = Policy> {
    let slots = (1..4_usize, prop_oneof![Just(2_usize), Just(100)]);
    let waiting = prop_oneof![1 => 0..4_usize, 2 => Just(100)];
    let owed = (prop_oneof![1 => 0..3_usize, 3 => Just(100)], prop_oneof![1 => Just(600_usize), 3 => Just(1 << 20)]);
    let spans =
        (prop_oneof![Just(None), Just(Some(10))], prop_oneof![1 => Just(4), 1 => Just(60), 3 => Just(86_400_u64)]);
    (slots, waiting, owed, spans).prop_map(|((slots, under_way), max_waiting, owed, (interval, ttl))| Policy {
        slots,
        max_under_way: under_way,
        max_waiting,
        max_owed: owed.0,
        max_owed_bytes: owed.1,
        min_interval: interval.map(Duration::from_secs),
        outbox_ttl: Duration::from_secs(ttl),
        hosts: Vec::new(),
        ..policy()
    })
}
