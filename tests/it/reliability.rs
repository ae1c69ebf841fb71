//! Never lose a wake: all of pushkeeper with a vendor at its worst, small enough for every day. `docs/reliability.md`
//! has the same in full size.

use std::time::Duration;

use crate::trouble::{Pace, Run, Tally, Trouble};

const SECOND: Duration = Duration::from_secs(1);

/// How many publishes are unanswered at most.
const WINDOW: usize = 200;

async fn run(trouble: Trouble, service: &'static str) -> Tally {
    let pace = Pace::Window(WINDOW);
    Run { trouble, service, publishes: 2000, pace, patience: 60 * SECOND }.go().await
}

/// Every publish was answered `result`, and every device has its push.
#[track_caller]
fn assert_none_lost(tally: &Tally) {
    let expected = (tally.published, 0, tally.published, 0);
    assert_eq!((tally.results, tally.failed, tally.delivered, tally.lost), expected, "{tally:?}");
}

/// What the loss of connections can strike at most: all that was under way, each time.
fn struck(tally: &Tally) -> usize {
    (tally.connections as usize - 1) * WINDOW
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_in_order_gets_each_push_once() {
    let tally = run(Trouble::None, "apns").await;
    assert_none_lost(&tally);
    assert_eq!((tally.duplicates, tally.requests), (0, tally.published), "{tally:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn goaway_loses_none_fails_none_and_repeats_none() {
    let tally = run(Trouble::GoAway(100), "apns").await;
    assert_none_lost(&tally);
    assert_eq!(tally.duplicates, 0, "{tally:?}");
    assert!(tally.connections >= 10, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_connections_lose_none_and_repeat_no_more_than_was_under_way() {
    for service in ["apns", "fcm"] {
        let tally = run(Trouble::Cut(200), service).await;
        assert_none_lost(&tally);
        assert!(tally.connections >= 10, "{service}: {tally:?}");
        assert!(tally.duplicates <= struck(&tally), "{service}: {tally:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_is_down_for_a_while_costs_no_push() {
    let trouble = Trouble::Down(Duration::from_millis(100), 2 * SECOND);
    let pace = Pace::PerSecond(500);
    let tally = Run { trouble, service: "apns", publishes: 1000, pace, patience: 60 * SECOND }.go().await;
    assert_none_lost(&tally);
    assert_eq!(tally.duplicates, 0, "{tally:?}");
    assert!(tally.requests > tally.published, "some were refused: {tally:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_honoured() {
    for service in ["apns", "fcm"] {
        let tally = run(Trouble::Throttled(10, 2), service).await;
        assert_none_lost(&tally);
        assert_eq!((tally.too_early, tally.duplicates), (0, 0), "{service}: {tally:?}");
        assert!(tally.requests >= tally.published + 200, "{service}: {tally:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_hang_keep_nobody_waiting_but_themselves() {
    let pace = Pace::PerSecond(500);
    let trouble = Trouble::Hang(10);
    let tally = Run { trouble, service: "apns", publishes: 500, pace, patience: 60 * SECOND }.go().await;
    assert_none_lost(&tally);
    assert_eq!(tally.duplicates, 0, "{tally:?}");
    // How much less than a second is the machine's affair: the bench compares.
    assert!(tally.p50 < SECOND, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_access_token_fails_none() {
    let tally = run(Trouble::Revoked(900), "fcm").await;
    assert_none_lost(&tally);
    assert_eq!(tally.duplicates, 0, "{tally:?}");
    // Sent again at once, not owed: one request more for each that met the revocation, and no wait.
    assert!(tally.requests <= tally.published + 2 * WINDOW + 5, "{tally:?}");
    assert!(tally.p99 < 5 * SECOND, "nearly all were answered with the vendor's word: {tally:?}");
    assert!(tally.took < 30 * SECOND, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_is_away_at_the_start_gets_all_when_it_is_there() {
    let tally = run(Trouble::Away(3 * SECOND), "apns").await;
    assert_none_lost(&tally);
    assert_eq!(tally.duplicates, 0, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_fall_silent_lose_none() {
    let tally = run(Trouble::Freeze(900), "apns").await;
    assert_none_lost(&tally);
    assert!(tally.duplicates <= struck(&tally), "{tally:?}");
}
