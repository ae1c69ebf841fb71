//! pushkeeper: an XMPP component (XEP-0114) that wakes phones.
//!
//! # Map
//!
//! | room | what it does | knows |
//! |---|---|---|
//! | [`app`] | puts the parts together and takes them apart | all of them |
//! | [`admin`] | what operators run beside the daemon: `doctor`, and `import` of what other programs keep | all of them but `app` and `driver` |
//! | [`config`] | reads `config.toml`; every complaint at once, each with its key | |
//! | [`driver`] | the loop: one input, one step, changes to disk, then effects | `flows` |
//! | [`flows`] | decide: state, input and time in; changes and effects out | `domain` |
//! | [`domain`] | nouns and rules | nothing |
//! | [`xmpp`] | speaks XMPP: framing, link, stanzas in, answers and orders out | `domain`, data of `flows` |
//! | [`gateway`] | speaks to vendors: APNs, FCM, browsers' push services, a stub | `domain` |
//! | [`http`] | speaks HTTP to apps: the little that they must reach without XMPP | `domain`, data of `flows` |
//! | [`metrics`] | counts what happens, and writes the page for Prometheus | `flows` |
//! | [`store`] | remembers: load everything, commit a batch | `domain`, data of `flows` |
//! | [`clock`] | the one place that asks what time it is | |
//!
//! # The life of a publish
//!
//! 1. [`xmpp::frame`] cuts a stanza out of the stream, [`xmpp::inbound`] reads it into an
//!    [`Input::Publish`](flows::data::Input::Publish) with the ticket for its answer.
//! 2. [`driver`] takes it to [`flows::publish`]: is the device known, secret and domain right, a push under way
//!    already? The step says: this push is under way now (a change), deliver it (an effect).
//! 3. [`gateway`] builds the vendor's request, sends it, and reads the vendor's answer into an
//!    [`Outcome`](domain::outcome::Outcome).
//! 4. [`driver`] takes the verdict to [`flows::feedback`]: what it means for the device, and what those are told who
//!    wait. What its vendor does not take is owed ([`flows::owing`]): on disk, then answered, then tried until it is.
//! 5. [`xmpp::answer`] writes the answer; the link sends it, on the next stream if this one is gone.
//!
//! # The life of a host's event
//!
//! 1. [`xmpp::signal`] reads a bridge's batch into an [`Input::Signals`](flows::data::Input::Signals); stanzas become
//!    the few facts that rules care for ([`domain::stanza`]).
//! 2. [`flows::batch`] takes it once, answers it, and hands on each event as a step of its own.
//! 3. [`flows::rules`] decides: which class ([`domain::importance`]), for which registrations; it is collected
//!    ([`domain::collector`]) and leaves as one push. To a device of our own that is a publish, and goes on above; to a
//!    third party's push service the host relays it.
//! 4. What comes of it counts for the registration ([`domain::registration`]), and shortens the session's window
//!    ([`domain::keeper`]) by an order ([`xmpp::orders`]).

/// A third less CPU per push than with the system's allocator (docs/design.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod admin;
pub mod app;
pub mod clock;
pub mod config;
pub mod domain;
pub mod driver;
pub mod flows;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod gateway;
pub mod http;
pub mod metrics;
pub mod store;
pub mod xmpp;
