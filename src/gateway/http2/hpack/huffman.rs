//! Huffman's code for header texts (RFC 7541 §5.2, Appendix B). We read it; what we write is plain.
//!
//! The code is canonical: codes of one length follow each other in the order of their symbols, shorter ones come first. So
//! their lengths say all.

use super::Malformed;

/// The length of each symbol's code in bits, by symbol; the last is the end of a text.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, // 0
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, // 16
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, // ' ' to '/'
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, // '0' to '?'
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, // '@' to 'O'
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, // 'P' to '_'
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, // '`' to 'o'
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, // 'p' to 127
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, // 128
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, // 144
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, // 160
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, // 176
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, // 192
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, // 208
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, // 224
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, // 240
    30,
];

/// The length of the longest code.
const LONGEST: usize = 30;

/// Appends the text that these bytes stand for.
///
/// # Errors
/// The code of the end within the text, or an end that is not as §5.2 wants it.
pub(super) fn decode(bytes: &[u8], text: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut rest = bytes.iter();
    // The next bits, from the top down; below them, zeros.
    let (mut held, mut bits) = (0_u64, 0_u8);
    loop {
        while bits <= 56
            && let Some(byte) = rest.next()
        {
            held |= u64::from(*byte) << (56 - bits);
            bits += 8;
        }
        let [top, ..] = held.to_be_bytes();
        let (symbol, length) = match SHORT.get(usize::from(top)) {
            Some(&(symbol, length)) if length > 0 => (u16::from(symbol), length),
            _ => long(held),
        };
        if length > bits {
            // What is left fills the last byte with ones.
            let ones = bits < 8 && held.leading_ones() >= u32::from(bits);
            return if ones { Ok(()) } else { Err(Malformed("the end of a Huffman-coded text")) };
        }
        text.push(u8::try_from(symbol).map_err(|_| Malformed("an end within a Huffman-coded text"))?);
        held <<= length;
        bits -= length;
    }
}

/// The symbol whose code of over eight bits comes first, and how long that is.
fn long(held: u64) -> (u16, u8) {
    for (length, row) in (0_u8..).zip(&ROWS).skip(9) {
        // Of at most 30 bits.
        let code = u32::try_from(held >> (64 - u32::from(length))).unwrap_or(u32::MAX);
        if let Some(at) = code.checked_sub(row.code)
            && at < row.count
        {
            let symbol = SORTED.get(usize::from(row.place) + at as usize).copied().unwrap_or(END);
            return (symbol, length);
        }
    }
    // Not reached: the code has no gaps.
    (END, LONGEST as u8)
}

/// The symbol for the end of a text.
const END: u16 = 256;

/// The codes of one length.
#[derive(Clone, Copy)]
struct Row {
    /// The first of them.
    code: u32,
    count: u32,
    /// Where its symbol is in [`SORTED`].
    place: u16,
}

/// By length.
const ROWS: [Row; LONGEST + 1] = rows();

/// All symbols in the order of their codes.
const SORTED: [u16; 257] = sorted();

/// Symbol and length of the code that a byte begins with; a length of 0 if it is a longer one.
const SHORT: [(u8, u8); 256] = short();

#[expect(clippy::indexing_slicing, reason = "evaluated when it is compiled")]
const fn rows() -> [Row; LONGEST + 1] {
    let mut rows = [Row { code: 0, count: 0, place: 0 }; LONGEST + 1];
    let mut symbol = 0;
    while symbol < LENGTHS.len() {
        rows[LENGTHS[symbol] as usize].count += 1;
        symbol += 1;
    }
    let mut length = 1;
    while length <= LONGEST {
        let before = rows[length - 1];
        rows[length].code = (before.code + before.count) << 1;
        rows[length].place = before.place + before.count as u16;
        length += 1;
    }
    rows
}

#[expect(clippy::indexing_slicing, reason = "evaluated when it is compiled")]
const fn sorted() -> [u16; 257] {
    let mut sorted = [END; 257];
    let mut filled = [0; LONGEST + 1];
    let mut symbol = 0;
    while symbol < LENGTHS.len() {
        let length = LENGTHS[symbol] as usize;
        sorted[ROWS[length].place as usize + filled[length]] = symbol as u16;
        filled[length] += 1;
        symbol += 1;
    }
    sorted
}

#[expect(clippy::indexing_slicing, reason = "evaluated when it is compiled")]
const fn short() -> [(u8, u8); 256] {
    let mut short = [(0, 0); 256];
    let mut length = 1;
    while length <= 8 {
        let row = ROWS[length];
        let mut at = 0;
        while at < row.count {
            let symbol = SORTED[row.place as usize + at as usize] as u8;
            let first = ((row.code + at) << (8 - length)) as usize;
            let mut byte = first;
            while byte < first + (1 << (8 - length)) {
                short[byte] = (symbol, length as u8);
                byte += 1;
            }
            at += 1;
        }
        length += 1;
    }
    short
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The code's other direction, bit by bit.
    fn encode(text: &[u8]) -> Vec<u8> {
        let mut bits = String::new();
        for byte in text {
            let length = LENGTHS[usize::from(*byte)];
            let place = SORTED.iter().position(|symbol| *symbol == u16::from(*byte)).unwrap() as u32;
            let row = ROWS[usize::from(length)];
            let code = row.code + place - u32::from(row.place);
            bits.push_str(&format!("{code:0width$b}", width = usize::from(length)));
        }
        while !bits.len().is_multiple_of(8) {
            bits.push('1');
        }
        bits.as_bytes().chunks(8).map(|byte| u8::from_str_radix(str::from_utf8(byte).unwrap(), 2).unwrap()).collect()
    }

    fn decoded(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
        let mut text = Vec::new();
        decode(bytes, &mut text).map(|()| text)
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        // RFC 7541 §C.4 and §C.6.
        let rows: [(&[u8], &str); 6] = [
            (&[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff], "www.example.com"),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], "no-cache"),
            (&[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f], "custom-key"),
            (&[0x64, 0x02], "302"),
            (&[0xae, 0xc3, 0x77, 0x1a, 0x4b], "private"),
            (&[], ""),
        ];
        for (bytes, text) in rows {
            assert_eq!(decoded(bytes), Ok(text.as_bytes().to_vec()), "{text}");
        }
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        // Appendix B: a code of each length, and the last.
        let rows = [
            (b'0', 5, 0x0),
            (b'9', 6, 0x1f),
            (b'z', 7, 0x7b),
            (b'&', 8, 0xf8),
            (b'!', 10, 0x3f8),
            (b'|', 11, 0x7fc),
            (b'#', 12, 0xffa),
            (0, 13, 0x1ff8),
            (b'}', 14, 0x3ffd),
            (b'<', 15, 0x7ffc),
            (b'\\', 19, 0x7fff0),
            (230, 21, 0x1fffe8),
            (1, 23, 0x7fffd8),
            (255, 26, 0x3ffffee),
            (254, 27, 0x7fffff0),
            (249, 28, 0xffffffe),
            (22, 30, 0x3ffffffe),
        ];
        for (symbol, length, code) in rows {
            let row = ROWS[usize::from(length)];
            let place = SORTED.iter().position(|sorted| *sorted == u16::from(symbol)).unwrap() as u32;
            assert_eq!(
                (LENGTHS[usize::from(symbol)], row.code + place - u32::from(row.place)),
                (length, code),
                "{symbol}"
            );
        }
        assert_eq!(SORTED[256], END);
    }

    #[test]
    fn what_is_no_code_is_refused() {
        let end = Err(Malformed("the end of a Huffman-coded text"));
        // '0' and then zeros, a whole byte of ones, and the end's own code.
        assert_eq!(decoded(&[0b0000_0000]), end.clone());
        assert_eq!(decoded(&[0xff]), end.clone());
        assert_eq!(decoded(&[0b0000_0111, 0xff]), end);
        assert_eq!(decoded(&[0xff; 8]), Err(Malformed("an end within a Huffman-coded text")));
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(decoded(&encode(&text)), Ok(text));
        }

        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _read = decoded(&bytes);
        }
    }
}
