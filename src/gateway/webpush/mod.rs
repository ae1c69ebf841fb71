//! Web Push: the push services of browsers (RFC 8030), with messages that only the browser can open (RFC 8291) and the
//! operator's signature (RFC 8292).
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | [`WebPush`]: one push, one POST, one outcome |
//! | `payload.rs` | what the page is told, and how urgent it is |
//! | `seal.rs` | encryption and padding |
//! | `vapid.rs` | who we are |
//! | `resolve.rs` | which addresses may be connected to |
//! | `origin.rs` | how much of us one push service may take |
//! | `reply.rs` | what the answer means |

mod origin;
mod payload;
pub(super) mod reply;
pub mod resolve;
mod seal;
mod vapid;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, Url};
use tokio::time::timeout;

use self::origin::{Lane, Origin, Origins};
use self::payload::Notification;
use self::resolve::{Guard, Lookup, Refused};
use self::seal::{Fresh, NotSealed, PADDED};
use self::vapid::Vapid;
use super::credential::CredentialError;
use super::{HostSeen, words};
use crate::clock::Clock;
use crate::domain::outcome::Outcome;
use crate::domain::pattern::DomainPattern;
use crate::domain::push::Push;
use crate::domain::subscription::Subscription;

const TTL: HeaderName = HeaderName::from_static("ttl");
const URGENCY: HeaderName = HeaderName::from_static("urgency");
const TOPIC: HeaderName = HeaderName::from_static("topic");

/// How long a connection without requests is kept.
const IDLE: Duration = Duration::from_secs(60);

/// What an operator says of an app on Web Push.
pub struct Settings {
    /// The key that signs, PEM; pages subscribe with its public half.
    pub vapid_key: Vec<u8>,
    /// Where the operators of push services can reach ours: a `mailto:` or `https:` address.
    pub vapid_subject: String,
    /// The hosts that may be posted to.
    pub allow_hosts: Vec<DomainPattern>,
    /// Whether pages get what they should not show.
    pub silent: bool,
    /// The only CA to trust, PEM; otherwise those of the system.
    pub ca: Option<Vec<u8>>,
    /// Stand-ins, by host: where to connect instead, whatever address that is. TLS is for the host all the same.
    pub connect_to: HashMap<String, SocketAddr>,
    /// How names become addresses; [`resolve::system`] but for tests.
    pub lookup: Lookup,
    /// How far it goes.
    pub limits: Limits,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Settings");
        debug.field("allow_hosts", &self.allow_hosts).field("silent", &self.silent).finish_non_exhaustive()
    }
}

/// How far a Web Push gateway goes. The defaults are meant for push services on the internet; tests use smaller ones.
#[derive(Clone, Debug)]
pub struct Limits {
    /// From the push to the head of its answer, waiting and a second attempt included.
    pub deadline: Duration,
    /// For name, TCP and TLS together.
    pub connect: Duration,
    /// Silence on a connection with open requests before it is asked for a sign of life, and how long that may take.
    /// Both together leave time to send again within the deadline. HTTP/2 only.
    pub alive: Duration,
    /// How long the body of a refusal may take. What was not read by then is not waited for.
    pub body_within: Duration,
    /// How much of such a body is read, in bytes.
    pub body: usize,
    /// Pushes to one push service at once, those that wait included. What is beyond is unavailable, so that a slow one
    /// does not take the places of the others.
    pub per_origin: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(20),
            connect: Duration::from_secs(10),
            alive: Duration::from_secs(5),
            body_within: Duration::from_secs(3),
            body: 4096,
            per_origin: 1024,
        }
    }
}

/// An app on Web Push.
pub struct WebPush {
    vapid: Vapid,
    allow_hosts: Vec<DomainPattern>,
    silent: bool,
    /// Takes whichever HTTP the other side speaks.
    any: Client,
    /// For those that speak HTTP/2: all requests share one connection, from the first on.
    http2: Client,
    origins: Origins,
    guard: Arc<Guard>,
    limits: Limits,
    clock: Clock,
}

impl WebPush {
    /// Checks key, subject and CA; no network.
    ///
    /// # Errors
    /// What is wrong with one of these.
    pub fn new(settings: Settings, clock: Clock) -> Result<Self, CredentialError> {
        let vapid = Vapid::new(&settings.vapid_key, settings.vapid_subject)?;
        let guard = Arc::new(Guard::new(settings.lookup, settings.connect_to));
        let client = |http2: bool| {
            let mut builder = Client::builder()
                .https_only(true)
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .dns_resolver(guard.clone())
                .connect_timeout(settings.limits.connect)
                .http2_keep_alive_interval(settings.limits.alive)
                .http2_keep_alive_timeout(settings.limits.alive)
                .pool_idle_timeout(IDLE);
            if let Some(pem) = &settings.ca {
                let roots = reqwest::Certificate::from_pem_bundle(pem).map_err(|_| CredentialError::BadCa)?;
                if roots.is_empty() {
                    return Err(CredentialError::BadCa);
                }
                builder = builder.tls_certs_only(roots);
            }
            let builder = if http2 { builder.http2_prior_knowledge() } else { builder };
            builder.build().map_err(|error| CredentialError::Client(error.to_string()))
        };
        Ok(Self {
            vapid,
            allow_hosts: settings.allow_hosts,
            silent: settings.silent,
            any: client(false)?,
            http2: client(true)?,
            origins: Origins::default(),
            guard,
            limits: settings.limits,
            clock,
        })
    }

    /// What a page subscribes with (`applicationServerKey`): base64url without padding.
    #[must_use]
    pub fn public_key(&self) -> &str {
        self.vapid.public_key()
    }

    /// Looks up the hosts that may be posted to, all at once. Those that are only named by what they lie below cannot
    /// be.
    pub(super) async fn look_up(&self) -> Vec<HostSeen> {
        let hosts = self.allow_hosts.iter().filter_map(|pattern| match pattern {
            DomainPattern::Exactly(host) => Some(host.as_str()),
            DomainPattern::Any | DomainPattern::Below(_) => None,
        });
        let look = async |host: &str| {
            let trouble = self.guard.addresses(host).await.err().map(|refused| refused.to_string());
            HostSeen { host: host.to_owned(), trouble }
        };
        futures_util::future::join_all(hosts.map(look)).await
    }

    /// Sends a push and says what became of it. What pages do not get is withheld.
    pub async fn send(&self, push: &Push) -> Outcome {
        let Some(notification) = Notification::of(push, self.silent) else { return Outcome::Withheld };
        let Some(subscription) = Subscription::of_token(&push.token) else {
            return Outcome::Unfit("malformed subscription".into());
        };
        let Some(url) = url(&subscription) else { return Outcome::Unfit("malformed endpoint".into()) };
        // It was when the page registered: since then, the operator has changed the list, and may change it back.
        if !subscription.is_allowed(&self.allow_hosts) {
            return unavailable("the endpoint's host is not in allow_hosts".into());
        }
        let origin = self.origins.at(subscription.host().as_str());
        let Some(_place) = origin.place(self.limits.per_origin) else {
            return unavailable(format!("too many pushes wait for {}", origin.name));
        };
        let sealed = Fresh::generate().and_then(|fresh| seal::seal(&notification.json, PADDED, &subscription, &fresh));
        let body = match sealed {
            Ok(body) => Bytes::from(body),
            Err(error @ NotSealed::BadKey) => return Outcome::Unfit(error.to_string().into()),
            Err(error) => return unavailable(error.to_string()),
        };
        let authorization = match self.vapid.header(&origin.name, &origin.signed, self.clock.now()) {
            Ok(authorization) => authorization,
            Err(error) => return Outcome::OperatorFault(error.to_string().into()),
        };
        let headers = headers(&notification, authorization);
        match timeout(self.limits.deadline, self.post(&origin, url, headers, body)).await {
            Ok(Ok(response)) => self.read(response).await,
            Ok(Err(error)) => failure(&origin.name, &error),
            Err(_) => unavailable(format!("{}: timeout: no answer in time", origin.name)),
        }
    }

    /// One request, sent once more if its connection is lost before an answer: a phone woken twice is better than one
    /// not woken.
    async fn post(
        &self,
        origin: &Origin,
        url: Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response, reqwest::Error> {
        let lanes = origin.lanes();
        let (lane, _permit) = lanes.enter().await;
        let client = if lane == Lane::Http2 { &self.http2 } else { &self.any };
        let mut again = true;
        loop {
            let request = client.post(url.clone()).headers(headers.clone()).body(body.clone());
            match request.send().await {
                Ok(response) => {
                    lanes.learn(response.version());
                    return Ok(response);
                }
                Err(error) if again && error.is_request() && !error.is_connect() => again = false,
                Err(error) => {
                    if lane == Lane::Http2 {
                        // Perhaps it speaks HTTP/2 no more.
                        origin.unlearn(&lanes);
                    }
                    return Err(error);
                }
            }
        }
    }

    /// The outcome of an answer. Its status counts even if the rest is late or lost.
    async fn read(&self, mut response: Response) -> Outcome {
        let status = response.status();
        let mut body = Vec::new();
        if !status.is_success() {
            let reading = async {
                while let Ok(Some(chunk)) = response.chunk().await {
                    let room = self.limits.body.saturating_sub(body.len()).min(chunk.len());
                    body.extend_from_slice(chunk.get(..room).unwrap_or_default());
                    if body.len() >= self.limits.body {
                        break;
                    }
                }
            };
            // Either way, what is here is what there is.
            let _late = timeout(self.limits.body_within, reading).await;
        }
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        reply::outcome(status.as_u16(), retry_after, &body, self.clock.wall())
    }
}

/// The endpoint as an address to post to; `None` if the two parsers do not agree about where it leads.
fn url(subscription: &Subscription) -> Option<Url> {
    let url = Url::parse(subscription.endpoint()).ok()?;
    let same = url.scheme() == "https"
        && url.host_str() == Some(subscription.host().as_str())
        && url.username().is_empty()
        && url.password().is_none();
    same.then_some(url)
}

fn headers(notification: &Notification, authorization: HeaderValue) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(6);
    headers.insert(AUTHORIZATION, authorization);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("aes128gcm"));
    headers.insert(TTL, HeaderValue::from(notification.ttl));
    headers.insert(URGENCY, HeaderValue::from_static(notification.urgency));
    if let Some(topic) = notification.topic.as_deref().and_then(|topic| HeaderValue::from_str(topic).ok()) {
        headers.insert(TOPIC, topic);
    }
    headers
}

/// What the lack of an answer means. No part of the text may be the error's own: that names the endpoint.
fn failure(origin: &str, error: &reqwest::Error) -> Outcome {
    // The innermost cause says what happened; the outer ones only where.
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
        if let Some(refused) = cause.downcast_ref::<Refused>() {
            return unavailable(refused.to_string());
        }
    }
    let said = if cause.is::<reqwest::Error>() { String::new() } else { cause.to_string() };
    if said.contains("invalid peer certificate") {
        let text = format!("{origin}: TLS: {}; check ca_file and this machine's clock", words::reason(&said));
        return Outcome::OperatorFault(text.into());
    }
    let what = match (error.is_timeout(), error.is_connect()) {
        (true, true) => "no connection in time",
        (_, true) => "no connection",
        _ => "the connection was lost before the answer",
    };
    unavailable(format!("{origin}: {what} ({})", words::reason(&said)))
}

fn unavailable(reason: String) -> Outcome {
    Outcome::Unavailable { retry_after: None, reason: reason.into() }
}
