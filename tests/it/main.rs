//! Integration tests: pushkeeper's parts against stand-ins on loopback.

#[cfg(test)]
mod gateway_apns;
#[cfg(test)]
mod gateway_fcm;
#[cfg(test)]
mod gateway_pool;
#[cfg(test)]
mod gateway_rig;
#[cfg(test)]
#[path = "../support/mod.rs"]
mod support;
