//! Commands as apps send them, and as they should not.

use super::*;
use crate::xmpp::ns;

fn read_from(from: &str, node: &str, attributes: &str, content: &str) -> Result<Command, StanzaError> {
    let text = format!("<command xmlns='{}' node='{node}' {attributes}>{content}</command>", ns::COMMANDS);
    let document = roxmltree::Document::parse(&text).expect("the test's XML");
    command(document.root_element(), &Sender::read(from).expect("the test's JID"))
}

fn read(node: &str, attributes: &str, fields: &[(&str, &str)]) -> Result<Command, StanzaError> {
    let fields: String =
        fields.iter().map(|(name, value)| format!("<field var='{name}'><value>{value}</value></field>")).collect();
    let form = format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>");
    read_from("romeo@example.org/Conversations.x7", node, attributes, &form)
}

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

#[test]
fn actions_and_commands_that_are_none() {
    let rows = [
        ("register-push-fcm", "action='prev'", Err(StanzaError::BAD_ACTION)),
        ("register-push-fcm", "action='jump'", Err(StanzaError::MALFORMED_ACTION)),
        ("register-push-fcm", "action='cancel'", Ok(Command::Cancelled)),
        ("register-push-", "", Err(StanzaError::ITEM_NOT_FOUND)),
        ("unregister-push-", "", Err(StanzaError::ITEM_NOT_FOUND)),
        ("register-device", "", Err(StanzaError::ITEM_NOT_FOUND)),
        ("v1-register-push", "", Err(StanzaError::ITEM_NOT_FOUND)),
        ("", "", Err(StanzaError::ITEM_NOT_FOUND)),
    ];
    for (node, attributes, expected) in rows {
        assert_eq!(read(node, attributes, &[TOKEN, DEVICE]), expected, "{node} {attributes}");
    }
    let cancelled = read_from("a@b/c", "register-push-fcm", "", "<x xmlns='jabber:x:data' type='cancel'/>");
    assert_eq!(cancelled, Ok(Command::Cancelled));
}

#[test]
fn names_that_answers_can_repeat() {
    for (length, known) in [(MAX_NAME, true), (MAX_NAME + 1, false)] {
        let prefix = "register-push-";
        let name = format!("{prefix}{}", "x".repeat(length - prefix.len()));
        let expected = if known { Ok(Command::Cancelled) } else { Err(StanzaError::ITEM_NOT_FOUND) };
        assert_eq!(read(&name, "action='cancel'", &[]), expected, "{length}");
    }
}

#[test]
fn only_accounts_have_devices() {
    for from in ["example.org", "example.org/resource"] {
        assert_eq!(read_from(from, "register-push-fcm", "", ""), Err(StanzaError::FORBIDDEN), "{from}");
    }
    let read = read_from("romeo@example.org", "register-push-fcm", "", "");
    assert!(matches!(read, Ok(Command::Ask(_))), "{read:?}");
}

#[test]
fn without_a_form_the_one_to_fill_in_is_offered() {
    let rows: [(&str, &[&str]); 2] =
        [("register-push-apns", &["token", "device-id"]), ("unregister-push-apns", &["device-id"])];
    for (node, fields) in rows {
        let Ok(Command::Ask(content)) = read_from("a@b/c", node, "", "") else { panic!("{node}") };
        let tree: Tree = format!("<command xmlns='{}'>{content}</command>", ns::COMMANDS).parse().expect("XML");
        let actions = tree.get_child("actions", ns::COMMANDS).expect("actions");
        assert_eq!(actions.attr("execute"), Some("complete"), "{node}");
        assert!(actions.has_child("complete", ns::COMMANDS), "{node}");
        let form = DataForm::try_from(tree.get_child("x", ns::DATA_FORM).expect("a form").clone()).expect("a form");
        let names: Vec<_> = form.fields.iter().filter_map(|field| field.var.as_deref()).collect();
        assert_eq!((names.as_slice(), form.type_), (fields, DataFormType::Form), "{node}");
    }
}

/// An answer repeats the name, escaped, and hosts end the stream of a component whose stanzas are too big.
#[test]
fn a_command_whose_name_is_too_long_to_be_repeated_is_unknown() {
    let of_length = |prefix: &str, length: usize| format!("{prefix}{}", "x".repeat(length - prefix.len()));
    for prefix in ["register-push-", "unregister-push-"] {
        assert!(read(&of_length(prefix, 256), "", &[DEVICE, TOKEN]).is_ok(), "{prefix}");
        for fields in [&[][..], &[DEVICE, TOKEN]] {
            let refused = read(&of_length(prefix, 257), "", fields);
            assert_eq!(refused, Err(StanzaError::ITEM_NOT_FOUND), "{prefix}");
        }
    }
}
