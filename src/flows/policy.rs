//! The operator's settings, as far as flows care.

use std::collections::BTreeMap;
use std::time::Duration;

use super::signals::Facts;
use crate::domain::app::{App, Way};
use crate::domain::extensions::Extensions;
use crate::domain::ids::{Account, AppName, Domain};
use crate::domain::keeper::Windows;
pub use crate::domain::pattern::DomainPattern;
use crate::domain::rate::Rate;
use crate::domain::redact::Redaction;
use crate::domain::registration::Registration;

/// What the operator decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The apps of `[apps.*]`.
    pub apps: Vec<App>,
    /// Their ways to their vendors, by name.
    pub ways: BTreeMap<AppName, Way>,
    /// `push.answer_within`: how long a publish waits for the vendor's verdict.
    pub answer_within: Duration,
    /// `push.max_per_domain`, per second; `None` is no limit.
    pub max_per_domain: Option<Rate>,
    /// `[register]`.
    pub register: RegisterPolicy,
    /// How many pushes of one app may be with its vendor at a time.
    pub slots: usize,
    /// How many pushes of all apps together may be.
    pub max_under_way: usize,
    /// How many iqs may wait for a verdict at a time.
    pub max_waiting: usize,
    /// `push.outbox_ttl`: for how long a push is owed.
    pub outbox_ttl: Duration,
    /// `push.min_interval`: how long a device is left alone after a push; `None` is not at all. Calls do not care.
    pub min_interval: Option<Duration>,
    /// How many pushes may be owed.
    pub max_owed: usize,
    /// How many bytes all that is owed may take.
    pub max_owed_bytes: usize,
    /// `component.jid`: our own push service.
    pub own: Domain,
    /// `component.admins`: bare JIDs that may use every ad-hoc command.
    pub admins: Vec<Account>,
    /// `[[hosts]]`: the domains whose bridge we trust.
    pub hosts: Vec<Domain>,
    /// `[rules]`.
    pub rules: Rules,
    /// `[sessions]`.
    pub sessions: Sessions,
}

impl Policy {
    /// Whether that can be a push service for accounts of this domain: neither of the domain itself nor of another of our
    /// hosts, however it is spelt. It would be pushed to by the very messages that it is sent.
    #[must_use]
    pub fn may_be_service(&self, domain: &Domain, service: &str) -> bool {
        let Ok(service) = jid::BareJid::new(crate::domain::stanza::bare(service)) else { return false };
        let service = service.domain().as_str().trim_end_matches('.');
        service != domain.as_str() && self.hosts.iter().all(|host| service != host.as_str())
    }

    /// Whose users are woken and whose apps get pushes, in words: what an operator looks at first when something is
    /// missing.
    #[must_use]
    pub fn served(&self) -> String {
        let list = |names: Vec<&str>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let hosts = list(self.hosts.iter().map(Domain::as_str).collect());
        let apps = list(self.apps.iter().map(|app| app.name.as_str()).collect());
        format!("hosts: {hosts}; apps: {apps}")
    }
}

/// How the rules engine decides (`[rules]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// `max_devices`: how many registrations an account may have.
    pub max_devices: usize,
    /// `max_errors`: so many refusals in a row disable a registration.
    pub max_errors: u32,
    /// What pushes may say.
    pub redaction: Redaction,
    /// `[[rules.service]]`: what they may say to one push service.
    pub services: BTreeMap<Box<str>, Redaction>,
    /// `burst_window`: how long stanzas are collected for one push.
    pub burst_window: Duration,
    /// `unimportant`: whether pushes go out for what is not important.
    pub unimportant: bool,
    /// `corrections`: whether a correction (XEP-0308) is important.
    pub corrections: bool,
    /// `registration_ttl`: how long a registration lives without being enabled again; `None` is for ever.
    pub registration_ttl: Option<Duration>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            max_devices: 5,
            max_errors: 16,
            redaction: Redaction::default(),
            services: BTreeMap::new(),
            burst_window: Duration::from_secs(1),
            unimportant: true,
            corrections: false,
            registration_ttl: None,
        }
    }
}

impl Rules {
    /// What a host must tell of an account's messages beside their shapes, for these registrations of it.
    #[must_use]
    pub fn facts<'a>(&self, registrations: impl IntoIterator<Item = &'a Registration>) -> Facts {
        let mut facts = Facts::default();
        for of in registrations {
            let extensions = of.extensions.as_deref();
            facts.texts |= self.redaction(&of.key.service).with_body || extensions.is_some_and(Extensions::needs_texts);
            facts.contacts |= extensions.is_some_and(Extensions::needs_contacts);
        }
        facts
    }

    /// What pushes to this service may say.
    #[must_use]
    pub fn redaction(&self, service: &str) -> &Redaction {
        // The operator's spelling is normalised, the client's is kept as it is.
        let known = self.services.get(service).or_else(|| self.services.get(&*service.to_ascii_lowercase()));
        known.unwrap_or(&self.redaction)
    }
}

/// How sessions are kept (`[sessions]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sessions {
    /// `hibernation_time`, `max_hibernation`, `wake_before_end`.
    pub windows: Windows,
    /// `max_ack_delay`: when an acknowledgement is overdue.
    pub max_ack_delay: Duration,
    /// `max_hibernated`: how many sessions of an account may hibernate.
    pub max_hibernated: usize,
    /// `max_old`: of how many ended sessions the counter is kept, for show.
    pub max_old: usize,
    /// `wake_on_start`: whether those who hibernated when the host died are woken.
    pub wake_on_start: bool,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            windows: Windows {
                normal: Duration::from_secs(600),
                stretched: Duration::from_secs(72 * 3600),
                wake_before_end: Some(Duration::from_secs(120)),
            },
            max_ack_delay: Duration::from_secs(30),
            max_hibernated: 10,
            max_old: 10,
            wake_on_start: false,
        }
    }
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
