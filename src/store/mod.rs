//! Remembers. The store is the durable truth behind the state in memory, and knows only two things: load
//! everything, commit a batch.
//!
//! | File | Part |
//! |---|---|
//! | `open` | the folder, the lock, sled; says in plain words why a store does not open |
//! | `migrate` | the schema number and the steps of `migrations/` |
//! | `frame` | how any record lies on disk: version, fields, checksum |
//! | `record` | the records and their keys |
//! | `registrations` | what a commit writes of registrations |
//! | `journal` | what became of pushes, a few records a commit |
//! | `load` | every record as a [`Change`](crate::flows::data::Change), one at a time |
//! | `commit` | one batch, on disk when it returns; what happens after a failure |
//! | `committer` | the thread that gathers many steps into one commit |
//! | `error` | what an operator reads |
//!
//! On disk it is a sled 0.34 database: a tree `meta` for the schema number, and one tree `records` for all kinds,
//! whose keys begin with the kind. Every value carries a version and a checksum over its key and itself. Everything
//! here blocks, so it runs on threads of its own: [`Committer`] for writing, the caller's for opening and loading.
//!
//! Why one tree: a batch of one tree is atomic and writes blindly. A batch over several would be a transaction of
//! sled's, which reads each key before it writes it.

mod commit;
mod committer;
mod error;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod journal;
mod load;
mod migrate;
mod open;
mod record;
mod registrations;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use committer::{Committer, SubmitError};
pub use error::StoreError;
pub use load::Stored;

use open::Engine;

/// The store of one process. Shared by reference; every method blocks on the disk.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// `None` after a failed write, until [`Store::trial`] or [`Store::load`] opens it again: sled takes nothing any
    /// more once a write failed, and its memory may hold what the disk does not.
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
    /// Says what is wrong with the folder, who else has it open, that its schema is newer than this program, or that
    /// it is damaged. Nothing is ever deleted.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let lock = open::claim(path)?;
        let engine = Engine::open(path)?;
        Ok(Self { path: path.to_owned(), engine: Mutex::new(Some(engine)), commits: AtomicU64::new(0), _lock: lock })
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
}
