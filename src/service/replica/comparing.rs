//! Do the replicas still agree? At every milestone each tells the digest of its
//! state, and hears what the others have there.
//!
//! They must agree, for all of them applied the same commands. If one does not,
//! its memory failed, or a mistake lets the same command do different things; in
//! either case its answers cannot be believed. Those who are fewer stop. Where as
//! many say one thing as another, nobody can tell who is right, and all stop.

use std::collections::BTreeMap;

use crate::protocol::Instance;

/// The latest milestones, and what was said of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Comparing {
    milestones: BTreeMap<Instance, Milestone>,
    /// The last milestone at which somebody else was found to be the odd one out.
    complained: Option<Instance>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Milestone {
    mine: Option<u64>,
    theirs: BTreeMap<u16, u64>,
}

/// What a comparison showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// These differ from the rest, to which this replica belongs.
    Others(Vec<u16>),
    /// This replica differs from at least as many as it agrees with.
    Myself {
        /// Its digest.
        mine: u64,
        /// Who has another one.
        against: Vec<u16>,
    },
}

impl Comparing {
    /// Milestones that are remembered.
    const MOST: usize = 8;

    /// Replicas that are heeded at one milestone.
    const MOST_REPLICAS: usize = 64;

    /// This replica has passed a milestone.
    pub(super) fn pass(&mut self, instance: Instance, digest: u64) -> Option<Finding> {
        self.entry(instance)?.mine = Some(digest);
        self.judge(instance)
    }

    /// Another one has.
    pub(super) fn hear(&mut self, instance: Instance, from: u16, digest: u64) -> Option<Finding> {
        let milestone = self.entry(instance)?;
        if milestone.theirs.len() < Self::MOST_REPLICAS || milestone.theirs.contains_key(&from) {
            milestone.theirs.insert(from, digest);
        }
        self.judge(instance)
    }

    fn entry(&mut self, instance: Instance) -> Option<&mut Milestone> {
        let known = self.milestones.contains_key(&instance);
        if !known && self.milestones.len() >= Self::MOST {
            let (&oldest, _) = self.milestones.first_key_value()?;
            if instance < oldest {
                return None;
            }
            self.milestones.pop_first();
        }
        Some(self.milestones.entry(instance).or_default())
    }

    /// A draw is judged only when the milestone behind it is passed too: the one
    /// that could decide may be slow.
    fn judge(&mut self, instance: Instance) -> Option<Finding> {
        let waited = |at: Instance| {
            let behind = self.milestones.range(at.next()..);
            behind.into_iter().any(|(_, later)| later.mine.is_some())
        };
        let before = self.milestones.range(..instance).next_back();
        let before = before.map(|(&before, _)| before);
        let both = [Some(instance), before].into_iter().flatten();
        let (at, finding) = both
            .filter_map(|at| Some((at, self.verdict(at, waited(at))?)))
            .next()?;
        if let Finding::Others(_) = finding {
            if self.complained >= Some(at) {
                return None;
            }
            self.complained = Some(at);
        }
        Some(finding)
    }

    fn verdict(&self, instance: Instance, waited: bool) -> Option<Finding> {
        let milestone = self.milestones.get(&instance)?;
        let mine = milestone.mine?;
        let mut camps: BTreeMap<u64, Vec<u16>> = BTreeMap::new();
        for (&replica, &digest) in &milestone.theirs {
            camps.entry(digest).or_default().push(replica);
        }
        let with_me = 1 + camps.remove(&mine).map_or(0, |camp| camp.len());
        let largest = camps.values().map(Vec::len).max()?;
        let against: Vec<u16> = camps.into_values().flatten().collect();
        if largest > with_me || (largest == with_me && waited) {
            return Some(Finding::Myself { mine, against });
        }
        (with_me > largest).then_some(Finding::Others(against))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Instance = Instance(1024);
    const B: Instance = Instance(2048);

    #[test]
    fn the_odd_one_out_is_found_by_all() {
        let mut mine = Comparing::default();
        assert_eq!(mine.pass(A, 7), None);
        assert_eq!(mine.hear(A, 2, 7), None);
        assert_eq!(mine.hear(A, 3, 8), Some(Finding::Others(vec![3])));
        assert_eq!(mine.hear(A, 3, 8), None, "said once");
        let mut odd = Comparing::default();
        assert_eq!(odd.hear(A, 1, 7), None, "not there yet");
        assert_eq!(odd.hear(A, 2, 7), None);
        let against = vec![1, 2];
        assert_eq!(odd.pass(A, 8), Some(Finding::Myself { mine: 8, against }));
    }

    #[test]
    fn a_draw_waits_for_the_next_milestone() {
        let mut mine = Comparing::default();
        assert_eq!(mine.pass(A, 7), None);
        assert_eq!(mine.hear(A, 2, 8), None, "a third one may decide");
        let against = vec![2];
        let finding = Some(Finding::Myself { mine: 7, against });
        assert_eq!(mine.pass(B, 9), finding);
        let mut decided = Comparing::default();
        decided.pass(A, 7);
        decided.hear(A, 2, 8);
        assert_eq!(decided.hear(A, 3, 7), Some(Finding::Others(vec![2])));
        assert_eq!(decided.pass(B, 9), None);
    }

    #[test]
    fn three_opinions_of_three_stop_all() {
        let mut mine = Comparing::default();
        mine.hear(A, 2, 8);
        mine.hear(A, 3, 9);
        assert_eq!(mine.pass(A, 7), None);
        let against = vec![2, 3];
        assert_eq!(mine.pass(B, 1), Some(Finding::Myself { mine: 7, against }));
    }

    #[test]
    fn little_is_remembered() {
        let mut mine = Comparing::default();
        for at in 0..100 {
            mine.hear(Instance(at * 1024), 2, at);
        }
        assert_eq!(mine.milestones.len(), Comparing::MOST);
        assert_eq!(mine.pass(Instance(1024), 3), None, "long forgotten");
        for from in 0..1000 {
            mine.hear(Instance(99 * 1024), from, 1);
        }
        let last = &mine.milestones[&Instance(99 * 1024)];
        assert_eq!(last.theirs.len(), Comparing::MOST_REPLICAS);
    }
}
