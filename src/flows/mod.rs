//! One file per path through pushkeeper. Synchronous and pure: state, one input, the time and chance in; changes and
//! effects out ([`step`]).
//!
//! | file | path |
//! |---|---|
//! | [`publish`] | a server asks for a push |
//! | [`feedback`] | a vendor spoke of one |
//! | [`register`] | an app registers a device, or takes it back |
//! | [`due`] | time passed |
//! | [`state`], [`lane`], [`memory`], [`policy`] | what they read, and how it changes |
//! | [`data`] | what they take and return |

#[cfg(test)]
pub(crate) mod cloud_notify;
pub mod data;
pub mod dice;
pub mod due;
pub mod feedback;
pub mod lane;
pub mod memory;
pub mod policy;
pub mod publish;
pub mod register;
pub mod signals;
pub mod state;
#[cfg(test)]
pub(crate) mod world;

use crate::domain::time::Now;
use data::{Input, Step};
use dice::Dice;
use state::State;

/// One input, one step. Decides only: the driver makes the changes durable, applies them, and then lets the effects
/// happen.
#[must_use]
pub fn step(state: &State, input: Input, now: Now, dice: &mut Dice) -> Step {
    match input {
        Input::Publish { ticket, publish } => publish::publish(state, ticket, publish, now),
        Input::Register { ticket, registration } => register::register(state, ticket, registration, now, dice),
        Input::Unregister { ticket, unregistration } => register::unregister(state, ticket, unregistration, now),
        Input::Verdict(verdict) => feedback::feedback(state, verdict, now),
        Input::Link(_) | Input::Signals { .. } | Input::Reply { .. } | Input::Inner(_) => Step::default(),
        Input::Tick => due::due(state, now),
    }
}
