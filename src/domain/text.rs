//! Texts that share a block of memory: a million devices have four million of them, and an allocation each would cost
//! more than what they say.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;
use triomphe::ThinArc;

use super::ids::{Account, Node};
use super::secret::{DeviceToken, Secret};

/// Bytes that are shared, behind a pointer that is no wider than any: std's would carry their number, in each of a million
/// devices and in all that names one.
#[derive(Clone)]
struct Block(ThinArc<(), u8>);

impl Block {
    fn new(bytes: &[u8]) -> Self {
        Self(ThinArc::from_header_and_slice((), bytes))
    }

    /// So many bytes, written by `fill` into zeroes.
    fn filled(len: usize, fill: impl FnOnce(&mut [u8])) -> Self {
        let mut block = ThinArc::from_header_and_iter((), std::iter::repeat_n(0, len));
        block.with_arc_mut(|block| triomphe::Arc::get_mut(block).map(|block| fill(block.slice_mut())));
        Self(block)
    }

    /// Whether both are the same memory.
    fn is(&self, other: &Self) -> bool {
        std::ptr::eq(&raw const self.0.slice, &raw const other.0.slice)
    }
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0.slice
    }
}

/// Some bytes of a block. A clone takes no memory, and keeps the whole block.
#[derive(Clone)]
pub(super) struct Piece {
    block: Block,
    start: u32,
    end: u32,
}

impl Piece {
    /// A block of its own. What is beyond 4 GiB is cut off; no stanza is nearly that long.
    pub(super) fn whole(text: &str) -> Self {
        Self { block: Block::new(text.as_bytes()), start: 0, end: short(text.len()) }
    }

    fn bytes(&self) -> &[u8] {
        self.block.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// The text, of a piece that is one.
    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(self.bytes()).unwrap_or_default()
    }
}

impl PartialEq for Piece {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Piece {}

impl PartialOrd for Piece {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// As texts are ordered: UTF-8 keeps the order of characters.
impl Ord for Piece {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.bytes().cmp(other.bytes())
    }
}

impl Hash for Piece {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes().hash(state);
    }
}

/// How a text lies in its piece. Each gives back the very text that was put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// As it is.
    Plain,
    /// Hex digits, lower-case, two a byte: what APNs' tokens are.
    Hex,
    /// base64url without padding (RFC 4648 §5), four characters for three bytes: what our secrets are.
    Base64,
    /// base64url of any length around one colon, six bits a character: what FCM's tokens are. First comes where the colon
    /// is, then how many characters there are in all.
    Colon,
}

/// Shorter than this, a text is not worth packing.
const LEAST: usize = 16;

impl Form {
    /// The shortest form of this text, and how many bytes it takes so.
    fn of(text: &str) -> (Self, usize) {
        let len = text.len();
        if len < LEAST {
            return (Self::Plain, len);
        }
        let (mut all, mut colons) = (HEX | SIX, 0);
        for byte in text.bytes() {
            let class = CLASSES.get(usize::from(byte)).copied().unwrap_or_default();
            all &= class;
            colons += usize::from(class & COLON_ITSELF != 0);
        }
        match colons {
            0 if all & HEX != 0 && len.is_multiple_of(2) => (Self::Hex, len / 2),
            // Whole groups only: the last characters of others have bits that nothing gives back.
            0 if all & SIX != 0 && len.is_multiple_of(4) => (Self::Base64, len / 4 * 3),
            1 if all & SIX != 0 && u8::try_from(len).is_ok() => (Self::Colon, 2 + (6 * (len - 1)).div_ceil(8)),
            _ => (Self::Plain, len),
        }
    }

    /// Packs a text into as many bytes as it takes.
    fn pack(self, text: &str, into: &mut [u8]) {
        match self {
            Self::Plain => into.copy_from_slice(text.as_bytes()),
            Self::Hex => {
                for (byte, pair) in into.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
                    *byte = pair.iter().fold(0, |byte, digit| byte << 4 | nibble(*digit));
                }
            }
            Self::Base64 => {
                let packed = BASE64_URL_SAFE_NO_PAD.decode_slice(text, into);
                debug_assert_eq!(packed.ok(), Some(text.len() / 4 * 3));
            }
            Self::Colon => {
                let Some((before, after)) = text.split_once(':') else { return };
                let Some((about, packed)) = into.split_first_chunk_mut() else { return };
                *about = [before.len(), text.len()].map(|number| u8::try_from(number).unwrap_or_default());
                // Whole groups; the last one is filled with what is no bit at all.
                let mut whole = String::with_capacity(text.len() + 3);
                whole.extend([before, after]);
                whole.extend(std::iter::repeat_n('A', (4 - whole.len() % 4) % 4));
                let mut bytes = [0; COLON];
                let decoded = BASE64_URL_SAFE_NO_PAD.decode_slice(whole, &mut bytes);
                debug_assert!(decoded.is_ok(), "only base64url is packed so");
                for (to, from) in packed.iter_mut().zip(bytes) {
                    *to = from;
                }
            }
        }
    }
}

/// What a byte can be part of: lower-case hexadecimal, base64url; a colon is told apart, and spoils neither.
const HEX: u8 = 1;
const SIX: u8 = 2;
const COLON_ITSELF: u8 = 4;

/// That of each byte.
const CLASSES: [u8; 256] = classes();

#[expect(clippy::indexing_slicing, reason = "evaluated when it is compiled")]
const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < classes.len() {
        classes[byte] = match byte as u8 {
            b'0'..=b'9' | b'a'..=b'f' => HEX | SIX,
            b'g'..=b'z' | b'A'..=b'Z' | b'-' | b'_' => SIX,
            b':' => HEX | SIX | COLON_ITSELF,
            _ => 0,
        };
        byte += 1;
    }
    classes
}

/// As many bytes as the longest text around a colon takes.
const COLON: usize = 192;

/// The text that lies in these bytes.
fn text(form: Form, bytes: &[u8]) -> Cow<'_, str> {
    match form {
        Form::Plain => Cow::Borrowed(std::str::from_utf8(bytes).unwrap_or_default()),
        Form::Hex => Cow::Owned(hex(bytes)),
        Form::Base64 => Cow::Owned(BASE64_URL_SAFE_NO_PAD.encode(bytes)),
        Form::Colon => Cow::Owned(around_colon(bytes)),
    }
}

/// The text around a colon.
fn around_colon(packed: &[u8]) -> String {
    let Some((&[colon, len], packed)) = packed.split_first_chunk() else { return String::new() };
    let mut bytes = [0; COLON];
    for (to, from) in bytes.iter_mut().zip(packed) {
        *to = *from;
    }
    let mut text = String::with_capacity(usize::from(len) + 4);
    BASE64_URL_SAFE_NO_PAD.encode_string(bytes.get(..packed.len().next_multiple_of(3)).unwrap_or_default(), &mut text);
    text.truncate(usize::from(len).saturating_sub(1));
    text.insert(usize::from(colon).min(text.len()), ':');
    text
}

const fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit.wrapping_sub(b'a').wrapping_add(10) & 15,
    }
}

/// A text that nobody needs often, in its shortest form.
#[derive(Clone)]
pub(super) struct Packed {
    piece: Piece,
    form: Form,
}

impl Packed {
    /// As it is, in a block of its own.
    pub(super) fn plain(text: &str) -> Self {
        Self { piece: Piece::whole(text), form: Form::Plain }
    }

    /// The text.
    pub(super) fn text(&self) -> Cow<'_, str> {
        text(self.form, self.piece.bytes())
    }

    /// Whether it is the same text. Every byte is looked at wherever they differ: how long that takes depends on the lengths
    /// and the forms.
    pub(super) fn is(&self, other: &Self) -> bool {
        is_same((self.form, self.piece.bytes()), (other.form, other.piece.bytes()))
    }
}

/// Whether two texts in these forms are the same.
fn is_same((form, bytes): (Form, &[u8]), (other_form, other): (Form, &[u8])) -> bool {
    match (form, other_form) {
        _ if form == other_form => are_equal(bytes, other),
        // Secrets of our own against what a publish shows.
        (Form::Base64, Form::Plain) => is_packed(bytes, other),
        (Form::Plain, Form::Base64) => is_packed(other, bytes),
        _ => are_equal(text(form, bytes).as_bytes(), text(other_form, other).as_bytes()),
    }
}

/// Whether a plain text is what these bytes stand for, as base64url of whole groups. Each group is looked at, wherever
/// they differ.
fn is_packed(bytes: &[u8], plain: &[u8]) -> bool {
    let groups = bytes.chunks_exact(3).zip(plain.chunks_exact(4));
    let differ = groups.fold(0, |all, (three, four)| {
        let bits = three.iter().fold(0, |bits, byte| bits << 8 | usize::from(*byte));
        let digits = [18, 12, 6, 0].map(|shift| BASE64_DIGITS.get((bits >> shift) & 63).copied().unwrap_or_default());
        four.iter().zip(digits).fold(all, |all, (shown, digit)| all | (shown ^ digit))
    });
    plain.len() == bytes.len() / 3 * 4 && differ.ct_eq(&0).into()
}

/// RFC 4648, section 5.
const BASE64_DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Compares all of them, wherever they differ.
fn are_equal(bytes: &[u8], other: &[u8]) -> bool {
    let ((words, rest), (other_words, other_rest)) = (bytes.as_chunks(), other.as_chunks());
    let words = words.iter().zip(other_words);
    let words = words.fold(0, |all, (this, that)| all | (u64::from_le_bytes(*this) ^ u64::from_le_bytes(*that)));
    let rest = rest.iter().zip(other_rest).fold(0, |all, (this, that)| all | (this ^ that));
    bytes.len() == other.len() && (words | u64::from(rest)).ct_eq(&0).into()
}

impl Hash for Packed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text().hash(state);
    }
}

impl DeviceToken {
    /// The same token in its shortest form.
    #[must_use]
    pub fn packed(&self) -> Self {
        Texts::new("", "", "", &self.reveal()).token()
    }
}

/// The digits of these bytes, lower-case.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = Vec::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.extend_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 15)]);
    }
    String::from_utf8(text).unwrap_or_default()
}

/// The lower-case digit of a number below 16.
#[must_use]
pub const fn hex_digit(half: u8) -> u8 {
    if half < 10 { b'0' + half } else { b'a' + half - 10 }
}

/// A device's texts in one block, each in its shortest form.
#[derive(Clone)]
pub struct Texts {
    block: Block,
    /// Where node, secret and owner end; the token is the rest. [`LONG`] if that is further than 16 bits reach.
    ends: [u16; 3],
    secret: Form,
    token: Form,
}

/// The ends are in the block, before the texts: no vendor's are that long.
const LONG: [u16; 3] = [u16::MAX; 3];

/// What they take there, three times 32 bits.
const HEAD: usize = 12;

impl Texts {
    /// Packs them.
    #[must_use]
    pub fn new(node: &str, secret: &str, owner: &str, token: &str) -> Self {
        let (secret_form, secret_len) = Form::of(secret);
        let (token_form, token_len) = Form::of(token);
        let lengths = [node.len(), secret_len, owner.len()];
        let is_long = lengths.iter().sum::<usize>() >= usize::from(u16::MAX);
        let head = if is_long { HEAD } else { 0 };
        let mut end = head;
        let ends = lengths.map(|len| {
            end += len;
            end
        });
        let block = Block::filled(end + token_len, |bytes| {
            let (head, bytes) = bytes.split_at_mut(head);
            for (into, end) in head.as_chunks_mut().0.iter_mut().zip(ends) {
                *into = short(end).to_le_bytes();
            }
            let (into_node, bytes) = bytes.split_at_mut(node.len());
            let (into_secret, bytes) = bytes.split_at_mut(secret_len);
            let (into_owner, into_token) = bytes.split_at_mut(owner.len());
            Form::Plain.pack(node, into_node);
            secret_form.pack(secret, into_secret);
            Form::Plain.pack(owner, into_owner);
            token_form.pack(token, into_token);
        });
        let ends = if is_long { LONG } else { ends.map(|end| u16::try_from(end).unwrap_or(u16::MAX)) };
        Self { block, ends, secret: secret_form, token: token_form }
    }

    /// Those of a device, whose block is used again if it is one of these.
    #[must_use]
    pub fn of(node: &Node, secret: &Secret, owner: &Account, token: &DeviceToken) -> Self {
        let (Packed { piece: secret_piece, form: secret_form }, Packed { piece: token_piece, form: token_form }) =
            (&secret.0, &token.0);
        let node_piece = node.piece();
        let pieces = [node_piece, secret_piece, &owner.0, token_piece];
        let one = pieces.iter().all(|piece| piece.block.is(&node_piece.block));
        let whole = node_piece.start == 0 && token_piece.end as usize == node_piece.block.len();
        let adjoin = pieces.windows(2).all(|two| matches!(two, [a, b] if a.end == b.start));
        let ends = [node_piece.end, secret_piece.end, owner.0.end].map(|end| u16::try_from(end).unwrap_or(u16::MAX));
        if one && whole && adjoin && ends.iter().all(|end| *end < u16::MAX) {
            return Self { block: node_piece.block.clone(), ends, secret: *secret_form, token: *token_form };
        }
        Self::new(node.as_str(), &secret.reveal(), owner.as_str(), &token.reveal())
    }

    /// Where the node begins, and where node, secret and owner end.
    fn places(&self) -> [u32; 4] {
        let [mut node, mut secret, mut owner] = self.ends.map(u32::from);
        let mut start = 0;
        if self.ends == LONG {
            start = short(HEAD);
            for (end, kept) in [&mut node, &mut secret, &mut owner].into_iter().zip(self.block.as_chunks().0) {
                *end = u32::from_le_bytes(*kept);
            }
        }
        [start, node, secret, owner]
    }

    fn piece(&self, start: u32, end: u32) -> Piece {
        Piece { block: self.block.clone(), start, end }
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> Node {
        let [start, node, ..] = self.places();
        Node::of(self.piece(start, node))
    }

    /// The secret.
    #[must_use]
    pub fn secret(&self) -> Secret {
        let [_, node, secret, _] = self.places();
        Secret(Packed { piece: self.piece(node, secret), form: self.secret })
    }

    /// The owner.
    #[must_use]
    pub fn owner(&self) -> Account {
        let [.., secret, owner] = self.places();
        Account(self.piece(secret, owner))
    }

    /// The token.
    #[must_use]
    pub fn token(&self) -> DeviceToken {
        let [.., owner] = self.places();
        DeviceToken(Packed { piece: self.piece(owner, short(self.block.len())), form: self.token })
    }

    /// Whether this is its secret: as secrets compare.
    #[must_use]
    pub fn has_secret(&self, shown: &Secret) -> bool {
        let [_, node, secret, _] = self.places();
        let bytes = self.block.get(node as usize..secret as usize).unwrap_or_default();
        is_same((self.secret, bytes), (shown.0.form, shown.0.piece.bytes()))
    }

    /// Whether this is its node.
    #[must_use]
    pub fn is_of(&self, node: &Node) -> bool {
        let [begin, own, ..] = self.places();
        let Piece { block, start, end } = node.piece();
        // Mostly it is a piece of this very block.
        (block.is(&self.block) && (*start, *end) == (begin, own)) || self.node_bytes() == node.piece().bytes()
    }

    /// Whether this is its owner.
    #[must_use]
    pub fn is_owned_by(&self, owner: &Account) -> bool {
        self.owner_bytes() == owner.0.bytes()
    }

    /// Whether both have the same owner.
    #[must_use]
    pub fn has_owner_of(&self, other: &Self) -> bool {
        self.owner_bytes() == other.owner_bytes()
    }

    /// Hashes its node as a [`Node`] does.
    pub fn hash_node<H: Hasher>(&self, state: &mut H) {
        self.node_bytes().hash(state);
    }

    /// Hashes its owner as an [`Account`] does.
    pub fn hash_owner<H: Hasher>(&self, state: &mut H) {
        self.owner_bytes().hash(state);
    }

    fn node_bytes(&self) -> &[u8] {
        let [start, node, ..] = self.places();
        self.block.get(start as usize..node as usize).unwrap_or_default()
    }

    fn owner_bytes(&self) -> &[u8] {
        let [.., secret, owner] = self.places();
        self.block.get(secret as usize..owner as usize).unwrap_or_default()
    }
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Texts(..)")
    }
}

fn short(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
