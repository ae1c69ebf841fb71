//! `[http]`: what we serve over HTTP.

use std::fmt;
use std::net::SocketAddr;

use super::reader::{Findings, Section};

/// `[http]`.
#[derive(Debug, Default)]
pub struct Http {
    /// `listen`: where metrics and health are served; `None` is nowhere.
    pub listen: Option<SocketAddr>,
    /// `[http.public]`, if it is given.
    pub public: Option<PublicHttp>,
}

/// `[http.public]`: what apps must reach.
#[derive(Debug)]
pub struct PublicHttp {
    /// `listen`.
    pub listen: SocketAddr,
    /// `certificate_file` and `key_file`; without them it is plain HTTP, for a reverse proxy in front.
    pub tls: Option<TlsFiles>,
}

/// A certificate and its key: read, not yet understood.
pub struct TlsFiles {
    /// `certificate_file`: PEM.
    pub certificate: Vec<u8>,
    /// `key_file`: PEM.
    pub key: Vec<u8>,
}

impl fmt::Debug for TlsFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsFiles(..)")
    }
}

/// Reads `[http]`.
pub(super) fn http(mut section: Section<'_>, found: &mut Findings) -> Http {
    let public = section.section("public", found).and_then(|section| public(section, found));
    let listen = section.parsed("listen", "an address and port such as \"127.0.0.1:9180\"", address, found);
    if listen.is_some_and(|listen| !listen.ip().is_loopback()) {
        let text = "other machines can reach this, in the clear and without a password, and it names your apps and hosts \
                    and how busy they are; a firewall should let only your monitoring in";
        found.warning(section.key("listen"), text);
    }
    if public.as_ref().is_some_and(|public| listen == Some(public.listen) && public.listen.port() != 0) {
        found.error(section.key("listen"), "is also http.public.listen; give each a port of its own");
    }
    section.end(found);
    Http { listen, public }
}

fn address(text: &str) -> Option<SocketAddr> {
    text.trim().parse().ok()
}

fn public(mut section: Section<'_>, found: &mut Findings) -> Option<PublicHttp> {
    let wanted = "an address and port such as \"0.0.0.0:443\" or \"[::]:443\"";
    let listen = match section.has("listen") {
        true => section.parsed("listen", wanted, address, found),
        false => {
            found.error(section.key("listen"), format!("is missing; write {wanted}"));
            None
        }
    };
    let given = (section.has("certificate_file"), section.has("key_file"));
    let certificate = section.file("certificate_file", found);
    let key = section.secret_file("key_file", found);
    match given {
        (true, false) => found.error(section.key("key_file"), "is missing; write the path of the certificate's key"),
        (false, true) => {
            found.error(section.key("certificate_file"), "is missing; write the path of the key's certificate");
        }
        (false, false) if listen.is_some_and(|listen| !listen.ip().is_loopback()) => {
            let text = "other machines can reach this, and it is plain HTTP: only a reverse proxy should; else set \
                        certificate_file and key_file";
            found.warning(section.key("listen"), text);
        }
        _ => {}
    }
    section.end(found);
    let tls = certificate.zip(key).map(|(certificate, key)| TlsFiles { certificate, key });
    Some(PublicHttp { listen: listen?, tls })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::config::parse;
    use crate::config::tests::{MINIMAL, complaints};

    const APP: &str = "[apps.try]\nprovider = \"stub\"\n";

    #[test]
    fn nothing_is_served_unless_it_is_asked_for() {
        for text in ["", "[http]\n"] {
            let (config, _) = parse(&format!("{MINIMAL}{APP}{text}"), std::path::Path::new("."), []).unwrap();
            assert!(config.http.public.is_none() && config.http.listen.is_none());
        }
    }

    #[test]
    fn certificate_and_key_are_read_and_never_shown() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in [("cert.pem", "the certificate"), ("key.pem", "the key")] {
            fs::write(folder.path().join(file), text).unwrap();
            fs::set_permissions(folder.path().join(file), fs::Permissions::from_mode(0o640)).unwrap();
        }
        let section =
            "[http.public]\nlisten = \"[::]:8443\"\ncertificate_file = \"cert.pem\"\nkey_file = \"key.pem\"\n";
        let (config, warnings) = parse(&format!("{MINIMAL}{APP}{section}"), folder.path(), []).unwrap();
        assert_eq!(
            format!("{:?}", config.http),
            "Http { listen: None, public: Some(PublicHttp { listen: [::]:8443, tls: Some(TlsFiles(..)) }) }"
        );
        let tls = config.http.public.unwrap().tls.unwrap();
        assert_eq!((tls.certificate.as_slice(), tls.key.as_slice()), (&b"the certificate"[..], &b"the key"[..]));
        assert_eq!(warnings, []);

        fs::set_permissions(folder.path().join("key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
        let (_, warnings) = parse(&format!("{MINIMAL}{APP}{section}"), folder.path(), []).unwrap();
        assert_eq!(warnings.iter().map(|it| it.key.as_str()).collect::<Vec<_>>(), ["http.public.key_file"]);
    }

    #[test]
    fn plain_http_that_others_can_reach_is_warned_of() {
        for (listen, warned) in [("127.0.0.1:9181", false), ("[::1]:0", false), ("0.0.0.0:80", true), ("[::]:80", true)]
        {
            let section = format!("[http.public]\nlisten = \"{listen}\"\n");
            let (config, warnings) = parse(&format!("{MINIMAL}{APP}{section}"), std::path::Path::new("."), []).unwrap();
            assert_eq!(config.http.public.unwrap().listen, listen.parse().unwrap());
            assert_eq!(warnings.iter().any(|it| it.key == "http.public.listen"), warned, "{listen}");
        }
    }

    #[test]
    fn the_environment_can_say_it() {
        let env = [
            ("PUSHKEEPER_HTTP__LISTEN".into(), "127.0.0.1:9180".into()),
            ("PUSHKEEPER_HTTP__PUBLIC__LISTEN".into(), "127.0.0.1:9181".into()),
        ];
        let (config, _) = parse(&format!("{MINIMAL}{APP}"), std::path::Path::new("."), env).unwrap();
        assert_eq!(config.http.listen, Some("127.0.0.1:9180".parse().unwrap()));
        assert_eq!(config.http.public.unwrap().listen, "127.0.0.1:9181".parse().unwrap());
    }

    #[test]
    fn metrics_that_other_machines_can_reach_are_warned_of() {
        for (listen, warned) in
            [("127.0.0.1:9180", false), ("[::1]:0", false), ("0.0.0.0:9180", true), ("[::]:1", true)]
        {
            let section = format!("[http]\nlisten = \"{listen}\"\n");
            let (config, warnings) = parse(&format!("{MINIMAL}{APP}{section}"), std::path::Path::new("."), []).unwrap();
            assert_eq!(config.http.listen, Some(listen.parse().unwrap()));
            assert_eq!(warnings.iter().any(|it| it.key == "http.listen"), warned, "{listen}");
        }
    }

    #[test]
    fn metrics_need_an_address_and_a_port_of_their_own() {
        let rows = [
            (
                "[http]\nlisten = \"9180\"\n",
                "http.listen: \"9180\" is not an address and port such as \"127.0.0.1:9180\"",
            ),
            ("[http]\nlisten = 9180\n", "http.listen: must be a text in quotes, not such a number"),
            (
                "[http]\nlisten = \"[::1]:9180\"\n[http.public]\nlisten = \"[::1]:9180\"\n",
                "http.listen: is also http.public.listen; give each a port of its own",
            ),
            (
                "[http]\nlisten = \"[::1]:9180\"\nmetrics = true\n",
                "http.metrics: is not a key of this section; it knows listen, public",
            ),
        ];
        for (section, expected) in rows {
            assert_eq!(complaints(&format!("{MINIMAL}{APP}{section}")), [expected]);
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_key() {
        let wanted = r#"an address and port such as "0.0.0.0:443" or "[::]:443""#;
        let rows = [
            ("", vec![format!("http.public.listen: is missing; write {wanted}")]),
            ("listen = \"example.org:443\"", vec![format!(r#"http.public.listen: "example.org:443" is not {wanted}"#)]),
            (
                "listen = \"[::]:443\"\ncertificate_file = \"Cargo.toml\"",
                vec![
                    "http.public.certificate_file: cannot read".to_owned(),
                    "http.public.key_file: is missing; write the path of the certificate's key".to_owned(),
                ],
            ),
            (
                "listen = \"[::]:443\"\nkey_file = \"Cargo.toml\"",
                vec![
                    "http.public.key_file: cannot read".to_owned(),
                    "http.public.certificate_file: is missing; write the path of the key's certificate".to_owned(),
                ],
            ),
            (
                "listen = \"[::]:443\"\nport = 443",
                vec![
                    "http.public.port: is not a key of this section; it knows certificate_file, key_file, listen"
                        .into(),
                ],
            ),
        ];
        for (section, expected) in rows {
            let found = complaints(&format!("{MINIMAL}{APP}[http.public]\n{section}\n"));
            assert_eq!(found.len(), expected.len(), "{section}: {found:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert!(found.starts_with(&expected), "{section}: {found}");
            }
        }
        let flat = complaints(&format!("{MINIMAL}{APP}[http]\npublic = \"127.0.0.1:80\"\n"));
        assert_eq!(flat, ["http.public: must be a section: write [http.public] on a line of its own"]);
    }
}
