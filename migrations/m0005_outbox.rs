//! Schema 5: what is owed.

use crate::store::engine::{Disk, Fault};

/// One more kind in the table `records`, and nothing to convert:
///
/// | Kind | Then | Value |
/// |---|---|---|
/// | `o` | `c` for a call, `m` for anything else, and a device's node | `OwedV1` |
///
/// Its number alone matters: a pushkeeper that knows only schema 4 would never deliver what these promise.
pub(super) fn run(_disk: &dyn Disk) -> Result<(), Fault> {
    Ok(())
}
