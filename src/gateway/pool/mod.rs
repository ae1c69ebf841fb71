//! HTTP/2 to one endpoint over as many connections as its vendor's stream limits ask for.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | [`Pool`]: finds a stream for each request, retries what can be retried |
//! | `shared.rs` | which connections there are, who may use them, when another is made |
//! | `flight.rs` | one request that has its stream |
//! | `connection.rs` | one connection as requests see it |
//! | `driver.rs` | moves its bytes, from its beginning to its end |
//! | `keeper.rs` | whether it lives, and whether anybody needs it |
//! | `wire.rs` | TCP and TLS beneath it |
//! | `error.rs` | what can go wrong |
//!
//! A request is sent again if the vendor provably did not process it: no connection, a refused stream (RFC 9113
//! §8.7), a stream above GOAWAY's last (§6.8). If its connection is lost before an answer, it is sent once more on
//! a connection that is younger: a phone woken twice is better than one not woken.
//!
//! A request that hangs harms no other. It has a deadline; a connection on which nothing is answered gets no more
//! requests; and when streams become scarce, what hangs while later requests were answered is given up first.

mod connection;
mod driver;
mod error;
mod flight;
mod keeper;
mod shared;
mod wire;

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::time::{sleep, timeout};

pub use self::error::PoolError;
pub use self::flight::{Failed, Flight};
use self::shared::Shared;
use super::endpoint::Endpoint;
pub use super::http2::Response;
use super::http2::{Broken, NotOpened, Request};
use super::words;
use crate::clock::Clock;
use crate::domain::time::Moment;

/// How often a request is sent that the vendor does not process.
const ATTEMPTS: u32 = 8;

/// How many connections a request may see end before its turn (GOAWAY): each costs the vendor a handshake, so it is
/// no storm; what ends it is the deadline.
const MOVES: u32 = 64;

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
    /// The same while requests are open; doubles while all that comes are signs of life and no request is sent.
    pub ping_silent: Duration,
    /// How long the sign of life may take.
    pub pong_within: Duration,
    /// How long a new connection may owe its first answer, and so its true limit of streams, before another is
    /// opened beside it.
    pub probation: Duration,
    /// When a request counts as hanging, if one that was sent after it was answered, four times faster at least. It is
    /// then given up as soon as streams are scarce.
    pub hung_after: Duration,
    /// So many requests under way make streams scarce, as does the use of three quarters of what the vendor allows.
    pub crowded: usize,
    /// How long a connection with open requests may answer none of them before it gets no more.
    pub stale_after: Duration,
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
            deadline: Duration::from_secs(10),
            connect: Duration::from_secs(8),
            ping_idle: Duration::from_secs(60),
            // A dead connection is found within seven seconds: time enough to send once more within the deadline.
            ping_silent: Duration::from_secs(2),
            pong_within: Duration::from_secs(3),
            probation: Duration::from_secs(1),
            hung_after: Duration::from_secs(1),
            // Half of an app's slots.
            crowded: 2048,
            stale_after: Duration::from_secs(3),
            close_idle: Duration::from_secs(120),
            backoff_first: Duration::from_millis(100),
            backoff_most: Duration::from_secs(30),
            body: 64 * 1024,
        }
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
        Self { shared: Arc::new(Shared::new(endpoint, tls, limits, clock)) }
    }

    /// Where it connects to.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.shared.endpoint
    }

    /// Puts a request on its way if there is a stream for it right now; `None` if it has to wait for one, which
    /// [`post`](Self::post) does. `waker` is woken when there is something to hear.
    pub fn start(&self, request: &Request<'_>, body: &[u8], now: Moment, waker: &Waker) -> Option<Flight> {
        let lease = self.shared.try_lease(now)?;
        let stream = lease.connection.send(request, body, Some(waker)).ok()?;
        Some(Flight::new(lease, stream))
    }

    /// Sends a request and waits for its answer. `failed` is what became of it before.
    ///
    /// # Errors
    /// When no answer came within the deadline, or none can be expected.
    pub async fn post(
        &self,
        request: &Request<'_>,
        body: &[u8],
        failed: Option<Failed>,
    ) -> Result<Response, PoolError> {
        let deadline = self.shared.limits.deadline;
        let gone = failed.as_ref().map_or(Duration::ZERO, |failed| self.shared.clock.steady() - failed.begun);
        let answer = timeout(deadline.saturating_sub(gone), self.attempts(request, body, failed)).await;
        answer.unwrap_or(Err(PoolError::Late))
    }

    async fn attempts(
        &self,
        request: &Request<'_>,
        body: &[u8],
        failed: Option<Failed>,
    ) -> Result<Response, PoolError> {
        let mut tries = Tries::default();
        if let Some(failed) = failed {
            tries.attempt = 1;
            tries.after(&failed, &self.shared).await?;
        }
        while tries.attempt < ATTEMPTS {
            let lease = self.shared.lease(tries.newer_than).await?;
            let stream = match lease.connection.send(request, body, None) {
                Ok(stream) => stream,
                Err(NotOpened::Ending) => {
                    self.shared.retire(lease.connection.serial);
                    tries.attempt += 1;
                    continue;
                }
                Err(NotOpened::Full) => {
                    drop(lease);
                    sleep(pause(0)).await;
                    continue;
                }
            };
            tries.attempt += 1;
            let mut flight = Flight::new(lease, stream);
            match flight.wait().await? {
                Ok(response) => return Ok(response),
                Err(failed) => {
                    drop(flight);
                    tries.after(&failed, &self.shared).await?;
                }
            }
        }
        Err(PoolError::Refused)
    }
}

/// How often a request was tried, and what may be tried yet.
struct Tries {
    /// Connections up to this one are not to be trusted.
    newer_than: u64,
    /// Whether it may be sent once more although the vendor may have processed it.
    again: bool,
    attempt: u32,
    moves: u32,
}

impl Default for Tries {
    fn default() -> Self {
        Self { newer_than: 0, again: true, attempt: 0, moves: 0 }
    }
}

impl Tries {
    /// What comes after an attempt that failed; waits if it is too early for the next.
    async fn after(&mut self, failed: &Failed, shared: &Shared) -> Result<(), PoolError> {
        match failed.error {
            Broken::Refused => {
                sleep(pause(self.attempt)).await;
                return Ok(());
            }
            Broken::LeftOut => {
                shared.retire(failed.serial);
                self.moves += 1;
                if self.moves < MOVES {
                    self.attempt -= 1;
                }
                return Ok(());
            }
            Broken::Lost(_) => shared.retire(failed.serial),
            Broken::Reset(_) => {}
        }
        if !self.again {
            return Err(PoolError::Cut(words::reason(&failed.error.to_string()).into()));
        }
        self.again = false;
        if matches!(failed.error, Broken::Lost(_)) {
            // Others that were there when it was sent may have died of the same cause, unnoticed.
            self.newer_than = failed.newest;
        }
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// Before a stream is tried again: 2 ms, doubling to 256 ms.
fn pause(attempt: u32) -> Duration {
    Duration::from_millis(2 << attempt.min(7))
}
