//! What goes wrong with a store, for the operator.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Why the store cannot be opened, read or written. Never holds a record's content.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder's own folder does not exist.
    #[error("the store cannot be made in {path}: {parent} does not exist; make that folder, or mend store.path")]
    NoParent {
        /// The folder of the store.
        path: PathBuf,
        /// The folder that should be around it.
        parent: PathBuf,
    },
    /// The path is something else than a folder.
    #[error("the store needs a folder, and {path} is none; mend store.path")]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// The folder is somebody else's.
    #[error(
        "{path} holds no store, and is not empty either (there is {found:?}); \
         set store.path to an empty folder, or to that of a store"
    )]
    NotAStore {
        /// The folder.
        path: PathBuf,
        /// Something that was found in it.
        found: String,
    },
    /// The system does not let us.
    #[error("cannot {doing} the store in {path}: {source}; check the owner, the mode and the space of that folder")]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// What was tried, to be read after "cannot".
        doing: &'static str,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// Another process has it open.
    #[error(
        "the store in {path} is in use by {}; stop that one first, or give this one its own store.path",
        holder.map_or("another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Locked {
        /// The folder.
        path: PathBuf,
        /// Who has it, if it said so.
        holder: Option<u32>,
    },
    /// It was written by a later release.
    #[error(
        "the store in {path} has schema {found}, and this pushkeeper knows only up to {known}; \
         run the release that wrote it, or a later one"
    )]
    Newer {
        /// The folder.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// The newest schema that this program knows.
        known: u32,
    },
    /// What is on the disk is not what was written.
    #[error(
        "the store in {path} is damaged: {what}. Nothing was deleted. Stop pushkeeper and copy the folder away, then \
         put back your latest copy of it; without one, start with an empty folder, and apps have to register again"
    )]
    Corrupt {
        /// The folder.
        path: PathBuf,
        /// What was found, where.
        what: String,
    },
    /// A commit did not reach the disk.
    #[error("the store in {path} could not be written: {source}; is the disk full, or failing?")]
    Write {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// An earlier commit failed, and no trial has succeeded since.
    #[error("the store in {path} takes no writes since one failed, until a trial write succeeds")]
    Suspended {
        /// The folder.
        path: PathBuf,
    },
}
