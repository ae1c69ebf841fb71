//! What a vendor's outcome means for a device and for those who wait.

use std::time::Duration;

use super::device::{Device, GoneReason};
use super::outcome::Outcome;
use super::refusal::Later;
use super::time::Timestamp;

/// A device that never worked and is refused this often, over at least [`SUSPECT_SPAN`], is gone.
pub const SUSPECT_LIMIT: u32 = 3;

/// See [`SUSPECT_LIMIT`].
pub const SUSPECT_SPAN: Duration = Duration::from_secs(24 * 3600);

/// What to do about an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Delivered.
    Done,
    /// Not to be delivered.
    Skip,
    /// The device is dead.
    Forget(GoneReason),
    /// "Gone", but since before the app last registered: not believed the first time.
    Doubt,
    /// The token does not fit, which may be the operator's fault.
    Suspect,
    /// Not delivered; nothing is known against the device.
    Later(Later),
}

/// The rule. `credentials_work` says whether the device, or any other of its app, has had a push taken since the
/// app's credentials last changed.
#[must_use]
pub fn react(outcome: &Outcome, device: &Device, credentials_work: bool, now: Timestamp) -> Reaction {
    match outcome {
        Outcome::Accepted => Reaction::Done,
        Outcome::Withheld => Reaction::Skip,
        Outcome::Unfit(_) => Reaction::Forget(GoneReason::Errors),
        // The token died before this registration was made: the app has renewed it since, or the clocks differ.
        // A repetition is believed.
        Outcome::Gone { since: Some(since) } if *since < device.renewed && !device.history.doubted => Reaction::Doubt,
        Outcome::Gone { .. } => Reaction::Forget(GoneReason::VendorGone),
        // The credentials work, so it is the token that does not.
        Outcome::Suspect(_) if credentials_work => Reaction::Forget(GoneReason::VendorGone),
        Outcome::Suspect(_) if worn_out(device, now) => Reaction::Forget(GoneReason::Errors),
        Outcome::Suspect(_) => Reaction::Suspect,
        Outcome::Throttled { .. } | Outcome::Unavailable { .. } => Reaction::Later(Later::Vendor),
        Outcome::OperatorFault(_) => Reaction::Later(Later::Operator),
    }
}

/// Whether this refusal is the one too many for a device that never worked.
fn worn_out(device: &Device, now: Timestamp) -> bool {
    let history = &device.history;
    let since = history.errors_since.unwrap_or(now);
    history.suspected.saturating_add(1) >= SUSPECT_LIMIT && now - since >= SUSPECT_SPAN
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::device::History;
    use crate::domain::device::tests::device;

    const fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn reactions() {
        let fresh = device();
        let with = |history| Device { history, ..device() };
        let doubted = with(History { doubted: true, ..History::default() });
        let worked = with(History { last_accepted: Some(at(1500)), ..History::default() });
        let twice = |since| with(History { suspected: 2, errors_since: Some(at(since)), ..History::default() });
        let (day_old, young) = (twice(2000 - 24 * 3600), twice(1999 - 23 * 3600));

        let gone = |secs| Outcome::Gone { since: Some(at(secs)) };
        let suspect = || Outcome::Suspect("BadDeviceToken".into());
        let dead = Reaction::Forget(GoneReason::VendorGone);
        let rows = [
            ("accepted", Outcome::Accepted, &fresh, false, Reaction::Done),
            ("gone, no time", Outcome::Gone { since: None }, &fresh, false, dead),
            ("gone after the registration", gone(1001), &fresh, false, dead),
            ("gone at the registration", gone(1000), &fresh, false, dead),
            ("gone before the registration", gone(999), &fresh, false, Reaction::Doubt),
            ("gone before it, the second time", gone(999), &doubted, false, dead),
            ("suspect, nothing ever worked", suspect(), &fresh, false, Reaction::Suspect),
            ("suspect, the credentials work", suspect(), &fresh, true, dead),
            ("suspect three times in a day", suspect(), &young, false, Reaction::Suspect),
            ("suspect three times over a day", suspect(), &day_old, false, Reaction::Forget(GoneReason::Errors)),
            (
                "throttled",
                Outcome::Throttled { retry_after: None, reason: "429".into() },
                &fresh,
                true,
                Reaction::Later(Later::Vendor),
            ),
            (
                "down",
                Outcome::Unavailable { retry_after: None, reason: "503".into() },
                &worked,
                true,
                Reaction::Later(Later::Vendor),
            ),
            (
                "a bad key",
                Outcome::OperatorFault("InvalidProviderToken".into()),
                &worked,
                true,
                Reaction::Later(Later::Operator),
            ),
        ];
        for (what, outcome, device, works, expected) in rows {
            assert_eq!(react(&outcome, device, works, at(2000)), expected, "{what}");
        }
    }
}
