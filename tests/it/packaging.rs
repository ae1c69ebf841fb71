//! What lies in `packaging/` agrees with the program: without any tool of a packager, so that it is seen at once.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

const UNIT: &str = include_str!("../../packaging/systemd/pushkeeper.service");
const CREDENTIALS: &str = include_str!("../../packaging/systemd/credentials.conf");
const LOW_PORT: &str = include_str!("../../packaging/systemd/low-port.conf");
const CONFIG: &str = include_str!("../../packaging/deb/config.toml");
const CONTAINER: &str = include_str!("../../packaging/container/Containerfile");
const IGNORED: &str = include_str!("../../.dockerignore");
const EXAMPLE: &str = include_str!("../../config.example.toml");

fn pushkeeper(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pushkeeper")).args(arguments).env_clear().output().unwrap()
}

fn output(arguments: &[&str]) -> String {
    let output = pushkeeper(arguments);
    assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs `check` on this configuration.
fn check(folder: &Path, text: &str) -> Output {
    let path = folder.join("config.toml");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    pushkeeper(&["check", "--config", path.to_str().unwrap()])
}

/// All values that a unit has for a key.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

#[test]
fn the_packaged_configuration_says_what_it_lacks_and_is_fine_once_that_is_filled_in() {
    let folder = tempfile::tempdir().unwrap();
    let untouched = check(folder.path(), CONFIG);
    // The code after which the unit does not try again.
    assert_eq!(
        untouched.status.code().map(|code| code.to_string()).as_deref(),
        Some(values(UNIT, "RestartPreventExitStatus")[0])
    );
    assert_eq!(
        String::from_utf8(untouched.stderr).unwrap(),
        "error: component.secret: is missing; write the component_secret of the host, or use secret_file\n"
    );

    // As its comments ask: take the marks away, and fill in.
    let filled: String = CONFIG
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.starts_with('[') || rest.contains(" = ") => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let filled = filled.replace("secret = \"\"", "secret = \"s3cr3t\"").replace("\"fcm\"", "\"stub\"");
    let filled: String = filled
        .lines()
        .filter(|line| !line.starts_with("service_account_file"))
        .map(|line| format!("{line}\n"))
        .collect();
    let filled = check(folder.path(), &filled);
    assert_eq!(
        String::from_utf8(filled.stdout).unwrap(),
        "the configuration is fine; hosts: example.org; apps: chat-android\n",
        "{:?}",
        String::from_utf8_lossy(&filled.stderr)
    );
}

#[test]
fn the_examples_of_credentials_name_keys_that_there_are() {
    let mut found = BTreeSet::new();
    for text in [CREDENTIALS, LOW_PORT] {
        for line in text.lines() {
            let line = line.trim_start_matches('#');
            let Some((name, value)) = line.strip_prefix("Environment=PUSHKEEPER_").and_then(|it| it.split_once('='))
            else {
                continue;
            };
            // Each is a credential that the line before it loads.
            let credential = value.strip_prefix("%d/").expect(line);
            assert!(text.contains(&format!("LoadCredential={credential}:/")), "{line}");
            let (_, key) = name.rsplit_once("__").expect(line);
            let key = key.to_lowercase();
            assert!(EXAMPLE.contains(&format!("{key} = \"")), "{key} is no key");
            found.insert(key);
        }
    }
    let expected = ["key_file", "secret_file", "service_account_file"].map(str::to_owned);
    assert_eq!(found, BTreeSet::from(expected));
}

#[test]
fn a_credential_is_a_secret_that_the_configuration_need_not_have() {
    let folder = tempfile::tempdir().unwrap();
    let (config, secret) = (folder.path().join("config.toml"), folder.path().join("secret"));
    for (path, text) in [(&config, CONFIG), (&secret, "s3cr3t\n")] {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o400)).unwrap();
    }
    let [variable] = values(CREDENTIALS, "Environment")[..] else { panic!("one that is not commented out") };
    let (name, value) = variable.split_once('=').unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_pushkeeper"))
        .args(["check", "--config", config.to_str().unwrap()])
        .env(name, value.replace("%d", folder.path().to_str().unwrap()))
        .output()
        .unwrap();
    assert_eq!(
        (String::from_utf8_lossy(&output.stdout).as_ref(), String::from_utf8_lossy(&output.stderr).as_ref()),
        (
            "warning: apps: there are none: no device can be registered and nothing can be pushed\n\
             the configuration is fine; hosts: none; apps: none\n",
            ""
        )
    );
}

#[test]
fn the_man_page_and_the_completions_know_every_command_that_help_shows() {
    let help = output(&["--help"]);
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands: Vec<&str> = commands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() >= 5 && commands.contains(&"check"), "{commands:?}");
    let manual = output(&["manual"]);
    let shells = ["bash", "zsh", "fish"].map(|shell| output(&["completions", shell]));
    for command in commands.iter().filter(|command| **command != "help") {
        assert!(manual.contains(&format!("\\fB{command}\\fR")), "{command} is not in the man page");
        assert!(shells.iter().all(|shell| shell.contains(command)), "{command} is not completed");
    }
    for section in ["NAME", "SYNOPSIS", "COMMANDS", "OPTIONS", "SIGNALS", "\"EXIT STATUS\"", "ENVIRONMENT", "FILES"] {
        assert!(manual.lines().any(|line| line == format!(".SH {section}")), "{section}");
    }
    for hidden in ["manual", "completions", "health"] {
        assert!(!help.contains(hidden), "{hidden}");
    }
}

#[test]
fn all_that_the_container_is_built_from_is_there_and_is_let_through() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copies = CONTAINER.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|line| !line.starts_with("--"));
    let mut copied = BTreeSet::new();
    for line in copies {
        let mut words: Vec<&str> = line.split(' ').collect();
        words.pop();
        copied.extend(words);
    }
    let passed: BTreeSet<&str> = IGNORED.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert_eq!(copied, passed);
    for source in copied {
        assert!(root.join(source).exists(), "{source}");
    }
    // What it is asked is a command, and without an answer it is ill.
    assert!(CONTAINER.contains(r#"CMD ["/usr/bin/pushkeeper", "health"]"#));
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(pushkeeper(&["health", &nobody.to_string()]).status.code(), Some(1));
}
