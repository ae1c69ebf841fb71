//! A third party's push service: a component of the host that writes down what is published to it (XEP-0357 §7) and
//! answers as it is told.

use std::collections::VecDeque;
use std::sync::Arc;

use minidom::Element;
use pushkeeper::clock::Clock;
use pushkeeper::domain::time::Moment;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::component::Component;
use super::process::PATIENCE;

const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
const PUSH: &str = "urn:xmpp:push:0";
const FORMS: &str = "jabber:x:data";

/// One publish as it came.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) at: Moment,
    /// Who published.
    pub(crate) from: String,
    pub(crate) node: String,
    /// The notification's form, in order: name, type if it has one, value.
    pub(crate) fields: Vec<Field>,
    /// The type of that form.
    pub(crate) form: Option<String>,
    /// The fields of the publish-options, in order.
    pub(crate) options: Vec<Field>,
    /// All of the notification.
    pub(crate) notification: Element,
}

/// A field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: Option<String>,
    /// `None` if there is none.
    pub(crate) value: Option<String>,
}

impl Published {
    /// A field's value.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.name == name)?.value.as_deref()
    }

    /// Names and values of all fields but the one that says what form it is.
    pub(crate) fn says(&self) -> Vec<(&str, &str)> {
        let fields = self.fields.iter().filter(|field| field.name != "FORM_TYPE");
        fields.map(|field| (field.name.as_str(), field.value.as_deref().unwrap_or("(no value)"))).collect()
    }

    /// Whether the phone is to tell its owner: mod_cloud_notify's services tell by the body.
    pub(crate) fn is_important(&self) -> bool {
        self.value("last-message-body").is_some()
    }
}

/// What it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    Result,
    /// An error: type and condition.
    Error(&'static str, &'static str),
    /// Nothing, until it is told what to say to all.
    Nothing,
}

/// The running service. Dropping it closes its stream.
pub(crate) struct Service {
    jid: &'static str,
    secret: &'static str,
    clock: Clock,
    published: Arc<watch::Sender<Vec<Published>>>,
    commands: mpsc::Sender<Command>,
    task: JoinHandle<()>,
}

enum Command {
    /// The next ones are answered so.
    Next(Vec<Says>),
    /// All others are answered so, those too that wait for an answer.
    Always(Says),
    /// This goes out as it is.
    Send(String),
}

impl Service {
    /// Connects to the host, and answers with results.
    pub(crate) async fn connect(port: u16, jid: &'static str, secret: &'static str, clock: &Clock) -> Self {
        let (component, published) = (Component::connect(port, jid, secret).await, Arc::default());
        let (commands, task) = run(component, Arc::clone(&published), clock);
        Self { jid, secret, clock: clock.clone(), published, commands, task }
    }

    /// Connects again, after the host was away. Answers with results, and remembers what was published before.
    pub(crate) async fn connect_again(&mut self, port: u16) {
        self.task.abort();
        let component = Component::connect(port, self.jid, self.secret).await;
        (self.commands, self.task) = run(component, Arc::clone(&self.published), &self.clock);
    }

    /// The next publishes are answered so, one after the other.
    pub(crate) async fn says_next(&self, says: impl IntoIterator<Item = Says>) {
        self.command(Command::Next(says.into_iter().collect())).await;
    }

    /// All publishes are answered so from now on; those as well that were not answered yet, unless they never are.
    pub(crate) async fn says(&self, says: Says) {
        self.command(Command::Always(says)).await;
    }

    /// Sends a stanza of its own.
    pub(crate) async fn send(&self, text: &str) {
        self.command(Command::Send(text.to_owned())).await;
    }

    /// All publishes so far.
    pub(crate) fn published(&self) -> Vec<Published> {
        self.published.borrow().clone()
    }

    /// All publishes to a node so far.
    pub(crate) fn published_to(&self, node: &str) -> Vec<Published> {
        self.published().into_iter().filter(|it| it.node == node).collect()
    }

    /// All publishes so far, once there are this many.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Published> {
        let mut changes = self.published.subscribe();
        let came = timeout(PATIENCE, changes.wait_for(|all| all.len() >= count)).await.is_ok();
        let found = self.published();
        assert!(came, "{}: {} publishes of {count} within {PATIENCE:?}: {found:#?}", self.jid, found.len());
        found
    }

    async fn command(&self, command: Command) {
        assert!(self.commands.send(command).await.is_ok(), "{} is connected", self.jid);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Running = (mpsc::Sender<Command>, JoinHandle<()>);

fn run(component: Component, published: Arc<watch::Sender<Vec<Published>>>, clock: &Clock) -> Running {
    let (commands, orders) = mpsc::channel(16);
    (commands, tokio::spawn(serve(component, orders, published, clock.clone())))
}

async fn serve(
    mut component: Component,
    mut commands: mpsc::Receiver<Command>,
    published: Arc<watch::Sender<Vec<Published>>>,
    clock: Clock,
) {
    let (mut next, mut always) = (VecDeque::new(), Says::Result);
    let mut unanswered: Vec<Element> = Vec::new();
    loop {
        tokio::select! {
            // What it is told comes before what it is asked.
            biased;
            command = commands.recv() => match command {
                None => return,
                Some(Command::Next(says)) => next.extend(says),
                Some(Command::Send(text)) => component.send(&text).await,
                Some(Command::Always(says)) => {
                    always = says;
                    if says != Says::Nothing {
                        for iq in unanswered.drain(..) {
                            component.send(&answer(&iq, says)).await;
                        }
                    }
                }
            },
            stanza = component.next() => {
                let Some(stanza) = stanza else { return };
                if stanza.name() != "iq" || !matches!(stanza.attr("type"), Some("get" | "set")) {
                    continue;
                }
                let says = match read(&stanza, &clock) {
                    None => Says::Error("cancel", "service-unavailable"),
                    Some(publish) => {
                        published.send_modify(|all| all.push(publish));
                        next.pop_front().unwrap_or(always)
                    }
                };
                if says == Says::Nothing {
                    unanswered.push(stanza);
                } else {
                    component.send(&answer(&stanza, says)).await;
                }
            }
        }
    }
}

fn answer(iq: &Element, says: Says) -> String {
    let attribute = |name| iq.attr(name).unwrap_or_default();
    let (from, to, id) = (attribute("to"), attribute("from"), attribute("id"));
    match says {
        Says::Error(kind, condition) => format!(
            "<iq type='error' from='{from}' to='{to}' id='{id}'><error type='{kind}'>\
             <{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
        ),
        Says::Result | Says::Nothing => format!("<iq type='result' from='{from}' to='{to}' id='{id}'/>"),
    }
}

fn read(iq: &Element, clock: &Clock) -> Option<Published> {
    let pubsub = iq.get_child("pubsub", PUBSUB)?;
    let publish = pubsub.get_child("publish", PUBSUB)?;
    let notification = publish.get_child("item", PUBSUB)?.get_child("notification", PUSH)?;
    let form = notification.get_child("x", FORMS);
    let options = pubsub.get_child("publish-options", PUBSUB).and_then(|options| options.get_child("x", FORMS));
    Some(Published {
        at: clock.steady(),
        from: iq.attr("from").unwrap_or_default().to_owned(),
        node: publish.attr("node").unwrap_or_default().to_owned(),
        form: form.and_then(|form| form.attr("type")).map(str::to_owned),
        fields: form.map(fields).unwrap_or_default(),
        options: options.map(fields).unwrap_or_default(),
        notification: notification.clone(),
    })
}

fn fields(form: &Element) -> Vec<Field> {
    let fields = form.children().filter(|child| child.is("field", FORMS));
    let read = |field: &Element| Field {
        name: field.attr("var").unwrap_or_default().to_owned(),
        kind: field.attr("type").map(str::to_owned),
        value: field.get_child("value", FORMS).map(Element::text),
    };
    fields.map(read).collect()
}
