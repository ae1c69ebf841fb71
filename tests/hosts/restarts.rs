//! The host goes away in all its ways; the link comes back by itself.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::sleep;

use crate::component::Component;
use crate::daemon::Daemon;
use crate::server::{PASSWORD, Server};
use crate::steps::{
    Device, FOREIGN, SERVICE, STUB_APP, configuration, foreign_iq, foreign_publish, host, online, pushkeeper, refusal,
    register_command,
};
use crate::vendors::Vendors;

const PING: &str = "<ping xmlns='urn:xmpp:ping'/>";

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

async fn the_link_is_back_after_the_host_was_away_for_ten_seconds() {
    let mut host = host().await;
    let mut pushkeeper = pushkeeper(&host, STUB_APP).await;
    host.kill().await;
    sleep(Duration::from_secs(10)).await;
    host.start_again().await;
    pushkeeper.wait_for_link(2).await;
    answers_pings(&host).await;
}

async fn a_wrong_secret_at_the_first_start_is_one_clear_sentence_and_exit_code_1() {
    let host = host().await;
    let wrong = configuration(&host, STUB_APP).replace(&format!("secret = \"{PASSWORD}\""), "secret = \"wrong\"");
    let mut pushkeeper = Daemon::start(&wrong);
    assert_eq!(pushkeeper.exit_code().await, Some(1));
    assert!(pushkeeper.log().contains("component.secret"), "the log names the key to mend: {}", pushkeeper.log());
}

/// What the host loses when it crashes, nobody can answer: the vendor holds all of them before it does.
async fn a_thousand_publishes_survive_a_crash_of_the_host_and_are_answered_on_the_next_link() {
    const PUBLISHES: usize = 1000;
    let (mut host, vendors) = (host().await, Vendors::start().await);
    let mut pushkeeper = pushkeeper(&host, &vendors.apps()).await;
    let mut server = Component::connect(host.component_port(), FOREIGN, PASSWORD).await;

    let mut devices = Vec::new();
    for number in 0..PUBLISHES {
        let command = register_command("apns", "", "device", &format!("{number:064x}"));
        server.send(&foreign_iq("r", &format!("user{number}"), &command)).await;
        devices.push(Device::from_answer(&server.next_answer().await));
    }
    vendors.vendor.hold();
    for (number, device) in devices.iter().enumerate() {
        server.send(&foreign_publish(&format!("p{number}"), device)).await;
    }
    vendors.pushes(PUBLISHES).await;

    host.kill().await;
    host.start_again().await;
    let mut server = Component::connect(host.component_port(), FOREIGN, PASSWORD).await;
    pushkeeper.wait_for_link(2).await;
    vendors.vendor.release();

    let mut answered = BTreeSet::new();
    while answered.len() < PUBLISHES {
        let answer = server.next_answer().await;
        assert_eq!(refusal(&answer), None, "{}", String::from(&answer));
        let id = answer.attr("id").expect("an id").to_owned();
        // The answers of the last second before the crash come again: nobody knows whether the host had them.
        if id.starts_with('p') {
            assert!(answered.insert(id.clone()), "{id} is answered twice");
        }
    }
    let pushes = vendors.vendor.pushes();
    assert_eq!(pushes.len(), PUBLISHES, "every one reached the vendor");
    let tokens: BTreeSet<_> = pushes.into_iter().map(|push| push.token).collect();
    assert_eq!(tokens.len(), PUBLISHES, "and none twice");
}

async fn answers_pings(host: &Server) {
    let mut client = online(host, "alice", "phone").await;
    assert_eq!(refusal(&client.iq("get", Some(SERVICE), PING).await), None);
    client.close().await;
}

crate::on_hosts::on_hosts! {
    both: [
        the_link_is_back_after_a_restart_and_after_a_crash_of_the_host,
        the_link_is_back_after_the_host_was_away_for_ten_seconds,
        a_wrong_secret_at_the_first_start_is_one_clear_sentence_and_exit_code_1,
        a_thousand_publishes_survive_a_crash_of_the_host_and_are_answered_on_the_next_link,
    ],
}
