//! Schema 3: how publishes prove that they may push to a device.

use crate::store::engine::{Disk, Fault};

/// Records of kind `d` are `DeviceV2` from here on. Those written before stay as they are, and are read as devices whose
/// publishes must show their secret, which they were; each is written anew when its device changes.
///
/// Its number alone matters: a pushkeeper that knows only schema 2 cannot read the new ones.
pub(super) fn run(_disk: &dyn Disk) -> Result<(), Fault> {
    Ok(())
}
