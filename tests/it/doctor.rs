//! `pushkeeper doctor`, as an operator runs it, between a stand-in for the host and one for the vendors.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use pushkeeper::store::{EngineKind, Store};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::doctor_rig::{NO_DEVICE, NOBODY, STANZAS, Ward, answer, date, line};
use crate::support::host::{BRIDGED, JID};
use crate::support::vendor::{Answer, Behaviour};

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
