//! A patient for `pushkeeper doctor`: its folder, a stand-in for the host, and one for the vendors.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use pushkeeper::clock::Clock;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::support::host::{BRIDGED, Host, JID, SECRET, Sent, Session};
use crate::support::vendor::{Answer, Behaviour, Options, Vendor};

/// The device that APNs is asked about.
pub(crate) const NO_DEVICE: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// The one that FCM is asked about.
pub(crate) const NOBODY: &str = "nobody";

pub(crate) const STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

/// The patient.
pub(crate) struct Ward {
    folder: TempDir,
    pub(crate) host: Host,
    pub(crate) vendor: Vendor,
}

impl Ward {
    /// Where everything is as it should be.
    pub(crate) async fn new() -> Self {
        Self::where_apple_says(Some("BadDeviceToken")).await
    }

    /// The same, where Apple says this of the device that cannot exist; `None` for whatever the request deserves.
    pub(crate) async fn where_apple_says(reason: Option<&str>) -> Self {
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

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn configuration(&self) -> String {
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

    pub(crate) fn configure(&self, text: &str) {
        let path = self.path().join("config.toml");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }

    /// What the doctor says while the host does this: its exit code, and its lines without that on free space. Paths and
    /// addresses in them have their names.
    pub(crate) async fn doctor(&self, host: impl Future<Output = ()>) -> (i32, Vec<String>) {
        let (output, ()) = tokio::join!(self.run(&[]), host);
        let text = self.named(&String::from_utf8(output.stdout).unwrap());
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
        let lines = text.lines().filter(|line| !line.contains(" free for ")).map(str::to_owned).collect();
        (output.status.code().unwrap(), lines)
    }

    pub(crate) async fn run(&self, more: &[&str]) -> std::process::Output {
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
    pub(crate) async fn healthy_host(&self) {
        let mut session = self.host.component().await;
        answer(&mut session, "Not linked").await;
    }
}

/// Answers all questions until the doctor takes leave; `check` is refused with these words.
pub(crate) async fn answer(session: &mut Session<TcpStream>, unlinked: &str) {
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
pub(crate) fn date(behind: u64) -> String {
    let now = Clock::system().wall().secs() - behind;
    let (mut day, mut year) = (now / 86_400, 1970);
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
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
pub(crate) fn line<'a>(lines: &'a [String], about: &str) -> &'a str {
    let mut found = lines.iter().filter(|line| line.get(5..).is_some_and(|rest| rest.starts_with(about)));
    let line = found.next().unwrap_or_else(|| panic!("nothing about {about}: {lines:#?}"));
    assert!(found.next().is_none(), "more than one line about {about}: {lines:#?}");
    line
}
