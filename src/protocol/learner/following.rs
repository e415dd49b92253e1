//! Telling the leader how far this learner has read, so that it is not overrun.
//!
//! Each learner that told it for every few datagrams would have the leader listen
//! to as many as there are. So a few speak up, those with the lowest ids that are
//! there, and for the others they stand as an example. One that has fallen behind
//! though the example has not speaks for itself until it has caught up. All say
//! now and then how much their buffers hold.

use std::collections::BTreeMap;

use crate::protocol::{Instance, ProcessId, Settings, Time};

/// What the leader is told of this learner, and what this one knows of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Following {
    /// The highest proposal taken from the socket.
    pub(super) through: Instance,
    /// What was taken since it was told, in bytes of socket buffer.
    pub(super) taken: u64,
    /// Learners of lower id, and when each was last heard asking for something,
    /// as every learner does now and then.
    elders: BTreeMap<u16, Time>,
    /// When much was last lacking.
    behind: Option<Time>,
}

impl Following {
    /// A proposal was taken from the socket.
    pub(super) fn take(&mut self, instance: Instance, bytes: usize) {
        self.through = self.through.max(instance);
        self.taken += Settings::buffer_cost(bytes + Settings::HEADROOM);
    }

    /// Another learner asked for something.
    pub(super) fn overhear(&mut self, now: Time, me: ProcessId, from: ProcessId) {
        if from.id >= me.id {
            return;
        }
        self.elders.insert(from.id, now);
        if self.elders.len() > Settings::SPEAKERS {
            self.elders.pop_last();
        }
    }

    /// More is lacking than a datagram or two.
    pub(super) fn fall_behind(&mut self, now: Time) {
        self.behind = Some(now);
    }

    /// Whether it is time to tell the leader.
    pub(super) fn is_due(&self, now: Time, buffer: u32, settings: &Settings) -> bool {
        self.taken > u64::from(buffer) / 8 && self.speaks(now, settings)
    }

    /// Whether this learner tells the leader as it reads.
    fn speaks(&self, now: Time, settings: &Settings) -> bool {
        // Each asks about once in this time; a question may be lost, or two.
        let patience = settings.catch_up * 4;
        let there = |&&heard: &&Time| now.since(heard) < patience;
        self.behind
            .is_some_and(|behind| now.since(behind) < settings.catch_up)
            || self.elders.values().filter(there).count() < Settings::SPEAKERS
    }

    /// How many learners of lower id it knows.
    pub(super) fn elders(&self) -> usize {
        self.elders.len()
    }
}
