//! What the stories of `show-account` stand on: alice's phone at a third party's push service, romeo's at our own.

use std::time::Duration;

use crate::domain::extensions::Extensions;
use crate::domain::ids::{Domain, Node};
use crate::domain::outcome::Outcome;
use crate::domain::publish::Publish;
use crate::domain::secret::{Private, Secret};
use crate::domain::session::Standing;
use crate::domain::stanza::{Kind, Stanza};
use crate::flows::policy::Policy;
use crate::flows::rules::rig::{ALICE, Rig, THIRD, message, report};
use crate::flows::signals::{Relayed, Turn, Wish};
use crate::flows::world::{World, body, policy};

pub(super) const ROMEO: &str = "romeo@example.net";
pub(super) const HOUR: u64 = 3_600_000;
pub(super) const DAY: u64 = 24 * HOUR;
pub(super) const HOURS: Duration = Duration::from_secs(2 * 3600);

/// A token for APNs.
pub(super) const TOKEN: &str = "ac4089a5c1f0ac4089a5c1f0ac4089a5c1f0ac4089a5c1f0ac4089a5c1f00001";

/// Whose the devices are that nobody registered (`token_nodes`): no account's, so only the log says what became of them.
pub(super) const NOBODY: &str = "";

/// Alice's phone is away with a message in its queue; then this.
pub(super) fn asleep(change: impl FnOnce(&mut Policy), then: impl FnOnce(&mut Rig)) -> (World, &'static str) {
    let mut rig = Rig::with(change);
    rig.phone();
    rig.hibernates(&[(1, message("m1"))]);
    then(&mut rig);
    (rig.world, ALICE)
}

/// The same, pushed; its push service says this of it.
pub(super) fn pushed(said: Relayed, then: impl FnOnce(&mut Rig)) -> (World, &'static str) {
    asleep(
        |_| {},
        |rig| {
            let sent = rig.pass(1000);
            let relay = sent.relays()[0].clone();
            rig.relayed(&relay, said);
            then(rig);
        },
    )
}

/// The same, refused, and once is enough.
pub(super) fn disabled(then: impl FnOnce(&mut Rig)) -> (World, &'static str) {
    asleep(
        |policy| policy.rules.max_errors = 1,
        |rig| {
            let sent = rig.pass(1000);
            let relay = sent.relays()[0].clone();
            rig.relayed(&relay, refused());
            then(rig);
        },
    )
}

/// Alice's phone is away, nobody writes, and so much time passes.
pub(super) fn quiet(millis: u64) -> (World, &'static str) {
    let mut rig = Rig::new();
    rig.phone();
    rig.hibernates(&[]);
    rig.pass(millis);
    (rig.world, ALICE)
}

/// Alice's phone asks for a filter and is away; then this comes.
pub(super) fn filtered(change: impl FnOnce(&mut Extensions), stanza: Stanza) -> (World, &'static str) {
    let mut asks = Extensions::default();
    change(&mut asks);
    let mut rig = Rig::new();
    rig.turn(report("phone", Standing::Active), Turn::Bound, &[]);
    let (service, node) = (Some(THIRD.into()), Node::new("node-1"));
    rig.wish("phone", Wish::Enable { service, node, options: None, extensions: asks.kept() });
    rig.hibernates(&[(1, stanza)]);
    (rig.world, ALICE)
}

pub(super) fn in_room() -> Stanza {
    let room = Stanza { kind: Kind::Groupchat, from: Some("tea@chat.example/Bob".into()), ..message("m1") };
    Stanza { body: Some(Private::new("hi")), archive_id: None, ..room }
}

pub(super) fn refused() -> Relayed {
    Relayed::Refused("cancel".into(), "item-not-found".into())
}

/// Romeo's phone is registered with our own push service; then this.
pub(super) fn device(
    change: impl FnOnce(&mut Policy),
    then: impl FnOnce(&mut World, &(Node, Secret)),
) -> (World, &'static str) {
    let mut policy = policy();
    change(&mut policy);
    let mut world = World::new(policy);
    let phone = world.register(ROMEO, "phone", "token-1");
    then(&mut world, &phone);
    (world, ROMEO)
}

/// What his server publishes.
pub(super) fn from_net((node, secret): &(Node, Secret)) -> Publish {
    Publish {
        from: Domain::new("example.net"),
        from_full_jid: false,
        node: node.clone(),
        secret: Some(secret.clone()),
        module: None,
        notification: body("hi"),
    }
}

/// A publish, and what the vendor says of it.
pub(super) fn tell(world: &mut World, phone: &(Node, Secret), outcome: Outcome) {
    let sent = world.publish_as(from_net(phone));
    world.verdict(&sent.pushes[0], outcome);
}

pub(super) fn refuses(change: impl FnOnce(&mut Publish)) -> (World, &'static str) {
    device(
        |_| {},
        |world, phone| {
            let mut publish = from_net(phone);
            change(&mut publish);
            world.publish_as(publish);
        },
    )
}

/// A device that nobody registered: its node is its token.
pub(super) fn guest(then: impl FnOnce(&mut World, &(Node, Secret))) -> (World, &'static str) {
    let mut policy = policy();
    for app in &mut policy.apps {
        app.token_nodes = app.name.as_str() == "ios";
    }
    let mut world = World::new(policy);
    then(&mut world, &(Node::new(TOKEN), Secret::new("")));
    (world, NOBODY)
}

/// The vendor says this of another's push; then one for romeo.
pub(super) fn owed(outcome: Outcome) -> (World, &'static str) {
    device(
        |_| {},
        |world, phone| {
            let other = world.register("other@example.net", "phone", "token-2");
            tell(world, &other, outcome);
            world.publish_as(from_net(phone));
        },
    )
}
