//! Nothing that a gateway holds in trust reaches the log, at any level, from us or from what we stand on.

use std::io;
use std::sync::{Arc, Mutex};

use pushkeeper::domain::outcome::Outcome;
use pushkeeper::domain::push::{Content, Push, Sealed};
use pushkeeper::domain::secret::{DeviceToken, Private};
use pushkeeper::gateway::stub::Stub;
use tracing_subscriber::fmt::MakeWriter;

use crate::gateway_rig::{apns, fcm, limits, push, webpush};
use crate::support::vendor::webpush::Browser;
use crate::support::vendor::{Answer, Behaviour, Options, Vendor};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn tokens_and_words_are_never_logged() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    // This test's runtime has one thread, so all of it is heard, and nothing of other tests.
    let _guard = tracing::subscriber::set_default(subscriber);

    let vendor = Vendor::start(Options::default()).await;
    let (apns, fcm) = (apns(&vendor, limits()), fcm(&vendor, limits()));
    let content = Content {
        count: Some(3),
        sender: Some(Private::new("sender-in-trust")),
        body: Some(Private::new("body-in-trust")),
        nickname: Some(Private::new("nickname-in-trust")),
        sealed: Some(Sealed { iv: "iv".into(), payload: Private::new("sealed-in-trust"), voip: false }),
    };
    let push = Push { token: DeviceToken::new("token-in-trust"), content: Arc::new(content), ..push(1) };
    assert_eq!(Stub.send(&push).await, Outcome::Accepted);
    for _ in 0..2 {
        assert_eq!(apns.send(&push).await, Outcome::Accepted);
        assert_eq!(fcm.send(&push).await, Outcome::Accepted);
    }
    let (webpush, browser) = (webpush(&vendor), Browser::at("push.test", "endpoint-in-trust"));
    let page = Push { token: DeviceToken::new(browser.token()), ..push.clone() };
    assert_eq!(webpush.send(&page).await, Outcome::Accepted);
    vendor.always("endpoint-in-trust", Behaviour::Cut);
    let cut = webpush.send(&page).await;
    assert!(cut.name() == "unavailable" && !format!("{cut:?}").contains("in-trust"), "{cut:?}");
    vendor.next(Behaviour::Answer(Answer::gone(1)));
    assert_eq!(apns.send(&push).await.name(), "gone");
    vendor.always("token-in-trust", Behaviour::Cut);
    assert_eq!(apns.send(&push).await.name(), "unavailable");

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("stub: the phone shows a message, with body, with sender, sealed"), "the log was heard");
    assert!(log.contains("h2"), "and so were the layers beneath");
    let provider_token = vendor.pushes()[0].header("authorization").trim_start_matches("bearer ").to_owned();
    let vapid =
        vendor.pushes().iter().find_map(|push| Some(push.header("authorization").strip_prefix("vapid t=")?.to_owned()));
    let vapid = vapid.unwrap().split(',').next().unwrap_or_default().to_owned();
    let (p256dh, auth) = (browser.p256dh(), browser.auth());
    let secrets = ["in-trust", "access-token-", "PRIVATE KEY", "assertion=", &provider_token, &vapid, &p256dh, &auth];
    for secret in secrets {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} was logged");
    }
}
