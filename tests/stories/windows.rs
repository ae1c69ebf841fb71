//! Rows 1, 2 and 15: how long a hibernated session may be resumed.

use crate::scene::{Scene, Setting, THIRD, TOKEN};
use crate::steps::refusal;

const THREE_DAYS: u64 = 72 * 3600;

async fn row_01_a_message_to_a_phone_that_was_reset_is_one_push_and_shrinks_its_window() {
    let mut scene = Scene::start().await;
    let mut phone = scene.online("alice", "phone").await;
    scene.enable_ours(&mut phone, TOKEN).await;
    let session = scene.reset(phone).await;
    scene.tap.wait_for_windows("alice", &[THREE_DAYS]).await;

    // As long as Apple has not taken it, it does not count.
    scene.vendors.vendor.hold();
    scene.write("alice", "m1").await;
    scene.vendors.pushes(1).await;
    scene.quiet().await;
    assert_eq!(scene.tap.windows("alice"), [THREE_DAYS]);
    scene.vendors.vendor.release();
    scene.tap.wait_for_windows("alice", &[THREE_DAYS, 600]).await;

    // And only the first one shrinks it.
    scene.write("alice", "m2").await;
    let pushes = scene.vendors.pushes(2).await;
    scene.quiet().await;
    assert_eq!(scene.vendors.pushes(2).await.len(), 2, "one each");
    assert_eq!(scene.tap.windows("alice"), [THREE_DAYS, 600]);
    for push in pushes {
        assert_eq!((push.header("apns-push-type"), push.header("apns-priority")), ("alert", "10"));
        assert_eq!(push.json().pointer("/aps/alert/body"), Some(&"New Message!".into()), "{}", push.json());
    }
    for order in scene.tap.orders("timeout") {
        let (_, answer) = order.answer.expect("an answer");
        assert_eq!(answer.attr("type"), Some("result"), "{}", String::from(&answer));
    }
    let mut phone = scene.resume(session).await;
    for id in ["m1", "m2"] {
        phone.wait_for(id, |it| it.name() == "message" && it.attr("id") == Some(id)).await;
    }
}

async fn row_01_the_third_partys_push_service_gets_what_the_client_gave_for_it() {
    let mut scene = Scene::start().await;
    let mut phone = scene.online("alice", "phone").await;
    let options = "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>\
                   <value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
                   <field var='secret'><value>s3cr3t &amp; more</value></field>\
                   <field var='pushModule'><value>monalProdiOS</value></field></x>";
    assert_eq!(refusal(&phone.enable_push(THIRD, "phone", options).await), None);
    scene.reset(phone).await;
    scene.write("alice", "m1").await;

    let publish = scene.third.wait_for(1).await.remove(0);
    assert_eq!((publish.from.as_str(), publish.node.as_str()), ("localhost", "phone"));
    assert_eq!(publish.form.as_deref(), Some("submit"));
    let form_type = publish.fields.first().expect("a field");
    assert_eq!((form_type.name.as_str(), form_type.kind.as_deref()), ("FORM_TYPE", Some("hidden")));
    assert_eq!(form_type.value.as_deref(), Some("urn:xmpp:push:summary"));
    assert_eq!(publish.says(), [("message-count", "1"), ("last-message-body", "New Message!")]);
    let options: Vec<_> =
        publish.options.iter().map(|field| (field.name.as_str(), field.value.as_deref().unwrap_or_default())).collect();
    let expected = [
        ("FORM_TYPE", "http://jabber.org/protocol/pubsub#publish-options"),
        ("secret", "s3cr3t & more"),
        ("pushModule", "monalProdiOS"),
    ];
    assert_eq!(options, expected);
    scene.tap.wait_for_windows("alice", &[THREE_DAYS, 600]).await;
}

async fn row_01_the_session_really_ends_when_the_window_after_the_push_is_over() {
    let sessions = "hibernation_time = \"2s\"\nmax_hibernation = \"1h\"";
    let mut scene = Scene::set(&Setting { sessions, ..Setting::default() }).await;
    let phone = scene.phone().await;
    let session = scene.reset(phone).await;
    scene.tap.wait_for_windows("alice", &[3600]).await;
    scene.write("alice", "m1").await;
    let pushed = scene.third.wait_for(1).await.remove(0).at;
    let ended = scene.tap.wait_for_events("end", "alice", 1).await.remove(0);
    assert_eq!(ended.element.attr("reason"), Some("timeout"));
    let lived = (ended.at - pushed).as_secs_f64();
    // The host's own timer may fire up to a second late.
    assert!((1.9..4.5).contains(&lived), "it lived {lived} s after the push");
    assert_eq!(scene.tap.windows("alice"), [3600, 2]);
    scene.is_over(session).await;
}

async fn row_02_a_phone_that_nobody_writes_to_is_woken_before_its_window_ends_and_then_it_ends() {
    let sessions = "hibernation_time = \"1s\"\nmax_hibernation = \"4s\"\nwake_before_end = \"2s\"";
    let mut scene = Scene::set(&Setting { sessions, host_window: 1, ..Setting::default() }).await;
    let phone = scene.phone().await;
    let session = scene.reset(phone).await;
    let slept = scene.tap.wait_for_events("hibernate", "alice", 1).await.remove(0).at;

    let wake = scene.third.wait_for(1).await.remove(0);
    let before_wake = (wake.at - slept).as_secs_f64();
    assert!((1.9..3.5).contains(&before_wake), "woken {before_wake} s after it fell asleep, of 4");
    assert_eq!(wake.says(), [("message-count", "1")], "a wake carries nothing");

    let ended = scene.tap.wait_for_events("end", "alice", 1).await.remove(0);
    assert_eq!(ended.element.attr("reason"), Some("timeout"));
    let lived = (ended.at - slept).as_secs_f64();
    assert!((3.9..6.5).contains(&lived), "it lived {lived} s");
    assert_eq!(scene.tap.windows("alice"), [4], "a wake does not shrink the window");
    scene.is_over(session).await;
    scene.quiet().await;
    assert_eq!(scene.third.published().len(), 1, "woken once, and the end pushes nothing");
}

async fn row_02_a_phone_that_follows_the_wake_finds_its_session() {
    let sessions = "hibernation_time = \"1s\"\nmax_hibernation = \"4s\"\nwake_before_end = \"2s\"";
    let scene = Scene::set(&Setting { sessions, host_window: 1, ..Setting::default() }).await;
    let phone = scene.phone().await;
    let session = scene.reset(phone).await;
    scene.third.wait_for(1).await;
    let phone = scene.resume(session).await;
    // Another sleep, another window, another wake.
    scene.reset(phone).await;
    scene.tap.wait_for_windows("alice", &[4, 4]).await;
    scene.third.wait_for(2).await;
}

async fn row_02_a_session_without_a_registration_keeps_the_hosts_own_window() {
    let mut scene = Scene::set(&Setting { host_window: 1, ..Setting::default() }).await;
    let phone = scene.online("alice", "phone").await;
    let session = scene.reset(phone).await;
    let slept = scene.tap.wait_for_events("hibernate", "alice", 1).await.remove(0);
    let ended = scene.tap.wait_for_events("end", "alice", 1).await.remove(0);
    assert_eq!((slept.element.attr("timeout"), ended.element.attr("reason")), (Some("1"), Some("timeout")));
    scene.quiet().await;
    assert_eq!(scene.tap.windows("alice"), [] as [u64; 0]);
    scene.is_over(session).await;
}

async fn row_15_of_eleven_hibernated_sessions_the_longest_hibernated_one_ends() {
    let mut scene = Scene::start().await;
    let mut sessions = Vec::new();
    for number in 1..=11 {
        let client = scene.online("alice", &format!("r{number}")).await;
        sessions.push(scene.reset(client).await);
        if number == 10 {
            scene.quiet().await;
            assert_eq!(scene.tap.windows("alice"), [] as [u64; 0], "ten are allowed");
        }
    }
    let ended = scene.tap.wait_for_events("end", "alice", 1).await.remove(0);
    assert_eq!(ended.element.attr("resource"), Some("r1"));
    scene.quiet().await;
    assert_eq!(scene.tap.windows("alice"), [0], "nobody else ends");
    let orders = scene.tap.orders("timeout");
    assert_eq!(orders.first().and_then(|order| order.element.attr("resource")), Some("r1"));
    scene.is_over(sessions.remove(0)).await;
    for session in sessions {
        scene.resume(session).await;
    }
}

crate::on_hosts::on_hosts! {
    both: [
        row_01_a_message_to_a_phone_that_was_reset_is_one_push_and_shrinks_its_window,
        row_01_the_third_partys_push_service_gets_what_the_client_gave_for_it,
        row_01_the_session_really_ends_when_the_window_after_the_push_is_over,
        row_02_a_phone_that_nobody_writes_to_is_woken_before_its_window_ends_and_then_it_ends,
        row_02_a_phone_that_follows_the_wake_finds_its_session,
        row_02_a_session_without_a_registration_keeps_the_hosts_own_window,
        row_15_of_eleven_hibernated_sessions_the_longest_hibernated_one_ends,
    ],
}
