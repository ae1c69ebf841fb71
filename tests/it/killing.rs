//! kill -9 at random moments under load, of the real program between stand-ins: every publish that was answered with a
//! result is delivered, every registration that was is known. `scripts/kill-test` runs it a hundred times.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pushkeeper::clock::Clock;
use pushkeeper::store::EngineKind;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::support::host::{Host, JID, SECRET, Sent, Session};
use crate::support::vendor::{Answer, Behaviour, Options, Vendor};
use crate::whole_rig::{Device, publish, registered, registration};

/// In CI; `PUSHKEEPER_KILL_ROUNDS` for more.
const ROUNDS: usize = 5;
/// Requests without an answer at a time.
const WINDOW: usize = 128;
/// A round under load is killed after at most so many milliseconds; one in `EARLY` is killed while it starts.
const LONGEST: u64 = 900;
const EARLY: u64 = 8;
/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_with_a_result_survives_kill_9_at_any_moment_under_load() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let rounds = number("PUSHKEEPER_KILL_ROUNDS").map_or(ROUNDS, |rounds: u64| usize::try_from(rounds).unwrap());
    let seed = number("PUSHKEEPER_KILL_SEED").unwrap_or_else(|| Clock::system().wall().millis().unsigned_abs());
    println!("seed {seed} (PUSHKEEPER_KILL_SEED)");
    for kind in EngineKind::ALL {
        let mut scene = Scene::start(kind, seed).await;
        for _ in 0..rounds {
            scene.round().await;
        }
        let tally = scene.finish().await;
        println!("{}, killed {rounds} times: {tally}", kind.name());
        assert_eq!((tally.lost_publishes, tally.lost_registrations), (0, 0), "{tally}");
        assert!(tally.promised > 10 * rounds && tally.delivered >= tally.promised, "{tally}");
    }
}

/// What is counted.
#[derive(Default)]
struct Tally {
    /// Registrations that were answered with a result, each of a phone of its own.
    registered: usize,
    /// Publishes that were sent, each to a phone of its own.
    published: usize,
    /// Of these, how many were answered with a result.
    promised: usize,
    /// How many were answered "not now".
    later: usize,
    /// How many were not answered before the kill.
    unanswered: usize,
    /// Phones that the vendor has a push for.
    delivered: usize,
    /// Pushes that came again.
    duplicates: usize,
    lost_publishes: usize,
    lost_registrations: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { registered, published, promised, later, unanswered, delivered, duplicates, .. } = self;
        let (publishes, registrations) = (self.lost_publishes, self.lost_registrations);
        write!(
            f,
            "{registered} registered, {registrations} lost; {published} published: {promised} answered result, {later} \
             not now, {unanswered} not answered; {delivered} delivered, {duplicates} twice, {publishes} lost"
        )
    }
}

struct Scene {
    host: Host,
    folder: TempDir,
    random: Random,
    /// How often the vendor took a push for each token.
    taken: Arc<Mutex<HashMap<String, usize>>>,
    up: Arc<Mutex<Mood>>,
    moods: tokio::task::JoinHandle<()>,
    _vendor: Vendor,
    next: usize,
    /// Phones that are registered: what their apps were told.
    phones: BTreeMap<usize, Device>,
    /// Those that nobody has published to yet.
    fresh: BTreeSet<usize>,
    /// Those whose publish was answered with a result.
    promised: BTreeSet<usize>,
    /// Registered in the last round: asked for again in the next.
    recent: BTreeSet<usize>,
    tally: Tally,
}

/// What the vendor does with pushes.
#[derive(Clone, Copy)]
enum Mood {
    Takes,
    Fails,
    Hangs,
}

impl Scene {
    async fn start(kind: EngineKind, seed: u64) -> Self {
        let vendor = Vendor::start(Options::default()).await;
        let (host, folder) = (Host::start().await, TempDir::new().unwrap());
        vendor.keys().write(folder.path()).unwrap();
        let keys = vendor.keys();
        let text = format!(
            "[component]\njid = '{JID}'\nconnect = '{}'\nsecret = '{SECRET}'\n[store]\npath = 'data'\nengine = '{}'\n\
             [register]\nrate_per_account = '0'\nrate_per_domain = '0'\n\
             [push]\nmax_per_domain = 0\nanswer_within = '200ms'\n\
             [apps.ios]\nprovider = 'apns'\ntopic = 'org.example.chat'\nkey_file = 'AuthKey.p8'\nkey_id = '{}'\n\
             team_id = '{}'\nendpoint = '{}'\nca_file = 'ca.pem'\n",
            host.address(),
            kind.name(),
            keys.key_id,
            keys.team_id,
            vendor.url()
        );
        fs::write(folder.path().join("config.toml"), text).unwrap();
        fs::set_permissions(folder.path().join("config.toml"), Permissions::from_mode(0o600)).unwrap();

        let (taken, up) = (Arc::new(Mutex::new(HashMap::new())), Arc::new(Mutex::new(Mood::Takes)));
        let (takes, mood) = (taken.clone(), up.clone());
        vendor.choose(move |push| match *mood.lock().unwrap() {
            Mood::Takes => {
                *takes.lock().unwrap().entry(push.token.clone()).or_insert(0) += 1;
                None
            }
            Mood::Fails => Some(Behaviour::Answer(Answer::apns(503, "ServiceUnavailable"))),
            Mood::Hangs => Some(Behaviour::Never),
        });
        let (mood, mut random) = (up.clone(), Random(seed | 1));
        let mut weather = Random(random.below(u64::MAX) | 1);
        let moods = tokio::spawn(async move {
            loop {
                for (next, longest) in [(Mood::Takes, 500), (Mood::Fails, 300), (Mood::Takes, 300), (Mood::Hangs, 200)]
                {
                    *mood.lock().unwrap() = next;
                    sleep(Duration::from_millis(weather.below(longest))).await;
                }
            }
        });
        Self {
            host,
            folder,
            random,
            taken,
            up,
            moods,
            _vendor: vendor,
            next: 0,
            phones: BTreeMap::new(),
            fresh: BTreeSet::new(),
            promised: BTreeSet::new(),
            recent: BTreeSet::new(),
            tally: Tally::default(),
        }
    }

    fn run(&self) -> Child {
        let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_pushkeeper"));
        command.args(["run", "--config"]).arg(self.folder.path().join("config.toml"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true).spawn().unwrap()
    }

    /// Starts it, loads it, kills it.
    async fn round(&mut self) {
        let mut child = self.run();
        if self.random.below(EARLY) == 0 {
            // It may have opened its store by then, or not.
            sleep(Duration::from_millis(self.random.below(200))).await;
            child.kill().await.unwrap();
            return;
        }
        let mut session = self.linked(&mut child).await;
        let recent = std::mem::take(&mut self.recent);
        session = self.must_know(session, &recent).await;
        let moment = Duration::from_millis(self.random.below(LONGEST));
        self.load(session, child, moment).await;
    }

    /// The component, once one is there that lives.
    async fn linked(&self, child: &mut Child) -> Session<TcpStream> {
        loop {
            let session = tokio::select! {
                session = self.host.connection() => session,
                ended = child.wait() => {
                    let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
                    panic!("it ended: {ended:?}\n{}", &log[log.len().saturating_sub(2000)..]);
                }
            };
            if let Some(session) = welcomed(session).await {
                return session;
            }
        }
    }

    /// Registers phones again that are registered: a phone that is known gets what it had.
    async fn must_know(&mut self, session: Session<TcpStream>, phones: &BTreeSet<usize>) -> Session<TcpStream> {
        let mut session = session;
        let (mut unasked, mut waiting) = (phones.iter(), BTreeSet::new());
        loop {
            while waiting.len() < WINDOW
                && let Some(&phone) = unasked.next()
            {
                session.send(&registration("apns", &format!("phone-{phone}"), &token(phone))).await;
                waiting.insert(phone);
            }
            if waiting.is_empty() {
                return session;
            }
            let Sent::Stanza(answer) = timeout(PATIENCE, session.next()).await.unwrap() else { panic!("it left") };
            if let Some(phone) = number(&answer, "id='r-phone-").filter(|phone| waiting.remove(phone)) {
                if registered(&answer) != self.phones[&phone] {
                    self.tally.lost_registrations += 1;
                }
            } else if let Some(pong) = pong(&answer) {
                session.send(&pong).await;
            }
        }
    }

    /// Registers and publishes as fast as answers come; kills it after this long; reads what it had said before.
    async fn load(&mut self, session: Session<TcpStream>, mut child: Child, moment: Duration) {
        let (mut reader, mut writer) = session.into_halves();
        let mut publishing = BTreeSet::new();
        let mut registering = BTreeSet::new();
        let kill = sleep(moment);
        tokio::pin!(kill);
        let mut killed = false;
        loop {
            while !killed && publishing.len() + registering.len() < WINDOW {
                // As many of the one as of the other.
                let text = match self.fresh.pop_first() {
                    Some(phone) => {
                        self.tally.published += 1;
                        publishing.insert(phone);
                        publish(&format!("p-{phone}"), &self.phones[&phone], "", "hello")
                    }
                    None => {
                        self.next += 1;
                        registering.insert(self.next);
                        registration("apns", &format!("phone-{}", self.next), &token(self.next))
                    }
                };
                // It dies only when it is killed, and then what is sent does not matter.
                writer.write_all(text.as_bytes()).await.unwrap();
            }
            let sent = tokio::select! {
                biased;
                () = &mut kill, if !killed => {
                    child.kill().await.unwrap();
                    killed = true;
                    continue;
                }
                sent = reader.next() => sent,
            };
            let Sent::Stanza(answer) = sent else {
                assert!(killed, "it left by itself: {sent:?}");
                break;
            };
            let result = answer.contains("type='result'");
            if let Some(phone) = number(&answer, "id='p-").filter(|phone| publishing.remove(phone)) {
                assert!(result || answer.contains("internal-server-error"), "phone {phone} is not known: {answer}");
                if result {
                    self.promised.insert(phone);
                } else {
                    self.tally.later += 1;
                }
            } else if let Some(phone) = number(&answer, "id='r-phone-").filter(|phone| registering.remove(phone)) {
                assert!(result, "{answer}");
                self.phones.insert(phone, registered(&answer));
                self.fresh.insert(phone);
                self.recent.insert(phone);
            } else if let Some(pong) = pong(&answer).filter(|_| !killed) {
                writer.write_all(pong.as_bytes()).await.unwrap();
            }
        }
        self.tally.unanswered += publishing.len();
    }

    /// Starts it a last time, with a vendor that works: everything that was promised comes.
    async fn finish(mut self) -> Tally {
        self.moods.abort();
        *self.up.lock().unwrap() = Mood::Takes;
        let mut child = self.run();
        let session = self.linked(&mut child).await;
        let all = self.phones.keys().copied().collect();
        let session = self.must_know(session, &all).await;
        let clock = Clock::system();
        let missing = |taken: &HashMap<String, usize>| {
            self.promised.iter().filter(|phone| !taken.contains_key(&token(**phone))).count()
        };
        while missing(&self.taken.lock().unwrap()) > 0 && clock.steady().uptime() < PATIENCE {
            sleep(Duration::from_millis(20)).await;
        }
        drop(session);
        child.kill().await.unwrap();
        let taken = self.taken.lock().unwrap();
        Tally {
            registered: self.phones.len(),
            promised: self.promised.len(),
            delivered: taken.len(),
            duplicates: taken.values().map(|times| times - 1).sum(),
            lost_publishes: missing(&taken),
            ..self.tally
        }
    }
}

/// Opens the stream of a component that lives, and lets it in.
async fn welcomed(mut session: Session<TcpStream>) -> Option<Session<TcpStream>> {
    let Sent::Open(_) = session.next().await else { return None };
    let header = format!(
        "<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' from='{JID}' id='s' \
         xmlns='jabber:component:accept'>"
    );
    session.try_send(header.as_bytes()).await.ok()?;
    let Sent::Stanza(_handshake) = session.next().await else { return None };
    session.try_send(b"<handshake/>").await.ok()?;
    Some(session)
}

fn token(phone: usize) -> String {
    format!("{phone:064x}")
}

/// The number that follows this in a stanza.
fn number(stanza: &str, before: &str) -> Option<usize> {
    let (_, rest) = stanza.split_once(before)?;
    rest.split('\'').next()?.parse().ok()
}

/// The answer to a ping.
fn pong(stanza: &str) -> Option<String> {
    let (_, rest) = stanza.split_once("urn:xmpp:ping").and(stanza.split_once("id='"))?;
    let id = rest.split('\'').next()?;
    Some(format!("<iq type='result' id='{id}' from='{JID}' to='{JID}'/>"))
}

/// xorshift64*: the same moments for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % end
    }
}
