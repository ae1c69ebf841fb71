//! Registrations, devices and sessions of everybody, page by page.

use super::data::{Field, FieldKind, Form, Table};
use super::sessions::Cursor;
use super::tables;
use super::turn::{Desk, More, Page, Played, after, page};
use crate::domain::device::Device;
use crate::domain::ids::{Account, Node};
use crate::domain::registration::{Registration, RegistrationKey, Status};
use crate::domain::session::{Sid, Standing};

/// What all three are filtered by.
struct Filter<'a> {
    account: Option<&'a str>,
    domain: Option<&'a str>,
    state: Option<&'a str>,
}

impl Filter<'_> {
    fn takes(&self, account: &Account) -> bool {
        let domain = || account.as_str().rsplit('@').next().unwrap_or_default();
        self.account.is_none_or(|wanted| account.as_str().eq_ignore_ascii_case(wanted))
            && self.domain.is_none_or(|wanted| domain().eq_ignore_ascii_case(wanted))
    }

    fn is(&self, state: &str) -> bool {
        self.state.is_none_or(|wanted| wanted == state)
    }
}

impl Desk<'_> {
    fn filter(&self) -> Filter<'_> {
        Filter {
            account: self.answers.value("accountjid"),
            domain: self.answers.value("domain"),
            state: self.answers.value("state").filter(|state| *state != "any"),
        }
    }

    /// Asks for filters, and has more fields in between.
    fn ask(&self, states: &[(&str, &str)], more: Vec<Field>) -> Played {
        let any = std::iter::once(&("any", "Any")).chain(states);
        let states = any.map(|(value, label)| ((*label).to_owned(), (*value).to_owned())).collect();
        let mut fields = vec![
            Field::new("accountjid", "Only this account", FieldKind::Jid),
            Field::new("domain", "Only accounts of this domain", FieldKind::Text),
        ];
        fields.extend(more);
        fields.push(Field::new("state", "Only in this state", FieldKind::One(states)).holding("any"));
        Played::Ask(self.form("Which ones? What is left empty does not matter.", fields), More::Last)
    }

    fn listed<T>(&self, what: &str, page: &Page<T>, table: Table) -> Form {
        let before = self.session.pages.len() * super::turn::PAGE;
        let title = match (page.total, page.rows.len()) {
            (0, _) => format!("No {what}"),
            (1, _) => format!("1 {}", what.trim_end_matches('s')),
            (total, rows) if total == rows => format!("{total} {what}"),
            (total, rows) => format!("{what} {} to {} of {total}", before + 1, before + rows),
        };
        Form { table: Some(table), ..self.result(title) }
    }
}

pub(super) fn registrations(desk: &mut Desk<'_>) -> Played {
    if desk.session.stages.is_empty() {
        let service = Field::new("service", "Only at this push service", FieldKind::Text);
        let states = [("enabled", "Enabled"), ("disabled", "Disabled"), ("gone", "Gone")];
        return desk.ask(&states, vec![service]);
    }
    let filter = desk.filter();
    let service = desk.answers.value("service");
    let takes = |of: &&Registration| {
        let state = match of.status {
            Status::Enabled => "enabled",
            Status::Disabled { .. } => "disabled",
            Status::Gone(_) => "gone",
        };
        let at = service.is_none_or(|service| of.key.service.eq_ignore_ascii_case(service));
        at && filter.is(state) && filter.takes(&of.key.account)
    };
    let from = after(&desk.session, |cursor| match cursor {
        Cursor::Registration(key) => Some(&**key),
        _ => None,
    });
    let all = desk.state.registrations.iter().filter(takes).map(|of| (&of.key, of));
    let page = page(all, from.as_ref());
    let more = page.rows.last().filter(|_| page.more);
    let more = more.map(|(key, _): &(&RegistrationKey, _)| Cursor::Registration(Box::new((*key).clone())));
    let rows = page.rows.iter().map(|(_, of)| tables::registration(of)).collect();
    Played::Page(desk.listed("registrations", &page, tables::table(rows)), more)
}

pub(super) fn devices(desk: &mut Desk<'_>) -> Played {
    if desk.session.stages.is_empty() {
        let apps = desk.state.policy.apps.iter().map(|app| app.name.to_string());
        let apps = std::iter::once(("Any".to_owned(), "any".to_owned())).chain(apps.map(|name| (name.clone(), name)));
        let app = Field::new("app", "Only of this app", FieldKind::One(apps.collect())).holding("any");
        return desk.ask(&[("enabled", "Enabled"), ("gone", "Gone")], vec![app]);
    }
    let filter = desk.filter();
    let app = desk.answers.value("app").filter(|app| *app != "any");
    let takes = |device: &Device| {
        let state = if device.gone.is_some() { "gone" } else { "enabled" };
        app.is_none_or(|app| device.key.app.as_str() == app) && filter.is(state) && filter.takes(&device.owner)
    };
    let from = after(&desk.session, |cursor| match cursor {
        Cursor::Device(owner, node) => Some((owner.clone(), node.clone())),
        _ => None,
    });
    let all = desk.state.devices().filter(takes).map(|device| ((device.owner.clone(), device.node.clone()), device));
    let page = page(all, from.as_ref());
    let more = page.rows.last().filter(|_| page.more);
    let more = more.map(|((owner, node), _): &((Account, Node), _)| Cursor::Device(owner.clone(), node.clone()));
    let own = &desk.state.policy.own;
    let rows = page.rows.iter().map(|(_, device)| tables::device(device, own)).collect();
    Played::Page(desk.listed("devices", &page, tables::table(rows)), more)
}

pub(super) fn sessions(desk: &mut Desk<'_>) -> Played {
    if desk.session.stages.is_empty() {
        return desk.ask(&[("connected", "Connected"), ("hibernated", "Hibernated")], Vec::new());
    }
    let filter = desk.filter();
    let from = after(&desk.session, |cursor| match cursor {
        Cursor::Session(account, sid) => Some((account, sid)),
        _ => None,
    });
    let all = desk.state.lives.iter().filter(|(account, _)| filter.takes(account));
    let all = all.flat_map(|(account, live)| live.sessions.iter().map(move |session| (account, live, session)));
    let all = all.filter(|(.., session)| match session.report.state {
        Standing::Hibernated => filter.is("hibernated"),
        Standing::Plain | Standing::Active | Standing::Unresponsive => filter.is("connected"),
    });
    let all = all.map(|(account, live, session)| ((account, &session.report.sid), (live, session)));
    let page = page(all, from.as_ref());
    let more = page.rows.last().filter(|_| page.more);
    let more =
        more.map(|((account, sid), _): &((&Account, &Sid), _)| Cursor::Session((*account).clone(), (*sid).clone()));
    let rows = page.rows.iter();
    let rows = rows.map(|((account, _), (live, session))| tables::session(account, session, live, desk.now)).collect();
    let table = Table { columns: tables::SESSION_COLUMNS.to_vec(), rows };
    Played::Page(desk.listed("sessions", &page, table), more)
}
