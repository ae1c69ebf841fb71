//! A hash for numbers that we give out ourselves. Nobody else chooses them, so nobody can make them collide cheaply, and what
//! finds a push's lane need not be keyed.

use std::hash::Hasher;

/// Mixes one number.
#[derive(Debug, Default)]
pub(super) struct ByNumber(u64);

/// 2^64 divided by the golden ratio: neighbours end up far from each other (Knuth, TAOCP volume 3, section 6.4).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for ByNumber {
    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(SPREAD);
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::{BuildHasher, BuildHasherDefault};

    use super::*;
    use crate::domain::ids::Seat;

    #[test]
    fn neighbours_share_neither_a_bucket_nor_what_tells_two_in_a_bucket_apart() {
        let hashes = (0..64).map(|number| BuildHasherDefault::<ByNumber>::default().hash_one(Seat(number)));
        let hashes: Vec<u64> = hashes.collect();
        // Tables take the bucket from the lowest bits, and the mark from the highest seven.
        let buckets: HashSet<u64> = hashes.iter().map(|hash| hash & 63).collect();
        let marks: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
        assert_eq!(buckets.len(), 64);
        assert!(marks.len() > 50, "{}", marks.len());
    }
}
