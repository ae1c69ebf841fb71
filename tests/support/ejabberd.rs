//! A private ejabberd. It runs by itself in the Erlang machine: no `ejabberdctl`, no name service, no distribution.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::{HOST, PASSWORD, Ports, Pusher, SERVICE, Tune, Wanted, in_path};
use crate::process::Process;

/// An ejabberd, up or down. Gone at the end of the test.
pub(crate) struct Ejabberd {
    // Before the folder: what ends first can still print its log.
    process: Option<Process>,
    folder: TempDir,
    beams: PathBuf,
    users: Vec<String>,
    configuration: String,
    ports: Ports,
}

impl Ejabberd {
    pub(super) async fn start(wanted: &Wanted<'_>) -> Self {
        for program in ["erl", "erlc"] {
            assert!(in_path(program), "there is no {program} on this machine: `make test` installs it");
        }
        let folder = TempDir::with_prefix("pushkeeper-ejabberd-").expect("a temporary folder");
        let mut ejabberd = Self {
            process: None,
            folder,
            beams: beams(),
            users: wanted.users.iter().map(|user| (*user).to_owned()).collect(),
            configuration: configuration(wanted),
            ports: Ports::probe(),
        };
        if wanted.sql {
            make_database(&ejabberd.folder.path().join("push.sqlite"));
        }
        // A probed port can be taken before ejabberd gets to it: then once more, with others.
        for _ in 0..5 {
            ejabberd.write_configuration();
            if ejabberd.run().await {
                return ejabberd;
            }
            ejabberd.ports = Ports::probe();
        }
        panic!("ejabberd finds no free ports");
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn c2s_port(&self) -> u16 {
        self.ports.c2s
    }

    pub(super) fn component_port(&self) -> u16 {
        self.ports.component
    }

    pub(super) fn disconnects(&self) -> usize {
        disconnects(&self.log())
    }

    pub(super) async fn wait_for_disconnects(&mut self, count: usize) {
        let log = self.log_path();
        let process = self.process.as_mut().expect("it runs");
        process.wait_until("it notices a lost client", |_| disconnects(&read(&log)) >= count).await;
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.process.as_ref().and_then(Process::pid)
    }

    pub(super) fn log(&self) -> String {
        read(&self.log_path())
    }

    /// Evaluates Erlang expressions in it, such as `gen_mod:stop_module(<<"localhost">>, mod_push).`
    pub(crate) async fn shell(&self, expressions: &str) -> String {
        let mut socket = UnixStream::connect(self.folder.path().join("control")).await.expect("its control");
        let length = u32::try_from(expressions.len()).expect("short");
        socket.write_all(&length.to_be_bytes()).await.expect("it reads");
        socket.write_all(expressions.as_bytes()).await.expect("it reads");
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.expect("its answer");
        let printed = String::from_utf8_lossy(answer.get(4..).unwrap_or_default()).into_owned();
        assert!(printed.starts_with("{ok,"), "{expressions} {printed}");
        printed
    }

    pub(super) async fn create_users(&self, names: &[String]) {
        self.shell(&format!(
            "[ok = ejabberd_auth:try_register(U, {}, {}) || U <- {}].",
            bin(HOST),
            bin(PASSWORD),
            list(names)
        ))
        .await;
    }

    pub(super) async fn delete_user(&self, user: &str) {
        self.shell(&format!("ok = ejabberd_auth:remove_user({}, {}).", bin(user), bin(HOST))).await;
    }

    pub(super) async fn kick(&self, user: &str, resource: &str) {
        self.shell(&format!("ejabberd_sm:route(jid:make({}, {}, {}), kick).", bin(user), bin(HOST), bin(resource)))
            .await;
    }

    pub(super) async fn has_session(&self, user: &str, resource: &str) -> bool {
        // A session that has ended may have messages to put away still: its process lives on until then.
        let asked = format!(
            "{{ejabberd_sm:get_session_pid({}, {}, {}), length(supervisor:which_children(ejabberd_c2s_sup)) > \
             ejabberd_sm:get_vh_session_number({})}}.",
            bin(user),
            bin(HOST),
            bin(resource),
            bin(HOST)
        );
        self.shell(&asked).await != "{ok,{none,false}}"
    }

    pub(super) async fn settle(&self, user: &str, resource: &str) {
        let pid = format!("ejabberd_sm:get_session_pid({}, {}, {})", bin(user), bin(HOST), bin(resource));
        self.shell(&format!("is_map(sys:get_state({pid})), ok.")).await;
    }

    pub(super) async fn take_bridge_away(&self) {
        self.shell(&format!("ok = gen_mod:stop_module({}, mod_pushkeeper).", bin(HOST))).await;
    }

    pub(super) async fn give_bridge_back(&self) {
        self.shell(&format!("{{ok, _}} = gen_mod:start_module({}, mod_pushkeeper).", bin(HOST))).await;
    }

    pub(super) async fn reload_bridge(&self) {
        self.take_bridge_away().await;
        self.give_bridge_back().await;
    }

    pub(super) async fn stock_pusher(&self, loaded: bool) {
        for module in ["mod_push", "mod_push_keepalive"] {
            let action = if loaded { "start" } else { "stop" };
            self.shell(&format!("gen_mod:{action}_module({}, {module}).", bin(HOST))).await;
        }
    }

    pub(super) async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.terminate().await;
        }
    }

    pub(super) async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await;
        }
    }

    pub(super) fn configure(&mut self, wanted: &Wanted<'_>) {
        self.configuration = configuration(wanted);
        self.write_configuration();
    }

    pub(super) async fn start_again(&mut self) {
        assert!(self.run().await, "ejabberd's ports were taken while it was away");
    }

    /// Runs the program; says whether it got its ports.
    async fn run(&mut self) -> bool {
        let folder = self.folder.path().to_string_lossy().into_owned();
        let (ready, log) = (self.folder.path().join("ready"), self.log_path());
        let _not_there = std::fs::remove_file(&ready);
        let before = read(&log).len();
        let register =
            format!("[ejabberd_auth:try_register(U, {}, {}) || U <- {}]", bin(HOST), bin(PASSWORD), list(&self.users));
        let begin = format!(
            "{register}, ejabberd_control:start(\"{folder}/control\"), ok = file:write_file(\"{folder}/ready\", <<>>)."
        );
        let (beams, mnesia) = (self.beams.to_string_lossy().into_owned(), format!("\"{folder}/spool\""));
        let environment = [
            ("HOME", folder.clone()),
            ("EJABBERD_CONFIG_PATH", format!("{folder}/ejabberd.yml")),
            // It writes that one late.
            ("EJABBERD_LOG_PATH", format!("{folder}/ejabberd.log")),
            ("EJABBERD_PID_PATH", format!("{folder}/ejabberd.pid")),
            ("ERL_CRASH_DUMP", format!("{folder}/crash.dump")),
            ("ERL_LIBS", installed().parent().expect("a folder").to_string_lossy().into_owned()),
            ("ERL_MAX_PORTS", "4096".to_owned()),
        ];
        let environment: Vec<String> = environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut arguments: Vec<&str> = environment.iter().map(String::as_str).collect();
        // Schedulers that wait do not spin: other tests run as well.
        arguments.extend(["erl", "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none", "-noinput"]);
        arguments.extend(["-pa", &beams, "-mnesia", "dir", &mnesia, "-s", "ejabberd", "-eval", &begin]);
        let mut process = Process::start("ejabberd", "env", &arguments, self.folder.path().join("console.log"));
        let ports = self.ports;
        let taken = |log: &Path| read(log).split_off(before).contains("Failed to open socket");
        process.wait_until("it is ready", |_| taken(&log) || (ready.exists() && ports.accept())).await;
        if taken(&log) {
            process.kill().await;
            return false;
        }
        self.process = Some(process);
        true
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("console.log")
    }

    fn write_configuration(&self) {
        let Ports { c2s, component } = self.ports;
        let folder = self.folder.path().to_string_lossy();
        let text = self
            .configuration
            .replace("$DIR", &folder)
            .replace("$C2S", &c2s.to_string())
            .replace("$COMPONENT", &component.to_string());
        std::fs::write(self.folder.path().join("ejabberd.yml"), text).expect("ejabberd's configuration");
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

fn disconnects(log: &str) -> usize {
    log.matches("Closing c2s ").count()
}

/// A binary of Erlang.
fn bin(text: &str) -> String {
    format!("<<\"{text}\">>")
}

/// A list of binaries of Erlang.
fn list(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| bin(name)).collect();
    format!("[{}]", names.join(", "))
}

/// Where ejabberd is installed: `…/ejabberd-VERSION`.
fn installed() -> PathBuf {
    let libraries = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let inside =
        libraries.chain([PathBuf::from("/usr/lib")]).flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten());
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("ejabberd-") && path.join("ebin").is_dir()
    };
    let found = inside.flatten().map(|entry| entry.path()).find(is_it);
    found.expect("there is no ejabberd on this machine: `make test` installs it")
}

/// Makes a database with ejabberd's own schema.
fn make_database(path: &Path) {
    let schema = std::fs::File::open(installed().join("priv/sql/lite.sql")).expect("ejabberd's schema");
    let made = Command::new("sqlite3").arg(path).stdin(schema).status().expect("sqlite3: `make test` installs it");
    assert!(made.success(), "no database");
}

/// The include folders of ejabberd, and of its XMPP library.
fn includes() -> [PathBuf; 2] {
    let erlang = std::fs::read_dir("/usr/lib/erlang/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let is_it = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().starts_with("p1_xmpp-");
    let xmpp = erlang.into_iter().find(is_it).expect("ejabberd's XMPP library (Debian: erlang-p1-xmpp)");
    [installed().join("include"), xmpp.join("include")]
}

/// The folder with the compiled bridge, and with what lets a test speak to its ejabberd. Compiled once for each state of
/// the sources; warnings are errors.
fn beams() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entries = std::fs::read_dir(root.join("bridge/ejabberd/mod_pushkeeper/src")).expect("the bridge");
    let mut sources: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    sources.push(root.join("tests/support/ejabberd_control.erl"));
    sources.sort();
    let mut hash = DefaultHasher::new();
    for source in &sources {
        std::fs::read(source).expect("a source").hash(&mut hash);
    }
    installed().hash(&mut hash);
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tmp");
    let beams = target.join(format!("mod_pushkeeper-{:016x}", hash.finish()));
    if beams.exists() {
        return beams;
    }
    std::fs::create_dir_all(&target).expect("a folder");
    let fresh = TempDir::with_prefix_in("compiling-", &target).expect("a temporary folder");
    let mut compiler = Command::new("erlc");
    compiler.args(["-Wall", "-Werror", "+debug_info", "-o"]).arg(fresh.path());
    for folder in includes() {
        compiler.arg("-I").arg(folder);
    }
    compiler.arg("-pa").arg(installed().join("ebin"));
    compiler.args(sources.iter().filter(|source| source.extension().is_some_and(|it| it == "erl")));
    let output = compiler.output().expect("erlc");
    assert!(output.status.success(), "the bridge does not compile: {}", String::from_utf8_lossy(&output.stdout));
    // Another test may have been faster; it has the same.
    if std::fs::rename(fresh.path(), &beams).is_ok() {
        let _moved = fresh.keep();
    }
    beams
}

fn configuration(wanted: &Wanted<'_>) -> String {
    let (mut bridge, mut window, mut own) = (String::new(), 600, 1000);
    for option in wanted.options {
        let (name, value) = match *option {
            Tune::Window(seconds) => {
                (window, own) = (seconds, seconds);
                continue;
            }
            Tune::AckDelay(seconds) => ("ack_delay", seconds),
            Tune::MaxTimeout(seconds) => ("max_timeout", seconds),
            Tune::AnswerTimeout(seconds) => ("answer_timeout", seconds),
            Tune::RelayTimeout(seconds) => ("relay_timeout", seconds),
            Tune::StretchTimeout(seconds) => ("stretch_timeout", seconds),
            Tune::FullPause(seconds) => ("full_pause", seconds),
        };
        bridge += &format!(", {name}: {value}");
    }
    let max_window = window.max(own);
    let mut text = format!(
        r#"
hosts: ["{HOST}"]
loglevel: info
log_rotate_size: infinity
hide_sensitive_log_data: false
certfiles: []
acme: {{auto: false}}
auth_password_format: plain
s2s_access: none
listen:
  - {{port: $C2S, ip: "127.0.0.1", module: ejabberd_c2s, starttls: false, access: all, max_stanza_size: 262144}}
  - port: $COMPONENT
    ip: "127.0.0.1"
    module: ejabberd_service
    access: all
    global_routes: {global_routes}
    hosts:
"#,
        global_routes = wanted.global_routes,
    );
    for component in wanted.components {
        text += &format!("      \"{component}\": {{password: \"{PASSWORD}\"}}\n");
    }
    if wanted.sql {
        text += "sql_type: sqlite\nsql_database: \"$DIR/push.sqlite\"\n";
    }
    text += &format!(
        "modules:\n  mod_adhoc: {{}}\n  mod_caps: {{}}\n  mod_carboncopy: {{}}\n  mod_client_state: {{}}\n  mod_disco: {{}}\n  \
         mod_ping: {{}}\n  mod_roster: {{}}\n  mod_stream_mgmt: {{resume_timeout: {window}, max_resume_timeout: {max_window}, \
         resend_on_timeout: if_offline}}\n"
    );
    if !wanted.without.contains(&"mam") {
        text += "  mod_mam: {default: always}\n";
    }
    if !wanted.without.contains(&"offline") {
        text += "  mod_offline: {}\n";
    }
    if wanted.rooms {
        text += "  mod_muc: {}\n";
    }
    if matches!(wanted.pusher, Pusher::Stock | Pusher::Both) {
        let kept = if wanted.sql { "db_type: sql" } else { "" };
        text += &format!("  mod_push: {{{kept}}}\n  mod_push_keepalive: {{}}\n");
    }
    if matches!(wanted.pusher, Pusher::Bridge | Pusher::Both) {
        text += &format!("  mod_pushkeeper: {{component: \"{SERVICE}\"{bridge}}}\n");
    }
    text
}
