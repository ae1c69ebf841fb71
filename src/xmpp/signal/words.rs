//! The small parts of what bridges say: attributes, read strictly where we depend on them.

use crate::xmpp::xml::Element;
use jid::BareJid;
use xmpp_parsers::date::DateTime;

use crate::domain::ids::{Account, Domain};
use crate::domain::time::Timestamp;

/// The longest word that a bridge mints, in bytes.
const MAX_WORD: usize = 256;
/// The longest part of a JID, in bytes (RFC 7622 §3.1).
const MAX_PART: usize = 1023;

/// Characters that end a line and are no control characters (Unicode's line and paragraph separators).
const LINE_ENDS: [char; 2] = ['\u{2028}', '\u{2029}'];

/// The largest number of an event: what every language can count to.
const MAX_SEQ: u64 = 1 << 53;

/// What cannot be understood, in words for the bridge's log. Never holds anything of what was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// An attribute that is a word: there, not too long, and printable.
#[inline(always)]
#[must_use]
pub fn word<'a>(element: Element<'a>, name: &str) -> Option<&'a str> {
    element.attribute(name).filter(|text| is_word(text))
}

/// Whether it is one.
#[must_use]
pub fn is_word(text: &str) -> bool {
    is_printable(text, MAX_WORD)
}

/// An attribute that is a part of a JID.
#[inline(always)]
#[must_use]
pub fn part<'a>(element: Element<'a>, name: &str) -> Option<&'a str> {
    element.attribute(name).filter(|text| is_part(text))
}

/// Whether it is one.
#[must_use]
pub fn is_part(text: &str) -> bool {
    is_printable(text, MAX_PART)
}

/// An attribute that says something; an empty one counts as absent.
#[inline(always)]
#[must_use]
pub fn text(element: Element<'_>, name: &str) -> Option<Box<str>> {
    element.attribute(name).filter(|text| !text.is_empty()).map(Box::from)
}

/// A number of nothing but digits.
#[must_use]
pub fn digits(text: &str) -> Option<u64> {
    let digit = |byte: u8| Some(u64::from(byte)).filter(|_| byte.is_ascii_digit()).map(|byte| byte - u64::from(b'0'));
    let add = |number: u64, byte| number.checked_mul(10)?.checked_add(digit(byte)?);
    text.bytes().try_fold(0, add).filter(|_| !text.is_empty())
}

/// The number of an event, the attribute `seq`. Far from the end of what numbers there are, so that whoever counts on
/// from it need not look out.
///
/// # Errors
///
/// It is missing, or none.
pub fn seq(element: Element<'_>) -> Result<u64, Malformed> {
    let seq = element.attribute("seq").and_then(digits).filter(|&seq| seq <= MAX_SEQ);
    seq.ok_or(Malformed("no readable seq"))
}

/// An attribute that counts something.
///
/// # Errors
///
/// It is there, but no number, or one that is too large.
#[inline(always)]
pub fn count(element: Element<'_>, name: &str) -> Result<Option<u32>, Malformed> {
    element.attribute(name).map(number).transpose()
}

/// What a text counts.
///
/// # Errors
///
/// It is no number, or one that is too large.
pub fn number(text: &str) -> Result<u32, Malformed> {
    digits(text).and_then(|number| u32::try_from(number).ok()).ok_or(Malformed("a count that is none"))
}

/// A time in seconds, rounded down. Hosts count in their own ways: with fractions, and below zero when they are late.
///
/// # Errors
///
/// It is no number.
pub fn seconds(text: &str) -> Result<u32, Malformed> {
    // As nearly all of them are written.
    if let Ok(whole) = number(text) {
        return Ok(whole);
    }
    let number: f64 = text.parse().map_err(|_| Malformed("a time that is none"))?;
    if !number.is_finite() {
        return Err(Malformed("a time that is none"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was clamped to what fits")]
    let whole = number.clamp(0.0, f64::from(u32::MAX)) as u32;
    Ok(whole)
}

/// An attribute that is true; one that is missing is not.
#[inline(always)]
#[must_use]
pub fn flag(element: Element<'_>, name: &str) -> bool {
    element.attribute(name).is_some_and(is_true)
}

/// Whether a text says that something is so.
#[must_use]
pub fn is_true(text: &str) -> bool {
    matches!(text, "true" | "1")
}

/// When it happened (XEP-0082).
#[must_use]
pub fn stamp(element: Element<'_>) -> Option<Timestamp> {
    let stamp: DateTime = element.attribute("stamp")?.parse().ok()?;
    Some(Timestamp::from_millis(stamp.0.timestamp_millis()))
}

/// Whose event it is: the attribute `user`, on the bridge's own host.
///
/// # Errors
///
/// It is missing, or no localpart.
pub fn account(element: Element<'_>, host: &Domain) -> Result<Account, Malformed> {
    let user = part(element, "user").filter(|user| !user.contains(['@', '/'])).ok_or(Malformed("no readable user"))?;
    Ok(Account::new([user, "@", host.as_str()].concat()))
}

/// Whether it is a JID. Its resource is not judged, that is its host's affair; but none breaks a line (RFC 7622 §3.4),
/// for it comes by in the log.
#[must_use]
pub fn is_jid(text: &str) -> bool {
    let (bare, resource) = text.split_once('/').map_or((text, None), |(bare, resource)| (bare, Some(resource)));
    let known = resource.is_none_or(|resource| is_printable(resource, MAX_PART) && !resource.contains(LINE_ENDS));
    known && BareJid::new(bare).is_ok()
}

fn is_printable(text: &str, longest: usize) -> bool {
    // Nearly all are plain ASCII, which takes one look at many bytes at once.
    let plain = |text: &str| text.bytes().fold(true, |plain, byte| plain & (b' '..=b'~').contains(&byte));
    (1..=longest).contains(&text.len()) && (plain(text) || !text.contains(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(attributes: &str, read: impl FnOnce(Element<'_>) -> T) -> T {
        let text = format!("<a {attributes}/>");
        let document = crate::xmpp::xml::Document::parse(&text).unwrap();
        read(document.root_element())
    }

    #[test]
    fn words_are_there_short_and_printable() {
        let long = format!("a='{}'", "x".repeat(257));
        let rows = [
            ("a='k3f…'", Some("k3f…")),
            ("", None),
            ("a=''", None),
            ("a='x&#10;y'", None),
            ("a='&#x9b;'", None),
            (&*long, None),
        ];
        for (attributes, expected) in rows {
            assert_eq!(with(attributes, |element| word(element, "a").map(str::to_owned)).as_deref(), expected);
        }
        let resource = format!("a='{}'", "x".repeat(1023));
        assert!(with(&resource, |element| part(element, "a").is_some()));
    }

    #[test]
    fn counts_are_digits_and_times_are_any_number() {
        let rows = [
            ("", Ok(None), Ok(None)),
            ("a='0'", Ok(Some(0)), Ok(Some(0))),
            ("a='4294967295'", Ok(Some(u32::MAX)), Ok(Some(u32::MAX))),
            ("a='4294967296'", Err(()), Ok(Some(u32::MAX))),
            ("a='71.9'", Err(()), Ok(Some(71))),
            ("a='-3'", Err(()), Ok(Some(0))),
            ("a='+3'", Err(()), Ok(Some(3))),
            ("a='2.6e+5'", Err(()), Ok(Some(260_000))),
            ("a=''", Err(()), Err(())),
            ("a='nan'", Err(()), Err(())),
            ("a='inf'", Err(()), Err(())),
            ("a='soon'", Err(()), Err(())),
        ];
        for (attributes, counted, timed) in rows {
            assert_eq!(with(attributes, |element| count(element, "a").map_err(|_| ())), counted, "{attributes}");
            assert_eq!(
                with(attributes, |element| element.attribute("a").map(seconds).transpose().map_err(|_| ())),
                timed,
                "{attributes}"
            );
        }
        assert_eq!((digits(""), digits("18446744073709551616")), (None, None));
    }

    #[test]
    fn stamps_are_xep_0082s_as_fine_as_they_come() {
        let rows = [
            ("stamp='2026-11-22T02:49:40Z'", Some(1_795_315_780_000)),
            ("stamp='2026-11-22T02:49:40.120Z'", Some(1_795_315_780_120)),
            ("stamp='2026-11-22T02:49:40.123456Z'", Some(1_795_315_780_123)),
            ("stamp='2026-11-22T03:49:40+01:00'", Some(1_795_315_780_000)),
            ("stamp='yesterday'", None),
            ("", None),
        ];
        for (attributes, millis) in rows {
            assert_eq!(with(attributes, stamp), millis.map(Timestamp::from_millis), "{attributes}");
        }
    }

    #[test]
    fn a_user_is_a_localpart_of_the_bridges_host() {
        let host = Domain::new("example.org");
        let read = |attributes: &str| with(attributes, |element| account(element, &host));
        assert_eq!(read("user='alice'"), Ok(Account::new("alice@example.org")));
        assert_eq!(read("user='zo\u{e9}\\20x'"), Ok(Account::new("zo\u{e9}\\20x@example.org")));
        for attributes in ["", "user=''", "user='a@b'", "user='a/b'", "user='a&#10;b'", "user='a&#x85;b'"] {
            assert_eq!(read(attributes), Err(Malformed("no readable user")), "{attributes}");
        }
    }

    #[test]
    fn flags_and_jids() {
        for (attributes, expected) in [("a='true'", true), ("a='1'", true), ("a='false'", false), ("a='', ", false)] {
            let attributes = attributes.trim_end_matches(", ");
            assert_eq!(with(attributes, |element| flag(element, "a")), expected, "{attributes}");
        }
        let long = format!("a/{}", "x".repeat(1024));
        let rows = [
            ("push.example.net", true),
            ("a@b/\u{1f600}", true),
            ("", false),
            ("@", false),
            ("a@b@c", false),
            ("a/", false),
            ("a/x\ny", false),
            ("a/x\u{85}y", false),
            ("a/x\u{2028}y", false),
            (&*long, false),
        ];
        for (text, expected) in rows {
            assert_eq!(is_jid(text), expected, "{text:.20}");
        }
    }
}
