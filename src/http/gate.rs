//! Who may connect, and how often they may ask.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Limits;
use crate::domain::rate::{Bucket, Buckets};
use crate::domain::time::Moment;

/// How many addresses are remembered at a time.
const ADDRESSES: usize = 4096;

/// Counts connections and requests, of all and of each address.
#[derive(Debug)]
pub(super) struct Gate {
    limits: Limits,
    /// Whether the other end of a connection is who asks, not a proxy that asks for many.
    by_address: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    connections: usize,
    of_address: HashMap<Address, usize>,
    requests: Bucket,
    requests_of: Buckets<Address>,
}

/// Whom a limit is for: an IPv4 address, or an IPv6 network of 64 bits, in which one machine has all addresses it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Address(IpAddr);

impl Address {
    pub(super) fn of(ip: IpAddr) -> Self {
        Self(match ip.to_canonical() {
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
            v4 => v4,
        })
    }
}

/// A connection's place. Dropping it frees the place.
#[derive(Debug)]
pub(super) struct Place {
    gate: Arc<Gate>,
    address: Address,
}

impl Gate {
    pub(super) fn new(limits: Limits, by_address: bool) -> Self {
        let state = State {
            connections: 0,
            of_address: HashMap::new(),
            requests: Bucket::default(),
            requests_of: Buckets::new(ADDRESSES),
        };
        Self { limits, by_address, state: Mutex::new(state) }
    }

    /// A place for a connection from this address, if there is one.
    pub(super) fn enter(self: &Arc<Self>, address: Address) -> Option<Place> {
        let mut state = self.state();
        let of_address = state.of_address.get(&address).copied().unwrap_or(0);
        let full = state.connections >= self.limits.connections
            || (self.by_address && of_address >= self.limits.connections_per_address);
        if full {
            return None;
        }
        state.connections += 1;
        state.of_address.insert(address, of_address + 1);
        Some(Place { gate: self.clone(), address })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held, and counters are whole at any time.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Whether one more request may be asked now. What one address may not ask is not taken from what all may.
    pub(super) fn may_ask(&self, now: Moment) -> bool {
        let Gate { limits, by_address, .. } = &*self.gate;
        let mut state = self.gate.state();
        let own = state.requests_of.less_one(&self.address, limits.rate_per_address, now);
        if *by_address && own.is_none() {
            return false;
        }
        let Some(all) = state.requests.less_one(limits.rate, now) else { return false };
        state.requests = all;
        if let Some(own) = own.filter(|_| *by_address) {
            state.requests_of.put(self.address, own, now);
        }
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        state.connections = state.connections.saturating_sub(1);
        match state.of_address.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                state.of_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::rate::Rate;

    fn limits() -> Limits {
        Limits {
            connections: 3,
            connections_per_address: 2,
            rate: Rate { count: 3, per: Duration::from_secs(1) },
            rate_per_address: Rate { count: 2, per: Duration::from_secs(60) },
            ..Limits::default()
        }
    }

    fn gate(by_address: bool) -> Arc<Gate> {
        Arc::new(Gate::new(limits(), by_address))
    }

    fn from(text: &str) -> Address {
        Address::of(text.parse().unwrap())
    }

    fn at(millis: u64) -> Moment {
        Moment::since_start(Duration::from_millis(millis))
    }

    #[test]
    fn an_ipv6_network_of_64_bits_and_a_mapped_ipv4_address_are_one_address() {
        let rows = [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
        ];
        for (one, other, same) in rows {
            assert_eq!(from(one) == from(other), same, "{one} {other}");
        }
    }

    #[test]
    fn places_are_counted_by_address_and_in_all_and_freed_again() {
        let gate = gate(true);
        let first = gate.enter(from("192.0.2.1")).unwrap();
        let _second = gate.enter(from("192.0.2.1")).unwrap();
        assert!(gate.enter(from("192.0.2.1")).is_none(), "two of one address");
        let third = gate.enter(from("192.0.2.2")).unwrap();
        assert!(gate.enter(from("192.0.2.3")).is_none(), "three in all");
        drop(third);
        assert!(gate.enter(from("192.0.2.1")).is_none());
        drop(first);
        let again = gate.enter(from("192.0.2.1"));
        assert!(again.is_some());
        drop((again, _second));
        let state = gate.state();
        assert_eq!((state.connections, state.of_address.len()), (0, 0));
    }

    #[test]
    fn behind_a_proxy_only_the_limits_for_all_hold() {
        let gate = gate(false);
        let places: Vec<Place> = (0..3).map_while(|_| gate.enter(from("127.0.0.1"))).collect();
        assert_eq!(places.len(), 3);
        assert!(gate.enter(from("127.0.0.1")).is_none());
        assert_eq!([0; 4].map(|now| places[0].may_ask(at(now))), [true, true, true, false]);
    }

    #[test]
    fn who_asks_too_often_takes_nothing_from_others() {
        let gate = gate(true);
        let (one, other) = (gate.enter(from("192.0.2.1")).unwrap(), gate.enter(from("192.0.2.2")).unwrap());
        let asked = [(&one, 0), (&one, 0), (&one, 0), (&one, 0), (&other, 0), (&other, 0), (&one, 29_999)];
        assert_eq!(asked.map(|(place, now)| place.may_ask(at(now))), [true, true, false, false, true, false, false]);
        // What all together had used up was not counted as the other's.
        assert_eq!([&one, &other, &other].map(|place| place.may_ask(at(30_000))), [true; 3]);
    }
}
