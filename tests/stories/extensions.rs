//! Row 24: Tigase's extensions of `<enable/>`, as Siskin IM and Snikket send them.

use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes128Gcm, Key, Nonce};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::client::{Client, Session};
use crate::scene::{Scene, THIRD};
use crate::server::HOST;
use crate::service::Published;
use crate::steps::refusal;

const KEY: [u8; 16] = *b"0123456789abcdef";
const CALL: &str = "urn:xmpp:jingle-message:0";

/// What the features say that an account can do.
const FEATURES: [&str; 9] = [
    "urn:xmpp:push:0",
    "tigase:push:filter:ignore-unknown:0",
    "tigase:push:filter:groupchat:0",
    "tigase:push:filter:muted:0",
    "tigase:push:priority:0",
    "tigase:push:encrypt:0",
    "tigase:push:encrypt:aes-128-gcm",
    "tigase:push:jingle:0",
    "tigase:push:away:0",
];

/// What Siskin IM asks for: rooms of the third party's, dave muted.
fn wishes(key: &str) -> String {
    format!(
        "<groupchat xmlns='tigase:push:filter:groupchat:0'>\
         <room jid='coven@{THIRD}' allow='always'/>\
         <room jid='forres@{THIRD}' allow='mentioned' nick='Juliet'/></groupchat>\
         <muted xmlns='tigase:push:filter:muted:0'><item jid='dave@{HOST}'/></muted>\
         <priority xmlns='tigase:push:priority:0'/>\
         <encrypt xmlns='tigase:push:encrypt:0' alg='aes-128-gcm' max-size='3000'>{key}</encrypt>\
         <jingle xmlns='tigase:push:jingle:0'/>"
    )
}

/// alice's phone asks for all of it, and loses its network.
async fn away(scene: &Scene) -> Session {
    let mut phone = scene.online("alice", "phone").await;
    let answer = phone.enable_push(THIRD, "phone", &wishes(&BASE64_STANDARD.encode(KEY))).await;
    assert_eq!(refusal(&answer), None, "{}", String::from(&answer));
    scene.reset(phone).await
}

/// What the phone reads of a push, after its type; and what else the push says.
struct Read {
    voip: bool,
    text: Value,
    priority: Option<String>,
    /// The step of a call, and what it is about.
    call: Option<(String, Vec<String>)>,
}

fn read(push: &Published) -> Read {
    let child = |name: &str, namespace: &str| push.notification.get_child(name, namespace);
    assert_eq!(push.fields, [], "instead of the form");
    let encrypted = child("encrypted", "tigase:push:encrypt:0").expect("something encrypted");
    let iv: [u8; 12] = BASE64_STANDARD.decode(encrypted.attr("iv").expect("a nonce")).unwrap().try_into().unwrap();
    let text = BASE64_STANDARD.decode(encrypted.text()).expect("base64");
    let cipher = Aes128Gcm::new(&Key::<Aes128Gcm>::from(KEY));
    let text = cipher.decrypt(&Nonce::from(iv), text.as_slice()).expect("it opens");
    let call = child("jingle", "tigase:push:jingle:0").map(|jingle| {
        let action = jingle.attr("action").unwrap_or_default().to_owned();
        (action, jingle.children().map(minidom::Element::text).collect())
    });
    Read {
        voip: encrypted.attr("type") == Some("voip"),
        text: serde_json::from_slice(&text).expect("JSON"),
        priority: child("priority", "tigase:push:priority:0").map(minidom::Element::text),
        call,
    }
}

async fn row_24_an_account_says_what_its_clients_can_ask_for() {
    let scene = Scene::start().await;
    let mut phone = scene.online("alice", "phone").await;
    let info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    let answer = phone.iq("get", Some(&format!("alice@{HOST}")), info).await;
    let query = answer.children().next().expect("a query");
    let has = |feature: &str| query.children().any(|child| child.attr("var") == Some(feature));
    let missing: Vec<_> = FEATURES.iter().filter(|feature| !has(feature)).collect();
    assert!(missing.is_empty(), "{missing:?}: {}", String::from(&answer));
}

async fn row_24_what_is_encrypted_only_the_phone_can_read() {
    let mut scene = Scene::start().await;
    away(&scene).await;
    scene.write("alice", "m1").await;
    let push = scene.third.wait_for(1).await.remove(0);
    let Read { voip, text, priority, call } = read(&push);
    assert_eq!(text, json!({"unread": 1, "sender": "bob@localhost", "type": "chat", "message": "Hello, this is m1"}));
    assert_eq!((voip, priority.as_deref(), call), (false, Some("high"), None));
    scene.tap.wait_for_windows("alice", &[72 * 3600, 600]).await;
    let log = scene.daemon.log();
    assert!(!log.contains("this is m1") && !log.contains(&BASE64_STANDARD.encode(KEY)), "{log}");

    // What is not important says no more than that.
    scene.bob.send(&format!("<presence to='alice@{HOST}/phone'/>")).await;
    let push = scene.third.wait_for(2).await.remove(1);
    assert_eq!(push.says(), [("message-count", "1")]);
    let priority = push.notification.get_child("priority", "tigase:push:priority:0").expect("it was asked for");
    assert_eq!(priority.text(), "low");
}

async fn row_24_rooms_push_as_their_member_wants() {
    let mut scene = Scene::start().await;
    away(&scene).await;
    let said = [("forres", "hi"), ("forres", "Juliette?"), ("cauldron", "Juliet"), ("forres", "juliet: hi")];
    for (number, (room, text)) in said.iter().enumerate() {
        let room = format!("{room}@{THIRD}");
        let message = format!(
            "<message type='groupchat' id='r{number}' from='{room}/Romeo' to='alice@{HOST}/phone'><body>{text}</body>\
             </message>"
        );
        scene.third.send(&message).await;
        scene.tap.wait_for_events("queued", "alice", number + 1).await;
        scene.quiet().await;
        let expected = usize::from(*text == "juliet: hi");
        assert_eq!(scene.third.published().len(), expected, "{text:?} in {room}");
    }
    let text = json!({"unread": 1, "sender": format!("forres@{THIRD}"), "type": "groupchat", "message": "juliet: hi",
                      "nickname": "Romeo"});
    assert_eq!(read(&scene.third.published()[0]).text, text);
    scene
        .daemon
        .wait_for_log("why was I not woken", |log| {
            log.matches("groupchat: no mention").count() == 2 && log.contains("groupchat: not this room")
        })
        .await;
}

async fn row_24_who_is_muted_does_not_push_and_does_not_ring() {
    let mut scene = Scene::start().await;
    away(&scene).await;
    let mut dave = scene.plain("dave", "desk").await;
    dave.send(&format!("<message type='chat' id='d1' to='alice@{HOST}'><body>hi</body></message>")).await;
    dave.send(&format!("<message type='chat' id='d2' to='alice@{HOST}'>{}</message>", propose("call-1"))).await;
    scene.tap.wait_for_events("queued", "alice", 2).await;
    scene.quiet().await;
    assert_eq!(scene.third.published().len(), 0);
    scene.write("alice", "m1").await;
    scene.third.wait_for(1).await;
}

async fn row_24_a_call_says_what_it_is_about_and_when_it_is_over() {
    let mut scene = Scene::start().await;
    away(&scene).await;
    scene.say("alice", &propose("call-1"), "c1").await;
    let rung = read(&scene.third.wait_for(1).await[0]);
    let about = |media: &[&str]| media.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!((rung.voip, rung.priority.as_deref()), (true, Some("high")));
    assert_eq!(rung.call, Some(("propose".to_owned(), about(&["audio", "video"]))));
    let text = json!({"unread": 1, "sender": "bob@localhost/desk", "type": "call", "sid": "call-1",
                      "media": ["audio", "video"]});
    assert_eq!(rung.text, text);

    scene.say("alice", &format!("<retract xmlns='{CALL}' id='call-1'/>"), "c2").await;
    let over = read(&scene.third.wait_for(2).await[1]);
    assert_eq!((over.voip, over.priority.as_deref()), (false, Some("low")));
    assert_eq!(over.call, Some(("retract".to_owned(), about(&[]))));
    assert_eq!(over.text, json!({"unread": 1, "sender": "bob@localhost/desk", "type": "call", "sid": "call-1"}));
}

async fn row_24_a_key_that_is_none_is_refused_and_nothing_changes() {
    let mut scene = Scene::start().await;
    let mut phone: Client = scene.phone().await;
    let rows = [
        (wishes("c2hvcnQ="), "modify/bad-request"),
        (wishes("").replace("128", "256"), "modify/feature-not-implemented"),
    ];
    for (wishes, expected) in rows {
        let answer = phone.enable_push(THIRD, "phone", &wishes).await;
        assert_eq!(refusal(&answer).as_deref(), Some(expected), "{}", String::from(&answer));
        assert!(!String::from(&answer).contains("urn:pushkeeper"), "{}", String::from(&answer));
    }
    scene.reset(phone).await;
    scene.write("alice", "m1").await;
    let push = scene.third.wait_for(1).await.remove(0);
    assert_eq!(push.says(), [("message-count", "1"), ("last-message-body", "New Message!")]);
    assert!(!scene.tap.words_of_the_host().contains("this is m1"), "nobody needs it");
}

fn propose(id: &str) -> String {
    let media = |media: &str| format!("<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='{media}'/>");
    let (audio, video) = (media("audio"), media("video"));
    format!("<propose xmlns='{CALL}' id='{id}'>{audio}{video}</propose><store xmlns='urn:xmpp:hints'/>")
}

crate::on_hosts::on_hosts! {
    both: [
        row_24_an_account_says_what_its_clients_can_ask_for,
        row_24_what_is_encrypted_only_the_phone_can_read,
        row_24_rooms_push_as_their_member_wants,
        row_24_who_is_muted_does_not_push_and_does_not_ring,
        row_24_a_call_says_what_it_is_about_and_when_it_is_over,
        row_24_a_key_that_is_none_is_refused_and_nothing_changes,
    ],
}
