//! A stand-in for an XMPP host: the server's side of XEP-0114, over TCP or in memory. It does what the test says,
//! and nothing by itself.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pushkeeper::clock::Clock;
use pushkeeper::domain::ids::Domain;
use pushkeeper::domain::secret::Secret;
use pushkeeper::flows::data::{Answer, Input, Outgoing, Ticket};
use pushkeeper::xmpp::frame::{Frame, Framer};
use pushkeeper::xmpp::link::{self, Counters, Dial, Settings, Timing};
use pushkeeper::xmpp::service::Service;
use pushkeeper::xmpp::trouble::LinkError;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The component's JID in tests.
pub(crate) const JID: &str = "push.example.net";
/// The host whose bridge it listens to.
pub(crate) const BRIDGED: &str = "bridged.example";
/// Its secret.
pub(crate) const SECRET: &str = "s3cr3t";
/// Longer than anything takes, so that a test that waits in vain fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// A host that listens on loopback.
pub(crate) struct Host {
    listener: TcpListener,
}

impl Host {
    /// On a port of the system's choice.
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().expect("an address")).await
    }

    /// On this port, as a host that was restarted.
    pub(crate) async fn start_at(address: SocketAddr) -> Self {
        Self { listener: TcpListener::bind(address).await.expect("a free port") }
    }

    /// What `component.connect` says.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("it is bound")
    }

    /// The next connection, before any byte.
    pub(crate) async fn connection(&self) -> Session<TcpStream> {
        let accepted = timeout(PATIENCE, self.listener.accept()).await.expect("a connection in time");
        let socket = accepted.expect("a connection").0;
        socket.set_nodelay(true).expect("a TCP socket");
        Session::new(socket)
    }

    /// The next component that shows the right secret.
    pub(crate) async fn component(&self) -> Session<TcpStream> {
        let mut session = self.connection().await;
        session.welcome().await;
        session
    }
}

/// One connection, seen from the host.
pub(crate) struct Session<S> {
    io: S,
    framer: Framer,
}

/// What the component sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Its stream header.
    Open(String),
    /// A stanza.
    Stanza(String),
    /// `</stream:stream>`.
    Close,
    /// The end of the connection.
    End,
}

impl<S> Session<S> {
    pub(crate) fn new(io: S) -> Self {
        Self { io, framer: Framer::new() }
    }

    /// The connection itself.
    pub(crate) fn into_inner(self) -> S {
        self.io
    }
}

impl<S: AsyncRead + Unpin> Session<S> {
    /// The next thing the component sends.
    pub(crate) async fn next(&mut self) -> Sent {
        loop {
            match self.framer.next_frame().expect("the component sends a well-formed stream") {
                Some(Frame::StreamOpen(tag)) => return Sent::Open(tag.to_owned()),
                Some(Frame::Stanza(text) | Frame::Parsed(text)) => return Sent::Stanza(text.to_owned()),
                Some(Frame::StreamClose) => return Sent::Close,
                Some(Frame::TooBig(what)) => panic!("the component sends too much: {what:?}"),
                None => {}
            }
            let read = timeout(PATIENCE, self.io.read(self.framer.room())).await.expect("something in time");
            match read {
                Ok(0) | Err(_) => return Sent::End,
                Ok(read) => self.framer.filled(read),
            }
        }
    }

    /// The next stanza.
    pub(crate) async fn stanza(&mut self) -> String {
        match self.next().await {
            Sent::Stanza(text) => text,
            other => panic!("a stanza was expected, not {other:?}"),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Opens the stream and accepts the right secret; fails the test on any other.
    pub(crate) async fn welcome(&mut self) {
        let shown = self.greet("stream-1").await;
        let mut sha1 = Sha1::new();
        sha1.update("stream-1");
        sha1.update(SECRET);
        let right: String = sha1.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(shown, format!("<handshake>{right}</handshake>"));
        self.send("<handshake/>").await;
    }

    /// Opens the stream; returns the handshake that the component shows.
    pub(crate) async fn greet(&mut self, id: &str) -> String {
        let header = self.next().await;
        assert!(matches!(&header, Sent::Open(tag) if tag.contains(JID)), "{header:?}");
        self.send(&format!(
            "<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' from='{JID}' id='{id}' \
             xmlns='jabber:component:accept'>"
        ))
        .await;
        self.stanza().await
    }

    /// Ends the stream with an error, as hosts do.
    pub(crate) async fn fail(&mut self, condition: &str) {
        let ns = "urn:ietf:params:xml:ns:xmpp-streams";
        self.send(&format!("<stream:error><{condition} xmlns='{ns}'/></stream:error></stream:stream>")).await;
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes()).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.try_send(bytes).await.expect("the component takes it");
    }

    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(PATIENCE, self.io.write_all(bytes)).await.map_err(io::Error::from)?
    }

    /// Pings, and returns what the component sends before it answers: what it sent in answer to what came before.
    pub(crate) async fn settled(&mut self) -> Vec<String> {
        self.send(&format!(
            "<iq type='get' id='settled' from='host.example' to='{JID}'><ping xmlns='urn:xmpp:ping'/></iq>"
        ))
        .await;
        let mut before = Vec::new();
        loop {
            let stanza = self.stanza().await;
            if stanza == format!("<iq type='result' id='settled' from='{JID}' to='host.example'/>") {
                return before;
            }
            before.push(stanza);
        }
    }
}

impl Session<TcpStream> {
    /// One end to read stanzas from, one to write bytes to.
    pub(crate) fn into_halves(self) -> (Session<OwnedReadHalf>, OwnedWriteHalf) {
        let (reader, writer) = self.io.into_split();
        (Session { io: reader, framer: self.framer }, writer)
    }

    /// The same the other way round.
    pub(crate) fn from_halves(reader: Session<OwnedReadHalf>, writer: OwnedWriteHalf) -> Self {
        let io = reader.io.reunite(writer).expect("they belong together");
        Self { io, framer: reader.framer }
    }
}

/// A publish of the shape that Prosody's `mod_cloud_notify` sends.
pub(crate) fn publish(id: &str) -> String {
    format!(
        "<iq type='set' id='{id}' from='example.org' to='{JID}'><pubsub xmlns='http://jabber.org/protocol/pubsub'>\
         <publish node='node-1'><item><notification xmlns='urn:xmpp:push:0'><x xmlns='jabber:x:data' type='form'>\
         <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:push:summary</value></field>\
         <field var='message-count' type='text-single'><value>1</value></field>\
         <field var='last-message-body' type='text-single'><value>New Message!</value></field></x></notification>\
         </item></publish><publish-options><x xmlns='jabber:x:data' type='submit'><field var='secret'><value>s</value>\
         </field></x></publish-options></pubsub></iq>"
    )
}

/// The empty result for it.
pub(crate) fn done(id: &str) -> String {
    format!("<iq type='result' id='{id}' from='{JID}' to='example.org'/>")
}

/// The ticket of a request.
pub(crate) fn ticket(input: &Input) -> &Ticket {
    match input {
        Input::Publish { ticket, .. } | Input::Register { ticket, .. } | Input::Unregister { ticket, .. } => ticket,
        Input::Signals { ticket, .. } => ticket,
        other => panic!("no request: {other:?}"),
    }
}

/// The link under test, and the driver's ends of its queues.
pub(crate) struct Component {
    pub(crate) inputs: mpsc::Receiver<Vec<Input>>,
    pub(crate) answers: mpsc::Sender<Vec<Outgoing>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) task: JoinHandle<Result<(), LinkError>>,
}

impl Component {
    /// Over TCP, with short waits.
    pub(crate) fn over_tcp(connect: SocketAddr) -> Self {
        let timing = Timing { retry_first: Duration::from_millis(1), ..Timing::default() };
        let (settings, inputs, answers, to, from) = parts(connect.to_string(), timing);
        let counters = Arc::clone(&settings.counters);
        let task = tokio::spawn(link::run(settings, service(), Clock::system(), to, from));
        Self { inputs, answers, counters, task }
    }

    /// In memory, with the real waits; the test pauses time. Returns what the component "connects" to.
    pub(crate) fn in_memory(pipe_bytes: usize) -> (Self, mpsc::Receiver<Knock>) {
        let (settings, inputs, answers, to, from) = parts("memory".to_owned(), Timing::default());
        let counters = Arc::clone(&settings.counters);
        let (knocks, door) = mpsc::channel(1);
        let dial = Memory { knocks, pipe_bytes };
        let task = tokio::spawn(link::run_over(dial, settings, service(), Clock::system(), to, from));
        (Self { inputs, answers, counters, task }, door)
    }

    /// The next batch of requests and replies.
    pub(crate) async fn batch(&mut self) -> Vec<Input> {
        loop {
            let mut batch = self.inputs().await;
            batch.retain(|input| !matches!(input, Input::Link(_)));
            if !batch.is_empty() {
                return batch;
            }
        }
    }

    /// The next batch of anything, streams that begin and end included.
    pub(crate) async fn inputs(&mut self) -> Vec<Input> {
        timeout(PATIENCE, self.inputs.recv()).await.expect("a batch in time").expect("the link lives")
    }

    /// Answers all requests with an empty result from now on, until the link ends.
    pub(crate) fn answer_all(self) -> JoinHandle<Result<(), LinkError>> {
        let Self { mut inputs, answers, task, .. } = self;
        tokio::spawn(async move {
            while let Some(batch) = inputs.recv().await {
                let tickets = batch.into_iter().filter_map(Input::into_ticket);
                let done = tickets.map(|ticket| Outgoing::Answer(ticket, Answer::Done)).collect();
                if answers.send(done).await.is_err() {
                    break;
                }
            }
        });
        task
    }

    /// How the link ended.
    pub(crate) async fn end(self) -> Result<(), LinkError> {
        let Self { inputs, answers, task, .. } = self;
        drop((inputs, answers));
        timeout(PATIENCE, task).await.expect("an end in time").expect("no panic")
    }
}

type Parts = (
    Settings,
    mpsc::Receiver<Vec<Input>>,
    mpsc::Sender<Vec<Outgoing>>,
    mpsc::Sender<Vec<Input>>,
    mpsc::Receiver<Vec<Outgoing>>,
);

fn parts(connect: String, timing: Timing) -> Parts {
    let settings = Settings { connect, secret: Secret::new(SECRET), timing, counters: Arc::default() };
    let (to, inputs) = mpsc::channel(16);
    let (answers, from) = mpsc::channel(16);
    (settings, inputs, answers, to, from)
}

fn service() -> Arc<Service> {
    Arc::new(Service::new(Domain::new(JID), []).with_hosts([Domain::new(BRIDGED)]))
}

/// A try to connect, in memory: the test decides what becomes of it.
pub(crate) struct Knock(tokio::sync::oneshot::Sender<io::Result<DuplexStream>>, usize);

impl Knock {
    /// Nobody is there.
    pub(crate) fn refuse(self) {
        self.0.send(Err(io::ErrorKind::ConnectionRefused.into())).expect("it waits");
    }

    /// A connection.
    pub(crate) fn open(self) -> Session<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(self.1);
        self.0.send(Ok(theirs)).expect("it waits");
        Session::new(ours)
    }
}

/// The next try to connect.
pub(crate) async fn knock(door: &mut mpsc::Receiver<Knock>) -> Knock {
    timeout(PATIENCE, door.recv()).await.expect("a try in time").expect("the link lives")
}

struct Memory {
    knocks: mpsc::Sender<Knock>,
    pipe_bytes: usize,
}

impl Dial for Memory {
    type Reader = ReadHalf<DuplexStream>;
    type Writer = WriteHalf<DuplexStream>;

    async fn dial(&mut self) -> io::Result<(Self::Reader, Self::Writer)> {
        let (answer, wait) = tokio::sync::oneshot::channel();
        let gone = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
        self.knocks.send(Knock(answer, self.pipe_bytes)).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
        wait.await.map_err(gone)?.map(tokio::io::split)
    }
}
