//! The Apple Push Notification service (Apple: "Sending notification requests to APNs").
//!
//! `payload` builds what is sent, `reply` reads what comes back, `auth` signs; here they meet the pool.

mod auth;
pub mod payload;
mod probe;
pub mod reply;

use std::borrow::Cow;
use std::task::Waker;

use http::HeaderValue;

use self::auth::ProviderToken;
use self::payload::Notification;
use super::credential::{self, CredentialError, Identity};
use super::endpoint::Endpoint;
use super::http2::{Field, Name, Request};
use super::pool::{Limits, Pool, Response};
use super::{Before, Start};
use crate::clock::Clock;
use crate::domain::app::Style;
use crate::domain::look::Look;
use crate::domain::outcome::Outcome;
use crate::domain::push::Push;
use crate::domain::secret::Secret;
use crate::domain::text::hex_digit;
use crate::domain::time::{Now, Timestamp};

/// Where devices are, before their tokens.
const PATH: &[u8] = b"/3/device/";

/// The longest token that is passed on. Apple's are 64 hex digits now and may grow.
const LONGEST_TOKEN: usize = 512;

/// What an operator says of an app on APNs.
#[derive(Debug)]
pub struct Settings {
    /// Which of Apple's hosts, unless `endpoint` names another.
    pub environment: Environment,
    /// A stand-in or a proxy.
    pub endpoint: Option<Endpoint>,
    /// The only CA to trust, PEM; otherwise those of the system.
    pub ca: Option<Vec<u8>>,
    /// The app's bundle id.
    pub topic: String,
    /// Who we are to Apple.
    pub auth: Auth,
    /// How the app wants its payload.
    pub style: Style,
    /// What the operator changes about it.
    pub look: Look,
    /// What stands for a body that is not there; empty for nothing.
    pub important_body: String,
    /// How far the connections go.
    pub limits: Limits,
}

/// Where the tokens of an app are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// Apps from the App Store and TestFlight.
    Production,
    /// Apps that Xcode installed.
    Sandbox,
}

impl Environment {
    /// Apple's host for it.
    const fn host(self) -> &'static str {
        match self {
            Self::Production => "https://api.push.apple.com",
            Self::Sandbox => "https://api.sandbox.push.apple.com",
        }
    }
}

/// How we show Apple who we are.
pub enum Auth {
    /// A provider token (Apple: "Establishing a token-based connection to APNs").
    Token {
        /// The .p8 file: a P-256 key, PKCS#8 in PEM.
        key: Vec<u8>,
        /// Its id, 10 characters.
        key_id: String,
        /// The team's id, 10 characters.
        team_id: String,
    },
    /// A client certificate (Apple: "Establishing a certificate-based connection to APNs").
    Certificate {
        /// PEM with certificate and key, or PKCS#12.
        file: Vec<u8>,
        /// Opens the PKCS#12.
        password: Option<Secret>,
    },
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Token { .. } => "Token(..)",
            Self::Certificate { .. } => "Certificate(..)",
        })
    }
}

/// An app on APNs.
pub struct Apns {
    pub(super) pool: Pool,
    token: Option<ProviderToken>,
    topic: HeaderValue,
    voip_topic: HeaderValue,
    expires: Option<Timestamp>,
    style: Style,
    look: Look,
    important_body: Box<str>,
    /// Makes the apns-id of a push, with the push's own id.
    id_prefix: u64,
    clock: Clock,
}

/// Checks key and certificate; no network.
impl Apns {
    /// # Errors
    /// What is wrong with the key, the certificate, the CA or an id.
    pub fn new(settings: Settings, clock: Clock) -> Result<Self, CredentialError> {
        let (token, identity) = match settings.auth {
            Auth::Token { key, key_id, team_id } => (Some(ProviderToken::new(&key, key_id, team_id)?), None),
            Auth::Certificate { file, password } => (None, Some(Identity::read(&file, password.as_ref())?)),
        };
        let expires = identity.as_ref().and_then(Identity::expires);
        let tls = credential::tls(settings.ca.as_deref(), identity)?;
        let endpoint = match settings.endpoint {
            Some(endpoint) => endpoint,
            None => settings.environment.host().parse().map_err(|_| CredentialError::BadText("endpoint"))?,
        };
        let topic = |topic: &str| HeaderValue::from_str(topic).map_err(|_| CredentialError::BadText("topic"));
        Ok(Self {
            pool: Pool::new(endpoint, tls, settings.limits, clock.clone()),
            token,
            topic: topic(&settings.topic)?,
            voip_topic: topic(&format!("{}.voip", settings.topic))?,
            expires,
            style: settings.style,
            look: settings.look,
            important_body: settings.important_body.into(),
            id_prefix: getrandom::u64().map_err(|error| CredentialError::Client(error.to_string()))?,
            clock,
        })
    }

    /// When its certificate ends, if it has one.
    #[must_use]
    pub const fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// Puts a push on its way, if there is a stream for it right now.
    pub(in crate::gateway) fn start(&self, push: &Push, now: Now, waker: &Waker) -> Start {
        let prepared = match Prepared::new(self, push, now.wall) {
            Ok(prepared) => prepared,
            Err(outcome) => return Start::Known(outcome),
        };
        let signed = match self.authorization(now) {
            Ok(signed) => signed,
            Err(outcome) => return Start::Known(outcome),
        };
        let serial = signed.as_ref().map_or(0, |(_, serial)| *serial);
        let fields = prepared.headers.fields(signed.as_ref());
        let request = Request { path: prepared.path(), fields: &fields };
        let flight = self.pool.start(&request, &prepared.body, now.steady, waker);
        flight.map_or(Start::Waits, |flight| Start::Flies(flight, serial))
    }

    /// What an answer means; `None` if the push should be sent again with a newer token.
    pub(in crate::gateway) fn hear(&self, response: &Response, now: Timestamp) -> Option<Outcome> {
        let status = response.status;
        if status == 403 && self.token.is_some() && reply::is_expired_token(&response.body) {
            return None;
        }
        Some(reply::outcome(status, response.retry_after.as_deref(), &response.body, now))
    }

    /// Sends a push and says what became of it.
    pub async fn send(&self, push: &Push) -> Outcome {
        self.go_on(push, Before::Nothing).await
    }

    /// The same for a push that may have been sent before.
    pub(in crate::gateway) async fn go_on(&self, push: &Push, before: Before) -> Outcome {
        let prepared = match Prepared::new(self, push, self.clock.wall()) {
            Ok(prepared) => prepared,
            Err(outcome) => return outcome,
        };
        let mut again = true;
        let mut before = Some(before);
        loop {
            let (response, serial) = match before.take() {
                Some(Before::Answered(response, serial)) => (response, serial),
                other => {
                    let failed = if let Some(Before::Failed(failed)) = other { Some(failed) } else { None };
                    let signed = match self.authorization(self.clock.now()) {
                        Ok(signed) => signed,
                        Err(outcome) => return outcome,
                    };
                    let fields = prepared.headers.fields(signed.as_ref());
                    let request = Request { path: prepared.path(), fields: &fields };
                    match self.pool.post(&request, &prepared.body, failed).await {
                        Ok(response) => (response, signed.map_or(0, |(_, serial)| serial)),
                        Err(error) => return error.outcome(),
                    }
                }
            };
            if let Some(outcome) = self.hear(&response, self.clock.wall()) {
                return outcome;
            }
            let renewed = |token: &ProviderToken| token.renew(serial, self.clock.now());
            if !(again && self.token.as_ref().is_some_and(renewed)) {
                let status = response.status;
                return reply::outcome(status, response.retry_after.as_deref(), &response.body, self.clock.wall());
            }
            again = false;
        }
    }

    /// The provider token's header and its serial, if we use one.
    fn authorization(&self, now: Now) -> Result<Option<(HeaderValue, u64)>, Outcome> {
        let Some(token) = &self.token else { return Ok(None) };
        match token.current(now) {
            Ok(signed) => Ok(Some(signed)),
            Err(error) => Err(Outcome::OperatorFault(error.to_string().into())),
        }
    }
}

/// One push as a request that can be sent as often as it takes.
struct Prepared<'a> {
    token: Cow<'a, str>,
    headers: Headers<'a>,
    body: Vec<u8>,
}

impl<'a> Prepared<'a> {
    fn new(apns: &'a Apns, push: &'a Push, now: Timestamp) -> Result<Self, Outcome> {
        let notification = Notification::of(push, apns.style, &apns.look, &apns.important_body);
        let voip = notification.is_voip();
        let token = if voip { push.voip_token.as_ref() } else { None }.unwrap_or(&push.token).reveal();
        if !is_token(&token) {
            return Err(Outcome::Unfit("malformed device token".into()));
        }
        let headers = Headers {
            topic: if voip { &apns.voip_topic } else { &apns.topic },
            push_type: notification.kind.push_type(),
            priority: notification.kind.priority(),
            expiration: if voip { 0 } else { (now + push.ttl).secs() }.to_string(),
            collapse_id: notification.collapse_id.filter(|id| is_plain(id)),
            id: id(apns.id_prefix, push.id.0),
        };
        Ok(Self { token, headers, body: notification.body })
    }

    fn path(&self) -> [&[u8]; 2] {
        [PATH, self.token.as_bytes()]
    }
}

/// Whether a token can be part of a path, and may be one of Apple's.
fn is_token(token: &str) -> bool {
    let clean = |byte: u8| byte.is_ascii_alphanumeric() || b":_-".contains(&byte);
    (1..=LONGEST_TOKEN).contains(&token.len()) && token.bytes().all(clean)
}

/// Whether a text can be a header's value as it is.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

struct Headers<'a> {
    topic: &'a HeaderValue,
    push_type: &'static str,
    priority: &'static str,
    expiration: String,
    collapse_id: Option<String>,
    id: [u8; 36],
}

impl Headers<'_> {
    /// What does not come again is kept out of the small table that HPACK remembers values in, as Apple asks.
    fn fields<'f>(&'f self, signed: Option<&'f (HeaderValue, u64)>) -> [Option<Field<'f>>; 8] {
        [
            signed.map(|(value, _)| Field::secret(Name::Authorization, value.as_bytes())),
            Some(Field::lasting(Name::ContentType, b"application/json")),
            Some(Field::lasting(Name::ApnsTopic, self.topic.as_bytes())),
            Some(Field::lasting(Name::ApnsPushType, self.push_type.as_bytes())),
            Some(Field::lasting(Name::ApnsPriority, self.priority.as_bytes())),
            Some(Field::passing(Name::ApnsExpiration, self.expiration.as_bytes())),
            self.collapse_id.as_ref().map(|id| Field::passing(Name::ApnsCollapseId, id.as_bytes())),
            Some(Field::passing(Name::ApnsId, &self.id)),
        ]
    }
}

/// The apns-id: a UUID of our own making (version 8, RFC 9562 §5.8), the same each time this push is sent.
fn id(prefix: u64, push: u64) -> [u8; 36] {
    let random = (u128::from(prefix >> 16) << 16) | 0x8000 | u128::from(prefix & 0xfff);
    // The variant takes two bits of the push's number; those at its top are not in use.
    let number = u128::from(push & !(0b11 << 62) | 0b10 << 62);
    let uuid = (random << 64) | number;
    let mut text = [b'-'; 36];
    // RFC 9562 §4: 8, 4, 4, 4 and 12 digits.
    let mut places = text.iter_mut().enumerate().filter(|(at, _)| !matches!(at, 8 | 13 | 18 | 23));
    for byte in uuid.to_be_bytes() {
        for half in [byte >> 4, byte & 0xf] {
            if let Some((_, place)) = places.next() {
                *place = hex_digit(half);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_apns_id_is_a_uuid_that_names_the_push() {
        assert_eq!(id(0x0123_4567_89ab_cdef, 7), *b"01234567-89ab-8def-8000-000000000007");
        assert_eq!(id(0, u64::MAX), *b"00000000-0000-8000-bfff-ffffffffffff");
    }

    #[test]
    fn auth_prints_no_key() {
        let token = Auth::Token { key: b"hunter2".to_vec(), key_id: "K".into(), team_id: "T".into() };
        assert_eq!(format!("{token:?}"), "Token(..)");
    }
}
