//! A table of numbers in parts: a hash table doubles when it is full, and is half empty then. Parts that are as many as
//! what was loaded wants are nearly full, and each of them doubles by itself: none of a million devices waits until all
//! of them have moved.

use hashbrown::HashTable;

/// How many places a part that is full has: what hashbrown has room for in 32,768 (7 of 8).
const FULL: usize = 28_672;

/// How many numbers a part is to begin with: there is room for some more devices before any part doubles.
const BEGIN: usize = FULL / 10 * 9;

/// Numbers, found by a hash of 32 bits that [`spread`](super::spread) has spread.
#[derive(Debug, Default)]
pub(super) struct Table {
    first: HashTable<u32>,
    others: Vec<HashTable<u32>>,
}

impl Table {
    /// An empty table for so many.
    pub(super) fn for_so_many(number: usize) -> Self {
        let parts = number.div_ceil(BEGIN).max(1);
        let each = if parts == 1 { number } else { FULL };
        Self {
            first: HashTable::with_capacity(each),
            others: (1..parts).map(|_| HashTable::with_capacity(each)).collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_empty() && self.others.iter().all(HashTable::is_empty)
    }

    /// The part in which what has this hash is, if it is there.
    pub(super) fn part(&self, hash: u64) -> &HashTable<u32> {
        self.number(hash).and_then(|part| self.others.get(part)).unwrap_or(&self.first)
    }

    /// The same, to be changed.
    pub(super) fn part_mut(&mut self, hash: u64) -> &mut HashTable<u32> {
        match self.number(hash).and_then(|part| self.others.get_mut(part)) {
            Some(part) => part,
            None => &mut self.first,
        }
    }

    /// Which of the others; none for the first part. By bits that say nothing inside of a part: there the lowest bits and
    /// the seven highest count.
    fn number(&self, hash: u64) -> Option<usize> {
        if self.others.is_empty() {
            return None;
        }
        let bits = (hash & u64::from(u32::MAX)) << 39 >> 32;
        let parts = self.others.len() as u64 + 1;
        usize::try_from((bits * parts) >> 32).ok()?.checked_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::spread;
    use super::*;

    /// Any function that is one will do.
    fn hash(at: &u32) -> u64 {
        let mixed = at.wrapping_mul(0x9E37_79B1);
        spread(mixed ^ (mixed >> 15).wrapping_mul(0x85EB_CA77))
    }

    #[test]
    fn numbers_are_found_in_parts_that_are_nearly_full() {
        for (number, parts) in [(0, 1), (20_000, 1), (BEGIN, 1), (BEGIN + 1, 2), (300_000, 12), (1_000_000, 39)] {
            let mut table = Table::for_so_many(number);
            assert!(table.is_empty());
            let all = 0..u32::try_from(number).unwrap();
            for at in all.clone() {
                table.part_mut(hash(&at)).insert_unique(hash(&at), at, hash);
            }
            assert!(all.clone().all(|at| table.part(hash(&at)).find(hash(&at), |it| *it == at) == Some(&at)));
            let each: Vec<_> = std::iter::once(&table.first).chain(&table.others).map(HashTable::len).collect();
            assert_eq!((each.len(), each.iter().sum::<usize>()), (parts, number));
            // None has doubled by then, though chance has not filled them evenly.
            assert!(parts < 3 || each.iter().all(|len| (FULL / 5 * 4..FULL).contains(len)), "{each:?}");
        }
    }

    #[test]
    fn a_table_that_was_made_for_fewer_grows() {
        let mut table = Table::for_so_many(BEGIN + 1);
        for at in 0..200_000 {
            table.part_mut(hash(&at)).insert_unique(hash(&at), at, hash);
        }
        assert!((0..200_000).all(|at| table.part(hash(&at)).find(hash(&at), |it| *it == at) == Some(&at)));
    }
}
