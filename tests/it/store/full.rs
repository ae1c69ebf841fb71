//! A full disk. The limit on the size of a file stands in for it: it needs no rights, and can be lifted from outside.

use std::process::Command;

use pushkeeper::store::{EngineKind, Store, StoreError};

use super::{Other, device, devices, given, put, say};

/// 4 MB or 8 MB, by the shell's idea of a block. Without the trap the kernel would end the process.
const NARROW: &str = "trap '' XFSZ; ulimit -S -f 8192; exec \"$0\" \"$@\"";

#[test]
fn a_full_disk_stops_the_writing_and_room_mends_it() {
    EngineKind::ALL.into_iter().for_each(fill_and_mend);
}

fn fill_and_mend(kind: EngineKind) {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Other::start("store::full::child_fills_the_disk", Some(NARROW), folder.path(), kind, 0);
    let failed = child.next("failed ").unwrap();
    assert!(failed.contains("could not be written: ") && failed.contains("is the disk full"), "{failed}");
    assert_eq!(child.next("then ").as_deref(), Some("Suspended"));

    let pid = child.child.id().to_string();
    let lifted = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status().unwrap();
    assert!(lifted.success(), "{lifted}");
    child.tell("there is room");
    assert_eq!(child.next("recovered ").as_deref(), Some("all"));
    assert!(child.child.wait().unwrap().success());
    assert!(devices(&Store::open(folder.path(), kind).unwrap()).contains(&device("after", 1)));
}

#[test]
#[ignore = "the child's part of the test above"]
fn child_fills_the_disk() {
    let Some((folder, kind, _)) = given() else { return };
    let store = Store::open(&folder, kind).unwrap();
    let mut acked = Vec::new();
    let error = loop {
        let number = acked.len();
        let group: Vec<_> = (0..100).map(|i| device(&format!("node-{number:04}-{i:02}"), 1)).collect();
        let changes: Vec<_> = group.iter().map(|device| put(device.node.as_str(), 1)).collect();
        match store.commit(&changes) {
            Ok(()) => acked.push(group),
            Err(error) => break error,
        }
        assert!(number < 10_000, "the disk was never full");
    };
    say(&format!("failed {error}"));
    match store.commit(&[put("meanwhile", 1)]) {
        Err(StoreError::Suspended { .. }) => say("then Suspended"),
        other => say(&format!("then {other:?}")),
    }
    std::io::stdin().read_line(&mut String::new()).unwrap();

    store.trial().unwrap();
    let loaded = devices(&store);
    assert!(loaded.iter().all(|device| device.node.as_str() != "meanwhile"));
    for device in acked.iter().flatten() {
        assert!(loaded.binary_search_by(|other| other.node.cmp(&device.node)).is_ok(), "lost {:?}", device.node);
    }
    store.commit(&[put("after", 1)]).unwrap();
    say("recovered all");
}
