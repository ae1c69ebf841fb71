//! What the tests have in common: a host with the bridge, and a pushkeeper that does what the test says.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use minidom::Element;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::client::Client;
use crate::component::Component;
use crate::process::PATIENCE;
use crate::server::{HOST, PASSWORD, Pusher, SERVICE, Server, Tune, Wanted};

/// The namespace between a host and pushkeeper.
pub(crate) const NS: &str = "urn:pushkeeper:host:0";

/// A second component, which plays a third party's push service.
pub(crate) const THIRD: &str = "push.third.localhost";

/// A watched account that is there for [`Keeper::fence`].
const FENCE: &str = "fence";

/// A host with the bridge and two users; `options` are lines for its configuration.
pub(crate) async fn host(options: &[Tune]) -> Server {
    host_with(&Wanted { options, ..wanted() }).await
}

/// What most tests want.
pub(crate) fn wanted() -> Wanted<'static> {
    Wanted {
        users: &["alice", "bob", FENCE],
        components: &[SERVICE, THIRD],
        pusher: Pusher::Bridge,
        ..Wanted::default()
    }
}

/// A host as the test wants it.
pub(crate) async fn host_with(wanted: &Wanted<'_>) -> Server {
    Server::start(wanted).await
}

/// A user who is online with this resource, with a session that can be resumed; everything is acknowledged.
pub(crate) async fn online(host: &Server, user: &str, resource: &str) -> Client {
    let mut client = bound(host, user, resource).await;
    client.enable_resumption().await;
    present(&mut client).await;
    client.acknowledge_all().await;
    client
}

/// A user who has bound a resource, and nothing more.
pub(crate) async fn bound(host: &Server, user: &str, resource: &str) -> Client {
    Client::connect(host.c2s_port(), &format!("{user}@{HOST}/{resource}"), PASSWORD).await
}

/// Sends presence, and waits for it.
pub(crate) async fn present(client: &mut Client) {
    client.send("<presence/>").await;
    let jid = client.jid.clone();
    client.wait_for("its own presence", |it| it.name() == "presence" && it.attr("from") == Some(&jid)).await;
}

/// A chat message.
pub(crate) fn chat(to: &str, id: &str, text: &str) -> String {
    format!("<message type='chat' id='{id}' to='{to}'><body>{text}</body></message>")
}

/// How the test's pushkeeper answers what the bridge sends.
#[derive(Clone, Debug)]
pub(crate) enum Manner {
    /// With an empty result.
    Accept,
    /// With this inside an error answer.
    Refuse(&'static str),
    /// Not at all.
    Ignore,
    /// With an empty result, but only after [`Keeper::release`].
    Hold,
}

/// One event, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// Its number.
    pub(crate) seq: u64,
    /// How many came in the same iq.
    pub(crate) together: usize,
    /// The event itself.
    pub(crate) element: Element,
}

impl Event {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        self.element.name()
    }

    /// An attribute; empty if it has none.
    pub(crate) fn attr<'a>(&'a self, name: &'a str) -> &'a str {
        self.element.attr(name).unwrap_or_default()
    }

    /// An attribute that is a number.
    pub(crate) fn number(&self, name: &str) -> u64 {
        self.attr(name).parse().unwrap_or_else(|_| panic!("{name} of {:?}", String::from(&self.element)))
    }

    /// The stanzas it carries: their number and their shape.
    pub(crate) fn stanzas(&self) -> Vec<(Option<u64>, &Element)> {
        let stanzas = self.element.children().filter(|child| child.is("stanza", NS));
        let inside = |it: &'_ Element| it.attr("n").map(|n| n.parse().expect("a number"));
        stanzas.map(|it| (inside(it), it.children().next().expect("a stanza"))).collect()
    }

    /// The ids of the stanzas it carries.
    pub(crate) fn ids(&self) -> Vec<&str> {
        self.stanzas().into_iter().map(|(_, it)| it.attr("id").unwrap_or_default()).collect()
    }

    /// As text.
    pub(crate) fn text(&self) -> String {
        String::from(&self.element)
    }
}

#[derive(Default)]
struct Heard {
    events: Vec<Event>,
    batches: Vec<usize>,
    batch_bytes: Vec<usize>,
    answers: HashMap<String, Element>,
    gaps: Vec<(u64, u64)>,
    held: Vec<String>,
    others: Vec<Element>,
    epoch: String,
    last: Option<u64>,
}

struct Manners {
    batches: Manner,
    registrations: Manner,
}

/// The test's pushkeeper: a component that answers as it is told and remembers what it heard.
pub(crate) struct Keeper {
    heard: Arc<Mutex<Heard>>,
    manners: Arc<Mutex<Manners>>,
    news: Arc<Notify>,
    out: mpsc::Sender<String>,
    task: JoinHandle<()>,
    asked: AtomicU32,
    read: usize,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Keeper {
    /// Connects; says nothing yet.
    pub(crate) async fn connect(host: &Server) -> Self {
        Self::connect_as(host, SERVICE).await
    }

    /// Connects as this component.
    pub(crate) async fn connect_as(host: &Server, jid: &str) -> Self {
        let mut component = Component::connect(host.component_port(), jid, PASSWORD).await;
        let heard = Arc::new(Mutex::new(Heard::default()));
        let manners = Arc::new(Mutex::new(Manners { batches: Manner::Accept, registrations: Manner::Accept }));
        let news = Arc::new(Notify::new());
        let (out, mut orders) = mpsc::channel::<String>(64);
        let (heard_too, manners_too, news_too, jid) =
            (Arc::clone(&heard), Arc::clone(&manners), Arc::clone(&news), jid.to_owned());
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    order = orders.recv() => match order {
                        Some(order) => component.send(&order).await,
                        None => return,
                    },
                    stanza = component.next() => {
                        let Some(stanza) = stanza else { return };
                        if let Some(answer) = hear(&stanza, &heard_too, &manners_too, &jid) {
                            component.send(&answer).await;
                        }
                        news_too.notify_waiters();
                    }
                }
            }
        });
        Self { heard, manners, news, out, task, asked: AtomicU32::new(0), read: 0 }
    }

    /// Connects and links: these accounts are watched, as `name` or `name full`.
    pub(crate) async fn linked(host: &Server, accounts: &[&str]) -> Self {
        let mut keeper = Self::connect(host).await;
        keeper.link(accounts, "token").await;
        keeper
    }

    /// Sends the complete list of watched accounts, then `sync`; everything up to `synced` is read. Returns `state`.
    pub(crate) async fn link(&mut self, accounts: &[&str], token: &str) -> Element {
        self.watch(accounts).await;
        self.sync(token).await
    }

    /// Sends the complete list of watched accounts.
    pub(crate) async fn watch(&self, accounts: &[&str]) {
        let accounts: String = accounts.iter().chain([&FENCE]).map(|it| account(it)).collect();
        let id = self.asked.load(Ordering::Relaxed);
        let watch = format!("<watch xmlns='{NS}' list='l{id}' complete='true'>{accounts}</watch>");
        assert_eq!(refusal(&self.order(&watch).await), None);
    }

    /// Sends `sync`; everything up to its `synced` is read. Returns `state`.
    pub(crate) async fn sync(&mut self, token: &str) -> Element {
        let answer = self.order(&sync(token, "")).await;
        assert_eq!(refusal(&answer), None, "{}", String::from(&answer));
        self.event("synced", |it| it.name() == "synced" && it.attr("token") == token).await;
        answer.get_child("state", NS).expect("a state").clone()
    }

    /// Sends an order and waits for its answer.
    pub(crate) async fn order(&self, payload: &str) -> Element {
        self.order_as(SERVICE, payload).await
    }

    /// Sends an order from another address of the component.
    pub(crate) async fn order_as(&self, from: &str, payload: &str) -> Element {
        let id = self.send_order(from, payload).await;
        self.answer(&id).await
    }

    /// Sends an order, and does not wait. Returns the id of its answer.
    pub(crate) async fn send_order(&self, from: &str, payload: &str) -> String {
        let id = format!("o{}", self.asked.fetch_add(1, Ordering::Relaxed));
        self.send(&format!("<iq type='set' id='{id}' from='{from}' to='{HOST}'>{payload}</iq>")).await;
        id
    }

    /// Waits for an answer.
    pub(crate) async fn answer(&self, id: &str) -> Element {
        self.wait(&format!("the answer {id}"), |heard| heard.answers.remove(id)).await
    }

    /// Sends text as it is.
    pub(crate) async fn send(&self, text: &str) {
        self.out.send(text.to_owned()).await.expect("the component lives");
    }

    /// From now on it answers batches so.
    pub(crate) fn answers_batches(&self, manner: Manner) {
        self.manners.lock().expect("no panic").batches = manner;
    }

    /// From now on it answers registrations so.
    pub(crate) fn answers_registrations(&self, manner: Manner) {
        self.manners.lock().expect("no panic").registrations = manner;
    }

    /// Gives the answers that it held back, and holds back no more.
    pub(crate) async fn release(&self) {
        self.answers_batches(Manner::Accept);
        let held = std::mem::take(&mut self.heard().held);
        for answer in held {
            self.send(&answer).await;
        }
    }

    /// The first event that fits, of those not yet read; waits for it. Those before it count as read.
    pub(crate) async fn event(&mut self, what: &str, fits: impl Fn(&Event) -> bool) -> Event {
        let read = self.read;
        let found = self
            .wait(what, |heard| {
                let mut events = heard.events.iter().enumerate().skip(read);
                events.find(|(_, event)| fits(event)).map(|(at, event)| (at, event.clone()))
            })
            .await;
        self.read = found.0 + 1;
        found.1
    }

    /// The next event of this name.
    pub(crate) async fn next(&mut self, name: &str) -> Event {
        self.event(name, |it| it.name() == name).await
    }

    /// Everything that was not yet read, up to now: events are in order, so one that is made now comes after them.
    pub(crate) async fn fence(&mut self, host: &Server) -> Vec<Event> {
        let from = self.read;
        let resource = format!("r{}", self.asked.fetch_add(1, Ordering::Relaxed));
        let client = bound(host, FENCE, &resource).await;
        let is_it = |it: &Event| it.name() == "bind" && (it.attr("user"), it.attr("resource")) == (FENCE, &*resource);
        let bind = self.event("the fence", is_it).await;
        client.close().await;
        self.event("the end of the fence", |it| it.name() == "end" && it.attr("sid") == bind.attr("sid")).await;
        let events = self.heard().events[from..self.read].to_vec();
        events.into_iter().filter(|it| it.attr("user") != FENCE).collect()
    }

    /// Everything it has heard so far, read or not.
    pub(crate) fn all(&self) -> Vec<Event> {
        self.heard().events.clone()
    }

    /// The iqs so far that are not of our namespace.
    pub(crate) fn others(&self) -> Vec<Element> {
        self.heard().others.clone()
    }

    /// The sizes of all batches so far: how many events, how many bytes.
    pub(crate) fn batches(&self) -> Vec<(usize, usize)> {
        let heard = self.heard();
        heard.batches.iter().copied().zip(heard.batch_bytes.iter().copied()).collect()
    }

    /// Where a number did not follow the one before: the last one, and the next.
    pub(crate) fn gaps(&self) -> Vec<(u64, u64)> {
        self.heard().gaps.clone()
    }

    /// Waits until what it has heard is this.
    pub(crate) async fn wait_for_batches(&self, what: &str, fits: impl Fn(&[usize]) -> bool) {
        self.wait(what, |heard| fits(&heard.batches).then_some(())).await;
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().expect("no panic")
    }

    async fn wait<T>(&self, what: &str, mut find: impl FnMut(&mut Heard) -> Option<T>) -> T {
        let wait = async {
            loop {
                let news = self.news.notified();
                if let Some(found) = find(&mut self.heard()) {
                    return found;
                }
                // A notification between the look and the wait is not lost, but one before `notified` could be.
                let _ = timeout(Duration::from_millis(50), news).await;
            }
        };
        timeout(PATIENCE, wait).await.unwrap_or_else(|_| {
            let events: Vec<String> = self.heard().events.iter().skip(self.read).map(Event::text).collect();
            panic!("{what}: not within {PATIENCE:?}; unread: {events:#?}")
        })
    }
}

/// A `sync`.
pub(crate) fn sync(token: &str, attributes: &str) -> String {
    format!("<sync xmlns='{NS}' token='{token}' {attributes}><feature var='urn:xmpp:push:0'/></sync>")
}

/// An `account` of a list, from `name`, `name full`, `name contacts` or `name full contacts`.
pub(crate) fn account(text: &str) -> String {
    let mut words = text.split(' ');
    let mut attributes = format!("user='{}'", words.next().unwrap_or_default());
    for word in words {
        attributes += match word {
            "full" => " content='full'",
            "contacts" => " contacts='true'",
            other => panic!("{other}: no way to watch"),
        };
    }
    format!("<account {attributes}/>")
}

/// The error an answer carries, as `type/condition`; `None` for a result.
pub(crate) fn refusal(answer: &Element) -> Option<String> {
    let error = answer.children().find(|child| child.name() == "error")?;
    let condition = error.children().next().map_or("", Element::name);
    Some(format!("{}/{condition}", error.attr("type").unwrap_or_default()))
}

/// Takes note of a stanza, and says what to answer.
fn hear(stanza: &Element, heard: &Mutex<Heard>, manners: &Mutex<Manners>, jid: &str) -> Option<String> {
    let mut heard = heard.lock().expect("no panic");
    let id = stanza.attr("id").unwrap_or_default();
    if matches!(stanza.attr("type"), Some("result" | "error")) {
        heard.answers.insert(id.to_owned(), stanza.clone());
        return None;
    }
    let from = stanza.attr("from").unwrap_or_default();
    let payload = stanza.children().next()?;
    let manners = manners.lock().expect("no panic");
    let manner = if payload.name() == "registration" { &manners.registrations } else { &manners.batches };
    if payload.has_ns(NS) {
        assert_eq!((from, stanza.attr("type")), (HOST, Some("set")), "{}", String::from(stanza));
        let events: Vec<Element> = match payload.name() {
            "events" => payload.children().cloned().collect(),
            _ => vec![payload.clone()],
        };
        let first: u64 = payload.attr("seq").expect("a number").parse().expect("a number");
        let epoch = payload.attr("epoch").expect("an epoch");
        if heard.epoch != epoch {
            epoch.clone_into(&mut heard.epoch);
            heard.last = None;
        }
        if let Some(last) = heard.last
            && first != last + 1
        {
            heard.gaps.push((last, first));
        }
        let together = events.len();
        heard.last = Some(first + together as u64 - 1);
        if payload.name() == "events" {
            heard.batches.push(together);
            heard.batch_bytes.push(String::from(stanza).len());
        }
        for (seq, element) in (first..).zip(events) {
            heard.events.push(Event { seq, together, element });
        }
    }
    let result = format!("<iq type='result' id='{id}' from='{jid}' to='{from}'/>");
    if !payload.has_ns(NS) {
        heard.others.push(stanza.clone());
    }
    match manner {
        Manner::Accept => Some(result),
        Manner::Hold => {
            heard.held.push(result);
            None
        }
        Manner::Refuse(inside) => Some(format!("<iq type='error' id='{id}' from='{jid}' to='{from}'>{inside}</iq>")),
        Manner::Ignore => None,
    }
}
