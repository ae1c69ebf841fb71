//! Whether a vendor takes an app's credentials, found out without waking a phone.

use super::retry_after;
use crate::domain::outcome::Outcome;
use crate::domain::time::Timestamp;

/// What was found out about an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probed {
    /// What Apple says of a push to a device that cannot exist.
    Apns(Probe),
    /// What Google says of a message to a device that cannot exist, which it only checks.
    Fcm {
        /// Whether it came so far: the service account was given an access token.
        signed_in: bool,
        /// What was answered, by the token endpoint or by FCM.
        probe: Probe,
    },
    /// Which of the push services can be found. None is asked anything: each push is signed for a subscription.
    WebPush(Vec<HostSeen>),
    /// Nobody was asked.
    Stub,
}

/// A vendor's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// As the app's own table reads it.
    pub outcome: Outcome,
    /// What time the vendor says it is, if it does.
    pub dated: Option<Dated>,
}

/// What two clocks said at about the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dated {
    /// The vendor's (RFC 9110 §6.6.1), in whole seconds.
    pub theirs: Timestamp,
    /// Ours, when its answer was there.
    pub ours: Timestamp,
}

impl Dated {
    /// From an answer's `Date` header; `None` if there is none that can be read.
    #[must_use]
    pub fn of(date: Option<&str>, ours: Timestamp) -> Option<Self> {
        let theirs = retry_after::date(date?)?;
        Some(Self { theirs, ours })
    }

    /// By how many seconds our clock is ahead; negative if it is behind.
    #[must_use]
    pub const fn ahead(self) -> i64 {
        self.ours.millis().saturating_sub(self.theirs.millis()) / 1000
    }
}

/// A push service that may be posted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSeen {
    /// Its name.
    pub host: String,
    /// Why it cannot be connected to, if it cannot.
    pub trouble: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clocks_are_compared_in_seconds() {
        let ours = Timestamp::from_millis(784_111_777_900);
        let rows = [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("Sun, 06 Nov 1994 07:49:37 GMT", Some(3600)),
            ("Sun, 06 Nov 1994 08:59:37 GMT", Some(-599)),
            ("yesterday", None),
        ];
        for (text, ahead) in rows {
            assert_eq!(Dated::of(Some(text), ours).map(Dated::ahead), ahead, "{text}");
        }
        assert_eq!(Dated::of(None, ours), None);
    }
}
