//! Everything that is stored, one record at a time.

use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::open::{Engine, guarded, on_read};
use super::{Store, record};
use crate::domain::ids::Node;
use crate::flows::data::Change;

impl Store {
    /// Every device, as the change that brings it back; in the order of their nodes. After a failed commit, what the
    /// disk holds, not what was about to be written.
    ///
    /// # Errors
    /// If the store, once suspended, cannot be opened again.
    pub fn load(&self) -> Result<Devices, StoreError> {
        let mut engine = self.engine();
        let opened = match engine.take() {
            Some(opened) => opened,
            None => Engine::open(&self.path)?,
        };
        let devices = engine.insert(opened).devices.iter();
        Ok(Devices { devices, path: self.path.clone(), ended: false })
    }
}

/// The devices of a store. To be used up or dropped before the store can recover from a failed write.
pub struct Devices {
    devices: sled::Iter,
    path: PathBuf,
    ended: bool,
}

impl Iterator for Devices {
    type Item = Result<Change, StoreError>;

    /// The next device, or what is wrong with it. A damaged record does not end the iteration, damage of sled's own
    /// files does.
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match guarded(|| self.devices.next().transpose()) {
            Ok(None) => None,
            Ok(Some((key, value))) => Some(change(&self.path, &key, &value)),
            Err(error) => {
                self.ended = true;
                Some(Err(on_read(&self.path, error)))
            }
        }
    }
}

impl std::fmt::Debug for Devices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Devices({})", self.path.display())
    }
}

fn change(path: &Path, key: &[u8], value: &[u8]) -> Result<Change, StoreError> {
    match record::decode_device(key, value) {
        Ok(device) => Ok(Change::Device(Box::new(device))),
        Err(damage) => {
            // The node itself is a credential.
            let device = Node::new(String::from_utf8_lossy(key)).short();
            let what = format!("the record of device {device} {damage}");
            Err(StoreError::Corrupt { path: path.to_owned(), what })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::tests::full;

    #[test]
    fn a_damaged_record_is_named_and_the_others_still_come() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.commit(&[Change::Device(Box::new(full()))]).unwrap();
        store.engine().as_ref().unwrap().devices.insert(b"a-node", b"\x01junk-junk").unwrap();

        let loaded: Vec<_> = store.load().unwrap().collect();
        assert_eq!(loaded.len(), 2);
        let damage = loaded[0].as_ref().unwrap_err().to_string();
        let short = Node::new("a-node").short();
        assert!(damage.contains(&format!("the record of device {short} does not match its checksum")), "{damage}");
        assert!(!damage.contains("a-node"), "{damage}");
        assert_eq!(loaded[1].as_ref().unwrap(), &Change::Device(Box::new(full())));
    }
}
