//! Apps' credentials, devices, and what became of their pushes.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Damage, GoneV1, Kind, name, open, seal, seal_as, unseal};
use crate::domain::app::Credentials;
use crate::domain::device::{Access, Device, DeviceKey, Fact, Gone, History, Permitted, Said};
use crate::domain::ids::{AppName, DeviceHash, Domain, Node};
use crate::domain::secret::DeviceToken;
use crate::domain::text::Texts;
use crate::domain::time::Timestamp;

pub(in crate::store) fn seal_device(key: &[u8], device: &Device) -> Result<Vec<u8>, postcard::Error> {
    seal_as(2, key, &DeviceV2 { device: DeviceV1::from(device), access: device.access.into() })
}

/// What the device before had that the next one likely has, too, so that it is there once.
#[derive(Debug, Default)]
pub(in crate::store) struct Before {
    app: Option<AppName>,
    permitted: Option<Permitted>,
}

/// The device under this key, with an empty history.
pub(in crate::store) fn unseal_device(key: &[u8], value: &[u8], before: &mut Before) -> Result<Device, Damage> {
    let node = name(key)?;
    match open(key, value)? {
        (1, fields) => Ok(fields.read::<DeviceV1<'_>>()?.into_device(node, before)),
        (2, fields) => {
            let DeviceV2 { device, access } = fields.read()?;
            Ok(Device { access: access.into(), ..device.into_device(node, before) })
        }
        (version, _) => Err(Damage::Version(version)),
    }
}

/// `covers`: the history holds all lines of the journal's records before this one.
pub(in crate::store) fn seal_history(key: &[u8], history: &History, covers: u64) -> Result<Vec<u8>, postcard::Error> {
    seal(key, &HistoryV1 { covers, ..HistoryV1::from(history) })
}

pub(in crate::store) fn unseal_history(key: &[u8], value: &[u8]) -> Result<(History, u64), Damage> {
    unseal::<HistoryV1<'_>>(key, value).map(|record| {
        let covers = record.covers;
        (record.into(), covers)
    })
}

/// The key of a record of the journal.
pub(in crate::store) fn fact_key(number: u64) -> Vec<u8> {
    [&[Kind::Facts as u8], &number.to_be_bytes()[..]].concat()
}

/// The number of a record of the journal.
pub(in crate::store) fn fact_number(key: &[u8]) -> Option<u64> {
    let (_kind, number) = key.split_first()?;
    Some(u64::from_be_bytes(number.try_into().ok()?))
}

pub(in crate::store) fn seal_facts(key: &[u8], facts: &[&Fact]) -> Result<Vec<u8>, postcard::Error> {
    let lines: Vec<FactV1<'_>> = facts.iter().map(|fact| FactV1::from(*fact)).collect();
    seal(key, &lines)
}

pub(in crate::store) fn unseal_facts(key: &[u8], value: &[u8]) -> Result<Vec<Fact>, Damage> {
    let lines: Vec<FactV1<'_>> = unseal(key, value)?;
    Ok(lines.into_iter().map(Fact::from).collect())
}

pub(in crate::store) fn seal_credentials(key: &[u8], credentials: Credentials) -> Result<Vec<u8>, postcard::Error> {
    seal(key, &CredentialsV1 { fingerprint: credentials.fingerprint, since: credentials.since.millis() })
}

pub(in crate::store) fn unseal_credentials(key: &[u8], value: &[u8]) -> Result<(AppName, Credentials), Damage> {
    let CredentialsV1 { fingerprint, since } = unseal(key, value)?;
    Ok((AppName::new(name(key)?), Credentials { fingerprint, since: Timestamp::from_millis(since) }))
}

#[derive(Serialize, Deserialize)]
struct CredentialsV1 {
    fingerprint: u64,
    since: i64,
}

/// A device without its node, which is in the key. Times are milliseconds since 1970.
#[derive(Serialize, Deserialize)]
struct DeviceV1<'a> {
    #[serde(borrow)]
    secret: Cow<'a, str>,
    app: &'a str,
    account: [u8; 20],
    channel: Option<[u8; 20]>,
    owner: &'a str,
    #[serde(borrow)]
    permitted: Vec<&'a str>,
    #[serde(borrow)]
    token: Cow<'a, str>,
    voip_token: Option<Cow<'a, str>>,
    generation: u32,
    made: i64,
    renewed: i64,
    gone: Option<GoneV1>,
}

/// As before, and how publishes prove themselves.
#[derive(Serialize, Deserialize)]
struct DeviceV2<'a> {
    #[serde(borrow)]
    device: DeviceV1<'a>,
    access: AccessV2,
}

/// Stored as their position, so the order is part of the format.
#[derive(Serialize, Deserialize)]
enum AccessV2 {
    Secret,
    Node,
    Anyone,
}

#[derive(Serialize, Deserialize)]
struct HistoryV1<'a> {
    last_publish: Option<i64>,
    last_accepted: Option<i64>,
    last_error: Option<&'a str>,
    errors: u32,
    errors_since: Option<i64>,
    suspected: u32,
    doubted: bool,
    covers: u64,
}

#[derive(Serialize, Deserialize)]
struct FactV1<'a> {
    node: &'a str,
    published: i64,
    at: i64,
    #[serde(borrow)]
    said: SaidV1<'a>,
}

/// Stored as their position, so the order is part of the format.
#[derive(Serialize, Deserialize)]
enum SaidV1<'a> {
    Accepted,
    Doubtful,
    Suspect(&'a str),
    Failed(&'a str),
}

impl<'a> From<&'a Device> for DeviceV1<'a> {
    fn from(device: &'a Device) -> Self {
        Self {
            secret: device.secret.reveal(),
            app: device.key.app.as_str(),
            account: *device.key.account.bytes(),
            channel: device.key.channel.map(|hash| *hash.bytes()),
            owner: device.owner.as_str(),
            permitted: device.permitted.iter().map(Domain::as_str).collect(),
            token: device.token.reveal(),
            voip_token: device.voip_token.as_ref().map(DeviceToken::reveal),
            generation: device.generation,
            made: device.made.millis(),
            renewed: device.renewed.millis(),
            gone: device.gone.map(GoneV1::from),
        }
    }
}

impl DeviceV1<'_> {
    fn into_device(self, node: &str, before: &mut Before) -> Device {
        let texts = Texts::new(node, &self.secret, self.owner, &self.token);
        let app = before.app.take_if(|app| app.as_str() == self.app).unwrap_or_else(|| AppName::new(self.app));
        let is_same =
            |permitted: &mut Permitted| permitted.iter().map(Domain::as_str).eq(self.permitted.iter().copied());
        let permitted = before.permitted.take_if(is_same);
        let permitted = permitted.unwrap_or_else(|| self.permitted.iter().copied().map(Domain::new).collect());
        *before = Before { app: Some(app.clone()), permitted: Some(permitted.clone()) };
        Device {
            node: texts.node(),
            secret: texts.secret(),
            key: DeviceKey {
                app,
                account: DeviceHash::from_bytes(self.account),
                channel: self.channel.map(DeviceHash::from_bytes),
            },
            owner: texts.owner(),
            permitted,
            access: Access::Secret,
            token: texts.token(),
            voip_token: self.voip_token.map(DeviceToken::new),
            generation: self.generation,
            made: Timestamp::from_millis(self.made),
            renewed: Timestamp::from_millis(self.renewed),
            history: History::default(),
            gone: self.gone.map(Gone::from),
        }
    }
}

impl From<Access> for AccessV2 {
    fn from(access: Access) -> Self {
        match access {
            Access::Secret => Self::Secret,
            Access::Node => Self::Node,
            Access::Anyone => Self::Anyone,
        }
    }
}

impl From<AccessV2> for Access {
    fn from(access: AccessV2) -> Self {
        match access {
            AccessV2::Secret => Self::Secret,
            AccessV2::Node => Self::Node,
            AccessV2::Anyone => Self::Anyone,
        }
    }
}

impl<'a> From<&'a History> for HistoryV1<'a> {
    fn from(history: &'a History) -> Self {
        Self {
            last_publish: history.last_publish.map(Timestamp::millis),
            last_accepted: history.last_accepted.map(Timestamp::millis),
            last_error: history.last_error.as_deref(),
            errors: history.errors,
            errors_since: history.errors_since.map(Timestamp::millis),
            suspected: history.suspected,
            doubted: history.doubted,
            covers: 0,
        }
    }
}

impl<'a> From<&'a Fact> for FactV1<'a> {
    fn from(fact: &'a Fact) -> Self {
        let said = match &fact.said {
            Said::Accepted => SaidV1::Accepted,
            Said::Doubtful => SaidV1::Doubtful,
            Said::Suspect(reason) => SaidV1::Suspect(reason),
            Said::Failed(reason) => SaidV1::Failed(reason),
        };
        Self { node: fact.node.as_str(), published: fact.published.millis(), at: fact.at.millis(), said }
    }
}

impl From<FactV1<'_>> for Fact {
    fn from(line: FactV1<'_>) -> Self {
        let said = match line.said {
            SaidV1::Accepted => Said::Accepted,
            SaidV1::Doubtful => Said::Doubtful,
            SaidV1::Suspect(reason) => Said::Suspect(reason.to_owned().into()),
            SaidV1::Failed(reason) => Said::Failed(reason.to_owned().into()),
        };
        let time = Timestamp::from_millis;
        Self { node: Node::new(line.node), published: time(line.published), at: time(line.at), said }
    }
}

impl From<HistoryV1<'_>> for History {
    fn from(history: HistoryV1<'_>) -> Self {
        Self {
            last_publish: history.last_publish.map(Timestamp::from_millis),
            last_accepted: history.last_accepted.map(Timestamp::from_millis),
            last_error: history.last_error.map(|reason| reason.to_owned().into()),
            errors: history.errors,
            errors_since: history.errors_since.map(Timestamp::from_millis),
            suspected: history.suspected,
            doubted: history.doubted,
        }
    }
}

#[cfg(test)]
#[path = "devices_tests.rs"]
pub(in crate::store) mod tests;
