//! The real pushkeeper, in this process.

use std::path::PathBuf;

use crate::Fallible;
use crate::host::{COMPONENT, SECRET};
use crate::world::World;

/// pushkeeper, running.
pub(crate) struct System {}

impl System {
    /// Ends it as SIGTERM would.
    #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "to be filled in with `start`")]
    pub(crate) fn stop(self) -> Fallible<()> {
        Ok(())
    }
}

/// Starts pushkeeper with this configuration, linked to this world.
///
/// TO BE FILLED IN once there is `pushkeeper::app`: read `config` as the program would, run the app on a runtime like
/// the program's, on a thread of its own, and keep in [`System`] what stops and joins it. `None` means: not yet.
#[expect(clippy::unnecessary_wraps, reason = "to be filled in")]
fn run(config: PathBuf) -> Fallible<Option<System>> {
    drop(config);
    Ok(None)
}

/// Starts pushkeeper.
pub(crate) fn start(world: &World) -> Fallible<Option<System>> {
    let folder = world.folder();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    std::fs::write(folder.join("key.p8"), key.serialize_pem())?;
    let config = folder.join("config.toml");
    std::fs::write(&config, configuration(world))?;
    run(config)
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
