//! `[apps.*]`: whose pushes we send, and with which credentials.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use super::fingerprint::fingerprint;
use super::look::look;
use super::pattern;
use super::reader::{Findings, Section};
use super::units::domain;
use crate::domain::app::{App, Provider, Style};
use crate::domain::ids::{AppName, Domain};
use crate::domain::look::Look;
use crate::domain::pattern::DomainPattern;

/// One `[apps.NAME]`.
pub struct AppConfig {
    /// As the rules see it.
    pub app: App,
    /// What its payloads look like.
    pub look: Look,
    /// How it reaches its vendor.
    pub vendor: Vendor,
}

/// How an app reaches its vendor. Key files are read, not yet understood.
pub enum Vendor {
    /// Apple.
    Apns {
        /// `environment = "sandbox"`.
        sandbox: bool,
        /// `endpoint`, instead of Apple's.
        endpoint: Option<String>,
        /// `ca_file`: the only authorities to trust.
        ca: Option<Vec<u8>>,
        /// `topic`: the app's bundle id.
        topic: String,
        /// How we prove who we are.
        auth: ApnsAuth,
    },
    /// Firebase.
    Fcm {
        /// `endpoint`, instead of Google's.
        endpoint: Option<String>,
        /// `token_endpoint`, or the service account's `token_uri`.
        token_endpoint: Option<String>,
        /// `ca_file`: the only authorities to trust.
        ca: Option<Vec<u8>>,
        /// `service_account_file`: JSON.
        service_account: Vec<u8>,
    },
    /// The push services of browsers; which of them, [`App::allow_hosts`] says.
    WebPush {
        /// `vapid_key_file`: PEM.
        vapid_key: Vec<u8>,
        /// `vapid_subject`.
        vapid_subject: String,
        /// `silent`: whether pages get what they should not show.
        silent: bool,
        /// `ca_file`: the only authorities to trust.
        ca: Option<Vec<u8>>,
        /// `connect_to`: stand-ins, by host.
        connect_to: BTreeMap<String, SocketAddr>,
    },
    /// Ourselves.
    Stub,
}

/// How we prove to Apple who we are.
pub enum ApnsAuth {
    /// `key_file`, `key_id`, `team_id`: a provider token.
    Token {
        /// PEM of the .p8 key.
        key: Vec<u8>,
        /// `key_id`.
        key_id: String,
        /// `team_id`.
        team_id: String,
    },
    /// `certificate_file`: PEM or PKCS#12.
    Certificate {
        /// The file's bytes.
        bytes: Vec<u8>,
        /// `certificate_password`; empty if there is none.
        password: String,
    },
}

impl std::fmt::Debug for AppConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AppConfig({:?}, ..)", self.app)
    }
}

/// Reads one `[apps.NAME]`.
pub(super) fn app(name: &str, mut section: Section<'_>, found: &mut Findings) -> Option<AppConfig> {
    let provider = section.required("provider", "apns", found);
    let provider = provider.and_then(|text| {
        let provider = match text.as_str() {
            "apns" => Some(Provider::Apns),
            "fcm" => Some(Provider::Fcm),
            "webpush" => Some(Provider::WebPush),
            "stub" => Some(Provider::Stub),
            _ => None,
        };
        if provider.is_none() {
            found.error(
                section.key("provider"),
                format!("{text:?} is not one of \"apns\", \"fcm\", \"webpush\", \"stub\""),
            );
        }
        provider
    });
    let style = section
        .parsed("style", "one of \"generic\", \"conversations\", \"monal\", \"tigase\"", style, found)
        .unwrap_or_default();
    let aliases = section.list("aliases", found).unwrap_or_default();
    let default = section.flag("default", found).unwrap_or_default();
    let token_nodes = section.flag("token_nodes", found).unwrap_or_default();
    let look = provider.map(|provider| look(&mut section, provider, found));
    let mut allow_hosts = Vec::new();
    let vendor = match provider? {
        Provider::Apns => apns(&mut section, found),
        Provider::Fcm => fcm(&mut section, found),
        Provider::WebPush => webpush(&mut section, &mut allow_hosts, found),
        Provider::Stub => Some(Vendor::Stub),
    };
    section.end(found);
    let vendor = vendor?;
    let app = App {
        name: AppName::new(name),
        provider: provider?,
        aliases: aliases.into_iter().map(String::into_boxed_str).collect(),
        default,
        style,
        token_nodes,
        allow_hosts,
        fingerprint: fingerprint(&vendor),
    };
    Some(AppConfig { app, look: look?, vendor })
}

fn style(text: &str) -> Option<Style> {
    match text {
        "generic" => Some(Style::Generic),
        "conversations" => Some(Style::Conversations),
        "monal" => Some(Style::Monal),
        "tigase" => Some(Style::Tigase),
        _ => None,
    }
}

fn apns(section: &mut Section<'_>, found: &mut Findings) -> Option<Vendor> {
    let topic = section.required("topic", "org.example.chat", found);
    let sandbox = |text: &str| match text {
        "production" => Some(false),
        "sandbox" => Some(true),
        _ => None,
    };
    let sandbox = section.parsed("environment", "one of \"production\", \"sandbox\"", sandbox, found);
    let endpoint = endpoint(section, "endpoint", found);
    let ca = section.has("ca_file").then(|| section.file("ca_file", found));
    let auth = apns_auth(section, found);
    Some(Vendor::Apns { sandbox: sandbox.unwrap_or_default(), endpoint, ca: lift(ca)?, topic: topic?, auth: auth? })
}

fn apns_auth(section: &mut Section<'_>, found: &mut Findings) -> Option<ApnsAuth> {
    match (section.has("key_file"), section.has("certificate_file")) {
        (true, true) => {
            found.error(section.key("certificate_file"), "stands beside key_file; leave one of them out");
        }
        (false, false) => {
            let text = "is missing; write the path of the .p8 key, or use certificate_file";
            found.error(section.key("key_file"), text);
        }
        _ => {}
    }
    if section.has("certificate_file") {
        section.ignore("key_file");
        for key in ["key_id", "team_id"] {
            section.unused(key, "belongs to key_file, and means nothing with certificate_file", found);
        }
        let bytes = section.secret_file("certificate_file", found);
        let password = section.secret("certificate_password", "certificate_password_file", found);
        return Some(ApnsAuth::Certificate { bytes: bytes?, password: password.unwrap_or_default() });
    }
    for key in ["certificate_password", "certificate_password_file"] {
        section.unused(key, "means nothing without certificate_file", found);
    }
    if !section.has("key_file") {
        section.text("key_id", found);
        section.text("team_id", found);
        return None;
    }
    let key = section.secret_file("key_file", found);
    let key_id = section.required("key_id", "ABC123DEFG", found);
    let team_id = section.required("team_id", "TEAM42ABCD", found);
    Some(ApnsAuth::Token { key: key?, key_id: key_id?, team_id: team_id? })
}

fn fcm(section: &mut Section<'_>, found: &mut Findings) -> Option<Vendor> {
    if !section.has("service_account_file") {
        let text = "is missing; write the path of the service account's JSON file";
        found.error(section.key("service_account_file"), text);
    }
    let service_account = section.secret_file("service_account_file", found);
    let host = endpoint(section, "endpoint", found);
    let token_endpoint = endpoint(section, "token_endpoint", found);
    let ca = section.has("ca_file").then(|| section.file("ca_file", found));
    Some(Vendor::Fcm { endpoint: host, token_endpoint, ca: lift(ca)?, service_account: service_account? })
}

fn webpush(section: &mut Section<'_>, hosts: &mut Vec<DomainPattern>, found: &mut Findings) -> Option<Vendor> {
    for (key, text) in [
        ("vapid_key_file", "is missing; write the path of a P-256 key in PEM (docs/webpush.md)"),
        (
            "allow_hosts",
            "is missing; list the push services' hosts, such as [\"fcm.googleapis.com\", \"*.push.apple.com\"]",
        ),
    ] {
        if !section.has(key) {
            found.error(section.key(key), text);
        }
    }
    let vapid_key = section.secret_file("vapid_key_file", found);
    let vapid_subject = section.required("vapid_subject", "mailto:ops@example.org", found);
    for text in allow_hosts(section, found) {
        // "*" would let every client choose whom we speak to.
        match pattern(&text).filter(|pattern| *pattern != DomainPattern::Any) {
            Some(pattern) => hosts.push(pattern),
            None => {
                let text = format!("{text:?} is not a host, or \"*.\" and a domain");
                found.error(section.key("allow_hosts"), text);
            }
        }
    }
    let silent = section.flag("silent", found).unwrap_or_default();
    let ca = section.has("ca_file").then(|| section.file("ca_file", found));
    let connect_to = connect_to(section, hosts, found);
    Some(Vendor::WebPush {
        vapid_key: vapid_key?,
        vapid_subject: vapid_subject?,
        silent,
        ca: lift(ca)?,
        connect_to: connect_to?,
    })
}

fn allow_hosts(section: &mut Section<'_>, found: &mut Findings) -> Vec<String> {
    let hosts = section.list("allow_hosts", found);
    if hosts.as_ref().is_some_and(Vec::is_empty) {
        found.error(section.key("allow_hosts"), "is empty; no device could register");
    }
    hosts.unwrap_or_default()
}

/// Stand-ins: `"HOST:443" = "ADDRESS:PORT"`. Only the port of `https` is ever posted to.
fn connect_to(
    section: &mut Section<'_>,
    hosts: &[DomainPattern],
    found: &mut Findings,
) -> Option<BTreeMap<String, SocketAddr>> {
    if !section.has("connect_to") {
        return Some(BTreeMap::new());
    }
    let pairs = section.pairs("connect_to", found)?;
    let wanted = pairs.len();
    let mut read = BTreeMap::new();
    for (from, to) in pairs {
        let host = from.strip_suffix(":443").and_then(domain);
        let (Some(host), Ok(to)) = (host, to.parse::<SocketAddr>()) else {
            let text = format!("{from:?} = {to:?} is not such as {{ \"push.test:443\" = \"127.0.0.1:8443\" }}");
            found.error(section.key("connect_to"), text);
            continue;
        };
        if !hosts.iter().any(|pattern| pattern.matches(&Domain::new(host.as_str()))) {
            let text = format!("{host} is not in allow_hosts, so nothing is ever sent there");
            found.error(section.key("connect_to"), text);
            continue;
        }
        let text = format!("pushes to {host} go to {to} instead, whatever address that is; meant for stand-ins only");
        found.warning(section.key("connect_to"), text);
        read.insert(host.as_str().to_owned(), to);
    }
    (read.len() == wanted).then_some(read)
}

/// Given but unreadable is a failure, not given is none.
fn lift<T>(given: Option<Option<T>>) -> Option<Option<T>> {
    match given {
        None => Some(None),
        Some(None) => None,
        Some(value) => Some(value),
    }
}

fn endpoint(section: &mut Section<'_>, key: &'static str, found: &mut Findings) -> Option<String> {
    let https = |text: &str| {
        let uri: http::Uri = text.parse().ok()?;
        let https = uri.scheme_str() == Some("https") && uri.host().is_some();
        https.then(|| text.trim_end_matches('/').to_owned())
    };
    section.parsed(key, "an address such as \"https://127.0.0.1:8443\"", https, found)
}

/// What only shows when all apps are known: names that mean two of them, and two defaults.
pub(super) fn check_all(apps: &[AppConfig], found: &mut Findings) {
    let mut names: HashMap<&str, &AppName> = HashMap::new();
    let mut defaults: HashMap<Provider, &AppName> = HashMap::new();
    for app in apps.iter().map(|app| &app.app) {
        for name in app.aliases.iter().map(|alias| &**alias).chain([app.name.as_str()]) {
            if let Some(other) = names.insert(name, &app.name)
                && *other != app.name
            {
                let text = format!("{name:?} also means [apps.{other}]; leave it out of one of them");
                found.error(format!("apps.{}.aliases", app.name), text);
            }
        }
        for alias in &app.aliases {
            let Some(provider) = Provider::from_service(alias) else { continue };
            let served = apps.iter().map(|other| &other.app).find(|other| other.provider == provider);
            // What is tried out with the stub easily stays behind, and then real devices never get a push.
            if app.provider != provider
                && let Some(other) = served
            {
                let text = format!(
                    "{alias:?} takes what registers with register-push-{alias} away from [apps.{other}]",
                    other = other.name
                );
                found.warning(format!("apps.{}.aliases", app.name), text);
            }
        }
        if app.default
            && let Some(other) = defaults.insert(app.provider, &app.name)
        {
            let provider = app.provider.name();
            let text = format!("[apps.{other}] is the default of {provider:?} already; leave it out of one of them");
            found.error(format!("apps.{}.default", app.name), text);
        }
    }
}
