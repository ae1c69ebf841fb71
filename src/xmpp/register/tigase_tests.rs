//! Commands as Siskin IM, Snikket iOS and Stork send them, and as they should not.

use super::super::Command;
use super::super::tests::{read, registration, unregistration};
use super::*;
use crate::domain::ids::{Account, DeviceHash};

const PROVIDER: (&str, &str) = ("provider", "tigase:messenger:apns:1");
const TOKEN: (&str, &str) = ("device-token", "AC4089A5");
const VOIP: (&str, &str) = ("device-second-token", "9be1");

fn siskin() -> DeviceRegistration {
    DeviceRegistration {
        command: "register-device".into(),
        service: "tigase:messenger:apns:1".into(),
        owner: Account::new("romeo@example.org"),
        account: DeviceHash::of("romeo@example.org", "ac4089a5"),
        room: None,
        token: DeviceToken::new("AC4089A5"),
        voip_token: Some(DeviceToken::new("9be1")),
        node: None,
        access: Access::Node,
    }
}

#[test]
fn a_device_has_a_provider_a_token_and_perhaps_one_for_calls() {
    assert_eq!(registration("register-device", &[PROVIDER, TOKEN, VOIP]), siskin());
    let without = DeviceRegistration { voip_token: None, ..siskin() };
    assert_eq!(registration("register-device", &[TOKEN, PROVIDER]), without);
    assert_eq!(registration("register-device", &[TOKEN, PROVIDER, ("device-second-token", "")]), without);
    let stork = registration("register-device", &[("provider", "fcm-xmpp-api"), ("device-token", "dGVz:APA91b")]);
    assert_eq!((&*stork.service, &*stork.token.reveal()), ("fcm-xmpp-api", "dGVz:APA91b"));
}

#[test]
fn a_device_is_the_same_in_either_case_of_its_token() {
    let device = |token| registration("register-device", &[PROVIDER, ("device-token", token)]).account;
    assert_eq!(device("AC4089A5"), device("ac4089a5"));
    assert_eq!(device(" AC4089A5\n"), device("ac4089a5"));
    assert_ne!(device("AC4089A5"), device("AC4089A6"));
    let taken_back = unregistration("unregister-device", &[PROVIDER, ("device-token", "ac4089A5")]);
    let expected = DeviceUnregistration {
        command: "unregister-device".into(),
        service: siskin().service,
        owner: siskin().owner,
        account: siskin().account,
        channel: None,
    };
    assert_eq!(taken_back, expected);
}

#[test]
fn a_token_for_calls_that_is_none_is_not_left_out_in_silence() {
    let long = "a".repeat(4097);
    for token in [" ", "a\u{7f}b", &long] {
        let read = read("register-device", "", &[PROVIDER, TOKEN, ("device-second-token", token)]);
        assert_eq!(read, Err(StanzaError::BAD_PAYLOAD), "{}", token.len());
    }
}

#[test]
fn what_is_missing_or_malformed_is_a_bad_payload() {
    let long = "a".repeat(4097);
    for command in ["register-device", "unregister-device"] {
        let rows: [&[(&str, &str)]; 5] = [
            &[PROVIDER, ("device-token", " ")],
            &[PROVIDER, ("device-token", "a\u{85}b")],
            &[PROVIDER, ("device-token", &long)],
            &[("provider", " "), TOKEN],
            &[PROVIDER, ("token", "AC4089A5")],
        ];
        for fields in rows {
            assert_eq!(read(command, "", fields), Err(StanzaError::BAD_PAYLOAD), "{command} {}", fields.len());
        }
    }
    assert!(matches!(read("register-device", "", &[PROVIDER, ("device-token", &long[1..])]), Ok(Command::Register(_))));
}
