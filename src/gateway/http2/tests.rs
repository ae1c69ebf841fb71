//! A connection against a vendor that says what each test wants.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use proptest::prelude::*;

use super::frame::{self, Code, Frame, PREFACE, flag, kind, setting};
use super::*;

const MOST: usize = 1000;

struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A client, and what a vendor has said to it.
struct Rig {
    client: Client,
    bell: Arc<Bell>,
    unread: Vec<u8>,
}

impl Rig {
    /// Its first words are gone, and nothing has come yet.
    fn new() -> Self {
        let mut client = Client::new("vendor", MOST);
        client.take_out(&mut Vec::new());
        Self { client, bell: Arc::new(Bell(AtomicUsize::new(0))), unread: Vec::new() }
    }

    /// With a vendor's settings.
    fn greeted(settings: &[(u16, u32)]) -> Self {
        let mut rig = Self::new();
        rig.say(kind::SETTINGS, 0, 0, &payload(settings)).unwrap();
        assert_eq!(rig.out(), ["SETTINGS 1 0 []"]);
        rig
    }

    fn open(&mut self, body: &[u8]) -> Result<u32, NotOpened> {
        let fields = [Some(Field::lasting(Name::ApnsTopic, b"topic"))];
        let request = Request { path: [b"/3/device/", b"token"], fields: &fields };
        self.client.open(&request, body, Some(&Waker::from(self.bell.clone())))
    }

    fn say(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<(), Fault> {
        frame::put(&mut self.unread, kind, flags, stream, payload);
        self.hear()
    }

    fn hear(&mut self) -> Result<(), Fault> {
        let mut woken = Vec::new();
        let taken = self.client.receive(&self.unread, &mut woken)?;
        self.unread.drain(..taken);
        woken.into_iter().for_each(Waker::wake);
        Ok(())
    }

    fn poll(&mut self, stream: u32) -> Option<Result<Response, Broken>> {
        let waker = Waker::from(self.bell.clone());
        match self.client.poll(stream, &mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        }
    }

    fn woken(&self) -> usize {
        self.bell.0.load(Ordering::Relaxed)
    }

    /// What it has written since it was last asked: kind, flags, stream and payload of each frame.
    fn out(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        self.client.take_out(&mut out);
        shown(&out)
    }
}

fn shown(mut bytes: &[u8]) -> Vec<String> {
    let names =
        ["DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW", "MORE"];
    let mut frames = Vec::new();
    while let Some(frame) = Frame::take(&mut bytes).unwrap() {
        let payload = match frame.kind {
            kind::DATA | kind::HEADERS | kind::CONTINUATION => format!("{} bytes", frame.payload.len()),
            _ => format!("{:?}", frame.payload),
        };
        frames.push(format!("{} {} {} {payload}", names[usize::from(frame.kind)], frame.flags, frame.stream));
    }
    assert!(bytes.is_empty(), "half a frame was written");
    frames
}

fn payload(settings: &[(u16, u32)]) -> Vec<u8> {
    settings.iter().flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect()
}

/// `:status: 200`, and others that are not in the static table.
const OK: &[u8] = &[0x88];
const ENDED: u8 = flag::END_HEADERS | flag::END_STREAM;

fn status(text: &str) -> Vec<u8> {
    [&[0x08, 3], text.as_bytes()].concat()
}

#[test]
fn it_begins_as_the_standard_says() {
    let mut client = Client::new("vendor", MOST);
    let mut out = Vec::new();
    client.take_out(&mut out);
    let frames = out.strip_prefix(PREFACE).unwrap();
    // No pushes, 256 kB for a stream, 4 MB for all.
    let settings = "SETTINGS 0 0 [0, 2, 0, 0, 0, 0, 0, 4, 0, 4, 0, 0]";
    assert_eq!(shown(frames), [settings, "WINDOW 0 0 [0, 63, 0, 1]"]);
}

#[test]
fn a_request_is_answered() {
    let mut rig = Rig::greeted(&[]);
    let stream = rig.open(b"body").unwrap();
    assert_eq!((stream, rig.open(b"body").unwrap()), (1, 3));
    let second = rig.out();
    assert_eq!(second[1], "DATA 1 1 4 bytes");
    assert_eq!(second[3], "DATA 1 3 4 bytes");
    assert_eq!((rig.poll(1).is_none(), rig.woken()), (true, 0));
    // `retry-after: 7`, `date: now`, and one that nobody asks for.
    let head = [&status("429"), &[0x0f, 38, 1, b'7', 0x0f, 18, 3, b'n', b'o', b'w', 0, 1, b'x', 1, b'y'][..]].concat();
    rig.say(kind::HEADERS, flag::END_HEADERS, 1, &head).unwrap();
    assert!(rig.client.is_heard(1) && !rig.client.is_heard(3));
    assert_eq!((rig.poll(1).is_none(), rig.woken()), (true, 0));
    rig.say(kind::DATA, 0, 1, b"{\"reason\":").unwrap();
    rig.say(kind::DATA, flag::END_STREAM, 1, b"1}").unwrap();
    assert_eq!(rig.woken(), 1);
    let response = rig.poll(1).unwrap().unwrap();
    assert_eq!((response.status, &*response.body), (429, &b"{\"reason\":1}"[..]));
    assert_eq!((response.retry_after.as_deref(), response.date.as_deref()), (Some("7"), Some("now")));
    // It is told once.
    assert!(matches!(rig.poll(1), Some(Err(Broken::Lost(_)))));
    rig.say(kind::HEADERS, ENDED, 3, OK).unwrap();
    assert_eq!(rig.poll(3).unwrap().unwrap().status, 200);
    assert_eq!((rig.client.open_streams(), rig.out()), (0, vec![]));
}

#[test]
fn answers_in_all_their_forms() {
    // Headers and data, each with its flags; what comes of them.
    type Row = (&'static str, &'static [(u8, u8, &'static [u8])], Result<(u16, usize), &'static str>);
    const END: u8 = flag::END_STREAM;
    let rows: [Row; 10] = [
        ("continued", &[(1, END, &[]), (9, 0, &[]), (9, 4, OK)], Ok((200, 0))),
        ("informed first", &[(1, 4, b"\x08\x03103"), (1, 4, OK), (0, 1, b"ab")], Ok((200, 2))),
        ("with trailers", &[(1, 4, OK), (0, 0, b"ab"), (1, 5, &[0, 1, b'x', 1, b'y'])], Ok((200, 2))),
        ("padded", &[(1, 4 | 8, b"\x02\x88.."), (0, 1 | 8, b"\x01abc.")], Ok((200, 3))),
        ("without a status", &[(1, 5, &[0, 1, b'x', 1, b'y'])], Err("stream reset: the answer is malformed")),
        ("no number", &[(1, 5, b"\x08\x03abc")], Err("stream reset: the answer is malformed")),
        ("ended before it began", &[(1, 5, b"\x08\x03103")], Err("stream reset: the answer is malformed")),
        ("headers twice", &[(1, 4, OK), (1, 4, OK)], Ok((200, 0))),
        ("reset", &[(3, 0, &[0, 0, 0, 2])], Err("stream reset: INTERNAL_ERROR")),
        // What was said with the status counts even if the rest is lost.
        ("reset after its head", &[(1, 4, OK), (0, 0, b"ab"), (3, 0, &[0, 0, 0, 2])], Ok((200, 2))),
    ];
    for (what, frames, expected) in rows {
        let mut rig = Rig::greeted(&[]);
        let stream = rig.open(b"").unwrap();
        for (kind, flags, payload) in frames {
            rig.say(*kind, *flags, stream, payload).unwrap();
        }
        let answer = rig.poll(stream).unwrap().map(|response| (response.status, response.body.len()));
        assert_eq!(answer.map_err(|broken| broken.to_string()), expected.map_err(str::to_owned), "{what}");
        assert_eq!((rig.client.open_streams(), rig.woken()), (0, 1), "{what}");
    }
}

#[test]
fn as_many_streams_are_open_as_the_vendor_allows() {
    let mut rig = Rig::new();
    // One, until it has said how many.
    assert_eq!((rig.client.limit(), rig.open(b""), rig.open(b"")), (1, Ok(1), Err(NotOpened::Full)));
    rig.say(kind::SETTINGS, 0, 0, &payload(&[(setting::MAX_CONCURRENT_STREAMS, 2)])).unwrap();
    assert_eq!((rig.client.limit(), rig.open(b""), rig.open(b"")), (2, Ok(3), Err(NotOpened::Full)));
    rig.say(kind::HEADERS, ENDED, 1, OK).unwrap();
    assert_eq!((rig.open(b""), rig.open(b"")), (Ok(5), Err(NotOpened::Full)));
    rig.client.give_up(3);
    assert_eq!((rig.open(b""), rig.open(b"")), (Ok(7), Err(NotOpened::Full)));
    assert!(rig.out().contains(&"RST_STREAM 0 3 [0, 0, 0, 8]".to_owned()));
    // What comes for it yet is nobody's.
    rig.say(kind::HEADERS, flag::END_HEADERS, 3, OK).unwrap();
    rig.say(kind::DATA, flag::END_STREAM, 3, b"late").unwrap();
    assert_eq!(rig.client.open_streams(), 2);
    // Without a word about it there is no limit.
    assert_eq!(Rig::greeted(&[]).client.limit(), u32::MAX as usize);
}

#[test]
fn bodies_wait_for_leave() {
    let mut rig = Rig::greeted(&[(setting::INITIAL_WINDOW_SIZE, 10)]);
    rig.open(b"0123456789abcde").unwrap();
    rig.open(b"0123456789").unwrap();
    let sent = rig.out();
    assert_eq!((&*sent[1], &*sent[3]), ("DATA 0 1 10 bytes", "DATA 1 3 10 bytes"));
    rig.say(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 2]).unwrap();
    assert_eq!(rig.out(), ["DATA 0 1 2 bytes"]);
    // All streams get leave for four bytes more.
    rig.say(kind::SETTINGS, 0, 0, &payload(&[(setting::INITIAL_WINDOW_SIZE, 14)])).unwrap();
    assert_eq!(rig.out(), ["SETTINGS 1 0 []", "DATA 1 1 3 bytes"]);
    // The connection's own leave ends at 65,535 bytes, of which 25 are used.
    let mut rig = Rig::greeted(&[(setting::INITIAL_WINDOW_SIZE, 1 << 20)]);
    rig.open(&[b'x'; 65_000]).unwrap();
    rig.open(&[b'x'; 600]).unwrap();
    rig.open(b"").unwrap();
    let sent = rig.out();
    let data: Vec<&String> = sent.iter().filter(|frame| frame.starts_with("DATA")).collect();
    let large = "DATA 0 1 16384 bytes";
    assert_eq!(data, [large, large, large, "DATA 1 1 15848 bytes", "DATA 0 3 535 bytes", "DATA 1 5 0 bytes"]);
    rig.say(kind::WINDOW_UPDATE, 0, 0, &[0, 1, 0, 0]).unwrap();
    assert_eq!(rig.out(), ["DATA 1 3 65 bytes"]);
}

#[test]
fn an_answer_before_the_end_of_its_request_ends_it() {
    let mut rig = Rig::greeted(&[(setting::INITIAL_WINDOW_SIZE, 10)]);
    rig.open(b"0123456789abcde").unwrap();
    rig.out();
    rig.say(kind::HEADERS, ENDED, 1, &status("413")).unwrap();
    assert_eq!(rig.poll(1).unwrap().unwrap().status, 413);
    assert_eq!(rig.out(), ["RST_STREAM 0 1 [0, 0, 0, 0]"]);
    rig.say(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 9]).unwrap();
    assert_eq!(rig.out(), Vec::<String>::new());
}

#[test]
fn no_more_of_an_answer_is_read_than_is_wanted() {
    let mut rig = Rig::greeted(&[]);
    rig.open(b"").unwrap();
    rig.out();
    rig.say(kind::HEADERS, flag::END_HEADERS, 1, OK).unwrap();
    rig.say(kind::DATA, 0, 1, &[b'x'; MOST - 1]).unwrap();
    assert!(rig.poll(1).is_none());
    rig.say(kind::DATA, 0, 1, &[b'x'; 500]).unwrap();
    assert_eq!(rig.poll(1).unwrap().unwrap().body.len(), MOST);
    assert_eq!((rig.out(), rig.client.open_streams()), (vec!["RST_STREAM 0 1 [0, 0, 0, 8]".to_owned()], 0));
}

#[test]
fn leave_for_more_is_given_when_half_of_it_is_used() {
    let mut rig = Rig::greeted(&[]);
    rig.open(b"").unwrap();
    rig.client.give_up(1);
    rig.out();
    // 2 MB, in frames of 16 kB, for a stream that nobody reads.
    for number in 1..=128 {
        rig.say(kind::DATA, 0, 1, &[0; 16 * 1024]).unwrap();
        let expected: &[&str] = if number == 128 { &["WINDOW 0 0 [0, 32, 0, 0]"] } else { &[] };
        assert_eq!(rig.out(), expected, "{number}");
    }
}

#[test]
fn headers_larger_than_a_frame_are_continued() {
    let mut rig = Rig::greeted(&[]);
    let long = [b'x'; 40_000];
    let fields = [Some(Field::passing(Name::ApnsId, &long))];
    rig.client.open(&Request { path: [b"/", b""], fields: &fields }, b"", None).unwrap();
    let sent = rig.out();
    assert_eq!(sent[..2], ["HEADERS 0 1 16384 bytes", "MORE 0 1 16384 bytes"]);
    assert!(sent[2].starts_with("MORE 4 1 7"), "{sent:?}");
    assert_eq!(sent[3], "DATA 1 1 0 bytes");
}

#[test]
fn what_a_vendor_that_goes_away_has_not_done_is_left_out() {
    let mut rig = Rig::greeted(&[]);
    for _ in 0..3 {
        rig.open(b"").unwrap();
    }
    rig.say(kind::GOAWAY, 0, 0, &[0, 0, 0, 3, 0, 0, 0, 0]).unwrap();
    assert_eq!(rig.poll(5), Some(Err(Broken::LeftOut)));
    assert_eq!((rig.open(b""), rig.woken()), (Err(NotOpened::Ending), 1));
    for stream in [1, 3] {
        assert!(rig.poll(stream).is_none() && !rig.client.is_over());
        rig.say(kind::HEADERS, ENDED, stream, OK).unwrap();
        assert_eq!(rig.poll(stream).unwrap().unwrap().status, 200);
    }
    assert!(rig.client.is_over());
    assert_eq!(rig.client.complaint(), None);
    rig.say(kind::GOAWAY, 0, 0, &[0, 0, 0, 3, 0, 0, 0, 11, b'w', b'h', b'y']).unwrap();
    assert_eq!(rig.client.complaint().as_deref(), Some("ENHANCE_YOUR_CALM why"));
    // The first complaint stays.
    rig.say(kind::GOAWAY, 0, 0, &[0, 0, 0, 3, 0, 0, 0, 0]).unwrap();
    assert_eq!(rig.client.complaint().as_deref(), Some("ENHANCE_YOUR_CALM why"));
}

#[test]
fn what_is_refused_and_what_is_lost_are_told_apart() {
    let mut rig = Rig::greeted(&[]);
    for _ in 0..3 {
        rig.open(b"").unwrap();
    }
    rig.say(kind::RST_STREAM, 0, 1, &Code::REFUSED_STREAM.0.to_be_bytes()).unwrap();
    assert_eq!(rig.poll(1), Some(Err(Broken::Refused)));
    rig.say(kind::HEADERS, ENDED, 3, OK).unwrap();
    // Once answered, an answer stays one.
    rig.say(kind::RST_STREAM, 0, 3, &Code::NO_ERROR.0.to_be_bytes()).unwrap();
    // Of another the status has come.
    rig.open(b"").unwrap();
    rig.say(kind::HEADERS, flag::END_HEADERS, 7, &status("410")).unwrap();
    let mut woken = Vec::new();
    rig.client.lose("broken pipe", &mut woken);
    assert_eq!(woken.len(), 2);
    assert_eq!(rig.poll(3).unwrap().unwrap().status, 200);
    assert_eq!(rig.poll(5), Some(Err(Broken::Lost("broken pipe".into()))));
    assert_eq!(rig.poll(7).unwrap().unwrap().status, 410);
    assert_eq!(rig.open(b""), Err(NotOpened::Ending));
}

#[test]
fn pings_are_answered_and_ours_are_noticed() {
    let mut rig = Rig::greeted(&[]);
    rig.say(kind::PING, 0, 0, b"12345678").unwrap();
    assert_eq!(rig.out(), ["PING 1 0 [49, 50, 51, 52, 53, 54, 55, 56]"]);
    rig.client.ping();
    rig.client.ping();
    assert_eq!((rig.out().len(), rig.client.is_asked()), (1, true));
    rig.say(kind::PING, flag::ACK, 0, b"pushkeep").unwrap();
    assert!(!rig.client.is_asked());
}

#[test]
fn whoever_breaks_the_rules_is_told_which() {
    let settings = |name: u16, value: u32| payload(&[(name, value)]);
    let (protocol, flow, size) = ("PROTOCOL_ERROR", "FLOW_CONTROL_ERROR", "FRAME_SIZE_ERROR");
    // What it is, the error, and the frame: kind, flags, stream, payload.
    type Row = (&'static str, &'static str, u8, u8, u32, Vec<u8>);
    let rows: Vec<Row> = vec![
        ("data of no stream", protocol, kind::DATA, 0, 0, vec![]),
        ("data of a stream that never began", protocol, kind::DATA, 0, 3, vec![]),
        ("data of a stream that the vendor began", protocol, kind::DATA, 0, 2, vec![]),
        ("data before headers", protocol, kind::DATA, 0, 1, vec![1]),
        ("padding without end", protocol, kind::HEADERS, 12, 1, vec![9, 0x88]),
        ("headers that cannot be read", "COMPRESSION_ERROR", kind::HEADERS, 4, 1, vec![0xff]),
        ("a push", protocol, kind::PUSH_PROMISE, 4, 1, vec![0, 0, 0, 2]),
        ("a continuation of nothing", protocol, kind::CONTINUATION, 4, 1, vec![]),
        ("a short reset", size, kind::RST_STREAM, 0, 1, vec![0]),
        ("a reset of a stream that never began", protocol, kind::RST_STREAM, 0, 9, vec![0; 4]),
        ("half a setting", size, kind::SETTINGS, 0, 0, vec![0; 5]),
        ("settings of a stream", protocol, kind::SETTINGS, 0, 1, vec![]),
        ("an acknowledgement with content", size, kind::SETTINGS, 1, 0, vec![0; 6]),
        ("a server that wants pushes", protocol, kind::SETTINGS, 0, 0, settings(setting::ENABLE_PUSH, 1)),
        ("a frame size", protocol, kind::SETTINGS, 0, 0, settings(setting::MAX_FRAME_SIZE, 100)),
        ("a window", flow, kind::SETTINGS, 0, 0, settings(setting::INITIAL_WINDOW_SIZE, 1 << 31)),
        ("a ping of a stream", protocol, kind::PING, 0, 1, vec![0; 8]),
        ("a short ping", size, kind::PING, 0, 0, vec![0; 7]),
        ("a short farewell", size, kind::GOAWAY, 0, 0, vec![0; 7]),
        ("leave for nothing", protocol, kind::WINDOW_UPDATE, 0, 0, vec![0; 4]),
        ("leave for too much", flow, kind::WINDOW_UPDATE, 0, 0, vec![0x7f, 0xff, 0xff, 0xff]),
        ("leave for a stream that never began", protocol, kind::WINDOW_UPDATE, 0, 5, vec![0, 0, 0, 1]),
    ];
    for (what, code, kind, flags, stream, payload) in rows {
        let mut rig = Rig::greeted(&[]);
        rig.open(b"").unwrap();
        let fault = rig.say(kind, flags, stream, &payload).expect_err(what);
        assert!(fault.to_string().starts_with(code), "{what}: {fault}");
        rig.out();
        rig.client.farewell(Some(&fault));
        assert_eq!(rig.out(), [format!("GOAWAY 0 0 [0, 0, 0, 0, 0, 0, 0, {}]", fault.code.0)], "{what}");
    }
}

#[test]
fn settings_come_first_and_nothing_comes_within_headers() {
    for (kind, flags) in [(kind::PING, 0), (kind::SETTINGS, flag::ACK)] {
        let fault = Rig::new().say(kind, flags, 0, &[0; 8]).unwrap_err();
        assert_eq!(fault.to_string(), "PROTOCOL_ERROR of the vendor: no settings at the beginning");
    }
    for (kind, stream) in [(kind::PING, 0), (kind::CONTINUATION, 3)] {
        let mut rig = Rig::greeted(&[]);
        rig.open(b"").unwrap();
        rig.open(b"").unwrap();
        rig.say(kind::HEADERS, 0, 1, OK).unwrap();
        let fault = rig.say(kind, 0, stream, &[0; 8]).unwrap_err();
        assert_eq!(fault.to_string(), "PROTOCOL_ERROR of the vendor: a frame within headers");
    }
}

#[test]
fn headers_without_end_end_the_connection() {
    for (part, most) in [(0, 32), (16 * 1024, 5)] {
        let mut rig = Rig::greeted(&[]);
        rig.open(b"").unwrap();
        rig.say(kind::HEADERS, 0, 1, OK).unwrap();
        let frames = (1..100).take_while(|_| rig.say(kind::CONTINUATION, 0, 1, &vec![0x88; part]).is_ok()).count();
        assert!(frames < most, "{frames} frames of {part} bytes");
    }
}

#[test]
fn a_window_of_a_stream_that_overflows_costs_only_that_stream() {
    let mut rig = Rig::greeted(&[]);
    rig.open(b"").unwrap();
    rig.open(b"").unwrap();
    rig.out();
    rig.say(kind::WINDOW_UPDATE, 0, 1, &[0x7f, 0xff, 0xff, 0xff]).unwrap();
    rig.say(kind::WINDOW_UPDATE, 0, 3, &[0; 4]).unwrap();
    assert_eq!(rig.out(), ["RST_STREAM 0 1 [0, 0, 0, 3]", "RST_STREAM 0 3 [0, 0, 0, 1]"]);
    assert_eq!(rig.poll(1), Some(Err(Broken::Reset("FLOW_CONTROL_ERROR".into()))));
    assert_eq!(rig.client.open_streams(), 0);
}

#[test]
fn what_the_vendor_asked_for_is_told_apart_from_what_we_send() {
    let mut rig = Rig::greeted(&[]);
    rig.open(&[b'x'; 1000]).unwrap();
    assert_eq!(rig.client.owed(), 0);
    for _ in 0..10 {
        rig.say(kind::PING, 0, 0, b"12345678").unwrap();
    }
    rig.say(kind::SETTINGS, 0, 0, &[]).unwrap();
    assert_eq!(rig.client.owed(), 10 * 17 + 9);
    rig.out();
    assert_eq!(rig.client.owed(), 0);
}

#[test]
fn of_what_comes_twice_the_first_counts_and_nothing_long_is_kept() {
    let mut rig = Rig::greeted(&[]);
    rig.open(b"").unwrap();
    let long = [&[0x0f, 18, 127, 2][..], &[b'x'; 129]].concat();
    let head = [OK, &[0x0f, 38, 1, b'7', 0x0f, 38, 1, b'9'], &long].concat();
    rig.say(kind::HEADERS, ENDED, 1, &head).unwrap();
    let response = rig.poll(1).unwrap().unwrap();
    assert_eq!((response.retry_after.as_deref(), response.date.as_deref()), (Some("7"), None));
}

/// Frames that a vendor may send, and some that it may not.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        Just(vec![0x88]),
        Just(vec![]),
        Just(b"{}".to_vec()),
        prop::collection::vec(any::<u8>(), 0..20),
        (0_u16..7, 0_u32..100).prop_map(|setting| payload(&[setting])),
    ];
    let frame = (0_u8..11, any::<u8>(), 0_u32..9, payload).prop_map(|(kind, flags, stream, payload)| {
        let mut out = Vec::new();
        // Mostly flags that mean something.
        frame::put(&mut out, kind, flags & (1 | 4 | 8 | 0x20), stream, &payload);
        out
    });
    prop::collection::vec(frame, 0..12).prop_map(|frames| frames.concat())
}

proptest! {
    #[test]
    fn however_frames_are_cut_into_pieces_the_same_comes_of_them(said in frames(), cuts in prop::collection::vec(1_usize..30, 1..40)) {
        let run = |pieces: &[&[u8]]| {
            let mut rig = Rig::greeted(&[]);
            for _ in 0..3 {
                rig.open(b"body").unwrap();
            }
            let mut end = Ok(());
            for piece in pieces {
                rig.unread.extend_from_slice(piece);
                end = end.and_then(|()| rig.hear());
            }
            let answers: Vec<_> = [1, 3, 5].map(|stream| rig.poll(stream)).into();
            let mut out = Vec::new();
            rig.client.take_out(&mut out);
            (end, answers, rig.client.open_streams(), rig.woken(), rig.unread.len(), out)
        };
        let mut pieces = Vec::new();
        let (mut rest, mut cuts) = (&said[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            pieces.push(piece);
            rest = after;
        }
        let (whole, parts) = (run(&[&said]), run(&pieces));
        prop_assert_eq!(&whole.0, &parts.0);
        // Whatever was said, each stream is counted once.
        prop_assert_eq!(whole.2, whole.1.iter().filter(|answer| answer.is_none()).count());
        if whole.0.is_ok() {
            prop_assert_eq!((whole.1, whole.2, whole.3, whole.4), (parts.1, parts.2, parts.3, parts.4));
        }
    }

    #[test]
    fn nothing_a_vendor_says_makes_it_panic(said in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut rig = Rig::greeted(&[]);
        rig.open(b"body").unwrap();
        rig.unread = said;
        let _end = rig.hear();
        prop_assert!(rig.client.open_streams() <= 1);
    }
}
