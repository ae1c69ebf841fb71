//! Names of things, as types: a node cannot be passed for a token, nor an account for a domain.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use sha1::{Digest, Sha1};

use super::text::{self, Piece};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps the text as it is.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}

/// The same for what devices have, whose texts lie together.
macro_rules! device_text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub(super) Piece);

        impl $name {
            /// Wraps the text as it is.
            pub fn new(text: impl AsRef<str>) -> Self {
                Self(Piece::whole(text.as_ref()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }
    };
}

macro_rules! printable {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.as_str())
            }
        }
    };
}

/// The pubsub node that servers publish to for one device. Unguessable, and in some dialects the only
/// credential: logs show [`Node::short`].
#[derive(Clone)]
pub struct Node {
    text: Piece,
    seat: Seat,
}

/// Where in memory the device of a node was when it was last looked up: a hint that spares the next look. It says nothing
/// of the node, and whoever goes by it sees whether that device is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seat(pub u32);

impl Seat {
    /// Nobody has looked yet.
    pub const UNKNOWN: Self = Self(u32::MAX);
}

impl Node {
    /// Wraps the text as it is.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self::of(Piece::whole(text.as_ref()))
    }

    pub(super) const fn of(text: Piece) -> Self {
        Self { text, seat: Seat::UNKNOWN }
    }

    pub(super) const fn piece(&self) -> &Piece {
        &self.text
    }

    /// The same node, whose device is there.
    #[must_use]
    pub const fn at(mut self, seat: Seat) -> Self {
        self.seat = seat;
        self
    }

    /// Where its device was last.
    #[must_use]
    pub const fn seat(&self) -> Seat {
        self.seat
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.text.as_str()
    }

    /// A short name for logs: the first 8 hex digits of the node's SHA-1.
    #[must_use]
    pub fn short(&self) -> String {
        let digest = Sha1::digest(self.as_str().as_bytes());
        text::hex(digest.first_chunk::<4>().map_or(&[], |first| first))
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Node {}

impl PartialOrd for Node {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Node {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl Hash for Node {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({})", self.short())
    }
}

text_id! {
    /// The operator's name for an app, the `NAME` of `[apps.NAME]`.
    AppName
}
printable!(AppName);

device_text_id! {
    /// A bare JID, normalised (RFC 7622): whom a device belongs to.
    Account
}
printable!(Account);

impl Account {
    /// The domain part.
    #[must_use]
    pub fn domain(&self) -> Domain {
        let domain = self.as_str().split_once('@').map_or(self.as_str(), |(_, domain)| domain);
        Domain::new(domain)
    }

    /// The part before the `@`; empty if there is none.
    #[must_use]
    pub fn user(&self) -> &str {
        self.as_str().split_once('@').map_or("", |(user, _)| user)
    }

    /// Whether it is an account of this domain.
    #[must_use]
    pub fn is_of(&self, domain: &Domain) -> bool {
        self.as_str().split_once('@').is_some_and(|(_, own)| own == domain.as_str())
    }
}

text_id! {
    /// An XMPP domain, normalised (RFC 7622).
    Domain
}
printable!(Domain);

impl Domain {
    /// The text, for whoever keeps it, too.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }
}

/// What names a device, or a room on it, to its app without naming the account: SHA-1 of bare JID, NUL and the
/// device id. The app computes the same value and compares (the `account` and `channel` of the FCM data).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceHash([u8; 20]);

impl DeviceHash {
    /// The hash of an address (the account's, or a room's) on a device.
    #[must_use]
    pub fn of(bare_jid: &str, device_id: &str) -> Self {
        let mut sha1 = Sha1::new();
        sha1.update(bare_jid.as_bytes());
        sha1.update([0]);
        sha1.update(device_id.as_bytes());
        Self(sha1.finalize().into())
    }

    /// From its 20 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// Its 20 bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// From 40 hex digits of either case; `None` for anything else.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 40 {
            return None;
        }
        let mut bytes = [0; 20];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).ok().filter(|pair| !pair.starts_with('+'))?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// 40 lower-case hex digits: byte for byte what the app computes.
    #[must_use]
    pub fn hex(&self) -> String {
        text::hex(&self.0)
    }
}

impl fmt::Debug for DeviceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceHash({})", self.hex())
    }
}

/// Names one push from the decision to the vendor's verdict, within this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PushId(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_hash_is_the_one_conversations_computes() {
        let hash = DeviceHash::of("romeo@example.org", "92afd7a91cdba9a0");
        assert_eq!(hash.hex(), "0c223e6b96c6112f5dd809bb1b6f7c5a78826ee3");
        assert_eq!(DeviceHash::from_hex("0C223E6B96C6112F5DD809BB1B6F7C5A78826EE3"), Some(hash));
    }

    #[test]
    fn only_forty_hex_digits_are_a_device_hash() {
        for text in ["", "0c", &"g".repeat(40), &"0".repeat(41), &"+1".repeat(20), &"é".repeat(20)] {
            assert_eq!(DeviceHash::from_hex(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_node_prints_only_a_short_hash() {
        let node = Node::new("super-secret-node");
        assert_eq!(format!("{node:?}"), format!("Node({})", node.short()));
        assert_eq!(node.short().len(), 8);
    }

    #[test]
    fn the_domain_of_an_account() {
        assert_eq!(Account::new("romeo@example.org").domain(), Domain::new("example.org"));
        assert_eq!(Account::new("example.org").domain(), Domain::new("example.org"));
    }
}
