//! What was missed is told within the limits of events, whatever strangers send.

use minidom::Element;

use crate::rig::{Event, Keeper, NS, host_with, online, wanted};
use crate::server::{HOST, Wanted};

/// What the bridge may say of one account at most, and the longest attribute.
const EVENT: usize = 96 * 1024;
const ATTRIBUTE: usize = 256;

/// Ten messages with this content and these ids are missed.
async fn missed(without: &'static [&'static str], message: impl Fn(usize) -> String) -> Event {
    let host = host_with(&Wanted { without, ..wanted() }).await;
    let mut bob = online(&host, "bob", "desk").await;
    let mut keeper = Keeper::linked(&host, &["alice"]).await;
    drop(keeper);
    for number in 0..10 {
        bob.send(&message(number)).await;
    }
    bob.settle().await;
    keeper = Keeper::connect(&host).await;
    keeper.link(&["alice"], "again").await;
    let missed =
        keeper.all().into_iter().find(|it| it.name() == "missed").unwrap_or_else(|| panic!("they were missed"));
    assert_eq!(missed.attr("count"), "10");
    missed
}

fn are_within_limits(missed: &Event) {
    assert!(missed.text().len() <= EVENT, "{} bytes", missed.text().len());
    let keys: Vec<&Element> = missed.element.children().filter(|child| child.is("key", NS)).collect();
    assert_eq!(keys.len(), 10);
    for (_, value) in keys.iter().flat_map(|key| key.attrs()) {
        assert!(value.len() <= ATTRIBUTE, "a value of {} bytes", value.len());
    }
}

async fn the_keys_of_missed_messages_are_cut_as_their_shapes_are() {
    let long = "&apos;".repeat(10_000);
    let message =
        |number| format!("<message type='chat' to='alice@{HOST}' id='{number}{long}'><body>b</body></message>");
    let missed = missed(&["mam"], message).await;
    are_within_limits(&missed);
    let last = missed.element.children().filter(|child| child.is("key", NS)).last().expect("a key");
    assert_eq!(last.attr("id"), missed.ids().last().copied(), "the same id makes the same key");
}

async fn the_keys_of_missed_calls_are_cut_too() {
    let long = "x".repeat(60_000);
    let message = |number| {
        format!(
            "<message type='chat' to='alice@{HOST}' id='m{number}'>\
             <propose xmlns='urn:xmpp:jingle-message:0' id='{number}{long}'/><body>call</body></message>"
        )
    };
    are_within_limits(&missed(&[], message).await);
}

crate::on_hosts::on_hosts! {
    both: [
        the_keys_of_missed_messages_are_cut_as_their_shapes_are,
        the_keys_of_missed_calls_are_cut_too,
    ],
}
