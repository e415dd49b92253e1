//! Which acceptor is which: an acceptor counts by its id *and* its store.

use std::collections::BTreeMap;

use super::message::{ProcessId, Role};
use super::mutant::{Mutant, mutant};
use super::quorum::AcceptorSet;

/// The acceptors that a process counts, each by the store it was first heard with.
///
/// A second store under the same id is an acceptor that forgot what the first
/// one promised, or a copied configuration. To count it for the same id would
/// let one quorum vote for two values, so the first known wins.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Roster {
    acceptors: AcceptorSet,
    stores: BTreeMap<u16, u64>,
    refused: Option<ProcessId>,
}

impl Roster {
    /// A roster for these acceptors; none was heard yet.
    pub fn new(acceptors: AcceptorSet) -> Roster {
        Roster {
            acceptors,
            stores: BTreeMap::new(),
            refused: None,
        }
    }

    /// Whether what this process says counts as its acceptor's word.
    pub fn admits(&mut self, from: ProcessId) -> bool {
        if from.role != Role::Acceptor || !self.acceptors.contains(from.id) {
            return false;
        }
        let store = *self.stores.entry(from.id).or_insert(from.incarnation);
        if store == from.incarnation || mutant(Mutant::StoreIgnored) {
            return true;
        }
        if self.refused != Some(from) {
            self.refused = Some(from);
            log::warn!(
                "acceptor {} speaks with store {:016x}, but was known with store {store:016x}: \
                 not counted. Either two acceptors run with this id, or it lost its data (a \
                 volatile acceptor that was restarted); an acceptor that forgot must not vote. \
                 Restart the whole cluster, or bring the old data directory back",
                from.id,
                from.incarnation
            );
        }
        false
    }

    /// The process that speaks for an acceptor, if it was heard.
    pub fn process(&self, id: u16) -> Option<ProcessId> {
        self.stores.get(&id).map(|&incarnation| ProcessId {
            role: Role::Acceptor,
            id,
            incarnation,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_store_wins() {
        let mut roster = Roster::new(AcceptorSet::first(3));
        let acceptor = |id, incarnation| ProcessId {
            role: Role::Acceptor,
            id,
            incarnation,
        };
        assert!(roster.admits(acceptor(1, 10)));
        assert!(!roster.admits(acceptor(1, 11)));
        assert!(roster.admits(acceptor(1, 10)));
        assert!(!roster.admits(acceptor(4, 1)), "not a member");
        assert_eq!(roster.process(1), Some(acceptor(1, 10)));
        assert_eq!(roster.process(2), None);
    }
}
