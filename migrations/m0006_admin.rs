//! Schema 6: what is gone may be so because an admin removed it.

use crate::store::engine::{Disk, Fault};

/// Nothing that is there changes. Its number alone matters: a pushkeeper that knows only schema 5 cannot read such a record.
pub(super) fn run(_disk: &dyn Disk) -> Result<(), Fault> {
    Ok(())
}
