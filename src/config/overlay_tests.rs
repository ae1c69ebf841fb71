use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::config::parse;
use crate::config::reader::Complaint;
use crate::config::tests::MINIMAL;
use crate::domain::ids::Domain;
use crate::flows::policy::DomainPattern;

fn env(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

#[test]
fn the_environment_is_laid_over_the_file() {
    let text = format!("{MINIMAL}[push]\nmax_per_domain = 5\n[apps.chat-ios]\nprovider = \"stub\"\n");
    let env = env(&[
        ("PUSHKEEPER_COMPONENT__SECRET", "12345"),
        ("PUSHKEEPER_PUSH__MAX_PER_DOMAIN", "0"),
        ("PUSHKEEPER_APPS__CHAT_IOS__DEFAULT", "true"),
        ("PUSHKEEPER_APPS__CHAT_IOS__ALIASES", "one, two"),
        ("PUSHKEEPER_REGISTER__ALLOW_DOMAINS", "*.example.org"),
        ("PUSHKEEPER_RULES__MAX_DEVICES", "7"),
        ("PUSHKEEPER_RULES__IMPORTANT_BODY", ""),
        ("PUSHKEEPER_SESSIONS__WAKE_ON_START", "true"),
        ("PUSHKEEPER_CONFIG", "ignored"),
        ("HOME", "/home/juliet"),
    ]);
    let (config, _) = parse(&text, Path::new("."), env).unwrap();
    assert_eq!(config.component.secret.reveal(), "12345");
    assert_eq!(config.policy.max_per_domain, None);
    assert_eq!(config.policy.rules.max_devices, 7);
    assert_eq!(&*config.policy.rules.redaction.important_body, "");
    assert!(config.policy.sessions.wake_on_start);
    let app = &config.apps[0].app;
    assert_eq!((app.name.as_str(), app.default), ("chat-ios", true));
    assert_eq!(app.aliases, ["one".into(), "two".into()]);
    assert_eq!(config.policy.register.allow_domains, [DomainPattern::Below(Domain::new("example.org"))]);
}

#[test]
fn a_secret_from_the_environment_replaces_the_files_way_to_give_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("one"), "from a file").unwrap();
    let rows = [
        (
            "secret_file = \"nothing-here\"",
            ("PUSHKEEPER_COMPONENT__SECRET", "from the environment"),
            "from the environment",
        ),
        ("secret = \"from the text\"", ("PUSHKEEPER_COMPONENT__SECRET_FILE", "one"), "from a file"),
    ];
    for (given, variable, expected) in rows {
        let text = format!("[component]\njid = \"push.example.org\"\n{given}\n");
        let (config, _) = parse(&text, folder.path(), env(&[variable])).unwrap();
        assert_eq!(config.component.secret.reveal(), expected, "{given}");
    }
}

#[test]
fn an_unknown_key_from_the_environment_is_refused_too() {
    let env = env(&[("PUSHKEEPER_COMPONENT__SECRETT", "x"), ("PUSHKEEPER_STORR__PATH", "x")]);
    let errors = parse(MINIMAL, Path::new("."), env).unwrap_err();
    let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
    assert_eq!(keys, ["component.secrett", "storr"]);
}

#[test]
fn the_environment_cannot_reach_into_a_list_of_sections() {
    let text = format!("{MINIMAL}[[hosts]]\ndomain = \"example.org\"\n");
    let env = env(&[
        ("PUSHKEEPER_HOSTS__DOMAIN", "example.net"),
        ("PUSHKEEPER_RULES__SERVICE__WITH_BODY", "true"),
        ("PUSHKEEPER_RULES__SERVICE__1__WITH_BODY", "true"),
    ]);
    let errors = parse(&text, Path::new("."), env).unwrap_err();
    let errors: Vec<String> = errors.iter().map(Complaint::to_string).collect();
    let expected = |name: &str, list: &str| {
        format!("{name}: cannot come from the environment, for there can be many; write [[{list}]] in the file")
    };
    assert_eq!(
        errors,
        [
            expected("PUSHKEEPER_HOSTS__DOMAIN", "hosts"),
            expected("PUSHKEEPER_RULES__SERVICE__WITH_BODY", "rules.service"),
            expected("PUSHKEEPER_RULES__SERVICE__1__WITH_BODY", "rules.service"),
        ]
    );
}
