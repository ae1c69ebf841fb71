//! The outbox, whatever happens to it, beside a naive model of it: `outbox_model` says what must hold.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::data::{Answer, Change, DeviceRegistration, Effect, Inner, Input, Notice, Waiter, Weight};
use super::lane::Load;
use super::memory::{Limit, Memory};
use super::outbox_acts::{Act, PHONES, act, policies};
use super::outbox_model::{Model, Place};
use super::policy::Policy;
use super::state::State;
use super::world::{START, World};
use crate::domain::app::Credentials;
use crate::domain::class::Class;
use crate::domain::device::Device;
use crate::domain::ids::{Account, AppName, Node};
use crate::domain::outcome::{Outcome, Verdict};
use crate::domain::publish::{CallStep, Notification, Priority, Publish};
use crate::domain::push::Push;
use crate::domain::refusal::{Later, Refusal};
use crate::domain::registration::{RegistrationKey, Said};
use crate::domain::secret::{Private, Secret};
use crate::domain::time::Moment;

/// Who has a phone; the last one's app is another one.
const OWNERS: [&str; PHONES] = ["a@example.org", "b@example.org", "c@example.net", "d@example.net"];

/// A world with a disk, and with the driver's way of using it.
struct Sea {
    world: World,
    model: Model,
    disk: Disk,
    /// Facts that the disk has not seen yet.
    unwritten: Vec<Change>,
    read_only: bool,
    /// The next commit fails.
    fails: bool,
    devices: Vec<(Node, Secret)>,
    flying: Vec<Push>,
    /// What a ticket asked for.
    asked: HashMap<String, Option<u32>>,
    published: u32,
}

#[derive(Clone, Debug, Default)]
struct Disk {
    devices: BTreeMap<Node, Device>,
    owed: BTreeMap<Place, Load>,
}

impl Disk {
    fn write(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Device(device) => drop(self.devices.insert(device.node.clone(), (**device).clone())),
                Change::Forget(node) => drop(self.devices.remove(node)),
                Change::Fact(fact) => {
                    if let Some(device) = self.devices.get_mut(&fact.node) {
                        device.history.note(fact);
                    }
                }
                Change::Owe(owed) => drop(self.owed.insert((owed.node.clone(), owed.kind), owed.load.clone())),
                Change::Settle(node, kind) => drop(self.owed.remove(&(node.clone(), *kind))),
                _ => {}
            }
        }
    }

    fn owed(&self) -> BTreeMap<Place, u32> {
        self.owed.iter().map(|(place, load)| (place.clone(), tells_of(load))).collect()
    }

    /// As a new process reads it.
    fn changes(&self) -> Vec<Change> {
        let credentials = Credentials { fingerprint: 1, since: START };
        let apps = ["android", "ios"].map(|app| Change::Credentials(AppName::new(app), credentials));
        let devices = self.devices.values().map(|device| Change::Device(Box::new(device.clone())));
        let owed = self.owed.iter().map(|((node, kind), load)| {
            // The steady clock means nothing to another process.
            let load = Load { until: None, ..load.clone() };
            Change::Owe(Box::new(super::data::Owed { node: node.clone(), kind: *kind, load }))
        });
        apps.into_iter().chain(devices).chain(owed).collect()
    }
}

fn tells_of(load: &Load) -> u32 {
    load.content.nickname.as_ref().unwrap().reveal().parse().unwrap()
}

impl Sea {
    fn new(policy: Policy) -> Self {
        let world = World::new(policy.clone());
        let model = Model::new(policy, world.now());
        let mut sea = Self {
            world,
            model,
            disk: Disk::default(),
            unwritten: Vec::new(),
            read_only: false,
            fails: false,
            devices: Vec::new(),
            flying: Vec::new(),
            asked: HashMap::new(),
            published: 0,
        };
        for (device, owner) in OWNERS.into_iter().enumerate() {
            sea.register(device, "token");
            let owner = Account::new(owner);
            let known = sea.world.state.devices_of(&owner).next().unwrap();
            sea.devices.push((known.node.clone(), known.secret.clone()));
        }
        sea
    }

    fn registration(device: usize, token: &str) -> DeviceRegistration {
        let service = if device == OWNERS.len() - 1 { "ios" } else { "fcm" };
        DeviceRegistration { service: service.into(), ..World::registration(OWNERS[device], "phone", token) }
    }

    fn register(&mut self, device: usize, token: &str) {
        let ticket = self.world.ticket();
        self.asked.insert(ticket.id.to_string(), None);
        self.take(Input::Register { ticket, registration: Self::registration(device, token) });
    }

    fn unregister(&mut self, device: usize) {
        let ticket = self.world.ticket();
        self.asked.insert(ticket.id.to_string(), None);
        let registration = Self::registration(device, "");
        let unregistration = super::data::DeviceUnregistration {
            command: "unregister-push-fcm".into(),
            service: registration.service,
            owner: registration.owner,
            account: registration.account,
            channel: None,
        };
        self.take(Input::Unregister { ticket, unregistration });
    }

    /// A publish whose content says which one it is.
    fn publish(&mut self, device: usize, class: Class, by_rules: bool) {
        self.published += 1;
        let number = self.published;
        let call = |step| Notification { jingle: Some(step), ..Notification::default() };
        let notification = match class {
            Class::Clear => Notification { count: Some(0), ..Notification::default() },
            Class::Ended => call(CallStep::Other),
            Class::Unimportant => Notification { priority: Some(Priority::Low), ..Notification::default() },
            Class::Important => Notification { priority: Some(Priority::High), ..Notification::default() },
            Class::Call => call(CallStep::Propose),
        };
        let notification = Notification { nickname: Some(Private::new(number.to_string())), ..notification };
        let (node, secret) = self.devices[device].clone();
        let from = Account::new(OWNERS[device]).domain();
        let publish = Publish { from, from_full_jid: false, node, secret: Some(secret), module: None, notification };
        if by_rules {
            let registration = RegistrationKey {
                account: Account::new(OWNERS[device]),
                service: "push.example.org".into(),
                node: publish.node.clone(),
            };
            let publish = Box::new(publish);
            self.take(Input::Inner(Inner::Push { registration, flight: number.into(), publish }));
        } else {
            let ticket = self.world.ticket();
            self.asked.insert(ticket.id.to_string(), Some(number));
            self.take(Input::Publish { ticket, publish });
        }
    }

    /// The account of a device is no more.
    fn remove_account(&mut self, device: usize) {
        let ticket = self.world.ticket();
        self.asked.insert(ticket.id.to_string(), None);
        let (node, secret) = self.devices[device].clone();
        let notification = Notification { account_removed: true, ..Notification::default() };
        let from = Account::new(OWNERS[device]).domain();
        let publish = Publish { from, from_full_jid: false, node, secret: Some(secret), module: None, notification };
        self.take(Input::Publish { ticket, publish });
    }

    fn verdict(&mut self, flight: usize, outcome: Outcome) {
        let push = self.flying.remove(flight);
        self.model.now = self.world.now();
        self.model.spoke(push.id, &outcome);
        let Push { id, app, node, generation, .. } = push;
        self.take(Input::Verdict(Verdict { push: id, app, node, generation, outcome }));
    }

    /// As the driver: a step, and those that follow from it.
    fn take(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let then = self.step(input);
            inputs.extend(then.into_iter().rev().map(Input::Inner));
        }
    }

    fn step(&mut self, input: Input) -> Vec<Inner> {
        self.model.begins(self.world.now());
        if let Input::Inner(Inner::Settled { flight, said, .. }) = &input {
            self.model.settled(u32::try_from(*flight).unwrap(), *said == Said::Taken);
            return Vec::new();
        }
        let asks = match &input {
            Input::Publish { publish, .. } if !publish.notification.account_removed => Some((publish.clone(), true)),
            Input::Inner(Inner::Push { publish, .. }) => Some(((**publish).clone(), false)),
            _ => None,
        };
        let command = matches!(input, Input::Register { .. } | Input::Unregister { .. });
        let owed_before = self.world.state.queues().owed();
        let step = super::step(&self.world.state, input, self.world.now(), &mut self.world.dice);
        if let Some((publish, in_time)) = asks {
            let drawn = |change: &Change| matches!(change, Change::Memory(Memory::Drawn(Limit::RingingDevice(_), ..)));
            let rings = step.changes.iter().any(drawn);
            let class = publish.notification.class();
            let class = if class == Class::Call && !rings { Class::Important } else { class };
            let number = publish.notification.nickname.as_ref().unwrap().reveal().parse().unwrap();
            self.model.asked(number, &publish.node, class, in_time);
        }
        let promises = step.changes.iter().any(|change| change.weight() == Weight::Promise);
        let open = |state: &State, app: &AppName| state.app(app).is_some_and(|app| app.circuit.is_some());
        let was_open: BTreeSet<AppName> = self
            .world
            .state
            .policy
            .apps
            .iter()
            .map(|app| app.name.clone())
            .filter(|app| open(&self.world.state, app))
            .collect();
        let mut effects = step.effects;
        if self.read_only {
            for change in &step.changes {
                match change {
                    Change::Device(device) if device.gone.is_some() => self.model.spare(&device.node),
                    change if change.weight() != Weight::Promise => self.apply(change),
                    _ => {}
                }
            }
            if promises || command {
                effects = refused(effects);
            }
        } else {
            for change in &step.changes {
                self.apply(change);
            }
            self.unwritten.extend(step.changes.into_iter().filter(|change| change.weight() > Weight::Memory));
            if promises && self.fails {
                (self.fails, self.read_only) = (false, true);
                self.unwritten.clear();
                self.apply(&Change::Memory(Memory::ReadOnly(true)));
                effects = refused(effects);
            } else if promises {
                self.write();
            }
        }
        let policy = &self.world.state.policy;
        let owed = owed_before.max(self.world.state.queues().owed());
        let full = owed.0 >= policy.max_owed || owed.1 >= policy.max_owed_bytes;
        let no_room = if self.read_only { Some(Later::Store) } else { full.then_some(Later::Full) };
        for effect in effects {
            match effect {
                Effect::Answer(ticket, answer) => {
                    let Some(asked) = self.asked.remove(&*ticket.id) else { panic!("{ticket:?} is answered twice") };
                    if let Some(number) = asked {
                        let owed = |place: &Place| self.disk.owed.get(place).map(tells_of);
                        self.model.answered(number, &answer, owed, no_room);
                    }
                }
                Effect::Deliver(push) => {
                    let trial = was_open.contains(&push.app) && open(&self.world.state, &push.app);
                    self.model.begun(&push, trial);
                    self.flying.push(*push);
                }
                Effect::Notice(Notice::CircuitOpened { app, .. }) => {
                    assert!(!was_open.contains(&app) && open(&self.world.state, &app), "opened, and is not open");
                }
                Effect::Notice(Notice::CircuitClosed { app }) => {
                    assert!(was_open.contains(&app) && !open(&self.world.state, &app), "closed, and is not closed");
                    self.model.closed(&app);
                }
                _ => {}
            }
        }
        assert_eq!(self.world.state.under_way(), self.flying.len(), "slots leak");
        assert!(self.flying.len() <= self.world.state.policy.max_under_way, "too many are under way");
        step.then
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Device(device) => self.model.became(device),
            Change::Forget(node) => self.model.forgot(node),
            _ => {}
        }
        self.world.state.apply(change);
    }

    fn write(&mut self) {
        self.disk.write(&self.unwritten);
        self.unwritten.clear();
    }

    /// Time passes, and what it brings happens when it is due. What is said of pushes meanwhile: nothing, or that they
    /// were taken.
    fn pass(&mut self, millis: u64, taken: bool) {
        let end = self.world.uptime + Duration::from_millis(millis);
        let mut still = 0;
        loop {
            while taken && !self.flying.is_empty() {
                self.verdict(0, Outcome::Accepted);
            }
            let next = self.world.state.next_deadline(self.world.now()).map(Moment::uptime).filter(|next| *next <= end);
            let at = next.unwrap_or(end).max(self.world.uptime);
            still = if at == self.world.uptime { still + 1 } else { 0 };
            assert!(still < 100, "it does not get on: {:?}", self.world.state);
            if at - self.world.uptime >= Duration::from_secs(1) && !self.read_only {
                self.write();
            }
            self.world.uptime = at;
            self.take(Input::Tick);
            self.model.nobody_is_late();
            if next.is_none() && (!taken || self.flying.is_empty()) {
                return;
            }
        }
    }

    /// The process stands still for a while.
    fn stand_still(&mut self, millis: u64) {
        self.world.uptime += Duration::from_millis(millis);
        self.model.stood_still(true);
        self.take(Input::Tick);
        self.model.stood_still(false);
    }

    /// The process dies, with what was not written yet, and another one begins.
    fn crash(&mut self) {
        self.unwritten.clear();
        self.read_only = false;
        self.flying.clear();
        self.asked.clear();
        self.model.now = self.world.now();
        self.model.loaded(self.disk.devices.clone(), &self.disk.owed(), true);
        let mut state = State::new(self.world.state.policy.clone());
        for change in self.disk.changes() {
            state.apply(&change);
        }
        self.world.state = state;
        self.take(Input::Tick);
    }

    /// As the driver, when the store takes writes again.
    fn recover(&mut self) {
        if !self.read_only {
            return;
        }
        self.read_only = false;
        self.world.state.apply(&Change::Memory(Memory::ReadOnly(false)));
        self.model.now = self.world.now();
        self.model.loaded(self.disk.devices.clone(), &self.disk.owed(), false);
        let lanes = self.world.state.forget_stored();
        for change in self.disk.changes() {
            self.world.state.apply(&change);
        }
        for waiter in self.world.state.restore(lanes) {
            match waiter {
                Waiter::Iq(ticket) => {
                    let number = self.asked.remove(&*ticket.id).unwrap().unwrap();
                    let answer = Answer::Refused(Refusal::TryLater(Later::Store));
                    self.model.answered(number, &answer, |_| None, Some(Later::Store));
                }
                Waiter::Rules { flight, .. } => self.model.settled(u32::try_from(flight).unwrap(), false),
                Waiter::Trial(_) => panic!("nobody tests"),
            }
        }
        self.take(Input::Tick);
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Publish(device, class, by_rules) => self.publish(device, class, by_rules),
            Act::Verdict(flight, outcome) if flight < self.flying.len() => self.verdict(flight, outcome),
            Act::Verdict(..) => {}
            Act::Register(device, token) => self.register(device, ["token", "token-2"][usize::from(token)]),
            Act::Unregister(device) => self.unregister(device),
            Act::RemoveAccount(device) => self.remove_account(device),
            Act::Pass(millis) => self.pass(millis, false),
            Act::StandStill(millis) => self.stand_still(millis),
            Act::SetClock(millis) => {
                self.world.shift += millis;
                self.model.clock_was_set(millis < 0);
                self.take(Input::Tick);
            }
            Act::Crash => self.crash(),
            Act::CommitFails => self.fails = !self.read_only,
            Act::ReadOnly(true) if !self.read_only => {
                self.read_only = true;
                self.unwritten.clear();
                self.apply(&Change::Memory(Memory::ReadOnly(true)));
            }
            Act::ReadOnly(true) => {}
            Act::ReadOnly(false) => self.recover(),
        }
        // What is due by now is seen to within milliseconds.
        self.take(Input::Tick);
    }

    /// The vendors take everything, and the disk too: nothing is left.
    fn calm(&mut self) {
        self.fails = false;
        self.recover();
        self.pass(3 * 3_600_000, true);
        self.write();
        self.model.nothing_is_left();
        assert!(self.disk.owed.is_empty(), "still on disk: {:?}", self.disk.owed);
        let left: Vec<_> = self.world.state.sizes().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(left, [], "still in memory");
        assert!(self.asked.is_empty(), "never answered: {:?}", self.asked);
    }
}

/// The same effects, where every answer says that the store takes no writes.
fn refused(effects: Vec<Effect>) -> Vec<Effect> {
    let refuse = |effect| match effect {
        Effect::Answer(ticket, _) => Effect::Answer(ticket, Answer::Refused(Refusal::TryLater(Later::Store))),
        other => other,
    };
    effects.into_iter().map(refuse).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, max_shrink_iters: 20_000, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_the_outbox_does_what_a_naive_one_does(policy in policies(), acts in vec(act(), 1..32)) {
        let mut sea = Sea::new(policy);
        for act in acts {
            sea.act(act);
        }
        sea.calm();
    }
}
