//! The thread that writes: gathers what many steps want on the disk into one commit.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use super::Store;
use super::error::StoreError;
use crate::flows::data::Change;

/// At most so many steps in one commit, so that the first of them is not kept waiting by an endless line of others.
const MAX_GROUP: usize = 4096;

/// The store's own thread, behind a bounded queue. While it waits for the disk, more steps gather; they go together
/// next. Everything submitted is reported once, in order.
#[derive(Debug)]
pub struct Committer {
    queue: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Job {
    Commit(u64, Vec<Change>),
    Trial(u64),
}

/// Why something was not taken for writing.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The queue is full. The changes come back.
    #[error("the queue of the store is full")]
    Full(Vec<Change>),
    /// The thread has ended, which it does only when it panics. The changes come back.
    #[error("the thread of the store has ended")]
    Ended(Vec<Change>),
}

impl Committer {
    /// Starts the thread. Up to `queue` submissions wait. `done` is called on that thread, with the number that a
    /// step was submitted under, when its changes are on the disk or could not be brought there; while it blocks, so
    /// does the store.
    ///
    /// # Errors
    /// If the system gives us no thread.
    pub fn start(
        store: Arc<Store>,
        queue: usize,
        done: impl FnMut(u64, Result<(), StoreError>) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (queue, jobs) = sync_channel(queue);
        let thread = thread::Builder::new().name("store".to_owned()).spawn(move || run(&store, &jobs, done))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Hands over the changes of one step, without waiting.
    ///
    /// # Errors
    /// If they were not taken; then nothing is reported for this number.
    pub fn submit(&self, seq: u64, changes: Vec<Change>) -> Result<(), SubmitError> {
        self.send(Job::Commit(seq, changes))
    }

    /// Asks for a [`Store::trial`], after all that was submitted before. Reported under its number.
    ///
    /// # Errors
    /// As [`Committer::submit`].
    pub fn submit_trial(&self, seq: u64) -> Result<(), SubmitError> {
        self.send(Job::Trial(seq))
    }

    /// Writes and reports what was submitted, and ends the thread. Blocks until then, so whatever `done` feeds must
    /// still be read, or have been closed. Dropping does the same.
    pub fn shutdown(mut self) {
        self.end();
    }

    fn send(&self, job: Job) -> Result<(), SubmitError> {
        let Some(queue) = &self.queue else { return Err(SubmitError::Ended(job.into_changes())) };
        queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(job) => SubmitError::Full(job.into_changes()),
            TrySendError::Disconnected(job) => SubmitError::Ended(job.into_changes()),
        })
    }

    fn end(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the store panicked");
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.end();
    }
}

impl Job {
    fn into_changes(self) -> Vec<Change> {
        match self {
            Self::Commit(_, changes) => changes,
            Self::Trial(_) => Vec::new(),
        }
    }
}

fn run(store: &Store, jobs: &Receiver<Job>, mut done: impl FnMut(u64, Result<(), StoreError>)) {
    let mut next = None;
    while let Some(job) = next.take().or_else(|| jobs.recv().ok()) {
        let (first, mut changes) = match job {
            Job::Commit(seq, changes) => (seq, changes),
            Job::Trial(seq) => {
                done(seq, store.trial());
                continue;
            }
        };
        let mut group = vec![first];
        while group.len() < MAX_GROUP {
            match jobs.try_recv() {
                Ok(Job::Commit(seq, more)) => {
                    group.push(seq);
                    changes.extend(more);
                }
                Ok(trial @ Job::Trial(_)) => {
                    next = Some(trial);
                    break;
                }
                Err(_) => break,
            }
        }
        let result = store.commit(&changes);
        for seq in group {
            done(seq, result.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Sender};
    use std::time::Duration;

    use super::*;
    use crate::domain::device::Device;
    use crate::domain::device::tests::device;
    use crate::domain::ids::Node;
    use crate::store::EngineKind;

    const LONG: Duration = Duration::from_secs(30);

    fn put(number: u64) -> Vec<Change> {
        vec![Change::Device(Box::new(Device { node: Node::new(format!("node-{number:04}")), ..device() }))]
    }

    fn store() -> (tempfile::TempDir, Arc<Store>) {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(folder.path(), EngineKind::default()).unwrap());
        (folder, store)
    }

    /// A committer that reports to the first channel, and before each report waits for a word on the second.
    fn held(store: &Arc<Store>, queue: usize) -> (Committer, Receiver<(u64, bool)>, Sender<()>) {
        let (reports, seen) = mpsc::channel();
        let (go, wait) = mpsc::channel();
        let committer = Committer::start(Arc::clone(store), queue, move |seq, result| {
            let _closed = wait.recv();
            reports.send((seq, result.is_ok())).unwrap();
        });
        (committer.unwrap(), seen, go)
    }

    #[test]
    fn what_gathers_while_the_thread_is_busy_goes_in_one_commit() {
        let (_folder, store) = store();
        let (committer, seen, go) = held(&store, 100);
        committer.submit(0, put(0)).unwrap();
        go.send(()).unwrap();
        assert_eq!(seen.recv_timeout(LONG), Ok((0, true)));
        // The thread takes one group of these, however small, and then waits for our word.
        for seq in 1..=100 {
            committer.submit(seq, put(seq)).unwrap();
        }
        drop(go);
        for seq in 1..=100 {
            assert_eq!(seen.recv_timeout(LONG), Ok((seq, true)));
        }
        assert!(store.commits() <= 3, "{} commits for 101 steps", store.commits());
        committer.shutdown();
        assert_eq!(store.load().unwrap().count(), 101);
    }

    #[test]
    fn a_full_queue_gives_the_changes_back() {
        let (_folder, store) = store();
        let (committer, _seen, go) = held(&store, 2);
        // At most one group is with the thread, which does not go on before our word, and two wait.
        let refused =
            (0..=MAX_GROUP as u64 + 2).find_map(|seq| committer.submit(seq, put(seq)).err().map(|error| (seq, error)));
        let (seq, error) = refused.unwrap();
        assert!(matches!(&error, SubmitError::Full(changes) if *changes == put(seq)), "{error}");
        drop(go);
    }

    #[test]
    fn shutting_down_writes_and_reports_what_was_submitted() {
        let (_folder, store) = store();
        let (committer, seen, go) = held(&store, 64);
        drop(go);
        for seq in 0..50 {
            committer.submit(seq, put(seq)).unwrap();
        }
        committer.shutdown();
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), (0..50).map(|seq| (seq, true)).collect::<Vec<_>>());
        assert_eq!(store.load().unwrap().count(), 50);
    }

    #[test]
    fn a_failure_is_reported_to_every_step_until_a_trial_succeeds() {
        let (_folder, store) = store();
        let (committer, seen, go) = held(&store, 64);
        drop(go);
        store.break_it();
        for seq in 0..3 {
            committer.submit(seq, put(seq)).unwrap();
        }
        committer.submit_trial(3).unwrap();
        committer.submit(4, put(4)).unwrap();
        committer.shutdown();
        let expected = [(0, false), (1, false), (2, false), (3, true), (4, true)];
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), expected);
        assert_eq!(store.load().unwrap().count(), 1);
    }
}
