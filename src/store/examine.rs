//! Who has a store open, and whether it opens, for somebody who only wants to know.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

use super::engine::{EngineKind, guarded};
use super::error::StoreError;
use super::{import, migrate, open};

/// The process that has a store open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its id, if it said so.
    pub pid: Option<u32>,
}

/// Who has the store in this folder open, if somebody has. Makes nothing and changes nothing.
///
/// # Errors
/// If the system does not let us look.
pub fn holder(path: &Path) -> io::Result<Option<Holder>> {
    let mut file = match File::open(path.join(open::LOCK)) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let read = file.read_to_string(&mut text);
            Ok(Some(Holder { pid: read.ok().and_then(|_| text.trim().parse().ok()) }))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// A store that opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Examined {
    /// Its schema; 0 for one that was never used.
    pub schema: u32,
    /// The newest that this program knows, to which it brings any other when it starts.
    pub newest: u32,
}

/// Opens the store in this folder and closes it again; its schema stays what it is. The folder must hold one
/// ([`EngineKind::found_in`]): else this would make it.
///
/// # Errors
/// As [`Store::open`](super::Store::open).
pub fn examine(path: &Path, kind: EngineKind) -> Result<Examined, StoreError> {
    let _lock = open::claim(path, kind)?;
    let disk = kind.open(path)?;
    let schema = migrate::schema(path, &*disk)?;
    let newest = u32::try_from(migrate::STEPS.len()).unwrap_or(u32::MAX);
    if schema > newest {
        return Err(StoreError::Newer { path: path.to_owned(), found: schema, known: newest });
    }
    let mark = guarded(|| disk.meta(import::MARK)).map_err(|fault| fault.on_read(path))?;
    if mark.is_some() {
        return Err(StoreError::HalfImported { path: path.to_owned() });
    }
    Ok(Examined { schema, newest })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn who_has_it_open_is_told_and_nothing_is_made() {
        for kind in EngineKind::ALL {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("store");
            assert_eq!(holder(&path).unwrap(), None);
            assert!(!path.exists());
            let store = Store::open(&path, kind).unwrap();
            assert_eq!(holder(&path).unwrap(), Some(Holder { pid: Some(std::process::id()) }));
            assert!(matches!(examine(&path, kind), Err(StoreError::Locked { .. })));
            drop(store);
            assert_eq!(holder(&path).unwrap(), None);
            assert_eq!(examine(&path, kind).unwrap(), Examined { schema: 6, newest: 6 });
            assert!(matches!(
                examine(&path, EngineKind::ALL.into_iter().find(|other| *other != kind).unwrap()),
                Err(StoreError::OtherEngine { .. })
            ));
        }
    }
}
