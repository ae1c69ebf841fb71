//! Listens to the log at every level while devices register and pushes go out, go wrong and come to nothing: no
//! token, no secret and nobody's words may come by.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

use crate::support::vendor::{Answer, Behaviour};
use crate::whole_rig::{Whole, publish, register};

/// Writes down everything that is logged, by whatever crate.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<String>>);

impl Subscriber for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        attributes.record(&mut Writer(self));
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut Writer(self));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Writer(self));
        self.0.lock().unwrap().push_str(event.metadata().target());
        self.0.lock().unwrap().push('\n');
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Writer<'a>(&'a Listener);

impl Visit for Writer<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0.0.lock().unwrap(), "{field}={value:?} ").unwrap();
    }
}

#[test]
fn nothing_that_is_secret_is_ever_logged() {
    let listener = Listener::default();
    // On one thread, and for it only: other tests log too.
    let _listening = tracing::subscriber::set_default(listener.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut secrets = runtime.block_on(a_busy_day());
    secrets.extend(["juliet-the-sender", "the-words-of-the-body", crate::support::host::SECRET].map(str::to_owned));

    let log = listener.0.lock().unwrap().clone();
    for secret in secrets {
        assert!(!secret.is_empty());
        let found = log.lines().find(|line| line.contains(&secret));
        assert_eq!(found, None, "a secret was logged");
    }
    // It did listen: to us, and to those we use.
    for target in ["pushkeeper::app", "pushkeeper::xmpp", "pushkeeper::driver", "h2::"] {
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
