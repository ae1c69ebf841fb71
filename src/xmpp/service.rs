//! Who we are: what we say of ourselves (XEP-0030), whose bridges we listen to, and how our orders are named. Made once;
//! whom we serve can change meanwhile.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use xmpp_parsers::disco::{DiscoInfoResult, DiscoItemsResult, Identity, Item};
use xmpp_parsers::jid::Jid;
use xmpp_parsers::minidom::Element;

use super::answer::StanzaError;
use super::signal::words::digits;
use super::{adhoc, ns, register};
use crate::domain::app::App;
use crate::domain::ids::{Account, AppName, Domain};
use crate::flows::data::commands::Name;
use crate::flows::signals::OrderId;

/// Who we are and what we can do.
#[derive(Debug)]
pub struct Service {
    jid: Domain,
    served: RwLock<Served>,
    /// What the ids of this process's orders begin with: the answer to one of a former process is none to us.
    orders: Box<str>,
}

/// Whom we serve.
#[derive(Debug, Default)]
struct Served {
    offers: Vec<Offer>,
    hosts: BTreeMap<Box<str>, Domain>,
    admins: Vec<Account>,
}

/// An app, as clients look for it.
#[derive(Debug)]
struct Offer {
    app: AppName,
    provider_ids: Vec<String>,
    /// Whether its credentials work, as far as we know.
    works: bool,
}

impl Service {
    /// The service at this JID, which serves these apps: their provider ids are features beside the fixed ones.
    pub fn new<'a>(jid: Domain, apps: impl IntoIterator<Item = &'a App>) -> Self {
        let served = Served { offers: offers(apps), ..Served::default() };
        // Without randomness they are named by the process, which is as good except after a restart of the machine.
        let orders = getrandom::u32().unwrap_or_else(|_| std::process::id());
        Self { jid, served: RwLock::new(served), orders: format!("o-{orders:08x}-").into() }
    }

    /// The same service, which listens to the bridges of these hosts.
    #[must_use]
    pub fn with_hosts(self, hosts: impl IntoIterator<Item = Domain>) -> Self {
        self.write().hosts = by_name(hosts);
        self
    }

    /// The same service, which these accounts may administer.
    #[must_use]
    pub fn with_admins(self, admins: impl IntoIterator<Item = Account>) -> Self {
        self.write().admins = admins.into_iter().collect();
        self
    }

    /// From now on it serves these apps, hosts and admins. Whether an app's credentials work is known from before; those
    /// of a new one do, as far as we know.
    pub fn serve<'a>(
        &self,
        apps: impl IntoIterator<Item = &'a App>,
        hosts: impl IntoIterator<Item = Domain>,
        admins: impl IntoIterator<Item = Account>,
    ) {
        let mut new = Served { offers: offers(apps), hosts: by_name(hosts), admins: admins.into_iter().collect() };
        let mut served = self.write();
        for offer in &mut new.offers {
            offer.works = served.offers.iter().find(|known| known.app == offer.app).is_none_or(|known| known.works);
        }
        *served = new;
    }

    /// From now on an app's provider ids are features of ours, or no longer. Clients take a service that names theirs for
    /// their own: without working credentials it would take their pushes away.
    pub fn offer(&self, app: &AppName, works: bool) {
        for offer in self.write().offers.iter_mut().filter(|offer| offer.app == *app) {
            offer.works = works;
        }
    }

    /// The provider ids of the apps whose credentials work, in order.
    #[must_use]
    pub fn provider_ids(&self) -> Vec<String> {
        let served = self.read();
        let working = served.offers.iter().filter(|offer| offer.works);
        let mut ids: Vec<String> = working.flat_map(|offer| offer.provider_ids.iter().cloned()).collect();
        ids.sort();
        ids
    }

    /// The host of that name, if it is one whose bridge we listen to.
    #[must_use]
    pub fn host(&self, domain: &str) -> Option<Domain> {
        self.read().hosts.get(domain).cloned()
    }

    /// Whether that account may use every command.
    #[must_use]
    pub fn is_admin(&self, account: &Account) -> bool {
        self.read().admins.contains(account)
    }

    // Nobody holds the lock for longer than it takes to look: the link's task never waits for it.
    fn read(&self) -> RwLockReadGuard<'_, Served> {
        self.served.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Served> {
        self.served.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The `id` of an order's iq.
    #[must_use]
    pub fn wire_id(&self, order: OrderId) -> String {
        format!("{}{}", self.orders, order.0)
    }

    /// The order whose iq has this `id`, if it is one of this process.
    #[must_use]
    pub fn order(&self, wire_id: &str) -> Option<OrderId> {
        wire_id.strip_prefix(&*self.orders).and_then(digits).map(OrderId)
    }

    /// The component's own JID.
    #[must_use]
    pub const fn jid(&self) -> &Domain {
        &self.jid
    }

    /// The content of the answer to disco#info about a node.
    ///
    /// # Errors
    ///
    /// There is no such node.
    pub fn info(&self, node: Option<&str>) -> Result<String, StanzaError> {
        match node.unwrap_or_default() {
            "" => Ok(String::from(&Element::from(DiscoInfoResult {
                node: None,
                identities: vec![identity("pubsub", "push")],
                features: self.features().collect(),
                extensions: Vec::new(),
            }))),
            ns::COMMANDS => Ok(String::from(&Element::from(DiscoInfoResult {
                node: Some(ns::COMMANDS.to_owned()),
                identities: vec![identity("automation", "command-list")],
                features: [ns::DISCO_INFO.to_owned(), ns::DISCO_ITEMS.to_owned()].into(),
                extensions: Vec::new(),
            }))),
            // The commands of apps: known to those who know them, though not listed.
            command if register::is_command(command) => Ok(String::from(&Element::from(DiscoInfoResult {
                node: Some(command.to_owned()),
                identities: vec![identity("automation", "command-node")],
                features: [ns::COMMANDS.to_owned(), ns::DATA_FORM.to_owned()].into(),
                extensions: Vec::new(),
            }))),
            node => match adhoc::name(node) {
                Some(name) => Ok(String::from(&Element::from(DiscoInfoResult {
                    node: Some(node.to_owned()),
                    identities: vec![Identity {
                        name: Some(name.title().into()),
                        ..identity("automation", "command-node")
                    }],
                    features: [ns::COMMANDS.to_owned(), ns::DATA_FORM.to_owned()].into(),
                    extensions: Vec::new(),
                }))),
                None => Err(StanzaError::ITEM_NOT_FOUND),
            },
        }
    }

    fn features(&self) -> impl Iterator<Item = String> {
        let fixed = [ns::DISCO_INFO, ns::DISCO_ITEMS, ns::COMMANDS, ns::PUSH, ns::PING];
        fixed.into_iter().map(str::to_owned).chain(self.provider_ids())
    }

    /// The content of the answer to disco#items of a node, for who asks by bare JID: the commands that they may use. Those
    /// of apps can be executed but are not listed; people have no use for them.
    ///
    /// # Errors
    ///
    /// There is no such node.
    pub fn items(&self, node: Option<&str>, asker: &str) -> Result<String, StanzaError> {
        let answer = |node: Option<&str>, items| {
            let items = DiscoItemsResult { node: node.map(str::to_owned), items, rsm: None };
            Ok(String::from(&Element::from(items)))
        };
        match node.unwrap_or_default() {
            "" => answer(None, Vec::new()),
            ns::COMMANDS => answer(node, self.commands(asker).collect()),
            node if adhoc::name(node).is_some() => answer(Some(node), Vec::new()),
            _ => Err(StanzaError::ITEM_NOT_FOUND),
        }
    }
}

impl Service {
    /// The commands that this account, by bare JID, may use.
    fn commands(&self, asker: &str) -> impl Iterator<Item = Item> {
        let is_admin = self.is_admin(&Account::new(asker));
        // What is written as the JID of an item is the component itself, which is one.
        let jid = Jid::new(self.jid.as_str()).ok().filter(|_| asker.contains('@'));
        let names = Name::ALL.into_iter().filter(move |name| is_admin || name.is_for_owners());
        names.filter_map(move |name| {
            Some(Item { jid: jid.clone()?, node: Some(adhoc::node(name)), name: Some(name.title().to_owned()) })
        })
    }
}

/// The apps that clients can look for.
fn offers<'a>(apps: impl IntoIterator<Item = &'a App>) -> Vec<Offer> {
    let offer = |app: &App| Offer {
        app: app.name.clone(),
        provider_ids: app.provider_ids().map(str::to_owned).collect(),
        works: true,
    };
    apps.into_iter().map(offer).collect()
}

fn by_name(hosts: impl IntoIterator<Item = Domain>) -> BTreeMap<Box<str>, Domain> {
    hosts.into_iter().map(|host| (host.as_str().into(), host)).collect()
}

fn identity(category: &str, kind: &str) -> Identity {
    Identity { category: category.into(), type_: kind.into(), lang: None, name: Some("pushkeeper".into()) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::app::{Provider, Style};

    fn app(name: &str, aliases: &[&str]) -> App {
        App {
            name: AppName::new(name),
            provider: Provider::Apns,
            aliases: aliases.iter().map(|&alias| alias.into()).collect(),
            default: false,
            style: Style::Tigase,
            token_nodes: false,
            allow_hosts: Vec::new(),
            fingerprint: 0,
        }
    }

    fn read_info(service: &Service, node: Option<&str>) -> DiscoInfoResult {
        let element: Element = service.info(node).expect("a node").parse().expect("XML");
        DiscoInfoResult::try_from(element).expect("an answer to disco#info")
    }

    #[test]
    fn a_provider_id_is_a_feature_while_its_app_works() {
        let apps = [app("siskin", &["tigase:messenger:apns:1"]), app("stork", &["fcm-xmpp-api", "snikket:apns:1"])];
        let service = Service::new(Domain::new("push.example.net"), &apps);
        let info = read_info(&service, None);
        let identity = info.identities.first().unwrap();
        assert_eq!((&*identity.category, &*identity.type_), ("pubsub", "push"));
        assert_eq!(identity.name.as_deref(), Some("pushkeeper"));
        let fixed = [
            "http://jabber.org/protocol/commands",
            "http://jabber.org/protocol/disco#info",
            "http://jabber.org/protocol/disco#items",
            "urn:xmpp:ping",
            "urn:xmpp:push:0",
        ];
        let (siskin, stork) = ("tigase:messenger:apns:1", ["fcm-xmpp-api", "snikket:apns:1"]);
        let rows: [(&str, bool, &[&str]); 5] = [
            ("nobody", false, &[stork[0], stork[1], siskin]),
            ("siskin", false, &stork),
            ("siskin", false, &stork),
            ("stork", false, &[]),
            ("siskin", true, &[siskin]),
        ];
        for (name, works, ids) in rows {
            service.offer(&AppName::new(name), works);
            let expected: BTreeSet<String> = fixed.iter().chain(ids).map(|&id| id.to_owned()).collect();
            assert_eq!(read_info(&service, None).features, expected, "{name} {works}");
            assert_eq!(service.info(Some("")), service.info(None));
            assert_eq!(service.provider_ids(), ids, "{name} {works}");
        }
    }

    #[test]
    fn commands_of_every_dialect_are_nodes() {
        let service = Service::new(Domain::new("push.example.net"), []);
        for command in ["register-push-fcm", "unregister-push-webpush", "register-device", "v1-unregister-push"] {
            let info = read_info(&service, Some(command));
            assert_eq!(info.node.as_deref(), Some(command));
            let identity = info.identities.first().unwrap();
            assert_eq!((&*identity.category, &*identity.type_), ("automation", "command-node"), "{command}");
        }
    }

    #[test]
    fn nodes_that_exist_and_others() {
        let service = Service::new(Domain::new("push.example.net"), []);
        let list = DiscoInfoResult::try_from(service.info(Some(ns::COMMANDS)).unwrap().parse::<Element>().unwrap());
        assert_eq!(
            list.unwrap().identities.first().map(|identity| identity.type_.clone()).as_deref(),
            Some("command-list")
        );
        for node in [None, Some(""), Some(ns::COMMANDS)] {
            let items =
                DiscoItemsResult::try_from(service.items(node, "romeo").unwrap().parse::<Element>().unwrap()).unwrap();
            assert_eq!(
                (items.items.len(), items.node.as_deref()),
                (0, node.filter(|node| !node.is_empty())),
                "{node:?}"
            );
        }
        assert_eq!(service.info(Some("x")), Err(StanzaError::ITEM_NOT_FOUND));
        assert_eq!(service.items(Some("x"), "romeo"), Err(StanzaError::ITEM_NOT_FOUND));
    }

    #[test]
    fn only_this_processes_orders_are_known_by_their_ids() {
        let service = Service::new(Domain::new("push.example.net"), []);
        let id = service.wire_id(OrderId(17));
        assert_eq!((id.len(), &id[..2], &id[10..]), (13, "o-", "-17"));
        let prefix = &id[..11];
        let rows = [
            (id.clone(), Some(17)),
            (format!("{prefix}18446744073709551615"), Some(u64::MAX)),
            (prefix.to_owned(), None),
            (format!("{prefix}+17"), None),
            (format!("{prefix}18446744073709551616"), None),
            (id.replace("o-", "p-"), None),
            ("o-0000000-17".to_owned(), None),
            ("pushkeeper-alive".to_owned(), None),
        ];
        for (id, order) in rows {
            assert_eq!(service.order(&id), order.map(OrderId), "{id}");
        }
    }

    #[test]
    fn only_configured_hosts_are_listened_to() {
        let service = Service::new(Domain::new("push.example.net"), []);
        assert_eq!(service.host("example.org"), None);
        let service = service.with_hosts(["example.org", "example.com"].map(Domain::new));
        assert_eq!(service.host("example.org"), Some(Domain::new("example.org")));
        assert_eq!((service.host("example.net"), service.host("alice@example.org")), (None, None));
    }

    #[test]
    fn whom_it_serves_can_change() {
        let admin = |name: &str| Account::new(format!("{name}@example.org"));
        let apps = [app("siskin", &["siskin:1"]), app("stork", &["stork:1"])];
        let service = Service::new(Domain::new("push.example.net"), &apps)
            .with_hosts([Domain::new("example.org")])
            .with_admins([admin("old")]);
        service.offer(&AppName::new("siskin"), false);
        assert_eq!(service.provider_ids(), ["stork:1"]);
        assert_eq!((service.is_admin(&admin("old")), service.is_admin(&admin("new"))), (true, false));

        let apps = [app("siskin", &["siskin:2"]), app("monal", &["monal:1"])];
        service.serve(&apps, [Domain::new("example.com")], [admin("new")]);
        assert_eq!(service.provider_ids(), ["monal:1"], "what is known of credentials stays");
        service.offer(&AppName::new("siskin"), true);
        service.offer(&AppName::new("stork"), true);
        assert_eq!(service.provider_ids(), ["monal:1", "siskin:2"]);
        assert_eq!(
            (service.host("example.org"), service.host("example.com")),
            (None, Some(Domain::new("example.com")))
        );
        assert_eq!((service.is_admin(&admin("old")), service.is_admin(&admin("new"))), (false, true));
    }
}
