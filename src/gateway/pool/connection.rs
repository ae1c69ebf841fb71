//! One HTTP/2 connection as requests see it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use super::wire::{Mark, Pulse};
use crate::domain::time::Moment;
use crate::gateway::http2::{Client, NotOpened, Request};

/// The side of a connection that pushes use. The pool drops it to let the connection end after its last stream.
pub(super) struct Connection {
    /// Counts the connections of a pool: a later one has a greater number.
    pub(super) serial: u64,
    pub(super) vitals: Arc<Vitals>,
    talk: Arc<Talk>,
}

/// What is said on a connection: by requests, and by what moves its bytes. Held for some frames' time only.
pub(super) struct Talk(Mutex<Client>);

/// What the connection's two sides tell each other.
pub(super) struct Vitals {
    pub(super) pulse: Arc<Pulse>,
    /// Streams that are open, as we count them.
    pub(super) in_flight: AtomicUsize,
    /// Streams the vendor allows at once (RFC 9113 §5.1.2); one until its settings are here.
    pub(super) limit: AtomicUsize,
    /// Streams that have ended.
    pub(super) ended: AtomicU64,
    /// Whether a request was ever answered.
    pub(super) proven: AtomicBool,
    /// When a request was last answered, or the first of those that are open was sent.
    pub(super) lively: Mark,
    pub(super) opened: Moment,
}

impl Connection {
    /// A connection that has just been made. What moves its bytes needs the second part.
    pub(super) fn new(client: Client, serial: u64, pulse: Arc<Pulse>, opened: Moment) -> (Self, Arc<Talk>) {
        let vitals = Arc::new(Vitals {
            pulse,
            in_flight: AtomicUsize::new(0),
            limit: AtomicUsize::new(client.limit()),
            ended: AtomicU64::new(0),
            proven: AtomicBool::new(false),
            lively: Mark::default(),
            opened,
        });
        let talk = Arc::new(Talk(Mutex::new(client)));
        (Self { serial, vitals, talk: talk.clone() }, talk)
    }

    /// Opens a stream; its number. The caller counts it in and out of `in_flight`.
    pub(super) fn send(&self, request: &Request<'_>, body: &[u8], waker: Option<&Waker>) -> Result<u32, NotOpened> {
        self.lock().open(request, body, waker)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Client> {
        self.talk.lock()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.lock().close();
    }
}

impl Talk {
    pub(super) fn lock(&self) -> MutexGuard<'_, Client> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vitals {
    pub(super) fn has_room(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) < self.limit.load(Ordering::Relaxed)
    }

    /// Whether requests are open and none has been answered for so long.
    pub(super) fn is_stale(&self, now: Moment, patience: Duration) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0 && now - self.lively.get() >= patience
    }
}
