//! What the service manager is told of us (`sd_notify(3)`): ready, reloading, stopping, how the link is, and that the
//! driver still turns. Without one (no `NOTIFY_SOCKET` in the environment), nothing.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{debug, error, warn};

use crate::clock;
use crate::driver::Pulse;
use crate::xmpp::link::LinkState;

/// The longest status in bytes; it is one line in `systemctl status`.
const MAX_STATUS: usize = 400;

/// The service manager that started us, or nobody. Cheap to clone. It never waits and never fails: what the manager
/// does not take is lost, for it is no reason to serve nobody.
#[derive(Clone, Debug, Default)]
pub struct Service {
    socket: Option<Arc<UnixDatagram>>,
    watchdog: Option<Duration>,
}

impl Service {
    /// Nobody is told anything.
    #[must_use]
    pub fn nobody() -> Self {
        Self::default()
    }

    /// The one that the environment of process `own` names: `NOTIFY_SOCKET`, and `WATCHDOG_USEC` unless `WATCHDOG_PID`
    /// says that it is for another process.
    #[must_use]
    pub fn from_env(env: impl IntoIterator<Item = (OsString, OsString)>, own: u32) -> Self {
        let (mut path, mut micros, mut pid) = (None, None, None);
        for (name, value) in env {
            match name.to_str() {
                Some("NOTIFY_SOCKET") => path = Some(value),
                Some("WATCHDOG_USEC") => micros = value.to_str().and_then(|text| text.parse::<u64>().ok()),
                Some("WATCHDOG_PID") => pid = Some(value),
                _ => {}
            }
        }
        let Some(path) = path else { return Self::nobody() };
        let socket = match connect(&path) {
            Ok(socket) => socket,
            Err(error) => {
                warn!("the service manager's socket (NOTIFY_SOCKET) does not work: {error}");
                return Self::nobody();
            }
        };
        let ours = pid.is_none_or(|pid| pid.to_str() == Some(own.to_string().as_str()));
        let watchdog = micros.filter(|micros| ours && *micros > 0).map(Duration::from_micros);
        Self { socket: Some(Arc::new(socket)), watchdog }
    }

    /// All is there, a start or a reload is done: `READY=1`.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// The configuration is read anew; [`Service::ready`] follows, whatever came of it: `RELOADING=1`.
    pub fn reloading(&self) {
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", clock::monotonic_micros()));
    }

    /// The end begins: `STOPPING=1`.
    pub fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=stopping: answering those who wait");
    }

    /// How we are, in a line for people: `STATUS=`.
    pub fn status(&self, text: &str) {
        self.tell(&format!("STATUS={}", one_line(text)));
    }

    /// Tells how the link to the host is, now and whenever that changes, until there is no more link. `connect` says where
    /// that is, which a reload can change.
    pub async fn tell_link(self, connect: impl Fn() -> String + Send, mut state: watch::Receiver<LinkState>) {
        if self.socket.is_none() {
            return;
        }
        loop {
            let text = match &*state.borrow_and_update() {
                LinkState::Connecting => format!("no link yet: connecting to {}", connect()),
                LinkState::Linked => format!("linked to {}", connect()),
                LinkState::Down(why) => format!("no link: {why}"),
            };
            self.status(&text);
            if state.changed().await.is_err() {
                return;
            }
        }
    }

    /// While the driver's loop turns, tells so, twice as often as the manager wants to hear it: `WATCHDOG=1`. Ends with
    /// the driver. Of one that is stuck, nothing is told, and the manager ends us and starts us again.
    pub async fn watch(self, pulse: Pulse) {
        let Some(every) = self.watchdog.map(|watchdog| watchdog / 2) else { return };
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match timeout(every, pulse.beats()).await {
                Ok(true) => self.tell("WATCHDOG=1"),
                Ok(false) => return,
                Err(_) => error!("the driver has not come round for {every:.1?}: the service manager hears nothing"),
            }
        }
    }

    fn tell(&self, text: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(text.as_bytes()) {
            debug!("the service manager does not take what it is told: {error}");
        }
    }
}

/// A path, or `@` and a name in the abstract name space (`sd_notify(3)`, `unix(7)`).
fn connect(path: &OsStr) -> io::Result<UnixDatagram> {
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(path)?,
        _ => return Err(io::Error::new(io::ErrorKind::Unsupported, "it is neither a path nor an abstract name")),
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    // A manager that does not read must not stop us.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The same without line ends, for each line is an assignment, and not too long.
fn one_line(text: &str) -> String {
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.truncate(line.floor_char_boundary(MAX_STATUS));
    line
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU16, Ordering};

    use super::*;

    /// A manager in the abstract name space, and its end of us.
    fn manager(name: &str, more: &[(&str, &str)]) -> (UnixDatagram, Service) {
        let name = format!("pushkeeper-test-{}-{name}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        manager.set_nonblocking(true).unwrap();
        let env = [("NOTIFY_SOCKET", format!("@{name}"))].into_iter();
        let env = env.chain(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        (manager, Service::from_env(env.map(|(name, value)| (name.into(), value.into())), 42))
    }

    /// What it was told since it was last asked.
    fn heard(manager: &UnixDatagram) -> Vec<String> {
        let mut buffer = [0; 1024];
        let mut all = Vec::new();
        while let Ok(size) = manager.recv(&mut buffer) {
            all.push(String::from_utf8(buffer[..size].to_vec()).unwrap());
        }
        all
    }

    #[test]
    fn each_word_is_the_one_of_the_protocol() {
        let (manager, service) = manager("words", &[]);
        service.ready();
        service.status("linked to\n127.0.0.1:5347\u{7}");
        let before = clock::monotonic_micros();
        service.reloading();
        let after = clock::monotonic_micros();
        service.stopping();
        let [ready, status, reloading, stopping] = &heard(&manager)[..] else { panic!("four messages") };
        assert_eq!(ready, "READY=1");
        assert_eq!(status, "STATUS=linked to 127.0.0.1:5347 ");
        let micros = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().parse::<u64>().unwrap();
        assert!(before <= micros && micros <= after, "{before} {micros} {after}");
        assert_eq!(stopping, "STOPPING=1\nSTATUS=stopping: answering those who wait");
    }

    #[test]
    fn a_long_status_is_cut_between_characters() {
        let line = one_line(&"é".repeat(300));
        assert_eq!((line.len(), line.chars().count()), (400, 200));
        assert_eq!(one_line(&format!("a{}", "é".repeat(300))).len(), 399);
    }

    #[test]
    fn the_watchdog_is_ours_only_if_its_pid_is() {
        let rows = [
            (&[][..], None),
            (&[("WATCHDOG_USEC", "30000000")], Some(30)),
            (&[("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "42")], Some(30)),
            (&[("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "43")], None),
            (&[("WATCHDOG_USEC", "0")], None),
            (&[("WATCHDOG_USEC", "soon")], None),
        ];
        for (number, (env, secs)) in rows.into_iter().enumerate() {
            let (_manager, service) = manager(&format!("watchdog-{number}"), env);
            assert_eq!(service.watchdog, secs.map(Duration::from_secs), "{env:?}");
        }
    }

    #[test]
    fn without_a_socket_or_with_one_that_is_none_nobody_is_told() {
        for env in [vec![], vec![("NOTIFY_SOCKET", "/no/such/socket")], vec![("NOTIFY_SOCKET", "vsock:2:1234")]] {
            let service = Service::from_env(env.iter().map(|(name, value)| (name.into(), value.into())), 42);
            assert!(service.socket.is_none() && service.watchdog.is_none(), "{env:?}");
            service.ready();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_driver_that_turns_keeps_the_watchdog_quiet_and_one_that_is_stuck_does_not() {
        let (manager, service) = manager("stuck", &[("WATCHDOG_USEC", "30000000")]);
        let (pulse, mut driver) = Pulse::new();
        let watching = tokio::spawn(service.watch(pulse));
        // At 0, 15, 30 and 45 seconds.
        let turning = async { while driver.beat().await.is_some() {} };
        let _over = timeout(Duration::from_secs(50), turning).await;
        assert_eq!(heard(&manager), ["WATCHDOG=1"; 4]);
        // Longer than the manager waits.
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(heard(&manager), [""; 0]);
        // It was only slow: asked so long ago that nobody waits for that any more, and asked again.
        let turning = async { while driver.beat().await.is_some() {} };
        let _over = timeout(Duration::from_secs(30), turning).await;
        assert!(heard(&manager).contains(&"WATCHDOG=1".to_owned()));
        drop(driver);
        watching.await.unwrap();
    }

    #[tokio::test]
    async fn the_link_is_told_as_it_changes() {
        let (manager, service) = manager("link", &[]);
        let (link, state) = watch::channel(LinkState::Connecting);
        let port = Arc::new(AtomicU16::new(5347));
        let current = port.clone();
        let connect = move || format!("127.0.0.1:{}", current.load(Ordering::Relaxed));
        let telling = tokio::spawn(service.tell_link(connect, state));
        let mut all = Vec::new();
        for (state, said) in [
            (None, "STATUS=no link yet: connecting to 127.0.0.1:5347"),
            (Some(LinkState::Linked), "STATUS=linked to 127.0.0.1:5347"),
            (Some(LinkState::Down("the host ended the stream".into())), "STATUS=no link: the host ended the stream"),
            // A reload came in between.
            (Some(LinkState::Linked), "STATUS=linked to 127.0.0.1:5348"),
        ] {
            if matches!(state, Some(LinkState::Down(_))) {
                port.store(5348, Ordering::Relaxed);
            }
            if let Some(state) = state {
                link.send_replace(state);
            }
            while all.is_empty() {
                tokio::task::yield_now().await;
                all = heard(&manager);
            }
            assert_eq!(std::mem::take(&mut all), [said]);
        }
        drop(link);
        telling.await.unwrap();
    }
}
