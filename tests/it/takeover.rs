//! `pushkeeper import --from …` as an operator meets it: what it takes, what it says, and what it leaves alone.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use pushkeeper::domain::ids::Node;
use pushkeeper::domain::registration::Registration;
use pushkeeper::flows::data::Change;
use pushkeeper::store::{EngineKind, Store};

const DUMP: &str = "CREATE TABLE push_session (username text, timestamp bigint, service text, node text, xml text);\n\
    INSERT INTO push_session VALUES('alice',1700000000000000,'p.example.net','node-1','');\n\
    INSERT INTO push_session VALUES('alice',1700000001000000,'','node-2','');\n\
    INSERT INTO push_session VALUES('bob',1700000002000000,'p.example.net','node-3','<x xmlns=''jabber:x:data''>\
    <field var=''secret''><value>s3cret</value></field></x>');\n";

struct Site {
    folder: tempfile::TempDir,
    kind: EngineKind,
}

impl Site {
    fn new(kind: EngineKind) -> Self {
        let site = Self { folder: tempfile::tempdir().unwrap(), kind };
        let text = format!(
            "[component]\njid = 'push.example.org'\nconnect = '127.0.0.1:1'\nsecret = 's'\n[store]\npath = 'data'\n\
             engine = '{}'\n[[hosts]]\ndomain = 'b.example'\n[apps.chat]\nprovider = 'stub'\n",
            kind.name()
        );
        site.write("config.toml", &text);
        fs::set_permissions(site.at("config.toml"), Permissions::from_mode(0o600)).unwrap();
        site.write("dump.sql", DUMP);
        site
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.at(name), text).unwrap();
    }

    /// What it says; it must end with this code, and never show what is nobody's business.
    fn import(&self, arguments: &[&str], code: i32) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pushkeeper"));
        command.arg("import").args(arguments).arg("--config").arg(self.at("config.toml"));
        let Output { status, stdout, stderr } = command.current_dir(self.folder.path()).output().unwrap();
        let said = String::from_utf8([stderr, stdout].concat()).unwrap();
        assert_eq!(status.code(), Some(code), "{said}");
        for secret in ["node-1", "node-2", "node-3", "s3cret"] {
            assert!(!said.contains(secret), "{said}");
        }
        said.replace(&*self.at("").to_string_lossy(), "")
    }

    /// The nodes in the store, and when they were last enabled.
    fn nodes(&self) -> Vec<(Node, i64)> {
        let store = Store::open(&self.at("data"), self.kind).unwrap();
        let node = |change| match change {
            Change::Registration(of) => {
                let Registration { key, renewed, .. } = *of;
                Some((key.node, renewed.millis() / 1000))
            }
            _ => None,
        };
        let mut nodes: Vec<_> = store.load().unwrap().map(Result::unwrap).filter_map(node).collect();
        nodes.sort();
        nodes
    }
}

#[test]
fn a_dump_fills_an_empty_store_and_only_with_merge_another_one() {
    for kind in EngineKind::ALL {
        let site = Site::new(kind);
        let from = ["--from", "ejabberd-sql", "--domain", "b.example", "dump.sql"];
        let came = "0 devices and 2 registrations into the store in data\ndump.sql: 2 registrations of 2 accounts\n\
                    skipped 1: names no push service (dump.sql line 3, alice@b.example)\n";
        assert_eq!(site.import(&[&from[..], &["--dry-run"]].concat(), 0), format!("would import {came}"));
        assert!(!site.at("data").exists());
        assert_eq!(site.import(&from, 0), format!("imported {came}"));
        let first = [(Node::new("node-1"), 1_700_000_000), (Node::new("node-3"), 1_700_000_002)];
        assert_eq!(site.nodes(), first);
        let refused = site.import(&from, 1);
        assert!(refused.contains("is not empty: it holds 0 devices and 2 registrations"), "{refused}");

        // alice has enabled again meanwhile, and carol is new; bob is as he was.
        let newer = DUMP.replace("'alice',1700000000", "'alice',1700000009");
        let newer = newer.replace("'alice',1700000001000000,''", "'carol',1700000001000000,'p.example.net'");
        site.write("newer.sql", &newer);
        let merge = ["--from", "ejabberd-sql", "--domain", "b.example", "--merge", "newer.sql"];
        let came = "0 devices and 2 registrations into the store in data\nnewer.sql: 2 registrations of 2 accounts\n\
                    skipped 1: is in the store already, and not older there (newer.sql line 4, bob@b.example)\n";
        assert_eq!(site.import(&[&merge[..], &["--dry-run"]].concat(), 0), format!("would import {came}"));
        assert_eq!(site.nodes(), first);
        assert_eq!(site.import(&merge, 0), format!("imported {came}"));
        let both = [("node-1", 1_700_000_009), ("node-2", 1_700_000_001), ("node-3", 1_700_000_002)];
        assert_eq!(site.nodes(), both.map(|(node, at)| (Node::new(node), at)));
    }
}

#[test]
fn merge_into_a_store_that_is_not_there_fills_it() {
    let site = Site::new(EngineKind::Redb);
    site.import(&["--from", "ejabberd-sql", "--domain", "b.example", "--merge", "dump.sql"], 0);
    assert_eq!(site.nodes().len(), 2);
}

#[test]
fn what_cannot_be_done_is_said_and_nothing_is_written() {
    let site = Site::new(EngineKind::Redb);
    site.write("broken.sql", DUMP.trim_end_matches(|c| c != 'x'));
    let rows: [(&[&str], &str); 8] = [
        (&["--from", "ejabberd-sql", "dump.sql"], "dump.sql does not say of which domain its accounts are"),
        (&["--from", "ejabberd-mnesia", "dump.sql"], "dump.sql is no text dump of Mnesia with the table push_session"),
        (&["--from", "ejabberd-sql", "--domain", "b.example", "broken.sql"], "broken.sql is cut short: it ends within"),
        (&["--from", "p2", "--app", "nobody", "dump.sql"], "--app \"nobody\" has no section [apps.NAME]"),
        (&["--from", "ejabberd-sql", "--domain", "a b", "dump.sql"], "--domain \"a b\" is no domain"),
        (
            &["--from", "ejabberd-sql", "--domain", "b.example", "dump.sql", "none.sql"],
            "none.sql cannot be read: No such file",
        ),
        (&["--from", "cloud-notify", "."], ". is no data folder of Prosody"),
        (&["dump.sql", "dump.sql"], "an export is one file"),
    ];
    for (arguments, expected) in rows {
        let said = site.import(arguments, 1);
        assert!(said.contains(expected) && said.contains("Nothing was imported"), "{arguments:?}: {said}");
        assert!(!site.at("data").exists(), "{arguments:?}");
    }
    for arguments in [&["--from", "carrier-pigeon", "dump.sql"][..], &["--merge", "dump.sql"], &["--from", "p2"]] {
        site.import(arguments, 2);
    }
}
