//! redb 4: one file, one transaction a commit.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{Builder, Database, ReadOnlyTable, ReadableDatabase as _, ReadableTableMetadata as _, TableDefinition};

use super::{Disk, Fault, Raw, Scan, Writes, guarded};
use crate::store::error::StoreError;
use crate::store::open::{private, sync_folder};

/// The database.
pub(super) const FILE: &str = "store.redb";

/// The same while it is made, so that a start that was cut short leaves none behind that cannot be read.
pub(in crate::store) const NEW: &str = "store.redb.new";

/// redb's page cache, bytes; for the reasons that sled's is so small. (redb's default is 1 GB.)
const CACHE: usize = 16 * 1024 * 1024;

type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;
const RECORDS: Table = TableDefinition::new("records");
const META: Table = TableDefinition::new("meta");

struct Redb {
    db: Database,
}

pub(super) fn open(path: &Path) -> Result<Box<dyn Disk>, StoreError> {
    let unusable = |doing, source| StoreError::Unusable { path: path.to_owned(), doing, source: Arc::new(source) };
    let (file, new) = (path.join(FILE), path.join(NEW));
    if !file.exists() {
        match fs::remove_file(&new) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unusable("tidy", error)),
            _ => {}
        }
        guarded(|| make(&new)).map_err(|fault| fault.on_read(path))?;
        fs::rename(&new, &file).and_then(|()| sync_folder(path)).map_err(|error| unusable("make", error))?;
    }
    let db = guarded(|| database(&file)).map_err(|fault| fault.on_read(path))?;
    Ok(Box::new(Redb { db }))
}

fn database(file: &Path) -> Result<Database, Fault> {
    let file = private().open(file)?;
    let mut builder = Builder::new();
    // Every page is read and compared with its checksum: about as long as loading, and noise is never taken for
    // records, nor for none.
    builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
    Ok(builder.create_with_backend(FileBackend::new(file)?)?)
}

/// Makes a database with both tables.
fn make(file: &Path) -> Result<(), Fault> {
    let redb = Redb { db: database(file)? };
    redb.transaction(|records, meta| {
        // Opened, so made.
        let _made = (records, meta);
        Ok(())
    })
}

/// A table in a transaction that writes.
type Writable<'a> = redb::Table<'a, &'static [u8], &'static [u8]>;

impl Redb {
    /// All or nothing, on the disk when it returns.
    fn transaction(
        &self,
        write: impl FnOnce(&mut Writable<'_>, &mut Writable<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut transaction = self.db.begin_write()?;
        // With one phase, a file that was not closed falls back to the commit before if the last one does not match its
        // checksum, were it noise or a write that the power cut short: a promise would be gone without a word. With two
        // it is refused.
        transaction.set_two_phase_commit(true);
        {
            let (mut records, mut meta) = (transaction.open_table(RECORDS)?, transaction.open_table(META)?);
            write(&mut records, &mut meta)?;
        }
        Ok(transaction.commit()?)
    }

    fn read(&self, table: Table) -> Result<ReadOnlyTable<&'static [u8], &'static [u8]>, Fault> {
        Ok(self.db.begin_read()?.open_table(table)?)
    }
}

impl Disk for Redb {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.read(RECORDS)?.get(key)?.map(|value| value.value().to_vec()))
    }

    fn has(&self, key: &[u8]) -> Result<bool, Fault> {
        Ok(self.read(RECORDS)?.get(key)?.is_some())
    }

    fn range(&self, from: &[u8], before: &[u8]) -> Scan {
        let records = || -> Result<_, Fault> {
            let table = self.read(RECORDS)?;
            Ok(table.range(from..before)?)
        };
        let raw = |record: Result<_, redb::StorageError>| -> Result<Raw, Fault> {
            let (key, value): (redb::AccessGuard<'_, &[u8]>, redb::AccessGuard<'_, &[u8]>) = record?;
            Ok((key.value().to_vec(), value.value().to_vec()))
        };
        match records() {
            Ok(records) => Box::new(records.map(raw)),
            Err(fault) => Box::new(std::iter::once(Err(fault))),
        }
    }

    fn is_empty(&self) -> Result<bool, Fault> {
        Ok(self.read(RECORDS)?.is_empty()?)
    }

    fn write(&self, writes: Writes) -> Result<(), Fault> {
        let facts = writes.facts.into_iter().map(|(key, value)| (key, Some(value)));
        let all = facts.chain(writes.promises).chain(writes.folded);
        self.transaction(|records, _| {
            for (key, value) in all {
                match value {
                    Some(value) => drop(records.insert(key.as_slice(), value.as_slice())?),
                    None => drop(records.remove(key.as_slice())?),
                }
            }
            Ok(())
        })
    }

    fn meta(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.read(META)?.get(key)?.map(|value| value.value().to_vec()))
    }

    fn set_meta(&self, key: &[u8], value: Option<Vec<u8>>) -> Result<(), Fault> {
        self.transaction(|_, meta| {
            match value {
                Some(value) => drop(meta.insert(key, value.as_slice())?),
                None => drop(meta.remove(key)?),
            }
            Ok(())
        })
    }

    fn used(&self) -> bool {
        // Whether it is new is known by its schema number, which is in the same file: a store has that name only once
        // it was made whole.
        false
    }
}

impl From<redb::Error> for Fault {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(error) => Self::System(error),
            redb::Error::DatabaseAlreadyOpen => Self::Held,
            redb::Error::Corrupted(what) => Self::Damaged(format!("redb says: {what}")),
            error => Self::Bug(format!("redb says: {error}")),
        }
    }
}

macro_rules! as_any_error {
    ($($error:ident),*) => {
        $(impl From<redb::$error> for Fault {
            fn from(error: redb::$error) -> Self {
                redb::Error::from(error).into()
            }
        })*
    };
}
as_any_error!(DatabaseError, TransactionError, TableError, StorageError, CommitError);
