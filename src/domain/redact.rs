//! What a push may say: the operator's redaction, per push service.

use std::sync::Arc;

use super::class::Class;
use super::extensions::Extensions;
use super::publish::{CallStep, Notification, Priority};
use super::push::Sealed;
use super::seal::{self, Chance, Plain};
use super::secret::Private;
use super::stanza::{Jingle, Stanza};

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
    /// What is said to the client alone: sealed before it goes anywhere, or waits for long.
    pub plain: Option<Box<Plain>>,
    /// The same, sealed: goes out instead of the form.
    pub sealed: Option<Sealed>,
    /// What is said of a call beside the form, to those who asked for it.
    pub call: Option<CallSaid>,
    /// How urgent it is, for those who asked for it.
    pub priority: Option<Priority>,
}

/// A step of a call, as `<jingle xmlns='tigase:push:jingle:0'>` says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallSaid {
    /// `propose`, or how it ended.
    pub action: &'static str,
    /// The id of the proposal.
    pub sid: Box<str>,
    /// `audio`, `video`.
    pub media: Vec<&'static str>,
}

impl Words {
    /// Adds what a registration with these extensions is told beside, of a stanza that is worth a push of that class.
    /// The operator's redaction is about what others can read: it says nothing of what is sealed.
    #[must_use]
    pub fn with(self, extensions: &Extensions, stanza: &Stanza, class: Class) -> Self {
        if !class.is_urgent() {
            return self;
        }
        let plain = extensions.encrypt.as_ref().and_then(|_| Plain::of(stanza, class)).map(Box::new);
        let call = stanza.jingle.as_ref().filter(|_| extensions.jingle && class == Class::Call);
        let call = call.map(|call| CallSaid::new(call, stanza.media.clone()));
        Self { plain, call, ..self }
    }

    /// That a call is over: only those who asked for it are told which. Without the step beside it, what is sealed would
    /// look like a message.
    #[must_use]
    pub fn over(extensions: &Extensions, step: &Jingle, caller: &str) -> Self {
        if !extensions.jingle {
            return Self::default();
        }
        let plain = extensions.encrypt.as_ref().map(|_| Box::new(Plain::over(caller, &step.id)));
        Self { plain, call: Some(CallSaid::new(step, Vec::new())), ..Self::default() }
    }

    /// Seals what is for the client alone, to the key that it has by now. Where it has none any more, what others may
    /// read is left.
    pub fn seal(&mut self, class: Class, extensions: Option<&Extensions>, chance: impl FnOnce() -> Chance) {
        let Some(plain) = self.plain.take() else { return };
        let to = extensions.and_then(|extensions| extensions.encrypt.as_ref());
        self.sealed = to.and_then(|to| seal::seal(&plain, to, class == Class::Call, chance()));
    }

    /// Takes back what it says to the client alone, and of a call.
    pub fn unsay(&mut self) {
        (self.plain, self.sealed, self.call) = (None, None, None);
    }
}

impl CallSaid {
    fn new(step: &Jingle, media: Vec<&'static str>) -> Self {
        Self { action: step.step.name(), sid: step.id.clone(), media }
    }
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
        Words { sender, body: text.or_else(stand_in), ..Words::default() }
    }
}

/// The same push as a notification that our own push service takes, as if it had been published.
#[must_use]
pub fn notification(class: Class, words: Words) -> Notification {
    let plain = match words.sealed {
        Some(sealed) => Notification { sealed: Some(sealed), ..Notification::default() },
        None => Notification { count: Some(1), sender: words.sender, body: words.body, ..Notification::default() },
    };
    match class {
        Class::Call => Notification { jingle: Some(CallStep::Propose), ..plain },
        Class::Ended => Notification { jingle: Some(CallStep::Other), ..plain },
        Class::Important | Class::Unimportant => Notification { priority: Some(Priority::of(class)), ..plain },
        Class::Clear => Notification { count: Some(0), ..plain },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::extensions::tests::full;
    use crate::domain::stanza::{HIDDEN, JingleStep};

    fn stanza(body: Option<&str>) -> Stanza {
        Stanza { from: Some("bob@example.org/pc".into()), body: body.map(Private::new), ..Stanza::default() }
    }

    fn words(sender: Option<&str>, body: Option<&str>) -> Words {
        Words { sender: sender.map(Private::new), body: body.map(Private::new), ..Words::default() }
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

    #[test]
    fn what_is_said_to_those_who_asked_for_more() {
        let jingle = Jingle { step: JingleStep::Propose, id: "ca3".into() };
        let call = Stanza { jingle: Some(jingle.clone()), media: vec!["audio"], ..stanza(None) };
        let some = |encrypt, jingle| Extensions {
            encrypt: full().encrypt.filter(|_| encrypt),
            jingle,
            ..Extensions::default()
        };
        let said = CallSaid { action: "propose", sid: "ca3".into(), media: vec!["audio"] };
        let rows = [
            (some(false, false), Class::Call, false, None),
            (some(true, false), Class::Call, true, None),
            (some(false, true), Class::Call, false, Some(said.clone())),
            (some(true, true), Class::Call, true, Some(said)),
            (some(true, true), Class::Important, true, None),
            (some(true, true), Class::Unimportant, false, None),
            (some(true, true), Class::Clear, false, None),
        ];
        for (extensions, class, sealed, said) in rows {
            let mut words = Redaction::default().words(&call, class).with(&extensions, &call, class);
            assert_eq!((words.plain.is_some(), &words.call), (sealed, &said), "{extensions:?} {class:?}");
            words.seal(class, Some(&extensions), || [1; 12]);
            assert_eq!(words.plain, None);
            assert_eq!(words.sealed.as_ref().map(|it| it.voip), sealed.then_some(class == Class::Call), "{class:?}");
            let published = notification(class, words);
            assert_eq!((published.class(), published.sealed.is_some()), (class, sealed), "{class:?}");
            assert!(!sealed || (published.body.is_none() && published.count.is_none()), "instead of the form");
        }
    }

    #[test]
    fn who_asked_for_it_is_told_which_call_is_over() {
        let retract = Jingle { step: JingleStep::Retract, id: "ca3".into() };
        let mut both = Words::over(&full(), &retract, "bob@example.org/pc");
        assert_eq!(both.call, Some(CallSaid { action: "retract", sid: "ca3".into(), media: Vec::new() }));
        both.seal(Class::Ended, Some(&full()), || [1; 12]);
        assert_eq!(both.sealed.as_ref().map(|sealed| sealed.voip), Some(false), "it does not ring");
        let published = notification(Class::Ended, both);
        assert_eq!((published.class(), published.sealed.is_some()), (Class::Ended, true));
        let silent = Extensions { jingle: false, ..full() };
        assert_eq!(Words::over(&silent, &retract, "bob@example.org/pc"), Words::default());
    }

    #[test]
    fn without_a_key_by_now_nothing_but_what_all_may_read_goes_out() {
        let mut words = Redaction::default().words(&stanza(Some("hi")), Class::Important);
        words = words.with(&full(), &stanza(Some("hi")), Class::Important);
        words.seal(Class::Important, None, || [1; 12]);
        assert_eq!(words, self::words(None, Some("New Message!")));
    }
}
