//! Puts the parts together, and takes them apart again in order.

mod disk;
mod doctor;
pub mod health;
mod keeping;
mod listen;
pub mod logging;
mod reload;
pub mod service_manager;
pub mod takeover;
pub mod transfer;
mod vendors;
mod watch;

use std::future::Future;
use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::{error, info};

use crate::clock::Clock;
use crate::config::{AppConfig, Complaint, Component, Config, StoreEngine};
use crate::domain::app::Credentials;
use crate::domain::ids::AppName;
use crate::domain::push::Push;
use crate::driver::{Deliver, Driver, Ended, Offer, Ports};
use crate::flows::data::Change;
use crate::flows::dice::Dice;
use crate::flows::memory::Memory;
use crate::flows::policy::Policy;
use crate::flows::state::State;
use crate::gateway::{AppGateway, Gateways};
use crate::store::{EngineKind, Store, StoreError, not_for_root};
use crate::xmpp::link::{self, Target, Timing};
use crate::xmpp::service::Service;
use crate::xmpp::trouble::LinkError;

use disk::StoreThread;
pub use doctor::doctor;
use listen::Desk;
pub use listen::{Listeners, check as check_http};
use reload::{Parts, Reloader, Running};
pub use reload::{Read, Reloads, Stage};
use service_manager::Service as Manager;
use watch::Watcher;

/// Batches that may wait between two parts. Small: what waits here has been read, but nobody decided about it yet.
const QUEUE: usize = 16;

/// How many threads read the store at a start, at most: one that takes what they read keeps pace with no more.
const MOST_READERS: NonZero<usize> = NonZero::new(4).unwrap();

/// How long a stop may take beyond `push.answer_within` before what still runs is left behind.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// How long a stop waits for those who read an answer over HTTP.
const HTTP_STOP_WITHIN: Duration = Duration::from_secs(1);

/// How often, and how long after each other, memory that loading took is given back: the allocator holds it for a second
/// (`purge_delay`), and what it could not give back then until it is asked again.
const GIVE_BACK_TRIES: u32 = 3;
const GIVE_BACK_EVERY: Duration = Duration::from_secs(1);

/// Why pushkeeper ends with an error.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The configuration names credentials that are none.
    #[error("the configuration needs mending")]
    Config(Vec<Complaint>),
    /// The store does not open.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The host does not want us.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// An address that we are to listen at is not to be had.
    #[error("{key}: cannot listen at {address}: {error}")]
    Listen {
        /// The key of the configuration.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
    /// A part ended that should not have.
    #[error(transparent)]
    Ended(#[from] Ended),
    /// The system refuses something we cannot do without.
    #[error("the system refuses us: {0}")]
    System(#[from] std::io::Error),
}

/// The runtime to [`run`] on. Half the cores are enough for us, and the host on the same machine needs the others; with
/// more threads, the parts wake each other across cores for what one core does in passing.
///
/// # Errors
/// The system gives us no threads.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread().worker_threads((cores / 2).max(1)).enable_all().build()
}

/// Checks what [`crate::config`] cannot: whether keys and certificates are what they should be. No network.
/// `important_body` is `rules.important_body`: what stands for the text of a message where a publish carries none.
///
/// # Errors
/// What must be mended.
pub fn check(
    apps: Vec<AppConfig>,
    important_body: &str,
    clock: &Clock,
) -> Result<Vec<(AppName, AppGateway)>, Vec<Complaint>> {
    let (gateways, complaints) = usable(apps, important_body, clock);
    if complaints.is_empty() { Ok(gateways) } else { Err(complaints) }
}

/// The apps whose keys and certificates are what they should be, and what must be mended about the others.
fn usable(apps: Vec<AppConfig>, important_body: &str, clock: &Clock) -> (Vec<(AppName, AppGateway)>, Vec<Complaint>) {
    let mut gateways = Vec::new();
    let mut complaints = Vec::new();
    for app in apps {
        let name = app.app.name.clone();
        let key = |key: &str| format!("apps.{name}.{key}");
        match vendors::gateway(app, important_body, clock) {
            Ok(gateway) => gateways.push((name, gateway)),
            Err((at, error)) => complaints.push(Complaint { key: key(at), text: error.to_string() }),
        }
    }
    (gateways, complaints)
}

/// Runs until `stop` resolves, then drains: nothing more is read, those who wait are answered, the stream is closed.
///
/// # Errors
/// What kept it from starting, or ended it unasked.
pub async fn run(config: Config, clock: Clock, stop: impl Future<Output = ()>) -> Result<(), Failure> {
    let (_nobody, asked) = mpsc::channel(1);
    run_asked(config, clock, stop, asked).await
}

/// As [`run`]; each time that something comes from `asked`, a snapshot of the store is written.
///
/// # Errors
/// As [`run`].
pub async fn run_asked(
    config: Config,
    clock: Clock,
    stop: impl Future<Output = ()>,
    asked: mpsc::Receiver<()>,
) -> Result<(), Failure> {
    let listeners = Listeners::bind(&config.http)?;
    run_on(config, listeners, clock, stop, asked).await
}

/// The same with listeners that are there already, so that their ports are known.
///
/// # Errors
/// As [`run`].
pub async fn run_on(
    config: Config,
    listeners: Listeners,
    clock: Clock,
    stop: impl Future<Output = ()>,
    asked: mpsc::Receiver<()>,
) -> Result<(), Failure> {
    run_under(config, listeners, clock, stop, asked, Reloads::never(), Manager::nobody()).await
}

/// The same, with a configuration that can be read again, and a service manager that is told how it goes.
///
/// # Errors
/// As [`run`].
pub async fn run_under(
    mut config: Config,
    listeners: Listeners,
    clock: Clock,
    stop: impl Future<Output = ()>,
    asked: mpsc::Receiver<()>,
    reloads: Reloads,
    manager: Manager,
) -> Result<(), Failure> {
    let mut running = Running::new(&config);
    let important_body = &config.policy.rules.redaction.important_body;
    let gateways = check(config.apps, important_body, &clock).map_err(Failure::Config)?;
    reload::note_ends(&mut config.policy, &gateways);
    running.policy_is(&config.policy);
    let answer_within = config.policy.answer_within;
    let mut state = State::new(config.policy);
    for (app, gateway) in &gateways {
        if let Some(at) = gateway.expires() {
            state.apply(&Change::Memory(Memory::Expires(app.clone(), at)));
        }
    }
    let store_path = config.store.path.clone();
    let opening = {
        let clock = clock.clone();
        let (path, kind) = (config.store.path, engine(config.store.engine));
        tokio::task::spawn_blocking(move || open(&path, kind, &mut state, &clock).map(|store| (store, state)))
    };
    let (store, state) = opening.await.map_err(std::io::Error::other)??;
    tokio::spawn(async {
        for _ in 0..GIVE_BACK_TRIES {
            tokio::time::sleep(GIVE_BACK_EVERY).await;
            give_back();
        }
    });
    let (devices, gone) = state.count();
    let served = state.policy.served();
    let version = env!("CARGO_PKG_VERSION");
    let (enabled, all) = state.registrations.count();
    let others = all - enabled;
    info!(
        "pushkeeper {version}: {devices} devices ({gone} gone), {enabled} registrations enabled ({others} not); {served}"
    );

    let (requests, request_queue) = mpsc::channel(QUEUE);
    let (answers, answer_queue) = mpsc::channel(QUEUE);
    let (verdicts, verdict_queue) = mpsc::channel(QUEUE);
    let (stopper, stop_queue) = mpsc::channel(1);
    let gateways = Arc::new(Gateways::start(gateways, state.policy.slots, verdicts, clock.clone()));
    let watcher = Watcher::new(state.policy.apps.iter().map(|app| &app.name), clock.clone());
    let desk = Desk::open(listeners, &config.component.jid, &clock, &watcher)?;
    let (inputs, certificate) = (desk.inputs(), desk.certificate());
    let (strangers, http, closing) = desk.into_parts();
    let store = Arc::new(store);
    let (disk, reports) = StoreThread::start(store.clone())?;
    let (stop_keeping, until) = oneshot::channel();
    let keeping = tokio::spawn(keeping::keep(store, clock.clone(), asked, until));
    let Policy { apps, hosts, admins, .. } = &state.policy;
    let service = Service::new(config.component.jid, apps).with_hosts(hosts.clone()).with_admins(admins.clone());
    let service = Arc::new(service);
    let Component { connect, secret, .. } = config.component;
    let (targets, target) = tokio::sync::watch::channel(Target { connect: connect.clone(), secret: secret.clone() });
    let (patience, answer_within) = tokio::sync::watch::channel(answer_within);
    let parts = Parts { gateways: gateways.clone(), service: service.clone(), certificate, targets, patience };
    let (reload, reloader) = Reloader::new(reloads, parts, running, inputs, clock.clone());
    let ports = Ports {
        watch: Box::new(watcher.clone()),
        reload: Box::new(reload),
        requests: request_queue,
        answers,
        strangers,
        http: Box::new(http),
        verdicts: verdict_queue,
        gateways: Box::new(Switchboard(gateways.clone())),
        offers: Box::new(Features(service.clone())),
        reports,
        disk: Box::new(disk),
        stop: stop_queue,
    };
    let driver = Driver::new(state, clock.clone(), system_dice(), ports);
    let pulse = driver.pulse();
    let driver = tokio::spawn(driver.run());
    let reloading = tokio::spawn(reloader.run());
    let counters = watcher.counters();
    let current = target.clone();
    let told = manager.clone().tell_link(move || current.borrow().connect.clone(), counters.state());
    tokio::spawn(told);
    let settings = link::Settings { connect, secret, timing: Timing::default(), counters };
    let link = tokio::spawn(link::run_to(settings, Some(target), service, clock, requests, answer_queue));
    let watching = tokio::spawn(watcher.keep(store_path));
    // Not the link: a host that starts later than we do is no failure of ours.
    if pulse.beats().await {
        manager.ready();
        tokio::spawn(manager.clone().watch(pulse));
    }
    let stop = async {
        stop.await;
        manager.stopping();
    };
    let ended = supervise(driver, link, stopper, stop, || *answer_within.borrow() + STOP_WITHIN).await;
    watching.abort();
    // It holds the gateways, too.
    reloading.abort();
    let _aborted = reloading.await;
    if let Some(gateways) = Arc::into_inner(gateways) {
        gateways.shutdown(STOP_WITHIN).await;
    }
    closing.close(HTTP_STOP_WITHIN).await;
    if ended.is_ok() {
        // Nobody listens any more only if it has ended already.
        let _ = stop_keeping.send(());
    } else {
        drop(stop_keeping);
    }
    keeping.await.map_err(std::io::Error::other)?;
    ended
}

/// What the configuration calls an engine, as the store knows it.
const fn engine(engine: StoreEngine) -> EngineKind {
    match engine {
        StoreEngine::Sled => EngineKind::Sled,
        StoreEngine::Redb => EngineKind::Redb,
    }
}

/// Waits for `stop`, or for a part to end by itself; then for all parts to end in order.
async fn supervise(
    mut driver: JoinHandle<Result<(), Ended>>,
    mut link: JoinHandle<Result<(), LinkError>>,
    stopper: mpsc::Sender<()>,
    stop: impl Future<Output = ()>,
    within: impl Fn() -> Duration,
) -> Result<(), Failure> {
    tokio::select! {
        () = stop => info!("stopping: answering those who wait"),
        ended = &mut driver => return Err(unasked(Some(ended), None, driver, link, within()).await),
        ended = &mut link => return Err(unasked(None, Some(ended), driver, link, within()).await),
    }
    drop(stopper);
    // The driver first: it ends when nobody waits any more. Then the link, when the last answer is written.
    let both = async {
        let driver = (&mut driver).await;
        let link = (&mut link).await;
        driver.map_err(std::io::Error::other)??;
        Ok(link.map_err(std::io::Error::other)??)
    };
    match tokio::time::timeout(within(), both).await {
        Ok(ended) => ended.inspect(|()| info!("stopped")),
        Err(_) => {
            error!("stopping took too long: what still ran was left behind");
            driver.abort();
            link.abort();
            Ok(())
        }
    }
}

/// Why a part ended unasked. Each takes the other with it, and which of them is heard of first is chance: so both are
/// waited for, and the one that has a reason to give is believed.
async fn unasked(
    driver_ended: Option<Joined<Ended>>,
    link_ended: Option<Joined<LinkError>>,
    driver: JoinHandle<Result<(), Ended>>,
    link: JoinHandle<Result<(), LinkError>>,
    within: Duration,
) -> Failure {
    let both = async {
        let driver_ended = match driver_ended {
            Some(ended) => ended,
            None => driver.await,
        };
        let link_ended = match link_ended {
            Some(ended) => ended,
            None => link.await,
        };
        link_ended.map_err(std::io::Error::other)??;
        match driver_ended.map_err(std::io::Error::other)? {
            Ok(()) => Err(Ended::Link.into()),
            Err(ended) => Err(ended.into()),
        }
    };
    match tokio::time::timeout(within, both).await {
        Ok(Err(failure)) => failure,
        Ok(Ok(())) | Err(_) => Ended::Link.into(),
    }
}

/// What is heard of a task that has ended.
type Joined<E> = Result<Result<(), E>, tokio::task::JoinError>;

/// Opens the store, loads the state, and notes which apps have other credentials than before.
///
/// # Errors
/// If the store does not open, a record of it cannot be read, or the credentials cannot be written.
pub fn open(path: &std::path::Path, kind: EngineKind, state: &mut State, clock: &Clock) -> Result<Store, StoreError> {
    not_for_root(path)?;
    let store = Store::open(path, kind)?;
    let threads = std::thread::available_parallelism().map_or(NonZero::<usize>::MIN, |cores| cores.min(MOST_READERS));
    state.load(store.load_on(threads)?)?;
    let now = clock.wall();
    let known = |app: &AppName| Some(state.app(app)?.credentials?.fingerprint);
    let new = state.policy.apps.iter().filter(|app| known(&app.name) != Some(app.fingerprint));
    let new: Vec<Change> = new
        .map(|app| Change::Credentials(app.name.clone(), Credentials { fingerprint: app.fingerprint, since: now }))
        .collect();
    if !new.is_empty() {
        store.commit(&new)?;
    }
    for change in &new {
        state.apply(change);
    }
    Ok(store)
}

/// Has the allocator look for memory to give back to the system, which it does whenever memory is freed that has pages of
/// its own: with little to do, that may not come for hours, and 50 MB of a million devices' loading would be held.
pub fn give_back() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(1 << 20)));
}

/// The system's generator. Without it there can be no secret, so a system that refuses it ends the process.
fn system_dice() -> Dice {
    #[expect(clippy::expect_used, reason = "the system's generator fails only where nothing else works either")]
    Dice::new(|bytes| getrandom::fill(bytes).expect("the system's random generator works"))
}

struct Switchboard(Arc<Gateways>);

impl Deliver for Switchboard {
    fn deliver(&self, app: &AppName, pushes: Vec<Push>) {
        self.0.deliver(app, pushes);
    }
}

/// What we say of ourselves.
struct Features(Arc<Service>);

impl Offer for Features {
    fn offer(&self, app: &AppName, works: bool) {
        self.0.offer(app, works);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `supervise` says when both parts have ended by the time it looks.
    async fn said(driver: Result<(), Ended>, link: Result<(), LinkError>) -> String {
        let (driver, link) = (tokio::spawn(async move { driver }), tokio::spawn(async move { link }));
        while !(driver.is_finished() && link.is_finished()) {
            tokio::task::yield_now().await;
        }
        let (stopper, _stop) = mpsc::channel(1);
        let failure = supervise(driver, link, stopper, std::future::pending(), || STOP_WITHIN).await;
        failure.expect_err("a part ended unasked").to_string()
    }

    #[tokio::test]
    async fn a_part_that_ends_unasked_is_blamed_whoever_is_heard_of_first() {
        // Of two that are ready, `select!` takes one by chance.
        for _ in 0..32 {
            let (jid, host) = ("push.example.org".to_owned(), "127.0.0.1:5347".to_owned());
            let refused = said(Ok(()), Err(LinkError::WrongSecret { jid, host })).await;
            assert!(refused.contains("component.secret"), "{refused}");
            assert_eq!(said(Err(Ended::Store), Ok(())).await, Ended::Store.to_string());
            assert_eq!(said(Ok(()), Ok(())).await, Ended::Link.to_string());
        }
    }
}
