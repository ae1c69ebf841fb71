//! The parts: what is done, so many times, on the way from a publish to its push, and from a bridge's batch to its inputs.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use pushkeeper::domain::app::{App, Credentials, Provider, Style, Way};
use pushkeeper::domain::class::Class;
use pushkeeper::domain::device::{Access, Device, DeviceKey, History};
use pushkeeper::domain::ids::{Account, AppName, DeviceHash, Domain, Node};
use pushkeeper::domain::importance;
use pushkeeper::domain::look::Look;
use pushkeeper::domain::outcome::{Outcome, Verdict};
use pushkeeper::domain::push::Push;
use pushkeeper::domain::secret::{DeviceToken, Secret};
use pushkeeper::domain::time::{Moment, Now, Timestamp};
use pushkeeper::flows;
use pushkeeper::flows::data::{Answer, Change, Door, Effect, Input, Step, Ticket};
use pushkeeper::flows::dice::Dice;
use pushkeeper::flows::policy::{Policy, RegisterPolicy, Rules, Sessions};
use pushkeeper::flows::signals::What;
use pushkeeper::flows::state::State;
use pushkeeper::gateway::http2::{Client, Field, Name, Request};
use pushkeeper::gateway::{apns, fcm};
use pushkeeper::xmpp::answer;
use pushkeeper::xmpp::frame::{Frame, Framer};
use pushkeeper::xmpp::inbound::{self, Inbound};
use pushkeeper::xmpp::read::Opening;
use pushkeeper::xmpp::service::Service;

const OPEN: &str = "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' from='push.example.net' id='1' \
                    xmlns='jabber:component:accept'>";
const NODE: &str = "Yt3kQ0wLx81b";
const SECRET: &str = "mQ7xV2sT9uKfBzR4pLwEhCjN";
const START: Timestamp = Timestamp::from_secs(1_763_812_800);

/// Its name, and what does it so many times; false if it went wrong.
pub(crate) type Part = (&'static str, fn(usize) -> bool);

pub(crate) const PARTS: [Part; 9] = [
    // Framed and read, from the stream's bytes to the input.
    ("publish-read", publish_read),
    // Decided, with its verdict, and both applied.
    ("publish-step", publish_step),
    // Whether a device admits it, and which class it is.
    ("publish-judged", publish_judged),
    // What a message of a bridge's batch is worth.
    ("message-classified", message_classified),
    ("apns-payload", apns_payload),
    // A push as HTTP/2, written, and its answer read.
    ("push-exchanged", push_exchanged),
    ("fcm-payload", fcm_payload),
    ("answer-written", answer_written),
    // A bridge's batch of 64 messages, framed and read.
    ("batch-read", batch_read),
];

fn publish_read(times: usize) -> bool {
    read(&publish(), times, |input| matches!(input, Input::Publish { .. }))
}

fn batch_read(times: usize) -> bool {
    read(&batch(), times, |input| matches!(input, Input::Signals { .. }))
}

/// Reads a stanza so many times out of one stream, as the link does.
fn read(stanza: &str, times: usize, is_it: fn(&Input) -> bool) -> bool {
    let service = service();
    let Ok(mut opening) = Opening::read(OPEN) else { return false };
    let mut framer = Framer::new();
    framer.feed(OPEN.as_bytes());
    let mut seen = 0;
    for _ in 0..times {
        framer.feed(black_box(stanza.as_bytes()));
        while let Ok(Some(frame)) = framer.next_parsed(opening.tree()) {
            if !matches!(frame, Frame::Stanza(_) | Frame::Parsed(_)) {
                continue;
            }
            match inbound::receive(&service, &mut opening, frame, Moment::default()) {
                Ok(Some(Inbound::Request(input))) if is_it(&input) => {
                    black_box(&input);
                    seen += 1;
                }
                _ => return false,
            }
        }
    }
    seen == times
}

fn publish_step(times: usize) -> bool {
    let Some(Input::Publish { publish, .. }) = input(&publish()) else { return false };
    let mut state = state();
    let mut dice = Dice::new(|bytes| bytes.fill(7));
    let mut spare = Step::default();
    for time in 0..times {
        // A new moment each time, so that nothing that goes by time stands still.
        let uptime = Duration::from_millis(u64::try_from(time).unwrap_or(u64::MAX));
        let now = Now { wall: START + uptime, steady: Moment::since_start(uptime) };
        let input = Input::Publish { ticket: ticket(), publish: publish.clone() };
        spare = take(spare, &mut state, input, now, &mut dice);
        let push = spare.effects.drain(..).find_map(|effect| match effect {
            Effect::Deliver(push) => Some(push),
            _ => None,
        });
        let Some(push) = push else { return false };
        let Push { id, app, node, generation, .. } = *push;
        let verdict = Verdict { push: id, app, node, generation, outcome: Outcome::Accepted };
        spare = take(spare.emptied(), &mut state, Input::Verdict(verdict), now, &mut dice);
        let done = spare.effects.iter().any(|effect| matches!(effect, Effect::Answer(_, Answer::Done)));
        if !done || !spare.then.is_empty() {
            return false;
        }
        spare = spare.emptied();
    }
    true
}

fn publish_judged(times: usize) -> bool {
    let Some(Input::Publish { publish, .. }) = input(&publish()) else { return false };
    let device = device(1000, NODE.to_owned());
    (0..times).all(|_| {
        let class = black_box(&publish).notification.class();
        black_box(&device).admits(&publish) && black_box(class) == Class::Important
    })
}

fn message_classified(times: usize) -> bool {
    let Some(Input::Signals { batch, .. }) = input(&batch()) else { return false };
    let stanza = batch.events.into_iter().find_map(|event| match event.what {
        What::Session { stanzas, .. } => stanzas.into_iter().next(),
        _ => None,
    });
    let Some(queued) = stanza else { return false };
    (0..times).all(|_| {
        let class = importance::class(black_box(&queued.stanza), "alice@example.org", false, false);
        black_box(class) == Some(Class::Important)
    })
}

/// As the driver does.
fn take(spare: Step, state: &mut State, input: Input, now: Now, dice: &mut Dice) -> Step {
    let mut step = flows::step_into(spare, state, input, now, dice);
    for change in step.changes.drain(..) {
        match change {
            Change::Memory(memory) => state.remember(memory),
            change => state.apply(&change),
        }
    }
    step
}

fn push_exchanged(times: usize) -> bool {
    const TOKEN: &[u8] = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const SIGNED: &[u8] = &[b'x'; 230];
    const BODY: &[u8] = &[b'x'; 200];
    // SETTINGS that say nothing; then HEADERS of `:status: 200` and END_STREAM, for one stream after another.
    let mut client = Client::new("api.push.apple.com", 64 * 1024);
    let (mut out, mut woken) = (Vec::new(), Vec::new());
    let mut cx = Context::from_waker(Waker::noop());
    let mut taken = usize::from(client.receive(&[0, 0, 0, 4, 0, 0, 0, 0, 0], &mut woken).is_ok());
    for number in 0..times {
        let id = format!("01234567-89ab-8def-8000-{number:012}");
        let fields = [
            Some(Field::secret(Name::Authorization, SIGNED)),
            Some(Field::lasting(Name::ContentType, b"application/json")),
            Some(Field::lasting(Name::ApnsTopic, b"org.example.chat")),
            Some(Field::lasting(Name::ApnsPushType, b"alert")),
            Some(Field::lasting(Name::ApnsPriority, b"10")),
            Some(Field::passing(Name::ApnsExpiration, b"1766404800")),
            None,
            Some(Field::passing(Name::ApnsId, id.as_bytes())),
        ];
        let request = Request { path: [b"/3/device/", TOKEN], fields: &fields };
        let Ok(stream) = client.open(black_box(&request), BODY, Some(Waker::noop())) else { return false };
        out.clear();
        client.take_out(&mut out);
        black_box(&out);
        let [a, b, c, d] = stream.to_be_bytes();
        let answer = [0, 0, 1, 1, 5, a, b, c, d, 0x88];
        // Leave to send as much again: WINDOW_UPDATE of the connection.
        let leave = [0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 200];
        let received = client.receive(black_box(&[&answer[..], &leave].concat()), &mut woken);
        woken.clear();
        let polled = client.poll(stream, &mut cx);
        taken += usize::from(received.is_ok() && matches!(polled, Poll::Ready(Ok(response)) if response.status == 200));
    }
    taken == times + 1
}

fn apns_payload(times: usize) -> bool {
    let Some(push) = push() else { return false };
    let look = Look::default();
    (0..times).all(|_| {
        let notification = apns::payload::Notification::of(black_box(&push), Style::Generic, &look, "New Message!");
        !black_box(notification.body).is_empty()
    })
}

fn fcm_payload(times: usize) -> bool {
    let Some(push) = push() else { return false };
    let look = Look::default();
    (0..times).all(|_| !black_box(fcm::payload::message(black_box(&push), Style::Generic, &look)).is_empty())
}

fn answer_written(times: usize) -> bool {
    let ticket = ticket();
    let mut out = BytesMut::with_capacity(4096);
    for _ in 0..times {
        out.clear();
        answer::write(&mut out, black_box(&ticket), &Answer::Done);
    }
    black_box(&out);
    times == 0 || !out.is_empty()
}

/// A stanza as the driver gets it.
fn input(stanza: &str) -> Option<Input> {
    let service = service();
    let mut opening = Opening::read(OPEN).ok()?;
    match inbound::receive(&service, &mut opening, Frame::Stanza(stanza), Moment::default()) {
        Ok(Some(Inbound::Request(input))) => Some(input),
        _ => None,
    }
}

fn service() -> Service {
    Service::new(Domain::new("push.example.net"), []).with_hosts([Domain::new("example.org")])
}

/// The push that the publish becomes.
fn push() -> Option<Push> {
    let now = Now { wall: START, steady: Moment::default() };
    let step = flows::step(&state(), input(&publish())?, now, &mut Dice::new(|bytes| bytes.fill(7)));
    step.effects.into_iter().find_map(|effect| match effect {
        Effect::Deliver(push) => Some(*push),
        _ => None,
    })
}

/// One app, and one device among a thousand.
fn state() -> State {
    let app = App {
        name: AppName::new("ios"),
        provider: Provider::Apns,
        aliases: Vec::new(),
        default: false,
        style: Style::Generic,
        token_nodes: false,
        allow_hosts: Vec::new(),
        fingerprint: 1,
    };
    let mut state = State::new(Policy {
        ways: BTreeMap::from([(app.name.clone(), Way { digest: 1, expires: None })]),
        apps: vec![app],
        answer_within: Duration::from_secs(5),
        max_per_domain: None,
        register: RegisterPolicy {
            allow_domains: Vec::new(),
            max_devices_per_account: 16,
            rate_per_account: None,
            rate_per_domain: None,
        },
        slots: 4096,
        max_under_way: 10_000,
        max_waiting: 10_000,
        outbox_ttl: Duration::from_secs(24 * 3600),
        min_interval: None,
        max_owed: 1000,
        max_owed_bytes: 1 << 20,
        own: Domain::new("push.example.net"),
        admins: Vec::new(),
        hosts: Vec::new(),
        rules: Rules::default(),
        sessions: Sessions::default(),
    });
    state.apply(&Change::Credentials(AppName::new("ios"), Credentials { fingerprint: 1, since: START }));
    for number in 0..1000 {
        state.apply(&Change::Device(Box::new(device(number, format!("node-{number}")))));
    }
    state.apply(&Change::Device(Box::new(device(1000, NODE.to_owned()))));
    state
}

fn device(number: usize, node: String) -> Device {
    let owner = format!("user{number}@example.org");
    Device {
        node: Node::new(node),
        secret: Secret::new(SECRET),
        key: DeviceKey { app: AppName::new("ios"), account: DeviceHash::of(&owner, "92afd7a91cdba9a0"), channel: None },
        owner: Account::new(owner),
        permitted: [Domain::new("example.org")].into(),
        access: Access::Secret,
        token: DeviceToken::new(format!("{number:064x}")),
        voip_token: None,
        generation: 1,
        made: START,
        renewed: START,
        history: History::default(),
        gone: None,
    }
}

fn ticket() -> Ticket {
    Ticket {
        door: Door::Link,
        id: "7b1e9f40c2d85a63b0f7e4d19c2a8b5564e0d3f7a19b8c26d45e7f30a1b2c3d4".into(),
        to: "example.org".into(),
        from: "push.example.net".into(),
        taken: Moment::default(),
        for_client: false,
    }
}

/// As Prosody 0.12's mod_cloud_notify writes it, but for names.
pub(crate) fn publish() -> String {
    format!(
        "<iq type='set' to='push.example.net' from='example.org' \
         id='7b1e9f40c2d85a63b0f7e4d19c2a8b5564e0d3f7a19b8c26d45e7f30a1b2c3d4'>\
         <pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{NODE}'><item>\
         <notification xmlns='urn:xmpp:push:0'><x type='form' xmlns='jabber:x:data'>\
         <field type='hidden' var='FORM_TYPE'><value>urn:xmpp:push:summary</value></field>\
         <field type='text-single' var='message-count'><value>1</value></field>\
         <field type='text-single' var='pending-subscription-count'/>\
         <field type='jid-single' var='last-message-sender'/>\
         <field type='text-single' var='last-message-body'><value>New Message!</value></field></x></notification>\
         </item></publish><publish-options><x type='submit' xmlns='jabber:x:data'>\
         <field var='FORM_TYPE' type='hidden'>\
         <value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
         <field var='secret' type='text-single'><value>{SECRET}</value></field></x></publish-options></pubsub></iq>"
    )
}

/// What a bridge sends of 64 messages to phones that are away.
pub(crate) fn batch() -> String {
    let event = "<queued stamp='2026-11-22T02:49:40.120Z' sid='avZCB7iXu0Ga' user='alice' resource='phone.x7Tq' \
         state='hibernated' since='2026-11-22T02:49:12.004Z' timeout='600' left='571' h-in='12' h-out='40' unacked='7' \
         resumable='true'><stanza n='47'><message xmlns='jabber:client' from='bob@example.org/pc.Zt91' \
         to='alice@example.org' type='chat' id='5d1f6ae0-7c1c-4a3e-9f3e-2f7c1b1f9c55'><body>*</body>\
         <stanza-id xmlns='urn:xmpp:sid:0' by='alice@example.org' id='RM4VVy7CfW40K0vLFovVVmw0'/>\
         <encrypted xmlns='eu.siacs.conversations.axolotl'><header><key rid='1234567'>*</key><iv>*</iv></header>\
         <payload>*</payload></encrypted><encryption xmlns='urn:xmpp:eme:0'/><store xmlns='urn:xmpp:hints'/>\
         </message></stanza></queued>";
    format!(
        "<iq type='set' id='aBcD-47' from='example.org' to='push.example.net'><events xmlns='urn:pushkeeper:host:0' \
         epoch='9zGjWm2kQ0xT' seq='47'>{}</events></iq>",
        event.repeat(64)
    )
}
