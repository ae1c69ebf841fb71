//! HTTP/2 frames (RFC 9113 §4, §6) where they lie, and what streams may do (§5.1): only what a vendor's stand-in needs.

use std::collections::VecDeque;

use crate::Fallible;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The most that a frame may hold unless we say otherwise.
const LONGEST: usize = 16_384;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// A frame, as far as it matters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Head {
        stream: u32,
        ends: bool,
    },
    Data {
        stream: u32,
        length: u32,
        ends: bool,
    },
    Reset {
        stream: u32,
    },
    /// The client's, to be acknowledged.
    Settings,
    Ping([u8; 8]),
    Window {
        stream: u32,
        more: u32,
    },
    Other,
}

impl Frame {
    /// The first frame, and its length with its head; none if it is not whole yet.
    pub(crate) fn first(bytes: &[u8]) -> Fallible<Option<(Self, usize)>> {
        let Some((&[a, b, c, kind, flags, s0, s1, s2, s3], rest)) = bytes.split_first_chunk::<9>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([0, a, b, c]);
        let size = usize::try_from(length)?;
        if size > LONGEST {
            return Err("a frame that is too long".into());
        }
        let Some(payload) = rest.get(..size) else { return Ok(None) };
        let stream = u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]);
        let ends = flags & END_STREAM != 0;
        let frame = match kind {
            0 => Self::Data { stream, length, ends },
            1 if flags & END_HEADERS == 0 => return Err("a head in several frames".into()),
            1 => Self::Head { stream, ends },
            3 => Self::Reset { stream },
            4 if flags & ACK == 0 => Self::Settings,
            6 if flags & ACK == 0 => Self::Ping(payload.try_into()?),
            7 => Self::Other,
            8 => Self::Window { stream, more: u32::from_be_bytes(payload.try_into()?) },
            _ => Self::Other,
        };
        Ok(Some((frame, size + 9)))
    }
}

/// What is open.
#[derive(Debug)]
pub(crate) struct Streams {
    /// Whether the client has said the first words of HTTP/2.
    pub(crate) greeted: bool,
    /// The stream of the first of these.
    first: u32,
    /// One after another, as the client opened them.
    states: VecDeque<Stream>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Open,
    /// Has a body.
    Filled,
    Ended,
}

impl Default for Streams {
    fn default() -> Self {
        Self { greeted: false, first: 1, states: VecDeque::new() }
    }
}

impl Streams {
    /// How long the client's first words are; zero if they are not whole yet.
    pub(crate) fn preface(&mut self, bytes: &[u8]) -> Fallible<usize> {
        if bytes.len() < PREFACE.len() {
            return Ok(0);
        }
        self.greeted = bytes.starts_with(PREFACE);
        if self.greeted { Ok(PREFACE.len()) } else { Err("no HTTP/2".into()) }
    }

    /// A request begins.
    pub(crate) fn open(&mut self, stream: u32, ends: bool) -> Fallible<()> {
        if ends || stream.is_multiple_of(2) {
            return Err(format!("stream {stream} has no body").into());
        }
        // A client may leave numbers out (RFC 9113 §5.1.1).
        let mut next = self.first + 2 * u32::try_from(self.states.len())?;
        if stream < next {
            return Err(format!("stream {stream} was opened twice").into());
        }
        while next < stream {
            self.states.push_back(Stream::Ended);
            next += 2;
        }
        self.states.push_back(Stream::Open);
        Ok(())
    }

    /// Some of its body. True if the request is whole.
    pub(crate) fn data(&mut self, stream: u32, length: u32, ends: bool) -> Fallible<bool> {
        let state = self.state(stream).filter(|state| **state != Stream::Ended);
        let state = state.ok_or_else(|| format!("data for stream {stream}, which is not open"))?;
        if length > 0 {
            *state = Stream::Filled;
        }
        if !ends {
            return Ok(false);
        }
        if *state != Stream::Filled {
            return Err(format!("stream {stream} has an empty body").into());
        }
        self.end(stream);
        Ok(true)
    }

    /// It is over.
    pub(crate) fn end(&mut self, stream: u32) {
        if let Some(state) = self.state(stream) {
            *state = Stream::Ended;
        }
        while self.states.front() == Some(&Stream::Ended) {
            self.states.pop_front();
            self.first += 2;
        }
    }

    fn state(&mut self, stream: u32) -> Option<&mut Stream> {
        let index = stream.checked_sub(self.first)? / 2;
        self.states.get_mut(usize::try_from(index).ok()?)
    }
}
