//! pushkeeper beside a real Prosody or a real ejabberd: its own push module publishes, real clients lose their connection.
//!
//! | File | What it shows |
//! |---|---|
//! | `adhoc.rs` | ad-hoc commands from a stock client: who may, sessions, hostile forms |
//! | `commands.rs` | each of them, to its end |
//! | `discovery.rs` | what a client finds out about us |
//! | `doctor.rs` | what `pushkeeper doctor` says of a real host, and that it changes nothing there |
//! | `imports.rs` | what their own push modules keep, imported: pushes go on without a new enable |
//! | `mod_push.rs` | what ejabberd's own mod_push publishes to us |
//! | `pushes.rs` | a message to a phone that is away becomes one push |
//! | `registrations.rs` | devices, registered through the server; they survive kill -9 |
//! | `twice.rs` | two pushkeepers with the same name |
//! | `restarts.rs` | the link comes back by itself, and nothing is lost or sent twice |
//! | `vendor_pushes.rs` | what APNs and FCM get of all this |
//! | `../support/` | what the tests have in common |

#[cfg(test)]
#[path = "../support/client.rs"]
#[expect(dead_code, reason = "these tests use a part of what it can do")]
mod client;
#[cfg(test)]
#[path = "../support/component.rs"]
mod component;
#[cfg(test)]
#[path = "../support/daemon.rs"]
mod daemon;
#[cfg(test)]
#[path = "../support/on_hosts.rs"]
mod on_hosts;
#[cfg(test)]
#[path = "../support/person.rs"]
mod person;
#[cfg(test)]
#[path = "../support/process.rs"]
mod process;
#[cfg(test)]
#[path = "../support/server.rs"]
#[expect(dead_code, reason = "these tests use a part of what it can do")]
mod server;
#[cfg(test)]
#[path = "../support/service.rs"]
#[expect(dead_code, reason = "these tests use a part of what it can do")]
mod service;
#[cfg(test)]
#[path = "../support/steps.rs"]
mod steps;
#[cfg(test)]
#[path = "../support/stream.rs"]
mod stream;
#[cfg(test)]
#[path = "../support/vendor/mod.rs"]
#[expect(dead_code, reason = "these tests use a part of what it can do")]
mod vendor;
#[cfg(test)]
#[path = "../support/vendors.rs"]
mod vendors;

#[cfg(test)]
mod adhoc;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod discovery;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod imports;
#[cfg(test)]
mod mod_push;
#[cfg(test)]
mod pushes;
#[cfg(test)]
mod registrations;
#[cfg(test)]
mod restarts;
#[cfg(test)]
mod twice;
#[cfg(test)]
mod vendor_pushes;
