//! All registrations: the durable part of what the rules engine knows.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::status::Registered;
use crate::domain::ids::{Account, Domain};
use crate::domain::registration::{Fate, Record, Registration, RegistrationKey};
use crate::domain::time::Timestamp;

/// Registrations by account, those that are gone included, and what time will do to them.
#[derive(Debug)]
pub struct Registrations {
    by_account: HashMap<Account, Vec<Registration>>,
    /// When time changes something, and for which.
    calendar: BTreeSet<(Timestamp, RegistrationKey)>,
    ttl: Option<Duration>,
    counts: Registered,
}

impl Registrations {
    pub(super) fn new(ttl: Option<Duration>) -> Self {
        Self { by_account: HashMap::new(), calendar: BTreeSet::new(), ttl, counts: Registered::default() }
    }

    /// All of an account.
    #[must_use]
    pub fn of(&self, account: &Account) -> &[Registration] {
        self.by_account.get(account).map_or(&[], Vec::as_slice)
    }

    /// The one with this key.
    #[must_use]
    pub fn get(&self, key: &RegistrationKey) -> Option<&Registration> {
        self.of(&key.account).iter().find(|registration| registration.key == *key)
    }

    /// All accounts of a host that have registrations which are there.
    pub fn accounts_of(&self, host: &Domain) -> impl Iterator<Item = &Account> {
        let there = |registrations: &[Registration]| registrations.iter().any(Registration::is_there);
        let all = self.by_account.iter().filter(move |(account, all)| account.is_of(host) && there(all));
        all.map(|(account, _)| account)
    }

    /// How many there are that are enabled, and how many in all.
    #[must_use]
    pub const fn count(&self) -> (usize, usize) {
        let Registered { enabled, disabled, gone } = self.counts;
        (enabled, enabled + disabled + gone)
    }

    /// How many there are, by what they are.
    #[must_use]
    pub const fn counts(&self) -> Registered {
        self.counts
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Registration> {
        self.by_account.values().flatten()
    }

    /// What time has brought by now, the earliest first.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = (&RegistrationKey, Fate)> {
        let due = self.calendar.iter().take_while(move |(at, _)| *at <= now);
        due.filter_map(|(_, key)| Some((key, self.get(key)?.fate(self.ttl)?.1)))
    }

    /// When time will bring something next.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.calendar.first().map(|(at, _)| *at)
    }

    pub(super) fn put(&mut self, registration: &Registration) {
        *self.counts.of(&registration.status) += 1;
        let all = self.by_account.entry(registration.key.account.clone()).or_default();
        if let Some(known) = all.iter_mut().find(|known| known.key == registration.key) {
            forget_date(&mut self.calendar, known, self.ttl);
            *self.counts.of(&known.status) -= 1;
            let record = std::mem::take(&mut known.record);
            *known = Registration { record, ..registration.clone() };
            note_date(&mut self.calendar, known, self.ttl);
        } else {
            note_date(&mut self.calendar, registration, self.ttl);
            all.push(registration.clone());
        }
    }

    /// From now on they live for so long without being enabled again, if not for ever.
    pub(super) fn live_for(&mut self, ttl: Option<Duration>) {
        self.ttl = ttl;
        self.calendar.clear();
        for of in self.by_account.values().flatten() {
            note_date(&mut self.calendar, of, ttl);
        }
    }

    pub(super) fn record(&mut self, key: &RegistrationKey, record: &Record) {
        let Some(all) = self.by_account.get_mut(&key.account) else { return };
        if let Some(known) = all.iter_mut().find(|known| known.key == *key) {
            forget_date(&mut self.calendar, known, self.ttl);
            known.record = record.clone();
            note_date(&mut self.calendar, known, self.ttl);
        }
    }

    pub(super) fn forget(&mut self, key: &RegistrationKey) {
        let Some(all) = self.by_account.get_mut(&key.account) else { return };
        all.retain(|known| {
            if known.key == *key {
                *self.counts.of(&known.status) -= 1;
                forget_date(&mut self.calendar, known, self.ttl);
            }
            known.key != *key
        });
        if all.is_empty() {
            self.by_account.remove(&key.account);
        }
    }
}

fn note_date(calendar: &mut BTreeSet<(Timestamp, RegistrationKey)>, of: &Registration, ttl: Option<Duration>) {
    calendar.extend(of.fate(ttl).map(|(at, _)| (at, of.key.clone())));
}

fn forget_date(calendar: &mut BTreeSet<(Timestamp, RegistrationKey)>, of: &Registration, ttl: Option<Duration>) {
    if let Some((at, _)) = of.fate(ttl) {
        calendar.remove(&(at, of.key.clone()));
    }
}
