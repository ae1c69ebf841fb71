//! The last decisions, in memory: why a phone was, or was not, woken.
//!
//! Bounded twice: an account's newest lines, so that a busy one pushes nobody else out, and all lines together, of which
//! the accounts that nothing happened to for longest make room.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::decision::{About, Decided, Line, Place, Trail};
use crate::domain::ids::Account;
use crate::domain::time::Timestamp;

/// How many lines an account has.
pub const LINES_PER_ACCOUNT: usize = 50;

/// How many there are of all accounts together.
pub const LINES: usize = 50_000;

/// For how many more lines there is room when there was none.
const GROWTH: usize = 3;

/// A line, and how often there was the same in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The newest of the same.
    pub line: Line,
    /// How many there were in a row.
    pub times: u32,
    /// When the first of them was.
    pub first: Timestamp,
}

/// All lines.
#[derive(Debug, Default)]
pub struct History {
    accounts: HashMap<Account, Lines>,
    /// Accounts in the order in which they make room, but that one which something happened to since gets another turn.
    order: VecDeque<Account>,
    total: usize,
}

#[derive(Debug, Default)]
struct Lines {
    entries: VecDeque<Kept>,
    touched: bool,
}

/// A line as it is kept: without its account, and with its place only once for those that have the same.
#[derive(Debug)]
struct Kept {
    at: Timestamp,
    first: Timestamp,
    place: Arc<Place>,
    trail: Option<Trail>,
    about: Option<About>,
    times: u32,
    what: Decided,
}

impl History {
    /// An account's lines, the oldest first.
    pub fn of(&self, account: &Account) -> impl DoubleEndedIterator<Item = Entry> {
        let known = self.accounts.get_key_value(account);
        known.into_iter().flat_map(|(account, lines)| lines.entries.iter().map(|kept| kept.entry(account)))
    }

    /// How many lines there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.total
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.total == 0
    }

    pub(super) fn note(&mut self, line: Line) {
        self.note_within(line, LINES);
    }

    fn note_within(&mut self, line: Line, most: usize) {
        if let Some(lines) = self.accounts.get_mut(&line.account) {
            lines.touched = true;
            if lines.entries.back_mut().is_some_and(|last| last.takes(&line)) {
                return;
            }
            if lines.entries.len() >= LINES_PER_ACCOUNT {
                lines.entries.pop_front();
                self.total -= 1;
            }
            // By little: most accounts never have many, and room for as many again would be half of all this memory.
            if lines.entries.len() == lines.entries.capacity() {
                lines.entries.reserve_exact(GROWTH);
            }
            let before = lines.entries.iter().rev().map(|kept| &kept.place).find(|place| ***place == line.place);
            let place = before.map(Arc::clone);
            lines.entries.push_back(Kept::new(line, place));
        } else {
            let account = line.account.clone();
            let lines = Lines { entries: VecDeque::from([Kept::new(line, None)]), touched: false };
            self.accounts.insert(account.clone(), lines);
            self.order.push_back(account);
        }
        self.total += 1;
        while self.total > most {
            self.make_room();
        }
    }

    fn make_room(&mut self) {
        let Some(account) = self.order.pop_front() else { return };
        let Some(lines) = self.accounts.get_mut(&account) else { return };
        if std::mem::take(&mut lines.touched) {
            return self.order.push_back(account);
        }
        self.total -= lines.entries.len();
        self.accounts.remove(&account);
    }
}

impl Kept {
    /// `place`: where it was, if that is kept already.
    fn new(line: Line, place: Option<Arc<Place>>) -> Self {
        let Line { at, about, trail, what, .. } = line;
        Self { at, first: at, place: place.unwrap_or_else(|| Arc::new(line.place)), trail, about, times: 1, what }
    }

    fn entry(&self, account: &Account) -> Entry {
        let Self { at, first, place, trail, about, times, what } = self;
        let (account, place, what) = (account.clone(), Place::clone(place), what.clone());
        let line = Line { at: *at, account, place, about: *about, trail: *trail, what };
        Entry { line, times: *times, first: *first }
    }

    /// Takes a line that says the same again.
    fn takes(&mut self, next: &Line) -> bool {
        // A push that has a name is one of its own.
        let same = self.trail == next.trail && self.about == next.about && self.what == next.what;
        if !same || *self.place != next.place {
            return false;
        }
        self.times = self.times.saturating_add(1);
        self.at = next.at;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::flows::decision::{Decided, Place, Trail};

    fn line(account: &str, secs: i64, what: Decided) -> Line {
        Line {
            at: Timestamp::from_secs(secs),
            account: Account::new(account),
            place: Place::Account,
            about: None,
            trail: None,
            what,
        }
    }

    fn said(history: &History, account: &str) -> Vec<(Decided, u32, u64, u64)> {
        let account = Account::new(account);
        let all = history.of(&account);
        all.map(|entry| (entry.line.what.clone(), entry.times, entry.first.secs(), entry.line.at.secs())).collect()
    }

    #[test]
    fn fifty_thousand_lines_take_five_megabytes() {
        assert_eq!(size_of::<Kept>(), 104);
    }

    #[test]
    fn the_same_in_a_row_is_one_line_with_a_count() {
        let mut history = History::default();
        for (secs, what) in
            [(1, Decided::Worthless), (2, Decided::Worthless), (3, Decided::Known), (4, Decided::Worthless)]
        {
            history.note(line("a@x", secs, what));
        }
        let expected = [(Decided::Worthless, 2, 1, 2), (Decided::Known, 1, 3, 3), (Decided::Worthless, 1, 4, 4)];
        assert_eq!(said(&history, "a@x"), expected);
        assert_eq!(history.len(), 3);
    }

    #[test]
    fn pushes_with_names_of_their_own_are_lines_of_their_own() {
        let mut history = History::default();
        for push in [1, 2] {
            history.note(Line { trail: Some(Trail::Rules(push)), ..line("a@x", 1, Decided::Known) });
        }
        assert_eq!(history.len(), 2);
    }

    #[test]
    fn an_account_keeps_its_newest_lines() {
        let mut history = History::default();
        for n in 0..60 {
            history.note(line("a@x", n, Decided::Stretched(Duration::from_secs(n.unsigned_abs()))));
        }
        let all = said(&history, "a@x");
        assert_eq!((all.len(), all[0].2, all[49].2, history.len()), (50, 10, 59, 50));
    }

    #[test]
    fn of_all_accounts_those_that_nothing_happened_to_make_room() {
        let mut history = History::default();
        let mut note = |account: &str, secs| {
            let what = Decided::Stretched(Duration::from_secs(secs));
            history.note_within(line(account, 0, what), 4);
            history.len()
        };
        assert_eq!(["a@x", "b@x", "a@x", "c@x"].map(|account| note(account, 0)), [1, 2, 2, 3]);
        assert_eq!([note("a@x", 1), note("d@x", 0)], [4, 4], "b makes room, for a was touched since");
        assert_eq!(history.of(&Account::new("b@x")).count(), 0);
        assert_eq!(["a@x", "c@x", "d@x"].map(|account| history.of(&Account::new(account)).count()), [2, 1, 1]);
        assert_eq!(history.order.len(), history.accounts.len());
    }
}
