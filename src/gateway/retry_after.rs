//! The `Retry-After` header (RFC 9110 §10.2.3): seconds, or a date.

use std::time::Duration;

use crate::domain::time::Timestamp;

/// Longer than this no vendor means.
const MOST: Duration = Duration::from_secs(24 * 3600);

/// How long to wait; `None` for what is neither a number of seconds nor an IMF-fixdate (RFC 9110 §5.6.7). A date
/// that has passed means now.
pub(super) fn parse(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number too long for u64 is longer than any wait we accept.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        date(text)? - now
    };
    Some(wait.min(MOST))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(super) fn date(text: &str) -> Option<Timestamp> {
    let (_weekday, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let day: i64 = number(words.next()?, 1, 31)?;
    let month = month(words.next()?)?;
    let year = number(words.next()?, 1970, 9999)?;
    let mut clock = words.next()?.split(':');
    let hour = number(clock.next()?, 0, 23)?;
    let minute = number(clock.next()?, 0, 59)?;
    let second = number(clock.next()?, 0, 60)?;
    if words.next()? != "GMT" || words.next().is_some() || clock.next().is_some() {
        return None;
    }
    let secs = days_from_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(Timestamp::from_secs(secs))
}

fn number(text: &str, least: i64, most: i64) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && (least..=most).contains(number))
}

fn month(name: &str) -> Option<i64> {
    const NAMES: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    (1..).zip(NAMES).find_map(|(number, known)| (known == name).then_some(number))
}

/// Days since 1970-01-01 of a date in the Gregorian calendar, counting years from March so that the leap day is the
/// last of its year.
const fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let leap_days = year / 4 - year / 100 + year / 400;
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_and_nonsense() {
        let now = Timestamp::from_secs(784_111_777);
        let secs = |secs| Some(Duration::from_secs(secs));
        let rows = [
            ("0", secs(0)),
            ("30", secs(30)),
            (" 30 ", secs(30)),
            ("99999999999999999999999", Some(MOST)),
            ("172800", Some(MOST)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", secs(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", secs(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", secs(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(MOST)),
            ("", None),
            ("-1", None),
            ("soon", None),
            ("Sun, 06 Nov 1994 08:49:37", None),
            ("Sun, 06 Nov 1994 08:49 GMT", None),
            ("Sun, 36 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Foo 1994 08:49:37 GMT", None),
        ];
        for (text, expected) in rows {
            assert_eq!(parse(text, now), expected, "{text:?}");
        }
    }

    #[test]
    fn leap_days_count() {
        assert_eq!(days_from_epoch(1970, 1, 1), 0);
        assert_eq!(days_from_epoch(2000, 2, 29), 11_016);
        assert_eq!(days_from_epoch(2000, 3, 1), 11_017);
        assert_eq!(days_from_epoch(2026, 11, 22), 20_779);
    }
}
