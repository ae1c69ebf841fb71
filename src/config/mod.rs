//! `config.toml`: read once, checked whole; every complaint names its key and says what to write.
//!
//! Any value can come from the environment as `PUSHKEEPER_<SECTION>__<KEY>`, any secret from a file (`*_file`).
//! Relative paths start at the configuration's folder.

mod apps;
mod changes;
mod fingerprint;
mod http;
mod look;
mod overlay;
mod reader;
mod rules;
mod units;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use toml::{Table, Value};
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::{EnvFilter, Layer};

pub use apps::{ApnsAuth, AppConfig, Vendor};
pub use changes::Told;
pub use http::{Http, PublicHttp, TlsFiles};
pub use reader::{Complaint, FileRead, Findings};

use crate::domain::ids::{Account, Domain};
use crate::domain::rate::Rate;
use crate::domain::secret::Secret;
use crate::flows::policy::{DomainPattern, Policy, RegisterPolicy};
use overlay::overlay;
use reader::{Section, is_readable_by_all};
use units::domain;

/// Where the configuration is looked for if nobody says where.
pub const DEFAULT_PATHS: [&str; 2] = ["/etc/pushkeeper/config.toml", "config.toml"];

/// How many pushes of one app may be with its vendor at a time, and how many iqs may wait in all: what bounds the
/// memory when a vendor is slow.
const SLOTS: usize = 4096;

/// How many pushes may be owed, and how many bytes they may take, in memory and on disk.
const MAX_OWED: usize = 1_000_000;
const MAX_OWED_BYTES: usize = 1 << 30;

/// Everything the operator decided.
#[derive(Debug)]
pub struct Config {
    /// `[component]`.
    pub component: Component,
    /// `[store]`.
    pub store: Store,
    /// `[push]`, `[register]`, `[[hosts]]`, `[rules]`, `[sessions]` and the apps, as the flows need them.
    pub policy: Policy,
    /// `[apps.*]`, as the gateways need them.
    pub apps: Vec<AppConfig>,
    /// `[http]`.
    pub http: Http,
    /// `[log]`.
    pub log: Log,
    /// The files it names, and itself.
    pub files: Vec<FileRead>,
}

/// `[component]`: our link to the host.
#[derive(Debug)]
pub struct Component {
    /// `jid`: our domain.
    pub jid: Domain,
    /// `connect`: host and port of the XMPP server's component listener.
    pub connect: String,
    /// `secret`.
    pub secret: Secret,
    /// `admins`: bare JIDs that may use every ad-hoc command.
    pub admins: Vec<Account>,
}

/// `[store]`.
#[derive(Debug)]
pub struct Store {
    /// `path`: a folder.
    pub path: PathBuf,
    /// `engine`.
    pub engine: StoreEngine,
}

/// Which database keeps the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StoreEngine {
    /// sled.
    #[default]
    Sled,
    /// redb.
    Redb,
}

/// `[log]`.
#[derive(Debug)]
pub struct Log {
    /// `level`: a level, or directives such as `info,pushkeeper::xmpp=debug`.
    pub level: String,
    /// `format`.
    pub format: LogFormat,
}

impl Log {
    /// What is logged. Some of what we use logs what it handles, records and bodies and all, once it is asked for
    /// details: these never get to log more than warnings, whatever the operator asks for. That is why they are not
    /// held by directives, of which a more precise one would win.
    #[must_use]
    pub fn filter<S: Subscriber>(&self) -> impl Layer<S> + use<S> {
        EnvFilter::new(&self.level)
            .and_then(filter_fn(|line| *line.level() <= Level::WARN || !is_talkative(line.target())))
    }
}

/// Whether a log line's target is a library, or a part of one, that logs what it handles.
fn is_talkative(target: &str) -> bool {
    const TALKATIVE: [&str; 6] = ["sled", "h2", "hyper", "hyper_util", "reqwest", "rustls"];
    TALKATIVE.contains(&target.split("::").next().unwrap_or_default())
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where the configuration is: at `path`, or the first of [`DEFAULT_PATHS`] that exists.
///
/// # Errors
/// There is none.
pub fn find(path: Option<&Path>) -> Result<PathBuf, Vec<Complaint>> {
    if let Some(path) = path {
        return Ok(path.to_owned());
    }
    DEFAULT_PATHS.iter().map(PathBuf::from).find(|path| path.exists()).ok_or_else(|| {
        let [first, second] = DEFAULT_PATHS;
        let text = format!("there is no configuration at {first} or ./{second}; say where it is with --config FILE");
        vec![Complaint { key: String::new(), text }]
    })
}

/// Reads a configuration: the file at `path`, or where [`find`] finds it, under what the environment says.
///
/// # Errors
/// Everything that must be mended.
pub fn load(
    path: Option<&Path>,
    env: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<(Config, Vec<Complaint>), Vec<Complaint>> {
    let found = |text: String| vec![Complaint { key: String::new(), text }];
    let path = find(path)?;
    let text = std::fs::read_to_string(&path).map_err(|error| {
        let mend = match error.kind() {
            ErrorKind::PermissionDenied => {
                "it is for root, and for the group that pushkeeper runs as, which must be its group"
            }
            _ => "say where the configuration is with --config FILE",
        };
        found(format!("cannot read {}: {error}; {mend}", path.display()))
    })?;
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let (mut config, mut warnings) = parse(&text, folder, env)?;
    let secret = holds_secret(&text);
    config.files.insert(0, FileRead { key: path.display().to_string(), path: path.clone(), secret });
    if is_readable_by_all(&path) && secret {
        let text =
            format!("holds a secret, and every user of this machine can read it; run: chmod 640 {}", path.display());
        warnings.push(Complaint { key: path.display().to_string(), text });
    }
    Ok((config, warnings))
}

/// Reads a configuration from its text.
///
/// # Errors
/// Everything that must be mended.
pub fn parse(
    text: &str,
    folder: &Path,
    env: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<(Config, Vec<Complaint>), Vec<Complaint>> {
    let mut table: Table = text.parse().map_err(|error: toml::de::Error| {
        // The parser's own words show the line; they must not show a secret that stands on it.
        let line = error.span().map(|span| text.get(..span.start).unwrap_or_default().matches('\n').count() + 1);
        let place = line.map_or_else(String::new, |line| format!("line {line}: "));
        vec![Complaint { key: String::new(), text: format!("{place}this is not TOML: {}", error.message()) }]
    })?;
    let mut found = Findings::default();
    let from_env = overlay(&mut table, env, &mut found);
    let config = read(table, &from_env, folder, &mut found);
    match config {
        Some(config) if found.errors.is_empty() => Ok((config, found.warnings)),
        _ => Err(found.errors),
    }
}

fn read(mut table: Table, from_env: &BTreeSet<String>, folder: &Path, found: &mut Findings) -> Option<Config> {
    let mut section = |name: &str, found: &mut Findings| {
        let table = match table.remove(name) {
            None => Table::new(),
            Some(Value::Table(table)) => table,
            Some(_) => {
                found.error(name, format!("must be a section: write [{name}] on a line of its own"));
                Table::new()
            }
        };
        Section::new(name.to_owned(), table, from_env, folder)
    };
    let (rules_given, sessions_given) = (section("rules", found), section("sessions", found));
    let component = component(section("component", found), found);
    let store = store(section("store", found), folder, found);
    let push = push(section("push", found), found);
    let register = register(section("register", found), found);
    let http = http::http(section("http", found), found);
    let log = log(section("log", found), found);
    let own = component.as_ref().map(|component| &component.jid);
    let hosts = reader::sections("hosts", table.remove("hosts"), from_env, folder, found);
    let hosts = rules::hosts(hosts, own, found);
    if hosts.is_empty() && found.errors.is_empty() {
        rules::warn_if_for_nobody(&rules_given, &sessions_given, found);
    }
    let (rules, sessions) = (rules::rules(rules_given, found), rules::sessions(sessions_given, found));
    let apps = read_apps(table.remove("apps"), from_env, folder, found);
    if apps.is_empty() && hosts.is_empty() && found.errors.is_empty() {
        found.warning("apps", "there are none: no device can be registered and nothing can be pushed");
    }
    for name in table.keys() {
        let text = "is not a section; there are component, store, hosts, rules, sessions, push, register, apps.NAME, http and log";
        found.error(name, text);
    }
    let policy = Policy {
        apps: apps.iter().map(|app| app.app.clone()).collect(),
        ways: apps.iter().map(|app| (app.app.name.clone(), app.way(&rules.redaction.important_body))).collect(),
        answer_within: push.answer_within,
        max_per_domain: push.max_per_domain,
        register,
        slots: SLOTS,
        max_under_way: 4 * SLOTS,
        max_waiting: 8 * SLOTS,
        outbox_ttl: push.outbox_ttl,
        min_interval: push.min_interval,
        max_owed: MAX_OWED,
        max_owed_bytes: MAX_OWED_BYTES,
        own: component.as_ref().map_or_else(|| Domain::new(""), |component| component.jid.clone()),
        admins: component.as_ref().map_or_else(Vec::new, |component| component.admins.clone()),
        hosts,
        rules,
        sessions,
    };
    Some(Config { component: component?, store, policy, apps, http, log, files: std::mem::take(&mut found.files) })
}

fn component(mut section: Section<'_>, found: &mut Findings) -> Option<Component> {
    let jid = section.required("jid", "push.example.org", found);
    let jid = jid.and_then(|text| {
        let domain = domain(&text);
        if domain.is_none() {
            found.error(section.key("jid"), format!("{text:?} is not a domain such as \"push.example.org\""));
        }
        domain
    });
    let address = |text: &str| {
        let (host, port) = text.rsplit_once(':')?;
        let port: u16 = port.parse().ok()?;
        (!host.is_empty() && port > 0).then(|| text.to_owned())
    };
    let connect = section.parsed("connect", "a host and port such as \"127.0.0.1:5347\"", address, found);
    let secret = section.secret("secret", "secret_file", found);
    if secret.is_none() && !found.errors.iter().any(|error| error.key.starts_with("component.secret")) {
        found.error(section.key("secret"), "is missing; write the component_secret of the host, or use secret_file");
    }
    let mut admins = Vec::new();
    for text in section.list("admins", found).unwrap_or_default() {
        match jid::BareJid::new(&text) {
            Ok(jid) if jid.node().is_some() => admins.push(Account::new(jid.as_str())),
            _ => {
                found.error(section.key("admins"), format!("{text:?} is not a bare JID such as \"admin@example.org\""))
            }
        }
    }
    section.end(found);
    let connect = connect.unwrap_or_else(|| "127.0.0.1:5347".to_owned());
    Some(Component { jid: jid?, connect, secret: Secret::new(secret?), admins })
}

fn store(mut section: Section<'_>, folder: &Path, found: &mut Findings) -> Store {
    let path = section.path("path", found).unwrap_or_else(|| folder.join("pushkeeper-data"));
    let engines = |text: &str| match text {
        "sled" => Some(StoreEngine::Sled),
        "redb" => Some(StoreEngine::Redb),
        _ => None,
    };
    let engine = section.parsed("engine", "one of \"sled\", \"redb\"", engines, found).unwrap_or_default();
    section.end(found);
    Store { path, engine }
}

/// `[push]`.
struct Push {
    answer_within: Duration,
    outbox_ttl: Duration,
    min_interval: Option<Duration>,
    max_per_domain: Option<Rate>,
}

fn push(mut section: Section<'_>, found: &mut Findings) -> Push {
    let answer_within =
        section.parsed("answer_within", DURATION, units::duration, found).unwrap_or(Duration::from_secs(5));
    if answer_within > Duration::from_secs(30) {
        let text = "servers stop waiting after about 30 seconds (ejabberd: 32 s); the default is \"5s\"";
        found.warning(section.key("answer_within"), text);
    }
    let outbox_ttl = section.parsed("outbox_ttl", DURATION, units::duration, found);
    let min_interval = section.parsed("min_interval", DURATION, units::duration, found).filter(|span| !span.is_zero());
    let max_per_domain = section.number("max_per_domain", found).unwrap_or(100);
    section.end(found);
    let rate = Rate { count: max_per_domain, per: Duration::from_secs(1) };
    Push {
        answer_within,
        outbox_ttl: outbox_ttl.unwrap_or(Duration::from_secs(24 * 3600)),
        min_interval,
        max_per_domain: (max_per_domain > 0).then_some(rate),
    }
}

/// What a duration must be.
const DURATION: &str = "a duration: a number with ms, s, m, h or d, such as \"5s\"";

/// What a rate must be.
const RATE: &str = "a rate: a number with /s, /m, /h or /d, such as \"10/h\", or \"0\" for no limit";

/// What a log level must be.
const LEVEL: &str = r#"error, warn, info, debug or trace, nor directives such as "info,pushkeeper::xmpp=debug""#;

fn register(mut section: Section<'_>, found: &mut Findings) -> RegisterPolicy {
    let mut allow_domains = Vec::new();
    for text in section.list("allow_domains", found).unwrap_or_else(|| vec!["*".to_owned()]) {
        match pattern(&text) {
            Some(pattern) => allow_domains.push(pattern),
            None => {
                let text = format!("{text:?} is not \"*\", a domain, or \"*.\" and a domain");
                found.error(section.key("allow_domains"), text);
            }
        }
    }
    let max_devices = section.number("max_devices_per_account", found).unwrap_or(16);
    if max_devices == 0 {
        found.error(section.key("max_devices_per_account"), "must be at least 1");
    }
    let per_account = section.parsed("rate_per_account", RATE, units::rate, found);
    let per_domain = section.parsed("rate_per_domain", RATE, units::rate, found);
    section.end(found);
    let every = |count, secs| Some(Rate { count, per: Duration::from_secs(secs) });
    RegisterPolicy {
        allow_domains,
        max_devices_per_account: usize::try_from(max_devices).unwrap_or(usize::MAX),
        rate_per_account: per_account.unwrap_or_else(|| every(10, 3600)),
        rate_per_domain: per_domain.unwrap_or_else(|| every(20, 1)),
    }
}

fn log(mut section: Section<'_>, found: &mut Findings) -> Log {
    // A lone word that is no level would pass for the name of a part of the program: then "warning" logs nothing.
    let known = |part: &str| part.contains(['=', '[']) || LevelFilter::from_str(part).is_ok();
    let directives = |text: &str| {
        let valid = text.split(',').all(known) && EnvFilter::try_new(text).is_ok();
        valid.then(|| text.to_owned())
    };
    let level = section.parsed("level", LEVEL, directives, found);
    let formats = |text: &str| match text {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    };
    let format = section.parsed("format", "one of \"text\", \"json\"", formats, found).unwrap_or(LogFormat::Text);
    section.end(found);
    Log { level: level.unwrap_or_else(|| "info".to_owned()), format }
}

fn read_apps(apps: Option<Value>, from_env: &BTreeSet<String>, folder: &Path, found: &mut Findings) -> Vec<AppConfig> {
    let sections = match apps {
        None => Table::new(),
        Some(Value::Table(sections)) => sections,
        Some(_) => {
            found.error("apps", "must be sections: write [apps.NAME] on a line of its own");
            Table::new()
        }
    };
    let mut read = Vec::new();
    for (name, value) in sections {
        let Value::Table(table) = value else {
            found.error(format!("apps.{name}"), format!("must be a section: write [apps.{name}] on a line of its own"));
            continue;
        };
        let section = Section::new(format!("apps.{name}"), table, from_env, folder);
        read.extend(apps::app(&name, section, found));
    }
    apps::check_all(&read, found);
    read
}

fn pattern(text: &str) -> Option<DomainPattern> {
    if text == "*" {
        return Some(DomainPattern::Any);
    }
    match text.strip_prefix("*.") {
        Some(parent) => domain(parent).map(DomainPattern::Below),
        None => domain(text).map(DomainPattern::Exactly),
    }
}

/// Whether the text itself holds a secret, not only the name of a file with one.
fn holds_secret(text: &str) -> bool {
    fn inside(table: &Table) -> bool {
        table.iter().any(|(key, value)| match value {
            Value::Table(section) => inside(section),
            _ => key == "secret" || key == "certificate_password",
        })
    }
    text.parse().is_ok_and(|table: Table| inside(&table))
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod webpush_tests;
