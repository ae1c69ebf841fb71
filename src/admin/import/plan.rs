//! What is taken of all that was read, beside what is there already.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::report::{Place, Report, Skip, Skipped};
use super::{Kind, Taken};
use crate::domain::device::{Device, DeviceKey};
use crate::domain::ids::{Account, Domain, Node};
use crate::domain::registration::{Registration, RegistrationKey, Status};
use crate::domain::time::Timestamp;
use crate::flows::data::Change;
use crate::flows::policy::Policy;

/// What a store holds, as far as it matters for what is added.
#[derive(Debug, Default)]
pub struct Existing {
    /// When it was last enabled, or was lost; and whether it is there.
    registrations: HashMap<RegistrationKey, (Timestamp, bool)>,
    nodes: HashSet<Node>,
    keys: HashSet<DeviceKey>,
}

impl Existing {
    /// Notes what a store holds.
    pub fn note(&mut self, change: &Change) {
        match change {
            Change::Registration(registration) => {
                let (at, there) = match registration.status {
                    Status::Gone(gone) => (gone.at, false),
                    Status::Enabled | Status::Disabled { .. } => (registration.renewed, true),
                };
                self.registrations.insert(registration.key.clone(), (at, there));
            }
            Change::Device(device) => {
                self.nodes.insert(device.node.clone());
                self.keys.insert(device.key.clone());
            }
            _ => {}
        }
    }
}

/// What is to be written, and what is to be said.
#[derive(Debug, Default)]
pub struct Plan {
    /// What is to be written, all or nothing.
    pub changes: Vec<Change>,
    /// What came of it.
    pub report: Report,
}

/// Decides what is taken. What the store has stays unless it is older; of two of the same, the newer one counts; an
/// account keeps its newest up to `rules.max_devices`.
#[must_use]
pub fn plan(taken: Taken, existing: &Existing, policy: &Policy) -> Plan {
    let Taken { kind, registrations, devices, sources, skipped, warnings } = taken;
    let report = Report { skipped, warnings: warnings.into_iter().collect(), ..Report::default() };
    let mut plan = Plan { changes: Vec::new(), report };
    let registrations = plan.registrations(registrations, existing, policy);
    let devices = plan.devices(devices, existing, &registrations, &policy.own);
    plan.warn(&registrations, &devices, existing, policy);
    plan.count(kind, &sources, &registrations, &devices);
    plan.report.skipped.sort_by(|a, b| (&a.place, &a.whose).cmp(&(&b.place, &b.whose)));
    let registrations = registrations.into_iter().map(|(_, of)| Change::Registration(Box::new(of)));
    plan.changes.extend(registrations);
    plan.changes.extend(devices.into_iter().map(|(_, of)| Change::Device(Box::new(of))));
    plan
}

impl Plan {
    fn skip(&mut self, why: Skip, place: Place, whose: &str) {
        self.report.skipped.push(Skipped { why, place, whose: whose.to_owned() });
    }

    fn registrations(
        &mut self,
        mut registrations: Vec<(Place, Registration)>,
        existing: &Existing,
        policy: &Policy,
    ) -> Vec<(Place, Registration)> {
        // The newest first, so that whatever comes later is what has no place any more.
        registrations.sort_by_key(|(_, of)| Reverse(of.renewed));
        let mut counts: HashMap<Account, usize> = HashMap::new();
        for key in existing.registrations.iter().filter(|(_, (_, there))| *there).map(|(key, _)| key) {
            *counts.entry(key.account.clone()).or_default() += 1;
        }
        let mut seen: HashSet<RegistrationKey> = HashSet::new();
        let mut kept = Vec::with_capacity(registrations.len());
        for (place, registration) in registrations {
            let known = existing.registrations.get(&registration.key);
            let account = registration.key.account.clone();
            if !seen.insert(registration.key.clone()) {
                self.skip(Skip::Duplicate, place, account.as_str());
            } else if known.is_some_and(|(at, _)| *at >= registration.renewed) {
                self.skip(Skip::Known, place, account.as_str());
            } else if known.is_some_and(|(_, there)| *there) {
                kept.push((place, registration));
            } else {
                let count = counts.entry(account.clone()).or_default();
                if *count >= policy.rules.max_devices.max(1) {
                    self.skip(Skip::TooMany, place, account.as_str());
                } else {
                    *count += 1;
                    kept.push((place, registration));
                }
            }
        }
        kept.sort_by(|(_, a), (_, b)| a.key.cmp(&b.key));
        kept
    }

    fn devices(
        &mut self,
        devices: Vec<(Place, Device)>,
        existing: &Existing,
        registrations: &[(Place, Registration)],
        own: &Domain,
    ) -> Vec<(Place, Device)> {
        // Whose host has it as a registration of ours is its owner.
        let read = registrations.iter().map(|(_, of)| &of.key).chain(existing.registrations.keys());
        let owners: HashMap<&Node, &Account> =
            read.filter(|key| *key.service == *own.as_str()).map(|key| (&key.node, &key.account)).collect();
        let (mut nodes, mut keys) = (HashSet::new(), HashSet::new());
        let mut kept = Vec::with_capacity(devices.len());
        for (place, device) in devices {
            let whose = device.owner.domain();
            if existing.nodes.contains(&device.node) || existing.keys.contains(&device.key) {
                self.skip(Skip::Known, place, whose.as_str());
            } else if nodes.contains(&device.node) || keys.contains(&device.key) {
                self.skip(Skip::Duplicate, place, whose.as_str());
            } else {
                nodes.insert(device.node.clone());
                keys.insert(device.key.clone());
                let owner = owners.get(&device.node).filter(|owner| owner.domain() == whose);
                let owner = owner.map_or_else(|| device.owner.clone(), |owner| (*owner).clone());
                kept.push((place, Device { owner, ..device }));
            }
        }
        kept
    }

    fn warn(
        &mut self,
        registrations: &[(Place, Registration)],
        devices: &[(Place, Device)],
        existing: &Existing,
        policy: &Policy,
    ) {
        let strangers: BTreeSet<_> = registrations.iter().map(|(_, of)| of.key.account.domain()).collect();
        for domain in strangers.into_iter().filter(|domain| !policy.hosts.contains(domain)) {
            self.report.warnings.push(format!(
                "{domain} is in no [[hosts]] section: its accounts get no pushes from here before it is in one"
            ));
        }
        let closed: BTreeSet<_> = devices.iter().flat_map(|(_, of)| of.permitted.iter()).collect();
        for domain in closed.into_iter().filter(|domain| !policy.register.allows(domain)) {
            self.report.warnings.push(format!(
                "register.allow_domains leaves out {domain}: its devices get pushes, but their apps cannot register again"
            ));
        }
        let nodes: HashSet<&Node> = devices.iter().map(|(_, of)| &of.node).chain(&existing.nodes).collect();
        let ours = |of: &&(Place, Registration)| *of.1.key.service == *policy.own.as_str();
        let lost = registrations.iter().filter(ours).filter(|(_, of)| !nodes.contains(&of.key.node)).count();
        if lost > 0 {
            self.report.warnings.push(format!(
                "{lost} registrations are with {}, which is us, for devices that are not registered here",
                policy.own
            ));
        }
    }

    fn count(
        &mut self,
        kind: Kind,
        sources: &[Arc<str>],
        registrations: &[(Place, Registration)],
        devices: &[(Place, Device)],
    ) {
        for source in sources {
            let of_source: Vec<_> = registrations.iter().filter(|(place, _)| place.source == *source).collect();
            let accounts: BTreeSet<_> = of_source.iter().map(|(_, of)| &of.key.account).collect();
            let devices = devices.iter().filter(|(place, _)| place.source == *source).count();
            if kind == Kind::P2 {
                self.report.devices.insert(source.clone(), devices);
            } else {
                self.report.registrations.insert(source.clone(), (of_source.len(), accounts.len()));
            }
        }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
