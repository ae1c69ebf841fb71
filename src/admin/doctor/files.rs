//! Who may read and change the configuration, keys and secrets.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{Finding, count};
use crate::config::FileRead;
use crate::store::Owner;

const WHAT: &str = "files";

/// A file as the system describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    mode: u32,
    uid: u32,
    gid: u32,
}

/// Looks at the files. `store` belongs to the user that pushkeeper runs as, if it is there.
pub(super) fn examine(files: &[FileRead], store: &Path) -> Vec<Finding> {
    let us = rustix::process::geteuid().as_raw();
    let service = Owner::of(store);
    let mut found = Vec::new();
    for file in files {
        match std::fs::metadata(&file.path) {
            Ok(it) => found.extend(judge(file, Seen { mode: it.mode(), uid: it.uid(), gid: it.gid() }, us, service)),
            Err(error) => {
                found.push(Finding::wrong(WHAT, format!("cannot look at {}: {error}", file.path.display()), ""))
            }
        }
    }
    if found.is_empty() {
        found.push(Finding::fine(WHAT, format!("{}, only for those who should have them", count(files.len(), "file"))));
    }
    found
}

/// What is to be said of a file, seen by the user `us`.
fn judge(file: &FileRead, seen: Seen, us: u32, service: Option<Owner>) -> Vec<Finding> {
    let (key, path) = (&file.key, file.path.display());
    let about = if *key == path.to_string() { format!("{path}") } else { format!("{key}: {path}") };
    let mut found = Vec::new();
    if seen.mode & 0o002 != 0 {
        found.push(Finding::wrong(
            WHAT,
            format!("every user of this machine can change {about}"),
            format!("chmod o-w {path}"),
        ));
    }
    if file.secret && seen.mode & 0o004 != 0 {
        let said = format!("every user of this machine can read {about}");
        let closed = Seen { mode: 0o640, ..seen };
        let group = service.filter(|service| !can_read(closed, *service));
        let group = group.map(|service| format!("chgrp {} {path}, ", service.group())).unwrap_or_default();
        let mend = format!("{group}chmod 640 {path}, and change the secret if others were on it");
        found.push(Finding::wrong(WHAT, said, mend));
    }
    if seen.mode & 0o020 != 0 {
        found.push(Finding::advice(WHAT, format!("its group can change {about}"), format!("chmod g-w {path}")));
    }
    let expected = [Some(0), Some(us), service.map(|service| service.uid)];
    if !expected.contains(&Some(seen.uid)) {
        let owner = Owner { uid: seen.uid, gid: seen.gid };
        let said = format!("{about} belongs to the user {owner}, who can change it");
        found.push(Finding::advice(WHAT, said, format!("chown root {path}")));
    }
    if let Some(service) = service.filter(|service| us == 0 && !can_read(seen, *service)) {
        let said = format!(
            "the user {service}, to whom the store belongs, cannot read {about}, unless by another of its groups"
        );
        found.push(Finding::advice(WHAT, said, format!("chgrp {} {path}, chmod 640 {path}", service.group())));
    }
    found
}

const fn can_read(seen: Seen, user: Owner) -> bool {
    let bit = if user.uid == seen.uid {
        0o400
    } else if user.gid == seen.gid {
        0o040
    } else {
        0o004
    };
    user.uid == 0 || seen.mode & bit != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::doctor::Verdict;

    #[test]
    fn a_secret_is_for_its_owner_and_group() {
        let file = |secret| FileRead { key: "apps.ios.key_file".to_owned(), path: "/k.p8".into(), secret };
        let service = Some(Owner { uid: 4_294_967_290, gid: 4_294_967_291 });
        let (open, change) = ("every user of this machine can read", "every user of this machine can change");
        let (group, owner, service_said) =
            ("its group can change", "belongs to the user 4294967287", "the user 4294967290");
        type Row<'a> = (bool, (u32, u32, u32), u32, &'a [(Verdict, &'a str)]);
        let rows: [Row<'_>; 12] = [
            (true, (0o100_600, 0, 0), 5, &[]),
            (true, (0o100_640, 0, 4_294_967_291), 0, &[]),
            (true, (0o100_400, 4_294_967_290, 0), 0, &[]),
            (true, (0o100_644, 0, 0), 5, &[(Verdict::Wrong, open)]),
            (false, (0o100_644, 0, 0), 5, &[]),
            (true, (0o100_666, 5, 0), 5, &[(Verdict::Wrong, change), (Verdict::Wrong, open), (Verdict::Advice, group)]),
            (false, (0o100_646, 0, 0), 5, &[(Verdict::Wrong, change)]),
            (false, (0o100_664, 0, 0), 0, &[(Verdict::Advice, group)]),
            (true, (0o100_600, 4_294_967_287, 0), 5, &[(Verdict::Advice, owner)]),
            (true, (0o100_640, 0, 0), 0, &[(Verdict::Advice, service_said)]),
            (true, (0o100_600, 0, 4_294_967_291), 0, &[(Verdict::Advice, service_said)]),
            (true, (0o100_600, 0, 4_294_967_291), 5, &[]),
        ];
        for (secret, (mode, uid, gid), us, expected) in rows {
            let found = judge(&file(secret), Seen { mode, uid, gid }, us, service);
            assert_eq!(found.len(), expected.len(), "{mode:o} {uid} {gid} {us}: {found:?}");
            for (found, (verdict, said)) in found.iter().zip(expected) {
                assert_eq!(found.verdict, *verdict, "{mode:o}");
                assert!(found.said.contains(said) && found.said.contains("apps.ios.key_file: /k.p8"), "{found}");
                assert!(found.mend.contains("/k.p8"), "{found}");
            }
        }
    }

    #[test]
    fn who_closes_a_file_is_told_to_leave_it_to_the_service() {
        let file = FileRead { key: "component.secret_file".to_owned(), path: "/s".into(), secret: true };
        let service = Some(Owner { uid: 4_294_967_290, gid: 4_294_967_291 });
        let rows = [(0, "chgrp 4294967291 /s, chmod 640 /s, and change"), (4_294_967_291, "chmod 640 /s, and change")];
        for (gid, mend) in rows {
            let found = judge(&file, Seen { mode: 0o100_644, uid: 0, gid }, 0, service);
            assert!(found.len() == 1 && found[0].mend.starts_with(mend), "{found:?}");
        }
    }
}
