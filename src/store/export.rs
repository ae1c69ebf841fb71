//! All that is durable, but what is owed, as JSON lines: for backups, and for the way from one engine to another.
//!
//! ```text
//! {"kind":"export","format":1,"made":1700000000000,"version":"0.1.0"}
//! {"kind":"credentials",…}   one line a record: credentials, then devices, then registrations,
//! {"kind":"device",…}        each of these followed by what became of its pushes
//! {"kind":"registration",…}
//! {"kind":"pushes",…}
//! {"kind":"end","records":4}
//! ```
//!
//! What is owed stays out: it is what people were told, and it is too old anyway when it is read again. The lines hold
//! tokens and secrets, so a file of them is for its owner only.

mod lines;
mod registration_lines;

use std::io;

use super::Store;
use super::error::StoreError;
use crate::domain::time::Timestamp;
use crate::flows::data::Change;

pub(super) use lines::{Line, Unfit};

/// The number of the format. A file of a later one is refused.
pub(super) const FORMAT: u32 = 1;

/// So often it is asked whether the store still works.
const ASK_EVERY: u64 = 1000;

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Devices, dead ones included.
    pub devices: usize,
    /// Registrations, those included that are not used.
    pub registrations: usize,
    /// Pushes that are owed, which were left out.
    pub owed: usize,
}

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is read cannot be written.
    #[error("{0}")]
    Write(#[from] io::Error),
}

/// Writes all of a store that is exported, with the time as its header has it. The store can be written meanwhile, for
/// its lock is held for a moment only. In redb, that is a picture of one moment. In sled, each record is as it was at
/// some moment meanwhile; as no record needs another one to be right, that does as well.
///
/// # Errors
/// If a record cannot be read, or a line cannot be written; what was written before then is not to be used.
pub fn write_export(store: &Store, out: &mut dyn io::Write, made: Timestamp) -> Result<Exported, ExportError> {
    let mut lines = Lines { out, count: 0 };
    let mut exported = Exported::default();
    lines.write(&Line::header(made))?;
    for change in store.load()? {
        let change = change?;
        match &change {
            Change::Device(_) => exported.devices += 1,
            Change::Registration(_) => exported.registrations += 1,
            Change::Owe(_) => exported.owed += 1,
            _ => {}
        }
        if let Some(line) = Line::of(&change) {
            lines.write(&line)?;
        }
        // Whoever opens the store again after a failed write waits until nobody reads the old one.
        if lines.count.is_multiple_of(ASK_EVERY) && store.is_suspended() {
            return Err(StoreError::Suspended { path: store.path.clone() }.into());
        }
    }
    let records = lines.count - 1;
    lines.write(&Line::end(records))?;
    lines.out.flush()?;
    Ok(exported)
}

struct Lines<'a> {
    out: &'a mut dyn io::Write,
    count: u64,
}

impl Lines<'_> {
    fn write(&mut self, line: &Line) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, line)?;
        self.count += 1;
        self.out.write_all(b"\n")
    }
}

#[cfg(test)]
#[path = "export_tests.rs"]
mod tests;
