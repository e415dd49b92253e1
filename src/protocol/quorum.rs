//! Sets of acceptors, and how many make a quorum.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::mutant::{Mutant, mutant};

/// A set of acceptor ids, each from 1 to [`AcceptorSet::MAX_ID`].
///
/// Votes and promises are counted as sets, never as numbers of messages: a
/// datagram that arrives twice must not count twice.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AcceptorSet(u64);

impl AcceptorSet {
    /// The largest acceptor id.
    pub const MAX_ID: u16 = 64;

    /// The empty set.
    pub const EMPTY: AcceptorSet = AcceptorSet(0);

    /// The ids `1..=count`.
    ///
    /// # Panics
    ///
    /// When `count` exceeds [`AcceptorSet::MAX_ID`].
    pub fn first(count: u16) -> AcceptorSet {
        (1..=count).collect()
    }

    /// Adds an id; says whether it was new.
    ///
    /// # Panics
    ///
    /// When the id is 0 or exceeds [`AcceptorSet::MAX_ID`].
    pub fn insert(&mut self, id: u16) -> bool {
        assert!(
            (1..=Self::MAX_ID).contains(&id),
            "acceptor id {id} out of range"
        );
        let bit = 1 << (id - 1);
        let new = self.0 & bit == 0;
        self.0 |= bit;
        new
    }

    /// Takes an id out.
    pub fn remove(&mut self, id: u16) {
        if (1..=Self::MAX_ID).contains(&id) {
            self.0 &= !(1 << (id - 1));
        }
    }

    /// Whether the id is in the set.
    pub fn contains(self, id: u16) -> bool {
        (1..=Self::MAX_ID).contains(&id) && self.0 & (1 << (id - 1)) != 0
    }

    /// How many ids the set holds.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether the set holds no id.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The ids, ascending.
    pub fn iter(self) -> impl Iterator<Item = u16> {
        (1..=Self::MAX_ID).filter(move |&id| self.contains(id))
    }
}

impl FromIterator<u16> for AcceptorSet {
    fn from_iter<I: IntoIterator<Item = u16>>(ids: I) -> AcceptorSet {
        let mut set = AcceptorSet::EMPTY;
        for id in ids {
            set.insert(id);
        }
        set
    }
}

impl fmt::Display for AcceptorSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, id) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { " " };
            write!(f, "{comma}a{id}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for AcceptorSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which acceptors exist and how many of them make a quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Membership {
    acceptors: AcceptorSet,
    quorum: usize,
}

impl Membership {
    /// A membership with majority quorums.
    ///
    /// # Panics
    ///
    /// When there is no acceptor.
    pub fn majority(acceptors: AcceptorSet) -> Membership {
        assert!(!acceptors.is_empty(), "a cluster needs an acceptor");
        Membership {
            acceptors,
            quorum: acceptors.len() / 2 + 1,
        }
    }

    /// All acceptors.
    pub fn acceptors(&self) -> AcceptorSet {
        self.acceptors
    }

    /// How many acceptors make a quorum.
    pub fn quorum(&self) -> usize {
        self.quorum
    }

    /// Whether `set` is a quorum.
    pub fn is_quorum(&self, set: AcceptorSet) -> bool {
        let counted = AcceptorSet(set.0 & self.acceptors.0).len();
        counted + usize::from(mutant(Mutant::SmallQuorum)) >= self.quorum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Safety in one line: any two quorums share an acceptor.
    #[test]
    fn any_two_quorums_intersect() {
        for count in 1..=7 {
            let membership = Membership::majority(AcceptorSet::first(count));
            let sets: Vec<u64> = (0..1 << count)
                .filter(|&bits| membership.is_quorum(AcceptorSet(bits)))
                .collect();
            assert!(!sets.is_empty());
            for a in &sets {
                for b in &sets {
                    assert_ne!(a & b, 0, "{count} acceptors: disjoint quorums");
                }
            }
        }
    }

    #[test]
    fn strangers_do_not_count() {
        let membership = Membership::majority(AcceptorSet::first(3));
        assert!(!membership.is_quorum([1, 4, 5].into_iter().collect()));
        assert!(membership.is_quorum([1, 3].into_iter().collect()));
    }

    #[test]
    fn prints_as_a_set() {
        let set: AcceptorSet = [3, 1].into_iter().collect();
        assert_eq!(set.to_string(), "{a1 a3}");
        assert_eq!(set.len(), 2);
    }
}
