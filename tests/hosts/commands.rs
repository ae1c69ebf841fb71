//! Every ad-hoc command to its end, from a stock client, as a person uses it: forms that are shown are filled in, pages
//! are turned, choices are among what was offered.

use pushkeeper::clock::Clock;
use serde_json::{Value, json};

use crate::adhoc::{Office, THIRD};
use crate::client::Client;
use crate::person::{column, error, field, notes, options};
use crate::server::PASSWORD;
use crate::service::{Says, Service};
use crate::steps::{
    Device, FOREIGN, SERVICE, foreign_iq, foreign_publish, online, refusal, register, register_command,
};

const ALICE: &str = "alice@localhost";
const TOKEN: &str = "ac4089a5c1f0ac4089a5c1f0ac4089a5c1f0ac4089a5c1f0ac4089a5c1f00001";

/// How a push service says that it knows no such node.
const UNKNOWN: Says = Says::Error("cancel", "item-not-found");

async fn devices_are_listed_page_by_page_forth_and_back() {
    let office = Office::open("").await;
    let mut abroad = office.abroad().await;
    for number in 0..120 {
        let command = register_command("apns", "action='execute'", "device", &format!("{number:064x}"));
        abroad.send(&foreign_iq("r1", &format!("user{number:03}"), &command)).await;
        Device::from_answer(&abroad.next_answer().await);
    }
    let mut admin = office.admin().await;
    let form = admin.start("list-devices").await;
    assert_eq!((title(&form), &form["form"]["type"]), ("List devices", &json!("form")));
    assert_eq!(options(&form, "app"), ["any", "chat-android", "chat-ios"]);
    assert_eq!(options(&form, "state"), ["any", "enabled", "gone"]);
    assert_eq!(form["form"]["fields"]["app"]["value"], "any", "a sensible default");

    let first = admin.fill(&form, "complete", json!({"domain": FOREIGN})).await;
    assert_eq!((title(&first), how(&first)), ("devices 1 to 50 of 120", "executing: complete, next, prev; next"));
    let second = admin.go(&first, "next").await;
    assert_eq!((title(&second), how(&second)), ("devices 51 to 100 of 120", "executing: complete, next, prev; next"));
    let back = admin.go(&second, "prev").await;
    assert_eq!(back["form"], first["form"], "the same page again");
    let second_again = admin.go(&back, "execute").await;
    assert_eq!(second_again["form"], second["form"], "and forth again");
    let last = admin.go(&second_again, "next").await;
    assert_eq!((title(&last), how(&last)), ("devices 101 to 120 of 120", "completed"));
    let all = [&first, &second, &last].map(|page| column(page, "account")).concat();
    let expected: Vec<String> = (0..120).map(|number| format!("user{number:03}@{FOREIGN}")).collect();
    assert_eq!(all, expected, "each once, in order");
    assert_eq!(last["form"]["columns"][0], "account");
    for page in [&first, &second, &last] {
        for (name, same) in [("kind", "device"), ("service", SERVICE), ("state", "enabled"), ("client", "chat-ios")] {
            assert!(column(page, name).iter().all(|cell| *cell == same), "{name}: {page}");
        }
    }

    // Back from the first page is the form, and what stands there can be another filter.
    let form = admin.start("list-devices").await;
    let first = admin.fill(&form, "complete", json!({"app": "chat-ios"})).await;
    let form = admin.go(&first, "prev").await;
    assert_eq!((title(&form), how(&form)), ("List devices", "executing: complete; complete"));
    let one = admin.fill(&form, "complete", json!({"accountjid": format!("user007@{FOREIGN}")})).await;
    assert_eq!((title(&one), column(&one, "account").len()), ("1 device", 1));
    // A list can be left at any page.
    let form = admin.start("list-devices").await;
    let first = admin.fill(&form, "complete", json!({})).await;
    let left = admin.go(&first, "complete").await;
    assert_eq!((how(&left), &left["form"]), ("completed", &Value::Null));
    // Nothing fits: an empty table, not an error.
    let none = admin.start_with("list-devices", json!({"state": "gone"})).await;
    assert_eq!((title(&none), how(&none), column(&none, "account").len()), ("No devices", "completed", 0));
}

async fn registrations_and_sessions_are_listed_and_filtered() {
    let office = Office::open("max_devices = 60").await;
    let mut admin = office.admin().await;
    let mut phone = online(&office.host, "alice", "phone").await;
    for number in 0..55 {
        enable(&mut phone, THIRD, &format!("n{number}"), "").await;
    }
    let mut bobs = online(&office.host, "bob", "tablet").await;
    enable(&mut bobs, "elsewhere.localhost", "n", "").await;

    let form = admin.start("list-registrations").await;
    assert_eq!(options(&form, "state"), ["any", "enabled", "disabled", "gone"]);
    let first = admin.fill(&form, "complete", json!({"state": "enabled"})).await;
    assert_eq!((title(&first), how(&first)), ("registrations 1 to 50 of 56", "executing: complete, next, prev; next"));
    let last = admin.go(&first, "next").await;
    assert_eq!(
        (title(&last), column(&last, "account").last()),
        ("registrations 51 to 56 of 56", Some(&"bob@localhost"))
    );
    let nodes = [column(&first, "node"), column(&last, "node")].concat();
    assert!(nodes.iter().all(|node| node.len() < 20), "a node can be a secret: it is cut: {nodes:?}");
    let mut distinct = nodes.clone();
    distinct.sort_unstable();
    distinct.dedup();
    // bob's node is another one of another service.
    assert_eq!((nodes.len(), distinct.len()), (56, 56), "each once");

    let disable = format!("<disable xmlns='urn:xmpp:push:0' jid='{THIRD}' node='n7'/>");
    assert_eq!(refusal(&phone.iq("set", None, &disable).await), None);
    let rows = [
        (json!({"service": "elsewhere.localhost"}), 1),
        (json!({"accountjid": "bob@localhost"}), 1),
        (json!({"accountjid": "nobody@localhost"}), 0),
        (json!({"domain": "localhost", "state": "gone"}), 1),
        (json!({"domain": FOREIGN}), 0),
        (json!({"state": "disabled"}), 0),
    ];
    for (fields, count) in rows {
        let shown = admin.start_with("list-registrations", fields.clone()).await;
        assert_eq!((column(&shown, "account").len(), how(&shown)), (count, "completed"), "{fields}");
    }
    let gone = admin.start_with("list-registrations", json!({"state": "gone"})).await;
    assert_eq!(column(&gone, "reason"), ["its owner took it back (owner)"]);
    assert!(column(&gone, "since")[0].starts_with("20"), "{gone}");

    bobs.acknowledge_all().await;
    let session = bobs.lose_connection();
    assert!(session.is_some());
    let mut daemon = office.daemon;
    daemon.wait_for_log("bob sleeps", |log| log.contains("bob@localhost") && log.contains("may be resumed")).await;
    let hibernated = admin.start_with("list-sessions", json!({"state": "hibernated"})).await;
    assert_eq!((title(&hibernated), column(&hibernated, "resource")), ("1 session", vec!["tablet"]));
    assert_eq!(column(&hibernated, "window"), ["stretched: nobody woke it yet"]);
    assert!(column(&hibernated, "push")[0].starts_with("elsewhere.localhost (node "), "{hibernated}");
    let form = admin.start("list-sessions").await;
    assert_eq!(options(&form, "state"), ["any", "connected", "hibernated"]);
    let connected = admin.fill(&form, "complete", json!({"state": "connected"})).await;
    assert_eq!(column(&connected, "account"), [ALICE], "the admin has nothing to push to");
    let all = admin.start_with("list-sessions", json!({"domain": "localhost"})).await;
    assert_eq!(column(&all, "resource"), ["phone", "tablet"]);
}

async fn an_admin_sees_an_account_and_removes_and_enables_what_it_has() {
    let office = Office::open("max_errors = 1").await;
    let third = third(&office).await;
    let mut admin = office.admin().await;
    let mut phone = online(&office.host, "alice", "phone").await;
    enable(&mut phone, THIRD, "at-third", "").await;
    let device = register(&mut phone, "apns", TOKEN).await;

    let form = admin.start("show-account").await;
    assert_eq!(form["form"]["fields"]["accountjid"]["type"], "jid-single", "{form}");
    assert_eq!(form["form"]["fields"]["accountjid"]["required"], true, "{form}");
    assert_eq!(options(&form, "show"), ["everything", "registrations", "sessions", "decisions"]);
    let shown = admin.fill(&form, "complete", json!({"accountjid": ALICE})).await;
    assert_eq!((how(&shown), column(&shown, "kind")), ("completed", vec!["registration", "device"]));
    assert_eq!(column(&shown, "state"), ["enabled", "enabled"]);
    assert!(
        field(&shown, "why")[0].contains("session \"phone\" is connected and hears of everything there"),
        "{shown}"
    );
    assert!(field(&shown, "sessions")[0].starts_with("phone"), "{shown}");
    assert!(field(&shown, "decisions")[0].ends_with(": enabled"), "{shown}");
    assert!(!shown.to_string().contains(&device.secret), "a secret is nobody's to see");
    for (view, some) in [("registrations", "kind"), ("sessions", "window"), ("decisions", "decision")] {
        let shown = admin.start_with("show-account", json!({"accountjid": ALICE, "show": view})).await;
        assert!(!column(&shown, some).is_empty(), "{view}: {shown}");
    }

    // Its push service refuses it, it is disabled, and an admin enables it again.
    third.says(UNKNOWN).await;
    let form = admin.start_with("send-test-push", json!({"accountjid": ALICE})).await;
    let target = options(&form, "target")[0].to_owned();
    let sent = admin.fill(&form, "complete", json!({"target": target})).await;
    assert_eq!(notes(&sent), [("error", "It was not taken: item-not-found.")], "{sent}");
    let shown = show(&mut admin, ALICE).await;
    assert_eq!((column(&shown, "state")[0], column(&shown, "reason")[0]), ("disabled", "errors"));
    assert!(field(&shown, "why")[0].contains("is disabled since"), "{shown}");
    let form = admin.start("enable-registration").await;
    assert_eq!(how(&form), "executing: next; next");
    let form = admin.fill(&form, "next", json!({"accountjid": ALICE})).await;
    let chosen = options(&form, "chosen")[0].to_owned();
    let done = admin.fill(&form, "complete", json!({"chosen": [chosen]})).await;
    assert_eq!((how(&done), notes(&done)), ("completed", vec![("info", "1 registration enabled again.")]));
    assert_eq!(column(&show(&mut admin, ALICE).await, "state"), ["enabled", "enabled"]);
    let none = admin.start_with("enable-registration", json!({"accountjid": ALICE})).await;
    assert_eq!(notes(&none), [("info", "alice@localhost has none.")]);

    // Removed: asked for the account, back, on; nothing chosen; chosen.
    let asks = admin.start("remove-registration").await;
    let form = admin.fill(&asks, "next", json!({"accountjid": ALICE})).await;
    assert_eq!(how(&form), "executing: complete, prev; complete");
    let back = admin.go(&form, "prev").await;
    assert_eq!(
        (how(&back), &back["form"]["fields"]["accountjid"]["type"]),
        ("executing: next; next", &json!("jid-single"))
    );
    let form = admin.fill(&back, "next", json!({"accountjid": "alice@localhost/phone"})).await;
    let again = admin.fill(&form, "complete", json!({"chosen": []})).await;
    assert_eq!(notes(&again), [("error", "At least one must be chosen.")]);
    let chosen: Vec<String> = options(&again, "chosen").into_iter().map(str::to_owned).collect();
    assert_eq!(chosen.len(), 1, "{again}");
    let done = admin.fill(&again, "complete", json!({"chosen": chosen})).await;
    let removed = "1 registration removed; their phones are not woken until their apps enable push again.";
    assert_eq!(notes(&done), [("info", removed)]);
    let form = admin.start_with("remove-device", json!({"accountjid": ALICE})).await;
    let chosen = options(&form, "chosen")[0].to_owned();
    let done = admin.fill(&form, "complete", json!({"chosen": [chosen]})).await;
    let removed = "1 device removed; servers that publish to them hear that there is no such node.";
    assert_eq!(notes(&done), [("info", removed)]);
    let shown = show(&mut admin, ALICE).await;
    assert_eq!(column(&shown, "state"), ["gone", "gone"]);
    assert_eq!(column(&shown, "reason"), ["an admin removed it (admin)"; 2]);
    assert!(field(&shown, "why").contains(&"No client of it has push enabled."), "{shown}");
    for name in ["remove-registration", "remove-device", "send-test-push"] {
        let none = admin.start_with(name, json!({"accountjid": ALICE})).await;
        assert!(matches!(notes(&none)[..], [("info", _)]), "{name}: {none}");
        assert_eq!(how(&none), "completed", "{name}");
    }
}

async fn a_test_push_goes_all_the_way_and_shows_its_stages() {
    let office = Office::open("").await;
    let third = third(&office).await;
    let (mut admin, mut alice) = (office.admin().await, office.person("alice").await);
    let mut phone = online(&office.host, "alice", "phone").await;
    let device = register(&mut phone, "apns", TOKEN).await;
    enable(&mut phone, SERVICE, &device.node, &device.secret).await;
    enable(&mut phone, THIRD, "at-third", "").await;

    let form = admin.start("send-test-push").await;
    let form = admin.fill(&form, "next", json!({"accountjid": ALICE})).await;
    let targets: Vec<String> = options(&form, "target").into_iter().map(str::to_owned).collect();
    assert_eq!(targets.len(), 3, "two registrations and a device: {form}");
    // The values are for programs; the labels say where to.
    let labels = form["form"]["fields"]["target"]["labels"].as_array().expect("labels");
    let to = |what: &str| {
        let at = labels.iter().position(|label| label.as_str().is_some_and(|label| label.contains(what)));
        targets[at.expect(what)].clone()
    };

    // By the registration, through our own push service, to the vendor.
    let to_ours = to(&format!("at {SERVICE} "));
    let sent = admin.fill(&form, "complete", json!({"target": to_ours})).await;
    assert_eq!((how(&sent), notes(&sent)[0].0), ("completed", "info"), "{sent}");
    assert_eq!(column(&sent, "stage"), ["rules", "route", "app", "rules", "vendor", "rules"], "{sent}");
    assert_eq!(column(&sent, "what")[1], "our own push service, push.localhost");
    assert_eq!(column(&sent, "what")[2], "chat-ios (apns), in order");
    assert!(column(&sent, "what")[4].starts_with("pushed (important), the vendor took it in "), "{sent}");
    assert_eq!(office.vendors.pushes(1).await[0].token, TOKEN);

    // Straight to the device.
    let form = admin.start_with("send-test-push", json!({"accountjid": ALICE})).await;
    let sent = admin.fill(&form, "complete", json!({"target": to("Device ")})).await;
    assert_eq!(
        (column(&sent, "stage"), notes(&sent)[0].0),
        (vec!["rules", "route", "app", "vendor"], "info"),
        "{sent}"
    );
    assert_eq!(office.vendors.pushes(2).await[1].token, TOKEN);

    // To a third party's push service.
    let form = admin.start_with("send-test-push", json!({"accountjid": ALICE})).await;
    let sent = admin.fill(&form, "complete", json!({"target": to(THIRD)})).await;
    assert_eq!(column(&sent, "what")[1], format!("relayed by localhost to {THIRD}"));
    assert!(notes(&sent)[0].1.starts_with("It was taken, "), "{sent}");
    assert_eq!(third.wait_for(1).await[0].node, "at-third");

    // The owner's own; then one that the vendor calls gone.
    let form = alice.start("test-my-device").await;
    assert_eq!(options(&form, "target"), targets);
    let sent = alice.fill(&form, "complete", json!({"target": to("Device ")})).await;
    assert_eq!(notes(&sent)[0].0, "info", "{sent}");
    assert_eq!(office.vendors.pushes(3).await[2].token, TOKEN);
    office.vendors.is_gone(TOKEN, Clock::system().wall().millis() + 60_000);
    let form = alice.start("test-my-device").await;
    let sent = alice.fill(&form, "complete", json!({"target": to("Device ")})).await;
    assert_eq!(notes(&sent)[0].0, "error", "{sent}");
    let said = column(&sent, "what")[3];
    assert!(said.contains("the vendor did not take it") && said.contains("vendor-gone"), "{said}");
    // Its registration is still there: what is said of the way is what is true now.
    let form = alice.start("test-my-device").await;
    let sent = alice.fill(&form, "complete", json!({"target": to_ours})).await;
    assert!(column(&sent, "what")[2].starts_with("the device is gone since "), "{sent}");
    assert_eq!(notes(&sent), [("error", "It was not taken: no-such-device.")], "{sent}");
}

async fn an_owner_sees_removes_and_tests_what_is_theirs_alone() {
    let office = Office::open("").await;
    let third = third(&office).await;
    let (mut alice, mut bob) = (office.person("alice").await, office.person("bob").await);
    let mut phone = online(&office.host, "alice", "phone").await;
    let device = register(&mut phone, "apns", TOKEN).await;
    enable(&mut phone, THIRD, "at-third", "").await;

    let form = alice.start("my-devices").await;
    assert_eq!(
        (how(&form), &form["form"]["fields"]["show"]["value"]),
        ("executing: complete; complete", &json!("everything"))
    );
    let shown = alice.fill(&form, "complete", json!({})).await;
    assert_eq!((column(&shown, "kind"), title(&shown).starts_with(ALICE)), (vec!["registration", "device"], true));
    // Whatever bob fills in, it is about bob.
    for name in ["my-devices", "remove-my-device", "test-my-device"] {
        let shown = bob.start_with(name, json!({"accountjid": ALICE, "show": "everything"})).await;
        assert!(!shown.to_string().contains("alice"), "{name}: {shown}");
    }
    let theirs =
        options(&alice.start("remove-my-device").await, "chosen").into_iter().map(str::to_owned).collect::<Vec<_>>();
    let mut bobs = online(&office.host, "bob", "phone").await;
    register(&mut bobs, "apns", &TOKEN.replace("0001", "0002")).await;
    for (name, var) in [("remove-my-device", "chosen"), ("test-my-device", "target")] {
        let refused = bob.start_with(name, json!({var: theirs[0]})).await;
        assert_eq!((&refused["status"], notes(&refused)[0].0), (&json!("executing"), "error"), "{name}: {refused}");
    }
    assert_eq!(third.published().len(), 0);

    let form = alice.start("remove-my-device").await;
    let done = alice.fill(&form, "complete", json!({"chosen": theirs})).await;
    assert_eq!(notes(&done), [("info", "2 devices removed; they are not woken until their apps register again.")]);
    let shown = alice.start_with("my-devices", json!({"show": "registrations"})).await;
    assert_eq!(column(&shown, "reason"), ["its owner took it back (owner)"; 2]);
    let mut abroad = office.abroad().await;
    abroad.send(&foreign_publish("p1", &device)).await;
    assert_eq!(refusal(&abroad.next_answer().await).as_deref(), Some("cancel/item-not-found"));
    let nothing = alice.start("test-my-device").await;
    assert_eq!(notes(&nothing), [("info", "alice@localhost has nothing to push to.")]);
}

async fn the_status_says_how_all_of_it_stands() {
    let office = Office::open("").await;
    let mut admin = office.admin().await;
    let mut phone = online(&office.host, "alice", "phone").await;
    enable(&mut phone, THIRD, "at-third", "").await;
    let shown = admin.start("status").await;
    assert_eq!((how(&shown), notes(&shown)), ("completed", vec![]), "nothing is wrong: {shown}");
    let names: Vec<_> = shown["form"]["fields"].as_object().expect("fields").keys().collect();
    let expected = ["FORM_TYPE", "apps", "hosts", "link", "process", "pushes", "rates", "registered"];
    assert_eq!(names, expected);
    assert!(field(&shown, "hosts")[0].starts_with("localhost: linked"), "{shown}");
    let apps = field(&shown, "apps");
    assert!(apps[0].starts_with("chat-android (fcm)") && apps[1].starts_with("chat-ios (apns)"), "{apps:?}");
    assert_eq!(field(&shown, "registered")[0], "Registrations: 1 enabled, 0 disabled, 0 gone");

    office.host.take_bridge_away().await;
    let mut daemon = office.daemon;
    daemon.wait_for_log("it is not linked", |log| log.contains("localhost is not linked any more")).await;
    let shown = admin.start("status").await;
    assert!(matches!(notes(&shown)[..], [(_, note)] if note.starts_with("localhost is not linked")), "{shown}");
}

async fn an_admin_has_the_configuration_read_again() {
    let office = Office::open("").await;
    let mut admin = office.admin().await;
    let same = admin.start("reload").await;
    assert_eq!(
        (how(&same), notes(&same)),
        ("completed", vec![("info", "The configuration was read again.")]),
        "{same}"
    );
    assert!(!field(&same, "said").is_empty(), "{same}");

    // What is wrong in it is said, and nothing changes.
    let configuration = office.daemon.configuration();
    office.daemon.configure(&configuration.replace("burst_window", "burst_windows"));
    let wrong = admin.start("reload").await;
    let note = ("error", "Nothing changed: the configuration needs mending.");
    assert_eq!((how(&wrong), notes(&wrong)), ("completed", vec![note]), "{wrong}");
    assert!(field(&wrong, "said").iter().any(|line| line.contains("rules.burst_windows")), "{wrong}");

    // Who is an admin can change: it is somebody else's turn.
    office.daemon.configure(&configuration.replace("admin@localhost", ALICE));
    let done = admin.start("reload").await;
    assert_eq!(notes(&done)[0].0, "info", "{done}");
    let mut alice = office.person("alice").await;
    assert_eq!(alice.discover().await.len(), 13);
    assert_eq!(error(&admin.start("status").await), "auth/forbidden");
    assert_eq!(admin.discover().await.len(), 3);
}

/// A push service that answers with results.
async fn third(office: &Office) -> Service {
    Service::connect(office.host.component_port(), THIRD, PASSWORD, &Clock::system()).await
}

/// A client enables push; the secret of a device of ours goes with it.
async fn enable(client: &mut Client, service: &str, node: &str, secret: &str) {
    let field = |name: &str, value: &str| format!("<field var='{name}'><value>{value}</value></field>");
    let options = format!(
        "<x xmlns='jabber:x:data' type='submit'>{}{}</x>",
        field("FORM_TYPE", "http://jabber.org/protocol/pubsub#publish-options"),
        field("secret", secret)
    );
    let answer = client.enable_push(service, node, if secret.is_empty() { "" } else { &options }).await;
    assert_eq!(refusal(&answer), None, "{}", String::from(&answer));
}

async fn show(admin: &mut crate::person::Person, account: &str) -> Value {
    admin.start_with("show-account", json!({"accountjid": account})).await
}

fn title(shown: &Value) -> &str {
    shown["form"]["title"].as_str().unwrap_or_else(|| panic!("no title: {shown}"))
}

/// Status, what can be done next, and what is done if nothing is said.
fn how(shown: &Value) -> &str {
    shown["how"].as_str().unwrap_or_else(|| panic!("{shown}"))
}

crate::on_hosts::on_hosts! {
    both: [
        devices_are_listed_page_by_page_forth_and_back,
        registrations_and_sessions_are_listed_and_filtered,
        an_admin_sees_an_account_and_removes_and_enables_what_it_has,
        a_test_push_goes_all_the_way_and_shows_its_stages,
        an_owner_sees_removes_and_tests_what_is_theirs_alone,
        the_status_says_how_all_of_it_stands,
        an_admin_has_the_configuration_read_again,
    ],
}
