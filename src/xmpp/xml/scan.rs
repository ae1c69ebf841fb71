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
/// The same for an attribute's value, but for its quote; white space is looked at, too.
const VALUE: Class = class!(b => is_plain(b));

/// U+FFFE and U+FFFF are the only characters above the controls that XML does not have; both begin with EF.
const fn is_plain(byte: u8) -> bool {
    byte >= b' ' && !matches!(byte, b'<' | b'&' | 0xef)
}

/// A set of bytes.
struct Class([bool; 256]);

impl Class {
    #[inline(always)]
    fn has(&self, byte: u8) -> bool {
        // Always there: that is known when this is compiled.
        self.0.get(usize::from(byte)).copied().unwrap_or_default()
    }

    /// How many bytes at the beginning are of it.
    #[inline(always)]
    fn run(&self, bytes: &[u8]) -> usize {
        let (mut passed, mut rest) = (0, bytes);
        while let [a, b, c, d, after @ ..] = rest {
            let [a, b, c, d] = [a, b, c, d].map(|&byte| self.has(byte));
            if !a {
                return passed;
            } else if !b {
                return passed + 1;
            } else if !c {
                return passed + 2;
            } else if !d {
                return passed + 3;
            }
            (passed, rest) = (passed + 4, after);
        }
        passed + rest.iter().position(|&byte| !self.has(byte)).unwrap_or(rest.len())
    }
}

/// Each byte of a word is this.
const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The bytes of a word, the first one lowest, that are below a byte or not ASCII: the highest bit of each is set. Right up
/// to the first one that is; what is behind it may be set, too. The byte must be ASCII.
#[inline(always)]
const fn below(word: u64, byte: u8) -> u64 {
    word.wrapping_sub(each(byte)) | word
}

/// The same of those that are equal to it or not ASCII.
#[inline(always)]
const fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ each(byte), 1)
}

/// How many bytes there are at the beginning that are of this class and none of these. The class must have all of ASCII
/// from the space on, but for those.
#[inline(always)]
fn plain<const N: usize>(bytes: &[u8], class: &Class, none_of: [u8; N]) -> usize {
    let (mut passed, mut rest) = (0, bytes);
    // Eight at once, as nearly all that is said in XMPP allows it.
    while let Some((eight, after)) = rest.split_first_chunk() {
        let word = u64::from_le_bytes(*eight);
        let found = none_of.iter().fold(below(word, b' '), |found, &byte| found | equal(word, byte)) & each(0x80);
        if found != 0 {
            passed += (found.trailing_zeros() / 8) as usize;
            break;
        }
        (passed, rest) = (passed + 8, after);
    }
    let rest = bytes.get(passed..).unwrap_or_default();
    let is_plain = |&byte: &u8| class.has(byte) && !none_of.contains(&byte);
    passed + rest.iter().position(|byte| !is_plain(byte)).unwrap_or(rest.len())
}

/// How many bytes of plain text there are at the beginning.
#[inline(always)]
pub(super) fn text(bytes: &[u8]) -> usize {
    plain(bytes, &TEXT, [b'<', b'&', b']'])
}

/// How many bytes of a plain attribute value in these quotes.
#[inline(always)]
pub(super) fn value(bytes: &[u8], quote: u8) -> usize {
    plain(bytes, &VALUE, [b'<', b'&', quote])
}

/// How many bytes of white space.
#[inline]
pub(super) fn space(bytes: &[u8]) -> usize {
    bytes.iter().position(|&byte| !is_space(byte)).unwrap_or(bytes.len())
}

/// White space (XML 1.0 §2.3).
#[inline(always)]
pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Whether the same stands at both places, the first of which is before the second.
#[inline(always)]
pub(super) fn same(bytes: &[u8], first: usize, second: usize, length: usize) -> bool {
    let word = |at: usize| bytes.get(at..).and_then(|rest| rest.first_chunk()).map(|eight| u64::from_le_bytes(*eight));
    match (word(first), word(second)) {
        (Some(one), Some(other)) if length <= 8 => length == 0 || (one ^ other) << (64 - 8 * length) == 0,
        _ => bytes.get(first..first + length).is_some_and(|one| bytes.get(second..second + length) == Some(one)),
    }
}

/// How long the name without a colon (an NCName) is that the text begins with; `None` if there is none.
#[inline(always)]
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
#[cold]
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
