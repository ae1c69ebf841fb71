//! One file per path through pushkeeper. Synchronous and pure: state, one input, the time and chance in; changes and
//! effects out ([`step`]), and what that leads to within.
//!
//! | file | path |
//! |---|---|
//! | [`publish`] | a server, or our own rules, ask for a push |
//! | [`feedback`] | a vendor spoke of one |
//! | `offer` | which apps clients find |
//! | [`register`] | an app registers a device, or takes it back |
//! | [`linking`] | a host's bridge is told whom to watch, asked for all there is, and checked |
//! | [`batch`] | a bridge told something: taken once, in order |
//! | [`rules`] | what is made of it: whether, whom and how to push; how long sessions are kept |
//! | [`due`] | time passed |
//! | [`state`] with [`lane`], [`registrations`], [`live`], [`lives`], [`hosts`]; [`memory`], [`policy`] | what they read, and how it changes |
//! | [`data`], [`signals`], [`notice`] | what they take and return |
//! | [`commands`] | what operators and account owners ask by commands |
//! | [`status`], [`reload`] | how all of it stands; the configuration was read again |
//! | [`decision`], [`history`], [`saying`] | what was decided and why, the last of it, and how it is told |

pub mod batch;
pub mod circuit;
#[cfg(test)]
pub(crate) mod cloud_notify;
pub mod commands;
pub mod data;
pub mod decision;
#[cfg(test)]
mod dialect_tests;
pub mod dice;
pub mod due;
mod expiry;
pub mod feedback;
pub mod guests;
pub mod history;
pub mod hosts;
pub mod lane;
pub mod linking;
pub mod live;
pub mod lives;
pub mod memory;
pub mod notice;
mod offer;
#[cfg(test)]
mod outbox_acts;
#[cfg(test)]
mod outbox_case_tests;
#[cfg(test)]
mod outbox_model;
#[cfg(test)]
mod outbox_tests;
pub mod owing;
pub mod policy;
pub mod publish;
pub mod register;
pub mod registrations;
pub mod reload;
pub mod rules;
pub mod saying;
pub mod signals;
#[cfg(test)]
mod simulation_tests;
pub mod state;
pub mod status;
#[cfg(test)]
mod webpush_tests;
#[cfg(test)]
pub(crate) mod world;

use crate::domain::time::Now;
use data::{Answer, Inner, Input, Step, Waiter};
use dice::Dice;
use state::State;

/// One input, one step. Decides only: the driver makes the changes durable, applies them, and then lets the effects
/// happen.
#[must_use]
pub fn step(state: &State, input: Input, now: Now, dice: &mut Dice) -> Step {
    step_into(Step::default(), state, input, now, dice)
}

/// As [`step`], with the memory of a step that was carried out: what comes most often takes none of its own.
#[must_use]
pub fn step_into(spare: Step, state: &State, input: Input, now: Now, dice: &mut Dice) -> Step {
    match input {
        Input::Publish { ticket, publish } => publish::publish(state, Waiter::Iq(ticket), publish, now, spare),
        Input::Register { ticket, registration } => register::register(state, ticket, registration, now, dice),
        Input::Unregister { ticket, unregistration } => register::unregister(state, ticket, unregistration, now),
        Input::Verdict(verdict) => feedback::feedback(state, verdict, now, dice, spare),
        Input::Link(up) => linking::link(state, up, now, dice),
        Input::Signals { ticket, host, batch } => batch::batch(state, ticket, &host, batch, now, dice),
        Input::Wish { ticket, account, resource, wish } => {
            rules::wish(state, ticket, &account, resource, wish, now, dice)
        }
        Input::Reply { host, order, reply } => linking::reply(state, &host, order, reply, now, dice),
        Input::Inner(inner) => match inner {
            Inner::Push { registration, flight, publish } => {
                publish::publish(state, Waiter::Rules { registration, flight }, *publish, now, spare)
            }
            Inner::Trial { number, publish } => publish::publish(state, Waiter::Trial(number), *publish, now, spare),
            Inner::Tried { number, said } => commands::trials::tried(state, number, &said, now),
            Inner::Drain(app) => owing::drain(state, &app, now),
            Inner::HostDue(host) => linking::due(state, &host, now, dice),
            Inner::Credentials => reload::note_credentials(state, now),
            Inner::Relink(host) => linking::relink(state, &host, now, dice),
            Inner::Reloaded => linking::reloaded(state, now, dice),
            Inner::Synced { host, node } => batch::synced(state, &host, &node),
            Inner::MissedAll(host) => batch::missed_all(state, &host),
            inner => rules::inner(state, inner, now, dice),
        },
        Input::Command { ticket, asker, asked } => commands::command(state, ticket, &asker, *asked, now, dice),
        Input::Status { ticket } => {
            let mut step = Step::default();
            step.answer(ticket, Answer::Status(Box::new(state.status(now))));
            step
        }
        Input::Reloaded(reloaded) => reload::reloaded(state, *reloaded, now),
        Input::Tick => due::due(state, now),
        Input::Stop => owing::stop(state),
    }
}
