//! `[http.public]` of the whole program, over real connections: an app whose account can no longer log in takes its
//! device back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::host::{JID, Session};
use crate::whole_rig::{Device, Whole, publish, register};

/// Longer than anything takes.
const SOON: Duration = Duration::from_secs(30);

/// The token of the device that the tests take back, as its app writes it.
const TOKEN: &str = "AC4089A5BA5EBA11";

const SUCCESS: &str = r#"{"result":"success"}"#;
const FAILURE: &str = r#"{"result":"failure"}"#;

/// pushkeeper with an app of Tigase's family, and `[http.public]` with these keys beside `listen`.
async fn start(http: &str) -> (Whole, Session<TcpStream>, SocketAddr) {
    let rest = format!(
        "[apps.siskin]\nprovider = \"apns\"\ntopic = \"org.example.siskin\"\n$apns\nstyle = \"tigase\"\n\
         aliases = [\"tigase:messenger:apns:1\"]\n[http.public]\nlisten = \"127.0.0.1:0\"\n{http}"
    );
    let (whole, host) = Whole::start(&rest).await;
    let address = whole.http.expect("it listens");
    (whole, host, address)
}

const TLS: &str = "certificate_file = \"server.pem\"\nkey_file = \"server.key\"\n";

/// Registers romeo's device as Siskin does, and returns its node.
async fn register_siskin(host: &mut Session<TcpStream>) -> Device {
    host.send(&format!(
        "<iq type='set' id='t1' from='romeo@example.org/siskin' to='{JID}'>\
         <command xmlns='http://jabber.org/protocol/commands' node='register-device' action='execute'>\
         <x xmlns='jabber:x:data' type='submit'><field var='provider'><value>tigase:messenger:apns:1</value></field>\
         <field var='device-token'><value>{TOKEN}</value></field></x></command></iq>"
    ))
    .await;
    let answer = host.stanza().await;
    let node = answer.split_once("var='node'").and_then(|(_, rest)| rest.split_once("<value>"));
    let (node, _) = node.and_then(|(_, rest)| rest.split_once("</value>")).expect("a node");
    Device { node: node.to_owned(), secret: String::new() }
}

fn body(account: &str, provider: &str, token: &str) -> String {
    serde_json::json!({ "account": account, "provider": provider, "device-token": token }).to_string()
}

/// What Siskin sends for romeo's device.
fn siskin() -> String {
    body("romeo@example.org", "tigase:messenger:apns:1", TOKEN)
}

/// A request as bytes.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nHost: {JID}\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
}

fn post(body: &str) -> String {
    request("POST", &format!("/unregister-device/{JID}"), "Content-Type: application/json\r\n", body)
}

/// Sends this on a connection, and returns status, head and body of what comes until it is closed.
pub(crate) async fn exchange(io: &mut (impl AsyncRead + AsyncWrite + Unpin), bytes: &str) -> (u16, String, String) {
    io.write_all(bytes.as_bytes()).await.expect("it is open");
    let mut all = Vec::new();
    timeout(SOON, io.read_to_end(&mut all)).await.expect("it is closed in time").expect("and in order");
    let text = String::from_utf8(all).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, head.to_lowercase(), body.to_owned())
}

/// The same on a connection of its own, without the head.
async fn ask(address: SocketAddr, bytes: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(address).await.expect("it listens");
    let (status, _, body) = exchange(&mut socket, bytes).await;
    (status, body)
}

/// A TLS connection that offers these protocols.
async fn connect_tls(whole: &Whole, address: SocketAddr, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(whole.vendor.keys().ca_pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let socket = TcpStream::connect(address).await.expect("it listens");
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, socket).await.expect("our certificate")
}

/// Whether a publish to the device is refused for good.
async fn is_gone(host: &mut Session<TcpStream>, device: &Device) -> bool {
    host.send(&publish("p", device, "", "")).await;
    host.stanza().await.contains("<item-not-found")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_takes_its_device_back_for_good_and_asking_again_is_success_as_well() {
    let (mut whole, mut host, address) = start("").await;
    let device = register_siskin(&mut host).await;
    assert!(!is_gone(&mut host, &device).await);
    let mut socket = TcpStream::connect(address).await.unwrap();
    let (status, head, body) = exchange(&mut socket, &post(&siskin())).await;
    assert_eq!((status, body.as_str()), (200, SUCCESS));
    assert!(head.contains("\r\ncontent-type: application/json"), "{head}");
    assert!(is_gone(&mut host, &device).await);
    // The app did not hear it, and asks again at its other address.
    let again = request("POST", &format!("/rest/push/unregister-device/{JID}"), "", &siskin());
    assert_eq!(ask(address, &again).await, (200, SUCCESS.to_owned()));

    whole.stop(host).await.unwrap();
    whole.start_again();
    let mut host = whole.host.component().await;
    assert!(is_gone(&mut host, &device).await, "it was on disk");
    let address = whole.http.unwrap();
    assert_eq!(ask(address, &post(&siskin())).await, (200, SUCCESS.to_owned()));
    // It may come back, with the same node.
    assert_eq!(register_siskin(&mut host).await, device);
    assert!(!is_gone(&mut host, &device).await);
    whole.stop(host).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_the_device_stays_and_the_answer_tells_no_more_than_that() {
    let (mut whole, mut host, address) = start("").await;
    let device = register_siskin(&mut host).await;
    // A device of another dialect, whose name is no token.
    let other = register(&mut host, "ios", "phone-1", "aabbcc01").await;
    let with = |account: &str, provider: &str, token: &str| post(&body(account, provider, token));
    let (romeo, provider) = ("romeo@example.org", "tigase:messenger:apns:1");
    let rows = [
        ("no such token", with(romeo, provider, "AC4089A5BA5EBA12"), 404),
        ("no such account", with("nobody@example.org", provider, TOKEN), 404),
        ("another account", with("phone-1@example.org", provider, TOKEN), 404),
        ("no such app", with(romeo, "pigeon:1", TOKEN), 404),
        ("another app", with(romeo, "ios", TOKEN), 404),
        ("a device id, not a token", with("phone-1@example.org", "ios", "phone-1"), 404),
        ("the token of a device with an id", with("phone-1@example.org", "ios", "aabbcc01"), 404),
        ("no JID", with("@", provider, TOKEN), 400),
        ("no token", with(romeo, provider, ""), 400),
        ("no JSON", post("account=romeo"), 400),
        ("no body", post(""), 400),
        ("another JID", request("POST", "/unregister-device/push.evil.example", "", &siskin()), 404),
        ("another path", request("POST", "/", "", &siskin()), 404),
        ("another method", request("GET", &format!("/unregister-device/{JID}"), "", ""), 405),
        ("too much", post(&body(romeo, provider, &"A".repeat(4096))), 413),
    ];
    for (what, request, status) in rows {
        assert_eq!(ask(address, &request).await, (status, FAILURE.to_owned()), "{what}");
    }
    for (what, broken) in [("no HTTP", "hello\r\n\r\n"), ("no version", "POST /\r\n\r\n")] {
        assert_eq!(ask(address, broken).await, (400, String::new()), "{what}");
    }
    let long = request("POST", "/", &format!("X-Long: {}\r\n", "x".repeat(20_000)), "");
    let long = long.get(..8500).unwrap();
    assert_eq!(ask(address, long).await, (431, String::new()));

    assert!(!is_gone(&mut host, &device).await);
    assert!(!is_gone(&mut host, &other).await);
    assert_eq!(ask(address, &post(&siskin())).await, (200, SUCCESS.to_owned()));
    whole.stop(host).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_it_is_http_1_or_2_as_the_client_likes() {
    let (mut whole, mut host, address) = start(TLS).await;
    let device = register_siskin(&mut host).await;
    let mut old = connect_tls(&whole, address, &[]).await;
    let (status, _, body) = exchange(&mut old, &post("{}")).await;
    assert_eq!((status, body.as_str()), (400, FAILURE));
    let mut http1 = connect_tls(&whole, address, &[b"http/1.1"]).await;
    assert_eq!(exchange(&mut http1, &post("{}")).await.0, 400);

    let stream = connect_tls(&whole, address, &[b"h2", b"http/1.1"]).await;
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let uri = format!("https://{JID}/unregister-device/{JID}");
    let request = http::Request::post(uri).body(()).unwrap();
    let (response, mut sending) = client.send_request(request, false).unwrap();
    sending.send_data(Bytes::from(siskin()), true).unwrap();
    let response = timeout(SOON, response).await.unwrap().unwrap();
    assert_eq!(response.status(), 200);
    let told = response.into_body().data().await.unwrap().unwrap();
    assert_eq!(told, SUCCESS);
    assert!(is_gone(&mut host, &device).await);

    // Plain HTTP there is nothing.
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(post(&siskin()).as_bytes()).await.unwrap();
    let mut got = Vec::new();
    let _cut = timeout(SOON, plain.read_to_end(&mut got)).await.expect("it is closed in time");
    assert!(!String::from_utf8_lossy(&got).contains("HTTP/"), "{got:?}");

    whole.stop(host).await.unwrap();
    timeout(SOON, connection).await.expect("the connection ends with the program").unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_is_told_to_wait_and_connects_no_more_than_so_often() {
    let (mut whole, host, address) = start(TLS).await;
    for number in 0..21 {
        let mut socket = connect_tls(&whole, address, &[]).await;
        let (status, head, body) = exchange(&mut socket, &post("{}")).await;
        let expected = if number < 20 { 400 } else { 429 };
        assert_eq!((status, body.as_str()), (expected, FAILURE), "{number}");
        assert_eq!(head.contains("\r\nretry-after: 60"), expected == 429, "{head}");
    }
    // Sixteen may be there at a time; the next is closed at once, and has its place when one of them goes.
    let mut there = Vec::new();
    for _ in 0..16 {
        there.push(connect_tls(&whole, address, &[]).await);
    }
    let mut next = TcpStream::connect(address).await.unwrap();
    let read = timeout(SOON, next.read(&mut [0])).await.expect("it is closed at once");
    assert_eq!(read.unwrap_or(0), 0);
    there.pop();
    let again = async {
        loop {
            let mut socket = TcpStream::connect(address).await.unwrap();
            // Whoever is let in is waited for, and hears nothing.
            if timeout(Duration::from_millis(50), socket.read(&mut [0])).await.is_err() {
                break;
            }
        }
    };
    timeout(SOON, again).await.expect("a place");
    whole.stop(host).await.unwrap();
}

/// Everything that may go right or wrong over HTTP. Returns what must not be logged.
pub(crate) async fn a_day_of_strangers() -> Vec<String> {
    let (mut whole, mut host, address) = start(TLS).await;
    let device = register_siskin(&mut host).await;
    let unknown = siskin().replace("BA5EBA11", "BA5EBA12");
    for (text, expected) in [
        (post(&unknown), 404),
        (post(&siskin().replace("{", "{{")), 400),
        (post(&siskin().replace("AC40", &"A".repeat(5000))), 413),
        (post(&siskin()).replace("/unregister-device", &format!("/{TOKEN}")), 404),
        (post(&siskin()).replace("POST", "PUT"), 405),
        (post(&siskin()).replace("Host", "Ho st"), 400),
        (post(&siskin()), 200),
    ] {
        let mut socket = connect_tls(&whole, address, &[]).await;
        assert_eq!(exchange(&mut socket, &text).await.0, expected);
    }
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(post(&siskin()).as_bytes()).await.unwrap();
    let _cut = timeout(SOON, plain.read_to_end(&mut Vec::new())).await.expect("it is closed in time");
    whole.stop(host).await.unwrap();
    [TOKEN, "BA5EBA1", "ba5eba11"].map(str::to_owned).into_iter().chain([device.node]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_named_with_its_key() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let http = pushkeeper::config::Http {
        listen: None,
        public: Some(pushkeeper::config::PublicHttp { listen: address, tls: None }),
    };
    let failure = pushkeeper::app::Listeners::bind(&http).unwrap_err().to_string();
    assert_eq!(
        failure,
        format!("http.public.listen: cannot listen at {address}: Address already in use (os error 98)")
    );
}
