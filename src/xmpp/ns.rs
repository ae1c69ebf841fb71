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
/// XEP-0060: what is wrong with a request, beside the condition.
pub const PUBSUB_ERRORS: &str = "http://jabber.org/protocol/pubsub#errors";
/// XEP-0060: requests of a node's owner.
pub const PUBSUB_OWNER: &str = "http://jabber.org/protocol/pubsub#owner";
/// XEP-0092: which software, in which version.
pub const VERSION: &str = "jabber:iq:version";
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
/// Tigase: pushes whatever the account's other clients do.
pub const TIGASE_AWAY: &str = "tigase:push:away:0";
/// Tigase: no pushes for those who are not on the roster.
pub const TIGASE_IGNORE_UNKNOWN: &str = "tigase:push:filter:ignore-unknown:0";
/// Tigase: which rooms push.
pub const TIGASE_ROOMS: &str = "tigase:push:filter:groupchat:0";
/// Tigase: who does not push.
pub const TIGASE_MUTED: &str = "tigase:push:filter:muted:0";
/// Tigase: how what is pushed may be encrypted.
pub const TIGASE_ENCRYPT_AES_128_GCM: &str = "tigase:push:encrypt:aes-128-gcm";
/// Tigase: who spoke in a room.
pub const TIGASE_GROUPCHAT: &str = "http://tigase.org/protocol/muc#offline";
/// Tigase: what became of an account.
pub const TIGASE_ACCOUNT_EVENT: &str = "http://tigase.org/protocol/account#event";
/// Between a host's bridge and us (docs/signals.md).
pub const HOST: &str = "urn:pushkeeper:host:0";
/// XEP-0060 §7.1.5: what a service wants to see before it takes a publish.
pub const PUBLISH_OPTIONS: &str = "http://jabber.org/protocol/pubsub#publish-options";
/// XEP-0280: what was forwarded to the account's other sessions.
pub const CARBONS: &str = "urn:xmpp:carbons:2";
/// XEP-0297: a stanza inside a stanza.
pub const FORWARD: &str = "urn:xmpp:forward:0";
/// XEP-0359: the ids that archives give.
pub const STANZA_ID: &str = "urn:xmpp:sid:0";
/// XEP-0384 in its versions, the one before there were versions included.
pub const OMEMO: [&str; 4] =
    ["eu.siacs.conversations.axolotl", "urn:xmpp:omemo:0", "urn:xmpp:omemo:1", "urn:xmpp:omemo:2"];
/// XEP-0027: OpenPGP as it was.
pub const OPENPGP_OLD: &str = "jabber:x:encrypted";
/// XEP-0373: OpenPGP as it is.
pub const OPENPGP: &str = "urn:xmpp:openpgp:0";
/// XEP-0380: says how a message is encrypted.
pub const ENCRYPTION: &str = "urn:xmpp:eme:0";
/// XEP-0353: steps of a call's set-up, in any version.
pub const JINGLE_MESSAGE_PREFIX: &str = "urn:xmpp:jingle-message:";
/// XEP-0167: what a call is about.
pub const JINGLE_RTP: &str = "urn:xmpp:jingle:apps:rtp:1";
/// XEP-0372: what a text speaks of.
pub const REFERENCE: &str = "urn:xmpp:reference:0";
/// XEP-0461: what a message answers.
pub const REPLY: &str = "urn:xmpp:reply:0";
/// XEP-0249: an invitation into a room.
pub const CONFERENCE: &str = "jabber:x:conference";
/// XEP-0045 §7.8: what a room says, invitations included.
pub const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
/// XEP-0308: corrections.
pub const CORRECT: &str = "urn:xmpp:message-correct:0";
/// XEP-0333: who has seen what.
pub const MARKERS: &str = "urn:xmpp:chat-markers:0";
/// XEP-0334: what is to be kept.
pub const HINTS: &str = "urn:xmpp:hints";
/// XEP-0172: nicknames.
pub const NICK: &str = "http://jabber.org/protocol/nick";
/// XEP-0172, as some write it.
pub const NICK_URN: &str = "urn:xmpp:nick";
/// XML 1.0 §2.12: `xml:lang`.
pub const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// Our commands for people: this, `#`, and a name.
pub const COMMAND: &str = "urn:pushkeeper:command:0";
