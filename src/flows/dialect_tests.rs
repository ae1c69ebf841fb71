//! What sets the dialects of registration apart: nodes that clients choose, nodes without a secret, subscriptions.

use std::time::Duration;

use super::data::{Change, DeviceRegistration, Input};
use super::policy::{DomainPattern, Policy};
use super::world::{Happened, World, policy, wake};
use crate::domain::app::{Provider, Style};
use crate::domain::device::{Access, GoneReason};
use crate::domain::ids::{Account, DeviceHash, Domain, Node};
use crate::domain::outcome::Outcome;
use crate::domain::publish::{Notification, Publish};
use crate::domain::refusal::Refusal;
use crate::domain::secret::DeviceToken;
use crate::flows::data::Answer;

const ROMEO: &str = "romeo@example.org";
const DAY: u64 = 24 * 3600 * 1000;

fn monal() -> Policy {
    let mut policy = policy();
    policy.apps[1].style = Style::Monal;
    policy
}

fn chosen(owner: &str, service: &str, node: &str) -> DeviceRegistration {
    DeviceRegistration {
        command: "v1-register-push".into(),
        service: service.into(),
        account: DeviceHash::of(owner, &format!("v1 {node}")),
        node: Some(Node::new(node)),
        ..World::registration(owner, "", "token-1")
    }
}

fn node_of(happened: &Happened) -> Result<Node, Refusal> {
    match &happened.answers[..] {
        [(_, Answer::Registered { node, .. })] => Ok(node.clone()),
        [(_, Answer::Refused(refusal))] => Err(*refusal),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_node_that_the_client_chose_is_its_own_and_nobody_elses() {
    let mut world = World::new(Policy {
        apps: {
            let mut apps = monal().apps;
            apps[0].style = Style::Monal;
            apps
        },
        ..monal()
    });
    let registered = world.try_register(chosen(ROMEO, "apns", "uuid-1"));
    assert_eq!(node_of(&registered), Ok(Node::new("uuid-1")));
    let again = world
        .try_register(DeviceRegistration { token: DeviceToken::new("token-2"), ..chosen(ROMEO, "apns", "uuid-1") });
    assert_eq!(again.answers[0].1, registered.answers[0].1, "node and secret stay");
    let device = world.state.device(&Node::new("uuid-1")).unwrap();
    assert_eq!((&*device.token.reveal(), device.generation), ("token-2", 2));

    let stolen = world.try_register(chosen("mallory@evil.example", "apns", "uuid-1"));
    assert_eq!(node_of(&stolen), Err(Refusal::Forbidden));
    let other_app = world.try_register(chosen(ROMEO, "fcm", "uuid-1"));
    assert_eq!(node_of(&other_app), Err(Refusal::Forbidden));
    assert_eq!(world.state.device(&Node::new("uuid-1")).unwrap().owner, Account::new(ROMEO));

    // One that we made is nobody's to choose, either; not even its owner's, who would have two devices of one node.
    let (ours, _) = world.register("juliet@example.org", "phone", "token-3");
    assert_eq!(node_of(&world.try_register(chosen(ROMEO, "apns", ours.as_str()))), Err(Refusal::Forbidden));
    let phone = DeviceRegistration { service: "apns".into(), ..World::registration(ROMEO, "phone", "token-4") };
    let own = node_of(&world.try_register(phone)).unwrap();
    assert_eq!(node_of(&world.try_register(chosen(ROMEO, "apns", own.as_str()))), Err(Refusal::Forbidden));
    assert_eq!(world.state.device(&own).unwrap().token.reveal(), "token-4");
    assert_eq!(node_of(&world.try_register(chosen(ROMEO, "apns", "uuid-2"))), Ok(Node::new("uuid-2")));
}

#[test]
fn only_apps_that_need_it_let_their_clients_choose_a_node() {
    let mut world = World::new(policy());
    assert_eq!(node_of(&world.try_register(chosen(ROMEO, "apns", "uuid-1"))), Err(Refusal::NoSuchApp));
}

#[test]
fn nobody_registers_a_node_that_is_the_token_of_somebody_who_never_does() {
    let mut policy = monal();
    policy.apps[1].token_nodes = true;
    let mut world = World::new(policy);
    assert_eq!(node_of(&world.try_register(chosen(ROMEO, "apns", &"ab12".repeat(16)))), Err(Refusal::Forbidden));
}

#[test]
fn a_device_without_a_secret_is_pushed_to_from_its_owners_domain_alone() {
    let mut world = World::new(policy());
    let registration = DeviceRegistration {
        access: Access::Node,
        voip_token: Some(DeviceToken::new("voip-1")),
        ..World::registration(ROMEO, "phone", "token-1")
    };
    let node = node_of(&world.try_register(registration.clone())).unwrap();
    let publish = |from: &str| Publish {
        from: Domain::new(from),
        from_full_jid: false,
        node: node.clone(),
        secret: None,
        module: None,
        notification: wake(),
    };
    assert_eq!(world.publish_as(publish("evil.example")).refused()[0].1, Refusal::NoSuchDevice);
    let full = Publish { from_full_jid: true, ..publish("example.org") };
    assert_eq!(world.publish_as(full).refused()[0].1, Refusal::NoSuchDevice);
    let sent = world.publish_as(publish("example.org"));
    assert_eq!(sent.pushes[0].voip_token, Some(DeviceToken::new("voip-1")));
    assert_eq!(sent.pushes[0].owner, Account::new(ROMEO));

    // Another token for calls is another generation, like another token.
    let renewed = DeviceRegistration { voip_token: Some(DeviceToken::new("voip-2")), ..registration };
    assert_eq!(node_of(&world.try_register(renewed)), Ok(node.clone()));
    assert_eq!(world.state.device(&node).unwrap().generation, 2);
}

#[test]
fn an_account_that_is_no_more_takes_its_device_along() {
    let mut world = World::new(policy());
    let device = world.register(ROMEO, "phone", "token-1"); // t1
    let removed = Notification { account_removed: true, ..wake() };
    assert_eq!(world.publish(&device, removed.clone()).done(), ["t2"]);
    let gone = world.state.device(&device.0).unwrap().gone.unwrap();
    assert_eq!(gone.why, GoneReason::AccountDeleted);
    assert_eq!(world.publish(&device, removed).refused(), [("t3".to_owned(), Refusal::NoSuchDevice)]);
}

#[test]
fn subscriptions_are_taken_for_hosts_that_the_operator_allows() {
    const KEYS: &str = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4 BTBZMqHH6r4Tts7J_aSIgg";
    let mut policy = policy();
    policy.apps[0].provider = Provider::WebPush;
    policy.apps[0].allow_hosts = vec![DomainPattern::Below(Domain::new("push.example"))];
    let mut world = World::new(policy);
    let mut register = |token: &str| {
        let registration =
            DeviceRegistration { service: "webpush".into(), ..World::registration(ROMEO, "browser", token) };
        node_of(&world.try_register(registration)).map(drop)
    };
    let rows = [
        (format!("https://a.push.example/x {KEYS}"), Ok(())),
        (format!("https://evil.example/x {KEYS}"), Err(Refusal::BadToken)),
        (format!("http://a.push.example/x {KEYS}"), Err(Refusal::BadToken)),
        ("https://a.push.example/x".to_owned(), Err(Refusal::BadToken)),
        ("fcm-token".to_owned(), Err(Refusal::BadToken)),
    ];
    for (token, expected) in rows {
        assert_eq!(register(&token), expected, "{token}");
    }
}

#[test]
fn a_device_that_never_worked_is_gone_after_thirty_days() {
    let mut world = World::new(policy());
    let (silent, _) = world.register(ROMEO, "phone", "token-1");
    let working = world.register("juliet@example.org", "phone", "token-2");
    let sent = world.publish(&working, wake());
    world.verdict(&sent.pushes[0], Outcome::Accepted);
    let renewed = world.register("nurse@example.org", "phone", "token-3");
    world.later(29 * DAY);
    world.register("nurse@example.org", "phone", "token-3");
    world.later(DAY - 1);
    world.take(Input::Tick);
    assert_eq!(world.state.count(), (3, 0));
    world.later(1);
    let due = world.take(Input::Tick);
    assert!(matches!(&due.stored[..], [Change::Device(device)] if device.node == silent), "{due:?}");
    assert_eq!(world.state.device(&silent).unwrap().gone.map(|gone| gone.why), Some(GoneReason::Expired));
    assert_eq!(world.state.count(), (3, 1));
    world.uptime += Duration::from_millis(29 * DAY);
    world.take(Input::Tick);
    assert_eq!(world.state.device(&renewed.0).unwrap().gone.map(|gone| gone.why), Some(GoneReason::Expired));
    assert_eq!(world.state.device(&working.0).unwrap().gone, None);
}
