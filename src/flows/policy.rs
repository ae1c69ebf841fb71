//! The operator's settings, as far as flows care.

use std::time::Duration;

use crate::domain::app::App;
use crate::domain::ids::Domain;
use crate::domain::rate::Rate;

/// What the operator decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The apps of `[apps.*]`.
    pub apps: Vec<App>,
    /// `push.answer_within`: how long a publish waits for the vendor's verdict.
    pub answer_within: Duration,
    /// `push.max_per_domain`, per second; `None` is no limit.
    pub max_per_domain: Option<Rate>,
    /// `[register]`.
    pub register: RegisterPolicy,
    /// How many pushes of one app may be with its vendor at a time.
    pub slots: usize,
    /// How many iqs may wait for a verdict at a time.
    pub max_waiting: usize,
}

/// Who may register devices, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterPolicy {
    /// `register.allow_domains`.
    pub allow_domains: Vec<DomainPattern>,
    /// `register.max_devices_per_account`.
    pub max_devices_per_account: usize,
    /// `register.rate_per_account`; `None` is no limit.
    pub rate_per_account: Option<Rate>,
    /// `register.rate_per_domain`; `None` is no limit.
    pub rate_per_domain: Option<Rate>,
}

impl RegisterPolicy {
    /// Whether accounts of a domain may register devices.
    #[must_use]
    pub fn allows(&self, domain: &Domain) -> bool {
        self.allow_domains.iter().any(|pattern| pattern.matches(domain))
    }
}

/// `*`, a domain, or `*.` and a domain for everything below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DomainPattern {
    /// Every domain.
    Any,
    /// This one.
    Exactly(Domain),
    /// Everything below this one.
    Below(Domain),
}

impl DomainPattern {
    fn matches(&self, domain: &Domain) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(allowed) => allowed == domain,
            Self::Below(parent) => {
                let below = domain.as_str().strip_suffix(parent.as_str());
                below.and_then(|below| below.strip_suffix('.')).is_some_and(|label| !label.is_empty())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_that_a_pattern_allows() {
        let below = DomainPattern::Below(Domain::new("example.org"));
        let exactly = DomainPattern::Exactly(Domain::new("example.org"));
        let rows = [
            (&DomainPattern::Any, "anything.example", true),
            (&exactly, "example.org", true),
            (&exactly, "a.example.org", false),
            (&below, "a.example.org", true),
            (&below, "a.b.example.org", true),
            (&below, "example.org", false),
            (&below, ".example.org", false),
            (&below, "badexample.org", false),
        ];
        for (pattern, domain, allowed) in rows {
            assert_eq!(pattern.matches(&Domain::new(domain)), allowed, "{pattern:?} {domain}");
        }
    }
}
