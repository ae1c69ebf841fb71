//! Nouns and rules. No IO, no async, no clock, no XML, no HTTP: time and chance are arguments.

pub mod app;
pub mod class;
pub mod device;
pub mod ids;
pub mod outcome;
pub mod publish;
pub mod push;
pub mod rate;
pub mod refusal;
pub mod secret;
pub mod time;
pub mod verdict;
