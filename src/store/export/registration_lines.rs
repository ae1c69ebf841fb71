//! The lines of registrations, and of what became of their pushes.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::lines::{GoneLine, Unfit, gone, gone_line, hex, millis, time, unhex};
use crate::domain::extensions::{Allow, Encrypt, Extensions, Room};
use crate::domain::ids::{Account, Node};
use crate::domain::registration::{DisabledReason, Options, Record, Registration, RegistrationKey, Status};
use crate::domain::secret::{SealKey, Secret};
use crate::domain::stanza::Key;
use crate::domain::time::Timestamp;
use crate::flows::data::Change;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::store) struct RegistrationLine {
    account: String,
    service: String,
    node: String,
    options: Option<OptionsLine>,
    extensions: Option<ExtensionsLine>,
    client_id: Option<String>,
    resource: String,
    made: i64,
    renewed: i64,
    status: StatusLine,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OptionsLine {
    xml: String,
    secret: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExtensionsLine {
    ignore_unknown: bool,
    rooms: Option<Vec<RoomLine>>,
    muted: Vec<String>,
    priority: bool,
    encrypt: Option<EncryptLine>,
    jingle: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RoomLine {
    jid: String,
    allow: AllowLine,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum AllowLine {
    Always,
    Mentioned(Option<String>),
    Never,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EncryptLine {
    /// Base64.
    key: String,
    max_size: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StatusLine {
    Enabled,
    Disabled(GoneLine),
    Gone(GoneLine),
}

/// What became of a registration's pushes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::store) struct PushesLine {
    account: String,
    service: String,
    node: String,
    last_push: Option<i64>,
    last_result: Option<i64>,
    last_error: Option<String>,
    errors: u32,
    errors_since: Option<i64>,
    unreached: u32,
    unreached_since: Option<i64>,
    tried: Option<i64>,
    /// 16 hex digits each, the oldest first.
    keys: Vec<String>,
}

pub(super) fn registration_line(registration: &Registration) -> RegistrationLine {
    let key = &registration.key;
    let options = |options: &Options| OptionsLine {
        xml: options.xml.to_string(),
        secret: options.secret.as_ref().map(|secret| secret.reveal().into_owned()),
    };
    RegistrationLine {
        account: key.account.as_str().to_owned(),
        service: key.service.to_string(),
        node: key.node.as_str().to_owned(),
        options: registration.options.as_ref().map(options),
        extensions: registration.extensions.as_deref().map(extensions_line),
        client_id: registration.client_id.as_deref().map(str::to_owned),
        resource: registration.resource.to_string(),
        made: registration.made.millis(),
        renewed: registration.renewed.millis(),
        status: match registration.status {
            Status::Enabled => StatusLine::Enabled,
            Status::Disabled { at, why } => {
                StatusLine::Disabled(GoneLine { at: at.millis(), why: why.name().to_owned() })
            }
            Status::Gone(gone) => StatusLine::Gone(gone_line(gone)),
        },
    }
}

pub(super) fn registration(line: RegistrationLine) -> Result<Registration, Unfit> {
    let options =
        |OptionsLine { xml, secret }: OptionsLine| Options { xml: xml.into(), secret: secret.map(Secret::new) };
    Ok(Registration {
        key: key(line.account, line.service, line.node)?,
        options: line.options.map(options),
        extensions: line.extensions.map(extensions).transpose()?.map(Arc::new),
        client_id: line.client_id.map(Into::into),
        resource: line.resource.into(),
        made: Timestamp::from_millis(line.made),
        renewed: Timestamp::from_millis(line.renewed),
        status: match line.status {
            StatusLine::Enabled => Status::Enabled,
            StatusLine::Disabled(GoneLine { at, why }) => {
                let why = [DisabledReason::Errors, DisabledReason::Unreachable].into_iter().find(|it| it.name() == why);
                Status::Disabled { at: Timestamp::from_millis(at), why: why.ok_or(Unfit("why"))? }
            }
            StatusLine::Gone(line) => Status::Gone(gone(line)?),
        },
        record: Record::default(),
    })
}

fn extensions_line(extensions: &Extensions) -> ExtensionsLine {
    let room = |room: &Room| RoomLine {
        jid: room.jid.to_string(),
        allow: match &room.allow {
            Allow::Always => AllowLine::Always,
            Allow::Mentioned(nick) => AllowLine::Mentioned(nick.as_deref().map(str::to_owned)),
            Allow::Never => AllowLine::Never,
        },
    };
    let encrypt =
        |Encrypt { key, max_size }: &Encrypt| EncryptLine { key: STANDARD.encode(key.reveal()), max_size: *max_size };
    ExtensionsLine {
        ignore_unknown: extensions.ignore_unknown,
        rooms: extensions.rooms.as_ref().map(|rooms| rooms.iter().map(room).collect()),
        muted: extensions.muted.iter().map(|jid| jid.to_string()).collect(),
        priority: extensions.priority,
        encrypt: extensions.encrypt.as_ref().map(encrypt),
        jingle: extensions.jingle,
    }
}

fn extensions(line: ExtensionsLine) -> Result<Extensions, Unfit> {
    let room = |room: RoomLine| Room {
        jid: room.jid.into(),
        allow: match room.allow {
            AllowLine::Always => Allow::Always,
            AllowLine::Mentioned(nick) => Allow::Mentioned(nick.map(Into::into)),
            AllowLine::Never => Allow::Never,
        },
    };
    let encrypt = |EncryptLine { key, max_size }: EncryptLine| {
        let key = STANDARD.decode(key).ok().and_then(|key| key.try_into().ok()).ok_or(Unfit("key"))?;
        Ok(Encrypt { key: SealKey::new(key), max_size })
    };
    Ok(Extensions {
        ignore_unknown: line.ignore_unknown,
        rooms: line.rooms.map(|rooms| rooms.into_iter().map(room).collect()),
        muted: line.muted.into_iter().map(Into::into).collect(),
        priority: line.priority,
        encrypt: line.encrypt.map(encrypt).transpose()?,
        jingle: line.jingle,
    })
}

pub(super) fn pushes_line(key: &RegistrationKey, record: &Record) -> PushesLine {
    PushesLine {
        account: key.account.as_str().to_owned(),
        service: key.service.to_string(),
        node: key.node.as_str().to_owned(),
        last_push: millis(record.last_push),
        last_result: millis(record.last_result),
        last_error: record.last_error.clone().map(Into::into),
        errors: record.errors,
        errors_since: millis(record.errors_since),
        unreached: record.unreached,
        unreached_since: millis(record.unreached_since),
        tried: millis(record.tried),
        keys: record.keys.iter().map(|Key(hash)| hex(hash)).collect(),
    }
}

pub(super) fn pushes(line: PushesLine) -> Result<Change, Unfit> {
    let keys: Option<_> = line.keys.iter().map(|text| unhex(text).map(Key)).collect();
    let record = Record {
        last_push: time(line.last_push),
        last_result: time(line.last_result),
        last_error: line.last_error.map(Into::into),
        errors: line.errors,
        errors_since: time(line.errors_since),
        unreached: line.unreached,
        unreached_since: time(line.unreached_since),
        tried: time(line.tried),
        keys: keys.ok_or(Unfit("keys"))?,
    };
    Ok(Change::Record(key(line.account, line.service, line.node)?, Box::new(record)))
}

/// No JID holds a NUL, and the store puts one between the parts of a key.
fn key(account: String, service: String, node: String) -> Result<RegistrationKey, Unfit> {
    for (text, field) in [(&account, "account"), (&service, "service")] {
        if text.contains('\0') {
            return Err(Unfit(field));
        }
    }
    Ok(RegistrationKey { account: Account::new(account), service: service.into(), node: Node::new(node) })
}
