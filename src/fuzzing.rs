//! What the fuzz targets of `fuzz/` call: each takes bytes as a stranger would send them, and panics if something does
//! not hold that must. Not part of the program: built for tests, which replay the seeds, and with the feature `fuzzing`.

use std::path::Path;
use std::sync::OnceLock;

use crate::admin;
use crate::config;
use crate::domain::ids::Domain;
use crate::domain::outcome::Outcome;
use crate::domain::time::{Moment, Timestamp};
use crate::flows::signals::OrderId;
use crate::gateway;
use crate::store;
use crate::xmpp::fault::Fault;
use crate::xmpp::frame::{Frame, Framer};
use crate::xmpp::inbound::{self, Inbound};
use crate::xmpp::read::Opening;
use crate::xmpp::service::Service;
use crate::xmpp::xml::Tree;

const OPEN: &str = "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' from='push.example.net' id='1' \
                    xmlns='jabber:component:accept'>";

/// How much of what is framed is looked at: reading many megabytes finds nothing that this does not.
const MOST: usize = 1 << 16;

/// The stream of a host, in whatever pieces it comes: the pieces make no difference. The first byte says how large
/// they are.
pub fn framing(data: &[u8]) {
    let Some((&piece, stream)) = data.split_first() else { return };
    let stream = stream.get(..MOST).unwrap_or(stream);
    let whole = frames(stream, stream.len().max(1), None);
    let pieces = frames(stream, usize::from(piece).max(1), None);
    assert_eq!(whole, pieces, "the pieces make a difference");
    let parsed = frames(stream, usize::from(piece).max(1), Some(Tree::default()));
    assert_eq!(whole, parsed, "where stanzas are parsed makes a difference");
}

/// What was cut out of a stream, and how it ended.
fn frames(stream: &[u8], piece: usize, mut tree: Option<Tree>) -> (Vec<String>, Option<Fault>) {
    let mut framer = Framer::new();
    let mut cut = Vec::new();
    for piece in stream.chunks(piece) {
        framer.feed(piece);
        loop {
            let next = match &mut tree {
                Some(tree) => framer.next_parsed(tree),
                None => framer.next_frame(),
            };
            match next {
                Ok(None) => break,
                Ok(Some(Frame::StreamOpen(text) | Frame::Stanza(text) | Frame::Parsed(text))) => {
                    cut.push(text.to_owned());
                }
                Ok(Some(frame @ Frame::TooBig(_))) => cut.push(format!("{frame:?}")),
                Ok(Some(Frame::StreamClose)) => return (cut, None),
                Err(fault) => return (cut, Some(fault)),
            }
        }
    }
    (cut, None)
}

/// A stanza, whole.
pub fn stanza(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        receive(text);
    }
}

/// A form, and what stands beside it, in a publish or in the command of one of the dialects; the first byte says where.
pub fn form(data: &[u8]) {
    let Some((&place, Ok(form))) = data.split_first().map(|(place, form)| (place, std::str::from_utf8(form))) else {
        return;
    };
    const COMMANDS: [&str; 6] = [
        "register-push-fcm",
        "unregister-push-fcm",
        "register-device",
        "unregister-device",
        "v1-register-push",
        "v1-unregister-push",
    ];
    let pubsub = |publish: &str, options: &str| {
        format!(
            "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='n'><item>\
             <notification xmlns='urn:xmpp:push:0'>{publish}</notification></item></publish>\
             <publish-options>{options}</publish-options></pubsub>"
        )
    };
    let payload = match COMMANDS.get(usize::from(place) % 8) {
        Some(name) => {
            format!("<command xmlns='http://jabber.org/protocol/commands' node='{name}'>{form}</command>")
        }
        None if place % 8 == 6 => pubsub(form, ""),
        None => pubsub("", form),
    };
    receive(&format!("<iq type='set' id='1' from='romeo@example.org/x' to='push.example.net'>{payload}</iq>"));
}

/// What a bridge says: in a batch, alone, or in answer to an order; the first byte says where.
pub fn signal(data: &[u8]) {
    let Some((&place, Ok(said))) = data.split_first().map(|(place, said)| (place, std::str::from_utf8(said))) else {
        return;
    };
    let host = "xmlns='urn:pushkeeper:host:0' epoch='e1' seq='1'";
    let (kind, id, payload) = match place % 4 {
        0 => ("set", "1".to_owned(), format!("<events {host}>{said}</events>")),
        1 => ("set", "1".to_owned(), format!("<registration {host}>{said}</registration>")),
        2 => ("result", service().wire_id(OrderId(1)), said.to_owned()),
        _ => ("set", "1".to_owned(), said.to_owned()),
    };
    receive(&format!("<iq type='{kind}' id='{id}' from='example.org' to='push.example.net'>{payload}</iq>"));
}

fn service() -> &'static Service {
    static SERVICE: OnceLock<Service> = OnceLock::new();
    SERVICE.get_or_init(|| Service::new(Domain::new("push.example.net"), []).with_hosts([Domain::new("example.org")]))
}

/// Has a stanza read and judged. What is answered at once must be XML.
fn receive(text: &str) {
    let Ok(mut opening) = Opening::read(OPEN) else { panic!("the stream's own tag is not read") };
    let received = inbound::receive(service(), &mut opening, Frame::Stanza(text), Moment::default());
    if let Ok(Some(Inbound::Answer(bytes))) = received {
        let Ok(answer) = std::str::from_utf8(&bytes) else { panic!("an answer is not UTF-8") };
        assert!(opening.stanza(answer).is_ok(), "an answer is not XML: {answer}");
    }
}

/// A vendor's answer: a byte for the vendor, two for the status, a line for `Retry-After`, and the body. What it says
/// must be fit for a log.
pub fn reply(data: &[u8]) {
    let Some((&[vendor, high, low], rest)) = data.split_first_chunk() else { return };
    let mut parts = rest.splitn(2, |byte| *byte == b'\n');
    let (retry_after, body) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let retry_after = std::str::from_utf8(retry_after).ok().filter(|text| !text.is_empty());
    let status = 100 + u16::from_be_bytes([high, low]) % 500;
    let outcome = gateway::fuzzing::outcome(vendor, status, retry_after, body, Timestamp::from_secs(1_700_000_000));
    let reason = outcome.reason().unwrap_or_default();
    assert!(reason.len() <= 64 && reason.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{reason:?}");
    if let Outcome::Throttled { retry_after: Some(wait), .. } | Outcome::Unavailable { retry_after: Some(wait), .. } =
        outcome
    {
        assert!(wait.as_secs() <= 24 * 3600, "{wait:?}");
    }
}

/// A vendor's side of an HTTP/2 connection, in whatever pieces it comes: the pieces make no difference. The first byte
/// says how large they are.
pub fn http2(data: &[u8]) {
    let Some((&piece, said)) = data.split_first() else { return };
    let said = said.get(..MOST).unwrap_or(said);
    let whole = gateway::fuzzing::http2(said, said.len().max(1));
    let pieces = gateway::fuzzing::http2(said, usize::from(piece).max(1));
    assert_eq!(whole, pieces, "the pieces make a difference");
    for answer in whole.1.into_iter().flatten().flatten() {
        assert!(answer.body.len() <= 1000 && (200..1000).contains(&answer.status), "{answer:?}");
    }
}

/// A configuration. Whoever is turned away is told why.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // It may name files. Not those of the machine.
    if ["/dev", "/proc", "/sys", "\\u"].iter().any(|path| text.contains(path)) {
        return;
    }
    match config::parse(text, Path::new("/nonexistent"), []) {
        Ok((_, warnings)) => assert!(warnings.iter().all(|complaint| !complaint.text.is_empty())),
        Err(errors) => assert!(!errors.is_empty(), "refused without a word"),
    }
}

/// A record of the store: a byte for the length of its key, the key, and the value without its checksum. What can be
/// read is written as it was meant.
pub fn row(data: &[u8]) {
    let Some((&length, rest)) = data.split_first() else { return };
    let (key, value) = rest.split_at(usize::from(length).min(rest.len()));
    store::fuzzing::row(key, value);
}

/// A file of another program's store; the first byte says of which format. Its readers are bounded, and never give up
/// without a word.
pub fn foreign_store(data: &[u8]) {
    admin::import::fuzzing::file(data);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    type Target = fn(&[u8]);

    /// A target, and the folder of its seeds.
    const TARGETS: [(&str, Target); 9] = [
        ("framing", framing),
        ("stanza", stanza),
        ("form", form),
        ("signal", signal),
        ("reply", reply),
        ("http2", http2),
        ("configuration", configuration),
        ("row", row),
        ("foreign_store", foreign_store),
    ];

    #[test]
    fn what_the_fuzzers_began_with_and_what_they_found_holds() {
        for (name, target) in TARGETS {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
            let seeds: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
            assert!(!seeds.is_empty(), "no seeds for {name}");
            for seed in seeds {
                target(&fs::read(&seed).unwrap());
            }
        }
    }

    #[test]
    fn each_target_is_built() {
        let manifest = include_str!("../fuzz/Cargo.toml");
        for (name, _) in TARGETS {
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        }
    }
}
