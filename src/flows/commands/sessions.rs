//! Commands under way: who asked for what, and how far they are.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::data::{Answers, Name};
use crate::domain::ids::{Account, Node};
use crate::domain::registration::RegistrationKey;
use crate::domain::session::Sid;
use crate::domain::time::Moment;

/// How many commands of one account may be under way; the one that was touched longest ago makes room.
const PER_ACCOUNT: usize = 4;

/// How many of all.
const MOST: usize = 1000;

/// How much may be filled in, in bytes: it is kept while the command is under way, and anybody may begin one.
pub(super) const HEAVIEST: usize = 32 * 1024;

/// What a name or a value takes besides its text.
const OVERHEAD: usize = 32;

/// How long one may rest.
pub(super) const RESTS: Duration = Duration::from_secs(600);

/// A command under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its number.
    pub number: u64,
    /// Its name on the wire: the number, and what nobody can guess.
    pub id: Arc<str>,
    /// Who asks, by bare JID.
    pub asker: Account,
    /// The same by the whole JID, verbatim: nobody else may go on with it.
    pub jid: Arc<str>,
    /// Which command.
    pub name: Name,
    /// What was filled in, stage by stage.
    pub stages: Vec<Answers>,
    /// While a list is shown: where its pages begin, after the first.
    pub pages: Vec<Cursor>,
    /// Where the next page begins, if there is one.
    pub more: Option<Cursor>,
    /// When it was last heard of.
    pub touched: Moment,
}

/// What a page ended with: the next one begins behind it, whatever came or went meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// A registration.
    Registration(Box<RegistrationKey>),
    /// A device.
    Device(Account, Node),
    /// A session.
    Session(Account, Sid),
}

impl Session {
    /// All that was filled in.
    #[must_use]
    pub fn answers(&self) -> Answers {
        Answers(self.stages.iter().flat_map(|stage| stage.0.iter().cloned()).collect())
    }

    /// What was filled in takes so many bytes, about.
    pub(super) fn weight(&self) -> usize {
        let fields = self.stages.iter().flat_map(|stage| &stage.0);
        let texts = fields.flat_map(|(name, values)| std::iter::once(name).chain(values));
        texts.map(|text| text.len() + OVERHEAD).sum()
    }
}

/// What came of looking for a session.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// There it is.
    Here(&'a Session),
    /// It was there once, or so its name says.
    Over,
    /// There never was one, or it is somebody else's.
    Never,
}

/// All commands under way.
#[derive(Debug, Default)]
pub struct Sessions {
    all: HashMap<u64, Session>,
    by_age: BTreeMap<(Moment, u64), ()>,
    per_account: HashMap<Account, Vec<u64>>,
    next: u64,
}

impl Sessions {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The number of the next one.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// The one of that name, for who asks.
    #[must_use]
    pub fn find(&self, id: &str, jid: &str, name: Name, now: Moment) -> Found<'_> {
        let number = id.split_once('-').and_then(|(number, _)| number.parse::<u64>().ok());
        let Some(number) = number.filter(|number| *number < self.next) else { return Found::Never };
        match self.all.get(&number) {
            None => Found::Over,
            Some(session) if *session.id != *id || *session.jid != *jid || session.name != name => Found::Never,
            Some(session) if session.touched + RESTS <= now => Found::Over,
            Some(session) => Found::Here(session),
        }
    }

    /// Whether there is room for one more of this account: there is, if one of its own can make it.
    #[must_use]
    pub fn has_room(&self, asker: &Account) -> bool {
        self.all.len() < MOST || self.per_account.get(asker).is_some_and(|own| own.len() >= PER_ACCOUNT)
    }

    /// Those that have rested for too long.
    pub fn tired(&self, now: Moment) -> impl Iterator<Item = u64> {
        self.by_age.keys().take_while(move |(touched, _)| *touched + RESTS <= now).map(|(_, number)| *number)
    }

    /// When the next one will have.
    #[must_use]
    pub fn next_due(&self) -> Option<Moment> {
        self.by_age.keys().next().map(|(touched, _)| *touched + RESTS)
    }

    pub(in crate::flows) fn put(&mut self, session: &Session) {
        self.end(session.number);
        self.next = self.next.max(session.number + 1);
        let own = self.per_account.get(&session.asker).map_or(&[][..], Vec::as_slice);
        if own.len() >= PER_ACCOUNT {
            let oldest = own.iter().min_by_key(|number| self.all.get(number).map(|known| known.touched)).copied();
            oldest.into_iter().for_each(|number| self.end(number));
        }
        self.by_age.insert((session.touched, session.number), ());
        self.per_account.entry(session.asker.clone()).or_default().push(session.number);
        self.all.insert(session.number, session.clone());
    }

    pub(in crate::flows) fn end(&mut self, number: u64) {
        self.next = self.next.max(number + 1);
        let Some(session) = self.all.remove(&number) else { return };
        self.by_age.remove(&(session.touched, number));
        if let Some(own) = self.per_account.get_mut(&session.asker) {
            own.retain(|other| *other != number);
            if own.is_empty() {
                self.per_account.remove(&session.asker);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Moment {
        Moment::since_start(Duration::from_secs(secs))
    }

    fn session(number: u64, asker: &str, touched: u64) -> Session {
        Session {
            number,
            id: format!("{number}-x").into(),
            asker: Account::new(asker),
            jid: format!("{asker}/pc").into(),
            name: Name::Status,
            stages: Vec::new(),
            pages: Vec::new(),
            more: None,
            touched: at(touched),
        }
    }

    #[test]
    fn a_session_is_its_askers_alone_and_ends() {
        let mut sessions = Sessions::default();
        let known = session(0, "a@x", 0);
        sessions.put(&known);
        let rows = [
            ("0-x", "a@x/pc", Name::Status, 599, Found::Here(&known)),
            ("0-x", "a@x/pc", Name::Status, 600, Found::Over),
            ("0-y", "a@x/pc", Name::Status, 0, Found::Never),
            ("0-x", "a@x/phone", Name::Status, 0, Found::Never),
            ("0-x", "a@x/pc", Name::Reload, 0, Found::Never),
            ("1-x", "a@x/pc", Name::Status, 0, Found::Never),
            ("x", "a@x/pc", Name::Status, 0, Found::Never),
            ("-", "a@x/pc", Name::Status, 0, Found::Never),
        ];
        for (id, jid, name, secs, expected) in rows {
            assert_eq!(sessions.find(id, jid, name, at(secs)), expected, "{id} {jid} {name:?} {secs}");
        }
        assert_eq!((sessions.tired(at(600)).collect::<Vec<_>>(), sessions.next_due()), (vec![0], Some(at(600))));
        sessions.end(0);
        assert_eq!(sessions.find("0-x", "a@x/pc", Name::Status, at(0)), Found::Over);
        assert!(sessions.is_empty() && sessions.per_account.is_empty() && sessions.by_age.is_empty());
    }

    #[test]
    fn the_fifth_of_an_account_takes_the_place_of_the_one_touched_longest_ago() {
        let mut sessions = Sessions::default();
        for (number, touched) in [(0, 5), (1, 1), (2, 3), (3, 4), (4, 6)] {
            sessions.put(&session(number, "a@x", touched));
        }
        let mut left: Vec<u64> = sessions.all.keys().copied().collect();
        left.sort_unstable();
        assert_eq!(left, [0, 2, 3, 4]);
    }

    #[test]
    fn a_thousand_are_all() {
        let mut sessions = Sessions::default();
        for number in 0..1000 {
            let asker = format!("a{}@x", number / 4);
            assert!(sessions.has_room(&Account::new(&*asker)));
            sessions.put(&session(number, &asker, 0));
        }
        assert!(!sessions.has_room(&Account::new("new@x")));
        assert!(sessions.has_room(&Account::new("a0@x")), "one of its own makes room");
    }
}
