//! All of pushkeeper in this process, between a stand-in for the host and one for the vendors.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use pushkeeper::app::service_manager::Service;
use pushkeeper::app::{self, Failure, Reloads, Stage};
use pushkeeper::clock::Clock;
use pushkeeper::config;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::support::host::{Host, JID, SECRET, Sent, Session};
use crate::support::vendor::{Options, Vendor};

/// pushkeeper and what is around it.
pub(crate) struct Whole {
    pub(crate) host: Host,
    pub(crate) vendor: Vendor,
    /// Where `[http]` listens, if it does.
    pub(crate) operators: Option<SocketAddr>,
    /// Where `[http.public]` listens, if it does.
    pub(crate) http: Option<SocketAddr>,
    folder: TempDir,
    running: Option<(oneshot::Sender<()>, Running)>,
    /// Has the configuration read again, and what came of it.
    reloads: Option<(mpsc::Sender<()>, mpsc::Receiver<Reloaded>)>,
}

/// Whether a configuration was taken, and what was said of it.
type Reloaded = (bool, Vec<String>);

type Running = JoinHandle<Result<(), Failure>>;

/// A device, as its app knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) node: String,
    pub(crate) secret: String,
}

impl Whole {
    /// Starts everything; `rest` is added to the configuration. `$apns` and `$fcm` in it stand for the keys that reach the
    /// stand-in.
    pub(crate) async fn start(rest: &str) -> (Self, Session<TcpStream>) {
        let vendor = Vendor::start(Options::default()).await;
        let host = Host::start().await;
        let folder = TempDir::new().expect("a temporary folder");
        vendor.keys().write(folder.path()).expect("key files");
        let keys = vendor.keys();
        let stand_in = format!("endpoint = \"{}\"\nca_file = \"ca.pem\"", vendor.url());
        let (key_id, team_id) = (&keys.key_id, &keys.team_id);
        let apns = format!("key_file = \"AuthKey.p8\"\nkey_id = \"{key_id}\"\nteam_id = \"{team_id}\"\n{stand_in}");
        let fcm = format!("service_account_file = \"service-account.json\"\n{stand_in}");
        let rest = rest.replace("$apns", &apns).replace("$fcm", &fcm);
        let text = format!(
            r#"
[component]
jid = "{JID}"
connect = "{address}"
secret = "{SECRET}"

[register]
rate_per_account = "0"
rate_per_domain = "0"

[apps.ios]
provider = "apns"
topic = "org.example.chat"
{apns}

[apps.android]
provider = "fcm"
{fcm}
style = "conversations"
{rest}"#,
            address = host.address(),
        );
        fs::write(folder.path().join("config.toml"), text).expect("a configuration");
        for file in fs::read_dir(folder.path()).expect("a folder").flatten() {
            fs::set_permissions(file.path(), Permissions::from_mode(0o600)).expect("permissions");
        }
        let mut whole = Self { host, vendor, operators: None, http: None, folder, running: None, reloads: None };
        whole.start_again();
        let session = whole.host.component().await;
        (whole, session)
    }

    /// Starts pushkeeper again with the same configuration and store.
    pub(crate) fn start_again(&mut self) {
        let (config, _) = config::load(Some(&self.folder.path().join("config.toml")), []).expect("a configuration");
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            let _gone = stopped.await;
        };
        let listeners = app::Listeners::bind(&config.http).expect("free ports");
        self.operators = listeners.operators();
        self.http = listeners.public();
        let (_nobody, asked) = mpsc::channel(1);
        let (ask, wishes) = mpsc::channel(1);
        let (tell, told) = mpsc::channel(64);
        let path = self.folder.path().join("config.toml");
        let reloads = Reloads {
            read: Arc::new(move || config::load(Some(&path), [])),
            asked: wishes,
            log: Box::new(|_log| {}),
            stage: Box::new(move |stage| {
                if let Stage::Ends { taken, said } = stage {
                    // Not every test wants to know.
                    let _untold = tell.try_send((taken, said.to_vec()));
                }
            }),
        };
        self.reloads = Some((ask, told));
        let task = tokio::spawn(app::run_under(
            config,
            listeners,
            Clock::system(),
            stopped,
            asked,
            reloads,
            Service::nobody(),
        ));
        self.running = Some((stop, task));
    }

    /// Writes something else into the configuration.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let path = self.folder.path().join("config.toml");
        let text = fs::read_to_string(&path).expect("a configuration");
        assert!(text.contains(from), "{from} is not in {text}");
        fs::write(path, text.replacen(from, to, 1)).expect("a configuration");
    }

    /// Where the configuration and its files are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Has the configuration read again, as SIGHUP does, and waits for what comes of it.
    pub(crate) async fn reload(&mut self) -> (bool, Vec<String>) {
        let (ask, told) = self.reloads.as_mut().expect("it runs");
        ask.send(()).await.expect("it runs");
        told.recv().await.expect("it runs")
    }

    /// Stops pushkeeper as SIGTERM does.
    pub(crate) fn begin_stop(&mut self) -> Running {
        let (stop, task) = self.running.take().expect("it runs");
        drop(stop);
        task
    }

    /// Waits until it has stopped, while the host says farewell.
    pub(crate) async fn finish_stop(stopping: Running, mut host: Session<TcpStream>) -> Result<(), Failure> {
        let farewell = async {
            while !matches!(host.next().await, Sent::Close | Sent::End) {}
            // It may be gone already.
            let _ = host.try_send(b"</stream:stream>").await;
        };
        let (ended, ()) = tokio::join!(stopping, farewell);
        ended.expect("no panic")
    }

    /// Both.
    pub(crate) async fn stop(&mut self, host: Session<TcpStream>) -> Result<(), Failure> {
        let stopping = self.begin_stop();
        Self::finish_stop(stopping, host).await
    }
}

/// Registers a device, of an account of its own, over the dialect of Conversations.
pub(crate) async fn register(session: &mut Session<TcpStream>, service: &str, device: &str, token: &str) -> Device {
    session.send(&registration(service, device, token)).await;
    registered(&session.stanza().await)
}

/// What registers a device: an iq whose id is `r-` and the device's.
pub(crate) fn registration(service: &str, device: &str, token: &str) -> String {
    format!(
        "<iq type='set' id='r-{device}' from='{device}@example.org/app' to='{JID}'>\
         <command xmlns='http://jabber.org/protocol/commands' node='register-push-{service}' action='execute'>\
         <x xmlns='jabber:x:data' type='submit'><field var='token'><value>{token}</value></field>\
         <field var='android-id'><value>{device}</value></field></x></command></iq>"
    )
}

/// What its answer says.
pub(crate) fn registered(answer: &str) -> Device {
    let field = |name: &str| {
        let (_, rest) =
            answer.split_once(&format!("var='{name}'")).or_else(|| answer.split_once(&format!("var=\"{name}\"")))?;
        let (_, rest) = rest.split_once("<value>")?;
        Some(rest.split_once("</value>")?.0.to_owned())
    };
    match (field("node"), field("secret")) {
        (Some(node), Some(secret)) => Device { node, secret },
        _ => panic!("not registered: {answer}"),
    }
}

/// A publish as `mod_cloud_notify` writes it, with the fields that `redaction` lets through.
pub(crate) fn publish(id: &str, device: &Device, sender: &str, body: &str) -> String {
    let Device { node, secret } = device;
    format!(
        "<iq type='set' id='{id}' from='example.org' to='{JID}'>\
         <pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{node}'><item>\
         <notification xmlns='urn:xmpp:push:0'><x xmlns='jabber:x:data' type='form'>\
         <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:push:summary</value></field>\
         <field var='message-count' type='text-single'><value>1</value></field>\
         <field var='last-message-sender' type='jid-single'><value>{sender}</value></field>\
         <field var='last-message-body' type='text-single'><value>{body}</value></field></x></notification>\
         </item></publish><publish-options><x xmlns='jabber:x:data' type='submit'>\
         <field var='secret'><value>{secret}</value></field></x></publish-options></pubsub></iq>"
    )
}
