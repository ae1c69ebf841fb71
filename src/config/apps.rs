//! `[apps.*]`: whose pushes we send, and with which credentials.

use std::collections::HashMap;

use sha1::{Digest, Sha1};

use super::reader::{Findings, Section};
use crate::domain::app::{App, Provider, Style};
use crate::domain::ids::AppName;

/// One `[apps.NAME]`.
pub struct AppConfig {
    /// As the rules see it.
    pub app: App,
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
    let vendor = match provider? {
        Provider::Apns => apns(&mut section, found),
        Provider::Fcm => fcm(&mut section, found),
        Provider::WebPush => None,
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
        allow_hosts: Vec::new(),
        fingerprint: fingerprint(&vendor),
    };
    Some(AppConfig { app, vendor })
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

/// Tells credentials and environment from others without revealing them.
fn fingerprint(vendor: &Vendor) -> u64 {
    let mut sha1 = Sha1::new();
    let mut add = |part: &[u8]| {
        sha1.update(part.len().to_be_bytes());
        sha1.update(part);
    };
    match vendor {
        Vendor::Apns { sandbox, endpoint, topic, auth, .. } => {
            add(&[u8::from(*sandbox)]);
            add(endpoint.as_deref().unwrap_or_default().as_bytes());
            add(topic.as_bytes());
            match auth {
                ApnsAuth::Token { key, key_id, team_id } => {
                    [key, key_id.as_bytes(), team_id.as_bytes()].into_iter().for_each(&mut add);
                }
                ApnsAuth::Certificate { bytes, .. } => add(bytes),
            }
        }
        Vendor::Fcm { endpoint, service_account, .. } => {
            add(endpoint.as_deref().unwrap_or_default().as_bytes());
            add(service_account);
        }
        Vendor::Stub => add(b"stub"),
    }
    let digest: [u8; 20] = sha1.finalize().into();
    digest.into_iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(byte))
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
