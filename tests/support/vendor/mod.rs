//! A stand-in for the vendors: APNs, FCM with Google's token endpoint, and a browser's push service behind one TLS and
//! HTTP/2 port on loopback.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | [`Vendor`]: start, stop, tell it what to do, ask what it got |
//! | `behaviour.rs` | what it can be told to do |
//! | `server.rs` | connections and streams |
//! | `rules.rs` | what APNs, FCM and the token endpoint check and answer |
//! | `webpush.rs` | a browser and its push service |
//! | `keys.rs` | CA, certificates and key files, made at run time |

mod behaviour;
mod keys;
mod rules;
mod server;
pub(crate) mod webpush;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use pushkeeper::clock::Clock;
use pushkeeper::domain::time::Moment;
use tokio::net::TcpListener;
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(crate) use self::behaviour::{Answer, Behaviour};
pub(crate) use self::keys::Keys;
use self::server::Command;

/// What a stand-in is like from the start.
#[derive(Clone)]
pub(crate) struct Options {
    /// `SETTINGS_MAX_CONCURRENT_STREAMS`.
    pub(crate) max_streams: u32,
    /// Only clients with a certificate of our CA are let in, and no provider token is asked for.
    pub(crate) client_certificate: bool,
    /// Whether it speaks HTTP/2; otherwise it agrees on nothing.
    pub(crate) http2: bool,
    /// How long a connection waits for its TLS handshake.
    pub(crate) slow_accept: Duration,
    /// For benches: no rules, no record, 200 to everything.
    pub(crate) cheap: bool,
    /// By which the age of tokens is judged.
    pub(crate) clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_streams: 1000,
            client_certificate: false,
            http2: true,
            slow_accept: Duration::ZERO,
            cheap: false,
            clock: Clock::system(),
        }
    }
}

/// Whom a request was meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Apns,
    Fcm,
    OAuth,
    WebPush,
    Other,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) service: Service,
    /// Counts from 1.
    pub(crate) connection: u64,
    pub(crate) at: Moment,
    pub(crate) method: Method,
    /// The host that was asked for, with its port if it was said.
    pub(crate) authority: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The device token, of a push.
    pub(crate) token: String,
    /// What it was answered, once it was.
    pub(crate) status: Option<u16>,
}

impl Recorded {
    /// A header's text; empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    fn is_push(&self) -> bool {
        matches!(self.service, Service::Apns | Service::Fcm | Service::WebPush)
    }
}

/// The running stand-in. Dropping it stops it.
pub(crate) struct Vendor {
    shared: Arc<Shared>,
    address: SocketAddr,
    listening: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    options: Options,
    keys: Keys,
    state: Mutex<State>,
    changed: Notify,
    /// While true, requests are recorded and wait.
    held: watch::Sender<bool>,
    commands: broadcast::Sender<Command>,
}

type Chooser = Box<dyn Fn(&Recorded) -> Option<Behaviour> + Send + Sync>;

#[derive(Default)]
struct State {
    log: Vec<Recorded>,
    connections: u64,
    /// How many of them resumed a session of TLS.
    resumed: u64,
    /// Answered ones, of all connections.
    pings: u64,
    open: u64,
    /// How often a push to each device token was taken, whether or not the answer arrived.
    taken: HashMap<String, u32>,
    once: HashMap<String, VecDeque<Behaviour>>,
    always: HashMap<String, Behaviour>,
    next: VecDeque<Behaviour>,
    everything: Option<Behaviour>,
    chooser: Option<Chooser>,
    oauth: VecDeque<Answer>,
    lifetime: u64,
    date: Option<String>,
    access_token: Option<String>,
    issued: u64,
    /// An authorization header that has passed, and its time of issue.
    passed: Option<(String, i64)>,
    /// A `vapid` header that has passed, and its claims.
    vapid: Option<(String, serde_json::Value)>,
}

impl Vendor {
    /// Starts on a free port of loopback.
    pub(crate) async fn start(options: Options) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let keys = Keys::make(&format!("https://{address}/token"));
        let (held, _) = watch::channel(false);
        let (commands, _) = broadcast::channel(64);
        let state = Mutex::new(State { lifetime: 3599, ..State::default() });
        let shared = Arc::new(Shared { options, keys, state, changed: Notify::new(), held, commands });
        let listening = Mutex::new(Some(tokio::spawn(server::listen(shared.clone(), listener))));
        Self { shared, address, listening }
    }

    /// `https://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.shared.keys
    }

    /// Closes the port and cuts every connection.
    pub(crate) async fn stop(&self) {
        let listening = self.listening.lock().unwrap().take();
        if let Some(task) = listening {
            task.abort();
            // Aborted, as we asked.
            let _aborted = task.await;
        }
    }

    /// Listens again on the same port.
    pub(crate) async fn restart(&self) -> io::Result<()> {
        self.stop().await;
        let listener = TcpListener::bind(self.address).await?;
        *self.listening.lock().unwrap() = Some(tokio::spawn(server::listen(self.shared.clone(), listener)));
        Ok(())
    }

    /// The next push to this device token meets this; pushes queue up.
    pub(crate) fn once(&self, token: &str, behaviour: Behaviour) {
        self.state().once.entry(token.to_owned()).or_default().push_back(behaviour);
    }

    /// Every push to this device token meets this.
    pub(crate) fn always(&self, token: &str, behaviour: Behaviour) {
        self.state().always.insert(token.to_owned(), behaviour);
    }

    /// The next push to whomever meets this; pushes queue up.
    pub(crate) fn next(&self, behaviour: Behaviour) {
        self.state().next.push_back(behaviour);
    }

    /// Every push meets this, if nothing else was said of it; `None` for 200.
    pub(crate) fn everything(&self, behaviour: Option<Behaviour>) {
        self.state().everything = behaviour;
    }

    /// Every push is put to this function first.
    pub(crate) fn choose(&self, chooser: impl Fn(&Recorded) -> Option<Behaviour> + Send + Sync + 'static) {
        self.state().chooser = Some(Box::new(chooser));
    }

    /// Keeps pushes waiting for their answer until [`Self::release`].
    pub(crate) fn hold(&self) {
        self.shared.held.send_replace(true);
    }

    pub(crate) fn release(&self) {
        self.shared.held.send_replace(false);
    }

    /// Sends GOAWAY on every connection and processes what it has.
    pub(crate) fn go_away(&self) {
        self.command(Command::GoAway);
    }

    /// Sends GOAWAY on every connection, and processes only the first `keep` streams that wait on each.
    pub(crate) fn go_away_keeping(&self, keep: usize) {
        self.command(Command::GoAwayKeeping(keep));
    }

    /// Falls silent on every connection without closing it, as a lost network does.
    pub(crate) fn freeze(&self) {
        self.command(Command::Freeze);
    }

    /// Cuts every connection.
    pub(crate) fn cut(&self) {
        self.command(Command::Cut);
    }

    /// The token endpoint answers this to the next fetch; answers queue up.
    pub(crate) fn oauth_next(&self, answer: Answer) {
        self.state().oauth.push_back(answer);
    }

    /// Access tokens live this many seconds from now on.
    pub(crate) fn oauth_lifetime(&self, secs: u64) {
        self.state().lifetime = secs;
    }

    /// Every answer has this `Date` from now on.
    pub(crate) fn date(&self, text: &str) {
        self.state().date = Some(text.to_owned());
    }

    /// The access token that was given out no longer counts.
    pub(crate) fn oauth_revoke(&self) {
        self.state().access_token = None;
    }

    /// How often an access token was asked for.
    pub(crate) fn oauth_fetches(&self) -> usize {
        self.state().log.iter().filter(|entry| entry.service == Service::OAuth).count()
    }

    /// Connections ever accepted, TLS included.
    pub(crate) fn connections(&self) -> u64 {
        self.state().connections
    }

    /// How many of them resumed the TLS session of an earlier one.
    pub(crate) fn resumed(&self) -> u64 {
        self.state().resumed
    }

    /// How many pings (RFC 9113 §6.7) it has answered.
    pub(crate) fn pings(&self) -> u64 {
        self.state().pings
    }

    /// To how many device tokens a push was taken.
    pub(crate) fn taken_by(&self) -> usize {
        self.state().taken.len()
    }

    /// How many requests came.
    pub(crate) fn requests(&self) -> usize {
        self.state().log.len()
    }

    /// How often a push to each device token was taken, whether or not the answer arrived: more than once is a phone
    /// that was woken twice.
    pub(crate) fn taken(&self) -> HashMap<String, u32> {
        self.state().taken.clone()
    }

    /// Connections that are open now.
    pub(crate) fn open_connections(&self) -> u64 {
        self.state().open
    }

    /// Every push so far.
    pub(crate) fn pushes(&self) -> Vec<Recorded> {
        self.state().log.iter().filter(|entry| entry.is_push()).cloned().collect()
    }

    /// The pushes, once there are at least `count`, whether or not they were answered.
    ///
    /// # Panics
    /// If there are fewer when the time is over.
    pub(crate) async fn wait_for(&self, count: usize, within: Duration) -> Vec<Recorded> {
        let came = || self.state().log.iter().filter(|entry| entry.is_push()).count();
        let enough = self.wait_until(|| came() >= count, within).await;
        let found = self.pushes();
        assert!(enough, "{} pushes of {count} came within {within:?}", found.len());
        found
    }

    /// Waits until a condition holds that a request, an answer or a connection can bring about; false if it does not
    /// in time.
    pub(crate) async fn wait_until(&self, condition: impl Fn() -> bool, within: Duration) -> bool {
        let waiting = async {
            loop {
                let changed = self.shared.changed.notified();
                if condition() {
                    return;
                }
                changed.await;
            }
        };
        timeout(within, waiting).await.is_ok()
    }

    fn command(&self, command: Command) {
        // Fails only if there is no connection, which then needs no command.
        let _listeners = self.shared.commands.send(command);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Drop for Vendor {
    fn drop(&mut self) {
        if let Some(task) = self.listening.lock().unwrap().take() {
            task.abort();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Writes a request down; returns its place in the log.
    fn record(&self, entry: Recorded) -> usize {
        let mut state = self.state();
        state.log.push(entry);
        let place = state.log.len() - 1;
        drop(state);
        self.changed.notify_waiters();
        place
    }

    fn answered(&self, place: usize, status: u16) {
        if let Some(entry) = self.state().log.get_mut(place) {
            entry.status = Some(status);
        }
        self.changed.notify_waiters();
    }

    fn took(&self, entry: &Recorded) {
        if entry.is_push() {
            *self.state().taken.entry(entry.token.clone()).or_default() += 1;
        }
    }

    /// What a push meets.
    fn behaviour(&self, entry: &Recorded) -> Option<Behaviour> {
        let mut state = self.state();
        if let Some(chosen) = state.chooser.as_ref().and_then(|choose| choose(entry)) {
            return Some(chosen);
        }
        if let Some(queued) = state.once.get_mut(&entry.token).and_then(VecDeque::pop_front) {
            return Some(queued);
        }
        if let Some(queued) = state.next.pop_front() {
            return Some(queued);
        }
        state.always.get(&entry.token).or(state.everything.as_ref()).cloned()
    }
}
