//! Rows 3 and 7: a phone whose network is gone without a word.

use crate::scene::{Scene, Setting};

/// The host waits a second for acknowledgements.
async fn scene() -> Scene {
    let setting = Setting { ack_delay: 1, sessions: "max_ack_delay = \"1s\"", host_window: 300, ..Setting::default() };
    Scene::set(&setting).await
}

async fn row_03_a_phone_that_fell_silent_is_pushed_to_for_each_message_though_its_connection_lives() {
    let mut scene = scene().await;
    let mut phone = scene.phone().await;
    phone.acknowledge_all().await;
    phone.fall_silent();
    scene.write("alice", "m1").await;
    let first = scene.third.wait_for(1).await;
    assert!(first[0].is_important(), "{first:?}");
    let overdue = scene.tap.wait_for_events("ack-delayed", "alice", 1).await;
    assert_eq!(overdue[0].element.attr("state"), Some("unresponsive"));
    assert!(overdue[0].at < first[0].at, "nothing is pushed before the acknowledgement is overdue");

    scene.write("alice", "m2").await;
    assert!(scene.third.wait_for(2).await[1].is_important());
    scene.quiet().await;
    assert_eq!(scene.third.published().len(), 2, "one each");
    assert_eq!(scene.tap.windows("alice"), [] as [u64; 0], "its session does not hibernate");
    assert_eq!(scene.tap.events("hibernate").len(), 0);

    // It was only slow: from here on, it needs no pushes.
    phone.speak_again().await;
    phone.acknowledge_all().await;
    scene.tap.wait_for_events("ack", "alice", 1).await;
    scene.write("alice", "m3").await;
    phone.wait_for("m3", |it| it.name() == "message" && it.attr("id") == Some("m3")).await;
    phone.acknowledge_all().await;
    scene.quiet().await;
    assert_eq!(scene.third.published().len(), 2);
}

async fn row_03_an_acknowledgement_in_the_last_moment_saves_the_push() {
    let setting =
        Setting { ack_delay: 1, sessions: "max_ack_delay = \"1s\"", burst_window: "2s", ..Setting::default() };
    let mut scene = Scene::set(&setting).await;
    let mut phone = scene.phone().await;
    phone.acknowledge_all().await;
    phone.fall_silent();
    scene.write("alice", "m1").await;
    scene.tap.wait_for_events("ack-delayed", "alice", 1).await;
    phone.wait_for("m1", |it| it.name() == "message" && it.attr("id") == Some("m1")).await;
    phone.speak_again().await;
    scene.tap.wait_for_events("ack", "alice", 1).await;
    scene.quiet().await;
    assert_eq!(scene.third.published().len(), 0, "it has the message");
}

async fn row_07_what_was_pushed_while_the_phone_was_silent_is_not_pushed_again_when_it_hibernates() {
    let mut scene = scene().await;
    let mut phone = scene.phone().await;
    phone.acknowledge_all().await;
    phone.fall_silent();
    scene.write("alice", "m1").await;
    scene.third.wait_for(1).await;

    let session = scene.reset_at_once(phone).await;
    let asleep = scene.tap.wait_for_events("hibernate", "alice", 1).await.remove(0);
    assert_eq!(asleep.element.attr("unacked"), Some("1"), "the message is still owed to the phone");
    scene.quiet().await;
    assert_eq!(scene.third.published().len(), 1, "but not the push");
    // It was told already that there is something: it gets the normal window.
    assert_eq!(scene.tap.windows("alice").last(), Some(&600), "{:?}", scene.tap.windows("alice"));

    scene.write("alice", "m2").await;
    scene.third.wait_for(2).await;
    scene.quiet().await;
    assert_eq!(scene.third.published().len(), 2);
    let mut phone = scene.resume(session).await;
    for id in ["m1", "m2"] {
        phone.wait_for(id, |it| it.name() == "message" && it.attr("id") == Some(id)).await;
    }
}

crate::on_hosts::on_hosts! {
    both: [
        row_03_a_phone_that_fell_silent_is_pushed_to_for_each_message_though_its_connection_lives,
        row_03_an_acknowledgement_in_the_last_moment_saves_the_push,
        row_07_what_was_pushed_while_the_phone_was_silent_is_not_pushed_again_when_it_hibernates,
    ],
}
