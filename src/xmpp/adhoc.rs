//! Ad-hoc commands for people (XEP-0050): read from the wire, and shown there. What they do is decided elsewhere; a
//! session is named by its id alone here.

use crate::xmpp::xml::Element;
use bytes::BytesMut;

use super::answer::{StanzaError, command_result, escape};
use super::forms::Form as Read;
use super::ns;
use crate::flows::data::Ticket;
use crate::flows::data::commands::{
    Action, Answers, Asked, Field, FieldKind, Form, Name, Progress, Shown, Table, Tone,
};

/// How much a form may hold: fields, values of one, bytes of a value. What we ask for is far below.
const MOST_FIELDS: usize = 64;
const MOST_VALUES: usize = 256;
const LONGEST_VALUE: usize = 4096;

/// The longest id of a session: ours are shorter.
const LONGEST_ID: usize = 128;

/// How long an answer may get, in bytes. Much of it are other people's words, and a stanza that a host finds too long
/// ends the stream: Prosody's limit for a component is 512 KiB, and the request's own `id` and addresses come on top.
const LONGEST: usize = 256 * 1024;

/// How long the lines of one field may get together, and one line, and one cell of a table: so that all that is shown
/// in good faith, and a page of a list in any case, fits into [`LONGEST`].
const LONGEST_FIELD: usize = 48 * 1024;
const LONGEST_LINE: usize = 800;
const LONGEST_CELL: usize = 600;

/// How many notes there are at most. What they say of hosts and apps stands in the form, too.
const MOST_NOTES: usize = 32;

/// The node of a command.
#[must_use]
pub fn node(name: Name) -> String {
    format!("{}#{}", ns::COMMAND, name.name())
}

/// The command of that node, if it is one of these.
#[must_use]
pub fn name(node: &str) -> Option<Name> {
    Name::of(node.strip_prefix(ns::COMMAND)?.strip_prefix('#')?)
}

/// Reads a `<command>` of that name.
///
/// # Errors
///
/// Says what to answer: the action is none, or the form holds more than we ask for.
pub fn read(name: Name, command: Element<'_>) -> Result<Asked, StanzaError> {
    let mut action = match command.attribute("action").unwrap_or_default() {
        "" | "execute" => Action::Execute,
        "next" => Action::Next,
        "prev" => Action::Prev,
        "complete" => Action::Complete,
        "cancel" => Action::Cancel,
        _ => return Err(StanzaError::MALFORMED_ACTION),
    };
    let session = command.attribute("sessionid").filter(|id| !id.is_empty());
    if session.is_some_and(|id| id.len() > LONGEST_ID) {
        return Err(StanzaError::BAD_SESSION);
    }
    let form = Read::inside(command);
    if form.and_then(Read::kind) == Some("cancel") {
        action = Action::Cancel;
    }
    // Whoever goes back may send what was filled in so far; nobody looks at it.
    let form = form.filter(|_| !matches!(action, Action::Prev | Action::Cancel));
    let fields = form.map(answers).transpose()?;
    Ok(Asked { name, session: session.map(Into::into), action, fields })
}

fn answers(form: Read<'_>) -> Result<Answers, StanzaError> {
    let mut all = Vec::new();
    for (name, values) in form.fields().filter(|(name, _)| *name != "FORM_TYPE") {
        let values: Vec<Box<str>> = values.take(MOST_VALUES + 1).map(Into::into).collect();
        let fits = name.len() <= LONGEST_VALUE && values.iter().all(|value| value.len() <= LONGEST_VALUE);
        if !fits || values.len() > MOST_VALUES || all.len() >= MOST_FIELDS {
            return Err(StanzaError::BAD_PAYLOAD);
        }
        all.push((name.into(), values));
    }
    Ok(Answers(all))
}

/// Writes what a command shows.
pub(super) fn write(out: &mut BytesMut, ticket: &Ticket, shown: &Shown) {
    let status = match shown.progress {
        Progress::Executing { .. } => "executing",
        Progress::Completed => "completed",
        Progress::Canceled => "canceled",
    };
    command_result(out, ticket, &node(shown.name), &shown.session, status, |out| {
        if let Progress::Executing { prev, next, default_next } = shown.progress {
            actions(out, prev, next, default_next);
        }
        if let Some(form) = &shown.form {
            let left_out = write_form(out, form);
            if left_out > 0 {
                note(out, Tone::Warn, &format!("{left_out} more do not fit into one answer, and are left out."));
            }
        }
        for (tone, text) in shown.notes.iter().take(MOST_NOTES) {
            note(out, *tone, text);
        }
    });
}

/// What can be done next (XEP-0050 §3.4). A list can be left at any page.
fn actions(out: &mut BytesMut, prev: bool, next: bool, default_next: bool) {
    put(out, "<actions execute='");
    put(out, if default_next { "next" } else { "complete" });
    put(out, "'>");
    for (name, may) in [("prev", prev), ("next", next), ("complete", !next || prev)] {
        if may {
            put(out, "<");
            put(out, name);
            put(out, "/>");
        }
    }
    put(out, "</actions>");
}

fn note(out: &mut BytesMut, tone: Tone, said: &str) {
    put(out, "<note type='");
    put(
        out,
        match tone {
            Tone::Info => "info",
            Tone::Warn => "warn",
            Tone::Error => "error",
        },
    );
    put(out, "'>");
    text(out, said, LONGEST_LINE);
    put(out, "</note>");
}

/// Returns how many rows and options did not fit.
fn write_form(out: &mut BytesMut, form: &Form) -> usize {
    let end = out.len() + LONGEST;
    put(
        out,
        if form.result { "<x xmlns='jabber:x:data' type='result'>" } else { "<x xmlns='jabber:x:data' type='form'>" },
    );
    element(out, "title", &form.title, LONGEST_LINE);
    if !form.instructions.is_empty() {
        element(out, "instructions", &form.instructions, LONGEST_LINE);
    }
    put(out, "<field var='FORM_TYPE' type='hidden'><value>");
    put(out, ns::COMMAND);
    put(out, "</value></field>");
    let options: usize = form.fields.iter().map(|field| write_field(out, field, end)).sum();
    let rows = form.table.as_ref().map_or(0, |table| write_table(out, table, end));
    put(out, "</x>");
    options + rows
}

fn write_field(out: &mut BytesMut, field: &Field, end: usize) -> usize {
    let (kind, options) = match &field.kind {
        FieldKind::Text => ("text-single", None),
        FieldKind::Lines => ("text-multi", None),
        FieldKind::Jid => ("jid-single", None),
        FieldKind::One(options) => ("list-single", Some(options)),
        FieldKind::Some(options) => ("list-multi", Some(options)),
    };
    open_field(out, field.name, field.label, kind);
    if field.required {
        put(out, "<required/>");
    }
    let lines_end = out.len() + LONGEST_FIELD;
    let left_out = write_while_room(out, &field.values, lines_end, |out, line| {
        element(out, "value", line, LONGEST_LINE);
    });
    if left_out > 0 {
        element(out, "value", &format!("… and {left_out} more"), LONGEST_LINE);
    }
    let options = options.map_or(&[][..], Vec::as_slice);
    let left_out = write_while_room(out, options, end, |out, (label, value)| {
        put(out, "<option label='");
        text(out, label, LONGEST_LINE);
        put(out, "'>");
        // Whole: it comes back.
        element(out, "value", value, usize::MAX);
        put(out, "</option>");
    });
    put(out, "</field>");
    left_out
}

fn write_table(out: &mut BytesMut, table: &Table, end: usize) -> usize {
    put(out, "<reported>");
    for (name, label) in &table.columns {
        open_field(out, name, label, "text-single");
        put(out, "</field>");
    }
    put(out, "</reported>");
    write_while_room(out, &table.rows, end, |out, row| {
        put(out, "<item>");
        for ((name, _), cell) in table.columns.iter().zip(row) {
            put(out, "<field var='");
            put(out, name);
            put(out, "'>");
            element(out, "value", cell, LONGEST_CELL);
            put(out, "</field>");
        }
        put(out, "</item>");
    })
}

/// Writes as many of these as end before that length. Returns how many do not.
fn write_while_room<T>(out: &mut BytesMut, all: &[T], end: usize, write: impl Fn(&mut BytesMut, &T)) -> usize {
    for (written, one) in all.iter().enumerate() {
        let before = out.len();
        write(out, one);
        if out.len() > end {
            out.truncate(before);
            return all.len() - written;
        }
    }
    0
}

fn open_field(out: &mut BytesMut, name: &str, label: &str, kind: &str) {
    for part in ["<field var='", name, "' type='", kind, "' label='"] {
        put(out, part);
    }
    text(out, label, LONGEST_LINE);
    put(out, "'>");
}

fn element(out: &mut BytesMut, name: &str, value: &str, longest: usize) {
    for part in ["<", name, ">"] {
        put(out, part);
    }
    text(out, value, longest);
    for part in ["</", name, ">"] {
        put(out, part);
    }
}

/// Text that may come from anywhere, a file that was imported among them: what XML cannot carry (XML 1.0 §2.2) is a
/// question mark, and what takes more than so many bytes is cut.
fn text(out: &mut BytesMut, said: &str, longest: usize) {
    let bad = |c: char| matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    let mut room = longest;
    // The longest of the references that `escape` writes has six bytes.
    let mut fits = |c: char| {
        let takes = if matches!(c, '&' | '<' | '>' | '\'' | '\t' | '\n' | '\r') { 6 } else { c.len_utf8() };
        room.checked_sub(takes).map(|left| room = left).is_some()
    };
    let cut = said.char_indices().find_map(|(at, c)| (!fits(c)).then_some(at));
    let kept = cut.and_then(|at| said.get(..at)).unwrap_or(said);
    if kept.contains(bad) {
        escape(out, &kept.replace(bad, "?"));
    } else {
        escape(out, kept);
    }
    if cut.is_some() {
        put(out, "…");
    }
}

fn put(out: &mut BytesMut, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
#[path = "adhoc_tests.rs"]
mod tests;
