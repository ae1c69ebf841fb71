//! Asks Apple whether it takes key, team and topic.

use bytes::Bytes;
use http::HeaderValue;

use super::{Apns, Headers, passing, reply};
use crate::domain::outcome::Outcome;
use crate::gateway::probe::{Dated, Probe};

/// No device has it: Apple's own are drawn at random.
const NOBODY: &str = "0000000000000000000000000000000000000000000000000000000000000000";

impl Apns {
    /// Sends a background push to a token that no device has, not to be kept by Apple. What Apple says of the token is
    /// said after it took the credentials.
    pub async fn probe(&self) -> Probe {
        let alone = |outcome| Probe { outcome, dated: None };
        let Some(uri) = self.uri(NOBODY) else {
            return alone(Outcome::OperatorFault("malformed endpoint".into()));
        };
        let headers = Headers {
            topic: self.topic.clone(),
            push_type: HeaderValue::from_static("background"),
            priority: HeaderValue::from_static("5"),
            expiration: HeaderValue::from_static("0"),
            collapse_id: None,
            id: passing(super::id(self.id_prefix, 0)),
        };
        let signed = match self.authorization(self.clock.now()) {
            Ok(signed) => signed,
            Err(outcome) => return alone(outcome),
        };
        let head = || headers.clone().request(uri.clone(), signed.as_ref().map(|(value, _)| value.clone()));
        let body = Bytes::from_static(br#"{"aps":{"content-available":1}}"#);
        match self.pool.post(head, body, None).await {
            Ok(response) => {
                let (status, now) = (response.status.as_u16(), self.clock.wall());
                let outcome = reply::outcome(status, response.retry_after(), &response.body, now);
                Probe { outcome, dated: Dated::of(&response.headers, now) }
            }
            Err(error) => alone(error.outcome()),
        }
    }
}
