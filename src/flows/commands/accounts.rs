//! All that is known of one account, and why it is woken or not.

use super::data::{Field, FieldKind, Form, Table};
use super::tables;
use super::turn::{Desk, More, Played};
use crate::domain::device::Device;
use crate::domain::ids::{Account, Domain};
use crate::domain::registration::{Registration, Status};
use crate::domain::session::Standing;
use crate::domain::time::Now;
use crate::flows::history::Entry;
use crate::flows::saying::{Span, how_to_link};
use crate::flows::state::State;

/// What can be looked at.
const VIEWS: [(&str, &str); 4] = [
    ("Everything", "everything"),
    ("Registrations and devices", "registrations"),
    ("Sessions", "sessions"),
    ("The last decisions", "decisions"),
];

/// `show-account`.
pub(super) fn show(desk: &mut Desk<'_>) -> Played {
    let form = desk.form("Which account?", vec![account_field(), view_field()]);
    match desk.account_by(form, More::Last) {
        Ok(account) => view(desk, &account),
        Err(played) => *played,
    }
}

/// `my-devices`.
pub(super) fn mine(desk: &mut Desk<'_>) -> Played {
    let account = desk.session.asker.clone();
    if desk.session.stages.is_empty() {
        return Played::Ask(desk.form("What do you want to see?", vec![view_field()]), More::Last);
    }
    view(desk, &account)
}

fn account_field() -> Field {
    Field::new("accountjid", "The account's address", FieldKind::Jid).required()
}

fn view_field() -> Field {
    let views = VIEWS.map(|(label, value)| (label.to_owned(), value.to_owned())).to_vec();
    Field::new("show", "Show", FieldKind::One(views)).holding("everything")
}

fn view(desk: &Desk<'_>, account: &Account) -> Played {
    let (state, now) = (desk.state, desk.now);
    let form = match desk.answers.value("show").unwrap_or("everything") {
        "registrations" => {
            Form { table: Some(held(state, account)), ..desk.result(format!("What {account} registered")) }
        }
        "sessions" => {
            Form { table: Some(sessions(state, account, now)), ..desk.result(format!("Sessions of {account}")) }
        }
        "decisions" => {
            Form { table: Some(decisions(state, account)), ..desk.result(format!("Decisions about {account}")) }
        }
        _ => everything(desk, account),
    };
    Played::Done(Vec::new(), Some(form))
}

fn everything(desk: &Desk<'_>, account: &Account) -> Form {
    let (state, now) = (desk.state, desk.now);
    let live = state.lives.of(account);
    let sessions = live.sessions.iter().map(|session| {
        let cells = tables::session(account, session, live, now);
        let labelled = tables::SESSION_COLUMNS.iter().zip(cells).skip(2).filter(|(_, cell)| !cell.is_empty());
        let said: Vec<String> =
            labelled.map(|((_, label), cell)| format!("{}: {cell}", label.to_lowercase())).collect();
        format!("{}; {}", session.report.resource, said.join("; "))
    });
    let old = live.old.iter().map(|old| format!("{}, ended by timeout, {}", old.resource, old.at));
    let sessions: Vec<String> = sessions.chain(old).collect();
    let decisions: Vec<String> = state.history().of(account).map(|entry| said(&entry)).collect();
    let lines = |name, label, lines: Vec<String>, none: &str| {
        Field::lines(name, label, if lines.is_empty() { vec![none.to_owned()] } else { lines })
    };
    let fields = vec![
        lines("why", "How it stands now", standing(state, account, now), "Nothing stands in the way of a push."),
        lines("sessions", "Sessions", sessions, "None."),
        lines("decisions", "The last decisions, the newest last", decisions, "None since we started."),
    ];
    Form { fields, table: Some(held(state, account)), ..desk.result(format!("{account}, at {}", now.wall)) }
}

/// A decision with its time, in a line.
pub(super) fn said(entry: &Entry) -> String {
    format!("{} {entry}", entry.line.at)
}

fn held(state: &State, account: &Account) -> Table {
    let registrations = state.registrations.of(account).iter().map(tables::registration);
    let own = &state.policy.own;
    let devices = state.devices_of(account).map(|device| tables::device(&device, own));
    tables::table(registrations.chain(devices).collect())
}

fn sessions(state: &State, account: &Account, now: Now) -> Table {
    let live = state.lives.of(account);
    let rows = live.sessions.iter().map(|session| tables::session(account, session, live, now)).collect();
    Table { columns: tables::SESSION_COLUMNS.to_vec(), rows }
}

fn decisions(state: &State, account: &Account) -> Table {
    let columns =
        vec![("time", "Time"), ("about", "About"), ("place", "Where"), ("decision", "Decision"), ("times", "Times")];
    let row = |entry: Entry| {
        let line = &entry.line;
        vec![
            line.at.to_string(),
            line.about.map(|about| about.to_string()).unwrap_or_default(),
            line.place.to_string(),
            line.what.to_string(),
            entry.times.to_string(),
        ]
    };
    Table { columns, rows: state.history().of(account).map(row).collect() }
}

/// What stands in the way of the account's next push, by all that is known now.
pub(super) fn standing(state: &State, account: &Account, now: Now) -> Vec<String> {
    let mut said = Vec::new();
    let (domain, held) = (account.domain(), state.registrations.of(account));
    match state.hosts.get(&domain) {
        None if held.is_empty() => {
            said.push(format!(
                "{domain} is none of our hosts: its own server decides whom it wakes, and publishes to us."
            ));
        }
        None => said.push(format!("{domain} is not among [[hosts]] any more: nothing tells us of its messages.")),
        Some(host) if !host.is_linked() => {
            let why = host.link.why.as_deref();
            let (reason, mend) = (why.map(|why| format!(": {why}")).unwrap_or_default(), why.map_or("", how_to_link));
            said.push(format!("{domain} is not linked{reason}; nothing tells us of its messages{mend}."));
        }
        Some(_) => {}
    }
    if state.is_read_only() {
        said.push("The store takes no writes: nothing can be registered or kept.".to_owned());
    }
    if state.hosts.get(&domain).is_some() && held.iter().all(|of| !of.is_there()) {
        said.push("No client of it has push enabled.".to_owned());
    }
    said.extend(held.iter().filter_map(|of| obstacle(state, of)));
    said.extend(
        state.devices_of(account).filter(|device| device.gone.is_none()).filter_map(|of| kept(state, &of, now)),
    );
    said
}

fn obstacle(state: &State, of: &Registration) -> Option<String> {
    let name = format!("{} (node {})", of.key.service, of.key.node.short());
    if let Status::Disabled { why, at } = of.status {
        return Some(format!("{name} is disabled since {at}: {}; it is tried once a day.", why.name()));
    }
    // What waits for a session that hibernates, or that acknowledges nothing, is pushed. Of a host that is not linked
    // we know only how it was.
    let linked = state.hosts.get(&of.key.account.domain()).is_some_and(|host| host.is_linked());
    let live = state.lives.of(&of.key.account);
    let session = live.session_of(&of.key).filter(|_| of.is_enabled() && linked);
    if let Some(session) = session.filter(|of| matches!(of.report.state, Standing::Plain | Standing::Active)) {
        let resource = &session.report.resource;
        return Some(format!(
            "{name}: session {:?} is connected and hears of everything there, so nothing is pushed.",
            &**resource
        ));
    }
    let own = of.is_enabled() && is_own(&of.key.service, &state.policy.own);
    match state.device(&of.key.node).filter(|_| own) {
        None if own => Some(format!("{name}: our push service knows no such device; its app must register it again.")),
        Some(Device { gone: Some(gone), .. }) => {
            Some(format!("{name}: the device is gone since {}: {}.", gone.at, gone.why.said()))
        }
        _ => None,
    }
}

/// Why a push for a device of ours would be kept.
fn kept(state: &State, device: &Device, now: Now) -> Option<String> {
    let app = &device.key.app;
    let name = format!("device of {app} (node {})", device.node.short());
    if state.policy.apps.iter().all(|known| known.name != *app) {
        return Some(format!("{name}: there is no [apps.{app}] any more."));
    }
    if let Some(circuit) = state.app(app).and_then(|app| app.circuit.as_ref()) {
        return Some(format!("{name}: pushes of {app} are kept back: {}.", circuit.reason));
    }
    let rests = state.rests_until(&device.node, now.steady)?;
    Some(format!("{name} is left alone for {} more (push.min_interval).", Span(rests - now.steady)))
}

fn is_own(service: &str, own: &Domain) -> bool {
    service == own.as_str()
}
