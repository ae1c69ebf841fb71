//! `pushkeeper check`, as an operator runs it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// What it prints about this configuration, in a file that only its owner can read.
fn check(configuration: &str) -> String {
    let output = run(configuration);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What it complains of.
fn complaints(configuration: &str) -> String {
    let output = run(configuration);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn run(configuration: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, configuration).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let program = env!("CARGO_BIN_EXE_pushkeeper");
    Command::new(program).args(["check", "--config"]).arg(path).output().unwrap()
}

const COMPONENT: &str = "[component]\njid = 'push.example.org'\nconnect = '127.0.0.1:5347'\nsecret = 's'\n\
                         [store]\npath = 'data'\n";

/// An app on Web Push with this key and subject.
fn pages(key: &Path, subject: &str) -> String {
    std::fs::set_permissions(key, Permissions::from_mode(0o600)).unwrap();
    format!(
        "{COMPONENT}[apps.web]\nprovider = 'webpush'\nvapid_key_file = '{}'\nvapid_subject = '{subject}'\n\
         allow_hosts = ['push.test']\nconnect_to = {{ 'push.test:443' = '127.0.0.1:8443' }}\n",
        key.display()
    )
}

#[test]
fn it_warns_of_stand_ins_and_shows_the_key_that_pages_subscribe_with() {
    let folder = tempfile::tempdir().unwrap();
    let (path, key) = (folder.path().join("vapid.pem"), rcgen::KeyPair::generate().unwrap());
    std::fs::write(&path, key.serialize_pem()).unwrap();
    let public = URL_SAFE_NO_PAD.encode(key.public_key_raw());
    assert_eq!(
        check(&pages(&path, "mailto:ops@example.org")),
        format!(
            "warning: apps.web.connect_to: pushes to push.test go to 127.0.0.1:8443 instead, whatever address that is; \
             meant for stand-ins only\nthe configuration is fine; hosts: none; apps: web\n\
             [apps.web]: pages subscribe with the key {public}\n"
        )
    );
}

#[test]
fn it_says_what_is_no_key_and_no_subject() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vapid.pem");
    std::fs::write(&path, "a key").unwrap();
    assert_eq!(
        complaints(&pages(&path, "mailto:ops@example.org")),
        "error: apps.web.vapid_key_file: holds no P-256 private key in PEM; make one with: openssl genpkey -algorithm EC \
         -pkeyopt ec_paramgen_curve:P-256 -out FILE\n"
    );
    assert_eq!(
        complaints(&pages(&path, "ops@example.org")),
        "error: apps.web.vapid_subject: must be mailto: and a mail address, or an https: address\n"
    );
}

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

#[test]
fn it_says_what_is_no_certificate_and_no_key_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["push.example.org".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    };
    let text = format!(
        "{COMPONENT}[apps.try]\nprovider = 'stub'\n[http.public]\nlisten = '127.0.0.1:0'\n\
         certificate_file = '{0}/cert.pem'\nkey_file = '{0}/key.pem'\n",
        folder.path().display()
    );
    file("cert.pem", &certificate);
    file("key.pem", &other);
    let mismatch = "holds a private key that TLS can not use, or that does not belong to the certificate";
    assert_eq!(complaints(&text), format!("error: http.public.key_file: {mismatch}\n"));
    file("cert.pem", "a certificate");
    assert_eq!(complaints(&text), "error: http.public.certificate_file: holds no certificate in PEM\n");
    file("cert.pem", &certificate);
    file("key.pem", &key.serialize_pem());
    assert_eq!(check(&text), "the configuration is fine; hosts: none; apps: try\n");
}

#[test]
fn it_warns_of_a_store_that_cannot_be_made_or_that_others_may_enter() {
    let folder = tempfile::tempdir().unwrap();
    let fine = "the configuration is fine; hosts: none; apps: try\n";
    let store = |path: &str| {
        let path = folder.path().join(path);
        let text = COMPONENT.replace("'data'", &format!("'{}'", path.display()));
        (check(&format!("{text}[apps.try]\nprovider = 'stub'\n")), path.display().to_string())
    };
    let (said, path) = store("none/store");
    let around = folder.path().join("none").display().to_string();
    assert_eq!(
        said,
        format!(
            "warning: store.path: {path} cannot be made: there is no folder {around}: mkdir -p {around}, or mend \
             store.path\n{fine}"
        )
    );

    std::fs::write(folder.path().join("file"), "").unwrap();
    let (said, path) = store("file");
    assert_eq!(said, format!("warning: store.path: {path} is no folder: mend store.path\n{fine}"));

    std::fs::create_dir(folder.path().join("open")).unwrap();
    std::fs::set_permissions(folder.path().join("open"), Permissions::from_mode(0o750)).unwrap();
    let (said, path) = store("open");
    assert_eq!(
        said,
        format!(
            "warning: store.path: others may enter {path} (mode 750), which holds device tokens: chmod 700 {path} (systemd: \
             StateDirectoryMode=0700)\n{fine}"
        )
    );

    std::fs::set_permissions(folder.path().join("open"), Permissions::from_mode(0o700)).unwrap();
    assert_eq!(store("open").0, fine);
}
