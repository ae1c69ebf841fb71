//! A process of a test: its output is in a file, it is printed when the test fails, and it ends with the test.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// How long anything may take before a test gives up on it. Long: the machine may be busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running program, or one that has run.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program; what it writes goes to the end of the file `log`. It dies with the test, even if the test
    /// is killed.
    pub(crate) fn start(name: &'static str, program: &str, arguments: &[&str], log: PathBuf) -> Self {
        let out = File::options().create(true).append(true).open(&log).expect("a log file");
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", program])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("a second handle"))
            .stderr(out)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start (setpriv of util-linux): {error}"));
        Self { name, child, log }
    }

    /// Its number in the system, until its end was seen.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// What it has written so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until `ready` holds; fails when the process ends before, or after [`PATIENCE`].
    pub(crate) async fn wait_until(&mut self, what: &str, mut ready: impl FnMut(&Self) -> bool) {
        let wait = async {
            while !ready(self) {
                if let Some(status) = self.child.try_wait().expect("its status") {
                    panic!("{}: ended ({status}) before {what}", self.name);
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = timeout(PATIENCE, wait).await;
        assert!(waited.is_ok(), "{}: {what}: not within {PATIENCE:?}", self.name);
    }

    /// Kills it, as a power cut would, and waits for its end.
    pub(crate) async fn kill(&mut self) {
        self.signal("KILL");
        self.child.wait().await.expect("its status");
    }

    /// Asks it to end (SIGTERM) and says its exit code; kills it after [`PATIENCE`] and says `None`.
    pub(crate) async fn terminate(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.exit_code().await
    }

    /// Waits for its end and says its exit code; kills it after [`PATIENCE`] and says `None`, as for one that died
    /// of a signal.
    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        if let Ok(status) = timeout(PATIENCE, self.child.wait()).await {
            return status.expect("its status").code();
        }
        self.kill().await;
        None
    }

    /// Signals its whole group. The shell's own `kill` is on every machine.
    fn signal(&self, signal: &str) {
        let Some(pid) = self.child.id() else { return };
        let kill = ["-c", "kill -s \"$1\" -- \"-$2\" 2>/dev/null", "sh", signal, &pid.to_string()];
        let _gone_already = std::process::Command::new("sh").args(kill).status();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal("KILL");
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines.len().saturating_sub(60);
            println!("--- the end of the log of {}:\n{}", self.name, lines[tail..].join("\n"));
        }
    }
}
