//! One connection: requests out, answers in.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::flow::Unsent;
use super::frame::{self, Code, Fault, PREFACE, WIDEST, flag, kind, setting};
use super::hpack::{Decoder, Encoder, Field};

/// How much a vendor may send on a stream before we have read it, bytes. More is never read of an answer, so no stream is
/// ever given leave for more.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The same for all streams together.
pub(super) const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// What every window is at first (RFC 9113 §6.9.2).
pub(super) const FIRST_WINDOW: u32 = 65_535;

/// A request: a POST.
pub struct Request<'a> {
    /// The two halves of its path.
    pub path: [&'a [u8]; 2],
    /// Its headers, but those that begin with a colon.
    pub fields: &'a [Option<Field<'a>>],
}

/// A vendor's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Its `Retry-After` header, if it is plain text.
    pub retry_after: Option<Box<str>>,
    /// Its `Date` header, if it is plain text.
    pub date: Option<Box<str>>,
    /// Its body; no more of it than the connection was told to read, or than came before the vendor broke off.
    pub body: Vec<u8>,
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The vendor refused it, before it did anything with it (RFC 9113 §8.7).
    #[error("stream refused")]
    Refused,
    /// The vendor broke it off.
    #[error("stream reset: {0}")]
    Reset(Box<str>),
    /// The vendor goes away, and has done nothing with it (§6.8).
    #[error("the vendor goes away")]
    LeftOut,
    /// The connection ended.
    #[error("{0}")]
    Lost(Arc<str>),
}

/// Why a request was not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOpened {
    /// No stream is free.
    Full,
    /// The connection is ending.
    Ending,
}

/// The client's side of one connection.
pub struct Client {
    pub(super) encoder: Encoder,
    pub(super) decoder: Decoder,
    authority: Box<[u8]>,
    /// How much of an answer's body is read, bytes.
    pub(super) most: usize,
    /// What is to be written.
    pub(super) out: Vec<u8>,
    /// How much of it the vendor asked for by what it sent, bytes.
    pub(super) owed: usize,
    pub(super) streams: HashMap<u32, Stream, BuildHasherDefault<Spread>>,
    /// Streams that have not ended (§5.1.2).
    pub(super) open: usize,
    /// The number of the next stream.
    pub(super) next: u32,
    pub(super) peer: Peer,
    /// What we may send yet on all streams together, bytes.
    pub(super) window: i64,
    /// What the vendor has sent since it last got leave for more, bytes.
    pub(super) used: u32,
    /// Streams whose bodies are not out yet, in order.
    pub(super) waiting: Vec<u32>,
    /// Headers that are not whole yet.
    pub(super) block: Option<Block>,
    /// Whether no request may begin any more.
    pub(super) ending: bool,
    /// What the vendor has against us, if it went away for that: why, and in its own words.
    pub(super) complaint: Option<(Code, Box<[u8]>)>,
    /// Whether a ping of ours is unanswered.
    pub(super) asked: bool,
    /// Who is to be told that there is something to write.
    writer: Option<Waker>,
}

/// What the vendor's settings say (§6.5.2).
pub(super) struct Peer {
    /// Whether they have come.
    pub(super) known: bool,
    pub(super) streams: usize,
    pub(super) window: i64,
    pub(super) frame: usize,
}

/// A request that has begun.
pub(super) struct Stream {
    waker: Option<Waker>,
    pub(super) stage: Stage,
    pub(super) response: Response,
    /// What we may send yet, bytes.
    pub(super) window: i64,
    pub(super) unsent: Option<Unsent>,
}

/// How far an answer is.
pub(super) enum Stage {
    Silent,
    /// Its headers are there.
    Heard,
    Whole,
    Broken(Broken),
}

/// Headers of which more is to come (§6.10).
pub(super) struct Block {
    pub(super) stream: u32,
    pub(super) ends: bool,
    pub(super) bytes: Vec<u8>,
    pub(super) frames: usize,
}

impl Client {
    /// A connection's beginning. `most` is how much of an answer's body is read, in bytes.
    pub fn new(authority: &str, most: usize) -> Self {
        let mut out = PREFACE.to_vec();
        let mut settings = Vec::new();
        for (name, value) in [(setting::ENABLE_PUSH, 0), (setting::INITIAL_WINDOW_SIZE, STREAM_WINDOW)] {
            settings.extend_from_slice(&name.to_be_bytes());
            settings.extend_from_slice(&value.to_be_bytes());
        }
        frame::put(&mut out, kind::SETTINGS, 0, 0, &settings);
        frame::put(&mut out, kind::WINDOW_UPDATE, 0, 0, &(CONNECTION_WINDOW - FIRST_WINDOW).to_be_bytes());
        Self {
            encoder: Encoder::default(),
            decoder: Decoder::default(),
            authority: authority.as_bytes().into(),
            most: most.min(STREAM_WINDOW as usize),
            out,
            owed: 0,
            streams: HashMap::default(),
            open: 0,
            next: 1,
            // APNs begins with one stream until it has seen the provider token, so until its settings are here we count on
            // no more.
            peer: Peer { known: false, streams: 1, window: i64::from(FIRST_WINDOW), frame: frame::LARGEST },
            window: i64::from(FIRST_WINDOW),
            used: 0,
            waiting: Vec::new(),
            block: None,
            ending: false,
            complaint: None,
            asked: false,
            writer: None,
        }
    }

    /// Streams that have not ended.
    pub const fn open_streams(&self) -> usize {
        self.open
    }

    /// Streams that the vendor allows at once.
    pub const fn limit(&self) -> usize {
        self.peer.streams
    }

    /// Begins a request; its number. `waker` is woken once it has its answer, or will never have one.
    ///
    /// # Errors
    /// There is no stream for it.
    pub fn open(&mut self, request: &Request<'_>, body: &[u8], waker: Option<&Waker>) -> Result<u32, NotOpened> {
        if self.ending || i64::from(self.next) > WIDEST {
            return Err(NotOpened::Ending);
        }
        if self.open >= self.peer.streams {
            return Err(NotOpened::Full);
        }
        let number = self.next;
        self.next += 2;
        self.open += 1;
        self.head(number, request);
        let (sent, window) = self.send(number, body, self.peer.window);
        let unsent = Unsent::after(body, sent);
        if unsent.is_some() {
            self.waiting.push(number);
        }
        let stage = Stage::Silent;
        let stream = Stream { waker: waker.cloned(), stage, response: Response::default(), window, unsent };
        self.streams.insert(number, stream);
        self.tell_writer();
        Ok(number)
    }

    /// Writes HEADERS, and CONTINUATION if the vendor wants frames as small as that.
    fn head(&mut self, number: u32, request: &Request<'_>) {
        let start = self.out.len();
        frame::put_head(&mut self.out, 0, kind::HEADERS, flag::END_HEADERS, number);
        let begin = self.out.len();
        self.encoder.post(&self.authority, request.path, request.fields, &mut self.out);
        let length = self.out.len() - begin;
        if length <= self.peer.frame {
            if let Some(place) = self.out.get_mut(start..start + 3) {
                let [_, length @ ..] = u32::try_from(length).unwrap_or_default().to_be_bytes();
                place.copy_from_slice(&length);
            }
            return;
        }
        let block = self.out.split_off(begin);
        self.out.truncate(start);
        let parts = block.chunks(self.peer.frame);
        let last = parts.len() - 1;
        for (at, part) in parts.enumerate() {
            let kind = if at == 0 { kind::HEADERS } else { kind::CONTINUATION };
            let flags = if at == last { flag::END_HEADERS } else { 0 };
            frame::put(&mut self.out, kind, flags, number, part);
        }
    }

    /// What became of a request. Asked again, it knows it no more.
    pub fn poll(&mut self, number: u32, cx: &mut Context<'_>) -> Poll<Result<Response, Broken>> {
        let Some(stream) = self.streams.get_mut(&number) else {
            return Poll::Ready(Err(Broken::Lost("its answer was taken".into())));
        };
        if matches!(stream.stage, Stage::Silent | Stage::Heard) {
            match &mut stream.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        let Some(stream) = self.streams.remove(&number) else { return Poll::Pending };
        Poll::Ready(match stream.stage {
            Stage::Broken(why) => Err(why),
            _ => Ok(stream.response),
        })
    }

    /// Whether the headers of an answer are there.
    pub fn is_heard(&self, number: u32) -> bool {
        self.streams.get(&number).is_some_and(|stream| matches!(stream.stage, Stage::Heard | Stage::Whole))
    }

    /// Nobody wants to know any more what becomes of a request.
    pub fn give_up(&mut self, number: u32) {
        let Some(stream) = self.streams.remove(&number) else { return };
        if matches!(stream.stage, Stage::Silent | Stage::Heard) {
            self.open -= 1;
            self.waiting.retain(|waiting| *waiting != number);
            self.reset(number, Code::CANCEL);
        }
    }

    /// Asks for a sign of life, unless one is awaited (§6.7).
    pub fn ping(&mut self) {
        if !self.asked {
            self.asked = true;
            frame::put(&mut self.out, kind::PING, 0, 0, b"pushkeep");
            self.tell_writer();
        }
    }

    /// Whether a sign of life is awaited.
    pub const fn is_asked(&self) -> bool {
        self.asked
    }

    /// No request will begin any more; those that have may end.
    pub fn close(&mut self) {
        self.ending = true;
        self.tell_writer();
    }

    /// Whether the connection is of no more use.
    pub const fn is_over(&self) -> bool {
        self.ending && self.open == 0
    }

    /// What the vendor has against us, if it went away for that. In its own words, too: not for a log as it is.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        let (code, words) = self.complaint.as_ref()?;
        Some(format!("{} {}", code.name(), String::from_utf8_lossy(words)).trim_end().to_owned())
    }

    /// The last words of the connection: GOAWAY (§6.8).
    pub fn farewell(&mut self, fault: Option<&Fault>) {
        let code = fault.map_or(Code::NO_ERROR, |fault| fault.code);
        let mut payload = [0; 8];
        if let Some(place) = payload.last_chunk_mut() {
            *place = code.0.to_be_bytes();
        }
        self.ending = true;
        frame::put(&mut self.out, kind::GOAWAY, 0, 0, &payload);
    }

    /// The connection has ended: nothing that is open will be answered.
    pub fn lose(&mut self, why: &str, woken: &mut Vec<Waker>) {
        self.ending = true;
        self.open = 0;
        let why: Arc<str> = why.into();
        for stream in self.streams.values_mut() {
            if matches!(stream.stage, Stage::Silent | Stage::Heard) {
                stream.end(Stage::Broken(Broken::Lost(why.clone())), woken);
            }
        }
    }

    /// How much of what is to be written the vendor asked for by what it sent, bytes. While it takes none of that, nothing
    /// more should be read of it.
    #[must_use]
    pub const fn owed(&self) -> usize {
        self.owed
    }

    /// What is to be written, in exchange for a buffer to write to next.
    pub fn take_out(&mut self, empty: &mut Vec<u8>) {
        self.owed = 0;
        std::mem::swap(&mut self.out, empty);
    }

    /// Who is to be told, once, that there is something to write.
    pub fn on_write(&mut self, waker: &Waker) {
        match &mut self.writer {
            Some(writer) => writer.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    fn tell_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    pub(super) fn reset(&mut self, number: u32, code: Code) {
        frame::put(&mut self.out, kind::RST_STREAM, 0, number, &code.0.to_be_bytes());
        self.tell_writer();
    }
}

impl Stream {
    /// It has ended so.
    pub(super) fn end(&mut self, stage: Stage, woken: &mut Vec<Waker>) {
        self.stage = match (&self.stage, stage) {
            // What was said with the status counts even if the rest is lost.
            (Stage::Heard, Stage::Broken(_)) => Stage::Whole,
            (_, stage) => stage,
        };
        self.unsent = None;
        woken.extend(self.waker.take());
    }
}

/// Hashes the numbers of streams. They are ours, so nobody can choose ones that meet.
#[derive(Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        // Fibonacci hashing: 2^64 divided by the golden ratio.
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
