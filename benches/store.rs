//! How fast batches become durable in each engine, and how long a store takes to open: 64 devices a commit, as a busy
//! driver gathers them. `cargo bench --bench store`; `PUSHKEEPER_BENCH_FOLDER` names a folder on the disk to be
//! measured, `PUSHKEEPER_BENCH_DEVICES` how many devices there are.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use pushkeeper::clock::Clock;
use pushkeeper::domain::device::{Access, Device, DeviceKey, History};
use pushkeeper::domain::ids::{Account, AppName, DeviceHash, Domain, Node};
use pushkeeper::domain::secret::{DeviceToken, Secret};
use pushkeeper::domain::time::Timestamp;
use pushkeeper::flows::data::Change;
use pushkeeper::store::{EngineKind, Store, snapshots};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// Devices in one commit.
const GROUP: usize = 64;

fn main() -> Fallible<()> {
    let devices: usize = std::env::var("PUSHKEEPER_BENCH_DEVICES").map_or(Ok(50_000), |text| text.parse())?;
    let folder = std::env::var("PUSHKEEPER_BENCH_FOLDER").unwrap_or_else(|_| ".".to_owned());
    println!(
        "{:6} {:>10} {:>12} {:>10} {:>10} {:>9} {:>9} {:>9} {:>9}",
        "", "commits/s", "devices/s", "p50 ms", "p99 ms", "MB", "open s", "load s", "snap s"
    );
    for kind in EngineKind::ALL {
        let folder = tempfile::tempdir_in(&folder)?;
        measure(kind, &folder.path().join("store"), devices)?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "for show")]
fn measure(kind: EngineKind, path: &Path, devices: usize) -> Fallible<()> {
    let clock = Clock::system();
    let store = Store::open(path, kind)?;
    let numbers: Vec<usize> = (0..devices).collect();
    let mut took = Vec::new();
    let begun = clock.steady();
    for group in numbers.chunks(GROUP) {
        let changes: Vec<_> = group.iter().map(|number| Change::Device(Box::new(device(*number)))).collect();
        let before = clock.steady();
        store.commit(&changes)?;
        took.push(clock.steady() - before);
    }
    let all = (clock.steady() - begun).as_secs_f64();
    took.sort_unstable();
    let at = |percent: usize| took.get(took.len() * percent / 100).copied().unwrap_or_default();
    let millis = |span: Duration| span.as_secs_f64() * 1000.0;
    let (p50, p99) = (millis(at(50)), millis(at(99)));
    drop(store);

    let begun = clock.steady();
    let store = Store::open(path, kind)?;
    let opened = clock.steady();
    let loaded = store.load()?.count();
    let read = clock.steady();
    snapshots::write(&store, clock.wall())?;
    let written = clock.steady();
    if loaded != devices {
        return Err(format!("{loaded} of {devices} came back").into());
    }
    let size: u64 = std::fs::read_dir(path)?.flatten().filter_map(|entry| Some(entry.metadata().ok()?.len())).sum();
    let [open, load, snap] = [opened - begun, read - opened, written - read].map(|span| span.as_secs_f64());
    println!(
        "{:6} {:>10.0} {:>12.0} {p50:>10.2} {p99:>10.2} {:>9.1} {open:>9.2} {load:>9.2} {snap:>9.2}",
        kind.name(),
        took.len() as f64 / all,
        devices as f64 / all,
        size as f64 / 1e6,
    );
    Ok(())
}

fn device(number: usize) -> Device {
    // Nodes come in no order.
    let name = format!("{:016x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    Device {
        secret: Secret::new(format!("secret-{name}")),
        key: DeviceKey {
            app: AppName::new("chat"),
            account: DeviceHash::of("romeo@example.org", &name),
            channel: None,
        },
        owner: Account::new(format!("user{number}@example.org")),
        permitted: [Domain::new("example.org")].into(),
        access: Access::Secret,
        token: DeviceToken::new(format!("{name:x<160}")),
        voip_token: None,
        generation: 1,
        made: Timestamp::from_secs(1_700_000_000),
        renewed: Timestamp::from_secs(1_700_000_000),
        history: History::default(),
        gone: None,
        node: Node::new(name),
    }
}
