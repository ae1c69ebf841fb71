//! `docs/options.md`: complete, and every key that it names exists.

use std::collections::BTreeSet;

const OPTIONS: &str = include_str!("../../docs/options.md");
const EXAMPLE: &str = include_str!("../../config.example.toml");

/// All there are in Prosody 0.12.3, in mod_cloud_notify, and the one that only mod_smacks of before 2022 had.
const THEIRS: [&str; 15] = [
    "push_max_devices",
    "push_max_errors",
    "push_max_hibernation_timeout",
    "push_notification_important_body",
    "push_notification_with_body",
    "push_notification_with_sender",
    "smacks_enabled_s2s",
    "smacks_hibernation_time",
    "smacks_max_ack_delay",
    "smacks_max_hibernated_sessions",
    "smacks_max_inactive_unacked_stanzas",
    "smacks_max_old_sessions",
    "smacks_max_queue_size",
    "smacks_max_unacked_stanzas",
    "smacks_s2s_resend",
];

/// Every `section.key` of the example, given or commented out, and every `[[section]]`; each with its default or value.
fn ours() -> Vec<(String, String)> {
    let mut section = String::new();
    let mut found = Vec::new();
    for line in EXAMPLE.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        let text = line.split(" #").next().unwrap_or_default().trim_end();
        if let Some(name) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim_matches(['[', ']']).to_owned();
            found.push((text.to_owned(), String::new()));
        } else if let Some((key, value)) = text.split_once(" = ")
            && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        {
            found.push((format!("{section}.{key}"), value.trim_matches('"').to_owned()));
        }
    }
    found
}

/// The rows of all tables, cell by cell, without their heads.
fn rows() -> Vec<Vec<&'static str>> {
    let rows = OPTIONS.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// What stands in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_key_that_the_table_of_options_names_exists() {
    let keys: BTreeSet<String> = ours().into_iter().map(|(key, _)| key).collect();
    let sections = ["rules.", "sessions.", "[[", "hosts.", "component.", "push.", "register."];
    let named: BTreeSet<&str> =
        quoted(OPTIONS).filter(|text| sections.iter().any(|section| text.starts_with(section))).collect();
    assert_eq!(named.len(), 17, "{named:?}");
    for key in &named {
        assert!(keys.contains(*key), "{key} is not in the example");
    }
    // And the other way round.
    for key in keys.iter().filter(|key| key.starts_with("rules.") && !key.starts_with("rules.service.")) {
        assert!(named.contains(key.as_str()), "{key} is not in the table");
    }
    for key in keys.iter().filter(|key| key.starts_with("sessions.")) {
        assert!(named.contains(key.as_str()), "{key} is not in the table");
    }
}

#[test]
fn every_option_of_both_modules_has_its_row() {
    let rows = rows();
    let first: Vec<&str> = rows.iter().filter_map(|row| quoted(row[0]).next()).collect();
    for option in THEIRS {
        let count = first.iter().filter(|name| **name == option).count();
        assert_eq!(count, 1, "{option}");
    }
    let others = first.iter().filter(|name| name.starts_with("push_max") || name.starts_with("smacks_"));
    for name in others {
        assert!(THEIRS.contains(name), "{name} is no option");
    }
}

#[test]
fn the_defaults_that_the_table_gives_are_those_of_the_example() {
    let ours = ours();
    let mut checked = 0;
    for row in rows() {
        // There, its default, ours, our default, what changes; or ours, its default, what was there.
        let (key, default) = match row[..] {
            [_, _, key, default, _] => (key, default),
            [key, default, _] => (key, default),
            _ => panic!("{row:?}"),
        };
        let Some(key) = quoted(key).next() else { continue };
        let Some((_, value)) = ours.iter().find(|(name, value)| name == key && !value.is_empty()) else { continue };
        assert_eq!(value, default, "{key}");
        checked += 1;
    }
    assert_eq!(checked, 16);
}
