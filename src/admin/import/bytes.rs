//! A file as bytes, with the number of the line: as large as it may be, little of it is in memory.

use std::io::{self, BufRead};

/// The bytes of a file, one after the other.
pub(super) struct Bytes<R> {
    input: R,
    line: u64,
}

impl<R: BufRead> Bytes<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, line: 1 }
    }

    /// The number of the line that the next byte is on; the first is 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// The next byte, which stays the next one; `None` at the end.
    pub(super) fn peek(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.input.fill_buf() {
                Ok(buffer) => return Ok(buffer.first().copied()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes the next byte.
    pub(super) fn next(&mut self) -> io::Result<Option<u8>> {
        let byte = self.peek()?;
        if let Some(byte) = byte {
            self.input.consume(1);
            self.line += u64::from(byte == b'\n');
        }
        Ok(byte)
    }

    /// Takes the next byte if it is this one.
    pub(super) fn eat(&mut self, wanted: u8) -> io::Result<bool> {
        let is_next = self.peek()? == Some(wanted);
        if is_next {
            self.next()?;
        }
        Ok(is_next)
    }

    /// Takes bytes as long as they fit, and forgets those after the first `longest`.
    pub(super) fn take_while(&mut self, longest: usize, fits: impl Fn(u8) -> bool) -> io::Result<Vec<u8>> {
        let mut taken = Vec::new();
        while let Some(byte) = self.peek()?.filter(|&byte| fits(byte)) {
            if taken.len() < longest {
                taken.push(byte);
            }
            self.next()?;
        }
        Ok(taken)
    }
}

/// What a value may hold at most; longer ones are not kept, and their rows count as broken.
#[derive(Debug, Default)]
pub(super) struct Bounded {
    kept: Vec<u8>,
    too_long: bool,
}

impl Bounded {
    /// Far more than the longest registration takes (docs/signals.md §2), and than a cell of any push service.
    const LONGEST: usize = 256 * 1024;

    pub(super) fn push(&mut self, byte: u8) {
        if self.kept.len() < Self::LONGEST {
            self.kept.push(byte);
        } else {
            self.too_long = true;
        }
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.push(byte));
    }

    /// `None` if it was too long.
    pub(super) fn whole(self) -> Option<Vec<u8>> {
        (!self.too_long).then_some(self.kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_from_one() {
        let mut bytes = Bytes::new(&b"a\nbb\n"[..]);
        let mut lines = Vec::new();
        while bytes.peek().unwrap().is_some() {
            lines.push(bytes.line());
            bytes.next().unwrap();
        }
        assert_eq!(lines, [1, 1, 2, 2, 2]);
        assert_eq!(bytes.line(), 3);
    }

    #[test]
    fn what_is_too_long_is_not_kept() {
        let mut bounded = Bounded::default();
        bounded.extend(&vec![b'a'; Bounded::LONGEST]);
        bounded.push(b'b');
        assert_eq!(bounded.kept.len(), Bounded::LONGEST);
        assert_eq!(bounded.whole(), None);
    }
}
