//! What is known of an app.

use crate::domain::app::Credentials;
use crate::domain::ids::PushId;
use crate::domain::outcome::Reason;
use crate::domain::time::{Moment, Timestamp};
use crate::flows::circuit::Circuit;

/// What is known of an app's way to its vendor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppState {
    /// Pushes that its vendor has not spoken of yet.
    pub under_way: usize,
    /// When its vendor last spoke.
    pub last_verdict: Option<Moment>,
    /// What its credentials are and since when.
    pub credentials: Option<Credentials>,
    /// When they end, if they do.
    pub expires: Option<Timestamp>,
    /// At how many stages before that the operator was told.
    pub expiry_said: usize,
    /// Whether a push was taken under these credentials.
    pub works: bool,
    /// Whether clients must not find it meanwhile.
    pub withdrawn: bool,
    /// Pushes with lower numbers went a former way: what they met says nothing of this one.
    pub since: Option<PushId>,
    /// How many pushes in a row its vendor was in no state to take, and since when.
    pub failing: Option<(u32, Moment)>,
    /// The vendor's latest word that was no acceptance, and when.
    pub last_error: Option<(Timestamp, Reason)>,
    /// Set while its pushes are kept back.
    pub circuit: Option<Circuit>,
}

impl AppState {
    /// One push fewer is under way. Returns how many that takes away: none if there was none.
    pub(super) const fn landed(&mut self) -> usize {
        let before = self.under_way;
        self.under_way = before.saturating_sub(1);
        before - self.under_way
    }
}
