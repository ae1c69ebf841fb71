//! Whose a folder is, for people; and that root does not write into somebody else's store.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::error::StoreError;

/// A user with the group of a file. Told by name where `/etc/passwd` and `/etc/group` have one, else by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl Owner {
    /// The owner of what is there.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|it| Self { uid: it.uid(), gid: it.gid() })
    }

    /// The name of the user, or the number.
    #[must_use]
    pub fn user(self) -> String {
        named("/etc/passwd", self.uid)
    }

    /// The name of the group, or the number.
    #[must_use]
    pub fn group(self) -> String {
        named("/etc/group", self.gid)
    }

    /// How root runs a command as this user.
    #[must_use]
    pub fn runs(self) -> String {
        format!("setpriv --reuid {} --regid {} --clear-groups", self.user(), self.group())
    }
}

/// Refuses root in a folder of somebody else: what root makes there that one could not open.
///
/// # Errors
/// If so, with what to do.
pub fn not_for_root(path: &Path) -> Result<(), StoreError> {
    match Owner::of(path) {
        Some(owner) if is_in_the_way(rustix::process::geteuid().as_raw(), owner) => {
            Err(StoreError::NotRoots { path: path.to_owned(), owner })
        }
        _ => Ok(()),
    }
}

const fn is_in_the_way(us: u32, owner: Owner) -> bool {
    us == 0 && owner.uid != 0
}

fn named(file: &str, id: u32) -> String {
    let lines = std::fs::read_to_string(file).unwrap_or_default();
    name_in(&lines, id).map_or_else(|| id.to_string(), str::to_owned)
}

/// The name in lines of the form `NAME:PASSWORD:ID:…`.
fn name_in(lines: &str, id: u32) -> Option<&str> {
    lines.lines().find_map(|line| {
        let mut parts = line.split(':');
        let (name, _password, number) = (parts.next()?, parts.next()?, parts.next()?);
        (number.parse() == Ok(id)).then_some(name)
    })
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.user())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_names_where_the_files_know_them() {
        let lines = "root:x:0:0:root:/root:/bin/sh\n# a remark\n+\npushkeeper:x:105:108::/var/lib/pushkeeper:\n";
        let rows = [(0, Some("root")), (105, Some("pushkeeper")), (108, None), (5, None)];
        for (id, name) in rows {
            assert_eq!(name_in(lines, id), name, "{id}");
        }
        assert_eq!(named("/nowhere", 7), "7");
    }

    #[test]
    fn only_root_is_refused_and_only_by_others() {
        let rows = [(0, 105, true), (0, 0, false), (105, 105, false), (5, 105, false)];
        for (us, uid, refused) in rows {
            assert_eq!(is_in_the_way(us, Owner { uid, gid: 0 }), refused, "{us} {uid}");
        }
        let folder = tempfile::tempdir().unwrap();
        assert!(not_for_root(folder.path()).is_ok());
        assert!(not_for_root(&folder.path().join("nothing")).is_ok());
        let owner = Owner { uid: u32::MAX - 1, gid: u32::MAX - 1 };
        let said = StoreError::NotRoots { path: "/s".into(), owner }.to_string();
        assert!(said.contains("setpriv --reuid 4294967294 --regid 4294967294 --clear-groups pushkeeper"), "{said}");
    }
}
