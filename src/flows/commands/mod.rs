//! What operators and account owners ask by ad-hoc commands (XEP-0050): what is there, why a phone was or was not woken,
//! and changes.
//!
//! | file | what |
//! |---|---|
//! | [`data`] | what is asked and shown |
//! | [`sessions`] | commands under way |
//! | `turn` | one request: who may, which stage, forth and back |
//! | `lists` | registrations, devices, sessions, page by page |
//! | `accounts` | all of one account, and why |
//! | `changes` | removing, and enabling again |
//! | `trials` | test pushes |
//! | `standing` | how all of it stands; reading the configuration again |
//! | `tables` | how a registration, a device, a session look in a row |

mod accounts;
mod changes;
pub mod data;
#[cfg(test)]
mod ending_tests;
mod lists;
#[cfg(test)]
mod reason_rig;
#[cfg(test)]
mod reason_tests;
pub mod sessions;
mod standing;
mod tables;
#[cfg(test)]
mod tests;
pub(super) mod trials;
mod turn;

use super::data::{Answer, Reloaded, Step, Ticket};
use super::dice::Dice;
use super::memory::Memory;
use super::state::State;
use crate::domain::ids::Account;
use crate::domain::refusal::{Later, Refusal};
use crate::domain::time::Now;
use data::Asked;
pub use standing::Waits;
pub use trials::Trial;

/// Somebody asks.
#[must_use]
pub fn command(state: &State, ticket: Ticket, asker: &Account, asked: Asked, now: Now, dice: &mut Dice) -> Step {
    turn::take(state, ticket, asker, asked, now, dice)
}

/// Time passed: commands that nobody goes on with are over, and test pushes that take too long are reported as they
/// stand.
pub(super) fn due(state: &State, now: Now, step: &mut Step) {
    for number in state.commands.tired(now.steady) {
        step.remember(Memory::CommandOver(number));
    }
    trials::due(state, now, step);
}

/// Nothing is read again any more: whoever waits for that is told to come again.
#[must_use]
pub fn stopping(state: &State) -> Step {
    let mut step = Step::default();
    for waits in &state.reloading {
        step.answer(waits.ticket.clone(), Answer::Refused(Refusal::TryLater(Later::Full)));
    }
    step.remember(Memory::ReloadTold(u64::MAX));
    step
}

/// It is the end: whoever waits for what becomes of a test push hears what is known.
#[must_use]
pub fn stopped(state: &State, now: Now) -> Step {
    let mut step = Step::default();
    trials::stopped(state, now, &mut step);
    step
}

/// The configuration was read again: whoever asked for it before that hears what came of it.
pub(super) fn reloaded(state: &State, reloaded: &Reloaded, step: &mut Step) {
    for waits in state.reloading.iter().filter(|waits| waits.number <= reloaded.wishes) {
        let shown = standing::reloaded(waits, reloaded);
        step.answer(waits.ticket.clone(), Answer::Command(Box::new(shown)));
    }
    step.remember(Memory::ReloadTold(reloaded.wishes));
}
