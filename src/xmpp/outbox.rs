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

/// What was written this short a time before a stream broke may have met nobody, and is written again: that an iq is
/// answered twice harms no one, that it is not answered at all does.
const IN_DOUBT: Duration = Duration::from_secs(1);
/// How many bytes are remembered for that.
const MAX_IN_DOUBT: usize = 1024 * 1024;

/// Whole stanzas in one buffer, so that one write takes all that is ready. First those that are written and in
/// doubt, then those that wait.
#[derive(Default)]
pub struct Outbox {
    buf: BytesMut,
    marks: VecDeque<Mark>,
    /// How many of the marks are written whole, and their bytes.
    whole: usize,
    whole_bytes: usize,
    /// How much of the buffer is written.
    sent: usize,
    dropped: u64,
}

/// One stanza in the buffer.
#[derive(Clone, Copy)]
struct Mark {
    bytes: usize,
    /// When the request was read; `None` for what means something to this stream only.
    taken: Option<Moment>,
    /// When its last byte was written.
    written: Option<Moment>,
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
        match self.marks.get(self.whole) {
            Some(first) if self.sent > self.whole_bytes => {
                self.buf.get(self.sent..self.whole_bytes + first.bytes).unwrap_or_default()
            }
            _ => &[],
        }
    }

    /// The first `written` bytes of [`Outbox::unsent`] were written.
    pub fn written(&mut self, written: usize, now: Moment) {
        self.sent += written;
        while let Some(mark) = self.marks.get_mut(self.whole) {
            if self.sent < self.whole_bytes + mark.bytes {
                break;
            }
            mark.written = Some(now);
            self.whole += 1;
            self.whole_bytes += mark.bytes;
        }
        while let Some(first) = self.marks.front() {
            let settled = first.written.is_some_and(|written| now - written >= IN_DOUBT);
            if self.whole == 0 || !(settled || self.whole_bytes > MAX_IN_DOUBT) {
                break;
            }
            self.whole -= 1;
            self.whole_bytes -= first.bytes;
            self.sent -= first.bytes;
            self.buf.advance(first.bytes);
            self.marks.pop_front();
        }
    }

    /// The stream broke: what was partly written goes again whole, and so does what was written just before. If it
    /// ended `in_order`, the host has read what was written before it said so.
    pub fn stream_ended(&mut self, now: Moment, in_order: bool) {
        self.retain(|mark| mark.written.is_none_or(|written| !in_order && now - written < IN_DOUBT));
        for mark in &mut self.marks {
            mark.written = None;
        }
        (self.whole, self.whole_bytes, self.sent) = (0, 0, 0);
    }

    /// A new stream begins: what is older than `max_age`, or was for the old stream only, does not go.
    pub fn begin_stream(&mut self, now: Moment, max_age: Duration) {
        let before = self.marks.len();
        self.retain(|mark| mark.taken.is_some_and(|taken| now - taken < max_age));
        self.dropped += (before - self.marks.len()) as u64;
    }

    /// How many stanzas wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.marks.len() - self.whole
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many stanzas were dropped since this was last asked.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    fn added(&mut self, before: usize, taken: Option<Moment>) {
        self.marks.push_back(Mark { bytes: self.buf.len() - before, taken, written: None });
        if self.len() > MAX_STANZAS || self.buf.len() - self.whole_bytes > MAX_BYTES {
            self.drop_oldest();
        }
    }

    /// Drops the oldest eighth of what waits, so that the cost of moving the rest is rare. A stanza that is partly
    /// written stays.
    fn drop_oldest(&mut self) {
        let keep = self.whole + usize::from(self.sent > self.whole_bytes);
        let drop = keep..keep + (self.len() / 8).max(1);
        let before = self.marks.len();
        let mut seen = 0;
        self.retain(|_| {
            seen += 1;
            !drop.contains(&(seen - 1))
        });
        self.dropped += (before - self.marks.len()) as u64;
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

    fn at(secs: u64) -> Moment {
        Moment::since_start(Duration::from_secs(secs))
    }

    const MAX_AGE: Duration = Duration::from_secs(30);

    fn with(stanzas: &[&str]) -> Outbox {
        let mut outbox = Outbox::default();
        for stanza in stanzas {
            outbox.stanza(stanza.as_bytes(), Some(at(0)));
        }
        outbox
    }

    #[test]
    fn what_was_partly_written_goes_again_whole() {
        let mut outbox = with(&["<one/>", "<two/>", "<three/>"]);
        outbox.written(8, at(1));
        assert_eq!((outbox.unsent(), outbox.rest_of_stanza(), outbox.len()), (&b"wo/><three/>"[..], &b"wo/>"[..], 2));
        outbox.stream_ended(at(2), false);
        outbox.begin_stream(at(29), MAX_AGE);
        assert_eq!((outbox.unsent(), outbox.rest_of_stanza()), (&b"<two/><three/>"[..], &b""[..]));
        outbox.written(14, at(29));
        assert!(outbox.is_empty());
        assert_eq!(outbox.take_dropped(), 0);
    }

    #[test]
    fn what_was_written_just_before_a_stream_broke_goes_again() {
        let rows = [(false, 1500, "<two/><three/>"), (false, 2100, "<three/>"), (true, 1500, "<three/>")];
        for (in_order, ended, again) in rows {
            let mut outbox = with(&["<one/>", "<two/>", "<three/>"]);
            outbox.written(6, Moment::default());
            outbox.written(8, at(1));
            outbox.stream_ended(Moment::since_start(Duration::from_millis(ended)), in_order);
            assert_eq!(String::from_utf8_lossy(outbox.unsent()), again, "{in_order} {ended}");
            assert_eq!(outbox.len(), again.matches('<').count());
        }
    }

    #[test]
    fn what_is_in_doubt_is_bounded() {
        let stanza = "x".repeat(1000);
        let mut outbox = Outbox::default();
        for _ in 0..3000 {
            outbox.stanza(stanza.as_bytes(), Some(at(0)));
            outbox.written(1000, at(0));
        }
        assert!(outbox.is_empty());
        assert!((MAX_IN_DOUBT - 1000..=MAX_IN_DOUBT).contains(&outbox.buf.len()), "{}", outbox.buf.len());
        outbox.stanza(b"<last/>", Some(at(1)));
        outbox.written(7, at(1));
        assert_eq!(outbox.buf.len(), 7);
    }

    #[test]
    fn a_new_stream_gets_neither_old_answers_nor_the_old_streams_pings() {
        let mut outbox = with(&["<old/>"]);
        outbox.stanza(b"<ping/>", None);
        outbox.stanza(b"<young/>", Some(at(1)));
        outbox.stream_ended(at(1), false);
        outbox.begin_stream(at(30), MAX_AGE);
        assert_eq!(outbox.unsent(), b"<young/>");
        assert_eq!((outbox.take_dropped(), outbox.take_dropped()), (2, 0));
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let mut outbox = Outbox::default();
        for n in 0..=MAX_STANZAS {
            outbox.stanza(format!("<a n='{n:05}'/>").as_bytes(), Some(at(0)));
            if n == 0 {
                outbox.written(1, at(0));
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
