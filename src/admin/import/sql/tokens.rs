//! What statements are made of.

use std::io::BufRead;

use super::{Dump, MAX_NAME, Row, SqlError, values};
use crate::admin::import::bytes::Bounded;

/// A small part of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A keyword, a name or a number, as it stands there.
    Word(String),
    /// A name in quotes.
    Name(String),
    /// A text; `None` if it was too long.
    Text(Option<Vec<u8>>),
    /// Anything else.
    Sign(u8),
    /// `;`, or the end of the file: `true`.
    End(bool),
}

impl Token {
    pub(super) fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    pub(super) fn into_name(self) -> Option<String> {
        match self {
            Self::Word(name) | Self::Name(name) => Some(name),
            _ => None,
        }
    }
}

impl<R: BufRead, F: FnMut(Row<'_>)> Dump<'_, R, F> {
    /// White space and comments.
    pub(super) fn space(&mut self) -> Result<(), SqlError> {
        loop {
            self.bytes.take_while(0, |byte| byte.is_ascii_whitespace())?;
            match self.bytes.peek()? {
                Some(b'-') => {
                    // One of them is a minus: there is nothing else that begins so, where space may be.
                    self.bytes.next()?;
                    if self.bytes.peek()? != Some(b'-') {
                        return Ok(());
                    }
                    let comment = self.bytes.take_while(256, |byte| byte != b'\n')?;
                    self.mysql |= names_mysql(&comment);
                }
                Some(b'#') if self.mysql => {
                    self.bytes.take_while(0, |byte| byte != b'\n')?;
                }
                Some(b'/') => {
                    let line = self.bytes.line();
                    self.bytes.next()?;
                    if self.bytes.eat(b'*')? {
                        // `/*!…*/` is MySQL's own.
                        self.mysql |= self.bytes.peek()? == Some(b'!');
                        self.comment(line)?;
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    fn comment(&mut self, line: u64) -> Result<(), SqlError> {
        loop {
            match self.bytes.next()? {
                None => return self.cut_short("a comment", line),
                Some(b'*') if self.bytes.eat(b'/')? => return Ok(()),
                Some(_) => {}
            }
        }
    }

    pub(super) fn token(&mut self) -> Result<Token, SqlError> {
        self.space()?;
        let line = self.bytes.line();
        let Some(byte) = self.bytes.peek()? else { return Ok(Token::End(true)) };
        if is_in_word(byte) {
            let word = self.bytes.take_while(MAX_NAME, is_in_word)?;
            let word = String::from_utf8_lossy(&word).into_owned();
            if self.bytes.peek()? == Some(b'\'') {
                self.bytes.next()?;
                return self.prefixed(&word, line);
            }
            return Ok(Token::Word(word));
        }
        self.bytes.next()?;
        Ok(match byte {
            b';' => Token::End(false),
            b'\'' => Token::Text(self.text(b'\'', self.mysql, line)?),
            b'"' | b'`' => {
                self.mysql |= byte == b'`';
                let name = self.text(byte, false, line)?.unwrap_or_default();
                Token::Name(String::from_utf8_lossy(&name).into_owned())
            }
            b'[' => {
                let name = self.bytes.take_while(MAX_NAME, |byte| byte != b']')?;
                self.bytes.next()?;
                Token::Name(String::from_utf8_lossy(&name).into_owned())
            }
            b'$' if !self.mysql => {
                self.dollars(line)?;
                Token::Sign(b'$')
            }
            sign => Token::Sign(sign),
        })
    }

    /// What stands between these quotes; doubled, they mean themselves. `None` if it is too long.
    pub(super) fn text(&mut self, quote: u8, escapes: bool, line: u64) -> Result<Option<Vec<u8>>, SqlError> {
        let mut text = Bounded::default();
        loop {
            match self.bytes.next()? {
                None => return self.cut_short("a text", line),
                Some(byte) if byte == quote => {
                    if !self.bytes.eat(quote)? {
                        return Ok(text.whole());
                    }
                    text.push(quote);
                }
                Some(b'\\') if escapes => match self.bytes.next()? {
                    None => return self.cut_short("a text", line),
                    Some(byte) => text.push(values::unescaped(byte)),
                },
                Some(byte) => text.push(byte),
            }
        }
    }

    /// PostgreSQL's `$tag$…$tag$`, in functions. A `$` that begins none is a sign like others.
    fn dollars(&mut self, line: u64) -> Result<(), SqlError> {
        let tag = self.bytes.take_while(MAX_NAME, is_in_word)?;
        if !self.bytes.eat(b'$')? {
            return Ok(());
        }
        loop {
            match self.bytes.next()? {
                None => return self.cut_short("a text", line),
                Some(b'$') => {
                    let end = self.bytes.take_while(MAX_NAME, is_in_word)?;
                    if end == tag && self.bytes.eat(b'$')? {
                        return Ok(());
                    }
                }
                Some(_) => {}
            }
        }
    }
}

fn is_in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// Whether the first lines of a dump are those of a tool of MySQL or MariaDB.
fn names_mysql(comment: &[u8]) -> bool {
    let comment = String::from_utf8_lossy(comment).to_ascii_lowercase();
    ["mysql dump", "mariadb dump", "phpmyadmin"].iter().any(|name| comment.contains(name))
}
