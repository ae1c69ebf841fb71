//! Namespaces, by the document that defines each.

/// XEP-0114: the default namespace of a component's stream.
pub const COMPONENT: &str = "jabber:component:accept";
/// RFC 6120: what some hosts write on stanzas all the same.
pub const CLIENT: &str = "jabber:client";
/// RFC 6120 §4.8.1: `<stream:stream>`, `<stream:error>`.
pub const STREAM: &str = "http://etherx.jabber.org/streams";
/// RFC 6120 §4.9.3: conditions of a stream error.
pub const STREAM_ERROR: &str = "urn:ietf:params:xml:ns:xmpp-streams";
/// RFC 6120 §8.3.3: conditions of a stanza error.
pub const STANZA_ERROR: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// XEP-0004: forms.
pub const DATA_FORM: &str = "jabber:x:data";
/// XEP-0030: what an entity is and can do.
pub const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
/// XEP-0030: what an entity has.
pub const DISCO_ITEMS: &str = "http://jabber.org/protocol/disco#items";
/// XEP-0050: commands.
pub const COMMANDS: &str = "http://jabber.org/protocol/commands";
/// XEP-0060: requests of anybody.
pub const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
/// XEP-0060: requests of a node's owner.
pub const PUBSUB_OWNER: &str = "http://jabber.org/protocol/pubsub#owner";
/// XEP-0199: ping.
pub const PING: &str = "urn:xmpp:ping";
/// XEP-0357: push notifications.
pub const PUSH: &str = "urn:xmpp:push:0";
/// XEP-0357 §7: the form inside a notification.
pub const PUSH_SUMMARY: &str = "urn:xmpp:push:summary";
/// Tigase: a call's step.
pub const TIGASE_JINGLE: &str = "tigase:push:jingle:0";
/// Tigase: a Meet call.
pub const TIGASE_MEET: &str = "tigase:push:meet:0";
/// Tigase, and Prosody's priority tag module.
pub const TIGASE_PRIORITY: &str = "tigase:push:priority:0";
/// Tigase, and Prosody's encryption module.
pub const TIGASE_ENCRYPT: &str = "tigase:push:encrypt:0";
/// Tigase: who spoke in a room.
pub const TIGASE_GROUPCHAT: &str = "http://tigase.org/protocol/muc#offline";
