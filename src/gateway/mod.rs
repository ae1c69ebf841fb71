//! Speaks to vendors. Status codes live and die here: what comes out is an [`Outcome`].
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | the switchboard: one task per app, one verdict per push |
//! | `flights.rs` | the pushes of an app that are under way |
//! | `verdicts.rs` | sees to it that no push is without its verdict |
//! | `apns/`, `fcm/` | a vendor each: `payload`, `reply`, `auth`, and `mod` that sends |
//! | `webpush/` | the push services of browsers, whichever a page's endpoint names |
//! | `stub.rs` | a vendor for demonstrations |
//! | `pool/` | HTTP/2 over as many connections as it takes |
//! | `http2/` | HTTP/2 on one of them |
//! | `endpoint.rs`, `credential.rs`, `jwt.rs` | where, and as whom |
//! | `probe.rs` | whether a vendor takes an app's credentials, found out without waking a phone |
//! | `shown.rs` | what a push shows, and how it becomes less until it fits |
//! | `about.rs`, `retry_after.rs`, `words.rs`, `fit.rs` | small things that vendors share |

mod about;
pub mod apns;
mod credential;
mod endpoint;
pub mod fcm;
mod fit;
mod flights;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
pub mod http2;
mod jwt;
#[cfg(test)]
mod payloads_tests;
pub mod pool;
mod probe;
mod retry_after;
mod shown;
pub mod stub;
mod verdicts;
pub mod webpush;
mod words;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

pub use self::credential::CredentialError;
pub use self::endpoint::{Endpoint, EndpointError};
use self::flights::Flights;
use self::pool::{Failed, Flight, Response};
pub use self::probe::{Dated, HostSeen, Probe, Probed};
use self::verdicts::{Batch, Returns};
use crate::clock::Clock;
use crate::domain::ids::AppName;
use crate::domain::outcome::{Outcome, Verdict};
use crate::domain::push::Push;
use crate::domain::time::{Now, Timestamp};

/// The most verdicts that travel together.
const BATCH: usize = 256;

/// When there is nothing to wait for.
const FAR: Duration = Duration::from_secs(24 * 3600);

/// An app's way to its vendor.
pub enum AppGateway {
    /// Apple.
    Apns(Box<apns::Apns>),
    /// Google.
    Fcm(Box<fcm::Fcm>),
    /// The push services of browsers.
    WebPush(Box<webpush::WebPush>),
    /// Nobody.
    Stub(stub::Stub),
}

impl AppGateway {
    /// When its credentials end, if they do and say so.
    #[must_use]
    pub const fn expires(&self) -> Option<Timestamp> {
        match self {
            Self::Apns(apns) => apns.expires(),
            Self::Fcm(_) | Self::WebPush(_) | Self::Stub(_) => None,
        }
    }

    /// What pages subscribe with, of an app on Web Push.
    #[must_use]
    pub fn public_key(&self) -> Option<&str> {
        match self {
            Self::WebPush(webpush) => Some(webpush.public_key()),
            Self::Apns(_) | Self::Fcm(_) | Self::Stub(_) => None,
        }
    }

    /// Asks the vendor whether it takes the app's credentials; no phone is woken. Bounded by the vendor's own deadlines,
    /// up to half a minute: callers with less patience drop it.
    pub async fn probe(&self) -> Probed {
        match self {
            Self::Apns(apns) => Probed::Apns(apns.probe().await),
            Self::Fcm(fcm) => fcm.probe().await,
            Self::WebPush(webpush) => Probed::WebPush(webpush.look_up().await),
            Self::Stub(_) => Probed::Stub,
        }
    }

    /// Where it connects to; empty if that is not one address.
    #[must_use]
    pub fn asks(&self) -> String {
        match self {
            Self::Apns(apns) => apns.pool.endpoint().to_string(),
            Self::Fcm(fcm) => fcm.pool.endpoint().to_string(),
            Self::WebPush(_) | Self::Stub(_) => String::new(),
        }
    }

    /// Puts a push on its way, if that takes no waiting; `waker` is woken when there is something to hear of it.
    fn start(&self, push: &Push, now: Now, waker: &Waker) -> Start {
        match self {
            Self::Apns(apns) => apns.start(push, now, waker),
            Self::Fcm(fcm) => fcm.start(push, now, waker),
            Self::WebPush(_) | Self::Stub(_) => Start::Waits,
        }
    }

    /// What an answer to a push that was put on its way means; `None` if the last word is not spoken.
    fn hear(&self, response: &Response, credentials: u64, now: Timestamp) -> Option<Outcome> {
        match self {
            Self::Apns(apns) => apns.hear(response, now),
            Self::Fcm(fcm) => fcm.hear(response, credentials, now),
            Self::WebPush(_) | Self::Stub(_) => None,
        }
    }

    /// Sends a push with all the patience that it needs.
    async fn send(&self, push: &Push, before: Before) -> Outcome {
        match self {
            Self::Apns(apns) => apns.go_on(push, before).await,
            Self::Fcm(fcm) => fcm.go_on(push, before).await,
            Self::WebPush(webpush) => webpush.send(push).await,
            Self::Stub(stub) => stub.send(push).await,
        }
    }
}

/// What can be done for a push at once.
enum Start {
    /// It is on its way, with the credentials of this number.
    Flies(Flight, u64),
    /// There is nothing to send.
    Known(Outcome),
    /// It has to wait: for a connection, a stream, a token.
    Waits,
}

/// What was done for a push before.
pub(crate) enum Before {
    /// Nothing.
    Nothing,
    /// It was sent, and not answered.
    Failed(Failed),
    /// It was answered, when it was sent with the credentials of this number; but that was not the last word.
    Answered(Response, u64),
}

/// All apps. Every push that is delivered gets exactly one verdict, whatever happens.
pub struct Gateways {
    table: Mutex<Table>,
    verdicts: mpsc::Sender<Vec<Verdict>>,
    returns: Arc<Returns>,
    returning: JoinHandle<()>,
    slots: usize,
    clock: Clock,
}

/// The apps, and all tasks that still run: also those of apps that were replaced or removed, until their pushes landed.
struct Table {
    apps: HashMap<AppName, App>,
    tasks: Vec<JoinHandle<()>>,
}

struct App {
    pushes: mpsc::Sender<Batch>,
    under_way: Arc<AtomicUsize>,
}

impl Gateways {
    /// Starts a task for each app. At most `slots` pushes of an app are under way at once; verdicts go to
    /// `verdicts`, several together when they come together.
    #[must_use]
    pub fn start(
        apps: Vec<(AppName, AppGateway)>,
        slots: usize,
        verdicts: mpsc::Sender<Vec<Verdict>>,
        clock: Clock,
    ) -> Self {
        let (returns, returning) = Returns::start(verdicts.clone());
        let table = Mutex::new(Table { apps: HashMap::new(), tasks: Vec::new() });
        let gateways = Self { table, verdicts, returns, returning, slots, clock };
        for (name, gateway) in apps {
            gateways.put(name, gateway);
        }
        gateways
    }

    /// Starts an app's task, also while others run. One of that name before takes no more pushes; those that it has still
    /// get their verdicts, from it.
    pub fn put(&self, name: AppName, gateway: AppGateway) {
        // Each batch holds a push at least, so there are never more batches than slots.
        let (pushes, inbox) = mpsc::channel(self.slots.max(1));
        let under_way = Arc::new(AtomicUsize::new(0));
        let (verdicts, returns) = (self.verdicts.clone(), self.returns.clone());
        let task = tokio::spawn(run(gateway, inbox, under_way.clone(), verdicts, returns, self.clock.clone()));
        let mut table = self.table();
        table.tasks.retain(|task| !task.is_finished());
        table.tasks.push(task);
        table.apps.insert(name, App { pushes, under_way });
    }

    /// An app takes no more pushes; those that it has still get their verdicts.
    pub fn remove(&self, name: &AppName) {
        self.table().apps.remove(name);
    }

    /// How many apps' tasks run: one each, and those that were replaced or removed and have pushes under way.
    #[must_use]
    pub fn running(&self) -> usize {
        self.table().tasks.iter().filter(|task| !task.is_finished()).count()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands pushes to an app's task; never waits. What finds no slot, or no such app, comes back as unavailable.
    pub fn deliver(&self, app: &AppName, pushes: Vec<Push>) {
        if pushes.is_empty() {
            return;
        }
        let mut batch = Batch::new(pushes, self.returns.clone());
        let table = self.table();
        let Some(app) = table.apps.get(app) else { return };
        let before = app.under_way.fetch_add(batch.len(), Ordering::Relaxed);
        let surplus = (before + batch.len()).saturating_sub(self.slots);
        if surplus > 0 {
            // Dropping them returns them.
            let turned_away = batch.split_off(surplus);
            app.under_way.fetch_sub(turned_away.len(), Ordering::Relaxed);
        }
        let count = batch.len();
        if count > 0 && app.pushes.try_send(batch).is_err() {
            app.under_way.fetch_sub(count, Ordering::Relaxed);
        }
    }

    /// Takes no more pushes, waits up to `within` for those under way, and returns what is left as unavailable.
    pub async fn shutdown(self, within: Duration) {
        let Table { apps, tasks } = self.table.into_inner().unwrap_or_else(PoisonError::into_inner);
        drop(apps);
        drop(self.verdicts);
        let aborts: Vec<_> = tasks.iter().map(JoinHandle::abort_handle).collect();
        let all = futures_util::future::join_all(tasks);
        tokio::pin!(all);
        if timeout(within, &mut all).await.is_err() {
            for task in &aborts {
                task.abort();
            }
            all.await;
        }
        drop(self.returns);
        // It ends once every push has gone out of the house; a panic there has been logged.
        let _ended = self.returning.await;
    }
}

/// Sends an app's pushes, all of them at once, and reports as they are answered.
async fn run(
    gateway: AppGateway,
    mut inbox: mpsc::Receiver<Batch>,
    under_way: Arc<AtomicUsize>,
    verdicts: mpsc::Sender<Vec<Verdict>>,
    returns: Arc<Returns>,
    clock: Clock,
) {
    let mut flights = Flights::new(&gateway, returns);
    let mut open = true;
    let mut look = pin!(sleep(Duration::ZERO));
    let mut look_at = clock.steady();
    while open || !flights.is_empty() {
        // Never later than needed; too early does no harm, and moving a timer costs more than waking up once a second.
        let wanted = flights.next_look();
        if wanted.is_some_and(|at| at < look_at) {
            look_at = wanted.unwrap_or(look_at);
            look.as_mut().reset(clock.instant(look_at));
        }
        tokio::select! {
            biased;
            batch = inbox.recv(), if open => match batch {
                Some(batch) => {
                    flights.begin(batch, clock.now());
                    continue;
                }
                None => open = false,
            },
            () = flights.ready() => {}
            () = &mut look, if wanted.is_some() => {
                flights.look(clock.steady());
                look_at = flights.next_look().unwrap_or(look_at + FAR);
                look.as_mut().reset(clock.instant(look_at));
            }
        }
        let landed = flights.land(BATCH, clock.now());
        if landed == 0 {
            continue;
        }
        // Nobody wants verdicts any more if there is no permit.
        let Ok(permit) = verdicts.reserve().await else { return };
        // Before the verdicts are out, so that who counts them never finds a slot taken that is free.
        under_way.fetch_sub(landed, Ordering::Relaxed);
        permit.send(flights.take());
    }
}

#[cfg(test)]
mod tests;
