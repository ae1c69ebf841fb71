//! Apps, as far as rules care: which one serves a registration.

use super::ids::AppName;
use super::pattern::DomainPattern;
use super::time::Timestamp;

/// Whose network an app's pushes go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provider {
    /// Apple Push Notification service.
    Apns,
    /// Firebase Cloud Messaging.
    Fcm,
    /// Web Push (RFC 8030): the push services of browsers.
    WebPush,
    /// Ourselves, for trials: logs instead of pushing.
    Stub,
}

impl Provider {
    /// The name in the configuration and in commands.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Apns => "apns",
            Self::Fcm => "fcm",
            Self::WebPush => "webpush",
            Self::Stub => "stub",
        }
    }

    /// What a client calls it: its name, or `gcm` as FCM was once called.
    #[must_use]
    pub fn from_service(name: &str) -> Option<Self> {
        match name {
            "apns" => Some(Self::Apns),
            "fcm" | "gcm" => Some(Self::Fcm),
            "webpush" => Some(Self::WebPush),
            "stub" => Some(Self::Stub),
            _ => None,
        }
    }
}

/// How an app wants its payload, and which dialect it registers with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Style {
    /// Our own: title, body and class.
    #[default]
    Generic,
    /// Conversations and its forks: never a sender or a body.
    Conversations,
    /// Monal: an alert for every push, which the app's extension swallows.
    Monal,
    /// Siskin IM and its forks: what Tigase's component sends.
    Tigase,
}

/// How an app is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// The operator's name for it.
    pub name: AppName,
    /// Its vendor.
    pub provider: Provider,
    /// Other names for it: provider ids, `pushModule` names.
    pub aliases: Vec<Box<str>>,
    /// Serves those who name only the provider.
    pub default: bool,
    /// What its payload looks like, and which dialects it speaks.
    pub style: Style,
    /// Whether a node that nobody registered is itself a device token (as fpush has it).
    pub token_nodes: bool,
    /// Web Push: the hosts that may be posted to.
    pub allow_hosts: Vec<DomainPattern>,
    /// Tells its credentials and its environment from former ones, without revealing them.
    pub fingerprint: u64,
}

impl App {
    /// What clients look for among our features to find a service for their own app: provider ids, which have a `:` as
    /// in `tigase:messenger:apns:1`, and whatever apps of Tigase's family name. Whoever finds one takes us for theirs, so
    /// an app that only logs has none.
    pub fn provider_ids(&self) -> impl Iterator<Item = &str> {
        let all = self.style == Style::Tigase;
        let aliases = self.aliases.iter().filter(|_| self.provider != Provider::Stub);
        aliases.map(|alias| &**alias).filter(move |alias| all || alias.contains(':'))
    }
}

/// Which credentials an app uses, and since when: what worked under former ones proves nothing about these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// See [`App::fingerprint`].
    pub fingerprint: u64,
    /// When they were first used.
    pub since: Timestamp,
}

/// An app's way to its vendor: all that its pushes depend on, beside what flows see of the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Tells it from a former one, without revealing anything of it: endpoint, authorities, credentials, looks.
    pub digest: u64,
    /// When its credentials end, if they do and say so.
    pub expires: Option<Timestamp>,
}

/// The app that a client means by a service name, a provider id or a `pushModule`: the one of that name or alias,
/// else the default one of that provider, else its only one.
#[must_use]
pub fn choose<'a>(apps: &'a [App], service: &str) -> Option<&'a App> {
    let named = |app: &&App| app.name.as_str() == service || app.aliases.iter().any(|alias| **alias == *service);
    if let Some(app) = apps.iter().find(named) {
        return Some(app);
    }
    let provider = Provider::from_service(service)?;
    let mut of_provider = apps.iter().filter(|app| app.provider == provider);
    if let Some(default) = of_provider.clone().find(|app| app.default) {
        return Some(default);
    }
    match (of_provider.next(), of_provider.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str, provider: Provider, aliases: &[&str], default: bool) -> App {
        App {
            name: AppName::new(name),
            provider,
            aliases: aliases.iter().map(|&alias| alias.into()).collect(),
            default,
            style: Style::Generic,
            token_nodes: false,
            allow_hosts: Vec::new(),
            fingerprint: 0,
        }
    }

    #[test]
    fn what_clients_look_for() {
        let aliases = ["snikket:apns:1", "fcm-xmpp-api"];
        let rows: [(Provider, Style, &[&str]); 4] = [
            (Provider::Apns, Style::Generic, &["snikket:apns:1"]),
            (Provider::Apns, Style::Monal, &["snikket:apns:1"]),
            (Provider::Fcm, Style::Tigase, &aliases),
            (Provider::Stub, Style::Tigase, &[]),
        ];
        for (provider, style, ids) in rows {
            let app = App { style, ..app("ios", provider, &aliases, false) };
            assert_eq!(app.provider_ids().collect::<Vec<_>>(), ids, "{provider:?} {style:?}");
        }
    }

    #[test]
    fn the_app_a_client_means() {
        let one = [app("ios", Provider::Apns, &["tigase:messenger:apns:1"], false)];
        let two = [app("ios", Provider::Apns, &[], false), app("mac", Provider::Apns, &[], false)];
        let main = [app("ios", Provider::Apns, &[], false), app("mac", Provider::Apns, &[], true)];
        let named = [app("a", Provider::Fcm, &["fcm"], false), app("b", Provider::Fcm, &[], true)];
        let rows: [(&str, &[App], &str, Option<&str>); 10] = [
            ("by name", &one, "ios", Some("ios")),
            ("by alias", &one, "tigase:messenger:apns:1", Some("ios")),
            ("the only one of the provider", &one, "apns", Some("ios")),
            ("no such provider", &one, "fcm", None),
            ("two and no default", &two, "apns", None),
            ("the default of two", &main, "apns", Some("mac")),
            ("a name beats the default", &main, "ios", Some("ios")),
            ("an alias beats the default", &named, "fcm", Some("a")),
            ("the old name of fcm", &named, "gcm", Some("b")),
            ("nothing we know", &one, "telegraph", None),
        ];
        for (what, apps, service, expected) in rows {
            assert_eq!(choose(apps, service).map(|app| app.name.as_str()), expected, "{what}");
        }
    }
}
