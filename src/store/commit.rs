//! One batch of changes, on the disk when it returns.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::error::StoreError;
use super::open::{Engine, guarded};
use super::{Store, record};
use crate::flows::data::Change;

const TRIAL: &[u8] = b"trial";

impl Store {
    /// Makes these changes durable, all or none of them, in their order; those that live in memory only are passed
    /// over. When it returns, they are on the disk: sled's log is flushed and fsynced.
    ///
    /// # Errors
    /// [`StoreError::Write`] if that failed. Then nothing more is written until [`Store::trial`] or [`Store::load`]
    /// opened the store again: until then every commit is refused with [`StoreError::Suspended`]. What failed may or
    /// may not be on the disk; load to know.
    pub fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        let Some(batch) = batch(changes).map_err(|error| self.failed(bug(&error)))? else { return Ok(()) };
        self.write(|engine| {
            engine.devices.apply_batch(batch)?;
            engine.sync()
        })
    }

    /// Tries whether writing works, with a tiny durable write; opens the store again if an earlier write failed.
    ///
    /// # Errors
    /// As [`Store::commit`], and as [`Store::open`] for the part of it that opens the files.
    pub fn trial(&self) -> Result<(), StoreError> {
        {
            let mut engine = self.engine();
            if engine.is_none() {
                *engine = Some(Engine::open(&self.path)?);
            }
        }
        let mark = record::seal(TRIAL, &self.commits()).map_err(|error| self.failed(bug(&error)))?;
        self.write(|engine| {
            engine.meta.insert(TRIAL, mark)?;
            engine.sync()
        })
    }

    fn write(&self, write: impl FnOnce(&Engine) -> sled::Result<()>) -> Result<(), StoreError> {
        let mut engine = self.engine();
        let Some(open) = &*engine else { return Err(StoreError::Suspended { path: self.path.clone() }) };
        match guarded(|| write(open)) {
            Ok(()) => {
                self.commits.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                let broken = engine.take();
                // Closing it flushes once more, or finds out that it cannot.
                let _closed = guarded(|| {
                    drop(broken);
                    Ok(())
                });
                Err(self.failed(error))
            }
        }
    }

    /// As after a failed write.
    #[cfg(test)]
    pub(super) fn break_it(&self) {
        *self.engine() = None;
    }

    fn failed(&self, error: sled::Error) -> StoreError {
        StoreError::Write { path: self.path.clone(), source: Arc::new(error.into()) }
    }
}

/// The changes as sled wants them; `None` if none is for the disk. The last of two for the same device counts.
fn batch(changes: &[Change]) -> Result<Option<sled::Batch>, postcard::Error> {
    let mut batch = sled::Batch::default();
    let mut any = false;
    for change in changes {
        match change {
            Change::Device(device) | Change::History(device) => {
                batch.insert(record::device_key(&device.node), record::encode_device(device)?);
            }
            Change::Forget(node) => batch.remove(record::device_key(node)),
            Change::Memory(_) => continue,
        }
        any = true;
    }
    Ok(any.then_some(batch))
}

fn bug(error: &postcard::Error) -> sled::Error {
    sled::Error::ReportableBug(format!("a record cannot be encoded: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::device::tests::device;
    use crate::domain::device::{Device, History};
    use crate::domain::ids::Node;
    use crate::store::record::tests::full;

    fn loaded(store: &Store) -> Vec<Device> {
        let devices = store.load().unwrap().map(|change| match change.unwrap() {
            Change::Device(device) => *device,
            other => panic!("loaded {other:?}"),
        });
        devices.collect()
    }

    fn put(device: &Device) -> Change {
        Change::Device(Box::new(device.clone()))
    }

    #[test]
    fn what_was_committed_is_there_after_opening_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.commit(&[put(&device()), put(&full())]).unwrap();
        drop(store);
        assert_eq!(loaded(&Store::open(folder.path()).unwrap()), [device(), full()]);
    }

    #[test]
    fn changes_count_in_their_order() {
        let other = Device { generation: 2, ..device() };
        let history = Device { history: History { errors: 3, ..History::default() }, ..device() };
        let forget = || Change::Forget(Node::new("node-1"));
        let rows: [(&str, Vec<Change>, Vec<Device>); 6] = [
            ("the last of two", vec![put(&device()), put(&other)], vec![other.clone()]),
            ("a history", vec![put(&device()), Change::History(Box::new(history.clone()))], vec![history]),
            ("forgotten last", vec![put(&device()), forget()], vec![]),
            ("forgotten first", vec![forget(), put(&device())], vec![device()]),
            ("forgotten, and was never there", vec![Change::Forget(Node::new("node-9"))], vec![]),
            ("nothing", vec![], vec![]),
        ];
        for (what, changes, expected) in rows {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path()).unwrap();
            store.commit(&changes).unwrap();
            assert_eq!(loaded(&store), expected, "{what}");
            // And the same if each is a commit of its own.
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path()).unwrap();
            for change in &changes {
                store.commit(std::slice::from_ref(change)).unwrap();
            }
            assert_eq!(loaded(&store), expected, "{what}, one by one");
        }
    }

    #[test]
    fn only_what_is_for_the_disk_makes_a_commit() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.commit(&[]).unwrap();
        assert_eq!(store.commits(), 0);
        store.commit(&[put(&device()), put(&full())]).unwrap();
        assert_eq!(store.commits(), 1);
    }

    #[test]
    fn a_record_too_large_for_a_page_is_kept_too() {
        let token = "t".repeat(3_000_000);
        let large = Device { token: crate::domain::secret::DeviceToken::new(token), ..device() };
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.commit(&[put(&large), put(&full())]).unwrap();
        drop(store);
        assert!(loaded(&Store::open(folder.path()).unwrap()) == [large, full()]);
    }

    #[test]
    fn after_a_failed_write_nothing_is_written_until_a_trial_succeeds() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.commit(&[put(&device())]).unwrap();
        let failed = store.write(|engine| {
            engine.devices.remove(b"node-1")?;
            panic!("as sled does")
        });
        let failed = failed.unwrap_err();
        assert!(matches!(failed, StoreError::Write { .. }), "{failed}");
        assert!(failed.to_string().contains("sled gave up: as sled does"), "{failed}");

        let refused = store.commit(&[put(&full())]).unwrap_err();
        assert!(matches!(refused, StoreError::Suspended { .. }), "{refused}");
        store.trial().unwrap();
        store.commit(&[put(&full())]).unwrap();
        assert!(loaded(&store).contains(&full()));
    }
}
