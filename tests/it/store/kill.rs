//! kill -9, again and again: what was acknowledged is there, and of every step all or nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use pushkeeper::domain::ids::Node;
use pushkeeper::flows::data::Change;
use pushkeeper::store::{Committer, Store};

use super::{Other, devices, given, put, say};

/// Devices come in pairs that every step writes together.
const PAIRS: u64 = 50;
/// Steps on the way at once.
const AHEAD: usize = 64;

/// What a step leaves of its pair: the generation, or nothing if it forgets it.
fn left(step: u64) -> Option<u32> {
    if step.is_multiple_of(7) { None } else { Some(u32::try_from(step).unwrap()) }
}

fn nodes(pair: u64) -> [String; 2] {
    [format!("a-{pair:02}"), format!("b-{pair:02}")]
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut truth: BTreeMap<u64, Option<u32>> = (0..PAIRS).map(|pair| (pair, None)).collect();
    let mut from = 1;
    let mut acked_in_all = 0;
    for acks in [1, 2, 5, 10, 50, 100, 200, 400, 800, 1600] {
        let mut child = Other::start("store::kill::child_commits", None, folder.path(), from);
        let mut last_acked = BTreeMap::new();
        let mut acked = 0;
        while let Some(step) = child.next("acked ") {
            let step: u64 = step.parse().unwrap();
            last_acked.insert(step % PAIRS, step);
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

        let store = Store::open(folder.path()).unwrap();
        let loaded: BTreeMap<_, _> =
            devices(&store).into_iter().map(|device| (device.node.as_str().to_owned(), device.generation)).collect();
        for (&pair, before) in &mut truth {
            let [a, b] = nodes(pair).map(|node| loaded.get(&node).copied());
            assert_eq!(a, b, "half a step of pair {pair}");
            let first = last_acked.get(&pair).copied();
            let mut possible: Vec<_> =
                (first.unwrap_or(1)..begun).filter(|step| step % PAIRS == pair).map(left).collect();
            if first.is_none() {
                possible.push(*before);
            }
            assert!(possible.contains(&a), "pair {pair} has {a:?}, acknowledged was step {first:?}");
            *before = a;
        }
        from = begun;
    }
    assert!(acked_in_all >= 3168, "{acked_in_all}");
}

#[test]
#[ignore = "the child's part of the test above"]
fn child_commits() {
    let Some((folder, from)) = given() else { return };
    let store = Arc::new(Store::open(&folder).unwrap());
    let (take, give) = sync_channel(AHEAD);
    let done = move |step, result: Result<(), _>| {
        result.unwrap();
        say(&format!("acked {step}"));
        let _ended = give.recv();
    };
    let committer = Committer::start(store, 2 * AHEAD, done).unwrap();
    for step in from.. {
        take.send(()).unwrap();
        let changes = nodes(step % PAIRS).map(|node| match left(step) {
            Some(generation) => put(&node, generation),
            None => Change::Forget(Node::new(node)),
        });
        committer.submit(step, changes.into()).unwrap();
    }
}
