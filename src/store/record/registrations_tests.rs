use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::super::tests::reason;
use super::*;
use crate::domain::device::GoneReason;

/// A registration whose every field is set, but what became of its pushes.
pub(in crate::store) fn full() -> Registration {
    Registration {
        key: RegistrationKey {
            account: Account::new("juliet@capulet.example"),
            service: "push.third.example".into(),
            node: Node::new("nœud-7"),
        },
        options: Some(Options { xml: "<x xmlns='jabber:x:data'/>".into(), secret: Some(Secret::new("s3")) }),
        extensions: crate::domain::extensions::tests::full().kept(),
        client_id: Some("client-1".into()),
        resource: "balcony".into(),
        made: Timestamp::from_millis(-1),
        renewed: Timestamp::from_millis(i64::MAX),
        status: Status::Disabled { at: Timestamp::from_millis(1_700_000_000_999), why: DisabledReason::Unreachable },
        record: Record::default(),
    }
}

/// What became of its pushes, every field set.
pub(in crate::store) fn pushes() -> Record {
    let at = |millis| Some(Timestamp::from_millis(millis));
    Record {
        last_push: at(1_700_000_000_123),
        last_result: at(i64::MIN),
        last_error: Some("item-not-found".into()),
        errors: 15,
        errors_since: at(0),
        unreached: u32::MAX,
        unreached_since: at(1),
        tried: at(2),
        keys: [1, u64::MAX, 0x0102_0304_0506_0708].into_iter().map(Key).collect(),
    }
}

fn status() -> impl Strategy<Value = Status> {
    let at = || any::<i64>().prop_map(Timestamp::from_millis);
    let why = prop::sample::select(&[DisabledReason::Errors, DisabledReason::Unreachable]);
    prop_oneof![
        Just(Status::Enabled),
        (at(), why).prop_map(|(at, why)| Status::Disabled { at, why }),
        (at(), reason()).prop_map(|(at, why)| Status::Gone(Gone { at, why })),
    ]
}

fn allow() -> impl Strategy<Value = Allow> {
    let nick = option::of(".{0,20}").prop_map(|nick| Allow::Mentioned(nick.map(Into::into)));
    prop_oneof![Just(Allow::Always), nick, Just(Allow::Never)]
}

prop_compose! {
    fn extensions()(
        flags in (any::<bool>(), any::<bool>(), any::<bool>()),
        rooms in option::of(vec((".{0,40}", allow()), 0..4)),
        muted in vec(".{0,40}", 0..4),
        encrypt in option::of((any::<[u8; 16]>(), 256..=8192_usize)),
    ) -> Extensions {
        let room = |(jid, allow): (String, Allow)| Room { jid: jid.into(), allow };
        Extensions {
            ignore_unknown: flags.0,
            rooms: rooms.map(|rooms| rooms.into_iter().map(room).collect()),
            muted: muted.into_iter().map(Into::into).collect(),
            priority: flags.1,
            encrypt: encrypt.map(|(key, max_size)| Encrypt { key: SealKey::new(key), max_size }),
            jingle: flags.2,
        }
    }
}

prop_compose! {
    pub(in crate::store) fn registrations()(
        // No XML holds a NUL; the node is the last part of the key, and could even do that.
        texts in ("[^\0]{0,40}", "[^\0]{0,40}", "(?s).{0,60}", ".{0,40}"),
        options in option::of((".{0,300}", option::of(".{0,40}"))),
        extensions in option::of(extensions().prop_map(Arc::new)),
        client_id in option::of(".{0,40}"),
        times in (any::<i64>(), any::<i64>()),
        status in status(),
    ) -> Registration {
        let (account, service, node, resource) = texts;
        let options = options.map(|(xml, secret)| Options { xml: xml.into(), secret: secret.map(Secret::new) });
        Registration {
            key: RegistrationKey { account: Account::new(account), service: service.into(), node: Node::new(node) },
            options,
            extensions,
            client_id: client_id.map(Into::into),
            resource: resource.into(),
            made: Timestamp::from_millis(times.0),
            renewed: Timestamp::from_millis(times.1),
            status,
            record: Record::default(),
        }
    }
}

prop_compose! {
    pub(in crate::store) fn records()(
        times in vec(option::of(any::<i64>().prop_map(Timestamp::from_millis)), 5),
        last_error in option::of(".{0,40}"),
        errors in any::<u32>(),
        unreached in any::<u32>(),
        keys in vec(any::<u64>(), 0..80),
    ) -> Record {
        Record {
            last_push: times[0],
            last_result: times[1],
            last_error: last_error.map(Into::into),
            errors,
            errors_since: times[2],
            unreached,
            unreached_since: times[3],
            tried: times[4],
            keys: keys.into_iter().map(Key).collect(),
        }
    }
}

proptest! {
    #[test]
    fn every_registration_comes_back_as_it_was(registration in registrations()) {
        let key = registration_key(Kind::Registration, &registration.key);
        let stored = seal_registration(&key, &registration).unwrap();
        prop_assert_eq!(unseal_registration(&key, &stored), Ok(registration));
    }

    #[test]
    fn what_became_of_pushes_comes_back_as_it_was(record in records()) {
        let stored = seal_pushes(b"px", &record).unwrap();
        prop_assert_eq!(unseal_pushes(b"px", &stored), Ok(record));
    }

    #[test]
    fn no_bytes_make_reading_panic(key in any::<Vec<u8>>(), value in any::<Vec<u8>>()) {
        prop_assert!(unseal_registration(&key, &value).is_err());
        prop_assert!(unseal_pushes(&key, &value).is_err());
        let _name = registration_name(&key);
    }
}

#[test]
fn the_bytes_of_version_1_are_for_ever() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let key = registration_key(Kind::Registration, &full().key);
    assert_eq!(key, "rjuliet@capulet.example\0push.third.example\0nœud-7".as_bytes());
    let first = |registration: &Registration| seal(&key, &RegistrationV1::from(registration)).unwrap();
    let known = Registration { extensions: None, ..full() };
    assert_eq!(unseal_registration(&key, &first(&full())), Ok(known), "the first shape is still read");
    assert_eq!(
        hex(&first(&full())),
        "\
        01011a3c7820786d6c6e733d276a61626265723a783a64617461272f3e010273330108636c69656e742d310762616c636f6e\
        7901feffffffffffffffff0101ceafabfef962016590f509"
    );
    let gone = Gone { at: Timestamp::from_millis(3), why: GoneReason::Expired };
    let gone = Registration { options: None, client_id: None, status: Status::Gone(gone), ..full() };
    assert_eq!(hex(&first(&gone)), "0100000762616c636f6e7901feffffffffffffffff0102060585a2194e");
    let enabled = Registration { status: Status::Enabled, ..gone };
    assert_eq!(hex(&first(&enabled)), "0100000762616c636f6e7901feffffffffffffffff010055802c1d");
    let key = registration_key(Kind::Pushes, &full().key);
    assert_eq!(
        hex(&seal_pushes(&key, &pushes()).unwrap()),
        "\
        0101f6a1abfef96201ffffffffffffffffff01010e6974656d2d6e6f742d666f756e640f0100ffffffff0f01020104030100\
        000000000000ffffffffffffffff0807060504030201c8560e86"
    );
}

#[test]
fn the_bytes_of_version_2_are_for_ever() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let key = registration_key(Kind::Registration, &full().key);
    let none = Registration { options: None, extensions: None, client_id: None, status: Status::Enabled, ..full() };
    assert_eq!(
        hex(&seal_registration(&key, &none).unwrap()),
        "0200000762616c636f6e7901feffffffffffffffff0100005ecf0091"
    );
    let all = Registration { extensions: full().extensions, ..none };
    assert_eq!(
        hex(&seal_registration(&key, &all).unwrap()),
        "\
        0200000762616c636f6e7901feffffffffffffffff01000101010412636f76656e40636861742e6578616d706c650013666f\
        7272657340636861742e6578616d706c650101064a756c69657412686561746840636861742e6578616d706c650213636173\
        746c6540636861742e6578616d706c650100010f626f74406578616d706c652e6f7267010130313233343536373839616263\
        646566b817015e76f07d"
    );
    let later = seal_as(3, &key, &RegistrationV1::from(&full())).unwrap();
    assert_eq!(unseal_registration(&key, &later), Err(Damage::Version(3)));
}

#[test]
fn a_key_takes_8_bytes() {
    let with = |count| (0..count).map(|number| Key(u64::MAX - number)).collect();
    let stored = |keys| seal_pushes(b"px", &Record { keys, ..pushes() }).unwrap().len();
    assert_eq!(stored(with(64)) - stored(with(0)), 64 * 8);
}

#[test]
fn keys_that_name_no_registration_are_refused() {
    for key in [&b""[..], b"r", b"ra@b", b"ra@b\0s", b"r\xff\0\0"] {
        assert_eq!(registration_name(key), Err(Damage::Key), "{key:?}");
        let stored = seal_registration(key, &full()).unwrap();
        assert_eq!(unseal_registration(key, &stored), Err(Damage::Key), "{key:?}");
    }
    let bare = registration_name(b"ra@b\0s\0").unwrap();
    assert_eq!((bare.account.as_str(), &*bare.service, bare.node.as_str()), ("a@b", "s", ""));
}
