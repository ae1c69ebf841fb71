//! `pushkeeper check`, as an operator runs it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

/// What it prints about this configuration, in a file that only its owner can read.
fn check(configuration: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, configuration).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let program = env!("CARGO_BIN_EXE_pushkeeper");
    let output = Command::new(program).args(["check", "--config"]).arg(path).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

const COMPONENT: &str = "[component]\njid = 'push.example.org'\nconnect = '127.0.0.1:5347'\nsecret = 's'\n\
                         [store]\npath = 'data'\n";

#[test]
fn it_names_what_is_served() {
    let app = "[apps.try]\nprovider = 'stub'\n";
    let hosts = "[[hosts]]\ndomain = 'example.org'\n[[hosts]]\ndomain = 'example.net'\n";
    assert_eq!(
        check(&format!("{COMPONENT}{hosts}{app}")),
        "the configuration is fine; hosts: example.org, example.net; apps: try\n"
    );
    assert_eq!(check(&format!("{COMPONENT}{app}")), "the configuration is fine; hosts: none; apps: try\n");
    assert_eq!(
        check(&format!("{COMPONENT}{hosts}")),
        "the configuration is fine; hosts: example.org, example.net; apps: none\n"
    );
}
