//! The addresses that we listen at.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::info;

use super::Failure;
use super::watch::Watcher;
use crate::clock::Clock;
use crate::config::{Complaint, Http, PublicHttp};
use crate::domain::ids::Domain;
use crate::driver::AnswerHttp;
use crate::flows::data::{Answer, Input};
use crate::http::{Certificate, Limits, Listener, Operators, Public, Server, Tls, Waiting};

/// How many requests over HTTP may wait for the driver. They come from strangers and operators, and are few.
const QUEUE: usize = 64;

/// Addresses that are taken: whoever connects waits until [`super::run_on`] serves.
#[derive(Debug)]
pub struct Listeners {
    operators: Option<Listener>,
    public: Option<(Listener, Option<Tls>)>,
}

impl Listeners {
    /// Takes the addresses of `[http]`.
    ///
    /// # Errors
    /// A certificate is none, or the system does not give us an address.
    pub fn bind(http: &Http) -> Result<Self, Failure> {
        let tls = check(http).map_err(Failure::Config)?;
        let bind = |key, address: Option<SocketAddr>| {
            let bound =
                address.map(|address| Listener::bind(address).map_err(|error| Failure::Listen { key, address, error }));
            bound.transpose()
        };
        let operators = bind("http.listen", http.listen)?;
        let public = bind("http.public.listen", http.public.as_ref().map(|PublicHttp { listen, .. }| *listen))?;
        Ok(Self { operators, public: public.map(|listener| (listener, tls)) })
    }

    /// The address of `[http]`, with the port that the system chose if 0 was asked for.
    #[must_use]
    pub fn operators(&self) -> Option<SocketAddr> {
        self.operators.as_ref().and_then(|listener| listener.address().ok())
    }

    /// The address of `[http.public]`, with the port that the system chose if 0 was asked for.
    #[must_use]
    pub fn public(&self) -> Option<SocketAddr> {
        self.public.as_ref().and_then(|(listener, _)| listener.address().ok())
    }
}

/// Checks what [`crate::config`] cannot: whether certificate and key are such, and belong together. No network.
///
/// # Errors
/// What must be mended.
pub fn check(http: &Http) -> Result<Option<Tls>, Vec<Complaint>> {
    let Some(files) = http.public.as_ref().and_then(|public| public.tls.as_ref()) else { return Ok(None) };
    Tls::new(&files.certificate, &files.key).map(Some).map_err(|error| {
        let key = if error.is_about_key() { "http.public.key_file" } else { "http.public.certificate_file" };
        vec![Complaint { key: key.to_owned(), text: error.to_string() }]
    })
}

/// What is served over HTTP, and the driver's ends of it.
pub(super) struct Desk {
    inputs: mpsc::Sender<Input>,
    strangers: mpsc::Receiver<Input>,
    waiting: Arc<Waiting>,
    servers: Vec<Server>,
    certificate: Option<Certificate>,
}

impl Desk {
    /// Begins to serve.
    pub(super) fn open(listeners: Listeners, jid: &Domain, clock: &Clock, watcher: &Watcher) -> io::Result<Self> {
        let (inputs, strangers) = mpsc::channel(QUEUE);
        let waiting = Arc::<Waiting>::default();
        let mut servers = Vec::new();
        if let Some(listener) = listeners.operators {
            let address = listener.address()?;
            let limits = Limits::for_operators();
            let operators = Operators {
                inputs: inputs.clone(),
                waiting: waiting.clone(),
                clock: clock.clone(),
                answer_within: limits.answer_within,
                page: watcher.clone(),
                served: watcher.operators(),
            };
            servers.push(Server::start(listener, None, limits, clock.clone(), Arc::new(operators))?);
            info!("metrics are at http://{address}/metrics, health at /healthz and /readyz");
        }
        let Some((listener, tls)) = listeners.public else {
            return Ok(Self { inputs, strangers, waiting, servers, certificate: None });
        };
        let (address, scheme) = (listener.address()?, if tls.is_some() { "https" } else { "http" });
        let limits = Limits::default();
        let public = Public {
            jid: jid.clone(),
            inputs: inputs.clone(),
            waiting: waiting.clone(),
            clock: clock.clone(),
            answer_within: limits.answer_within,
            served: watcher.public(),
        };
        let server = Server::start(listener, tls, limits, clock.clone(), Arc::new(public))?;
        info!("apps can unregister at {scheme}://{address}/unregister-device/{jid}");
        let certificate = server.certificate();
        servers.push(server);
        Ok(Self { inputs, strangers, waiting, servers, certificate })
    }

    /// Where else something for the driver may come from.
    pub(super) fn inputs(&self) -> mpsc::Sender<Input> {
        self.inputs.clone()
    }

    /// What is shown to those who connect, to be replaced.
    pub(super) fn certificate(&self) -> Option<Certificate> {
        self.certificate.clone()
    }

    /// The ends: what is asked, who is told, and what is to be closed once the driver has ended.
    pub(super) fn into_parts(self) -> (mpsc::Receiver<Input>, Answers, Closing) {
        let answers = Answers(self.waiting.clone());
        (self.strangers, answers, Closing { waiting: self.waiting, servers: self.servers })
    }
}

/// Tells those who asked over HTTP.
pub(super) struct Answers(Arc<Waiting>);

impl AnswerHttp for Answers {
    fn answer(&self, request: u64, answer: Answer) {
        self.0.answer(request, answer);
    }
}

/// What is left of it for the end.
pub(super) struct Closing {
    waiting: Arc<Waiting>,
    servers: Vec<Server>,
}

impl Closing {
    /// Nobody answers any more: whoever still waits is told so.
    pub(super) async fn close(self, within: Duration) {
        self.waiting.close();
        futures_util::future::join_all(self.servers.into_iter().map(|server| server.shutdown(within))).await;
    }
}
