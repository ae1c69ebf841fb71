//! What needs no program but ours: one binary, linked once.

#![cfg(test)]

mod gateway_apns;
mod gateway_fcm;
mod gateway_pool;
mod gateway_rig;
mod hostile;
mod layers;
mod link_life;
mod link_load;
mod store;

#[path = "../support/mod.rs"]
mod support;
