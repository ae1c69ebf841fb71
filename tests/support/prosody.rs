//! A private Prosody.

use std::path::Path;

use tempfile::TempDir;

use super::{HOST, PASSWORD, Ports, Pusher, SERVICE, Tune, Wanted, in_path};
use crate::process::Process;

/// What it has, unless the test leaves it out.
const MODULES: [&str; 16] = [
    "roster",
    "saslauth",
    "disco",
    "presence",
    "message",
    "iq",
    "ping",
    "posix",
    "smacks",
    "mam",
    "carbons",
    "csi",
    "csi_simple",
    "offline",
    "pep",
    "admin_shell",
];

/// A Prosody, up or down. Gone at the end of the test.
pub(crate) struct Prosody {
    // Before the folder: what ends first can still print its log.
    process: Option<Process>,
    folder: TempDir,
    configuration: String,
    ports: Ports,
}

impl Prosody {
    /// Starts one. Ready when it returns.
    pub(super) async fn start(wanted: &Wanted<'_>) -> Self {
        for program in ["prosody", "prosodyctl"] {
            assert!(in_path(program), "there is no {program} on this machine: `make test` installs it");
        }
        let folder = TempDir::with_prefix("pushkeeper-prosody-").expect("a temporary folder");
        std::fs::create_dir(folder.path().join("data")).expect("its data folder");
        let configuration = configuration(wanted, folder.path());
        let mut prosody = Self { process: None, folder, configuration, ports: Ports::probe() };
        prosody.write_configuration();
        for user in wanted.users {
            prosody.register(user);
        }
        // A probed port can be taken before Prosody gets to it: then once more, with others.
        for _ in 0..5 {
            if prosody.run().await {
                return prosody;
            }
            prosody.ports = Ports::probe();
            prosody.write_configuration();
        }
        panic!("Prosody finds no free ports");
    }

    /// The folder of its own.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The port for clients.
    pub(super) fn c2s_port(&self) -> u16 {
        self.ports.c2s
    }

    /// The port for components.
    pub(super) fn component_port(&self) -> u16 {
        self.ports.component
    }

    /// How many clients it has lost so far, closed connections included.
    pub(super) fn disconnects(&self) -> usize {
        self.log().matches("Client disconnected").count()
    }

    /// Waits until it has noticed this many lost clients.
    pub(super) async fn wait_for_disconnects(&mut self, count: usize) {
        let process = self.process.as_mut().expect("it runs");
        let lost = |process: &Process| process.log().matches("Client disconnected").count();
        process.wait_until("it notices a lost client", |process| lost(process) >= count).await;
    }

    /// Its process, while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.process.as_ref().and_then(Process::pid)
    }

    /// What it has logged, of all its lives.
    pub(super) fn log(&self) -> String {
        let log = std::fs::read(self.folder.path().join("prosody.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Runs a command of its admin shell, such as `module:reload("pushkeeper","localhost")`, and says what it printed.
    pub(super) async fn shell(&self, command: &str) -> String {
        let config = self.config_path();
        let output = tokio::process::Command::new("prosodyctl")
            .args(["--config", &config, "shell", command])
            .stdin(std::process::Stdio::null())
            .output()
            .await
            .expect("prosodyctl");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "prosodyctl shell {command}: {output:?}");
        printed
    }

    /// Removes a user's account.
    pub(super) async fn delete_user(&self, user: &str) {
        let printed = self.shell(&format!("user:delete(\"{user}@{HOST}\")")).await;
        assert!(printed.contains("OK"), "{printed}");
    }

    /// Unloads our bridge; nothing else changes.
    pub(super) async fn take_bridge_away(&self) {
        let printed = self.shell(&format!("module:unload(\"pushkeeper\",\"{HOST}\")")).await;
        assert!(printed.contains("OK"), "{printed}");
    }

    /// Loads our bridge again.
    pub(super) async fn give_bridge_back(&self) {
        let printed = self.shell(&format!("module:load(\"pushkeeper\",\"{HOST}\")")).await;
        assert!(printed.contains("OK"), "{printed}");
    }

    pub(super) async fn create_users(&self, names: &[String]) {
        // One by one, prosodyctl would take its time.
        let names = quoted(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let create = format!("require\"core.usermanager\".create_user(name, \"{PASSWORD}\", \"{HOST}\")");
        self.shell(&format!("> for _, name in ipairs {{ {names} }} do {create} end")).await;
    }

    pub(super) async fn kick(&self, user: &str, resource: &str) {
        self.shell(&format!("c2s:close(\"{user}@{HOST}/{resource}\",\"Out\")")).await;
    }

    pub(super) async fn has_session(&self, user: &str, resource: &str) -> bool {
        self.shell("c2s:show()").await.contains(&format!("{user}@{HOST}/{resource}"))
    }

    pub(super) async fn reload_bridge(&self) {
        self.shell(&format!("module:reload(\"pushkeeper\",\"{HOST}\")")).await;
    }

    pub(super) async fn stock_pusher(&self, loaded: bool) {
        let action = if loaded { "load" } else { "unload" };
        self.shell(&format!("module:{action}(\"cloud_notify\",\"{HOST}\")")).await;
    }

    /// Ends it in order (SIGTERM): sessions and streams are closed.
    pub(super) async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.terminate().await;
        }
    }

    /// Ends it as a power cut would.
    pub(super) async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await;
        }
    }

    /// Writes its configuration anew, for the next start.
    pub(super) fn configure(&mut self, wanted: &Wanted<'_>) {
        self.configuration = configuration(wanted, self.folder.path());
        self.write_configuration();
    }

    /// Starts it again, on the same ports and with the same data. Ready when it returns.
    pub(super) async fn start_again(&mut self) {
        assert!(self.run().await, "Prosody's ports were taken while it was away");
    }

    /// Runs the program; says whether it got its ports.
    async fn run(&mut self) -> bool {
        let log = self.folder.path().join("prosody.log");
        let before = std::fs::read(&log).map_or(0, |log| log.len());
        let config = self.config_path();
        let mut process = Process::start("Prosody", "prosody", &["--config", &config, "-F"], log);
        let new = move |process: &Process| process.log().split_off(before);
        let ports = self.ports;
        process
            .wait_until("its ports are open", |process| {
                port_taken(&new(process)) || (is_activated(&new(process)) && ports.accept())
            })
            .await;
        let log = new(&process);
        assert!(
            !log.contains("Unable to load module"),
            "Prosody lacks a module (Debian: prosody-modules): `make test` installs it\n{log}"
        );
        if port_taken(&log) {
            process.kill().await;
            return false;
        }
        self.process = Some(process);
        true
    }

    fn config_path(&self) -> String {
        self.folder.path().join("prosody.cfg.lua").to_string_lossy().into_owned()
    }

    fn write_configuration(&self) {
        let Ports { c2s, component } = self.ports;
        let ports = format!("c2s_ports = {{ \"{c2s}\" }}\ncomponent_ports = {{ \"{component}\" }}\n");
        std::fs::write(self.config_path(), ports + &self.configuration).expect("Prosody's configuration");
    }

    fn register(&self, user: &str) {
        let config = self.config_path();
        let output = std::process::Command::new("prosodyctl")
            .args(["--config", &config, "register", user, HOST, PASSWORD])
            .output()
            .expect("prosodyctl");
        assert!(output.status.success(), "prosodyctl register {user}: {output:?}");
    }
}

/// Somebody else may accept on a port that Prosody could not have: only its log tells.
fn port_taken(log: &str) -> bool {
    log.contains("Failed to open server port")
}

fn is_activated(log: &str) -> bool {
    ["c2s", "component"].iter().all(|service| log.contains(&format!("Activated service '{service}'")))
}

/// Options in Prosody's words.
fn options(wanted: &Wanted<'_>) -> String {
    let option = |option: &Tune| match *option {
        Tune::Window(seconds) => format!("smacks_hibernation_time = {seconds}\n"),
        Tune::AckDelay(seconds) => format!("smacks_max_ack_delay = {seconds}\n"),
        Tune::MaxTimeout(seconds) => format!("pushkeeper_max_timeout = {seconds}\n"),
        Tune::AnswerTimeout(seconds) => format!("pushkeeper_answer_timeout = {seconds}\n"),
        Tune::RelayTimeout(seconds) => format!("pushkeeper_relay_timeout = {seconds}\n"),
        Tune::StretchTimeout(seconds) => format!("pushkeeper_stretch_timeout = {seconds}\n"),
        Tune::FullPause(seconds) => format!("pushkeeper_full_pause = {seconds}\n"),
    };
    wanted.options.iter().map(option).collect()
}

fn configuration(wanted: &Wanted<'_>, folder: &Path) -> String {
    let folder = folder.display();
    let bridge = Path::new(env!("CARGO_MANIFEST_DIR")).join("bridge/prosody");
    let pushers: &[&str] = match wanted.pusher {
        Pusher::Stock => &["cloud_notify"],
        Pusher::Bridge => &["pushkeeper"],
        Pusher::Both => &["cloud_notify", "pushkeeper"],
        Pusher::Neither => &[],
    };
    let sql = match wanted.sql {
        true => format!(
            "storage = {{ cloud_notify = \"sql\" }}\n    sql = {{ driver = \"SQLite3\", database = \"{folder}/push.sqlite\" }}"
        ),
        false => String::new(),
    };
    let modules = MODULES.iter().filter(|name| !wanted.without.contains(name));
    let mut text = format!(
        r#"
run_as_root = true
data_path = "{folder}/data"
pidfile = "{folder}/prosody.pid"
admin_socket = "{folder}/prosody.sock"
certificates = "{folder}"
plugin_paths = {{ "{bridge}" }}
log = {{ {{ levels = {{ min = "info" }}, to = "console" }} }}
interfaces = {{ "127.0.0.1" }}
local_interfaces = {{ "127.0.0.1" }}
component_interfaces = {{ "127.0.0.1" }}
s2s_ports = {{}}
c2s_direct_tls_ports = {{}}
s2s_direct_tls_ports = {{}}
http_ports = {{}}
https_ports = {{}}
modules_disabled = {{ "s2s", "tls" }}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
storage = "internal"
modules_enabled = {{ {modules} }}
default_archive_policy = true
{options}
VirtualHost "{HOST}"
    modules_enabled = {{ {pushers} }}
    pushkeeper_component = "{SERVICE}"
    {sql}
    {lines}
"#,
        bridge = bridge.display(),
        modules = quoted(modules),
        pushers = quoted(pushers),
        options = options(wanted),
        lines = wanted.prosody,
    );
    if wanted.rooms {
        text += &format!("Component \"conference.{HOST}\" \"muc\"\n    muc_room_locking = false\n");
    }
    for component in wanted.components {
        text += &format!("Component \"{component}\"\n    component_secret = \"{PASSWORD}\"\n");
    }
    text
}

/// A list of names in Lua, without its braces.
fn quoted<'a>(names: impl IntoIterator<Item = &'a &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("\"{name}\"")).collect();
    names.join(", ")
}
