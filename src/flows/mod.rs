//! One file per path through pushkeeper. Synchronous and pure: state, one input and the time in; changes and
//! effects out.

pub mod data;
pub mod state;
