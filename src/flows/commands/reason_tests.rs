//! Whatever happens to a push, or to a registration or device, `show-account` says it: a story for each decision that
//! there is (`ending_tests.rs`: for each reason that something is gone). Those that can happen on a real host within a
//! test's time are told there as well (`tests/stories/why.rs`).

use std::collections::BTreeSet;
use std::time::Duration;

use super::data::Name;
use super::reason_rig::{
    DAY, HOUR, HOURS, NOBODY, ROMEO, asleep, device, disabled, filtered, from_net, guest, in_room, owed, pushed, quiet,
    refused, refuses, tell,
};
use super::tests::{begin, cells, lines};
use crate::domain::extensions::{Allow, Room};
use crate::domain::filter::Filter;
use crate::domain::ids::{Account, Domain};
use crate::domain::outcome::Outcome;
use crate::domain::publish::{Notification, Publish};
use crate::domain::refusal::Later;
use crate::domain::secret::Secret;
use crate::domain::session::{EndReason, Standing};
use crate::domain::stanza::{Jingle, JingleStep, Kind, Stanza};
use crate::flows::circuit::Fault;
use crate::flows::data::{Change, Input};
use crate::flows::decision::{Decided, Objection, Owing, Then};
use crate::flows::memory::Memory;
use crate::flows::notice::Registered;
use crate::flows::rules::rig::{ALICE, Rig, THIRD, call, ended, message, report, state};
use crate::flows::signals::{Relayed, Turn, Wish};
use crate::flows::world::{self, World};

/// A story: the decision's short name, what `show-account` says of it, and how it comes about.
struct Row(&'static str, &'static str, fn() -> (World, &'static str));

/// Makes the list of all decisions and a `match` over them of one table, so that a new one does not compile before it
/// has a name here, and fails the test before it has a story.
macro_rules! decisions {
    ($($name:literal: $pattern:pat,)*) => {
        const ALL: &[&str] = &[$($name),*];
        const fn name(what: &Decided) -> &'static str {
            match what { $($pattern => $name),* }
        }
    };
}

decisions! {
    "pushed": Decided::Pushed { .. },
    "waits_unlinked": Decided::Waits { unlinked: true },
    "waits_busy": Decided::Waits { unlinked: false },
    "handed_over": Decided::HandedOver { silent: false, .. },
    "silence": Decided::HandedOver { silent: true, .. },
    "not_taken": Decided::NotTaken(_),
    "duplicate": Decided::Known,
    "worthless": Decided::Worthless,
    "unimportant": Decided::Unwanted,
    "filtered: muted": Decided::Filtered(Filter::Muted),
    "filtered: room": Decided::Filtered(Filter::Room),
    "filtered: no mention": Decided::Filtered(Filter::NoMention),
    "filtered: unknown": Decided::Filtered(Filter::Unknown),
    "has_session": Decided::HasSession(_),
    "disabled": Decided::Disabled(_),
    "cancelled": Decided::Cancelled,
    "too_many_calls": Decided::TooManyCalls,
    "stretched": Decided::Stretched(_),
    "shortened": Decided::Shortened(_),
    "woken_before_end": Decided::WokenBeforeEnd,
    "too_many_hibernated": Decided::TooMany,
    "overdue": Decided::Overdue,
    "resumed": Decided::Resumed { .. },
    "registration_enabled": Decided::Registration(Registered::Enabled),
    "registration_disabled": Decided::Registration(Registered::Disabled(_)),
    "registration_revived": Decided::Registration(Registered::Revived),
    "registration_gone": Decided::Registration(Registered::Gone(_)),
    "wrong_secret": Decided::Refused(Objection::Secret),
    "foreign_domain": Decided::Refused(Objection::Domain(_)),
    "from_client": Decided::Refused(Objection::Client),
    "device_gone": Decided::Refused(Objection::Gone(_)),
    "domain-rate": Decided::Refused(Objection::Later(Later::DomainRate)),
    "full": Decided::Refused(Objection::Later(Later::Full)),
    "store": Decided::Refused(Objection::Later(Later::Store)),
    "vendor": Decided::Refused(Objection::Later(Later::Vendor)),
    "operator": Decided::Refused(Objection::Later(Later::Operator)),
    "merged": Decided::Merged(_),
    "queued": Decided::Queued(_),
    "owed_interval": Decided::Owed(_, Owing::Interval),
    "owed_operator": Decided::Owed(_, Owing::Circuit(Fault::Operator, _)),
    "owed_vendor": Decided::Owed(_, Owing::Circuit(Fault::Vendor, _)),
    "owed_crowd": Decided::Owed(_, Owing::Crowd),
    "owed_silence": Decided::Owed(_, Owing::Silence),
    "accepted": Decided::Accepted { .. },
    "withheld": Decided::Withheld(_),
    "retried": Decided::NotAccepted { then: Then::Again, .. },
    "dropped": Decided::NotAccepted { then: Then::Dropped, .. },
    "gone": Decided::NotAccepted { then: Then::Gone(_), .. },
    "expired": Decided::Expired(_),
}

/// What no story can tell: it is owed, and never refused, while a vendor refuses our credentials.
const NEVER: &str = "operator";

const STORIES: &[Row] = &[
    // What the rules decide.
    Row("pushed", "pushed (important)", || asleep(|_| {}, |rig| drop(rig.pass(1000)))),
    Row("waits_unlinked", "waits: its host is not linked", || {
        asleep(
            |_| {},
            |rig| {
                rig.world.take(Input::Link(false));
                rig.world.pass(1000);
            },
        )
    }),
    Row("waits_busy", "waits: its host or its push service is busy", || {
        let mut rig = Rig::with(|policy| policy.rules.max_devices = 20);
        for number in 0..20 {
            rig.enabled_at(THIRD, &format!("node-{number}"), "phone");
        }
        rig.event(ended("phone", EndReason::Timeout));
        rig.archived(message("m1"));
        rig.pass(1000);
        (rig.world, ALICE)
    }),
    Row("handed_over", "handed over in 0 ms", || pushed(Relayed::Taken, |_| {})),
    Row("silence", "no answer within 0 ms; taken as handed over", || pushed(Relayed::Silence, |_| {})),
    Row("not_taken", "its push service did not take it: item-not-found", || pushed(refused(), |_| {})),
    Row("not_taken", "its push service did not take it: resource-constraint", || {
        pushed(Relayed::Refused("wait".into(), "resource-constraint".into()), |_| {})
    }),
    Row("not_taken", "its push service did not take it: remote-server-not-found", || {
        pushed(Relayed::NotSent("remote-server-not-found".into()), |_| {})
    }),
    Row("duplicate", "not pushed: the same was pushed already", || {
        pushed(Relayed::Taken, |rig| drop(rig.queued(1, message("m1"))))
    }),
    Row("worthless", "not pushed: nothing that anybody would be woken for", || {
        asleep(|_| {}, |rig| drop(rig.queued(2, Stanza { kind: Kind::Error, ..message("m2") })))
    }),
    Row("worthless", "not pushed: nothing that anybody would be woken for", || {
        asleep(|_| {}, |rig| drop(rig.queued(2, Stanza { no_store: true, ..state("m2") })))
    }),
    Row("unimportant", "not pushed: unimportant, and rules.unimportant is \"never\"", || {
        asleep(|policy| policy.rules.unimportant = false, |rig| drop(rig.queued(2, state("m2"))))
    }),
    Row("filtered: muted", "not pushed: the account owner's filter (muted)", || {
        filtered(|asks| asks.muted = vec!["bob@example.org".into()], message("m1"))
    }),
    Row("filtered: room", "not pushed: the account owner's filter (groupchat: not this room)", || {
        filtered(|asks| asks.rooms = Some(Vec::new()), in_room())
    }),
    Row("filtered: no mention", "not pushed: the account owner's filter (groupchat: no mention)", || {
        let room = Room { jid: "tea@chat.example".into(), allow: Allow::Mentioned(Some("Juliet".into())) };
        filtered(|asks| asks.rooms = Some(vec![room]), in_room())
    }),
    Row("filtered: unknown", "not pushed: the account owner's filter (ignore-unknown)", || {
        filtered(|asks| asks.ignore_unknown = true, Stanza { contact: Some(false), ..message("m1") })
    }),
    Row("has_session", "not pushed: session \"phone\" is there and hears of it", || {
        let mut rig = Rig::new();
        rig.phone();
        rig.archived(message("m1"));
        (rig.world, ALICE)
    }),
    Row("disabled", "not pushed: the registration is disabled (errors)", || {
        disabled(|rig| drop(rig.archived(message("m2"))))
    }),
    Row("cancelled", "not pushed after all: the client has it, or is back, or the call is over", || {
        asleep(|_| {}, |rig| drop(rig.turn(report("phone", Standing::Active), Turn::Resumed, &[])))
    }),
    Row("too_many_calls", "does not ring: too many calls within a minute; pushed as a message", || {
        asleep(
            |_| {},
            |rig| {
                for number in 0..7 {
                    let jingle = Jingle { step: JingleStep::Propose, id: format!("call-{number}").into() };
                    let ring = Stanza { jingle: Some(jingle), ..call(JingleStep::Propose) };
                    rig.urgent(Stanza { archive_id: None, id: Some(format!("c{number}").into()), ..ring }, false);
                }
            },
        )
    }),
    // What the session keeper does.
    Row("stretched", "may be resumed for 3 days: nobody woke its client yet", || asleep(|_| {}, |_| {})),
    Row("shortened", "may be resumed for 10 min more: its client was woken", || pushed(Relayed::Taken, |_| {})),
    Row("woken_before_end", "its end is near: its client is woken", || quiet(72 * HOUR - 120_000)),
    Row("overdue", "is ended: its window is over", || quiet(72 * HOUR + 60_000)),
    Row("too_many_hibernated", "is ended: too many sessions of the account hibernate", || {
        asleep(
            |policy| policy.sessions.max_hibernated = 1,
            |rig| {
                rig.pass(1000);
                rig.turn(report("tablet", Standing::Hibernated), Turn::Hibernated, &[]);
            },
        )
    }),
    Row("resumed", "is back, 4 s after a push", || {
        pushed(Relayed::Taken, |rig| {
            rig.pass(4000);
            rig.turn(report("phone", Standing::Active), Turn::Resumed, &[]);
        })
    }),
    // What becomes of registrations; each reason to be gone has a story below.
    Row("registration_enabled", "enabled", || asleep(|_| {}, |_| {})),
    Row("registration_disabled", "disabled: errors", || disabled(|_| {})),
    Row("registration_disabled", "disabled: unreachable", || {
        let mut rig = Rig::with(|policy| policy.rules.max_errors = 2);
        rig.phone();
        rig.event(ended("phone", EndReason::Timeout));
        for id in ["m1", "m2"] {
            rig.archived(message(id));
            let sent = rig.pass(1000);
            let relay = sent.relays()[0].clone();
            rig.relayed(&relay, Relayed::NotSent("remote-server-timeout".into()));
            rig.pass(72 * HOUR);
        }
        (rig.world, ALICE)
    }),
    Row("registration_revived", "works again", || {
        disabled(|rig| {
            let tried = rig.pass(DAY + 60_000);
            let relay = tried.relays()[0].clone();
            rig.relayed(&relay, Relayed::Taken);
        })
    }),
    Row("registration_gone", "gone: its owner took it back (owner)", || {
        asleep(|_| {}, |rig| drop(rig.wish("phone", Wish::Disable { service: Some(THIRD.into()), node: None })))
    }),
    // What becomes of a publish.
    Row("wrong_secret", "publish refused: its secret is missing or wrong", || {
        refuses(|publish| publish.secret = Some(Secret::new("wrong")))
    }),
    Row("wrong_secret", "publish refused: its secret is missing or wrong", || refuses(|publish| publish.secret = None)),
    Row("foreign_domain", "publish refused: evil.example may not publish to this device", || {
        refuses(|publish| publish.from = Domain::new("evil.example"))
    }),
    Row("from_client", "publish refused: it came from a client, not from a server", || {
        refuses(|publish| publish.from_full_jid = true)
    }),
    Row("device_gone", "publish refused: the device is gone: its owner took it back (owner)", || {
        device(
            |_| {},
            |world, phone| {
                world.unregister(ROMEO, "phone");
                world.publish_as(from_net(phone));
            },
        )
    }),
    Row("domain-rate", "publish refused: its domain publishes too fast (push.max_per_domain)", || {
        let rate = crate::domain::rate::Rate { count: 1, per: Duration::from_secs(1) };
        device(
            |policy| policy.max_per_domain = Some(rate),
            |world, phone| {
                world.publish_as(from_net(phone));
                world.publish_as(from_net(phone));
            },
        )
    }),
    Row("full", "publish refused: too much waits already", || {
        device(
            |policy| policy.max_owed = 0,
            |world, phone| {
                tell(world, phone, Outcome::OperatorFault("InvalidProviderToken".into()));
                world.publish_as(from_net(phone));
            },
        )
    }),
    Row("store", "publish refused: the store takes no writes", || {
        device(
            |policy| policy.answer_within = Duration::from_secs(1),
            |world, phone| {
                world.state.apply(&Change::Memory(Memory::ReadOnly(true)));
                tell(world, phone, Outcome::OperatorFault("InvalidProviderToken".into()));
                world.publish_as(from_net(phone));
            },
        )
    }),
    Row("store", "publish refused: the store takes no writes", || {
        device(
            |_| {},
            |world, phone| {
                world.publish_as(from_net(phone));
                world.state.apply(&Change::Memory(Memory::ReadOnly(true)));
                world.pass(5000);
            },
        )
    }),
    Row("merged", "important: shares the fate of the push under way", || {
        device(
            |_| {},
            |world, phone| {
                world.publish_as(from_net(phone));
                world.publish_as(from_net(phone));
            },
        )
    }),
    Row("queued", "important: waits with, or behind, another push", || {
        device(
            |_| {},
            |world, phone| {
                world.publish_as(Publish { notification: world::wake(), ..from_net(phone) });
                world.publish_as(from_net(phone));
            },
        )
    }),
    Row("owed_interval", "kept and pushed later: the device is left alone for a while (push.min_interval)", || {
        device(
            |policy| policy.min_interval = Some(Duration::from_secs(60)),
            |world, phone| {
                tell(world, phone, Outcome::Accepted);
                world.publish_as(from_net(phone));
            },
        )
    }),
    Row("owed_operator", "the vendor refuses our credentials: InvalidProviderToken", || {
        owed(Outcome::OperatorFault("InvalidProviderToken".into()))
    }),
    Row("owed_vendor", "kept and pushed later: the vendor is out of order: 503", || {
        device(
            |_| {},
            |world, phone| {
                // So many, for so long, is an outage.
                for number in 0..10 {
                    let other = world.register(&format!("user{number}@example.net"), "phone", "token-2");
                    tell(world, &other, Outcome::Unavailable { retry_after: Some(HOURS), reason: "503".into() });
                    world.later(5000);
                }
                world.publish_as(from_net(phone));
            },
        )
    }),
    Row("owed_crowd", "important: kept and pushed later: too many wait", || {
        device(
            |policy| (policy.max_waiting, policy.slots, policy.max_under_way) = (1, 1, 1),
            |world, phone| {
                let other = world.register("other@example.net", "phone", "token-2");
                world.publish_as(from_net(&other));
                world.publish_as(from_net(phone));
            },
        )
    }),
    Row("owed_silence", "important: kept and pushed later: the vendor has not answered yet", || {
        device(
            |_| {},
            |world, phone| {
                world.publish_as(from_net(phone));
                world.pass(5000);
            },
        )
    }),
    Row("accepted", "pushed (important), the vendor took it in 84 ms", || {
        device(
            |_| {},
            |world, phone| {
                let sent = world.publish_as(from_net(phone));
                world.later(84);
                world.verdict(&sent.pushes[0], Outcome::Accepted);
            },
        )
    }),
    Row("withheld", "not pushed: the app wants no unimportant pushes", || {
        device(
            |_| {},
            |world, phone| {
                let sent = world.publish_as(Publish { notification: world::wake(), ..from_net(phone) });
                world.verdict(&sent.pushes[0], Outcome::Withheld);
            },
        )
    }),
    Row("retried", "the vendor did not take it, after 0 ms: TooManyRequests; kept and tried again", || {
        device(
            |_| {},
            |world, phone| {
                tell(world, phone, Outcome::Throttled { retry_after: None, reason: "TooManyRequests".into() });
            },
        )
    }),
    Row("dropped", "the vendor did not take it, after 0 ms: 503; not kept", || {
        guest(|world, phone| {
            tell(world, phone, Outcome::Unavailable { retry_after: None, reason: "503".into() });
        })
    }),
    Row("vendor", "publish refused: its vendor takes nothing, and it cannot be kept", || {
        guest(|world, phone| {
            tell(world, phone, Outcome::OperatorFault("InvalidProviderToken".into()));
            world.publish_as(from_net(phone));
        })
    }),
    Row("gone", "the device is gone: the vendor says that the token is dead (vendor-gone)", || {
        device(|_| {}, |world, phone| tell(world, phone, Outcome::Gone { since: None }))
    }),
    Row("expired", "important: given up, of no use any more", || {
        device(
            |policy| policy.outbox_ttl = Duration::from_secs(60),
            |world, phone| {
                let other = world.register("other@example.net", "phone", "token-2");
                tell(world, &other, Outcome::OperatorFault("InvalidProviderToken".into()));
                // The trial is that of who came first.
                world.publish_as(from_net(&other));
                let third = world.register("third@example.net", "phone", "token-3");
                world.publish_as(from_net(&third));
                world.publish_as(from_net(phone));
                world.pass(61_000);
            },
        )
    }),
    Row("cancelled", "not pushed after all: the client has it, or is back, or the call is over", || {
        device(
            |_| {},
            |world, phone| {
                tell(world, phone, Outcome::OperatorFault("InvalidProviderToken".into()));
                world.publish_as(Publish { notification: world::call(), ..from_net(phone) });
                let over =
                    Notification { jingle: Some(crate::domain::publish::CallStep::Other), ..Notification::default() };
                world.publish_as(Publish { notification: over, ..from_net(phone) });
            },
        )
    }),
];

#[test]
fn show_account_names_every_decision_that_there_is() {
    let mut told = BTreeSet::from([NEVER]);
    for (number, Row(expected, words, story)) in STORIES.iter().enumerate() {
        let (mut world, account) = story();
        let noted: Vec<_> =
            world.state.history().of(&Account::new(account)).map(|entry| entry.line.what.clone()).collect();
        let names: Vec<_> = noted.iter().map(name).collect();
        assert!(names.contains(expected), "story {number}: {expected} is not among {noted:#?}");
        for what in &noted {
            assert_eq!(name(what).split(':').next(), Some(what.name()), "one name for all who count");
        }
        told.insert(*expected);
        if account == NOBODY {
            let lines: Vec<_> =
                world.state.history().of(&Account::new(account)).map(|entry| entry.to_string()).collect();
            assert!(lines.iter().any(|line| line.contains(words)), "story {number}: {words:?} is not in {lines:#?}");
            continue;
        }
        let shown = begin(&mut world, Name::ShowAccount, &[("accountjid", account), ("show", "decisions")]);
        let said = cells(&shown, "decision");
        let its = noted.iter().zip(&said).filter(|(what, _)| name(what) == *expected);
        let its: Vec<_> = its.map(|(_, said)| said).collect();
        assert!(its.iter().any(|said| said.contains(words)), "story {number}: {words:?} is not in {its:#?}");
        // What is true of the table is true of the page with everything.
        let all = begin(&mut world, Name::ShowAccount, &[("accountjid", account)]);
        assert!(lines(&all, "decisions").iter().any(|line| line.contains(words)), "story {number}: {all:#?}");
    }
    let all: BTreeSet<_> = ALL.iter().copied().collect();
    assert_eq!(all.difference(&told).collect::<Vec<_>>(), Vec::<&&str>::new(), "these have no story");
    assert_eq!(all.len(), ALL.len(), "each has a name of its own");
}
