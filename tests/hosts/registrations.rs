//! Devices, registered through a real Prosody in the dialect of Conversations.

use crate::component::Component;
use crate::server::PASSWORD;
use crate::steps::{
    Device, FOREIGN, SERVICE, STUB_APP, foreign_iq, foreign_publish, host, online, pushkeeper, refusal, register,
    register_command,
};

async fn every_version_of_the_app_gets_the_same_node_and_secret_again() {
    let host = host().await;
    let _pushkeeper = pushkeeper(&host, STUB_APP).await;
    let mut phone = online(&host, "alice", "phone").await;
    let device = register(&mut phone, "fcm", "ok-1").await;
    assert!(device.node.len() >= 16, "128 bits or more: {device:?}");
    assert!(device.secret.len() >= 16, "128 bits or more: {device:?}");
    for action in ["", "action='execute'", "action='complete'", "action='next'"] {
        let command = register_command("fcm", action, "92afd7a91cdba9a0", "ok-2");
        let answer = phone.iq("set", Some(SERVICE), &command).await;
        assert_eq!(Device::from_answer(&answer), device, "{action}");
    }
    let other = phone.iq("set", Some(SERVICE), &register_command("fcm", "", "another-device", "ok-3")).await;
    assert_ne!(Device::from_answer(&other).node, device.node, "another device has another node");
}

async fn a_registration_survives_kill_9_right_after_the_answer() {
    let host = host().await;
    let mut pushkeeper = pushkeeper(&host, STUB_APP).await;
    let mut server = Component::connect(host.component_port(), FOREIGN, PASSWORD).await;
    for round in 1..=5 {
        let device_id = format!("device-{round}");
        server.send(&juliet(&register_command("fcm", "", &device_id, "ok"))).await;
        let device = Device::from_answer(&server.next_answer().await);

        pushkeeper.kill().await;
        pushkeeper.start_again();
        pushkeeper.wait_for_link(round + 1).await;

        server.send(&foreign_publish("p1", &device)).await;
        let answer = server.next_answer().await;
        assert_eq!(refusal(&answer), None, "round {round}: the device is gone");
        server.send(&juliet(&register_command("fcm", "", &device_id, "ok"))).await;
        assert_eq!(Device::from_answer(&server.next_answer().await), device, "round {round}");
    }
}

async fn only_the_owners_server_with_the_right_secret_reaches_a_device() {
    let host = host().await;
    let _pushkeeper = pushkeeper(&host, STUB_APP).await;
    let mut phone = online(&host, "alice", "phone").await;
    let of_alice = register(&mut phone, "fcm", "ok").await;
    let mut server = Component::connect(host.component_port(), FOREIGN, PASSWORD).await;
    server.send(&juliet(&register_command("fcm", "", "device", "ok"))).await;
    let of_juliet = Device::from_answer(&server.next_answer().await);

    let wrong_secret = Device { secret: "wrong".to_owned(), ..of_juliet.clone() };
    let unknown = Device { node: "unknown".to_owned(), ..of_juliet.clone() };
    let rows = [
        ("its own", &of_juliet, None),
        ("another server's", &of_alice, Some("cancel/item-not-found")),
        ("its own, wrong secret", &wrong_secret, Some("cancel/item-not-found")),
        ("nobody's", &unknown, Some("cancel/item-not-found")),
    ];
    for (what, device, expected) in rows {
        server.send(&foreign_publish("p1", device)).await;
        assert_eq!(refusal(&server.next_answer().await).as_deref(), expected, "{what}");
    }
}

/// An iq to us from a user of the foreign server.
fn juliet(payload: &str) -> String {
    foreign_iq("r1", "juliet", payload)
}

crate::on_hosts::on_hosts! {
    both: [
        every_version_of_the_app_gets_the_same_node_and_secret_again,
        a_registration_survives_kill_9_right_after_the_answer,
        only_the_owners_server_with_the_right_secret_reaches_a_device,
    ],
}
