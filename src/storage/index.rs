//! Where in the log the votes for an instance may lie.
//!
//! A log outgrows memory, so only its outline is kept: per block of about
//! 256 KiB the lowest and the highest instance voted for in it. A hundred
//! gigabytes of log have an outline of some twenty megabytes. Votes mostly ascend
//! by instance, so few blocks need to be read for a span.

use crate::protocol::Instance;
use crate::protocol::mutant::{Mutant, mutant};

/// A block is closed when it has come to this many bytes.
const BLOCK: u64 = 256 << 10;

/// Consecutive frames of one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Which segment.
    pub segment: u64,
    /// Where its first frame begins.
    pub from: u64,
    /// Where its last frame ends.
    pub to: u64,
    /// The lowest instance voted for.
    pub lowest: Instance,
    /// The highest instance voted for.
    pub highest: Instance,
}

/// The outline of a log.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// Ascending by lowest instance.
    closed: Vec<Entry>,
    open: Option<Block>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    block: Block,
    /// The highest instance of this block and of all before it in the list.
    reach: Instance,
}

impl Index {
    /// Takes in the next frame of the log; `instance` is what it votes for, if
    /// it is a vote.
    pub fn note(&mut self, segment: u64, from: u64, to: u64, instance: Option<Instance>) {
        if let Some(open) = &self.open
            && (open.segment != segment || open.to - open.from >= BLOCK)
        {
            let full = *open;
            self.open = None;
            self.close(full);
        }
        match (&mut self.open, instance) {
            (Some(open), instance) => {
                open.to = to;
                if let Some(instance) = instance {
                    open.lowest = open.lowest.min(instance);
                    open.highest = open.highest.max(instance);
                }
            }
            (None, Some(instance)) => {
                self.open = Some(Block {
                    segment,
                    from,
                    to,
                    lowest: instance,
                    highest: instance,
                });
            }
            (None, None) => {}
        }
    }

    /// The blocks that may hold votes for instances from `from` on, ascending by
    /// lowest instance (but the one still growing comes last). Begin with a
    /// `cursor` of 0, and stop at a block that lies too high.
    pub fn next(&self, from: Instance, cursor: &mut usize) -> Option<Block> {
        if *cursor == 0 {
            *cursor = self.closed.partition_point(|entry| entry.reach < from);
        }
        while let Some(entry) = self.closed.get(*cursor) {
            *cursor += 1;
            if entry.block.highest >= from {
                return Some(entry.block);
            }
        }
        if *cursor > self.closed.len() {
            return None;
        }
        *cursor = self.closed.len() + 1;
        self.open
            .filter(|open| open.highest >= from && !mutant(Mutant::LatestNotRead))
    }

    /// The cursor from which [`Index::next`] finds only the block still growing:
    /// all closed blocks behind one that lies too high lie too high as well.
    pub fn skip_closed(&self, cursor: usize) -> usize {
        cursor.max(self.closed.len())
    }

    /// Forgets the blocks of the segments before this one.
    pub fn drop_before(&mut self, segment: u64) {
        self.closed.retain(|entry| entry.block.segment >= segment);
        self.open = self.open.filter(|open| open.segment >= segment);
        let mut reach = Instance::ZERO;
        for entry in &mut self.closed {
            reach = reach.max(entry.block.highest);
            entry.reach = reach;
        }
    }

    fn close(&mut self, block: Block) {
        let place = self
            .closed
            .partition_point(|entry| entry.block.lowest <= block.lowest);
        let reach = block.highest;
        self.closed.insert(place, Entry { block, reach });
        let mut reach = match place {
            0 => Instance::ZERO,
            _ => self.closed[place - 1].reach,
        };
        for entry in &mut self.closed[place..] {
            reach = reach.max(entry.block.highest);
            entry.reach = reach;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(index: &Index, from: u64) -> Vec<(u64, u64)> {
        let mut cursor = 0;
        std::iter::from_fn(|| index.next(Instance(from), &mut cursor))
            .map(|block| (block.lowest.0, block.highest.0))
            .collect()
    }

    /// Each segment is a block of its own here.
    fn index(blocks: &[(u64, u64)]) -> Index {
        let mut index = Index::default();
        for (&(lowest, highest), segment) in blocks.iter().zip(1..) {
            index.note(segment, 512, 600, None);
            index.note(segment, 600, 700, Some(Instance(highest)));
            index.note(segment, 700, 800, Some(Instance(lowest)));
            index.note(segment, 800, 900, None);
        }
        index
    }

    #[test]
    fn finds_the_blocks_that_reach_far_enough() {
        let index = index(&[(1, 10), (11, 20), (15, 16), (3, 40), (21, 30), (31, 35)]);
        let all = [(1, 10), (3, 40), (11, 20), (15, 16), (21, 30), (31, 35)];
        assert_eq!(found(&index, 0), all);
        assert_eq!(found(&index, 17), [(3, 40), (11, 20), (21, 30), (31, 35)]);
        assert_eq!(found(&index, 36), [(3, 40)]);
        assert_eq!(found(&index, 41), []);
        assert_eq!(found(&Index::default(), 0), []);
    }

    #[test]
    fn the_growing_block_is_found_too() {
        let index = index(&[(5, 6)]);
        assert_eq!(found(&index, 6), [(5, 6)]);
        assert_eq!(found(&index, 7), []);
    }

    #[test]
    fn blocks_of_deleted_segments_are_not_found() {
        let mut index = index(&[(1, 10), (11, 20), (2, 40), (15, 16), (21, 30), (5, 6)]);
        index.drop_before(4);
        assert_eq!(found(&index, 0), [(15, 16), (21, 30), (5, 6)]);
        // What reached far is gone, and with it the reason to look this early.
        assert_eq!(found(&index, 17), [(21, 30)]);
        index.drop_before(6);
        assert_eq!(found(&index, 0), [(5, 6)]);
        index.drop_before(7);
        assert_eq!(found(&index, 0), []);
    }

    #[test]
    fn blocks_close_by_size() {
        let mut index = Index::default();
        for number in 0..100 {
            let (from, to) = (number * 10_000, (number + 1) * 10_000);
            index.note(1, from, to, Some(Instance(number)));
        }
        assert_eq!(index.closed.len(), 3);
        assert_eq!(index.closed[1].block.from, index.closed[0].block.to);
    }
}
