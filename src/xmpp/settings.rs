//! How the link is made, how long its parts may take, and what happened on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::secret::Secret;

/// How the link is made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `HOST:PORT` of the host's component port; a name is resolved anew for each try, and all its addresses tried.
    pub connect: String,
    /// The secret that the host has for this component.
    pub secret: Secret,
    /// How long everything may take.
    pub timing: Timing,
    /// What happened, for whoever shows it.
    pub counters: Arc<Counters>,
}

/// Where the link goes, and what it shows there: what can change while there is one.
#[derive(Clone, Debug)]
pub struct Target {
    /// See [`Settings::connect`].
    pub connect: String,
    /// See [`Settings::secret`].
    pub secret: Secret,
}

/// How long the parts of the link may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// To connect, name resolution included.
    pub connect: Duration,
    /// To open the stream and be accepted.
    pub handshake: Duration,
    /// After this much silence from the host it is pinged.
    pub idle: Duration,
    /// After this much more it counts as gone.
    pub dead: Duration,
    /// The first wait before a new try; it doubles with each.
    pub retry_first: Duration,
    /// The longest wait.
    pub retry_longest: Duration,
    /// A stream that lived this long was a good one: the next wait is the first again.
    pub stable: Duration,
    /// The wait after a refused secret: some hosts count failures.
    pub retry_secret: Duration,
    /// An answer to a request that was read longer ago than this is dropped; nobody waits for it any more.
    pub answer_age: Duration,
    /// To write what waits and end a stream in good order, and again for the host to end its own.
    pub close: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            dead: Duration::from_secs(30),
            retry_first: Duration::from_millis(250),
            retry_longest: Duration::from_secs(30),
            stable: Duration::from_secs(10),
            retry_secret: Duration::from_secs(60),
            answer_age: Duration::from_secs(30),
            close: Duration::from_secs(2),
        }
    }
}

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// What it has grown to.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }
}

/// How the link is, for those who show it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LinkState {
    /// Nothing was heard of the host yet.
    #[default]
    Connecting,
    /// The host has accepted us.
    Linked,
    /// There is no link; this is why, in words for an operator. It is tried again.
    Down(String),
}

/// What happened on the link since the process started.
#[derive(Debug, Default)]
pub struct Counters {
    linked: AtomicBool,
    state: watch::Sender<LinkState>,
    /// Streams that the host accepted.
    pub streams: Count,
    /// Stanzas read, of any kind.
    pub stanzas: Count,
    /// Stanzas that broke a limit and were skipped.
    pub too_big: Count,
    /// Requests for domains that are not ours; they are not answered.
    pub foreign: Count,
    /// Requests that could not be answered: no sender, an id that is too long.
    pub unanswerable: Count,
    /// Answers that came too late for any stream, or were too many.
    pub answers_dropped: Count,
}

impl Counters {
    /// Whether there is a stream that the host has accepted.
    #[must_use]
    pub fn linked(&self) -> bool {
        self.linked.load(Ordering::Relaxed)
    }

    /// How the link is, and word of each change.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.state.subscribe()
    }

    pub(super) fn set_linked(&self, linked: bool) {
        self.linked.store(linked, Ordering::Relaxed);
        if linked {
            self.state.send_replace(LinkState::Linked);
        }
    }

    pub(super) fn set_down(&self, why: &impl ToString) {
        self.state.send_replace(LinkState::Down(why.to_string()));
    }
}
