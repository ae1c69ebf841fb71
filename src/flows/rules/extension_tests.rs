//! Tigase's extensions of `<enable/>`, from the enable to the push.

use serde_json::json;

use super::rig::{ALICE, Rig, THIRD, call, ended, message, own, report, state};
use crate::domain::extensions::tests::full;
use crate::domain::extensions::{Allow, Encrypt, Extensions, Room};
use crate::domain::filter::Filter;
use crate::domain::ids::{Account, Node};
use crate::domain::publish::Priority;
use crate::domain::redact::{CallSaid, Redaction, Words};
use crate::domain::refusal::Refusal;
use crate::domain::registration::Options;
use crate::domain::seal::tests::opened;
use crate::domain::secret::{Private, SealKey};
use crate::domain::session::{EndReason, Standing};
use crate::domain::stanza::{JingleStep, Key, Kind, Stanza};
use crate::flows::data::{Decided, Input};
use crate::flows::signals::{Facts, Order, OrderKind, Relayed, Turn, What, Wish};

fn enable(extensions: &Extensions) -> Wish {
    enable_at(THIRD, "node-1", None, extensions)
}

fn enable_at(service: &str, node: &str, options: Option<Options>, extensions: &Extensions) -> Wish {
    let extensions = extensions.clone().kept();
    Wish::Enable { service: Some(service.into()), node: Node::new(node), options, extensions }
}

/// Alice's phone asks for this, and goes.
fn away(extensions: &Extensions) -> Rig {
    away_with(extensions, Redaction::default())
}

fn away_with(extensions: &Extensions, redaction: Redaction) -> Rig {
    let mut rig = Rig::with(|policy| policy.rules.redaction = redaction);
    rig.turn(report("phone", Standing::Active), Turn::Bound, &[]);
    assert_eq!(rig.wish("phone", enable(extensions)).done().len(), 1);
    rig.event(ended("phone", EndReason::Timeout));
    rig
}

fn text(stanza: Stanza, text: &str) -> Stanza {
    Stanza { body: Some(Private::new(text)), ..stanza }
}

fn said_in(room: &str, said: &str) -> Stanza {
    let stanza = Stanza { from: Some(format!("{room}@chat.example/Romeo").into()), ..message(said) };
    text(Stanza { kind: Kind::Groupchat, archive_id: None, ..stanza }, said)
}

/// What the host was last told to tell of her messages.
fn facts(orders: &[Order]) -> Option<Facts> {
    let watched = |order: &Order| match &order.what {
        OrderKind::Watch { list: None, accounts, .. } => Some(accounts[0].facts),
        _ => None,
    };
    orders.iter().rev().find_map(watched)
}

#[test]
fn what_is_filtered_is_not_pushed_whichever_way_it_comes() {
    let bot = |id: &str| Stanza { from: Some("bot@example.org/x".into()), ..message(id) };
    let filtered = Decided::Filtered(Filter::Muted);
    let mut rig = away(&full());
    for told in [rig.archived(bot("m1")), rig.offline(bot("m2"))] {
        assert_eq!(told.decided(&filtered), 1);
    }
    let ring = Stanza { jingle: call(JingleStep::Propose).jingle, body: None, ..bot("m3") };
    let told = rig.urgent(ring, false);
    assert_eq!((told.decided(&filtered), told.relays().len()), (1, 0), "it does not ring");
    assert!(rig.urgent(call(JingleStep::Retract), false).relays().is_empty(), "so nothing is over");
    assert!(rig.pass(60_000).relays().is_empty());

    // In the queue of a session: its window is as if nothing had come.
    let mut rig = Rig::new();
    rig.turn(report("phone", Standing::Active), Turn::Bound, &[]);
    rig.wish("phone", enable(&full()));
    assert_eq!(rig.hibernates(&[(1, bot("m1"))]).decided(&filtered), 1);
    assert_eq!(rig.queued(2, bot("m2")).decided(&filtered), 1);
    let passed = rig.pass(60_000);
    assert_eq!((passed.relays().len(), passed.windows().len()), (0, 0));
    rig.queued(3, message("m3"));
    assert_eq!(rig.pass(1000).relays().len(), 1);
}

#[test]
fn what_was_missed_is_filtered_if_nothing_else_was() {
    let bot = Stanza { from: Some("bot@example.org/x".into()), ..message("m1") };
    let newest = bot.key(None).unwrap();
    let rows = [
        (1, vec![newest], 0, 0),
        (2, vec![Key::archived("other"), newest], 1, 0),
        (20, vec![newest], 1, 0),
        (1, vec![Key::archived("other")], 1, 0),
    ];
    for (count, keys, pushes, important) in rows {
        let mut rig = away(&full());
        let account = Some(Account::new(ALICE));
        let told = rig.event(What::Missed { account, count, keys: keys.clone(), newest: Some(Box::new(bot.clone())) });
        assert_eq!(told.decided(&Decided::Filtered(Filter::Muted)), 1 - pushes, "{keys:?}");
        let pushed = rig.pass(1000);
        assert_eq!((pushed.relays().len(), pushed.important()), (pushes, important), "{count} {keys:?}");
    }
}

#[test]
fn rooms_and_strangers() {
    let stranger = |contact| Stanza { contact, ..message("m1") };
    let rows = [
        (said_in("coven", "hi"), 1, None),
        (said_in("cauldron", "hi"), 0, Some(Filter::Room)),
        (said_in("forres", "hi"), 0, Some(Filter::NoMention)),
        (said_in("forres", "hi Juliet"), 1, None),
        (Stanza { mentions: vec![ALICE.into()], ..said_in("forres", "hi") }, 1, None),
        (stranger(Some(false)), 0, Some(Filter::Unknown)),
        (stranger(Some(true)), 1, None),
        (stranger(None), 1, None),
    ];
    for (stanza, pushes, filter) in rows {
        let mut rig = away(&full());
        let told = rig.archived(stanza.clone());
        let decided = filter.map_or(0, |filter| told.decided(&Decided::Filtered(filter)));
        assert_eq!(decided, usize::from(filter.is_some()), "{stanza:?}");
        assert_eq!(rig.pass(1000).relays().len(), pushes, "{stanza:?}");
    }
    // Each registration for itself.
    let mut rig = away(&full());
    rig.wish("tablet", enable_at(THIRD, "node-2", None, &Extensions::default()));
    rig.event(ended("tablet", EndReason::Timeout));
    rig.archived(said_in("cauldron", "hi"));
    let pushed = rig.pass(1000);
    let [order] = &pushed.relays()[..] else { panic!("{pushed:?}") };
    assert!(matches!(&order.what, OrderKind::Relay { to, .. } if to.node == Node::new("node-2")));
}

#[test]
fn own_words_that_a_room_sends_back_are_unimportant() {
    let mut rig = away(&Extensions::default());
    rig.archived(Stanza { reflected: true, ..said_in("coven", "hi") });
    let pushed = rig.pass(1000);
    assert_eq!((pushed.relays().len(), pushed.important()), (1, 0));
}

#[test]
fn what_is_sealed_is_for_the_client_alone_whatever_the_operator_lets_out() {
    let sealing = Extensions { encrypt: full().encrypt, ..Extensions::default() };
    let all = Redaction { with_body: true, with_sender: true, ..Redaction::default() };
    for redaction in [Redaction::default(), all] {
        let mut rig = away_with(&sealing, redaction);
        rig.archived(text(message("m1"), "hello"));
        let words = rig.pass(1000).words().remove(0);
        let sealed = words.sealed.unwrap();
        assert_eq!((words.plain, words.priority, words.call, sealed.voip), (None, None, None, false));
        let read = json!({"unread": 1, "sender": "bob@example.org", "type": "chat", "message": "hello"});
        assert_eq!(opened(&sealed), read);
    }
    // Other nonces each time, and what is not important is not sealed: it would look as if it were.
    let mut rig = away(&sealing);
    let mut seen = Vec::new();
    for n in 0..5 {
        rig.archived(text(message(&format!("m{n}")), "hello"));
        seen.push(rig.pass(1000).words().remove(0).sealed.unwrap().iv);
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 5);
    rig.archived(state("s1"));
    assert_eq!(rig.pass(1000).words(), [Words::default()]);
}

#[test]
fn calls_say_more_to_those_who_asked() {
    let propose = || Stanza { media: vec!["audio", "video"], ..call(JingleStep::Propose) };
    let mut rig = away(&full());
    let [words] = &rig.urgent(propose(), false).words()[..] else { panic!() };
    let call_said = CallSaid { action: "propose", sid: "call-1".into(), media: vec!["audio", "video"] };
    assert_eq!((words.call.as_ref(), words.priority), (Some(&call_said), Some(Priority::High)));
    let sealed = words.sealed.as_ref().unwrap();
    assert!(sealed.voip, "it rings");
    let read = json!({"unread": 1, "sender": "bob@example.org/pc", "type": "call", "sid": "call-1",
                      "media": ["audio", "video"]});
    assert_eq!(opened(sealed), read);

    let [words] = &rig.urgent(call(JingleStep::Retract), false).words()[..] else { panic!() };
    let over = CallSaid { action: "retract", sid: "call-1".into(), media: Vec::new() };
    assert_eq!((words.call.as_ref(), words.priority), (Some(&over), Some(Priority::Low)));
    let sealed = words.sealed.as_ref().unwrap();
    assert!(!sealed.voip, "it does not");
    assert_eq!(opened(sealed), json!({"unread": 1, "sender": "bob@example.org/pc", "type": "call", "sid": "call-1"}));

    // Taken elsewhere: it is still the caller's.
    let mut rig = away(&full());
    rig.urgent(propose(), false);
    let [words] = &rig.urgent(own(call(JingleStep::Accept)), true).words()[..] else { panic!() };
    assert_eq!(words.call.as_ref().map(|call| call.action), Some("accept"));
    assert_eq!(opened(words.sealed.as_ref().unwrap())["sender"], json!("bob@example.org"));

    // And as before to those who did not.
    let mut rig = away(&Extensions::default());
    let plain = Words { body: Some(Private::new("New Message!")), ..Words::default() };
    assert_eq!(rig.urgent(propose(), false).words(), [plain]);
    assert_eq!(rig.urgent(call(JingleStep::Retract), false).words(), [Words::default()]);
}

#[test]
fn a_call_too_many_is_sealed_as_a_message() {
    let mut rig = away(&full());
    let mut rang = 0;
    for n in 0..7 {
        let id = format!("call-{n}");
        let jingle = call(JingleStep::Propose)
            .jingle
            .map(|jingle| crate::domain::stanza::Jingle { id: id.clone().into(), ..jingle });
        rang += rig.urgent(Stanza { jingle, ..call(JingleStep::Propose) }, false).relays().len();
    }
    assert_eq!(rang, 6);
    let words = rig.pass(1000).words().remove(0);
    let sealed = words.sealed.unwrap();
    assert_eq!((sealed.voip, words.call), (false, None));
    assert_eq!(opened(&sealed)["type"], json!("chat"));
}

#[test]
fn a_call_that_is_taken_back_leaves_nothing_of_it_in_what_waited_with_it() {
    let mut rig = away(&full());
    let first = nine_messages(&mut rig);
    rig.urgent(call(JingleStep::Propose), false);
    assert_eq!(rig.urgent(call(JingleStep::Retract), false).decided(&Decided::Cancelled), 1);
    let words = rig.relayed(&first, Relayed::Taken).words().remove(0);
    assert_eq!((words.call, words.sealed, words.priority), (None, None, Some(Priority::High)));
}

#[test]
fn our_own_push_service_gets_the_same_as_others() {
    let mut rig = Rig::new();
    let (node, secret) = rig.world.register(ALICE, "phone", "token-1");
    rig.turn(report("phone", Standing::Active), Turn::Bound, &[]);
    let options = Some(Options { xml: "<x/>".into(), secret: Some(secret) });
    rig.wish("phone", enable_at("push.example.org", node.as_str(), options, &full()));
    rig.event(ended("phone", EndReason::Timeout));
    rig.archived(text(message("m1"), "hello"));
    let pushed = rig.pass(1000);
    let content = &pushed.pushes[0].content;
    assert_eq!((&content.body, &content.sender, content.count), (&None, &None, None));
    assert_eq!(opened(content.sealed.as_ref().unwrap())["message"], json!("hello"));
}

#[test]
fn the_host_tells_what_is_needed_and_no_more_than_that() {
    let texts = Facts { texts: true, contacts: false };
    let contacts = Facts { texts: false, contacts: true };
    let both = Facts { texts: true, contacts: true };
    let none = Extensions::default;
    let room = Room { jid: "r@chat.example".into(), allow: Allow::Mentioned(None) };
    let sealing = || Extensions { encrypt: full().encrypt, ..none() };
    let rows = [
        (none(), None),
        (Extensions { priority: true, jingle: true, muted: full().muted, ..none() }, None),
        (sealing(), Some(texts)),
        (Extensions { rooms: Some(vec![room]), ..none() }, Some(texts)),
        (Extensions { ignore_unknown: true, ..none() }, Some(contacts)),
        (full(), Some(both)),
    ];
    for (extensions, expected) in rows {
        let mut rig = Rig::new();
        rig.turn(report("phone", Standing::Active), Turn::Bound, &[]);
        assert_eq!(facts(&rig.wish("phone", enable(&extensions)).orders), expected, "{extensions:?}");
        // The same again with the next list.
        rig.world.take(Input::Link(false));
        let linked = rig.world.take(Input::Link(true));
        let OrderKind::Watch { accounts, .. } = &linked.orders[0].what else { panic!("{linked:?}") };
        assert_eq!(accounts[0].facts, expected.unwrap_or_default(), "{extensions:?}");
        rig.link();
        rig.synced();
        // And no longer when it is not needed any more: by an enable without, or by a disable beside another.
        let changed = facts(&rig.wish("phone", enable(&none())).orders);
        assert_eq!(changed, expected.map(|_| Facts::default()), "{extensions:?}");
        rig.wish("phone", enable(&extensions));
        rig.wish("tablet", enable_at(THIRD, "node-2", None, &none()));
        let disable = Wish::Disable { service: Some(THIRD.into()), node: Some(Node::new("node-1")) };
        assert_eq!(facts(&rig.wish("phone", disable).orders), expected.map(|_| Facts::default()), "{extensions:?}");
    }
    // By two registrations, each for a reason of its own.
    let mut rig = Rig::new();
    rig.wish_to_us("phone", enable(&sealing()));
    let strangers = Extensions { ignore_unknown: true, ..none() };
    let second = rig.wish_to_us("phone", enable_at(THIRD, "node-2", None, &strangers));
    assert_eq!(facts(&second.orders), Some(both));
    let disable = Wish::Disable { service: Some(THIRD.into()), node: Some(Node::new("node-1")) };
    assert_eq!(facts(&rig.wish("phone", disable).orders), Some(contacts));
}

#[test]
fn what_cannot_be_had_is_refused_and_nothing_changes() {
    for refusal in [Refusal::NoSuchEncryption, Refusal::BadKey] {
        let mut rig = Rig::new();
        rig.turn(report("phone", Standing::Active), Turn::Bound, &[]);
        rig.wish("phone", enable(&full()));
        let before = rig.world.state.registrations.of(&Account::new(ALICE)).to_vec();
        let refused = rig.wish("phone", Wish::Refused(refusal));
        assert_eq!(refused.refused()[0].1, refusal);
        assert_eq!((refused.orders.len(), refused.notices.len()), (0, 0));
        assert_eq!(rig.world.state.registrations.of(&Account::new(ALICE)), before);
    }
}

#[test]
fn who_disables_leaves_no_key_behind() {
    let mut rig = Rig::new();
    rig.wish_to_us("phone", enable(&full()));
    rig.wish_to_us("phone", Wish::Disable { service: Some(THIRD.into()), node: None });
    let left = &rig.world.state.registrations.of(&Account::new(ALICE))[0];
    assert!(!left.is_there() && left.extensions.is_none());
}

#[test]
fn what_waits_is_not_sent_under_a_seal_that_nobody_can_open() {
    let sealing = |key: u8| Extensions {
        encrypt: Some(Encrypt { key: SealKey::new([key; 16]), max_size: 3000 }),
        ..Extensions::default()
    };
    for (key, sealed) in [(1, true), (2, false)] {
        let mut rig = away(&sealing(1));
        let first = nine_messages(&mut rig);
        let live = rig.world.state.lives.of(&Account::new(ALICE)).clone();
        let waiting = live.pushing.iter().find_map(|pushing| pushing.waiting.as_ref()).unwrap();
        assert_eq!((waiting.words.plain.is_some(), waiting.words.sealed.is_some()), (false, true), "not kept open");
        rig.wish("phone", enable(&sealing(key)));
        let words = rig.relayed(&first, Relayed::Taken).words().remove(0);
        assert_eq!((words.sealed.is_some(), words.body.is_some()), (sealed, true), "{key}");
    }
}

/// The service never answers: eight pushes are on their way, the first of which is returned, and the ninth waits.
fn nine_messages(rig: &mut Rig) -> Order {
    let mut sent = Vec::new();
    for n in 0..9 {
        rig.archived(message(&format!("m{n}")));
        sent.extend(rig.pass(1000).relays().into_iter().cloned());
    }
    assert_eq!(sent.len(), 8);
    sent.remove(0)
}
