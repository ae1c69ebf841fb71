//! Nouns and rules. No IO, no async, no clock, no XML, no HTTP: time and chance are arguments.
//!
//! | about | nouns | rules |
//! |---|---|---|
//! | push service | [`app`], [`device`], [`subscription`], [`publish`], [`push`], [`look`], [`outcome`] | [`verdict`], [`rate`], [`pattern`] |
//! | rules engine | [`registration`], [`extensions`], [`stanza`] | [`importance`], [`filter`], [`collector`], [`redact`], [`seal`] |
//! | session keeper | [`session`] | [`keeper`] |
//! | all | [`class`], [`ids`], [`secret`], [`text`], [`time`], [`refusal`] | |

pub mod app;
pub mod class;
pub mod collector;
pub mod device;
pub mod extensions;
pub mod filter;
pub mod ids;
pub mod importance;
pub mod keeper;
pub mod look;
pub mod outcome;
pub mod pattern;
pub mod publish;
pub mod push;
pub mod rate;
pub mod redact;
pub mod refusal;
pub mod registration;
pub mod seal;
pub mod secret;
pub mod session;
pub mod stanza;
pub mod subscription;
pub mod text;
pub mod time;
pub mod verdict;
