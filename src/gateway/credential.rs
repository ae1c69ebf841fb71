//! Keys and certificates, read and checked without a network.

use std::fmt;
use std::sync::Arc;

use p12_keystore::{KeyStore, KeyStoreEntry, Pkcs12ImportPolicy};
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls_platform_verifier::BuilderVerifierExt as _;

use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use super::endpoint::EndpointError;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

/// What is wrong with a key, a certificate or a CA. The caller says in which file, under which key of the
/// configuration; nothing of the content is in the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// No private key in it.
    #[error("holds no private key in PEM; Apple's .p8 file begins with -----BEGIN PRIVATE KEY-----")]
    NoKey,
    /// An encrypted private key in PEM.
    #[error("holds an encrypted private key; decrypt it (openssl pkcs8 -in FILE -out NEWFILE), or use PKCS#12")]
    EncryptedKey,
    /// Not the kind of key APNs signs with.
    #[error("is no P-256 key; APNs provider tokens need the .p8 key of Apple's developer site")]
    NotP256,
    /// Not the kind of key Web Push signs with.
    #[error(
        "holds no P-256 private key in PEM; make one with: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out FILE"
    )]
    NotVapid,
    /// An encrypted one.
    #[error("holds an encrypted private key; decrypt it: openssl pkcs8 -in FILE -out NEWFILE")]
    EncryptedVapid,
    /// Not the kind of key Google signs with.
    #[error("its private_key is no RSA key in PEM; download the service account's key again")]
    NotRsa,
    /// A key that TLS can not use.
    #[error("holds a private key that TLS can not use")]
    UnusableKey,
    /// PEM without a certificate.
    #[error("holds no certificate in PEM")]
    NoCertificate,
    /// A client certificate in PEM without its key.
    #[error("holds no private key in PEM beside its certificate; append the key, or export both as PKCS#12")]
    NoKeyOfCertificate,
    /// The key is another certificate's.
    #[error("its private key does not belong to its certificate")]
    KeyMismatch,
    /// A PKCS#12 that does not open.
    #[error("is neither PEM nor PKCS#12 that opens with this password; check certificate_password")]
    Pkcs12,
    /// A PKCS#12 with certificates only.
    #[error("is PKCS#12 without a private key that has its certificate; export both together")]
    Pkcs12WithoutKey,
    /// A CA file that is none.
    #[error("holds no CA certificate in PEM")]
    BadCa,
    /// The system's own roots can not be used.
    #[error("the system's root certificates can not be used ({0}); install ca-certificates")]
    NoSystemRoots(String),
    /// A service account that is none.
    #[error("is no service account key in JSON ({0}); download it from the Firebase console, Service accounts")]
    BadServiceAccount(&'static str),
    /// An id that can not stand in a header.
    #[error("has characters that can not be: {0}")]
    BadText(&'static str),
    /// What push services should reach the operator by.
    #[error("must be mailto: and a mail address, or an https: address")]
    BadSubject,
    /// An address that is none.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The client library does not start.
    #[error("the HTTP client does not start: {0}")]
    Client(String),
}

/// A client certificate with its chain and private key.
pub(super) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(..)")
    }
}

impl Identity {
    /// From PEM (certificates and a key, in any order) or PKCS#12; which, the content tells.
    pub(super) fn read(bytes: &[u8], password: Option<&Secret>) -> Result<Self, CredentialError> {
        let identity = if is_pem(bytes) { Self::from_pem(bytes) } else { Self::from_pkcs12(bytes, password) }?;
        identity.check()?;
        Ok(identity)
    }

    fn from_pem(bytes: &[u8]) -> Result<Self, CredentialError> {
        let key = private_key(bytes).map_err(|error| match error {
            // A provider token's key is not what is missing here.
            CredentialError::NoKey => CredentialError::NoKeyOfCertificate,
            other => other,
        })?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(bytes)
            .collect::<Result<_, _>>()
            .map_err(|_| CredentialError::NoCertificate)?;
        if chain.is_empty() {
            return Err(CredentialError::NoCertificate);
        }
        Ok(Self { chain, key })
    }

    fn from_pkcs12(bytes: &[u8], password: Option<&Secret>) -> Result<Self, CredentialError> {
        let password = password.map(Secret::reveal).unwrap_or_default();
        let store = KeyStore::from_pkcs12(bytes, &password, Pkcs12ImportPolicy::Relaxed)
            .map_err(|_| CredentialError::Pkcs12)?;
        let chain = store
            .entries()
            .find_map(|(_, entry)| match entry {
                KeyStoreEntry::PrivateKeyChain(chain) if !chain.certs().is_empty() => Some(chain),
                _ => None,
            })
            .ok_or(CredentialError::Pkcs12WithoutKey)?;
        let key = PrivatePkcs8KeyDer::from(chain.key().as_der().to_vec()).into();
        let chain = chain.certs().iter().map(|cert| CertificateDer::from(cert.as_der().to_vec())).collect();
        Ok(Self { chain, key })
    }

    /// When the certificate ends. `None` if it cannot be read, which TLS will say better.
    pub(super) fn expires(&self) -> Option<Timestamp> {
        let certificate = Certificate::from_der(self.chain.first()?).ok()?;
        let ends = certificate.tbs_certificate().validity().not_after.to_unix_duration();
        Some(Timestamp::from_secs(i64::try_from(ends.as_secs()).ok()?))
    }

    /// Whether TLS can use the key, and whether it is the certificate's.
    fn check(&self) -> Result<(), CredentialError> {
        let key = aws_lc_rs::sign::any_supported_type(&self.key).map_err(|_| CredentialError::UnusableKey)?;
        let certified = rustls::sign::CertifiedKey::new(self.chain.clone(), key);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(()),
            Err(rustls::Error::InconsistentKeys(_)) => Err(CredentialError::KeyMismatch),
            Err(_) => Err(CredentialError::NoCertificate),
        }
    }
}

/// Whether a file is PEM rather than binary.
fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(11).any(|window| window == b"-----BEGIN ")
}

/// The first private key in a PEM file.
pub(super) fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, CredentialError> {
    const ENCRYPTED: &[u8] = b"ENCRYPTED";
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        let encrypted = pem.windows(ENCRYPTED.len()).any(|window| window == ENCRYPTED);
        if encrypted { CredentialError::EncryptedKey } else { CredentialError::NoKey }
    })
}

/// TLS for a vendor: HTTP/2 only, trusting the given CA and nothing else, or what the system trusts.
pub(super) fn tls(ca: Option<&[u8]>, identity: Option<Identity>) -> Result<Arc<ClientConfig>, CredentialError> {
    let no_roots = |error: rustls::Error| CredentialError::NoSystemRoots(error.to_string());
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(no_roots)?;
    let builder = match ca {
        Some(pem) => builder.with_root_certificates(roots(pem)?),
        None => builder.with_platform_verifier().map_err(no_roots)?,
    };
    let mut config = match identity {
        Some(Identity { chain, key }) => {
            builder.with_client_auth_cert(chain, key).map_err(|_| CredentialError::UnusableKey)?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

fn roots(pem: &[u8]) -> Result<RootCertStore, CredentialError> {
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_slice_iter(pem) {
        let cert = cert.map_err(|_| CredentialError::BadCa)?;
        roots.add(cert).map_err(|_| CredentialError::BadCa)?;
    }
    if roots.is_empty() { Err(CredentialError::BadCa) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_says_when_it_ends() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["push.example.org".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2031, 2, 3);
        let pem = params.self_signed(&key).unwrap().pem() + &key.serialize_pem();
        let identity = Identity::read(pem.as_bytes(), None).unwrap();
        assert_eq!(identity.expires(), Some(Timestamp::from_secs(1_927_843_200)));
    }
}
