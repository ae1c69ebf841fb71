use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::domain::device::GoneReason;
use crate::domain::filter::Filter;
use crate::domain::ids::Domain;
use crate::domain::registration::DisabledReason;

/// One of each.
pub(crate) fn decided() -> Vec<Decided> {
    let took = Duration::from_millis(84);
    let class = Class::Call;
    let reason = || "BadTopic".into();
    let not_accepted = |then| Decided::NotAccepted { reason: reason(), took, then };
    let later = |later| Decided::Refused(Objection::Later(later));
    vec![
        Decided::Pushed { class, stanzas: 1 },
        Decided::Waits { unlinked: true },
        Decided::Waits { unlinked: false },
        Decided::HandedOver { took, silent: false, relayed: true },
        Decided::HandedOver { took, silent: true, relayed: true },
        Decided::NotTaken(reason()),
        Decided::Known,
        Decided::Worthless,
        Decided::Unwanted,
        Decided::Filtered(Filter::Muted),
        Decided::HasSession("phone".into()),
        Decided::Disabled(DisabledReason::Errors),
        Decided::Cancelled,
        Decided::TooManyCalls,
        Decided::Stretched(took),
        Decided::Shortened(took),
        Decided::WokenBeforeEnd,
        Decided::TooMany,
        Decided::Overdue,
        Decided::Resumed { woken: Some(took) },
        Decided::Registration(Registered::Enabled),
        Decided::Registration(Registered::Disabled(DisabledReason::Errors)),
        Decided::Registration(Registered::Revived),
        Decided::Registration(Registered::Gone(GoneReason::Owner)),
        Decided::Refused(Objection::Secret),
        Decided::Refused(Objection::Domain(Domain::new("evil.example"))),
        Decided::Refused(Objection::Client),
        Decided::Refused(Objection::Gone(GoneReason::Owner)),
        later(Later::Vendor),
        later(Later::Operator),
        later(Later::DomainRate),
        later(Later::Full),
        later(Later::Store),
        Decided::Merged(class),
        Decided::Queued(class),
        Decided::Owed(class, Owing::Interval),
        Decided::Owed(class, Owing::Circuit(Fault::Operator, reason())),
        Decided::Owed(class, Owing::Circuit(Fault::Vendor, reason())),
        Decided::Owed(class, Owing::Crowd),
        Decided::Owed(class, Owing::Silence),
        Decided::Accepted { class, took, waited: took },
        Decided::Withheld(class),
        not_accepted(Then::Again),
        not_accepted(Then::Dropped),
        not_accepted(Then::Gone(GoneReason::VendorGone)),
        Decided::Expired(class),
    ]
}

#[test]
fn every_decision_has_its_own_place_under_its_name() {
    let all = decided();
    let places: Vec<usize> = all.iter().map(|what| decision(what).0).collect();
    assert_eq!(places, (0..DECISIONS.len()).collect::<Vec<_>>());
    for what in &all {
        let (at, class) = decision(what);
        assert_eq!(DECISIONS[at], Decision { name: what.name(), classed: class.is_some() }, "{what:?}");
    }
    let names: BTreeSet<&str> = DECISIONS.iter().map(|decision| decision.name).collect();
    assert_eq!(names.len(), DECISIONS.len());
}

#[test]
fn an_outcome_has_the_name_of_its_decision() {
    let outcomes: Vec<(&str, &str)> =
        decided().iter().filter_map(|what| Some((what.name(), OUTCOMES[outcome(what)?]))).collect();
    assert_eq!(outcomes.len(), OUTCOMES.len());
    for (decision, outcome) in outcomes {
        assert_eq!(decision, outcome);
    }
}

#[test]
fn classes_have_their_names() {
    assert_eq!(CLASSES[class(None)], "none");
    for one in [Class::Call, Class::Important, Class::Unimportant, Class::Clear, Class::Ended] {
        assert_eq!(CLASSES[class(Some(one))], one.name());
    }
}

#[test]
fn every_refusal_has_its_own_place_under_its_name() {
    let later = [Later::Vendor, Later::Operator, Later::DomainRate, Later::Full, Later::Store].map(Refusal::TryLater);
    let refusals = [
        Refusal::NoSuchDevice,
        Refusal::NotRegistered,
        Refusal::NoSuchApp,
        Refusal::Forbidden,
        Refusal::BadToken,
        Refusal::TooManyRegistrations,
        Refusal::BadService,
        Refusal::NoSuchEncryption,
        Refusal::BadKey,
        Refusal::HostNotLinked,
    ];
    for (at, refusal) in (FIRST_REFUSAL..).zip(refusals.into_iter().chain(later)) {
        assert_eq!(answer(&Answer::Refused(refusal)), at);
        assert_eq!(ANSWERS[at], refusal.name());
    }
    assert_eq!(ANSWERS[answer(&Answer::Done)], "done");
    assert_eq!(ANSWERS[answer(&Answer::Unregistered { command: "c".into() })], "unregistered");
}

#[test]
fn an_input_is_counted_under_its_name_and_one_without_a_name_here_as_other() {
    for (at, name) in INPUTS.iter().enumerate() {
        assert_eq!(input(name), at, "{name}");
    }
    assert_eq!(INPUTS[input("inner")], "other");
}

#[test]
fn a_vendors_word_is_counted_as_it_is_and_all_others_by_what_they_are_like() {
    assert!(REASONS[..WORDS].is_sorted());
    for word in REASONS {
        assert_eq!(REASONS.iter().filter(|other| **other == word).count(), 1, "{word}");
    }
    let rows = [
        ("BadDeviceToken", "BadDeviceToken"),
        ("UNREGISTERED", "UNREGISTERED"),
        ("gone", "gone"),
        ("HTTP 403", "HTTP 403"),
        ("HTTP 403: BadJwtToken", "HTTP 403"),
        ("HTTP 401, errno 109", "HTTP 401"),
        ("HTTP 307: redirects are not followed", "HTTP 3xx"),
        ("HTTP 418", "HTTP 4xx"),
        ("HTTP 599", "HTTP 5xx"),
        ("HTTP 999", "other"),
        ("HTTP ", "other"),
        ("HTTP éé", "other"),
        ("timeout: no answer in time", "timeout"),
        ("web.push.example: timeout: no answer in time", "timeout"),
        ("cannot reach 127.0.0.1:1: Connection refused", "unreachable"),
        ("the connection was lost before the answer (closed)", "connection lost"),
        ("TLS: certificate not trusted: x; check ca_file", "TLS"),
        ("token endpoint: HTTP 500", "token endpoint"),
        ("stub: operator", "stub"),
        ("BadDeviceToken ", "other"),
        ("other", "other"),
        ("", "other"),
    ];
    for (said, counted) in rows {
        assert_eq!(REASONS[reason(said)], counted, "{said:?}");
    }
}
