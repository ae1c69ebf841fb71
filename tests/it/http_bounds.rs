//! How long strangers may take, and how many there may be: the HTTP edge alone, with short deadlines.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pushkeeper::clock::Clock;
use pushkeeper::domain::ids::Domain;
use pushkeeper::domain::rate::Rate;
use pushkeeper::flows::data::{Answer, Door, Input};
use pushkeeper::http::{Limits, Listener, Public, Server, Waiting};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::http::{exchange, request};
use crate::support::host::JID;

/// Longer than anything takes.
const SOON: Duration = Duration::from_secs(30);

/// The edge, with the test in the driver's place.
struct Edge {
    server: Server,
    address: SocketAddr,
    requests: mpsc::Receiver<Input>,
    waiting: Arc<Waiting>,
}

fn short() -> Limits {
    let short = Duration::from_millis(300);
    Limits {
        rate: Rate { count: 1000, per: Duration::from_secs(1) },
        read_within: short,
        answer_within: short,
        ..Limits::default()
    }
}

impl Edge {
    fn start(limits: Limits) -> Self {
        let (inputs, requests) = mpsc::channel(64);
        let waiting = Arc::<Waiting>::default();
        let clock = Clock::system();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.address().unwrap();
        let public = Public {
            jid: Domain::new(JID),
            inputs,
            waiting: waiting.clone(),
            clock: clock.clone(),
            answer_within: limits.answer_within,
            served: Arc::default(),
        };
        let server = Server::start(listener, None, limits, clock, Arc::new(public)).unwrap();
        Self { server, address, requests, waiting }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// The number of the next request that came so far as to be asked.
    async fn asked(&mut self) -> u64 {
        let input = timeout(SOON, self.requests.recv()).await.expect("in time").expect("it listens");
        match input.into_ticket().map(|ticket| ticket.door) {
            Some(Door::Http(number)) => number,
            other => panic!("{other:?}"),
        }
    }
}

fn unregister() -> String {
    let body = r#"{"account":"romeo@example.org","provider":"tigase:messenger:apns:1","device-token":"AC40"}"#;
    request("POST", &format!("/unregister-device/{JID}"), "", body)
}

/// Reads until it is closed, in whatever way.
async fn read_to_end(socket: &mut TcpStream) -> String {
    let mut all = Vec::new();
    // A reset is an end as well.
    let _end = timeout(SOON, socket.read_to_end(&mut all)).await.expect("it is closed in time");
    String::from_utf8(all).unwrap()
}

#[tokio::test]
async fn who_is_slow_is_cut_off_wherever_it_stops() {
    let edge = Edge::start(short());
    let all = unregister();
    let head_ends = all.find("\r\n\r\n").unwrap() + 4;
    let rows = [("nothing", 0, ""), ("half a head", 20, ""), ("half a body", head_ends + 10, "408")];
    for (what, sent, status) in rows {
        let mut socket = edge.connect().await;
        socket.write_all(&all.as_bytes()[..sent]).await.unwrap();
        let answer = read_to_end(&mut socket).await;
        assert_eq!(answer.split(' ').nth(1).unwrap_or_default(), status, "{what}: {answer}");
    }
}

#[tokio::test]
async fn who_sends_byte_by_byte_is_cut_off_as_well() {
    let edge = Edge::start(short());
    let mut socket = edge.connect().await;
    let all = unregister();
    let drip = async {
        for byte in all.as_bytes() {
            if socket.write_all(&[*byte]).await.is_err() {
                return;
            }
            let mut one = [0];
            match timeout(Duration::from_millis(20), socket.read(&mut one)).await {
                Err(_) => {}
                Ok(end) => return assert_eq!(end.unwrap_or(0), 0, "no answer"),
            }
        }
        panic!("it took all");
    };
    timeout(SOON, drip).await.unwrap();
}

#[tokio::test]
async fn no_connection_outlives_its_time() {
    let limits =
        Limits { read_within: SOON, answer_within: SOON, connection_within: Duration::from_millis(300), ..short() };
    let mut edge = Edge::start(limits);
    let mut idle = edge.connect().await;
    let mut asking = edge.connect().await;
    asking.write_all(unregister().as_bytes()).await.unwrap();
    let number = edge.asked().await;
    assert_eq!(read_to_end(&mut idle).await, "");
    assert_eq!(read_to_end(&mut asking).await, "");
    // Its answer comes to nothing.
    edge.waiting.answer(number, Answer::Done);
}

#[tokio::test]
async fn a_driver_that_does_not_answer_is_503_in_time() {
    let mut edge = Edge::start(short());
    let mut socket = edge.connect().await;
    let text = unregister();
    let (answer, _) = tokio::join!(exchange(&mut socket, &text), edge.asked());
    assert_eq!((answer.0, answer.2.as_str()), (503, r#"{"result":"failure"}"#));
    assert!(answer.1.contains("\r\nretry-after: 30"), "{}", answer.1);
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_before_it_is_read() {
    let edge = Edge::start(Limits { read_within: SOON, ..short() });
    let path = format!("/unregister-device/{JID}");
    let announced = format!("POST {path} HTTP/1.1\r\nHost: {JID}\r\nContent-Length: 1000000000\r\n\r\n");
    let chunk = "x".repeat(4097);
    let chunked =
        format!("POST {path} HTTP/1.1\r\nHost: {JID}\r\nTransfer-Encoding: chunked\r\n\r\n1001\r\n{chunk}\r\n");
    for text in [announced, chunked] {
        let (status, head, _) = exchange(&mut edge.connect().await, &text).await;
        assert_eq!(status, 413);
        assert!(head.contains("\r\nconnection: close"), "{head}");
    }
}

#[tokio::test]
async fn there_are_no_more_connections_than_may_be_and_each_has_one_request() {
    let limits = Limits { connections: 3, connections_per_address: 1, read_within: SOON, ..short() };
    let mut edge = Edge::start(limits);
    // Without TLS there is a proxy in front: all of them are its.
    let mut there = Vec::new();
    for _ in 0..3 {
        let mut socket = edge.connect().await;
        socket.write_all(unregister().as_bytes()).await.unwrap();
        there.push((edge.asked().await, socket));
    }
    assert_eq!(read_to_end(&mut edge.connect().await).await, "", "closed at once");
    let (number, mut socket) = there.pop().unwrap();
    edge.waiting.answer(number, Answer::Unregistered { command: "".into() });
    let answer = read_to_end(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(r#"{"result":"success"}"#), "{answer}");
    // A second request on the same connection is not read.
    let twice = unregister().repeat(2);
    let mut socket = edge.connect().await;
    let asked = async {
        let number = edge.asked().await;
        edge.waiting.answer(number, Answer::Unregistered { command: "".into() });
    };
    let asking = async {
        socket.write_all(twice.as_bytes()).await.unwrap();
        read_to_end(&mut socket).await
    };
    let (answer, ()) = tokio::join!(asking, asked);
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    assert!(edge.requests.try_recv().is_err());
}

#[tokio::test]
async fn more_requests_than_may_be_are_429_whoever_asks() {
    let rate = Rate { count: 2, per: Duration::from_secs(3600) };
    let limits = Limits { rate, ..short() };
    let edge = Edge::start(limits);
    let text = request("GET", "/", "", "");
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(exchange(&mut edge.connect().await, &text).await.0);
    }
    assert_eq!(answers, [404, 404, 429]);
}

#[tokio::test]
async fn a_stop_takes_no_more_and_lets_go_of_who_waits() {
    let mut edge = Edge::start(Limits { read_within: SOON, answer_within: SOON, ..short() });
    let mut idle = edge.connect().await;
    let mut asking = edge.connect().await;
    asking.write_all(unregister().as_bytes()).await.unwrap();
    edge.asked().await;
    edge.waiting.close();
    timeout(SOON, edge.server.shutdown(SOON)).await.expect("all are let go");
    assert!(read_to_end(&mut asking).await.starts_with("HTTP/1.1 503 "));
    assert_eq!(read_to_end(&mut idle).await, "");
    assert!(TcpStream::connect(edge.address).await.is_err());
}
