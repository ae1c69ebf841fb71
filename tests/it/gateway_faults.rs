//! The pool where the vendor does its worst to many pushes at once: what hangs, what is cut off, what moves house.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pushkeeper::clock::Clock;
use pushkeeper::domain::outcome::Outcome;
use pushkeeper::gateway::pool::Limits;

use crate::gateway_rig::{Rig, SOON, apns, assert_all_accepted, limits, push, reason};
use crate::support::vendor::{Answer, Behaviour, Options, Vendor};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

async fn streams(max_streams: u32) -> Vendor {
    Vendor::start(Options { max_streams, ..Options::default() }).await
}

/// Every push whose number, as they come, can be divided by this meets that.
fn every(vendor: &Vendor, number: usize, behaviour: Behaviour) {
    let came = AtomicUsize::new(0);
    vendor.choose(move |_| {
        let came = came.fetch_add(1, Ordering::Relaxed) + 1;
        came.is_multiple_of(number).then(|| behaviour.clone())
    });
}

/// How many pushes were taken more than once, counted by how often too often.
fn duplicates(vendor: &Vendor) -> u32 {
    vendor.taken().values().map(|times| times - 1).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn goaway_every_hundred_pushes_fails_none_and_repeats_none() {
    let vendor = streams(1000).await;
    every(&vendor, 100, Behaviour::GoAway);
    let mut rig = Rig::apns(&vendor, limits());
    for round in 0..15 {
        rig.deliver((round * 200..(round + 1) * 200).map(push));
        assert_all_accepted(&rig.verdicts(200).await);
    }
    assert_eq!((vendor.taken().len(), duplicates(&vendor)), (3000, 0));
    assert!(vendor.connections() >= 10, "{}", vendor.connections());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_every_hundred_pushes_costs_no_more_second_pushes_than_were_under_way() {
    const AT_ONCE: usize = 50;
    let vendor = streams(1000).await;
    every(&vendor, 100, Behaviour::Cut);
    let mut rig = Rig::apns(&vendor, limits());
    let mut accepted = 0;
    for round in 0..3000 / AT_ONCE as u64 {
        let first = round * AT_ONCE as u64;
        rig.deliver((first..first + AT_ONCE as u64).map(push));
        for (id, outcome) in rig.verdicts(AT_ONCE).await {
            match outcome {
                Outcome::Accepted => accepted += 1,
                // Cut off twice: tried again later, by others than the pool.
                _ => assert!(reason(&outcome, "unavailable").contains("the connection was lost"), "{id}: {outcome:?}"),
            }
        }
    }
    let cuts = vendor.pushes().len() / 100;
    assert!(cuts >= 30, "{cuts}");
    // Of one cut, all that were under way go once more; those that meet the next cut as well are given up.
    assert!((2700..=3000).contains(&accepted), "{accepted}");
    assert!(vendor.taken().len() >= accepted);
    let twice = duplicates(&vendor) as usize;
    assert!(twice <= cuts * AT_ONCE, "{twice} duplicates of {cuts} cuts");
    rig.end().await;
}

/// A fifth of the requests hang, and the vendor allows few streams: without care, the healthy ones would soon find none.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_hang_take_no_streams_of_those_that_do_not() {
    let vendor = streams(20).await;
    every(&vendor, 5, Behaviour::Never);
    let scarce = Limits { max_connections: 4, hung_after: millis(700), deadline: SOON, ..limits() };
    let mut rig = Rig::apns(&vendor, scarce);
    let clock = Clock::system();
    rig.deliver((0..1000).map(push));
    let (mut accepted, mut given_up) = (0, 0);
    // The rest are those that hang while there is no crowd: less than three quarters of the 80 streams.
    while accepted + given_up < 941 {
        for outcome in rig.verdicts(1).await.into_values() {
            if outcome == Outcome::Accepted {
                accepted += 1;
            } else {
                assert_eq!(reason(&outcome, "unavailable"), "timeout: no answer in time");
                given_up += 1;
            }
        }
    }
    assert!(clock.steady().uptime() < SOON, "the deadline frees no stream here: {:?}", clock.steady().uptime());
    // A machine with much to do may let a healthy one hang as well.
    assert!(accepted >= 700, "{accepted} accepted, {given_up} given up");
    drop(rig);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_is_slow_to_all_is_waited_for_even_if_streams_are_scarce() {
    let vendor = streams(20).await;
    vendor.everything(Some(Behaviour::Late(millis(600), Answer::ok())));
    let scarce = Limits { max_connections: 2, hung_after: millis(50), deadline: SOON, ..limits() };
    let mut rig = Rig::apns(&vendor, scarce);
    rig.deliver((0..200).map(push));
    assert_all_accepted(&rig.verdicts(200).await);
    assert_eq!(duplicates(&vendor), 0);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_is_waited_for_while_there_are_streams_enough() {
    let vendor = streams(1000).await;
    vendor.always("t-0", Behaviour::Late(millis(1000), Answer::ok()));
    let mut rig = Rig::apns(&vendor, Limits { hung_after: millis(50), ..limits() });
    rig.deliver([push(0)]);
    for id in 1..40 {
        rig.deliver([push(id)]);
        assert_all_accepted(&rig.verdicts(1).await);
    }
    assert_all_accepted(&rig.verdicts(1).await);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_on_which_nothing_is_answered_gets_no_more_requests() {
    let vendor = streams(1000).await;
    vendor.choose(|push| (push.connection == 1 && push.token != "t-0").then_some(Behaviour::Never));
    let mut rig = Rig::apns(&vendor, Limits { stale_after: millis(300), ..limits() });
    rig.deliver([push(0)]);
    assert_all_accepted(&rig.verdicts(1).await);
    rig.deliver([push(1)]);
    let mut next = 2;
    // It answers pings, and has streams for a thousand; after a third of a second it is left alone all the same.
    while vendor.connections() < 2 {
        rig.deliver([push(next)]);
        vendor.wait_for(next as usize, SOON).await;
        next += 1;
        tokio::time::sleep(millis(20)).await;
    }
    rig.deliver((1000..1010).map(push));
    let verdicts = rig.verdicts(10).await;
    assert!(verdicts.keys().filter(|id| **id >= 1000).count() >= 9, "{verdicts:?}");
    assert_all_accepted(&verdicts);
    drop(rig);
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_answers_that_come_too_late_cost_no_connection() {
    let vendor = streams(1000).await;
    vendor.everything(Some(Behaviour::Late(millis(600), Answer::ok())));
    let apns_limits = Limits { deadline: millis(300), stale_after: SOON, ..limits() };
    let mut rig = Rig::apns(&vendor, Limits { max_connections: 1, probation: SOON, ..apns_limits });
    vendor.once("t-0", Behaviour::Answer(Answer::ok()));
    rig.deliver([push(0)]);
    assert_all_accepted(&rig.verdicts(1).await);
    let mut next = 1;
    // h2 remembers fifty, and takes a thousand more.
    while next < 10_000 && vendor.pushes().len() < 1500 {
        rig.deliver((next..next + 200).map(push));
        let verdicts = rig.verdicts(200).await;
        assert!(verdicts.values().all(|outcome| outcome.name() == "unavailable"));
        next += 200;
    }
    let answered = || vendor.pushes().iter().filter(|push| push.status.is_some()).count();
    assert!(vendor.wait_until(|| answered() > 1200, SOON).await, "{} answered", answered());
    vendor.everything(None);
    rig.deliver([push(9999)]);
    assert_all_accepted(&rig.verdicts(1).await);
    assert_eq!(vendor.connections(), 1);
    rig.end().await;
}

#[tokio::test]
async fn later_connections_resume_the_tls_session_of_the_first() {
    let vendor = streams(1000).await;
    let apns = apns(&vendor, limits());
    for id in 0..4 {
        assert_eq!(apns.send(&push(id)).await, Outcome::Accepted);
        vendor.cut();
        assert!(vendor.wait_until(|| vendor.open_connections() == 0, SOON).await);
    }
    assert_eq!((vendor.connections(), vendor.resumed()), (4, 3));
}

#[tokio::test]
async fn a_vendor_slow_to_accept_is_given_one_connection_for_all_that_wait() {
    let vendor = Vendor::start(Options { slow_accept: millis(500), ..Options::default() }).await;
    let mut rig = Rig::apns(&vendor, Limits { probation: SOON, ..limits() });
    rig.deliver((0..300).map(push));
    assert_all_accepted(&rig.verdicts(300).await);
    assert_eq!(vendor.connections(), 1);
    rig.end().await;
}

#[tokio::test]
async fn a_request_that_hangs_alone_is_no_reason_to_ping_without_end() {
    let vendor = streams(1000).await;
    let apns = apns(&vendor, Limits { ping_silent: millis(100), deadline: millis(2500), ..limits() });
    vendor.always("t-1", Behaviour::Never);
    assert_eq!(apns.send(&push(0)).await, Outcome::Accepted);
    assert_eq!(reason(&apns.send(&push(1)).await, "unavailable"), "timeout: no answer in time");
    // After 100, 200, 400 and 800 ms of silence; every 100 ms it would be some twenty.
    let pings = vendor.pings();
    assert!((2..=5).contains(&pings), "{pings}");
}

#[tokio::test]
async fn a_machine_that_stood_still_blames_no_connection() {
    let vendor = streams(1000).await;
    let quick = Limits { ping_silent: millis(200), stale_after: millis(400), ..limits() };
    let mut rig = Rig::apns(&vendor, quick);
    rig.deliver([push(0)]);
    assert_all_accepted(&rig.verdicts(1).await);
    vendor.always("t-1", Behaviour::Late(millis(300), Answer::ok()));
    for _ in 0..3 {
        let before = vendor.pushes().len();
        rig.deliver([push(1)]);
        vendor.wait_for(before + 1, SOON).await;
        // This thread runs the vendor as well, so nobody does anything meanwhile.
        std::thread::sleep(millis(1000));
        assert_all_accepted(&rig.verdicts(1).await);
    }
    assert_eq!(vendor.connections(), 1);
    rig.end().await;
}
