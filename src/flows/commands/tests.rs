//! What people ask and are shown, before it is XML.

use super::Trial;
use super::data::{Action, Answers, Asked, FieldKind, Name, Progress, Shown, Tone};
use crate::domain::device::GoneReason;
use crate::domain::ids::{Account, Node};
use crate::domain::outcome::Outcome;
use crate::domain::refusal::Refusal;
use crate::domain::registration::Status;
use crate::domain::session::Standing;
use crate::flows::data::{Answer, Change, Input, Reloaded, Ticket};
use crate::flows::memory::Memory;
use crate::flows::policy::Policy;
use crate::flows::rules::rig::{ALICE, Rig, THIRD, message, report, state};
use crate::flows::signals::{Relayed, Turn};
use crate::flows::world::{Happened, World, body};

const ADMIN: &str = "admin@example.org";

fn rig() -> Rig {
    Rig::with(|policy| policy.admins = vec![Account::new(ADMIN)])
}

fn ask_as(world: &mut World, asker: &str, asked: Asked) -> Happened {
    let ticket = Ticket { to: format!("{asker}/pc").into(), ..world.ticket() };
    world.take(Input::Command { ticket, asker: Account::new(asker), asked: Box::new(asked) })
}

fn answer(happened: Happened) -> Result<Shown, Refusal> {
    match happened.answers.into_iter().next() {
        Some((_, Answer::Command(shown))) => Ok(*shown),
        Some((_, Answer::Refused(refusal))) => Err(refusal),
        other => panic!("{other:?}"),
    }
}

fn asked(name: Name, fields: Option<&[(&str, &str)]>) -> Asked {
    let fields = fields.map(|fields| {
        let field = |(name, value): &(&str, &str)| ((*name).into(), value.split('|').map(Into::into).collect());
        Answers(fields.iter().map(field).collect())
    });
    Asked { name, session: None, action: Action::Execute, fields }
}

pub(super) fn begin(world: &mut World, name: Name, fields: &[(&str, &str)]) -> Shown {
    let fields = (!fields.is_empty()).then_some(fields);
    answer(ask_as(world, ADMIN, asked(name, fields))).unwrap()
}

fn go_on(world: &mut World, shown: &Shown, action: Action, fields: Option<&[(&str, &str)]>) -> Result<Shown, Refusal> {
    let asked = Asked { session: Some((*shown.session).into()), action, ..asked(shown.name, fields) };
    answer(ask_as(world, ADMIN, asked))
}

pub(super) fn cells(shown: &Shown, column: &str) -> Vec<String> {
    let table = shown.form.as_ref().and_then(|form| form.table.as_ref()).expect("a table");
    let at = table.columns.iter().position(|(name, _)| *name == column).expect("a column");
    table.rows.iter().map(|row| row[at].clone()).collect()
}

pub(super) fn lines(shown: &Shown, field: &str) -> Vec<String> {
    let form = shown.form.as_ref().expect("a form");
    form.fields.iter().find(|known| known.name == field).expect("a field").values.clone()
}

pub(super) fn options(shown: &Shown) -> Vec<String> {
    let field = &shown.form.as_ref().expect("a form").fields[0];
    let (FieldKind::One(options) | FieldKind::Some(options)) = &field.kind else { panic!("{field:?}") };
    options.iter().map(|(_, value)| value.clone()).collect()
}

fn notes(shown: &Shown) -> Vec<&str> {
    shown.notes.iter().map(|(_, said)| said.as_str()).collect()
}

#[test]
fn admins_may_ask_everything_and_others_about_themselves() {
    let mut rig = rig();
    for name in Name::ALL {
        let others = answer(ask_as(&mut rig.world, "mallory@example.net", asked(name, None)));
        let forbidden = matches!(others, Err(Refusal::Forbidden));
        assert_eq!(forbidden, !name.is_for_owners(), "{name:?}");
        if name != Name::Reload {
            answer(ask_as(&mut rig.world, ADMIN, asked(name, None))).unwrap();
        }
        assert_eq!(Name::of(name.name()), Some(name));
    }
}

#[test]
fn a_list_is_shown_page_by_page_and_each_page_once() {
    let mut rig = rig();
    for number in 0..120 {
        rig.world.register(&format!("user{number:03}@example.net"), "phone", &format!("token-{number}"));
    }
    let world = &mut rig.world;
    let form = begin(world, Name::ListDevices, &[]);
    assert_eq!(form.progress, Progress::Executing { prev: false, next: false, default_next: false });
    let first = go_on(world, &form, Action::Execute, Some(&[("state", "any")])).unwrap();
    assert_eq!(first.progress, Progress::Executing { prev: true, next: true, default_next: true });
    assert_eq!(first.form.as_ref().unwrap().title, "devices 1 to 50 of 120");
    let second = go_on(world, &first, Action::Next, None).unwrap();
    let back = go_on(world, &second, Action::Prev, None).unwrap();
    assert_eq!(back.form, first.form);
    let second_again = go_on(world, &back, Action::Execute, None).unwrap();
    assert_eq!(second_again.form, second.form);
    let last = go_on(world, &second, Action::Next, None).unwrap();
    assert_eq!(
        (last.progress, last.form.as_ref().unwrap().title.as_str()),
        (Progress::Completed, "devices 101 to 120 of 120")
    );
    let all: Vec<String> = [&first, &second, &last].iter().flat_map(|page| cells(page, "account")).collect();
    let expected: Vec<String> = (0..120).map(|number| format!("user{number:03}@example.net")).collect();
    assert_eq!(all, expected);
    assert_eq!(go_on(world, &last, Action::Next, None), Err(Refusal::SessionExpired));
}

#[test]
fn lists_are_filtered() {
    let mut rig = rig();
    rig.phone();
    rig.enabled_at("push.other.example", "node-9", "tablet");
    let rows: [(&[(&str, &str)], usize); 7] = [
        (&[("state", "any")], 2),
        (&[("state", "enabled")], 2),
        (&[("state", "gone")], 0),
        (&[("service", "push.other.example")], 1),
        (&[("accountjid", ALICE)], 2),
        (&[("accountjid", "bob@example.org")], 0),
        (&[("domain", "example.org"), ("service", THIRD)], 1),
    ];
    for (fields, count) in rows {
        let shown = begin(&mut rig.world, Name::ListRegistrations, fields);
        assert_eq!((cells(&shown, "node").len(), shown.progress), (count, Progress::Completed), "{fields:?}");
    }
    assert_eq!(
        cells(&begin(&mut rig.world, Name::ListSessions, &[("state", "connected")]), "resource"),
        ["phone", "tablet"]
    );
    rig.turn(report("phone", Standing::Hibernated), Turn::Hibernated, &[]);
    assert_eq!(cells(&begin(&mut rig.world, Name::ListSessions, &[("state", "hibernated")]), "resource"), ["phone"]);
}

#[test]
fn a_session_ends_by_itself_is_cancelled_and_is_nobody_elses() {
    let mut rig = rig();
    let world = &mut rig.world;
    let form = begin(world, Name::ShowAccount, &[]);
    let other = Asked { session: Some((*form.session).into()), ..asked(Name::ShowAccount, None) };
    let ticket = Ticket { to: format!("{ADMIN}/other").into(), ..world.ticket() };
    let input = Input::Command { ticket, asker: Account::new(ADMIN), asked: Box::new(other) };
    assert_eq!(answer(world.take(input)), Err(Refusal::BadSession));
    assert_eq!(go_on(world, &form, Action::Prev, None), Err(Refusal::BadAction));
    assert_eq!(go_on(world, &form, Action::Cancel, None).unwrap().progress, Progress::Canceled);
    assert_eq!(go_on(world, &form, Action::Execute, None), Err(Refusal::SessionExpired));

    let form = begin(world, Name::ShowAccount, &[]);
    world.pass(600_000);
    assert_eq!(
        (world.state.commands.len(), go_on(world, &form, Action::Execute, None)),
        (0, Err(Refusal::SessionExpired))
    );
}

#[test]
fn an_admin_who_is_none_any_more_does_not_go_on() {
    let mut rig = rig();
    let world = &mut rig.world;
    let form = begin(world, Name::ShowAccount, &[]);
    let policy = Policy { admins: Vec::new(), ..world.state.policy.clone() };
    let reloaded = Reloaded { policy: Some(Box::new(policy)), wishes: 0, said: Vec::new() };
    world.take(Input::Reloaded(Box::new(reloaded)));
    let fields = [("accountjid", "romeo@example.net")];
    assert_eq!(go_on(world, &form, Action::Execute, Some(&fields)), Err(Refusal::Forbidden));
}

#[test]
fn what_is_filled_in_wrongly_is_asked_again_with_a_reason() {
    let mut rig = rig();
    let world = &mut rig.world;
    let form = begin(world, Name::ShowAccount, &[]);
    for wrong in [&[("accountjid", "")][..], &[("accountjid", "not a jid @")], &[("accountjid", "example.org")], &[]] {
        let again = go_on(world, &form, Action::Execute, Some(wrong)).unwrap();
        let [(Tone::Error, why)] = &again.notes[..] else { panic!("{again:?}") };
        let asks = again.form.as_ref().map(|form| form.instructions.as_str());
        assert_eq!(asks, Some(&*format!("{why} Which account?")), "for clients that show no notes");
        assert!(matches!(again.progress, Progress::Executing { prev: false, .. }));
    }
    let shown = go_on(world, &form, Action::Execute, Some(&[("accountjid", "Alice@Example.org/phone")])).unwrap();
    assert_eq!(lines(&shown, "why"), ["No client of it has push enabled."]);
}

#[test]
fn an_admin_removes_a_registration_and_it_says_so_from_then_on() {
    let mut rig = rig();
    rig.phone();
    rig.enabled_at("push.other.example", "node-9", "tablet");
    let form = begin(&mut rig.world, Name::RemoveRegistration, &[("accountjid", ALICE)]);
    let chosen = options(&form);
    assert_eq!(chosen.len(), 2);
    let nothing = go_on(&mut rig.world, &form, Action::Complete, Some(&[])).unwrap();
    assert_eq!(notes(&nothing), ["At least one must be chosen."]);
    let done = go_on(&mut rig.world, &form, Action::Complete, Some(&[("chosen", &chosen[0])])).unwrap();
    assert_eq!(
        notes(&done),
        ["1 registration removed; their phones are not woken until their apps enable push again."]
    );
    let shown = begin(&mut rig.world, Name::ShowAccount, &[("accountjid", ALICE)]);
    assert_eq!(cells(&shown, "state"), ["gone", "enabled"]);
    assert_eq!(cells(&shown, "reason"), [GoneReason::Admin.said(), ""]);
    assert!(
        lines(&shown, "decisions").iter().any(|line| line.contains("gone: an admin removed it (admin)")),
        "{shown:?}"
    );
}

#[test]
fn of_two_registrations_whose_short_names_are_the_same_each_can_be_chosen() {
    let mut rig = rig();
    rig.phone();
    // Short names have 32 bits: some 77,000 tries are enough for two that are the same.
    let mut seen = std::collections::HashMap::new();
    let names = (0_u32..).map(|number| format!("node-{number}"));
    let found = names.into_iter().find_map(|name| {
        let other = seen.insert(Node::new(&*name).short(), name.clone());
        other.map(|other| (other, name))
    });
    let (one, other) = found.unwrap();
    rig.enabled_at("push.other.example", &one, "tablet");
    rig.enabled_at("push.other.example", &other, "laptop");
    let form = begin(&mut rig.world, Name::RemoveRegistration, &[("accountjid", ALICE)]);
    let chosen = options(&form);
    assert_eq!(chosen.len(), 3);
    let done = go_on(&mut rig.world, &form, Action::Complete, Some(&[("chosen", &chosen[2])])).unwrap();
    assert!(notes(&done)[0].starts_with("1 registration removed"), "{done:?}");
}

#[test]
fn strangers_cannot_have_much_kept_nor_keep_an_admin_out() {
    let mut rig = rig();
    let world = &mut rig.world;
    world.register("romeo@example.net", "phone", "token-1");
    // A form that leaves out what is asked for is kept, and asked for once more.
    let heavy = [("a", "x".repeat(4000)), ("b", "y".repeat(4000)), ("c", "|".repeat(255))];
    let heavy: Vec<(&str, &str)> = heavy.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut shown = answer(ask_as(world, "romeo@example.net", asked(Name::TestMyDevice, Some(&heavy)))).unwrap();
    let mut go_on = |shown: &Shown| {
        let asked = Asked { session: Some((*shown.session).into()), ..asked(Name::TestMyDevice, Some(&heavy)) };
        answer(ask_as(world, "romeo@example.net", asked))
    };
    let refused = std::iter::from_fn(|| match go_on(&shown) {
        Ok(next) => {
            shown = next;
            Some(Ok(()))
        }
        Err(refusal) => Some(Err(refusal)),
    });
    assert_eq!(refused.take(2).collect::<Vec<_>>(), [Ok(()), Err(Refusal::BadPayload)]);

    for number in 0..1000 {
        let stranger = format!("m{number}@mallory.example");
        let _full = ask_as(world, &stranger, asked(Name::MyDevices, None));
    }
    let ask = |world: &mut World, asker, name| answer(ask_as(world, asker, asked(name, None))).map(|_| ());
    assert_eq!(ask(world, "juliet@example.net", Name::MyDevices), Err(Refusal::TooManySessions));
    assert_eq!(ask(world, ADMIN, Name::ShowAccount), Ok(()));
}

#[test]
fn what_was_disabled_for_errors_is_enabled_again() {
    let mut rig = Rig::with(|policy| {
        policy.admins = vec![Account::new(ADMIN)];
        policy.rules.max_errors = 1;
    });
    rig.phone();
    rig.archived(message("m1"));
    let happened = rig.turn(report("phone", Standing::Hibernated), Turn::Hibernated, &[(1, message("m1"))]);
    drop(happened);
    let pushed = rig.pass(1000);
    rig.relayed(pushed.relays()[0], Relayed::Refused("cancel".into(), "item-not-found".into()));
    let disabled = |rig: &Rig| rig.world.state.registrations.counts();
    assert_eq!((disabled(&rig).enabled, disabled(&rig).disabled), (0, 1));
    let shown = begin(&mut rig.world, Name::ShowAccount, &[("accountjid", ALICE)]);
    assert!(lines(&shown, "why")[0].contains("is disabled since"), "{shown:?}");

    let form = begin(&mut rig.world, Name::EnableRegistration, &[("accountjid", ALICE)]);
    let chosen = options(&form);
    go_on(&mut rig.world, &form, Action::Complete, Some(&[("chosen", &chosen[0])])).unwrap();
    assert_eq!((disabled(&rig).enabled, disabled(&rig).disabled), (1, 0));
    let registration = &rig.world.state.registrations.of(&Account::new(ALICE))[0];
    assert_eq!((registration.record.errors, registration.status), (0, Status::Enabled));
}

#[test]
fn only_a_session_that_hears_of_everything_stands_in_the_way() {
    let mut rig = rig();
    rig.phone();
    let why = |rig: &mut Rig, field: &str| {
        let shown = begin(&mut rig.world, Name::ShowAccount, &[("accountjid", ALICE), ("show", "everything")]);
        lines(&shown, field)
    };
    let said = why(&mut rig, "why");
    assert!(said[0].ends_with("session \"phone\" is connected and hears of everything there, so nothing is pushed."));
    rig.turn(report("phone", Standing::Hibernated), Turn::Hibernated, &[]);
    assert_eq!(why(&mut rig, "why"), ["Nothing stands in the way of a push."]);
    let session = &why(&mut rig, "sessions")[0];
    assert!(session.starts_with("phone; state: hibernated; since: "), "{session}");
    assert!(session.contains("; resumption window: stretched: nobody woke it yet; left of it: "), "{session}");
    rig.turn(report("phone", Standing::Active), Turn::Resumed, &[]);
    rig.world.take(Input::Link(false));
    assert_eq!(why(&mut rig, "why"), ["example.org is not linked; nothing tells us of its messages."]);
}

#[test]
fn the_last_decisions_say_why_a_phone_was_not_woken() {
    let mut rig = Rig::with(|policy| {
        policy.admins = vec![Account::new(ADMIN)];
        policy.rules.unimportant = false;
    });
    rig.phone();
    rig.archived(message("m1"));
    rig.turn(report("phone", Standing::Hibernated), Turn::Hibernated, &[(1, message("m1"))]);
    rig.queued(2, state("s1"));
    let pushed = rig.pass(1000);
    rig.relayed(pushed.relays()[0], Relayed::Taken);
    rig.turn(report("phone", Standing::Active), Turn::Resumed, &[]);
    let shown = begin(&mut rig.world, Name::ShowAccount, &[("accountjid", ALICE), ("show", "decisions")]);
    let said: Vec<String> = cells(&shown, "about")
        .into_iter()
        .zip(cells(&shown, "decision"))
        .map(|(about, said)| format!("{about}: {said}"))
        .collect();
    let expected = [
        ": enabled",
        "message, archived: not pushed: session \"phone\" is there and hears of it",
        ": may be resumed for 3 days: nobody woke its client yet",
        "message without text, in the queue of a session: not pushed: unimportant, and rules.unimportant is \"never\"",
        ": pushed (important)",
        ": handed over in 0 ms",
        ": may be resumed for 10 min more: its client was woken",
        ": is back, 0 ms after a push",
    ];
    assert_eq!(said, expected);
}

#[test]
fn a_test_push_to_a_device_of_ours_shows_its_stages() {
    let mut rig = rig();
    let world = &mut rig.world;
    world.register("romeo@example.net", "phone", "token-1");
    let form = begin(world, Name::SendTestPush, &[("accountjid", "romeo@example.net")]);
    let target = options(&form)[0].clone();
    let asked =
        Asked { session: Some((*form.session).into()), ..asked(Name::SendTestPush, Some(&[("target", &target)])) };
    let sent = ask_as(world, ADMIN, asked);
    assert!(sent.answers.is_empty(), "nothing is known yet");
    world.later(84);
    let shown = answer(world.verdict(&sent.pushes[0], Outcome::Accepted)).unwrap();
    assert_eq!(notes(&shown), ["It was taken, 84 ms after it was sent."]);
    assert_eq!(cells(&shown, "stage"), ["rules", "route", "app", "vendor"]);
    let what = cells(&shown, "what");
    assert_eq!(what[2], "android (fcm), in order");
    assert!(what[3].starts_with("pushed (important), the vendor took it in 84 ms ["), "{what:?}");
    assert_eq!((shown.progress, world.state.trials.len(), world.state.commands.len()), (Progress::Completed, 0, 0));
}

#[test]
fn tests_of_strangers_keep_no_admin_from_one() {
    let mut rig = rig();
    let world = &mut rig.world;
    for name in ["romeo", "juliet"] {
        world.register(&format!("{name}@example.net"), "phone", &format!("token-{name}"));
    }
    for number in 0..100 {
        let trial = Trial {
            number,
            ticket: world.ticket(),
            name: Name::TestMyDevice,
            session: "x".into(),
            account: Account::new("mallory@mallory.example"),
            registration: None,
            node: None,
            flight: None,
            begun: world.now(),
        };
        world.state.apply(&Change::Memory(Memory::Testing(Box::new(trial))));
    }
    let form = answer(ask_as(world, "romeo@example.net", asked(Name::TestMyDevice, None))).unwrap();
    let target = options(&form)[0].clone();
    let refused = answer(ask_as(world, "romeo@example.net", asked(Name::TestMyDevice, Some(&[("target", &target)]))));
    assert_eq!(notes(&refused.unwrap()), ["Too many tests; try again in a minute."]);
    let fields = [("accountjid", "romeo@example.net"), ("target", &target)];
    let sent = ask_as(world, ADMIN, asked(Name::SendTestPush, Some(&fields)));
    assert_eq!((sent.answers.len(), sent.pushes.len()), (0, 1));
}

#[test]
fn a_test_push_that_nobody_answers_is_reported_after_fifteen_seconds() {
    let mut rig = rig();
    let world = &mut rig.world;
    world.register("romeo@example.net", "phone", "token-1");
    let target = options(&begin(world, Name::SendTestPush, &[("accountjid", "romeo@example.net")]))[0].clone();
    ask_as(world, ADMIN, asked(Name::SendTestPush, Some(&[("accountjid", "romeo@example.net"), ("target", &target)])));
    assert!(world.pass(14_999).answers.is_empty());
    let shown = answer(world.pass(1)).unwrap();
    assert_eq!(notes(&shown), ["Nothing is known of it after 15 s; the decisions will say more."]);
    assert_eq!(world.state.trials.len(), 0);
}

#[test]
fn a_test_push_to_a_third_partys_service_is_relayed() {
    let mut rig = rig();
    rig.phone();
    rig.world.later(1);
    let target = options(&begin(&mut rig.world, Name::SendTestPush, &[("accountjid", ALICE)]))[0].clone();
    let fields = [("accountjid", ALICE), ("target", &*target)];
    let sent = ask_as(&mut rig.world, ADMIN, asked(Name::SendTestPush, Some(&fields)));
    let relays: Vec<_> = sent.relays().into_iter().cloned().collect();
    rig.world.later(120);
    let refused = Relayed::Refused("cancel".into(), "item-not-found".into());
    let shown = answer(rig.relayed(&relays[0], refused)).unwrap();
    assert_eq!(notes(&shown), ["It was not taken: item-not-found."]);
    assert_eq!(cells(&shown, "stage"), ["rules", "route", "rules", "rules"]);
    assert_eq!(cells(&shown, "what")[1], format!("relayed by example.org to {THIRD}"));
}

#[test]
fn an_owner_sees_removes_and_tests_what_is_theirs_and_nothing_else() {
    let mut rig = rig();
    rig.phone();
    let world = &mut rig.world;
    world.register("romeo@example.net", "phone", "token-1");
    world.register("juliet@example.net", "phone", "token-2");
    let romeo = |world: &mut World, asked| answer(ask_as(world, "romeo@example.net", asked)).unwrap();
    let shown = romeo(world, asked(Name::MyDevices, Some(&[("show", "everything")])));
    assert_eq!(cells(&shown, "account"), ["romeo@example.net"]);
    let form = romeo(world, asked(Name::RemoveMyDevice, None));
    let chosen = options(&form);
    assert_eq!(chosen.len(), 1);
    // Another's device cannot be named.
    let theirs = options(&answer(ask_as(world, "juliet@example.net", asked(Name::RemoveMyDevice, None))).unwrap());
    let wrong = romeo(world, asked(Name::RemoveMyDevice, Some(&[("chosen", &theirs[0])])));
    assert_eq!(notes(&wrong), ["Not all that was chosen is there any more."]);
    romeo(world, asked(Name::RemoveMyDevice, Some(&[("chosen", &chosen[0])])));
    assert_eq!(world.state.count(), (2, 1));
    let shown = romeo(world, asked(Name::MyDevices, Some(&[("show", "registrations")])));
    assert_eq!(cells(&shown, "reason"), [GoneReason::Owner.said()]);
}

#[test]
fn a_publish_that_is_not_served_is_explained_to_the_devices_owner_alone() {
    let mut rig = rig();
    let world = &mut rig.world;
    let (node, _) = world.register("romeo@example.net", "phone", "token-1");
    let wrong = (node, crate::domain::secret::Secret::new("wrong"));
    assert_eq!(world.publish(&wrong, body("hi")).refused()[0].1, Refusal::NoSuchDevice);
    let shown = begin(world, Name::ShowAccount, &[("accountjid", "romeo@example.net"), ("show", "decisions")]);
    assert_eq!(cells(&shown, "decision"), ["publish refused: its secret is missing or wrong"]);
}

#[test]
fn whoever_asks_for_a_reload_hears_what_came_of_it() {
    let mut rig = rig();
    let world = &mut rig.world;
    let first = ask_as(world, ADMIN, asked(Name::Reload, None));
    let second = ask_as(world, ADMIN, asked(Name::Reload, None));
    assert_eq!((first.reloads, second.reloads, first.answers.len()), (1, 1, 0));
    let said = vec!["rules.max_devices: 5 → 3".to_owned()];
    // One that began before they asked, such as on a signal, tells them nothing.
    let reloaded = Reloaded { policy: None, wishes: 0, said: Vec::new() };
    assert_eq!(world.take(Input::Reloaded(Box::new(reloaded))).answers.len(), 0);
    let reloaded = Reloaded { policy: None, wishes: 2, said: said.clone() };
    let told = world.take(Input::Reloaded(Box::new(reloaded)));
    assert_eq!(told.answers.len(), 2);
    let shown = answer(told).unwrap();
    assert_eq!(lines(&shown, "said"), said);
    assert_eq!(notes(&shown), ["Nothing changed: the configuration needs mending."]);
    assert!(world.state.reloading.is_empty());
}

#[test]
fn status_says_what_is_wrong() {
    let mut rig = rig();
    rig.world.take(Input::Link(false));
    let shown = begin(&mut rig.world, Name::Status, &[]);
    assert_eq!(notes(&shown), ["example.org is not linked: its users' messages are not pushed."]);
    assert!(lines(&shown, "hosts")[0].starts_with("example.org: no stream; "), "{shown:?}");
}
