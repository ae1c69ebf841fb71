//! What goes wrong with a store, for the operator.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::engine::EngineKind;
use super::owner::Owner;
use super::snapshots;

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
    /// Root would write into it, and it is another user's.
    #[error(
        "the store in {path} belongs to the user {owner}, who could not open what root writes there; \
         run this as that user: {} pushkeeper …",
        owner.runs()
    )]
    NotRoots {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        owner: Owner,
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
    /// It is of another engine.
    #[error(
        "the store in {path} is one of {}, and store.engine is \"{}\": set store.engine = \"{}\", or move to the other: \
         pushkeeper export with the old setting, then import with the new one and an empty store.path",
        found.name(), wanted.name(), found.name()
    )]
    OtherEngine {
        /// The folder.
        path: PathBuf,
        /// Whose store it is.
        found: EngineKind,
        /// Whose it was to be.
        wanted: EngineKind,
    },
    /// What is on the disk is not what was written.
    #[error("the store in {path} is damaged: {what}. Nothing was deleted. {}", recovery(path, snapshot.as_deref()))]
    Corrupt {
        /// The folder.
        path: PathBuf,
        /// What was found, where.
        what: String,
        /// The newest snapshot there is.
        snapshot: Option<PathBuf>,
    },
    /// An import was cut short.
    #[error(
        "an import into the store in {path} was cut short, so it holds a part of what was to be imported: \
         run pushkeeper import once more"
    )]
    HalfImported {
        /// The folder.
        path: PathBuf,
    },
    /// It holds something, and an import would mix with it.
    #[error(
        "the store in {path} is not empty: it holds {devices} devices and {registrations} registrations, and {owed} \
         pushes are owed. import only fills an empty one: move that folder away, or set another store.path \
         (import --from takes --merge, and adds to what is there)"
    )]
    NotEmpty {
        /// The folder.
        path: PathBuf,
        /// How many devices it holds, dead ones included.
        devices: usize,
        /// How many registrations, dead ones included.
        registrations: usize,
        /// How many pushes are owed.
        owed: usize,
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

impl StoreError {
    /// Something in this folder is not as it was written.
    pub(super) fn corrupt(path: &Path, what: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_owned(), what: what.into(), snapshot: snapshots::newest(path) }
    }
}

/// What to do about damage.
fn recovery(path: &Path, snapshot: Option<&Path>) -> String {
    let name = snapshot.and_then(Path::file_name);
    let (Some(snapshot), Some(name)) = (snapshot, name) else {
        let path = path.display();
        return format!(
            "There is no snapshot of it either. Move the folder away (mv {path} {path}.damaged), then import your latest \
             copy (pushkeeper import FILE), or start anew, and apps have to register again"
        );
    };
    let (path, folder) = (path.display(), snapshots::FOLDER);
    let (made, name) = (snapshots::said_of(snapshot), name.to_string_lossy());
    format!(
        "Its latest snapshot is of {made}. To go back to it: mv {path} {path}.damaged && pushkeeper import \
         {path}.damaged/{folder}/{name}, then start pushkeeper; what registered since then has to register again"
    )
}
