//! How much an acceptor holds.

use super::{Acceptor, Memory};
use crate::protocol::watermarks::Watermarks;
use crate::protocol::{Instance, Measure};

impl Acceptor {
    /// How much it holds, beside how much it may.
    pub fn measures(&self) -> Vec<Measure> {
        let found = self.votes.values().map(|(_, value)| value.len()).sum();
        let mut measures = vec![
            Measure::miscount("bytes of votes, miscounted", self.bytes, found),
            Measure::new("watermarks", self.watermarks.len(), Watermarks::LIMIT),
        ];
        // The last vote stays, whatever it weighs; without a disk, so does every
        // vote that may be undecided.
        let (bytes, decided) = match self.memory {
            Memory::Recent { bytes } => (bytes, Instance(u64::MAX)),
            Memory::Volatile { bytes } => (bytes, self.watermarks.highest().through),
        };
        let old = self.votes.range(..=decided).count();
        if self.votes.len() > 1 && old > 0 {
            let held = self.bytes + Self::VOTE_WEIGHT * self.votes.len();
            measures.push(Measure::new("bytes of votes in memory", held, bytes));
        }
        measures
    }
}
