//! Schema 1: the devices.

/// Makes the tree `devices`. Key: the node, as UTF-8. Value: `DeviceV1`.
pub(super) fn run(db: &sled::Db) -> sled::Result<()> {
    db.open_tree("devices").map(drop)
}
