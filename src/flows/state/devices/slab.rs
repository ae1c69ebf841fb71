//! Things by number, in chunks: growing moves none of them, and leaves nothing unused but the rest of a chunk.

/// How many things a chunk holds, as a power of two. Chunks of megabytes are mapped by themselves: what is not used of
/// one takes no memory yet, while the allocator leaves a sixteenth between small ones.
const CHUNK_BITS: u32 = 16;

/// Things that keep their numbers. A number that is free again is given out again.
#[derive(Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Vec<Option<T>>>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), len: 0 }
    }
}

impl<T> Slab<T> {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, at: u32) -> Option<&T> {
        let (chunk, place) = split(at);
        self.chunks.get(chunk)?.get(place)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        self.place(at)?.as_mut()
    }

    pub(super) fn insert(&mut self, thing: T) -> u32 {
        self.len += 1;
        if let Some(at) = self.free.pop()
            && let Some(place) = self.place(at)
        {
            *place = Some(thing);
            return at;
        }
        if self.chunks.last().is_none_or(|last| last.len() == 1 << CHUNK_BITS) {
            self.chunks.push(Vec::with_capacity(1 << CHUNK_BITS));
        }
        let before = (self.chunks.len() - 1) << CHUNK_BITS;
        let Some(last) = self.chunks.last_mut() else { return u32::MAX };
        last.push(Some(thing));
        // Four thousand million devices fit in no memory.
        u32::try_from(before + last.len() - 1).unwrap_or(u32::MAX)
    }

    pub(super) fn remove(&mut self, at: u32) -> Option<T> {
        let thing = self.place(at)?.take()?;
        self.free.push(at);
        self.len -= 1;
        Some(thing)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let places = self.chunks.iter().flatten();
        (0..).zip(places).filter_map(|(at, thing)| Some((at, thing.as_ref()?)))
    }

    fn place(&mut self, at: u32) -> Option<&mut Option<T>> {
        let (chunk, place) = split(at);
        self.chunks.get_mut(chunk)?.get_mut(place)
    }
}

const fn split(at: u32) -> (usize, usize) {
    ((at >> CHUNK_BITS) as usize, (at & ((1 << CHUNK_BITS) - 1)) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_keep_their_numbers_and_free_ones_are_given_out_again() {
        let mut slab = Slab::default();
        let numbers: Vec<u32> = (0..150_000).map(|thing| slab.insert(thing)).collect();
        assert_eq!(numbers, (0..150_000).collect::<Vec<_>>());
        assert_eq!((slab.remove(65_536), slab.remove(65_536), slab.remove(999_999)), (Some(65_536), None, None));
        assert_eq!((slab.len(), slab.get(65_536), slab.get(65_537)), (149_999, None, Some(&65_537)));
        assert_eq!(slab.iter().filter(|(at, thing)| at == *thing).count(), 149_999);
        assert_eq!(slab.insert(7), 65_536);
        *slab.get_mut(65_536).unwrap() += 1;
        assert_eq!((slab.get(65_536), slab.len()), (Some(&8), 150_000));
        assert_eq!((slab.insert(0), slab.len()), (150_000, 150_001));
    }
}
