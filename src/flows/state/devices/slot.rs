//! A device, packed.

use super::groups::Groups;
use crate::domain::app::Credentials;
use crate::domain::device::{Device, DeviceKey, Fact, Gone, History, Said};
use crate::domain::ids::DeviceHash;
use crate::domain::secret::DeviceToken;
use crate::domain::text::Texts;
use crate::domain::time::Timestamp;

/// No number of a device.
pub(super) const NONE: u32 = u32::MAX;

/// What a device has for itself. There are a million of these: a test watches their size.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) texts: Texts,
    account: DeviceHash,
    pub(super) group: u32,
    /// The next one of the same owner; [`NONE`] while it is nobody's.
    pub(super) next: u32,
    generation: u32,
    made: Timestamp,
    pub(super) renewed: Timestamp,
    last_publish: Sometime,
    pub(super) last_accepted: Sometime,
    rare: Option<Box<Rare>>,
}

/// What few devices have.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rare {
    channel: Option<DeviceHash>,
    voip_token: Option<DeviceToken>,
    gone: Option<Gone>,
    /// Without the times that every device has.
    history: History,
}

impl Rare {
    fn kept(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }
}

/// A time, or none, in as many bytes as a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sometime(i64);

impl Sometime {
    fn new(at: Option<Timestamp>) -> Self {
        // The earliest time of all, 292 million years ago, stands for none.
        Self(at.map_or(i64::MIN, |at| at.millis().max(i64::MIN + 1)))
    }

    pub(super) const fn get(self) -> Option<Timestamp> {
        if self.0 == i64::MIN { None } else { Some(Timestamp::from_millis(self.0)) }
    }
}

impl Slot {
    /// The device as a member of that group, which is nobody's yet.
    pub(super) fn new(device: &Device, group: u32) -> Self {
        let Device { node, secret, key, owner, token, voip_token, generation, made, renewed, history, gone, .. } =
            device;
        let rare = Rare {
            channel: key.channel,
            voip_token: voip_token.as_ref().map(DeviceToken::packed),
            gone: *gone,
            history: History { last_publish: None, last_accepted: None, ..history.clone() },
        };
        Self {
            texts: Texts::of(node, secret, owner, token),
            account: key.account,
            group,
            next: NONE,
            generation: *generation,
            made: *made,
            renewed: *renewed,
            last_publish: Sometime::new(history.last_publish),
            last_accepted: Sometime::new(history.last_accepted),
            rare: rare.kept(),
        }
    }

    /// The device, put together.
    pub(super) fn device(&self, groups: &Groups) -> Option<Device> {
        let group = groups.get(self.group)?;
        Some(Device {
            node: self.texts.node(),
            secret: self.texts.secret(),
            key: self.key(groups)?,
            owner: self.texts.owner(),
            permitted: group.permitted.clone(),
            access: group.access,
            token: self.texts.token(),
            voip_token: self.rare.as_ref().and_then(|rare| rare.voip_token.clone()),
            generation: self.generation,
            made: self.made,
            renewed: self.renewed,
            history: self.history(),
            gone: self.gone(),
        })
    }

    pub(super) fn key(&self, groups: &Groups) -> Option<DeviceKey> {
        let app = groups.get(self.group)?.app.clone();
        Some(DeviceKey { app, account: self.account, channel: self.channel() })
    }

    pub(super) fn has_key(&self, key: &DeviceKey, groups: &Groups) -> bool {
        self.account == key.account
            && self.channel() == key.channel
            && groups.get(self.group).is_some_and(|group| group.app == key.app)
    }

    pub(super) fn gone(&self) -> Option<Gone> {
        self.rare.as_ref().and_then(|rare| rare.gone)
    }

    fn channel(&self) -> Option<DeviceHash> {
        self.rare.as_ref().and_then(|rare| rare.channel)
    }

    fn history(&self) -> History {
        let rare = self.rare.as_ref().map(|rare| rare.history.clone()).unwrap_or_default();
        History { last_publish: self.last_publish.get(), last_accepted: self.last_accepted.get(), ..rare }
    }

    /// Whether a push to it was ever taken under these credentials.
    pub(super) fn has_worked(&self, credentials: Credentials) -> bool {
        self.last_accepted.get().is_some_and(|at| at >= credentials.since)
    }

    /// Adds a line to its history.
    pub(super) fn note(&mut self, fact: &Fact) {
        if self.rare.is_none() && fact.said == Said::Accepted {
            // Nearly all of them: as below, with nothing to look at.
            self.last_publish = Sometime::new(Some(fact.published));
            self.last_accepted = Sometime::new(Some(fact.at));
            return;
        }
        let mut history = self.history();
        history.note(fact);
        self.last_publish = Sometime::new(history.last_publish.take());
        self.last_accepted = Sometime::new(history.last_accepted.take());
        let rare = self.rare.take().map(|rare| *rare).unwrap_or_default();
        self.rare = Rare { history, ..rare }.kept();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_slots_take_a_hundred_and_four_megabytes() {
        assert_eq!((size_of::<Slot>(), size_of::<Option<Slot>>()), (104, 104));
    }
}
