//! Days of virtual time with many devices: realistic traffic, a vendor that is slow and at times away, tokens that die
//! and come back. What comes and goes is counted: it must go again.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::data::{Change, Input};
use super::dice::Dice;
use super::policy::Policy;
use super::world::{Happened, World, body, call, policy, wake};
use crate::domain::ids::{Domain, Node};
use crate::domain::outcome::Outcome;
use crate::domain::publish::Publish;
use crate::domain::push::Push;
use crate::domain::secret::Secret;
use crate::domain::time::Moment;

const HOUR: Duration = Duration::from_secs(3600);

/// What a run is like.
struct Weather {
    devices: usize,
    hours: u32,
    /// When the vendor is away, for an hour.
    outage: u32,
    /// Publishes a day and device, on average.
    daily: f64,
}

/// What happens next.
enum Event {
    Publish,
    Burst,
    Verdict(Box<Push>),
    Register(usize),
}

struct Simulation {
    world: World,
    weather: Weather,
    devices: Vec<(Node, Secret)>,
    number_of: BTreeMap<Node, usize>,
    events: BTreeMap<(Duration, u64), Event>,
    chance: u64,
    counted: u64,
    asked: usize,
    answered: usize,
    refused: usize,
    delivered: usize,
    died: usize,
    /// What the disk would hold.
    owed: HashSet<(Node, super::lane::LaneKind)>,
    /// The most that was kept, by hour.
    kept: Vec<usize>,
}

impl Simulation {
    fn new(weather: Weather) -> Self {
        let mut policy = Policy { slots: 2000, max_waiting: 50_000, hosts: Vec::new(), ..policy() };
        (policy.max_owed, policy.max_owed_bytes) = (1_000_000, 1 << 30);
        let mut world = World::new(policy);
        let mut draws = 0_u64;
        world.dice = Dice::new(move |bytes| {
            draws = draws.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let drawn = draws.to_le_bytes().into_iter().cycle();
            bytes.iter_mut().zip(drawn).for_each(|(byte, drawn)| *byte = drawn);
        });
        let owner = |number: usize| format!("user{number}@d{}.example", number % 20);
        let devices: Vec<_> = (0..weather.devices).map(|at| world.register(&owner(at), "phone", "token-0")).collect();
        let number_of = devices.iter().enumerate().map(|(at, (node, _))| (node.clone(), at)).collect();
        Self {
            world,
            kept: vec![0; weather.hours as usize + 1],
            weather,
            devices,
            number_of,
            events: BTreeMap::new(),
            chance: 0x9e37_79b9_7f4a_7c15,
            counted: 0,
            asked: 0,
            answered: 0,
            refused: 0,
            delivered: 0,
            died: 0,
            owed: HashSet::new(),
        }
    }

    /// From 0 to 1 (xorshift).
    fn chance(&mut self) -> f64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        (self.chance >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn at(&mut self, later: Duration, event: Event) {
        self.counted += 1;
        self.events.insert((self.world.uptime + later, self.counted), event);
    }

    /// How many publishes a second there are: few at night.
    fn rate(&self) -> f64 {
        let day = self.world.uptime.as_secs_f64() / 86_400.0;
        let hours = 1.0 - 0.9 * (std::f64::consts::TAU * day).cos();
        self.weather.devices as f64 * self.weather.daily / 86_400.0 * hours
    }

    fn publish(&mut self) {
        let device = (self.chance() * self.devices.len() as f64) as usize;
        let notification = match self.chance() {
            what if what < 0.03 => call(),
            what if what < 0.4 => wake(),
            _ => body("hi"),
        };
        let (node, secret) = self.devices[device].clone();
        let from = Domain::new(format!("d{}.example", device % 20));
        let publish = Publish { from, from_full_jid: false, node, secret: Some(secret), module: None, notification };
        self.asked += 1;
        let happened = self.world.publish_as(publish);
        self.saw(happened);
    }

    fn verdict(&mut self, push: &Push) {
        let outage = HOUR * self.weather.outage;
        let away = (outage..outage + HOUR).contains(&self.world.uptime);
        let outcome = match self.chance() {
            _ if away => Outcome::Unavailable { retry_after: None, reason: "503".into() },
            what if what < 0.0005 => {
                self.died += 1;
                let device = self.number_of[&push.node];
                self.at(Duration::from_secs(600), Event::Register(device));
                Outcome::Gone { since: None }
            }
            what if what < 0.002 => {
                Outcome::Throttled { retry_after: Some(Duration::from_secs(30)), reason: "429".into() }
            }
            _ => Outcome::Accepted,
        };
        self.delivered += usize::from(outcome == Outcome::Accepted);
        let happened = self.world.verdict(push, outcome);
        self.saw(happened);
    }

    fn register(&mut self, device: usize) {
        let owner = format!("user{device}@d{}.example", device % 20);
        let token = format!("token-{}", self.counted);
        let happened = self.world.try_register(World::registration(&owner, "phone", &token));
        assert_eq!(happened.answers.len(), 1);
        self.saw(Happened { answers: Vec::new(), ..happened });
    }

    fn saw(&mut self, happened: Happened) {
        self.answered += happened.answers.len();
        self.refused += happened.refused().len();
        for change in &happened.stored {
            match change {
                Change::Owe(owed) => drop(self.owed.insert((owed.node.clone(), owed.kind))),
                Change::Settle(node, kind) => drop(self.owed.remove(&(node.clone(), *kind))),
                _ => {}
            }
        }
        for push in happened.pushes {
            let slow = self.chance();
            // Most answer at once, some take seconds.
            let millis = if slow < 0.001 { 8000.0 } else { 20.0 + 300.0 * slow };
            self.at(Duration::from_millis(millis as u64), Event::Verdict(Box::new(push)));
        }
        let kept = self.kept();
        if let Some(most) = self.kept.get_mut((self.world.uptime.as_secs() / 3600) as usize) {
            *most = kept.max(*most);
        }
    }

    fn kept(&self) -> usize {
        self.world.state.queues().owed().0 + self.world.state.waiting() + self.world.state.under_way()
    }

    fn run(&mut self) {
        let end = HOUR * self.weather.hours;
        self.at(Duration::ZERO, Event::Publish);
        self.at(HOUR / 4, Event::Burst);
        loop {
            let next = self.events.first_key_value().map(|((at, _), _)| *at);
            let due = self.world.state.next_deadline(self.world.now()).map(Moment::uptime);
            let Some(at) = next.into_iter().chain(due).min() else { break };
            self.world.uptime = at.max(self.world.uptime);
            if due.is_some_and(|due| due <= at) {
                let happened = self.world.take(Input::Tick);
                self.saw(happened);
                continue;
            }
            let Some((_, event)) = self.events.pop_first() else { break };
            match event {
                Event::Publish => {
                    self.publish();
                    if self.world.uptime < end {
                        let pause = -self.chance().max(1e-12).ln() / self.rate();
                        self.at(Duration::from_secs_f64(pause), Event::Publish);
                    }
                }
                // A room wakes up.
                Event::Burst => {
                    for _ in 0..self.weather.devices / 50 {
                        self.publish();
                    }
                    if self.world.uptime < end {
                        self.at(HOUR / 4, Event::Burst);
                    }
                }
                Event::Verdict(push) => self.verdict(&push),
                Event::Register(device) => self.register(device),
            }
        }
    }

    fn check(&self) {
        let Weather { devices, hours, outage, .. } = self.weather;
        assert_eq!(self.answered, self.asked, "each publish is answered once");
        assert!(self.delivered > self.asked / 2 && self.died > 0, "{} of {}", self.delivered, self.asked);
        // What was refused was for the dead: nobody was told to come again.
        assert!(self.refused <= self.died * 40, "{} refused, {} died", self.refused, self.died);
        assert_eq!(self.owed.len(), 0, "a timer was lost: still on the disk");
        let left: Vec<_> = self.world.state.sizes().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(left, [], "still in memory");
        assert_eq!(self.world.state.count().0, devices, "devices came from nowhere");
        assert!(self.world.state.limits() <= 4 * 20_000, "limits remember too much");
        // An outage fills it, but not for longer than it lasts; nothing piles up from day to day.
        let calm = |hour: &usize| !(outage..=outage + 1).contains(&(*hour as u32)) && *hour < hours as usize;
        let most = (0..self.kept.len()).filter(calm).map(|hour| self.kept[hour]).max().unwrap_or_default();
        assert!(most <= devices / 10 + 100, "{:?}", self.kept);
        let filled = self.kept[outage as usize];
        assert!(filled <= 2 * devices && filled > most, "{:?}", self.kept);
    }
}

fn simulate(weather: Weather) {
    let mut simulation = Simulation::new(weather);
    simulation.run();
    println!(
        "{} devices, {} h: {} publishes, {} refused, {} delivered, {} tokens died; most kept by hour: {:?}",
        simulation.weather.devices,
        simulation.weather.hours,
        simulation.asked,
        simulation.refused,
        simulation.delivered,
        simulation.died,
        simulation.kept,
    );
    simulation.check();
}

#[test]
fn six_hours_of_a_small_world_leave_nothing_behind() {
    simulate(Weather { devices: 5000, hours: 6, outage: 2, daily: 20.0 });
}

#[test]
#[ignore = "48 hours and 100,000 devices take minutes: make simulate"]
fn two_days_of_a_large_world_leave_nothing_behind() {
    simulate(Weather { devices: 100_000, hours: 48, outage: 20, daily: 20.0 });
}
