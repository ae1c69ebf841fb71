//! Registrations of Prosody's `mod_cloud_notify`: a table for each account, with an entry for each registration under
//! `SERVICE<NODE`. The internal storage keeps it in `HOST/cloud_notify/USER.dat`; `mod_storage_sql` keeps each entry in a
//! row of the table `prosody`.

use std::fs::{self, File};
use std::io::{self, BufRead, Read as _};
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

use super::draft::Draft;
use super::report::Skip;
use super::tree::{Table, Value};
use super::xml::{Child, Element};
use super::{Foreign, ForeignError, lua, sql};
use crate::domain::time::Timestamp;

/// The store, and so the folder, or the column.
const STORE: &str = "cloud_notify";

/// A file of an account is far smaller.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// The columns of the table `prosody`.
const COLUMNS: [&str; 6] = ["host", "user", "store", "key", "type", "value"];

/// Reads a data folder, a folder of one host in it, or one file `USER.dat`.
pub(super) fn read(foreign: &mut Foreign<'_>, path: &Path) -> Result<(), ForeignError> {
    if !path.is_dir() {
        return file(foreign, path)?.map_err(|_| ForeignError::NothingOfTheKind(path.to_owned(), foreign.kind));
    }
    let mut files = Vec::new();
    if path.file_name().is_some_and(|name| name == STORE) {
        dat_files(path, &mut files).map_err(ForeignError::reading(path))?;
    } else if path.join(STORE).is_dir() {
        dat_files(&path.join(STORE), &mut files).map_err(ForeignError::reading(path))?;
    } else {
        for host in sorted(path).map_err(ForeignError::reading(path))? {
            if host.join(STORE).is_dir() {
                dat_files(&host.join(STORE), &mut files).map_err(ForeignError::reading(&host))?;
            }
        }
    }
    if files.is_empty() {
        return Err(ForeignError::NothingOfTheKind(path.to_owned(), foreign.kind));
    }
    for path in files {
        // One that is damaged is one account's; the others are still good.
        let _counted = file(foreign, &path)?;
    }
    Ok(())
}

fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn dat_files(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    files.extend(sorted(folder)?.into_iter().filter(|path| path.extension().is_some_and(|it| it == "dat")));
    Ok(())
}

/// `…/HOST/cloud_notify/USER.dat`: says, when it is none, that it was counted as broken.
fn file(foreign: &mut Foreign<'_>, path: &Path) -> Result<Result<(), NotOne>, ForeignError> {
    let decoded = |name: Option<&std::ffi::OsStr>| {
        percent_decode_str(name?.to_str()?).decode_utf8().ok().map(|name| name.into_owned())
    };
    let user = decoded(path.file_stem()).unwrap_or_default();
    let folder = path.parent().filter(|folder| folder.file_name().is_some_and(|name| name == STORE));
    let host = folder.and_then(|folder| decoded(folder.canonicalize().ok()?.parent()?.file_name()));
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut text));
    read.map_err(ForeignError::reading(path))?;
    foreign.file(path);
    let host = foreign.host_or_domain(host.as_deref()).ok_or_else(|| ForeignError::NoDomain(path.to_owned()))?;
    let whose = format!("{user}@{host}");
    if text.len() as u64 > MAX_FILE {
        foreign.skip(1, &whose, Skip::Broken("is too large"));
        return Ok(Err(NotOne));
    }
    match lua::read(&text) {
        Ok(Value::Table(table)) => {
            entries(foreign, &user, &host, &table);
            Ok(Ok(()))
        }
        // An account that never had one, or has none any more.
        Ok(Value::Nil) => Ok(Ok(())),
        Ok(_) => {
            foreign.skip(1, &whose, Skip::Broken("is no table"));
            Ok(Err(NotOne))
        }
        Err(lua::NotLua { line }) => {
            foreign.skip(line, &whose, Skip::Broken("is no Lua table, or not whole"));
            Ok(Err(NotOne))
        }
    }
}

/// A file that is not one of the store.
struct NotOne;

/// All registrations of an account.
fn entries(foreign: &mut Foreign<'_>, user: &str, host: &str, table: &Table) {
    for named in &table.named {
        entry(foreign, named.line, user, host, &named.value);
    }
    for _ in &table.list {
        foreign.skip(1, &format!("{user}@{host}"), Skip::Broken("is no registration"));
    }
}

/// Reads an SQL dump.
pub(super) fn read_sql(foreign: &mut Foreign<'_>, path: &Path, dump: impl BufRead) -> Result<(), ForeignError> {
    let found = sql::read(dump, "prosody", &[&COLUMNS], |row| {
        // One without a store is of another table of that name.
        if row.text("store").is_ok_and(|store| store == Some(STORE)) {
            let line = row.line;
            if let Err((whose, what)) = of_row(foreign, &row) {
                foreign.skip(line, &whose, Skip::Broken(what));
            }
        }
    });
    let found = found.map_err(|error| ForeignError::Sql(path.to_owned(), error))?;
    if found { Ok(()) } else { Err(ForeignError::NothingOfTheKind(path.to_owned(), foreign.kind)) }
}

/// A row; or whose it is, and what is wrong with it.
fn of_row(foreign: &mut Foreign<'_>, row: &sql::Row<'_>) -> Result<(), (String, &'static str)> {
    let text = |column| row.text(column).map_err(|what| (String::new(), what));
    let (user, host) = (text("user")?.unwrap_or_default(), text("host")?.unwrap_or_default());
    let whose = || format!("{user}@{host}");
    let wrong = |what| (whose(), what);
    if row.text("type").map_err(wrong)? != Some("json") {
        return Err(wrong("is no table"));
    }
    let value = row.text("value").map_err(wrong)?.unwrap_or_default();
    let json = serde_json::from_str(value).map_err(|_| wrong("is no JSON"))?;
    let value = Value::from_json(json);
    match (row.text("key").map_err(wrong)?.unwrap_or_default(), &value) {
        // What has no key of its own is all in one row.
        ("", Value::Table(table)) => entries(foreign, user, host, table),
        _ => entry(foreign, row.line, user, host, &value),
    }
    Ok(())
}

/// One registration.
fn entry(foreign: &mut Foreign<'_>, line: u64, user: &str, host: &str, value: &Value) {
    let Value::Table(entry) = value else {
        return foreign.skip(line, &format!("{user}@{host}"), Skip::Broken("is no registration"));
    };
    let Some(inside) = inside(entry) else {
        return foreign.skip(line, &format!("{user}@{host}"), Skip::Broken("has a form that is none"));
    };
    foreign.take(
        line,
        &Draft {
            user,
            host,
            service: entry.text("jid"),
            node: entry.text("node").unwrap_or_default(),
            inside: &inside,
            client_id: entry.text("client_id"),
            resource: entry.text("resource"),
            at: entry.get("timestamp").and_then(seconds),
        },
    );
}

fn seconds(value: &Value) -> Option<Timestamp> {
    match value {
        #[expect(clippy::cast_possible_truncation, reason = "it is far from the limits")]
        Value::Number(seconds) if (0.0..1e12).contains(seconds) => Some(Timestamp::from_secs(*seconds as i64)),
        _ => None,
    }
}

/// What stood in the `<enable/>`: the form, and what `mod_cloud_notify_encrypted` and `mod_cloud_notify_filters` kept of
/// the extensions. `None` if something of it cannot be XML.
fn inside(entry: &Table) -> Option<String> {
    let mut inside = String::new();
    if let Some(options) = entry.table("options") {
        inside += &stanza(options)?.written()?;
    }
    let mut add = |element: Element| -> Option<()> {
        inside += &element.written()?;
        Some(())
    };
    if let Some(encryption) = entry.table("encryption") {
        let element = Element::new("tigase:push:encrypt:0", "encrypt").with("alg", encryption.text("algorithm")?);
        add(Element { children: vec![Child::Text(encryption.text("key_base64")?.to_owned())], ..element })?;
    }
    if entry.get("filter_unknown") == Some(&Value::Flag(true)) {
        add(Element::new("tigase:push:filter:ignore-unknown:0", "ignore-unknown"))?;
    }
    let names = |table: &Table| -> Option<Vec<(String, Value)>> {
        let name = |name: &[u8]| std::str::from_utf8(name).ok().map(str::to_owned);
        table.named.iter().map(|named| Some((name(&named.name)?, named.value.clone()))).collect()
    };
    if let Some(muted) = entry.table("muted_jids") {
        let ns = "tigase:push:filter:muted:0";
        let item = |(jid, _): (String, Value)| Child::Element(Element::new(ns, "item").with("jid", &jid));
        add(Element { children: names(muted)?.into_iter().map(item).collect(), ..Element::new(ns, "muted") })?;
    }
    if let Some(rules) = entry.table("groupchat_rules") {
        let ns = "tigase:push:filter:groupchat:0";
        let room = |(jid, rule): (String, Value)| {
            let mut room = Element::new(ns, "room").with("jid", &jid);
            if let Value::Table(rule) = &rule {
                for (attribute, field) in [("allow", "when"), ("nick", "nick")] {
                    if let Some(value) = rule.text(field) {
                        room = room.with(attribute, value);
                    }
                }
            }
            Child::Element(room)
        };
        add(Element { children: names(rules)?.into_iter().map(room).collect(), ..Element::new(ns, "groupchat") })?;
    }
    Some(inside)
}

/// A stanza as Prosody serialises one: its name, its attributes, its children in order.
fn stanza(table: &Table) -> Option<Element> {
    let attribute = |named: &super::tree::Named| {
        Some((std::str::from_utf8(&named.name).ok()?.to_owned(), named.value.text()?.to_owned()))
    };
    let attributes = match table.get("attr") {
        Some(Value::Table(attributes)) => attributes.named.iter().map(attribute).collect::<Option<_>>()?,
        _ => Vec::new(),
    };
    let child = |value: &Value| match value {
        Value::Table(table) => stanza(table).map(Child::Element),
        value => value.text().map(|text| Child::Text(text.to_owned())),
    };
    let children = table.list.iter().map(child).collect::<Option<_>>()?;
    Some(Element { name: table.text("name")?.to_owned(), attributes, children })
}

#[cfg(test)]
#[path = "cloud_notify_tests.rs"]
mod tests;
