//! The schema number, and the steps that bring an older store up to date (`migrations/README.md`).

use std::path::Path;

use super::engine::{Disk, Fault, guarded};
use super::error::StoreError;
use super::frame;

#[path = "../../migrations/m0001_records.rs"]
mod m0001_records;
#[path = "../../migrations/m0002_registrations.rs"]
mod m0002_registrations;
#[path = "../../migrations/m0003_access.rs"]
mod m0003_access;
#[path = "../../migrations/m0004_extensions.rs"]
mod m0004_extensions;
#[path = "../../migrations/m0005_outbox.rs"]
mod m0005_outbox;
#[path = "../../migrations/m0006_admin.rs"]
mod m0006_admin;

const SCHEMA: &[u8] = b"schema";

/// One step: from the schema before it to the one of its number.
pub(super) type Step = fn(&dyn Disk) -> Result<(), Fault>;

/// All steps; the first makes schema 1, and a new store runs them all. Only ever added to.
pub(super) const STEPS: &[Step] = &[
    m0001_records::run,
    m0002_registrations::run,
    m0003_access::run,
    m0004_extensions::run,
    m0005_outbox::run,
    m0006_admin::run,
];

/// Runs the steps that this store has not had. Each is on the disk before its number is, so one that was cut short
/// runs again.
pub(super) fn bring_up(path: &Path, disk: &dyn Disk, steps: &[Step]) -> Result<(), StoreError> {
    let known = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    let found = schema(path, disk)?;
    if found > known {
        return Err(StoreError::Newer { path: path.to_owned(), found, known });
    }
    for (number, step) in (1..).zip(steps).skip_while(|&(number, _)| number <= found) {
        if found > 0 {
            tracing::info!(from = number - 1, to = number, "bringing the store's schema up to date");
        }
        let done = guarded(|| {
            step(disk)?;
            disk.set_meta(SCHEMA, Some(frame::seal(SCHEMA, &number)?))
        });
        done.map_err(|fault| fault.on_read(path))?;
    }
    Ok(())
}

/// The number of steps this store has had; 0 for a new one.
pub(super) fn schema(path: &Path, disk: &dyn Disk) -> Result<u32, StoreError> {
    let corrupt = |what| StoreError::corrupt(path, what);
    let stored = guarded(|| Ok((disk.meta(SCHEMA)?, disk.is_empty()?)));
    let (stored, empty) = stored.map_err(|fault| fault.on_read(path))?;
    match stored {
        Some(stored) => frame::unseal(SCHEMA, &stored).map_err(|damage| corrupt(format!("its schema number {damage}"))),
        // The number is written last, so a first start that was cut short has none; but no device either.
        None if empty && !disk.used() => Ok(0),
        None => Err(corrupt("it is not new, but its schema number is missing".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::device::tests::device;
    use crate::flows::data::Change;
    use crate::store::engine::Writes;
    use crate::store::open::Engine;
    use crate::store::{EngineKind, Store};

    /// Two more than there are.
    const FUTURE: &[Step] = &[
        m0001_records::run,
        m0002_registrations::run,
        m0003_access::run,
        m0004_extensions::run,
        m0005_outbox::run,
        m0006_admin::run,
        next,
        last,
    ];

    fn say(disk: &dyn Disk, step: &str, text: &str) -> Result<(), Fault> {
        disk.set_meta(step.as_bytes(), Some(text.into()))
    }

    fn said(disk: &dyn Disk, step: &str) -> Option<String> {
        disk.meta(step.as_bytes()).unwrap().map(|text| String::from_utf8(text).unwrap())
    }

    fn next(disk: &dyn Disk) -> Result<(), Fault> {
        say(disk, "next", "ran")
    }

    /// Fails the first time, after half of its work.
    fn last(disk: &dyn Disk) -> Result<(), Fault> {
        if disk.meta(b"last")?.is_none() {
            say(disk, "last", "begun")?;
            return Err(Fault::System(std::io::Error::other("the power went")));
        }
        say(disk, "last", "ran")
    }

    /// A new database for each engine.
    fn each(test: impl Fn(&Path, EngineKind, Box<dyn Disk>)) {
        for kind in EngineKind::ALL {
            let folder = tempfile::tempdir().unwrap();
            test(folder.path(), kind, Engine::open(folder.path(), kind).unwrap().disk);
        }
    }

    fn set_schema(disk: &dyn Disk, number: u32) {
        disk.set_meta(SCHEMA, Some(frame::seal(SCHEMA, &number).unwrap())).unwrap();
    }

    #[test]
    fn a_new_store_runs_all_steps_and_has_their_number() {
        each(|path, _, disk| assert_eq!(schema(path, &*disk).unwrap(), 6));
    }

    #[test]
    fn a_store_of_schema_1_keeps_its_devices_and_is_from_then_on_refused_by_who_knows_only_that() {
        each(|path, kind, disk| {
            set_schema(&*disk, 1);
            drop(disk);
            let devices = [Change::Device(Box::new(device()))];
            let store = Store::open(path, kind).unwrap();
            store.commit(&devices).unwrap();
            set_schema(&*store.engine().as_ref().unwrap().disk, 1);
            drop(store);

            let store = Store::open(path, kind).unwrap();
            assert_eq!(store.load().unwrap().map(Result::unwrap).collect::<Vec<_>>(), devices);
            let engine = store.engine();
            let older = bring_up(path, &*engine.as_ref().unwrap().disk, STEPS.get(..1).unwrap()).unwrap_err();
            assert!(matches!(older, StoreError::Newer { found: 6, known: 1, .. }), "{older}");
        });
    }

    #[test]
    fn only_the_steps_it_has_not_had_run_and_one_that_failed_runs_again() {
        each(|path, _, disk| {
            let failed = bring_up(path, &*disk, FUTURE).unwrap_err();
            assert!(matches!(failed, StoreError::Unusable { .. }), "{failed}");
            assert_eq!(schema(path, &*disk).unwrap(), 7, "the step that failed does not count");
            assert_eq!(said(&*disk, "next").as_deref(), Some("ran"));

            disk.set_meta(b"next", None).unwrap();
            bring_up(path, &*disk, FUTURE).unwrap();
            assert_eq!(schema(path, &*disk).unwrap(), 8);
            assert_eq!(said(&*disk, "last").as_deref(), Some("ran"));
            assert_eq!(said(&*disk, "next"), None, "what a store has had does not run again");
        });
    }

    #[test]
    fn a_newer_schema_is_refused() {
        each(|path, kind, disk| {
            set_schema(&*disk, 9);
            drop(disk);
            let refused = Engine::open(path, kind).unwrap_err();
            assert!(matches!(refused, StoreError::Newer { found: 9, known: 6, .. }), "{refused}");
            assert!(refused.to_string().contains("has schema 9, and this pushkeeper knows only up to 6"), "{refused}");
        });
    }

    #[test]
    fn a_schema_number_that_is_damaged_or_lost_is_not_taken_for_a_new_store() {
        each(|path, _, disk| {
            let promises = vec![(b"dnode".to_vec(), Some(b"something".to_vec()))];
            disk.write(Writes { promises, ..Writes::default() }).unwrap();
            disk.set_meta(SCHEMA, Some(b"\x01\x01zzzz".to_vec())).unwrap();
            let damaged = schema(path, &*disk).unwrap_err().to_string();
            assert!(damaged.contains("its schema number does not match its checksum"), "{damaged}");
            disk.set_meta(SCHEMA, None).unwrap();
            let lost = schema(path, &*disk).unwrap_err().to_string();
            assert!(lost.contains("its schema number is missing"), "{lost}");
        });
    }

    #[test]
    fn every_file_of_migrations_is_a_step() {
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap();
        let mut files: Vec<_> = folder.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        files.retain(|name| name.ends_with(".rs"));
        files.sort();
        let numbers: Vec<_> = files.iter().map(|name| name.get(..5).unwrap().to_owned()).collect();
        let expected: Vec<_> = (1..=STEPS.len()).map(|number| format!("m{number:04}")).collect();
        assert_eq!(numbers, expected, "{files:?}");
    }
}
