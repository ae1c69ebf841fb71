//! What the driver is connected to.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::domain::ids::AppName;
use crate::domain::outcome::Verdict;
use crate::domain::push::Push;
use crate::flows::data::{Answer, Change, Input, Line, Outgoing};
use crate::flows::status::Vitals;

/// What the driver asks of the disk: one order at a time, each answered by one [`DiskReport`]; neither call blocks.
pub trait Disk: Send {
    /// Make these durable, all or none.
    fn commit(&mut self, changes: Vec<Change>);

    /// Try whether writing works again, and read everything anew if it does.
    fn recover(&mut self);
}

/// What the disk says.
#[derive(Debug)]
pub enum DiskReport {
    /// The changes are durable.
    Committed,
    /// They are not.
    Failed(String),
    /// Writing works again; this is what is stored.
    Recovered(Vec<Change>),
    /// Writing does not work yet.
    StillFailing(String),
}

/// Hands pushes to the gateways. For each push exactly one verdict comes back.
pub trait Deliver: Send {
    /// Hands over pushes of one app, without blocking.
    fn deliver(&self, app: &AppName, pushes: Vec<Push>);
}

/// Lets clients find apps of ours.
pub trait Offer: Send {
    /// From now on clients find this app, or no longer. Does not block.
    fn offer(&self, app: &AppName, works: bool);
}

/// Reads the configuration again.
pub trait Reload: Send {
    /// Has it read; an [`Input::Reloaded`] comes of it by [`Ports::strangers`]. Does not block.
    fn reload(&self);

    /// The settings that it brought hold from here on: what goes with them takes the place of what was. Does not block.
    fn switch(&self) {}
}

/// Answers requests that came over HTTP.
pub trait AnswerHttp: Send {
    /// Answers the request of this number, if anybody still waits for it. Does not block.
    fn answer(&self, request: u64, answer: Answer);
}

/// Looks on: counts what happens, and knows what the flows cannot. Nothing here may block. Only the driver's task calls it:
/// its counters are not added to by two at once.
pub trait Watch: Send {
    /// Something was decided.
    fn noted(&self, line: &Line);

    /// An input, by this name, and all that it led to, took so long to be decided.
    fn decided(&self, input: &'static str, took: Duration);

    /// Something from outside was answered.
    fn answered(&self, answer: &Answer);

    /// What is known of the process and its link.
    fn vitals(&self) -> Vitals;
}

/// Nobody looks on.
#[derive(Debug)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn noted(&self, _line: &Line) {}

    fn decided(&self, _input: &'static str, _took: Duration) {}

    fn answered(&self, _answer: &Answer) {}

    fn vitals(&self) -> Vitals {
        Vitals::default()
    }
}

/// What the driver is connected to.
pub struct Ports {
    /// Looks on.
    pub watch: Box<dyn Watch>,
    /// Requests from the link.
    pub requests: mpsc::Receiver<Vec<Input>>,
    /// Answers to the link. The link always takes them, connected or not.
    pub answers: mpsc::Sender<Vec<Outgoing>>,
    /// Requests over HTTP. May be closed: then there are none.
    pub strangers: mpsc::Receiver<Input>,
    /// Answers to them.
    pub http: Box<dyn AnswerHttp>,
    /// Verdicts of the gateways.
    pub verdicts: mpsc::Receiver<Vec<Verdict>>,
    /// The gateways.
    pub gateways: Box<dyn Deliver>,
    /// Reads the configuration again.
    pub reload: Box<dyn Reload>,
    /// What clients find. All apps are found at first.
    pub offers: Box<dyn Offer>,
    /// Reports of the disk.
    pub reports: mpsc::Receiver<DiskReport>,
    /// The disk.
    pub disk: Box<dyn Disk>,
    /// Closes when it is time to stop.
    pub stop: mpsc::Receiver<()>,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ports(..)")
    }
}
