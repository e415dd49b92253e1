//! What is going to happen, ordered by time and then by when it was planned.

use crate::protocol::{Lookup, Time};
use crate::sim::node::Waiting;

/// Something planned.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    Arrival {
        node: usize,
        /// The port it was sent to, when it was not a group.
        port: Option<u64>,
        waiting: Waiting,
        /// The bit that is flipped on the way.
        damaged: Option<u64>,
    },
    Turn {
        node: usize,
        start: u64,
    },
    Synced {
        node: usize,
        start: u64,
        fails: bool,
    },
    Found {
        node: usize,
        start: u64,
        lookup: Lookup,
    },
}

/// A happening and its time; of two at one time the one planned first is first.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) at: Time,
    pub(super) order: u64,
    pub(super) happening: Happening,
}

impl PartialEq for Planned {
    fn eq(&self, other: &Planned) -> bool {
        self.order == other.order
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Planned) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Planned) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}
