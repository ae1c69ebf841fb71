//! For tests of flows: a state, a clock that the test sets, and steps taken as the driver takes them.

use std::time::Duration;

use super::data::{
    Answer, Change, DeviceRegistration, DeviceUnregistration, Door, Effect, Input, Line, Notice, Ticket, Weight,
};
use super::dice::{self, Dice};
use super::memory::Memory;
use super::policy::{DomainPattern, Policy, RegisterPolicy, Rules, Sessions};
use super::signals::Order;
use super::state::State;
use crate::domain::app::{App, Credentials, Provider, Style, Way};
use crate::domain::device::Access;
use crate::domain::ids::{Account, AppName, DeviceHash, Domain, Node};
use crate::domain::outcome::{Outcome, Verdict};
use crate::domain::publish::{CallStep, Notification, Publish};
use crate::domain::push::Push;
use crate::domain::refusal::Refusal;
use crate::domain::secret::{DeviceToken, Private, Secret};
use crate::domain::time::{Moment, Now, Timestamp};

/// The world's wall clock at its start.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_000_000);

pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) dice: Dice,
    /// Time since the start of the world.
    pub(crate) uptime: Duration,
    /// How far the wall clock was set forward, or back, in milliseconds.
    pub(crate) shift: i64,
    /// Orders that nobody has answered yet, for rigs that play a host.
    pub(crate) orders: Vec<Order>,
    tickets: u32,
}

/// What a step let happen, in words a test can read.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Happened {
    pub(crate) answers: Vec<(String, Answer)>,
    pub(crate) pushes: Vec<Push>,
    pub(crate) orders: Vec<Order>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) lines: Vec<Line>,
    /// How often the configuration was to be read again.
    pub(crate) reloads: usize,
    /// Apps that clients find from now on, or no longer.
    pub(crate) offers: Vec<(AppName, bool)>,
    /// What went to the disk.
    pub(crate) stored: Vec<Change>,
}

impl Happened {
    pub(crate) fn append(&mut self, later: Self) {
        self.answers.extend(later.answers);
        self.pushes.extend(later.pushes);
        self.orders.extend(later.orders);
        self.notices.extend(later.notices);
        self.lines.extend(later.lines);
        self.reloads += later.reloads;
        self.offers.extend(later.offers);
        self.stored.extend(later.stored);
    }

    /// Which tickets were answered with an empty result.
    pub(crate) fn done(&self) -> Vec<&str> {
        let done = self.answers.iter().filter(|(_, answer)| *answer == Answer::Done);
        done.map(|(ticket, _)| ticket.as_str()).collect()
    }

    /// Which tickets were refused, and why.
    pub(crate) fn refused(&self) -> Vec<(String, Refusal)> {
        let refused = |(ticket, answer): &'_ (String, Answer)| match answer {
            Answer::Refused(refusal) => Some((ticket.clone(), *refusal)),
            _ => None,
        };
        self.answers.iter().filter_map(refused).collect()
    }
}

pub(crate) fn policy() -> Policy {
    let app = |name: &str, provider| App {
        name: AppName::new(name),
        provider,
        aliases: Vec::new(),
        default: false,
        style: Style::Generic,
        token_nodes: false,
        allow_hosts: Vec::new(),
        fingerprint: 1,
    };
    Policy {
        apps: vec![app("android", Provider::Fcm), app("ios", Provider::Apns)],
        ways: ["android", "ios"].map(|name| (AppName::new(name), Way { digest: 1, expires: None })).into(),
        answer_within: Duration::from_secs(5),
        max_per_domain: None,
        register: RegisterPolicy {
            allow_domains: vec![DomainPattern::Any],
            max_devices_per_account: 16,
            rate_per_account: None,
            rate_per_domain: None,
        },
        slots: 100,
        max_under_way: 10_000,
        max_waiting: 100,
        outbox_ttl: Duration::from_secs(24 * 3600),
        min_interval: None,
        max_owed: 1000,
        max_owed_bytes: 1 << 20,
        own: Domain::new("push.example.org"),
        admins: vec![Account::new("admin@example.org")],
        hosts: vec![Domain::new("example.org")],
        rules: Rules::default(),
        sessions: Sessions::default(),
    }
}

impl World {
    pub(crate) fn new(policy: Policy) -> Self {
        let mut state = State::new(policy);
        let credentials = Credentials { fingerprint: 1, since: START };
        for app in ["android", "ios"] {
            state.apply(&Change::Credentials(AppName::new(app), credentials));
        }
        Self { state, dice: dice::tests::counting(), uptime: Duration::ZERO, shift: 0, orders: Vec::new(), tickets: 0 }
    }

    pub(crate) fn now(&self) -> Now {
        let wall = Timestamp::from_millis((START + self.uptime).millis() + self.shift);
        Now { wall, steady: Moment::since_start(self.uptime) }
    }

    pub(crate) fn later(&mut self, millis: u64) {
        self.uptime += Duration::from_millis(millis);
    }

    /// The next ticket: `t1`, `t2`, …
    pub(crate) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket {
            door: Door::Link,
            id: format!("t{}", self.tickets).into(),
            to: "example.org".into(),
            from: "push.example.org".into(),
            taken: self.now().steady,
            for_client: false,
        }
    }

    pub(crate) fn take(&mut self, input: Input) -> Happened {
        let step = super::step(&self.state, input, self.now(), &mut self.dice);
        for change in &step.changes {
            self.state.apply(change);
        }
        let noted = step.changes.iter().filter_map(|change| match change {
            Change::Memory(Memory::Noted(line)) => Some((**line).clone()),
            _ => None,
        });
        let lines = noted.collect();
        let stored = step.changes.into_iter().filter(|change| change.weight() > Weight::Memory).collect();
        let mut happened = Happened { stored, lines, ..Happened::default() };
        for effect in step.effects {
            match effect {
                Effect::Answer(ticket, answer) => happened.answers.push((ticket.id.to_string(), answer)),
                Effect::Deliver(push) => happened.pushes.push(*push),
                Effect::Order(order) => {
                    self.orders.push((*order).clone());
                    happened.orders.push(*order);
                }
                Effect::Notice(notice) => happened.notices.push(notice),
                Effect::Reload => happened.reloads += 1,
                Effect::Offer(app, works) => happened.offers.push((app, works)),
            }
        }
        for inner in step.then {
            happened.append(self.take(Input::Inner(inner)));
        }
        happened
    }

    /// Lets time pass, and has what it brings happen when it is due.
    pub(crate) fn pass(&mut self, millis: u64) -> Happened {
        let end = self.uptime + Duration::from_millis(millis);
        let mut all = Happened::default();
        loop {
            let next = self.state.next_deadline(self.now()).map(Moment::uptime).filter(|next| *next <= end);
            self.uptime = next.unwrap_or(end).max(self.uptime);
            all.append(self.take(Input::Tick));
            if next.is_none() {
                return all;
            }
        }
    }

    pub(crate) fn registration(owner: &str, device: &str, token: &str) -> DeviceRegistration {
        DeviceRegistration {
            command: "register-push-fcm".into(),
            service: "fcm".into(),
            owner: Account::new(owner),
            account: DeviceHash::of(owner, device),
            room: None,
            token: DeviceToken::new(token),
            voip_token: None,
            node: None,
            access: Access::Secret,
        }
    }

    pub(crate) fn try_register(&mut self, registration: DeviceRegistration) -> Happened {
        let ticket = self.ticket();
        self.take(Input::Register { ticket, registration })
    }

    /// Registers and returns node and secret.
    pub(crate) fn register(&mut self, owner: &str, device: &str, token: &str) -> (Node, Secret) {
        let happened = self.try_register(Self::registration(owner, device, token));
        match happened.answers.into_iter().next() {
            Some((_, Answer::Registered { node, secret, .. })) => (node, secret),
            other => panic!("not registered: {other:?}"),
        }
    }

    pub(crate) fn unregister(&mut self, owner: &str, device: &str) -> Happened {
        let ticket = self.ticket();
        let unregistration = DeviceUnregistration {
            command: "unregister-push-fcm".into(),
            service: "fcm".into(),
            owner: Account::new(owner),
            account: DeviceHash::of(owner, device),
            channel: None,
        };
        self.take(Input::Unregister { ticket, unregistration })
    }

    pub(crate) fn publish(&mut self, (node, secret): &(Node, Secret), notification: Notification) -> Happened {
        let publish = Publish {
            from: Domain::new("example.org"),
            from_full_jid: false,
            node: node.clone(),
            secret: Some(secret.clone()),
            module: None,
            notification,
        };
        self.publish_as(publish)
    }

    pub(crate) fn publish_as(&mut self, publish: Publish) -> Happened {
        let ticket = self.ticket();
        self.take(Input::Publish { ticket, publish })
    }

    pub(crate) fn verdict(&mut self, push: &Push, outcome: Outcome) -> Happened {
        self.take(Input::Verdict(Verdict {
            push: push.id,
            app: push.app.clone(),
            node: push.node.clone(),
            generation: push.generation,
            outcome,
        }))
    }
}

pub(crate) fn body(text: &str) -> Notification {
    Notification { body: Some(Private::new(text)), ..Notification::default() }
}

pub(crate) fn wake() -> Notification {
    Notification::default()
}

pub(crate) fn call() -> Notification {
    Notification { jingle: Some(CallStep::Propose), ..Notification::default() }
}
