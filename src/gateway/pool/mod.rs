//! HTTP/2 to one endpoint over as many connections as its vendor's stream limits ask for.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | [`Pool`]: finds a stream for each request, retries what can be retried |
//! | `connection.rs` | one connection: streams, keep-alive, end |
//! | `wire.rs` | TCP and TLS beneath it |
//! | `error.rs` | what can go wrong |
//!
//! A request is sent again if the vendor provably did not process it: no connection, a refused stream (RFC 9113
//! §8.7), a stream above GOAWAY's last (§6.8). If its connection is lost before an answer, it is sent once more on
//! a connection that is younger: a phone woken twice is better than one not woken.

mod connection;
mod error;
mod wire;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, StatusCode, header};
use rustls::ClientConfig;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use self::connection::{Connection, Driver, NotSent, Vitals};
pub use self::error::PoolError;
use self::wire::Pulse;
use super::endpoint::Endpoint;
use crate::clock::Clock;
use crate::domain::time::Moment;

/// How often a request is sent that the vendor does not process.
const ATTEMPTS: u32 = 8;

/// Connections that may fail in a row before requests no longer wait for the next.
const PATIENCE: u32 = 3;

/// How long a new connection may owe its first answer before we stop waiting for it to show its true stream limit.
const PROBATION: Duration = Duration::from_secs(1);

/// How often a request that waits for a stream looks by itself.
const RECHECK: Duration = Duration::from_millis(250);

/// How far a pool goes. The defaults are meant for vendors on the internet; tests use short ones.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once.
    pub max_connections: usize,
    /// From the request to the end of its answer, waiting and retries included.
    pub deadline: Duration,
    /// For name, TCP and TLS together.
    pub connect: Duration,
    /// Silence on a connection without open requests before it is asked for a sign of life.
    pub ping_idle: Duration,
    /// The same while requests are open.
    pub ping_silent: Duration,
    /// How long the sign of life may take.
    pub pong_within: Duration,
    /// When one of several connections that have nothing to do is closed.
    pub close_idle: Duration,
    /// The wait after the first failed connection; doubles with each that follows.
    pub backoff_first: Duration,
    /// The longest such wait.
    pub backoff_most: Duration,
    /// How much of an answer is read, in bytes.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 16,
            deadline: Duration::from_secs(20),
            connect: Duration::from_secs(10),
            ping_idle: Duration::from_secs(60),
            ping_silent: Duration::from_secs(5),
            pong_within: Duration::from_secs(5),
            close_idle: Duration::from_secs(120),
            backoff_first: Duration::from_millis(100),
            backoff_most: Duration::from_secs(30),
            body: 64 * 1024,
        }
    }
}

/// A vendor's answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, cut at [`Limits::body`], or where the vendor broke off.
    pub body: Bytes,
}

impl Response {
    /// The `Retry-After` header's text.
    #[must_use]
    pub fn retry_after(&self) -> Option<&str> {
        self.headers.get(header::RETRY_AFTER)?.to_str().ok()
    }
}

/// The connections to one endpoint. Dropping it ends them once their last request has its answer.
pub struct Pool {
    shared: Arc<Shared>,
}

impl Pool {
    /// A pool without connections; the first request makes one.
    #[must_use]
    pub fn new(endpoint: Endpoint, tls: Arc<ClientConfig>, limits: Limits, clock: Clock) -> Self {
        let state = Mutex::new(State::default());
        Self { shared: Arc::new(Shared { endpoint, tls, limits, clock, state, room: Notify::new() }) }
    }

    /// Where it connects to.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.shared.endpoint
    }

    /// Sends a request and waits for its answer. `head` is asked for the request's head at each attempt.
    ///
    /// # Errors
    /// When no answer came within the deadline, or none can be expected.
    pub async fn post(&self, head: impl Fn() -> Request<()>, body: Bytes) -> Result<Response, PoolError> {
        let answer = timeout(self.shared.limits.deadline, self.attempts(head, body)).await;
        answer.unwrap_or(Err(PoolError::Late))
    }

    async fn attempts(&self, head: impl Fn() -> Request<()>, body: Bytes) -> Result<Response, PoolError> {
        let mut newer_than = 0;
        let mut again = true;
        let mut attempt = 0;
        while attempt < ATTEMPTS {
            let lease = self.shared.lease(newer_than).await?;
            let answer = match lease.connection.send(head(), &body) {
                Ok(response) => response.await,
                Err(NotSent::Ending) => {
                    self.shared.retire(lease.connection.serial);
                    attempt += 1;
                    continue;
                }
                Err(NotSent::Full) => {
                    drop(lease);
                    sleep(pause(0)).await;
                    continue;
                }
            };
            attempt += 1;
            let error = match answer {
                Ok(response) => {
                    self.shared.prove(&lease.connection);
                    let (parts, body) = response.into_parts();
                    let body = read(body, self.shared.limits.body).await;
                    return Ok(Response { status: parts.status, headers: parts.headers, body });
                }
                Err(error) => error,
            };
            if error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM) {
                drop(lease);
                sleep(pause(attempt)).await;
                continue;
            }
            if !error.is_reset() {
                self.shared.retire(lease.connection.serial);
            }
            // h2 reports GOAWAY only to streams above the last one that the vendor will process.
            if error.is_go_away() && error.is_remote() {
                continue;
            }
            if !again {
                return Err(PoolError::Cut(error.to_string().into()));
            }
            again = false;
            if !error.is_reset() {
                // Others made before now may have died of the same cause, unnoticed.
                newer_than = self.shared.lock().opened;
            }
        }
        Err(PoolError::Refused)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        state.connections.clear();
        drop(state);
        self.shared.room.notify_waiters();
    }
}

/// What the pool, its connections' drivers and the requests share.
struct Shared {
    endpoint: Endpoint,
    tls: Arc<ClientConfig>,
    limits: Limits,
    clock: Clock,
    state: Mutex<State>,
    /// Told when a stream may be free, or a wait in vain.
    room: Notify,
}

#[derive(Default)]
struct State {
    /// Oldest first.
    connections: Vec<Arc<Connection>>,
    connecting: bool,
    /// Connections ever made.
    opened: u64,
    /// Connections in a row that gave no answer.
    failures: u32,
    last_failure: Option<PoolError>,
    retry_at: Moment,
    closed: bool,
}

/// What a request may do next.
enum Next {
    Go(Lease),
    Wait(Duration),
    Fail(PoolError),
}

/// One stream's place on a connection.
struct Lease {
    connection: Arc<Connection>,
    shared: Arc<Shared>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let vitals = &self.connection.vitals;
        vitals.in_flight.fetch_sub(1, Ordering::Relaxed);
        vitals.ended.fetch_add(1, Ordering::Relaxed);
        self.shared.room.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place on a connection with a greater serial than `newer_than`.
    async fn lease(self: &Arc<Self>, newer_than: u64) -> Result<Lease, PoolError> {
        let mut connecting = false;
        loop {
            // Registered before looking: what changes after the look wakes us.
            let room = self.room.notified();
            match self.next(newer_than, &mut connecting) {
                Next::Go(lease) => return Ok(lease),
                Next::Fail(error) => return Err(error),
                // Either way we look again.
                Next::Wait(span) => drop(timeout(span, room).await),
            }
        }
    }

    /// `connecting` is set once this request has started a connection: it then waits for what becomes of it.
    fn next(self: &Arc<Self>, newer_than: u64, connecting: &mut bool) -> Next {
        let mut state = self.lock();
        if state.closed {
            return Next::Fail(PoolError::Closed);
        }
        let mut young = state.connections.iter().filter(|connection| connection.serial > newer_than);
        if let Some(connection) = young.clone().find(|connection| connection.vitals.has_room()) {
            connection.vitals.in_flight.fetch_add(1, Ordering::Relaxed);
            return Next::Go(Lease { connection: connection.clone(), shared: self.clone() });
        }
        let now = self.clock.steady();
        let settled = young.all(|connection| {
            let vitals = &connection.vitals;
            vitals.proven.load(Ordering::Relaxed) || now - vitals.opened >= PROBATION
        });
        let hopeless = state.failures >= PATIENCE && state.connections.is_empty();
        if state.connecting {
            return if hopeless && !*connecting { Next::Fail(state.failure()) } else { Next::Wait(RECHECK) };
        }
        if now < state.retry_at {
            return if hopeless {
                Next::Fail(state.failure())
            } else {
                Next::Wait((state.retry_at - now).min(RECHECK))
            };
        }
        if hopeless && *connecting {
            // The connection we waited for failed, and we have tried long enough.
            return Next::Fail(state.failure());
        }
        // One at a time: the vendor's limits show only once a connection is used.
        if settled && state.connections.len() < self.limits.max_connections {
            state.connecting = true;
            state.opened += 1;
            *connecting = true;
            let serial = state.opened;
            drop(state);
            tokio::spawn(self.clone().connect(serial));
        }
        Next::Wait(RECHECK)
    }

    /// Makes a connection and drives it to its end.
    async fn connect(self: Arc<Self>, serial: u64) {
        let attempt = timeout(self.limits.connect, self.open(serial)).await;
        let late = || Err(PoolError::Unreachable(format!("{}: no connection in time", self.endpoint).into()));
        let Some((driver, vitals)) = self.enter(attempt.unwrap_or_else(|_| late())) else { return };
        let end = driver.run(serial, &self).await;
        self.bury(serial, &vitals, end);
    }

    /// Takes a new connection in, or notes that there is none.
    fn enter(&self, opened: Result<(Connection, Driver), PoolError>) -> Option<(Driver, Arc<Vitals>)> {
        let mut state = self.lock();
        state.connecting = false;
        let entered = match opened {
            Ok((connection, driver)) if !state.closed => {
                let vitals = connection.vitals.clone();
                state.connections.push(Arc::new(connection));
                Some((driver, vitals))
            }
            Ok(_) => None,
            Err(error) => {
                state.fail(error, &self.limits, self.clock.steady());
                None
            }
        };
        drop(state);
        self.room.notify_waiters();
        entered
    }

    async fn open(&self, serial: u64) -> Result<(Connection, Driver), PoolError> {
        let pulse = Arc::new(Pulse::new(self.clock.clone()));
        let wire = wire::connect(&self.endpoint, &self.tls, pulse.clone()).await?;
        Connection::open(wire, serial, pulse, self.clock.steady()).await
    }

    /// The connection has answered: it works.
    fn prove(&self, connection: &Connection) {
        if connection.vitals.proven.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut state = self.lock();
        state.failures = 0;
        state.last_failure = None;
        state.retry_at = Moment::default();
        drop(state);
        self.room.notify_waiters();
    }

    /// Gives a connection no more requests.
    fn retire(&self, serial: u64) {
        self.lock().connections.retain(|connection| connection.serial != serial);
    }

    /// A connection has ended. One that never answered anything counts as a failure to connect: a vendor that
    /// accepts and hangs up must not be called without end.
    fn bury(&self, serial: u64, vitals: &Vitals, end: Option<PoolError>) {
        let proven = vitals.proven.load(Ordering::Relaxed);
        let used = vitals.in_flight.load(Ordering::Relaxed) > 0 || vitals.ended.load(Ordering::Relaxed) > 0;
        let mut state = self.lock();
        state.connections.retain(|connection| connection.serial != serial);
        if (!proven && (used || end.is_some())) || end.as_ref().is_some_and(PoolError::is_lasting) {
            let error = end.unwrap_or_else(|| PoolError::Cut("the vendor hung up".into()));
            state.fail(error, &self.limits, self.clock.steady());
        }
        drop(state);
        self.room.notify_waiters();
    }

    /// Lets an idle connection go if others remain.
    fn release_idle(&self, serial: u64) {
        let mut state = self.lock();
        if state.connections.len() > 1 {
            state.connections.retain(|connection| {
                connection.serial != serial || connection.vitals.in_flight.load(Ordering::Relaxed) > 0
            });
        }
    }
}

impl State {
    fn fail(&mut self, error: PoolError, limits: &Limits, now: Moment) {
        self.failures = if error.is_lasting() { PATIENCE.max(self.failures + 1) } else { self.failures + 1 };
        self.retry_at = now + backoff(self.failures, limits);
        self.last_failure = Some(error);
    }

    fn failure(&self) -> PoolError {
        self.last_failure.clone().unwrap_or(PoolError::Closed)
    }
}

/// Doubles with each failure up to the most; a random half is taken off, so that many do not come back at once.
fn backoff(failures: u32, limits: &Limits) -> Duration {
    let doubled = limits.backoff_first.saturating_mul(1_u32 << failures.saturating_sub(1).min(16));
    let whole = doubled.min(limits.backoff_most);
    // Without chance the wait is merely the longest.
    let chance = getrandom::u32().unwrap_or(u32::MAX);
    whole / 2 + (whole / 2).mul_f64(f64::from(chance) / f64::from(u32::MAX))
}

/// Before a stream is tried again: 2 ms, doubling to 256 ms.
fn pause(attempt: u32) -> Duration {
    Duration::from_millis(2 << attempt.min(7))
}

/// Reads a body up to `most` bytes. What the vendor said with its status counts even if the rest is lost.
async fn read(mut stream: RecvStream, most: usize) -> Bytes {
    let mut whole = BytesMut::new();
    while let Some(Ok(chunk)) = stream.data().await {
        // Fails only on a stream that has ended, whose window no longer matters.
        let _ended = stream.flow_control().release_capacity(chunk.len());
        if whole.is_empty() && stream.is_end_stream() && chunk.len() <= most {
            return chunk;
        }
        let room = most.saturating_sub(whole.len()).min(chunk.len());
        whole.extend_from_slice(chunk.get(..room).unwrap_or_default());
        if whole.len() >= most {
            break;
        }
    }
    whole.freeze()
}
