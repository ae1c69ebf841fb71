//! What is told of sessions.

use crate::prosody::HOST;
use crate::rig::{Keeper, chat, host, online};

#[tokio::test]
async fn a_session_that_loses_its_connection_hibernates_with_what_is_unacknowledged_and_resumes() {
    let host = host("").await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    let phone = online(&host, "alice", "phone").await;
    let bind = keeper.next("bind").await;
    assert_eq!((bind.attr("user"), bind.attr("resource"), bind.attr("state")), ("alice", "phone", "plain"));

    let mut bob = online(&host, "bob", "desk").await;
    let session = phone.lose_connection().expect("a session");
    let away = keeper.next("hibernate").await;
    assert_eq!(away.attr("sid"), bind.attr("sid"));
    assert_eq!(
        (away.attr("state"), away.attr("timeout"), away.attr("queued")),
        ("hibernated", "600", "0"),
        "{}",
        away.text()
    );

    bob.send(&chat(&format!("alice@{HOST}"), "m1", "Hello")).await;
    let archived = keeper.next("archived").await;
    assert_eq!(archived.ids(), ["m1"]);
    let queued = keeper.next("queued").await;
    assert_eq!((queued.attr("since"), queued.ids()), (away.attr("since"), vec!["m1"]));

    let phone = crate::client::Client::resume(host.c2s_port(), "alice@localhost/phone", "pw", session).await;
    let back = keeper.next("resume").await;
    assert_eq!((back.attr("sid"), back.attr("state")), (bind.attr("sid"), "active"));
    phone.close().await;
    assert_eq!(keeper.next("end").await.attr("reason"), "closed");
}
