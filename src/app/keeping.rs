//! Snapshots of the store: one a day, one when somebody asks for it, and one at a clean stop.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tracing::{error, info};

use crate::clock::Clock;
use crate::store::{ExportError, Store, snapshots};

/// How old the newest one may get.
const EVERY: Duration = Duration::from_secs(24 * 3600);

/// How often the clock is looked at, for it may jump; and how long after a failure it is tried again.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// How long a stop waits for its snapshot. It is a service to the operator, nothing that was promised needs it.
const LAST_WITHIN: Duration = Duration::from_secs(60);

/// Keeps snapshots of a store until something comes from `until`, and then writes the last one; until the other end of
/// `until` is gone, and then writes none. Ends without waiting for one that takes too long.
pub(super) async fn keep(
    store: Arc<Store>,
    clock: Clock,
    mut asked: mpsc::Receiver<()>,
    mut until: oneshot::Receiver<()>,
) {
    // As of the newest one that this process wrote.
    let mut commits = None;
    let mut failed = false;
    loop {
        let wait = if failed { LOOK_EVERY } else { left(&store, &clock).min(LOOK_EVERY) };
        tokio::select! {
            stopped = &mut until => {
                if stopped.is_ok() && commits != Some(store.commits()) {
                    let last = tokio::time::timeout(LAST_WITHIN, write(&store, &clock)).await;
                    if last.is_err() {
                        error!("the last snapshot of the store takes too long: not waiting for it");
                    }
                }
                return;
            }
            Some(()) = asked.recv() => {}
            () = tokio::time::sleep(wait) => {
                failed = false;
                if !left(&store, &clock).is_zero() {
                    continue;
                }
            }
        }
        // Before it is written: what is committed meanwhile may not be in it.
        let now = store.commits();
        failed = !write(&store, &clock).await;
        commits = if failed { None } else { Some(now) };
    }
}

/// How long until the next one is due.
fn left(store: &Store, clock: &Clock) -> Duration {
    match snapshots::newest(store.path()).and_then(|newest| snapshots::made(&newest)) {
        Some(made) => EVERY.saturating_sub(clock.wall() - made),
        None => Duration::ZERO,
    }
}

/// Writes one, on a thread of its own: a large one takes seconds, and at the end nobody needs to wait for it.
async fn write(store: &Arc<Store>, clock: &Clock) -> bool {
    let (store, clock) = (Arc::clone(store), clock.clone());
    let (tell, told) = oneshot::channel();
    let writing = thread::Builder::new().name("snapshot".to_owned()).spawn(move || {
        let begun = clock.steady();
        let written = snapshots::write(&store, clock.wall());
        let took = clock.steady() - begun;
        // The store is closed before anybody hears of it.
        drop(store);
        // Nobody listens if it took too long.
        let _ = tell.send((written, took));
    });
    let written = match writing {
        Ok(_thread) => told.await.map_err(|gone| ExportError::Write(std::io::Error::other(gone))),
        Err(error) => Err(ExportError::Write(error)),
    };
    match written.and_then(|(written, took)| Ok((written?, took))) {
        Ok(((file, exported), took)) => {
            let (devices, registrations) = (exported.devices, exported.registrations);
            let file = file.display();
            info!(
                "wrote a snapshot of the store, {devices} devices and {registrations} registrations in {took:.1?}: {file}"
            );
            true
        }
        Err(error) => {
            error!("no snapshot of the store could be written: {}; those from before stay", error);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::device::tests::device;
    use crate::domain::time::Timestamp;
    use crate::flows::data::Change;
    use crate::store::EngineKind;

    /// When the newest was made, once that is later than `before`.
    async fn newer_than(store: &Store, before: Option<Timestamp>) -> Option<Timestamp> {
        let newer = async {
            loop {
                let made = snapshots::newest(store.path()).and_then(|newest| snapshots::made(&newest));
                if made > before {
                    return made;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), newer).await.unwrap()
    }

    #[tokio::test]
    async fn one_at_once_if_there_is_none_one_when_asked_and_one_at_the_stop() {
        for kind in EngineKind::ALL {
            let folder = tempfile::tempdir().unwrap();
            let store = Arc::new(Store::open(folder.path(), kind).unwrap());
            let clock = Clock::system();
            let (ask, asked) = mpsc::channel(1);
            let (stop, until) = oneshot::channel();
            let keeping = tokio::spawn(keep(store.clone(), clock.clone(), asked, until));
            let first = newer_than(&store, None).await;
            ask.send(()).await.unwrap();
            let second = newer_than(&store, first).await;
            store.commit(&[Change::Device(Box::new(device()))]).unwrap();
            stop.send(()).unwrap();
            keeping.await.unwrap();
            let third = newer_than(&store, second).await;
            assert!(third <= Some(clock.wall()), "{kind:?}");
        }
    }

    #[tokio::test]
    async fn none_at_the_stop_if_nothing_was_committed_since_the_last_or_if_it_is_no_clean_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(folder.path(), EngineKind::Redb).unwrap());
        for clean in [true, false] {
            let (ask, asked) = mpsc::channel(1);
            let (stop, until) = oneshot::channel();
            let keeping = tokio::spawn(keep(store.clone(), Clock::system(), asked, until));
            let before = newer_than(&store, None).await;
            if clean {
                ask.send(()).await.unwrap();
            } else {
                store.commit(&[Change::Device(Box::new(device()))]).unwrap();
            }
            let last = if clean { newer_than(&store, before).await } else { before };
            if clean {
                stop.send(()).unwrap()
            } else {
                drop(stop)
            }
            keeping.await.unwrap();
            assert_eq!(snapshots::newest(store.path()).and_then(|newest| snapshots::made(&newest)), last, "{clean}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(folder.path(), EngineKind::Redb).unwrap());
        let start = Timestamp::from_secs(1_700_000_000);
        snapshots::write(&store, start).unwrap();
        let clock = Clock::starting_at(start + Duration::from_secs(3600));
        assert_eq!(left(&store, &clock), Duration::from_secs(23 * 3600));
        tokio::time::advance(Duration::from_secs(30 * 3600)).await;
        assert_eq!(left(&store, &clock), Duration::ZERO);
    }
}
