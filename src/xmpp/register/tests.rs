//! What all dialects have in common: names, actions, owners, empty forms, and hostile forms. And how the tests of each
//! read a command.

use xmpp_parsers::data_forms::{DataForm, DataFormType, FieldType};
use xmpp_parsers::minidom::Element as Tree;

use super::*;
use crate::xmpp::ns;

pub(super) const ROMEO: &str = "romeo@example.org/phone";

/// A command with this content.
pub(super) fn read_from(from: &str, node: &str, attributes: &str, content: &str) -> Result<Command, StanzaError> {
    let text = format!("<command xmlns='{}' node='{node}' {attributes}>{content}</command>", ns::COMMANDS);
    let document = crate::xmpp::xml::Document::parse(&text).expect("the test's XML");
    let providers = || vec!["snikket:apns:1".to_owned(), "tigase:messenger:apns:1".to_owned()];
    command(document.root_element(), &Sender::read(&from.into()).expect("the test's JID"), providers)
}

/// A command of Romeo's with this form.
pub(super) fn read(node: &str, attributes: &str, fields: &[(&str, &str)]) -> Result<Command, StanzaError> {
    read_from(ROMEO, node, attributes, &form(fields))
}

/// A command of Romeo's that registers.
pub(super) fn registration(node: &str, fields: &[(&str, &str)]) -> DeviceRegistration {
    match read(node, "", fields) {
        Ok(Command::Register(registration)) => registration,
        other => panic!("{node}: {other:?}"),
    }
}

/// A command of Romeo's that takes a device back.
pub(super) fn unregistration(node: &str, fields: &[(&str, &str)]) -> DeviceUnregistration {
    match read(node, "", fields) {
        Ok(Command::Unregister(unregistration)) => unregistration,
        other => panic!("{node}: {other:?}"),
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    let field = |(name, value): &(&str, &str)| format!("<field var='{name}'><value>{value}</value></field>");
    let fields: String = fields.iter().map(field).collect();
    format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>")
}

const P256DH: &str = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";

/// Every command, and fields that it is content with.
const COMMANDS: [(&str, &[(&str, &str)]); 10] = [
    ("register-push-fcm", &[("token", "t"), ("android-id", "d")]),
    ("register-push-gcm", &[("token", "t"), ("device-id", "d")]),
    ("unregister-push-fcm", &[("android-id", "d")]),
    (
        "register-push-webpush",
        &[("endpoint", "https://a.example/b"), ("p256dh", P256DH), ("auth", "BTBZMqHH6r4Tts7J_aSIgg")],
    ),
    ("unregister-push-webpush", &[("endpoint", "https://a.example/b")]),
    ("unregister-push-webpush", &[("device-id", "d")]),
    ("register-device", &[("provider", "snikket:apns:1"), ("device-token", "AB12")]),
    ("unregister-device", &[("provider", "snikket:apns:1"), ("device-token", "AB12")]),
    ("v1-register-push", &[("type", "apns"), ("node", "n"), ("token", "ab12")]),
    ("v1-unregister-push", &[("type", "apns"), ("node", "n")]),
];

fn is_asked_to(read: &Result<Command, StanzaError>, command: &str) -> bool {
    match read {
        Ok(Command::Register(registration)) => !command.contains("unregister") && &*registration.command == command,
        Ok(Command::Unregister(asked)) => command.contains("unregister") && &*asked.command == command,
        _ => false,
    }
}

#[test]
fn every_command_is_known_and_carried_out_with_any_action_that_goes_on() {
    for (command, fields) in COMMANDS {
        assert!(is_command(command), "{command}");
        for action in ["", "action='execute'", "action='complete'", "action='next'", "sessionid='made-up'", "action=''"]
        {
            let read = read(command, action, fields);
            assert!(is_asked_to(&read, command), "{command} {action}: {read:?}");
        }
    }
}

#[test]
fn the_type_of_a_form_its_form_type_and_the_types_of_fields_do_not_matter() {
    for (command, fields) in COMMANDS {
        for kind in ["", "type='form'", "type='result'", "type='nonsense'"] {
            let fields: String = fields
                .iter()
                .map(|(name, value)| {
                    format!("<field var='{name}' type='jid-multi' label='x'><value/><value>{value}</value><value>no</value></field>")
                })
                .collect();
            let form = format!(
                "<x xmlns='jabber:x:data' {kind}><title/><field var='FORM_TYPE'><value>urn:other</value></field>\
                 <field var='unknown'/><field><value>nameless</value></field>{fields}</x>"
            );
            let read = read_from(ROMEO, command, "", &form);
            assert!(is_asked_to(&read, command), "{command} {kind}: {read:?}");
        }
    }
}

#[test]
fn what_is_missing_is_a_bad_payload_in_every_dialect() {
    for (command, fields) in COMMANDS {
        for missing in 0..fields.len() {
            let mut rest = fields.to_vec();
            let (name, _) = rest.remove(missing);
            assert_eq!(read(command, "", &rest), Err(StanzaError::BAD_PAYLOAD), "{command} without {name}");
            for nothing in ["", "<value/>"] {
                let empty = format!("<field var='{name}'>{nothing}</field></x>");
                let form = form(&rest).replace("</x>", &empty);
                assert_eq!(
                    read_from(ROMEO, command, "", &form),
                    Err(StanzaError::BAD_PAYLOAD),
                    "{command} {name} empty"
                );
            }
        }
        assert_eq!(read(command, "", &[]), Err(StanzaError::BAD_PAYLOAD), "{command}");
    }
}

#[test]
fn nobody_keeps_ten_kilobytes_with_us() {
    let long = "a".repeat(10_240);
    for (command, fields) in COMMANDS {
        // An unregistration keeps nothing, and a service's name chooses an app or none.
        let kept = |name: &str| !command.contains("unregister") && !matches!(name, "type" | "provider");
        for (at, (name, _)) in fields.iter().enumerate().filter(|(_, (name, _))| kept(name)) {
            let mut fields = fields.to_vec();
            let value = if *name == "endpoint" { format!("https://a.example/{long}") } else { long.clone() };
            fields[at].1 = &value;
            assert_eq!(read(command, "", &fields), Err(StanzaError::BAD_PAYLOAD), "{command}: {name}");
        }
    }
}

#[test]
fn actions_and_commands_that_are_none() {
    let fields = [("token", "t"), ("device-id", "d")];
    let rows = [
        ("register-push-fcm", "action='prev'", Err(StanzaError::BAD_ACTION)),
        ("register-push-fcm", "action='jump'", Err(StanzaError::MALFORMED_ACTION)),
        ("register-push-fcm", "action='cancel'", Ok(Command::Cancelled)),
        ("register-device", "action='cancel'", Ok(Command::Cancelled)),
        ("register-push-", "", Err(StanzaError::ITEM_NOT_FOUND)),
        ("unregister-push-", "", Err(StanzaError::ITEM_NOT_FOUND)),
        ("v2-register-push", "", Err(StanzaError::ITEM_NOT_FOUND)),
        ("Register-Device", "", Err(StanzaError::ITEM_NOT_FOUND)),
        ("", "", Err(StanzaError::ITEM_NOT_FOUND)),
    ];
    for (node, attributes, expected) in rows {
        assert_eq!(read(node, attributes, &fields), expected, "{node} {attributes}");
    }
    let cancelled = read_from("a@b/c", "register-push-fcm", "", "<x xmlns='jabber:x:data' type='cancel'/>");
    assert_eq!(cancelled, Ok(Command::Cancelled));
}

/// An answer repeats the name, escaped, and hosts end the stream of a component whose stanzas are too big.
#[test]
fn a_command_whose_name_is_too_long_to_be_repeated_is_unknown() {
    let of_length = |prefix: &str, length: usize| format!("{prefix}{}", "x".repeat(length - prefix.len()));
    for prefix in ["register-push-", "unregister-push-"] {
        let fields: [(&str, &str); 2] = [("token", "t"), ("device-id", "d")];
        assert!(read(&of_length(prefix, 256), "", &fields).is_ok(), "{prefix}");
        assert!(!is_command(&of_length(prefix, 257)), "{prefix}");
        for fields in [&[][..], &fields] {
            let refused = read(&of_length(prefix, 257), "", fields);
            assert_eq!(refused, Err(StanzaError::ITEM_NOT_FOUND), "{prefix}");
        }
    }
}

#[test]
fn only_accounts_have_devices() {
    for (command, fields) in COMMANDS {
        for from in ["example.org", "example.org/resource"] {
            assert_eq!(read_from(from, command, "", &form(fields)), Err(StanzaError::FORBIDDEN), "{from} {command}");
        }
        let read = read_from("romeo@example.org", command, "", "");
        assert!(matches!(read, Ok(Command::Ask(_))), "{command}: {read:?}");
    }
}

#[test]
fn the_owner_is_the_bare_jid_however_it_is_written() {
    for (command, fields) in COMMANDS {
        for from in ["Romeo@Example.ORG/a", "romeo@example.org", "romeo@example.org/😀"] {
            let owner = match read_from(from, command, "", &form(fields)) {
                Ok(Command::Register(registration)) => registration.owner,
                Ok(Command::Unregister(unregistration)) => unregistration.owner,
                other => panic!("{command}: {other:?}"),
            };
            assert_eq!(owner.as_str(), "romeo@example.org", "{from} {command}");
        }
    }
}

#[test]
fn without_a_form_the_one_to_fill_in_is_offered() {
    let rows: [(&str, &[&str]); 8] = [
        ("register-push-apns", &["token", "device-id"]),
        ("unregister-push-apns", &["device-id"]),
        ("register-push-webpush", &["endpoint", "p256dh", "auth", "device-id"]),
        ("unregister-push-webpush", &["device-id", "endpoint"]),
        ("register-device", &["provider", "device-token"]),
        ("unregister-device", &["provider", "device-token"]),
        ("v1-register-push", &["type", "node", "token"]),
        ("v1-unregister-push", &["type", "node"]),
    ];
    for (node, fields) in rows {
        let Ok(Command::Ask(content)) = read_from("a@b/c", node, "", "") else { panic!("{node}") };
        let tree: Tree = format!("<command xmlns='{}'>{content}</command>", ns::COMMANDS).parse().expect("XML");
        let actions = tree.get_child("actions", ns::COMMANDS).expect("actions");
        assert_eq!(actions.attr("execute"), Some("complete"), "{node}");
        assert!(actions.has_child("complete", ns::COMMANDS), "{node}");
        assert!(
            tree.children()
                .flat_map(Tree::children)
                .filter(|it| it.name() == "field")
                .all(|it| it.attr("type").is_some())
        );
        let form = DataForm::try_from(tree.get_child("x", ns::DATA_FORM).expect("a form").clone()).expect("a form");
        let names: Vec<_> = form.fields.iter().filter_map(|field| field.var.as_deref()).collect();
        assert_eq!((names.as_slice(), form.type_), (fields, DataFormType::Form), "{node}");
        let options: Vec<_> = form.fields[0].options.iter().map(|option| option.value.as_str()).collect();
        if node.ends_with("-device") {
            assert_eq!(form.fields[0].type_, FieldType::ListSingle, "{node}");
            assert_eq!(options, ["snikket:apns:1", "tigase:messenger:apns:1"], "{node}");
        } else {
            assert!(options.is_empty(), "{node}");
        }
    }
}
