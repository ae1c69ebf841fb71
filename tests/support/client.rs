//! A raw XMPP client: SASL PLAIN, a resource, XEP-0198, and a network that can go away.

use std::collections::VecDeque;

use base64::Engine as _;
use minidom::Element;
use tokio::time::timeout;

use super::process::PATIENCE;
use super::stream::Stream;

const CLIENT: &str = "jabber:client";
const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const SM: &str = "urn:xmpp:sm:3";
const STREAMS: &str = "http://etherx.jabber.org/streams";

/// A client that is online.
pub(crate) struct Client {
    stream: Stream,
    /// Its full JID.
    pub(crate) jid: String,
    came: VecDeque<Element>,
    session: Option<Session>,
    asked: u32,
    silent: bool,
}

/// A session that can be resumed (XEP-0198).
#[derive(Clone, Debug)]
pub(crate) struct Session {
    id: String,
    /// How many stanzas came.
    handled: u32,
}

impl Client {
    /// Logs in and binds a resource; sends no presence yet.
    pub(crate) async fn connect(port: u16, jid: &str, password: &str) -> Self {
        let mut client = Self::log_in(port, jid, password).await;
        let resource = jid.split_once('/').map_or("", |(_, resource)| resource);
        let bind = format!("<bind xmlns='{BIND}'><resource>{resource}</resource></bind>");
        let bound = client.iq("set", None, &bind).await;
        let jid = bound.get_child("bind", BIND).and_then(|bind| bind.get_child("jid", BIND)).expect("a JID");
        client.jid = jid.text();
        client
    }

    /// Logs in and goes on with a session of before; what had not been acknowledged comes again.
    pub(crate) async fn resume(port: u16, jid: &str, password: &str, session: Session) -> Self {
        let (client, answer) = Self::try_to_resume(port, jid, password, session).await;
        assert!(answer.is("resumed", SM), "the session is gone: {}", String::from(&answer));
        client
    }

    /// Logs in and asks for a session of before; says what the server answered, `resumed` or `failed`.
    pub(crate) async fn try_to_resume(port: u16, jid: &str, password: &str, session: Session) -> (Self, Element) {
        let mut client = Self::log_in(port, jid, password).await;
        let Session { id, handled } = &session;
        client.send(&format!("<resume xmlns='{SM}' previd='{id}' h='{handled}'/>")).await;
        client.session = Some(session);
        let answer = client.wait_for("an answer to resume", |element| element.has_ns(SM)).await;
        client.jid = jid.to_owned();
        (client, answer)
    }

    async fn log_in(port: u16, jid: &str, password: &str) -> Self {
        let (user, host) = jid.split_once('@').expect("a JID with a user");
        let host = host.split_once('/').map_or(host, |(host, _)| host);
        let stream = Stream::open(port, CLIENT, host).await;
        let mut client =
            Self { stream, jid: jid.to_owned(), came: VecDeque::new(), session: None, asked: 0, silent: false };
        client.features().await;
        let credentials = base64::engine::general_purpose::STANDARD.encode(format!("\0{user}\0{password}"));
        client.send(&format!("<auth xmlns='{SASL}' mechanism='PLAIN'>{credentials}</auth>")).await;
        let answer = client.wait_for("an answer to SASL", |element| element.has_ns(SASL)).await;
        assert!(answer.is("success", SASL), "{}", String::from(&answer));
        client.stream.restart().await;
        client.features().await;
        client
    }

    async fn features(&mut self) {
        self.wait_for("stream features", |element| element.name() == "features").await;
    }

    /// Makes the session one that can be resumed.
    pub(crate) async fn enable_resumption(&mut self) {
        self.send(&format!("<enable xmlns='{SM}' resume='true'/>")).await;
        let enabled = self.wait_for("enabled", |element| element.is("enabled", SM)).await;
        let id = enabled.attr("id").expect("a session id").to_owned();
        self.session = Some(Session { id, handled: 0 });
    }

    /// Sends text as it is.
    pub(crate) async fn send(&mut self, text: &str) {
        self.stream.send(text).await;
    }

    /// Sends an iq and waits for its answer.
    pub(crate) async fn iq(&mut self, kind: &str, to: Option<&str>, payload: &str) -> Element {
        self.asked += 1;
        let id = format!("q{}", self.asked);
        let to = to.map_or(String::new(), |to| format!(" to='{to}'"));
        self.send(&format!("<iq type='{kind}' id='{id}'{to}>{payload}</iq>")).await;
        self.wait_for("the answer to an iq", |element| element.name() == "iq" && element.attr("id") == Some(&id)).await
    }

    /// The first element, of those not yet taken, that fits; waits for it. Acknowledges meanwhile when asked to.
    pub(crate) async fn wait_for(&mut self, what: &str, fits: impl Fn(&Element) -> bool) -> Element {
        if let Some(at) = self.came.iter().position(&fits) {
            return self.came.remove(at).expect("it is there");
        }
        let jid = self.jid.clone();
        let wait = async {
            loop {
                let Some(element) = self.read().await else { panic!("{jid}: {what}: the stream ended") };
                if fits(&element) {
                    return element;
                }
                self.came.push_back(element);
            }
        };
        timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{jid}: {what}: not within {PATIENCE:?}"))
    }

    /// Returns when the server has dealt with all that was sent.
    pub(crate) async fn settle(&mut self) {
        let answer = self.iq("get", None, "<ping xmlns='urn:xmpp:ping'/>").await;
        assert_eq!(answer.name(), "iq");
    }

    /// Asks the server to push for this session (XEP-0357); `options` is what stands inside `<enable/>`.
    pub(crate) async fn enable_push(&mut self, service: &str, node: &str, options: &str) -> Element {
        let enable = format!("<enable xmlns='urn:xmpp:push:0' jid='{service}' node='{node}'>{options}</enable>");
        self.iq("set", None, &enable).await
    }

    /// What it would need to resume its session from another connection.
    pub(crate) fn session(&self) -> Option<Session> {
        self.session.clone()
    }

    /// From now on it acknowledges nothing, as a network that is gone without a word: the connection stays.
    pub(crate) fn fall_silent(&mut self) {
        self.silent = true;
    }

    /// It acknowledges again, and everything that came meanwhile.
    pub(crate) async fn speak_again(&mut self) {
        self.silent = false;
        self.acknowledge().await;
    }

    /// Waits for its own end of the stream, and says the stream error that the server gave, if any.
    pub(crate) async fn wait_for_the_end(&mut self) -> Option<Element> {
        let wait = async {
            let mut error = None;
            while let Some(element) = self.read().await {
                if element.is("error", STREAMS) {
                    error = Some(element);
                } else {
                    self.came.push_back(element);
                }
            }
            error
        };
        timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("the stream lives on"))
    }

    /// Reads and forgets whatever comes, until the stream ends.
    pub(crate) async fn forget_all(&mut self) {
        while self.read().await.is_some() {}
    }

    /// Takes everything of this kind that came already.
    pub(crate) fn take(&mut self, fits: impl Fn(&Element) -> bool) -> Vec<Element> {
        let (taken, left): (VecDeque<_>, VecDeque<_>) = self.came.drain(..).partition(fits);
        self.came = left;
        Vec::from(taken)
    }

    /// Tells the server that everything came, and waits until it knows.
    pub(crate) async fn acknowledge_all(&mut self) {
        // Twice: what came while the first one was on its way is acknowledged by the second. None is under way at the
        // end, or the server would take it as the answer to what it asks next.
        for _ in 0..2 {
            self.acknowledge().await;
            self.send(&format!("<r xmlns='{SM}'/>")).await;
            self.wait_for("the server's acknowledgement", |element| element.is("a", SM)).await;
        }
    }

    /// The network is gone (RST). What is left is a session that can be resumed, if it was made one.
    pub(crate) fn lose_connection(self) -> Option<Session> {
        self.stream.cut();
        self.session
    }

    /// Says good-bye.
    pub(crate) async fn close(self) {
        timeout(PATIENCE, self.stream.close()).await.expect("the server says good-bye too");
    }

    async fn read(&mut self) -> Option<Element> {
        let element = self.stream.next().await?;
        if element.is("r", SM) {
            if !self.silent {
                self.acknowledge().await;
            }
        } else if element.has_ns(CLIENT)
            && let Some(session) = &mut self.session
        {
            session.handled += 1;
        }
        Some(element)
    }

    async fn acknowledge(&mut self) {
        if let Some(session) = &self.session {
            let ack = format!("<a xmlns='{SM}' h='{}'/>", session.handled);
            self.stream.send(&ack).await;
        }
    }
}
