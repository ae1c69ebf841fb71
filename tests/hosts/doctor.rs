//! `pushkeeper doctor` against a real host: green when it is set up as the README says, and else it names what is not.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;
use tokio::process::Command;

use crate::daemon::Daemon;
use crate::server::{HOST, PASSWORD, Pusher, Server, Wanted};
use crate::steps::{FOREIGN, SERVICE, configuration, online, refusal};

const HOSTS: &str = "[[hosts]]\ndomain = \"localhost\"\n";

/// What a host has that is set up as the README says.
fn wanted() -> Wanted<'static> {
    Wanted { users: &["alice"], components: &[SERVICE], pusher: Pusher::Bridge, ..Wanted::default() }
}

/// The doctor's exit code, and its lines.
async fn doctor(configuration: &str) -> (i32, Vec<String>) {
    let folder = TempDir::with_prefix("pushkeeper-doctor-").unwrap();
    let config = folder.path().join("config.toml");
    fs::write(&config, configuration.replace("$DIR", &folder.path().to_string_lossy())).unwrap();
    fs::set_permissions(&config, Permissions::from_mode(0o600)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pushkeeper"));
    let output = command.arg("doctor").arg("--config").arg(&config).kill_on_drop(true).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), text.lines().map(str::to_owned).collect())
}

/// The lines that say what is wrong.
fn wrong(lines: &[String]) -> Vec<&str> {
    lines.iter().filter(|line| line.starts_with("FAIL")).map(String::as_str).collect()
}

/// The one line that is wrong, and the exit code that belongs to it.
#[track_caller]
fn only_wrong((code, lines): &(i32, Vec<String>)) -> &str {
    let found = wrong(lines);
    assert_eq!((found.len(), *code), (1, 1), "{lines:#?}");
    found[0]
}

#[track_caller]
fn assert_has(lines: &[String], begin: &str) {
    assert!(lines.iter().any(|line| line.starts_with(begin)), "{begin}: {lines:#?}");
}

async fn it_is_green_when_all_is_as_the_readme_says() {
    let prosody = "modules_enabled = { \"pushkeeper\", \"version\" }";
    let host = Server::start(&Wanted { prosody, ..wanted() }).await;
    let (code, lines) = doctor(&configuration(&host, HOSTS)).await;
    assert_eq!((wrong(&lines), code), (Vec::new(), 0), "{lines:#?}");
    if host.software() == "Prosody" {
        let number = |line: &str| line.strip_prefix("ok   component: Prosody ").and_then(|it| it.chars().next());
        let version = lines.iter().find_map(|line| number(line));
        assert!(version.is_some_and(|digit| digit.is_ascii_digit()), "the version (XEP-0092): {lines:#?}");
    }
    let (software, port, version) = (host.software(), host.component_port(), env!("CARGO_PKG_VERSION"));
    assert_has(&lines, &format!("ok   component: {software}"));
    assert_has(&lines, &format!("ok   host {HOST}: the bridge {version} is there, obeys {SERVICE}, and waits for it"));
    assert!(lines.iter().any(|line| line.ends_with(&format!("at 127.0.0.1:{port} takes the secret of {SERVICE}"))));
    assert_eq!(host.errors(), Vec::<String>::new());
}

async fn it_leaves_the_host_as_it_was() {
    let host = Server::start(&wanted()).await;
    let config = configuration(&host, HOSTS);
    let mut keeper = Daemon::linked(&config).await;
    keeper.wait_for_log("the host is linked", |log| log.contains("is linked")).await;
    assert_eq!(keeper.terminate().await, Some(0));
    let (code, lines) = doctor(&config).await;
    assert_eq!((wrong(&lines), code), (Vec::new(), 0), "{lines:#?}");
    // Its clients are not told that there is push, for nobody is linked; and a pushkeeper links as ever.
    let mut phone = online(&host, "alice", "phone").await;
    let enable = format!("<enable xmlns='urn:xmpp:push:0' jid='{SERVICE}' node='n'/>");
    assert_eq!(refusal(&phone.iq("set", None, &enable).await).as_deref(), Some("wait/service-unavailable"));
    let mut keeper = Daemon::linked(&config).await;
    keeper.wait_for_log("the host is linked", |log| log.contains("is linked")).await;
    assert_eq!(host.errors(), Vec::<String>::new());
}

async fn a_bridge_that_is_missing_is_named() {
    let host = Server::start(&Wanted { pusher: Pusher::Neither, ..wanted() }).await;
    let found = doctor(&configuration(&host, HOSTS)).await;
    let line = only_wrong(&found);
    assert!(
        line.starts_with(&format!("FAIL host {HOST}: there is no bridge — load mod_pushkeeper there in place of")),
        "{line}"
    );
}

async fn the_hosts_own_push_module_beside_the_bridge_is_named() {
    let host = Server::start(&Wanted { pusher: Pusher::Both, ..wanted() }).await;
    let found = doctor(&configuration(&host, HOSTS)).await;
    let (line, rival) = (only_wrong(&found), host.stock_name());
    assert!(line.starts_with(&format!("FAIL host {HOST}: {rival} is loaded beside the bridge")), "{line}");
}

async fn the_hosts_own_push_module_instead_of_the_bridge_is_named() {
    let host = Server::start(&Wanted { pusher: Pusher::Stock, ..wanted() }).await;
    let found = doctor(&configuration(&host, HOSTS)).await;
    let line = only_wrong(&found);
    assert!(line.starts_with(&format!("FAIL host {HOST}: there is no bridge")), "{line}");
    // As a push service of that module nothing is amiss.
    let (code, lines) = doctor(&configuration(&host, "[apps.try]\nprovider = \"stub\"\n")).await;
    assert_eq!((wrong(&lines), code), (Vec::new(), 0), "{lines:#?}");
    assert_has(&lines, &format!("ok   component: {}", host.software()));
}

async fn a_bridge_for_another_component_is_named() {
    let host = Server::start(&Wanted { components: &[SERVICE, FOREIGN], ..wanted() }).await;
    let config = configuration(&host, HOSTS).replace(&format!("jid = \"{SERVICE}\""), &format!("jid = \"{FOREIGN}\""));
    let found = doctor(&config).await;
    let line = only_wrong(&found);
    let expected = format!("FAIL host {HOST}: the bridge is there, but for another component than {FOREIGN}");
    assert!(line.starts_with(&expected), "{line}");
}

async fn a_wrong_secret_and_a_component_that_is_not_declared_are_named() {
    let host = Server::start(&wanted()).await;
    let right = configuration(&host, HOSTS);
    let found = doctor(&right.replace(&format!("secret = \"{PASSWORD}\""), "secret = \"wrong\"")).await;
    let line = only_wrong(&found);
    assert!(line.contains(&format!(" refuses the secret of {SERVICE} — write the server's secret")), "{line}");
    let found = doctor(&right.replace(&format!("jid = \"{SERVICE}\""), "jid = \"other.localhost\"")).await;
    let line = only_wrong(&found);
    // ejabberd says the same of both.
    let said = ["does not know the component other.localhost", "refuses the secret of other.localhost"];
    assert!(said.iter().any(|said| line.contains(said)), "{line}");
    assert!(line.contains("Component \"other.localhost\""), "{line}");
}

async fn a_host_that_the_server_does_not_have_is_named() {
    let host = Server::start(&wanted()).await;
    let found = doctor(&configuration(&host, "[[hosts]]\ndomain = \"elsewhere.invalid\"\n")).await;
    let line = only_wrong(&found);
    assert!(line.starts_with("FAIL host elsewhere.invalid: the server has no host elsewhere.invalid"), "{line}");
}

async fn a_running_pushkeeper_is_not_disturbed() {
    let host = Server::start(&wanted()).await;
    let folder = TempDir::with_prefix("pushkeeper-store-").unwrap();
    let config = configuration(&host, HOSTS).replace("$DIR/store", &folder.path().join("store").to_string_lossy());
    let keeper = Daemon::linked(&config).await;
    let (code, lines) = doctor(&config).await;
    assert_eq!((wrong(&lines), code), (Vec::new(), 0), "{lines:#?}");
    assert_has(&lines, "ok   component: not tried: process ");
    assert_eq!(keeper.log().matches("the link is up").count(), 1, "{}", keeper.log());
}

async fn a_listener_that_hands_us_what_is_for_others_is_named() {
    let wanted = Wanted { components: &[SERVICE, FOREIGN], global_routes: true, ..wanted() };
    let host = Server::start(&wanted).await;
    let found = doctor(&configuration(&host, HOSTS)).await;
    let line = only_wrong(&found);
    assert!(
        line.starts_with(&format!("FAIL component: the server hands us stanzas for other domains ({FOREIGN})")),
        "{line}"
    );
}

crate::on_hosts::on_hosts! {
    both: [
        it_is_green_when_all_is_as_the_readme_says,
        it_leaves_the_host_as_it_was,
        a_bridge_that_is_missing_is_named,
        the_hosts_own_push_module_beside_the_bridge_is_named,
        the_hosts_own_push_module_instead_of_the_bridge_is_named,
        a_bridge_for_another_component_is_named,
        a_wrong_secret_and_a_component_that_is_not_declared_are_named,
        a_host_that_the_server_does_not_have_is_named,
        a_running_pushkeeper_is_not_disturbed,
    ],
    ejabberd: [
        a_listener_that_hands_us_what_is_for_others_is_named,
    ],
}
