//! A vendor made of straw, for demonstrations and trials: its tokens say what it does.
//!
//! | token | outcome |
//! |---|---|
//! | `gone`, `gone:SECS` | dead, since that Unix time |
//! | `suspect` | does not fit the app |
//! | `throttled`, `throttled:SECS` | too many requests, come back then |
//! | `unavailable` | the vendor is down |
//! | `operator` | the operator's credentials are at fault |
//! | `late:MILLIS` | accepted, that much later |
//! | `never` | no answer until the deadline |
//! | anything else | accepted |

use std::time::Duration;

use tokio::time::sleep;

use crate::domain::class::Class;
use crate::domain::outcome::Outcome;
use crate::domain::push::Push;
use crate::domain::time::Timestamp;

/// When a push to `never` is given up, as at the real vendors.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// The stub.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stub;

impl Stub {
    /// Logs a push instead of sending it, and does what its token says.
    pub async fn send(self, push: &Push) -> Outcome {
        let token = push.token.reveal();
        let (word, argument) = token.split_once(':').unwrap_or((&token, ""));
        let outcome = match word {
            "late" => {
                sleep(Duration::from_millis(argument.parse().unwrap_or(0)).min(DEADLINE)).await;
                Outcome::Accepted
            }
            "never" => {
                sleep(DEADLINE).await;
                Outcome::Unavailable { retry_after: None, reason: "timeout: no answer in time".into() }
            }
            "gone" => Outcome::Gone { since: argument.parse().ok().map(Timestamp::from_secs) },
            "suspect" => Outcome::Suspect("stub: suspect".into()),
            "throttled" => {
                let retry_after = argument.parse().ok().map(Duration::from_secs);
                Outcome::Throttled { retry_after, reason: "stub: throttled".into() }
            }
            "unavailable" => Outcome::Unavailable { retry_after: None, reason: "stub: unavailable".into() },
            "operator" => Outcome::OperatorFault("stub: operator".into()),
            _ => Outcome::Accepted,
        };
        log(push, &outcome);
        outcome
    }
}

/// One line for each push; whose words it carries stays out of it.
fn log(push: &Push, outcome: &Outcome) {
    let content = &push.content;
    let with = |there: bool| if there { "with" } else { "without" };
    let phone = match push.class {
        Class::Call => "rings",
        Class::Important => "shows a message",
        Class::Unimportant => "wakes silently",
        Class::Clear => "clears its notifications",
        Class::Ended => "stops ringing",
    };
    let would = if *outcome == Outcome::Accepted { "" } else { "hears nothing; otherwise it " };
    tracing::info!(
        app = %push.app,
        device = push.node.short(),
        class = push.class.name(),
        count = content.count,
        outcome = outcome.name(),
        "stub: the phone {would}{phone}, {} body, {} sender{}",
        with(content.body.is_some()),
        with(content.sender.is_some()),
        if content.sealed.is_some() { ", sealed" } else { "" },
    );
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::domain::secret::DeviceToken;
    use crate::gateway::tests::push;

    #[tokio::test(start_paused = true)]
    #[expect(clippy::disallowed_methods, reason = "measures the paused clock")]
    async fn tokens_choose_what_happens() {
        let throttled = |retry_after| Outcome::Throttled { retry_after, reason: "stub: throttled".into() };
        let down = |reason: &'static str| Outcome::Unavailable { retry_after: None, reason: reason.into() };
        let rows = [
            ("ok-1", Outcome::Accepted, 0),
            ("anything", Outcome::Accepted, 0),
            ("", Outcome::Accepted, 0),
            ("gone", Outcome::Gone { since: None }, 0),
            ("gone:1700000000", Outcome::Gone { since: Some(Timestamp::from_secs(1_700_000_000)) }, 0),
            ("suspect", Outcome::Suspect("stub: suspect".into()), 0),
            ("throttled", throttled(None), 0),
            ("throttled:9", throttled(Some(Duration::from_secs(9))), 0),
            ("unavailable", down("stub: unavailable"), 0),
            ("operator", Outcome::OperatorFault("stub: operator".into()), 0),
            ("late:250", Outcome::Accepted, 250),
            ("never", down("timeout: no answer in time"), 20_000),
        ];
        for (token, expected, millis) in rows {
            let push = Push { token: DeviceToken::new(token), ..push(Class::Important) };
            let start = Instant::now();
            assert_eq!(Stub.send(&push).await, expected, "{token}");
            assert_eq!(start.elapsed().as_millis(), millis, "{token}");
        }
    }
}
