//! What needs nothing but this machine.

mod hostile;
mod link_life;
mod link_load;

#[path = "../support/mod.rs"]
mod support;
