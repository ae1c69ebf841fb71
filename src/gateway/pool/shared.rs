//! Which connections there are, who may use them, and when another is made.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::ClientConfig;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::Limits;
use super::connection::{Connection, Vitals};
use super::driver::Driver;
use super::error::PoolError;
use super::flight::Failed;
use super::wire::{self, Mark, Pulse};
use crate::clock::Clock;
use crate::domain::time::Moment;
use crate::gateway::endpoint::Endpoint;
use crate::gateway::http2::{Broken, Client};

/// Connections that may fail in a row before requests no longer wait for the next.
const PATIENCE: u32 = 3;

/// How often a request that waits for a stream looks by itself.
const RECHECK: Duration = Duration::from_millis(250);

/// What the pool, its connections' drivers and the requests share.
pub(super) struct Shared {
    pub(super) endpoint: Endpoint,
    tls: Arc<ClientConfig>,
    pub(super) limits: Limits,
    pub(super) clock: Clock,
    state: Mutex<State>,
    /// Told when a stream may be free, or a wait in vain.
    pub(super) room: Notify,
    /// Requests that have a stream.
    under_way: AtomicUsize,
    /// More than so many are a crowd.
    crowd: AtomicUsize,
    /// When the latest of all that were answered was sent.
    overtaken: Mark,
    /// How long answers take, milliseconds: the longest of late, which each faster one makes less.
    usual: AtomicU64,
}

#[derive(Default)]
struct State {
    /// Oldest first.
    connections: Vec<Arc<Connection>>,
    connecting: bool,
    /// Connections ever made.
    opened: u64,
    /// Connections in a row that gave no answer.
    failures: u32,
    last_failure: Option<PoolError>,
    retry_at: Moment,
    closed: bool,
}

/// What a request may do next.
enum Next {
    Go(Lease),
    Wait(Duration),
    Fail(PoolError),
}

/// One stream's place on a connection.
pub(super) struct Lease {
    pub(super) connection: Arc<Connection>,
    /// The youngest connection's serial when this was given out.
    pub(super) newest: u64,
    pub(super) begun: Moment,
    shared: Arc<Shared>,
}

impl Lease {
    /// Whether it hangs, and others need its stream.
    pub(super) fn is_in_the_way(&self) -> bool {
        self.shared.is_crowded() && self.hangs()
    }

    pub(super) fn now(&self) -> Moment {
        self.shared.clock.steady()
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// It was answered: its connection works.
    pub(super) fn prove(&self, now: Moment) {
        self.shared.prove(self, now);
    }

    /// What became of it.
    pub(super) fn failed(&self, error: Broken) -> Failed {
        Failed { error, serial: self.connection.serial, newest: self.newest, begun: self.begun }
    }

    /// Whether a request that was sent after this one has been answered, and in far less time than this one takes: else
    /// it is the vendor that is slow, to all.
    fn hangs(&self) -> bool {
        let age = self.shared.clock.steady() - self.begun;
        let usual = Duration::from_millis(self.shared.usual.load(Ordering::Relaxed));
        self.shared.overtaken.get() > self.begun && age >= usual * 4
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let vitals = &self.connection.vitals;
        vitals.in_flight.fetch_sub(1, Ordering::Relaxed);
        vitals.ended.fetch_add(1, Ordering::Relaxed);
        self.shared.under_way.fetch_sub(1, Ordering::Relaxed);
        self.shared.room.notify_one();
    }
}

impl Shared {
    pub(super) fn new(endpoint: Endpoint, tls: Arc<ClientConfig>, limits: Limits, clock: Clock) -> Self {
        let (state, room, overtaken) = (Mutex::default(), Notify::new(), Mark::default());
        let (under_way, crowd, usual) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicU64::new(0));
        let shared = Self { endpoint, tls, limits, clock, state, room, under_way, crowd, overtaken, usual };
        shared.learn(1);
        shared
    }

    /// Whether streams are scarce.
    fn is_crowded(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) >= self.crowd.load(Ordering::Relaxed)
    }

    /// The vendor allows so many streams on each connection.
    pub(super) fn learn(&self, limit: usize) {
        let most = self.limits.max_connections.saturating_mul(limit) / 4 * 3;
        self.crowd.store(most.clamp(1, self.limits.crowded.max(1)), Ordering::Relaxed);
        self.room.notify_waiters();
    }

    /// No request finds a connection any more; those that are open end after their last stream.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.connections.clear();
        drop(state);
        self.room.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place on a connection with a greater serial than `newer_than`.
    pub(super) async fn lease(self: &Arc<Self>, newer_than: u64) -> Result<Lease, PoolError> {
        let mut connecting = false;
        loop {
            // Registered before looking: what changes after the look wakes us.
            let room = self.room.notified();
            match self.next(newer_than, &mut connecting) {
                Next::Go(lease) => return Ok(lease),
                Next::Fail(error) => return Err(error),
                // Either way we look again.
                Next::Wait(span) => drop(timeout(span, room).await),
            }
        }
    }

    /// A place on a connection that there is, if one has room.
    pub(super) fn try_lease(self: &Arc<Self>, now: Moment) -> Option<Lease> {
        let state = self.lock();
        let connection = state.connections.iter().find(|connection| connection.vitals.has_room())?;
        Some(self.grant(connection, state.opened, now))
    }

    fn grant(self: &Arc<Self>, connection: &Arc<Connection>, newest: u64, begun: Moment) -> Lease {
        let vitals = &connection.vitals;
        if vitals.in_flight.fetch_add(1, Ordering::Relaxed) == 0 {
            vitals.lively.set(begun);
        }
        self.under_way.fetch_add(1, Ordering::Relaxed);
        Lease { connection: connection.clone(), newest, begun, shared: self.clone() }
    }

    /// `connecting` is set once this request has started a connection: it then waits for what becomes of it.
    fn next(self: &Arc<Self>, newer_than: u64, connecting: &mut bool) -> Next {
        let mut state = self.lock();
        if state.closed {
            return Next::Fail(PoolError::Closed);
        }
        let now = self.clock.steady();
        let mut young = state.connections.iter().filter(|connection| connection.serial > newer_than);
        if let Some(connection) = young.clone().find(|connection| connection.vitals.has_room()) {
            return Next::Go(self.grant(connection, state.opened, now));
        }
        let settled = young.all(|connection| {
            let vitals = &connection.vitals;
            vitals.proven.load(Ordering::Relaxed) || now - vitals.opened >= self.limits.probation
        });
        let hopeless = state.failures >= PATIENCE && state.connections.is_empty();
        if state.connecting {
            return if hopeless && !*connecting { Next::Fail(state.failure()) } else { Next::Wait(RECHECK) };
        }
        if now < state.retry_at {
            return if hopeless {
                Next::Fail(state.failure())
            } else {
                Next::Wait((state.retry_at - now).min(RECHECK))
            };
        }
        if hopeless && *connecting {
            // The connection we waited for failed, and we have tried long enough.
            return Next::Fail(state.failure());
        }
        // One at a time: the vendor's limits show only once a connection is used.
        if settled && state.connections.len() < self.limits.max_connections {
            state.connecting = true;
            state.opened += 1;
            *connecting = true;
            let serial = state.opened;
            drop(state);
            tokio::spawn(self.clone().connect(serial));
        }
        Next::Wait(RECHECK)
    }

    /// Makes a connection and drives it to its end.
    async fn connect(self: Arc<Self>, serial: u64) {
        let attempt = timeout(self.limits.connect, self.open(serial)).await;
        let late = || Err(PoolError::Unreachable(format!("{}: no connection in time", self.endpoint).into()));
        let Some((driver, vitals)) = self.enter(attempt.unwrap_or_else(|_| late())) else { return };
        let end = driver.run(serial, &self).await;
        self.bury(serial, &vitals, end);
    }

    /// Takes a new connection in, or notes that there is none.
    fn enter(&self, opened: Result<(Connection, Driver), PoolError>) -> Option<(Driver, Arc<Vitals>)> {
        let mut state = self.lock();
        state.connecting = false;
        let entered = match opened {
            Ok((connection, driver)) if !state.closed => {
                let vitals = connection.vitals.clone();
                state.connections.push(Arc::new(connection));
                Some((driver, vitals))
            }
            Ok(_) => None,
            Err(error) => {
                state.fail(error, &self.limits, self.clock.steady());
                None
            }
        };
        drop(state);
        self.room.notify_waiters();
        entered
    }

    async fn open(&self, serial: u64) -> Result<(Connection, Driver), PoolError> {
        let pulse = Arc::new(Pulse::new(self.clock.clone()));
        let wire = wire::connect(&self.endpoint, &self.tls, pulse.clone()).await?;
        let client = Client::new(self.endpoint.authority().as_str(), self.limits.body);
        let (connection, talk) = Connection::new(client, serial, pulse, self.clock.steady());
        let driver = Driver::new(wire, talk, connection.vitals.clone());
        Ok((connection, driver))
    }

    fn prove(&self, lease: &Lease, now: Moment) {
        let connection = &lease.connection;
        self.overtaken.advance(lease.begun);
        let took = u64::try_from((now - lease.begun).as_millis()).unwrap_or(u64::MAX);
        let usual = self.usual.load(Ordering::Relaxed);
        self.usual.store(took.max(usual - usual.div_ceil(8)), Ordering::Relaxed);
        connection.vitals.lively.set(now);
        if connection.vitals.proven.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut state = self.lock();
        state.failures = 0;
        state.last_failure = None;
        state.retry_at = Moment::default();
        drop(state);
        self.room.notify_waiters();
    }

    /// Gives a connection no more requests.
    pub(super) fn retire(&self, serial: u64) {
        self.lock().connections.retain(|connection| connection.serial != serial);
    }

    /// A connection has ended. One that never answered anything counts as a failure to connect: a vendor that
    /// accepts and hangs up must not be called without end.
    fn bury(&self, serial: u64, vitals: &Vitals, end: Option<PoolError>) {
        let proven = vitals.proven.load(Ordering::Relaxed);
        let used = vitals.in_flight.load(Ordering::Relaxed) > 0 || vitals.ended.load(Ordering::Relaxed) > 0;
        let mut state = self.lock();
        state.connections.retain(|connection| connection.serial != serial);
        if (!proven && (used || end.is_some())) || end.as_ref().is_some_and(PoolError::is_lasting) {
            let error = end.unwrap_or_else(|| PoolError::Cut("the vendor hung up".into()));
            state.fail(error, &self.limits, self.clock.steady());
        }
        drop(state);
        self.room.notify_waiters();
    }

    /// Lets an idle connection go if others remain.
    pub(super) fn release_idle(&self, serial: u64) {
        let mut state = self.lock();
        if state.connections.len() > 1 {
            state.connections.retain(|connection| {
                connection.serial != serial || connection.vitals.in_flight.load(Ordering::Relaxed) > 0
            });
        }
    }
}

impl State {
    fn fail(&mut self, error: PoolError, limits: &Limits, now: Moment) {
        self.failures = if error.is_lasting() { PATIENCE.max(self.failures + 1) } else { self.failures + 1 };
        self.retry_at = now + backoff(self.failures, limits);
        self.last_failure = Some(error);
    }

    fn failure(&self) -> PoolError {
        self.last_failure.clone().unwrap_or(PoolError::Closed)
    }
}

/// Doubles with each failure up to the most; a random half is taken off, so that many do not come back at once.
fn backoff(failures: u32, limits: &Limits) -> Duration {
    let doubled = limits.backoff_first.saturating_mul(1_u32 << failures.saturating_sub(1).min(16));
    let whole = doubled.min(limits.backoff_most);
    // Without chance the wait is merely the longest.
    let chance = getrandom::u32().unwrap_or(u32::MAX);
    whole / 2 + (whole / 2).mul_f64(f64::from(chance) / f64::from(u32::MAX))
}
