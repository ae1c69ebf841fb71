//! Why something is gone: a story for each reason, of registrations and of devices.

use std::collections::BTreeSet;
use std::time::Duration;

use super::data::Name;
use super::reason_rig::{DAY, HOUR, ROMEO, asleep, device, disabled, from_net, refused, tell};
use super::tests::{begin, cells, options};
use crate::domain::device::GoneReason;
use crate::domain::ids::Account;
use crate::domain::outcome::Outcome;
use crate::domain::publish::{Notification, Publish};
use crate::flows::data::Input;
use crate::flows::rules::rig::{ALICE, THIRD};
use crate::flows::signals::{What, Wish};
use crate::flows::world::{self, World};

/// Why something is gone, what `show-account` says, and how it comes about; the time is that of the end.
struct Ending(GoneReason, &'static str, fn() -> (World, &'static str));

/// Nobody takes a registration's place unseen: a new reason does not compile before it stands here.
const fn ending_of(why: GoneReason) -> &'static str {
    match why {
        GoneReason::Owner => "owner",
        GoneReason::MaxDevices => "max-devices",
        GoneReason::VendorGone => "vendor-gone",
        GoneReason::Errors => "errors",
        GoneReason::Admin => "admin",
        GoneReason::AccountDeleted => "account-deleted",
        GoneReason::Expired => "expired",
    }
}

const ENDINGS: &[Ending] = &[
    Ending(GoneReason::Owner, "registration", || {
        asleep(|_| {}, |rig| drop(rig.wish("phone", Wish::Disable { service: Some(THIRD.into()), node: None })))
    }),
    Ending(GoneReason::MaxDevices, "registration", || {
        asleep(|policy| policy.rules.max_devices = 1, |rig| drop(rig.enable("push.other.example", "n", "tablet", None)))
    }),
    Ending(GoneReason::Errors, "registration", || {
        disabled(|rig| {
            for _ in 0..7 {
                let tried = rig.pass(DAY);
                for relay in tried.relays() {
                    rig.relayed(relay, refused());
                }
            }
        })
    }),
    Ending(GoneReason::Admin, "registration", || {
        asleep(
            |_| {},
            |rig| {
                let form = begin(&mut rig.world, Name::RemoveRegistration, &[("accountjid", ALICE)]);
                let chosen = options(&form)[0].clone();
                begin(&mut rig.world, Name::RemoveRegistration, &[("accountjid", ALICE), ("chosen", &chosen)]);
            },
        )
    }),
    Ending(GoneReason::AccountDeleted, "registration", || {
        asleep(|_| {}, |rig| drop(rig.event(What::UserDeleted { account: Account::new(ALICE) })))
    }),
    Ending(GoneReason::Expired, "registration", || {
        asleep(|policy| policy.rules.registration_ttl = Some(Duration::from_secs(3600)), |rig| drop(rig.pass(HOUR)))
    }),
    Ending(GoneReason::Owner, "device", || device(|_| {}, |world, _| drop(world.unregister(ROMEO, "phone")))),
    Ending(GoneReason::MaxDevices, "device", || {
        device(
            |policy| policy.register.max_devices_per_account = 1,
            |world, _| {
                world.later(1000);
                world.register(ROMEO, "tablet", "token-2");
            },
        )
    }),
    Ending(GoneReason::VendorGone, "device", || {
        device(|_| {}, |world, phone| tell(world, phone, Outcome::Gone { since: None }))
    }),
    Ending(GoneReason::Admin, "device", || {
        device(
            |_| {},
            |world, _| {
                let form = begin(world, Name::RemoveDevice, &[("accountjid", ROMEO)]);
                let chosen = options(&form)[0].clone();
                begin(world, Name::RemoveDevice, &[("accountjid", ROMEO), ("chosen", &chosen)]);
            },
        )
    }),
    Ending(GoneReason::AccountDeleted, "device", || {
        device(
            |_| {},
            |world, phone| {
                let notification = Notification { account_removed: true, ..Notification::default() };
                world.publish_as(Publish { notification, ..from_net(phone) });
            },
        )
    }),
];

#[test]
fn show_account_names_every_reason_to_be_gone_and_when() {
    let mut told = BTreeSet::new();
    for Ending(why, kind, story) in ENDINGS {
        let (mut world, account) = story();
        let shown = begin(&mut world, Name::ShowAccount, &[("accountjid", account)]);
        let column = |name| cells(&shown, name).into_iter();
        let rows = column("kind").zip(column("state")).zip(column("reason")).zip(column("since"));
        let (reason, since) = rows
            .filter(|(((of, state), _), _)| of == kind && state == "gone")
            .map(|((_, reason), since)| (reason, since))
            .next()
            .unwrap_or_else(|| panic!("{why:?}: no {kind} is gone: {shown:#?}"));
        assert_eq!(reason, why.said());
        assert!(reason.ends_with(&format!("({})", ending_of(*why))), "{reason}");
        let (start, now) = (world::START.to_string(), world.now().wall.to_string());
        assert!(since >= start && since <= now, "{why:?}: {start} {since} {now}");
        // 90 days later as well.
        world.later(89 * DAY);
        world.take(Input::Tick);
        let later = begin(&mut world, Name::ShowAccount, &[("accountjid", account), ("show", "registrations")]);
        assert!(cells(&later, "reason").contains(&reason), "{why:?}: {later:#?}");
        told.insert(ending_of(*why));
    }
    let all = ["account-deleted", "admin", "errors", "expired", "max-devices", "owner", "vendor-gone"];
    assert_eq!(told.into_iter().collect::<Vec<_>>(), all);
}
