//! Test pushes: real ones, whose every stage is shown to the one who asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::changes;
use super::data::{Field, FieldKind, Form, Name, Progress, Shown, Table, Tone};
use super::turn::{Desk, More, Played, handle};
use crate::domain::class::Class;
use crate::domain::device::Device;
use crate::domain::ids::{Account, Node};
use crate::domain::publish::Publish;
use crate::domain::rate::Rate;
use crate::domain::redact;
use crate::domain::registration::{Registration, RegistrationKey, Said};
use crate::domain::stanza::Stanza;
use crate::domain::time::{Moment, Now};
use crate::flows::data::{Answer, Inner, Place, Step, Ticket};
use crate::flows::memory::{Limit, Memory};
use crate::flows::rules;
use crate::flows::saying::Span;
use crate::flows::state::State;

/// How long it is waited for what becomes of one. Clients wait half a minute for an answer.
const WITHIN: Duration = Duration::from_secs(15);

/// How many may be under way.
const MOST: usize = 100;

/// How often an account may ask for one.
const RATE: Rate = Rate { count: 10, per: Duration::from_secs(60) };

/// A test push under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Its number.
    pub number: u64,
    /// Who waits.
    pub ticket: Ticket,
    /// By which command.
    pub name: Name,
    /// In which session.
    pub session: Arc<str>,
    /// Whose phone.
    pub account: Account,
    /// The registration that is tried, if it is one.
    pub registration: Option<RegistrationKey>,
    /// The device of ours that it goes to, if it goes to one.
    pub node: Option<Node>,
    /// The number of the push, if it is a registration that is tried and a push left for it.
    pub flight: Option<u64>,
    /// When it began.
    pub begun: Now,
}

/// All test pushes under way.
#[derive(Debug, Default)]
pub struct Trials {
    all: BTreeMap<u64, Trial>,
    next: u64,
}

impl Trials {
    pub(in crate::flows) fn put(&mut self, trial: &Trial) {
        self.next = self.next.max(trial.number + 1);
        self.all.insert(trial.number, trial.clone());
    }

    pub(in crate::flows) fn end(&mut self, number: u64) {
        self.all.remove(&number);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The one that this push of a registration is for.
    #[must_use]
    pub fn of(&self, registration: &RegistrationKey, flight: u64) -> Option<u64> {
        let its = |trial: &&Trial| trial.flight == Some(flight) && trial.registration.as_ref() == Some(registration);
        self.all.values().find(its).map(|trial| trial.number)
    }

    /// When the next one is reported at the latest.
    #[must_use]
    pub fn next_due(&self) -> Option<Moment> {
        self.all.first_key_value().map(|(_, trial)| trial.begun.steady + WITHIN)
    }
}

/// `send-test-push`.
pub(super) fn send(desk: &mut Desk<'_>) -> Played {
    match desk.account() {
        Ok(account) => to_one_of(desk, &account),
        Err(played) => *played,
    }
}

/// `test-my-device`.
pub(super) fn send_to_mine(desk: &mut Desk<'_>) -> Played {
    let account = desk.session.asker.clone();
    to_one_of(desk, &account)
}

enum Target<'a> {
    Registration(&'a Registration),
    Device(&'a Device),
}

fn to_one_of(desk: &mut Desk<'_>, account: &Account) -> Played {
    let state = desk.state;
    let registrations: Vec<_> = state.registrations.of(account).iter().filter(|of| of.is_there()).collect();
    let devices: Vec<_> = state.devices_of(account).filter(|of| of.gone.is_none()).collect();
    let options: Vec<_> = changes::options(&registrations, &devices).collect();
    let Some((_, first)) = options.first().cloned() else {
        return Played::Done(vec![(Tone::Info, format!("{account} has nothing to push to."))], None);
    };
    let field = Field::new("target", "Where to", FieldKind::One(options)).holding(first).required();
    let form =
        || desk.form(&format!("A notification without content of its own goes to {account}."), vec![field.clone()]);
    let Some(chosen) = desk.answers.value("target") else { return Played::Ask(form(), More::Last) };
    let registration = registrations.iter().find(|of| handle("registration", &of.key.service, &of.key.node) == chosen);
    let device = devices.iter().find(|of| handle("device", of.key.app.as_str(), &of.node) == chosen);
    let target = match (registration, device) {
        (Some(registration), _) => Target::Registration(registration),
        (None, Some(device)) => Target::Device(device),
        (None, None) => return Played::Wrong(form(), More::Last, "That is not there any more.".to_owned()),
    };
    let bucket = state.testing.less_one(&desk.session.asker, RATE, desk.now.steady);
    // Whatever others test keeps no admin from it.
    let room = state.trials.len() < MOST || state.policy.admins.contains(&desk.session.asker);
    let Some(bucket) = bucket.filter(|_| room) else {
        return Played::Done(vec![(Tone::Error, "Too many tests; try again in a minute.".to_owned())], None);
    };
    let asker = desk.session.asker.clone();
    desk.step.remember(Memory::Drawn(Limit::Testing(asker), bucket, desk.now.steady));
    launch(desk, account, &target)
}

fn launch(desk: &mut Desk<'_>, account: &Account, target: &Target<'_>) -> Played {
    let (state, now) = (desk.state, desk.now);
    let mut trial = Trial {
        number: state.trials.next,
        ticket: desk.ticket.clone(),
        name: desk.session.name,
        session: desk.session.id.clone(),
        account: account.clone(),
        registration: None,
        node: None,
        flight: None,
        begun: now,
    };
    match target {
        Target::Registration(registration) => {
            let key = &registration.key;
            let own = *key.service == *state.policy.own.as_str();
            trial.registration = Some(key.clone());
            trial.node = own.then(|| key.node.clone());
            let (step, flight) = rules::trial(state, key, now, desk.dice);
            desk.step.append(step);
            trial.flight = flight;
            if flight.is_none() {
                let report = report(state, &trial, Outcome::Waits, now);
                return Played::Done(report.0, Some(report.1));
            }
        }
        Target::Device(device) => {
            trial.node = Some(device.node.clone());
            let words = state.policy.rules.redaction.words(&Stanza::default(), Class::Important);
            let publish = Publish {
                from: device.permitted.first().cloned().unwrap_or_else(|| device.owner.domain()),
                from_full_jid: false,
                node: device.node.clone(),
                secret: Some(device.secret.clone()),
                module: None,
                notification: redact::notification(Class::Important, words),
            };
            desk.step.then.push(Inner::Trial { number: trial.number, publish: Box::new(publish) });
        }
    }
    desk.step.remember(Memory::Testing(Box::new(trial)));
    Played::Later
}

/// What came of one, so far.
enum Outcome<'a> {
    /// This.
    Said(&'a Said),
    /// Nothing left yet.
    Waits,
    /// Nothing is known yet.
    Unknown,
}

/// Something came of a test push: whoever asked for it hears all of it.
pub(in crate::flows) fn tried(state: &State, number: u64, said: &Said, now: Now) -> Step {
    let mut step = Step::default();
    if let Some(trial) = state.trials.all.get(&number) {
        tell(state, trial, Outcome::Said(said), now, &mut step);
    }
    step
}

/// Reports those that take too long.
pub(super) fn due(state: &State, now: Now, step: &mut Step) {
    for trial in state.trials.all.values().take_while(|trial| trial.begun.steady + WITHIN <= now.steady) {
        tell(state, trial, Outcome::Unknown, now, step);
    }
}

/// Reports all of them as they stand.
pub(super) fn stopped(state: &State, now: Now, step: &mut Step) {
    for trial in state.trials.all.values() {
        tell(state, trial, Outcome::Unknown, now, step);
    }
}

fn tell(state: &State, trial: &Trial, outcome: Outcome<'_>, now: Now, step: &mut Step) {
    let (notes, form) = report(state, trial, outcome, now);
    let (name, session) = (trial.name, trial.session.clone());
    let shown = Shown { name, session, progress: Progress::Completed, notes, form: Some(form) };
    step.answer(trial.ticket.clone(), Answer::Command(Box::new(shown)));
    step.remember(Memory::Tested(trial.number));
}

fn report(state: &State, trial: &Trial, outcome: Outcome<'_>, now: Now) -> (Vec<(Tone, String)>, Form) {
    let mut rows = vec![rules_row(state, trial), route_row(state, trial)];
    rows.extend(trial.node.as_ref().and_then(|node| app_row(state, node)));
    let device = trial.node.as_ref().and_then(|node| state.device(node));
    let owner = device.map(|device| device.owner).filter(|owner| *owner != trial.account);
    for entry in state.history().of(&trial.account).chain(owner.iter().flat_map(|owner| state.history().of(owner))) {
        let line = &entry.line;
        let stage = match &line.place {
            Place::Registration(service, node) => {
                let its = |key: &RegistrationKey| key.service == *service && key.node == *node;
                trial.registration.as_ref().is_some_and(its).then_some("rules")
            }
            Place::Device(_, node) => (trial.node.as_ref() == Some(node)).then_some("vendor"),
            Place::Session(_) | Place::Account => None,
        };
        if let Some(stage) = stage.filter(|_| line.at >= trial.begun.wall) {
            let trail = line.trail.map(|trail| format!(" [{trail}]")).unwrap_or_default();
            rows.push((Some(line.at - trial.begun.wall), stage, format!("{}{trail}", line.what)));
        }
    }
    rows.sort_by_key(|(after, ..)| *after);
    let took = Span(now.steady - trial.begun.steady);
    let note = match outcome {
        Outcome::Said(Said::Taken) => (Tone::Info, format!("It was taken, {took} after it was sent.")),
        Outcome::Said(Said::Silence) => (Tone::Warn, format!("No answer came within {took}; it may have been taken.")),
        Outcome::Said(Said::Later(why)) => (Tone::Warn, format!("It was not taken for now: {why}.")),
        Outcome::Said(Said::Refused(why) | Said::Unreached(why)) => (Tone::Error, format!("It was not taken: {why}.")),
        Outcome::Said(Said::Unsent | Said::TakenBack) | Outcome::Waits => {
            (Tone::Warn, "It waits, and goes when what it waits for is there.".to_owned())
        }
        Outcome::Unknown => (Tone::Warn, format!("Nothing is known of it after {took}; the decisions will say more.")),
    };
    let cells = |(after, stage, what): (Option<Duration>, &str, String)| {
        let after = after.map(|after| Span(after).to_string()).unwrap_or_default();
        vec![after, stage.to_owned(), what]
    };
    let columns = vec![("after", "After"), ("stage", "Stage"), ("what", "What happened")];
    let table = Table { columns, rows: rows.into_iter().map(cells).collect() };
    let title = format!("Test push to {}", trial.account);
    (vec![note], Form { result: true, title, table: Some(table), ..Form::default() })
}

type Row = (Option<Duration>, &'static str, String);

fn rules_row(state: &State, trial: &Trial) -> Row {
    let said = match trial.registration.as_ref().and_then(|key| state.registrations.get(key)) {
        Some(of) if of.is_enabled() => format!("registration of {:?}, enabled", &*of.resource),
        Some(of) => format!("registration of {:?}, disabled: a push that is taken enables it again", &*of.resource),
        None => "none: straight to the device, as its server would".to_owned(),
    };
    (None, "rules", said)
}

fn route_row(state: &State, trial: &Trial) -> Row {
    let said = match &trial.registration {
        Some(key) if trial.node.is_none() => format!("relayed by {} to {}", trial.account.domain(), key.service),
        _ => format!("our own push service, {}", state.policy.own),
    };
    (None, "route", said)
}

fn app_row(state: &State, node: &Node) -> Option<Row> {
    let Some(device) = state.device(node) else {
        return Some((None, "app", "there is no such device: its app must register it again".to_owned()));
    };
    if let Some(gone) = device.gone {
        return Some((None, "app", format!("the device is gone since {}: {}", gone.at, gone.why.said())));
    }
    let name = &device.key.app;
    let Some(app) = state.policy.apps.iter().find(|app| app.name == *name) else {
        return Some((None, "app", format!("{name}, which the configuration does not know any more")));
    };
    let circuit = state.app(name).and_then(|app| app.circuit.as_ref());
    let stands = circuit.map_or_else(|| "in order".to_owned(), |circuit| format!("kept back: {}", circuit.reason));
    Some((None, "app", format!("{name} ({}), {stands}", app.provider.name())))
}
