//! Where access tokens for FCM come from (RFC 7523), and everybody's certificate. It gives a token to whoever asks.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;
use tokio_rustls::TlsAcceptor;

use crate::Fallible;

/// As long as Google's are.
const TOKEN_LENGTH: usize = 220;

/// A server of `localhost`, without its protocols; its certificate is written where that is.
pub(crate) fn certify(certificate: &Path) -> Fallible<ServerConfig> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    std::fs::write(certificate, made.cert.pem())?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
    Ok(ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?)
}

/// Gives tokens out; returns where.
pub(crate) async fn start(tls: Arc<ServerConfig>) -> Fallible<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let tls = TlsAcceptor::from(tls);
    spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tls = tls.clone();
            spawn_local(async move {
                if let Err(error) = answer(tls, stream).await {
                    eprintln!("bench token endpoint: {error}");
                }
            });
        }
    });
    Ok(address)
}

async fn answer(tls: TlsAcceptor, stream: TcpStream) -> Fallible<()> {
    let mut stream = tls.accept(stream).await?;
    let mut read = Vec::new();
    // The body is what the request ends with, and has no line of its own.
    while !whole(&read) {
        if stream.read_buf(&mut read).await? == 0 {
            return Err("half a request".into());
        }
    }
    let token = "t".repeat(TOKEN_LENGTH);
    let body = format!(r#"{{"access_token":"{token}","expires_in":3599,"token_type":"Bearer"}}"#);
    let length = body.len();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
    stream.write_all(format!("{head}content-length: {length}\r\n\r\n{body}").as_bytes()).await?;
    Ok(stream.shutdown().await?)
}

fn whole(read: &[u8]) -> bool {
    let text = String::from_utf8_lossy(read).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    length.and_then(|length| length.trim().parse().ok()).is_some_and(|length: usize| body.len() >= length)
}

/// The key file of a service account whose token endpoint is there.
pub(crate) fn service_account(token_endpoint: SocketAddr) -> Fallible<String> {
    let key = KeyPair::generate(KeySize::Rsa2048)?;
    let der: Pkcs8V1Der<'_> = key.as_der()?;
    let text = STANDARD.encode(der.as_ref());
    Ok(serde_json::json!({
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "bench-key",
        "private_key": format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n"),
        "client_email": "push@p.example",
        "token_uri": format!("https://localhost:{}/token", token_endpoint.port()),
    })
    .to_string())
}
