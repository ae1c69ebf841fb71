//! Row 20: stanzas that are too large, too deep, or too many.

use minidom::Element;

use crate::scene::{Scene, THIRD};
use crate::server::HOST;
use crate::tap::{SIGNALS, Speaker};

/// The largest batch, event, and stanza of an event, in bytes; the largest attribute; the deepest element.
const BATCH: usize = 128 * 1024;
const EVENT: usize = 96 * 1024;
const STANZA: usize = 4 * 1024;
const ATTRIBUTE: usize = 256;
const LEVELS: usize = 8;

async fn row_20_large_deep_and_many_stanzas_stay_within_the_limits_of_events() {
    let mut scene = Scene::start().await;
    let mut phone = scene.phone().await;
    phone.acknowledge_all().await;
    phone.fall_silent();
    let to = format!("alice@{HOST}/phone");
    let long = "x".repeat(9000);
    let fields: String =
        (0..200).map(|n| format!("<field var='f{n}' label='{n}'><value>{n}</value></field>")).collect();
    let hostile = [
        format!(
            "<message type='chat' id='long' to='{to}'><body>1</body><x xmlns='urn:example:x' node='{long}' id='{long}'/></message>"
        ),
        format!("<message type='chat' id='{long}' to='{to}'><body>2</body></message>"),
        format!("<message type='chat' id='big' to='{to}'><body>{}</body></message>", "x".repeat(100_000)),
        format!(
            "<message type='chat' id='deep' to='{to}'><body>3</body>{}{}</message>",
            "<a xmlns='urn:example:deep'>".repeat(40),
            "</a>".repeat(40)
        ),
        format!(
            "<message type='chat' id='wide' to='{to}'><body>4</body><x xmlns='jabber:x:data' type='form'>{fields}</x></message>"
        ),
        format!(
            "<message type='chat' id='odd' to='{to}'><body>&lt;&amp;&#x1F4A9;&gt;</body><x xmlns='' y='&#10;&quot;'/></message>"
        ),
    ];
    for stanza in &hostile {
        scene.bob.send(stanza).await;
    }
    for number in 0..94 {
        let padding = "<a xmlns='urn:example:pad' id='0123456789012345678901234567890123456789'/>".repeat(40);
        scene
            .bob
            .send(&format!("<message type='chat' id='p{number}' to='{to}'><body>p</body>{padding}</message>"))
            .await;
    }
    scene.bob.settle().await;
    scene.reset_at_once(phone).await;
    for stanza in &hostile {
        scene.bob.send(stanza).await;
    }
    for number in 0..394 {
        scene.bob.send(&format!("<message type='chat' id='q{number}' to='{to}'><body>q</body></message>")).await;
    }
    scene.tap.wait_for_events("queued", "alice", 400).await;

    let asleep = scene.tap.wait_for_events("hibernate", "alice", 1).await.remove(0).element;
    assert_eq!(asleep.attr("queued"), Some("100"), "what it was cut from");
    let listed = asleep.children().filter(|child| child.is("stanza", SIGNALS)).count();
    assert!((20..=50).contains(&listed), "{listed} of the newest 50 fit");
    assert!(scene.third.wait_for(1).await.iter().any(|push| push.is_important()));

    // Described anew, it is no larger.
    scene.daemon.kill().await;
    scene.pushkeeper_again().await;
    let described = scene.tap.wait_for_events("session", "alice", 2).await.pop().expect("it is still there").element;
    assert_eq!(described.attr("queued"), Some("500"));
    for passed in scene.tap.passed() {
        let batches = passed.element.children().filter(|child| child.is("events", SIGNALS));
        for batch in batches.filter(|_| passed.speaker == Speaker::Host) {
            assert!(passed.text.len() <= BATCH, "a batch of {} bytes", passed.text.len());
            assert!(batch.children().count() <= 64, "a batch of {} events", batch.children().count());
            batch.children().for_each(is_within_limits);
        }
    }
    assert_eq!(scene.syncs(), 1, "one for the second start of pushkeeper: nothing broke the link");

    // And the host still takes registrations and tells us what happens.
    let mut laptop = scene.plain("alice", "laptop").await;
    scene.enable(&mut laptop, "laptop").await;
    laptop.close().await;
    scene.tap.wait_for_events("end", "alice", 1).await;
    scene.write("alice", "m1").await;
    scene.quiet().await;
    assert!(scene.third.published_to("laptop").len() == 1, "{THIRD}: {:#?}", scene.third.published());
}

fn is_within_limits(event: &Element) {
    let len = String::from(event).len();
    assert!(len <= EVENT, "an event of {len} bytes");
    let stanzas: Vec<&Element> = event.children().filter(|child| child.is("stanza", SIGNALS)).collect();
    assert!(stanzas.len() <= 50, "{} stanzas", stanzas.len());
    for stanza in stanzas {
        let text = String::from(stanza);
        // The wrapper is not of the stanza.
        assert!(text.len() <= STANZA + 200, "a stanza of {} bytes: {text}", text.len());
        assert!(levels(stanza) <= LEVELS + 1, "{} levels: {text}", levels(stanza));
        let longest = longest_attribute(stanza);
        assert!(longest <= ATTRIBUTE, "an attribute of {longest} bytes: {text}");
    }
}

fn levels(element: &Element) -> usize {
    1 + element.children().map(levels).max().unwrap_or_default()
}

fn longest_attribute(element: &Element) -> usize {
    let own = element.attrs().into_iter().map(|(_, value)| value.len()).max().unwrap_or_default();
    element.children().map(longest_attribute).max().unwrap_or_default().max(own)
}

crate::on_hosts::on_hosts! {
    both: [
        row_20_large_deep_and_many_stanzas_stay_within_the_limits_of_events,
    ],
}
