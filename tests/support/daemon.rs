//! The real pushkeeper, run as an operator runs it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::process::Process;

/// What it logs when the link is up, at the first time and at any other.
const LINKED: &str = "the link is up";

/// A pushkeeper, up or down, with its configuration and its store in a temporary folder.
pub(crate) struct Daemon {
    // Before the folder: what ends first can still print its log.
    process: Process,
    folder: TempDir,
}

impl Daemon {
    /// Starts it with this configuration; `$DIR` in it becomes the path of the folder. Does not wait.
    pub(crate) fn start(configuration: &str) -> Self {
        let folder = TempDir::with_prefix("pushkeeper-").expect("a temporary folder");
        write(&folder, configuration);
        let process = run(&folder);
        Self { process, folder }
    }

    /// Starts it with this configuration and waits until it is linked to its host.
    pub(crate) async fn linked(configuration: &str) -> Self {
        let mut daemon = Self::start(configuration);
        daemon.wait_for_link(1).await;
        daemon
    }

    /// Its configuration as it is in the file.
    pub(crate) fn configuration(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("config.toml")).expect("a config")
    }

    /// Gives it another one, which it does not know of yet.
    pub(crate) fn configure(&self, configuration: &str) {
        write(&self.folder, configuration);
    }

    /// Starts it again with the same configuration and store.
    pub(crate) fn start_again(&mut self) {
        self.process = run(&self.folder);
    }

    /// Waits until it has been linked this many times, restarts included.
    pub(crate) async fn wait_for_link(&mut self, times: usize) {
        let linked = |process: &Process| process.log().matches(LINKED).count() >= times;
        self.process.wait_until(&format!("link number {times} is up"), linked).await;
    }

    /// Waits until what it has logged, restarts included, is `enough`.
    pub(crate) async fn wait_for_log(&mut self, what: &str, enough: impl Fn(&str) -> bool) {
        self.process.wait_until(what, |process| enough(&process.log())).await;
    }

    /// What it has logged so far, restarts included.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// kill -9.
    pub(crate) async fn kill(&mut self) {
        self.process.kill().await;
    }

    /// SIGTERM; its exit code.
    pub(crate) async fn terminate(&mut self) -> Option<i32> {
        self.process.terminate().await
    }

    /// Waits until it ends by itself; its exit code.
    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        self.process.exit_code().await
    }
}

fn write(folder: &TempDir, configuration: &str) {
    let config = folder.path().join("config.toml");
    std::fs::write(&config, configuration.replace("$DIR", &folder.path().to_string_lossy())).expect("a config");
    std::fs::set_permissions(&config, Permissions::from_mode(0o600)).expect("permissions");
}

/// Runs the program of this build, or the one that `PUSHKEEPER_TEST_BINARY` names (a package to be tried).
fn run(folder: &TempDir) -> Process {
    let program = std::env::var("PUSHKEEPER_TEST_BINARY");
    let program = program.as_deref().unwrap_or(env!("CARGO_BIN_EXE_pushkeeper"));
    let config = folder.path().join("config.toml");
    let arguments = ["run", "--config", &config.to_string_lossy()];
    Process::start("pushkeeper", program, &arguments, folder.path().join("pushkeeper.log"))
}
