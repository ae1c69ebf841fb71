//! Commands as old releases of Monal and yaxim send them, and as they should not.

use super::super::tests::{read, registration, unregistration};
use super::*;
use crate::domain::device::Access;
use crate::domain::ids::Account;
use crate::domain::secret::DeviceToken;

const TYPE: (&str, &str) = ("type", "apns");
const NODE: (&str, &str) = ("node", "E0FF1D8C-EB96-4E10-A912-F68B03FD8D3E");
const TOKEN: (&str, &str) = ("token", "ab12");

#[test]
fn the_client_chooses_its_node() {
    let form_type = ("FORM_TYPE", "https://github.com/tmolitor-stud-tu/mod_push_appserver/#v1-register-push");
    let expected = DeviceRegistration {
        command: "v1-register-push".into(),
        service: "apns".into(),
        owner: Account::new("romeo@example.org"),
        account: DeviceHash::of("romeo@example.org", "v1 E0FF1D8C-EB96-4E10-A912-F68B03FD8D3E"),
        room: None,
        token: DeviceToken::new("ab12"),
        voip_token: None,
        node: Some(Node::new("E0FF1D8C-EB96-4E10-A912-F68B03FD8D3E")),
        access: Access::Secret,
    };
    assert_eq!(registration("v1-register-push", &[form_type, TYPE, NODE, TOKEN]), expected);
    let taken_back = unregistration("v1-unregister-push", &[TYPE, NODE]);
    assert_eq!((taken_back.account, &*taken_back.service), (expected.account, "apns"));
    assert_eq!(&*taken_back.command, "v1-unregister-push");
}

#[test]
fn a_node_is_taken_verbatim_but_not_at_any_length() {
    let longest = "é".repeat(128);
    for node in ["n", " n ", "n+/=", "Ñ", &longest] {
        let registration = registration("v1-register-push", &[TYPE, TOKEN, ("node", node)]);
        assert_eq!(registration.node.as_ref().map(Node::as_str), Some(node));
    }
    let too_long = format!("{longest}n");
    for node in ["", "a\u{7f}b", "a\nb", "a\tb", "\u{85}", &too_long] {
        for command in ["v1-register-push", "v1-unregister-push"] {
            assert_eq!(read(command, "", &[TYPE, TOKEN, ("node", node)]), Err(StanzaError::BAD_PAYLOAD), "{node:?}");
        }
    }
}

#[test]
fn what_is_malformed_is_a_bad_payload() {
    let long = "a".repeat(4097);
    for field in [("token", " "), ("token", "a\u{7f}b"), ("token", &*long), ("type", " ")] {
        let mut fields = vec![TYPE, NODE, TOKEN];
        fields.retain(|(name, _)| *name != field.0);
        fields.push(field);
        assert_eq!(read("v1-register-push", "", &fields), Err(StanzaError::BAD_PAYLOAD), "{}", field.0);
    }
}
