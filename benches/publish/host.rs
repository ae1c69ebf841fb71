//! An XMPP server of which nothing is left but the link to a component (XEP-0114), sending as Prosody's
//! mod_cloud_notify does, and looking at answers just enough to count and to time them.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use memchr::{memchr, memmem};
use pushkeeper::clock::Clock;
use pushkeeper::domain::time::Moment;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::Fallible;
use crate::bridge;
use crate::provider::Provider;
use crate::publishes::{Id, Publishes};
use crate::report::Report;

pub(crate) const DOMAIN: &str = "bench.example";
pub(crate) const COMPONENT: &str = "push.bench.example";
pub(crate) const SECRET: &str = "bench-secret";

/// Not more than this is made ahead of what the socket takes, bytes.
const AHEAD: usize = 256 * 1024;
/// What is read at once, bytes.
const READ: usize = 256 * 1024;
/// Silence for longer than this means that nothing comes any more.
const PATIENCE: Duration = Duration::from_secs(60);
const CONDITIONS: [&str; 6] = [
    "item-not-found",
    "internal-server-error",
    "bad-request",
    "service-unavailable",
    "resource-constraint",
    "not-allowed",
];

/// The server, once the component is there.
pub(crate) struct Host {
    stream: TcpStream,
    pub(crate) clock: Clock,
    pub(crate) out: BytesMut,
    pub(crate) read: BytesMut,
    /// Numbers the runs, so that an answer of a former one is not taken for one of this.
    pub(crate) run: u32,
    /// The number of the bridge's last event.
    pub(crate) seq: u64,
    /// Devices registered so far: each is another account's.
    registered: usize,
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
        let (out, read) = (BytesMut::with_capacity(2 * AHEAD), BytesMut::with_capacity(READ));
        Ok(Self { stream, clock: Clock::system(), out, read, run: 0, seq: 0, registered: 0 })
    }

    /// Registers devices, each of an account of its own, with so many unanswered at a time.
    pub(crate) async fn register(
        &mut self,
        provider: Provider,
        number: usize,
        window: usize,
    ) -> Fallible<(Report, Publishes)> {
        let mut devices: Vec<Option<(Vec<u8>, Vec<u8>)>> = vec![None; number];
        let first = self.registered;
        self.registered += number;
        let make = |out: &mut BytesMut, index: usize, id: Id| {
            let mut token = Vec::new();
            let user = first + index;
            provider.token(&mut token, user);
            out.extend_from_slice(b"<iq type='set' id='");
            id.write(out);
            let [name, token] = [provider.name(), &String::from_utf8_lossy(&token)];
            out.extend_from_slice(
                format!(
                    "' to='{COMPONENT}' from='user{user}@{DOMAIN}/phone'>\
                     <command xmlns='http://jabber.org/protocol/commands' node='register-push-{name}' action='execute'>\
                     <x xmlns='jabber:x:data' type='submit'><field var='token'><value>{token}</value></field>\
                     <field var='device-id'><value>92afd7a91cdba9a0</value></field></x></command></iq>"
                )
                .as_bytes(),
            );
        };
        let answered = |index: usize, stanza: &[u8]| {
            if let Some(slot) = devices.get_mut(index) {
                *slot = field(stanza, "node").zip(field(stanza, "secret"));
            }
        };
        let report = self.exchange(number, window, make, answered).await?;
        let all: Option<Vec<_>> = devices.iter().flatten().map(|(node, secret)| Some((&**node, &**secret))).collect();
        let all = all.filter(|all| all.len() == number).ok_or("a registration failed")?;
        Ok((report, Publishes::new(all, first)?))
    }

    /// Publishes to one device after another, with so many unanswered at a time.
    pub(crate) async fn publish(&mut self, devices: &Publishes, number: usize, window: usize) -> Fallible<Report> {
        self.exchange(number, window, |out, index, id| devices.write(out, index, id), |_, _| {}).await
    }

    /// Answers what came while nothing was asked: a component that is not answered ends its stream.
    pub(crate) fn idle(&mut self) -> Fallible<()> {
        while self.read_now()? {
            let taken = answers(&self.read, &mut self.out, self.seq, |_, _, _| Ok(()))?;
            self.read.advance(taken);
        }
        self.write_now()
    }

    /// Sends iqs and reads their answers, at most `window` without one.
    pub(crate) async fn exchange(
        &mut self,
        number: usize,
        window: usize,
        mut make: impl FnMut(&mut BytesMut, usize, Id),
        mut answered: impl FnMut(usize, &[u8]),
    ) -> Fallible<Report> {
        self.idle()?;
        self.run += 1;
        let run = self.run;
        let begun = self.clock.steady();
        let mut sent: Vec<Option<Moment>> = Vec::with_capacity(number);
        let mut latencies = Vec::with_capacity(number);
        let mut results = 0;
        let mut others: BTreeMap<String, usize> = BTreeMap::new();
        while latencies.len() < number {
            // As much as the window has room for, and the socket: whoever waits with room left measures himself.
            let may_send = |sent: usize, answered: usize| sent < number && sent - answered < window;
            while may_send(sent.len(), latencies.len()) && self.out.is_empty() {
                let now = self.clock.steady();
                while may_send(sent.len(), latencies.len()) && self.out.len() < AHEAD {
                    make(&mut self.out, sent.len(), Id { run, index: u32::try_from(sent.len())? });
                    sent.push(Some(now));
                }
                self.write_now()?;
            }
            self.turn()
                .await
                .map_err(|error| format!("{error}; {} of {number} were not answered", sent.iter().flatten().count()))?;
            let now = self.clock.steady();
            let taken = answers(&self.read, &mut self.out, self.seq, |id, ok, stanza| {
                let index = id.filter(|id| id.run == run).and_then(|id| usize::try_from(id.index).ok());
                let asked = index.and_then(|index| Some((index, sent.get_mut(index)?.take()?)));
                let (index, sent) =
                    asked.ok_or_else(|| format!("not asked for: {}", String::from_utf8_lossy(stanza)))?;
                latencies.push(now - sent);
                if ok {
                    results += 1;
                } else {
                    *others.entry(condition(stanza)).or_default() += 1;
                }
                answered(index, stanza);
                Ok(())
            })?;
            self.read.advance(taken);
        }
        Ok(Report::new(self.clock.steady() - begun, latencies, results, others))
    }

    /// Writes and reads what can be written and read now; waits until something can.
    pub(crate) async fn turn(&mut self) -> Fallible<()> {
        // What there is room for is most often written at once.
        self.write_now()?;
        let interest = if self.out.is_empty() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
        let ready = timeout(PATIENCE, self.stream.ready(interest)).await.map_err(|_| "silence")??;
        if ready.is_readable() {
            self.read_now()?;
        }
        Ok(())
    }

    fn write_now(&mut self) -> Fallible<()> {
        while !self.out.is_empty() {
            match self.stream.try_write(&self.out) {
                Ok(written) => self.out.advance(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Whether anything was there.
    fn read_now(&mut self) -> Fallible<bool> {
        self.read.reserve(READ);
        match self.stream.try_read_buf(&mut self.read) {
            Ok(0) => Err("the component closed the link".into()),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
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

/// Looks at every whole iq: its id, if it is one of ours, whether it is a result, and all of it. Pings and orders to
/// the bridge, whose last event was `seq`, are answered. Returns how many bytes these were.
pub(crate) fn answers(
    bytes: &[u8],
    out: &mut BytesMut,
    seq: u64,
    mut see: impl FnMut(Option<Id>, bool, &[u8]) -> Fallible<()>,
) -> Fallible<usize> {
    let mut taken = 0;
    loop {
        let rest = bytes.get(taken..).unwrap_or_default();
        let Some(tag) = memchr(b'>', rest) else { return Ok(taken) };
        let blank = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let head = rest.get(blank..=tag).unwrap_or_default();
        if !head.starts_with(b"<iq") {
            return Err(format!("no iq: {}", String::from_utf8_lossy(head)).into());
        }
        let end = if head.ends_with(b"/>") {
            tag + 1
        } else {
            let Some(close) = memmem::find(rest, b"</iq>") else { return Ok(taken) };
            close + 5
        };
        let stanza = rest.get(blank..end).unwrap_or_default();
        taken += end;
        match (attribute(head, b" type="), attribute(head, b" id=")) {
            (Some(b"result"), id) => see(id.and_then(Id::read), true, stanza)?,
            (Some(b"error"), id) => see(id.and_then(Id::read), false, stanza)?,
            (Some(b"set"), id) => bridge::obey(out, id.unwrap_or_default(), stanza, seq),
            (_, id) => {
                let id = String::from_utf8_lossy(id.unwrap_or_default());
                let pong = format!("<iq type='result' id='{id}' from='{COMPONENT}' to='{COMPONENT}'/>");
                out.extend_from_slice(pong.as_bytes());
            }
        }
    }
}

/// An attribute of a tag, by its name between a space and an equals sign.
fn attribute<'a>(tag: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let after = tag.get(memmem::find(tag, name)? + name.len()..)?;
    let (quote, after) = after.split_first()?;
    after.get(..memchr(*quote, after)?)
}

fn condition(stanza: &[u8]) -> String {
    let found = CONDITIONS.iter().find(|condition| memmem::find(stanza, condition.as_bytes()).is_some());
    found.map_or_else(|| String::from_utf8_lossy(stanza).into_owned(), |condition| (*condition).to_owned())
}

/// The value of a form's field.
fn field(stanza: &[u8], name: &str) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(stanza).ok()?;
    let (_, after) =
        text.split_once(&format!("var='{name}'")).or_else(|| text.split_once(&format!("var=\"{name}\"")))?;
    let (_, value) = after.split_once("<value>")?;
    Some(value.split_once("</value>")?.0.as_bytes().to_vec())
}
