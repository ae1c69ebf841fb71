//! What may be sent of bodies (RFC 9113 §5.2).

use super::client::Client;
use super::frame::{self, flag, kind};

/// The part of a body for which there is no leave yet.
pub(super) struct Unsent {
    body: Vec<u8>,
    sent: usize,
}

impl Unsent {
    /// What is left of a body; `None` if nothing is, the end of the stream included.
    pub(super) fn after(body: &[u8], sent: Option<usize>) -> Option<Self> {
        Some(Self { body: body.get(sent?..)?.to_vec(), sent: 0 })
    }
}

impl Client {
    /// Sends as much of a body as there is leave for. How much that was, `None` if all; and what the stream may send yet.
    pub(super) fn send(&mut self, number: u32, mut body: &[u8], window: i64) -> (Option<usize>, i64) {
        let leave = usize::try_from(self.window.min(window)).unwrap_or_default();
        let part = body.len().min(leave);
        let whole = part == body.len();
        body = body.get(..part).unwrap_or_default();
        while body.len() > self.peer.frame
            && let Some((first, rest)) = body.split_at_checked(self.peer.frame)
        {
            frame::put(&mut self.out, kind::DATA, 0, number, first);
            body = rest;
        }
        if whole || !body.is_empty() {
            frame::put(&mut self.out, kind::DATA, if whole { flag::END_STREAM } else { 0 }, number, body);
        }
        let taken = i64::try_from(part).unwrap_or_default();
        self.window -= taken;
        ((!whole).then_some(part), window - taken)
    }

    /// Sends what had to wait, as far as there is leave for it now.
    pub(super) fn send_waiting(&mut self) {
        for number in std::mem::take(&mut self.waiting) {
            let Some(stream) = self.streams.get_mut(&number) else { continue };
            let Some(mut unsent) = stream.unsent.take() else { continue };
            let window = stream.window;
            let (sent, window) = self.send(number, unsent.body.get(unsent.sent..).unwrap_or_default(), window);
            let Some(stream) = self.streams.get_mut(&number) else { continue };
            stream.window = window;
            if let Some(sent) = sent {
                unsent.sent += sent;
                stream.unsent = Some(unsent);
                self.waiting.push(number);
            }
        }
    }
}
