//! The link to the host: a stream, and another one after it, for ever.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tracing::{error, info, warn};

use super::backoff::Backoff;
use super::inbound::Ignored;
use super::orders;
use super::outbox::Outbox;
use super::service::Service;
pub use super::settings::{Count, Counters, LinkState, Settings, Target, Timing};
use super::stream::{Ended, Stream};
use super::trouble::{LinkError, Trouble};
use crate::clock::Clock;
use crate::domain::refusal::{Later, Refusal};
use crate::flows::data::{Answer, Input, Outgoing};

/// Makes connections.
pub trait Dial: Send {
    /// What is read from.
    type Reader: AsyncRead + Unpin + Send;
    /// What is written to.
    type Writer: AsyncWrite + Unpin + Send;

    /// Makes one.
    fn dial(&mut self) -> impl Future<Output = io::Result<(Self::Reader, Self::Writer)>> + Send;

    /// From now on they go there.
    fn redirect(&mut self, _connect: &str) {}
}

/// Keeps the component linked to its host until the driver is done with it.
///
/// Requests go to `inputs`, all those of one read as one batch, with word of each stream's beginning and end; while
/// the driver does not take them, nothing is read. Answers come from `answers`, whether there is a stream or not, and
/// orders, if there is one that the driver has heard of. The driver ends the link by closing the receiver of `inputs`
/// (nothing is read any more) and then dropping the sender of `answers`: what waits is written, the stream is ended in
/// good order, and this returns.
///
/// # Errors
///
/// The host refused the secret before there was ever a stream. All other trouble is logged, once, and tried again.
pub async fn run(
    settings: Settings,
    service: Arc<Service>,
    clock: Clock,
    inputs: mpsc::Sender<Vec<Input>>,
    answers: mpsc::Receiver<Vec<Outgoing>>,
) -> Result<(), LinkError> {
    run_to(settings, None, service, clock, inputs, answers).await
}

/// As [`run`]; what comes from `targets` holds from the next stream on. While there is none, it is tried at once.
///
/// # Errors
///
/// As [`run`].
pub async fn run_to(
    settings: Settings,
    targets: Option<watch::Receiver<Target>>,
    service: Arc<Service>,
    clock: Clock,
    inputs: mpsc::Sender<Vec<Input>>,
    answers: mpsc::Receiver<Vec<Outgoing>>,
) -> Result<(), LinkError> {
    let tcp = Tcp { connect: settings.connect.clone() };
    run_all(tcp, settings, targets, service, clock, inputs, answers).await
}

/// As [`run`], over connections of any kind.
///
/// # Errors
///
/// As [`run`].
pub async fn run_over<D: Dial>(
    dial: D,
    settings: Settings,
    service: Arc<Service>,
    clock: Clock,
    inputs: mpsc::Sender<Vec<Input>>,
    answers: mpsc::Receiver<Vec<Outgoing>>,
) -> Result<(), LinkError> {
    run_all(dial, settings, None, service, clock, inputs, answers).await
}

async fn run_all<D: Dial>(
    mut dial: D,
    settings: Settings,
    mut targets: Option<watch::Receiver<Target>>,
    service: Arc<Service>,
    clock: Clock,
    inputs: mpsc::Sender<Vec<Input>>,
    answers: mpsc::Receiver<Vec<Outgoing>>,
) -> Result<(), LinkError> {
    let timing = settings.timing;
    let mut link = Link {
        settings,
        service,
        clock,
        inputs,
        answers,
        outbox: Outbox::default(),
        batch: Vec::new(),
        received: Vec::new(),
        taking: true,
        answering: true,
        up: false,
        unheard: 0,
        said_foreign: false,
    };
    let mut backoff = Backoff::new(timing.retry_first, timing.retry_longest);
    let mut said = Said::default();
    let mut linked_once = false;
    let mut unexplained = 0;
    loop {
        if let Some(Target { connect, secret }) = targets.as_mut().and_then(changed) {
            dial.redirect(&connect);
            (link.settings.connect, link.settings.secret) = (connect, secret);
            // Whatever was said of the former one.
            said.kinds.clear();
            unexplained = 0;
        }
        let connecting = connect(&mut dial, link.settings.clone(), Arc::clone(&link.service));
        let Some(connected) = link.meanwhile(connecting).await else { return Ok(()) };
        let trouble = match connected {
            Ok(stream) => {
                linked_once = true;
                unexplained = 0;
                said.linked(&link);
                let begun = link.clock.steady();
                link.outbox.begin_stream(begun, timing.answer_age);
                link.count_dropped();
                link.tell(true);
                link.settings.counters.streams.add(1);
                link.settings.counters.set_linked(true);
                let ended = stream.serve(&mut link).await;
                link.settings.counters.set_linked(false);
                if link.clock.steady() - begun >= timing.stable {
                    backoff.reset();
                }
                match ended {
                    Ended::Finished => return Ok(()),
                    Ended::Lost(trouble) => {
                        let in_order = matches!(trouble, Trouble::Ended | Trouble::Host(_));
                        link.outbox.stream_ended(link.clock.steady(), in_order);
                        link.tell(false);
                        trouble
                    }
                }
            }
            Err(trouble) => trouble,
        };
        // A host that dies during the handshake closes, too; one that does it twice means it.
        unexplained = if matches!(trouble, Trouble::ClosedAtHandshake) { unexplained + 1 } else { 0 };
        let refused = matches!(trouble, Trouble::WrongSecret) || unexplained >= 2;
        if refused && !linked_once {
            let jid = link.service.jid().to_string();
            return Err(LinkError::WrongSecret { jid, host: link.settings.connect });
        }
        said.trouble(&link, &trouble);
        link.settings.counters.set_down(&trouble);
        let wait = if refused { timing.retry_secret } else { backoff.next(random()) };
        let waiting = async {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = other_target(targets.as_mut()) => {}
            }
        };
        let Some(()) = link.meanwhile(waiting).await else { return Ok(()) };
    }
}

/// Where the link goes, if that is new.
fn changed(targets: &mut watch::Receiver<Target>) -> Option<Target> {
    targets.has_changed().is_ok_and(|changed| changed).then(|| targets.borrow_and_update().clone())
}

/// Waits for another target; for ever if there will be none.
async fn other_target(targets: Option<&mut watch::Receiver<Target>>) {
    if let Some(targets) = targets {
        // Looked at when it is used: waiting would take the news away.
        let mut targets = targets.clone();
        if targets.changed().await.is_ok() {
            return;
        }
    }
    std::future::pending().await
}

/// What outlives a stream.
pub(super) struct Link {
    pub(super) settings: Settings,
    pub(super) service: Arc<Service>,
    pub(super) clock: Clock,
    pub(super) inputs: mpsc::Sender<Vec<Input>>,
    pub(super) answers: mpsc::Receiver<Vec<Outgoing>>,
    pub(super) outbox: Outbox,
    /// What the driver has not taken yet. Nothing is read while there is any, so one read bounds it.
    pub(super) batch: Vec<Input>,
    /// Answers just taken from the channel.
    pub(super) received: Vec<Vec<Outgoing>>,
    /// Whether the driver takes requests.
    pub(super) taking: bool,
    /// Whether the driver may still have answers.
    pub(super) answering: bool,
    /// Whether there is a stream.
    up: bool,
    /// Of how many beginnings the driver has not yet said that it heard. Its orders are for a stream of the past.
    unheard: u32,
    said_foreign: bool,
}

impl Link {
    /// The driver shall hear that a stream began, before anything that is read on it, or that it ended. What it has not
    /// taken yet of a stream that is over already it need not hear of; so what waits here stays bounded while it takes
    /// nothing and streams come and go.
    fn tell(&mut self, up: bool) {
        self.up = up;
        if !up && self.batch.last() == Some(&Input::Link(true)) {
            self.batch.pop();
            self.unheard -= 1;
        } else if self.taking {
            self.batch.push(Input::Link(up));
            self.unheard += u32::from(up);
        }
    }

    /// Hands the batch over if there is room right now.
    pub(super) fn offer(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        match self.inputs.try_send(std::mem::take(&mut self.batch)) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(batch)) => self.batch = batch,
            Err(mpsc::error::TrySendError::Closed(batch)) => {
                self.batch = batch;
                self.stop_taking();
            }
        }
    }

    /// The driver takes no more requests. What it has not taken is sent back: come again later.
    pub(super) fn stop_taking(&mut self) {
        self.taking = false;
        let later = Answer::Refused(Refusal::TryLater(Later::Full));
        for ticket in self.batch.drain(..).filter_map(Input::into_ticket) {
            self.outbox.answer(&ticket, &later);
        }
    }

    /// Renders the answers just received; none at all means that there will never be any more.
    pub(super) fn render(&mut self, count: usize) {
        if count == 0 {
            self.answering = false;
        }
        for outgoing in self.received.drain(..).flatten() {
            match outgoing {
                Outgoing::Answer(ticket, answer) => self.outbox.answer(&ticket, &answer),
                Outgoing::Began => self.unheard = self.unheard.saturating_sub(1),
                // Means something to this stream only: it dies with it, and none waits for the next.
                Outgoing::Order(order) if self.up && self.unheard == 0 => {
                    let mut stanza = BytesMut::new();
                    orders::write(&mut stanza, &self.service, &order);
                    self.outbox.stanza(&stanza, None);
                }
                Outgoing::Order(_) => {}
            }
        }
        self.count_dropped();
    }

    pub(super) fn ignored(&mut self, why: Ignored) {
        match why {
            Ignored::NoRequest | Ignored::Unknown => {}
            Ignored::NoSender | Ignored::LongId => self.settings.counters.unanswerable.add(1),
            Ignored::Foreign => {
                self.settings.counters.foreign.add(1);
                if !std::mem::replace(&mut self.said_foreign, true) {
                    warn!(
                        "the host hands us stanzas for other domains, which we leave unanswered: on ejabberd, set \
                         global_routes: false on the listener of this component"
                    );
                }
            }
        }
    }

    /// The instant so far from now.
    pub(super) fn deadline(&self, span: Duration) -> Instant {
        self.clock.instant(self.clock.steady() + span)
    }

    /// Waits for something while there is no stream, but not at the driver's cost: it gets rid of its answers, and
    /// of the requests that were read before. `None` once the driver is done.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        while self.answering {
            self.offer();
            tokio::select! {
                done = &mut work => return Some(done),
                open = has_room(&self.inputs), if !self.batch.is_empty() => if !open { self.stop_taking() },
                count = self.answers.recv_many(&mut self.received, 64) => self.render(count),
            }
        }
        if !self.outbox.is_empty() {
            warn!(answers = self.outbox.len(), "no link to the host: answers that waited for one are dropped");
        }
        None
    }

    fn count_dropped(&mut self) {
        self.settings.counters.answers_dropped.add(self.outbox.take_dropped());
    }
}

/// What the operator was told since the last good stream.
#[derive(Debug, Default)]
struct Said {
    kinds: BTreeSet<String>,
    linked_before: bool,
}

impl Said {
    fn linked(&mut self, link: &Link) {
        let again = if self.linked_before { " again" } else { "" };
        info!(jid = %link.service.jid(), host = link.settings.connect, "the link is up{again}");
        self.kinds.clear();
        self.linked_before = true;
    }

    fn trouble(&mut self, link: &Link, trouble: &Trouble) {
        if !self.kinds.insert(trouble.kind().to_owned()) {
            return;
        }
        let (jid, host) = (link.service.jid(), &link.settings.connect);
        let needs_operator =
            matches!(trouble, Trouble::WrongSecret | Trouble::ClosedAtHandshake | Trouble::UnknownToHost { .. });
        if needs_operator {
            error!(%jid, host, "no link to the host: {trouble}");
        } else {
            warn!(%jid, host, "no link to the host, trying until there is one: {trouble}");
        }
    }
}

/// Waits until the driver has room for a batch; false if it takes no more. [`Link::offer`] then hands it over: were
/// the room gone by then, it would be waited for again.
pub(super) async fn has_room(inputs: &mpsc::Sender<Vec<Input>>) -> bool {
    inputs.reserve().await.is_ok()
}

/// Connects, opens a stream and shows the secret.
pub(super) async fn connect<D: Dial>(
    dial: &mut D,
    settings: Settings,
    service: Arc<Service>,
) -> Result<Stream<D::Reader, D::Writer>, Trouble> {
    let timing = settings.timing;
    let connected = timeout(timing.connect, dial.dial()).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let (reader, writer) = connected.map_err(|source| Trouble::Connect { host: settings.connect.clone(), source })?;
    let opening = Stream::open(reader, writer, &settings, &service);
    timeout(timing.handshake, opening).await.unwrap_or(Err(Trouble::HandshakeTimeout))
}

/// Connects by TCP.
pub(super) struct Tcp {
    /// `HOST:PORT`.
    pub(super) connect: String,
}

impl Dial for Tcp {
    type Reader = OwnedReadHalf;
    type Writer = OwnedWriteHalf;

    async fn dial(&mut self) -> io::Result<(Self::Reader, Self::Writer)> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in lookup_host(self.connect.as_str()).await? {
            match TcpStream::connect(address).await {
                Ok(socket) => {
                    tune(&socket)?;
                    return Ok(socket.into_split());
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn redirect(&mut self, connect: &str) {
        connect.clone_into(&mut self.connect);
    }
}

/// Answers go out at once, and the system, too, looks whether the peer is still there.
fn tune(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(10)).with_retries(3);
    SockRef::from(socket).set_tcp_keepalive(&keepalive)
}

/// For spreading tries; if the system has no randomness to give, they are not spread.
fn random() -> u32 {
    getrandom::u32().unwrap_or(0)
}
