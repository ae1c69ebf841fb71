//! The pushes of an app that are under way: each in a place that is used again when it has landed, so that a push costs
//! no task, no timer and hardly any memory.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::FutureExt as _;
use futures_util::task::AtomicWaker;

use super::pool::{Flight, PoolError};
use super::verdicts::{Batch, Returns, verdict};
use super::{AppGateway, Before, Start};
use crate::domain::outcome::{Outcome, Verdict};
use crate::domain::push::Push;
use crate::domain::time::{Moment, Now};

/// What is under way. Dropping it gives every push back as unavailable.
pub(super) struct Flights<'g> {
    gateway: &'g AppGateway,
    places: Vec<Place<'g>>,
    free: Vec<usize>,
    bells: Arc<Bells>,
    /// Places whose bell rang.
    rung: VecDeque<usize>,
    /// When flights are first looked at, in the order in which they began.
    first_looks: VecDeque<Look>,
    /// When they are looked at again: few are.
    more_looks: BTreeSet<Look>,
    /// Pushes ever begun.
    number: u64,
    settled: Vec<Verdict>,
    returns: Arc<Returns>,
}

/// When, which place, and which push had it then.
type Look = (Moment, usize, u64);

struct Place<'g> {
    push: Option<Push>,
    number: u64,
    work: Work<'g>,
    bell: Arc<Bell>,
    waker: Waker,
}

/// What is done for a push.
enum Work<'g> {
    /// Nothing any more.
    Done,
    /// It was sent, and its answer is waited for: nearly all pushes are never more than this. The number names the
    /// credentials that it was sent with.
    Flies(Flight, u64),
    /// It has to wait, or needs more than one attempt.
    Plods(Pin<Box<dyn Future<Output = Outcome> + Send + 'g>>),
}

impl<'g> Flights<'g> {
    pub(super) fn new(gateway: &'g AppGateway, returns: Arc<Returns>) -> Self {
        Self {
            gateway,
            places: Vec::new(),
            free: Vec::new(),
            bells: Arc::default(),
            rung: VecDeque::new(),
            first_looks: VecDeque::new(),
            more_looks: BTreeSet::new(),
            number: 0,
            settled: Vec::new(),
            returns,
        }
    }

    /// Whether nothing is under way, and nothing waits to be told.
    pub(super) fn is_empty(&self) -> bool {
        self.free.len() == self.places.len() && self.settled.is_empty()
    }

    /// Puts pushes on their way.
    pub(super) fn begin(&mut self, batch: Batch, now: Now) {
        for push in batch.into_pushes() {
            let at = self.place(push);
            let Some(Place { push: Some(push), waker, .. }) = self.places.get(at) else { continue };
            match catch_unwind(AssertUnwindSafe(|| self.gateway.start(push, now, waker))) {
                Ok(Start::Flies(flight, credentials)) => {
                    self.first_looks.push_back((flight.look_at(now.steady), at, self.number));
                    self.flies(at, flight, credentials);
                }
                Ok(Start::Known(outcome)) => self.settle(at, outcome),
                Ok(Start::Waits) => self.plod(at, Before::Nothing),
                Err(_) => self.settle(at, internal_error()),
            }
        }
    }

    /// Waits until something can be done.
    pub(super) async fn ready(&mut self) {
        std::future::poll_fn(|cx| {
            if self.rung.is_empty() && self.settled.is_empty() {
                self.bells.task.register(cx.waker());
                self.rung.extend(self.bells.lock().drain(..));
            }
            if self.rung.is_empty() && self.settled.is_empty() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    /// Does what can be done, until `most` have landed; says how many have.
    pub(super) fn land(&mut self, most: usize, now: Now) -> usize {
        while self.settled.len() < most {
            let Some(at) = self.rung.pop_front() else { break };
            let Some(place) = self.places.get_mut(at) else { continue };
            place.bell.rung.store(false, Ordering::Release);
            match catch_unwind(AssertUnwindSafe(|| place.poll(self.gateway, now))) {
                Ok(Next::Wait) => {}
                Ok(Next::Settle(outcome)) => self.settle(at, outcome),
                Ok(Next::Plod(before)) => self.plod(at, before),
                Err(_) => self.settle(at, internal_error()),
            }
        }
        while self.first_looks.front().is_some_and(|look| !self.is_current(look)) {
            self.first_looks.pop_front();
        }
        self.settled.len()
    }

    /// What has landed, now the caller's to tell.
    pub(super) fn take(&mut self) -> Vec<Verdict> {
        std::mem::take(&mut self.settled)
    }

    /// When [`look`](Self::look) is needed next.
    pub(super) fn next_look(&self) -> Option<Moment> {
        let first = self.first_looks.front().into_iter().chain(self.more_looks.first());
        first.map(|(at, ..)| *at).min()
    }

    /// Gives up what there is no use in waiting for.
    pub(super) fn look(&mut self, now: Moment) {
        while let Some(look) = self.due(now) {
            let (_, at, number) = look;
            if !self.is_current(&look) {
                continue;
            }
            let Some(Place { work: Work::Flies(flight, _), .. }) = self.places.get(at) else { continue };
            if flight.is_lost(now) {
                self.settle(at, PoolError::Late.outcome());
            } else {
                self.more_looks.insert((flight.look_at(now), at, number));
            }
        }
    }

    fn due(&mut self, now: Moment) -> Option<Look> {
        if self.first_looks.front().is_some_and(|(at, ..)| *at <= now) {
            return self.first_looks.pop_front();
        }
        self.more_looks.first().is_some_and(|(at, ..)| *at <= now).then(|| self.more_looks.pop_first())?
    }

    fn is_current(&self, (_, at, number): &Look) -> bool {
        self.places.get(*at).is_some_and(|place| place.push.is_some() && place.number == *number)
    }

    /// Gives a push a place.
    fn place(&mut self, push: Push) -> usize {
        self.number += 1;
        if let Some((at, place)) = self.free.pop().and_then(|at| Some((at, self.places.get_mut(at)?))) {
            (place.push, place.number) = (Some(push), self.number);
            return at;
        }
        let at = self.places.len();
        let bell = Arc::new(Bell { place: at, rung: AtomicBool::new(false), bells: self.bells.clone() });
        let waker = Waker::from(bell.clone());
        self.places.push(Place { push: Some(push), number: self.number, work: Work::Done, bell, waker });
        at
    }

    /// It knows already whom to tell.
    fn flies(&mut self, at: usize, flight: Flight, credentials: u64) {
        if let Some(place) = self.places.get_mut(at) {
            place.work = Work::Flies(flight, credentials);
        }
    }

    fn work(&mut self, at: usize, work: Work<'g>) {
        let Some(place) = self.places.get_mut(at) else { return };
        place.work = work;
        // It has to be asked once, for it to know whom to tell.
        if !place.bell.rung.swap(true, Ordering::AcqRel) {
            self.rung.push_back(at);
        }
    }

    fn plod(&mut self, at: usize, before: Before) {
        let Some(push) = self.places.get(at).and_then(|place| place.push.clone()) else { return };
        let gateway = self.gateway;
        self.work(at, Work::Plods(async move { gateway.send(&push, before).await }.boxed()));
    }

    fn settle(&mut self, at: usize, outcome: Outcome) {
        let Some(place) = self.places.get_mut(at) else { return };
        place.work = Work::Done;
        if let Some(push) = place.push.take() {
            self.settled.push(verdict(push, outcome));
            self.free.push(at);
        }
    }
}

impl Drop for Flights<'_> {
    fn drop(&mut self) {
        let left = self.places.iter_mut().filter_map(|place| place.push.take());
        self.returns.give_back(left, std::mem::take(&mut self.settled));
    }
}

/// What comes of asking a push's work.
enum Next {
    Wait,
    Settle(Outcome),
    Plod(Before),
}

impl Place<'_> {
    fn poll(&mut self, gateway: &AppGateway, now: Now) -> Next {
        let mut cx = Context::from_waker(&self.waker);
        match &mut self.work {
            Work::Done => Next::Wait,
            Work::Flies(flight, credentials) => match flight.poll(&mut cx, now.steady) {
                Poll::Pending => Next::Wait,
                Poll::Ready(Ok(response)) => match gateway.hear(&response, *credentials, now.wall) {
                    Some(outcome) => Next::Settle(outcome),
                    None => Next::Plod(Before::Answered(response, *credentials)),
                },
                Poll::Ready(Err(failed)) => Next::Plod(Before::Failed(failed)),
            },
            Work::Plods(future) => match future.as_mut().poll(&mut cx) {
                Poll::Pending => Next::Wait,
                Poll::Ready(outcome) => Next::Settle(outcome),
            },
        }
    }
}

/// Tells the app's task which places can go on.
#[derive(Default)]
struct Bells {
    rung: Mutex<Vec<usize>>,
    task: AtomicWaker,
}

impl Bells {
    /// Held for a few instructions only.
    fn lock(&self) -> MutexGuard<'_, Vec<usize>> {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Bell {
    place: usize,
    rung: AtomicBool,
    bells: Arc<Bells>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.rung.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut rung = self.bells.lock();
        rung.push(self.place);
        let first = rung.len() == 1;
        drop(rung);
        // The others will be found with it.
        if first {
            self.bells.task.wake();
        }
    }
}

const fn internal_error() -> Outcome {
    Outcome::Unavailable { retry_after: None, reason: std::borrow::Cow::Borrowed("internal error") }
}
