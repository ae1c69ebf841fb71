//! What the rules may know of a stanza that somebody was sent: read from its shape, whole or redacted alike.

use sha1::{Digest, Sha1};

use super::secret::Private;
use super::session::Sid;

/// A stanza, as far as rules care. A carbon (XEP-0280) is already unwrapped: this is what was forwarded, and `carbon`
/// says how it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stanza {
    /// What it is.
    pub kind: Kind,
    /// Who sent it: `from`, verbatim.
    pub from: Option<Box<str>>,
    /// Its `id`.
    pub id: Option<Box<str>>,
    /// The id that the account's own archive gave it (XEP-0359), or that it was archived under. Never one that a
    /// stranger made up: `by` must be the account.
    pub archive_id: Option<Box<str>>,
    /// Whether it was forwarded to the account's other sessions.
    pub carbon: Option<Carbon>,
    /// Its text; [`HIDDEN`] where the host keeps it to itself.
    pub body: Option<Private>,
    /// Whether it carries something that only the receiver can open, and not just keys.
    pub encrypted: bool,
    /// A step of a call's set-up (XEP-0353).
    pub jingle: Option<Jingle>,
    /// Whether it invites into a room (XEP-0249, XEP-0045 §7.8).
    pub invitation: bool,
    /// Whether it corrects an earlier one (XEP-0308).
    pub correction: bool,
    /// Whether it says that something was displayed (XEP-0333).
    pub displayed: bool,
    /// Whether its sender wants it kept nowhere (XEP-0334 `no-store`).
    pub no_store: bool,
    /// The sender's nickname (XEP-0172).
    pub nickname: Option<Private>,
    /// What a proposed call is about: `audio`, `video` (XEP-0353 §3.1, XEP-0167).
    pub media: Vec<&'static str>,
    /// Whom it mentions (XEP-0372) or answers (XEP-0461): normalised JIDs.
    pub mentions: Vec<Box<str>>,
    /// Whether its sender, by bare JID, is on the account's roster; `None` if the host did not say.
    pub contact: Option<bool>,
    /// Whether it is a room's reflection of what the account itself said there.
    pub reflected: bool,
}

/// What stands for a text that the host keeps to itself.
pub const HIDDEN: &str = "*";

/// What a stanza is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A message of type chat, normal, or none.
    #[default]
    Chat,
    /// A message of a room.
    Groupchat,
    /// A message of type headline.
    Headline,
    /// A message of type error.
    Error,
    /// Somebody asks to see the account's presence.
    Subscribe,
    /// Any other presence.
    Presence,
    /// An iq, or what we know nothing of.
    Iq,
}

/// How a carbon came to be (XEP-0280).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carbon {
    /// Another session of the account sent it.
    Sent,
    /// Another session of the account received it.
    Received,
}

/// A step of a call's set-up (XEP-0353).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jingle {
    /// Which one.
    pub step: JingleStep,
    /// The id of the proposal it is about.
    pub id: Box<str>,
}

/// The steps (XEP-0353 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JingleStep {
    /// Somebody calls.
    Propose,
    /// A phone rings.
    Ringing,
    /// Somebody takes the call.
    Proceed,
    /// Somebody takes the call (older versions).
    Accept,
    /// Somebody does not.
    Reject,
    /// The caller gave up.
    Retract,
    /// The call is over.
    Finish,
    /// What we do not know.
    Other,
}

impl JingleStep {
    /// The name of the element (XEP-0353).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Propose => "propose",
            Self::Ringing => "ringing",
            Self::Proceed => "proceed",
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::Retract => "retract",
            Self::Finish => "finish",
            Self::Other => "other",
        }
    }
}

impl Stanza {
    /// The text, if the host did not hide it.
    #[must_use]
    pub fn known_body(&self) -> Option<&Private> {
        self.body.as_ref().filter(|body| body.reveal() != HIDDEN)
    }

    /// The bare JID of its sender.
    #[must_use]
    pub fn sender(&self) -> &str {
        bare(self.from.as_deref().unwrap_or_default())
    }

    /// Who sent it, as the room calls them: the resource of its sender.
    #[must_use]
    pub fn room_nick(&self) -> Option<&str> {
        self.from.as_deref().and_then(|from| Some(from.split_once('/')?.1)).filter(|_| self.kind == Kind::Groupchat)
    }

    /// Whether the account itself sent it, as far as the stanza shows that.
    #[must_use]
    pub fn is_from(&self, account: &str) -> bool {
        self.carbon == Some(Carbon::Sent) || self.reflected || (!account.is_empty() && self.sender() == account)
    }

    /// What makes it the same stanza, whichever way it comes: a call's proposal; else the id that the account's
    /// archive gave; else the sender's id. `place` is where it stands in a session's queue, and the last resort.
    #[must_use]
    pub fn key(&self, place: Option<(&Sid, u32)>) -> Option<Key> {
        if let Some(Jingle { step: JingleStep::Propose, id }) = &self.jingle {
            return Some(Key::call(self.sender(), id));
        }
        if let Some(id) = &self.archive_id {
            return Some(Key::archived(id));
        }
        match (&self.from, &self.id) {
            // However often somebody asks, once is enough.
            (Some(from), _) if self.kind == Kind::Subscribe => Some(Key::sent(from, "subscribe")),
            (Some(from), Some(id)) if !matches!(self.kind, Kind::Presence | Kind::Iq) => Some(Key::sent(from, id)),
            _ => place.map(|(sid, n)| Key::queued(sid, n)),
        }
    }
}

/// The part of a JID before its resource.
#[must_use]
pub fn bare(jid: &str) -> &str {
    jid.split_once('/').map_or(jid, |(bare, _)| bare)
}

/// Names a stanza, so that it does not push twice: a hash, because they are kept, many of them, and on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub u64);

impl Key {
    /// A call: who proposed, by bare JID, and under which id.
    #[must_use]
    pub fn call(from: &str, id: &str) -> Self {
        Self::of("call", from, id)
    }

    /// A message in the account's archive.
    #[must_use]
    pub fn archived(id: &str) -> Self {
        Self::of("archive", id, "")
    }

    /// A message that has only what its sender gave it.
    #[must_use]
    pub fn sent(from: &str, id: &str) -> Self {
        Self::of("sent", from, id)
    }

    /// The nth stanza of a session (XEP-0198).
    #[must_use]
    pub fn queued(sid: &Sid, n: u32) -> Self {
        Self::of("queue", sid.as_str(), &n.to_string())
    }

    /// Strangers choose parts of it, so it must be one that nobody can aim with.
    fn of(kind: &str, first: &str, second: &str) -> Self {
        let mut sha1 = Sha1::new();
        for part in [kind, first, second] {
            sha1.update(part.as_bytes());
            sha1.update([0]);
        }
        let digest: [u8; 20] = sha1.finalize().into();
        let [a, b, c, d, e, f, g, h, ..] = digest;
        Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Stanza {
        Stanza { from: Some("bob@example.org/pc".into()), id: Some("m1".into()), ..Stanza::default() }
    }

    fn propose(from: &str) -> Stanza {
        let jingle = Some(Jingle { step: JingleStep::Propose, id: "c1".into() });
        Stanza { from: Some(from.into()), archive_id: Some("a1".into()), jingle, ..message() }
    }

    #[test]
    fn the_key_is_the_best_name_that_a_stanza_has() {
        let sid = Sid::new("s1");
        let place = Some((&sid, 7));
        let archived = Stanza { archive_id: Some("a1".into()), ..message() };
        let nameless = Stanza { id: None, ..message() };
        let iq = Stanza { kind: Kind::Iq, ..message() };
        let subscribe = Stanza { kind: Kind::Subscribe, ..message() };
        let rows = [
            (&archived, Some(Key::archived("a1"))),
            (&message(), Some(Key::sent("bob@example.org/pc", "m1"))),
            (&nameless, Some(Key::queued(&sid, 7))),
            (&iq, Some(Key::queued(&sid, 7))),
            (&subscribe, Some(Key::sent("bob@example.org/pc", "subscribe"))),
            (&propose("bob@example.org/pc"), Some(Key::call("bob@example.org", "c1"))),
        ];
        for (stanza, key) in rows {
            assert_eq!(stanza.key(place), key, "{stanza:?}");
        }
        assert_eq!(nameless.key(None), None);
        assert_eq!(propose("bob@example.org/pc").key(None), propose("bob@example.org/phone").key(None));
    }

    #[test]
    fn keys_of_different_kinds_and_parts_differ() {
        let keys = [
            Key::call("a", "b"),
            Key::sent("a", "b"),
            Key::sent("ab", ""),
            Key::archived("a"),
            Key::archived("b"),
            Key::queued(&Sid::new("a"), 1),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert_eq!(keys.iter().position(|other| other == key), Some(at));
        }
        // They are stored: the same for ever.
        assert_eq!(Key::archived("a1"), Key(0xf579_17fb_6117_909d));
    }
}
