//! Row 25: why was this phone not woken? After each story the admin's `show-account` names the rule, or the reason why a
//! registration or a device is gone, and when.
//!
//! Every decision that there is has a story of the flows in `src/flows/commands/reason_tests.rs`, which a new decision
//! without one does not get past; every reason to be gone has one in `ending_tests.rs` beside it. Here are those that a real host brings about within a test's time. These are there only:
//!
//! | Decision, or reason | Why not here |
//! |---|---|
//! | disabled for errors and gone a week later; unreachable for three days; tried again after a day | days |
//! | a window that is over, and its host does not end the session | real hosts do |
//! | too many relays at once, too many that wait, the outbox is full | seconds of load; `errors.rs` row 19 has the first |
//! | the store takes no writes | a disk that fails; `tests/it/trouble.rs` has it whole |
//! | a vendor that is out of order | ten pushes in five seconds or more |
//! | a push that shares the fate of another one, or waits behind it | which of the two is chance |
//! | an app on Web Push that wants no silent pushes | `tests/it/gateway_webpush.rs` has it whole |
//! | a push service that does not answer | as long as the host waits for it; `errors.rs` row 19 has one |

use minidom::Element;
use pushkeeper::clock::Clock;
use tokio::time::{Duration, sleep, timeout};

use crate::process::PATIENCE;
use crate::scene::{Scene, Setting, THIRD, TOKEN};
use crate::server::{HOST, SERVICE};
use crate::service::Says;
use crate::steps::{self, refusal};
use crate::vendor::{Answer, Behaviour};

const FORMS: &str = "jabber:x:data";
const COMMANDS: &str = "http://jabber.org/protocol/commands";
const ALICE: &str = "alice@localhost";
const CALL: &str = "urn:xmpp:jingle-message:0";

/// What `show-account` says of an account.
#[derive(Debug)]
struct Account {
    /// How it stands now.
    why: Vec<String>,
    /// The last decisions.
    decisions: Vec<String>,
    /// Registrations and devices: what, state, reason, since.
    held: Vec<[String; 4]>,
}

impl Account {
    fn says(&self, words: &str) -> bool {
        self.decisions.iter().any(|line| line.contains(words))
    }

    /// Whether one of this kind is gone for this reason, since now or a moment ago.
    fn lost(&self, kind: &str, reason: &str) -> bool {
        let today = Clock::system().wall().to_string();
        let today = today.split('T').next().unwrap_or_default();
        let (reason, gone) = (format!("({reason})"), "gone");
        let is = |of: &&[String; 4]| of[0] == kind && of[1] == gone && of[2].ends_with(&reason);
        self.held.iter().any(|of| is(&of) && of[3].starts_with(today))
    }
}

/// The admin asks.
async fn show(scene: &mut Scene, account: &str) -> Account {
    let command = format!(
        "<command xmlns='{COMMANDS}' node='urn:pushkeeper:command:0#show-account' action='execute'>\
         <x xmlns='{FORMS}' type='submit'><field var='accountjid'><value>{account}</value></field></x></command>"
    );
    let answer = scene.bob.iq("set", Some(SERVICE), &command).await;
    let text = String::from(&answer);
    let form = answer.get_child("command", COMMANDS).and_then(|command| command.get_child("x", FORMS));
    let form = form.unwrap_or_else(|| panic!("no form: {text}"));
    let values = |of: &Element| of.children().filter(|it| it.is("value", FORMS)).map(Element::text).collect::<Vec<_>>();
    let field = |of: &Element, name: &str| {
        let found = of.children().find(|it| it.is("field", FORMS) && it.attr("var") == Some(name));
        values(found.unwrap_or_else(|| panic!("no {name}: {text}")))
    };
    let cell = |item: &Element, name: &str| field(item, name).pop().unwrap_or_default();
    let items = form.children().filter(|it| it.is("item", FORMS));
    let held = items.map(|item| ["kind", "state", "reason", "since"].map(|name| cell(item, name))).collect();
    Account { why: field(form, "why"), decisions: field(form, "decisions"), held }
}

/// Asks until the account is so.
async fn until(scene: &mut Scene, account: &str, what: &str, holds: impl Fn(&Account) -> bool) -> Account {
    let wait = async {
        loop {
            let shown = show(scene, account).await;
            if holds(&shown) {
                return shown;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    match timeout(PATIENCE, wait).await {
        Ok(shown) => shown,
        Err(_) => panic!("{what:?}: not within {PATIENCE:?}: {:#?}", show(scene, account).await),
    }
}

/// Asks until a decision says this.
async fn says(scene: &mut Scene, words: &str) -> Account {
    until(scene, ALICE, words, |shown| shown.says(words)).await
}

/// alice's phone is no longer online: what is archived for her is pushed.
async fn away(scene: &Scene, times: usize) {
    scene.phone().await.close().await;
    scene.tap.wait_for_events("end", "alice", times).await;
}

async fn row_25_what_its_owner_took_back_what_newer_ones_replaced_and_what_an_admin_removed() {
    let mut scene = Scene::set(&Setting { rules: "max_devices = 1", ..Setting::default() }).await;
    let mut phone = scene.plain("alice", "phone").await;
    scene.enable(&mut phone, "n1").await;
    let first = until(&mut scene, ALICE, "enabled", |shown| shown.says(": enabled")).await;
    assert_eq!(first.held[0][..3], ["registration", "enabled", ""].map(str::to_owned));
    scene.enable(&mut phone, "n2").await;
    let shown = says(&mut scene, "gone: newer ones took its place (max-devices)").await;
    assert!(shown.lost("registration", "max-devices"), "{shown:#?}");

    let disable = format!("<disable xmlns='urn:xmpp:push:0' jid='{THIRD}' node='n2'/>");
    assert_eq!(refusal(&phone.iq("set", None, &disable).await), None);
    let shown = says(&mut scene, "gone: its owner took it back (owner)").await;
    assert!(shown.lost("registration", "owner"), "{shown:#?}");
    assert!(shown.why.contains(&"No client of it has push enabled.".to_owned()), "{shown:#?}");

    scene.enable(&mut phone, "n3").await;
    remove(&mut scene, "remove-registration").await;
    let shown = says(&mut scene, "gone: an admin removed it (admin)").await;
    assert!(shown.lost("registration", "admin"), "{shown:#?}");
    assert_eq!(shown.held.len(), 3, "all three are remembered: {shown:#?}");
}

/// The admin removes the first of what alice has.
async fn remove(scene: &mut Scene, name: &str) {
    let field = |name: &str, value: &str| format!("<field var='{name}'><value>{value}</value></field>");
    let command = |fields: &str| {
        format!(
            "<command xmlns='{COMMANDS}' node='urn:pushkeeper:command:0#{name}'>\
             <x xmlns='{FORMS}' type='submit'>{fields}</x></command>"
        )
    };
    let account = field("accountjid", ALICE);
    let asked = scene.bob.iq("set", Some(SERVICE), &command(&account)).await;
    let form = asked.get_child("command", COMMANDS).and_then(|command| command.get_child("x", FORMS)).expect("a form");
    let chosen = form.children().find(|it| it.attr("var") == Some("chosen")).expect("a choice");
    let option = chosen.get_child("option", FORMS).expect("an option");
    let value = option.get_child("value", FORMS).expect("a value").text();
    let done = scene.bob.iq("set", Some(SERVICE), &command(&(account + &field("chosen", &value)))).await;
    let text = String::from(&done);
    assert!(text.contains("status='completed'") || text.contains("status=\"completed\""), "{text}");
}

async fn row_25_what_nobody_renewed_and_what_belonged_to_an_account_that_is_no_more() {
    let mut scene = Scene::set(&Setting { rules: "registration_ttl = \"2s\"", ..Setting::default() }).await;
    let mut phone = scene.plain("alice", "phone").await;
    scene.enable(&mut phone, "n1").await;
    let shown = says(&mut scene, "gone: it was not renewed for too long (expired)").await;
    assert!(shown.lost("registration", "expired"), "{shown:#?}");
    scene.enable(&mut phone, "n2").await;
    steps::register(&mut phone, "apns", TOKEN).await;
    phone.close().await;
    scene.host.delete_user("alice").await;
    let shown = says(&mut scene, "gone: the account is no more (account-deleted)").await;
    assert!(shown.lost("registration", "account-deleted"), "{shown:#?}");
    assert!(shown.lost("device", "account-deleted"), "{shown:#?}");
}

async fn row_25_a_session_that_is_there_that_comes_back_in_time_and_that_was_woken() {
    let setting = Setting { rules: "unimportant = \"never\"", burst_window: "2s", ..Setting::default() };
    let mut scene = Scene::set(&setting).await;
    let phone = scene.phone().await;
    scene.write("alice", "m1").await;
    let shown = says(&mut scene, "not pushed: session \"phone\" is there and hears of it").await;
    assert!(shown.decisions.iter().any(|line| line.contains("message")), "{shown:#?}");
    assert!(shown.why[0].contains("session \"phone\" is connected and hears of everything there"), "{shown:#?}");

    let session = scene.reset(phone).await;
    says(&mut scene, "may be resumed for 3 days: nobody woke its client yet").await;
    scene.write("alice", "m2").await;
    scene.tap.wait_for_events("queued", "alice", 1).await;
    let mut phone = scene.resume(session).await;
    says(&mut scene, "not pushed after all: the client has it, or is back").await;
    says(&mut scene, "session \"phone\": is back").await;
    phone.acknowledge_all().await;
    scene.quiet().await;
    assert_eq!(scene.third.published().len(), 0);

    let session = scene.reset_at_once(phone).await;
    scene.bob.send(&message("unimportant", "<composing xmlns='http://jabber.org/protocol/chatstates'/>")).await;
    scene.bob.send(&format!("<message type='error' id='x' to='{ALICE}/phone'><error type='cancel'/></message>")).await;
    scene.bob.send(&format!("<presence to='{ALICE}/phone'/>")).await;
    says(&mut scene, "not pushed: unimportant, and rules.unimportant is \"never\"").await;
    says(&mut scene, "not pushed: nothing that anybody would be woken for").await;
    scene.quiet().await;
    assert_eq!(scene.third.published().len(), 0);

    scene.write("alice", "m3").await;
    scene.third.wait_for(1).await;
    says(&mut scene, "pushed (important)").await;
    says(&mut scene, "handed over in ").await;
    says(&mut scene, "may be resumed for 10 min more: its client was woken").await;
    scene.resume(session).await;
    // What the host archived for it may be told of after its return.
    let woken = |shown: &Account| shown.decisions.iter().any(|line| line.ends_with(" after a push"));
    until(&mut scene, ALICE, "woken", woken).await;
}

fn message(id: &str, content: &str) -> String {
    format!("<message type='chat' id='{id}' to='{ALICE}/phone'>{content}</message>")
}

async fn row_25_each_filter_that_an_owner_asked_for() {
    let mut scene = Scene::start().await;
    let mut phone = scene.online("alice", "phone").await;
    let asks = format!(
        "<groupchat xmlns='tigase:push:filter:groupchat:0'>\
         <room jid='forres@{THIRD}' allow='mentioned' nick='Juliet'/></groupchat>\
         <muted xmlns='tigase:push:filter:muted:0'><item jid='dave@{HOST}'/></muted>\
         <ignore-unknown xmlns='tigase:push:filter:ignore-unknown:0'/>"
    );
    assert_eq!(refusal(&phone.enable_push(THIRD, "phone", &asks).await), None);
    scene.reset(phone).await;
    let mut dave = scene.plain("dave", "desk").await;
    dave.send(&format!("<message type='chat' id='d1' to='{ALICE}'><body>hi</body></message>")).await;
    says(&mut scene, "not pushed: the account owner's filter (muted)").await;
    scene.write("alice", "m1").await;
    let shown = says(&mut scene, "not pushed: the account owner's filter (ignore-unknown)").await;
    assert!(shown.says("message from a stranger"), "{shown:#?}");
    for (room, words) in [("forres", "groupchat: no mention"), ("cauldron", "groupchat: not this room")] {
        let from = format!("{room}@{THIRD}/Romeo");
        let said = format!(
            "<message type='groupchat' id='{room}' from='{from}' to='{ALICE}/phone'><body>hello</body></message>"
        );
        scene.third.send(&said).await;
        says(&mut scene, &format!("not pushed: the account owner's filter ({words})")).await;
    }
    scene.quiet().await;
    assert_eq!(scene.third.published().len(), 0);
}

async fn row_25_a_push_service_that_refuses_and_what_it_disables() {
    let setting = Setting { rules: "max_errors = 2", burst_window: "0s", offline: false, ..Setting::default() };
    let mut scene = Scene::set(&setting).await;
    away(&scene, 1).await;
    scene.third.says(Says::Error("wait", "resource-constraint")).await;
    scene.write("alice", "m1").await;
    says(&mut scene, "its push service did not take it: resource-constraint").await;
    scene.third.says(Says::Error("cancel", "item-not-found")).await;
    for id in ["m2", "m3"] {
        let before = show(&mut scene, ALICE).await.decisions.len();
        scene.write("alice", id).await;
        until(&mut scene, ALICE, id, |shown| {
            shown.decisions.len() > before + 1 && shown.says("its push service did not take it: item-not-found")
        })
        .await;
    }
    let shown = says(&mut scene, ": disabled: errors").await;
    assert_eq!(shown.held[0][..3], ["registration", "disabled", "errors"].map(str::to_owned));
    assert!(shown.why[0].contains("is disabled since") && shown.why[0].contains("errors"), "{shown:#?}");
    scene.write("alice", "m4").await;
    says(&mut scene, "not pushed: the registration is disabled (errors)").await;

    // An enable revives it. Its push service is not to be reached at all.
    let mut phone = scene.plain("alice", "phone").await;
    let answer = phone.enable_push("nowhere.localhost", "n", "").await;
    assert_eq!(refusal(&answer), None);
    phone.close().await;
    scene.tap.wait_for_events("end", "alice", 2).await;
    scene.write("alice", "m5").await;
    let unreached = |shown: &Account| {
        let its =
            |line: &&String| line.contains("nowhere.localhost") && line.contains("its push service did not take it");
        shown.decisions.iter().any(|line| its(&line))
    };
    until(&mut scene, ALICE, "nobody is there", unreached).await;
}

async fn row_25_a_host_that_is_not_linked() {
    let mut scene = Scene::set(&Setting { burst_window: "5s", offline: false, ..Setting::default() }).await;
    away(&scene, 1).await;
    scene.write("alice", "m1").await;
    scene.tap.wait_for_events("archived", "alice", 1).await;
    scene.host.take_bridge_away().await;
    let shown = says(&mut scene, "waits: its host is not linked").await;
    assert!(shown.why[0].starts_with("localhost is not linked"), "{shown:#?}");
    assert_eq!(scene.third.published().len(), 0);
}

async fn row_25_too_many_calls() {
    let mut scene = Scene::set(&Setting { burst_window: "100ms", ..Setting::default() }).await;
    let mut phone = scene.phone().await;
    scene.enable_ours(&mut phone, TOKEN).await;
    phone.close().await;
    scene.tap.wait_for_events("end", "alice", 1).await;
    for number in 1..=7 {
        let propose = format!(
            "<propose xmlns='{CALL}' id='call-{number}'>\
             <description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'/></propose><store xmlns='urn:xmpp:hints'/>"
        );
        scene.say("alice", &propose, &format!("c{number}")).await;
    }
    says(&mut scene, "does not ring: too many calls within a minute; pushed as a message").await;
    scene.third.wait_for(7).await;
}

async fn row_25_sessions_that_are_too_many_or_near_their_end() {
    let sessions = "hibernation_time = \"2s\"\nmax_hibernation = \"4s\"\nwake_before_end = \"2s\"\nmax_hibernated = 1";
    let mut scene = Scene::set(&Setting { sessions, ..Setting::default() }).await;
    let phone = scene.phone().await;
    scene.reset(phone).await;
    says(&mut scene, "session \"phone\": its end is near: its client is woken").await;
    let setting = Setting { sessions: "max_hibernated = 1", ..Setting::default() };
    let mut scene = Scene::set(&setting).await;
    let phone = scene.phone().await;
    let tablet = scene.online("alice", "tablet").await;
    scene.reset(phone).await;
    scene.reset(tablet).await;
    says(&mut scene, "session \"phone\": is ended: too many sessions of the account hibernate").await;
}

async fn row_25_a_publish_that_is_not_served() {
    let setting =
        Setting { more: "[push]\nmax_per_domain = 1", burst_window: "0s", offline: false, ..Setting::default() };
    let mut scene = Scene::set(&setting).await;
    let mut phone = scene.plain("alice", "phone").await;
    let device = steps::register(&mut phone, "apns", TOKEN).await;
    let wrong = "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
                 <value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
                 <field var='secret'><value>wrong</value></field></x>";
    assert_eq!(refusal(&phone.enable_push(SERVICE, &device.node, wrong).await), None);

    let publish = steps::foreign_publish("p1", &device);
    let payload = publish.split_once('>').and_then(|(_, rest)| rest.strip_suffix("</iq>")).expect("an iq");
    let answer = phone.iq("set", Some(SERVICE), payload).await;
    assert_eq!(refusal(&answer).as_deref(), Some("cancel/item-not-found"));
    says(&mut scene, "publish refused: it came from a client, not from a server").await;
    phone.close().await;
    scene.tap.wait_for_events("end", "alice", 1).await;
    scene.write("alice", "m1").await;
    says(&mut scene, "publish refused: its secret is missing or wrong").await;

    let from_third = publish.replace(steps::FOREIGN, THIRD);
    scene.third.send(&from_third).await;
    says(&mut scene, &format!("publish refused: {THIRD} may not publish to this device")).await;
    // A burst of one a second: of so many at once, one is too many.
    for number in 0..5 {
        scene.third.send(&from_third.replace("id='p1'", &format!("id='q{number}'"))).await;
    }
    says(&mut scene, "publish refused: its domain publishes too fast (push.max_per_domain)").await;
}

async fn row_25_what_the_vendor_says() {
    let more = "[push]\nmin_interval = \"1h\"\noutbox_ttl = \"24h\"\nanswer_within = \"1s\"";
    let mut scene = Scene::set(&Setting { more, burst_window: "0s", offline: false, ..Setting::default() }).await;
    let mut phone = scene.plain("alice", "phone").await;
    scene.enable_ours(&mut phone, TOKEN).await;
    phone.close().await;
    scene.tap.wait_for_events("end", "alice", 1).await;
    scene.vendors.vendor.once(TOKEN, Behaviour::Answer(Answer::apns(429, "TooManyRequests")));
    scene.write("alice", "m1").await;
    let shown = says(&mut scene, "TooManyRequests; kept and tried again").await;
    assert!(shown.says("the vendor did not take it, after "), "{shown:#?}");
    says(&mut scene, "pushed (important), the vendor took it in ").await;
    scene.write("alice", "m2").await;
    let shown =
        says(&mut scene, "kept and pushed later: the device is left alone for a while (push.min_interval)").await;
    assert!(shown.why[0].contains("is left alone for"), "{shown:#?}");
}

async fn row_25_a_vendor_that_is_silent_that_refuses_us_and_that_calls_a_token_dead() {
    let mut scene = Scene::set(&Setting { burst_window: "0s", offline: false, ..Setting::default() }).await;
    let mut phone = scene.plain("alice", "phone").await;
    scene.enable_ours(&mut phone, TOKEN).await;
    phone.close().await;
    scene.tap.wait_for_events("end", "alice", 1).await;
    // What a server publishes is owed after `answer_within`; our own rules wait for the gateway, which waits for 10 s.
    scene.vendors.vendor.once(TOKEN, Behaviour::Never);
    scene.write("alice", "m1").await;
    says(&mut scene, "timeout: no answer in time; kept and tried again").await;
    says(&mut scene, "pushed (important), the vendor took it in ").await;

    // No message goes unpushed for it: it is kept until the operator has mended the key.
    scene.vendors.vendor.everything(Some(Behaviour::Answer(Answer::apns(403, "InvalidProviderToken"))));
    scene.write("alice", "m2").await;
    says(&mut scene, "InvalidProviderToken; kept and tried again").await;
    let mut other = scene.plain("dave", "phone").await;
    scene.enable_ours(&mut other, &TOKEN.replace("0001", "0002")).await;
    other.close().await;
    scene.tap.wait_for_events("end", "dave", 1).await;
    scene.write("dave", "m3").await;
    let words = "kept and pushed later: the vendor refuses our credentials: ";
    let shown = until(&mut scene, "dave@localhost", words, |shown| shown.says(words)).await;
    assert!(shown.why.iter().any(|line| line.contains("pushes of chat-ios are kept back")), "{shown:#?}");

    scene.vendors.vendor.everything(None);
    scene.vendors.is_gone(TOKEN, Clock::system().wall().millis() + 60_000);
    let dead = "the device is gone: the vendor says that the token is dead (vendor-gone)";
    let shown = says(&mut scene, dead).await;
    assert!(shown.lost("device", "vendor-gone"), "{shown:#?}");
    scene.write("alice", "m4").await;
    let shown = says(&mut scene, &format!("publish refused: {dead}")).await;
    assert!(shown.why.iter().any(|line| line.contains("the device is gone since")), "{shown:#?}");
}

crate::on_hosts::on_hosts! {
    both: [
        row_25_what_its_owner_took_back_what_newer_ones_replaced_and_what_an_admin_removed,
        row_25_what_nobody_renewed_and_what_belonged_to_an_account_that_is_no_more,
        row_25_a_session_that_is_there_that_comes_back_in_time_and_that_was_woken,
        row_25_each_filter_that_an_owner_asked_for,
        row_25_a_push_service_that_refuses_and_what_it_disables,
        row_25_a_host_that_is_not_linked,
        row_25_too_many_calls,
        row_25_sessions_that_are_too_many_or_near_their_end,
        row_25_a_publish_that_is_not_served,
        row_25_what_the_vendor_says,
        row_25_a_vendor_that_is_silent_that_refuses_us_and_that_calls_a_token_dead,
    ],
}
