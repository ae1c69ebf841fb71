//! All devices, packed: what a million of them have in common is there once, what few of them have takes no room in the
//! others, and they are found by tables of numbers. A device is put together when somebody asks for it, which takes no
//! memory either: its texts are pieces of one block ([`Texts`](crate::domain::text::Texts)).

mod groups;
mod slab;
mod slot;
mod table;
mod view;

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};

use hashbrown::hash_table::Entry;

use crate::domain::app::Credentials;
use crate::domain::device::{Access, Device, DeviceKey, Fact};
use crate::domain::ids::{Account, AppName, Node, Seat};
use crate::domain::time::Timestamp;
use groups::Groups;
use slab::Slab;
use slot::Slot;
use table::Table;
pub use view::{DeviceView, Stranger};

/// Devices by node, by key and by owner.
#[derive(Debug, Default)]
pub(super) struct Devices {
    slots: Slab<Slot>,
    groups: Groups,
    /// Keyed at random: strangers choose accounts, and some nodes.
    hasher: RandomState,
    by_node: Table,
    /// The latest of each key.
    by_key: Table,
    /// The last device of each owner, from which a ring leads through all of them, the first one first.
    by_owner: Table,
    /// Dead devices by the time of their death.
    gone: ByTime,
    /// Devices that no push was ever taken for, by their latest registration.
    unproven: ByTime,
}

/// Devices by a time of theirs, in seconds: the time itself is with the device.
type ByTime = BTreeSet<(u32, u32)>;

impl Devices {
    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.slots.len()
    }

    /// How many of them are dead.
    pub(super) fn gone_len(&self) -> usize {
        self.gone.len()
    }

    /// The device behind a node.
    pub(super) fn get(&self, node: &Node) -> Option<Device> {
        Some(self.at(self.find(node)?)?.device())
    }

    /// The device in a seat.
    pub(super) fn at(&self, Seat(at): Seat) -> Option<DeviceView<'_>> {
        let slot = self.slots.get(at)?;
        Some(DeviceView::new(slot, self.groups.get(slot.group)?, Seat(at)))
    }

    /// Where the device behind a node is.
    pub(super) fn find(&self, node: &Node) -> Option<Seat> {
        // Mostly it is where it was: whoever looked it up before handed that on.
        let Seat(hint) = node.seat();
        if self.slots.get(hint).is_some_and(|slot| slot.texts.is_of(node)) {
            return Some(Seat(hint));
        }
        let hash = spread(half(self.hasher.hash_one(node)));
        let known = self.by_node.part(hash);
        known.find(hash, |at| self.slot(*at).is_some_and(|slot| slot.texts.is_of(node))).copied().map(Seat)
    }

    /// The latest device of this key.
    pub(super) fn registered(&self, key: &DeviceKey) -> Option<Device> {
        let hash = spread(hash_key(&self.hasher, key));
        let known = self.by_key.part(hash);
        self.device(*known.find(hash, |at| self.slot(*at).is_some_and(|slot| slot.has_key(key, &self.groups)))?)
    }

    /// All of them, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Device> {
        self.slots.iter().filter_map(|(at, _)| self.device(at))
    }

    /// All of an owner, in the order in which they came.
    pub(super) fn of(&self, owner: &Account) -> impl Iterator<Item = Device> {
        let last = self.last_of(owner);
        let first = last.and_then(|last| Some(self.slot(last)?.next));
        let ring = std::iter::successors(first, move |at| (Some(*at) != last).then(|| Some(self.slot(*at)?.next))?);
        ring.filter_map(|at| self.device(at))
    }

    /// Dead devices, the longest dead first; to the second.
    pub(super) fn gone(&self) -> impl Iterator<Item = (Timestamp, Node)> {
        let seated = self.gone.iter().filter_map(|(_, at)| self.at(Seat(*at)));
        seated.filter_map(|device| Some((device.gone()?.at, device.node())))
    }

    /// Devices that no push was ever taken for, the one that was registered longest ago first; to the second.
    pub(super) fn unproven(&self) -> impl Iterator<Item = (Timestamp, Node)> {
        let seated = self.unproven.iter().filter_map(|(_, at)| self.at(Seat(*at)));
        seated.map(|device| (device.renewed(), device.node()))
    }

    /// Whether there is a device behind this node.
    pub(super) fn contains(&self, node: &Node) -> bool {
        self.find(node).is_some()
    }

    /// Whether nobody registered this device, and it is not stored.
    pub(super) fn is_guest(&self, node: &Node) -> bool {
        self.find(node).and_then(|seat| self.at(seat)).is_some_and(|device| device.is_guest())
    }

    /// Whether a push to any device of this app was ever taken under these credentials.
    pub(super) fn any_worked(&self, app: &AppName, credentials: Credentials) -> bool {
        let mut of_app =
            self.slots.iter().filter(|(_, slot)| self.groups.get(slot.group).is_some_and(|it| it.app == *app));
        of_app.any(|(_, slot)| slot.has_worked(credentials))
    }

    /// A device as it is from now on.
    pub(super) fn put(&mut self, device: &Device, guest: bool) {
        let group = self.groups.join(device, guest);
        let slot = Slot::new(device, group);
        let at = match self.find(&device.node) {
            Some(Seat(at)) => {
                let renamed = self.slot(at).is_some_and(|known| !known.has_key(&device.key, &self.groups));
                if renamed {
                    self.forget_key(at);
                }
                self.replace(at, device, slot);
                if renamed {
                    self.name_key(at, &device.key, hash_key(&self.hasher, &device.key));
                }
                at
            }
            None => {
                let at = self.slots.insert(slot);
                self.name(at, half(self.hasher.hash_one(&device.node)));
                self.name_key(at, &device.key, hash_key(&self.hasher, &device.key));
                at
            }
        };
        if is_owned(device) {
            self.own(at, half(self.hasher.hash_one(&device.owner)));
        }
        if device.gone.is_none() && device.history.last_accepted.is_none() && !guest {
            self.unproven.insert((seconds(device.renewed), at));
        }
        if let Some(gone) = device.gone {
            self.gone.insert((seconds(gone.at), at));
        }
    }

    /// A device of a node that is not known yet, put in behind all others. It is found once [`name_all`](Self::name_all)
    /// was called, and not before: so tables need not grow while devices are loaded.
    pub(super) fn add(&mut self, device: &Device, names: &mut Names) {
        let group = self.groups.join(device, false);
        let at = self.slots.insert(Slot::new(device, group));
        let hashes = [
            half(self.hasher.hash_one(&device.node)),
            hash_key(&self.hasher, &device.key),
            half(self.hasher.hash_one(&device.owner)),
        ];
        names.0.push((at, hashes));
    }

    /// What was added is found from now on.
    pub(super) fn name_all(&mut self, names: Names) {
        let number = names.0.len();
        for table in [&mut self.by_node, &mut self.by_key, &mut self.by_owner] {
            if table.is_empty() {
                *table = Table::for_so_many(number);
            }
        }
        let mut unproven = Vec::new();
        for &(at, [node, key, owner]) in &names.0 {
            self.name(at, node);
            let Some(slot) = self.slots.get(at) else { continue };
            let is_owned = self.groups.get(slot.group).is_some_and(|group| !matches!(group.access, Access::Anyone));
            if let Some(gone) = slot.gone() {
                self.gone.insert((seconds(gone.at), at));
            } else if slot.last_accepted.get().is_none() {
                unproven.push((seconds(slot.renewed()), at));
            }
            if let Some(named) = slot.key(&self.groups) {
                self.name_key(at, &named, key);
            }
            if is_owned {
                self.own(at, owner);
            }
        }
        // A set that is made at once has no room to spare.
        if self.unproven.is_empty() {
            self.unproven = unproven.into_iter().collect();
        } else {
            self.unproven.extend(unproven);
        }
    }

    /// Adds a line to a device's history. Returns its app, and when a push was last taken, if the device is there.
    pub(super) fn note(&mut self, fact: &Fact) -> Option<(&AppName, Option<Timestamp>)> {
        let Seat(at) = self.find(&fact.node)?;
        let slot = self.slots.get_mut(at)?;
        let was_unproven = slot.last_accepted.get().is_none();
        slot.note(fact);
        let last_accepted = slot.last_accepted.get();
        if was_unproven && last_accepted.is_some() {
            self.unproven.remove(&(seconds(slot.renewed()), at));
        }
        Some((&self.groups.get(slot.group)?.app, last_accepted))
    }

    /// A device is no longer remembered. Returns where it was.
    pub(super) fn forget(&mut self, node: &Node) -> Option<Seat> {
        let Seat(at) = self.find(node)?;
        self.disown(at);
        self.forget_dates(at);
        self.forget_key(at);
        let slot = self.slots.get(at)?;
        let hash = hash_node(&self.hasher, slot);
        if let Ok(found) = self.by_node.part_mut(hash).find_entry(hash, |other| *other == at) {
            found.remove();
        }
        if let Some(slot) = self.slots.remove(at) {
            self.groups.leave(slot.group);
        }
        Some(Seat(at))
    }

    fn slot(&self, at: u32) -> Option<&Slot> {
        self.slots.get(at)
    }

    fn device(&self, at: u32) -> Option<Device> {
        Some(self.at(Seat(at))?.device())
    }

    fn last_of(&self, owner: &Account) -> Option<u32> {
        let hash = spread(half(self.hasher.hash_one(owner)));
        let own = |at: &u32| self.slot(*at).is_some_and(|slot| slot.texts.is_owned_by(owner));
        self.by_owner.part(hash).find(hash, own).copied()
    }

    /// The device has another record from now on.
    fn replace(&mut self, at: u32, device: &Device, mut slot: Slot) {
        self.forget_dates(at);
        if !is_owned(device) || self.slot(at).is_some_and(|known| !known.texts.is_owned_by(&device.owner)) {
            self.disown(at);
        }
        let Some(known) = self.slots.get_mut(at) else { return };
        slot.next = known.next;
        let former = std::mem::replace(known, slot);
        self.groups.leave(former.group);
    }

    fn forget_key(&mut self, at: u32) {
        let Some(key) = self.slot(at).and_then(|slot| slot.key(&self.groups)) else { return };
        let hash = spread(hash_key(&self.hasher, &key));
        if let Ok(found) = self.by_key.part_mut(hash).find_entry(hash, |other| *other == at) {
            found.remove();
        }
    }

    fn forget_dates(&mut self, at: u32) {
        let Some(slot) = self.slots.get(at) else { return };
        if let Some(gone) = slot.gone() {
            self.gone.remove(&(seconds(gone.at), at));
        }
        self.unproven.remove(&(seconds(slot.renewed()), at));
    }

    /// A new device is found by its node.
    fn name(&mut self, at: u32, hashed: u32) {
        let Self { slots, hasher, by_node, .. } = self;
        let hash = |at: &u32| slots.get(*at).map_or(0, |slot| hash_node(hasher, slot));
        by_node.part_mut(spread(hashed)).insert_unique(spread(hashed), at, hash);
    }

    /// And by its key, which stays the same, too.
    fn name_key(&mut self, at: u32, key: &DeviceKey, hashed: u32) {
        let Self { slots, groups, hasher, by_key, .. } = self;
        let same = |other: &u32| slots.get(*other).is_some_and(|slot| slot.has_key(key, groups));
        let hash = |other: &u32| {
            slots.get(*other).and_then(|slot| slot.key(groups)).map_or(0, |key| spread(hash_key(hasher, &key)))
        };
        match by_key.part_mut(spread(hashed)).entry(spread(hashed), same, hash) {
            Entry::Occupied(mut known) => *known.get_mut() = at,
            Entry::Vacant(free) => drop(free.insert(at)),
        }
    }

    /// Puts a device behind the others of its owner, unless it is there already.
    fn own(&mut self, at: u32, hashed: u32) {
        let Self { slots, hasher, by_owner, .. } = self;
        let Some(new) = slots.get(at).filter(|slot| slot.next == slot::NONE) else { return };
        let same = |other: &u32| slots.get(*other).is_some_and(|slot| slot.texts.has_owner_of(&new.texts));
        let hash = |other: &u32| slots.get(*other).map_or(0, |slot| hash_owner(hasher, slot));
        let last = match by_owner.part_mut(spread(hashed)).entry(spread(hashed), same, hash) {
            Entry::Occupied(mut known) => std::mem::replace(known.get_mut(), at),
            Entry::Vacant(free) => {
                free.insert(at);
                at
            }
        };
        let first = self.slot(last).map_or(at, |last| if last.next == slot::NONE { at } else { last.next });
        self.link(last, at);
        self.link(at, first);
    }

    /// Takes a device out of the ring of its owner.
    fn disown(&mut self, at: u32) {
        let Some(next) = self.slot(at).map(|slot| slot.next).filter(|next| *next != slot::NONE) else { return };
        let mut before = at;
        while let Some(slot) = self.slots.get(before).filter(|slot| slot.next != at && slot.next != slot::NONE) {
            before = slot.next;
        }
        let Self { slots, hasher, by_owner, .. } = self;
        let Some(slot) = slots.get(at) else { return };
        let hash = hash_owner(hasher, slot);
        if let Ok(mut last) = by_owner.part_mut(hash).find_entry(hash, |other| *other == at) {
            if before == at {
                last.remove();
            } else {
                *last.get_mut() = before;
            }
        }
        self.link(before, next);
        self.link(at, slot::NONE);
    }

    fn link(&mut self, at: u32, next: u32) {
        if let Some(slot) = self.slots.get_mut(at) {
            slot.next = next;
        }
    }
}

/// What [`Devices::add`] put in, to be found by [`Devices::name_all`]: hashes of node, key and owner, made while a device
/// is at hand.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<(u32, [u32; 3])>);

/// As much of a hash as counts.
#[expect(clippy::cast_possible_truncation, reason = "that is the point")]
const fn half(hash: u64) -> u32 {
    hash as u32
}

/// A hash as tables want it, which look at its highest and its lowest bits.
fn spread(hash: u32) -> u64 {
    let hash = u64::from(hash);
    hash << 32 | hash
}

/// What nobody registered is nobody's.
const fn is_owned(device: &Device) -> bool {
    !matches!(device.access, Access::Anyone)
}

fn hash_key(hasher: &RandomState, key: &DeviceKey) -> u32 {
    // The account names a device of one app nearly always, so the app adds little.
    half(hasher.hash_one((&key.account, &key.channel)))
}

fn hash_node(hasher: &RandomState, slot: &Slot) -> u64 {
    let mut state = hasher.build_hasher();
    slot.texts.hash_node(&mut state);
    spread(half(std::hash::Hasher::finish(&state)))
}

fn hash_owner(hasher: &RandomState, slot: &Slot) -> u64 {
    let mut state = hasher.build_hasher();
    slot.texts.hash_owner(&mut state);
    spread(half(std::hash::Hasher::finish(&state)))
}

/// Later than what a number of 32 bits holds (the year 2106) is as late as that.
fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "devices_tests.rs"]
mod tests;
