//! A tap on the component link: a proxy between pushkeeper and its host that writes down what passes, both ways.

use std::net::Ipv4Addr;
use std::sync::Arc;

use minidom::Element;
use pushkeeper::clock::Clock;
use pushkeeper::domain::time::Moment;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::process::PATIENCE;
use super::stream::{take_element, take_header};

const COMPONENT: &str = "jabber:component:accept";

/// The namespace between a host and pushkeeper.
pub(crate) const SIGNALS: &str = "urn:pushkeeper:host:0";

/// Whose words they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaker {
    Host,
    Pushkeeper,
}

/// One stanza that passed.
#[derive(Clone, Debug)]
pub(crate) struct Passed {
    /// When it was read, before the other side had it.
    pub(crate) at: Moment,
    pub(crate) speaker: Speaker,
    /// As it was on the wire.
    pub(crate) text: String,
    pub(crate) element: Element,
}

/// An event of the host, as it passed.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) at: Moment,
    pub(crate) element: Element,
}

/// An order of pushkeeper that passed.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) element: Element,
    /// What the host answered, if it has.
    pub(crate) answer: Option<(Moment, Element)>,
}

/// The running proxy. Dropping it ends its connections.
pub(crate) struct Tap {
    port: u16,
    record: Record,
    task: JoinHandle<()>,
}

type Record = Arc<watch::Sender<Vec<Arc<Passed>>>>;

impl Tap {
    /// Listens on a port of the system's choice, and connects to `target` for everyone who comes.
    pub(crate) async fn start(target: u16, clock: &Clock) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let record = Record::default();
        let task = tokio::spawn(serve(listener, target, record.clone(), clock.clone()));
        Self { port, record, task }
    }

    /// Where pushkeeper connects.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Everything so far, in the order in which it was read.
    pub(crate) fn passed(&self) -> Vec<Arc<Passed>> {
        self.record.borrow().clone()
    }

    /// All that the host said, as it was on the wire.
    pub(crate) fn words_of_the_host(&self) -> String {
        let passed = self.passed();
        passed.iter().filter(|it| it.speaker == Speaker::Host).map(|it| it.text.as_str()).collect()
    }

    /// The host's events of this name, of all batches.
    pub(crate) fn events(&self, name: &str) -> Vec<Event> {
        let passed = self.passed();
        let batches = passed.iter().filter(|it| it.speaker == Speaker::Host).flat_map(|it| {
            let batches = it.element.children().filter(|child| child.is("events", SIGNALS));
            batches.flat_map(Element::children).map(|event| (it.at, event))
        });
        let named = batches.filter(|(_, event)| event.is(name, SIGNALS));
        named.map(|(at, event)| Event { at, element: event.clone() }).collect()
    }

    /// pushkeeper's orders of this name.
    pub(crate) fn orders(&self, name: &str) -> Vec<Order> {
        let passed = self.passed();
        let mut orders = Vec::new();
        for (place, order) in passed.iter().enumerate() {
            let Some(element) = order.element.get_child(name, SIGNALS) else { continue };
            if order.speaker != Speaker::Pushkeeper || order.element.attr("type") != Some("set") {
                continue;
            }
            let answer = passed[place..].iter().find(|it| {
                it.speaker == Speaker::Host
                    && matches!(it.element.attr("type"), Some("result" | "error"))
                    && it.element.attr("id") == order.element.attr("id")
            });
            let answer = answer.map(|it| (it.at, it.element.clone()));
            orders.push(Order { element: element.clone(), answer });
        }
        orders
    }

    /// The windows that this user's sessions got, in whole seconds, in order.
    pub(crate) fn windows(&self, user: &str) -> Vec<u64> {
        let orders = self.orders("timeout");
        let of_user = orders.iter().filter(|order| order.element.attr("user") == Some(user));
        let seconds = |order: &Order| order.element.attr("seconds")?.parse().ok().map(f64::round);
        // Windows are no longer than days.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
        of_user.map(|order| seconds(order).expect("seconds") as u64).collect()
    }

    /// Waits until this holds; says what was waited for if it never does.
    pub(crate) async fn wait_until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let mut changes = self.record.subscribe();
        let wait = async {
            while !holds(self) {
                changes.changed().await.expect("the tap holds the other end");
            }
        };
        assert!(timeout(PATIENCE, wait).await.is_ok(), "{what}: not within {PATIENCE:?}\n{}", self.story());
    }

    /// Waits for this many events of this name about this user; says them.
    pub(crate) async fn wait_for_events(&self, name: &str, user: &str, count: usize) -> Vec<Event> {
        let of_user = |tap: &Self| {
            let mut events = tap.events(name);
            events.retain(|event| event.element.attr("user") == Some(user));
            events
        };
        self.wait_until(&format!("{name} of {user}, {count} times"), |tap| of_user(tap).len() >= count).await;
        of_user(self)
    }

    /// Waits until this user's sessions got these windows, one after the other, and no others.
    pub(crate) async fn wait_for_windows(&self, user: &str, expected: &[u64]) {
        self.wait_until(&format!("windows of {user}: {expected:?}"), |tap| tap.windows(user).len() >= expected.len())
            .await;
        assert_eq!(self.windows(user), expected, "{}", self.story());
    }

    /// The last that passed, for those who read a failure.
    fn story(&self) -> String {
        let passed = self.passed();
        let lines = passed.iter().map(|it| format!("{:?}: {}", it.speaker, it.text));
        let lines: Vec<String> = lines.collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.task.abort();
        if std::thread::panicking() {
            println!("--- the last that passed on the component link:\n{}", self.story());
        }
    }
}

async fn serve(listener: TcpListener, target: u16, record: Record, clock: Clock) {
    let mut connections = JoinSet::new();
    while let Ok((ours, _)) = listener.accept().await {
        // A host that is down refuses; so do we, by closing.
        let Ok(theirs) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await else { continue };
        for socket in [&ours, &theirs] {
            socket.set_nodelay(true).expect("TCP_NODELAY");
        }
        let (from_pushkeeper, to_pushkeeper) = ours.into_split();
        let (from_host, to_host) = theirs.into_split();
        connections.spawn(pass(from_pushkeeper, to_host, Speaker::Pushkeeper, record.clone(), clock.clone()));
        connections.spawn(pass(from_host, to_pushkeeper, Speaker::Host, record.clone(), clock.clone()));
    }
}

/// Passes on what one side says, once it is written down: an answer is always behind its question. Its end is the
/// other's end.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, speaker: Speaker, record: Record, clock: Clock) {
    let (mut unread, mut begun) = (Vec::new(), false);
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(len @ 1..) = from.read(&mut buffer).await {
        unread.extend_from_slice(&buffer[..len]);
        begun = begun || take_header(&mut unread).is_some();
        if begun {
            let mut stanzas = Vec::new();
            while let Some((text, element)) = take_element(&mut unread, COMPONENT) {
                stanzas.push(Arc::new(Passed { at: clock.steady(), speaker, text, element }));
            }
            record.send_if_modified(|passed| {
                let any = !stanzas.is_empty();
                passed.extend(stanzas);
                any
            });
        }
        if to.write_all(&buffer[..len]).await.is_err() {
            break;
        }
    }
}
