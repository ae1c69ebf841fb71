//! Whatever a stranger can make the host send us: it is answered or ignored, and the stream lives.

use pushkeeper::xmpp::frame::MAX_STANZA;
use tokio::io::AsyncWriteExt;

use crate::support::host::{Component, Host, JID, done, publish};

fn iq(attributes: &str, content: &str) -> String {
    format!("<iq from='evil@example.org/x' to='{JID}' {attributes}>{content}</iq>")
}

fn error(id: &str, kind: &str, condition: &str) -> String {
    format!(
        "<iq type='error' id='{id}' from='{JID}' to='evil@example.org/x'><error type='{kind}'><{condition} \
         xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
    )
}

/// What is sent, and all that is answered.
fn table() -> Vec<(&'static str, String, Vec<String>)> {
    let ping = "<ping xmlns='urn:xmpp:ping'/>";
    let set = "type='set' id='h'";
    let bad = || vec![error("h", "modify", "bad-request")];
    let too_big = || vec![error("h", "modify", "policy-violation")];
    let unavailable = || vec![error("h", "cancel", "service-unavailable")];
    let pong = || vec![format!("<iq type='result' id='h' from='{JID}' to='evil@example.org/x'/>")];
    let long = |length: usize| "x".repeat(length);
    let body = |length: usize| iq(set, &format!("<x xmlns='y'>{}</x>", long(length)));
    let attributes: String = (0..50_000).map(|n| format!(" a{n}=''")).collect();
    let prefixes: String = (0..5_000).map(|n| format!("<a xmlns:p{n}='u{n}'/>")).collect();
    let lines = "&lt;![CDATA[]]&gt;".repeat(10_000);
    let publish_with = |body: &str| publish("p").replace("New Message!", body);
    vec![
        ("unknown payload", iq(set, "<x xmlns='y'/>"), unavailable()),
        ("no payload", iq(set, ""), bad()),
        ("two payloads", iq("type='get' id='h'", &ping.repeat(2)), bad()),
        ("bogus type", iq("type='bogus' id='h'", ping), bad()),
        ("no type", iq("id='h'", ping), bad()),
        ("no id", iq("type='get'", ping), vec![error("", "modify", "bad-request")]),
        ("no sender", format!("<iq type='get' id='h' to='{JID}'>{ping}</iq>"), vec![]),
        ("a sender that is no JID", format!("<iq type='get' id='h' from='@' to='{JID}'>{ping}</iq>"), vec![]),
        ("another domain", "<iq type='get' id='h' from='a@b' to='other.example'/>".into(), vec![]),
        ("a result", iq("type='result' id='h'", ""), vec![]),
        ("an error", iq("type='error' id='h'", "<error type='cancel'/>"), vec![]),
        ("a message", format!("<message from='a@b' to='{JID}'><body>hi</body></message>"), vec![]),
        ("a presence", format!("<presence from='a@b' to='{JID}' type='subscribe'/>"), vec![]),
        ("an unknown stanza", "<unknown xmlns='x'><y/></unknown>".into(), vec![]),
        ("a handshake again", "<handshake/>".into(), vec![]),
        ("an unknown prefix", iq(set, "<x:y/>"), bad()),
        // As Prosody passes on `<xml:x/>`, and an attribute `xmlns` with a prefix.
        ("a reserved namespace", iq(set, "<x xmlns='http://www.w3.org/XML/1998/namespace'/>"), bad()),
        (
            "an attribute that is called like a declaration and is none",
            iq(set, "<x xmlns='y' xmlns:ns1='z' ns1:xmlns='http://www.w3.org/2000/xmlns/'/>"),
            unavailable(),
        ),
        ("a body of 1 MB", body(1_000_000), unavailable()),
        ("a body over the limit", body(MAX_STANZA), too_big()),
        ("a body of 3 MB", body(3_000_000), too_big()),
        ("a message of 3 MB", format!("<message from='a@b'><body>{}</body></message>", long(3_000_000)), vec![]),
        ("60,000 deep", iq(set, &format!("{}{}", "<a>".repeat(60_000), "</a>".repeat(60_000))), too_big()),
        ("64 deep", iq(set, &format!("{}{}", "<a>".repeat(63), "</a>".repeat(63))), unavailable()),
        ("50,000 elements", iq(set, &format!("<x>{}</x>", "<a/>".repeat(50_000))), too_big()),
        ("50,000 attributes", iq(set, &format!("<x{attributes}/>")), too_big()),
        ("5,000 prefixes", iq(set, &format!("<x>{prefixes}</x>")), too_big()),
        ("an attribute of 9,000 bytes", iq(set, &format!("<x a='{}'/>", long(9_000))), unavailable()),
        ("an attribute of 500 kB", iq(set, &format!("<x a='{}'/>", long(500_000))), unavailable()),
        (
            "an attribute of 500 kB before the id",
            iq(&format!("a='{}' {set}", long(500_000)), ping),
            vec![error("h", "cancel", "service-unavailable")],
        ),
        ("an attribute of 2 MB", iq(set, &format!("<x a='{}'/>", long(2_000_000))), too_big()),
        (
            "an attribute of 2 MB before the id",
            iq(&format!("a='{}' {set}", long(2_000_000)), ping),
            vec![error("", "modify", "policy-violation")],
        ),
        (
            "an id of 9,000 bytes",
            iq(&format!("type='get' id='{}'", long(9_000)), ping),
            vec![pong().concat().replace("'h'", &format!("'{}'", long(9_000)))],
        ),
        ("an id of 500 kB", iq(&format!("type='get' id='{}'", long(500_000)), ping), vec![]),
        (
            "a command with a name of 500 kB",
            iq(
                set,
                &format!(
                    "<command xmlns='http://jabber.org/protocol/commands' node='register-push-{}'/>",
                    long(500_000)
                ),
            ),
            vec![error("h", "cancel", "item-not-found")],
        ),
        ("a name of 500 kB", iq(set, &format!("<{0}/>", long(500_000))), unavailable()),
        (
            "a command's name of 150 kB, which an answer would repeat six times as long",
            iq(
                set,
                &format!(
                    "<command xmlns='http://jabber.org/protocol/commands' node=\"register-push-{}\"/>",
                    "'".repeat(150_000)
                ),
            ),
            vec![error("h", "cancel", "item-not-found")],
        ),
        ("CDATA", publish_with("<![CDATA[</value><iq>&amp;]]>"), vec![done("p")]),
        ("entities", publish_with("&lt;&#x1F600;&amp;&apos;&quot;&gt;"), vec![done("p")]),
        ("much to unescape", publish_with(&lines), vec![done("p")]),
        ("quotes in quotes", iq("type=\"get\" id='h' x='\">' y=\"'/>\"", ping), pong()),
        ("white space", format!(" \r\n\t{}\n ", iq("\n type = 'get'\tid='h'", &format!("\n{ping} "))), pong()),
    ]
}

#[tokio::test]
async fn whatever_comes_is_answered_or_ignored_and_the_stream_lives() {
    let host = Host::start().await;
    let pushkeeper = Component::over_tcp(host.address());
    let counters = pushkeeper.counters.clone();
    pushkeeper.answer_all();
    let mut session = host.component().await;
    for (what, stanza, expected) in table() {
        session.send(&stanza).await;
        let mut answered = Vec::new();
        while answered.len() < expected.len() {
            answered.push(session.stanza().await);
        }
        answered.extend(session.settled().await);
        assert!(
            answered == expected,
            "{what}: {:?}",
            answered.iter().map(|text| format!("{text:.300}")).collect::<Vec<_>>()
        );
    }
    assert_eq!(counters.streams.value(), 1);
    assert_eq!(counters.foreign.value(), 1);
    assert_eq!(counters.unanswerable.value(), 3);
}

#[tokio::test]
async fn all_of_it_at_once_in_small_pieces_is_the_same() {
    let host = Host::start().await;
    let pushkeeper = Component::over_tcp(host.address());
    let counters = pushkeeper.counters.clone();
    pushkeeper.answer_all();
    let session = host.component().await;
    let mut expected = 0;
    let mut text = String::new();
    for (_, stanza, answers) in table() {
        text.push_str(&stanza);
        expected += answers.len();
    }
    {
        let (mut reader, mut writer) = session.into_halves();
        let sending = tokio::spawn(async move {
            for piece in text.as_bytes().chunks(8191) {
                writer.write_all(piece).await.expect("the stream lives");
            }
            writer
        });
        for _ in 0..expected {
            reader.stanza().await;
        }
        sending.await.expect("no panic");
    }
    assert_eq!(counters.streams.value(), 1);
}

#[tokio::test]
async fn a_stanza_split_at_every_byte_is_understood() {
    let host = Host::start().await;
    let pushkeeper = Component::over_tcp(host.address());
    pushkeeper.answer_all();
    let mut session = host.component().await;
    let text = publish("p").replace("New Message!", "é<![CDATA[]]>&lt;");
    for at in 1..text.len() {
        let (a, b) = text.as_bytes().split_at(at);
        session.send_bytes(a).await;
        tokio::task::yield_now().await;
        session.send_bytes(b).await;
        assert_eq!(session.stanza().await, done("p"), "split at {at}");
    }
}
