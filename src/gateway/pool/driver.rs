//! Moves a connection's bytes, from its beginning to its end.

use std::future::poll_fn;
use std::io;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use super::connection::{Talk, Vitals};
use super::error::PoolError;
use super::keeper::Keeper;
use super::shared::Shared;
use super::wire::Wire;
use crate::gateway::http2::Fault;
use crate::gateway::words;

/// How much is read at once, bytes.
const READ: usize = 32 * 1024;

/// While so much waits to be written, nothing is read: a vendor that asks and does not listen gets no answers, bytes.
const BACKLOG: usize = 256 * 1024;

/// A buffer for writing that a burst made larger is given back, bytes.
const KEEP: usize = 128 * 1024;

/// What moves a connection's bytes.
pub(super) struct Driver {
    wire: Wire,
    talk: Arc<Talk>,
    vitals: Arc<Vitals>,
    /// Read, and no whole frame yet.
    read: Vec<u8>,
    fresh: Box<[u8]>,
    writing: Vec<u8>,
    /// How much of it is out.
    written: usize,
    /// Whose answers have come.
    woken: Vec<Waker>,
    leaving: Leaving,
}

/// How far a connection's end is.
#[derive(Clone, Debug)]
enum Leaving {
    No,
    /// Its last words are being written; then it ends, for this reason if there is one.
    Soon(Option<PoolError>),
}

impl Driver {
    pub(super) fn new(wire: Wire, talk: Arc<Talk>, vitals: Arc<Vitals>) -> Self {
        Self {
            wire,
            talk,
            vitals,
            read: Vec::new(),
            fresh: vec![0; READ].into(),
            writing: Vec::new(),
            written: 0,
            woken: Vec::new(),
            leaving: Leaving::No,
        }
    }

    /// Runs until the connection has ended; returns why, unless it ended in good order.
    pub(super) async fn run(mut self, serial: u64, pool: &Shared) -> Option<PoolError> {
        let mut keeper = Keeper::new(&pool.limits);
        poll_fn(|cx| self.poll(cx, &mut keeper, serial, pool)).await
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        keeper: &mut Keeper,
        serial: u64,
        pool: &Shared,
    ) -> Poll<Option<PoolError>> {
        while matches!(self.leaving, Leaving::No) && self.writing.len() - self.written < BACKLOG {
            match self.poll_read(cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false)) => return Poll::Ready(self.hung_up()),
                Poll::Ready(Err(error)) => return Poll::Ready(Some(self.lost(&error))),
            }
        }
        let limit = self.talk.lock().limit();
        if self.vitals.limit.swap(limit, Ordering::Relaxed) != limit {
            pool.learn(limit);
        }
        match self.poll_write(cx) {
            Poll::Ready(Ok(())) => {
                if let Leaving::Soon(why) = &mut self.leaving {
                    return Poll::Ready(why.take());
                }
            }
            // The reason why it ends counts more than that its last words were not heard.
            Poll::Ready(Err(error)) => match std::mem::replace(&mut self.leaving, Leaving::No) {
                Leaving::Soon(why) => return Poll::Ready(why),
                Leaving::No => return Poll::Ready(Some(self.lost(&error))),
            },
            Poll::Pending => {}
        }
        match keeper.poll(cx, &self.talk, &self.vitals, serial, pool) {
            ControlFlow::Continue(()) => Poll::Pending,
            ControlFlow::Break(error) => Poll::Ready(Some(error)),
        }
    }

    /// Reads once, and takes what is whole. False at the end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut fresh = ReadBuf::new(&mut self.fresh);
        ready!(Pin::new(&mut self.wire).poll_read(cx, &mut fresh))?;
        let fresh = fresh.filled();
        if fresh.is_empty() {
            return Poll::Ready(Ok(false));
        }
        // Nearly always frames end where what was read ends.
        let received = if self.read.is_empty() {
            let received = self.talk.lock().receive(fresh, &mut self.woken);
            received.map(|taken| self.read.extend_from_slice(fresh.get(taken..).unwrap_or_default()))
        } else {
            self.read.extend_from_slice(fresh);
            let received = self.talk.lock().receive(&self.read, &mut self.woken);
            received.map(|taken| drop(self.read.drain(..taken)))
        };
        if let Err(fault) = received {
            self.part(&fault);
        }
        self.wake();
        Poll::Ready(Ok(true))
    }

    /// Writes what there is. Ready if the connection has nothing more to say, ever.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while let Some(rest @ [_, ..]) = self.writing.get(self.written..) {
                let written = ready!(Pin::new(&mut self.wire).poll_write(cx, rest))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.written += written;
            }
            self.written = 0;
            self.writing.clear();
            self.writing.shrink_to(KEEP);
            let mut client = self.talk.lock();
            client.take_out(&mut self.writing);
            if !self.writing.is_empty() {
                continue;
            }
            if matches!(self.leaving, Leaving::Soon(_)) {
                break;
            }
            if client.is_over() {
                self.leaving = Leaving::Soon(client.complaint().map(|why| PoolError::Cut(why.into())));
                client.farewell(None);
                continue;
            }
            client.on_write(cx.waker());
            drop(client);
            ready!(Pin::new(&mut self.wire).poll_flush(cx))?;
            return Poll::Pending;
        }
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }

    fn wake(&mut self) {
        for waker in self.woken.drain(..) {
            waker.wake();
        }
    }

    /// The vendor broke the rules: says so, and ends.
    fn part(&mut self, fault: &Fault) {
        let why = words::reason(&fault.to_string());
        self.leaving = Leaving::Soon(Some(PoolError::Cut(why.clone().into())));
        let mut client = self.talk.lock();
        client.farewell(Some(fault));
        client.lose(&why, &mut self.woken);
    }

    /// The vendor closed the connection.
    fn hung_up(&mut self) -> Option<PoolError> {
        let mut client = self.talk.lock();
        let why = client.complaint().or_else(|| (client.open_streams() > 0).then(|| "the vendor hung up".to_owned()));
        client.lose(why.as_deref().unwrap_or("the vendor hung up"), &mut self.woken);
        why.map(|why| PoolError::Cut(why.into()))
    }

    /// TCP or TLS ended.
    fn lost(&mut self, error: &io::Error) -> PoolError {
        self.talk.lock().lose(&words::reason(&error.to_string()), &mut self.woken);
        self.wire.explain(error)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // However it ended, nobody waits for it any more.
        self.talk.lock().lose("the connection ended", &mut self.woken);
        self.wake();
    }
}
