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

/// Blocks that left with a datagram, the one that left first in front.
#[derive(Debug, Default)]
pub struct Blocks(VecDeque<Bytes>);

impl Blocks {
    /// Bytes of a block: one more than the largest datagram has, so that one
    /// that does not fit would show.
    pub const SIZE: usize = Interface::MAX_DATAGRAM + 1;

    /// A datagram from this length on leaves with its block.
    pub const LARGE: usize = Self::SIZE / 2;

    /// How many blocks are remembered: what a process holds at most of memory
    /// that it does not use, 4 MiB. One whose datagrams are all kept for longer
    /// than that many of them take has to fetch memory for each anyway.
    const MOST: usize = 64;

    /// A block to receive into: the one that left first, if it has come back.
    pub fn block(&mut self) -> BytesMut {
        let oldest = self.0.pop_front().map(Bytes::try_into_mut);
        match oldest {
            Some(Ok(block)) => block,
            Some(Err(lent)) => {
                self.0.push_front(lent);
                BytesMut::zeroed(Self::SIZE)
            }
            None => BytesMut::zeroed(Self::SIZE),
        }
    }

    /// Lets the first `length` bytes leave with their block.
    pub fn lend(&mut self, block: BytesMut, length: usize) -> Bytes {
        let block = block.freeze();
        let datagram = block.slice(..length);
        if self.0.len() == Self::MOST {
            self.0.pop_front();
        }
        self.0.push_back(block);
        datagram
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
    fn only_so_many_are_remembered() {
        let mut blocks = Blocks::default();
        let mut kept = Vec::new();
        for _ in 0..3 * Blocks::MOST {
            let block = blocks.block();
            kept.push(blocks.lend(block, Blocks::LARGE));
        }
        assert_eq!(blocks.0.len(), Blocks::MOST);
        let last = kept[2 * Blocks::MOST].as_ptr();
        kept.clear();
        assert_eq!(blocks.block().as_ptr(), last, "those that left last");
    }
}
