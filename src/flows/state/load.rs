//! How the state comes back from a store.

use super::State;
use super::devices::Names;
use crate::domain::ids::Node;
use crate::flows::data::Change;

impl State {
    /// Carries out what a store gives when it is loaded, in its order; devices that follow each other in the order of
    /// their nodes are taken in together, so that tables need not grow.
    ///
    /// # Errors
    /// The first one among them; what comes before it was carried out.
    pub fn load<E>(&mut self, changes: impl IntoIterator<Item = Result<Change, E>>) -> Result<(), E> {
        let mut names = Names::default();
        let mut last: Option<Node> = None;
        let mut failed = Ok(());
        for change in changes {
            match change {
                // No two of them have one node, then.
                Ok(Change::Device(device)) if last.as_ref().map_or(self.count().0 == 0, |last| *last < device.node) => {
                    self.devices.add(&device, &mut names);
                    self.works(&device);
                    last = Some(device.node);
                }
                Ok(other) => {
                    last = None;
                    self.devices.name_all(std::mem::take(&mut names));
                    self.apply(&other);
                }
                Err(error) => {
                    failed = Err(error);
                    break;
                }
            }
        }
        self.devices.name_all(names);
        failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::app::Credentials;
    use crate::domain::device::tests::device;
    use crate::domain::device::{Device, Fact, History, Said};
    use crate::domain::ids::DeviceHash;
    use crate::domain::time::Timestamp;
    use crate::flows::world::policy;

    fn one(node: &str, generation: u32) -> Change {
        let mut device = Device { node: Node::new(node), generation, ..device() };
        device.key.account = DeviceHash::of("", node);
        device.history = History { last_accepted: Some(Timestamp::from_secs(7)), ..History::default() };
        Change::Device(Box::new(device))
    }

    fn changes() -> Vec<Change> {
        let at = Timestamp::from_secs(8);
        let fact = Fact { node: Node::new("b"), published: at, at, said: Said::Accepted };
        let since = Timestamp::from_secs(5);
        let credentials = Change::Credentials(device().key.app, Credentials { fingerprint: 1, since });
        // In order, then again, then not in order.
        let devices = [one("a", 1), one("b", 1), one("b", 2), one("c", 1), one("a", 2)];
        let more = [Change::Fact(fact), one("d", 1), Change::Forget(Node::new("c")), one("e", 1)];
        [credentials].into_iter().chain(devices).chain(more).collect()
    }

    fn shown(state: &State) -> (Vec<Option<Device>>, (usize, usize), Option<bool>) {
        let devices = ["a", "b", "c", "d", "e"].map(|node| state.device(&Node::new(node))).into();
        (devices, state.count(), state.app(&device().key.app).map(|app| app.works))
    }

    #[test]
    fn what_is_loaded_is_what_its_changes_make() {
        let (mut loaded, mut changed) = (State::new(policy()), State::new(policy()));
        changes().iter().for_each(|change| changed.apply(change));
        assert_eq!(loaded.load(changes().into_iter().map(Ok::<_, ()>)), Ok(()));
        assert_eq!(shown(&loaded), shown(&changed));
        assert_eq!((loaded.count(), shown(&loaded).2), ((4, 0), Some(true)));
        assert_eq!(loaded.device(&Node::new("a")).map(|device| device.generation), Some(2));
    }

    #[test]
    fn loading_ends_with_the_first_error_and_keeps_what_came_before() {
        let mut state = State::new(policy());
        assert_eq!(state.load([Ok(one("a", 1)), Ok(one("b", 1)), Err("damaged"), Ok(one("c", 1))]), Err("damaged"));
        let is_there = |node: &str| state.device(&Node::new(node)).is_some();
        assert_eq!((is_there("a"), is_there("b"), is_there("c")), (true, true, false));
    }
}
