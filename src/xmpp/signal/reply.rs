//! What a bridge, or the host in its place, answers to an order (docs/signals.md §1, §3).

use std::sync::Arc;

use crate::xmpp::xml::Element;

use super::report;
use super::words::{Malformed, seq, word};
use crate::domain::outcome::Reason;
use crate::domain::session::Standing;
use crate::flows::signals::{HostState, NodeState, Relayed, Reply};
use crate::xmpp::{ns, read as xml};

/// How many nodes a host may have. Each session is looked for among them.
const MAX_NODES: usize = 256;

/// Reads an iq of type result or error.
#[must_use]
pub fn read(iq: Element<'_>) -> Reply {
    if iq.attribute("type") == Some("error") {
        let (kind, condition) = said(error(iq));
        return Reply::Refused(kind, condition);
    }
    let mut payloads = iq.children().filter(Element::is_element);
    match (payloads.next(), payloads.next()) {
        (None, _) => Reply::Done,
        (Some(payload), None) if payload.tag_name().namespace() == Some(ns::HOST) => {
            known(payload).unwrap_or(Reply::Unreadable)
        }
        _ => Reply::Unreadable,
    }
}

fn known(payload: Element<'_>) -> Result<Reply, Malformed> {
    match payload.tag_name().name() {
        "state" => Ok(Reply::State(state(payload)?)),
        "session" => Ok(Reply::Session(report::read(payload, Standing::Plain)?.into())),
        "relayed" => Ok(Reply::Relayed(relayed(payload)?)),
        _ => Err(Malformed("not an answer to any order")),
    }
}

fn state(element: Element<'_>) -> Result<HostState, Malformed> {
    let mut nodes = Vec::new();
    for child in element.children().filter(|&child| xml::is(child, ns::HOST, "node")) {
        if nodes.len() == MAX_NODES {
            return Err(Malformed("more nodes than any host has"));
        }
        let name = match child.attribute("name") {
            None => "",
            Some(_) => word(child, "name").ok_or(Malformed("an unreadable node"))?,
        };
        nodes.push(NodeState {
            name: name.into(),
            epoch: word(child, "epoch").ok_or(Malformed("no readable epoch"))?.into(),
            seq: seq(child)?,
        });
    }
    if nodes.is_empty() {
        return Err(Malformed("a host without nodes"));
    }
    let about = |name| word(element, name).unwrap_or_default();
    Ok(HostState {
        token: word(element, "token").map(Arc::from),
        software: format!("{} {}", about("software"), about("version")).trim().into(),
        bridge: about("bridge").into(),
        nodes,
    })
}

fn relayed(element: Element<'_>) -> Result<Relayed, Malformed> {
    let error = error(element);
    match element.attribute("origin") {
        Some("service") if error.is_none() => Ok(Relayed::Taken),
        Some("service") => {
            let (kind, condition) = said(error);
            Ok(Relayed::Refused(kind, condition))
        }
        Some("host") => Ok(Relayed::NotSent(error.map_or(Reason::Borrowed("unknown"), |error| said(Some(error)).1))),
        Some("none") => Ok(Relayed::Silence),
        _ => Err(Malformed("an origin that is none")),
    }
}

/// The `<error/>` inside an element, in whatever default namespace its sender has for stanzas.
fn error<'a>(element: Element<'a>) -> Option<Element<'a>> {
    element.children().find(|child| child.is_element() && child.tag_name().name() == "error")
}

/// The type and condition of a stanza error (RFC 6120 §8.3). Only those that the RFC has: what a stranger makes up
/// does not reach a log.
fn said(error: Option<Element<'_>>) -> (Reason, Reason) {
    let kind = error.and_then(|error| error.attribute("type")).unwrap_or_default();
    let conditions = error.into_iter().flat_map(|error| error.children());
    let mut conditions = conditions.filter(|child| child.tag_name().namespace() == Some(ns::STANZA_ERROR));
    let condition = conditions.find(|child| child.tag_name().name() != "text").map(|child| child.tag_name().name());
    let of = |known: &[&'static str], name: &str| known.iter().copied().find(|&known| known == name);
    let kind = of(&KINDS, kind).unwrap_or("cancel");
    (kind.into(), of(&CONDITIONS, condition.unwrap_or_default()).unwrap_or("undefined-condition").into())
}

/// RFC 6120 §8.3.2.
const KINDS: [&str; 5] = ["auth", "cancel", "continue", "modify", "wait"];

/// RFC 6120 §8.3.3.
const CONDITIONS: [&str; 22] = [
    "bad-request",
    "conflict",
    "feature-not-implemented",
    "forbidden",
    "gone",
    "internal-server-error",
    "item-not-found",
    "jid-malformed",
    "not-acceptable",
    "not-allowed",
    "not-authorized",
    "policy-violation",
    "recipient-unavailable",
    "redirect",
    "registration-required",
    "remote-server-not-found",
    "remote-server-timeout",
    "resource-constraint",
    "service-unavailable",
    "subscription-required",
    "undefined-condition",
    "unexpected-request",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::session::Sid;

    fn reply(kind: &str, content: &str) -> Reply {
        let text = format!("<iq xmlns='jabber:component:accept' type='{kind}'>{content}</iq>");
        let document = crate::xmpp::xml::Document::parse(&text).unwrap();
        read(document.root_element())
    }

    fn relayed(origin: &str, error: &str) -> Reply {
        reply("result", &format!("<relayed xmlns='urn:pushkeeper:host:0' origin='{origin}'>{error}</relayed>"))
    }

    fn stanza_error(kind: &str, condition: &str) -> String {
        format!("<error type='{kind}'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>")
    }

    #[test]
    fn a_state_names_the_host_and_its_nodes() {
        let one = "<state xmlns='urn:pushkeeper:host:0' token='k3f' software='Prosody' version='0.12.3' bridge='0.1.0' \
                   max-timeout='259200'><node epoch='9zGj' seq='41' sessions='2'/></state>";
        let node = |name: &str, epoch: &str, seq| NodeState { name: name.into(), epoch: epoch.into(), seq };
        let expected = HostState {
            token: Some("k3f".into()),
            software: "Prosody 0.12.3".into(),
            bridge: "0.1.0".into(),
            nodes: vec![node("", "9zGj", 41)],
        };
        assert_eq!(reply("result", one), Reply::State(expected));
        let two = "<state xmlns='urn:pushkeeper:host:0'><node name='a@h1' epoch='e1' seq='0'/><other xmlns='x'/>\
                   <node name='a@h2' epoch='e2' seq='9007199254740992'/></state>";
        let nodes = vec![node("a@h1", "e1", 0), node("a@h2", "e2", 1 << 53)];
        let expected = HostState { token: None, software: "".into(), bridge: "".into(), nodes };
        assert_eq!(reply("result", two), Reply::State(expected));
    }

    #[test]
    fn a_host_has_so_many_nodes_at_most() {
        let state = |count: usize| {
            let nodes: String = (0..count).map(|n| format!("<node name='n{n}' epoch='e' seq='0'/>")).collect();
            reply("result", &format!("<state xmlns='urn:pushkeeper:host:0'>{nodes}</state>"))
        };
        assert!(matches!(state(256), Reply::State(_)));
        assert_eq!(state(257), Reply::Unreadable);
    }

    #[test]
    fn what_came_of_a_relay() {
        let rows = [
            ("service", String::new(), Relayed::Taken),
            (
                "service",
                stanza_error("wait", "resource-constraint"),
                Relayed::Refused("wait".into(), "resource-constraint".into()),
            ),
            ("service", "<error/>".into(), Relayed::Refused("cancel".into(), "undefined-condition".into())),
            (
                "service",
                "<error xmlns='jabber:client' type='auth'><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>no</text>\
                 <forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
                    .into(),
                Relayed::Refused("auth".into(), "forbidden".into()),
            ),
            (
                "host",
                stanza_error("cancel", "remote-server-not-found"),
                Relayed::NotSent("remote-server-not-found".into()),
            ),
            ("host", String::new(), Relayed::NotSent("unknown".into())),
            ("none", String::new(), Relayed::Silence),
        ];
        for (origin, error, expected) in rows {
            assert_eq!(relayed(origin, &error), Reply::Relayed(expected), "{origin} {error}");
        }
    }

    #[test]
    fn results_errors_and_what_is_neither() {
        let refused = |kind: &'static str, condition: &'static str| Reply::Refused(kind.into(), condition.into());
        let rows = [
            ("result", String::new(), Reply::Done),
            ("result", " \n".into(), Reply::Done),
            ("error", stanza_error("cancel", "unexpected-request"), refused("cancel", "unexpected-request")),
            ("error", stanza_error("wait", "remote-server-timeout"), refused("wait", "remote-server-timeout")),
            ("error", stanza_error("worse", "made-up"), refused("cancel", "undefined-condition")),
            (
                "error",
                "<error><item-not-found xmlns='other'/></error>".into(),
                refused("cancel", "undefined-condition"),
            ),
            ("error", String::new(), refused("cancel", "undefined-condition")),
            (
                "error",
                format!("<check xmlns='urn:pushkeeper:host:0'/>{}", stanza_error("cancel", "service-unavailable")),
                refused("cancel", "service-unavailable"),
            ),
            ("result", "<state xmlns='urn:pushkeeper:host:0'/>".into(), Reply::Unreadable),
            ("result", "<state xmlns='urn:pushkeeper:host:0'><node seq='1'/></state>".into(), Reply::Unreadable),
            ("result", "<state xmlns='urn:pushkeeper:host:0'><node epoch='e'/></state>".into(), Reply::Unreadable),
            (
                "result",
                "<state xmlns='urn:pushkeeper:host:0'><node epoch='e' seq='1'/><node epoch='e' seq='-1'/></state>"
                    .into(),
                Reply::Unreadable,
            ),
            ("result", "<relayed xmlns='urn:pushkeeper:host:0' origin='mars'/>".into(), Reply::Unreadable),
            ("result", "<relayed xmlns='urn:pushkeeper:host:0'/>".into(), Reply::Unreadable),
            ("result", "<session xmlns='urn:pushkeeper:host:0' sid='s'/>".into(), Reply::Unreadable),
            ("result", "<other xmlns='urn:pushkeeper:host:0'/>".into(), Reply::Unreadable),
            (
                "result",
                "<state xmlns='urn:pushkeeper:host:1'><node epoch='e' seq='1'/></state>".into(),
                Reply::Unreadable,
            ),
            ("result", "<relayed xmlns='urn:pushkeeper:host:0' origin='none'/>".repeat(2), Reply::Unreadable),
        ];
        for (kind, content, expected) in rows {
            assert_eq!(reply(kind, &content), expected, "{kind} {content}");
        }
    }

    #[test]
    fn a_session_is_told_as_it_is_now() {
        let content = "<session xmlns='urn:pushkeeper:host:0' state='hibernated' since='2026-11-22T03:12:19Z' \
                       timeout='500' sid='hXefMjuz' left='499' unacked='3' h-in='2' h-out='0' resource='phone' \
                       user='alice' resumable='true'/>";
        let Reply::Session(report) = reply("result", content) else { panic!("{content}") };
        assert_eq!((report.sid, report.state), (Sid::new("hXefMjuz"), Standing::Hibernated));
        assert_eq!((report.timeout, report.left, report.h_out), (Some(500), Some(499), Some(0)));
    }
}
