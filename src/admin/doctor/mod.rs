//! `pushkeeper doctor`: looks at everything that must be right for a phone to be woken, and says of each thing that it
//! is, or what to do.
//!
//! | file | what it looks at |
//! |---|---|
//! | `finding.rs` | nothing: what is found, and how it is told |
//! | `files.rs` | who may read and change the configuration, keys and secrets |
//! | `store.rs` | the folder, who has it open, whether it opens, space |
//! | `component.rs` | the host's port, the stream, the secret |
//! | `hosts.rs` | over that stream: each host, its bridge, and what stands in the bridge's way |
//! | `running.rs` | instead of these two, while a pushkeeper runs: what that one says of itself |
//! | `names.rs` | whether other servers find us |
//! | `vendors.rs` | whether vendors take our credentials, certificates' end, clocks |
//!
//! A doctor does not disturb. It makes no store and no file, opens no stream while a pushkeeper has one, links with no
//! bridge, and wakes no phone. Each step over the network has a deadline, and what does not depend on each other is done
//! at once.

mod component;
mod files;
mod finding;
mod hosts;
mod names;
mod running;
mod store;
mod vendors;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::clock::Clock;
use crate::config::{Complaint, FileRead};
use crate::domain::ids::{AppName, Domain};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::gateway::AppGateway;
use crate::store::EngineKind;

pub use finding::{Finding, Verdict, exit_code};
pub use store::folder as store_folder;

/// How long one step over the network may take.
const STEP: Duration = Duration::from_secs(5);

/// What is examined: the configuration as the parts know it.
pub struct Patient {
    /// What its reading warned of.
    pub warnings: Vec<Complaint>,
    /// What its keys and certificates lack.
    pub complaints: Vec<Complaint>,
    /// Whom it serves, in words.
    pub served: String,
    /// The files it names, and itself.
    pub files: Vec<FileRead>,
    /// `component.jid`.
    pub jid: Domain,
    /// `component.connect`.
    pub connect: String,
    /// `component.secret`.
    pub secret: Secret,
    /// The domains of `[[hosts]]`.
    pub hosts: Vec<Domain>,
    /// `store.path`.
    pub store: PathBuf,
    /// `store.engine`.
    pub engine: EngineKind,
    /// The apps whose credentials can be used.
    pub apps: Vec<(AppName, AppGateway)>,
    /// When the certificate of `[http.public]` ends, if it has one.
    pub public_certificate: Option<Timestamp>,
    /// `http.listen`, where a running pushkeeper says how it is.
    pub ready: Option<SocketAddr>,
}

/// Looks at everything. Takes no longer than half a minute, the opening of a large store aside.
pub async fn examine(patient: Patient, clock: &Clock) -> Vec<Finding> {
    let mut found = configuration(&patient);
    let (path, engine) = (patient.store.clone(), patient.engine);
    let examined = tokio::task::spawn_blocking(move || store::examine(&path, engine)).await;
    let (stored, state) = examined.unwrap_or_else(|_| {
        (vec![Finding::wrong("store", "looking at it failed", "report this")], store::State::Unknown)
    });
    found.extend(files::examine(&patient.files, &patient.store));
    found.extend(stored);
    let link = async {
        match state {
            store::State::Free => component::examine(&patient).await,
            store::State::Held(pid) => running::examine(pid, &patient.jid, patient.ready).await,
            store::State::Unknown => vec![Finding::advice(
                "component",
                "not tried: a pushkeeper may be running, and a second stream would take its place",
                "run this as root, or as the user that pushkeeper runs as",
            )],
        }
    };
    let (link, name, vendors) =
        tokio::join!(link, names::examine(&patient.jid), vendors::examine(&patient.apps, clock));
    found.extend(link);
    found.push(name);
    found.extend(vendors);
    found.extend(patient.public_certificate.map(|ends| vendors::certificate("http.public", ends, clock.wall())));
    found
}

fn configuration(patient: &Patient) -> Vec<Finding> {
    let what = Finding::CONFIGURATION;
    let mut found: Vec<Finding> =
        patient.complaints.iter().map(|complaint| Finding::wrong(what, complaint.to_string(), "")).collect();
    if found.is_empty() {
        found.push(Finding::fine(what, format!("can be read; {}", patient.served)));
    }
    // Who may read a file is told with the files.
    let about_file = |warning: &Complaint| patient.files.iter().any(|file| file.secret && file.key == warning.key);
    let warnings = patient.warnings.iter().filter(|warning| !about_file(warning));
    found.extend(warnings.map(|warning| Finding::advice(what, warning.to_string(), "")));
    found
}

/// What must be mended before anything can be examined: the configuration cannot be read.
#[must_use]
pub fn unreadable(errors: &[Complaint]) -> Vec<Finding> {
    errors.iter().map(|error| Finding::wrong(Finding::CONFIGURATION, error.to_string(), "")).collect()
}

/// So many of something, in words.
fn count(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}
