//! The rows, and how each is measured.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Fallible;
use crate::ceiling::{Ceiling, Work};
use crate::cost::{self, Cpu};
use crate::more;
use crate::provider::Provider;
use crate::system::System;
use crate::table::{Run, Table, median};
use crate::world::{Side, World};

const WINDOWS: [usize; 4] = [1, 32, 512, 4096];
const DELAYS: [Duration; 2] = [Duration::ZERO, Duration::from_millis(50)];
/// Sent before each measured run, so that connections, caches and allocators are warm.
const WARM_UP: usize = 5_000;
/// How many registrations wait for their answers where only the devices count.
pub(crate) const REGISTERING: usize = 512;
/// Publishes of a row about memory.
pub(crate) const AT_ONCE: usize = 100_000;

/// What is asked of this bench.
pub(crate) struct Plan {
    only: Vec<String>,
    /// How often everything is measured.
    pub(crate) runs: usize,
    /// Devices, where their number does not matter.
    pub(crate) devices: usize,
    /// The most publishes of a run.
    pub(crate) most: usize,
}

impl Plan {
    fn read() -> Fallible<Self> {
        let only = std::env::var("PUSHKEEPER_BENCH_ONLY").unwrap_or_default();
        Ok(Self {
            only: only.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            runs: size("PUSHKEEPER_BENCH_RUNS", 5)?,
            devices: size("PUSHKEEPER_BENCH_DEVICES", 10_000)?,
            most: size("PUSHKEEPER_BENCH_PUBLISHES", 100_000)?,
        })
    }

    pub(crate) fn wants(&self, row: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| row.starts_with(name.as_str()))
    }

    /// How many publishes make a run of about a second.
    fn number(&self, window: usize, delay: Duration) -> usize {
        let at_best = if delay.is_zero() {
            match window {
                1 => 10_000,
                2..=99 => 50_000,
                _ => 100_000,
            }
        } else {
            window * 20 * 3 / 2
        };
        at_best.min(self.most)
    }
}

fn size(variable: &str, default: usize) -> Fallible<usize> {
    match std::env::var(variable) {
        Ok(number) => Ok(number.parse()?),
        Err(_) => Ok(default),
    }
}

/// Measures what was asked for.
pub(crate) fn all() -> Fallible<()> {
    let plan = Plan::read()?;
    let mut world = World::start()?;
    world.strict(std::env::var("PUSHKEEPER_BENCH_VENDOR").is_ok_and(|vendor| vendor == "strict"))?;
    let mut table = Table::default();
    table.head()?;
    legs(&plan, &mut world, &mut table)?;
    for provider in Provider::ALL {
        pushes(&plan, &mut world, &mut table, provider)?;
    }
    world.delay(Duration::ZERO)?;
    more::all(&plan, &mut world, &mut table)?;
    world.stop()?;
    keep(&table)
}

/// Where `make bench` finds the table again.
fn keep(table: &Table) -> Fallible<()> {
    let Ok(file) = std::env::var("PUSHKEEPER_BENCH_TABLE") else { return Ok(()) };
    Ok(std::fs::write(file, table.text())?)
}

/// The XMPP leg alone.
fn legs(plan: &Plan, world: &mut World, table: &mut Table) -> Fallible<()> {
    for window in WINDOWS {
        let name = format!("leg-{window}");
        if !plan.wants(&name) {
            continue;
        }
        let ceiling = Ceiling::start(world, Work::Answer)?;
        let mut runs = Vec::new();
        for _ in 0..plan.runs {
            let (run, _) = measure(plan, world, Side::Ceiling, Provider::Apns, window, Duration::ZERO)?;
            runs.push(run);
        }
        ceiling.stop(world)?;
        table.alone(&name, &runs)?;
    }
    Ok(())
}

impl Plan {
    fn wants_publishes(&self, provider: Provider) -> bool {
        DELAYS.iter().any(|delay| WINDOWS.iter().any(|window| self.wants(&publish_row(provider, *window, *delay))))
    }
}

fn publish_row(provider: Provider, window: usize, delay: Duration) -> String {
    format!("publish-{}-{window}-{}", provider.name(), delay.as_millis())
}

fn burst_row(provider: Provider) -> String {
    format!("burst-{}", provider.name())
}

/// Publishes that become pushes.
fn pushes(plan: &Plan, world: &mut World, table: &mut Table, provider: Provider) -> Fallible<()> {
    if plan.wants_publishes(provider) {
        let system = System::start(world)?;
        world.delay(Duration::ZERO)?;
        world.register(provider, plan.devices, REGISTERING)?;
        for delay in DELAYS {
            for window in WINDOWS {
                let name = publish_row(provider, window, delay);
                if plan.wants(&name) {
                    world.delay(delay)?;
                    publishes(plan, world, table, &name, provider, window, delay)?;
                }
            }
        }
        system.stop(world)?;
    }
    let name = burst_row(provider);
    if plan.wants(&name) && !is_alone(plan, table, &name)? {
        world.delay(Duration::ZERO)?;
        let system = System::start(world)?;
        world.register(provider, plan.devices, REGISTERING)?;
        let base = cost::memory()?;
        burst(plan, world, table, &name, provider, base.resident)?;
        system.stop(world)?;
    }
    Ok(())
}

/// A row about memory has a process of its own, so that nothing of the others is in it: measures it there, unless this
/// process has no other row.
pub(crate) fn is_alone(plan: &Plan, table: &mut Table, name: &str) -> Fallible<bool> {
    if plan.only == [name] {
        return Ok(false);
    }
    let out = Command::new(std::env::current_exe()?)
        .env("PUSHKEEPER_BENCH_ONLY", name)
        .env_remove("PUSHKEEPER_BENCH_TABLE")
        .stderr(Stdio::inherit())
        .output()?;
    // Its first line is the table's head.
    for line in String::from_utf8(out.stdout)?.lines().skip(1) {
        table.line(line)?;
    }
    if out.status.success() { Ok(true) } else { Err(format!("{name} failed").into()) }
}

fn publishes(
    plan: &Plan,
    world: &mut World,
    table: &mut Table,
    name: &str,
    provider: Provider,
    window: usize,
    delay: Duration,
) -> Fallible<()> {
    // One connection ends at 1000 streams by latency.
    let connections = if delay.is_zero() { 1 } else { 4 };
    let ceiling = Ceiling::start(world, Work::Push(provider, connections))?;
    let (mut ours, mut ceilings) = (Vec::new(), Vec::new());
    for _ in 0..plan.runs {
        let (run, pushes) = measure(plan, world, Side::Ceiling, provider, window, delay)?;
        pushes.strict()?;
        ceilings.push(run);
        let (run, pushes) = measure(plan, world, Side::Pushkeeper, provider, window, delay)?;
        pushes.strict()?;
        ours.push(run);
    }
    ceiling.stop(world)?;
    table.beside(name, &ours, &ceilings)?;
    if window == 1 {
        let added = median(ours.iter().zip(&ceilings).map(|(our, ceiling)| our.p50 - ceiling.p50));
        table.line(&format!("{:22} one publish alone: {added:.3} ms later than the ceiling's", ""))?;
    }
    Ok(())
}

pub(crate) fn measure(
    plan: &Plan,
    world: &mut World,
    side: Side,
    provider: Provider,
    window: usize,
    delay: Duration,
) -> Fallible<(Run, crate::report::Report)> {
    let number = plan.number(window, delay);
    world.publish(side, provider, WARM_UP.min(number), window)?;
    let cpu = Cpu::now();
    let report = world.publish(side, provider, number, window)?;
    Ok((Run::new(&report, cpu.until_now()), report))
}

/// Everything at once: what it needs at most, and that nothing is lost.
pub(crate) fn burst(
    plan: &Plan,
    world: &mut World,
    table: &mut Table,
    name: &str,
    provider: Provider,
    resident: f64,
) -> Fallible<()> {
    let (mut runs, mut peaks) = (Vec::new(), Vec::new());
    for _ in 0..plan.runs {
        cost::reset_peak()?;
        let cpu = Cpu::now();
        let report = world.publish(Side::Pushkeeper, provider, AT_ONCE, AT_ONCE)?;
        runs.push(Run::new(&report, cpu.until_now()));
        // What was sent but not read lies in the sockets; what was read has a slot or an answer.
        report.lenient()?;
        peaks.push(cost::memory()?.peak);
    }
    table.alone(name, &runs)?;
    let peak = median(peaks.into_iter());
    table.line(&format!("{:22} MB: {resident:.0} before, {peak:.0} at the peak of {AT_ONCE} at once", ""))
}
