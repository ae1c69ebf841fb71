//! What is said of our health, in plain words, one line each.

use std::time::Duration;

use crate::flows::data::Status;

/// The driver did not answer in time.
pub(super) const STUCK: &str = "the driver does not answer: the process is stuck, or the machine is far too busy; the log \
                                says more, and a restart helps the first";

/// Credentials that end within this are worth a line.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// Whether all is in order, and what there is to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// Why we are not ready. Somebody has to do something.
    pub(super) faults: Vec<String>,
    /// What does not keep us from serving.
    pub(super) remarks: Vec<String>,
}

impl Report {
    /// Of how all of it stands.
    pub(super) fn of(status: &Status) -> Self {
        let mut report = Self::default();
        let Self { faults, remarks } = &mut report;
        if status.read_only {
            faults.push("the store takes no writes: registrations are refused until it does (store.path)".into());
        }
        if !status.vitals.stream {
            let text = "there is no stream to the XMPP server (component.connect): nothing comes in; the log says why";
            faults.push(text.into());
        }
        // Without a stream no host can be.
        for host in status.hosts.iter().filter(|host| status.vitals.stream && !host.linked) {
            let why = host.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
            faults.push(format!("{} is not linked{why}; its users are not woken", host.domain));
        }
        for app in &status.apps {
            if let Some(circuit) = &app.circuit {
                remarks.push(format!("pushes of [apps.{}] are kept: {}", app.name, circuit.reason));
            }
            let Some(expires) = app.expires else { continue };
            let left = expires - status.now.wall;
            if left.is_zero() {
                remarks.push(format!("the certificate of [apps.{}] has ended: its pushes are kept", app.name));
            } else if left < SOON {
                let days = left.as_secs() / (24 * 3600);
                remarks.push(format!("the certificate of [apps.{}] ends in {days} days", app.name));
            }
        }
        report
    }

    /// Whether we are ready.
    pub(super) fn is_ready(&self) -> bool {
        self.faults.is_empty()
    }

    /// As a text.
    pub(super) fn text(&self) -> String {
        let first = if self.is_ready() { "ready" } else { "not ready" };
        let lines = [first].into_iter().chain(self.faults.iter().chain(&self.remarks).map(String::as_str));
        lines.flat_map(|line| [line, "\n"]).collect()
    }
}

#[cfg(test)]
pub(in crate::http) mod tests;
