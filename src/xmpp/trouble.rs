//! What can go wrong with the link, in words for the one who is woken by it.

use std::io;

use super::frame::Fault;
use super::inbound::StreamError;

/// Why [`run`](super::link::run) gave up.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The host refused the secret when the process started: better to say so and stop than to look alive.
    #[error(
        "the host at {host} refused the secret of {jid}: write the host's secret for this component into \
         component.secret (Prosody: component_secret, ejabberd: the listener's password). ejabberd says the same of a \
         component.jid that is not among the listener's hosts"
    )]
    WrongSecret {
        /// The component's JID.
        jid: String,
        /// `component.connect`.
        host: String,
    },
}

/// Why there is no stream, or no stream any more. All of it passes, or waits for the operator.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// No connection.
    #[error("cannot connect to {host}: {source}; is the host running, and is component.connect right?")]
    Connect {
        /// `component.connect`.
        host: String,
        /// What the system says.
        source: io::Error,
    },
    /// Connected, but the host does not speak.
    #[error("the host accepted the connection but did not finish the handshake in time; is this its component port?")]
    HandshakeTimeout,
    /// The host refused the handshake.
    #[error("the host refused the secret: component.secret is not the host's secret for this component")]
    WrongSecret,
    /// The host closed the connection on the handshake without a word.
    #[error("the host closed the connection on the handshake without a word; is component.secret the host's?")]
    ClosedAtHandshake,
    /// The host does not have this component.
    #[error(
        "the host does not know the component {jid}: declare it there (Prosody: Component \"{jid}\", ejabberd: the \
         listener's hosts), or mend component.jid; is component.connect its port for components, not that for clients?"
    )]
    UnknownToHost {
        /// The component's JID.
        jid: String,
    },
    /// The host ended the stream, and says why.
    #[error("the host ended the stream: {}{}{}", .0.condition, if .0.text.is_empty() { "" } else { ": " }, .0.text)]
    Host(StreamError),
    /// The host ended the stream in good order.
    #[error("the host ended the stream")]
    Ended,
    /// The host closed the connection without ending the stream.
    #[error("the host closed the connection")]
    Closed,
    /// The connection broke.
    #[error("the connection to the host broke: {0}")]
    Broken(#[from] io::Error),
    /// What came cannot be a stream.
    #[error("the stream from the host cannot be read: {0}")]
    Fault(#[from] Fault),
    /// The host is silent, even when pinged.
    #[error("the host did not answer a ping; its machine or the network is gone, or it hangs")]
    Silent,
    /// The host reads nothing any more.
    #[error("the host takes no answers any more; it hangs")]
    Stalled,
}

impl Trouble {
    /// Tells kinds apart: of each, the first one is logged, not every try.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Connect { .. } => "connect",
            Self::HandshakeTimeout => "handshake-timeout",
            Self::WrongSecret => "wrong-secret",
            Self::ClosedAtHandshake => "closed-at-handshake",
            Self::UnknownToHost { .. } => "unknown-to-host",
            Self::Host(error) => &error.condition,
            Self::Ended => "ended",
            Self::Closed => "closed",
            Self::Broken(_) => "broken",
            Self::Fault(_) => "fault",
            Self::Silent => "silent",
            Self::Stalled => "stalled",
        }
    }
}
