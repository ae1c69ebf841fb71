//! A private XMPP server for one test: a Prosody or an ejabberd, on loopback, on free ports, in a temporary folder. Which
//! one it is says [`on`], which `on_hosts!` (`on_hosts.rs`) puts around a test; what the test wants of it is said in the
//! words of neither.

mod ejabberd;
mod prosody;

use self::ejabberd::Ejabberd;
use self::prosody::Prosody;

/// The domain of its users.
pub(crate) const HOST: &str = "localhost";

/// The password of all its users, and of its components.
pub(crate) const PASSWORD: &str = "pw";

/// The component that the bridge serves.
pub(crate) const SERVICE: &str = "push.localhost";

/// The servers that there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Prosody,
    Ejabberd,
}

tokio::task_local! {
    static KIND: Kind;
}

/// Runs a test on this kind of server.
pub(crate) async fn on(kind: Kind, test: impl Future<Output = ()>) {
    KIND.scope(kind, Box::pin(test)).await;
}

/// The kind of server that this test runs on; Prosody unless `on_hosts!` said another one.
pub(crate) fn kind() -> Kind {
    KIND.try_with(|kind| *kind).unwrap_or_default()
}

/// Who acts on the push registrations of the users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pusher {
    /// What the server comes with: `mod_cloud_notify`, or `mod_push` and `mod_push_keepalive`.
    #[default]
    Stock,
    /// Our bridge, `mod_pushkeeper`, for the component [`SERVICE`].
    Bridge,
    /// Both: what an operator does by mistake.
    Both,
    /// Nobody.
    Neither,
}

/// An option of the server or of the bridge; in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tune {
    /// The host's own resumption window.
    Window(u32),
    /// When an acknowledgement is overdue, for the host itself.
    AckDelay(u32),
    /// The longest window that the bridge gives.
    MaxTimeout(u32),
    /// How long the bridge waits for an answer.
    AnswerTimeout(u32),
    /// How long a push service has for its answer.
    RelayTimeout(u32),
    /// How long longer windows stay without a link.
    StretchTimeout(u32),
    /// How long there is no new link after the queue was full.
    FullPause(u32),
}

/// What a test wants of its server.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted<'a> {
    /// Names before the `@`.
    pub(crate) users: &'a [&'a str],
    /// JIDs of external components (XEP-0114).
    pub(crate) components: &'a [&'a str],
    /// Options that are not as they are by themselves.
    pub(crate) options: &'a [Tune],
    /// Who acts on push registrations.
    pub(crate) pusher: Pusher,
    /// What it would have and shall not: `mam`, `offline`.
    pub(crate) without: &'a [&'a str],
    /// Whether it has rooms (XEP-0045), at `conference.` and its own domain.
    pub(crate) rooms: bool,
    /// Whether ejabberd hands each component what is for the others of its listener (`global_routes`).
    pub(crate) global_routes: bool,
    /// Lines for the virtual host of a Prosody, in Lua; after those that the bridge needs.
    pub(crate) prosody: &'a str,
    /// Whether its own push module keeps registrations in an SQLite database.
    pub(crate) sql: bool,
}

/// A server, up or down. Gone at the end of the test.
pub(crate) enum Server {
    Prosody(Prosody),
    Ejabberd(Ejabberd),
}

/// Does the same on either.
macro_rules! either {
    ($server:expr, $it:ident => $what:expr) => {
        match $server {
            Server::Prosody($it) => $what,
            Server::Ejabberd($it) => $what,
        }
    };
}

impl Server {
    /// Starts the one that this test runs on. Ready when it returns.
    pub(crate) async fn start(wanted: &Wanted<'_>) -> Self {
        Self::start_on(kind(), wanted).await
    }

    /// Starts one of this kind. Ready when it returns.
    pub(crate) async fn start_on(kind: Kind, wanted: &Wanted<'_>) -> Self {
        match kind {
            Kind::Prosody => Self::Prosody(Prosody::start(wanted).await),
            Kind::Ejabberd => Self::Ejabberd(Ejabberd::start(wanted).await),
        }
    }

    /// The port for clients.
    pub(crate) fn c2s_port(&self) -> u16 {
        either!(self, it => it.c2s_port())
    }

    /// The port for components.
    pub(crate) fn component_port(&self) -> u16 {
        either!(self, it => it.component_port())
    }

    /// The folder of its own, with all its files.
    pub(crate) fn folder(&self) -> &std::path::Path {
        either!(self, it => it.folder())
    }

    /// The database of its push module, if it has one ([`Wanted::sql`]).
    pub(crate) fn database(&self) -> std::path::PathBuf {
        self.folder().join("push.sqlite")
    }

    /// What it calls itself.
    pub(crate) fn software(&self) -> &'static str {
        match self {
            Self::Prosody(_) => "Prosody",
            Self::Ejabberd(_) => "ejabberd",
        }
    }

    /// What it has for push notifications without us.
    pub(crate) fn stock_name(&self) -> &'static str {
        match self {
            Self::Prosody(_) => "mod_cloud_notify",
            Self::Ejabberd(_) => "mod_push",
        }
    }

    /// How many clients it has lost so far, closed connections included.
    pub(crate) fn disconnects(&self) -> usize {
        either!(self, it => it.disconnects())
    }

    /// Waits until it has noticed this many lost clients.
    pub(crate) async fn wait_for_disconnects(&mut self, count: usize) {
        either!(self, it => it.wait_for_disconnects(count).await);
    }

    /// Its process, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        either!(self, it => it.pid())
    }

    /// What it has logged, of all its lives.
    pub(crate) fn log(&self) -> String {
        either!(self, it => it.log())
    }

    /// The lines of its log that are errors.
    pub(crate) fn errors(&self) -> Vec<String> {
        let mark = match self {
            Self::Prosody(_) => "error\t",
            Self::Ejabberd(_) => "[error]",
        };
        self.log().lines().filter(|line| line.contains(mark)).map(str::to_owned).collect()
    }

    /// Runs a command in the server's own language, and says what it printed: of Prosody's admin shell, or Erlang.
    pub(crate) async fn shell(&self, command: &str) -> String {
        either!(self, it => it.shell(command).await)
    }

    /// Creates accounts, many at once.
    pub(crate) async fn create_users(&self, names: &[String]) {
        either!(self, it => it.create_users(names).await);
    }

    /// Removes a user's account.
    pub(crate) async fn delete_user(&self, user: &str) {
        either!(self, it => it.delete_user(user).await);
    }

    /// Closes the stream of a client.
    pub(crate) async fn kick(&self, user: &str, resource: &str) {
        either!(self, it => it.kick(user, resource).await);
    }

    /// Whether it still has a session of this resource.
    pub(crate) async fn has_session(&self, user: &str, resource: &str) -> bool {
        either!(self, it => it.has_session(user, resource).await)
    }

    /// Waits until this session has dealt with what others have sent it so far. Prosody does that at once.
    pub(crate) async fn settle(&self, user: &str, resource: &str) {
        if let Self::Ejabberd(ejabberd) = self {
            ejabberd.settle(user, resource).await;
        }
    }

    /// Unloads our bridge; nothing else changes.
    pub(crate) async fn take_bridge_away(&self) {
        either!(self, it => it.take_bridge_away().await);
    }

    /// Loads our bridge again.
    pub(crate) async fn give_bridge_back(&self) {
        either!(self, it => it.give_bridge_back().await);
    }

    /// Loads our bridge anew.
    pub(crate) async fn reload_bridge(&self) {
        either!(self, it => it.reload_bridge().await);
    }

    /// Loads or unloads what the server itself has for push notifications.
    pub(crate) async fn stock_pusher(&self, loaded: bool) {
        either!(self, it => it.stock_pusher(loaded).await);
    }

    /// Ends it in order (SIGTERM): sessions and streams are closed.
    pub(crate) async fn stop(&mut self) {
        either!(self, it => it.stop().await);
    }

    /// Ends it as a power cut would.
    pub(crate) async fn kill(&mut self) {
        either!(self, it => it.kill().await);
    }

    /// Writes its configuration anew, for the next start.
    pub(crate) fn configure(&mut self, wanted: &Wanted<'_>) {
        either!(self, it => it.configure(wanted));
    }

    /// Starts it again, on the same ports and with the same data. Ready when it returns.
    pub(crate) async fn start_again(&mut self) {
        either!(self, it => it.start_again().await);
    }
}

/// Ports for clients and for components.
#[derive(Clone, Copy)]
struct Ports {
    c2s: u16,
    component: u16,
}

impl Ports {
    /// Two ports that are free now.
    fn probe() -> Self {
        let bind = || std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let (one, two) = (bind(), bind());
        let port = |listener: &std::net::TcpListener| listener.local_addr().expect("its address").port();
        Self { c2s: port(&one), component: port(&two) }
    }

    /// Whether somebody accepts on both.
    fn accept(self) -> bool {
        let accepts = |port| std::net::TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, port)).is_ok();
        accepts(self.c2s) && accepts(self.component)
    }
}

fn in_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).exists()))
}
