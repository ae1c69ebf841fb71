//! All accounts that something is going on with, and when something is to be done about them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::live::Live;
use super::policy::Policy;
use crate::domain::ids::{Account, Domain};
use crate::domain::session::Standing;
use crate::domain::time::Moment;

/// Accounts that something is going on with.
#[derive(Debug, Default)]
pub struct Lives {
    all: HashMap<Account, (Arc<Live>, Option<Moment>)>,
    calendar: BTreeSet<(Moment, Account)>,
    nobody: Arc<Live>,
    /// Of all: kept, not counted, for it is asked for with every look at the metrics.
    sessions: Sessions,
}

/// How many sessions there are.
#[derive(Clone, Copy, Debug, Default)]
struct Sessions {
    connected: usize,
    hibernated: usize,
}

impl Sessions {
    fn of(live: &Live) -> Self {
        let is_hibernated = |state| matches!(state, Standing::Hibernated);
        let hibernated = live.sessions.iter().filter(|session| is_hibernated(session.report.state)).count();
        Self { connected: live.sessions.len() - hibernated, hibernated }
    }
}

impl Lives {
    /// What is going on with an account.
    #[must_use]
    pub fn of(&self, account: &Account) -> &Arc<Live> {
        self.all.get(account).map_or(&self.nobody, |(live, _)| live)
    }

    /// All of a host.
    pub fn of_host(&self, host: &Domain) -> impl Iterator<Item = (&Account, &Live)> {
        let all = self.all.iter().filter(move |(account, _)| account.is_of(host));
        all.map(|(account, (live, _))| (account, &**live))
    }

    /// How many sessions there are that are connected, and how many that hibernate.
    #[must_use]
    pub const fn sessions(&self) -> (usize, usize) {
        (self.sessions.connected, self.sessions.hibernated)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&Account, &Live)> {
        self.all.iter().map(|(account, (live, _))| (account, &**live))
    }

    /// With whom something is to be done by now.
    pub fn due(&self, now: Moment) -> impl Iterator<Item = &Account> {
        self.calendar.iter().take_while(move |(at, _)| *at <= now).map(|(_, account)| account)
    }

    /// When something is to be done next.
    #[must_use]
    pub fn next_due(&self) -> Option<Moment> {
        self.calendar.first().map(|(at, _)| *at)
    }

    /// Nothing is known any more of the accounts of a host.
    pub(super) fn forget_host(&mut self, host: &Domain) {
        let Sessions { connected, hibernated } = &mut self.sessions;
        self.all.retain(|account, (live, _)| {
            let forgotten = account.is_of(host);
            if forgotten {
                let its = Sessions::of(live);
                *connected -= its.connected;
                *hibernated -= its.hibernated;
            }
            !forgotten
        });
        self.calendar.retain(|(_, account)| !account.is_of(host));
    }

    /// Other settings hold: when something is to be done is reckoned anew.
    pub(super) fn reckon(&mut self, policy: &Policy) {
        self.calendar.clear();
        for (account, (live, next)) in &mut self.all {
            *next = live.next(policy);
            self.calendar.extend(next.map(|next| (next, account.clone())));
        }
    }

    pub(super) fn put(&mut self, account: &Account, live: &Arc<Live>, policy: &Policy) {
        let next = live.next(policy);
        let known = if live.is_empty() {
            self.all.remove(account)
        } else {
            self.all.insert(account.clone(), (live.clone(), next))
        };
        let (old, new) = (known.as_ref().map(|(old, _)| Sessions::of(old)).unwrap_or_default(), Sessions::of(live));
        let Sessions { connected, hibernated } = &mut self.sessions;
        *connected = *connected + new.connected - old.connected;
        *hibernated = *hibernated + new.hibernated - old.hibernated;
        if let Some(before) = known.and_then(|(_, before)| before) {
            self.calendar.remove(&(before, account.clone()));
        }
        if let Some(next) = next {
            self.calendar.insert((next, account.clone()));
        }
    }
}
