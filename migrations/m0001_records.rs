//! Schema 1: one table for all records.

use crate::store::engine::{Disk, Fault};

/// The table `records`, which every engine makes when it is opened. The first byte of a key is the kind, what follows names the record:
///
/// | Kind | Then | Value |
/// |---|---|---|
/// | `a` | an app's name | `CredentialsV1` |
/// | `d` | a device's node | `DeviceV1` |
/// | `h` | a device's node | `HistoryV1`; none for a device that nothing happened to |
pub(super) fn run(_disk: &dyn Disk) -> Result<(), Fault> {
    Ok(())
}
