//! Certificate and key of a listener.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use x509_cert::Certificate as X509;
use x509_cert::der::Decode as _;

use crate::domain::time::Timestamp;

/// TLS for a listener: 1.2 and 1.3, HTTP/2 if the client can, else HTTP/1.1.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(..)")
    }
}

/// The certificate of a listener that serves: connections from now on are shown the newest one.
#[derive(Clone, Debug)]
pub struct Certificate(Arc<RwLock<Tls>>);

impl Certificate {
    pub(super) fn new(tls: Tls) -> Self {
        Self(Arc::new(RwLock::new(tls)))
    }

    /// Another one takes its place. Connections that there are keep the one that they know.
    pub fn renew(&self, tls: Tls) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = tls;
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.0.read().unwrap_or_else(PoisonError::into_inner).acceptor()
    }
}

/// What is wrong with a certificate or its key; nothing of the content is in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// No certificate in the file.
    #[error("holds no certificate in PEM")]
    NoCertificate,
    /// No private key in the file.
    #[error("holds no private key in PEM; it begins with -----BEGIN PRIVATE KEY-----, and must not be encrypted")]
    NoKey,
    /// Not the certificate's key, or none that TLS can use.
    #[error("holds a private key that TLS can not use, or that does not belong to the certificate")]
    KeyMismatch,
}

impl TlsError {
    /// Whether it is about the key, not about the certificate.
    #[must_use]
    pub const fn is_about_key(self) -> bool {
        matches!(self, Self::NoKey | Self::KeyMismatch)
    }
}

impl Tls {
    /// From PEM: the certificate with those that lead to its authority, and its key.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(certificate: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<_, _>>()
            .ok()
            .filter(|chain: &Vec<_>| !chain.is_empty())
            .ok_or(TlsError::NoCertificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey)?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config =
            builder.map_err(|_| TlsError::KeyMismatch)?.with_no_client_auth().with_single_cert(chain, key).map_err(
                |error| match error {
                    rustls::Error::InvalidCertificate(_) => TlsError::NoCertificate,
                    _ => TlsError::KeyMismatch,
                },
            )?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.clone())
    }
}

/// When the first certificate of a PEM file ends; `None` if it cannot be read.
#[must_use]
pub fn expires(pem: &[u8]) -> Option<Timestamp> {
    let der = CertificateDer::from_pem_slice(pem).ok()?;
    let certificate = X509::from_der(&der).ok()?;
    let ends = certificate.tbs_certificate().validity().not_after.to_unix_duration();
    Some(Timestamp::from_secs(i64::try_from(ends.as_secs()).ok()?))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    #[test]
    fn certificate_and_key_must_be_there_and_belong_together() {
        let [key, other] = [KeyPair::generate().unwrap(), KeyPair::generate().unwrap()];
        let certificate = CertificateParams::new(vec!["push.test".into()]).unwrap().self_signed(&key).unwrap().pem();
        let (key, other) = (key.serialize_pem(), other.serialize_pem());
        let both = format!("{certificate}{key}");
        let broken = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let rows = [
            (certificate.as_str(), key.as_str(), None),
            (&both, &both, None),
            ("", &key, Some(TlsError::NoCertificate)),
            (broken, &key, Some(TlsError::NoCertificate)),
            (no_certificate, &key, Some(TlsError::NoCertificate)),
            (&certificate, "", Some(TlsError::NoKey)),
            (&certificate, &certificate, Some(TlsError::NoKey)),
            (&certificate, &other, Some(TlsError::KeyMismatch)),
        ];
        for (number, (certificate, key, error)) in rows.into_iter().enumerate() {
            assert_eq!(Tls::new(certificate.as_bytes(), key.as_bytes()).err(), error, "row {number}");
        }
        assert_eq!(format!("{:?}", Tls::new(both.as_bytes(), both.as_bytes())), "Ok(Tls(..))");
    }
}
