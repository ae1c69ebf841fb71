//! The pool under everything that a vendor, or the network before it, can do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use h2::Reason;
use pushkeeper::clock::Clock;
use pushkeeper::domain::outcome::Outcome;
use pushkeeper::gateway::AppGateway;
use pushkeeper::gateway::apns::{Apns, Settings};
use pushkeeper::gateway::pool::Limits;

use crate::gateway_rig::{Rig, SOON, apns, apns_settings, assert_all_accepted, limits, push, reason};
use crate::support::vendor::{Answer, Behaviour, Options, Recorded, Vendor};

fn short(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

async fn streams(max_streams: u32) -> Vendor {
    Vendor::start(Options { max_streams, ..Options::default() }).await
}

/// How often each device's push came.
fn attempts(pushes: &[Recorded]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for push in pushes {
        *counts.entry(push.token.as_str()).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn further_connections_are_opened_when_the_streams_are_used_up() {
    let vendor = streams(4).await;
    let mut rig = Rig::apns(&vendor, limits());
    vendor.hold();
    rig.deliver((0..10).map(push));
    let pushes = vendor.wait_for(10, SOON).await;
    let connections: BTreeSet<u64> = pushes.iter().map(|push| push.connection).collect();
    assert_eq!(connections, [1, 2, 3].into());
    vendor.release();
    assert_all_accepted(&rig.verdicts(10).await);
    assert_eq!(vendor.connections(), 3);
    rig.end().await;
}

#[tokio::test]
async fn a_vendor_that_allows_one_stream_gets_no_more_connections_than_the_most() {
    let vendor = streams(1).await;
    let mut rig = Rig::apns(&vendor, Limits { max_connections: 3, ..limits() });
    rig.deliver((0..200).map(push));
    assert_all_accepted(&rig.verdicts(200).await);
    assert!((1..=3).contains(&vendor.connections()), "{}", vendor.connections());
    assert!(attempts(&vendor.pushes()).values().all(|count| *count == 1), "none is refused and sent again");
    rig.end().await;
}

#[tokio::test]
async fn one_connection_serves_as_long_as_its_streams_suffice() {
    let vendor = streams(1000).await;
    let mut rig = Rig::apns(&vendor, Limits { probation: SOON, ..limits() });
    rig.deliver((0..900).map(push));
    assert_all_accepted(&rig.verdicts(900).await);
    assert_eq!(vendor.connections(), 1);
    rig.end().await;
}

#[tokio::test]
async fn connections_that_have_nothing_to_do_are_closed_but_for_one() {
    let vendor = streams(4).await;
    let mut rig = Rig::apns(&vendor, Limits { close_idle: short(50), ..limits() });
    vendor.hold();
    rig.deliver((0..10).map(push));
    vendor.wait_for(10, SOON).await;
    vendor.release();
    assert_all_accepted(&rig.verdicts(10).await);
    assert!(vendor.wait_until(|| vendor.open_connections() == 1, SOON).await, "{}", vendor.open_connections());
    rig.deliver([push(10)]);
    assert_all_accepted(&rig.verdicts(1).await);
    assert_eq!(vendor.connections(), 3);
    rig.end().await;
}

#[tokio::test]
async fn a_graceful_goaway_with_fifty_in_flight_loses_none_and_repeats_none() {
    let vendor = streams(1000).await;
    let mut rig = Rig::apns(&vendor, limits());
    vendor.hold();
    rig.deliver((0..50).map(push));
    vendor.wait_for(50, SOON).await;
    vendor.go_away();
    vendor.release();
    assert_all_accepted(&rig.verdicts(50).await);
    assert!(attempts(&vendor.pushes()).values().all(|count| *count == 1));
    rig.deliver([push(50)]);
    assert_all_accepted(&rig.verdicts(1).await);
    rig.end().await;
}

#[tokio::test]
async fn what_goaway_leaves_unprocessed_is_sent_again_on_another_connection() {
    let vendor = streams(1000).await;
    let mut rig = Rig::apns(&vendor, limits());
    vendor.hold();
    rig.deliver((0..50).map(push));
    vendor.wait_for(50, SOON).await;
    vendor.go_away_keeping(20);
    let pushes = vendor.wait_for(80, SOON).await;
    vendor.release();
    assert_all_accepted(&rig.verdicts(50).await);
    let counts = attempts(&pushes);
    assert_eq!(counts.len(), 50);
    assert_eq!(counts.values().filter(|count| **count == 1).count(), 20);
    assert_eq!(counts.values().filter(|count| **count == 2).count(), 30);
    let answered: Vec<_> = vendor.pushes().into_iter().filter(|push| push.status == Some(200)).collect();
    assert!(attempts(&answered).values().all(|count| *count == 1), "each was processed once");
    assert_eq!(answered.len(), 50);
    rig.end().await;
}

#[tokio::test]
async fn a_push_whose_connection_is_cut_is_sent_once_more_with_the_same_id() {
    let vendor = streams(1000).await;
    let mut rig = Rig::apns(&vendor, Limits { probation: SOON, ..limits() });
    vendor.hold();
    rig.deliver((0..50).map(push));
    vendor.wait_for(50, SOON).await;
    vendor.cut();
    let pushes = vendor.wait_for(100, SOON).await;
    vendor.release();
    assert_all_accepted(&rig.verdicts(50).await);
    assert!(attempts(&pushes).values().all(|count| *count == 2));
    let ids: BTreeSet<&str> = pushes.iter().map(|push| push.header("apns-id")).collect();
    assert_eq!(ids.len(), 50);
    assert_eq!(vendor.connections(), 2, "the second attempts share a connection");
    rig.end().await;
}

#[tokio::test]
async fn a_push_whose_connection_is_cut_twice_is_given_up() {
    let vendor = streams(1000).await;
    let apns = apns(&vendor, limits());
    assert_eq!(apns.send(&push(0)).await, Outcome::Accepted);
    vendor.always("t-1", Behaviour::Cut);
    let outcome = apns.send(&push(1)).await;
    assert!(reason(&outcome, "unavailable").contains("the connection was lost"), "{outcome:?}");
    assert_eq!(attempts(&vendor.pushes()).get("t-1"), Some(&2));
    assert_eq!(apns.send(&push(2)).await, Outcome::Accepted);
}

#[tokio::test]
async fn streams_that_are_reset() {
    let vendor = streams(1000).await;
    let apns = apns(&vendor, limits());
    let rows = [
        // Refused means not processed, so it may be tried for as long as it takes, within reason.
        (vec![Reason::REFUSED_STREAM], "accepted", 2),
        (vec![Reason::REFUSED_STREAM; 4], "accepted", 5),
        (vec![Reason::REFUSED_STREAM; 50], "unavailable", 8),
        // Anything else leaves it open, so it is tried once more.
        (vec![Reason::INTERNAL_ERROR], "accepted", 2),
        (vec![Reason::INTERNAL_ERROR; 2], "unavailable", 2),
        (vec![Reason::REFUSED_STREAM, Reason::INTERNAL_ERROR], "accepted", 3),
    ];
    for (id, (resets, expected, times)) in (1..).zip(rows) {
        let token = format!("t-{id}");
        for reset in &resets {
            vendor.once(&token, Behaviour::Reset(*reset));
        }
        assert_eq!(apns.send(&push(id)).await.name(), expected, "{resets:?}");
        assert_eq!(attempts(&vendor.pushes()).get(token.as_str()), Some(&times), "{resets:?}");
    }
    assert_eq!(vendor.connections(), 1, "a reset stream costs no connection");
    let pushes = vendor.pushes();
    let refused: Vec<_> = pushes.iter().filter(|push| push.token == "t-2").map(|push| push.at).collect();
    assert!(refused[4] - refused[0] >= short(2 + 4 + 8 + 16), "each try waits longer: {refused:?}");
}

#[tokio::test]
async fn a_push_that_is_never_answered_ends_at_the_deadline() {
    let vendor = streams(1000).await;
    let mut rig = Rig::apns(&vendor, Limits { deadline: short(2000), ..limits() });
    vendor.always("t-1", Behaviour::Never);
    vendor.always("t-2", Behaviour::Late(short(100), Answer::ok()));
    let start = Clock::system();
    rig.deliver((0..3).map(push));
    let verdicts = rig.verdicts(3).await;
    let took = start.steady().uptime();
    assert_eq!(verdicts[&0], Outcome::Accepted);
    assert_eq!(reason(&verdicts[&1], "unavailable"), "timeout: no answer in time");
    assert_eq!(verdicts[&2], Outcome::Accepted);
    assert!(took >= short(2000) && took < SOON, "{took:?}");
    rig.end().await;
}

#[tokio::test]
async fn streams_given_up_at_the_deadline_are_free_again() {
    let vendor = streams(2).await;
    let mut rig = Rig::apns(&vendor, Limits { deadline: short(2000), max_connections: 1, ..limits() });
    vendor.everything(Some(Behaviour::Never));
    rig.deliver((0..2).map(push));
    assert!(rig.verdicts(2).await.values().all(|outcome| outcome.name() == "unavailable"));
    vendor.everything(None);
    rig.deliver((2..10).map(push));
    assert_all_accepted(&rig.verdicts(8).await);
    rig.end().await;
}

#[tokio::test]
async fn a_connection_that_has_gone_silent_is_found_by_ping() {
    let vendor = streams(1000).await;
    // Long enough that a machine with much to do is not taken for a dead connection.
    let quick = Limits { ping_silent: short(1000), pong_within: short(1000), probation: SOON, ..limits() };
    let mut rig = Rig::apns(&vendor, quick);
    rig.deliver([push(0)]);
    assert_all_accepted(&rig.verdicts(1).await);
    vendor.freeze();
    rig.deliver((1..5).map(push));
    assert_all_accepted(&rig.verdicts(4).await);
    assert_eq!(vendor.connections(), 2);
    rig.end().await;
}

#[tokio::test]
async fn a_slow_vendor_that_answers_pings_is_not_taken_for_dead() {
    let vendor = streams(1000).await;
    let quick = Limits { ping_silent: short(40), pong_within: short(1500), ..limits() };
    let mut rig = Rig::apns(&vendor, quick);
    vendor.always("t-1", Behaviour::Late(short(2000), Answer::ok()));
    rig.deliver([push(1)]);
    assert_all_accepted(&rig.verdicts(1).await);
    assert_eq!((vendor.connections(), vendor.pushes().len()), (1, 1));
    rig.end().await;
}

#[tokio::test]
async fn a_vendor_that_is_down_fails_fast_and_is_used_again_when_it_is_back() {
    let vendor = streams(1000).await;
    let apns = apns(&vendor, Limits { backoff_most: short(1000), ..limits() });
    assert_eq!(apns.send(&push(0)).await, Outcome::Accepted);
    vendor.stop().await;
    let outcome = apns.send(&push(1)).await;
    assert!(reason(&outcome, "unavailable").contains("cannot reach 127.0.0.1:"), "{outcome:?}");
    let start = Clock::system();
    for id in 0..100 {
        assert_eq!(apns.send(&push(id)).await.name(), "unavailable");
    }
    let each = start.steady().uptime() / 100;
    // A try that waits for the back-off would take ten times as long.
    assert!(each < short(100), "{each:?} each");
    vendor.restart().await.unwrap();
    let mut outcome = apns.send(&push(3)).await;
    while outcome != Outcome::Accepted && start.steady().uptime() < SOON {
        tokio::time::sleep(short(10)).await;
        outcome = apns.send(&push(3)).await;
    }
    assert_eq!(outcome, Outcome::Accepted);
}

#[tokio::test]
async fn a_vendor_that_accepts_and_hangs_up_is_not_called_without_end() {
    let vendor = streams(1000).await;
    vendor.everything(Some(Behaviour::Cut));
    let mut rig = Rig::apns(&vendor, Limits { backoff_first: short(200), ..limits() });
    rig.deliver((0..100).map(push));
    let verdicts = rig.verdicts(100).await;
    assert!(verdicts.values().all(|outcome| outcome.name() == "unavailable"));
    assert!(vendor.connections() <= 4, "{}", vendor.connections());
    rig.end().await;
}

#[tokio::test]
async fn what_only_the_operator_can_mend_is_said_in_clear_words() {
    let vendor = streams(1000).await;
    let stranger = streams(1000).await;
    let ca = Some(stranger.keys().ca_pem.clone().into_bytes());
    let untrusting = Apns::new(Settings { ca, ..apns_settings(&vendor, limits()) }, Clock::system()).unwrap();
    let outcome = untrusting.send(&push(1)).await;
    assert!(reason(&outcome, "operator-fault").contains("certificate not trusted"), "{outcome:?}");
    assert!(reason(&outcome, "operator-fault").contains("check ca_file"), "{outcome:?}");

    let old = Vendor::start(Options { http2: false, ..Options::default() }).await;
    let outcome = apns(&old, limits()).send(&push(1)).await;
    assert!(reason(&outcome, "operator-fault").contains("does not speak HTTP/2"), "{outcome:?}");
}

#[tokio::test]
async fn a_host_without_address_is_unreachable() {
    let vendor = streams(1000).await;
    let endpoint = Some("https://nobody.invalid".parse().unwrap());
    let apns = Apns::new(Settings { endpoint, ..apns_settings(&vendor, limits()) }, Clock::system()).unwrap();
    let outcome = apns.send(&push(1)).await;
    assert!(reason(&outcome, "unavailable").contains("cannot reach nobody.invalid:443"), "{outcome:?}");
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let vendor = streams(1000).await;
    let body = vec![b'x'; 300_000].into();
    vendor.once("t-1", Behaviour::Answer(Answer { body, ..Answer::status(400) }));
    let apns = apns(&vendor, limits());
    assert_eq!(apns.send(&push(1)).await, Outcome::OperatorFault("HTTP 400".into()));
    assert_eq!(apns.send(&push(2)).await, Outcome::Accepted);
    assert_eq!(vendor.connections(), 1);
}

/// Every kind of fault, at random; what matters is that each push has exactly one verdict, and that pushes still get
/// through. How many do within the short deadline is the machine's affair.
#[tokio::test]
async fn in_a_storm_of_faults_every_push_gets_exactly_one_verdict() {
    const PUSHES: u64 = 2400;
    let vendor = streams(64).await;
    vendor.choose(|_| {
        let chance = getrandom::u32().unwrap_or_default() % 1000;
        match chance {
            0..3 => Some(Behaviour::Cut),
            3..40 => Some(Behaviour::Reset(Reason::REFUSED_STREAM)),
            40..60 => Some(Behaviour::Reset(Reason::INTERNAL_ERROR)),
            60..70 => Some(Behaviour::Never),
            70..120 => Some(Behaviour::Late(short(u64::from(chance)), Answer::ok())),
            120..140 => Some(Behaviour::Answer(Answer::status(503).retry_after("1"))),
            140..150 => Some(Behaviour::Answer(Answer::gone(1))),
            _ => None,
        }
    });
    let wild = Limits { deadline: short(700), backoff_most: short(50), close_idle: short(30), ..limits() };
    let app = AppGateway::Apns(Box::new(apns(&vendor, wild)));
    let mut rig = Rig::start(app, 4096);
    let mut verdicts = BTreeMap::new();
    for round in 0..8 {
        rig.deliver((round * PUSHES / 8..(round + 1) * PUSHES / 8).map(push));
        match round % 4 {
            1 => vendor.go_away(),
            2 => vendor.cut(),
            3 => vendor.go_away_keeping(5),
            _ => {}
        }
        verdicts.append(&mut rig.verdicts((PUSHES / 8) as usize).await);
    }
    assert_eq!(verdicts.keys().copied().collect::<Vec<_>>(), (0..PUSHES).collect::<Vec<_>>());
    let accepted = verdicts.values().filter(|outcome| **outcome == Outcome::Accepted).count();
    assert!(accepted > 240, "{accepted} of {PUSHES} accepted");
    rig.end().await;
}
