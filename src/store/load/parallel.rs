//! Reading on several threads, in an order that does not show it.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::vec::IntoIter;

use super::Loaded;
use crate::store::error::StoreError;

/// How many changes are handed over at a time.
const BATCH: usize = 128;

/// How many batches of a part may wait until it is that part's turn: about 8000 changes, a few megabytes.
const WAITING: usize = 64;

/// Some changes of a part; `None` once there are no more.
type Batch = Option<Vec<Loaded>>;

/// All parts, one after the other, each read by one of so many threads.
///
/// # Errors
/// If the system gives no threads.
pub(super) fn in_order<P>(parts: impl Iterator<Item = P>, threads: usize, path: &Path) -> Result<Parts, StoreError>
where
    P: Iterator<Item = Loaded> + Send + 'static,
{
    let mut work: VecDeque<Vec<(P, SyncSender<Batch>)>> = (0..threads).map(|_| Vec::new()).collect();
    let mut waiting = VecDeque::new();
    for part in parts {
        let (sender, receiver) = sync_channel(WAITING);
        waiting.push_back(receiver);
        if let Some(own) = work.front_mut() {
            own.push((part, sender));
        }
        work.rotate_left(1);
    }
    let mut all = Parts { waiting, batch: Vec::new().into_iter(), workers: Vec::new(), path: path.to_owned() };
    for own in work {
        let worker = thread::Builder::new().name("load".to_owned()).spawn(move || read(own));
        let worker = worker.map_err(|error| StoreError::Unusable {
            path: path.to_owned(),
            doing: "start threads to read",
            source: Arc::new(error),
        })?;
        all.workers.push(worker);
    }
    Ok(all)
}

/// Reads some parts, as long as somebody takes them.
fn read<P: Iterator<Item = Loaded>>(parts: Vec<(P, SyncSender<Batch>)>) {
    for (mut part, sender) in parts {
        loop {
            let batch: Vec<Loaded> = part.by_ref().take(BATCH).collect();
            let over = batch.is_empty();
            if sender.send((!over).then_some(batch)).is_err() {
                return;
            }
            if over {
                break;
            }
        }
    }
}

/// What comes of it.
pub(super) struct Parts {
    waiting: VecDeque<Receiver<Batch>>,
    batch: IntoIter<Loaded>,
    workers: Vec<JoinHandle<()>>,
    path: PathBuf,
}

impl Iterator for Parts {
    type Item = Loaded;

    fn next(&mut self) -> Option<Loaded> {
        loop {
            if let Some(next) = self.batch.next() {
                return Some(next);
            }
            match self.waiting.front()?.recv() {
                Ok(Some(batch)) => self.batch = batch.into_iter(),
                Ok(None) => drop(self.waiting.pop_front()),
                // Nobody must take a part of the devices for all of them.
                Err(_) => {
                    self.waiting.clear();
                    return Some(Err(StoreError::corrupt(&self.path, "the thread that read it ended".to_owned())));
                }
            }
        }
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        // Whoever reads on hears that nobody takes it; then nothing holds the store open.
        self.waiting.clear();
        for worker in self.workers.drain(..) {
            let _ended = worker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::Node;
    use crate::flows::data::Change;

    fn number(number: usize) -> Loaded {
        Ok(Change::Forget(Node::new(format!("{number}"))))
    }

    fn read_all(parts: Vec<Vec<usize>>, threads: usize) -> Vec<Loaded> {
        let parts = parts.into_iter().map(|part| part.into_iter().map(number));
        in_order(parts, threads, Path::new("store")).unwrap().collect()
    }

    #[test]
    fn parts_come_in_their_order_whoever_reads_them() {
        // Longer than what may wait, shorter, and empty.
        let long = 3 * BATCH * WAITING + 1;
        let parts = || vec![(0..long).collect(), vec![], vec![long], (long + 1..2 * long).collect(), vec![]];
        for threads in 1..=4 {
            let read: Vec<_> = read_all(parts(), threads).into_iter().map(Result::unwrap).collect();
            let expected: Vec<_> = (0..2 * long).map(|it| number(it).unwrap()).collect();
            assert!(read == expected, "{threads} threads");
        }
    }

    #[test]
    fn what_is_not_taken_keeps_nobody_waiting() {
        let endless = (0..4).map(|_| (0..).map(number));
        let mut some = in_order(endless, 2, Path::new("store")).unwrap();
        assert_eq!(some.next().unwrap().unwrap(), number(0).unwrap());
        // Would not end if the threads did not.
        drop(some);
    }

    #[test]
    fn a_thread_that_ends_early_is_an_error() {
        let parts = (0..2).map(|part| (0..5).map(move |at| if part == 1 { panic!("on purpose") } else { number(at) }));
        let mut read = in_order(parts, 2, Path::new("store")).unwrap();
        assert_eq!(read.by_ref().take(5).filter(Result::is_ok).count(), 5);
        let error = read.next().unwrap().unwrap_err().to_string();
        assert!(error.contains("the thread that read it ended"), "{error}");
        assert!(read.next().is_none());
    }
}
