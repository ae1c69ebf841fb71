use proptest::prelude::*;

use super::*;
use crate::domain::app::Credentials;
use crate::domain::device::Device;
use crate::domain::ids::AppName;
use crate::domain::registration::Registration;
use crate::store::record::registrations_tests as registrations;
use crate::store::record::tests as devices;

fn there_and_back(change: &Change) -> Change {
    let text = serde_json::to_string(&Line::of(change).unwrap()).unwrap();
    let line: Line = serde_json::from_str(&text).unwrap();
    line.into_change().ok().flatten().unwrap()
}

proptest! {
    #[test]
    fn every_device_comes_back_as_it_was(device in devices::devices(), history in devices::histories()) {
        let change = Change::Device(Box::new(Device { history, ..device }));
        prop_assert_eq!(there_and_back(&change), change);
    }

    #[test]
    fn every_registration_comes_back_as_it_was(
        registration in registrations::registrations(),
        record in registrations::records(),
    ) {
        let record = Change::Record(registration.key.clone(), Box::new(record));
        prop_assert_eq!(there_and_back(&record), record);
        let change = Change::Registration(Box::new(registration));
        prop_assert_eq!(there_and_back(&change), change);
    }

    #[test]
    fn all_credentials_come_back_as_they_were(fingerprint in any::<u64>(), since in any::<i64>()) {
        let credentials = Credentials { fingerprint, since: Timestamp::from_millis(since) };
        let change = Change::Credentials(AppName::new("chat"), credentials);
        prop_assert_eq!(there_and_back(&change), change);
    }

    #[test]
    fn no_line_makes_reading_panic(text in ".{0,200}") {
        prop_assert!(serde_json::from_str::<Line>(&text).is_err());
    }
}

#[test]
fn the_lines_of_format_1_are_for_ever() {
    let line = |change| serde_json::to_string(&Line::of(&change).unwrap()).unwrap();
    let credentials = Credentials { fingerprint: 255, since: Timestamp::from_millis(7) };
    let registration = registrations::full();
    let rows = [
        (
            line(Change::Credentials(AppName::new("chat"), credentials)),
            r#"{"kind":"credentials","app":"chat","fingerprint":"00000000000000ff","since":7}"#,
        ),
        (
            line(Change::Device(Box::new(devices::full()))),
            r#"{"kind":"device","node":"nœud-2","secret":"secret-2","app":"chat-ios","owner":"juliet@capulet.example",
                "account":"abababababababababababababababababababab",
                "channel":"274b71753338979d2fcbc89de3877a663aff6c40","permitted":["capulet.example","muc.example.org"],
                "access":"node","token":"token-2","voip_token":"voip-2","generation":4294967295,"made":-1,
                "renewed":9223372036854775807,"gone":{"at":1700000000999,"why":"errors"},
                "history":{"last_publish":1700000000123,"last_accepted":-9223372036854775808,
                "last_error":"BadDeviceToken","errors":7,"errors_since":0,"suspected":3,"doubted":true}}"#,
        ),
        (
            line(Change::Registration(Box::new(Registration { extensions: None, ..registration.clone() }))),
            r#"{"kind":"registration","account":"juliet@capulet.example","service":"push.third.example","node":"nœud-7",
                "options":{"xml":"<x xmlns='jabber:x:data'/>","secret":"s3"},"extensions":null,"client_id":"client-1",
                "resource":"balcony","made":-1,"renewed":9223372036854775807,
                "status":{"disabled":{"at":1700000000999,"why":"unreachable"}}}"#,
        ),
        (
            line(Change::Record(registration.key.clone(), Box::new(registrations::pushes()))),
            r#"{"kind":"pushes","account":"juliet@capulet.example","service":"push.third.example","node":"nœud-7",
                "last_push":1700000000123,"last_result":-9223372036854775808,"last_error":"item-not-found","errors":15,
                "errors_since":0,"unreached":4294967295,"unreached_since":1,"tried":2,
                "keys":["0000000000000001","ffffffffffffffff","0102030405060708"]}"#,
        ),
    ];
    for (found, expected) in rows {
        let expected: String = expected.lines().map(str::trim_start).collect();
        assert_eq!(found, expected);
    }
    let asks = line(Change::Registration(Box::new(registration)));
    let expected = r#""extensions":{"ignore_unknown":true,"rooms":[{"jid":"coven@chat.example","allow":"always"},"#;
    assert!(asks.contains(expected), "{asks}");
    assert!(asks.contains(r#""encrypt":{"key":"MDEyMzQ1Njc4OWFiY2RlZg==","max_size":3000}"#), "{asks}");
}
