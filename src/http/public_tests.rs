use proptest::prelude::*;

use super::*;
use crate::domain::refusal::{Later, Refusal};

const BODY: &str = r#"{"account":"romeo@example.org","provider":"tigase:messenger:apns:1","device-token":"AC40"}"#;

/// A handler, and the driver's end of it. One request may wait.
fn public() -> (Public, mpsc::Receiver<Input>) {
    let (inputs, requests) = mpsc::channel(1);
    let public = Public {
        jid: Domain::new("push.example.org"),
        inputs,
        waiting: Arc::default(),
        clock: Clock::system(),
        answer_within: Duration::from_secs(10),
        served: Arc::default(),
    };
    (public, requests)
}

fn request(method: &str, path: &str, body: &str) -> Request<Bytes> {
    Request::builder().method(method).uri(path).body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

fn expected() -> DeviceUnregistration {
    DeviceUnregistration {
        command: "unregister-device".into(),
        service: "tigase:messenger:apns:1".into(),
        owner: Account::new("romeo@example.org"),
        account: DeviceHash::of("romeo@example.org", "ac40"),
        channel: None,
    }
}

#[test]
fn what_is_asked_where() {
    let (public, _requests) = public();
    let ours = "/unregister-device/push.example.org";
    let rows = [
        ("POST", ours, Ok(expected())),
        ("POST", "/rest/push/unregister-device/push.example.org", Ok(expected())),
        ("POST", "/unregister-device/Push.Example.ORG", Ok(expected())),
        ("POST", "/unregister-device/push%2Eexample.org?x=y", Ok(expected())),
        ("GET", ours, Err(StatusCode::METHOD_NOT_ALLOWED)),
        ("DELETE", ours, Err(StatusCode::METHOD_NOT_ALLOWED)),
        ("POST", "/unregister-device/push.example.net", Err(StatusCode::NOT_FOUND)),
        ("POST", "/unregister-device/push.example.org/x", Err(StatusCode::NOT_FOUND)),
        ("POST", "/unregister-device/%FF", Err(StatusCode::NOT_FOUND)),
        ("POST", "/unregister-device/", Err(StatusCode::NOT_FOUND)),
        ("POST", "/unregister-device", Err(StatusCode::NOT_FOUND)),
        ("POST", "/v1/unregister", Err(StatusCode::NOT_FOUND)),
        ("GET", "/", Err(StatusCode::NOT_FOUND)),
    ];
    for (method, path, expected) in rows {
        assert_eq!(public.read(&request(method, path, BODY)), expected, "{method} {path}");
    }
}

#[test]
fn what_may_be_in_a_body() {
    let with = |account: &str, provider: &str, token: &str| {
        serde_json::json!({ "account": account, "provider": provider, "device-token": token }).to_string()
    };
    let provider = "tigase:messenger:apns:1";
    let rows = [
        (BODY.to_owned(), true),
        (with(" Romeo@Example.org ", provider, " ac40\n"), true),
        (BODY.replace('}', r#","more":[1]}"#), true),
        (with("example.org", provider, "AC40"), false),
        (with("romeo@example.org/phone", provider, "AC40"), false),
        (with("@", provider, "AC40"), false),
        (with("romeo@example.org", " ", "AC40"), false),
        (with("romeo@example.org", provider, " "), false),
        (with("romeo@example.org", provider, "AC\u{0}40"), false),
        (BODY.replace("account", "jid"), false),
        (BODY.replace("\"AC40\"", "64"), false),
        (BODY.replace('}', r#","account":"juliet@example.org"}"#), false),
        (format!("{BODY}{BODY}"), false),
        ("account=romeo%40example.org".to_owned(), false),
        ("[".repeat(4096), false),
        (String::new(), false),
    ];
    for (body, fine) in rows {
        assert_eq!(unregistration(body.as_bytes()), fine.then(expected), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_answer_is_the_drivers_and_without_one_it_is_503() {
    let unregistered = Answer::Unregistered { command: "unregister-device".into() };
    let rows = [
        (Some(unregistered), 200, r#"{"result":"success"}"#),
        (Some(Answer::Refused(Refusal::NotRegistered)), 404, r#"{"result":"failure"}"#),
        (Some(Answer::Refused(Refusal::NoSuchApp)), 404, r#"{"result":"failure"}"#),
        (Some(Answer::Refused(Refusal::TryLater(Later::Store))), 503, r#"{"result":"failure"}"#),
        (None, 503, r#"{"result":"failure"}"#),
    ];
    for (told, status, body) in rows {
        use http_body_util::BodyExt as _;
        let (public, mut requests) = public();
        let driver = async {
            let ticket = requests.recv().await.unwrap().into_ticket().unwrap();
            let crate::flows::data::Door::Http(number) = ticket.door else { panic!("{ticket:?}") };
            if let Some(told) = told {
                public.waiting.answer(number, told);
            }
        };
        let asked = public.handle(request("POST", "/unregister-device/push.example.org", BODY));
        let (response, ()) = tokio::join!(asked, driver);
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (status, &"application/json".parse().unwrap())
        );
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), body);
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_busy_or_gone_is_503_at_once() {
    let (public, requests) = public();
    public.inputs.try_send(Input::Tick).unwrap();
    let ask = || public.handle(request("POST", "/unregister-device/push.example.org", BODY));
    let before = public.clock.steady();
    assert_eq!(ask().await.status(), 503);
    drop(requests);
    assert_eq!(ask().await.status(), 503);
    assert_eq!(public.clock.steady(), before);
}

proptest! {
    #[test]
    fn no_body_and_no_path_panics(body in prop::collection::vec(any::<u8>(), 0..200), path in "[/a-z%0-9A-F.-]{0,60}") {
        let _nothing = unregistration(&body);
        let _nothing = public().0.is_our_name(&path);
    }
}
