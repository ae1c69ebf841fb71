//! Publishes (XEP-0357 §7), read as leniently as real servers need it: Prosody, ejabberd, MongooseIM and Tigase
//! each write the same thing differently.

use crate::xmpp::xml::Element;

use super::answer::StanzaError;
use super::forms::Form;
use super::sender::Sender;
use super::{ns, read};
use crate::domain::ids::Node;
use crate::domain::publish::{CallStep, Notification, Priority, Publish};
use crate::domain::push::Sealed;
use crate::domain::secret::{Private, Secret};

/// The longest `pushModule`, in bytes: no app has a longer name.
const MAX_MODULE: usize = 256;

/// Reads what a server publishes from a `<pubsub>` that has a `<publish>`.
///
/// # Errors
///
/// There is no node or no notification in it.
pub fn publish(pubsub: Element<'_>, publish: Element<'_>, from: &Sender) -> Result<Publish, StanzaError> {
    let node = publish.attribute("node").filter(|node| !node.is_empty()).ok_or(StanzaError::BAD_PUBLISH)?;
    let mut items = publish.children().filter(|&child| read::is(child, ns::PUBSUB, "item"));
    let notification =
        items.find_map(|item| read::child(item, ns::PUSH, "notification")).ok_or(StanzaError::BAD_PUBLISH)?;
    let options = read::child(pubsub, ns::PUBSUB, "publish-options").and_then(Form::inside);
    // The options' FORM_TYPE does not matter: the form is the client's own, replayed.
    let [secret, module] = options.map_or([None; 2], |options| options.values(["secret", "pushModule"]));
    Ok(Publish {
        from: from.own_domain(),
        from_full_jid: from.full,
        node: Node::new(node),
        secret: secret.map(Secret::new),
        module: module.filter(|module| module.len() <= MAX_MODULE).map(Box::from),
        notification: self::notification(notification),
    })
}

fn notification(element: Element<'_>) -> Notification {
    let mut out = Notification::default();
    for form in Form::all_inside(element) {
        let [kind, count, sender, other_sender, body, jingle] = form.values([
            "FORM_TYPE",
            "message-count",
            "last-message-sender",
            // MongooseIM calls it so where the message is a step of a call's set-up.
            "message-sender",
            "last-message-body",
            "jingle-message",
        ]);
        // One that does not say what it is may be it.
        if kind.is_some_and(|kind| kind.trim() != ns::PUSH_SUMMARY) {
            continue;
        }
        out.count = count.and_then(|count| count.trim().parse().ok());
        out.sender = sender.or(other_sender).map(Private::new);
        out.body = body.map(Private::new);
        out.jingle_message = jingle.map(call_step);
        break;
    }
    for child in element.children().filter(Element::is_element) {
        let tag = child.tag_name();
        match (tag.namespace().unwrap_or_default(), tag.name()) {
            (ns::TIGASE_JINGLE, "jingle") => {
                out.jingle = Some(call_step(child.attribute("action").unwrap_or_default()))
            }
            (ns::TIGASE_MEET, "meet") => out.meet = true,
            (ns::TIGASE_PRIORITY, "priority") => out.priority = read::text(child).and_then(priority),
            (ns::TIGASE_ENCRYPT, "encrypted") => out.sealed = sealed(child),
            (ns::TIGASE_ACCOUNT_EVENT, "event") => {
                out.account_removed |= child.attribute("name") == Some("account-removed");
            }
            (ns::TIGASE_GROUPCHAT, "groupchat") => {
                let nickname = read::child(child, ns::TIGASE_GROUPCHAT, "nickname");
                out.nickname = nickname.and_then(read::text).map(Private::new);
            }
            _ => {}
        }
    }
    out
}

fn call_step(text: &str) -> CallStep {
    if text.trim() == "propose" { CallStep::Propose } else { CallStep::Other }
}

fn priority(text: &str) -> Option<Priority> {
    match text.trim() {
        "high" => Some(Priority::High),
        "low" => Some(Priority::Low),
        _ => None,
    }
}

/// What only the client can open, without the white space that some put into the base64. Without a nonce or a text
/// nobody can open it.
fn sealed(element: Element<'_>) -> Option<Sealed> {
    let compact = |text: &str| text.split_ascii_whitespace().collect::<String>();
    let iv = compact(element.attribute("iv").unwrap_or_default());
    let payload = compact(element.text().unwrap_or_default());
    let voip = element.attribute("type") == Some("voip");
    (!iv.is_empty() && !payload.is_empty()).then(|| Sealed { iv: iv.into(), payload: Private::new(payload), voip })
}

#[cfg(test)]
#[path = "publish_tests.rs"]
mod tests;
