//! The folder, the lock, and the engine in it.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use super::engine::{Disk, EngineKind, guarded};
use super::error::StoreError;
use super::journal::Journal;
use super::migrate;
use super::snapshots;

/// The file whose lock says who has the store open; in it, the process id.
pub(super) const LOCK: &str = "lock";

/// What may lie in the folder of a store whose data file is not there (yet): our lock, what engines make before it, our
/// snapshots, and what a file system puts into its root.
const NOT_FOREIGN: [&str; 6] = [LOCK, "conf", "blobs", "store.redb.new", snapshots::FOLDER, "lost+found"];

/// A database with what is needed to make it a store.
pub(super) struct Engine {
    pub(super) disk: Box<dyn Disk>,
    /// What became of pushes since the histories were last written.
    pub(super) journal: Journal,
}

/// Makes the folder if it is not there, and takes it for this process for as long as the file lives. Refuses a folder
/// with a store of another engine.
pub(super) fn claim(path: &Path, kind: EngineKind) -> Result<File, StoreError> {
    let unusable = |doing, source| StoreError::Unusable { path: path.to_owned(), doing, source: Arc::new(source) };
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => return Err(StoreError::NotAFolder { path: path.to_owned() }),
        Ok(found) => warn_if_others_may_enter(path, found.permissions().mode()),
        Err(error) if error.kind() == ErrorKind::NotFound => make(path)?,
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            return Err(StoreError::NotAFolder { path: path.to_owned() });
        }
        Err(error) => return Err(unusable("look at", error)),
    }
    match EngineKind::ALL.into_iter().find(|other| *other != kind && path.join(other.file()).exists()) {
        Some(found) => return Err(StoreError::OtherEngine { path: path.to_owned(), found, wanted: kind }),
        None if path.join(kind.file()).exists() => {}
        None => {
            if let Some(found) = foreign(path).map_err(|error| unusable("list", error))? {
                return Err(StoreError::NotAStore { path: path.to_owned(), found });
            }
        }
    }

    let mut file = private().open(path.join(LOCK)).map_err(|error| unusable("lock", error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let read = file.read_to_string(&mut holder);
            let holder = read.ok().and_then(|_| holder.trim().parse().ok());
            return Err(StoreError::Locked { path: path.to_owned(), holder });
        }
        Err(TryLockError::Error(error)) => return Err(unusable("lock", error)),
    }
    // Only for the other's error message: not worth failing for.
    let _courtesy = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}

impl Engine {
    /// Opens the database in a folder that is ours, and brings its schema up to date.
    pub(super) fn open(path: &Path, kind: EngineKind) -> Result<Self, StoreError> {
        let disk = kind.open(path)?;
        migrate::bring_up(path, &*disk, migrate::STEPS)?;
        let journal = guarded(|| Journal::read(&*disk)).map_err(|fault| fault.on_read(path))?;
        // The names of new files are in the folder, not in the files.
        sync_folder(path).map_err(|error| StoreError::Unusable {
            path: path.to_owned(),
            doing: "write to",
            source: Arc::new(error),
        })?;
        Ok(Self { disk, journal })
    }
}

impl fmt::Debug for Engine {
    // The engines' own would print records.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Engine(..)")
    }
}

fn make(path: &Path) -> Result<(), StoreError> {
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    DirBuilder::new().mode(0o700).create(path).and_then(|()| sync_folder(parent)).map_err(|error| match error.kind() {
        ErrorKind::NotFound if !parent.exists() => {
            StoreError::NoParent { path: path.to_owned(), parent: parent.to_owned() }
        }
        _ => StoreError::Unusable { path: path.to_owned(), doing: "make", source: Arc::new(error) },
    })
}

fn warn_if_others_may_enter(path: &Path, mode: u32) {
    if mode & 0o077 != 0 {
        tracing::warn!(
            path = %path.display(),
            mode = format_args!("{:03o}", mode & 0o777),
            "others may enter the folder of the store, which holds device tokens: chmod 700 it \
             (systemd: StateDirectoryMode=0700)"
        );
    }
}

/// The name of something that is not ours, in a folder that holds no store.
fn foreign(path: &Path) -> io::Result<Option<String>> {
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        if !NOT_FOREIGN.map(OsStr::new).contains(&name.as_os_str()) {
            return Ok(Some(name.to_string_lossy().into_owned()));
        }
    }
    Ok(None)
}

/// Opens for reading and writing, makes what is missing readable by its owner only, and cuts nothing off.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options
}

pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
