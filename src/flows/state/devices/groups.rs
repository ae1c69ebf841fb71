//! What many devices have in common.

use std::collections::HashMap;

use super::slab::Slab;
use crate::domain::device::{Access, Device, Permitted};
use crate::domain::ids::AppName;

/// What devices of an app and a domain do not differ in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Group {
    pub(super) app: AppName,
    pub(super) permitted: Permitted,
    pub(super) access: Access,
    /// Nobody registered it, and it is not stored.
    pub(super) guest: bool,
}

impl Group {
    /// What a device belongs to.
    pub(super) fn of(device: &Device, guest: bool) -> Self {
        Self { app: device.key.app.clone(), permitted: device.permitted.clone(), access: device.access, guest }
    }

    fn is(&self, device: &Device, guest: bool) -> bool {
        self.app == device.key.app
            && self.permitted == device.permitted
            && self.access == device.access
            && self.guest == guest
    }
}

/// All groups that have members.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// With how many members each has.
    all: Slab<(Group, usize)>,
    by_content: HashMap<Group, u32>,
    /// The one that was joined last, which the next device will likely join, too.
    latest: u32,
}

impl Groups {
    pub(super) fn get(&self, at: u32) -> Option<&Group> {
        self.all.get(at).map(|(group, _)| group)
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) const fn len(&self) -> usize {
        self.all.len()
    }

    /// One more member, of the group that this device belongs to.
    pub(super) fn join(&mut self, device: &Device, guest: bool) -> u32 {
        if self.get(self.latest).is_none_or(|latest| !latest.is(device, guest)) {
            let group = Group::of(device, guest);
            self.latest = match self.by_content.get(&group) {
                Some(known) => *known,
                None => {
                    let at = self.all.insert((group.clone(), 0));
                    self.by_content.insert(group, at);
                    at
                }
            };
        }
        if let Some((_, members)) = self.all.get_mut(self.latest) {
            *members += 1;
        }
        self.latest
    }

    /// One member less: strangers choose domains, so a group goes with the last one.
    pub(super) fn leave(&mut self, at: u32) {
        let Some((_, members)) = self.all.get_mut(at) else { return };
        *members -= 1;
        if *members == 0
            && let Some((group, _)) = self.all.remove(at)
        {
            self.by_content.remove(&group);
        }
    }
}
