//! Credentials that end: said 30, 7 and 1 days before, and when they have.

use std::time::Duration;

use super::data::{Effect, Notice, Step};
use super::memory::Memory;
use super::state::State;
use crate::domain::time::Now;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long before the end it is said, the soonest last.
const BEFORE: [Duration; 3] = [DAY.saturating_mul(30), DAY.saturating_mul(7), DAY];

/// Tells the operator of credentials that end soon, once a stage.
pub(super) fn watch(state: &State, now: Now, step: &mut Step) {
    for app in state.policy.apps.iter().map(|app| &app.name) {
        let Some((ends, said)) = state.app(app).and_then(|known| Some((known.expires?, known.expiry_said))) else {
            continue;
        };
        let over = ends <= now.wall;
        let left = ends - now.wall;
        let stage = if over { BEFORE.len() + 1 } else { BEFORE.iter().filter(|before| left <= **before).count() };
        if stage > said {
            step.remember(Memory::ExpirySaid(app.clone(), stage));
            let left = (!over).then_some(left);
            step.effects.push(Effect::Notice(Notice::CredentialsEnd { app: app.clone(), left }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::AppName;
    use crate::flows::data::{Change, Input};
    use crate::flows::world::{START, World, policy};

    #[test]
    fn the_end_of_a_certificate_is_said_thirty_seven_and_one_days_before_and_when_it_is_there() {
        let mut world = World::new(policy());
        let app = || AppName::new("ios");
        world.state.apply(&Change::Memory(Memory::Expires(app(), START + 40 * DAY)));
        let mut said = Vec::new();
        for hour in 0..42 * 24 {
            for notice in world.take(Input::Tick).notices {
                let Notice::CredentialsEnd { app: ends, left } = notice else { panic!("{notice:?}") };
                assert_eq!(ends, app());
                said.push((hour, left.map(|left| left.as_secs() / 3600)));
            }
            world.later(3600 * 1000);
        }
        let expected =
            [(10, Some(30)), (33, Some(7)), (39, Some(1))].map(|(day, left)| (day * 24, left.map(|left| left * 24)));
        assert_eq!(said, [expected[0], expected[1], expected[2], (40 * 24, None)]);
    }
}
