//! The records, and their keys. The types here are the store's own. They are never edited once released: a new shape
//! is a new type with the next version, and a step in `migrations/`.

mod devices;
mod outbox;
mod registrations;

use serde::{Deserialize, Serialize};

use super::frame::{Damage, open, seal, seal_as, unseal};
use crate::domain::device::{Gone, GoneReason};
use crate::domain::time::Timestamp;

#[cfg(test)]
pub(super) use devices::tests;
pub(super) use devices::{
    Before, fact_key, fact_number, seal_credentials, seal_device, seal_facts, seal_history, unseal_credentials,
    unseal_device, unseal_facts, unseal_history,
};
pub(super) use outbox::{owed_key, seal_owed, unseal_owed};
#[cfg(test)]
pub(super) use registrations::tests as registrations_tests;
pub(super) use registrations::{
    registration_key, registration_name, seal_pushes, seal_registration, unseal_pushes, unseal_registration,
};

/// What a record is of: the first byte of its key. Part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An app's credentials; the app's name follows.
    Credentials = b'a' as isize,
    /// A device, without its history; its node follows.
    Device = b'd' as isize,
    /// Lines of the journal; their number follows, 8 bytes, big-endian.
    Facts = b'f' as isize,
    /// A device's history; its node follows.
    History = b'h' as isize,
    /// What is owed; `c` or `m` for the lane and the device's node follow.
    Owed = b'o' as isize,
    /// What became of a registration's pushes; account, service and node follow, with a NUL between them.
    Pushes = b'p' as isize,
    /// A registration, without what became of its pushes; named as those.
    Registration = b'r' as isize,
}

impl Kind {
    /// The key of the record of this kind and name.
    pub(super) fn key(self, name: &str) -> Vec<u8> {
        [&[self as u8], name.as_bytes()].concat()
    }
}

/// What a key names, after the kind.
fn name(key: &[u8]) -> Result<&str, Damage> {
    let (_kind, name) = key.split_first().ok_or(Damage::Key)?;
    std::str::from_utf8(name).map_err(|_| Damage::Key)
}

#[derive(Serialize, Deserialize)]
struct GoneV1 {
    at: i64,
    why: GoneReasonV1,
}

/// Stored as their position, so the order is part of the format.
#[derive(Serialize, Deserialize)]
enum GoneReasonV1 {
    Owner,
    MaxDevices,
    VendorGone,
    Errors,
    AccountDeleted,
    Expired,
    Admin,
}

impl From<Gone> for GoneV1 {
    fn from(gone: Gone) -> Self {
        let why = match gone.why {
            GoneReason::Owner => GoneReasonV1::Owner,
            GoneReason::MaxDevices => GoneReasonV1::MaxDevices,
            GoneReason::VendorGone => GoneReasonV1::VendorGone,
            GoneReason::Errors => GoneReasonV1::Errors,
            GoneReason::AccountDeleted => GoneReasonV1::AccountDeleted,
            GoneReason::Expired => GoneReasonV1::Expired,
            GoneReason::Admin => GoneReasonV1::Admin,
        };
        Self { at: gone.at.millis(), why }
    }
}

impl From<GoneV1> for Gone {
    fn from(gone: GoneV1) -> Self {
        let why = match gone.why {
            GoneReasonV1::Owner => GoneReason::Owner,
            GoneReasonV1::MaxDevices => GoneReason::MaxDevices,
            GoneReasonV1::VendorGone => GoneReason::VendorGone,
            GoneReasonV1::Errors => GoneReason::Errors,
            GoneReasonV1::AccountDeleted => GoneReason::AccountDeleted,
            GoneReasonV1::Expired => GoneReason::Expired,
            GoneReasonV1::Admin => GoneReason::Admin,
        };
        Self { at: Timestamp::from_millis(gone.at), why }
    }
}
