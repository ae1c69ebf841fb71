//! For the fuzz targets: what any vendor answers.

use std::task::{Context, Poll, Waker};

use super::http2::{Broken, Client, Fault, Request, Response};
use super::{apns, fcm, webpush};
use crate::domain::outcome::Outcome;
use crate::domain::time::Timestamp;

/// What the answer of a vendor means.
pub(crate) fn outcome(vendor: u8, status: u16, retry_after: Option<&str>, body: &[u8], now: Timestamp) -> Outcome {
    match vendor % 3 {
        0 => apns::reply::outcome(status, retry_after, body, now),
        1 => fcm::reply::outcome(status, retry_after, body, now),
        _ => webpush::reply::outcome(status, retry_after, body, now),
    }
}

/// What comes of a vendor's side of a connection, cut into pieces of this size: an error, and the answers to three requests.
pub(crate) fn http2(said: &[u8], piece: usize) -> (Option<String>, Vec<Option<Result<Response, String>>>) {
    let mut client = Client::new("vendor", 1000);
    let begin =
        |client: &mut Client| client.open(&Request { path: [b"/", b"device"], fields: &[] }, b"body", None).ok();
    // One stream is allowed before settings have come; the others begin once they have.
    let mut streams = vec![begin(&mut client)];
    let (mut unread, mut woken, mut fault): (Vec<u8>, Vec<Waker>, Option<Fault>) = (Vec::new(), Vec::new(), None);
    for part in said.chunks(piece) {
        unread.extend_from_slice(part);
        match client.receive(&unread, &mut woken) {
            Ok(taken) => drop(unread.drain(..taken)),
            Err(broken) => {
                fault = Some(broken);
                break;
            }
        }
    }
    streams.extend([begin(&mut client), begin(&mut client)]);
    if fault.is_some() {
        client.lose("it broke the rules", &mut woken);
    }
    let mut cx = Context::from_waker(Waker::noop());
    let mut answer = |stream: Option<u32>| match client.poll(stream?, &mut cx) {
        Poll::Ready(answer) => Some(answer.map_err(|broken: Broken| broken.to_string())),
        Poll::Pending => None,
    };
    let answers = streams.into_iter().map(&mut answer).collect();
    (fault.map(|fault| fault.to_string()), answers)
}
