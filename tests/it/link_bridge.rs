//! The link and the bridges behind it: the driver hears when streams begin and end, what a bridge says and answers, and
//! its orders go out on the stream they were meant for.

use std::time::Duration;

use pushkeeper::domain::ids::Domain;
use pushkeeper::domain::time::Moment;
use pushkeeper::flows::data::{Answer, Door, Input, Outgoing, Ticket};
use pushkeeper::flows::signals::{Order, OrderId, OrderKind, Reply, What};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::support::host::{BRIDGED, Component, JID, Knock, Session, done, knock, publish, ticket};

const PIPE: usize = 4 * 1024 * 1024;

async fn welcome(door: &mut mpsc::Receiver<Knock>) -> Session<DuplexStream> {
    let mut session = knock(door).await.open();
    session.welcome().await;
    session
}

/// A linked component, and the beginning of its stream heard.
async fn linked() -> (Component, mpsc::Receiver<Knock>, Session<DuplexStream>) {
    let (mut pushkeeper, mut door) = Component::in_memory(PIPE);
    let session = welcome(&mut door).await;
    assert_eq!(pushkeeper.inputs().await, [Input::Link(true)]);
    pushkeeper.answers.send(vec![Outgoing::Began]).await.unwrap();
    (pushkeeper, door, session)
}

fn order(id: u64) -> Outgoing {
    Outgoing::Order(Box::new(Order { id: OrderId(id), host: Domain::new(BRIDGED), what: OrderKind::Check }))
}

/// The order's name on the wire, of a `check` that is asked of the host.
fn wire_id(sent: &str, number: u64) -> String {
    let id = sent.split('\'').nth(3).expect("an id");
    let expected = format!(
        "<iq type='set' id='{id}' from='{JID}' to='{BRIDGED}'><check xmlns='urn:pushkeeper:host:0'></check></iq>"
    );
    assert_eq!(sent, expected);
    assert!(id.starts_with("o-") && id.ends_with(&format!("-{number}")), "{id}");
    id.to_owned()
}

fn event(from: &str, id: &str, content: &str) -> String {
    format!(
        "<iq type='set' id='{id}' from='{from}' to='{JID}'><events xmlns='urn:pushkeeper:host:0' epoch='e' seq='1'>\
         {content}</events></iq>"
    )
}

const SYNCED: &str = "<synced token='k'/>";

#[tokio::test(start_paused = true)]
async fn the_driver_hears_of_each_stream_before_anything_that_is_read_on_it() {
    let (mut pushkeeper, mut door) = Component::in_memory(PIPE);
    for round in 0..3 {
        let mut session = knock(&mut door).await.open();
        session.greet("1").await;
        // Together with the end of the handshake.
        session.send(&format!("<handshake/>{}", publish("p1"))).await;
        let mut heard = Vec::new();
        while heard.len() < 2 {
            heard.extend(pushkeeper.inputs().await);
        }
        assert_eq!(heard[0], Input::Link(true), "{round}");
        assert!(matches!(heard[1], Input::Publish { .. }), "{round}");
        drop(session);
        assert_eq!(pushkeeper.inputs().await, [Input::Link(false)], "{round}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_goes_out_and_its_answer_comes_back() {
    let (mut pushkeeper, _door, mut session) = linked().await;
    pushkeeper.answers.send(vec![order(7)]).await.unwrap();
    let id = wire_id(&session.stanza().await, 7);
    session.send(&format!("<iq type='result' id='{id}' from='{BRIDGED}' to='{JID}'/>")).await;
    let expected = Input::Reply { host: Domain::new(BRIDGED), order: OrderId(7), reply: Reply::Done };
    assert_eq!(pushkeeper.inputs().await, [expected]);
    // From somebody else, or to another process, it is no answer.
    session.send(&format!("<iq type='result' id='{id}' from='example.org' to='{JID}'/>")).await;
    session.send(&format!("<iq type='result' id='o-x{}' from='{BRIDGED}' to='{JID}'/>", &id[3..])).await;
    assert!(session.settled().await.is_empty());
    assert!(pushkeeper.inputs.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_order_that_finds_no_stream_is_dropped() {
    let (mut pushkeeper, mut door, session) = linked().await;
    drop(session);
    assert_eq!(pushkeeper.inputs().await, [Input::Link(false)]);
    knock(&mut door).await.refuse();
    pushkeeper.answers.send(vec![order(1)]).await.unwrap();
    while pushkeeper.answers.capacity() < pushkeeper.answers.max_capacity() {
        sleep(Duration::from_millis(1)).await;
    }
    let mut session = welcome(&mut door).await;
    assert_eq!(pushkeeper.inputs().await, [Input::Link(true)]);
    assert!(session.settled().await.is_empty());
    // The driver gave this one before it heard of the stream, however late it comes.
    pushkeeper.answers.send(vec![order(2), Outgoing::Began, order(3)]).await.unwrap();
    wire_id(&session.stanza().await, 3);
    assert_eq!(pushkeeper.counters.answers_dropped.value(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_order_that_met_a_broken_stream_does_not_go_again() {
    let (mut pushkeeper, mut door, session) = linked().await;
    pushkeeper.answers.send(vec![order(1)]).await.unwrap();
    // It is written, and lies in the pipe when that breaks.
    sleep(Duration::from_millis(10)).await;
    drop(session);
    assert_eq!(pushkeeper.inputs().await, [Input::Link(false)]);
    let mut session = welcome(&mut door).await;
    assert!(session.settled().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_has_not_heard_of_a_stream_orders_nothing_on_it() {
    let (pushkeeper, mut door) = Component::in_memory(PIPE);
    let mut session = welcome(&mut door).await;
    // The driver takes nothing: its queue fills up.
    let mut number = 0;
    while pushkeeper.inputs.len() < 16 {
        session.send(&publish(&format!("p{number}"))).await;
        number += 1;
        sleep(Duration::from_millis(1)).await;
        assert!(number < 100, "nothing fills up");
    }
    drop(session);
    let mut session = welcome(&mut door).await;
    pushkeeper.answers.send(vec![order(1)]).await.unwrap();
    while pushkeeper.answers.capacity() < pushkeeper.answers.max_capacity() {
        sleep(Duration::from_millis(1)).await;
    }
    let Component { mut inputs, answers, .. } = pushkeeper;
    let mut heard = Vec::new();
    while heard.iter().filter(|input| **input == Input::Link(true)).count() < 2 {
        heard.extend(inputs.recv().await.expect("the link lives"));
    }
    let links: Vec<_> = heard.into_iter().filter(|input| matches!(input, Input::Link(_))).collect();
    assert_eq!(links, [Input::Link(true), Input::Link(false), Input::Link(true)]);
    // What it orders on hearing of the first one is not for the second.
    answers.send(vec![Outgoing::Began, order(2), Outgoing::Began, order(3)]).await.unwrap();
    wire_id(&session.stanza().await, 3);
}

#[tokio::test(start_paused = true)]
async fn streams_that_come_and_go_while_the_driver_takes_nothing_are_not_all_told() {
    let (pushkeeper, mut door) = Component::in_memory(PIPE);
    for _ in 0..40 {
        drop(welcome(&mut door).await);
        // While the driver takes nothing, nothing is read: it is what is written that finds the stream gone.
        let ticket = Ticket {
            door: Door::Link,
            id: "a1".into(),
            to: "example.org".into(),
            from: JID.into(),
            // Never too old for the next stream.
            taken: Moment::since_start(Duration::MAX),
            for_client: false,
        };
        pushkeeper.answers.send(vec![Outgoing::Answer(ticket, Answer::Done)]).await.unwrap();
    }
    let _last = welcome(&mut door).await;
    let Component { mut inputs, .. } = pushkeeper;
    let mut heard = Vec::new();
    while let Ok(Some(batch)) = timeout(Duration::from_secs(1), inputs.recv()).await {
        heard.extend(batch);
    }
    // What fitted into the queue, and the last word.
    assert_eq!(heard.len(), 17);
    for (at, input) in heard.iter().enumerate() {
        assert_eq!(*input, Input::Link(at % 2 == 0), "{heard:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_bridge_of_a_configured_host_is_listened_to() {
    let (mut pushkeeper, _door, mut session) = linked().await;
    for from in ["example.org", "mallory@bridged.example/x", "bridged.example/x", "mallory@bridged.example"] {
        session.send(&event(from, "e1", SYNCED)).await;
        let expected = format!(
            "<iq type='error' id='e1' from='{JID}' to='{from}'><error type='auth'><forbidden \
             xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
        );
        assert_eq!(session.stanza().await, expected);
    }
    session.send(&event(BRIDGED, "e2", SYNCED)).await;
    let heard = pushkeeper.inputs().await;
    let [Input::Signals { host, batch, .. }] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!((host.as_str(), &batch.events[0].what), (BRIDGED, &What::Synced));
    let answer = Outgoing::Answer(ticket(&heard[0]).clone(), Answer::Done);
    pushkeeper.answers.send(vec![answer]).await.unwrap();
    assert_eq!(session.stanza().await, done("e2").replace("to='example.org'", "to='bridged.example'"));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_breaks_a_limit_is_refused_and_the_link_lives() {
    let (mut pushkeeper, _door, mut session) = linked().await;
    let deep = |levels: usize| format!("{}{}", "<a>".repeat(levels), "</a>".repeat(levels));
    let rows = [
        ("1 MiB", "x".repeat(1024 * 1024)),
        ("100 deep", format!("<hibernate>{}</hibernate>", deep(100))),
        ("50,000 elements", "<a/>".repeat(50_000)),
        ("65 events", SYNCED.repeat(65)),
        ("an event without its user", "<offline/>".to_owned()),
    ];
    for (what, content) in rows {
        session.send(&event(BRIDGED, "e1", &content)).await;
        let answer = session.stanza().await;
        assert!(
            answer.starts_with(&format!("<iq type='error' id='e1' from='{JID}' to='{BRIDGED}'>")),
            "{what}: {answer}"
        );
        assert!(session.settled().await.is_empty(), "{what}");
    }
    // What is deep and wide but within the limits is a batch like any other.
    let stanza = format!("<stanza><message xmlns='jabber:client'>{}</message></stanza>", deep(50));
    session.send(&event(BRIDGED, "e2", &format!("<offline user='alice'>{stanza}</offline>").repeat(64))).await;
    let heard = pushkeeper.inputs().await;
    let [Input::Signals { batch, .. }] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!(batch.events.len(), 64);
    assert_eq!(pushkeeper.counters.streams.value(), 1);
}

/// 128 kB is what a bridge may send at once, and its users' correspondents decide of how many elements.
#[tokio::test(start_paused = true)]
async fn no_batch_within_a_bridges_limits_is_too_much() {
    let (mut pushkeeper, _door, mut session) = linked().await;
    let stanza = format!(
        "<stanza n='1'><message xmlns='jabber:client' from='m@e/x'><a>{}</a><b>{}</b><c>{}</c><d>{}</d></message></stanza>",
        "<a/>".repeat(31),
        "<a/>".repeat(31),
        "<a/>".repeat(31),
        "<a/>".repeat(30),
    );
    let queued =
        format!("<hibernate user='alice' sid='s' resource='r' state='hibernated'>{}</hibernate>", stanza.repeat(50));
    let content = queued.repeat(128 * 1024 / queued.len());
    assert!(content.len() > 100_000 && content.matches('<').count() > 20_000, "{}", content.len());
    session.send(&event(BRIDGED, "e1", &content)).await;
    let heard = pushkeeper.inputs().await;
    assert!(matches!(&heard[..], [Input::Signals { .. }]), "{heard:?}");
}
