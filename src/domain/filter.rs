//! What an account owner wants no push for at all: the filters among Tigase's extensions of `<enable/>`.

use super::extensions::{Allow, Extensions, Room};
use super::stanza::{Kind, Stanza};

/// The filter that kept a stanza from being pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Its sender, or its room, is muted.
    Muted,
    /// Its room is not among those that push, or pushes never.
    Room,
    /// Its room pushes for mentions, and it mentions nobody of the account.
    NoMention,
    /// Its sender is not on the account's roster.
    Unknown,
}

impl Filter {
    /// The name shown to operators.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Muted => "muted",
            Self::Room => "groupchat: not this room",
            Self::NoMention => "groupchat: no mention",
            Self::Unknown => "ignore-unknown",
        }
    }
}

/// The filter that keeps a stanza for this account, by bare JID, from being pushed, if one does. The first that fits
/// decides:
///
/// | # | Stanza | Not pushed if |
/// |---|---|---|
/// | 1 | the account's own, in no room | never: that it was read elsewhere must arrive |
/// | 2 | any | its sender's bare JID is muted |
/// | 3 | of a room | rooms are listed and it is not among them, or is `never`; or is `mentioned`, and it is not |
/// | 4 | another message, a call too | unknown senders are ignored, and the host said that its sender is one |
///
/// What is not known keeps nothing back: neither a host that tells no contacts, nor a text that it hides.
#[must_use]
pub fn filter(extensions: &Extensions, stanza: &Stanza, account: &str) -> Option<Filter> {
    if stanza.kind != Kind::Groupchat && stanza.is_from(account) {
        return None;
    }
    let sender = stanza.sender();
    if extensions.muted.iter().any(|muted| **muted == *sender) {
        return Some(Filter::Muted);
    }
    match stanza.kind {
        Kind::Groupchat => in_room(extensions.rooms.as_deref()?, stanza, account),
        Kind::Chat | Kind::Headline => {
            (extensions.ignore_unknown && stanza.contact == Some(false)).then_some(Filter::Unknown)
        }
        Kind::Error | Kind::Subscribe | Kind::Presence | Kind::Iq => None,
    }
}

fn in_room(rooms: &[Room], stanza: &Stanza, account: &str) -> Option<Filter> {
    let room = stanza.sender();
    match rooms.iter().find(|known| *known.jid == *room).map(|known| &known.allow) {
        None | Some(Allow::Never) => Some(Filter::Room),
        Some(Allow::Always) => None,
        Some(Allow::Mentioned(nick)) => {
            (!is_mentioned(stanza, room, nick.as_deref(), account)).then_some(Filter::NoMention)
        }
    }
}

/// Whether a message of a room speaks of the account, or of the nick that it has there: by a reference (XEP-0372) or a
/// reply (XEP-0461), or by the nick as a word of its own.
fn is_mentioned(stanza: &Stanza, room: &str, nick: Option<&str>, account: &str) -> bool {
    let is_meant = |jid: &str| match jid.split_once('/') {
        None => jid == account,
        Some((bare, resource)) => bare == account || (bare == room && Some(resource) == nick),
    };
    if stanza.mentions.iter().any(|jid| is_meant(jid)) {
        return true;
    }
    match (&stanza.body, stanza.known_body(), nick) {
        (_, Some(body), Some(nick)) => has_word(body.reveal(), nick),
        (hidden, None, Some(_)) => hidden.is_some(),
        (_, _, None) => false,
    }
}

/// Whether a text has this word, in small or capital letters, and not as a part of another word.
fn has_word(text: &str, word: &str) -> bool {
    let (text, word) = (text.to_lowercase(), word.trim().to_lowercase());
    let (Some(first), Some(last)) = (word.chars().next(), word.chars().next_back()) else { return false };
    let mut before = None;
    for (at, letter) in text.char_indices() {
        let joined = before.replace(letter).is_some_and(|before| joins(before, first));
        let Some(rest) = text.get(at..).and_then(|here| here.strip_prefix(&*word)) else { continue };
        if !joined && !rest.chars().next().is_some_and(|after| joins(last, after)) {
            return true;
        }
    }
    false
}

/// Whether two letters beside each other may stand in one word: not where words are written without spaces.
fn joins(one: char, other: char) -> bool {
    let in_words = |letter: char| (letter.is_alphanumeric() || letter == '_') && !is_unspaced(letter);
    in_words(one) && in_words(other)
}

/// Thai to Khmer, kana, Han.
const fn is_unspaced(letter: char) -> bool {
    matches!(letter, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}')
        || matches!(letter, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}')
        || matches!(letter, '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::extensions::tests::full;
    use crate::domain::secret::Private;
    use crate::domain::stanza::{Carbon, HIDDEN, Jingle, JingleStep};

    const ALICE: &str = "alice@example.org";

    fn from(jid: &str) -> Stanza {
        Stanza { from: Some(jid.into()), body: Some(Private::new("hi")), ..Stanza::default() }
    }

    fn said_in(room: &str, text: &str) -> Stanza {
        let body = Some(Private::new(text));
        Stanza { kind: Kind::Groupchat, body, ..from(&format!("{room}@chat.example/Romeo")) }
    }

    fn mentions(jid: &str) -> Stanza {
        Stanza { mentions: vec![jid.into()], ..said_in("forres", "hi") }
    }

    #[test]
    fn what_is_not_pushed() {
        let bot = || from("bot@example.org/x");
        let call = |stanza| Stanza {
            body: None,
            jingle: Some(Jingle { step: JingleStep::Propose, id: "c1".into() }),
            ..stanza
        };
        let stranger = || Stanza { contact: Some(false), ..from("stranger@example.net/x") };
        let omemo = Stanza { body: None, encrypted: true, ..said_in("forres", "") };
        let subscribe = Stanza { kind: Kind::Subscribe, ..stranger() };
        let muted = Some(Filter::Muted);
        let rows = [
            ("a friend", from("bob@example.org/pc"), None),
            ("muted", bot(), muted),
            ("muted, bare", from("bot@example.org"), muted),
            ("muted, calls", call(bot()), muted),
            ("muted, presence", Stanza { kind: Kind::Presence, ..bot() }, muted),
            ("muted, in a received carbon", Stanza { carbon: Some(Carbon::Received), ..bot() }, muted),
            ("a JID that begins like one that is muted", from("bot@example.organic"), None),
            ("a stranger", stranger(), Some(Filter::Unknown)),
            ("a stranger's headline", Stanza { kind: Kind::Headline, ..stranger() }, Some(Filter::Unknown)),
            ("a stranger's call", call(stranger()), Some(Filter::Unknown)),
            ("a contact", Stanza { contact: Some(true), ..stranger() }, None),
            ("a stranger, or not: the host did not say", Stanza { contact: None, ..stranger() }, None),
            ("a stranger who asks for the account's presence", subscribe, None),
            ("what the account wrote to a stranger", Stanza { carbon: Some(Carbon::Sent), ..stranger() }, None),
            ("a room that is always pushed", said_in("coven", "hi"), None),
            ("a room that never is", said_in("heath", "Juliet"), Some(Filter::Room)),
            ("a room that is not listed", said_in("cauldron", "Juliet"), Some(Filter::Room)),
            ("no mention", said_in("forres", "hi"), Some(Filter::NoMention)),
            ("a mention", said_in("forres", "hi juliet!"), None),
            ("a room's subject", Stanza { body: None, ..said_in("forres", "") }, Some(Filter::NoMention)),
            ("a text that only members can read", omemo, Some(Filter::NoMention)),
            ("a text that the host hides", said_in("forres", HIDDEN), None),
            ("no nick, so references only", said_in("castle", "Juliet"), Some(Filter::NoMention)),
            ("no nick, and a text that the host hides", said_in("castle", HIDDEN), Some(Filter::NoMention)),
            ("a reference to the nick", mentions("forres@chat.example/Juliet"), None),
            ("a reference to another nick", mentions("forres@chat.example/Romeo"), Some(Filter::NoMention)),
            ("a reference to the room", mentions("forres@chat.example"), Some(Filter::NoMention)),
            ("a reference to the nick elsewhere", mentions("coven@chat.example/Juliet"), Some(Filter::NoMention)),
            ("a reference to the account", mentions(ALICE), None),
            ("a reference to its client", mentions("alice@example.org/phone"), None),
            (
                "own words, as a room sends them back",
                Stanza { reflected: true, ..said_in("forres", "hi") },
                Some(Filter::NoMention),
            ),
            ("a private message out of a room", from("cauldron@chat.example/Romeo"), None),
        ];
        for (what, stanza, expected) in rows {
            assert_eq!(filter(&full(), &stanza, ALICE), expected, "{what}");
            assert_eq!(filter(&Extensions::default(), &stanza, ALICE), None, "{what}, and no filter");
        }
        let no_room = Extensions { rooms: Some(vec![]), ..Extensions::default() };
        assert_eq!(filter(&no_room, &said_in("coven", "hi"), ALICE), Some(Filter::Room), "an empty list is one");
    }

    #[test]
    fn a_nick_is_a_word_of_its_own() {
        let rows = [
            ("Juliet", "Juliet", true),
            ("hey JULIET, look", "Juliet", true),
            ("@juliet: look", "Juliet", true),
            ("Juliet's", "Juliet", true),
            ("Juliette", "Juliet", false),
            ("MyJuliet", "Juliet", false),
            ("Juliette and Juliet", "Juliet", true),
            ("juliet_2", "Juliet", false),
            ("Der Müller kommt", "müller", true),
            ("MÜLLER", "Müller", true),
            ("Müllerin", "Müller", false),
            ("who? Fair Juliet!", "Fair Juliet", true),
            ("fair  juliet", "Fair Juliet", false),
            ("xa a a", "a a", true),
            ("look(^_^)here", "(^_^)", true),
            ("你好小明吗", "小明", true),
            ("hi", "", false),
            ("hi", " ", false),
            ("", "Juliet", false),
        ];
        for (text, nick, expected) in rows {
            assert_eq!(has_word(text, nick), expected, "{nick:?} in {text:?}");
        }
    }
}
