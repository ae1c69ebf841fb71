//! A private Prosody for one test: on loopback, on free ports, in a temporary folder. Whether it has our bridge,
//! `mod_cloud_notify`, both or neither is the test's choice.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;

use tempfile::TempDir;

use super::process::Process;

/// The domain of its users.
pub(crate) const HOST: &str = "localhost";

/// The password of all its users, and of its components.
pub(crate) const PASSWORD: &str = "pw";

/// The component that the bridge serves.
pub(crate) const SERVICE: &str = "push.localhost";

/// Who acts on the push registrations of the users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pusher {
    /// `mod_cloud_notify`, as a host without us.
    #[default]
    CloudNotify,
    /// Our bridge, `mod_pushkeeper`, for the component [`SERVICE`].
    Bridge,
    /// Both: what an operator does by mistake.
    Both,
    /// Nobody.
    Neither,
}

/// What a test wants of its Prosody.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted<'a> {
    /// Names before the `@`.
    pub(crate) users: &'a [&'a str],
    /// JIDs of external components (XEP-0114).
    pub(crate) components: &'a [&'a str],
    /// Lines for the global part of its configuration, in Lua, such as `smacks_max_ack_delay = 1`,
    /// `smacks_hibernation_time = 2` or `network_settings = { read_timeout = 3 }`.
    pub(crate) options: &'a str,
    /// Who acts on push registrations.
    pub(crate) pusher: Pusher,
    /// Modules that it would have and shall not, such as `mam` and `offline`.
    pub(crate) without: &'a [&'a str],
    /// Lines for the virtual host of its users, in Lua; after those that the bridge needs.
    pub(crate) host_options: &'a str,
}

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
    pub(crate) async fn start(wanted: &Wanted<'_>) -> Self {
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

    /// The port for clients.
    pub(crate) fn c2s_port(&self) -> u16 {
        self.ports.c2s
    }

    /// The port for components.
    pub(crate) fn component_port(&self) -> u16 {
        self.ports.component
    }

    /// Its process, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref().and_then(Process::pid)
    }

    /// What it has logged, of all its lives.
    pub(crate) fn log(&self) -> String {
        let log = std::fs::read(self.folder.path().join("prosody.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Runs a command of its admin shell, such as `module:reload("pushkeeper","localhost")`, and says what it printed.
    pub(crate) async fn shell(&self, command: &str) -> String {
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

    /// Ends it in order (SIGTERM): sessions and streams are closed.
    pub(crate) async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.terminate().await;
        }
    }

    /// Ends it as a power cut would.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await;
        }
    }

    /// Starts it again, on the same ports and with the same data. Ready when it returns.
    pub(crate) async fn start_again(&mut self) {
        assert!(self.run().await, "Prosody's ports were taken while it was away");
    }

    /// Runs the program; says whether it got its ports.
    async fn run(&mut self) -> bool {
        let log = self.folder.path().join("prosody.log");
        let before = std::fs::read(&log).map_or(0, |log| log.len());
        let config = self.config_path();
        let mut process = Process::start("Prosody", "prosody", &["--config", &config, "-F"], log);
        let new = move |process: &Process| process.log().split_off(before);
        let Ports { c2s, component } = self.ports;
        process
            .wait_until("its ports are open", |process| {
                port_taken(&new(process)) || (is_activated(&new(process)) && accepts(c2s) && accepts(component))
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

#[derive(Clone, Copy)]
struct Ports {
    c2s: u16,
    component: u16,
}

impl Ports {
    /// Two ports that are free now.
    fn probe() -> Self {
        let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let (one, two) = (bind(), bind());
        let port = |listener: &TcpListener| listener.local_addr().expect("its address").port();
        Self { c2s: port(&one), component: port(&two) }
    }
}

fn accepts(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Somebody else may accept on a port that Prosody could not have: only its log tells.
fn port_taken(log: &str) -> bool {
    log.contains("Failed to open server port")
}

fn is_activated(log: &str) -> bool {
    ["c2s", "component"].iter().all(|service| log.contains(&format!("Activated service '{service}'")))
}

fn in_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).exists()))
}

fn configuration(wanted: &Wanted<'_>, folder: &Path) -> String {
    let folder = folder.display();
    let bridge = Path::new(env!("CARGO_MANIFEST_DIR")).join("bridge/prosody");
    let pushers: &[&str] = match wanted.pusher {
        Pusher::CloudNotify => &["cloud_notify"],
        Pusher::Bridge => &["pushkeeper"],
        Pusher::Both => &["cloud_notify", "pushkeeper"],
        Pusher::Neither => &[],
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
{host_options}
"#,
        bridge = bridge.display(),
        modules = quoted(modules),
        pushers = quoted(pushers),
        options = wanted.options,
        host_options = wanted.host_options,
    );
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
