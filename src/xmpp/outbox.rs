//! Answers on their way to the host. Outlives the stream: what the host cannot be known to have got goes out again
//! on the next one.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Buf, BytesMut};

use super::answer;
use crate::domain::time::Moment;
use crate::flows::data::{Answer, Ticket};

/// How many stanzas wait at most; beyond it the oldest go.
const MAX_STANZAS: usize = 65_536;
/// How many bytes wait at most; beyond it the oldest go.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// Whole stanzas in one buffer, so that one write takes all that is ready.
#[derive(Debug, Default)]
pub struct Outbox {
    buf: BytesMut,
    marks: VecDeque<Mark>,
    /// How much of the buffer is written already; always less than the first stanza.
    sent: usize,
    dropped: u64,
}

/// One stanza in the buffer.
#[derive(Clone, Copy, Debug)]
struct Mark {
    bytes: usize,
    /// When the request was read; `None` for what means something to this stream only.
    taken: Option<Moment>,
}

impl Outbox {
    /// Adds an answer.
    pub fn answer(&mut self, ticket: &Ticket, answer: &Answer) {
        let before = self.buf.len();
        answer::write(&mut self.buf, ticket, answer);
        self.added(before, Some(ticket.taken));
    }

    /// Adds a whole stanza: an answer to what was read at `taken`, or, without it, one that dies with this stream.
    pub fn stanza(&mut self, stanza: &[u8], taken: Option<Moment>) {
        let before = self.buf.len();
        self.buf.extend_from_slice(stanza);
        self.added(before, taken);
    }

    /// What is to be written, all of it.
    #[must_use]
    pub fn unsent(&self) -> &[u8] {
        self.buf.get(self.sent..).unwrap_or_default()
    }

    /// The rest of the stanza that is partly written: a stream that ends in good order ends behind it.
    #[must_use]
    pub fn rest_of_stanza(&self) -> &[u8] {
        match self.marks.front() {
            Some(first) if self.sent > 0 => self.buf.get(self.sent..first.bytes).unwrap_or_default(),
            _ => &[],
        }
    }

    /// The first `written` bytes of [`Outbox::unsent`] were written.
    pub fn written(&mut self, written: usize) {
        self.sent += written;
        while let Some(first) = self.marks.front() {
            if self.sent < first.bytes {
                break;
            }
            self.sent -= first.bytes;
            self.buf.advance(first.bytes);
            self.marks.pop_front();
        }
    }

    /// A new stream begins: what was partly written goes again whole; what is older than `max_age`, or was for the
    /// old stream only, does not go at all.
    pub fn begin_stream(&mut self, now: Moment, max_age: Duration) {
        self.sent = 0;
        let before = self.marks.len();
        self.retain(|mark| mark.taken.is_some_and(|taken| now - taken < max_age));
        self.dropped += (before - self.marks.len()) as u64;
    }

    /// How many stanzas wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// How many stanzas were dropped since this was last asked.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    fn added(&mut self, before: usize, taken: Option<Moment>) {
        self.marks.push_back(Mark { bytes: self.buf.len() - before, taken });
        if self.marks.len() > MAX_STANZAS || self.buf.len() > MAX_BYTES {
            self.drop_oldest();
        }
    }

    /// Drops the oldest eighth, so that the cost of moving the rest is rare. A stanza that is partly written stays.
    fn drop_oldest(&mut self) {
        let keep = usize::from(self.sent > 0);
        let mut spare = (self.marks.len() / 8).max(1);
        let mut seen = 0;
        self.retain(|_| {
            seen += 1;
            let stays = seen <= keep || spare == 0;
            spare -= usize::from(!stays);
            stays
        });
        self.dropped += (seen - self.marks.len()) as u64;
    }

    fn retain(&mut self, mut stays: impl FnMut(&Mark) -> bool) {
        let mut kept = BytesMut::with_capacity(self.buf.len());
        let mut rest: &[u8] = &self.buf;
        self.marks.retain(|mark| {
            let (stanza, after) = rest.split_at_checked(mark.bytes).unwrap_or_default();
            rest = after;
            let stays = stays(mark);
            if stays {
                kept.extend_from_slice(stanza);
            }
            stays
        });
        self.buf = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Option<Moment> {
        Some(Moment::since_start(Duration::from_secs(secs)))
    }

    const MAX_AGE: Duration = Duration::from_secs(30);

    #[test]
    fn what_was_partly_written_goes_again_whole() {
        let mut outbox = Outbox::default();
        for stanza in ["<one/>", "<two/>", "<three/>"] {
            outbox.stanza(stanza.as_bytes(), at(0));
        }
        outbox.written(8);
        assert_eq!((outbox.unsent(), outbox.rest_of_stanza(), outbox.len()), (&b"wo/><three/>"[..], &b"wo/>"[..], 2));
        outbox.begin_stream(at(29).unwrap(), MAX_AGE);
        assert_eq!((outbox.unsent(), outbox.rest_of_stanza()), (&b"<two/><three/>"[..], &b""[..]));
        outbox.written(14);
        assert!(outbox.is_empty());
        assert_eq!(outbox.take_dropped(), 0);
    }

    #[test]
    fn a_new_stream_gets_neither_old_answers_nor_the_old_streams_pings() {
        let mut outbox = Outbox::default();
        outbox.stanza(b"<old/>", at(0));
        outbox.stanza(b"<ping/>", None);
        outbox.stanza(b"<young/>", at(1));
        outbox.begin_stream(at(30).unwrap(), MAX_AGE);
        assert_eq!(outbox.unsent(), b"<young/>");
        assert_eq!((outbox.take_dropped(), outbox.take_dropped()), (2, 0));
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let mut outbox = Outbox::default();
        for n in 0..=MAX_STANZAS {
            outbox.stanza(format!("<a n='{n:05}'/>").as_bytes(), at(0));
            if n == 0 {
                outbox.written(1);
            }
        }
        let dropped = (MAX_STANZAS + 1) / 8;
        assert_eq!(outbox.len(), MAX_STANZAS + 1 - dropped);
        assert_eq!(outbox.take_dropped(), dropped as u64);
        let text = String::from_utf8_lossy(outbox.unsent());
        assert!(text.starts_with(&format!("a n='00000'/><a n='{:05}'/>", dropped + 1)), "{:.60}", text);
        assert!(text.ends_with(&format!("<a n='{MAX_STANZAS:05}'/>")));
    }
}
