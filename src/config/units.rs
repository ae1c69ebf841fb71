//! Durations, rates and domains as operators write them.

use std::time::Duration;

use jid::DomainPart;

use crate::domain::ids::Domain;
use crate::domain::rate::Rate;

/// A duration: a number with `ms`, `s`, `m`, `h` or `d`. `None` if it is anything else.
#[must_use]
pub(super) fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(unit_at)?;
    let number: u64 = number.parse().ok()?;
    let millis = match unit.trim_start() {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 3600 * 1000,
        "d" => 24 * 3600 * 1000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

/// A rate: `NUMBER/s`, `/m`, `/h` or `/d`; `"0"` is no limit (`Some(None)`). `None` if it is anything else.
#[must_use]
pub(super) fn rate(text: &str) -> Option<Option<Rate>> {
    let text = text.trim();
    if text == "0" {
        return Some(None);
    }
    let (count, unit) = text.split_once('/')?;
    let count: u32 = count.trim().parse().ok().filter(|count| *count > 0)?;
    let per = match unit.trim() {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return None,
    };
    Some(Some(Rate { count, per: Duration::from_secs(per) }))
}

/// A domain, normalised.
#[must_use]
pub(super) fn domain(text: &str) -> Option<Domain> {
    let plain = !text.contains(['@', '/', ' ', '*']);
    let domain = DomainPart::new(text).ok()?;
    plain.then(|| Domain::new(domain.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let rows = [
            ("5s", Some(5_000)),
            ("250ms", Some(250)),
            ("10m", Some(600_000)),
            ("72h", Some(259_200_000)),
            ("1d", Some(86_400_000)),
            (" 5 s ", Some(5_000)),
            ("0s", Some(0)),
            ("5", None),
            ("s", None),
            ("", None),
            ("-5s", None),
            ("1.5h", None),
            ("5 weeks", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
        ];
        for (text, millis) in rows {
            assert_eq!(duration(text), millis.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn rates() {
        let per = |count, secs| Some(Some(Rate { count, per: Duration::from_secs(secs) }));
        let rows = [
            ("10/h", per(10, 3600)),
            ("20/s", per(20, 1)),
            ("3 / m", per(3, 60)),
            ("1/d", per(1, 86_400)),
            ("0", Some(None)),
            ("0/s", None),
            ("10", None),
            ("10/w", None),
            ("ten/s", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(rate(text), expected, "{text:?}");
        }
    }

    #[test]
    fn domains() {
        let rows = [
            ("example.org", Some("example.org")),
            ("Example.ORG", Some("example.org")),
            ("alice@example.org", None),
            ("example.org/x", None),
            ("*.example.org", None),
            ("an example", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(domain(text), expected.map(Domain::new), "{text:?}");
        }
    }
}
