//! What an account owner asks for beside pushes: Tigase's extensions of `<enable/>` (tigase-xeps;
//! Siskin IM and Snikket send them).

use std::sync::Arc;

use super::secret::SealKey;

/// The longest encrypted text in bytes, base64 and all, where the client does not say: as Tigase has it.
pub const MAX_SIZE: usize = 3000;

/// What a client may say of it: less is of no use, and more no vendor carries.
pub const MAX_SIZES: std::ops::RangeInclusive<usize> = 256..=8192;

/// What came with an `<enable/>`. `away='true'` has no place here: it asks for pushes while other clients are away, and
/// we push whatever other clients do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// `<ignore-unknown xmlns='tigase:push:filter:ignore-unknown:0'/>`: no pushes for messages of strangers.
    pub ignore_unknown: bool,
    /// `<groupchat xmlns='tigase:push:filter:groupchat:0'>`: pushes for messages of these rooms only; `None` is of all.
    pub rooms: Option<Vec<Room>>,
    /// `<muted xmlns='tigase:push:filter:muted:0'>`: no pushes for what these bare JIDs send.
    pub muted: Vec<Box<str>>,
    /// `<priority xmlns='tigase:push:priority:0'/>`: say how urgent a push is.
    pub priority: bool,
    /// `<encrypt xmlns='tigase:push:encrypt:0'>`: say the rest so that only the client can read it.
    pub encrypt: Option<Encrypt>,
    /// `<jingle xmlns='tigase:push:jingle:0'/>`: say what a call is about, and when it is over.
    pub jingle: bool,
}

/// A room, and which of its messages push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// The room's bare JID, normalised.
    pub jid: Box<str>,
    /// Which messages.
    pub allow: Allow,
}

/// Which messages of a room push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allow {
    /// All.
    Always,
    /// Those that mention the account, or this nick if one is given.
    Mentioned(Option<Box<str>>),
    /// None.
    Never,
}

/// How the client can read what is for its eyes only: AES-128-GCM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encrypt {
    /// The client's key.
    pub key: SealKey,
    /// How many bytes the encrypted text may have, base64 and all; one of [`MAX_SIZES`].
    pub max_size: usize,
}

impl Extensions {
    /// The same, as a registration keeps it: most came with none.
    #[must_use]
    pub fn kept(self) -> Option<Arc<Self>> {
        (self != Self::default()).then(|| Arc::new(self))
    }

    /// Whether the text of messages is needed for it: to be encrypted, or to be searched for a nick.
    #[must_use]
    pub fn needs_texts(&self) -> bool {
        let by_mention = |room: &Room| matches!(room.allow, Allow::Mentioned(_));
        self.encrypt.is_some() || self.rooms.iter().flatten().any(by_mention)
    }

    /// Whether it must be known for it who is on the account's roster.
    #[must_use]
    pub const fn needs_contacts(&self) -> bool {
        self.ignore_unknown
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const KEY: [u8; 16] = *b"0123456789abcdef";

    /// All of them at once.
    pub(crate) fn full() -> Extensions {
        let room = |jid: &str, allow| Room { jid: jid.into(), allow };
        Extensions {
            ignore_unknown: true,
            rooms: Some(vec![
                room("coven@chat.example", Allow::Always),
                room("forres@chat.example", Allow::Mentioned(Some("Juliet".into()))),
                room("heath@chat.example", Allow::Never),
                room("castle@chat.example", Allow::Mentioned(None)),
            ]),
            muted: vec!["bot@example.org".into()],
            priority: true,
            encrypt: Some(Encrypt { key: SealKey::new(KEY), max_size: MAX_SIZE }),
            jingle: true,
        }
    }

    #[test]
    fn what_they_need_to_know() {
        let none = Extensions::default;
        let rooms = |allow| Some(vec![Room { jid: "r@chat.example".into(), allow }]);
        let rows = [
            (none(), false, false),
            (Extensions { encrypt: full().encrypt, ..none() }, true, false),
            (Extensions { rooms: rooms(Allow::Mentioned(None)), ..none() }, true, false),
            (Extensions { rooms: rooms(Allow::Always), ..none() }, false, false),
            (Extensions { rooms: Some(vec![]), ..none() }, false, false),
            (Extensions { ignore_unknown: true, ..none() }, false, true),
            (Extensions { priority: true, jingle: true, muted: full().muted, ..none() }, false, false),
            (full(), true, true),
        ];
        for (extensions, texts, contacts) in rows {
            let found = (extensions.needs_texts(), extensions.needs_contacts());
            assert_eq!(found, (texts, contacts), "{extensions:?}");
        }
    }

    #[test]
    fn none_are_kept_as_none() {
        assert_eq!(Extensions::default().kept(), None);
        assert_eq!(full().kept().as_deref(), Some(&full()));
        let no_room = Extensions { rooms: Some(vec![]), ..Extensions::default() };
        assert!(no_room.kept().is_some(), "no room at all is something else than all of them");
    }
}
