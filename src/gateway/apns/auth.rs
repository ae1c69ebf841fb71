//! The provider token: a JWT that says who we are (Apple: "Establishing a token-based connection to APNs").

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use http::HeaderValue;
use rustls::pki_types::PrivateKeyDer;
use serde::Serialize;

use crate::domain::time::Now;
use crate::gateway::credential::{self, CredentialError};
use crate::gateway::jwt::{self, SigningFailed};

/// When a token is replaced. Apple refuses those older than an hour; the margin is for clocks that differ.
const REFRESH: Duration = Duration::from_secs(40 * 60);

/// Apple takes a new token no more often than this.
const LEAST: Duration = Duration::from_secs(20 * 60);

/// Signs, and remembers what it signed for all connections to share.
pub(super) struct ProviderToken {
    key: EcdsaKeyPair,
    key_id: String,
    team_id: String,
    current: Mutex<Option<Signed>>,
}

struct Signed {
    header: HeaderValue,
    at: Now,
    serial: u64,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    kid: &'a str,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    iat: u64,
}

impl ProviderToken {
    pub(super) fn new(pem: &[u8], key_id: String, team_id: String) -> Result<Self, CredentialError> {
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !plain(&key_id) {
            return Err(CredentialError::BadText("key_id"));
        }
        if !plain(&team_id) {
            return Err(CredentialError::BadText("team_id"));
        }
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = match credential::private_key(pem)? {
            PrivateKeyDer::Pkcs8(key) => EcdsaKeyPair::from_pkcs8(algorithm, key.secret_pkcs8_der()),
            PrivateKeyDer::Sec1(key) => EcdsaKeyPair::from_private_key_der(algorithm, key.secret_sec1_der()),
            _ => return Err(CredentialError::NotP256),
        };
        let key = key.map_err(|_| CredentialError::NotP256)?;
        Ok(Self { key, key_id, team_id, current: Mutex::new(None) })
    }

    /// The `authorization` header to send now, and its serial number.
    pub(super) fn current(&self, now: Now) -> Result<(HeaderValue, u64), SigningFailed> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(signed) = &*current
            && signed.age(now) < REFRESH
        {
            return Ok((signed.header.clone(), signed.serial));
        }
        let serial = current.as_ref().map_or(0, |signed| signed.serial + 1);
        let signed = self.sign(now, serial)?;
        let header = signed.header.clone();
        *current = Some(signed);
        Ok((header, serial))
    }

    /// Apple says the token of this serial has expired. True if there is, or may be, a newer one to try.
    pub(super) fn renew(&self, serial: u64, now: Now) -> bool {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(signed) = &*current else { return true };
        if signed.serial != serial {
            return true;
        }
        if signed.age(now) < LEAST {
            return false;
        }
        let Ok(signed) = self.sign(now, serial + 1) else { return false };
        *current = Some(signed);
        true
    }

    fn sign(&self, now: Now, serial: u64) -> Result<Signed, SigningFailed> {
        let header = Header { alg: "ES256", kid: &self.key_id };
        let claims = Claims { iss: &self.team_id, iat: now.wall.secs() };
        let token = jwt::es256(&self.key, &header, &claims)?;
        let mut header = HeaderValue::try_from(format!("bearer {token}")).map_err(|_| SigningFailed)?;
        header.set_sensitive(true);
        Ok(Signed { header, at: now, serial })
    }
}

impl Signed {
    /// By whichever clock says more: the steady one stands still while a machine sleeps, the wall's can be set back.
    fn age(&self, now: Now) -> Duration {
        (now.steady - self.at.steady).max(now.wall - self.at.wall)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, KeyPair as _, UnparsedPublicKey};
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    use super::*;
    use crate::domain::time::{Moment, Timestamp};

    fn at(mins: u64) -> Now {
        let span = Duration::from_secs(mins * 60);
        Now { wall: Timestamp::from_secs(1_700_000_000) + span, steady: Moment::since_start(span) }
    }

    fn pem(der: &[u8]) -> Vec<u8> {
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der)).into_bytes()
    }

    fn pair() -> EcdsaKeyPair {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
    }

    fn token() -> (ProviderToken, EcdsaKeyPair) {
        let pair = pair();
        let pem = pem(pair.to_pkcs8v1().unwrap().as_ref());
        (ProviderToken::new(&pem, "KEY1234567".into(), "TEAM123456".into()).unwrap(), pair)
    }

    #[test]
    fn the_token_is_a_strict_jwt() {
        let (token, pair) = token();
        let (header, _) = token.current(at(0)).unwrap();
        let text = header.to_str().unwrap().strip_prefix("bearer ").unwrap().to_owned();
        let parts: Vec<&str> = text.split('.').collect();
        let decoded = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        assert_eq!(decoded(parts[0]), r#"{"alg":"ES256","kid":"KEY1234567"}"#);
        assert_eq!(decoded(parts[1]), r#"{"iss":"TEAM123456","iat":1700000000}"#);
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref().to_vec());
        let signature = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
        assert_eq!(signature.len(), 64);
        public.verify(format!("{}.{}", parts[0], parts[1]).as_bytes(), &signature).unwrap();
        assert!(header.is_sensitive());
    }

    #[test]
    fn a_token_lives_forty_minutes_and_is_not_renewed_before_twenty() {
        let (token, _) = token();
        let serial = |mins| token.current(at(mins)).unwrap().1;
        assert_eq!(serial(0), 0);
        assert_eq!(serial(39), 0);
        assert_eq!(serial(40), 1);
        assert!(!token.renew(1, at(59)), "younger than 20 minutes");
        assert!(token.renew(1, at(60)), "old enough");
        assert!(token.renew(1, at(60)), "another push has renewed it already");
        assert_eq!(serial(60), 2);
    }

    #[test]
    fn a_token_ages_by_the_clock_that_says_more() {
        let (token, _) = token();
        let serial = |now| token.current(now).unwrap().1;
        assert_eq!(serial(at(0)), 0);
        let slept = Now { steady: at(1).steady, wall: at(50).wall };
        assert_eq!(serial(slept), 1);
        let set_back = Now { steady: at(42).steady, wall: at(0).wall };
        assert_eq!(serial(set_back), 2);
    }

    #[test]
    fn a_key_without_its_public_half_will_do() {
        let pair = pair();
        let private = pair.private_key();
        let scalar: aws_lc_rs::encoding::EcPrivateKeyBin<'_> =
            aws_lc_rs::encoding::AsBigEndian::as_be_bytes(&private).unwrap();
        // PKCS#8 { 0, { ecPublicKey, prime256v1 }, ECPrivateKey { 1, scalar } }.
        let mut der = vec![
            0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
            0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x27, 0x30, 0x25, 0x02, 0x01, 0x01, 0x04, 0x20,
        ];
        der.extend_from_slice(scalar.as_ref());
        assert!(ProviderToken::new(&pem(&der), "K".into(), "T".into()).is_ok());
        let sec1: aws_lc_rs::encoding::EcPrivateKeyRfc5915Der<'_> = private.as_der().unwrap();
        let text = String::from_utf8(pem(sec1.as_ref())).unwrap().replace("PRIVATE", "EC PRIVATE");
        assert!(ProviderToken::new(text.as_bytes(), "K".into(), "T".into()).is_ok());
    }

    #[test]
    fn what_is_no_key_is_said_so() {
        let key = |pem: &[u8], kid: &str| ProviderToken::new(pem, kid.into(), "T".into()).err();
        let good = pem(pair().to_pkcs8v1().unwrap().as_ref());
        let encrypted = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert_eq!(key(&good, "K"), None);
        assert_eq!(key(b"", "K"), Some(CredentialError::NoKey));
        assert_eq!(key(b"\xff\xfe", "K"), Some(CredentialError::NoKey));
        assert_eq!(key(encrypted, "K"), Some(CredentialError::EncryptedKey));
        assert_eq!(key(&pem(b"nonsense"), "K"), Some(CredentialError::NotP256));
        assert_eq!(key(&good, "K\n"), Some(CredentialError::BadText("key_id")));
        assert_eq!(key(&good, ""), Some(CredentialError::BadText("key_id")));
    }
}
