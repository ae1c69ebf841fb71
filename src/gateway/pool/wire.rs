//! One TLS connection: how it is made, and what it remembers of the last that was heard.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::error::PoolError;
use crate::clock::Clock;
use crate::domain::time::Moment;
use crate::gateway::endpoint::Endpoint;

/// How long one address of several may take before the next is tried.
const PER_ADDRESS: Duration = Duration::from_secs(3);

/// When TCP begins to ask whether the other side is still there, and how often it asks.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Connects. The name is looked up each time, so that a vendor that moves is found; tries every address of the host in the resolver's order (RFC 6724), and agrees on HTTP/2.
pub(super) async fn connect(
    endpoint: &Endpoint,
    tls: &Arc<ClientConfig>,
    pulse: Arc<Pulse>,
) -> Result<Wire, PoolError> {
    let peer = format!("{}:{}", endpoint.host(), endpoint.port());
    let name = ServerName::try_from(endpoint.host().to_owned())
        .map_err(|_| PoolError::Unreachable(format!("{peer}: no valid host name").into()))?;
    let tcp = connect_tcp(endpoint, &peer).await?;
    let connector = TlsConnector::from(tls.clone());
    let stream = connector.connect(name, tcp).await.map_err(|error| PoolError::from_io(&error, &peer))?;
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err(PoolError::NotHttp2(peer.into()));
    }
    pulse.beat();
    Ok(Wire { stream, pulse, peer: peer.into() })
}

async fn connect_tcp(endpoint: &Endpoint, peer: &str) -> Result<TcpStream, PoolError> {
    let unreachable = |error: &io::Error| PoolError::from_io(error, peer);
    let addresses: Vec<SocketAddr> =
        lookup_host((endpoint.host(), endpoint.port())).await.map_err(|error| unreachable(&error))?.collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in addresses {
        match timeout(PER_ADDRESS, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => {
                tune(&tcp).map_err(|error| unreachable(&error))?;
                return Ok(tcp);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, "the connection could not be made in time"),
        }
    }
    Err(unreachable(&last))
}

/// A push is two small writes, headers and data: with Nagle's algorithm the second waits for the first's
/// acknowledgement, up to 40 ms.
fn tune(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 4);
    SockRef::from(tcp).set_tcp_keepalive(&keepalive)
}

/// A moment that several tasks set and read, to the millisecond.
#[derive(Debug, Default)]
pub(super) struct Mark(AtomicU64);

impl Mark {
    pub(super) fn get(&self) -> Moment {
        Moment::since_start(Duration::from_millis(self.0.load(Ordering::Relaxed)))
    }

    pub(super) fn set(&self, moment: Moment) {
        self.0.store(millis(moment), Ordering::Relaxed);
    }

    /// The same, unless it is later already.
    pub(super) fn advance(&self, moment: Moment) {
        self.0.fetch_max(millis(moment), Ordering::Relaxed);
    }
}

fn millis(moment: Moment) -> u64 {
    u64::try_from(moment.uptime().as_millis()).unwrap_or(u64::MAX)
}

/// When something was last heard on a connection.
#[derive(Debug)]
pub(super) struct Pulse {
    clock: Clock,
    heard: Mark,
}

impl Pulse {
    pub(super) fn new(clock: Clock) -> Self {
        let pulse = Self { clock, heard: Mark::default() };
        pulse.beat();
        pulse
    }

    pub(super) fn heard(&self) -> Moment {
        self.heard.get()
    }

    fn beat(&self) {
        self.heard.set(self.clock.steady());
    }
}

/// The TLS stream under HTTP/2. Keeps when the vendor last spoke.
pub(super) struct Wire {
    stream: TlsStream<TcpStream>,
    pulse: Arc<Pulse>,
    peer: Arc<str>,
}

impl Wire {
    /// What an error of it means.
    pub(super) fn explain(&self, error: &io::Error) -> PoolError {
        PoolError::from_io(error, &self.peer)
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        if buf.filled().len() > before {
            self.pulse.beat();
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
