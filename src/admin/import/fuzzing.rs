//! What the fuzz target calls.

use super::{erlang, lua, sql};

/// Bytes as a file of one of the formats; the first byte says which. Whatever they are, the reader ends, and what it
/// keeps is no longer than they were.
pub(crate) fn file(data: &[u8]) {
    let Some((&format, file)) = data.split_first() else { return };
    let mut rows = 0;
    match format % 4 {
        0 => {
            let _read = lua::read(file);
        }
        1 => {
            let _read = erlang::read(file, "push_session", |_| rows += 1);
        }
        _ => {
            let table = if format % 4 == 2 { "prosody" } else { "push_session" };
            let _read = sql::read(file, table, &[&["username", "service", "node"]], |row| {
                let kept = ["username", "service", "node", "value"].map(|column| row.text(column));
                let kept: usize = kept.iter().filter_map(|text| text.ok().flatten()).map(str::len).sum();
                // `unistr` and `replace` may make a text longer, within its own limit.
                assert!(kept <= 4 * 256 * 1024, "more was kept than a value may hold");
                rows += 1;
            });
        }
    }
    assert!(rows <= file.len(), "more rows than bytes");
}
