//! Reading votes back from a log that is larger than memory.
//!
//! The votes of a few blocks stay decoded: whoever asks for one span after the
//! other, a page at a time, reads each block once and not once a page.

use std::collections::{BTreeMap, VecDeque};

use super::frame::{self, Header};
use super::index::{Block, Index};
use super::{Disk, StorageError, entry, segment};
use crate::protocol::mutant::{Mutant, mutant};
use crate::protocol::{Found, Instance, Lookup, Record, Span, Vote};

/// How many blocks stay decoded.
const KEPT_BLOCKS: usize = 8;

/// How many votes an answer has at most: no-ops count no bytes.
const MOST_VOTES: usize = 4096;

/// Answers lookups.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Most recently used last.
    blocks: VecDeque<Decoded>,
}

/// The newest vote for each instance in a block, ascending by instance.
#[derive(Debug)]
struct Decoded {
    block: Block,
    votes: Vec<Vote>,
}

impl Reader {
    /// The newest vote for every instance asked for. `unwritten` are the votes
    /// behind the end of the index, oldest first.
    pub fn lookup<'a>(
        &mut self,
        disk: &mut impl Disk,
        store: u64,
        index: &Index,
        unwritten: impl Iterator<Item = &'a Vote>,
        lookup: Lookup,
    ) -> Result<Found, StorageError> {
        let mut answer = Answer::new(lookup.bytes);
        for (vote, age) in unwritten.zip(0..) {
            let asked = |span: &Span| span.from <= vote.instance && vote.instance <= span.through;
            if lookup.spans.iter().any(asked) && !mutant(Mutant::LatestNotRead) {
                answer.insert((u64::MAX, age), vote);
            }
        }
        for span in &lookup.spans {
            let mut cursor = 0;
            while let Some(block) = index.next(span.from, &mut cursor) {
                let through = span.through.min(answer.limit);
                if block.lowest > through {
                    // The growing block, if it is not this one, comes last and may lie lower.
                    cursor = index.skip_closed(cursor);
                    continue;
                }
                let decoded = self.block(disk, store, block)?;
                let first = decoded
                    .votes
                    .partition_point(|vote| vote.instance < span.from);
                for vote in &decoded.votes[first..] {
                    if vote.instance > through.min(answer.limit) {
                        break;
                    }
                    answer.insert((block.segment, block.from), vote);
                }
            }
        }
        let last = lookup.spans.last().map(|span| span.through);
        Ok(Found {
            lookup,
            through: last.unwrap_or_default().min(answer.limit),
            votes: answer.votes.into_values().map(|(_, vote)| vote).collect(),
        })
    }

    /// Lets go of the votes of the segments before this one.
    pub fn drop_before(&mut self, segment: u64) {
        self.blocks.retain(|kept| kept.block.segment >= segment);
    }

    /// The votes of a block, from memory or from the disk.
    fn block(
        &mut self,
        disk: &mut impl Disk,
        store: u64,
        block: Block,
    ) -> Result<&Decoded, StorageError> {
        let decoded = match self.blocks.iter().position(|kept| kept.block == block) {
            Some(place) => self.blocks.remove(place).expect("just found"),
            None => {
                // An earlier stage of the same block, when it grows.
                self.blocks.retain(|kept| {
                    (kept.block.segment, kept.block.from) != (block.segment, block.from)
                });
                if self.blocks.len() >= KEPT_BLOCKS {
                    self.blocks.pop_front();
                }
                Decoded::read(disk, store, block)?
            }
        };
        self.blocks.push_back(decoded);
        Ok(self.blocks.back().expect("just put there"))
    }
}

impl Decoded {
    fn read(disk: &mut impl Disk, store: u64, block: Block) -> Result<Decoded, StorageError> {
        let name = segment::file_name(block.segment);
        let mut bytes = vec![0; (block.to - block.from) as usize];
        disk.read_at(&name, block.from, &mut bytes)
            .map_err(|error| StorageError::from_io(disk, "read", &name, error))?;
        let mut votes = BTreeMap::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let Some((record, length)) = read_record(store, rest) else {
                let offset = block.to - rest.len() as u64;
                let reason = "a record that was intact when it was written or last read is not";
                return Err(StorageError::damaged(disk, &name, offset, reason));
            };
            if let Record::Voted { vote } = record
                && !(mutant(Mutant::OldVoteRead) && votes.contains_key(&vote.instance))
            {
                votes.insert(vote.instance, vote);
            }
            rest = &rest[length..];
        }
        Ok(Decoded {
            block,
            votes: votes.into_values().collect(),
        })
    }
}

/// The record at the front of `bytes` and the length of its frame.
fn read_record(store: u64, bytes: &[u8]) -> Option<(Record, usize)> {
    let header = Header::read(store, bytes)?;
    let (record, _) = entry::decode(&header.body(store, bytes)?)?;
    Some((record, frame::frame_length(header.length as usize)))
}

/// An answer in the making. It never holds more than it may say: what is too
/// much is dropped from the top, and nothing above that is taken any more.
struct Answer {
    votes: BTreeMap<Instance, ((u64, u64), Vote)>,
    bytes: usize,
    most_bytes: usize,
    /// Complete answers are possible up to here.
    limit: Instance,
}

impl Answer {
    fn new(most_bytes: usize) -> Answer {
        Answer {
            votes: BTreeMap::new(),
            bytes: 0,
            most_bytes,
            limit: Instance(u64::MAX),
        }
    }

    /// Takes a vote in unless it lies too high or there is one from later in the log.
    fn insert(&mut self, place: (u64, u64), vote: &Vote) {
        if vote.instance > self.limit {
            return;
        }
        if let Some((there, older)) = self.votes.get(&vote.instance) {
            if (*there > place) != mutant(Mutant::OldVoteRead) {
                return;
            }
            self.bytes -= older.value.len();
        }
        self.bytes += vote.value.len();
        self.votes.insert(vote.instance, (place, vote.clone()));
        while self.votes.len() > 1
            && (self.bytes > self.most_bytes || self.votes.len() > MOST_VOTES)
        {
            let (instance, (_, dropped)) = self.votes.pop_last().expect("more than one");
            self.bytes -= dropped.value.len();
            self.limit = instance.previous();
        }
    }
}
