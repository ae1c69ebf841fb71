//! Lanes: per device one push is under way and one waits; calls have a lane of their own.

use std::sync::Arc;
use std::time::Duration;

use super::data::Waiter;
use super::state::Turn;
use crate::domain::class::Class;
use crate::domain::ids::{Domain, PushId};
use crate::domain::push::Content;
use crate::domain::time::{Moment, Now, Timestamp};

/// Which of a device's lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LaneKind {
    /// Calls: they wait for nothing.
    Calls,
    /// Everything but calls.
    Messages,
}

impl LaneKind {
    /// The lane for a class.
    #[must_use]
    pub const fn of(class: Class) -> Self {
        match class {
            Class::Call => Self::Calls,
            Class::Clear | Class::Ended | Class::Unimportant | Class::Important => Self::Messages,
        }
    }
}

/// What is to be delivered to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// The highest class of what was merged into it.
    pub class: Class,
    /// The content that came with that class, the latest among equals.
    pub content: Arc<Content>,
    /// When a server last asked for it.
    pub published: Timestamp,
    /// Whose server that was.
    pub from: Domain,
    /// When it is of no use any more, for a process that comes after this one.
    pub expires: Timestamp,
    /// The same for this one, whatever is done to the wall clock; `None` if it was promised by one before it.
    pub until: Option<Moment>,
}

impl Load {
    /// Merges a later one into this one. Says whether that changed what will be delivered.
    pub fn merge(&mut self, later: &Self) -> bool {
        self.published = later.published;
        self.expires = self.expires.max(later.expires);
        self.until = self.until.max(later.until);
        let wins = later.class >= self.class;
        if wins {
            self.class = later.class;
            self.content = later.content.clone();
            self.from = later.from.clone();
        }
        wins
    }

    /// For how long it is still of use.
    #[must_use]
    pub fn left(&self, now: Now) -> Duration {
        self.until.map_or_else(|| self.expires - now.wall, |until| until - now.steady)
    }
}

/// What became of it so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its vendor has it.
    UnderWay {
        /// The push.
        push: PushId,
        /// Which token it went to.
        generation: u32,
        /// When it left.
        since: Moment,
    },
    /// It goes as soon as its app has a free slot, and its vendor takes pushes.
    Ready,
    /// It goes then: its vendor is given time, or its device.
    Resting(Moment),
}

/// What is to be delivered in a lane, and those who wait to hear of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// What.
    pub load: Load,
    /// How far it is.
    pub phase: Phase,
    /// How often it was tried in vain.
    pub attempts: u32,
    /// While it is under way: what those that joined it would have it say, should it go again.
    pub latest: Option<Load>,
    /// Who waits for what becomes of it. Empty once all were answered.
    pub waiters: Vec<Waiter>,
    /// Whether it is in the outbox.
    pub owed: bool,
    /// The call that is under way is over: it does not go again.
    pub hung_up: bool,
    /// While it is ready: when its turn is. The state's affair.
    pub turn: Option<Turn>,
    /// While it is under way: what goes next.
    pub next: Option<Box<Next>>,
}

/// What waits for the push under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// What.
    pub load: Load,
    /// Who waits for what becomes of it.
    pub waiters: Vec<Waiter>,
    /// Whether it is in the outbox.
    pub owed: bool,
}

impl Lane {
    /// One that is new.
    #[must_use]
    pub const fn new(load: Load, phase: Phase, waiters: Vec<Waiter>) -> Self {
        Self { load, phase, attempts: 0, latest: None, waiters, owed: false, hung_up: false, turn: None, next: None }
    }

    /// The push that its vendor has, and the generation of the token that it went to.
    #[must_use]
    pub const fn under_way(&self) -> Option<(PushId, u32)> {
        match self.phase {
            Phase::UnderWay { push, generation, .. } => Some((push, generation)),
            Phase::Ready | Phase::Resting(_) => None,
        }
    }

    /// When what its vendor has left.
    #[must_use]
    pub const fn sent(&self) -> Option<Moment> {
        match self.phase {
            Phase::UnderWay { since, .. } => Some(since),
            Phase::Ready | Phase::Resting(_) => None,
        }
    }

    /// What the outbox holds for it, if it holds anything: what waits, for that is of a higher class; else what is under
    /// way.
    #[must_use]
    pub fn promised(&self) -> Option<&Load> {
        match &self.next {
            Some(next) if next.owed => Some(&next.load),
            _ => self.owed.then_some(&self.load),
        }
    }

    /// All that is to be delivered, should what is under way not be: merged into one.
    #[must_use]
    pub fn whole(&self) -> Load {
        let mut load = self.load.clone();
        for later in self.latest.iter().chain(self.next.iter().map(|next| &next.load)) {
            load.merge(later);
        }
        load
    }

    /// Whether anybody was heard at or before `taken` and still waits.
    #[must_use]
    pub fn is_any_late(&self, taken: Moment) -> bool {
        self.late(taken).chain(self.late_for_next(taken)).next().is_some()
    }

    /// Those who were heard at or before `taken` and still wait for the push under way.
    pub fn late(&self, taken: Moment) -> impl Iterator<Item = &Waiter> {
        self.waiters.iter().filter(move |waiter| waiter.is_late(taken))
    }

    /// The same for the next one.
    pub fn late_for_next(&self, taken: Moment) -> impl Iterator<Item = &Waiter> {
        let waiters = self.next.iter().flat_map(|next| &next.waiters);
        waiters.filter(move |waiter| waiter.is_late(taken))
    }

    /// Lets those go.
    pub fn expire(&mut self, taken: Moment) {
        self.waiters.retain(|waiter| !waiter.is_late(taken));
        if let Some(next) = &mut self.next {
            next.waiters.retain(|waiter| !waiter.is_late(taken));
        }
    }

    /// How many iqs wait in it. Our own rules wait, too, but for as long as it takes.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let next = self.next.iter().flat_map(|next| &next.waiters);
        self.waiters.iter().chain(next).filter(|waiter| matches!(waiter, Waiter::Iq(_))).count()
    }
}
