use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use super::*;
use crate::domain::app::Credentials;
use crate::domain::device::{Access, Device};
use crate::domain::ids::{Account, DeviceHash, Domain, Node};
use crate::domain::outcome::Outcome;
use crate::domain::outcome::Verdict;
use crate::domain::publish::{Notification, Publish};
use crate::domain::secret::{DeviceToken, Secret};
use crate::domain::time::Timestamp;
use crate::flows::data::commands::{Action, Answers, Asked, Name};
use crate::flows::data::{DeviceRegistration, DeviceUnregistration, Door, Reloaded, Ticket};
use crate::flows::policy::Policy;
use crate::flows::signals::{Order as BridgeOrder, OrderKind};
use crate::flows::world::policy;

/// What the driver asked of the disk.
#[derive(Debug)]
enum Order {
    Commit(Vec<Change>),
    Recover,
}

struct FakeDisk(mpsc::Sender<Order>);

impl Disk for FakeDisk {
    fn commit(&mut self, changes: Vec<Change>) {
        self.0.try_send(Order::Commit(changes)).unwrap();
    }

    fn recover(&mut self) {
        self.0.try_send(Order::Recover).unwrap();
    }
}

struct FakeGateways(mpsc::Sender<Push>);

impl Deliver for FakeGateways {
    fn deliver(&self, app: &AppName, pushes: Vec<Push>) {
        for push in pushes {
            assert_eq!(push.app, *app);
            self.0.try_send(push).unwrap();
        }
    }
}

/// Answers over HTTP, told apart from those to the link by the number.
struct FakeHttp(mpsc::Sender<(u64, Answer)>);

impl AnswerHttp for FakeHttp {
    fn answer(&self, request: u64, answer: Answer) {
        self.0.try_send((request, answer)).unwrap();
    }
}

struct FakeOffers(mpsc::Sender<(AppName, bool)>);

impl Offer for FakeOffers {
    fn offer(&self, app: &AppName, works: bool) {
        self.0.try_send((app.clone(), works)).unwrap();
    }
}

/// A driver with the test at the other end of everything.
pub(super) struct Rig {
    requests: Option<mpsc::Sender<Vec<Input>>>,
    answers: mpsc::Receiver<Vec<Outgoing>>,
    pub(super) strangers: mpsc::Sender<Input>,
    pub(super) http: mpsc::Receiver<(u64, Answer)>,
    verdicts: mpsc::Sender<Vec<Verdict>>,
    pushes: mpsc::Receiver<Push>,
    offers: mpsc::Receiver<(AppName, bool)>,
    orders: mpsc::Receiver<Order>,
    reloads: Arc<Mutex<Vec<&'static str>>>,
    reports: mpsc::Sender<DiskReport>,
    pub(super) stop: Option<mpsc::Sender<()>>,
    driver: tokio::task::JoinHandle<Result<(), Ended>>,
    pulse: Pulse,
    pub(super) clock: Clock,
    ready: Vec<(Ticket, Answer)>,
    pub(super) bridge_orders: Vec<BridgeOrder>,
}

impl Rig {
    pub(super) fn new(policy: Policy) -> Self {
        let (request_sender, requests) = mpsc::channel(4);
        let (answers, answer_receiver) = mpsc::channel(100);
        let (stranger_sender, strangers) = mpsc::channel(4);
        let (http_sender, http) = mpsc::channel(100);
        let (verdict_sender, verdicts) = mpsc::channel(100);
        let (push_sender, pushes) = mpsc::channel(100);
        let (offer_sender, offers) = mpsc::channel(100);
        let (order_sender, orders) = mpsc::channel(1);
        let (report_sender, reports) = mpsc::channel(1);
        let (stop_sender, stop) = mpsc::channel(1);
        let clock = Clock::starting_at(Timestamp::from_secs(1_000_000));
        let draws = Arc::new(Mutex::new(0_u8));
        let dice = Dice::new(move |bytes| {
            let mut draws = draws.lock().unwrap();
            *draws += 1;
            bytes.fill(*draws);
        });
        let reloads = Arc::<Mutex<Vec<&'static str>>>::default();
        let ports = Ports {
            watch: Box::new(Unwatched),
            reload: Box::new(FakeReload(reloads.clone())),
            requests,
            answers,
            strangers,
            http: Box::new(FakeHttp(http_sender)),
            verdicts,
            gateways: Box::new(FakeGateways(push_sender)),
            offers: Box::new(FakeOffers(offer_sender)),
            reports,
            disk: Box::new(FakeDisk(order_sender)),
            stop,
        };
        let mut state = State::new(policy);
        for app in state.policy.apps.clone() {
            let credentials = Credentials { fingerprint: app.fingerprint, since: Timestamp::from_secs(0) };
            state.apply(&Change::Credentials(app.name, credentials));
        }
        let driver = Driver::new(state, clock.clone(), dice, ports);
        Self {
            requests: Some(request_sender),
            answers: answer_receiver,
            strangers: stranger_sender,
            http,
            verdicts: verdict_sender,
            pushes,
            offers,
            orders,
            reloads,
            reports: report_sender,
            stop: Some(stop_sender),
            pulse: driver.pulse(),
            driver: tokio::spawn(driver.run()),
            clock,
            ready: Vec::new(),
            bridge_orders: Vec::new(),
        }
    }

    pub(super) fn ticket(&self, id: &str) -> Ticket {
        Ticket {
            door: Door::Link,
            id: id.into(),
            to: "example.org".into(),
            from: "push.example.org".into(),
            taken: self.clock.steady(),
            for_client: false,
        }
    }

    pub(super) async fn ask(&self, inputs: Vec<Input>) {
        self.requests.as_ref().unwrap().send(inputs).await.unwrap();
    }

    fn registration(&self, id: &str, device: &str) -> Input {
        let registration = DeviceRegistration {
            command: "register-push-fcm".into(),
            service: "fcm".into(),
            owner: Account::new("romeo@example.org"),
            account: DeviceHash::of("romeo@example.org", device),
            room: None,
            token: DeviceToken::new("token"),
            voip_token: None,
            node: None,
            access: Access::Secret,
        };
        Input::Register { ticket: self.ticket(id), registration }
    }

    fn unregistration(&self, id: &str, device: &str) -> Input {
        let unregistration = DeviceUnregistration {
            command: "unregister-push-fcm".into(),
            service: "fcm".into(),
            owner: Account::new("romeo@example.org"),
            account: DeviceHash::of("romeo@example.org", device),
            channel: None,
        };
        Input::Unregister { ticket: self.ticket(id), unregistration }
    }

    fn publish(&self, id: &str, (node, secret): &(Node, Secret)) -> Input {
        let publish = Publish {
            from: Domain::new("example.org"),
            from_full_jid: false,
            node: node.clone(),
            secret: Some(secret.clone()),
            module: None,
            notification: Notification::default(),
        };
        Input::Publish { ticket: self.ticket(id), publish }
    }

    pub(super) async fn commit_order(&mut self) -> Vec<Change> {
        match self.orders.recv().await {
            Some(Order::Commit(changes)) => changes,
            other => panic!("no commit but {other:?}"),
        }
    }

    /// The disk is asked whether it works again.
    pub(super) async fn trial(&mut self) {
        assert!(matches!(self.orders.recv().await, Some(Order::Recover)));
    }

    pub(super) async fn report(&self, report: DiskReport) {
        self.reports.send(report).await.unwrap();
    }

    /// Takes what the driver sends next.
    pub(super) async fn hear(&mut self) {
        for outgoing in self.answers.recv().await.expect("the driver ended") {
            match outgoing {
                Outgoing::Answer(ticket, answer) => self.ready.push((ticket, answer)),
                Outgoing::Order(order) => self.bridge_orders.push(*order),
                Outgoing::Began => {}
            }
        }
    }

    /// The next answer.
    pub(super) async fn answer(&mut self) -> (String, Answer) {
        while self.ready.is_empty() {
            self.hear().await;
        }
        let (ticket, answer) = self.ready.remove(0);
        (ticket.id.to_string(), answer)
    }

    /// Whether there is no answer, once the driver has done all that it can do without time passing.
    pub(super) async fn no_answer(&mut self) -> bool {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        self.ready.is_empty() && self.answers.is_empty()
    }

    async fn register(&mut self, device: &str) -> (Node, Secret) {
        self.ask(vec![self.registration("r", device)]).await;
        self.commit_order().await;
        self.report(DiskReport::Committed).await;
        match self.answer().await.1 {
            Answer::Registered { node, secret, .. } => (node, secret),
            other => panic!("not registered: {other:?}"),
        }
    }

    async fn accept(&mut self) {
        let push = self.pushes.recv().await.unwrap();
        self.say(push, Outcome::Accepted).await;
    }

    async fn say(&self, push: Push, outcome: Outcome) {
        let verdict = Verdict { push: push.id, app: push.app, node: push.node, generation: push.generation, outcome };
        self.verdicts.send(vec![verdict]).await.unwrap();
    }
}

fn devices(changes: &[Change]) -> Vec<&Device> {
    let mut found = Vec::new();
    for change in changes {
        if let Change::Device(device) = change {
            found.push(&**device);
        }
    }
    found
}

pub(super) const STORE: Answer = Answer::Refused(Refusal::TryLater(Later::Store));

#[tokio::test(start_paused = true)]
async fn a_registration_is_answered_only_when_it_is_on_disk() {
    let mut rig = Rig::new(policy());
    rig.ask(vec![rig.registration("r1", "phone")]).await;
    let changes = rig.commit_order().await;
    assert_eq!(devices(&changes).len(), 1);
    assert!(rig.no_answer().await);
    rig.report(DiskReport::Committed).await;
    assert!(matches!(rig.answer().await, (id, Answer::Registered { .. }) if id == "r1"));
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_the_disk_is_busy_shares_the_next_commit() {
    let mut rig = Rig::new(policy());
    rig.ask(vec![rig.registration("r1", "one")]).await;
    assert_eq!(devices(&rig.commit_order().await).len(), 1);
    let more = ["two", "three"].map(|device| rig.registration(device, device));
    rig.ask(more.to_vec()).await;
    assert!(rig.no_answer().await);
    rig.report(DiskReport::Committed).await;
    assert_eq!(rig.answer().await.0, "r1");
    assert_eq!(devices(&rig.commit_order().await).len(), 2);
    assert!(rig.no_answer().await);
    rig.report(DiskReport::Committed).await;
    assert_eq!([rig.answer().await.0, rig.answer().await.0], ["two", "three"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_speaks_of_what_is_not_on_disk_yet_waits_for_it() {
    let mut rig = Rig::new(policy());
    rig.register("phone").await;
    rig.ask(vec![rig.unregistration("u1", "phone")]).await;
    rig.commit_order().await;
    // Refused because of "u1", which the disk does not know yet.
    rig.ask(vec![rig.unregistration("u2", "phone")]).await;
    assert!(rig.no_answer().await);
    rig.report(DiskReport::Committed).await;
    assert_eq!([rig.answer().await.0, rig.answer().await.0], ["u1", "u2"]);
}

#[tokio::test(start_paused = true)]
async fn a_healthy_push_waits_for_no_disk_and_its_fact_rides_within_a_second() {
    let mut rig = Rig::new(policy());
    let device = rig.register("phone").await;
    let asked = rig.clock.steady();
    rig.ask(vec![rig.publish("p1", &device)]).await;
    rig.accept().await;
    assert_eq!(rig.answer().await, ("p1".to_owned(), Answer::Done));
    assert_eq!(rig.clock.steady(), asked);
    let facts = rig.commit_order().await;
    assert!(matches!(&facts[..], [Change::Fact(_)]), "{facts:?}");
    assert_eq!(rig.clock.steady() - asked, FACTS_WITHIN);
}

#[tokio::test(start_paused = true)]
async fn clients_find_an_app_until_its_credentials_are_refused_and_again_afterwards() {
    let mut rig = Rig::new(policy());
    let device = rig.register("phone").await;
    rig.ask(vec![rig.publish("p1", &device)]).await;
    let push = rig.pushes.recv().await.unwrap();
    let app = push.app.clone();
    rig.say(push, Outcome::OperatorFault("InvalidProviderToken".into())).await;
    let promise = rig.commit_order().await;
    assert!(promise.iter().any(|change| matches!(change, Change::Owe(_))), "{promise:?}");
    rig.report(DiskReport::Committed).await;
    assert_eq!(rig.answer().await, ("p1".to_owned(), Answer::Done));
    assert_eq!(rig.offers.try_recv(), Ok((app.clone(), false)));
    // The next one that is tried is taken.
    rig.accept().await;
    assert_eq!(rig.offers.recv().await, Some((app, true)));
}

#[tokio::test(start_paused = true)]
async fn a_failed_commit_is_told_and_nothing_is_promised_until_the_store_is_back() {
    let mut rig = Rig::new(policy());
    let known = rig.register("phone").await;
    rig.ask(vec![rig.registration("r1", "tablet")]).await;
    let lost = rig.commit_order().await;
    rig.ask(vec![rig.registration("r2", "watch")]).await;
    assert!(rig.no_answer().await);
    rig.report(DiskReport::Failed("no space left".into())).await;
    assert_eq!([rig.answer().await, rig.answer().await], [("r1".to_owned(), STORE), ("r2".to_owned(), STORE)]);

    // It is tried again at once, and then every five seconds; meanwhile known devices are pushed to.
    rig.trial().await;
    rig.ask(vec![rig.registration("r3", "watch"), rig.publish("p1", &known)]).await;
    assert_eq!(rig.answer().await, ("r3".to_owned(), STORE));
    rig.accept().await;
    assert_eq!(rig.answer().await, ("p1".to_owned(), Answer::Done));
    let before = rig.clock.steady();
    rig.report(DiskReport::StillFailing("no space left".into())).await;
    rig.trial().await;
    assert_eq!(rig.clock.steady() - before, TRIAL_EVERY);

    // What was never stored is unknown afterwards.
    let [unstored] = devices(&lost)[..] else { panic!("{lost:?}") };
    let (node, secret) = (unstored.node.clone(), unstored.secret.clone());
    rig.report(DiskReport::Recovered(Vec::new())).await;
    rig.ask(vec![rig.publish("p2", &(node, secret)), rig.publish("p3", &known)]).await;
    let unknown = Answer::Refused(Refusal::NoSuchDevice);
    assert_eq!(rig.answer().await, ("p2".to_owned(), unknown.clone()));
    assert_eq!(rig.answer().await, ("p3".to_owned(), unknown));
    rig.register("watch").await;
}

#[tokio::test(start_paused = true)]
async fn a_push_under_way_survives_the_stores_recovery() {
    let mut rig = Rig::new(policy());
    rig.ask(vec![rig.registration("r", "phone")]).await;
    let stored = rig.commit_order().await;
    rig.report(DiskReport::Committed).await;
    let Answer::Registered { node, secret, .. } = rig.answer().await.1 else { panic!("not registered") };
    rig.ask(vec![rig.publish("p1", &(node, secret)), rig.registration("r2", "tablet")]).await;
    rig.commit_order().await;
    rig.report(DiskReport::Failed("no space left".into())).await;
    assert_eq!(rig.answer().await, ("r2".to_owned(), STORE));
    rig.trial().await;
    rig.report(DiskReport::Recovered(stored)).await;
    rig.accept().await;
    assert_eq!(rig.answer().await, ("p1".to_owned(), Answer::Done));
}

#[tokio::test(start_paused = true)]
async fn a_silent_vendor_is_answered_for_in_time() {
    let mut rig = Rig::new(policy());
    let device = rig.register("phone").await;
    let asked = rig.clock.steady();
    rig.ask(vec![rig.publish("p1", &device)]).await;
    let promise = rig.commit_order().await;
    assert!(matches!(&promise[..], [Change::Owe(owed)] if owed.node == device.0), "{promise:?}");
    assert!(rig.no_answer().await, "nothing is promised before it is on the disk");
    rig.report(DiskReport::Committed).await;
    assert_eq!(rig.answer().await, ("p1".to_owned(), Answer::Done));
    let waited = rig.clock.steady() - asked;
    assert!((policy().answer_within..policy().answer_within + 4 * GRAIN).contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn stopping_waits_for_those_who_wait_and_for_the_disk() {
    let mut rig = Rig::new(policy());
    let device = rig.register("phone").await;
    rig.ask(vec![rig.publish("p1", &device)]).await;
    let push = rig.pushes.recv().await.unwrap();
    rig.stop = None;
    assert!(rig.no_answer().await);
    assert!(rig.requests.as_ref().unwrap().is_closed());
    rig.say(push, Outcome::Accepted).await;
    assert_eq!(rig.answer().await, ("p1".to_owned(), Answer::Done));
    let facts = rig.commit_order().await;
    assert!(matches!(&facts[..], [Change::Fact(_)]), "{facts:?}");
    assert!(!rig.driver.is_finished());
    rig.report(DiskReport::Committed).await;
    assert_eq!(rig.driver.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_reload_or_a_test_push_is_answered_before_the_end() {
    let admin = Account::new("admin@example.org");
    let mut rig = Rig::new(Policy { admins: vec![admin.clone()], ..policy() });
    rig.register("phone").await;
    let ask = |rig: &Rig, id: &str, asker: &Account, name, fields| {
        let asked = Box::new(Asked { name, session: None, action: Action::Execute, fields });
        Input::Command { ticket: rig.ticket(id), asker: asker.clone(), asked }
    };
    let owner = Account::new("romeo@example.org");
    rig.ask(vec![ask(&rig, "t1", &owner, Name::TestMyDevice, None)]).await;
    let (_, Answer::Command(shown)) = rig.answer().await else { panic!("no form") };
    let target = shown.form.unwrap().fields[0].values[0].as_str().into();
    let fields = Some(Answers(vec![("target".into(), vec![target])]));
    rig.ask(vec![ask(&rig, "t2", &owner, Name::TestMyDevice, fields), ask(&rig, "r1", &admin, Name::Reload, None)])
        .await;
    let _under_way = rig.pushes.recv().await.unwrap();
    rig.stop = None;
    assert_eq!(rig.answer().await, ("r1".to_owned(), Answer::Refused(Refusal::TryLater(Later::Full))));
    // The vendor says nothing, so it is owed.
    rig.commit_order().await;
    rig.report(DiskReport::Committed).await;
    let (id, Answer::Command(shown)) = rig.answer().await else { panic!("no report") };
    assert_eq!((id.as_str(), shown.notes[0].1.split(' ').next()), ("t2", Some("Nothing")));
    rig.driver.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_busy_vendor_pauses_reading_when_many_wait_and_a_silent_one_does_not() {
    let mut rig = Rig::new(Policy { slots: 4, max_waiting: 6, ..policy() });
    let mut devices = Vec::new();
    for number in 0..8 {
        devices.push(rig.register(&format!("phone-{number}")).await);
    }
    let ids = ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7"];
    let publish = |rig: &Rig, at: usize| rig.publish(ids[at], &devices[at]);
    rig.ask((0..4).map(|at| publish(&rig, at)).collect()).await;
    rig.accept().await;
    assert_eq!(rig.answer().await.0, "p0");
    // One finds the free slot, two wait for one, and the vendor has just spoken: one reads no further.
    rig.ask((4..7).map(|at| publish(&rig, at)).collect()).await;
    for _ in 1..5 {
        rig.pushes.recv().await.unwrap();
    }
    rig.ask(vec![publish(&rig, 7)]).await;
    assert!(rig.no_answer().await && rig.pushes.is_empty() && rig.orders.is_empty());
    // It says nothing more: reading goes on, and what finds no place is promised.
    let facts = rig.commit_order().await;
    assert!(matches!(&facts[..], [Change::Fact(_)]), "{facts:?}");
    rig.report(DiskReport::Committed).await;
    let promise = rig.commit_order().await;
    assert!(matches!(&promise[..], [Change::Owe(owed)] if owed.node == devices[7].0), "{promise:?}");
    rig.report(DiskReport::Committed).await;
    assert_eq!(rig.answer().await, ("p7".to_owned(), Answer::Done));
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_at_a_stop_is_owed_if_nobody_hears_of_it_in_time() {
    let mut rig = Rig::new(policy());
    let device = rig.register("phone").await;
    rig.ask(vec![rig.publish("p1", &device)]).await;
    rig.pushes.recv().await.unwrap();
    rig.stop = None;
    let promise = rig.commit_order().await;
    assert!(matches!(&promise[..], [Change::Owe(owed)] if owed.node == device.0), "{promise:?}");
    rig.report(DiskReport::Committed).await;
    assert_eq!(rig.answer().await, ("p1".to_owned(), Answer::Done));
    assert_eq!(rig.driver.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn an_edge_that_ends_unasked_ends_the_driver() {
    let rig = Rig::new(policy());
    drop(rig.verdicts);
    assert_eq!(rig.driver.await.unwrap(), Err(Ended::Gateways));
    let rig = Rig::new(policy());
    drop(rig.reports);
    assert_eq!(rig.driver.await.unwrap(), Err(Ended::Store));
}

#[tokio::test(start_paused = true)]
async fn what_was_read_but_not_taken_is_turned_away_by_a_stop() {
    let mut rig = Rig::new(Policy { slots: 4, max_waiting: 8, ..policy() });
    let mut devices = Vec::new();
    for number in 0..7 {
        devices.push(rig.register(&format!("phone-{number}")).await);
    }
    rig.ask((0..4).map(|at| rig.publish("early", &devices[at])).collect()).await;
    rig.accept().await;
    assert_eq!(rig.answer().await, ("early".to_owned(), Answer::Done));
    // The vendor is busy, and one waits for a slot: what comes now waits in the queue.
    rig.ask((4..6).map(|at| rig.publish("early", &devices[at])).collect()).await;
    assert!(rig.no_answer().await);
    rig.ask(vec![rig.publish("late", &devices[6])]).await;
    assert!(rig.no_answer().await);
    // But not what is asked over HTTP: that brings no pushes, and may ask how we are.
    rig.unregister_over_http(7, "token").await;
    assert_eq!(rig.told_over_http().await, (7, Answer::Refused(Refusal::NotRegistered)));
    let ticket = Ticket::over_http(8, rig.clock.steady());
    rig.strangers.send(Input::Status { ticket }).await.unwrap();
    let (request, Answer::Status(status)) = rig.told_over_http().await else { panic!("no status") };
    assert_eq!((request, status.waiting), (8, 5));
    rig.stop = None;
    assert_eq!(rig.answer().await, ("late".to_owned(), Answer::Refused(Refusal::TryLater(Later::Full))));
    for _ in 0..5 {
        rig.accept().await;
        assert_eq!(rig.answer().await, ("early".to_owned(), Answer::Done));
    }
}

#[tokio::test(start_paused = true)]
async fn hosts_are_told_anew_whom_to_watch_when_the_store_is_back() {
    let mut rig = Rig::new(policy());
    rig.ask(vec![Input::Link(true)]).await;
    let is_list = |outgoing: &Outgoing| match outgoing {
        Outgoing::Order(order) => matches!(order.what, OrderKind::Watch { list: Some(_), .. }),
        _ => false,
    };
    assert!(rig.answers.recv().await.unwrap().iter().any(is_list));
    rig.ask(vec![rig.registration("r1", "phone")]).await;
    rig.commit_order().await;
    rig.report(DiskReport::Failed("no space left".into())).await;
    assert_eq!(rig.answer().await, ("r1".to_owned(), STORE));
    assert!(matches!(rig.orders.recv().await, Some(Order::Recover)));
    // What was decided since may have been undone by that.
    let before = rig.clock.steady();
    rig.report(DiskReport::Recovered(Vec::new())).await;
    assert!(rig.answers.recv().await.unwrap().iter().any(is_list));
    assert_eq!(rig.clock.steady(), before);
}

struct FakeReload(Arc<Mutex<Vec<&'static str>>>);

impl Reload for FakeReload {
    fn reload(&self) {
        self.0.lock().unwrap().push("reload");
    }

    fn switch(&self) {
        self.0.lock().unwrap().push("switch");
    }
}

#[tokio::test(start_paused = true)]
async fn what_goes_with_new_settings_is_switched_in_the_moment_in_which_they_hold() {
    let mut rig = Rig::new(policy());
    let reloaded = |policy: Option<Policy>| {
        let reloaded = Reloaded { policy: policy.map(Box::new), wishes: 0, said: Vec::new() };
        Input::Reloaded(Box::new(reloaded))
    };
    let said = rig.reloads.clone();
    for (input, expected) in [(reloaded(None), 0), (reloaded(Some(policy())), 1), (reloaded(Some(policy())), 2)] {
        rig.strangers.send(input).await.unwrap();
        // Taken before the request that comes after it.
        rig.strangers.send(Input::Tick).await.unwrap();
        while rig.strangers.capacity() < rig.strangers.max_capacity() {
            tokio::task::yield_now().await;
        }
        assert_eq!(*said.lock().unwrap(), vec!["switch"; expected]);
    }
    rig.stop.take();
    assert!(rig.driver.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_pulse_beats_while_the_loop_turns_and_not_while_it_is_stuck_nor_after_its_end() {
    let mut rig = Rig::new(policy());
    let pulse = rig.pulse.clone();
    let beats = || tokio::time::timeout(Duration::from_secs(30), pulse.beats());
    assert_eq!(beats().await, Ok(true));
    // Nobody takes what it sends, until it waits for room.
    let fill = async {
        loop {
            rig.ask(vec![rig.unregistration("u", "nobody's")]).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(1), fill).await.unwrap_err();
    beats().await.unwrap_err();
    // The link takes answers again.
    rig.hear().await;
    while rig.answers.try_recv().is_ok() {}
    assert_eq!(beats().await, Ok(true));
    drop(rig.requests.take());
    drop(rig.stop.take());
    rig.driver.await.unwrap().unwrap();
    assert_eq!(beats().await, Ok(false));
}
