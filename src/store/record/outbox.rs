//! What is owed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Damage, Kind, name, seal, unseal};
use crate::domain::class::Class;
use crate::domain::ids::{Domain, Node};
use crate::domain::push::{Content, Sealed};
use crate::domain::secret::Private;
use crate::domain::time::Timestamp;
use crate::flows::data::{LaneKind, Load, Owed};

/// The key of what is owed in a lane.
pub(in crate::store) fn owed_key(node: &Node, kind: LaneKind) -> Vec<u8> {
    let lane = match kind {
        LaneKind::Calls => 'c',
        LaneKind::Messages => 'm',
    };
    Kind::Owed.key(&format!("{lane}{}", node.as_str()))
}

fn owed_name(key: &[u8]) -> Result<(LaneKind, Node), Damage> {
    let name = name(key)?;
    let named = |lane: char, kind| name.strip_prefix(lane).map(|node| (kind, Node::new(node)));
    named('c', LaneKind::Calls).or_else(|| named('m', LaneKind::Messages)).ok_or(Damage::Key)
}

pub(in crate::store) fn seal_owed(key: &[u8], load: &Load) -> Result<Vec<u8>, postcard::Error> {
    seal(key, &OwedV1::from(load))
}

pub(in crate::store) fn unseal_owed(key: &[u8], value: &[u8]) -> Result<Owed, Damage> {
    let (kind, node) = owed_name(key)?;
    let record: OwedV1<'_> = unseal(key, value)?;
    Ok(Owed { node, kind, load: record.into() })
}

/// What is to be delivered, redacted or sealed already. Times are milliseconds since 1970.
#[derive(Serialize, Deserialize)]
struct OwedV1<'a> {
    class: ClassV1,
    published: i64,
    expires: i64,
    from: &'a str,
    count: Option<u32>,
    sender: Option<&'a str>,
    body: Option<&'a str>,
    nickname: Option<&'a str>,
    #[serde(borrow)]
    sealed: Option<SealedV1<'a>>,
}

#[derive(Serialize, Deserialize)]
struct SealedV1<'a> {
    iv: &'a str,
    payload: &'a str,
    voip: bool,
}

/// Stored as their position, so the order is part of the format.
#[derive(Serialize, Deserialize)]
enum ClassV1 {
    Clear,
    Ended,
    Unimportant,
    Important,
    Call,
}

impl<'a> From<&'a Load> for OwedV1<'a> {
    fn from(load: &'a Load) -> Self {
        let content = &load.content;
        let text = |text: &'a Option<Private>| text.as_ref().map(Private::reveal);
        let sealed = |Sealed { iv, payload, voip }: &'a Sealed| SealedV1 { iv, payload: payload.reveal(), voip: *voip };
        Self {
            class: match load.class {
                Class::Clear => ClassV1::Clear,
                Class::Ended => ClassV1::Ended,
                Class::Unimportant => ClassV1::Unimportant,
                Class::Important => ClassV1::Important,
                Class::Call => ClassV1::Call,
            },
            published: load.published.millis(),
            expires: load.expires.millis(),
            from: load.from.as_str(),
            count: content.count,
            sender: text(&content.sender),
            body: text(&content.body),
            nickname: text(&content.nickname),
            sealed: content.sealed.as_ref().map(sealed),
        }
    }
}

impl From<OwedV1<'_>> for Load {
    fn from(owed: OwedV1<'_>) -> Self {
        let sealed = |SealedV1 { iv, payload, voip }: SealedV1<'_>| Sealed {
            iv: iv.into(),
            payload: Private::new(payload),
            voip,
        };
        let content = Content {
            count: owed.count,
            sender: owed.sender.map(Private::new),
            body: owed.body.map(Private::new),
            nickname: owed.nickname.map(Private::new),
            sealed: owed.sealed.map(sealed),
        };
        Self {
            class: match owed.class {
                ClassV1::Clear => Class::Clear,
                ClassV1::Ended => Class::Ended,
                ClassV1::Unimportant => Class::Unimportant,
                ClassV1::Important => Class::Important,
                ClassV1::Call => Class::Call,
            },
            content: Arc::new(content),
            published: Timestamp::from_millis(owed.published),
            from: Domain::new(owed.from),
            expires: Timestamp::from_millis(owed.expires),
            until: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    const CLASSES: [Class; 5] = [Class::Clear, Class::Ended, Class::Unimportant, Class::Important, Class::Call];

    prop_compose! {
        fn loads()(
            class in prop::sample::select(&CLASSES[..]),
            times in (any::<i64>(), any::<i64>()),
            from in "[a-z.]{0,30}",
            count in option::of(any::<u32>()),
            texts in (option::of(".{0,40}"), option::of(".{0,200}"), option::of(".{0,20}")),
            sealed in option::of((".{0,20}", ".{0,200}", any::<bool>())),
        ) -> Load {
            let (sender, body, nickname) = texts;
            let sealed = sealed.map(|(iv, payload, voip)| Sealed { iv: iv.into(), payload: Private::new(payload), voip });
            let content = Content {
                count,
                sender: sender.map(Private::new),
                body: body.map(Private::new),
                nickname: nickname.map(Private::new),
                sealed,
            };
            Load {
                class,
                content: Arc::new(content),
                published: Timestamp::from_millis(times.0),
                from: Domain::new(from),
                expires: Timestamp::from_millis(times.1),
                until: None,
            }
        }
    }

    proptest! {
        #[test]
        fn all_that_is_owed_comes_back_as_it_was(load in loads(), node in ".{0,40}", call in any::<bool>()) {
            let kind = if call { LaneKind::Calls } else { LaneKind::Messages };
            let key = owed_key(&Node::new(node.clone()), kind);
            let stored = seal_owed(&key, &load).unwrap();
            prop_assert_eq!(unseal_owed(&key, &stored), Ok(Owed { node: Node::new(node), kind, load }));
        }

        #[test]
        fn no_bytes_make_reading_panic(key in any::<Vec<u8>>(), value in any::<Vec<u8>>()) {
            prop_assert!(unseal_owed(&key, &value).is_err());
        }
    }

    #[test]
    fn the_bytes_of_version_1_are_for_ever() {
        let sealed = Some(Sealed { iv: "iv".into(), payload: Private::new("AAAA"), voip: true });
        let content = Content {
            count: Some(3),
            sender: Some(Private::new("s")),
            body: Some(Private::new("b")),
            nickname: None,
            sealed,
        };
        let load = Load {
            class: Class::Important,
            content: Arc::new(content),
            published: Timestamp::from_millis(1),
            from: Domain::new("a.example"),
            expires: Timestamp::from_millis(2),
            until: None,
        };
        let key = owed_key(&Node::new("n"), LaneKind::Calls);
        let hex: String = seal_owed(&key, &load).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            (&key[..], &*hex),
            (&b"ocn"[..], "0103020409612e6578616d706c6501030101730101620001026976044141414101f166ab90")
        );
    }
}
