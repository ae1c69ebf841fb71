//! What FCM answers (Firebase: REST reference, `ErrorCode`; Google: `google.rpc.Status` and `Code`).

use serde::Deserialize;

use crate::domain::outcome::Outcome;
use crate::domain::time::Timestamp;
use crate::gateway::about::About;
use crate::gateway::{retry_after, words};

/// Every documented `FcmError.errorCode` but INVALID_ARGUMENT, which has two meanings.
const FCM_CODES: [(&str, About); 7] = [
    ("INTERNAL", About::Unavailable),
    ("QUOTA_EXCEEDED", About::Throttled),
    ("SENDER_ID_MISMATCH", About::Suspect),
    ("THIRD_PARTY_AUTH_ERROR", About::Operator),
    ("UNAVAILABLE", About::Unavailable),
    ("UNREGISTERED", About::Gone),
    ("UNSPECIFIED_ERROR", About::Unavailable),
];

/// Every `google.rpc.Code` that is an error, for answers without an FcmError.
const RPC_CODES: [(&str, About); 16] = [
    ("ABORTED", About::Unavailable),
    ("ALREADY_EXISTS", About::Operator),
    ("CANCELLED", About::Unavailable),
    ("DATA_LOSS", About::Unavailable),
    ("DEADLINE_EXCEEDED", About::Unavailable),
    ("FAILED_PRECONDITION", About::Operator),
    ("INTERNAL", About::Unavailable),
    ("INVALID_ARGUMENT", About::Operator),
    // Without an FcmError it is the project that was not found.
    ("NOT_FOUND", About::Operator),
    ("OUT_OF_RANGE", About::Operator),
    ("PERMISSION_DENIED", About::Operator),
    ("RESOURCE_EXHAUSTED", About::Throttled),
    ("UNAUTHENTICATED", About::Operator),
    ("UNAVAILABLE", About::Unavailable),
    ("UNIMPLEMENTED", About::Operator),
    ("UNKNOWN", About::Unavailable),
];

/// The field that an answer complains about when it means the token.
const TOKEN_FIELD: &str = "message.token";

#[derive(Default, Deserialize)]
struct Body {
    #[serde(default)]
    error: Status,
}

/// A `google.rpc.Status`. Its `message` may hold the token, so of that only one phrase is looked for.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    status: Option<String>,
    message: Option<String>,
    details: Vec<Detail>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Detail {
    error_code: Option<String>,
    field_violations: Vec<Violation>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Violation {
    field: Option<String>,
}

impl Status {
    fn read(body: &[u8]) -> Self {
        serde_json::from_slice::<Body>(body).unwrap_or_default().error
    }

    fn fcm_code(&self) -> Option<&str> {
        self.details.iter().find_map(|detail| detail.error_code.as_deref())
    }

    /// What INVALID_ARGUMENT is about: the token, something else of the message, or it does not say.
    fn invalid_argument(&self) -> About {
        let mut fields = self.details.iter().flat_map(|detail| &detail.field_violations);
        let of_token = |violation: &Violation| violation.field.as_deref() == Some(TOKEN_FIELD);
        let said = self.message.as_deref().is_some_and(|message| message.contains("registration token"));
        if fields.clone().any(of_token) {
            return About::Gone;
        }
        match (fields.next().is_some(), self.fcm_code().is_some()) {
            (true, _) | (_, false) => About::Operator,
            (false, true) => {
                if said {
                    About::Gone
                } else {
                    About::Suspect
                }
            }
        }
    }
}

/// The outcome of an answer. A body that is no JSON is a body without a code.
#[must_use]
pub fn outcome(status: u16, retry_after: Option<&str>, body: &[u8], now: Timestamp) -> Outcome {
    if status == 200 {
        return Outcome::Accepted;
    }
    let error = Status::read(body);
    let code = error.fcm_code().or(error.status.as_deref());
    let find = |table: &[(&'static str, About)]| {
        let row = table.iter().find(|(known, _)| Some(*known) == code);
        row.map(|(known, about)| (*known, *about))
    };
    let known = match (code, error.fcm_code()) {
        (Some("INVALID_ARGUMENT"), _) => Some(("INVALID_ARGUMENT", error.invalid_argument())),
        (_, Some(_)) => find(&FCM_CODES),
        (_, None) => find(&RPC_CODES),
    };
    let reason = match (known, code) {
        (Some((word, _)), _) => word.into(),
        (None, Some(word)) => words::reason(word),
        (None, None) => words::status(status),
    };
    let retry_after = retry_after.and_then(|text| retry_after::parse(text, now));
    let about = known.map_or_else(|| by_status(status), |(_, about)| about);
    // FCM does not say since when.
    about.outcome(reason, retry_after, None)
}

/// Whether a 401 is about our access token, rather than about what FCM holds of Apple's or a browser's.
pub(super) fn wants_new_token(status: u16, body: &[u8]) -> bool {
    status == 401 && Status::read(body).fcm_code() != Some("THIRD_PARTY_AUTH_ERROR")
}

/// What a status means whose code we do not know.
const fn by_status(status: u16) -> About {
    match status {
        429 => About::Throttled,
        408 | 425 | 499 | 500..=599 => About::Unavailable,
        _ => About::Operator,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn say(status: u16, body: &str) -> Outcome {
        outcome(status, None, body.as_bytes(), Timestamp::from_secs(0))
    }

    fn body(rpc: &str, message: &str, fcm: Option<&str>, field: Option<&str>) -> String {
        let mut details = Vec::new();
        if let Some(code) = fcm {
            details.push(format!(
                r#"{{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"{code}"}}"#
            ));
        }
        if let Some(field) = field {
            details.push(format!(
                r#"{{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{{"field":"{field}","description":"d"}}]}}"#
            ));
        }
        format!(
            r#"{{"error":{{"code":400,"message":"{message}","status":"{rpc}","details":[{}]}}}}"#,
            details.join(",")
        )
    }

    #[test]
    fn every_documented_code() {
        let suspect = |word: &'static str| Outcome::Suspect(word.into());
        let operator = |word: &'static str| Outcome::OperatorFault(word.into());
        let throttled = |word: &'static str| Outcome::Throttled { retry_after: None, reason: word.into() };
        let unavailable = |word: &'static str| Outcome::Unavailable { retry_after: None, reason: word.into() };
        let gone = |_: &'static str| Outcome::Gone { since: None };
        type Row = (u16, &'static str, Option<&'static str>, fn(&'static str) -> Outcome);
        let rows: [Row; 24] = [
            (404, "NOT_FOUND", Some("UNREGISTERED"), gone),
            (403, "PERMISSION_DENIED", Some("SENDER_ID_MISMATCH"), suspect),
            (429, "RESOURCE_EXHAUSTED", Some("QUOTA_EXCEEDED"), throttled),
            (503, "UNAVAILABLE", Some("UNAVAILABLE"), unavailable),
            (500, "INTERNAL", Some("INTERNAL"), unavailable),
            (401, "UNAUTHENTICATED", Some("THIRD_PARTY_AUTH_ERROR"), operator),
            (500, "UNKNOWN", Some("UNSPECIFIED_ERROR"), unavailable),
            (400, "INVALID_ARGUMENT", Some("INVALID_ARGUMENT"), suspect),
            (400, "INVALID_ARGUMENT", None, operator),
            (400, "FAILED_PRECONDITION", None, operator),
            (400, "OUT_OF_RANGE", None, operator),
            (401, "UNAUTHENTICATED", None, operator),
            (403, "PERMISSION_DENIED", None, operator),
            (404, "NOT_FOUND", None, operator),
            (409, "ABORTED", None, unavailable),
            (409, "ALREADY_EXISTS", None, operator),
            (429, "RESOURCE_EXHAUSTED", None, throttled),
            (499, "CANCELLED", None, unavailable),
            (500, "DATA_LOSS", None, unavailable),
            (500, "INTERNAL", None, unavailable),
            (500, "UNKNOWN", None, unavailable),
            (501, "UNIMPLEMENTED", None, operator),
            (503, "UNAVAILABLE", None, unavailable),
            (504, "DEADLINE_EXCEEDED", None, unavailable),
        ];
        for (status, rpc, fcm, expected) in rows {
            let word = fcm.unwrap_or(rpc);
            assert_eq!(say(status, &body(rpc, "m", fcm, None)), expected(word), "{status} {rpc} {fcm:?}");
        }
        for (known, _) in FCM_CODES {
            assert!(rows.iter().any(|(_, _, fcm, _)| *fcm == Some(known)), "{known} has no row");
        }
        for (known, _) in RPC_CODES {
            assert!(rows.iter().any(|(_, rpc, fcm, _)| *rpc == known && fcm.is_none()), "{known} has no row");
        }
    }

    #[test]
    fn an_invalid_argument_kills_only_if_it_is_the_token() {
        let fcm = Some("INVALID_ARGUMENT");
        let not_a_token = "The registration token is not a valid FCM registration token";
        let rows = [
            (fcm, Some("message.token"), "m", "gone"),
            (None, Some("message.token"), "m", "gone"),
            (fcm, None, not_a_token, "gone"),
            (fcm, None, "Android message is too big", "suspect"),
            (fcm, Some("message.data[0].value"), "m", "operator-fault"),
            (fcm, Some("message.android.ttl"), not_a_token, "operator-fault"),
            (None, None, not_a_token, "operator-fault"),
        ];
        for (fcm, field, message, expected) in rows {
            let answer = say(400, &body("INVALID_ARGUMENT", message, fcm, field));
            assert_eq!(answer.name(), expected, "{fcm:?} {field:?} {message}");
        }
    }

    #[test]
    fn what_is_not_documented_goes_by_its_status() {
        let rows = [
            (400, body("NEW", "m", Some("NEW_CODE"), None), Outcome::OperatorFault("NEW_CODE".into())),
            (404, String::new(), Outcome::OperatorFault("HTTP 404".into())),
            (404, "<html>".into(), Outcome::OperatorFault("HTTP 404".into())),
            (410, String::new(), Outcome::OperatorFault("HTTP 410".into())),
            (429, String::new(), Outcome::Throttled { retry_after: None, reason: "HTTP 429".into() }),
            (502, "[]".into(), Outcome::Unavailable { retry_after: None, reason: "HTTP 502".into() }),
            (200, "nonsense".into(), Outcome::Accepted),
        ];
        for (status, body, expected) in rows {
            assert_eq!(say(status, &body), expected, "{status} {body}");
        }
    }

    #[test]
    fn retry_after_is_kept() {
        let answer = outcome(429, Some("30"), b"", Timestamp::from_secs(0));
        let wait = Some(Duration::from_secs(30));
        assert_eq!(answer, Outcome::Throttled { retry_after: wait, reason: "HTTP 429".into() });
    }

    #[test]
    fn a_401_asks_for_a_new_token_unless_it_is_about_somebody_elses() {
        assert!(wants_new_token(401, b""));
        assert!(wants_new_token(401, body("UNAUTHENTICATED", "m", None, None).as_bytes()));
        let third = body("UNAUTHENTICATED", "m", Some("THIRD_PARTY_AUTH_ERROR"), None);
        assert!(!wants_new_token(401, third.as_bytes()));
        assert!(!wants_new_token(403, b""));
    }
}
