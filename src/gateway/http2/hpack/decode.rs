//! Reads answers' headers.

use std::collections::VecDeque;

use super::{DYNAMIC, ENTRY, Malformed, TABLE, huffman, statics, take_integer};

/// One direction of a connection. What it reads changes it, so it has to read every block, in order.
#[derive(Default)]
pub(in crate::gateway::http2) struct Decoder {
    /// The dynamic table, newest first (RFC 7541 §2.3.2).
    table: VecDeque<Entry>,
    /// What the table takes, bytes.
    size: usize,
    /// What it may take less than [`TABLE`], bytes: so the other side wants it.
    less: usize,
    name: Vec<u8>,
    value: Vec<u8>,
}

struct Entry {
    /// Name and value.
    text: Box<[u8]>,
    /// How much of it is the name.
    name: usize,
}

impl Entry {
    fn parts(&self) -> (&[u8], &[u8]) {
        self.text.split_at_checked(self.name).unwrap_or_default()
    }
}

impl Decoder {
    /// Reads a block; `field` gets names and values.
    ///
    /// # Errors
    /// Nothing that follows can be read either (RFC 9113 §4.3).
    pub(in crate::gateway::http2) fn block(
        &mut self,
        mut bytes: &[u8],
        mut field: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), Malformed> {
        let mut begun = false;
        while let Some(first) = bytes.first() {
            match first {
                // An indexed field (§6.1).
                0x80.. => {
                    let index = take_integer(&mut bytes, 7)?;
                    let (name, value) = self.at(index)?;
                    field(name, value);
                }
                // A literal that is remembered (§6.2.1).
                0x40.. => {
                    self.literal(&mut bytes, 6)?;
                    field(&self.name, &self.value);
                    self.remember();
                }
                // The table's new size, before all fields (§6.3).
                0x20.. => {
                    let size = take_integer(&mut bytes, 5)?;
                    let less = TABLE.checked_sub(size).filter(|_| !begun);
                    self.less = less.ok_or(Malformed("a table size that may not be"))?;
                    self.shrink(size);
                    continue;
                }
                // A literal that is not (§6.2.2, §6.2.3).
                _ => {
                    self.literal(&mut bytes, 4)?;
                    field(&self.name, &self.value);
                }
            }
            begun = true;
        }
        Ok(())
    }

    /// Both parts of a literal, into `name` and `value`.
    fn literal(&mut self, bytes: &mut &[u8], bits: u32) -> Result<(), Malformed> {
        let index = take_integer(bytes, bits)?;
        let mut name = std::mem::take(&mut self.name);
        name.clear();
        if index == 0 {
            text(bytes, &mut name)?;
        } else {
            name.extend_from_slice(self.at(index)?.0);
        }
        self.name = name;
        self.value.clear();
        text(bytes, &mut self.value)
    }

    fn at(&self, index: usize) -> Result<(&[u8], &[u8]), Malformed> {
        let fixed = || index.checked_sub(1).and_then(|at| statics::TABLE.get(at));
        if let Some((name, value)) = fixed() {
            return Ok((name.as_bytes(), value.as_bytes()));
        }
        let entry = index.checked_sub(DYNAMIC).and_then(|at| self.table.get(at));
        entry.map(Entry::parts).ok_or(Malformed("an index beyond the tables"))
    }

    /// Takes the last literal into the table; one that is larger than the table empties it (§4.4).
    fn remember(&mut self) {
        let takes = self.name.len() + self.value.len() + ENTRY;
        let most = TABLE - self.less;
        self.shrink(most.saturating_sub(takes));
        if takes <= most {
            self.table.push_front(Entry { text: [&*self.name, &*self.value].concat().into(), name: self.name.len() });
            self.size += takes;
        }
    }

    /// Drops the oldest entries until the rest takes no more than this.
    fn shrink(&mut self, most: usize) {
        while self.size > most
            && let Some(entry) = self.table.pop_back()
        {
            self.size -= entry.text.len() + ENTRY;
        }
    }
}

/// Takes a text off (§5.2).
fn text(bytes: &mut &[u8], into: &mut Vec<u8>) -> Result<(), Malformed> {
    let coded = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let length = take_integer(bytes, 7)?;
    let (text, rest) = bytes.split_at_checked(length).ok_or(Malformed("a text that breaks off"))?;
    *bytes = rest;
    if coded {
        return huffman::decode(text, into);
    }
    into.extend_from_slice(text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(decoder: &mut Decoder, bytes: &[u8]) -> Result<Vec<String>, Malformed> {
        let mut fields = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        decoder.block(bytes, |name, value| fields.push(format!("{}: {}", text(name), text(value))))?;
        Ok(fields)
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    #[test]
    fn the_requests_of_the_rfc_are_read_one_after_another() {
        // RFC 7541 §C.4: with Huffman's code.
        let mut decoder = Decoder::default();
        let first = [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];
        let second = [&first[..], &["cache-control: no-cache"]].concat();
        let third = [
            ":method: GET",
            ":scheme: https",
            ":path: /index.html",
            ":authority: www.example.com",
            "custom-key: custom-value",
        ];
        let rows = [
            ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", first.to_vec(), 57),
            ("8286 84be 5886 a8eb 1064 9cbf", second, 110),
            ("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", third.to_vec(), 164),
        ];
        for (bytes, fields, size) in rows {
            assert_eq!(read(&mut decoder, &hex(bytes)).unwrap(), fields);
            assert_eq!(decoder.size, size);
        }
    }

    #[test]
    fn the_oldest_entries_go_when_the_table_is_full() {
        let mut decoder = Decoder::default();
        // "a: " and 4,000 dots, remembered; then "b: c", remembered as well.
        let mut large = hex("40 01 61 7f a11e");
        large.resize(large.len() + 4000, b'.');
        assert_eq!(read(&mut decoder, &large).unwrap().len(), 1);
        assert_eq!((decoder.table.len(), decoder.size), (1, 4033));
        assert_eq!(read(&mut decoder, &hex("40 01 62 01 63")).unwrap(), ["b: c"]);
        assert_eq!((decoder.table.len(), decoder.size), (2, 4067));
        assert_eq!(read(&mut decoder, &hex("40 01 62 01 64")).unwrap(), ["b: d"]);
        // The second and the third; the first has gone.
        assert_eq!(read(&mut decoder, &hex("be bf")).unwrap(), ["b: d", "b: c"]);
        assert_eq!(decoder.size, 68);
        // One that no table holds leaves none: "a: " and 5,000 dots.
        let mut huge = hex("40 01 61 7f 8926");
        huge.resize(huge.len() + 5000, b'.');
        assert_eq!(read(&mut decoder, &huge).unwrap().len(), 1);
        assert_eq!((decoder.table.len(), decoder.size), (0, 0));
    }

    #[test]
    fn the_table_becomes_as_small_as_the_other_side_wants() {
        let mut decoder = Decoder::default();
        assert_eq!(read(&mut decoder, &hex("40 01 61 01 62")).unwrap(), ["a: b"]);
        // To nothing, and back to 64 bytes.
        assert_eq!(read(&mut decoder, &hex("20 3f 21 40 01 63 01 64")).unwrap(), ["c: d"]);
        assert_eq!(read(&mut decoder, &hex("40 01 65 01 66")).unwrap(), ["e: f"]);
        assert_eq!((decoder.table.len(), decoder.size), (1, 34));
    }

    #[test]
    fn what_may_not_be_is_refused() {
        let rows = [
            ("80", "an index beyond the tables"),
            ("be", "an index beyond the tables"),
            ("82 3f e1 1f", "a table size that may not be"),
            ("3f e2 1f", "a table size that may not be"),
            ("00 05 61", "a text that breaks off"),
            ("00", "an integer that breaks off, or is too large"),
            ("00 81 00 00", "the end of a Huffman-coded text"),
        ];
        for (bytes, why) in rows {
            assert_eq!(read(&mut Decoder::default(), &hex(bytes)), Err(Malformed(why)), "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn no_block_makes_it_panic_or_hold_more_than_it_may(
            blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..8),
        ) {
            let mut decoder = Decoder::default();
            for block in blocks {
                let _read = decoder.block(&block, |_, _| {});
                let takes: usize = decoder.table.iter().map(|entry| entry.text.len() + ENTRY).sum();
                prop_assert_eq!(decoder.size, takes);
                prop_assert!(takes <= TABLE);
            }
        }
    }
}
