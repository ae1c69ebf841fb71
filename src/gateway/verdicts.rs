//! Exactly one verdict per push. Whoever holds pushes gives those back as unavailable that it has when it is dropped, by a
//! panic, an abort or for want of a slot.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::domain::outcome::{Outcome, Verdict};
use crate::domain::push::Push;

/// Why a push comes back that never met its vendor.
const NOT_SENT: &str = "not sent: shutting down, or no slot free";

/// Pushes on their way to an app's task.
pub(super) struct Batch {
    pushes: Vec<Push>,
    returns: Arc<Returns>,
}

impl Batch {
    pub(super) const fn new(pushes: Vec<Push>, returns: Arc<Returns>) -> Self {
        Self { pushes, returns }
    }

    pub(super) const fn len(&self) -> usize {
        self.pushes.len()
    }

    /// Takes the last `count` pushes out.
    pub(super) fn split_off(&mut self, count: usize) -> Self {
        let rest = self.pushes.split_off(self.pushes.len().saturating_sub(count));
        Self { pushes: rest, returns: self.returns.clone() }
    }

    /// The pushes, now the caller's to account for.
    pub(super) fn into_pushes(mut self) -> Vec<Push> {
        std::mem::take(&mut self.pushes)
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if !self.pushes.is_empty() {
            self.returns.give_back(self.pushes.drain(..), Vec::new());
        }
    }
}

/// Where verdicts go that have no task to report them. Holds no more than what is under way.
pub(super) struct Returns {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    told: Notify,
}

#[derive(Default)]
struct State {
    verdicts: Vec<Verdict>,
    closed: bool,
}

impl Returns {
    /// Starts the task that reports them. It ends when the last guard has.
    pub(super) fn start(verdicts: mpsc::Sender<Vec<Verdict>>) -> (Arc<Self>, JoinHandle<()>) {
        let inner = Arc::new(Inner::default());
        let task = tokio::spawn(inner.clone().report(verdicts));
        (Arc::new(Self { inner }), task)
    }

    /// Takes pushes that were not sent, and verdicts that nobody has reported.
    pub(super) fn give_back(&self, pushes: impl IntoIterator<Item = Push>, verdicts: Vec<Verdict>) {
        self.inner.change(|state| {
            state.verdicts.extend(verdicts);
            state.verdicts.extend(pushes.into_iter().map(not_sent));
        });
    }
}

impl Drop for Returns {
    fn drop(&mut self) {
        self.inner.change(|state| state.closed = true);
    }
}

impl Inner {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.told.notify_one();
    }

    fn take(&self) -> (Vec<Verdict>, bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut state.verdicts), state.closed)
    }

    async fn report(self: Arc<Self>, out: mpsc::Sender<Vec<Verdict>>) {
        loop {
            let (verdicts, closed) = self.take();
            if !verdicts.is_empty() {
                if out.send(verdicts).await.is_err() {
                    return;
                }
            } else if closed {
                return;
            } else {
                self.told.notified().await;
            }
        }
    }
}

fn not_sent(push: Push) -> Verdict {
    verdict(push, Outcome::Unavailable { retry_after: None, reason: NOT_SENT.into() })
}

/// What became of a push.
pub(super) fn verdict(push: Push, outcome: Outcome) -> Verdict {
    Verdict { push: push.id, app: push.app, node: push.node, generation: push.generation, outcome }
}
