use std::time::Duration;

use super::*;
use crate::domain::app::{App, Way};
use crate::domain::ids::{Account, AppName, Node};
use crate::domain::outcome::Outcome;
use crate::domain::rate::Rate;
use crate::domain::refusal::Refusal;
use crate::domain::secret::Secret;
use crate::domain::time::Moment;
use crate::flows::circuit::Fault;
use crate::flows::data::{Input, Notice};
use crate::flows::status::AppStatus;
use crate::flows::world::{Happened, START, World, body, policy, wake};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn android() -> AppName {
    AppName::new("android")
}

fn refused() -> Outcome {
    Outcome::OperatorFault("InvalidProviderToken".into())
}

fn take(world: &mut World, policy: Option<Policy>) -> Happened {
    let reloaded =
        Reloaded { policy: policy.map(Box::new), wishes: 0, said: vec!["rules.max_devices: 5 → 3".into()] };
    world.take(Input::Reloaded(Box::new(reloaded)))
}

/// The settings that hold, changed.
fn change(world: &mut World, change: impl FnOnce(&mut Policy)) -> Happened {
    let mut policy = world.state.policy.clone();
    change(&mut policy);
    take(world, Some(policy))
}

fn app_mut<'a>(policy: &'a mut Policy, name: &str) -> &'a mut App {
    policy.apps.iter_mut().find(|app| app.name.as_str() == name).unwrap()
}

/// The app's key is another one.
fn new_key(policy: &mut Policy, name: &str) {
    app_mut(policy, name).fingerprint += 1;
    policy.ways.get_mut(&AppName::new(name)).unwrap().digest += 1;
}

fn status(world: &World, name: &str) -> AppStatus {
    world.state.status(world.now()).apps.into_iter().find(|app| app.name.as_str() == name).unwrap()
}

fn phones(world: &mut World, count: usize) -> Vec<(Node, Secret)> {
    (0..count).map(|number| world.register(&format!("user{number}@example.org"), "phone", "token")).collect()
}

fn noted_credentials(happened: &Happened) -> Vec<(&str, u64)> {
    let credentials = |change: &'_ Change| match change {
        Change::Credentials(app, _) if app.as_str() == "android" => Some("android"),
        Change::Credentials(app, _) if app.as_str() == "ios" => Some("ios"),
        Change::Credentials(..) => Some("another"),
        _ => None,
    };
    let fingerprint = |change: &Change| match change {
        Change::Credentials(_, credentials) => Some(credentials.fingerprint),
        _ => None,
    };
    happened.stored.iter().filter_map(|change| Some((credentials(change)?, fingerprint(change)?))).collect()
}

#[test]
fn a_configuration_that_needs_mending_changes_nothing() {
    let mut world = World::new(policy());
    assert_eq!(take(&mut world, None), Happened::default());
    assert_eq!(world.state.policy, policy());
    // Nor does one that says the same.
    assert_eq!(take(&mut world, Some(policy())), Happened::default());
}

#[test]
fn other_credentials_close_the_circuit_and_what_is_owed_goes_at_once() {
    let mut world = World::new(policy());
    let phones = phones(&mut world, 3);
    let sent = world.publish(&phones[0], body("hi"));
    let fault = world.verdict(&sent.pushes[0], refused());
    assert_eq!(fault.offers, [(android(), false)]);
    // It rests for a moment, and the others wait for the circuit.
    for phone in &phones[1..] {
        assert!(world.publish(phone, body("hi")).pushes.is_empty());
    }
    assert_eq!(status(&world, "android").circuit.map(|circuit| circuit.fault), Some(Fault::Operator));
    assert!(status(&world, "android").withdrawn);

    let mended = change(&mut world, |policy| new_key(policy, "android"));
    assert_eq!(mended.pushes.len(), 2, "{mended:?}");
    assert_eq!(mended.offers, [(android(), true)]);
    assert_eq!(noted_credentials(&mended), [("android", 2)]);
    assert_eq!((status(&world, "android").circuit, status(&world, "android").withdrawn), (None, false));
    for push in &mended.pushes {
        world.verdict(push, Outcome::Accepted);
    }
    let rest = world.pass(2000);
    assert_eq!(rest.pushes.len(), 1, "and the one that rested");
    world.verdict(&rest.pushes[0], Outcome::Accepted);
    assert_eq!(world.state.queues().owed(), (0, 0));

    // If they are refused as well, it opens again.
    change(&mut world, |policy| new_key(policy, "android"));
    let sent = world.publish(&phones[0], wake());
    let again = world.verdict(&sent.pushes[0], refused());
    assert!(matches!(&again.notices[..], [Notice::CircuitOpened { fault: Fault::Operator, .. }]), "{again:?}");
}

#[test]
fn what_else_an_apps_pushes_go_by_says_nothing_of_its_credentials() {
    let mut world = World::new(policy());
    let phones = phones(&mut world, 1);
    let sent = world.publish(&phones[0], wake());
    world.verdict(&sent.pushes[0], Outcome::Accepted);
    assert!(status(&world, "android").works);
    let renewed = change(&mut world, |policy| policy.ways.get_mut(&android()).unwrap().digest = 7);
    assert!(renewed.stored.is_empty() && status(&world, "android").works);
    world.later(1);
    let renewed = change(&mut world, |policy| new_key(policy, "android"));
    assert_eq!(noted_credentials(&renewed), [("android", 2)]);
    assert!(!status(&world, "android").works, "nothing was taken under these");
    // An alias changes nothing of all that.
    assert_eq!(change(&mut world, |policy| app_mut(policy, "android").aliases = vec!["a".into()]), Happened::default());
}

#[test]
fn what_a_push_met_that_left_before_counts_for_nothing_and_it_goes_again() {
    let rows = [
        ("refused", refused(), true),
        ("a token that does not fit", Outcome::Suspect("BadDeviceToken".into()), true),
        ("down", Outcome::Unavailable { retry_after: None, reason: "503".into() }, true),
        ("taken", Outcome::Accepted, false),
    ];
    for (what, outcome, again) in rows {
        let mut world = World::new(policy());
        let phones = phones(&mut world, 1);
        let sent = world.publish(&phones[0], body("hi"));
        assert!(change(&mut world, |policy| new_key(policy, "android")).pushes.is_empty(), "one at a time");
        assert_eq!(world.state.under_way(), 1, "{what}");
        let met = world.verdict(&sent.pushes[0], outcome);
        assert_eq!(met.pushes.len(), usize::from(again), "{what}: {met:?}");
        let AppStatus { works, withdrawn, circuit, .. } = status(&world, "android");
        assert_eq!((works, withdrawn, circuit), (false, false, None), "{what}");
        assert_eq!((met.offers.len(), met.done().len()), (0, 1), "{what}");
        assert_eq!(world.state.under_way(), usize::from(again), "{what}");
    }
}

#[test]
fn what_is_owed_under_an_app_that_left_waits_until_it_is_back() {
    let mut world = World::new(policy());
    let phones = phones(&mut world, 1);
    let sent = world.publish(&phones[0], body("hi"));
    let before = world.state.policy.clone();
    change(&mut world, |policy| {
        policy.apps.retain(|app| app.name != android());
        policy.ways.remove(&android());
    });
    // Its push is still heard of.
    world.verdict(&sent.pushes[0], Outcome::Unavailable { retry_after: None, reason: "503".into() });
    assert_eq!(world.state.under_way(), 0);
    assert!(world.pass(3_600_000).pushes.is_empty());
    assert_eq!(world.state.queues().owed().0, 1);
    let back = take(&mut world, Some(before));
    assert_eq!((back.pushes.len(), noted_credentials(&back).len()), (1, 0), "under the credentials that it had");
}

#[test]
fn an_app_that_is_new_is_registered_with_at_once() {
    let mut world = World::new(policy());
    let mut registration = World::registration("romeo@example.org", "phone", "token-1");
    registration.service = "tablet".into();
    assert_eq!(world.try_register(registration.clone()).refused().len(), 1);
    let added = change(&mut world, |policy| {
        let app = App { name: AppName::new("tablet"), ..policy.apps[0].clone() };
        policy.apps.push(app);
        policy.ways.insert(AppName::new("tablet"), Way { digest: 1, expires: None });
    });
    assert_eq!(noted_credentials(&added), [("another", 1)]);
    assert!(world.try_register(registration).refused().is_empty());
}

#[test]
fn a_certificate_that_is_replaced_is_told_of_from_the_beginning() {
    let mut world = World::new(policy());
    let ends = |world: &mut World, expires| {
        change(world, |policy| {
            let way = policy.ways.get_mut(&android()).unwrap();
            *way = Way { digest: way.digest + 1, expires };
        });
        world.take(Input::Tick).notices
    };
    let rows = [
        (Some(START + DAY), 1),
        (Some(START + 20 * DAY), 1),
        (Some(START + 20 * DAY), 1),
        (None, 0),
        (Some(START + 400 * DAY), 0),
    ];
    for (expires, notices) in rows {
        assert_eq!(ends(&mut world, expires).len(), notices, "{expires:?}");
        assert_eq!(status(&world, "android").expires, expires);
        assert!(world.take(Input::Tick).notices.is_empty(), "once");
    }
}

#[test]
fn under_another_limit_everybody_begins_anew() {
    let hourly = Some(Rate { count: 1, per: Duration::from_secs(3600) });
    let often = Some(Rate { count: 100, per: Duration::from_secs(1) });
    let mut limited = policy();
    limited.max_per_domain = hourly;
    limited.register.rate_per_account = hourly;
    let mut world = World::new(limited);
    let phone = world.register("romeo@example.org", "phone", "token-1");
    let again = World::registration("romeo@example.org", "tablet", "token-2");
    assert_eq!(world.try_register(again.clone()).refused()[0].1, Refusal::TooManyRegistrations);
    assert_eq!(world.publish(&phone, wake()).pushes.len(), 1);
    assert_eq!(world.publish(&phone, body("hi")).refused().len(), 1);
    // What has nothing to do with them changes nothing.
    change(&mut world, |policy| policy.rules.max_devices = 3);
    assert_eq!(world.publish(&phone, body("hi")).refused().len(), 1);
    change(&mut world, |policy| (policy.max_per_domain, policy.register.rate_per_account) = (often, often));
    assert!(world.try_register(again).refused().is_empty());
    assert!(world.publish(&phone, body("hi")).refused().is_empty());
    // And fewer is fewer.
    change(&mut world, |policy| policy.max_per_domain = hourly);
    assert!(world.publish(&phone, body("hi")).refused().is_empty());
    assert_eq!(world.publish(&phone, body("hi")).refused().len(), 1);
}

#[test]
fn those_who_wait_are_answered_when_it_is_time_by_the_new_settings() {
    for (within, answered) in [(2, 2000), (5, 5000), (20, 20_000)] {
        let mut world = World::new(policy());
        let phone = world.register("romeo@example.org", "phone", "token-1"); // t1
        world.publish(&phone, body("hi")); // t2
        world.later(1000);
        change(&mut world, |policy| policy.answer_within = Duration::from_secs(within));
        let at = Moment::since_start(Duration::from_millis(answered));
        assert_eq!(world.state.next_late(), Some(at), "{within}");
        assert!(world.pass(answered - 1001).answers.is_empty(), "{within}");
        assert_eq!(world.pass(1).done(), ["t2"], "{within}");
    }
}

#[test]
fn while_the_store_takes_no_writes_other_credentials_are_noted_when_it_does() {
    let mut world = World::new(policy());
    world.state.apply(&Change::Memory(Memory::ReadOnly(true)));
    assert!(change(&mut world, |policy| new_key(policy, "ios")).stored.is_empty());
    assert_eq!(world.state.policy.apps[1].fingerprint, 2, "they hold all the same");
    world.state.apply(&Change::Memory(Memory::ReadOnly(false)));
    assert_eq!(noted_credentials(&world.take(Input::Inner(Inner::Reloaded))), [("ios", 2)]);
    assert!(world.take(Input::Inner(Inner::Reloaded)).stored.is_empty(), "once");
}

#[test]
fn fewer_devices_for_an_account_hold_from_its_next_registration_on() {
    let mut world = World::new(policy());
    for device in ["a", "b", "c"] {
        world.register("romeo@example.org", device, "token");
    }
    let there = |world: &World| {
        world.state.devices_of(&Account::new("romeo@example.org")).filter(|it| it.gone.is_none()).count()
    };
    change(&mut world, |policy| policy.register.max_devices_per_account = 2);
    assert_eq!(there(&world), 3, "nobody loses a device by it alone");
    world.register("romeo@example.org", "d", "token");
    assert_eq!(there(&world), 2);
}

#[test]
fn pushes_that_are_owed_keep_their_end_and_new_ones_have_the_new_one() {
    let mut world = World::new(policy());
    let phones = phones(&mut world, 2);
    let down = || Outcome::Unavailable { retry_after: Some(Duration::from_secs(3600)), reason: "503".into() };
    let sent = world.publish(&phones[0], body("hi"));
    world.verdict(&sent.pushes[0], down());
    change(&mut world, |policy| policy.outbox_ttl = Duration::from_secs(60));
    let sent = world.publish(&phones[1], body("hi"));
    world.verdict(&sent.pushes[0], down());
    assert_eq!(world.state.queues().owed().0, 2);
    world.pass(60_000);
    assert_eq!(world.state.queues().owed().0, 1);
}

#[test]
fn an_interval_that_is_lifted_keeps_nobody_waiting() {
    let mut spaced = policy();
    spaced.min_interval = Some(Duration::from_secs(600));
    let mut world = World::new(spaced);
    let phone = world.register("romeo@example.org", "phone", "token-1");
    let sent = world.publish(&phone, body("one"));
    world.verdict(&sent.pushes[0], Outcome::Accepted);
    assert_eq!(world.state.sent(), (1, 1));
    change(&mut world, |policy| policy.min_interval = None);
    assert_eq!(world.state.sent(), (0, 0));
    assert_eq!(world.publish(&phone, body("two")).pushes.len(), 1);
}
