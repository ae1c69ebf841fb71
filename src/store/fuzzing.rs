//! For the fuzz targets: any record, by its key.

use std::fmt::Debug;

use super::frame::Damage;
use super::record::{self, Kind};

/// Reads a record twice: as it is, and with the checksum that it should have. What can be read is written, read again,
/// and is the same.
pub(crate) fn row(key: &[u8], value: &[u8]) {
    read(key, value);
    let sealed = super::frame::with_checksum(key, value);
    read(key, &sealed);
}

fn read(key: &[u8], value: &[u8]) {
    let Some(kind) = key.first().copied() else { return };
    let of = |other: Kind| kind == other as u8;
    if of(Kind::Credentials) {
        same(key, value, record::unseal_credentials, |key, (_, of)| record::seal_credentials(key, *of));
    } else if of(Kind::Device) {
        same(
            key,
            value,
            |key, value| record::unseal_device(key, value, &mut record::Before::default()),
            record::seal_device,
        );
    } else if of(Kind::History) {
        same(key, value, record::unseal_history, |key, (history, covers)| record::seal_history(key, history, *covers));
    } else if of(Kind::Facts) {
        same(key, value, record::unseal_facts, |key, facts| record::seal_facts(key, &facts.iter().collect::<Vec<_>>()));
    } else if of(Kind::Owed) {
        same(key, value, record::unseal_owed, |key, owed| record::seal_owed(key, &owed.load));
    } else if of(Kind::Registration) {
        same(key, value, record::unseal_registration, record::seal_registration);
    } else if of(Kind::Pushes) {
        same(key, value, record::unseal_pushes, record::seal_pushes);
    }
}

fn same<T: PartialEq + Debug>(
    key: &[u8],
    value: &[u8],
    unseal: fn(&[u8], &[u8]) -> Result<T, Damage>,
    seal: impl Fn(&[u8], &T) -> Result<Vec<u8>, postcard::Error>,
) {
    let Ok(read) = unseal(key, value) else { return };
    let written = seal(key, &read).map(|written| unseal(key, &written));
    assert_eq!(written, Ok(Ok(read)), "not read as it was written");
}
