//! For tests: how much is kept.

use super::{AppState, State};
use crate::flows::lane::LaneKind;

impl State {
    /// How many entries there are of all that comes and goes with pushes, by name. Devices and registrations, which stay,
    /// are not among them.
    pub(crate) fn sizes(&self) -> Vec<(&'static str, usize)> {
        let [ready, resting, expiring] = self.queues.sizes();
        // Not `lanes()`, which passes over those of devices that are gone: here they are what is looked for.
        let kinds = [LaneKind::Messages, LaneKind::Calls];
        let lanes = self.lanes.values().map(|lanes| kinds.iter().filter(|kind| lanes.get(**kind).is_some()).count());
        vec![
            ("lanes", lanes.sum()),
            ("guests", self.guests.len()),
            ("waiting", self.waiting),
            ("late", self.lateness.len()),
            ("ready", ready),
            ("resting", resting),
            ("expiring", expiring),
            ("owed", self.queues.owed().0),
            ("owed bytes", self.queues.owed().1),
            ("under way", self.under_way()),
            ("trials", self.apps.values().filter(|app| AppState::is_trying(app)).count()),
            ("to wake", self.to_wake.len() + self.in_turn.len()),
        ]
    }

    /// How many devices are remembered to have been pushed to lately, and how many entries that takes.
    pub(crate) fn sent(&self) -> (usize, usize) {
        (self.sent.last.len(), self.sent.order.len())
    }

    /// How many buckets of limits are remembered.
    pub(crate) fn limits(&self) -> usize {
        self.publishing.len()
            + self.ringing_devices.len()
            + self.ringing_accounts.len()
            + self.registering_accounts.len()
    }
}

impl AppState {
    fn is_trying(&self) -> bool {
        self.circuit.as_ref().is_some_and(|circuit| circuit.trial.is_some())
    }
}
