//! FCM: what Google gets, and what is made of its answers.
use crate::gateway_rig::{Rig, limits};
fn _x(v: &crate::support::vendor::Vendor) {
    let _ = Rig::fcm(v, limits());
}
