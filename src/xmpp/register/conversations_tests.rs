//! Commands as Conversations and its forks send them, and as they should not.

use super::super::Command;
use super::super::tests::read;
use super::*;
use crate::domain::device::Access;
use crate::domain::ids::Account;
use crate::domain::secret::DeviceToken;

/// The longest that is kept.
const MAX_TOKEN: usize = 4096;
const MAX_DEVICE_ID: usize = 256;

const DEVICE: (&str, &str) = ("android-id", "92afd7a91cdba9a0");
const TOKEN: (&str, &str) = ("token", "FCM-TOKEN");

fn registration() -> DeviceRegistration {
    DeviceRegistration {
        command: "register-push-fcm".into(),
        service: "fcm".into(),
        owner: Account::new("romeo@example.org"),
        account: DeviceHash::from_hex("0c223e6b96c6112f5dd809bb1b6f7c5a78826ee3").expect("40 digits"),
        room: None,
        token: DeviceToken::new("FCM-TOKEN"),
        voip_token: None,
        node: None,
        access: Access::Secret,
    }
}

fn unregistration() -> DeviceUnregistration {
    let DeviceRegistration { owner, account, .. } = registration();
    DeviceUnregistration { command: "unregister-push-fcm".into(), service: "fcm".into(), owner, account, channel: None }
}

#[test]
fn apps_register_with_any_action_and_either_name_of_the_device() {
    let expected = Ok(Command::Register(registration()));
    for action in ["", "action='execute'", "action='complete'", "action='next'", "sessionid='made-up'"] {
        assert_eq!(read("register-push-fcm", action, &[TOKEN, DEVICE]), expected, "{action}");
    }
    let device_id = ("device-id", "92afd7a91cdba9a0");
    assert_eq!(read("register-push-fcm", "", &[device_id, TOKEN]), expected);
    assert_eq!(read("register-push-fcm", "", &[("android-id", "other"), device_id, TOKEN]), expected);
    assert_eq!(read("register-push-fcm", "", &[DEVICE, ("token", " FCM-TOKEN\n")]), expected);
    assert_eq!(read("register-push-fcm", "", &[DEVICE, TOKEN, ("muc", ""), ("unknown", "x")]), expected);
}

#[test]
fn a_room_is_registered_by_its_bare_jid() {
    let room =
        Room { channel: DeviceHash::of("coven@chat.example", "92afd7a91cdba9a0"), domain: Domain::new("chat.example") };
    let expected = DeviceRegistration { room: Some(room), ..registration() };
    let read = read("register-push-fcm", "", &[TOKEN, DEVICE, ("muc", "Coven@Chat.example")]);
    assert_eq!(read, Ok(Command::Register(expected)));
}

#[test]
fn a_device_is_taken_back_with_or_without_its_room() {
    let hash = DeviceHash::of("coven@chat.example", "92afd7a91cdba9a0");
    let hex = hash.hex();
    let with_room = DeviceUnregistration { channel: Some(hash), ..unregistration() };
    let rows: [(&[_], _); 4] = [
        (&[DEVICE], unregistration()),
        (&[DEVICE, ("muc", "coven@chat.example")], with_room.clone()),
        (&[DEVICE, ("channel", &hex)], with_room.clone()),
        (&[DEVICE, ("channel", &hex), ("muc", "coven@chat.example")], with_room),
    ];
    for (fields, expected) in rows {
        assert_eq!(read("unregister-push-fcm", "", fields), Ok(Command::Unregister(expected)), "{fields:?}");
    }
}

#[test]
fn what_is_missing_or_malformed_is_a_bad_payload() {
    let long_token = "t".repeat(MAX_TOKEN + 1);
    let long_device = "d".repeat(MAX_DEVICE_ID + 1);
    let hex = "0".repeat(40);
    let rows: [(&str, &[(&str, &str)]); 13] = [
        ("register-push-fcm", &[TOKEN]),
        ("register-push-fcm", &[DEVICE]),
        ("register-push-fcm", &[]),
        ("register-push-fcm", &[DEVICE, ("token", "")]),
        ("register-push-fcm", &[DEVICE, ("token", " ")]),
        ("register-push-fcm", &[DEVICE, ("token", "a\u{7f}b")]),
        ("register-push-fcm", &[DEVICE, ("token", &long_token)]),
        ("register-push-fcm", &[TOKEN, ("device-id", &long_device)]),
        ("register-push-fcm", &[TOKEN, DEVICE, ("muc", "coven@chat.example/nick")]),
        ("register-push-fcm", &[TOKEN, DEVICE, ("muc", "chat.example")]),
        ("register-push-fcm", &[TOKEN, DEVICE, ("muc", "@@")]),
        ("register-push-fcm", &[TOKEN, DEVICE, ("channel", &hex)]),
        ("unregister-push-fcm", &[DEVICE, ("channel", "not hex")]),
    ];
    for (node, fields) in rows {
        let shown: Vec<_> = fields.iter().map(|(name, value)| (name, value.len())).collect();
        assert_eq!(read(node, "", fields), Err(StanzaError::BAD_PAYLOAD), "{node} {shown:?}");
    }
    let longest = ("token", &*"t".repeat(MAX_TOKEN));
    assert!(read("register-push-fcm", "", &[DEVICE, longest]).is_ok());
}
