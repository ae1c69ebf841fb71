//! The store: its folder, who has it open, whether it opens, and the space it has.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::Finding;
use crate::store::{self, EngineKind, Owner, StoreError};

const WHAT: &str = "store";

/// With less, nothing is kept soon.
const LITTLE: u64 = 64 << 20;
/// With less, it is time to look.
const SOME: u64 = 512 << 20;

/// Whether a pushkeeper runs on this store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// None does.
    Free,
    /// One does; its process id, if it said so.
    Held(Option<u32>),
    /// It cannot be told.
    Unknown,
}

/// Looks at the store. Makes nothing that is not there.
pub(super) fn examine(path: &Path, engine: EngineKind) -> (Vec<Finding>, State) {
    let mut found = folder(path);
    let shown = path.display();
    let state = match store::holder(path) {
        Ok(None) => State::Free,
        Ok(Some(holder)) => State::Held(holder.pid),
        Err(error) => {
            let said = format!("cannot see who has the store in {shown} open: {error}");
            found.push(Finding::advice(WHAT, said, "run this as root, or as the user that pushkeeper runs as"));
            State::Unknown
        }
    };
    match state {
        State::Held(pid) => {
            let holder = pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
            found.push(Finding::fine(WHAT, format!("{shown} is open in {holder}: a pushkeeper runs")));
        }
        State::Free if EngineKind::found_in(path).is_some() => found.push(open(path, engine)),
        State::Free | State::Unknown => {}
    }
    found.extend(space(path));
    (found, state)
}

/// What is to be said of the folder of the store; nothing is opened and nothing made.
#[must_use]
pub fn folder(path: &Path) -> Vec<Finding> {
    let shown = path.display();
    match std::fs::metadata(path) {
        Ok(it) if !it.is_dir() => {
            vec![Finding::wrong(WHAT, format!("{shown} is no folder"), "mend store.path")]
        }
        Ok(it) if it.mode() & 0o077 != 0 => {
            let said = format!("others may enter {shown} (mode {:03o}), which holds device tokens", it.mode() & 0o777);
            vec![Finding::advice(WHAT, said, format!("chmod 700 {shown} (systemd: StateDirectoryMode=0700)"))]
        }
        Ok(_) if !is_writable(path) => {
            vec![Finding::advice(
                WHAT,
                format!("this user may not write to {shown}"),
                "run this as the user that pushkeeper runs as; if it is that user: chown it",
            )]
        }
        Ok(_) if EngineKind::found_in(path).is_none() => {
            vec![Finding::fine(WHAT, format!("{shown} holds none yet: it is made at the first start"))]
        }
        Ok(_) => Vec::new(),
        Err(error) if error.kind() == ErrorKind::NotFound => vec![missing(path)],
        Err(error) => vec![Finding::wrong(
            WHAT,
            format!("cannot look at {shown}: {error}"),
            "run this as root, or as the user that pushkeeper runs as, or mend store.path",
        )],
    }
}

/// What is to be said of a folder that is not there: its last part is made at the first start.
fn missing(path: &Path) -> Finding {
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let (shown, around) = (path.display(), parent.display());
    if !parent.is_dir() {
        let mend = format!("mkdir -p {around}, or mend store.path");
        return Finding::wrong(WHAT, format!("{shown} cannot be made: there is no folder {around}"), mend);
    }
    if !is_writable(parent) {
        return Finding::advice(
            WHAT,
            format!("{shown} is not there, and this user may not make it in {around}"),
            format!("install -d -m 700 -o USER {shown} (systemd: StateDirectory=), or run this as the service's user"),
        );
    }
    Finding::fine(WHAT, format!("{shown} is not there yet: it is made at the first start"))
}

fn is_writable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok()
}

/// Opens it, unless that would leave files of another user in it.
fn open(path: &Path, engine: EngineKind) -> Finding {
    let shown = path.display();
    let us = rustix::process::geteuid().as_raw();
    if let Some(owner) = Owner::of(path).filter(|owner| owner.uid != us) {
        let said = format!(
            "{shown} was not opened: it belongs to the user {owner}, who could not open what we might leave in it"
        );
        return Finding::advice(WHAT, said, format!("to try that, too: {} pushkeeper doctor", owner.runs()));
    }
    match store::examine(path, engine) {
        Ok(it) if it.schema == it.newest => {
            Finding::fine(WHAT, format!("{shown} opens ({}, schema {})", engine.name(), it.schema))
        }
        Ok(it) => {
            let said =
                format!("{shown} opens ({}, schema {}: {} at the next start)", engine.name(), it.schema, it.newest);
            Finding::fine(WHAT, said)
        }
        // Its text says what to do.
        Err(error @ StoreError::Locked { .. }) => Finding::advice(WHAT, error.to_string(), "try again"),
        Err(error) => Finding::wrong(WHAT, error.to_string(), ""),
    }
}

fn space(path: &Path) -> Option<Finding> {
    let at = path.ancestors().find(|at| at.is_dir())?;
    let disk = rustix::fs::statvfs(at).ok()?;
    Some(judge_space(path, disk.f_bavail.saturating_mul(disk.f_frsize)))
}

fn judge_space(path: &Path, free: u64) -> Finding {
    let said = format!("{} free for {}", size(free), path.display());
    let mend = "make room: without space nothing can be registered, and nothing is promised";
    match free {
        free if free < LITTLE => Finding::wrong(WHAT, said, mend),
        free if free < SOME => Finding::advice(WHAT, said, mend),
        _ => Finding::fine(WHAT, said),
    }
}

/// A size for people: `512 MiB`, `12.3 GiB`.
fn size(bytes: u64) -> String {
    let mib = bytes >> 20;
    if mib < 1024 { format!("{mib} MiB") } else { format!("{}.{} GiB", mib / 1024, mib % 1024 * 10 / 1024) }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::admin::doctor::Verdict;
    use crate::store::Store;

    fn said(found: &[Finding]) -> Vec<(Verdict, &str)> {
        found.iter().map(|finding| (finding.verdict, finding.said.as_str())).collect()
    }

    #[test]
    fn a_folder_that_is_not_there_stays_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let (found, state) = examine(&path, EngineKind::Redb);
        let first = format!("{} is not there yet: it is made at the first start", path.display());
        assert_eq!((said(&found)[0], state), ((Verdict::Fine, first.as_str()), State::Free));
        assert!(!path.exists());

        let deep = folder.path().join("a/b");
        let (found, _) = examine(&deep, EngineKind::Redb);
        assert_eq!(found[0].verdict, Verdict::Wrong, "{}", found[0]);
        assert!(found[0].mend.starts_with(&format!("mkdir -p {}", folder.path().join("a").display())), "{}", found[0]);

        fs::write(&path, "x").unwrap();
        let (found, _) = examine(&path, EngineKind::Redb);
        assert_eq!(said(&found)[0], (Verdict::Wrong, format!("{} is no folder", path.display()).as_str()));
    }

    #[test]
    fn an_open_store_is_left_alone_and_a_closed_one_is_opened() {
        for kind in EngineKind::ALL {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("store");
            let store = Store::open(&path, kind).unwrap();
            let (found, state) = examine(&path, kind);
            assert_eq!(state, State::Held(Some(std::process::id())));
            let held = format!("{} is open in process {}: a pushkeeper runs", path.display(), std::process::id());
            assert_eq!(said(&found)[0], (Verdict::Fine, held.as_str()));
            drop(store);
            let (found, state) = examine(&path, kind);
            assert_eq!(state, State::Free);
            let opens = format!("{} opens ({}, schema 6)", path.display(), kind.name());
            assert_eq!(said(&found)[0], (Verdict::Fine, opens.as_str()));
            fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
            let (found, _) = examine(&path, kind);
            let open = format!("others may enter {} (mode 755), which holds device tokens", path.display());
            assert_eq!(said(&found)[0], (Verdict::Advice, open.as_str()));
            assert_eq!(found[0].mend, format!("chmod 700 {} (systemd: StateDirectoryMode=0700)", path.display()));
        }
    }

    #[test]
    fn a_store_of_another_engine_or_none_at_all_is_said() {
        let folder = tempfile::tempdir().unwrap();
        drop(Store::open(&folder.path().join("store"), EngineKind::Redb).unwrap());
        let (found, _) = examine(&folder.path().join("store"), EngineKind::Sled);
        assert_eq!(found[0].verdict, Verdict::Wrong, "{}", found[0]);
        assert!(found[0].said.contains("store.engine = \"redb\""), "{}", found[0]);
    }

    #[test]
    fn space_is_judged_before_it_is_gone() {
        let rows = [
            (0, Verdict::Wrong, "0 MiB free for /s"),
            (63 << 20, Verdict::Wrong, "63 MiB free for /s"),
            (64 << 20, Verdict::Advice, "64 MiB free for /s"),
            (511 << 20, Verdict::Advice, "511 MiB free for /s"),
            (512 << 20, Verdict::Fine, "512 MiB free for /s"),
            ((12 << 30) + (307 << 20), Verdict::Fine, "12.2 GiB free for /s"),
        ];
        for (free, verdict, text) in rows {
            let found = judge_space(Path::new("/s"), free);
            assert_eq!((found.verdict, found.said.as_str()), (verdict, text));
        }
    }
}
