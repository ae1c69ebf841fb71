//! HPACK, the compression of headers in HTTP/2 (RFC 7541).
//!
//! | file | what |
//! |---|---|
//! | `encode.rs` | requests' headers, of which most are the same each time |
//! | `decode.rs` | answers' headers, whatever they are |
//! | `huffman.rs` | the code that texts may be written in |
//! | `statics.rs` | the table that both sides know from the start |

mod decode;
mod encode;
mod huffman;
mod statics;

pub(super) use self::decode::Decoder;
pub(super) use self::encode::Encoder;
pub use self::encode::{Field, Name};

/// What a dynamic table may hold unless settings say otherwise, bytes (RFC 9113 §6.5.2).
const TABLE: usize = 4096;

/// What an entry of a dynamic table takes beside its texts (RFC 7541 §4.1).
const ENTRY: usize = 32;

/// Where the dynamic table begins (RFC 7541 §2.3.3).
const DYNAMIC: usize = statics::TABLE.len() + 1;

/// What a header block has that it may not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("headers cannot be read: {0}")]
pub(super) struct Malformed(pub(super) &'static str);

/// Appends an integer (RFC 7541 §5.1): the low bits of a byte whose high ones are taken, and what follows it.
fn put_integer(out: &mut Vec<u8>, high: u8, bits: u32, value: usize) {
    let most = (1_usize << bits) - 1;
    let low = |value: usize| u8::try_from(value & 0xff).unwrap_or_default();
    if value < most {
        out.push(high | low(value));
        return;
    }
    out.push(high | low(most));
    let mut rest = value - most;
    while rest >= 0x80 {
        out.push(low(rest) | 0x80);
        rest >>= 7;
    }
    out.push(low(rest));
}

/// Takes an integer off; the first byte has `bits` of it.
fn take_integer(bytes: &mut &[u8], bits: u32) -> Result<usize, Malformed> {
    const BROKEN: Malformed = Malformed("an integer that breaks off, or is too large");
    let (first, mut rest) = bytes.split_first().ok_or(BROKEN)?;
    let most = (1_usize << bits) - 1;
    let mut value = usize::from(*first) & most;
    if value == most {
        // Four bytes more are 28 bits: more than any block has.
        let mut shift = 0;
        loop {
            let (byte, after) = rest.split_first().ok_or(BROKEN)?;
            rest = after;
            value += (usize::from(*byte) & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
            if shift > 21 {
                return Err(BROKEN);
            }
        }
    }
    *bytes = rest;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_those_of_the_rfc() {
        // RFC 7541 §C.1.
        let rows: [(u32, usize, &[u8]); 6] = [
            (5, 10, &[10]),
            (5, 1337, &[31, 154, 10]),
            (8, 42, &[42]),
            (7, 126, &[126]),
            (7, 127, &[127, 0]),
            (4, 16 + 127, &[15, 0x80, 1]),
        ];
        for (bits, value, expected) in rows {
            let mut out = Vec::new();
            put_integer(&mut out, 0, bits, value);
            assert_eq!(out, expected, "{value}");
            let mut bytes = expected;
            assert_eq!((take_integer(&mut bytes, bits), bytes), (Ok(value), [].as_slice()), "{value}");
        }
    }

    #[test]
    fn integers_that_break_off_or_never_end_are_refused() {
        for bytes in [&[][..], &[31], &[31, 0x80], &[31, 0xff, 0xff, 0xff, 0xff, 0]] {
            assert!(take_integer(&mut &*bytes, 5).is_err(), "{bytes:?}");
        }
    }
}
