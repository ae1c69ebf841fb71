//! Orders to bridges, as iqs.

use bytes::BytesMut;

use crate::domain::ids::Domain;
use crate::flows::signals::Order;

/// Writes an order.
pub fn write(out: &mut BytesMut, own: &Domain, order: &Order) {
    let _ = (out, own, order);
}
