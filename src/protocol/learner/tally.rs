//! The tally of one instance: what was proposed, and who voted for it.

use bytes::Bytes;

use crate::protocol::mutant::{Mutant, mutant};
use crate::protocol::{AcceptorSet, Ballot};

/// What is known of one instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Tally {
    /// The proposals heard, by ballot; values of one ballot are all the same.
    pub(super) proposals: Vec<(Ballot, Bytes)>,
    /// Who voted in which ballot.
    pub(super) votes: Vec<(Ballot, AcceptorSet)>,
}

impl Tally {
    /// Of how many ballots something is remembered. The decided ballot is among
    /// the highest; what is dropped can be asked for again.
    pub(super) const MAX_BALLOTS: usize = 8;

    /// Who voted in this ballot.
    pub(super) fn voters(&mut self, ballot: Ballot) -> &mut AcceptorSet {
        let together = mutant(Mutant::VotesAcrossBallots);
        let same = |(known, _): &(Ballot, AcceptorSet)| *known == ballot || together;
        let index = match self.votes.iter().position(same) {
            Some(index) => index,
            None => {
                if self.votes.len() == Self::MAX_BALLOTS {
                    let lowest = self.lowest(|tally| &tally.votes);
                    self.votes.remove(lowest);
                }
                self.votes.push((ballot, AcceptorSet::EMPTY));
                self.votes.len() - 1
            }
        };
        &mut self.votes[index].1
    }

    /// Drops the proposal of the lowest ballot; returns its bytes.
    pub(super) fn drop_lowest_proposal(&mut self) -> usize {
        let lowest = self.lowest(|tally| &tally.proposals);
        self.proposals.remove(lowest).1.len()
    }

    fn lowest<T>(&self, list: impl Fn(&Tally) -> &Vec<(Ballot, T)>) -> usize {
        list(self)
            .iter()
            .enumerate()
            .min_by_key(|(_, (ballot, _))| *ballot)
            .map_or(0, |(index, _)| index)
    }

    /// Bytes of all proposals.
    pub(super) fn bytes(&self) -> usize {
        self.proposals.iter().map(|(_, value)| value.len()).sum()
    }
}
