//! The watermarks a process has heard.

use super::ballot::Ballot;
use super::message::Watermark;
use super::mutant::{Mutant, mutant};
use super::value::Instance;

/// For each of the latest ballots, how far its leader has announced decisions.
///
/// Kept per ballot because the rule is about *exactly* one ballot: a vote of an
/// older ballot below a newer leader's watermark may be for another value than
/// the chosen one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Watermarks {
    /// Ascending by ballot, at most [`Watermarks::LIMIT`].
    known: Vec<Watermark>,
    highest: Watermark,
}

impl Watermarks {
    /// How many ballots are remembered. Of older ones only votes tell.
    pub const LIMIT: usize = 64;

    /// Takes in a fact; says whether it was news.
    pub fn note(&mut self, watermark: Watermark) -> bool {
        if watermark.through == Instance::ZERO {
            return false;
        }
        if watermark.through > self.highest.through || mutant(Mutant::WatermarkRegresses) {
            self.highest = watermark;
        }
        match self
            .known
            .binary_search_by_key(&watermark.ballot, |known| known.ballot)
        {
            Ok(index) => {
                let known = &mut self.known[index];
                let news = watermark.through > known.through;
                known.through = known.through.max(watermark.through);
                news
            }
            Err(index) => {
                self.known.insert(index, watermark);
                if self.known.len() > Self::LIMIT {
                    self.known.remove(0);
                    return index > 0;
                }
                true
            }
        }
    }

    /// Whether a vote of this ballot for this instance is thereby decided.
    pub fn decide(&self, ballot: Ballot, instance: Instance) -> bool {
        if mutant(Mutant::AnyBallotWatermark) {
            return instance <= self.highest.through;
        }
        self.known
            .binary_search_by_key(&ballot, |known| known.ballot)
            .is_ok_and(|index| instance <= self.known[index].through)
    }

    /// Of how many ballots something is known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The watermark that reaches furthest.
    pub fn highest(&self) -> Watermark {
        self.highest
    }

    /// The watermark of this ballot.
    pub fn of(&self, ballot: Ballot) -> Option<Watermark> {
        self.known
            .binary_search_by_key(&ballot, |known| known.ballot)
            .ok()
            .map(|index| self.known[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watermark(round: u64, through: u64) -> Watermark {
        Watermark {
            ballot: Ballot {
                round,
                proposer: 1,
                incarnation: 1,
            },
            through: Instance(through),
        }
    }

    #[test]
    fn only_the_exact_ballot_decides() {
        let mut watermarks = Watermarks::default();
        assert!(watermarks.note(watermark(2, 5)));
        assert!(!watermarks.note(watermark(2, 4)), "never regresses");
        assert!(watermarks.decide(watermark(2, 0).ballot, Instance(5)));
        assert!(!watermarks.decide(watermark(2, 0).ballot, Instance(6)));
        assert!(!watermarks.decide(watermark(1, 0).ballot, Instance(1)));
        assert!(!watermarks.decide(watermark(3, 0).ballot, Instance(1)));
    }

    #[test]
    fn stays_small_and_keeps_the_latest() {
        let mut watermarks = Watermarks::default();
        for round in 1..=1_000 {
            watermarks.note(watermark(round, round));
        }
        assert_eq!(watermarks.known.len(), Watermarks::LIMIT);
        assert_eq!(watermarks.highest(), watermark(1_000, 1_000));
        assert!(!watermarks.note(watermark(1, 1)), "too old to remember");
        assert!(watermarks.of(watermark(1_000, 0).ballot).is_some());
    }
}
