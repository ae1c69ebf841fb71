//! Devices that nobody registered: where an app says so (`token_nodes`), a node that we do not know is itself the
//! device token, as fpush has it, and `pushModule` among the publish-options names the app.
//!
//! Anybody may publish to any such node, so nothing is kept of it but in memory, until the vendor takes a push for it:
//! then there is a phone, and it is a device like others.

use super::state::{DeviceView, State};
use crate::domain::app::App;
use crate::domain::device::{Access, Device, DeviceKey, History};
use crate::domain::ids::{Account, DeviceHash, Node};
use crate::domain::publish::Publish;
use crate::domain::secret::{DeviceToken, Secret};
use crate::domain::time::Timestamp;

/// How many guests are kept in memory; the oldest goes.
pub(super) const MOST: usize = 10_000;

/// Whether a text can be a vendor's token: 64 to 512 characters of those that tokens are made of.
#[must_use]
pub fn is_token(text: &str) -> bool {
    let part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'_' | b'-');
    (64..=512).contains(&text.len()) && text.bytes().all(part)
}

/// The device that a publish means by its token, if it can mean one.
pub(super) fn guest(state: &State, publish: &Publish, now: Timestamp) -> Option<Device> {
    let text = publish.node.as_str();
    if publish.from_full_jid || !is_token(text) {
        return None;
    }
    let app = choose(&state.policy.apps, publish.module.as_deref())?;
    Some(Device {
        node: publish.node.clone(),
        secret: Secret::new(""),
        key: DeviceKey { app: app.name.clone(), account: DeviceHash::of("", text), channel: None },
        owner: Account::new(""),
        permitted: [].into(),
        access: Access::Anyone,
        token: DeviceToken::new(text),
        voip_token: None,
        generation: 1,
        made: now,
        renewed: now,
        history: History::default(),
        gone: None,
    })
}

/// Whether a publish means another app's phone than the one that its node was taken for, and nobody knows whether that
/// was right: whoever knows a token could name the wrong app first, and so have it taken for dead.
pub(super) fn is_of_another_app(state: &State, known: DeviceView<'_>, publish: &Publish) -> bool {
    let meant = || choose(&state.policy.apps, publish.module.as_deref());
    known.is_guest() && meant().is_some_and(|app| app.name != *known.app())
}

/// The app of that module; without one, the default among the apps that take tokens for nodes, or the only one.
fn choose<'a>(apps: &'a [App], module: Option<&str>) -> Option<&'a App> {
    let mut takers = apps.iter().filter(|app| app.token_nodes);
    if let Some(module) = module {
        return takers.find(|app| app.name.as_str() == module || app.aliases.iter().any(|alias| **alias == *module));
    }
    if let Some(default) = takers.clone().find(|app| app.default) {
        return Some(default);
    }
    takers.next().filter(|_| takers.next().is_none())
}

/// Which guest makes room for one more.
pub(super) fn oldest(state: &State) -> Option<Node> {
    let mut guests = state.guests().filter(|_| state.guests().len() >= MOST);
    guests.find(|node| !state.is_under_way(node)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{AppName, Domain};
    use crate::domain::outcome::Outcome;
    use crate::domain::publish::Notification;
    use crate::domain::refusal::{Later, Refusal};
    use crate::flows::data::{Change, Input};
    use crate::flows::policy::Policy;
    use crate::flows::world::{World, policy, wake};

    const TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn taking_tokens() -> Policy {
        let mut policy = policy();
        for app in &mut policy.apps {
            app.token_nodes = app.name == AppName::new("ios");
            app.aliases = vec![format!("{}-prod", app.name).into()];
        }
        policy
    }

    fn to(node: &str, module: Option<&str>) -> Publish {
        Publish {
            from: Domain::new("any.example"),
            from_full_jid: false,
            node: Node::new(node),
            secret: None,
            module: module.map(Box::from),
            notification: wake(),
        }
    }

    #[test]
    fn a_node_that_is_a_token_is_pushed_to_where_an_app_takes_such() {
        let mut world = World::new(taking_tokens());
        let other = TOKEN.replace('0', "f");
        for (node, module) in [(TOKEN, None), (&other, Some("ios-prod"))] {
            let sent = world.publish_as(to(node, module));
            let [push] = &sent.pushes[..] else { panic!("{sent:?}") };
            assert_eq!((&*push.token.reveal(), push.app.as_str()), (node, "ios"));
            assert!(sent.stored.is_empty(), "nothing is kept of a stranger");
            assert_eq!(world.verdict(push, Outcome::Accepted).done().len(), 1);
        }
        assert_eq!(world.state.count(), (2, 0));
    }

    #[test]
    fn nothing_else_is_a_token_or_an_app_that_takes_them() {
        let mut world = World::new(taking_tokens());
        let long = "a".repeat(513);
        let odd = format!("{TOKEN}/");
        let rows = [
            to(&TOKEN[1..], None),
            to(&long, None),
            to(&odd, None),
            to(TOKEN, Some("android-prod")),
            to(TOKEN, Some("unknown")),
            Publish { from_full_jid: true, ..to(TOKEN, None) },
        ];
        for publish in rows {
            let refused = world.publish_as(publish);
            assert_eq!(refused.refused()[0].1, Refusal::NoSuchDevice);
        }
        assert_eq!(World::new(policy()).publish_as(to(TOKEN, None)).refused()[0].1, Refusal::NoSuchDevice);
    }

    #[test]
    fn a_token_that_the_vendor_takes_is_a_device_from_then_on_and_stays_dead_when_it_dies() {
        let mut world = World::new(taking_tokens());
        let sent = world.publish_as(to(TOKEN, None));
        let accepted = world.verdict(&sent.pushes[0], Outcome::Accepted);
        let kept = |change: &Change| matches!(change, Change::Device(device) if device.node.as_str() == TOKEN);
        assert!(accepted.stored.iter().any(kept), "{accepted:?}");
        let sent = world.publish_as(to(TOKEN, None));
        assert!(world.verdict(&sent.pushes[0], Outcome::Accepted).stored.iter().all(|change| !kept(change)));
        let sent = world.publish_as(to(TOKEN, None));
        assert_eq!(world.verdict(&sent.pushes[0], Outcome::Gone { since: None }).stored.len(), 1);
        assert_eq!(world.publish_as(to(TOKEN, None)).refused()[0].1, Refusal::NoSuchDevice);
    }

    #[test]
    fn that_one_of_its_accounts_is_no_more_takes_no_phone_away() {
        let mut world = World::new(taking_tokens());
        let removed = || Publish {
            notification: Notification { account_removed: true, ..Notification::default() },
            ..to(TOKEN, None)
        };
        assert_eq!(world.publish_as(removed()).done().len(), 1);
        let sent = world.publish_as(to(TOKEN, None));
        world.verdict(&sent.pushes[0], Outcome::Accepted);
        // All accounts of an app on a phone have the same node, and nobody could register it again.
        let told = world.publish_as(removed());
        assert_eq!((told.done().len(), told.stored.len()), (1, 0));
        assert_eq!(world.publish_as(to(TOKEN, None)).pushes.len(), 1);
    }

    #[test]
    fn whoever_names_the_wrong_app_first_keeps_nobody_from_the_right_one() {
        let mut policy = taking_tokens();
        for app in &mut policy.apps {
            app.token_nodes = true;
        }
        let mut world = World::new(policy);
        let (wrong, right) = (|| to(TOKEN, Some("android-prod")), || to(TOKEN, Some("ios-prod")));
        let sent = world.publish_as(wrong());
        // Nobody shares the fate of that one.
        let meanwhile = world.publish_as(right());
        assert_eq!(meanwhile.refused()[0].1, Refusal::TryLater(Later::Vendor));
        let dead = world.verdict(&sent.pushes[0], Outcome::Gone { since: None });
        assert_eq!(dead.refused()[0].1, Refusal::NoSuchDevice);
        assert_eq!(world.publish_as(wrong()).refused()[0].1, Refusal::NoSuchDevice);

        let sent = world.publish_as(right());
        assert_eq!(sent.pushes.iter().map(|push| push.app.as_str()).collect::<Vec<_>>(), ["ios"]);
        world.verdict(&sent.pushes[0], Outcome::Accepted);
        // From now on it is known whose it is.
        assert_eq!(world.publish_as(wrong()).pushes[0].app.as_str(), "ios");
        assert_eq!((world.state.count(), world.state.guests().len()), ((1, 0), 0));
    }

    #[test]
    fn a_token_that_never_lived_is_not_asked_for_again_and_not_kept() {
        let mut world = World::new(taking_tokens());
        let sent = world.publish_as(to(TOKEN, None));
        let dead = world.verdict(&sent.pushes[0], Outcome::Gone { since: None });
        assert!(dead.stored.is_empty());
        let again = world.publish_as(to(TOKEN, None));
        assert_eq!((again.refused()[0].1, again.pushes.len()), (Refusal::NoSuchDevice, 0));
    }

    #[test]
    fn a_device_that_is_registered_wins_over_the_token_it_looks_like() {
        let mut world = World::new(taking_tokens());
        let registered = World::registration("romeo@example.org", "phone", "token-1");
        world.try_register(registered);
        let node = world.state.devices_of(&Account::new("romeo@example.org")).next().unwrap().node.clone();
        assert_eq!(world.publish_as(to(node.as_str(), None)).refused()[0].1, Refusal::NoSuchDevice);
    }

    #[test]
    fn strangers_do_not_fill_the_memory() {
        let mut world = World::new(taking_tokens());
        for number in 0..MOST + 5 {
            let sent = world.publish_as(to(&format!("{number:0>64}"), None));
            world.verdict(&sent.pushes[0], Outcome::Unavailable { retry_after: None, reason: "503".into() });
        }
        assert_eq!((world.state.count().0, world.state.guests().len()), (MOST, MOST));
        world.take(Input::Tick);
        assert_eq!(world.state.under_way(), 0);
    }
}
