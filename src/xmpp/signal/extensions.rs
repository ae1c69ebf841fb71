//! Tigase's extensions of `<enable/>`, as Siskin IM and Snikket send them.

use std::sync::Arc;

use crate::xmpp::xml::Element;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jid::Jid;

use crate::domain::extensions::{Allow, Encrypt, Extensions, MAX_SIZE, MAX_SIZES, Room};
use crate::domain::refusal::Refusal;
use crate::domain::secret::SealKey;
use crate::xmpp::{ns, read as xml};

/// How many bytes of JIDs and nicks are kept. Bridges refuse a longer registration themselves.
const MAX_NAMES: usize = 16 * 1024;

/// The one way to encrypt (the attribute `alg`).
const AES_128_GCM: &str = "aes-128-gcm";

/// Base64 with or without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What stands in the way of an `<enable/>` with these extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// There is more than is kept.
    TooLong,
    /// It asks for what cannot be had.
    Refused(Refusal),
}

/// Reads the children of an `<enable/>`; `None` if none of them is an extension. What nobody can make sense of, a room
/// without a JID for one, is left out: it would match no stanza.
///
/// # Errors
///
/// They are too long, or want another encryption than AES-128-GCM, or with a key that is none.
pub fn read(enable: Element<'_>) -> Result<Option<Arc<Extensions>>, Unfit> {
    let child = |namespace, name| xml::child(enable, namespace, name);
    let extensions = Extensions {
        ignore_unknown: child(ns::TIGASE_IGNORE_UNKNOWN, "ignore-unknown").is_some(),
        rooms: child(ns::TIGASE_ROOMS, "groupchat").map(rooms),
        muted: child(ns::TIGASE_MUTED, "muted").map(muted).unwrap_or_default(),
        priority: child(ns::TIGASE_PRIORITY, "priority").is_some(),
        encrypt: child(ns::TIGASE_ENCRYPT, "encrypt").map(encrypt).transpose().map_err(Unfit::Refused)?,
        jingle: child(ns::TIGASE_JINGLE, "jingle").is_some(),
    };
    let room = |room: &Room| match &room.allow {
        Allow::Mentioned(Some(nick)) => room.jid.len() + nick.len(),
        _ => room.jid.len(),
    };
    let rooms: usize = extensions.rooms.iter().flatten().map(room).sum();
    let muted: usize = extensions.muted.iter().map(|jid| jid.len()).sum();
    if rooms + muted > MAX_NAMES { Err(Unfit::TooLong) } else { Ok(extensions.kept()) }
}

fn rooms(groupchat: Element<'_>) -> Vec<Room> {
    let rooms = groupchat.children().filter(|&child| xml::is(child, ns::TIGASE_ROOMS, "room"));
    let room = |room: Element<'_>| {
        let nick = || room.attribute("nick").map(str::trim).filter(|nick| !nick.is_empty()).map(Box::from);
        let allow = match room.attribute("allow") {
            Some("mentioned") => Allow::Mentioned(nick()),
            Some("never") => Allow::Never,
            // Clients list the rooms that may push.
            _ => Allow::Always,
        };
        Some(Room { jid: bare(room)?, allow })
    };
    rooms.filter_map(room).collect()
}

fn muted(muted: Element<'_>) -> Vec<Box<str>> {
    let items = muted.children().filter(|&child| xml::is(child, ns::TIGASE_MUTED, "item"));
    items.filter_map(bare).collect()
}

/// The attribute `jid`, normalised as the senders of stanzas are, without its resource.
fn bare(element: Element<'_>) -> Option<Box<str>> {
    Some(Jid::new(element.attribute("jid")?).ok()?.to_bare().as_str().into())
}

fn encrypt(encrypt: Element<'_>) -> Result<Encrypt, Refusal> {
    if encrypt.attribute("alg") != Some(AES_128_GCM) {
        return Err(Refusal::NoSuchEncryption);
    }
    let text: String = xml::text(encrypt).unwrap_or_default().split_ascii_whitespace().collect();
    let key = BASE64.decode(text).ok().and_then(|key| key.try_into().ok()).ok_or(Refusal::BadKey)?;
    let max_size = encrypt.attribute("max-size").and_then(|size| size.trim().parse().ok()).unwrap_or(MAX_SIZE);
    let max_size = max_size.clamp(*MAX_SIZES.start(), *MAX_SIZES.end());
    Ok(Encrypt { key: SealKey::new(key), max_size })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_(content: &str) -> Result<Option<Arc<Extensions>>, Unfit> {
        let text = format!("<enable xmlns='urn:xmpp:push:0' jid='push.example.net'>{content}</enable>");
        let document = crate::xmpp::xml::Document::parse(&text).unwrap();
        read(document.root_element())
    }

    fn encrypt(attributes: &str, key: &str) -> Result<Encrypt, Unfit> {
        let element = format!("<encrypt xmlns='tigase:push:encrypt:0' {attributes}>{key}</encrypt>");
        read_(&element).map(|found| found.unwrap().encrypt.clone().unwrap())
    }

    #[test]
    fn all_that_siskin_and_snikket_send() {
        let content = "<ignore-unknown xmlns='tigase:push:filter:ignore-unknown:0'/>\
             <groupchat xmlns='tigase:push:filter:groupchat:0'>\
             <room jid='coven@chat.example' allow='always'/>\
             <room jid='Forres@Chat.Example' allow='mentioned' nick=' Juliet '/>\
             <room jid='heath@chat.example' allow='never'/>\
             <room jid='castle@chat.example/x' allow='mentioned' nick=''/>\
             <room allow='always'/><room jid='@' allow='always'/><other jid='a@b'/></groupchat>\
             <muted xmlns='tigase:push:filter:muted:0'><item jid='bot@example.org'/><item jid='a@b@c'/></muted>\
             <priority xmlns='tigase:push:priority:0'/>\
             <encrypt xmlns='tigase:push:encrypt:0' alg='aes-128-gcm' max-size='3000'>MDEyMzQ1Njc4OWFiY2RlZg==</encrypt>\
             <jingle xmlns='tigase:push:jingle:0'/>";
        assert_eq!(read_(content).unwrap().as_deref(), Some(&crate::domain::extensions::tests::full()));
    }

    #[test]
    fn what_is_no_extension_counts_as_none() {
        let rows = ["", "<x xmlns='jabber:x:data'/>", "<muted/>", "<priority xmlns='x'/>", "<encrypt xmlns='y'/>"];
        for content in rows {
            assert_eq!(read_(content), Ok(None), "{content}");
        }
        let empty = "<groupchat xmlns='tigase:push:filter:groupchat:0'/>";
        assert_eq!(read_(empty).unwrap().unwrap().rooms, Some(vec![]), "an empty list of rooms is one");
        let room = "<groupchat xmlns='tigase:push:filter:groupchat:0'><room jid='r@chat.example'/></groupchat>";
        let always = Room { jid: "r@chat.example".into(), allow: Allow::Always };
        assert_eq!(read_(room).unwrap().unwrap().rooms, Some(vec![always]));
    }

    #[test]
    fn a_key_has_16_bytes_and_one_use() {
        let key = "MDEyMzQ1Njc4OWFiY2RlZg==";
        let alg = "alg='aes-128-gcm'";
        let fits = |max_size| Ok(Encrypt { key: SealKey::new(*b"0123456789abcdef"), max_size });
        let bad = || Err(Unfit::Refused(Refusal::BadKey));
        let unknown = || Err(Unfit::Refused(Refusal::NoSuchEncryption));
        let rows = [
            (alg, key, fits(3000)),
            (alg, "MDEyMzQ1Njc4OWFiY2RlZg", fits(3000)),
            (alg, "\n MDEyMzQ1Njc4\n OWFiY2RlZg==\n", fits(3000)),
            ("alg='aes-128-gcm' max-size='1000'", key, fits(1000)),
            ("alg='aes-128-gcm' max-size='0'", key, fits(256)),
            ("alg='aes-128-gcm' max-size='99999'", key, fits(8192)),
            ("alg='aes-128-gcm' max-size='many'", key, fits(3000)),
            (alg, "", bad()),
            (alg, "MDEyMzQ1Njc4OWFiY2Rl", bad()),
            (alg, "MDEyMzQ1Njc4OWFiY2RlZmc=", bad()),
            (alg, "0123456789abcdef", bad()),
            (alg, "not base64!", bad()),
            ("alg='aes-256-gcm'", key, unknown()),
            ("alg=''", "", unknown()),
            ("", key, unknown()),
        ];
        for (attributes, text, expected) in rows {
            assert_eq!(encrypt(attributes, text), expected, "{attributes} {text}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let muted = |count: usize| {
            let items = "<item jid='0123456789abcdef@0123456789abcdef.example'/>".repeat(count);
            format!("<muted xmlns='tigase:push:filter:muted:0'>{items}</muted>")
        };
        assert_eq!(read_(&muted(399)).unwrap().unwrap().muted.len(), 399);
        assert_eq!(read_(&muted(400)), Err(Unfit::TooLong));
        let nick = "n".repeat(20_000);
        let room = format!(
            "<groupchat xmlns='tigase:push:filter:groupchat:0'>\
             <room jid='r@chat.example' allow='mentioned' nick='{nick}'/></groupchat>"
        );
        assert_eq!(read_(&room), Err(Unfit::TooLong));
    }
}
