//! Whether other servers find us. The system's resolver knows no SRV records, so a name that only has one of these
//! looks as if it had nothing; the advice says so.

use std::io;
use std::net::IpAddr;

use tokio::net::lookup_host;
use tokio::time::timeout;

use super::{Finding, STEP};
use crate::domain::ids::Domain;

const WHAT: &str = "name";

/// The port of servers (RFC 6120 §14.7).
const S2S: u16 = 5269;

/// Names that are set aside for tests and documents (RFC 6761): the public DNS has none of them.
const RESERVED: [&str; 7] = ["localhost", "test", "invalid", "example", "example.com", "example.net", "example.org"];

/// Looks our name up.
pub(super) async fn examine(jid: &Domain) -> Finding {
    if let Some(name) = reserved(jid) {
        return Finding::advice(
            WHAT,
            format!("{} is under {name}, which is for tests: only users of this server reach it", jid.as_str()),
            "nothing for a test; else use a name of your own",
        );
    }
    let found = timeout(STEP, lookup_host((jid.as_str(), S2S))).await;
    let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    judge(jid, found.map(|found| found.map(|address| address.ip()).collect()))
}

fn reserved(jid: &Domain) -> Option<&'static str> {
    let below = |name: &&&str| {
        let left = jid.as_str().strip_suffix(**name);
        left.is_some_and(|left| left.is_empty() || left.ends_with('.'))
    };
    RESERVED.iter().find(below).copied()
}

fn judge(jid: &Domain, found: io::Result<Vec<IpAddr>>) -> Finding {
    let jid = jid.as_str();
    // That there is no such name is an error, too.
    let addresses = found.unwrap_or_default();
    if addresses.is_empty() {
        return Finding::advice(
            WHAT,
            format!(
                "{jid} has no address: only users of this server reach it, unless _xmpp-server._tcp.{jid} is an SRV record"
            ),
            "give it the address of the server if users of other servers shall register with it; else nothing",
        );
    }
    if addresses.iter().all(|address| address.is_loopback()) {
        return Finding::advice(
            WHAT,
            format!("{jid} has an address of this machine only: other servers do not reach it"),
            "give it the address of the server if users of other servers shall register with it; else nothing",
        );
    }
    let mut list: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    list.sort();
    list.dedup();
    Finding::fine(WHAT, format!("{jid} is at {}; other servers need port {S2S} of the server there", list.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::doctor::Verdict;

    #[test]
    fn a_name_without_address_is_no_fault() {
        let jid = Domain::new("push.chat.org");
        let ips = |texts: &[&str]| Ok(texts.iter().map(|text| text.parse().unwrap()).collect());
        let rows: [(io::Result<Vec<IpAddr>>, Verdict, &str); 5] = [
            (ips(&["192.0.2.1", "2001:db8::1", "192.0.2.1"]), Verdict::Fine, "is at 192.0.2.1, 2001:db8::1;"),
            (ips(&["127.0.0.1", "::1"]), Verdict::Advice, "has an address of this machine only"),
            (ips(&["127.0.0.1", "192.0.2.1"]), Verdict::Fine, "is at 127.0.0.1, 192.0.2.1;"),
            (ips(&[]), Verdict::Advice, "unless _xmpp-server._tcp.push.chat.org is an SRV record"),
            (Err(io::ErrorKind::NotFound.into()), Verdict::Advice, "only users of this server reach it"),
        ];
        for (found, verdict, said) in rows {
            let finding = judge(&jid, found);
            assert_eq!(finding.verdict, verdict, "{finding}");
            assert!(finding.said.contains(said), "{finding}");
        }
    }
    #[tokio::test]
    async fn names_for_tests_are_known_without_asking_anybody() {
        let rows = [
            ("push.localhost", Some("localhost")),
            ("localhost", Some("localhost")),
            ("push.example.org", Some("example.org")),
            ("push.my.test", Some("test")),
            ("push.myexample.org", None),
            ("push.testing", None),
        ];
        for (jid, expected) in rows {
            assert_eq!(reserved(&Domain::new(jid)), expected, "{jid}");
        }
        let finding = examine(&Domain::new("push.localhost")).await;
        assert_eq!(finding.verdict, Verdict::Advice);
        assert!(finding.said.starts_with("push.localhost is under localhost, which is for tests"), "{finding}");
    }
}
