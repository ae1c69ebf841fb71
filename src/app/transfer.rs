//! `pushkeeper export` and `pushkeeper import`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use crate::admin::import::ForeignError;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::store::{
    EngineKind, ExportError, Exported, Import, ImportError, Store, StoreError, not_for_root, read_import, snapshots,
    write_export,
};

/// Why nothing was exported or imported.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// There is nothing to export.
    #[error("there is no store in {0}; mend store.path, or name the configuration with --config FILE")]
    NoStore(PathBuf),
    /// The store does not open, or cannot be read or filled.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is in use, and there is no snapshot of it yet.
    #[error("{0}. It has no snapshot yet either; have the running pushkeeper make one (kill -USR1), then try again")]
    NoSnapshot(StoreError),
    /// The export cannot be written.
    #[error("cannot write the export: {0}")]
    Write(#[from] io::Error),
    /// The file cannot be imported.
    #[error("{0} {1}. Nothing was imported")]
    Import(PathBuf, ImportError),
    /// An export is one file.
    #[error("an export is one file; what another program keeps may be several, with --from KIND. Nothing was imported")]
    OneFile,
    /// What another program kept cannot be imported.
    #[error("{0}. Nothing was imported")]
    Foreign(#[from] ForeignError),
}

impl From<ExportError> for TransferError {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Store(error) => Self::Store(error),
            ExportError::Write(error) => Self::Write(error),
        }
    }
}

/// Writes what is in the store to a file that only its owner can read, or to the standard output. Of a store that
/// another process has open, the newest snapshot. Returns what to tell the one who asked.
///
/// # Errors
/// If there is no store, or no snapshot, or it cannot be read or written. Then there is no file.
pub fn export(store: &config::Store, file: Option<&Path>, clock: &Clock) -> Result<String, TransferError> {
    if EngineKind::found_in(&store.path).is_none() {
        return Err(TransferError::NoStore(store.path.clone()));
    }
    match Store::open(&store.path, super::engine(store.engine)) {
        Ok(opened) => {
            let fill = |out: &mut dyn io::Write| Ok(write_export(&opened, out, clock.wall())?);
            let exported: Exported = written(file, fill)?;
            Ok(said(exported))
        }
        Err(locked @ StoreError::Locked { .. }) => {
            let Some(newest) = snapshots::newest(&store.path) else { return Err(TransferError::NoSnapshot(locked)) };
            // Named before it is opened: it may be removed meanwhile, but then says so.
            let mut snapshot = File::open(&newest)?;
            written(file, |out| Ok(io::copy(&mut snapshot, out)?))?;
            let (path, made) = (store.path.display(), snapshots::said_of(&newest));
            let holder = match locked {
                StoreError::Locked { holder: Some(pid), .. } => format!("kill -USR1 {pid}"),
                _ => "kill -USR1 and its process id".to_owned(),
            };
            Ok(format!(
                "the store in {path} is in use: exported its newest snapshot, of {made}; for a newer one: {holder}, then \
                 again"
            ))
        }
        Err(error) => Err(error.into()),
    }
}

fn written<T>(
    file: Option<&Path>,
    fill: impl FnOnce(&mut dyn io::Write) -> Result<T, TransferError>,
) -> Result<T, TransferError> {
    match file {
        Some(file) => snapshots::write_whole(file, fill),
        None => {
            let mut out = io::BufWriter::new(io::stdout().lock());
            let filled = fill(&mut out)?;
            io::Write::flush(&mut out)?;
            Ok(filled)
        }
    }
}

fn said(exported: Exported) -> String {
    let Exported { devices, registrations, owed } = exported;
    let left_out = match owed {
        0 => String::new(),
        owed => format!("; {owed} pushes are owed and not in it: they stay with this store"),
    };
    format!("exported {devices} devices and {registrations} registrations{left_out}")
}

/// Fills an empty store with what a file holds, all or nothing; with `dry_run`, says what that would be. Returns what to
/// tell the one who asked.
///
/// # Errors
/// If the file is not whole and right, or the store is not empty or cannot be written.
pub fn import(config: &Config, file: &Path, dry_run: bool) -> Result<String, TransferError> {
    let wrong = |error| TransferError::Import(file.to_owned(), error);
    let opened = File::open(file).map_err(|error| wrong(error.into()))?;
    let import = read_import(BufReader::new(opened)).map_err(wrong)?;
    let (path, kind) = (&config.store.path, super::engine(config.store.engine));
    let Import { devices, registrations, .. } = import;
    let of = format!("{devices} devices and {registrations} registrations into the store in {}", path.display());
    let unknown = unknown(config, &import);
    if dry_run {
        Import::would_fit(path, kind)?;
        return Ok(format!("would import {of}{unknown}"));
    }
    not_for_root(path)?;
    import.fill(path, kind)?;
    Ok(format!("imported {of}{unknown}"))
}

/// What to say of devices whose apps are not configured.
fn unknown(config: &Config, import: &Import) -> String {
    let known: BTreeSet<_> = config.apps.iter().map(|app| &app.app.name).collect();
    let unknown: Vec<_> = import.apps.iter().filter(|app| !known.contains(app)).map(|app| app.as_str()).collect();
    match unknown.as_slice() {
        [] => String::new(),
        apps => format!("; these apps have devices in it and no section in the configuration: {}", apps.join(", ")),
    }
}
