//! Web Push: endpoints come from clients, and push services from the internet. What either may not do to us.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pushkeeper::clock::Clock;
use pushkeeper::domain::outcome::Outcome;
use pushkeeper::domain::push::Push;
use pushkeeper::domain::secret::DeviceToken;
use pushkeeper::gateway::AppGateway;
use pushkeeper::gateway::webpush::{Limits, Settings, WebPush, resolve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::gateway_rig::{Rig, SOON, assert_all_accepted, push, reason, webpush, webpush_settings};
use crate::gateway_webpush::{to, vendor, with_limits};
use crate::support::vendor::webpush::Browser;
use crate::support::vendor::{Behaviour, Vendor};

#[tokio::test]
async fn a_slow_push_service_takes_no_places_of_the_others() {
    let vendor = vendor().await;
    let limits = Limits { deadline: Duration::from_secs(4), per_origin: 5, ..Limits::default() };
    let mut rig = Rig::start(AppGateway::WebPush(Box::new(with_limits(&vendor, limits))), 4096);
    vendor.always("slow", Behaviour::Never);
    let (slow, quick) = (Browser::at("slow.test", "slow"), Browser::at("push.test", "quick"));
    rig.deliver((0..50).map(|id| to(&slow, id)));
    let turned_away = rig.verdicts(45).await;
    for outcome in turned_away.values() {
        assert_eq!(reason(outcome, "unavailable"), "too many pushes wait for https://slow.test");
    }
    rig.deliver((50..55).map(|id| to(&quick, id)));
    let all = rig.verdicts(10).await;
    let (late, taken): (Vec<_>, Vec<_>) = all.into_iter().partition(|(id, _)| *id < 50);
    assert_eq!((late.len(), taken.len()), (5, 5));
    assert!(taken.iter().all(|(_, outcome)| *outcome == Outcome::Accepted), "{taken:?}");
    for (_, outcome) in &late {
        assert_eq!(reason(outcome, "unavailable"), "https://slow.test: timeout: no answer in time");
    }
    rig.deliver([to(&Browser::at("slow.test", "awake"), 60)]);
    assert_all_accepted(&rig.verdicts(1).await);
    rig.end().await;
}

#[tokio::test]
async fn only_allowed_hosts_are_posted_to_and_only_on_443() {
    let vendor = vendor().await;
    let webpush = webpush(&vendor);
    let browser = Browser::at("push.test", "b-1");
    let token = |endpoint: &str| DeviceToken::new(format!("{endpoint} {} {}", browser.p256dh(), browser.auth()));
    let not_allowed =
        Outcome::Unavailable { retry_after: None, reason: "the endpoint's host is not in allow_hosts".into() };
    let malformed = Outcome::Unfit("malformed subscription".into());
    let rows = [
        ("https://push.test/push/b-1", Outcome::Accepted),
        ("https://PUSH.test:443/push/b-1", Outcome::Accepted),
        ("https://push.test:8443/push/b-1", not_allowed.clone()),
        ("https://a.push.test/push/b-1", not_allowed.clone()),
        ("https://push.test.evil.example/push/b-1", not_allowed.clone()),
        ("https://evil.example/push.test", not_allowed),
        ("https://push.test@evil.example/", malformed.clone()),
        ("http://push.test/push/b-1", malformed.clone()),
        ("https://127.0.0.1/push/b-1", malformed.clone()),
        ("https://[::1]/push/b-1", malformed.clone()),
        ("not a subscription", malformed),
    ];
    for (endpoint, expected) in rows {
        let push = Push { token: token(endpoint), ..push(1) };
        assert_eq!(webpush.send(&push).await, expected, "{endpoint}");
    }
    assert_eq!(vendor.pushes().len(), 2);
    let off_curve =
        format!("{} {} {}", browser.endpoint, "BAEB".to_owned() + &"AQEB".repeat(20) + "AQE", browser.auth());
    let push = Push { token: DeviceToken::new(off_curve), ..push(1) };
    assert_eq!(webpush.send(&push).await, Outcome::Unfit("the subscription's p256dh is no key".into()));
}

/// A gateway without stand-ins whose names have these addresses, one answer after the other; and how often it asked.
fn resolving(vendor: &Vendor, answers: &[&[&str]]) -> (WebPush, Arc<AtomicUsize>) {
    let answers: Vec<Vec<IpAddr>> =
        answers.iter().map(|answer| answer.iter().map(|text| text.parse().unwrap()).collect()).collect();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let lookup: resolve::Lookup = Arc::new(move |_| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let answer = answers.get(number).or(answers.last()).cloned().unwrap_or_default();
        Box::pin(async move { Ok(answer) })
    });
    let settings = Settings { lookup, connect_to: [].into(), ..webpush_settings(vendor) };
    (WebPush::new(settings, Clock::system()).unwrap(), asked)
}

#[tokio::test]
async fn an_address_that_is_not_public_is_never_connected_to() {
    let vendor = vendor().await;
    let browser = Browser::at("push.test", "b-1");
    for address in ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fe80::1", "::ffff:127.0.0.1"] {
        let (webpush, asked) = resolving(&vendor, &[&[address]]);
        let outcome = webpush.send(&to(&browser, 1)).await;
        let expected = format!("push.test has an address that is not public ({address}): not connected");
        assert_eq!(reason(&outcome, "unavailable"), expected);
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }
    let (nowhere, _) = resolving(&vendor, &[&[]]);
    assert_eq!(reason(&nowhere.send(&to(&browser, 1)).await, "unavailable"), "push.test has no address");
    assert_eq!(vendor.connections(), 0);
}

#[tokio::test]
async fn a_name_that_turns_to_the_inside_gains_nothing() {
    // The only public address that a test may name is one beside a private one: then nothing is connected to.
    let vendor = vendor().await;
    let browser = Browser::at("push.test", "b-1");
    let (webpush, asked) = resolving(&vendor, &[&["9.9.9.9", "127.0.0.1"], &["127.0.0.1", "9.9.9.9"], &["127.0.0.1"]]);
    for id in 1..=3 {
        let outcome = webpush.send(&to(&browser, id)).await;
        let expected = "push.test has an address that is not public (127.0.0.1): not connected";
        assert_eq!(reason(&outcome, "unavailable"), expected);
        assert_eq!(asked.load(Ordering::Relaxed) as u64, id, "asked anew for each connection, and once");
    }
    assert_eq!(vendor.connections(), 0);
}

#[tokio::test]
async fn the_systems_resolver_finds_this_machine_and_is_not_believed() {
    let found = resolve::system()("localhost".to_owned()).await.unwrap();
    assert!(!found.is_empty() && found.iter().all(|address| !resolve::is_public(*address)), "{found:?}");
}

/// A push service on HTTP/1.1: reads a request whole, then does as it is told.
struct Http1 {
    address: std::net::SocketAddr,
    connections: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Drop for Http1 {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

type Wire = TlsStream<TcpStream>;

impl Http1 {
    /// `answer` writes an answer; the connection goes on if it says so.
    async fn start<F>(vendor: &Vendor, answer: impl Fn(Wire) -> F + Clone + Send + 'static) -> Self
    where
        F: Future<Output = Option<Wire>> + Send,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(vendor.keys().tls(&[b"http/1.1"])));
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = accepted.clone();
        let serving = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let (acceptor, answer) = (acceptor.clone(), answer.clone());
                connections.spawn(async move {
                    let Ok(mut tls) = acceptor.accept(tcp).await else { return };
                    while read_request(&mut tls).await {
                        let Some(kept) = answer(tls).await else { return };
                        tls = kept;
                    }
                });
            }
        });
        Self { address, connections: accepted, serving }
    }

    fn gateway(&self, vendor: &Vendor, limits: Limits) -> WebPush {
        let connect_to = [("push.test".to_owned(), self.address)].into();
        WebPush::new(Settings { connect_to, limits, ..webpush_settings(vendor) }, Clock::system()).unwrap()
    }
}

/// False if the connection ended.
async fn read_request(tls: &mut Wire) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match tls.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return false,
        }
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("POST /push/b-1 HTTP/1.1\r\n") && head.contains("\r\nhost: push.test\r\n"), "{head}");
    let mut body = vec![0; 2902];
    assert!(head.contains("content-length: 2902\r\n"), "{head}");
    tls.read_exact(&mut body).await.is_ok()
}

async fn say(mut tls: Wire, text: &[u8]) -> Option<Wire> {
    tls.write_all(text).await.ok()?;
    tls.flush().await.ok()?;
    Some(tls)
}

#[tokio::test]
async fn a_push_service_on_http_1_1_is_spoken_to_over_a_few_connections() {
    let vendor = vendor().await;
    let answer = |tls| say(tls, b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    let http1 = Http1::start(&vendor, answer).await;
    let mut rig = Rig::start(AppGateway::WebPush(Box::new(http1.gateway(&vendor, Limits::default()))), 4096);
    let browser = Browser::at("push.test", "b-1");
    rig.deliver((0..100).map(|id| to(&browser, id)));
    assert_all_accepted(&rig.verdicts(100).await);
    let connections = http1.connections.load(Ordering::Relaxed);
    assert!(connections <= 18, "{connections} connections: two to find out, sixteen at once");
    rig.end().await;
}

#[tokio::test]
async fn an_answer_that_drips_is_cut_off() {
    let vendor = vendor().await;
    let browser = Browser::at("push.test", "b-1");
    let drip = |head: &'static [u8]| {
        move |tls| async move {
            let mut tls = say(tls, head).await?;
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                tls = say(tls, b"x").await?;
            }
        }
    };
    let limits =
        || Limits { deadline: Duration::from_secs(3), body_within: Duration::from_millis(200), ..Limits::default() };
    let rows: [(&[u8], Outcome); 4] = [
        (
            b"HTTP/1.1 201 Created\r\nX-Slow: ",
            Outcome::Unavailable { retry_after: None, reason: "https://push.test: timeout: no answer in time".into() },
        ),
        (b"HTTP/1.1 201 Created\r\nContent-Length: 1000000\r\n\r\n", Outcome::Accepted),
        (b"HTTP/1.1 410 Gone\r\nContent-Length: 1000000\r\n\r\n", Outcome::Gone { since: None }),
        (b"HTTP/1.1 403 No\r\nContent-Length: 1000000\r\n\r\n", Outcome::OperatorFault("HTTP 403".into())),
    ];
    for (head, expected) in rows {
        let http1 = Http1::start(&vendor, drip(head)).await;
        let webpush = http1.gateway(&vendor, limits());
        let outcome = tokio::time::timeout(SOON, webpush.send(&to(&browser, 1))).await.unwrap();
        assert_eq!(outcome, expected, "{}", String::from_utf8_lossy(head));
    }
}
