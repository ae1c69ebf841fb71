//! What APNs answers (Apple: "Handling notification responses from APNs").

use serde::Deserialize;

use crate::domain::outcome::Outcome;
use crate::domain::time::Timestamp;
use crate::gateway::about::About;
use crate::gateway::{retry_after, words};

/// Every documented reason.
const REASONS: [(&str, About); 37] = [
    ("BadCertificate", About::Operator),
    ("BadCertificateEnvironment", About::Operator),
    ("BadCollapseId", About::Operator),
    ("BadDeviceToken", About::Suspect),
    ("BadEnvironmentKeyIdInToken", About::Operator),
    ("BadEnvironmentKeyInToken", About::Operator),
    ("BadExpirationDate", About::Operator),
    ("BadMessageId", About::Operator),
    ("BadPath", About::Operator),
    ("BadPriority", About::Operator),
    ("BadTopic", About::Operator),
    ("DeviceTokenNotForTopic", About::Suspect),
    ("DuplicateHeaders", About::Operator),
    ("ExpiredProviderToken", About::Operator),
    ("ExpiredToken", About::Gone),
    ("FeatureNotEnabled", About::Operator),
    ("Forbidden", About::Operator),
    ("IdleTimeout", About::Unavailable),
    ("InternalServerError", About::Unavailable),
    ("InvalidProviderToken", About::Operator),
    ("InvalidPushType", About::Operator),
    ("MethodNotAllowed", About::Operator),
    ("MissingDeviceToken", About::Suspect),
    ("MissingProviderToken", About::Operator),
    ("MissingPushType", About::Operator),
    ("MissingTopic", About::Operator),
    ("PayloadEmpty", About::Operator),
    ("PayloadTooLarge", About::Operator),
    ("ServiceUnavailable", About::Unavailable),
    ("Shutdown", About::Unavailable),
    ("TooManyProviderTokenUpdates", About::Throttled),
    ("TooManyRequests", About::Throttled),
    ("TopicDisallowed", About::Operator),
    ("TopicMismatch", About::Operator),
    ("Unregistered", About::Gone),
    ("UnrelatedKeyIdInToken", About::Operator),
    ("UnsupportedMediaType", About::Operator),
];

#[derive(Default, Deserialize)]
struct Body {
    reason: Option<String>,
    /// Since when the token is dead, in milliseconds since 1970.
    timestamp: Option<i64>,
}

/// The outcome of an answer. A body that is no JSON is a body without a reason.
#[must_use]
pub fn outcome(status: u16, retry_after: Option<&str>, body: &[u8], now: Timestamp) -> Outcome {
    if status == 200 {
        return Outcome::Accepted;
    }
    let body: Body = serde_json::from_slice(body).unwrap_or_default();
    let known = body.reason.as_deref().and_then(|word| REASONS.iter().find(|(known, _)| *known == word));
    let reason = match (known, &body.reason) {
        (Some((word, _)), _) => (*word).into(),
        (None, Some(word)) => words::reason(word),
        (None, None) => words::status(status),
    };
    let about = known.map_or_else(|| by_status(status, body.reason.is_some()), |(_, about)| *about);
    let retry_after = retry_after.and_then(|text| retry_after::parse(text, now));
    about.outcome(reason, retry_after, body.timestamp.map(Timestamp::from_millis))
}

/// Whether a 403 says that the provider token is too old.
pub(super) fn is_expired_token(body: &[u8]) -> bool {
    let body: Body = serde_json::from_slice(body).unwrap_or_default();
    body.reason.as_deref() == Some("ExpiredProviderToken")
}

/// What a status means whose reason we do not know.
const fn by_status(status: u16, has_reason: bool) -> About {
    match status {
        410 if has_reason => About::Gone,
        // A 410 in other words than APNs' is perhaps another server's.
        410 => About::Suspect,
        429 => About::Throttled,
        408 | 425 | 500..=599 => About::Unavailable,
        _ => About::Operator,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn say(status: u16, reason: &str) -> Outcome {
        let body = format!(r#"{{"reason":"{reason}"}}"#);
        outcome(status, None, body.as_bytes(), Timestamp::from_secs(0))
    }

    #[test]
    fn every_documented_reason() {
        let suspect = |word: &'static str| Outcome::Suspect(word.into());
        let operator = |word: &'static str| Outcome::OperatorFault(word.into());
        let throttled = |word: &'static str| Outcome::Throttled { retry_after: None, reason: word.into() };
        let unavailable = |word: &'static str| Outcome::Unavailable { retry_after: None, reason: word.into() };
        let gone = |_: &'static str| Outcome::Gone { since: None };
        type Row = (u16, &'static str, fn(&'static str) -> Outcome);
        let rows: [Row; 37] = [
            (400, "BadCollapseId", operator),
            (400, "BadDeviceToken", suspect),
            (400, "BadExpirationDate", operator),
            (400, "BadMessageId", operator),
            (400, "BadPriority", operator),
            (400, "BadTopic", operator),
            (400, "DeviceTokenNotForTopic", suspect),
            (400, "DuplicateHeaders", operator),
            (400, "IdleTimeout", unavailable),
            (400, "InvalidPushType", operator),
            (400, "MissingDeviceToken", suspect),
            (400, "MissingPushType", operator),
            (400, "MissingTopic", operator),
            (400, "PayloadEmpty", operator),
            (400, "TopicDisallowed", operator),
            (400, "TopicMismatch", operator),
            (403, "BadCertificate", operator),
            (403, "BadCertificateEnvironment", operator),
            (403, "BadEnvironmentKeyIdInToken", operator),
            (403, "BadEnvironmentKeyInToken", operator),
            (403, "ExpiredProviderToken", operator),
            (403, "FeatureNotEnabled", operator),
            (403, "Forbidden", operator),
            (403, "InvalidProviderToken", operator),
            (403, "MissingProviderToken", operator),
            (403, "UnrelatedKeyIdInToken", operator),
            (404, "BadPath", operator),
            (405, "MethodNotAllowed", operator),
            (410, "ExpiredToken", gone),
            (410, "Unregistered", gone),
            (413, "PayloadTooLarge", operator),
            (415, "UnsupportedMediaType", operator),
            (429, "TooManyProviderTokenUpdates", throttled),
            (429, "TooManyRequests", throttled),
            (500, "InternalServerError", unavailable),
            (503, "ServiceUnavailable", unavailable),
            (503, "Shutdown", unavailable),
        ];
        for (status, reason, expected) in rows {
            assert_eq!(say(status, reason), expected(reason), "{status} {reason}");
        }
        for (known, _) in REASONS {
            assert!(rows.iter().any(|(_, reason, _)| *reason == known), "{known} has no row");
        }
    }

    #[test]
    fn what_is_not_documented_goes_by_its_status() {
        let rows = [
            (400, "NewReason", "operator-fault"),
            (403, "NewReason", "operator-fault"),
            (410, "NewReason", "gone"),
            (429, "NewReason", "throttled"),
            (500, "NewReason", "unavailable"),
            (599, "NewReason", "unavailable"),
            (301, "NewReason", "operator-fault"),
        ];
        for (status, reason, expected) in rows {
            assert_eq!(say(status, reason).name(), expected, "{status}");
        }
        assert_eq!(say(400, "New\\u0000Reason"), Outcome::OperatorFault("NewReason".into()));
        let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(500));
        let cut = outcome(400, None, long.as_bytes(), Timestamp::from_secs(0));
        assert_eq!(cut, Outcome::OperatorFault("x".repeat(64).into()));
    }

    #[test]
    fn a_body_that_is_no_json_is_no_reason() {
        let rows: [(u16, &[u8], Outcome); 5] = [
            (200, b"<html>", Outcome::Accepted),
            (410, b"", Outcome::Suspect("HTTP 410".into())),
            (502, b"<html>", Outcome::Unavailable { retry_after: None, reason: "HTTP 502".into() }),
            (400, b"[1]", Outcome::OperatorFault("HTTP 400".into())),
            (429, b"\xff", Outcome::Throttled { retry_after: None, reason: "HTTP 429".into() }),
        ];
        for (status, body, expected) in rows {
            assert_eq!(outcome(status, None, body, Timestamp::from_secs(0)), expected, "{status}");
        }
    }

    #[test]
    fn a_dead_token_tells_since_when_in_milliseconds() {
        let body = br#"{"reason":"Unregistered","timestamp":1700000000123}"#;
        let expected = Outcome::Gone { since: Some(Timestamp::from_millis(1_700_000_000_123)) };
        assert_eq!(outcome(410, None, body, Timestamp::from_secs(0)), expected);
    }

    #[test]
    fn retry_after_is_kept() {
        let wait = Some(Duration::from_secs(7));
        let answer = |status, text| outcome(status, Some(text), b"", Timestamp::from_secs(784_111_770));
        let reason = || "HTTP 429".into();
        assert_eq!(answer(429, "7"), Outcome::Throttled { retry_after: wait, reason: reason() });
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(answer(429, date), Outcome::Throttled { retry_after: wait, reason: reason() });
        assert_eq!(answer(503, "7"), Outcome::Unavailable { retry_after: wait, reason: "HTTP 503".into() });
    }

    #[test]
    fn only_one_reason_asks_for_a_new_token() {
        assert!(is_expired_token(br#"{"reason":"ExpiredProviderToken"}"#));
        assert!(!is_expired_token(br#"{"reason":"InvalidProviderToken"}"#));
        assert!(!is_expired_token(b"ExpiredProviderToken"));
    }
}
