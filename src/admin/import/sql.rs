//! Dumps of SQL databases, as text: the rows of one table. Knows what `sqlite3 .dump`, Python's `iterdump`, `pg_dump`
//! (COPY and `--inserts`) and `mysqldump` write, and passes over the rest.
//!
//! It reads values, not SQL: of a row whose values are more than literals (and the few functions that `sqlite3 .dump`
//! puts around text), the value counts as unreadable.

use std::io::{self, BufRead};

use super::bytes::Bytes;

mod copy;
mod tokens;
mod values;

use self::tokens::Token;

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
}

#[cfg(test)]
#[path = "sql_tests.rs"]
mod tests;
