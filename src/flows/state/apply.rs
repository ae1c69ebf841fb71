//! How the state changes.

use super::{Slot, State};
use crate::domain::device::{Access, Device};
use crate::domain::ids::{Account, Node};
use crate::flows::data::Change;
use crate::flows::memory::{Limit, Memory};

impl State {
    /// Carries out a change: the only way to alter the state, when loading as when running.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Device(device) => self.put(device, false),
            Change::Forget(node) => self.forget(node),
            Change::Fact(fact) => {
                if let Some(slot) = self.devices.get_mut(&fact.node) {
                    slot.device.history.note(fact);
                    if slot.device.history.last_accepted.is_some() {
                        self.unproven.remove(&(slot.device.renewed, fact.node.clone()));
                    }
                    let app = self.apps.entry(slot.device.key.app.clone()).or_default();
                    app.works |= app.credentials.is_some_and(|credentials| slot.device.has_worked(credentials));
                }
            }
            Change::Credentials(name, credentials) => {
                // Whatever worked before they changed proves nothing; when loading, a device may prove it already.
                let worked = |slot: &Slot| slot.device.key.app == *name && slot.device.has_worked(*credentials);
                let works = self.devices.values().any(worked);
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
            Change::Memory(memory) => self.apply_memory(memory),
        }
    }

    fn put(&mut self, device: &Device, guest: bool) {
        if let Some(slot) = self.devices.get_mut(&device.node) {
            if let Some(gone) = slot.device.gone {
                self.gone.remove(&(gone.at, device.node.clone()));
            }
            self.unproven.remove(&(slot.device.renewed, device.node.clone()));
            let moved = slot.device.owner != device.owner && device.access != Access::Anyone;
            let former = std::mem::replace(&mut slot.device, device.clone()).owner;
            if slot.guest && !guest {
                self.guests.retain(|other| *other != device.node);
            }
            slot.guest = guest;
            if moved {
                self.disown(&former, &device.node);
                self.by_owner.entry(device.owner.clone()).or_default().push(device.node.clone());
            }
        } else {
            self.by_key.insert(device.key.clone(), device.node.clone());
            // What nobody registered is nobody's.
            if device.access != Access::Anyone {
                self.by_owner.entry(device.owner.clone()).or_default().push(device.node.clone());
            }
            if guest {
                self.guests.push_back(device.node.clone());
            }
            let slot = Slot { device: device.clone(), guest, messages: None, calls: None };
            self.devices.insert(device.node.clone(), slot);
        }
        if device.gone.is_none() && device.history.last_accepted.is_none() && !guest {
            self.unproven.insert((device.renewed, device.node.clone()));
        }
        if let Some(gone) = device.gone {
            self.gone.insert((gone.at, device.node.clone()));
        }
        let app = self.apps.entry(device.key.app.clone()).or_default();
        app.works |= app.credentials.is_some_and(|credentials| device.has_worked(credentials));
    }

    fn forget(&mut self, node: &Node) {
        let Some(slot) = self.devices.remove(node) else { return };
        self.by_key.remove(&slot.device.key);
        self.unproven.remove(&(slot.device.renewed, node.clone()));
        // Mostly the oldest: whoever names many would have us look through all of them each time.
        if slot.guest && self.guests.front() == Some(node) {
            self.guests.pop_front();
        } else if slot.guest {
            self.guests.retain(|other| other != node);
        }
        if let Some(gone) = slot.device.gone {
            self.gone.remove(&(gone.at, node.clone()));
        }
        self.disown(&slot.device.owner, node);
    }

    fn disown(&mut self, owner: &Account, node: &Node) {
        if let Some(nodes) = self.by_owner.get_mut(owner) {
            nodes.retain(|other| other != node);
            if nodes.is_empty() {
                self.by_owner.remove(owner);
            }
        }
    }

    fn apply_memory(&mut self, memory: &Memory) {
        match memory {
            Memory::Drawn(limit, bucket, now) => match limit {
                Limit::Publishing(domain) => self.publishing.put(domain.clone(), *bucket, *now),
                Limit::RegisteringDomain(domain) => self.registering_domains.put(domain.clone(), *bucket, *now),
                Limit::RegisteringAccount(owner) => self.registering_accounts.put(owner.clone(), *bucket, *now),
                Limit::RingingDevice(node) => self.ringing_devices.put(node.clone(), *bucket, *now),
                Limit::RingingAccount(owner) => self.ringing_accounts.put(owner.clone(), *bucket, *now),
                Limit::Testing(account) => self.testing.put(account.clone(), *bucket, *now),
                Limit::Enabling(account) => self.enabling.put(account.clone(), *bucket, *now),
                Limit::RingingRegistration(key) => self.ringing_registrations.put(key.clone(), *bucket, *now),
            },
            Memory::Begun { node, kind, lane } => self.open(node, *kind, lane),
            Memory::Moved { node, kind, lane } => self.move_on(node, *kind, lane),
            Memory::Joined { node, kind, waiter, latest } => {
                self.join(node, *kind, waiter.as_ref(), latest);
            }
            Memory::Queued { node, kind, load, waiter } => self.queue(node, *kind, load, waiter.as_ref()),
            Memory::Promised { node, kind, lane, next } => self.promise(node, *kind, *lane, *next),
            Memory::HungUp(node) => self.hang_up(node),
            Memory::Sent(node, at) => self.sent.note(node, *at, self.policy.min_interval),
            Memory::Spoke { app, at, failing, error } => {
                let app = self.apps.entry(app.clone()).or_default();
                app.under_way = app.under_way.saturating_sub(1);
                app.last_verdict = Some(*at);
                app.failing = *failing;
                if error.is_some() {
                    app.last_error.clone_from(error);
                }
            }
            Memory::Guest(device) => self.put(device, true),
            Memory::GuestLeft(node) => self.forget(node),
            Memory::Ended { node, kind } => self.end(node, *kind),
            Memory::Late { node, kind, taken } => self.expire(node, *kind, *taken),
            Memory::Circuit(app, circuit) => {
                self.apps.entry(app.clone()).or_default().circuit.clone_from(circuit);
            }
            Memory::Withdrawn(app, withdrawn) => {
                self.apps.entry(app.clone()).or_default().withdrawn = *withdrawn;
            }
            Memory::Expires(app, at) => self.apps.entry(app.clone()).or_default().expires = Some(*at),
            Memory::ExpirySaid(app, stage) => self.apps.entry(app.clone()).or_default().expiry_said = *stage,
            Memory::Live(account, live) => self.lives.put(account, live, &self.policy),
            Memory::Host(host, change) => self.hosts.apply(host, change),
            Memory::Numbered(next) => self.next_number = *next,
            Memory::ToWake(keys) => {
                let new = keys.iter().filter(|key| self.in_turn.insert((*key).clone()));
                self.to_wake.extend(new.cloned());
            }
            Memory::ReadOnly(read_only) => self.read_only = *read_only,
            Memory::Command(session) => self.commands.put(session),
            Memory::CommandOver(number) => self.commands.end(*number),
            Memory::Testing(trial) => self.trials.put(trial),
            Memory::Tested(number) => self.trials.end(*number),
            Memory::Reloading(waits) => {
                self.reload_wishes = waits.number;
                self.reloading.push((**waits).clone());
            }
            Memory::ReloadTold(wishes) => self.reloading.retain(|waits| waits.number > *wishes),
            Memory::Vitals(vitals) => self.vitals.clone_from(vitals),
            Memory::Policy(policy) => self.settle_on(policy),
            Memory::Renewed(app, expires) => self.renew(app, *expires),
            Memory::Stream(up) => self.stream = *up,
            Memory::Noted(line) => self.history.note(line),
            Memory::Waking(count, next) => {
                for key in self.to_wake.drain(..(*count).min(self.to_wake.len())) {
                    self.in_turn.remove(&key);
                }
                self.next_waking = *next;
            }
        }
    }
}
