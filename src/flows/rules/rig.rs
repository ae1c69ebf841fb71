//! For tests of the rules: a host with a bridge, as flows see it.

use std::sync::Arc;

use crate::domain::ids::{Account, Domain, Node};
use crate::domain::redact::Words;
use crate::domain::registration::Options;
use crate::domain::secret::Private;
use crate::domain::session::{EndReason, Report, Sid, Standing};
use crate::domain::stanza::{Jingle, JingleStep, Stanza};
use crate::flows::data::{Answer, Change, Decided, Input};
use crate::flows::hosts::{HostMemory, Link, Phase};
use crate::flows::memory::Memory;
use crate::flows::policy::Policy;
use crate::flows::signals::{
    Batch, Event, HostState, NodeState, Order, OrderKind, Queued, Relayed, Reply, Turn, What, Wish,
};
use crate::flows::world::{Happened, World, policy};

pub(crate) const HOST: &str = "example.org";
pub(crate) const ALICE: &str = "alice@example.org";
pub(crate) const THIRD: &str = "push.third.example";

/// A world with a host whose bridge is linked.
pub(crate) struct Rig {
    pub(crate) world: World,
    pub(crate) epoch: Arc<str>,
    pub(crate) seq: u64,
    /// What the last `sync` was named.
    pub(crate) token: Option<Arc<str>>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// Linked, and the snapshot of nobody is complete.
    pub(crate) fn with(change: impl FnOnce(&mut Policy)) -> Self {
        let mut rig = Self::down(change);
        rig.world.take(Input::Link(true));
        rig.link();
        rig.synced();
        rig
    }

    pub(crate) fn down(change: impl FnOnce(&mut Policy)) -> Self {
        let mut policy = policy();
        change(&mut policy);
        Self { world: World::new(policy), epoch: "e1".into(), seq: 0, token: None }
    }

    /// Answers the orders that lead to a link as a bridge does; returns what happens by it.
    pub(crate) fn link(&mut self) -> Happened {
        let mut all = Happened::default();
        while let Some((order, reply)) = self.next_order() {
            let happened = self.reply(&order, reply);
            all.append(happened);
        }
        all
    }

    fn next_order(&mut self) -> Option<(Order, Reply)> {
        let order = self.world.orders.iter().position(|order| {
            matches!(order.what, OrderKind::Watch { list: Some(_), .. } | OrderKind::Sync { .. } | OrderKind::Check)
        })?;
        let order = self.world.orders.remove(order);
        let reply = match &order.what {
            OrderKind::Sync { token, .. } => {
                self.token = Some(token.clone());
                self.state(Some(token.clone()))
            }
            OrderKind::Check => self.state(None),
            _ => Reply::Done,
        };
        Some((order, reply))
    }

    pub(crate) fn state(&self, token: Option<Arc<str>>) -> Reply {
        let node = NodeState { name: "".into(), epoch: self.epoch.clone(), seq: self.seq };
        Reply::State(HostState { token, software: "Prosody 0.12.3".into(), bridge: "0.1.0".into(), nodes: vec![node] })
    }

    pub(crate) fn synced(&mut self) -> Happened {
        let token = self.token.clone();
        self.events(vec![Event { stamp: None, token, what: What::Synced }])
    }

    pub(crate) fn reply(&mut self, order: &Order, reply: Reply) -> Happened {
        self.world.take(Input::Reply { host: Domain::new(HOST), order: order.id, reply })
    }

    /// Events in one batch, with the next numbers.
    pub(crate) fn events(&mut self, events: Vec<Event>) -> Happened {
        let seq = self.seq + 1;
        self.seq += events.len() as u64;
        self.batch(Batch { node: "".into(), epoch: self.epoch.clone(), seq, events })
    }

    pub(crate) fn batch(&mut self, batch: Batch) -> Happened {
        let ticket = self.world.ticket();
        self.world.take(Input::Signals { ticket, host: Domain::new(HOST), batch })
    }

    pub(crate) fn event(&mut self, what: What) -> Happened {
        self.events(vec![Event { stamp: None, token: None, what }])
    }

    /// The same, as a part of the snapshot.
    pub(crate) fn snapshot(&mut self, what: What) -> Happened {
        let token = self.token.clone();
        self.events(vec![Event { stamp: None, token, what }])
    }

    pub(crate) fn turn(&mut self, report: Report, turn: Turn, stanzas: &[(u32, Stanza)]) -> Happened {
        self.event(session(report, turn, stanzas))
    }

    /// Alice's phone is bound and enables push at the third party's service.
    pub(crate) fn phone(&mut self) {
        self.enabled_at(THIRD, "node-1", "phone");
    }

    pub(crate) fn enabled_at(&mut self, service: &str, node: &str, resource: &str) {
        self.turn(report(resource, Standing::Active), Turn::Bound, &[]);
        let answers = self.enable(service, node, resource, None).answers;
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].1, Answer::Done);
    }

    pub(crate) fn enable(&mut self, service: &str, node: &str, resource: &str, options: Option<Options>) -> Happened {
        let wish = Wish::Enable { service: Some(service.into()), node: Node::new(node), options, extensions: None };
        self.wish(resource, wish)
    }

    pub(crate) fn wish(&mut self, resource: &str, wish: Wish) -> Happened {
        let report = Box::new(report(resource, Standing::Active));
        self.event(What::Registration { account: Account::new(ALICE), report, wish })
    }

    /// The same, said to us and not to her own account.
    pub(crate) fn wish_to_us(&mut self, resource: &str, wish: Wish) -> Happened {
        let ticket = self.world.ticket();
        let account = Account::new(ALICE);
        self.world.take(Input::Wish { ticket, account, resource: resource.into(), wish })
    }

    /// Alice's phone loses its connection, with these stanzas in its queue.
    pub(crate) fn hibernates(&mut self, stanzas: &[(u32, Stanza)]) -> Happened {
        self.turn(report("phone", Standing::Hibernated), Turn::Hibernated, stanzas)
    }

    pub(crate) fn queued(&mut self, n: u32, stanza: Stanza) -> Happened {
        self.turn(report("phone", Standing::Hibernated), Turn::Queued, &[(n, stanza)])
    }

    pub(crate) fn archived(&mut self, stanza: Stanza) -> Happened {
        self.event(What::Archived { account: Account::new(ALICE), stanza: Box::new(stanza) })
    }

    pub(crate) fn offline(&mut self, stanza: Stanza) -> Happened {
        self.event(What::Offline { account: Account::new(ALICE), stanza: Box::new(stanza) })
    }

    pub(crate) fn urgent(&mut self, stanza: Stanza, sent: bool) -> Happened {
        self.event(What::Urgent { account: Account::new(ALICE), stanza: Box::new(stanza), sent })
    }

    /// Time passes. A linked host stays so, without being asked.
    pub(crate) fn pass(&mut self, millis: u64) -> Happened {
        let domain = Domain::new(HOST);
        let link = self.world.state.hosts.get(&domain).map(|host| Link { due: None, ..host.link.clone() });
        if let Some(link) = link.filter(|link| matches!(link.phase, Phase::Linked { .. })) {
            let change = HostMemory::Link(Box::new(link));
            self.world.state.apply(&Change::Memory(Memory::Host(domain, change)));
        }
        self.world.pass(millis)
    }

    /// The service answers a publish.
    pub(crate) fn relayed(&mut self, relay: &Order, relayed: Relayed) -> Happened {
        self.reply(relay, Reply::Relayed(relayed))
    }

    /// What the store would hold after a restart of ours.
    pub(crate) fn restart(self) -> Self {
        let mut fresh = Self::down(|policy| *policy = self.world.state.policy.clone());
        fresh.world.uptime = self.world.uptime;
        for registration in self.world.state.registrations.of(&Account::new(ALICE)) {
            let key = registration.key.clone();
            let record = Box::new(registration.record.clone());
            fresh.world.state.apply(&Change::Registration(Box::new(registration.clone())));
            fresh.world.state.apply(&Change::Record(key, record));
        }
        (fresh.epoch, fresh.seq) = (self.epoch, self.seq);
        fresh
    }
}

impl Happened {
    /// Publishes to third parties.
    pub(crate) fn relays(&self) -> Vec<&Order> {
        self.orders.iter().filter(|order| matches!(order.what, OrderKind::Relay { .. })).collect()
    }

    /// What they say.
    pub(crate) fn words(&self) -> Vec<Words> {
        let words = |order: &&Order| match &order.what {
            OrderKind::Relay { words, .. } => words.clone(),
            other => panic!("{other:?}"),
        };
        self.relays().iter().map(words).collect()
    }

    /// How many of them are important.
    pub(crate) fn important(&self) -> usize {
        self.words().iter().filter(|words| words.body.is_some()).count()
    }

    /// New windows, in seconds, by session.
    pub(crate) fn windows(&self) -> Vec<(String, u64)> {
        let window = |order: &Order| match &order.what {
            OrderKind::Timeout { sid, window, .. } => Some((sid.as_str().to_owned(), window.as_secs())),
            _ => None,
        };
        self.orders.iter().filter_map(window).collect()
    }

    pub(crate) fn decided(&self, what: &Decided) -> usize {
        self.lines.iter().filter(|line| line.what == *what).count()
    }
}

pub(crate) fn session(report: Report, turn: Turn, stanzas: &[(u32, Stanza)]) -> What {
    let queued = |(n, stanza): &(u32, Stanza)| Queued { n: Some(*n), stanza: stanza.clone() };
    let stanzas = stanzas.iter().map(queued).collect();
    What::Session { account: Account::new(ALICE), report: Box::new(report), turn, stanzas }
}

/// A session of alice, whose sid is its resource's first letter and a one.
pub(crate) fn report(resource: &str, state: Standing) -> Report {
    Report {
        sid: Sid::new(format!("{}1", &resource[..1])),
        resource: resource.into(),
        client_id: None,
        state,
        since: format!("{state:?}").into(),
        timeout: Some(600),
        left: (state == Standing::Hibernated).then_some(600),
        h_in: Some(3),
        h_out: Some(0),
        unacked: None,
        queued: None,
        resumable: true,
        inactive: false,
    }
}

pub(crate) fn ended(resource: &str, reason: EndReason) -> What {
    session(report(resource, Standing::Plain), Turn::Ended(reason), &[])
}

/// A message of bob's with a text, archived under its own id.
pub(crate) fn message(id: &str) -> Stanza {
    Stanza {
        from: Some("bob@example.org/pc".into()),
        id: Some(id.into()),
        archive_id: Some(format!("archive-{id}").into()),
        body: Some(Private::new("*")),
        ..Stanza::default()
    }
}

/// Something that is worth no more than an unimportant push.
pub(crate) fn state(id: &str) -> Stanza {
    Stanza { body: None, ..message(id) }
}

pub(crate) fn call(step: JingleStep) -> Stanza {
    Stanza { body: None, jingle: Some(Jingle { step, id: "call-1".into() }), ..message("c") }
}

pub(crate) fn own(stanza: Stanza) -> Stanza {
    Stanza { from: Some("alice@example.org/laptop".into()), ..stanza }
}
