//! What stands in the way of opening a store, and what the operator reads then.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use pushkeeper::store::{EngineKind, Store, StoreError};

use super::{Other, device, devices, given, put, say};

fn refusal(path: &Path, kind: EngineKind) -> StoreError {
    Store::open(path, kind).unwrap_err()
}

#[test]
fn a_new_store_is_for_its_owner_only() {
    for (kind, file) in [(EngineKind::Sled, "db"), (EngineKind::Redb, "store.redb")] {
        let around = tempfile::tempdir().unwrap();
        let path = around.path().join("data");
        let store = Store::open(&path, kind).unwrap();
        assert_eq!(devices(&store), []);
        for (what, mode) in [("", 0o700), (file, 0o600), ("lock", 0o600)] {
            assert_eq!(fs::metadata(path.join(what)).unwrap().mode() & 0o777, mode, "{what:?}");
        }
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
    for kind in EngineKind::ALL {
        for (path, expected) in &rows {
            let message = refusal(path, kind).to_string();
            // What is wrong with the last is a matter of sled's.
            if kind == EngineKind::Sled || !path.ends_with("odd2") {
                assert!(message.contains(expected), "{}: {message}", path.display());
            }
            assert!(message.contains(path.to_str().unwrap()), "{message}");
        }
    }
    assert_eq!(fs::read_to_string(at("file")).unwrap(), "text");
    assert_eq!(fs::read_dir(at("home")).unwrap().count(), 1);
}

#[test]
fn a_folder_without_the_right_to_write_is_refused() {
    for kind in EngineKind::ALL {
        let around = tempfile::tempdir().unwrap();
        let path = around.path().join("data");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o500)).unwrap();
        let opened = Store::open(&path, kind);
        if fs::metadata(&path).unwrap().uid() == 0 {
            // For root there is no such folder.
            assert!(opened.is_ok());
        } else {
            let message = opened.unwrap_err().to_string();
            assert!(message.contains("cannot lock the store in ") && message.contains("denied"), "{message}");
        }
    }
}

#[test]
fn one_process_has_it_at_a_time() {
    for kind in EngineKind::ALL {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Other::start("store::open::child_holds_the_store", None, folder.path(), kind, 0);
        assert_eq!(child.next("has it").as_deref(), Some(""));
        let pid = child.child.id();
        let refused = refusal(folder.path(), kind);
        assert!(matches!(refused, StoreError::Locked { holder: Some(holder), .. } if holder == pid), "{refused}");
        assert!(refused.to_string().contains(&format!("is in use by process {pid}; stop that one first")), "{refused}");
        child.kill();

        let ours = Store::open(folder.path(), kind).unwrap();
        assert_eq!(devices(&ours), [device("held", 1)]);
        let twice = refusal(folder.path(), kind);
        assert!(matches!(twice, StoreError::Locked { .. }), "{twice}");
    }
}

#[test]
#[ignore = "the child's part of the test above"]
fn child_holds_the_store() {
    let Some((folder, kind, _)) = given() else { return };
    let store = Store::open(&folder, kind).unwrap();
    store.commit(&[put("held", 1)]).unwrap();
    say("has it");
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[test]
fn a_snapshot_that_sled_was_killed_over_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), EngineKind::Sled).unwrap();
    store.commit(&[put("kept", 1)]).unwrap();
    drop(store);
    fs::write(folder.path().join("snap.FFFFFFFFFFFFFFFF.generating"), "half").unwrap();
    assert_eq!(devices(&Store::open(folder.path(), EngineKind::Sled).unwrap()), [device("kept", 1)]);
    assert_eq!(fs::read_to_string(folder.path().join("unfinished-snapshot")).unwrap(), "half");
}

#[test]
fn a_store_of_the_other_engine_is_refused_and_left_alone() {
    for (kind, other) in [(EngineKind::Sled, EngineKind::Redb), (EngineKind::Redb, EngineKind::Sled)] {
        let folder = tempfile::tempdir().unwrap();
        Store::open(folder.path(), kind).unwrap().commit(&[put("kept", 1)]).unwrap();
        let refused = refusal(folder.path(), other).to_string();
        let (path, is, wanted) = (folder.path().display(), kind.name(), other.name());
        assert_eq!(
            refused,
            format!(
                "the store in {path} is one of {is}, and store.engine is \"{wanted}\": set store.engine = \"{is}\", or \
                 move to the other: pushkeeper export with the old setting, then import with the new one and an empty \
                 store.path"
            )
        );
        assert_eq!(devices(&Store::open(folder.path(), kind).unwrap()), [device("kept", 1)]);
    }
}

#[test]
fn a_redb_store_that_was_cut_short_while_it_was_made_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("store.redb.new"), "half of a header").unwrap();
    let store = Store::open(folder.path(), EngineKind::Redb).unwrap();
    store.commit(&[put("kept", 1)]).unwrap();
    assert!(!folder.path().join("store.redb.new").exists());
}
