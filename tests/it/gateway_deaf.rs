//! A vendor that asks and does not listen.

use std::sync::Arc;
use std::time::Duration;

use pushkeeper::clock::Clock;
use pushkeeper::domain::outcome::Outcome;
use pushkeeper::gateway::AppGateway;
use pushkeeper::gateway::apns::{Apns, Settings};
use pushkeeper::gateway::pool::Limits;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::gateway_rig::{Rig, SOON, apns_settings, limits, push};
use crate::support::vendor::Vendor;

/// SETTINGS that say nothing, and a thousand PINGs (RFC 9113 §6.5, §6.7).
fn questions() -> (Vec<u8>, Vec<u8>) {
    (vec![0, 0, 0, 4, 0, 0, 0, 0, 0], [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8].repeat(1000))
}

#[tokio::test]
async fn who_asks_and_does_not_listen_is_not_heard_for_long() {
    let keys = Vendor::start(Default::default()).await;
    let certificate = CertificateDer::from_pem_slice(keys.keys().server_pem.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(keys.keys().server_key_pem.as_bytes()).unwrap();
    let mut tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Some(format!("https://localhost:{}", listener.local_addr().unwrap().port()).parse().unwrap());
    let (ping_silent, pong_within) = (Duration::from_millis(200), Duration::from_millis(300));
    let limits = Limits { ping_silent, pong_within, ..limits() };
    let app = Apns::new(Settings { endpoint, ..apns_settings(&keys, limits) }, Clock::system()).unwrap();
    let mut rig = Rig::start(AppGateway::Apns(Box::new(app)), 16);
    rig.deliver([push(1)]);
    let (tcp, _) = listener.accept().await.unwrap();
    let mut stream = TlsAcceptor::from(Arc::new(tls)).accept(tcp).await.unwrap();
    let (greeting, pings) = questions();
    stream.write_all(&greeting).await.unwrap();
    // Until the connection is ended. What the system's buffers hold is some megabytes.
    let mut said = 0;
    let flood = async {
        while stream.write_all(&pings).await.is_ok() {
            said += pings.len();
            assert!(said < 100 << 20, "it is heard for ever");
        }
    };
    timeout(SOON, flood).await.expect("it is neither heard nor left");
    assert!(said > 0);
    // Nobody listens any more, so the push is told so.
    drop(listener);
    assert_eq!(rig.verdicts(1).await.values().map(Outcome::name).collect::<Vec<_>>(), ["unavailable"]);
    rig.end().await;
}
