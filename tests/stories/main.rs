//! Stories: what the host's bridge, pushkeeper, phones and push services do together. A real Prosody or a real ejabberd
//! with `mod_pushkeeper`, the real pushkeeper, raw XEP-0198 clients, stand-ins for APNs and for a third party's push
//! service, and a tap on the component link.
//!
//! | Row | Story | File |
//! |---|---|---|
//! | 1 | a message to a phone that was reset: one push, and the window shrinks | `windows.rs` |
//! | 2 | a phone that nobody writes to is woken before its window ends | `windows.rs` |
//! | 3 | a phone that fell silent is pushed to for every message | `silence.rs` |
//! | 4 | many messages at once are one push | `bursts.rs` |
//! | 5 | what is not for its owner does not wake a phone for its owner | `bursts.rs` |
//! | 6 | a phone that is back in time is not pushed to | `bursts.rs` |
//! | 7 | what was pushed to a silent phone is not pushed again | `silence.rs` |
//! | 8 | offline accounts, with and without an archive | `away.rs` |
//! | 9 | only the device that is away is pushed to | `away.rs` |
//! | 10 | calls ring everywhere, at once, and are taken back | `calls.rs` |
//! | 11 | what is important | `importance.rs` |
//! | 12 | the sixth registration takes the place of the oldest | `registrations.rs` |
//! | 13 | a push service that refuses | `errors.rs` |
//! | 14 | what a push says | `redaction.rs` |
//! | 15 | too many hibernated sessions | `windows.rs` |
//! | 16 | the host is killed, pushkeeper is killed | `restarts.rs` |
//! | 17 | pushkeeper is down | `fail_open.rs` |
//! | 18 | nobody registers for somebody else | `registrations.rs` |
//! | 19 | a push service that never answers | `errors.rs` |
//! | 20 | large, deep and many stanzas | `hostile.rs` |
//! | 21 | bad registrations | `registrations.rs` |
//! | 22 | the bridge is taken away | `restarts.rs` |
//! | 23 | mod_smacks behaves as without us | `../bridge/`, and `fail_open.rs` |
//! | 24 | what Tigase's clients ask for beside pushes | `extensions.rs` |
//! | 25 | why was this phone not woken, and what became of that registration: `show-account` says it | `why.rs` |
//!
//! And `setup.rs`: what an operator set up wrongly. `scene.rs` is what the stories stand on. Nothing in them knows which
//! host it is: each is told twice, as `prosody::row_…` and as `ejabberd::row_…`. ejabberd can do all rows. What it cannot
//! do is no row of its own:
//!
//! | Where | What | Why ejabberd cannot |
//! |---|---|---|
//! | 3, 7 | an acknowledgement that is overdue for longer than its `ack_timeout` | it closes the connection then: the phone hibernates |
//! | 10 | a call that is archived without `<store/>` | its archive keeps no message without a body; the bridge says `urgent` instead |
//! | `../bridge/` | another module asks for a wake | it has no such event |
//! | `../bridge/` | a queue that lost its oldest stanzas | mod_stream_mgmt ends the session instead |

#[cfg(test)]
#[path = "../support/client.rs"]
#[expect(dead_code, reason = "these tests use a part of what it can do")]
mod client;
#[cfg(test)]
#[path = "../support/component.rs"]
#[expect(dead_code, reason = "these tests use a part of what it can do")]
mod component;
#[cfg(test)]
#[path = "../support/daemon.rs"]
#[expect(dead_code, reason = "these tests use a part of what it can do")]
mod daemon;
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
#[path = "../support/service.rs"]
mod service;
#[cfg(test)]
#[path = "../support/steps.rs"]
#[expect(dead_code, reason = "these tests use a part of what it can do")]
mod steps;
#[cfg(test)]
#[path = "../support/stream.rs"]
mod stream;
#[cfg(test)]
#[path = "../support/tap.rs"]
mod tap;
#[cfg(test)]
#[path = "../support/vendor/mod.rs"]
#[expect(dead_code, reason = "these tests use a part of what it can do")]
mod vendor;
#[cfg(test)]
#[path = "../support/vendors.rs"]
mod vendors;

#[cfg(test)]
mod away;
#[cfg(test)]
mod bursts;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod extensions;
#[cfg(test)]
mod fail_open;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod importance;
#[cfg(test)]
mod redaction;
#[cfg(test)]
mod registrations;
#[cfg(test)]
mod restarts;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod setup;
#[cfg(test)]
mod silence;
#[cfg(test)]
mod why;
#[cfg(test)]
mod windows;
