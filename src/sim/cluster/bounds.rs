//! Nothing grows without end: every process is measured now and then.
//!
//! The roles name their own limits; what the world keeps for them is bounded here.

use super::Cluster;
use crate::protocol::{Client, Measure, Settings};
use crate::sim::check::Finding;
use crate::sim::node::{Machine, Node};

impl Cluster {
    /// Of so many happenings, one is followed by a look at everybody's measures.
    pub(super) const LOOK: u64 = 1_024;

    /// How many messages may wait for a sync. A turn takes a few hundred
    /// datagrams, and few of them have more than one answer; but where reading
    /// goes on during a slow sync, turns add up.
    const MOST_HELD: usize = 50_000;

    /// Looks at everybody's measures.
    pub fn check_bounds(&self) -> Finding {
        for node in &self.nodes {
            let mut measures = match &node.machine {
                Machine::Client(client) => client.measures(),
                Machine::Proposer(proposer) => proposer.measures(),
                Machine::Acceptor(acceptor) => acceptor.measures(),
                Machine::Learner(learner) => learner.measures(),
                Machine::Replica(replica) => replica.measures(),
            };
            measures.push(Measure::new(
                "messages that wait for a sync",
                node.held.len(),
                Self::MOST_HELD,
            ));
            measures.extend(self.in_flight(node));
            measures.extend(self.on_disk(node));
            if let Some(measure) = measures.iter().find(|measure| !measure.is_within()) {
                return Err(format!("{} holds more than it may: {measure}", node.name));
            }
        }
        Ok(())
    }

    /// A client's window: no leader grants more than half a buffer.
    fn in_flight(&self, node: &Node) -> Option<Measure> {
        let Machine::Client(client) = &node.machine else {
            return None;
        };
        let granted = Client::FIRST_CREDIT.max(u64::from(self.options.buffer) / 2);
        let datagram = Settings::buffer_cost(self.options.settings.datagram);
        Some(Measure::new(
            "bytes in flight",
            client.in_flight() as usize,
            (granted + datagram) as usize,
        ))
    }

    /// An acceptor's disk holds its records, and at most two segments more: the
    /// one that is written and the next, which is made ready.
    fn on_disk(&self, node: &Node) -> Option<Measure> {
        let disk = node.disk.as_ref()?;
        // A segment that the next record does not fit into may be half empty, its
        // heading and its seal apart.
        let segment = self.options.segment;
        let limit = 3 * segment + 2 * disk.weight() * segment / (segment - 1_024);
        Some(Measure::new(
            "bytes on the disk",
            disk.used() as usize,
            limit as usize,
        ))
    }
}
