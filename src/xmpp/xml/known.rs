//! Start tags that were read before. A host writes the same ones again and again: of 18 in a publish, 16 are the same in
//! each that its software sends. What stands there byte for byte as it stood before means what it meant, but for what is in
//! force around it; so it is not taken apart again (docs/performance.md has what that saves).

use super::{IN_MADE, Named, Span};

/// The longest tag that is remembered, in bytes: those with ids and addresses in them do not come again.
const LONGEST: usize = 64;
/// How many attributes it may have, but for its default namespace.
const MOST: usize = 3;
/// How many tags are remembered: one for each place in a stanza, in each of the shapes that hosts give it.
const PLACES: usize = 64;
const SHAPES: usize = 4;

/// The tags that came last. Takes no memory before there is one.
#[derive(Debug, Default)]
pub(super) struct Known {
    slots: Vec<KnownTag>,
}

/// A start tag without prefixes, and without anything that is not meant as it is written. Its parts are counted from its
/// beginning.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownTag {
    text: [u8; LONGEST],
    pub(super) length: usize,
    pub(super) name: Span,
    attributes: [Named; MOST],
    count: usize,
    /// The default namespace that it declares, if it does.
    pub(super) default: Option<Span>,
    pub(super) empty: bool,
}

const EMPTY: Span = Span { at: 0, len: 0 };
const NONE: KnownTag = KnownTag {
    text: [0; LONGEST],
    length: 0,
    name: EMPTY,
    attributes: [Named { namespace: EMPTY, name: EMPTY, value: EMPTY }; MOST],
    count: 0,
    default: None,
    empty: false,
};

impl Known {
    /// The tag that stands there, the next after so many nodes, if it was read before.
    #[inline(always)]
    pub(super) fn find(&self, bytes: &[u8], from: usize, nodes: usize) -> Option<&KnownTag> {
        let known = self.slots.get(slot(bytes, from, nodes)?)?;
        let text = known.text.get(..known.length).filter(|text| !text.is_empty())?;
        (bytes.get(from..from + known.length)? == text).then_some(known)
    }

    /// Remembers the tag that stands there, if it is one of those that come again.
    pub(super) fn remember(
        &mut self,
        bytes: &[u8],
        (from, to): (usize, usize),
        nodes: usize,
        name: Span,
        attributes: &[Named],
        default: Option<Span>,
    ) {
        let plain = |span: Span| span.at & IN_MADE == 0;
        let (Some(text), Some(slot)) = (bytes.get(from..to), slot(bytes, from, nodes)) else { return };
        if text.len() > LONGEST
            || attributes.len() > MOST
            || !attributes.iter().map(|named| named.value).chain(default).all(plain)
        {
            return;
        }
        let mut tag = KnownTag { length: text.len(), count: attributes.len(), empty: text.ends_with(b"/>"), ..NONE };
        let back = |span: Span| Span { at: span.at - super::small(from), len: span.len };
        (tag.name, tag.default) = (back(name), default.map(back));
        for (to, from) in tag.text.iter_mut().zip(text) {
            *to = *from;
        }
        for (to, from) in tag.attributes.iter_mut().zip(attributes) {
            *to = Named { namespace: EMPTY, name: back(from.name), value: back(from.value) };
        }
        if self.slots.is_empty() {
            self.slots = vec![NONE; PLACES * SHAPES];
        }
        if let Some(known) = self.slots.get_mut(slot) {
            *known = tag;
        }
    }
}

impl KnownTag {
    /// Its attributes, where it stands now.
    #[inline(always)]
    pub(super) fn attributes(&self, from: u32) -> impl Iterator<Item = Named> {
        self.attributes.get(..self.count).unwrap_or_default().iter().map(move |named| Named {
            namespace: EMPTY,
            name: named.name.after(from),
            value: named.value.after(from),
        })
    }
}

/// Where it is remembered.
#[inline(always)]
fn slot(bytes: &[u8], from: usize, nodes: usize) -> Option<usize> {
    // What is behind the name, or most of it, and differs from host to host.
    let beginning = bytes.get(from + 5..)?.first_chunk()?;
    let mixed = u64::from_le_bytes(*beginning).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 62;
    Some(nodes % PLACES * SHAPES + mixed as usize)
}
