use std::fs;

use super::*;
use crate::domain::redact::Redaction;
use crate::flows::policy::{Rules, Sessions};

pub(super) const MINIMAL: &str = "[component]\njid = \"push.example.org\"\nsecret = \"s3cret\"\n";

fn parse_in(folder: &Path, text: &str) -> Result<(Config, Vec<Complaint>), Vec<Complaint>> {
    parse(text, folder, [])
}

/// What is complained of, as `key: text`.
pub(super) fn complaints(text: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let errors = parse_in(folder.path(), text).err().unwrap_or_default();
    errors.iter().map(Complaint::to_string).collect()
}

#[test]
fn a_minimal_configuration_has_the_defaults() {
    let (config, warnings) = parse(MINIMAL, Path::new("/etc/pushkeeper"), []).unwrap();
    assert_eq!(config.component.jid, Domain::new("push.example.org"));
    assert_eq!(config.component.connect, "127.0.0.1:5347");
    assert_eq!(config.store.path, Path::new("/etc/pushkeeper/pushkeeper-data"));
    assert_eq!(config.store.engine, StoreEngine::Sled);
    assert_eq!(config.policy.answer_within, Duration::from_secs(5));
    let rate = |count, secs| Some(Rate { count, per: Duration::from_secs(secs) });
    assert_eq!(config.policy.max_per_domain, rate(100, 1));
    let register = RegisterPolicy {
        allow_domains: vec![DomainPattern::Any],
        max_devices_per_account: 16,
        rate_per_account: rate(10, 3600),
        rate_per_domain: rate(20, 1),
    };
    assert_eq!(config.policy.register, register);
    assert_eq!((config.log.level.as_str(), config.log.format), ("info", LogFormat::Text));
    assert_eq!(warnings.len(), 1, "that there are no apps: {warnings:?}");
    assert_eq!((config.policy.own, config.policy.hosts), (Domain::new("push.example.org"), vec![]));
    assert_eq!((config.policy.rules, config.policy.sessions), (Rules::default(), Sessions::default()));
}

#[test]
fn the_example_is_complete_and_shows_the_defaults() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["AuthKey_ABC123.p8", "service-account.json", "ca.pem", "push.p12", "vapid.pem"] {
        fs::write(folder.path().join(file), "x").unwrap();
    }
    let example = include_str!("../../config.example.toml");
    let (config, _) = parse_in(folder.path(), example).unwrap();
    assert_eq!(config.apps.len(), 3);
    assert_eq!(config.component.admins, [Account::new("admin@example.org")]);
    assert_eq!(config.policy.admins, config.component.admins);
    assert_eq!(config.policy.hosts, [Domain::new("example.org")]);
    let third = Redaction { with_sender: true, ..Redaction::default() };
    let services = [("push.third.example".into(), third)].into();
    assert_eq!(config.policy.rules, Rules { services, ..Rules::default() });
    assert_eq!(config.policy.sessions, Sessions::default());

    // With every default written out, nothing changes.
    let others = [
        "secret_file",
        "certificate_",
        "key_file",
        "listen",
        "endpoint",
        "token_endpoint",
        "ca_file",
        "aliases",
        "default",
        "provider",
        "connect_to",
    ];
    let written_out = |line: &str| match line.strip_prefix("# ") {
        Some(key) if key.contains(" = ") && !others.iter().any(|other| key.starts_with(other)) => key.to_owned(),
        _ => line.to_owned(),
    };
    let all: String = example.lines().map(|line| written_out(line) + "\n").collect();
    let (mut all, _) = parse_in(folder.path(), &all).unwrap();
    // It shows what a look can be, which has no default.
    all.policy.ways.clone_from(&config.policy.ways);
    assert_eq!(format!("{:?}", all.policy), format!("{:?}", config.policy));
    assert_eq!(format!("{:?}{:?}", all.store, all.log), format!("{:?}{:?}", config.store, config.log));
}

#[test]
fn what_the_example_says_of_http_is_right_once_it_is_not_commented_out() {
    let example = include_str!("../../config.example.toml");
    let section = example.split_once("# [http.public]").unwrap().1.split_once("\n[log]").unwrap().0;
    let keys: String =
        section.lines().skip(1).filter_map(|line| line.strip_prefix("# ")).map(|line| format!("{line}\n")).collect();
    let folder = tempfile::tempdir().unwrap();
    for file in ["fullchain.pem", "privkey.pem"] {
        fs::write(folder.path().join(file), "x").unwrap();
    }
    let (config, _) = parse_in(folder.path(), &format!("{MINIMAL}[http.public]\n{keys}")).unwrap();
    let public = config.http.public.unwrap();
    assert_eq!((public.listen, public.tls.is_some()), ("127.0.0.1:9181".parse().unwrap(), true));

    let section = example.split_once("# [http] ").unwrap().1.split_once("# [http.public]").unwrap().0;
    let keys: String =
        section.lines().skip(1).filter_map(|line| line.strip_prefix("# ")).map(|line| format!("{line}\n")).collect();
    let (config, _) = parse_in(folder.path(), &format!("{MINIMAL}[http]\n{keys}")).unwrap();
    assert_eq!(config.http.listen, Some("127.0.0.1:9180".parse().unwrap()));
}

#[test]
fn the_example_names_every_key_there_is() {
    let example = include_str!("../../config.example.toml");
    let words: BTreeSet<&str> = example.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    // What a section knows, it says when it is asked for something else.
    let sections = ["component", "store", "push", "register", "http", "http.public", "log", "rules", "sessions"];
    let sections = sections.map(|name| format!("[{name}]\nnothing = 1\n"));
    let lists = ["hosts", "rules.service"].map(|name| format!("[[{name}]]\nnothing = 1\n"));
    let vendors = [
        ("apns", "certificate_file"),
        ("apns", "key_file"),
        ("fcm", "service_account_file"),
        ("webpush", "vapid_key_file"),
    ]
    .map(|(vendor, file)| format!("[apps.a]\nprovider = \"{vendor}\"\n{file} = \"no-file\"\nnothing = 1\n"));
    for section in [sections.as_slice(), &lists, &vendors].concat() {
        let found = complaints(&section);
        let known = found.iter().find_map(|complaint| Some(complaint.split_once("; it knows ")?.1));
        for key in known.unwrap_or_default().split(", ") {
            assert!(words.contains(key), "{key:?} of {section:?}");
        }
        assert!(known.is_some(), "{section}: {found:?}");
    }
}

#[test]
fn every_complaint_comes_at_once_with_its_key() {
    let text = r#"
        [component]
        jid = "not a domain"
        connect = "nowhere"
        [push]
        answer_within = "5 weeks"
        max_per_domain = "many"
        [register]
        rate_per_account = "10"
        max_devices_per_account = 0
        allow_domains = "*"
        [log]
        level = 3
        format = "xml"
        [stor]
        path = "x"
        [apps.a]
        provider = "pigeon"
        [apps.b]
        provider = "apns"
        colour = "red"
        [[hosts]]
        domain = "no host"
        [[hosts]]
        [[hosts]]
        domain = "example.org"
        colour = "blue"
        [[hosts]]
        domain = "EXAMPLE.org"
        [rules]
        max_devices = 0
        max_errors = 0
        important_body = 7
        with_body = "yes"
        burst_window = 1
        unimportant = "maybe"
        corrections = true
        registration_ttl = "for ever"
        colour = "green"
        [[rules.service]]
        with_sender = 1
        [[rules.service]]
        jid = "not a@jid@"
        max_devices = 5
        [[rules.service]]
        jid = "push.example.net"
        [[rules.service]]
        jid = "Push.example.net"
        [sessions]
        hibernation_time = "10m"
        max_hibernation = "9m"
        max_ack_delay = "soon"
        max_hibernated = 0
        max_old = -1
        wake_before_end = "2"
        wake_on_start = "no"
        colour = "white"
    "#;
    let expected = [
        r#"component.jid: "not a domain" is not a domain such as "push.example.org""#,
        r#"component.connect: "nowhere" is not a host and port such as "127.0.0.1:5347""#,
        "component.secret: is missing; write the component_secret of the host, or use secret_file",
        r#"push.answer_within: "5 weeks" is not a duration: a number with ms, s, m, h or d, such as "5s""#,
        "push.max_per_domain: must be a whole number from 0 to 4294967295, not a text",
        r#"register.allow_domains: must be a list of texts, such as ["one", "two"]"#,
        "register.max_devices_per_account: must be at least 1",
        r#"register.rate_per_account: "10" is not a rate: a number with /s, /m, /h or /d, such as "10/h", or "0" for no limit"#,
        "log.level: must be a text in quotes, not such a number",
        r#"log.format: "xml" is not one of "text", "json""#,
        r#"apps.a.provider: "pigeon" is not one of "apns", "fcm", "webpush", "stub""#,
        r#"apps.b.topic: is missing; write topic = "org.example.chat""#,
        "apps.b.key_file: is missing; write the path of the .p8 key, or use certificate_file",
        "apps.b.colour: is not a key of this section; it knows aliases, body, ca_file, category, certificate_file, \
         certificate_password, certificate_password_file, default, endpoint, environment, extra, key_file, key_id, \
         provider, sound, style, team_id, title, token_nodes, topic",
        "stor: is not a section; there are component, store, hosts, rules, sessions, push, register, apps.NAME, http and log",
        r#"hosts.1.domain: "no host" is not a domain such as "example.org""#,
        r#"hosts.2.domain: is missing; write domain = "example.org""#,
        "hosts.3.colour: is not a key of this section; it knows domain",
        r#"hosts.4.domain: "example.org" stands there already; leave it out of one"#,
        "rules.max_devices: must be at least 1",
        "rules.max_errors: must be at least 1",
        "rules.important_body: must be a text in quotes, not such a number",
        "rules.with_body: must be true or false, not a text",
        "rules.burst_window: must be a text in quotes, not such a number",
        r#"rules.unimportant: "maybe" is not one of "send", "never""#,
        "rules.corrections: must be a text in quotes, not true or false",
        r#"rules.registration_ttl: "for ever" is not a duration: a number with ms, s, m, h or d, such as "5s""#,
        "rules.colour: is not a key of this section; it knows burst_window, corrections, important_body, max_devices, \
         max_errors, registration_ttl, service, unimportant, with_body, with_sender",
        r#"rules.service.1.jid: is missing; write jid = "push.example.org""#,
        "rules.service.1.with_sender: must be true or false, not such a number",
        r#"rules.service.2.jid: "not a@jid@" is not a JID such as "push.example.org""#,
        "rules.service.2.max_devices: is not a key of this section; it knows important_body, jid, with_body, with_sender",
        r#"rules.service.4.jid: "push.example.net" stands there already; leave it out of one"#,
        "sessions.max_hibernation: is shorter than hibernation_time; it is how long a session may stay while nothing woke \
         its phone, so write at least as much",
        r#"sessions.max_ack_delay: "soon" is not a duration: a number with ms, s, m, h or d, such as "5s""#,
        "sessions.max_hibernated: must be at least 1",
        "sessions.max_old: must be a whole number from 0 to 4294967295, not such a number",
        r#"sessions.wake_before_end: "2" is not a duration: a number with ms, s, m, h or d, such as "5s""#,
        "sessions.wake_on_start: must be true or false, not a text",
        "sessions.colour: is not a key of this section; it knows hibernation_time, max_ack_delay, max_hibernated, \
         max_hibernation, max_old, wake_before_end, wake_on_start",
    ];
    let found = complaints(text);
    for complaint in expected {
        assert!(found.iter().any(|text| text == complaint), "{complaint}\nnot in {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn the_store_lies_in_one_of_two_engines() {
    let engine = |name: &str| parse(&format!("{MINIMAL}[store]\nengine = {name:?}\n"), Path::new("."), []);
    for (name, expected) in [("sled", StoreEngine::Sled), ("redb", StoreEngine::Redb)] {
        assert_eq!(engine(name).unwrap().0.store.engine, expected);
    }
    let errors: Vec<String> = engine("sqlite").unwrap_err().iter().map(Complaint::to_string).collect();
    assert_eq!(errors, ["store.engine: \"sqlite\" is not one of \"sled\", \"redb\""]);
}

#[test]
fn a_log_level_that_would_log_nothing_is_refused() {
    let level = |level: &str| parse(&format!("{MINIMAL}[log]\nlevel = {level:?}\n"), Path::new("."), []);
    for fine in ["info", "WARN", "off", "info,pushkeeper::xmpp=debug", "warn,pushkeeper=trace", "pushkeeper=debug"] {
        assert!(level(fine).is_ok(), "{fine:?}");
    }
    for wrong in ["warning", "inof", "info,pushkeeper", "info,pushkeeper=loud"] {
        let errors = level(wrong).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].key == "log.level" && errors[0].text.contains("warn, info"), "{errors:?}");
    }
}

#[test]
fn of_two_keys_that_exclude_each_other_neither_is_called_unknown() {
    let text = r#"
        [component]
        jid = "push.example.org"
        secret = "s3cret"
        secret_file = "nothing-here"
        [apps.a]
        provider = "apns"
        topic = "t"
        key_file = "tests.rs"
        certificate_file = "tests.rs"
    "#;
    let errors = parse_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config"), text).unwrap_err();
    let errors: Vec<String> = errors.iter().map(Complaint::to_string).collect();
    assert_eq!(
        errors,
        [
            "component.secret: stands beside secret_file; leave one of them out",
            "apps.a.certificate_file: stands beside key_file; leave one of them out",
        ]
    );
}

#[test]
fn two_defaults_and_two_meanings_of_a_name_are_refused() {
    let apps = r#"
        [apps.one]
        provider = "stub"
        default = true
        aliases = ["x", "two"]
        [apps.two]
        provider = "stub"
        default = true
        aliases = ["x"]
    "#;
    assert_eq!(
        complaints(&format!("{MINIMAL}{apps}")),
        [
            r#"apps.two.aliases: "x" also means [apps.one]; leave it out of one of them"#,
            r#"apps.two.aliases: "two" also means [apps.one]; leave it out of one of them"#,
            r#"apps.two.default: [apps.one] is the default of "stub" already; leave it out of one of them"#,
        ]
    );
}

#[test]
fn an_alias_that_takes_a_vendors_devices_away_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("account.json"), "{}").unwrap();
    let stub = "[apps.try]\nprovider = \"stub\"\naliases = [\"fcm\"]\n";
    let real = "[apps.chat]\nprovider = \"fcm\"\nservice_account_file = \"account.json\"\ndefault = true\n";
    let warnings = |apps: &str| {
        let (_, warnings) = parse_in(folder.path(), &format!("{MINIMAL}{apps}")).unwrap();
        let ours = warnings.iter().filter(|warning| warning.key == "apps.try.aliases");
        ours.map(|warning| warning.text.clone()).collect::<Vec<_>>()
    };
    assert!(warnings(stub).is_empty());
    let expected = "\"fcm\" takes what registers with register-push-fcm away from [apps.chat]";
    assert_eq!(warnings(&format!("{stub}{real}")), [expected]);
}

#[test]
fn files_that_cannot_be_read_are_named_with_their_key() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[component]\njid = \"push.example.org\"\nsecret_file = \"nothing-here\"\n\
                [apps.a]\nprovider = \"fcm\"\nservice_account_file = \"no-account.json\"\n";
    let errors = parse_in(folder.path(), text).unwrap_err();
    let errors: Vec<String> = errors.iter().map(Complaint::to_string).collect();
    let missing = |file: &str| {
        format!("cannot read {}: No such file or directory (os error 2)", folder.path().join(file).display())
    };
    assert_eq!(
        errors,
        [
            format!("component.secret_file: {}", missing("nothing-here")),
            format!("apps.a.service_account_file: {}", missing("no-account.json")),
        ]
    );
}

#[test]
fn a_key_file_that_is_there_but_can_not_be_read_is_named_with_its_key() {
    let folder = tempfile::tempdir().unwrap();
    // Not even root reads a folder as a file.
    fs::create_dir(folder.path().join("key.p8")).unwrap();
    let app = "[apps.a]\nprovider = \"apns\"\ntopic = \"t\"\nkey_id = \"k\"\nteam_id = \"t\"\nkey_file = \"key.p8\"\n";
    let errors = parse_in(folder.path(), &format!("{MINIMAL}{app}")).unwrap_err();
    let path = folder.path().join("key.p8");
    let expected = format!("apps.a.key_file: cannot read {}: Is a directory (os error 21)", path.display());
    assert_eq!(errors.iter().map(Complaint::to_string).collect::<Vec<_>>(), [expected]);
}

#[test]
fn a_secret_that_all_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    fs::write(&file, "s3cret\nsecond line\n").unwrap();
    let text = "[component]\njid = \"push.example.org\"\nsecret_file = \"secret\"\n[apps.a]\nprovider = \"stub\"\n";
    let rows = [(0o644, 1), (0o640, 0), (0o600, 0)];
    for (mode, count) in rows {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let (config, warnings) = parse_in(folder.path(), text).unwrap();
        assert_eq!(config.component.secret.reveal(), "s3cret");
        assert_eq!(warnings.len(), count, "{mode:o}: {warnings:?}");
        assert!(warnings.iter().all(|warning| warning.key == "component.secret_file"));
    }
}

#[test]
fn a_configuration_with_a_secret_that_all_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, format!("{MINIMAL}[apps.a]\nprovider = \"stub\"\n")).unwrap();
    for (mode, count) in [(0o644, 1), (0o640, 0)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let (_, warnings) = load(Some(&file), []).unwrap();
        assert_eq!(warnings.len(), count, "{mode:o}: {warnings:?}");
    }
}

#[test]
fn a_missing_configuration_says_how_to_name_one() {
    let errors = load(Some(Path::new("/nonexistent/config.toml")), []).unwrap_err();
    let text = errors[0].to_string();
    assert!(text.contains("/nonexistent/config.toml") && text.contains("--config FILE"), "{text}");
}

#[test]
fn what_is_not_toml_is_named_by_its_line_and_shows_no_secret() {
    let found = complaints("[component]\njid = \"push.example.org\"\nsecret = \"hunter2\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("line 3: this is not TOML: "), "{found:?}");
    assert!(!found[0].contains("hunter2"), "{found:?}");
    let found = complaints("[component]\njid = \"push.example.org\"\nsecret = 31337\n");
    assert_eq!(found, ["component.secret: must be a text in quotes, not such a number"]);
}

#[test]
fn credentials_are_told_apart_by_their_fingerprint() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.p8"), "key a").unwrap();
    fs::write(folder.path().join("b.p8"), "key b").unwrap();
    let fingerprint = |more: &str| {
        let text =
            format!("{MINIMAL}[apps.a]\nprovider = \"apns\"\ntopic = \"t\"\nkey_id = \"k\"\nteam_id = \"t\"\n{more}");
        let (config, _) = parse_in(folder.path(), &text).unwrap();
        config.apps[0].app.fingerprint
    };
    let base = fingerprint("key_file = \"a.p8\"\n");
    assert_eq!(base, fingerprint("key_file = \"a.p8\"\naliases = [\"x\"]\n"));
    assert_ne!(base, fingerprint("key_file = \"b.p8\"\n"));
    assert_ne!(base, fingerprint("key_file = \"a.p8\"\nenvironment = \"sandbox\"\n"));
}

#[test]
fn no_wish_of_the_operator_makes_a_talkative_library_talk() {
    use tracing_subscriber::prelude::*;
    for level in ["trace", "info,sled::tree=trace", "h2::codec=trace", "info,[{body}]=trace"] {
        let log = Log { level: level.into(), format: LogFormat::Text };
        let _listening = tracing::subscriber::set_default(tracing_subscriber::registry().with(log.filter()));
        assert!(!tracing::enabled!(target: "sled::tree", Level::DEBUG, body), "{level}");
        assert!(!tracing::enabled!(target: "h2::codec::framed_read", Level::TRACE, body), "{level}");
        assert!(tracing::enabled!(target: "h2::codec", Level::WARN), "{level}");
    }
}
