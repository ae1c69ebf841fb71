//! Connections and streams of the stand-in.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderValue, Request, Response};
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::behaviour::{Answer, Behaviour};
use super::{Recorded, Service, Shared, rules};

/// What all connections are told to do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Command {
    GoAway,
    GoAwayKeeping(usize),
    Freeze,
    Cut,
}

/// Accepts until it is aborted; its connections end with it.
pub(super) async fn listen(shared: Arc<Shared>, listener: TcpListener) {
    let acceptor = TlsAcceptor::from(Arc::new(config(&shared)));
    let mut connections = JoinSet::new();
    loop {
        let Ok((tcp, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        connections.spawn(connection(shared.clone(), acceptor.clone(), tcp));
    }
}

fn config(shared: &Shared) -> ServerConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let builder = if shared.options.client_certificate {
        let mut roots = RootCertStore::empty();
        roots.add(shared.keys.ca_der.clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder.with_single_cert(shared.keys.server_chain.clone(), shared.keys.server_key()).unwrap();
    if shared.options.http2 {
        config.alpn_protocols = vec![b"h2".to_vec()];
    }
    config
}

async fn connection(shared: Arc<Shared>, acceptor: TlsAcceptor, tcp: TcpStream) {
    // Without it a bench measures Nagle's algorithm.
    let _slower = tcp.set_nodelay(true);
    let Ok(tls) = acceptor.accept(tcp).await else { return };
    let number = {
        let mut state = shared.state();
        state.connections += 1;
        state.open += 1;
        state.connections
    };
    let _open = Open(&shared);
    shared.changed.notify_waiters();
    let wire = Wire(Arc::new(Mutex::new(tls)));
    let handshake = h2::server::Builder::new()
        .max_concurrent_streams(shared.options.max_streams)
        .initial_connection_window_size(16 * 1024 * 1024)
        .handshake::<_, Bytes>(wire.clone());
    if let Ok(h2) = handshake.await {
        serve(&shared, h2, wire, number).await;
    }
}

/// Counts a connection out, however it ends.
struct Open<'a>(&'a Shared);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.state().open -= 1;
        self.0.changed.notify_waiters();
    }
}

/// What becomes of the connection after a stream.
enum Then {
    GoOn(u32),
    Cut,
}

async fn serve(shared: &Shared, mut h2: h2::server::Connection<Wire, Bytes>, wire: Wire, number: u64) {
    let mut commands = shared.commands.subscribe();
    // Streams without their answer, in order; above `last` they never get one.
    let mut waiting: Vec<u32> = Vec::new();
    let last = Mutex::new(u32::MAX);
    let mut work = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Ok(command) = commands.recv() => match command {
                Command::Cut => return,
                Command::Freeze => std::future::pending().await,
                Command::GoAway => h2.graceful_shutdown(),
                Command::GoAwayKeeping(keep) => {
                    let id = keep.checked_sub(1).and_then(|at| waiting.get(at)).copied().unwrap_or_default();
                    *last.lock().unwrap() = id;
                    if wire.go_away(id).await.is_err() {
                        return;
                    }
                }
            },
            accepted = h2.accept() => {
                let Some(Ok((request, respond))) = accepted else { return };
                let id = respond.stream_id().as_u32();
                waiting.push(id);
                work.push(stream(shared, request, respond, number, &last));
            }
            Some(then) = work.next() => match then {
                Then::Cut => return,
                Then::GoOn(id) => waiting.retain(|waiting| *waiting != id),
            },
        }
    }
}

async fn stream(
    shared: &Shared,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    connection: u64,
    last: &Mutex<u32>,
) -> Then {
    let id = respond.stream_id().as_u32();
    let (head, stream) = request.into_parts();
    let body = read(stream).await;
    if shared.options.cheap {
        send(&mut respond, Answer::ok(), None);
        return Then::GoOn(id);
    }
    let path = head.uri.path().to_owned();
    let (service, token) = rules::address(&head.method, &path, &body);
    let (at, status) = (shared.options.clock.steady(), None);
    let authority = head.uri.authority().map(ToString::to_string).unwrap_or_default();
    let (method, headers) = (head.method, head.headers);
    let entry = Recorded { service, connection, at, method, authority, path, headers, body, token, status };
    let place = shared.record(entry.clone());
    let mut held = shared.held.subscribe();
    if service != Service::OAuth {
        // The stand-in outlives its connections.
        let _released = held.wait_for(|held| !held).await;
    }
    if id > *last.lock().unwrap() {
        return std::future::pending().await;
    }
    let told = if service == Service::OAuth { None } else { shared.behaviour(&entry) };
    let answer = match told {
        Some(Behaviour::Answer(answer)) => answer,
        Some(Behaviour::Late(span, answer)) => {
            sleep(span).await;
            answer
        }
        Some(Behaviour::Never) => return std::future::pending().await,
        Some(Behaviour::Reset(reason)) => {
            respond.send_reset(reason);
            return Then::GoOn(id);
        }
        Some(Behaviour::Cut) => return Then::Cut,
        None => rules::judge(shared, &entry),
    };
    let status = answer.status;
    send(&mut respond, answer, entry.headers.get("apns-id"));
    shared.answered(place, status);
    Then::GoOn(id)
}

async fn read(mut stream: RecvStream) -> Bytes {
    let mut whole = Vec::new();
    while let Some(Ok(chunk)) = stream.data().await {
        let _ended = stream.flow_control().release_capacity(chunk.len());
        if whole.is_empty() && stream.is_end_stream() {
            return chunk;
        }
        whole.extend_from_slice(&chunk);
    }
    whole.into()
}

/// The client may be gone; that is its affair.
fn send(respond: &mut SendResponse<Bytes>, answer: Answer, id: Option<&HeaderValue>) {
    let mut head = Response::new(());
    *head.status_mut() = answer.status.try_into().unwrap();
    if let Some(id) = id {
        head.headers_mut().insert("apns-id", id.clone());
    }
    if let Some(text) = answer.retry_after {
        head.headers_mut().insert("retry-after", text.try_into().unwrap());
    }
    if let Some(text) = answer.location {
        head.headers_mut().insert("location", text.try_into().unwrap());
    }
    let empty = answer.body.is_empty();
    if let Ok(mut stream) = respond.send_response(head, empty)
        && !empty
    {
        let _gone = stream.send_data(answer.body, true);
    }
}

/// The TLS stream, shared with whoever writes a frame that h2 would not.
#[derive(Clone)]
struct Wire(Arc<Mutex<TlsStream<TcpStream>>>);

impl Wire {
    /// Writes a GOAWAY of our own choosing (RFC 9113 §6.8): a last stream and NO_ERROR.
    async fn go_away(&self, last: u32) -> io::Result<()> {
        let mut frame = vec![0, 0, 8, 7, 0, 0, 0, 0, 0];
        frame.extend_from_slice(&last.to_be_bytes());
        frame.extend_from_slice(&[0; 4]);
        let mut wire = self.clone();
        let mut written = 0;
        while let Some(rest) = frame.get(written..).filter(|rest| !rest.is_empty()) {
            written += poll_fn(|cx| Pin::new(&mut wire).poll_write(cx, rest)).await?;
        }
        poll_fn(|cx| Pin::new(&mut wire).poll_flush(cx)).await
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.lock().unwrap()).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.lock().unwrap()).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.lock().unwrap()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.lock().unwrap()).poll_shutdown(cx)
    }
}
