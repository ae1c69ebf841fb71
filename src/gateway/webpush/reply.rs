//! What a push service answers (RFC 8030 §5, §7.3, §8.4; RFC 8292 §4.2).

use serde::Deserialize;

use crate::domain::outcome::{Outcome, Reason};
use crate::domain::time::Timestamp;
use crate::gateway::about::About;
use crate::gateway::{retry_after, words};

/// How the push services say that the subscription was made with another key than ours. It is the subscription that does
/// not fit, then: one page's mistake, or what is left from a former key. (Apple's reason; FCM's text.)
const OTHER_KEY: [&str; 2] =
    ["VapidPkHashMismatch", "do not correspond to the credentials used to create the subscription"];

/// The outcome of an answer. Of a body, only what is known to hold no endpoint is looked at.
pub(in crate::gateway) fn outcome(status: u16, retry_after: Option<&str>, body: &[u8], now: Timestamp) -> Outcome {
    let about = match status {
        200..=299 => return Outcome::Accepted,
        404 | 410 => About::Gone,
        401 | 403 if has_other_key(body) => About::Suspect,
        429 => About::Throttled,
        // Nothing is wrong with us or the subscription, but we go nowhere else than where the operator lets us.
        300..=399 => About::Unavailable,
        408 | 425 | 500..=599 => About::Unavailable,
        // 400, 401, 403: what we are or what we say; 413: what we say is too long, however often we say it.
        _ => About::Operator,
    };
    let reason = if (300..=399).contains(&status) {
        format!("HTTP {status}: redirects are not followed").into()
    } else {
        reason(status, body)
    };
    about.outcome(reason, retry_after.and_then(|text| retry_after::parse(text, now)), None)
}

fn has_other_key(body: &[u8]) -> bool {
    let body = String::from_utf8_lossy(body);
    OTHER_KEY.iter().any(|words| body.contains(words))
}

/// The status, with the one word or number that explains it: Apple's `reason`, Mozilla's `errno`.
fn reason(status: u16, body: &[u8]) -> Reason {
    #[derive(Default, Deserialize)]
    struct Body {
        reason: Option<String>,
        errno: Option<u32>,
    }
    let body: Body = serde_json::from_slice(body).unwrap_or_default();
    // Nothing of an endpoint has letters only.
    let word = body.reason.filter(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphabetic()));
    match (word, body.errno) {
        (Some(word), _) => words::reason(&format!("HTTP {status}: {word}")),
        (None, Some(errno)) => format!("HTTP {status}, errno {errno}").into(),
        (None, None) => words::status(status),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(784_111_777);

    #[test]
    fn every_status_has_its_meaning() {
        let operator = |status: u16| Outcome::OperatorFault(format!("HTTP {status}").into());
        let down = |text: &'static str| Outcome::Unavailable { retry_after: None, reason: text.into() };
        let rows = [
            (200, Outcome::Accepted),
            (201, Outcome::Accepted),
            (202, Outcome::Accepted),
            (204, Outcome::Accepted),
            (301, down("HTTP 301: redirects are not followed")),
            (307, down("HTTP 307: redirects are not followed")),
            (400, operator(400)),
            (401, operator(401)),
            (403, operator(403)),
            (404, Outcome::Gone { since: None }),
            (405, operator(405)),
            (408, down("HTTP 408")),
            (410, Outcome::Gone { since: None }),
            (413, operator(413)),
            (418, operator(418)),
            (429, Outcome::Throttled { retry_after: None, reason: "HTTP 429".into() }),
            (500, down("HTTP 500")),
            (502, down("HTTP 502")),
            (503, down("HTTP 503")),
        ];
        for (status, expected) in rows {
            assert_eq!(outcome(status, None, b"", NOW), expected, "{status}");
        }
    }

    #[test]
    fn retry_after_is_kept_as_seconds_and_as_a_date() {
        let wait = |secs| Some(Duration::from_secs(secs));
        let throttled = |retry_after| Outcome::Throttled { retry_after, reason: "HTTP 429".into() };
        assert_eq!(outcome(429, Some("30"), b"", NOW), throttled(wait(30)));
        assert_eq!(outcome(429, Some("Sun, 06 Nov 1994 08:50:37 GMT"), b"", NOW), throttled(wait(60)));
        assert_eq!(outcome(429, Some("soon"), b"", NOW), throttled(None));
        let down = Outcome::Unavailable { retry_after: wait(7), reason: "HTTP 503".into() };
        assert_eq!(outcome(503, Some("7"), b"", NOW), down);
    }

    #[test]
    fn a_subscription_made_with_another_key_is_not_the_operators_fault() {
        let rows: [(u16, &[u8], Outcome); 3] = [
            (403, br#"{"reason":"VapidPkHashMismatch"}"#, Outcome::Suspect("HTTP 403: VapidPkHashMismatch".into())),
            (
                403,
                b"the VAPID credentials in the authorization header do not correspond to the credentials used to create the subscriptions.",
                Outcome::Suspect("HTTP 403".into()),
            ),
            (403, br#"{"reason":"BadJwtToken"}"#, Outcome::OperatorFault("HTTP 403: BadJwtToken".into())),
        ];
        for (status, body, expected) in rows {
            assert_eq!(outcome(status, None, body, NOW), expected, "{body:?}");
        }
    }

    #[test]
    fn of_a_body_only_a_plain_word_or_a_number_is_repeated() {
        let rows: [(&[u8], &str); 6] = [
            (br#"{"code":401,"errno":109,"error":"Unauthorized","message":"/wpush/v2/gAAAA"}"#, "HTTP 401, errno 109"),
            (br#"{"reason":"BadJwtToken"}"#, "HTTP 401: BadJwtToken"),
            (br#"{"reason":"no such endpoint https://push.example.net/t0ken"}"#, "HTTP 401"),
            (br#"{"reason":"gAAAA_t0ken"}"#, "HTTP 401"),
            (b"push.example.net/t0ken", "HTTP 401"),
            (b"\xff\xfe", "HTTP 401"),
        ];
        for (body, expected) in rows {
            assert_eq!(outcome(401, None, body, NOW), Outcome::OperatorFault(expected.into()), "{body:?}");
        }
    }
}
