//! A visit to the host: a stream on which a few questions are asked. It links with no bridge and changes nothing;
//! whoever wants something of us meanwhile is told to come again (`wait`), which no server takes as a reason to forget a
//! registration.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use crate::xmpp::xml::Element;
use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::frame::{Frame, Framer};
use super::link::{self, Settings, Tcp};
use super::read::{self, Opening};
use super::service::Service;
use super::trouble::Trouble;
use super::{answer, ns};
use crate::domain::ids::Domain;

/// How many features or items of one answer are read.
const MAX_LIST: usize = 1024;

/// How much of somebody's words is kept, in characters.
const MAX_WORDS: usize = 256;

/// A stream to the host.
pub struct Visit {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    framer: Framer,
    opening: Opening,
    jid: Domain,
    asked: usize,
    foreign: BTreeSet<String>,
}

/// What is asked of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Which software it is (XEP-0092).
    Version,
    /// What it can do (XEP-0030).
    Info,
    /// What belongs to it (XEP-0030).
    Items,
    /// Whether its bridge is linked (docs/signals.md). Changes nothing.
    Check,
    /// Whether it is there (XEP-0199).
    Ping,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// To [`Question::Version`]; the version may be empty.
    Software(String, String),
    /// To [`Question::Info`].
    Info {
        /// The name of its identity as a server, if it has one.
        server: Option<String>,
        /// Its features.
        features: BTreeSet<String>,
    },
    /// To [`Question::Items`]: their JIDs.
    Items(Vec<String>),
    /// To [`Question::Check`]: the bridge is linked; its version.
    Linked(String),
    /// An answer that says no more than that.
    Done,
    /// An error.
    Refused {
        /// Its defined condition.
        condition: String,
        /// What it says in words; may be empty.
        text: String,
        /// The version of the bridge that refuses, if it is one that says so.
        bridge: Option<String>,
    },
    /// Nothing in time.
    Silence,
}

impl Question {
    /// What is asked, and whether that is an iq of type set.
    const fn payload(self) -> (&'static str, &'static str) {
        match self {
            Self::Version => ("get", "<query xmlns='jabber:iq:version'/>"),
            Self::Info => ("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>"),
            Self::Items => ("get", "<query xmlns='http://jabber.org/protocol/disco#items'/>"),
            Self::Check => ("set", "<check xmlns='urn:pushkeeper:host:0'/>"),
            Self::Ping => ("get", "<ping xmlns='urn:xmpp:ping'/>"),
        }
    }
}

impl Visit {
    /// Connects and shows the secret, once.
    ///
    /// # Errors
    /// Why there is no stream.
    pub async fn open(settings: &Settings, jid: Domain) -> Result<Self, Trouble> {
        let mut dial = Tcp { connect: settings.connect.clone() };
        let service = std::sync::Arc::new(Service::new(jid.clone(), []));
        let stream = link::connect(&mut dial, settings.clone(), service).await?;
        let (reader, writer, framer, opening) = stream.into_parts();
        Ok(Self { reader, writer, framer, opening, jid, asked: 0, foreign: BTreeSet::new() })
    }

    /// Asks all of it at once, and waits that long for the answers. They come in the order of the questions.
    pub async fn ask(&mut self, questions: &[(String, Question)], within: Duration) -> Vec<Heard> {
        let mut heard: Vec<Option<Heard>> = vec![None; questions.len()];
        let first = self.asked;
        self.asked += questions.len();
        let asking = async {
            for (number, (to, question)) in (first..).zip(questions) {
                let mut out = BytesMut::new();
                let (kind, payload) = question.payload();
                open(&mut out, kind, &format!("visit-{number}"), self.jid.as_str(), to);
                out.extend_from_slice(payload.as_bytes());
                out.extend_from_slice(b"</iq>");
                self.writer.write_all(&out).await?;
            }
            while heard.iter().any(Option::is_none) {
                match self.framer.next_frame() {
                    Ok(Some(Frame::Stanza(text))) => {
                        let Ok((stanza, _)) = self.opening.stanza(text) else { continue };
                        match meaning(stanza.root(), &self.jid, first, questions) {
                            Meaning::Answer(at, answer) => {
                                if let Some(place) = heard.get_mut(at) {
                                    *place = Some(answer);
                                }
                            }
                            Meaning::Request(refusal) => self.writer.write_all(&refusal).await?,
                            Meaning::Foreign(domain) => {
                                if self.foreign.len() < MAX_LIST {
                                    self.foreign.insert(domain);
                                }
                            }
                            Meaning::Nothing => {}
                        }
                    }
                    Ok(Some(Frame::StreamClose)) | Err(_) => return Ok(()),
                    Ok(Some(_)) => {}
                    Ok(None) => match self.reader.read(self.framer.room()).await? {
                        0 => return Ok(()),
                        read => self.framer.filled(read),
                    },
                }
            }
            Ok::<(), io::Error>(())
        };
        // Whatever ended it: what was not answered by then is silence.
        let _ended = timeout(within, asking).await;
        heard.into_iter().map(|heard| heard.unwrap_or(Heard::Silence)).collect()
    }

    /// The domains, not ours, whose stanzas came to us so far.
    #[must_use]
    pub const fn foreign(&self) -> &BTreeSet<String> {
        &self.foreign
    }

    /// Takes leave, as far as the host still listens.
    pub async fn close(mut self, within: Duration) {
        let leave = async {
            self.writer.write_all(b"</stream:stream>").await?;
            self.writer.shutdown().await?;
            while self.reader.read(self.framer.room()).await? > 0 {}
            Ok::<(), io::Error>(())
        };
        let _late = timeout(within, leave).await;
    }
}

/// What a stanza is to a visitor.
enum Meaning {
    /// The answer to the question at this place.
    Answer(usize, Heard),
    /// Somebody wants something: what to say.
    Request(BytesMut),
    /// It is for this domain, not for us.
    Foreign(String),
    /// Nothing to do.
    Nothing,
}

fn meaning(stanza: Element<'_>, jid: &Domain, first: usize, questions: &[(String, Question)]) -> Meaning {
    let attribute = |name| stanza.attribute(name).unwrap_or_default();
    let to = attribute("to");
    let bare = to.split('/').next().unwrap_or_default();
    let domain = bare.rsplit('@').next().unwrap_or_default();
    if !domain.is_empty() && !domain.eq_ignore_ascii_case(jid.as_str()) {
        return Meaning::Foreign(words(domain));
    }
    if !read::is_stanza(stanza, "iq") {
        return Meaning::Nothing;
    }
    match attribute("type") {
        "result" | "error" => {
            let at = attribute("id").strip_prefix("visit-").and_then(|id| id.parse::<usize>().ok());
            let at = at.and_then(|number| number.checked_sub(first));
            let question = at.and_then(|at| Some((at, questions.get(at)?)));
            match question {
                Some((at, (to, question))) if attribute("from").eq_ignore_ascii_case(to) => {
                    Meaning::Answer(at, heard(stanza, *question))
                }
                _ => Meaning::Nothing,
            }
        }
        "get" | "set" if !attribute("from").is_empty() => {
            let mut out = BytesMut::new();
            open(&mut out, "error", attribute("id"), to, attribute("from"));
            out.extend_from_slice(
                b"<error type='wait'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
            );
            Meaning::Request(out)
        }
        _ => Meaning::Nothing,
    }
}

fn heard(iq: Element<'_>, question: Question) -> Heard {
    if iq.attribute("type") == Some("error") {
        return refused(iq);
    }
    let payload = |namespace, name| read::child(iq, namespace, name);
    let heard = match question {
        Question::Version => payload(ns::VERSION, "query").map(|query| {
            let text = |name| read::child(query, ns::VERSION, name).and_then(read::text).map(words).unwrap_or_default();
            Heard::Software(text("name"), text("version"))
        }),
        Question::Info => payload(ns::DISCO_INFO, "query").map(info),
        Question::Items => payload(ns::DISCO_ITEMS, "query").map(|query| {
            let items = query.children().filter(|&child| read::is(child, ns::DISCO_ITEMS, "item"));
            let jids = items.filter(|item| item.attribute("node").is_none()).filter_map(|item| item.attribute("jid"));
            Heard::Items(jids.take(MAX_LIST).map(str::to_owned).collect())
        }),
        Question::Check => payload(ns::HOST, "state")
            .map(|state| Heard::Linked(state.attribute("bridge").map(words).unwrap_or_default())),
        Question::Ping => None,
    };
    heard.unwrap_or(Heard::Done)
}

fn info(query: Element<'_>) -> Heard {
    let children = |name| query.children().filter(move |&child| read::is(child, ns::DISCO_INFO, name));
    let server = children("identity").find(|identity| identity.attribute("category") == Some("server"));
    let features = children("feature").filter_map(|feature| feature.attribute("var"));
    Heard::Info {
        server: server.and_then(|identity| identity.attribute("name")).map(words),
        features: features.take(MAX_LIST).map(str::to_owned).collect(),
    }
}

fn refused(iq: Element<'_>) -> Heard {
    let error = iq.children().find(|child| child.tag_name().name() == "error");
    let parts = || error.into_iter().flat_map(|error| error.children()).filter(Element::is_element);
    let standard = |child: &Element<'_>| child.tag_name().namespace() == Some(ns::STANZA_ERROR);
    let condition = parts().filter(standard).find(|child| child.tag_name().name() != "text");
    let text = parts().filter(standard).find(|child| child.tag_name().name() == "text");
    let bridge = parts().find(|&child| read::is(child, ns::HOST, "unlinked"));
    Heard::Refused {
        condition: condition.map_or_else(|| "undefined-condition".to_owned(), |it| words(it.tag_name().name())),
        text: text.and_then(read::text).map(words).unwrap_or_default(),
        bridge: bridge.and_then(|bridge| bridge.attribute("bridge")).map(words),
    }
}

fn open(out: &mut BytesMut, kind: &str, id: &str, from: &str, to: &str) {
    out.extend_from_slice(b"<iq type='");
    out.extend_from_slice(kind.as_bytes());
    for (name, value) in [("id", id), ("from", from), ("to", to)] {
        out.extend_from_slice(b"' ");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"='");
        answer::escape(out, value);
    }
    out.extend_from_slice(b"'>");
}

/// Somebody's words, short and without what a terminal would obey.
fn words(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_WORDS).collect()
}

#[cfg(test)]
#[path = "visit_tests.rs"]
mod tests;
