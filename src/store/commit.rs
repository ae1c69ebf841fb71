//! One batch of changes, on the disk when it returns.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use super::Store;
use super::engine::{Fault, Writes, guarded};
use super::error::StoreError;
use super::frame;
use super::open::Engine;
use super::record::{self, Kind};
use super::registrations::Registrations;
use crate::domain::device::{Fact, History};
use crate::domain::ids::Node;
use crate::flows::data::Change;

const TRIAL: &[u8] = b"trial";

impl Store {
    /// Makes these changes durable, all or none of them, in their order; those that live in memory only are passed
    /// over. When it returns, they are on the disk, fsynced.
    ///
    /// # Errors
    /// [`StoreError::Write`] if that failed. Then nothing more is written until [`Store::trial`] or [`Store::load`]
    /// opened the store again: until then every commit is refused with [`StoreError::Suspended`]. What failed may or
    /// may not be on the disk; load to know.
    pub fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        if changes.iter().all(|change| matches!(change, Change::Memory(_))) {
            return Ok(());
        }
        self.write(|engine| {
            let mut all = writes(engine, changes)?;
            all.folded = engine.journal.fold()?;
            engine.disk.write(all)
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
                *engine = Some(Engine::open(&self.path, self.kind)?);
            }
        }
        self.write(|engine| engine.disk.set_meta(TRIAL, Some(frame::seal(TRIAL, &self.commits())?)))
    }

    pub(super) fn write(&self, write: impl FnOnce(&mut Engine) -> Result<(), Fault>) -> Result<(), StoreError> {
        let mut engine = self.engine();
        let Some(open) = &mut *engine else { return Err(StoreError::Suspended { path: self.path.clone() }) };
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
                Err(error.on_write(&self.path))
            }
        }
    }

    /// As after a failed write.
    #[cfg(test)]
    pub(super) fn break_it(&self) {
        *self.engine() = None;
    }
}

/// What there is to write for these changes. Of two changes of the same record, the last counts.
fn writes(engine: &mut Engine, changes: &[Change]) -> Result<Writes, Fault> {
    let disk = &*engine.disk;
    let mut promises = Vec::new();
    // The histories of those devices that are written themselves; `None` if they are forgotten.
    let mut histories: HashMap<&Node, Option<History>> = HashMap::new();
    let mut lines: Vec<&Fact> = Vec::new();
    let mut registrations = Registrations::default();
    for change in changes {
        match change {
            Change::Device(device) => {
                let key = Kind::Device.key(device.node.as_str());
                let record = record::seal_device(&key, device)?;
                promises.push((key, Some(record)));
                histories.insert(&device.node, Some(device.history.clone()));
            }
            Change::Fact(fact) => match histories.get_mut(&fact.node) {
                Some(Some(history)) => history.note(fact),
                // Of nobody.
                Some(None) => {}
                None => {
                    engine.journal.note(disk, fact)?;
                    lines.push(fact);
                }
            },
            Change::Credentials(app, credentials) => {
                let key = Kind::Credentials.key(app.as_str());
                let record = record::seal_credentials(&key, *credentials)?;
                promises.push((key, Some(record)));
            }
            Change::Forget(node) => {
                promises.push((Kind::Device.key(node.as_str()), None));
                histories.insert(node, None);
            }
            Change::Owe(owed) => {
                let key = record::owed_key(&owed.node, owed.kind);
                let record = record::seal_owed(&key, &owed.load)?;
                promises.push((key, Some(record)));
            }
            Change::Settle(node, kind) => promises.push((record::owed_key(node, *kind), None)),
            Change::Registration(registration) => registrations.put(registration),
            Change::Record(key, record) => registrations.note(key, record),
            Change::ForgetRegistration(key) => registrations.forget(key),
            Change::Memory(_) => {}
        }
    }
    let mut facts = engine.journal.append(&lines)?;
    let (kept, became) = registrations.writes(disk)?;
    promises.extend(kept);
    facts.extend(became);
    for (node, history) in histories {
        let key = Kind::History.key(node.as_str());
        let journaled = engine.journal.history(node).is_some();
        let covers = engine.journal.supersede(node);
        // sled logs the removal of what is not there, too.
        let there = disk.has(&key)?;
        match history {
            // Lines of the journal that are still there must not come back.
            Some(history) if history != History::default() || journaled || (there && !engine.journal.is_empty()) => {
                let record = record::seal_history(&key, &history, covers)?;
                promises.push((key, Some(record)));
            }
            _ if there => promises.push((key, None)),
            _ => {}
        }
    }
    Ok(Writes { facts, promises, folded: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::app::Credentials;
    use crate::domain::device::tests::device;
    use crate::domain::device::{Device, Said};
    use crate::domain::ids::AppName;
    use crate::domain::registration::tests::registration;
    use crate::domain::registration::{Record, Registration};
    use crate::domain::secret::DeviceToken;
    use crate::domain::time::Timestamp;
    use crate::store::EngineKind;
    use crate::store::record::registrations_tests as registrations;
    use crate::store::record::tests::full;

    fn loaded(store: &Store) -> Vec<Change> {
        store.load().unwrap().map(Result::unwrap).collect()
    }

    fn put(device: &Device) -> Change {
        Change::Device(Box::new(device.clone()))
    }

    fn fact(secs: i64, said: Said) -> Change {
        let at = Timestamp::from_secs(secs);
        Change::Fact(Fact { node: Node::new("node-1"), published: at, at, said })
    }

    fn enable() -> Change {
        Change::Registration(Box::new(registration()))
    }

    fn renewed() -> Change {
        Change::Registration(Box::new(Registration { renewed: Timestamp::from_secs(9000), ..registration() }))
    }

    fn became(errors: u32) -> Change {
        Change::Record(registration().key, Box::new(Record { errors, ..registrations::pushes() }))
    }

    fn disable() -> Change {
        Change::ForgetRegistration(registration().key)
    }

    #[test]
    fn what_was_committed_is_there_after_opening_again() {
        for kind in EngineKind::ALL {
            let credentials = |fingerprint| {
                Change::Credentials(AppName::new("chat"), Credentials { fingerprint, since: Timestamp::from_secs(5) })
            };
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path(), kind).unwrap();
            store.commit(&[enable(), put(&device()), credentials(1), put(&full()), became(7), credentials(2)]).unwrap();
            drop(store);
            let expected = [credentials(2), put(&device()), put(&full()), enable(), became(7)];
            assert_eq!(loaded(&Store::open(folder.path(), kind).unwrap()), expected);
        }
    }

    #[test]
    fn changes_count_in_their_order() {
        for kind in EngineKind::ALL {
            let at = Timestamp::from_secs;
            let with = |history| vec![put(&Device { history, ..device() })];
            let other = Device { generation: 2, ..device() };
            let worn = Device { history: History { errors: 3, doubted: true, ..History::default() }, ..device() };
            let forget = || Change::Forget(Node::new("node-1"));
            let failed = |secs| fact(secs, Said::Failed("503".into()));
            let accepted = || fact(30, Said::Accepted);
            let bad = |errors| History {
                last_publish: Some(at(20)),
                last_error: Some("503".into()),
                errors,
                errors_since: Some(at(10)),
                ..History::default()
            };
            let good = History { last_publish: Some(at(30)), last_accepted: Some(at(30)), ..History::default() };
            let rows: [(&str, Vec<Change>, Vec<Change>); 20] = [
                ("the last of two", vec![put(&device()), put(&other)], vec![put(&other)]),
                ("facts add up", vec![put(&device()), failed(10), failed(20)], with(bad(2))),
                ("an acceptance ends a row", vec![put(&worn), failed(20), accepted()], with(good.clone())),
                ("a failure after it", vec![put(&worn), accepted(), failed(40)], {
                    let since = Some(at(40));
                    let history = History { last_publish: since, errors_since: since, ..bad(1) };
                    with(History { last_accepted: Some(at(30)), ..history })
                }),
                (
                    "a registration brings its own history",
                    vec![put(&device()), accepted(), put(&worn)],
                    vec![put(&worn)],
                ),
                ("or none", vec![put(&worn), put(&device())], vec![put(&device())]),
                ("forgotten last", vec![put(&worn), forget()], vec![]),
                ("forgotten first", vec![put(&worn), forget(), put(&device())], vec![put(&device())]),
                ("forgotten, and was never there", vec![Change::Forget(Node::new("node-9"))], vec![]),
                ("a fact of nobody", vec![accepted(), put(&full())], vec![put(&full())]),
                ("a registration", vec![enable()], vec![enable()]),
                ("the last registration of two", vec![enable(), renewed()], vec![renewed()]),
                (
                    "the last of what became of its pushes",
                    vec![enable(), became(1), became(2)],
                    vec![enable(), became(2)],
                ),
                ("enabled again, it keeps that", vec![enable(), became(1), renewed()], vec![renewed(), became(1)]),
                ("disabled, it goes with all", vec![enable(), became(1), disable()], vec![]),
                (
                    "enabled anew, it begins anew",
                    vec![enable(), became(1), disable(), became(2), enable()],
                    vec![enable()],
                ),
                ("and goes on", vec![enable(), became(1), disable(), enable(), became(3)], vec![enable(), became(3)]),
                ("what became of nobody's pushes", vec![became(1), enable(), disable(), disable()], vec![]),
                (
                    "after the devices, and each with its own",
                    vec![
                        became(1),
                        enable(),
                        Change::Registration(Box::new(registrations::full())),
                        became(2),
                        put(&device()),
                    ],
                    vec![put(&device()), enable(), became(2), Change::Registration(Box::new(registrations::full()))],
                ),
                ("nothing", vec![], vec![]),
            ];
            for (what, changes, expected) in rows {
                let folder = tempfile::tempdir().unwrap();
                let store = Store::open(folder.path(), kind).unwrap();
                store.commit(&changes).unwrap();
                assert_eq!(loaded(&store), expected, "{what}");
                // And the same if each is a commit of its own.
                let folder = tempfile::tempdir().unwrap();
                let store = Store::open(folder.path(), kind).unwrap();
                for change in &changes {
                    store.commit(std::slice::from_ref(change)).unwrap();
                }
                assert_eq!(loaded(&store), expected, "{what}, one by one");
            }
        }
    }

    #[test]
    fn what_became_of_pushes_is_written_once_a_commit() {
        for kind in EngineKind::ALL {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path(), kind).unwrap();
            store.commit(&[enable()]).unwrap();
            let changes: Vec<_> = (0..1000).map(became).collect();
            let mut engine = store.engine();
            let Writes { promises, facts, .. } = writes(engine.as_mut().unwrap(), &changes).unwrap();
            assert_eq!((promises.len(), facts.len()), (0, 1));
            let last = record::unseal_pushes(&facts[0].0, &facts[0].1).unwrap();
            assert_eq!(last.errors, 999);
            // With the registration itself, it goes in one batch.
            let both = [became(1), renewed(), became(2)];
            let Writes { promises, facts, .. } = writes(engine.as_mut().unwrap(), &both).unwrap();
            assert_eq!((promises.len(), facts.len()), (2, 0));
        }
    }

    #[test]
    fn only_what_is_for_the_disk_makes_a_commit() {
        for kind in EngineKind::ALL {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path(), kind).unwrap();
            store.commit(&[]).unwrap();
            assert_eq!(store.commits(), 0);
            store.commit(&[put(&device()), put(&full())]).unwrap();
            assert_eq!(store.commits(), 1);
        }
    }

    #[test]
    fn a_record_too_large_for_a_page_is_kept_too() {
        for kind in EngineKind::ALL {
            let large = Device { token: DeviceToken::new("t".repeat(3_000_000)), ..device() };
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path(), kind).unwrap();
            store.commit(&[put(&large), put(&full())]).unwrap();
            drop(store);
            assert!(loaded(&Store::open(folder.path(), kind).unwrap()) == [put(&large), put(&full())]);
        }
    }

    #[test]
    fn a_damaged_history_does_not_keep_new_facts_from_the_disk() {
        for kind in EngineKind::ALL {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path(), kind).unwrap();
            store.commit(&[put(&device())]).unwrap();
            store.put("hnode-1", "junk");
            store.commit(&[fact(10, Said::Doubtful)]).unwrap();
            let mut history = History::default();
            let Change::Fact(line) = fact(10, Said::Doubtful) else { unreachable!() };
            history.note(&line);
            assert_eq!(loaded(&store), [put(&Device { history, ..device() })]);
        }
    }

    #[test]
    fn after_a_failed_write_nothing_is_written_until_a_trial_succeeds() {
        for kind in EngineKind::ALL {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path(), kind).unwrap();
            store.commit(&[put(&device())]).unwrap();
            let failed = store.write(|_| panic!("as sled does")).unwrap_err();
            assert!(matches!(failed, StoreError::Write { .. }), "{failed}");
            assert!(failed.to_string().contains("the engine gave up: as sled does"), "{failed}");

            let refused = store.commit(&[put(&full())]).unwrap_err();
            assert!(matches!(refused, StoreError::Suspended { .. }), "{refused}");
            store.trial().unwrap();
            store.commit(&[put(&full())]).unwrap();
            assert_eq!(loaded(&store), [put(&device()), put(&full())]);
        }
    }
}
