//! The program under a service manager: what it tells it, and what its log looks like in the journal.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;

use pushkeeper::domain::ids::Node;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::time::timeout;

use crate::process::{PATIENCE, Process};
use crate::support::host::{Host, JID, SECRET, Sent, done};
use crate::whole_rig::{publish, registered, registration};

/// A service manager, what it started, and the host that this one looks for.
struct Scene {
    // First, so that it ends first.
    process: Process,
    host: Host,
    manager: UnixDatagram,
    folder: TempDir,
}

impl Scene {
    /// Starts the program with this environment beside `NOTIFY_SOCKET`, and these lines of configuration.
    async fn start(env: &[String], more: &str) -> Self {
        let folder = TempDir::with_prefix("pushkeeper-").unwrap();
        let host = Host::start().await;
        let config = format!(
            "[component]\njid = '{JID}'\nconnect = '{}'\nsecret = '{SECRET}'\n[store]\npath = 'store'\n{more}\n\
             [apps.try]\nprovider = 'stub'\naliases = ['fcm']\n",
            host.address()
        );
        let path = folder.path().join("config.toml");
        fs::write(&path, config).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let socket = folder.path().join("notify");
        let manager = UnixDatagram::bind(&socket).unwrap();
        let (socket, path) = (format!("NOTIFY_SOCKET={}", socket.display()), path.display().to_string());
        let mut arguments: Vec<&str> = vec![&socket];
        arguments.extend(env.iter().map(String::as_str));
        arguments.extend([env!("CARGO_BIN_EXE_pushkeeper"), "run", "--config", &path]);
        let process = Process::start("pushkeeper", "env", &arguments, log(&folder));
        Self { process, host, manager, folder }
    }

    /// What the manager is told next.
    async fn told(&self) -> String {
        let mut buffer = [0; 1024];
        let size = timeout(PATIENCE, self.manager.recv(&mut buffer)).await.expect("some word in time").unwrap();
        String::from_utf8(buffer[..size].to_vec()).unwrap()
    }

    /// What it is told next but for the watchdog.
    async fn told_of_state(&self) -> String {
        loop {
            let told = self.told().await;
            if told != "WATCHDOG=1" {
                return told;
            }
        }
    }
}

fn log(folder: &TempDir) -> PathBuf {
    folder.path().join("log")
}

#[tokio::test]
async fn the_service_manager_is_told_the_whole_life_in_order() {
    let mut scene = Scene::start(&["WATCHDOG_USEC=200000".to_owned()], "").await;
    let address = scene.host.address();
    // Ready without any word of the host: it may start later.
    let mut first = [scene.told_of_state().await, scene.told_of_state().await];
    first.sort();
    assert_eq!(first, ["READY=1".to_owned(), format!("STATUS=no link yet: connecting to {address}")]);
    for _ in 0..3 {
        assert_eq!(scene.told().await, "WATCHDOG=1");
    }
    let session = scene.host.component().await;
    assert_eq!(scene.told_of_state().await, format!("STATUS=linked to {address}"));
    drop(session);
    assert_eq!(scene.told_of_state().await, "STATUS=no link: the host closed the connection");
    let mut session = scene.host.component().await;
    assert_eq!(scene.told_of_state().await, format!("STATUS=linked to {address}"));

    let farewell = async {
        while !matches!(session.next().await, Sent::Close | Sent::End) {}
        let _ = session.try_send(b"</stream:stream>").await;
    };
    let (code, ()) = tokio::join!(scene.process.terminate(), farewell);
    assert_eq!((code, scene.process.pid()), (Some(0), None));
    assert_eq!(scene.told_of_state().await, "STOPPING=1\nSTATUS=stopping: answering those who wait");
}

#[tokio::test]
async fn a_configuration_that_is_wrong_is_never_ready() {
    let mut scene = Scene::start(&[], "[nonsense]").await;
    assert_eq!(scene.process.exit_code().await, Some(2));
    let log = scene.process.log();
    assert!(log.starts_with("error: nonsense: "), "{log}");
    let mut buffer = [0; 64];
    assert!(scene.manager.try_recv(&mut buffer).is_err(), "{buffer:?}");
}

/// `JOURNAL_STREAM` for the log of this scene, as systemd would set it.
fn journal_stream(log: &File) -> String {
    let about = log.metadata().unwrap();
    format!("JOURNAL_STREAM={}:{}", about.dev(), about.ino())
}

#[tokio::test]
async fn lines_have_their_priority_in_the_journal_only() {
    // The log is a file; any file stands for the journal, if the environment says that it is the one.
    let stranger = tempfile::tempfile().unwrap();
    let scene = Scene::start(&[journal_stream(&stranger)], "").await;
    let (mut process, folder) = (scene.process, scene.folder);
    process.wait_until("it says who it is", |process| process.log().contains("pushkeeper 0.")).await;
    let first = process.log();
    assert!(first.starts_with("20") && first.contains("Z  INFO pushkeeper"), "{first}");
    process.kill().await;

    let file = File::options().append(true).open(log(&folder)).unwrap();
    let config = folder.path().join("config.toml").display().to_string();
    let stream = journal_stream(&file);
    let arguments = [stream.as_str(), env!("CARGO_BIN_EXE_pushkeeper"), "run", "--config", &config];
    let before = process.log().len();
    process = Process::start("pushkeeper", "env", &arguments, log(&folder));
    let since = |process: &Process| process.log().get(before..).unwrap_or_default().to_owned();
    process.wait_until("it says so again", |process| since(process).contains("pushkeeper 0.")).await;
    let text = since(&process);
    assert!(text.lines().any(|line| line.starts_with("<6>INFO pushkeeper::app: pushkeeper 0.")), "{text}");
    assert!(text.lines().all(|line| line.starts_with('<')), "{text}");
}

#[tokio::test]
async fn a_push_is_followed_in_json_by_its_devices_short_hash_and_by_nothing_else_of_it() {
    let rest = "[log]\nformat = 'json'\nlevel = 'trace'";
    let mut scene = Scene::start(&[], rest).await;
    let mut session = scene.host.component().await;
    session.send(&registration("fcm", "phone-1", "ba5eba11-token")).await;
    let device = registered(&session.stanza().await);
    session.send(&publish("p1", &device, "juliet@example.org", "wherefore")).await;
    assert_eq!(session.stanza().await, done("p1"));
    scene.process.wait_until("the push is logged", |process| process.log().contains("stub: ")).await;

    let log = scene.process.log();
    let complete = log.rsplit_once('\n').unwrap().0;
    let lines: Vec<Value> = complete.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let keys = ["fields", "level", "message", "target", "timestamp"];
    for line in &lines {
        let mut found: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found, keys, "{line}");
    }
    let push = lines.iter().find(|line| line["message"].as_str().unwrap().starts_with("stub: ")).unwrap();
    assert_eq!(push["fields"]["device"], Node::new(device.node.as_str()).short());
    assert_eq!((&push["fields"]["app"], &push["fields"]["outcome"]), (&"try".into(), &"accepted".into()));
    for secret in [device.node.as_str(), &device.secret, "ba5eba11", "juliet", "wherefore", SECRET] {
        assert!(!log.contains(secret), "{secret} was logged");
    }
}

#[tokio::test]
async fn a_complaint_about_the_configuration_is_an_error_in_the_journal() {
    let folder = TempDir::with_prefix("pushkeeper-").unwrap();
    let config = folder.path().join("config.toml");
    fs::write(&config, "[nonsense]").unwrap();
    let file = File::create(log(&folder)).unwrap();
    let (stream, config) = (journal_stream(&file), config.display().to_string());
    let arguments = [stream.as_str(), env!("CARGO_BIN_EXE_pushkeeper"), "run", "--config", &config];
    let mut process = Process::start("pushkeeper", "env", &arguments, log(&folder));
    assert_eq!(process.exit_code().await, Some(2));
    let log = process.log();
    assert!(log.lines().count() >= 2 && log.lines().all(|line| line.starts_with("<3>error: ")), "{log}");
}
