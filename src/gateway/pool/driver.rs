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
use crate::gateway::http2::{Client, Fault};
use crate::gateway::words;

/// How much is read at once, bytes.
const READ: usize = 32 * 1024;

/// While the vendor has not taken so much that it asked for, nothing more is read of it, bytes.
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
        loop {
            let held = match self.read_on(cx) {
                ControlFlow::Continue(held) => held,
                ControlFlow::Break(end) => return Poll::Ready(end),
            };
            let limit = self.talk.lock().limit();
            if self.vitals.limit.swap(limit, Ordering::Relaxed) != limit {
                pool.learn(limit);
            }
            if let ControlFlow::Break(end) = self.write_on(cx) {
                return Poll::Ready(end);
            }
            // Nobody would wake us for what was not read until there was no more of it.
            if !(held && self.may_read()) {
                break;
            }
        }
        match keeper.poll(cx, &self.talk, &self.vitals, serial, pool) {
            ControlFlow::Continue(()) => Poll::Pending,
            ControlFlow::Break(silent) => Poll::Ready(match self.leave() {
                Leaving::Soon(why) => why,
                Leaving::No => {
                    self.talk.lock().lose(&silent.to_string(), &mut self.woken);
                    Some(silent)
                }
            }),
        }
    }

    /// Reads all that there is. Whether it stopped before; breaks off at the end of the connection.
    fn read_on(&mut self, cx: &mut Context<'_>) -> ControlFlow<Option<PoolError>, bool> {
        while self.may_read() {
            match self.poll_read(cx) {
                Poll::Pending => return ControlFlow::Continue(false),
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false)) => return ControlFlow::Break(self.hung_up()),
                Poll::Ready(Err(error)) => return ControlFlow::Break(Some(self.lost(&error))),
            }
        }
        ControlFlow::Continue(true)
    }

    /// A vendor that asks and does not listen is not heard.
    fn may_read(&self) -> bool {
        matches!(self.leaving, Leaving::No) && self.talk.lock().owed() < BACKLOG
    }

    /// Writes all that can be written. Breaks off at the end of the connection.
    fn write_on(&mut self, cx: &mut Context<'_>) -> ControlFlow<Option<PoolError>> {
        let written = match self.poll_write(cx) {
            Poll::Pending => return ControlFlow::Continue(()),
            Poll::Ready(written) => written,
        };
        if let Leaving::Soon(why) = self.leave() {
            // Why it ends counts more than whether its last words were heard.
            return ControlFlow::Break(why);
        }
        let Err(error) = written else { return ControlFlow::Continue(()) };
        // What the vendor said before it went may say why.
        match self.read_on(cx) {
            ControlFlow::Break(Some(end)) => ControlFlow::Break(Some(end)),
            _ => ControlFlow::Break(Some(self.lost(&error))),
        }
    }

    fn leave(&mut self) -> Leaving {
        std::mem::replace(&mut self.leaving, Leaving::No)
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
                self.leaving = Leaving::Soon(complaint(&client));
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
        let hung_up = || PoolError::Cut("the vendor hung up".into());
        let why = complaint(&client).or_else(|| (client.open_streams() > 0).then(hung_up));
        client.lose("the vendor hung up", &mut self.woken);
        why
    }

    /// TCP or TLS ended.
    fn lost(&mut self, error: &io::Error) -> PoolError {
        let mut client = self.talk.lock();
        client.lose(&words::reason(&error.to_string()), &mut self.woken);
        let why = self.wire.explain(error);
        if why.is_lasting() { why } else { complaint(&client).unwrap_or(why) }
    }
}

/// Why the vendor goes away, if it has something against us.
fn complaint(client: &Client) -> Option<PoolError> {
    let why = client.complaint()?;
    Some(PoolError::Cut(format!("the vendor goes away: {}", words::reason(&why)).into()))
}

impl Drop for Driver {
    fn drop(&mut self) {
        // However it ended, nobody waits for it any more.
        self.talk.lock().lose("the connection ended", &mut self.woken);
        self.wake();
    }
}
