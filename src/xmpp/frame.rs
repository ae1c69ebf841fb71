//! Cuts a stream of bytes into whole stanzas, before anything is parsed.
//!
//! One pass over the bytes, no tree, no copies: it only counts elements and knows where tags, quotes and CDATA end.
//! What exceeds a limit is skipped to its end tag in constant memory, however large its parts are, so that no stanza
//! can end the stream. What is wrong inside a stanza is left to the parser that reads it next (`read`).

use std::fmt;
use std::ops::Range;

use memchr::{memchr, memchr2, memmem};

pub use super::fault::{Excess, Fault, TooBig};
use super::head::Head;
use super::xml::Tree;
pub use super::xml::{MAX_ATTRIBUTES, MAX_DEPTH};

/// The longest stanza that is parsed, in bytes.
pub const MAX_STANZA: usize = 1024 * 1024;

/// The longest XML declaration or `<stream:stream>` tag, in bytes.
const MAX_HEADER: usize = 64 * 1024;
/// How much is read at once, in bytes.
const READ: usize = 64 * 1024;

/// A part of the stream.
#[derive(Clone, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The stream's start tag, whole.
    StreamOpen(&'a str),
    /// A stanza, or another child of the stream, whole.
    Stanza(&'a str),
    /// The same, and it has been parsed into the tree that was given.
    Parsed(&'a str),
    /// A stanza that was skipped.
    TooBig(TooBig),
    /// The stream's end tag. Nothing comes after it.
    StreamClose,
}

/// Shows no content: there are secrets and people's words in it.
impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StreamOpen(_) => f.write_str("StreamOpen(..)"),
            Self::Stanza(text) => write!(f, "Stanza({} bytes)", text.len()),
            Self::Parsed(text) => write!(f, "Parsed({} bytes)", text.len()),
            Self::TooBig(too_big) => write!(f, "TooBig({:?})", too_big.why),
            Self::StreamClose => f.write_str("StreamClose"),
        }
    }
}

/// The state between two reads. Its memory is bounded by [`MAX_STANZA`] and one read.
pub struct Framer {
    /// Initialised throughout; `start..end` is in use.
    buf: Vec<u8>,
    /// Where the frame under way begins.
    start: usize,
    /// The next byte to look at.
    pos: usize,
    /// Behind the last byte read.
    end: usize,
    /// Open elements, the stream included.
    level: usize,
    place: Place,
    /// Nothing came yet: an XML declaration may.
    untouched: bool,
    /// Attributes of the tag under way.
    attributes: usize,
    /// The length of the stanza's start tag, once it is there.
    tag_len: Option<usize>,
    /// Set while the stanza under way is skipped.
    skipped: Option<TooBig>,
    /// The stanza under way could not be parsed as it stood there: it is not tried again.
    tried: bool,
}

/// Where in the XML the next byte is.
#[derive(Clone, Copy, Debug)]
enum Place {
    Bom,
    Text,
    /// At a `<` whose meaning is not known yet.
    Markup,
    Tag,
    /// In an attribute's value, up to this quote.
    Value(u8),
    EndTag,
    Cdata,
    Declaration,
    Closed,
}

/// What one step of the scanner found.
enum Step {
    /// Look on.
    On,
    /// All bytes are looked at.
    Starved,
    Opened(Range<usize>),
    Stanza(Range<usize>),
    Skipped(TooBig),
    Closed,
}

impl Default for Framer {
    fn default() -> Self {
        Self::new()
    }
}

impl Framer {
    /// For a new stream.
    #[must_use]
    pub fn new() -> Self {
        Self {
            buf: vec![0; READ],
            start: 0,
            pos: 0,
            end: 0,
            level: 0,
            place: Place::Bom,
            untouched: true,
            attributes: 0,
            tag_len: None,
            skipped: None,
            tried: false,
        }
    }

    /// Room for the next read, never empty; tell [`Framer::filled`] how much was used. Take all frames first: what
    /// they borrow moves.
    pub fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            if self.buf.len() > 4 * READ {
                self.buf.truncate(READ);
                self.buf.shrink_to_fit();
            }
            self.shift(self.start);
        } else if self.start > 0 && self.buf.len() - self.end < READ / 2 {
            self.buf.copy_within(self.start..self.end, 0);
            self.shift(self.start);
        }
        if self.buf.len() - self.end < READ / 4 {
            self.buf.resize(self.buf.len() * 2, 0);
        }
        self.buf.get_mut(self.end..).unwrap_or_default()
    }

    /// The first `read` bytes of [`Framer::room`] were filled.
    pub fn filled(&mut self, read: usize) {
        self.end = (self.end + read).min(self.buf.len());
    }

    /// Takes bytes from a slice. For tests and benches; a socket reads into [`Framer::room`].
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self.room();
            let taken = bytes.len().min(room.len());
            let (now, later) = bytes.split_at(taken);
            if let Some(place) = room.get_mut(..taken) {
                place.copy_from_slice(now);
            }
            self.filled(taken);
            bytes = later;
        }
    }

    /// The next frame, or `None` until more was read.
    ///
    /// # Errors
    ///
    /// What came cannot be a stream; nothing after it means anything.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, Fault> {
        loop {
            match self.step()? {
                Step::On => {}
                Step::Starved => {
                    self.starved()?;
                    return Ok(None);
                }
                Step::Opened(range) => return Ok(Some(Frame::StreamOpen(self.text(range)?))),
                Step::Stanza(range) => return Ok(Some(Frame::Stanza(self.text(range)?))),
                Step::Skipped(too_big) => return Ok(Some(Frame::TooBig(too_big))),
                Step::Closed => return Ok(Some(Frame::StreamClose)),
            }
        }
    }

    /// As [`next_frame`](Self::next_frame), but a stanza that is here whole is looked at once only: parsed where it
    /// stands, its end is found by the way. What cannot be parsed so, for it has not all come yet or breaks a limit, is
    /// cut out first as ever; so what is refused, and how, is one place's to say.
    ///
    /// # Errors
    ///
    /// As `next_frame`.
    pub fn next_parsed(&mut self, tree: &mut Tree) -> Result<Option<Frame<'_>>, Fault> {
        match self.parsed(tree) {
            Some(range) => Ok(Some(Frame::Parsed(self.text(range)?))),
            None => self.next_frame(),
        }
    }

    fn parsed(&mut self, tree: &mut Tree) -> Option<Range<usize>> {
        if !matches!(self.place, Place::Text) || self.level != 1 || self.tried {
            return None;
        }
        let unseen = self.buf.get(self.pos..self.end).unwrap_or_default();
        let begin = self.pos + unseen.iter().position(|byte| !byte.is_ascii_whitespace())?;
        let stanza = self.buf.get(begin..self.end).unwrap_or_default();
        // What would be a second stream is none of ours to judge.
        let parsed = if stanza.starts_with(b"<stream:stream") { None } else { tree.parse_at(stanza, 0).ok() };
        let Some(end) = parsed.filter(|&length| length <= MAX_STANZA).map(|length| begin + length) else {
            self.tried = true;
            return None;
        };
        self.untouched = false;
        (self.start, self.pos) = (end, end);
        Some(begin..end)
    }

    fn shift(&mut self, by: usize) {
        self.start -= by;
        self.pos -= by;
        self.end -= by;
    }

    fn text(&self, range: Range<usize>) -> Result<&str, Fault> {
        std::str::from_utf8(self.buf.get(range).unwrap_or_default()).map_err(|_| Fault::BadEncoding)
    }

    /// Everything read was looked at: is what waits for its end still within the limits?
    fn starved(&mut self) -> Result<(), Fault> {
        let waiting = self.end - self.start;
        if self.skipped.is_some() {
            self.start = self.pos;
        } else if self.level == 0 && waiting > MAX_HEADER {
            return Err(Fault::BadFormat);
        } else if waiting > MAX_STANZA {
            self.skip(Excess::Size);
            self.start = self.pos;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<Step, Fault> {
        let unseen = self.buf.get(self.pos..self.end).unwrap_or_default();
        match self.place {
            Place::Bom => {
                const BOM: &[u8] = b"\xef\xbb\xbf";
                if unseen.starts_with(BOM) {
                    self.pos += BOM.len();
                } else if BOM.starts_with(unseen) {
                    return Ok(Step::Starved);
                }
                self.start = self.pos;
                self.place = Place::Text;
                Ok(Step::On)
            }
            Place::Text if self.level < 2 => {
                let Some(at) = unseen.iter().position(|byte| !byte.is_ascii_whitespace()) else {
                    self.untouched &= unseen.is_empty();
                    self.pos = self.end;
                    self.start = self.end;
                    return Ok(Step::Starved);
                };
                match unseen.get(at) {
                    Some(b'<') => {}
                    Some(0x80..=0xc1 | 0xf5..) => return Err(Fault::BadEncoding),
                    _ => return Err(if self.level == 0 { Fault::NotWellFormed } else { Fault::BadFormat }),
                }
                self.untouched &= at == 0;
                self.pos += at;
                self.start = self.pos;
                self.tag_len = None;
                self.place = Place::Markup;
                Ok(Step::On)
            }
            Place::Text => match memchr(b'<', unseen) {
                Some(at) => {
                    self.pos += at;
                    self.place = Place::Markup;
                    Ok(Step::On)
                }
                None => Ok(self.wait_at(self.end)),
            },
            Place::Markup => self.markup(),
            Place::Tag => self.tag(),
            Place::Value(quote) => match memchr2(quote, b'<', unseen) {
                Some(at) if unseen.get(at) == Some(&quote) => {
                    self.pos += at + 1;
                    self.place = Place::Tag;
                    Ok(Step::On)
                }
                Some(_) => Err(Fault::NotWellFormed),
                None => Ok(self.wait_at(self.end)),
            },
            Place::EndTag => match memchr2(b'>', b'<', unseen) {
                Some(at) if unseen.get(at) == Some(&b'>') => {
                    self.pos += at + 1;
                    self.element_ended()
                }
                Some(_) => Err(Fault::NotWellFormed),
                None => Ok(self.wait_at(self.end)),
            },
            Place::Cdata => match memmem::find(unseen, b"]]>") {
                Some(at) => {
                    self.pos += at + 3;
                    self.place = Place::Text;
                    Ok(Step::On)
                }
                // The first two bytes of its end may be here already.
                None => Ok(self.wait_at(self.pos.max(self.end.saturating_sub(2)))),
            },
            Place::Declaration => match memmem::find(unseen, b"?>") {
                Some(at) => {
                    if names_other_encoding(unseen.get(..at).unwrap_or_default()) {
                        return Err(Fault::BadEncoding);
                    }
                    self.pos += at + 2;
                    self.start = self.pos;
                    self.place = Place::Text;
                    Ok(Step::On)
                }
                None => Ok(Step::Starved),
            },
            Place::Closed => {
                self.pos = self.end;
                self.start = self.end;
                Ok(Step::Starved)
            }
        }
    }

    fn wait_at(&mut self, pos: usize) -> Step {
        self.pos = pos;
        Step::Starved
    }

    /// At a `<`.
    fn markup(&mut self) -> Result<Step, Fault> {
        const CDATA: &[u8] = b"<![CDATA[";
        const DECLARATION: &[u8] = b"<?xml";
        let unseen = self.buf.get(self.pos..self.end).unwrap_or_default();
        let may_declare = self.untouched;
        let (place, length) = match (unseen.get(1), unseen.get(2)) {
            (None, _) | (Some(b'!'), None) => return Ok(Step::Starved),
            (Some(b'/'), _) => (Place::EndTag, 2),
            (Some(b'?'), _) if may_declare => match unseen.get(DECLARATION.len()) {
                Some(byte) if byte.is_ascii_whitespace() && unseen.starts_with(DECLARATION) => {
                    (Place::Declaration, DECLARATION.len())
                }
                None if DECLARATION.starts_with(unseen) => return Ok(Step::Starved),
                _ => return Err(Fault::Restricted),
            },
            (Some(b'?'), _) => return Err(Fault::Restricted),
            (Some(b'!'), Some(b'[')) if self.level < 2 => return Err(Fault::BadFormat),
            (Some(b'!'), Some(b'[')) if unseen.starts_with(CDATA) => (Place::Cdata, CDATA.len()),
            (Some(b'!'), Some(b'[')) if CDATA.starts_with(unseen) => return Ok(Step::Starved),
            (Some(b'!'), Some(b'[')) => return Err(Fault::NotWellFormed),
            (Some(b'!'), Some(_)) => return Err(Fault::Restricted),
            (Some(_), _) => (Place::Tag, 1),
        };
        self.untouched = false;
        self.attributes = 0;
        self.pos += length;
        self.place = place;
        Ok(Step::On)
    }

    /// In a start tag, outside of values.
    fn tag(&mut self) -> Result<Step, Fault> {
        let unseen = self.buf.get(self.pos..self.end).unwrap_or_default();
        let special = |byte: &u8| matches!(byte, b'>' | b'"' | b'\'' | b'/' | b'<');
        let Some(at) = unseen.iter().position(special) else {
            return Ok(self.wait_at(self.end));
        };
        match (unseen.get(at), unseen.get(at + 1)) {
            (Some(b'>'), _) => {
                self.pos += at + 1;
                self.tag_ended(false)
            }
            (Some(b'/'), Some(b'>')) => {
                self.pos += at + 2;
                self.tag_ended(true)
            }
            (Some(b'/'), None) => Ok(self.wait_at(self.pos + at)),
            (Some(&quote @ (b'"' | b'\'')), _) => {
                self.attributes = self.attributes.saturating_add(1);
                self.pos += at + 1;
                self.place = Place::Value(quote);
                Ok(Step::On)
            }
            _ => Err(Fault::NotWellFormed),
        }
    }

    fn tag_ended(&mut self, empty: bool) -> Result<Step, Fault> {
        self.place = Place::Text;
        if self.level == 0 {
            if empty || self.pos - self.start > MAX_HEADER {
                return Err(Fault::BadFormat);
            }
            self.level = 1;
            return Ok(Step::Opened(self.start..self.pos));
        }
        if self.level == 1 {
            self.tag_len = Some(self.pos - self.start);
            // A second stream inside the stream would swallow all that follows, as a stanza without an end.
            let tag = self.buf.get(self.start..self.pos).unwrap_or_default();
            let rest = tag.strip_prefix(b"<stream:stream").and_then(|rest| rest.first());
            if rest.is_some_and(|byte| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/')) {
                return Err(Fault::BadFormat);
            }
        }
        if self.attributes > MAX_ATTRIBUTES {
            self.skip(Excess::Attributes);
        } else if self.level > MAX_DEPTH {
            self.skip(Excess::Depth);
        }
        self.level += 1;
        if empty { self.element_ended() } else { Ok(Step::On) }
    }

    fn element_ended(&mut self) -> Result<Step, Fault> {
        self.place = Place::Text;
        match self.level {
            0 => return Err(Fault::NotWellFormed),
            1 => {
                self.place = Place::Closed;
                return Ok(Step::Closed);
            }
            2 => {}
            _ => {
                self.level -= 1;
                return Ok(Step::On);
            }
        }
        self.level = 1;
        self.tried = false;
        if self.skipped.is_none() && self.pos - self.start > MAX_STANZA {
            self.skip(Excess::Size);
        }
        let range = self.start..self.pos;
        self.start = self.pos;
        Ok(self.skipped.take().map_or(Step::Stanza(range), Step::Skipped))
    }

    /// From here on the stanza under way is skipped; what its start tag says is kept. Says the same however the
    /// bytes were split: a limit that is broken beyond the largest size is the size.
    fn skip(&mut self, why: Excess) {
        if self.skipped.is_some() {
            return;
        }
        let seen = self.buf.get(self.start..self.end).unwrap_or_default();
        let tag = seen.get(..self.tag_len.unwrap_or(MAX_STANZA).min(MAX_STANZA)).unwrap_or(seen);
        let why = if self.pos - self.start > MAX_STANZA { Excess::Size } else { why };
        self.skipped = Some(TooBig { head: Head::read(tag), why });
    }
}

/// Whether an XML declaration names an encoding other than UTF-8.
fn names_other_encoding(declaration: &[u8]) -> bool {
    let Some(at) = memmem::find(declaration, b"encoding") else { return false };
    let after = declaration.get(at..).unwrap_or_default();
    let mut quoted = after.split(|byte| matches!(byte, b'\'' | b'"'));
    quoted.nth(1).is_none_or(|encoding| !encoding.eq_ignore_ascii_case(b"utf-8"))
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
