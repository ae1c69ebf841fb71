//! Requests that the driver has yet to answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::flows::data::Answer;

/// Who waits for which answer. As many as there are requests under way, so the listener's limits bound it.
#[derive(Debug, Default)]
pub struct Waiting(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
    last: u64,
    closed: bool,
}

/// One who waits. Dropping it forgets the request: its answer then goes nowhere.
#[derive(Debug)]
pub(super) struct Waiter {
    /// Names the request.
    pub(super) number: u64,
    answer: oneshot::Receiver<Answer>,
    waiting: Arc<Waiting>,
}

impl Waiting {
    /// The answer to a request, if anybody still waits for it.
    pub fn answer(&self, number: u64, answer: Answer) {
        let waiter = self.table().waiting.remove(&number);
        if let Some(waiter) = waiter {
            // Who has gone away needs no answer.
            let _gone = waiter.send(answer);
        }
    }

    /// Nobody answers any more: whoever waits, now or later, is told so at once.
    pub fn close(&self) {
        let mut table = self.table();
        table.closed = true;
        table.waiting.clear();
    }

    /// Begins to wait.
    pub(super) fn wait(self: &Arc<Self>) -> Waiter {
        let (sender, answer) = oneshot::channel();
        let mut table = self.table();
        table.last = table.last.wrapping_add(1);
        let number = table.last;
        if !table.closed {
            table.waiting.insert(number, sender);
        }
        drop(table);
        Waiter { number, answer, waiting: self.clone() }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// The answer; `None` if there will be none.
    pub(super) async fn answer(&mut self) -> Option<Answer> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.waiting.table().waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_waits_for_its_own_answer() {
        let waiting = Arc::new(Waiting::default());
        let (mut one, mut two) = (waiting.wait(), waiting.wait());
        waiting.answer(two.number, Answer::Done);
        assert_eq!(two.answer().await, Some(Answer::Done));
        let command: Box<str> = "c".into();
        waiting.answer(one.number, Answer::Unregistered { command: command.clone() });
        assert_eq!(one.answer().await, Some(Answer::Unregistered { command }));
    }

    #[tokio::test]
    async fn who_went_away_is_forgotten_and_who_waits_at_the_end_hears_that_it_is() {
        let waiting = Arc::new(Waiting::default());
        let gone = waiting.wait();
        let number = gone.number;
        drop(gone);
        assert_eq!(waiting.table().waiting.len(), 0);
        waiting.answer(number, Answer::Done);
        let mut left = waiting.wait();
        waiting.close();
        assert_eq!(left.answer().await, None);
        assert_eq!(waiting.wait().answer().await, None);
    }
}
