//! A publish: a server asks us to notify a node (XEP-0357 §7).

use super::class::Class;
use super::ids::{Domain, Node};
use super::push::{Content, Sealed};
use super::secret::{Private, Secret};

/// The longest text that goes on to the app, in bytes: more than any vendor carries. What waits for a vendor that is
/// slow must not grow with what strangers write.
const MOST_KEPT: usize = 8192;

/// What a server published, read leniently; nothing in it is trusted yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The domain of the stanza's sender.
    pub from: Domain,
    /// Whether the sender was a full JID; no server publishes as one (XEP-0357 §3.2).
    pub from_full_jid: bool,
    /// The node it wants notified.
    pub node: Node,
    /// The `secret` publish-option.
    pub secret: Option<Secret>,
    /// The `pushModule` publish-option: which app is meant where the node is a device token (as fpush has it).
    pub module: Option<Box<str>>,
    /// What the notification says.
    pub notification: Notification,
}

/// The parts of a `<notification xmlns='urn:xmpp:push:0'>` that mean something to us. An empty field counts as
/// absent: Prosody always sends them all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notification {
    /// Summary field `message-count`.
    pub count: Option<u32>,
    /// Summary field `last-message-sender`.
    pub sender: Option<Private>,
    /// Summary field `last-message-body`.
    pub body: Option<Private>,
    /// Summary field `jingle-message` (MongooseIM): is it `propose`?
    pub jingle_message: Option<CallStep>,
    /// `<jingle xmlns='tigase:push:jingle:0' action=…>`: is it `propose`?
    pub jingle: Option<CallStep>,
    /// Whether there is a `<meet xmlns='tigase:push:meet:0'>`.
    pub meet: bool,
    /// `<priority xmlns='tigase:push:priority:0'>`.
    pub priority: Option<Priority>,
    /// `<encrypted xmlns='tigase:push:encrypt:0'>`: only the client can open it.
    pub sealed: Option<Sealed>,
    /// Whether the account is no more: `<event xmlns='http://tigase.org/protocol/account#event'
    /// name='account-removed'/>`.
    pub account_removed: bool,
    /// The nickname in `<groupchat xmlns='http://tigase.org/protocol/muc#offline'>`.
    pub nickname: Option<Private>,
}

/// A step of a call's set-up, as far as a phone cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallStep {
    /// Somebody calls.
    Propose,
    /// Anything else: the call ended, or was taken elsewhere.
    Other,
}

/// What the publishing server says of the urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// A body, or a call.
    High,
    /// Anything else.
    Low,
}

impl Priority {
    /// That of a push of this class.
    #[must_use]
    pub const fn of(class: Class) -> Self {
        if class.is_urgent() { Self::High } else { Self::Low }
    }
}

impl Notification {
    /// The class, by the order of signals of Tigase, MongooseIM, Prosody and ejabberd; the first hit decides.
    #[must_use]
    pub fn class(&self) -> Class {
        let voip = self.sealed.as_ref().is_some_and(|sealed| sealed.voip);
        if voip || self.meet || self.jingle == Some(CallStep::Propose) || self.jingle_message == Some(CallStep::Propose)
        {
            return Class::Call;
        }
        if self.jingle.is_some() || self.jingle_message.is_some() {
            return Class::Ended;
        }
        match self.priority {
            Some(Priority::High) => return Class::Important,
            Some(Priority::Low) => return Class::Unimportant,
            None => {}
        }
        let empty = self.sender.is_none() && self.body.is_none() && self.sealed.is_none();
        if self.count == Some(0) && empty {
            return Class::Clear;
        }
        // "Important" is a body that is not empty, not the field's presence: Prosody always sends the field.
        if self.sealed.is_some() || self.body.is_some() { Class::Important } else { Class::Unimportant }
    }

    /// What of it goes on to the app. A body can be cut; half a name or half a seal is of no use.
    #[must_use]
    pub fn into_content(self) -> Content {
        let fits = |text: &Private| text.reveal().len() <= MOST_KEPT;
        Content {
            count: self.count,
            sender: self.sender.filter(fits),
            body: self.body.map(|body| if fits(&body) { body } else { beginning(&body) }),
            nickname: self.nickname.filter(fits),
            sealed: self.sealed.filter(|sealed| fits(&sealed.payload) && sealed.iv.len() <= MOST_KEPT),
        }
    }
}

/// As much of a text as is kept, in whole characters.
fn beginning(text: &Private) -> Private {
    let text = text.reveal();
    Private::new(text.get(..text.floor_char_boundary(MOST_KEPT)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(voip: bool) -> Option<Sealed> {
        Some(Sealed { iv: "iv".into(), payload: Private::new("x"), voip })
    }

    fn text(text: &str) -> Option<Private> {
        Some(Private::new(text))
    }

    #[test]
    fn classes_of_what_real_servers_publish() {
        let none = Notification::default;
        let rows = [
            ("ejabberd, no form", none(), Class::Unimportant),
            ("Prosody, all fields empty", Notification { count: Some(1), ..none() }, Class::Unimportant),
            (
                "Prosody, the dummy text",
                Notification { count: Some(1), body: text("New Message!"), ..none() },
                Class::Important,
            ),
            ("ejabberd, only a sender", Notification { sender: text("a@b"), ..none() }, Class::Unimportant),
            ("Tigase, read elsewhere", Notification { count: Some(0), ..none() }, Class::Clear),
            ("count 0 but a body", Notification { count: Some(0), body: text("hi"), ..none() }, Class::Important),
            (
                "count 0 but a sender",
                Notification { count: Some(0), sender: text("a@b"), ..none() },
                Class::Unimportant,
            ),
            ("count 0 but sealed", Notification { count: Some(0), sealed: sealed(false), ..none() }, Class::Important),
            ("priority tag", Notification { priority: Some(Priority::High), ..none() }, Class::Important),
            (
                "low priority beats a body",
                Notification { priority: Some(Priority::Low), body: text("hi"), ..none() },
                Class::Unimportant,
            ),
            (
                "low priority beats sealed",
                Notification { priority: Some(Priority::Low), sealed: sealed(false), ..none() },
                Class::Unimportant,
            ),
            ("sealed", Notification { sealed: sealed(false), ..none() }, Class::Important),
            (
                "sealed call beats low priority",
                Notification { sealed: sealed(true), priority: Some(Priority::Low), ..none() },
                Class::Call,
            ),
            ("Tigase call", Notification { jingle: Some(CallStep::Propose), ..none() }, Class::Call),
            (
                "Tigase call taken elsewhere, marked high",
                Notification { jingle: Some(CallStep::Other), priority: Some(Priority::High), ..none() },
                Class::Ended,
            ),
            ("Tigase Meet", Notification { meet: true, ..none() }, Class::Call),
            ("MongooseIM propose", Notification { jingle_message: Some(CallStep::Propose), ..none() }, Class::Call),
            ("MongooseIM retract", Notification { jingle_message: Some(CallStep::Other), ..none() }, Class::Ended),
        ];
        for (what, notification, class) in rows {
            assert_eq!(notification.class(), class, "{what}");
        }
    }

    #[test]
    fn what_no_vendor_carries_is_not_kept() {
        let text = |length: usize| Some(Private::new("é".repeat(length / 2)));
        let seal =
            |length: usize| Some(Sealed { iv: "iv".into(), payload: Private::new("A".repeat(length)), voip: true });
        let length = |text: &Option<Private>| text.as_ref().map(|text| text.reveal().len());
        for (sent, body, rest) in
            [(10, Some(10), Some(10)), (8192, Some(8192), Some(8192)), (500_000, Some(8192), None)]
        {
            let notification = Notification {
                body: text(sent),
                sender: text(sent),
                nickname: text(sent),
                sealed: seal(sent),
                ..Notification::default()
            };
            assert_eq!(notification.class(), Class::Call, "{sent}");
            let content = notification.into_content();
            assert_eq!(length(&content.body), body, "{sent}");
            assert_eq!((length(&content.sender), length(&content.nickname)), (rest, rest), "{sent}");
            assert_eq!(content.sealed.map(|sealed| sealed.payload.reveal().len()), rest, "{sent}");
        }
    }
}
