//! One request of a command: who may ask, which stage it is for, and what it brings.

use std::collections::BTreeMap;

use super::data::{Action, Answers, Asked, Field, FieldKind, Form, Name, Progress, Shown, Tone};
use super::sessions::{Cursor, Found, HEAVIEST, Session};
use super::{accounts, changes, lists, standing, trials};
use crate::domain::ids::{Account, DeviceHash, Node};
use crate::domain::refusal::Refusal;
use crate::domain::time::Now;
use crate::flows::data::{Answer, Step, Ticket};
use crate::flows::dice::Dice;
use crate::flows::memory::Memory;
use crate::flows::state::State;

/// Rows of a page.
pub(super) const PAGE: usize = 50;

/// The most stages that a command keeps: none has more than two, but forms that are filled in wrongly come again.
const STAGES: usize = 4;

/// A command at work.
pub(super) struct Desk<'a> {
    pub(super) state: &'a State,
    pub(super) ticket: &'a Ticket,
    pub(super) session: Session,
    /// All that was filled in.
    pub(super) answers: Answers,
    pub(super) now: Now,
    pub(super) dice: &'a mut Dice,
    pub(super) step: Step,
}

/// What a command has to say, given what was filled in so far.
pub(super) enum Played {
    /// This is to be filled in; then there is more to ask, or not.
    Ask(Form, More),
    /// What was filled in is wrong, and why.
    Wrong(Form, More, String),
    /// A page of a list, and where the next begins.
    Page(Form, Option<Cursor>),
    /// It is done.
    Done(Vec<(Tone, String)>, Option<Form>),
    /// It is answered later.
    Later,
}

/// Whether another form follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum More {
    /// There is another one.
    Stage,
    /// This is the last.
    Last,
}

pub(super) fn take(state: &State, ticket: Ticket, asker: &Account, asked: Asked, now: Now, dice: &mut Dice) -> Step {
    let step = Step::default();
    let Asked { name, session, action, fields } = asked;
    let is_admin = state.policy.admins.contains(asker);
    if !name.is_for_owners() && !is_admin {
        return step.refuse(ticket, Refusal::Forbidden);
    }
    let mut session = match session {
        Some(id) => match state.commands.find(&id, &ticket.to, name, now.steady) {
            Found::Here(session) => Session { touched: now.steady, ..session.clone() },
            Found::Over => return step.refuse(ticket, Refusal::SessionExpired),
            Found::Never => return step.refuse(ticket, Refusal::BadSession),
        },
        None if action == Action::Prev => return step.refuse(ticket, Refusal::BadAction),
        // Strangers who take all the room keep no admin out: these are few.
        None if !is_admin && !state.commands.has_room(asker) => return step.refuse(ticket, Refusal::TooManySessions),
        None => begin(state, &ticket, asker, name, now, dice),
    };
    let new = state.commands.next() <= session.number;
    let lists = session.more.is_some() || !session.pages.is_empty();
    match action {
        Action::Cancel => return end(step, ticket, &session, Progress::Canceled, Vec::new(), None),
        Action::Complete if lists => return end(step, ticket, &session, Progress::Completed, Vec::new(), None),
        Action::Prev if session.pages.pop().is_some() => {}
        // From the first page back to what was asked for it.
        Action::Prev => {
            session.more = None;
            if session.stages.pop().is_none() {
                return step.refuse(ticket, Refusal::BadAction);
            }
        }
        _ if lists => match session.more.take() {
            Some(cursor) => session.pages.push(cursor),
            None => return step.refuse(ticket, Refusal::BadAction),
        },
        _ if session.stages.len() >= STAGES => return step.refuse(ticket, Refusal::BadPayload),
        _ => match fields {
            Some(fields) => session.stages.push(fields),
            // Whoever goes on without a form takes what it holds.
            None if !new => session.stages.push(Answers::default()),
            None => {}
        },
    }
    if session.weight() > HEAVIEST {
        return step.refuse(ticket, Refusal::BadPayload);
    }
    let answers = session.answers();
    let mut desk = Desk { state, ticket: &ticket, session, answers, now, dice, step };
    let played = desk.play();
    let Desk { session, step, .. } = desk;
    show(step, ticket, session, played)
}

fn begin(state: &State, ticket: &Ticket, asker: &Account, name: Name, now: Now, dice: &mut Dice) -> Session {
    let number = state.commands.next();
    Session {
        number,
        id: format!("{number}-{}", dice.token()).into(),
        asker: asker.clone(),
        jid: ticket.to.clone(),
        name,
        stages: Vec::new(),
        pages: Vec::new(),
        more: None,
        touched: now.steady,
    }
}

impl Desk<'_> {
    fn play(&mut self) -> Played {
        match self.session.name {
            Name::ListRegistrations => lists::registrations(self),
            Name::ListDevices => lists::devices(self),
            Name::ListSessions => lists::sessions(self),
            Name::ShowAccount => accounts::show(self),
            Name::MyDevices => accounts::mine(self),
            Name::RemoveRegistration => changes::remove_registrations(self),
            Name::EnableRegistration => changes::enable_registrations(self),
            Name::RemoveDevice => changes::remove_devices(self),
            Name::RemoveMyDevice => changes::remove_mine(self),
            Name::SendTestPush => trials::send(self),
            Name::TestMyDevice => trials::send_to_mine(self),
            Name::Status => standing::status(self),
            Name::Reload => standing::reload(self),
        }
    }

    /// The account that it is about: the asker's own, or the one that was asked for.
    pub(super) fn account(&self) -> Result<Account, Box<Played>> {
        if self.session.name.is_for_owners() {
            return Ok(self.session.asker.clone());
        }
        let field = Field::new("accountjid", "The account's address", FieldKind::Jid).required();
        let form = self.form("Which account?", vec![field]);
        let more = if self.session.name == Name::ShowAccount { More::Last } else { More::Stage };
        self.account_by(form, more)
    }

    /// The same, asked for by this form.
    pub(super) fn account_by(&self, mut form: Form, more: More) -> Result<Account, Box<Played>> {
        let Some(text) = self.answers.value("accountjid") else {
            if self.session.stages.is_empty() {
                return Err(Box::new(Played::Ask(form, more)));
            }
            return Err(Box::new(Played::Wrong(
                form,
                more,
                "An account is needed, such as romeo@example.org.".to_owned(),
            )));
        };
        match jid::BareJid::new(text.split('/').next().unwrap_or(text)) {
            Ok(jid) if jid.node().is_some() => Ok(Account::new(jid.as_str())),
            _ => {
                let field = form.fields.iter_mut().find(|field| field.name == "accountjid");
                if let Some(field) = field {
                    field.values = vec![text.to_owned()];
                }
                let why = format!("{text:?} is not an account's address, such as romeo@example.org.");
                Err(Box::new(Played::Wrong(form, more, why)))
            }
        }
    }

    /// A form to be filled in.
    pub(super) fn form(&self, instructions: &str, fields: Vec<Field>) -> Form {
        let title = self.session.name.title().to_owned();
        Form { title, instructions: instructions.to_owned(), fields, ..Form::default() }
    }

    /// What came of it.
    pub(super) fn result(&self, title: impl Into<String>) -> Form {
        Form { result: true, title: title.into(), ..Form::default() }
    }
}

fn show(mut step: Step, ticket: Ticket, session: Session, played: Played) -> Step {
    let shown = |session: &Session, progress, notes, form| Shown {
        name: session.name,
        session: session.id.clone(),
        progress,
        notes,
        form,
    };
    let (session, progress, notes, form) = match played {
        Played::Later => {
            step.remember(Memory::CommandOver(session.number));
            return step;
        }
        Played::Done(notes, form) => return end(step, ticket, &session, Progress::Completed, notes, form),
        Played::Page(form, None) => {
            return end(step, ticket, &session, Progress::Completed, Vec::new(), Some(form));
        }
        Played::Page(form, more) => {
            let prev = !session.pages.is_empty() || !session.stages.is_empty();
            let progress = Progress::Executing { prev, next: true, default_next: true };
            (Session { more, ..session }, progress, Vec::new(), form)
        }
        Played::Ask(form, more) => {
            let progress = asking(&session, more);
            (session, progress, Vec::new(), form)
        }
        Played::Wrong(mut form, more, why) => {
            let mut session = session;
            session.stages.pop();
            let progress = asking(&session, more);
            // Some clients show no notes beside a form (profanity 0.13).
            form.instructions = format!("{why} {}", form.instructions);
            (session, progress, vec![(Tone::Error, why)], form)
        }
    };
    let shown = shown(&session, progress, notes, Some(form));
    step.remember(Memory::Command(Box::new(session)));
    step.answer(ticket, Answer::Command(Box::new(shown)));
    step
}

const fn asking(session: &Session, more: More) -> Progress {
    let next = matches!(more, More::Stage);
    Progress::Executing { prev: !session.stages.is_empty(), next, default_next: next }
}

fn end(
    mut step: Step,
    ticket: Ticket,
    session: &Session,
    progress: Progress,
    notes: Vec<(Tone, String)>,
    form: Option<Form>,
) -> Step {
    step.remember(Memory::CommandOver(session.number));
    let shown = Shown { name: session.name, session: session.id.clone(), progress, notes, form };
    step.answer(ticket, Answer::Command(Box::new(shown)));
    step
}

/// A page of what there is.
pub(super) struct Page<T> {
    /// What is on it, in order.
    pub(super) rows: Vec<T>,
    /// How many there are on all pages.
    pub(super) total: usize,
    /// Whether there are more behind it.
    pub(super) more: bool,
}

/// The page that begins behind that key. One look at all of them, and no more kept than a page.
pub(super) fn page<K: Ord, T>(all: impl Iterator<Item = (K, T)>, after: Option<&K>) -> Page<(K, T)> {
    let mut rows = BTreeMap::new();
    let mut total = 0;
    for (key, row) in all {
        total += 1;
        let behind = after.is_none_or(|after| key > *after);
        let fits = rows.len() <= PAGE || rows.last_key_value().is_some_and(|(last, _)| key < *last);
        if behind && fits {
            rows.insert(key, row);
            if rows.len() > PAGE + 1 {
                rows.pop_last();
            }
        }
    }
    let more = rows.len() > PAGE;
    Page { rows: rows.into_iter().take(PAGE).collect(), total, more }
}

/// What a session's last page ended with, by kind.
pub(super) fn after<'a, K>(session: &'a Session, kind: impl Fn(&'a Cursor) -> Option<K>) -> Option<K> {
    session.pages.last().and_then(kind)
}

/// A name that fits no other, however the nodes are chosen: for choosing one of several.
pub(super) fn handle(kind: &str, service: &str, node: &Node) -> String {
    format!("{kind} {}", DeviceHash::of(service, node.as_str()).hex())
}
