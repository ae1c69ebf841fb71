//! The real pushkeeper, in this process.

use std::path::Path;
use std::thread::JoinHandle;

use pushkeeper::app::Failure;
use pushkeeper::clock::Clock;
use tokio::sync::oneshot;

use crate::Fallible;
use crate::host::{COMPONENT, SECRET};
use crate::world::World;

/// pushkeeper, running on a thread of its own.
pub(crate) struct System {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<(), Failure>>,
}

impl System {
    /// Ends it as SIGTERM would.
    pub(crate) fn stop(self) -> Fallible<()> {
        drop(self.stop);
        self.thread.join().map_err(|_| "pushkeeper panicked")?.map_err(Into::into)
    }
}

/// Runs pushkeeper as its program would.
fn run(config: &Path) -> Fallible<System> {
    let (config, _) = pushkeeper::config::load(Some(config), []).map_err(|errors| format!("{errors:?}"))?;
    let (stop, stopped) = oneshot::channel();
    let runtime = pushkeeper::app::runtime()?;
    let stopped = async {
        // Either way: the other end is gone.
        let _ = stopped.await;
    };
    let thread = std::thread::spawn(move || runtime.block_on(pushkeeper::app::run(config, Clock::system(), stopped)));
    Ok(System { stop, thread })
}

/// Starts pushkeeper.
pub(crate) fn start(world: &World) -> Fallible<System> {
    let folder = world.folder();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    std::fs::write(folder.join("key.p8"), key.serialize_pem())?;
    let config = folder.join("config.toml");
    std::fs::write(&config, configuration(world))?;
    run(&config)
}

/// No limits, for all that is published comes from one domain.
fn configuration(world: &World) -> String {
    let path = |name: &str| world.folder().join(name).display().to_string();
    format!(
        r#"
[component]
jid = "{COMPONENT}"
connect = "{host}"
secret = "{SECRET}"

[store]
path = "{store}"

[push]
max_per_domain = 0

[register]
rate_per_account = "0"
rate_per_domain = "0"

[apps.bench-ios]
provider = "apns"
topic = "org.example.bench"
key_file = "{key}"
key_id = "BENCHKEY01"
team_id = "BENCHTEAM1"
endpoint = "https://localhost:{apns}"
ca_file = "{certificate}"
default = true

[log]
level = "warn"
"#,
        host = world.host,
        store = path("store"),
        key = path("key.p8"),
        apns = world.apns.port(),
        certificate = world.certificate().display(),
    )
}
