//! The loop: takes one input at a time, lets the flow decide, makes the changes durable, and only then lets the
//! effects happen.
//!
//! Inputs, in the order in which they are served:
//! 1. reports of the disk: they release effects that wait for a commit;
//! 2. verdicts of vendors: they free slots and answer those who wait;
//! 3. requests over HTTP, few as they are, unless the disk asks for a pause, and those from the link, unless the disk or
//!    a busy vendor does;
//! 4. time.
//!
//! Nothing here decides about pushes or devices; that is `flows`.

mod ports;
mod pulse;
mod tell;

use std::collections::BTreeMap;
use std::time::Duration;

use tracing::{debug, error, info};

use crate::clock::Clock;
use crate::domain::ids::AppName;
use crate::domain::push::Push;
use crate::domain::refusal::{Later, Refusal};
use crate::domain::registration::Said;
use crate::domain::time::{Moment, Now};
use crate::flows;
use crate::flows::data::{
    Answer, Change, Decided, Door, Effect, Inner, Input, Notice, Outgoing, Step, Ticket, Waiter, Weight,
};
use crate::flows::dice::Dice;
use crate::flows::memory::Memory;
use crate::flows::state::State;
pub use ports::{AnswerHttp, Deliver, Disk, DiskReport, Offer, Ports, Reload, Unwatched, Watch};
pub use pulse::{Beats, Pulse};

/// Facts ride in the next commit, or in one of their own after this long.
const FACTS_WITHIN: Duration = Duration::from_secs(1);

/// So many facts make a commit of their own, however young they are.
const FACTS_AT_ONCE: usize = 4096;

/// How often a store that failed is tried again.
const TRIAL_EVERY: Duration = Duration::from_secs(5);

/// Deadlines this close to each other are served together.
const GRAIN: Duration = Duration::from_millis(5);

/// At least this often time is looked at, for what goes by the wall clock.
const IDLE_TICK: Duration = Duration::from_secs(600);

/// While more effects than this wait for the disk, nothing is read.
const HELD: usize = 10_000;

/// The next turn of the loop will likely send as much as the last one, but room is made for so many only: what grows on
/// the way is moved each time.
const AS_MANY: usize = 256;

/// While a vendor is busy, how long until we look again whether it still is.
const PAUSE: Duration = Duration::from_millis(20);

/// The driver.
#[derive(Debug)]
pub struct Driver {
    state: State,
    clock: Clock,
    dice: Dice,
    ports: Ports,
    disk: DiskQueue,
    /// What this turn of the loop sends.
    outgoing: Vec<Outgoing>,
    deliveries: BTreeMap<AppName, Vec<Push>>,
    /// Whether what is under way is not waited for any more.
    left: bool,
    /// What time it is for the input that is decided. Read anew for each; the wall's once a turn only.
    now: Now,
    /// The memory of the latest step, for the next one.
    spare: Step,
    pulse: Pulse,
    beats: Beats,
}

/// What waits for the disk. One commit is under way at a time; what comes meanwhile makes up the next.
#[derive(Debug, Default)]
struct DiskQueue {
    /// Whether an order is under way.
    busy: bool,
    /// Effects that happen when it is done.
    under_way: Vec<Effect>,
    /// Changes for the next commit, in order.
    changes: Vec<Change>,
    /// Effects that happen after the next commit.
    effects: Vec<Effect>,
    /// Whether the next commit holds a promise, and so goes as soon as it can.
    promised: bool,
    /// When the next commit goes at the latest.
    due: Option<Moment>,
    /// The store takes no writes: when it is tried again.
    trial: Option<Moment>,
}

impl Driver {
    /// A driver for a state that was loaded.
    #[must_use]
    pub fn new(state: State, clock: Clock, dice: Dice, ports: Ports) -> Self {
        let disk = DiskQueue::default();
        let (pulse, beats) = Pulse::new();
        let (outgoing, deliveries) = (Vec::new(), BTreeMap::new());
        let now = clock.now();
        Self {
            state,
            clock,
            dice,
            ports,
            disk,
            outgoing,
            deliveries,
            left: false,
            now,
            spare: Step::default(),
            pulse,
            beats,
        }
    }

    /// Its pulse: to be had before it runs.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Runs until `stop` closes or the link ends; then stops reading, waits until nobody waits for an answer any
    /// more, and commits what there is. Returns early if the store or the gateways end.
    ///
    /// # Errors
    /// What ended that should not have.
    pub async fn run(mut self) -> Result<(), Ended> {
        let mut requests = Vec::new();
        let mut verdicts = Vec::new();
        let mut stopping = false;
        let mut strangers = true;
        // When it is stopping: how long what is under way may still take.
        let mut until: Option<Moment> = None;
        let alarm = tokio::time::sleep_until(self.clock.instant(self.now.steady));
        tokio::pin!(alarm);
        while !(stopping && self.is_idle()) {
            let now = self.clock.now();
            let pressed = self.state.is_pressed(now.steady);
            let held = self.disk.effects.len() >= HELD;
            let reading = !stopping && !pressed && !held;
            let wake = next_wake(&self.state, &self.disk, pressed, now);
            let wake = until.filter(|_| !self.left).map_or(wake, |until| wake.min(until));
            // Under load it is later each time. To set a timer costs more than to look at a clock too early once.
            let instant = self.clock.instant(wake);
            if alarm.is_elapsed() || instant < alarm.deadline() {
                alarm.as_mut().reset(instant);
            }
            tokio::select! {
                biased;
                // First, so that no load keeps it waiting: it costs nothing, and is asked for a few times a minute.
                Some(()) = self.beats.beat() => {}
                report = self.ports.reports.recv() => {
                    self.now = self.clock.now();
                    self.hear(report.ok_or(Ended::Store)?);
                }
                count = self.ports.verdicts.recv_many(&mut verdicts, 64) => {
                    if count == 0 {
                        return Err(Ended::Gateways);
                    }
                    self.now = self.clock.now();
                    for verdict in verdicts.drain(..).flatten() {
                        self.take(Input::Verdict(verdict));
                    }
                }
                // Those who ask how we are must hear it when a vendor is busy, too; and they bring no pushes.
                input = self.ports.strangers.recv(), if !stopping && strangers && !held => match input {
                    Some(input) => {
                        self.now = self.clock.now();
                        self.take(input);
                    }
                    None => strangers = false,
                },
                count = self.ports.requests.recv_many(&mut requests, 4), if reading => {
                    stopping |= count == 0;
                    self.now = self.clock.now();
                    for input in requests.drain(..).flatten() {
                        self.take(input);
                    }
                }
                _ = self.ports.stop.recv(), if !stopping => {
                    stopping = true;
                    self.ports.requests.close();
                    self.ports.strangers.close();
                    self.turn_away();
                }
                () = &mut alarm => {
                    self.now = self.clock.now();
                    if wake <= self.now.steady {
                        self.take(Input::Tick);
                    }
                }
            }
            if stopping && !self.left {
                let until = *until.get_or_insert(now.steady + self.state.policy.answer_within);
                if self.clock.steady() >= until {
                    self.left = true;
                    self.now = self.clock.now();
                    self.take(Input::Stop);
                }
            }
            self.order(stopping);
            self.send().await?;
        }
        self.part(flows::commands::stopped(&self.state, self.clock.now()));
        // If the link has ended, that is what stopped us.
        let _unheard = self.send().await;
        Ok(())
    }

    /// Nobody will take what the edges have handed over by now: it is told to come again.
    fn turn_away(&mut self) {
        let mut inputs = Vec::new();
        while let Ok(batch) = self.ports.requests.try_recv() {
            inputs.extend(batch);
        }
        while let Ok(input) = self.ports.strangers.try_recv() {
            inputs.push(input);
        }
        for ticket in inputs.into_iter().filter_map(Input::into_ticket) {
            self.answer(ticket, Answer::Refused(Refusal::TryLater(Later::Full)));
        }
        self.part(flows::commands::stopping(&self.state));
    }

    /// A step that tells people who wait that nothing more will come.
    fn part(&mut self, step: Step) {
        step.changes.iter().for_each(|change| self.state.apply(change));
        self.happen(step.effects);
    }

    /// One input, and all that it leads to.
    fn take(&mut self, input: Input) {
        let (name, started) = (input.name(), self.now.steady);
        let mut inputs = self.take_one(input);
        inputs.reverse();
        while let Some(input) = inputs.pop() {
            let then = self.take_one(Input::Inner(input));
            inputs.extend(then.into_iter().rev());
        }
        self.now = self.clock.later(self.now);
        self.ports.watch.decided(name, self.now.steady - started);
    }

    /// One input, one step. Returns what it leads to.
    fn take_one(&mut self, input: Input) -> Vec<Inner> {
        let command = match &input {
            Input::Register { .. } | Input::Unregister { .. } | Input::Wish { .. } => true,
            // Looking must be possible while the store is in trouble: then more than ever.
            Input::Command { .. } => self.disk.trial.is_none(),
            Input::Inner(Inner::Event { ticket, .. }) => ticket.is_some(),
            _ => false,
        };
        if matches!(input, Input::Status { .. } | Input::Command { .. }) {
            let vitals = Box::new(self.ports.watch.vitals());
            self.state.remember(Memory::Vitals(vitals));
        }
        if matches!(input, Input::Link(true)) {
            self.outgoing.push(Outgoing::Began);
        }
        let mut step = flows::step_into(std::mem::take(&mut self.spare), &self.state, input, self.now, &mut self.dice);
        let promises = step.changes.iter().any(|change| change.weight() == Weight::Promise);
        if self.disk.trial.is_some() {
            return self.take_read_only(step, promises || command);
        }
        for change in step.changes.drain(..) {
            if let Change::Memory(memory) = change {
                self.remember(memory);
            } else {
                self.state.apply(&change);
                self.disk.due.get_or_insert(self.now.steady + FACTS_WITHIN);
                self.disk.changes.push(change);
            }
        }
        self.disk.promised |= promises;
        // The answer to a command speaks of registrations, and these may still be on their way to the disk.
        match command || promises {
            true if self.disk.promised => self.disk.effects.append(&mut step.effects),
            true if self.disk.busy => self.disk.under_way.append(&mut step.effects),
            _ => step.effects.drain(..).for_each(|effect| self.happen_one(effect)),
        }
        let then = std::mem::take(&mut step.then);
        self.spare = step.emptied();
        then
    }

    /// What lives in memory only. Lets those who look on see what was decided, and what changes outside go with it.
    fn remember(&mut self, memory: Memory) {
        if let Memory::Noted(line) = &memory {
            tell::tell_line(line);
            self.ports.watch.noted(line);
        }
        let switches = matches!(memory, Memory::Policy(_));
        self.state.remember(memory);
        if switches {
            self.ports.reload.switch();
        }
    }

    /// A step while the store takes no writes: promises are not made, all else goes on.
    fn take_read_only(&mut self, step: Step, refuse: bool) -> Vec<Inner> {
        let kept = |change: &&Change| change.weight() != Weight::Promise;
        // What did not become of a registration is not told to those who ask why.
        let unkept = step.changes.iter().any(|change| !kept(&change));
        let untrue = |change: &&Change| {
            let Change::Memory(Memory::Noted(line)) = change else { return false };
            unkept && matches!(line.what, Decided::Registration(_))
        };
        for change in step.changes.into_iter().filter(|change| kept(&change) && !untrue(&change)) {
            match change {
                Change::Memory(memory) => self.remember(memory),
                change => self.state.apply(&change),
            }
        }
        self.happen(if refuse { refused(step.effects) } else { step.effects });
        step.then
    }

    /// Orders the next commit if it is time and the disk is free.
    fn order(&mut self, stopping: bool) {
        let now = self.clock.steady();
        if self.disk.busy {
            return;
        }
        if self.disk.trial.is_some_and(|at| at <= now) {
            self.disk.busy = true;
            self.ports.disk.recover();
            return;
        }
        let due = self.disk.due.is_some_and(|at| at <= now) || self.disk.changes.len() >= FACTS_AT_ONCE;
        if !self.disk.changes.is_empty() && (self.disk.promised || due || stopping) {
            self.disk.busy = true;
            self.disk.promised = false;
            self.disk.due = None;
            self.disk.under_way = std::mem::take(&mut self.disk.effects);
            self.ports.disk.commit(std::mem::take(&mut self.disk.changes));
        }
    }

    fn hear(&mut self, report: DiskReport) {
        self.disk.busy = false;
        match report {
            DiskReport::Committed => {
                let effects = std::mem::take(&mut self.disk.under_way);
                self.happen(effects);
            }
            DiskReport::Failed(why) => {
                error!("the store takes no writes: {why}; registrations are refused until it does (store.path)");
                let queue = std::mem::take(&mut self.disk);
                self.disk.trial = Some(self.clock.steady());
                self.state.remember(Memory::ReadOnly(true));
                self.happen(refused(queue.under_way));
                self.happen(refused(queue.effects));
            }
            DiskReport::StillFailing(why) => {
                debug!("the store still takes no writes: {why}");
                self.disk.trial = Some(self.clock.steady() + TRIAL_EVERY);
            }
            DiskReport::Recovered(stored) => {
                info!("the store takes writes again");
                self.disk.trial = None;
                self.state.remember(Memory::ReadOnly(false));
                self.reload(&stored);
            }
        }
    }

    /// Makes the state what the store says, keeping what is under way. Hosts are asked for all: since the store failed,
    /// they may have been told of registrations that left, and sessions lost theirs, where nothing came of it.
    fn reload(&mut self, stored: &[Change]) {
        let lanes = self.state.forget_stored();
        for change in stored {
            self.state.apply(change);
        }
        for waiter in self.state.restore(lanes) {
            match waiter {
                Waiter::Iq(ticket) => {
                    let later = Answer::Refused(Refusal::TryLater(Later::Store));
                    self.answer(ticket, later);
                }
                Waiter::Rules { registration, flight } => {
                    let said = Said::Later("store".into());
                    self.take(Input::Inner(Inner::Settled { registration, flight, said }));
                }
                Waiter::Trial(number) => {
                    let said = Said::Later("store".into());
                    self.take(Input::Inner(Inner::Tried { number, said }));
                }
            }
        }
        self.take(Input::Inner(Inner::Reloaded));
    }

    fn happen(&mut self, effects: Vec<Effect>) {
        effects.into_iter().for_each(|effect| self.happen_one(effect));
    }

    fn happen_one(&mut self, effect: Effect) {
        match effect {
            Effect::Answer(ticket, answer) => self.answer(ticket, answer),
            Effect::Order(order) => self.outgoing.push(Outgoing::Order(order)),
            Effect::Deliver(push) => {
                tell::tell_delivery(&self.state, &push);
                self.deliveries.entry(push.app.clone()).or_default().push(*push);
            }
            Effect::Notice(notice) => tell::tell(&notice),
            Effect::Reload => self.ports.reload.reload(),
            Effect::Offer(app, works) => self.ports.offers.offer(&app, works),
        }
    }

    /// Answers go out by the door through which the request came in.
    fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.ports.watch.answered(&answer);
        match ticket.door {
            Door::Link => self.outgoing.push(Outgoing::Answer(ticket, answer)),
            Door::Http(request) => self.ports.http.answer(request, answer),
        }
    }

    /// Sends what this turn of the loop brought.
    async fn send(&mut self) -> Result<(), Ended> {
        for (app, pushes) in &mut self.deliveries {
            if !pushes.is_empty() {
                let next = Vec::with_capacity(pushes.len().min(AS_MANY));
                self.ports.gateways.deliver(app, std::mem::replace(pushes, next));
            }
        }
        if self.outgoing.is_empty() {
            return Ok(());
        }
        let next = Vec::with_capacity(self.outgoing.len().min(AS_MANY));
        self.ports.answers.send(std::mem::replace(&mut self.outgoing, next)).await.map_err(|_| Ended::Link)
    }

    /// Nobody waits, nothing waits for the disk, and what is under way has landed, or is owed.
    fn is_idle(&self) -> bool {
        let disk = &self.disk;
        let written = disk.trial.is_some() || (!disk.busy && disk.changes.is_empty() && disk.effects.is_empty());
        self.state.waiting() == 0 && written && (self.left || self.state.under_way() == 0)
    }
}

/// When the loop has something to do again, if nothing comes in.
fn next_wake(state: &State, disk: &DiskQueue, pressed: bool, now: Now) -> Moment {
    let late = state.next_deadline(now).map(|at| at + GRAIN);
    let disk = if disk.busy { None } else { disk.trial.or(disk.due) };
    let pause = pressed.then_some(now.steady + PAUSE);
    [late, disk, pause].into_iter().flatten().fold(now.steady + IDLE_TICK, Moment::min)
}

/// The same effects, where every answer says that the store takes no writes, and the log tells of no registration what
/// did not become of it.
fn refused(effects: Vec<Effect>) -> Vec<Effect> {
    let refuse = |effect| match effect {
        Effect::Answer(ticket, _) => Some(Effect::Answer(ticket, Answer::Refused(Refusal::TryLater(Later::Store)))),
        Effect::Notice(Notice::Registration { .. }) => None,
        other => Some(other),
    };
    effects.into_iter().filter_map(refuse).collect()
}

/// What ended under the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// The store's thread.
    #[error("the store's thread ended unasked")]
    Store,
    /// The gateways.
    #[error("the vendors' tasks ended unasked")]
    Gateways,
    /// The link.
    #[error("the link's task ended unasked")]
    Link,
}

#[cfg(test)]
mod bridge_tests;
#[cfg(test)]
mod http_tests;
#[cfg(test)]
mod tests;
