//! The folder, the lock, and sled.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::error::StoreError;
use super::journal::Journal;
use super::migrate;

/// sled's page cache, bytes. Everything is in our own memory too, and a commit touches few pages: more would only
/// hold things twice. (sled's default is 1 GB.)
const CACHE: u64 = 16 * 1024 * 1024;

/// How often, and how far apart, sled's own lock is asked for. A database that this process has just closed may hold
/// it for a moment longer, in sled's background threads.
const LOCK_TRIES: u32 = 200;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// More than sled writes for a store that has never held a device, bytes.
const FIRST_START: u64 = 16 * 1024;

/// What may lie in the folder of a store whose data file is not there (yet): our lock, what sled makes before it, our
/// snapshots, and what a file system puts into its root.
const NOT_FOREIGN: [&str; 5] = ["lock", "conf", "blobs", "snapshots", "lost+found"];

/// sled, and what is needed to make it durable.
pub(super) struct Engine {
    /// Everything that is remembered, of every kind.
    pub(super) records: sled::Tree,
    /// What the store says about itself.
    pub(super) meta: sled::Tree,
    /// What became of pushes since the histories were last written.
    pub(super) journal: Journal,
    db: sled::Db,
    /// Whether there was more in sled's log, before it was opened, than a first start writes.
    pub(super) used: bool,
    /// sled's log. Our own handle: sled shows no other way to fsync it.
    file: File,
    blobs: PathBuf,
}

/// Makes the folder if it is not there, and takes it for this process for as long as the file lives.
pub(super) fn claim(path: &Path) -> Result<File, StoreError> {
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
    if let Some(found) = foreign(path).map_err(|error| unusable("list", error))? {
        return Err(StoreError::NotAStore { path: path.to_owned(), found });
    }

    let mut file = private().open(path.join("lock")).map_err(|error| unusable("lock", error))?;
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
    /// Opens sled in a folder that is ours, and brings its schema up to date.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let unusable = |doing, source| StoreError::Unusable { path: path.to_owned(), doing, source: Arc::new(source) };
        set_aside_unfinished(path).map_err(|error| unusable("tidy", error))?;
        // sled would make its file readable by all; tokens are in it.
        let file = private().open(path.join("db")).map_err(|error| unusable("open", error))?;
        let used = file.metadata().map_err(|error| unusable("look at", error))?.len() > FIRST_START;
        let db = open_sled(path)?;
        let opened = guarded(|| {
            let (records, meta) = (db.open_tree("records")?, db.open_tree(migrate::META)?);
            let journal = Journal::default();
            Ok(Self { records, meta, journal, db: db.clone(), used, file, blobs: path.join("blobs") })
        });
        let mut engine = opened.map_err(|error| on_read(path, error))?;
        migrate::bring_up(path, &engine, migrate::STEPS)?;
        engine.journal = guarded(|| Journal::read(&engine.records)).map_err(|error| on_read(path, error))?;
        engine.sync().map_err(|error| on_read(path, error))?;
        // The names of new files are in the folder, not in the files.
        sync_folder(path).map_err(|error| unusable("write to", error))?;
        Ok(engine)
    }

    /// The whole database, for migrations.
    pub(super) fn db(&self) -> &sled::Db {
        &self.db
    }

    /// Puts everything written so far on the disk.
    pub(super) fn sync(&self) -> sled::Result<()> {
        // On Linux this ends in sync_file_range(2), which leaves the file's size and the disk's cache out.
        self.db.flush()?;
        self.file.sync_data()?;
        // sled keeps a page of half a megabyte or more in a file of its own, which it never syncs. There are none
        // unless something huge was stored.
        let mut any = false;
        for blob in fs::read_dir(&self.blobs)? {
            File::open(blob?.path())?.sync_data()?;
            any = true;
        }
        if any { Ok(sync_folder(&self.blobs)?) } else { Ok(()) }
    }
}

impl fmt::Debug for Engine {
    // sled's own would print every record.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Engine(..)")
    }
}

/// Runs something of sled's, which panics on some kinds of damage and after some failed writes.
pub(super) fn guarded<T>(run: impl FnOnce() -> sled::Result<T>) -> sled::Result<T> {
    panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        Err(sled::Error::ReportableBug(format!("sled gave up: {text}")))
    })
}

/// What sled's error means when nothing but reading was asked for.
pub(super) fn on_read(path: &Path, error: sled::Error) -> StoreError {
    match error {
        sled::Error::Io(error) if !matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData) => {
            StoreError::Unusable { path: path.to_owned(), doing: "open", source: Arc::new(error) }
        }
        sled::Error::Corruption { at, .. } => {
            let place = at.map_or(String::new(), |at| format!(" at {at:?}"));
            StoreError::Corrupt { path: path.to_owned(), what: format!("sled cannot read a page{place}") }
        }
        error => StoreError::Corrupt { path: path.to_owned(), what: error.to_string() },
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
    if path.join("db").exists() {
        return Ok(None);
    }
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        if !NOT_FOREIGN.map(OsStr::new).contains(&name.as_os_str()) {
            return Ok(Some(name.to_string_lossy().into_owned()));
        }
    }
    Ok(None)
}

/// sled 0.34.7 takes a snapshot of its page table that it was killed while writing for a finished one, and then finds
/// it corrupt (its issue 1527). All that is in it is in the log as well, so it only has to get another name.
fn set_aside_unfinished(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::rename(entry.path(), path.join("unfinished-snapshot"))?;
        }
    }
    Ok(())
}

fn open_sled(path: &Path) -> Result<sled::Db, StoreError> {
    let config = || {
        sled::Config::new()
            .path(path)
            .mode(sled::Mode::HighThroughput)
            .cache_capacity(CACHE)
            // Every commit flushes; a second thread that flushes at other times gains nothing.
            .flush_every_ms(None)
    };
    let mut tries = 0;
    loop {
        tries += 1;
        match guarded(|| config().open()) {
            Ok(db) => return Ok(db),
            Err(sled::Error::Io(error)) if error.to_string().contains("could not acquire lock") => {
                if tries == LOCK_TRIES {
                    return Err(StoreError::Locked { path: path.to_owned(), holder: None });
                }
                thread::sleep(LOCK_PAUSE);
            }
            Err(error) => return Err(on_read(path, error)),
        }
    }
}

/// Opens for reading and writing, makes what is missing readable by its owner only, and cuts nothing off.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
