//! A message to a phone that is away becomes one push: a real client that loses its connection, and Prosody's own
//! `mod_cloud_notify`. The vendor here is the stub, which logs.

use std::time::Duration;

use tokio::time::sleep;

use crate::steps::{STUB_APP, goes_away, host, is_push, message_from_bob, pushkeeper, reads_the_message};

#[tokio::test]
async fn a_message_to_a_lost_connection_is_one_push_and_waits_on_the_server() {
    let host = host().await;
    let mut pushkeeper = pushkeeper(&host, STUB_APP).await;
    let session = goes_away(&host, "fcm", "ok").await;
    let before = pushkeeper.log().lines().count();

    message_from_bob(&host, "m1").await;
    pushkeeper.wait_for_log("a push", |log| log.lines().skip(before).any(is_push)).await;

    // Longer than Prosody's second in which it collects: a second push would have come.
    sleep(Duration::from_secs(3)).await;
    let log = pushkeeper.log();
    assert_eq!(log.lines().skip(before).filter(|line| is_push(line)).count(), 1, "exactly one:\n{log}");
    for secret in ["This text stays", "bob@localhost"] {
        assert!(!log.contains(secret), "{secret:?} is nobody's business but theirs:\n{log}");
    }
    reads_the_message(&host, session, "m1").await;
}
