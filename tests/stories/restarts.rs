//! Rows 16 and 22: the host is killed, pushkeeper is killed, the bridge is taken away; somebody sleeps meanwhile.

use std::time::Duration;

use tokio::time::sleep;

use crate::scene::{Scene, Setting, TOKEN};
use crate::tap::Tap;

/// "What was pushed at least 1 s before a kill" is what the promise is about.
const A_SECOND: Duration = Duration::from_millis(1100);

/// From the answer to the newest `sync` to the end of the snapshot.
fn time_to_settle(tap: &Tap) -> Duration {
    let sync = tap.orders("sync").pop().expect("a sync");
    let (answered, answer) = sync.answer.expect("an answer to it");
    assert_eq!(answer.attr("type"), Some("result"), "{}", String::from(&answer));
    let synced = tap.events("synced").pop().expect("the snapshot's end");
    assert_eq!(synced.element.attr("token"), sync.element.attr("token"));
    synced.at - answered
}

/// alice's phone hibernates and was pushed to; dave is away, without a session.
async fn asleep_and_pushed(setting: &Setting<'_>) -> (Scene, crate::client::Session) {
    let mut scene = Scene::set(setting).await;
    let mut of_dave = scene.plain("dave", "phone").await;
    scene.enable_ours(&mut of_dave, TOKEN).await;
    of_dave.close().await;
    let phone = scene.phone().await;
    let session = scene.reset(phone).await;
    scene.write("alice", "m1").await;
    scene.third.wait_for(1).await;
    scene.write("dave", "d1").await;
    scene.vendors.pushes(1).await;
    scene.tap.wait_for_windows("alice", &[72 * 3600, 600]).await;
    scene.quiet().await;
    sleep(A_SECOND).await;
    (scene, session)
}

async fn row_16_pushkeeper_is_killed_and_nothing_is_pushed_twice_or_forgotten() {
    let (mut scene, session) = asleep_and_pushed(&Setting::default()).await;
    scene.daemon.kill().await;
    scene.pushkeeper_again().await;
    let settled = time_to_settle(&scene.tap);
    assert!(settled < Duration::from_secs(2), "{settled:?}");
    scene.quiet().await;
    assert_eq!((scene.third.published().len(), scene.vendors.vendor.pushes().len()), (1, 1), "nothing twice");
    assert_eq!(scene.tap.windows("alice"), [72 * 3600, 600], "nor a second window");

    // Registrations, and what session they are bound to, are as before.
    scene.write("alice", "m2").await;
    scene.write("dave", "d2").await;
    scene.third.wait_for(2).await;
    scene.vendors.pushes(2).await;
    scene.quiet().await;
    assert_eq!((scene.third.published().len(), scene.vendors.vendor.pushes().len()), (2, 2));
    let mut phone = scene.resume(session).await;
    for id in ["m1", "m2"] {
        phone.wait_for(id, |it| it.name() == "message" && it.attr("id") == Some(id)).await;
    }
}

async fn row_16_what_came_while_pushkeeper_was_dead_is_pushed_when_it_is_back() {
    for offline in [true, false] {
        let (mut scene, session) = asleep_and_pushed(&Setting { offline, ..Setting::default() }).await;
        scene.daemon.kill().await;
        for (user, id) in [("alice", "m2"), ("alice", "m3"), ("dave", "d2"), ("dave", "d3")] {
            scene.write(user, id).await;
        }
        scene.bob.settle().await;
        scene.pushkeeper_again().await;
        scene.third.wait_for(2).await;
        scene.vendors.pushes(2).await;
        scene.quiet().await;
        let counts = (scene.third.published().len(), scene.vendors.vendor.pushes().len());
        assert_eq!(counts, (2, 2), "one push each for all that was missed");
        assert!(scene.third.published()[1].is_important());
        let mut phone = scene.resume(session).await;
        for id in ["m1", "m2", "m3"] {
            phone.wait_for(id, |it| it.name() == "message" && it.attr("id") == Some(id)).await;
        }
    }
}

async fn row_16_a_session_that_began_to_hibernate_while_pushkeeper_was_dead_gets_its_window() {
    let mut scene = Scene::start().await;
    let mut phone = scene.phone().await;
    phone.acknowledge_all().await;
    scene.daemon.kill().await;
    let session = phone.lose_connection().expect("a session");
    scene.write("alice", "m1").await;
    scene.bob.settle().await;
    scene.pushkeeper_again().await;
    scene.third.wait_for(1).await;
    scene.tap.wait_until("the normal window", |tap| tap.windows("alice").last() == Some(&600)).await;
    let mut phone = scene.resume(session).await;
    phone.wait_for("m1", |it| it.name() == "message" && it.attr("id") == Some("m1")).await;
}

async fn row_16_a_window_that_was_stretched_before_pushkeeper_died_stays_so_until_the_first_push() {
    let mut scene = Scene::start().await;
    let phone = scene.phone().await;
    scene.reset(phone).await;
    scene.tap.wait_for_windows("alice", &[72 * 3600]).await;
    scene.daemon.kill().await;
    scene.pushkeeper_again().await;
    scene.quiet().await;
    assert_eq!(scene.tap.windows("alice"), [72 * 3600], "it has what it should have");
    assert_eq!(scene.third.published().len(), 0);
    scene.write("alice", "m1").await;
    scene.third.wait_for(1).await;
    scene.tap.wait_for_windows("alice", &[72 * 3600, 600]).await;
}

async fn row_16_the_host_is_killed_and_no_registration_is_lost_and_nothing_is_pushed_twice() {
    let (mut scene, session) = asleep_and_pushed(&Setting::default()).await;
    scene.host.kill().await;
    scene.host_again().await;
    let settled = time_to_settle(&scene.tap);
    assert!(settled < Duration::from_secs(2), "{settled:?}");
    scene.is_over(session).await;
    scene.quiet().await;
    assert_eq!((scene.third.published().len(), scene.vendors.vendor.pushes().len()), (1, 1), "nothing twice");

    // alice's session is gone with the host: what comes now finds her away.
    scene.write("alice", "m2").await;
    scene.write("dave", "d2").await;
    scene.third.wait_for(2).await;
    scene.vendors.pushes(2).await;
    scene.quiet().await;
    assert_eq!((scene.third.published().len(), scene.vendors.vendor.pushes().len()), (2, 2));

    // A new session of the same resource is the registration's.
    let phone = scene.online("alice", "phone").await;
    let windows = scene.tap.windows("alice").len();
    scene.reset(phone).await;
    scene.tap.wait_until("a window", |tap| tap.windows("alice").len() > windows).await;
    assert_eq!(scene.tap.windows("alice").last(), Some(&(72 * 3600)));
    scene.write("alice", "m3").await;
    scene.third.wait_for(3).await;
}

async fn row_16_phones_whose_sessions_died_with_the_host_are_woken_if_the_operator_wants_it() {
    let mut scene = Scene::set(&Setting { sessions: "wake_on_start = true", ..Setting::default() }).await;
    let mut laptop = scene.plain("alice", "laptop").await;
    scene.enable(&mut laptop, "laptop").await;
    laptop.close().await;
    let phone = scene.phone().await;
    scene.reset(phone).await;
    scene.quiet().await;
    scene.host.kill().await;
    scene.host_again().await;
    let wake = scene.third.wait_for(1).await.remove(0);
    assert_eq!((wake.node.as_str(), wake.says()), ("phone", vec![("message-count", "1")]));
    scene.quiet().await;
    assert_eq!(scene.third.published().len(), 1, "only the one that was hibernating");
}

async fn row_16_both_are_killed_at_once() {
    let (mut scene, _session) = asleep_and_pushed(&Setting::default()).await;
    scene.daemon.kill().await;
    scene.host.kill().await;
    scene.daemon.start_again();
    scene.host_again().await;
    scene.quiet().await;
    assert_eq!((scene.third.published().len(), scene.vendors.vendor.pushes().len()), (1, 1), "nothing twice");
    scene.write("alice", "m2").await;
    scene.write("dave", "d2").await;
    scene.third.wait_for(2).await;
    scene.vendors.pushes(2).await;
}

async fn row_22_a_bridge_that_is_taken_away_counts_against_nobody() {
    // One error would be enough, and the push waits long enough for the bridge to go before it.
    let setting = Setting { rules: "max_errors = 1", burst_window: "2s", ..Setting::default() };
    let mut scene = Scene::set(&setting).await;
    let phone = scene.phone().await;
    phone.close().await;
    scene.tap.wait_for_events("end", "alice", 1).await;
    scene.write("alice", "m1").await;
    scene.tap.wait_for_events("archived", "alice", 1).await;
    scene.host.take_bridge_away().await;
    scene
        .tap
        .wait_until("the host no longer answers to us", |tap| {
            let orders = ["relay", "check", "sync"].iter().flat_map(|name| tap.orders(name));
            let answers = orders.filter_map(|order| order.answer);
            answers.into_iter().any(|(_, answer)| answer.attr("type") == Some("error"))
        })
        .await;
    assert_eq!(scene.third.published().len(), 0);

    scene.host.give_bridge_back().await;
    scene.wait_for_link().await;
    scene.write("alice", "m2").await;
    let push = scene.third.wait_for(1).await.remove(0);
    assert_eq!(push.node, "phone");
    let log = scene.daemon.log();
    let blamed = |line: &&str| line.contains("alice@localhost") && line.contains("errors");
    assert_eq!(log.lines().find(blamed), None, "{log}");
}

async fn row_22_a_host_without_a_bridge_is_no_reason_to_forget_anybody() {
    let mut scene = Scene::set(&Setting { rules: "max_errors = 1", ..Setting::default() }).await;
    let phone = scene.phone().await;
    phone.close().await;
    scene.tap.wait_for_events("end", "alice", 1).await;
    scene.host.take_bridge_away().await;
    scene.daemon.kill().await;
    let before = scene.tap.orders("watch").len();
    scene.daemon.start_again();
    scene
        .tap
        .wait_until("a host without a bridge refuses", |tap| {
            let refused = |answer: &(_, minidom::Element)| answer.1.attr("type") == Some("error");
            tap.orders("watch").iter().skip(before).any(|order| order.answer.as_ref().is_some_and(refused))
        })
        .await;
    scene.daemon.wait_for_log("it says so", |log| log.contains("localhost is not linked")).await;
    scene.write("alice", "m1").await;
    scene.bob.settle().await;
    scene.host.give_bridge_back().await;
    scene.wait_for_link().await;
    scene.write("alice", "m2").await;
    scene.third.wait_for(1).await;
}

crate::on_hosts::on_hosts! {
    both: [
        row_16_pushkeeper_is_killed_and_nothing_is_pushed_twice_or_forgotten,
        row_16_a_window_that_was_stretched_before_pushkeeper_died_stays_so_until_the_first_push,
        row_16_what_came_while_pushkeeper_was_dead_is_pushed_when_it_is_back,
        row_16_a_session_that_began_to_hibernate_while_pushkeeper_was_dead_gets_its_window,
        row_16_the_host_is_killed_and_no_registration_is_lost_and_nothing_is_pushed_twice,
        row_16_phones_whose_sessions_died_with_the_host_are_woken_if_the_operator_wants_it,
        row_16_both_are_killed_at_once,
        row_22_a_bridge_that_is_taken_away_counts_against_nobody,
        row_22_a_host_without_a_bridge_is_no_reason_to_forget_anybody,
    ],
}
