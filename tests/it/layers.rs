//! Imports run one way: `main ► app ► driver ► flows ► domain`, and `app ► admin`; `xmpp`, `gateway`, `http` and `store` import
//! `domain` and the plain data of `flows` (`xmpp` also that of the bridges), never each other.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A room of the house, and what it may import of this crate.
const MAY_IMPORT: [(&str, &[&str]); 12] = [
    ("domain", &["domain"]),
    ("flows", &["flows", "domain"]),
    ("clock", &["domain"]),
    ("driver", &["driver", "flows", "domain", "clock"]),
    ("xmpp", &["xmpp", "flows::data", "flows::signals", "domain", "clock"]),
    ("gateway", &["gateway", "flows::data", "domain", "clock"]),
    ("http", &["http", "flows::data", "domain", "clock"]),
    ("metrics", &["metrics", "flows", "domain"]),
    ("store", &["store", "flows::data", "domain", "clock"]),
    ("admin/doctor", &["admin::doctor", "config", "xmpp", "gateway", "store", "http", "clock", "domain"]),
    (
        "admin/import",
        &[
            "admin::import",
            "xmpp::ns",
            "xmpp::signal",
            "xmpp::xml",
            "flows::data",
            "flows::policy",
            "flows::signals",
            "domain",
        ],
    ),
    ("config", &["config", "flows::policy", "domain"]),
];

/// What `domain` and `flows` must not know: no IO, no async, no clock.
const IMPURE: [&str; 13] = [
    "tokio",
    "std::fs",
    "std::net",
    "std::io",
    "std::thread",
    "SystemTime",
    "Instant",
    "reqwest",
    "h2",
    "sled",
    "redb",
    "tracing",
    "async ",
];

fn sources(room: &str) -> Vec<PathBuf> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![src.join(room)];
    let file = src.join(format!("{room}.rs"));
    found.extend(file.exists().then_some(file));
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// Every path into this crate that a source names, comments and tests aside.
fn imports(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut found = BTreeSet::new();
    for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for (at, _) in line.match_indices("crate::") {
            let path = &line[at + "crate::".len()..];
            let end = path.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(path.len());
            found.insert(path[..end].trim_end_matches(':').to_owned());
        }
    }
    found
}

#[test]
fn imports_run_one_way() {
    let mut broken = Vec::new();
    for (room, allowed) in MAY_IMPORT {
        let sources = sources(room);
        assert!(!sources.is_empty(), "there is no room {room}");
        for source in sources.iter().filter(|source| !source.ends_with("tests.rs")) {
            let text = fs::read_to_string(source).unwrap();
            for import in imports(&text) {
                let inside = |allowed: &&&str| import == ***allowed || import.starts_with(&format!("{allowed}::"));
                if !allowed.iter().any(|path| inside(&path)) {
                    broken.push(format!("{} imports {import}", source.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_middle_is_pure() {
    let mut broken = Vec::new();
    for source in ["domain", "flows"].into_iter().flat_map(sources) {
        let text = fs::read_to_string(&source).unwrap();
        for (number, line) in (1..).zip(text.lines()) {
            let code = line.split("//").next().unwrap_or_default();
            if let Some(word) = IMPURE.iter().find(|word| code.contains(**word)) {
                broken.push(format!("{}:{number} knows {word}", source.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn an_import_is_recognised() {
    let text = "use crate::domain::ids::{Node, Account};\n// crate::store\nlet x = crate::driver::run();\n\
                #[cfg(test)]\nmod tests {\nuse crate::store::Store;\n}";
    let expected = ["domain::ids", "driver::run"].map(str::to_owned);
    assert_eq!(imports(text), BTreeSet::from(expected));
}
