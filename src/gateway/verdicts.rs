//! Exactly one verdict per push. Whoever holds a push holds a guard; a guard that is dropped, by a panic, an abort
//! or for want of a slot, gives its push back as unavailable.

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

    /// The pushes one by one, each with its own guard.
    pub(super) fn each(mut self) -> impl Iterator<Item = (Push, Owed)> {
        let returns = self.returns.clone();
        let pushes = std::mem::take(&mut self.pushes);
        pushes.into_iter().map(move |push| {
            let owed = Owed { verdict: Some(not_sent(&push)), returns: returns.clone() };
            (push, owed)
        })
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if !self.pushes.is_empty() {
            self.returns.give(self.pushes.iter().map(not_sent));
        }
    }
}

/// The verdict on one push that is being sent.
pub(super) struct Owed {
    verdict: Option<Verdict>,
    returns: Arc<Returns>,
}

impl Owed {
    pub(super) fn settle(mut self, outcome: Outcome) -> Settled {
        let verdict = self.verdict.take().map(|verdict| Verdict { outcome, ..verdict });
        Settled { verdicts: verdict.into_iter().collect(), returns: self.returns.clone() }
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if self.verdict.is_some() {
            self.returns.give(self.verdict.take());
        }
    }
}

/// Verdicts that wait to be reported.
pub(super) struct Settled {
    verdicts: Vec<Verdict>,
    returns: Arc<Returns>,
}

impl Settled {
    pub(super) const fn len(&self) -> usize {
        self.verdicts.len()
    }

    pub(super) fn join(&mut self, mut other: Self) {
        self.verdicts.append(&mut other.verdicts);
    }

    /// The verdicts, now the caller's to report.
    pub(super) fn take(mut self) -> Vec<Verdict> {
        std::mem::take(&mut self.verdicts)
    }
}

impl Drop for Settled {
    fn drop(&mut self) {
        if !self.verdicts.is_empty() {
            self.returns.give(self.verdicts.drain(..));
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

    fn give(&self, verdicts: impl IntoIterator<Item = Verdict>) {
        self.inner.change(|state| state.verdicts.extend(verdicts));
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

fn not_sent(push: &Push) -> Verdict {
    Verdict {
        push: push.id,
        app: push.app.clone(),
        node: push.node.clone(),
        generation: push.generation,
        outcome: Outcome::Unavailable { retry_after: None, reason: NOT_SENT.into() },
    }
}
