//! `[http]` of the whole program, over real connections: metrics of what happened, and health.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::bridged::Bridge;
use crate::exposition::Page;
use crate::http::{exchange, request};
use crate::support::host::{BRIDGED, JID, Session};
use crate::support::vendor::{Answer, Behaviour};
use crate::whole_rig::{Device, Whole, publish, register, registered, registration};

/// Longer than anything takes.
const SOON: Duration = Duration::from_secs(30);

/// pushkeeper with `[http]` and a host, whose bridge is not linked yet.
pub(crate) async fn start() -> (Whole, Session<TcpStream>) {
    let rest = format!(
        "[push]\nmax_per_domain = 0\n[rules]\nburst_window = \"0s\"\n[[hosts]]\ndomain = \"{BRIDGED}\"\n\
         [http]\nlisten = \"127.0.0.1:0\"\n"
    );
    Whole::start(&rest).await
}

/// What is answered at a path.
pub(crate) async fn get(whole: &Whole, path: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(address(whole)).await.expect("it listens");
    let (status, _, body) = exchange(&mut socket, &request("GET", path, "Connection: close\r\n", "")).await;
    (status, body)
}

fn address(whole: &Whole) -> SocketAddr {
    whole.operators.expect("it listens")
}

/// Waits until a path is answered so.
async fn until(whole: &Whole, path: &str, wanted: impl Fn(u16, &str) -> bool) -> String {
    let wait = async {
        loop {
            let (status, body) = get(whole, path).await;
            if wanted(status, &body) {
                return body;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, wait).await.unwrap_or_else(|_| panic!("{path} is never answered so"))
}

pub(crate) async fn page(whole: &Whole) -> Page {
    let (status, text) = get(whole, "/metrics").await;
    assert_eq!(status, 200);
    Page::read(&text)
}

/// Publishes once to each device, and waits until all are answered.
async fn publish_to_all(host: &mut Session<TcpStream>, devices: &[Device], round: usize) {
    for (number, device) in devices.iter().enumerate() {
        host.send(&publish(&format!("p{round}-{number}"), device, "juliet-the-sender@x", "the-words")).await;
    }
    let mut answered = 0;
    while answered < devices.len() {
        let stanza = host.stanza().await;
        answered += usize::from(stanza.starts_with("<iq type='result'") && stanza.contains("id='p"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_the_page_counts_what_was_sent_and_names_nobody() {
    let (mut whole, session) = start().await;
    let mut host = Bridge::link(session, BRIDGED).await.into_session();
    let mut devices = Vec::new();
    for number in 0..60 {
        let (service, token) = if number % 2 == 0 { ("apns", "ba5eba11") } else { ("fcm", "fcm-t0ken-") };
        let name = format!("phone-{number}");
        devices.push(register(&mut host, service, &name, &format!("{token}{number:04}")).await);
    }
    for round in 0..10 {
        publish_to_all(&mut host, &devices, round).await;
    }
    // A secret that is wrong.
    let wrong = Device { secret: "wr0ng".into(), ..devices[0].clone() };
    host.send(&publish("w1", &wrong, "", "")).await;
    assert!(host.stanza().await.contains("<item-not-found"));
    let (status, text) = get(&whole, "/metrics").await;
    let page = Page::read(&text);
    assert_eq!((status, page.write()), (200, text.clone()));

    let apps = [[("app", "android")], [("app", "ios")]];
    for app in &apps {
        let [label] = *app;
        assert_eq!(page.value("pushkeeper_pushes_total", &[label, ("outcome", "accepted")]), 300.0, "{app:?}");
        assert_eq!(page.value("pushkeeper_vendor_seconds_count", app), 300.0);
        assert_eq!(page.value("pushkeeper_push_seconds_count", app), 300.0);
        let (vendor, whole) =
            (page.value("pushkeeper_vendor_seconds_sum", app), page.value("pushkeeper_push_seconds_sum", app));
        // The one is measured by the steady clock, the other by the wall clock, which counts milliseconds.
        assert!(0.0 < vendor && vendor < whole + 0.3, "{vendor} {whole}");
    }
    let rows = [
        ("pushkeeper_inputs_total", ("input", "publish"), 601.0),
        ("pushkeeper_inputs_total", ("input", "register"), 60.0),
        ("pushkeeper_decision_seconds_count", ("input", "publish"), 601.0),
        ("pushkeeper_answers_total", ("answer", "registered"), 60.0),
        ("pushkeeper_answers_total", ("answer", "no-such-device"), 1.0),
        ("pushkeeper_decisions_total", ("decision", "wrong_secret"), 1.0),
        ("pushkeeper_devices", ("state", "registered"), 60.0),
        ("pushkeeper_host_linked", ("host", BRIDGED), 1.0),
    ];
    for (name, label, expected) in rows {
        assert_eq!(page.value(name, &[label]), expected, "{name} {label:?}");
    }
    assert!(page.value("pushkeeper_answers_total", &[("answer", "done")]) >= 600.0);
    assert_eq!(page.sum("pushkeeper_pushes_total"), 600.0);
    assert_eq!(page.value("pushkeeper_stream_up", &[]), 1.0);
    assert!(page.value("pushkeeper_stanzas_total", &[]) >= 661.0);
    assert!(page.value("pushkeeper_history_lines", &[]) >= 60.0);

    let secrets = devices.iter().flat_map(|device| [device.node.as_str(), device.secret.as_str()]);
    for secret in secrets.chain(["ba5eba11", "fcm-t0ken", "phone-", "juliet", "the-words", "wr0ng"]) {
        assert!(!text.contains(secret), "{secret} is on the page");
    }
    // What is measured now and then.
    let measured = until(&whole, "/metrics", |_, text| text.contains("\npushkeeper_store_bytes ")).await;
    let measured = Page::read(&measured);
    assert!(measured.value("pushkeeper_store_bytes", &[]) > 1000.0);
    assert!(measured.value("pushkeeper_resident_memory_bytes", &[]) > 1e6);
    assert!(measured.value("pushkeeper_http_requests_total", &[("listener", "operators"), ("status", "2xx")]) >= 1.0);
    whole.stop(host).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_follows_stream_and_hosts_and_only_mentions_circuits() {
    let (mut whole, session) = start().await;
    assert_eq!(get(&whole, "/healthz").await, (200, "ok\n".to_owned()));
    let unlinked = until(&whole, "/readyz", |status, text| status == 503 && text.contains(BRIDGED)).await;
    assert!(unlinked.starts_with(&format!("not ready\n{BRIDGED} is not linked")), "{unlinked}");
    let mut bridge = Bridge::link(session, BRIDGED).await;
    assert_eq!(until(&whole, "/readyz", |status, _| status == 200).await, "ready\n");

    // A vendor that refuses our credentials keeps pushes back, and nothing else.
    let token = "aabbcc01";
    whole.vendor.always(token, Behaviour::Answer(Answer::apns(403, "InvalidProviderToken")));
    let device = registered(&bridge.ask("r-romeo", &registration("apns", "romeo", token)).await);
    bridge.ask("p1", &publish("p1", &device, "", "")).await;
    assert_eq!(
        get(&whole, "/readyz").await,
        (200, "ready\npushes of [apps.ios] are kept: InvalidProviderToken\n".into())
    );
    let page = page(&whole).await;
    let open = |fault| page.value("pushkeeper_app_circuit_open", &[("app", "ios"), ("fault", fault)]);
    assert_eq!([open("operator"), open("vendor")], [1.0, 0.0]);
    let reason = [("app", "ios"), ("reason", "InvalidProviderToken")];
    assert!(page.value("pushkeeper_vendor_refusals_total", &reason) >= 1.0);
    assert_eq!(page.value("pushkeeper_outbox_pushes", &[]), 1.0);

    drop(bridge.into_session());
    let lost = until(&whole, "/readyz", |status, _| status == 503).await;
    assert!(lost.starts_with("not ready\nthere is no stream to the XMPP server"), "{lost}");
    assert_eq!(get(&whole, "/healthz").await.0, 200, "a restart would not help");
    let host = whole.host.component().await;
    whole.stop(host).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_brings_as_many_requests_as_its_client_likes_and_ends_with_the_program() {
    let (mut whole, host) = start().await;
    let mut socket = TcpStream::connect(address(&whole)).await.unwrap();
    let rows = [
        ("GET", "/healthz", "HTTP/1.1 200 OK"),
        ("HEAD", "/metrics", "HTTP/1.1 200 OK"),
        ("POST", "/metrics", "HTTP/1.1 405 Method Not Allowed"),
        ("GET", "/metrics/", "HTTP/1.1 404 Not Found"),
        ("GET", &format!("/unregister-device/{JID}"), "HTTP/1.1 404 Not Found"),
        ("GET", "/healthz", "HTTP/1.1 200 OK"),
    ];
    for (method, path, expected) in rows {
        socket.write_all(request(method, path, "", "").as_bytes()).await.unwrap();
        let head = head(&mut socket, method == "HEAD").await;
        assert_eq!(head.lines().next(), Some(expected), "{method} {path}");
        assert_eq!(head.contains("\r\nallow: GET, HEAD\r\n"), method == "POST", "{head}");
    }
    whole.stop(host).await.unwrap();
    let rest = timeout(SOON, socket.read(&mut [0; 16])).await.expect("it ends with the program");
    assert_eq!(rest.unwrap_or(0), 0);
}

/// Reads one answer, and returns its head.
async fn head(socket: &mut TcpStream, without_body: bool) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(SOON, socket.read_u8()).await.expect("in time").expect("it is open"));
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let mut body = vec![0; if without_body { 0 } else { length.parse().unwrap() }];
    timeout(SOON, socket.read_exact(&mut body)).await.expect("in time").expect("the body");
    head
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_named_with_its_key() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let http = pushkeeper::config::Http { listen: Some(address), public: None };
    let failure = pushkeeper::app::Listeners::bind(&http).unwrap_err().to_string();
    assert_eq!(failure, format!("http.listen: cannot listen at {address}: Address already in use (os error 98)"));
}
