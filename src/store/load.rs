//! Everything that is stored, one record at a time.

use std::collections::HashMap;
use std::iter::Peekable;
use std::path::{Path, PathBuf};

use super::Store;
use super::error::StoreError;
use super::frame::Damage;
use super::open::{Engine, guarded, on_read};
use super::record::{self, Kind};
use crate::domain::device::History;
use crate::domain::ids::Node;
use crate::flows::data::Change;

impl Store {
    /// Everything, as the changes that bring it back: the apps' credentials, then the devices with their histories.
    /// After a failed commit, what the disk holds, not what was about to be written.
    ///
    /// # Errors
    /// If the store, once suspended, cannot be opened again.
    pub fn load(&self) -> Result<Stored, StoreError> {
        let mut engine = self.engine();
        let opened = match engine.take() {
            Some(opened) => opened,
            None => Engine::open(&self.path)?,
        };
        let engine = engine.insert(opened);
        let records = &engine.records;
        let all =
            |kind: Kind| Scan { records: records.scan_prefix([kind as u8]), path: self.path.clone(), ended: false };
        Ok(Stored {
            credentials: all(Kind::Credentials),
            devices: all(Kind::Device),
            histories: all(Kind::History).peekable(),
            journal: engine.journal.histories(),
        })
    }
}

/// The records of a store. To be used up or dropped before the store can recover from a failed write.
///
/// A damaged record is an error and does not end the iteration, damage of sled's own files does.
pub struct Stored {
    credentials: Scan,
    devices: Scan,
    /// In the order of the devices.
    histories: Peekable<Scan>,
    /// Histories that are newer than those.
    journal: HashMap<Node, History>,
}

impl Iterator for Stored {
    type Item = Result<Change, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(record) = self.credentials.next() {
            return Some(record.and_then(|(key, value)| {
                let (app, credentials) = record::unseal_credentials(&key, &value)
                    .map_err(|damage| corrupt(&self.credentials.path, "the credentials of an app", damage))?;
                Ok(Change::Credentials(app, credentials))
            }));
        }
        let record = self.devices.next()?;
        Some(record.and_then(|(key, value)| {
            let history = self.history(&key);
            let mut device = record::unseal_device(&key, &value)
                .map_err(|damage| corrupt(&self.devices.path, &of_device("the record", &key), damage))?;
            device.history = self.journal.remove(&device.node).map_or(history, Ok)?;
            Ok(Change::Device(Box::new(device)))
        }))
    }
}

impl Stored {
    /// The history of the device under this key. Those of devices before it belong to none: a verdict came after the
    /// device had been forgotten.
    fn history(&mut self, device: &[u8]) -> Result<History, StoreError> {
        let name = device.get(1..).unwrap_or_default();
        loop {
            let found = self.histories.next_if(|record| match record {
                Ok((key, _)) => key.get(1..).unwrap_or_default() <= name,
                Err(_) => true,
            });
            match found.transpose()? {
                None => return Ok(History::default()),
                Some((key, value)) if key.get(1..) == Some(name) => {
                    return record::unseal_history(&key, &value)
                        .map(|(history, _covers)| history)
                        .map_err(|damage| corrupt(&self.devices.path, &of_device("the history", &key), damage));
                }
                Some(_) => {}
            }
        }
    }
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stored({})", self.devices.path.display())
    }
}

/// The raw records of one kind, in the order of their keys.
struct Scan {
    records: sled::Iter,
    path: PathBuf,
    ended: bool,
}

impl Iterator for Scan {
    type Item = Result<(sled::IVec, sled::IVec), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = guarded(|| self.records.next().transpose()).transpose()?;
        self.ended = next.is_err();
        Some(next.map_err(|error| on_read(&self.path, error)))
    }
}

fn corrupt(path: &Path, record: &str, damage: Damage) -> StoreError {
    StoreError::Corrupt { path: path.to_owned(), what: format!("{record} {damage}") }
}

/// Names a device without its node, which is a credential.
fn of_device(record: &str, key: &[u8]) -> String {
    let node = Node::new(String::from_utf8_lossy(key.get(1..).unwrap_or_default()));
    format!("{record} of device {}", node.short())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::app::Credentials;
    use crate::domain::ids::AppName;
    use crate::domain::time::Timestamp;
    use crate::store::record::tests::full;

    #[test]
    fn damaged_records_are_named_and_the_others_still_come() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let credentials =
            Change::Credentials(AppName::new("chat"), Credentials { fingerprint: 7, since: Timestamp::from_secs(9) });
        store.commit(&[Change::Device(Box::new(full())), credentials.clone()]).unwrap();
        for key in ["aapp", "da-node", "hb-node"] {
            store.engine().as_ref().unwrap().records.insert(key, b"\x01junk-junk").unwrap();
        }
        let copy = Kind::Device.key("b-node");
        let b_node = record::seal_device(&copy, &full()).unwrap();
        store.engine().as_ref().unwrap().records.insert(copy, b_node).unwrap();

        let loaded: Vec<_> = store.load().unwrap().collect();
        let expected = [
            Err("the credentials of an app does not match its checksum".to_owned()),
            Ok(credentials),
            Err(format!("the record of device {} does not match its checksum", Node::new("a-node").short())),
            Err(format!("the history of device {} does not match its checksum", Node::new("b-node").short())),
            Ok(Change::Device(Box::new(full()))),
        ];
        assert_eq!(loaded.len(), expected.len());
        for (loaded, expected) in loaded.into_iter().zip(expected) {
            match (loaded, expected) {
                (Err(error), Err(text)) => {
                    let error = error.to_string();
                    assert!(error.contains(&text) && !error.contains("-node"), "{error}");
                }
                (loaded, expected) => assert_eq!(loaded.unwrap(), expected.unwrap()),
            }
        }
    }
}
