//! Firebase Cloud Messaging, HTTP v1 (Firebase: "Send a message using FCM HTTP v1 API").
//!
//! `payload` builds what is sent, `reply` reads what comes back, `auth` fetches the access token; here they meet
//! the pool.

mod auth;
pub mod payload;
mod probe;
pub mod reply;

use std::task::Waker;

use http::HeaderValue;
use http::uri::PathAndQuery;

use self::auth::{AccessToken, AuthError, ServiceAccount};
use super::credential::{self, CredentialError};
use super::endpoint::Endpoint;
use super::http2::{Field, Name, Request};
use super::pool::{Limits, Pool, Response};
use super::{Before, Start};
use crate::clock::Clock;
use crate::domain::app::Style;
use crate::domain::look::Look;
use crate::domain::outcome::Outcome;
use crate::domain::push::Push;
use crate::domain::time::{Now, Timestamp};

/// Google's host for it.
const HOST: &str = "https://fcm.googleapis.com";

/// What an operator says of an app on FCM.
pub struct Settings {
    /// A stand-in or a proxy instead of Google's host.
    pub endpoint: Option<Endpoint>,
    /// Where to fetch access tokens, an `https://` URL; otherwise where the service account says.
    pub token_endpoint: Option<String>,
    /// The only CA to trust, PEM; otherwise those of the system.
    pub ca: Option<Vec<u8>>,
    /// The service account's key file, JSON.
    pub service_account: Vec<u8>,
    /// How the app wants its payload.
    pub style: Style,
    /// What the operator changes about it; of that, an Android phone is given `extra`.
    pub look: Look,
    /// How far the connections go.
    pub limits: Limits,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("endpoint", &self.endpoint).field("style", &self.style).finish_non_exhaustive()
    }
}

/// An app on FCM.
pub struct Fcm {
    pub(super) pool: Pool,
    token: AccessToken,
    path: PathAndQuery,
    style: Style,
    look: Look,
    clock: Clock,
}

impl Fcm {
    /// Checks the service account; no network.
    ///
    /// # Errors
    /// What is wrong with the service account, its key, or the CA.
    pub fn new(settings: Settings, clock: Clock) -> Result<Self, CredentialError> {
        let account = ServiceAccount::read(&settings.service_account)?;
        let endpoint = match settings.endpoint {
            Some(endpoint) => endpoint,
            None => HOST.parse().map_err(|_| CredentialError::BadText("endpoint"))?,
        };
        let path = format!("/v1/projects/{}/messages:send", account.project_id());
        let path = PathAndQuery::try_from(path).map_err(|_| CredentialError::BadServiceAccount("project_id"))?;
        let tls = credential::tls(settings.ca.as_deref(), None)?;
        let token = AccessToken::new(account, settings.token_endpoint, settings.ca.as_deref(), clock.clone())?;
        let pool = Pool::new(endpoint, tls, settings.limits, clock.clone());
        Ok(Self { pool, token, path, style: settings.style, look: settings.look, clock })
    }

    /// Puts a push on its way, if there are a stream and a token for it right now.
    pub(in crate::gateway) fn start(&self, push: &Push, now: Now, waker: &Waker) -> Start {
        let Some(Ok((authorization, serial))) = self.token.known() else { return Start::Waits };
        let body = payload::message(push, self.style, &self.look);
        let flight = self.pool.start(&self.request(&fields(&authorization)), &body, now.steady, waker);
        flight.map_or(Start::Waits, |flight| Start::Flies(flight, serial))
    }

    /// What an answer means; `None` if the push should be sent again with a newer token.
    pub(in crate::gateway) fn hear(&self, response: &Response, serial: u64, now: Timestamp) -> Option<Outcome> {
        let status = response.status;
        if reply::wants_new_token(status, &response.body) {
            return None;
        }
        self.token.accept(serial);
        Some(reply::outcome(status, response.retry_after.as_deref(), &response.body, now))
    }

    /// Sends a push and says what became of it.
    pub async fn send(&self, push: &Push) -> Outcome {
        self.go_on(push, Before::Nothing).await
    }

    /// The same for a push that may have been sent before.
    pub(in crate::gateway) async fn go_on(&self, push: &Push, before: Before) -> Outcome {
        let body = payload::message(push, self.style, &self.look);
        let mut again = true;
        let mut before = Some(before);
        loop {
            let (response, serial) = match before.take() {
                Some(Before::Answered(response, serial)) => (response, serial),
                other => {
                    let failed = if let Some(Before::Failed(failed)) = other { Some(failed) } else { None };
                    let (authorization, serial) = match self.token.current().await {
                        Ok(token) => token,
                        Err(error) => return refused(error),
                    };
                    let fields = fields(&authorization);
                    match self.pool.post(&self.request(&fields), &body, failed).await {
                        Ok(response) => (response, serial),
                        Err(error) => return error.outcome(),
                    }
                }
            };
            if let Some(outcome) = self.hear(&response, serial, self.clock.wall()) {
                return outcome;
            }
            if !(again && self.token.reject(serial)) {
                let status = response.status;
                return reply::outcome(status, response.retry_after.as_deref(), &response.body, self.clock.wall());
            }
            again = false;
        }
    }

    fn request<'a>(&'a self, fields: &'a [Option<Field<'a>>]) -> Request<'a> {
        Request { path: [self.path.as_str().as_bytes(), &[]], fields }
    }
}

fn fields(authorization: &HeaderValue) -> [Option<Field<'_>>; 2] {
    [
        Some(Field::secret(Name::Authorization, authorization.as_bytes())),
        Some(Field::lasting(Name::ContentType, b"application/json")),
    ]
}

fn refused(error: AuthError) -> Outcome {
    match error {
        AuthError::Operator(reason) => Outcome::OperatorFault(reason),
        AuthError::Unavailable { retry_after, reason } => Outcome::Unavailable { retry_after, reason },
    }
}
