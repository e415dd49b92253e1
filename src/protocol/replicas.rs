//! The replicas whose checkpoints count.
//!
//! What more than half of them have on disk need not stay with the acceptors: a
//! replica that lacks it gets a checkpoint from another one.

use std::collections::BTreeMap;
use std::fmt;

use super::mutant::{Mutant, mutant};
use super::quorum::AcceptorSet;
use super::value::Instance;

/// A set of replica ids, each from 1 to [`ReplicaSet::MAX_ID`].
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ReplicaSet(AcceptorSet);

impl ReplicaSet {
    /// The largest id.
    pub const MAX_ID: u16 = AcceptorSet::MAX_ID;

    /// No replica counts: nothing is ever forgotten for one.
    pub const EMPTY: ReplicaSet = ReplicaSet(AcceptorSet::EMPTY);

    /// The ids `1..=count`.
    ///
    /// # Panics
    ///
    /// When `count` exceeds [`ReplicaSet::MAX_ID`].
    pub fn first(count: u16) -> ReplicaSet {
        ReplicaSet(AcceptorSet::first(count))
    }

    /// Adds an id; says whether it was new.
    ///
    /// # Panics
    ///
    /// When the id is 0 or exceeds [`ReplicaSet::MAX_ID`].
    pub fn insert(&mut self, id: u16) -> bool {
        self.0.insert(id)
    }

    /// Whether the id is in the set.
    pub fn contains(self, id: u16) -> bool {
        self.0.contains(id)
    }

    /// How many ids the set holds.
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Whether the set holds no id.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The ids, ascending.
    pub fn iter(self) -> impl Iterator<Item = u16> {
        self.0.iter()
    }

    /// How far more than half of the set have come, when each has come as far as
    /// it reports. Who reports nothing has nothing.
    pub fn agreed(self, reports: &BTreeMap<u16, Instance>) -> Instance {
        let mut reached: Vec<Instance> = self
            .iter()
            .map(|id| reports.get(&id).copied().unwrap_or_default())
            .collect();
        reached.sort_unstable_by(|one, other| other.cmp(one));
        let needed = match mutant(Mutant::TrimByOneReport) {
            true => 0,
            false => reached.len() / 2,
        };
        reached.get(needed).copied().unwrap_or_default()
    }
}

impl FromIterator<u16> for ReplicaSet {
    fn from_iter<I: IntoIterator<Item = u16>>(ids: I) -> ReplicaSet {
        ReplicaSet(ids.into_iter().collect())
    }
}

impl fmt::Debug for ReplicaSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreed(set: &[u16], reports: &[(u16, u64)]) -> u64 {
        let set: ReplicaSet = set.iter().copied().collect();
        let reports = reports.iter().map(|&(id, through)| (id, Instance(through)));
        set.agreed(&reports.collect()).0
    }

    #[test]
    fn more_than_half_have_come_as_far() {
        assert_eq!(agreed(&[1], &[(1, 7)]), 7);
        assert_eq!(agreed(&[1, 2], &[(1, 7)]), 0, "one of two is no majority");
        assert_eq!(agreed(&[1, 2], &[(1, 7), (2, 5)]), 5);
        assert_eq!(agreed(&[1, 2, 3], &[(1, 7), (3, 5)]), 5);
        assert_eq!(agreed(&[1, 2, 3], &[(1, 7), (2, 9), (3, 5)]), 7);
        assert_eq!(agreed(&[1, 2, 3, 4], &[(1, 7), (2, 9)]), 0);
        assert_eq!(agreed(&[2, 4, 6, 8, 9], &[(2, 1), (4, 2), (8, 3)]), 1);
    }

    #[test]
    fn strangers_do_not_count_and_nobody_agrees_on_nothing() {
        assert_eq!(agreed(&[1, 2, 3], &[(4, 9), (5, 9), (6, 9), (1, 9)]), 0);
        assert_eq!(agreed(&[], &[(1, 9)]), 0);
    }
}
