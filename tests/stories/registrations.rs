//! Rows 12, 18 and 21: who may register, and how many.

use crate::scene::{Scene, Setting, THIRD};
use crate::server::{HOST, SERVICE};
use crate::steps::refusal;

async fn row_12_the_sixth_registration_takes_the_place_of_the_one_enabled_longest_ago() {
    let mut scene = Scene::start().await;
    let mut phone = scene.plain("alice", "phone").await;
    // n1 is older than n2, but was enabled again.
    for node in ["n1", "n2", "n3", "n4", "n5", "n1", "n6"] {
        scene.enable(&mut phone, node).await;
    }
    phone.close().await;
    scene.tap.wait_for_events("end", "alice", 1).await;
    scene.write("alice", "m1").await;
    scene.third.wait_for(5).await;
    scene.quiet().await;
    let mut nodes: Vec<_> = scene.third.published().into_iter().map(|push| push.node).collect();
    nodes.sort();
    assert_eq!(nodes, ["n1", "n3", "n4", "n5", "n6"]);
    gone(&mut scene, "alice@localhost", "max-devices").await;
}

async fn row_12_a_removed_registration_is_not_pushed_to() {
    let mut scene = Scene::start().await;
    let mut phone = scene.plain("alice", "phone").await;
    for node in ["n1", "n2", "n3"] {
        scene.enable(&mut phone, node).await;
    }
    let disable = format!("<disable xmlns='urn:xmpp:push:0' jid='{THIRD}' node='n2'/>");
    assert_eq!(refusal(&phone.iq("set", None, &disable).await), None);
    phone.close().await;
    scene.tap.wait_for_events("end", "alice", 1).await;
    scene.write("alice", "m1").await;
    scene.third.wait_for(2).await;
    scene.quiet().await;
    let mut nodes: Vec<_> = scene.third.published().into_iter().map(|push| push.node).collect();
    nodes.sort();
    assert_eq!(nodes, ["n1", "n3"]);

    let mut phone = scene.plain("alice", "phone").await;
    let disable = format!("<disable xmlns='urn:xmpp:push:0' jid='{THIRD}'/>");
    assert_eq!(refusal(&phone.iq("set", None, &disable).await), None);
    phone.close().await;
    scene.tap.wait_for_events("end", "alice", 2).await;
    scene.write("alice", "m2").await;
    scene.quiet().await;
    assert_eq!(scene.third.published().len(), 2, "without a node, all of them");
}

async fn row_12_an_account_that_is_deleted_takes_its_registrations_along() {
    let mut scene = Scene::start().await;
    let mut phone = scene.plain("alice", "phone").await;
    scene.enable(&mut phone, "phone").await;
    phone.close().await;
    scene.host.delete_user("alice").await;
    gone(&mut scene, "alice@localhost", "account-deleted").await;
}

async fn row_18_bob_can_not_register_for_alice() {
    let mut scene = Scene::start().await;
    let rows = [("to her account", format!("alice@{HOST}")), ("to her phone", format!("alice@{HOST}/phone"))];
    let phone = scene.plain("alice", "phone").await;
    for (what, to) in rows {
        let enable = format!("<enable xmlns='urn:xmpp:push:0' jid='{THIRD}' node='of-bob'/>");
        if to.contains('/') {
            // Only her phone itself would answer that: it is an iq like any other.
            scene.bob.send(&format!("<iq type='set' id='e1' to='{to}'>{enable}</iq>")).await;
        } else {
            let answer = scene.bob.iq("set", Some(&to), &enable).await;
            assert_eq!(refusal(&answer).as_deref(), Some("auth/forbidden"), "{what}");
        }
    }
    phone.close().await;
    scene.tap.wait_for_events("end", "alice", 1).await;
    scene.write("alice", "m1").await;
    scene.quiet().await;
    assert_eq!(scene.third.published().len(), 0);
    assert_eq!(scene.tap.events("registration").len(), 0, "it never reached us");
    assert_eq!(scene.syncs(), 0, "the host stays linked");
}

async fn row_18_nor_can_a_stranger() {
    let mut scene = Scene::start().await;
    for to in [format!("alice@{HOST}"), SERVICE.to_owned()] {
        let enable = format!("<enable xmlns='urn:xmpp:push:0' jid='{THIRD}' node='of-juliet'/>");
        scene.third.send(&format!("<iq type='set' id='e1' from='juliet@{THIRD}/phone' to='{to}'>{enable}</iq>")).await;
    }
    scene.quiet().await;
    scene.write("alice", "m1").await;
    scene.quiet().await;
    assert_eq!(scene.third.published().len(), 0);
}

async fn row_21_a_bad_enable_is_refused_and_the_host_stays_linked() {
    let mut scene = Scene::start().await;
    let mut phone = scene.plain("alice", "phone").await;
    let big = "x".repeat(3000);
    let huge: String = (0..8).map(|n| format!("<field var='f{n}'><value>{big}</value></field>")).collect();
    let long = format!("<field var='secret'><value>{}</value></field>", "x".repeat(5000));
    let deep = format!("{}{}", "<a>".repeat(12), "</a>".repeat(12));
    let form = |fields: &str| format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>");
    let rows = [
        ("no jid", String::new(), String::new(), "modify/bad-request"),
        ("own full jid", format!("jid='alice@{HOST}/phone'"), String::new(), "modify/bad-request"),
        ("own account", format!("jid='alice@{HOST}'"), String::new(), "modify/bad-request"),
        ("the host", format!("jid='{HOST}'"), String::new(), "modify/bad-request"),
        ("somebody else's account", format!("jid='bob@{HOST}'"), String::new(), "modify/bad-request"),
        ("no JID at all", "jid='@/@'".to_owned(), String::new(), "modify/bad-request"),
        ("a huge form", format!("jid='{THIRD}' node='n'"), form(&huge), "modify/policy-violation"),
        ("a long value", format!("jid='{THIRD}' node='n'"), form(&long), "modify/policy-violation"),
        ("a deep form", format!("jid='{THIRD}' node='n'"), form(&deep), "modify/policy-violation"),
    ];
    for (what, attributes, form, expected) in rows {
        let enable = format!("<enable xmlns='urn:xmpp:push:0' {attributes}>{form}</enable>");
        let answer = phone.iq("set", None, &enable).await;
        assert_eq!(refusal(&answer).as_deref(), Some(expected), "{what}: {}", String::from(&answer));
        assert!(!String::from(&answer).contains("urn:pushkeeper"), "{what}: our own words are not for clients");
    }
    let answer = phone.iq("set", None, "<disable xmlns='urn:xmpp:push:0'/>").await;
    assert_eq!(refusal(&answer).as_deref(), Some("modify/bad-request"), "nor can nobody be disabled");

    scene.enable(&mut phone, "phone").await;
    phone.close().await;
    scene.tap.wait_for_events("end", "alice", 1).await;
    scene.write("alice", "m1").await;
    scene.third.wait_for(1).await;
    scene.quiet().await;
    let nodes: Vec<_> = scene.third.published().into_iter().map(|push| push.node).collect();
    assert_eq!(nodes, ["phone"]);
    assert_eq!(scene.syncs(), 0, "the host was linked all the time");
}

/// Waits until the log says that a registration of this account is gone or disabled, at whose, and why.
async fn gone(scene: &mut Scene, account: &str, reason: &str) {
    let says = |line: &str| line.contains(account) && line.contains(THIRD) && line.contains(reason);
    scene.daemon.wait_for_log(reason, |log| log.lines().any(says)).await;
}

async fn row_12_a_registration_that_nobody_renews_expires() {
    let mut scene = Scene::set(&Setting { rules: "registration_ttl = \"1s\"", ..Setting::default() }).await;
    let mut phone = scene.plain("alice", "phone").await;
    scene.enable(&mut phone, "phone").await;
    gone(&mut scene, "alice@localhost", "expired").await;
}

/// Not only to its own account: a client may say to pushkeeper itself where pushes go, and that they shall no longer.
async fn an_enable_sent_to_pushkeeper_itself_is_as_good() {
    let mut scene = Scene::start().await;
    let mut phone = scene.online("alice", "phone").await;
    let enable = format!("<enable xmlns='urn:xmpp:push:0' jid='{THIRD}' node='phone'/>");
    assert_eq!(refusal(&phone.iq("set", Some(SERVICE), &enable).await), None);
    let session = scene.reset(phone).await;
    scene.tap.wait_for_windows("alice", &[72 * 3600]).await;
    scene.write("alice", "m1").await;
    assert_eq!(scene.third.wait_for(1).await[0].node, "phone");
    scene.tap.wait_for_windows("alice", &[72 * 3600, 600]).await;

    let mut phone = scene.resume(session).await;
    let disable = format!("<disable xmlns='urn:xmpp:push:0' jid='{THIRD}'/>");
    assert_eq!(refusal(&phone.iq("set", Some(SERVICE), &disable).await), None);
    scene.reset_at_once(phone).await;
    scene.write("alice", "m2").await;
    scene.quiet().await;
    assert_eq!(scene.third.published_to("phone").len(), 1);
}

crate::on_hosts::on_hosts! {
    both: [
        row_12_the_sixth_registration_takes_the_place_of_the_one_enabled_longest_ago,
        row_12_a_removed_registration_is_not_pushed_to,
        row_12_an_account_that_is_deleted_takes_its_registrations_along,
        row_18_bob_can_not_register_for_alice,
        row_18_nor_can_a_stranger,
        row_21_a_bad_enable_is_refused_and_the_host_stays_linked,
        row_12_a_registration_that_nobody_renews_expires,
        an_enable_sent_to_pushkeeper_itself_is_as_good,
    ],
}
