//! Other people's words, made safe for a log.

use crate::domain::outcome::Reason;

/// How much of a vendor's word is kept.
const MOST: usize = 64;

/// A vendor's word as a reason: printable ASCII, at most 64 characters, whatever it sent.
pub(super) fn reason(word: &str) -> Reason {
    let safe: String = word.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(MOST).collect();
    safe.into()
}

/// A reason for a status that came without one.
pub(super) fn status(status: u16) -> Reason {
    format!("HTTP {status}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vendors_word_is_short_and_printable() {
        assert_eq!(reason("BadDeviceToken"), "BadDeviceToken");
        assert_eq!(reason("a\nb\u{1b}[31m\u{202e}é"), "ab[31m");
        assert_eq!(reason(&"x".repeat(1000)).len(), 64);
    }
}
