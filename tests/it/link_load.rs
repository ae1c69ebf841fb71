//! Back-pressure and bounds: much at once, a driver that hangs, a host that does not read.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pushkeeper::clock::Clock;
use pushkeeper::flows::data::{Answer, Outgoing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use crate::support::host::{Component, Host, PATIENCE, Session, knock, publish, ticket};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_requests_at_once_are_each_answered_in_bounded_space() {
    const COUNT: usize = 100_000;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pushkeeper = Component::over_tcp(listener.local_addr().unwrap());
    let mut session = Session::new(listener.accept().await.unwrap().0);
    session.welcome().await;
    let (mut reader, mut writer) = session.into_inner().into_split();
    pushkeeper.answer_all();
    let sent = Arc::new(AtomicUsize::new(0));
    let progress = sent.clone();
    let sending = tokio::spawn(async move {
        for chunk in 0..COUNT / 1000 {
            let text: String = (0..1000).map(|n| publish(&format!("p{}", chunk * 1000 + n))).collect();
            writer.write_all(text.as_bytes()).await.unwrap();
            progress.fetch_add(1000, Ordering::Relaxed);
        }
        writer
    });
    let mut answered = BTreeSet::new();
    let mut most = 0;
    let mut rest = String::new();
    let mut chunk = vec![0; 256 * 1024];
    while answered.len() < COUNT {
        let read = timeout(PATIENCE, reader.read(&mut chunk)).await.expect("answers in time").unwrap();
        assert!(read > 0, "the stream ended after {} answers", answered.len());
        rest.push_str(std::str::from_utf8(&chunk[..read]).unwrap());
        let end = rest.rfind("/>").map_or(0, |at| at + 2);
        for answer in rest[..end].split_inclusive("/>") {
            let id = answer.split("' id='p").nth(1).and_then(|rest| rest.split('\'').next()).expect("an id");
            assert!(answered.insert(id.parse::<usize>().unwrap()), "{answer} came twice");
        }
        rest.drain(..end);
        most = most.max(sent.load(Ordering::Relaxed).saturating_sub(answered.len()));
    }
    assert_eq!(answered.iter().next_back(), Some(&(COUNT - 1)));
    // The rest was pushed back: what is under way fits into the system's socket buffers and our short queues.
    assert!(most < COUNT / 2, "{most} were under way at once");
    drop(sending.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_hangs_stops_neither_answers_nor_pings() {
    let (mut pushkeeper, mut door) = Component::in_memory(1024);
    let mut session = knock(&mut door).await.open();
    session.welcome().await;
    session.send(&publish("first")).await;
    let first = ticket(&pushkeeper.batch().await[0]).clone();
    // The driver takes nothing from here on: its queue fills up, then the link, then the pipe.
    let mut stuck = 0;
    while timeout(Duration::from_secs(1), session.try_send(publish("p").as_bytes())).await.is_ok() {
        stuck += 1;
        assert!(stuck < 1000, "nothing pushes back");
    }
    pushkeeper.answers.send(vec![Outgoing::Answer(first, Answer::Done)]).await.unwrap();
    assert!(session.stanza().await.contains("id='first'"));
    // The silence is ours: the host is not given up for it.
    sleep(Duration::from_secs(1000)).await;
    assert_eq!(pushkeeper.counters.streams.value(), 1);
    assert!(pushkeeper.counters.linked());
}

#[tokio::test(start_paused = true)]
async fn a_host_that_reads_nothing_is_not_read_from_and_in_the_end_given_up() {
    let (pushkeeper, mut door) = Component::in_memory(64 * 1024);
    let counters = pushkeeper.counters.clone();
    pushkeeper.answer_all();
    let mut session = knock(&mut door).await.open();
    session.welcome().await;
    // Each is answered with its 4000 bytes of id: some 1050 of them are 4 MiB.
    let ping = format!("<iq type='get' id='{}' from='a@b'><ping xmlns='urn:xmpp:ping'/></iq>", "i".repeat(4000));
    let mut taken = 0;
    while timeout(Duration::from_secs(1), session.try_send(ping.as_bytes())).await.is_ok() {
        taken += 1;
        assert!(taken < 5000, "nothing pushes back");
    }
    assert!((1000..1500).contains(&taken), "{taken}");
    let begun = Clock::system();
    let _next = knock(&mut door).await;
    assert!((85..=95).contains(&begun.steady().uptime().as_secs()), "{:?}", begun.steady().uptime());
    assert!(!counters.linked());
}

#[tokio::test]
async fn requests_of_one_read_are_one_batch() {
    let host = Host::start().await;
    let mut pushkeeper = Component::over_tcp(host.address());
    let mut session = host.component().await;
    let text: String = (0..20).map(|n| publish(&format!("p{n}"))).collect();
    session.send(&text).await;
    let mut batches = Vec::new();
    while batches.iter().sum::<usize>() < 20 {
        batches.push(pushkeeper.batch().await.len());
    }
    assert!(batches.len() <= 2, "{batches:?}");
}
