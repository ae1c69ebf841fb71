//! The access token: OAuth 2.0's JWT bearer grant (RFC 7523 §2.1; Google: "Using OAuth 2.0 for Server to Server
//! Applications").
//!
//! One fetch serves everybody who waits. Well before a token ends the next is fetched in the background, while the
//! old one goes on being used.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::signature::RsaKeyPair;
use http::HeaderValue;
use http::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use rustls::pki_types::PrivateKeyDer;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::domain::outcome::Reason;
use crate::domain::time::Moment;
use crate::gateway::credential::{self, CredentialError};
use crate::gateway::probe::Dated;
use crate::gateway::{jwt, retry_after, words};

/// What the token is good for.
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";

/// How long our own assertion is valid; Google's most.
const ASSERTION_LIFE: u64 = 3600;

/// How long before its end a token is replaced.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// A fetch that takes longer has failed.
const FETCH_DEADLINE: Duration = Duration::from_secs(15);

/// A token is fetched again because FCM refused the last one no more often than this.
const REJECT_GAP: Duration = Duration::from_secs(10);

/// The wait after a failed fetch; doubles with each that follows, up to the most.
const BACKOFF_FIRST: Duration = Duration::from_millis(500);
const BACKOFF_MOST: Duration = Duration::from_secs(60);

/// No token endpoint says more than this.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Why there is no access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AuthError {
    /// Google does not take the service account.
    Operator(Reason),
    /// The token endpoint is down or not to be reached.
    Unavailable { retry_after: Option<Duration>, reason: Reason },
}

/// The key file of a service account.
pub(super) struct ServiceAccount {
    project_id: String,
    email: String,
    key_id: Option<String>,
    token_uri: String,
    key: RsaKeyPair,
}

impl ServiceAccount {
    /// Reads the JSON that the Firebase console gives out.
    pub(super) fn read(json: &[u8]) -> Result<Self, CredentialError> {
        #[derive(Deserialize)]
        struct File {
            project_id: Option<String>,
            client_email: Option<String>,
            private_key: Option<String>,
            private_key_id: Option<String>,
            token_uri: Option<String>,
        }
        let missing = CredentialError::BadServiceAccount;
        let file: File = serde_json::from_slice(json).map_err(|_| missing("no JSON object"))?;
        let project_id = file.project_id.ok_or(missing("project_id is missing"))?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:_".contains(&byte);
        if project_id.is_empty() || !project_id.bytes().all(plain) {
            return Err(missing("project_id"));
        }
        let pem = file.private_key.ok_or(missing("private_key is missing"))?;
        let key = match credential::private_key(pem.as_bytes()).map_err(|_| CredentialError::NotRsa)? {
            PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
            _ => return Err(CredentialError::NotRsa),
        };
        Ok(Self {
            project_id,
            email: file.client_email.ok_or(missing("client_email is missing"))?,
            key_id: file.private_key_id,
            token_uri: file.token_uri.unwrap_or_else(|| "https://oauth2.googleapis.com/token".to_owned()),
            key: key.map_err(|_| CredentialError::NotRsa)?,
        })
    }

    pub(super) fn project_id(&self) -> &str {
        &self.project_id
    }

    /// The signed statement that we are this account, made out to its own token endpoint.
    fn assertion(&self, now: u64) -> Result<String, jwt::SigningFailed> {
        #[derive(Serialize)]
        struct Header<'a> {
            alg: &'static str,
            typ: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            kid: Option<&'a str>,
        }
        #[derive(Serialize)]
        struct Claims<'a> {
            iss: &'a str,
            scope: &'static str,
            aud: &'a str,
            iat: u64,
            exp: u64,
        }
        let header = Header { alg: "RS256", typ: "JWT", kid: self.key_id.as_deref() };
        let exp = now + ASSERTION_LIFE;
        let claims = Claims { iss: &self.email, scope: SCOPE, aud: &self.token_uri, iat: now, exp };
        jwt::rs256(&self.key, &header, &claims)
    }
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceAccount({})", self.project_id)
    }
}

/// The access token of one app, kept fresh.
pub(super) struct AccessToken {
    shared: Arc<Shared>,
}

struct Shared {
    account: ServiceAccount,
    url: String,
    client: reqwest::Client,
    clock: Clock,
    state: Mutex<State>,
    changed: Notify,
    /// The serial of the latest token that FCM took.
    worked: AtomicU64,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    fetching: bool,
    /// Tokens ever had.
    serial: u64,
    failures: u32,
    last_failure: Option<AuthError>,
    retry_at: Moment,
    rejected_at: Option<Moment>,
    /// What time the token endpoint's last answer said it was.
    dated: Option<Dated>,
}

struct Token {
    header: HeaderValue,
    serial: u64,
    /// When the next is to be fetched.
    refresh: Moment,
    ends: Moment,
}

impl AccessToken {
    pub(super) fn new(
        account: ServiceAccount,
        url: Option<String>,
        ca: Option<&[u8]>,
        clock: Clock,
    ) -> Result<Self, CredentialError> {
        let failed = |error: reqwest::Error| CredentialError::Client(error.to_string());
        let mut builder = reqwest::Client::builder()
            .https_only(true)
            .timeout(FETCH_DEADLINE)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        if let Some(pem) = ca {
            let roots = reqwest::Certificate::from_pem_bundle(pem).map_err(|_| CredentialError::BadCa)?;
            builder = builder.tls_certs_only(roots);
        }
        let url = url.unwrap_or_else(|| account.token_uri.clone());
        if url.parse::<http::Uri>().ok().and_then(|uri| uri.scheme_str().map(|scheme| scheme == "https")) != Some(true)
        {
            return Err(CredentialError::BadServiceAccount("token_uri, or token_endpoint, is no https:// URL"));
        }
        let client = builder.build().map_err(failed)?;
        let (state, changed, worked) = (Mutex::default(), Notify::new(), AtomicU64::new(0));
        Ok(Self { shared: Arc::new(Shared { account, url, client, clock, state, changed, worked }) })
    }

    /// The `authorization` header to send now, and its serial number. Waits for a fetch if there is no token.
    pub(super) async fn current(&self) -> Result<(HeaderValue, u64), AuthError> {
        loop {
            let changed = self.shared.changed.notified();
            if let Some(known) = self.known() {
                return known;
            }
            changed.await;
        }
    }

    /// What is known without waiting; starts a fetch if one is due.
    pub(super) fn known(&self) -> Option<Result<(HeaderValue, u64), AuthError>> {
        let mut state = self.shared.lock();
        let now = self.shared.clock.steady();
        let fresh = state.token.as_ref().is_some_and(|token| now < token.refresh);
        if !fresh && !state.fetching && now >= state.retry_at {
            state.fetching = true;
            tokio::spawn(self.shared.clone().fetch());
        }
        if let Some(token) = &state.token
            && now < token.ends
        {
            return Some(Ok((token.header.clone(), token.serial)));
        }
        // While Google is in trouble a push waits for the first fetch that it starts, not for the next.
        if state.fetching { None } else { state.last_failure.clone().map(Err) }
    }

    /// What time the token endpoint's last answer said it was, if it did.
    pub(super) fn dated(&self) -> Option<Dated> {
        self.shared.lock().dated
    }

    /// FCM took the token of this serial.
    pub(super) fn accept(&self, serial: u64) {
        self.shared.worked.fetch_max(serial, Ordering::Relaxed);
    }

    /// FCM refused the token of this serial. True if there is, or soon will be, another to try.
    pub(super) fn reject(&self, serial: u64) -> bool {
        let mut state = self.shared.lock();
        if state.token.as_ref().is_none_or(|token| token.serial != serial) {
            return true;
        }
        let now = self.shared.clock.steady();
        // One that has worked was revoked. One that never did is not mended by another, and Google not asked for it for
        // every push.
        let worked = self.shared.worked.load(Ordering::Relaxed) >= serial;
        if !worked && state.rejected_at.is_some_and(|last| now - last < REJECT_GAP) {
            return false;
        }
        state.rejected_at = Some(now);
        state.token = None;
        true
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(self: Arc<Self>) {
        let fetched = self.ask().await;
        let now = self.clock.steady();
        let mut state = self.lock();
        state.fetching = false;
        match fetched {
            Ok((header, life)) => {
                state.serial += 1;
                let serial = state.serial;
                // Of a short life the last quarter is the margin.
                let refresh = now + life.saturating_sub(MARGIN.min(life / 4));
                state.token = Some(Token { header, serial, refresh, ends: now + life });
                state.failures = 0;
                state.last_failure = None;
                state.retry_at = now;
            }
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
                let doubled = BACKOFF_FIRST.saturating_mul(1 << (state.failures - 1).min(16));
                let asked = match error {
                    AuthError::Unavailable { retry_after, .. } => retry_after.unwrap_or_default(),
                    AuthError::Operator(_) => Duration::ZERO,
                };
                state.retry_at = now + doubled.max(asked).min(BACKOFF_MOST);
                state.last_failure = Some(error);
            }
        }
        drop(state);
        self.changed.notify_waiters();
    }

    async fn ask(&self) -> Result<(HeaderValue, Duration), AuthError> {
        let assertion = self
            .account
            .assertion(self.clock.wall().secs())
            .map_err(|error| AuthError::Operator(error.to_string().into()))?;
        // A JWT needs no escaping.
        let form = format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}");
        let request = self.client.post(&self.url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        let mut response = request.send().await.map_err(|error| unreachable(&error))?;
        let status = response.status().as_u16();
        let date = response.headers().get(DATE).and_then(|value| value.to_str().ok());
        let dated = Dated::of(date, self.clock.wall());
        self.lock().dated = dated;
        let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let wait = wait.and_then(|text| retry_after::parse(text, self.clock.wall()));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST_ANSWER {
                break;
            }
        }
        read(status, wait, &body)
    }
}

/// Reads the token endpoint's answer (RFC 6749 §5.1, §5.2).
fn read(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Result<(HeaderValue, Duration), AuthError> {
    #[derive(Default, Deserialize)]
    struct Answer {
        access_token: Option<String>,
        expires_in: Option<u64>,
        error: Option<String>,
        error_description: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(body).unwrap_or_default();
    let unavailable = |reason| Err(AuthError::Unavailable { retry_after, reason });
    match (status, answer.access_token, answer.error) {
        // Nobody could use it, and everybody would fetch the next at once.
        (200, Some(_), _) if answer.expires_in == Some(0) => {
            unavailable("token endpoint: the access token has ended already".into())
        }
        (200, Some(token), _) => {
            let Ok(mut header) = HeaderValue::try_from(format!("Bearer {token}")) else {
                return unavailable("token endpoint: the access token can not stand in a header".into());
            };
            header.set_sensitive(true);
            Ok((header, Duration::from_secs(answer.expires_in.unwrap_or(ASSERTION_LIFE))))
        }
        (200, None, _) => unavailable("token endpoint: an answer without an access token".into()),
        (408 | 425 | 429 | 500..=599, _, _) => unavailable(format!("token endpoint: HTTP {status}").into()),
        (_, _, Some(error)) => {
            let (error, description) = (words::reason(&error), answer.error_description.unwrap_or_default());
            Err(AuthError::Operator(format!("{error}: {}", words::reason(&description)).into()))
        }
        _ => Err(AuthError::Operator(format!("token endpoint: HTTP {status}").into())),
    }
}

fn unreachable(error: &reqwest::Error) -> AuthError {
    // The innermost cause says what happened; the outer ones only where.
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if error.is_timeout() {
        return AuthError::Unavailable { retry_after: None, reason: "token endpoint: timeout".into() };
    }
    let text = cause.to_string();
    if text.contains("invalid peer certificate") {
        return AuthError::Operator(format!("token endpoint: TLS: {}; check ca_file", words::reason(&text)).into());
    }
    AuthError::Unavailable { retry_after: None, reason: format!("token endpoint: {}", words::reason(&text)).into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_token_endpoint_says() {
        let ok = read(200, None, br#"{"access_token":"ya29.abc","expires_in":3599,"token_type":"Bearer"}"#).unwrap();
        assert_eq!(ok.0.to_str().unwrap(), "Bearer ya29.abc");
        assert!(ok.0.is_sensitive());
        assert_eq!(ok.1, Duration::from_secs(3599));

        let operator = |reason: &'static str| AuthError::Operator(reason.into());
        let down = |secs: Option<u64>, reason: &'static str| AuthError::Unavailable {
            retry_after: secs.map(Duration::from_secs),
            reason: reason.into(),
        };
        let grant = br#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#;
        let rows: [(u16, Option<u64>, &[u8], AuthError); 9] = [
            (400, None, grant, operator("invalid_grant: Invalid JWT Signature.")),
            (401, None, br#"{"error":"invalid_client"}"#, operator("invalid_client: ")),
            (403, None, b"<html>", operator("token endpoint: HTTP 403")),
            (404, None, b"", operator("token endpoint: HTTP 404")),
            (429, Some(3), b"", down(Some(3), "token endpoint: HTTP 429")),
            (503, None, grant, down(None, "token endpoint: HTTP 503")),
            (200, None, b"{}", down(None, "token endpoint: an answer without an access token")),
            (
                200,
                None,
                br#"{"access_token":"a","expires_in":0}"#,
                down(None, "token endpoint: the access token has ended already"),
            ),
            (
                200,
                None,
                b"{\"access_token\":\"a\\nb\"}",
                down(None, "token endpoint: the access token can not stand in a header"),
            ),
        ];
        for (status, wait, body, expected) in rows {
            assert_eq!(read(status, wait.map(Duration::from_secs), body), Err(expected), "{status}");
        }
    }

    #[test]
    fn a_service_account_says_what_it_lacks() {
        let read = |json: &str| ServiceAccount::read(json.as_bytes()).map(|_| ());
        let bad = |what| Err(CredentialError::BadServiceAccount(what));
        assert_eq!(read("nonsense"), bad("no JSON object"));
        assert_eq!(read("{}"), bad("project_id is missing"));
        assert_eq!(read(r#"{"project_id":"a/b"}"#), bad("project_id"));
        assert_eq!(read(r#"{"project_id":"p"}"#), bad("private_key is missing"));
        assert_eq!(read(r#"{"project_id":"p","private_key":"x"}"#), Err(CredentialError::NotRsa));
    }
}
