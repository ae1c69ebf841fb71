use std::time::Duration;

use super::*;
use crate::domain::ids::AppName;
use crate::domain::outcome::Outcome;
use crate::domain::rate::Rate;
use crate::flows::data::{Input, Room};
use crate::flows::policy::{DomainPattern, Policy, RegisterPolicy};
use crate::flows::world::{World, policy, wake};

const ROMEO: &str = "romeo@example.org";

fn with(register: RegisterPolicy) -> Policy {
    Policy { register, ..policy() }
}

fn in_room(registration: DeviceRegistration, room: &str, device: &str) -> DeviceRegistration {
    let domain = Account::new(room).domain();
    DeviceRegistration { room: Some(Room { channel: DeviceHash::of(room, device), domain }), ..registration }
}

#[test]
fn node_and_secret_stay_when_the_token_changes() {
    let mut world = World::new(policy());
    let first = world.register(ROMEO, "phone", "token-1");
    assert_eq!(world.register(ROMEO, "phone", "token-2"), first);
    let device = world.state.device(&first.0).unwrap();
    assert_eq!((&*device.token.reveal(), device.generation), ("token-2", 2));
    let others = [world.register(ROMEO, "tablet", "token-2"), world.register("juliet@example.org", "phone", "t")];
    for (node, secret) in others {
        assert!(node != first.0 && secret != first.1);
    }
}

#[test]
fn the_same_token_again_is_no_new_generation() {
    let mut world = World::new(policy());
    let (node, _) = world.register(ROMEO, "phone", "token-1");
    world.later(60_000);
    world.register(ROMEO, "phone", "token-1");
    let device = world.state.device(&node).unwrap();
    assert_eq!((device.generation, device.renewed - device.made), (1, Duration::from_secs(60)));
}

#[test]
fn a_dead_device_is_revived_with_its_node_and_secret() {
    let mut world = World::new(policy());
    let device = world.register(ROMEO, "phone", "token-1");
    let sent = world.publish(&device, wake());
    world.verdict(&sent.pushes[0], Outcome::Gone { since: None });
    assert_eq!(world.register(ROMEO, "phone", "token-1"), device);
    let sent = world.publish(&device, wake());
    assert_eq!((&*sent.pushes[0].token.reveal(), sent.pushes[0].generation), ("token-1", 2));
    assert_eq!(world.state.count(), (1, 0));
}

#[test]
fn a_device_taken_back_can_not_be_pushed_to_nor_taken_back_again() {
    let mut world = World::new(policy());
    let device = world.register(ROMEO, "phone", "token-1"); // t1
    let left = world.unregister(ROMEO, "phone"); // t2
    let command = "unregister-push-fcm".into();
    assert_eq!(left.answers, [("t2".to_owned(), Answer::Unregistered { command })]);
    assert_eq!(world.publish(&device, wake()).refused(), [("t3".to_owned(), Refusal::NoSuchDevice)]);
    assert_eq!(world.unregister(ROMEO, "phone").refused(), [("t4".to_owned(), Refusal::NotRegistered)]);
    assert_eq!(world.unregister("evil@example.org", "phone").refused()[0].1, Refusal::NotRegistered);
}

#[test]
fn over_http_only_a_device_that_its_token_names_is_taken_back() {
    let mut world = World::new(policy());
    let by_token = DeviceRegistration { access: Access::Node, ..World::registration(ROMEO, "aabb", "AABB") };
    world.try_register(by_token);
    world.register(ROMEO, "phone", "token-1");
    let mut ask = |number, owner: &str, device: &str| {
        let unregistration = DeviceUnregistration {
            command: "unregister-device".into(),
            service: "fcm".into(),
            owner: Account::new(owner),
            account: DeviceHash::of(owner, device),
            channel: None,
        };
        let ticket = Ticket::over_http(number, world.now().steady);
        let happened = world.take(Input::Unregister { ticket, unregistration });
        let answer = happened.answers.into_iter().next().map(|(_, answer)| answer);
        (answer, happened.stored.len())
    };
    let refused = || (Some(Answer::Refused(Refusal::NotRegistered)), 0);
    let done = |changes| (Some(Answer::Unregistered { command: "unregister-device".into() }), changes);
    assert_eq!(ask(1, ROMEO, "phone"), refused(), "a device id proves nothing");
    assert_eq!(ask(2, "juliet@example.org", "aabb"), refused(), "somebody else's token");
    assert_eq!(ask(3, ROMEO, "aabc"), refused(), "no such token");
    assert_eq!(ask(4, ROMEO, "aabb"), done(1));
    assert_eq!(ask(5, ROMEO, "aabb"), done(0), "its app may not have heard it");
    assert_eq!(world.state.count(), (2, 1));
    // On the link a second one is told so, as ever.
    assert_eq!(world.unregister(ROMEO, "aabb").refused()[0].1, Refusal::NotRegistered);
}

#[test]
fn a_room_has_a_node_of_its_own_that_its_service_may_push_to() {
    let mut world = World::new(policy());
    let own = world.register(ROMEO, "phone", "token-1");
    let registration = in_room(World::registration(ROMEO, "phone", "token-1"), "coven@chat.example", "phone");
    let answers = world.try_register(registration).answers;
    let Answer::Registered { node, .. } = &answers[0].1 else { panic!("{answers:?}") };
    let room = world.state.device(node).unwrap();
    assert_ne!(*node, own.0);
    let permitted: Vec<_> = room.permitted.iter().map(Domain::as_str).collect();
    assert_eq!(permitted, ["chat.example", "example.org"]);
    assert_eq!(room.key.channel, Some(DeviceHash::of("coven@chat.example", "phone")));
    // Taking the device back takes its rooms back.
    world.unregister(ROMEO, "phone");
    assert_eq!(world.state.count(), (2, 2));
}

#[test]
fn the_device_that_registered_longest_ago_makes_room() {
    let register = RegisterPolicy { max_devices_per_account: 2, ..policy().register };
    let mut world = World::new(with(register));
    let mut devices = Vec::new();
    for (device, token) in [("a", "1"), ("b", "2"), ("a", "1"), ("c", "3")] {
        world.later(1000);
        devices.push(world.register(ROMEO, device, token).0);
    }
    world.register("juliet@example.org", "d", "4");
    let why = |node| world.state.device(node).unwrap().gone.map(|gone| gone.why);
    // "a" was renewed after "b".
    assert_eq!(devices.iter().map(why).collect::<Vec<_>>(), [None, Some(GoneReason::MaxDevices), None, None]);
}

#[test]
fn a_phones_rooms_are_no_further_phones() {
    let register = RegisterPolicy { max_devices_per_account: 1, ..policy().register };
    let mut world = World::new(with(register));
    world.register(ROMEO, "phone", "token-1");
    for number in 0..ROOMS_PER_DEVICE + 2 {
        world.later(1000);
        let registration = World::registration(ROMEO, "phone", "token-1");
        world.try_register(in_room(registration, &format!("room{number}@chat.example"), "phone"));
    }
    // The oldest two rooms went, the phone's own node stayed.
    assert_eq!(world.state.count(), (ROOMS_PER_DEVICE + 3, 2));
    let (first, _) = world.state.longest_gone().unwrap();
    assert_eq!(first, crate::flows::world::START + Duration::from_secs(ROOMS_PER_DEVICE as u64 + 1));
}

#[test]
fn who_may_not_register() {
    let register =
        RegisterPolicy { allow_domains: vec![DomainPattern::Exactly(Domain::new("example.org"))], ..policy().register };
    let mut world = World::new(with(register));
    let stranger = world.try_register(World::registration("romeo@evil.example", "phone", "token-1"));
    assert_eq!(stranger.refused(), [("t1".to_owned(), Refusal::Forbidden)]);
    let registration = DeviceRegistration { service: "telegraph".into(), ..World::registration(ROMEO, "phone", "t") };
    assert_eq!(world.try_register(registration).refused(), [("t2".to_owned(), Refusal::NoSuchApp)]);
    let registration = DeviceRegistration { service: "apns".into(), ..World::registration(ROMEO, "phone", "t") };
    world.try_register(registration);
    let device = world.state.devices_of(&Account::new(ROMEO)).next().unwrap();
    assert_eq!(device.key.app, AppName::new("ios"));
}

#[test]
fn too_many_registrations_are_refused_but_not_those_that_change_nothing() {
    let rate = Rate { count: 2, per: Duration::from_secs(3600) };
    let mut world = World::new(with(RegisterPolicy { rate_per_account: Some(rate), ..policy().register }));
    let device = world.register(ROMEO, "phone", "token-1"); // t1
    world.register(ROMEO, "phone", "token-2"); // t2
    assert_eq!(world.register(ROMEO, "phone", "token-2"), device); // t3
    let refused = world.try_register(World::registration(ROMEO, "phone", "token-3"));
    assert_eq!(refused.refused(), [("t4".to_owned(), Refusal::TooManyRegistrations)]);
    world.register("juliet@example.org", "phone", "token-4");
    world.later(1_800_000);
    assert_eq!(world.register(ROMEO, "phone", "token-3"), device);
}

#[test]
fn a_domain_may_register_so_fast() {
    let rate = Rate { count: 2, per: Duration::from_secs(1) };
    let mut world = World::new(with(RegisterPolicy { rate_per_domain: Some(rate), ..policy().register }));
    world.register("a@example.org", "phone", "token-1");
    world.register("b@example.org", "phone", "token-2");
    let refused = world.try_register(World::registration("c@example.org", "phone", "token-3"));
    assert_eq!(refused.refused()[0].1, Refusal::TooManyRegistrations);
    world.register("c@other.example", "phone", "token-3");
}

#[test]
fn a_device_that_somebody_waits_for_is_not_forgotten() {
    let mut world = World::new(policy());
    let device = world.register(ROMEO, "phone", "token");
    let asked = world.publish(&device, wake());
    world.unregister(ROMEO, "phone");
    for other in 0..2 * GONE_PER_ACCOUNT {
        world.later(1);
        world.register(ROMEO, &format!("phone-{other}"), "token");
        world.unregister(ROMEO, &format!("phone-{other}"));
    }
    assert_eq!(world.state.count().1, GONE_PER_ACCOUNT);
    let [push] = &asked.pushes[..] else { panic!("{asked:?}") };
    assert_eq!(world.verdict(push, Outcome::Accepted).done().len(), 1);
    assert_eq!(world.state.waiting(), 0);
}

/// From a push service that kept no accounts: only the hash says whose a device is.
#[test]
fn a_device_of_an_unknown_owner_is_of_whoever_registers_it_again() {
    let mut world = World::new(policy());
    let (node, secret) = world.register(ROMEO, "phone", "token-1");
    let hash = DeviceHash::of(ROMEO, "phone").hex();
    let unknown = Account::new(format!("{hash}@example.org"));
    let foreign = Device { owner: unknown.clone(), ..world.state.device(&node).unwrap().clone() };
    let mut world = World::new(policy());
    world.state.apply(&Change::Device(Box::new(foreign)));
    assert_eq!(world.state.devices_of(&unknown).count(), 1);

    assert_eq!(world.register(ROMEO, "phone", "token-2"), (node, secret));
    assert_eq!(world.state.devices_of(&unknown).count(), 0);
    let owned: Vec<_> =
        world.state.devices_of(&Account::new(ROMEO)).map(|device| device.token.reveal().into_owned()).collect();
    assert_eq!(owned, ["token-2"]);
    let happened = world.unregister(ROMEO, "phone");
    assert!(format!("{:?}", happened.answers).contains("Unregistered"), "{:?}", happened.answers);
}
