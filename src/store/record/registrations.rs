//! Registrations, and what became of their pushes.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Damage, GoneV1, Kind, name, open, seal, seal_as, unseal};
use crate::domain::device::Gone;
use crate::domain::extensions::{Allow, Encrypt, Extensions, Room};
use crate::domain::ids::{Account, Node};
use crate::domain::registration::{DisabledReason, Options, Record, Registration, RegistrationKey, Status};
use crate::domain::secret::{SealKey, Secret};
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
    let extensions = registration.extensions.as_deref().map(ExtensionsV2::from);
    seal_as(2, key, &RegistrationV2 { registration: RegistrationV1::from(registration), extensions })
}

/// The registration under this key, as if nothing had become of its pushes.
pub(in crate::store) fn unseal_registration(key: &[u8], value: &[u8]) -> Result<Registration, Damage> {
    match open(key, value)? {
        (1, fields) => Ok(fields.read::<RegistrationV1<'_>>()?.into_registration(registration_name(key)?)),
        (2, fields) => {
            let RegistrationV2 { registration, extensions } = fields.read()?;
            let extensions = extensions.map(|extensions| Arc::new(extensions.into()));
            Ok(Registration { extensions, ..registration.into_registration(registration_name(key)?) })
        }
        (version, _) => Err(Damage::Version(version)),
    }
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

/// As before, and what it asks for beside pushes.
#[derive(Serialize, Deserialize)]
struct RegistrationV2<'a> {
    #[serde(borrow)]
    registration: RegistrationV1<'a>,
    #[serde(borrow)]
    extensions: Option<ExtensionsV2<'a>>,
}

#[derive(Serialize, Deserialize)]
struct ExtensionsV2<'a> {
    ignore_unknown: bool,
    #[serde(borrow)]
    rooms: Option<Vec<RoomV2<'a>>>,
    #[serde(borrow)]
    muted: Vec<&'a str>,
    priority: bool,
    encrypt: Option<EncryptV2>,
    jingle: bool,
}

#[derive(Serialize, Deserialize)]
struct RoomV2<'a> {
    jid: &'a str,
    #[serde(borrow)]
    allow: AllowV2<'a>,
}

/// Stored as their position, so the order is part of the format.
#[derive(Serialize, Deserialize)]
enum AllowV2<'a> {
    Always,
    Mentioned(Option<&'a str>),
    Never,
}

#[derive(Serialize, Deserialize)]
struct EncryptV2 {
    key: [u8; 16],
    max_size: u32,
}

#[derive(Serialize, Deserialize)]
struct OptionsV1<'a> {
    xml: &'a str,
    secret: Option<Cow<'a, str>>,
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
            extensions: None,
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

impl<'a> From<&'a Extensions> for ExtensionsV2<'a> {
    fn from(extensions: &'a Extensions) -> Self {
        let Extensions { ignore_unknown, rooms, muted, priority, encrypt, jingle } = extensions;
        let room = |Room { jid, allow }: &'a Room| {
            let allow = match allow {
                Allow::Always => AllowV2::Always,
                Allow::Mentioned(nick) => AllowV2::Mentioned(nick.as_deref()),
                Allow::Never => AllowV2::Never,
            };
            RoomV2 { jid, allow }
        };
        let sealed = |Encrypt { key, max_size }: &Encrypt| EncryptV2 {
            key: *key.reveal(),
            max_size: u32::try_from(*max_size).unwrap_or(u32::MAX),
        };
        Self {
            ignore_unknown: *ignore_unknown,
            rooms: rooms.as_ref().map(|rooms| rooms.iter().map(room).collect()),
            muted: muted.iter().map(|jid| &**jid).collect(),
            priority: *priority,
            encrypt: encrypt.as_ref().map(sealed),
            jingle: *jingle,
        }
    }
}

impl From<ExtensionsV2<'_>> for Extensions {
    fn from(record: ExtensionsV2<'_>) -> Self {
        let room = |RoomV2 { jid, allow }: RoomV2<'_>| {
            let allow = match allow {
                AllowV2::Always => Allow::Always,
                AllowV2::Mentioned(nick) => Allow::Mentioned(nick.map(Box::from)),
                AllowV2::Never => Allow::Never,
            };
            Room { jid: jid.into(), allow }
        };
        let encrypt = |EncryptV2 { key, max_size }| Encrypt {
            key: SealKey::new(key),
            max_size: usize::try_from(max_size).unwrap_or(usize::MAX),
        };
        Self {
            ignore_unknown: record.ignore_unknown,
            rooms: record.rooms.map(|rooms| rooms.into_iter().map(room).collect()),
            muted: record.muted.into_iter().map(Box::from).collect(),
            priority: record.priority,
            encrypt: record.encrypt.map(encrypt),
            jingle: record.jingle,
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
