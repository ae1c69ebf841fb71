//! The way back: what was exported, into a store that is empty.

use std::collections::BTreeSet;
use std::io::{self, BufRead};
use std::path::Path;

use serde::Deserialize;

use super::engine::{EngineKind, Fault, Writes, guarded};
use super::error::StoreError;
use super::export::{FORMAT, Line, Unfit};
use super::{Store, frame};
use crate::domain::ids::AppName;
use crate::domain::time::Timestamp;
use crate::flows::data::Change;

/// In a store's `meta` while an import is under way.
pub(super) const MARK: &[u8] = b"importing";

/// So many changes go in one commit.
const AT_ONCE: usize = 1000;

/// What a file holds, read whole and found right.
#[derive(Debug)]
pub struct Import {
    /// When it was exported.
    pub made: Timestamp,
    /// How many devices, dead ones included.
    pub devices: usize,
    /// How many registrations, those included that are not used.
    pub registrations: usize,
    /// The apps that its devices are of.
    pub apps: BTreeSet<AppName>,
    changes: Vec<Change>,
}

/// Why a file cannot be imported. Says nothing of its content.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is something else.
    #[error("is no export of pushkeeper: its first line is not {{\"kind\":\"export\",…}}")]
    NotAnExport,
    /// It was written by a later release.
    #[error(
        "has format {found}, and this pushkeeper knows only up to {known}; use the release that wrote it, or a later one"
    )]
    Newer {
        /// Its format.
        found: u32,
        /// The newest format that this program knows.
        known: u32,
    },
    /// A line is not what it should be.
    #[error("is not what was exported: line {line} {what}")]
    Line {
        /// Its number; the first is 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// The end is missing.
    #[error("is not whole: it ends after line {lines}, without its last line; take another copy")]
    CutShort {
        /// How many lines there are.
        lines: usize,
    },
}

/// Reads an export to its end, and writes nothing.
///
/// # Errors
/// If it is not whole and right to the last line.
pub fn read_import(file: impl BufRead) -> Result<Import, ImportError> {
    let mut lines = (1..).zip(file.lines());
    let made = match lines.next() {
        Some((_, first)) => header(&first.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => ImportError::NotAnExport,
            _ => ImportError::Read(error),
        })?)?,
        None => return Err(ImportError::NotAnExport),
    };
    let mut import = Import { made, devices: 0, registrations: 0, apps: BTreeSet::new(), changes: Vec::new() };
    let (mut last, mut ended) = (1, false);
    for (number, line) in lines {
        let wrong = |what: String| ImportError::Line { line: number, what };
        if ended {
            return Err(wrong("stands behind the last".to_owned()));
        }
        // serde's own words would show what stands there.
        let line: Line = serde_json::from_str(&line?)
            .map_err(|error| wrong(format!("cannot be read (at character {})", error.column())))?;
        match &line {
            Line::Export(_) => return Err(wrong("is a second first line".to_owned())),
            Line::End(end) if u64::try_from(import.changes.len()) == Ok(end.records) => ended = true,
            Line::End(_) => return Err(wrong("counts other lines than there are".to_owned())),
            _ => {}
        }
        let change = line.into_change().map_err(|Unfit(field)| wrong(format!("has a wrong {field:?}")))?;
        match &change {
            Some(Change::Device(device)) => {
                import.devices += 1;
                import.apps.insert(device.key.app.clone());
            }
            Some(Change::Registration(_)) => import.registrations += 1,
            _ => {}
        }
        import.changes.extend(change);
        last = number;
    }
    if ended { Ok(import) } else { Err(ImportError::CutShort { lines: last }) }
}

/// When it was made, by its first line.
pub(super) fn header(first: &str) -> Result<Timestamp, ImportError> {
    /// All that is sure to be there in any format.
    #[derive(Deserialize)]
    struct Any {
        kind: String,
        format: u32,
    }
    let any: Any = serde_json::from_str(first).map_err(|_| ImportError::NotAnExport)?;
    if any.kind != "export" {
        return Err(ImportError::NotAnExport);
    }
    if any.format > FORMAT {
        return Err(ImportError::Newer { found: any.format, known: FORMAT });
    }
    match serde_json::from_str(first) {
        Ok(Line::Export(header)) => Ok(Timestamp::from_millis(header.made)),
        _ => Err(ImportError::NotAnExport),
    }
}

impl Import {
    /// Devices and registrations that came from elsewhere, as an import.
    #[must_use]
    pub fn of(changes: Vec<Change>, made: Timestamp) -> Self {
        let (mut devices, mut registrations, mut apps) = (0, 0, BTreeSet::new());
        for change in &changes {
            match change {
                Change::Device(device) => {
                    devices += 1;
                    apps.insert(device.key.app.clone());
                }
                Change::Registration(_) => registrations += 1,
                _ => {}
            }
        }
        Self { made, devices, registrations, apps, changes }
    }

    /// Adds to the store in this folder, whatever it holds: one commit, so all or nothing.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn add_to(&self, store: &Store) -> Result<(), StoreError> {
        store.commit(&self.changes)
    }

    /// Fills the store in this folder, which is made if it is not there; all or nothing. An import that is cut short
    /// leaves a store that does not open but for another import, which begins anew.
    ///
    /// # Errors
    /// As [`Store::open`] and [`Store::commit`], and if the store holds something.
    pub fn fill(&self, path: &Path, kind: EngineKind) -> Result<(), StoreError> {
        let store = Store::open_even_half_imported(path, kind)?;
        if store.is_half_imported()? {
            store.clear()?;
        }
        store.must_be_empty()?;
        store.write(|engine| engine.disk.set_meta(MARK, Some(frame::seal(MARK, &())?)))?;
        for changes in self.changes.chunks(AT_ONCE) {
            store.commit(changes)?;
        }
        store.write(|engine| engine.disk.set_meta(MARK, None))
    }

    /// Whether [`Import::fill`] would find the store in this folder empty. Makes none.
    ///
    /// # Errors
    /// As [`Import::fill`].
    pub fn would_fit(path: &Path, kind: EngineKind) -> Result<(), StoreError> {
        if EngineKind::found_in(path).is_none() {
            return Ok(());
        }
        let store = Store::open_even_half_imported(path, kind)?;
        if store.is_half_imported()? { Ok(()) } else { store.must_be_empty() }
    }
}

impl Store {
    pub(super) fn is_half_imported(&self) -> Result<bool, StoreError> {
        let engine = self.engine();
        let Some(open) = &*engine else { return Err(StoreError::Suspended { path: self.path.clone() }) };
        let mark = guarded(|| open.disk.meta(MARK));
        mark.map(|mark| mark.is_some()).map_err(|fault| fault.on_read(&self.path))
    }

    fn must_be_empty(&self) -> Result<(), StoreError> {
        let (mut devices, mut registrations, mut owed) = (0, 0, 0);
        for change in self.load()? {
            match change? {
                Change::Device(_) => devices += 1,
                Change::Registration(_) => registrations += 1,
                Change::Owe(_) => owed += 1,
                _ => {}
            }
        }
        if devices + registrations + owed == 0 {
            return Ok(());
        }
        Err(StoreError::NotEmpty { path: self.path.clone(), devices, registrations, owed })
    }

    /// Removes every record: what an import that was cut short has left.
    fn clear(&self) -> Result<(), StoreError> {
        self.write(|engine| {
            for kind in 0..=u8::MAX {
                loop {
                    let some: Result<Vec<_>, Fault> = engine.disk.scan(kind).take(AT_ONCE).collect();
                    let promises: Vec<_> = some?.into_iter().map(|(key, _)| (key, None)).collect();
                    if promises.is_empty() {
                        break;
                    }
                    engine.disk.write(Writes { promises, ..Writes::default() })?;
                }
            }
            Ok(())
        })
    }
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
