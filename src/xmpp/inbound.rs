//! Decides what a stanza is to us. Every iq get or set gets exactly one answer, from here or by its ticket; results,
//! errors, messages and presence never get one (RFC 6120 §8.2.3).

use std::sync::Arc;

use crate::xmpp::xml::Element;
use bytes::BytesMut;

use super::answer::{self, StanzaError};
use super::frame::{Fault, Frame};
use super::head::Head;
use super::read::{self, Opening, Unreadable};
use super::sender::{Last, Sender};
use super::service::Service;
use super::signal::words::Malformed;
use super::signal::{self, REGISTRATION, reply, wish};
use super::{adhoc, ns, publish, register};
use crate::domain::ids::{Account, Domain};
use crate::domain::time::Moment;
use crate::flows::data::{Door, Input, Ticket};
use crate::flows::signals::Reply;

/// The longest `id` that is answered, in bytes. Hosts end the stream of a component whose own stanzas are too big
/// (Prosody at 512 kB), and an answer repeats the id.
const MAX_ID: usize = 16 * 1024;

/// How much of what a host says in a stream error is kept, in characters: it goes into the log.
const MAX_WORDS: usize = 256;

/// What a stanza is to us.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one at a time, and nearly all of them are requests")]
pub enum Inbound {
    /// Something for the driver, which will answer it if it is a request.
    Request(Input),
    /// A request that is answered at once: the whole answer.
    Answer(BytesMut),
    /// Nothing to do.
    Ignored(Ignored),
    /// The host ends the stream.
    StreamError(StreamError),
    /// The handshake was accepted (XEP-0114 §3).
    HandshakeDone,
}

/// Why nothing is done about a stanza.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// A message, a presence, or the answer to an iq.
    NoRequest,
    /// An iq without a sender to answer to, or with one that is no JID.
    NoSender,
    /// An iq for another domain. An answer would have to come from that domain, and a host ends the stream of a
    /// component that speaks for another one (`invalid-from`).
    Foreign,
    /// An iq whose id is too long to be repeated.
    LongId,
    /// An element of the stream that is no stanza, or one of which not even the start tag could be read.
    Unknown,
}

/// A stream error from the host (RFC 6120 §4.9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamError {
    /// The defined condition, or `undefined-condition`.
    pub condition: Box<str>,
    /// What the host says in words; may be empty.
    pub text: Box<str>,
}

/// What a frame is to us; `None` for one that ends the stream in good order.
///
/// # Errors
///
/// The stanza is not XML, so nothing after it can be trusted.
pub fn receive(
    service: &Service,
    opening: &mut Opening,
    frame: Frame<'_>,
    now: Moment,
) -> Result<Option<Inbound>, Fault> {
    Ok(Some(match frame {
        Frame::StreamClose => return Ok(None),
        Frame::StreamOpen(_) => Inbound::Ignored(Ignored::Unknown),
        Frame::TooBig(too_big) => broken(service, too_big.head, StanzaError::TOO_BIG, now),
        Frame::Parsed(text) => {
            let (stanza, last) = opening.parsed(text);
            element(service, last, stanza.root(), now)
        }
        Frame::Stanza(text) => match opening.stanza(text) {
            Ok((stanza, last)) => element(service, last, stanza.root(), now),
            Err(Unreadable::NotWellFormed) => return Err(Fault::NotWellFormed),
            Err(why) => {
                let error =
                    if why == Unreadable::BadNamespace { StanzaError::BAD_REQUEST } else { StanzaError::TOO_BIG };
                broken(service, Head::read(text.as_bytes()), error, now)
            }
        },
    }))
}

/// A stanza of which only the start tag counts: an iq that could have been a request is refused.
fn broken(service: &Service, head: Option<Head>, error: StanzaError, now: Moment) -> Inbound {
    let Some(head) = head else { return Inbound::Ignored(Ignored::Unknown) };
    if &*head.name != "iq" {
        return Inbound::Ignored(Ignored::NoRequest);
    }
    let (id, from) = (head.id.as_deref(), head.from.as_deref());
    if matches!(head.kind.as_deref(), Some("result" | "error")) {
        return answered_order(service, id, from, || Reply::Unreadable);
    }
    match address(service, &mut Last::default(), id, from, head.to.as_deref(), now) {
        Ok((mut ticket, from)) => {
            // It could be a registration. What cannot be read in one is the client's doing, and not the bridge's; and
            // to any other iq it makes no difference.
            ticket.for_client = bridge(service, &from).is_some();
            refuse(&ticket, error)
        }
        Err(ignored) => Inbound::Ignored(ignored),
    }
}

/// A result or an error: if it answers an order of ours, the driver hears of it. Most do not, and cost nothing.
fn answered_order(service: &Service, id: Option<&str>, from: Option<&str>, reply: impl FnOnce() -> Reply) -> Inbound {
    let Some(order) = id.and_then(|id| service.order(id)) else { return Inbound::Ignored(Ignored::NoRequest) };
    let Some(host) = from.and_then(|from| service.host(from)) else { return Inbound::Ignored(Ignored::NoRequest) };
    request(Input::Reply { host, order, reply: reply() })
}

/// The host whose bridge this is: the bridge speaks as the host itself, never as one of its users.
fn bridge(service: &Service, from: &Sender) -> Option<Domain> {
    service.host(from.bare()).filter(|_| !from.full)
}

fn element(service: &Service, last: &mut Last, root: Element<'_>, now: Moment) -> Inbound {
    if read::is_stanza(root, "iq") {
        return iq(service, last, root, now).unwrap_or_else(Inbound::Ignored);
    }
    if read::is_stanza(root, "handshake") {
        return Inbound::HandshakeDone;
    }
    if read::is(root, ns::STREAM, "error") {
        return Inbound::StreamError(stream_error(root));
    }
    let known = read::is_stanza(root, "message") || read::is_stanza(root, "presence");
    Inbound::Ignored(if known { Ignored::NoRequest } else { Ignored::Unknown })
}

fn iq(service: &Service, last: &mut Last, iq: Element<'_>, now: Moment) -> Result<Inbound, Ignored> {
    let get = match iq.attribute("type") {
        Some("result" | "error") => {
            return Ok(answered_order(service, iq.attribute("id"), iq.attribute("from"), || reply::read(iq)));
        }
        Some("get") => Some(true),
        Some("set") => Some(false),
        // Not a type at all: its sender waits for an answer all the same.
        _ => None,
    };
    let (ticket, from) = address(service, last, iq.attribute("id"), iq.attribute("from"), iq.attribute("to"), now)?;
    let mut payloads = iq.children().filter(Element::is_element);
    let (Some(get), Some(payload), None) = (get, payloads.next(), payloads.next()) else {
        return Ok(refuse(&ticket, StanzaError::BAD_REQUEST));
    };
    if iq.attribute("id").is_none() {
        return Ok(refuse(&ticket, StanzaError::BAD_REQUEST));
    }
    let tag = payload.tag_name();
    let node = payload.attribute("node");
    Ok(match (tag.namespace().unwrap_or_default(), tag.name(), get) {
        (ns::PUBSUB, "pubsub", _) => pubsub(ticket, payload, &from, get),
        (ns::PUBSUB_OWNER, "pubsub", _) => owner(&ticket, payload, get),
        (ns::COMMANDS, "command", _) => command(service, ticket, payload, &from, get),
        (ns::HOST, _, _) => signals(service, ticket, payload, &from, get),
        (ns::PUSH, "enable" | "disable", _) => enable(service, ticket, payload, get),
        (ns::DISCO_INFO, "query", true) => content(&ticket, service.info(node)),
        (ns::DISCO_ITEMS, "query", true) => content(&ticket, service.items(node, from.bare())),
        (ns::PING, "ping", true) => answered(|out| answer::empty_result(out, &ticket)),
        _ => refuse(&ticket, StanzaError::SERVICE_UNAVAILABLE),
    })
}

/// Where the answer goes, and who asks.
///
/// A missing id is taken as an empty one, as Prosody does: it is refused, but it is answered. A missing `to` means
/// us: the host gave us the stanza.
fn address(
    service: &Service,
    last: &mut Last,
    id: Option<&str>,
    from: Option<&str>,
    to: Option<&str>,
    now: Moment,
) -> Result<(Ticket, Sender), Ignored> {
    let id = id.unwrap_or_default();
    if id.len() > MAX_ID {
        return Err(Ignored::LongId);
    }
    let from = last.name(from.unwrap_or_default());
    let sender = Sender::read(&from).ok_or(Ignored::NoSender)?;
    let own = service.jid();
    let to = match to {
        Some(to) if to != own.as_str() => Arc::from(to),
        _ => own.shared(),
    };
    if *to != *own.as_str() && Sender::read(&to).is_none_or(|to| to.domain() != own.as_str()) {
        return Err(Ignored::Foreign);
    }
    let ticket = Ticket { door: Door::Link, id: id.into(), to: from, from: to, taken: now, for_client: false };
    Ok((ticket, sender))
}

fn pubsub(ticket: Ticket, pubsub: Element<'_>, from: &Sender, get: bool) -> Inbound {
    if let Some(element) = read::child(pubsub, ns::PUBSUB, "publish") {
        let publish = if get { Err(StanzaError::BAD_PUBLISH) } else { publish::publish(pubsub, element, from) };
        return match publish {
            Ok(publish) => request(Input::Publish { ticket, publish }),
            Err(error) => refuse(&ticket, error),
        };
    }
    // Apps written for MongooseIM make a push node first; ours need no making. However they configure it, our nodes are
    // what a whitelist would make of them. One that the app leaves to us to name, it would never learn.
    if let Some(create) = read::child(pubsub, ns::PUBSUB, "create").filter(|_| !get) {
        if create.attribute("node").is_none_or(str::is_empty) {
            return refuse(&ticket, StanzaError::NODE_REQUIRED);
        }
        return answered(|out| answer::empty_result(out, &ticket));
    }
    // Nothing in it at all is a publish that went wrong; a server must not take the registration for dead.
    if !get && !pubsub.children().any(|child| child.is_element()) {
        return refuse(&ticket, StanzaError::BAD_PUBLISH);
    }
    refuse(&ticket, StanzaError::NOT_IMPLEMENTED)
}

/// Apps written for MongooseIM let their server publish to their node by its affiliations; our nodes know whom they
/// take publishes from.
fn owner(ticket: &Ticket, pubsub: Element<'_>, get: bool) -> Inbound {
    let known = ["affiliations", "configure"].iter().any(|name| read::child(pubsub, ns::PUBSUB_OWNER, name).is_some());
    if known && !get {
        return answered(|out| answer::empty_result(out, ticket));
    }
    refuse(ticket, StanzaError::NOT_IMPLEMENTED)
}

fn command(service: &Service, ticket: Ticket, element: Element<'_>, from: &Sender, get: bool) -> Inbound {
    if get {
        return refuse(&ticket, StanzaError::BAD_REQUEST);
    }
    let name = element.attribute("node").unwrap_or_default();
    if let Some(name) = adhoc::name(name) {
        // A domain has no phones, and is nobody's admin.
        if !from.is_account() {
            return refuse(&ticket, StanzaError::FORBIDDEN);
        }
        let asker = Account::new(from.bare());
        return match adhoc::read(name, element) {
            Ok(asked) => request(Input::Command { ticket, asker, asked: Box::new(asked) }),
            Err(error) => refuse(&ticket, error),
        };
    }
    match register::command(element, from, || service.provider_ids()) {
        Ok(register::Command::Register(registration)) => request(Input::Register { ticket, registration }),
        Ok(register::Command::Unregister(unregistration)) => request(Input::Unregister { ticket, unregistration }),
        Ok(register::Command::Ask(form)) => answered(|out| answer::command(out, &ticket, name, "executing", &form)),
        Ok(register::Command::Cancelled) => answered(|out| answer::command(out, &ticket, name, "canceled", "")),
        Err(error) => refuse(&ticket, error),
    }
}

/// What a bridge says. Nobody else has anything to say in its namespace.
fn signals(service: &Service, mut ticket: Ticket, payload: Element<'_>, from: &Sender, get: bool) -> Inbound {
    let Some(host) = bridge(service, from) else { return refuse(&ticket, StanzaError::FORBIDDEN) };
    if get {
        return refuse(&ticket, StanzaError::BAD_REQUEST);
    }
    ticket.for_client = payload.tag_name().name() == REGISTRATION;
    match signal::read(payload, &host) {
        Ok(batch) => request(Input::Signals { ticket, host, batch }),
        Err(Malformed(why)) => refuse(&ticket, StanzaError::BAD_REQUEST.saying(why)),
    }
}

/// An `<enable/>` or `<disable/>` sent to us and not to the own account: for those of our hosts' users it is the same.
fn enable(service: &Service, ticket: Ticket, element: Element<'_>, get: bool) -> Inbound {
    let Some((account, resource)) = client(service, &ticket.to) else { return refuse(&ticket, StanzaError::FORBIDDEN) };
    if get {
        return refuse(&ticket, StanzaError::NOT_ALLOWED);
    }
    match wish::one(element) {
        Ok(wish) => request(Input::Wish { ticket, account, resource, wish }),
        Err(Malformed(why)) => refuse(&ticket, StanzaError::BAD_REQUEST.saying(why)),
    }
}

/// A client of a host of ours, by its full JID.
fn client(service: &Service, jid: &Arc<str>) -> Option<(Account, Arc<str>)> {
    let (_, resource) = jid.split_once('/')?;
    let client = Sender::read(jid)?;
    let ours = client.is_account() && service.host(client.domain()).is_some();
    ours.then(|| (Account::new(client.bare()), resource.into()))
}

fn content(ticket: &Ticket, content: Result<String, StanzaError>) -> Inbound {
    match content {
        Ok(content) => answered(|out| answer::result(out, ticket, &content)),
        Err(error) => refuse(ticket, error),
    }
}

fn request(input: Input) -> Inbound {
    Inbound::Request(input)
}

fn refuse(ticket: &Ticket, error: StanzaError) -> Inbound {
    answered(|out| answer::error(out, ticket, error))
}

fn answered(write: impl FnOnce(&mut BytesMut)) -> Inbound {
    let mut out = BytesMut::new();
    write(&mut out);
    Inbound::Answer(out)
}

fn stream_error(error: Element<'_>) -> StreamError {
    let mut known = error.children().filter(|child| child.tag_name().namespace() == Some(ns::STREAM_ERROR));
    let condition = known.clone().find(|child| child.tag_name().name() != "text");
    let text = known.find(|child| child.tag_name().name() == "text").and_then(read::text);
    StreamError {
        condition: line(condition.map_or("undefined-condition", |condition| condition.tag_name().name())),
        text: line(text.unwrap_or_default()),
    }
}

/// A text for the log: one line, of a bearable length.
fn line(text: &str) -> Box<str> {
    text.chars().take(MAX_WORDS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
#[path = "inbound_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "inbound_bridge_tests.rs"]
mod bridge_tests;
