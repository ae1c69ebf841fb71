//! Which domains the operator means.

use super::ids::Domain;

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
    /// Whether the domain is one of those.
    #[must_use]
    pub fn matches(&self, domain: &Domain) -> bool {
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
