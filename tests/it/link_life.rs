//! The life of the link: it begins, is refused, breaks, comes back, and ends in good order.

use std::time::Duration;

use pushkeeper::clock::Clock;
use pushkeeper::flows::data::{Answer, Input, Outgoing};
use pushkeeper::xmpp::trouble::LinkError;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::support::host::{Component, Host, Knock, Sent, Session, done, knock, publish, ticket};

const PIPE: usize = 64 * 1024;

/// The next connection in memory, welcomed.
async fn welcome(door: &mut mpsc::Receiver<Knock>) -> Session<DuplexStream> {
    let mut session = knock(door).await.open();
    session.welcome().await;
    session
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[tokio::test]
async fn a_publish_reaches_the_driver_and_its_answer_the_host() {
    let host = Host::start().await;
    let mut pushkeeper = Component::over_tcp(host.address());
    let mut session = host.component().await;
    session.send(&publish("p1")).await;
    let batch = pushkeeper.batch().await;
    let [input] = &batch[..] else { panic!("{batch:?}") };
    pushkeeper.answers.send(vec![Outgoing::Answer(ticket(input).clone(), Answer::Done)]).await.unwrap();
    assert_eq!(session.stanza().await, done("p1"));
    assert!(pushkeeper.counters.linked());
}

#[tokio::test]
async fn a_host_that_restarts_finds_its_component_again() {
    let mut host = Host::start().await;
    let address = host.address();
    let pushkeeper = Component::over_tcp(address);
    let counters = pushkeeper.counters.clone();
    pushkeeper.answer_all();
    for round in 1..=3 {
        let mut session = host.component().await;
        let id = format!("p{round}");
        session.send(&publish(&id)).await;
        assert_eq!(session.stanza().await, done(&id));
        assert_eq!(counters.streams.value(), round);
        session.fail("system-shutdown").await;
        assert_eq!(session.next().await, Sent::Close);
        drop((session, host));
        host = Host::start_at(address).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_refused_at_first_start_ends_the_process_with_one_clear_sentence() {
    let (pushkeeper, mut door) = Component::in_memory(PIPE);
    let mut session = knock(&mut door).await.open();
    session.greet("1").await;
    session.fail("not-authorized").await;
    let error = pushkeeper.task.await.unwrap().unwrap_err();
    let LinkError::WrongSecret { jid, host } = &error;
    assert_eq!((jid.as_str(), host.as_str()), ("push.example.net", "memory"));
    assert!(error.to_string().contains("component.secret"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_closes_on_the_handshake_twice_refuses_the_secret() {
    let (pushkeeper, mut door) = Component::in_memory(PIPE);
    for _ in 0..2 {
        knock(&mut door).await.open().greet("1").await;
    }
    assert!(matches!(pushkeeper.task.await.unwrap(), Err(LinkError::WrongSecret { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_secret_refused_later_is_tried_again_every_minute() {
    let (_pushkeeper, mut door) = Component::in_memory(PIPE);
    drop(welcome(&mut door).await);
    for _ in 0..3 {
        let mut session = knock(&mut door).await.open();
        session.greet("1").await;
        session.fail("not-authorized").await;
        let before = Clock::system();
        drop(session);
        let next = knock(&mut door).await;
        assert_eq!(before.steady().uptime().as_secs(), 60);
        next.refuse();
    }
    welcome(&mut door).await;
}

#[tokio::test(start_paused = true)]
async fn a_host_that_does_not_know_us_or_has_us_already_is_tried_again() {
    let (_pushkeeper, mut door) = Component::in_memory(PIPE);
    for condition in ["host-unknown", "conflict", "resource-constraint"] {
        let mut session = knock(&mut door).await.open();
        session.greet("1").await;
        session.fail(condition).await;
    }
    welcome(&mut door).await;
}

#[tokio::test(start_paused = true)]
async fn waits_between_tries_grow_to_half_a_minute_and_begin_again_after_a_good_stream() {
    let (_pushkeeper, mut door) = Component::in_memory(PIPE);
    let mut last = Clock::system();
    let mut waits = Vec::new();
    for _ in 0..10 {
        knock(&mut door).await.refuse();
        waits.push(last.steady().uptime().as_millis());
        last = Clock::system();
    }
    let full = [0, 250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000];
    for (wait, full) in waits.iter().zip(full) {
        assert!((full * 3 / 4..=full + 2).contains(wait), "{waits:?}");
    }
    let session = welcome(&mut door).await;
    sleep(secs(10)).await;
    let before = Clock::system();
    drop(session);
    knock(&mut door).await.refuse();
    assert!(before.steady().uptime() <= Duration::from_millis(252), "{:?}", before.steady().uptime());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_at_once_does_not_make_a_storm() {
    let (_pushkeeper, mut door) = Component::in_memory(PIPE);
    let before = Clock::system();
    for _ in 0..6 {
        drop(welcome(&mut door).await);
    }
    assert!(before.steady().uptime() > secs(5), "{:?}", before.steady().uptime());
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_silent_is_pinged_and_then_given_up() {
    let (_pushkeeper, mut door) = Component::in_memory(PIPE);
    let mut session = welcome(&mut door).await;
    let begun = Clock::system();
    let ping = session.stanza().await;
    assert_eq!(begun.steady().uptime().as_secs(), 60);
    assert!(ping.contains("urn:xmpp:ping") && ping.contains("to='push.example.net'"), "{ping}");
    // Any byte proves life, even white space.
    sleep(secs(29)).await;
    session.send(" ").await;
    assert!(session.stanza().await.contains("urn:xmpp:ping"));
    assert_eq!(begun.steady().uptime().as_secs(), 60 + 29 + 60);
    assert_eq!(
        session.stanza().await,
        "<stream:error><connection-timeout xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
    );
    assert_eq!(session.next().await, Sent::Close);
    assert_eq!(begun.steady().uptime().as_secs(), 60 + 29 + 60 + 30);
    welcome(&mut door).await;
}

#[tokio::test(start_paused = true)]
async fn a_host_that_accepts_and_says_nothing_is_left() {
    let (_pushkeeper, mut door) = Component::in_memory(PIPE);
    let before = Clock::system();
    let silent = knock(&mut door).await.open();
    let next = knock(&mut door).await;
    assert_eq!(before.steady().uptime().as_secs(), 10);
    drop(silent);
    let mut session = next.open();
    session.welcome().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_well_formed_is_closed_with_its_error_and_opened_anew() {
    let (pushkeeper, mut door) = Component::in_memory(PIPE);
    pushkeeper.answer_all();
    let rows: [(&[u8], &str); 7] = [
        (b"<iq><a></b></iq>", "not-well-formed"),
        (b"<iq id='1'>&lol;</iq>", "not-well-formed"),
        (b"<iq <", "not-well-formed"),
        (b"<!DOCTYPE a>", "restricted-xml"),
        (b"<message><!-- --></message>", "restricted-xml"),
        (b"<message>\xff</message>", "unsupported-encoding"),
        (b"hello", "bad-format"),
    ];
    for (bytes, condition) in rows {
        let mut session = welcome(&mut door).await;
        // What was whole before it is answered all the same, if not on this stream.
        session.send(&publish("p1")).await;
        session.send_bytes(bytes).await;
        let mut sent = Vec::new();
        while sent.last() != Some(&Sent::Close) {
            sent.push(session.next().await);
        }
        sent.retain(|sent| *sent != Sent::Stanza(done("p1")));
        let error = format!("<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>");
        assert_eq!(sent, [Sent::Stanza(error), Sent::Close], "{condition}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_wrong_port_is_left_with_the_right_error() {
    let (_pushkeeper, mut door) = Component::in_memory(PIPE);
    let rows = [("HTTP/1.1 400 Bad Request\r\n\r\n", "not-well-formed"), ("<html>", "invalid-namespace")];
    for (text, condition) in rows {
        let mut session = knock(&mut door).await.open();
        session.next().await;
        session.send(text).await;
        let error = session.stanza().await;
        assert!(error.contains(&format!("<{condition} ")), "{error}");
    }
    welcome(&mut door).await;
}

#[tokio::test(start_paused = true)]
async fn young_tickets_are_answered_on_the_next_stream_and_old_ones_are_not() {
    let (mut pushkeeper, mut door) = Component::in_memory(PIPE);
    let mut session = welcome(&mut door).await;
    session.send(&publish("old")).await;
    let old = ticket(&pushkeeper.batch().await[0]).clone();
    sleep(secs(25)).await;
    session.send(&publish("young")).await;
    let young = ticket(&pushkeeper.batch().await[0]).clone();
    drop(session);
    knock(&mut door).await.refuse();
    pushkeeper
        .answers
        .send(vec![Outgoing::Answer(old, Answer::Done), Outgoing::Answer(young, Answer::Done)])
        .await
        .unwrap();
    sleep(secs(10)).await;
    let mut session = welcome(&mut door).await;
    assert_eq!(session.stanza().await, done("young"));
    assert!(session.settled().await.is_empty());
    assert_eq!(pushkeeper.counters.answers_dropped.value(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_drops_with_a_thousand_publishes_unanswered_answers_each_once() {
    let (mut pushkeeper, mut door) = Component::in_memory(4 * 1024 * 1024);
    let mut session = welcome(&mut door).await;
    let ids: Vec<_> = (0..1000).map(|n| format!("p{n}")).collect();
    session.send(&ids.iter().map(|id| publish(id)).collect::<String>()).await;
    let mut read = Vec::new();
    while read.len() < ids.len() {
        read.extend(pushkeeper.batch().await);
    }
    drop(session);
    let answers = read.iter().map(|input| Outgoing::Answer(ticket(input).clone(), Answer::Done)).collect();
    pushkeeper.answers.send(answers).await.unwrap();
    let mut session = welcome(&mut door).await;
    let expected: Vec<_> = ids.iter().map(|id| done(id)).collect();
    let mut sent = session.settled().await;
    // The ping may overtake them, if it comes before they do.
    while sent.len() < expected.len() {
        sent.push(session.stanza().await);
    }
    assert_eq!(sent, expected);
    assert!(session.settled().await.is_empty());
    assert_eq!(
        [pushkeeper.inputs().await, pushkeeper.inputs().await].concat(),
        [Input::Link(false), Input::Link(true)]
    );
    assert!(pushkeeper.inputs.is_empty());
}

#[tokio::test(start_paused = true)]
async fn answers_that_met_a_broken_connection_go_again() {
    let (mut pushkeeper, mut door) = Component::in_memory(PIPE);
    let mut session = welcome(&mut door).await;
    session.send(&publish("p1")).await;
    let answer = vec![Outgoing::Answer(ticket(&pushkeeper.batch().await[0]).clone(), Answer::Done)];
    pushkeeper.answers.send(answer).await.unwrap();
    // It is written, and lies in the pipe when that breaks.
    sleep(Duration::from_millis(10)).await;
    drop(session);
    assert_eq!(welcome(&mut door).await.stanza().await, done("p1"));
}

#[tokio::test(start_paused = true)]
async fn the_end_is_in_good_order_and_loses_no_answer() {
    let (mut pushkeeper, mut door) = Component::in_memory(PIPE);
    let mut session = welcome(&mut door).await;
    session.send(&publish("p1")).await;
    let ticket = ticket(&pushkeeper.batch().await[0]).clone();
    pushkeeper.inputs.close();
    pushkeeper.answers.send(vec![Outgoing::Answer(ticket, Answer::Done)]).await.unwrap();
    let host = tokio::spawn(async move {
        assert_eq!(session.stanza().await, done("p1"));
        assert_eq!(session.next().await, Sent::Close);
        session.send("</stream:stream>").await;
        session
    });
    let begun = Clock::system();
    assert!(pushkeeper.end().await.is_ok());
    assert!(begun.steady().uptime() < secs(1), "{:?}", begun.steady().uptime());
    host.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_host_that_does_not_end_its_stream_is_not_waited_for_long() {
    let (pushkeeper, mut door) = Component::in_memory(PIPE);
    let session = welcome(&mut door).await;
    let begun = Clock::system();
    assert!(pushkeeper.end().await.is_ok());
    assert!(begun.steady().uptime() <= secs(4), "{:?}", begun.steady().uptime());
    drop(session);
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_done_ends_the_link_while_there_is_no_stream() {
    let (pushkeeper, mut door) = Component::in_memory(PIPE);
    knock(&mut door).await.refuse();
    let _waiting = knock(&mut door).await;
    let begun = Clock::system();
    assert!(pushkeeper.end().await.is_ok());
    assert_eq!(begun.steady().uptime(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn requests_that_the_driver_never_took_are_told_to_come_again() {
    let (mut pushkeeper, mut door) = Component::in_memory(PIPE);
    let mut session = welcome(&mut door).await;
    // The queue has 16 places; what is read beyond them waits in the link.
    for n in 0..20 {
        session.send(&publish(&format!("p{n}"))).await;
        tokio::task::yield_now().await;
    }
    while pushkeeper.inputs.len() < 16 {
        sleep(Duration::from_millis(1)).await;
    }
    sleep(Duration::from_millis(1)).await;
    pushkeeper.inputs.close();
    let refused = session.stanza().await;
    let expected = "<error type='wait'><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    assert!(refused.contains(expected), "{refused}");
}
