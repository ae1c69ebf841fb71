//! The values of an `INSERT`.

use std::io::BufRead;

use super::tokens::Token;
use super::{Dump, MAX_COLUMNS, Row, SqlError, Value};
use crate::admin::import::bytes::Bounded;

/// So deep functions may stand in one another.
const MAX_DEPTH: u32 = 8;

impl<R: BufRead, F: FnMut(Row<'_>)> Dump<'_, R, F> {
    /// What stands in parentheses, the first of which is taken already.
    pub(super) fn values(&mut self, line: u64) -> Result<Vec<Value>, SqlError> {
        let mut values = Vec::new();
        loop {
            let (value, end) = self.value(line, 0)?;
            if values.len() < MAX_COLUMNS {
                values.push(value.map_or(Value::Unreadable, Found::into_value));
            }
            if end == b')' {
                return Ok(values);
            }
        }
    }

    /// One value, and the `,` or `)` behind it. `None` is a value that cannot be read.
    fn value(&mut self, line: u64, depth: u32) -> Result<(Option<Found>, u8), SqlError> {
        let (mut found, mut parts) = (None, 0_usize);
        loop {
            let token = self.token()?;
            let part = match token {
                Token::End(_) => return self.cut_short("a row", line),
                Token::Sign(end @ (b',' | b')')) => return Ok((found.filter(|_| parts == 1), end)),
                // `'…'::text`: the type says nothing.
                Token::Sign(b':') => {
                    let end = self.past_value(line)?;
                    return Ok((found.filter(|_| parts == 1), end));
                }
                // A function, of the word before; or one value in parentheses.
                Token::Sign(b'(') => {
                    let arguments = self.arguments(line, depth)?;
                    let function = match found.take() {
                        Some(Found::Word(word)) if parts == 1 => word,
                        _ => String::new(),
                    };
                    parts = 0;
                    arguments.and_then(|arguments| call(&function, arguments))
                }
                Token::Text(text) => {
                    // A word before it names its character set (MySQL).
                    if matches!(&found, Some(Found::Word(word)) if word.starts_with('_')) {
                        parts = 0;
                    }
                    text.map(Found::Text)
                }
                Token::Word(word) => Some(Found::Word(word)),
                Token::Name(_) | Token::Sign(_) => None,
            };
            found = part;
            parts += 1;
        }
    }

    /// The arguments of a function; `None` if they cannot be read, or stand too deep.
    fn arguments(&mut self, line: u64, depth: u32) -> Result<Option<Vec<Found>>, SqlError> {
        if depth >= MAX_DEPTH {
            let mut open = 1_u32;
            while open > 0 {
                match self.token()? {
                    Token::End(_) => return self.cut_short("a row", line),
                    Token::Sign(b'(') => open = open.saturating_add(1),
                    Token::Sign(b')') => open -= 1,
                    _ => {}
                }
            }
            return Ok(None);
        }
        let (mut arguments, mut readable) = (Vec::new(), true);
        loop {
            let (value, end) = self.value(line, depth + 1)?;
            readable &= value.is_some() && arguments.len() < MAX_COLUMNS;
            arguments.extend(value.filter(|_| readable));
            if end == b')' {
                return Ok(readable.then_some(arguments));
            }
        }
    }

    /// Everything up to the `,` or `)` behind this value.
    fn past_value(&mut self, line: u64) -> Result<u8, SqlError> {
        let mut open = 0_u32;
        loop {
            match self.token()? {
                Token::End(_) => return self.cut_short("a row", line),
                Token::Sign(end @ (b',' | b')')) if open == 0 => return Ok(end),
                Token::Sign(b'(') => open = open.saturating_add(1),
                Token::Sign(b')') => open -= 1,
                _ => {}
            }
        }
    }

    /// A text with something before its first quote, which is taken already: `E'…'`, `X'…'`, `_utf8mb4'…'`.
    pub(super) fn prefixed(&mut self, prefix: &str, line: u64) -> Result<Token, SqlError> {
        let escapes = self.mysql || prefix.eq_ignore_ascii_case("E");
        let text = self.text(b'\'', escapes, line)?;
        let is_hex = prefix.eq_ignore_ascii_case("X");
        Ok(Token::Text(if is_hex { text.and_then(|digits| unhex(&digits)) } else { text }))
    }
}

/// Something that was read.
enum Found {
    Text(Vec<u8>),
    /// `NULL`, a number, a name.
    Word(String),
}

impl Found {
    fn into_value(self) -> Value {
        match self {
            Self::Text(text) => String::from_utf8(text).map_or(Value::Unreadable, Value::Text),
            Self::Word(word) if word.eq_ignore_ascii_case("NULL") => Value::Null,
            Self::Word(word) => match word.strip_prefix("0x") {
                Some(digits) => {
                    unhex(digits.as_bytes()).map_or(Value::Unreadable, |text| Self::Text(text).into_value())
                }
                None => Value::Text(word),
            },
        }
    }

    fn text(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text,
            Self::Word(word) => word.into_bytes(),
        }
    }
}

/// What `sqlite3 .dump` puts around text with line breaks: `replace(text, '\n', char(10))`, and `unistr('…\u000a…')` from
/// 3.50 on. Nothing around a value is the value, and a word before a text names its character set (MySQL).
fn call(function: &str, arguments: Vec<Found>) -> Option<Found> {
    let mut texts = arguments.into_iter().map(Found::text);
    let (first, second, third) = (texts.next()?, texts.next(), texts.next());
    match (function.to_ascii_lowercase().as_str(), second, third, texts.next()) {
        ("replace", Some(what), Some(with), None) => replace(&first, &what, &with).map(Found::Text),
        ("char", None, None, None) => {
            let code = std::str::from_utf8(&first).ok()?.parse().ok().and_then(char::from_u32)?;
            Some(Found::Text(code.to_string().into_bytes()))
        }
        ("unistr", None, None, None) => unistr(&first).map(Found::Text),
        ("", None, None, None) => Some(Found::Text(first)),
        _ => None,
    }
}

fn replace(text: &[u8], what: &[u8], with: &[u8]) -> Option<Vec<u8>> {
    if what.is_empty() {
        return Some(text.to_vec());
    }
    let (mut out, mut rest) = (Bounded::default(), text);
    while let Some((&first, behind)) = rest.split_first() {
        rest = match rest.strip_prefix(what) {
            Some(behind) => {
                out.extend(with);
                behind
            }
            None => {
                out.push(first);
                behind
            }
        };
    }
    out.whole()
}

/// <https://sqlite.org/lang_corefunc.html#unistr>
fn unistr(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('\\') {
        out.push_str(before);
        let (skip, digits) = match behind.as_bytes().first()? {
            b'\\' => {
                out.push('\\');
                rest = behind.get(1..)?;
                continue;
            }
            b'u' => (1, 4),
            b'U' => (1, 8),
            b'+' => (1, 6),
            _ => (0, 4),
        };
        let code = u32::from_str_radix(behind.get(skip..skip + digits)?, 16).ok()?;
        out.push(char::from_u32(code)?);
        rest = behind.get(skip + digits..)?;
    }
    out.push_str(rest);
    Some(out.into_bytes())
}

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let pair = |pair: &[u8]| match *pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    digits.chunks(2).map(pair).collect()
}

/// The byte that one behind a backslash means (MySQL 8 manual, "String Literals"; the same for what PostgreSQL writes).
pub(super) fn unescaped(byte: u8) -> u8 {
    match byte {
        b'0' => 0,
        b'b' => 8,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'Z' => 26,
        other => other,
    }
}
