//! What the stories stand on: a host with a bridge, a linked pushkeeper, stand-ins for the vendors and for two push
//! services of third parties, and people.
//!
//! alice is whom the stories are about, bob writes and is pushkeeper's admin, carol is the marker: she is never online, and what is written to
//! her is pushed to a service of her own. What had to be pushed before a push to her has been pushed by then.

use pushkeeper::clock::Clock;

use crate::client::{Client, Session};
use crate::daemon::Daemon;
use crate::server::{HOST, PASSWORD, Pusher, SERVICE, Server, Tune, Wanted};
use crate::service::Service;
use crate::steps::{self, Device, refusal};
use crate::tap::Tap;
use crate::vendors::Vendors;

/// The push service of somebody else; it has users as well, who are not ours.
pub(crate) const THIRD: &str = "third.localhost";

/// The push service that carol uses.
const MARKER: &str = "marker.localhost";

/// A device token of APNs.
pub(crate) const TOKEN: &str = "ac4089a5c1f0ac4089a5c1f0ac4089a5c1f0ac4089a5c1f0ac4089a5c1f00001";

/// What a story wants to be different.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting<'a> {
    /// Whether the host archives messages (XEP-0313).
    pub(crate) archive: bool,
    /// Whether the host keeps messages for those who are offline.
    pub(crate) offline: bool,
    /// The host's own resumption window, in seconds.
    pub(crate) host_window: u32,
    /// When the host calls an acknowledgement overdue, in seconds.
    pub(crate) ack_delay: u32,
    /// Whether the host has a bridge.
    pub(crate) bridge: bool,
    /// `rules.burst_window`.
    pub(crate) burst_window: &'a str,
    /// More of `[rules]`.
    pub(crate) rules: &'a str,
    /// All of `[sessions]`.
    pub(crate) sessions: &'a str,
    /// More sections.
    pub(crate) more: &'a str,
}

impl Default for Setting<'_> {
    fn default() -> Self {
        Self {
            archive: true,
            offline: true,
            host_window: 600,
            ack_delay: 30,
            bridge: true,
            burst_window: "300ms",
            rules: "",
            sessions: "",
            more: "",
        }
    }
}

/// The host of a story, and nothing else.
pub(crate) async fn host(setting: &Setting<'_>) -> Server {
    let archive = if setting.archive { None } else { Some("mam") };
    let offline = if setting.offline { None } else { Some("offline") };
    let without: Vec<&str> = archive.into_iter().chain(offline).collect();
    let Setting { host_window, ack_delay, .. } = setting;
    Server::start(&Wanted {
        users: &["alice", "bob", "carol", "dave"],
        components: &[SERVICE, THIRD, MARKER],
        options: &[Tune::Window(*host_window), Tune::AckDelay(*ack_delay)],
        pusher: if setting.bridge { Pusher::Bridge } else { Pusher::Neither },
        without: &without,
        ..Wanted::default()
    })
    .await
}

/// Everything that takes part.
pub(crate) struct Scene {
    pub(crate) daemon: Daemon,
    pub(crate) tap: Tap,
    pub(crate) vendors: Vendors,
    /// The push service [`THIRD`].
    pub(crate) third: Service,
    /// Online, but nothing that could be resumed.
    pub(crate) bob: Client,
    pub(crate) host: Server,
    marker: Service,
    /// Messages to carol so far.
    marks: usize,
    links: usize,
    /// How often the host was asked for all there is until it was linked: twice if its bridge said hello in between.
    first_syncs: usize,
}

impl Scene {
    /// The scene as most stories want it.
    pub(crate) async fn start() -> Self {
        Self::set(&Setting::default()).await
    }

    /// The scene as this story wants it; the host and pushkeeper are linked.
    pub(crate) async fn set(setting: &Setting<'_>) -> Self {
        let clock = Clock::system();
        let (host, vendors) = (host(setting).await, Vendors::start().await);
        let tap = Tap::start(host.component_port(), &clock).await;
        let third = Service::connect(host.component_port(), THIRD, PASSWORD, &clock).await;
        let marker = Service::connect(host.component_port(), MARKER, PASSWORD, &clock).await;
        let bob = come(&host, "bob", "desk").await;
        let daemon = Daemon::start(&configuration(setting, &tap, &vendors));
        let mut scene = Self { daemon, tap, vendors, third, bob, host, marker, marks: 0, links: 0, first_syncs: 0 };
        scene.wait_for_link().await;
        let mut carol = come(&scene.host, "carol", "phone").await;
        assert_eq!(refusal(&carol.enable_push(MARKER, "marker", "").await), None);
        carol.close().await;
        scene.first_syncs = scene.tap.orders("sync").len();
        scene
    }

    /// Waits until host and pushkeeper are linked once more, snapshot and all.
    pub(crate) async fn wait_for_link(&mut self) {
        self.links += 1;
        let links = self.links;
        self.tap.wait_until(&format!("link number {links}"), |tap| snapshots(tap) >= links).await;
    }

    /// The next link is one more than there were by now: a bridge that has just started has itself asked for all again.
    fn count_links(&mut self) {
        self.links = snapshots(&self.tap);
    }

    /// A user comes online; the session can be resumed. It has to be read from, or it does not acknowledge.
    pub(crate) async fn online(&self, user: &str, resource: &str) -> Client {
        steps::online(&self.host, user, resource).await
    }

    /// A user comes online, without XEP-0198: nothing is expected of it.
    pub(crate) async fn plain(&self, user: &str, resource: &str) -> Client {
        come(&self.host, user, resource).await
    }

    /// alice's phone: online, and registered with the node `phone` of the third party's push service.
    pub(crate) async fn phone(&self) -> Client {
        let mut phone = self.online("alice", "phone").await;
        self.enable(&mut phone, "phone").await;
        phone
    }

    /// Registers a client with the third party's push service.
    pub(crate) async fn enable(&self, client: &mut Client, node: &str) {
        let answer = client.enable_push(THIRD, node, "").await;
        assert_eq!(refusal(&answer), None, "{}", String::from(&answer));
    }

    /// Registers a device with our own push service, and the client with that.
    pub(crate) async fn enable_ours(&self, client: &mut Client, token: &str) {
        let device = steps::register(client, "apns", token).await;
        let answer = client.enable_push(SERVICE, &device.node, &secret(&device)).await;
        assert_eq!(refusal(&answer), None, "{}", String::from(&answer));
    }

    /// The client acknowledges all that came and loses its network; the host has noticed.
    pub(crate) async fn reset(&self, mut client: Client) -> Session {
        client.acknowledge_all().await;
        self.reset_at_once(client).await
    }

    /// The client loses its network as it is; the host has noticed.
    pub(crate) async fn reset_at_once(&self, client: Client) -> Session {
        let user = client.jid.split('@').next().expect("a user").to_owned();
        let of_user = |tap: &Tap| {
            let events = tap.events("hibernate");
            events.iter().filter(|event| event.element.attr("user") == Some(&user)).count()
        };
        let before = of_user(&self.tap);
        let session = client.lose_connection().expect("a session that can be resumed");
        self.tap.wait_for_events("hibernate", &user, before + 1).await;
        session
    }

    /// A session of alice's phone goes on.
    pub(crate) async fn resume(&self, session: Session) -> Client {
        Client::resume(self.host.c2s_port(), &format!("alice@{HOST}/phone"), PASSWORD, session).await
    }

    /// The host refuses to let a session go on, because it is over.
    pub(crate) async fn is_over(&self, session: Session) {
        let jid = format!("alice@{HOST}/phone");
        let (_client, answer) = Client::try_to_resume(self.host.c2s_port(), &jid, PASSWORD, session).await;
        assert_eq!(answer.name(), "failed", "{}", String::from(&answer));
    }

    /// bob writes a chat message.
    pub(crate) async fn write(&mut self, to: &str, id: &str) {
        self.say(to, &format!("<body>Hello, this is {id}</body>"), id).await;
    }

    /// bob sends a chat message with this content.
    pub(crate) async fn say(&mut self, to: &str, content: &str, id: &str) {
        self.bob.send(&format!("<message type='chat' id='{id}' to='{to}@{HOST}'>{content}</message>")).await;
    }

    /// By its end, what had to be pushed for all that happened before has been pushed; what is pushed later is pushed
    /// too much.
    pub(crate) async fn quiet(&mut self) {
        // The first one's time to collect ends after all that began before it; the second one begins after that.
        for _ in 0..2 {
            let before = self.marked();
            // Another one each time: the same message is not pushed twice.
            self.marks += 1;
            self.write("carol", &format!("marker-{}", self.marks)).await;
            self.marker.wait_for(before + 1).await;
        }
    }

    /// How many pushes carol got.
    pub(crate) fn marked(&self) -> usize {
        self.marker.published().len()
    }

    /// Starts the host again, which was stopped, and all its clients and components; waits until it is linked.
    pub(crate) async fn host_again(&mut self) {
        self.count_links();
        self.host.start_again().await;
        self.third.connect_again(self.host.component_port()).await;
        self.marker.connect_again(self.host.component_port()).await;
        self.bob = come(&self.host, "bob", "desk").await;
        self.wait_for_link().await;
    }

    /// Starts pushkeeper again, which was stopped; waits until it is linked.
    pub(crate) async fn pushkeeper_again(&mut self) {
        self.count_links();
        self.daemon.start_again();
        self.wait_for_link().await;
    }

    /// How often pushkeeper has asked the host for everything since they were first linked.
    pub(crate) fn syncs(&self) -> usize {
        self.tap.orders("sync").len() - self.first_syncs
    }
}

/// How many snapshots were complete.
fn snapshots(tap: &Tap) -> usize {
    tap.events("synced").into_iter().filter(|it| it.element.attr("token").is_some()).count()
}

/// The publish-options that go with a device of ours.
fn secret(device: &Device) -> String {
    let secret = &device.secret;
    format!(
        "<x xmlns='jabber:x:data' type='submit'>\
         <field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
         <field var='secret'><value>{secret}</value></field></x>"
    )
}

async fn come(host: &Server, user: &str, resource: &str) -> Client {
    let mut client = Client::connect(host.c2s_port(), &format!("{user}@{HOST}/{resource}"), PASSWORD).await;
    client.send("<presence/>").await;
    let jid = client.jid.clone();
    client.wait_for("its own presence", |it| it.name() == "presence" && it.attr("from") == Some(&jid)).await;
    client
}

fn configuration(setting: &Setting<'_>, tap: &Tap, vendors: &Vendors) -> String {
    let Setting { burst_window, rules, sessions, more, .. } = setting;
    let (port, apps) = (tap.port(), vendors.apps());
    format!(
        r#"
[component]
jid = "{SERVICE}"
connect = "127.0.0.1:{port}"
secret = "{PASSWORD}"
admins = ["bob@{HOST}"]

[store]
path = "$DIR/store"

[[hosts]]
domain = "{HOST}"

[register]
rate_per_account = "0"
rate_per_domain = "0"

[log]
level = "info,pushkeeper::decisions=debug"

[rules]
burst_window = "{burst_window}"
{rules}

[sessions]
{sessions}
{more}
{apps}"#
    )
}
