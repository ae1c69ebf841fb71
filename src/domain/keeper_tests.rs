//! The keeper beside a naive one, whatever happens to a hibernation and in whatever order.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

/// Everything that happened to one hibernation, and what follows from it by looking at all of it anew.
struct Naive {
    windows: Windows,
    /// When it began, on the steady clock of this process: before the process, if so.
    began: i64,
    /// When this process heard of it.
    heard: i64,
    happened: Vec<(i64, Act)>,
    left: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Stretch,
    /// Something was handed over so many seconds ago.
    Shorten(u64),
    Relax,
    Told(u64),
    Woken,
    EndsLater,
    Ended,
    Pass(u64),
    /// Another process hears of it from its host, which has so much left.
    Restart,
}

/// What holds by now.
#[derive(Debug, PartialEq)]
struct Holds {
    window: Window,
    ends: Option<i64>,
    woken: bool,
    ended: bool,
}

impl Naive {
    fn holds(&self) -> Holds {
        let ends = self.left.map(|left| self.heard + left);
        let mut holds = Holds { window: Window::Hosts, ends, woken: false, ended: false };
        let (normal, stretched) = (secs(self.windows.normal), secs(self.windows.stretched));
        for (at, act) in &self.happened {
            match act {
                // Once, and only from the host's window.
                Act::Stretch if holds.window == Window::Hosts => {
                    (holds.window, holds.ends) = (Window::Stretched, Some((self.began + stretched).max(*at)));
                }
                // Once; what was handed over before it hibernated counts from its start.
                Act::Shorten(ago) if holds.window != Window::Normal => {
                    let handed = (at - i64::try_from(*ago).unwrap()).max(0).max(self.heard);
                    (holds.window, holds.ends) = (Window::Normal, Some(handed + normal));
                }
                Act::Relax if holds.window == Window::Stretched => {
                    (holds.window, holds.ends) = (Window::Normal, Some(at + normal));
                }
                Act::Told(left) => holds.ends = Some(at + i64::try_from(*left).unwrap()),
                Act::Woken => holds.woken = true,
                Act::EndsLater => (holds.ends, holds.woken, holds.ended) = (Some(*at), true, false),
                Act::Ended => holds.ended = true,
                _ => {}
            }
        }
        holds
    }
}

fn secs(span: Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap()
}

fn at(secs: i64) -> Moment {
    Moment::since_start(Duration::from_secs(u64::try_from(secs).unwrap()))
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => Just(Act::Stretch),
        3 => (0..5000_u64).prop_map(Act::Shorten),
        1 => Just(Act::Relax),
        2 => (0..300_000_u64).prop_map(Act::Told),
        1 => Just(Act::Woken),
        1 => Just(Act::EndsLater),
        1 => Just(Act::Ended),
        5 => prop_oneof![0..5_u64, 0..700_u64, 0..400_000_u64].prop_map(Act::Pass),
        1 => Just(Act::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]
    #[test]
    fn whatever_happens_a_window_is_what_a_naive_keeper_says_and_has_an_end(
        windows in (1..1000_u64, 1000..300_000_u64, option::of(0..2000_u64)),
        (age, left) in (0..300_000_u64, option::of(0..1000_u64)),
        acts in vec(act(), 1..60),
    ) {
        let span = Duration::from_secs;
        let windows = Windows { normal: span(windows.0), stretched: span(windows.1), wake_before_end: windows.2.map(span) };
        let mut now = 1000_i64;
        let mut keeper = Hibernation::new(span(age), left.map(span), at(now));
        let mut naive = Naive {
            windows: windows.clone(),
            began: now - i64::try_from(age).unwrap(),
            heard: now,
            happened: Vec::new(),
            left: left.map(|left| i64::try_from(left).unwrap()),
        };
        for act in acts {
            let before = naive.holds();
            let told = match act {
                Act::Stretch => keeper.stretch(&windows, at(now)),
                Act::Shorten(ago) => keeper.shorten(at((now - i64::try_from(ago).unwrap()).max(0)), &windows, at(now)),
                Act::Relax => keeper.relax(&windows, at(now)),
                Act::Told(left) => { keeper.told(span(left), at(now)); None }
                Act::Woken => { keeper.woken = true; None }
                Act::EndsLater => { keeper.ends_later(at(now)); None }
                Act::Ended => { keeper.ended = true; None }
                Act::Pass(secs) => { now += i64::try_from(secs).unwrap(); None }
                Act::Restart => {
                    let left = before.ends.map(|ends| (ends - now).max(0));
                    let age = now - naive.began;
                    // The new process has its own clock; what it knows is how long it has lasted.
                    now = 5;
                    keeper = Hibernation::new(span(age.unsigned_abs()), left.map(|left| span(left.unsigned_abs())), at(now));
                    naive = Naive { began: now - age, heard: now, happened: Vec::new(), left, windows: windows.clone() };
                    None
                }
            };
            if !matches!(act, Act::Restart | Act::Pass(_)) {
                naive.happened.push((now, act));
            }
            let holds = naive.holds();
            let ends = keeper.ends.map(|ends| secs(ends.uptime()));
            prop_assert_eq!(Holds { window: keeper.window, ends, woken: keeper.woken, ended: keeper.ended }, naive.holds());
            // Whoever changes the window says how long it is from now, and nobody else does.
            let changed = !matches!(act, Act::Restart) && holds.window != before.window;
            let from_now = changed.then(|| span((ends.unwrap_or_default() - now).max(0).unsigned_abs()));
            prop_assert_eq!(told, from_now);
            // No timer is lost: what has an end and was not told to end is looked at, at its end or before.
            let next = keeper.next(&windows);
            prop_assert_eq!(next.is_some(), holds.ends.is_some() && !holds.ended);
            if let Some((when, due)) = next {
                let end = holds.ends.unwrap_or_default();
                let latest = at(end) + GRACE;
                prop_assert!(when <= latest.max(keeper.started));
                let wakes = holds.window == Window::Stretched && !holds.woken && windows.wake_before_end.is_some();
                prop_assert_eq!(due == Due::Wake, wakes);
            }
            // Nobody stays for longer than the operator allows, unless the host itself says so.
            let asked = naive.happened.iter().any(|(_, act)| matches!(act, Act::Told(_)));
            if holds.window == Window::Stretched && !asked {
                prop_assert!(ends.unwrap_or_default() <= (naive.began + secs(windows.stretched)).max(now).max(naive.heard + 1));
            }
        }
    }
}
