//! A request that has its stream: what is heard of it.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::timeout;

use super::error::PoolError;
use super::shared::Lease;
use crate::domain::time::Moment;
use crate::gateway::http2::{Broken, Response};

/// A request on its way. Dropping it resets its stream.
///
/// It has no timers of its own, for there are thousands of it: whoever holds it looks at it at
/// [`look_at`](Self::look_at), and gives it up if [`is_lost`](Self::is_lost).
pub struct Flight {
    lease: Lease,
    stream: u32,
    /// Whether its connection knows of it yet.
    known: bool,
}

/// A request that was sent, but not answered.
pub struct Failed {
    pub(super) error: Broken,
    /// Of the connection that it was sent on.
    pub(super) serial: u64,
    /// Of the youngest that there was.
    pub(super) newest: u64,
    pub(super) begun: Moment,
}

impl Flight {
    pub(super) fn new(lease: Lease, stream: u32) -> Self {
        Self { lease, stream, known: true }
    }

    /// What the vendor says, or how the stream broke.
    pub fn poll(&mut self, cx: &mut Context<'_>, now: Moment) -> Poll<Result<Response, Failed>> {
        let answer = ready!(self.lease.connection.lock().poll(self.stream, cx));
        self.known = false;
        Poll::Ready(match answer {
            Ok(response) => {
                self.lease.prove(now);
                Ok(response)
            }
            Err(error) => Err(self.lease.failed(error)),
        })
    }

    /// Waits for what the vendor says, or how the stream broke.
    ///
    /// # Errors
    /// It hangs, and others need its stream.
    pub(super) async fn wait(&mut self) -> Result<Result<Response, Failed>, PoolError> {
        let mut patience = self.lease.limits().hung_after;
        loop {
            let answer = poll_fn(|cx| {
                let now = self.lease.now();
                self.poll(cx, now)
            });
            match timeout(patience, answer).await {
                Ok(answer) => return Ok(answer),
                Err(_) if self.is_in_the_way() => return Err(PoolError::Late),
                Err(_) => patience = self.lease.limits().hung_after / 2,
            }
        }
    }

    /// When it was begun.
    #[must_use]
    pub fn begun(&self) -> Moment {
        self.lease.begun
    }

    /// When it is to be looked at again, seen from this moment.
    #[must_use]
    pub fn look_at(&self, now: Moment) -> Moment {
        let limits = self.lease.limits();
        let age = now - self.begun();
        let span = if age < limits.hung_after { limits.hung_after } else { age + limits.hung_after / 2 };
        self.begun() + span.min(limits.deadline).max(age + Duration::from_millis(1))
    }

    /// Whether there is no use in waiting for it any longer: its deadline has passed, or it hangs and others need its
    /// stream.
    #[must_use]
    pub fn is_lost(&self, now: Moment) -> bool {
        let (limits, age) = (self.lease.limits(), now - self.begun());
        age >= limits.deadline || (age >= limits.hung_after && self.is_in_the_way())
    }

    /// Whether nothing is heard of it, and others need its stream.
    fn is_in_the_way(&self) -> bool {
        self.lease.is_in_the_way() && !self.lease.connection.lock().is_heard(self.stream)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.known {
            self.lease.connection.lock().give_up(self.stream);
        }
    }
}
