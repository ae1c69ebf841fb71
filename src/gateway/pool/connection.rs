//! One HTTP/2 connection: its streams, its keep-alive, its end.

use std::future::{Future as _, poll_fn};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Ping, PingPong};
use http::Request;
use tokio::sync::oneshot;
use tokio::time::{Interval, MissedTickBehavior};

use super::Limits;
use super::error::PoolError;
use super::shared::Shared;
use super::wire::{Mark, Pulse, Wire};
use crate::domain::time::Moment;
use crate::gateway::words;

/// How much a vendor may send before we have read it: answers are small, so no stream ever waits for us.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// The side of a connection that pushes use. The pool drops it to let the connection end after its last stream.
pub(super) struct Connection {
    /// Counts the connections of a pool: a later one has a greater number.
    pub(super) serial: u64,
    pub(super) vitals: Arc<Vitals>,
    sender: Mutex<SendRequest<Bytes>>,
}

/// What the connection's two sides tell each other.
pub(super) struct Vitals {
    pub(super) pulse: Arc<Pulse>,
    /// Streams that are open, as we count them.
    pub(super) in_flight: AtomicUsize,
    /// Streams the vendor allows at once (RFC 9113 §5.1.2); one until its settings are here.
    limit: AtomicUsize,
    /// Streams that have ended.
    pub(super) ended: AtomicU64,
    /// Whether a request was ever answered.
    pub(super) proven: AtomicBool,
    /// When a request was last answered, or the first of those that are open was sent.
    pub(super) lively: Mark,
    pub(super) opened: Moment,
}

impl Vitals {
    pub(super) fn has_room(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) < self.limit.load(Ordering::Relaxed)
    }

    /// Whether requests are open and none has been answered for so long.
    fn is_stale(&self, now: Moment, patience: Duration) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0 && now - self.lively.get() >= patience
    }
}

/// Why a request could not be put on a connection.
pub(super) enum NotSent {
    /// No stream is free after all; another time.
    Full,
    /// The connection is ending.
    Ending,
}

impl Connection {
    /// Speaks HTTP/2's first words over a connection. The second part must be driven.
    pub(super) async fn open(
        wire: Wire,
        serial: u64,
        pulse: Arc<Pulse>,
        opened: Moment,
    ) -> Result<(Self, Driver), PoolError> {
        let mut wire = wire;
        let trouble = wire.watch();
        let (sender, h2) = h2::client::Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            // APNs begins with one stream per connection until the provider token has been seen, so until its
            // settings are here we count on no more.
            .initial_max_send_streams(1)
            // An answer that comes after its deadline finds its stream gone. h2 takes a thousand of those in the life
            // of a connection for an attack and ends it, with all that is under way; each costs no more than a frame.
            .max_local_error_reset_streams(None)
            .handshake::<_, Bytes>(wire)
            .await
            .map_err(|error| PoolError::Cut(words::reason(&error.to_string()).into()))?;
        let vitals = Arc::new(Vitals {
            pulse,
            in_flight: AtomicUsize::new(0),
            limit: AtomicUsize::new(1),
            ended: AtomicU64::new(0),
            proven: AtomicBool::new(false),
            lively: Mark::default(),
            opened,
        });
        let driver = Driver { h2, vitals: vitals.clone(), trouble };
        Ok((Self { serial, vitals, sender: Mutex::new(sender) }, driver))
    }

    /// Opens a stream. The caller counts it in and out of `in_flight`.
    pub(super) fn send(&self, head: Request<()>, body: &Bytes) -> Result<ResponseFuture, NotSent> {
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        // Not ready means that h2 counts a stream that we have seen end; it will have in a moment.
        match sender.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Err(NotSent::Ending),
            Poll::Pending => return Err(NotSent::Full),
        }
        let (response, mut stream) = sender.send_request(head, false).map_err(|_| NotSent::Ending)?;
        // h2 keeps what flow control does not let out yet. The answer tells of a stream that has already ended.
        let _ended = stream.send_data(body.clone(), true);
        Ok(response)
    }
}

/// The side of a connection that moves bytes.
pub(super) struct Driver {
    h2: h2::client::Connection<Wire, Bytes>,
    vitals: Arc<Vitals>,
    trouble: oneshot::Receiver<PoolError>,
}

impl Driver {
    /// Runs until the connection has ended; returns why, unless it ended in good order.
    pub(super) async fn run(mut self, serial: u64, pool: &Shared) -> Option<PoolError> {
        let mut keeper = Keeper::new(&pool.limits, self.h2.ping_pong());
        poll_fn(|cx| self.poll(cx, &mut keeper, serial, pool)).await
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        keeper: &mut Keeper,
        serial: u64,
        pool: &Shared,
    ) -> Poll<Option<PoolError>> {
        if let Poll::Ready(end) = Pin::new(&mut self.h2).poll(cx) {
            let told = self.trouble.try_recv().ok();
            return Poll::Ready(match end {
                Ok(()) => told,
                Err(error) => Some(told.unwrap_or_else(|| PoolError::Cut(words::reason(&error.to_string()).into()))),
            });
        }
        let limit = self.h2.max_concurrent_send_streams();
        if self.vitals.limit.swap(limit, Ordering::Relaxed) != limit {
            pool.learn(limit);
        }
        match keeper.poll(cx, &self.vitals, serial, pool) {
            ControlFlow::Continue(()) => Poll::Pending,
            ControlFlow::Break(error) => Poll::Ready(Some(error)),
        }
    }
}

/// Finds out whether a silent connection is dead (RFC 9113 §6.7), and closes one that nobody needs.
struct Keeper {
    ping: Option<PingPong>,
    asked: Option<Moment>,
    tick: Interval,
    ticked: Option<Moment>,
    every: Duration,
    idle: Duration,
    ended: u64,
    /// Requests ever sent, when last asked.
    sent: u64,
    /// How often it was asked since one was.
    asks: u32,
}

impl Keeper {
    fn new(limits: &Limits, ping: Option<PingPong>) -> Self {
        let every =
            (limits.ping_silent.min(limits.pong_within).min(limits.close_idle) / 2).max(Duration::from_millis(5));
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { ping, asked: None, tick, ticked: None, every, idle: Duration::ZERO, ended: 0, sent: 0, asks: 0 }
    }

    fn poll(&mut self, cx: &mut Context<'_>, vitals: &Vitals, serial: u64, pool: &Shared) -> ControlFlow<PoolError> {
        if let (Some(ping), Some(_)) = (&mut self.ping, self.asked) {
            // An error here is the connection's end, which its own poll reports.
            if ping.poll_pong(cx).is_ready() {
                self.asked = None;
            }
        }
        while self.tick.poll_tick(cx).is_ready() {
            let now = pool.clock.steady();
            let late = self.ticked.is_some_and(|ticked| now - ticked > self.every * 2);
            self.ticked = Some(now);
            // It is we who were silent, or this machine: what came meanwhile is read before anybody is judged.
            if late {
                continue;
            }
            self.check(cx, now, vitals, pool)?;
            self.count_idle(vitals, serial, pool);
            if vitals.is_stale(now, pool.limits.stale_after) {
                pool.retire(serial);
            }
        }
        ControlFlow::Continue(())
    }

    fn check(&mut self, cx: &mut Context<'_>, now: Moment, vitals: &Vitals, pool: &Shared) -> ControlFlow<PoolError> {
        let heard = vitals.pulse.heard();
        if let Some(asked) = self.asked {
            if heard < asked && now - asked >= pool.limits.pong_within {
                return ControlFlow::Break(PoolError::Cut("the vendor has gone silent".into()));
            }
            return ControlFlow::Continue(());
        }
        let in_flight = vitals.in_flight.load(Ordering::Relaxed);
        let sent = vitals.ended.load(Ordering::Relaxed).saturating_add(in_flight as u64);
        if sent != self.sent {
            (self.sent, self.asks) = (sent, 0);
        }
        // One request that hangs is no reason to ask again and again: vendors count pings.
        let patience = match in_flight {
            0 => pool.limits.ping_idle,
            _ => pool.limits.ping_silent.saturating_mul(1 << self.asks.min(5)).min(pool.limits.ping_idle),
        };
        if now - heard >= patience
            && let Some(ping) = &mut self.ping
            && ping.send_ping(Ping::opaque()).is_ok()
        {
            self.asked = Some(now);
            self.asks = self.asks.saturating_add(1);
            // Registers for the answer; it can not be here yet.
            let _pending = ping.poll_pong(cx);
        }
        ControlFlow::Continue(())
    }

    /// Lets a connection go that has had nothing to do for long, unless it is the only one.
    fn count_idle(&mut self, vitals: &Vitals, serial: u64, pool: &Shared) {
        let ended = vitals.ended.load(Ordering::Relaxed);
        let busy = vitals.in_flight.load(Ordering::Relaxed) > 0 || ended != self.ended;
        self.ended = ended;
        self.idle = if busy { Duration::ZERO } else { self.idle + self.every };
        if self.idle >= pool.limits.close_idle {
            pool.release_idle(serial);
            self.idle = Duration::ZERO;
        }
    }
}
