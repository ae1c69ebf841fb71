//! Asks Google whether it takes the service account, and has the project.

use super::{Fcm, fields, refused, reply};
use crate::gateway::probe::{Dated, Probe, Probed};

/// A message that is only checked (`validate_only`), to a token that is none.
const MESSAGE: &[u8] =
    br#"{"validate_only":true,"message":{"token":"nobody","android":{"priority":"NORMAL","ttl":"0s"}}}"#;

impl Fcm {
    /// Fetches an access token, and has a message checked that can go to nobody.
    pub(in crate::gateway) async fn probe(&self) -> Probed {
        let fetched = self.token.current().await;
        let dated = self.token.dated();
        let authorization = match fetched {
            Ok((authorization, _)) => authorization,
            Err(error) => return Probed::Fcm { signed_in: false, probe: Probe { outcome: refused(error), dated } },
        };
        let fields = fields(&authorization);
        let probe = match self.pool.post(&self.request(&fields), MESSAGE, None).await {
            Ok(response) => {
                let now = self.clock.wall();
                let retry_after = response.retry_after.as_deref();
                let outcome = reply::outcome(response.status, retry_after, &response.body, now);
                Probe { outcome, dated: Dated::of(response.date.as_deref(), now).or(dated) }
            }
            Err(error) => Probe { outcome: error.outcome(), dated },
        };
        Probed::Fcm { signed_in: true, probe }
    }
}
