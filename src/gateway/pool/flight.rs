//! A request that has its stream: what is heard of it.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use h2::client::ResponseFuture;

use super::Response;
use super::shared::Lease;
use crate::domain::time::Moment;

/// A request on its way. Dropping it resets its stream.
///
/// It has no timers of its own, for there are thousands of it: whoever holds it looks at it at
/// [`look_at`](Self::look_at), and gives it up if [`is_lost`](Self::is_lost).
pub struct Flight {
    lease: Lease,
    stage: Stage,
}

enum Stage {
    Head(ResponseFuture),
    Body(Body),
}

/// An answer of which the body is still to come.
pub(super) struct Body {
    response: Response,
    stream: RecvStream,
    whole: BytesMut,
    most: usize,
}

/// A request that was sent, but not answered.
pub struct Failed {
    pub(super) error: h2::Error,
    /// Of the connection that it was sent on.
    pub(super) serial: u64,
    /// Of the youngest that there was.
    pub(super) newest: u64,
    pub(super) begun: Moment,
}

impl Flight {
    pub(super) fn new(lease: Lease, response: ResponseFuture) -> Self {
        Self { lease, stage: Stage::Head(response) }
    }

    /// What the vendor says, or how the stream broke.
    pub fn poll(&mut self, cx: &mut Context<'_>, now: Moment) -> Poll<Result<Response, Failed>> {
        loop {
            match &mut self.stage {
                Stage::Head(response) => match ready!(Pin::new(response).poll(cx)) {
                    Ok(answer) => {
                        self.lease.prove(now);
                        self.stage = Stage::Body(Body::new(answer, self.lease.limits().body));
                    }
                    Err(error) => return Poll::Ready(Err(self.lease.failed(error))),
                },
                Stage::Body(body) => return body.poll(cx).map(Ok),
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
        let heard = matches!(self.stage, Stage::Body(_));
        age >= limits.deadline || (age >= limits.hung_after && !heard && self.lease.is_in_the_way())
    }
}

impl Body {
    /// `most` is how much of it is read.
    pub(super) fn new(answer: http::Response<RecvStream>, most: usize) -> Self {
        let (parts, stream) = answer.into_parts();
        let response = Response { status: parts.status, headers: parts.headers, body: Bytes::new() };
        Self { response, stream, whole: BytesMut::new(), most }
    }

    /// The answer, with as much of its body as is read. What the vendor said with its status counts even if the rest is
    /// lost.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Response> {
        while !self.stream.is_end_stream() && self.whole.len() < self.most {
            let Some(Ok(chunk)) = ready!(self.stream.poll_data(cx)) else { break };
            // Fails only on a stream that has ended, whose window no longer matters.
            let _ended = self.stream.flow_control().release_capacity(chunk.len());
            if self.whole.is_empty() && self.stream.is_end_stream() && chunk.len() <= self.most {
                return Poll::Ready(self.answer(chunk));
            }
            let room = (self.most - self.whole.len()).min(chunk.len());
            self.whole.extend_from_slice(chunk.get(..room).unwrap_or_default());
        }
        let whole = std::mem::take(&mut self.whole).freeze();
        Poll::Ready(self.answer(whole))
    }

    fn answer(&mut self, body: Bytes) -> Response {
        let headers = std::mem::take(&mut self.response.headers);
        Response { status: self.response.status, headers, body }
    }
}
