//! The journal: what became of pushes, in a few records a commit instead of one a device.
//!
//! A fact costs a line in a record of the journal. Each line adds to the history of a device; what the histories have
//! become is kept here in memory. Once the journal is long, it is folded: a part of the histories is written with each
//! commit, and when all of them are, the lines that they cover are removed. A history says which records of the journal
//! it covers, so that a crash at any point counts no line twice and loses none. (A node that was forgotten is never
//! given out again, so lines of it that are left over harm nobody.)

use std::collections::{BTreeMap, HashMap};

use super::engine::{Disk, Fault, Insert, Write};
use super::record::{self, Kind};
use crate::domain::device::{Fact, History, Said};
use crate::domain::ids::Node;

/// So many lines are folded. About 12 MB on disk, as much again in sled's memory (which never evicts what nobody reads),
/// some 100 bytes for each device that they are of, and an eighth of a second of reading at start.
const FOLD_AT: usize = 200_000;

/// A fold is spread over so many commits, but does not bother with less than [`LEAST`] histories.
const SPREAD: usize = 16;
const LEAST: usize = 500;

/// Lines in one record, so that it fits on a page.
const LINES: usize = 256;

/// What the journal holds, and what became of it.
#[derive(Debug)]
pub(super) struct Journal {
    /// The number of the oldest record, and of the next one.
    first: u64,
    next: u64,
    /// Lines that no fold has taken up yet.
    lines: usize,
    /// The histories that these lines have become.
    young: HashMap<Node, History>,
    folding: Option<Fold>,
    fold_at: usize,
}

/// A fold under way.
#[derive(Debug)]
struct Fold {
    /// The records before this one are covered by it.
    upto: u64,
    /// Histories that are not written yet, in the order of their keys: neighbours lie on one page, which is written once.
    left: BTreeMap<Node, History>,
    /// How many go with each commit.
    step: usize,
}

impl Default for Journal {
    fn default() -> Self {
        Self { first: 0, next: 0, lines: 0, young: HashMap::new(), folding: None, fold_at: FOLD_AT }
    }
}

impl Journal {
    /// Reads the journal of a store. Lines of devices that are no longer there are passed over, and so are records
    /// that are damaged: facts promise nothing.
    pub(super) fn read(disk: &dyn Disk) -> Result<Self, Fault> {
        let mut journal = Self::default();
        let mut first = None;
        // Which records each device's stored history covers; none if the device is not there.
        let mut known: HashMap<Node, Option<u64>> = HashMap::new();
        for record in disk.scan(Kind::Facts as u8) {
            let (key, value) = record?;
            let Some(number) = record::fact_number(&key) else { continue };
            journal.next = journal.next.max(number.saturating_add(1));
            first.get_or_insert(number);
            let lines = record::unseal_facts(&key, &value).unwrap_or_else(|damage| {
                tracing::warn!("a record of the store's journal {damage}; what it says of pushes is lost");
                Vec::new()
            });
            for fact in lines {
                let covered = match known.get(&fact.node) {
                    Some(covered) => *covered,
                    None => {
                        let there = disk.has(&Kind::Device.key(fact.node.as_str()))?;
                        let covered = if there { Some(stored(disk, &fact.node)?.1) } else { None };
                        known.insert(fact.node.clone(), covered);
                        covered
                    }
                };
                if covered.is_some_and(|covered| covered <= number) {
                    journal.note(disk, &fact)?;
                }
            }
        }
        journal.first = first.unwrap_or_default();
        Ok(journal)
    }

    /// What the history of a device has become, if the journal has lines of it.
    pub(super) fn history(&self, node: &Node) -> Option<&History> {
        self.young.get(node).or_else(|| self.folding.as_ref()?.left.get(node))
    }

    /// All histories of which the journal has lines.
    pub(super) fn histories(&self) -> HashMap<Node, History> {
        let left = self.folding.iter().flat_map(|fold| &fold.left);
        left.chain(&self.young).map(|(node, history)| (node.clone(), history.clone())).collect()
    }

    /// Adds a line to a history.
    pub(super) fn note(&mut self, disk: &dyn Disk, fact: &Fact) -> Result<(), Fault> {
        self.lines += 1;
        if let Some(history) = self.young.get_mut(&fact.node) {
            history.note(fact);
            return Ok(());
        }
        let mut history = match self.history(&fact.node) {
            Some(history) => history.clone(),
            // An acceptance begins a history anew, so the common case reads nothing.
            None if fact.said == Said::Accepted => History::default(),
            None => stored(disk, &fact.node)?.0,
        };
        history.note(fact);
        self.young.insert(fact.node.clone(), history);
        Ok(())
    }

    /// The records for the lines of a commit.
    pub(super) fn append(&mut self, facts: &[&Fact]) -> Result<Vec<Insert>, Fault> {
        facts.chunks(LINES).map(|lines| self.record(lines)).collect()
    }

    fn record(&mut self, lines: &[&Fact]) -> Result<Insert, Fault> {
        let key = record::fact_key(self.next);
        self.next += 1;
        let value = record::seal_facts(&key, lines)?;
        Ok((key, value))
    }

    /// A device's history is written as a whole, or is forgotten: what the journal has of it counts no more. Returns
    /// which records the history covers from now on.
    pub(super) fn supersede(&mut self, node: &Node) -> u64 {
        self.young.remove(node);
        if let Some(fold) = &mut self.folding {
            fold.left.remove(node);
        }
        self.next
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.lines == 0 && self.folding.is_none()
    }

    /// Does a part of a fold, if there is one to do: what is to be written, in this order.
    pub(super) fn fold(&mut self) -> Result<Vec<Write>, Fault> {
        if self.folding.is_none() && self.lines >= self.fold_at {
            let left: BTreeMap<Node, History> = std::mem::take(&mut self.young).into_iter().collect();
            let step = (left.len() / SPREAD).max(LEAST);
            self.lines = 0;
            self.folding = Some(Fold { upto: self.next, left, step });
        }
        let Some(fold) = &mut self.folding else { return Ok(Vec::new()) };
        let mut writes = Vec::new();
        while writes.len() < fold.step
            && let Some((node, history)) = fold.left.pop_first()
        {
            let key = Kind::History.key(node.as_str());
            let record = record::seal_history(&key, &history, fold.upto)?;
            writes.push((key, Some(record)));
        }
        if fold.left.is_empty() {
            // Written after the histories, so no crash brings this about without them.
            let upto = fold.upto;
            self.folding = None;
            if self.next == upto {
                // The numbers that histories name must not be given out again, so one record always stays.
                let (key, record) = self.record(&[])?;
                writes.push((key, Some(record)));
            }
            writes.extend((self.first..upto).map(|number| (record::fact_key(number), None)));
            self.first = upto;
        }
        Ok(writes)
    }

    /// Folds after so many lines.
    #[cfg(test)]
    pub(super) fn fold_at(&mut self, lines: usize) {
        self.fold_at = lines;
    }
}

/// A device's history as it is stored, and which records of the journal it covers.
fn stored(disk: &dyn Disk, node: &Node) -> Result<(History, u64), Fault> {
    let key = Kind::History.key(node.as_str());
    let Some(stored) = disk.get(&key)? else { return Ok((History::default(), 0)) };
    Ok(record::unseal_history(&key, &stored).unwrap_or_else(|damage| {
        tracing::warn!(device = node.short(), "the stored history of a device {damage}; it begins anew");
        (History::default(), 0)
    }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use crate::domain::device::tests::device;
    use crate::domain::device::{Device, Fact, History, Said};
    use crate::domain::ids::{DeviceHash, Node};
    use crate::domain::time::Timestamp;
    use crate::flows::data::Change;
    use crate::store::{EngineKind, Store};

    /// What may happen to a store's histories.
    #[derive(Clone, Debug)]
    enum Act {
        Fact(u8, Said),
        Renew(u8),
        Forget(u8),
        /// What was collected goes to the disk.
        Commit,
        /// The process is gone, and is started again.
        Restart,
    }

    fn act() -> impl Strategy<Value = Act> {
        let said = prop_oneof![
            3 => Just(Said::Accepted),
            1 => Just(Said::Failed("503".into())),
            1 => Just(Said::Suspect("BadDeviceToken".into())),
            1 => Just(Said::Doubtful),
        ];
        prop_oneof![
            8 => (0..6_u8, said).prop_map(|(device, said)| Act::Fact(device, said)),
            2 => (0..6_u8).prop_map(Act::Renew),
            1 => (0..6_u8).prop_map(Act::Forget),
            4 => Just(Act::Commit),
            1 => Just(Act::Restart),
        ]
    }

    fn named(number: u8) -> Device {
        let mut device = Device { node: Node::new(format!("node-{number}")), ..device() };
        device.key.account = DeviceHash::of("romeo@example.org", &number.to_string());
        device
    }

    fn loaded(store: &Store) -> Vec<Device> {
        let device = |change| match change {
            Ok(Change::Device(device)) => *device,
            other => panic!("{other:?}"),
        };
        store.load().unwrap().map(device).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Whatever is committed, folded or not, restarted or not: the store holds what a plain map holds.
        #[test]
        fn no_line_is_lost_or_counted_twice(
            kind in prop::sample::select(&EngineKind::ALL),
            acts in prop::collection::vec(act(), 1..80),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let open = || {
                let store = Store::open(folder.path(), kind).unwrap();
                store.engine().as_mut().unwrap().journal.fold_at(7);
                store
            };
            let mut store = open();
            let mut model: BTreeMap<u8, Device> = BTreeMap::new();
            let (mut changes, mut forgotten) = (Vec::new(), Vec::new());
            for (secs, act) in (1..).zip(acts.into_iter().chain([Act::Commit])) {
                match act {
                    Act::Fact(number, said) => {
                        let at = Timestamp::from_secs(secs);
                        let fact = Fact { node: named(number).node, published: at, at, said };
                        if let Some(device) = model.get_mut(&number) {
                            device.history.note(&fact);
                            changes.push(Change::Fact(fact));
                        }
                    }
                    Act::Renew(number) if forgotten.contains(&number) => {}
                    Act::Renew(number) => {
                        let device = model.entry(number).or_insert_with(|| named(number));
                        device.generation += 1;
                        device.history = History { last_publish: device.history.last_publish, ..History::default() };
                        changes.push(Change::Device(Box::new(device.clone())));
                    }
                    Act::Forget(number) => {
                        if model.remove(&number).is_some() {
                            forgotten.push(number);
                            changes.push(Change::Forget(named(number).node));
                        }
                    }
                    Act::Commit | Act::Restart => {
                        store.commit(&std::mem::take(&mut changes)).unwrap();
                        if matches!(act, Act::Restart) {
                            drop(store);
                            store = open();
                        }
                        prop_assert_eq!(loaded(&store), model.values().cloned().collect::<Vec<_>>());
                    }
                }
            }
            drop(store);
            prop_assert_eq!(loaded(&open()), model.values().cloned().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_fold_leaves_one_record_for_its_number() {
        for kind in EngineKind::ALL {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path(), kind).unwrap();
            store.engine().as_mut().unwrap().journal.fold_at(3);
            store.commit(&[Change::Device(Box::new(named(1)))]).unwrap();
            let at = Timestamp::from_secs(5);
            let fact = || Change::Fact(Fact { node: named(1).node, published: at, at, said: Said::Accepted });
            let lines = || store.engine().as_ref().unwrap().disk.scan(b'f').count();
            store.commit(&[fact(), fact()]).unwrap();
            assert_eq!(lines(), 1);
            store.commit(&[fact()]).unwrap();
            assert_eq!(lines(), 1);
            assert!(store.engine().as_ref().unwrap().journal.is_empty());
            assert_eq!(loaded(&store)[0].history.last_accepted, Some(at));
        }
    }
}
