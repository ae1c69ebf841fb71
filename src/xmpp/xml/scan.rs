//! Which characters may stand where (XML 1.0, fifth edition).

macro_rules! class {
    ($b:ident => $is:expr) => {{
        let mut set = [false; 256];
        let mut next = 0_usize;
        while next < 256 {
            #[expect(clippy::cast_possible_truncation, reason = "it is below 256")]
            let $b = next as u8;
            #[expect(
                clippy::indexing_slicing,
                reason = "the index is below the length, and this is done by the compiler"
            )]
            {
                set[next] = $is;
            }
            next += 1;
        }
        Class(set)
    }};
}

/// The bytes that begin a name; those of other alphabets are looked at one by one.
const NAME_START: Class = class!(b => b.is_ascii_alphabetic() || b == b'_');
/// The bytes that continue one.
const NAME: Class = class!(b => b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
/// Nothing that a text must look at: no markup, reference, line end, or character that XML does not have.
const TEXT: Class = class!(b => (is_plain(b) && b != b']') || matches!(b, b'\t' | b'\n'));
/// The same for an attribute's value, where white space is looked at, too.
const VALUE: Class = class!(b => is_plain(b) && !matches!(b, b'"' | b'\''));
const SPACE: Class = class!(b => matches!(b, b' ' | b'\t' | b'\r' | b'\n'));

/// U+FFFE and U+FFFF are the only characters above the controls that XML does not have; both begin with EF.
const fn is_plain(byte: u8) -> bool {
    byte >= b' ' && !matches!(byte, b'<' | b'&' | 0xef)
}

/// A set of bytes.
struct Class([bool; 256]);

impl Class {
    #[inline]
    fn has(&self, byte: u8) -> bool {
        // Always there: that is known when this is compiled.
        self.0.get(usize::from(byte)).copied().unwrap_or_default()
    }

    /// How many bytes at the beginning are of it.
    #[inline]
    fn run(&self, bytes: &[u8]) -> usize {
        bytes.iter().position(|&byte| !self.has(byte)).unwrap_or(bytes.len())
    }
}

/// How many bytes of plain text there are at the beginning.
#[inline]
pub(super) fn text(bytes: &[u8]) -> usize {
    TEXT.run(bytes)
}

/// How many bytes of a plain attribute value.
#[inline]
pub(super) fn value(bytes: &[u8]) -> usize {
    VALUE.run(bytes)
}

/// How many bytes of white space.
#[inline]
pub(super) fn space(bytes: &[u8]) -> usize {
    SPACE.run(bytes)
}

/// How long the name without a colon (an NCName) is that the text begins with; `None` if there is none.
#[inline]
pub(super) fn name(bytes: &[u8]) -> Option<usize> {
    let first = *bytes.first()?;
    if NAME_START.has(first) {
        let length = NAME.run(bytes);
        if bytes.get(length).is_none_or(u8::is_ascii) {
            return Some(length);
        }
    } else if first.is_ascii() {
        return None;
    }
    other_name(bytes)
}

/// The same for one that is not all ASCII.
fn other_name(bytes: &[u8]) -> Option<usize> {
    let end = bytes.iter().position(|&byte| byte.is_ascii() && !NAME.has(byte)).unwrap_or(bytes.len());
    let text = std::str::from_utf8(bytes.get(..end)?).ok()?;
    let mut chars = text.char_indices();
    let (_, first) = chars.next()?;
    if !starts_name(first) {
        return None;
    }
    Some(chars.find(|&(_, c)| !continues_name(c)).map_or(end, |(at, _)| at))
}

/// How long the character is that the text begins with, which is no ASCII character or one that stands for itself.
/// `None` if XML does not have it. Whether it is UTF-8 at all is looked at for the whole text.
pub(super) fn character(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [0xef, 0xbf, 0xbe | 0xbf, ..] => None,
        [0xef, _, _, ..] => Some(3),
        [b' '..=b'~', ..] => Some(1),
        _ => None,
    }
}

/// A character that XML has (XML 1.0 §2.2); there are no surrogates in Rust's.
pub(in crate::xmpp) const fn is_char(c: char) -> bool {
    c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}') || matches!(c, '\t' | '\n' | '\r')
}

/// XML 1.0 §2.3, without the colon.
const fn starts_name(c: char) -> bool {
    matches!(c,
        'A'..='Z' | '_' | 'a'..='z' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}'
        | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}'
        | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
        | '\u{10000}'..='\u{effff}')
}

const fn continues_name(c: char) -> bool {
    starts_name(c) || matches!(c, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}

/// The character that a reference means, without `&` and `;`; `None` if it means none.
pub(in crate::xmpp) fn reference(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let (digits, radix) = number.strip_prefix('x').map_or((number, 10), |hex| (hex, 16));
            if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
                return None;
            }
            char::from_u32(u32::from_str_radix(digits, radix).ok()?).filter(|&c| is_char(c))
        }
    }
}
