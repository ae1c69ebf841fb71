//! How fast publishes become pushes, beside what HTTP/2 alone could do in the same run.
//!
//! `cargo bench --bench publish` starts this program a second time as the world around pushkeeper: an XMPP server and
//! an APNs, on loopback. So the CPU time of this process is pushkeeper's own. What is measured, in order:
//!
//! 1. the ceiling: a bare `h2` client sends the same pushes to the same APNs;
//! 2. registrations, each durable before it is answered;
//! 3. publishes with a window of 32, and of 512, unanswered ones;
//! 4. 100 000 publishes at once: the peak of memory.
//!
//! It fails if a publish got no answer or a wrong one, never for being slow. `PUSHKEEPER_BENCH_PUBLISHES` and
//! `PUSHKEEPER_BENCH_DEVICES` change the sizes.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

#[path = "publish/apns.rs"]
mod apns;
#[path = "publish/ceiling.rs"]
mod ceiling;
#[path = "publish/cost.rs"]
mod cost;
#[path = "publish/host.rs"]
mod host;
#[path = "publish/system.rs"]
mod system;
#[path = "publish/world.rs"]
mod world;

use std::error::Error;
use std::time::Duration;

use cost::Cost;
use host::Report;
use world::World;

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

const WINDOWS: [usize; 2] = [32, 512];
const AT_ONCE: usize = 100_000;
/// Sent before each measured run, so that connections, caches and allocators are warm.
const WARM_UP: usize = 5_000;

fn main() -> Fallible<()> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("--world"), Some(folder)) => world::run(folder.as_ref()),
        _ => bench(),
    }
}

fn bench() -> Fallible<()> {
    let publishes = size("PUSHKEEPER_BENCH_PUBLISHES", 100_000)?;
    let devices = size("PUSHKEEPER_BENCH_DEVICES", 10_000)?;
    let mut world = World::start()?;

    head();
    let mut ceilings = Vec::new();
    for window in WINDOWS {
        let ceiling = ceiling::measure(&world, publishes, window)?;
        ceilings.push(row(&format!("ceiling: bare h2, window {window}"), &ceiling.report, &ceiling.cost));
    }

    let system = system::start(&world)?;
    world.await_link()?;
    let before = Cost::now()?;
    let registered = world.register(devices)?;
    row("registrations, durable, window 512", &registered, &before.until_now()?);
    let base = cost::memory()?;

    for (window, ceiling) in WINDOWS.into_iter().zip(ceilings) {
        world.publish(WARM_UP.min(publishes), window)?.strict(true)?;
        let before = Cost::now()?;
        let report = world.publish(publishes, window)?;
        let per_10k = row(&format!("publishes, window {window}"), &report, &before.until_now()?);
        println!("{:>38} {:.2} x the ceiling's CPU", "", per_10k / ceiling);
        report.strict(true)?;
    }

    cost::reset_peak()?;
    let before = Cost::now()?;
    let report = world.publish(AT_ONCE, AT_ONCE)?;
    row(&format!("{AT_ONCE} publishes at once"), &report, &before.until_now()?);
    println!("{:>38} answers: {:?}; pushes: {}", "", report.answers, report.pushes);
    let after = cost::memory()?;
    let peak = after.peak;
    println!("\nmemory, MB: {:.0} with {devices} devices, {peak:.0} at the peak of the {AT_ONCE}", base.resident);
    // What was sent but not read lies in the sockets; what was read has a slot or an answer.
    report.strict(false)?;

    system.stop()?;
    world.stop()
}

fn size(variable: &str, default: usize) -> Fallible<usize> {
    match std::env::var(variable) {
        Ok(number) => Ok(number.parse()?),
        Err(_) => Ok(default),
    }
}

fn head() {
    println!("{:38} {:>10} {:>12} {:>9} {:>9} {:>9}", "", "per second", "CPU s / 10k", "p50 ms", "p99 ms", "max ms");
}

/// Prints a line of the table; returns its CPU seconds per 10 000.
#[expect(clippy::cast_precision_loss, reason = "for show")]
fn row(what: &str, report: &Report, cost: &Cost) -> f64 {
    let number = report.number as f64;
    let rate = number / report.took.as_secs_f64();
    let per_10k = cost.cpu.as_secs_f64() / number * 10_000.0;
    let millis = |span: Duration| span.as_secs_f64() * 1000.0;
    let [p50, p99, max] = [report.p50, report.p99, report.max].map(millis);
    println!("{what:38} {rate:>10.0} {per_10k:>12.3} {p50:>9.2} {p99:>9.2} {max:>9.2}");
    per_10k
}
