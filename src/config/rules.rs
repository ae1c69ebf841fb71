//! `[[hosts]]`, `[rules]` and `[sessions]`: whose users we wake, and how.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::DURATION;
use super::reader::{Findings, Section};
use super::units::{self, domain};
use crate::domain::ids::Domain;
use crate::domain::keeper::Windows;
use crate::domain::redact::Redaction;
use crate::flows::policy::{Rules, Sessions};

/// Reads every `[[hosts]]`. `own` is `component.jid`.
pub(super) fn hosts(sections: Vec<Section<'_>>, own: Option<&Domain>, found: &mut Findings) -> Vec<Domain> {
    let mut hosts = Vec::new();
    for mut section in sections {
        let text = section.required("domain", "example.org", found);
        match text.as_deref().map(domain) {
            None => {}
            Some(None) => {
                let text = format!("{:?} is not a domain such as \"example.org\"", text.unwrap_or_default());
                found.error(section.key("domain"), text);
            }
            Some(Some(host)) if own == Some(&host) => {
                let text = "is our own, component.jid; write the domain whose users are to be woken";
                found.error(section.key("domain"), text);
            }
            Some(Some(host)) if hosts.contains(&host) => {
                found.error(section.key("domain"), format!("\"{host}\" stands there already; leave it out of one"));
            }
            Some(Some(host)) => hosts.push(host),
        }
        section.end(found);
    }
    hosts
}

/// Reads `[rules]`.
pub(super) fn rules(mut section: Section<'_>, found: &mut Findings) -> Rules {
    let default = Rules::default();
    let max_devices = at_least_one(&mut section, "max_devices", found);
    let max_errors = at_least_one(&mut section, "max_errors", found);
    let redaction = redaction(&mut section, &default.redaction, found);
    let burst_window = section.parsed("burst_window", DURATION, units::duration, found);
    if burst_window.is_some_and(|window| window > Duration::from_secs(60)) {
        let text = "is how long every push waits, but those for calls; the default is \"1s\"";
        found.warning(section.key("burst_window"), text);
    }
    let unimportant = section.parsed("unimportant", "one of \"send\", \"never\"", one_of("never", "send"), found);
    let corrections = section.parsed(
        "corrections",
        "one of \"unimportant\", \"important\"",
        one_of("unimportant", "important"),
        found,
    );
    let ttl = section.parsed("registration_ttl", DURATION, units::duration, found);
    let services = services(&mut section, &redaction, found);
    section.end(found);
    Rules {
        max_devices: max_devices.map_or(default.max_devices, size),
        max_errors: max_errors.unwrap_or(default.max_errors),
        redaction,
        services,
        burst_window: burst_window.unwrap_or(default.burst_window),
        unimportant: unimportant.unwrap_or(default.unimportant),
        corrections: corrections.unwrap_or(default.corrections),
        registration_ttl: ttl.map_or(default.registration_ttl, off_if_zero),
    }
}

/// Reads every `[[rules.service]]`. What one does not say is as in `[rules]`.
fn services(section: &mut Section<'_>, rules: &Redaction, found: &mut Findings) -> BTreeMap<Box<str>, Redaction> {
    let mut services = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for mut section in section.sections("service", found) {
        // As the registrations have it: normalised, resource and all.
        let jid = |text: &str| jid::Jid::new(text).ok().map(|jid| Box::from(jid.as_str()));
        let given = section.has("jid");
        let service: Option<Box<str>> = section.parsed("jid", "a JID such as \"push.example.org\"", jid, found);
        if !given {
            found.error(section.key("jid"), "is missing; write jid = \"push.example.org\"");
        }
        let redaction = redaction(&mut section, rules, found);
        if let Some(service) = service {
            if !seen.insert(service.clone()) {
                found.error(section.key("jid"), format!("{service:?} stands there already; leave it out of one"));
            }
            services.insert(service, redaction);
        }
        section.end(found);
    }
    services
}

fn redaction(section: &mut Section<'_>, default: &Redaction, found: &mut Findings) -> Redaction {
    let body = section.text_or_empty("important_body", found);
    Redaction {
        important_body: body.map_or_else(|| default.important_body.clone(), Into::into),
        with_body: section.flag("with_body", found).unwrap_or(default.with_body),
        with_sender: section.flag("with_sender", found).unwrap_or(default.with_sender),
    }
}

/// Reads `[sessions]`.
pub(super) fn sessions(mut section: Section<'_>, found: &mut Findings) -> Sessions {
    let default = Sessions::default();
    let mut span = |key, default: Duration, found: &mut Findings| {
        section.parsed(key, DURATION, units::duration, found).unwrap_or(default)
    };
    let normal = span("hibernation_time", default.windows.normal, found);
    let stretched = span("max_hibernation", default.windows.stretched, found);
    let max_ack_delay = span("max_ack_delay", default.max_ack_delay, found);
    let before_end = span("wake_before_end", default.windows.wake_before_end.unwrap_or_default(), found);
    let max_hibernated = at_least_one(&mut section, "max_hibernated", found);
    let max_old = section.number("max_old", found);
    let wake_on_start = section.flag("wake_on_start", found);
    if stretched < normal {
        let text = "is shorter than hibernation_time; it is how long a session may stay while nothing woke its phone, so \
                    write at least as much";
        found.error(section.key("max_hibernation"), text);
    }
    if normal.is_zero() {
        let text = "ends a session as soon as its phone was woken, before it can come back; the default is \"10m\"";
        found.warning(section.key("hibernation_time"), text);
    }
    if max_ack_delay < Duration::from_secs(1) {
        let text = "makes phones that are only slow get a push; hosts count whole seconds, and the default is \"30s\"";
        found.warning(section.key("max_ack_delay"), text);
    }
    if !before_end.is_zero() && before_end >= stretched {
        let text = "is not shorter than max_hibernation: every phone is woken as soon as its session hibernates";
        found.warning(section.key("wake_before_end"), text);
    }
    section.end(found);
    Sessions {
        windows: Windows { normal, stretched, wake_before_end: off_if_zero(before_end) },
        max_ack_delay,
        max_hibernated: max_hibernated.map_or(default.max_hibernated, size),
        max_old: max_old.map_or(default.max_old, size),
        wake_on_start: wake_on_start.unwrap_or(default.wake_on_start),
    }
}

/// Without a host, nobody is there whom they could be about.
pub(super) fn warn_if_for_nobody(rules: &Section<'_>, sessions: &Section<'_>, found: &mut Findings) {
    // What stands for a missing text is for pushes of any server.
    if rules.says_more_than("important_body") {
        found.warning("rules", FOR_NOBODY);
    }
    if sessions.says_more_than("") {
        found.warning("sessions", FOR_NOBODY);
    }
}

const FOR_NOBODY: &str = "is for users of our own hosts, and there are none; write [[hosts]] and a domain below it";

/// A number that cannot be zero.
fn at_least_one(section: &mut Section<'_>, key: &'static str, found: &mut Findings) -> Option<u32> {
    let number = section.number(key, found)?;
    if number == 0 {
        found.error(section.key(key), "must be at least 1");
    }
    Some(number)
}

/// Two words, one for false and one for true.
fn one_of(no: &'static str, yes: &'static str) -> impl FnOnce(&str) -> Option<bool> {
    move |text| match text {
        text if text == no => Some(false),
        text if text == yes => Some(true),
        _ => None,
    }
}

fn off_if_zero(span: Duration) -> Option<Duration> {
    (!span.is_zero()).then_some(span)
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
