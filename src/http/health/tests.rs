use super::*;
use crate::domain::app::Provider;
use crate::domain::ids::{AppName, Domain};
use crate::domain::time::{Moment, Now, Timestamp};
use crate::flows::circuit::{Circuit, Fault};
use crate::flows::data::{AppStatus, HostStatus, Vitals};
use crate::flows::status::Registered;

const NOW: Timestamp = Timestamp::from_secs(1_000_000);

fn host(domain: &str, why: Option<&'static str>) -> HostStatus {
    HostStatus {
        domain: Domain::new(domain),
        link: "",
        linked: why.is_none(),
        why: why.map(Into::into),
        software: None,
        nodes: Vec::new(),
        lag: None,
        orders: 0,
        relays: 0,
        relays_waiting: 0,
    }
}

fn app(name: &str, circuit: Option<Fault>, expires: Option<Timestamp>) -> AppStatus {
    let open = |fault| Circuit {
        fault,
        reason: "InvalidProviderToken".into(),
        opened: Moment::default(),
        next_trial: Moment::default(),
        trial: None,
        trials: 0,
    };
    AppStatus {
        name: AppName::new(name),
        provider: Provider::Apns,
        works: true,
        withdrawn: false,
        expires,
        circuit: circuit.map(open),
        under_way: 0,
        waiting: 0,
        last_verdict: None,
        last_error: None,
    }
}

/// All in order.
pub(in crate::http) fn status() -> Status {
    Status {
        now: Now { wall: NOW, steady: Moment::default() },
        read_only: false,
        hosts: vec![host("a.example", None)],
        apps: vec![app("ios", None, None)],
        registrations: Registered::default(),
        devices: 0,
        gone: 0,
        connected: 0,
        hibernated: 0,
        owed: 0,
        owed_bytes: 0,
        resting: 0,
        waiting: 0,
        lines: 0,
        vitals: Vitals { stream: true, ..Vitals::default() },
    }
}

fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 3600)
}

#[test]
fn what_keeps_us_from_serving_is_a_fault_and_what_only_delays_pushes_is_a_remark() {
    let store = "the store takes no writes: registrations are refused until it does (store.path)";
    let stream = "there is no stream to the XMPP server (component.connect): nothing comes in; the log says why";
    let unlinked = "b.example is not linked: service-unavailable; its users are not woken";
    let kept = "pushes of [apps.ios] are kept: InvalidProviderToken";
    let two = || vec![host("a.example", None), host("b.example", Some("service-unavailable"))];
    let apps = |circuit, expires| vec![app("ios", circuit, expires)];
    let rows: [(&str, Status, &[&str], &[&str]); 10] = [
        ("all is well", status(), &[], &[]),
        ("no host is configured", Status { hosts: Vec::new(), ..status() }, &[], &[]),
        ("the store", Status { read_only: true, ..status() }, &[store], &[]),
        ("one host of two", Status { hosts: two(), ..status() }, &[unlinked], &[]),
        (
            "without a stream no host can be",
            Status { hosts: two(), vitals: Vitals::default(), ..status() },
            &[stream],
            &[],
        ),
        (
            "all at once",
            Status { read_only: true, vitals: Vitals::default(), apps: apps(Some(Fault::Vendor), None), ..status() },
            &[store, stream],
            &[kept],
        ),
        ("a circuit", Status { apps: apps(Some(Fault::Operator), None), ..status() }, &[], &[kept]),
        ("a certificate that is good", Status { apps: apps(None, Some(NOW + days(14))), ..status() }, &[], &[]),
        (
            "one that ends",
            Status { apps: apps(None, Some(NOW + days(13))), ..status() },
            &[],
            &["the certificate of [apps.ios] ends in 13 days"],
        ),
        (
            "one that has ended",
            Status { apps: apps(None, Some(NOW)), ..status() },
            &[],
            &["the certificate of [apps.ios] has ended: its pushes are kept"],
        ),
    ];
    for (what, status, faults, remarks) in rows {
        let report = Report::of(&status);
        assert_eq!(
            (report.faults.as_slice(), report.remarks.as_slice()),
            (owned(faults).as_slice(), owned(remarks).as_slice()),
            "{what}"
        );
        assert_eq!(report.is_ready(), faults.is_empty(), "{what}");
    }
}

fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|&line| line.to_owned()).collect()
}

#[test]
fn each_reason_is_a_line_of_its_own_and_faults_come_first() {
    assert_eq!(Report::default().text(), "ready\n");
    let report = Report { faults: owned(&["one", "two"]), remarks: owned(&["three"]) };
    assert_eq!(report.text(), "not ready\none\ntwo\nthree\n");
    let report = Report { faults: Vec::new(), remarks: owned(&["three"]) };
    assert_eq!(report.text(), "ready\nthree\n");
}

#[test]
fn a_host_that_was_never_asked_has_no_reason() {
    let mut host = host("b.example", Some("x"));
    host.why = None;
    let report = Report::of(&Status { hosts: vec![host], ..status() });
    assert_eq!(report.faults, ["b.example is not linked; its users are not woken"]);
}
