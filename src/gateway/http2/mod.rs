//! The client's side of HTTP/2 (RFC 9113), for requests that are a head and a small body, both known when they begin.
//! It only turns bytes into answers and requests into bytes: `pool` has the sockets, the clocks and the patience.
//!
//! | file | what |
//! |---|---|
//! | `client.rs` | one connection: requests out, answers in |
//! | `receive.rs` | what each frame does to it |
//! | `flow.rs` | what may be sent yet, of bodies (§5.2) |
//! | `frame.rs` | frames (§4, §6) |
//! | `hpack/` | headers (RFC 7541) |
//!
//! Why there is one of our own: docs/design.md.

mod client;
mod flow;
mod frame;
mod hpack;
mod receive;
#[cfg(test)]
mod tests;

pub use self::client::{Broken, Client, NotOpened, Request, Response};
pub use self::frame::{Code, Fault};
pub use self::hpack::{Field, Name};
