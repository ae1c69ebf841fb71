//! Connections: TLS, HTTP/1.1 and HTTP/2, and how long all of it may take.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderValue, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::gate::{Address, Gate, Place};
use super::tls::Certificate;
use super::{Limits, Tls};
use crate::clock::Clock;

/// The longest head of a request in bytes, and the most headers.
const MAX_HEAD: usize = 8192;
const MAX_HEADERS: usize = 64;

/// Requests at a time on one HTTP/2 connection.
const MAX_STREAMS: u32 = 8;

/// How long to wait when the system has no socket for the next connection.
const PAUSE: Duration = Duration::from_millis(100);

/// What is done with a request that the limits let pass.
pub trait Handler: Send + Sync + 'static {
    /// Answers it.
    fn handle(&self, request: Request<Bytes>) -> impl Future<Output = Response<Full<Bytes>>> + Send;

    /// The words for a request that was not let pass, for this reason.
    fn refuse(&self, status: StatusCode) -> Response<Full<Bytes>>;

    /// A request was answered with this, by either of the two.
    fn answered(&self, status: StatusCode);
}

/// An address that is taken; connections to it wait until a [`Server`] is started.
#[derive(Debug)]
pub struct Listener(StdListener);

impl Listener {
    /// Takes an address.
    ///
    /// # Errors
    /// The system says why not.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = StdListener::bind(address)?;
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }

    /// The address, with the port that the system chose if 0 was asked for.
    ///
    /// # Errors
    /// The system does not know.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A listener that serves. Dropping it lets go of the address at once and of its connections as they end.
pub struct Server {
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
    tls: Option<Certificate>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Server(..)")
    }
}

impl Server {
    /// Serves. Without TLS, who connects is taken for a reverse proxy that asks for many: then the limits per address
    /// do not hold, and it is the proxy's turn to keep them. What it says of its clients (`X-Forwarded-For`) is not
    /// looked at, for anybody can say it.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn start<H: Handler>(
        listener: Listener,
        tls: Option<Tls>,
        limits: Limits,
        clock: Clock,
        handler: Arc<H>,
    ) -> io::Result<Self> {
        let socket = TcpListener::from_std(listener.0)?;
        let (stop, stopped) = watch::channel(());
        let gate = Arc::new(Gate::new(limits, tls.is_some()));
        let tls = tls.map(Certificate::new);
        let shared = Shared { tls: tls.clone(), limits, clock, handler };
        let task = tokio::spawn(accept(socket, Arc::new(shared), gate, stopped));
        Ok(Self { stop, task, tls })
    }

    /// Its certificate, to be replaced while it serves; `None` if it has none.
    #[must_use]
    pub fn certificate(&self) -> Option<Certificate> {
        self.tls.clone()
    }

    /// Takes no more connections, and waits until those there have their answers, but no longer than this.
    pub async fn shutdown(self, within: Duration) {
        drop(self.stop);
        let mut task = self.task;
        if timeout(within, &mut task).await.is_err() {
            task.abort();
        }
    }
}

async fn accept<H: Handler>(
    socket: TcpListener,
    shared: Arc<Shared<H>>,
    gate: Arc<Gate>,
    mut stopped: watch::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = socket.accept() => match accepted {
                // Whoever finds no place is let go without a word: a word costs more than they do.
                Ok((stream, peer)) => if let Some(place) = gate.enter(Address::of(peer.ip())) {
                    connections.spawn(shared.clone().connection(stream, place, stopped.clone()));
                },
                Err(error) => {
                    debug!("no connection: {error}");
                    sleep(PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            _ = stopped.changed() => break,
        }
    }
    drop(socket);
    while connections.join_next().await.is_some() {}
}

/// What all connections of a listener need.
struct Shared<H> {
    tls: Option<Certificate>,
    limits: Limits,
    clock: Clock,
    handler: Arc<H>,
}

impl<H: Handler> Shared<H> {
    async fn connection(self: Arc<Self>, stream: TcpStream, place: Place, stopped: watch::Receiver<()>) {
        let within = self.limits.connection_within;
        let connection = async {
            // Without it answers are late, no more.
            let _late = stream.set_nodelay(true);
            let Some(tls) = &self.tls else {
                return self.clone().speak(stream, false, place, stopped).await;
            };
            let handshake = timeout(self.limits.read_within, tls.acceptor().accept(stream));
            if let Ok(Ok(stream)) = handshake.await {
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                self.clone().speak(stream, http2, place, stopped).await;
            }
        };
        // It is cut off, then.
        let _over = timeout(within, connection).await;
    }

    async fn speak<S>(self: Arc<Self>, stream: S, http2: bool, place: Place, mut stopped: watch::Receiver<()>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let builder = builder(&self.limits, http2);
        let place = Arc::new(place);
        let service = service_fn(move |request| {
            let (shared, place) = (self.clone(), place.clone());
            async move {
                let response = shared.answer(request, &place).await;
                shared.handler.answered(response.status());
                Ok::<_, Infallible>(response)
            }
        });
        let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            // What goes wrong on a stranger's connection is the stranger's affair.
            _ = connection.as_mut() => return,
            _ = stopped.changed() => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ended = connection.await;
    }

    async fn answer(&self, request: Request<Incoming>, place: &Place) -> Response<Full<Bytes>> {
        if !place.may_ask(self.clock.steady()) {
            let mut refusal = self.handler.refuse(StatusCode::TOO_MANY_REQUESTS);
            refusal.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("60"));
            return refusal;
        }
        let (head, body) = request.into_parts();
        // Who says that there will be too much is not waited for.
        if body.size_hint().lower() > self.limits.body as u64 {
            return self.handler.refuse(StatusCode::PAYLOAD_TOO_LARGE);
        }
        let body = Limited::new(body, self.limits.body).collect();
        match timeout(self.limits.read_within, body).await {
            Ok(Ok(body)) => self.handler.handle(Request::from_parts(head, body.to_bytes())).await,
            Ok(Err(error)) if error.is::<LengthLimitError>() => self.handler.refuse(StatusCode::PAYLOAD_TOO_LARGE),
            Ok(Err(_)) => self.handler.refuse(StatusCode::BAD_REQUEST),
            Err(_) => self.handler.refuse(StatusCode::REQUEST_TIMEOUT),
        }
    }
}

/// How HTTP is spoken. Which version, TLS has settled: looking for it in what comes would have no deadline.
fn builder(limits: &Limits, http2: bool) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.read_within)
        .keep_alive(limits.keep_alive)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(8192)
        .max_send_buf_size(16 * 1024);
    if http2 { builder.http2_only() } else { builder.http1_only() }
}
