//! Phase 1: what has happened before this ballot?
//!
//! A quorum of acceptors promises to serve no lower ballot and reports its votes
//! for an interval of instances, usually all from some instance on. Reports come
//! in pages, each complete for an interval of its own ("these are *all* my votes
//! in `lo..=hi`"), because votes and watermarks move on while pages get lost and
//! are sent again: counting pages would sooner or later add up parts of two
//! different answers to a whole that omits a vote. Here an acceptor's report is
//! complete when the intervals it has vouched for cover everything asked for.
//!
//! Why must the vote of the *highest* ballot be proposed again? If some value was
//! chosen in a lower ballot, every quorum contains one of its voters, so this one
//! does. And whoever proposed in a ballot after that did the same as we do now,
//! so all votes above are for the chosen value too. The highest vote is therefore
//! either the chosen value or one that is as free to be chosen as any.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Proposer;
use crate::protocol::mutant::{Mutant, mutant};
use crate::protocol::roster::Roster;
use crate::protocol::{
    Acceptor, AcceptorSet, Address, Ballot, Instance, Membership, Message, Outbox, Role, Vote,
};

/// A phase 1 in progress.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Recovery {
    /// The ballot it is held in.
    pub ballot: Ballot,
    from: Instance,
    through: Option<Instance>,
    covered: BTreeMap<u16, Coverage>,
    votes: BTreeMap<Instance, (Ballot, Bytes)>,
}

/// Instances that an acceptor has vouched for: intervals, ascending, apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Coverage(Vec<(u64, u64)>);

impl Coverage {
    fn add(&mut self, from: Instance, through: Option<Instance>) {
        let (mut low, mut high) = (from.0, through.map_or(u64::MAX, |through| through.0));
        if low > high {
            return;
        }
        self.0.retain(|&(first, last)| {
            let apart = last.saturating_add(1) < low || high.saturating_add(1) < first;
            if !apart {
                low = low.min(first);
                high = high.max(last);
            }
            apart
        });
        let index = self.0.partition_point(|&(first, _)| first < low);
        self.0.insert(index, (low, high));
    }

    /// The first instance from `from` on that is not covered, if there is one up
    /// to `through`.
    fn gap(&self, from: Instance, through: Option<Instance>) -> Option<Instance> {
        let last = through.map_or(u64::MAX, |through| through.0);
        let gap = match self
            .0
            .iter()
            .find(|&&(low, high)| (low..=high).contains(&from.0))
        {
            None => from.0,
            Some(&(_, u64::MAX)) => return None,
            Some(&(_, high)) => high + 1,
        };
        (gap <= last).then_some(Instance(gap))
    }
}

impl Recovery {
    /// How far behind the first instance asked for a report may reach: as far as
    /// acceptors vote ahead of a watermark they have told of. Every instance up to
    /// the last vote is proposed, so one stray vote must not make that a long way.
    const MAX_AHEAD: u64 = Acceptor::MAX_AHEAD;

    /// Begins phase 1 of `ballot` for the instances `from..=through`, or all from
    /// `from` on.
    pub fn new(ballot: Ballot, from: Instance, through: Option<Instance>) -> Recovery {
        Recovery {
            ballot,
            from,
            through,
            covered: BTreeMap::new(),
            votes: BTreeMap::new(),
        }
    }

    /// The first instance asked for.
    pub fn from(&self) -> Instance {
        self.from
    }

    /// The last instance asked for, if there is one.
    pub fn through(&self) -> Option<Instance> {
        self.through
    }

    /// Everything below is decided, says a watermark: no need to recover it.
    pub fn skip_to(&mut self, from: Instance) {
        if from > self.from {
            self.from = from;
            self.votes = self.votes.split_off(&from);
        }
    }

    /// Takes in one page of a promise in this ballot. Says whether the acceptor
    /// came further with it: a page that was heard before calls for no other.
    pub fn add(
        &mut self,
        acceptor: u16,
        from: Instance,
        through: Option<Instance>,
        votes: Vec<Vote>,
    ) -> bool {
        let far = self.from.plus(Self::MAX_AHEAD);
        if from > far || votes.iter().any(|vote| vote.instance > far) {
            // The whole page, not the vote: a report with a vote left out would be a lie.
            log::warn!("acceptor {acceptor} reports votes behind {far}: not counted");
            return false;
        }
        let before = self.gap(acceptor);
        let through = through.filter(|_| !mutant(Mutant::FirstPageIsAll));
        self.covered.entry(acceptor).or_default().add(from, through);
        for vote in votes {
            let wanted = vote.instance >= self.from
                && self.through.is_none_or(|through| vote.instance <= through);
            let higher = self
                .votes
                .get(&vote.instance)
                .is_none_or(|(ballot, _)| outranks(vote.ballot, *ballot));
            let heeded = self.covered.len() == 1 || !mutant(Mutant::OneReportOnly);
            if wanted && higher && heeded && vote.ballot <= self.ballot {
                let value = vote.value.bytes().clone();
                self.votes.insert(vote.instance, (vote.ballot, value));
            }
        }
        self.gap(acceptor) != before
    }

    /// From where on this acceptor still has something to report.
    pub fn gap(&self, acceptor: u16) -> Option<Instance> {
        match self.covered.get(&acceptor) {
            None => Some(self.from),
            Some(coverage) => coverage.gap(self.from, self.through),
        }
    }

    /// For how many instances votes were reported.
    pub fn votes(&self) -> usize {
        self.votes.len()
    }

    /// The acceptors that have answered at all.
    pub fn heard(&self) -> AcceptorSet {
        self.covered.keys().copied().collect()
    }

    /// The acceptors that have not reported everything, and from where on.
    pub fn gaps(&self, membership: &Membership) -> Vec<(u16, Instance)> {
        membership
            .acceptors()
            .iter()
            .filter_map(|acceptor| Some((acceptor, self.gap(acceptor)?)))
            .collect()
    }

    /// Asks again for what is still to be reported: each acceptor that was heard
    /// for what it has left, and all of them from the beginning when one was never
    /// heard, or now and then, since one that was restarted has moved.
    pub fn ask(
        &self,
        membership: &Membership,
        roster: &Roster,
        attempts: u32,
        out: &mut Outbox<Proposer>,
    ) {
        let (ballot, through) = (self.ballot, self.through);
        let mut unheard = attempts.is_multiple_of(4).then_some(self.from);
        for (acceptor, from) in self.gaps(membership) {
            match roster.process(acceptor) {
                Some(process) if self.covered.contains_key(&acceptor) => out.send(
                    Address::Process(process),
                    Message::Prepare {
                        ballot,
                        from,
                        through,
                    },
                ),
                _ => unheard = Some(self.from),
            }
        }
        if let Some(from) = unheard {
            out.send(
                Address::Group(Role::Acceptor),
                Message::Prepare {
                    ballot,
                    from,
                    through,
                },
            );
        }
    }

    /// Whether a quorum has reported everything.
    pub fn is_complete(&self, membership: &Membership) -> bool {
        let complete = membership
            .acceptors()
            .iter()
            .filter(|&acceptor| self.gap(acceptor).is_none())
            .collect();
        membership.is_quorum(complete)
    }

    /// What must be proposed again: for every instance the vote of the highest
    /// ballot, and that ballot. Call it when complete: only then is an instance
    /// without a vote free.
    pub fn into_votes(self) -> BTreeMap<Instance, (Ballot, Bytes)> {
        self.votes
    }
}

/// Whether the vote of one ballot is to be proposed again rather than that of
/// another: the higher one, and only that keeps what may have been chosen.
fn outranks(ballot: Ballot, other: Ballot) -> bool {
    match ballot > other {
        _ if mutant(Mutant::LowestVote) => ballot < other,
        _ if mutant(Mutant::FirstVoteHeard) => false,
        _ if mutant(Mutant::LastVoteHeard) => true,
        higher => higher,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Payload;

    fn ballot(round: u64) -> Ballot {
        Ballot {
            round,
            proposer: 1,
            incarnation: 1,
        }
    }

    fn vote(instance: u64, round: u64, value: &'static str) -> Vote {
        Vote {
            instance: Instance(instance),
            ballot: ballot(round),
            value: Payload::new(Bytes::from_static(value.as_bytes())),
        }
    }

    fn three() -> Membership {
        Membership::majority(AcceptorSet::first(3))
    }

    #[test]
    fn the_highest_vote_of_a_quorum_is_proposed_again() {
        let mut recovery = Recovery::new(ballot(9), Instance(1), None);
        recovery.add(
            1,
            Instance(1),
            None,
            vec![vote(2, 3, "old"), vote(4, 1, "x")],
        );
        assert!(!recovery.is_complete(&three()));
        recovery.add(2, Instance(1), None, vec![vote(2, 5, "new")]);
        assert!(recovery.is_complete(&three()));
        let votes = recovery.into_votes();
        assert_eq!(votes[&Instance(2)].1, "new");
        assert_eq!(votes[&Instance(4)].1, "x");
        assert!(!votes.contains_key(&Instance(3)), "a hole, free to fill");
    }

    #[test]
    fn the_first_page_is_not_the_whole_promise() {
        let mut recovery = Recovery::new(ballot(9), Instance(1), None);
        assert!(recovery.add(1, Instance(1), Some(Instance(3)), vec![]));
        assert!(!recovery.add(1, Instance(1), Some(Instance(3)), vec![]));
        recovery.add(2, Instance(1), None, vec![]);
        assert!(!recovery.is_complete(&three()));
        assert_eq!(recovery.gap(1), Some(Instance(4)));
        recovery.add(1, Instance(4), None, vec![]);
        assert!(recovery.is_complete(&three()));
    }

    #[test]
    fn pages_of_two_answers_do_not_add_up_over_a_gap() {
        // The first answer was cut after 3 and its second page lost; then the
        // acceptor's start moved, and the second answer was cut after 9.
        let mut recovery = Recovery::new(ballot(9), Instance(1), None);
        recovery.add(1, Instance(1), Some(Instance(3)), vec![]);
        recovery.add(1, Instance(6), Some(Instance(9)), vec![]);
        recovery.add(1, Instance(10), None, vec![]);
        recovery.add(2, Instance(1), None, vec![]);
        assert!(!recovery.is_complete(&three()));
        assert_eq!(recovery.gap(1), Some(Instance(4)));
        recovery.skip_to(Instance(6));
        assert!(recovery.is_complete(&three()));
    }

    #[test]
    fn a_report_from_far_beyond_is_not_counted() {
        let mut recovery = Recovery::new(ballot(9), Instance(1), None);
        let far = Recovery::MAX_AHEAD + 2;
        recovery.add(2, Instance(1), None, vec![]);
        assert!(!recovery.add(1, Instance(1), None, vec![vote(far, 1, "stray")]));
        assert!(!recovery.add(1, Instance(far), None, vec![]));
        assert!(!recovery.is_complete(&three()));
        // The watermark moves on, and it is far no longer.
        recovery.skip_to(Instance(2));
        assert!(recovery.add(1, Instance(1), None, vec![vote(far, 1, "near")]));
        assert!(recovery.is_complete(&three()));
        assert_eq!(recovery.into_votes().len(), 1);
    }

    #[test]
    fn an_interval_needs_no_more_than_itself() {
        let mut recovery = Recovery::new(ballot(9), Instance(5), Some(Instance(6)));
        for acceptor in [1, 3] {
            recovery.add(
                acceptor,
                Instance(5),
                Some(Instance(6)),
                vec![vote(7, 1, "-")],
            );
        }
        assert!(recovery.is_complete(&three()));
        assert!(recovery.into_votes().is_empty());
    }

    #[test]
    fn coverage_agrees_with_a_set() {
        let mut jitter = crate::protocol::jitter::Jitter::new(1);
        for _ in 0..2_000 {
            let mut coverage = Coverage::default();
            let mut set = std::collections::BTreeSet::new();
            for _ in 0..jitter.below(8) {
                let low = jitter.below(20) + 1;
                let high = low + jitter.below(6);
                coverage.add(Instance(low), Some(Instance(high)));
                set.extend(low..=high);
            }
            let from = jitter.below(20) + 1;
            let through = from + jitter.below(10);
            let expected = (from..=through).find(|instance| !set.contains(instance));
            assert_eq!(
                coverage.gap(Instance(from), Some(Instance(through))),
                expected.map(Instance)
            );
        }
    }
}
