//! What a host kept of an `<enable/>`, and the registration it becomes.

use std::sync::Arc;

use jid::BareJid;

use super::report::Skip;
use super::xml::Element;
use crate::domain::ids::{Account, Domain};
use crate::domain::registration::{Record, Registration, RegistrationKey, Status};
use crate::domain::time::Timestamp;
use crate::flows::policy::Policy;
use crate::flows::signals::Wish;
use crate::xmpp::ns;
use crate::xmpp::signal::{wish, words};
use crate::xmpp::xml::Document;

/// What a host kept of an `<enable/>`.
pub(super) struct Draft<'a> {
    /// Before the `@` of its account.
    pub(super) user: &'a str,
    /// Behind it.
    pub(super) host: &'a str,
    /// The attribute `jid`.
    pub(super) service: Option<&'a str>,
    /// The attribute `node`.
    pub(super) node: &'a str,
    /// What stood in it, as XML: the form of publish-options, and extensions.
    pub(super) inside: &'a str,
    pub(super) client_id: Option<&'a str>,
    pub(super) resource: Option<&'a str>,
    /// When it came; `None` if nobody knows.
    pub(super) at: Option<Timestamp>,
}

impl Draft<'_> {
    /// The account, normalised.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn account(&self) -> Result<Account, Skip> {
        let parsed = BareJid::new(&format!("{}@{}", self.user, self.host));
        let account = parsed.map_err(|_| Skip::Broken("has an account that is none"))?;
        match account.node() {
            Some(user) if !user.is_empty() => Ok(Account::new(account.as_str())),
            _ => Err(Skip::Broken("has an account that is none")),
        }
    }

    /// The registration, as if that `<enable/>` came to us.
    ///
    /// # Errors
    /// It would be refused.
    pub(super) fn registration(&self, policy: &Policy, now: Timestamp) -> Result<Registration, Skip> {
        let account = self.account()?;
        let service = self.service.filter(|service| !service.is_empty()).ok_or(Skip::NoService)?;
        if !words::is_jid(service) {
            return Err(Skip::Broken("has a push service that is no JID"));
        }
        if !policy.may_be_service(&account.domain(), service) {
            return Err(Skip::LocalService);
        }
        // Read by those who read what clients send, so that it is what their next enable will be.
        let tag = Element::new(ns::PUSH, "enable").with("jid", service).with("node", self.node);
        let tag = tag.written().and_then(|tag| Some(tag.strip_suffix("</enable>")?.to_owned()));
        let text = format!("{}{}</enable>", tag.unwrap_or_default(), self.inside);
        let document = Document::parse(&text).map_err(|_| Skip::Broken("is no XML"))?;
        let Ok(Wish::Enable { service: Some(service), node, options, extensions }) = wish::one(document.root_element())
        else {
            return Err(Skip::Broken("holds more than is kept, or a key that is none"));
        };
        let at = self.at.filter(|at| at.millis() > 0).map_or(now, |at| at.min(now));
        Ok(Registration {
            key: RegistrationKey { account, service: service.into(), node },
            options,
            extensions,
            client_id: self.client_id.map(Arc::from),
            resource: self.resource.unwrap_or_default().into(),
            made: at,
            renewed: at,
            status: Status::Enabled,
            record: Record::default(),
        })
    }
}

/// A domain as an operator writes it, normalised; `None` if it is none.
#[must_use]
pub fn domain(text: &str) -> Option<Domain> {
    let parsed = BareJid::new(text).ok()?;
    (parsed.node().is_none() && !text.is_empty()).then(|| Domain::new(parsed.domain().as_str()))
}
