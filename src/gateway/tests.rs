//! Every push gets its verdict, whatever happens to its app.

use std::sync::Arc;

use super::*;
use crate::domain::class::Class;
use crate::domain::ids::{DeviceHash, Node, PushId};
use crate::domain::push::{Content, ttl};
use crate::domain::secret::DeviceToken;

pub(crate) fn push(class: Class) -> Push {
    Push {
        id: PushId(1),
        app: AppName::new("chat"),
        node: Node::new("node-1"),
        generation: 1,
        token: DeviceToken::new("token-1"),
        voip_token: None,
        owner: crate::domain::ids::Account::new("romeo@example.org"),
        account: DeviceHash::of("romeo@example.org", "92afd7a91cdba9a0"),
        channel: None,
        class,
        content: Arc::new(Content::default()),
        ttl: ttl(class),
    }
}

fn pushes(range: std::ops::Range<u64>, token: &str) -> Vec<Push> {
    let one = |id| Push { id: PushId(id), token: DeviceToken::new(token), ..push(Class::Important) };
    range.map(one).collect()
}

fn stub(slots: usize) -> (Gateways, mpsc::Receiver<Vec<Verdict>>) {
    let (out, verdicts) = mpsc::channel(4);
    let apps = vec![(AppName::new("chat"), AppGateway::Stub(stub::Stub))];
    (Gateways::start(apps, slots, out, Clock::system()), verdicts)
}

/// All verdicts up to the end, as push number and outcome, sorted.
async fn all(mut verdicts: mpsc::Receiver<Vec<Verdict>>) -> Vec<(u64, &'static str)> {
    let mut found = Vec::new();
    while let Some(batch) = verdicts.recv().await {
        found.extend(batch.into_iter().map(|verdict| (verdict.push.0, verdict.outcome.name())));
    }
    found.sort_unstable();
    found
}

#[tokio::test(start_paused = true)]
async fn every_push_gets_its_verdict() {
    let (gateways, verdicts) = stub(100);
    let app = AppName::new("chat");
    let found = tokio::spawn(all(verdicts));
    gateways.deliver(&app, pushes(0..50, "ok"));
    gateways.deliver(&app, pushes(50..60, "late:500"));
    gateways.deliver(&app, Vec::new());
    gateways.shutdown(Duration::from_secs(30)).await;
    let expected: Vec<_> = (0..60).map(|id| (id, "accepted")).collect();
    assert_eq!(found.await.unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn what_has_no_slot_or_no_app_comes_back() {
    let (gateways, verdicts) = stub(3);
    let found = tokio::spawn(all(verdicts));
    gateways.deliver(&AppName::new("chat"), pushes(0..5, "ok"));
    gateways.deliver(&AppName::new("nobody"), pushes(5..6, "ok"));
    gateways.shutdown(Duration::from_secs(30)).await;
    let mut expected: Vec<_> = (0..3).map(|id| (id, "accepted")).collect();
    expected.extend((3..6).map(|id| (id, "unavailable")));
    assert_eq!(found.await.unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn slots_are_free_again_when_the_verdict_is_out() {
    let (gateways, mut verdicts) = stub(2);
    let app = AppName::new("chat");
    for round in 0..5 {
        gateways.deliver(&app, pushes(round * 2..round * 2 + 2, "late:10"));
        let mut missing = 2;
        while missing > 0 {
            let batch = verdicts.recv().await.unwrap();
            missing -= batch.len();
            assert!(batch.iter().all(|verdict| verdict.outcome == Outcome::Accepted), "{batch:?}");
        }
    }
    gateways.shutdown(Duration::from_secs(30)).await;
    assert_eq!(verdicts.recv().await, None);
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_at_the_end_comes_back() {
    let (gateways, verdicts) = stub(20);
    let found = tokio::spawn(all(verdicts));
    gateways.deliver(&AppName::new("chat"), pushes(0..3, "late:1000"));
    gateways.deliver(&AppName::new("chat"), pushes(3..6, "never"));
    gateways.shutdown(Duration::from_secs(5)).await;
    let mut expected: Vec<_> = (0..3).map(|id| (id, "accepted")).collect();
    expected.extend((3..6).map(|id| (id, "unavailable")));
    assert_eq!(found.await.unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn verdicts_that_nobody_reads_yet_are_not_lost_by_a_shutdown() {
    let (gateways, verdicts) = stub(5000);
    for id in 0..3000 {
        gateways.deliver(&AppName::new("chat"), pushes(id..id + 1, "ok"));
    }
    let stopping = tokio::spawn(gateways.shutdown(Duration::from_millis(50)));
    sleep(Duration::from_secs(1)).await;
    let found = all(verdicts).await;
    assert_eq!(found.len(), 3000);
    assert_eq!(found.iter().map(|(id, _)| *id).collect::<Vec<_>>(), (0..3000).collect::<Vec<_>>());
    stopping.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_replaced_or_removed_still_speaks_of_what_it_has_once() {
    let (gateways, verdicts) = stub(3);
    let (chat, other) = (AppName::new("chat"), AppName::new("other"));
    let found = tokio::spawn(all(verdicts));
    gateways.deliver(&chat, pushes(0..3, "late:1000"));
    gateways.put(chat.clone(), AppGateway::Stub(stub::Stub));
    // It has slots of its own.
    gateways.deliver(&chat, pushes(3..6, "late:1000"));
    gateways.put(other.clone(), AppGateway::Stub(stub::Stub));
    gateways.deliver(&other, vec![Push { app: other.clone(), ..pushes(6..7, "ok").remove(0) }]);
    gateways.remove(&chat);
    gateways.deliver(&chat, pushes(7..8, "ok"));
    assert_eq!(gateways.running(), 3);
    gateways.shutdown(Duration::from_secs(30)).await;
    let mut expected: Vec<_> = (0..7).map(|id| (id, "accepted")).collect();
    expected.push((7, "unavailable"));
    assert_eq!(found.await.unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_task_ends_when_its_app_is_replaced_and_nothing_is_under_way() {
    let (gateways, mut verdicts) = stub(3);
    for id in 0..100 {
        gateways.put(AppName::new("chat"), AppGateway::Stub(stub::Stub));
        gateways.deliver(&AppName::new("chat"), pushes(id..id + 1, "ok"));
        assert_eq!(verdicts.recv().await.unwrap().len(), 1);
    }
    while gateways.running() > 1 {
        tokio::task::yield_now().await;
    }
    assert!(gateways.table().tasks.len() < 10, "those that ended are not kept");
    gateways.shutdown(Duration::from_secs(30)).await;
}
