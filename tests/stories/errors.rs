//! Rows 13 and 19: push services that refuse, and one that never answers.

use std::collections::BTreeSet;

use crate::scene::{Scene, Setting, TOKEN};
use crate::service::Says;

const REFUSED: Says = Says::Error("cancel", "item-not-found");
const LATER: Says = Says::Error("wait", "resource-constraint");

/// alice is away; every message to her is a push.
async fn alice_is_away(rules: &str) -> Scene {
    let scene = Scene::set(&Setting { burst_window: "0s", rules, offline: false, ..Setting::default() }).await;
    let phone = scene.phone().await;
    phone.close().await;
    scene.tap.wait_for_events("end", "alice", 1).await;
    scene
}

/// So many messages to alice are so many pushes, one after the other.
async fn pushes(scene: &mut Scene, count: usize) {
    for _ in 0..count {
        let before = scene.third.published().len();
        scene.write("alice", &format!("m{before}")).await;
        scene.third.wait_for(before + 1).await;
        // Until its answer is back, the next message would wait for it.
        scene
            .tap
            .wait_until("an answer to the relay", |tap| tap.orders("relay").iter().all(|it| it.answer.is_some()))
            .await;
    }
}

/// Whether the log says that alice's registration is disabled.
fn is_disabled(scene: &Scene) -> bool {
    let log = scene.daemon.log();
    log.lines()
        .any(|line| line.contains("alice@localhost") && line.contains("third.localhost") && line.contains("errors"))
}

async fn row_13_a_push_service_that_refuses_sixteen_times_gets_no_more() {
    let mut scene = alice_is_away("").await;
    scene.third.says(REFUSED).await;
    pushes(&mut scene, 15).await;
    scene.quiet().await;
    assert!(!is_disabled(&scene), "not yet:\n{}", scene.daemon.log());
    pushes(&mut scene, 1).await;
    scene.daemon.wait_for_log("it is disabled", |log| log.lines().any(|line| line.contains("errors"))).await;
    assert!(is_disabled(&scene));
    scene.write("alice", "one more").await;
    scene.quiet().await;
    assert_eq!(scene.third.published().len(), 16);

    // An enable, any enable, revives it.
    let phone = scene.phone().await;
    phone.close().await;
    scene.tap.wait_for_events("end", "alice", 2).await;
    scene.third.says(Says::Result).await;
    pushes(&mut scene, 1).await;
}

async fn row_13_a_push_service_that_is_busy_a_hundred_times_is_not_given_up() {
    let mut scene = alice_is_away("").await;
    scene.third.says(LATER).await;
    pushes(&mut scene, 100).await;
    scene.third.says(Says::Result).await;
    pushes(&mut scene, 1).await;
    assert!(!is_disabled(&scene), "{}", scene.daemon.log());
}

async fn row_13_a_result_in_between_starts_the_count_anew() {
    let mut scene = alice_is_away("max_errors = 4").await;
    let refusals = |count| std::iter::repeat_n(REFUSED, count);
    scene.third.says_next(refusals(3).chain([Says::Result]).chain(refusals(3)).chain([LATER])).await;
    pushes(&mut scene, 8).await;
    scene.quiet().await;
    assert!(!is_disabled(&scene), "three, none, three: {}", scene.daemon.log());
    scene.third.says_next([REFUSED]).await;
    pushes(&mut scene, 1).await;
    scene.daemon.wait_for_log("it is disabled", |log| log.lines().any(|line| line.contains("errors"))).await;
    assert!(is_disabled(&scene), "the fourth in a row");
}

async fn row_13_a_hibernated_session_gets_its_normal_window_back_when_its_registration_is_disabled() {
    let setting = Setting { rules: "max_errors = 1", ..Setting::default() };
    let mut scene = Scene::set(&setting).await;
    let phone = scene.phone().await;
    scene.reset(phone).await;
    scene.tap.wait_for_windows("alice", &[72 * 3600]).await;
    scene.third.says(REFUSED).await;
    scene.write("alice", "m1").await;
    scene.third.wait_for(1).await;
    scene.tap.wait_for_windows("alice", &[72 * 3600, 600]).await;
    assert!(is_disabled(&scene));
}

async fn row_19_a_service_that_never_answers_delays_nobody_else() {
    const DEVICES: usize = 40;
    let setting = Setting { burst_window: "0s", rules: "max_devices = 41", offline: false, ..Setting::default() };
    let mut scene = Scene::set(&setting).await;
    let mut phone = scene.plain("alice", "phone").await;
    for number in 1..=DEVICES {
        scene.enable(&mut phone, &format!("n{number}")).await;
    }
    let mut other = scene.plain("dave", "phone").await;
    scene.enable_ours(&mut other, TOKEN).await;
    for client in [phone, other] {
        client.close().await;
    }
    scene.tap.wait_for_events("end", "alice", 1).await;
    scene.tap.wait_for_events("end", "dave", 1).await;

    scene.third.says(Says::Nothing).await;
    scene.write("alice", "m1").await;
    scene.third.wait_for(8).await;
    for number in 1..=20 {
        scene.write("dave", &format!("d{number}")).await;
        scene.vendors.pushes(number).await;
    }
    scene.quiet().await;
    assert_eq!(scene.third.published().len(), 8, "eight at a time to one service");
    assert_eq!(scene.vendors.vendor.pushes().len(), 20, "and dave got them all");
    assert_eq!(scene.tap.wait_for_events("archived", "dave", 20).await.len(), 20);
    assert_eq!(scene.syncs(), 0, "no gap, no new link");

    // Now it answers, and everyone gets the push that waited.
    scene.third.says(Says::Result).await;
    scene.third.wait_for(DEVICES).await;
    scene.quiet().await;
    let nodes: BTreeSet<_> = scene.third.published().into_iter().map(|push| push.node).collect();
    assert_eq!((nodes.len(), scene.third.published().len()), (DEVICES, DEVICES), "one each");
    assert!(!is_disabled(&scene), "{}", scene.daemon.log());
}

crate::on_hosts::on_hosts! {
    both: [
        row_13_a_push_service_that_refuses_sixteen_times_gets_no_more,
        row_13_a_push_service_that_is_busy_a_hundred_times_is_not_given_up,
        row_13_a_result_in_between_starts_the_count_anew,
        row_13_a_hibernated_session_gets_its_normal_window_back_when_its_registration_is_disabled,
        row_19_a_service_that_never_answers_delays_nobody_else,
    ],
}
