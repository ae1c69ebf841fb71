//! Exports that are made by themselves, in the folder of the store: what is left when it does not open any more.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::Store;
use super::export::{ExportError, Exported, write_export};
use super::import;
use super::open::sync_folder;
use crate::domain::time::Timestamp;

/// The folder of the snapshots, in that of the store.
pub const FOLDER: &str = "snapshots";

/// How many are kept.
const KEPT: usize = 3;

const SUFFIX: &str = ".jsonl";

/// What follows the name of a file that is being written.
const PART: &str = ".part";

/// Writes one, readable by its owner only, and removes all but the newest three. The name is the time, so that their
/// order is that of their names. Commits go on meanwhile.
///
/// # Errors
/// If the store cannot be read, or the file cannot be written; then there is none, and those from before stay.
pub fn write(store: &Store, now: Timestamp) -> Result<(PathBuf, Exported), ExportError> {
    let folder = store.path().join(FOLDER);
    match DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => sync_folder(store.path())?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.into()),
    }
    // Of a process that was killed over it.
    for half in named(store.path(), &format!("{SUFFIX}{PART}")) {
        fs::remove_file(half)?;
    }
    let file = folder.join(name(now) + SUFFIX);
    let exported = write_whole(&file, |out| write_export(store, out, now))?;
    // Whatever the clock says: not the one just written.
    let mut others: Vec<_> = all(store.path()).into_iter().filter(|other| *other != file).collect();
    others.truncate(others.len().saturating_sub(KEPT - 1));
    for old in others {
        fs::remove_file(old)?;
    }
    Ok((file, exported))
}

/// Writes a file that is there whole or not at all, readable by its owner only.
///
/// # Errors
/// If it cannot be written, or `fill` fails. What was there before stays then.
pub fn write_whole<T, E: From<io::Error>>(
    file: &Path,
    fill: impl FnOnce(&mut dyn io::Write) -> Result<T, E>,
) -> Result<T, E> {
    let mut part = file.to_owned().into_os_string();
    part.push(PART);
    let part = PathBuf::from(part);
    let written = (|| {
        // One that a crash left may be readable by others.
        match fs::remove_file(&part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut out = BufWriter::new(OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?);
        let filled = fill(&mut out)?;
        out.flush()?;
        out.get_ref().sync_all()?;
        fs::rename(&part, file)?;
        sync_folder(file.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new(".")))?;
        Ok(filled)
    })();
    if written.is_err() {
        // It is of no use, and may be what fills the disk.
        let _gone = fs::remove_file(&part);
    }
    written
}

/// The newest snapshot of the store in this folder.
#[must_use]
pub fn newest(store: &Path) -> Option<PathBuf> {
    all(store).pop()
}

/// When a snapshot was made; `None` if it is none.
#[must_use]
pub fn made(snapshot: &Path) -> Option<Timestamp> {
    let mut first = String::new();
    BufReader::new(fs::File::open(snapshot).ok()?).read_line(&mut first).ok()?;
    import::header(&first).ok()
}

/// When a snapshot was made, for people: by its name.
#[must_use]
pub fn said_of(snapshot: &Path) -> String {
    let stem = snapshot.file_stem().unwrap_or_default().to_string_lossy();
    match stem.trim_end_matches('Z').split_once('T') {
        Some((day, time)) => format!("{day} {} UTC", time.replace('-', ":")),
        None => stem.into_owned(),
    }
}

/// All snapshots, the oldest first.
fn all(store: &Path) -> Vec<PathBuf> {
    named(store, SUFFIX)
}

/// The files whose names are a time and this, the oldest first: nothing else is ours to count, or to remove.
fn named(store: &Path, suffix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(store.join(FOLDER)).into_iter().flatten().flatten();
    let ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.strip_suffix(suffix).is_some_and(is_time)
    };
    let mut found: Vec<_> = entries.map(|entry| entry.path()).filter(ours).collect();
    found.sort();
    found
}

fn is_time(name: &str) -> bool {
    const PATTERN: &str = "dddd-dd-ddTdd-dd-ddZ";
    let fits = |(c, wanted): (char, char)| if wanted == 'd' { c.is_ascii_digit() } else { c == wanted };
    name.len() == PATTERN.len() && name.chars().zip(PATTERN.chars()).all(fits)
}

/// The time as a name: `2026-11-22T19-40-07Z`.
fn name(now: Timestamp) -> String {
    now.to_string().replace(':', "-")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;
    use crate::domain::device::tests::device;
    use crate::flows::data::Change;
    use crate::store::{EngineKind, StoreError, read_import};

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn names(store: &Store) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(store.path().join(FOLDER))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_name_is_the_time() {
        let rows = [
            (0, "1970-01-01T00-00-00Z"),
            (951_782_399, "2000-02-28T23-59-59Z"),
            (951_782_400, "2000-02-29T00-00-00Z"),
            (1_700_000_000, "2023-11-14T22-13-20Z"),
            (1_798_761_599, "2026-12-31T23-59-59Z"),
            (4_107_542_400, "2100-03-01T00-00-00Z"),
            (-5, "1970-01-01T00-00-00Z"),
        ];
        for (secs, expected) in rows {
            assert_eq!(name(at(secs)), expected);
        }
        assert_eq!(said_of(Path::new("x/2023-11-14T22-13-20Z.jsonl")), "2023-11-14 22:13:20 UTC");
    }

    #[test]
    fn the_newest_three_stay_for_their_owner_only_and_nothing_else_is_touched() {
        for kind in EngineKind::ALL {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path(), kind).unwrap();
            store.commit(&[Change::Device(Box::new(device()))]).unwrap();
            assert_eq!((newest(store.path()), names_or_none(&store)), (None, 0));
            for day in 0..5 {
                let (file, exported) = write(&store, at(day * 86_400)).unwrap();
                assert_eq!((newest(store.path()).as_ref(), exported.devices), (Some(&file), 1));
                assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
                assert_eq!(made(&file), Some(at(day * 86_400)));
                let import = read_import(BufReader::new(fs::File::open(&file).unwrap())).unwrap();
                assert_eq!(import.devices, 1);
                if day == 0 {
                    fs::write(store.path().join(FOLDER).join("mine.jsonl"), "mine").unwrap();
                }
            }
            let kept = ["1970-01-03T00-00-00Z.jsonl", "1970-01-04T00-00-00Z.jsonl", "1970-01-05T00-00-00Z.jsonl"];
            assert_eq!(names(&store), [kept.as_slice(), &["mine.jsonl"]].concat());
            assert_eq!(fs::metadata(store.path().join(FOLDER)).unwrap().mode() & 0o777, 0o700);
            // The clock was set back: what was just written stays all the same.
            write(&store, at(7)).unwrap();
            assert_eq!(names(&store)[0], "1970-01-01T00-00-07Z.jsonl");
            assert_eq!(names(&store).len(), 4);
        }
    }

    fn names_or_none(store: &Store) -> usize {
        fs::read_dir(store.path().join(FOLDER)).map_or(0, Iterator::count)
    }

    #[test]
    fn a_snapshot_that_fails_leaves_those_from_before_and_nothing_half() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), EngineKind::Redb).unwrap();
        write(&store, at(0)).unwrap();
        // One of a process that was killed, which others may read.
        let part = store.path().join(FOLDER).join("1970-01-01T00-00-09Z.jsonl.part");
        fs::write(&part, "half").unwrap();
        fs::set_permissions(&part, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(store.path().join(FOLDER).join("1970-01-01T00-00-05Z.jsonl.part"), "half").unwrap();
        store.put("dnode", "\x01junk-junk");
        let failed = write(&store, at(9)).unwrap_err();
        assert!(matches!(failed, ExportError::Store(StoreError::Corrupt { .. })), "{failed}");
        assert_eq!(names(&store), ["1970-01-01T00-00-00Z.jsonl"]);
    }
}
