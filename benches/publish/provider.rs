//! What differs between the vendors.

use bytes::{BufMut as _, BytesMut};

/// A vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
    Apns,
    Fcm,
}

/// HPACK (RFC 7541) without any state: `:status: 200` of the static table, `apns-id` as two literals.
const APNS_HEAD: &[u8] = b"\x88\x00\x07apns-id\x24eabeae54-14a8-11e5-b60b-1697f925ec7b";
/// `:status: 200`, and `content-type` by its place in the static table.
const FCM_HEAD: &[u8] = b"\x88\x0f\x10\x10application/json";
pub(crate) const FCM_BODY: &[u8] = b"{\"name\":\"projects/p/messages/1\"}";

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

impl Provider {
    pub(crate) const ALL: [Self; 2] = [Self::Apns, Self::Fcm];

    /// As rows and orders call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Apns => "apns",
            Self::Fcm => "fcm",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.name() == name)
    }

    /// A token of that length which its devices have: 64 hexadecimal digits, or 150 characters.
    pub(crate) fn token(self, out: &mut Vec<u8>, number: usize) {
        let width = match self {
            Self::Apns => 64,
            Self::Fcm => 150,
        };
        out.extend_from_slice(format!("{number:0width$x}").as_bytes());
    }

    /// Its "yes" to a stream, whole. How many bytes of it count for flow control (RFC 9113 §6.9).
    pub(crate) fn answer(self, out: &mut Vec<u8>, stream: u32) -> i64 {
        match self {
            Self::Apns => {
                frame(out, APNS_HEAD, 1, END_HEADERS | END_STREAM, stream);
                0
            }
            Self::Fcm => {
                frame(out, FCM_HEAD, 1, END_HEADERS, stream);
                frame(out, FCM_BODY, 0, END_STREAM, stream);
                i64::try_from(FCM_BODY.len()).unwrap_or(i64::MAX)
            }
        }
    }
}

fn frame(out: &mut Vec<u8>, payload: &[u8], kind: u8, flags: u8, stream: u32) {
    // Each is far shorter than a byte can count.
    let length = u8::try_from(payload.len()).unwrap_or(u8::MAX);
    let [s0, s1, s2, s3] = stream.to_be_bytes();
    out.extend_from_slice(&[0, 0, length, kind, flags, s0, s1, s2, s3]);
    out.extend_from_slice(payload);
}

/// Writes a number as eight hexadecimal digits.
pub(crate) fn hex8(out: &mut BytesMut, number: u32) {
    for shift in (0..8).rev() {
        let digit = u8::try_from(number >> (shift * 4) & 0xf).unwrap_or(0);
        out.put_u8(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
    }
}
