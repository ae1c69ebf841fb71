//! What is to be delivered, naively: a list of all that was ever asked for, and the rules in their plainest form
//! (docs/design.md, "The outbox"). [`outbox_tests`](super::outbox_tests) compares.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::data::Answer;
use super::lane::LaneKind;
use super::policy::Policy;
use crate::domain::class::Class;
use crate::domain::device::Device;
use crate::domain::ids::{AppName, Node, PushId};
use crate::domain::outcome::Outcome;
use crate::domain::push::{CALL_TTL, Push};
use crate::domain::refusal::{Later, Refusal};
use crate::domain::time::{Now, Timestamp};

/// A lane of a device.
pub(super) type Place = (Node, LaneKind);

/// What one publish asked for. Its number is in the content of the push that tells of it.
#[derive(Debug)]
pub(super) struct Wish {
    place: Place,
    class: Class,
    asked: Now,
    generation: u32,
    standing: Standing,
    /// What was answered.
    answer: Option<Answer>,
    /// Whether somebody waits for an answer in time; our own rules take theirs whenever it comes.
    in_time: bool,
    /// Asked of a process that is no more.
    before: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It has to be delivered.
    Open,
    /// It may be delivered, and need not be: refused, or lost with a process before it was promised.
    Spared,
    /// A call that is over. It must not go again.
    HungUp,
    /// Delivered, merged into what was, expired, or its device died.
    Over,
}

/// A push that its vendor has.
#[derive(Debug)]
struct Flight {
    push: Push,
    /// The number of the newest publish when it left.
    newest: u32,
    left: Duration,
    trial: bool,
}

pub(super) struct Model {
    policy: Policy,
    wishes: BTreeMap<u32, Wish>,
    /// As they are in memory.
    devices: BTreeMap<Node, Device>,
    flights: BTreeMap<PushId, Flight>,
    /// When the push that was last taken by a device's vendor left, by this process.
    delivered: BTreeMap<Node, Duration>,
    /// Until when a lane was asked to be left alone: for which token, and what was published until then.
    asked_to_wait: BTreeMap<Place, (u32, u32, Duration)>,
    pub(super) now: Now,
    /// Who was dead when this step began.
    were_dead: BTreeSet<Node>,
    /// Whether the process stood still for a while: answers may be late.
    stood_still: bool,
    /// Whether the wall clock was set back.
    set_back: bool,
}

impl Model {
    pub(super) fn new(policy: Policy, now: Now) -> Self {
        Self {
            policy,
            wishes: BTreeMap::new(),
            devices: BTreeMap::new(),
            flights: BTreeMap::new(),
            delivered: BTreeMap::new(),
            asked_to_wait: BTreeMap::new(),
            now,
            were_dead: BTreeSet::new(),
            stood_still: false,
            set_back: false,
        }
    }

    /// A step begins.
    pub(super) fn begins(&mut self, now: Now) {
        self.now = now;
        self.were_dead.clear();
        self.expire();
    }

    fn uptime(&self) -> Duration {
        self.now.steady.uptime()
    }

    /// A publish was taken up: an iq's, or one of our own rules.
    pub(super) fn asked(&mut self, number: u32, node: &Node, class: Class, in_time: bool) {
        self.expire();
        if class == Class::Ended && self.devices.get(node).is_some_and(|device| device.gone.is_none()) {
            let calls = (node.clone(), LaneKind::Calls);
            for wish in self.wishes.values_mut().filter(|wish| wish.place == calls && wish.standing != Standing::Over) {
                wish.standing = Standing::HungUp;
            }
        }
        let wish = Wish {
            place: (node.clone(), LaneKind::of(class)),
            class,
            asked: self.now,
            generation: self.devices.get(node).map_or(0, |device| device.generation),
            standing: Standing::Open,
            answer: None,
            in_time,
            before: false,
        };
        assert!(self.wishes.insert(number, wish).is_none(), "asked twice");
    }

    /// One who asked has an answer. `owed`: the number of what the disk holds in a lane; `room`: why no more can be owed,
    /// if it cannot.
    pub(super) fn answered(
        &mut self,
        number: u32,
        answer: &Answer,
        owed: impl Fn(&Place) -> Option<u32>,
        no_room: Option<Later>,
    ) {
        let late = self.uptime().saturating_sub(self.policy.answer_within);
        let rank = |number: u32| self.wishes.get(&number).map(|wish| (wish.class, number));
        let Some(wish) = self.wishes.get(&number) else { panic!("{number} was not asked") };
        assert_eq!(wish.answer, None, "{number} is answered twice");
        assert!(!wish.in_time || wish.asked.steady.uptime() >= late || self.stood_still, "{number} is answered late");
        let were_dead = self.were_dead.contains(&wish.place.0);
        let is_dead = were_dead || self.devices.get(&wish.place.0).is_none_or(|device| device.gone.is_some());
        match answer {
            Answer::Done => {
                let kept = owed(&wish.place).and_then(rank) >= Some((wish.class, number));
                let why = matches!(wish.standing, Standing::Over | Standing::HungUp);
                assert!(why || kept, "{number} is promised, and nothing keeps it: {wish:?}");
            }
            Answer::Refused(Refusal::NoSuchDevice) => assert!(is_dead, "{number}: the device lives"),
            Answer::Refused(Refusal::TryLater(Later::Vendor)) => {
                let over = wish.standing == Standing::Over || self.may_be_over(wish);
                assert!(over, "{number} has time left: {wish:?}");
            }
            Answer::Refused(Refusal::TryLater(why)) => assert_eq!(Some(*why), no_room, "{number} had room"),
            other => panic!("{number} was told {other:?}"),
        }
        let Some(wish) = self.wishes.get_mut(&number) else { return };
        wish.answer = Some(answer.clone());
        if *answer != Answer::Done && wish.standing == Standing::Open {
            wish.standing = Standing::Spared;
        }
    }

    /// One of our own rules hears how it ended.
    pub(super) fn settled(&mut self, number: u32, taken: bool) {
        let Some(wish) = self.wishes.get_mut(&number) else { panic!("{number} was not asked") };
        assert_eq!(wish.answer, None, "{number} is settled twice");
        let done = matches!(wish.standing, Standing::Over | Standing::HungUp);
        assert!(!taken || done, "{number} was not delivered: {wish:?}");
        wish.answer = Some(if taken { Answer::Done } else { Answer::Refused(Refusal::NoSuchDevice) });
        if wish.standing == Standing::Open {
            wish.standing = Standing::Spared;
        }
    }

    /// What waits for a device went, though the disk could not be told why.
    pub(super) fn spare(&mut self, node: &Node) {
        for kind in [LaneKind::Calls, LaneKind::Messages] {
            self.all(&(node.clone(), kind), Standing::Spared);
        }
    }

    /// A device is forgotten.
    pub(super) fn forgot(&mut self, node: &Node) {
        self.devices.remove(node);
    }

    /// A push leaves. `trial`: while its app's circuit is open.
    pub(super) fn begun(&mut self, push: &Push, trial: bool) {
        self.expire();
        let place = (push.node.clone(), LaneKind::of(push.class));
        let number = number(push);
        let Some(wish) = self.wishes.get(&number) else { panic!("{push:?} was not asked for") };
        let Some(device) = self.devices.get(&push.node) else { panic!("{push:?} goes nowhere") };
        assert_eq!(device.gone, None, "a dead device is pushed to");
        assert_eq!((&device.token, device.generation), (&push.token, push.generation), "an old token is pushed to");
        assert_eq!((&wish.place, wish.class), (&place, push.class), "said of another lane or class");
        assert!(matches!(wish.standing, Standing::Open | Standing::Spared), "{number} goes again: {wish:?}");
        for (other, open) in self.open(&place) {
            assert!((open.class, other) <= (wish.class, number), "{number} goes, though there is {other}: {open:?}");
        }
        if place.1 == LaneKind::Calls && !(wish.before && self.set_back) {
            let age = self.uptime() - wish.asked.steady.uptime();
            assert!(age <= CALL_TTL, "a call rings after {age:?}");
            assert!(push.ttl <= CALL_TTL, "{push:?}");
        }
        let same = |flight: &&Flight| flight.push.node == push.node && LaneKind::of(flight.push.class) == place.1;
        assert!(!self.flights.values().any(|flight| same(&flight)), "two are under way in one lane");
        if let (Some(interval), LaneKind::Messages) = (self.policy.min_interval, place.1)
            && let Some(last) = self.delivered.get(&push.node)
        {
            assert!(self.uptime() >= *last + interval, "{number} goes too soon after the last one");
        }
        if let Some((generation, newest, until)) = self.asked_to_wait.get(&place) {
            // Of what was refused nothing is remembered.
            let waits = *generation == push.generation && self.open(&place).any(|(number, _)| number <= *newest);
            assert!(!waits || self.uptime() >= *until, "{number} goes before it may");
        }
        let newest = self.newest();
        self.flights.insert(push.id, Flight { push: push.clone(), newest, left: self.uptime(), trial });
        let mut trials = BTreeMap::new();
        for flight in self.flights.values().filter(|flight| flight.trial) {
            *trials.entry(&flight.push.app).or_insert(0) += 1;
        }
        assert!(trials.values().all(|count| *count <= 1), "two trials at once");
    }

    /// An app's circuit is closed: what was its trial is a push like others.
    pub(super) fn closed(&mut self, app: &AppName) {
        for flight in self.flights.values_mut().filter(|flight| flight.push.app == *app) {
            flight.trial = false;
        }
    }

    /// A vendor is about to speak of a push.
    pub(super) fn spoke(&mut self, id: PushId, outcome: &Outcome) {
        let Some(Flight { push, newest, left, .. }) = self.flights.remove(&id) else { panic!("not under way") };
        let place = (push.node.clone(), LaneKind::of(push.class));
        match outcome {
            Outcome::Accepted | Outcome::Withheld => {
                if place.1 == LaneKind::Messages {
                    self.delivered.insert(push.node.clone(), left);
                }
                self.asked_to_wait.remove(&place);
                for (number, wish) in &mut self.wishes {
                    let joined = wish.class <= push.class && wish.generation == push.generation;
                    if wish.place == place && (*number <= newest || joined) {
                        wish.standing = Standing::Over;
                    }
                }
            }
            Outcome::Throttled { retry_after: Some(wait), .. }
            | Outcome::Unavailable { retry_after: Some(wait), .. } => {
                let until = self.uptime() + (*wait).min(Duration::from_secs(3600));
                self.asked_to_wait.insert(place, (push.generation, self.newest(), until));
            }
            _ => {}
        }
        self.expire();
    }

    /// A device is what it is from now on.
    pub(super) fn became(&mut self, device: &Device) {
        if device.gone.is_some() {
            for kind in [LaneKind::Calls, LaneKind::Messages] {
                // What is under way still lands, and what waits behind it goes if the device is back by then.
                let place = (device.node.clone(), kind);
                let standing = if self.is_flying(&place) { Standing::Spared } else { Standing::Over };
                self.all(&place, standing);
            }
        }
        let before = self.devices.insert(device.node.clone(), device.clone());
        if before.is_some_and(|before| before.gone.is_some()) {
            self.were_dead.insert(device.node.clone());
        }
    }

    /// The number of the newest publish.
    fn newest(&self) -> u32 {
        self.wishes.keys().next_back().copied().unwrap_or_default()
    }

    fn is_flying(&self, place: &Place) -> bool {
        let same = |flight: &Flight| flight.push.node == place.0 && LaneKind::of(flight.push.class) == place.1;
        self.flights.values().any(same)
    }

    fn all(&mut self, place: &Place, standing: Standing) {
        for wish in self.wishes.values_mut().filter(|wish| wish.place == *place) {
            match (wish.standing, standing) {
                (Standing::Over, _) | (Standing::HungUp, Standing::Spared) => {}
                _ => wish.standing = standing,
            }
        }
    }

    /// The state is made from the store again: in a new process, or in this one after the store had failed. Then what is
    /// under way and who waits stay.
    pub(super) fn loaded(&mut self, devices: BTreeMap<Node, Device>, owed: &BTreeMap<Place, u32>, new_process: bool) {
        self.devices = devices;
        // What the disk did not see settled goes again at once.
        self.delivered.clear();
        self.asked_to_wait.clear();
        if new_process {
            self.flights.clear();
        }
        self.expire();
        for (number, wish) in &mut self.wishes {
            let kept = owed.get(&wish.place);
            // What was delivered in the last second, or while nothing could be written, goes once more.
            if kept == Some(number) && wish.standing != Standing::Open {
                (wish.standing, wish.before) = (Standing::Spared, true);
            }
            if !new_process {
                continue;
            }
            wish.before = true;
            if wish.answer != Some(Answer::Done) {
                if wish.standing == Standing::Open {
                    wish.standing = Standing::Spared;
                }
                // Nobody is left to hear it.
                wish.answer.get_or_insert(Answer::Done);
            }
        }
        for (number, wish) in &self.wishes {
            let promised = wish.standing == Standing::Open && wish.answer == Some(Answer::Done);
            let kept = owed.get(&wish.place).and_then(|kept| Some((self.wishes.get(kept)?.class, *kept)));
            assert!(!promised || kept >= Some((wish.class, *number)), "{number} is lost: {wish:?}");
        }
    }

    pub(super) fn clock_was_set(&mut self, back: bool) {
        self.set_back |= back;
    }

    pub(super) const fn stood_still(&mut self, still: bool) {
        self.stood_still = still;
    }

    /// Nobody waits for longer than promised.
    pub(super) fn nobody_is_late(&self) {
        for (number, wish) in self.wishes.iter().filter(|(_, wish)| wish.in_time && wish.answer.is_none()) {
            let until = wish.asked.steady.uptime() + self.policy.answer_within;
            assert!(self.uptime() <= until, "{number} was not answered: {wish:?}");
        }
    }

    /// All is calm: everybody was answered, and nothing is left to be delivered.
    pub(super) fn nothing_is_left(&mut self) {
        self.expire();
        for (number, wish) in &self.wishes {
            assert!(wish.answer.is_some(), "{number} was never answered: {wish:?}");
            assert_ne!(wish.standing, Standing::Open, "{number} was never delivered: {wish:?}");
        }
    }

    fn open(&self, place: &Place) -> impl Iterator<Item = (u32, &Wish)> {
        let open = self.wishes.iter().filter(move |(_, wish)| wish.place == *place && wish.standing == Standing::Open);
        open.map(|(number, wish)| (*number, wish))
    }

    /// What is of no use any more is over; while a push is under way in its lane, that is waited for. All that waits in
    /// a lane has the time of the newest.
    fn expire(&mut self) {
        let places: BTreeSet<Place> = self.wishes.values().map(|wish| wish.place.clone()).collect();
        for place in places {
            if self.is_flying(&place) {
                continue;
            }
            let lane = || self.open(&place).map(|(_, wish)| wish);
            if lane().next().is_none() {
                continue;
            }
            if lane().all(|wish| self.is_over(wish)) {
                let spared = |wish: &Wish| wish.place == place && wish.standing == Standing::Spared;
                let longer = self.wishes.values().any(|wish| spared(wish) && !self.is_over(wish));
                self.all(&place, if longer { Standing::Spared } else { Standing::Over });
            } else if lane().all(|wish| self.may_be_over(wish)) {
                self.all(&place, Standing::Spared);
            }
        }
    }

    /// Of what an earlier process was asked, the wall clock decides, and it may have been set.
    fn may_be_over(&self, wish: &Wish) -> bool {
        self.is_over(wish) || (wish.before && (self.is_old(wish) || self.expires(wish) <= self.now.wall))
    }

    fn is_over(&self, wish: &Wish) -> bool {
        self.is_old(wish) && (!wish.before || self.expires(wish) <= self.now.wall)
    }

    fn is_old(&self, wish: &Wish) -> bool {
        self.uptime() >= wish.asked.steady.uptime() + self.ttl(wish)
    }

    fn expires(&self, wish: &Wish) -> Timestamp {
        wish.asked.wall + self.ttl(wish)
    }

    fn ttl(&self, wish: &Wish) -> Duration {
        let ttl = self.policy.outbox_ttl;
        if wish.place.1 == LaneKind::Calls { ttl.min(CALL_TTL) } else { ttl }
    }
}

/// Which publish a push tells of.
pub(super) fn number(push: &Push) -> u32 {
    let number = push.content.nickname.as_ref().and_then(|number| number.reveal().parse().ok());
    let Some(number) = number else { panic!("{push:?} tells of nothing") };
    number
}
