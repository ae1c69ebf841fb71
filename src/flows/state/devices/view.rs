//! A device as it lies in memory: a push needs a few of its parts, and none of them decoded.

use super::groups::Group;
use super::slot::Slot;
use crate::domain::app::Credentials;
use crate::domain::device::{Access, Device, DeviceKey, Gone, History, Objection, Terms};
use crate::domain::ids::{Account, AppName, DeviceHash, Node, Seat};
use crate::domain::publish::Publish;
use crate::domain::secret::DeviceToken;
use crate::domain::time::Timestamp;

/// A look at a device. Costs nothing until something is asked of it.
#[derive(Clone, Copy, Debug)]
pub struct DeviceView<'a> {
    slot: &'a Slot,
    group: &'a Group,
    seat: Seat,
}

/// A device that nobody registered, and that is not in the state yet, to be looked at as those that are.
#[derive(Debug)]
pub struct Stranger {
    slot: Slot,
    group: Group,
}

impl Stranger {
    /// Packs it.
    #[must_use]
    pub fn new(device: &Device) -> Self {
        Self { slot: Slot::new(device, 0), group: Group::of(device, true) }
    }

    /// A look at it.
    #[must_use]
    pub const fn view(&self) -> DeviceView<'_> {
        DeviceView { slot: &self.slot, group: &self.group, seat: Seat::UNKNOWN }
    }
}

impl<'a> DeviceView<'a> {
    pub(super) const fn new(slot: &'a Slot, group: &'a Group, seat: Seat) -> Self {
        Self { slot, group, seat }
    }

    /// Where it is; [`Seat::UNKNOWN`] of one that is not in the state.
    #[must_use]
    pub const fn seat(self) -> Seat {
        self.seat
    }

    /// Whether nobody registered it, and it is not stored.
    #[must_use]
    pub const fn is_guest(self) -> bool {
        self.group.guest
    }

    /// What servers publish to. Says where the device is.
    #[must_use]
    pub fn node(self) -> Node {
        self.slot.texts.node().at(self.seat)
    }

    /// Its app.
    #[must_use]
    pub const fn app(self) -> &'a AppName {
        &self.group.app
    }

    /// Account and device id.
    #[must_use]
    pub const fn account(self) -> DeviceHash {
        self.slot.account
    }

    /// The room, if the node is for one.
    #[must_use]
    pub fn channel(self) -> Option<DeviceHash> {
        self.slot.channel()
    }

    /// Who registered it.
    #[must_use]
    pub fn owner(self) -> Account {
        self.slot.texts.owner()
    }

    /// What a publish must show.
    #[must_use]
    pub const fn access(self) -> Access {
        self.group.access
    }

    /// The vendor's token.
    #[must_use]
    pub fn token(self) -> DeviceToken {
        self.slot.texts.token()
    }

    /// The token for calls, if there is one.
    #[must_use]
    pub fn voip_token(self) -> Option<DeviceToken> {
        self.slot.voip_token().cloned()
    }

    /// Counts the tokens that it has had.
    #[must_use]
    pub const fn generation(self) -> u32 {
        self.slot.generation
    }

    /// When it was registered last.
    #[must_use]
    pub fn renewed(self) -> Timestamp {
        self.slot.renewed()
    }

    /// What happened to its pushes.
    #[must_use]
    pub fn history(self) -> History {
        self.slot.history()
    }

    /// Set once it is dead.
    #[must_use]
    pub fn gone(self) -> Option<Gone> {
        self.slot.gone()
    }

    /// [`Device::admits`].
    #[must_use]
    pub fn admits(self, publish: &Publish) -> bool {
        self.terms(publish).admit(publish)
    }

    /// [`Device::objection`].
    #[must_use]
    pub fn objection(self, publish: &Publish) -> Option<Objection> {
        self.terms(publish).object(publish)
    }

    fn terms(self, publish: &Publish) -> Terms<'a> {
        let secret = publish.secret.as_ref().is_some_and(|shown| self.slot.texts.has_secret(shown));
        Terms { secret, permitted: &self.group.permitted, access: self.group.access, gone: self.gone() }
    }

    /// [`Device::has_worked`].
    #[must_use]
    pub fn has_worked(self, credentials: Credentials) -> bool {
        self.slot.has_worked(credentials)
    }

    /// All of it, put together.
    #[must_use]
    pub fn device(self) -> Device {
        let Self { slot, group, .. } = self;
        Device {
            node: self.node(),
            secret: slot.texts.secret(),
            key: DeviceKey { app: group.app.clone(), account: slot.account, channel: slot.channel() },
            owner: slot.texts.owner(),
            permitted: group.permitted.clone(),
            access: group.access,
            token: slot.texts.token(),
            voip_token: slot.voip_token().cloned(),
            generation: slot.generation,
            made: slot.made(),
            renewed: slot.renewed(),
            history: slot.history(),
            gone: slot.gone(),
        }
    }
}
