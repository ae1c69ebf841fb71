//! What stands in the way of opening a store, and what the operator reads then.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use pushkeeper::flows::data::Change;
use pushkeeper::store::{Store, StoreError};

use super::{Other, device, devices, given, put, say};

fn refusal(path: &Path) -> StoreError {
    Store::open(path).unwrap_err()
}

/// sled's threads may write, and hold its lock, for a moment after it was closed.
fn wait_until_closed(path: &Path) {
    let db = fs::File::open(path.join("db")).unwrap();
    // Blocks until then, and lets go again at once.
    db.lock().unwrap();
}

#[test]
fn a_new_store_is_for_its_owner_only() {
    let around = tempfile::tempdir().unwrap();
    let path = around.path().join("data");
    let store = Store::open(&path).unwrap();
    assert_eq!(devices(&store), []);
    for (what, mode) in [("", 0o700), ("db", 0o600), ("lock", 0o600)] {
        assert_eq!(fs::metadata(path.join(what)).unwrap().mode() & 0o777, mode, "{what:?}");
    }
}

#[test]
fn a_path_that_cannot_be_a_store_is_refused_and_left_alone() {
    let around = tempfile::tempdir().unwrap();
    let at = |name: &str| around.path().join(name);
    fs::write(at("file"), "text").unwrap();
    fs::create_dir_all(at("home/photos")).unwrap();
    fs::create_dir_all(at("odd/lock")).unwrap();
    fs::create_dir_all(at("odd2/db")).unwrap();
    let rows = [
        (at("file"), "the store needs a folder, and "),
        (at("file/below"), "the store needs a folder, and "),
        (at("no/where"), "does not exist; make that folder, or mend store.path"),
        (at("home"), "holds no store, and is not empty either (there is \"photos\")"),
        (at("odd"), "cannot lock the store in "),
        (at("odd2"), "cannot open the store in "),
        // Nobody may make a folder here, not even root.
        ("/sys/pushkeeper-test".into(), "cannot make the store in /sys/pushkeeper-test: "),
    ];
    for (path, expected) in rows {
        let message = refusal(&path).to_string();
        assert!(message.contains(expected), "{}: {message}", path.display());
        assert!(message.contains(path.to_str().unwrap()), "{message}");
    }
    assert_eq!(fs::read_to_string(at("file")).unwrap(), "text");
    assert_eq!(fs::read_dir(at("home")).unwrap().count(), 1);
}

#[test]
fn a_folder_without_the_right_to_write_is_refused() {
    let around = tempfile::tempdir().unwrap();
    let path = around.path().join("data");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o500)).unwrap();
    let opened = Store::open(&path);
    if fs::metadata(&path).unwrap().uid() == 0 {
        // For root there is no such folder.
        assert!(opened.is_ok());
    } else {
        let message = opened.unwrap_err().to_string();
        assert!(message.contains("cannot lock the store in ") && message.contains("denied"), "{message}");
    }
}

#[test]
fn one_process_has_it_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Other::start("store::open::child_holds_the_store", None, folder.path(), 0);
    assert_eq!(child.next("has it").as_deref(), Some(""));
    let pid = child.child.id();
    let refused = refusal(folder.path());
    assert!(matches!(refused, StoreError::Locked { holder: Some(holder), .. } if holder == pid), "{refused}");
    assert!(refused.to_string().contains(&format!("is in use by process {pid}; stop that one first")), "{refused}");
    child.kill();

    let ours = Store::open(folder.path()).unwrap();
    assert_eq!(devices(&ours), [device("held", 1)]);
    let twice = refusal(folder.path());
    assert!(matches!(twice, StoreError::Locked { .. }), "{twice}");
}

#[test]
#[ignore = "the child's part of the test above"]
fn child_holds_the_store() {
    let Some((folder, _)) = given() else { return };
    let store = Store::open(&folder).unwrap();
    store.commit(&[put("held", 1)]).unwrap();
    say("has it");
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[test]
fn a_snapshot_that_sled_was_killed_over_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    store.commit(&[put("kept", 1)]).unwrap();
    drop(store);
    fs::write(folder.path().join("snap.FFFFFFFFFFFFFFFF.generating"), "half").unwrap();
    assert_eq!(devices(&Store::open(folder.path()).unwrap()), [device("kept", 1)]);
    assert_eq!(fs::read_to_string(folder.path().join("unfinished-snapshot")).unwrap(), "half");
}

#[test]
fn a_damaged_store_is_refused_with_what_to_do_and_never_deleted() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 3] = [
        ("a snapshot of noise", |path| fs::write(path.join("snap.FFFFFFFFFFFFFFFF"), [0xA5; 64]).unwrap()),
        ("an empty snapshot", |path| fs::write(path.join("snap.FFFFFFFFFFFFFFFF"), "").unwrap()),
        ("a conf of noise", |path| fs::write(path.join("conf"), "segment_size: many\nabcd").unwrap()),
    ];
    for (what, damage) in damages {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.commit(&[put("kept", 1)]).unwrap();
        drop(store);
        wait_until_closed(folder.path());
        let before = fs::read(folder.path().join("db")).unwrap();
        damage(folder.path());
        let message = refusal(folder.path()).to_string();
        assert!(message.contains("is damaged: "), "{what}: {message}");
        assert!(message.contains("Nothing was deleted. Stop pushkeeper and copy the folder away"), "{what}: {message}");
        assert!(fs::read(folder.path().join("db")).unwrap() == before, "{what}");
    }
}

/// sled ends its recovery at the first message of its log that does not match its checksum, as it must for one that
/// was being written when the power went. So of what was written since the last start, all that lies behind noise is
/// missing, by whole commits. Noise in what is older is found.
#[test]
fn noise_in_the_log_brings_back_no_wrong_device_and_no_half_commit() {
    const GROUP: usize = 30;
    let folder = tempfile::tempdir().unwrap();
    let nodes: Vec<_> = (0..300).map(|number| format!("node-{number:03}")).collect();
    let all: Vec<_> = nodes.iter().map(|node| put(node, 1)).collect();
    let store = Store::open(folder.path()).unwrap();
    for group in all.chunks(GROUP) {
        store.commit(group).unwrap();
    }
    drop(store);

    let young = loads_with_noise(folder.path());
    drop(Store::open(folder.path()).unwrap());
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
        (at, Store::open(copy.path()).and_then(|store| store.load()?.collect()))
    });
    load.collect()
}
