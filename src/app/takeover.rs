//! `pushkeeper import --from …`: what other programs keep, into our store.

use std::path::PathBuf;

use super::transfer::TransferError;
use crate::admin::import::{self, Existing, ForeignError, Kind, Plan, Wanted};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::time::Timestamp;
use crate::store::{EngineKind, Import, Store, not_for_root};

/// What is to be taken over, and how.
#[derive(Clone, Debug)]
pub struct Takeover {
    /// Whose files they are.
    pub kind: Kind,
    /// The files, or folders.
    pub sources: Vec<PathBuf>,
    /// Of which domain the accounts are.
    pub domain: Option<String>,
    /// The app of the devices, by its name.
    pub app: Option<String>,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Add to a store that is not empty.
    pub merge: bool,
}

/// Reads the files and writes what is taken of them to the store, all or nothing. Returns what to tell the one who
/// asked.
///
/// # Errors
/// If a file is none, or cannot be read; if the store is in use, cannot be written, or is not empty and nothing is to be
/// added to it.
pub fn take_over(config: &Config, takeover: &Takeover, clock: &Clock) -> Result<String, TransferError> {
    let now = clock.wall();
    let taken = import::read(takeover.kind, &takeover.sources, wanted(config, takeover, now)?)?;
    let (path, kind) = (&config.store.path, super::engine(config.store.engine));
    if !takeover.dry_run {
        not_for_root(path)?;
    }
    let store = match takeover.merge && EngineKind::found_in(path).is_some() {
        true => Some(Store::open(path, kind)?),
        false => None,
    };
    let mut existing = Existing::default();
    if let Some(store) = &store {
        for change in store.load()? {
            existing.note(&change?);
        }
    }
    let Plan { changes, report } = import::plan(taken, &existing, &config.policy);
    let import = Import::of(changes, now);
    match (takeover.dry_run, &store) {
        (true, None) => Import::would_fit(path, kind)?,
        (true, Some(_)) => {}
        (false, None) => import.fill(path, kind)?,
        (false, Some(store)) => import.add_to(store)?,
    }
    let done = if takeover.dry_run { "would import" } else { "imported" };
    let Import { devices, registrations, .. } = import;
    let into = path.display();
    Ok(format!("{done} {devices} devices and {registrations} registrations into the store in {into}{report}"))
}

fn wanted<'a>(config: &'a Config, takeover: &Takeover, now: Timestamp) -> Result<Wanted<'a>, ForeignError> {
    let domain = |text: &String| import::domain(text).ok_or_else(|| ForeignError::NoSuchDomain(text.clone()));
    let app = |name: &String| {
        let named = config.policy.apps.iter().find(|app| app.name.as_str() == name);
        named.ok_or_else(|| ForeignError::NoSuchApp(name.clone()))
    };
    Ok(Wanted {
        domain: takeover.domain.as_ref().map(domain).transpose()?,
        app: takeover.app.as_ref().map(app).transpose()?,
        policy: &config.policy,
        now,
    })
}
