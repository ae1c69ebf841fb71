//! Damage: bytes flipped, files cut short. A store that does not open says so and is left as it is; one that opens
//! holds nothing wrong.

use std::fs::{self, File};
use std::path::Path;

use pushkeeper::domain::time::Timestamp;
use pushkeeper::flows::data::Change;
use pushkeeper::store::{EngineKind, Store, StoreError, snapshots};

use super::put;

/// sled's threads may write, and hold its lock, for a moment after it was closed.
fn wait_until_closed(path: &Path) {
    let db = File::open(path.join("db")).unwrap();
    // Blocks until then, and lets go again at once.
    db.lock().unwrap();
}

#[test]
fn a_damaged_store_of_sled_is_refused_with_what_to_do_and_never_deleted() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 3] = [
        ("a snapshot of noise", |path| fs::write(path.join("snap.FFFFFFFFFFFFFFFF"), [0xA5; 64]).unwrap()),
        ("an empty snapshot", |path| fs::write(path.join("snap.FFFFFFFFFFFFFFFF"), "").unwrap()),
        ("a conf of noise", |path| fs::write(path.join("conf"), "segment_size: many\nabcd").unwrap()),
    ];
    for (what, damage) in damages {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), EngineKind::Sled).unwrap();
        store.commit(&[put("kept", 1)]).unwrap();
        drop(store);
        wait_until_closed(folder.path());
        let before = fs::read(folder.path().join("db")).unwrap();
        damage(folder.path());
        let message = Store::open(folder.path(), EngineKind::Sled).unwrap_err().to_string();
        assert!(message.contains("is damaged: "), "{what}: {message}");
        assert!(
            message.contains("Nothing was deleted. There is no snapshot of it either. Move the folder away"),
            "{what}: {message}"
        );
        assert!(fs::read(folder.path().join("db")).unwrap() == before, "{what}");
    }
}

/// sled ends its recovery at the first message of its log that does not match its checksum, as it must for one that
/// was being written when the power went. So of what was written since the last start, all that lies behind noise is
/// missing, by whole commits. Noise in what is older is found.
#[test]
fn noise_in_the_log_of_sled_brings_back_no_wrong_device_and_no_half_commit() {
    const GROUP: usize = 30;
    let folder = tempfile::tempdir().unwrap();
    let nodes: Vec<_> = (0..300).map(|number| format!("node-{number:03}")).collect();
    let all: Vec<_> = nodes.iter().map(|node| put(node, 1)).collect();
    let store = Store::open(folder.path(), EngineKind::Sled).unwrap();
    for group in all.chunks(GROUP) {
        store.commit(group).unwrap();
    }
    drop(store);

    let young = loads_with_noise(folder.path());
    drop(Store::open(folder.path(), EngineKind::Sled).unwrap());
    let old = loads_with_noise(folder.path());

    for (at, loaded) in young {
        match loaded {
            Ok(changes) => {
                assert_eq!(changes.len() % GROUP, 0, "noise at {at}");
                assert_eq!(changes, all[..changes.len()], "noise at {at}");
            }
            Err(error) => assert!(matches!(error, StoreError::Corrupt { .. }), "noise at {at}: {error}"),
        }
    }
    let mut found = 0;
    for (at, loaded) in old {
        match loaded {
            Ok(changes) => assert_eq!(changes, all, "noise at {at}"),
            Err(error) => {
                assert!(error.to_string().contains("is damaged: sled cannot read a page"), "noise at {at}: {error}");
                found += 1;
            }
        }
    }
    assert!(found > 0);
}

/// What each of 20 copies of a store holds that has 16 bytes of noise somewhere in its log, and where.
fn loads_with_noise(store: &Path) -> Vec<(usize, Result<Vec<Change>, StoreError>)> {
    let whole = fs::read(store.join("db")).unwrap();
    let places = (0..20).map(|part| whole.len() * part / 20);
    let load = places.map(|at| {
        let copy = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(store).unwrap() {
            let (from, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
            let to = copy.path().join(name);
            if from.is_dir() { fs::create_dir(to).unwrap() } else { fs::copy(from, to).map(drop).unwrap() }
        }
        let mut noisy = whole.clone();
        noisy[at..at + 16].iter_mut().for_each(|byte| *byte ^= 0x5A);
        fs::write(copy.path().join("db"), noisy).unwrap();
        (at, Store::open(copy.path(), EngineKind::Sled).and_then(|store| store.load()?.collect()))
    });
    load.collect()
}

/// A store of 10 commits, 30 devices each; what it holds.
fn filled(path: &Path, kind: EngineKind) -> (Store, Vec<Change>) {
    let nodes: Vec<_> = (0..300).map(|number| format!("node-{number:03}")).collect();
    let all: Vec<_> = nodes.iter().map(|node| put(node, 1)).collect();
    let store = Store::open(path, kind).unwrap();
    for group in all.chunks(30) {
        store.commit(group).unwrap();
    }
    (store, all)
}

fn everything(path: &Path, kind: EngineKind) -> Result<Vec<Change>, StoreError> {
    Store::open(path, kind).and_then(|store| store.load()?.collect())
}

#[test]
fn redb_finds_every_flipped_byte_closed_or_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (store, all) = filled(folder.path(), EngineKind::Redb);
    let file = folder.path().join("store.redb");
    // As kill -9 would have left it.
    let killed = fs::read(&file).unwrap();
    drop(store);
    let closed = fs::read(&file).unwrap();
    let used = closed.iter().rposition(|byte| *byte != 0).unwrap();
    for (what, whole) in [("killed", killed), ("closed", closed)] {
        let mut found = 0;
        for at in (0..60).map(|part| 64 + used * part / 60) {
            let copy = tempfile::tempdir().unwrap();
            let mut noisy = whole.clone();
            noisy[at] ^= 0x5A;
            fs::write(copy.path().join("store.redb"), &noisy).unwrap();
            match everything(copy.path(), EngineKind::Redb) {
                // Of pages that are not used any more.
                Ok(changes) => assert_eq!(changes, all, "{what}, byte {at}"),
                Err(error) => {
                    assert!(error.to_string().contains("is damaged: "), "{what}, byte {at}: {error}");
                    found += 1;
                }
            }
        }
        assert!(found > 5, "{what}: {found}");
    }
}

#[test]
fn a_store_whose_file_was_cut_short_is_refused_or_ends_with_a_whole_commit() {
    for (kind, name) in [(EngineKind::Sled, "db"), (EngineKind::Redb, "store.redb")] {
        let folder = tempfile::tempdir().unwrap();
        let (store, all) = filled(folder.path(), kind);
        drop(store);
        if kind == EngineKind::Sled {
            wait_until_closed(folder.path());
        }
        let whole = fs::read(folder.path().join(name)).unwrap();
        for part in 1..12 {
            let copy = tempfile::tempdir().unwrap();
            if kind == EngineKind::Sled {
                fs::copy(folder.path().join("conf"), copy.path().join("conf")).unwrap();
            }
            fs::write(copy.path().join(name), &whole[..whole.len() * part / 12]).unwrap();
            match everything(copy.path(), kind) {
                Ok(changes) => {
                    assert_eq!(kind, EngineKind::Sled, "redb takes {part} twelfths for a store");
                    assert!(changes.len().is_multiple_of(30) && changes == all[..changes.len()], "{part} twelfths");
                }
                Err(error) => assert!(error.to_string().contains("is damaged: "), "{kind:?}, {part}: {error}"),
            }
        }
    }
}

#[test]
fn a_damaged_store_names_its_newest_snapshot_and_how_to_go_back_to_it() {
    let around = tempfile::tempdir().unwrap();
    let path = around.path().join("data");
    let (store, _) = filled(&path, EngineKind::Redb);
    for secs in [1_700_000_000, 1_800_000_000] {
        snapshots::write(&store, Timestamp::from_secs(secs)).unwrap();
    }
    drop(store);
    fs::write(path.join("store.redb"), "noise").unwrap();
    let message = everything(&path, EngineKind::Redb).unwrap_err().to_string();
    let path = path.display();
    let expected = format!(
        "Nothing was deleted. Its latest snapshot is of 2027-01-15 08:00:00 UTC. To go back to it: mv {path} \
         {path}.damaged && pushkeeper import {path}.damaged/snapshots/2027-01-15T08-00-00Z.jsonl, then start pushkeeper; \
         what registered since then has to register again"
    );
    assert!(message.ends_with(&expected), "{message}");
}

/// One bit of redb's header says which of the last two commits counts, and has no checksum: flipped in a file that was
/// not closed, it takes the last commit away. No other does.
#[test]
fn no_byte_of_the_header_of_redb_but_one_takes_anything_away() {
    let folder = tempfile::tempdir().unwrap();
    let (store, all) = filled(folder.path(), EngineKind::Redb);
    let file = folder.path().join("store.redb");
    let killed = fs::read(&file).unwrap();
    drop(store);
    let closed = fs::read(&file).unwrap();
    for (what, whole) in [("killed", killed), ("closed", closed)] {
        for at in (0..320).step_by(9) {
            let copy = tempfile::tempdir().unwrap();
            let mut noisy = whole.clone();
            noisy[at] ^= 1;
            fs::write(copy.path().join("store.redb"), &noisy).unwrap();
            match everything(copy.path(), EngineKind::Redb) {
                Ok(changes) if (what, at) == ("killed", 9) => assert_eq!(changes, all[..270]),
                Ok(changes) => assert_eq!(changes, all, "{what}, byte {at}"),
                Err(error) => assert!(error.to_string().contains("is damaged: "), "{what}, byte {at}: {error}"),
            }
        }
    }
}
