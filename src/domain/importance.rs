//! What a stanza means to somebody who is away: one rule for shapes and whole stanzas alike.

use super::class::Class;
use super::stanza::{JingleStep, Kind, Stanza};

/// The class of a push for this stanza; `None` if it is worth none. `own` says that a session of the account itself
/// sent it, and `account` is its bare JID. The first that fits decides:
///
/// | # | What | Class |
/// |---|---|---|
/// | 1 | type error | none |
/// | 2 | call proposed (by somebody else) | call |
/// | 3 | call retracted, rejected, finished; or proceeded, accepted, rejected, retracted by the account itself | ended |
/// | 4 | any other step of a call | none |
/// | 5 | XEP-0334 `no-store` | none |
/// | 6 | subscription request | important |
/// | 7 | other presence, iq | unimportant |
/// | 8 | displayed on another device of the account | clear |
/// | 9 | sent by the account itself, also as a room sends it back | unimportant |
/// | 10 | type headline | unimportant |
/// | 11 | correction (XEP-0308), unless the operator wants them to count | unimportant |
/// | 12 | encrypted content, a body, an invitation | important |
/// | 13 | anything else: chat states, receipts, markers, subjects | unimportant |
#[must_use]
pub fn class(stanza: &Stanza, account: &str, own: bool, corrections: bool) -> Option<Class> {
    let own = own || stanza.is_from(account);
    if stanza.kind == Kind::Error {
        return None;
    }
    if let Some(jingle) = &stanza.jingle {
        return match jingle.step {
            JingleStep::Propose if !own => Some(Class::Call),
            JingleStep::Retract | JingleStep::Reject | JingleStep::Finish => Some(Class::Ended),
            JingleStep::Proceed | JingleStep::Accept if own => Some(Class::Ended),
            _ => None,
        };
    }
    if stanza.no_store {
        return None;
    }
    Some(match stanza.kind {
        Kind::Subscribe => Class::Important,
        Kind::Presence | Kind::Iq => Class::Unimportant,
        _ if own && stanza.displayed => Class::Clear,
        _ if own => Class::Unimportant,
        Kind::Headline => Class::Unimportant,
        _ if stanza.correction && !corrections => Class::Unimportant,
        _ if stanza.encrypted || stanza.body.is_some() || stanza.invitation => Class::Important,
        _ => Class::Unimportant,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Private;
    use crate::domain::stanza::{Carbon, Jingle};

    const ALICE: &str = "alice@example.org";

    fn message() -> Stanza {
        Stanza { from: Some("bob@example.org/pc".into()), id: Some("m1".into()), ..Stanza::default() }
    }

    fn body() -> Stanza {
        Stanza { body: Some(Private::new("*")), ..message() }
    }

    fn jingle(step: JingleStep) -> Stanza {
        Stanza { jingle: Some(Jingle { step, id: "c1".into() }), ..message() }
    }

    fn own(stanza: Stanza) -> Stanza {
        Stanza { from: Some("alice@example.org/pc".into()), carbon: Some(Carbon::Sent), ..stanza }
    }

    #[test]
    fn what_a_stanza_is_worth() {
        use Class::{Call, Clear, Ended, Important, Unimportant};
        let of = |kind| Stanza { kind, ..body() };
        let rows = [
            ("body", body(), Some(Important)),
            ("OMEMO without body", Stanza { encrypted: true, ..message() }, Some(Important)),
            ("chat state, receipt, marker, subject", message(), Some(Unimportant)),
            ("marker", Stanza { displayed: true, ..message() }, Some(Unimportant)),
            ("marker of another own device", own(Stanza { displayed: true, ..message() }), Some(Clear)),
            ("headline", of(Kind::Headline), Some(Unimportant)),
            ("error", of(Kind::Error), None),
            ("room", of(Kind::Groupchat), Some(Important)),
            (
                "own words, as the room sends them back",
                Stanza { reflected: true, ..of(Kind::Groupchat) },
                Some(Unimportant),
            ),
            ("room's subject", Stanza { kind: Kind::Groupchat, ..message() }, Some(Unimportant)),
            ("presence", of(Kind::Presence), Some(Unimportant)),
            ("iq", of(Kind::Iq), Some(Unimportant)),
            ("subscription request", of(Kind::Subscribe), Some(Important)),
            ("sent carbon", own(body()), Some(Unimportant)),
            ("received carbon", Stanza { carbon: Some(Carbon::Received), ..body() }, Some(Important)),
            ("no-store", Stanza { no_store: true, ..body() }, None),
            ("invitation", Stanza { invitation: true, ..message() }, Some(Important)),
            ("correction", Stanza { correction: true, ..body() }, Some(Unimportant)),
            ("propose", jingle(JingleStep::Propose), Some(Call)),
            ("propose, not to be kept", Stanza { no_store: true, ..jingle(JingleStep::Propose) }, Some(Call)),
            ("own propose", own(jingle(JingleStep::Propose)), None),
            ("ringing", jingle(JingleStep::Ringing), None),
            ("proceed", jingle(JingleStep::Proceed), None),
            ("own proceed", own(jingle(JingleStep::Proceed)), Some(Ended)),
            ("own accept", own(jingle(JingleStep::Accept)), Some(Ended)),
            ("own reject", own(jingle(JingleStep::Reject)), Some(Ended)),
            ("retract", jingle(JingleStep::Retract), Some(Ended)),
            ("reject", jingle(JingleStep::Reject), Some(Ended)),
            ("finish", jingle(JingleStep::Finish), Some(Ended)),
            ("something new", jingle(JingleStep::Other), None),
        ];
        for (what, stanza, expected) in rows {
            assert_eq!(class(&stanza, ALICE, false, false), expected, "{what}");
        }
        let correction = Stanza { correction: true, ..body() };
        assert_eq!(class(&correction, ALICE, false, true), Some(Important));
        assert_eq!(class(&jingle(JingleStep::Accept), ALICE, true, false), Some(Ended));
        // What the account wrote to itself, from another device, without a carbon.
        let to_self = Stanza { from: Some("alice@example.org/pc".into()), ..body() };
        assert_eq!(class(&to_self, ALICE, false, false), Some(Unimportant));
    }
}
