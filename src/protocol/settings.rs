//! What every role is told at its start.

use std::time::Duration;

use super::quorum::Membership;

/// The configuration of a cluster, as far as the protocol is concerned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// The acceptors and their quorums.
    pub membership: Membership,
    /// Bytes that a datagram may have, from its header to its tag.
    pub datagram: usize,
    /// How many instances a leader may have open.
    pub window: u32,
    /// How often a leader says that it is there.
    pub heartbeat: Duration,
    /// Shortest and longest time until an unanswered message is sent again.
    pub repropose: (Duration, Duration),
    /// How often a learner asks for what it may lack, with or without a reason.
    pub catch_up: Duration,
    /// The least time between two sends of one client.
    pub pause: Duration,
}

impl Settings {
    /// The settings that `paxos.conf` has by default, for this membership.
    pub fn new(membership: Membership) -> Settings {
        Settings {
            membership,
            datagram: 65_507,
            window: 64,
            heartbeat: Duration::from_millis(25),
            repropose: (Duration::from_millis(40), Duration::from_millis(80)),
            catch_up: Duration::from_secs(1),
            pause: Duration::ZERO,
        }
    }
}
