//! Reads a TOML table key by key and collects every complaint, each with its key and what to write.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// Something the operator has to mend, or should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The key it is about, as `section.key`; empty if it is about the whole file.
    pub key: String,
    /// What is wrong, and what to write instead.
    pub text: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() { f.write_str(&self.text) } else { write!(f, "{}: {}", self.key, self.text) }
    }
}

/// What reading found out, beside the values.
#[derive(Debug, Default)]
pub struct Findings {
    /// What must be mended.
    pub errors: Vec<Complaint>,
    /// What may be meant, but should be known.
    pub warnings: Vec<Complaint>,
    /// The files that were read.
    pub files: Vec<FileRead>,
}

/// A file that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRead {
    /// The key that names it; the configuration's own path if it is the configuration.
    pub key: String,
    /// Where it is.
    pub path: PathBuf,
    /// Whether it holds what not every user of this machine may read.
    pub secret: bool,
}

impl Findings {
    /// Adds something that must be mended.
    pub(super) fn error(&mut self, key: impl Into<String>, text: impl Into<String>) {
        self.errors.push(Complaint { key: key.into(), text: text.into() });
    }

    /// Adds something that should be known.
    pub(super) fn warning(&mut self, key: impl Into<String>, text: impl Into<String>) {
        self.warnings.push(Complaint { key: key.into(), text: text.into() });
    }
}

/// One section: hands out its keys, and complains of those that nobody asked for.
pub(super) struct Section<'a> {
    name: String,
    table: Table,
    known: BTreeSet<&'static str>,
    /// Keys whose value came from the environment, where all is text.
    from_env: &'a BTreeSet<String>,
    /// What relative paths are relative to.
    folder: &'a Path,
}

impl<'a> Section<'a> {
    /// A section of this name.
    #[must_use]
    pub(super) const fn new(name: String, table: Table, from_env: &'a BTreeSet<String>, folder: &'a Path) -> Self {
        Self { name, table, known: BTreeSet::new(), from_env, folder }
    }

    /// The full name of a key.
    #[must_use]
    pub(super) fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.name)
    }

    /// Whether a key is given.
    pub(super) fn has(&mut self, key: &'static str) -> bool {
        self.known.insert(key);
        self.table.contains_key(key)
    }

    /// A key that means nothing here: an error if it is given.
    pub(super) fn unused(&mut self, key: &'static str, why: &str, found: &mut Findings) {
        if self.take(key).is_some() {
            found.error(self.key(key), why);
        }
    }

    /// A key that was complained of already, and is not to be called unknown as well.
    pub(super) fn ignore(&mut self, key: &'static str) {
        self.take(key);
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.insert(key);
        self.table.remove(key)
    }

    /// A text.
    pub(super) fn text(&mut self, key: &'static str, found: &mut Findings) -> Option<String> {
        match self.take(key)? {
            Value::String(text) if text.trim().is_empty() => {
                found.error(self.key(key), "is empty; write a value or leave the key out");
                None
            }
            Value::String(text) => Some(text),
            other => {
                found.error(self.key(key), format!("must be a text in quotes, not {}", kind(&other)));
                None
            }
        }
    }

    /// A text, which may be empty.
    pub(super) fn text_or_empty(&mut self, key: &'static str, found: &mut Findings) -> Option<String> {
        if self.table.get(key).and_then(Value::as_str).is_some_and(str::is_empty) {
            self.take(key);
            return Some(String::new());
        }
        self.text(key, found)
    }

    /// A text that must be there; `example` shows one.
    pub(super) fn required(&mut self, key: &'static str, example: &str, found: &mut Findings) -> Option<String> {
        if !self.has(key) {
            found.error(self.key(key), format!("is missing; write {key} = {example:?}"));
            return None;
        }
        self.text(key, found)
    }

    /// A text that becomes something else; `wanted` says what it must be.
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        wanted: &str,
        parse: impl FnOnce(&str) -> Option<T>,
        found: &mut Findings,
    ) -> Option<T> {
        let text = self.text(key, found)?;
        let parsed = parse(&text);
        if parsed.is_none() {
            found.error(self.key(key), format!("{text:?} is not {wanted}"));
        }
        parsed
    }

    /// True or false.
    pub(super) fn flag(&mut self, key: &'static str, found: &mut Findings) -> Option<bool> {
        let env = self.is_from_env(key);
        match (self.take(key)?, env) {
            (Value::Boolean(flag), _) => Some(flag),
            (Value::String(text), true) if text == "true" || text == "false" => Some(text == "true"),
            (other, _) => {
                found.error(self.key(key), format!("must be true or false, not {}", kind(&other)));
                None
            }
        }
    }

    /// A whole number, zero or more.
    pub(super) fn number(&mut self, key: &'static str, found: &mut Findings) -> Option<u32> {
        let env = self.is_from_env(key);
        let value = self.take(key)?;
        let number = match &value {
            Value::Integer(number) => u32::try_from(*number).ok(),
            Value::String(text) if env => text.trim().parse().ok(),
            _ => None,
        };
        if number.is_none() {
            let text = format!("must be a whole number from 0 to {}, not {}", u32::MAX, kind(&value));
            found.error(self.key(key), text);
        }
        number
    }

    /// A list of texts; from the environment, separated by commas.
    pub(super) fn list(&mut self, key: &'static str, found: &mut Findings) -> Option<Vec<String>> {
        let env = self.is_from_env(key);
        let value = self.take(key)?;
        let texts = match value {
            Value::Array(items) => items.into_iter().map(|item| item.as_str().map(str::to_owned)).collect(),
            Value::String(text) if env => Some(text.split(',').map(|item| item.trim().to_owned()).collect()),
            _ => None,
        };
        if texts.is_none() {
            found.error(self.key(key), "must be a list of texts, such as [\"one\", \"two\"]");
        }
        texts
    }

    /// Keys that somebody else gives a meaning to, with their values.
    pub(super) fn table(&mut self, key: &'static str, found: &mut Findings) -> Option<Table> {
        let inside = self.key(key) + ".";
        if self.from_env.iter().any(|name| name.starts_with(&inside)) {
            let text = "cannot come from the environment, where names have no case; write it in the file";
            found.error(self.key(key), text);
            self.ignore(key);
            return None;
        }
        match self.take(key)? {
            Value::Table(table) => Some(table),
            other => {
                found.error(
                    self.key(key),
                    format!("must be keys with values, such as {{ key = \"value\" }}, not {}", kind(&other)),
                );
                None
            }
        }
    }

    /// Texts by name, as in `{ "one" = "1" }`.
    pub(super) fn pairs(&mut self, key: &'static str, found: &mut Findings) -> Option<Vec<(String, String)>> {
        let pairs = match self.take(key)? {
            Value::Table(table) => table
                .into_iter()
                .map(|(name, value)| Some((name, value.as_str()?.to_owned())))
                .collect::<Option<Vec<_>>>(),
            _ => None,
        };
        if pairs.is_none() {
            found.error(self.key(key), "must be texts by name, such as { \"one\" = \"1\", \"two\" = \"2\" }");
        }
        pairs
    }

    /// A section within this one.
    pub(super) fn section(&mut self, key: &'static str, found: &mut Findings) -> Option<Section<'a>> {
        let name = self.key(key);
        match self.take(key)? {
            Value::Table(table) => Some(Section::new(name, table, self.from_env, self.folder)),
            _ => {
                found.error(&name, format!("must be a section: write [{name}] on a line of its own"));
                None
            }
        }
    }

    /// Sections of their own that there can be many of.
    pub(super) fn sections(&mut self, key: &'static str, found: &mut Findings) -> Vec<Section<'a>> {
        let value = self.take(key);
        sections(&self.key(key), value, self.from_env, self.folder, found)
    }

    /// Whether it says anything beside this key.
    pub(super) fn says_more_than(&self, key: &str) -> bool {
        self.table.keys().any(|other| other != key)
    }

    /// A path; a relative one starts at the configuration's folder.
    pub(super) fn path(&mut self, key: &'static str, found: &mut Findings) -> Option<PathBuf> {
        self.text(key, found).map(|text| self.folder.join(text))
    }

    /// The bytes of a file.
    pub(super) fn file(&mut self, key: &'static str, found: &mut Findings) -> Option<Vec<u8>> {
        self.any_file(key, false, found)
    }

    fn any_file(&mut self, key: &'static str, secret: bool, found: &mut Findings) -> Option<Vec<u8>> {
        let path = self.path(key, found)?;
        match std::fs::read(&path) {
            Ok(bytes) => {
                found.files.push(FileRead { key: self.key(key), path, secret });
                Some(bytes)
            }
            Err(error) => {
                found.error(self.key(key), format!("cannot read {}: {error}", path.display()));
                None
            }
        }
    }

    /// The bytes of a file that others should not be able to read.
    pub(super) fn secret_file(&mut self, key: &'static str, found: &mut Findings) -> Option<Vec<u8>> {
        let path = self.table.get(key).and_then(Value::as_str).map(|text| self.folder.join(text));
        let bytes = self.any_file(key, true, found)?;
        if let Some(path) = path
            && is_readable_by_all(&path)
        {
            let text = format!(
                "every user of this machine can read {0}; run: chmod 640 {0}, and give it to the group that pushkeeper runs as",
                path.display()
            );
            found.warning(self.key(key), text);
        }
        Some(bytes)
    }

    /// A secret: `key` itself, or the first line of the file that `file_key` names.
    pub(super) fn secret(&mut self, key: &'static str, file_key: &'static str, found: &mut Findings) -> Option<String> {
        // The environment lies over the file: its word for one replaces the file's for the other.
        match (self.is_from_env(key), self.is_from_env(file_key)) {
            (true, false) => self.ignore(file_key),
            (false, true) => self.ignore(key),
            _ => {}
        }
        if self.has(key) && self.has(file_key) {
            found.error(self.key(key), format!("stands beside {file_key}; leave one of them out"));
            self.ignore(file_key);
        }
        let given = self.text(key, found);
        if given.is_some() || !self.has(file_key) {
            return given;
        }
        let bytes = self.secret_file(file_key, found)?;
        let text = String::from_utf8(bytes).ok();
        let line = text.as_deref().and_then(|text| text.lines().next()).map(str::trim).filter(|line| !line.is_empty());
        if line.is_none() {
            found.error(self.key(file_key), "the file holds no text in its first line");
        }
        line.map(str::to_owned)
    }

    /// Ends the section: whatever nobody asked for is an error.
    pub(super) fn end(self, found: &mut Findings) {
        for key in self.table.keys() {
            let known: Vec<&str> = self.known.iter().copied().collect();
            found.error(self.key(key), format!("is not a key of this section; it knows {}", known.join(", ")));
        }
    }

    fn is_from_env(&self, key: &str) -> bool {
        self.from_env.contains(&self.key(key))
    }
}

/// Sections that there can be many of, each `[[name]]`. They have no names of their own, so they are counted, from 1.
pub(super) fn sections<'a>(
    name: &str,
    value: Option<Value>,
    from_env: &'a BTreeSet<String>,
    folder: &'a Path,
    found: &mut Findings,
) -> Vec<Section<'a>> {
    let tables: Option<Vec<Table>> = match value {
        None => return Vec::new(),
        Some(Value::Array(items)) => items.into_iter().map(|item| item.try_into().ok()).collect(),
        Some(_) => None,
    };
    if tables.is_none() {
        found.error(name, format!("must be sections: write [[{name}]] on a line of its own, once for each"));
    }
    let tables = (1..).zip(tables.unwrap_or_default());
    tables.map(|(number, table)| Section::new(format!("{name}.{number}"), table, from_env, folder)).collect()
}

/// Whether everybody on this machine can read a file.
#[must_use]
pub(super) fn is_readable_by_all(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

/// What a value is; not the value, for it may be a secret in the wrong place.
const fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) | Value::Float(_) => "such a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a section",
    }
}
