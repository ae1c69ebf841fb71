//! Lanes: per device one push is under way and one waits; calls have a lane of their own.

use super::data::Waiter;
use crate::domain::class::Class;
use crate::domain::ids::PushId;
use crate::domain::push::Content;
use crate::domain::time::{Moment, Timestamp};

/// Which of a device's lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LaneKind {
    /// Everything but calls.
    Messages,
    /// Calls: they wait for nothing.
    Calls,
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

/// A push that a vendor has, and those who wait for its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// The push.
    pub push: PushId,
    /// What it is about.
    pub class: Class,
    /// Which token it went to.
    pub generation: u32,
    /// When a server asked for it.
    pub published: Timestamp,
    /// Who waits for its verdict. Empty once all were answered for lateness.
    pub waiters: Vec<Waiter>,
    /// What goes next.
    pub next: Option<Next>,
}

/// A push that waits for the one under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// The highest class of what was merged into it.
    pub class: Class,
    /// The content that came with that class, the latest among equals.
    pub content: Content,
    /// When a server last asked for it.
    pub published: Timestamp,
    /// Who waits for its verdict.
    pub waiters: Vec<Waiter>,
}

impl Next {
    /// Merges a later publish into this one.
    pub fn merge(&mut self, class: Class, content: &Content, published: Timestamp, waiter: Waiter) {
        if class >= self.class {
            self.class = class;
            self.content = content.clone();
        }
        self.published = published;
        self.waiters.push(waiter);
    }
}

impl Lane {
    /// Those who were heard at or before `taken` and still wait, for the push under way or for the next one.
    pub fn late(&self, taken: Moment) -> impl Iterator<Item = &Waiter> {
        let next = self.next.iter().flat_map(|next| &next.waiters);
        self.waiters.iter().chain(next).filter(move |waiter| waiter.is_late(taken))
    }

    /// Lets those go.
    pub fn expire(&mut self, taken: Moment) {
        self.waiters.retain(|waiter| !waiter.is_late(taken));
        if let Some(next) = &mut self.next {
            next.waiters.retain(|waiter| !waiter.is_late(taken));
        }
    }

    /// How many wait in it.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiters.len() + self.next.as_ref().map_or(0, |next| next.waiters.len())
    }
}
