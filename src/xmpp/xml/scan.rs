//! Which characters may stand where (XML 1.0, fifth edition).

/// What a byte is at the places where it matters.
const NAME_START: u8 = 1;
const NAME: u8 = 2;
/// Nothing that a text must look at: no markup, reference, line end, or character that XML does not have.
const TEXT: u8 = 4;
/// The same for an attribute's value, where white space is looked at, too.
const VALUE: u8 = 8;
const SPACE: u8 = 16;

const CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0_usize;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "it is below 256")]
        let b = byte as u8;
        let letter = b.is_ascii_alphabetic() || b == b'_';
        let mut class = 0;
        if letter {
            class |= NAME_START;
        }
        if letter || b.is_ascii_digit() || matches!(b, b'-' | b'.') {
            class |= NAME;
        }
        // U+FFFE and U+FFFF are the only characters above the controls that XML does not have; both begin with EF.
        let plain = b >= b' ' && b != 0xef && !matches!(b, b'<' | b'&');
        if matches!(b, b'\t' | b'\n') || (plain && b != b']') {
            class |= TEXT;
        }
        if plain && !matches!(b, b'"' | b'\'') {
            class |= VALUE;
        }
        if matches!(b, b' ' | b'\t' | b'\r' | b'\n') {
            class |= SPACE;
        }
        #[expect(clippy::indexing_slicing, reason = "the index is below the length, and this runs at compile time")]
        {
            classes[byte] = class;
        }
        byte += 1;
    }
    classes
}

fn is(byte: u8, class: u8) -> bool {
    CLASSES.get(usize::from(byte)).is_some_and(|classes| classes & class != 0)
}

fn run(bytes: &[u8], class: u8) -> usize {
    bytes.iter().position(|&byte| !is(byte, class)).unwrap_or(bytes.len())
}

/// How many bytes of plain text there are at the beginning.
pub(super) fn text(bytes: &[u8]) -> usize {
    run(bytes, TEXT)
}

/// How many bytes of a plain attribute value.
pub(super) fn value(bytes: &[u8]) -> usize {
    run(bytes, VALUE)
}

/// How many bytes of white space.
pub(super) fn space(bytes: &[u8]) -> usize {
    run(bytes, SPACE)
}

/// How long the name without a colon (an NCName) is that the text begins with; `None` if there is none.
pub(super) fn name(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let first = *bytes.first()?;
    if is(first, NAME_START) {
        let length = run(bytes, NAME);
        if bytes.get(length).is_none_or(u8::is_ascii) {
            return Some(length);
        }
    } else if first.is_ascii() {
        return None;
    }
    let mut chars = text.char_indices();
    let (_, first) = chars.next()?;
    if !starts_name(first) {
        return None;
    }
    Some(chars.find(|&(_, c)| !continues_name(c)).map_or(text.len(), |(at, _)| at))
}

/// A character that XML has (XML 1.0 §2.2); there are no surrogates in Rust's.
pub(super) const fn is_char(c: char) -> bool {
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
pub(super) fn reference(name: &str) -> Option<char> {
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
