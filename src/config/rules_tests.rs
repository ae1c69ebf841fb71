use std::path::Path;

use super::*;
use crate::config::parse;
use crate::config::tests::{MINIMAL, complaints};

#[test]
fn all_keys_of_rules_and_sessions_are_understood() {
    let text = r#"
        [[hosts]]
        domain = "Example.org"
        [[hosts]]
        domain = "example.net"
        [rules]
        max_devices = 3
        max_errors = 4
        important_body = ""
        with_body = true
        with_sender = true
        burst_window = "250ms"
        unimportant = "never"
        corrections = "important"
        registration_ttl = "30d"
        [[rules.service]]
        jid = "Push.third.example"
        with_body = false
        [[rules.service]]
        jid = "push.other.example"
        important_body = "Hello"
        with_sender = false
        [sessions]
        hibernation_time = "5m"
        max_hibernation = "24h"
        max_ack_delay = "15s"
        max_hibernated = 2
        max_old = 0
        wake_before_end = "0s"
        wake_on_start = true
    "#;
    let (config, warnings) = parse(&format!("{MINIMAL}{text}"), Path::new("."), []).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(config.policy.hosts, [Domain::new("example.org"), Domain::new("example.net")]);
    let redaction =
        |body: &str, with_body, with_sender| Redaction { important_body: body.into(), with_body, with_sender };
    let rules = Rules {
        max_devices: 3,
        max_errors: 4,
        redaction: redaction("", true, true),
        services: [
            ("push.third.example".into(), redaction("", false, true)),
            ("push.other.example".into(), redaction("Hello", true, false)),
        ]
        .into(),
        burst_window: Duration::from_millis(250),
        unimportant: false,
        corrections: true,
        registration_ttl: Some(Duration::from_secs(30 * 24 * 3600)),
    };
    assert_eq!(config.policy.rules, rules);
    let sessions = Sessions {
        windows: Windows {
            normal: Duration::from_secs(300),
            stretched: Duration::from_secs(24 * 3600),
            wake_before_end: None,
        },
        max_ack_delay: Duration::from_secs(15),
        max_hibernated: 2,
        max_old: 0,
        wake_on_start: true,
    };
    assert_eq!(config.policy.sessions, sessions);
    let never = parse(&format!("{MINIMAL}[rules]\nregistration_ttl = \"0s\"\n"), Path::new("."), []).unwrap().0;
    assert_eq!(never.policy.rules.registration_ttl, None);
}

#[test]
fn the_components_own_domain_is_no_host() {
    assert_eq!(
        complaints(&format!("{MINIMAL}[[hosts]]\ndomain = \"PUSH.example.org\"\n")),
        ["hosts.1.domain: is our own, component.jid; write the domain whose users are to be woken"]
    );
}

#[test]
fn what_should_be_a_list_of_sections_is_named() {
    let rows = [
        (
            "[hosts]\ndomain = \"example.org\"\n",
            "hosts: must be sections: write [[hosts]] on a line of its own, once for each",
        ),
        ("hosts = [\"example.org\"]\n", "hosts: must be sections: write [[hosts]] on a line of its own, once for each"),
        (
            "[rules]\nservice = \"push.example.net\"\n",
            "rules.service: must be sections: write [[rules.service]] on a line of its own, once for each",
        ),
    ];
    for (text, complaint) in rows {
        assert_eq!(complaints(&format!("{text}{MINIMAL}")), [complaint], "{text}");
    }
}

#[test]
fn what_is_allowed_but_odd_is_warned_of() {
    let app = "[apps.a]\nprovider = \"stub\"\n";
    let host = format!("{app}[[hosts]]\ndomain = \"example.org\"\n");
    let rows = [
        (app.to_owned(), vec![]),
        (host.clone(), vec![]),
        // Without apps it is a rules engine, without hosts a push service.
        ("[[hosts]]\ndomain = \"example.org\"\n".to_owned(), vec![]),
        (format!("{app}[rules]\nimportant_body = \"\"\n"), vec![]),
        (format!("{app}[rules]\nmax_devices = 5\n"), vec!["rules"]),
        (format!("{app}[sessions]\nmax_old = 5\n"), vec!["sessions"]),
        (format!("{host}[rules]\nburst_window = \"1m\"\n"), vec![]),
        (format!("{host}[rules]\nburst_window = \"61s\"\n"), vec!["rules.burst_window"]),
        (format!("{host}[sessions]\nmax_ack_delay = \"1s\"\n"), vec![]),
        (format!("{host}[sessions]\nmax_ack_delay = \"0s\"\n"), vec!["sessions.max_ack_delay"]),
        (format!("{host}[sessions]\nhibernation_time = \"0s\"\n"), vec!["sessions.hibernation_time"]),
        (
            format!("{host}[sessions]\nhibernation_time = \"1m\"\nmax_hibernation = \"2m\"\n"),
            vec!["sessions.wake_before_end"],
        ),
    ];
    for (text, expected) in rows {
        let (_, warnings) = parse(&format!("{MINIMAL}{text}"), Path::new("."), []).unwrap();
        let keys: Vec<&str> = warnings.iter().map(|warning| warning.key.as_str()).collect();
        assert_eq!(keys, expected, "{text}");
    }
}
