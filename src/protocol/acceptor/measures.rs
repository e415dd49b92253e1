//! How much an acceptor holds.

use super::{Acceptor, Memory};
use crate::protocol::Measure;
use crate::protocol::watermarks::Watermarks;

impl Acceptor {
    /// How much it holds, beside how much it may.
    pub fn measures(&self) -> Vec<Measure> {
        let found = self.votes.values().map(|(_, value)| value.len()).sum();
        let mut measures = vec![
            Measure::miscount("bytes of votes, miscounted", self.bytes, found),
            Measure::new("watermarks", self.watermarks.len(), Watermarks::LIMIT),
        ];
        // The last vote stays, whatever it weighs.
        if let Memory::Recent { bytes } = self.memory
            && self.votes.len() > 1
        {
            let held = self.bytes + Self::VOTE_WEIGHT * self.votes.len();
            measures.push(Measure::new("bytes of votes in memory", held, bytes));
        }
        measures
    }
}
