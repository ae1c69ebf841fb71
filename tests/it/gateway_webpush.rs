//! Web Push: what a browser gets, and what is made of its push service's answers.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pushkeeper::clock::Clock;
use pushkeeper::domain::class::Class;
use pushkeeper::domain::outcome::Outcome;
use pushkeeper::domain::pattern::DomainPattern;
use pushkeeper::domain::push::{CALL_TTL, Content, Push};
use pushkeeper::domain::secret::{DeviceToken, Private};
use pushkeeper::domain::time::Timestamp;
use pushkeeper::gateway::webpush::{Limits, Settings, WebPush, resolve};
use pushkeeper::gateway::{AppGateway, CredentialError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::gateway_rig::{Rig, SOON, assert_all_accepted, push, reason, webpush, webpush_settings};
use crate::support::vendor::webpush::{Browser, vapid};
use crate::support::vendor::{Answer, Behaviour, Options, Recorded, Vendor};

const ACCOUNT: &str = "0c223e6b96c6112f5dd809bb1b6f7c5a78826ee3";

/// 2026-11-22T12:00:00Z.
const NOON: Timestamp = Timestamp::from_secs(1_795_348_800);

async fn vendor() -> Vendor {
    Vendor::start(Options::default()).await
}

fn to(browser: &Browser, id: u64) -> Push {
    Push { token: DeviceToken::new(browser.token()), ..push(id) }
}

fn with_limits(vendor: &Vendor, limits: Limits) -> WebPush {
    WebPush::new(Settings { limits, ..webpush_settings(vendor) }, Clock::system()).unwrap()
}

/// All headers but the signature, sorted.
fn headers(got: &Recorded) -> Vec<(String, String)> {
    let mut found: Vec<_> = got
        .headers
        .iter()
        .filter(|(name, _)| *name != "authorization")
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    found.sort();
    found
}

fn opened(browser: &Browser, got: &Recorded) -> serde_json::Value {
    serde_json::from_slice(&browser.open(&got.body).expect("it is for this browser")).unwrap()
}

#[test]
fn the_browser_of_these_tests_opens_the_example_of_the_rfc() {
    // RFC 8291 §5 and Appendix A.
    let browser = Browser::with_keys("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94", "BTBZMqHH6r4Tts7J_aSIgg");
    let p256dh = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    assert_eq!(browser.p256dh(), p256dh);
    let body = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
    let mut body = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, body).unwrap();
    assert_eq!(browser.open(&body).as_deref(), Some(b"When I grow up, I want to be a watermelon".as_slice()));
    *body.last_mut().unwrap() ^= 1;
    assert_eq!(browser.open(&body), None);
}

#[tokio::test]
async fn an_important_push_goes_out_with_all_its_headers() {
    let vendor = vendor().await;
    let browser = Browser::at("push.test", "b-1");
    assert_eq!(webpush(&vendor).send(&to(&browser, 1)).await, Outcome::Accepted);
    let got = vendor.pushes().pop().unwrap();
    assert_eq!((got.method.as_str(), got.authority.as_str(), got.path.as_str()), ("POST", "push.test", "/push/b-1"));
    let expected = [
        ("accept", "*/*"),
        ("content-encoding", "aes128gcm"),
        ("content-length", "2902"),
        ("content-type", "application/octet-stream"),
        ("topic", "BbhNAEcIJ5tOqUFczxmSnErimys"),
        ("ttl", "2419200"),
        ("urgency", "high"),
    ];
    assert_eq!(headers(&got), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(opened(&browser, &got), serde_json::json!({"class": "important", "account": ACCOUNT}));
    assert_eq!(Browser::at("push.test", "b-1").open(&got.body), None, "only the browser it is for opens it");
}

#[tokio::test]
async fn what_a_browser_opens_is_what_was_said() {
    let vendor = vendor().await;
    let browser = Browser::at("push.test", "b-1");
    let content = Content {
        count: Some(2),
        sender: Some(Private::new("juliet@example.org")),
        body: Some(Private::new("Wherefore art thou?")),
        nickname: Some(Private::new("Ju")),
        sealed: None,
    };
    assert_eq!(webpush(&vendor).send(&Push { content, ..to(&browser, 1) }).await, Outcome::Accepted);
    let got = vendor.pushes().pop().unwrap();
    assert_eq!((got.header("topic"), got.body.len()), ("", 2902), "as long as one that says nothing");
    let expected = serde_json::json!({
        "class": "important", "account": ACCOUNT, "count": 2,
        "sender": "juliet@example.org", "nickname": "Ju", "body": "Wherefore art thou?",
    });
    assert_eq!(opened(&browser, &got), expected);
    let documented = include_str!("../../docs/webpush.md");
    for key in expected.as_object().unwrap().keys() {
        assert!(documented.contains(&format!("\n| `{key}` | ")), "{key}");
    }
}

#[test]
fn the_page_registers_as_it_is_documented() {
    let (page, documented) = (include_str!("../../docs/webpush/push.js"), include_str!("../../docs/webpush.md"));
    assert!(page.contains(r#"command("register-push-webpush", {"#));
    assert!(documented.contains("node='register-push-webpush'"));
    for field in ["endpoint", "p256dh", "auth", "device-id"] {
        let said = page.contains(&format!("      {field}: ")) || page.contains(&format!("      \"{field}\": "));
        assert!(said && documented.contains(&format!("<field var='{field}'>")), "{field}");
    }
}

#[tokio::test]
async fn each_class_has_its_urgency_and_ttl_and_silent_ones_are_for_apps_that_want_them() {
    let vendor = vendor().await;
    let browser = Browser::at("push.test", "b-1");
    let loud = webpush(&vendor);
    let silent = WebPush::new(Settings { silent: true, ..webpush_settings(&vendor) }, Clock::system()).unwrap();
    let rows = [
        (Class::Call, "high", "45", true),
        (Class::Important, "high", "2419200", true),
        (Class::Ended, "low", "2419200", false),
        (Class::Unimportant, "very-low", "2419200", false),
        (Class::Clear, "very-low", "2419200", false),
    ];
    for (class, urgency, ttl, always) in rows {
        let ttl_of = if class == Class::Call { CALL_TTL } else { pushkeeper::domain::push::VENDOR_TTL };
        let push = Push { class, ttl: ttl_of, ..to(&browser, 1) };
        let before = vendor.pushes().len();
        assert_eq!(loud.send(&push).await, Outcome::Accepted, "{class:?}");
        assert_eq!(vendor.pushes().len() - before, usize::from(always), "{class:?}");
        assert_eq!(silent.send(&push).await, Outcome::Accepted, "{class:?}");
        let got = vendor.pushes().pop().unwrap();
        assert_eq!((got.header("urgency"), got.header("ttl")), (urgency, ttl), "{class:?}");
        assert_eq!(opened(&browser, &got)["class"], class.name());
    }
}

#[tokio::test]
async fn we_sign_for_each_push_service_and_not_for_each_push() {
    let clock = Clock::starting_at(NOON);
    let vendor = Vendor::start(Options { clock: clock.clone(), ..Options::default() }).await;
    let webpush = WebPush::new(webpush_settings(&vendor), clock).unwrap();
    for host in ["push.test", "slow.test", "push.test"] {
        assert_eq!(webpush.send(&to(&Browser::at(host, "b-1"), 1)).await, Outcome::Accepted);
    }
    let signed: Vec<String> = vendor.pushes().iter().map(|got| got.header("authorization").to_owned()).collect();
    assert_eq!(signed[0], signed[2]);
    for (header, host) in [(&signed[0], "push.test"), (&signed[1], "slow.test")] {
        let (claims, key) = vapid(header).expect("signed by the key that it names");
        assert_eq!(key, webpush.public_key());
        assert_eq!(
            (&claims["aud"], &claims["sub"]),
            (&format!("https://{host}").into(), &"mailto:ops@example.org".into())
        );
        let exp = claims["exp"].as_u64().unwrap();
        let half_a_day_on = NOON.secs() + 12 * 3600;
        assert!((half_a_day_on..half_a_day_on + 20).contains(&exp), "{exp}");
        assert_eq!(claims.as_object().unwrap().len(), 3);
    }
}

#[tokio::test]
async fn answers_become_outcomes() {
    let clock = Clock::starting_at(NOON);
    let vendor = Vendor::start(Options { clock: clock.clone(), ..Options::default() }).await;
    let webpush = WebPush::new(webpush_settings(&vendor), clock).unwrap();
    let browser = Browser::at("push.test", "b-1");
    let wait = Some(Duration::from_secs(30));
    let operator = |text: &'static str| Outcome::OperatorFault(text.into());
    let down = |retry_after, text: &'static str| Outcome::Unavailable { retry_after, reason: text.into() };
    let throttled = |retry_after| Outcome::Throttled { retry_after, reason: "HTTP 429".into() };
    let long_body = Answer { body: vec![b'x'; 1_000_000].into(), ..Answer::status(403) };
    let rows = [
        (Answer::status(200), Outcome::Accepted),
        (Answer::status(201), Outcome::Accepted),
        (Answer::status(202), Outcome::Accepted),
        (Answer::status(400), operator("HTTP 400")),
        (Answer::apns(403, "BadJwtToken"), operator("HTTP 403: BadJwtToken")),
        (Answer::apns(403, "VapidPkHashMismatch"), Outcome::Suspect("HTTP 403: VapidPkHashMismatch".into())),
        (Answer::status(401), operator("HTTP 401")),
        (Answer::status(403), operator("HTTP 403")),
        (long_body, operator("HTTP 403")),
        (Answer::status(404), Outcome::Gone { since: None }),
        (Answer::status(410), Outcome::Gone { since: None }),
        (Answer::status(413), operator("HTTP 413")),
        (Answer::status(429), throttled(None)),
        (Answer::status(429).retry_after("30"), throttled(wait)),
        (Answer::status(500), down(None, "HTTP 500")),
        (Answer::status(503).retry_after("30"), down(wait, "HTTP 503")),
    ];
    for (answer, expected) in rows {
        vendor.once("b-1", Behaviour::Answer(answer.clone()));
        assert_eq!(webpush.send(&to(&browser, 1)).await, expected, "{}", answer.status);
    }
    // A minute after noon, as a date. The clock moves on while the test runs.
    vendor.once("b-1", Behaviour::Answer(Answer::status(429).retry_after("Sun, 22 Nov 2026 12:01:00 GMT")));
    let outcome = webpush.send(&to(&browser, 1)).await;
    let Outcome::Throttled { retry_after: Some(wait), .. } = outcome else { panic!("{outcome:?}") };
    assert!((30..=60).contains(&wait.as_secs()), "{wait:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let vendor = vendor().await;
    let (webpush, browser) = (webpush(&vendor), Browser::at("push.test", "b-1"));
    for status in [301, 302, 303, 307, 308] {
        let before = vendor.pushes().len();
        vendor.once("b-1", Behaviour::Answer(Answer::redirect(status, "https://push.test/push/elsewhere")));
        let outcome = webpush.send(&to(&browser, 1)).await;
        assert_eq!(reason(&outcome, "unavailable"), format!("HTTP {status}: redirects are not followed"));
        assert_eq!(vendor.pushes().len() - before, 1, "{status}");
    }
}

#[tokio::test]
async fn texts_of_ten_kilobytes_fit() {
    let vendor = vendor().await;
    let (webpush, browser) = (webpush(&vendor), Browser::at("push.test", "b-1"));
    let long = || Some(Private::new("Ω\"\u{1}".repeat(3000)));
    let content = Content { sender: long(), body: long(), nickname: long(), ..Content::default() };
    assert_eq!(webpush.send(&Push { content, ..to(&browser, 1) }).await, Outcome::Accepted);
    let got = vendor.pushes().pop().unwrap();
    let said = opened(&browser, &got);
    assert_eq!((got.body.len(), &said["account"], &said["sender"]), (2902, &ACCOUNT.into(), &serde_json::Value::Null));
    assert!(said["body"].as_str().unwrap().starts_with("Ω\"\u{1}Ω") && said["body"].as_str().unwrap().ends_with('…'));
}

#[tokio::test]
async fn a_push_whose_connection_is_lost_is_sent_once_more() {
    let vendor = vendor().await;
    let (webpush, browser) = (webpush(&vendor), Browser::at("push.test", "b-1"));
    for id in 0..3 {
        vendor.once("b-1", Behaviour::Cut);
        assert_eq!(webpush.send(&to(&browser, id)).await, Outcome::Accepted);
    }
    assert_eq!(vendor.pushes().len(), 6);
    vendor.always("b-1", Behaviour::Cut);
    let outcome = webpush.send(&to(&browser, 4)).await;
    let text = reason(&outcome, "unavailable");
    assert!(text.starts_with("https://push.test: the connection was lost before the answer"), "{text}");
    assert_eq!(vendor.pushes().len(), 8, "and no more than once");
}

#[tokio::test]
async fn hundreds_of_pushes_share_a_few_connections() {
    let vendor = vendor().await;
    let mut rig = Rig::start(AppGateway::WebPush(Box::new(webpush(&vendor))), 4096);
    let browser = Browser::at("push.test", "b-1");
    rig.deliver((0..400).map(|id| to(&browser, id)));
    assert_all_accepted(&rig.verdicts(400).await);
    assert!(vendor.connections() <= 4, "{} connections", vendor.connections());
    rig.end().await;
}

#[tokio::test]
async fn a_connection_that_ends_or_falls_silent_is_replaced() {
    let vendor = vendor().await;
    let limits = Limits { alive: Duration::from_millis(100), ..Limits::default() };
    let (webpush, browser) = (with_limits(&vendor, limits), Browser::at("push.test", "b-1"));
    for id in 0..2 {
        assert_eq!(webpush.send(&to(&browser, id)).await, Outcome::Accepted);
    }
    vendor.go_away();
    assert_eq!(webpush.send(&to(&browser, 2)).await, Outcome::Accepted);
    vendor.freeze();
    let sent = tokio::time::timeout(SOON / 2, webpush.send(&to(&browser, 3))).await;
    assert_eq!(sent, Ok(Outcome::Accepted));
}

#[tokio::test]
async fn a_push_service_that_is_gone_or_not_to_be_trusted() {
    let (vendor, stranger) = (vendor().await, vendor().await);
    let browser = Browser::at("push.test", "b-1");
    let ca = Some(stranger.keys().ca_pem.clone().into_bytes());
    let strange = WebPush::new(Settings { ca, ..webpush_settings(&vendor) }, Clock::system()).unwrap();
    let outcome = strange.send(&to(&browser, 1)).await;
    let text = reason(&outcome, "operator-fault");
    assert!(text.starts_with("https://push.test: TLS: ") && text.contains("ca_file"), "{text}");

    let away = webpush(&vendor);
    vendor.stop().await;
    let outcome = away.send(&to(&browser, 1)).await;
    let text = reason(&outcome, "unavailable");
    assert!(text.starts_with("https://push.test: no connection ("), "{text}");
    vendor.restart().await.unwrap();
    assert_eq!(away.send(&to(&browser, 1)).await, Outcome::Accepted);
}

#[tokio::test]
async fn a_slow_push_service_takes_no_places_of_the_others() {
    let vendor = vendor().await;
    let limits = Limits { deadline: Duration::from_secs(2), per_origin: 5, ..Limits::default() };
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
    let not_allowed = Outcome::OperatorFault("the endpoint's host is not in allow_hosts".into());
    let malformed = Outcome::Suspect("malformed subscription".into());
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
    assert_eq!(webpush.send(&push).await, Outcome::Suspect("the subscription's p256dh is no key".into()));
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
    let limits = || Limits {
        deadline: Duration::from_millis(500),
        body_within: Duration::from_millis(200),
        ..Limits::default()
    };
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

#[tokio::test]
async fn key_and_ca_are_checked_without_a_network() {
    let vendor = vendor().await;
    let made = |change: fn(&mut Settings)| {
        let mut settings = webpush_settings(&vendor);
        change(&mut settings);
        WebPush::new(settings, Clock::system()).err()
    };
    assert_eq!(made(|_| ()), None);
    assert_eq!(made(|settings| settings.vapid_key = b"none".to_vec()), Some(CredentialError::NotVapid));
    assert_eq!(made(|settings| settings.vapid_subject = "ops".into()), Some(CredentialError::BadSubject));
    assert_eq!(made(|settings| settings.ca = Some(b"none".to_vec())), Some(CredentialError::BadCa));
    let settings = format!("{:?}", webpush_settings(&vendor));
    assert!(settings.contains("push.test") && !settings.contains("PRIVATE"), "{settings}");
    assert!(!webpush_settings(&vendor).allow_hosts.contains(&DomainPattern::Any));
}
