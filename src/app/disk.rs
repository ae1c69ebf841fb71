//! The store, as the driver wants it.

use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::error;

use crate::driver::{Disk, DiskReport};
use crate::flows::data::Change;
use crate::store::{Committer, Store};

/// The store's thread.
pub(super) struct StoreThread(Committer);

impl StoreThread {
    const COMMIT: u64 = 0;
    const TRIAL: u64 = 1;

    pub(super) fn start(store: Arc<Store>) -> Result<(Self, mpsc::Receiver<DiskReport>), std::io::Error> {
        let (reports, queue) = mpsc::channel(1);
        let stored = store.clone();
        let committer = Committer::start(store, 1, move |job, result| {
            let report = match (job, result) {
                (Self::TRIAL, Ok(())) => match stored.load().and_then(Iterator::collect) {
                    Ok(changes) => DiskReport::Recovered(changes),
                    Err(error) => DiskReport::StillFailing(error.to_string()),
                },
                (Self::TRIAL, Err(error)) => DiskReport::StillFailing(error.to_string()),
                (_, Ok(())) => DiskReport::Committed,
                (_, Err(error)) => DiskReport::Failed(error.to_string()),
            };
            // Nobody listens any more once the driver has ended.
            let _ = reports.blocking_send(report);
        })?;
        Ok((Self(committer), queue))
    }
}

/// One order is under way at a time, so the queue has room; if the thread is gone, the driver learns it from the
/// reports.
impl Disk for StoreThread {
    fn commit(&mut self, changes: Vec<Change>) {
        if let Err(error) = self.0.submit(Self::COMMIT, changes) {
            error!("{error}");
        }
    }

    fn recover(&mut self) {
        if let Err(error) = self.0.submit_trial(Self::TRIAL) {
            error!("{error}");
        }
    }
}
