//! Row 11: what is important enough to be shown.

use crate::scene::{Scene, Setting, THIRD};
use crate::server::HOST;

const OMEMO: &str = "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'><key rid='2'>a2V5</key>\
                     <iv>aXY=</iv></header><payload>c2VjcmV0</payload></encrypted><store xmlns='urn:xmpp:hints'/>";

async fn row_11_what_is_important() {
    let mut scene = Scene::set(&Setting { burst_window: "200ms", ..Setting::default() }).await;
    let mut laptop = scene.plain("alice", "laptop").await;
    let mut phone = scene.phone().await;
    let carbons = phone.iq("set", None, "<enable xmlns='urn:xmpp:carbons:2'/>").await;
    assert_eq!(carbons.attr("type"), Some("result"));
    scene.reset(phone).await;

    let phone = format!("alice@{HOST}/phone");
    let body = "<body>Hello</body>";
    let from_bob =
        |kind: &str, content: &str| format!("<message type='{kind}' id='x' to='{phone}'>{content}</message>");
    let rows = [
        ("headline", "bob", from_bob("headline", body), 0),
        ("own sent carbon", "laptop", format!("<message type='chat' id='x' to='bob@{HOST}'>{body}</message>"), 0),
        (
            "MUC subject",
            "room",
            format!(
                "<message type='groupchat' id='x' from='room@{THIRD}' to='{phone}'><subject>News</subject></message>"
            ),
            0,
        ),
        (
            "displayed marker",
            "bob",
            from_bob("chat", "<displayed xmlns='urn:xmpp:chat-markers:0' id='y'/><store xmlns='urn:xmpp:hints'/>"),
            0,
        ),
        ("type error", "bob", from_bob("error", &format!("{body}<error type='cancel'/>")), 0),
        ("OMEMO without body", "bob", from_bob("chat", OMEMO), 1),
    ];
    for (place, (what, sender, stanza, expected)) in rows.into_iter().enumerate() {
        let (events, before) = (place + 1, scene.third.published().len());
        match sender {
            "bob" => scene.bob.send(&stanza).await,
            "laptop" => laptop.send(&stanza).await,
            _ => scene.third.send(&stanza).await,
        }
        scene.tap.wait_for_events("queued", "alice", events).await;
        scene.quiet().await;
        let pushes = &scene.third.published()[before..];
        let important = pushes.iter().filter(|push| push.is_important()).count();
        assert_eq!(important, expected, "{what}: {pushes:#?}");
        assert!(pushes.len() <= 1, "{what}: {pushes:#?}");
    }
    // Only the last one shrank the window.
    scene.tap.wait_for_windows("alice", &[72 * 3600, 600]).await;
}

crate::on_hosts::on_hosts! {
    both: [
        row_11_what_is_important,
    ],
}
