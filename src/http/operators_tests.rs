use http_body_util::BodyExt as _;

use super::*;
use crate::http::Limits;
use crate::http::health::tests::status;

/// Says whether it was told how all of it stands.
struct Told;

impl Page for Told {
    fn page(&self, status: Option<&Status>) -> String {
        format!("told {}\n", status.is_some())
    }
}

fn operators() -> (Arc<Operators<Told>>, mpsc::Receiver<Input>) {
    let (inputs, requests) = mpsc::channel(1);
    let operators = Operators {
        inputs,
        waiting: Arc::default(),
        clock: Clock::system(),
        answer_within: Limits::for_operators().answer_within,
        page: Told,
        served: Arc::default(),
    };
    (Arc::new(operators), requests)
}

async fn ask(operators: &Operators<Told>, method: &str, path: &str) -> (u16, String) {
    let request = Request::builder().method(method).uri(path).body(Bytes::new()).unwrap();
    let response = operators.handle(request).await;
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    let (code, kind) = (response.status().as_u16(), response.headers()[CONTENT_TYPE].clone());
    assert_eq!(kind, if code == 200 && path.starts_with("/metrics") { METRICS } else { TEXT });
    assert_eq!(response.headers().contains_key(ALLOW), code == 405);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (code, String::from_utf8(body.to_vec()).unwrap())
}

/// A driver that says this, until nobody asks any more.
fn driver(operators: &Operators<Told>, mut requests: mpsc::Receiver<Input>, status: Status) {
    let waiting = operators.waiting.clone();
    tokio::spawn(async move {
        while let Some(input) = requests.recv().await {
            let Input::Status { ticket } = input else { panic!("{input:?}") };
            let crate::flows::data::Door::Http(number) = ticket.door else { panic!("{ticket:?}") };
            waiting.answer(number, Answer::Status(Box::new(status.clone())));
        }
    });
}

#[tokio::test]
async fn a_driver_that_answers_is_healthy_and_ready_if_all_is_in_order() {
    let (operators, requests) = operators();
    driver(&operators, requests, status());
    let rows = [
        ("GET", "/healthz", 200, "ok\n"),
        ("HEAD", "/healthz", 200, "ok\n"),
        ("GET", "/readyz", 200, "ready\n"),
        ("GET", "/readyz?verbose=1", 200, "ready\n"),
        ("GET", "/metrics", 200, "told true\n"),
        ("POST", "/metrics", 405, "405 Method Not Allowed\n"),
        ("DELETE", "/readyz", 405, "405 Method Not Allowed\n"),
        ("GET", "/", 404, "404 Not Found\n"),
        ("POST", "/metrics/", 404, "404 Not Found\n"),
    ];
    for (method, path, code, text) in rows {
        assert_eq!(ask(&operators, method, path).await, (code, text.to_owned()), "{method} {path}");
    }
}

#[tokio::test]
async fn a_driver_that_has_reasons_is_healthy_and_not_ready() {
    let (operators, requests) = operators();
    driver(&operators, requests, Status { read_only: true, ..status() });
    assert_eq!(ask(&operators, "GET", "/healthz").await, (200, "ok\n".to_owned()));
    let (code, text) = ask(&operators, "GET", "/readyz").await;
    assert_eq!((code, text.lines().next()), (503, Some("not ready")));
    assert!(text.contains("\nthe store takes no writes"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_stuck_is_neither_and_its_counters_are_shown_all_the_same() {
    let (operators, requests) = operators();
    let stuck = format!("not ready\n{STUCK}\n");
    for (path, code, text) in
        [("/healthz", 503, stuck.as_str()), ("/readyz", 503, &stuck), ("/metrics", 200, "told false\n")]
    {
        let asked = operators.clock.steady();
        assert_eq!(ask(&operators, "GET", path).await, (code, text.to_owned()), "{path}");
        let waited = operators.clock.steady() - asked;
        assert_eq!(waited.as_secs(), 2, "{path}");
    }
    drop(requests);
    assert_eq!(ask(&operators, "GET", "/healthz").await, (503, stuck));
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_strangers_have_filled_does_not_make_the_driver_look_stuck() {
    let (operators, requests) = operators();
    let number = operators.waiting.wait().number;
    let ticket = Ticket::over_http(number, operators.clock.steady());
    operators.inputs.try_send(Input::Status { ticket }).unwrap();
    let asking = tokio::spawn({
        let operators = operators.clone();
        async move { ask(&operators, "GET", "/healthz").await }
    });
    tokio::task::yield_now().await;
    driver(&operators, requests, status());
    assert_eq!(asking.await.unwrap(), (200, "ok\n".to_owned()));
}
