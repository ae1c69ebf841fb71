//! What a host's bridge says in `urn:pushkeeper:host:0` (docs/signals.md), as plain data.
//!
//! [`read`] takes the envelope apart, [`event`] reads what is in it, with [`report`] for a session, [`shape`] for a
//! stanza and [`wish`] for what an account owner asks for, with its [`extensions`]; the form in that is kept [`verbatim`]. [`reply`] reads what
//! answers an order. [`words`] has the small parts of all.

pub mod event;
pub mod extensions;
pub mod reply;
pub mod report;
pub mod shape;
pub mod verbatim;
pub mod wish;
pub mod words;

use std::sync::Arc;

use crate::xmpp::xml::Element;

use self::event::Number;
use self::words::{Malformed, seq, word};
use super::ns;
use crate::domain::ids::Domain;
use crate::flows::signals::{Batch, Event};

/// How many events an iq may hold (docs/signals.md §2).
pub const MAX_EVENTS: usize = 64;

/// The element that is the only one in its iq and whose answer is for a client.
pub const REGISTRATION: &str = "registration";

/// Reads the payload of an iq from the bridge of `host`: a batch of events, or one of those that travel alone.
///
/// # Errors
///
/// Part of it cannot be understood: none of it is taken, and the bridge links anew.
pub fn read(payload: Element<'_>, host: &Domain) -> Result<Batch, Malformed> {
    let envelope = Envelope::read(payload)?;
    let name = payload.tag_name().name();
    let events = match name {
        "events" => events(payload, host, &envelope)?,
        "hello" | REGISTRATION => vec![event::alone(payload, host)?],
        _ => return Err(Malformed("neither events nor hello nor registration")),
    };
    let Envelope { node, epoch, seq } = envelope;
    Ok(Batch { node, epoch, seq, events })
}

/// What says where events belong.
struct Envelope {
    node: Arc<str>,
    epoch: Arc<str>,
    seq: u64,
}

impl Envelope {
    fn read(payload: Element<'_>) -> Result<Self, Malformed> {
        let node = match payload.attribute("name") {
            None => "",
            Some(_) => word(payload, "name").ok_or(Malformed("an unreadable name"))?,
        };
        let epoch = word(payload, "epoch").ok_or(Malformed("no readable epoch"))?;
        Ok(Self { node: node.into(), epoch: epoch.into(), seq: seq(payload)? })
    }
}

fn events(payload: Element<'_>, host: &Domain, envelope: &Envelope) -> Result<Vec<Event>, Malformed> {
    let children = payload.children().filter(Element::is_element);
    let count = children.clone().count();
    if !(1..=MAX_EVENTS).contains(&count) {
        return Err(Malformed("neither 1 nor up to 64 events"));
    }
    let mut events = Vec::with_capacity(count);
    for (seq, child) in (envelope.seq..).zip(children) {
        let known = child.tag_name().namespace() == Some(ns::HOST);
        let number = Number { epoch: &envelope.epoch, seq };
        events.push(if known { event::read(child, host, number)? } else { event::unknown(child) });
    }
    Ok(events)
}

#[cfg(test)]
#[path = "signal_tests.rs"]
mod tests;
