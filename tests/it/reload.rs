//! The configuration is read again while all goes on: the link stays, what changed holds, and nothing is lost.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use crate::bridged::Bridge;
use crate::support::host::{BRIDGED, Host, JID, SECRET, Sent, Session, done};
use crate::whole_rig::{Whole, publish, register, registered, registration};

/// Longer than anything takes.
const SOON: Duration = Duration::from_secs(60);

/// What clients find us by.
async fn features(host: &mut Session<TcpStream>) -> String {
    let query = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    host.send(&format!("<iq type='get' id='info' from='romeo@example.org/app' to='{JID}'>{query}</iq>")).await;
    host.stanza().await
}

/// Waits until something holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(SOON, waiting).await.is_ok(), "{what}: not within {SOON:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_is_said_and_holds_on_the_same_stream() {
    let gone = "[apps.gone]\nprovider = \"fcm\"\n$fcm\naliases = [\"gone:1\"]\n";
    let (mut whole, mut host) = Whole::start(&format!("{gone}[log]\nlevel = \"info\"")).await;
    assert_eq!(whole.reload().await, (true, vec!["nothing changed".to_owned()]));
    let ios = register(&mut host, "ios", "romeo", "aabbcc01").await;
    let android = register(&mut host, "android", "romeo", "fcm-token").await;
    for (id, device) in [("p1", &ios), ("p2", &android)] {
        host.send(&publish(id, device, "", "hi")).await;
        assert_eq!(host.stanza().await, done(id));
    }
    let connections = whole.vendor.connections();
    assert!(features(&mut host).await.contains("gone:1"));

    whole.edit(
        "[register]",
        "[push]\nmin_interval = \"0s\"\nanswer_within = \"6s\"\n[register]\nmax_devices_per_account = 1",
    );
    whole.edit(
        "topic = \"org.example.chat\"",
        "topic = \"org.example.chat\"\ntitle = \"Words\"\naliases = [\"chat:1\"]",
    );
    whole.edit("[apps.gone]", "[apps.new]\nprovider = \"stub\"\n[apps.other]");
    whole.edit("gone:1", "other:1");
    let expected = [
        "[apps.gone]: removed",
        "apps.ios.aliases: none → chat:1",
        "apps.ios.title: not set → \"Words\"",
        "push.answer_within: 5s → 6s",
        "register.max_devices_per_account: 16 → 1",
        "[apps.new]: new",
        "[apps.other]: new",
    ];
    assert_eq!(whole.reload().await, (true, expected.map(str::to_owned).to_vec()));

    // Found by other names.
    let found = features(&mut host).await;
    let names = ["gone:1", "other:1", "chat:1"].map(|name| found.contains(name));
    assert_eq!(names, [false, true, true], "{found}");
    // The app whose words changed has a gateway of its own; the other goes on as it was.
    host.send(&publish("p3", &ios, "", "hi")).await;
    assert_eq!(host.stanza().await, done("p3"));
    let pushes = whole.vendor.wait_for(3, SOON).await;
    assert_eq!(pushes[2].json()["aps"]["alert"]["title"], "Words");
    assert_eq!(whole.vendor.connections(), connections + 1);
    host.send(&publish("p4", &android, "", "hi")).await;
    assert_eq!(host.stanza().await, done("p4"));
    assert_eq!(whole.vendor.connections(), connections + 1, "unchanged apps keep their connections");
    // An app that is new registers and pushes; and an account has one device of ios from now on.
    let new = register(&mut host, "new", "juliet", "ok").await;
    host.send(&publish("p5", &new, "", "hi")).await;
    assert_eq!(host.stanza().await, done("p5"));
    host.send(&registration("ios", "tablet", "aabbcc02").replace("tablet@", "romeo@")).await;
    let tablet = registered(&host.stanza().await);
    for (id, device, there) in [("p6", &tablet, true), ("p7", &ios, false)] {
        host.send(&publish(id, device, "", "hi")).await;
        let answer = host.stanza().await;
        assert_eq!((answer == done(id), answer.contains("item-not-found")), (there, !there), "{answer}");
    }
    whole.stop(host).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_needs_mending_changes_nothing_and_all_complaints_are_said() {
    let rest =
        "[http.public]\nlisten = \"127.0.0.1:0\"\ncertificate_file = \"server.pem\"\nkey_file = \"server.key\"\n";
    let (mut whole, mut host) = Whole::start(rest).await;
    let ios = register(&mut host, "ios", "romeo", "aabbcc01").await;
    host.send(&publish("p1", &ios, "", "hi")).await;
    assert_eq!(host.stanza().await, done("p1"));
    let right = fs::read_to_string(whole.folder().join("config.toml")).unwrap();
    let nothing = "nothing changed: the configuration needs mending";

    // What the file says; and beside it, something that would be right.
    whole.edit("[register]", "[rules]\nmax_devices = 0\nnonsense = 1\n[register]\nmax_devices_per_account = 0");
    whole.edit("org.example.chat", "org.example.other");
    let (taken, said) = whole.reload().await;
    assert_eq!((taken, said[0].as_str(), said.len()), (false, nothing, 4), "{said:?}");
    let at = |key: &str| said.iter().any(|line| line.starts_with(&format!("{key}: ")));
    assert!(at("rules.max_devices") && at("rules.nonsense") && at("register.max_devices_per_account"), "{said:?}");

    // What its files hold.
    fs::write(whole.folder().join("config.toml"), &right).unwrap();
    let files = ["AuthKey.p8", "service-account.json", "server.key"].map(|file| whole.folder().join(file));
    let good = files.clone().map(|file| fs::read(file).unwrap());
    for file in &files {
        fs::write(file, "the-content-of-a-broken-key").unwrap();
    }
    let (taken, said) = whole.reload().await;
    assert_eq!((taken, said[0].as_str(), said.len()), (false, nothing, 4), "{said:?}");
    for (line, key) in
        said[1..].iter().zip(["apps.android.service_account_file", "apps.ios.key_file", "http.public.key_file"])
    {
        assert!(line.starts_with(&format!("{key}: ")) && !line.contains("the-content"), "{line}");
    }

    // No file at all.
    fs::remove_file(whole.folder().join("config.toml")).unwrap();
    let (taken, said) = whole.reload().await;
    assert_eq!((taken, said.len()), (false, 2), "{said:?}");

    host.send(&publish("p2", &ios, "", "hi")).await;
    assert_eq!(host.stanza().await, done("p2"));
    let pushes = whole.vendor.pushes();
    assert_eq!(pushes.iter().map(|push| push.header("apns-topic")).collect::<Vec<_>>(), ["org.example.chat"; 2]);
    assert_eq!(pushes[0].connection, pushes[1].connection);

    fs::write(whole.folder().join("config.toml"), right).unwrap();
    fs::set_permissions(whole.folder().join("config.toml"), Permissions::from_mode(0o600)).unwrap();
    for (file, content) in files.iter().zip(good) {
        fs::write(file, content).unwrap();
    }
    assert_eq!(whole.reload().await, (true, vec!["nothing changed".to_owned()]));
    whole.stop(host).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_mended_let_go_what_is_owed() {
    let (mut whole, mut host) = Whole::start("[apps.siskin]\nprovider = \"stub\"").await;
    whole.edit("topic = \"org.example.chat\"", "topic = \"org.example.chat\"\naliases = [\"chat:1\"]");
    whole.edit("team_id = \"", "team_id = \"WRONG");
    let (taken, said) = whole.reload().await;
    assert_eq!(
        (taken, said),
        (true, vec!["apps.ios.aliases: none → chat:1".to_owned(), "[apps.ios]: new credentials".to_owned()])
    );
    let mut devices = Vec::new();
    for number in 0..20 {
        devices.push(register(&mut host, "ios", &format!("phone-{number}"), &format!("{number:08x}")).await);
    }
    assert!(features(&mut host).await.contains("chat:1"));
    for (number, device) in devices.iter().enumerate() {
        host.send(&publish(&format!("p{number}"), device, "", "hi")).await;
        assert_eq!(host.stanza().await, done(&format!("p{number}")), "it is owed");
    }
    assert!(whole.vendor.taken().is_empty());
    assert!(!features(&mut host).await.contains("chat:1"), "nobody is to find it");

    whole.edit("team_id = \"WRONG", "team_id = \"");
    assert_eq!(whole.reload().await, (true, vec!["[apps.ios]: new credentials".to_owned()]));
    assert!(features(&mut host).await.contains("chat:1"));
    let all = whole.vendor.wait_until(|| whole.vendor.taken_by() == 20, SOON).await;
    assert!(all, "{:?}", whole.vendor.taken());
    assert!(whole.vendor.taken().values().all(|times| *times == 1), "each once");
    whole.stop(host).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_added_is_linked_and_its_users_are_pushed_to_until_it_is_removed() {
    let (mut whole, host) = Whole::start("[rules]\nburst_window = \"10ms\"").await;
    whole.edit("[rules]", "[[hosts]]\ndomain = \"bridged.example\"\n[rules]");
    let told = [format!("[[hosts]] {BRIDGED}: new")];
    assert_eq!(whole.reload().await, (true, told.to_vec()));
    let mut bridge = Bridge::link(host, BRIDGED).await;
    bridge.answers_relays("<relayed xmlns='urn:pushkeeper:host:0' origin='service'/>");
    assert!(bridge.enable("push.third.example", "node-1", "secret-1").await.contains("type='result'"));
    bridge.tell("<end sid='s1' user='romeo' resource='app'/>").await;
    let message = |id: &str| {
        format!(
            "<archived user='romeo'><stanza n='1'><message xmlns='jabber:client' type='chat' id='{id}' \
             from='juliet@example.net/x'><body>hi</body></message></stanza></archived>"
        )
    };
    bridge.tell(&message("m1")).await;
    assert!(bridge.relay().await.contains("New Message!"));

    whole.edit("burst_window", "important_body = \"You have mail\"\nburst_window");
    assert_eq!(
        whole.reload().await,
        (true, vec!["rules.important_body: \"New Message!\" → \"You have mail\"".to_owned()])
    );
    bridge.tell(&message("m2")).await;
    assert!(bridge.relay().await.contains("You have mail"));

    whole.edit("[[hosts]]\ndomain = \"bridged.example\"\n", "");
    let (taken, said) = whole.reload().await;
    assert_eq!((taken, said[0].as_str(), said.len()), (true, "[[hosts]] bridged.example: removed", 2));
    assert!(said[1].starts_with("warning: rules: is for users of our own hosts, and there are none"), "{said:?}");
    let events = "<events xmlns='urn:pushkeeper:host:0' epoch='e' seq='99'/>";
    let answer =
        bridge.ask("last", &format!("<iq type='set' id='last' from='{BRIDGED}' to='{JID}'>{events}</iq>")).await;
    assert!(answer.contains("<forbidden"), "{answer}");
    whole.stop(bridge.into_session()).await.unwrap();
}

/// Also: that a secret or an address is taken for the next stream, and a stream that there is stays.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_stream_goes_where_the_new_configuration_says() {
    let (mut whole, mut host) = Whole::start("").await;
    let other = Host::start().await;
    whole.edit(&whole.host.address().to_string(), &other.address().to_string());
    let (old, new) = (whole.host.address(), other.address());
    let said = format!("component.connect: {old} → {new}, from the next time that the link is made");
    assert_eq!(whole.reload().await, (true, vec![said]));
    assert!(features(&mut host).await.contains("type='result'"), "this one stays");
    drop(host);
    let host = other.component().await;
    // With the wrong secret it is not let in, and waits for long; another one is tried at once.
    whole.edit(SECRET, "another-secret");
    let (taken, said) = whole.reload().await;
    assert_eq!(
        (taken, said),
        (true, vec!["component.secret: changed, from the next time that the link is made".to_owned()])
    );
    drop(host);
    let mut refused = other.connection().await;
    let shown = refused.greet("stream-1").await;
    refused.fail("not-authorized").await;
    drop(refused);
    whole.edit("another-secret", SECRET);
    whole.reload().await;
    let host = timeout(SOON, other.component()).await.expect("not a minute later");
    assert!(!shown.contains(SECRET) && !shown.contains("another"), "{shown}");
    whole.stop(host).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_reloads_under_load_lose_nothing_push_nothing_twice_and_leave_nothing_behind() {
    const ROUNDS: usize = 100;
    const EACH: usize = 10;
    let (mut whole, mut host) = Whole::start("[push]\nmax_per_domain = 0").await;
    let mut devices = Vec::new();
    for number in 0..ROUNDS * EACH {
        devices.push(register(&mut host, "ios", &format!("phone-{number}"), &format!("{number:08x}")).await);
    }
    let (mut answered, mut expected) = (BTreeSet::new(), BTreeSet::new());
    let mut tasks = 0;
    for (round, devices) in devices.chunks(EACH).enumerate() {
        for (number, device) in devices.iter().enumerate() {
            let id = format!("p{round}-{number}");
            host.send(&publish(&id, device, "", "hi")).await;
            expected.insert(done(&id));
        }
        // The words of the app change, and so its gateway; an app comes and goes.
        match round % 2 {
            0 => whole.edit("[register]", "[apps.guest]\nprovider = \"stub\"\n[register]"),
            _ => whole.edit("[apps.guest]\nprovider = \"stub\"\n", ""),
        }
        let topic = |round: usize| format!("topic = \"org.example.chat\"\nbody = \"{round}\"");
        let before = if round == 0 { "topic = \"org.example.chat\"".to_owned() } else { topic(round - 1) };
        whole.edit(&before, &topic(round));
        let (taken, said) = whole.reload().await;
        assert_eq!((taken, said.len()), (true, 2), "{said:?}");
        for _ in devices {
            assert!(answered.insert(host.stanza().await), "twice");
        }
        if round == 10 {
            tasks = Handle::current().metrics().num_alive_tasks();
        }
    }
    assert_eq!(answered, expected);
    let all = whole.vendor.wait_until(|| whole.vendor.taken_by() == ROUNDS * EACH, SOON).await;
    assert!(all, "{} of {}", whole.vendor.taken_by(), ROUNDS * EACH);
    assert!(whole.vendor.taken().values().all(|times| *times == 1), "each once");
    // Former gateways are gone, with their connections.
    let vendor = &whole.vendor;
    until("the connections of former gateways are closed", || vendor.open_connections() <= 2).await;
    let now = || Handle::current().metrics().num_alive_tasks();
    until("no task is left behind", || now() <= tasks + 10).await;
    assert!(features(&mut host).await.contains("type='result'"), "all on one stream");
    whole.stop(host).await.unwrap();
}

/// The real program, and what an operator sees of it.
#[tokio::test(flavor = "multi_thread")]
async fn sighup_has_the_real_program_read_its_configuration_again() {
    let (host, folder) = (Host::start().await, tempfile::tempdir().unwrap());
    let (config, log) = (folder.path().join("config.toml"), folder.path().join("log"));
    let write = |rest: &str| {
        let address = host.address();
        let text = format!(
            "[component]\njid = '{JID}'\nconnect = '{address}'\nsecret = '{SECRET}'\n[store]\npath = 'data'\n\
             [apps.try]\nprovider = 'stub'\n{rest}"
        );
        fs::write(&config, text).unwrap();
        fs::set_permissions(&config, Permissions::from_mode(0o600)).unwrap();
    };
    write("[log]\nlevel = 'warn'\n");
    let out = File::options().create(true).append(true).open(&log).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pushkeeper"));
    command.args(["run", "--config"]).arg(&config);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(out).kill_on_drop(true).spawn().unwrap();
    let mut session = host.component().await;
    let logged = || fs::read_to_string(&log).unwrap();
    assert_eq!(logged(), "", "nothing to warn of");

    write("[log]\nlevel = 'info'\n[rules]\nmax_devices = 0\n");
    signal(&child, "HUP");
    until("it complains", || logged().contains("rules.max_devices: must be at least 1")).await;
    write("[log]\nlevel = 'info'\n[register]\nmax_devices_per_account = 3\n");
    signal(&child, "HUP");
    until("it says so", || logged().contains("register.max_devices_per_account: 16 → 3")).await;
    until("it says so", || logged().contains("log.level: warn → info")).await;
    write("[log]\nlevel = 'info'\nformat = 'json'\n[store]\n".replace("[store]\n", "").as_str());
    signal(&child, "HUP");
    until("it says so", || logged().contains("log.format: text → json, which takes a restart")).await;
    assert!(features(&mut session).await.contains("type='result'"), "on the same stream");

    signal(&child, "TERM");
    while !matches!(session.next().await, Sent::Close | Sent::End) {}
    // It may be gone already.
    let _gone = session.try_send(b"</stream:stream>").await;
    let ended = timeout(SOON, child.wait()).await.expect("in time").unwrap();
    assert_eq!(ended.code(), Some(0), "{}", logged());
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().expect("it runs").to_string();
    let sent = std::process::Command::new("sh").args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &pid]).status();
    assert!(sent.expect("a shell").success());
}
