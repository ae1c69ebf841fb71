//! Values that wake phones or hold people's words. None of them can print; `reveal` is the one way out, so a
//! search for it shows every place where one leaves.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};

use subtle::ConstantTimeEq;

use super::text::Packed;

/// What a publisher must show to push to a node (the `secret` publish-option, XEP-0357 §7). Compares in constant
/// time.
#[derive(Clone)]
pub struct Secret(pub(super) Packed);

impl Secret {
    /// Wraps the text.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(Packed::plain(text.as_ref()))
    }

    /// The text itself, for the store, the vendor or the app that it belongs to.
    #[must_use]
    pub fn reveal(&self) -> Cow<'_, str> {
        self.0.text()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.is(&other.0)
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A vendor's device token: whoever holds it, and the app's credentials, can wake the phone.
#[derive(Clone)]
pub struct DeviceToken(pub(super) Packed);

impl DeviceToken {
    /// Wraps the text.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(Packed::plain(text.as_ref()))
    }

    /// The text itself, for the vendor and the store.
    #[must_use]
    pub fn reveal(&self) -> Cow<'_, str> {
        self.0.text()
    }
}

impl PartialEq for DeviceToken {
    fn eq(&self, other: &Self) -> bool {
        self.0.is(&other.0)
    }
}

impl Eq for DeviceToken {}

impl Hash for DeviceToken {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for DeviceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceToken(..)")
    }
}

/// A client's key for what only it shall read (`tigase:push:encrypt:0`, AES-128-GCM).
#[derive(Clone)]
pub struct SealKey([u8; 16]);

impl SealKey {
    /// Wraps the key.
    #[must_use]
    pub const fn new(key: [u8; 16]) -> Self {
        Self(key)
    }

    /// The key itself, for the store and the cipher.
    #[must_use]
    pub const fn reveal(&self) -> &[u8; 16] {
        &self.0
    }
}

impl PartialEq for SealKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SealKey {}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(..)")
    }
}

/// Somebody's words, name or address: the body of a message, its sender, a nickname, or a sealed form of these.
#[derive(Clone, PartialEq, Eq)]
pub struct Private(Box<str>);

impl Private {
    /// Wraps the text.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the vendor's payload.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Private(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_here_prints_what_it_holds() {
        let shown =
            format!("{:?} {:?} {:?}", Secret::new("hunter2"), DeviceToken::new("hunter2"), Private::new("hunter2"));
        assert_eq!(shown, "Secret(..) DeviceToken(..) Private(..)");
        assert_eq!(format!("{:?}", SealKey::new([7; 16])), "SealKey(..)");
    }

    #[test]
    fn secrets_compare_by_their_whole_text() {
        for (a, b, same) in
            [("", "", true), ("abc", "abc", true), ("abc", "abd", false), ("abc", "ab", false), ("", "a", false)]
        {
            assert_eq!(Secret::new(a) == Secret::new(b), same, "{a:?} {b:?}");
        }
        assert_eq!(SealKey::new([7; 16]), SealKey::new([7; 16]));
        assert_ne!(SealKey::new([7; 16]), SealKey::new([8; 16]));
    }
}
