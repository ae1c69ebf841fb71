//! What a store needs of a database, and the two that give it.
//!
//! | | sled | redb |
//! |---|---|---|
//! | Where | `db`, `conf`, `snap.*`, `blobs/` | `store.redb` |
//! | A commit | its promises in one batch, then a flush and our own fdatasync | one transaction, two fsyncs |
//! | Reading beside writes | each record as of some moment meanwhile | all as of the beginning |
//! | Noise in its files | found, or ends recovery by whole commits | found: every page is checked at the start |

mod on_redb;
mod on_sled;

use std::io::{self, ErrorKind};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;

use super::error::StoreError;

/// Which database lies under a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EngineKind {
    /// sled 0.34.
    #[default]
    Sled,
    /// redb 4.
    Redb,
}

impl EngineKind {
    /// Every engine there is.
    pub const ALL: [Self; 2] = [Self::Sled, Self::Redb];

    /// Its name, as `store.engine` has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sled => "sled",
            Self::Redb => "redb",
        }
    }

    /// Which engine's store lies in this folder, if one does.
    #[must_use]
    pub fn found_in(path: &Path) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| path.join(kind.file()).exists())
    }

    /// The file without which there is no store of this engine in a folder.
    pub(super) const fn file(self) -> &'static str {
        match self {
            Self::Sled => "db",
            Self::Redb => on_redb::FILE,
        }
    }

    /// Opens it in a folder that is ours, or makes it there.
    pub(super) fn open(self, path: &Path) -> Result<Box<dyn Disk>, StoreError> {
        match self {
            Self::Sled => on_sled::open(path),
            Self::Redb => on_redb::open(path),
        }
    }
}

/// A key, and what is to be under it; `None` for nothing.
pub(super) type Write = (Vec<u8>, Option<Vec<u8>>);

/// A key, and what is under it from now on.
pub(super) type Insert = (Vec<u8>, Vec<u8>);

/// A record as it lies on the disk: its key and its value.
pub(super) type Raw = (Vec<u8>, Vec<u8>);

/// Records, in the order of their keys. Ends at the first error.
pub(super) type Scan = Box<dyn Iterator<Item = Result<Raw, Fault>> + Send>;

/// What a commit writes, in this order.
#[derive(Debug, Default)]
pub(super) struct Writes {
    /// Lines of the journal, and what became of registrations' pushes. They promise nothing, so they stay out of the
    /// batch: sled keeps every page that a batch replaces in memory until its end, and frees what a large one left more
    /// slowly than the next large one fills it again.
    pub(super) facts: Vec<Insert>,
    /// All or nothing.
    pub(super) promises: Vec<Write>,
    /// What a fold of the journal moves. A crash may leave any first part of it.
    pub(super) folded: Vec<Write>,
}

/// A database. Two things are kept apart in it: the records, and the few that the store says about itself.
pub(super) trait Disk: Send {
    /// A record.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault>;

    /// Whether there is such a record.
    fn has(&self, key: &[u8]) -> Result<bool, Fault>;

    /// The records from this key on, as far as before that one.
    fn range(&self, from: &[u8], before: &[u8]) -> Scan;

    /// The records whose keys begin with this byte, which is a letter.
    fn scan(&self, kind: u8) -> Scan {
        self.range(&[kind], &[kind.saturating_add(1)])
    }

    /// Whether there is no record at all.
    fn is_empty(&self) -> Result<bool, Fault>;

    /// Writes; on the disk when it returns.
    fn write(&self, writes: Writes) -> Result<(), Fault>;

    /// What the store says of itself under this key.
    fn meta(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault>;

    /// Says it, or says it no more; on the disk when it returns, and after all that was written before.
    fn set_meta(&self, key: &[u8], value: Option<Vec<u8>>) -> Result<(), Fault>;

    /// Whether more was in it, before it was opened, than a first start writes.
    fn used(&self) -> bool;
}

/// What goes wrong under a store.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The system does not let us.
    #[error(transparent)]
    System(#[from] io::Error),
    /// The files are not as they were written.
    #[error("{0}")]
    Damaged(String),
    /// Somebody else holds the engine's own lock.
    #[error("somebody else has it open")]
    Held,
    /// The engine, or we, did something wrong.
    #[error("{0}")]
    Bug(String),
}

impl From<postcard::Error> for Fault {
    fn from(error: postcard::Error) -> Self {
        Self::Bug(format!("a record cannot be encoded: {error}"))
    }
}

impl Fault {
    /// What it means when a store is opened or read.
    pub(super) fn on_read(self, path: &Path) -> StoreError {
        match self {
            Self::System(error) if !matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData) => {
                StoreError::Unusable { path: path.to_owned(), doing: "open", source: Arc::new(error) }
            }
            Self::Held => StoreError::Locked { path: path.to_owned(), holder: None },
            fault => StoreError::corrupt(path, fault.to_string()),
        }
    }

    /// What it means when a store is written.
    pub(super) fn on_write(self, path: &Path) -> StoreError {
        let source = match self {
            Self::System(error) => error,
            fault => io::Error::other(fault.to_string()),
        };
        StoreError::Write { path: path.to_owned(), source: Arc::new(source) }
    }
}

/// Runs something of an engine's. Both panic on some kinds of damage, and sled after some failed writes.
pub(super) fn guarded<T>(run: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        Err(Fault::Bug(format!("the engine gave up: {text}")))
    })
}
