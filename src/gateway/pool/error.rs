//! What can go wrong between us and a vendor.

use std::io;
use std::sync::Arc;

use rustls::AlertDescription;

use crate::domain::outcome::Outcome;

/// No answer came. Every text names what to look at; none holds a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// The deadline of the request passed.
    #[error("timeout: no answer in time")]
    Late,
    /// No connection could be made.
    #[error("cannot reach {0}")]
    Unreachable(Arc<str>),
    /// The vendor's certificate is not to be trusted.
    #[error("TLS: certificate not trusted: {0}; check ca_file, endpoint and this machine's clock")]
    Untrusted(Arc<str>),
    /// The vendor refuses our client certificate.
    #[error("TLS: the vendor refuses our client certificate ({0}); renew certificate_file")]
    CertificateRefused(Arc<str>),
    /// What answers does not speak HTTP/2.
    #[error("{0} does not speak HTTP/2; check endpoint")]
    NotHttp2(Arc<str>),
    /// The connection was lost, twice, before the answer.
    #[error("the connection was lost before the answer ({0})")]
    Cut(Arc<str>),
    /// The vendor keeps turning streams away.
    #[error("the vendor keeps refusing streams")]
    Refused,
    /// The pool is shut.
    #[error("shutting down")]
    Closed,
}

impl PoolError {
    /// What it means for a push.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let reason = self.to_string().into();
        if self.is_lasting() {
            Outcome::OperatorFault(reason)
        } else {
            Outcome::Unavailable { retry_after: None, reason }
        }
    }

    /// Whether only the operator can mend it, so that trying again soon is of no use.
    pub(super) const fn is_lasting(&self) -> bool {
        matches!(self, Self::Untrusted(_) | Self::CertificateRefused(_) | Self::NotHttp2(_))
    }

    /// From an IO error of a TCP or TLS connection to `peer`.
    pub(super) fn from_io(error: &io::Error, peer: &str) -> Self {
        let Some(tls) = tls_error(error) else {
            return Self::Unreachable(format!("{peer}: {error}").into());
        };
        match tls {
            rustls::Error::InvalidCertificate(why) => Self::Untrusted(format!("{peer}: {why}").into()),
            rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => Self::NotHttp2(peer.into()),
            rustls::Error::AlertReceived(alert) if is_about_certificate(*alert) => {
                Self::CertificateRefused(format!("{alert:?}").into())
            }
            other => Self::Unreachable(format!("{peer}: TLS: {other}").into()),
        }
    }
}

/// The TLS error inside an IO error, wherever it is wrapped.
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    let inner = error.get_ref()?;
    if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
        return Some(tls);
    }
    inner.source().and_then(|source| source.downcast_ref::<rustls::Error>())
}

/// Alerts by which a server turns a client certificate away (RFC 8446 §6.2).
const fn is_about_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateRequired
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_the_operator_can_mend_is_his_fault() {
        let tls = |error| PoolError::from_io(&io::Error::new(io::ErrorKind::InvalidData, error), "host:1");
        let alert = |alert| tls(rustls::Error::AlertReceived(alert));
        let invalid = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "refused");
        let rows = [
            (tls(invalid), "operator-fault", "TLS: certificate not trusted"),
            (alert(AlertDescription::CertificateExpired), "operator-fault", "refuses our client certificate"),
            (alert(AlertDescription::NoApplicationProtocol), "operator-fault", "does not speak HTTP/2"),
            (alert(AlertDescription::InternalError), "unavailable", "cannot reach host:1: TLS"),
            (PoolError::from_io(&refused, "host:1"), "unavailable", "cannot reach host:1: refused"),
            (PoolError::Late, "unavailable", "timeout"),
        ];
        for (error, name, words) in rows {
            let outcome = error.outcome();
            assert_eq!(outcome.name(), name, "{error}");
            assert!(outcome.reason().is_some_and(|reason| reason.contains(words)), "{error}");
        }
    }
}
