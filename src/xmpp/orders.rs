//! Orders to bridges (docs/signals.md §1, §3), as iqs.

use std::time::Duration;

use bytes::BytesMut;

use super::answer::escape;
use super::ns;
use super::service::Service;
use crate::domain::ids::Account;
use crate::domain::redact::Words;
use crate::domain::registration::{Options, RegistrationKey};
use crate::flows::signals::{Order, OrderKind};

/// Writes an order.
pub fn write(out: &mut BytesMut, service: &Service, order: &Order) {
    put(out, "<iq type='set'");
    attribute(out, "id", &service.wire_id(order.id));
    attribute(out, "from", service.jid().as_str());
    attribute(out, "to", order.host.as_str());
    put(out, "><");
    let name = kind(out, &order.what);
    for part in ["</", name, "></iq>"] {
        put(out, part);
    }
}

/// Writes the payload, its start tag's `<` and its end tag aside; returns its name.
fn kind(out: &mut BytesMut, what: &OrderKind) -> &'static str {
    match what {
        OrderKind::Check => {
            open(out, "check");
            put(out, ">");
            "check"
        }
        OrderKind::Sync { token, ack_delay } => {
            open(out, "sync");
            attribute(out, "token", token);
            attribute(out, "ack-delay", &seconds(*ack_delay));
            put(out, "><feature var='urn:xmpp:push:0'/>");
            "sync"
        }
        OrderKind::Watch { list, complete, accounts } => {
            open(out, "watch");
            if let Some(list) = list {
                attribute(out, "list", list);
            }
            if *complete {
                attribute(out, "complete", "true");
            }
            put(out, ">");
            for (watched, full) in accounts {
                account(out, watched, *full);
            }
            "watch"
        }
        OrderKind::Unwatch { accounts } => {
            open(out, "unwatch");
            put(out, ">");
            for watched in accounts {
                account(out, watched, false);
            }
            "unwatch"
        }
        OrderKind::Timeout { account, resource, sid, since, window } => {
            open(out, "timeout");
            attribute(out, "user", user(account));
            attribute(out, "resource", resource);
            attribute(out, "sid", sid.as_str());
            attribute(out, "since", since);
            attribute(out, "seconds", &seconds(*window));
            put(out, ">");
            "timeout"
        }
        OrderKind::Relay { to, options, words } => {
            relay(out, to, options.as_ref(), words);
            "relay"
        }
    }
}

fn account(out: &mut BytesMut, account: &Account, full: bool) {
    put(out, "<account");
    attribute(out, "user", user(account));
    if full {
        attribute(out, "content", "full");
    }
    put(out, "/>");
}

/// The localpart: bridges know their own host.
fn user(account: &Account) -> &str {
    account.as_str().split_once('@').map_or(account.as_str(), |(user, _)| user)
}

/// A publish (XEP-0357 §7) for the host to make in its own name.
fn relay(out: &mut BytesMut, to: &RegistrationKey, options: Option<&Options>, words: &Words) {
    open(out, "relay");
    attribute(out, "to", &to.service);
    put(out, "><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish");
    if !to.node.as_str().is_empty() {
        attribute(out, "node", to.node.as_str());
    }
    put(out, "><item><notification xmlns='urn:xmpp:push:0'><x xmlns='jabber:x:data' type='submit'>");
    put(out, "<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:push:summary</value></field>");
    put(out, "<field var='message-count'><value>1</value></field>");
    for (name, value) in [("last-message-sender", &words.sender), ("last-message-body", &words.body)] {
        if let Some(value) = value.as_ref().filter(|value| !value.reveal().is_empty()) {
            for part in ["<field var='", name, "'><value>"] {
                put(out, part);
            }
            escape(out, value.reveal());
            put(out, "</value></field>");
        }
    }
    put(out, "</x></notification></item></publish>");
    if let Some(options) = options {
        // It is XML that needs nothing around it.
        for part in ["<publish-options>", &options.xml, "</publish-options>"] {
            put(out, part);
        }
    }
    put(out, "</pubsub>");
}

/// A time in seconds: whole if it is, else in thousandths. Nothing but zero is written as zero, which is an order to
/// end.
fn seconds(time: Duration) -> String {
    let millis = time.as_nanos().div_ceil(1_000_000);
    let (whole, rest) = (millis / 1000, millis % 1000);
    if rest == 0 {
        return whole.to_string();
    }
    format!("{whole}.{rest:03}").trim_end_matches('0').to_owned()
}

fn open(out: &mut BytesMut, name: &str) {
    for part in [name, " xmlns='", ns::HOST, "'"] {
        put(out, part);
    }
}

fn attribute(out: &mut BytesMut, name: &str, value: &str) {
    for part in [" ", name, "='"] {
        put(out, part);
    }
    escape(out, value);
    put(out, "'");
}

fn put(out: &mut BytesMut, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
#[path = "orders_tests.rs"]
mod tests;
