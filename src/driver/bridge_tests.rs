//! Registrations by a bridge, and the disk.

use super::tests::{Rig, STORE};
use super::*;
use crate::domain::ids::{Account, Domain, Node};
use crate::domain::registration::tests::registration;
use crate::domain::session::{Report, Sid, Standing};
use crate::flows::data::commands::{Action, Answers, Asked, Name};
use crate::flows::data::{Registered, Ticket};
use crate::flows::policy::Policy;
use crate::flows::signals::{Batch, Event, HostState, NodeState, Order, OrderKind, Reply, What, Wish};
use crate::flows::world::policy;

impl Rig {
    /// The next order for a bridge.
    async fn bridge_order(&mut self) -> Order {
        while self.bridge_orders.is_empty() {
            self.hear().await;
        }
        self.bridge_orders.remove(0)
    }

    /// Links the host.
    async fn link(&mut self) {
        self.ask(vec![Input::Link(true)]).await;
        let list = self.bridge_order().await;
        self.reply(&list, Reply::Done).await;
        let sync = self.bridge_order().await;
        let OrderKind::Sync { token, .. } = sync.what.clone() else { panic!("{sync:?}") };
        let node = NodeState { name: "".into(), epoch: "e1".into(), seq: 0 };
        let state = HostState { token: Some(token), software: "x".into(), bridge: "x".into(), nodes: vec![node] };
        self.reply(&sync, Reply::State(state)).await;
    }

    async fn reply(&self, order: &Order, reply: Reply) {
        self.ask(vec![Input::Reply { host: Domain::new("example.org"), order: order.id, reply }]).await;
    }

    fn wish(&self, id: &str, seq: u64, node: &str, disable: bool) -> Input {
        let service = Some("push.third.example".into());
        let wish = match disable {
            true => Wish::Disable { service, node: Some(Node::new(node)) },
            false => Wish::Enable { service, node: Node::new(node), options: None, extensions: None },
        };
        let report = Box::new(Report {
            sid: Sid::new("s1"),
            resource: "phone".into(),
            client_id: None,
            state: Standing::Active,
            since: "now".into(),
            timeout: None,
            left: None,
            h_in: None,
            h_out: None,
            unacked: None,
            queued: None,
            resumable: true,
            inactive: false,
        });
        let what = What::Registration { account: Account::new("romeo@example.org"), report, wish };
        let events = vec![Event { stamp: None, token: None, what }];
        let batch = Batch { node: "".into(), epoch: "e1".into(), seq, events };
        let ticket = Ticket { for_client: true, ..self.ticket(id) };
        Input::Signals { ticket, host: Domain::new("example.org"), batch }
    }
}

#[tokio::test(start_paused = true)]
async fn an_enable_is_answered_only_when_it_is_on_disk() {
    let mut rig = Rig::new(policy());
    rig.link().await;
    rig.ask(vec![rig.wish("e1", 1, "a", false)]).await;
    let changes = rig.commit_order().await;
    assert!(matches!(&changes[..], [Change::Registration(_)]), "{changes:?}");
    assert!(rig.no_answer().await);
    // A disable of what is not on disk yet waits for it, and so does one of nothing.
    rig.ask(vec![rig.wish("d1", 2, "unknown", true)]).await;
    assert!(rig.no_answer().await);
    rig.report(DiskReport::Committed).await;
    assert_eq!([rig.answer().await, rig.answer().await], ["e1", "d1"].map(|id| (id.to_owned(), Answer::Done)));
}

#[tokio::test(start_paused = true)]
async fn while_the_store_takes_no_writes_an_enable_is_put_off_and_events_are_answered() {
    let mut rig = Rig::new(policy());
    rig.link().await;
    rig.ask(vec![rig.wish("e1", 1, "a", false)]).await;
    rig.commit_order().await;
    rig.report(DiskReport::Failed("no space left".into())).await;
    assert_eq!(rig.answer().await, ("e1".to_owned(), STORE));
    rig.ask(vec![rig.wish("e2", 2, "b", false)]).await;
    assert_eq!(rig.answer().await, ("e2".to_owned(), STORE));
    let event = Event { stamp: None, token: None, what: What::Synced };
    let batch = Batch { node: "".into(), epoch: "e1".into(), seq: 3, events: vec![event] };
    rig.ask(vec![Input::Signals { ticket: rig.ticket("b1"), host: Domain::new("example.org"), batch }]).await;
    assert_eq!(rig.answer().await, ("b1".to_owned(), Answer::Done));
    rig.trial().await;
    // Back again, with nothing that was never stored.
    rig.report(DiskReport::Recovered(Vec::new())).await;
    rig.ask(vec![rig.wish("e3", 4, "a", false)]).await;
    let changes = rig.commit_order().await;
    assert!(matches!(&changes[..], [Change::Registration(_)]), "{changes:?}");
    rig.report(DiskReport::Committed).await;
    assert_eq!(rig.answer().await, ("e3".to_owned(), Answer::Done));
}

#[tokio::test(start_paused = true)]
async fn what_the_store_did_not_take_is_not_told_as_if_it_had() {
    let admin = Account::new("admin@example.org");
    let mut rig = Rig::new(Policy { admins: vec![admin.clone()], ..policy() });
    rig.link().await;
    rig.ask(vec![rig.wish("e1", 1, "a", false)]).await;
    rig.commit_order().await;
    rig.report(DiskReport::Failed("no space left".into())).await;
    assert_eq!(rig.answer().await, ("e1".to_owned(), STORE));
    rig.ask(vec![rig.wish("e2", 2, "b", false)]).await;
    assert_eq!(rig.answer().await, ("e2".to_owned(), STORE));
    let fields = [("accountjid", "romeo@example.org"), ("show", "decisions")];
    let fields = fields.map(|(name, value)| (name.into(), vec![value.into()]));
    let (session, fields) = (None, Some(Answers(fields.into())));
    let asked = Box::new(Asked { name: Name::ShowAccount, session, action: Action::Execute, fields });
    rig.ask(vec![Input::Command { ticket: rig.ticket("c1"), asker: admin, asked }]).await;
    let (_, Answer::Command(shown)) = rig.answer().await else { panic!("nothing is shown") };
    let rows = shown.form.unwrap().table.unwrap().rows;
    let of = |node: &str| rows.iter().filter(|row| row[2].contains(&Node::new(node).short())).count();
    assert_eq!((of("a"), of("b")), (1, 0), "{rows:?}");
}

#[tokio::test(start_paused = true)]
async fn what_the_store_did_not_take_is_refused_and_not_logged_as_done() {
    let rig = Rig::new(policy());
    let answer = |answer| Effect::Answer(rig.ticket("e1"), answer);
    let notice = Notice::Registration { key: registration().key, what: Registered::Enabled };
    let effects = vec![Effect::Notice(notice), answer(Answer::Done), Effect::Reload];
    assert_eq!(refused(effects), [answer(STORE), Effect::Reload]);
}

/// What time would change, the disk cannot keep: the driver must not try again and again meanwhile.
#[test]
fn while_the_store_takes_no_writes_nobody_waits_for_the_calendar() {
    let mut policy = policy();
    policy.rules.registration_ttl = Some(Duration::from_secs(60));
    let mut state = State::new(policy);
    state.apply(&Change::Registration(Box::new(registration())));
    let steady = Moment::since_start(Duration::from_secs(5));
    let now = Now { wall: registration().renewed + Duration::from_secs(3600), steady };
    let mut disk = DiskQueue::default();
    assert_eq!(next_wake(&state, &disk, false, now), steady + GRAIN);
    disk.trial = Some(steady + TRIAL_EVERY);
    state.apply(&Change::Memory(Memory::ReadOnly(true)));
    assert_eq!(next_wake(&state, &disk, false, now), steady + TRIAL_EVERY);
}

#[tokio::test(start_paused = true)]
async fn a_registration_that_expires_while_the_store_takes_no_writes_waits_for_it() {
    let mut policy = policy();
    policy.rules.registration_ttl = Some(Duration::from_secs(60));
    let mut rig = Rig::new(policy);
    rig.link().await;
    rig.ask(vec![rig.wish("e1", 1, "a", false)]).await;
    let stored = rig.commit_order().await;
    rig.report(DiskReport::Committed).await;
    assert_eq!(rig.answer().await.0, "e1");
    rig.ask(vec![rig.wish("e2", 2, "b", false)]).await;
    rig.commit_order().await;
    rig.report(DiskReport::Failed("no space left".into())).await;
    let failed = rig.clock.steady();
    let mut trials = 0;
    while rig.clock.steady() - failed < Duration::from_secs(120) {
        rig.trial().await;
        trials += 1;
        rig.report(DiskReport::StillFailing("no space left".into())).await;
    }
    assert_eq!(trials, 25);
    rig.trial().await;
    rig.report(DiskReport::Recovered(stored)).await;
    let changes = rig.commit_order().await;
    assert!(matches!(&changes[..], [Change::Registration(gone)] if !gone.is_there()), "{changes:?}");
}
