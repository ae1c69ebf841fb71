//! What each frame of the vendor does.

use std::task::Waker;

use super::client::{Block, Broken, CONNECTION_WINDOW, Client, Stage};
use super::frame::{self, Code, Fault, Frame, LARGEST, WIDEST, flag, kind, setting};

/// How large the headers of an answer may be as they are sent, bytes, and in how many frames they may come.
const LARGEST_BLOCK: usize = 4 * LARGEST;
const MOST_FRAMES: usize = 32;

/// How long a value may be that is kept, bytes. Dates have 29.
const LONGEST_VALUE: usize = 128;

impl Client {
    /// Takes the frames that are whole; how many bytes those were. Who is to be woken goes into `woken`.
    ///
    /// # Errors
    /// The vendor broke the rules. The connection has to end.
    pub fn receive(&mut self, bytes: &[u8], woken: &mut Vec<Waker>) -> Result<usize, Fault> {
        let (before, mut rest) = (self.out.len(), bytes);
        let mut leave = false;
        while let Some(frame) = Frame::take(&mut rest)? {
            if let Some(block) = &self.block {
                if frame.kind != kind::CONTINUATION || frame.stream != block.stream {
                    return Err(Fault::protocol("a frame within headers"));
                }
            } else if !self.peer.known && (frame.kind != kind::SETTINGS || frame.has(flag::ACK)) {
                return Err(Fault::protocol("no settings at the beginning"));
            }
            match frame.kind {
                kind::DATA => self.data(&frame, woken)?,
                kind::HEADERS => self.headers(&frame, woken)?,
                kind::CONTINUATION => self.continuation(&frame, woken)?,
                kind::RST_STREAM => self.was_reset(&frame, woken)?,
                kind::SETTINGS => {
                    self.settings(&frame)?;
                    leave = true;
                }
                kind::PUSH_PROMISE => return Err(Fault::protocol("a push that we do not allow")),
                kind::PING => self.pinged(&frame)?,
                kind::GOAWAY => self.goes_away(&frame, woken)?,
                kind::WINDOW_UPDATE => {
                    self.widen(&frame, woken)?;
                    leave = true;
                }
                // PRIORITY, which is no more in use, and what we do not know (§5.5).
                _ => {}
            }
        }
        self.owed += self.out.len() - before;
        if leave && !self.waiting.is_empty() {
            self.send_waiting();
        }
        Ok(bytes.len() - rest.len())
    }

    fn data(&mut self, frame: &Frame<'_>, woken: &mut Vec<Waker>) -> Result<(), Fault> {
        self.must_have_begun(frame)?;
        // Padding counts as well (§6.9.1).
        self.used += u32::try_from(frame.payload.len()).unwrap_or_default();
        // Nobody is held to the leave that he has: what is kept of data is bounded anyway.
        if self.used >= CONNECTION_WINDOW / 2 {
            let used = std::mem::take(&mut self.used);
            frame::put(&mut self.out, kind::WINDOW_UPDATE, 0, 0, &used.to_be_bytes());
        }
        let data = frame.unpadded()?;
        let Some(stream) = self.streams.get_mut(&frame.stream) else { return Ok(()) };
        match stream.stage {
            Stage::Heard => {}
            Stage::Silent => return Err(Fault::protocol("a body before its headers")),
            Stage::Whole | Stage::Broken(_) => return Ok(()),
        }
        let room = self.most - stream.response.body.len();
        stream.response.body.extend_from_slice(data.get(..room).unwrap_or(data));
        if frame.has(flag::END_STREAM) {
            self.whole(frame.stream, woken);
        } else if data.len() >= room {
            // Enough of it was read.
            self.reset(frame.stream, Code::CANCEL);
            self.finish(frame.stream, Stage::Whole, woken);
        }
        Ok(())
    }

    fn headers(&mut self, frame: &Frame<'_>, woken: &mut Vec<Waker>) -> Result<(), Fault> {
        self.must_have_begun(frame)?;
        let (part, ends) = (frame.unpadded()?, frame.has(flag::END_STREAM));
        if frame.has(flag::END_HEADERS) {
            return self.block(frame.stream, part, ends, woken);
        }
        self.block = Some(Block { stream: frame.stream, ends, bytes: part.to_vec(), frames: 1 });
        Ok(())
    }

    fn continuation(&mut self, frame: &Frame<'_>, woken: &mut Vec<Waker>) -> Result<(), Fault> {
        let mut block = self.block.take().ok_or(Fault::protocol("a continuation of nothing"))?;
        block.bytes.extend_from_slice(frame.payload);
        block.frames += 1;
        if block.bytes.len() > LARGEST_BLOCK || block.frames > MOST_FRAMES {
            return Err(Fault { code: Code::ENHANCE_YOUR_CALM, what: "headers without end" });
        }
        if frame.has(flag::END_HEADERS) {
            return self.block(block.stream, &block.bytes, block.ends, woken);
        }
        self.block = Some(block);
        Ok(())
    }

    /// Reads headers: of an answer, of what goes before one (1xx), or of what comes after its body.
    fn block(&mut self, number: u32, bytes: &[u8], ends: bool, woken: &mut Vec<Waker>) -> Result<(), Fault> {
        let (mut status, mut retry_after, mut date) = (None, None, None);
        self.decoder.block(bytes, |name, value| match name {
            b":status" => status = status.or(number_of(value)),
            b"retry-after" if retry_after.is_none() => retry_after = text(value),
            b"date" if date.is_none() => date = text(value),
            _ => {}
        })?;
        let Some(stream) = self.streams.get_mut(&number) else { return Ok(()) };
        match (&stream.stage, status) {
            (Stage::Silent, Some(100..=199)) if !ends => return Ok(()),
            (Stage::Silent, Some(status @ 200..=999)) => {
                stream.stage = Stage::Heard;
                stream.response.status = status;
                stream.response.retry_after = retry_after;
                stream.response.date = date;
            }
            (Stage::Heard, None) if ends => {}
            (Stage::Whole | Stage::Broken(_), _) => return Ok(()),
            _ => {
                // §8.1.1: an answer that is none harms no other.
                self.reset(number, Code::PROTOCOL_ERROR);
                self.finish(number, Stage::Broken(Broken::Reset("the answer is malformed".into())), woken);
                return Ok(());
            }
        }
        if ends {
            self.whole(number, woken);
        }
        Ok(())
    }

    /// An answer has come to its end.
    fn whole(&mut self, number: u32, woken: &mut Vec<Waker>) {
        if self.streams.get(&number).is_some_and(|stream| stream.unsent.is_some()) {
            // The vendor needs no more of the request to answer it (§8.1).
            self.reset(number, Code::NO_ERROR);
        }
        self.finish(number, Stage::Whole, woken);
    }

    fn was_reset(&mut self, frame: &Frame<'_>, woken: &mut Vec<Waker>) -> Result<(), Fault> {
        let code = Code(u32::from_be_bytes(frame.exactly()?));
        self.must_have_begun(frame)?;
        let why = match code {
            Code::REFUSED_STREAM => Broken::Refused,
            code => Broken::Reset(code.name().into()),
        };
        self.finish(frame.stream, Stage::Broken(why), woken);
        Ok(())
    }

    fn settings(&mut self, frame: &Frame<'_>) -> Result<(), Fault> {
        if frame.stream != 0 {
            return Err(Fault::protocol("settings of a stream"));
        }
        if frame.has(flag::ACK) {
            return frame.exactly::<0>().map(drop);
        }
        let (settings, []) = frame.payload.as_chunks::<6>() else {
            return Err(Fault::size("half a setting"));
        };
        if !self.peer.known {
            // Without a word about it there is no limit (§6.5.2).
            self.peer.streams = usize::try_from(u32::MAX).unwrap_or(usize::MAX);
            self.peer.known = true;
        }
        for [a, b, value @ ..] in settings {
            self.set(u16::from_be_bytes([*a, *b]), u32::from_be_bytes(*value))?;
        }
        frame::put(&mut self.out, kind::SETTINGS, flag::ACK, 0, &[]);
        Ok(())
    }

    fn set(&mut self, name: u16, value: u32) -> Result<(), Fault> {
        let size = usize::try_from(value).unwrap_or(usize::MAX);
        match name {
            setting::HEADER_TABLE_SIZE => self.encoder.allow(size),
            setting::ENABLE_PUSH if value != 0 => return Err(Fault::protocol("a server that wants pushes")),
            setting::MAX_CONCURRENT_STREAMS => self.peer.streams = size,
            setting::INITIAL_WINDOW_SIZE => {
                let window = i64::from(value);
                if window > WIDEST {
                    return Err(Fault::flow("a window that is too wide"));
                }
                let change = window - self.peer.window;
                self.peer.window = window;
                for stream in self.streams.values_mut() {
                    stream.window += change;
                    if stream.window > WIDEST {
                        return Err(Fault::flow("a window that is too wide"));
                    }
                }
            }
            setting::MAX_FRAME_SIZE => {
                if !(LARGEST..1 << 24).contains(&size) {
                    return Err(Fault::protocol("a frame size that may not be"));
                }
                self.peer.frame = size;
            }
            _ => {}
        }
        Ok(())
    }

    fn pinged(&mut self, frame: &Frame<'_>) -> Result<(), Fault> {
        let opaque = frame.exactly::<8>()?;
        if frame.stream != 0 {
            return Err(Fault::protocol("a ping of a stream"));
        }
        if frame.has(flag::ACK) {
            self.asked = false;
        } else {
            frame::put(&mut self.out, kind::PING, flag::ACK, 0, &opaque);
        }
        Ok(())
    }

    /// §6.8: what has a greater number than the last will not be looked at.
    fn goes_away(&mut self, frame: &Frame<'_>, woken: &mut Vec<Waker>) -> Result<(), Fault> {
        let Some((&[a, b, c, d, code @ ..], words)) = frame.payload.split_first_chunk::<8>() else {
            return Err(Fault::size("a frame of another length than its kind has"));
        };
        if frame.stream != 0 {
            return Err(Fault::protocol("a farewell of a stream"));
        }
        let last = u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff;
        let code = Code(u32::from_be_bytes(code));
        self.ending = true;
        if code != Code::NO_ERROR && self.complaint.is_none() {
            self.complaint = Some((code, words.get(..LONGEST_VALUE).unwrap_or(words).into()));
        }
        let left: Vec<u32> = self.streams.keys().copied().filter(|number| *number > last).collect();
        for number in left {
            self.finish(number, Stage::Broken(Broken::LeftOut), woken);
        }
        Ok(())
    }

    fn widen(&mut self, frame: &Frame<'_>, woken: &mut Vec<Waker>) -> Result<(), Fault> {
        let more = i64::from(u32::from_be_bytes(frame.exactly()?) & 0x7fff_ffff);
        if frame.stream == 0 {
            self.window += more;
            return match more {
                0 => Err(Fault::protocol("leave for nothing")),
                _ if self.window > WIDEST => Err(Fault::flow("a window that is too wide")),
                _ => Ok(()),
            };
        }
        self.must_have_begun(frame)?;
        let Some(stream) = self.streams.get_mut(&frame.stream) else { return Ok(()) };
        stream.window += more;
        if more == 0 || stream.window > WIDEST {
            // It harms no other (§6.9, §6.9.1).
            let code = if more == 0 { Code::PROTOCOL_ERROR } else { Code::FLOW_CONTROL_ERROR };
            if matches!(stream.stage, Stage::Silent | Stage::Heard) {
                self.reset(frame.stream, code);
            }
            self.finish(frame.stream, Stage::Broken(Broken::Reset(code.name().into())), woken);
        }
        Ok(())
    }

    /// Only we begin streams (§5.1.1).
    fn must_have_begun(&self, frame: &Frame<'_>) -> Result<(), Fault> {
        if frame.stream % 2 == 1 && frame.stream < self.next {
            return Ok(());
        }
        Err(Fault::protocol("a frame of a stream that never began"))
    }

    /// A stream ends so, unless it has ended already.
    fn finish(&mut self, number: u32, stage: Stage, woken: &mut Vec<Waker>) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        if !matches!(stream.stage, Stage::Silent | Stage::Heard) {
            return;
        }
        let waited = stream.unsent.is_some();
        stream.end(stage, woken);
        self.open -= 1;
        if waited {
            self.waiting.retain(|waiting| *waiting != number);
        }
    }
}

fn number_of(value: &[u8]) -> Option<u16> {
    let digits = value.len() == 3 && value.iter().all(u8::is_ascii_digit);
    digits.then(|| str::from_utf8(value).ok()?.parse().ok())?
}

/// A header's value, if it is plain, and no longer than those that we read can be.
fn text(value: &[u8]) -> Option<Box<str>> {
    let plain = value.len() <= LONGEST_VALUE && value.iter().all(|byte| (0x20..0x7f).contains(byte));
    plain.then(|| str::from_utf8(value).ok().map(Box::from))?
}
