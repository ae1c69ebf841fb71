//! Who we are to a browser's push service (RFC 8292): a JWT for each of them, signed with the operator's key.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use rustls::pki_types::PrivateKeyDer;
use serde::Serialize;

use crate::domain::time::Now;
use crate::gateway::credential::{self, CredentialError};
use crate::gateway::jwt::{self, SigningFailed};

/// How long a token is valid: half of the most that RFC 8292 §2 allows, for clocks that differ.
const LIFE: Duration = Duration::from_secs(12 * 3600);

/// When a token is replaced.
const REFRESH: Duration = Duration::from_secs(6 * 3600);

/// The operator's key.
pub(super) struct Vapid {
    key: EcdsaKeyPair,
    /// Base64url of the public key; what a page subscribes with.
    public: String,
    subject: String,
}

/// What was signed for one origin.
#[derive(Default)]
pub(super) struct Signed {
    current: Mutex<Option<(HeaderValue, Now)>>,
}

#[derive(Serialize)]
struct Header {
    typ: &'static str,
    alg: &'static str,
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    exp: u64,
    sub: &'a str,
}

impl Vapid {
    /// From a P-256 key in PEM, SEC 1 or PKCS#8, and where the operator can be reached: a `mailto:` or `https:` address.
    pub(super) fn new(pem: &[u8], subject: String) -> Result<Self, CredentialError> {
        if !is_subject(&subject) {
            return Err(CredentialError::BadSubject);
        }
        let private = credential::private_key(pem).map_err(|error| match error {
            CredentialError::EncryptedKey => CredentialError::EncryptedVapid,
            _ => CredentialError::NotVapid,
        })?;
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = match private {
            PrivateKeyDer::Pkcs8(key) => EcdsaKeyPair::from_pkcs8(algorithm, key.secret_pkcs8_der()),
            PrivateKeyDer::Sec1(key) => EcdsaKeyPair::from_private_key_der(algorithm, key.secret_sec1_der()),
            _ => return Err(CredentialError::NotVapid),
        };
        let key = key.map_err(|_| CredentialError::NotVapid)?;
        let public = URL_SAFE_NO_PAD.encode(key.public_key());
        Ok(Self { key, public, subject })
    }

    /// What a page subscribes with: `applicationServerKey`, base64url of an uncompressed point.
    pub(super) fn public_key(&self) -> &str {
        &self.public
    }

    /// The `authorization` header for an origin, `https://HOST` (RFC 8292 §3). Signed anew only now and then.
    pub(super) fn header(&self, origin: &str, signed: &Signed, now: Now) -> Result<HeaderValue, SigningFailed> {
        let mut current = signed.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((header, at)) = &*current
            && age(*at, now) < REFRESH
        {
            return Ok(header.clone());
        }
        let claims = Claims { aud: origin, exp: (now.wall + LIFE).secs(), sub: &self.subject };
        let token = jwt::es256(&self.key, &Header { typ: "JWT", alg: "ES256" }, &claims)?;
        let mut header =
            HeaderValue::try_from(format!("vapid t={token}, k={}", self.public)).map_err(|_| SigningFailed)?;
        header.set_sensitive(true);
        *current = Some((header.clone(), now));
        Ok(header)
    }
}

/// By whichever clock says more: the steady one stands still while a machine sleeps, the wall's can be set back. One that
/// was signed in what is now the future is old as well.
fn age(at: Now, now: Now) -> Duration {
    (now.steady - at.steady).max(now.wall - at.wall).max(at.wall - now.wall)
}

/// Apple, for one, refuses what is no address, or has spaces.
fn is_subject(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'<' && byte != b'>');
    let mail = text.strip_prefix("mailto:").is_some_and(|address| {
        address.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty())
    });
    plain && (mail || text.strip_prefix("https://").is_some_and(|rest| !rest.is_empty()))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::domain::time::{Moment, Timestamp};

    const SUBJECT: &str = "mailto:ops@example.org";

    fn at(hours: u64) -> Now {
        let span = Duration::from_secs(hours * 3600);
        Now { wall: Timestamp::from_secs(1_700_000_000) + span, steady: Moment::since_start(span) }
    }

    fn pem(label: &str, der: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
    }

    fn pair() -> EcdsaKeyPair {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
    }

    fn pkcs8(pair: &EcdsaKeyPair) -> String {
        pem("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref())
    }

    #[test]
    fn the_header_is_that_of_the_rfc() {
        let pair = pair();
        let vapid = Vapid::new(pkcs8(&pair).as_bytes(), SUBJECT.into()).unwrap();
        let header = vapid.header("https://push.example.net", &Signed::default(), at(0)).unwrap();
        assert!(header.is_sensitive());
        let (token, key) =
            header.to_str().unwrap().strip_prefix("vapid t=").and_then(|rest| rest.split_once(", k=")).unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(key).unwrap(), pair.public_key().as_ref());
        assert_eq!((key, key.len()), (vapid.public_key(), 87));
        let parts: Vec<&str> = token.split('.').collect();
        let decoded = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        assert_eq!(decoded(parts[0]), r#"{"typ":"JWT","alg":"ES256"}"#);
        let claims = r#"{"aud":"https://push.example.net","exp":1700043200,"sub":"mailto:ops@example.org"}"#;
        assert_eq!(decoded(parts[1]), claims);
        let signature = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref());
        public.verify(format!("{}.{}", parts[0], parts[1]).as_bytes(), &signature).unwrap();
    }

    #[test]
    fn a_token_is_signed_once_per_origin_and_six_hours() {
        let vapid = Vapid::new(pkcs8(&pair()).as_bytes(), SUBJECT.into()).unwrap();
        let (one, other) = (Signed::default(), Signed::default());
        let header = |signed, now| vapid.header("https://push.example.net", signed, now).unwrap();
        let first = header(&one, at(0));
        assert_eq!(header(&one, at(5)), first);
        assert_ne!(header(&other, at(5)), first, "signatures are random");
        let second = header(&one, at(6));
        assert_ne!(second, first);
        let slept = Now { steady: at(7).steady, wall: at(13).wall };
        let third = header(&one, slept);
        assert_ne!(third, second);
        let set_back = Now { steady: at(7).steady, wall: at(1).wall };
        assert_ne!(header(&one, set_back), third);
    }

    #[test]
    fn keys_as_openssl_writes_them_are_read() {
        let pair = pair();
        let sec1: aws_lc_rs::encoding::EcPrivateKeyRfc5915Der<'_> = pair.private_key().as_der().unwrap();
        let sec1 = pem("EC PRIVATE KEY", sec1.as_ref());
        // `openssl ecparam -genkey` writes the curve's name before the key: 1.2.840.10045.3.1.7.
        let parameters = pem("EC PARAMETERS", &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]);
        let public = URL_SAFE_NO_PAD.encode(pair.public_key());
        for text in [pkcs8(&pair), sec1.clone(), parameters + &sec1] {
            assert_eq!(Vapid::new(text.as_bytes(), SUBJECT.into()).map(|vapid| vapid.public), Ok(public.clone()));
        }
    }

    #[test]
    fn what_is_no_key_or_no_subject_is_said_so() {
        let made = |pem: &str, subject: &str| Vapid::new(pem.as_bytes(), subject.into()).err();
        let good = pkcs8(&pair());
        let p384 = EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        let encrypted = pem("ENCRYPTED PRIVATE KEY", b"x");
        assert_eq!(made("", SUBJECT), Some(CredentialError::NotVapid));
        assert_eq!(made(&pem("PUBLIC KEY", b"x"), SUBJECT), Some(CredentialError::NotVapid));
        assert_eq!(made(&pem("PRIVATE KEY", b"x"), SUBJECT), Some(CredentialError::NotVapid));
        assert_eq!(made(&pkcs8(&p384), SUBJECT), Some(CredentialError::NotVapid));
        assert_eq!(made(&encrypted, SUBJECT), Some(CredentialError::EncryptedVapid));
        for subject in [SUBJECT, "https://example.org/contact"] {
            assert_eq!(made(&good, subject), None, "{subject}");
        }
        for subject in
            ["", "ops@example.org", "mailto:", "mailto:ops", "mailto:<ops@example.org>", "mailto: a@b", "https://"]
        {
            assert_eq!(made(&good, subject), Some(CredentialError::BadSubject), "{subject}");
        }
    }
}
