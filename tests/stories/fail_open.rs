//! Row 17: the bridge is loaded, and pushkeeper is not there. And what is left of row 23 when it is there.

use minidom::Element;
use tokio::time::timeout;

use crate::client::{Client, Session};
use crate::process::PATIENCE;
use crate::scene::{Scene, Setting, THIRD, host};
use crate::server::{HOST, PASSWORD, SERVICE, Server};
use crate::steps::{online, refusal};

/// What clients of a host see of a day's work: they bind, chat, hibernate, resume, time out, are replaced, and go.
async fn a_days_work(host: &mut Server) -> Vec<String> {
    let mut seen = Vec::new();
    let mut bob = Client::connect(host.c2s_port(), &format!("bob@{HOST}/desk"), PASSWORD).await;
    let mut phone = online(host, "alice", "phone").await;
    write(&mut bob, "m1").await;
    seen.push(message(&mut phone, "m1").await);

    // Hibernates, and is back.
    phone.acknowledge_all().await;
    let session = lose(host, phone).await;
    write(&mut bob, "m2").await;
    let (mut phone, answer) = resume(host, session).await;
    seen.push(without(&answer, "previd"));
    seen.push(message(&mut phone, "m2").await);

    // Hibernates for too long; somebody else is there, and sees it.
    let mut laptop = online(host, "alice", "laptop").await;
    phone.acknowledge_all().await;
    let session = lose(host, phone).await;
    write(&mut bob, "m3").await;
    seen.push(message(&mut laptop, "m3").await);
    let of_phone = format!("alice@{HOST}/phone");
    let is_gone = |it: &Element| it.attr("type") == Some("unavailable") && it.attr("from") == Some(&of_phone);
    seen.push(String::from(&laptop.wait_for("the phone's end", is_gone).await));
    let (_, answer) = resume(host, session).await;
    seen.push(String::from(&answer));
    laptop.close().await;

    // Nobody is there; then somebody comes, twice with the same resource.
    write(&mut bob, "m4").await;
    let mut phone = online(host, "alice", "phone").await;
    seen.push(message(&mut phone, "m4").await);
    let mut again = online(host, "alice", "phone").await;
    seen.push(phone.wait_for_the_end().await.map(|error| String::from(&error)).unwrap_or_default());
    write(&mut bob, "m5").await;
    seen.push(message(&mut again, "m5").await);
    again.close().await;
    bob.close().await;
    seen
}

async fn row_17_without_pushkeeper_the_host_behaves_as_without_the_bridge() {
    let setting = Setting { host_window: 2, ..Setting::default() };
    let (mut with, mut without) = (host(&setting).await, host(&Setting { bridge: false, ..setting }).await);
    let (with, without) = tokio::join!(a_days_work(&mut with), a_days_work(&mut without));
    assert_eq!(with.len(), 9);
    assert_eq!(with, without);
}

async fn row_17_the_same_after_pushkeeper_died() {
    let setting = Setting { host_window: 2, ..Setting::default() };
    let mut scene = Scene::set(&setting).await;
    scene.daemon.kill().await;
    let mut without = host(&Setting { bridge: false, ..setting }).await;
    let (with, without) = tokio::join!(a_days_work(&mut scene.host), a_days_work(&mut without));
    assert_eq!(with, without);
}

async fn row_23_for_clients_without_registrations_the_same_while_pushkeeper_is_there() {
    let setting = Setting { host_window: 2, ..Setting::default() };
    let mut scene = Scene::set(&setting).await;
    let mut without = host(&Setting { bridge: false, ..setting }).await;
    let (with, without) = tokio::join!(a_days_work(&mut scene.host), a_days_work(&mut without));
    assert_eq!(with, without);
    assert_eq!(scene.tap.windows("alice"), [] as [u64; 0]);
}

async fn row_17_enable_is_answered_come_again_and_push_is_not_advertised() {
    let host = host(&Setting::default()).await;
    let mut phone = online(&host, "alice", "phone").await;
    for service in [THIRD, SERVICE] {
        let answer = phone.enable_push(service, "phone", "").await;
        assert_eq!(refusal(&answer).as_deref(), Some("wait/service-unavailable"), "{}", String::from(&answer));
    }
    assert!(!advertises_push(&mut phone).await);
}

async fn row_17_push_is_advertised_as_long_as_pushkeeper_is_there() {
    let mut scene = Scene::start().await;
    let mut phone = scene.phone().await;
    assert!(advertises_push(&mut phone).await);

    scene.daemon.kill().await;
    // The host finds out by itself, at the latest when it has something to tell.
    scene.write("alice", "m1").await;
    message(&mut phone, "m1").await;
    let not_advertised = async { while advertises_push(&mut phone).await {} };
    assert!(timeout(PATIENCE, not_advertised).await.is_ok(), "nobody is there, and push is still advertised");
    let answer = phone.enable_push(THIRD, "phone", "").await;
    assert_eq!(refusal(&answer).as_deref(), Some("wait/service-unavailable"), "{}", String::from(&answer));

    scene.pushkeeper_again().await;
    assert!(advertises_push(&mut phone).await);
    scene.enable(&mut phone, "phone").await;
}

async fn advertises_push(client: &mut Client) -> bool {
    const INFO: &str = "http://jabber.org/protocol/disco#info";
    let account = client.jid.split('/').next().expect("an account").to_owned();
    let info = client.iq("get", Some(&account), &format!("<query xmlns='{INFO}'/>")).await;
    let query = info.get_child("query", INFO).expect("an answer");
    query.children().any(|feature| feature.attr("var") == Some("urn:xmpp:push:0"))
}

async fn write(bob: &mut Client, id: &str) {
    bob.send(&format!("<message type='chat' id='{id}' to='alice@{HOST}'><body>{id}</body></message>")).await;
    bob.settle().await;
}

/// The message, but for what is random or a time in it.
async fn message(client: &mut Client, id: &str) -> String {
    let message = client.wait_for(id, |it| it.name() == "message" && it.attr("id") == Some(id)).await;
    let children = message.children().map(|child| match child.name() {
        "stanza-id" => format!("stanza-id by {:?}", child.attr("by")),
        "delay" => format!("delay from {:?}", child.attr("from")),
        "archived" => format!("archived by {:?}", child.attr("by")),
        _ => String::from(child),
    });
    let children: Vec<_> = children.collect();
    format!("{:?} to {:?}: {}", message.attr("from"), message.attr("to"), children.join(", "))
}

fn without(element: &Element, attribute: &str) -> String {
    let attributes = element.attrs().into_iter().filter(|((_, name), _)| name.as_str() != attribute);
    let attributes: Vec<_> = attributes.map(|((_, name), value)| format!("{}={value}", name.as_str())).collect();
    format!("{} {}", element.name(), attributes.join(" "))
}

/// The phone loses its network; the host has noticed.
async fn lose(host: &mut Server, phone: Client) -> Session {
    let before = host.disconnects();
    let session = phone.lose_connection().expect("a session");
    host.wait_for_disconnects(before + 1).await;
    session
}

async fn resume(host: &Server, session: Session) -> (Client, Element) {
    Client::try_to_resume(host.c2s_port(), &format!("alice@{HOST}/phone"), PASSWORD, session).await
}

crate::on_hosts::on_hosts! {
    both: [
        row_17_without_pushkeeper_the_host_behaves_as_without_the_bridge,
        row_17_the_same_after_pushkeeper_died,
        row_23_for_clients_without_registrations_the_same_while_pushkeeper_is_there,
        row_17_enable_is_answered_come_again_and_push_is_not_advertised,
        row_17_push_is_advertised_as_long_as_pushkeeper_is_there,
    ],
}
