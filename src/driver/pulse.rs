//! Whether the driver's loop turns.

use tokio::sync::{mpsc, oneshot};

/// Whether a driver's loop still turns, for whoever watches over the process.
#[derive(Clone, Debug)]
pub struct Pulse(mpsc::Sender<oneshot::Sender<()>>);

/// The other end of a [`Pulse`].
#[derive(Debug)]
pub struct Beats(mpsc::Receiver<oneshot::Sender<()>>);

impl Beats {
    /// Tells the next one who asks; `None` if nobody can ask any more.
    pub async fn beat(&mut self) -> Option<()> {
        // Who asked may have stopped waiting.
        let _ = self.0.recv().await?.send(());
        Some(())
    }
}

impl Pulse {
    /// A pulse, and what makes it beat.
    #[must_use]
    pub fn new() -> (Self, Beats) {
        let (asked, asks) = mpsc::channel(1);
        (Self(asked), Beats(asks))
    }

    /// Waits until the loop comes round; false if it has ended. One that is stuck never answers: wait with a limit.
    pub async fn beats(&self) -> bool {
        let (tell, told) = oneshot::channel();
        self.0.send(tell).await.is_ok() && told.await.is_ok()
    }
}
