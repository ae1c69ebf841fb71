//! Our HTTP/2 against that of others: nghttpd, of nghttp2. It serves files, so devices are files.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use pushkeeper::clock::Clock;
use pushkeeper::gateway::AppGateway;
use pushkeeper::gateway::apns::{Apns, Settings};

use crate::gateway_rig::{Rig, apns_settings, limits, push};
use crate::process::Process;
use crate::support::vendor::Vendor;

/// How many pushes there are; the device of every third is gone.
const PUSHES: u64 = 300;

/// What it is told, and how many of these its log must have: so that a row that shows nothing is noticed.
const ROWS: [(&[&str], &str); 8] = [
    (&[], "send HEADERS frame"),
    // One after another; and all it sends filled up.
    (&["--max-concurrent-streams=1"], "SETTINGS_MAX_CONCURRENT_STREAMS(0x03):1]"),
    (&["--padding=255"], "PADDED"),
    // Bodies in pieces, of each stream and of all together.
    (&["--window-bits=6"], "SETTINGS_INITIAL_WINDOW_SIZE(0x04):63]"),
    (&["--connection-window-bits=16", "--window-bits=5"], "SETTINGS_INITIAL_WINDOW_SIZE(0x04):31]"),
    // We remember nothing for it, and it nothing for us.
    (&["--header-table-size=0", "--encoder-header-table-size=0"], "SETTINGS_HEADER_TABLE_SIZE(0x01):0]"),
    (&["--header-table-size=200"], "SETTINGS_HEADER_TABLE_SIZE(0x01):200]"),
    // Answers before requests have ended, with trailers.
    (&["--early-response", "--trailer", "x-checksum: 1"], "x-checksum: 1"),
];

#[tokio::test]
async fn a_server_that_is_not_of_our_making_gets_every_push_and_its_answers_are_read() {
    let keys = Vendor::start(Default::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let devices = folder.path().join("3/device");
    std::fs::create_dir_all(&devices).unwrap();
    for id in (0..PUSHES).filter(|id| id % 3 != 0) {
        std::fs::write(devices.join(format!("t-{id}")), "{}").unwrap();
    }
    std::fs::write(folder.path().join("key"), &keys.keys().server_key_pem).unwrap();
    std::fs::write(folder.path().join("certificate"), &keys.keys().server_pem).unwrap();
    for (number, (told, shown)) in ROWS.iter().enumerate() {
        let (mut server, port) = start(folder.path(), number, told).await;
        let endpoint = Some(format!("https://localhost:{port}").parse().unwrap());
        let settings = Settings { endpoint, ..apns_settings(&keys, limits()) };
        let app = Apns::new(settings, Clock::system()).unwrap();
        let mut rig = Rig::start(AppGateway::Apns(Box::new(app)), 4096);
        // In turns, so that later ones find what earlier ones left in the tables.
        for turn in 0..3 {
            let ids = (0..PUSHES).filter(|id| id % 3 == turn || turn == 2);
            let ids: Vec<u64> = ids.collect();
            rig.deliver(ids.iter().copied().map(push));
            for (id, outcome) in rig.verdicts(ids.len()).await {
                let expected = if id % 3 == 0 { "HTTP 404" } else { "" };
                assert_eq!(outcome.reason().unwrap_or_default(), expected, "{told:?}, push {id}: {outcome:?}");
            }
        }
        rig.end().await;
        server.terminate().await;
        let log = server.log();
        assert!(log.contains(shown), "{told:?}: {shown:?} is not in its log");
        assert!(log.contains("apns-topic: org.example.chat"), "{told:?}");
        for complaint in ["error=PROTOCOL_ERROR", "invalid", "RST_STREAM frame <length=4, flags=0x00, stream_id=0"] {
            assert!(!log.contains(complaint), "{told:?}: {complaint}");
        }
    }
}

/// Starts it, and waits until it listens.
async fn start(folder: &Path, number: usize, told: &[&str]) -> (Process, u16) {
    let path = |name: &str| folder.join(name).display().to_string();
    let port = free_port();
    let log = folder.join(format!("log-{number}"));
    let (htdocs, port_text) = (format!("--htdocs={}", folder.display()), port.to_string());
    let (key, certificate) = (path("key"), path("certificate"));
    let fixed = ["--verbose", "--address=127.0.0.1", &htdocs];
    let files = [port_text.as_str(), key.as_str(), certificate.as_str()];
    let arguments: Vec<&str> = fixed.iter().chain(told).chain(&files).copied().collect();
    let mut server = Process::start("nghttpd", "nghttpd", &arguments, log);
    let listens = format!("listen 127.0.0.1:{port}");
    server.wait_until("it listens", |server| server.log().contains(&listens)).await;
    (server, port)
}

/// A port below those that the system gives to whoever asks for any, which other tests do all the time.
fn free_port() -> u16 {
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    (first..first + 1000).find(free).expect("a free port")
}
