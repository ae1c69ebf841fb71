//! Values of attributes, and texts: what they mean (XML 1.0 §2.4, §2.11, §3.3.3, §4.1).

use memchr::memmem;

use super::parse::Parser;
use super::scan;
use super::{Fault, NONE, Node, Span};

const CDATA: &[u8] = b"<![CDATA[";
const CDATA_END: &[u8] = b"]]>";
/// The longest reference that means a character, without its ampersand, and some leading zeros more.
const LONGEST_REFERENCE: usize = 16;

impl Parser<'_> {
    /// An attribute's value, normalised (XML 1.0 §3.3.3).
    pub(super) fn value(&mut self) -> Result<Span, Fault> {
        let quote = self.byte().filter(|byte| matches!(byte, b'"' | b'\'')).ok_or(Fault::NotWellFormed)?;
        self.at += 1;
        let begin = self.at;
        loop {
            self.at += scan::value(self.rest());
            match self.byte() {
                Some(byte) if byte == quote => {
                    self.at += 1;
                    return Ok(self.span(begin, self.at - 1));
                }
                Some(b'"' | b'\'') => self.at += 1,
                Some(0xef) => self.character()?,
                Some(b'&' | b'\t' | b'\n' | b'\r') => break,
                _ => return Err(Fault::NotWellFormed),
            }
        }
        let made = self.tree.made.len();
        self.copy(begin);
        loop {
            let from = self.at;
            self.at += scan::value(self.rest());
            self.copy(from);
            match self.byte() {
                Some(byte) if byte == quote => {
                    self.at += 1;
                    return Ok(self.tree.made_since(made));
                }
                Some(b'"' | b'\'' | 0xef) => {
                    let from = self.at;
                    self.character()?;
                    self.copy(from);
                }
                Some(b'&') => self.reference()?,
                Some(b'\t' | b'\n') => self.replace(1, ' '),
                Some(b'\r') => self.replace(self.line_end(), ' '),
                _ => return Err(Fault::NotWellFormed),
            }
        }
    }

    /// All the text and CDATA up to the next tag: one text.
    pub(super) fn content(&mut self) -> Result<(), Fault> {
        let begin = self.at;
        loop {
            self.at += scan::text(self.rest());
            match self.byte() {
                Some(b']') if !self.begins(CDATA_END) => self.at += 1,
                Some(0xef) => self.character()?,
                _ => break,
            }
        }
        let text = match self.byte() {
            Some(b'<') if !self.begins(b"<!") => self.span(begin, self.at),
            _ => self.made_content(begin)?,
        };
        if text.len == 0 {
            return Ok(());
        }
        let none = Span::default();
        self.append(Node {
            text,
            namespace: none,
            next: NONE,
            attributes: 0,
            attribute_count: 0,
            is_element: false,
            has_children: false,
        })?;
        Ok(())
    }

    /// The same where it is not meant as it is written from `begin` on.
    fn made_content(&mut self, begin: usize) -> Result<Span, Fault> {
        let made = self.tree.made.len();
        self.copy(begin);
        loop {
            let from = self.at;
            self.at += scan::text(self.rest());
            self.copy(from);
            match self.byte() {
                Some(b'<') if self.begins(CDATA) => self.cdata()?,
                Some(b'<') if !self.begins(b"<!") => return Ok(self.tree.made_since(made)),
                Some(b']') if self.begins(CDATA_END) => return Err(Fault::NotWellFormed),
                Some(b']' | 0xef) => {
                    let from = self.at;
                    self.character()?;
                    self.copy(from);
                }
                Some(b'&') => self.reference()?,
                Some(b'\r') => self.replace(self.line_end(), '\n'),
                _ => return Err(Fault::NotWellFormed),
            }
        }
    }

    fn cdata(&mut self) -> Result<(), Fault> {
        self.at += CDATA.len();
        let length = memmem::find(self.rest(), CDATA_END).ok_or(Fault::NotWellFormed)?;
        let content = self.rest().get(..length).map(std::str::from_utf8);
        let Some(Ok(content)) = content else { return Err(Fault::NotWellFormed) };
        if !content.chars().all(scan::is_char) {
            return Err(Fault::NotWellFormed);
        }
        let mut lines = content.split('\r');
        let mut made = lines.next().unwrap_or_default().to_owned();
        for line in lines {
            made.push('\n');
            made.push_str(line.strip_prefix('\n').unwrap_or(line));
        }
        self.tree.made.push_str(&made);
        self.at += length + CDATA_END.len();
        Ok(())
    }

    fn begins(&self, with: &[u8]) -> bool {
        self.rest().starts_with(with)
    }

    /// Passes over one character, if it is one that XML has.
    fn character(&mut self) -> Result<(), Fault> {
        self.at += scan::character(self.rest()).ok_or(Fault::NotWellFormed)?;
        Ok(())
    }

    fn reference(&mut self) -> Result<(), Fault> {
        let name = self.rest().get(1..=LONGEST_REFERENCE).unwrap_or_else(|| self.rest().get(1..).unwrap_or_default());
        let length = name.iter().position(|&byte| byte == b';').ok_or(Fault::NotWellFormed)?;
        let name = name.get(..length).and_then(|name| std::str::from_utf8(name).ok());
        let meant = name.and_then(scan::reference).ok_or(Fault::NotWellFormed)?;
        self.replace(length + 2, meant);
        Ok(())
    }

    /// How long the line end is that begins with a carriage return (XML 1.0 §2.11).
    fn line_end(&self) -> usize {
        if self.begins(b"\r\n") { 2 } else { 1 }
    }

    fn replace(&mut self, length: usize, by: char) {
        self.at += length;
        self.tree.made.push(by);
    }

    /// Adds what was passed over since `from`. What is no UTF-8 is left out: nobody will look at it.
    fn copy(&mut self, from: usize) {
        let passed = self.bytes.get(from..self.at).unwrap_or_default();
        self.tree.made.push_str(std::str::from_utf8(passed).unwrap_or_default());
    }
}
