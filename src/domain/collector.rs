//! A burst becomes one push: stanzas are collected for a moment, and what is acknowledged meanwhile leaves again.

use std::time::Duration;

use super::class::Class;
use super::redact::Words;
use super::session::{Sid, is_acked};
use super::stanza::Key;
use super::time::Moment;

/// How many stanzas a collector holds, and a push speaks for. What comes beyond them adds nothing to the collector but
/// its own class and words; in a push, the oldest make room.
const MOST: usize = 128;

/// A stanza that is worth a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Names it, if anything does.
    pub key: Option<Key>,
    /// What it is worth.
    pub class: Class,
    /// What the push may say of it.
    pub words: Words,
    /// The session whose queue it stands in, if it stands in one, and its number there.
    pub place: Option<(Sid, Option<u32>)>,
    /// Not before.
    pub ready: Moment,
}

/// What is collected for one registration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collector {
    items: Vec<Item>,
    opened: Option<Moment>,
}

/// What a collector yields: one push for all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Burst {
    /// The highest class.
    pub class: Class,
    /// The words that came with it, the latest among equals.
    pub words: Words,
    /// The stanzas that it speaks for, the newest of them if there are many.
    pub keys: Vec<Key>,
    /// The sessions in whose queues it speaks for something urgent.
    pub sids: Vec<Sid>,
}

impl Burst {
    /// Puts a later one into this one.
    pub fn merge(&mut self, later: Self) {
        if later.class >= self.class {
            (self.class, self.words) = (later.class, later.words);
        }
        // What waits for long must not grow without end; of what is forgotten, the oldest is the least likely to come again.
        self.keys.extend(later.keys);
        self.keys.drain(..self.keys.len().saturating_sub(MOST));
        for sid in later.sids {
            if !self.sids.contains(&sid) {
                self.sids.push(sid);
            }
        }
    }
}

impl Collector {
    /// One that is empty.
    #[must_use]
    pub const fn new() -> Self {
        Self { items: Vec::new(), opened: None }
    }

    /// Whether nothing is collected.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Adds a stanza.
    pub fn add(&mut self, item: Item, now: Moment) {
        self.opened.get_or_insert(now);
        if self.items.len() >= MOST {
            let Some(last) = self.items.last_mut() else { return };
            if item.class >= last.class {
                *last = item;
            }
            return;
        }
        self.items.push(item);
    }

    /// Whether that stanza is among what is collected.
    #[must_use]
    pub fn contains(&self, key: Key) -> bool {
        self.items.iter().any(|item| item.key == Some(key))
    }

    /// The client of this session has had its first `h` stanzas.
    pub fn acked(&mut self, sid: &Sid, h: u32) {
        self.retain(|item| match &item.place {
            Some((place, Some(n))) => place != sid || !is_acked(*n, h),
            _ => true,
        });
    }

    /// The client of this session has got, or is getting, all that stood in its queue.
    pub fn resumed(&mut self, sid: &Sid) {
        self.retain(|item| item.place.as_ref().is_none_or(|(place, _)| place != sid));
    }

    /// The session is over: what stood in its queue stands nowhere now.
    pub fn ended(&mut self, sid: &Sid) {
        for item in &mut self.items {
            item.place.take_if(|(place, _)| place == sid);
        }
    }

    /// The client is back with a new session, and fetches what it missed.
    pub fn bound(&mut self) {
        self.retain(|item| item.place.is_some());
    }

    /// What is collected is of no use any more.
    pub fn clear(&mut self) {
        self.retain(|_| false);
    }

    /// When there is something to take.
    #[must_use]
    pub fn due(&self, window: Duration) -> Option<Moment> {
        let opened = self.opened?;
        let ready = self.items.iter().map(|item| item.ready).min()?;
        Some(ready.max(opened + window))
    }

    /// Takes what is ready, if the window is over.
    pub fn take(&mut self, window: Duration, now: Moment) -> Option<Burst> {
        if self.due(window).is_none_or(|due| due > now) {
            return None;
        }
        let (ready, rest): (Vec<Item>, Vec<Item>) =
            std::mem::take(&mut self.items).into_iter().partition(|item| item.ready <= now);
        self.items = rest;
        // What has still to wait has had its window.
        self.opened = (!self.items.is_empty()).then_some(Moment::default());
        ready.into_iter().map(Burst::from).reduce(|mut all, later| {
            all.merge(later);
            all
        })
    }

    fn retain(&mut self, stays: impl FnMut(&Item) -> bool) {
        self.items.retain(stays);
        if self.items.is_empty() {
            self.opened = None;
        }
    }
}

impl From<Item> for Burst {
    fn from(item: Item) -> Self {
        let sids = item.place.filter(|_| item.class.is_urgent()).map(|(sid, _)| sid);
        Self {
            class: item.class,
            words: item.words,
            keys: item.key.into_iter().collect(),
            sids: sids.into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Private;

    const WINDOW: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Moment {
        Moment::since_start(Duration::from_millis(millis))
    }

    fn item(key: u64, class: Class, place: Option<(&str, u32)>) -> Item {
        Item {
            key: Some(Key(key)),
            class,
            words: Words { body: Some(Private::new(format!("text {key}"))), ..Words::default() },
            place: place.map(|(sid, n)| (Sid::new(sid), Some(n))),
            ready: Moment::default(),
        }
    }

    #[test]
    fn a_burst_is_one_push_that_speaks_for_all() {
        let mut collector = Collector::default();
        for (key, class) in [(1, Class::Unimportant), (2, Class::Important), (3, Class::Important), (4, Class::Clear)] {
            collector.add(item(key, class, Some(("s1", u32::try_from(key).unwrap()))), at(100 * key));
        }
        assert_eq!(collector.due(WINDOW), Some(at(1100)));
        assert_eq!(collector.take(WINDOW, at(1099)), None);
        let burst = Burst {
            class: Class::Important,
            words: Words { body: Some(Private::new("text 3")), ..Words::default() },
            keys: [1, 2, 3, 4].map(Key).to_vec(),
            sids: vec![Sid::new("s1")],
        };
        assert_eq!(collector.take(WINDOW, at(1100)), Some(burst));
        assert_eq!((collector.take(WINDOW, at(9000)), collector.due(WINDOW)), (None, None));
    }

    #[test]
    fn what_waits_for_long_speaks_for_the_newest_stanzas_only() {
        let mut waiting = Burst::from(item(0, Class::Important, None));
        for key in 1..1000 {
            waiting.merge(Burst::from(item(key, Class::Unimportant, None)));
        }
        let newest: Vec<Key> = (1000 - MOST as u64..1000).map(Key).collect();
        assert_eq!((waiting.class, waiting.keys), (Class::Important, newest));
    }

    #[test]
    fn what_is_acknowledged_or_resumed_leaves() {
        let mut collector = Collector::default();
        for (key, place) in [(1, Some(("s1", 1))), (2, Some(("s1", 2))), (3, Some(("s2", 1))), (4, None)] {
            collector.add(item(key, Class::Important, place), at(0));
        }
        let keys = |collector: &Collector| collector.clone().take(WINDOW, at(5000)).map(|burst| burst.keys);
        collector.acked(&Sid::new("s1"), 1);
        assert_eq!(keys(&collector), Some([2, 3, 4].map(Key).to_vec()));
        collector.resumed(&Sid::new("s1"));
        assert_eq!(keys(&collector), Some([3, 4].map(Key).to_vec()));
        collector.bound();
        assert_eq!(keys(&collector), Some(vec![Key(3)]));
        collector.resumed(&Sid::new("s2"));
        assert_eq!((keys(&collector), collector.due(WINDOW)), (None, None));
    }

    #[test]
    fn what_may_not_go_yet_waits_by_itself() {
        let mut collector = Collector::default();
        collector.add(item(1, Class::Important, Some(("s1", 1))), at(0));
        collector.add(Item { ready: at(1500), ..item(2, Class::Important, None) }, at(500));
        assert_eq!(collector.take(WINDOW, at(1000)).map(|burst| burst.keys), Some(vec![Key(1)]));
        assert_eq!(collector.due(WINDOW), Some(at(1500)));
        collector.bound();
        assert_eq!(collector.due(WINDOW), None);
        // And a window of no length still waits for it.
        collector.add(Item { ready: at(3000), ..item(3, Class::Important, None) }, at(2000));
        assert_eq!(collector.due(Duration::ZERO), Some(at(3000)));
    }

    #[test]
    fn a_flood_is_held_in_bounds_and_loses_no_class() {
        let mut collector = Collector::default();
        for key in 0..500 {
            collector.add(item(key, Class::Unimportant, None), at(0));
        }
        collector.add(item(1000, Class::Important, None), at(0));
        collector.add(item(1001, Class::Unimportant, None), at(0));
        let burst = collector.take(WINDOW, at(1000)).unwrap();
        assert_eq!((burst.class, burst.keys.len()), (Class::Important, MOST));
    }

    #[test]
    fn a_push_that_waits_for_long_speaks_for_the_newest() {
        let burst = |key| Burst::from(item(key, Class::Important, None));
        let all = (1..1000).map(burst).fold(burst(0), |mut all, later| {
            all.merge(later);
            all
        });
        assert_eq!((all.keys.len(), all.keys.last()), (MOST, Some(&Key(999))));
    }
}
