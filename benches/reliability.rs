//! What a vendor at its worst costs: how many of 30,000 publishes are answered, delivered, delivered twice, lost.
//!
//! `cargo bench --bench reliability` runs all of pushkeeper between a stand-in for the host and one for the vendors, on
//! loopback, once for each trouble, and prints a Markdown table (`docs/reliability.md` keeps one). Every device gets one
//! publish, so that none can be merged. Of the two paces, a window keeps the connections full, which is the worst for
//! what is cut; a fixed rate shows what hanging requests do to the others.
//!
//! It fails if a push is lost, or a publish is answered anything but `result`; never for being slow.
//! `PUSHKEEPER_BENCH_PUBLISHES` changes the number, `PUSHKEEPER_BENCH_RATE` the publishes per second,
//! `PUSHKEEPER_BENCH_ONLY` runs those rows whose name contains it.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

#[path = "../tests/support/mod.rs"]
#[expect(
    dead_code,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what the tests stand on"
)]
mod support;
#[path = "../tests/it/trouble.rs"]
#[expect(clippy::expect_used, clippy::indexing_slicing, reason = "what the tests stand on")]
mod trouble;
#[path = "../tests/it/whole_rig.rs"]
#[expect(dead_code, clippy::expect_used, reason = "what the tests stand on")]
mod whole_rig;

use std::error::Error;
use std::time::Duration;

use trouble::{Pace, Run, Tally, Trouble};

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Publishes without an answer, where the pace is a window.
const WINDOW: usize = 512;
/// After so long without delivery of what is owed, it is taken for lost.
const PATIENCE: Duration = Duration::from_secs(180);

fn main() -> Fallible<()> {
    let publishes = number("PUSHKEEPER_BENCH_PUBLISHES", 30_000)?;
    let rate = u32::try_from(number("PUSHKEEPER_BENCH_RATE", 2_000)?)?;
    let only = std::env::var("PUSHKEEPER_BENCH_ONLY").unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;

    println!(
        "| trouble | published | answered `result` | otherwise | delivered | duplicates | lost | requests | \
         connections | p50 ms | p99 ms | s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    let mut wrong = Vec::new();
    for (name, service, trouble, pace) in rows(rate) {
        if !name.contains(&only) {
            continue;
        }
        let tally = runtime.block_on(Run { trouble, service, publishes, pace, patience: PATIENCE }.go());
        print(name, service, pace, &tally);
        if tally.failed > 0 || tally.lost > 0 || tally.too_early > 0 {
            wrong.push(format!("{name}: {tally:?}"));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// What is run: its name, whose service, what happens, and how fast.
fn rows(rate: u32) -> Vec<(&'static str, &'static str, Trouble, Pace)> {
    let (full, paced) = (Pace::Window(WINDOW), Pace::PerSecond(rate));
    let secs = Duration::from_secs;
    vec![
        ("none", "apns", Trouble::None, full),
        ("GOAWAY every 1000", "apns", Trouble::GoAway(1000), full),
        ("GOAWAY every 1000", "fcm", Trouble::GoAway(1000), full),
        ("cut every 1000", "apns", Trouble::Cut(1000), full),
        ("cut every 1000", "fcm", Trouble::Cut(1000), full),
        ("all connections fall silent every 10,000", "apns", Trouble::Freeze(10_000), full),
        ("503 from the 3rd to the 8th second", "apns", Trouble::Down(secs(3), secs(8)), paced),
        ("429, Retry-After: 2, every 10th", "apns", Trouble::Throttled(10, 2), paced),
        ("429, Retry-After: 2, every 10th", "fcm", Trouble::Throttled(10, 2), paced),
        ("access token revoked every 9,000", "fcm", Trouble::Revoked(9_000), full),
        ("away for 10 s from the start", "apns", Trouble::Away(secs(10)), paced),
        ("none hangs", "apns", Trouble::None, paced),
        ("10 % hang", "apns", Trouble::Hang(10), paced),
        ("20 % hang", "apns", Trouble::Hang(5), paced),
        ("none hangs, again", "apns", Trouble::None, paced),
        ("none hangs", "fcm", Trouble::None, paced),
        ("10 % hang", "fcm", Trouble::Hang(10), paced),
        ("20 % hang", "fcm", Trouble::Hang(5), paced),
    ]
}

fn print(name: &str, service: &str, pace: Pace, tally: &Tally) {
    let pace = match pace {
        Pace::Window(window) => format!("window {window}"),
        Pace::PerSecond(rate) => format!("{rate}/s"),
    };
    let Tally { published, results, failed, delivered, duplicates, lost, requests, connections, .. } = tally;
    let [p50, p99] = [tally.p50, tally.p99].map(|span| span.as_secs_f64() * 1000.0);
    println!(
        "| {name} ({service}, {pace}) | {published} | {results} | {failed} | {delivered} | {duplicates} | {lost} | {requests} | \
         {connections} | {p50:.2} | {p99:.1} | {:.0} |",
        tally.took.as_secs_f64(),
    );
}

fn number(variable: &str, default: usize) -> Fallible<usize> {
    match std::env::var(variable) {
        Ok(number) => Ok(number.parse()?),
        Err(_) => Ok(default),
    }
}
