//! Looks on: counts for the driver, and knows of the process what the flows cannot.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::ids::AppName;
use crate::driver::Watch;
use crate::flows::data::{Answer, Line, Status, Vitals};
use crate::http::{Page, Served};
use crate::metrics::{Around, Metrics, Rates};
use crate::xmpp::link::Counters;

/// How often samples are taken.
const EVERY: Duration = Duration::from_secs(5);

/// At each so many of them the store is measured as well: that walks through a folder.
const STORE_EVERY: u32 = 12;

/// Looks on, for all who ask what was seen.
#[derive(Clone)]
pub(super) struct Watcher(Arc<Seen>);

struct Seen {
    metrics: Metrics,
    counters: Arc<Counters>,
    clock: Clock,
    /// Bytes; 0 while it is not known.
    resident: AtomicU64,
    store: AtomicU64,
    rates: Mutex<Rates>,
    /// Requests over HTTP that were answered, by listener.
    served: [(&'static str, Arc<Served>); 2],
}

impl Watcher {
    /// Looks on, with counters for these apps.
    pub(super) fn new<'a>(apps: impl IntoIterator<Item = &'a AppName>, clock: Clock) -> Self {
        Self(Arc::new(Seen {
            metrics: Metrics::new(apps),
            counters: Arc::default(),
            clock,
            resident: AtomicU64::new(0),
            store: AtomicU64::new(0),
            rates: Mutex::default(),
            served: [("operators", Arc::default()), ("public", Arc::default())],
        }))
    }

    /// What the link counts.
    pub(super) fn counters(&self) -> Arc<Counters> {
        self.0.counters.clone()
    }

    /// What the listener of `[http]` counts.
    pub(super) fn operators(&self) -> Arc<Served> {
        let [(_, served), _] = &self.0.served;
        served.clone()
    }

    /// What the listener of `[http.public]` counts.
    pub(super) fn public(&self) -> Arc<Served> {
        let [_, (_, served)] = &self.0.served;
        served.clone()
    }

    /// Measures what takes a while, and keeps the samples that rates come from. Never ends.
    pub(super) async fn keep(self, store: PathBuf) {
        let mut beat = tokio::time::interval(EVERY);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for number in 0_u32.. {
            beat.tick().await;
            let measure_store = number.is_multiple_of(STORE_EVERY).then(|| store.clone());
            let watcher = self.clone();
            // The disk may take its time; nobody waits for it but this task.
            let _panicked = tokio::task::spawn_blocking(move || watcher.sample(measure_store.as_deref())).await;
        }
    }

    fn sample(&self, store: Option<&Path>) {
        let Seen { metrics, clock, resident, store: stored, rates, .. } = &*self.0;
        rates.lock().unwrap_or_else(PoisonError::into_inner).sample(clock.steady(), metrics.totals());
        let own = std::fs::read_to_string("/proc/self/status").ok().and_then(|text| resident_of(&text));
        resident.store(own.unwrap_or(0), Ordering::Relaxed);
        if let Some(path) = store {
            stored.store(bytes_of(path), Ordering::Relaxed);
        }
    }
}

impl Watch for Watcher {
    fn noted(&self, line: &Line) {
        self.0.metrics.noted(line);
    }

    fn decided(&self, input: &'static str, took: Duration) {
        self.0.metrics.decided(input, took);
    }

    fn answered(&self, answer: &Answer) {
        self.0.metrics.answered(answer);
    }

    fn vitals(&self) -> Vitals {
        let Seen { metrics, counters, clock, resident, store, rates, .. } = &*self.0;
        let known = |bytes: &AtomicU64| Some(bytes.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0);
        // Held for a few additions only.
        let rates = rates.lock().unwrap_or_else(PoisonError::into_inner).per_second(clock.steady(), metrics.totals());
        Vitals {
            stream: counters.linked(),
            streams: counters.streams.value(),
            stanzas: counters.stanzas.value(),
            too_big: counters.too_big.value(),
            foreign: counters.foreign.value(),
            unanswerable: counters.unanswerable.value(),
            answers_dropped: counters.answers_dropped.value(),
            resident: known(resident),
            store: known(store),
            rates,
        }
    }
}

impl Page for Watcher {
    fn page(&self, status: Option<&Status>) -> String {
        let Seen { metrics, clock, served, .. } = &*self.0;
        let of = |(listener, served): &(&'static str, Arc<Served>)| {
            let listener = *listener;
            served.counts().map(move |(code, count)| (listener, code, count)).collect::<Vec<_>>()
        };
        let requests = served.iter().flat_map(of).collect();
        metrics.page(&Around { now: clock.now(), status, vitals: self.vitals(), requests })
    }
}

/// `VmRSS` of `/proc/self/status` (proc_pid_status(5)), in bytes.
fn resident_of(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// What a folder takes on the disk, with all below it. What cannot be read counts for nothing.
fn bytes_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        // stat(2): blocks are of 512 bytes, whatever the file system's are.
        Some(if metadata.is_dir() { bytes_of(&entry.path()) } else { metadata.blocks().saturating_mul(512) })
    });
    bytes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resident_memory_of_this_process_is_more_than_a_megabyte() {
        let text = std::fs::read_to_string("/proc/self/status").unwrap();
        assert!(resident_of(&text).unwrap() > 1 << 20);
        assert_eq!(resident_of("VmPeak:\t  9 kB\nVmRSS:\t    1234 kB\n"), Some(1_263_616));
        for text in ["", "VmRSS:", "VmRSS: many kB", "VmRSS: 12 MB"] {
            assert_eq!(resident_of(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_folder_takes_what_is_in_it_and_below() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(bytes_of(folder.path()), 0);
        std::fs::create_dir(folder.path().join("below")).unwrap();
        for file in ["one", "below/two"] {
            let file = std::fs::File::create(folder.path().join(file)).unwrap();
            std::io::Write::write_all(&mut &file, &[7; 100_000]).unwrap();
            file.sync_all().unwrap();
        }
        let bytes = bytes_of(folder.path());
        assert!((200_000..400_000).contains(&bytes), "{bytes}");
        assert_eq!(bytes_of(Path::new("no/such/folder")), 0);
    }
}
