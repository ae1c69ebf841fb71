//! For the fuzz targets: what any vendor answers.

use super::{apns, fcm, webpush};
use crate::domain::outcome::Outcome;
use crate::domain::time::Timestamp;

/// What the answer of a vendor means.
pub(crate) fn outcome(vendor: u8, status: u16, retry_after: Option<&str>, body: &[u8], now: Timestamp) -> Outcome {
    match vendor % 3 {
        0 => apns::reply::outcome(status, retry_after, body, now),
        1 => fcm::reply::outcome(status, retry_after, body, now),
        _ => webpush::reply::outcome(status, retry_after, body, now),
    }
}
