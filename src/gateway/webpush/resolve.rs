//! Which addresses an endpoint's host may have. Endpoints come from clients: without a check, whoever registers could
//! make us speak to the inside of the operator's network.
//!
//! Names are looked up anew for every connection, each address found is judged, and the connection goes to those very
//! addresses: a name that answers differently the next time (DNS rebinding) gains nothing.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Asks for the addresses of a host. The system's resolver, except in tests.
pub type Lookup = Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> + Send + Sync>;

/// The system's resolver.
#[must_use]
pub fn system() -> Lookup {
    Arc::new(|host| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

/// Lets connections go to public addresses only, and to the stand-ins that the operator names.
#[derive(Clone)]
pub(super) struct Guard {
    lookup: Lookup,
    /// By host, in lower case: where to connect instead, whatever address that is.
    connect_to: Arc<HashMap<String, SocketAddr>>,
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// One of the host's addresses is not public. That a public one stands beside it makes it no better.
    #[error("{0} has an address that is not public ({1}): not connected")]
    NotPublic(String, IpAddr),
    /// The host has no addresses.
    #[error("{0} has no address")]
    NoAddress(String),
    /// The resolver fails.
    #[error("cannot look up {0}: {1}")]
    Lookup(String, String),
}

impl Guard {
    pub(super) fn new(lookup: Lookup, connect_to: HashMap<String, SocketAddr>) -> Self {
        Self { lookup, connect_to: Arc::new(connect_to) }
    }

    /// Where connections to this host may go. Port 0 stands for the port of the address that is connected to.
    pub(super) async fn addresses(&self, host: &str) -> Result<Vec<SocketAddr>, Refused> {
        if let Some(instead) = self.connect_to.get(host) {
            return Ok(vec![*instead]);
        }
        let found = (self.lookup)(host.to_owned()).await;
        let found = found.map_err(|error| Refused::Lookup(host.to_owned(), error.to_string()))?;
        if found.is_empty() {
            return Err(Refused::NoAddress(host.to_owned()));
        }
        if let Some(private) = found.iter().find(|address| !is_public(**address)) {
            return Err(Refused::NotPublic(host.to_owned(), *private));
        }
        Ok(found.into_iter().map(|address| SocketAddr::new(address, 0)).collect())
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let addresses = guard.addresses(&name.as_str().to_ascii_lowercase()).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Whether an address belongs to the public internet (IANA: IPv4 and IPv6 Special-Purpose Address Registries).
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

const fn is_public_v4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        [0 | 10 | 127, ..]                  // this network, private, loopback
        | [100, 64..=127, ..]               // shared between a carrier's customers (RFC 6598)
        | [169, 254, ..]                    // link-local
        | [172, 16..=31, ..]                // private
        | [192, 0, 0 | 2, _]                // protocol assignments, documentation
        | [192, 88, 99, _]                  // relays of 6to4, which are no more
        | [192, 168, ..]                    // private
        | [198, 18 | 19, ..]                // benchmarks
        | [198, 51, 100, _]                 // documentation
        | [203, 0, 113, _]                  // documentation
        | [224..=255, ..] // multicast, reserved, broadcast
    )
}

/// Only 2000::/3 is given out (RFC 4291 §2.4): what is outside it (loopback, unique local, link-local, site-local,
/// multicast, IPv4-compatible, …) is not public, whatever it may come to mean. Tunnels are judged by the address inside,
/// or not at all.
fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = address.to_ipv4_mapped() {
        return is_public_v4(inner);
    }
    match address.segments() {
        // NAT64 (RFC 6052): how a network without IPv4 reaches it.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        // Protocol assignments: Teredo, benchmarks, ORCHID; documentation; 6to4.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn which_addresses_are_public() {
        let public = [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "142.250.1.95",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2a00:1450:4001:82f::200a",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2001:200::1",
            "::ffff:1.1.1.1",
            "64:ff9b::8.8.8.8",
        ];
        let others = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::1.1.1.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::808:808",
            "100::1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:2::1",
            "2001:10::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:808:808::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
        ];
        for (addresses, expected) in [(&public[..], true), (&others[..], false)] {
            for address in addresses {
                assert_eq!(is_public(address.parse().unwrap()), expected, "{address}");
            }
        }
    }

    /// A resolver that gives one answer after the other.
    fn answers(answers: &[&[&str]]) -> Lookup {
        let parsed = answers.iter().map(|answer| answer.iter().map(|text| text.parse().unwrap()).collect());
        let answers: Mutex<Vec<Vec<IpAddr>>> = Mutex::new(parsed.rev().collect());
        Arc::new(move |_| {
            let next = answers.lock().unwrap().pop();
            Box::pin(async move { next.ok_or_else(|| io::Error::other("no more answers")) })
        })
    }

    fn guard(lookup: Lookup) -> Guard {
        Guard::new(lookup, HashMap::from([("push.test".to_owned(), "127.0.0.1:8443".parse().unwrap())]))
    }

    #[tokio::test]
    async fn a_connection_gets_the_very_addresses_that_were_judged() {
        let guard = guard(answers(&[&["9.9.9.9", "2620:fe::fe"]]));
        let expected: Vec<SocketAddr> = vec!["9.9.9.9:0".parse().unwrap(), "[2620:fe::fe]:0".parse().unwrap()];
        let resolved: Vec<SocketAddr> = guard.resolve("push.example.net".parse().unwrap()).await.unwrap().collect();
        assert_eq!(resolved, expected);
    }

    #[tokio::test]
    async fn a_name_that_answers_differently_the_next_time_is_judged_again() {
        let guard = guard(answers(&[&["9.9.9.9"], &["127.0.0.1"], &["9.9.9.9"]]));
        let asked = || guard.addresses("push.example.net");
        let public = Ok(vec!["9.9.9.9:0".parse().unwrap()]);
        assert_eq!(asked().await, public);
        let expected = Refused::NotPublic("push.example.net".into(), "127.0.0.1".parse().unwrap());
        assert_eq!(asked().await, Err(expected));
        assert_eq!(asked().await, public);
    }

    #[tokio::test]
    async fn one_address_that_is_not_public_spoils_all() {
        let guard = guard(answers(&[&["9.9.9.9", "10.0.0.1"], &[]]));
        let refused = guard.addresses("push.example.net").await.unwrap_err();
        assert_eq!(refused.to_string(), "push.example.net has an address that is not public (10.0.0.1): not connected");
        let refused = guard.addresses("push.example.net").await.unwrap_err();
        assert_eq!(refused.to_string(), "push.example.net has no address");
        let refused = guard.addresses("push.example.net").await.unwrap_err();
        assert_eq!(refused.to_string(), "cannot look up push.example.net: no more answers");
    }

    #[tokio::test]
    async fn a_stand_in_is_connected_to_whatever_its_address() {
        let guard = guard(answers(&[]));
        let resolved: Vec<SocketAddr> = guard.resolve("Push.Test".parse().unwrap()).await.unwrap().collect();
        assert_eq!(resolved, ["127.0.0.1:8443".parse().unwrap()]);
    }
}
