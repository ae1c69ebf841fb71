//! What a commit writes of registrations.
//!
//! A registration is a promise. What became of its pushes is a fact, and of several facts in one commit only the last
//! is written. Such a fact stands by itself, unless the same commit writes the registration too: then they go together,
//! so that no crash leaves a record behind that a later registration of the same name would inherit.

use std::collections::BTreeMap;

use super::engine::{Disk, Fault, Insert, Write};
use super::record::{self, Kind};
use crate::domain::registration::{Record, Registration, RegistrationKey};

/// The registrations of one commit, as they are after it.
#[derive(Default)]
pub(super) struct Registrations<'a>(BTreeMap<&'a RegistrationKey, Touched<'a>>);

/// What happens to a registration in one commit.
#[derive(Default)]
struct Touched<'a> {
    /// The registration itself: as it is from now on, or forgotten. `None` if nothing happens to it.
    itself: Option<Option<&'a Registration>>,
    /// Whether what the store has of its pushes counts no more.
    anew: bool,
    /// What became of its pushes.
    record: Option<&'a Record>,
    /// Whether that was told of a registration that this commit had not written yet. Then it counts only if the store
    /// had it before.
    of_stored: bool,
}

impl<'a> Registrations<'a> {
    /// A registration as it is from now on.
    pub(super) fn put(&mut self, registration: &'a Registration) {
        self.0.entry(&registration.key).or_default().itself = Some(Some(registration));
    }

    /// A registration is forgotten.
    pub(super) fn forget(&mut self, key: &'a RegistrationKey) {
        self.0.insert(key, Touched { itself: Some(None), anew: true, ..Touched::default() });
    }

    /// What became of a registration's pushes; of a forgotten one nothing.
    pub(super) fn note(&mut self, key: &'a RegistrationKey, record: &'a Record) {
        let touched = self.0.entry(key).or_default();
        if !matches!(touched.itself, Some(None)) {
            (touched.record, touched.of_stored) = (Some(record), touched.itself.is_none());
        }
    }

    /// What is to be written: the promises, and the facts that stand by themselves.
    pub(super) fn writes(self, disk: &dyn Disk) -> Result<(Vec<Write>, Vec<Insert>), Fault> {
        let (mut promises, mut facts) = (Vec::new(), Vec::new());
        for (name, touched) in self.0 {
            let key = record::registration_key(Kind::Registration, name);
            let pushes = record::registration_key(Kind::Pushes, name);
            // What is told of nobody is passed over.
            let told = match touched.record {
                Some(_) if touched.of_stored && !disk.has(&key)? => None,
                told => told,
            };
            let record = told.map(|record| record::seal_pushes(&pushes, record)).transpose()?;
            let Some(itself) = touched.itself else {
                facts.extend(record.map(|record| (pushes, record)));
                continue;
            };
            let itself = itself.map(|registration| record::seal_registration(&key, registration));
            promises.push((key, itself.transpose()?));
            // sled logs the removal of what is not there, too.
            if record.is_some() || (touched.anew && disk.has(&pushes)?) {
                promises.push((pushes, record));
            }
        }
        Ok((promises, facts))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use crate::domain::ids::Node;
    use crate::domain::registration::tests::registration;
    use crate::domain::registration::{Record, Registration, RegistrationKey};
    use crate::domain::time::Timestamp;
    use crate::flows::data::Change;
    use crate::store::{EngineKind, Store};

    /// What may happen to a store's registrations.
    #[derive(Clone, Debug)]
    enum Act {
        Enable(u8),
        Note(u8),
        Forget(u8),
        /// What was collected goes to the disk.
        Commit,
        /// The process is gone, and is started again.
        Restart,
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            3 => (0..4_u8).prop_map(Act::Enable),
            6 => (0..4_u8).prop_map(Act::Note),
            2 => (0..4_u8).prop_map(Act::Forget),
            3 => Just(Act::Commit),
            1 => Just(Act::Restart),
        ]
    }

    /// Some begin alike, the first as a whole.
    fn named(number: u8) -> RegistrationKey {
        RegistrationKey { node: Node::new("n".repeat(number.into())), ..registration().key }
    }

    fn stored(store: &Store) -> Vec<Change> {
        store.load().unwrap().map(Result::unwrap).collect()
    }

    fn expected(model: &BTreeMap<u8, (Registration, Option<Record>)>) -> Vec<Change> {
        let changes = model.values().flat_map(|(registration, record)| {
            let record = record.clone().map(|record| Change::Record(registration.key.clone(), Box::new(record)));
            [Some(Change::Registration(Box::new(registration.clone()))), record]
        });
        changes.flatten().collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever is committed together or apart, restarted or not: the store holds what a plain map holds.
        #[test]
        fn no_registration_loses_its_record_or_gets_anothers(
            kind in prop::sample::select(&EngineKind::ALL),
            acts in prop::collection::vec(act(), 1..60),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut store = Store::open(folder.path(), kind).unwrap();
            let mut model = BTreeMap::new();
            let mut changes = Vec::new();
            for (time, act) in (1..).zip(acts.into_iter().chain([Act::Restart])) {
                match act {
                    Act::Enable(number) => {
                        let renewed = Timestamp::from_secs(time.into());
                        let enabled = Registration { key: named(number), renewed, ..registration() };
                        changes.push(Change::Registration(Box::new(enabled.clone())));
                        let record = model.remove(&number).and_then(|(_, record)| record);
                        model.insert(number, (enabled, record));
                    }
                    Act::Note(number) => {
                        let record = Record { errors: time, ..Record::default() };
                        changes.push(Change::Record(named(number), Box::new(record.clone())));
                        if let Some((_, noted)) = model.get_mut(&number) {
                            *noted = Some(record);
                        }
                    }
                    Act::Forget(number) => {
                        changes.push(Change::ForgetRegistration(named(number)));
                        model.remove(&number);
                    }
                    Act::Commit | Act::Restart => {
                        store.commit(&std::mem::take(&mut changes)).unwrap();
                        if matches!(act, Act::Restart) {
                            drop(store);
                            store = Store::open(folder.path(), kind).unwrap();
                        }
                        prop_assert_eq!(stored(&store), expected(&model));
                    }
                }
            }
        }
    }
}
