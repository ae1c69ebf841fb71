//! What Prosody's internal storage writes: `return { … };`, one serialised Lua table. Read as data, never run.
//!
//! The grammar is that of table constructors and literals (Lua 5.4 manual, §3.1, §3.4.9), without any expression but
//! `(1/0)` and its like, which stand for numbers that have no digits.

use super::tree::{Named, Table, Value};

/// Tables may stand so deep in one another. Prosody itself writes no deeper ones than 127.
const MAX_DEPTH: u32 = 128;

/// Where the text is none that such a store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotLua {
    /// The line; the first is 1.
    pub(super) line: u64,
}

/// Reads a file of the store.
///
/// # Errors
/// It is something else, or not whole.
pub(super) fn read(text: &[u8]) -> Result<Value, NotLua> {
    let mut reader = Reader { rest: text, line: 1 };
    reader.space();
    if reader.word() != b"return" {
        return Err(reader.wrong());
    }
    let value = reader.value(0)?;
    reader.space();
    reader.eat(b';');
    reader.space();
    if reader.rest.is_empty() { Ok(value) } else { Err(reader.wrong()) }
}

struct Reader<'a> {
    rest: &'a [u8],
    line: u64,
}

impl<'a> Reader<'a> {
    fn wrong(&self) -> NotLua {
        NotLua { line: self.line }
    }

    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        self.line += u64::from(first == b'\n');
        Some(first)
    }

    fn eat(&mut self, wanted: u8) -> bool {
        let is_next = self.peek() == Some(wanted);
        if is_next {
            self.next();
        }
        is_next
    }

    fn expect(&mut self, wanted: u8) -> Result<(), NotLua> {
        self.space();
        if self.eat(wanted) { Ok(()) } else { Err(self.wrong()) }
    }

    fn skip_while(&mut self, fits: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&fits) {
            self.next();
        }
    }

    /// White space and comments of one line.
    fn space(&mut self) {
        loop {
            self.skip_while(|byte| byte.is_ascii_whitespace());
            if !self.rest.starts_with(b"--") {
                return;
            }
            self.skip_while(|byte| byte != b'\n');
        }
    }

    fn word(&mut self) -> &'a [u8] {
        let all = self.rest;
        self.skip_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        all.get(..all.len() - self.rest.len()).unwrap_or_default()
    }

    fn value(&mut self, depth: u32) -> Result<Value, NotLua> {
        self.space();
        match self.peek() {
            Some(b'{') if depth < MAX_DEPTH => self.table(depth).map(Value::Table),
            Some(b'"' | b'\'') => self.text().map(Value::Text),
            Some(b'(') => self.endless(),
            Some(b'-' | b'.' | b'0'..=b'9') => self.number(),
            _ => match self.word() {
                b"true" => Ok(Value::Flag(true)),
                b"false" => Ok(Value::Flag(false)),
                b"nil" => Ok(Value::Nil),
                _ => Err(self.wrong()),
            },
        }
    }

    fn table(&mut self, depth: u32) -> Result<Table, NotLua> {
        self.expect(b'{')?;
        let mut table = Table::default();
        loop {
            self.space();
            let line = self.line;
            match self.peek() {
                Some(b'}') => {
                    self.next();
                    return Ok(table);
                }
                Some(b'[') => {
                    self.next();
                    let name = self.value(depth + 1)?;
                    self.expect(b']')?;
                    self.expect(b'=')?;
                    let value = self.value(depth + 1)?;
                    if let Value::Text(name) = name {
                        table.named.push(Named { line, name, value });
                    }
                }
                _ => match self.name() {
                    Some(name) => {
                        let value = self.value(depth + 1)?;
                        table.named.push(Named { line, name, value });
                    }
                    None => table.list.push(self.value(depth + 1)?),
                },
            }
            self.space();
            if !(self.eat(b';') || self.eat(b',')) && self.peek() != Some(b'}') {
                return Err(self.wrong());
            }
        }
    }

    /// `name =`, if that is what comes.
    fn name(&mut self) -> Option<Vec<u8>> {
        let (rest, line) = (self.rest, self.line);
        let name = self.word();
        self.space();
        if name.first().is_some_and(|first| !first.is_ascii_digit()) && self.eat(b'=') {
            return Some(name.to_vec());
        }
        (self.rest, self.line) = (rest, line);
        None
    }

    /// A text in quotes; an escape it cannot have is an error.
    fn text(&mut self) -> Result<Vec<u8>, NotLua> {
        let Some(quote) = self.next() else { return Err(self.wrong()) };
        let mut text = Vec::new();
        loop {
            match self.next() {
                None | Some(b'\n') => return Err(self.wrong()),
                Some(byte) if byte == quote => return Ok(text),
                Some(b'\\') => self.escape(&mut text)?,
                Some(byte) => text.push(byte),
            }
        }
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Result<(), NotLua> {
        let Some(byte) = self.next() else { return Err(self.wrong()) };
        text.push(match byte {
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'\\' | b'"' | b'\'' | b'\n' => byte,
            b'z' => {
                self.skip_while(|byte| byte.is_ascii_whitespace());
                return Ok(());
            }
            b'x' => {
                let digits = [self.digit(16)?, self.digit(16)?];
                u8::try_from(digits[0] * 16 + digits[1]).map_err(|_| self.wrong())?
            }
            b'0'..=b'9' => {
                let mut code = u32::from(byte - b'0');
                for _ in 0..2 {
                    if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                        code = code * 10 + self.digit(10)?;
                    }
                }
                u8::try_from(code).map_err(|_| self.wrong())?
            }
            _ => return Err(self.wrong()),
        });
        Ok(())
    }

    fn digit(&mut self, base: u32) -> Result<u32, NotLua> {
        let digit = self.next().and_then(|byte| char::from(byte).to_digit(base));
        digit.ok_or(self.wrong())
    }

    fn number(&mut self) -> Result<Value, NotLua> {
        let all = self.rest;
        self.skip_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.'));
        let digits = all.get(..all.len() - self.rest.len()).unwrap_or_default();
        let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        number.map(Value::Number).ok_or(self.wrong())
    }

    /// `(1/0)`, `(-1/0)`, `(0/0)`.
    fn endless(&mut self) -> Result<Value, NotLua> {
        for (text, number) in
            [(&b"(1/0)"[..], f64::INFINITY), (&b"(-1/0)"[..], f64::NEG_INFINITY), (&b"(0/0)"[..], f64::NAN)]
        {
            if let Some(rest) = self.rest.strip_prefix(text) {
                self.rest = rest;
                return Ok(Value::Number(number));
            }
        }
        Err(self.wrong())
    }
}

#[cfg(test)]
#[path = "lua_tests.rs"]
mod tests;
