//! The resumption window of a hibernated session: stretched until a phone was woken, then the normal one, and never
//! without an end.

use std::time::Duration;

use super::time::Moment;

/// The operator's times (`[sessions]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    /// `hibernation_time`: how long a client has to come back once it was woken.
    pub normal: Duration,
    /// `max_hibernation`: how long it may stay away while nothing woke it.
    pub stretched: Duration,
    /// `wake_before_end`: how long before the end of the stretched window it is woken; `None` is not at all.
    pub wake_before_end: Option<Duration>,
}

/// How long after its end a session may still be there before it is ended by order. Hosts take a second more.
const GRACE: Duration = Duration::from_secs(30);

/// A hibernation, and the window it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hibernation {
    /// When it began, or when we heard of it.
    pub started: Moment,
    /// How long it had lasted by then.
    pub age: Duration,
    /// Whose window it has.
    pub window: Window,
    /// When the window ends, if we set it, or the host said so.
    pub ends: Option<Moment>,
    /// Whether it was woken because the end was near.
    pub woken: bool,
    /// Whether it was told to end.
    pub ended: bool,
}

/// Whose window a hibernated session has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The host's own.
    Hosts,
    /// The stretched one.
    Stretched,
    /// The normal one, which comes once in a hibernation and stays.
    Normal,
}

/// What time brings to a hibernated session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Wake its client: the end is near.
    Wake,
    /// It should have ended.
    End,
}

impl Hibernation {
    /// One that has lasted for so long, with what is left of the host's own window.
    #[must_use]
    pub fn new(age: Duration, left: Option<Duration>, now: Moment) -> Self {
        let ends = left.map(|left| now + left);
        Self { started: now, age, window: Window::Hosts, ends, woken: false, ended: false }
    }

    /// For how long it has lasted.
    #[must_use]
    pub fn lasts(&self, now: Moment) -> Duration {
        (now - self.started) + self.age
    }

    /// Stretches the window; returns how long it is from now, if that changes anything.
    pub fn stretch(&mut self, windows: &Windows, now: Moment) -> Option<Duration> {
        let left = windows.stretched.saturating_sub(self.lasts(now));
        (self.window == Window::Hosts).then(|| self.set(Window::Stretched, now + left, now))
    }

    /// Something important was handed over at `handed`: gives the client the normal window from then, or from the
    /// start of the hibernation, whichever is later. Once.
    pub fn shorten(&mut self, handed: Moment, windows: &Windows, now: Moment) -> Option<Duration> {
        let ends = handed.max(self.started) + windows.normal;
        (self.window != Window::Normal).then(|| self.set(Window::Normal, ends, now))
    }

    /// Nobody can wake the client any more: what was stretched gets the normal window from now.
    pub fn relax(&mut self, windows: &Windows, now: Moment) -> Option<Duration> {
        (self.window == Window::Stretched).then(|| self.set(Window::Normal, now + windows.normal, now))
    }

    /// The host says how much of the window it set is left.
    pub fn told(&mut self, left: Duration, now: Moment) {
        self.ends = Some(now + left);
    }

    /// It could not be told to end: it is over by now, and told when that is due.
    pub fn ends_later(&mut self, now: Moment) {
        (self.ends, self.woken, self.ended) = (Some(now), true, false);
    }

    /// What time will bring next.
    #[must_use]
    pub fn next(&self, windows: &Windows) -> Option<(Moment, Due)> {
        let ends = self.ends.filter(|_| !self.ended)?;
        let wake = windows.wake_before_end.filter(|_| self.window == Window::Stretched && !self.woken);
        Some(match wake {
            // Not before it began, though, however short the window.
            Some(before) => {
                let at = Moment::since_start(ends.uptime().saturating_sub(before));
                (at.max(self.started), Due::Wake)
            }
            None => (ends + GRACE, Due::End),
        })
    }

    fn set(&mut self, window: Window, ends: Moment, now: Moment) -> Duration {
        (self.window, self.ends) = (window, Some(ends));
        ends - now
    }
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod naive_tests;

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;

    fn at(secs: u64) -> Moment {
        Moment::since_start(Duration::from_secs(secs))
    }

    fn span(secs: u64) -> Option<Duration> {
        Some(Duration::from_secs(secs))
    }

    fn windows() -> Windows {
        Windows {
            normal: Duration::from_secs(600),
            stretched: Duration::from_secs(72 * HOUR),
            wake_before_end: span(120),
        }
    }

    #[test]
    fn stretched_until_it_was_woken_then_normal_once() {
        let mut hibernation = Hibernation::new(Duration::ZERO, span(600), at(1000));
        assert_eq!(hibernation.stretch(&windows(), at(1000)), span(72 * HOUR));
        assert_eq!(hibernation.stretch(&windows(), at(1001)), None);
        assert_eq!(hibernation.shorten(at(5000), &windows(), at(5001)), span(599));
        assert_eq!(hibernation.shorten(at(6000), &windows(), at(6000)), None);
        assert_eq!(hibernation.stretch(&windows(), at(6000)), None);
        assert_eq!(hibernation.next(&windows()), Some((at(5600) + GRACE, Due::End)));
    }

    #[test]
    fn what_was_handed_over_before_it_hibernated_counts_from_the_start() {
        let mut hibernation = Hibernation::new(Duration::ZERO, span(600), at(1000));
        assert_eq!(hibernation.shorten(at(900), &windows(), at(1000)), span(600));
    }

    #[test]
    fn it_is_woken_before_the_stretched_window_ends_and_then_ends() {
        let mut hibernation = Hibernation::new(Duration::ZERO, span(600), at(1000));
        assert_eq!(hibernation.next(&windows()), Some((at(1600) + GRACE, Due::End)));
        hibernation.stretch(&windows(), at(1000));
        let end = 1000 + 72 * HOUR;
        assert_eq!(hibernation.next(&windows()), Some((at(end - 120), Due::Wake)));
        hibernation.woken = true;
        assert_eq!(hibernation.next(&windows()), Some((at(end) + GRACE, Due::End)));
        hibernation.ended = true;
        assert_eq!(hibernation.next(&windows()), None);
        let off = Windows { wake_before_end: None, ..windows() };
        let mut hibernation = Hibernation::new(Duration::ZERO, span(600), at(1000));
        hibernation.stretch(&off, at(1000));
        assert_eq!(hibernation.next(&off), Some((at(end) + GRACE, Due::End)));
    }

    #[test]
    fn what_has_passed_before_we_heard_of_it_counts() {
        let mut hibernation = Hibernation::new(Duration::from_secs(HOUR), span(600), at(5));
        assert_eq!(hibernation.stretch(&windows(), at(5)), span(71 * HOUR));
        let mut over = Hibernation::new(Duration::from_secs(80 * HOUR), span(600), at(5));
        assert_eq!(over.stretch(&windows(), at(5)), span(0));
    }

    #[test]
    fn the_host_may_allow_less_than_we_wanted() {
        let mut hibernation = Hibernation::new(Duration::ZERO, None, at(1000));
        assert_eq!(hibernation.next(&windows()), None);
        hibernation.stretch(&windows(), at(1000));
        hibernation.told(Duration::from_secs(900), at(1001));
        assert_eq!(hibernation.next(&windows()), Some((at(1901 - 120), Due::Wake)));
        assert_eq!(hibernation.relax(&windows(), at(1300)), span(600));
        assert_eq!(hibernation.relax(&windows(), at(1400)), None);
    }
}
