use proptest::collection::btree_set;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::domain::device::GoneReason;
use crate::domain::ids::Account;
use crate::domain::secret::Secret;

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
        access: Access::Node,
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

const REASONS: [GoneReason; 6] = [
    GoneReason::Owner,
    GoneReason::MaxDevices,
    GoneReason::VendorGone,
    GoneReason::Errors,
    GoneReason::AccountDeleted,
    GoneReason::Expired,
];

pub(in crate::store) fn reason() -> impl Strategy<Value = GoneReason> {
    prop::sample::select(&REASONS)
}

prop_compose! {
    pub(in crate::store) fn histories()(
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
    pub(in crate::store) fn devices()(
        texts in (".{0,40}", ".{0,40}", "[a-z-]{1,20}", ".{0,60}", ".{0,200}"),
        voip_token in option::of(".{0,200}"),
        permitted in btree_set("[a-z.]{1,30}", 0..5),
        account in any::<[u8; 20]>(),
        channel in option::of(any::<[u8; 20]>()),
        generation in any::<u32>(),
        times in (any::<i64>(), any::<i64>()),
        gone in option::of((any::<i64>(), reason())),
        access in prop::sample::select(&[Access::Secret, Access::Node, Access::Anyone][..]),
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
            access,
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
        prop_assert_eq!(unseal_device(&key, &stored, &mut Before::default()), Ok(device));
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
        prop_assert!(unseal_device(&key, &value, &mut Before::default()).is_err());
    }
}

#[test]
fn every_reason_comes_back() {
    for why in REASONS {
        let gone = Some(Gone { at: Timestamp::from_secs(5), why });
        let device = Device { gone, history: History::default(), node: Node::new("x"), ..full() };
        let stored = seal_device(b"dx", &device).unwrap();
        assert_eq!(unseal_device(b"dx", &stored, &mut Before::default()), Ok(device), "{why:?}");
    }
}

#[test]
fn the_bytes_of_version_1_are_for_ever() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let [(key, device), (_, history)] = sealed();
    let first = seal(&key, &DeviceV1::from(&full())).unwrap();
    let known = Device { access: Access::Secret, history: History::default(), ..full() };
    assert_eq!(unseal_device(&key, &first, &mut Before::default()), Ok(known), "the first shape is still read");
    let credentials = Credentials { fingerprint: u64::MAX, since: Timestamp::from_secs(1) };
    assert_eq!(
        hex(&first),
        "\
        01087365637265742d3208636861742d696f73abababababababababababababababababababab01274b71753338\
        979d2fcbc89de3877a663aff6c40166a756c69657440636170756c65742e6578616d706c65020f636170756c6574\
        2e6578616d706c650f6d75632e6578616d706c652e6f726707746f6b656e2d320106766f69702d32ffffffff0f01\
        feffffffffffffffff0101ceafabfef96203ef419c49"
    );
    let second = [&[2], &first[1..first.len() - 4], &[1]].concat();
    assert_eq!(hex(&device[..device.len() - 4]), hex(&second), "the second shape is the first and one field more");
    assert_eq!(hex(&device[device.len() - 4..]), "7ad40c07");
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
    assert_eq!(unseal_device(b"dk", &seal(b"dk", &one_more).unwrap(), &mut Before::default()), Err(Damage::Unreadable));
    let key = b"d\xff";
    assert_eq!(unseal_device(key, &seal_device(key, &full()).unwrap(), &mut Before::default()), Err(Damage::Key));
    assert_eq!(unseal_credentials(b"", &seal(b"", &(0_u64, 0_i64)).unwrap()), Err(Damage::Key));
}
