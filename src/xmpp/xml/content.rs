//! Values of attributes, and texts: what they mean (XML 1.0 §2.4, §2.11, §3.3.3, §4.1).

use memchr::memmem;

use super::parse::Parser;
use super::scan;
use super::{Fault, Kind, Span};

const CDATA: &[u8] = b"<![CDATA[";
const CDATA_END: &[u8] = b"]]>";
/// The longest reference that means a character, without its ampersand, and some leading zeros more.
const LONGEST_REFERENCE: usize = 16;

impl Parser<'_> {
    /// An attribute's value, normalised (XML 1.0 §3.3.3), and where what follows it begins.
    #[inline(always)]
    pub(super) fn value(&mut self, from: usize) -> Result<(Span, usize), Fault> {
        let quote = self.byte(from);
        if !matches!(quote, b'"' | b'\'') {
            return Err(Fault::NotWellFormed);
        }
        let begin = from + 1;
        let end = begin + scan::value(self.rest(begin), quote);
        if self.byte(end) == quote {
            return Ok((Span::of(begin, end), end + 1));
        }
        self.rare_value(begin, end, quote)
    }

    /// The same for one that is not plain: it begins at `begin`, and is plain up to `at`.
    #[cold]
    fn rare_value(&mut self, begin: usize, mut at: usize, quote: u8) -> Result<(Span, usize), Fault> {
        loop {
            match self.byte(at) {
                byte if byte == quote => return Ok((Span::of(begin, at), at + 1)),
                0xef => at += self.character(at)?,
                b'&' | b'\t' | b'\n' | b'\r' => break,
                _ => return Err(Fault::NotWellFormed),
            }
            at += scan::value(self.rest(at), quote);
        }
        let made = self.tree.made.len();
        self.copy(begin, at);
        loop {
            at += match self.byte(at) {
                byte if byte == quote => return Ok((self.tree.made_since(made), at + 1)),
                0xef => {
                    let length = self.character(at)?;
                    self.copy(at, at + length);
                    length
                }
                b'&' => self.reference(at)?,
                b'\t' | b'\n' => self.replace(1, ' '),
                b'\r' => self.replace(self.line_end(at), ' '),
                _ => return Err(Fault::NotWellFormed),
            };
            let plain = scan::value(self.rest(at), quote);
            self.copy(at, at + plain);
            at += plain;
        }
    }

    /// All the text and CDATA up to the next tag: one text. Where that begins.
    #[inline(always)]
    pub(super) fn content(&mut self, from: usize) -> Result<usize, Fault> {
        let end = from + scan::text(self.rest(from));
        let plain = self.byte(end) == b'<' && self.byte(end + 1) != b'!';
        let (text, end) = if plain { (Span::of(from, end), end) } else { self.rare_content(from, end)? };
        if text.len > 0 {
            self.append(Kind::Text, text, Span::default(), self.tree.attributes.len())?;
        }
        Ok(end)
    }

    /// The text that begins at `begin`, is plain up to `at`, and not plain throughout.
    #[cold]
    fn rare_content(&mut self, begin: usize, mut at: usize) -> Result<(Span, usize), Fault> {
        loop {
            at += match self.byte(at) {
                b']' if !self.begins(at, CDATA_END) => 1,
                0xef => self.character(at)?,
                b'<' if !self.begins(at, b"<!") => return Ok((Span::of(begin, at), at)),
                _ => break,
            };
            at += scan::text(self.rest(at));
        }
        let made = self.tree.made.len();
        self.copy(begin, at);
        loop {
            at += match self.byte(at) {
                b'<' if self.begins(at, CDATA) => self.cdata(at)?,
                b'<' if !self.begins(at, b"<!") => return Ok((self.tree.made_since(made), at)),
                b']' if self.begins(at, CDATA_END) => return Err(Fault::NotWellFormed),
                b']' | 0xef => {
                    let length = self.character(at)?;
                    self.copy(at, at + length);
                    length
                }
                b'&' => self.reference(at)?,
                b'\r' => self.replace(self.line_end(at), '\n'),
                _ => return Err(Fault::NotWellFormed),
            };
            let plain = scan::text(self.rest(at));
            self.copy(at, at + plain);
            at += plain;
        }
    }

    /// Adds what a CDATA section says; how long it is.
    fn cdata(&mut self, at: usize) -> Result<usize, Fault> {
        let rest = self.bytes.get(at + CDATA.len()..).unwrap_or_default();
        let length = memmem::find(rest, CDATA_END).ok_or(Fault::NotWellFormed)?;
        let content = rest.get(..length).map(std::str::from_utf8);
        let Some(Ok(content)) = content else { return Err(Fault::NotWellFormed) };
        if !content.chars().all(scan::is_char) {
            return Err(Fault::NotWellFormed);
        }
        let mut lines = content.split('\r');
        self.tree.made.push_str(lines.next().unwrap_or_default());
        for line in lines {
            self.tree.made.push('\n');
            self.tree.made.push_str(line.strip_prefix('\n').unwrap_or(line));
        }
        Ok(CDATA.len() + length + CDATA_END.len())
    }

    fn begins(&self, at: usize, with: &[u8]) -> bool {
        self.rest(at).starts_with(with)
    }

    /// How long the character there is, if it is one that XML has.
    fn character(&self, at: usize) -> Result<usize, Fault> {
        scan::character(self.rest(at)).ok_or(Fault::NotWellFormed)
    }

    /// Adds what a reference means; how long it is.
    fn reference(&mut self, at: usize) -> Result<usize, Fault> {
        let name = self.bytes.get(at + 1..).unwrap_or_default();
        let name = name.get(..LONGEST_REFERENCE).unwrap_or(name);
        let length = name.iter().position(|&byte| byte == b';').ok_or(Fault::NotWellFormed)?;
        let name = name.get(..length).and_then(|name| std::str::from_utf8(name).ok());
        let meant = name.and_then(scan::reference).ok_or(Fault::NotWellFormed)?;
        Ok(self.replace(length + 2, meant))
    }

    /// How long the line end is that begins with a carriage return (XML 1.0 §2.11).
    fn line_end(&self, at: usize) -> usize {
        if self.begins(at, b"\r\n") { 2 } else { 1 }
    }

    /// Adds a character in place of as many bytes.
    fn replace(&mut self, length: usize, by: char) -> usize {
        self.tree.made.push(by);
        length
    }

    /// Adds what stands there. What is no UTF-8 is left out: nobody will look at it.
    fn copy(&mut self, from: usize, to: usize) {
        let passed = self.bytes.get(from..to).unwrap_or_default();
        self.tree.made.push_str(std::str::from_utf8(passed).unwrap_or_default());
    }
}
