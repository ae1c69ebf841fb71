//! The seal, opened by another implementation of AES-GCM than the one that made it.

use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes128Gcm, Key, Nonce};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::extensions::tests::KEY;
use crate::domain::secret::SealKey;
use crate::domain::stanza::{Carbon, HIDDEN, Jingle, JingleStep};

fn to(max_size: usize) -> Encrypt {
    Encrypt { key: SealKey::new(KEY), max_size }
}

/// What the client reads.
pub(crate) fn opened(sealed: &Sealed) -> Value {
    let iv: [u8; 12] = BASE64_STANDARD.decode(&*sealed.iv).unwrap().try_into().unwrap();
    let text = BASE64_STANDARD.decode(sealed.payload.reveal()).unwrap();
    let cipher = Aes128Gcm::new(&Key::<Aes128Gcm>::from(KEY));
    let plain = cipher.decrypt(&Nonce::from(iv), text.as_slice()).expect("it opens");
    serde_json::from_slice(&plain).unwrap()
}

fn message(text: &str) -> Stanza {
    Stanza { from: Some("bob@example.org/pc".into()), body: Some(Private::new(text)), ..Stanza::default() }
}

fn call(media: &[&'static str]) -> Stanza {
    let jingle = Some(Jingle { step: JingleStep::Propose, id: "ca3".into() });
    Stanza { body: None, jingle, media: media.to_vec(), ..message("") }
}

#[test]
fn what_the_client_reads() {
    use Class::{Call, Important};
    let room = Stanza { from: Some("coven@chat.example/Witch 1".into()), kind: Kind::Groupchat, ..message("hi") };
    let named = Stanza { nickname: Some(Private::new("Bobby")), ..message("hi") };
    let subscribe = Stanza { from: Some("bob@example.org".into()), kind: Kind::Subscribe, body: None, ..message("") };
    let carbon = Stanza { carbon: Some(Carbon::Received), ..message("hi") };
    let bob = "bob@example.org";
    let chat = json!({"unread": 1, "sender": bob, "type": "chat", "message": "hi"});
    let silent = json!({"unread": 1, "sender": bob, "type": "chat"});
    let rows = [
        ("a message", message("hi"), Important, chat.clone()),
        ("a carbon", carbon, Important, chat),
        ("a text that the host hides", message(HIDDEN), Important, silent.clone()),
        ("OMEMO without a text", Stanza { body: None, encrypted: true, ..message("") }, Important, silent.clone()),
        (
            "a nickname",
            named,
            Important,
            json!({"unread": 1, "sender": bob, "type": "chat", "message": "hi", "nickname": "Bobby"}),
        ),
        (
            "a room",
            room,
            Important,
            json!({"unread": 1, "sender": "coven@chat.example", "type": "groupchat", "message": "hi",
                   "nickname": "Witch 1"}),
        ),
        ("a request", subscribe, Important, json!({"unread": 1, "sender": bob, "type": "subscribe"})),
        (
            "a call",
            call(&["audio", "video"]),
            Call,
            json!({"unread": 1, "sender": "bob@example.org/pc", "type": "call", "sid": "ca3",
                   "media": ["audio", "video"]}),
        ),
        (
            "a call that does not say what it is about",
            call(&[]),
            Call,
            json!({"unread": 1, "sender": "bob@example.org/pc", "type": "call", "sid": "ca3", "media": ["audio"]}),
        ),
        ("a call too many", call(&["audio"]), Important, silent),
    ];
    for (what, stanza, class, expected) in rows {
        let plain = Plain::of(&stanza, class).expect(what);
        let sealed = seal(&plain, &to(3000), class == Call, [9; 12]).expect(what);
        assert_eq!(opened(&sealed), expected, "{what}");
        assert_eq!((&*sealed.iv, sealed.voip), ("CQkJCQkJCQkJCQkJ", class == Call), "{what}");
    }
    assert_eq!(Plain::of(&Stanza { from: None, ..message("hi") }, Important), None);
    let over = seal(&Plain::over("bob@example.org/pc", "ca3"), &to(3000), false, [9; 12]).unwrap();
    assert_eq!(opened(&over), json!({"unread": 1, "sender": "bob@example.org/pc", "type": "call", "sid": "ca3"}));
}

/// Made from the same key, nonce and text by OpenSSL's AES-128-GCM: the text, the tag and its place.
#[test]
fn the_bytes_are_those_of_the_standard() {
    let plain = Plain::of(&message("hi"), Class::Important).unwrap();
    assert_eq!(plain.json(3000), r#"{"unread":1,"sender":"bob@example.org","type":"chat","message":"hi"}"#);
    let sealed = seal(&plain, &to(3000), false, *b"abcdefghijkl").unwrap();
    assert_eq!(
        (&*sealed.iv, sealed.payload.reveal()),
        (
            "YWJjZGVmZ2hpamts",
            "nvAJ2yHAOMF7CoUW1E26Z25wnsUC2VE95ryoADM6ON15MDDjWZH9avGMeDoN7Cgd45VwA2LpqpnYTgTMURdkoVlfJVte/jPF3RjLUz1RD9Sd6V1h"
        )
    );
}

#[test]
fn what_does_not_fit_is_left_out_piece_by_piece() {
    let plain = |name: usize, sender: usize| Plain {
        about: About::Chat,
        sender: Private::new("s".repeat(sender)),
        message: Some(Private::new("é".repeat(5000))),
        nickname: Some(Private::new("n".repeat(name))),
    };
    // A seal of 256 characters holds 176 bytes.
    let rows = [
        (10, 10, vec!["message", "nickname", "sender", "type", "unread"]),
        (110, 10, vec!["nickname", "sender", "type", "unread"]),
        (200, 10, vec!["message", "sender", "type", "unread"]),
        (200, 200, vec!["unread"]),
    ];
    for (name, sender, expected) in rows {
        let sealed = seal(&plain(name, sender), &to(256), false, [1; 12]).unwrap();
        let Value::Object(fields) = opened(&sealed) else { panic!("{name}") };
        let mut names: Vec<&str> = fields.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, expected, "a name of {name}, a sender of {sender}");
        assert!(sealed.payload.reveal().len() <= 256, "{name}");
    }
}

proptest! {
    #[test]
    fn a_text_is_cut_to_what_fits_in_whole_characters_and_no_shorter(
        text in "(?s).{0,400}", max_size in 256_usize..1200,
    ) {
        let plain = Plain::of(&message(&text), Class::Important).unwrap();
        let sealed = seal(&plain, &to(max_size), false, [3; 12]).unwrap();
        prop_assert!(sealed.payload.reveal().len() <= max_size);
        let read = opened(&sealed);
        let cut = read["message"].as_str().unwrap_or_default();
        if text == HIDDEN {
            prop_assert_eq!(cut, "");
            return Ok(());
        }
        prop_assert!(text.starts_with(cut));
        if let Some(next) = text[cut.len()..].chars().next() {
            let longer = serde_json::to_string(&format!("{cut}{next}")).unwrap();
            let said = serde_json::to_string(cut).unwrap();
            let (most, now) = (max_size / 4 * 3 - 16, serde_json::to_string(&read).unwrap());
            let without = if cut.is_empty() { r#","message":"""#.len() } else { 0 };
            prop_assert!(now.len() + without + longer.len() - said.len() > most, "one more would have fit");
        }
    }

    #[test]
    fn nobody_else_can_open_or_change_it(at in 0_usize..100, nonce in any::<[u8; 12]>()) {
        let plain = Plain::of(&message("hi"), Class::Important).unwrap();
        let sealed = seal(&plain, &to(3000), false, nonce).unwrap();
        let mut text = BASE64_STANDARD.decode(sealed.payload.reveal()).unwrap();
        let at = at % text.len();
        text[at] ^= 1;
        let cipher = Aes128Gcm::new(&Key::<Aes128Gcm>::from(KEY));
        prop_assert!(cipher.decrypt(&Nonce::from(nonce), text.as_slice()).is_err());
        text[at] ^= 1;
        let other = Aes128Gcm::new(&Key::<Aes128Gcm>::from([0; 16]));
        prop_assert!(other.decrypt(&Nonce::from(nonce), text.as_slice()).is_err());
        prop_assert!(cipher.decrypt(&Nonce::from(nonce), text.as_slice()).is_ok());
    }
}
