//! How much a learner holds.

use super::Learner;
use super::tally::Tally;
use crate::protocol::watermarks::Watermarks;
use crate::protocol::{Measure, Sessions, Settings};

impl Learner {
    /// How much it holds, beside how much it may.
    pub fn measures(&self) -> Vec<Measure> {
        let found = self.tallies.iter().map(Tally::bytes).sum();
        let proposals = self.tallies.iter().map(|tally| tally.proposals.len());
        let votes = self.tallies.iter().map(|tally| tally.votes.len());
        // The next instance is taken in even when there is no room left.
        let next = Tally::MAX_BALLOTS * self.settings.datagram;
        let mut measures = vec![
            Measure::miscount("bytes ahead, miscounted", self.held, found),
            Measure::new("bytes ahead", self.held, Self::MAX_HELD + next),
            Measure::new("instances ahead", self.tallies.len(), Self::MAX_AHEAD),
            Measure::new(
                "proposals of one instance",
                proposals.max().unwrap_or(0),
                Tally::MAX_BALLOTS,
            ),
            Measure::new(
                "ballots voted in for one instance",
                votes.max().unwrap_or(0),
                Tally::MAX_BALLOTS,
            ),
            Measure::new("watermarks", self.watermarks.len(), Watermarks::LIMIT),
            Measure::new("elders", self.following.elders(), Settings::SPEAKERS),
            Measure::new("sessions", self.sessions.len(), self.settings.sessions),
            Measure::new(
                "bytes of unfinished values",
                self.sessions.unfinished(),
                Sessions::MAX_UNFINISHED,
            ),
        ];
        measures.extend(self.acknowledging.measures());
        measures
    }
}
