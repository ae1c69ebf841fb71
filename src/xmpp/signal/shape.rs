//! A stanza, whole or as a shape (docs/signals.md §2, Stanzas), as far as rules care.

use crate::xmpp::xml::Element;
use jid::BareJid;

use super::words::{flag, text};
use crate::domain::ids::Account;
use crate::domain::secret::Private;
use crate::domain::stanza::{Carbon, HIDDEN, Jingle, JingleStep, Kind, Stanza};
use crate::xmpp::{ns, read as xml};

/// Reads what a `<stanza>` holds, with a carbon unwrapped. `account` is whose session or archive it came to.
#[must_use]
pub fn read(wrapper: Element<'_>, account: &Account) -> Stanza {
    let Some(outer) = wrapper.first_element_child() else {
        return Stanza { kind: Kind::Iq, ..Stanza::default() };
    };
    let mut stanza = plain(outer, account);
    told(wrapper, &mut stanza);
    let Some((carbon, inner)) = forwarded(outer, &stanza, account) else { return stanza };
    let mut inner = inner.map_or_else(|| stanza.clone(), |inner| plain(inner, account));
    inner.archive_id = inner.archive_id.or(stanza.archive_id);
    inner.carbon = Some(carbon);
    told(wrapper, &mut inner);
    inner
}

/// What the host knows of the stanza beside what it says; of a carbon, it is about what was forwarded.
fn told(wrapper: Element<'_>, stanza: &mut Stanza) {
    stanza.contact = match wrapper.attribute("contact") {
        Some("true" | "1") => Some(true),
        Some("false" | "0") => Some(false),
        _ => None,
    };
    stanza.reflected = stanza.kind == Kind::Groupchat && flag(wrapper, "own");
}

/// What a carbon forwards (XEP-0280). Only the account itself can send one (§11); what anybody else sends is a message
/// with a strange child.
fn forwarded<'a>(outer: Element<'a>, stanza: &Stanza, account: &Account) -> Option<(Carbon, Option<Element<'a>>)> {
    let own = stanza.from.as_deref().is_none_or(|from| from == account.as_str());
    if !own || outer.tag_name().name() != "message" || stanza.kind == Kind::Error {
        return None;
    }
    let wrapper = outer.children().find(|child| child.tag_name().namespace() == Some(ns::CARBONS))?;
    let carbon = match wrapper.tag_name().name() {
        "sent" => Carbon::Sent,
        "received" => Carbon::Received,
        _ => return None,
    };
    let forwarded = xml::child(wrapper, ns::FORWARD, "forwarded");
    let inner = forwarded.and_then(|forwarded| forwarded.children().find(|child| child.tag_name().name() == "message"));
    Some((carbon, inner))
}

/// A stanza without a look at what it may forward.
fn plain(element: Element<'_>, account: &Account) -> Stanza {
    let mut stanza =
        Stanza { kind: kind(element), from: text(element, "from"), id: text(element, "id"), ..Stanza::default() };
    if element.tag_name().name() != "iq" {
        content(element, account, &mut stanza);
    }
    stanza
}

fn kind(element: Element<'_>) -> Kind {
    match (element.tag_name().name(), element.attribute("type")) {
        ("message", Some("groupchat")) => Kind::Groupchat,
        ("message", Some("headline")) => Kind::Headline,
        ("message", Some("error")) => Kind::Error,
        // Any other type is as none (RFC 6121 §5.2.2).
        ("message", _) => Kind::Chat,
        ("presence", Some("subscribe")) => Kind::Subscribe,
        ("presence", _) => Kind::Presence,
        _ => Kind::Iq,
    }
}

fn content(element: Element<'_>, account: &Account, stanza: &mut Stanza) {
    let own = element.tag_name().namespace();
    let (mut keys_only, mut said_encrypted) = (false, false);
    for child in element.children().filter(Element::is_element) {
        let tag = child.tag_name();
        if tag.namespace() == own {
            if tag.name() == "body" && stanza.body.is_none() {
                stanza.body = xml::text(child).map(Private::new);
            }
            continue;
        }
        match (tag.name(), tag.namespace().unwrap_or_default()) {
            ("stanza-id", ns::STANZA_ID) if child.attribute("by") == Some(account.as_str()) => {
                // Some hosts let one pass that a stranger made up; their own comes after it.
                stanza.archive_id = text(child, "id").or(stanza.archive_id.take());
            }
            ("encrypted", omemo) if ns::OMEMO.contains(&omemo) => {
                // Without a payload it carries keys only (XEP-0384 §4.6).
                let payload = xml::child(child, omemo, "payload").is_some();
                stanza.encrypted |= payload;
                keys_only |= !payload;
            }
            ("x", ns::OPENPGP_OLD) | ("openpgp", ns::OPENPGP) => stanza.encrypted = true,
            ("encryption", ns::ENCRYPTION) => said_encrypted = true,
            ("x", ns::CONFERENCE) => stanza.invitation = true,
            ("x", ns::MUC_USER) => stanza.invitation |= xml::child(child, ns::MUC_USER, "invite").is_some(),
            ("replace", ns::CORRECT) => stanza.correction = true,
            ("displayed", ns::MARKERS) => stanza.displayed = true,
            ("no-store", ns::HINTS) => stanza.no_store = true,
            ("nick", ns::NICK | ns::NICK_URN) if stanza.nickname.is_none() => {
                stanza.nickname = xml::text(child).filter(|&nickname| nickname != HIDDEN).map(Private::new);
            }
            (name, jingle) if stanza.jingle.is_none() && jingle.starts_with(ns::JINGLE_MESSAGE_PREFIX) => {
                stanza.jingle = text(child, "id").map(|id| Jingle { step: step(name), id });
                stanza.media = media(child);
            }
            ("reference", ns::REFERENCE) if child.attribute("type") == Some("mention") => {
                stanza.mentions.extend(child.attribute("uri").and_then(mentioned));
            }
            ("reply", ns::REPLY) => stanza.mentions.extend(child.attribute("to").and_then(normalised)),
            _ => {}
        }
    }
    stanza.encrypted |= said_encrypted && !keys_only;
}

/// What a call is about, each once, the loudest first.
fn media(call: Element<'_>) -> Vec<&'static str> {
    let descriptions = || call.children().filter(|&child| xml::is(child, ns::JINGLE_RTP, "description"));
    let is_about = |media: &&str| descriptions().any(|child| child.attribute("media") == Some(media));
    ["audio", "video"].into_iter().filter(is_about).collect()
}

/// The JID in a URI of XMPP (RFC 5122).
fn mentioned(uri: &str) -> Option<Box<str>> {
    let path = uri.strip_prefix("xmpp:")?.split(['?', '#']).next()?;
    normalised(&unescaped(path)?)
}

/// A JID with its bare part normalised. Its resource can be a nick with more in it than some know to be allowed.
fn normalised(jid: &str) -> Option<Box<str>> {
    let (bare, resource) = jid.split_once('/').map_or((jid, None), |(bare, resource)| (bare, Some(resource)));
    let bare = BareJid::new(bare).ok()?;
    Some(resource.map_or_else(|| bare.as_str().into(), |resource| format!("{bare}/{resource}").into()))
}

/// A text without its percent-encoding (RFC 3986 §2.1).
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend(parts.next()?.bytes());
    for part in parts {
        let (hex, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(hex, 16).ok()?);
        bytes.extend(rest.bytes());
    }
    String::from_utf8(bytes).ok()
}

fn step(name: &str) -> JingleStep {
    match name {
        "propose" => JingleStep::Propose,
        "ringing" => JingleStep::Ringing,
        "proceed" => JingleStep::Proceed,
        "accept" => JingleStep::Accept,
        "reject" => JingleStep::Reject,
        "retract" => JingleStep::Retract,
        "finish" => JingleStep::Finish,
        _ => JingleStep::Other,
    }
}

#[cfg(test)]
#[path = "shape_tests.rs"]
mod tests;
