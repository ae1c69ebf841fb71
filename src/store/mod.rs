//! Remembers. The store is the durable truth behind the state in memory, and knows only two things: load
//! everything, commit a batch.
//!
//! | File | Part |
//! |---|---|
//! | `open` | the folder, the lock; says in plain words why a store does not open |
//! | `engine` | the databases that a store can lie in: sled, redb |
//! | `migrate` | the schema number and the steps of `migrations/` |
//! | `frame` | how any record lies on disk: version, fields, checksum |
//! | `record` | the records and their keys |
//! | `registrations` | what a commit writes of registrations |
//! | `journal` | what became of pushes, a few records a commit |
//! | `load` | every record as a [`Change`](crate::flows::data::Change), one at a time |
//! | `commit` | one batch, on disk when it returns; what happens after a failure |
//! | `committer` | the thread that gathers many steps into one commit |
//! | `export` | all but what is owed, as JSON lines |
//! | `import` | the same, into an empty store |
//! | `snapshots` | exports that are made by themselves, the newest three |
//! | `error` | what an operator reads |
//! | `examine` | who has it open, and whether it opens, without changing it |
//! | `owner` | whose a folder is; that root does not write into another's |
//!
//! On disk it is a database of sled or redb: a table `meta` for the schema number, and one table `records` for all
//! kinds, whose keys begin with the kind. The bytes in both are the same. Every value carries a version and a checksum
//! over its key and itself. Everything here blocks, so it runs on threads of its own: [`Committer`] for writing, the
//! caller's for opening and loading.
//!
//! Why one table: in sled, a batch of one tree is atomic and writes blindly. A batch over several would be a
//! transaction, which reads each key before it writes it.

mod commit;
mod committer;
mod engine;
mod error;
mod examine;
mod export;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod import;
mod journal;
mod load;
mod migrate;
mod open;
mod owner;
mod record;
mod registrations;
pub mod snapshots;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use committer::{Committer, SubmitError};
pub use engine::EngineKind;
pub use error::StoreError;
pub use examine::{Examined, Holder, examine, holder};
pub use export::{ExportError, Exported, write_export};
pub use import::{Import, ImportError, read_import};
pub use load::Stored;
pub use owner::{Owner, not_for_root};

use open::Engine;

/// The store of one process. Shared by reference; every method blocks on the disk.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    kind: EngineKind,
    /// `None` after a failed write, until [`Store::trial`] or [`Store::load`] opens it again: engines take nothing any
    /// more once a write failed, and their memory may hold what the disk does not.
    engine: Mutex<Option<Engine>>,
    commits: AtomicU64,
    /// Held as long as the store is open, also while the engine is being opened again.
    _lock: File,
}

impl Store {
    /// Opens the store in this folder, or makes a new one, and brings its schema up to date. The folder is made with
    /// mode 0700 if only its last part is missing.
    ///
    /// # Errors
    /// Says what is wrong with the folder, who else has it open, that it is of another engine, that its schema is newer
    /// than this program, or that it is damaged. Nothing is ever deleted.
    pub fn open(path: &Path, kind: EngineKind) -> Result<Self, StoreError> {
        let store = Self::open_even_half_imported(path, kind)?;
        if store.is_half_imported()? {
            return Err(StoreError::HalfImported { path: path.to_owned() });
        }
        Ok(store)
    }

    fn open_even_half_imported(path: &Path, kind: EngineKind) -> Result<Self, StoreError> {
        let lock = open::claim(path, kind)?;
        let engine = Mutex::new(Some(Engine::open(path, kind)?));
        Ok(Self { path: path.to_owned(), kind, engine, commits: AtomicU64::new(0), _lock: lock })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many batches were made durable since the store was opened: one for each group of steps.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// The engine, while nobody else uses it. What a panic may have left behind is an engine that is taken out below.
    fn engine(&self) -> MutexGuard<'_, Option<Engine>> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether writing failed and nobody opened the store again since.
    fn is_suspended(&self) -> bool {
        self.engine().is_none()
    }

    /// Puts bytes under a key, whatever they are.
    #[cfg(test)]
    fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let facts = vec![(key.as_ref().to_vec(), value.as_ref().to_vec())];
        self.engine().as_ref().unwrap().disk.write(engine::Writes { facts, ..Default::default() }).unwrap();
    }
}
