//! The configuration is read again while all goes on: on SIGHUP, and when an admin asks for it.
//!
//! It is read and checked whole, off the driver's thread, and the gateways of apps that changed are made. If anything is
//! wrong, nothing changes. Else the flows are told; in the moment in which they take the new settings, the driver has
//! what goes with them put in place ([`Port::switch`](driver::Reload::switch)).

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info, warn};

use crate::clock::Clock;
use crate::config::{AppConfig, Complaint, Config, Log, Told};
use crate::domain::app::App;
use crate::domain::ids::{Account, AppName, Domain};
use crate::driver;
use crate::flows::data::{Input, Reloaded};
use crate::flows::policy::Policy;
use crate::gateway::{AppGateway, Gateways};
use crate::http::{Certificate, Tls};
use crate::xmpp::link::Target;
use crate::xmpp::service::Service;

/// A configuration with its warnings, or everything that must be mended.
pub type Read = Result<(Config, Vec<Complaint>), Vec<Complaint>>;

/// How the configuration is read again, when, and who is told.
pub struct Reloads {
    /// Reads it: the same file, under the same environment, as at the start.
    pub read: Arc<dyn Fn() -> Read + Send + Sync>,
    /// Each time that something comes from here, it is read; what comes while it is, once more.
    pub asked: mpsc::Receiver<()>,
    /// Has `log.level` hold.
    pub log: Box<dyn Fn(&Log) + Send + Sync>,
    /// Is told when a reload begins and when it ends: what a service manager is to know goes here.
    pub stage: Box<dyn Fn(Stage<'_>) + Send + Sync>,
}

/// How far a reload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage<'a> {
    /// The configuration is about to be read.
    Begins,
    /// Its settings hold, or it was not taken.
    Ends {
        /// Whether it was taken.
        taken: bool,
        /// What changed, or what needs mending: lines for people.
        said: &'a [String],
    },
}

impl fmt::Debug for Reloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reloads(..)")
    }
}

impl Reloads {
    /// There is nothing that could be read again.
    #[must_use]
    pub fn never() -> Self {
        let text = "it did not come from a file, and cannot be read again".to_owned();
        let none = vec![Complaint { key: "the configuration".to_owned(), text }];
        let (_nobody, asked) = mpsc::channel(1);
        let (log, stage) = (Box::new(|_: &Log| {}), Box::new(|_: Stage<'_>| {}));
        Self { read: Arc::new(move || Err(none.clone())), asked, log, stage }
    }
}

/// What is replaced while it is in use.
pub(super) struct Parts {
    pub(super) gateways: Arc<Gateways>,
    pub(super) service: Arc<Service>,
    pub(super) certificate: Option<Certificate>,
    pub(super) targets: watch::Sender<Target>,
    /// How long those who wait may have to, at a stop.
    pub(super) patience: watch::Sender<Duration>,
}

/// The driver's end. One wish is remembered while another is granted: what it asks for is read after it was asked.
pub(super) struct Port {
    wishes: mpsc::Sender<()>,
    shared: Arc<Shared>,
}

struct Shared {
    parts: Parts,
    log: Box<dyn Fn(&Log) + Send + Sync>,
    /// How many wishes there were.
    wished: AtomicU64,
    /// What takes its place when the driver says so.
    pending: Mutex<Option<Switch>>,
}

/// All that changes at once.
struct Switch {
    put: Vec<(AppName, AppGateway)>,
    removed: Vec<AppName>,
    apps: Vec<App>,
    hosts: Vec<Domain>,
    admins: Vec<Account>,
    tls: Option<Tls>,
    log: Option<Log>,
    target: Target,
    answer_within: Duration,
    done: oneshot::Sender<()>,
}

impl driver::Reload for Port {
    fn reload(&self) {
        self.shared.wished.fetch_add(1, Ordering::SeqCst);
        // There is no room only if one is remembered already.
        let _remembered = self.wishes.try_send(());
    }

    fn switch(&self) {
        let pending = self.shared.pending.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(switch) = pending {
            switch.carry_out(&self.shared);
        }
    }
}

impl Switch {
    fn carry_out(self, shared: &Shared) {
        let Parts { gateways, service, certificate, targets, patience } = &shared.parts;
        for (app, gateway) in self.put {
            gateways.put(app, gateway);
        }
        for app in &self.removed {
            gateways.remove(app);
        }
        service.serve(&self.apps, self.hosts, self.admins);
        if let Some((certificate, tls)) = certificate.as_ref().zip(self.tls) {
            certificate.renew(tls);
        }
        // Also if it is the same: while there is no link, it is tried at once.
        targets.send_replace(self.target);
        patience.send_replace(self.answer_within);
        if let Some(log) = self.log {
            (shared.log)(&log);
        }
        // Nobody waits for it only if the process is about to end.
        let _gone = self.done.send(());
    }
}

/// What runs, as far as another configuration is compared with it.
#[derive(Clone)]
pub(super) struct Running {
    told: Told,
    policy: Policy,
}

impl Running {
    pub(super) fn new(config: &Config) -> Self {
        Self { told: config.told(), policy: config.policy.clone() }
    }

    /// Its settings, complete.
    pub(super) fn policy_is(&mut self, policy: &Policy) {
        self.policy.clone_from(policy);
    }
}

/// Reads the configuration whenever somebody wants it.
pub(super) struct Reloader {
    reloads: Reader,
    wishes: mpsc::Receiver<()>,
    inputs: mpsc::Sender<Input>,
    shared: Arc<Shared>,
    running: Running,
    clock: Clock,
}

struct Reader {
    read: Arc<dyn Fn() -> Read + Send + Sync>,
    asked: mpsc::Receiver<()>,
    stage: Box<dyn Fn(Stage<'_>) + Send + Sync>,
}

impl Reloader {
    /// The driver's end, and what is to run beside it. What it finds goes to `inputs`.
    pub(super) fn new(
        reloads: Reloads,
        parts: Parts,
        running: Running,
        inputs: mpsc::Sender<Input>,
        clock: Clock,
    ) -> (Port, Self) {
        let Reloads { read, asked, log, stage } = reloads;
        let (wish, wishes) = mpsc::channel(1);
        let shared = Arc::new(Shared { parts, log, wished: AtomicU64::new(0), pending: Mutex::default() });
        let port = Port { wishes: wish, shared: shared.clone() };
        (port, Self { reloads: Reader { read, asked, stage }, wishes, inputs, shared, running, clock })
    }

    /// Runs until the driver has ended.
    pub(super) async fn run(mut self) {
        loop {
            tokio::select! {
                wish = self.wishes.recv() => if wish.is_none() { return },
                Some(()) = self.reloads.asked.recv() => {}
                () = self.inputs.closed() => return,
            }
            (self.reloads.stage)(Stage::Begins);
            info!("reading the configuration again");
            let (taken, said) = self.reload().await;
            (self.reloads.stage)(Stage::Ends { taken, said: &said });
        }
    }

    /// Reads it, has it hold if it is right, and returns whether it does, and what there is to say.
    async fn reload(&mut self) -> (bool, Vec<String>) {
        let wishes = self.shared.wished.load(Ordering::SeqCst);
        let (read, running, clock) = (self.reloads.read.clone(), self.running.clone(), self.clock.clone());
        let prepared = tokio::task::spawn_blocking(move || prepare(read(), &running, &clock)).await;
        let prepared = match prepared {
            Ok(Ok(prepared)) => prepared,
            Ok(Err(complaints)) => return (false, self.refuse(&complaints, wishes).await),
            Err(_panicked) => {
                let text = "reading it failed in a way that nobody foresaw".to_owned();
                return (false, self.refuse(&[Complaint { key: String::new(), text }], wishes).await);
            }
        };
        let Prepared { switch, done, running, policy, said } = prepared;
        *self.shared.pending.lock().unwrap_or_else(PoisonError::into_inner) = Some(switch);
        self.tell(Some(policy), wishes, said.clone()).await;
        // Compared with the next one is what runs: so that one waits until this one does.
        tokio::select! {
            switched = done => if switched.is_ok() {
                self.running = running;
                for line in &said {
                    match line.strip_prefix(WARNING) {
                        Some(warning) => warn!("{warning}"),
                        None => info!("{line}"),
                    }
                }
                return (true, said);
            },
            () = self.inputs.closed() => {}
        }
        (false, said)
    }

    async fn refuse(&self, complaints: &[Complaint], wishes: u64) -> Vec<String> {
        error!("the configuration needs mending: nothing changes until it is");
        let mut said = vec!["nothing changed: the configuration needs mending".to_owned()];
        for complaint in complaints {
            error!("{complaint}");
            said.push(complaint.to_string());
        }
        self.tell(None, wishes, said.clone()).await;
        said
    }

    async fn tell(&self, policy: Option<Policy>, wishes: u64, said: Vec<String>) {
        let reloaded = Reloaded { policy: policy.map(Box::new), wishes, said };
        // Nobody listens any more only if the process is about to end.
        let _ended = self.inputs.send(Input::Reloaded(Box::new(reloaded))).await;
    }
}

/// What a line begins with that is a warning.
const WARNING: &str = "warning: ";

/// A configuration that is right, and all that is needed for it to hold.
struct Prepared {
    switch: Switch,
    done: oneshot::Receiver<()>,
    running: Running,
    policy: Policy,
    said: Vec<String>,
}

/// Checks all of it, makes what is new, and says what changes. Blocks.
fn prepare(read: Read, running: &Running, clock: &Clock) -> Result<Prepared, Vec<Complaint>> {
    let (config, warnings) = read?;
    let told = config.told();
    let mut policy = config.policy;
    // Our own name cannot change.
    policy.own = running.policy.own.clone();
    let mut complaints = Vec::new();
    if policy.hosts.contains(&policy.own) {
        let text = format!("{} is our own until a restart, component.jid; leave it out, or restart", policy.own);
        complaints.push(Complaint { key: "hosts".to_owned(), text });
    }
    let goes_on = |app: &AppConfig| is_same(&running.policy, &policy, &app.app.name);
    let (same, changed): (Vec<_>, Vec<_>) = config.apps.into_iter().partition(goes_on);
    let important_body = policy.rules.redaction.important_body.clone();
    let made = super::check(changed, &important_body, clock);
    let tls = super::check_http(&config.http);
    let (put, tls) = match (made, tls) {
        (Ok(put), Ok(tls)) if complaints.is_empty() => (put, tls),
        (made, tls) => {
            complaints.extend(made.err().unwrap_or_default());
            complaints.extend(tls.err().unwrap_or_default());
            return Err(complaints);
        }
    };
    for app in same.iter().map(|app| &app.app.name) {
        if let Some((known, way)) = running.policy.ways.get(app).zip(policy.ways.get_mut(app)) {
            way.expires = known.expires;
        }
    }
    note_ends(&mut policy, &put);
    let stay: BTreeSet<&AppName> = policy.ways.keys().collect();
    let removed = running.policy.ways.keys().filter(|app| !stay.contains(app)).cloned().collect();
    let (mut said, runs) = running.told.changes(&told);
    if said.is_empty() {
        said.push("nothing changed".to_owned());
    }
    said.extend(warnings.iter().map(|warning| format!("{WARNING}{warning}")));
    let new_certificate =
        ["http.public.certificate_file", "http.public.key_file"].iter().any(|key| running.told.differs(&runs, key));
    let new_level = running.told.differs(&runs, "log.level");
    let (tell, done) = oneshot::channel();
    let switch = Switch {
        put,
        removed,
        apps: policy.apps.clone(),
        hosts: policy.hosts.clone(),
        admins: policy.admins.clone(),
        tls: tls.filter(|_| new_certificate),
        log: new_level.then_some(config.log),
        target: Target { connect: config.component.connect, secret: config.component.secret },
        answer_within: policy.answer_within,
        done: tell,
    };
    let running = Running { told: runs, policy: policy.clone() };
    Ok(Prepared { switch, done, running, policy, said })
}

/// Whether an app's gateway can stay as it is.
fn is_same(running: &Policy, new: &Policy, app: &AppName) -> bool {
    let digest = |policy: &Policy| policy.ways.get(app).map(|way| way.digest);
    digest(running).is_some() && digest(running) == digest(new)
}

/// When the credentials of apps end: that only their gateways can say.
pub(super) fn note_ends(policy: &mut Policy, gateways: &[(AppName, AppGateway)]) {
    for (app, gateway) in gateways {
        if let Some(way) = policy.ways.get_mut(app) {
            way.expires = gateway.expires();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::config::parse;
    use crate::driver::Reload as _;

    const TEXT: &str = "[component]\njid = 'push.example.org'\nsecret = 's'\n[apps.try]\nprovider = 'stub'\n";

    fn read(text: &str) -> Read {
        parse(text, std::path::Path::new("/etc/pushkeeper"), [])
    }

    /// What runs by [`TEXT`], and is read again by `read`: the driver's end, and what comes to the driver.
    fn rig(read: impl Fn() -> Read + Send + Sync + 'static) -> (Port, mpsc::Receiver<Input>, Arc<Gateways>) {
        let (config, _) = self::read(TEXT).unwrap();
        let (verdicts, _nobody) = mpsc::channel(1);
        let gateways = Arc::new(Gateways::start(Vec::new(), 1, verdicts, Clock::system()));
        let service = Arc::new(Service::new(config.component.jid.clone(), []));
        let (targets, _) = watch::channel(Target { connect: String::new(), secret: config.component.secret.clone() });
        let (patience, _) = watch::channel(Duration::ZERO);
        let parts = Parts { gateways: gateways.clone(), service, certificate: None, targets, patience };
        let (inputs, driver) = mpsc::channel(1);
        let reloads = Reloads { read: Arc::new(read), ..Reloads::never() };
        let (port, reloader) = Reloader::new(reloads, parts, Running::new(&config), inputs, Clock::system());
        tokio::spawn(reloader.run());
        (port, driver, gateways)
    }

    async fn heard(driver: &mut mpsc::Receiver<Input>) -> Reloaded {
        match driver.recv().await {
            Some(Input::Reloaded(reloaded)) => *reloaded,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn whoever_wishes_for_it_is_told_what_was_read_after_that() {
        let reads = Arc::new(AtomicUsize::new(0));
        let count = reads.clone();
        let (port, mut driver, _) = rig(move || {
            let number = count.fetch_add(1, Ordering::SeqCst);
            Err(vec![Complaint { key: "rules".to_owned(), text: format!("number {number}") }])
        });
        for number in 0..3 {
            port.reload();
            let Reloaded { policy, wishes, said } = heard(&mut driver).await;
            assert_eq!((policy, wishes), (None, number + 1));
            let expected = format!("rules: number {number}");
            assert_eq!(said, ["nothing changed: the configuration needs mending", expected.as_str()]);
        }
        // However many there are at a time, it is read once more after the last.
        for _ in 0..10 {
            port.reload();
        }
        while heard(&mut driver).await.wishes < 13 {}
        assert!((4..=5).contains(&reads.load(Ordering::SeqCst)));
    }

    #[tokio::test]
    async fn nothing_takes_its_place_before_the_driver_says_so() {
        let (port, mut driver, gateways) = rig(|| read(&TEXT.replace("apps.try", "apps.new")));
        port.reload();
        let Reloaded { policy, said, .. } = heard(&mut driver).await;
        assert_eq!(said, ["[apps.try]: removed", "[apps.new]: new"]);
        assert_eq!(policy.unwrap().apps[0].name.as_str(), "new");
        assert_eq!(gateways.running(), 0);
        // One after the other: the next is compared with what runs by then.
        port.reload();
        assert!(driver.try_recv().is_err());
        port.switch();
        assert_eq!(gateways.running(), 1);
        assert_eq!(heard(&mut driver).await.said, ["nothing changed"]);
        port.switch();
        assert_eq!(gateways.running(), 1, "what did not change stays");
    }

    #[tokio::test]
    async fn our_own_name_stays_and_is_no_host_of_ours() {
        let renamed = TEXT.replace("push.example.org", "push.example.net");
        let (port, mut driver, _) = rig(move || read(&renamed));
        port.reload();
        let Reloaded { policy, said, .. } = heard(&mut driver).await;
        assert_eq!(policy.unwrap().own.as_str(), "push.example.org");
        let stays =
            "component.jid: push.example.org → push.example.net, which takes a restart; what runs stays as it is";
        assert_eq!(said, [stays]);

        let taken = TEXT.replace("push.example.org", "push.example.net") + "[[hosts]]\ndomain = 'push.example.org'\n";
        let (port, mut driver, _) = rig(move || read(&taken));
        port.reload();
        let Reloaded { policy, said, .. } = heard(&mut driver).await;
        assert_eq!(policy, None);
        assert!(said[1].starts_with("hosts: push.example.org is our own until a restart"), "{said:?}");
    }
}
