//! kill -9, again and again: what was acknowledged is there, and of every step all or nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use pushkeeper::domain::ids::Node;
use pushkeeper::domain::registration::Record;
use pushkeeper::flows::data::Change;
use pushkeeper::store::{Committer, EngineKind, Store};

use super::{Other, given, put, registration, say};

/// What is stored comes in groups that every step writes together: two devices, a registration, and what became of its
/// pushes.
const GROUPS: u64 = 50;
/// Steps on the way at once.
const AHEAD: usize = 64;

/// What a step leaves of its group: the generation, or nothing if it forgets it.
fn left(step: u64) -> Option<u32> {
    if step.is_multiple_of(7) { None } else { Some(u32::try_from(step).unwrap()) }
}

fn nodes(group: u64) -> [String; 2] {
    [format!("a-{group:02}"), format!("b-{group:02}")]
}

/// The changes of a step.
fn changes(step: u64) -> Vec<Change> {
    let [a, b] = nodes(step % GROUPS);
    let key = registration(&format!("c-{:02}", step % GROUPS), 0).key;
    match left(step) {
        Some(generation) => {
            let record = Record { errors: generation, ..Record::default() };
            let enabled = Change::Registration(Box::new(registration(key.node.as_str(), generation)));
            vec![put(&a, generation), enabled, put(&b, generation), Change::Record(key, Box::new(record))]
        }
        None => vec![Change::Forget(Node::new(a)), Change::ForgetRegistration(key), Change::Forget(Node::new(b))],
    }
}

/// The generation of everything that is stored: of devices and registrations by their nodes, of what became of their
/// pushes by theirs with `p-` before it.
fn generations(store: &Store) -> BTreeMap<String, u32> {
    let generation = |change| match change {
        Change::Device(device) => (device.node.as_str().to_owned(), device.generation),
        Change::Registration(registration) => {
            let generation = u32::try_from(registration.renewed.secs()).unwrap();
            (registration.key.node.as_str().to_owned(), generation)
        }
        Change::Record(key, record) => (format!("p-{}", key.node.as_str()), record.errors),
        other => panic!("loaded {other:?}"),
    };
    store.load().unwrap().map(|change| generation(change.unwrap())).collect()
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    EngineKind::ALL.into_iter().for_each(kill_again_and_again);
}

fn kill_again_and_again(kind: EngineKind) {
    let folder = tempfile::tempdir().unwrap();
    let mut truth: BTreeMap<u64, Option<u32>> = (0..GROUPS).map(|group| (group, None)).collect();
    let mut from = 1;
    let mut acked_in_all = 0;
    for acks in [1, 2, 5, 10, 50, 100, 200, 400, 800, 1600] {
        let mut child = Other::start("store::kill::child_commits", None, folder.path(), kind, from);
        let mut last_acked = BTreeMap::new();
        let mut acked = 0;
        while let Some(step) = child.next("acked ") {
            let step: u64 = step.parse().unwrap();
            last_acked.insert(step % GROUPS, step);
            acked += 1;
            from = step + 1;
            // What it had said before it died is read to the end: that was acknowledged too.
            if acked == acks {
                child.kill();
            }
        }
        assert!(acked >= acks, "the child ended by itself after {acked} of {acks}");
        acked_in_all += acked;
        let begun = from + 2 * AHEAD as u64;

        let store = Store::open(folder.path(), kind).unwrap();
        let loaded = generations(&store);
        for (&group, before) in &mut truth {
            let [a, b] = nodes(group);
            let all = [a, b, format!("c-{group:02}"), format!("p-c-{group:02}")].map(|name| loaded.get(&name).copied());
            let [a, ..] = all;
            assert_eq!(all, [a; 4], "half a step of group {group}");
            let first = last_acked.get(&group).copied();
            let mut possible: Vec<_> =
                (first.unwrap_or(1)..begun).filter(|step| step % GROUPS == group).map(left).collect();
            if first.is_none() {
                possible.push(*before);
            }
            assert!(possible.contains(&a), "group {group} has {a:?}, acknowledged was step {first:?}");
            *before = a;
        }
        from = begun;
    }
    assert!(acked_in_all >= 3168, "{acked_in_all}");
}

#[test]
#[ignore = "the child's part of the test above"]
fn child_commits() {
    let Some((folder, kind, from)) = given() else { return };
    let store = Arc::new(Store::open(&folder, kind).unwrap());
    let (take, give) = sync_channel(AHEAD);
    let done = move |step, result: Result<(), _>| {
        result.unwrap();
        say(&format!("acked {step}"));
        let _ended = give.recv();
    };
    let committer = Committer::start(store, 2 * AHEAD, done).unwrap();
    for step in from.. {
        take.send(()).unwrap();
        committer.submit(step, changes(step)).unwrap();
    }
}
