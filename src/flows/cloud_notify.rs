//! A naive model of what Prosody's mod_cloud_notify decides (as of 2023-02), restated from its documented behaviour: a
//! second opinion for tests. It keeps that module's defects, each marked as one. Where ours differs on purpose is in the
//! tables of the tests.
//!
//! | Trigger | On the host | To whom |
//! |---|---|---|
//! | T1 | a message goes to offline storage | every registration |
//! | T2 | a room's message to the bare account | every registration |
//! | T3 | a message is archived, and the account has a session | registrations without a session; calls: every one |
//! | T4 | a session hibernates | its own, at once, for all that is unacknowledged |
//! | T5 | a stanza is queued for a hibernated session | its own, after a second of collecting |
//! | T6 | an acknowledgement is overdue | its own, after a second, for all that is unacknowledged |
//! | T7 | another module asks | every registration, or the one named |

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::stanza::{Carbon, JingleStep, Kind, Stanza};
use crate::domain::time::Moment;

/// A registration: service and node.
pub(crate) type Id = u32;

/// A session, the same across resumptions.
pub(crate) type SessionId = u32;

/// How long stanzas are collected.
pub(crate) const COLLECTED: Duration = Duration::from_secs(1);

/// Whether a stanza gets the text that makes a push an important one. A carbon counts as what is in it.
pub(crate) fn is_important(stanza: &Stanza) -> bool {
    match stanza.kind {
        Kind::Subscribe | Kind::Presence | Kind::Iq | Kind::Headline => false,
        _ if stanza.carbon == Some(Carbon::Sent) => false,
        _ if stanza.encrypted || proposes(stanza) => true,
        _ => stanza.body.as_ref().is_some_and(|body| !body.reveal().is_empty()),
    }
}

/// Whether a stanza goes to every registration at once: a call, but not one in a carbon, which is not looked into.
pub(crate) fn is_urgent(stanza: &Stanza) -> bool {
    proposes(stanza) && stanza.carbon.is_none()
}

fn proposes(stanza: &Stanza) -> bool {
    let is_message = !matches!(stanza.kind, Kind::Subscribe | Kind::Presence | Kind::Iq);
    is_message && stanza.jingle.as_ref().is_some_and(|jingle| jingle.step == JingleStep::Propose)
}

/// A stanza in the host's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    /// Which object it is: the same stanza in the archive and in a queue is two of them.
    pub(crate) id: u64,
    /// What it is.
    pub(crate) stanza: Stanza,
}

/// The batch rule: which of these are pushed, by their place. At most one for each of the two classes, the first that is
/// not marked as pushed already.
pub(crate) fn batch(queue: &[Object], is_marked: impl Fn(u64) -> bool) -> Vec<usize> {
    let mut done = [false, false];
    let mut pushed = Vec::new();
    for (place, object) in queue.iter().enumerate() {
        let done = &mut done[usize::from(is_important(&object.stanza))];
        if !*done && !is_marked(object.id) {
            *done = true;
            pushed.push(place);
        }
    }
    pushed
}

/// What a push service answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// A result.
    Result,
    /// An error of type wait.
    Wait,
    /// Any other error, those included that the host makes up because it reaches nobody.
    Refused,
}

/// How many errors a registration has after an answer; `None` if it is removed for them.
pub(crate) fn count(errors: u32, answered: Answered, max_errors: u32) -> Option<u32> {
    match answered {
        Answered::Result => Some(0),
        Answered::Wait => Some(errors),
        Answered::Refused => (errors + 1 < max_errors).then_some(errors + 1),
    }
}

/// Enables a registration in a list that has the one enabled longest ago first. Returns which one made room.
pub(crate) fn enable(registrations: &mut Vec<Id>, id: Id, max_devices: usize) -> Option<Id> {
    registrations.retain(|other| *other != id);
    let evicted = (registrations.len() >= max_devices).then(|| registrations.remove(0));
    registrations.push(id);
    evicted
}

/// A publish that leaves the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pushed {
    /// To which registration.
    pub(crate) to: Id,
    /// Whether it carries the text that makes it important.
    pub(crate) important: bool,
}

/// One account.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    max_devices: usize,
    max_errors: u32,
    /// The one enabled longest ago first.
    registrations: Vec<Id>,
    errors: BTreeMap<Id, u32>,
    sessions: BTreeMap<SessionId, Session>,
    /// Which object was pushed to whom.
    marks: BTreeSet<(u64, Id)>,
    clones: u64,
}

/// A session, connected or hibernated.
#[derive(Clone, Debug, Default)]
struct Session {
    /// What was enabled in it. Stays when the registration itself makes room for another: a defect.
    registration: Option<Id>,
    collected: Vec<Object>,
    collected_until: Option<Moment>,
    hibernated: Option<Window>,
}

/// The resumption window of a hibernated session that is bound to a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    /// The long one, from then on.
    Stretched(Moment),
    /// The host's normal one, from then on: the first important push.
    Normal(Moment),
}

impl Account {
    /// An account without registrations and sessions.
    pub(crate) const fn new(max_devices: usize, max_errors: u32) -> Self {
        Self {
            max_devices,
            max_errors,
            registrations: Vec::new(),
            errors: BTreeMap::new(),
            sessions: BTreeMap::new(),
            marks: BTreeSet::new(),
            clones: 0,
        }
    }

    /// The registrations, the one enabled longest ago first.
    pub(crate) fn registrations(&self) -> &[Id] {
        &self.registrations
    }

    /// The window of a hibernated session, if it is not the host's own.
    pub(crate) fn window(&self, session: SessionId) -> Option<Window> {
        self.sessions.get(&session).filter(|session| session.registration.is_some())?.hibernated
    }

    /// A resource is bound: nothing of former sessions is known to it.
    pub(crate) fn bind(&mut self, session: SessionId) {
        self.sessions.insert(session, Session::default());
    }

    /// A session is over.
    pub(crate) fn end(&mut self, session: SessionId) {
        self.sessions.remove(&session);
    }

    /// `<enable/>`. The count of errors stays.
    pub(crate) fn enable(&mut self, session: SessionId, id: Id) {
        enable(&mut self.registrations, id, self.max_devices);
        self.sessions.entry(session).or_default().registration = Some(id);
    }

    /// `<disable/>`. Other sessions stay bound to it: a defect.
    pub(crate) fn disable(&mut self, session: SessionId, id: Id) {
        self.registrations.retain(|other| *other != id);
        self.errors.remove(&id);
        if let Some(session) = self.sessions.get_mut(&session)
            && session.registration == Some(id)
        {
            session.registration = None;
        }
    }

    /// A push service answers.
    pub(crate) fn answered(&mut self, id: Id, answered: Answered) {
        let errors = self.errors.get(&id).copied().unwrap_or_default();
        if let Some(errors) = count(errors, answered, self.max_errors) {
            self.errors.insert(id, errors);
            return;
        }
        self.errors.remove(&id);
        self.registrations.retain(|other| *other != id);
        for session in self.sessions.values_mut().filter(|session| session.registration == Some(id)) {
            session.registration = None;
        }
    }

    /// T1 and T2: a message goes to offline storage, or a room's message to the bare account.
    pub(crate) fn offline(&mut self, object: &Object) -> Vec<Pushed> {
        self.publish(self.registrations.clone(), object)
    }

    /// T3: a message is archived.
    pub(crate) fn archived(&mut self, object: &Object) -> Vec<Pushed> {
        if self.sessions.is_empty() {
            return Vec::new();
        }
        let live = |id: &Id| self.sessions.values().any(|session| session.registration == Some(*id));
        let to = self.registrations.iter().copied().filter(|id| is_urgent(&object.stanza) || !live(id)).collect();
        self.publish(to, object)
    }

    /// T4: a session hibernates, with all that is unacknowledged.
    pub(crate) fn hibernate(&mut self, session: SessionId, queue: &[Object], now: Moment) -> Vec<Pushed> {
        self.sessions.entry(session).or_default().hibernated = Some(Window::Stretched(now));
        self.process(session, queue, now)
    }

    /// T5: a stanza is queued for a hibernated session. T6 for each that is unacknowledged. What is collected is a copy,
    /// which knows nothing of pushes for the original, nor the other way round: a defect, for it pushes twice.
    pub(crate) fn collect(&mut self, session: SessionId, object: &Object, now: Moment) {
        self.clones += 1;
        let id = u64::MAX - self.clones;
        let session = self.sessions.entry(session).or_default();
        session.collected.push(Object { id, ..object.clone() });
        session.collected_until.get_or_insert(now + COLLECTED);
    }

    /// A session is resumed. What was collected is not pushed now, but with what is collected next: a defect.
    pub(crate) fn resume(&mut self, session: SessionId) {
        let session = self.sessions.entry(session).or_default();
        (session.collected_until, session.hibernated) = (None, None);
    }

    /// T7: another module asks for a wake.
    pub(crate) fn ping(&self, to: Option<Id>) -> Vec<Pushed> {
        let to = to.map_or_else(|| self.registrations.clone(), |id| vec![id]);
        to.into_iter().map(|to| Pushed { to, important: false }).collect()
    }

    /// Time passes: what was collected for long enough is pushed.
    pub(crate) fn tick(&mut self, now: Moment) -> Vec<Pushed> {
        let due = |session: &Session| session.collected_until.filter(|until| *until <= now);
        let due: Vec<(SessionId, Moment)> =
            self.sessions.iter().filter_map(|(id, session)| Some((*id, due(session)?))).collect();
        let mut pushed = Vec::new();
        for (id, at) in due {
            let session = self.sessions.entry(id).or_default();
            session.collected_until = None;
            let queue = std::mem::take(&mut session.collected);
            pushed.extend(self.process(id, &queue, at));
        }
        pushed
    }

    /// Pushes what the batch rule says, to the registration of this session.
    fn process(&mut self, id: SessionId, queue: &[Object], now: Moment) -> Vec<Pushed> {
        let Some(to) = self.sessions.get(&id).and_then(|session| session.registration) else { return Vec::new() };
        let places = batch(queue, |object| self.marks.contains(&(object, to)));
        let pushed: Vec<Pushed> = places.iter().flat_map(|place| self.publish(vec![to], &queue[*place])).collect();
        let session = self.sessions.entry(id).or_default();
        if pushed.iter().any(|push| push.important)
            && let Some(Window::Stretched(_)) = session.hibernated
        {
            session.hibernated = Some(Window::Normal(now));
        }
        pushed
    }

    /// One publish for each, unless this object was pushed to it already.
    fn publish(&mut self, to: Vec<Id>, object: &Object) -> Vec<Pushed> {
        let important = is_important(&object.stanza);
        let fresh = to.into_iter().filter(|id| self.marks.insert((object.id, *id)));
        fresh.map(|to| Pushed { to, important }).collect()
    }
}

#[cfg(test)]
#[path = "cloud_notify_tests.rs"]
mod tests;
