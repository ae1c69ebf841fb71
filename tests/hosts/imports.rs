//! What the push module of a server keeps, imported: the server goes over to the bridge, and pushes go on without a new
//! enable. And the devices of another push service: servers go on publishing to the nodes they have.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pushkeeper::clock::Clock;
use pushkeeper::domain::ids::DeviceHash;
use tempfile::TempDir;

use crate::component::Component;
use crate::daemon::Daemon;
use crate::server::{HOST, Kind, PASSWORD, Pusher, SERVICE, Server, Wanted, kind};
use crate::service::{Field, Service};
use crate::steps::{
    Device, FOREIGN, STUB_APP, configuration, foreign_iq, foreign_publish, message_from_bob, online, refusal,
    register_command,
};

/// The push service of somebody else.
const THIRD: &str = "third.localhost";

/// With characters that every format writes in a way of its own.
const SECRET: &str = "it's \"1\" \\n é&<";

async fn what_the_servers_own_module_keeps_pushes_on_under_the_bridge() {
    let mut host = Server::start(&wanted(Pusher::Stock, false)).await;
    let store = Site::new(&host);
    alice_enables(&host).await;
    let from = match kind() {
        Kind::Prosody => "cloud-notify",
        Kind::Ejabberd => "ejabberd-mnesia",
    };
    let source = match &host {
        Server::Prosody(_) => host.folder().join("data"),
        Server::Ejabberd(ejabberd) => {
            let file = host.folder().join("push_session.txt");
            let dump = format!("{{ok, []}} = ejabberd_admin:dump_table(\"{}\", \"push_session\").", file.display());
            ejabberd.shell(&dump).await;
            file
        }
    };
    host.stop().await;
    goes_over(host, &store, from, &source, &[]).await;
}

async fn what_the_servers_own_module_keeps_in_sql_pushes_on_under_the_bridge() {
    let mut host = Server::start(&wanted(Pusher::Stock, true)).await;
    let store = Site::new(&host);
    alice_enables(&host).await;
    host.stop().await;
    let dump = host.folder().join("dump.sql");
    let done = Command::new("sqlite3").arg(host.database()).arg(".dump").stdout(File::create(&dump).unwrap()).status();
    assert!(done.expect("sqlite3: `make test` installs it").success());
    let (from, more): (&str, &[&str]) = match kind() {
        Kind::Prosody => ("cloud-notify-sql", &[]),
        // Its older schema, which is the usual one, does not say whose users they are.
        Kind::Ejabberd => ("ejabberd-sql", &["--domain", HOST]),
    };
    goes_over(host, &store, from, &dump, more).await;
}

/// A host that acts on registrations in one way or the other.
fn wanted(pusher: Pusher, sql: bool) -> Wanted<'static> {
    Wanted { users: &["alice", "bob"], components: &[SERVICE, THIRD], pusher, sql, ..Wanted::default() }
}

/// alice's phone enables push twice: with what a push service of today gives it, and with as little as may be.
async fn alice_enables(host: &Server) {
    let mut phone = online(host, "alice", "phone").await;
    let secret = SECRET.replace('&', "&amp;").replace('<', "&lt;");
    let form = format!(
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
         <value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
         <field var='secret'><value>{secret}</value></field></x>"
    );
    assert_eq!(refusal(&phone.enable_push(THIRD, "node \"1\" é", &form).await), None);
    phone.close().await;
    let mut tablet = online(host, "alice", "tablet").await;
    assert_eq!(refusal(&tablet.enable_push(THIRD, "node-2", "").await), None);
    tablet.close().await;
}

/// The host, which is down, is started with the bridge alone, and pushkeeper with what was imported.
async fn goes_over(mut host: Server, site: &Site, from: &str, source: &Path, more: &[&str]) {
    let source = source.to_string_lossy();
    let arguments = [&["import", "--from", from], more, &[&*source]].concat();
    let imported = "imported 0 devices and 2 registrations into the store in ";
    let said = site.run(&[arguments.as_slice(), &["--dry-run"]].concat());
    assert!(said.starts_with(&imported.replace("imported", "would import")), "{said}");
    let said = site.run(&arguments);
    assert!(said.starts_with(imported), "{said}");
    assert!(said.contains(&format!("\n{source}: 2 registrations of 1 accounts")), "{said}");
    assert!(!said.contains("skipped") && !said.contains("warning"), "{said}");
    for private in ["node-2", "it's"] {
        assert!(!said.contains(private), "{said}");
    }

    host.configure(&wanted(Pusher::Bridge, false));
    host.start_again().await;
    let third = Service::connect(host.component_port(), THIRD, PASSWORD, &Clock::system()).await;
    let mut daemon = Daemon::linked(&site.configuration).await;
    let snapshot = |log: &str| log.contains(&format!("{HOST} is linked"));
    daemon.wait_for_log("the host is linked", snapshot).await;
    message_from_bob(&host, "m1").await;

    let mut published = third.wait_for(2).await;
    published.sort_by(|a, b| a.node.cmp(&b.node));
    let nodes: Vec<_> = published.iter().map(|it| (it.node.as_str(), it.from.as_str())).collect();
    assert_eq!(nodes, [("node \"1\" é", HOST), ("node-2", HOST)]);
    assert!(published.iter().all(crate::service::Published::is_important), "{published:#?}");
    let secret = |field: &Field| field.name == "secret" && field.value.as_deref() == Some(SECRET);
    assert!(published[0].options.iter().any(secret), "{:#?}", published[0].options);
    assert!(published[1].options.is_empty(), "{:#?}", published[1].options);
}

/// p2 is not on this machine; its table is what its source says it is.
async fn devices_of_p2_are_pushed_to_and_their_apps_get_the_same_node_again() {
    let host = crate::steps::host().await;
    let site = Site::with(configuration(&host, STUB_APP));
    let device = Device { node: "AAECAwQFBgcI".to_owned(), secret: "CQoLDA0ODxAREhMUFRYXGBka".to_owned() };
    let hash = DeviceHash::of(&format!("juliet@{FOREIGN}"), "92afd7a91cdba9a0").hex();
    let dump = site.folder.path().join("p2.sql");
    let Device { node, secret } = &device;
    let row = format!("INSERT INTO `target` VALUES ('FCM','{hash}','','{FOREIGN}','ok','{node}','{secret}');\n");
    fs::write(&dump, row).unwrap();
    let said = site.run(&["import", "--from", "p2", &dump.to_string_lossy()]);
    assert!(said.starts_with("imported 1 devices and 0 registrations into the store in "), "{said}");

    let mut daemon = Daemon::linked(&site.configuration).await;
    let mut server = Component::connect(host.component_port(), FOREIGN, PASSWORD).await;
    server.send(&foreign_publish("p1", &device)).await;
    assert_eq!(refusal(&server.next_answer().await), None, "its server need not know");
    daemon.wait_for_log("a push", |log| log.lines().any(crate::steps::is_push)).await;
    let wrong = Device { secret: "wrong".to_owned(), ..device.clone() };
    server.send(&foreign_publish("p2", &wrong)).await;
    assert_eq!(refusal(&server.next_answer().await).as_deref(), Some("cancel/item-not-found"));

    let register = register_command("fcm", "", "92afd7a91cdba9a0", "ok-2");
    server.send(&foreign_iq("r1", "juliet", &register)).await;
    assert_eq!(Device::from_answer(&server.next_answer().await), device, "its app finds it again");
    let unregister = register.replace("register-push-fcm", "unregister-push-fcm");
    server.send(&foreign_iq("r2", "juliet", &unregister)).await;
    assert_eq!(refusal(&server.next_answer().await), None, "now it is juliet's");
}

/// A configuration of pushkeeper, and the store beside it.
struct Site {
    folder: TempDir,
    configuration: String,
}

impl Site {
    fn new(host: &Server) -> Self {
        let rest = format!("\n[rules]\nburst_window = \"300ms\"\n[[hosts]]\ndomain = \"{HOST}\"\n");
        Self::with(configuration(host, &rest))
    }

    fn with(configuration: String) -> Self {
        let folder = TempDir::with_prefix("pushkeeper-import-").expect("a temporary folder");
        let configuration = configuration.replace("$DIR", &folder.path().to_string_lossy());
        let site = Self { folder, configuration };
        fs::write(site.config(), &site.configuration).unwrap();
        fs::set_permissions(site.config(), Permissions::from_mode(0o600)).unwrap();
        site
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("config.toml")
    }

    /// Runs a command that must succeed; what it says.
    fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pushkeeper"));
        let Output { status, stderr, .. } =
            command.args(arguments).arg("--config").arg(self.config()).output().unwrap();
        let said = String::from_utf8(stderr).unwrap();
        assert!(status.success(), "{said}");
        said
    }
}

crate::on_hosts::on_hosts! {
    both: [
        what_the_servers_own_module_keeps_pushes_on_under_the_bridge,
        what_the_servers_own_module_keeps_in_sql_pushes_on_under_the_bridge,
    ],
    prosody: [devices_of_p2_are_pushed_to_and_their_apps_get_the_same_node_again],
}
