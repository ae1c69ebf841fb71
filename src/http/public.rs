//! `[http.public]`: what apps must reach. It is one thing, the unregistration of Tigase's dialect, for an app whose
//! account can no longer log in (as Siskin IM and Snikket iOS ask for it):
//!
//! ```text
//! POST /unregister-device/push.example.org          or /rest/push/unregister-device/push.example.org
//! {"account": "romeo@example.org", "provider": "tigase:messenger:apns:1", "device-token": "AC40…"}
//! ```
//!
//! It is success if and only if the answer is `{"result":"success"}`, which goes out when the change is on disk. Nobody
//! vouches for who asks: the token is the proof. So a wrong account, an unknown app and an unknown token get the same
//! answer.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::serve::Handler;
use super::served::Served;
use super::waiting::Waiting;
use crate::clock::Clock;
use crate::domain::ids::{Account, DeviceHash, Domain};
use crate::flows::data::{Answer, DeviceUnregistration, Input, Ticket};

/// Where the apps ask: Tigase's component behind its own web server, and behind its REST module.
const PATHS: [&str; 2] = ["/unregister-device/", "/rest/push/unregister-device/"];

/// The handler of `[http.public]`.
#[derive(Debug)]
pub struct Public {
    /// Our JID, as apps name it.
    pub jid: Domain,
    /// Where requests go.
    pub inputs: mpsc::Sender<Input>,
    /// Where their answers come from.
    pub waiting: Arc<Waiting>,
    /// For when a request was read.
    pub clock: Clock,
    /// How long an answer is waited for; then it is 503. The change may be made all the same.
    pub answer_within: Duration,
    /// Counts what was answered.
    pub served: Arc<Served>,
}

impl Handler for Public {
    fn handle(&self, request: Request<Bytes>) -> impl Future<Output = Response<Full<Bytes>>> + Send {
        let read = self.read(&request);
        async {
            let status = match read {
                Ok(unregistration) => self.ask(unregistration).await,
                Err(status) => status,
            };
            answer(status)
        }
    }

    fn refuse(&self, status: StatusCode) -> Response<Full<Bytes>> {
        answer(status)
    }

    fn answered(&self, status: StatusCode) {
        self.served.count(status);
    }
}

impl Public {
    fn read(&self, request: &Request<Bytes>) -> Result<DeviceUnregistration, StatusCode> {
        let path = request.uri().path();
        let name = PATHS.iter().find_map(|prefix| path.strip_prefix(prefix)).ok_or(StatusCode::NOT_FOUND)?;
        if !self.is_our_name(name) {
            return Err(StatusCode::NOT_FOUND);
        }
        if request.method() != Method::POST {
            return Err(StatusCode::METHOD_NOT_ALLOWED);
        }
        unregistration(request.body()).ok_or(StatusCode::BAD_REQUEST)
    }

    fn is_our_name(&self, segment: &str) -> bool {
        let name = percent_encoding::percent_decode_str(segment).decode_utf8();
        let name = name.ok().and_then(|name| jid::DomainPart::new(&name).ok().map(|name| Domain::new(name.as_str())));
        name.as_ref() == Some(&self.jid)
    }

    async fn ask(&self, unregistration: DeviceUnregistration) -> StatusCode {
        let mut waiter = self.waiting.wait();
        let ticket = Ticket::over_http(waiter.number, self.clock.steady());
        if self.inputs.try_send(Input::Unregister { ticket, unregistration }).is_err() {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        match timeout(self.answer_within, waiter.answer()).await {
            Ok(Some(answer)) => status(&answer),
            Ok(None) | Err(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// What apps send. Whatever else there is in it is not looked at, nor is the type that the request claims for it.
#[derive(Deserialize)]
struct Body {
    account: String,
    provider: String,
    #[serde(rename = "device-token")]
    token: String,
}

/// What it asks for: the same as the command `unregister-device` with these fields, sent by the account.
fn unregistration(body: &[u8]) -> Option<DeviceUnregistration> {
    let Body { account, provider, token } = serde_json::from_slice(body).ok()?;
    let account = jid::BareJid::new(account.trim()).ok().filter(|account| account.node().is_some())?;
    let (provider, token) = (provider.trim(), token.trim());
    if provider.is_empty() || token.is_empty() || token.contains(char::is_control) {
        return None;
    }
    Some(DeviceUnregistration {
        command: "unregister-device".into(),
        service: provider.into(),
        account: DeviceHash::of(account.as_str(), &token.to_ascii_lowercase()),
        owner: Account::new(account.as_str()),
        channel: None,
    })
}

fn status(answer: &Answer) -> StatusCode {
    use crate::domain::refusal::Refusal;
    match answer {
        Answer::Unregistered { .. } => StatusCode::OK,
        Answer::Refused(Refusal::TryLater(_)) => StatusCode::SERVICE_UNAVAILABLE,
        Answer::Refused(_) => StatusCode::NOT_FOUND,
        Answer::Done | Answer::Registered { .. } | Answer::Command(_) | Answer::Status(_) => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

fn answer(status: StatusCode) -> Response<Full<Bytes>> {
    let text: &'static [u8] = if status.is_success() { br#"{"result":"success"}"# } else { br#"{"result":"failure"}"# };
    let mut response = Response::new(Full::new(Bytes::from_static(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    match status {
        StatusCode::METHOD_NOT_ALLOWED => headers.insert(ALLOW, HeaderValue::from_static("POST")),
        StatusCode::SERVICE_UNAVAILABLE => headers.insert(RETRY_AFTER, HeaderValue::from_static("30")),
        _ => None,
    };
    response
}

#[cfg(test)]
#[path = "public_tests.rs"]
mod tests;
