//! The environment, laid over the file.

use std::collections::BTreeSet;
use std::ffi::OsString;

use toml::{Table, Value};

use super::reader::Findings;

/// Sections that there can be many of, without names: nothing in the environment could say which one is meant.
const LISTS: [&[&str]; 2] = [&["hosts"], &["rules", "service"]];

/// Lays the environment over the file: `PUSHKEEPER_<SECTION>__<KEY>`, for apps `PUSHKEEPER_APPS__<NAME>__<KEY>`. Case
/// does not matter, and `_` stands for `-` where the file has such a name. Returns the keys that were set.
pub(super) fn overlay(
    table: &mut Table,
    env: impl IntoIterator<Item = (OsString, OsString)>,
    found: &mut Findings,
) -> BTreeSet<String> {
    let mut set = BTreeSet::new();
    for (name, value) in env {
        let Some(path) = name.to_str().and_then(|name| name.strip_prefix("PUSHKEEPER_")) else { continue };
        let mut segments: Vec<String> = path.split("__").map(str::to_lowercase).collect();
        let (Some(key), false) = (segments.pop(), segments.is_empty()) else {
            // Names with one part are not ours to judge: PUSHKEEPER_CONFIG and the like.
            continue;
        };
        if let Some(list) = LISTS.iter().find(|list| segments.iter().take(list.len()).eq(list.iter())) {
            let list = list.join(".");
            let text = format!("cannot come from the environment, for there can be many; write [[{list}]] in the file");
            found.error(name.to_string_lossy(), text);
            continue;
        }
        let Some(value) = value.to_str() else {
            found.error(name.to_string_lossy(), "is not UTF-8");
            continue;
        };
        let mut names = Vec::new();
        put(table, &segments, key, value, &mut names);
        set.insert(names.join("."));
    }
    set
}

/// Puts a value from the environment at its place, and spells its path as the file does.
fn put(table: &mut Table, segments: &[String], key: String, value: &str, names: &mut Vec<String>) {
    let Some((segment, rest)) = segments.split_first() else {
        names.push(key.clone());
        table.insert(key, Value::String(value.to_owned()));
        return;
    };
    let spelt = table.keys().find(|key| key.to_lowercase().replace('-', "_") == *segment).cloned();
    let segment = spelt.unwrap_or_else(|| segment.clone());
    names.push(segment.clone());
    let section = table.entry(segment).or_insert_with(|| Value::Table(Table::new()));
    // Anything else than a section is complained of when it is read.
    if let Value::Table(section) = section {
        put(section, rest, key, value, names);
    }
}

#[cfg(test)]
#[path = "overlay_tests.rs"]
mod tests;
