//! The store as a whole: what stands in its way, what survives a kill, what a full disk does.
//!
//! Some of these need a second process. That is this same binary, told to run one ignored test, the child's part.

mod damage;
mod full;
mod kill;
mod open;
mod transfer;

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use pushkeeper::domain::device::{Access, Device, DeviceKey, History};
use pushkeeper::domain::ids::{Account, AppName, DeviceHash, Domain, Node};
use pushkeeper::domain::registration::{Record, Registration, RegistrationKey, Status};
use pushkeeper::domain::secret::{DeviceToken, Secret};
use pushkeeper::domain::time::Timestamp;
use pushkeeper::flows::data::Change;
use pushkeeper::store::{EngineKind, Store};

const FOLDER: &str = "PUSHKEEPER_TEST_STORE";
const ENGINE: &str = "PUSHKEEPER_TEST_ENGINE";
const FROM: &str = "PUSHKEEPER_TEST_FROM";

fn device(node: &str, generation: u32) -> Device {
    Device {
        node: Node::new(node),
        secret: Secret::new(format!("secret of {node}")),
        key: DeviceKey { app: AppName::new("chat"), account: DeviceHash::of("romeo@example.org", node), channel: None },
        owner: Account::new("romeo@example.org"),
        permitted: [Domain::new("example.org")].into(),
        access: Access::Secret,
        token: DeviceToken::new(format!("{node:x<200}")),
        voip_token: None,
        generation,
        made: Timestamp::from_secs(1_700_000_000),
        renewed: Timestamp::from_secs(1_700_000_000),
        history: History::default(),
        gone: None,
    }
}

fn put(node: &str, generation: u32) -> Change {
    Change::Device(Box::new(device(node, generation)))
}

/// A registration that was enabled for the `generation`th time.
fn registration(node: &str, generation: u32) -> Registration {
    let renewed = Timestamp::from_secs(generation.into());
    Registration {
        key: RegistrationKey {
            account: Account::new("romeo@example.org"),
            service: "push.third.example".into(),
            node: Node::new(node),
        },
        options: None,
        extensions: None,
        client_id: None,
        resource: "phone".into(),
        made: renewed,
        renewed,
        status: Status::Enabled,
        record: Record::default(),
    }
}

/// Every device of a store, in the order of their nodes.
fn devices(store: &Store) -> Vec<Device> {
    let loaded = store.load().unwrap().map(|change| match change.unwrap() {
        Change::Device(device) => *device,
        other => panic!("loaded {other:?}"),
    });
    loaded.collect()
}

/// A second process, killed when dropped.
struct Other {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Other {
    /// Runs the ignored test of this name, by way of `shell` if there is one: a command that execs its arguments.
    fn start(test: &str, shell: Option<&str>, folder: &Path, kind: EngineKind, from: u64) -> Self {
        let this = std::env::current_exe().unwrap();
        let mut command = match shell {
            Some(script) => {
                let mut command = Command::new("sh");
                command.args([OsStr::new("-c"), OsStr::new(script), this.as_os_str()]);
                command
            }
            None => Command::new(this),
        };
        command.args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(FOLDER, folder).env(ENGINE, kind.name()).env(FROM, from.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Self { child, said }
    }

    /// The rest of the next whole line that begins with this; `None` at its end. A line that a kill cut short is no
    /// line.
    fn next(&mut self, begin: &str) -> Option<String> {
        let mut line = String::new();
        loop {
            line.clear();
            self.said.read_line(&mut line).unwrap();
            let whole = line.strip_suffix('\n')?;
            if let Some(rest) = whole.strip_prefix(begin) {
                return Some(rest.to_owned());
            }
        }
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// SIGKILL.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// In the child: the folder and the engine it was given, and where to begin. `None` if nobody started it as a child.
fn given() -> Option<(PathBuf, EngineKind, u64)> {
    let folder = std::env::var_os(FOLDER)?;
    // The test runner has begun a line.
    println!();
    let engine = std::env::var(ENGINE).unwrap();
    let kind = EngineKind::ALL.into_iter().find(|kind| kind.name() == engine).unwrap();
    Some((folder.into(), kind, std::env::var(FROM).unwrap().parse().unwrap()))
}

/// In the child: one whole line, at once.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}
