//! What a simulated cluster is made of, as plain values.

use std::time::Duration;

use crate::protocol::Settings;
use crate::sim::chance::{Chance, STEADY};
use crate::sim::network::NetworkOptions;
use crate::sim::users::ServiceOptions;

/// What a simulated cluster is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterOptions {
    /// How many proposers.
    pub proposers: u16,
    /// How many learners.
    pub learners: u16,
    /// How many clients.
    pub clients: u16,
    /// Bytes of values that acceptors with a disk keep in memory; without it
    /// they have no disk.
    pub durable: Option<usize>,
    /// Bytes of decided votes that acceptors without a disk keep.
    pub history: usize,
    /// How many instances a learner that counts as a replica delivers between two
    /// checkpoints.
    pub checkpoint: u64,
    /// What every role is told; the acceptors are those of its membership.
    pub settings: Settings,
    /// How the network behaves.
    pub network: NetworkOptions,
    /// Bytes that a socket's receive buffer holds.
    pub buffer: u32,
    /// How many parts per million a clock is off at most.
    pub drift: u32,
    /// Bytes of a segment of an acceptor's log.
    pub segment: u64,
    /// How many datagrams a process takes in one turn, at least and at most.
    pub turn: (u64, u64),
    /// Shortest and longest time of a sync.
    pub sync: (Duration, Duration),
    /// Whether a process waits for its sync before it reads on, as the daemons do.
    pub sync_blocks: bool,
    /// Probability that a sync fails, which ends the process.
    pub sync_failure: f64,
    /// Whether the disk answers lookups in a later turn.
    pub slow_reads: bool,
    /// Processes start within this time.
    pub start: Duration,
    /// Learners are replicas of a service, and these are its users.
    pub service: Option<ServiceOptions>,
}

impl ClusterOptions {
    /// One of each role and a majority of `settings`' acceptors, nothing wrong anywhere.
    pub fn quiet(settings: Settings) -> ClusterOptions {
        ClusterOptions {
            proposers: 1,
            learners: 1,
            clients: 1,
            durable: Some(1 << 20),
            history: usize::MAX,
            checkpoint: 1,
            settings,
            network: NetworkOptions::quiet(),
            buffer: 212_992,
            drift: 0,
            segment: 256 << 10,
            turn: (1, 64),
            sync: (Duration::from_micros(100), Duration::from_micros(300)),
            sync_blocks: true,
            sync_failure: 0.0,
            slow_reads: false,
            start: Duration::ZERO,
            service: None,
        }
    }

    /// The same cluster with nothing left to chance.
    pub fn steady(&self) -> ClusterOptions {
        ClusterOptions {
            network: NetworkOptions::steady(),
            turn: (Chance::TURN, Chance::TURN),
            sync: (STEADY, STEADY),
            sync_failure: 0.0,
            slow_reads: false,
            start: Duration::ZERO,
            ..self.clone()
        }
    }
}
