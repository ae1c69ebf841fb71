//! What the tests have in common: a host with our component, devices, publishes.

use minidom::Element;

use crate::client::{Client, Session};
use crate::daemon::Daemon;
pub(crate) use crate::server::SERVICE;
use crate::server::{HOST, PASSWORD, Server, Wanted};

/// A foreign server: a second component of the same Prosody plays it, users and all.
pub(crate) const FOREIGN: &str = "capulet.localhost";

const COMMANDS: &str = "http://jabber.org/protocol/commands";
const FORMS: &str = "jabber:x:data";

/// An app whose vendor is the stub; Conversations' name for FCM means it.
pub(crate) const STUB_APP: &str = r#"
[apps.try]
provider = "stub"
aliases = ["fcm"]
"#;

/// A host with users, our component and a foreign server.
pub(crate) async fn host() -> Server {
    let wanted = Wanted { users: &["alice", "bob"], components: &[SERVICE, FOREIGN], ..Wanted::default() };
    Server::start(&wanted).await
}

/// A pushkeeper that is linked to the host; `apps` and whatever else its configuration shall say.
pub(crate) async fn pushkeeper(host: &Server, rest: &str) -> Daemon {
    Daemon::linked(&configuration(host, rest)).await
}

/// A configuration without limits on registrations and publishes.
pub(crate) fn configuration(host: &Server, rest: &str) -> String {
    let port = host.component_port();
    format!(
        r#"
[component]
jid = "{SERVICE}"
connect = "127.0.0.1:{port}"
secret = "{PASSWORD}"

[store]
path = "$DIR/store"

[push]
answer_within = "20s"
max_per_domain = 0

[register]
rate_per_account = "0"
rate_per_domain = "0"
{rest}"#
    )
}

/// A user of the host who is online with this resource.
pub(crate) async fn online(host: &Server, user: &str, resource: &str) -> Client {
    let mut client = Client::connect(host.c2s_port(), &format!("{user}@{HOST}/{resource}"), PASSWORD).await;
    client.enable_resumption().await;
    client.send("<presence/>").await;
    let jid = client.jid.clone();
    client.wait_for("its own presence", |it| it.name() == "presence" && it.attr("from") == Some(&jid)).await;
    client
}

/// What an app gets for registering a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) node: String,
    pub(crate) secret: String,
}

impl Device {
    /// Reads the answer to a registration; fails with the answer if it is none.
    pub(crate) fn from_answer(answer: &Element) -> Self {
        let text = String::from(answer);
        assert_eq!(answer.attr("type"), Some("result"), "{text}");
        let command = answer.get_child("command", COMMANDS).unwrap_or_else(|| panic!("no command: {text}"));
        assert_eq!(command.attr("status"), Some("completed"), "{text}");
        assert!(command.attr("sessionid").is_some_and(|id| !id.is_empty()), "{text}");
        let form = command.get_child("x", FORMS).unwrap_or_else(|| panic!("no form: {text}"));
        let field = |name: &str| {
            let field = form.children().find(|field| field.attr("var") == Some(name));
            field.and_then(|field| field.get_child("value", FORMS)).map(Element::text)
        };
        assert_eq!(field("jid").as_deref(), Some(SERVICE), "{text}");
        Self {
            node: field("node").filter(|node| !node.is_empty()).unwrap_or_else(|| panic!("no node: {text}")),
            secret: field("secret").filter(|it| !it.is_empty()).unwrap_or_else(|| panic!("no secret: {text}")),
        }
    }
}

/// The command that registers a device, in the dialect of Conversations; `action` is an attribute, or nothing.
pub(crate) fn register_command(service: &str, action: &str, device_id: &str, token: &str) -> String {
    format!(
        "<command xmlns='{COMMANDS}' node='register-push-{service}' {action}><x xmlns='{FORMS}' type='submit'>\
         <field var='token'><value>{token}</value></field>\
         <field var='android-id'><value>{device_id}</value></field></x></command>"
    )
}

/// Registers a device.
pub(crate) async fn register(client: &mut Client, service: &str, token: &str) -> Device {
    let command = register_command(service, "action='execute'", "92afd7a91cdba9a0", token);
    Device::from_answer(&client.iq("set", Some(SERVICE), &command).await)
}

/// Alice's phone registers its device, enables push at her server, acknowledges all that came and loses its network.
pub(crate) async fn goes_away(host: &Server, service: &str, token: &str) -> Session {
    let mut phone = online(host, "alice", "phone").await;
    let Device { node, secret } = register(&mut phone, service, token).await;
    let enable = format!(
        "<enable xmlns='urn:xmpp:push:0' jid='{SERVICE}' node='{node}'><x xmlns='jabber:x:data' type='submit'>\
         <field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
         <field var='secret'><value>{secret}</value></field></x></enable>"
    );
    assert_eq!(refusal(&phone.iq("set", None, &enable).await), None);
    phone.acknowledge_all().await;
    phone.lose_connection().expect("a session that can be resumed")
}

/// Bob writes to Alice.
pub(crate) async fn message_from_bob(host: &Server, id: &str) {
    let mut bob = online(host, "bob", "desk").await;
    let body = "This text stays between bob and alice";
    bob.send(&format!("<message type='chat' id='{id}' to='alice@{HOST}'><body>{body}</body></message>")).await;
    bob.close().await;
}

/// Alice's phone is back, on the same session, and finds the message.
pub(crate) async fn reads_the_message(host: &Server, session: Session, id: &str) {
    let mut phone = Client::resume(host.c2s_port(), &format!("alice@{HOST}/phone"), PASSWORD, session).await;
    phone.wait_for("the message", |it| it.name() == "message" && it.attr("id") == Some(id)).await;
    phone.close().await;
}

/// An iq of type set to us from a user of the foreign server.
pub(crate) fn foreign_iq(id: &str, user: &str, payload: &str) -> String {
    format!("<iq type='set' id='{id}' from='{user}@{FOREIGN}/phone' to='{SERVICE}'>{payload}</iq>")
}

/// A publish as Prosody's `mod_cloud_notify` writes it, from the foreign server.
pub(crate) fn foreign_publish(id: &str, device: &Device) -> String {
    let Device { node, secret } = device;
    format!(
        "<iq type='set' id='{id}' from='{FOREIGN}' to='{SERVICE}'>\
         <pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{node}'><item>\
         <notification xmlns='urn:xmpp:push:0'><x xmlns='{FORMS}' type='form'>\
         <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:push:summary</value></field>\
         <field var='message-count' type='text-single'><value>1</value></field>\
         <field var='pending-subscription-count' type='text-single'/>\
         <field var='last-message-sender' type='jid-single'/>\
         <field var='last-message-body' type='text-single'><value>New Message!</value></field></x></notification>\
         </item></publish><publish-options><x xmlns='{FORMS}' type='submit'>\
         <field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
         <field var='secret'><value>{secret}</value></field></x></publish-options></pubsub></iq>"
    )
}

/// Whether a line of pushkeeper's log is a push of the stub.
pub(crate) fn is_push(line: &str) -> bool {
    line.contains("stub: the phone")
}

/// The error an answer carries, as `type/condition`; `None` for a result.
pub(crate) fn refusal(answer: &Element) -> Option<String> {
    let error = answer.children().find(|child| child.name() == "error")?;
    let condition = error.children().next().map_or("", Element::name);
    Some(format!("{}/{condition}", error.attr("type").unwrap_or_default()))
}
