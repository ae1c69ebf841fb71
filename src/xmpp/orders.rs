//! Orders to bridges (docs/signals.md §1, §3), as iqs.

use std::time::Duration;

use bytes::BytesMut;

use super::answer::escape;
use super::ns;
use super::service::Service;
use crate::domain::ids::Account;
use crate::domain::publish::Priority;
use crate::domain::push::Sealed;
use crate::domain::redact::{CallSaid, Words};
use crate::domain::registration::{Options, RegistrationKey};
use crate::flows::signals::{Facts, Order, OrderKind, Watched};

/// What accounts can do while their host is linked: XEP-0357, and Tigase's extensions of its `<enable/>`.
const FEATURES: [&str; 9] = [
    ns::PUSH,
    ns::TIGASE_IGNORE_UNKNOWN,
    ns::TIGASE_ROOMS,
    ns::TIGASE_MUTED,
    ns::TIGASE_PRIORITY,
    ns::TIGASE_ENCRYPT,
    ns::TIGASE_ENCRYPT_AES_128_GCM,
    ns::TIGASE_JINGLE,
    ns::TIGASE_AWAY,
];

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
            open(out, "check", ns::HOST);
            put(out, ">");
            "check"
        }
        OrderKind::Sync { token, ack_delay } => {
            open(out, "sync", ns::HOST);
            attribute(out, "token", token);
            attribute(out, "ack-delay", &seconds(*ack_delay));
            put(out, ">");
            for feature in FEATURES {
                put(out, "<feature");
                attribute(out, "var", feature);
                put(out, "/>");
            }
            "sync"
        }
        OrderKind::Watch { list, complete, accounts } => {
            open(out, "watch", ns::HOST);
            if let Some(list) = list {
                attribute(out, "list", list);
            }
            if *complete {
                attribute(out, "complete", "true");
            }
            put(out, ">");
            for Watched { account: watched, facts } in accounts {
                account(out, watched, *facts);
            }
            "watch"
        }
        OrderKind::Unwatch { accounts } => {
            open(out, "unwatch", ns::HOST);
            put(out, ">");
            for watched in accounts {
                account(out, watched, Facts::default());
            }
            "unwatch"
        }
        OrderKind::Timeout { account, resource, sid, since, window } => {
            open(out, "timeout", ns::HOST);
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

fn account(out: &mut BytesMut, account: &Account, facts: Facts) {
    put(out, "<account");
    attribute(out, "user", user(account));
    if facts.texts {
        attribute(out, "content", "full");
    }
    if facts.contacts {
        attribute(out, "contacts", "true");
    }
    put(out, "/>");
}

/// The localpart: bridges know their own host.
fn user(account: &Account) -> &str {
    account.as_str().split_once('@').map_or(account.as_str(), |(user, _)| user)
}

/// A publish (XEP-0357 §7) for the host to make in its own name.
fn relay(out: &mut BytesMut, to: &RegistrationKey, options: Option<&Options>, words: &Words) {
    open(out, "relay", ns::HOST);
    attribute(out, "to", &to.service);
    put(out, "><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish");
    if !to.node.as_str().is_empty() {
        attribute(out, "node", to.node.as_str());
    }
    put(out, "><item><notification xmlns='urn:xmpp:push:0'>");
    match &words.sealed {
        Some(sealed) => encrypted(out, sealed),
        None => summary(out, words),
    }
    if let Some(priority) = words.priority {
        open(out, "<priority", ns::TIGASE_PRIORITY);
        put(out, if priority == Priority::High { ">high</priority>" } else { ">low</priority>" });
    }
    if let Some(call) = &words.call {
        jingle(out, call);
    }
    put(out, "</notification></item></publish>");
    if let Some(options) = options {
        // It is XML that needs nothing around it.
        for part in ["<publish-options>", &options.xml, "</publish-options>"] {
            put(out, part);
        }
    }
    put(out, "</pubsub>");
}

/// What only the client can read.
fn encrypted(out: &mut BytesMut, sealed: &Sealed) {
    open(out, "<encrypted", ns::TIGASE_ENCRYPT);
    attribute(out, "iv", &sealed.iv);
    if sealed.voip {
        attribute(out, "type", "voip");
    }
    put(out, ">");
    escape(out, sealed.payload.reveal());
    put(out, "</encrypted>");
}

/// A step of a call.
fn jingle(out: &mut BytesMut, call: &CallSaid) {
    open(out, "<jingle", ns::TIGASE_JINGLE);
    attribute(out, "action", call.action);
    attribute(out, "sid", &call.sid);
    put(out, ">");
    for media in &call.media {
        for part in ["<media>", media, "</media>"] {
            put(out, part);
        }
    }
    put(out, "</jingle>");
}

/// The form that XEP-0357 §7 knows.
fn summary(out: &mut BytesMut, words: &Words) {
    put(out, "<x xmlns='jabber:x:data' type='submit'>");
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
    put(out, "</x>");
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

fn open(out: &mut BytesMut, name: &str, namespace: &str) {
    for part in [name, " xmlns='", namespace, "'"] {
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
