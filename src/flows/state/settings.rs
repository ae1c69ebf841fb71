//! The operator's settings change while all goes on.

use super::State;
use crate::domain::ids::AppName;
use crate::domain::time::{Moment, Timestamp};
use crate::flows::policy::Policy;

impl State {
    /// Other settings hold from here on: what was reckoned by the former ones is reckoned anew.
    pub(super) fn settle_on(&mut self, policy: &Policy) {
        let before = std::mem::replace(&mut self.policy, policy.clone());
        for removed in before.hosts.iter().filter(|host| !policy.hosts.contains(host)) {
            self.lives.forget_host(removed);
        }
        self.hosts.keep(&policy.hosts);
        if before.rules.registration_ttl != policy.rules.registration_ttl {
            self.registrations.live_for(policy.rules.registration_ttl);
        }
        let windows = before.sessions.windows != policy.sessions.windows;
        if windows || before.rules.burst_window != policy.rules.burst_window {
            self.lives.reckon(policy);
        }
        if before.answer_within != policy.answer_within {
            for (at, ..) in &mut self.lateness {
                let taken = Moment::since_start(at.uptime().saturating_sub(before.answer_within));
                *at = taken + policy.answer_within;
            }
        }
        if policy.min_interval.is_none() {
            self.sent = super::Sent::default();
        }
        // How much is left of a limit means nothing under another one.
        if before.max_per_domain != policy.max_per_domain {
            self.publishing.clear();
        }
        if before.register.rate_per_domain != policy.register.rate_per_domain {
            self.registering_domains.clear();
        }
        if before.register.rate_per_account != policy.register.rate_per_account {
            self.registering_accounts.clear();
        }
    }

    /// An app's pushes go a new way. What is under way still lands.
    pub(super) fn renew(&mut self, app: &AppName, expires: Option<Timestamp>) {
        let since = self.next_push();
        let app = self.apps.entry(app.clone()).or_default();
        (app.since, app.expires, app.expiry_said) = (Some(since), expires, 0);
        (app.withdrawn, app.failing, app.circuit) = (false, None, None);
    }
}
