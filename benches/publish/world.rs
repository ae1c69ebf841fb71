//! The second process, which is everything that pushkeeper talks to; and the handle that the first has on it. They
//! speak in lines: orders one way, a line of JSON the other.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::de::DeserializeOwned;
use tokio::net::TcpListener;

use crate::Fallible;
use crate::apns;
use crate::host::{Host, Report};

/// The world, seen from pushkeeper's side.
pub(crate) struct World {
    /// Where APNs listens.
    pub(crate) apns: SocketAddr,
    /// Where the XMPP server waits for its component.
    pub(crate) host: SocketAddr,
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
        let (apns, host) = hear(&mut said)?;
        Ok(Self { apns, host, folder, child, orders, said })
    }

    /// A folder that is gone when the bench is over.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The certificate of APNs, PEM.
    pub(crate) fn certificate(&self) -> PathBuf {
        certificate(self.folder())
    }

    /// Waits until the component is linked.
    pub(crate) fn await_link(&mut self) -> Fallible<()> {
        self.order("link")
    }

    /// Registers this many devices.
    pub(crate) fn register(&mut self, number: usize) -> Fallible<Report> {
        self.order(&format!("register {number}"))
    }

    /// Publishes this often, with at most `window` unanswered.
    pub(crate) fn publish(&mut self, number: usize, window: usize) -> Fallible<Report> {
        self.order(&format!("publish {number} {window}"))
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
    folder.join("apns.pem")
}

/// The second process.
pub(crate) fn run(folder: &Path) -> Fallible<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (apns, pushes) = runtime.block_on(apns::start(&certificate(folder)))?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    say::<_, String>(&Ok((apns, listener.local_addr()?)))?;

    let mut linked = None;
    for order in std::io::stdin().lines() {
        let order = order?;
        let words: Vec<&str> = order.split(' ').collect();
        let report = runtime.block_on(async {
            let numbers = words.iter().skip(1).map(|word| word.parse()).collect::<Result<Vec<usize>, _>>()?;
            match (words.first().copied(), numbers.as_slice(), &mut linked) {
                (Some("link"), [], none) => {
                    *none = Some(Host::accept(&listener).await?);
                    Ok(None)
                }
                (Some("register"), &[number], Some(host)) => host.register(number).await.map(Some),
                (Some("publish"), &[number, window], Some(host)) => {
                    host.publish(number, window, &pushes).await.map(Some)
                }
                _ => Fallible::Err(format!("cannot {order:?} now").into()),
            }
        });
        say(&report.map_err(|error| {
            let mut text = error.to_string();
            let _infallible = write!(text, " (order: {order})");
            text
        }))?;
    }
    Ok(())
}

fn say<T: serde::Serialize, E: serde::Serialize>(what: &Result<T, E>) -> Fallible<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, what)?;
    writeln!(out)?;
    Ok(out.flush()?)
}
