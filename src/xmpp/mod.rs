//! Speaks XMPP. Elements live and die here: what goes on to the driver is plain data.
//!
//! [`link`] keeps a stream to the host as its [`settings`] say, `stream` serves one (with [`backoff`] between two,
//! [`outbox`] for answers that outlive one, [`trouble`] for what can go wrong). [`visit`] is a stream for a few questions.
//!
//! The way of a stanza in: [`frame`] cuts it out of the bytes ([`fault`] says what is wrong with it, [`head`] reads
//! what is left of one that is too big), [`read`] parses it (by [`xml`]), [`inbound`] decides what it is to us (and [`sender`] who sent it); [`publish`] and
//! [`register`] read what goes on to the driver, with [`forms`], and [`signal`] what bridges say; [`service`] says who we
//! are. [`adhoc`] reads and shows what people ask by commands. The way out: [`answer`] for what was asked, [`orders`] for what bridges are asked to do.

pub mod adhoc;
pub mod answer;
pub mod backoff;
pub mod fault;
pub mod forms;
pub mod frame;
pub mod head;
pub mod inbound;
pub mod link;
pub mod ns;
pub mod orders;
pub mod outbox;
pub mod publish;
pub mod read;
pub mod register;
pub mod sender;
pub mod service;
pub mod settings;
pub mod signal;
mod stream;
pub mod trouble;
pub mod visit;
pub mod xml;
