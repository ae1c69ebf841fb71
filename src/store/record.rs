//! How a record lies on disk: a version byte, the fields in postcard's encoding, and the CRC-32 (IEEE, little-endian)
//! of the key, the version and the fields. The key is covered too, so that a record under a wrong key is found.
//!
//! The types here are the store's own. They are never edited once released: a new shape is a new type with the next
//! version, and a step in `migrations/`.

use serde::{Deserialize, Serialize};

use crate::domain::device::{Device, DeviceKey, Gone, GoneReason, History};
use crate::domain::ids::{Account, AppName, DeviceHash, Domain, Node};
use crate::domain::secret::{DeviceToken, Secret};
use crate::domain::time::Timestamp;

/// The version of every record of schema 1.
const VERSION: u8 = 1;
const CHECKSUM: usize = size_of::<u32>();

/// What is wrong with a record. Says nothing of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    #[error("is too short to be one")]
    Short,
    #[error("does not match its checksum")]
    Checksum,
    #[error("has version {0}, which this pushkeeper does not know")]
    Version(u8),
    #[error("has a right checksum, but cannot be read")]
    Unreadable,
    #[error("has a key that is not text")]
    Key,
}

/// The key of a device.
pub(super) fn device_key(node: &Node) -> &[u8] {
    node.as_str().as_bytes()
}

/// A device as it lies under its key.
pub(super) fn encode_device(device: &Device) -> Result<Vec<u8>, postcard::Error> {
    seal(device_key(&device.node), &DeviceV1::from(device))
}

/// The device that lies under a key.
pub(super) fn decode_device(key: &[u8], value: &[u8]) -> Result<Device, Damage> {
    let record: DeviceV1<'_> = unseal(key, value)?;
    let node = std::str::from_utf8(key).map_err(|_| Damage::Key)?;
    Ok(record.into_device(Node::new(node)))
}

/// Any record, framed.
pub(super) fn seal<T: Serialize>(key: &[u8], record: &T) -> Result<Vec<u8>, postcard::Error> {
    let mut framed = postcard::to_extend(record, vec![VERSION])?;
    let checksum = checksum(key, &framed);
    framed.extend_from_slice(&checksum);
    Ok(framed)
}

/// A framed record, checked and read to its last byte.
pub(super) fn unseal<'a, T: Deserialize<'a>>(key: &[u8], framed: &'a [u8]) -> Result<T, Damage> {
    let (covered, found) = framed.split_last_chunk::<CHECKSUM>().ok_or(Damage::Short)?;
    let (&version, fields) = covered.split_first().ok_or(Damage::Short)?;
    if checksum(key, covered) != *found {
        return Err(Damage::Checksum);
    }
    if version != VERSION {
        return Err(Damage::Version(version));
    }
    match postcard::take_from_bytes(fields) {
        Ok((record, [])) => Ok(record),
        _ => Err(Damage::Unreadable),
    }
}

fn checksum(key: &[u8], covered: &[u8]) -> [u8; CHECKSUM] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(key);
    crc.update(covered);
    crc.finalize().to_le_bytes()
}

/// A device, without its node: that is the key. Times are milliseconds since 1970.
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
    history: HistoryV1,
    gone: Option<GoneV1>,
}

#[derive(Serialize, Deserialize)]
struct HistoryV1 {
    last_publish: Option<i64>,
    last_accepted: Option<i64>,
    errors: u32,
    errors_since: Option<i64>,
    suspected: u32,
    doubted: bool,
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
            history: HistoryV1::from(&device.history),
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
            history: self.history.into(),
            gone: self.gone.map(Gone::from),
        }
    }
}

impl From<&History> for HistoryV1 {
    fn from(history: &History) -> Self {
        Self {
            last_publish: history.last_publish.map(Timestamp::millis),
            last_accepted: history.last_accepted.map(Timestamp::millis),
            errors: history.errors,
            errors_since: history.errors_since.map(Timestamp::millis),
            suspected: history.suspected,
            doubted: history.doubted,
        }
    }
}

impl From<HistoryV1> for History {
    fn from(history: HistoryV1) -> Self {
        Self {
            last_publish: history.last_publish.map(Timestamp::from_millis),
            last_accepted: history.last_accepted.map(Timestamp::from_millis),
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
    use crate::domain::device::tests::device;

    /// A device whose every field differs from the plain one's.
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
                errors: 7,
                errors_since: Some(at(0)),
                suspected: 3,
                doubted: true,
            },
            gone: Some(Gone { at: at(1_700_000_000_999), why: GoneReason::Errors }),
        }
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
        fn history()(
            times in (option::of(any::<i64>()), option::of(any::<i64>()), option::of(any::<i64>())),
            errors in any::<u32>(),
            suspected in any::<u32>(),
            doubted in any::<bool>(),
        ) -> History {
            let (last_publish, last_accepted, errors_since) = times;
            HistoryV1 { last_publish, last_accepted, errors, errors_since, suspected, doubted }.into()
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
            history in history(),
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
                history,
                gone: gone.map(|(at, why)| Gone { at: Timestamp::from_millis(at), why }),
            }
        }
    }

    proptest! {
        #[test]
        fn every_device_comes_back_as_it_was(device in devices()) {
            let stored = encode_device(&device).unwrap();
            prop_assert_eq!(decode_device(device_key(&device.node), &stored), Ok(device));
        }

        #[test]
        fn no_bytes_make_reading_panic(key in any::<Vec<u8>>(), value in any::<Vec<u8>>()) {
            prop_assert!(decode_device(&key, &value).is_err());
        }
    }

    #[test]
    fn every_reason_and_every_field_comes_back() {
        for why in [GoneReason::Owner, GoneReason::MaxDevices, GoneReason::VendorGone, GoneReason::Errors] {
            let device = Device { gone: Some(Gone { at: Timestamp::from_secs(5), why }), ..full() };
            let stored = encode_device(&device).unwrap();
            assert_eq!(decode_device(device_key(&device.node), &stored), Ok(device), "{why:?}");
        }
    }

    #[test]
    fn the_bytes_of_version_1_are_for_ever() {
        let bytes = "\
            01087365637265742d3208636861742d696f73abababababababababababababababababababab01274b71753338979d\
            2fcbc89de3877a663aff6c40166a756c69657440636170756c65742e6578616d706c65020f636170756c65742e657861\
            6d706c650f6d75632e6578616d706c652e6f726707746f6b656e2d320106766f69702d32ffffffff0f01feffffffffff\
            ffffff0101f6a1abfef96201ffffffffffffffffff01070100030101ceafabfef96203b718ce56";
        let stored = encode_device(&full()).unwrap();
        let hex: String = stored.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, bytes);
    }

    #[test]
    fn a_change_of_any_bit_is_noticed() {
        let stored = encode_device(&full()).unwrap();
        let key = device_key(&full().node).to_vec();
        for bit in 0..stored.len() * 8 {
            let mut changed = stored.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_device(&key, &changed), Err(Damage::Checksum), "bit {bit} of the record");
        }
        for bit in 0..key.len() * 8 {
            let mut changed = key.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_device(&changed, &stored), Err(Damage::Checksum), "bit {bit} of the key");
        }
    }

    #[test]
    fn what_is_cut_short_or_longer_than_it_was_is_noticed() {
        let stored = encode_device(&full()).unwrap();
        let key = device_key(&full().node).to_vec();
        for len in 0..stored.len() {
            let expected = if len < 5 { Damage::Short } else { Damage::Checksum };
            assert_eq!(decode_device(&key, &stored[..len]), Err(expected), "{len} bytes");
        }
        let longer = [&stored[..], &[0]].concat();
        assert_eq!(decode_device(&key, &longer), Err(Damage::Checksum));
    }

    #[test]
    fn a_right_checksum_does_not_make_a_record() {
        let framed = |covered: &[u8]| [covered, &checksum(b"k", covered)[..]].concat();
        let mut trailing = postcard::to_extend(&DeviceV1::from(&device()), vec![VERSION]).unwrap();
        trailing.push(0);
        let rows = [
            ("a later version", framed(&[2, 0, 0]), Damage::Version(2)),
            ("no fields", framed(&[VERSION]), Damage::Unreadable),
            ("fields that end too early", framed(&[VERSION, 200, b'x']), Damage::Unreadable),
            ("a length beyond all memory", framed(&[&[VERSION][..], &[0xFF; 9], &[1]].concat()), Damage::Unreadable),
            ("a byte too many", framed(&trailing), Damage::Unreadable),
        ];
        for (what, value, expected) in rows {
            assert_eq!(decode_device(b"k", &value), Err(expected), "{what}");
        }
        let key = b"\xff";
        let value = seal(key, &DeviceV1::from(&device())).unwrap();
        assert_eq!(decode_device(key, &value), Err(Damage::Key));
    }
}
