//! Against maps of whole devices.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::domain::device::tests::device;
use crate::domain::device::{Gone, GoneReason, History, Said};
use crate::domain::ids::{DeviceHash, Domain};
use crate::domain::publish::{Notification, Publish};
use crate::domain::secret::{DeviceToken, Secret};

const APNS: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[derive(Clone, Debug)]
enum Act {
    Put(Box<Device>, bool),
    Note(Fact),
    Forget(Node),
}

#[derive(Debug, Default)]
struct Model {
    devices: BTreeMap<Node, (Device, bool)>,
    owners: BTreeMap<Account, Vec<Node>>,
    keys: BTreeMap<DeviceKey, Node>,
}

impl Model {
    fn act(&mut self, act: &Act) {
        match act {
            Act::Put(device, guest) => {
                let known = self.devices.get(&device.node).cloned();
                if let Some((known, _)) = &known {
                    if known.key != device.key && self.keys.get(&known.key) == Some(&known.node) {
                        self.keys.remove(&known.key);
                    }
                    if known.owner != device.owner || device.access == Access::Anyone {
                        self.disown(known);
                    }
                }
                if known.is_none_or(|(known, _)| known.key != device.key) {
                    self.keys.insert(device.key.clone(), device.node.clone());
                }
                if device.access != Access::Anyone {
                    let own = self.owners.entry(device.owner.clone()).or_default();
                    if !own.contains(&device.node) {
                        own.push(device.node.clone());
                    }
                }
                self.devices.insert(device.node.clone(), ((**device).clone(), *guest));
            }
            Act::Note(fact) => {
                if let Some((device, _)) = self.devices.get_mut(&fact.node) {
                    device.history.note(fact);
                }
            }
            Act::Forget(node) => {
                if let Some((device, _)) = self.devices.remove(node) {
                    self.disown(&device);
                    if self.keys.get(&device.key) == Some(node) {
                        self.keys.remove(&device.key);
                    }
                }
            }
        }
    }

    fn disown(&mut self, device: &Device) {
        if let Some(own) = self.owners.get_mut(&device.owner) {
            own.retain(|node| *node != device.node);
        }
    }

    /// By a time, to the second, which is how these are ordered.
    fn dates(&self, date: impl Fn(&Device, bool) -> Option<Timestamp>) -> Vec<u64> {
        let mut dates: Vec<u64> =
            self.devices.values().filter_map(|(device, guest)| Some(date(device, *guest)?.secs())).collect();
        dates.sort_unstable();
        dates
    }
}

/// A view says what the whole device does.
fn check_view(view: Option<DeviceView<'_>>, known: Option<(&Device, bool)>) {
    let Some((view, (device, guest))) = view.zip(known) else {
        return assert_eq!((view.is_some(), known.is_some()), (false, false));
    };
    assert_eq!((view.node(), view.app(), view.is_guest()), (device.node.clone(), &device.key.app, guest));
    assert_eq!((view.account(), view.channel()), (device.key.account, device.key.channel));
    assert_eq!((view.owner(), view.access()), (device.owner.clone(), device.access));
    assert_eq!((view.token(), view.voip_token()), (device.token.clone(), device.voip_token.clone()));
    assert_eq!((view.generation(), view.renewed(), view.gone()), (device.generation, device.renewed, device.gone));
    assert_eq!((view.history(), view.node().seat()), (device.history.clone(), view.seat()));
    for from in ["a.example", "b.example", "c.example"] {
        for secret in [Some(device.secret.reveal().into_owned()), Some("wrong".to_owned()), None] {
            let publish = Publish {
                from: Domain::new(from),
                from_full_jid: false,
                node: device.node.clone(),
                secret: secret.map(Secret::new),
                module: None,
                notification: Notification::default(),
            };
            assert_eq!(view.admits(&publish), device.admits(&publish));
            assert_eq!(view.objection(&publish), device.objection(&publish));
        }
    }
}

fn check(devices: &Devices, model: &Model, nodes: &[Node], owners: &[Account]) {
    for node in nodes {
        let known = model.devices.get(node);
        assert_eq!(devices.get(node).as_ref(), known.map(|(device, _)| device));
        assert_eq!(devices.contains(node), known.is_some());
        check_view(devices.find(node).and_then(|seat| devices.at(seat)), known.map(|(device, guest)| (device, *guest)));
        assert_eq!(devices.is_guest(node), known.is_some_and(|(_, guest)| *guest));
    }
    for owner in owners {
        let own: Vec<Node> = devices.of(owner).map(|device| device.node).collect();
        assert_eq!(own, model.owners.get(owner).cloned().unwrap_or_default());
    }
    for (device, _) in model.devices.values() {
        let named = model.keys.get(&device.key);
        assert_eq!(devices.registered(&device.key).map(|device| device.node).as_ref(), named);
    }
    let mut all: Vec<Device> = devices.iter().collect();
    all.sort_by(|a, b| a.node.cmp(&b.node));
    assert_eq!(all, model.devices.values().map(|(device, _)| device.clone()).collect::<Vec<_>>());
    assert_eq!(devices.len(), model.devices.len());
    let gone = model.dates(|device, _| device.gone.map(|gone| gone.at));
    assert_eq!((devices.gone_len(), devices.gone().map(|(at, _)| at.secs()).collect::<Vec<_>>()), (gone.len(), gone));
    let unproven = model.dates(|device, guest| {
        (device.gone.is_none() && device.history.last_accepted.is_none() && !guest).then_some(device.renewed)
    });
    assert_eq!(devices.unproven().map(|(at, _)| at.secs()).collect::<Vec<_>>(), unproven);
}

fn nodes() -> Vec<Node> {
    (0..6).map(|number| Node::new(format!("node-{number}"))).collect()
}

fn owners() -> Vec<Account> {
    ["romeo@example.org", "juliet@example.org", ""].map(Account::new).into()
}

fn acts() -> impl Strategy<Value = Act> {
    let node = || proptest::sample::select(nodes());
    let said = prop_oneof![
        Just(Said::Accepted),
        Just(Said::Doubtful),
        Just(Said::Suspect("BadDeviceToken".into())),
        Just(Said::Failed("503".into()))
    ];
    prop_oneof![
        6 => (devices(), prop::bool::weighted(0.1)).prop_map(|(device, guest)| Act::Put(Box::new(device), guest)),
        2 => (node(), 0..5000_i64, said).prop_map(|(node, at, said)| {
            let (published, at) = (Timestamp::from_millis(at), Timestamp::from_millis(at + 7));
            Act::Note(Fact { node, published, at, said })
        }),
        1 => node().prop_map(Act::Forget),
    ]
}

fn devices() -> impl Strategy<Value = Device> {
    let access = proptest::sample::select(vec![Access::Secret, Access::Secret, Access::Node, Access::Anyone]);
    let tokens = proptest::sample::select(vec![APNS, "dGVz:APA91b", ""]);
    let secret = proptest::sample::select(vec!["abcdefghijklmnopqrstuvwxyzABC-_9", "s"]);
    let gone = prop::option::weighted(0.2, 0..5000_i64);
    let texts = (proptest::sample::select(nodes()), secret, proptest::sample::select(owners()), tokens);
    let rare = (any::<bool>(), any::<bool>(), gone, prop::option::of(0..5000_i64));
    (texts, access, rare, 0..5000_i64, 0..3_u8, 0..4_u8).prop_map(|(texts, access, rare, renewed, domain, key)| {
        let (node, secret, owner, token) = texts;
        let (channel, voip, gone, published) = rare;
        let hash = DeviceHash::of("romeo@example.org", &key.to_string());
        Device {
            node,
            secret: Secret::new(secret),
            key: DeviceKey {
                app: AppName::new(["ios", "android"][usize::from(key % 2)]),
                account: hash,
                channel: channel.then_some(hash),
            },
            owner,
            permitted: (0..domain).map(|domain| Domain::new(format!("{domain}.example"))).collect(),
            access,
            token: DeviceToken::new(token),
            voip_token: voip.then(|| DeviceToken::new(APNS)),
            generation: u32::from(key),
            made: Timestamp::from_millis(-5),
            renewed: Timestamp::from_millis(renewed),
            history: History { last_publish: published.map(Timestamp::from_millis), ..History::default() },
            gone: gone.map(|at| Gone { at: Timestamp::from_millis(at), why: GoneReason::Owner }),
        }
    })
}

proptest! {
    #[test]
    fn what_is_packed_is_what_whole_devices_would_be(acts in prop::collection::vec(acts(), 0..60)) {
        let (mut devices, mut model) = (Devices::default(), Model::default());
        for act in acts {
            model.act(&act);
            match &act {
                Act::Put(device, guest) => devices.put(device, *guest),
                Act::Note(fact) => drop(devices.note(fact).map(|(_, accepted)| accepted)),
                Act::Forget(node) => drop(devices.forget(node)),
            }
            check(&devices, &model, &nodes(), &owners());
        }
    }
}

#[test]
fn many_devices_are_found_while_the_tables_grow() {
    let mut devices = Devices::default();
    let one = |number: usize| {
        let key = DeviceKey { account: DeviceHash::of("", &number.to_string()), ..device().key };
        Device { node: Node::new(format!("{number}")), owner: Account::new(format!("{}", number / 2)), key, ..device() }
    };
    for number in 0..5000 {
        devices.put(&one(number), false);
    }
    for number in (0..5000).step_by(3) {
        devices.forget(&Node::new(format!("{number}")));
    }
    for number in 0..5000 {
        let expected = (number % 3 != 0).then(|| one(number));
        assert_eq!(devices.get(&Node::new(format!("{number}"))), expected);
        assert_eq!(devices.registered(&one(number).key), expected);
    }
    // Of each account two, of which one is gone if its number is a third.
    let left = |owner: usize| (2 * owner..2 * owner + 2).filter(|number| number % 3 != 0).count();
    for owner in 0..2500 {
        assert_eq!(devices.of(&Account::new(format!("{owner}"))).count(), left(owner));
    }
}

#[test]
fn groups_go_with_their_last_member() {
    let mut devices = Devices::default();
    for number in 0..1000 {
        devices.put(&Device { permitted: [Domain::new(format!("{number}.example"))].into(), ..device() }, false);
    }
    assert_eq!(devices.groups.len(), 1);
    devices.forget(&device().node);
    assert_eq!((devices.groups.len(), devices.len()), (0, 0));
}

#[test]
fn devices_that_were_added_are_found_once_all_are_named() {
    let one = |number: usize| {
        let key = DeviceKey { account: DeviceHash::of("", &(number / 3).to_string()), ..device().key };
        let owner = Account::new(format!("{}", number / 2));
        let access = if number.is_multiple_of(7) { Access::Anyone } else { Access::Secret };
        let gone = number.is_multiple_of(11).then_some(Gone { at: Timestamp::from_secs(9), why: GoneReason::Owner });
        let accepted = number.is_multiple_of(5).then_some(Timestamp::from_secs(3));
        let history = History { last_accepted: accepted, ..History::default() };
        Device { node: Node::new(format!("{number}")), owner, key, access, gone, history, ..device() }
    };
    let (mut at_once, mut one_by_one, mut names) = (Devices::default(), Devices::default(), Names::default());
    for number in 0..3000 {
        at_once.add(&one(number), &mut names);
        one_by_one.put(&one(number), false);
    }
    assert_eq!((at_once.len(), at_once.get(&one(1).node)), (3000, None));
    at_once.name_all(names);
    // What comes later meets what was there.
    for devices in [&mut at_once, &mut one_by_one] {
        devices.put(&Device { generation: 9, ..one(5) }, false);
        devices.forget(&one(8).node);
    }
    let nodes = |devices: &mut dyn Iterator<Item = Device>| devices.map(|device| device.node).collect::<Vec<_>>();
    for number in 0..3000 {
        let Device { node, key, owner, .. } = one(number);
        assert_eq!(at_once.get(&node), one_by_one.get(&node));
        assert_eq!(at_once.get(&node).is_some(), number != 8);
        assert_eq!(at_once.registered(&key), one_by_one.registered(&key));
        assert_eq!(nodes(&mut at_once.of(&owner)), nodes(&mut one_by_one.of(&owner)));
    }
    assert_eq!(at_once.gone().collect::<Vec<_>>(), one_by_one.gone().collect::<Vec<_>>());
    let unproven = at_once.unproven().collect::<Vec<_>>();
    assert_eq!((unproven.len(), &unproven), (2181, &one_by_one.unproven().collect::<Vec<_>>()));
}

#[test]
fn whoever_was_in_a_seat_before_is_not_found_in_it() {
    let with = |node: &str| Device { node: Node::new(node), ..device() };
    let mut devices = Devices::default();
    devices.put(&with("before"), false);
    let before = devices.get(&Node::new("before")).unwrap().node;
    assert_eq!(devices.find(&before), Some(before.seat()));
    assert_eq!(devices.forget(&before), Some(before.seat()));
    devices.put(&with("after"), false);
    let after = devices.get(&Node::new("after")).unwrap().node;
    // Its seat was given away.
    assert_eq!(after.seat(), before.seat());
    assert_eq!((devices.find(&before), devices.find(&after)), (None, Some(after.seat())));
    // A hint that is wrong costs a look, no more.
    let elsewhere = Node::new("after").at(Seat(7));
    assert_eq!(devices.find(&elsewhere), Some(after.seat()));
    devices.put(&with("before"), false);
    let found = devices.find(&before).unwrap();
    assert_ne!(found, before.seat());
    assert_eq!(devices.at(found).unwrap().node(), before);
}
