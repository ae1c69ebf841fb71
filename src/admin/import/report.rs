//! What came of an import, in words. Names lines and accounts, never a node or a secret.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;

/// So many places are named for each reason.
const PLACES: usize = 10;

/// Why a row was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skip {
    /// It cannot be read, or is none; says what it has, or is.
    Broken(&'static str),
    /// It is of another domain than the one that was asked for.
    OtherDomain,
    /// It names no push service.
    NoService,
    /// The push service is a host of ours, or an account of one.
    LocalService,
    /// It stands there twice, and the other is newer.
    Duplicate,
    /// The account has more than `rules.max_devices`, and the others are newer.
    TooMany,
    /// The store has it already, and not an older one.
    Known,
    /// It is of a vendor that the app is not of, or that no app is of.
    NoApp,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broken(what) => what,
            Self::OtherDomain => "is of another domain",
            Self::NoService => "names no push service",
            Self::LocalService => "has a host of ours for its push service",
            Self::Duplicate => "is there twice, and the other one is newer",
            Self::TooMany => "is more than rules.max_devices allows, and the others are newer",
            Self::Known => "is in the store already, and not older there",
            Self::NoApp => "is of a vendor that no app here, or not the one of --app, is of",
        })
    }
}

/// A row that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Why.
    pub why: Skip,
    /// The file, and the line there.
    pub place: Place,
    /// The account, or the domain; empty if it is not known.
    pub whose: String,
}

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The source, as it was named: the file, or the folder it is in.
    pub source: Arc<str>,
    /// The file.
    pub file: Arc<str>,
    /// The line; the first is 1.
    pub line: u64,
}

/// What came of an import, or would.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many registrations of how many accounts, by the source as it was named.
    pub registrations: BTreeMap<Arc<str>, (usize, usize)>,
    /// How many devices, by the source as it was named.
    pub devices: BTreeMap<Arc<str>, usize>,
    /// What was not taken.
    pub skipped: Vec<Skipped>,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

impl Report {
    /// How many registrations.
    #[must_use]
    pub fn count_registrations(&self) -> usize {
        self.registrations.values().map(|(registrations, _)| registrations).sum()
    }

    /// How many devices.
    #[must_use]
    pub fn count_devices(&self) -> usize {
        self.devices.values().sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (source, (registrations, accounts)) in &self.registrations {
            write!(f, "\n{source}: {registrations} registrations of {accounts} accounts")?;
        }
        for (source, devices) in &self.devices {
            write!(f, "\n{source}: {devices} devices")?;
        }
        let mut reasons: BTreeMap<Skip, Vec<&Skipped>> = BTreeMap::new();
        for skipped in &self.skipped {
            reasons.entry(skipped.why).or_default().push(skipped);
        }
        for (why, skipped) in reasons {
            let mut places = String::new();
            for Skipped { place, whose, .. } in skipped.iter().take(PLACES) {
                let separator = if places.is_empty() { "" } else { "; " };
                write!(places, "{separator}{} line {}", place.file, place.line)?;
                if !whose.is_empty() {
                    write!(places, ", {whose}")?;
                }
            }
            if skipped.len() > PLACES {
                write!(places, "; and {} more", skipped.len() - PLACES)?;
            }
            write!(f, "\nskipped {}: {why} ({places})", skipped.len())?;
        }
        for warning in &self.warnings {
            write!(f, "\nwarning: {warning}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_by_source_and_names_ten_places_a_reason() {
        let place = |line| Place { source: "dump.sql".into(), file: "dump.sql".into(), line };
        let broken = |line| Skipped { why: Skip::Broken("is no XML"), place: place(line), whose: "a@x".to_owned() };
        let mut skipped: Vec<_> = (1..=12).map(broken).collect();
        skipped.push(Skipped { why: Skip::NoService, place: place(20), whose: String::new() });
        let report = Report {
            registrations: [("dump.sql".into(), (3, 2))].into(),
            devices: BTreeMap::new(),
            skipped,
            warnings: vec!["look".to_owned()],
        };
        let expected = "\ndump.sql: 3 registrations of 2 accounts\nskipped 12: is no XML (dump.sql line 1, a@x; dump.sql \
                        line 2, a@x; dump.sql line 3, a@x; dump.sql line 4, a@x; dump.sql line 5, a@x; dump.sql line 6, \
                        a@x; dump.sql line 7, a@x; dump.sql line 8, a@x; dump.sql line 9, a@x; dump.sql line 10, a@x; and \
                        2 more)\nskipped 1: names no push service (dump.sql line 20)\nwarning: look";
        assert_eq!(report.to_string(), expected);
        assert_eq!((report.count_registrations(), report.count_devices()), (3, 0));
    }
}
