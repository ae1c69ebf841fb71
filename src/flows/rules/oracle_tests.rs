//! Our decisions beside those of a naive model of mod_cloud_notify, where the two must agree: what is important, to
//! whom it goes, how often, and when the window becomes the normal one. Each round is over before the next begins, so
//! that what differs on purpose does not meet: we also collect what is archived, offline or unacknowledged at the start
//! of a hibernation; one push of ours speaks for the unimportant stanzas of its burst, too; and nothing pushes twice.

use proptest::collection::vec;
use proptest::prelude::*;

use super::rig::{Rig, THIRD, call, ended, message, report, state};
use crate::domain::session::{EndReason, Report, Standing};
use crate::domain::stanza::{JingleStep, Stanza};
use crate::flows::cloud_notify::{self, Object, Pushed, Window};
use crate::flows::data::Input;
use crate::flows::signals::{OrderKind, Relayed, Turn};
use crate::flows::world::Happened;

/// The phone's registration and session, and the tablet's.
const PHONE: u32 = 1;
const TABLET: u32 = 2;

#[derive(Clone, Debug)]
enum Round {
    /// The phone hibernates with these in its queue: messages, or something of no importance.
    Hibernate(Vec<bool>),
    /// These are queued while it does.
    Queue(Vec<bool>),
    /// It is back.
    Resume,
    /// Its session is over.
    End,
    /// It binds anew.
    Bind,
    /// A message is archived; then it is queued, too, if the phone hibernates.
    Archive(bool),
    /// A message goes to offline storage, if nobody has a session.
    Offline(bool),
    /// Somebody calls.
    Call,
    /// Another module asks for a wake.
    Ping,
}

fn round() -> impl Strategy<Value = Round> {
    prop_oneof![
        vec(any::<bool>(), 0..4).prop_map(Round::Hibernate),
        vec(any::<bool>(), 1..6).prop_map(Round::Queue),
        Just(Round::Resume),
        Just(Round::End),
        Just(Round::Bind),
        any::<bool>().prop_map(Round::Archive),
        any::<bool>().prop_map(Round::Offline),
        Just(Round::Call),
        Just(Round::Ping),
    ]
}

/// How the phone stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phone {
    Connected,
    Hibernated,
    Gone,
}

struct Both {
    rig: Rig,
    theirs: cloud_notify::Account,
    phone: Phone,
    stanzas: u32,
    hibernations: u32,
}

impl Both {
    fn new() -> Self {
        let mut rig = Rig::new();
        rig.phone();
        rig.enabled_at(THIRD, "node-2", "tablet");
        rig.event(ended("tablet", EndReason::Closed));
        let mut theirs = cloud_notify::Account::new(5, 16);
        for id in [PHONE, TABLET] {
            theirs.bind(id);
            theirs.enable(id, id);
        }
        theirs.end(TABLET);
        Self { rig, theirs, phone: Phone::Connected, stanzas: 0, hibernations: 0 }
    }

    fn stanza(&mut self, important: bool) -> (u32, Stanza, Object) {
        self.stanzas += 1;
        let id = format!("m{}", self.stanzas);
        let stanza = if important { message(&id) } else { state(&id) };
        let object = Object { id: u64::from(self.stanzas), stanza: stanza.clone() };
        (self.stanzas, stanza, object)
    }

    /// The phone's session, of the hibernation that is now.
    fn away(&self) -> Report {
        Report { since: format!("{}", self.hibernations).into(), ..report("phone", Standing::Hibernated) }
    }

    /// Takes a round; returns what they push. `None` if there is no such round now.
    fn take(&mut self, round: &Round) -> Option<(Vec<Pushed>, Happened)> {
        let now = self.rig.world.now().steady;
        let mut all = Happened::default();
        let mut pushed = Vec::new();
        match (round, self.phone) {
            (Round::Hibernate(queue), Phone::Connected) => {
                self.hibernations += 1;
                let queue: Vec<_> = queue.iter().map(|important| self.stanza(*important)).collect();
                let objects: Vec<Object> = queue.iter().map(|(_, _, object)| object.clone()).collect();
                let stanzas: Vec<_> = queue.into_iter().map(|(n, stanza, _)| (n, stanza)).collect();
                pushed = self.theirs.hibernate(PHONE, &objects, now);
                all.append(self.rig.turn(self.away(), Turn::Hibernated, &stanzas));
                self.phone = Phone::Hibernated;
            }
            (Round::Queue(queue), Phone::Hibernated) => {
                for important in queue {
                    let (n, stanza, object) = self.stanza(*important);
                    self.theirs.collect(PHONE, &object, now);
                    all.append(self.rig.turn(self.away(), Turn::Queued, &[(n, stanza)]));
                }
            }
            (Round::Resume, Phone::Hibernated) => {
                self.theirs.resume(PHONE);
                all.append(self.rig.turn(report("phone", Standing::Active), Turn::Resumed, &[]));
                self.phone = Phone::Connected;
            }
            (Round::End, Phone::Connected | Phone::Hibernated) => {
                self.theirs.end(PHONE);
                all.append(self.rig.event(ended("phone", EndReason::Closed)));
                self.phone = Phone::Gone;
            }
            (Round::Bind, Phone::Gone) => {
                // There, nothing is bound again by itself: the client has to enable.
                self.theirs.bind(PHONE);
                self.theirs.enable(PHONE, PHONE);
                all.append(self.rig.turn(report("phone", Standing::Active), Turn::Bound, &[]));
                self.phone = Phone::Connected;
            }
            // Without any session nothing is pushed there for what is archived, only for what goes offline.
            (Round::Archive(important), phone) if phone != Phone::Gone => {
                let (n, stanza, object) = self.stanza(*important);
                pushed = self.theirs.archived(&object);
                all.append(self.rig.archived(stanza.clone()));
                if phone == Phone::Hibernated {
                    self.theirs.collect(PHONE, &object, now);
                    all.append(self.rig.turn(self.away(), Turn::Queued, &[(n, stanza)]));
                }
            }
            (Round::Offline(important), Phone::Gone) => {
                let (_, stanza, object) = self.stanza(*important);
                pushed = self.theirs.offline(&object);
                all.append(self.rig.archived(stanza.clone()));
                all.append(self.rig.offline(stanza));
            }
            (Round::Call, Phone::Connected) => {
                let (n, _, object) = self.stanza(true);
                let mut stanza = Stanza { archive_id: Some(format!("c{n}").into()), ..call(JingleStep::Propose) };
                if let Some(jingle) = &mut stanza.jingle {
                    jingle.id = format!("call{n}").into();
                }
                pushed = self.theirs.archived(&Object { stanza: stanza.clone(), ..object });
                all.append(self.rig.archived(stanza));
            }
            (Round::Ping, _) => {
                pushed = self.theirs.ping(None);
                let account = crate::domain::ids::Account::new(super::rig::ALICE);
                let what = crate::flows::signals::What::Ping { account, service: None, node: None };
                all.append(self.rig.event(what));
            }
            _ => return None,
        }
        Some((pushed, all))
    }

    /// Lets the round end; every service takes every push.
    fn settle(&mut self, all: &mut Happened, pushed: &mut Vec<Pushed>) {
        all.append(self.rig.pass(3000));
        for relay in all.relays().into_iter().cloned().collect::<Vec<_>>() {
            let settled = self.rig.relayed(&relay, Relayed::Taken);
            all.append(settled);
        }
        pushed.extend(self.theirs.tick(self.rig.world.now().steady));
    }
}

/// Who gets an important push, and who gets any, in order.
fn ours(all: &Happened) -> (Vec<u32>, Vec<u32>) {
    let whom = |order: &&crate::flows::signals::Order| match &order.what {
        OrderKind::Relay { to, words, .. } => {
            (if to.node.as_str() == "node-1" { PHONE } else { TABLET }, words.body.is_some())
        }
        other => panic!("{other:?}"),
    };
    let pushes: Vec<(u32, bool)> = all.relays().iter().map(whom).collect();
    let important = pushes.iter().filter(|(_, important)| *important).map(|(to, _)| *to);
    let (mut important, mut all): (Vec<u32>, Vec<u32>) =
        (important.collect(), pushes.iter().map(|(to, _)| *to).collect());
    important.sort_unstable();
    all.sort_unstable();
    (important, all)
}

fn theirs(pushed: &[Pushed]) -> (Vec<u32>, Vec<u32>) {
    let mut important: Vec<u32> = pushed.iter().filter(|push| push.important).map(|push| push.to).collect();
    let mut all: Vec<u32> = pushed.iter().map(|push| push.to).collect();
    important.sort_unstable();
    all.sort_unstable();
    // One of ours speaks for both classes.
    all.dedup();
    (important, all)
}

proptest! {
    #[test]
    fn we_push_when_and_to_whom_mod_cloud_notify_does(rounds in vec(round(), 1..30)) {
        let mut both = Both::new();
        let mut pushes = 0;
        for round in &rounds {
            let Some((mut pushed, mut all)) = both.take(round) else { continue };
            both.settle(&mut all, &mut pushed);
            prop_assert_eq!(ours(&all), theirs(&pushed), "{:?} of {:?}", round, rounds);
            pushes += pushed.len();
            let normal = matches!(both.theirs.window(PHONE), Some(Window::Normal(_)));
            let window = both.rig.world.state.lives.of(&crate::domain::ids::Account::new(super::rig::ALICE));
            let phone = window.sessions.iter().find(|session| &*session.report.resource == "phone");
            let ours = phone.and_then(|phone| phone.hibernation.as_ref()).map(|hibernation| hibernation.window);
            prop_assert_eq!(ours == Some(crate::domain::keeper::Window::Normal), normal, "{:?} of {:?}", round, rounds);
        }
        prop_assume!(pushes > 0);
        // Nothing is left behind.
        both.rig.world.take(Input::Tick);
        prop_assert_eq!(both.rig.world.state.waiting(), 0);
    }
}
