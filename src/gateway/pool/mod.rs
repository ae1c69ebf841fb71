//! HTTP/2 to one endpoint over as many connections as its vendor's stream limits ask for.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | [`Pool`]: finds a stream for each request, retries what can be retried |
//! | `shared.rs` | which connections there are, who may use them, when another is made |
//! | `connection.rs` | one connection: streams, keep-alive, end |
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
mod error;
mod shared;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, StatusCode, header};
use rustls::ClientConfig;
use tokio::time::{sleep, timeout};

use self::connection::NotSent;
pub use self::error::PoolError;
use self::shared::Shared;
use super::endpoint::Endpoint;
use super::words;
use crate::clock::Clock;

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
        Self { shared: Arc::new(Shared::new(endpoint, tls, limits, clock)) }
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
        let (mut attempt, mut moves) = (0, 0);
        while attempt < ATTEMPTS {
            let lease = self.shared.lease(newer_than).await?;
            let answer = match lease.connection.send(head(), &body) {
                Ok(response) => lease.hear(response).await?,
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
                    self.shared.prove(&lease);
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
                moves += 1;
                if moves < MOVES {
                    attempt -= 1;
                }
                continue;
            }
            if !again {
                return Err(PoolError::Cut(words::reason(&error.to_string()).into()));
            }
            again = false;
            if !error.is_reset() {
                // Others that were there when it was sent may have died of the same cause, unnoticed.
                newer_than = lease.newest;
            }
        }
        Err(PoolError::Refused)
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
