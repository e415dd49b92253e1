//! Memory that datagrams are received into, used again and again.
//!
//! A large datagram leaves with the memory it was received into; a small one is
//! copied out, because a few bytes that are kept for long would otherwise keep a
//! whole block with them. Fresh memory for each large datagram is dear: the
//! kernel clears every page of it at the first touch. So the blocks that left
//! are remembered, and one that nobody looks at any more is used again.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::interface::Interface;

/// Blocks that left with a datagram.
#[derive(Debug)]
pub struct Blocks {
    /// The one that left first in front.
    lent: VecDeque<Bytes>,
    /// How many are remembered.
    most: usize,
}

impl Blocks {
    /// Bytes of a block: one more than the largest datagram has, so that one
    /// that does not fit would show.
    pub const SIZE: usize = Interface::MAX_DATAGRAM + 1;

    /// A datagram from this length on leaves with its block.
    pub const LARGE: usize = Self::SIZE / 2;

    /// How many blocks are remembered where datagrams are not kept, and on top of
    /// those that are: what a process holds at most of memory that it does not
    /// use, 4 MiB.
    const SPARE: usize = 64;

    /// For a process that keeps so many bytes of the datagrams it received, those
    /// that came first for the shortest. A block comes back behind all that were
    /// kept meanwhile, so as many must be remembered.
    pub fn keep(&mut self, bytes: usize) {
        self.most = Self::SPARE + bytes / Self::LARGE;
    }

    /// A block to receive into: the one that left first, if it has come back.
    pub fn block(&mut self) -> BytesMut {
        let oldest = self.lent.pop_front().map(Bytes::try_into_mut);
        match oldest {
            Some(Ok(block)) => block,
            Some(Err(lent)) => {
                self.lent.push_front(lent);
                BytesMut::zeroed(Self::SIZE)
            }
            None => BytesMut::zeroed(Self::SIZE),
        }
    }

    /// Lets the first `length` bytes leave with their block.
    pub fn lend(&mut self, block: BytesMut, length: usize) -> Bytes {
        let block = block.freeze();
        let datagram = block.slice(..length);
        if self.lent.len() >= self.most {
            self.lent.pop_front();
        }
        self.lent.push_back(block);
        datagram
    }
}

impl Default for Blocks {
    fn default() -> Blocks {
        Blocks {
            lent: VecDeque::new(),
            most: Self::SPARE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_used_again_when_nobody_looks_at_it() {
        let mut blocks = Blocks::default();
        let mut block = blocks.block();
        block[..3].copy_from_slice(b"abc");
        let place = block.as_ptr();
        let datagram = blocks.lend(block, 3);
        assert_eq!(datagram.as_ptr(), place, "it was not copied");
        let kept = datagram.slice(1..2);
        drop(datagram);
        let other = blocks.block();
        assert_ne!(other.as_ptr(), place, "a part of the first is still held");
        assert_eq!(&kept[..], b"b");
        drop(kept);
        let again = blocks.block();
        assert_eq!(again.as_ptr(), place);
        assert_eq!(again.len(), Blocks::SIZE, "all of it");
    }

    #[test]
    fn blocks_come_back_to_a_process_that_keeps_some() {
        let mut blocks = Blocks::default();
        blocks.keep(200 * Blocks::LARGE);
        let mut kept = VecDeque::new();
        let mut places = std::collections::BTreeSet::new();
        for _ in 0..1000 {
            let block = blocks.block();
            places.insert(block.as_ptr());
            kept.push_back(blocks.lend(block, Blocks::LARGE));
            if kept.len() > 200 {
                kept.pop_front();
            }
        }
        assert_eq!(places.len(), 201);
    }

    #[test]
    fn only_so_many_are_remembered() {
        let mut blocks = Blocks::default();
        let mut kept = Vec::new();
        for _ in 0..3 * Blocks::SPARE {
            let block = blocks.block();
            kept.push(blocks.lend(block, Blocks::LARGE));
        }
        assert_eq!(blocks.lent.len(), Blocks::SPARE);
        let last = kept[2 * Blocks::SPARE].as_ptr();
        kept.clear();
        assert_eq!(blocks.block().as_ptr(), last, "those that left last");
    }
}
