//! Row 10: calls (XEP-0353).

use pushkeeper::clock::Clock;

use crate::scene::{Scene, Setting, TOKEN};
use crate::service::Says;

const CALL: &str = "urn:xmpp:jingle-message:0";

/// alice's laptop is online, her phone is away; both are registered, the phone also with our own push service.
async fn laptop_and_phone(archive: bool) -> (Scene, crate::client::Client) {
    // Long: what is immediate is much earlier.
    let scene = Scene::set(&Setting { archive, burst_window: "3s", ..Setting::default() }).await;
    let mut laptop = scene.plain("alice", "laptop").await;
    scene.enable(&mut laptop, "laptop").await;
    let mut phone = scene.phone().await;
    scene.enable_ours(&mut phone, TOKEN).await;
    phone.close().await;
    scene.tap.wait_for_events("end", "alice", 1).await;
    (scene, laptop)
}

async fn a_call_rings_everywhere(archive: bool) {
    let (mut scene, _laptop) = laptop_and_phone(archive).await;
    scene.write("carol", "first").await;
    scene.say("alice", &propose("call-1"), "c1").await;
    scene.third.wait_for(2).await;
    let rung = scene.vendors.pushes(1).await;
    assert_eq!(scene.marked(), 0, "a call does not wait for what was there before");
    let mut nodes: Vec<_> = scene.third.published().into_iter().map(|push| push.node).collect();
    nodes.sort();
    assert_eq!(nodes, ["laptop", "phone"]);
    assert!(scene.third.published().iter().all(|push| push.is_important()));
    assert_eq!(rung[0].json().get("class"), Some(&"call".into()), "{}", rung[0].json());
    let expires: u64 = rung[0].header("apns-expiration").parse().expect("seconds");
    assert!(expires <= Clock::system().wall().secs() + 45, "late is useless: {expires}");

    scene.quiet().await;
    assert_eq!(scene.third.published().len(), 2, "one each");
    assert_eq!(scene.vendors.vendor.pushes().len(), 1, "one each");
}

async fn row_10_a_call_rings_every_device_at_once() {
    a_call_rings_everywhere(true).await;
}

async fn row_10_a_call_rings_every_device_at_once_without_an_archive() {
    a_call_rings_everywhere(false).await;
}

async fn row_10_a_retracted_call_stops_the_devices_that_rang() {
    let (mut scene, _laptop) = laptop_and_phone(true).await;
    scene.say("alice", &propose("call-1"), "c1").await;
    scene.third.wait_for(2).await;
    scene.vendors.pushes(1).await;
    scene.say("alice", &format!("<retract xmlns='{CALL}' id='call-1'/>"), "c2").await;
    let pushes = scene.vendors.pushes(2).await;
    assert_eq!(pushes[1].json().get("class"), Some(&"ended".into()), "{}", pushes[1].json());
    let published = scene.third.wait_for(4).await;
    assert!(published[2..].iter().all(|push| push.says() == [("message-count", "1")]), "{published:#?}");

    // Of a call that rang nowhere, nothing ends.
    scene.say("alice", &format!("<retract xmlns='{CALL}' id='call-0'/>"), "c3").await;
    scene.quiet().await;
    assert_eq!((scene.third.published().len(), scene.vendors.vendor.pushes().len()), (4, 2));
}

async fn row_10_a_retracted_call_does_not_ring_what_did_not_ring_yet() {
    let mut scene = Scene::set(&Setting { rules: "max_devices = 12", ..Setting::default() }).await;
    let mut phone = scene.plain("alice", "phone").await;
    for number in 1..=12 {
        scene.enable(&mut phone, &format!("n{number}")).await;
    }
    // Eight are under way to one service at most: four wait.
    scene.third.says(Says::Nothing).await;
    scene.say("alice", &propose("call-1"), "c1").await;
    let rung = scene.third.wait_for(8).await;
    scene.say("alice", &format!("<retract xmlns='{CALL}' id='call-1'/>"), "c2").await;
    scene.quiet().await;
    assert_eq!(scene.third.published().len(), 8);
    scene.third.says(Says::Result).await;
    let published = scene.third.wait_for(16).await;
    scene.quiet().await;
    assert_eq!(scene.third.published().len(), 16, "whatever rang ends, and nothing else was sent");
    let mut ended: Vec<_> = published[8..].iter().map(|push| push.node.as_str()).collect();
    let mut rung: Vec<_> = rung.iter().map(|push| push.node.as_str()).collect();
    rung.sort_unstable();
    ended.sort_unstable();
    assert_eq!(ended, rung);
}

async fn row_10_a_call_taken_on_the_laptop_ends_on_the_phone() {
    for archive in [true, false] {
        let (mut scene, mut laptop) = laptop_and_phone(archive).await;
        scene.say("alice", &propose("call-1"), "c1").await;
        scene.vendors.pushes(1).await;
        laptop
            .send(&format!(
                "<message type='chat' id='p1' to='bob@localhost/desk'><proceed xmlns='{CALL}' id='call-1'/></message>"
            ))
            .await;
        let pushes = scene.vendors.pushes(2).await;
        assert_eq!(pushes[1].json().get("class"), Some(&"ended".into()), "archive: {archive}: {}", pushes[1].json());
    }
}

fn propose(id: &str) -> String {
    format!(
        "<propose xmlns='{CALL}' id='{id}'><description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'/></propose>\
         <store xmlns='urn:xmpp:hints'/>"
    )
}

crate::on_hosts::on_hosts! {
    both: [
        row_10_a_call_rings_every_device_at_once,
        row_10_a_call_rings_every_device_at_once_without_an_archive,
        row_10_a_retracted_call_stops_the_devices_that_rang,
        row_10_a_retracted_call_does_not_ring_what_did_not_ring_yet,
        row_10_a_call_taken_on_the_laptop_ends_on_the_phone,
    ],
}
