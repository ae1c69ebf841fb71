//! What we say of ourselves (XEP-0030), made once.

use xmpp_parsers::disco::{DiscoInfoResult, DiscoItemsResult, Identity};
use xmpp_parsers::minidom::Element;

use super::answer::StanzaError;
use super::{ns, register};
use crate::domain::ids::Domain;

/// Who we are and what we can do.
#[derive(Clone, Debug)]
pub struct Service {
    jid: Domain,
    info: String,
}

impl Service {
    /// The service at this JID, with these provider ids as features beside the fixed ones. Apps take a service that
    /// names their provider id for theirs, so name none that has no working credentials.
    pub fn new<'a>(jid: Domain, provider_ids: impl IntoIterator<Item = &'a str>) -> Self {
        let fixed = [ns::DISCO_INFO, ns::DISCO_ITEMS, ns::COMMANDS, ns::PUSH, ns::PING];
        let info = DiscoInfoResult {
            node: None,
            identities: vec![identity("pubsub", "push")],
            features: fixed.into_iter().chain(provider_ids).map(str::to_owned).collect(),
            extensions: Vec::new(),
        };
        Self { jid, info: String::from(&Element::from(info)) }
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
            "" => Ok(self.info.clone()),
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
            _ => Err(StanzaError::ITEM_NOT_FOUND),
        }
    }

    /// The content of the answer to disco#items of a node: nothing yet. The commands of apps can be executed but
    /// are not listed; people have no use for them.
    ///
    /// # Errors
    ///
    /// There is no such node.
    pub fn items(&self, node: Option<&str>) -> Result<String, StanzaError> {
        match node.unwrap_or_default() {
            "" | ns::COMMANDS => {
                let node = node.filter(|node| !node.is_empty()).map(str::to_owned);
                let items = DiscoItemsResult { node, items: Vec::new(), rsm: None };
                Ok(String::from(&Element::from(items)))
            }
            _ => Err(StanzaError::ITEM_NOT_FOUND),
        }
    }
}

fn identity(category: &str, kind: &str) -> Identity {
    Identity { category: category.into(), type_: kind.into(), lang: None, name: Some("pushkeeper".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_are_a_push_service_with_the_providers_we_have() {
        let service = Service::new(Domain::new("push.example.net"), ["tigase:messenger:apns:1"]);
        let element: Element = service.info(None).unwrap().parse().unwrap();
        let info = DiscoInfoResult::try_from(element).unwrap();
        let identity = info.identities.first().unwrap();
        assert_eq!((&*identity.category, &*identity.type_), ("pubsub", "push"));
        assert_eq!(identity.name.as_deref(), Some("pushkeeper"));
        let expected = [
            "http://jabber.org/protocol/commands",
            "http://jabber.org/protocol/disco#info",
            "http://jabber.org/protocol/disco#items",
            "tigase:messenger:apns:1",
            "urn:xmpp:ping",
            "urn:xmpp:push:0",
        ];
        assert_eq!(info.features.iter().map(String::as_str).collect::<Vec<_>>(), expected);
        assert_eq!(service.info(Some("")), service.info(None));
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
            let items = DiscoItemsResult::try_from(service.items(node).unwrap().parse::<Element>().unwrap()).unwrap();
            assert_eq!(
                (items.items.len(), items.node.as_deref()),
                (0, node.filter(|node| !node.is_empty())),
                "{node:?}"
            );
        }
        assert_eq!(service.info(Some("x")), Err(StanzaError::ITEM_NOT_FOUND));
        assert_eq!(service.items(Some("x")), Err(StanzaError::ITEM_NOT_FOUND));
    }
}
