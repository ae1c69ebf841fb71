//! What the bridge costs its host: CPU of Prosody or ejabberd per message, with our bridge, with what the host itself has
//! (`mod_cloud_notify`, or `mod_push` with `mod_push_keepalive`), with neither.
//!
//! `cargo bench --bench host_cost`. Three hosts run side by side, each with forty phones that are away and have push, and
//! one client without push that is online. They take turns, so that a busy machine is unfair to none. In each round:
//!
//! 1. a burst to the account without registrations;
//! 2. a burst to the phones: all messages at once;
//! 3. paced: one message a second to each phone, so that nothing can be merged.
//!
//! The table has the medians of the rounds, and of the ratios to the host with neither in the same round. A component
//! answers publishes and batches as fast as it can. `PUSHKEEPER_BENCH_ROUNDS` changes the number of rounds,
//! `PUSHKEEPER_BENCH_HOST=ejabberd` the host.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

#[path = "../tests/support/client.rs"]
#[expect(dead_code, clippy::expect_used, reason = "what the tests stand on")]
mod client;
#[path = "../tests/support/component.rs"]
#[expect(dead_code, clippy::expect_used, reason = "what the tests stand on")]
mod component;
#[path = "../tests/support/process.rs"]
#[expect(clippy::expect_used, clippy::indexing_slicing, reason = "what the tests stand on")]
mod process;
#[path = "../tests/bridge/rig.rs"]
#[expect(dead_code, clippy::expect_used, clippy::indexing_slicing, reason = "what the tests stand on")]
mod rig;
#[path = "../tests/support/server.rs"]
#[expect(dead_code, clippy::expect_used, reason = "what the tests stand on")]
mod server;
#[path = "../tests/support/stream.rs"]
#[expect(clippy::expect_used, clippy::indexing_slicing, reason = "what the tests stand on")]
mod stream;

use std::error::Error;
use std::time::Duration;

use client::Client;
use rig::{Keeper, chat, online};
use server::{HOST, Kind, Pusher, SERVICE, Server, Wanted};

type Fallible<T> = Result<T, Box<dyn Error>>;

const PHONES: usize = 40;
/// Messages to each phone of a round, in a burst and paced. mod_smacks keeps 500 of them.
const BURST: usize = 25;
const PACED: usize = 2;

/// Who pushes, as the table names them.
const WAYS: [(&str, Pusher); 3] =
    [("neither", Pusher::Neither), ("its own", Pusher::Stock), ("our bridge", Pusher::Bridge)];

/// Microseconds of the host's CPU per message.
#[derive(Clone, Copy)]
struct Costs {
    burst: f64,
    paced: f64,
    unregistered: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Fallible<()> {
    let rounds: usize = std::env::var("PUSHKEEPER_BENCH_ROUNDS").map_or(Ok(5), |text| text.parse())?;
    let kind = match std::env::var("PUSHKEEPER_BENCH_HOST").as_deref() {
        Ok("ejabberd") => Kind::Ejabberd,
        _ => Kind::Prosody,
    };
    let mut candidates = Vec::new();
    for (_, pusher) in WAYS {
        candidates.push(Candidate::start(kind, pusher).await);
    }
    let mut measured = [const { Vec::new() }; 3];
    // The first round warms up.
    for round in 0..=rounds {
        let mut turns: Vec<_> = candidates.iter_mut().zip(&mut measured).collect();
        turns.rotate_left(round % WAYS.len());
        for (candidate, costs) in turns {
            let cost = candidate.round().await?;
            if round > 0 {
                costs.push(cost);
            }
        }
    }
    table(&measured);
    Ok(())
}

/// A host, and who is there.
struct Candidate {
    host: Server,
    _keeper: Keeper,
    bob: Client,
    phones: Vec<String>,
}

impl Candidate {
    async fn start(kind: Kind, pusher: Pusher) -> Self {
        let names: Vec<String> = (0..PHONES).map(|n| format!("u{n}")).collect();
        // ejabberd's archive in Mnesia takes longer with every message: nothing else would be seen beside it.
        let without: &[&str] = if kind == Kind::Ejabberd { &["mam"] } else { &[] };
        let wanted = Wanted {
            users: &["bob", "carol"],
            components: &[SERVICE],
            pusher,
            without,
            // A full archive is cut for every message that comes, which takes longer than all else.
            prosody: "storage_archive_item_limit = 10000000",
            ..Wanted::default()
        };
        let host = Server::start_on(kind, &wanted).await;
        host.create_users(&names).await;
        let mut keeper = Keeper::connect(&host).await;
        if pusher == Pusher::Bridge {
            keeper.sync("bench").await;
        }
        for name in &names {
            let mut phone = online(&host, name, "phone").await;
            if pusher != Pusher::Neither {
                let answer = phone.enable_push(SERVICE, name, "").await;
                assert_eq!(answer.attr("type"), Some("result"), "{}", String::from(&answer));
            }
            phone.acknowledge_all().await;
            phone.lose_connection();
        }
        let bob = online(&host, "bob", "desk").await;
        let carol = online(&host, "carol", "desk").await;
        tokio::spawn(read(carol));
        let phones = names.iter().map(|name| format!("{name}@{HOST}")).collect();
        Self { host, _keeper: keeper, bob, phones }
    }

    async fn round(&mut self) -> Fallible<Costs> {
        let Self { host, bob, phones, .. } = self;
        let carol = [format!("carol@{HOST}")];
        let before = cpu(host)?;
        burst(bob, &carol, PHONES * BURST).await;
        settle().await;
        let unregistered = per_message(before, cpu(host)?, PHONES * BURST);

        let before = cpu(host)?;
        burst(bob, phones, BURST).await;
        settle().await;
        let burst = per_message(before, cpu(host)?, PHONES * BURST);

        let before = cpu(host)?;
        for n in 0..PACED {
            for to in phones.iter() {
                tokio::time::sleep(Duration::from_secs(1) / u32::try_from(PHONES)?).await;
                bob.send(&chat(to, &format!("p{n}"), "Hello")).await;
            }
        }
        bob.acknowledge_all().await;
        settle().await;
        let paced = per_message(before, cpu(host)?, PHONES * PACED);
        Ok(Costs { burst, paced, unregistered })
    }
}

/// Reads and acknowledges whatever comes.
async fn read(mut client: Client) {
    client.forget_all().await;
}

/// Sends to each of these so many messages, and waits until the server has handled them.
async fn burst(bob: &mut Client, to: &[String], each: usize) {
    for n in 0..each {
        let messages: String = to.iter().map(|to| chat(to, &format!("m{n}"), "Hello")).collect();
        bob.send(&messages).await;
    }
    bob.acknowledge_all().await;
}

/// Both ways to push have timers: a second, and a tenth of one.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1500)).await;
}

/// CPU time of the host so far, of all its threads, in nanoseconds.
fn cpu(host: &Server) -> Fallible<f64> {
    let pid = host.pid().ok_or("the host is gone")?;
    let mut total = 0.0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        let spent: f64 = text.split_whitespace().next().ok_or("no schedstat")?.parse()?;
        total += spent;
    }
    Ok(total)
}

#[expect(clippy::cast_precision_loss, reason = "for show")]
fn per_message(before: f64, after: f64, messages: usize) -> f64 {
    (after - before) / 1000.0 / messages as f64
}

/// The median of one of the costs, as it is or in relation to that of another host in the same round.
fn median(costs: &[Costs], others: Option<&[Costs]>, of: fn(&Costs) -> f64) -> f64 {
    let mut all: Vec<f64> = match others {
        Some(others) => costs.iter().zip(others).map(|(it, other)| of(it) / of(other)).collect(),
        None => costs.iter().map(of).collect(),
    };
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What is measured, and its name.
type Column = (&'static str, fn(&Costs) -> f64);

const COLUMNS: [Column; 3] = [
    ("no registration", |it| it.unregistered),
    ("phones away, burst", |it| it.burst),
    ("phones away, paced", |it| it.paced),
];

fn table(measured: &[Vec<Costs>; 3]) {
    let line = |name: &str, cells: [String; 3]| {
        let [one, two, three] = cells;
        println!("{name:22} {one:>20} {two:>20} {three:>20}");
    };
    let [neither, notify, bridge] = measured;
    println!();
    line("µs of CPU a message", COLUMNS.map(|(name, _)| name.to_owned()));
    for ((name, _), costs) in WAYS.iter().zip(measured) {
        line(
            name,
            COLUMNS
                .map(|(_, of)| format!("{:.1} ({:.3} x)", median(costs, None, of), median(costs, Some(neither), of))),
        );
    }
    line("bridge / its own", COLUMNS.map(|(_, of)| format!("{:.3}", median(bridge, Some(notify), of))));
}
