//! Registrations, and what became of their pushes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Damage, GoneV1, Kind, name, seal, unseal};
use crate::domain::device::Gone;
use crate::domain::ids::{Account, Node};
use crate::domain::registration::{DisabledReason, Options, Record, Registration, RegistrationKey, Status};
use crate::domain::secret::Secret;
use crate::domain::stanza::Key;
use crate::domain::time::Timestamp;

/// Between the parts of a key. No JID holds one, for no XML does.
const BETWEEN: &str = "\0";

/// The key of the record of this kind ([`Kind::Registration`], [`Kind::Pushes`]) and registration.
pub(in crate::store) fn registration_key(kind: Kind, key: &RegistrationKey) -> Vec<u8> {
    kind.key(&[key.account.as_str(), &key.service, key.node.as_str()].join(BETWEEN))
}

/// The registration that a key names.
pub(in crate::store) fn registration_name(key: &[u8]) -> Result<RegistrationKey, Damage> {
    let mut parts = name(key)?.splitn(3, BETWEEN);
    let (account, service, node) = (parts.next(), parts.next(), parts.next());
    match (account, service, node) {
        (Some(account), Some(service), Some(node)) => {
            Ok(RegistrationKey { account: Account::new(account), service: service.into(), node: Node::new(node) })
        }
        _ => Err(Damage::Key),
    }
}

pub(in crate::store) fn seal_registration(key: &[u8], registration: &Registration) -> Result<Vec<u8>, postcard::Error> {
    seal(key, &RegistrationV1::from(registration))
}

/// The registration under this key, as if nothing had become of its pushes.
pub(in crate::store) fn unseal_registration(key: &[u8], value: &[u8]) -> Result<Registration, Damage> {
    let record: RegistrationV1<'_> = unseal(key, value)?;
    Ok(record.into_registration(registration_name(key)?))
}

pub(in crate::store) fn seal_pushes(key: &[u8], record: &Record) -> Result<Vec<u8>, postcard::Error> {
    seal(key, &PushesV1::from(record))
}

pub(in crate::store) fn unseal_pushes(key: &[u8], value: &[u8]) -> Result<Record, Damage> {
    unseal::<PushesV1<'_>>(key, value).map(Record::from)
}

/// A registration without what is in the key. Times are milliseconds since 1970.
#[derive(Serialize, Deserialize)]
struct RegistrationV1<'a> {
    #[serde(borrow)]
    options: Option<OptionsV1<'a>>,
    client_id: Option<&'a str>,
    resource: &'a str,
    made: i64,
    renewed: i64,
    status: StatusV1,
}

#[derive(Serialize, Deserialize)]
struct OptionsV1<'a> {
    xml: &'a str,
    secret: Option<&'a str>,
}

/// Stored as their position, so the order is part of the format.
#[derive(Serialize, Deserialize)]
enum StatusV1 {
    Enabled,
    Disabled { at: i64, why: DisabledReasonV1 },
    Gone(GoneV1),
}

/// Stored as their position, so the order is part of the format.
#[derive(Serialize, Deserialize)]
enum DisabledReasonV1 {
    Errors,
    Unreachable,
}

/// A [`Record`].
#[derive(Serialize, Deserialize)]
struct PushesV1<'a> {
    last_push: Option<i64>,
    last_result: Option<i64>,
    last_error: Option<&'a str>,
    errors: u32,
    errors_since: Option<i64>,
    unreached: u32,
    unreached_since: Option<i64>,
    tried: Option<i64>,
    /// Hashes, which numbers of varying length would only make longer. Little-endian, the oldest first.
    keys: Vec<[u8; 8]>,
}

impl<'a> From<&'a Registration> for RegistrationV1<'a> {
    fn from(registration: &'a Registration) -> Self {
        let options = registration.options.as_ref();
        Self {
            options: options
                .map(|Options { xml, secret }| OptionsV1 { xml, secret: secret.as_ref().map(Secret::reveal) }),
            client_id: registration.client_id.as_deref(),
            resource: &registration.resource,
            made: registration.made.millis(),
            renewed: registration.renewed.millis(),
            status: match registration.status {
                Status::Enabled => StatusV1::Enabled,
                Status::Disabled { at, why } => StatusV1::Disabled { at: at.millis(), why: why.into() },
                Status::Gone(gone) => StatusV1::Gone(gone.into()),
            },
        }
    }
}

impl RegistrationV1<'_> {
    fn into_registration(self, key: RegistrationKey) -> Registration {
        let options = |OptionsV1 { xml, secret }| Options { xml: Arc::from(xml), secret: secret.map(Secret::new) };
        Registration {
            key,
            options: self.options.map(options),
            client_id: self.client_id.map(Arc::from),
            resource: self.resource.into(),
            made: Timestamp::from_millis(self.made),
            renewed: Timestamp::from_millis(self.renewed),
            status: match self.status {
                StatusV1::Enabled => Status::Enabled,
                StatusV1::Disabled { at, why } => Status::Disabled { at: Timestamp::from_millis(at), why: why.into() },
                StatusV1::Gone(gone) => Status::Gone(Gone::from(gone)),
            },
            record: Record::default(),
        }
    }
}

impl From<DisabledReason> for DisabledReasonV1 {
    fn from(why: DisabledReason) -> Self {
        match why {
            DisabledReason::Errors => Self::Errors,
            DisabledReason::Unreachable => Self::Unreachable,
        }
    }
}

impl From<DisabledReasonV1> for DisabledReason {
    fn from(why: DisabledReasonV1) -> Self {
        match why {
            DisabledReasonV1::Errors => Self::Errors,
            DisabledReasonV1::Unreachable => Self::Unreachable,
        }
    }
}

impl<'a> From<&'a Record> for PushesV1<'a> {
    fn from(record: &'a Record) -> Self {
        Self {
            last_push: record.last_push.map(Timestamp::millis),
            last_result: record.last_result.map(Timestamp::millis),
            last_error: record.last_error.as_deref(),
            errors: record.errors,
            errors_since: record.errors_since.map(Timestamp::millis),
            unreached: record.unreached,
            unreached_since: record.unreached_since.map(Timestamp::millis),
            tried: record.tried.map(Timestamp::millis),
            keys: record.keys.iter().map(|Key(hash)| hash.to_le_bytes()).collect(),
        }
    }
}

impl From<PushesV1<'_>> for Record {
    fn from(record: PushesV1<'_>) -> Self {
        Self {
            last_push: record.last_push.map(Timestamp::from_millis),
            last_result: record.last_result.map(Timestamp::from_millis),
            last_error: record.last_error.map(|reason| reason.to_owned().into()),
            errors: record.errors,
            errors_since: record.errors_since.map(Timestamp::from_millis),
            unreached: record.unreached,
            unreached_since: record.unreached_since.map(Timestamp::from_millis),
            tried: record.tried.map(Timestamp::from_millis),
            keys: record.keys.into_iter().map(|hash| Key(u64::from_le_bytes(hash))).collect(),
        }
    }
}

#[cfg(test)]
#[path = "registrations_tests.rs"]
pub(in crate::store) mod tests;
