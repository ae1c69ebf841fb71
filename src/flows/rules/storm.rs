//! For [`storm_tests`](super::storm_tests): a host and all that may happen to it, in any order.

use std::collections::{BTreeMap, HashMap, HashSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::rig::{Rig, THIRD, call, message, report, state};
use crate::domain::extensions::Extensions;
use crate::domain::extensions::tests::full;
use crate::domain::ids::{Account, Node};
use crate::domain::outcome::Outcome;
use crate::domain::push::Push;
use crate::domain::registration::{Options, RegistrationKey};
use crate::domain::secret::Secret;
use crate::domain::session::{EndReason, Report, Sid, Standing};
use crate::domain::stanza::{JingleStep, Key, Stanza};
use crate::flows::data::Input;
use crate::flows::signals::{
    Batch, Event, HostState, NodeState, Order, OrderKind, Queued, Relayed, Reply, Turn, What, Wish,
};

pub(super) const ACCOUNTS: [&str; 2] = ["alice@example.org", "bob@example.org"];
pub(super) const RESOURCES: [&str; 3] = ["phone", "tablet", "laptop"];
pub(super) const SERVICES: [&str; 3] = [THIRD, "push.fourth.example", "push.example.org"];

/// Whose session, and which.
pub(super) type Who = (usize, usize);

#[derive(Clone, Debug)]
pub(super) enum Act {
    Turn(Who, u8, Vec<u8>),
    Message(usize, u8, u8),
    Enable(Who, usize, u8),
    Disable(usize, usize, bool),
    Delete(usize),
    Missed(usize, Vec<u8>),
    MissedAll,
    Answer(usize, u8),
    AnswerAgain(usize, u8),
    LoseAnswer(usize),
    Verdict(usize, u8),
    Gap,
    OldBatch,
    Hello,
    Snapshot(bool),
    Link(bool),
    Pass(u64),
}

fn who() -> impl Strategy<Value = Who> {
    (0..ACCOUNTS.len(), 0..RESOURCES.len())
}

pub(super) fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        10 => (who(), any::<u8>(), vec(any::<u8>(), 0..4)).prop_map(|(who, turn, ids)| Act::Turn(who, turn, ids)),
        8 => (0..2_usize, any::<u8>(), any::<u8>()).prop_map(|(account, how, id)| Act::Message(account, how, id)),
        4 => (who(), 0..3_usize, 0..4_u8).prop_map(|(who, service, node)| Act::Enable(who, service, node)),
        2 => (0..2_usize, 0..3_usize, any::<bool>()).prop_map(|(account, service, all)| Act::Disable(account, service, all)),
        1 => (0..2_usize).prop_map(Act::Delete),
        2 => (0..2_usize, vec(any::<u8>(), 0..4)).prop_map(|(account, ids)| Act::Missed(account, ids)),
        1 => Just(Act::MissedAll),
        12 => (0..8_usize, any::<u8>()).prop_map(|(order, how)| Act::Answer(order, how)),
        2 => (0..8_usize, any::<u8>()).prop_map(|(order, how)| Act::AnswerAgain(order, how)),
        1 => (0..8_usize).prop_map(Act::LoseAnswer),
        4 => (0..4_usize, any::<u8>()).prop_map(|(push, how)| Act::Verdict(push, how)),
        1 => Just(Act::Gap),
        1 => Just(Act::OldBatch),
        1 => Just(Act::Hello),
        3 => any::<bool>().prop_map(Act::Snapshot),
        2 => any::<bool>().prop_map(Act::Link),
        8 => prop_oneof![5 => 0..3000_u64, 2 => 0..100_000_u64, 1 => 0..400_000_000_u64].prop_map(Act::Pass),
    ]
}

/// What the operator may have set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    burst: u64,
    devices: usize,
    hibernated: usize,
    normal: u64,
    unimportant: bool,
    errors: u32,
}

pub(super) fn settings() -> impl Strategy<Value = Settings> {
    let numbers = (prop_oneof![Just(0_u64), Just(1000)], 1..5_usize, 1..3_usize);
    (numbers, prop_oneof![Just(600_u64), Just(259_200)], any::<bool>(), 1..4_u32).prop_map(
        |((burst, devices, hibernated), normal, unimportant, errors)| Settings {
            burst,
            devices,
            hibernated,
            normal,
            unimportant,
            errors,
        },
    )
}

/// A session as its host has it.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) sid: String,
    state: Standing,
    since: u32,
    n: u32,
}

pub(super) struct Storm {
    pub(super) rig: Rig,
    up: bool,
    pub(super) sessions: BTreeMap<Who, Model>,
    counter: u32,
    answered: Vec<Order>,
    /// The order that asked for the snapshot that counts.
    synced_by: u64,
    pub(super) pushes: Vec<Push>,
    devices: Vec<(Node, Secret)>,
    pub(super) tickets: HashSet<String>,
    pub(super) flights: HashMap<u64, (RegistrationKey, Vec<Key>)>,
}

fn stanza(id: u8) -> Stanza {
    let name = format!("m{}", id % 16);
    if id.is_multiple_of(3) { state(&name) } else { message(&name) }
}

impl Storm {
    pub(super) fn new(settings: Settings) -> Self {
        let mut rig = Rig::with(|policy| {
            policy.rules.burst_window = std::time::Duration::from_millis(settings.burst);
            policy.rules.max_devices = settings.devices;
            policy.rules.max_errors = settings.errors;
            policy.rules.unimportant = settings.unimportant;
            policy.sessions.max_hibernated = settings.hibernated;
            policy.sessions.windows.normal = std::time::Duration::from_secs(settings.normal);
            policy.sessions.wake_on_start = true;
        });
        let devices = ACCOUNTS.map(|account| rig.world.register(account, "phone", "token")).to_vec();
        Self {
            rig,
            up: true,
            sessions: BTreeMap::new(),
            counter: 0,
            answered: Vec::new(),
            synced_by: 0,
            pushes: Vec::new(),
            devices,
            tickets: HashSet::new(),
            flights: HashMap::new(),
        }
    }

    fn report(&self, who: Who) -> Option<Report> {
        let model = self.sessions.get(&who)?;
        let away = model.state == Standing::Hibernated;
        Some(Report {
            sid: Sid::new(model.sid.as_str()),
            since: format!("since {}", model.since).into(),
            left: away.then_some(600),
            ..report(RESOURCES[who.1], model.state)
        })
    }

    fn bind(&mut self, who: Who) {
        self.counter += 1;
        let sid = format!("s{}", self.counter);
        self.sessions.insert(who, Model { sid, state: Standing::Active, since: self.counter, n: 0 });
    }

    /// An event, if there is a stream that carries it. Each batch has its one answer, at once.
    fn tell(&mut self, token: bool, what: What) {
        if !self.up {
            return;
        }
        let token = self.rig.token.clone().filter(|_| token);
        let happened = self.rig.events(vec![Event { stamp: None, token, what }]);
        self.saw(happened, 1);
    }

    fn session(&mut self, who: Who, token: bool, turn: Turn, ids: &[u8]) {
        let Some(report) = self.report(who) else { return };
        let mut stanzas = Vec::new();
        for id in ids {
            let model = self.sessions.get_mut(&who).unwrap();
            model.n += 1;
            stanzas.push(Queued { n: Some(model.n), stanza: stanza(*id) });
        }
        let account = Account::new(ACCOUNTS[who.0]);
        self.tell(token, What::Session { account, report: Box::new(report), turn, stanzas });
    }

    fn enter(&mut self, who: Who, state: Standing) {
        self.counter += 1;
        let model = self.sessions.get_mut(&who).unwrap();
        (model.state, model.since) = (state, self.counter);
    }

    fn turn(&mut self, who: Who, turn: u8, ids: &[u8]) {
        let Some(state) = self.sessions.get(&who).map(|model| model.state) else {
            self.bind(who);
            return self.session(who, false, Turn::Bound, &[]);
        };
        match (turn % 8, state) {
            (0 | 1, Standing::Active | Standing::Unresponsive) => {
                self.enter(who, Standing::Hibernated);
                self.session(who, false, Turn::Hibernated, ids);
            }
            (2, Standing::Active) => {
                self.enter(who, Standing::Unresponsive);
                self.session(who, false, Turn::AckDelayed, ids);
            }
            (0..=3, Standing::Unresponsive | Standing::Hibernated) => self.session(who, false, Turn::Queued, ids),
            (4, Standing::Unresponsive) => {
                self.enter(who, Standing::Active);
                self.session(who, false, Turn::Acked, &[]);
            }
            (4, Standing::Hibernated) => {
                self.enter(who, Standing::Active);
                self.session(who, false, Turn::Resumed, &[]);
            }
            (5, _) => {
                self.bind(who);
                self.session(who, false, Turn::Bound, &[]);
            }
            (6, _) => {
                let timeout = state == Standing::Hibernated;
                let reason = if timeout { EndReason::Timeout } else { EndReason::Closed };
                self.session(who, false, Turn::Ended(reason), &[]);
                self.sessions.remove(&who);
            }
            _ => self.session(who, false, Turn::Described, &[]),
        }
    }

    pub(super) fn take(&mut self, act: Act) {
        match act {
            Act::Turn(who, turn, ids) => self.turn(who, turn, &ids),
            Act::Message(account, how, id) => {
                let account = Account::new(ACCOUNTS[account]);
                let stanza = Box::new(stanza(id));
                let jingle = |step| Box::new(call(step));
                self.tell(
                    false,
                    match how % 7 {
                        0 | 1 => What::Archived { account, stanza },
                        2 => What::Offline { account, stanza },
                        3 => What::Urgent { account, stanza: jingle(JingleStep::Propose), sent: false },
                        4 => What::Urgent { account, stanza: jingle(JingleStep::Retract), sent: false },
                        5 => What::Urgent { account, stanza: jingle(JingleStep::Proceed), sent: true },
                        _ => What::Ping { account, service: None, node: None },
                    },
                );
            }
            Act::Enable(who, service, node) => {
                let Some(report) = self.report(who).filter(|report| !report.state.is_away()) else { return };
                let (own, secret) = &self.devices[who.0];
                // Some ask for more, but nobody not to be told.
                let extensions = Extensions { ignore_unknown: false, rooms: None, muted: Vec::new(), ..full() };
                let extensions = extensions.kept().filter(|_| node % 2 == 1);
                let ours = SERVICES[service] == "push.example.org";
                let node = if ours && node < 3 { own.clone() } else { Node::new(format!("node-{node}")) };
                let options = ours.then(|| Options { xml: "<x/>".into(), secret: Some(secret.clone()) });
                let wish = Wish::Enable { service: Some(SERVICES[service].into()), node, options, extensions };
                let account = Account::new(ACCOUNTS[who.0]);
                self.tell(false, What::Registration { account, report: Box::new(report), wish });
            }
            Act::Disable(account, service, all) => {
                let of = |(who, model): (&Who, &Model)| (who.0 == account && !model.state.is_away()).then_some(*who);
                let Some(who) = self.sessions.iter().find_map(of) else { return };
                let node = (!all).then(|| Node::new("node-1"));
                let wish = Wish::Disable { service: Some(SERVICES[service].into()), node };
                let Some(report) = self.report(who) else { return };
                let account = Account::new(ACCOUNTS[account]);
                self.tell(false, What::Registration { account, report: Box::new(report), wish });
            }
            Act::Delete(account) => {
                self.tell(false, What::UserDeleted { account: Account::new(ACCOUNTS[account]) });
                self.sessions.retain(|who, _| who.0 != account);
            }
            Act::Missed(account, ids) => {
                let keys: HashSet<Key> = ids.iter().filter_map(|id| stanza(*id).key(None)).collect();
                let keys = keys.into_iter().collect();
                let newest = ids.last().map(|id| Box::new(stanza(*id)));
                let count = u32::try_from(ids.len()).unwrap();
                self.tell(true, What::Missed { account: Some(Account::new(ACCOUNTS[account])), count, keys, newest });
            }
            Act::MissedAll => self.tell(true, What::Missed { account: None, count: 1, keys: Vec::new(), newest: None }),
            Act::Answer(order, how) if order < self.rig.world.orders.len() => {
                let order = self.rig.world.orders.remove(order);
                self.answer(&order, how);
                self.answered.push(order);
            }
            Act::AnswerAgain(order, how) if order < self.answered.len() => {
                let order = self.answered[order].clone();
                self.answer(&order, how);
            }
            Act::LoseAnswer(order) if order < self.rig.world.orders.len() => {
                let order = self.rig.world.orders.remove(order);
                self.answered.push(order);
            }
            Act::Verdict(push, how) if push < self.pushes.len() => {
                let push = self.pushes.remove(push);
                let outcome = match how % 5 {
                    0..=2 => Outcome::Accepted,
                    3 => Outcome::Gone { since: None },
                    _ => Outcome::Unavailable { retry_after: None, reason: "503".into() },
                };
                let happened = self.rig.world.verdict(&push, outcome);
                self.saw(happened, 0);
            }
            Act::Gap => self.rig.seq += 1,
            Act::OldBatch if self.up => {
                let what = What::Ping { account: Account::new(ACCOUNTS[0]), service: None, node: None };
                let events = vec![Event { stamp: None, token: None, what }];
                let seq = self.rig.seq;
                let happened = self.rig.batch(Batch { node: "".into(), epoch: self.rig.epoch.clone(), seq, events });
                self.saw(happened, 1);
            }
            Act::Hello => {
                self.counter += 1;
                (self.rig.epoch, self.rig.seq) = (format!("e{}", self.counter).into(), 0);
                self.sessions.clear();
                self.tell(false, What::Hello);
            }
            Act::Snapshot(whole) => self.snapshot(whole),
            Act::Link(up) => self.link(up),
            Act::Pass(millis) => self.pass(millis),
            // There is nothing to do it with.
            Act::Answer(..) | Act::AnswerAgain(..) | Act::LoseAnswer(..) | Act::Verdict(..) | Act::OldBatch => {}
        }
    }

    pub(super) fn snapshot(&mut self, whole: bool) {
        for who in self.sessions.keys().copied().collect::<Vec<_>>() {
            self.session(who, true, Turn::Described, &[]);
        }
        if whole {
            self.tell(true, What::Synced);
        }
    }

    pub(super) fn link(&mut self, up: bool) {
        if up == self.up {
            return;
        }
        self.up = up;
        let lost = std::mem::take(&mut self.rig.world.orders);
        self.answered.extend(lost);
        let happened = self.rig.world.take(Input::Link(up));
        self.saw(happened, 0);
    }

    fn state(&self, token: Option<std::sync::Arc<str>>) -> Reply {
        let node = NodeState { name: "".into(), epoch: self.rig.epoch.clone(), seq: self.rig.seq };
        Reply::State(HostState { token, software: "".into(), bridge: "".into(), nodes: vec![node] })
    }

    pub(super) fn answer(&mut self, order: &Order, how: u8) {
        let unlinked = || Reply::Refused("cancel".into(), "unexpected-request".into());
        let reply = match (&order.what, how % 16) {
            (OrderKind::Relay { .. }, 15) | (OrderKind::Check | OrderKind::Sync { .. }, 15) => unlinked(),
            (_, 14) => Reply::Unreadable,
            (OrderKind::Watch { .. } | OrderKind::Unwatch { .. }, 13) => unlinked(),
            (OrderKind::Watch { .. } | OrderKind::Unwatch { .. }, _) => Reply::Done,
            (OrderKind::Check, _) => self.state(None),
            (OrderKind::Sync { token, .. }, _) => {
                // The newest that the bridge got counts there, whichever answer comes last.
                if self.synced_by < order.id.0 {
                    self.synced_by = order.id.0;
                    self.rig.token = Some(token.clone());
                }
                self.state(Some(token.clone()))
            }
            (OrderKind::Timeout { account, resource, since, sid, window }, how) => {
                let account = ACCOUNTS.iter().position(|known| *known == account.as_str()).unwrap();
                let resource = RESOURCES.iter().position(|known| *known == &**resource).unwrap();
                let who = (account, resource);
                match self.report(who) {
                    Some(report) if report.since == *since && report.sid == *sid && how < 13 => {
                        if window.is_zero() {
                            self.session(who, false, Turn::Ended(EndReason::Timeout), &[]);
                            self.sessions.remove(&who);
                        }
                        let secs = u32::try_from(window.as_secs()).unwrap();
                        Reply::Session(Box::new(Report { timeout: Some(secs), left: Some(secs), ..report }))
                    }
                    _ => Reply::Refused("cancel".into(), "item-not-found".into()),
                }
            }
            (OrderKind::Relay { .. }, how) => Reply::Relayed(match how {
                0..=4 => Relayed::Taken,
                5..=7 => Relayed::Refused("cancel".into(), "item-not-found".into()),
                8 | 9 => Relayed::Refused("wait".into(), "resource-constraint".into()),
                10 | 11 => Relayed::NotSent("remote-server-not-found".into()),
                _ => Relayed::Silence,
            }),
        };
        let happened = self.rig.reply(order, reply);
        self.saw(happened, 0);
    }
}
