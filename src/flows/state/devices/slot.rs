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
    pub(super) account: DeviceHash,
    pub(super) group: u32,
    /// The next one of the same owner; [`NONE`] while it is nobody's.
    pub(super) next: u32,
    pub(super) generation: u32,
    made: Sometime,
    renewed: Sometime,
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

/// A time, or none, in six bytes: 4460 years before and after 1970. What is beyond them is as far away as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sometime([u8; 6]);

impl Sometime {
    const MOST: i64 = (1 << 47) - 1;
    /// The earliest of all stands for none.
    const NONE: i64 = -Self::MOST - 1;

    fn new(at: Option<Timestamp>) -> Self {
        let [a, b, c, d, e, f, ..] =
            at.map_or(Self::NONE, |at| at.millis().clamp(-Self::MOST, Self::MOST)).to_le_bytes();
        Self([a, b, c, d, e, f])
    }

    pub(super) const fn get(self) -> Option<Timestamp> {
        let [a, b, c, d, e, f] = self.0;
        // The sign comes from the highest byte.
        let millis = i64::from_le_bytes([0, 0, a, b, c, d, e, f]) >> 16;
        if millis == Self::NONE { None } else { Some(Timestamp::from_millis(millis)) }
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
            made: Sometime::new(Some(*made)),
            renewed: Sometime::new(Some(*renewed)),
            last_publish: Sometime::new(history.last_publish),
            last_accepted: Sometime::new(history.last_accepted),
            rare: rare.kept(),
        }
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

    /// When it was registered last.
    pub(super) fn renewed(&self) -> Timestamp {
        self.renewed.get().unwrap_or_default()
    }

    /// When it was registered first.
    pub(super) fn made(&self) -> Timestamp {
        self.made.get().unwrap_or_default()
    }

    pub(super) fn voip_token(&self) -> Option<&DeviceToken> {
        self.rare.as_ref().and_then(|rare| rare.voip_token.as_ref())
    }

    pub(super) fn channel(&self) -> Option<DeviceHash> {
        self.rare.as_ref().and_then(|rare| rare.channel)
    }

    pub(super) fn history(&self) -> History {
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
    fn a_million_slots_take_eighty_megabytes() {
        assert_eq!((size_of::<Slot>(), size_of::<Option<Slot>>()), (80, 80));
    }

    #[test]
    fn times_are_kept_to_the_millisecond() {
        let most = (1_i64 << 47) - 1;
        let rows = [
            (0, 0),
            (-1, -1),
            (1_700_000_000_123, 1_700_000_000_123),
            (most, most),
            (-most, -most),
            (i64::MAX, most),
            (i64::MIN, -most),
        ];
        for (millis, kept) in rows {
            let time = Sometime::new(Some(Timestamp::from_millis(millis)));
            assert_eq!(time.get(), Some(Timestamp::from_millis(kept)), "{millis}");
        }
        assert_eq!(Sometime::new(None).get(), None);
    }
}
