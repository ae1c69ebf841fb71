//! Conversations of each family of clients, of the servers that publish for them, and of the vendors, over the whole
//! program: text files in `conversations/`, read by `script.rs`.
//!
//! A script is a list of steps; what belongs to one stands indented below it. Before the first of them there may be
//! `config`, which is added to the configuration, where `$apns` and `$fcm` stand for the stand-in's address and keys.
//!
//! | step | what |
//! |---|---|
//! | `WHO sends` | a stanza comes from the host; lines that begin a tag are joined as they are, others by a space |
//! | `answer` | the next stanza that goes to the host, compared as a whole; attributes may stand in any order |
//! | `answer soon` | the answer that the stanza before it will have sooner or later: it is sent again until then |
//! | `apns receives TOKEN`, `fcm receives TOKEN` | the next push: headers, and JSON of which all must be there; `null` must not |
//! | `apns answers TOKEN STATUS REASON` | what the next push to that token meets |
//!
//! `$name` in an answer stands for any text that is not empty, and for that text from then on; `$_` for any each time.
//! `$many` stands for 10,240 letters.

mod script;

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::time::Duration;

use minidom::Element;
use serde_json::Value;

use self::script::{Bindings, Script, Step, Vendor};
use crate::support::vendor::{Answer, Behaviour, Service};
use crate::whole_rig::Whole;

/// Longer than anything takes.
const SOON: Duration = Duration::from_secs(30);

/// One test per file: the name of the test is that of the file.
macro_rules! conversations {
    ($($name:ident),* $(,)?) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                play(include_str!(concat!("conversations/", stringify!($name), ".txt"))).await;
            }
        )*
    };
}

conversations! {
    conversations,
    conversations_rooms,
    mongooseim,
    siskin,
    siskin_discovers_us,
    siskin_account_removed,
    snikket_encrypted,
    stork,
    monal_fpush,
    monal_v1,
    web_page,
}

#[test]
fn every_conversation_is_played() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/conversations");
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let found: BTreeSet<String> = names.filter_map(|name| name.strip_suffix(".txt").map(str::to_owned)).collect();
    assert_eq!(found, NAMES.iter().map(|&name| name.to_owned()).collect());
}

/// Plays a script to its end; fails where anything is other than it says, and where a push is left over.
async fn play(text: &str) {
    let script = Script::read(text);
    let (whole, mut host) = Whole::start(&script.config).await;
    let mut bindings = Bindings::default();
    let mut received = 0;
    let mut last = String::new();
    for (line, step) in &script.steps {
        match step {
            Step::Sends(stanza) => {
                last = bindings.fill(stanza);
                host.send(&last).await;
            }
            Step::AnswerSoon(expected) => {
                let expected = canonical(expected);
                let until_it_comes = async {
                    while bindings.unify(&expected, &canonical(&host.stanza().await)).is_err() {
                        host.send(&last).await;
                    }
                };
                let came = tokio::time::timeout(SOON, until_it_comes).await;
                assert!(came.is_ok(), "line {line}: {expected} did not come");
            }
            Step::Answer(expected) => {
                let got = canonical(&host.stanza().await);
                let matched = bindings.unify(&canonical(expected), &got);
                matched.unwrap_or_else(|why| panic!("line {line}: {why}\nexpected {expected}\ngot {got}"));
            }
            Step::Answers { token, status, reason, vendor } => {
                let answer = match vendor {
                    Vendor::Apns if *status == 410 => Answer::gone(i64::MAX / 2),
                    Vendor::Apns => Answer::apns(*status, reason),
                    Vendor::Fcm => Answer::fcm(*status, reason, Some(reason)),
                };
                whole.vendor.once(&bindings.fill(token), Behaviour::Answer(answer));
            }
            Step::Receives { vendor, token, headers, json } => {
                let pushes = whole.vendor.wait_for(received + 1, SOON).await;
                let push = &pushes[received];
                received += 1;
                let service = match vendor {
                    Vendor::Apns => Service::Apns,
                    Vendor::Fcm => Service::Fcm,
                };
                assert_eq!((push.service, &push.token), (service, &bindings.fill(token)), "line {line}");
                for (name, value) in headers {
                    assert_eq!(push.header(name), value, "line {line}: {name}");
                }
                let expected: Value = serde_json::from_str(&bindings.fill(json)).expect("the script's JSON");
                let (missing, got) = (script::missing(&expected, &push.json()), push.json());
                assert!(missing.is_empty(), "line {line}: {missing:?} is not in {got:#}");
            }
        }
    }
    let before: VecDeque<String> = host.settled().await.into();
    assert!(before.is_empty(), "answers that the script does not know: {before:?}");
    let pushes: Vec<String> = whole.vendor.pushes().into_iter().skip(received).map(|push| push.token).collect();
    assert!(pushes.is_empty(), "pushes that the script does not know, to {pushes:?}");
}

/// A stanza as text that is the same whatever quotes and order of attributes it was written with.
fn canonical(stanza: &str) -> String {
    let stanza = stanza.replacen("<iq ", "<iq xmlns='jabber:component:accept' ", 1);
    let element: Element = stanza.parse().unwrap_or_else(|error| panic!("{error}: {stanza}"));
    String::from(&element)
}
