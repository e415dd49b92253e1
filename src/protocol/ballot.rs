//! Ballots: who may propose, and in which order of precedence.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::mutant::{Mutant, mutant};

/// A ballot number: totally ordered, and owned by exactly one start of one proposer.
///
/// Paxos needs ballots that no two proposers share and that a proposer never
/// uses again after it forgot what it proposed in them. The proposer's id gives
/// the first; the incarnation, drawn from the operating system's entropy at
/// each start, gives the second without a disk. It also makes two proposers
/// that were given one id by mistake harmless.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Ballot {
    /// Grows with every attempt to lead; compared first.
    pub round: u64,
    /// The proposer's id, from 1.
    pub proposer: u16,
    /// The proposer's incarnation.
    pub incarnation: u64,
}

impl Ballot {
    /// The ballot below all others; nobody owns it.
    pub const ZERO: Ballot = Ballot {
        round: 0,
        proposer: 0,
        incarnation: 0,
    };

    /// How far a round may lie ahead of all that is known before it is refused.
    ///
    /// Rounds grow by one per attempt to lead. One stray datagram with an
    /// enormous round would otherwise leave no ballot above it, for ever.
    pub const MAX_LEAP: u64 = 1 << 32;

    /// The only process that may propose in this ballot: a proposer's id and incarnation.
    pub fn owner(self) -> (u16, u64) {
        (self.proposer, self.incarnation)
    }

    /// Whether this ballot lies absurdly far ahead of `known`.
    pub fn leaps_over(self, known: Ballot) -> bool {
        self.round > known.round.saturating_add(Self::MAX_LEAP) && !mutant(Mutant::LeapTaken)
    }
}

impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.p{}", self.round, self.proposer)
    }
}
