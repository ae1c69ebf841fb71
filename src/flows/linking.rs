//! The link to each host's bridge: told whom to watch, asked to describe everything, asked again and again whether it
//! still is there (docs/signals.md, "Linking").

use std::sync::Arc;
use std::time::Duration;

use super::data::{Effect, Inner, Notice, Step};
use super::dice::Dice;
use super::hosts::{Asked, Host, HostMemory, Link, Phase};
use super::memory::Memory;
use super::reload;
use super::rules::pushes;
use super::signals::{HostState, Order, OrderId, OrderKind, Relayed, Reply, Watched};
use super::state::State;
use crate::domain::ids::{Account, Domain};
use crate::domain::outcome::Reason;
use crate::domain::rate::Rate;
use crate::domain::registration::{Registration, Said};
use crate::domain::time::Now;

/// How many accounts an order to watch names at most.
const LIST_PART: usize = 500;

/// How long a bridge may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// How often a linked bridge is asked whether it still is.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// How soon one that was linked is tried again; one that never was is tried less and less often, up to the latter.
const RETRY_AFTER: Duration = Duration::from_secs(5);
const RETRY_AT_LEAST_EVERY: Duration = Duration::from_secs(60);

/// How often a bridge may have us link anew by what it tells. All that is known of its host is looked at each time.
const RELINKS: Rate = Rate { count: 10, per: Duration::from_secs(10) };

/// Beyond that, how long until we do.
const RELINK_AFTER: Duration = Duration::from_secs(1);

/// The stream to the host's server is up, or no longer.
#[must_use]
pub fn link(state: &State, up: bool, now: Now, dice: &mut Dice) -> Step {
    let mut step = Step::default();
    step.remember(Memory::Stream(up));
    let mut number = state.next_number();
    for (domain, host) in state.hosts.iter() {
        let mut pen = Pen { state, domain, host, now, step: &mut step, number: &mut number };
        pen.change(HostMemory::Deaf);
        if up {
            pen.begin(dice);
        } else {
            pen.phase(Phase::Down, None);
            pen.lose_relays();
        }
    }
    numbered(state, number, &mut step);
    step
}

/// What the store holds may be other registrations than those that hosts were told of: all are told, and asked for
/// all, once more.
#[must_use]
pub fn reloaded(state: &State, now: Now, dice: &mut Dice) -> Step {
    let mut step = Step::default();
    let mut number = state.next_number();
    for (domain, host) in state.hosts.iter().filter(|(_, host)| host.link.phase != Phase::Down) {
        Pen { state, domain, host, now, step: &mut step, number: &mut number }.begin(dice);
    }
    numbered(state, number, &mut step);
    reload::credentials(state, now, &mut step);
    step
}

/// A host is linked from the start, if there is a stream.
#[must_use]
pub fn relink(state: &State, domain: &Domain, now: Now, dice: &mut Dice) -> Step {
    let mut step = Step::default();
    let mut number = state.next_number();
    let Some(host) = state.hosts.get(domain).filter(|_| state.has_stream()) else { return step };
    Pen { state, domain, host, now, step: &mut step, number: &mut number }.begin(dice);
    numbered(state, number, &mut step);
    step
}

/// A bridge answered an order.
#[must_use]
pub fn reply(state: &State, domain: &Domain, order: OrderId, reply: Reply, now: Now, dice: &mut Dice) -> Step {
    let mut step = Step::default();
    let mut number = state.next_number();
    let Some(host) = state.hosts.get(domain) else { return step };
    // Not asked on this stream.
    let Some(asked) = host.orders.get(&order) else { return step };
    let mut pen = Pen { state, domain, host, now, step: &mut step, number: &mut number };
    pen.change(HostMemory::Answered(order));
    match (asked, reply) {
        (Asked::List, Reply::Done) => pen.listed(),
        (Asked::Sync, Reply::State(told)) => pen.linked(&told, dice),
        (Asked::Check, Reply::State(told)) => pen.checked(&told, dice),
        (Asked::Check, Reply::Refused(..)) => pen.begin(dice),
        (Asked::List | Asked::Sync, Reply::Refused(_, condition)) => pen.failed(condition),
        (Asked::List | Asked::Sync | Asked::Check, _) => pen.failed("it answers what nobody asked".into()),
        (Asked::Window(account, sid), reply) => {
            let report = if let Reply::Session(report) = reply { Some(report) } else { None };
            pen.step.then.push(Inner::Window { account: account.clone(), sid: sid.clone(), report });
        }
        (Asked::Relay(registration), reply) => {
            let (registration, flight) = (registration.clone(), order.0);
            // It is not linked: what it was asked goes again when it is.
            let relinks = matches!(reply, Reply::Refused(..));
            pen.step.then.push(Inner::Settled { registration, flight, said: said(reply) });
            if relinks && pen.host.is_linked() {
                pen.failed("it says that it is not linked".into());
            }
        }
        // It will be told everything again.
        (Asked::Watch, Reply::Refused(_, condition)) if pen.host.is_linked() => pen.failed(condition),
        (Asked::Watch, _) => {}
    }
    numbered(state, number, &mut step);
    step
}

/// Time brought something to a host.
#[must_use]
pub fn due(state: &State, domain: &Domain, now: Now, dice: &mut Dice) -> Step {
    let mut step = Step::default();
    let mut number = state.next_number();
    let Some(host) = state.hosts.get(domain).filter(|host| host.link.due.is_some_and(|due| due <= now.steady)) else {
        return step;
    };
    let mut pen = Pen { state, domain, host, now, step: &mut step, number: &mut number };
    match &host.link.phase {
        Phase::Down => {}
        Phase::Unlinked => pen.begin(dice),
        Phase::Listing { .. } | Phase::Syncing { .. } => pen.failed("it does not answer".into()),
        // It did not answer the last check.
        Phase::Linked { checking: Some(asked), .. } if now.steady - *asked >= ANSWER_WITHIN => pen.begin(dice),
        Phase::Linked { token, checking } => {
            let checking = checking.or(Some(now.steady));
            let token = token.clone();
            pen.phase(Phase::Linked { token, checking }, Some(CHECK_EVERY));
            pen.order(OrderKind::Check);
        }
    }
    numbered(state, number, &mut step);
    step
}

/// A bridge started, or something of what it told is missing: it is asked to describe everything. `whole` if it may
/// not know any more whom to watch.
pub(super) fn again(state: &State, domain: &Domain, whole: bool, now: Now, dice: &mut Dice, step: &mut Step) {
    let mut number = state.next_number();
    let Some(host) = state.hosts.get(domain).filter(|host| host.link.phase != Phase::Down) else { return };
    let mut pen = Pen { state, domain, host, now, step, number: &mut number };
    match host.relinks.less_one(RELINKS, now.steady) {
        Some(bucket) => {
            pen.change(HostMemory::Relinked(bucket));
            if whole { pen.begin(dice) } else { pen.sync(dice) }
        }
        // Then all of it, and not put off by what is told meanwhile.
        None if host.link.phase != Phase::Unlinked => pen.phase(Phase::Unlinked, Some(RELINK_AFTER)),
        None => {}
    }
    numbered(state, number, step);
}

fn numbered(state: &State, number: u64, step: &mut Step) {
    if number != state.next_number() {
        step.remember(Memory::Numbered(number));
    }
}

fn said(reply: Reply) -> Said {
    match reply {
        Reply::Relayed(Relayed::Taken) => Said::Taken,
        Reply::Relayed(Relayed::Refused(kind, condition)) if kind == "wait" => Said::Later(condition),
        Reply::Relayed(Relayed::Refused(_, condition)) => Said::Refused(condition),
        Reply::Relayed(Relayed::NotSent(condition)) => Said::Unreached(condition),
        Reply::Relayed(Relayed::Silence) => Said::Silence,
        Reply::Refused(..) => Said::Unsent,
        _ => Said::Later("not understood".into()),
    }
}

/// A host, and the step that changes it.
struct Pen<'a> {
    state: &'a State,
    domain: &'a Domain,
    host: &'a Host,
    now: Now,
    step: &'a mut Step,
    number: &'a mut u64,
}

impl Pen<'_> {
    fn change(&mut self, change: HostMemory) {
        self.step.remember(Memory::Host(self.domain.clone(), change));
    }

    fn order(&mut self, what: OrderKind) {
        let id = OrderId(*self.number);
        *self.number += 1;
        self.change(HostMemory::Asked(id, Asked::of(&what)));
        let host = self.domain.clone();
        self.step.effects.push(Effect::Order(Box::new(Order { id, host, what })));
    }

    fn phase(&mut self, phase: Phase, within: Option<Duration>) {
        let due = within.map(|within| self.now.steady + within);
        let link = Link { phase, due, ..self.host.link.clone() };
        self.change(HostMemory::Link(Box::new(link)));
    }

    /// From the start: whom to watch, part by part.
    fn begin(&mut self, dice: &mut Dice) {
        let accounts: Arc<[Account]> = self.state.registrations.accounts_of(self.domain).cloned().collect();
        let list = dice.token();
        self.tell(&list, &accounts, 0);
    }

    /// The next part of the list; an empty list is a part, too.
    fn tell(&mut self, list: &Arc<str>, accounts: &Arc<[Account]>, from: usize) {
        let upto = accounts.len().min(from + LIST_PART);
        // Some may have left since the list began.
        let there = |account: &&Account| self.state.registrations.of(account).iter().any(Registration::is_there);
        let part = accounts.get(from..upto).unwrap_or_default().iter().filter(there);
        let what = OrderKind::Watch {
            list: Some(list.clone()),
            complete: upto == accounts.len(),
            accounts: part.map(|account| self.watched(account)).collect(),
        };
        let phase = Phase::Listing { list: list.clone(), accounts: accounts.clone(), told: upto };
        self.phase(phase, Some(ANSWER_WITHIN));
        self.order(what);
    }

    fn watched(&self, account: &Account) -> Watched {
        let there = self.state.registrations.of(account).iter().filter(|registration| registration.is_there());
        Watched { account: account.clone(), facts: self.state.policy.rules.facts(there) }
    }

    fn listed(&mut self) {
        let Phase::Listing { list, accounts, told } = &self.host.link.phase else { return };
        if *told < accounts.len() {
            return self.tell(list, accounts, *told);
        }
        // A list's name is as random as a token, and tells which of them came before.
        self.sync_as(list.clone(), Some(list.clone()));
    }

    fn sync(&mut self, dice: &mut Dice) {
        let token = dice.token();
        self.sync_as(token, None);
    }

    fn sync_as(&mut self, token: Arc<str>, listed: Option<Arc<str>>) {
        let due = Some(self.now.steady + ANSWER_WITHIN);
        let link = Link { phase: Phase::Syncing { token: token.clone() }, due, listed, ..self.host.link.clone() };
        self.change(HostMemory::Link(Box::new(link)));
        let ack_delay = self.state.policy.sessions.max_ack_delay;
        self.order(OrderKind::Sync { token, ack_delay });
    }

    /// It answers: from here on it tells everything, beginning with what there is.
    fn linked(&mut self, told: &HostState, dice: &mut Dice) {
        let Phase::Syncing { token } = &self.host.link.phase else { return };
        if told.token.as_deref() != Some(&**token) {
            return;
        }
        // It started anew between the list and this: nobody is watched.
        let known = |name: &str| self.host.nodes.get(name);
        let listed_now = self.host.link.listed.as_ref() == Some(token);
        let new_start = told.nodes.iter().any(|node| known(&node.name).is_none_or(|known| known.epoch != node.epoch));
        if new_start && !listed_now {
            return self.begin(dice);
        }
        let node = |node: &super::signals::NodeState| {
            let restarted = known(&node.name).is_some_and(|known| known.epoch != node.epoch);
            (node.name.clone(), node.epoch.clone(), node.seq, restarted)
        };
        let nodes = told.nodes.iter().map(node).collect();
        // Nodes that it does not list are gone, with all their sessions.
        for (account, live) in self.state.lives.of_host(self.domain) {
            let lost = live.sessions.iter().filter(|session| told.nodes.iter().all(|node| node.name != session.node));
            let wake = !self.host.nodes.is_empty();
            self.step.then.extend(lost.map(|session| Inner::vanished(account, &session.report.sid, wake)));
        }
        let link = Link {
            phase: Phase::Linked { token: token.clone(), checking: None },
            due: Some(self.now.steady + CHECK_EVERY),
            fails: 0,
            was_linked: true,
            told: Some((Arc::from(&*told.software), Arc::from(&*told.bridge))),
            why: None,
            ..self.host.link.clone()
        };
        if !self.host.link.was_linked || self.host.link.fails > 0 {
            let (software, bridge) = (told.software.clone(), told.bridge.clone());
            let notice = Notice::Linked { host: self.domain.clone(), software, bridge };
            self.step.effects.push(Effect::Notice(notice));
        }
        self.change(HostMemory::Link(Box::new(link)));
        self.change(HostMemory::Nodes(nodes));
        self.step.then.push(Inner::Pump(self.domain.clone()));
    }

    /// It says that it is still linked, and how far it has told.
    fn checked(&mut self, told: &HostState, dice: &mut Dice) {
        let Phase::Linked { token, checking } = &self.host.link.phase else { return };
        let lag = checking.map(|asked| self.now.steady - asked).or(self.host.link.lag);
        let phase = Phase::Linked { token: token.clone(), checking: None };
        let link = Link { phase, lag, ..self.host.link.clone() };
        self.change(HostMemory::Link(Box::new(link)));
        let same = told.nodes.len() == self.host.nodes.len()
            && told
                .nodes
                .iter()
                .all(|node| self.host.nodes.get(&node.name).is_some_and(|known| known.epoch == node.epoch));
        if !same {
            return self.begin(dice);
        }
        let mut missing = false;
        for node in &told.nodes {
            let Some(known) = self.host.nodes.get(&node.name) else { continue };
            let ahead = if node.seq > known.taken { known.ahead + 1 } else { 0 };
            if ahead != known.ahead {
                self.change(HostMemory::Ahead(node.name.clone(), ahead));
            }
            // Where there are several, what one of them tells may overtake what another says of it.
            missing |= ahead >= if told.nodes.len() == 1 { 1 } else { 2 };
        }
        if missing {
            self.sync(dice);
        }
    }

    /// It has no bridge, or does not answer, or not in a way that can be understood.
    fn failed(&mut self, why: Reason) {
        let link = &self.host.link;
        let fails = link.fails.saturating_add(1);
        let wait = if link.was_linked {
            RETRY_AFTER
        } else {
            Duration::from_secs(1 << link.fails.min(6)).min(RETRY_AT_LEAST_EVERY)
        };
        if link.fails == 0 {
            let (host, was_linked) = (self.domain.clone(), link.was_linked);
            let why = why.clone();
            self.step.effects.push(Effect::Notice(Notice::Unlinked { host, why, was_linked }));
        }
        let due = Some(self.now.steady + wait);
        let link = Link { phase: Phase::Unlinked, due, fails, listed: None, why: Some(why), ..link.clone() };
        self.change(HostMemory::Link(Box::new(link)));
    }

    fn lose_relays(&mut self) {
        let accounts = pushes::relaying(self.state, self.domain).cloned();
        self.step.then.extend(accounts.map(Inner::Lost));
    }
}
