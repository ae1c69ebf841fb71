//! Frames (RFC 9113 §4.1, §6), and why a connection ends (§7).

use std::borrow::Cow;

use super::hpack::Malformed;

/// What a frame's head takes, bytes.
pub(super) const HEAD: usize = 9;

/// What a frame may hold unless settings say otherwise, bytes (§6.5.2). We never ask for more.
pub(super) const LARGEST: usize = 16 * 1024;

/// What no window may exceed (§6.9.1).
pub(super) const WIDEST: i64 = i32::MAX as i64;

/// The first words of a client (§3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Kinds of frames (§6).
pub(super) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PUSH_PROMISE: u8 = 5;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
}

/// Flags of frames (§6).
pub(super) mod flag {
    /// Of SETTINGS and PING.
    pub(crate) const ACK: u8 = 1;
    pub(crate) const END_STREAM: u8 = 1;
    pub(crate) const END_HEADERS: u8 = 4;
    pub(crate) const PADDED: u8 = 8;
    pub(crate) const PRIORITY: u8 = 0x20;
}

/// Settings (§6.5.2).
pub(super) mod setting {
    pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
    pub(crate) const ENABLE_PUSH: u16 = 2;
    pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(crate) const MAX_FRAME_SIZE: u16 = 5;
}

/// Why a stream or a connection ends (§7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub(super) u32);

impl Code {
    pub(super) const NO_ERROR: Self = Self(0);
    pub(super) const PROTOCOL_ERROR: Self = Self(1);
    pub(super) const FLOW_CONTROL_ERROR: Self = Self(3);
    pub(super) const FRAME_SIZE_ERROR: Self = Self(6);
    pub(super) const REFUSED_STREAM: Self = Self(7);
    pub(super) const CANCEL: Self = Self(8);
    pub(super) const COMPRESSION_ERROR: Self = Self(9);
    pub(super) const ENHANCE_YOUR_CALM: Self = Self(11);

    /// Its name in the standard.
    pub(super) fn name(self) -> Cow<'static, str> {
        const NAMES: [&str; 14] = [
            "NO_ERROR",
            "PROTOCOL_ERROR",
            "INTERNAL_ERROR",
            "FLOW_CONTROL_ERROR",
            "SETTINGS_TIMEOUT",
            "STREAM_CLOSED",
            "FRAME_SIZE_ERROR",
            "REFUSED_STREAM",
            "CANCEL",
            "COMPRESSION_ERROR",
            "CONNECT_ERROR",
            "ENHANCE_YOUR_CALM",
            "INADEQUATE_SECURITY",
            "HTTP_1_1_REQUIRED",
        ];
        let name = usize::try_from(self.0).ok().and_then(|at| NAMES.get(at));
        name.map_or_else(|| format!("error {}", self.0).into(), |name| Cow::Borrowed(*name))
    }
}

/// The other side broke the rules: the connection cannot be used any more (§5.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} of the vendor: {what}", .code.name())]
pub struct Fault {
    pub(super) code: Code,
    pub(super) what: &'static str,
}

impl Fault {
    pub(super) const fn protocol(what: &'static str) -> Self {
        Self { code: Code::PROTOCOL_ERROR, what }
    }

    pub(super) const fn size(what: &'static str) -> Self {
        Self { code: Code::FRAME_SIZE_ERROR, what }
    }

    pub(super) const fn flow(what: &'static str) -> Self {
        Self { code: Code::FLOW_CONTROL_ERROR, what }
    }
}

impl From<Malformed> for Fault {
    fn from(Malformed(what): Malformed) -> Self {
        Self { code: Code::COMPRESSION_ERROR, what }
    }
}

/// A frame as it stands in what was read.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Takes a frame off; `None` if it is not whole yet.
    ///
    /// # Errors
    /// It is larger than we allow (§4.2).
    pub(super) fn take(bytes: &mut &'a [u8]) -> Result<Option<Self>, Fault> {
        let Some((&[a, b, c, kind, flags, stream @ ..], rest)) = bytes.split_first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        if length > LARGEST {
            return Err(Fault::size("a frame larger than we allow"));
        }
        let Some((payload, rest)) = rest.split_at_checked(length) else { return Ok(None) };
        *bytes = rest;
        Ok(Some(Self { kind, flags, stream: u32::from_be_bytes(stream) & 0x7fff_ffff, payload }))
    }

    pub(super) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The payload without what only fills it up (§6.1, §6.2).
    pub(super) fn unpadded(&self) -> Result<&'a [u8], Fault> {
        const WRONG: Fault = Fault::protocol("more padding than frame");
        let mut payload = self.payload;
        let mut padding = 0;
        if self.has(flag::PADDED) {
            let (length, rest) = payload.split_first().ok_or(Fault::size("a frame without its padding's length"))?;
            (padding, payload) = (usize::from(*length), rest);
        }
        if self.kind == kind::HEADERS && self.has(flag::PRIORITY) {
            payload = payload.get(5..).ok_or(Fault::size("a frame without its priority"))?;
        }
        payload.len().checked_sub(padding).and_then(|length| payload.get(..length)).ok_or(WRONG)
    }

    /// The payload of a frame that has so many bytes.
    pub(super) fn exactly<const LENGTH: usize>(&self) -> Result<[u8; LENGTH], Fault> {
        self.payload.try_into().map_err(|_| Fault::size("a frame of another length than its kind has"))
    }
}

/// Appends the head of a frame.
pub(super) fn put_head(out: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    let [_, a, b, c] = u32::try_from(length).unwrap_or_default().to_be_bytes();
    out.extend_from_slice(&[a, b, c, kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
}

/// Appends a frame.
pub(super) fn put(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    put_head(out, payload.len(), kind, flags, stream);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_taken_when_it_is_whole() {
        let mut out = Vec::new();
        put(&mut out, kind::PING, flag::ACK, 0, b"12345678");
        put(&mut out, kind::DATA, 0, 7, b"x");
        for length in 0..HEAD + 8 {
            assert!(Frame::take(&mut &out[..length]).unwrap().is_none(), "{length}");
        }
        let mut bytes = &out[..];
        let ping = Frame::take(&mut bytes).unwrap().unwrap();
        assert_eq!((ping.kind, ping.flags, ping.stream, ping.exactly::<8>()), (6, 1, 0, Ok(*b"12345678")));
        assert_eq!(ping.exactly::<4>(), Err(Fault::size("a frame of another length than its kind has")));
        let data = Frame::take(&mut bytes).unwrap().unwrap();
        assert_eq!((data.kind, data.stream, data.payload, bytes), (0, 7, &b"x"[..], &[][..]));
        // What answers in HTTP/1.1 is no frame.
        assert!(Frame::take(&mut &b"HTTP/1.1 400 Bad Request"[..]).is_err());
    }

    #[test]
    fn padding_and_priority_are_taken_off() {
        let padding = Err(Fault::protocol("more padding than frame"));
        type Row = (u8, u8, &'static [u8], Result<&'static [u8], Fault>);
        let rows: [Row; 7] = [
            (kind::DATA, 0, b"abc", Ok(b"abc")),
            (kind::DATA, flag::PADDED, b"\x02abc..", Ok(b"abc")),
            (kind::DATA, flag::PADDED, b"\x03abc", Ok(b"")),
            (kind::DATA, flag::PADDED, b"\x04abc", padding),
            (kind::HEADERS, flag::PADDED | flag::PRIORITY, b"\x0112345abc.", Ok(b"abc")),
            (kind::HEADERS, flag::PRIORITY, b"1234", Err(Fault::size("a frame without its priority"))),
            (kind::HEADERS, flag::PADDED, b"", Err(Fault::size("a frame without its padding's length"))),
        ];
        for (kind, flags, payload, expected) in rows {
            assert_eq!(Frame { kind, flags, stream: 1, payload }.unpadded(), expected, "{payload:?}");
        }
    }

    #[test]
    fn codes_have_the_names_of_the_standard() {
        assert_eq!(Code::ENHANCE_YOUR_CALM.name(), "ENHANCE_YOUR_CALM");
        assert_eq!(Code::REFUSED_STREAM.name(), "REFUSED_STREAM");
        assert_eq!(Code(99).name(), "error 99");
        assert_eq!(Fault::flow("why").to_string(), "FLOW_CONTROL_ERROR of the vendor: why");
    }
}
