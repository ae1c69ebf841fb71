//! Text dumps of Mnesia tables: Erlang terms, each with a dot behind it, as `file:consult/1` reads them. Read as data,
//! never evaluated.
//!
//! A dump of a whole database holds terms that can only be shown and not read (processes, functions): a term is cut out
//! first, by its quotes and its dot, and only those that are wanted are read.

use std::io::{self, BufRead};

use super::bytes::{Bounded, Bytes};

/// Terms may stand so deep in one another.
const MAX_DEPTH: u32 = 128;

/// Why a dump cannot be read to its end. Says nothing of its content.
#[derive(Debug, thiserror::Error)]
pub enum ErlangError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It ends in the middle.
    #[error("is cut short: it ends within a term, which begins on line {line}; make the dump once more")]
    CutShort {
        /// Where that begins.
        line: u64,
    },
}

/// An Erlang term, as far as stores have them.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Term {
    Atom(Vec<u8>),
    Number(i128),
    /// A binary, or a string.
    Text(Vec<u8>),
    Tuple(Vec<Self>),
    List(Vec<Self>),
}

impl Term {
    /// The elements of a tuple that begins with this atom, without it.
    pub(super) fn record(&self, name: &str) -> Option<&[Self]> {
        match self {
            Self::Tuple(elements) => match elements.split_first()? {
                (Self::Atom(atom), fields) if atom == name.as_bytes() => Some(fields),
                _ => None,
            },
            _ => None,
        }
    }

    /// The text, if it is one, in UTF-8.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }

    /// The elements, if it is a list; `[]` and `""` are the same.
    pub(super) fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(elements) => Some(elements),
            Self::Text(text) if text.is_empty() => Some(&[]),
            _ => None,
        }
    }
}

/// A term of a dump that begins like a record of the wanted table.
pub(super) struct Form {
    /// The line that it begins on.
    pub(super) line: u64,
    /// `None` if it cannot be read, or is too long.
    pub(super) term: Option<Term>,
}

/// Reads a dump to its end and calls `take` with each term that begins like a record of this table. Says whether the
/// dump says itself that it is one of this table, or holds a record of it.
///
/// # Errors
/// It cannot be read, or ends in the middle of a term.
pub(super) fn read(input: impl BufRead, table: &str, mut take: impl FnMut(Form)) -> Result<bool, ErlangError> {
    let mut bytes = Bytes::new(input);
    let mut found = false;
    let start = [b"{", table.as_bytes(), b","].concat();
    loop {
        let (line, form, start_of_form) = match cut(&mut bytes) {
            Ok(Some(cut)) => cut,
            Ok(None) => return Ok(found),
            // What never looked like a dump is none.
            Err(ErlangError::CutShort { .. }) if !found => return Ok(false),
            Err(error) => return Err(error),
        };
        if start_of_form.starts_with(&start) {
            found = true;
            take(Form { line, term: form.and_then(|form| parse(&form)) });
        } else if start_of_form.starts_with(b"{tables,") {
            let term = form.as_deref().and_then(parse);
            let tables = term.as_ref().and_then(|term| term.record("tables")).and_then(<[Term]>::first);
            let mut tables = tables.and_then(Term::list).unwrap_or_default().iter();
            found |= tables.any(|known| known.record(table).is_some());
        }
    }
}

/// The line it begins on, the term if it is not too long, and its beginning without white space.
type Cut = (u64, Option<Vec<u8>>, Vec<u8>);

/// Cuts out the next term, without its dot. `None` at the end.
fn cut<R: BufRead>(bytes: &mut Bytes<R>) -> Result<Option<Cut>, ErlangError> {
    loop {
        bytes.take_while(0, |byte| byte.is_ascii_whitespace())?;
        if bytes.peek()? != Some(b'%') {
            break;
        }
        bytes.take_while(0, |byte| byte != b'\n')?;
    }
    let line = bytes.line();
    if bytes.peek()?.is_none() {
        return Ok(None);
    }
    let (mut form, mut start, mut before) = (Bounded::default(), Vec::new(), b' ');
    loop {
        let Some(byte) = bytes.next()? else { return Err(ErlangError::CutShort { line }) };
        let ends = bytes.peek()?.is_none_or(|next| next.is_ascii_whitespace() || next == b'%');
        if byte == b'.' && ends {
            return Ok(Some((line, form.whole(), start)));
        }
        form.push(byte);
        if start.len() < 256 && !byte.is_ascii_whitespace() {
            start.push(byte);
        }
        match byte {
            b'"' | b'\'' => quoted(bytes, &mut form, byte, line)?,
            // A character: it may be a quote. In `a$` it is part of a name, which nobody writes unquoted.
            b'$' if !before.is_ascii_alphanumeric() => {
                let Some(character) = bytes.next()? else { return Err(ErlangError::CutShort { line }) };
                form.push(character);
                if character == b'\\' {
                    form.extend(bytes.next()?.as_slice());
                }
            }
            _ => {}
        }
        before = byte;
    }
}

fn quoted<R: BufRead>(bytes: &mut Bytes<R>, form: &mut Bounded, quote: u8, line: u64) -> Result<(), ErlangError> {
    loop {
        let Some(byte) = bytes.next()? else { return Err(ErlangError::CutShort { line }) };
        form.push(byte);
        if byte == quote {
            return Ok(());
        }
        if byte == b'\\' {
            let Some(escaped) = bytes.next()? else { return Err(ErlangError::CutShort { line }) };
            form.push(escaped);
        }
    }
}

/// Reads one term, without its dot.
pub(super) fn parse(text: &[u8]) -> Option<Term> {
    let mut reader = Reader { rest: text };
    let term = reader.term(0)?;
    reader.space();
    reader.rest.is_empty().then_some(term)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn eat(&mut self, wanted: &[u8]) -> bool {
        self.space();
        let Some(rest) = self.rest.strip_prefix(wanted) else { return false };
        self.rest = rest;
        true
    }

    fn term(&mut self, depth: u32) -> Option<Term> {
        self.space();
        if depth > MAX_DEPTH {
            return None;
        }
        match self.rest.first()? {
            b'{' => self.elements(b"{", b"}", depth).map(Term::Tuple),
            b'[' => self.elements(b"[", b"]", depth).map(Term::List),
            b'<' => self.binary().map(Term::Text),
            b'"' => self.string().map(Term::Text),
            b'\'' => {
                self.next();
                self.until(b'\'', false).map(Term::Atom)
            }
            b'-' | b'0'..=b'9' => self.number(),
            b'a'..=b'z' => {
                let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'@');
                let end = self.rest.iter().position(|byte| !is_name(byte)).unwrap_or(self.rest.len());
                let (name, rest) = self.rest.split_at(end);
                self.rest = rest;
                Some(Term::Atom(name.to_vec()))
            }
            _ => None,
        }
    }

    fn elements(&mut self, open: &[u8], close: &[u8], depth: u32) -> Option<Vec<Term>> {
        let mut elements = Vec::new();
        if !self.eat(open) {
            return None;
        }
        if self.eat(close) {
            return Some(elements);
        }
        loop {
            elements.push(self.term(depth + 1)?);
            if self.eat(close) {
                return Some(elements);
            }
            if !self.eat(b",") {
                return None;
            }
        }
    }

    /// `<<"text">>`, `<<"text"/utf8>>`, `<<1,2,3>>`, or long texts in several pieces.
    fn binary(&mut self) -> Option<Vec<u8>> {
        if !self.eat(b"<<") {
            return None;
        }
        let mut bytes = Vec::new();
        loop {
            if self.eat(b">>") {
                return Some(bytes);
            }
            self.space();
            match self.rest.first()? {
                b'"' => {
                    let start = self.rest;
                    let text = self.string()?;
                    if self.eat(b"/utf8") {
                        // Its escapes are characters, not bytes.
                        self.rest = start;
                        bytes.extend(self.strings(true)?);
                        self.eat(b"/utf8");
                    } else {
                        bytes.extend(text);
                    }
                }
                _ => match self.number()? {
                    Term::Number(byte) => bytes.push(u8::try_from(byte).ok()?),
                    _ => return None,
                },
            }
            self.eat(b",");
        }
    }

    /// `"text"`, or several of them in a row, which are one.
    fn string(&mut self) -> Option<Vec<u8>> {
        self.strings(false)
    }

    fn strings(&mut self, characters: bool) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        while self.eat(b"\"") {
            text.extend(self.until(b'"', characters)?);
        }
        Some(text)
    }

    /// What stands there up to a quote, without escapes (Erlang reference manual, "Escape Sequences"). The bytes of the
    /// file are the bytes of the binary, whatever the encoding it was shown in.
    fn until(&mut self, quote: u8, characters: bool) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        loop {
            let byte = match self.next()? {
                byte if byte == quote => return Some(text),
                b'\\' => self.escape()?,
                byte => {
                    text.push(byte);
                    continue;
                }
            };
            if characters {
                let mut buffer = [0; 4];
                text.extend(char::from_u32(byte)?.encode_utf8(&mut buffer).bytes());
            } else {
                text.push(u8::try_from(byte).ok()?);
            }
        }
    }

    fn escape(&mut self) -> Option<u32> {
        Some(match self.next()? {
            b'b' => 8,
            b'd' => 127,
            b'e' => 27,
            b'f' => 12,
            b'n' => 10,
            b'r' => 13,
            b's' => 32,
            b't' => 9,
            b'v' => 11,
            b'x' => {
                let mut code = 0_u32;
                let braces = self.rest.first() == Some(&b'{');
                if braces {
                    self.next();
                    loop {
                        match self.next()? {
                            b'}' => break,
                            digit => code = code.checked_mul(16)?.checked_add(char::from(digit).to_digit(16)?)?,
                        }
                    }
                } else {
                    for _ in 0..2 {
                        code = code * 16 + char::from(self.next()?).to_digit(16)?;
                    }
                }
                code
            }
            b'^' => u32::from(self.next()? & 0x1f),
            digit @ b'0'..=b'7' => {
                let mut code = u32::from(digit - b'0');
                for _ in 0..2 {
                    let Some(next @ b'0'..=b'7') = self.rest.first() else { break };
                    code = code * 8 + u32::from(next - b'0');
                    self.next();
                }
                code
            }
            other => u32::from(other),
        })
    }

    /// An integer; a fraction is cut off, none is wanted.
    fn number(&mut self) -> Option<Term> {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'+' | b'#' | b'_');
        let end = self.rest.iter().position(|byte| !is_part(byte)).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        let digits = std::str::from_utf8(digits).ok()?;
        let whole = digits.split('.').next().unwrap_or_default();
        whole.parse().ok().map(Term::Number)
    }
}

#[cfg(test)]
#[path = "erlang_tests.rs"]
mod tests;
