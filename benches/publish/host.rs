//! An XMPP server of which nothing is left but the link to a component (XEP-0114), sending as Prosody's
//! mod_cloud_notify does, and reading just enough of the answers to count and to time them.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use pushkeeper::clock::Clock;
use pushkeeper::domain::time::Moment;
use serde::{Deserialize, Serialize};
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::Fallible;

pub(crate) const DOMAIN: &str = "bench.example";
pub(crate) const COMPONENT: &str = "push.bench.example";
pub(crate) const SECRET: &str = "bench-secret";

/// How many registrations wait for their answers.
const REGISTERING: usize = 512;
/// Not more than this is made ahead of what the socket takes, bytes.
const AHEAD: usize = 256 * 1024;
/// Silence for longer than this means that nothing comes any more.
const PATIENCE: Duration = Duration::from_secs(30);
const CONDITIONS: [&str; 6] = [
    "item-not-found",
    "internal-server-error",
    "bad-request",
    "service-unavailable",
    "resource-constraint",
    "not-allowed",
];

/// What a run gave.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// How many were answered.
    pub(crate) number: usize,
    /// From the first sent to the last answered.
    pub(crate) took: Duration,
    /// From sent to answered.
    pub(crate) p50: Duration,
    /// As above.
    pub(crate) p99: Duration,
    /// As above.
    pub(crate) max: Duration,
    /// `result`, or the condition of the error, and how many had it.
    pub(crate) answers: BTreeMap<String, usize>,
    /// How many pushes APNs took meanwhile.
    pub(crate) pushes: u64,
}

impl Report {
    /// Of what was answered after these times; every answer a result.
    pub(crate) fn new(took: Duration, mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        let number = latencies.len();
        let at = |percent: usize| latencies.get(number * percent / 100).copied().unwrap_or_default();
        Self {
            number,
            took,
            p50: at(50),
            p99: at(99),
            max: latencies.last().copied().unwrap_or_default(),
            answers: [("result".to_owned(), number)].into(),
            pushes: 0,
        }
    }

    /// An error if an answer was wrong. With `all`, only results are right, and each stands for a push of its own;
    /// without, "not now" is right too, and publishes may have been merged.
    pub(crate) fn strict(&self, all: bool) -> Fallible<()> {
        let count = |answer: &str| self.answers.get(answer).copied().unwrap_or_default();
        let (results, later) = (count("result"), count("internal-server-error"));
        let pushes = usize::try_from(self.pushes)?;
        let right = if all {
            results == self.number && pushes == results
        } else {
            results + later == self.number && pushes <= results
        };
        if right { Ok(()) } else { Err(format!("wrong answers: {:?}, and {pushes} pushes", self.answers).into()) }
    }
}

/// The server, once the component is there.
pub(crate) struct Host {
    stream: TcpStream,
    clock: Clock,
    devices: Vec<Device>,
    /// Numbers the runs, so that an answer of a former one is not taken for one of this.
    run: usize,
}

struct Device {
    node: String,
    secret: String,
}

impl Host {
    /// Waits for the component and lets it in.
    pub(crate) async fn accept(listener: &TcpListener) -> Fallible<Self> {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let mut read = String::new();
        until(&mut stream, &mut read, |read| read.contains("jabber:component:accept") && read.ends_with('>')).await?;
        let open = format!(
            "<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' \
             xmlns='jabber:component:accept' id='bench-1' from='{COMPONENT}'>"
        );
        stream.write_all(open.as_bytes()).await?;
        read.clear();
        until(&mut stream, &mut read, |read| read.contains("</handshake>")).await?;
        let digest = Sha1::digest(format!("bench-1{SECRET}"));
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        if !read.contains(&digest) {
            return Err("the component does not know the secret".into());
        }
        stream.write_all(b"<handshake/>").await?;
        Ok(Self { stream, clock: Clock::system(), devices: Vec::new(), run: 0 })
    }

    /// Registers devices, each of an account of its own.
    pub(crate) async fn register(&mut self, number: usize) -> Fallible<Report> {
        let mut answers: Vec<Option<Device>> = Vec::new();
        answers.resize_with(number, || None);
        let report = self
            .exchange(
                number,
                REGISTERING,
                |index, id| {
                    format!(
                        "<iq type='set' id='{id}' to='{COMPONENT}' from='user{index}@{DOMAIN}/phone'>\
                         <command xmlns='http://jabber.org/protocol/commands' node='register-push-apns' \
                         action='execute'><x xmlns='jabber:x:data' type='submit'>\
                         <field var='token'><value>{index:064x}</value></field>\
                         <field var='device-id'><value>92afd7a91cdba9a0</value></field></x></command></iq>"
                    )
                },
                |index, stanza| {
                    if let Some(slot) = answers.get_mut(index) {
                        *slot = device(stanza);
                    }
                },
            )
            .await?;
        self.devices = answers.into_iter().collect::<Option<_>>().ok_or("a registration failed")?;
        Ok(report)
    }

    /// Publishes to one device after another, with so many unanswered at a time.
    pub(crate) async fn publish(&mut self, number: usize, window: usize, pushes: &AtomicU64) -> Fallible<Report> {
        let devices = std::mem::take(&mut self.devices);
        if devices.is_empty() {
            return Err("no devices are registered".into());
        }
        let before = pushes.load(Ordering::Relaxed);
        let mut turn = devices.iter().cycle();
        let report = self
            .exchange(
                number,
                window,
                |_, id| turn.next().map(|device| publish(device, id)).unwrap_or_default(),
                |_, _| {},
            )
            .await;
        self.devices = devices;
        Ok(Report { pushes: pushes.load(Ordering::Relaxed) - before, ..report? })
    }

    /// Sends iqs and reads their answers, at most `window` without one.
    async fn exchange(
        &mut self,
        number: usize,
        window: usize,
        mut make: impl FnMut(usize, &str) -> String,
        mut answered: impl FnMut(usize, &str),
    ) -> Fallible<Report> {
        self.run += 1;
        let begun = self.clock.steady();
        let mut sent: Vec<Option<Moment>> = Vec::with_capacity(number);
        let mut latencies = Vec::with_capacity(number);
        let mut answers: BTreeMap<String, usize> = BTreeMap::new();
        let (mut out, mut read) = (BytesMut::new(), BytesMut::new());
        while latencies.len() < number {
            let now = self.clock.steady();
            while sent.len() < number && sent.len() - latencies.len() < window && out.len() < AHEAD {
                // As long as Prosody's ids.
                let id = format!("{:08x}-{:055x}", self.run, sent.len());
                out.extend_from_slice(make(sent.len(), &id).as_bytes());
                sent.push(Some(now));
            }
            self.turn(&mut out, &mut read)
                .await
                .map_err(|error| format!("{error}; {} of {number} were not answered", sent.iter().flatten().count()))?;
            let now = self.clock.steady();
            while let Some(stanza) = next_stanza(&mut read)? {
                let (id, kind) = (attribute(&stanza, "id"), attribute(&stanza, "type"));
                if kind == Some("get") {
                    out.extend_from_slice(pong(&stanza).as_bytes());
                    continue;
                }
                let index = id.and_then(|id| self.index(id)).ok_or_else(|| format!("not asked for: {stanza}"))?;
                let sent = sent.get_mut(index).and_then(Option::take);
                latencies.push(now - sent.ok_or_else(|| format!("answered twice: {stanza}"))?);
                *answers.entry(answer(&stanza, kind)).or_default() += 1;
                answered(index, &stanza);
            }
        }
        Ok(Report { answers, ..Report::new(self.clock.steady() - begun, latencies) })
    }

    /// Writes and reads what can be written and read now; waits until something can.
    async fn turn(&self, out: &mut BytesMut, read: &mut BytesMut) -> Fallible<()> {
        let interest = if out.is_empty() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
        let ready = timeout(PATIENCE, self.stream.ready(interest)).await.map_err(|_| "silence")??;
        if ready.is_writable() && !out.is_empty() {
            match self.stream.try_write(out) {
                Ok(written) => out.advance(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        if ready.is_readable() {
            match self.stream.try_read_buf(read) {
                Ok(0) => return Err("the component closed the link".into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn index(&self, id: &str) -> Option<usize> {
        let (run, index) = id.split_once('-')?;
        let this = usize::from_str_radix(run, 16).ok()? == self.run;
        usize::from_str_radix(index, 16).ok().filter(|_| this)
    }
}

async fn until(stream: &mut TcpStream, read: &mut String, done: impl Fn(&str) -> bool) -> Fallible<()> {
    let mut part = [0; 1024];
    while !done(read) {
        let length = timeout(PATIENCE, stream.read(&mut part)).await??;
        if length == 0 {
            return Err("the component left during the handshake".into());
        }
        read.push_str(std::str::from_utf8(part.get(..length).unwrap_or_default())?);
    }
    Ok(())
}

/// As Prosody 0.12's mod_cloud_notify writes it, byte for byte but for names.
fn publish(device: &Device, id: &str) -> String {
    let Device { node, secret } = device;
    format!(
        "<iq type='set' to='{COMPONENT}' from='{DOMAIN}' id='{id}'>\
         <pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{node}'><item>\
         <notification xmlns='urn:xmpp:push:0'><x type='form' xmlns='jabber:x:data'>\
         <field type='hidden' var='FORM_TYPE'><value>urn:xmpp:push:summary</value></field>\
         <field type='text-single' var='message-count'><value>1</value></field>\
         <field type='text-single' var='pending-subscription-count'/>\
         <field type='jid-single' var='last-message-sender'/>\
         <field type='text-single' var='last-message-body'><value>New Message!</value></field></x></notification>\
         </item></publish><publish-options><x type='submit' xmlns='jabber:x:data'>\
         <field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
         <field var='secret'><value>{secret}</value></field></x></publish-options></pubsub></iq>"
    )
}

fn pong(ping: &str) -> String {
    let id = attribute(ping, "id").unwrap_or_default();
    format!("<iq type='result' id='{id}' from='{DOMAIN}' to='{COMPONENT}'/>")
}

/// Takes the next whole iq off the front.
fn next_stanza(read: &mut BytesMut) -> Fallible<Option<String>> {
    let blank = read.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    read.advance(blank);
    let Some(tag) = read.iter().position(|&byte| byte == b'>') else { return Ok(None) };
    if !read.starts_with(b"<iq") {
        return Err(format!("no iq: {}", String::from_utf8_lossy(read.get(..=tag).unwrap_or_default())).into());
    }
    let empty = tag > 0 && read.get(tag - 1) == Some(&b'/');
    let end = if empty {
        tag + 1
    } else {
        match read.windows(5).position(|part| part == b"</iq>") {
            Some(close) => close + 5,
            None => return Ok(None),
        }
    };
    Ok(Some(String::from_utf8(read.split_to(end).to_vec())?))
}

/// An attribute of the stanza's own tag.
fn attribute<'a>(stanza: &'a str, name: &str) -> Option<&'a str> {
    let (tag, _) = stanza.split_once('>')?;
    let (_, after) = tag.split_once(&format!(" {name}="))?;
    let quote = after.chars().next()?;
    after.get(1..)?.split(quote).next()
}

fn answer(stanza: &str, kind: Option<&str>) -> String {
    if kind == Some("result") {
        return "result".to_owned();
    }
    CONDITIONS.iter().find(|condition| stanza.contains(*condition)).map_or(stanza, |condition| condition).to_owned()
}

fn device(stanza: &str) -> Option<Device> {
    let field = |name: &str| {
        let (_, after) =
            stanza.split_once(&format!("var='{name}'")).or_else(|| stanza.split_once(&format!("var=\"{name}\"")))?;
        let (_, value) = after.split_once("<value>")?;
        Some(value.split_once("</value>")?.0.to_owned())
    };
    Some(Device { node: field("node")?, secret: field("secret")? })
}
