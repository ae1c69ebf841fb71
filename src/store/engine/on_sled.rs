//! sled 0.34.7, made durable by hand.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::{Disk, Fault, Scan, Write, Writes, guarded};
use crate::store::error::StoreError;
use crate::store::open::{private, sync_folder};

/// sled's page cache, bytes. Everything is in our own memory too, and a commit touches few pages: more would only
/// hold things twice. (sled's default is 1 GB.) It is in 256 parts (`N_SHARDS` in its `lru.rs`), each of which looks at
/// what was read only after 64 reads: what was loaded last stays for a while, some 10 MB with a million devices, until so
/// much else was written. A smaller cache holds no less after loading.
const CACHE: u64 = 8 * 1024 * 1024;

/// How often, and how far apart, sled's own lock is asked for. A database that this process has just closed may hold
/// it for a moment longer, in sled's background threads.
const LOCK_TRIES: u32 = 200;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// More than sled writes for a store that has never held a device, bytes.
const FIRST_START: u64 = 16 * 1024;

struct Sled {
    records: sled::Tree,
    meta: sled::Tree,
    db: sled::Db,
    used: bool,
    /// sled's log. Our own handle: sled shows no other way to fsync it.
    file: File,
    blobs: PathBuf,
}

pub(super) fn open(path: &Path) -> Result<Box<dyn Disk>, StoreError> {
    let unusable = |doing, source| StoreError::Unusable { path: path.to_owned(), doing, source: Arc::new(source) };
    set_aside_unfinished(path).map_err(|error| unusable("tidy", error))?;
    // sled would make its file readable by all; tokens are in it.
    let file = private().open(path.join("db")).map_err(|error| unusable("open", error))?;
    let used = file.metadata().map_err(|error| unusable("look at", error))?.len() > FIRST_START;
    let opened = open_sled(path).and_then(|db| {
        guarded(|| {
            let (records, meta) = (db.open_tree("records")?, db.open_tree("meta")?);
            let sled = Sled { records, meta, db: db.clone(), used, file, blobs: path.join("blobs") };
            // What it recovered may not be on the disk yet.
            sled.sync()?;
            Ok(sled)
        })
    });
    Ok(Box::new(opened.map_err(|fault| fault.on_read(path))?))
}

impl Disk for Sled {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.records.get(key)?.map(|value| value.to_vec()))
    }

    fn has(&self, key: &[u8]) -> Result<bool, Fault> {
        Ok(self.records.contains_key(key)?)
    }

    fn range(&self, from: &[u8], before: &[u8]) -> Scan {
        let records = self.records.range(from..before);
        Box::new(records.map(|record| record.map(|(key, value)| (key.to_vec(), value.to_vec())).map_err(Fault::from)))
    }

    fn is_empty(&self) -> Result<bool, Fault> {
        Ok(self.records.is_empty())
    }

    fn write(&self, writes: Writes) -> Result<(), Fault> {
        // First, for histories among the promises may cover them.
        for (key, value) in writes.facts {
            self.records.insert(key, value)?;
        }
        match writes.promises.as_slice() {
            [] => {}
            // Atomic by itself, and a fifth of the work of a batch.
            [(key, Some(record))] => drop(self.records.insert(key, record.as_slice())?),
            _ => self.records.apply_batch(batch(writes.promises))?,
        }
        for (key, value) in writes.folded {
            match value {
                Some(value) => self.records.insert(key, value)?,
                None => self.records.remove(key)?,
            };
        }
        self.sync()
    }

    fn meta(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.meta.get(key)?.map(|value| value.to_vec()))
    }

    fn set_meta(&self, key: &[u8], value: Option<Vec<u8>>) -> Result<(), Fault> {
        // What was written before is on the disk before this is: sled's log has no order among trees.
        self.sync()?;
        match value {
            Some(value) => self.meta.insert(key, value)?,
            None => self.meta.remove(key)?,
        };
        self.sync()
    }

    fn used(&self) -> bool {
        self.used
    }
}

impl Sled {
    /// Puts everything written so far on the disk.
    fn sync(&self) -> Result<(), Fault> {
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

impl From<sled::Error> for Fault {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) => Self::System(error),
            sled::Error::Corruption { at, .. } => {
                let place = at.map_or(String::new(), |at| format!(" at {at:?}"));
                Self::Damaged(format!("sled cannot read a page{place}"))
            }
            error => Self::Bug(error.to_string()),
        }
    }
}

fn batch(promises: Vec<Write>) -> sled::Batch {
    let mut batch = sled::Batch::default();
    for (key, record) in promises {
        match record {
            Some(record) => batch.insert(key, record),
            None => batch.remove(key),
        }
    }
    batch
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

fn open_sled(path: &Path) -> Result<sled::Db, Fault> {
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
        match guarded(|| Ok(config().open()?)) {
            Err(Fault::System(error)) if error.to_string().contains("could not acquire lock") => {
                if tries == LOCK_TRIES {
                    return Err(Fault::Held);
                }
                thread::sleep(LOCK_PAUSE);
            }
            opened => return opened,
        }
    }
}
