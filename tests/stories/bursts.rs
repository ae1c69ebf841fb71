//! Rows 4, 5 and 6: what is collected before a push.

use std::time::Duration;

use pushkeeper::clock::Clock;

use crate::scene::{Scene, Setting};
use crate::server::HOST;

async fn row_04_twenty_messages_in_three_hundred_milliseconds_are_one_push() {
    let mut scene = Scene::set(&Setting { burst_window: "1s", ..Setting::default() }).await;
    let phone = scene.phone().await;
    let session = scene.reset(phone).await;
    let messages: String = (1..=20)
        .map(|number| format!("<message type='chat' id='m{number}' to='alice@{HOST}'><body>{number}</body></message>"))
        .collect();
    let clock = Clock::system();
    scene.bob.send(&messages).await;
    scene.tap.wait_for_events("queued", "alice", 20).await;
    let took = clock.steady().uptime();
    assert!(took < Duration::from_millis(900), "the story needs them within one window: they took {took:?}");

    scene.third.wait_for(1).await;
    scene.quiet().await;
    let pushes = scene.third.published();
    assert_eq!(pushes.len(), 1, "{pushes:#?}");
    assert!(pushes[0].is_important());
    scene.tap.wait_for_windows("alice", &[72 * 3600, 600]).await;
    let mut phone = scene.resume(session).await;
    phone.wait_for("m20", |it| it.name() == "message" && it.attr("id") == Some("m20")).await;
}

async fn row_05_presence_and_iq_results_are_at_most_one_unimportant_push_and_leave_the_window() {
    let mut scene = Scene::start().await;
    let phone = scene.phone().await;
    scene.reset(phone).await;
    let phone = format!("alice@{HOST}/phone");
    for number in 1..=3 {
        scene.bob.send(&format!("<presence to='{phone}'><status>{number}</status></presence>")).await;
        scene.bob.send(&format!("<iq type='result' id='i{number}' to='{phone}'/>")).await;
    }
    scene.tap.wait_for_events("queued", "alice", 6).await;
    scene.quiet().await;
    let pushes = scene.third.published();
    assert!(pushes.len() <= 1, "{pushes:#?}");
    for push in pushes {
        assert_eq!(push.says(), [("message-count", "1")]);
    }
    assert_eq!(scene.tap.windows("alice"), [72 * 3600]);
}

async fn row_05_no_unimportant_push_where_the_operator_wants_none() {
    let mut scene = Scene::set(&Setting { rules: "unimportant = \"never\"", ..Setting::default() }).await;
    let phone = scene.phone().await;
    scene.reset(phone).await;
    scene.bob.send(&format!("<presence to='alice@{HOST}/phone'/>")).await;
    scene.tap.wait_for_events("queued", "alice", 1).await;
    scene.quiet().await;
    assert_eq!(scene.third.published().len(), 0);
}

async fn row_06_a_phone_that_is_back_within_the_burst_window_gets_no_push() {
    let mut scene = Scene::set(&Setting { burst_window: "2s", ..Setting::default() }).await;
    let phone = scene.phone().await;
    let session = scene.reset(phone).await;
    scene.write("alice", "m1").await;
    scene.tap.wait_for_events("queued", "alice", 1).await;
    let mut phone = scene.resume(session).await;
    phone.wait_for("m1", |it| it.name() == "message" && it.attr("id") == Some("m1")).await;
    phone.acknowledge_all().await;
    scene.tap.wait_for_events("resume", "alice", 1).await;
    scene.quiet().await;
    assert_eq!(scene.third.published().len(), 0, "it has the message");
}

crate::on_hosts::on_hosts! {
    both: [
        row_04_twenty_messages_in_three_hundred_milliseconds_are_one_push,
        row_05_presence_and_iq_results_are_at_most_one_unimportant_push_and_leave_the_window,
        row_05_no_unimportant_push_where_the_operator_wants_none,
        row_06_a_phone_that_is_back_within_the_burst_window_gets_no_push,
    ],
}
