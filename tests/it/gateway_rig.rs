//! What the tests of the gateways share: apps on the stand-in, pushes, and a switchboard between them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pushkeeper::clock::Clock;
use pushkeeper::domain::app::Style;
use pushkeeper::domain::class::Class;
use pushkeeper::domain::ids::Domain;
use pushkeeper::domain::ids::{Account, AppName, DeviceHash, Node, PushId};
use pushkeeper::domain::look::Look;
use pushkeeper::domain::outcome::{Outcome, Verdict};
use pushkeeper::domain::pattern::DomainPattern;
use pushkeeper::domain::push::{Content, Push, ttl};
use pushkeeper::domain::secret::DeviceToken;
use pushkeeper::gateway::apns::{self, Apns, Auth, Environment};
use pushkeeper::gateway::fcm::{self, Fcm};
use pushkeeper::gateway::pool::Limits;
use pushkeeper::gateway::webpush::{self, WebPush};
use pushkeeper::gateway::{AppGateway, Gateways};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::vendor::Vendor;

/// Long enough for a busy machine; no test waits for it unless it fails.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The app of [`push`].
pub(crate) const APP: &str = "chat";

pub(crate) fn limits() -> Limits {
    let (backoff_first, probation) = (Duration::from_millis(10), Duration::from_millis(20));
    Limits { backoff_first, probation, ..Limits::default() }
}

pub(crate) fn token_auth(vendor: &Vendor) -> Auth {
    let keys = vendor.keys();
    Auth::Token { key: keys.p8_pem.clone().into_bytes(), key_id: keys.key_id.clone(), team_id: keys.team_id.clone() }
}

pub(crate) fn apns_settings(vendor: &Vendor, limits: Limits) -> apns::Settings {
    apns::Settings {
        environment: Environment::Production,
        endpoint: Some(vendor.url().parse().unwrap()),
        ca: Some(vendor.keys().ca_pem.clone().into_bytes()),
        topic: "org.example.chat".into(),
        auth: token_auth(vendor),
        style: Style::Generic,
        look: Look::PLAIN,
        important_body: "New Message!".into(),
        limits,
    }
}

pub(crate) fn apns(vendor: &Vendor, limits: Limits) -> Apns {
    Apns::new(apns_settings(vendor, limits), Clock::system()).unwrap()
}

pub(crate) fn fcm_settings(vendor: &Vendor, limits: Limits) -> fcm::Settings {
    fcm::Settings {
        endpoint: Some(vendor.url().parse().unwrap()),
        token_endpoint: None,
        ca: Some(vendor.keys().ca_pem.clone().into_bytes()),
        service_account: vendor.keys().service_account.clone().into_bytes(),
        style: Style::Generic,
        look: Look::PLAIN,
        limits,
    }
}

pub(crate) fn fcm(vendor: &Vendor, limits: Limits) -> Fcm {
    Fcm::new(fcm_settings(vendor, limits), Clock::system()).unwrap()
}

/// Hosts `push.test` and `slow.test`, both of them the stand-in. No name is ever looked up.
pub(crate) fn webpush_settings(vendor: &Vendor) -> webpush::Settings {
    let hosts = ["push.test", "slow.test"];
    webpush::Settings {
        vapid_key: vendor.keys().p8_pem.clone().into_bytes(),
        vapid_subject: "mailto:ops@example.org".into(),
        allow_hosts: hosts.map(|host| DomainPattern::Exactly(Domain::new(host))).into(),
        silent: false,
        ca: Some(vendor.keys().ca_pem.clone().into_bytes()),
        connect_to: hosts.map(|host| (host.to_owned(), vendor.address())).into(),
        lookup: Arc::new(|_| Box::pin(async { Err(std::io::Error::other("a name was looked up")) })),
        limits: webpush::Limits::default(),
    }
}

pub(crate) fn webpush(vendor: &Vendor) -> WebPush {
    WebPush::new(webpush_settings(vendor), Clock::system()).unwrap()
}

/// An important push without content, to the token `t-ID`.
pub(crate) fn push(id: u64) -> Push {
    Push {
        id: PushId(id),
        app: AppName::new(APP),
        node: Node::new(format!("node-{id}")),
        generation: 1,
        token: DeviceToken::new(format!("t-{id}")),
        voip_token: None,
        owner: Account::new("romeo@example.org"),
        account: DeviceHash::of("romeo@example.org", "92afd7a91cdba9a0"),
        channel: None,
        class: Class::Important,
        content: Arc::new(Content::default()),
        ttl: ttl(Class::Important),
    }
}

/// A switchboard with one app.
pub(crate) struct Rig {
    pub(crate) gateways: Gateways,
    verdicts: mpsc::Receiver<Vec<Verdict>>,
}

impl Rig {
    pub(crate) fn start(app: AppGateway, slots: usize) -> Self {
        let (out, verdicts) = mpsc::channel(8);
        Self { gateways: Gateways::start(vec![(AppName::new(APP), app)], slots, out, Clock::system()), verdicts }
    }

    pub(crate) fn apns(vendor: &Vendor, limits: Limits) -> Self {
        Self::start(AppGateway::Apns(Box::new(apns(vendor, limits))), 4096)
    }

    pub(crate) fn fcm(vendor: &Vendor, limits: Limits) -> Self {
        Self::start(AppGateway::Fcm(Box::new(fcm(vendor, limits))), 4096)
    }

    pub(crate) fn deliver(&self, pushes: impl IntoIterator<Item = Push>) {
        self.gateways.deliver(&AppName::new(APP), pushes.into_iter().collect());
    }

    /// The next `count` verdicts by push; fails if one comes twice, or too few come.
    pub(crate) async fn verdicts(&mut self, count: usize) -> BTreeMap<u64, Outcome> {
        let mut found = BTreeMap::new();
        while found.len() < count {
            let batch = timeout(SOON, self.verdicts.recv()).await;
            let batch = batch.unwrap_or_else(|_| panic!("{} verdicts of {count} came", found.len())).unwrap();
            for verdict in batch {
                let twice = found.insert(verdict.push.0, verdict.outcome);
                assert_eq!(twice, None, "two verdicts on push {}", verdict.push.0);
            }
        }
        found
    }

    /// Ends it, and checks that nothing comes after the last verdict.
    pub(crate) async fn end(mut self) {
        self.gateways.shutdown(SOON).await;
        assert_eq!(self.verdicts.recv().await, None);
    }
}

pub(crate) fn assert_all_accepted(verdicts: &BTreeMap<u64, Outcome>) {
    let refused: Vec<_> = verdicts.iter().filter(|(_, outcome)| **outcome != Outcome::Accepted).take(3).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

/// The reason of an outcome of that name.
#[track_caller]
pub(crate) fn reason<'a>(outcome: &'a Outcome, name: &str) -> &'a str {
    assert_eq!(outcome.name(), name, "{outcome:?}");
    outcome.reason().unwrap_or_default()
}
