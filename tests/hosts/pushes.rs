//! A message to a phone that is away becomes one push: a real client that loses its connection, and Prosody's own
//! `mod_cloud_notify`. The vendor here is the stub, which logs.

use crate::steps::{STUB_APP, goes_away, host, is_push, message_from_bob, pushkeeper, reads_the_message};

async fn a_message_to_a_lost_connection_is_one_push_and_waits_on_the_server() {
    let host = host().await;
    let mut pushkeeper = pushkeeper(&host, STUB_APP).await;
    let session = goes_away(&host, "fcm", "ok").await;
    let before = pushkeeper.log().lines().count();

    message_from_bob(&host, "m1").await;
    let pushes = |log: &str| log.lines().skip(before).filter(|line| is_push(line)).count();
    pushkeeper.wait_for_log("a push", |log| pushes(log) > 0).await;

    // Prosody collects for a second: by the push of the next message, a second one of the first would have come.
    let sent = pushes(&pushkeeper.log());
    message_from_bob(&host, "m2").await;
    pushkeeper.wait_for_log("the next push", |log| pushes(log) > sent).await;
    let log = pushkeeper.log();
    assert_eq!((sent, pushes(&log)), (1, 2), "exactly one each:\n{log}");
    for secret in ["This text stays", "bob@localhost"] {
        assert!(!log.contains(secret), "{secret:?} is nobody's business but theirs:\n{log}");
    }
    reads_the_message(&host, session, "m1").await;
}

crate::on_hosts::on_hosts! {
    both: [
    ],
    prosody: [
        a_message_to_a_lost_connection_is_one_push_and_waits_on_the_server,
    ],
}
