//! Everything that is stored, one record at a time.

mod parallel;

use std::collections::HashMap;
use std::iter::Peekable;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Store;
use super::engine::{self, Raw, guarded};
use super::error::StoreError;
use super::frame::Damage;
use super::open::Engine;
use super::record::{self, Kind};
use crate::domain::device::History;
use crate::domain::ids::Node;
use crate::domain::registration::RegistrationKey;
use crate::flows::data::Change;

impl Store {
    /// Everything, as the changes that bring it back: the apps' credentials, then the devices with their histories,
    /// then what is owed to them, then the registrations, each followed by what became of its pushes.
    /// After a failed commit, what the disk holds, not what was about to be written.
    ///
    /// # Errors
    /// If the store, once suspended, cannot be opened again.
    pub fn load(&self) -> Result<Stored, StoreError> {
        self.load_on(NonZero::<usize>::MIN)
    }

    /// The same, with so many threads that read devices, if more than one: for a start, which has nothing else to do.
    ///
    /// # Errors
    /// As [`load`](Self::load); or if the system gives no threads.
    pub fn load_on(&self, threads: NonZero<usize>) -> Result<Stored, StoreError> {
        let mut engine = self.engine();
        let opened = match engine.take() {
            Some(opened) => opened,
            None => Engine::open(&self.path, self.kind)?,
        };
        let engine = engine.insert(opened);
        let disk = &engine.disk;
        let scan = |records| Scan { records, path: self.path.clone(), ended: false };
        let all = |kind: Kind| scan(disk.scan(kind as u8));
        let journal = Arc::new(engine.journal.histories());
        let devices = |devices, histories: Scan| Devices {
            devices,
            histories: histories.peekable(),
            journal: journal.clone(),
            before: record::Before::default(),
        };
        let part = |kind: Kind, first: u8| {
            let kind = kind as u8;
            let from = if first == 0 { vec![kind] } else { vec![kind, first] };
            let before = first.checked_add(1).map_or(vec![kind + 1], |next| vec![kind, next]);
            scan(disk.range(&from, &before))
        };
        let devices: Box<dyn Iterator<Item = Loaded> + Send> = match threads.get() {
            1 => Box::new(devices(all(Kind::Device), all(Kind::History))),
            threads => {
                // By the first byte of their nodes: those that are random begin with any of 64 letters.
                let parts = (0..=u8::MAX).map(|first| devices(part(Kind::Device, first), part(Kind::History, first)));
                Box::new(parallel::in_order(parts, threads, &self.path)?)
            }
        };
        Ok(Stored {
            credentials: all(Kind::Credentials),
            devices,
            owed: all(Kind::Owed),
            registrations: all(Kind::Registration),
            pushes: all(Kind::Pushes).peekable(),
            next: None,
        })
    }
}

/// A change, or what is wrong with its record.
type Loaded = Result<Change, StoreError>;

/// The records of a store. To be used up or dropped before the store can recover from a failed write.
///
/// A damaged record is an error and does not end the iteration, damage of the engine's own files does.
pub struct Stored {
    credentials: Scan,
    devices: Box<dyn Iterator<Item = Loaded> + Send>,
    owed: Scan,
    registrations: Scan,
    /// In the order of the registrations.
    pushes: Peekable<Scan>,
    /// What follows the registration that was just given.
    next: Option<Loaded>,
}

impl Iterator for Stored {
    type Item = Loaded;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(record) = self.credentials.next() {
            return Some(record.and_then(|(key, value)| {
                let (app, credentials) = record::unseal_credentials(&key, &value)
                    .map_err(|damage| corrupt(&self.credentials.path, "the credentials of an app", damage))?;
                Ok(Change::Credentials(app, credentials))
            }));
        }
        if let Some(device) = self.devices.next() {
            return Some(device);
        }
        if let Some(record) = self.owed.next() {
            return Some(record.and_then(|(key, value)| {
                let owed = record::unseal_owed(&key, &value)
                    .map_err(|damage| corrupt(&self.owed.path, &of_device("what is owed", &key), damage))?;
                Ok(Change::Owe(Box::new(owed)))
            }));
        }
        if let Some(next) = self.next.take() {
            return Some(next);
        }
        let record = self.registrations.next()?;
        Some(record.and_then(|(key, value)| {
            let path = &self.registrations.path;
            let registration = record::unseal_registration(&key, &value)
                .map_err(|damage| corrupt(path, &of_registration("the record", &key), damage))?;
            // A registration stands without what became of its pushes.
            self.next = self.pushes(&key, &registration.key).transpose();
            Ok(Change::Registration(Box::new(registration)))
        }))
    }
}

impl Stored {
    /// What became of the pushes of the registration under this key. Those before it belong to none that can be read.
    fn pushes(&mut self, registration: &[u8], name: &RegistrationKey) -> Result<Option<Change>, StoreError> {
        let Some((key, value)) = of_same_name(&mut self.pushes, registration)? else { return Ok(None) };
        let record = record::unseal_pushes(&key, &value).map_err(|damage| {
            corrupt(&self.registrations.path, &of_registration("what became of the pushes", &key), damage)
        })?;
        Ok(Some(Change::Record(name.clone(), Box::new(record))))
    }
}

/// Devices, each with its history.
struct Devices {
    devices: Scan,
    /// In the order of the devices.
    histories: Peekable<Scan>,
    /// Histories that are newer than those.
    journal: Arc<HashMap<Node, History>>,
    before: record::Before,
}

impl Iterator for Devices {
    type Item = Loaded;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.devices.next()?;
        Some(record.and_then(|(key, value)| {
            let history = self.history(&key);
            let mut device = record::unseal_device(&key, &value, &mut self.before)
                .map_err(|damage| corrupt(&self.devices.path, &of_device("the record", &key), damage))?;
            device.history = self.journal.get(&device.node).cloned().map_or(history, Ok)?;
            Ok(Change::Device(Box::new(device)))
        }))
    }
}

impl Devices {
    /// The history of the device under this key. Those of devices before it belong to none: a verdict came after the
    /// device had been forgotten.
    fn history(&mut self, device: &[u8]) -> Result<History, StoreError> {
        let Some((key, value)) = of_same_name(&mut self.histories, device)? else { return Ok(History::default()) };
        record::unseal_history(&key, &value)
            .map(|(history, _covers)| history)
            .map_err(|damage| corrupt(&self.devices.path, &of_device("the history", &key), damage))
    }
}

/// The record that has the same name as this key, which is of another kind. Both kinds come in the same order, and
/// what comes before has the name of nobody.
fn of_same_name(records: &mut Peekable<Scan>, key: &[u8]) -> Result<Option<Raw>, StoreError> {
    let name = key.get(1..).unwrap_or_default();
    loop {
        let found = records.next_if(|record| match record {
            Ok((key, _)) => key.get(1..).unwrap_or_default() <= name,
            Err(_) => true,
        });
        match found.transpose()? {
            None => return Ok(None),
            Some(record) if record.0.get(1..) == Some(name) => return Ok(Some(record)),
            Some(_) => {}
        }
    }
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stored({})", self.owed.path.display())
    }
}

/// The raw records of one kind, in the order of their keys.
struct Scan {
    records: engine::Scan,
    path: PathBuf,
    ended: bool,
}

impl Iterator for Scan {
    type Item = Result<Raw, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = guarded(|| self.records.next().transpose()).transpose();
        // sled looks for more each time that it is asked, which takes as long as reading a record.
        let Some(next) = next else {
            self.ended = true;
            return None;
        };
        self.ended = next.is_err();
        Some(next.map_err(|fault| fault.on_read(&self.path)))
    }
}

fn corrupt(path: &Path, record: &str, damage: Damage) -> StoreError {
    StoreError::corrupt(path, format!("{record} {damage}"))
}

/// Names a device without its node, which is a credential.
fn of_device(record: &str, key: &[u8]) -> String {
    let node = Node::new(String::from_utf8_lossy(key.get(1..).unwrap_or_default()));
    format!("{record} of device {}", node.short())
}

/// Names a registration, its node by a hash.
fn of_registration(record: &str, key: &[u8]) -> String {
    match record::registration_name(key) {
        Ok(name) => format!("{record} of registration {name:?}"),
        Err(_) => format!("{record} of a registration"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::app::Credentials;
    use crate::domain::class::Class;
    use crate::domain::device::Device;
    use crate::domain::ids::{AppName, Domain};
    use crate::domain::registration::Registration;
    use crate::domain::registration::tests::registration;
    use crate::domain::time::Timestamp;
    use crate::flows::data::{LaneKind, Load, Owed};
    use crate::store::EngineKind;
    use crate::store::record::registrations_tests as registrations;
    use crate::store::record::tests::full;

    /// Each either comes as it is, or is complained of in these words.
    fn check(loaded: Vec<Result<Change, StoreError>>, expected: Vec<Result<Change, String>>) {
        assert_eq!(loaded.len(), expected.len(), "{loaded:?}");
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

    #[test]
    fn damaged_records_are_named_and_the_others_still_come() {
        for kind in EngineKind::ALL {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path(), kind).unwrap();
            let credentials = Change::Credentials(
                AppName::new("chat"),
                Credentials { fingerprint: 7, since: Timestamp::from_secs(9) },
            );
            store.commit(&[Change::Device(Box::new(full())), credentials.clone()]).unwrap();
            for key in ["aapp", "da-node", "hb-node"] {
                store.put(key, "\x01junk-junk");
            }
            let copy = Kind::Device.key("b-node");
            let b_node = record::seal_device(&copy, &full()).unwrap();
            store.put(copy, b_node);

            let loaded: Vec<_> = store.load().unwrap().collect();
            let expected = [
                Err("the credentials of an app does not match its checksum".to_owned()),
                Ok(credentials),
                Err(format!("the record of device {} does not match its checksum", Node::new("a-node").short())),
                Err(format!("the history of device {} does not match its checksum", Node::new("b-node").short())),
                Ok(Change::Device(Box::new(full()))),
            ];
            check(loaded, expected.into());
        }
    }

    #[test]
    fn damaged_registrations_are_named_and_the_others_still_come() {
        for kind in EngineKind::ALL {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path(), kind).unwrap();
            let named = |node: &str| {
                let key = RegistrationKey { node: Node::new(node), ..registration().key };
                let registration = Change::Registration(Box::new(Registration { key: key.clone(), ..registration() }));
                (registration, Change::Record(key, Box::new(registrations::pushes())))
            };
            let ((a, a_pushes), (b, b_pushes), (c, c_pushes)) = (named("a-node"), named("b-node"), named("c-node"));
            store.commit(&[a, a_pushes, b.clone(), b_pushes, c.clone(), c_pushes.clone()]).unwrap();
            let alice = "alice@example.org\0push.third.example\0";
            // The last two belong to nobody.
            let junk =
                [format!("r{alice}a-node"), format!("p{alice}b-node"), format!("p{alice}aa-node"), "p".to_owned()];
            for key in [junk.as_slice(), &["r-node".to_owned()]].concat() {
                store.put(key, "\x01junk-junk");
            }

            let shown = |node: &str| format!("alice@example.org at push.third.example ({:?})", Node::new(node));
            let expected = vec![
                Err("the record of a registration does not match its checksum".to_owned()),
                Err(format!("the record of registration {} does not match its checksum", shown("a-node"))),
                Ok(b),
                Err(format!("what became of the pushes of registration {} does not match", shown("b-node"))),
                Ok(c),
                Ok(c_pushes),
            ];
            check(store.load().unwrap().collect(), expected);
        }
    }

    #[test]
    fn several_threads_load_the_same_in_the_same_order() {
        for kind in EngineKind::ALL {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path(), kind).unwrap();
            // The bytes that keys can begin with, an empty node among them, and two that begin alike.
            let nodes = ["", "\0", "-a", "-b", "0", "A", "Z9", "_", "zz", "\u{7f}", "é", "\u{10ffff}"];
            let devices = nodes.map(|node| Device { node: Node::new(node), ..full() });
            let load = Load {
                class: Class::Call,
                content: Arc::default(),
                published: Timestamp::from_secs(1),
                from: Domain::new("example.org"),
                expires: Timestamp::from_secs(2),
                until: None,
            };
            let owed = Owed { node: Node::new("zz"), kind: LaneKind::Calls, load };
            let mut changes: Vec<_> = devices.into_iter().map(|device| Change::Device(Box::new(device))).collect();
            changes.push(Change::Owe(Box::new(owed)));
            store.commit(&changes).unwrap();
            for key in ["d-damaged", "h-b"] {
                store.put(key, "\x01junk-junk");
            }
            let loaded = |threads: usize| -> Vec<_> {
                let loaded = store.load_on(NonZero::new(threads).unwrap()).unwrap();
                loaded.map(|change| change.map_err(|error| error.to_string())).collect()
            };
            let alone = loaded(1);
            assert_eq!((alone.len(), alone.iter().filter(|it| it.is_err()).count()), (14, 2));
            for threads in 2..=4 {
                assert_eq!(loaded(threads), alone, "{threads} threads, {kind:?}");
            }
        }
    }
}
