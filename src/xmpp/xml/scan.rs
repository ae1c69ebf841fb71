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
/// A set of bytes.
struct Class([bool; 256]);

impl Class {
    #[inline(always)]
    fn has(&self, byte: u8) -> bool {
        // Always there: that is known when this is compiled.
        self.0.get(usize::from(byte)).copied().unwrap_or_default()
    }
}

/// The byte there; at the end one that XML does not have.
#[inline(always)]
pub(super) fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or_default()
}

/// Where the first byte is, from there on, at which one must stop; the end, if there is none.
#[inline(always)]
fn plain(bytes: &[u8], from: usize, stops: impl Fn(u8) -> bool + Copy) -> usize {
    let mut at = from;
    // Sixteen at once: compilers know how. What is not ASCII is rare, and looked at one by one.
    while let Some(some) = bytes.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
        let mut found = [0_u8; 16];
        for (found, &byte) in found.iter_mut().zip(some) {
            *found = if stops(byte) | !byte.is_ascii() { 0xff } else { 0 };
        }
        let found = u128::from_le_bytes(found);
        if found != 0 {
            at += (found.trailing_zeros() / 8) as usize;
            return if byte(bytes, at).is_ascii() { at } else { plain_one_by_one(bytes, at, stops) };
        }
        at += 16;
    }
    plain_one_by_one(bytes, at, stops)
}

/// The same.
#[inline(never)]
fn plain_one_by_one(bytes: &[u8], from: usize, stops: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    from + rest.iter().position(|&byte| stops(byte)).unwrap_or(rest.len())
}

/// U+FFFE and U+FFFF are the only characters above the controls that XML does not have; both begin with this byte.
const RARE: u8 = 0xef;

/// Where something is that a text must look at: markup, a reference, a line end, or what XML may not have.
#[inline(never)]
pub(super) fn text(bytes: &[u8], from: usize) -> usize {
    plain(bytes, from, |byte| {
        let control = (byte < b' ') & (byte != b'\t') & (byte != b'\n');
        control | (byte == b'<') | (byte == b'&') | (byte == b']') | (byte == RARE)
    })
}

/// The same for an attribute's value in these quotes, where white space is looked at, too.
#[inline(never)]
pub(super) fn value(bytes: &[u8], from: usize, quote: u8) -> usize {
    plain(bytes, from, |byte| (byte == quote) | (byte < b' ') | (byte == b'<') | (byte == b'&') | (byte == RARE))
}

/// Where the white space ends that begins there, if it does.
#[inline(always)]
pub(super) fn space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(byte(bytes, at), b' ' | b'\t' | b'\r' | b'\n') {
        at += 1;
    }
    at
}

/// Whether the same stands at both places.
#[inline(always)]
pub(super) fn same(bytes: &[u8], first: usize, second: usize, length: usize) -> bool {
    let word = |at: usize| bytes.get(at..).and_then(|rest| rest.first_chunk()).map(|eight| u64::from_le_bytes(*eight));
    match (word(first), word(second)) {
        (Some(one), Some(other)) if (1..=8).contains(&length) => (one ^ other) << (64 - 8 * length) == 0,
        _ => bytes.get(first..first + length).is_some_and(|one| bytes.get(second..second + length) == Some(one)),
    }
}

/// Where the name without a colon (an NCName) ends that begins there; `None` if there is none.
#[inline(always)]
pub(super) fn name(bytes: &[u8], from: usize) -> Option<usize> {
    if !NAME_START.has(byte(bytes, from)) {
        return other_name(bytes, from);
    }
    let mut at = from + 1;
    loop {
        let next = byte(bytes, at);
        if !NAME.has(next) {
            return if next.is_ascii() { Some(at) } else { other_name(bytes, from) };
        }
        at += 1;
    }
}

/// The same for one that is not all ASCII.
#[cold]
fn other_name(bytes: &[u8], from: usize) -> Option<usize> {
    let bytes = bytes.get(from..)?;
    let end = bytes.iter().position(|&byte| byte.is_ascii() && !NAME.has(byte)).unwrap_or(bytes.len());
    let text = std::str::from_utf8(bytes.get(..end)?).ok()?;
    let mut chars = text.char_indices();
    let (_, first) = chars.next()?;
    if !starts_name(first) {
        return None;
    }
    Some(from + chars.find(|&(_, c)| !continues_name(c)).map_or(end, |(at, _)| at))
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
