//! Schema 1: one tree for all records.

/// Makes the tree `records`. The first byte of a key is the kind, what follows names the record:
///
/// | Kind | Then | Value |
/// |---|---|---|
/// | `a` | an app's name | `CredentialsV1` |
/// | `d` | a device's node | `DeviceV1` |
/// | `h` | a device's node | `HistoryV1`; none for a device that nothing happened to |
pub(super) fn run(db: &sled::Db) -> sled::Result<()> {
    db.open_tree("records").map(drop)
}
