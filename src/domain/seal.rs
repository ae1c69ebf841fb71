//! What only the client can read: `<encrypted xmlns='tigase:push:encrypt:0'>` (tigase-xeps, encrypt; Siskin IM
//! and Snikket open it). The operator's redaction is about what others can read, so it does not apply here.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;

use super::class::Class;
use super::extensions::Encrypt;
use super::push::Sealed;
use super::secret::Private;
use super::stanza::{Kind, Stanza};

/// Bytes that no other seal to the same key has: drawn anew for each (NIST SP 800-38D §8.2.2).
pub type Chance = [u8; NONCE_LEN];

/// What is said under the seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plain {
    /// What it is about.
    pub about: About,
    /// Who it is from: a bare JID, and a full one for calls.
    pub sender: Private,
    /// The text, if there is one to be had.
    pub message: Option<Private>,
    /// What the sender is called: in a room, or by a nickname (XEP-0172).
    pub nickname: Option<Private>,
}

/// What is said there is about this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// A message.
    Chat,
    /// A message in a room.
    Groupchat,
    /// Somebody asks to see the account's presence.
    Subscribe,
    /// A call.
    Call {
        /// The id of the proposal.
        sid: Box<str>,
        /// `audio`, `video`; none if the call is over, which is how clients tell.
        media: Vec<&'static str>,
    },
}

impl Plain {
    /// What is said of a stanza that is worth an urgent push of this class; `None` if it names no sender.
    #[must_use]
    pub fn of(stanza: &Stanza, class: Class) -> Option<Self> {
        let from = stanza.from.as_deref()?;
        let about = match (&stanza.jingle, stanza.kind) {
            (Some(jingle), _) if class == Class::Call => {
                // Without any it would be a call that is over.
                let media = if stanza.media.is_empty() { vec!["audio"] } else { stanza.media.clone() };
                About::Call { sid: jingle.id.clone(), media }
            }
            (_, Kind::Groupchat) => About::Groupchat,
            (_, Kind::Subscribe) => About::Subscribe,
            _ => About::Chat,
        };
        let sender = if matches!(about, About::Call { .. }) { from } else { stanza.sender() };
        let nickname = stanza.room_nick().map(Private::new).or_else(|| stanza.nickname.clone());
        Some(Self { about, sender: Private::new(sender), message: stanza.known_body().cloned(), nickname })
    }

    /// That a call of this caller is over.
    #[must_use]
    pub fn over(caller: &str, sid: &str) -> Self {
        let about = About::Call { sid: sid.into(), media: Vec::new() };
        Self { about, sender: Private::new(caller), message: None, nickname: None }
    }

    /// As JSON of at most so many bytes. The text is cut, in whole characters; if that is not enough, first the nickname
    /// is left out, and then the sender.
    fn json(&self, longest: usize) -> String {
        let said = |message: &str, with_nickname: bool| {
            let (kind, sid, media) = match &self.about {
                About::Chat => ("chat", None, &[][..]),
                About::Groupchat => ("groupchat", None, &[][..]),
                About::Subscribe => ("subscribe", None, &[][..]),
                About::Call { sid, media } => ("call", Some(&**sid), &media[..]),
            };
            let nickname = self.nickname.as_ref().filter(|_| with_nickname).map(Private::reveal);
            let message = Some(message).filter(|message| !message.is_empty());
            let sender = Some(self.sender.reveal());
            render(&Payload { unread: 1, sender, kind: Some(kind), message, nickname, sid, media })
        };
        let text = self.message.as_ref().map(Private::reveal).unwrap_or_default();
        for with_nickname in [true, false] {
            let bare = said("", with_nickname);
            if bare.len() > longest {
                continue;
            }
            let room = longest.saturating_sub(bare.len() + r#","message":"""#.len());
            return said(beginning(text, room), with_nickname);
        }
        render(&Payload { unread: 1, sender: None, kind: None, message: None, nickname: None, sid: None, media: &[] })
    }
}

/// Encrypts to the client's key; `None` if the cipher cannot, which it always can. `voip`: it announces a call, so the
/// phone is to ring.
#[must_use]
pub fn seal(plain: &Plain, to: &Encrypt, voip: bool, chance: Chance) -> Option<Sealed> {
    let longest = (to.max_size / 4 * 3).saturating_sub(AES_128_GCM.tag_len());
    let mut text = plain.json(longest).into_bytes();
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, to.key.reveal()).ok()?);
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(chance), Aad::empty(), &mut text).ok()?;
    Some(Sealed {
        iv: BASE64_STANDARD.encode(chance).into(),
        payload: Private::new(BASE64_STANDARD.encode(text)),
        voip,
    })
}

/// The plain text, as clients read it.
#[derive(Serialize)]
struct Payload<'a> {
    unread: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nickname: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    media: &'a [&'a str],
}

fn render(payload: &Payload<'_>) -> String {
    serde_json::to_string(payload).unwrap_or_default()
}

/// As much of a text as takes so many bytes in JSON (RFC 8259 §7).
fn beginning(text: &str, room: usize) -> &str {
    let mut taken = 0;
    let end = text.char_indices().find(|(_, letter)| {
        taken += match letter {
            '"' | '\\' | '\u{8}' | '\u{c}' | '\n' | '\r' | '\t' => 2,
            '\0'..='\u{1f}' => 6,
            other => other.len_utf8(),
        };
        taken > room
    });
    end.and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

#[cfg(test)]
#[path = "seal_tests.rs"]
pub(crate) mod tests;
