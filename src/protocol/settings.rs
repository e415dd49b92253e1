//! What every role is told at its start, and the limits that follow from it.

use std::time::Duration;

use super::quorum::Membership;
use super::replicas::ReplicaSet;

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
    /// How many instances a session outlives its last delivery. The same for
    /// all processes, and no matter of choice; only simulations have another.
    pub lifetime: u64,
    /// How many sessions are remembered. As with the lifetime.
    pub sessions: usize,
    /// The replicas whose checkpoints count; acceptors forget what more than half
    /// of them have on disk, and nothing when there is none.
    pub replicas: ReplicaSet,
    /// How many instances more must be in those checkpoints before an acceptor
    /// writes down that it forgets them. Only simulations have another.
    pub trim_step: u64,
}

impl Settings {
    /// How many instances a session outlives its last delivery, in every cluster
    /// that people run.
    pub const LIFETIME: u64 = 1 << 20;

    /// How many sessions are remembered, in every cluster that people run.
    pub const MAX_SESSIONS: usize = 1 << 16;

    /// How many instances an acceptor forgets at once at least, in every cluster
    /// that people run: each time costs it a record, and what it saves are
    /// segments of the log, in which thousands of instances lie.
    pub const TRIM_STEP: u64 = 1_024;

    /// How many learners tell the leader how far they have read as they read. What
    /// the leader has to listen to shall not grow with the learners; of more than
    /// these, the others keep pace with the slowest of these, or say so.
    pub const SPEAKERS: usize = 8;

    /// Bytes of a datagram that are not a batch: the header and the tag, and the
    /// fields of the message that needs most of them, a promise or an answer to
    /// a learner with a single vote. A batch that fits the 2a must fit these too,
    /// or it could be chosen and then never be told.
    pub const HEADROOM: usize = 220;

    /// Bytes of a batch that are a run's own fields.
    pub const RUN_HEADROOM: usize = 48;

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
            lifetime: Settings::LIFETIME,
            sessions: Settings::MAX_SESSIONS,
            replicas: ReplicaSet::EMPTY,
            trim_step: Settings::TRIM_STEP,
        }
    }

    /// Bytes that a batch may have.
    pub fn batch_limit(&self) -> usize {
        self.datagram - Self::HEADROOM
    }

    /// Bytes that the items of one run may have together.
    pub fn run_limit(&self) -> usize {
        self.batch_limit() - Self::RUN_HEADROOM
    }

    /// How long acceptors put candidates off after they heard a leader.
    pub fn lease(&self) -> Duration {
        self.heartbeat * 3
    }

    /// How long a proposer must hear no leader before it becomes a candidate.
    /// Longer than the acceptors' [`Settings::lease`], or candidates would come
    /// too early every time.
    pub fn patience(&self) -> Duration {
        self.heartbeat * 5
    }

    /// How long a leader goes on leading that hears no quorum. Far longer than the
    /// others' patience: an acceptor in a slow sync answers nothing, and a leader
    /// deposed for that would be followed by one with the same fate.
    pub fn endurance(&self) -> Duration {
        self.patience() * 16
    }

    /// What a datagram of `length` bytes takes of a socket's receive buffer. The
    /// kernel counts the memory it allocated, not the bytes: measured on Linux,
    /// 832 bytes for the smallest, twice its length for one of middle size,
    /// 71,000 for the largest.
    pub fn buffer_cost(length: usize) -> u64 {
        (1_024 + 2 * length as u64).min(71_000)
    }
}
