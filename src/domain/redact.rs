//! What a push may say: the operator's redaction, per push service.

use std::sync::Arc;

use super::class::Class;
use super::publish::{CallStep, Notification, Priority};
use super::secret::Private;
use super::stanza::Stanza;

/// What pushes of the rules engine may say (`[rules]`, `[[rules.service]]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redaction {
    /// `important_body`: what stands for the text of an important message; empty sends none.
    pub important_body: Arc<str>,
    /// `with_body`: whether the text itself goes out.
    pub with_body: bool,
    /// `with_sender`: whether the sender goes out.
    pub with_sender: bool,
}

impl Default for Redaction {
    fn default() -> Self {
        Self { important_body: "New Message!".into(), with_body: false, with_sender: false }
    }
}

/// What a push says, redacted already: all that is kept of the stanza behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// Who wrote: `last-message-sender`.
    pub sender: Option<Private>,
    /// What: `last-message-body`.
    pub body: Option<Private>,
}

impl Redaction {
    /// What a push of that class may say of this stanza. Where the text may go out but there is none to be had (it is
    /// sealed, or the host did not know yet that it may), the words that stand for it do: an important message that
    /// says nothing would look like an unimportant one.
    #[must_use]
    pub fn words(&self, stanza: &Stanza, class: Class) -> Words {
        if !class.is_urgent() {
            return Words::default();
        }
        let sender = self.with_sender.then(|| stanza.from.as_deref().map(Private::new)).flatten();
        let text = stanza.known_body().filter(|_| self.with_body).cloned();
        let stand_in = || Some(Private::new(&*self.important_body)).filter(|text| !text.reveal().is_empty());
        Words { sender, body: text.or_else(stand_in) }
    }
}

/// The same push as a notification that our own push service takes, as if it had been published.
#[must_use]
pub fn notification(class: Class, words: Words) -> Notification {
    let plain = Notification { count: Some(1), sender: words.sender, body: words.body, ..Notification::default() };
    match class {
        Class::Call => Notification { jingle: Some(CallStep::Propose), ..plain },
        Class::Ended => Notification { jingle: Some(CallStep::Other), ..plain },
        Class::Important => Notification { priority: Some(Priority::High), ..plain },
        Class::Unimportant => Notification { priority: Some(Priority::Low), ..plain },
        Class::Clear => Notification { count: Some(0), ..plain },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::stanza::HIDDEN;

    fn stanza(body: Option<&str>) -> Stanza {
        Stanza { from: Some("bob@example.org/pc".into()), body: body.map(Private::new), ..Stanza::default() }
    }

    fn words(sender: Option<&str>, body: Option<&str>) -> Words {
        Words { sender: sender.map(Private::new), body: body.map(Private::new) }
    }

    #[test]
    fn only_what_the_operator_lets_out_goes_out() {
        let plain = Redaction::default();
        let silent = Redaction { important_body: "".into(), ..Redaction::default() };
        let body = Redaction { with_body: true, ..Redaction::default() };
        let sender = Redaction { with_sender: true, ..silent.clone() };
        let bob = Some("bob@example.org/pc");
        let rows = [
            ("default", &plain, stanza(Some("hi")), words(None, Some("New Message!"))),
            ("no words", &silent, stanza(Some("hi")), words(None, None)),
            ("body", &body, stanza(Some("hi")), words(None, Some("hi"))),
            ("body that is hidden", &body, stanza(Some(HIDDEN)), words(None, Some("New Message!"))),
            ("body that is none", &body, stanza(None), words(None, Some("New Message!"))),
            ("sender", &sender, stanza(Some("hi")), words(bob, None)),
        ];
        for (what, redaction, stanza, expected) in rows {
            assert_eq!(redaction.words(&stanza, Class::Important), expected, "{what}");
            assert_eq!(redaction.words(&stanza, Class::Call), expected, "{what}");
            for class in [Class::Unimportant, Class::Clear, Class::Ended] {
                assert_eq!(redaction.words(&stanza, class), Words::default(), "{what}");
            }
        }
    }

    #[test]
    fn our_own_push_service_sees_the_class_that_was_meant() {
        for class in [Class::Call, Class::Important, Class::Unimportant, Class::Clear, Class::Ended] {
            assert_eq!(notification(class, Words::default()).class(), class);
        }
        assert_eq!(notification(Class::Important, words(None, Some("hi"))).body, Some(Private::new("hi")));
    }
}
