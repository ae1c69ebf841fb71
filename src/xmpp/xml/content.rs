//! Values of attributes, and texts: what they mean (XML 1.0 §2.4, §2.11, §3.3.3, §4.1).

use memchr::memmem;

use super::scan::{self, byte};
use super::{Fault, Kind, Span, Tree};

const CDATA: &[u8] = b"<![CDATA[";
const CDATA_END: &[u8] = b"]]>";
/// The longest reference that means a character, without its ampersand, and some leading zeros more.
const LONGEST_REFERENCE: usize = 16;

/// Of a text, as bytes.
impl Tree {
    /// An attribute's value, normalised (XML 1.0 §3.3.3), and where what follows it begins.
    #[inline(always)]
    pub(super) fn value(&mut self, bytes: &[u8], from: usize) -> Result<(Span, usize), Fault> {
        let quote = byte(bytes, from);
        if !matches!(quote, b'"' | b'\'') {
            return Err(Fault::NotWellFormed);
        }
        let begin = from + 1;
        let end = scan::value(bytes, begin, quote);
        if byte(bytes, end) == quote {
            return Ok((Span::of(begin, end), end + 1));
        }
        self.rare_value(bytes, begin, end, quote)
    }

    /// The same for one that is not plain: it begins at `begin`, and is plain up to `at`.
    #[cold]
    fn rare_value(&mut self, bytes: &[u8], begin: usize, mut at: usize, quote: u8) -> Result<(Span, usize), Fault> {
        loop {
            match byte(bytes, at) {
                found if found == quote => return Ok((Span::of(begin, at), at + 1)),
                0xef => at += character(bytes, at)?,
                b'&' | b'\t' | b'\n' | b'\r' => break,
                _ => return Err(Fault::NotWellFormed),
            }
            at = scan::value(bytes, at, quote);
        }
        let made = self.made.len();
        self.copy(bytes, begin, at);
        loop {
            at += match byte(bytes, at) {
                found if found == quote => return Ok((self.made_since(made), at + 1)),
                0xef => {
                    let length = character(bytes, at)?;
                    self.copy(bytes, at, at + length);
                    length
                }
                b'&' => self.reference(bytes, at)?,
                b'\t' | b'\n' => self.replace(1, ' '),
                b'\r' => self.replace(line_end(bytes, at), ' '),
                _ => return Err(Fault::NotWellFormed),
            };
            let end = scan::value(bytes, at, quote);
            self.copy(bytes, at, end);
            at = end;
        }
    }

    /// All the text and CDATA up to the next tag: one text. Where that begins.
    #[inline(always)]
    pub(super) fn content(&mut self, bytes: &[u8], from: usize) -> Result<usize, Fault> {
        let end = scan::text(bytes, from);
        let plain = byte(bytes, end) == b'<' && byte(bytes, end + 1) != b'!';
        let (text, end) = if plain { (Span::of(from, end), end) } else { self.rare_content(bytes, from, end)? };
        if text.len > 0 {
            self.append(Kind::Text, text, Span::default(), self.attributes.len())?;
        }
        Ok(end)
    }

    /// The text that begins at `begin`, is plain up to `at`, and not plain throughout.
    #[cold]
    fn rare_content(&mut self, bytes: &[u8], begin: usize, mut at: usize) -> Result<(Span, usize), Fault> {
        loop {
            at += match byte(bytes, at) {
                b']' if !begins(bytes, at, CDATA_END) => 1,
                0xef => character(bytes, at)?,
                b'<' if !begins(bytes, at, b"<!") => return Ok((Span::of(begin, at), at)),
                _ => break,
            };
            at = scan::text(bytes, at);
        }
        let made = self.made.len();
        self.copy(bytes, begin, at);
        loop {
            at += match byte(bytes, at) {
                b'<' if begins(bytes, at, CDATA) => self.cdata(bytes, at)?,
                b'<' if !begins(bytes, at, b"<!") => return Ok((self.made_since(made), at)),
                b']' if begins(bytes, at, CDATA_END) => return Err(Fault::NotWellFormed),
                b']' | 0xef => {
                    let length = character(bytes, at)?;
                    self.copy(bytes, at, at + length);
                    length
                }
                b'&' => self.reference(bytes, at)?,
                b'\r' => self.replace(line_end(bytes, at), '\n'),
                _ => return Err(Fault::NotWellFormed),
            };
            let end = scan::text(bytes, at);
            self.copy(bytes, at, end);
            at = end;
        }
    }

    /// Adds what a CDATA section says; how long it is.
    fn cdata(&mut self, bytes: &[u8], at: usize) -> Result<usize, Fault> {
        let rest = bytes.get(at + CDATA.len()..).unwrap_or_default();
        let length = memmem::find(rest, CDATA_END).ok_or(Fault::NotWellFormed)?;
        let content = rest.get(..length).map(std::str::from_utf8);
        let Some(Ok(content)) = content else { return Err(Fault::NotWellFormed) };
        if !content.chars().all(scan::is_char) {
            return Err(Fault::NotWellFormed);
        }
        let mut lines = content.split('\r');
        self.made.push_str(lines.next().unwrap_or_default());
        for line in lines {
            self.made.push('\n');
            self.made.push_str(line.strip_prefix('\n').unwrap_or(line));
        }
        Ok(CDATA.len() + length + CDATA_END.len())
    }

    /// Adds what a reference means; how long it is.
    fn reference(&mut self, bytes: &[u8], at: usize) -> Result<usize, Fault> {
        let name = bytes.get(at + 1..).unwrap_or_default();
        let name = name.get(..LONGEST_REFERENCE).unwrap_or(name);
        let length = name.iter().position(|&byte| byte == b';').ok_or(Fault::NotWellFormed)?;
        let name = name.get(..length).and_then(|name| std::str::from_utf8(name).ok());
        let meant = name.and_then(scan::reference).ok_or(Fault::NotWellFormed)?;
        Ok(self.replace(length + 2, meant))
    }

    /// Adds a character in place of as many bytes.
    fn replace(&mut self, length: usize, by: char) -> usize {
        self.made.push(by);
        length
    }

    /// Adds what stands there. What is no UTF-8 is left out: nobody will look at it.
    fn copy(&mut self, bytes: &[u8], from: usize, to: usize) {
        let passed = bytes.get(from..to).unwrap_or_default();
        self.made.push_str(std::str::from_utf8(passed).unwrap_or_default());
    }
}

fn begins(bytes: &[u8], at: usize, with: &[u8]) -> bool {
    bytes.get(at..).is_some_and(|rest| rest.starts_with(with))
}

/// How long the character there is, if it is one that XML has.
fn character(bytes: &[u8], at: usize) -> Result<usize, Fault> {
    bytes.get(at..).and_then(scan::character).ok_or(Fault::NotWellFormed)
}

/// How long the line end is that begins with a carriage return there (XML 1.0 §2.11).
fn line_end(bytes: &[u8], at: usize) -> usize {
    if begins(bytes, at, b"\r\n") { 2 } else { 1 }
}
