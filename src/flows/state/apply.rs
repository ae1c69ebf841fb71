//! How the state changes.

use super::State;
use crate::domain::device::Device;
use crate::domain::ids::Node;
use crate::flows::data::Change;
use crate::flows::memory::{Limit, Memory};

impl State {
    /// Carries out a change: the only way to alter the state, when loading as when running.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Device(device) => self.put(device, false),
            Change::Forget(node) => self.forget(node),
            Change::Fact(fact) => {
                if let Some((app, last_accepted)) = self.devices.note(fact) {
                    let app = self.apps.entry(app.clone()).or_default();
                    app.works |= app.credentials.is_some_and(|of| last_accepted.is_some_and(|at| at >= of.since));
                }
            }
            Change::Credentials(name, credentials) => {
                // Whatever worked before they changed proves nothing; when loading, a device may prove it already.
                let works = self.devices.any_worked(name, *credentials);
                let app = self.apps.entry(name.clone()).or_default();
                app.credentials = Some(*credentials);
                app.works = works;
            }
            Change::Registration(registration) => self.registrations.put(registration),
            Change::Record(key, record) => self.registrations.record(key, record),
            Change::ForgetRegistration(key) => self.registrations.forget(key),
            Change::Owe(owed) => self.owe(owed),
            // Whoever decided so has said already what is left in memory.
            Change::Settle(..) => {}
            Change::Memory(memory) => self.remember(memory.clone()),
        }
    }

    fn put(&mut self, device: &Device, guest: bool) {
        match (self.devices.is_guest(&device.node), guest) {
            (true, false) => self.guests.retain(|other| *other != device.node),
            (false, true) => self.guests.push_back(device.node.clone()),
            _ => {}
        }
        self.devices.put(device, guest);
        self.works(device);
    }

    /// A device may prove the credentials of its app.
    pub(super) fn works(&mut self, device: &Device) {
        let app = match self.apps.get_mut(&device.key.app) {
            Some(app) => app,
            None => self.apps.entry(device.key.app.clone()).or_default(),
        };
        app.works |= app.credentials.is_some_and(|credentials| device.has_worked(credentials));
    }

    fn forget(&mut self, node: &Node) {
        // Mostly the oldest: whoever names many would have us look through all of them each time.
        match self.devices.is_guest(node) {
            true if self.guests.front() == Some(node) => drop(self.guests.pop_front()),
            true => self.guests.retain(|other| other != node),
            false => {}
        }
        if let Some(seat) = self.devices.forget(node) {
            self.lanes.remove(&seat);
        }
    }

    /// As [`apply`](Self::apply), for what lives in memory only and so need not be kept.
    pub fn remember(&mut self, memory: Memory) {
        match memory {
            Memory::Drawn(limit, bucket, now) => match limit {
                Limit::Publishing(domain) => self.publishing.put(domain, bucket, now),
                Limit::RegisteringDomain(domain) => self.registering_domains.put(domain, bucket, now),
                Limit::RegisteringAccount(owner) => self.registering_accounts.put(owner, bucket, now),
                Limit::RingingDevice(node) => self.ringing_devices.put(node, bucket, now),
                Limit::RingingAccount(owner) => self.ringing_accounts.put(owner, bucket, now),
                Limit::Testing(account) => self.testing.put(account, bucket, now),
                Limit::Enabling(account) => self.enabling.put(account, bucket, now),
                Limit::RingingRegistration(key) => self.ringing_registrations.put(*key, bucket, now),
            },
            Memory::Begun { node, kind, lane } => self.open(&node, kind, lane),
            Memory::Moved { node, kind, lane } => self.move_on(&node, kind, lane),
            Memory::Joined { node, kind, waiter, latest } => {
                self.join(&node, kind, waiter.map(|waiter| *waiter), *latest)
            }
            Memory::Queued { node, kind, load, waiter } => self.queue(&node, kind, *load, waiter.map(|waiter| *waiter)),
            Memory::Promised { node, kind, lane, next } => self.promise(&node, kind, lane, next),
            Memory::HungUp(node) => self.hang_up(&node),
            Memory::Sent(node, at) => self.sent.note(&node, at, self.policy.min_interval),
            Memory::Spoke { app, at, failing, error } => {
                let app = self.apps.entry(app).or_default();
                self.under_way -= app.landed();
                app.last_verdict = Some(at);
                app.failing = failing;
                if error.is_some() {
                    app.last_error = error.map(|error| *error);
                }
            }
            Memory::Guest(device) => self.put(&device, true),
            Memory::GuestLeft(node) => self.forget(&node),
            Memory::Ended { node, kind } => self.end(&node, kind),
            Memory::Late { node, kind, taken } => self.expire(&node, kind, taken),
            Memory::LookedFor(taken) => self.looked_for(taken),
            Memory::Circuit(app, circuit) => {
                self.apps.entry(app).or_default().circuit = circuit.map(|circuit| *circuit)
            }
            Memory::Withdrawn(app, withdrawn) => self.apps.entry(app).or_default().withdrawn = withdrawn,
            Memory::Expires(app, at) => self.apps.entry(app).or_default().expires = Some(at),
            Memory::ExpirySaid(app, stage) => self.apps.entry(app).or_default().expiry_said = stage,
            Memory::Live(account, live) => self.lives.put(&account, &live, &self.policy),
            Memory::Host(host, change) => self.hosts.apply(&host, &change),
            Memory::Numbered(next) => self.next_number = next,
            Memory::ToWake(keys) => {
                let new = keys.into_iter().filter(|key| self.in_turn.insert(key.clone()));
                self.to_wake.extend(new);
            }
            Memory::ReadOnly(read_only) => self.read_only = read_only,
            Memory::Command(session) => self.commands.put(&session),
            Memory::CommandOver(number) => self.commands.end(number),
            Memory::Testing(trial) => self.trials.put(&trial),
            Memory::Tested(number) => self.trials.end(number),
            Memory::Reloading(waits) => {
                self.reload_wishes = waits.number;
                self.reloading.push(*waits);
            }
            Memory::ReloadTold(wishes) => self.reloading.retain(|waits| waits.number > wishes),
            Memory::Vitals(vitals) => self.vitals = *vitals,
            Memory::Policy(policy) => self.settle_on(&policy),
            Memory::Renewed(app, expires) => self.renew(&app, expires),
            Memory::Stream(up) => self.stream = up,
            Memory::Noted(line) => self.history.note(*line),
            Memory::Waking(count, next) => {
                for key in self.to_wake.drain(..count.min(self.to_wake.len())) {
                    self.in_turn.remove(&key);
                }
                self.next_waking = next;
            }
        }
    }
}
