//! Listens to the log at every level while devices register and pushes go out, go wrong and come to nothing, and while
//! a bridge tells of an account that is watched with its content: no token, no secret and nobody's words may come by.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};

use pushkeeper::config::{Log, LogFormat};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber, span};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};

use crate::bridged::Bridge;
use crate::support::host;
use crate::support::vendor::{Answer, Behaviour};
use crate::whole_rig::{Whole, publish, register, registered, registration};

/// Writes down everything that is logged, by whatever crate.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<String>>);

impl<S: Subscriber> Layer<S> for Listener {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, _: &span::Id, _: Context<'_, S>) {
        attributes.record(&mut Writer(self));
    }

    fn on_record(&self, _: &span::Id, values: &span::Record<'_>, _: Context<'_, S>) {
        values.record(&mut Writer(self));
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut Writer(self));
        self.write(&format!("{}\n", event.metadata().target()));
    }
}

impl Listener {
    fn write(&self, text: &str) {
        self.0.lock().unwrap().push_str(text);
    }
}

struct Writer<'a>(&'a Listener);

impl Visit for Writer<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Formatted before the lock is taken: what is formatted may log, too.
        let mut text = String::new();
        write!(text, "{field}={value:?} ").unwrap();
        self.0.write(&text);
    }
}

#[test]
fn nothing_that_is_secret_is_ever_logged() {
    let listener = Listener::default();
    // As the program filters when its operator asks for all there is; on one thread, for other tests log too.
    let filter = Log { level: "trace".into(), format: LogFormat::Text }.filter();
    let subscriber = tracing_subscriber::registry().with(filter).with(listener.clone());
    let _listening = tracing::subscriber::set_default(subscriber);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut secrets = runtime.block_on(a_busy_day());
    secrets.extend(runtime.block_on(a_day_with_a_bridge()));
    secrets.extend(runtime.block_on(crate::http::a_day_of_strangers()));
    secrets.extend(["juliet-the-sender", "the-words-of-the-body", host::SECRET].map(str::to_owned));

    let log = listener.0.lock().unwrap().clone();
    for secret in secrets {
        assert!(!secret.is_empty());
        let found = log.lines().find(|line| line.contains(&secret));
        assert_eq!(found, None, "a secret was logged");
    }
    // It did listen.
    for target in ["pushkeeper::app", "pushkeeper::xmpp", "pushkeeper::driver", "pushkeeper::decisions"] {
        assert!(log.contains(target), "{target} logged nothing");
    }
}

/// Everything that may go right or wrong. Returns what must stay secret.
async fn a_busy_day() -> Vec<String> {
    let (mut whole, mut host) = Whole::start("[push]\nanswer_within = \"200ms\"").await;
    let mut secrets = Vec::new();
    let behaviours = [
        Behaviour::Answer(Answer::ok()),
        Behaviour::Answer(Answer::gone(i64::MAX / 2)),
        Behaviour::Answer(Answer::apns(403, "InvalidProviderToken")),
        Behaviour::Answer(Answer::apns(503, "ServiceUnavailable")),
        Behaviour::Never,
    ];
    for (number, behaviour) in behaviours.into_iter().enumerate() {
        for (service, name) in [("apns", "a"), ("fcm", "f")] {
            let token = format!("ba5eba11{name}0{number}");
            let device = register(&mut host, service, &format!("device-id-{name}{number}"), &token).await;
            whole.vendor.always(&token, behaviour.clone());
            for id in ["one", "two"] {
                host.send(&publish(id, &device, "juliet-the-sender@example.org", "the-words-of-the-body")).await;
                host.stanza().await;
            }
            secrets.extend([token, device.secret, device.node]);
        }
    }
    // What is no stanza, or not ours, is not copied into the log either.
    host.send("<iq type='set' id='x' from='a@b/c' to='push.example.net'><body>the-words-of-the-body</body></iq>").await;
    host.stanza().await;
    host.send("<message><body>the-words-of-the-body</wrong></message>").await;
    let host = whole.host.component().await;
    whole.stop(host).await.unwrap();

    secrets
}

/// What a bridge tells, and what becomes of it: everything that is taken, refused, pushed, relayed, answered with an
/// error or with nothing that can be understood. Returns what must stay secret.
async fn a_day_with_a_bridge() -> Vec<String> {
    let rest = "[[hosts]]\ndomain = \"example.org\"\n\
                [rules]\nwith_body = true\nwith_sender = true\nburst_window = \"20ms\"\nmax_devices = 2\n";
    let (mut whole, session) = Whole::start(rest).await;
    let mut bridge = Bridge::link(session, "example.org").await;
    let token = "ba5eba11b0b0";
    let device = registered(&bridge.ask("r-romeo", &registration("apns", "romeo", token)).await);
    let ours = format!("{}-of-ours", device.secret);
    let enabled = [
        bridge.enable("push.old.example", "node-of-old", "secret-of-old").await,
        bridge.enable(host::JID, &device.node, &device.secret).await,
        // The oldest makes room.
        bridge.enable("push.third.example", "node-of-a-third", "secret-of-a-third").await,
        bridge.enable("example.org", "node-of-nobody", "secret-of-nobody").await,
    ];
    bridge.tell("<end sid='s1' user='romeo' resource='app'/>").await;
    assert_eq!(enabled.map(|answer| answer.contains("type='result'")), [true, true, true, false]);

    let message = |id: &str, content: &str| {
        format!(
            "<message xmlns='jabber:client' type='chat' id='{id}' from='juliet-the-sender@example.org/x'>\
             <body>the-words-of-the-body</body><nick xmlns='http://jabber.org/protocol/nick'>juliet-the-sender</nick>\
             {content}</message>"
        )
    };
    let propose = "<propose xmlns='urn:xmpp:jingle-message:0' id='c1'/>";
    let stanza = |id: &str, content: &str| format!("<stanza n='1'>{}</stanza>", message(id, content));
    let error = "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>the-words-of-the-body</gone>\
                 <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>node-of-a-third, secret-of-a-third</text></error>";
    let relayed = |inside: &str| format!("<relayed xmlns='urn:pushkeeper:host:0' origin='service'>{inside}</relayed>");
    for (id, answer) in [
        ("m1", relayed("")),
        ("m2", relayed(error)),
        ("m3", format!("<what xmlns='urn:pushkeeper:host:0'>{error}</what>")),
        ("m4", "<body>the-words-of-the-body</body>".into()),
    ] {
        bridge.answers_relays(&answer);
        bridge.tell(&format!("<archived user='romeo'>{}</archived>", stanza(id, ""))).await;
        let relay = bridge.relay().await;
        assert!(relay.contains("the-words-of-the-body") && relay.contains("secret-of-a-third"), "{relay}");
    }
    bridge.answers_relays(&relayed(""));
    // Not the secret that the device has.
    bridge.enable(host::JID, &device.node, &ours).await;
    bridge.tell(&format!("<urgent user='romeo'>{}</urgent>", stanza("c", propose))).await;
    bridge.relay().await;
    // Nobody can understand these.
    for event in [
        format!("<queued sid='s' user='romeo'>{}</queued>", stanza("q", "")),
        format!("<queued sid='s' user='the-words-of-the-body@x' resource='r'>{}</queued>", stanza("q", "")),
        "<ping user='romeo' service='push.third.example' node='node-of-a-third' stamp='the-words-of-the-body'/>".into(),
        format!("<unheard-of node='node-of-a-third'>{}</unheard-of>", message("u", "")),
    ] {
        bridge.tell(&event).await;
    }
    bridge.disable("push.third.example", "node-of-a-third").await;
    let session = bridge.into_session();
    whole.stop(session).await.unwrap();
    let others = ["node-of-a-third", "secret-of-a-third", "node-of-nobody", "secret-of-nobody", "secret-of-old"];
    [token.to_owned(), device.node, device.secret, ours].into_iter().chain(others.map(str::to_owned)).collect()
}
