//! The lines, and what they mean. As with records, a type of a released format is never edited: a new field is a new
//! format.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::FORMAT;
use crate::domain::app::Credentials;
use crate::domain::device::{Access, Device, DeviceKey, Gone, GoneReason, History};
use crate::domain::extensions::{Allow, Encrypt, Extensions, Room};
use crate::domain::ids::{Account, AppName, DeviceHash, Domain, Node};
use crate::domain::registration::{DisabledReason, Options, Record, Registration, RegistrationKey, Status};
use crate::domain::secret::{DeviceToken, SealKey, Secret};
use crate::domain::stanza::Key;
use crate::domain::time::Timestamp;
use crate::flows::data::Change;

/// One line. Holds secrets, so it does not print.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(in crate::store) enum Line {
    Export(Header),
    Credentials(CredentialsLine),
    Device(Box<DeviceLine>),
    Registration(Box<RegistrationLine>),
    Pushes(Box<PushesLine>),
    End(End),
}

/// The first line. Read before anything else is known of the file, so it takes fields that it does not know.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct Header {
    pub(in crate::store) format: u32,
    /// When, in milliseconds since 1970, as are all times.
    pub(in crate::store) made: i64,
    /// Which pushkeeper wrote it.
    version: String,
}

/// The last line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::store) struct End {
    /// How many lines stand between the first and this one.
    pub(in crate::store) records: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::store) struct CredentialsLine {
    app: String,
    /// 16 hex digits: as a number it would be too long for many a JSON reader.
    fingerprint: String,
    since: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::store) struct DeviceLine {
    node: String,
    secret: String,
    app: String,
    owner: String,
    /// 40 hex digits.
    account: String,
    channel: Option<String>,
    permitted: Vec<String>,
    access: AccessName,
    token: String,
    voip_token: Option<String>,
    generation: u32,
    made: i64,
    renewed: i64,
    gone: Option<GoneLine>,
    history: HistoryLine,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum AccessName {
    Secret,
    Node,
    Anyone,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GoneLine {
    at: i64,
    why: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryLine {
    last_publish: Option<i64>,
    last_accepted: Option<i64>,
    last_error: Option<String>,
    errors: u32,
    errors_since: Option<i64>,
    suspected: u32,
    doubted: bool,
}

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

/// A line that can be read, and makes no sense: which field. Says nothing of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Unfit(pub(in crate::store) &'static str);

impl Line {
    pub(super) fn header(made: Timestamp) -> Self {
        Self::Export(Header { format: FORMAT, made: made.millis(), version: env!("CARGO_PKG_VERSION").to_owned() })
    }

    pub(super) const fn end(records: u64) -> Self {
        Self::End(End { records })
    }

    /// The line for what is stored; `None` for what is not exported.
    pub(super) fn of(change: &Change) -> Option<Self> {
        match change {
            Change::Credentials(app, credentials) => Some(Self::Credentials(CredentialsLine {
                app: app.as_str().to_owned(),
                fingerprint: hex(credentials.fingerprint),
                since: credentials.since.millis(),
            })),
            Change::Device(device) => Some(Self::Device(Box::new(device_line(device)))),
            Change::Registration(registration) => Some(Self::Registration(Box::new(registration_line(registration)))),
            Change::Record(key, record) => Some(Self::Pushes(Box::new(pushes_line(key, record)))),
            // Of the store, these come as histories; the rest is not exported.
            Change::Fact(_) | Change::Forget(_) | Change::ForgetRegistration(_) | Change::Memory(_) => None,
            Change::Owe(_) | Change::Settle(..) => None,
        }
    }

    /// What brings it back; `None` for the first and the last line.
    pub(in crate::store) fn into_change(self) -> Result<Option<Change>, Unfit> {
        match self {
            Self::Export(_) | Self::End(_) => Ok(None),
            Self::Credentials(line) => {
                let fingerprint = unhex(&line.fingerprint).ok_or(Unfit("fingerprint"))?;
                let credentials = Credentials { fingerprint, since: Timestamp::from_millis(line.since) };
                Ok(Some(Change::Credentials(AppName::new(line.app), credentials)))
            }
            Self::Device(line) => Ok(Some(Change::Device(Box::new(device(*line)?)))),
            Self::Registration(line) => Ok(Some(Change::Registration(Box::new(registration(*line)?)))),
            Self::Pushes(line) => pushes(*line).map(Some),
        }
    }
}

fn device_line(device: &Device) -> DeviceLine {
    let History { last_publish, last_accepted, last_error, errors, errors_since, suspected, doubted } =
        device.history.clone();
    DeviceLine {
        node: device.node.as_str().to_owned(),
        secret: device.secret.reveal().to_owned(),
        app: device.key.app.as_str().to_owned(),
        owner: device.owner.as_str().to_owned(),
        account: device.key.account.hex(),
        channel: device.key.channel.map(|hash| hash.hex()),
        permitted: device.permitted.iter().map(|domain| domain.as_str().to_owned()).collect(),
        access: match device.access {
            Access::Secret => AccessName::Secret,
            Access::Node => AccessName::Node,
            Access::Anyone => AccessName::Anyone,
        },
        token: device.token.reveal().to_owned(),
        voip_token: device.voip_token.as_ref().map(|token| token.reveal().to_owned()),
        generation: device.generation,
        made: device.made.millis(),
        renewed: device.renewed.millis(),
        gone: device.gone.map(gone_line),
        history: HistoryLine {
            last_publish: millis(last_publish),
            last_accepted: millis(last_accepted),
            last_error: last_error.map(Into::into),
            errors,
            errors_since: millis(errors_since),
            suspected,
            doubted,
        },
    }
}

fn device(line: DeviceLine) -> Result<Device, Unfit> {
    let hash = |text: &str, field| DeviceHash::from_hex(text).ok_or(Unfit(field));
    let history = line.history;
    Ok(Device {
        node: Node::new(line.node),
        secret: Secret::new(line.secret),
        key: DeviceKey {
            app: AppName::new(line.app),
            account: hash(&line.account, "account")?,
            channel: line.channel.map(|text| hash(&text, "channel")).transpose()?,
        },
        owner: Account::new(line.owner),
        permitted: line.permitted.into_iter().map(Domain::new).collect(),
        access: match line.access {
            AccessName::Secret => Access::Secret,
            AccessName::Node => Access::Node,
            AccessName::Anyone => Access::Anyone,
        },
        token: DeviceToken::new(line.token),
        voip_token: line.voip_token.map(DeviceToken::new),
        generation: line.generation,
        made: Timestamp::from_millis(line.made),
        renewed: Timestamp::from_millis(line.renewed),
        history: History {
            last_publish: time(history.last_publish),
            last_accepted: time(history.last_accepted),
            last_error: history.last_error.map(Into::into),
            errors: history.errors,
            errors_since: time(history.errors_since),
            suspected: history.suspected,
            doubted: history.doubted,
        },
        gone: line.gone.map(gone).transpose()?,
    })
}

fn registration_line(registration: &Registration) -> RegistrationLine {
    let key = &registration.key;
    let options = |options: &Options| OptionsLine {
        xml: options.xml.to_string(),
        secret: options.secret.as_ref().map(|secret| secret.reveal().to_owned()),
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

fn registration(line: RegistrationLine) -> Result<Registration, Unfit> {
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

fn pushes_line(key: &RegistrationKey, record: &Record) -> PushesLine {
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

fn pushes(line: PushesLine) -> Result<Change, Unfit> {
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

fn gone_line(gone: Gone) -> GoneLine {
    GoneLine { at: gone.at.millis(), why: gone.why.name().to_owned() }
}

fn gone(line: GoneLine) -> Result<Gone, Unfit> {
    const ALL: [GoneReason; 6] = [
        GoneReason::Owner,
        GoneReason::MaxDevices,
        GoneReason::VendorGone,
        GoneReason::Errors,
        GoneReason::AccountDeleted,
        GoneReason::Expired,
    ];
    let why = ALL.into_iter().find(|why| why.name() == line.why).ok_or(Unfit("why"))?;
    Ok(Gone { at: Timestamp::from_millis(line.at), why })
}

fn millis(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::millis)
}

fn time(millis: Option<i64>) -> Option<Timestamp> {
    millis.map(Timestamp::from_millis)
}

fn hex(number: u64) -> String {
    format!("{number:016x}")
}

fn unhex(text: &str) -> Option<u64> {
    let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(text, 16).ok().filter(|_| digits)
}
