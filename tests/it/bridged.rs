//! The bridge of one host, played by a test: it takes every order, and tells what the test has it tell.

use tokio::net::TcpStream;

use crate::support::host::{JID, Session};

const NS: &str = "urn:pushkeeper:host:0";

/// A bridge that is linked.
pub(crate) struct Bridge {
    session: Session<TcpStream>,
    host: String,
    seq: u64,
    asked: u64,
    relayed: String,
}

impl Bridge {
    /// Answers what it is asked until it is linked, and describes that there is nobody.
    pub(crate) async fn link(session: Session<TcpStream>, host: &str) -> Self {
        let mut bridge = Self { session, host: host.to_owned(), seq: 0, asked: 0, relayed: String::new() };
        let sync = bridge.order("<sync").await;
        let token = sync.split_once("token='").and_then(|(_, rest)| rest.split_once('\'')).expect("a token").0;
        bridge.tell(&format!("<synced token='{token}'/>")).await;
        bridge
    }

    /// From now on relays are answered with this inside a result.
    pub(crate) fn answers_relays(&mut self, inside: &str) {
        inside.clone_into(&mut self.relayed);
    }

    /// Tells an event, and waits for the answer to its batch.
    pub(crate) async fn tell(&mut self, event: &str) {
        self.seq += 1;
        let seq = self.seq;
        let id = format!("e{seq}");
        let payload = format!("<events xmlns='{NS}' epoch='e' seq='{seq}'>{event}</events>");
        let answer = self.iq(&id, &payload).await;
        if answer.contains("type='error'") {
            // None of it was taken.
            self.seq -= 1;
        }
    }

    /// romeo's app enables push; returns the answer.
    pub(crate) async fn enable(&mut self, service: &str, node: &str, secret: &str) -> String {
        let form = format!(
            "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
             <value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
             <field var='secret'><value>{secret}</value></field></x>"
        );
        self.wish(&format!("<enable xmlns='urn:xmpp:push:0' jid='{service}' node='{node}'>{form}</enable>")).await
    }

    /// romeo's app disables push.
    pub(crate) async fn disable(&mut self, service: &str, node: &str) {
        self.wish(&format!("<disable xmlns='urn:xmpp:push:0' jid='{service}' node='{node}'/>")).await;
    }

    /// Waits for a relay, and answers it.
    pub(crate) async fn relay(&mut self) -> String {
        self.order("<relay").await
    }

    /// Sends an iq and waits for its answer.
    pub(crate) async fn ask(&mut self, id: &str, iq: &str) -> String {
        self.session.send(iq).await;
        self.stanza(&format!("id='{id}'")).await
    }

    /// What is left of it.
    pub(crate) fn into_session(self) -> Session<TcpStream> {
        self.session
    }

    async fn wish(&mut self, wish: &str) -> String {
        self.seq += 1;
        let seq = self.seq;
        let attributes = format!("epoch='e' seq='{seq}' sid='s1' user='romeo' resource='app' state='active'");
        self.iq(&format!("w{seq}"), &format!("<registration xmlns='{NS}' {attributes}>{wish}</registration>")).await
    }

    async fn iq(&mut self, id: &str, payload: &str) -> String {
        self.asked += 1;
        let id = format!("{id}-{}", self.asked);
        let iq = format!("<iq type='set' id='{id}' from='{}' to='{JID}'>{payload}</iq>", self.host);
        self.ask(&id, &iq).await
    }

    /// The next stanza with this in it. Orders are answered meanwhile.
    async fn stanza(&mut self, what: &str) -> String {
        loop {
            let stanza = self.session.stanza().await;
            let is_it = stanza.contains(what);
            self.answer(&stanza).await;
            if is_it {
                return stanza;
            }
        }
    }

    async fn order(&mut self, name: &str) -> String {
        self.stanza(name).await
    }

    async fn answer(&mut self, stanza: &str) {
        if !stanza.starts_with("<iq type='set'") {
            return;
        }
        let Self { host, relayed, seq, .. } = self;
        let inside = if stanza.contains("<relay ") {
            relayed.clone()
        } else if stanza.contains("<sync ") || stanza.contains("<check ") {
            let token = stanza.split_once("token='").and_then(|(_, rest)| rest.split_once('\''));
            let token = token.map_or(String::new(), |(token, _)| format!("token='{token}'"));
            format!("<state xmlns='{NS}' {token} software='Host' version='1'><node epoch='e' seq='{seq}'/></state>")
        } else {
            String::new()
        };
        let id = stanza.split('\'').nth(3).expect("an id");
        self.session.send(&format!("<iq type='result' id='{id}' from='{host}' to='{JID}'>{inside}</iq>")).await;
    }
}
