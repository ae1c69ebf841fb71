//! Clients see what they see without the bridge: the same script, with nothing, with the bridge alone, and with a
//! pushkeeper at the other end.

use std::time::Duration;

use minidom::Element;

use crate::client::{Client, Session};
use crate::rig::{Keeper, bound, chat, host_with, online, present, wanted};
use crate::server::{HOST, Kind, PASSWORD, Pusher, Server, Tune, Wanted, kind};

/// What pushes: nobody, the bridge without a pushkeeper, the bridge with one.
const WAYS: [&str; 3] = ["stock", "bridge", "linked"];

async fn server(way: &str, options: &[Tune], without: &[&str]) -> (Server, Option<Keeper>) {
    let pusher = if way == "stock" { Pusher::Neither } else { Pusher::Bridge };
    let host = host_with(&Wanted { pusher, options, without, ..wanted() }).await;
    let keeper = if way == "linked" { Some(Keeper::linked(&host, &["alice", "bob"]).await) } else { None };
    (host, keeper)
}

/// A stanza without what differs by chance: times, stanza-ids, ids that a server made.
fn told(stanza: &Element) -> String {
    let mut parts = vec![format!(
        "{} {} {} {}",
        stanza.name(),
        stanza.attr("type").unwrap_or("-"),
        stanza.attr("from").unwrap_or("-"),
        stanza.attr("id").unwrap_or("-")
    )];
    for child in stanza.children() {
        let condition = child.children().next().map_or("", Element::name);
        parts.push(format!("{} {} {}", child.name(), child.attr("type").unwrap_or("-"), condition));
    }
    parts.join(" | ")
}

/// Messages and errors that came, after all that the server had to say.
async fn came(client: &mut Client) -> Vec<String> {
    client.settle().await;
    client.take(|it| it.name() == "message").iter().map(told).collect()
}

async fn resumed(host: &Server, session: Session) -> Client {
    Client::resume(host.c2s_port(), "alice@localhost/phone", PASSWORD, session).await
}

async fn bind_chat_hibernate_resume_and_disconnect_are_the_same() {
    let mut transcripts = Vec::new();
    for way in WAYS {
        let (host, _keeper) = server(way, &[], &[]).await;
        let mut bob = online(&host, "bob", "desk").await;
        let mut phone = online(&host, "alice", "phone").await;
        let mut transcript = Vec::new();
        bob.send(&chat(&format!("alice@{HOST}"), "m1", "One")).await;
        phone.wait_for("m1", |it| it.attr("id") == Some("m1")).await;
        // m1 is not acknowledged, m2 and m3 come while the phone is away.
        phone.fall_silent();
        let session = phone.session().expect("a session");
        bob.send(&chat(&format!("alice@{HOST}"), "m2", "Two")).await;
        bob.acknowledge_all().await;
        drop(phone.lose_connection());
        bob.send(&chat(&format!("alice@{HOST}/phone"), "m3", "Three")).await;
        bob.acknowledge_all().await;
        let mut phone = resumed(&host, session).await;
        transcript.extend(came(&mut phone).await);
        present(&mut phone).await;
        phone.send(&chat(&format!("bob@{HOST}"), "m4", "Four")).await;
        phone.acknowledge_all().await;
        transcript.extend(came(&mut bob).await);
        phone.close().await;
        let web = bound(&host, "alice", "web").await;
        web.close().await;
        transcripts.push(transcript);
        assert!(!host.log().contains("Fault in"), "{}", host.log());
    }
    let messages = ["m2", "m3", "m4"];
    for (line, id) in transcripts[0].iter().zip(messages) {
        assert!(line.contains(id), "{transcripts:#?}");
    }
    assert_eq!(transcripts[0].len(), messages.len(), "{transcripts:#?}");
    assert_eq!(transcripts[1], transcripts[0]);
    assert_eq!(transcripts[2], transcripts[0]);
}

/// A session times out with unacknowledged messages: what the sender hears, what another session of the account gets,
/// what the account finds at its next login.
async fn a_timeout(way: &str, without: &[&str], another: bool) -> Vec<String> {
    let (host, _keeper) = server(way, &[Tune::Window(1)], without).await;
    let mut bob = online(&host, "bob", "desk").await;
    let mut laptop = if another { Some(online(&host, "alice", "laptop").await) } else { None };
    let mut phone = online(&host, "alice", "phone").await;
    phone.fall_silent();
    bob.send(&chat(&format!("alice@{HOST}/phone"), "before", "Hello")).await;
    phone.wait_for("the message", |it| it.attr("id") == Some("before")).await;
    let session = phone.lose_connection().expect("a session");
    for (id, kind) in [("chat", "chat"), ("normal", "normal"), ("headline", "headline"), ("error", "error")] {
        bob.send(&format!("<message type='{kind}' id='{id}' to='alice@{HOST}/phone'><body>b</body></message>")).await;
    }
    bob.send(&format!("<iq type='get' id='ask' to='alice@{HOST}/phone'><ping xmlns='urn:xmpp:ping'/></iq>")).await;
    bob.acknowledge_all().await;
    wait_for_the_end(&host, "phone").await;

    let mut transcript = vec!["bob:".to_owned()];
    transcript.extend(came(&mut bob).await);
    transcript.extend(bob.take(|it| it.attr("id") == Some("ask")).iter().map(told));
    if let Some(laptop) = &mut laptop {
        transcript.push("laptop:".to_owned());
        transcript.extend(came(laptop).await);
    }
    let (mut phone, failed) = Client::try_to_resume(host.c2s_port(), "alice@localhost/phone", PASSWORD, session).await;
    transcript.push(format!("{} {}", failed.name(), failed.attr("h").unwrap_or("-")));
    phone.send("</stream:stream>").await;
    phone.wait_for_the_end().await;
    if let Some(laptop) = laptop {
        laptop.close().await;
    }
    let mut next = bound(&host, "alice", "next").await;
    present(&mut next).await;
    transcript.push("next:".to_owned());
    transcript.extend(came(&mut next).await);
    assert!(!host.log().contains("Fault in"), "{}", host.log());
    transcript
}

async fn wait_for_the_end(host: &Server, resource: &str) {
    let wait = async { while host.has_session("alice", resource).await {} };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("the session ends");
}

async fn compare(without: &[&str], another: bool) -> Vec<String> {
    let stock = a_timeout("stock", without, another).await;
    for way in ["bridge", "linked"] {
        assert_eq!(a_timeout(way, without, another).await, stock, "{way}, without {without:?}");
    }
    stock
}

async fn a_timeout_of_the_last_session_with_offline_storage_is_the_same() {
    let stock = compare(&["mam"], false).await;
    // ejabberd's own ways with them differ; that they are the same with us is what counts.
    let kept = stock.iter().any(|line| line.starts_with("message chat") && line.contains("chat"));
    assert!(kept || kind() == Kind::Ejabberd, "{stock:#?}");
}

async fn a_timeout_of_the_last_session_without_offline_storage_is_the_same() {
    let stock = compare(&["mam", "offline"], false).await;
    assert!(stock.iter().any(|line| line.starts_with("message error")), "{stock:#?}");
}

async fn a_timeout_beside_another_session_with_offline_storage_is_the_same() {
    let stock = compare(&["mam"], true).await;
    assert!(stock.iter().any(|line| line.starts_with("message error")), "{stock:#?}");
}

async fn a_timeout_beside_another_session_without_offline_storage_is_the_same() {
    let stock = compare(&["mam", "offline"], true).await;
    assert!(stock.iter().any(|line| line.starts_with("message error")), "{stock:#?}");
}

async fn a_timeout_with_an_archive_is_the_same() {
    let stock = compare(&[], false).await;
    assert!(stock.iter().any(|line| line.starts_with("failed")), "{stock:#?}");
}

crate::on_hosts::on_hosts! {
    both: [
        bind_chat_hibernate_resume_and_disconnect_are_the_same,
        a_timeout_of_the_last_session_with_offline_storage_is_the_same,
        a_timeout_of_the_last_session_without_offline_storage_is_the_same,
        a_timeout_beside_another_session_with_offline_storage_is_the_same,
        a_timeout_beside_another_session_without_offline_storage_is_the_same,
        a_timeout_with_an_archive_is_the_same,
    ],
}
