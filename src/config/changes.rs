//! What changed from one configuration to another, in words for operators. Secrets are told apart by digests and never
//! shown.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::time::Duration;

use super::apps::{ApnsAuth, AppConfig, Vendor};
use super::fingerprint::digest;
use super::{Config, LogFormat, StoreEngine};
use crate::domain::app::Style;
use crate::domain::look::Extra;
use crate::domain::pattern::DomainPattern;
use crate::domain::rate::Rate;
use crate::domain::redact::Redaction;
use crate::flows::policy::{Policy, RegisterPolicy, Rules, Sessions};

/// What cannot change while pushkeeper runs.
const FIXED: [&str; 6] =
    ["component.jid", "http.listen", "http.public.listen", "log.format", "store.engine", "store.path"];

/// What a configuration says, key by key: enough to tell it from another one.
#[derive(Clone)]
pub struct Told(BTreeMap<String, Part>);

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Told(..)")
    }
}

/// A section, by its title.
#[derive(Clone, PartialEq)]
struct Part {
    /// What its keys begin with.
    prefix: String,
    values: BTreeMap<&'static str, Value>,
}

#[derive(Clone, PartialEq)]
enum Value {
    Shown(String),
    /// Nobody is to see it.
    Hidden(u64),
}

impl Config {
    /// What it says. Files count by what is in them.
    #[must_use]
    pub fn told(&self) -> Told {
        let mut told = Told(BTreeMap::new());
        // What the files hold is told where it is used.
        let Self { component, store, policy, apps, http, log, files: _ } = self;
        told.section("component")
            .shows("jid", component.jid.as_str())
            .shows("connect", &component.connect)
            .hides("secret", component.secret.reveal().as_bytes())
            .shows("admins", list(component.admins.iter().map(|admin| admin.as_str())));
        let engine = match store.engine {
            StoreEngine::Sled => "sled",
            StoreEngine::Redb => "redb",
        };
        told.section("store").shows("path", store.path.display()).shows("engine", engine);
        told.policy(policy);
        for app in apps {
            told.app(app);
        }
        let listen = http.listen.map_or_else(|| "none".to_owned(), |listen| listen.to_string());
        told.section("http").shows("listen", listen);
        if let Some(public) = &http.public {
            let part = told.part("[http.public]".to_owned(), "http.public.".to_owned());
            part.shows("listen", public.listen);
            if let Some(tls) = &public.tls {
                part.hides("certificate_file", &tls.certificate).hides("key_file", &tls.key);
            }
        }
        let format = match log.format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        told.section("log").shows("level", &log.level).shows("format", format);
        told
    }
}

impl Told {
    /// What changes if `new` takes the place of this one, a line each, and what runs then: `new`, but for what takes a
    /// restart. No lines if nothing changes.
    #[must_use]
    pub fn changes(&self, new: &Self) -> (Vec<String>, Self) {
        let mut lines = Vec::new();
        let mut runs = new.clone();
        for title in self.0.keys().chain(new.0.keys().filter(|title| !self.0.contains_key(*title))) {
            let http = title == "[http.public]";
            match (self.0.get(title), new.0.get(title)) {
                (Some(old), Some(new)) => {
                    let Some(runs) = runs.0.get_mut(title) else { continue };
                    changes_within(title, old, new, runs, &mut lines);
                }
                (Some(old), None) if http => {
                    runs.0.insert(title.clone(), old.clone());
                    lines.push(format!("{title}: removed, which takes a restart; it stays as it is"));
                }
                (None, _) if http => {
                    runs.0.remove(title);
                    lines.push(format!("{title}: new, which takes a restart; nothing listens there yet"));
                }
                (None, _) => lines.push(format!("{title}: new")),
                (_, None) => lines.push(format!("{title}: removed")),
            }
        }
        (lines, runs)
    }

    /// Whether that key, by its full name, has another value in `other`.
    #[must_use]
    pub fn differs(&self, other: &Self, key: &str) -> bool {
        self.value(key) != other.value(key)
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.0.values().find_map(|part| part.values.get(key.strip_prefix(part.prefix.as_str())?))
    }

    /// All keys, by their full names; for tests.
    #[cfg(test)]
    pub(super) fn keys(&self) -> Vec<String> {
        let keys = |part: &Part| part.values.keys().map(|key| format!("{}{key}", part.prefix)).collect::<Vec<_>>();
        self.0.values().flat_map(keys).collect()
    }

    fn section(&mut self, name: &str) -> &mut Part {
        self.part(format!("[{name}]"), format!("{name}."))
    }

    fn part(&mut self, title: String, prefix: String) -> &mut Part {
        self.0.entry(title).or_insert(Part { prefix, values: BTreeMap::new() })
    }

    fn policy(&mut self, policy: &Policy) {
        for host in &policy.hosts {
            self.part(format!("[[hosts]] {host}"), format!("[[hosts]] {host}: "));
        }
        let Policy { answer_within, max_per_domain, outbox_ttl, min_interval, .. } = policy;
        self.section("push")
            .shows("answer_within", span(*answer_within))
            .shows("outbox_ttl", span(*outbox_ttl))
            .shows("min_interval", span(min_interval.unwrap_or_default()))
            .shows("max_per_domain", max_per_domain.map_or(0, |rate| rate.count));
        let RegisterPolicy { allow_domains, max_devices_per_account, rate_per_account, rate_per_domain } =
            &policy.register;
        self.section("register")
            .shows("allow_domains", list(allow_domains.iter().map(pattern)))
            .shows("max_devices_per_account", max_devices_per_account)
            .shows("rate_per_account", rate(*rate_per_account))
            .shows("rate_per_domain", rate(*rate_per_domain));
        self.rules(&policy.rules);
        let Sessions { windows, max_ack_delay, max_hibernated, max_old, wake_on_start } = &policy.sessions;
        self.section("sessions")
            .shows("hibernation_time", span(windows.normal))
            .shows("max_hibernation", span(windows.stretched))
            .shows("wake_before_end", span(windows.wake_before_end.unwrap_or_default()))
            .shows("max_ack_delay", span(*max_ack_delay))
            .shows("max_hibernated", max_hibernated)
            .shows("max_old", max_old)
            .shows("wake_on_start", wake_on_start);
    }

    fn rules(&mut self, rules: &Rules) {
        let Rules { max_devices, max_errors, redaction, services, burst_window, .. } = rules;
        let word = |yes: bool, said: &'static str, not: &'static str| if yes { said } else { not };
        self.section("rules")
            .redaction(redaction)
            .shows("max_devices", max_devices)
            .shows("max_errors", max_errors)
            .shows("burst_window", span(*burst_window))
            .shows("unimportant", word(rules.unimportant, "send", "never"))
            .shows("corrections", word(rules.corrections, "important", "unimportant"))
            .shows("registration_ttl", span(rules.registration_ttl.unwrap_or_default()));
        for (service, redaction) in services {
            let title = format!("[[rules.service]] {service}");
            self.part(title.clone(), format!("{title}: ")).redaction(redaction);
        }
    }

    fn app(&mut self, config: &AppConfig) {
        let AppConfig { app, look, vendor } = config;
        let part = self.part(format!("[apps.{}]", app.name), format!("apps.{}.", app.name));
        let style = match app.style {
            Style::Generic => "generic",
            Style::Conversations => "conversations",
            Style::Monal => "monal",
            Style::Tigase => "tigase",
        };
        part.shows("provider", app.provider.name())
            .shows("style", style)
            .shows("aliases", list(app.aliases.iter().map(|alias| &**alias)))
            .shows("default", app.default)
            .shows("token_nodes", app.token_nodes);
        let words =
            [("title", &look.title), ("body", &look.body), ("sound", &look.sound), ("category", &look.category)];
        for (key, word) in words {
            part.optional(key, word.as_deref().map(|word| format!("{word:?}")));
        }
        let extra: Vec<(&str, &Extra)> = look.extra.iter().map(|(key, value)| (&**key, value)).collect();
        part.hides("extra", format!("{extra:?}").as_bytes());
        part.vendor(vendor);
        if !app.allow_hosts.is_empty() {
            part.shows("allow_hosts", list(app.allow_hosts.iter().map(pattern)));
        }
    }
}

impl Part {
    fn shows(&mut self, key: &'static str, value: impl Display) -> &mut Self {
        self.values.insert(key, Value::Shown(value.to_string()));
        self
    }

    fn hides(&mut self, key: &'static str, bytes: &[u8]) -> &mut Self {
        self.values.insert(key, Value::Hidden(digest(bytes)));
        self
    }

    fn optional(&mut self, key: &'static str, value: Option<impl Display>) -> &mut Self {
        if let Some(value) = value {
            self.shows(key, value);
        }
        self
    }

    fn redaction(&mut self, redaction: &Redaction) -> &mut Self {
        let Redaction { important_body, with_body, with_sender } = redaction;
        self.shows("important_body", format!("{important_body:?}"))
            .shows("with_body", with_body)
            .shows("with_sender", with_sender)
    }

    fn vendor(&mut self, vendor: &Vendor) {
        let authorities = match vendor {
            Vendor::Apns { sandbox, endpoint, ca, topic, auth } => {
                self.shows("environment", if *sandbox { "sandbox" } else { "production" })
                    .optional("endpoint", endpoint.as_ref())
                    .shows("topic", topic);
                match auth {
                    ApnsAuth::Token { key, key_id, team_id } => {
                        self.hides("key_file", key).shows("key_id", key_id).shows("team_id", team_id);
                    }
                    ApnsAuth::Certificate { bytes, password } => {
                        self.hides("certificate_file", bytes).hides("certificate_password", password.as_bytes());
                    }
                }
                ca
            }
            Vendor::Fcm { endpoint, token_endpoint, ca, service_account } => {
                self.optional("endpoint", endpoint.as_ref())
                    .optional("token_endpoint", token_endpoint.as_ref())
                    .hides("service_account_file", service_account);
                ca
            }
            Vendor::WebPush { vapid_key, vapid_subject, silent, ca, connect_to } => {
                self.hides("vapid_key_file", vapid_key)
                    .shows("vapid_subject", vapid_subject)
                    .shows("silent", silent)
                    .shows("connect_to", list(connect_to.iter().map(|(from, to)| format!("{from} = {to}"))));
                ca
            }
            Vendor::Stub => &None,
        };
        if let Some(authorities) = authorities {
            self.hides("ca_file", authorities);
        }
    }
}

fn changes_within(title: &str, old: &Part, new: &Part, runs: &mut Part, lines: &mut Vec<String>) {
    let mut credentials = false;
    for key in old.values.keys().chain(new.values.keys().filter(|key| !old.values.contains_key(*key))) {
        let (was, is) = (old.values.get(key), new.values.get(key));
        if was == is {
            continue;
        }
        let name = format!("{}{key}", old.prefix);
        // A certificate can be replaced, but not made out of nothing.
        let tls = title == "[http.public]" && (was.is_none() || is.is_none());
        if tls || FIXED.contains(&name.as_str()) {
            match was {
                Some(was) => drop(runs.values.insert(key, was.clone())),
                None => drop(runs.values.remove(key)),
            }
            lines.push(format!("{name}: {}takes a restart; what runs stays as it is", arrow(was, is, ", which ")));
        } else if is_credential(title, key) {
            credentials = true;
        } else if matches!(name.as_str(), "component.connect" | "component.secret") {
            lines.push(format!("{name}: {}from the next time that the link is made", arrow(was, is, ", ")));
        } else {
            lines.push(format!("{name}: {}", arrow(was, is, "")));
        }
    }
    if credentials {
        lines.push(format!("{title}: new credentials"));
    }
}

/// Whether it is a part of how an app shows its vendor who we are.
fn is_credential(title: &str, key: &str) -> bool {
    let keys = [
        "key_file",
        "key_id",
        "team_id",
        "certificate_file",
        "certificate_password",
        "service_account_file",
        "vapid_key_file",
    ];
    title.starts_with("[apps.") && keys.contains(&key)
}

/// Both values, or that there is another one.
fn arrow(was: Option<&Value>, is: Option<&Value>, then: &str) -> String {
    let show = |value: Option<&Value>| match value {
        Some(Value::Shown(text)) => text.clone(),
        Some(Value::Hidden(_)) => "(not shown)".to_owned(),
        None => "not set".to_owned(),
    };
    match (was, is) {
        (Some(Value::Hidden(_)), Some(Value::Hidden(_))) => format!("changed{then}"),
        _ => format!("{} → {}{then}", show(was), show(is)),
    }
}

fn list<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.as_ref().to_owned()).collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

fn pattern(pattern: &DomainPattern) -> String {
    match pattern {
        DomainPattern::Any => "*".to_owned(),
        DomainPattern::Exactly(domain) => domain.to_string(),
        DomainPattern::Below(domain) => format!("*.{domain}"),
    }
}

/// As operators write it. Days only where they are many.
fn span(span: Duration) -> String {
    let millis = span.as_millis();
    let units = [(24 * 3_600_000, "d", 7), (3_600_000, "h", 1), (60_000, "m", 1), (1000, "s", 0)];
    let fits = |(unit, _, least): &(u128, &str, u128)| millis.is_multiple_of(*unit) && millis / unit >= *least;
    match units.into_iter().find(fits) {
        Some((unit, name, _)) => format!("{}{name}", millis / unit),
        None => format!("{millis}ms"),
    }
}

fn rate(rate: Option<Rate>) -> String {
    let Some(Rate { count, per }) = rate else { return "no limit".to_owned() };
    let unit = match per.as_secs() {
        1 => "s",
        60 => "m",
        3600 => "h",
        _ => "d",
    };
    format!("{count}/{unit}")
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
