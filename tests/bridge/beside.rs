//! Beside what the host itself has for push notifications, unloaded, and set up wrongly.

use std::time::Duration;

use tokio::time::timeout;

use crate::client::Client;
use crate::process::PATIENCE;
use crate::rig::{Keeper, NS, chat, host, host_with, online, refusal, sync, wanted};
use crate::server::{HOST, PASSWORD, Pusher, SERVICE, Server, Tune, Wanted};

/// How often it has said this, once it has said it so often: ejabberd writes its log a moment later than it answers.
async fn said(host: &Server, text: &str, times: usize) -> usize {
    let count = || host.log().matches(text).count();
    let written = async {
        while count() < times {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    // Too few are for the caller to complain of.
    let _ = timeout(PATIENCE, written).await;
    count()
}

async fn beside_the_hosts_own_push_module_it_says_so_and_stands_back() {
    let host = host_with(&Wanted { pusher: Pusher::Both, ..wanted() }).await;
    let loaded = format!("{} is loaded on localhost", host.stock_name());
    let mut keeper = Keeper::connect(&host).await;
    let answer = keeper.order(&sync("t", "")).await;
    assert_eq!(refusal(&answer).as_deref(), Some("cancel/unexpected-request"));
    // Prosody 13 opens its ports before it loads modules: only by now it has certainly said so.
    assert_eq!(said(&host, &loaded, 1).await, 1, "{}", host.log());
    assert!(String::from(&answer).contains(host.stock_name()), "{}", String::from(&answer));

    // It does its work: a registration, and a push for a message.
    let mut phone = online(&host, "alice", "phone").await;
    assert_eq!(refusal(&phone.enable_push(SERVICE, "n", "").await), None);
    assert!(keeper.all().iter().all(|it| it.name() == "hello"), "nobody told us of it");

    // Without it, we do ours, and with it again we do not.
    host.stock_pusher(false).await;
    keeper.link(&["alice"], "t").await;
    assert_eq!(refusal(&phone.enable_push(SERVICE, "n", "").await), None);
    keeper.next("registration").await;
    host.stock_pusher(true).await;
    let check = keeper.order(&format!("<check xmlns='{NS}'/>")).await;
    assert_eq!(refusal(&check).as_deref(), Some("cancel/unexpected-request"));
    assert_eq!(said(&host, &loaded, 2).await, 2, "{}", host.log());
}

async fn unloaded_it_leaves_nothing_behind() {
    let host = host(&[Tune::Window(1), Tune::AckDelay(1)]).await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let mut bob = online(&host, "bob", "desk").await;
    let away = online(&host, "alice", "away").await;
    let session = away.lose_connection().expect("a session");
    let event = keeper.next("hibernate").await;
    let [sid, since] = ["sid", "since"].map(|name| event.attr(name));
    keeper
        .order(&format!(
            "<timeout xmlns='{NS}' sid='{sid}' user='alice' resource='away' since='{since}' seconds='600'/>"
        ))
        .await;
    let mut phone = online(&host, "alice", "phone").await;
    phone.fall_silent();
    bob.send(&chat(&format!("alice@{HOST}/phone"), "m1", "Hello")).await;
    keeper.event("the delay", |it| it.name() == "ack-delayed" && it.attr("resource") == "phone").await;

    host.take_bridge_away().await;
    bob.send(&chat(&format!("alice@{HOST}/phone"), "m2", "Hello")).await;
    phone.wait_for("the message", |it| it.attr("id") == Some("m2")).await;
    let answer = keeper.order(&sync("t", "")).await;
    assert_eq!(refusal(&answer).as_deref(), Some("cancel/service-unavailable"), "there is no bridge");
    assert_eq!(refusal(&phone.enable_push(SERVICE, "n", "").await).as_deref(), Some("cancel/service-unavailable"));
    let wait = async { while host.has_session("alice", "away").await {} };
    timeout(PATIENCE, wait).await.expect("it has the host's own window again");
    let (_, answer) = Client::try_to_resume(host.c2s_port(), "alice@localhost/away", PASSWORD, session).await;
    assert_eq!(answer.name(), "failed");
    assert_eq!(host.errors(), Vec::<String>::new());
}

crate::on_hosts::on_hosts! {
    both: [
        beside_the_hosts_own_push_module_it_says_so_and_stands_back,
        unloaded_it_leaves_nothing_behind,
    ],
    prosody: [
        a_component_that_never_links_is_told_of_once,
        without_mod_smacks_it_says_what_is_missing,
    ],
}

async fn a_component_that_never_links_is_told_of_once() {
    const HINT: &str = "has not linked to localhost";
    let host = host(&[Tune::AnswerTimeout(1)]).await;
    let keeper = Keeper::connect(&host).await;
    wait_for_log(&host, &keeper, HINT).await;
    assert!(host.log().contains("[[hosts]]"), "{}", host.log());
    // Several times as long as it took.
    for _ in 0..10 {
        host.shell("host:list()").await;
    }
    assert_eq!(host.log().matches(HINT).count(), 1, "{}", host.log());
}

async fn without_mod_smacks_it_says_what_is_missing() {
    let host = host_with(&Wanted { without: &["smacks"], ..wanted() }).await;
    let keeper = Keeper::linked(&host, &[]).await;
    wait_for_log(&host, &keeper, "mod_smacks is not loaded on localhost").await;
}

/// Keeps the host busy until its log has this.
async fn wait_for_log(host: &Server, keeper: &Keeper, text: &str) {
    let logged = async {
        while !host.log().contains(text) {
            keeper.order(&format!("<check xmlns='{NS}'/>")).await;
        }
    };
    timeout(PATIENCE, logged).await.unwrap_or_else(|_| panic!("{text}\n{}", host.log()));
}
