use super::super::tests::policy;
use super::*;
use crate::domain::device::{GoneReason, tests as devices};
use crate::domain::ids::{AppName, DeviceHash};
use crate::domain::registration::Record;

fn place(line: u64) -> Place {
    Place { source: "file".into(), file: "file".into(), line }
}

fn registration(user: &str, node: &str, secs: i64) -> Registration {
    let at = Timestamp::from_secs(secs);
    let key = RegistrationKey {
        account: Account::new(format!("{user}@b.example")),
        service: "p.example.net".into(),
        node: Node::new(node),
    };
    Registration {
        key,
        options: None,
        extensions: None,
        client_id: None,
        resource: "".into(),
        made: at,
        renewed: at,
        status: Status::Enabled,
        record: Record::default(),
    }
}

fn planned(registrations: &[Registration], existing: &Existing, policy: &Policy) -> (Vec<String>, Vec<String>, Report) {
    let registrations = (1..).map(place).zip(registrations.iter().cloned()).collect();
    let Plan { changes, report } = plan(Taken::of(Kind::EjabberdSql, registrations, Vec::new()), existing, policy);
    let of = changes.iter().map(|change| match change {
        Change::Registration(of) => format!("{} {} {}", of.key.account.user(), of.key.node.as_str(), of.renewed.secs()),
        other => format!("{other:?}"),
    });
    let skipped = report.skipped.iter().map(|it| format!("{}: {}", it.place.line, it.why)).collect();
    (of.collect(), skipped, report)
}

#[test]
fn of_two_of_the_same_the_newer_counts_and_of_too_many_the_newest() {
    let mut policy = policy();
    policy.rules.max_devices = 2;
    let all = [
        registration("alice", "n1", 10),
        registration("alice", "n1", 30),
        registration("alice", "n2", 20),
        registration("alice", "n3", 40),
        registration("bob", "n1", 5),
    ];
    let (taken, skipped, report) = planned(&all, &Existing::default(), &policy);
    assert_eq!(taken, ["alice n1 30", "alice n3 40", "bob n1 5"]);
    assert_eq!(skipped, [format!("1: {}", Skip::Duplicate), format!("3: {}", Skip::TooMany)]);
    assert_eq!(report.registrations, [("file".into(), (3, 2))].into());
}

#[test]
fn what_the_store_has_stays_unless_it_is_older() {
    let mut policy = policy();
    policy.rules.max_devices = 3;
    let mut existing = Existing::default();
    let gone =
        |secs| Status::Gone(crate::domain::device::Gone { at: Timestamp::from_secs(secs), why: GoneReason::Owner });
    for known in [
        registration("alice", "newer", 50),
        registration("alice", "older", 10),
        Registration { status: gone(50), ..registration("alice", "gone", 10) },
        Registration { status: gone(15), ..registration("alice", "back", 10) },
    ] {
        existing.note(&Change::Registration(Box::new(known)));
    }
    let all = [
        registration("alice", "newer", 40),
        registration("alice", "older", 20),
        registration("alice", "gone", 40),
        registration("alice", "back", 30),
        registration("alice", "more", 25),
    ];
    let (taken, skipped, _) = planned(&all, &existing, &policy);
    assert_eq!(taken, ["alice back 30", "alice older 20"]);
    let known = Skip::Known;
    assert_eq!(skipped, [format!("1: {known}"), format!("3: {known}"), format!("5: {}", Skip::TooMany)]);
}

#[test]
fn domains_and_devices_that_nobody_serves_are_warned_of() {
    let mut policy = policy();
    policy.hosts.clear();
    let ours = |node: &str| {
        let mut ours = registration("alice", node, 10);
        ours.key.service = "push.example.org".into();
        ours
    };
    let mut existing = Existing::default();
    existing.note(&Change::Device(Box::new(devices::device())));
    let (_, _, report) = planned(&[ours("node-1"), ours("lost")], &existing, &policy);
    let expected = [
        "b.example is in no [[hosts]] section: its accounts get no pushes from here before it is in one",
        "1 registrations are with push.example.org, which is us, for devices that are not registered here",
    ];
    assert_eq!(report.warnings, expected);
}

fn device(node: &str, device: &str, domain: &str) -> Device {
    let key = DeviceKey { app: AppName::new("android"), account: DeviceHash::of("x", device), channel: None };
    let owner = Account::new(format!("{}@{domain}", key.account.hex()));
    let domain = Domain::new(domain);
    Device { node: Node::new(node), key, owner, permitted: [domain].into(), ..devices::device() }
}

#[test]
fn devices_are_taken_once_and_are_whose_registration_names_them() {
    let policy = policy();
    let mut existing = Existing::default();
    existing.note(&Change::Device(Box::new(device("known", "d1", "b.example"))));
    let mut of_alice = registration("alice", "n1", 10);
    of_alice.key.service = policy.own.as_str().into();
    existing.note(&Change::Registration(Box::new(of_alice)));
    let all = [
        device("known", "d2", "b.example"),
        device("n0", "d1", "b.example"),
        device("n1", "d3", "b.example"),
        device("n1", "d4", "b.example"),
        device("n2", "d3", "b.example"),
        device("n3", "d5", "b.example"),
    ];
    let all = (1..).map(place).zip(all).collect();
    let Plan { changes, report } = plan(Taken::of(Kind::P2, Vec::new(), all), &existing, &policy);
    let of = |change: &Change| match change {
        Change::Device(device) => format!("{} {}", device.node.as_str(), device.owner),
        other => format!("{other:?}"),
    };
    let unknown = format!("n3 {}@b.example", DeviceHash::of("x", "d5").hex());
    assert_eq!(changes.iter().map(of).collect::<Vec<_>>(), ["n1 alice@b.example", &unknown]);
    let skipped: Vec<_> = report.skipped.iter().map(|it| (it.place.line, it.why)).collect();
    let (known, twice) = (Skip::Known, Skip::Duplicate);
    assert_eq!(skipped, [(1, known), (2, known), (4, twice), (5, twice)]);
    assert_eq!(report.devices, [("file".into(), 2)].into());
}
