//! Firebase Cloud Messaging, HTTP v1 (Firebase: "Send a message using FCM HTTP v1 API").
//!
//! `payload` builds what is sent, `reply` reads what comes back, `auth` fetches the access token; here they meet
//! the pool.

mod auth;
pub mod payload;
mod probe;
pub mod reply;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Uri, Version};

use self::auth::{AccessToken, AuthError, ServiceAccount};
use super::credential::{self, CredentialError};
use super::endpoint::Endpoint;
use super::pool::{Limits, Pool};
use crate::clock::Clock;
use crate::domain::app::Style;
use crate::domain::look::Look;
use crate::domain::outcome::Outcome;
use crate::domain::push::Push;

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
    uri: Uri,
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
        let uri = uri(&endpoint, account.project_id())?;
        let tls = credential::tls(settings.ca.as_deref(), None)?;
        let token = AccessToken::new(account, settings.token_endpoint, settings.ca.as_deref(), clock.clone())?;
        let pool = Pool::new(endpoint, tls, settings.limits, clock.clone());
        Ok(Self { pool, token, uri, style: settings.style, look: settings.look, clock })
    }

    /// Sends a push and says what became of it.
    pub async fn send(&self, push: &Push) -> Outcome {
        let body = Bytes::from(payload::message(push, self.style, &self.look));
        let mut again = true;
        loop {
            let (authorization, serial) = match self.token.current().await {
                Ok(token) => token,
                Err(error) => return refused(error),
            };
            let response = match self.pool.post(|| self.head(&authorization), body.clone()).await {
                Ok(response) => response,
                Err(error) => return error.outcome(),
            };
            let status = response.status.as_u16();
            if !reply::wants_new_token(status, &response.body) {
                self.token.accept(serial);
            } else if again && self.token.reject(serial) {
                again = false;
                continue;
            }
            return reply::outcome(status, response.retry_after(), &response.body, self.clock.wall());
        }
    }

    fn head(&self, authorization: &HeaderValue) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, authorization.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request
    }
}

fn uri(endpoint: &Endpoint, project: &str) -> Result<Uri, CredentialError> {
    let bad = |_| CredentialError::BadServiceAccount("project_id");
    let path = format!("/v1/projects/{project}/messages:send");
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTPS);
    parts.authority = Some(endpoint.authority().clone());
    parts.path_and_query = Some(PathAndQuery::try_from(path).map_err(bad)?);
    Uri::from_parts(parts).map_err(|_| CredentialError::BadServiceAccount("project_id"))
}

fn refused(error: AuthError) -> Outcome {
    match error {
        AuthError::Operator(reason) => Outcome::OperatorFault(reason),
        AuthError::Unavailable { retry_after, reason } => Outcome::Unavailable { retry_after, reason },
    }
}
