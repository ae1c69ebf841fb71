//! What an operator set up wrongly: the log says what to mend.

use crate::daemon::Daemon;
use crate::server::{HOST, Kind, PASSWORD, Pusher, SERVICE, Server, Wanted};

/// A host, and a pushkeeper that trusts the bridge of `domain`; what that logs once it knows that it is not linked.
async fn complaint(wanted: &Wanted<'_>, domain: &str) -> String {
    let host = Server::start_on(Kind::Prosody, &Wanted { components: &[SERVICE], ..*wanted }).await;
    let port = host.component_port();
    let mut daemon = Daemon::start(&format!(
        "[component]\njid = '{SERVICE}'\nconnect = '127.0.0.1:{port}'\nsecret = '{PASSWORD}'\n\
         [store]\npath = '$DIR/store'\n[[hosts]]\ndomain = '{domain}'\n"
    ));
    let complaint = format!("{domain} is not linked");
    daemon.wait_for_log("it says so", |log| log.contains(&complaint)).await;
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains(&complaint)).unwrap_or_default();
    assert!(line.contains("WARN"), "nobody is pushed to until somebody mends it: {line}");
    line.to_owned()
}

#[tokio::test]
async fn beside_mod_cloud_notify_the_log_says_to_unload_it() {
    let line = complaint(&Wanted { pusher: Pusher::Both, ..Wanted::default() }, HOST).await;
    assert!(line.contains("mod_cloud_notify"), "{line}");
}

#[tokio::test]
async fn where_the_bridge_serves_another_component_the_log_names_its_option() {
    let options = "pushkeeper_component = 'push.third.localhost'";
    let line = complaint(&Wanted { pusher: Pusher::Bridge, prosody: options, ..Wanted::default() }, HOST).await;
    assert!(line.contains("pushkeeper_component"), "{line}");
}

#[tokio::test]
async fn where_there_is_no_bridge_the_log_says_to_load_it() {
    let line = complaint(&Wanted { pusher: Pusher::Neither, ..Wanted::default() }, HOST).await;
    assert!(line.contains("mod_pushkeeper"), "{line}");
}

#[tokio::test]
async fn where_the_domain_is_misspelt_the_log_says_where_to_look() {
    let line = complaint(&Wanted { pusher: Pusher::Bridge, ..Wanted::default() }, "localhots").await;
    assert!(line.contains("[[hosts]]"), "{line}");
}
