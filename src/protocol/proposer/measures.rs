//! How much a proposer holds.

use super::{Proposer, Stage};
use crate::protocol::Measure;
use crate::protocol::acceptor::Acceptor;
use crate::protocol::watermarks::Watermarks;

impl Proposer {
    /// How much it holds, beside how much it may.
    pub fn measures(&self) -> Vec<Measure> {
        let mut measures = vec![
            Measure::new("buffers announced", self.buffers.len(), Self::MAX_BUFFERS),
            Measure::new("watermarks", self.watermarks.len(), Watermarks::LIMIT),
        ];
        measures.extend(self.submissions.measures());
        // What phase 1 finds lies no further ahead than acceptors let anyone
        // propose; one batch more than the window may wait to be sent.
        let window = self.settings.window as usize + 1;
        let found = Acceptor::MAX_AHEAD as usize;
        match &self.stage {
            Stage::Follower => {}
            Stage::Candidate(candidate) => {
                let votes = candidate.recovery.votes();
                measures.push(Measure::new("votes reported", votes, found));
            }
            Stage::Leader(leader) => {
                let most = found + window;
                measures.push(Measure::new("open instances", leader.open(), most));
                measures.extend(leader.measures(window));
            }
        }
        measures
    }
}
