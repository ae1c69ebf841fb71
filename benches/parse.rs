//! What reading one publish costs, beside what else could read it, and what is done with it behind that: `cargo bench
//! --bench parse`.
//!
//! Every row takes the same bytes: a stream of publishes of the shape and size that Prosody sends. The best of
//! several rounds counts; only the ratios mean something on another machine.

#![expect(clippy::print_stdout, clippy::expect_used, reason = "a bench talks, and fails loudly")]

#[path = "counts/parts.rs"]
mod parts;

use std::hint::black_box;
use std::time::Duration;

use bytes::BytesMut;
use pushkeeper::clock::Clock;
use pushkeeper::domain::ids::Domain;
use pushkeeper::domain::time::Moment;
use pushkeeper::flows::data::{Answer, Door, Input, Ticket};
use pushkeeper::xmpp::answer;
use pushkeeper::xmpp::frame::{Frame, Framer};
use pushkeeper::xmpp::inbound::{self, Inbound};
use pushkeeper::xmpp::read::Opening;
use pushkeeper::xmpp::service::Service;
use rxml::Parse;
use xmpp_parsers::data_forms::DataForm;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::minidom::Element;
use xmpp_parsers::pubsub::PubSub;

const OPEN: &str = "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' from='push.example.net' id='1' \
                    xmlns='jabber:component:accept'>";
const STANZAS: usize = 2000;
const ROUNDS: usize = 7;

fn main() {
    let stanza = parts::publish();
    let stream = format!("{OPEN}{}", stanza.repeat(STANZAS));
    let service = Service::new(Domain::new("push.example.net"), []).with_hosts([Domain::new("example.org")]);
    println!("one publish of {} bytes, best of {ROUNDS} rounds of {STANZAS}", stanza.len());
    println!("{:<44} {:>9} {:>9} {:>8}", "", "ns", "MB/s", "ratio");
    let scan = measure(|| {
        for chunk in stream.as_bytes().chunks(64 * 1024) {
            black_box(memchr::memchr_iter(b'<', chunk).count());
        }
    });
    let rows = [
        ("one look at every byte (memchr)", scan),
        ("framer alone", measure(|| frames(&stream, false, |_, _| 1))),
        ("framer, then tree", measure(|| frames(&stream, false, |opening, frame| usize::from(whole(opening, frame))))),
        ("tree where it stands", measure(|| frames(&stream, true, |_, _| 1))),
        (
            "the same + our request  (what we do)",
            measure(|| {
                frames(&stream, true, |opening, frame| usize::from(request(&service, opening, frame).is_some()))
            }),
        ),
        ("roxmltree alone", measure(|| each(&stanza, |text| roxmltree::Document::parse(text).is_ok()))),
        ("rxml, events only", measure(|| events(&stream))),
        ("minidom tree", measure(|| each(&qualified(&stanza), |text| text.parse::<Element>().is_ok()))),
        ("xmpp-parsers: Iq, PubSub, form", measure(|| each(&qualified(&stanza), typed))),
        ("writing the empty result", measure(write)),
    ];
    let ours = rows.iter().find(|(name, _)| name.contains("what we do")).map_or(Duration::ZERO, |(_, took)| *took);
    for (name, took) in rows {
        let nanos = took.as_secs_f64() * 1e9;
        let rate = stanza.len() as f64 / nanos * 1e3;
        let ratio = took.as_secs_f64() / ours.as_secs_f64();
        println!("{name:<44} {nanos:>9.0} {rate:>9.0} {ratio:>8.2}");
    }
    let batch = parts::batch();
    let took = measure(|| {
        let mut opening = Opening::read(OPEN).expect("a stream");
        for _ in 0..STANZAS {
            let input = request(&service, &mut opening, Frame::Stanza(black_box(&batch)));
            assert!(matches!(input, Some(Input::Signals { .. })));
        }
    });
    println!("a bridge's batch of 64 queued messages, {} bytes: {:.0} us", batch.len(), took.as_secs_f64() * 1e6);
    parts();
}

/// The parts of which `make counts` counts the instructions.
fn parts() {
    println!("\n{:<44} {:>9}", "behind it, each once", "ns");
    for (name, part) in parts::PARTS {
        let took = measure(|| assert!(part(STANZAS), "{name} went wrong"));
        println!("{name:<44} {:>9.0}", took.as_secs_f64() * 1e9);
    }
}

/// The time per stanza, of the best round.
fn measure(mut work: impl FnMut()) -> Duration {
    let once = |work: &mut dyn FnMut()| {
        let clock = Clock::system();
        work();
        clock.steady().uptime()
    };
    let best = (0..ROUNDS).map(|_| once(&mut work)).min().unwrap_or_default();
    best / u32::try_from(STANZAS).expect("a small number")
}

/// Reads the stream as the link does, 64 kB at a time; `look` says how many stanzas a frame was.
fn frames(stream: &str, parsed: bool, mut look: impl FnMut(&mut Opening, Frame<'_>) -> usize) {
    let mut opening = Opening::read(OPEN).expect("a stream");
    let mut framer = Framer::new();
    let mut seen = 0;
    let mut rest = stream.as_bytes();
    while !rest.is_empty() {
        let room = framer.room();
        let taken = room.len().min(rest.len());
        let (now, later) = rest.split_at(taken);
        room.get_mut(..taken).expect("it fits").copy_from_slice(now);
        framer.filled(taken);
        rest = later;
        loop {
            let frame = if parsed { framer.next_parsed(opening.tree()) } else { framer.next_frame() };
            match frame.expect("a stream") {
                Some(frame @ (Frame::Stanza(_) | Frame::Parsed(_))) => seen += look(&mut opening, frame),
                Some(_) => {}
                None => break,
            }
        }
    }
    assert_eq!(seen, STANZAS);
}

fn whole(opening: &mut Opening, frame: Frame<'_>) -> bool {
    let Frame::Stanza(text) = frame else { return false };
    opening.stanza(text).is_ok()
}

fn request(service: &Service, opening: &mut Opening, frame: Frame<'_>) -> Option<Input> {
    match inbound::receive(service, opening, frame, Moment::default()) {
        Ok(Some(Inbound::Request(input))) => Some(black_box(input)),
        _ => None,
    }
}

fn events(stream: &str) {
    let mut parser = rxml::Parser::new();
    let mut bytes = stream.as_bytes();
    let mut seen = 0_usize;
    while !bytes.is_empty() {
        match parser.parse(&mut bytes, false) {
            Ok(Some(event)) => {
                black_box(&event);
                seen += 1;
            }
            Ok(None) | Err(rxml::error::EndOrError::NeedMoreData) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(seen > STANZAS);
}

fn each(stanza: &str, mut read: impl FnMut(&str) -> bool) {
    for _ in 0..STANZAS {
        assert!(read(black_box(stanza)));
    }
}

fn qualified(stanza: &str) -> String {
    stanza.replacen("<iq ", "<iq xmlns='jabber:component:accept' ", 1)
}

fn typed(text: &str) -> bool {
    let element: Element = text.parse().expect("XML");
    let Ok(Iq::Set { payload, .. }) = Iq::try_from(element) else { return false };
    let Ok(PubSub::Publish { publish, publish_options: Some(options) }) = PubSub::try_from(payload) else {
        return false;
    };
    let notification = publish.items.first().and_then(|item| item.payload.as_ref());
    let form = notification.and_then(|notification| notification.get_child("x", "jabber:x:data")).cloned();
    form.is_some_and(|form| DataForm::try_from(form).is_ok()) && options.form.is_some()
}

fn write() {
    let ticket = Ticket {
        door: Door::Link,
        id: "4c81c5ec08c38e163121e0d03c8766ac5961d5e4a0467235f1dcfc419ec103d1".into(),
        to: "example.org".into(),
        from: "push.example.net".into(),
        taken: Moment::default(),
        for_client: false,
    };
    let mut out = BytesMut::with_capacity(STANZAS * 256);
    for _ in 0..STANZAS {
        answer::write(&mut out, black_box(&ticket), &Answer::Done);
    }
    black_box(&out);
}
