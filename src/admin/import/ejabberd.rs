//! Registrations of ejabberd's `mod_push`: the table `push_session`, of Mnesia or of an SQL database.

use std::io::BufRead;
use std::path::Path;

use super::draft::Draft;
use super::erlang::{self, Term};
use super::report::Skip;
use super::xml::{Child, Element};
use super::{Foreign, ForeignError, sql};
use crate::domain::time::Timestamp;

const TABLE: &str = "push_session";

/// The columns of ejabberd's SQL schema, and of its newer one.
const COLUMNS: [&[&str]; 2] = [
    &["username", "timestamp", "service", "node", "xml"],
    &["username", "server_host", "timestamp", "service", "node", "xml"],
];

/// Reads an SQL dump. Each row says when its client enabled push, in microseconds since 1970.
pub(super) fn read_sql(foreign: &mut Foreign<'_>, path: &Path, dump: impl BufRead) -> Result<(), ForeignError> {
    let mut homeless = false;
    let found = sql::read(dump, TABLE, &COLUMNS, |row| {
        let line = row.line;
        let text = |column| row.text(column).map(Option::unwrap_or_default);
        let host = row.text("server_host").ok().flatten();
        let Some(host) = foreign.host_or_domain(host) else {
            homeless = true;
            return;
        };
        let user = text("username").unwrap_or_default();
        let read = || -> Result<_, &'static str> {
            if user.is_empty() {
                return Err("names no account");
            }
            Ok((text("service")?, text("node")?, text("xml")?, text("timestamp")?))
        };
        match read() {
            Ok((service, node, inside, stamp)) => {
                let at = stamp.parse().ok().map(|micros: i64| Timestamp::from_millis(micros / 1000));
                let service = Some(service);
                let host = host.as_str();
                let draft = Draft { user, host, service, node, inside, client_id: None, resource: None, at };
                foreign.take(line, &draft);
            }
            Err(what) => foreign.skip(line, &format!("{user}@{host}"), Skip::Broken(what)),
        }
    });
    let found = found.map_err(|error| ForeignError::Sql(path.to_owned(), error))?;
    if homeless {
        return Err(ForeignError::NoDomain(path.to_owned()));
    }
    if found { Ok(()) } else { Err(ForeignError::NothingOfTheKind(path.to_owned(), foreign.kind)) }
}

/// Reads the text that `ejabberdctl dump_table FILE push_session` writes, or `ejabberdctl dump FILE`.
pub(super) fn read_mnesia(foreign: &mut Foreign<'_>, path: &Path, dump: impl BufRead) -> Result<(), ForeignError> {
    let found = erlang::read(dump, TABLE, |form| {
        let Some(term) = form.term else {
            return foreign.skip(form.line, "", Skip::Broken("is no record of push_session"));
        };
        if record(foreign, form.line, &term).is_none() {
            let us = term.record(TABLE).and_then(<[Term]>::first);
            let whose = us.and_then(pair).map(|(user, host)| format!("{user}@{host}")).unwrap_or_default();
            foreign.skip(form.line, &whose, Skip::Broken("is no record of push_session"));
        }
    });
    let found = found.map_err(|error| ForeignError::Erlang(path.to_owned(), error))?;
    if found { Ok(()) } else { Err(ForeignError::NothingOfTheKind(path.to_owned(), foreign.kind)) }
}

/// `{push_session, {User, Host}, {MegaSecs, Secs, MicroSecs}, {User, Host, Resource}, Node, Form}`.
fn record(foreign: &mut Foreign<'_>, line: u64, term: &Term) -> Option<()> {
    let [us, Term::Tuple(stamp), Term::Tuple(service), node, form] = term.record(TABLE)? else { return None };
    let (user, host) = pair(us)?;
    let [Term::Number(mega), Term::Number(secs), Term::Number(micros)] = *stamp.as_slice() else { return None };
    let millis = mega.checked_mul(1_000_000)?.checked_add(secs)?.checked_mul(1000)?.checked_add(micros / 1000)?;
    let [local, domain, resource] = service.as_slice() else { return None };
    let (local, domain, resource) = (local.text()?, domain.text()?, resource.text()?);
    let mut service = String::new();
    if !local.is_empty() {
        service = format!("{local}@");
    }
    service.push_str(domain);
    if !resource.is_empty() {
        service.push('/');
        service.push_str(resource);
    }
    let inside = match form {
        Term::Atom(none) if none == b"undefined" => String::new(),
        form => element(form)?.written()?,
    };
    let at = i64::try_from(millis).ok().map(Timestamp::from_millis);
    let (service, node) = (Some(service.as_str()), node.text()?);
    foreign.take(line, &Draft { user, host, service, node, inside: &inside, client_id: None, resource: None, at });
    Some(())
}

fn pair(us: &Term) -> Option<(&str, &str)> {
    let Term::Tuple(us) = us else { return None };
    let [user, host] = us.as_slice() else { return None };
    Some((user.text()?, host.text()?))
}

/// `{xmlel, Name, [{Attribute, Value}], [Child]}`.
fn element(term: &Term) -> Option<Element> {
    let [name, attributes, children] = term.record("xmlel")? else { return None };
    let attribute = |term: &Term| pair(term).map(|(name, value)| (name.to_owned(), value.to_owned()));
    let child = |term: &Term| match term.record("xmlcdata") {
        Some([text]) => text.text().map(|text| Child::Text(text.to_owned())),
        _ => element(term).map(Child::Element),
    };
    Some(Element {
        name: name.text()?.to_owned(),
        attributes: attributes.list()?.iter().map(attribute).collect::<Option<_>>()?,
        children: children.list()?.iter().map(child).collect::<Option<_>>()?,
    })
}

#[cfg(test)]
#[path = "ejabberd_tests.rs"]
mod tests;
