//! Asks Apple whether it takes key, team and topic.

use super::{Apns, Headers, PATH, reply};
use crate::gateway::http2::Request;
use crate::gateway::probe::{Dated, Probe};

/// No device has it: Apple's own are drawn at random.
const NOBODY: &[u8] = b"0000000000000000000000000000000000000000000000000000000000000000";

impl Apns {
    /// Sends a background push to a token that no device has, not to be kept by Apple. What Apple says of the token is
    /// said after it took the credentials.
    pub async fn probe(&self) -> Probe {
        let alone = |outcome| Probe { outcome, dated: None };
        let headers = Headers {
            topic: &self.topic,
            push_type: "background",
            priority: "5",
            expiration: "0".to_owned(),
            collapse_id: None,
            id: super::id(self.id_prefix, 0),
        };
        let signed = match self.authorization(self.clock.now()) {
            Ok(signed) => signed,
            Err(outcome) => return alone(outcome),
        };
        let fields = headers.fields(signed.as_ref());
        let request = Request { path: [PATH, NOBODY], fields: &fields };
        match self.pool.post(&request, br#"{"aps":{"content-available":1}}"#, None).await {
            Ok(response) => {
                let now = self.clock.wall();
                let retry_after = response.retry_after.as_deref();
                let outcome = reply::outcome(response.status, retry_after, &response.body, now);
                Probe { outcome, dated: Dated::of(response.date.as_deref(), now) }
            }
            Err(error) => alone(error.outcome()),
        }
    }
}
