//! Sealing a message to a browser (RFC 8291), as content coding `aes128gcm` (RFC 8188) in a single record.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, ECDH_P256, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};

use crate::domain::subscription::Subscription;

/// The largest message, in bytes. A push service must take a body of 4096 (RFC 8030 §7.2), but Mozilla's hands messages
/// for Android on in base64 within FCM's 4096, so that about 2.8 kB are what arrives everywhere.
pub(super) const MOST: usize = PADDED - 1;

/// What every message is padded to, its delimiter included: then nobody on the way learns how long it was.
pub(super) const PADDED: usize = 2800;

/// The record size that the header names (RFC 8188 §2.1): room for the one record that there is.
const RECORD_SIZE: u32 = 4096;

/// Ends the content of a last record, before its padding (RFC 8188 §2).
const LAST_RECORD: u8 = 2;

/// What no two messages may share; from the system's generator, except for the RFC's own examples.
pub(super) struct Fresh {
    /// The `salt` of the header.
    pub(super) salt: [u8; 16],
    /// A P-256 key that lives for one message.
    pub(super) key: PrivateKey,
}

impl Fresh {
    /// From the system's generator.
    pub(super) fn generate() -> Result<Self, NotSealed> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|_| NotSealed::NoRandomness)?;
        let key = PrivateKey::generate(&ECDH_P256).map_err(|_| NotSealed::NoRandomness)?;
        Ok(Self { salt, key })
    }
}

/// Why there is no sealed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotSealed {
    /// Its key is no point on the curve.
    #[error("the subscription's p256dh is no key")]
    BadKey,
    /// The system refuses.
    #[error("the system gives us no randomness")]
    NoRandomness,
    /// More than one record holds.
    #[error("the message is too long")]
    TooLong,
    /// Not seen: a cipher that refuses its own sizes.
    #[error("the cipher fails")]
    Cipher,
}

/// The request's body: header and one record, of `padded` bytes before encryption (delimiter and padding included).
pub(super) fn seal(
    message: &[u8],
    padded: usize,
    subscription: &Subscription,
    fresh: &Fresh,
) -> Result<Vec<u8>, NotSealed> {
    if message.len() >= padded || padded + AES_128_GCM.tag_len() > RECORD_SIZE as usize {
        return Err(NotSealed::TooLong);
    }
    let public = fresh.key.compute_public_key().map_err(|_| NotSealed::Cipher)?;
    let (key, nonce) = keys(subscription, fresh, public.as_ref())?;

    let mut record = Vec::with_capacity(padded + AES_128_GCM.tag_len());
    record.extend_from_slice(message);
    record.push(LAST_RECORD);
    record.resize(padded, 0);
    let key = UnboundKey::new(&AES_128_GCM, &key).map(LessSafeKey::new).map_err(|_| NotSealed::Cipher)?;
    let nonce = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(nonce, Aad::empty(), &mut record).map_err(|_| NotSealed::Cipher)?;

    // RFC 8188 §2.1; the key id is our public key (RFC 8291 §4).
    let id_len = u8::try_from(public.as_ref().len()).map_err(|_| NotSealed::Cipher)?;
    let mut body = Vec::with_capacity(21 + public.as_ref().len() + record.len());
    body.extend_from_slice(&fresh.salt);
    body.extend_from_slice(&RECORD_SIZE.to_be_bytes());
    body.push(id_len);
    body.extend_from_slice(public.as_ref());
    body.extend_from_slice(&record);
    Ok(body)
}

/// The content encryption key and the nonce of the first record (RFC 8291 §3.4).
fn keys(subscription: &Subscription, fresh: &Fresh, public: &[u8]) -> Result<([u8; 16], [u8; 12]), NotSealed> {
    let theirs = UnparsedPublicKey::new(&ECDH_P256, subscription.p256dh());
    agreement::agree(&fresh.key, theirs, NotSealed::BadKey, |shared| {
        let mut input: [u8; 32] = [0; 32];
        let info: [&[u8]; 3] = [b"WebPush: info\0", subscription.p256dh(), public];
        expand(subscription.auth(), shared, &info, &mut input)?;
        let (mut key, mut nonce) = ([0; 16], [0; 12]);
        expand(&fresh.salt, &input, &[b"Content-Encoding: aes128gcm\0"], &mut key)?;
        expand(&fresh.salt, &input, &[b"Content-Encoding: nonce\0"], &mut nonce)?;
        Ok((key, nonce))
    })
}

/// HKDF with SHA-256 (RFC 5869).
fn expand(salt: &[u8], secret: &[u8], info: &[&[u8]], out: &mut [u8]) -> Result<(), NotSealed> {
    let pseudo_random = Salt::new(HKDF_SHA256, salt).extract(secret);
    let expanded = pseudo_random.expand(info, Length(out.len())).map_err(|_| NotSealed::Cipher)?;
    expanded.fill(out).map_err(|_| NotSealed::Cipher)
}

/// How many bytes are wanted.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    /// RFC 8291 §5 and Appendix A.
    const PLAINTEXT: &str = "When I grow up, I want to be a watermelon";
    const RECEIVER: &str = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";
    const SENDER: &str = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw";
    const SALT: &str = "DGv6ra1nlYgDCS1FRnbzlw";
    const BODY: &str = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";

    fn bytes(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    fn subscription(p256dh: &str) -> Subscription {
        Subscription::new("https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV", p256dh, AUTH).unwrap()
    }

    fn fresh() -> Fresh {
        let key = PrivateKey::from_private_key(&ECDH_P256, &bytes(SENDER)).unwrap();
        Fresh { salt: bytes(SALT).try_into().unwrap(), key }
    }

    #[test]
    fn the_example_of_the_rfc_comes_out_byte_for_byte() {
        let body = seal(PLAINTEXT.as_bytes(), PLAINTEXT.len() + 1, &subscription(RECEIVER), &fresh()).unwrap();
        assert_eq!(URL_SAFE_NO_PAD.encode(&body), BODY);
    }

    #[test]
    fn the_intermediate_keys_are_those_of_the_rfc() {
        let fresh = fresh();
        let public = fresh.key.compute_public_key().unwrap();
        let (key, nonce) = keys(&subscription(RECEIVER), &fresh, public.as_ref()).unwrap();
        assert_eq!(URL_SAFE_NO_PAD.encode(key), "oIhVW04MRdy2XN9CiKLxTg");
        assert_eq!(URL_SAFE_NO_PAD.encode(nonce), "4h_95klXJ5E_qnoN");
    }

    #[test]
    fn every_message_is_as_long_as_every_other() {
        let len = |message: &[u8]| {
            seal(message, PADDED, &subscription(RECEIVER), &Fresh::generate().unwrap()).map(|body| body.len())
        };
        // 86 bytes of header and 16 of tag around the padded message; within the 4096 that all must take.
        assert_eq!(len(b""), Ok(2902));
        assert_eq!(len(b"{}"), Ok(2902));
        assert_eq!(len(&[b'x'; MOST]), Ok(2902));
        assert_eq!(len(&[b'x'; MOST + 1]), Err(NotSealed::TooLong));
    }

    #[test]
    fn no_two_messages_are_sealed_alike() {
        let body = || seal(b"same", PADDED, &subscription(RECEIVER), &Fresh::generate().unwrap()).unwrap();
        let (one, other) = (body(), body());
        assert_ne!(one[..16], other[..16], "the salt");
        assert_ne!(one[21..86], other[21..86], "our key");
        assert_ne!(one[86..], other[86..], "the record");
    }

    #[test]
    fn a_key_that_is_no_point_on_the_curve_is_refused() {
        let off_curve = URL_SAFE_NO_PAD.encode([&[4_u8][..], &[1; 64]].concat());
        let sealed = seal(b"x", PADDED, &subscription(&off_curve), &fresh());
        assert_eq!(sealed, Err(NotSealed::BadKey));
    }
}
