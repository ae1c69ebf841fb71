//! What lives in memory about an account: its sessions, and its pushes on their way.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::policy::Policy;
use crate::domain::class::Class;
use crate::domain::collector::{Burst, Collector};
use crate::domain::keeper::{Due, Hibernation};
use crate::domain::registration::RegistrationKey;
use crate::domain::session::{Report, Sid};
use crate::domain::stanza::Key;
use crate::domain::time::{Moment, Timestamp};

/// How many pushes of one registration may be on their way at a time. What comes beyond them is merged into one that
/// waits.
pub const MOST_FLIGHTS: usize = 8;

/// How many calls a registration remembers to have rung.
const MOST_RUNG: usize = 8;

/// For how long.
const RUNG_FOR: Duration = Duration::from_secs(120);

/// How long a relay may go unanswered. Bridges answer after 60 seconds at the latest.
pub const RELAY_WITHIN: Duration = Duration::from_secs(75);

/// An account that something is going on with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// Its sessions.
    pub sessions: Vec<Session>,
    /// Its registrations, as far as something is known of them.
    pub pushing: Vec<Pushing>,
    /// Sessions that ended by timeout, the newest last.
    pub old: VecDeque<Old>,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// What its host last said of it.
    pub report: Report,
    /// The node of the host it is on.
    pub node: Arc<str>,
    /// Its hibernation, while it hibernates.
    pub hibernation: Option<Hibernation>,
}

/// A session that ended by timeout: for show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Old {
    /// Its resource.
    pub resource: Arc<str>,
    /// When it ended.
    pub at: Timestamp,
    /// How many stanzas of the client its host had handled.
    pub h_in: Option<u32>,
}

/// What is going on with a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushing {
    /// Which.
    pub key: RegistrationKey,
    /// The session it is bound to.
    pub bound: Option<Sid>,
    /// What is collected for its next push.
    pub collector: Collector,
    /// Pushes on their way.
    pub flights: Vec<Flight>,
    /// What waits until one more may go.
    pub waiting: Option<Burst>,
    /// Calls that rang, the newest last.
    pub rung: VecDeque<Rung>,
}

/// A push on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flight {
    /// Names it.
    pub id: u64,
    /// When it left.
    pub sent: Moment,
    /// Whether its host carries it; else it goes to a device of our own.
    pub relayed: bool,
    /// What it says, and for whom it speaks.
    pub burst: Burst,
}

/// A call that was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rung {
    /// Who called, by bare JID.
    pub from: Box<str>,
    /// The id of the proposal.
    pub id: Box<str>,
    /// When it was pushed.
    pub at: Moment,
}

impl Live {
    /// The session of that name.
    #[must_use]
    pub fn session(&self, sid: &Sid) -> Option<&Session> {
        self.sessions.iter().find(|session| session.report.sid == *sid)
    }

    /// The same, to be changed.
    pub fn session_mut(&mut self, sid: &Sid) -> Option<&mut Session> {
        self.sessions.iter_mut().find(|session| session.report.sid == *sid)
    }

    /// What is going on with a registration.
    #[must_use]
    pub fn pushing(&self, key: &RegistrationKey) -> Option<&Pushing> {
        self.pushing.iter().find(|pushing| pushing.key == *key)
    }

    /// The same, to be changed; made if nothing was known.
    pub fn pushing_mut(&mut self, key: &RegistrationKey) -> &mut Pushing {
        let at = self.pushing.iter().position(|pushing| pushing.key == *key).unwrap_or_else(|| {
            self.pushing.push(Pushing::new(key.clone()));
            self.pushing.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "it is where it was found, or was just put")]
        &mut self.pushing[at]
    }

    /// The session that is there, connected or hibernated, and that the registration is bound to.
    #[must_use]
    pub fn session_of(&self, key: &RegistrationKey) -> Option<&Session> {
        self.session(self.pushing(key)?.bound.as_ref()?)
    }

    /// Whether there is one.
    #[must_use]
    pub fn has_session(&self, key: &RegistrationKey) -> bool {
        self.session_of(key).is_some()
    }

    /// When something is to be done.
    #[must_use]
    pub fn next(&self, policy: &Policy) -> Option<Moment> {
        let window = policy.rules.burst_window;
        let bursts = self.pushing.iter().filter_map(|pushing| pushing.collector.due(window));
        let flights = self.pushing.iter().flat_map(|pushing| &pushing.flights);
        let relays = flights.filter(|flight| flight.relayed).map(|flight| flight.sent + RELAY_WITHIN);
        let ends = self.sessions.iter().filter_map(|session| Some(session.due(policy)?.0));
        let rung = self.pushing.iter().filter_map(|pushing| Some(pushing.rung.front()?.at + RUNG_FOR));
        bursts.chain(relays).chain(ends).chain(rung).min()
    }

    /// Whether nothing of it is worth keeping.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty() && self.old.is_empty() && self.pushing.iter().all(Pushing::is_idle)
    }
}

impl Session {
    /// What time will bring to it.
    #[must_use]
    pub fn due(&self, policy: &Policy) -> Option<(Moment, Due)> {
        self.hibernation.as_ref()?.next(&policy.sessions.windows)
    }
}

impl Pushing {
    const fn new(key: RegistrationKey) -> Self {
        Self {
            key,
            bound: None,
            collector: Collector::new(),
            flights: Vec::new(),
            waiting: None,
            rung: VecDeque::new(),
        }
    }

    /// Whether a push for that stanza is on its way, or waits to be. If it is urgent and stands in the queue of a
    /// session, the push speaks for that session, too.
    pub fn covers(&mut self, key: Key, urgent_in: Option<&Sid>) -> bool {
        let flights = self.flights.iter_mut().map(|flight| &mut flight.burst);
        let mut bursts = flights.chain(&mut self.waiting);
        let Some(burst) = bursts.find(|burst| burst.keys.contains(&key)) else { return false };
        if let Some(sid) = urgent_in.filter(|sid| !burst.sids.contains(sid)) {
            burst.sids.push(sid.clone());
        }
        true
    }

    /// Whether a push for that stanza is collected, waits, or is on its way.
    #[must_use]
    pub fn owes(&self, key: Key) -> bool {
        let mut bursts = self.flights.iter().map(|flight| &flight.burst).chain(&self.waiting);
        self.collector.contains(key) || bursts.any(|burst| burst.keys.contains(&key))
    }

    /// What stood in the queue of that session does so no more, or its client is there to fetch it: no push speaks for
    /// that session.
    pub fn left_queue(&mut self, sid: &Sid) {
        let bursts = self.flights.iter_mut().map(|flight| &mut flight.burst).chain(&mut self.waiting);
        bursts.for_each(|burst| burst.sids.retain(|known| known != sid));
    }

    /// Adds to what waits.
    pub fn wait(&mut self, burst: Burst) {
        match &mut self.waiting {
            Some(waiting) => waiting.merge(burst),
            None => self.waiting = Some(burst),
        }
    }

    /// Remembers a call that is pushed.
    pub fn ring(&mut self, rung: Rung) {
        if self.rung.len() >= MOST_RUNG {
            self.rung.pop_front();
        }
        self.rung.push_back(rung);
    }

    /// Forgets the calls of long ago.
    pub fn forget_calls(&mut self, now: Moment) {
        self.rung.retain(|rung| rung.at + RUNG_FOR > now);
    }

    /// Forgets a call; says whether it was remembered. `from` is who called, if that must fit.
    pub fn hang_up(&mut self, from: Option<&str>, id: &str) -> Option<Rung> {
        let fits = |rung: &Rung| &*rung.id == id && from.is_none_or(|from| from == &*rung.from);
        let at = self.rung.iter().position(fits)?;
        self.rung.remove(at)
    }

    /// Takes back a call that waits to be pushed; says whether there was one.
    pub fn take_back(&mut self, call: Key) -> bool {
        let waits = self.waiting.as_ref().is_some_and(|waiting| waiting.keys.contains(&call));
        if let Some(waiting) = self.waiting.as_mut().filter(|_| waits) {
            waiting.keys.retain(|key| *key != call);
            // What was merged with it goes on, but does not ring.
            if waiting.class == Class::Call {
                waiting.class = Class::Important;
                waiting.words.unsay();
            }
            if waiting.keys.is_empty() {
                self.waiting = None;
            }
        }
        waits
    }

    fn is_idle(&self) -> bool {
        let quiet = self.bound.is_none() && self.flights.is_empty() && self.waiting.is_none() && self.rung.is_empty();
        quiet && self.collector.is_empty()
    }
}
