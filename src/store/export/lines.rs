//! The lines, and what they mean. As with records, a type of a released format is never edited: a new field is a new
//! format.

use serde::{Deserialize, Serialize};

use super::FORMAT;
use super::registration_lines::{PushesLine, RegistrationLine, pushes, pushes_line, registration, registration_line};
use crate::domain::app::Credentials;
use crate::domain::device::{Access, Device, DeviceKey, Gone, GoneReason, History};
use crate::domain::ids::{Account, AppName, DeviceHash, Domain, Node};
use crate::domain::secret::{DeviceToken, Secret};
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
pub(super) struct GoneLine {
    pub(super) at: i64,
    pub(super) why: String,
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
        secret: device.secret.reveal().into_owned(),
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
        token: device.token.reveal().into_owned(),
        voip_token: device.voip_token.as_ref().map(|token| token.reveal().into_owned()),
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

pub(super) fn gone_line(gone: Gone) -> GoneLine {
    GoneLine { at: gone.at.millis(), why: gone.why.name().to_owned() }
}

pub(super) fn gone(line: GoneLine) -> Result<Gone, Unfit> {
    const ALL: [GoneReason; 7] = [
        GoneReason::Owner,
        GoneReason::MaxDevices,
        GoneReason::VendorGone,
        GoneReason::Errors,
        GoneReason::AccountDeleted,
        GoneReason::Expired,
        GoneReason::Admin,
    ];
    let why = ALL.into_iter().find(|why| why.name() == line.why).ok_or(Unfit("why"))?;
    Ok(Gone { at: Timestamp::from_millis(line.at), why })
}

pub(super) fn millis(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::millis)
}

pub(super) fn time(millis: Option<i64>) -> Option<Timestamp> {
    millis.map(Timestamp::from_millis)
}

pub(super) fn hex(number: u64) -> String {
    format!("{number:016x}")
}

pub(super) fn unhex(text: &str) -> Option<u64> {
    let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(text, 16).ok().filter(|_| digits)
}
