//! What we serve over HTTP: `[http.public]`, the little that apps must reach from outside, and `[http]`, what operators
//! ask.
//!
//! | file | what |
//! |---|---|
//! | `gate` | who may connect, and how often they may ask |
//! | `serve` | connections: TLS, HTTP/1.1 and HTTP/2, deadlines; what is asked goes to a [`Handler`] |
//! | `public` | the handler of `[http.public]`: Tigase's unregistration |
//! | `operators` | the handler of `[http]`: metrics and health |
//! | `health` | what is said of our health |
//! | `served` | how many requests were answered |
//! | `waiting` | requests that the driver has yet to answer |
//! | `tls` | certificate and key |
//!
//! Strangers can reach some of it, so everything is bounded ([`Limits`]): connections, what one may send, how long it
//! may take, and how often it may ask. Another listener needs a [`Handler`] of its own and nothing else.

mod gate;
mod health;
mod operators;
mod public;
mod serve;
mod served;
mod tls;
mod waiting;

use std::time::Duration;

use crate::domain::rate::Rate;

pub use operators::{Operators, Page};
pub use public::Public;
pub use serve::{Handler, Listener, Server};
pub use served::Served;
pub use tls::{Certificate, Tls, TlsError, expires};
pub use waiting::Waiting;

/// What a listener lets its clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; more are closed at once.
    pub connections: usize,
    /// Connections at a time from one address.
    pub connections_per_address: usize,
    /// Requests from all addresses; more are answered 429.
    pub rate: Rate,
    /// Requests from one address, whatever they ask.
    pub rate_per_address: Rate,
    /// Bytes of a request's body; a longer one is answered 413.
    pub body: usize,
    /// How long a TLS handshake may take, the head of a request, and its body; each.
    pub read_within: Duration,
    /// How long the driver may take to answer; then it is 503.
    pub answer_within: Duration,
    /// How long a connection may last, whatever it does.
    pub connection_within: Duration,
    /// Whether an HTTP/1.1 connection may bring more than one request. If not, nobody can hold on to one.
    pub keep_alive: bool,
}

impl Limits {
    /// For `[http]`: a few programs ask, each every few seconds, and for as long as they live.
    #[must_use]
    pub fn for_operators() -> Self {
        Self {
            connections: 64,
            // Longer than anybody waits between two scrapes.
            read_within: Duration::from_secs(75),
            answer_within: Duration::from_secs(2),
            connection_within: Duration::from_secs(24 * 3600),
            keep_alive: true,
            ..Self::default()
        }
    }
}

impl Default for Limits {
    /// For `[http.public]`: an app asks once in its life, and twice if the first address is not to its taste.
    fn default() -> Self {
        Self {
            connections: 256,
            connections_per_address: 16,
            rate: Rate { count: 50, per: Duration::from_secs(1) },
            rate_per_address: Rate { count: 20, per: Duration::from_secs(60) },
            body: 4096,
            read_within: Duration::from_secs(10),
            answer_within: Duration::from_secs(10),
            connection_within: Duration::from_secs(30),
            keep_alive: false,
        }
    }
}
