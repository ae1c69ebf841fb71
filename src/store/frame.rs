//! How any record lies on disk: a version byte, the fields in postcard's encoding, and the CRC-32 (IEEE, little-endian)
//! of the key, the version and the fields. The key is covered too, so that a record under a wrong key is found.

use serde::{Deserialize, Serialize};

/// The version of a record's first shape.
const FIRST: u8 = 1;
const CHECKSUM: usize = size_of::<u32>();

/// What is wrong with a record. Says nothing of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    #[error("is too short to be one")]
    Short,
    #[error("does not match its checksum")]
    Checksum,
    #[error("has version {0}, which this pushkeeper does not know")]
    Version(u8),
    #[error("has a right checksum, but cannot be read")]
    Unreadable,
    #[error("has a key that is not text")]
    Key,
}

/// Any record in its first shape, framed.
pub(super) fn seal<T: Serialize>(key: &[u8], record: &T) -> Result<Vec<u8>, postcard::Error> {
    seal_as(FIRST, key, record)
}

/// Any record, framed as one of the shape of that number.
pub(super) fn seal_as<T: Serialize>(version: u8, key: &[u8], record: &T) -> Result<Vec<u8>, postcard::Error> {
    let mut framed = postcard::to_extend(record, vec![version])?;
    let checksum = checksum(key, &framed);
    framed.extend_from_slice(&checksum);
    Ok(framed)
}

/// A framed record in its first shape, checked and read to its last byte.
pub(super) fn unseal<'a, T: Deserialize<'a>>(key: &[u8], framed: &'a [u8]) -> Result<T, Damage> {
    match open(key, framed)? {
        (FIRST, fields) => fields.read(),
        (version, _) => Err(Damage::Version(version)),
    }
}

/// The fields of a record whose checksum is right.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Reads them to the last byte.
    pub(super) fn read<T: Deserialize<'a>>(&self) -> Result<T, Damage> {
        match postcard::take_from_bytes(self.0) {
            Ok((record, [])) => Ok(record),
            _ => Err(Damage::Unreadable),
        }
    }
}

/// A framed record, checked: the number of its shape, and its fields.
pub(super) fn open<'a>(key: &[u8], framed: &'a [u8]) -> Result<(u8, Fields<'a>), Damage> {
    let (covered, found) = framed.split_last_chunk::<CHECKSUM>().ok_or(Damage::Short)?;
    let (&version, fields) = covered.split_first().ok_or(Damage::Short)?;
    if checksum(key, covered) != *found {
        return Err(Damage::Checksum);
    }
    Ok((version, Fields(fields)))
}

/// What lies before a checksum, with the right one.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn with_checksum(key: &[u8], covered: &[u8]) -> Vec<u8> {
    [covered, &checksum(key, covered)].concat()
}

fn checksum(key: &[u8], covered: &[u8]) -> [u8; CHECKSUM] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(key);
    crc.update(covered);
    crc.finalize().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"dnode";

    fn sealed() -> Vec<u8> {
        seal(KEY, &("romeo@example.org", 1_700_000_000_i64, [0xAB_u8; 20])).unwrap()
    }

    fn read(key: &[u8], framed: &[u8]) -> Result<(String, i64, [u8; 20]), Damage> {
        unseal(key, framed)
    }

    #[test]
    fn a_change_of_any_bit_is_noticed() {
        assert_eq!(read(KEY, &sealed()), Ok(("romeo@example.org".to_owned(), 1_700_000_000, [0xAB; 20])));
        for bit in 0..sealed().len() * 8 {
            let mut changed = sealed();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(KEY, &changed), Err(Damage::Checksum), "bit {bit} of the record");
        }
        for bit in 0..KEY.len() * 8 {
            let mut changed = KEY.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&changed, &sealed()), Err(Damage::Checksum), "bit {bit} of the key");
        }
    }

    #[test]
    fn what_is_cut_short_or_longer_than_it_was_is_noticed() {
        for len in 0..sealed().len() {
            let expected = if len < 5 { Damage::Short } else { Damage::Checksum };
            assert_eq!(read(KEY, &sealed()[..len]), Err(expected), "{len} bytes");
        }
        assert_eq!(read(KEY, &[&sealed()[..], &[0]].concat()), Err(Damage::Checksum));
    }

    #[test]
    fn a_right_checksum_does_not_make_a_record() {
        let framed = |covered: &[u8]| [covered, &checksum(KEY, covered)[..]].concat();
        let rows = [
            ("a later version", framed(&[2, 0, 0]), Damage::Version(2)),
            ("no fields", framed(&[FIRST]), Damage::Unreadable),
            ("fields that end too early", framed(&[FIRST, 200, b'x']), Damage::Unreadable),
            ("a length beyond all memory", framed(&[&[FIRST][..], &[0xFF; 9], &[1]].concat()), Damage::Unreadable),
            ("a byte too many", framed(&[&sealed()[..sealed().len() - 4], &[0]].concat()), Damage::Unreadable),
        ];
        for (what, value, expected) in rows {
            assert_eq!(read(KEY, &value), Err(expected), "{what}");
        }
    }
}
