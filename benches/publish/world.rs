//! The second process, which is everything that pushkeeper talks to; and the handle that the first has on it. They
//! speak in lines: orders one way, a line of JSON the other. One thread does everything there: with pushkeeper's own
//! that makes two, as many as a small machine has cores.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use pushkeeper::clock::Clock;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::Fallible;
use crate::host::Host;
use crate::more;
use crate::oauth;
use crate::provider::Provider;
use crate::publishes::Publishes;
use crate::report::Report;
use crate::vendor::Vendor;

/// Pushes that do not come in so long do not come any more.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where everything listens.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Addresses {
    pub(crate) apns: SocketAddr,
    pub(crate) fcm: SocketAddr,
    pub(crate) tokens: SocketAddr,
    /// The XMPP server.
    pub(crate) host: SocketAddr,
}

impl Addresses {
    pub(crate) const fn of(&self, provider: Provider) -> SocketAddr {
        match provider {
            Provider::Apns => self.apns,
            Provider::Fcm => self.fcm,
        }
    }
}

/// Whose link it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Ceiling,
    Pushkeeper,
}

impl Side {
    const fn name(self) -> &'static str {
        match self {
            Self::Ceiling => "ceiling",
            Self::Pushkeeper => "pushkeeper",
        }
    }
}

/// The world, seen from pushkeeper's side.
pub(crate) struct World {
    pub(crate) addresses: Addresses,
    folder: tempfile::TempDir,
    child: Child,
    orders: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl World {
    pub(crate) fn start() -> Fallible<Self> {
        let folder = tempfile::tempdir()?;
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--world")
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = child.stdin.take().ok_or("no stdin")?;
        let mut said = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        let addresses = hear(&mut said)?;
        Ok(Self { addresses, folder, child, orders, said })
    }

    /// A folder that is gone when the bench is over.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The certificate of all servers, PEM.
    pub(crate) fn certificate(&self) -> PathBuf {
        certificate(self.folder())
    }

    /// The key file for FCM.
    pub(crate) fn service_account(&self) -> PathBuf {
        service_account(self.folder())
    }

    /// Waits until the next component is linked, and knows it by this name.
    pub(crate) fn link(&mut self, side: Side) -> Fallible<()> {
        self.order(&format!("link {}", side.name()))
    }

    /// Ends its stream.
    pub(crate) fn leave(&mut self, side: Side) -> Fallible<()> {
        self.order(&format!("leave {}", side.name()))
    }

    /// Every vendor thinks so long about each push.
    pub(crate) fn delay(&mut self, delay: Duration) -> Fallible<()> {
        self.order(&format!("delay {}", delay.as_micros()))
    }

    /// The vendors look at headers, or no longer.
    pub(crate) fn strict(&mut self, strict: bool) -> Fallible<()> {
        self.order(if strict { "strict" } else { "fast" })
    }

    /// Registers this many devices with pushkeeper, with so many unanswered at a time.
    pub(crate) fn register(&mut self, provider: Provider, number: usize, window: usize) -> Fallible<Report> {
        self.order(&format!("register {} {number} {window}", provider.name()))
    }

    /// Publishes this often, with at most `window` unanswered.
    pub(crate) fn publish(&mut self, side: Side, to: Provider, number: usize, window: usize) -> Fallible<Report> {
        self.order(&format!("publish {} {} {number} {window}", side.name(), to.name()))
    }

    /// Links as the bridge of the host.
    pub(crate) fn bridge(&mut self) -> Fallible<()> {
        self.order("bridge")
    }

    /// Clients enable somebody else's service, with so many unanswered at a time.
    pub(crate) fn enable(&mut self, number: usize, window: usize) -> Fallible<Report> {
        self.order(&format!("enable {number} {window}"))
    }

    /// The owners of all devices enable us, and leave.
    pub(crate) fn enable_us(&mut self, provider: Provider) -> Fallible<()> {
        self.order(&format!("enable-us {}", provider.name()))
    }

    /// Tells of so many messages to the owners of the devices. The times are those of batches; `took` is until the last push.
    pub(crate) fn messages(&mut self, provider: Provider, number: usize) -> Fallible<Report> {
        self.order(&format!("messages {} {number}", provider.name()))
    }

    /// The devices that were put into the store beforehand.
    pub(crate) fn known(&mut self, provider: Provider, number: usize) -> Fallible<()> {
        self.order(&format!("known {} {number}", provider.name()))
    }

    /// Makes a store with so many devices. There, so that nothing of it stays in the memory of this process.
    pub(crate) fn fill(&mut self, path: &Path, devices: usize) -> Fallible<()> {
        self.order(&format!("fill {devices} {}", path.display()))
    }

    /// No vendor is there any more.
    pub(crate) fn refuse(&mut self) -> Fallible<()> {
        self.order("refuse")
    }

    /// They are there again, and get so many pushes. `took` is from the first of them to the last, `max` how long the
    /// first took.
    pub(crate) fn drain(&mut self, number: u64) -> Fallible<Report> {
        self.order(&format!("drain {number}"))
    }

    pub(crate) fn stop(self) -> Fallible<()> {
        let Self { orders, mut child, .. } = self;
        drop(orders);
        match child.wait()? {
            status if status.success() => Ok(()),
            status => Err(format!("the world ended with {status}").into()),
        }
    }

    fn order<T: DeserializeOwned>(&mut self, order: &str) -> Fallible<T> {
        writeln!(self.orders, "{order}")?;
        hear(&mut self.said)
    }
}

/// What the child says next; its own error, if it says that.
fn hear<T: DeserializeOwned>(said: &mut BufReader<ChildStdout>) -> Fallible<T> {
    let mut line = String::new();
    if said.read_line(&mut line)? == 0 {
        return Err("the world ended".into());
    }
    Ok(serde_json::from_str::<Result<T, String>>(&line)??)
}

fn certificate(folder: &Path) -> PathBuf {
    folder.join("ca.pem")
}

fn service_account(folder: &Path) -> PathBuf {
    folder.join("service-account.json")
}

/// The second process.
pub(crate) fn run(folder: &Path) -> Fallible<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(LocalSet::new().run_until(serve(folder)))
}

/// Everything that there is.
struct All {
    apns: Vendor,
    fcm: Vendor,
    listener: TcpListener,
    hosts: BTreeMap<String, Host>,
    /// Who is published to, by the component's name and the vendor's.
    devices: BTreeMap<(String, &'static str), Publishes>,
}

async fn serve(folder: &Path) -> Fallible<()> {
    let plain = oauth::certify(&certificate(folder))?;
    let mut http2 = plain.clone();
    http2.alpn_protocols = vec![b"h2".to_vec()];
    let http2 = Arc::new(http2);
    let tokens = oauth::start(Arc::new(plain)).await?;
    std::fs::write(service_account(folder), oauth::service_account(tokens)?)?;
    let mut all = All {
        apns: Vendor::start(Provider::Apns, Arc::clone(&http2))?,
        fcm: Vendor::start(Provider::Fcm, http2)?,
        listener: TcpListener::bind("127.0.0.1:0").await?,
        hosts: BTreeMap::new(),
        devices: BTreeMap::new(),
    };
    let host = all.listener.local_addr()?;
    say::<_, String>(&Ok(Addresses { apns: all.apns.address, fcm: all.fcm.address, tokens, host }))?;

    let (hand_on, mut orders) = mpsc::channel(1);
    std::thread::spawn(move || {
        for order in std::io::stdin().lines().map_while(Result::ok) {
            if hand_on.blocking_send(order).is_err() {
                break;
            }
        }
    });
    loop {
        match timeout(Duration::from_secs(1), orders.recv()).await {
            Ok(None) => return Ok(()),
            Ok(Some(order)) => {
                let said = all.obey(&order).await;
                say(&said.map_err(|error| {
                    let mut text = error.to_string();
                    let _infallible = write!(text, " (order: {order})");
                    text
                }))?;
            }
            // A component that hears nothing asks whether we are there.
            Err(_) => all.hosts.retain(|_, host| host.idle().is_ok()),
        }
    }
}

impl All {
    async fn obey(&mut self, order: &str) -> Fallible<Option<Report>> {
        let words: Vec<&str> = order.split(' ').collect();
        let number = |word: &str| word.parse::<usize>();
        match words.as_slice() {
            ["link", side] => {
                let host = Host::accept(&self.listener).await?;
                self.hosts.insert((*side).to_owned(), host);
                Ok(None)
            }
            ["leave", side] => {
                self.hosts.remove(*side);
                Ok(None)
            }
            ["delay", micros] => {
                let delay = Duration::from_micros(micros.parse()?);
                self.vendors().for_each(|vendor| vendor.delay(delay));
                Ok(None)
            }
            ["strict"] | ["fast"] => {
                self.vendors().for_each(|vendor| vendor.strict(order == "strict"));
                Ok(None)
            }
            ["refuse"] => {
                self.vendors().for_each(Vendor::refuse);
                Ok(None)
            }
            ["drain", pushes] => self.drain(pushes.parse()?).await.map(Some),
            ["bridge"] => {
                self.pushkeeper()?.bridge().await?;
                Ok(None)
            }
            ["enable", clients, window] => {
                let (clients, window) = (number(clients)?, number(window)?);
                self.pushkeeper()?.enable(clients, window).await.map(Some)
            }
            ["enable-us", provider] => {
                let (host, devices) = self.both(provider)?;
                host.enable_us(devices).await?;
                Ok(None)
            }
            ["messages", provider, messages] => {
                let (before, messages) = (self.taken(), number(messages)?);
                let clock = Clock::system();
                let (host, devices) = self.both(provider)?;
                let report = host.messages(devices, messages).await?;
                report.results_only()?;
                self.until(before + u64::try_from(messages)?).await?;
                let took = clock.steady().uptime();
                Ok(Some(Report { number: messages, took, pushes: self.taken() - before, ..report }))
            }
            ["fill", devices, path @ ..] => {
                more::fill(path.join(" ").as_ref(), number(devices)?)?;
                Ok(None)
            }
            ["known", provider, devices] => {
                let provider = Provider::named(provider).ok_or("no such vendor")?;
                let devices = Publishes::of_known(number(devices)?)?;
                self.devices.insert((Side::Pushkeeper.name().to_owned(), provider.name()), devices);
                Ok(None)
            }
            ["register", provider, devices, window] => {
                let provider = Provider::named(provider).ok_or("no such vendor")?;
                let host = self.hosts.get_mut(Side::Pushkeeper.name()).ok_or("nobody is linked")?;
                let (report, devices) = host.register(provider, number(devices)?, number(window)?).await?;
                self.devices.insert((Side::Pushkeeper.name().to_owned(), provider.name()), devices);
                Ok(Some(report))
            }
            ["publish", side, provider, publishes, window] => {
                let provider = Provider::named(provider).ok_or("no such vendor")?;
                let before = self.taken();
                let host = self.hosts.get_mut(*side).ok_or("nobody is linked")?;
                let devices = match self.devices.entry(((*side).to_owned(), provider.name())) {
                    std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                    std::collections::btree_map::Entry::Vacant(entry) if *side == Side::Ceiling.name() => {
                        entry.insert(Publishes::of_nobody(10_000)?)
                    }
                    std::collections::btree_map::Entry::Vacant(_) => return Err("no devices are registered".into()),
                };
                let report = host.publish(devices, number(publishes)?, number(window)?).await?;
                Ok(Some(Report { pushes: self.taken() - before, ..report }))
            }
            _ => Err("no such order".into()),
        }
    }

    fn pushkeeper(&mut self) -> Fallible<&mut Host> {
        self.hosts.get_mut(Side::Pushkeeper.name()).ok_or_else(|| "nobody is linked".into())
    }

    fn both(&mut self, provider: &str) -> Fallible<(&mut Host, &Publishes)> {
        let provider = Provider::named(provider).ok_or("no such vendor")?;
        let side = Side::Pushkeeper.name();
        let devices = self.devices.get(&(side.to_owned(), provider.name())).ok_or("no devices are registered")?;
        Ok((self.hosts.get_mut(side).ok_or("nobody is linked")?, devices))
    }

    /// The vendors are there again, and get so many pushes.
    async fn drain(&mut self, pushes: u64) -> Fallible<Report> {
        let before = self.taken();
        self.vendors().try_for_each(Vendor::accept)?;
        let clock = Clock::system();
        self.until(before + 1).await?;
        let first = clock.steady().uptime();
        self.until(before + pushes).await?;
        let took = clock.steady().uptime() - first;
        let report = Report::new(took, vec![first], 1, BTreeMap::new());
        Ok(Report { number: usize::try_from(pushes)?, pushes: self.taken() - before, ..report })
    }

    /// Waits until the vendors have taken so many pushes.
    async fn until(&mut self, pushes: u64) -> Fallible<()> {
        let clock = Clock::system();
        while self.taken() < pushes {
            if clock.steady().uptime() > PATIENCE {
                return Err(format!("{} of {pushes} pushes came", self.taken()).into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
            self.hosts.values_mut().try_for_each(Host::idle)?;
        }
        Ok(())
    }

    fn vendors(&self) -> impl Iterator<Item = &Vendor> {
        [&self.apns, &self.fcm].into_iter()
    }

    fn taken(&self) -> u64 {
        self.vendors().map(Vendor::taken).sum()
    }
}

fn say<T: Serialize, E: Serialize>(what: &Result<T, E>) -> Fallible<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, what)?;
    writeln!(out)?;
    Ok(out.flush()?)
}
