//! The configuration was read again.

use super::commands;
use super::data::{Reloaded, Step};
use super::memory::Memory;
use super::state::State;
use crate::domain::time::Now;

/// Takes the operator's new settings.
#[must_use]
pub fn reloaded(state: &State, reloaded: Reloaded, _now: Now) -> Step {
    let mut step = Step::default();
    commands::reloaded(state, &reloaded, &mut step);
    if let Some(policy) = reloaded.policy {
        step.remember(Memory::Policy(policy));
    }
    step
}
