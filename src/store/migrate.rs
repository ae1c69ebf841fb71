//! The schema number, and the steps that bring an older store up to date (`migrations/README.md`).

use std::path::Path;

use super::error::StoreError;
use super::frame;
use super::open::{Engine, guarded, on_read};

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

/// The tree of what the store says about itself.
pub(super) const META: &str = "meta";

const SCHEMA: &[u8] = b"schema";

/// One step: from the schema before it to the one of its number.
pub(super) type Step = fn(&sled::Db) -> sled::Result<()>;

/// All steps; the first makes schema 1, and a new store runs them all. Only ever added to.
pub(super) const STEPS: &[Step] =
    &[m0001_records::run, m0002_registrations::run, m0003_access::run, m0004_extensions::run, m0005_outbox::run];

/// Runs the steps that this store has not had. Each is on the disk before its number is, so one that was cut short
/// runs again.
pub(super) fn bring_up(path: &Path, engine: &Engine, steps: &[Step]) -> Result<(), StoreError> {
    let known = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    let found = schema(path, engine)?;
    if found > known {
        return Err(StoreError::Newer { path: path.to_owned(), found, known });
    }
    for (number, step) in (1..).zip(steps).skip_while(|&(number, _)| number <= found) {
        if found > 0 {
            tracing::info!(from = number - 1, to = number, "bringing the store's schema up to date");
        }
        let done = guarded(|| {
            step(engine.db())?;
            engine.sync()?;
            engine.meta.insert(SCHEMA, sealed(number)?)?;
            engine.sync()
        });
        done.map_err(|error| on_read(path, error))?;
    }
    Ok(())
}

/// The number of steps this store has had; 0 for a new one.
fn schema(path: &Path, engine: &Engine) -> Result<u32, StoreError> {
    let corrupt = |what| StoreError::Corrupt { path: path.to_owned(), what };
    let stored = guarded(|| engine.meta.get(SCHEMA)).map_err(|error| on_read(path, error))?;
    match stored {
        Some(stored) => frame::unseal(SCHEMA, &stored).map_err(|damage| corrupt(format!("its schema number {damage}"))),
        // The number is written last, so a first start that was cut short has none; but no device either.
        None if engine.records.is_empty() && !engine.used => Ok(0),
        None => Err(corrupt("it is not new, but its schema number is missing".to_owned())),
    }
}

fn sealed(number: u32) -> sled::Result<Vec<u8>> {
    frame::seal(SCHEMA, &number).map_err(|error| sled::Error::ReportableBug(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::device::tests::device;
    use crate::flows::data::Change;
    use crate::store::Store;

    /// Two more than there are.
    const FUTURE: &[Step] = &[
        m0001_records::run,
        m0002_registrations::run,
        m0003_access::run,
        m0004_extensions::run,
        m0005_outbox::run,
        next,
        last,
    ];

    fn next(db: &sled::Db) -> sled::Result<()> {
        db.open_tree("log")?.insert(b"next", b"ran").map(drop)
    }

    /// Fails the first time, after half of its work.
    fn last(db: &sled::Db) -> sled::Result<()> {
        let log = db.open_tree("log")?;
        if log.insert(b"last", b"begun")?.is_none() {
            return Err(sled::Error::Io(std::io::Error::other("the power went")));
        }
        log.insert(b"last", b"ran").map(drop)
    }

    fn ran(engine: &Engine, step: &str) -> Option<String> {
        let stored = engine.db().open_tree("log").unwrap().get(step).unwrap();
        stored.map(|text| String::from_utf8(text.to_vec()).unwrap())
    }

    #[test]
    fn a_new_store_runs_all_steps_and_has_their_number() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::open(folder.path()).unwrap();
        assert_eq!(schema(folder.path(), &engine).unwrap(), 5);
        assert!(engine.db().tree_names().contains(&"records".into()));
    }

    #[test]
    fn a_store_of_schema_1_keeps_its_devices_and_is_from_then_on_refused_by_who_knows_only_that() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let devices = [Change::Device(Box::new(device()))];
        let store = Store::open(path).unwrap();
        store.commit(&devices).unwrap();
        store.engine().as_ref().unwrap().meta.insert(SCHEMA, sealed(1).unwrap()).unwrap();
        drop(store);

        let store = Store::open(path).unwrap();
        assert_eq!(store.load().unwrap().map(Result::unwrap).collect::<Vec<_>>(), devices);
        let engine = store.engine();
        let older = bring_up(path, engine.as_ref().unwrap(), STEPS.get(..1).unwrap()).unwrap_err();
        assert!(matches!(older, StoreError::Newer { found: 5, known: 1, .. }), "{older}");
    }

    #[test]
    fn only_the_steps_it_has_not_had_run_and_one_that_failed_runs_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let engine = Engine::open(path).unwrap();

        let failed = bring_up(path, &engine, FUTURE).unwrap_err();
        assert!(matches!(failed, StoreError::Unusable { .. }), "{failed}");
        assert_eq!(schema(path, &engine).unwrap(), 6, "the step that failed does not count");
        assert_eq!(ran(&engine, "next").as_deref(), Some("ran"));

        engine.db().open_tree("log").unwrap().remove(b"next").unwrap();
        bring_up(path, &engine, FUTURE).unwrap();
        assert_eq!(schema(path, &engine).unwrap(), 7);
        assert_eq!(ran(&engine, "last").as_deref(), Some("ran"));
        assert_eq!(ran(&engine, "next"), None, "what a store has had does not run again");
    }

    #[test]
    fn a_newer_schema_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let engine = Engine::open(path).unwrap();
        engine.meta.insert(SCHEMA, sealed(9).unwrap()).unwrap();
        drop(engine);
        let refused = Engine::open(path).unwrap_err();
        assert!(matches!(refused, StoreError::Newer { found: 9, known: 5, .. }), "{refused}");
        assert!(refused.to_string().contains("has schema 9, and this pushkeeper knows only up to 5"), "{refused}");
    }

    #[test]
    fn a_schema_number_that_is_damaged_or_lost_is_not_taken_for_a_new_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let engine = Engine::open(path).unwrap();
        engine.records.insert(b"dnode", b"something").unwrap();
        engine.meta.insert(SCHEMA, b"\x01\x01zzzz").unwrap();
        let damaged = schema(path, &engine).unwrap_err().to_string();
        assert!(damaged.contains("its schema number does not match its checksum"), "{damaged}");
        engine.meta.remove(SCHEMA).unwrap();
        let lost = schema(path, &engine).unwrap_err().to_string();
        assert!(lost.contains("its schema number is missing"), "{lost}");
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
