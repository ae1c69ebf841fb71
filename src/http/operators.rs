//! `[http]`: what operators and their programs ask.
//!
//! | path | what |
//! |---|---|
//! | `/metrics` | the page for Prometheus; always 200, also while the driver is stuck |
//! | `/healthz` | 200 if the driver answers, else 503: then a restart is of use |
//! | `/readyz` | 200 if pushes can come in and be promised, else 503; each reason on a line of its own |

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::health::{Report, STUCK};
use super::serve::Handler;
use super::served::Served;
use super::waiting::Waiting;
use crate::clock::Clock;
use crate::flows::data::{Answer, Input, Status, Ticket};

/// The type of the page (Prometheus, "Exposition formats").
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Writes the page.
pub trait Page: Send + Sync + 'static {
    /// The page; `status` is `None` if the driver did not say how it stands.
    fn page(&self, status: Option<&Status>) -> String;
}

/// The handler of `[http]`.
#[derive(Debug)]
pub struct Operators<P> {
    /// Where the driver is asked.
    pub inputs: mpsc::Sender<Input>,
    /// Where its answers come from.
    pub waiting: Arc<Waiting>,
    /// For when a request was read.
    pub clock: Clock,
    /// How long an answer is waited for.
    pub answer_within: Duration,
    /// Writes the page.
    pub page: P,
    /// Counts what was answered.
    pub served: Arc<Served>,
}

#[derive(Clone, Copy)]
enum Asked {
    Metrics,
    Health,
    Readiness,
}

impl<P: Page> Handler for Operators<P> {
    fn handle(&self, request: Request<Bytes>) -> impl Future<Output = Response<Full<Bytes>>> + Send {
        let asked = match request.uri().path() {
            "/metrics" => Ok(Asked::Metrics),
            "/healthz" => Ok(Asked::Health),
            "/readyz" => Ok(Asked::Readiness),
            _ => Err(StatusCode::NOT_FOUND),
        };
        let allowed = matches!(*request.method(), Method::GET | Method::HEAD);
        let asked = asked.and_then(|asked| if allowed { Ok(asked) } else { Err(StatusCode::METHOD_NOT_ALLOWED) });
        async move {
            match asked {
                Ok(asked) => self.answer(asked).await,
                Err(status) => self.refuse(status),
            }
        }
    }

    fn refuse(&self, status: StatusCode) -> Response<Full<Bytes>> {
        let mut response = said(status, TEXT, format!("{status}\n"));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }

    fn answered(&self, status: StatusCode) {
        self.served.count(status);
    }
}

impl<P: Page> Operators<P> {
    async fn answer(&self, asked: Asked) -> Response<Full<Bytes>> {
        let status = self.ask().await;
        let status = status.as_deref();
        match (asked, status) {
            (Asked::Metrics, status) => said(StatusCode::OK, METRICS, self.page.page(status)),
            (_, None) => said(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("not ready\n{STUCK}\n")),
            (Asked::Health, Some(_)) => said(StatusCode::OK, TEXT, "ok\n".into()),
            (Asked::Readiness, Some(status)) => {
                let report = Report::of(status);
                let code = if report.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                said(code, TEXT, report.text())
            }
        }
    }

    /// How all of it stands, if the driver says so in time.
    async fn ask(&self) -> Option<Box<Status>> {
        let mut waiter = self.waiting.wait();
        let ticket = Ticket::over_http(waiter.number, self.clock.steady());
        let asking = async {
            // What strangers ask has filled the queue: that is no reason to say that the driver is stuck.
            self.inputs.send(Input::Status { ticket }).await.ok()?;
            waiter.answer().await
        };
        match timeout(self.answer_within, asking).await {
            Ok(Some(Answer::Status(status))) => Some(status),
            _ => None,
        }
    }
}

fn said(code: StatusCode, kind: HeaderValue, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
#[path = "operators_tests.rs"]
mod tests;
