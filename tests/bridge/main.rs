//! The bridge, `mod_pushkeeper`, in a real Prosody and in a real ejabberd: raw clients on one side, and the test itself plays pushkeeper on
//! the other. What the namespace promises is `docs/signals.md`.
//!
//! | File | What it shows |
//! |---|---|
//! | `linking.rs` | who is obeyed, the snapshot, numbers, batches, when the link is given up |
//! | `sessions.rs` | what is told of sessions: bind, hibernate, queued, ack-delayed, ack, resume, end |
//! | `beside.rs` | beside what the host itself has for push notifications, unloaded, and set up wrongly |
//! | `messages.rs` | what is told of messages: archived, offline, urgent; shapes and their limits; pings |
//! | `facts.rs` | what is told beside a message: whether its sender is a contact, whether it is the account's own |
//! | `missed.rs` | what was missed stays within the limits of events |
//! | `orders.rs` | the resumption window, and what is published for pushkeeper |
//! | `registrations.rs` | `<enable/>` and `<disable/>` |
//! | `stock.rs` | clients see what they see without the bridge |
//! | `rig.rs` | what the tests have in common |

#[cfg(test)]
#[path = "../support/client.rs"]
#[expect(dead_code, reason = "these tests use a part of what it can do")]
mod client;
#[cfg(test)]
#[path = "../support/component.rs"]
#[expect(dead_code, reason = "these tests use a part of what it can do")]
mod component;
#[cfg(test)]
#[path = "../support/on_hosts.rs"]
mod on_hosts;
#[cfg(test)]
#[path = "../support/process.rs"]
mod process;
#[cfg(test)]
#[path = "../support/server.rs"]
#[expect(dead_code, reason = "these tests use a part of what it can do")]
mod server;
#[cfg(test)]
#[path = "../support/stream.rs"]
mod stream;

#[cfg(test)]
mod beside;
#[cfg(test)]
mod facts;
#[cfg(test)]
mod linking;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod missed;
#[cfg(test)]
mod orders;
#[cfg(test)]
mod registrations;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod stock;
