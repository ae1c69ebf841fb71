//! The bridge of the host (docs/signals.md): it links, hands on what clients want, and tells of messages, as fast as it
//! is answered.

use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use memchr::memmem;

use crate::Fallible;
use crate::host::{COMPONENT, DOMAIN, Host};
use crate::publishes::{Id, Publishes};
use crate::report::Report;

const NS: &str = "urn:pushkeeper:host:0";
/// Batches that are unanswered at most, and events in each.
const BATCHES: usize = 16;
const EVENTS: usize = 64;
/// What a batch must have ended in.
const PATIENCE: Duration = Duration::from_secs(30);

impl Host {
    /// Answers what it is asked until it is linked, and describes that there is nobody.
    pub(crate) async fn bridge(&mut self) -> Fallible<()> {
        let begun = self.clock.steady();
        let token = loop {
            if self.clock.steady() - begun > PATIENCE {
                return Err("pushkeeper does not link to the bridge".into());
            }
            let sync = memmem::find(&self.read, b"<sync ").and_then(|at| self.read.get(at..));
            if let Some(token) = sync.and_then(token) {
                break token;
            }
            self.answer_orders()?;
            self.turn().await?;
        };
        self.answer_orders()?;
        self.tell(1, 1, |_, _| format!("<synced token='{token}'/>")).await?.results_only()
    }

    /// Clients enable somebody else's push service, each once: fresh accounts every time.
    pub(crate) async fn enable(&mut self, number: usize, window: usize) -> Fallible<Report> {
        let run = self.run;
        let enable = |index: usize| {
            let user = format!("fan{run}-{index}");
            let enable = format!("<enable xmlns='urn:xmpp:push:0' jid='push.third.example' node='n{run}-{index}'>");
            (user, enable, "mQ7xV2sT9uKfBzR4pLwEhCjN".to_owned())
        };
        self.registrations(number, window, enable).await
    }

    /// The clients of these devices enable us, and leave.
    pub(crate) async fn enable_us(&mut self, devices: &Publishes) -> Fallible<()> {
        let number = devices.number();
        let enable = |index: usize| {
            let (node, secret) = devices.device(index);
            let [node, secret] = [node, secret].map(|part| String::from_utf8_lossy(part).into_owned());
            let enable = format!("<enable xmlns='urn:xmpp:push:0' jid='{COMPONENT}' node='{node}'>");
            (format!("user{}", devices.first + index), enable, secret)
        };
        self.registrations(number, EVENTS, enable).await?.results_only()?;
        let end = |index: usize, _: u32| {
            let user = devices.first + index;
            format!("<end sid='user{user}' user='user{user}' resource='phone' state='active' reason='closed'/>")
        };
        self.tell(number, EVENTS, end).await?.results_only()
    }

    /// Messages were archived for the owners of these devices, one for each after another.
    pub(crate) async fn messages(&mut self, devices: &Publishes, number: usize) -> Fallible<Report> {
        let message = |index: usize, run: u32| {
            let user = devices.first + index % devices.number();
            format!(
                "<archived stamp='2026-11-22T02:49:40.120Z' user='user{user}' archive-id='RM4VVy7CfW40K0vLFovVV{run}-{index}'>\
                 <stanza><message xmlns='jabber:client' from='bob@example.org/pc.Zt91' to='user{user}@{DOMAIN}' type='chat' \
                 id='5d1f6ae0-7c1c-4a3e-9f3e-2f7c1b1f9c55'><body>*</body>\
                 <stanza-id xmlns='urn:xmpp:sid:0' by='user{user}@{DOMAIN}' id='RM4VVy7CfW40K0vLFovVV{run}-{index}'/>\
                 <encrypted xmlns='eu.siacs.conversations.axolotl'><header><key rid='1234567'>*</key>\
                 <key rid='7654321'>*</key><iv>*</iv></header><payload>*</payload></encrypted>\
                 <encryption xmlns='urn:xmpp:eme:0'/><store xmlns='urn:xmpp:hints'/></message></stanza></archived>"
            )
        };
        self.tell(number, EVENTS, message).await
    }

    async fn registrations(
        &mut self,
        number: usize,
        window: usize,
        enable: impl Fn(usize) -> (String, String, String),
    ) -> Fallible<Report> {
        let begin = self.seq;
        self.seq += u64::try_from(number)?;
        let make = |out: &mut BytesMut, index: usize, id: Id| {
            let (user, enable, secret) = enable(index);
            let seq = begin + 1 + u64::try_from(index).unwrap_or(u64::MAX);
            open(out, id);
            let text = format!(
                "<registration xmlns='{NS}' epoch='e' seq='{seq}' sid='{user}' user='{user}' resource='phone' \
                 state='active'>{enable}<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
                 <value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
                 <field var='secret'><value>{secret}</value></field></x></enable></registration></iq>"
            );
            out.extend_from_slice(text.as_bytes());
        };
        self.exchange(number, window, make, |_, _| {}).await
    }

    /// Tells of so many events, in batches.
    async fn tell(&mut self, number: usize, each: usize, event: impl Fn(usize, u32) -> String) -> Fallible<Report> {
        let begin = self.seq;
        self.seq += u64::try_from(number)?;
        let make = |out: &mut BytesMut, batch: usize, id: Id| {
            let first = batch * each;
            let seq = begin + 1 + u64::try_from(first).unwrap_or(u64::MAX);
            open(out, id);
            out.extend_from_slice(format!("<events xmlns='{NS}' epoch='e' seq='{seq}'>").as_bytes());
            for index in first..number.min(first + each) {
                out.extend_from_slice(event(index, id.run).as_bytes());
            }
            out.extend_from_slice(b"</events></iq>");
        };
        self.exchange(number.div_ceil(each), BATCHES, make, |_, _| {}).await
    }

    /// Answers all that has been asked.
    fn answer_orders(&mut self) -> Fallible<()> {
        let taken = crate::host::answers(&self.read, &mut self.out, self.seq, |_, _, _| Ok(()))?;
        self.read.advance(taken);
        Ok(())
    }
}

/// Says "yes" to an order.
pub(crate) fn obey(out: &mut BytesMut, id: &[u8], order: &[u8], seq: u64) {
    out.extend_from_slice(b"<iq type='result' id='");
    out.extend_from_slice(id);
    out.extend_from_slice(format!("' from='{DOMAIN}' to='{COMPONENT}'>").as_bytes());
    if memmem::find(order, b"<sync ").is_some() || memmem::find(order, b"<check ").is_some() {
        let token = token(order).map(|token| format!("token='{token}'")).unwrap_or_default();
        let node = format!("<node epoch='e' seq='{seq}'/>");
        let state = format!("<state xmlns='{NS}' {token} software='Bench' version='1'>{node}</state>");
        out.extend_from_slice(state.as_bytes());
    }
    out.extend_from_slice(b"</iq>");
}

fn open(out: &mut BytesMut, id: Id) {
    out.extend_from_slice(b"<iq type='set' id='");
    id.write(out);
    out.extend_from_slice(format!("' from='{DOMAIN}' to='{COMPONENT}'>").as_bytes());
}

fn token(order: &[u8]) -> Option<String> {
    let after = order.get(memmem::find(order, b"token='")? + 7..)?;
    let length = memchr::memchr(b'\'', after)?;
    Some(String::from_utf8_lossy(after.get(..length)?).into_owned())
}
