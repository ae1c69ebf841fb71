//! Who sent a stanza.

use std::sync::Arc;

use jid::BareJid;

use crate::domain::ids::Domain;

/// Who sent a stanza, without the resource, normalised (RFC 7622).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    bare: Arc<str>,
    /// Where the domain begins.
    domain: usize,
    /// Whether there was a resource.
    pub full: bool,
}

impl Sender {
    /// Reads a JID without judging its resource: that is the host's affair, and stricter eyes than the host's would
    /// refuse people with a picture in theirs.
    #[must_use]
    pub fn read(jid: &Arc<str>) -> Option<Self> {
        // Nearly all that publish are hosts, and a plain name is normalised as it is.
        if is_plain_domain(jid) {
            return Some(Self { bare: jid.clone(), domain: 0, full: false });
        }
        let (bare, resource) = jid.split_once('/').map_or((&**jid, None), |(bare, resource)| (bare, Some(resource)));
        let known = resource.is_none_or(|resource| !resource.is_empty());
        let bare = BareJid::new(bare).ok().filter(|_| known)?;
        let domain = bare.as_str().len() - bare.domain().as_str().len();
        Some(Self { bare: bare.as_str().into(), domain, full: resource.is_some() })
    }

    /// The JID without its resource.
    #[must_use]
    pub fn bare(&self) -> &str {
        &self.bare
    }

    /// Its domain.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.bare.get(self.domain..).unwrap_or_default()
    }

    /// The same, to be kept.
    #[must_use]
    pub fn own_domain(&self) -> Domain {
        if self.domain == 0 { Domain::new(self.bare.clone()) } else { Domain::new(self.domain()) }
    }

    /// Whether it is an account, not a host.
    #[must_use]
    pub const fn is_account(&self) -> bool {
        self.domain > 0
    }
}

/// Who sent the stanza before: mostly who sends the next, and the name of both is then kept once.
#[derive(Debug, Default)]
pub struct Last(Arc<str>);

impl Last {
    /// A name to be kept.
    pub fn name(&mut self, name: &str) -> Arc<str> {
        if *self.0 != *name {
            self.0 = name.into();
        }
        self.0.clone()
    }
}

/// Whether it is a domain that every normalisation leaves as it is: labels of lower-case letters and digits (RFC 1034
/// §3.5), with single hyphens within, which no name has that is an encoding of another one (RFC 5890 §2.3.1).
fn is_plain_domain(text: &str) -> bool {
    const MOST: usize = 253;
    const MOST_OF_LABEL: usize = 63;
    let mut label = 0;
    let mut before = b'.';
    for &byte in text.as_bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' => label += 1,
            b'-' if !matches!(before, b'.' | b'-') => label += 1,
            b'.' if !matches!(before, b'.' | b'-') => label = 0,
            _ => return false,
        }
        if label > MOST_OF_LABEL {
            return false;
        }
        before = byte;
    }
    text.len() <= MOST && !matches!(before, b'.' | b'-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn who_sent_it() {
        let rows = [
            ("example.org", Some(("example.org", "example.org", false, false))),
            ("Example.ORG", Some(("example.org", "example.org", false, false))),
            ("example.org/x", Some(("example.org", "example.org", false, true))),
            ("Alice@example.org", Some(("alice@example.org", "example.org", true, false))),
            ("alice@example.org/phone \u{1f600}", Some(("alice@example.org", "example.org", true, true))),
            ("alice@example.org/", None),
            ("", None),
            ("@", None),
            ("a@b@c", None),
        ];
        for (jid, expected) in rows {
            let sender = Sender::read(&jid.into());
            let found =
                sender.as_ref().map(|sender| (sender.bare(), sender.domain(), sender.is_account(), sender.full));
            assert_eq!(found, expected, "{jid}");
        }
    }

    #[test]
    fn only_plain_names_are_not_looked_at_closely() {
        for plain in ["example.org", "localhost", "a.b-c.d1", "1.2.3.4"] {
            assert!(is_plain_domain(plain), "{plain}");
        }
        let long = format!("{}.org", "a".repeat(64));
        let others =
            ["", ".", "a.", ".a", "a..b", "-a.b", "a-.b", "a.-b", "xn--a.b", "a_b", "A.b", "é.b", "a@b", "a/b", &long];
        for other in others {
            assert!(!is_plain_domain(other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn a_plain_name_is_a_jid_that_is_normalised_as_it_is(name in "[a-z0-9.-]{1,12}|[a-z]{1,5}(-[a-z0-9]{1,4})?[.][a-z]{2,4}") {
            if is_plain_domain(&name) {
                let jid = BareJid::new(&name).map(|jid| (jid.as_str().to_owned(), jid.node().is_none()));
                prop_assert_eq!(jid.ok(), Some((name, true)));
            }
        }
    }
}
