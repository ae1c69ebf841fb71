//! What needs nothing but this machine.

#![cfg(test)]

mod hostile;
mod link_life;
mod link_load;

#[path = "../support/mod.rs"]
mod support;
