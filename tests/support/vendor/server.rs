//! Connections and streams of the stand-in.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderValue, Request, Response};
use rustls::crypto::aws_lc_rs;
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::{HandshakeKind, RootCertStore};
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
    sleep(shared.options.slow_accept).await;
    let Ok(tls) = acceptor.accept(tcp).await else { return };
    let number = {
        let mut state = shared.state();
        state.connections += 1;
        state.resumed += u64::from(tls.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed));
        state.open += 1;
        state.connections
    };
    let _open = Open(&shared);
    shared.changed.notify_waiters();
    let wire = Wire(Arc::new(Mutex::new(Line {
        tls,
        shared: shared.clone(),
        frame: Progress::default(),
        insert: Vec::new(),
    })));
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
    Freeze,
    GoAway(u32),
    /// The client reset the stream while its answer was on the way.
    Crossed(u32),
}

async fn serve(shared: &Shared, mut h2: h2::server::Connection<Wire, Bytes>, wire: Wire, number: u64) {
    let mut commands = shared.commands.subscribe();
    // Streams without their answer, in order; above `last` they never get one.
    let mut waiting: Vec<u32> = Vec::new();
    let last = Mutex::new(u32::MAX);
    // The latest that is, or was, processed.
    let latest = Mutex::new(0);
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
                    wire.go_away(id);
                }
            },
            accepted = h2.accept() => {
                let Some(Ok((request, respond))) = accepted else { return };
                let id = respond.stream_id().as_u32();
                waiting.push(id);
                work.push(stream(shared, request, respond, number, &last, &latest));
            }
            Some(then) = work.next() => match then {
                Then::Cut => return,
                // The connection stays open, and its descriptor with it.
                Then::Freeze => std::future::pending().await,
                Then::GoOn(id) => waiting.retain(|waiting| *waiting != id),
                Then::Crossed(id) => {
                    waiting.retain(|waiting| *waiting != id);
                    wire.answer(id);
                }
                Then::GoAway(id) => {
                    waiting.retain(|waiting| *waiting != id);
                    let mut last = last.lock().unwrap();
                    if *last == u32::MAX {
                        *last = *latest.lock().unwrap();
                        wire.go_away(*last);
                    }
                }
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
    latest: &Mutex<u32>,
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
    {
        let mut latest = latest.lock().unwrap();
        *latest = id.max(*latest);
    }
    let mut then = Then::GoOn(id);
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
        Some(Behaviour::Cut) => {
            shared.took(&entry);
            return Then::Cut;
        }
        Some(Behaviour::Freeze) => {
            shared.took(&entry);
            return Then::Freeze;
        }
        Some(Behaviour::Revoke) => {
            let answer = rules::judge(shared, &entry);
            shared.state().access_token = None;
            answer
        }
        Some(Behaviour::GoAway) => {
            then = Then::GoAway(id);
            rules::judge(shared, &entry)
        }
        None => rules::judge(shared, &entry),
    };
    let answer = Answer { date: shared.state().date.clone(), ..answer };
    let status = answer.status;
    if (200..300).contains(&status) {
        shared.took(&entry);
    }
    let sent = send(&mut respond, answer, entry.headers.get("apns-id"));
    shared.answered(place, status);
    if sent { then } else { Then::Crossed(id) }
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

/// False if the client has reset the stream, or is gone.
fn send(respond: &mut SendResponse<Bytes>, answer: Answer, id: Option<&HeaderValue>) -> bool {
    let mut head = Response::new(());
    *head.status_mut() = answer.status.try_into().unwrap();
    if let Some(id) = id {
        head.headers_mut().insert("apns-id", id.clone());
    }
    if let Some(text) = answer.retry_after {
        head.headers_mut().insert("retry-after", text.try_into().unwrap());
    }
    if let Some(text) = answer.date {
        head.headers_mut().insert("date", text.try_into().unwrap());
    }
    if let Some(text) = answer.location {
        head.headers_mut().insert("location", text.try_into().unwrap());
    }
    let empty = answer.body.is_empty();
    let Ok(mut stream) = respond.send_response(head, empty) else { return false };
    empty || stream.send_data(answer.body, true).is_ok()
}

/// The TLS stream, shared with whoever writes a frame that h2 would not.
#[derive(Clone)]
struct Wire(Arc<Mutex<Line>>);

struct Line {
    tls: TlsStream<TcpStream>,
    shared: Arc<Shared>,
    frame: Progress,
    /// A frame to write as soon as h2 has written all of one of its own.
    insert: Vec<u8>,
}

impl Wire {
    /// Writes ":status: 200", and the end of a stream that h2 has ended already, with the next that is written.
    fn answer(&self, id: u32) {
        let mut frame = vec![0, 0, 1, 1, 5];
        frame.extend_from_slice(&id.to_be_bytes());
        frame.push(0x88);
        self.0.lock().unwrap().insert.extend(frame);
    }

    /// Writes a GOAWAY of our own choosing (RFC 9113 §6.8), a last stream and NO_ERROR, with the next that is written.
    fn go_away(&self, last: u32) {
        let mut frame = vec![0, 0, 8, 7, 0, 0, 0, 0, 0];
        frame.extend_from_slice(&last.to_be_bytes());
        frame.extend_from_slice(&[0; 4]);
        self.0.lock().unwrap().insert.extend(frame);
    }
}

impl Line {
    /// Writes what is to be inserted, if the last frame is whole.
    fn poll_insert(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.frame.is_whole() && !self.insert.is_empty() {
            let written = ready!(Pin::new(&mut self.tls).poll_write(cx, &self.insert))?;
            self.insert.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

/// Where in a frame (RFC 9113 §4.1) what was written ends.
#[derive(Default)]
struct Progress {
    head: Vec<u8>,
    body: usize,
    /// PING frames with ACK.
    pongs: u64,
}

impl Progress {
    fn is_whole(&self) -> bool {
        self.head.is_empty() && self.body == 0
    }

    /// How many of these bytes belong to the frame that has begun, or begins with them.
    fn rest(&self, bytes: &[u8]) -> usize {
        if self.body > 0 {
            return self.body.min(bytes.len());
        }
        (9 - self.head.len()).min(bytes.len())
    }

    /// These bytes were written.
    fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (part, rest) = bytes.split_at(self.rest(bytes));
            if self.body > 0 {
                self.body -= part.len();
            } else {
                self.head.extend_from_slice(part);
                if let [a, b, c, kind, flags, _, _, _, _] = self.head[..] {
                    self.pongs += u64::from((kind, flags) == (6, 1));
                    self.body = u32::from_be_bytes([0, a, b, c]) as usize;
                    self.head.clear();
                }
            }
            bytes = rest;
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().unwrap().tls).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut line = self.0.lock().unwrap();
        ready!(line.poll_insert(cx))?;
        // Not beyond the frame after which something is to be inserted.
        let part = if line.insert.is_empty() { buf } else { &buf[..line.frame.rest(buf)] };
        let written = ready!(Pin::new(&mut line.tls).poll_write(cx, part))?;
        line.frame.pass(&part[..written]);
        let pongs = std::mem::take(&mut line.frame.pongs);
        if pongs > 0 {
            line.shared.state().pings += pongs;
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut line = self.0.lock().unwrap();
        ready!(line.poll_insert(cx))?;
        Pin::new(&mut line.tls).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().unwrap().tls).poll_shutdown(cx)
    }
}
