//! `pushkeeper export` and `import`, and the snapshots of a running pushkeeper, as an operator meets them.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use pushkeeper::clock::Clock;
use pushkeeper::domain::time::Timestamp;
use pushkeeper::flows::data::Change;
use pushkeeper::store::{EngineKind, Store, StoreError, snapshots};

use super::{Other, device, devices, put, registration};

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A configuration in a folder of its own, and the store beside it.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new(kind: EngineKind) -> Self {
        let site = Self { folder: tempfile::tempdir().unwrap() };
        site.configure(kind);
        site
    }

    fn configure(&self, kind: EngineKind) {
        let text = format!(
            "[component]\njid = 'push.example.org'\nconnect = '127.0.0.1:1'\nsecret = 's'\n[store]\npath = 'data'\n\
             engine = '{}'\n[apps.chat]\nprovider = 'stub'\n",
            kind.name()
        );
        fs::write(self.at("config.toml"), text).unwrap();
        fs::set_permissions(self.at("config.toml"), Permissions::from_mode(0o600)).unwrap();
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn store(&self, kind: EngineKind) -> Store {
        Store::open(&self.at("data"), kind).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pushkeeper"));
        command.args(arguments).arg("--config").arg(self.at("config.toml")).current_dir(self.folder.path());
        command
    }

    /// What it says on the standard error, and the other one.
    fn run(&self, arguments: &[&str], code: i32) -> (String, String) {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        let (said, out) = (String::from_utf8(stderr).unwrap(), String::from_utf8(stdout).unwrap());
        assert_eq!(status.code(), Some(code), "{said}{out}");
        (said, out)
    }
}

/// A pushkeeper that runs; killed when dropped.
struct Running(Child);

impl Running {
    fn start(site: &Site) -> Self {
        Self(site.command(&["run"]).stderr(Stdio::null()).spawn().unwrap())
    }

    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("sh").args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &pid]).status().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// When the newest snapshot of a store was made, once that is later than `before`.
fn newer_than(store: &Path, before: Option<Timestamp>) -> Option<Timestamp> {
    let clock = Clock::system();
    loop {
        let made = snapshots::newest(store).and_then(|newest| snapshots::made(&newest));
        if made > before {
            return made;
        }
        assert!(clock.steady().uptime() < PATIENCE, "no snapshot that is newer than {before:?}");
        std::thread::yield_now();
    }
}

#[test]
fn export_and_import_move_a_store_from_one_engine_to_the_other() {
    for (from, to) in [(EngineKind::Sled, EngineKind::Redb), (EngineKind::Redb, EngineKind::Sled)] {
        let site = Site::new(from);
        let enabled = Change::Registration(Box::new(registration("n-1", 7)));
        site.store(from).commit(&[put("a", 1), put("b", 2), enabled.clone()]).unwrap();
        assert_eq!(site.run(&["export", "all.jsonl"], 0).0, "exported 2 devices and 1 registrations\n");
        assert_eq!(fs::metadata(site.at("all.jsonl")).unwrap().mode() & 0o777, 0o600);
        let lines = fs::read_to_string(site.at("all.jsonl")).unwrap();
        let (_, out) = site.run(&["export"], 0);
        assert_eq!(out.lines().skip(1).collect::<Vec<_>>(), lines.lines().skip(1).collect::<Vec<_>>());

        site.configure(to);
        let (refused, _) = site.run(&["import", "all.jsonl"], 1);
        assert!(refused.contains(&format!("is one of {}", from.name())), "{refused}");
        fs::rename(site.at("data"), site.at("data.old")).unwrap();
        let of = format!("2 devices and 1 registrations into the store in {}\n", site.at("data").display());
        assert_eq!(site.run(&["import", "--dry-run", "all.jsonl"], 0).0, format!("would import {of}"));
        assert!(!site.at("data").exists());
        assert_eq!(site.run(&["import", "all.jsonl"], 0).0, format!("imported {of}"));
        let loaded: Result<Vec<_>, StoreError> = site.store(to).load().unwrap().collect();
        assert_eq!(loaded.unwrap(), [put("a", 1), put("b", 2), enabled]);
        let (refused, _) = site.run(&["import", "all.jsonl"], 1);
        assert!(refused.contains("is not empty: it holds 2 devices and 1 registrations, and 0 pushes"), "{refused}");
    }
}

#[test]
fn a_store_that_does_not_open_comes_back_from_its_snapshot_as_the_message_says() {
    for (kind, file) in [(EngineKind::Sled, "conf"), (EngineKind::Redb, "store.redb")] {
        let site = Site::new(kind);
        let store = site.store(kind);
        store.commit(&[put("a", 1)]).unwrap();
        snapshots::write(&store, Timestamp::from_secs(1_700_000_000)).unwrap();
        store.commit(&[put("b", 1)]).unwrap();
        drop(store);
        fs::write(site.at("data").join(file), "noise: noise\nnoise").unwrap();
        for command in [&["run"][..], &["export", "all.jsonl"]] {
            let (said, _) = site.run(command, 1);
            assert!(said.contains("is damaged: "), "{said}");
            // What it says to do, done word by word.
            let (_, then) = said.split_once("To go back to it: ").unwrap();
            let (line, _) = then.split_once(", then start").unwrap();
            if command.len() == 1 {
                continue;
            }
            assert!(!site.at("all.jsonl").exists());
            let config = site.at("config.toml");
            let line = line.replace("pushkeeper import", "\"$PUSHKEEPER\" import --config \"$CONFIG\"");
            let mut shell = Command::new("sh");
            let shell =
                shell.args(["-c", &line]).env("PUSHKEEPER", env!("CARGO_BIN_EXE_pushkeeper")).env("CONFIG", config);
            let done = shell.output().unwrap();
            assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
        }
        assert_eq!(devices(&site.store(kind)), [device("a", 1)]);
    }
}

#[test]
fn while_it_runs_the_newest_snapshot_is_exported_and_a_signal_makes_a_newer_one() {
    for kind in EngineKind::ALL {
        let site = Site::new(kind);
        site.store(kind).commit(&[put("a", 1)]).unwrap();
        let mut running = Running::start(&site);
        // There was none, so it writes one at once.
        let first = newer_than(&site.at("data"), None);
        running.signal("USR1");
        let second = newer_than(&site.at("data"), first);
        let (said, _) = site.run(&["export", "all.jsonl"], 0);
        let pid = running.0.id();
        assert!(said.contains(" is in use: exported its newest snapshot, of "), "{said}");
        assert!(said.ends_with(&format!(" UTC; for a newer one: kill -USR1 {pid}, then again\n")), "{said}");
        assert_eq!(snapshots::made(&site.at("all.jsonl")), second);
        let (refused, _) = site.run(&["import", "all.jsonl"], 1);
        assert!(refused.contains(&format!("is in use by process {pid}")), "{refused}");
        let (refused, _) = site.run(&["run"], 1);
        assert!(refused.contains(&format!("is in use by process {pid}; stop that one first")), "{refused}");

        running.signal("TERM");
        assert!(running.0.wait().unwrap().success());
        let made = fs::read_dir(site.at("data/snapshots")).unwrap().count();
        assert!((1..=3).contains(&made), "{made}");
        assert_eq!(site.run(&["export", "all.jsonl"], 0).0, "exported 1 devices and 0 registrations\n");
    }
}

#[test]
fn a_clean_stop_leaves_a_snapshot_of_all() {
    let site = Site::new(EngineKind::Redb);
    let store = site.store(EngineKind::Redb);
    // Of yesterday's.
    let yesterday = Timestamp::from_millis(Clock::system().wall().millis() - 12 * 3600 * 1000);
    snapshots::write(&store, yesterday).unwrap();
    store.commit(&[put("a", 1)]).unwrap();
    drop(store);
    let mut running = Running::start(&site);
    let clock = Clock::system();
    let pid = format!("{}\n", running.0.id());
    while fs::read_to_string(site.at("data/lock")).ok().as_ref() != Some(&pid) {
        assert!(clock.steady().uptime() < PATIENCE, "it does not start");
        std::thread::yield_now();
    }
    // It is listening for signals before it opens the store.
    running.signal("TERM");
    assert!(running.0.wait().unwrap().success());
    let newest = snapshots::newest(&site.at("data")).unwrap();
    assert!(snapshots::made(&newest) > Some(yesterday));
    let lines = fs::read_to_string(newest).unwrap();
    assert!(lines.contains("\"node\":\"a\"") && lines.ends_with("{\"kind\":\"end\",\"records\":2}\n"), "{lines}");
}

#[test]
fn what_cannot_be_exported_is_said_and_leaves_no_file() {
    let site = Site::new(EngineKind::Sled);
    let (said, _) = site.run(&["export", "all.jsonl"], 1);
    assert!(said.contains("there is no store in ") && said.contains("mend store.path"), "{said}");
    assert!(!site.at("data").exists());

    let mut child = Other::start("store::open::child_holds_the_store", None, &site.at("data"), EngineKind::Sled, 0);
    assert_eq!(child.next("has it").as_deref(), Some(""));
    let (said, _) = site.run(&["export", "all.jsonl"], 1);
    assert!(said.contains("is in use by process") && said.contains("It has no snapshot yet either"), "{said}");
    child.kill();

    let (said, _) = site.run(&["export", "no/where.jsonl"], 1);
    assert!(said.contains("cannot write the export: No such file"), "{said}");
    assert!(!site.at("all.jsonl").exists());
    let (said, _) = site.run(&["import", "config.toml"], 1);
    assert!(said.contains("config.toml is no export of pushkeeper") && said.contains("Nothing was imported"), "{said}");
    let (said, _) = site.run(&["import", "nothing.jsonl"], 1);
    assert!(said.contains("nothing.jsonl cannot be read: No such file"), "{said}");
}

#[test]
fn an_import_names_the_apps_that_the_configuration_does_not() {
    let site = Site::new(EngineKind::Redb);
    site.store(EngineKind::Redb).commit(&[put("a", 1)]).unwrap();
    site.run(&["export", "all.jsonl"], 0);
    let other = fs::read_to_string(site.at("config.toml")).unwrap().replace("[apps.chat]", "[apps.other]");
    fs::write(site.at("config.toml"), other).unwrap();
    fs::rename(site.at("data"), site.at("old")).unwrap();
    let (said, _) = site.run(&["import", "all.jsonl"], 0);
    assert!(said.ends_with("; these apps have devices in it and no section in the configuration: chat\n"), "{said}");
}
