//! The real pushkeeper, in this process.

use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use pushkeeper::app::Failure;
use pushkeeper::clock::Clock;
use pushkeeper::store::snapshots;
use tokio::sync::oneshot;

use crate::Fallible;
use crate::host::{COMPONENT, DOMAIN, SECRET};
use crate::world::{Side, World};

/// What a start leaves to be done must be done within.
const SETTLED_WITHIN: Duration = Duration::from_secs(120);
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// pushkeeper, running on a thread of its own.
pub(crate) struct System {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<(), Failure>>,
    store: tempfile::TempDir,
}

impl System {
    /// Starts it with an empty store, and waits until it is linked.
    pub(crate) fn start(world: &mut World) -> Fallible<Self> {
        Self::start_with(world, false, |_, _| Ok(()))
    }

    /// Starts it on the store that `fill` makes at a path. `bridged`: whether it listens to the host's bridge.
    pub(crate) fn start_with(
        world: &mut World,
        bridged: bool,
        fill: impl FnOnce(&mut World, &Path) -> Fallible<()>,
    ) -> Fallible<Self> {
        let store = tempfile::tempdir_in(world.folder())?;
        fill(world, &store.path().join("store"))?;
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        std::fs::write(store.path().join("key.p8"), key.serialize_pem())?;
        let config = store.path().join("config.toml");
        std::fs::write(&config, configuration(world, store.path(), bridged))?;

        let (config, _) = pushkeeper::config::load(Some(&config), []).map_err(|errors| format!("{errors:?}"))?;
        let (stop, stopped) = oneshot::channel();
        let runtime = pushkeeper::app::runtime()?;
        let stopped = async {
            // Either way: the other end is gone.
            let _ = stopped.await;
        };
        let thread =
            std::thread::spawn(move || runtime.block_on(pushkeeper::app::run(config, Clock::system(), stopped)));
        world.link(Side::Pushkeeper)?;
        Ok(Self { stop, thread, store })
    }

    /// Waits until nothing of the start goes on any more. A store that has no snapshot gets one then, which is seconds of
    /// another thread's work where there are many devices, and comes once a day: it belongs to no run.
    pub(crate) fn settle(&self) -> Fallible<()> {
        let (clock, store) = (Clock::system(), self.store.path().join("store"));
        while snapshots::newest(&store).is_none() {
            if clock.steady().uptime() > SETTLED_WITHIN {
                return Err("no snapshot of the store was written".into());
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Ends it as SIGTERM would.
    pub(crate) fn stop(self, world: &mut World) -> Fallible<()> {
        let Self { stop, thread, store } = self;
        drop(stop);
        world.leave(Side::Pushkeeper)?;
        thread.join().map_err(|_| "pushkeeper panicked")??;
        Ok(store.close()?)
    }
}

/// No limits, for all that is published comes from one domain.
fn configuration(world: &World, folder: &Path, bridged: bool) -> String {
    let path = |name: &str| folder.join(name).display().to_string();
    let hosts = if bridged {
        format!("[[hosts]]\ndomain = \"{DOMAIN}\"\n\n[rules]\nburst_window = \"0s\"\n")
    } else {
        String::new()
    };
    format!(
        r#"
[component]
jid = "{COMPONENT}"
connect = "{host}"
secret = "{SECRET}"

{hosts}
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

[apps.bench-android]
provider = "fcm"
service_account_file = "{service_account}"
endpoint = "https://localhost:{fcm}"
ca_file = "{certificate}"
default = true

[log]
level = "warn"
"#,
        host = world.addresses.host,
        store = path("store"),
        key = path("key.p8"),
        apns = world.addresses.apns.port(),
        fcm = world.addresses.fcm.port(),
        service_account = world.service_account().display(),
        certificate = world.certificate().display(),
    )
}
