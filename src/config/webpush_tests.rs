use std::fs;

use super::tests::MINIMAL;
use super::*;

/// What comes of a Web Push app with these lines.
fn app(lines: &str) -> Result<(Config, Vec<String>), Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("vapid.pem"), "a key").unwrap();
    fs::write(folder.path().join("other.pem"), "another key").unwrap();
    let text = format!("{MINIMAL}[apps.web]\nprovider = \"webpush\"\n{lines}");
    let texts = |complaints: Vec<Complaint>, key: &str| {
        let ours = complaints.iter().filter(|complaint| complaint.key.ends_with(key));
        ours.map(Complaint::to_string).collect::<Vec<_>>()
    };
    // The key's file is warned of, since it is made as any file.
    parse(&text, folder.path(), [])
        .map(|(config, warnings)| (config, texts(warnings, "connect_to")))
        .map_err(|errors| texts(errors, ""))
}

const KEYS: &str = "vapid_key_file = \"vapid.pem\"\nvapid_subject = \"mailto:ops@example.org\"\n";
const HOSTS: &str = "allow_hosts = [\"fcm.googleapis.com\", \"*.Push.Apple.com\"]\n";

#[test]
fn a_web_push_app_is_read() {
    let (config, warnings) = app(&format!("{KEYS}{HOSTS}")).unwrap();
    let app = &config.apps[0];
    let hosts = [
        DomainPattern::Exactly(Domain::new("fcm.googleapis.com")),
        DomainPattern::Below(Domain::new("push.apple.com")),
    ];
    assert_eq!(app.app.allow_hosts, hosts);
    assert_eq!(config.policy.apps[0].allow_hosts, hosts, "for those who register");
    assert_eq!(app.app.provider.name(), "webpush");
    let Vendor::WebPush { vapid_key, vapid_subject, silent, ca, connect_to } = &app.vendor else { panic!("{app:?}") };
    assert_eq!((vapid_key.as_slice(), vapid_subject.as_str()), (b"a key".as_slice(), "mailto:ops@example.org"));
    assert_eq!((*silent, ca, connect_to.len()), (false, &None, 0));
    assert_eq!(warnings, [""; 0]);
}

#[test]
fn a_stand_in_is_read_and_warned_of() {
    let lines = format!(
        "{KEYS}silent = true\nallow_hosts = [\"push.test\"]\nca_file = \"other.pem\"\n\
         connect_to = {{ \"Push.test:443\" = \"127.0.0.1:8443\" }}\n"
    );
    let (config, warnings) = app(&lines).unwrap();
    let Vendor::WebPush { silent, ca, connect_to, .. } = &config.apps[0].vendor else { panic!("{config:?}") };
    assert_eq!((*silent, ca.as_deref()), (true, Some(b"another key".as_slice())));
    assert_eq!(*connect_to, [("push.test".to_owned(), "127.0.0.1:8443".parse().unwrap())].into());
    let expected = "apps.web.connect_to: pushes to push.test go to 127.0.0.1:8443 instead, whatever address that is; \
                    meant for stand-ins only";
    assert_eq!(warnings, [expected]);
}

#[test]
fn what_is_missing_or_wrong_is_said_all_at_once() {
    let nothing = [
        "apps.web.vapid_key_file: is missing; write the path of a P-256 key in PEM (docs/webpush.md)",
        r#"apps.web.allow_hosts: is missing; list the push services' hosts, such as ["fcm.googleapis.com", "*.push.apple.com"]"#,
        r#"apps.web.vapid_subject: is missing; write vapid_subject = "mailto:ops@example.org""#,
    ];
    assert_eq!(app("").unwrap_err(), nothing);
    let such = r#"is not such as { "push.test:443" = "127.0.0.1:8443" }"#;
    let rows = [
        ("allow_hosts = []", vec!["apps.web.allow_hosts: is empty; no device could register".to_owned()]),
        (
            "allow_hosts = [\"*\", \"a b\", \"fcm.googleapis.com\"]",
            vec![
                r#"apps.web.allow_hosts: "*" is not a host, or "*." and a domain"#.to_owned(),
                r#"apps.web.allow_hosts: "a b" is not a host, or "*." and a domain"#.to_owned(),
            ],
        ),
        (
            "allow_hosts = [\"push.test\"]\nconnect_to = \"127.0.0.1:8443\"",
            vec![r#"apps.web.connect_to: must be texts by name, such as { "one" = "1", "two" = "2" }"#.to_owned()],
        ),
        (
            "allow_hosts = [\"push.test\"]\nconnect_to = { \"push.test\" = \"127.0.0.1:8443\" }",
            vec![format!(r#"apps.web.connect_to: "push.test" = "127.0.0.1:8443" {such}"#)],
        ),
        (
            "allow_hosts = [\"push.test\"]\nconnect_to = { \"push.test:443\" = \"localhost\" }",
            vec![format!(r#"apps.web.connect_to: "push.test:443" = "localhost" {such}"#)],
        ),
        (
            "allow_hosts = [\"push.test\"]\nconnect_to = { \"else.test:443\" = \"127.0.0.1:8443\" }",
            vec!["apps.web.connect_to: else.test is not in allow_hosts, so nothing is ever sent there".to_owned()],
        ),
    ];
    for (lines, expected) in rows {
        assert_eq!(app(&format!("{KEYS}{lines}\n")).unwrap_err(), expected, "{lines}");
    }
}

#[test]
fn another_key_makes_other_credentials_and_another_subject_does_not() {
    let fingerprint = |keys: &str| app(&format!("{keys}{HOSTS}")).unwrap().0.apps[0].app.fingerprint;
    let base = fingerprint(KEYS);
    assert_ne!(fingerprint(&KEYS.replace("vapid.pem", "other.pem")), base);
    assert_eq!(fingerprint(&KEYS.replace("ops", "push")), base);
}
