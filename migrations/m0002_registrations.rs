//! Schema 2: registrations.

use crate::store::engine::{Disk, Fault};

/// Two more kinds in the table `records`, and nothing to convert:
///
/// | Kind | Then | Value |
/// |---|---|---|
/// | `p` | account, push service and node of a registration, NUL between them | `PushesV1`; none if none went out |
/// | `r` | the same | `RegistrationV1` |
///
/// Its number alone matters: a pushkeeper that knows only schema 1 would pass over these records and throw the users'
/// registrations away unseen, so it must refuse the store.
pub(super) fn run(_disk: &dyn Disk) -> Result<(), Fault> {
    Ok(())
}
