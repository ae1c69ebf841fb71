//! The host goes away in all its ways; the link comes back by itself.

use std::time::Duration;

use tokio::time::sleep;

use crate::daemon::Daemon;
use crate::prosody::{PASSWORD, Prosody};
use crate::steps::{SERVICE, STUB_APP, configuration, host, online, pushkeeper, refusal};

const PING: &str = "<ping xmlns='urn:xmpp:ping'/>";

#[tokio::test]
async fn the_link_is_back_after_a_restart_and_after_a_crash_of_the_host() {
    let mut host = host().await;
    let mut pushkeeper = pushkeeper(&host, STUB_APP).await;
    host.stop().await;
    host.start_again().await;
    pushkeeper.wait_for_link(2).await;
    answers_pings(&host).await;

    host.kill().await;
    host.start_again().await;
    pushkeeper.wait_for_link(3).await;
    answers_pings(&host).await;
    assert_eq!(pushkeeper.terminate().await, Some(0), "SIGTERM is no failure");
}

#[tokio::test]
async fn the_link_is_back_after_the_host_was_away_for_ten_seconds() {
    let mut host = host().await;
    let mut pushkeeper = pushkeeper(&host, STUB_APP).await;
    host.kill().await;
    sleep(Duration::from_secs(10)).await;
    host.start_again().await;
    pushkeeper.wait_for_link(2).await;
    answers_pings(&host).await;
}

#[tokio::test]
async fn a_wrong_secret_at_the_first_start_is_one_clear_sentence_and_exit_code_1() {
    let host = host().await;
    let wrong = configuration(&host, STUB_APP).replace(&format!("secret = \"{PASSWORD}\""), "secret = \"wrong\"");
    let mut pushkeeper = Daemon::start(&wrong);
    assert_eq!(pushkeeper.exit_code().await, Some(1));
    assert!(pushkeeper.log().contains("component.secret"), "the log names the key to mend: {}", pushkeeper.log());
}

async fn answers_pings(host: &Prosody) {
    let mut client = online(host, "alice", "phone").await;
    assert_eq!(refusal(&client.iq("get", Some(SERVICE), PING).await), None);
    client.close().await;
}
