//! One event (docs/signals.md §2, the table of elements).

use std::sync::Arc;

use crate::xmpp::xml::Element;

use super::words::{Malformed, account, count, flag, stamp, text, word};
use super::{REGISTRATION, report, shape, wish};
use crate::domain::ids::{Account, Domain, Node};
use crate::domain::session::{EndReason, Sid, Standing};
use crate::domain::stanza::{Key, Stanza};
use crate::flows::signals::{Event, Queued, Turn, What};
use crate::xmpp::{ns, read as xml};

/// Names an event, for ever.
#[derive(Clone, Copy, Debug)]
pub struct Number<'a> {
    /// Which start of which bridge.
    pub epoch: &'a str,
    /// Which event.
    pub seq: u64,
}

/// Reads an event of a batch. One that we do not know is taken as such: a newer bridge may have more to tell.
///
/// # Errors
///
/// It is one that we know, but it cannot be understood.
pub fn read(element: Element<'_>, host: &Domain, number: Number<'_>) -> Result<Event, Malformed> {
    let name = element.tag_name().name();
    if let Some(turn) = turn(element, name) {
        return Ok(event(element, session(element, host, turn)?));
    }
    let what = match name {
        "archived" => {
            let account = account(element, host)?;
            let mut stanza = stanza(element, &account)?;
            stanza.archive_id = text(element, "archive-id").or(stanza.archive_id);
            What::Archived { account, stanza: stanza.into() }
        }
        "offline" => {
            let account = account(element, host)?;
            let stanza = stanza(element, &account)?.into();
            What::Offline { account, stanza }
        }
        "urgent" => {
            let account = account(element, host)?;
            let stanza = stanza(element, &account)?.into();
            What::Urgent { account, stanza, sent: flag(element, "sent") }
        }
        "ping" => What::Ping {
            account: account(element, host)?,
            service: text(element, "service"),
            node: element.attribute("node").map(Node::new),
        },
        "missed" => missed(element, host, number)?,
        "synced" => What::Synced,
        "user-deleted" => What::UserDeleted { account: account(element, host)? },
        "hello" | REGISTRATION => return Err(Malformed("hello and registration travel alone")),
        _ => What::Unknown,
    };
    Ok(event(element, what))
}

/// Reads an event that travels alone: `<hello/>` or `<registration/>`.
///
/// # Errors
///
/// It cannot be understood.
pub fn alone(element: Element<'_>, host: &Domain) -> Result<Event, Malformed> {
    if element.tag_name().name() != REGISTRATION {
        return Ok(event(element, What::Hello));
    }
    let account = account(element, host)?;
    let report = report::read(element, Standing::Active)?.into();
    Ok(event(element, What::Registration { account, report, wish: wish::read(element)? }))
}

/// An event that we do not know.
#[must_use]
pub fn unknown(element: Element<'_>) -> Event {
    event(element, What::Unknown)
}

fn event(element: Element<'_>, what: What) -> Event {
    Event { stamp: stamp(element), token: word(element, "token").map(Arc::from), what }
}

/// What happened to a session, if it is about one.
fn turn(element: Element<'_>, name: &str) -> Option<Turn> {
    Some(match name {
        "session" => Turn::Described,
        "bind" => Turn::Bound,
        "ack-delayed" => Turn::AckDelayed,
        "ack" => Turn::Acked,
        "hibernate" => Turn::Hibernated,
        "queued" => Turn::Queued,
        "resume" => Turn::Resumed,
        "end" => Turn::Ended(match element.attribute("reason") {
            Some("closed") => EndReason::Closed,
            Some("timeout") => EndReason::Timeout,
            Some("replaced") => EndReason::Replaced,
            Some("kicked") => EndReason::Kicked,
            _ => EndReason::Unknown,
        }),
        _ => return None,
    })
}

fn session(element: Element<'_>, host: &Domain, turn: Turn) -> Result<What, Malformed> {
    let standing = match turn {
        Turn::Described | Turn::Bound | Turn::Ended(_) => Standing::Plain,
        Turn::AckDelayed => Standing::Unresponsive,
        Turn::Acked | Turn::Resumed => Standing::Active,
        Turn::Hibernated | Turn::Queued => Standing::Hibernated,
    };
    let account = account(element, host)?;
    let report = report::read(element, standing)?.into();
    let mut stanzas = Vec::new();
    for child in shapes(element) {
        stanzas.push(Queued { n: count(child, "n")?, stanza: shape::read(child, &account) });
    }
    if turn == Turn::Queued && stanzas.is_empty() {
        return Err(Malformed("an event without its stanza"));
    }
    Ok(What::Session { account, report, turn, stanzas })
}

/// The `<stanza>`s of an event.
fn shapes<'a>(element: Element<'a>) -> impl Iterator<Item = Element<'a>> {
    element.children().filter(|&child| xml::is(child, ns::HOST, "stanza"))
}

/// The stanza of an event that is about one.
fn stanza(element: Element<'_>, account: &Account) -> Result<Stanza, Malformed> {
    let shape = shapes(element).next().ok_or(Malformed("an event without its stanza"))?;
    Ok(shape::read(shape, account))
}

fn missed(element: Element<'_>, host: &Domain, number: Number<'_>) -> Result<What, Malformed> {
    let missed = count(element, "count")?.unwrap_or_default();
    let Some(_) = element.attribute("user") else {
        return Ok(What::Missed { account: None, count: missed, keys: Vec::new(), newest: None });
    };
    let account = account(element, host)?;
    let keys = element.children().filter(|&child| xml::is(child, ns::HOST, "key"));
    let keys = (0..).zip(keys).map(|(at, child)| key(child, at, number)).collect();
    let newest = shapes(element).next().map(|child| shape::read(child, &account).into());
    Ok(What::Missed { account: Some(account), count: missed, keys, newest })
}

/// The key of a missed message. One that has nothing to be known by is like no other: it gets a key that no other
/// message will ever have.
fn key(element: Element<'_>, at: u32, Number { epoch, seq }: Number<'_>) -> Key {
    match (element.attribute("from"), element.attribute("id").filter(|id| !id.is_empty())) {
        (Some(from), Some(id)) if flag(element, "call") && !from.is_empty() => Key::call(from, id),
        (Some(from), Some(id)) if !from.is_empty() => Key::sent(from, id),
        (None, Some(id)) => Key::archived(id),
        _ => Key::queued(&Sid::new(format!("missed {epoch} {seq}")), at),
    }
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
