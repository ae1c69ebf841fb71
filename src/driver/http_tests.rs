//! Requests over HTTP, and the disk.

use super::tests::{Rig, STORE};
use super::*;
use crate::domain::device::Access;
use crate::domain::ids::{Account, DeviceHash};
use crate::domain::secret::DeviceToken;
use crate::flows::data::{DeviceRegistration, DeviceUnregistration};
use crate::flows::world::policy;

impl Rig {
    /// Registers a device that its token names, and waits until it is on disk.
    async fn register_by_token(&mut self, token: &str) {
        let owner = Account::new("romeo@example.org");
        let registration = DeviceRegistration {
            command: "register-device".into(),
            service: "fcm".into(),
            account: DeviceHash::of(owner.as_str(), token),
            owner,
            room: None,
            token: DeviceToken::new(token),
            voip_token: None,
            node: None,
            access: Access::Node,
        };
        self.ask(vec![Input::Register { ticket: self.ticket("r"), registration }]).await;
        self.commit_order().await;
        self.report(DiskReport::Committed).await;
        self.answer().await;
    }

    pub(super) async fn unregister_over_http(&self, number: u64, token: &str) {
        let owner = Account::new("romeo@example.org");
        let unregistration = DeviceUnregistration {
            command: "unregister-device".into(),
            service: "fcm".into(),
            account: DeviceHash::of(owner.as_str(), token),
            owner,
            channel: None,
        };
        let ticket = Ticket::over_http(number, self.clock.steady());
        self.strangers.send(Input::Unregister { ticket, unregistration }).await.unwrap();
    }

    pub(super) async fn told_over_http(&mut self) -> (u64, Answer) {
        self.http.recv().await.expect("the driver ended")
    }
}

fn unregistered() -> Answer {
    Answer::Unregistered { command: "unregister-device".into() }
}

#[tokio::test(start_paused = true)]
async fn what_comes_over_http_is_answered_there_and_only_when_it_is_on_disk() {
    let mut rig = Rig::new(policy());
    rig.register_by_token("aabb").await;
    rig.unregister_over_http(7, "aabb").await;
    assert_eq!(rig.commit_order().await.len(), 1);
    // Nothing changes for the second, but the first is not on disk yet.
    rig.unregister_over_http(8, "aabb").await;
    assert!(rig.no_answer().await);
    assert!(rig.http.try_recv().is_err());
    rig.report(DiskReport::Committed).await;
    assert_eq!(rig.told_over_http().await, (7, unregistered()));
    assert_eq!(rig.told_over_http().await, (8, unregistered()));
    assert!(rig.no_answer().await, "the link has nothing to do with it");
}

#[tokio::test(start_paused = true)]
async fn while_the_store_takes_no_writes_it_is_told_to_come_again() {
    let mut rig = Rig::new(policy());
    rig.register_by_token("aabb").await;
    rig.unregister_over_http(7, "aabb").await;
    rig.commit_order().await;
    rig.report(DiskReport::Failed("disk full".into())).await;
    assert_eq!(rig.told_over_http().await, (7, STORE));
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_a_stop_is_done_and_nothing_more_is_read() {
    let mut rig = Rig::new(policy());
    rig.register_by_token("aabb").await;
    rig.unregister_over_http(7, "aabb").await;
    rig.stop = None;
    assert_eq!(rig.commit_order().await.len(), 1);
    assert!(rig.no_answer().await);
    assert!(rig.strangers.is_closed());
    rig.report(DiskReport::Committed).await;
    assert_eq!(rig.told_over_http().await, (7, unregistered()));
}
