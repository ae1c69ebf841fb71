//! An app on Web Push has many vendors, and a client chooses which of them is asked.

use std::time::Duration;

use super::circuit::Fault;
use super::data::Notice;
use super::policy::DomainPattern;
use super::state::State;
use super::world::{Happened, World, body, policy, wake};
use crate::domain::app::Provider;
use crate::domain::device::GoneReason;
use crate::domain::ids::{AppName, Domain, Node};
use crate::domain::outcome::Outcome;
use crate::domain::secret::Secret;
use crate::flows::data::{Answer, DeviceRegistration};

const KEYS: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4 BTBZMqHH6r4Tts7J_aSIgg";

/// A world whose app `android` is one on Web Push.
fn world() -> World {
    let mut policy = policy();
    policy.apps[0].provider = Provider::WebPush;
    policy.apps[0].allow_hosts = vec![DomainPattern::Below(Domain::new("push.example"))];
    World::new(policy)
}

fn browser(world: &mut World, owner: &str) -> (Node, Secret) {
    let token = format!("https://a.push.example/{owner} {KEYS}");
    let registration =
        DeviceRegistration { service: "webpush".into(), ..World::registration(owner, "browser", &token) };
    match &world.try_register(registration).answers[..] {
        [(_, Answer::Registered { node, secret, .. })] => (node.clone(), secret.clone()),
        other => panic!("{other:?}"),
    }
}

fn refused() -> Outcome {
    Outcome::OperatorFault("HTTP 403".into())
}

fn is_open(state: &State) -> bool {
    state.app(&AppName::new("android")).unwrap().circuit.is_some()
}

/// Publishes to a browser, whose push service says this of it.
fn said(world: &mut World, device: &(Node, Secret), outcome: Outcome) -> Happened {
    let mut all = world.publish(device, body("hi"));
    let [push] = &all.pushes[..] else { panic!("{all:?}") };
    let push = push.clone();
    all.append(world.verdict(&push, outcome));
    all
}

#[test]
fn a_key_that_no_push_service_has_taken_is_the_operators_affair() {
    let mut world = world();
    let romeo = browser(&mut world, "romeo@example.org");
    let told = said(&mut world, &romeo, refused());
    let app = AppName::new("android");
    let opened = Notice::CircuitOpened { app: app.clone(), fault: Fault::Operator, reason: "HTTP 403".into() };
    assert_eq!((told.notices, told.offers), (vec![opened], vec![(app, false)]));
}

#[test]
fn a_push_service_that_refuses_its_subscribers_takes_no_push_from_others() {
    let down = || Outcome::Unavailable { retry_after: Some(Duration::from_secs(86_400)), reason: "503".into() };
    let busy = || Outcome::Throttled { retry_after: None, reason: "429".into() };
    for outcome in [refused(), down(), busy(), Outcome::Suspect("VapidPkHashMismatch".into())] {
        let mut world = world();
        let romeo = browser(&mut world, "romeo@example.org");
        said(&mut world, &romeo, Outcome::Accepted);
        for number in 0..15 {
            let mallory = browser(&mut world, &format!("mallory{number}@example.org"));
            let push = world.publish(&mallory, body("x")).pushes;
            let told = world.verdict(&push[0], outcome.clone());
            assert_eq!((told.notices.len(), told.offers.len()), (0, 0), "{outcome:?} {number}");
            world.uptime += Duration::from_secs(1);
        }
        assert!(!is_open(&world.state), "{outcome:?}");
        assert_eq!(said(&mut world, &romeo, Outcome::Accepted).done().len(), 1, "{outcome:?}");
    }
}

#[test]
fn a_subscription_that_is_gone_proves_no_key() {
    let mut world = world();
    let romeo = browser(&mut world, "romeo@example.org");
    let mallory = browser(&mut world, "mallory@example.org");
    said(&mut world, &romeo, refused());
    world.publish(&mallory, body("x"));
    let trial = world.pass(2000).pushes;
    let [push] = &trial[..] else { panic!("{trial:?}") };
    assert_eq!(push.node, mallory.0);
    // Push services say so without a look at the signature.
    let told = world.verdict(push, Outcome::Gone { since: None });
    assert!(is_open(&world.state) && told.notices.is_empty(), "{told:?}");
    assert!(world.state.device(&mallory.0).unwrap().gone.is_some());
}

#[test]
fn nobody_has_us_wait_a_day_for_the_next_trial() {
    let mut world = world();
    let mallory = browser(&mut world, "mallory@example.org");
    let romeo = browser(&mut world, "romeo@example.org");
    said(&mut world, &mallory, refused());
    let trial = world.pass(2000).pushes;
    let day = Some(Duration::from_secs(86_400));
    world.publish(&romeo, body("hi"));
    world.verdict(&trial[0], Outcome::Unavailable { retry_after: day, reason: "503".into() });
    let next = world.pass(60_000).pushes;
    assert_eq!(next.iter().map(|push| &push.node).collect::<Vec<_>>(), [&romeo.0]);
}

#[test]
fn a_push_that_its_app_does_not_want_says_nothing_of_anybody() {
    let mut world = world();
    let romeo = browser(&mut world, "romeo@example.org");
    let juliet = browser(&mut world, "juliet@example.org");
    said(&mut world, &romeo, refused());
    assert_eq!(world.publish(&juliet, wake()).done().len(), 1);
    let trial = world.pass(2000).pushes;
    let [push] = &trial[..] else { panic!("{trial:?}") };
    assert_eq!(push.node, juliet.0, "romeo's rests");
    let told = world.verdict(push, Outcome::Withheld);
    assert!(is_open(&world.state) && told.notices.is_empty(), "{told:?}");
    let app = world.state.app(&AppName::new("android")).unwrap();
    assert!(!app.works, "nobody has taken anything");
    let history = &world.state.device(&juliet.0).unwrap().history;
    assert_eq!((history.last_accepted, history.errors), (None, 0));
    assert_eq!(world.state.unproven().count(), 2);
    // It was no trial, so the next one is at once.
    assert_eq!(told.pushes.iter().map(|push| &push.node).collect::<Vec<_>>(), [&romeo.0]);
    assert_eq!(world.state.queues().owed().0, 1, "juliet's is settled");
}

#[test]
fn a_token_that_can_be_none_is_dead_and_says_nothing_of_the_app() {
    let mut world = world();
    let romeo = browser(&mut world, "romeo@example.org");
    let mallory = browser(&mut world, "mallory@example.org");
    let unfit = || Outcome::Unfit("the subscription's p256dh is no key".into());
    let told = said(&mut world, &mallory, unfit());
    assert_eq!((told.refused().len(), told.notices.len(), told.offers.len()), (1, 0, 0));
    let gone = world.state.device(&mallory.0).unwrap().gone;
    assert_eq!(gone.map(|gone| gone.why), Some(GoneReason::Errors));

    // Nor does it close what the operator has to mend.
    said(&mut world, &romeo, refused());
    let nurse = browser(&mut world, "nurse@example.org");
    world.publish(&nurse, body("hi"));
    let trial = world.pass(2000).pushes;
    let [push] = &trial[..] else { panic!("{trial:?}") };
    let told = world.verdict(push, unfit());
    assert!(is_open(&world.state) && told.notices.is_empty(), "{told:?}");
}
