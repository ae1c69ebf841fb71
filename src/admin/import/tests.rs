//! What the tests of all sources have in common: files of real servers in `samples/`, and what is taken of them.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::flows::world;

/// Later than all samples.
pub(super) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// A policy whose host is the one of the samples.
pub(super) fn policy() -> Policy {
    Policy { hosts: vec![Domain::new("b.example"), Domain::new("localhost")], ..world::policy() }
}

/// What is taken of files with this content.
pub(super) fn taken(kind: Kind, domain: Option<&str>, files: &[&[u8]]) -> Result<Taken, String> {
    taken_for(kind, domain, None, files)
}

pub(super) fn taken_for(kind: Kind, domain: Option<&str>, app: Option<&App>, files: &[&[u8]]) -> Result<Taken, String> {
    let folder = TempDir::new().unwrap();
    let paths = (1..).zip(files).map(|(n, file)| {
        let path = folder.path().join(format!("{n}.dat"));
        fs::write(&path, file).unwrap();
        path
    });
    let wanted = Wanted { domain: domain.map(Domain::new), app, policy: &policy(), now: NOW };
    read(kind, &paths.collect::<Vec<_>>(), wanted)
        .map_err(|error| error.to_string().replace(&*folder.path().to_string_lossy(), ""))
}

/// All that is not secret of a registration, and what is, for tests.
pub(super) fn shown(registration: &Registration) -> String {
    let Registration { key, options, resource, client_id, made, .. } = registration;
    let secret = options
        .as_ref()
        .map(|options| options.secret.as_ref().map_or("no secret".into(), crate::domain::secret::Secret::reveal));
    let client = client_id.as_deref().unwrap_or(resource);
    let (node, millis) = (key.node.as_str(), made.millis());
    format!("{} at {} {node:?} of {client:?}, {millis}, {secret:?}", key.account, key.service)
}

impl Taken {
    pub(super) fn shown(&self) -> Vec<String> {
        self.registrations.iter().map(|(_, registration)| shown(registration)).collect()
    }

    /// Line, account and reason of each row that was not taken.
    pub(super) fn skips(&self) -> Vec<String> {
        self.skipped.iter().map(|it| format!("{} {}: {}", it.place.line, it.whose, it.why)).collect()
    }

    pub(super) fn of(kind: Kind, registrations: Vec<(Place, Registration)>, devices: Vec<(Place, Device)>) -> Self {
        let (skipped, warnings) = (Vec::new(), BTreeSet::new());
        Self { kind, registrations, devices, sources: vec!["file".into()], skipped, warnings }
    }
}

#[test]
fn a_domain_is_normalised_or_refused() {
    let rows = [
        ("B.Example", Some("b.example")),
        ("b.example.", Some("b.example")),
        ("", None),
        ("a@b.example", None),
        ("b.example/x", None),
        ("a b", None),
    ];
    for (text, expected) in rows {
        assert_eq!(domain(text), expected.map(Domain::new), "{text:?}");
    }
}

#[test]
fn a_file_of_one_kind_is_none_of_another() {
    let lua = include_bytes!("samples/prosody-internal.dat").as_slice();
    let erlang = include_bytes!("samples/ejabberd-mnesia.txt").as_slice();
    let sql = include_bytes!("samples/ejabberd-sqlite.sql").as_slice();
    let rows = [
        (Kind::CloudNotify, [erlang, sql], "data folder of Prosody"),
        (Kind::CloudNotifySql, [lua, sql], "SQL dump with the table prosody"),
        (Kind::EjabberdSql, [lua, erlang], "SQL dump with the table push_session"),
        (Kind::EjabberdMnesia, [lua, sql], "text dump of Mnesia"),
        (Kind::P2, [erlang, sql], "SQL dump with p2's table target"),
    ];
    for (kind, files, what) in rows {
        for file in files {
            let error = taken(kind, Some("b.example"), &[file]).expect_err(what);
            assert!(error.contains(&format!("1.dat is no {what}")), "{kind:?}: {error}");
        }
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let wanted = Wanted { domain: None, app: None, policy: &policy(), now: NOW };
    for kind in Kind::value_variants() {
        let error = read(*kind, &["/nonexistent/x".into()], wanted.clone()).expect_err("it is not there");
        assert!(error.to_string().starts_with("/nonexistent/x cannot be read: "), "{error}");
    }
}
