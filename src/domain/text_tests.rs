//! Whatever is packed comes back.

use std::hash::{BuildHasher as _, RandomState};

use proptest::prelude::*;

use super::*;

const APNS: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn check(node: &str, secret: &str, owner: &str, token: &str) -> Texts {
    let texts = Texts::new(node, secret, owner, token);
    assert_eq!((texts.node().as_str(), texts.owner().as_str()), (node, owner));
    assert_eq!((&*texts.secret().reveal(), &*texts.token().reveal()), (secret, token));
    let apart = (Node::new(node), Secret::new(secret), Account::new(owner), DeviceToken::new(token));
    assert_eq!((texts.node(), texts.secret(), texts.owner(), texts.token()), apart);
    let hasher = RandomState::new();
    assert_eq!(hasher.hash_one(texts.node()), hasher.hash_one(&apart.0));
    assert_eq!(hasher.hash_one(texts.token()), hasher.hash_one(&apart.3));
    assert!(texts.is_of(&apart.0) && texts.is_owned_by(&apart.2));
    texts
}

#[test]
fn what_is_packed_comes_back_as_it_was() {
    let secret = "abcdefghijklmnopqrstuvwxyzABC-_9";
    let rows = [
        // Each with how many bytes secret and token take.
        (secret, APNS, 24 + 32),
        (secret, &APNS[1..], 24 + 63),
        (secret, "0123456789abcde", 24 + 15),
        (&APNS[..32], &APNS.to_uppercase(), 16 + 48),
        ("", "", 0),
        // One colon, and no more than 255 characters.
        ("short", "cXy:APA91b-tokens-of-fcm-have-a-colon", 5 + 2 + 27),
        ("short", ":APA91b-tokens-of-fcm-have-a-colon", 5 + 2 + 25),
        ("short", "APA91b-tokens-of-fcm-have-a-colon:", 5 + 2 + 25),
        ("short", "cXy:APA91b-tokens-of-fcm:have-a-colon", 5 + 37),
        ("short", "cXy:APA91b-tokens-of-fcm/have-a-colon", 5 + 37),
        ("short", &format!("{}:{}", "a".repeat(100), "b".repeat(154)), 5 + 2 + 191),
        ("short", &format!("{}:{}", "a".repeat(100), "b".repeat(155)), 5 + 256),
        ("abcdefghijklmnop====", "ünïcödé-ünïcödé-ünïcödé", 20 + 35),
        ("abcdefghijklmnopqr", "abcdefghijklmnop+/+/", 18 + 20),
    ];
    for (secret, token, bytes) in rows {
        let texts = check("node-1", secret, "romeo@example.org", token);
        assert_eq!(texts.block.len(), 6 + 17 + bytes, "{secret} {token}");
    }
}

#[test]
fn texts_that_share_a_block_are_packed_already() {
    let texts = check("node-1", "secret", "romeo@example.org", APNS);
    let again = Texts::of(&texts.node(), &texts.secret(), &texts.owner(), &texts.token());
    assert!(texts.block.is(&again.block));
    let other = Texts::of(&texts.node(), &texts.secret(), &texts.owner(), &DeviceToken::new("other"));
    assert!(!texts.block.is(&other.block));
    assert_eq!((other.node(), &*other.token().reveal()), (texts.node(), "other"));
    let exchanged = Texts::of(&texts.node(), &other.secret(), &texts.owner(), &texts.token());
    assert!(!texts.block.is(&exchanged.block));
    assert_eq!(exchanged.secret(), texts.secret());
}

#[test]
fn secrets_are_the_same_in_any_form() {
    let long = "Secret-of-somebody-else_that_is-far-too-long-for-the-stack_and-then-some-more-AB";
    for secret in ["abcdefghijklmnopqrstuvwxyzABC-_9", APNS, "s", "", long] {
        let packed = Texts::new("n", secret, "", "").secret();
        assert_eq!(packed, Secret::new(secret));
        assert_eq!(Secret::new(secret), packed);
        for other in [format!("{secret}x"), format!("x{secret}"), secret.replacen('s', "t", 1) + "y"] {
            assert_ne!(packed, Secret::new(other.as_str()), "{secret} {other}");
        }
    }
    assert_ne!(Texts::new("n", APNS, "", "").secret(), Texts::new("n", &APNS[..62], "", "").secret());
}

#[test]
fn packed_texts_do_not_print() {
    let texts = Texts::new("a-node", "hunter2", "romeo@example.org", "hunter2");
    assert_eq!(format!("{texts:?} {:?} {:?}", texts.secret(), texts.token()), "Texts(..) Secret(..) DeviceToken(..)");
}

proptest! {
    #[test]
    fn any_texts_come_back(
        node in ".*",
        secret in "[a-f0-9]{0,70}|[a-zA-Z0-9_-]{0,70}|.*",
        owner in ".*",
        token in "[a-f0-9]{0,70}|[a-zA-Z0-9_-]{0,70}|[a-zA-Z0-9_-]{0,130}:[a-zA-Z0-9_-]{0,130}|.*",
    ) {
        check(&node, &secret, &owner, &token);
    }
}

#[test]
fn a_secret_is_the_one_that_was_packed_and_no_other() {
    let kept = "mQ7xV2sT9uKfBzR4pLwEhC-_";
    let rows = [
        (kept, true),
        ("", false),
        ("mQ7x", false),
        ("mQ7xV2sT9uKfBzR4pLwEhC-", false),
        ("mQ7xV2sT9uKfBzR4pLwEhC-_A", false),
        ("mQ7xV2sT9uKfBzR4pLwEhC-_AAAA", false),
        ("mQ7xV2sT9uKfBzR4pLwEhC+/", false),
        ("mQ7xV2sT9uKfBzR4pLwEhC-\u{1f}", false),
        ("nQ7xV2sT9uKfBzR4pLwEhC-_", false),
    ];
    let texts = Texts::new("node", kept, "owner@example.org", APNS);
    for (shown, is_it) in rows {
        assert_eq!(texts.has_secret(&Secret::new(shown)), is_it, "{shown}");
        assert_eq!(texts.secret() == Secret::new(shown), is_it, "{shown}");
        assert_eq!(Secret::new(shown) == texts.secret(), is_it, "{shown}");
    }
}

proptest! {
    /// Of every length and form, against a text that differs in one place or nowhere.
    #[test]
    fn secrets_compare_as_their_texts_do(
        kept in "[A-Za-z0-9_:-]{0,80}|[0-9a-f]{0,80}|.{0,20}", at in any::<prop::sample::Index>(), other in "[A-Za-z0-9_.:-]",
    ) {
        let texts = Texts::new("node", &kept, "owner@example.org", APNS);
        let mut shown: Vec<char> = kept.chars().collect();
        if let Some(place) = shown.get_mut(at.index(kept.len().max(1))) {
            *place = other.chars().next().unwrap();
        }
        let shown: String = shown.into_iter().collect();
        prop_assert_eq!(texts.has_secret(&Secret::new(&*shown)), shown == kept);
        prop_assert!(texts.has_secret(&Secret::new(&*kept)));
        let packed = Texts::new("", &shown, "", "").secret();
        prop_assert_eq!(texts.has_secret(&packed), shown == kept);
    }
}

#[test]
fn what_is_longer_than_any_vendor_has_comes_back_too() {
    let long = |len: usize| "x".repeat(len);
    for len in [65_515, 65_516, 65_517, 65_535, 65_536, 300_000] {
        // With 17 bytes of owner and 6 of secret, or none of these.
        check(&long(len - 6), "secret", "romeo@example.org", APNS);
        check(&long(len), "", "", "");
        check("node", &format!("{}=", long(len)), &long(len), &format!("{}+", long(len)));
    }
    let texts = Texts::new(&long(70_000), "secret", "romeo@example.org", APNS);
    let again = Texts::of(&texts.node(), &texts.secret(), &texts.owner(), &texts.token());
    assert_eq!((again.node(), again.token()), (texts.node(), texts.token()));
}
