//! A stanza, whole or as a shape (docs/signals.md §2, Stanzas), as far as rules care.

use roxmltree::Node as Element;

use super::words::text;
use crate::domain::ids::Account;
use crate::domain::secret::Private;
use crate::domain::stanza::{Carbon, HIDDEN, Jingle, JingleStep, Kind, Stanza};
use crate::xmpp::{ns, read as xml};

/// Reads what a `<stanza>` holds, with a carbon unwrapped. `account` is whose session or archive it came to.
#[must_use]
pub fn read(wrapper: Element<'_, '_>, account: &Account) -> Stanza {
    let Some(outer) = wrapper.first_element_child() else {
        return Stanza { kind: Kind::Iq, ..Stanza::default() };
    };
    let stanza = plain(outer, account);
    let Some((carbon, inner)) = forwarded(outer, &stanza, account) else { return stanza };
    let mut inner = inner.map_or_else(|| stanza.clone(), |inner| plain(inner, account));
    inner.archive_id = inner.archive_id.or(stanza.archive_id);
    inner.carbon = Some(carbon);
    inner
}

/// What a carbon forwards (XEP-0280). Only the account itself can send one (§11); what anybody else sends is a message
/// with a strange child.
fn forwarded<'a, 'i>(
    outer: Element<'a, 'i>,
    stanza: &Stanza,
    account: &Account,
) -> Option<(Carbon, Option<Element<'a, 'i>>)> {
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
fn plain(element: Element<'_, '_>, account: &Account) -> Stanza {
    let mut stanza =
        Stanza { kind: kind(element), from: text(element, "from"), id: text(element, "id"), ..Stanza::default() };
    if element.tag_name().name() != "iq" {
        content(element, account, &mut stanza);
    }
    stanza
}

fn kind(element: Element<'_, '_>) -> Kind {
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

fn content(element: Element<'_, '_>, account: &Account, stanza: &mut Stanza) {
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
        match (tag.namespace().unwrap_or_default(), tag.name()) {
            (ns::STANZA_ID, "stanza-id") if child.attribute("by") == Some(account.as_str()) => {
                // Some hosts let one pass that a stranger made up; their own comes after it.
                stanza.archive_id = text(child, "id").or(stanza.archive_id.take());
            }
            (omemo, "encrypted") if ns::OMEMO.contains(&omemo) => {
                // Without a payload it carries keys only (XEP-0384 §4.6).
                let payload = xml::child(child, omemo, "payload").is_some();
                stanza.encrypted |= payload;
                keys_only |= !payload;
            }
            (ns::OPENPGP_OLD, "x") | (ns::OPENPGP, "openpgp") => stanza.encrypted = true,
            (ns::ENCRYPTION, "encryption") => said_encrypted = true,
            (ns::CONFERENCE, "x") => stanza.invitation = true,
            (ns::MUC_USER, "x") => stanza.invitation |= xml::child(child, ns::MUC_USER, "invite").is_some(),
            (ns::CORRECT, "replace") => stanza.correction = true,
            (ns::MARKERS, "displayed") => stanza.displayed = true,
            (ns::HINTS, "no-store") => stanza.no_store = true,
            (ns::NICK | ns::NICK_URN, "nick") if stanza.nickname.is_none() => {
                stanza.nickname = xml::text(child).filter(|&nickname| nickname != HIDDEN).map(Private::new);
            }
            (jingle, name) if stanza.jingle.is_none() && jingle.starts_with(ns::JINGLE_MESSAGE_PREFIX) => {
                stanza.jingle = text(child, "id").map(|id| Jingle { step: step(name), id });
            }
            _ => {}
        }
    }
    stanza.encrypted |= said_encrypted && !keys_only;
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
