//! `pushkeeper doctor`, as an operator runs it, between a stand-in for the host and one for the vendors.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use pushkeeper::clock::Clock;
use pushkeeper::store::{EngineKind, Store};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::support::host::{BRIDGED, Host, JID, SECRET, Sent, Session};
use crate::support::vendor::{Answer, Behaviour, Options, Vendor};

/// The device that APNs is asked about.
const NO_DEVICE: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// The one that FCM is asked about.
const NOBODY: &str = "nobody";

const STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

/// A patient: its folder, and what is around it.
struct Ward {
    folder: TempDir,
    host: Host,
    vendor: Vendor,
}

impl Ward {
    /// Where everything is as it should be.
    async fn new() -> Self {
        Self::where_apple_says(Some("BadDeviceToken")).await
    }

    /// The same, where Apple says this of the device that cannot exist; `None` for whatever the request deserves.
    async fn where_apple_says(reason: Option<&str>) -> Self {
        let vendor = Vendor::start(Options::default()).await;
        if let Some(reason) = reason {
            vendor.always(NO_DEVICE, Behaviour::Answer(Answer::apns(400, reason)));
        }
        vendor.always(NOBODY, Behaviour::Answer(Answer::fcm(400, "INVALID_ARGUMENT", Some("INVALID_ARGUMENT"))));
        vendor.date(&date(0));
        let (folder, host) = (TempDir::new().unwrap(), Host::start().await);
        vendor.keys().write(folder.path()).unwrap();
        for entry in fs::read_dir(folder.path()).unwrap() {
            fs::set_permissions(entry.unwrap().path(), Permissions::from_mode(0o600)).unwrap();
        }
        let ward = Self { folder, host, vendor };
        ward.configure(&ward.configuration());
        ward
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn configuration(&self) -> String {
        let (keys, url, address) = (self.vendor.keys(), self.vendor.url(), self.host.address());
        format!(
            r#"
[component]
jid = "{JID}"
connect = "{address}"
secret = "{SECRET}"
[store]
path = "store"
[[hosts]]
domain = "{BRIDGED}"
[apps.ios]
provider = "apns"
topic = "org.example.chat"
key_file = "AuthKey.p8"
key_id = "{key_id}"
team_id = "{team_id}"
endpoint = "{url}"
ca_file = "ca.pem"
[apps.android]
provider = "fcm"
service_account_file = "service-account.json"
endpoint = "{url}"
ca_file = "ca.pem"
[apps.web]
provider = "webpush"
vapid_key_file = "AuthKey.p8"
vapid_subject = "mailto:ops@example.org"
allow_hosts = ["push.test", "*.push.apple.com"]
connect_to = {{ "push.test:443" = "{vendor}" }}
"#,
            key_id = keys.key_id,
            team_id = keys.team_id,
            vendor = self.vendor.address(),
        )
    }

    fn configure(&self, text: &str) {
        let path = self.path().join("config.toml");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }

    /// What the doctor says while the host does this: its exit code, and its lines without that on free space. Paths and
    /// addresses in them have their names.
    async fn doctor(&self, host: impl Future<Output = ()>) -> (i32, Vec<String>) {
        let (output, ()) = tokio::join!(self.run(&[]), host);
        let text = self.named(&String::from_utf8(output.stdout).unwrap());
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
        let lines = text.lines().filter(|line| !line.contains(" free for ")).map(str::to_owned).collect();
        (output.status.code().unwrap(), lines)
    }

    async fn run(&self, more: &[&str]) -> std::process::Output {
        let config = self.path().join("config.toml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_pushkeeper"));
        command.arg("doctor").arg("--config").arg(config).args(more).kill_on_drop(true);
        command.output().await.unwrap()
    }

    fn named(&self, text: &str) -> String {
        let text = text.replace(&*self.path().to_string_lossy(), "$DIR").replace(&self.vendor.url(), "$VENDOR");
        text.replace(&self.host.address().to_string(), "$HOST")
    }

    /// The host takes the component in, and answers as a Prosody with the bridge does.
    async fn healthy_host(&self) {
        let mut session = self.host.component().await;
        answer(&mut session, "Not linked").await;
    }
}

/// Answers all questions until the doctor takes leave; `check` is refused with these words.
async fn answer(session: &mut Session<TcpStream>, unlinked: &str) {
    loop {
        let stanza = match session.next().await {
            Sent::Stanza(stanza) => stanza,
            Sent::Close => return session.send("</stream:stream>").await,
            other => panic!("{other:?}"),
        };
        let attribute = |name: &str| {
            let (_, rest) = stanza.split_once(&format!(" {name}='")).unwrap_or_else(|| panic!("{name}: {stanza}"));
            rest.split('\'').next().unwrap().to_owned()
        };
        assert_eq!(attribute("from"), JID);
        let (kind, payload) = if stanza.contains("jabber:iq:version") {
            (
                "result",
                "<query xmlns='jabber:iq:version'><name>Prosody</name><version>0.12.3</version></query>".to_owned(),
            )
        } else if stanza.contains("disco#info") {
            ("result", "<query xmlns='http://jabber.org/protocol/disco#info'/>".to_owned())
        } else if stanza.contains("disco#items") {
            let item = format!("<item jid='{JID}'/>");
            ("result", format!("<query xmlns='http://jabber.org/protocol/disco#items'>{item}</query>"))
        } else {
            assert!(stanza.contains("<check xmlns='urn:pushkeeper:host:0'/>"), "it asks for more: {stanza}");
            let version = env!("CARGO_PKG_VERSION");
            let error = format!(
                "<error type='cancel'><unexpected-request xmlns='{STANZAS}'/><text xmlns='{STANZAS}'>{unlinked}</text>\
                 <unlinked xmlns='urn:pushkeeper:host:0' bridge='{version}'/></error>"
            );
            ("error", error)
        };
        let (id, to) = (attribute("id"), attribute("to"));
        session.send(&format!("<iq type='{kind}' id='{id}' from='{to}' to='{JID}'>{payload}</iq>")).await;
    }
}

/// The `Date` of a clock that is this many seconds behind (RFC 9110 §5.6.7).
fn date(behind: u64) -> String {
    let now = Clock::system().wall().secs() - behind;
    let (mut day, mut year) = (now / 86_400, 1970);
    let is_leap = |year: u64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of = |year| if is_leap(year) { 366 } else { 365 };
    while day >= days_of(year) {
        day -= days_of(year);
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut month = 0;
    while day >= months[month] {
        day -= months[month];
        month += 1;
    }
    let (name, second) = (names[month], now % 86_400);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    // Nobody reads the day of the week.
    format!("Mon, {:02} {name} {year} {hour:02}:{minute:02}:{second:02} GMT", day + 1)
}

/// The one line about this.
#[track_caller]
fn line<'a>(lines: &'a [String], about: &str) -> &'a str {
    let mut found = lines.iter().filter(|line| line.get(5..).is_some_and(|rest| rest.starts_with(about)));
    let line = found.next().unwrap_or_else(|| panic!("nothing about {about}: {lines:#?}"));
    assert!(found.next().is_none(), "more than one line about {about}: {lines:#?}");
    line
}

#[tokio::test]
async fn all_that_is_well_is_named_in_order() {
    let ward = Ward::new().await;
    let (code, lines) = ward.doctor(ward.healthy_host()).await;
    let version = env!("CARGO_PKG_VERSION");
    let key = lines.iter().find_map(|line| line.strip_prefix("ok   app web: pages subscribe with the key "));
    assert_eq!(key.map(str::len), Some(87), "a public key: {lines:#?}");
    let expected = [
        format!("ok   configuration: can be read; hosts: {BRIDGED}; apps: android, ios, web"),
        format!(
            "warn configuration: apps.web.connect_to: pushes to push.test go to {} instead, whatever address that is; meant \
             for stand-ins only",
            ward.vendor.address()
        ),
        "ok   files: 6 files, only for those who should have them".to_owned(),
        "ok   store: $DIR/store is not there yet: it is made at the first start".to_owned(),
        format!("ok   component: Prosody 0.12.3 at $HOST takes the secret of {JID}"),
        format!("ok   host {BRIDGED}: the bridge {version} is there, obeys {JID}, and waits for it"),
        format!(
            "warn name: {JID} is under example.net, which is for tests: only users of this server reach it — nothing for a \
             test; else use a name of your own"
        ),
        "ok   app android: $VENDOR takes the service account, and has the project".to_owned(),
        "ok   app ios: $VENDOR takes key, team and topic (it knows no such device, as it should not)".to_owned(),
        format!("ok   app web: pages subscribe with the key {}", key.unwrap()),
    ];
    assert_eq!(lines[..expected.len()], expected);
    assert!(lines[expected.len()].starts_with("ok   clock: within "), "{lines:#?}");
    assert_eq!((lines.len(), code), (expected.len() + 1, 0));
    assert!(!ward.path().join("store").exists(), "a doctor makes nothing");
    let pushes = ward.vendor.pushes();
    assert_eq!(pushes.len(), 2, "one question for each vendor");
    let [apns, fcm] = [NO_DEVICE, NOBODY].map(|token| pushes.iter().find(|push| push.token == token).unwrap());
    let headers = ["apns-topic", "apns-push-type", "apns-priority", "apns-expiration"].map(|name| apns.header(name));
    assert_eq!(headers, ["org.example.chat", "background", "5", "0"]);
    assert_eq!(fcm.json()["validate_only"], true);
}

#[tokio::test]
async fn machines_read_one_json_object_a_line() {
    let ward = Ward::new().await;
    let (output, ()) = tokio::join!(ward.run(&["--json"]), ward.healthy_host());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let component = lines.iter().find(|line| line["what"] == "component").unwrap();
    assert_eq!((&component["verdict"], component.get("mend")), (&"fine".into(), None));
    let name = lines.iter().find(|line| line["what"] == "name").unwrap();
    assert_eq!(name["verdict"], "advice");
    assert!(name["mend"].as_str().is_some_and(|mend| !mend.is_empty()));
    assert_eq!(output.status.code(), Some(0));
}

#[tokio::test]
async fn a_stream_that_is_refused_says_why() {
    let rows = [
        ("not-authorized", "refuses the secret of push.example.net", "write the server's secret for it"),
        ("host-unknown", "does not know the component push.example.net", "declare it (Prosody: Component"),
        ("conflict", "has a component push.example.net already", "stop the other one"),
    ];
    for (condition, said, mend) in rows {
        let ward = Ward::new().await;
        let host = async {
            let mut session = ward.host.connection().await;
            session.greet("stream-1").await;
            session.fail(condition).await;
        };
        let (code, lines) = ward.doctor(host).await;
        let component = line(&lines, "component");
        assert!(component.starts_with(&format!("FAIL component: the server at $HOST {said} — {mend}")), "{component}");
        assert_eq!(line(&lines, "host"), format!("warn host {BRIDGED}: not asked: there is no stream to ask over"));
        assert!(line(&lines, "app ios").starts_with("ok "), "the rest is looked at all the same: {lines:#?}");
        assert_eq!(code, 1);
    }
}

#[tokio::test]
async fn nobody_who_listens_and_nobody_who_speaks_xmpp_are_told_apart() {
    let ward = Ward::new().await;
    let host = async {
        let mut socket = ward.host.connection().await.into_inner();
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    };
    let (code, lines) = ward.doctor(host).await;
    let component = line(&lines, "component");
    assert!(component.starts_with("FAIL component: what $HOST says is no stream for components"), "{component}");
    assert_eq!(code, 1);

    // Nobody but the system has this port.
    ward.configure(&ward.configuration().replace(&ward.host.address().to_string(), "127.0.0.1:1"));
    let (code, lines) = ward.doctor(async {}).await;
    let component = line(&lines, "component");
    assert!(component.starts_with("FAIL component: nobody listens at 127.0.0.1:1 — start the server"), "{component}");
    assert_eq!(code, 1);
}

#[tokio::test]
async fn what_stands_in_the_bridges_way_is_named() {
    let ward = Ward::new().await;
    let host = async {
        let mut session = ward.host.component().await;
        answer(&mut session, "mod_cloud_notify is loaded on this host").await;
    };
    let (code, lines) = ward.doctor(host).await;
    assert_eq!(
        line(&lines, "host"),
        format!(
            "FAIL host {BRIDGED}: mod_cloud_notify is loaded beside the bridge, which does nothing as long as it is — take \
             \"cloud_notify\" out of the modules of {BRIDGED}"
        )
    );
    assert_eq!(code, 1);
}

#[tokio::test]
async fn what_comes_while_it_is_there_is_told_to_come_again_and_what_is_for_others_is_noticed() {
    let ward = Ward::new().await;
    let host = async {
        let mut session = ward.host.component().await;
        session
            .send("<iq type='get' id='1' from='a@b.example/c' to='other.example'><ping xmlns='urn:xmpp:ping'/></iq>")
            .await;
        session.send(&format!("<iq type='set' id='2' from='example.org' to='{JID}'><any xmlns='n'/></iq>")).await;
        let mut asked = Vec::new();
        // Four questions, and one answer.
        while asked.len() < 5 {
            asked.push(session.stanza().await);
        }
        let refusals: Vec<_> = asked.iter().filter(|stanza| stanza.contains("type='error'")).collect();
        let expected = format!(
            "<iq type='error' id='2' from='{JID}' to='example.org'><error type='wait'><service-unavailable \
             xmlns='{STANZAS}'/></error></iq>"
        );
        assert_eq!(refusals, [&expected]);
        // The host hangs up; what was asked stays unanswered.
    };
    let (code, lines) = ward.doctor(host).await;
    assert_eq!(
        lines.iter().find(|line| line.contains("other domains")).map(String::as_str),
        Some(
            "FAIL component: the server hands us stanzas for other domains (other.example), which nobody answers — ejabberd: \
             set global_routes: false on the listener of this component"
        )
    );
    assert!(line(&lines, "host").starts_with(&format!("FAIL host {BRIDGED}: no answer in time")), "{lines:#?}");
    assert_eq!(code, 1);
}

#[tokio::test]
async fn a_project_that_may_not_be_used_is_wrong() {
    let ward = Ward::new().await;
    ward.vendor.always(NOBODY, Behaviour::Answer(Answer::fcm(403, "PERMISSION_DENIED", None)));
    let (code, lines) = ward.doctor(ward.healthy_host()).await;
    let android = line(&lines, "app android");
    assert!(android.starts_with("FAIL app android: $VENDOR says PERMISSION_DENIED — enable the Firebase"), "{android}");
    assert!(line(&lines, "app ios").starts_with("ok "), "{lines:#?}");
    assert_eq!(code, 1);
}

#[tokio::test]
async fn a_wrong_key_and_a_wrong_topic_are_wrong() {
    let ward = Ward::where_apple_says(Some("TopicDisallowed")).await;
    let (code, lines) = ward.doctor(ward.healthy_host()).await;
    let ios = line(&lines, "app ios");
    assert!(ios.starts_with("FAIL app ios: $VENDOR says TopicDisallowed — topic must be the app's bundle id"), "{ios}");
    assert_eq!(code, 1);

    let ward = Ward::where_apple_says(None).await;
    fs::write(ward.path().join("AuthKey.p8"), rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let (code, lines) = ward.doctor(ward.healthy_host()).await;
    let ios = line(&lines, "app ios");
    assert!(ios.starts_with("FAIL app ios: $VENDOR says InvalidProviderToken — key_file, key_id and team_id"), "{ios}");
    assert_eq!(code, 1);
}

#[tokio::test]
async fn a_vendor_that_is_not_to_be_reached_is_wrong() {
    let ward = Ward::new().await;
    ward.vendor.stop().await;
    let (code, lines) = ward.doctor(ward.healthy_host()).await;
    for app in ["app android: Google's token endpoint:", "app ios: $VENDOR: cannot reach "] {
        assert!(line(&lines, app).contains(" — let this machine connect there"), "{lines:#?}");
    }
    assert!(!lines.iter().any(|line| line.contains("clock")), "nobody said what time it is: {lines:#?}");
    assert_eq!(code, 1);
}

#[tokio::test]
async fn a_service_account_that_is_refused_is_told_from_a_message_that_is() {
    let ward = Ward::new().await;
    ward.vendor.oauth_next(Answer::oauth(400, "invalid_grant"));
    let (code, lines) = ward.doctor(ward.healthy_host()).await;
    let android = line(&lines, "app android");
    assert!(
        android.starts_with(
            "FAIL app android: Google's token endpoint says invalid_grant: stand-in — the key was deleted"
        ),
        "{android}"
    );
    assert_eq!(code, 1);
}

#[tokio::test]
async fn a_clock_that_is_an_hour_off_is_wrong() {
    let ward = Ward::new().await;
    ward.vendor.date(&date(3600));
    let (code, lines) = ward.doctor(ward.healthy_host()).await;
    let clock = line(&lines, "clock");
    let seconds: u64 =
        clock.strip_prefix("FAIL clock: ").and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap();
    assert!((3600..3700).contains(&seconds), "{clock}");
    assert!(clock.contains(" s ahead of the vendors' — set this machine's clock"), "{clock}");
    assert_eq!(code, 1);
}

#[tokio::test]
async fn a_running_pushkeeper_is_left_alone() {
    let ward = Ward::new().await;
    let store = Store::open(&ward.path().join("store"), EngineKind::default()).unwrap();
    let (code, lines) = ward.doctor(async {}).await;
    let pid = std::process::id();
    assert_eq!(line(&lines, "store"), format!("ok   store: $DIR/store is open in process {pid}: a pushkeeper runs"));
    let component = line(&lines, "component");
    assert!(
        component.starts_with(&format!("ok   component: not tried: process {pid} serves {JID}, and a second stream")),
        "{component}"
    );
    assert!(!lines.iter().any(|line| line.contains("host bridged")), "{lines:#?}");
    assert_eq!(code, 0);
    let ours = TcpStream::connect(ward.host.address()).await.unwrap();
    let first = ward.host.connection().await.into_inner();
    assert_eq!(first.peer_addr().unwrap(), ours.local_addr().unwrap(), "nobody connected before");
    drop(store);
}

#[tokio::test]
async fn a_secret_that_everybody_can_read_is_wrong() {
    let ward = Ward::new().await;
    for name in ["service-account.json", "config.toml"] {
        fs::set_permissions(ward.path().join(name), Permissions::from_mode(0o644)).unwrap();
    }
    let (code, lines) = ward.doctor(ward.healthy_host()).await;
    let found: Vec<&str> = lines.iter().filter(|line| line.starts_with("FAIL")).map(String::as_str).collect();
    assert_eq!(
        found,
        [
            "FAIL files: every user of this machine can read $DIR/config.toml — chmod 640 $DIR/config.toml, and change the \
             secret if others were on it",
            "FAIL files: every user of this machine can read apps.android.service_account_file: $DIR/service-account.json — \
             chmod 640 $DIR/service-account.json, and change the secret if others were on it",
        ]
    );
    assert_eq!(code, 1);
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_has_an_exit_code_of_its_own() {
    let ward = Ward::new().await;
    ward.configure("[component]\njid = 'push.example.net'\n");
    let (code, lines) = ward.doctor(async {}).await;
    assert!(lines.iter().all(|line| line.starts_with("FAIL configuration: ")), "{lines:#?}");
    assert!(line(&lines, "configuration: component.secret").contains("is missing"), "{lines:#?}");
    assert_eq!(code, 2);

    // A key that is none: the rest is looked at all the same.
    let ward = Ward::new().await;
    fs::write(ward.path().join("AuthKey.p8"), "no key").unwrap();
    let (code, lines) = ward.doctor(ward.healthy_host()).await;
    assert!(line(&lines, "configuration: apps.ios.key_file").contains("holds no private key"), "{lines:#?}");
    assert!(line(&lines, "component").starts_with("ok "), "{lines:#?}");
    assert_eq!(code, 2);
}
