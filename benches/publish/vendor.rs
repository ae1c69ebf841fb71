//! A vendor that takes every push at once and does nothing else, so that it is never what one waits for: HTTP/2 (RFC
//! 9113) as far as a client of ours speaks it. It reads frames where they lie, understands no header, and answers with
//! bytes that were made beforehand: everything that was read together is answered together. What it checks of a push
//! is that its stream was opened once, had a body, and ended once. `strict.rs` looks closer.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{BufRead as _, ErrorKind, Write as _};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use pushkeeper::clock::Clock;
use pushkeeper::domain::time::Moment;
use rustls::{ServerConfig, ServerConnection};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{AbortHandle, spawn_local};

use crate::Fallible;
use crate::frames::{Frame, Streams};
use crate::provider::Provider;
use crate::strict;

/// As Apple's servers allow.
pub(crate) const STREAMS: u32 = 1000;
/// How much is read from a socket at once, bytes.
const READ: usize = 256 * 1024;
/// What a client may send before it needs leave; it gets as much again when half of it is used (RFC 9113 §6.9).
const WINDOW: u32 = 1 << 30;

/// A vendor: its port, and what it does with pushes.
pub(crate) struct Vendor {
    pub(crate) address: SocketAddr,
    state: Rc<State>,
    tls: Arc<ServerConfig>,
    listening: RefCell<Option<AbortHandle>>,
}

/// What its connections share.
pub(crate) struct State {
    pub(crate) provider: Provider,
    /// Whether the `h2` crate serves, and headers are looked at.
    strict: Cell<bool>,
    /// Pushes taken.
    pub(crate) taken: Cell<u64>,
    /// How long it thinks about each.
    pub(crate) delay: Cell<Duration>,
    clock: Clock,
    connections: RefCell<Vec<AbortHandle>>,
}

impl Vendor {
    /// Listens on a port of the system's choice.
    pub(crate) fn start(provider: Provider, tls: Arc<ServerConfig>) -> Fallible<Self> {
        let listener = listen("127.0.0.1:0".parse()?)?;
        let address = listener.local_addr()?;
        let state = State {
            provider,
            strict: Cell::new(false),
            taken: Cell::new(0),
            delay: Cell::new(Duration::ZERO),
            clock: Clock::system(),
            connections: RefCell::default(),
        };
        let vendor = Self { address, state: Rc::new(state), tls, listening: RefCell::default() };
        vendor.serve(listener);
        Ok(vendor)
    }

    /// How many pushes it took.
    pub(crate) fn taken(&self) -> u64 {
        self.state.taken.get()
    }

    /// From now on it thinks so long about each push.
    pub(crate) fn delay(&self, delay: Duration) {
        self.state.delay.set(delay);
    }

    /// From the next connection on, the `h2` crate serves, or no longer.
    pub(crate) fn strict(&self, strict: bool) {
        self.state.strict.set(strict);
        self.cut();
    }

    /// Nobody is there any more: connections end, new ones are refused.
    pub(crate) fn refuse(&self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
        }
        self.cut();
    }

    /// Is there again, on the same port.
    pub(crate) fn accept(&self) -> Fallible<()> {
        self.serve(listen(self.address)?);
        Ok(())
    }

    fn cut(&self) {
        for connection in self.state.connections.take() {
            connection.abort();
        }
    }

    fn serve(&self, listener: TcpListener) {
        let (state, tls) = (Rc::clone(&self.state), Arc::clone(&self.tls));
        let listening = spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, tls) = (Rc::clone(&state), Arc::clone(&tls));
                let connection = spawn_local(async move {
                    let ended = if shared.strict.get() {
                        strict::serve(tls, stream, Rc::clone(&shared)).await
                    } else {
                        match Connection::new(tls, stream, shared) {
                            Ok(mut connection) => connection.run().await,
                            Err(error) => Err(error),
                        }
                    };
                    if let Err(error) = ended {
                        eprintln!("a bench vendor's connection: {error}");
                    }
                });
                state.connections.borrow_mut().push(connection.abort_handle());
            }
        });
        self.listening.replace(Some(listening.abort_handle()));
    }
}

fn listen(address: SocketAddr) -> Fallible<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket.listen(1024)?)
}

struct Connection {
    tcp: TcpStream,
    tls: ServerConnection,
    state: Rc<State>,
    greeted: bool,
    raw: Vec<u8>,
    /// Read and decrypted, not yet taken.
    plain: BytesMut,
    /// Encrypted, not yet written.
    out: BytesMut,
    /// Answers, not yet encrypted.
    answers: Vec<u8>,
    /// Streams that have ended, in this order, and when their answers are due.
    due: VecDeque<(Moment, u32)>,
    streams: Streams,
    /// Of [`WINDOW`], what was used since the client last got leave, bytes.
    used: u32,
    /// What the client lets us send, bytes.
    leave: i64,
}

impl Connection {
    fn new(tls: Arc<ServerConfig>, tcp: TcpStream, state: Rc<State>) -> Fallible<Self> {
        tcp.set_nodelay(true)?;
        let mut tls = ServerConnection::new(tls)?;
        tls.set_buffer_limit(None);
        Ok(Self {
            tcp,
            tls,
            state,
            greeted: false,
            raw: vec![0; READ],
            plain: BytesMut::with_capacity(READ),
            out: BytesMut::new(),
            answers: Vec::new(),
            due: VecDeque::new(),
            streams: Streams::default(),
            used: 0,
            leave: 65_535,
        })
    }

    async fn run(&mut self) -> Fallible<()> {
        loop {
            let interest =
                if self.out.is_empty() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
            let next = self.due.front().map(|(due, _)| self.state.clock.instant(*due));
            let ready = tokio::select! {
                ready = self.tcp.ready(interest) => Some(ready?),
                () = until(next) => None,
            };
            if ready.is_some_and(|ready| ready.is_readable()) && !self.read()? {
                return Ok(());
            }
            self.answer()?;
            self.write()?;
        }
    }

    /// Reads what is there. False at the end.
    fn read(&mut self) -> Fallible<bool> {
        let length = match self.tcp.try_read(&mut self.raw) {
            Ok(0) => return Ok(false),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            // A client that is gone ends its connection one way or another.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let mut raw = self.raw.get(..length).unwrap_or_default();
        while !raw.is_empty() {
            self.tls.read_tls(&mut raw)?;
            let closes = self.tls.process_new_packets()?.peer_has_closed();
            let mut reader = self.tls.reader();
            // Nothing more to read is an error here, but at the end.
            while let Ok(part) = reader.fill_buf()
                && !part.is_empty()
            {
                self.plain.extend_from_slice(part);
                let length = part.len();
                reader.consume(length);
            }
            if closes {
                return Ok(false);
            }
        }
        self.take()?;
        Ok(true)
    }

    /// Takes the frames that are whole.
    fn take(&mut self) -> Fallible<()> {
        if !self.greeted && !self.tls.is_handshaking() {
            self.greeted = true;
            // SETTINGS: concurrent streams, each stream's window; and the connection's.
            self.answers.extend_from_slice(&[0, 0, 12, 4, 0, 0, 0, 0, 0, 0, 3]);
            self.answers.extend_from_slice(&STREAMS.to_be_bytes());
            self.answers.extend_from_slice(&[0, 4]);
            self.answers.extend_from_slice(&(1_u32 << 20).to_be_bytes());
            self.grant(WINDOW - 65_535);
        }
        let due = self.state.clock.steady() + self.state.delay.get();
        let mut taken = 0;
        if !self.streams.greeted {
            taken = self.streams.preface(&self.plain)?;
        }
        while self.streams.greeted
            && let Some((frame, length)) = Frame::first(self.plain.get(taken..).unwrap_or_default())?
        {
            taken += length;
            match frame {
                Frame::Head { stream, ends } => self.streams.open(stream, ends)?,
                Frame::Data { stream, length, ends } => {
                    self.used += length;
                    if self.streams.data(stream, length, ends)? {
                        self.due.push_back((due, stream));
                    }
                }
                Frame::Reset { stream } => {
                    self.streams.end(stream);
                    self.due.retain(|(_, due)| *due != stream);
                }
                Frame::Settings => self.answers.extend_from_slice(&[0, 0, 0, 4, 1, 0, 0, 0, 0]),
                Frame::Ping(opaque) => {
                    self.answers.extend_from_slice(&[0, 0, 8, 6, 1, 0, 0, 0, 0]);
                    self.answers.extend_from_slice(&opaque);
                }
                Frame::Window { stream: 0, more } => self.leave += i64::from(more),
                Frame::Window { .. } | Frame::Other => {}
            }
        }
        self.plain.advance(taken);
        if self.used > WINDOW / 2 {
            let used = std::mem::take(&mut self.used);
            self.grant(used);
        }
        Ok(())
    }

    /// Lets the client send so much more on the connection.
    fn grant(&mut self, more: u32) {
        self.answers.extend_from_slice(&[0, 0, 4, 8, 0, 0, 0, 0, 0]);
        self.answers.extend_from_slice(&more.to_be_bytes());
    }

    /// Answers what is due, and encrypts it.
    fn answer(&mut self) -> Fallible<()> {
        let now = self.state.clock.steady();
        let mut pushes = 0;
        while let Some((due, stream)) = self.due.front().copied()
            && due <= now
        {
            self.due.pop_front();
            self.leave -= self.state.provider.answer(&mut self.answers, stream);
            pushes += 1;
        }
        if self.leave < 0 {
            return Err("the client gives no leave to answer".into());
        }
        self.state.taken.set(self.state.taken.get() + pushes);
        if !self.answers.is_empty() {
            self.tls.writer().write_all(&self.answers)?;
            self.answers.clear();
        }
        while self.tls.wants_write() {
            self.tls.write_tls(&mut Sink(&mut self.out))?;
        }
        Ok(())
    }

    fn write(&mut self) -> Fallible<()> {
        while !self.out.is_empty() {
            match self.tcp.try_write(&self.out) {
                Ok(length) => self.out.advance(length),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// At that time; never, if there is none.
async fn until(instant: Option<tokio::time::Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

struct Sink<'a>(&'a mut BytesMut);

impl std::io::Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
