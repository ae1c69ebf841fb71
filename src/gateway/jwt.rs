//! Signed tokens: JWS compact serialisation (RFC 7515 §3.1).

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

/// The key would not sign; not seen with a key that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the private key does not sign")]
pub(super) struct SigningFailed;

/// Signs with ES256 (RFC 7518 §3.4: the signature is r and s, 32 bytes each).
pub(super) fn es256(
    key: &EcdsaKeyPair,
    header: &impl Serialize,
    claims: &impl Serialize,
) -> Result<String, SigningFailed> {
    let mut token = signing_input(header, claims)?;
    let signature = key.sign(&SystemRandom::new(), token.as_bytes()).map_err(|_| SigningFailed)?;
    append(&mut token, signature.as_ref());
    Ok(token)
}

/// Signs with RS256 (RFC 7518 §3.3).
pub(super) fn rs256(
    key: &RsaKeyPair,
    header: &impl Serialize,
    claims: &impl Serialize,
) -> Result<String, SigningFailed> {
    let mut token = signing_input(header, claims)?;
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature).map_err(|_| SigningFailed)?;
    append(&mut token, &signature);
    Ok(token)
}

fn signing_input(header: &impl Serialize, claims: &impl Serialize) -> Result<String, SigningFailed> {
    let part = |value: Vec<u8>| URL_SAFE_NO_PAD.encode(value);
    let header = serde_json::to_vec(header).map_err(|_| SigningFailed)?;
    let claims = serde_json::to_vec(claims).map_err(|_| SigningFailed)?;
    Ok(format!("{}.{}", part(header), part(claims)))
}

fn append(token: &mut String, signature: &[u8]) {
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, token);
}
