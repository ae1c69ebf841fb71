//! Whatever happens, in any order: events and answers that come late, twice or never, streams that break, registrations
//! that come and go while pushes are on their way. What must hold after each step and at the end is in `check` and
//! `calm`.

use std::collections::{HashMap, HashSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::rig::HOST;
use super::storm::{ACCOUNTS, Storm, act, settings};
use crate::domain::ids::{Account, Domain};
use crate::domain::outcome::Outcome;
use crate::domain::session::Standing;
use crate::domain::time::Moment;
use crate::flows::data::{Change, Input};
use crate::flows::hosts::{Asked, Host, HostMemory, Link};
use crate::flows::live::MOST_FLIGHTS;
use crate::flows::memory::Memory;
use crate::flows::world::Happened;

impl Storm {
    fn host(&self) -> &Host {
        self.rig.world.state.hosts.get(&Domain::new(HOST)).unwrap()
    }

    /// Time passes. Hours of it only while the host is linked, and without asking it every five seconds.
    pub(super) fn pass(&mut self, millis: u64) {
        const LONG: u64 = 100_000;
        if millis > LONG && self.host().is_linked() {
            self.check_again(None);
            self.pass_at_most(millis);
            let now = self.rig.world.now().steady;
            self.check_again(Some(now));
        } else {
            self.pass_at_most(millis.min(LONG));
        }
    }

    /// When a linked host is asked next whether it still is.
    fn check_again(&mut self, due: Option<Moment>) {
        if self.host().is_linked() {
            let link = Link { due, ..self.host().link.clone() };
            let change = HostMemory::Link(Box::new(link));
            self.rig.world.state.apply(&Change::Memory(Memory::Host(Domain::new(HOST), change)));
        }
    }

    /// As the driver lets it pass; each look at it must get on.
    fn pass_at_most(&mut self, millis: u64) {
        let end = self.rig.world.uptime + std::time::Duration::from_millis(millis);
        let mut still = 0;
        loop {
            let next = self.rig.world.state.next_deadline(self.rig.world.now()).map(|next| next.uptime());
            let next = next.filter(|next| *next <= end);
            let at = next.unwrap_or(end).max(self.rig.world.uptime);
            still = if at == self.rig.world.uptime { still + 1 } else { 0 };
            assert!(still < 50, "it does not get on: {:?}", self.rig.world.state);
            self.rig.world.uptime = at;
            let happened = self.rig.world.take(Input::Tick);
            self.saw(happened, 0);
            if next.is_none() {
                return;
            }
        }
    }

    pub(super) fn saw(&mut self, happened: Happened, answers: usize) {
        assert_eq!(happened.answers.len(), answers, "{:?}", happened.answers);
        for (ticket, _) in happened.answers {
            assert!(self.tickets.insert(ticket), "answered twice");
        }
        self.pushes.extend(happened.pushes);
        self.check();
    }

    /// What holds after each step.
    pub(super) fn check(&mut self) {
        let state = &self.rig.world.state;
        let host = state.hosts.get(&Domain::new(HOST)).unwrap();
        let mut relayed = 0;
        let mut flights = HashMap::new();
        for account in ACCOUNTS.map(Account::new) {
            let live = state.lives.of(&account);
            for pushing in &live.pushing {
                let registration = state.registrations.get(&pushing.key);
                assert!(pushing.flights.len() <= MOST_FLIGHTS);
                let mut here = HashSet::new();
                for flight in &pushing.flights {
                    relayed += usize::from(flight.relayed);
                    // Nothing is pushed twice, unless it was refused in between.
                    for key in &flight.burst.keys {
                        assert!(here.insert(*key), "{key:?} is on its way twice: {pushing:?}");
                        let new = !self.flights.contains_key(&flight.id);
                        let known = registration.is_some_and(|known| known.record.keys.contains(*key));
                        assert!(!(new && known), "{key:?} goes again");
                    }
                    flights.insert(flight.id, (pushing.key.clone(), flight.burst.keys.clone()));
                }
                // Whoever waits will be called.
                if pushing.waiting.is_some() && *pushing.key.service != *state.policy.own.as_str() {
                    assert!(host.relays.knows(&pushing.key), "{pushing:?} waits for nothing");
                }
                let there = registration.is_some_and(crate::domain::registration::Registration::is_there);
                assert!(there || (pushing.collector.is_empty() && pushing.waiting.is_none()), "{pushing:?}");
            }
            // What hibernates has a deadline, or was told to end.
            for session in live.sessions.iter().filter(|session| session.report.state == Standing::Hibernated) {
                let Some(hibernation) = &session.hibernation else { panic!("{session:?}") };
                assert!(hibernation.ended || session.due(&state.policy).is_some(), "{session:?}");
            }
            let mut resources = HashSet::new();
            for session in &live.sessions {
                assert!(resources.insert(session.report.resource.clone()), "{live:?}");
            }
        }
        assert_eq!(host.relays.under_way(), relayed, "a relay's place leaks");
        let sessions = || state.lives.iter().flat_map(|(_, live)| &live.sessions);
        let hibernated = sessions().filter(|session| session.report.state == Standing::Hibernated).count();
        assert_eq!(state.lives.sessions(), (sessions().count() - hibernated, hibernated));
        self.flights = flights;
    }

    /// All that was asked is answered, and time passes: nothing is left.
    fn calm(&mut self) {
        self.link(true);
        for round in 0..200 {
            while let Some(order) = self.rig.world.orders.pop() {
                self.answer(&order, 0);
            }
            if self.host().nodes.values().any(|node| node.snapshot.is_some()) {
                self.snapshot(true);
            }
            while let Some(push) = self.pushes.pop() {
                let happened = self.rig.world.verdict(&push, Outcome::Accepted);
                self.saw(happened, 0);
            }
            self.pass(if round < 100 { 1000 } else { 4000 });
        }
        let state = &self.rig.world.state;
        assert!(self.host().is_linked(), "{:?}", self.host().link);
        assert_eq!((state.waiting(), state.under_way()), (0, 0));
        assert_eq!((self.host().relays.under_way(), self.host().relays.waiting()), (0, 0));
        let relay = self.host().orders.values().find(|asked| matches!(asked, Asked::Relay(_)));
        assert_eq!(relay, None, "still waits for an answer");
        for account in ACCOUNTS.map(Account::new) {
            let live = state.lives.of(&account);
            for pushing in &live.pushing {
                let idle = pushing.flights.is_empty() && pushing.waiting.is_none() && pushing.collector.is_empty();
                assert!(idle && pushing.rung.is_empty(), "{pushing:?}");
                let bound = pushing.bound.as_ref().is_none_or(|sid| live.session(sid).is_some());
                assert!(bound, "bound to nothing: {pushing:?}");
            }
            // It knows exactly the sessions that there are.
            let known: HashSet<&str> = live.sessions.iter().map(|session| session.report.sid.as_str()).collect();
            let there = self.sessions.iter().filter(|(who, _)| ACCOUNTS[who.0] == account.as_str());
            let there: HashSet<&str> = there.map(|(_, model)| model.sid.as_str()).collect();
            assert_eq!(known, there);
            let hibernated = live.sessions.iter().filter(|session| session.report.state == Standing::Hibernated);
            assert!(hibernated.count() <= state.policy.sessions.max_hibernated, "{live:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_happens_nothing_is_lost_stuck_or_pushed_twice(
        settings in settings(),
        acts in vec(act(), 1..200),
    ) {
        let mut storm = Storm::new(settings);
        for act in acts {
            storm.take(act);
        }
        storm.calm();
    }
}
