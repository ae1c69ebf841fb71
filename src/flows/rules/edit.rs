//! One account under the pen: what a step changes of it, and what that leads to.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::ids::{Account, Domain};
use crate::domain::registration::{Registration, RegistrationKey};
use crate::domain::session::Sid;
use crate::domain::time::Now;
use crate::flows::data::{About, Change, Decided, Effect, Inner, Line, Notice, Place, Registered, Step, Trail};
use crate::flows::dice::Dice;
use crate::flows::hosts::{Asked, Host, HostMemory};
use crate::flows::live::{Live, Session};
use crate::flows::memory::{Limit, Memory};
use crate::flows::policy::{Policy, Rules};
use crate::flows::publish::RINGING;
use crate::flows::signals::{Order, OrderId, OrderKind};
use crate::flows::state::State;

/// An account, its registrations as they were at the start of the step, and all that the step does.
pub(super) struct Edit<'a> {
    pub(super) state: &'a State,
    pub(super) account: Account,
    pub(super) now: Now,
    pub(super) step: Step,
    /// The services that something is relayed to in this step.
    pub(super) relayed_to: Vec<Arc<str>>,
    dice: &'a mut Dice,
    live: Arc<Live>,
    touched: bool,
    next: u64,
}

impl<'a> Edit<'a> {
    pub(super) fn new(state: &'a State, account: &Account, now: Now, dice: &'a mut Dice) -> Self {
        Self {
            state,
            account: account.clone(),
            now,
            step: Step::default(),
            relayed_to: Vec::new(),
            dice,
            live: state.lives.of(account).clone(),
            touched: false,
            next: state.next_number(),
        }
    }

    /// The step that carries out all of it.
    pub(super) fn finish(mut self) -> Step {
        if self.touched {
            self.step.remember(Memory::Live(self.account, self.live));
        }
        if self.next != self.state.next_number() {
            self.step.remember(Memory::Numbered(self.next));
        }
        self.step
    }

    pub(super) const fn policy(&self) -> &'a Policy {
        &self.state.policy
    }

    pub(super) const fn rules(&self) -> &'a Rules {
        &self.state.policy.rules
    }

    pub(super) fn live(&self) -> &Live {
        &self.live
    }

    /// What is going on with the account, to be changed.
    pub(super) fn live_mut(&mut self) -> &mut Live {
        self.touched = true;
        Arc::make_mut(&mut self.live)
    }

    /// All registrations of the account.
    pub(super) fn registrations(&self) -> &'a [Registration] {
        self.state.registrations.of(&self.account)
    }

    /// Those that pushes go to.
    pub(super) fn enabled(&self) -> impl Iterator<Item = &'a Registration> + use<'a> {
        self.registrations().iter().filter(|registration| registration.is_enabled())
    }

    /// Those of them that are bound to a session.
    pub(super) fn bound_to(&self, sid: &Sid) -> Vec<&'a Registration> {
        let bound = |registration: &&Registration| {
            let pushing = self.live.pushing(&registration.key);
            pushing.is_some_and(|pushing| pushing.bound.as_ref() == Some(sid))
        };
        self.enabled().filter(bound).collect()
    }

    pub(super) fn domain(&self) -> Domain {
        self.account.domain()
    }

    /// The account's host, if we have its bridge's trust.
    pub(super) fn host(&self) -> Option<&'a Host> {
        self.state.hosts.get(&self.domain())
    }

    /// Bytes that nobody drew before.
    pub(super) fn nonce(&mut self) -> [u8; 12] {
        self.dice.nonce()
    }

    /// A number that nothing else has.
    pub(super) const fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    /// Has the account's host do something.
    pub(super) fn order(&mut self, what: OrderKind) {
        let number = self.number();
        self.order_as(number, what);
    }

    /// The same, under a number that was given out before.
    pub(super) fn order_as(&mut self, number: u64, what: OrderKind) {
        let hears = match what {
            OrderKind::Watch { .. } | OrderKind::Unwatch { .. } => Host::takes_lists,
            _ => Host::is_linked,
        };
        // Nobody would hear it; when the link is back, all is looked at anew.
        if !self.host().is_some_and(hears) {
            return;
        }
        let (id, host) = (OrderId(number), self.domain());
        self.remember(HostMemory::Asked(id, Asked::of(&what)));
        self.step.effects.push(Effect::Order(Box::new(Order { id, host, what })));
    }

    /// Sets the window of a hibernated session.
    pub(super) fn set_window(&mut self, sid: &Sid, window: Duration) {
        let Some(Session { report, .. }) = self.live.session(sid) else { return };
        let what = OrderKind::Timeout {
            account: self.account.clone(),
            resource: report.resource.clone(),
            sid: sid.clone(),
            since: report.since.clone(),
            window,
        };
        self.order(what);
    }

    /// Whether one more call may ring there by now; counts it if so.
    pub(super) fn may_ring(&mut self, registration: &RegistrationKey) -> bool {
        let drawn = |change: &Change| match change {
            Change::Memory(Memory::Drawn(Limit::RingingRegistration(key), bucket, _)) if **key == *registration => {
                Some(*bucket)
            }
            _ => None,
        };
        let now = self.now.steady;
        let left = match self.step.changes.iter().rev().find_map(drawn) {
            Some(bucket) => bucket.less_one(RINGING, now),
            None => self.state.ringing_registrations.less_one(registration, RINGING, now),
        };
        if let Some(bucket) = left {
            self.step.remember(Memory::Drawn(Limit::RingingRegistration(Box::new(registration.clone())), bucket, now));
        }
        left.is_some()
    }

    /// Something changes about the account's host.
    pub(super) fn remember(&mut self, change: HostMemory) {
        let host = self.domain();
        self.step.remember(Memory::Host(host, change));
    }

    pub(super) fn then(&mut self, inner: Inner) {
        self.step.then.push(inner);
    }

    pub(super) fn change(&mut self, change: Change) {
        self.step.changes.push(change);
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        self.step.effects.push(Effect::Notice(notice));
    }

    /// Notes a decision about a registration.
    pub(super) fn decided(&mut self, registration: &RegistrationKey, what: Decided) {
        self.note(Place::of(registration), None, None, what);
    }

    /// Notes what was decided about a registration because of this.
    pub(super) fn decided_for(&mut self, registration: &RegistrationKey, about: About, what: Decided) {
        self.note(Place::of(registration), Some(about), None, what);
    }

    /// Notes what became of a push for a registration, by its number.
    pub(super) fn decided_on(&mut self, registration: &RegistrationKey, push: u64, what: Decided) {
        self.note(Place::of(registration), None, Some(Trail::Rules(push)), what);
    }

    /// Notes a decision about a session.
    pub(super) fn decided_of(&mut self, sid: &Sid, what: Decided) {
        let resource = self.live.session(sid).map(|session| session.report.resource.clone());
        self.note(resource.map_or(Place::Account, Place::Session), None, None, what);
    }

    /// Something became of a registration.
    pub(super) fn became(&mut self, registration: &RegistrationKey, what: Registered) {
        self.notice(Notice::Registration { key: registration.clone(), what });
        self.decided(registration, Decided::Registration(what));
    }

    fn note(&mut self, place: Place, about: Option<About>, trail: Option<Trail>, what: Decided) {
        let line = Line { at: self.now.wall, account: self.account.clone(), place, about, trail, what };
        self.step.remember(Memory::Noted(Box::new(line)));
    }
}
