//! Dumps of SQL databases, as text: the rows of one table. Knows what `sqlite3 .dump`, Python's `iterdump`, `pg_dump`
//! (COPY and `--inserts`) and `mysqldump` write, and passes over the rest.
//!
//! It reads values, not SQL: of a row whose values are more than literals (and the few functions that `sqlite3 .dump`
//! puts around text), the value counts as unreadable.

use std::io::{self, BufRead};

use super::bytes::{Bounded, Bytes};

mod copy;
mod values;

/// A column may have such a name.
const MAX_NAME: usize = 128;
/// A table may have so many columns.
const MAX_COLUMNS: usize = 64;

/// Why a dump cannot be read to its end. Says nothing of its content.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It ends in the middle.
    #[error("is cut short: it ends within {what}, which begins on line {line}; make the dump once more")]
    CutShort {
        /// In the middle of what.
        what: &'static str,
        /// Where that begins.
        line: u64,
    },
}

/// A value of a row.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// `NULL`.
    Null,
    /// Text, or a number as text.
    Text(String),
    /// More than a literal, not UTF-8, or too long.
    Unreadable,
}

/// One row.
pub(super) struct Row<'a> {
    /// The line that it begins on.
    pub(super) line: u64,
    columns: &'a [String],
    values: &'a [Value],
}

impl Row<'_> {
    /// The text in this column. `Ok(None)` if it is `NULL`, or there is no such column.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn text(&self, column: &str) -> Result<Option<&str>, &'static str> {
        let at = self.columns.iter().position(|name| name == column);
        match at.and_then(|at| self.values.get(at)) {
            None if at.is_some() => Err("has fewer values than the table has columns"),
            None | Some(Value::Null) => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Unreadable) => Err("has a value that cannot be read"),
        }
    }
}

/// Reads a dump to its end and calls `take` with each row of this table. `usual` are the columns that the table has if
/// the dump does not name any, by how many there are. Says whether the table is in the dump at all.
///
/// # Errors
/// It cannot be read, or ends in the middle of a statement.
pub(super) fn read(
    input: impl BufRead,
    table: &str,
    usual: &[&[&str]],
    take: impl FnMut(Row<'_>),
) -> Result<bool, SqlError> {
    let mut dump = Dump {
        bytes: Bytes::new(input),
        table,
        usual,
        take,
        mysql: false,
        found: false,
        columns: Vec::new(),
        transaction: None,
    };
    loop {
        match dump.statement() {
            Ok(true) => {}
            Ok(false) => break,
            // What never had the table is no dump of it, whole or not.
            Err(SqlError::CutShort { .. }) if !dump.found => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    match dump.transaction.filter(|_| dump.found) {
        Some(line) => Err(SqlError::CutShort { what: "a transaction", line }),
        None => Ok(dump.found),
    }
}

struct Dump<'t, R, F> {
    bytes: Bytes<R>,
    table: &'t str,
    usual: &'t [&'t [&'t str]],
    take: F,
    /// Whether a backslash means something in any text, as with MySQL and MariaDB.
    mysql: bool,
    found: bool,
    /// As `CREATE TABLE` had them.
    columns: Vec<String>,
    /// Where a transaction began that has not ended.
    transaction: Option<u64>,
}

/// A small part of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
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
    fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    fn into_name(self) -> Option<String> {
        match self {
            Self::Word(name) | Self::Name(name) => Some(name),
            _ => None,
        }
    }
}

impl<R: BufRead, F: FnMut(Row<'_>)> Dump<'_, R, F> {
    /// Reads a statement; says whether there was one.
    fn statement(&mut self) -> Result<bool, SqlError> {
        self.space()?;
        let line = self.bytes.line();
        let first = self.token()?;
        match &first {
            Token::End(over) => return Ok(!over),
            // psql's own commands end with their line.
            Token::Sign(b'\\') => {
                self.bytes.take_while(0, |byte| byte != b'\n')?;
            }
            first if first.is("INSERT") || first.is("REPLACE") => self.insert(line)?,
            first if first.is("COPY") => self.copy(line)?,
            first if first.is("CREATE") => self.create(line)?,
            first if first.is("BEGIN") || first.is("START") => {
                self.skip(line)?;
                self.transaction = Some(line);
            }
            first if first.is("COMMIT") => {
                self.skip(line)?;
                self.transaction = None;
            }
            _ => self.skip(line)?,
        }
        Ok(true)
    }

    /// The rest of a statement.
    fn skip(&mut self, line: u64) -> Result<(), SqlError> {
        loop {
            match self.token()? {
                Token::End(false) => return Ok(()),
                Token::End(true) => return self.cut_short("a statement", line),
                _ => {}
            }
        }
    }

    fn cut_short<T>(&self, what: &'static str, line: u64) -> Result<T, SqlError> {
        Err(SqlError::CutShort { what, line })
    }

    /// `name`, or `schema.name`: the last part, and what comes behind it.
    fn name(&mut self) -> Result<(Option<String>, Token), SqlError> {
        let mut name = self.token()?.into_name();
        loop {
            let next = self.token()?;
            if next != Token::Sign(b'.') {
                return Ok((name, next));
            }
            name = self.token()?.into_name();
        }
    }

    fn is_wanted(&self, name: Option<&str>) -> bool {
        name.is_some_and(|name| name.eq_ignore_ascii_case(self.table))
    }

    /// `CREATE TABLE [IF NOT EXISTS] name (column …, …)`: which columns there are, in which order.
    fn create(&mut self, line: u64) -> Result<(), SqlError> {
        let mut token = self.token()?;
        while token.is("TEMPORARY") || token.is("TEMP") || token.is("UNLOGGED") {
            token = self.token()?;
        }
        if !token.is("TABLE") {
            return if matches!(token, Token::End(_)) { Ok(()) } else { self.skip(line) };
        }
        let (mut name, mut next) = self.name()?;
        if name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case("IF")) && next.is("NOT") {
            self.token()?;
            (name, next) = self.name()?;
        }
        if !self.is_wanted(name.as_deref()) || next != Token::Sign(b'(') {
            return if matches!(next, Token::End(false)) { Ok(()) } else { self.skip(line) };
        }
        self.found = true;
        self.columns.clear();
        let (mut depth, mut fresh) = (1_u32, true);
        while depth > 0 {
            match self.token()? {
                Token::End(_) => return self.cut_short("CREATE TABLE", line),
                Token::Sign(b'(') => depth = depth.saturating_add(1),
                Token::Sign(b')') => depth -= 1,
                Token::Sign(b',') if depth == 1 => {
                    fresh = true;
                    continue;
                }
                Token::Name(name) if fresh => self.column(name),
                Token::Word(word) if fresh && !self.is_index(&word) => self.column(word),
                _ => {}
            }
            fresh = false;
        }
        self.skip(line)
    }

    fn column(&mut self, name: String) {
        if self.columns.len() < MAX_COLUMNS {
            self.columns.push(name.to_ascii_lowercase());
        }
    }

    /// Whether such a word begins no column. MySQL always quotes names; elsewhere `key` is one.
    fn is_index(&self, word: &str) -> bool {
        const ANYWHERE: [&str; 7] = ["PRIMARY", "UNIQUE", "CONSTRAINT", "CHECK", "FOREIGN", "EXCLUDE", "LIKE"];
        const MYSQL: [&str; 4] = ["KEY", "INDEX", "FULLTEXT", "SPATIAL"];
        let among = |words: &[&str]| words.iter().any(|known| word.eq_ignore_ascii_case(known));
        among(&ANYWHERE) || (self.mysql && among(&MYSQL))
    }

    /// A list of names in parentheses, if one comes; and what comes behind it.
    fn names(&mut self, next: Token) -> Result<(Option<Vec<String>>, Token), SqlError> {
        if next != Token::Sign(b'(') {
            return Ok((None, next));
        }
        let mut names = Vec::new();
        loop {
            match self.token()? {
                Token::Word(name) | Token::Name(name) if names.len() < MAX_COLUMNS => {
                    names.push(name.to_ascii_lowercase());
                }
                Token::Sign(b')') => return Ok((Some(names), self.token()?)),
                end @ Token::End(_) => return Ok((Some(names), end)),
                _ => {}
            }
        }
    }

    /// The columns of a row with so many values, of a statement that names none.
    fn usual(&self, values: usize) -> Vec<String> {
        if !self.columns.is_empty() {
            return self.columns.clone();
        }
        let fitting = self.usual.iter().find(|columns| columns.len() == values);
        fitting.into_iter().copied().flatten().map(|&name| name.to_owned()).collect()
    }

    /// `INSERT [IGNORE] INTO name [(column, …)] VALUES (value, …), …`.
    fn insert(&mut self, line: u64) -> Result<(), SqlError> {
        let mut token = self.token()?;
        while !token.is("INTO") {
            if let Token::End(over) = token {
                return if over { self.cut_short("INSERT", line) } else { Ok(()) };
            }
            token = self.token()?;
        }
        let (name, next) = self.name()?;
        if !self.is_wanted(name.as_deref()) {
            return if matches!(next, Token::End(false)) { Ok(()) } else { self.skip(line) };
        }
        self.found = true;
        let (columns, mut next) = self.names(next)?;
        while !next.is("VALUES") {
            if let Token::End(over) = next {
                return if over { self.cut_short("INSERT", line) } else { Ok(()) };
            }
            next = self.token()?;
        }
        loop {
            self.space()?;
            let at = self.bytes.line();
            match self.token()? {
                Token::Sign(b'(') => {
                    let values = self.values(at)?;
                    let columns = columns.clone().unwrap_or_else(|| self.usual(values.len()));
                    (self.take)(Row { line: at, columns: &columns, values: &values });
                }
                Token::End(false) => return Ok(()),
                Token::End(true) => return self.cut_short("INSERT", line),
                _ => {}
            }
        }
    }

    /// White space and comments.
    fn space(&mut self) -> Result<(), SqlError> {
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

    fn token(&mut self) -> Result<Token, SqlError> {
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
    fn text(&mut self, quote: u8, escapes: bool, line: u64) -> Result<Option<Vec<u8>>, SqlError> {
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

#[cfg(test)]
#[path = "sql_tests.rs"]
mod tests;
