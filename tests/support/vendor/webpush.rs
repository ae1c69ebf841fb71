//! A browser, and the push service that it uses: written from RFC 8030, 8188, 8291 and 8292, on other cryptography than
//! what is tested.

use aes_gcm::aead::{Aead as _, KeyInit as _};
use aes_gcm::{Aes128Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hkdf::Hkdf;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use p256::{PublicKey, SecretKey};
use serde_json::Value;
use sha2::Sha256;

use super::behaviour::Answer;
use super::{Recorded, Shared};

/// One page's subscription, with the keys that never leave a browser.
pub(crate) struct Browser {
    key: SecretKey,
    auth: [u8; 16],
    /// Where its push service takes messages.
    pub(crate) endpoint: String,
}

impl Browser {
    /// A browser that has subscribed at this host.
    pub(crate) fn at(host: &str, name: &str) -> Self {
        let mut auth = [0; 16];
        getrandom::fill(&mut auth).unwrap();
        let key = loop {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).unwrap();
            // Nearly every number is a key.
            if let Ok(key) = SecretKey::from_slice(&bytes) {
                break key;
            }
        };
        Self { key, auth, endpoint: format!("https://{host}/push/{name}") }
    }

    /// With given keys: base64url.
    pub(crate) fn with_keys(key: &str, auth: &str) -> Self {
        let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
        let key = SecretKey::from_slice(&bytes(key)).unwrap();
        Self { key, auth: bytes(auth).try_into().unwrap(), endpoint: String::new() }
    }

    /// What a page gets as `p256dh`.
    pub(crate) fn p256dh(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.public())
    }

    /// What a page gets as `auth`.
    pub(crate) fn auth(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.auth)
    }

    /// How a device keeps it.
    pub(crate) fn token(&self) -> String {
        format!("{} {} {}", self.endpoint, self.p256dh(), self.auth())
    }

    fn public(&self) -> Vec<u8> {
        self.key.public_key().to_encoded_point(false).as_bytes().to_vec()
    }

    /// Opens a request's body (RFC 8291 §3.4, RFC 8188 §2); `None` if it is not for this browser, or not well made.
    pub(crate) fn open(&self, body: &[u8]) -> Option<Vec<u8>> {
        let (salt, rest) = body.split_at_checked(16)?;
        let (record_size, rest) = rest.split_at_checked(4)?;
        let (len, rest) = rest.split_first()?;
        let (sender, record) = rest.split_at_checked(usize::from(*len))?;
        let record_size = u32::from_be_bytes(record_size.try_into().ok()?);
        if record.len() > usize::try_from(record_size).ok()? {
            return None;
        }

        let theirs = PublicKey::from_sec1_bytes(sender).ok()?;
        let shared = p256::ecdh::diffie_hellman(self.key.to_nonzero_scalar(), theirs.as_affine());
        let info = [b"WebPush: info\0", self.public().as_slice(), sender].concat();
        let input: [u8; 32] = expand(&self.auth, shared.raw_secret_bytes(), &info);
        let key: [u8; 16] = expand(salt, &input, b"Content-Encoding: aes128gcm\0");
        let nonce: [u8; 12] = expand(salt, &input, b"Content-Encoding: nonce\0");

        let nonce = Nonce::try_from(nonce.as_slice()).ok()?;
        let mut text = Aes128Gcm::new_from_slice(&key).ok()?.decrypt(&nonce, record).ok()?;
        while text.pop_if(|byte| *byte == 0).is_some() {}
        // The delimiter of a last record.
        (text.pop()? == 2).then_some(text)
    }
}

fn expand<const N: usize>(salt: &[u8], secret: &[u8], info: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    Hkdf::<Sha256>::new(Some(salt), secret).expand(info, &mut out).unwrap();
    out
}

/// The claims of a `vapid` header (RFC 8292 §3), and the key that signed them, base64url; `None` if the signature is not
/// that key's.
pub(crate) fn vapid(header: &str) -> Option<(Value, String)> {
    let (token, key) = header.strip_prefix("vapid t=")?.split_once(", k=")?;
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let (signed, signature) = token.rsplit_once('.')?;
    let (head, claims) = signed.split_once('.')?;
    let signature = Signature::from_slice(&bytes(signature)?).ok()?;
    let point = bytes(key)?;
    let uncompressed = point.len() == 65;
    VerifyingKey::from_sec1_bytes(&point).ok()?.verify(signed.as_bytes(), &signature).ok()?;
    let json = |text: &str| serde_json::from_slice::<Value>(&bytes(text)?).ok();
    let right = json(head)? == serde_json::json!({"typ": "JWT", "alg": "ES256"}) && uncompressed;
    right.then_some((json(claims)?, key.to_owned()))
}

/// What a push service checks before it takes a message.
pub(super) fn judge(shared: &Shared, entry: &Recorded) -> Result<Answer, Answer> {
    let now = shared.options.clock.wall().millis() / 1000;
    let header = entry.header("authorization");
    let known = shared.state().vapid.clone().filter(|(passed, _)| passed == header);
    let claims = match known {
        Some((_, claims)) => claims,
        None => {
            let (claims, _) = vapid(header).ok_or_else(|| Answer::status(401))?;
            shared.state().vapid = Some((header.to_owned(), claims.clone()));
            claims
        }
    };
    let exp = claims.get("exp").and_then(Value::as_i64).unwrap_or_default();
    let origin = format!("https://{}", entry.authority);
    let known = claims.get("aud").and_then(Value::as_str) == Some(&origin)
        && claims.get("sub").and_then(Value::as_str).is_some_and(|sub| sub.starts_with("mailto:"))
        && (1..=24 * 3600).contains(&(exp - now));
    let topic = entry.header("topic");
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let rules = [
        (!known, 403),
        (entry.header("ttl").parse::<u32>().is_err(), 400),
        (entry.header("content-encoding") != "aes128gcm", 400),
        (!["", "very-low", "low", "normal", "high"].contains(&entry.header("urgency")), 400),
        (topic.len() > 32 || !topic.bytes().all(base64url), 400),
        (entry.body.len() > 4096, 413),
    ];
    match rules.iter().find(|(broken, _)| *broken) {
        Some((_, status)) => Err(Answer::status(*status)),
        None => Ok(Answer::status(201)),
    }
}
