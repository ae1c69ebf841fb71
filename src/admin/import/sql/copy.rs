//! PostgreSQL's `COPY … FROM stdin`.

use std::io::BufRead;

use super::tokens::Token;
use super::{Dump, MAX_COLUMNS, Row, SqlError, Value};
use crate::admin::import::bytes::Bounded;

impl<R: BufRead, F: FnMut(Row<'_>)> Dump<'_, R, F> {
    /// `COPY name [(column, …)] FROM stdin …;`, then a line for each row, then `\.`
    pub(super) fn copy(&mut self, line: u64) -> Result<(), SqlError> {
        let (name, next) = self.name()?;
        let (columns, mut next) = self.names(next)?;
        let mut from_here = false;
        loop {
            match next {
                Token::End(false) => break,
                Token::End(true) => return self.cut_short("COPY", line),
                next => from_here |= next.is("stdin"),
            }
            next = self.token()?;
        }
        if !from_here {
            return Ok(());
        }
        let wanted = self.is_wanted(name.as_deref());
        self.found |= wanted;
        self.bytes.take_while(0, |byte| byte != b'\n')?;
        self.bytes.next()?;
        loop {
            let at = self.bytes.line();
            let Some(fields) = self.fields()? else { return self.cut_short("COPY", line) };
            if let [Field { text, .. }] = fields.as_slice()
                && text.as_deref() == Some(b"\\.")
            {
                return Ok(());
            }
            if wanted {
                let values: Vec<Value> = fields.into_iter().map(Field::value).collect();
                let columns = columns.clone().unwrap_or_else(|| self.usual(values.len()));
                (self.take)(Row { line: at, columns: &columns, values: &values });
            }
        }
    }

    /// The fields of a line, as they stand there; `None` if the file ends before the line does.
    fn fields(&mut self) -> Result<Option<Vec<Field>>, SqlError> {
        let (mut fields, mut field) = (Vec::new(), Bounded::default());
        loop {
            match self.bytes.next()? {
                None => return Ok(None),
                Some(end @ (b'\t' | b'\n')) => {
                    let text = std::mem::take(&mut field).whole();
                    if fields.len() < MAX_COLUMNS {
                        fields.push(Field { text });
                    }
                    if end == b'\n' {
                        return Ok(Some(fields));
                    }
                }
                Some(byte) => field.push(byte),
            }
        }
    }
}

/// What stands between two tabs; `None` if it is too long.
struct Field {
    text: Option<Vec<u8>>,
}

impl Field {
    /// Without its escapes (PostgreSQL manual, "COPY", text format).
    fn value(self) -> Value {
        let Some(text) = self.text else { return Value::Unreadable };
        if text == b"\\N" {
            return Value::Null;
        }
        let mut out = Vec::with_capacity(text.len());
        let mut rest = text.iter().copied().peekable();
        while let Some(byte) = rest.next() {
            if byte != b'\\' {
                out.push(byte);
                continue;
            }
            match rest.next() {
                Some(b'f') => out.push(12),
                Some(b'v') => out.push(11),
                Some(b'x') => {
                    let digit = |byte: &u8| byte.is_ascii_hexdigit();
                    let mut code = 0_u32;
                    for _ in 0..2 {
                        let Some(next) = rest.next_if(digit) else { break };
                        code = code * 16 + char::from(next).to_digit(16).unwrap_or_default();
                    }
                    out.extend(u8::try_from(code));
                }
                Some(octal @ b'0'..=b'7') => {
                    let mut code = u32::from(octal - b'0');
                    for _ in 0..2 {
                        let Some(next) = rest.next_if(|byte| matches!(byte, b'0'..=b'7')) else { break };
                        code = code * 8 + u32::from(next - b'0');
                    }
                    out.extend(u8::try_from(code & 0xff));
                }
                Some(byte) => out.push(super::values::unescaped(byte)),
                None => return Value::Unreadable,
            }
        }
        String::from_utf8(out).map_or(Value::Unreadable, Value::Text)
    }
}
