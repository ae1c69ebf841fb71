use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;
use crate::config::parse;

const BASE: &str = "[component]\njid = 'push.example.org'\nconnect = '127.0.0.1:5347'\nsecret = 'first-secret'\n\
                    admins = ['admin@example.org']\n[store]\npath = '/var/lib/pushkeeper'\n[[hosts]]\ndomain = 'example.org'\n\
                    [rules]\nmax_devices = 5\n[[rules.service]]\njid = 'push.third.example'\nwith_sender = true\n\
                    [sessions]\nmax_old = 3\n[push]\nanswer_within = '5s'\n[register]\nrate_per_account = '10/h'\n\
                    [apps.ios]\nprovider = 'apns'\ntopic = 'org.example.chat'\nkey_file = 'key.p8'\nkey_id = 'KEY1'\n\
                    team_id = 'TEAM1'\n[apps.try]\nprovider = 'stub'\n[http.public]\nlisten = '127.0.0.1:9181'\n\
                    certificate_file = 'cert.pem'\nkey_file = 'cert.key'\n[log]\nlevel = 'info'\n";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["key.p8", "other.p8", "cert.pem", "other.pem", "cert.key"] {
        write(folder.path(), file, &format!("the content of {file}"));
    }
    folder
}

fn write(folder: &Path, file: &str, text: &str) {
    fs::write(folder.join(file), text).unwrap();
    fs::set_permissions(folder.join(file), fs::Permissions::from_mode(0o600)).unwrap();
}

fn told(folder: &Path, text: &str) -> Told {
    parse(text, folder, []).unwrap().0.told()
}

#[test]
fn each_change_is_a_line_with_its_key() {
    let folder = folder();
    let base = told(folder.path(), BASE);
    let rows: [(&str, &str, &[&str]); 24] = [
        ("", "", &[]),
        ("max_devices = 5", "max_devices = 3", &["rules.max_devices: 5 → 3"]),
        ("max_devices = 5\n", "", &[]),
        ("max_devices = 5", "burst_window = '90s'", &["rules.burst_window: 1s → 90s"]),
        ("max_devices = 5", "registration_ttl = '90d'", &["rules.registration_ttl: 0s → 90d"]),
        (
            "max_devices = 5",
            "important_body = ''",
            &[
                "[[rules.service]] push.third.example: important_body: \"New Message!\" → \"\"",
                "rules.important_body: \"New Message!\" → \"\"",
            ],
        ),
        (
            "with_sender = true",
            "with_body = true",
            &[
                "[[rules.service]] push.third.example: with_body: false → true",
                "[[rules.service]] push.third.example: with_sender: true → false",
            ],
        ),
        (
            "'push.third.example'",
            "'push.other.example'",
            &["[[rules.service]] push.third.example: removed", "[[rules.service]] push.other.example: new"],
        ),
        ("max_old = 3", "max_hibernation = '48h'\nmax_old = 3", &["sessions.max_hibernation: 72h → 48h"]),
        ("'10/h'", "'0'", &["register.rate_per_account: 10/h → no limit"]),
        ("'5s'", "'250ms'", &["push.answer_within: 5s → 250ms"]),
        (
            "domain = 'example.org'",
            "domain = 'example.org'\n[[hosts]]\ndomain = 'example.net'",
            &["[[hosts]] example.net: new"],
        ),
        ("[[hosts]]\ndomain = 'example.org'\n", "", &["[[hosts]] example.org: removed"]),
        ("'key.p8'", "'other.p8'", &["[apps.ios]: new credentials"]),
        ("'KEY1'", "'KEY2'", &["[apps.ios]: new credentials"]),
        (
            "'org.example.chat'",
            "'org.example.new'\naliases = ['a', 'b']",
            &["apps.ios.aliases: none → a, b", "apps.ios.topic: org.example.chat → org.example.new"],
        ),
        ("[apps.try]", "[apps.other]", &["[apps.try]: removed", "[apps.other]: new"]),
        (
            "['admin@example.org']",
            "['a@example.org', 'b@example.org']",
            &["component.admins: admin@example.org → a@example.org, b@example.org"],
        ),
        ("'cert.pem'", "'other.pem'", &["http.public.certificate_file: changed"]),
        ("level = 'info'", "level = 'debug'", &["log.level: info → debug"]),
        ("'first-secret'", "'second-secret'", &["component.secret: changed, from the next time that the link is made"]),
        (
            "127.0.0.1:5347",
            "127.0.0.1:5348",
            &["component.connect: 127.0.0.1:5347 → 127.0.0.1:5348, from the next time that the link is made"],
        ),
        ("topic = ", "title = 'Chat'\ntopic = ", &["apps.ios.title: not set → \"Chat\""]),
        ("topic = ", "extra = { a = 1 }\ntopic = ", &["apps.ios.extra: changed"]),
    ];
    for (from, to, expected) in rows {
        let new = told(folder.path(), &BASE.replacen(from, to, usize::from(!from.is_empty())));
        let (lines, runs) = base.changes(&new);
        assert_eq!(lines, expected, "{from} to {to}");
        assert!(runs.changes(&new).0.is_empty(), "{from} to {to} is not said again");
        assert!(lines.iter().all(|line| !line.contains("-secret") && !line.contains("content of")), "{lines:?}");
    }
}

#[test]
fn what_takes_a_restart_is_said_each_time_and_the_running_value_stays() {
    let folder = folder();
    let base = told(folder.path(), BASE);
    let stays = "takes a restart; what runs stays as it is";
    let tls = "certificate_file = 'cert.pem'\nkey_file = 'cert.key'\n";
    let rows = [
        (
            "'push.example.org'",
            "'push.example.net'",
            format!("component.jid: push.example.org → push.example.net, which {stays}"),
        ),
        ("'/var/lib/pushkeeper'", "'/srv'", format!("store.path: /var/lib/pushkeeper → /srv, which {stays}")),
        ("[store]\n", "[store]\nengine = 'redb'\n", format!("store.engine: sled → redb, which {stays}")),
        ("9181", "9182", format!("http.public.listen: 127.0.0.1:9181 → 127.0.0.1:9182, which {stays}")),
        ("level = 'info'", "format = 'json'", format!("log.format: text → json, which {stays}")),
        (tls, "", format!("http.public.certificate_file: (not shown) → not set, which {stays}")),
        (
            "[http.public]\nlisten = '127.0.0.1:9181'\ncertificate_file = 'cert.pem'\nkey_file = 'cert.key'\n",
            "",
            "[http.public]: removed, which takes a restart; it stays as it is".to_owned(),
        ),
    ];
    for (from, to, expected) in rows {
        let new = told(folder.path(), &BASE.replacen(from, to, 1));
        let (lines, runs) = base.changes(&new);
        assert_eq!(lines.first(), Some(&expected), "{from} to {to}");
        assert_eq!(runs.changes(&new).0, lines, "said again: {from} to {to}");
        assert!(runs.changes(&base).0.is_empty(), "going back is no change: {from} to {to}");
    }
    let (lines, runs) = told(
        folder.path(),
        &BASE.replace("[http.public]", "[http.unknown]").replace(
            "[http.unknown]\nlisten = '127.0.0.1:9181'\ncertificate_file = 'cert.pem'\nkey_file = 'cert.key'\n",
            "",
        ),
    )
    .changes(&base);
    assert_eq!(lines, ["[http.public]: new, which takes a restart; nothing listens there yet"]);
    assert_eq!(runs.changes(&base).0, lines);
}

#[test]
fn a_file_counts_by_what_is_in_it() {
    let folder = folder();
    let base = told(folder.path(), BASE);
    write(folder.path(), "key.p8", "the content of key.p8");
    assert!(base.changes(&told(folder.path(), BASE)).0.is_empty());
    write(folder.path(), "key.p8", "another key");
    assert_eq!(base.changes(&told(folder.path(), BASE)).0, ["[apps.ios]: new credentials"]);
    write(folder.path(), "cert.pem", "another certificate");
    let new = told(folder.path(), BASE);
    assert!(base.differs(&new, "http.public.certificate_file") && !base.differs(&new, "log.level"));
}

/// Every key that an operator can write is told apart, so that no change goes unsaid.
#[test]
fn no_key_of_the_example_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["AuthKey_ABC123.p8", "service-account.json", "ca.pem", "push.p12", "vapid.pem"] {
        write(folder.path(), file, "x");
    }
    let example = include_str!("../../config.example.toml");
    let keys = told(folder.path(), example).keys();
    // What else names the same, or is told only if it is set, or is the section itself.
    let elsewhere = [
        "secret_file",
        "domain",
        "jid",
        "certificate_file",
        "certificate_password",
        "endpoint",
        "token_endpoint",
        "ca_file",
        "title",
        "body",
        "sound",
        "category",
        "listen",
        "key_file",
    ];
    let mut forgotten = Vec::new();
    for line in example.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        let Some((key, _)) = line.split_once(" = ") else { continue };
        let is_key = key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        if is_key
            && !elsewhere.contains(&key)
            && !keys.iter().any(|known| known.ends_with(&format!(".{key}")) || known.ends_with(&format!(": {key}")))
        {
            forgotten.push(key);
        }
    }
    assert!(forgotten.is_empty(), "{forgotten:?}");
    assert!(keys.len() > 60, "{}", keys.len());
}

#[test]
fn spans_and_rates_are_said_as_they_are_written() {
    let rows = [
        (0, "0s"),
        (250, "250ms"),
        (1500, "1500ms"),
        (90_000, "90s"),
        (600_000, "10m"),
        (86_400_000, "24h"),
        (7 * 86_400_000, "7d"),
    ];
    for (millis, text) in rows {
        assert_eq!(span(Duration::from_millis(millis)), text);
        assert_eq!(crate::config::units::duration(text), Some(Duration::from_millis(millis)));
    }
    for text in ["10/h", "20/s", "3/m", "1/d"] {
        assert_eq!(rate(crate::config::units::rate(text).unwrap()), text);
    }
}
