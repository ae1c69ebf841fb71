//! The windows of hibernated sessions, and how many of them there may be.

use std::cmp::Reverse;
use std::time::Duration;

use super::edit::Edit;
use super::fate;
use crate::domain::keeper::{Due, Hibernation, Window};
use crate::domain::registration::RegistrationKey;
use crate::domain::session::{Report, Sid, Standing};
use crate::domain::time::Moment;
use crate::flows::data::Decided;
use crate::flows::hosts::Host;
use crate::flows::live::Session;

/// A window that differs from what it should be by no more than this is left as it is.
const CLOSE_ENOUGH: Duration = Duration::from_secs(1);

/// Something was told of a session: if it hibernates, and that is new to us, from when to when. What an event says of a
/// window that we know is older than our last order, if the event waited for its batch meanwhile: it does not count.
pub(super) fn found(edit: &mut Edit<'_>, sid: &Sid) {
    let now = edit.now.steady;
    let Some(session) = edit.live_mut().session_mut(sid) else { return };
    if session.report.state != Standing::Hibernated || session.hibernation.is_some() {
        return;
    }
    let left = left(&session.report);
    let whole = session.report.timeout.map(|secs| Duration::from_secs(secs.into()));
    let passed = whole.zip(left).map_or(Duration::ZERO, |(whole, left)| whole.saturating_sub(left));
    session.hibernation = Some(Hibernation::new(passed, left, now));
}

/// A session was described as it is. While we were not linked, the host went by its own time.
pub(super) fn described(edit: &mut Edit<'_>, sid: &Sid) {
    let now = edit.now.steady;
    let Some(session) = edit.live_mut().session_mut(sid) else { return };
    if session.report.state != Standing::Hibernated {
        return;
    }
    let left = left(&session.report);
    if let Some(hibernation) = &mut session.hibernation {
        // If it was told to end, it has not heard.
        hibernation.ended = false;
    }
    let Some(hibernation) = session.hibernation.as_mut().filter(|hibernation| hibernation.window != Window::Hosts)
    else {
        return found(edit, sid);
    };
    let ours = hibernation.ends.map(|ends| ends - now);
    if let Some((ours, theirs)) = ours.zip(left).filter(|(ours, theirs)| !close(*ours, *theirs)) {
        hibernation.told(theirs, now);
        edit.set_window(sid, ours);
    }
}

/// Stretches the window of a hibernated session whose client can be woken and was not yet.
pub(super) fn stretch(edit: &mut Edit<'_>, sid: &Sid) {
    if edit.bound_to(sid).is_empty() {
        return;
    }
    change(edit, sid, Hibernation::stretch, Decided::Stretched);
}

/// Something important that stands in a session's queue was handed over just now.
pub(super) fn handed_over(edit: &mut Edit<'_>, sid: &Sid) {
    let now = edit.now.steady;
    let shorten = |hibernation: &mut Hibernation, windows: &_, at| hibernation.shorten(now, windows, at);
    change(edit, sid, shorten, Decided::Shortened);
}

/// The same, but it was handed over before: since when, only the session's window can tell, if it was shortened then.
pub(super) fn handed_before(edit: &mut Edit<'_>, sid: &Sid) {
    let normal = edit.policy().sessions.windows.normal;
    let Some(session) = edit.live_mut().session_mut(sid) else { return };
    let shortened = session.report.timeout.map(|secs| Duration::from_secs(secs.into())) == Some(normal);
    match &mut session.hibernation {
        Some(hibernation) if shortened && hibernation.window == Window::Hosts => hibernation.window = Window::Normal,
        _ => handed_over(edit, sid),
    }
}

/// Nothing wakes the client of a session any more: it gets no more time than others.
pub(super) fn relax(edit: &mut Edit<'_>, sid: &Sid) {
    change(edit, sid, Hibernation::relax, Decided::Shortened);
}

fn change(
    edit: &mut Edit<'_>,
    sid: &Sid,
    change: impl FnOnce(&mut Hibernation, &crate::domain::keeper::Windows, Moment) -> Option<Duration>,
    decided: fn(Duration) -> Decided,
) {
    let (now, windows) = (edit.now.steady, &edit.policy().sessions.windows);
    let hibernation = edit.live_mut().session_mut(sid).and_then(|session| session.hibernation.as_mut());
    let Some(hibernation) = hibernation else { return };
    let before = hibernation.ends.map(|ends| ends - now);
    let Some(window) = change(hibernation, windows, now) else { return };
    edit.decided_of(sid, decided(window));
    if before.is_none_or(|before| !close(before, window)) {
        edit.set_window(sid, window);
    }
}

fn close(one: Duration, other: Duration) -> bool {
    one.abs_diff(other) <= CLOSE_ENOUGH
}

fn left(report: &Report) -> Option<Duration> {
    report.left.or(report.timeout).map(|secs| Duration::from_secs(secs.into()))
}

/// An account may have so many sessions that hibernate; the one that does so longest makes room.
pub(super) fn limit(edit: &mut Edit<'_>) {
    let most = edit.policy().sessions.max_hibernated;
    let hibernated = |session: &&Session| session.hibernation.as_ref().is_some_and(|hibernation| !hibernation.ended);
    let now = edit.now.steady;
    let mut all: Vec<(Duration, Sid)> = edit
        .live()
        .sessions
        .iter()
        .filter(hibernated)
        .filter_map(|session| Some((session.hibernation.as_ref()?.lasts(now), session.report.sid.clone())))
        .collect();
    let surplus = all.len().saturating_sub(most);
    // Of those that began together, the one that was there first.
    all.sort_by_key(|(lasts, _)| Reverse(*lasts));
    for (_, sid) in all.into_iter().take(surplus) {
        end(edit, &sid, Decided::TooMany);
    }
}

fn end(edit: &mut Edit<'_>, sid: &Sid, why: Decided) {
    let now = edit.now.steady;
    let linked = edit.host().is_some_and(Host::is_linked);
    let hibernation = edit.live_mut().session_mut(sid).and_then(|session| session.hibernation.as_mut());
    if let Some(hibernation) = hibernation {
        if !linked {
            // Nobody would hear it. Later, then.
            hibernation.ends_later(now);
            return;
        }
        hibernation.ended = true;
        edit.decided_of(sid, why);
        edit.set_window(sid, Duration::ZERO);
    }
}

/// Time passed.
pub(super) fn due(edit: &mut Edit<'_>) {
    let now = edit.now.steady;
    let due = |session: &Session| {
        let (at, what) = session.due(edit.policy())?;
        (at <= now).then(|| (session.report.sid.clone(), what))
    };
    let all: Vec<(Sid, Due)> = edit.live().sessions.iter().filter_map(due).collect();
    for (sid, what) in all {
        match what {
            Due::End => end(edit, &sid, Decided::Overdue),
            Due::Wake => {
                if let Some(session) = edit.live_mut().session_mut(&sid)
                    && let Some(hibernation) = &mut session.hibernation
                {
                    hibernation.woken = true;
                }
                edit.decided_of(&sid, Decided::WokenBeforeEnd);
                let keys: Vec<RegistrationKey> = edit.bound_to(&sid).iter().map(|of| of.key.clone()).collect();
                for key in keys {
                    fate::wake(edit, &key);
                }
            }
        }
    }
}

/// A host answered an order about a session's window: with the session, or that it is not as we thought.
pub(super) fn told(edit: &mut Edit<'_>, sid: &Sid, report: Option<&Report>) {
    let now = edit.now.steady;
    let Some(session) = edit.live_mut().session_mut(sid) else { return };
    let Some(report) = report else {
        // Most likely an event that says why is on its way.
        if let Some(hibernation) = session.hibernation.as_mut().filter(|hibernation| hibernation.ended) {
            hibernation.ends_later(now);
        }
        return;
    };
    if report.since != session.report.since {
        return;
    }
    session.report.timeout = report.timeout;
    session.report.left = report.left;
    // The host may allow less than we asked for.
    if let (Some(hibernation), Some(left)) = (&mut session.hibernation, left(report)) {
        let ours = hibernation.ends.map(|ends| ends - now);
        if ours.is_none_or(|ours| !close(ours, left)) && !hibernation.ended {
            hibernation.told(left, now);
        }
    }
}
