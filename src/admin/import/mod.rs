//! What other programs keep, as our own registrations and devices.
//!
//! | File | Part |
//! |---|---|
//! | `cloud_notify` | Prosody's `mod_cloud_notify`: internal storage and SQL |
//! | `ejabberd` | ejabberd's `mod_push`: Mnesia and SQL |
//! | `p2` | the devices of p2 |
//! | `draft` | what a host kept of an `<enable/>`, and the registration it becomes |
//! | `plan` | what is taken of all that was read, beside what is there already |
//! | `report` | what came of it, in words |
//! | `lua`, `sql`, `erlang` | the formats, as data; `tree`, `xml` and `bytes` are their tools |
//!
//! A row that makes no sense is counted, and named by its line and its account; a file that is nothing of the kind stops
//! the import. Files are read as they come, however large: only what is taken is kept.

mod bytes;
mod cloud_notify;
mod draft;
mod ejabberd;
mod erlang;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod lua;
mod p2;
mod plan;
mod report;
mod sql;
mod tree;
mod xml;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;

use self::draft::Draft;
pub use self::draft::domain;
pub use self::erlang::ErlangError;
pub use self::plan::{Existing, Plan, plan};
pub use self::report::{Place, Report, Skip, Skipped};
pub use self::sql::SqlError;
use crate::domain::app::App;
use crate::domain::device::Device;
use crate::domain::ids::Domain;
use crate::domain::registration::Registration;
use crate::domain::time::Timestamp;
use crate::flows::policy::Policy;

/// Whose files can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Prosody's mod_cloud_notify, internal storage: the data folder, or HOST/cloud_notify/USER.dat
    CloudNotify,
    /// Prosody's mod_cloud_notify, SQL storage: a dump with the table prosody
    CloudNotifySql,
    /// ejabberd's mod_push, SQL: a dump with the table push_session
    EjabberdSql,
    /// ejabberd's mod_push, Mnesia: what `ejabberdctl dump_table FILE push_session` writes
    EjabberdMnesia,
    /// Devices of p2: a dump with the table target
    P2,
}

impl Kind {
    /// What a file of this kind is, to be read after "is no".
    const fn what(self) -> &'static str {
        match self {
            Self::CloudNotify => {
                "data folder of Prosody with HOST/cloud_notify/USER.dat in it, and no such file either"
            }
            Self::CloudNotifySql => "SQL dump with the table prosody",
            Self::EjabberdSql => "SQL dump with the table push_session",
            Self::EjabberdMnesia => "text dump of Mnesia with the table push_session",
            Self::P2 => "SQL dump with p2's table target",
        }
    }
}

/// What is wanted of the files.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// Whose accounts they are where the files do not say; where they do, only those of this domain are taken.
    pub domain: Option<Domain>,
    /// The app of the devices; else the one that their client would mean.
    pub app: Option<&'a App>,
    /// The operator's settings.
    pub policy: &'a Policy,
    /// When it is now: for what has no time of its own.
    pub now: Timestamp,
}

/// What was read, and what was not.
#[derive(Debug)]
pub struct Taken {
    kind: Kind,
    registrations: Vec<(Place, Registration)>,
    devices: Vec<(Place, Device)>,
    sources: Vec<Arc<str>>,
    skipped: Vec<Skipped>,
    warnings: BTreeSet<String>,
}

/// Why nothing can be imported. Says nothing of a file's content.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// It cannot be read.
    #[error("{0} cannot be read: {1}")]
    Read(PathBuf, io::Error),
    /// It is something else.
    #[error("{0} is no {what}", what = .1.what())]
    NothingOfTheKind(PathBuf, Kind),
    /// It cannot be read to its end.
    #[error("{0} {1}")]
    Sql(PathBuf, SqlError),
    /// It cannot be read to its end.
    #[error("{0} {1}")]
    Erlang(PathBuf, ErlangError),
    /// It does not say whose accounts they are.
    #[error("{0} does not say of which domain its accounts are; say it with --domain")]
    NoDomain(PathBuf),
    /// Such a domain there cannot be.
    #[error("--domain {0:?} is no domain")]
    NoSuchDomain(String),
    /// There is no such app.
    #[error("--app {0:?} has no section [apps.NAME] in the configuration")]
    NoSuchApp(String),
}

impl ForeignError {
    fn reading(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Read(path.to_owned(), error)
    }
}

/// Reads these files to their ends.
///
/// # Errors
/// One of them cannot be read, is nothing of the kind, or not whole.
pub fn read(kind: Kind, sources: &[PathBuf], wanted: Wanted<'_>) -> Result<Taken, ForeignError> {
    let mut foreign = Foreign::new(kind, wanted);
    for path in sources {
        foreign.source = path.display().to_string().into();
        foreign.taken.sources.push(foreign.source.clone());
        foreign.file(path);
        if kind == Kind::CloudNotify {
            cloud_notify::read(&mut foreign, path)?;
            continue;
        }
        let file = File::open(path).map_err(ForeignError::reading(path))?;
        let dump = BufReader::with_capacity(1 << 16, file);
        match kind {
            Kind::CloudNotify | Kind::CloudNotifySql => cloud_notify::read_sql(&mut foreign, path, dump)?,
            Kind::EjabberdSql => ejabberd::read_sql(&mut foreign, path, dump)?,
            Kind::EjabberdMnesia => ejabberd::read_mnesia(&mut foreign, path, dump)?,
            Kind::P2 => p2::read(&mut foreign, path, dump)?,
        }
    }
    Ok(foreign.taken)
}

/// What is being read, and what was taken of it so far.
struct Foreign<'a> {
    kind: Kind,
    wanted: Wanted<'a>,
    /// As it was named.
    source: Arc<str>,
    /// The file of it that is being read.
    file: Arc<str>,
    taken: Taken,
}

impl<'a> Foreign<'a> {
    fn new(kind: Kind, wanted: Wanted<'a>) -> Self {
        let taken = Taken {
            kind,
            registrations: Vec::new(),
            devices: Vec::new(),
            sources: Vec::new(),
            skipped: Vec::new(),
            warnings: BTreeSet::new(),
        };
        Self { kind, wanted, source: Arc::default(), file: Arc::default(), taken }
    }

    /// Which file is being read.
    fn file(&mut self, path: &Path) {
        self.file = path.display().to_string().into();
    }

    fn place(&self, line: u64) -> Place {
        Place { source: self.source.clone(), file: self.file.clone(), line }
    }

    /// The host that a file names, or else the one that was asked for.
    fn host_or_domain(&self, host: Option<&str>) -> Option<String> {
        let named = host.filter(|host| !host.is_empty()).map(str::to_owned);
        named.or_else(|| self.wanted.domain.as_ref().map(|domain| domain.as_str().to_owned()))
    }

    /// Takes a registration, unless something is wrong with it.
    fn take(&mut self, line: u64, draft: &Draft<'_>) {
        let registration = draft.account().and_then(|account| match &self.wanted.domain {
            Some(wanted) if account.domain() != *wanted => Err(Skip::OtherDomain),
            _ => draft.registration(self.wanted.policy, self.wanted.now),
        });
        match registration {
            Ok(registration) => self.taken.registrations.push((self.place(line), registration)),
            Err(why) => self.skip(line, &format!("{}@{}", draft.user, draft.host), why),
        }
    }

    fn device(&mut self, line: u64, device: Device) {
        self.taken.devices.push((self.place(line), device));
    }

    /// Counts what is not taken. What stands for an account may be anything.
    fn skip(&mut self, line: u64, whose: &str, why: Skip) {
        let printable = whose.len() <= 512 && !whose.contains(char::is_control);
        let whose = if printable { whose.to_owned() } else { String::new() };
        self.taken.skipped.push(Skipped { why, place: self.place(line), whose });
    }
}

#[cfg(test)]
mod tests;
