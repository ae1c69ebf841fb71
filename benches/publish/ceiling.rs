//! The ceiling: the same pushes to the same APNs from a bare HTTP/2 client, one connection, nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use pushkeeper::clock::Clock;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::cost::Cost;
use crate::host::Report;
use crate::world::World;
use crate::{Fallible, WARM_UP};

/// As long as what a message becomes.
const BODY: &[u8] = br#"{"aps":{"alert":{"title":"Bench","body":"New Message!"},"sound":"default","mutable-content":1},"account":"0c223e6b96c6112f5dd809bb1b6f7c5a78826ee3","count":1}"#;
/// As long as a token of ES256: the signature is random anyway.
const BEARER: &str = concat!(
    "bearer eyJhbGciOiJFUzI1NiIsImtpZCI6IkJFTkNIS0VZMDEifQ.eyJpc3MiOiJCRU5DSFRFQU0xIiwiaWF0IjoxNzYzODEyODAwfQ.",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
);

/// A report, and what it cost.
pub(crate) struct Ceiling {
    pub(crate) report: Report,
    pub(crate) cost: Cost,
}

/// Sends this many pushes, with so many unanswered at a time.
pub(crate) fn measure(world: &World, number: usize, window: usize) -> Fallible<Ceiling> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = connect(world).await?;
        send(&client, WARM_UP.min(number), window).await?;
        let before = Cost::now()?;
        let report = send(&client, number, window).await?;
        Ok(Ceiling { report, cost: before.until_now()? })
    })
}

async fn connect(world: &World) -> Fallible<SendRequest<Bytes>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(world.certificate())?)?;
    let mut tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec()];

    let stream = TcpStream::connect(world.apns).await?;
    stream.set_nodelay(true)?;
    let stream = TlsConnector::from(Arc::new(tls)).connect(ServerName::try_from("localhost")?, stream).await?;
    let (client, connection) = h2::client::Builder::new()
        .enable_push(false)
        .initial_window_size(1 << 20)
        .initial_connection_window_size(1 << 22)
        .handshake(stream)
        .await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            eprintln!("the ceiling's connection: {error}");
        }
    });
    Ok(client)
}

async fn send(client: &SendRequest<Bytes>, number: usize, window: usize) -> Fallible<Report> {
    let clock = Clock::system();
    let begun = clock.steady();
    let next = Arc::new(AtomicUsize::new(0));
    let lanes: Vec<_> = (0..window)
        .map(|_| {
            let (client, clock, next) = (client.clone(), clock.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                let headers = headers();
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= number {
                        return Fallible::Ok(latencies);
                    }
                    let sent = clock.steady();
                    push(client.clone(), index, headers.clone()).await?;
                    latencies.push(clock.steady() - sent);
                }
            })
        })
        .collect();
    let mut latencies: Vec<Duration> = Vec::with_capacity(number);
    for lane in lanes {
        latencies.append(&mut lane.await??);
    }
    Ok(Report::new(clock.steady() - begun, latencies))
}

async fn push(client: SendRequest<Bytes>, index: usize, headers: HeaderMap) -> Fallible<()> {
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = format!("https://localhost/3/device/{index:064x}").parse()?;
    *request.headers_mut() = headers;
    let (response, mut body) = client.ready().await?.send_request(request, false)?;
    body.send_data(Bytes::from_static(BODY), true)?;
    match response.await?.status() {
        StatusCode::OK => Ok(()),
        other => Err(format!("the bench APNs answered {other}").into()),
    }
}

fn headers() -> HeaderMap {
    let mut authorization = HeaderValue::from_static(BEARER);
    authorization.set_sensitive(true);
    let plain = [
        ("apns-topic", "org.example.bench"),
        ("apns-push-type", "alert"),
        ("apns-priority", "10"),
        ("apns-expiration", "1766404800"),
        ("content-type", "application/json"),
    ];
    let plain = plain.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    let mut headers = HeaderMap::from_iter(plain);
    headers.insert(http::header::AUTHORIZATION, authorization);
    headers
}
