//! What many devices cost: memory of the whole process once they are loaded, how long that takes, and how long it takes
//! to find one of them. `cargo bench --bench scale`.
//!
//! For each kind of token and each number of devices, one process fills a store, and another, which has done nothing
//! before, opens and loads it as the daemon does. `RSS` is what it holds then, `peak` the most that it ever held, `start`
//! the time from its first line to the end of loading, `cpu` what all its threads worked until then; after that it looks
//! for devices at random. `admit` is to find a device and to ask whether it admits a publish that shows the right secret.
//!
//! | variable | |
//! |---|---|
//! | `PUSHKEEPER_SCALE_DEVICES` | how many, by commas; `10000,100000,1000000` |
//! | `PUSHKEEPER_SCALE_TOKENS` | `apns` (64 hex digits), `fcm` (150 characters), or both by a comma |
//! | `PUSHKEEPER_SCALE_ENGINE` | `sled` or `redb` |
//! | `PUSHKEEPER_SCALE_FOLDER` | a folder on the disk to be measured; stores are kept and found again in one that is named |

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::error::Error;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use pushkeeper::app;
use pushkeeper::clock::Clock;
use pushkeeper::domain::device::{Access, Device, DeviceKey, History};
use pushkeeper::domain::ids::{Account, AppName, DeviceHash, Domain, Node};
use pushkeeper::domain::publish::{Notification, Publish};
use pushkeeper::domain::secret::{DeviceToken, Secret};
use pushkeeper::domain::time::Timestamp;
use pushkeeper::flows::data::Change;
use pushkeeper::flows::state::State;
use pushkeeper::store::{EngineKind, Store};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// Devices in one commit while a store is filled.
const GROUP: usize = 1000;

/// How long a process rests before its memory is read, in seconds.
const REST: usize = 3;

/// How many devices are looked for.
const LOOKUPS: usize = 500_000;

fn main() -> Fallible<()> {
    let clock = Clock::system();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let engine = if setting("ENGINE", "sled") == "redb" { EngineKind::Redb } else { EngineKind::Sled };
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--fill", path, tokens, devices] => return fill(Path::new(path), engine, tokens, devices.parse()?),
        ["--load", path, devices] => return load(Path::new(path), engine, devices.parse()?, &clock),
        _ => {}
    }
    let named = std::env::var_os("PUSHKEEPER_SCALE_FOLDER").map(PathBuf::from);
    let temporary = tempfile::tempdir_in(".")?;
    let folder = named.as_deref().unwrap_or(temporary.path());
    println!(
        "{:5} {:>9} {:>8} {:>9} {:>9} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9}",
        "",
        "devices",
        "disk MB",
        "RSS MB",
        "peak MB",
        "B/device",
        "start s",
        "cpu s",
        "node ns",
        "admit ns",
        "owner ns"
    );
    for tokens in setting("TOKENS", "apns,fcm").split(',') {
        for devices in setting("DEVICES", "10000,100000,1000000").split(',') {
            let path = folder.join(format!("{}-{tokens}-{devices}", engine.name()));
            if !path.exists() {
                run(&["--fill", &path.display().to_string(), tokens, devices])?;
            }
            let said = run(&["--load", &path.display().to_string(), devices])?;
            println!("{tokens:5} {devices:>9} {:>8.1} {said}", megabytes(size(&path)?));
        }
    }
    Ok(())
}

fn setting(name: &str, default: &str) -> String {
    std::env::var(format!("PUSHKEEPER_SCALE_{name}")).unwrap_or_else(|_| default.to_owned())
}

/// This program in a process of its own, and what it says.
fn run(arguments: &[&str]) -> Fallible<String> {
    let ran = Command::new(std::env::current_exe()?).args(arguments).output()?;
    if !ran.status.success() {
        return Err(String::from_utf8_lossy(&ran.stderr).into_owned().into());
    }
    Ok(String::from_utf8(ran.stdout)?.trim_end().to_owned())
}

fn fill(path: &Path, engine: EngineKind, tokens: &str, devices: usize) -> Fallible<()> {
    // One that was cut short is not taken for a whole one.
    let unfinished = path.with_extension("unfinished");
    let store = Store::open(&unfinished, engine)?;
    let numbers: Vec<usize> = (0..devices).collect();
    for group in numbers.chunks(GROUP) {
        let changes: Vec<_> = group.iter().map(|number| Change::Device(Box::new(device(tokens, *number)))).collect();
        store.commit(&changes)?;
    }
    drop(store);
    std::fs::rename(unfinished, path)?;
    Ok(())
}

fn load(path: &Path, engine: EngineKind, devices: usize, clock: &Clock) -> Fallible<()> {
    let config = path.with_extension("toml");
    std::fs::write(&config, CONFIG)?;
    let (config, _) = pushkeeper::config::load(Some(&config), []).map_err(|errors| format!("{errors:?}"))?;
    let mut state = State::new(config.policy);
    let store = app::open(path, engine, &mut state, clock)?;
    let (start, cpu) = (clock.steady().uptime(), cpu()?);
    let peak = memory("VmHWM:")?;
    // What loading left over is given back as the daemon does it.
    let mut rss = memory("VmRSS:")?;
    for _ in 0..REST {
        std::thread::sleep(Duration::from_secs(1));
        app::give_back();
        rss = rss.min(memory("VmRSS:")?);
    }
    if state.count() != (devices, 0) {
        return Err(format!("{:?} instead of {devices} devices", state.count()).into());
    }
    let names: Vec<_> = (0..LOOKUPS).map(|number| name(scattered(number) % devices)).collect();
    let nodes: Vec<_> = names.iter().map(|name| Node::new(name.node.as_str())).collect();
    let by_node = each(&nodes, clock, |node| state.device(node).is_some_and(|device| device.gone.is_none()))?;
    let asked: Vec<_> = (0..LOOKUPS).map(|number| publish(scattered(number) % devices)).collect();
    let admits = each(&asked, clock, |asked| state.device(&asked.node).is_some_and(|device| device.admits(asked)))?;
    drop(asked);
    let owners: Vec<_> = names.iter().map(|name| Account::new(name.owner.as_str())).collect();
    let by_owner = each(&owners, clock, |owner| state.devices_of(owner).count() == 1)?;
    #[expect(clippy::cast_precision_loss, reason = "for show")]
    let per_device = rss as f64 / devices as f64;
    println!(
        "{:>9.1} {:>9.1} {per_device:>8.0} {:>8.2} {cpu:>8.2} {by_node:>9.0} {admits:>9.0} {by_owner:>9.0}",
        megabytes(rss),
        megabytes(peak),
        start.as_secs_f64()
    );
    drop(store);
    Ok(())
}

/// Nanoseconds that it takes to find one of these, which are all to be found.
#[expect(clippy::cast_precision_loss, reason = "for show")]
fn each<T>(all: &[T], clock: &Clock, find: impl Fn(&T) -> bool) -> Fallible<f64> {
    let begun = clock.steady();
    let found = all.iter().filter(|wanted| black_box(find(black_box(wanted)))).count();
    let took: Duration = clock.steady() - begun;
    if found != all.len() {
        return Err(format!("{found} of {} were found", all.len()).into());
    }
    Ok(took.as_secs_f64() * 1e9 / all.len() as f64)
}

/// Seconds of processors that this process has taken, in hundredths (proc_pid_stat(5): `utime` and `stime`).
fn cpu() -> Fallible<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().ok_or("no fields")?.split_whitespace();
    let ticks: Vec<u32> = fields.skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(f64::from(ticks.iter().sum::<u32>()) / 100.0)
}

/// What the system says of this process's memory, bytes.
fn memory(line: &str) -> Fallible<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let found = status.lines().find_map(|it| it.strip_prefix(line)).ok_or("no such line")?;
    Ok(found.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

fn size(path: &Path) -> Fallible<u64> {
    let mut size = 0;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        size += if entry.file_type()?.is_dir() { self::size(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(size)
}

#[expect(clippy::cast_precision_loss, reason = "for show")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Names a device's node and its owner.
struct Name {
    node: String,
    owner: String,
}

/// As long as our own nodes are: 24 characters of base64url.
fn name(number: usize) -> Name {
    Name { node: letters(number, 24), owner: format!("user{number}@chat.example.org") }
}

/// A publish to a device, as its host sends it.
fn publish(number: usize) -> Publish {
    Publish {
        from: Domain::new("chat.example.org"),
        from_full_jid: false,
        node: Node::new(name(number).node),
        secret: Some(Secret::new(letters(number + 4, 32))),
        module: None,
        notification: Notification::default(),
    }
}

/// A device as apps register them: no two share anything but app and domain.
fn device(tokens: &str, number: usize) -> Device {
    let Name { node, owner } = name(number);
    let token = match tokens {
        "fcm" => format!("{}:APA91b{}", letters(number + 1, 22), letters(number + 2, 121)),
        _ => (0..4).map(|part| format!("{:016x}", scattered(number + part + 3))).collect(),
    };
    let made = Timestamp::from_millis(1_700_000_000_000 + i64::try_from(number).unwrap_or(0) * 1009);
    Device {
        node: Node::new(node.as_str()),
        secret: Secret::new(letters(number + 4, 32)),
        key: DeviceKey {
            app: AppName::new("chat"),
            account: DeviceHash::of(&owner, "92afd7a91cdba9a0"),
            channel: None,
        },
        owner: Account::new(owner),
        permitted: [Domain::new("chat.example.org")].into(),
        access: Access::Secret,
        token: DeviceToken::new(token),
        voip_token: None,
        generation: 1,
        made,
        renewed: made,
        history: History::default(),
        gone: None,
    }
}

/// Characters of base64url that look like chance, each number's its own.
fn letters(number: usize, count: usize) -> String {
    const ALPHABET: [u8; 64] = *b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let part = |at: usize| scattered(number.wrapping_mul(31).wrapping_add(at / 10)) >> (6 * (at % 10));
    (0..count).filter_map(|at| ALPHABET.get(part(at) & 63)).map(|&byte| char::from(byte)).collect()
}

/// A number that looks like chance, each number's its own (the finaliser of SplitMix64).
fn scattered(number: usize) -> usize {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

const CONFIG: &str = r#"
[component]
jid = "push.example.org"
secret = "a secret of the bench"

[store]
path = "unused"

[apps.chat]
provider = "stub"
"#;
