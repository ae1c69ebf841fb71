//! Which apps clients find.

use super::circuit;
use super::data::{Effect, Step};
use super::memory::Memory;
use super::state::State;
use crate::domain::outcome::{Outcome, Verdict};

/// A vendor spoke. Clients take a service that names their provider for their own, so an app is not offered from when its
/// vendor refuses the credentials until it takes a push. That it may be refusing them is not enough: anybody can register
/// a token that does not fit, and as long as nobody finds the app, nothing is taken that would prove it right.
pub(super) fn mind(state: &State, verdict: &Verdict, step: &mut Step) {
    let app = state.app(&verdict.app);
    let withdrawn = app.is_some_and(|app| app.withdrawn);
    // One of many push services refuses its own subscribers, not the credentials, once another has taken these.
    let is_theirs = || !(circuit::is_one_of_many(state, &verdict.app) && app.is_some_and(|app| app.works));
    let works = match verdict.outcome {
        Outcome::OperatorFault(_) if !withdrawn && is_theirs() => false,
        Outcome::Accepted if withdrawn => true,
        _ => return,
    };
    step.remember(Memory::Withdrawn(verdict.app.clone(), !works));
    step.effects.push(Effect::Offer(verdict.app.clone(), works));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{AppName, Node, PushId};
    use crate::flows::world::{World, policy};

    /// What an app's vendor says, and what becomes of the offer.
    fn offered(world: &mut World, app: &str, outcome: Outcome) -> Option<bool> {
        let (push, node) = (PushId(1), Node::new("node-1"));
        let verdict = Verdict { push, app: AppName::new(app), node, generation: 1, outcome };
        let mut step = Step::default();
        mind(&world.state, &verdict, &mut step);
        step.changes.iter().for_each(|change| world.state.apply(change));
        match &step.effects[..] {
            [] => None,
            [Effect::Offer(name, works)] if name.as_str() == app => Some(*works),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_app_is_found_until_its_credentials_are_refused_and_again_when_a_push_is_taken() {
        let mut world = World::new(policy());
        let refused = || Outcome::OperatorFault("InvalidProviderToken".into());
        let rows = [
            ("taken", Outcome::Accepted, None),
            ("down", Outcome::Unavailable { retry_after: None, reason: "503".into() }, None),
            ("a token that does not fit", Outcome::Suspect("BadDeviceToken".into()), None),
            ("refused", refused(), Some(false)),
            ("refused again", refused(), None),
            ("throttled", Outcome::Throttled { retry_after: None, reason: "429".into() }, None),
            ("a dead token", Outcome::Gone { since: None }, None),
            ("taken again", Outcome::Accepted, Some(true)),
            ("and again", Outcome::Accepted, None),
            ("refused once more", refused(), Some(false)),
        ];
        for (what, outcome, expected) in rows {
            assert_eq!(offered(&mut world, "android", outcome), expected, "{what}");
        }
        assert_eq!(
            offered(&mut world, "ios", Outcome::Accepted),
            None,
            "another app's vendor says nothing of this one"
        );
    }

    #[test]
    fn a_token_that_does_not_fit_takes_nobody_the_app_away() {
        let mut world = World::new(policy());
        for _ in 0..100 {
            assert_eq!(offered(&mut world, "android", Outcome::Suspect("BadDeviceToken".into())), None);
        }
    }

    #[test]
    fn a_verdict_on_a_push_is_heard_whatever_became_of_its_device() {
        let mut world = World::new(policy());
        let outcome = Outcome::OperatorFault("ExpiredProviderToken".into());
        let verdict =
            Verdict { push: PushId(7), app: AppName::new("ios"), node: Node::new("unknown"), generation: 1, outcome };
        let heard = world.take(crate::flows::data::Input::Verdict(verdict));
        assert_eq!(heard.offers, [(AppName::new("ios"), false)]);
    }
}
