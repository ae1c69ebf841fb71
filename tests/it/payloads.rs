//! What vendors get, whole: `tests/data/payloads/PROVIDER-STYLE-CLASS[-VARIANT].json` holds the method, the path, every
//! header and the body of each request. A body that is a text in the file is compared byte for byte, any other one as
//! JSON. With `WRITE_PAYLOADS=1`, the test writes the files anew, and fails: they are to be read before they are
//! believed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pushkeeper::clock::Clock;
use pushkeeper::domain::app::Style;
use pushkeeper::domain::class::Class;
use pushkeeper::domain::ids::DeviceHash;
use pushkeeper::domain::look::{Extra, Look};
use pushkeeper::domain::outcome::Outcome;
use pushkeeper::domain::push::{Content, Push, Sealed, ttl};
use pushkeeper::domain::secret::{DeviceToken, Private};
use pushkeeper::domain::time::Timestamp;
use pushkeeper::gateway::apns::{self, Apns};
use pushkeeper::gateway::fcm::{self, Fcm};
use serde_json::{Value, json};

use crate::gateway_rig::{apns_settings, fcm_settings, limits, push};
use crate::support::vendor::{Options, Recorded, Vendor};

/// 2026-11-22T12:00:00Z.
const NOON: Timestamp = Timestamp::from_secs(1_795_348_800);

const STYLES: [(&str, Style); 4] = [
    ("generic", Style::Generic),
    ("conversations", Style::Conversations),
    ("monal", Style::Monal),
    ("tigase", Style::Tigase),
];

const CLASSES: [Class; 5] = [Class::Call, Class::Important, Class::Unimportant, Class::Clear, Class::Ended];

#[tokio::test]
async fn every_style_sends_each_class_as_its_file_says() {
    let clock = Clock::starting_at(NOON);
    let vendor = Vendor::start(Options { clock: clock.clone(), ..Options::default() }).await;
    let mut wrong = BTreeMap::new();
    let mut known = BTreeSet::new();
    for case in cases() {
        for provider in ["apns", "fcm"] {
            if provider == "fcm" && case.push.voip_token.is_some() {
                continue;
            }
            let file = folder().join(format!("{provider}-{}.json", case.name));
            let outcome = if provider == "apns" {
                let base = apns_settings(&vendor, limits());
                let settings = apns::Settings { style: case.style, look: case.look.clone(), ..base };
                Apns::new(settings, clock.clone()).unwrap().send(&case.push).await
            } else {
                let base = fcm_settings(&vendor, limits());
                let settings = fcm::Settings { style: case.style, look: case.look.clone(), ..base };
                Fcm::new(settings, clock.clone()).unwrap().send(&case.push).await
            };
            assert_eq!(outcome, Outcome::Accepted, "{}", file.display());
            let found = request(&vendor.pushes().pop().unwrap(), case.style == Style::Conversations);
            if std::env::var_os("WRITE_PAYLOADS").is_some() {
                fs::write(&file, serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
            }
            let expected = fs::read_to_string(&file).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
            if expected.as_ref() != Some(&found) {
                wrong.insert(file.clone(), (expected, found));
            }
            assert!(known.insert(file), "two cases of one name: {}", case.name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let files: BTreeSet<PathBuf> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files, known, "a file that no case is compared with");
    assert!(std::env::var_os("WRITE_PAYLOADS").is_none(), "written anew: read the difference");
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/payloads")
}

/// A request as a file has it. What differs each time is replaced by a word that says what it must be.
fn request(got: &Recorded, verbatim: bool) -> Value {
    let header = |name: &str, value: &str| match name {
        "apns-expiration" if value != "0" => {
            let after_noon = value.parse::<u64>().unwrap() - NOON.secs();
            let ttl = [45, 28 * 24 * 3600].into_iter().find(|ttl| (*ttl..ttl + 20).contains(&after_noon));
            format!("now + {}", ttl.unwrap_or(after_noon))
        }
        "apns-id" => {
            assert!(value.len() == 36 && value.as_bytes()[14] == b'8', "{value}");
            format!("UUID{}", &value[18..])
        }
        "authorization" => {
            let (scheme, token) = value.split_once(' ').unwrap();
            assert!(!token.is_empty(), "{value}");
            format!("{scheme} TOKEN")
        }
        _ => value.to_owned(),
    };
    let headers: BTreeMap<&str, String> = got
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), header(name.as_str(), value.to_str().unwrap())))
        .collect();
    let body = if verbatim { String::from_utf8(got.body.to_vec()).unwrap().into() } else { got.json() };
    json!({ "method": got.method.as_str(), "path": got.path, "headers": headers, "body": body })
}

struct Case {
    /// STYLE-CLASS[-VARIANT].
    name: String,
    style: Style,
    look: Look,
    push: Push,
}

/// Every style and class with words where there can be some, and what is special to each.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, style) in STYLES {
        let mut add = |class: Class, variant: &str, look: Look, change: &dyn Fn(Push) -> Push| {
            let push = change(Push { class, ttl: ttl(class), content: Arc::new(said(class)), ..push(1) });
            cases.push(Case { name: format!("{name}-{}{variant}", class.name()), style, look, push });
        };
        for class in CLASSES {
            add(class, "", Look::PLAIN, &|push| push);
        }
        add(Class::Call, "-voip", Look::PLAIN, &voip);
        add(Class::Call, "-voip-sealed", Look::PLAIN, &|push| voip(sealed(push)));
        add(Class::Important, "-wordless", Look::PLAIN, &|push| Push { content: Arc::new(Content::default()), ..push });
        add(Class::Important, "-room", Look::PLAIN, &room);
        add(Class::Important, "-sealed", Look::PLAIN, &sealed);
        add(Class::Ended, "-sealed", Look::PLAIN, &sealed);
        add(Class::Important, "-look", look(), &|push| Push { content: Arc::new(Content::default()), ..push });
        add(Class::Unimportant, "-look", look(), &|push| push);
    }
    cases
}

/// What a server that says all it can says with a class.
fn said(class: Class) -> Content {
    let text = |text: &str| Some(Private::new(text));
    let (count, sender, body) = match class {
        Class::Important => (Some(2), text("juliet@example.org"), text("Wherefore \"art\" thou? 🌹")),
        Class::Call => (Some(1), text("juliet@example.org/balcony"), None),
        Class::Unimportant => (Some(1), text("juliet@example.org"), None),
        Class::Clear => (Some(0), None, None),
        Class::Ended => (None, None, None),
    };
    Content { count, sender, body, ..Content::default() }
}

fn voip(push: Push) -> Push {
    Push { voip_token: Some(DeviceToken::new("voip-1")), ..push }
}

fn sealed(push: Push) -> Push {
    let sealed = Sealed {
        iv: "MTIzNDU2Nzg5MDEy".into(),
        payload: Private::new("c2VhbGVkIHRvIHRoZSBjbGllbnQncyBrZXk="),
        voip: push.class == Class::Call,
    };
    Push { content: Arc::new(Content { sealed: Some(sealed), ..Content::default() }), ..push }
}

fn room(push: Push) -> Push {
    let nickname = Some(Private::new("Juliet"));
    let content =
        Content { nickname, sender: Some(Private::new("balcony@chat.example.org")), ..(*push.content).clone() };
    Push {
        channel: Some(DeviceHash::of("balcony@chat.example.org", "92afd7a91cdba9a0")),
        content: Arc::new(content),
        ..push
    }
}

fn look() -> Look {
    Look {
        title: Some("Verona".into()),
        body: Some("Neue Nachricht".into()),
        sound: Some("".into()),
        category: Some("LETTER".into()),
        extra: vec![
            ("firstGoodBuildNumber".into(), Extra::Number(1000)),
            ("theme".into(), Extra::Text("dark".into())),
            ("beta".into(), Extra::Flag(true)),
        ],
    }
}
