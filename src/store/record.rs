//! The records, and their keys. The types here are the store's own. They are never edited once released: a new shape
//! is a new type with the next version, and a step in `migrations/`.

use serde::{Deserialize, Serialize};

use super::frame::{Damage, seal, unseal};
use crate::domain::app::Credentials;
use crate::domain::device::{Device, DeviceKey, Fact, Gone, GoneReason, History, Said};
use crate::domain::ids::{Account, AppName, DeviceHash, Domain, Node};
use crate::domain::secret::{DeviceToken, Secret};
use crate::domain::time::Timestamp;

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
}

impl Kind {
    /// The key of the record of this kind and name.
    pub(super) fn key(self, name: &str) -> Vec<u8> {
        [&[self as u8], name.as_bytes()].concat()
    }
}

/// What a key names, after the kind.
pub(super) fn name(key: &[u8]) -> Result<&str, Damage> {
    let (_kind, name) = key.split_first().ok_or(Damage::Key)?;
    std::str::from_utf8(name).map_err(|_| Damage::Key)
}

pub(super) fn seal_device(key: &[u8], device: &Device) -> Result<Vec<u8>, postcard::Error> {
    seal(key, &DeviceV1::from(device))
}

/// The device under this key, with an empty history.
pub(super) fn unseal_device(key: &[u8], value: &[u8]) -> Result<Device, Damage> {
    let record: DeviceV1<'_> = unseal(key, value)?;
    Ok(record.into_device(Node::new(name(key)?)))
}

/// `covers`: the history holds all lines of the journal's records before this one.
pub(super) fn seal_history(key: &[u8], history: &History, covers: u64) -> Result<Vec<u8>, postcard::Error> {
    seal(key, &HistoryV1 { covers, ..HistoryV1::from(history) })
}

pub(super) fn unseal_history(key: &[u8], value: &[u8]) -> Result<(History, u64), Damage> {
    unseal::<HistoryV1<'_>>(key, value).map(|record| {
        let covers = record.covers;
        (record.into(), covers)
    })
}

/// The key of a record of the journal.
pub(super) fn fact_key(number: u64) -> Vec<u8> {
    [&[Kind::Facts as u8], &number.to_be_bytes()[..]].concat()
}

/// The number of a record of the journal.
pub(super) fn fact_number(key: &[u8]) -> Option<u64> {
    let (_kind, number) = key.split_first()?;
    Some(u64::from_be_bytes(number.try_into().ok()?))
}

pub(super) fn seal_facts(key: &[u8], facts: &[&Fact]) -> Result<Vec<u8>, postcard::Error> {
    let lines: Vec<FactV1<'_>> = facts.iter().map(|fact| FactV1::from(*fact)).collect();
    seal(key, &lines)
}

pub(super) fn unseal_facts(key: &[u8], value: &[u8]) -> Result<Vec<Fact>, Damage> {
    let lines: Vec<FactV1<'_>> = unseal(key, value)?;
    Ok(lines.into_iter().map(Fact::from).collect())
}

pub(super) fn seal_credentials(key: &[u8], credentials: Credentials) -> Result<Vec<u8>, postcard::Error> {
    seal(key, &CredentialsV1 { fingerprint: credentials.fingerprint, since: credentials.since.millis() })
}

pub(super) fn unseal_credentials(key: &[u8], value: &[u8]) -> Result<(AppName, Credentials), Damage> {
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
    secret: &'a str,
    app: &'a str,
    account: [u8; 20],
    channel: Option<[u8; 20]>,
    owner: &'a str,
    #[serde(borrow)]
    permitted: Vec<&'a str>,
    token: &'a str,
    voip_token: Option<&'a str>,
    generation: u32,
    made: i64,
    renewed: i64,
    gone: Option<GoneV1>,
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
    fn into_device(self, node: Node) -> Device {
        Device {
            node,
            secret: Secret::new(self.secret),
            key: DeviceKey {
                app: AppName::new(self.app),
                account: DeviceHash::from_bytes(self.account),
                channel: self.channel.map(DeviceHash::from_bytes),
            },
            owner: Account::new(self.owner),
            permitted: self.permitted.into_iter().map(Domain::new).collect(),
            token: DeviceToken::new(self.token),
            voip_token: self.voip_token.map(DeviceToken::new),
            generation: self.generation,
            made: Timestamp::from_millis(self.made),
            renewed: Timestamp::from_millis(self.renewed),
            history: History::default(),
            gone: self.gone.map(Gone::from),
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

impl From<Gone> for GoneV1 {
    fn from(gone: Gone) -> Self {
        let why = match gone.why {
            GoneReason::Owner => GoneReasonV1::Owner,
            GoneReason::MaxDevices => GoneReasonV1::MaxDevices,
            GoneReason::VendorGone => GoneReasonV1::VendorGone,
            GoneReason::Errors => GoneReasonV1::Errors,
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
        };
        Self { at: Timestamp::from_millis(gone.at), why }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::collection::btree_set;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    /// A device whose every field is set.
    pub(in crate::store) fn full() -> Device {
        let at = Timestamp::from_millis;
        Device {
            node: Node::new("nœud-2"),
            secret: Secret::new("secret-2"),
            key: DeviceKey {
                app: AppName::new("chat-ios"),
                account: DeviceHash::from_bytes([0xAB; 20]),
                channel: Some(DeviceHash::of("room@muc.example.org", "phone")),
            },
            owner: Account::new("juliet@capulet.example"),
            permitted: [Domain::new("capulet.example"), Domain::new("muc.example.org")].into(),
            token: DeviceToken::new("token-2"),
            voip_token: Some(DeviceToken::new("voip-2")),
            generation: u32::MAX,
            made: at(-1),
            renewed: at(i64::MAX),
            history: History {
                last_publish: Some(at(1_700_000_000_123)),
                last_accepted: Some(at(i64::MIN)),
                last_error: Some("BadDeviceToken".into()),
                errors: 7,
                errors_since: Some(at(0)),
                suspected: 3,
                doubted: true,
            },
            gone: Some(Gone { at: at(1_700_000_000_999), why: GoneReason::Errors }),
        }
    }

    /// What is stored for [`full`]: the device's key and record, and its history's.
    fn sealed() -> [(Vec<u8>, Vec<u8>); 2] {
        let (device, history) = (Kind::Device.key("nœud-2"), Kind::History.key("nœud-2"));
        let records = (seal_device(&device, &full()).unwrap(), seal_history(&history, &full().history, 300).unwrap());
        [(device, records.0), (history, records.1)]
    }

    fn reason() -> impl Strategy<Value = GoneReason> {
        prop_oneof![
            Just(GoneReason::Owner),
            Just(GoneReason::MaxDevices),
            Just(GoneReason::VendorGone),
            Just(GoneReason::Errors),
        ]
    }

    prop_compose! {
        fn histories()(
            times in (option::of(any::<i64>()), option::of(any::<i64>()), option::of(any::<i64>())),
            last_error in option::of(".{0,40}"),
            errors in any::<u32>(),
            suspected in any::<u32>(),
            doubted in any::<bool>(),
        ) -> History {
            let at = |millis: Option<i64>| millis.map(Timestamp::from_millis);
            History {
                last_publish: at(times.0),
                last_accepted: at(times.1),
                last_error: last_error.map(Into::into),
                errors,
                errors_since: at(times.2),
                suspected,
                doubted,
            }
        }
    }

    prop_compose! {
        fn devices()(
            texts in (".{0,40}", ".{0,40}", "[a-z-]{1,20}", ".{0,60}", ".{0,200}"),
            voip_token in option::of(".{0,200}"),
            permitted in btree_set("[a-z.]{1,30}", 0..5),
            account in any::<[u8; 20]>(),
            channel in option::of(any::<[u8; 20]>()),
            generation in any::<u32>(),
            times in (any::<i64>(), any::<i64>()),
            gone in option::of((any::<i64>(), reason())),
        ) -> Device {
            let (node, secret, app, owner, token) = texts;
            Device {
                node: Node::new(node),
                secret: Secret::new(secret),
                key: DeviceKey {
                    app: AppName::new(app),
                    account: DeviceHash::from_bytes(account),
                    channel: channel.map(DeviceHash::from_bytes),
                },
                owner: Account::new(owner),
                permitted: permitted.into_iter().map(Domain::new).collect(),
                token: DeviceToken::new(token),
                voip_token: voip_token.map(DeviceToken::new),
                generation,
                made: Timestamp::from_millis(times.0),
                renewed: Timestamp::from_millis(times.1),
                history: History::default(),
                gone: gone.map(|(at, why)| Gone { at: Timestamp::from_millis(at), why }),
            }
        }
    }

    proptest! {
        #[test]
        fn every_device_comes_back_as_it_was(device in devices()) {
            let key = Kind::Device.key(device.node.as_str());
            let stored = seal_device(&key, &device).unwrap();
            prop_assert_eq!(unseal_device(&key, &stored), Ok(device));
        }

        #[test]
        fn every_history_comes_back_as_it_was(history in histories(), covers in any::<u64>()) {
            let stored = seal_history(b"hx", &history, covers).unwrap();
            prop_assert_eq!(unseal_history(b"hx", &stored), Ok((history, covers)));
        }

        #[test]
        fn all_credentials_come_back_as_they_were(fingerprint in any::<u64>(), since in any::<i64>()) {
            let credentials = Credentials { fingerprint, since: Timestamp::from_millis(since) };
            let stored = seal_credentials(b"achat", credentials).unwrap();
            prop_assert_eq!(unseal_credentials(b"achat", &stored), Ok((AppName::new("chat"), credentials)));
        }

        #[test]
        fn no_bytes_make_reading_panic(key in any::<Vec<u8>>(), value in any::<Vec<u8>>()) {
            prop_assert!(unseal_device(&key, &value).is_err());
        }
    }

    #[test]
    fn every_reason_comes_back() {
        for why in [GoneReason::Owner, GoneReason::MaxDevices, GoneReason::VendorGone, GoneReason::Errors] {
            let gone = Some(Gone { at: Timestamp::from_secs(5), why });
            let device = Device { gone, history: History::default(), node: Node::new("x"), ..full() };
            let stored = seal_device(b"dx", &device).unwrap();
            assert_eq!(unseal_device(b"dx", &stored), Ok(device), "{why:?}");
        }
    }

    #[test]
    fn the_bytes_of_version_1_are_for_ever() {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let [(_, device), (_, history)] = sealed();
        let credentials = Credentials { fingerprint: u64::MAX, since: Timestamp::from_secs(1) };
        assert_eq!(
            hex(&device),
            "\
            01087365637265742d3208636861742d696f73abababababababababababababababababababab01274b71753338\
            979d2fcbc89de3877a663aff6c40166a756c69657440636170756c65742e6578616d706c65020f636170756c6574\
            2e6578616d706c650f6d75632e6578616d706c652e6f726707746f6b656e2d320106766f69702d32ffffffff0f01\
            feffffffffffffffff0101ceafabfef96203ef419c49"
        );
        assert_eq!(
            hex(&history),
            "0101f6a1abfef96201ffffffffffffffffff01010e426164446576696365546f6b656e0701000301ac02486f9a07"
        );
        assert_eq!(hex(&seal_credentials(b"achat", credentials).unwrap()), "01ffffffffffffffffff01d00f20798800");
        let line = |said| {
            let (published, at) = (Timestamp::from_millis(1), Timestamp::from_millis(2));
            Fact { node: Node::new("n"), published, at, said }
        };
        let all = [Said::Accepted, Said::Doubtful, Said::Suspect("s".into()), Said::Failed("f".into())].map(line);
        let lines: Vec<&Fact> = all.iter().collect();
        let key = fact_key(1);
        assert_eq!(hex(&key), "660000000000000001");
        let sealed = seal_facts(&key, &lines).unwrap();
        assert_eq!(hex(&sealed), "0104016e020400016e020401016e0204020173016e020403016607f643d1");
        assert_eq!(unseal_facts(&key, &sealed), Ok(all.to_vec()));
    }

    #[test]
    fn fields_that_are_no_record_are_refused() {
        let device = full();
        let one_more = (DeviceV1::from(&device), 0_u8);
        assert_eq!(unseal_device(b"dk", &seal(b"dk", &one_more).unwrap()), Err(Damage::Unreadable));
        let key = b"d\xff";
        assert_eq!(unseal_device(key, &seal_device(key, &full()).unwrap()), Err(Damage::Key));
        assert_eq!(unseal_credentials(b"", &seal(b"", &(0_u64, 0_i64)).unwrap()), Err(Damage::Key));
    }
}
