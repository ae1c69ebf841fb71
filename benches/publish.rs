//! How fast publishes become pushes, beside what a component with nothing in it could do in the same run.
//!
//! `cargo bench --bench publish` starts this program a second time as the world around pushkeeper: an XMPP server and
//! the vendors, on loopback. So the CPU time of this process is pushkeeper's own. A row has the medians of its runs, in
//! which pushkeeper and the ceiling take turns: `publish-apns-512-0` is what goes to APNs with at most 512 publishes
//! unanswered and a vendor that thinks for 0 ms. docs/testing.md tells what else there is.
//!
//! It fails if a publish got no answer or a wrong one, never for being slow. `PUSHKEEPER_BENCH_ONLY` names the rows to
//! run, by what they begin with, between commas; `PUSHKEEPER_BENCH_RUNS` is how often (5), `PUSHKEEPER_BENCH_DEVICES`
//! how many devices there are (10,000), `PUSHKEEPER_BENCH_PUBLISHES` the most publishes of a run (100,000).
//! `PUSHKEEPER_BENCH_VENDOR=strict` has every header looked at, and makes the vendor slow.

#[path = "publish/bridge.rs"]
mod bridge;
#[path = "publish/ceiling.rs"]
mod ceiling;
#[path = "publish/cost.rs"]
mod cost;
#[path = "publish/frames.rs"]
mod frames;
#[path = "publish/host.rs"]
mod host;
#[path = "publish/more.rs"]
mod more;
#[path = "publish/oauth.rs"]
mod oauth;
#[path = "publish/provider.rs"]
mod provider;
#[path = "publish/publishes.rs"]
mod publishes;
#[path = "publish/report.rs"]
mod report;
#[path = "publish/rows.rs"]
mod rows;
#[path = "publish/strict.rs"]
mod strict;
#[path = "publish/system.rs"]
mod system;
#[path = "publish/table.rs"]
mod table;
#[path = "publish/vendor.rs"]
mod vendor;
#[path = "publish/world.rs"]
mod world;

use std::error::Error;

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Fallible<()> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("--world"), Some(folder)) => world::run(folder.as_ref()),
        _ => rows::all(),
    }
}
