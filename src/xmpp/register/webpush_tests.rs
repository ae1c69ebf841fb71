//! Commands as pages send them, and as they should not.

use super::super::tests::{read, registration, unregistration};
use super::*;
use crate::domain::device::Access;
use crate::domain::ids::{Account, DeviceHash};
use crate::domain::secret::DeviceToken;

/// RFC 8291 §5.
const P256DH: (&str, &str) =
    ("p256dh", "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4");
const AUTH: (&str, &str) = ("auth", "BTBZMqHH6r4Tts7J_aSIgg");
const ENDPOINT: (&str, &str) = ("endpoint", "https://push.example.net/push/JzLQ3raZ?a=1");
const JSON: &str = r#"{"endpoint":"https://push.example.net/push/JzLQ3raZ?a=1","expirationTime":null,"keys":{"p256dh":
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    "auth":"BTBZMqHH6r4Tts7J_aSIgg"}}"#;

fn page(device_id: &str) -> DeviceRegistration {
    DeviceRegistration {
        command: "register-push-webpush".into(),
        service: "webpush".into(),
        owner: Account::new("romeo@example.org"),
        account: DeviceHash::of("romeo@example.org", device_id),
        room: None,
        token: DeviceToken::new(format!("{} {} {}", ENDPOINT.1, P256DH.1, AUTH.1)),
        voip_token: None,
        node: None,
        access: Access::Secret,
    }
}

#[test]
fn a_subscription_comes_in_three_fields_or_as_one() {
    let command = "register-push-webpush";
    let by_endpoint = page(ENDPOINT.1);
    assert_eq!(registration(command, &[ENDPOINT, P256DH, AUTH]), by_endpoint);
    assert_eq!(registration(command, &[("subscription", JSON)]), by_endpoint);
    assert_eq!(
        registration(command, &[("endpoint", " https://push.example.net/push/JzLQ3raZ?a=1\n"), P256DH, AUTH]),
        by_endpoint
    );
    assert_eq!(registration(command, &[("subscription", "{}"), ENDPOINT, P256DH, AUTH]), by_endpoint);
    // A page that knows its browser is the same device after the browser renewed its subscription.
    let named = page("browser-1");
    assert_eq!(registration(command, &[ENDPOINT, P256DH, AUTH, ("device-id", "browser-1")]), named);
    assert_eq!(registration(command, &[("subscription", JSON), ("device-id", "browser-1")]), named);
    assert_eq!(named.token.reveal(), Subscription::of_token(&named.token).unwrap().to_token().reveal());
}

#[test]
fn an_app_can_be_meant_by_its_name() {
    let chat = registration("register-push-chat", &[ENDPOINT, P256DH, AUTH]);
    let expected =
        DeviceRegistration { command: "register-push-chat".into(), service: "chat".into(), ..page(ENDPOINT.1) };
    assert_eq!(chat, expected);
    // With a token it is Conversations' dialect, whatever stands beside it.
    let phone = registration("register-push-chat", &[("token", "t"), ("device-id", "d"), ENDPOINT]);
    assert_eq!(phone.token.reveal(), "t");
    // But a token is no subscription.
    let token = read("register-push-webpush", "", &[("token", "t"), ("device-id", "d")]);
    assert_eq!(token, Err(StanzaError::BAD_PAYLOAD));
}

#[test]
fn a_page_takes_its_device_back_by_what_named_it() {
    let rows: [(&[(&str, &str)], &str); 5] = [
        (&[ENDPOINT], ENDPOINT.1),
        (&[("endpoint", " https://push.example.net/push/JzLQ3raZ?a=1 ")], ENDPOINT.1),
        (&[("subscription", JSON)], ENDPOINT.1),
        (&[("device-id", "browser-1")], "browser-1"),
        (&[("device-id", "browser-1"), ENDPOINT], "browser-1"),
    ];
    for (fields, device_id) in rows {
        let taken_back = unregistration("unregister-push-webpush", fields);
        assert_eq!(taken_back.account, page(device_id).account, "{device_id}");
        assert_eq!((&*taken_back.service, taken_back.channel), ("webpush", None), "{device_id}");
    }
}

#[test]
fn what_is_no_subscription_is_a_bad_payload() {
    let long = format!("{{\"endpoint\":\"{}\"}}", "a".repeat(MAX_JSON));
    let device = "d".repeat(257);
    let rows: [&[(&str, &str)]; 13] = [
        &[("endpoint", "http://push.example.net/x"), P256DH, AUTH],
        &[("endpoint", "https://127.0.0.1/x"), P256DH, AUTH],
        &[("endpoint", "https://localhost/x"), P256DH, AUTH],
        &[("endpoint", "https://push.example.net/x y"), P256DH, AUTH],
        &[ENDPOINT, ("p256dh", "AAAA"), AUTH],
        &[ENDPOINT, P256DH, ("auth", "AAAA")],
        &[ENDPOINT, P256DH, AUTH, ("device-id", &device)],
        &[("subscription", "")],
        &[("subscription", "{}")],
        &[("subscription", "[1]")],
        &[("subscription", "{\"endpoint\":1}")],
        &[("subscription", "{\"endpoint\":\"https://a.example/b\",\"keys\":null}")],
        &[("subscription", &long)],
    ];
    for fields in rows {
        assert_eq!(read("register-push-webpush", "", fields), Err(StanzaError::BAD_PAYLOAD), "{:.80}", fields[0].1);
    }
}
