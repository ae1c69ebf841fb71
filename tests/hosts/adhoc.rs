//! Ad-hoc commands from a stock client: who sees which, who may use which, and what keeps strangers from using them up.
//! What each command does is in `commands.rs`.

use minidom::Element;
use serde_json::{Value, json};

use crate::client::Client;
use crate::component::Component;
use crate::daemon::Daemon;
use crate::person::{Person, column, error, field, node, notes};
use crate::server::{HOST, PASSWORD, Pusher, Server, Wanted};
use crate::steps::{FOREIGN, SERVICE, configuration, foreign_iq, online, refusal};
use crate::vendors::Vendors;

/// A push service of somebody else.
pub(crate) const THIRD: &str = "third.localhost";

const ITEMS: &str = "http://jabber.org/protocol/disco#items";
const COMMANDS: &str = "http://jabber.org/protocol/commands";

/// For admins, in the order in which they are listed.
const ADMINS: [&str; 10] = [
    "status",
    "show-account",
    "list-registrations",
    "list-devices",
    "list-sessions",
    "send-test-push",
    "remove-registration",
    "enable-registration",
    "remove-device",
    "reload",
];

/// For everybody.
const OWNERS: [&str; 3] = ["my-devices", "test-my-device", "remove-my-device"];

/// A host with a bridge, a linked pushkeeper whose admin is `admin@localhost`, and a stand-in for the vendors.
pub(crate) struct Office {
    pub(crate) host: Server,
    pub(crate) daemon: Daemon,
    pub(crate) vendors: Vendors,
}

impl Office {
    /// Opens it; `rules` are lines of `[rules]`.
    pub(crate) async fn open(rules: &str) -> Self {
        let host = Server::start(&Wanted {
            users: &["admin", "alice", "bob"],
            components: &[SERVICE, FOREIGN, THIRD],
            pusher: Pusher::Bridge,
            ..Wanted::default()
        })
        .await;
        let vendors = Vendors::start().await;
        let apps = vendors.apps();
        let log = "[log]\nlevel = 'info,pushkeeper::decisions=debug'\n";
        let rest = format!("{log}[[hosts]]\ndomain = '{HOST}'\n[rules]\nburst_window = '0s'\n{rules}\n{apps}");
        let admins = format!("[component]\nadmins = ['admin@{HOST}']\n");
        let mut daemon = Daemon::start(&configuration(&host, &rest).replace("[component]\n", &admins));
        let linked = format!("{HOST} is linked");
        daemon.wait_for_log("the bridge is linked", |log| log.contains(&linked)).await;
        Self { host, daemon, vendors }
    }

    /// The admin, at a stock client.
    pub(crate) async fn admin(&self) -> Person {
        Person::online(&self.host, "admin", "pc").await
    }

    /// Somebody at a stock client.
    pub(crate) async fn person(&self, user: &str) -> Person {
        Person::online(&self.host, user, "pc").await
    }

    /// A user of a domain that is none of ours, whole server and all.
    pub(crate) async fn abroad(&self) -> Component {
        Component::connect(self.host.component_port(), FOREIGN, PASSWORD).await
    }
}

async fn an_admin_finds_thirteen_commands_and_anybody_else_three() {
    let office = Office::open("").await;
    let mut admin = office.admin().await;
    assert_eq!(admin.discover().await, [&ADMINS[..], &OWNERS[..]].concat());
    let mut alice = office.person("alice").await;
    assert_eq!(alice.discover().await, OWNERS);
    for name in OWNERS {
        let info = alice.info(name).await;
        let identity = info["identities"][0].as_array().unwrap_or_else(|| panic!("{info}"));
        assert_eq!((identity[0].as_str(), identity[1].as_str()), (Some("automation"), Some("command-node")), "{name}");
        assert_eq!(info["features"], json!([COMMANDS, "jabber:x:data"]), "{name}");
    }

    let mut abroad = office.abroad().await;
    let query = format!("<query xmlns='{ITEMS}' node='{COMMANDS}'/>");
    abroad.send(&foreign_iq("d1", "juliet", &query).replace("type='set'", "type='get'")).await;
    let answer = abroad.next_answer().await;
    let items = answer.get_child("query", ITEMS).unwrap_or_else(|| panic!("{}", String::from(&answer)));
    let nodes: Vec<_> = items.children().filter_map(|item| item.attr("node")).collect();
    assert_eq!(nodes, OWNERS.map(node));
}

async fn what_is_for_admins_is_forbidden_to_everybody_else() {
    let office = Office::open("").await;
    let mut alice = office.person("alice").await;
    let mut abroad = office.abroad().await;
    let accountjid = json!({"accountjid": "alice@localhost"});
    for name in ADMINS {
        assert_eq!(error(&alice.start(name).await), "auth/forbidden", "{name}");
        assert_eq!(error(&alice.start_with(name, accountjid.clone()).await), "auth/forbidden", "{name} of her own");
        abroad.send(&foreign_iq("c1", "juliet", &bare(name))).await;
        assert_eq!(refusal(&abroad.next_answer().await).as_deref(), Some("auth/forbidden"), "{name} from abroad");
        // The name is not enough: this is admin's server's word against a foreign one.
        abroad.send(&foreign_iq("c2", "admin", &bare(name))).await;
        assert_eq!(
            refusal(&abroad.next_answer().await).as_deref(),
            Some("auth/forbidden"),
            "{name} of an admin abroad"
        );
    }
    for name in OWNERS {
        let shown = alice.start(name).await;
        assert!(matches!(shown["status"].as_str(), Some("executing" | "completed")), "{shown}");
        abroad.send(&foreign_iq("c3", "juliet", &bare(name))).await;
        assert_eq!(refusal(&abroad.next_answer().await), None, "{name} from abroad");
        // A server has no phones.
        let of_server = foreign_iq("c4", "juliet", &bare(name)).replace(&format!("juliet@{FOREIGN}/phone"), FOREIGN);
        abroad.send(&of_server).await;
        assert_eq!(refusal(&abroad.next_answer().await).as_deref(), Some("auth/forbidden"), "{name} of a server");
    }
}

async fn a_session_belongs_to_who_began_it_and_ends_for_good() {
    let office = Office::open("").await;
    let mut admin = office.admin().await;
    let mut at_home = Person::online(&office.host, "admin", "home").await;
    let (mut alice, mut bob) = (office.person("alice").await, office.person("bob").await);

    let shown = admin.start("show-account").await;
    assert_eq!(shown["how"], "executing: complete; complete", "{shown}");
    let id = &shown["session"];
    // The table: who, at which command, does what with the admin's session.
    let theirs = alice.start("my-devices").await;
    let rows = [
        ("another client of the admin", &mut at_home, "show-account", id, "modify/bad-request/bad-sessionid"),
        ("an owner", &mut bob, "show-account", id, "auth/forbidden"),
        ("an owner, at a command of owners", &mut alice, "my-devices", id, "modify/bad-request/bad-sessionid"),
        ("the admin, with alice's", &mut admin, "my-devices", &theirs["session"], "modify/bad-request/bad-sessionid"),
    ];
    for (who, person, name, session, expected) in rows {
        for action in ["execute", "next", "complete", "cancel"] {
            let said = person.send(name, Some(session), action, None).await;
            assert_eq!(error(&said), expected, "{who}: {action}");
        }
    }
    let rows = [
        ("another command", "status", id.clone(), "execute", "modify/bad-request/bad-sessionid"),
        ("one that never was", "show-account", json!("999-x"), "execute", "modify/bad-request/bad-sessionid"),
        ("a huge name", "show-account", json!("9".repeat(4000)), "execute", "modify/bad-request/bad-sessionid"),
        ("back from the first form", "show-account", id.clone(), "prev", "modify/bad-request/bad-action"),
        ("no action", "show-account", id.clone(), "fly", "modify/bad-request/malformed-action"),
    ];
    for (what, name, session, action, expected) in rows {
        assert_eq!(error(&admin.send(name, Some(&session), action, None).await), expected, "{what}");
    }

    // None of that has harmed it.
    let done = admin.fill(&shown, "complete", json!({"accountjid": "alice@localhost"})).await;
    assert_eq!(done["status"], "completed", "{done}");
    for action in ["execute", "next", "prev", "complete", "cancel"] {
        let said = admin.send("show-account", Some(id), action, None).await;
        assert_eq!(error(&said), "cancel/not-allowed/session-expired", "{action}");
    }

    let shown = admin.start("list-devices").await;
    let cancelled = admin.go(&shown, "cancel").await;
    assert_eq!((&cancelled["status"], &cancelled["form"]), (&json!("canceled"), &Value::Null), "{cancelled}");
    let said = admin.send("list-devices", Some(&shown["session"]), "execute", None).await;
    assert_eq!(error(&said), "cancel/not-allowed/session-expired");
}

async fn hostile_forms_are_refused_or_asked_again_and_others_are_served() {
    let office = Office::open("").await;
    let mut admin = office.admin().await;
    let form = |kind: &str, fields: &str| format!("<x xmlns='jabber:x:data' type='{kind}'>{fields}</x>");
    let one = |name: &str, value: &str| format!("<field var='{name}'><value>{value}</value></field>");
    let fields = |count: usize| (0..count).map(|n| one(&format!("f{n}"), "x")).collect::<String>();
    let values = |count: usize| format!("<field var='accountjid'>{}</field>", "<value>x</value>".repeat(count));
    let refused = [
        ("65 fields", fields(65)),
        ("2000 fields", fields(2000)),
        ("257 values", values(257)),
        ("a value of 4097 bytes", one("accountjid", &"x".repeat(4097))),
        ("a name of 4097 bytes", one(&"x".repeat(4097), "x")),
        ("a value of 200 kB", one("accountjid", &"x".repeat(200_000))),
    ];
    for (what, fields) in refused {
        let said = admin.send("show-account", None, "execute", Some(&form("submit", &fields))).await;
        assert_eq!(error(&said), "modify/bad-request/bad-payload", "{what}");
    }
    let asked_again = [
        ("64 fields", fields(64)),
        ("256 values", values(256)),
        (
            "a list where a JID belongs",
            "<field var='accountjid' type='list-multi'><value>a</value><value>b</value></field>".to_owned(),
        ),
        ("a text that is no JID", one("accountjid", &"@".repeat(4096))),
        ("control characters, by reference", one("accountjid", "&#x9;&#xA;&#xD;")),
        ("nothing", String::new()),
        ("a field within a field", format!("<field var='accountjid'>{}</field>", one("accountjid", "alice@localhost"))),
        ("another FORM_TYPE alone", one("FORM_TYPE", "http://jabber.org/protocol/admin")),
    ];
    for (what, fields) in asked_again {
        let said = admin.send("show-account", None, "execute", Some(&form("submit", &fields))).await;
        assert_eq!(said["status"], "executing", "{what}: {said}");
        assert!(matches!(notes(&said)[..], [("error", _)]), "{what}: {said}");
    }
    // What a form says beside what was asked does not matter, nor does what type it says it is.
    let taken = [
        ("unknown fields", form("submit", &(one("accountjid", "alice@localhost") + &fields(63)))),
        ("an unknown view", form("submit", &(one("accountjid", "alice@localhost") + &one("show", "the moon")))),
        ("a form of type result", form("result", &one("accountjid", "alice@localhost"))),
        ("a form of no type", form("", &one("accountjid", "alice@localhost"))),
        ("twice the same field", form("submit", &(one("accountjid", "@") + &one("accountjid", "alice@localhost")))),
    ];
    for (what, form) in taken {
        let said = admin.send("show-account", None, "execute", Some(&form)).await;
        assert_eq!(said["status"], "completed", "{what}: {said}");
        assert_eq!(field(&said, "why"), ["No client of it has push enabled."], "{what}: {said}");
    }
    let said = admin.send("show-account", None, "execute", Some(&form("cancel", ""))).await;
    assert_eq!(said["status"], "canceled", "a form of type cancel: {said}");

    // A form that is filled in wrongly comes again, for as long as somebody likes.
    let mut shown = admin.start("show-account").await;
    for _ in 0..20 {
        shown = admin.fill(&shown, "complete", json!({"accountjid": "nobody"})).await;
        assert_eq!(shown["status"], "executing", "{shown}");
    }
    let done = admin.fill(&shown, "complete", json!({"accountjid": "alice@localhost"})).await;
    assert_eq!(done["status"], "completed", "{done}");
    let log = office.daemon.log();
    assert_eq!(log.matches("the link is up").count(), 1, "the link lives through all of it:\n{log}");
}

async fn who_begins_thousands_of_commands_keeps_four_and_takes_none_from_others() {
    let office = Office::open("").await;
    let mut bob = office.person("bob").await;
    let kept = bob.start("my-devices").await;
    let mut alice = online(&office.host, "alice", "phone").await;
    let command = bare("my-devices");
    let mut sessions = Vec::new();
    for batch in 0..30 {
        let iqs = (0..100).map(|n| format!("<iq type='set' id='f{batch}-{n}' to='{SERVICE}'>{command}</iq>"));
        alice.send(&iqs.collect::<String>()).await;
        for n in 0..100 {
            sessions.push(session(&answer(&mut alice, &format!("f{batch}-{n}")).await));
        }
    }
    assert_eq!(sessions.len(), 3000);
    let last = sessions.len() - 1;
    for (at, alive) in [(0, false), (1500, false), (last - 4, false), (last - 3, true), (last, true)] {
        let cancel = format!(
            "<command xmlns='{COMMANDS}' node='{}' sessionid='{}' action='cancel'/>",
            node("my-devices"),
            sessions[at]
        );
        let said = alice.iq("set", Some(SERVICE), &cancel).await;
        let expected = if alive { None } else { Some("cancel/not-allowed") };
        assert_eq!(refusal(&said).as_deref(), expected, "number {at}");
    }
    let done = bob.fill(&kept, "complete", json!({"show": "registrations"})).await;
    assert_eq!((&done["status"], column(&done, "account")), (&json!("completed"), Vec::<&str>::new()), "{done}");
}

fn bare(name: &str) -> String {
    format!("<command xmlns='{COMMANDS}' node='{}' action='execute'/>", node(name))
}

async fn answer(client: &mut Client, id: &str) -> Element {
    client.wait_for(id, |it| it.name() == "iq" && it.attr("id") == Some(id)).await
}

fn session(answer: &Element) -> String {
    let command = answer.get_child("command", COMMANDS).unwrap_or_else(|| panic!("{}", String::from(answer)));
    command.attr("sessionid").expect("a session").to_owned()
}

crate::on_hosts::on_hosts! {
    both: [
        an_admin_finds_thirteen_commands_and_anybody_else_three,
        what_is_for_admins_is_forbidden_to_everybody_else,
        a_session_belongs_to_who_began_it_and_ends_for_good,
        hostile_forms_are_refused_or_asked_again_and_others_are_served,
        who_begins_thousands_of_commands_keeps_four_and_takes_none_from_others,
    ],
}
