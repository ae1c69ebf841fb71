//! An APNs that takes every well-formed push and does nothing else, as fast as it can.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use h2::server::SendResponse;
use http::{Method, Request, Response, StatusCode};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::Fallible;

/// As Apple's servers allow.
const STREAMS: u32 = 1000;

/// Starts it; writes the certificate to trust into a file. Returns its address and the count of pushes it took.
pub(crate) async fn start(certificate: &Path) -> Fallible<(SocketAddr, Arc<AtomicU64>)> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    std::fs::write(certificate, made.cert.pem())?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
    let mut tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    tls.alpn_protocols = vec![b"h2".to_vec()];

    let tls = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let taken = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&taken);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (tls, count) = (tls.clone(), Arc::clone(&count));
            tokio::spawn(async move {
                // A client that leaves ends its connection one way or another.
                let _ended = serve(tls, stream, count).await;
            });
        }
    });
    Ok((address, taken))
}

async fn serve(tls: TlsAcceptor, stream: TcpStream, count: Arc<AtomicU64>) -> Fallible<()> {
    stream.set_nodelay(true)?;
    let stream = tls.accept(stream).await?;
    let mut connection = h2::server::Builder::new()
        .max_concurrent_streams(STREAMS)
        .initial_window_size(1 << 20)
        .initial_connection_window_size(1 << 24)
        .handshake::<_, Bytes>(stream)
        .await?;
    while let Some(request) = connection.accept().await {
        let (request, respond) = request?;
        let count = Arc::clone(&count);
        tokio::spawn(async move {
            if let Err(error) = answer(request, respond, &count).await {
                eprintln!("bench APNs: {error}");
            }
        });
    }
    Ok(())
}

async fn answer(request: Request<h2::RecvStream>, mut respond: SendResponse<Bytes>, count: &AtomicU64) -> Fallible<()> {
    let (head, mut body) = request.into_parts();
    let mut length = 0;
    while let Some(part) = body.data().await {
        let part = part?;
        length += part.len();
        body.flow_control().release_capacity(part.len())?;
    }
    let push = head.method == Method::POST
        && head.uri.path().starts_with("/3/device/")
        && ["authorization", "apns-topic", "apns-push-type"].iter().all(|name| head.headers.contains_key(*name))
        && length > 0;
    let status = if push { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    let response = Response::builder().status(status).header("apns-id", "eabeae54-14a8-11e5-b60b-1697f925ec7b");
    respond.send_response(response.body(())?, true)?;
    count.fetch_add(u64::from(push), Ordering::Relaxed);
    Ok(())
}
