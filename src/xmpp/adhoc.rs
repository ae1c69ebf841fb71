//! Ad-hoc commands for people (XEP-0050): read from the wire, and shown there. What they do is decided elsewhere; a
//! session is named by its id alone here.

use bytes::BytesMut;
use roxmltree::Node as Element;

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
pub fn read(name: Name, command: Element<'_, '_>) -> Result<Asked, StanzaError> {
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

fn answers(form: Read<'_, '_>) -> Result<Answers, StanzaError> {
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
            write_form(out, form);
        }
        for (tone, text) in &shown.notes {
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
    text(out, said);
    put(out, "</note>");
}

fn write_form(out: &mut BytesMut, form: &Form) {
    put(
        out,
        if form.result { "<x xmlns='jabber:x:data' type='result'>" } else { "<x xmlns='jabber:x:data' type='form'>" },
    );
    element(out, "title", &form.title);
    if !form.instructions.is_empty() {
        element(out, "instructions", &form.instructions);
    }
    put(out, "<field var='FORM_TYPE' type='hidden'><value>");
    put(out, ns::COMMAND);
    put(out, "</value></field>");
    for field in &form.fields {
        write_field(out, field);
    }
    if let Some(table) = &form.table {
        write_table(out, table);
    }
    put(out, "</x>");
}

fn write_field(out: &mut BytesMut, field: &Field) {
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
    for value in &field.values {
        element(out, "value", value);
    }
    for (label, value) in options.into_iter().flatten() {
        put(out, "<option label='");
        text(out, label);
        put(out, "'>");
        element(out, "value", value);
        put(out, "</option>");
    }
    put(out, "</field>");
}

fn write_table(out: &mut BytesMut, table: &Table) {
    put(out, "<reported>");
    for (name, label) in &table.columns {
        open_field(out, name, label, "text-single");
        put(out, "</field>");
    }
    put(out, "</reported>");
    for row in &table.rows {
        put(out, "<item>");
        for ((name, _), cell) in table.columns.iter().zip(row) {
            put(out, "<field var='");
            put(out, name);
            put(out, "'>");
            element(out, "value", cell);
            put(out, "</field>");
        }
        put(out, "</item>");
    }
}

fn open_field(out: &mut BytesMut, name: &str, label: &str, kind: &str) {
    for part in ["<field var='", name, "' type='", kind, "' label='"] {
        put(out, part);
    }
    text(out, label);
    put(out, "'>");
}

fn element(out: &mut BytesMut, name: &str, value: &str) {
    for part in ["<", name, ">"] {
        put(out, part);
    }
    text(out, value);
    for part in ["</", name, ">"] {
        put(out, part);
    }
}

/// Text that may come from anywhere, a file that was imported among them: what XML cannot carry (XML 1.0 §2.2) is a
/// question mark.
fn text(out: &mut BytesMut, said: &str) {
    let bad = |c: char| matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    if said.contains(bad) {
        return escape(out, &said.replace(bad, "?"));
    }
    escape(out, said);
}

fn put(out: &mut BytesMut, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
#[path = "adhoc_tests.rs"]
mod tests;
