//! What is known of each push service: how busy it is, which HTTP it speaks, what was signed for it.
//!
//! A slow push service costs its own subscribers only: of an app's places it gets a share, and no more.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::vapid::Signed;

/// Push services that are remembered. There are a handful; where names are allowed by `*.`, a client could make up more.
const MOST: usize = 256;

/// Requests at once to a push service of which we do not know yet whether it speaks HTTP/2: over HTTP/1.1, each needs
/// a connection of its own.
const PROBING: usize = 2;

/// Requests at once over HTTP/1.1, and so connections.
const OVER_HTTP1: usize = 16;

/// Requests at once over HTTP/2. They share one connection; what its limit of streams does not let out, waits there.
const OVER_HTTP2: usize = 256;

/// All push services that were spoken to lately, by host.
#[derive(Default)]
pub(super) struct Origins(Mutex<HashMap<Box<str>, Arc<Origin>>>);

impl Origins {
    /// The push service at this host.
    pub(super) fn at(&self, host: &str) -> Arc<Origin> {
        let mut origins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = origins.get(host) {
            return known.clone();
        }
        if origins.len() >= MOST {
            // What is forgotten is found out again.
            origins.retain(|_, origin| origin.under_way.load(Ordering::Relaxed) > 0);
        }
        let origin = Arc::new(Origin::new(host));
        origins.insert(host.into(), origin.clone());
        origin
    }
}

/// One push service.
pub(super) struct Origin {
    /// `https://HOST`.
    pub(super) name: String,
    pub(super) signed: Signed,
    under_way: AtomicUsize,
    lanes: Mutex<Arc<Lanes>>,
}

/// Which HTTP a push service speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// It has not said yet.
    Unknown,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

impl Origin {
    fn new(host: &str) -> Self {
        let (signed, under_way, lanes) = (Signed::default(), AtomicUsize::new(0), Mutex::default());
        Self { name: format!("https://{host}"), signed, under_way, lanes }
    }

    /// A place among those under way; `None` if there are `most` already.
    pub(super) fn place(self: &Arc<Self>, most: usize) -> Option<Place> {
        let place = Place(self.clone());
        (self.under_way.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }

    /// Through which requests go now.
    pub(super) fn lanes(&self) -> Arc<Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was found out with these lanes no longer holds.
    pub(super) fn unlearn(&self, stale: &Arc<Lanes>) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&lanes, stale) {
            *lanes = Arc::default();
        }
    }
}

/// One push's place among those under way.
pub(super) struct Place(Arc<Origin>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many requests may be open at once, by what is known of the push service.
pub(super) struct Lanes {
    known: OnceLock<Lane>,
    probing: Semaphore,
    http1: Semaphore,
    http2: Semaphore,
}

impl Default for Lanes {
    fn default() -> Self {
        let [probing, http1, http2] = [PROBING, OVER_HTTP1, OVER_HTTP2].map(Semaphore::new);
        Self { known: OnceLock::new(), probing, http1, http2 }
    }
}

impl Lanes {
    /// Waits until a request may be sent, and says how.
    pub(super) async fn enter(&self) -> (Lane, Option<SemaphorePermit<'_>>) {
        if self.known.get().is_none()
            && let Ok(permit) = self.probing.acquire().await
            && self.known.get().is_none()
        {
            return (Lane::Unknown, Some(permit));
        }
        // Those who waited to probe are let go once it is known.
        let lane = self.known.get().copied().unwrap_or(Lane::Unknown);
        let gate = if lane == Lane::Http2 { &self.http2 } else { &self.http1 };
        // These two never close.
        (lane, gate.acquire().await.ok())
    }

    /// The push service has answered in this version.
    pub(super) fn learn(&self, version: http::Version) {
        let lane = if version == http::Version::HTTP_2 { Lane::Http2 } else { Lane::Http1 };
        if self.known.set(lane).is_ok() {
            self.probing.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_push_service_has_so_many_places_and_no_more() {
        let origins = Origins::default();
        let places: Vec<_> = (0..3).map(|_| origins.at("a.example").place(2)).collect();
        assert_eq!(places.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false]);
        assert!(origins.at("b.example").place(2).is_some(), "another has its own");
        drop(places);
        assert!(origins.at("a.example").place(1).is_some(), "places come back, those that were not given too");
    }

    #[test]
    fn idle_push_services_are_forgotten_before_there_are_too_many() {
        let origins = Origins::default();
        let busy = origins.at("busy.example");
        let _place = busy.place(1).unwrap();
        for number in 0..MOST * 3 {
            origins.at(&format!("{number}.example"));
            assert!(origins.0.lock().unwrap().len() <= MOST);
        }
        assert!(Arc::ptr_eq(&origins.at("busy.example"), &busy));
    }

    fn free(lanes: &Lanes, lane: Lane) -> usize {
        if lane == Lane::Http2 { &lanes.http2 } else { &lanes.http1 }.available_permits()
    }

    #[tokio::test]
    async fn two_requests_find_out_what_a_push_service_speaks() {
        for (version, lane, most) in
            [(http::Version::HTTP_2, Lane::Http2, 256), (http::Version::HTTP_11, Lane::Http1, 16)]
        {
            let lanes = Lanes::default();
            let (first, second) = (lanes.enter().await, lanes.enter().await);
            assert_eq!((first.0, second.0), (Lane::Unknown, Lane::Unknown));
            let mut third = Box::pin(lanes.enter());
            assert!(third.as_mut().now_or_never().is_none(), "waits");
            lanes.learn(version);
            let third = third.await;
            assert_eq!(third.0, lane, "and need not wait for the two");
            assert_eq!(free(&lanes, lane), most - 1);
            drop(third);
            assert_eq!(free(&lanes, lane), most, "places come back");
        }
    }

    #[test]
    fn what_was_learnt_is_forgotten_once() {
        let origin = Origin::new("a.example");
        let old = origin.lanes();
        origin.unlearn(&old);
        let new = origin.lanes();
        assert!(!Arc::ptr_eq(&old, &new));
        origin.unlearn(&old);
        assert!(Arc::ptr_eq(&new, &origin.lanes()), "not by those who still hold the old");
    }
}
