use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::domain::class::Class;
use crate::domain::device::GoneReason;
use crate::domain::ids::{Account, Domain, Node};
use crate::domain::refusal::{Later, Refusal};
use crate::domain::time::{Moment, Now, Timestamp};
use crate::flows::data::{Objection, Then};
use crate::flows::state::State;
use crate::flows::status::{Status, Vitals};
use crate::flows::world::policy;

fn now() -> Now {
    Now { wall: Timestamp::from_secs(1_000_000), steady: Moment::since_start(Duration::from_millis(2500)) }
}

fn status() -> Status {
    State::new(policy()).status(now())
}

fn page(metrics: &Metrics, status: Option<&Status>) -> String {
    let vitals = Vitals { stream: true, streams: 2, resident: Some(5_000_000), store: Some(9), ..Vitals::default() };
    metrics.page(&Around { now: now(), status, vitals, requests: vec![("operators", "2xx", 3)] })
}

fn apps() -> Vec<AppName> {
    policy().apps.iter().map(|app| app.name.clone()).collect()
}

/// The values of the page, by name and labels.
fn values(page: &str) -> BTreeMap<&str, &str> {
    page.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap()).collect()
}

fn line(account: &str, place: Place, what: Decided) -> Line {
    Line { at: Timestamp::from_secs(0), account: Account::new(account), place, about: None, trail: None, what }
}

fn device(app: &str, what: Decided) -> Line {
    line("romeo@example.org", Place::Device(AppName::new(app), Node::new("n")), what)
}

fn not_accepted(reason: impl Into<crate::domain::outcome::Reason>, then: Then) -> Decided {
    Decided::NotAccepted { reason: reason.into(), took: Duration::from_millis(20), then }
}

#[test]
fn what_happened_is_on_the_page() {
    let metrics = Metrics::new(&apps());
    let accepted = |millis| Decided::Accepted {
        class: Class::Important,
        took: Duration::from_millis(millis),
        waited: Duration::from_millis(millis + 100),
    };
    let app = apps()[0].as_str().to_owned();
    for what in [
        accepted(7),
        accepted(80),
        not_accepted("BadTopic", Then::Again),
        not_accepted("gone", Then::Gone(GoneReason::VendorGone)),
        Decided::Expired(Class::Call),
    ] {
        metrics.noted(&device(&app, what));
    }
    let session = || Place::Session("phone".into());
    for woken in [Some(Duration::from_secs(3)), None] {
        metrics.noted(&line("a@x", session(), Decided::Resumed { woken }));
    }
    metrics.noted(&line(
        "a@x",
        Place::Account,
        Decided::HandedOver { took: Duration::from_millis(30), silent: false, relayed: true },
    ));
    // To a device of our own: its vendor's time is counted for its app.
    metrics.noted(&line(
        "a@x",
        Place::Account,
        Decided::HandedOver { took: Duration::from_secs(30), silent: false, relayed: false },
    ));
    for _ in 0..2 {
        metrics.decided("publish", Duration::from_micros(40));
    }
    metrics.answered(&Answer::Done);
    metrics.answered(&Answer::Refused(Refusal::TryLater(Later::DomainRate)));
    let status = status();
    let page = page(&metrics, Some(&status));
    let values = values(&page);
    let rows = [
        ("pushkeeper_decisions_total{decision=\"accepted\",class=\"important\"}".to_owned(), "2"),
        ("pushkeeper_decisions_total{decision=\"retried\",class=\"none\"}".into(), "1"),
        ("pushkeeper_decisions_total{decision=\"resumed\",class=\"none\"}".into(), "2"),
        ("pushkeeper_inputs_total{input=\"publish\"}".into(), "2"),
        ("pushkeeper_decision_seconds_bucket{input=\"publish\",le=\"0.000025\"}".into(), "0"),
        ("pushkeeper_decision_seconds_bucket{input=\"publish\",le=\"0.00005\"}".into(), "2"),
        ("pushkeeper_decision_seconds_sum{input=\"publish\"}".into(), "0.00008"),
        ("pushkeeper_answers_total{answer=\"done\"}".into(), "1"),
        ("pushkeeper_answers_total{answer=\"domain-rate\"}".into(), "1"),
        (format!("pushkeeper_pushes_total{{app=\"{app}\",outcome=\"accepted\"}}"), "2"),
        (format!("pushkeeper_pushes_total{{app=\"{app}\",outcome=\"gone\"}}"), "1"),
        (format!("pushkeeper_pushes_total{{app=\"{app}\",outcome=\"dropped\"}}"), "0"),
        (format!("pushkeeper_pushes_total{{app=\"{app}\",outcome=\"expired\"}}"), "1"),
        (format!("pushkeeper_vendor_refusals_total{{app=\"{app}\",reason=\"BadTopic\"}}"), "1"),
        (format!("pushkeeper_vendor_refusals_total{{app=\"{app}\",reason=\"gone\"}}"), "1"),
        (format!("pushkeeper_vendor_seconds_count{{app=\"{app}\"}}"), "4"),
        (format!("pushkeeper_vendor_seconds_sum{{app=\"{app}\"}}"), "0.127"),
        (format!("pushkeeper_push_seconds_bucket{{app=\"{app}\",le=\"0.1\"}}"), "0"),
        (format!("pushkeeper_push_seconds_bucket{{app=\"{app}\",le=\"0.25\"}}"), "2"),
        ("pushkeeper_wake_to_resume_seconds_count".into(), "1"),
        ("pushkeeper_wake_to_resume_seconds_sum".into(), "3"),
        ("pushkeeper_relay_seconds_bucket{le=\"0.05\"}".into(), "1"),
        ("pushkeeper_relay_seconds_count".into(), "1"),
        ("pushkeeper_decisions_total{decision=\"handed_over\",class=\"none\"}".into(), "2"),
        ("pushkeeper_http_requests_total{listener=\"operators\",status=\"2xx\"}".into(), "3"),
        ("pushkeeper_streams_total".into(), "2"),
        ("pushkeeper_uptime_seconds".into(), "2.5"),
        ("pushkeeper_resident_memory_bytes".into(), "5000000"),
    ];
    for (name, expected) in rows {
        assert_eq!(values.get(name.as_str()), Some(&expected), "{name}");
    }
    let [publishes, accepted, refused, answered, ..] = metrics.totals();
    assert_eq!([publishes, accepted, refused, answered], [2, 2, 2, 1]);
}

#[test]
fn every_family_is_on_the_page_once_with_its_type() {
    let page = page(&Metrics::new(&apps()), Some(&status()));
    let types: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let expected: BTreeSet<String> =
        ALL.iter().map(|family| format!("{} {}", family.name, family.kind.name())).collect();
    assert_eq!(types.len(), ALL.len());
    assert_eq!(types.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), expected);
    for family in ALL {
        assert!(family.name.starts_with("pushkeeper_") && family.help.ends_with('.'), "{family:?}");
        assert_eq!(family.name.ends_with("_total"), family.kind == Kind::Counter, "{family:?}");
    }
}

#[test]
fn without_the_driver_the_page_has_its_counters_and_says_so() {
    let metrics = Metrics::new(&apps());
    metrics.decided("publish", Duration::from_micros(40));
    let page = page(&metrics, None);
    let values = values(&page);
    assert_eq!(values["pushkeeper_driver_responding"], "0");
    assert_eq!(values["pushkeeper_inputs_total{input=\"publish\"}"], "1");
    assert_eq!(values["pushkeeper_stream_up"], "1");
    assert!(!page.contains("pushkeeper_outbox_pushes"));
}

#[test]
fn whatever_strangers_send_the_page_does_not_grow_and_names_none_of_them() {
    let metrics = Metrics::new(&apps());
    let app = apps()[0].as_str().to_owned();
    let storm = |from: usize, to: usize| {
        for n in from..to {
            let noted = [
                line(
                    "a@x",
                    Place::Account,
                    Decided::Refused(Objection::Domain(Domain::new(format!("evil{n}.example")))),
                ),
                line("a@x", Place::Session(format!("evil{n}").into()), Decided::HasSession(format!("evil{n}").into())),
                line(
                    "a@x",
                    Place::Registration(format!("evil{n}").into(), Node::new("n")),
                    Decided::NotTaken(format!("evil{n}").into()),
                ),
                line(&format!("evil{n}@x"), Place::Account, Decided::Known),
                device(&app, not_accepted(format!("evil{n}"), Then::Dropped)),
                device(&app, not_accepted(format!("HTTP {n}: evil"), Then::Again)),
                device(&format!("evil{n}"), not_accepted("evil", Then::Dropped)),
            ];
            noted.iter().for_each(|line| metrics.noted(line));
            metrics.decided("evil", Duration::from_secs(n as u64));
        }
        page(&metrics, Some(&status()))
    };
    // By then each bounded set has been seen whole.
    let before = storm(0, 1000);
    let after = storm(1000, 11_000);
    let names =
        |page: &str| page.lines().map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(names(&before), names(&after));
    assert!(!after.contains("evil"), "{after}");
    let after = values(&after);
    assert_eq!(after["pushkeeper_pushes_total{app=\"other\",outcome=\"dropped\"}"], "11000");
    let other = format!("pushkeeper_vendor_refusals_total{{app=\"{app}\",reason=\"other\"}}");
    assert!(after[other.as_str()].parse::<u64>().unwrap() >= 11_000);
}

#[test]
fn an_app_that_a_reload_brought_is_counted_once_its_status_was_seen() {
    let metrics = Metrics::new(&[]);
    let app = apps()[0].as_str().to_owned();
    let push = |outcome| metrics.noted(&device(&app, outcome));
    push(Decided::Expired(Class::Call));
    page(&metrics, Some(&status()));
    push(Decided::Expired(Class::Call));
    let page = page(&metrics, None);
    for app in [&app, "other"] {
        assert_eq!(
            values(&page)[format!("pushkeeper_pushes_total{{app=\"{app}\",outcome=\"expired\"}}").as_str()],
            "1"
        );
    }
}

#[test]
fn more_apps_than_there_are_counters_share_those_of_the_others() {
    let names: Vec<AppName> = (0..APPS + 5).map(|n| AppName::new(format!("app-{n}"))).collect();
    let metrics = Metrics::new(&names);
    for name in &names {
        metrics.noted(&device(name.as_str(), Decided::Expired(Class::Call)));
    }
    assert_eq!(metrics.other.outcomes.iter().map(Count::value).sum::<u64>(), 5);
    assert_eq!(metrics.all_apps().count(), APPS + 1);
}

#[test]
#[ignore = "a measurement: cargo test --release --lib -- --ignored --nocapture what_counting_costs"]
#[expect(clippy::disallowed_methods, reason = "measures real time")]
fn what_counting_costs() {
    let metrics = Metrics::new(&apps());
    let app = apps().last().unwrap().as_str().to_owned();
    let took = Duration::from_millis(84);
    let accepted = device(&app, Decided::Accepted { class: Class::Important, took, waited: took });
    let started = std::time::Instant::now();
    let pushes = 5_000_000_u32;
    for _ in 0..pushes {
        metrics.decided("publish", Duration::from_micros(40));
        metrics.noted(std::hint::black_box(&accepted));
        metrics.decided("verdict", Duration::from_micros(30));
        metrics.answered(&Answer::Done);
    }
    println!("{:?} per push", started.elapsed() / pushes);
    let started = std::time::Instant::now();
    let written = page(&metrics, Some(&status()));
    println!("a page of {} bytes, {} lines in {:?}", written.len(), written.lines().count(), started.elapsed());
    assert_eq!(metrics.totals()[1], u64::from(pushes));
}

#[test]
fn the_documentation_has_the_table_of_all_metrics() {
    let rows = ALL.iter().map(|family| {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        format!("| `{}` | {} | {} | {} |\n", family.name, family.kind.name(), labels.join(", "), family.help)
    });
    let table: String = rows.collect();
    let text = include_str!("../../docs/metrics.md");
    assert!(text.contains(&table), "docs/metrics.md must have these lines, in this order:\n{table}");
    let named = text.matches("\n| `pushkeeper_").count();
    assert_eq!(named, ALL.len(), "and no others");
}
