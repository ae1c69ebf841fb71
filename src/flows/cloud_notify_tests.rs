use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::domain::class::Class;
use crate::domain::collector::{Collector, Item};
use crate::domain::importance::class;
use crate::domain::redact::Words;
use crate::domain::registration::{DisabledReason, Record, Said};
use crate::domain::secret::Private;
use crate::domain::stanza::Jingle;
use crate::domain::time::Timestamp;

const ALICE: &str = "alice@example.org";

/// How much noise a push makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Noise {
    Nothing,
    Quiet,
    Loud,
}
use Noise::{Loud, Nothing, Quiet};

/// What mod_cloud_notify makes of a stanza in a session's queue: it pushes for anything.
fn theirs(stanza: &Stanza) -> Noise {
    if is_important(stanza) { Loud } else { Quiet }
}

fn ours(stanza: &Stanza) -> Noise {
    match class(stanza, ALICE, false, false) {
        None => Nothing,
        Some(class) if class.is_urgent() => Loud,
        Some(_) => Quiet,
    }
}

fn is_own(stanza: &Stanza) -> bool {
    stanza.carbon == Some(Carbon::Sent) || stanza.sender() == ALICE
}

fn step(stanza: &Stanza) -> Option<JingleStep> {
    stanza.jingle.as_ref().map(|jingle| jingle.step)
}

fn is_over(stanza: &Stanza) -> bool {
    use JingleStep::{Accept, Finish, Proceed, Reject, Retract};
    match step(stanza) {
        Some(Retract | Reject | Finish) => true,
        Some(Proceed | Accept) => is_own(stanza),
        _ => false,
    }
}

/// Where we differ, and why.
struct Difference {
    why: &'static str,
    applies: fn(&Stanza) -> bool,
    ours: Noise,
    /// One of those that it applies to.
    example: fn() -> Stanza,
}

/// The first that applies. Of what a [`Stanza`] cannot show, because reading it already took our side: OMEMO 1 and 2
/// count as encrypted, a message that only transports keys does not; a proposal of any version of XEP-0353 is a call; a
/// room's subject beside a body is a message.
const DIFFERENCES: [Difference; 9] = [
    Difference {
        why: "an error is for the app, not for its user, even if it returns the text",
        applies: |stanza| stanza.kind == Kind::Error,
        ours: Nothing,
        example: || Stanza { kind: Kind::Error, ..body() },
    },
    Difference {
        why: "a call that is over makes no noise, whatever else the message says",
        applies: is_over,
        ours: Quiet,
        example: || Stanza { jingle: jingle(JingleStep::Retract), ..body() },
    },
    Difference {
        why: "other steps of a call are not for a phone that is away, nor is what the account itself proposes",
        applies: |stanza| stanza.jingle.is_some() && (step(stanza) != Some(JingleStep::Propose) || is_own(stanza)),
        ours: Nothing,
        example: || Stanza { jingle: jingle(JingleStep::Ringing), ..Stanza::default() },
    },
    Difference {
        why: "a call rings, even as a headline",
        applies: |stanza| stanza.jingle.is_some() && stanza.kind == Kind::Headline,
        ours: Loud,
        example: || Stanza { kind: Kind::Headline, jingle: jingle(JingleStep::Propose), ..Stanza::default() },
    },
    Difference {
        why: "its sender wants it kept nowhere (XEP-0334), so there is nothing to wake for",
        applies: |stanza| stanza.no_store && stanza.jingle.is_none(),
        ours: Nothing,
        example: || Stanza { no_store: true, ..body() },
    },
    Difference {
        why: "a subscription request waits for an answer",
        applies: |stanza| stanza.kind == Kind::Subscribe,
        ours: Loud,
        example: || Stanza { kind: Kind::Subscribe, ..Stanza::default() },
    },
    Difference {
        why: "the account knows what it wrote itself, also where no carbon says so",
        applies: |stanza| is_own(stanza) && stanza.jingle.is_none(),
        ours: Quiet,
        example: || Stanza { from: Some("alice@example.org/pc".into()), ..body() },
    },
    Difference {
        why: "a correction (XEP-0308) does not alert again, unless rules.corrections says so",
        applies: |stanza| stanza.correction && stanza.jingle.is_none(),
        ours: Quiet,
        example: || Stanza { correction: true, ..body() },
    },
    Difference {
        why: "an invitation into a room is for the user, with a text or without",
        applies: |stanza| stanza.invitation && stanza.kind != Kind::Headline,
        ours: Loud,
        example: || Stanza { invitation: true, ..Stanza::default() },
    },
];

fn body() -> Stanza {
    Stanza { body: Some(Private::new("*")), ..Stanza::default() }
}

fn jingle(step: JingleStep) -> Option<Jingle> {
    Some(Jingle { step, id: "c1".into() })
}

fn message() -> impl Strategy<Value = Stanza> {
    use JingleStep::{Accept, Finish, Other, Proceed, Propose, Reject, Retract, Ringing};
    let kind = prop::sample::select(&[Kind::Chat, Kind::Chat, Kind::Groupchat, Kind::Headline, Kind::Error]);
    let from =
        option::of(prop::sample::select(&["bob@example.org/pc", "alice@example.org/pc", "room@muc.example.org/bob"]));
    let carbon = option::weighted(0.3, prop::sample::select(&[Carbon::Sent, Carbon::Received]));
    let step = prop::sample::select(&[Propose, Ringing, Proceed, Accept, Reject, Retract, Finish, Other]);
    let step = option::weighted(0.3, step);
    let some = || prop::bool::weighted(0.2);
    (kind, from, carbon, step, any::<bool>(), (some(), some(), some(), some(), some())).prop_map(
        |(kind, from, carbon, step, has_body, (encrypted, invitation, correction, displayed, no_store))| Stanza {
            kind,
            from: from.map(Into::into),
            carbon,
            body: has_body.then(|| Private::new("*")),
            encrypted,
            jingle: step.and_then(jingle),
            invitation,
            correction,
            displayed,
            no_store,
            ..Stanza::default()
        },
    )
}

/// Any stanza; only messages carry what messages carry.
fn stanzas() -> impl Strategy<Value = Stanza> {
    let other = prop::sample::select(&[Kind::Subscribe, Kind::Presence, Kind::Iq]);
    prop_oneof![
        9 => message(),
        1 => other.prop_map(|kind| Stanza { kind, from: Some("bob@example.org/pc".into()), ..Stanza::default() }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// Every stanza is worth the same to both, but for the differences of the table.
    #[test]
    fn importance_differs_on_purpose_only(stanza in stanzas()) {
        match DIFFERENCES.iter().find(|difference| (difference.applies)(&stanza)) {
            Some(difference) => prop_assert_eq!(ours(&stanza), difference.ours, "{}", difference.why),
            None => prop_assert_eq!(ours(&stanza), theirs(&stanza)),
        }
    }

    /// The second of collecting: there is a push if they push, and it is a loud one if one of theirs is. (They send two
    /// where both kinds are in it, we one.)
    #[test]
    fn a_burst_is_as_loud_as_the_loudest_of_theirs(stanzas in vec(stanzas(), 0..20), start in 0..10_000_u64) {
        let alike = |stanza: &Stanza| ours(stanza) == theirs(stanza);
        let queue: Vec<Object> =
            (0..).zip(stanzas.into_iter().filter(alike)).map(|(id, stanza)| Object { id, stanza }).collect();
        let mut account = Account::new(5, 16);
        account.bind(1);
        account.enable(1, 7);
        account.hibernate(1, &[], at(start));
        let mut collector = Collector::default();
        for (object, later) in queue.iter().zip(0..) {
            let now = at(start + 49 * later);
            account.collect(1, object, now);
            let class = class(&object.stanza, ALICE, false, false).unwrap();
            let item = Item { key: None, class, words: Words::default(), place: None, ready: Moment::default() };
            collector.add(item, now);
        }
        prop_assert_eq!(account.tick(at(start + 999)), vec![]);
        prop_assert_eq!(collector.take(COLLECTED, at(start + 999)), None);
        let theirs = account.tick(at(start + 1000));
        let ours = collector.take(COLLECTED, at(start + 1000)).map(|burst| burst.class.is_urgent());
        prop_assert_eq!(ours, theirs.iter().map(|push| push.important).reduce(|one, other| one || other));
        let shortened = theirs.iter().any(|push| push.important);
        let window = if shortened { Window::Normal(at(start + 1000)) } else { Window::Stretched(at(start)) };
        prop_assert_eq!(account.window(1), Some(window));
    }

    /// Answers of a service that is reached: both count them alike, up to the same end.
    #[test]
    fn refusals_are_counted_alike(
        answers in vec(prop::sample::select(&[Answered::Result, Answered::Wait, Answered::Refused, Answered::Refused]), 0..60),
        max_errors in 1..8_u32,
    ) {
        let mut record = Record::default();
        let mut errors = Some(0);
        for (secs, answer) in (0..).zip(answers) {
            let said = match answer {
                Answered::Result => Said::Taken,
                Answered::Wait => Said::Later("resource-constraint".into()),
                Answered::Refused => Said::Refused("item-not-found".into()),
            };
            let disabled = record.judge(&said, max_errors, Timestamp::from_secs(secs));
            errors = errors.and_then(|errors| count(errors, answer, max_errors));
            prop_assert_eq!(disabled, errors.is_none().then_some(DisabledReason::Errors));
            let Some(errors) = errors else { break };
            prop_assert_eq!(record.errors, errors);
        }
    }
}

#[test]
fn every_difference_is_one() {
    for (place, difference) in DIFFERENCES.iter().enumerate() {
        let example = (difference.example)();
        let first = DIFFERENCES.iter().position(|other| (other.applies)(&example));
        assert_eq!(first, Some(place), "{}", difference.why);
        assert_ne!(theirs(&example), ours(&example), "{}", difference.why);
    }
    assert_eq!(class(&Stanza { correction: true, ..body() }, ALICE, false, true), Some(Class::Important));
}

fn at(millis: u64) -> Moment {
    Moment::since_start(Duration::from_millis(millis))
}

fn loud(id: u64) -> Object {
    Object { id, stanza: body() }
}

fn quiet(id: u64) -> Object {
    Object { id, stanza: Stanza::default() }
}

fn to(to: Id, important: bool) -> Pushed {
    Pushed { to, important }
}

/// Session 1 enabled registration 10, session 2 registration 20; registration 30 has no session.
fn account() -> Account {
    let mut account = Account::new(5, 16);
    for session in 1..=3 {
        account.bind(session);
        account.enable(session, 10 * session);
    }
    account.end(3);
    account
}

#[test]
fn of_a_batch_the_first_of_each_kind_goes_out() {
    let none = |_| false;
    let rows = [
        (vec![], vec![]),
        (vec![quiet(1), quiet(2)], vec![0]),
        (vec![loud(1), loud(2), loud(3)], vec![0]),
        (vec![quiet(1), loud(2), quiet(3), loud(4)], vec![0, 1]),
    ];
    for (queue, expected) in rows {
        assert_eq!(batch(&queue, none), expected, "{queue:?}");
    }
    assert_eq!(batch(&[loud(1), loud(2), quiet(3)], |id| id != 2), [1]);
}

#[test]
fn each_trigger_has_its_own_addressees() {
    let call = || Object { id: 9, stanza: Stanza { jingle: jingle(JingleStep::Propose), ..Stanza::default() } };
    let all = |important| vec![to(10, important), to(20, important), to(30, important)];
    assert_eq!(account().offline(&loud(1)), all(true));
    assert_eq!(account().archived(&loud(1)), [to(30, true)]);
    assert_eq!(account().archived(&call()), all(true));
    assert_eq!(account().ping(None), all(false));
    assert_eq!(account().ping(Some(20)), [to(20, false)]);
    assert_eq!(account().hibernate(2, &[quiet(1), loud(2), loud(3)], at(0)), [to(20, false), to(20, true)]);
    let mut nobody = account();
    nobody.end(1);
    nobody.end(2);
    assert_eq!(nobody.archived(&loud(1)), [], "left to the offline storage");
    // Twice the same object is one push.
    let mut twice = account();
    assert_eq!((twice.offline(&loud(1)), twice.offline(&loud(1))), (all(true), vec![]));
}

#[test]
fn a_call_in_a_carbon_is_important_but_not_urgent() {
    let call = Stanza { jingle: jingle(JingleStep::Propose), carbon: Some(Carbon::Received), ..Stanza::default() };
    assert!(is_important(&call) && !is_urgent(&call));
    assert!(is_urgent(&Stanza { carbon: None, ..call }));
}

#[test]
fn the_window_is_long_until_the_first_important_push() {
    let mut account = account();
    assert_eq!(account.hibernate(1, &[quiet(1)], at(0)), [to(10, false)]);
    assert_eq!(account.window(1), Some(Window::Stretched(at(0))));
    account.collect(1, &loud(2), at(5000));
    assert_eq!(account.tick(at(5999)), []);
    assert_eq!(account.tick(at(6000)), [to(10, true)]);
    assert_eq!(account.window(1), Some(Window::Normal(at(6000))));
    account.collect(1, &loud(3), at(7000));
    assert_eq!(account.tick(at(9000)), [to(10, true)]);
    assert_eq!(account.window(1), Some(Window::Normal(at(6000))), "once");
    account.resume(1);
    assert_eq!(account.window(1), None);
    account.bind(4);
    account.hibernate(4, &[loud(4)], at(9000));
    assert_eq!(account.window(4), None, "without a registration it is the host's");
}

/// Its defects, which are not to creep into ours.
#[test]
fn copies_push_twice_and_a_resumption_leaves_stale_ones() {
    let mut account = account();
    account.collect(1, &loud(1), at(0));
    assert_eq!(account.tick(at(1000)), [to(10, true)], "the acknowledgement is overdue");
    assert_eq!(account.hibernate(1, &[loud(1)], at(2000)), [to(10, true)], "the same message");
    account.collect(1, &loud(2), at(3000));
    account.resume(1);
    assert_eq!(account.tick(at(9000)), []);
    account.hibernate(1, &[], at(10_000));
    account.collect(1, &quiet(3), at(11_000));
    assert_eq!(account.tick(at(12_000)), [to(10, true), to(10, false)], "what was delivered long ago");
}

#[test]
fn the_least_recently_enabled_makes_room() {
    let mut all = vec![1, 2, 3];
    assert_eq!(enable(&mut all, 1, 3), None);
    assert_eq!(enable(&mut all, 4, 3), Some(2));
    assert_eq!(all, [3, 1, 4]);

    let mut small = Account::new(1, 16);
    small.bind(1);
    small.enable(1, 10);
    small.enable(2, 20);
    assert_eq!(small.registrations(), [20]);
    assert_eq!(small.hibernate(1, &[loud(1)], at(0)), [to(10, true)], "its session does not know");
    small.disable(2, 20);
    assert!(small.registrations().is_empty());
    assert_eq!(small.hibernate(2, &[loud(2)], at(0)), []);
}

#[test]
fn the_sixteenth_error_removes_a_registration_from_its_sessions_too() {
    let mut account = account();
    for _ in 0..15 {
        account.answered(10, Answered::Refused);
        account.answered(10, Answered::Wait);
    }
    account.enable(1, 10);
    assert_eq!(account.registrations(), [20, 30, 10], "enabling again does not reset the count");
    account.answered(10, Answered::Refused);
    assert_eq!(account.registrations(), [20, 30]);
    assert_eq!(account.hibernate(1, &[loud(1)], at(0)), []);
    for _ in 0..3 {
        (0..15).for_each(|_| account.answered(20, Answered::Refused));
        account.answered(20, Answered::Result);
    }
    assert_eq!(account.registrations(), [20, 30]);
}
