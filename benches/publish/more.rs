//! Rows about what is not a publish that becomes a push: what has to be durable, what a bridge says, outages, and many
//! devices. They have no ceiling, but for the last.

use std::path::Path;
use std::time::Duration;

use pushkeeper::clock::Clock;
use pushkeeper::domain::device::{Access, Device, DeviceKey, History};
use pushkeeper::domain::ids::{Account, AppName, DeviceHash, Domain, Node};
use pushkeeper::domain::secret::{DeviceToken, Secret};
use pushkeeper::domain::time::Timestamp;
use pushkeeper::flows::data::Change;
use pushkeeper::store::{EngineKind, Store};

use crate::Fallible;
use crate::cost::{self, Cpu};
use crate::host::DOMAIN;
use crate::provider::Provider;
use crate::publishes::known;
use crate::report::Report;
use crate::rows::{AT_ONCE, Plan, REGISTERING, burst, is_alone, measure};
use crate::system::System;
use crate::table::{Run, Table};
use crate::world::{Side, World};

/// How many clients wait for something durable.
const WAITING: usize = 64;
/// Clients and messages of a run.
const NUMBER: usize = 10_000;
const SCALES: [(&str, usize); 3] = [("10k", 10_000), ("100k", 100_000), ("1m", 1_000_000)];
/// Devices in one commit, while a store is filled.
const GROUP: usize = 1000;

/// All of them, as far as they are wanted.
pub(crate) fn all(plan: &Plan, world: &mut World, table: &mut Table) -> Fallible<()> {
    if plan.wants("register-64") {
        let system = System::start(world)?;
        durable(plan, table, "register-64", || world.register(Provider::Apns, NUMBER, WAITING))?;
        system.stop(world)?;
    }
    if plan.wants("enable-64") || plan.wants("signal") {
        bridged(plan, world, table)?;
    }
    if plan.wants("outage") {
        outage(plan, world, table)?;
    }
    for (scale, devices) in SCALES {
        let name = format!("scale-apns-{scale}");
        if plan.wants(&name) {
            many(plan, world, table, &name, devices)?;
        }
    }
    let name = "each-once-apns";
    if plan.wants(name) && !is_alone(plan, table, name)? {
        let system = with_devices(world, AT_ONCE)?;
        let base = cost::memory()?;
        burst(plan, world, table, name, Provider::Apns, base.resident)?;
        system.stop(world)?;
    }
    Ok(())
}

/// What is on disk before it is answered.
fn durable(plan: &Plan, table: &mut Table, name: &str, mut work: impl FnMut() -> Fallible<Report>) -> Fallible<()> {
    let mut runs = Vec::new();
    for _ in 0..plan.runs {
        let cpu = Cpu::now();
        let report = work()?;
        runs.push(Run::new(&report, cpu.until_now()));
        report.results_only()?;
    }
    table.alone(name, &runs)
}

/// What a bridge hands on, and what it tells.
fn bridged(plan: &Plan, world: &mut World, table: &mut Table) -> Fallible<()> {
    let system = System::start_with(world, true, |_, _| Ok(()))?;
    world.bridge()?;
    if plan.wants("enable-64") {
        durable(plan, table, "enable-64", || world.enable(NUMBER, WAITING))?;
    }
    if plan.wants("signal") {
        world.register(Provider::Apns, NUMBER, REGISTERING)?;
        world.enable_us(Provider::Apns)?;
        world.messages(Provider::Apns, NUMBER)?;
        let mut runs = Vec::new();
        for _ in 0..plan.runs {
            let cpu = Cpu::now();
            let report = world.messages(Provider::Apns, NUMBER)?;
            runs.push(Run::new(&report, cpu.until_now()));
            if report.pushes != u64::try_from(NUMBER)? {
                return Err(format!("{NUMBER} messages made {} pushes", report.pushes).into());
            }
        }
        table.alone("signal", &runs)?;
    }
    system.stop(world)
}

/// No vendor for a while: what is promised meanwhile, and how fast it goes out afterwards.
fn outage(plan: &Plan, world: &mut World, table: &mut Table) -> Fallible<()> {
    let (mut promises, mut drains) = (Vec::new(), Vec::new());
    for _ in 0..plan.runs {
        let system = System::start(world)?;
        world.register(Provider::Apns, NUMBER, REGISTERING)?;
        world.publish(Side::Pushkeeper, Provider::Apns, NUMBER, REGISTERING)?.strict()?;
        world.refuse()?;
        let cpu = Cpu::now();
        let promised = world.publish(Side::Pushkeeper, Provider::Apns, NUMBER, REGISTERING)?;
        promises.push(Run::new(&promised, cpu.until_now()));
        promised.results_only()?;
        let cpu = Cpu::now();
        let drained = world.drain(u64::try_from(NUMBER)?)?;
        drains.push(Run::new(&drained, cpu.until_now()));
        system.stop(world)?;
    }
    table.alone("outage-promises-512", &promises)?;
    table.alone("outage-drain", &drains)
}

/// So many devices, which were there before.
fn many(plan: &Plan, world: &mut World, table: &mut Table, name: &str, devices: usize) -> Fallible<()> {
    let system = with_devices(world, devices)?;
    let mut runs = Vec::new();
    for _ in 0..plan.runs {
        let (run, report) = measure(plan, world, Side::Pushkeeper, Provider::Apns, REGISTERING, Duration::ZERO)?;
        report.strict()?;
        runs.push(run);
    }
    table.alone(name, &runs)?;
    system.stop(world)
}

fn with_devices(world: &mut World, devices: usize) -> Fallible<System> {
    let system = System::start_with(world, false, |world, path| world.fill(path, devices))?;
    world.known(Provider::Apns, devices)?;
    system.settle()?;
    Ok(system)
}

/// Makes a store with so many devices in it.
pub(crate) fn fill(path: &Path, devices: usize) -> Fallible<()> {
    let store = Store::open(path, EngineKind::ALL[0])?;
    // What was registered long ago and never worked is forgotten.
    let now = Clock::system().wall();
    let numbers: Vec<usize> = (0..devices).collect();
    for group in numbers.chunks(GROUP) {
        let changes: Vec<_> = group.iter().map(|number| Change::Device(Box::new(device(*number, now)))).collect();
        store.commit(&changes)?;
    }
    Ok(())
}

fn device(number: usize, now: Timestamp) -> Device {
    let (node, secret) = known(number);
    let mut token = Vec::new();
    Provider::Apns.token(&mut token, number);
    let account = format!("user{number}@{DOMAIN}");
    Device {
        secret: Secret::new(secret),
        key: DeviceKey { app: AppName::new("bench-ios"), account: DeviceHash::of(&account, &node), channel: None },
        owner: Account::new(account),
        permitted: [Domain::new(DOMAIN)].into(),
        access: Access::Secret,
        token: DeviceToken::new(String::from_utf8_lossy(&token)),
        voip_token: None,
        generation: 1,
        made: now,
        renewed: now,
        history: History::default(),
        gone: None,
        node: Node::new(node),
    }
}
